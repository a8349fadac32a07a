"""What a buffer holds at one moment, in figures and in words."""

from __future__ import annotations

from dataclasses import dataclass

EMPTY, SOME, FULL, UNTOLD = "empty", "some", "full", "not told"
"""How a buffer can be."""

BAR = 12
"""Columns of a bar in text."""

BACKLOG, SENDING, WIRE, RECEIVING = "backlog", "sending", "wire", "receiving"
ACCEPT, OTHER = "accept", "other"
"""What kind of buffer. Bytes go through the first four in this order."""


@dataclass(frozen=True, slots=True)
class Level:
    """What one buffer holds."""

    who: str  # whose it is
    what: str  # and which
    kind: str  # SENDING, …
    holds: int | None  # bytes, or what `unit` says; None: not told
    used: int = 0  # how much of its room that takes, with overhead …
    room: int = 0  # … and how much there is; 0: not told, or without a limit
    full: bool = False  # nothing more goes in
    unit: str = "bytes"
    why: str = ""  # a sentence in place of the figures, if they are not told

    @property
    def name(self) -> str:
        return f"{self.who}: {self.what}" if self.who else self.what

    @property
    def state(self) -> str:
        """EMPTY, SOME, FULL or UNTOLD: what is the same on each machine."""
        if self.holds is None:
            return UNTOLD
        return FULL if self.full else SOME if self.holds else EMPTY

    @property
    def share(self) -> float:
        """How much of the bar is filled, from 0 to 1. A full buffer's is 1, whatever the overhead hides."""
        if self.full:
            return 1.0
        return min(1.0, self.used / self.room) if self.room else 0.0

    @property
    def figures(self) -> str:
        """`128,224 bytes (126 of 128 KiB of memory)`."""
        if self.holds is None:
            return self.why
        held = counted(self.holds, self.unit)
        if not self.room:
            return held
        if self.unit != "bytes":
            return f"{held} of {self.room:,}"
        kib = max(self.used, self.room) < 1024 * 1024
        used, room = (size / (1024 if kib else 1024 * 1024) for size in (self.used, self.room))
        shown = f"{used:.0f} of {room:.0f} KiB" if kib else f"{used:.1f} of {room:.1f} MiB"
        return f"{held} ({shown})"

    @property
    def bar(self) -> str:
        """`█████▌░░░░░░`, of BAR columns; empty without a room."""
        if self.holds is None or not self.room:
            return ""
        halves = max(round(2 * BAR * self.share), self.holds > 0)
        return ("█" * (halves // 2) + "▌" * (halves % 2)).ljust(BAR, "░")


def counted(number: int, unit: str) -> str:
    """`4,096 bytes`, `1 byte`."""
    return f"{number:,} {unit.removesuffix('s') if number == 1 else unit}"
