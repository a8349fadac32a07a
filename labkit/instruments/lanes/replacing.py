"""What is replaced while a recording is on, and how it is put back."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Queue
from typing import Any
from weakref import WeakSet

from labkit.instruments.lanes.finding import BELL, LOCKS, Found
from labkit.instruments.lanes.recorded import (
    Mine,
    RecordedLock,
    RecordedRLock,
    RecordedSocket,
    Thing,
    recorded_socket,
)
from labkit.instruments.lanes.states import RECV, SELECT, WOKEN
from labkit.wire import sockets

_WAITS: dict[type, tuple[str, tuple[str, ...]]] = {
    threading.Event: (WOKEN, ("wait",)),
    threading.Condition: (WOKEN, ("wait",)),
    Queue: (WOKEN, ("get", "put")),
    selectors.BaseSelector: (SELECT, ("select",)),
}
"""What waits in a method of its own, which is replaced in this one object."""


class Replaced:
    """Puts what records in the place of locks, and into sockets and other objects; and takes it out again.

    Args:
        mine: the lane of the thread that asks.
        accepts: called by a thread that is about to accept on a socket that is recorded.
    """

    def __init__(self, mine: Mine, accepts: Callable[[], None]) -> None:
        self._mine, self._accepts = mine, accepts
        self._found: dict[int, tuple[Any, Thing]] = {}  # by `id`; the object is kept, so that this stays so
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._names: dict[int, Thing] = {}  # of the sockets, by `id`
        self.locks: dict[int, RecordedLock] = {}  # by the `id` of the real one
        self._classes: dict[type, type[RecordedSocket]] = {}
        self._undo: list[Callable[[], object]] = []
        # Guards the two: `_over`, and `_sockets` against a thread that has just accepted one.
        self._guard = threading.Lock()
        self._over = False

    def put_back(self, found: Iterable[Found]) -> None:
        """All is as it was, also in what has been made since and is `found`."""
        with self._guard:
            self._over = True
            recorded = [*self._sockets]
        for undo in reversed(self._undo):
            undo()
        for sock in recorded:
            sock.__class__ = _plain(type(sock))
        for one in found:
            if isinstance(one.value, RecordedLock) and one.name:
                setattr(one.owner, one.name, one.value.real)
        self._undo.clear()
        self._found.clear()

    def thing(self, value: Any) -> Thing | None:
        """What is recorded of it; None: nothing."""
        if isinstance(value, RecordedLock):
            return value.thing
        if isinstance(value, socket.socket):
            return self._names.get(id(value))
        return self._found[id(value)][1] if id(value) in self._found else None

    def know(self, value: Any, name: str) -> Thing:
        """What is recorded of it, from now on."""
        return self._found.setdefault(id(value), (value, Thing(name)))[1]

    def record(self, one: Found, nickname: str) -> None:
        """Record it from now on. `nickname`: of the client whose own it is; "": of none."""
        value: Any = one.value
        if isinstance(value, RecordedLock) or (id(value) in self._found and not isinstance(value, LOCKS)):
            return
        thing = self.know(value, one.called)
        if isinstance(value, LOCKS):
            if one.name:
                self._replace_lock(one, thing)
        elif isinstance(value, socket.socket):
            thing.name = f"{nickname}'s own socket" if nickname else thing.name
            self.adopt(value, thing)
        else:
            free = _free(value)
            for kind, (state, methods) in _WAITS.items():
                for name in methods if isinstance(value, kind) else ():
                    self.replace(value, name, self._watched(getattr(value, name), state, thing, free))

    def _replace_lock(self, one: Found, thing: Thing) -> None:
        real = one.value
        lock = self.locks.get(id(real))
        if lock is None:
            kind = RecordedRLock if isinstance(real, LOCKS[1]) else RecordedLock
            lock = self.locks[id(real)] = kind(real, thing, self._mine)
            thing.bell = thing.name == BELL
        with suppress(AttributeError, TypeError):  # it cannot be set: then it stays as it is
            setattr(one.owner, one.name, lock)
            self._undo.append(lambda: setattr(one.owner, one.name, real))

    def replace(self, owner: Any, name: str, new: Any) -> None:
        """Replace what may be the class's, in this one object."""
        own = vars(owner)
        had = name in own
        old = own.get(name)
        setattr(owner, name, new)
        self._undo.append(lambda: setattr(owner, name, old) if had else delattr(owner, name))

    def adopt(self, sock: socket.socket, thing: Thing | None = None) -> None:
        """Record this socket, unless all is over."""
        plain: Any = _plain(type(sock))
        with self._guard:
            if self._over:
                sock.__class__ = plain  # accepted, or made by one that is recorded, at the last moment
                return
            if plain not in self._classes:
                self._classes[plain] = recorded_socket(
                    plain, self._mine, self._names, self.adopt, self._accepts
                )
            self._names[id(sock)] = thing or Thing("")
            self._sockets.add(sock)
            sock.__class__ = self._classes[plain]

    def _watched(self, call: Any, state: str, thing: Thing, free: Callable[..., bool]) -> Any:
        """The same, recorded as a wait, but where it is `free` to go on."""

        def watched(*args: Any, **options: Any) -> Any:
            if free(*args):
                return call(*args, **options)
            lane = self._mine.lane
            begun = lane.begins(state, thing)
            try:
                return call(*args, **options)
            finally:
                lane.ends(begun)

        return watched

    def watch_poll(self) -> None:
        """Record `sockets.readable`: there labkit's client waits, elsewhere its server too."""
        self.replace(sockets, "readable", self._watched_poll(sockets.readable))

    def _watched_poll(self, readable: Callable[[socket.socket, float], bool]) -> Any:
        def watched(sock: socket.socket, seconds: float) -> bool:
            if seconds <= 0 or sock not in self._sockets:
                return readable(sock, seconds)
            lane = self._mine.lane
            begun = lane.begins(RECV, self._names[id(sock)])
            try:
                return readable(sock, seconds)
            finally:
                lane.ends(begun)

        return watched


def _free(value: Any) -> Callable[..., bool]:
    """Whether a call of its method, with these arguments, goes on at once."""
    if isinstance(value, threading.Event):
        return lambda *_: value.is_set()
    if isinstance(value, selectors.BaseSelector):
        return lambda timeout=None, *_: timeout is not None and timeout <= 0
    return lambda *_: False


def _plain(kind: type) -> type:
    """The class that a socket had before."""
    if not issubclass(kind, RecordedSocket):
        return kind
    return next(base for base in kind.__mro__[1:] if base is not RecordedSocket)
