"""A student's `serve(listener)` at work: the thread it runs in, and what that thread waits for."""

from __future__ import annotations

import contextlib
import linecache
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from time import sleep
from types import CodeType, FrameType
from typing import Any

from labkit.exercises.bench.bench import SOON, Bench, at_rest, is_ours, is_students
from labkit.exercises.bench.hurried import Hurried, cut
from labkit.probe.deadline import Deadline, wait
from labkit.probe.failed import CheckFailed
from labkit.probe.raw_client import RawClient

LATE = 0.1
"""Seconds that the start of a thread is delayed, at most."""

TURN = 0.01
"""Seconds of one turn of waiting."""

IN_VAIN = 100
"""Calls of accept on a closed listener, or of recv after the end, from which on code is sure to go on."""


class Listener(socket.socket):
    """A listening socket that knows its caller, and keeps the sockets it gave: only close() closes them.

    Args:
        hurry: cut the timeouts that the code sets, here and in those sockets.
    """

    def __init__(self, *how: Any, hurry: bool = False, **more: Any) -> None:
        super().__init__(*how, **more)
        self.hurry = hurry
        self.given: list[Hurried] = []
        self.used = threading.Event()  # the code has begun to wait for clients
        self.calls = 0  # of accept, and …
        self.in_vain = 0  # … those that raised, of the student's own code: a library's loop may go on
        self.loop: CodeType | None = None  # the function that calls it
        self.at_accept: Callable[[socket.socket], None] | None = None
        self.timed_out = threading.Event()  # a call of accept has

    def settimeout(self, value: float | None) -> None:
        super().settimeout(cut(float(value)) if value and self.hurry else value)

    def accept(self) -> tuple[Hurried, Any]:
        self.loop = sys._getframe(1).f_code
        self.calls += 1
        self.used.set()
        try:
            plain, address = super().accept()
        except TimeoutError:
            self.timed_out.set()
            raise
        except OSError:
            self.in_vain += is_students(self.loop.co_filename)
            raise
        client = Hurried(fileno=plain.detach(), hurry=self.hurry)
        self.given.append(client)
        if self.at_accept is not None:
            self.at_accept(client)
        return client, address

    def fileno(self) -> int:
        self.used.set()  # as select and its like do
        return super().fileno()


