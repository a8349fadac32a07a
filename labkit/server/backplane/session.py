"""One life of a server among the others: its people, the rooms it follows, and what is to be done in Redis.

Data, under one lock; the threads that work on it are in backplane.py (those of the clients), writer.py and
reader.py. A server that was given up by the others begins a new session, with no client in it.
"""

from __future__ import annotations

import secrets
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from time import monotonic
from typing import Any

from labkit.server.backplane.log import (
    MOST,
    Answered,
    Ends,
    Enters,
    Exits,
    Member,
    Op,
    Reached,
    Releases,
    SharedRoom,
)
from labkit.server.backplane.store import Command
from labkit.server.connection import ServerConnection
from labkit.server.delivery import Close, Hears
from labkit.server.delivery import Entry as LogEntry
from labkit.server.rooms import LOBBY, Delivery, ToOne, ToRoom
from labkit.server.rooms import Enters as RoomsEnters
from labkit.wire import nicknames
from labkit.wire.messages import Left

WINDOW = 4 * 1024 * 1024
"""Bytes of a room that its slowest server may have still to read; then talkers wait. What all have read is
thrown away, so this is about what a room takes up in Redis."""

LOOKED_INTO = 200
"""Rooms in which a server looks at one beat whether all is there."""

Handler = Callable[[Any], None]
"""What is done with an answer of Redis, in the writer's thread."""


@dataclass(eq=False, slots=True)
class Request:
    """Something that a client's thread wants to have done, and waits for."""

    done: threading.Event = field(default_factory=threading.Event)
    answer: Any = None


@dataclass(eq=False, slots=True)
class Whispering:
    """A whisper on its way to the client that has the nickname."""

    refusal: str  # what its sender is told if it is not heard
    news: tuple[str, str, str]  # who whispers what to whom
    heard: bool = False
    server: str = ""  # that of the addressee
    done: threading.Event = field(default_factory=threading.Event)


