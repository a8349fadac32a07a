"""Takes lanes from a real run: while it is on, the locks and sockets of an object write down who waits.

Why not a profiler? `threading.setprofile` would see each `recv` and `acquire`, and each other call as well:
two calls of Python for each call of C, in a server that makes some twenty for a line. It also sets nothing
in threads that run already (before Python 3.12), and sees no `with lock:`, which is no call of C to it.
So what is waited for is replaced, where it is found: a lock by one that writes, the class of a socket by
one that writes. What is not replaced costs nothing, and nor does anything when the recording is over.
"""

from __future__ import annotations

import socket
import threading
from time import monotonic_ns, sleep
from typing import Any, Self

from labkit.client import ChatClient
from labkit.client.transcript import Transcript
from labkit.instruments.lanes import finding
from labkit.instruments.lanes.recorded import (
    Lane,
    Mine,
    Span,
    Thing,
)
from labkit.instruments.lanes.replacing import Replaced
from labkit.instruments.lanes.side_by_side import Lanes
from labkit.instruments.lanes.states import ACCEPT, Mark
from labkit.instruments.lanes.telling import Stamps, Told, told
from labkit.instruments.link import Link
from labkit.journal import Journal, Run

LOOKS = 0.001
"""Seconds between two looks at who waits."""

_on: Recording | None = None
"""The recording that is on in this process, if one is."""


