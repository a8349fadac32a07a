"""What in a student's test of a server (`judge`) keeps it from finding anything wrong."""

from __future__ import annotations

import ast
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
    text,
    yields,
)


def asserts_a_tuple(code: Code, failed: Failed) -> Iterator[Finding]:
    for node in code.all(ast.Assert):
        if isinstance(node.test, ast.Tuple) and node.test.elts:
            words = "an assert of a tuple is always true: take out the parentheses, assert condition, 'why'"
            yield Finding("asserts a tuple", node.lineno, words)
        elif isinstance(node.test, ast.Constant) and node.test.value:
            words = f"`{text(node)}` is always true. Is == meant, or `in`?"
            yield Finding("asserts what is always true", node.lineno, words)


def returns_its_verdict(code: Code, failed: Failed) -> Iterator[Finding]:
    test = code.wanted
    if not isinstance(test, Function):
        return
    if isinstance(test, ast.AsyncFunctionDef) or yields(test):
        words = f"a call of {test.name} runs nothing of it: take out `async`, or `yield`"
        yield Finding("a test that does not run", test.lineno, words)
    for node in own(test):
        if isinstance(node, ast.Return) and node.value is not None and text(node.value) != "None":
            words = (
                f"`{text(node)}`: nobody looks at what a test returns. Raise if something is wrong: assert"
            )
            yield Finding("returns its verdict", node.lineno, words)


def nothing_raises(code: Code, failed: Failed) -> Iterator[Finding]:
    if any(True for _ in code.all(ast.Assert)) or any(True for _ in code.all(ast.Raise)):
        return
    prints = next((call for call in code.all(ast.Call) if calls(call, "print")), None)
    if prints is not None:
        words = f"`{text(prints)}`: nobody reads what a test prints. Raise if something is wrong: assert"
        yield Finding("prints its verdict", prints.lineno, words)
    elif code.wanted is not None:
        words = "there is no assert and no raise in it: what would it say of a wrong server?"
        yield Finding("nothing raises", code.wanted.lineno, words)


def catches_its_own(code: Code, failed: Failed) -> Iterator[Finding]:
    for attempt in code.all(ast.Try):
        asserts = any(isinstance(node, ast.Assert) for s in attempt.body for node in (s, *own(s)))
        for handler in attempt.handlers:
            kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
            catches = any(
                k is None or last(k) in ("Exception", "AssertionError", "BaseException") for k in kinds
            )
            raises = any(
                isinstance(node, ast.Raise | ast.Assert) for s in handler.body for node in (s, *own(s))
            )
            if asserts and catches and not raises:
                words = "this catches what the asserts above it raise: so nothing is told"
                yield Finding("catches its own asserts", handler.lineno, words)


RULES: tuple[Rule, ...] = (asserts_a_tuple, returns_its_verdict, catches_its_own, nothing_raises)


def look_at_test(source: str, wants: str) -> tuple[Finding, ...]:
    """What to look at in a test that misses bugs."""
    try:
        code = Code(source, wants, "")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    return tuple(finding for rule in RULES for finding in rule(code, Failed("", "", False)))[:2]
