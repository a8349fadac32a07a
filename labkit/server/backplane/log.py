"""A room that several servers share, as one of them sees it: who is in it, and what is to happen there.

What this server's people say and do does not happen yet: it is `pending`. The server writes it to the
room's stream, all that is pending as one entry, and keeps it as `sent`. When it reads that entry back, in
its place among all others, it happens. So it happens everywhere in the same order.

To the other servers goes only what they need: the lines, and who came or went. The rest (an answer, a
welcome, who hears the room from now on) is for people of this server, and keeps its place in line here.

No Redis here and no clock.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from dataclasses import dataclass, field
from itertools import accumulate

from labkit.server.backplane.scripts import ENTRY
from labkit.server.connection import ServerConnection
from labkit.server.rooms import Delivery, ToRoom
from labkit.server.sender import Outbox
from labkit.wire.messages import Acted, Joined, Left, Moved, Renamed, Said, Speech


@dataclass(eq=False, slots=True)
class Member:
    """One of this server's people."""

    id: str  # SERVER.NUMBER
    client: ServerConnection
    room: SharedRoom | None = None  # where it says what it says next
    fields: tuple[str, ...] = ()  # of the nickname that it has, or will have
    told: bool = False  # that its server is cut off
    gone: bool = False  # its socket is closed, or about to be: it is told nothing more

    @property
    def outbox(self) -> Outbox:
        return self.client.outbox


LONG_NAME = 40
"""Bytes that a nickname takes in the answer to `/who`, or a few more."""

MOST = 256 * 1024
"""Bytes that are said in one turn, or little more: so there is room for it where Redis has little."""

# What can be pending. Each of them happens to this server's people alone, but for what `Told` tells.


@dataclass(slots=True)
class Told:
    """Something that all in the room hear, as it will be heard."""

    delivery: ToRoom[ServerConnection]
    data: bytes
    member: Member  # who did it

    @property
    def is_talk(self) -> bool:
        """No client came or went with it, or changed its nickname."""
        return isinstance(self.delivery.message, (Speech, Said, Acted))


@dataclass(slots=True)
class Answered:
    """Something for one person."""

    member: Member
    data: bytes


@dataclass(slots=True)
class AsksWho:
    """Who is here, at this moment?"""

    member: Member


@dataclass(slots=True)
class Exits:
    """From here on the member hears this room no more."""

    member: Member
    room: str = ""  # this one's name
    moves: bool = True  # to another room; else its connection is still to be closed (`Ends`)
    early: bool = False  # it did not wait for its place in line
    done: bool = False


@dataclass(slots=True)
class Enters:
    """From here on the member hears this room: not before it has left the other one."""

    member: Member
    after: Exits | None


@dataclass(slots=True)
class Ends:
    """The member is gone for good."""

    member: Member
    politely: bool


@dataclass(slots=True)
class Reached:
    """A thread waits until all before this has happened."""

    event: threading.Event


@dataclass(slots=True)
class Releases:
    """The member has these names no more; others may, once they have heard what is said till now."""

    member: Member
    fields: tuple[str, ...]


Op = Told | Answered | AsksWho | Exits | Enters | Ends | Reached | Releases


@dataclass(slots=True)
class Batch:
    """What was pending at some moment, as an entry of the stream has it."""

    ops: list[Op]
    text: bytes
    changes: str

    @property
    def size(self) -> int:
        return len(self.text) + ENTRY


@dataclass(slots=True)
class Entry:
    """An entry of the room's stream, as it was read."""

    id: str
    fields: dict[bytes, bytes]

    @property
    def size(self) -> int:
        return len(self.fields.get(b"t", b"")) + ENTRY


