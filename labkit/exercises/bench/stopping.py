"""A student's server that a step stops: the threads it started, and whether `stop()` waits for them."""

from __future__ import annotations

import linecache
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from labkit.exercises.bench.bench import SOON, Bench, Running, asleep, at_rest, ends, is_students
from labkit.probe.deadline import Deadline
from labkit.probe.failed import CheckFailed
from labkit.probe.raw_client import RawClient

HELD = 1.5
"""Seconds for which a thread is held, at most, to see whether stop() waits for it."""


LOOKS = 25
"""Times that stop() must be seen asleep, milliseconds apart: then it waits for something. A stop() that
does not wait has returned before."""


GLANCE = 0.1
"""Seconds below which the timeout of a join is too short for a thread to end, unless it is joined again."""


CHECK = "check"
"""The name of our own threads."""


class StudentServer:
    """A server of the student's, and the threads that it started."""

    def __init__(self, bench: Bench, port: int = 0, *, start: bool = True) -> None:
        self.bench = bench
        self.before = set(threading.enumerate())
        self.server = bench.code(port)
        self.address = ("127.0.0.1", port)
        if start:
            starting = bench.thread(self.server.start, name=CHECK)
            starting.result("start() returns while the server serves")
            host, number, *_ = self.server.address
            self.address = (host, number)

    def connect(self, name: str) -> RawClient:
        """A client that has connected."""
        try:
            return self.bench.connect(self.address, name)
        except ConnectionError as error:
            raise CheckFailed(f"{name} can connect", str(error), "refused") from None

    def greeted(self, name: str, says: str = "") -> RawClient:
        """A client that has been greeted; and that was answered, if it says something."""
        client = self.connect(name)
        if not client.hears("* hello\n"):
            raise CheckFailed(f"{name} hears '* hello\\n'", client.seen(), "not greeted")
        if says:
            client.send(says)
            if not client.hears(f"{says}\n"):
                raise CheckFailed(f"{name} hears '{says}\\n'", client.seen(), "no answer")
        return client

    def call_stop(self) -> Running:
        """Call stop(), in a thread of its own."""
        self.bench.said("stop()", "check", "server")

        def stop() -> None:
            self.server.stop()
            self.bench.said("stop() has returned", "server", "check")

        return self.bench.thread(stop, name=CHECK)

    def stop(self, seconds: float = SOON) -> None:
        self.call_stop().result(f"stop() returns within {seconds:g} s", seconds)

    def stop_does_no_harm(self, clue: str) -> None:
        """Stop it; an exception fails the check, with this clue."""
        try:
            self.stop()
        except CheckFailed:
            raise
        except Exception as error:
            raise CheckFailed("stop() raises nothing", f"it raised {type(error).__name__}", clue) from error

    def has_closed(self, *clients: RawClient) -> None:
        """Each of these connections has ended."""
        left = [client.name for client in clients if client.ended(SOON / len(clients)) is None]
        if left:
            seen = f"{SOON:g} s after stop() still open: {', '.join(left)}"
            clue = "all" if len(left) == len(clients) else "some"
            raise CheckFailed("every client's connection has ended", seen, clue)

    def threads(self) -> list[threading.Thread]:
        """The live threads that the server started."""
        ours = self.before | {running.thread for running in self.bench.running}
        return [t for t in threading.enumerate() if t not in ours and t.is_alive()]

    def has_no_threads(self) -> None:
        """All its threads have ended, now or soon."""
        deadline = Deadline(SOON)
        for thread in self.threads():
            ends(thread, max(0.0, deadline.left))
        if left := len(self.threads()):
            seen = f"{left} {'lives' if left == 1 else 'live'} {SOON:g} s after stop()"
            raise CheckFailed("no thread of the server's lives", seen, "left")

    def settles(self) -> None:
        """Wait until all its threads wait for something: in accept, recv, select."""
        at_rest(self.threads, SOON / 2)


def line_of(thread: threading.Thread) -> str:
    """The line of the student's code that a thread is in; "" if it is in none."""
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None and not is_students(frame.f_code.co_filename):
        frame = frame.f_back
    return linecache.getline(frame.f_code.co_filename, frame.f_lineno) if frame else ""


class Hold:
    """Holds each of the server's threads at its first call, to see whether stop() waits for it.

    The thread goes on when it is joined, or when stop() waits in some other way, or when stop() has
    returned: then it did not wait.
    """

    def __init__(self) -> None:
        self.on = False
        self.holds = threading.Event()  # at least one thread
        self.not_waited_for = False
        self.joined: set[threading.Thread] = set()  # those that it waits for by join()
        self.naps = False  # it has slept
        self._glances = False  # it joins with a timeout that is hardly one …
        self._glanced: dict[threading.Thread, FrameType] = {}  # … and did so first in these calls
        self._held: set[threading.Thread] = set()
        self._stop: Running | None = None
        self._until: Deadline | None = None
        self._step = threading.get_ident()  # the check's own thread: that it joins others proves nothing

    def stop(self, server: StudentServer) -> None:
        """Stop the server, and see which threads it waits for. It gets the time for which they are held."""
        self._until = Deadline(HELD)
        self._stop = server.call_stop()
        try:
            self._stop.result(f"stop() returns within {SOON:g} s", SOON + HELD)
        finally:
            self._glanced.clear()  # a frame keeps what its callers have, sockets too

    def profile(self, frame: FrameType, event: str, argument: object) -> None:
        """Called by the interpreter in those threads, whenever one calls or returns."""
        if not self.on:
            return
        # Not current_thread(): it would make a new entry for a thread that is about to end.
        me = next((t for t in threading.enumerate() if t.ident == threading.get_ident()), None)
        if me is None or me.name == CHECK or me in self._held:
            self.naps |= me not in self._held and event == "c_call" and argument is time.sleep
            return
        self._held.add(me)
        self.holds.set()
        seen_asleep = 0
        while self.on and not self._too_long() and not self._joined(me) and seen_asleep < LOOKS:
            if self._stop is None:
                time.sleep(0.002)
                continue
            if self._stop.ended(0.002):
                self.not_waited_for = True
                return
            # A stop() that merely sleeps waits for nothing: it is given the time to wake up.
            naps = "sleep" in line_of(self._stop.thread)
            self.naps |= naps
            seen_asleep += asleep(self._stop.thread) is not None and not (naps or self._glances)

    def _too_long(self) -> bool:
        return self._until is not None and self._until.passed()

    def _joined(self, thread: threading.Thread) -> bool:
        """Whether the student's code waits in thread.join(); one GLANCE is no waiting, a second one is."""
        self._glances = False
        for ident, frame in sys._current_frames().items():
            at: FrameType | None = frame if ident != self._step else None
            while at is not None:
                if at.f_code is threading.Thread.join.__code__:
                    joined, timeout = at.f_locals.get("self"), at.f_locals.get("timeout")
                    glances = timeout is not None and timeout < GLANCE
                    self._glances |= glances
                    if joined is thread and not (glances and self._glanced.setdefault(joined, at) is at):
                        self.joined.add(thread)
                        return True
                at = at.f_back
        return False


@contextmanager
def holding() -> Iterator[Hold]:
    """Threads that start meanwhile can be held, once `on` is set."""
    hold = Hold()
    threading.setprofile(hold.profile)
    try:
        yield hold
    finally:
        threading.setprofile(None)
        hold.on = False