class Recording:
    """Records what the threads do that come to these objects, from `start` to `stop`: `record` makes one.

    It sees every thread that waits for, or takes, what it found in the objects, also threads and sockets
    that come later. A thread that waited already when the recording began counts as waiting until it does
    the next thing that is recorded. What it does not see: locks that were made since then, `send`, `sleep`,
    `join`, and the lock of a Condition. There a thread "runs".
    """

    def __init__(self, *things: Any, fine: bool = False) -> None:
        if not things:
            raise ValueError("to record, name a server, or another object that has locks and sockets")
        self._things, self._fine = things, fine
        self._lanes: list[Lane] = []
        self._mine = Mine(self._lanes)
        # Who waited at the start, and since when that is known.
        self._standing: dict[threading.Thread, tuple[str, Thing, int]] = {}
        self._missed = False  # a thread waits in a plain `accept`: what that brings is a plain socket
        self._replaced = Replaced(self._mine, self._catch_up)
        self._running = False
        self._began = 0  # in nanoseconds of `time.monotonic_ns`
        self._stamps: list[tuple[Journal, Stamps]] = []
        self._wires = [thing.journal for thing in things if isinstance(thing, Link)]
        self._screens: dict[str, list[tuple[int, str]]] = {}
        self._result: Told | None = None  # when it has ended

    # --- on and off ---

    def start(self) -> Self:
        """Begin; a recording that is on in this process ends.

        Raises:
            RuntimeError: this one was on before. Make a new one.
        """
        global _on
        if self._began:
            raise RuntimeError("this recording was on already; make a new one")
        if _on is not None:
            _on.stop()
        _on = self
        self._began = monotonic_ns()
        self._running = True
        try:
            found = [(one, thing) for thing in self._things for one in finding.parts(_inside(thing))]
            shared = finding.shared(one for one, _ in found)
            for one, thing in found:
                nickname = thing.nickname if isinstance(thing, ChatClient) else ""
                if isinstance(one.value, (Journal, Transcript)):
                    self._stamp(one.value, nickname)
                elif id(one.value) not in shared and (self._fine or not one.fine):
                    self._replaced.record(one, nickname)
            self._replaced.watch_poll()
            self._look_who_waits(self._began)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End it, and put everything back. Twice does no harm."""
        global _on
        if not self._running:
            return
        self._result = self._told()
        self._running = False
        self._replaced.put_back(finding.parts(*map(_inside, self._things)))
        if _on is self:
            _on = None

    @property
    def running(self) -> bool:
        return self._running

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait_for(self, count: int, what: str, timeout: float = 5.0) -> list[str]:
        """Wait until so many threads wait for this, a lock or a socket; returns their names.

        Raises:
            TimeoutError: that did not come to be in so many seconds; the text says who waited.
        """
        give_up = monotonic_ns() + timeout * 1e9
        while True:
            now = {**self._standing} | {lane.thread: lane.waits for lane in [*self._lanes]}
            waiting = [thread.name for thread, waits in now.items() if waits and waits[1].name == what]
            if len(waiting) >= count:
                return sorted(waiting)
            if monotonic_ns() > give_up:
                who = ", ".join(sorted(waiting)) or "none"
                raise TimeoutError(
                    f"{timeout:g} s passed without {count} threads that wait for {what}; now wait: {who}"
                )
            sleep(LOOKS)

    # --- what was recorded ---

    @property
    def lanes(self) -> Lanes:
        """What each thread did: until now, or until it was stopped."""
        return self._whole.lanes

    @property
    def screens(self) -> dict[str, list[Mark]]:
        """What each ChatClient that is recorded has shown since it began, and when, by its nickname."""
        return self._whole.screens

    def when(self, journal: Journal | Link) -> dict[int, float]:
        """When the events of a journal came, in seconds, by their numbers.

        Raises:
            LookupError: that journal is not recorded.
        """
        wanted = _inside(journal)
        for known, times in self._whole.times:
            if known is wanted:
                return times
        raise LookupError("this journal is not recorded: name it, or whose it is, where recording begins")

    def seconds(self, monotonic: float) -> float:
        """A moment of `time.monotonic`, in seconds since the recording began."""
        return monotonic - self._began / 1e9

    def monotonic(self, seconds: float) -> float:
        """The moment of `time.monotonic` that is so many seconds after the recording began."""
        return seconds + self._began / 1e9

    def __repr__(self) -> str:
        state = "on" if self._running else "over" if self._began else "not begun"
        return f"<Recording, {state}>"

    @property
    def _whole(self) -> Told:
        if self._result is None and not self._began:
            raise RuntimeError("nothing is recorded yet: call start")
        return self._result or self._told()

    def _told(self) -> Told:
        now = monotonic_ns()
        spans: list[tuple[Lane, list[Span]]] = [(lane, lane.told(now)) for lane in [*self._lanes]]
        for lock in [*self._replaced.locks.values()]:
            holder, since = lock.holder, lock.since
            spans += [(holder, [lock.held(since, now)])] if holder is not None else []
        return told(self._began, now, spans, {**self._standing}, self._stamps, self._wires, self._screens)

    def _stamp(self, value: Journal | Transcript, nickname: str) -> None:
        if self._replaced.thing(value):
            return
        self._replaced.know(value, "")
        if isinstance(value, Transcript):
            with value.changed:
                before = [(self._began, line) for line in value.lines]
                append, shown = value.lines.append, self._screens.setdefault(nickname or "a client", before)

                def appended(line: str) -> None:
                    append(line)
                    shown.append((monotonic_ns(), line))

                self._replaced.replace(value.lines, "append", appended)
            return
        record_runs, stamps = value.record_runs, Stamps(value._count)
        self._stamps.append((value, stamps))
        stamp = stamps.after.append

        def recorded(kind: str, runs: list[Run]) -> None:
            record_runs(kind, runs)
            stamp((value._count, monotonic_ns()))  # others may have come behind it: see `Stamps.when`

        self._replaced.replace(value, "record_runs", recorded)

    # --- who waits already ---

    def _look_who_waits(self, since: int) -> None:
        threads = {thread.ident: thread for thread in threading.enumerate()}
        seen = {lane.thread for lane in [*self._lanes] if lane.waits}
        for ident, frame in finding.frames().items():
            thread = threads.get(ident)
            if thread is None or thread is threading.current_thread() or thread in {*seen, *self._standing}:
                continue
            if found := finding.waits(frame, lambda value: self._replaced.thing(value) is not None):
                thing = self._replaced.thing(found[1])
                assert thing is not None
                self._standing[thread] = found[0], thing, since
                self._missed |= found[0] == ACCEPT

    def _catch_up(self) -> None:
        """A thread is about to accept. Perhaps it waited for that before the recording began, and got a
        plain socket: record that one from now on."""
        if not self._missed:
            return
        self._missed = False
        for one in finding.parts(*map(_inside, self._things)):
            if isinstance(one.value, socket.socket) and not self._replaced.thing(one.value):
                self._replaced.adopt(one.value)
        self._look_who_waits(monotonic_ns())


def record(*things: Any, fine: bool = False) -> Recording:
    """A recording of what the threads do that come to these objects; `with` it, or call `start` and `stop`.

        with record(server) as recording:
            ...
        recording.lanes

    Args:
        things: a ChatServer, a ChatClient, or any object that has locks and sockets in its attributes, or
            in what these are made of. Of a Journal or a Link, only when its events came.
        fine: also record the broadcaster's own two locks, each of which is taken several times for a line,
            and held for some microseconds. That doubles what a recording costs
            (tests/benches/bench_lanes.py).

    Raises:
        ValueError: there are none.
    """
    return Recording(*things, fine=fine)


def _inside(thing: Any) -> Any:
    return thing.journal if isinstance(thing, Link) else thing
