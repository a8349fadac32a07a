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
from time import sleep
from types import CodeType, FrameType
from typing import Any

from labkit.exercises.bench.bench import SOON, Bench, is_students
from labkit.probe.deadline import Deadline, wait
from labkit.probe.failed import CheckFailed
from labkit.probe.raw_client import RawClient

LATE = 0.1
"""Seconds that the start of a thread is delayed, at most."""

TURN = 0.01
"""Seconds of one turn of waiting."""


class Listener(socket.socket):
    """A listening socket that knows its caller, and keeps the sockets it gave: only close() closes them."""

    def __init__(self, *how: Any, **more: Any) -> None:
        super().__init__(*how, **more)
        self.given: list[socket.socket] = []
        self.used = threading.Event()  # the code has begun to wait for clients
        self.calls = 0  # of accept
        self.loop: CodeType | None = None  # the function that calls it
        self.at_accept: Callable[[socket.socket], None] | None = None

    def accept(self) -> tuple[socket.socket, Any]:
        self.loop = sys._getframe(1).f_code
        self.calls += 1
        self.used.set()
        client, address = super().accept()
        self.given.append(client)
        if self.at_accept is not None:
            self.at_accept(client)
        return client, address

    def fileno(self) -> int:
        self.used.set()  # as select and its like do
        return super().fileno()


class Serving:
    """The student's serve, running in a thread."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.listener = Listener(fileno=bench.listener().detach())
        self.address = self.listener.getsockname()
        self.call = bench.thread(bench.code, self.listener, name="serve")
        wait(lambda _: self.listener.used.wait(TURN) or self.call.ended(0), SOON / 2)
        self.before = set(self.students_threads())

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
        """Close the listener; whether serve returns within so many seconds."""
        self.bench.said("the listener is closed", "check", "server")
        try:
            self.listener.shutdown(socket.SHUT_RDWR)  # on Linux this wakes accept
        except OSError:
            with contextlib.suppress(OSError):  # elsewhere a connection does
                socket.create_connection(self.address, timeout=SOON).close()
        self.call.ended(0.2)
        self.listener.close()
        return self.call.ended(seconds)

    def late(self, frame: FrameType, event: str, arg: object) -> None:
        """A profile function: it delays a thread's start in the student's code until the next accept.

        That order can happen at any time; so it is made to happen every time.
        """
        if event == "call" and is_students(frame.f_code.co_filename):
            sys.setprofile(None)
            enough, late = self.listener.calls + 2, Deadline(LATE)
            while self.listener.calls < enough and not late.passed():
                sleep(TURN)

    # --- where the code is ---

    def students_threads(self) -> Iterator[int]:
        """The threads that are in the student's code, except that of serve itself."""
        for ident, frame in sys._current_frames().items():
            if ident != self.call.thread.ident and students(stack(frame)):
                yield ident

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
            return "", ""  # it is where it should be
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
def serving(bench: Bench) -> Iterator[Serving]:
    """The student's serve, running; ended again, unless a check fails: then it is looked into."""
    serve = Serving(bench)
    yield serve
    serve.shut(0.3)
    for client in serve.listener.given:
        client.close()
