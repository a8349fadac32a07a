"""How long a behaviour may take, whatever the server does."""

from __future__ import annotations

from labkit.conformance.server_under_test import NotJudged
from labkit.probe.deadline import Clock, Deadline, counting


class TooLong(Exception):
    """All behaviours together have taken the time that they had."""


class Limit:
    """A clock that breaks off whatever waits by it once the time is over, as long as it is entered.

    Args:
        clock: whose seconds it shows; None: as for a Deadline.
        seconds: that may pass.
        over: ends it, too, as soon as this has passed.
    """

    def __init__(self, clock: Clock | None, seconds: float, over: Deadline | None = None) -> None:
        self._clock, self._over = counting(clock), over
        self._seconds, self._end = seconds, self._clock() + seconds
        self._on = False

    def __call__(self) -> float:
        """What the clock shows, in seconds.

        Raises:
            NotJudged: the time of this behaviour is over.
            TooLong: that of all of them is.
        """
        now = self._clock()
        if self._on and now > self._end:
            raise NotJudged(f"the server is so slow that this is not done after {self._seconds:g} s")
        if self._on and self._over is not None and self._over.passed():
            raise TooLong
        return now

    def __enter__(self) -> Limit:
        self._on = True
        return self

    def __exit__(self, *exception: object) -> None:
        self._on = False
