"""Sockets whose timeouts can be cut: a client that the code gives up too soon is given up now.

So a check need not wait for a minute to see that a silent client may be silent for a minute, and no machine
is too slow or too fast for it.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from time import sleep
from typing import Any

from labkit.exercises.bench.bench import SOON, ends
from labkit.probe.deadline import Deadline

SHORT = 0.01
"""Seconds to which a timeout is cut."""

IMPATIENT = 30.0
"""Seconds of the longest timeout that is cut: who gives a client more than that is patient enough."""

LOOK = 0.3
"""Seconds in which code begins to wait for its client; if it does not, as with select, nothing is shown.
By the clock of the process: code that gets no processor has not had them."""


def cut(seconds: float) -> float:
    """The timeout that is set instead of this one."""
    return min(SHORT, seconds) if seconds <= IMPATIENT else seconds


class Hurried(socket.socket):
    """A socket that knows whether the code waits for its client. With `hurry` its timeouts are cut."""

    def __init__(self, *how: Any, hurry: bool = False, **more: Any) -> None:
        super().__init__(*how, **more)
        self.hurry = hurry
        self.reads, self.over = 0, 0  # begun, and ended
        self.timed_out = 0
        self.ends = 0  # times that it was told the end of the stream
        self.limited = False  # by SO_RCVTIMEO
        self.closed_by: int | None = None  # the thread
        self.at_line: Callable[[], object] | None = None  # called when an LF has come
        if self.gettimeout():  # there may be one for all sockets
            self.settimeout(self.gettimeout())

    def settimeout(self, value: float | None) -> None:
        super().settimeout(cut(float(value)) if value and self.hurry else value)

    def setsockopt(self, level: int, option: int, *value: Any) -> None:
        if self.hurry and (level, option) == (socket.SOL_SOCKET, getattr(socket, "SO_RCVTIMEO", None)):
            self.limited = True
            microseconds = int(SHORT * 1e6)
            value = (
                int(SHORT * 1000) if isinstance(value[0], int) else struct.pack("ll", 0, microseconds),
            )
        super().setsockopt(level, option, *value)

    def recv(self, *args: Any) -> bytes:
        with self._reading():
            data = super().recv(*args)
        self.ends += not data
        self._has_come(data)
        return data

    def recv_into(self, *args: Any) -> int:  # what a makefile reads with
        with self._reading():
            size = super().recv_into(*args)
        self.ends += not size
        self._has_come(bytes(memoryview(args[0])[:size]))
        return size

    def _has_come(self, data: bytes) -> None:
        if b"\n" in data and self.at_line is not None:
            self.at_line()

    def close(self) -> None:
        if self.closed_by is None:
            self.closed_by = threading.get_ident()
        super().close()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        self.reads += 1
        try:
            yield
        except (TimeoutError, BlockingIOError):
            self.timed_out += 1
            raise
        finally:
            self.over += 1

    def is_waited_for(self) -> None:
        """Return once the code waits for this client; if it does so for a time, once that is over."""
        deadline = Deadline(LOOK)
        while self.reads == self.over and self.fileno() >= 0 and not deadline.passed():
            sleep(SHORT / 10)
        before, deadline = self.timed_out, Deadline(SOON)
        while self._impatient and self.timed_out == before and not deadline.passed():
            sleep(SHORT / 10)

    @property
    def _impatient(self) -> bool:
        return self.limited or 0 < (self.gettimeout() or 0) <= SHORT


class HurriedTimers:
    """Makes each threading.Timer that is started meanwhile ring at once."""

    def __enter__(self) -> HurriedTimers:
        self._run = threading.Timer.run
        self._started: list[threading.Timer] = []
        run, start, started = self._run, threading.Timer.start, self._started

        def at_once(timer: threading.Timer) -> None:
            timer.interval = cut(timer.interval)
            run(timer)

        def starts(timer: threading.Timer) -> None:
            start(timer)
            started.append(timer)  # in the thread that starts it: its own may be slow to begin

        threading.Timer.run = at_once  # type: ignore[assignment, method-assign]
        threading.Timer.start = starts  # type: ignore[assignment, method-assign]
        return self

    def wait(self) -> None:
        """Wait for those that were started."""
        for timer in list(self._started):
            ends(timer)

    def __exit__(self, *exception: object) -> None:
        threading.Timer.run = self._run  # type: ignore[method-assign]
        del threading.Timer.start  # it has the one of every thread
