"""The locks and sockets of an object, wherever in it they are; and what a thread waits for already."""

from __future__ import annotations

import _thread
import ast
import gc
import inspect
import linecache
import re
import selectors
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from queue import Queue
from types import FrameType
from typing import Any

from labkit.client.transcript import Transcript
from labkit.instruments.lanes.recorded import RecordedLock
from labkit.instruments.lanes.states import ACCEPT, LOCK, RECV, SELECT, WOKEN, called
from labkit.journal import Journal

LOCKS = (type(_thread.allocate_lock()), type(threading.RLock()))
FOUND = (
    *LOCKS,
    RecordedLock,
    socket.socket,
    selectors.BaseSelector,
    threading.Event,
    threading.Condition,
    Queue,
    Journal,
    Transcript,
)

# What is not looked into: the libraries' own.
_FOREIGN = ("builtins", "threading", "_thread", "socket", "selectors", "queue", "asyncio", "logging", "ssl")

BELL = "the bell"

NAMES = {
    ("LocalHub", "lock"): "the rooms' lock",
    ("RedisHub", "lock"): "the rooms' lock",
    ("Broadcaster", "_lock"): "the log's lock",
    ("Broadcaster", "_bell"): BELL,
    ("ChatServer", "_switch"): "the switch",
    ("Acceptor", "_listener"): "the listener",
    ("Broadcaster", "flowing"): "flow",
    ("Transcript", "changed"): "a line",
    ("ChatClient", "_changed"): "a line",
    ("Session", "changed"): "a line",
    ("Journal", "_changed"): "an event",
}
"""Plain names of what is in a ChatServer; elsewhere the name is that of the attribute."""


FINE = {
    ("Broadcaster", "_lock"),
    ("Broadcaster", "telling"),
    ("Sender", "telling"),
    ("ServerConnection", "_telling"),
}
"""Locks that are taken several times for each line, and held for some microseconds: to record these costs
more than to record all the rest."""


@dataclass(frozen=True, slots=True)
class Found:
    """Something that can be recorded, and where it was found."""

    value: Any
    owner: Any  # of which it is an attribute, or whose item it is
    name: str  # the attribute; "" for an item

    @property
    def fine(self) -> bool:
        """Whether it is one of `FINE`."""
        return (type(self.owner).__name__, self.name) in FINE

    @property
    def called(self) -> str:
        """A plain name for it."""
        if plain := NAMES.get((type(self.owner).__name__, self.name)):
            return plain
        if isinstance(self.value, LOCKS):
            return called(self.name)
        return self.name.lstrip("_") or "a socket"


def parts(*things: Any) -> Iterator[Found]:
    """All that can be recorded in these objects, and in what they are made of; some perhaps twice."""
    to_do, seen = [*things], {id(thing) for thing in things}
    while to_do:
        owner = to_do.pop()
        for name, value in _inside(owner):
            if isinstance(value, FOUND):
                yield Found(value, owner, name)
            if id(value) not in seen and _is_looked_into(value):
                seen.add(id(value))
                to_do.append(value)
        if isinstance(owner, FOUND):
            yield Found(owner, None, "")


def shared(found: Iterable[Found]) -> set[int]:
    """The `id`s of locks that a Condition has, too: these cannot be replaced."""
    return {id(vars(one.value)["_lock"]) for one in found if isinstance(one.value, threading.Condition)}


def _is_looked_into(value: Any) -> bool:
    if isinstance(value, (list, tuple, set, frozenset, dict)):
        return True
    if isinstance(value, type) or callable(value):
        return False
    return type(value).__module__.partition(".")[0] not in _FOREIGN


def _inside(owner: Any) -> list[tuple[str, Any]]:
    """An object's attributes, by name; a collection's items, without one."""
    if isinstance(owner, (list, tuple, set, frozenset)):
        return [("", item) for item in _copy(lambda: [*owner])]
    if isinstance(owner, Mapping):
        return [("", item) for item in _copy(lambda: [*owner, *owner.values()])]
    inside = _copy(lambda: [*getattr(owner, "__dict__", {}).items()])
    for kind in type(owner).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            with suppress(AttributeError):  # of a class that hides it, or not set
                inside.append((name, getattr(owner, name)))
    return inside


def _copy(made: Callable[[], list[Any]]) -> list[Any]:
    """A copy of what other threads change."""
    for _ in range(100):
        with suppress(RuntimeError):  # it changed its size meanwhile
            return made()
    return []


# --- what a thread waits for already ---

_CALLS = {
    "recv": RECV,
    "recv_into": RECV,
    "readable": RECV,  # of labkit's sockets.py: of its argument
    "accept": ACCEPT,
    "acquire": LOCK,
    "select": SELECT,
    "poll": SELECT,
    "wait": WOKEN,
    "get": WOKEN,
    "put": WOKEN,
}


_LEAVES_GENERATORS = sys.version_info[:2] == (3, 13)
"""To look at the locals of a generator that ends just then may crash Python (python/cpython#125723)."""


def waits(frame: FrameType | None, known: Callable[[Any], object]) -> tuple[str, Any] | None:
    """The state of a thread that stands there, and what it waits for, if that is `known`.

    Read off the call in which it stands, as it is written: `sock.recv(size)`, with the frame's `sock`.
    """
    while frame is not None:
        if _LEAVES_GENERATORS and frame.f_code.co_flags & inspect.CO_GENERATOR:
            frame = frame.f_back
            continue
        with suppress(Exception):  # no source, or an expression that is not so simple
            node = ast.parse(_standing_at(frame).strip(), mode="eval").body
            state = LOCK  # of `with lock:`
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                state = _CALLS[node.func.attr]
                node = node.args[0] if node.func.attr == "readable" else node.func.value
            value = _value(node, frame)
            if known(value):
                return state, value
        frame = frame.f_back
    return None


def _standing_at(frame: FrameType) -> str:
    """The expression that is being evaluated."""
    places = frame.f_code.co_positions()
    first, last, start, end = next(islice(places, frame.f_lasti // 2, None))
    if first is None or last is None:
        raise ValueError
    line = linecache.getline(frame.f_code.co_filename, first).encode()
    standing = line[start : end if first == last else None].decode()
    # Up to Python 3.12, one that takes a lock stands in the whole statement.
    taking = _TAKES.match(standing)
    return taking[1] if taking else standing


_TAKES = re.compile(r"with ([\w.]+)(?: as \w+)?:")


def _value(node: ast.expr, frame: FrameType) -> Any:
    """Of a name, or of an attribute of one."""
    if isinstance(node, ast.Attribute):
        return getattr(_value(node.value, frame), node.attr)
    if not isinstance(node, ast.Name):
        raise ValueError
    local = frame.f_locals
    return local[node.id] if node.id in local else frame.f_globals[node.id]


def frames() -> dict[int, FrameType]:
    """Where each thread stands, by its `get_ident()`."""
    # A collection in the middle of it can let another thread run, which then waits for ever, with the GIL,
    # for what this one holds (python/cpython#106883).
    collects = gc.isenabled()
    gc.disable()
    try:
        return sys._current_frames()
    finally:
        if collects:
            gc.enable()
