"""What can be wrong with a wire: one small class for each fault.

A fault is put on one direction of a `Link` (link.py), and more than one may be put there: each passes
what it lets through to the next. Most of them shape the stream: they change when bytes go on, and in
what pieces. None changes the bytes, their number or their order; TCP would not. The others (`Freeze`,
`Silence`, `Reset`, `HalfClose`) are about whether the stream goes on at all.

The classes here are descriptions, and can be compared and reused. What a shaping fault remembers while
it works (the bytes that `Glue` holds back, say) is in the stage that `start` makes, one for each
connection. No socket, no thread, and the clock is handed in: so a test can run a chain of them by hand.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

LONGEST = 1e6
"""Seconds that a fault may hold anything up: eleven days."""

Piece = tuple[float, bytes]
"""When some bytes may go on (seconds on the caller's clock), and the bytes; b"" stands for FIN."""


class Stage:
    """A shaping fault at work on one connection, in one direction. This one lets everything through."""

    def shape(self, pieces: Iterable[Piece]) -> list[Piece]:
        """What goes on when these pieces come in, oldest first."""
        return list(pieces)

    def timer(self) -> float:
        """When `flush` should be called although nothing has come in; `inf`: never."""
        return inf

    def flush(self, now: float) -> list[Piece]:
        """What is held back goes on now."""
        return []


@dataclass(frozen=True, slots=True)
class Fault:
    """The common part: a fault that shapes nothing."""

    def start(self, chance: random.Random) -> Stage:
        """A stage for one more connection; `chance` is where all its dice come from."""
        return Stage()


# --- the ones that shape the stream ---


@dataclass(frozen=True, slots=True)
class Delay(Fault):
    """Everything arrives `seconds` later, give or take `jitter` seconds; never out of order."""

    seconds: float
    jitter: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.jitter <= self.seconds <= LONGEST:
            raise ValueError(
                f"need 0 <= jitter <= seconds <= {LONGEST:g}, not {self.jitter} and {self.seconds}"
            )

    def start(self, chance: random.Random) -> Stage:
        return _Delayed(self, chance)


class _Delayed(Stage):
    def __init__(self, fault: Delay, chance: random.Random) -> None:
        self._fault = fault
        self._chance = chance
        self._last = -inf

    def shape(self, pieces: Iterable[Piece]) -> list[Piece]:
        late = []
        for due, data in pieces:
            extra = self._fault.seconds
            if self._fault.jitter:
                extra += self._chance.uniform(-self._fault.jitter, self._fault.jitter)
            self._last = max(self._last, due + extra)
            late.append((self._last, data))
        return late


@dataclass(frozen=True, slots=True)
class Slice(Fault):
    """Into pieces of `size` bytes, with `gap` seconds between one piece and the next.

    A receiver that is quick sees each piece as a `recv` of its own. With a gap even a slow one does.
    """

    size: int
    gap: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.size, int) or self.size < 1 or not 0 <= self.gap <= LONGEST:
            raise ValueError(
                f"need a whole size >= 1 and gap from 0 to {LONGEST:g}, not {self.size} and {self.gap}"
            )

    def start(self, chance: random.Random) -> Stage:
        return _Sliced(self)


class _Sliced(Stage):
    def __init__(self, fault: Slice) -> None:
        self._size, self._gap = fault.size, fault.gap
        self._next = -inf

    def shape(self, pieces: Iterable[Piece]) -> list[Piece]:
        small = []
        for due, data in pieces:
            for i in range(0, max(1, len(data)), self._size):
                due = max(due, self._next)
                small.append((due, data[i : i + self._size]))
                self._next = due + self._gap
        return small


@dataclass(frozen=True, slots=True)
class Glue(Fault):
    """Hold bytes back until `size` of them have come or `seconds` have passed, then send them as one.

    FIN sends on what is held, too: nothing is lost.
    """

    size: int
    seconds: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.size, int) or self.size < 1 or not 0 < self.seconds <= LONGEST:
            raise ValueError(
                f"need a whole size >= 1, 0 < seconds <= {LONGEST:g}, not {self.size} and {self.seconds}"
            )

    def start(self, chance: random.Random) -> Stage:
        return _Glued(self)


class _Glued(Stage):
    def __init__(self, fault: Glue) -> None:
        self._fault = fault
        self._held = b""
        self._since = inf

    def shape(self, pieces: Iterable[Piece]) -> list[Piece]:
        whole: list[Piece] = []
        for due, data in pieces:
            if not data:
                whole += [*self.flush(due), (due, data)]
                continue
            self._since = min(self._since, due)
            self._held += data
            if len(self._held) >= self._fault.size:
                whole += self.flush(due)
        return whole

    def timer(self) -> float:
        return self._since + self._fault.seconds

    def flush(self, now: float) -> list[Piece]:
        held, self._held, self._since = self._held, b"", inf
        return [(now, held)] if held else []


@dataclass(frozen=True, slots=True)
class Bandwidth(Fault):
    """At most so many bytes a second."""

    bytes_per_second: float

    def __post_init__(self) -> None:
        if not 0 < self.bytes_per_second < inf:
            raise ValueError(f"need more than 0 bytes a second, not {self.bytes_per_second}")

    def start(self, chance: random.Random) -> Stage:
        return _Narrow(self.bytes_per_second)


class _Narrow(Stage):
    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._free = -inf  # when the wire has room for the next piece
        self._piece = max(1, int(rate / 50))  # 50 pieces a second look like a stream

    def shape(self, pieces: Iterable[Piece]) -> list[Piece]:
        spread = []
        for due, data in pieces:
            for i in range(0, max(1, len(data)), self._piece):
                part = data[i : i + self._piece]
                start = max(due, self._free)
                self._free = start + len(part) / self._rate
                spread.append((self._free, part))  # it has arrived when its last byte has
        return spread


# --- the ones that decide whether it goes on ---


@dataclass(frozen=True, slots=True)
class Freeze(Fault):
    """Stop reading, as a peer does that hangs: what is sent piles up in the sender's kernel."""


@dataclass(frozen=True, slots=True)
class Silence(Fault):
    """A cable that is pulled out, a train in a tunnel: nothing passes any more, no FIN and no RST either.

    Taken off, the wire is whole again: what was held goes on, as after a cable is plugged back in.
    """


@dataclass(frozen=True, slots=True)
class Reset(Fault):
    """RST to both ends, once `after` bytes have gone through in this direction; 0: at once.

    The bytes before it are delivered first.
    """

    after: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.after, int) or self.after < 0:
            raise ValueError(f"need a whole number after >= 0, not {self.after}")


@dataclass(frozen=True, slots=True)
class HalfClose(Fault):
    """FIN in this direction, at once; the other direction goes on. What is sent afterwards goes nowhere."""
