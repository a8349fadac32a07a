"""One thread that keeps pictures up to date, and never more often than an eye can follow.

Any thread may call `wake`, as often as it likes: that costs next to nothing. The painter then paints, at
most every `PAUSE` seconds, and always the last state. What reports no changes (a server's table) it
looks at every so often instead.

It knows nothing of widgets: a `Painting` is anything that can be painted.
"""

from __future__ import annotations

import threading
from typing import Protocol

PAUSE = 0.05
"""Seconds between two rounds of painting: 20 a second at most, enough to look immediate."""


class Painting(Protocol):
    """Something that shows a state that changes."""

    every: float | None
    """Seconds after which to look again without a `wake`; None: each change calls `wake`."""

    def over(self) -> bool:
        """Whether nothing will change any more."""

    def paint(self, last: bool) -> None:
        """Show what has changed. `last`: for the last time, so leave nothing out."""


class Painter:
    """The thread that paints: `add` paintings, `start`; it ends when all of them are over, or on `stop`."""

    def __init__(self) -> None:
        self._paintings: list[Painting] = []  # not changed after start
        self._changed = threading.Event()
        self._stopping = threading.Event()
        self.ended = False  # it paints for the last time, or has
        self._thread = threading.Thread(target=self._run, name="labkit-painter", daemon=True)

    def add(self, painting: Painting) -> None:
        self._paintings.append(painting)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Something has changed."""
        # Asking first is cheaper than setting, and a flood asks a hundred thousand times a second.
        if not self._changed.is_set():
            self._changed.set()

    def stop(self) -> None:
        """Paint once more, and end; returns when it has. Twice does no harm."""
        self._stopping.set()
        self._changed.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            # What changes after this line is painted in the next round.
            self._changed.clear()
            # Asked before painting, and once in a round: so the last round paints what was there when all
            # was over, and a painting that ends during a round gets another one.
            going_on = [painting for painting in self._paintings if not painting.over()]
            last = self._stopping.is_set() or not going_on
            self.ended = last
            for painting in self._paintings:
                painting.paint(last)
            if last:
                return
            self._stopping.wait(PAUSE)
            looks = [painting.every for painting in going_on if painting.every is not None]
            self._changed.wait(min(looks, default=None))
