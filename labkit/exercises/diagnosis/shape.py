"""Rules about definitions and calls, whatever the exercise is about."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterator

from labkit.exercises.diagnosis.code import (
    Code,
    Failed,
    Finding,
    Function,
    Rule,
    calls,
    last,
    own,
    returns_something,
    text,
    yields,
)

MUTABLE = ("list", "dict", "set", "bytearray", "defaultdict", "deque", "Counter", "OrderedDict", "Queue")


def mutable(node: ast.AST | None) -> bool:
    """Whether it makes an object that can change."""
    literal = isinstance(node, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)
    return literal or (node is not None and calls(node, *MUTABLE))


def is_async(code: Code, failed: Failed) -> Iterator[Finding]:
    for name, function in code.entries.items():
        if isinstance(function, ast.AsyncFunctionDef):
            words = (
                f"`async def {name}`: a call makes a coroutine, and runs nothing of it. Take out `async`"
            )
            yield Finding("async def", function.lineno, words)


def is_generator(code: Code, failed: Failed) -> Iterator[Finding]:
    for name, function in code.entries.items():
        if (node := yields(function)) is not None and not function.decorator_list:
            words = f"`yield` makes {name} a generator: a call runs nothing of it"
            more = ". Collect in a list, and return that" if name in wanting_value(code) else ""
            yield Finding("yield", getattr(node, "lineno", 0), words + more)


def wanting_value(code: Code) -> set[str]:
    """The functions that must return something, as those of our answer do."""
    return {name for name, function in code.methods.items() if returns_something(function)}


def returns_nothing(code: Code, failed: Failed) -> Iterator[Finding]:
    for name in wanting_value(code) & set(code.entries):
        function = code.entries[name]
        inside = list(own(function))
        stub = any(isinstance(node, ast.Raise) for node in inside)
        if returns_something(function) or yields(function) or stub:
            continue
        if len(code.entries) > 2 and not failed.tells(f"{name}("):
            continue  # another method's
        prints = next((node for node in inside if calls(node, "print")), None)
        if prints is not None:
            words = f"{name} prints, and returns nothing. Nobody can use what is printed: return it"
            yield Finding("print instead of return", getattr(prints, "lineno", 0), words)
        else:
            words = f"{name} has no `return` with a value: so a call of it gives None"
            yield Finding("returns nothing", function.lineno, words)


def returns_in_first_round(code: Code, failed: Failed) -> Iterator[Finding]:
    for loop in code.all(ast.For, ast.While):
        if code.function_of(loop) is None or any(isinstance(node, ast.Continue) for node in own(loop)):
            continue
        at_end = loop.body[-1]
        if isinstance(at_end, ast.If) and at_end.orelse and isinstance(at_end.body[-1], ast.Return):
            at_end = at_end.orelse[-1]
        if isinstance(at_end, ast.Return):
            words = (
                "this `return` is inside the loop: it ends in its first round. Should it stand after it?"
            )
            yield Finding("return in the first round", at_end.lineno, words)


def returns_out_of_loop(code: Code, failed: Failed) -> Iterator[Finding]:
    """Of a function that goes through all: one that leaves at the first special case."""
    if not failed.tells("heard nothing", "heard []"):
        return
    for name, function in code.entries.items():
        if name in wanting_value(code):
            continue
        given = {argument.arg for argument in function.args.args}
        for node in own(function):
            loop = next((above for above in code.above(node) if isinstance(above, ast.For)), None)
            goes_through = loop and {n.id for n in ast.walk(loop.iter) if isinstance(n, ast.Name)} & given
            if isinstance(node, ast.Return) and goes_through:
                words = (
                    "`return` ends the whole loop, and leaves out those behind. For the next one: continue"
                )
                yield Finding("return for continue", node.lineno, words)


def falls_through(code: Code, failed: Failed) -> Iterator[Finding]:
    """One path of a function that must return something ends without."""
    if not re.search(r"True|False|a list", failed.text.partition("\0")[0]) or not failed.tells(
        "None", "False"
    ):
        return
    for name in wanting_value(code) & set(code.entries):
        function = code.entries[name]
        if not returns_something(function) or not _ends(function.body) or _ends(code.methods[name].body):
            continue
        if "None" in text(code.methods[name], 10_000):
            continue  # there is a path on which None is right
        words = f"{name} can come to its end without a `return`: then it gives None"
        yield Finding("a path without return", function.lineno, words)


def _ends(block: list[ast.stmt]) -> bool:
    """Whether a block can come to its end."""
    last_one = block[-1]
    if isinstance(last_one, ast.Return | ast.Raise | ast.Continue | ast.Break):
        return False
    if isinstance(last_one, ast.If):
        return not last_one.orelse or _ends(last_one.body) or _ends(last_one.orelse)
    if isinstance(last_one, ast.With):
        return _ends(last_one.body)
    if isinstance(last_one, ast.While):
        forever = isinstance(last_one.test, ast.Constant) and bool(last_one.test.value)
        return not forever or any(isinstance(node, ast.Break) for node in own(last_one))
    if isinstance(last_one, ast.Try):
        if last_one.finalbody and not _ends(last_one.finalbody):
            return False
        blocks = [last_one.orelse or last_one.body, *(handler.body for handler in last_one.handlers)]
        return any(map(_ends, blocks))
    return not isinstance(last_one, ast.Match)


def calls_instead_of_passing(code: Code, failed: Failed) -> Iterator[Finding]:
    for call in code.all(ast.Call):
        target = next((k.value for k in call.keywords if k.arg == "target"), None)
        if not calls(call, "Thread", "Process", "Timer") or not isinstance(target, ast.Call):
            continue
        called = code.functions.get(last(target.func))
        makes_one = called is not None and returns_something(called)
        if makes_one or calls(target, "partial"):
            continue
        name = text(target.func)
        arguments = ", ".join(text(argument) for argument in target.args)
        how = (
            f"target={name}, args=({arguments}{',' * (len(target.args) == 1)})"
            if arguments
            else f"target={name}"
        )
        words = f"`{text(target)}` is called here, before the thread is made. Pass the function: {how}"
        yield Finding("called, not passed", target.lineno, words)


def not_called(code: Code, failed: Failed) -> Iterator[Finding]:
    for statement in code.all(ast.Expr):
        value = statement.value
        if isinstance(value, ast.Attribute):
            words = f"`{text(value)}` only names it. To call it, write {text(value)}()"
            yield Finding("not called", statement.lineno, words)
        elif isinstance(value, ast.Compare):
            words = f"`{text(value)}` compares, and nothing is done with what comes of it. Is = meant?"
            yield Finding("== for =", statement.lineno, words)
    for test in code.all(ast.If, ast.While):
        condition = test.test.operand if isinstance(test.test, ast.UnaryOp) else test.test
        name = last(condition)
        if isinstance(condition, ast.Attribute) and name in (
            "is_set",
            "locked",
            "is_alive",
            "empty",
            "full",
        ):
            words = f"`{text(condition)}` is the method itself, which is always true: {text(condition)}()"
            yield Finding("not called", test.lineno, words)


def mutable_default(code: Code, failed: Failed) -> Iterator[Finding]:
    for function in code.all(ast.FunctionDef, ast.AsyncFunctionDef):
        arguments = function.args
        for default in (*arguments.defaults, *arguments.kw_defaults):
            if mutable(default):
                words = (
                    "this default is made once, for all calls. Let it be None, and make a new one inside"
                )
                yield Finding("mutable default argument", function.lineno, words)


def shared_attribute(code: Code, failed: Failed) -> Iterator[Finding]:
    for owner in code.all(ast.ClassDef):
        set_by_self = {
            node.attr
            for node in ast.walk(owner)
            if isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and not isinstance(code.parents[node], ast.AugAssign)  # += changes what is shared
            and last(node.value) == "self"
        }
        set_by_class = {
            node.attr
            for node in code.all(ast.Attribute)
            if isinstance(node.ctx, ast.Store) and last(node.value) in (owner.name, "cls", "__class__")
        }
        for statement in owner.body:
            value = getattr(statement, "value", None)
            for target in _targets(statement):
                name = last(target)
                changed = mutable(value) and name not in set_by_self and changed_in_place(code, name)
                if changed or (name in set_by_class and re.search("own|each", failed.step)):
                    words = f"all objects share `{name}`. Make one for each in __init__: self.{name} = …"
                    yield Finding("shared class attribute", statement.lineno, words)


CHANGES = (
    "append", "add", "remove", "pop", "discard", "clear", "update", "extend", "insert", "setdefault", "put",
)  # fmt: skip


def changed_in_place(code: Code, name: str) -> bool:
    """Whether something of this name, an attribute, is changed as it is: `self.name.append(…)`."""
    for node in code.all(ast.Attribute):
        if node.attr == name:
            user = code.parents[node]
            if isinstance(user, ast.AugAssign) or (
                isinstance(user, ast.Attribute) and user.attr in CHANGES
            ):
                return True
            if isinstance(user, ast.Subscript) and not isinstance(user.ctx, ast.Load):
                return True
    return False


def _targets(statement: ast.stmt) -> list[ast.expr]:
    if isinstance(statement, ast.Assign):
        return statement.targets
    return [statement.target] if isinstance(statement, ast.AnnAssign) and statement.value else []


def misspelt_method(code: Code, failed: Failed) -> Iterator[Finding]:
    """A method that the task names, and that the class lacks: perhaps misspelt, or indented wrongly."""
    owner = code.wanted
    if not isinstance(owner, ast.ClassDef) or owner.bases:
        return
    has = {f.name: f for f in owner.body if isinstance(f, Function)}
    assigned = {last(target) for statement in owner.body for target in _targets(statement)}
    for name in code.methods:
        if name in has or name in assigned or name == "__init__" or not failed.tells(name):
            continue
        elsewhere = code.functions.get(name)
        near = difflib.get_close_matches(
            name, [other for other in has if other not in code.methods], 1, 0.5
        )
        if elsewhere is not None:
            inside = code.function_of(elsewhere)
            where = f"inside {inside.name}" if inside else "outside of the class"
            words = f"`{name}` is defined here, {where}: look at its indentation"
            yield Finding("wrong indentation", elsewhere.lineno, words)
        elif near:
            yield Finding("misspelt name", has[near[0]].lineno, f"`{near[0]}`: the task calls it `{name}`")
        else:
            words = f"{owner.name} has no method `{name}`"
            yield Finding("method missing", owner.lineno, words)
    for name, function in has.items():
        if name.strip("_") in ("init", "int", "inti") and name != "__init__":
            words = f"`{name}` is never called by Python: two underscores on either side, __init__"
            yield Finding("misspelt __init__", function.lineno, words)


def without_self(code: Code, failed: Failed) -> Iterator[Finding]:
    for owner in code.all(ast.ClassDef):
        for function in owner.body:
            if not isinstance(function, Function) or function.decorator_list:
                continue
            positional = function.args.posonlyargs + function.args.args
            if function.args.vararg is None and (
                not positional or positional[0].arg in code.parameters(function.name)
            ):
                has = ", ".join(argument.arg for argument in positional)
                words = f"`def {function.name}({has})`: the first parameter of a method is self"
                yield Finding("self is missing", function.lineno, words)


def return_in_finally(code: Code, failed: Failed) -> Iterator[Finding]:
    for attempt in code.all(ast.Try):
        for statement in attempt.finalbody:
            for node in (statement, *own(statement)):
                if isinstance(node, ast.Return):
                    words = "`return` in a finally swallows every exception, and every other return"
                    yield Finding("finally: return", node.lineno, words)


def changes_while_iterating(code: Code, failed: Failed) -> Iterator[Finding]:
    for loop in code.all(ast.For):
        over = text(loop.iter).removesuffix(".items()").removesuffix(".keys()").removesuffix(".values()")
        for node in own(loop):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if text(node.func.value) == over and node.func.attr in ("remove", "pop", "clear", "discard"):
                if _leaves_loop(code, node, loop):
                    continue
                words = f"`{over}` changes while this loop goes through it, and skips one. Use list({over})"
                yield Finding("changes what it iterates over", node.lineno, words)


def _leaves_loop(code: Code, node: ast.AST, loop: ast.For) -> bool:
    """Whether the block of this node ends with return or break."""
    for above in code.above(node):
        if above is loop:
            return False
        body = getattr(above, "body", [])
        if isinstance(body, list) and body and isinstance(body[-1], ast.Return | ast.Break):
            return True
    return False


def unused_parameter(code: Code, failed: Failed) -> Iterator[Finding]:
    """A parameter that our answer uses, and this code does not."""
    for name, function in code.entries.items():
        if (ours := code.methods.get(name)) is None:
            continue
        used = {node.id for node in ast.walk(ours) if isinstance(node, ast.Name)}
        uses = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
        if name == "__init__" or "locals" in uses or len(function.body) == 0:
            continue
        for argument, theirs in zip(ours.args.args, function.args.args, strict=False):
            if argument.arg in used and theirs.arg not in uses and argument.arg != "self":
                words = f"{name} is given `{theirs.arg}`, and does not use it"
                yield Finding("does not use what it is given", function.lineno, words)


def prints_for_show(code: Code, failed: Failed) -> Iterator[Finding]:
    prints = next((call for call in code.all(ast.Call) if calls(call, "print")), None)
    if prints is not None and failed.tells("nothing was shown"):
        words = f"`{text(prints)[:60]}`: the task says show(…), and nobody sees what is printed"
        yield Finding("print instead of show", prints.lineno, words)


def hides_errors(code: Code, failed: Failed) -> Iterator[Finding]:
    """Only told if nothing else is found: it may be no bug, but it hides one."""
    for handler in code.all(ast.ExceptHandler):
        if isinstance(handler.type, ast.Tuple):
            continue  # it says what it expects
        kind = last(handler.type) if handler.type is not None else ""
        idle = all(isinstance(s, ast.Pass | ast.Continue | ast.Break) for s in handler.body)
        if idle and kind in ("", "Exception", "BaseException"):
            what = f"except {kind}".strip()
            words = f"`{what}:` hides every error, also a misspelt name. What did it catch? Print it there"
            yield Finding("hides errors", handler.lineno, words)


RULES: tuple[Rule, ...] = (
    is_async, is_generator, misspelt_method, without_self, returns_nothing, falls_through,
    calls_instead_of_passing, not_called, prints_for_show, returns_in_first_round, returns_out_of_loop,
    mutable_default, shared_attribute, return_in_finally, changes_while_iterating,
)  # fmt: skip
