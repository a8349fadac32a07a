"""What a student's function returned: whether it is of the kind that it should be, before it is used."""

from __future__ import annotations

import inspect
from collections.abc import ItemsView as Items
from collections.abc import Iterator, KeysView, Set, ValuesView
from typing import Any

from labkit.probe.failed import CheckFailed

NOTHING, GENERATOR, COROUTINE, VIEW, ITERATOR, SET, TUPLE, BYTES, METHOD, OTHER = (
    "returns None", "returns a generator", "returns a coroutine", "returns a view of a dict",
    "returns an iterator", "returns a set", "returns a tuple", "returns bytes", "returns a function",
    "returns something else",
)  # fmt: skip
"""Clues: what came instead of what was wanted."""


def kind_of(value: Any) -> tuple[str, str]:
    """What a value is, in words, and its clue."""
    kind = type(value).__name__
    if value is None:
        return "None", NOTHING
    if inspect.isgenerator(value) or inspect.isasyncgen(value):
        return f"a generator: {value.__name__} has a `yield` in it", GENERATOR
    if inspect.iscoroutine(value):
        value.close()  # or Python would say that it was never awaited
        return f"a coroutine: {value.__name__} is `async def`, and nothing of it has run", COROUTINE
    if isinstance(value, KeysView | ValuesView | Items):
        return f"a view of a dict ({kind}), which changes when the dict does: {value!r}", VIEW
    if isinstance(value, Iterator):
        return f"an iterator ({kind}), which can be gone through once", ITERATOR
    if isinstance(value, Set):
        return f"a {kind}, which has no order and nothing twice: {value!r}", SET
    if isinstance(value, tuple):
        return f"a tuple: {value!r}", TUPLE
    if isinstance(value, bytes | bytearray):
        return f"{kind}: {value!r}", BYTES
    if callable(value):
        return f"a function, which was not called: {value!r}", METHOD
    return f"{kind}: {value!r}", OTHER


def is_list(value: Any, call: str) -> None:
    """This call returned a list.

    Raises:
        CheckFailed: it returned something else, and the clue says what.
    """
    if not isinstance(value, list):
        seen, clue = kind_of(value)
        raise CheckFailed(f"a list from {call}", seen, clue)


def is_like(value: Any, expected: Any, call: str) -> None:
    """This call returned a list where one is expected, a bool where one is, and nothing still to be run.

    Raises:
        CheckFailed: it did not, and the clue says what came instead.
    """
    if isinstance(expected, list):
        return is_list(value, call)
    seen, clue = kind_of(value)
    missing = value is None and isinstance(expected, bool)
    if missing or clue in (GENERATOR, COROUTINE, METHOD) or (isinstance(expected, str) and clue == BYTES):
        raise CheckFailed(f"{expected!r} from {call}", seen, clue)


def bytes_for_text(value: Any, expected: Any) -> bool:
    """Whether a list has bytes where text is expected."""
    wants_text = isinstance(expected, list) and all(isinstance(item, str) for item in expected)
    return (
        wants_text
        and isinstance(value, list)
        and any(isinstance(item, bytes | bytearray) for item in value)
    )