class Session:
    """`lock` guards all of it, and must be held for every call but the first. It is never held while Redis
    is asked."""

    def __init__(self, lock: threading.Lock) -> None:
        self.lock = lock
        self.server = secrets.token_hex(4)
        self.over = False  # this server was given up …
        self.broken = ""  # … or must give up itself: why
        self.rooms: dict[str, SharedRoom] = {}  # by nicknames.key
        # Those where something happened lately, and when: their streams are read. For the others the mail
        # tells when there is something new. There may be very many.
        self.lively: dict[SharedRoom, float] = {}
        self.members: dict[ServerConnection, Member] = {}  # this server's people …
        self.names: dict[str, Member] = {}  # … and by the nicknames.key under which the rooms know them
        self.whispers: dict[int, Whispering] = {}
        # Answers to whispers from other servers that can wait: their addressee has much to read.
        self.late: list[tuple[Member, Command]] = []
        self.gone: set[str] = set()  # servers
        self.mail = "0-0"  # the id of the last entry of its mail that was read …
        self.letters: deque[dict[bytes, bytes]] = deque()  # … and what was read, and not opened yet
        self.requests: list[tuple[Command, Handler]] = []  # in the order in which they are to be done
        self.touched: dict[SharedRoom, None] = {}  # where something is pending, or was read
        self.given = 0  # how often there was something more to be done
        self.held: set[SharedRoom] = set()  # where another server has too much to catch up with
        self._waiting: list[Request] = []
        self._people = 0  # so far
        self._whispered = 0
        self.follow(LOBBY, LOBBY)  # as long as it lasts: every client starts there

    # --- people ---

    def member(self, client: ServerConnection) -> Member:
        """What stands for the client, which may just be coming."""
        if client not in self.members:
            self._people += 1
            self.members[client] = Member(f"{self.server}.{self._people}", client)
        return self.members[client]

    def release(
        self, member: Member, fields: set[str] | tuple[str, ...], with_next_turn: bool = False
    ) -> None:
        """The member has these names no more; others may, once they have heard what is said till now."""
        if not fields:
            return
        if with_next_turn and member.room is not None:
            self.put(member.room, Releases(member, tuple(fields)))
        else:
            self.want("release", (member.id, *fields))

    # --- what they do ---

    def add(self, member: Member, delivery: Delivery[ServerConnection]) -> None:
        """What the rooms decided about something that this one did is to happen, in its place."""
        if isinstance(delivery, RoomsEnters):
            self._move(member, delivery.room)
            return
        assert member.room is not None
        if isinstance(delivery, ToOne):
            self.put(member.room, Answered(member, delivery.message.data()))
            return
        member.room.tell(delivery, member)
        self.touched[member.room] = None
        if isinstance(delivery.message, Left):
            self.release(member, member.fields, with_next_turn=True)

    def _move(self, member: Member, room: str | None) -> None:
        old, exits = member.room, None
        if old is not None:
            exits = Exits(member, old.name, moves=room is not None)
            self.put(old, exits)
        if room is not None:
            member.room = self.rooms[nicknames.key(room)]
            self.put(member.room, Enters(member, exits))

    def end(self, member: Member, politely: bool) -> None:
        """The member has left; its connection is to be closed when all have heard it."""
        assert member.room is not None
        self.put(member.room, Ends(member, politely))

    def put(self, room: SharedRoom, op: Op) -> None:
        """This is to happen in the room, after all that is pending there."""
        room.add(op)
        self.touched[room] = None

    def whisper(self, field: str, line: bytes, whispering: Whispering) -> None:
        self._whispered += 1
        number = self._whispered
        self.whispers[number] = whispering

        def sent(server: bytes) -> None:
            with self.lock:
                whispering.server = server.decode()
                if not server or whispering.server in self.gone:
                    self.answer(number, False)

        self.requests.append((("whisper", (field, number, line)), sent))

    def answer(self, number: int, heard: bool) -> None:
        """What has become of a whisper."""
        if (whispering := self.whispers.pop(number, None)) is not None:
            whispering.heard = heard
            whispering.done.set()

    def lose(self, server: str) -> None:
        """That server is gone: no client there hears a whisper any more."""
        self.gone.add(server)
        for number in [n for n, whispering in self.whispers.items() if whispering.server == server]:
            self.answer(number, False)

    # --- rooms ---

    def follow(self, key: str, name: str) -> SharedRoom:
        """The room, with one more user. It can be used when it is `followed`."""
        room = self.rooms.get(key)
        if room is None:
            room = self.rooms[key] = SharedRoom(key, name)
            self.requests.append((("follow", (key, name)), self._follower(room)))
        room.users += 1
        return room

    def _follower(self, room: SharedRoom) -> Handler:
        def follows(answer: Any) -> None:
            name, total, last, who = answer
            who = [text.decode() for text in who]
            with self.lock:
                room.follow(
                    name.decode(), int(total), last.decode(), dict(zip(who[::2], who[1::2], strict=True))
                )
                self.lively[room] = monotonic()
                self.leave_if_empty(room)
                # The reader may be waiting for the other rooms; not before it can see this one.
                self.want("ring")

        return follows

    def leave(self, room: SharedRoom) -> None:
        """One user less."""
        room.users -= 1
        self.leave_if_empty(room)

    def leave_if_empty(self, room: SharedRoom) -> None:
        """Read it no more, if no client of this server is there."""
        if room.users or room.busy or room.key == LOBBY or not room.followed.is_set():
            return
        if self.rooms.get(room.key) is room:
            del self.rooms[room.key]
            self.held.discard(room)
            self.lively.pop(room, None)
            self.want("unfollow", (room.key,))

    def hush(self, room: SharedRoom) -> None:
        """Read it no more, for a while in which nothing is new there."""
        at, room.hushing = room.last, True

        def hushed(answer: Any) -> None:
            with self.lock:
                if int(answer) and room.hushing and room.last == at:
                    self.lively.pop(room, None)
                room.hushing = False

        self.requests.append((("hush", (room.key, at)), hushed))

    def ring(self, key: str) -> SharedRoom | None:
        """There is something new in this room, if a client here is still in it."""
        room = self.rooms.get(key)
        if room is None or not room.followed.is_set():
            return None
        room.hushing = False  # this may come before the answer to that
        self.lively.setdefault(room, monotonic())
        return room

    # --- for the writer ---

    def ask(self, name: str, *arguments: str | bytes | int) -> Request:
        """Have something done, and wait for its answer."""
        request = Request()
        self._waiting.append(request)

        def answered(answer: Any) -> None:
            request.answer = answer
            with self.lock:
                self._waiting.remove(request)
            request.done.set()

        self.requests.append(((name, arguments), answered))
        return request

    def want(self, name: str, arguments: tuple[str | bytes | int, ...] = ()) -> None:
        """Have something done, whatever the answer."""
        self.requests.append(((name, arguments), ignore))

    def gather(self, turn: int, tell_from: int) -> list[tuple[Command, Handler]]:
        """What is to be done in this turn. What is said beyond `MOST` stays touched, for the next one.
        `tell_from`: bytes of a room that were read, and that the others do not know of, from which on they
        are told."""
        things, self.requests = self.requests, []
        touched, self.touched = self.touched, {}
        left, cut = MOST, None
        for room in touched:
            if self.rooms.get(room.key) is not room or not room.pending:
                continue  # if it was left, nothing is pending
            if left <= 0:
                self.touched[room] = None
                continue
            batch = room.take(turn, left)
            left -= batch.size
            things.append((("append", (room.key, batch.text, batch.changes)), self._measure(room)))
            things += [
                (("release", (op.member.id, *op.fields)), ignore)
                for op in batch.ops
                if isinstance(op, Releases)
            ]
            cut = room if room.pending else cut
        if cut is not None:
            self.touched[cut] = None  # after those that had nothing of this turn
        return things + self._positions([room for room in touched if room.untold > tell_from])

    def look_around(self) -> list[tuple[Command, Handler]]:
        """At the beat of the lease: how far all rooms and the mail were read, and whether all is there."""
        some = list(islice(self.rooms.values(), LOOKED_INTO))
        for room in some:
            self.rooms[room.key] = self.rooms.pop(room.key)  # next time, the others
        untold = [room for room in self.rooms.values() if room.untold]
        return [*self._positions(untold + some), (("mailed", (self.mail,)), ignore)]

    def _positions(self, rooms: list[SharedRoom]) -> list[tuple[Command, Handler]]:
        """How far these rooms, and those in which another server is behind, were read."""
        things: list[tuple[Command, Handler]] = []
        for room in dict.fromkeys([*rooms, *self.held]):
            if self.rooms.get(room.key) is room and room.followed.is_set():
                here = -1 if room.unheard or room.now else len(room.members)
                quiet = int(room not in self.lively)
                position = (room.key, room.heard, room.heard_id, room.read, room.last, quiet, here)
                things.append((("read", position), self._measure(room)))
                room.told = room.heard
        return things

    def _measure(self, room: SharedRoom) -> Handler:
        def measured(lag: Any) -> None:
            room.lag = int(lag)
            if room.lag > WINDOW:
                self.held.add(room)
            else:
                self.held.discard(room)

        return measured

    def abandon(self) -> list[LogEntry]:
        """It is over. Threads that wait need wait no longer, and clients that have left are let go."""
        self.over = True
        entries: list[LogEntry] = []
        for request in self._waiting:
            request.done.set()
        for number in list(self.whispers):
            self.answer(number, False)
        for room in self.rooms.values():
            room.followed.set()
            ops = [*room.now, *(op for _, batch in room.sent for op in batch.ops), *room.pending]
            for op in ops:
                if isinstance(op, Reached):
                    op.event.set()
                elif isinstance(op, Ends) and not op.member.gone:
                    op.member.gone = True
                    entries += [Hears(op.member.outbox, None), Close(op.member.outbox, op.politely)]
        return entries


def ignore(answer: Any) -> None:
    """No thread waits for this answer."""


def told_by(deliveries: list[Delivery[ServerConnection]]) -> ServerConnection | None:
    """Whose deed these deliveries come from."""
    for delivery in deliveries:
        if isinstance(delivery, ToRoom):
            if delivery.but is not None:
                return delivery.but
        else:
            return delivery.who
    return None
