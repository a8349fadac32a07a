"""Shared state as short text: the same for the same state, always.

It shows what a student put there: a list with its items, an object with its attributes, a lock with its
holder; no addresses, no order that changes from run to run. It changes nothing and keeps nothing.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping
from dataclasses import is_dataclass
from types import FunctionType, ModuleType
from typing import Any

from labkit.instruments.stepper.locks import Lock

ITEMS = 8
"""Items of a list that are shown; more are …"""

LETTERS = 40
"""Characters of one value that are shown."""

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")

Parts = tuple[str, ...]
"""A state in pieces: one for each attribute, or for the whole."""


def parts(state: Any) -> Parts:
    """A state in pieces, `name=value` each, where it has names; none for None."""
    if state is None:
        return ()
    named = None if _speaks_for_itself(state) else _named(state)
    if named is None:
        return (text(state),)
    return tuple(f"{name}={text(value)}" for name, value in named.items())


def text(value: Any, depth: int = 3) -> str:
    """One value, shortened."""
    try:
        return _text(value, depth)
    except Exception as error:  # a repr of the user's own may do anything
        return f"<{type(value).__name__}: {type(error).__name__} in its repr>"


def _text(value: Any, depth: int) -> str:
    kind: Any = type(value)
    if isinstance(value, Lock):
        return repr(value)
    if kind in (list, tuple, set, frozenset, dict):
        return _collection(value, depth)
    if isinstance(value, (type, FunctionType, ModuleType)):
        return value.__name__
    if kind.__repr__ is object.__repr__:
        inside = _named(value) if depth else None
        if inside is None:
            return f"<{kind.__name__}>"
        return f"{kind.__name__}({', '.join(f'{k}={text(v, depth - 1)}' for k, v in inside.items())})"
    shown = _ADDRESS.sub("", repr(value))
    if len(shown) <= LETTERS:
        return shown
    if isinstance(value, (str, bytes, int)):
        short = reprlib.Repr()
        short.maxstring = short.maxlong = short.maxother = LETTERS
        return short.repr(value)
    return shown[: LETTERS - 1] + "…"


def _collection(value: Any, depth: int) -> str:
    if depth <= 0:
        return "…"
    kind = type(value)
    if kind is dict:
        items = [f"{text(k, depth - 1)}: {text(v, depth - 1)}" for k, v in list(value.items())[:ITEMS]]
    else:
        items = [text(item, depth - 1) for item in (value if kind in (set, frozenset) else value[:ITEMS])]
    if kind in (set, frozenset):
        items = sorted(items)[:ITEMS]
    more = ["…"] * (len(value) > ITEMS)
    inside = ", ".join(items + more)
    if kind is list:
        return f"[{inside}]"
    if kind is tuple:
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    if not value and kind is not dict:
        return f"{kind.__name__}()"
    return f"{{{inside}}}" if kind in (dict, set) else f"frozenset({{{inside}}})"


def _speaks_for_itself(value: Any) -> bool:
    """Whether its class has a written `__repr__`; that of a dataclass is generated."""
    if type(value) is dict or is_dataclass(value):
        return False
    written: Any = type(value).__repr__
    return written is not object.__repr__


def _named(value: Any) -> dict[str, Any] | None:
    """What an object is made of, if its parts have names."""
    if type(value) is dict:
        return value if value and all(isinstance(k, str) and k.isidentifier() for k in value) else None
    if isinstance(value, (Lock, type, FunctionType, ModuleType)) or isinstance(value, Mapping):
        return None
    inside = dict(getattr(value, "__dict__", {}))
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                inside[name] = getattr(value, name)
    return inside or None


def locks(state: Any, path: str = "", depth: int = 3) -> dict[Lock, str]:
    """The locks in a state, and what each is called there: `lock`, or `rooms[0].lock`."""
    if isinstance(state, (list, tuple)):
        inside = {f"{path}[{i}]": value for i, value in enumerate(state[:ITEMS])}
    elif type(state) is dict and _named(state) is None:
        inside = {f"{path}[{text(key)}]": value for key, value in [*state.items()][:ITEMS]}
    else:
        inside = {f"{path}.{name}": value for name, value in (_named(state) or {}).items()}
    found: dict[Lock, str] = {}
    for name, value in inside.items():
        if isinstance(value, Lock):
            found.setdefault(value, name.removeprefix("."))
        elif depth > 1:
            found = locks(value, name, depth - 1) | found
    return found


def locks_in(names: Mapping[str, Any]) -> dict[Lock, str]:
    """The locks among global names."""
    return {value: name for name, value in [*names.items()] if isinstance(value, Lock)}