class Serving:
    """The student's serve, running in a thread."""

    def __init__(self, bench: Bench, hurry: bool) -> None:
        self.bench = bench
        self.listener = Listener(fileno=bench.listener().detach(), hurry=hurry)
        self.address = self.listener.getsockname()
        self.call = bench.thread(bench.code, self.listener, name="serve")
        wait(lambda _: self.listener.used.wait(TURN) or self.call.ended(0), SOON / 2)
        self.before = set(self.students_threads())
        self.started_before = set(threading.enumerate())
        self.forgives: type[Exception] | tuple[type[Exception], ...] = ()
        self.deaths: list[BaseException] = []  # what threads died of, but for what it forgives

    def connect(self, name: str) -> RawClient:
        self.bench.said("connects", name, "server")
        return self.bench.connect(self.address, name)

    def line(self, client: RawClient) -> str | None:
        """The next line that the client hears; None if none comes in time, or serve died."""
        deadline = Deadline(SOON)
        while True:
            hopeless = deadline.passed() or self.call.error is not None
            try:
                return client.line(TURN)
            except TimeoutError:
                if hopeless:
                    return None
            except EOFError:
                return None

    def hears(self, client: RawClient, wanted: str, when: str = "") -> None:
        """The client hears this line next.

        Raises:
            CheckFailed: it does not. The clue says what serve died of, or where it is.
        """
        line = self.line(client)
        if line == wanted:
            return
        expected = f"{client.name}{when} hears {wanted + chr(10)!r}"
        if line is not None:
            raise CheckFailed(expected, f"{client.name} heard {line + chr(10)!r}")
        if client.hears(wanted, 0):
            raise CheckFailed(expected, f"{client.name} heard {wanted!r}, without an LF", "no LF")
        where, clue = self._closed() if client.end else ("", "")
        if not clue:
            where, clue = self.whereabouts()
        raise CheckFailed(expected, f"{client.seen()}{where}", clue)

    def joins(self, name: str, when: str = "") -> RawClient:
        """A client connects, is asked, answers, and is welcomed."""
        client = self.connect(name)
        self.hears(client, "nickname", when)
        client.send(name)
        self.hears(client, f"* you are {name}", when)
        return client

    def shut(self, seconds: float = SOON) -> bool:
        """Close the listener; whether serve returns within so many seconds. One that calls accept on and on
        is given no more of them."""

        def over(slice_of_it: float) -> bool:
            return self.call.ended(slice_of_it) or self.listener.in_vain > IN_VAIN

        self.bench.said("the listener is closed", "check", "server")
        try:
            self.listener.shutdown(socket.SHUT_RDWR)  # on Linux this wakes accept
        except OSError:
            with contextlib.suppress(OSError):  # elsewhere a connection does
                socket.create_connection(self.address, timeout=SOON).close()
        wait(over, 0.2)
        self.listener.close()
        self.listener.in_vain = 0
        wait(over, seconds)
        return self.call.ended(0)

    def late(self, calls: int) -> Callable[[FrameType, str, object], None]:
        """A profile function: it delays a thread's start in the student's code, by so many calls of accept.

        That order can happen at any time; so it is made to happen every time.
        """

        def delay(frame: FrameType, event: str, arg: object) -> None:
            if event == "call" and is_students(frame.f_code.co_filename):
                sys.setprofile(None)
                self.accepts_again(self.listener.calls + calls)

        return delay

    def accepts_again(self, calls: int) -> None:
        """Wait until accept is called for the so-manieth time. One who waits in select calls it later."""
        late = Deadline(LATE)
        while self.listener.calls < calls and not self.call.ended(0) and not late.passed():
            sleep(TURN / 10)

    def hangs_up(self, client: RawClient) -> str | None:
        """The client hangs up. Returns how the server ends the connection; None if it does not."""
        client.hang_up()

        def over(slice_of_it: float) -> object:
            return client.ended(slice_of_it) or any(sock.ends > IN_VAIN for sock in self.listener.given)

        wait(over, SOON)
        return client.end

    # --- where the code is ---

    def students_threads(self) -> Iterator[int]:
        """The threads that are in the student's code, except that of serve itself."""
        for ident, frame in sys._current_frames().items():
            frames = stack(frame)
            if ident != self.call.thread.ident and (students(frames) or is_ending(frames)):
                yield ident

    def talking(self) -> list[threading.Thread]:
        """The threads that came with this serve, but for its own."""
        ours = self.started_before | {self.call.thread}
        return [t for t in threading.enumerate() if t not in ours and not is_ours(t)]

    def threads_left(self, seconds: float) -> bool:
        """Whether more of these threads live than before, still after so many seconds."""
        deadline = Deadline(seconds)
        while left := set(self.students_threads()) - self.before:
            if deadline.passed():
                break
            sleep(TURN)  # the end of a thread of the student's gives no signal
        return bool(left)

    def whereabouts(self) -> tuple[str, str]:
        """Where serve is if it does not accept: in words, and as a clue."""
        if self.call.error is not None:
            return ": serve had died", type(self.call.error).__name__
        if self.call.ended(0):
            return ": serve had returned", "returned"
        self.bench.rests()
        frames = stack(sys._current_frames().get(self.call.thread.ident or 0))
        codes = [frame.f_code for frame in frames]
        if not students(frames) or Listener.accept.__code__ in codes:
            return self._who_serves()  # serve is where it should be
        if self.listener.loop in codes:
            frames = frames[codes.index(self.listener.loop) :]
        loop, *called = students(frames)
        line = source(loop)
        clue = "called" if called else "itself"
        for caller, callee in pairwise([loop, *called]):
            if re.search(rf"target\s*=\s*[\w.]*\b{re.escape(callee.f_code.co_name)}\(", source(caller)):
                clue = "target=f()"
        if ".run(" in line:
            clue = "run"
        if threading.Thread.join.__code__ in codes:
            clue = "join"
        return f": the loop that accepts was in `{line}`", clue

    def _who_serves(self) -> tuple[str, str]:
        """Why a client that was accepted is not served."""
        if self.deaths:
            fits = not (isinstance(self.deaths[-1], TypeError) and "argument" in str(self.deaths[-1]))
            return ": her thread had died", "died" if fits else "arguments"
        pool = False
        for frame in sys._current_frames().values():
            frames = stack(frame)
            pool |= any(f.f_code.co_filename.endswith(_POOL) for f in frames)
            while frames and frames[-1].f_code.co_filename == threading.__file__:
                frames.pop()  # a Semaphore waits in there; a Lock does not
            if (
                frames
                and students(frames)[-1:] == frames[-1:]
                and _WAITS_FOR_LOCK.search(source(frames[-1]))
            ):
                return f": a thread waited in `{source(frames[-1])}`", "lock"
        if pool:
            return ": the threads of the pool were all with others", "pool"
        last = self.listener.given[-1:]
        if last and not last[0].reads and not set(threading.enumerate()) - self.started_before:
            return ": no thread had been started for her", "no thread"
        return "", ""

    def _closed(self) -> tuple[str, str]:
        """For the last client, whose connection has ended: whether serve itself closed it."""
        last = self.listener.given[-1:]
        itself = last and last[0].closed_by == self.call.thread.ident
        return (": serve itself had closed the socket", "closed") if itself else ("", "")

    # --- threads that die ---

    def remember_death(self, hook: threading.ExceptHookArgs) -> None:
        if hook.exc_value is not None and not isinstance(hook.exc_value, self.forgives):
            if hook.thread not in self.started_before:  # one from before may die late
                self.deaths.append(hook.exc_value)
            self._hook(hook)

    @contextmanager
    def remembering(self) -> Iterator[None]:
        self._hook = threading.excepthook
        threading.excepthook = self.remember_death
        try:
            yield
        finally:
            if self.forgives:
                self.bench.rests()  # who is about to die does so while that is known
            threading.excepthook = self._hook


