"""What the rooms decided, as entries for the broadcaster's log and as events for the journal."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from labkit.server.rooms import Delivery, Enters, ToOne, ToRoom
from labkit.wire.messages import Speech

if TYPE_CHECKING:
    from labkit.journal import Journal
    from labkit.server.sender import Outbox

# What can be written in the log. Data is one or more lines, each with its LF.


@dataclass(slots=True)
class ForRoom:
    """For all who hear the room, but one."""

    room: str
    data: bytes
    but: Outbox | None = None


@dataclass(slots=True)
class ForOne:
    to: Outbox
    data: bytes


@dataclass(slots=True)
class Hears:
    """From here on this one hears the room; None: none."""

    who: Outbox
    room: str | None


@dataclass(slots=True)
class Close:
    """Nothing more will be written for this one: close its socket.

    Politely: when it has taken what waits, with FIN, and after waiting a little for its own FIN.
    """

    who: Outbox
    politely: bool


Entry = ForRoom | ForOne | Hears | Close


class Connected(Hashable, Protocol):
    """What an entry needs of a connection."""

    outbox: Outbox


C = TypeVar("C", bound=Connected)


def as_entry(delivery: Delivery[C]) -> Entry:
    if isinstance(delivery, ToRoom):
        but = None if delivery.but is None else delivery.but.outbox
        return ForRoom(delivery.room, delivery.message.data(), but)
    if isinstance(delivery, ToOne):
        return ForOne(delivery.who.outbox, delivery.message.data())
    return Hears(delivery.who.outbox, delivery.room)


def note(journal: Journal, delivery: Delivery[C], nickname: Callable[[C], str]) -> None:
    """Write the delivery down, if it is news."""
    if isinstance(delivery, Enters):
        return
    message = delivery.message
    if isinstance(delivery, ToRoom):
        if isinstance(message, Speech):
            count = message.lines.count(b"\n")
            journal.record_runs("said", [(count, message.who, message.lines, delivery.room, "")])
        elif message.event and not message.private:
            journal.record(message.event, *message.news(), delivery.room)
    elif message.event and message.private:
        who, what = message.news()
        receiver = nickname(delivery.who)
        journal.record(message.event, who or receiver, what, receiver if who else "")
