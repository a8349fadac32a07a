"""How long to wait for a program, not counting the time in which a busy machine kept it from running."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, sleep
from typing import TypeVar

SLICE = 0.05
"""Seconds of one turn of waiting."""

Clock = Callable[[], float]
"""Returns seconds; see patience.py."""

T = TypeVar("T")


class Turns:
    """A clock for a program of which nothing is known: a turn that took much longer than it should counts
    little. This program itself was not running then, because the machine is busy or slept.
    """

    def __init__(self) -> None:
        self._seconds, self._last = 0.0, monotonic()

    def __call__(self) -> float:
        now = monotonic()
        self._seconds += min(now - self._last, 2 * SLICE)
        self._last = now
        return self._seconds


_usual: Clock | None = None


def count_by(clock: Clock | None) -> None:
    """Let every later Deadline that is not given a clock count by this one; None: by its own turns."""
    global _usual
    _usual = clock


def counting(clock: Clock | None) -> Clock:
    """This clock; None: the one that was chosen with `count_by`, or one of its own."""
    return clock or _usual or Turns()


class Deadline:
    """Seconds of waiting that are left, by a clock. Wait in turns of SLICE seconds, at most."""

    def __init__(self, seconds: float, clock: Clock | None = None) -> None:
        self._clock = counting(clock)
        self._end = self._clock() + seconds

    @property
    def left(self) -> float:
        """Seconds; negative once it has passed."""
        return self._end - self._clock()

    def passed(self) -> bool:
        """Whether no time is left."""
        return self.left <= 0


def wait(attempt: Callable[[float], T], seconds: float, clock: Clock | None = None) -> T:
    """What `attempt` returns, as soon as that is true, or else what it returns when the time is over.

    Args:
        attempt: called again and again; waits for what it looks for, up to as many seconds as it is given.
        seconds: by `clock`, as for a Deadline.
    """
    deadline = Deadline(seconds, clock)
    while True:
        # Looked at before the attempt: what came just before the end is still seen.
        over = deadline.passed()
        if (found := attempt(0.0 if over else min(SLICE, max(deadline.left, 0.001)))) or over:
            return found


def pause(seconds: float, clock: Clock | None = None) -> None:
    """Let the program have so many seconds."""
    wait(sleep, seconds, clock)
