"""A lock and a socket that write down who waits for them, and who holds them.

Written for speed: a lock is taken several times for each line that is said. A thread writes into a list of
its own, for which it needs no lock; only what waits costs more than a few tenths of a microsecond.
"""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable, Mapping
from time import monotonic_ns
from typing import Any

from labkit.instruments.lanes.states import ACCEPT, HOLDS, LOCK, RECV

KEPT = 2_000
"""Intervals that are kept of each thread: the newest. With ten times as many a busy server is slowed by
fresh memory more than by all the rest."""

Span = tuple[str, "Thing", int, int]
"""A state, what it is about, and from when to when, in nanoseconds of `time.monotonic_ns`."""


class Thing:
    """What a thread can wait for or hold."""

    __slots__ = ("bell", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.bell = False  # a lock that one thread takes and another gives back, to wake it


OTHER = Thing("a socket")


class Lane:
    """What one thread did. It alone writes here, but for the end of a hold that another thread ends."""

    __slots__ = ("began", "spans", "thread", "waits")

    def __init__(self, thread: threading.Thread) -> None:
        self.thread = thread
        self.began = monotonic_ns()
        self.spans: deque[Span] = deque(maxlen=KEPT)
        self.waits: tuple[str, Thing, int] | None = None  # just now

    def begins(self, state: str, thing: Thing) -> tuple[str, Thing, int]:
        """It waits from now on."""
        self.waits = begun = state, thing, monotonic_ns()
        return begun

    def ends(self, begun: tuple[str, Thing, int]) -> None:
        """It waits no longer."""
        self.waits = None
        self.spans.append((*begun, monotonic_ns()))

    def told(self, now: int) -> list[Span]:
        """All that it did, and what it does now."""
        waits = self.waits
        spans = [*self.spans.copy()]
        return [*spans, (*waits, now)] if waits else spans


class Mine(threading.local):
    """`lane`: that of the thread that asks, made when it first does."""

    def __init__(self, lanes: list[Lane]) -> None:
        self.lane = Lane(threading.current_thread())
        lanes.append(self.lane)


class RecordedLock:
    """In place of a `threading.Lock`, which it takes and gives back: threads that have the real one in
    hand, and those that have this one, keep each other out as before."""

    def __init__(self, real: Any, thing: Thing, mine: Mine) -> None:
        self.real, self.thing = real, thing
        self._mine = mine
        self._acquire, self._release = real.acquire, real.release
        self.holder: Lane | None = None  # these two are the holder's to write
        self.since = 0

    def __enter__(self) -> bool:
        if self._acquire(False):
            self.holder = self._mine.lane
            self.since = monotonic_ns()
            return True
        return self._wait(-1)

    def __exit__(self, *_: object) -> None:
        holder, since = self.holder, self.since
        self.holder = None
        end = monotonic_ns()  # before the release: after it the next one may have it already
        self._release()
        if holder is not None:
            holder.spans.append((HOLDS, self.thing, since, end))

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if not blocking and timeout != -1:
            return bool(self._acquire(blocking, timeout))  # which raises
        if self._acquire(False):
            self.holder = self._mine.lane
            self.since = monotonic_ns()
            return True
        return blocking and self._wait(timeout)

    def _wait(self, timeout: float) -> bool:
        lane = self._mine.lane
        begun = lane.begins(LOCK, self.thing)
        try:
            got: bool = self._acquire(True, timeout)
        finally:
            lane.ends(begun)
        if got:
            self.holder, self.since = lane, lane.spans[-1][3]
        return got

    def release(self) -> None:
        if self.holder not in (None, self._mine.lane):
            self.thing.bell = True
        self.__exit__()

    def held(self, since: int, now: int) -> Span:
        """That it is held now."""
        return HOLDS, self.thing, since, now

    def locked(self) -> bool:
        return bool(self.real.locked())

    def _at_fork_reinit(self) -> None:
        self.real._at_fork_reinit()
        self.holder = None

    def __repr__(self) -> str:
        return f"<recorded {self.real!r}>"


class RecordedRLock(RecordedLock):
    """In place of a `threading.RLock`: what counts is the first taking of it, and the last giving back."""

    def __init__(self, real: Any, thing: Thing, mine: Mine) -> None:
        super().__init__(real, thing, mine)
        self._depth = 0  # the holder's to write

    def __enter__(self) -> bool:
        return self.acquire()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if self.real._is_owned():
            self._acquire(blocking, timeout)
            self._depth += 1
            return True
        got = super().acquire(blocking, timeout)
        self._depth = int(got)
        return got

    def release(self) -> None:
        self.__exit__()

    def __exit__(self, *_: object) -> None:
        if self._depth > 1 or not self.real._is_owned():
            self._release()  # which raises, where it is not this thread's
            self._depth -= 1
        else:
            self._depth = 0
            super().__exit__()

    def locked(self) -> bool:
        return self.holder is not None


class RecordedSocket(socket.socket):
    """What the classes have in common that sockets take while they are recorded."""

    __slots__ = ()


def recorded_socket(
    plain: Any,
    mine: Mine,
    names: Mapping[int, Thing],
    adopt: Callable[[socket.socket], None],
    accepts: Callable[[], None],
) -> type[RecordedSocket]:
    """A class for sockets of the class `plain`: they stay the same objects, with the same descriptors.

    `send` stays as it is, for labkit's never waits. No method here asks the socket for anything of this
    class: while a thread is in it, the recording may end, and the socket has its old class again.

    Args:
        plain: the class that the socket has.
        mine: the lane of the thread that asks.
        names: what each socket is called, by its `id`.
        adopt: what to do with a socket that was accepted.
        accepts: to be called before a thread waits in `accept`.
    """

    def waits(self: socket.socket, state: str, call: Any, *args: Any) -> Any:
        lane = mine.lane
        begun = lane.begins(state, names.get(id(self), OTHER))
        try:
            return call(self, *args)
        finally:
            lane.ends(begun)

    plain_recv = plain.recv

    def recv(self: socket.socket, size: int, flags: int = 0) -> Any:
        if flags or self.gettimeout() == 0:  # it does not wait
            return plain_recv(self, size, flags)
        # As `waits`, but for each line that is said: without the calls.
        lane, thing, start = mine.lane, names.get(id(self), OTHER), monotonic_ns()
        lane.waits = RECV, thing, start
        try:
            return plain_recv(self, size)
        finally:
            lane.waits = None
            lane.spans.append((RECV, thing, start, monotonic_ns()))

    def recv_into(self: socket.socket, *args: Any) -> Any:
        if len(args) > 2 or self.gettimeout() == 0:
            return plain.recv_into(self, *args)
        return waits(self, RECV, plain.recv_into, *args)

    def dup(self: socket.socket) -> socket.socket:
        new: socket.socket = plain.dup(self)
        adopt(new)
        return new

    def accept(self: socket.socket) -> tuple[socket.socket, Any]:
        accepts()
        new, address = waits(self, ACCEPT, plain.accept)
        adopt(new)
        return new, address

    bases = (RecordedSocket,) if plain is socket.socket else (RecordedSocket, plain)
    methods = (recv, recv_into, dup, accept)
    space = {"__slots__": (), **{method.__name__: method for method in methods}}
    return type(RecordedSocket.__name__, bases, space)