_POOL = str(Path("concurrent", "futures", "thread.py"))

_WAITS_FOR_LOCK = re.compile(r"(?i)acquire\(|lock|sem|mutex|slot|guard")

_LAST = threading.Thread._bootstrap_inner.__code__  # type: ignore[attr-defined]


def is_ending(frames: list[FrameType]) -> bool:
    """Whether this thread is about to begin or to end: what it dies of may not be told yet."""
    return _LAST in [f.f_code for f in frames] and "run" not in [f.f_code.co_name for f in frames]


def stack(top: FrameType | None) -> list[FrameType]:
    """This frame and those that called it, the outermost first."""
    frames = []
    while top is not None:
        frames.append(top)
        top = top.f_back
    return frames[::-1]


def students(frames: list[FrameType]) -> list[FrameType]:
    """Those of these frames that are the student's code."""
    return [frame for frame in frames if is_students(frame.f_code.co_filename)]


def source(frame: FrameType) -> str:
    """The line of code that it is in."""
    return linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()


@contextmanager
def serving(bench: Bench, *, hurry: bool = False) -> Iterator[Serving]:
    """The student's serve, running; ended again, unless a check fails: then it is looked into."""
    serve = Serving(bench, hurry)
    with serve.remembering():
        yield serve
        if not serve.shut(0.3) and serve.listener.in_vain > IN_VAIN:
            serve.call.interrupt()  # or it would go on through all later steps
        for client in serve.listener.given:
            with contextlib.suppress(OSError):  # closed already
                client.shutdown(socket.SHUT_RDWR)  # close alone wakes no thread that reads
        at_rest(serve.talking, LATE)
        bench.before.update(serve.talking())  # what they find now, a socket that is closed, is our doing
        for client in serve.listener.given:
            client.close()  # ends one that spins
