"""From what the house decided to what the courier carries, and to what the journal keeps.

room.py answers in deliveries: messages, and who gets them. The courier takes bytes. This file is the
step between, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from labkit.journal import Journal
from labkit.server.broadcaster import Entry, ForOne, ForRoom, Hears
from labkit.server.rooms import Delivery, ToOne, ToRoom
from labkit.server.sender import Reader
from labkit.wire.messages import (
    Acted,
    FromServer,
    Joined,
    Left,
    Moved,
    Refused,
    Renamed,
    Request,
    Said,
    Speech,
    Whispered,
)

R = TypeVar("R", bound=Reader)


def as_bytes(message: FromServer) -> bytes:
    """The message as a line with its LF; in the raw dialect too, where the courier takes it off again."""
    return message.line().encode("utf-8", "replace") + b"\n"


def as_entries(deliveries: Iterable[Delivery[R]]) -> list[Entry]:
    """The deliveries as the courier's log has them, in the same order.

    What one person said in one breath becomes one entry: the courier's work is counted in entries.
    """
    entries: list[Entry] = []
    run: list[bytes] = []  # lines in a row for the same room, from the same person
    to: tuple[str, R | None] | None = None  # which room that is, and which person
    for delivery in deliveries:
        same = isinstance(delivery, ToRoom) and to == (delivery.room, delivery.but)
        if to is not None and not same:
            entries.append(ForRoom(to[0], b"".join(run), to[1]))
            run, to = [], None
        if isinstance(delivery, ToRoom):
            run.append(as_bytes(delivery.message))
            to = (delivery.room, delivery.but)
        elif isinstance(delivery, ToOne):
            entries.append(ForOne(delivery.who, as_bytes(delivery.message)))
        else:
            entries.append(Hears(delivery.who, delivery.room))
    if to is not None:
        entries.append(ForRoom(to[0], b"".join(run), to[1]))
    return entries


def note(journal: Journal, delivery: Delivery[R], nickname: Callable[[R], str]) -> None:
    """Write the delivery down, if it is news: what somebody did, not what they were answered."""
    if isinstance(delivery, ToRoom):
        match delivery.message:
            case Speech(who, texts):
                journal.record_all("said", who, texts, delivery.room)
            case Said(who, text):
                journal.record("said", who, text, delivery.room)
            case Joined(who):
                journal.record("joined", who, where=delivery.room)
            case Left(who, reason):
                journal.record("left", who, reason, delivery.room)
            case Acted(who, action):
                journal.record("acted", who, action, delivery.room)
            case Moved(who, room):
                journal.record("moved", who, f"to {room}", delivery.room)
            case Renamed(old, new):
                journal.record("renamed", old, f"to {new}", delivery.room)
    elif isinstance(delivery, ToOne):
        match delivery.message:
            case Request():
                journal.record("asked")
            case Refused(why):
                journal.record("refused", nickname(delivery.who), why)
            case Whispered(who, text):
                journal.record("whispered", who, text, nickname(delivery.who))
