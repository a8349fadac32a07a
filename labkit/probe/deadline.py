"""How long to wait for a server, not counting the pauses of a busy machine."""

from __future__ import annotations

from time import monotonic

SLICE = 0.05
"""Seconds of one turn of waiting."""


class Deadline:
    """Seconds of waiting that are left.

    Waiting happens in short turns. A turn that took much longer counts little: the server is not to blame
    for it, this program itself was not running, because the machine is busy or slept.
    """

    def __init__(self, seconds: float) -> None:
        self.left = seconds
        self._last = monotonic()

    def passed(self) -> bool:
        """Count the turn that is over; whether no time is left."""
        now = monotonic()
        self.left -= min(now - self._last, 2 * SLICE)
        self._last = now
        return self.left <= 0