@dataclass(eq=False, slots=True)
class SharedRoom:
    """One room; guarded by the backplane's lock."""

    key: str  # nicknames.key of its name
    name: str = ""
    members: dict[str, str] = field(default_factory=dict)  # nicknames by person, in the order they came
    users: int = 0  # this server's people who are in it, or on their way in or out
    followed: threading.Event = field(default_factory=threading.Event)  # its stream is being read
    # What this server's clients did, and what has not been heard yet.
    pending: list[Op] = field(default_factory=list)
    waiting: int = 0  # bytes of that
    sent: deque[tuple[int, Batch]] = field(default_factory=deque)  # by the turn that it was sent in
    # What was read of the stream.
    last: str = "0-0"  # the id of the last entry that was read
    read: int = 0  # bytes up to there
    unheard: deque[Entry] = field(default_factory=deque)  # read, and not yet happened …
    now: deque[Op] = field(default_factory=deque)  # … and what is left of the one that is just happening
    heard: int = 0  # bytes that happened
    heard_id: str = "0-0"
    told: int = 0  # how many of them the others know of
    hushing: bool = False  # Redis was asked to ring when there is something new
    lag: int = 0  # bytes that the slowest server has still to read

    @property
    def stream(self) -> str:
        return f"labkit:room:{self.key}"

    def follow(self, name: str, total: int, last: str, who: dict[str, str]) -> None:
        """From here on the stream is read; this is how things stand."""
        self.name, self.last, self.heard_id = name, last, last
        self.heard = self.told = total
        places = {person: value.partition(" ") for person, value in who.items()}
        in_order = sorted(places, key=lambda person: int(places[person][0]))
        self.members = {person: places[person][2] for person in in_order}
        self.read = total
        self.followed.set()

    def add(self, op: Op) -> None:
        self.pending.append(op)
        if isinstance(op, (Told, Answered)):
            self.waiting += len(op.data)
        elif isinstance(op, AsksWho):
            self.waiting += LONG_NAME * len(self.members)

    def tell(self, delivery: ToRoom[ServerConnection], member: Member) -> None:
        self.add(Told(delivery, delivery.message.data(), member))

    def take(self, turn: int, most: int = MOST) -> Batch:
        """What is pending, as the entry that goes out in this turn: all, or no more bytes than that."""
        ops, rest = self.pending, []
        if self.waiting > most:
            sizes = list(accumulate(len(op.data) if isinstance(op, (Told, Answered)) else 0 for op in ops))
            most = max(most, next(filter(None, sizes), 0))  # one at least
            fitting = sum(1 for size in sizes if size <= most)  # with what goes with the last of them
            ops, rest = ops[:fitting], ops[fitting:]
        self.pending, self.waiting = [], 0
        for op in rest:
            self.add(op)
        told = [op for op in ops if isinstance(op, Told)]
        changes = [change for op in told if (change := _change(op.delivery, op.member)) is not None]
        batch = Batch(
            ops,
            b"".join([op.data for op in told]),
            json.dumps(changes, ensure_ascii=False) if changes else "",
        )
        self.sent.append((turn, batch))
        return batch

    def change(self, what: str, person: str, nickname: str) -> None:
        """A client came (+), went (-), or has another nickname (=)."""
        if what == "-":
            self.members.pop(person, None)
        else:
            self.members[person] = nickname

    def happened(self, told: Told) -> None:
        """One of this server's people came, went or changed: as the others learn it from the entry."""
        if (change := _change(told.delivery, told.member)) is not None:
            self.change(*change)

    def lose(self, server: str) -> list[str]:
        """That server is gone; the nicknames of its people who were here."""
        lost = [person for person in self.members if person.partition(".")[0] == server]
        return [self.members.pop(person) for person in lost]

    @property
    def untold(self) -> int:
        """Bytes that happened, and that the others do not know of."""
        return self.heard - self.told

    @property
    def busy(self) -> bool:
        """Something of this server's people has still to happen here."""
        return bool(self.pending or self.sent or self.now)


def changes_of(entry: Entry) -> list[tuple[str, str, str]]:
    """Who came, went or changed with this entry of another server."""
    text = entry.fields.get(b"m", b"")
    return [(what, person, nickname) for what, person, nickname in json.loads(text)] if text else []


def _change(delivery: Delivery[ServerConnection], member: Member) -> tuple[str, str, str] | None:
    assert isinstance(delivery, ToRoom)
    match delivery.message:
        case Joined(who):
            return "+", member.id, who
        case Renamed(_, new):
            return "=", member.id, new
        case Moved() | Left():
            return "-", member.id, ""
    return None
