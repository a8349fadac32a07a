"""What a student's test does with what it has found: for `judge`, where a test catches less than it might.

Only an exception counts. A test that returns False, or prints what is wrong, or asserts a pair, finds a bug
and tells nobody.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any

CATCHES = {"Exception", "BaseException", "AssertionError"}


def source_of(test: Any) -> str:
    """The source of a test; "" if it has none that can be found."""
    if isinstance(test, str):
        return test
    try:
        return textwrap.dedent(inspect.getsource(test))
    except (OSError, TypeError):
        return ""


def in_the_source(source: str) -> str:
    """What can be seen without a run: an assert that cannot fail, or whose failure is caught; or ""."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return ""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert) and isinstance(node.test, ast.Tuple) and node.test.elts:
            return (
                f"line {node.lineno} asserts a pair, and a pair is true, whatever is in it. Take away the "
                "brackets: assert WHAT, MESSAGE"
            )
    for node in ast.walk(tree):
        if isinstance(node, ast.Try) and _raises(node.body):
            for handler in node.handlers:
                if _catches_all(handler) and not _raises(handler.body):
                    return (
                        f"line {handler.lineno} catches what assert raises, and it goes no further. Catch "
                        "only what you expect, or `raise` again"
                    )
    return ""


def _raises(body: list[ast.stmt]) -> bool:
    return any(isinstance(node, ast.Assert | ast.Raise) for part in body for node in ast.walk(part))


def _catches_all(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or (isinstance(kind, ast.Name) and kind.id in CATCHES) for kind in kinds)


def of_a_trial(returned: str, printed: str) -> str:
    """What can be seen of a run that found nothing wrong: what it returned ("" for None), and printed."""
    if returned:
        return (
            f"it returned {returned}, and nobody looks at what a test returns. assert WHAT, MESSAGE raises "
            "if it is not so"
        )
    if printed:
        return f"it printed {printed!r}, and nobody reads that. assert WHAT, MESSAGE raises if it is not so"
    return ""
