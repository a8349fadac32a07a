"""What all buffers on a way hold at one moment, and what that means."""

from __future__ import annotations

from dataclasses import dataclass

from labkit.instruments import drawing
from labkit.instruments.buffers.levels import (
    ACCEPT,
    BACKLOG,
    EMPTY,
    FULL,
    RECEIVING,
    SENDING,
    UNTOLD,
    Level,
)
from labkit.instruments.buffers.pictures import bars


@dataclass(frozen=True, slots=True)
class Sample:
    """What all buffers held at one moment.

    The moment is `when`, seconds of `time.monotonic()`, and `after`, the number of the newest event that
    the journal then had: the buffers that belong to a place on a ladder.
    """

    when: float
    levels: tuple[Level, ...]
    after: int = 0
    moment: str = ""  # its name, if it has one: "before"

    def level(self, kind: str) -> Level | None:
        """The first buffer of this kind."""
        return next((level for level in self.levels if level.kind == kind), None)

    @property
    def states(self) -> dict[str, str]:
        """Name of each buffer -> EMPTY, SOME, FULL or UNTOLD."""
        return {level.name: level.state for level in self.levels}

    @property
    def caption(self) -> str:
        """What that means for those who send and receive, in one or two sentences."""
        return caption(self.levels)

    def _repr_html_(self) -> str:
        return bars(self)

    def __repr__(self) -> str:
        rows = [(level.name, level.bar, level.state, level.figures) for level in self.levels]
        title = [f"{self.moment}: {self.caption}" if self.moment else self.caption]
        return "\n".join(title + ["  " + line for line in drawing.in_columns(rows)])


def caption(levels: tuple[Level, ...]) -> str:
    """What these levels mean, for the way that they are on."""
    by_kind = {level.kind: level for level in reversed(levels)}
    sending, receiving = by_kind.get(SENDING), by_kind.get(RECEIVING)
    told = []
    if sending and receiving:
        told.append(_way(sending, receiving))
    if (backlog := by_kind.get(BACKLOG)) and backlog.holds:
        told.append(
            f"{backlog.who.capitalize()} itself keeps what the kernel does not take: its backlog grows"
            + (" no further." if backlog.full else ".")
        )
    if (accept := by_kind.get(ACCEPT)) and accept.holds:
        told.append("A connection waits to be accepted." if accept.holds == 1 else "Connections wait.")
    return " ".join(told)


def _way(sending: Level, receiving: Level) -> str:
    sender, receiver = sending.who, receiving.who
    here, there = sending.state, receiving.state
    if UNTOLD in (here, there):
        return sending.why or receiving.why
    if here == there == EMPTY:
        return f"Nothing is under way: {receiver}'s recv would wait, {sender}'s send would not."
    if here == EMPTY:
        return f"All that {sender} sent has arrived, and waits until {receiver} calls recv."
    if here == there == FULL:
        return f"Both buffers are full: {sender}'s send waits until {receiver} reads."
    if here == FULL:
        return f"{sender} sends faster than {receiver} takes it: send waits."
    if there == FULL:
        return (
            f"{receiver} does not keep up: its kernel's buffer is full. {sender}'s kernel keeps the rest, "
            "and send still returns at once."
        )
    return f"Bytes are on their way from {sender} to {receiver}."
