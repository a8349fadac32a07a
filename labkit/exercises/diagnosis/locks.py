"""Rules about locks."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from labkit.exercises.diagnosis.code import Code, Failed, Finding, Function, Rule, calls, last, own, text

KINDS = ("Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition")


def lock_names(code: Code) -> set[str]:
    """The names, and attributes, that hold a lock."""
    return {
        last(target)
        for statement in code.all(ast.Assign)
        if calls(statement.value, *KINDS)
        for target in statement.targets
    }


def is_lock(code: Code, node: ast.AST) -> bool:
    return last(node) in lock_names(code) or "lock" in last(node).lower()


def new_lock_each_time(code: Code, failed: Failed) -> Iterator[Finding]:
    name, why = (
        "a new lock each time",
        "a new lock each time, which no other thread has: it keeps nobody out",
    )
    for block in code.all(ast.With):
        for item in block.items:
            if calls(item.context_expr, *KINDS):
                yield Finding(name, block.lineno, f"`with {text(item.context_expr)}` makes {why}")
    for made in code.all(ast.Return):
        function = code.function_of(made)
        if function is not None and made.value is not None and calls(made.value, *KINDS):
            if any(
                last(item.context_expr) == function.name or calls(item.context_expr, function.name)
                for block in code.all(ast.With)
                for item in block.items
            ):
                yield Finding(name, made.lineno, f"`{text(made)}` makes {why}. Make it once, in __init__")
    for statement in code.all(ast.Assign):
        function = code.function_of(statement)
        if function is None or not calls(statement.value, *KINDS):
            continue
        for target in statement.targets:
            if _only_here(code, target, function) and _taken_in(function, target):
                words = (
                    f"`{text(statement)}` makes {why}. Make it once, in __init__ or at the top of the file"
                )
                yield Finding(name, statement.lineno, words)


def _only_here(code: Code, target: ast.expr, function: Function) -> bool:
    """Whether what this assignment makes is for one call of the function alone."""
    if isinstance(target, ast.Attribute):
        return function.name in code.methods and function.name not in ("__init__", "start", code.wants)
    name = last(target)
    inner = [node for node in ast.walk(function) if isinstance(node, ast.Name) and node.id == name]
    escapes = any(code.function_of(node) is not function for node in inner)
    passed = any(isinstance(code.parents.get(node), ast.Call | ast.Tuple | ast.keyword) for node in inner)
    told = any(isinstance(node, ast.Global | ast.Nonlocal) and name in node.names for node in own(function))
    return isinstance(target, ast.Name) and not (escapes or passed or told)


def _taken_in(function: Function, target: ast.expr) -> bool:
    return any(
        isinstance(node, ast.withitem) and text(node.context_expr) == text(target)
        or isinstance(node, ast.Attribute) and node.attr == "acquire" and text(node.value) == text(target)
        for node in own(function)
    )  # fmt: skip


def not_released(code: Code, failed: Failed) -> Iterator[Finding]:
    if not failed.stuck:
        return
    for call in code.all(ast.Call):
        if not (isinstance(call.func, ast.Attribute) and call.func.attr == "acquire"):
            continue
        function, lock = code.function_of(call), text(call.func.value)
        if function is None or function.name in ("__enter__", "acquire"):
            continue
        releases = [
            node for node in own(function)
            if isinstance(node, ast.Call) and text(node.func) == f"{lock}.release"
        ]  # fmt: skip
        name = "a lock that is not released"
        if not releases:
            words = f"{lock} is taken here, and {function.name} never releases it. Use: with {lock}:"
            yield Finding(name, call.lineno, words)
            continue
        if any(_in_finally(code, release) for release in releases):
            continue
        first, end = call.lineno, max(release.lineno for release in releases)
        for node in own(function):
            line = getattr(node, "lineno", 0)
            if isinstance(node, ast.Return | ast.Raise | ast.Continue | ast.Break) and first < line < end:
                if not any(
                    first < release.lineno < line and _same_block(code, release, node)
                    for release in releases
                ):
                    words = (
                        f"`{text(node)}` leaves with {lock} held, taken in line {first}. Use: with {lock}:"
                    )
                    yield Finding(name, line, words)


def _in_finally(code: Code, node: ast.AST) -> bool:
    below = node
    for above in code.above(node):
        if isinstance(above, ast.Try) and below in above.finalbody:
            return True
        below = above
    return False


def _same_block(code: Code, one: ast.AST, other: ast.AST) -> bool:
    """Whether a statement and what leaves stand in the same block."""
    return code.parents.get(code.parents[one]) is code.parents.get(other)


WAITS = {
    "join": "waits for a thread", "recv": "waits for a client", "accept": "waits for a client",
    "readline": "waits for a client", "sendall": "waits until a client reads", "sleep": "sleeps",
    "input": "waits for a keyboard",
}  # fmt: skip


def waits_under_lock(code: Code, failed: Failed) -> Iterator[Finding]:
    if not failed.stuck:
        return
    for block in code.all(ast.With):
        held = next((i.context_expr for i in block.items if is_lock(code, i.context_expr)), None)
        if held is None:
            continue
        function = code.function_of(block)
        given = {a.arg for a in function.args.args} if function else set()
        for node in own(block):
            if not isinstance(node, ast.Call):
                continue
            if isinstance(node.func, ast.Name) and node.func.id in given:
                words = (
                    f"`{text(node)}` is called with {text(held)} held: it may take long, or need the lock"
                )
                yield Finding("a call under the lock", node.lineno, words)
            what = WAITS.get(last(node.func))
            joins_text = isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Constant)
            if what and not joins_text and not (last(node.func) == "join" and _joins_texts(node)):
                words = f"`{text(node)}` {what} while {text(held)} is held: who needs it waits as long"
                yield Finding(f"{last(node.func)} under the lock", node.lineno, words)


def _joins_texts(call: ast.Call) -> bool:
    """Whether it is str.join: a thread's takes a number, or nothing."""
    return any(not isinstance(a, ast.Constant | ast.Name | ast.Attribute) for a in call.args)


def takes_twice(code: Code, failed: Failed) -> Iterator[Finding]:
    """A method that takes a Lock calls another that takes the same."""
    plain = {
        last(target)
        for statement in code.all(ast.Assign)
        if calls(statement.value, "Lock")
        for target in statement.targets
    }
    if not failed.stuck:
        return
    for block in code.all(ast.With):
        held = {text(i.context_expr) for i in block.items if last(i.context_expr) in plain}
        for node in own(block):
            if not isinstance(node, ast.Call) or text(node.func) not in (
                last(node.func),
                f"self.{last(node.func)}",
            ):
                continue
            called = code.functions.get(last(node.func))
            if called is None or called is code.function_of(block):
                continue
            again = held & {
                text(i.context_expr) for w in own(called) if isinstance(w, ast.With) for i in w.items
            }
            if again:
                lock = again.pop()
                words = f"{called.name}, called here, takes {lock}, which is held: a Lock waits for itself"
                yield Finding("a Lock taken twice", node.lineno, words)


RULES: tuple[Rule, ...] = (new_lock_each_time, not_released, waits_under_lock, takes_twice)
