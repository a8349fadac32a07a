"""A server of the student's, of which one thread is stopped before a line of its own, while others go on.

Two threads meet at the wrong moment once in a thousand runs. Here one is stopped before its first line,
another does all that it has to do, and the first one goes on; then before its second line, and so forth.
Each of these orders can happen at any time, so a right server must bear it.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import sleep
from types import CodeType, FrameType
from typing import Any

from labkit.exercises.bench.bench import Bench, Running, asleep, is_students
from labkit.probe.raw_client import RawClient

LOOK = 0.001
"""Seconds between two looks at a thread."""

LOOKS = 3000
"""Looks after which a thread is not waited for any longer: then this order is not played."""


class Conversation(socket.socket):
    """The server's end of a connection. It knows which thread reads, and how much has been read."""

    reader = 0
    got = 0

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        self.reader = threading.get_ident()
        data = super().recv(size, flags)
        self.got += len(data)
        return data

    def recv_into(self, *how: Any, **more: Any) -> int:
        self.reader = threading.get_ident()
        size = super().recv_into(*how, **more)
        self.got += size
        return size


class Listener(socket.socket):
    """A listening socket that keeps the connections it gave, by the address of the client."""

    def __init__(self, listener: socket.socket) -> None:
        super().__init__(fileno=listener.detach())
        self.given: dict[Any, Conversation] = {}
        self.calls = 0  # of accept, and …
        self.failed = 0  # … those that raised …
        self.in_vain = 0  # … for the student's own code, not for a library's loop, which may go on

    def accept(self) -> tuple[socket.socket, Any]:
        self.calls += 1
        try:
            accepted, address = super().accept()
        except OSError:
            self.failed += 1
            self.in_vain += is_students(sys._getframe(1).f_code.co_filename)
            raise
        self.given[address] = Conversation(fileno=accepted.detach())
        return self.given[address], address


class Pausing:
    """The student's `serve` at work. `listener` is its listener, and `running` the call."""

    def __init__(self, bench: Bench) -> None:
        self.listener = Listener(bench.listener())
        self.address = self.listener.getsockname()
        self._before = set(threading.enumerate())
        self.running: Running = bench.thread(bench.code, self.listener, name="serve")
        self._theirs: dict[CodeType, bool] = {}
        self._paused = 0  # the thread that is to stop, and …
        self._lines = 0  # … before which of its lines
        self._stopped, self._go = threading.Event(), threading.Event()

    def thread_of(self, client: RawClient) -> threading.Thread | None:
        """The thread that reads what this client says; None if it is not known."""
        conversation = self.listener.given.get(client.sock.getsockname())
        same = 0
        while conversation and not conversation.reader and same < 3:
            sleep(LOOK)
            # Where all sleep, none is on its way to recv: they wait in select, or the like.
            same = same + 1 if all(map(asleep, self.threads())) else 0
        reader = conversation.reader if conversation else 0
        return next((thread for thread in threading.enumerate() if thread.ident == reader), None)

    def threads(self) -> list[threading.Thread]:
        """The threads of the server, that of `serve` among them."""
        return [thread for thread in threading.enumerate() if thread not in self._before]

    def says(self, client: RawClient, line: str) -> int:
        """The client says a line. Returns how many bytes its thread will have read then."""
        got = self.listener.given[client.sock.getsockname()].got
        data = f"{line}\n".encode()
        client.push(
            data
        )  # at once: what it said before is read, as `meet` saw; `send` would wait elsewhere
        return got + len(data)

    def meet(self, one: RawClient, first: str, two: RawClient, second: str, lines: int) -> bool:
        """`one` says its line; its thread stops before so many lines of code; then `two` says its own.

        Returns when both threads wait again. False: the first one had not so many lines to do.
        """
        threads = self.thread_of(one), self.thread_of(two)
        self._stopped.clear()
        self._go.clear()
        self._lines, self._paused = lines, threads[0].ident or 0 if threads[0] else 0
        had = self.says(one, first)
        for _ in range(LOOKS):
            if self._stopped.wait(LOOK) or self._waits(one, threads[0], had):
                break
        had_two = self.says(two, second)
        self._until_waits(two, threads[1], had_two)
        self._paused = 0
        self._go.set()
        for client, thread, size in ((one, threads[0], had), (two, threads[1], had_two)):
            self._until_waits(client, thread, size)
        return self._stopped.is_set()

    def _until_waits(self, client: RawClient, thread: threading.Thread | None, size: int) -> None:
        for _ in range(LOOKS):
            if self._waits(client, thread, size):
                return
            sleep(LOOK)

    def _waits(self, client: RawClient, thread: threading.Thread | None, size: int) -> bool:
        """Whether this thread has read so much, and sleeps: in recv, or at a lock."""
        if thread is None or not thread.is_alive():
            return True
        if self.listener.given[client.sock.getsockname()].got < size:
            return False
        place = asleep(thread)
        sleep(LOOK / 2)
        return place is not None and asleep(thread) == place

    def trace(self, frame: FrameType, event: str, argument: object) -> Any:
        """Called by the interpreter in each thread of the server's, for each call there."""
        code = frame.f_code
        if code not in self._theirs:
            self._theirs[code] = is_students(code.co_filename) and not code.co_name.startswith("<")
        return self._line if self._theirs[code] else None

    def _line(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "line" and threading.get_ident() == self._paused:
            self._lines -= 1
            if self._lines == 0:
                self._paused = 0
                self._stopped.set()
                self._go.wait(LOOKS * LOOK * 10)
        return self._line


@contextmanager
def pausing(bench: Bench, traced: bool = True) -> Iterator[Pausing]:
    """The student's server at work; its threads can be stopped, if they are traced (which costs time)."""
    traces: list[Pausing] = []

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        return traces[0].trace(frame, event, argument) if traces else None

    if traced:
        threading.settrace(trace)
    try:
        server = Pausing(bench)
        traces.append(server)
        yield server
    finally:
        threading.settrace(None)  # None ends it
        end(server.running, server.listener)


def end(serving: Running, listener: socket.socket) -> None:
    """The step is over: end the student's `serve`, so that it burns nothing while the next ones are tried.

    One that does not look at its listener is interrupted; one that waits in a selector first, for asyncio
    tries again and again to accept at a listener that is shut, and prints why it cannot.
    """
    if _in_a_selector(serving.thread):
        serving.interrupt()
    with contextlib.suppress(OSError):  # elsewhere than on Linux, closing it has to do
        listener.shutdown(socket.SHUT_RDWR)
    serving.ended(0.05)
    listener.close()
    if serving.thread.is_alive():
        serving.interrupt()


def _in_a_selector(thread: threading.Thread) -> bool:
    frame = sys._current_frames().get(thread.ident or 0)
    return frame is not None and frame.f_code.co_filename == selectors.__file__


def own_switches(seconds: float) -> float:
    """Let a thread of Python's run on for so long; returns how long it was before."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    return before
