"""The reader: the one thread that reads the rooms' streams, and lets happen what stands in them.

What other servers' clients said is bytes for all who hear the room. What this server's own clients did
comes back with an entry that names a turn of this server; what is to happen then was kept (log.py).

A room that a client here hears too slowly is read no further meanwhile, and while the broadcaster has more
than enough to deliver, none is: the streams can wait, and the talkers there wait for them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

from redis import RedisError

from labkit.journal import Journal
from labkit.server.backplane.contact import Contact, growing_pauses
from labkit.server.backplane.log import (
    Answered,
    AsksWho,
    Ends,
    Enters,
    Entry,
    Exits,
    Member,
    Op,
    Reached,
    SharedRoom,
    Told,
    changes_of,
)
from labkit.server.backplane.session import Session
from labkit.server.backplane.store import Command, Entries, Store, reason
from labkit.server.backplane.writer import TELL_READ, Writer
from labkit.server.broadcaster import Broadcaster
from labkit.server.delivery import Close, ForOne, ForRoom, Hears, note
from labkit.server.delivery import Entry as LogEntry
from labkit.server.rooms import who_is_here
from labkit.wire import nicknames
from labkit.wire.messages import Joined, Left, Renamed

SECONDS = 1.0
"""How long to wait for something new before looking around."""

BRIEFLY = 0.02
"""The same, while there is a room that is not read because a client here is slow, or mail to be opened."""

LONGEST_WAIT = 0.2
"""Seconds that a room waits for a client to come from one with a slow reader: once, not for each."""

FORGIVEN = 5.0
"""Seconds after which a room without a slow reader meanwhile counts as one without."""

LATELY = 1.0
"""Seconds after which a room where nothing happens is read no more, until the mail tells of something."""


class Reader:
    """`start` it; to end it, `end`, see to it that something comes that it waits for, and `join`."""

    def __init__(
        self,
        store: Store,
        contact: Contact,
        lock: threading.Lock,
        session: Callable[[], Session],
        writer: Writer,
        broadcaster: Broadcaster,
        journal: Journal,
        max_line: int,
    ) -> None:
        self._store = store
        self._contact = contact
        self._lock = lock  # the session's
        self._session = session
        self._writer = writer
        self._broadcaster = broadcaster
        self._journal = journal
        self._max_line = max_line
        self._slow: dict[str, tuple[float, float]] = {}  # rooms that held up others: since when, and lately
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._read, name="labkit-backplane-read", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Read no more, after what it may be waiting for just now."""
        self._stopping.set()

    def join(self) -> None:
        self._thread.join()

    # --- its thread ---

    def _read(self) -> None:
        pauses = growing_pauses()
        while not self._stopping.is_set():
            if self._broadcaster.full or self._session().broken:
                self._stopping.wait(BRIEFLY)
                continue
            with self._lock:
                session = self._session()
                self._answer_late(session)
                streams = {f"labkit:mail:{session.server}": session.mail}
                asked: dict[str, SharedRoom] = {}
                lively = set(session.lively)
                briefly = bool(session.late or session.letters)
                for room in lively:
                    if self._broadcaster.is_slow(room.name):
                        briefly = True
                    else:
                        streams[room.stream] = room.last
                        asked[room.stream] = room
            try:
                found = self._store.read(streams, BRIEFLY if briefly else SECONDS)
            except (RedisError, OSError) as error:
                if "WRONGTYPE" in str(error):  # a new session clears it away
                    with self._lock:
                        self._break(session, reason(error))
                elif not self._stopping.is_set():
                    self._contact.lost("reader", monotonic(), reason(error))
                    self._stopping.wait(next(pauses))
                continue
            self._contact.found("reader")
            pauses = growing_pauses()
            with self._lock:
                if not session.over:
                    try:
                        self._take(session, asked, lively, found)
                    except Exception as error:
                        # Whatever it is: a server that hears nothing any more must not seem to be well.
                        self._break(session, f"cannot read what is there: {error!r}")
            self._broadcaster.wake()

    def _break(self, session: Session, why: str) -> None:
        """It cannot go on from what it reads. The lock must be held."""
        session.broken = why
        self._writer.wake()

    def _take(
        self, session: Session, asked: dict[str, SharedRoom], lively: set[SharedRoom], found: Entries
    ) -> None:
        """`asked`: the rooms that were read; `lively`: with those that a client here is too slow for."""
        rooms: dict[SharedRoom, None] = {}
        now = monotonic()
        mail = f"labkit:mail:{session.server}"
        for stream, entries in found:
            if stream == mail:
                for at, fields in entries:
                    if fields[b"p"].decode() != session.mail:
                        return self._break(session, "a letter is missing")
                    session.mail = at
                    session.letters.append(fields)
                continue
            room = asked[stream]
            if session.rooms.get(room.key) is not room:
                continue  # it was left, and perhaps followed anew, while this was read
            rooms[room] = None
            session.lively[room] = now
            for at, fields in entries:
                entry = Entry(at, fields)
                if fields.get(b"x") == session.server.encode():
                    return self._break(session, "the others have given this server up")
                if int(fields[b"a"]) != room.read:
                    return self._break(session, f"something is missing in {room.name}")
                room.last = at
                room.read += entry.size
                room.unheard.append(entry)
        self._let_happen(session, rooms)
        # After that: who whispers may have said something aloud before.
        while session.letters:
            fields = session.letters.popleft()
            if b"n" not in fields:
                self._open(session, fields)
                continue
            rung = session.ring(fields[b"n"].decode())
            if rung is not None and rung not in lively:
                break  # the rest is opened when that room has been read
        for room in asked.values():
            quiet = now - session.lively.get(room, now) > LATELY
            if quiet and not (room.sent or room.now or room.unheard or room.hushing):
                session.hush(room)
        if session.requests:
            self._writer.wake()

    # --- the mail ---

    def _open(self, session: Session, fields: dict[bytes, bytes]) -> None:
        if b"w" in fields:
            member = session.names.get(fields[b"f"].decode().removeprefix("n:"))
            heard = member is not None and not member.gone
            if member is not None and heard:
                self._broadcaster.post([ForOne(member.outbox, fields[b"t"])])
            answer: Command = ("answer", (fields[b"s"].decode(), int(fields[b"w"]), int(heard)))
            if member is not None and heard and self._broadcaster.is_far(member.outbox):
                session.late.append((member, answer))
            else:
                session.want(*answer)
        elif b"r" in fields:
            session.answer(int(fields[b"r"]), fields[b"heard"] == b"1")
        elif b"gone" in fields:
            session.lose(fields[b"gone"].decode())

    def _answer_late(self, session: Session) -> None:
        """Whispers to a client that is far behind are answered when it has caught up: their sender waits,
        as one does that talks in its room."""
        waiting, session.late = session.late, []
        for member, answer in waiting:
            if self._broadcaster.is_far(member.outbox):
                session.late.append((member, answer))
            else:
                session.want(*answer)
                self._writer.wake()

    # --- what happens in the rooms ---

    def _let_happen(self, session: Session, rooms: dict[SharedRoom, None]) -> None:
        """All that can. A client that moves enters the new room only after it has left the old one: so
        a room may have to wait for another one, and goes on when that has got so far."""
        moving = True
        waiting: dict[SharedRoom, None] = dict.fromkeys(room for room in session.lively if room.now) | rooms
        while moving and waiting:
            moving = False
            for room in list(waiting):
                entries: list[LogEntry] = []
                before = (len(room.unheard), len(room.now))
                done = self._go_on(session, room, entries)
                self._broadcaster.post(entries)
                moving |= before != (len(room.unheard), len(room.now))
                if done:
                    del waiting[room]
                if room.untold > TELL_READ:
                    session.touched[room] = None
                    self._writer.wake()

    def _go_on(self, session: Session, room: SharedRoom, entries: list[LogEntry]) -> bool:
        """What is next in this room. False: it must wait for another one."""
        while True:
            while room.now:
                op = room.now[0]
                if isinstance(op, Enters) and op.after is not None and not op.after.done:
                    if not self._in_a_hurry(op.after):
                        return False
                    entries.append(Hears(op.member.outbox, None))
                room.now.popleft()
                self._happen(session, room, op, entries)
            if not room.unheard:
                session.leave_if_empty(room)
                return True
            entry = room.unheard.popleft()
            fields = entry.fields
            room.heard += entry.size
            room.heard_id = entry.id
            if b"x" in fields:
                self._lose(session, room, fields, entries)
            elif fields[b"o"].decode() == session.server:
                turn, batch = room.sent.popleft()
                assert turn == int(fields[b"k"])
                room.now.extend(batch.ops)
            else:
                for what, person, nickname in changes_of(entry):
                    room.change(what, person, nickname)
                if text := fields[b"t"]:
                    entries.append(ForRoom(room.name, text))

    def _in_a_hurry(self, exits: Exits) -> bool:
        """A whole room waits for a client to come from one that is not read, as a reader there is slow. Not
        for ever: a client that leaves such a room need not have heard all of it."""
        now = monotonic()
        if self._broadcaster.is_slow(exits.room):
            since, _ = self._slow.get(exits.room, (now, now))
            self._slow[exits.room] = since, now
        since, lately = self._slow.get(exits.room, (now, now))
        if now - lately > FORGIVEN:
            del self._slow[exits.room]
        exits.done = exits.early = now - since > LONGEST_WAIT
        return exits.done

    def _happen(self, session: Session, room: SharedRoom, op: Op, entries: list[LogEntry]) -> None:
        """Something that one of this server's people did."""
        if isinstance(op, Told):
            entries.append(ForRoom(room.name, op.data, op.member.outbox if op.delivery.but else None))
            note(self._journal, op.delivery, lambda who: "")
            if not op.is_talk:
                room.happened(op)
                self._rename(session, op)
        elif isinstance(op, Answered):
            if not op.member.gone:
                entries.append(ForOne(op.member.outbox, op.data))
        elif isinstance(op, AsksWho):
            if not op.member.gone:
                entries += self._who(room, op.member)
        elif isinstance(op, Exits):
            op.done = True
            if not op.member.gone and not op.early:
                entries.append(Hears(op.member.outbox, None))
            room.users -= op.moves
        elif isinstance(op, Enters):
            if not op.member.gone:
                entries.append(Hears(op.member.outbox, room.name))
        elif isinstance(op, Ends):
            room.users -= 1
            if not op.member.gone:
                op.member.gone = True
                entries += [Hears(op.member.outbox, None), Close(op.member.outbox, op.politely)]
        elif isinstance(op, Reached):
            op.event.set()

    def _who(self, room: SharedRoom, member: Member) -> list[LogEntry]:
        notices = who_is_here(room.name, list(room.members.values()), self._max_line)
        return [ForOne(member.outbox, notice.data()) for notice in notices]

    def _rename(self, session: Session, told: Told) -> None:
        """Under which name whispers reach this one from now on."""
        match told.delivery.message:
            case Joined(who):
                session.names[nicknames.key(who)] = told.member
            case Renamed(old, new):
                if session.names.get(nicknames.key(old)) is told.member:
                    del session.names[nicknames.key(old)]
                session.names[nicknames.key(new)] = told.member
            case Left(who):
                if session.names.get(nicknames.key(who)) is told.member:
                    del session.names[nicknames.key(who)]

    def _lose(
        self, session: Session, room: SharedRoom, fields: dict[bytes, bytes], entries: list[LogEntry]
    ) -> None:
        """Another server is gone, and all its people with it."""
        why = fields[b"why"].decode()
        for nickname in room.lose(fields[b"x"].decode()):
            left = Left(nickname, why)
            self._journal.record("left", nickname, why, room.name)
            entries.append(ForRoom(room.name, left.data()))
