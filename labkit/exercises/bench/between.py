"""Something that happens between any two lines of a student's thread: it can happen there at any time.

So a variable that several threads share by mistake shows every time, and not once in a thousand.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from labkit.exercises.bench.bench import SOON, is_students, take
from labkit.probe.deadline import wait

MOST = 16
"""Lines between which something happens, at most."""

PATIENCE = 0.3
"""Seconds in which the next of these lines comes, by the clock of the process: it waits for a starved
thread. Or a wrong answer would pass, since nothing happened between its lines."""


class Between:
    """Stops one thread before each of its lines, from `follow_this_thread` on."""

    def __init__(self) -> None:
        self._stops: queue.SimpleQueue[threading.Event] = queue.SimpleQueue()
        self._thread: int | None = None
        self._left = MOST
        self._over = False  # nobody looks at the stops any more

    def follow_this_thread(self) -> None:
        self._thread = self._thread or threading.get_ident()

    def each(self, does: Callable[[], bool]) -> None:
        """Call this at each stop, in the calling thread, until it returns False or there are no more."""
        go_on = True
        while go_on:
            try:
                stopped = take(self._stops, PATIENCE)
            except queue.Empty:
                break
            try:
                go_on = does()
            finally:
                stopped.set()
        self._over = True
        while not self._stops.empty():
            self._stops.get().set()

    def trace(self, frame: FrameType, event: str, arg: object) -> Any:
        """For threading.settrace."""
        return self._line if is_students(frame.f_code.co_filename) else None

    def _line(self, frame: FrameType, event: str, arg: object) -> Any:
        if event == "line" and threading.get_ident() == self._thread and self._left > 0 and not self._over:
            self._left -= 1
            stopped = threading.Event()
            self._stops.put(stopped)
            if not self._over:  # or it may have come too late for `each`
                wait(stopped.wait, SOON)
        return self._line


@contextmanager
def between_lines() -> Iterator[Between]:
    """Threads that start meanwhile can be stopped."""
    between = Between()
    threading.settrace(between.trace)
    try:
        yield between
    finally:
        threading.settrace(None)
