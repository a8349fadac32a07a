"""How long to wait for a server, so that a busy machine is not held against it."""

from __future__ import annotations

from time import monotonic

SLICE = 0.05
"""Seconds of one turn of waiting."""


class Patience:
    """Seconds of waiting that are left.

    Waiting is done in short turns. A turn that took much longer was not the server's doing: this program
    itself did not get to run, because the machine is busy or slept. So it counts little.
    """

    def __init__(self, seconds: float) -> None:
        self.left = seconds
        self._last = monotonic()

    def spent(self) -> bool:
        """Count the turn that is over; whether nothing is left."""
        now = monotonic()
        self.left -= min(now - self._last, 2 * SLICE)
        self._last = now
        return self.left <= 0
