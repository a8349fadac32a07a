"""Whether Redis can be reached: the two threads that talk to it say so, and the clients are told.

Not of every hiccup: only of a trouble that lasts.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from time import monotonic

from labkit.wire.messages import BACK, CUT_OFF

SOON = 0.3
"""Seconds for which Redis may be away without a word to the clients."""


FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.5
"""Seconds between two tries to reach Redis: each pause is twice the last."""


def growing_pauses() -> Iterator[float]:
    """Seconds to wait after a first failure, and after each one that follows."""
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE)


class Contact:
    """`lost` and `found` are for the threads that talk to Redis, each under its own name.

    `tell` is called with what all clients are to be told, and why, in one of these threads.
    """

    def __init__(self, tell: Callable[[str, str], None]) -> None:
        self._tell = tell
        # Guards what follows. To look, it need not be held.
        self._lock = threading.Lock()
        self._troubles: dict[str, float] = {}  # since when
        self.told = False  # the clients know that we are cut off
        self.why = ""  # … and this is why

    @property
    def cut_off(self) -> bool:
        """Redis is away right now, whether or not the clients know."""
        return bool(self._troubles)

    def lost(self, thread: str, since: float, why: str) -> None:
        """A try to reach Redis, begun at `since` (`monotonic`), has failed."""
        with self._lock:
            since = self._troubles.setdefault(thread, since)
            news = not self.told and monotonic() - since > SOON
            self.told |= news
            if news:
                self.why = why
        if news:
            self._tell(CUT_OFF, why)

    def found(self, thread: str) -> None:
        """Redis has answered."""
        if not self._troubles:
            return
        with self._lock:
            self._troubles.pop(thread, None)
            news = self.told and not self._troubles
            self.told &= not news
            if news:
                self.why = ""
        if news:
            self._tell(BACK, "")
