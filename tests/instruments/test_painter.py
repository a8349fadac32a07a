"""The painter, with pictures of nothing."""

from __future__ import annotations

import threading

from support import SOON

from labkit.instruments.panel.painter import Painter


class Picture:
    """Records when it was painted; over when told, or when asked so many times."""

    def __init__(self, every: float | None = None, asked: int | None = None) -> None:
        self.every = every
        self.left = asked
        self.state = ""
        self.painted: list[str] = []
        self.done = threading.Event()

    def over(self) -> bool:
        if self.left is not None:
            self.left -= 1
            return self.left < 0
        return self.done.is_set()

    def paint(self, last: bool) -> None:
        self.painted.append(self.state + "!" * last)


def ends(painter: Painter) -> bool:
    """Whether its thread ends by itself, soon."""
    painter._thread.join(SOON)
    return not painter._thread.is_alive()


def test_last_state_is_painted() -> None:
    """When the last picture is over the painter paints what is there then, and ends."""
    painter, one, other = Painter(), Picture(), Picture()
    painter.add(one)
    painter.add(other)
    painter.start()
    one.state, other.state = "one", "other"
    other.done.set()
    painter.wake()
    one.done.set()
    painter.wake()
    assert ends(painter)
    assert one.painted[-1] == "one!" and other.painted[-1] == "other!"


def test_end_between_two_looks() -> None:
    """A picture that reports no changes is looked at again, whenever in a round it is over."""
    for asked in range(4):
        painter, picture = Painter(), Picture(every=0.01, asked=asked)
        painter.add(picture)
        painter.start()
        assert ends(painter)
        assert len(picture.painted) == asked + 1


def test_stop() -> None:
    """stop paints once more and ends the thread; it may be called twice, and without a start."""
    painter, picture = Painter(), Picture()
    painter.add(picture)
    painter.start()
    picture.state = "the end"
    painter.stop()
    painter.stop()
    assert ends(painter) and picture.painted[-1] == "the end!"
    Painter().stop()
