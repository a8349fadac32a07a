"""Backplane: what a server sees of the rooms that it shares with others.

The threads of the clients work here. They give what their people say and do, to happen later, in its
place; and they wait where an answer depends on other servers: whether a nickname is free, who has it, what
a room is called.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from time import monotonic
from typing import Any

from redis import RedisError

from labkit.journal import Journal
from labkit.server.backplane.contact import Contact
from labkit.server.backplane.log import AsksWho, Member, Reached
from labkit.server.backplane.reader import Reader
from labkit.server.backplane.session import WINDOW, Session, Whispering, told_by
from labkit.server.backplane.store import GivenUp, NoRedis, Store, reason
from labkit.server.backplane.writer import Writer
from labkit.server.broadcaster import Courier, ForOne, Hears
from labkit.server.connection import Client, Gone
from labkit.server.delivery import as_bytes, note
from labkit.server.limits import Limits
from labkit.server.rooms import Delivery, House, Refusal, ToOne, presentable
from labkit.server.rooms import Enters as HouseEnters
from labkit.wire import nicknames, sockets
from labkit.wire.messages import (
    CUT_OFF,
    NO_NICKNAME,
    QUIT,
    SERVER_LOST,
    SERVER_STOPPED,
    VANISHED,
    Alive,
    FromClient,
    Join,
    Notice,
    Quit,
    Refused,
    Rename,
    Whisper,
    Who,
    brief,
)

PENDING = 1024 * 1024
"""Bytes of a room that may wait for the writer; then talkers wait."""

LOOK_AROUND = 0.05
"""Seconds between two looks of a thread that waits for Redis at whether its client is still there."""

GIVEN_UP = "this server lost its place among the others: come again"


class Backplane:
    """`open` and `start` it; give it what the server's people do, and it tells the courier what happens.

    Args:
        url: of the Redis; see `Store`.
        house: who of this server's people is where; guarded by `lock`, which is taken before its own.
        ending: set when the server is being stopped.

    Raises:
        ValueError: that is no URL of a Redis.
    """

    def __init__(
        self,
        url: str,
        house: House[Client],
        lock: threading.Lock,
        journal: Journal,
        limits: Limits,
        ending: threading.Event,
    ) -> None:
        self._limits = limits
        self._house, self._house_lock = house, lock
        self._journal = journal
        self._ending = ending
        self._courier: Courier
        self._reader: Reader
        # Guards the session, and the two below. Never held while Redis is asked.
        self._lock = threading.Lock()
        self._session = Session(self._lock)
        self._let_go: set[Client] = set()  # because this server was given up
        self._store = Store(url, min(2.0, limits.lease / 2))
        self._contact = Contact(self._tell_all)
        self._writer = Writer(self._store, limits.lease, self._contact, self._lock, self._begin_anew)

    @property
    def where(self) -> str:
        """Where the Redis is, without its password."""
        return self._store.where

    @property
    def trouble(self) -> str:
        """Why Redis cannot be used just now, if that lasts; "" if it can."""
        return self._contact.why

    def open(self) -> None:
        """See whether there is a Redis that will do; `close` if nothing comes of it.

        Raises:
            NoRedis: there is none.
        """
        self._store.open()

    def close(self) -> None:
        self._store.close()

    def start(self, courier: Courier) -> None:
        """Take part.

        Raises:
            NoRedis: it cannot be reached any more, or will not do.
        """
        self._courier = courier
        try:
            self._writer.start(self._session)
        except (GivenUp, RedisError, OSError) as error:
            self._store.close()
            raise NoRedis(f"no use of the Redis at {self.where}: {reason(error)}") from None
        self._reader = Reader(
            self._store,
            self._contact,
            self._lock,
            lambda: self._session,
            self._writer,
            courier,
            self._journal,
            self._limits.line,
        )
        self._reader.start()

    def settle(self, seconds: float) -> None:
        """Wait until all that was said has been heard here; for so long, and not while Redis is away."""
        if self._contact.cut_off:
            return
        events = []
        with self._lock:
            for room in self._session.rooms.values():
                if room.busy and room.followed.is_set():
                    events.append(threading.Event())
                    self._session.put(room, Reached(events[-1]))
            self._writer.wake()
        give_up = monotonic() + seconds
        for event in events:
            event.wait(max(0.0, give_up - monotonic()))

    def stop(self) -> None:
        """Tell the other servers, and end the threads. Nothing may be given to it any more."""
        self._reader.end()
        self._writer.stop()  # it wakes the reader
        self._reader.join()
        self._store.close()
        with self._lock:
            self._courier.post(self._session.abandon())  # Redis may have been away

    def holds(self, client: Client) -> bool:
        """Whether this one must wait now: Redis is away, or has more to do, or another server has."""
        if self._contact.cut_off:
            return client.named  # a newcomer will wait for the nickname, and be told why
        member = self._session.members.get(client)
        room = member.room if member is not None else None
        return room is not None and (room.lag > WINDOW or room.waiting > PENDING)

    def wake(self) -> None:
        """See to it that what was given is looked at."""
        with self._lock:
            self._writer.wake()

    # --- coming and going ---

    def claim(self, client: Client, nickname: str) -> None:
        """Have this nickname, on all servers, or none.

        Raises:
            Refusal: it is not fit, or somebody has it, or one that looks like it.
            Gone: the client is, or the server is being stopped.
        """
        shown = presentable(nickname)
        with self._lock:
            if client in self._let_go:
                raise Gone(SERVER_LOST)
            session = self._session
            member = session.member(client)
            # From an earlier try: then the house would not have it.
            session.release(member, member.fields)
            member.fields = _fields(shown)
        try:
            self._claim(session, member, shown, member.fields)
        except Refusal:
            with self._lock:
                member.fields = ()
            raise

    def _claim(self, session: Session, member: Member, shown: str, fields: tuple[str, ...]) -> None:
        verdict, who = self._ask(session, member, "claim", member.id, shown, *fields)
        if verdict == b"taken":
            raise Refusal(f"the nickname {shown} is taken")
        if verdict == b"alike":
            raise Refusal(f"the nickname {shown} looks like {who.decode()}, who is here")

    def take(self, deliveries: list[Delivery[Client]]) -> list[Delivery[Client]]:
        """Take what the house decided about a deed of one person: it happens later, in its place.

        Returns what is not for the backplane: what somebody is told who is in no room yet. The house's
        lock must be held.

        Raises:
            Gone: the client has to leave, and whatever it goes on saying is heard by nobody.
        """
        assert self._house_lock.locked()
        client = told_by(deliveries)
        with self._lock:
            if client in self._let_go:
                if client.named:
                    raise Gone(SERVER_LOST)
                return []  # it is just being let in, and will find out
            member = self._session.members.get(client) if client is not None else None
            if member is None or (member.room is None and not isinstance(deliveries[0], HouseEnters)):
                return deliveries
            self._tell_why_it_waits(member)
            for delivery in deliveries:
                self._session.add(member, delivery)
            self._session.given += 1
            self._writer.wake()
        return []

    def end(self, client: Client, politely: bool, stopping: bool = False) -> bool:
        """The client has left. Its connection will be closed when all have heard it; or, False, is to be
        closed now. A server that stops says goodbye for all of its people at once."""
        with self._lock:
            self._let_go.discard(client)
            member = self._session.members.pop(client, None)
            if member is None:
                return False
            self._writer.wake()
            if member.room is None:  # it was never let in
                self._session.release(member, member.fields)
                return False
            member.gone = stopping or not politely or self._contact.cut_off
            if stopping:
                return False
            self._session.end(member, politely)
            return not member.gone

    def was_let_go(self, client: Client) -> bool:
        """Whether it has to leave because this server was given up: the others have been told then."""
        with self._lock:
            return client in self._let_go

    # --- what somebody asks for, in their own thread ---

    def do(self, client: Client, asked: Sequence[FromClient | Refusal]) -> None:
        """Do what these lines ask for, one after the other.

        Raises:
            Gone: they ask for the end; or that came while something had to wait.
        """
        client.whispered_to = set()
        whispers: list[Whispering] = []
        try:
            for what in asked:
                if isinstance(what, Whisper):
                    if not whispers:  # what was said before it is heard before it
                        self._wait_for_what_it_did(self._session, self._member(client))
                    whispers.append(self._whisper(client, what))
                    continue
                self._end_whispers(client, whispers)
                if isinstance(what, Quit):
                    raise Gone(QUIT)
                try:
                    self._do(client, what)
                except Refusal as refusal:
                    self._refuse(client, str(refusal))
            self._end_whispers(client, whispers)
        finally:
            self.wake()

    def _do(self, client: Client, what: FromClient | Refusal) -> None:
        if isinstance(what, Refusal):
            raise what
        if isinstance(what, Rename):
            self._rename(client, what)
        elif isinstance(what, Join):
            self._move(client, what)
        elif isinstance(what, Who):
            session, member = self._session, self._member(client)
            assert member.room is not None
            if member.room.waiting > PENDING:  # a short question can have a long answer
                self._wait_for_what_it_did(session, member)
            with self._lock:
                session.put(member.room, AsksWho(member))
        elif not isinstance(what, Alive):
            with self._house_lock:
                self.take(self._house.hear(client, what))

    def _refuse(self, client: Client, why: str) -> None:
        refused = ToOne(client, Refused(why))
        with self._house_lock:
            note(self._journal, refused, self._house.nickname)
            self.take([refused])

    def _member(self, client: Client) -> Member:
        with self._lock:
            if client not in self._session.members:
                raise Gone(SERVER_LOST)
            return self._session.members[client]

    def _rename(self, client: Client, what: Rename) -> None:
        shown = presentable(what.new)
        session, member = self._session, self._member(client)
        # The name before the last may be on its way to be released: not to be claimed before that is done.
        self._wait_for_what_it_did(session, member)
        old, new = member.fields, _fields(shown)
        with self._lock:
            member.fields = (*old, *new)  # all of them to be released, should it go while it waits
        try:
            self._claim(session, member, shown, new)
        except Refusal:
            with self._lock:
                member.fields = old
            raise
        with self._house_lock:
            try:
                renamed = self._house.hear(client, what)
            except Refusal:
                with self._lock:
                    member.fields = old
                    session.release(member, {*new} - {*old})
                raise
            self.take(renamed)
            with self._lock:
                member.fields = new
                session.release(member, {*old} - {*new}, with_next_turn=True)

    def _move(self, client: Client, what: Join) -> None:
        try:
            name = nicknames.fit(what.room)
        except nicknames.BadName as error:
            raise Refusal(f"not a room's name: {error}") from None
        session, member = self._session, self._member(client)
        assert member.room is not None
        key = nicknames.key(name)
        if key != member.room.key:
            with self._lock:
                room = session.follow(key, name)
                self._writer.wake()
            try:
                self._wait_for(session, client, room.followed)
            except Gone:
                with self._lock:
                    session.leave(room)
                raise
            name = room.name
        with self._house_lock:  # it refuses only who is there already, and for them nothing was followed
            self.take(self._house.hear(client, Join(name)))

    def _wait_for_what_it_did(self, session: Session, member: Member) -> None:
        reached = threading.Event()
        with self._lock:
            if member.room is not None and member.room.busy:
                session.put(member.room, Reached(reached))
                self._writer.wake()
            else:
                return
        self._wait_for(session, member.client, reached)

    # --- whispers: the server that has the addressee tells whether they have heard it ---

    def _whisper(self, client: Client, what: Whisper) -> Whispering:
        """It is on its way; or it cannot be, and the refusal says why."""
        nobody = f"nobody here is called {brief(what.to)}"
        with self._house_lock:
            own = self._house.nickname(client)
        whispering = Whispering(nobody)
        whispering.done.set()
        try:
            key = nicknames.key(nicknames.fit(what.to))
            if key == nicknames.key(own):
                raise Refusal("that is you")
            line = as_bytes(self._house.whispered(own, what.text))
        except nicknames.BadName:
            return whispering
        except Refusal as refusal:
            whispering.refusal = str(refusal)
            return whispering
        with self._lock:
            here = self._session.names.get(key)
            if here is not None and not here.gone:
                self._courier.post([ForOne(here.client, line)])
                client.whispered_to.add(here.client)
                whispering.heard = True
            else:
                whispering.done.clear()
                self._session.whisper(f"n:{key}", line, whispering)
                self._writer.wake()
        self._courier.wake()
        whispering.news = (own, what.text, what.to)
        return whispering

    def _end_whispers(self, client: Client, whispers: list[Whispering]) -> None:
        for whispering in whispers:
            self._wait_for(self._session, client, whispering.done)
            if whispering.heard:
                who, text, to = whispering.news
                self._journal.record("whispered", who, text, to)
            else:
                self._refuse(client, whispering.refusal)
        whispers.clear()

    # --- waiting ---

    def _ask(self, session: Session, member: Member, name: str, *arguments: str) -> Any:
        """Have something done in Redis, and wait for the answer. Raises Gone."""
        with self._lock:
            request = session.ask(name, *arguments)
            self._writer.wake()
        self._wait_for(session, member.client, request.done)
        return request.answer

    def _wait_for(self, session: Session, client: Client, event: threading.Event) -> None:
        """Raises Gone if the client is, or the server stops, or is given up."""
        while not event.wait(LOOK_AROUND):
            if session.over:
                break
            if self._ending.is_set():
                raise Gone(SERVER_STOPPED)
            if client.in_the_way:
                raise Gone(NO_NICKNAME)
            # Who has only hung up is not gone: what they said before that is still to be done.
            if client.failed or sockets.ended_by(client.sock) == "RST":
                raise Gone(client.failed or VANISHED)
            with self._lock:
                self._tell_why_it_waits(session.members.get(client))
            self._courier.wake()
        if session.over:
            raise Gone(SERVER_LOST)

    def _tell_why_it_waits(self, member: Member | None) -> None:
        """Somebody who came after all others were told that Redis is away. The lock must be held."""
        if member is not None and self._contact.told and not member.told:
            member.told = True
            self._courier.post([ForOne(member.client, as_bytes(Notice(CUT_OFF)))])

    # --- in the threads that talk to Redis ---

    def _tell_all(self, text: str, why: str) -> None:
        notice, cut_off = as_bytes(Notice(text)), text == CUT_OFF
        self._journal.record("backplane", what=f"{text} ({why})" if why else text)
        with self._lock:
            for member in self._session.members.values():
                if member.told != cut_off and (member.room is not None or member.told):
                    member.told = cut_off
                    self._courier.post([ForOne(member.client, notice)])
        self._courier.wake()

    def _begin_anew(self, why: str) -> Session:
        """This server was given up: its people have to go."""
        self._journal.record("given up", what=why)
        notice = as_bytes(Notice(GIVEN_UP))
        with self._house_lock, self._lock:
            entries = self._session.abandon()
            for client in self._session.members:
                self._let_go.add(client)
                entries += [ForOne(client, notice), Hears(client, None)]
                sockets.shut(
                    client.sock, socket.SHUT_RD
                )  # wakes its thread; the last word can still go out
            self._courier.post(entries)
            self._session = Session(self._lock)
        self._courier.wake()
        return self._session


def _fields(nickname: str) -> tuple[str, ...]:
    """What of Redis's table of names this one takes up: itself, and what it looks like."""
    return (f"n:{nicknames.key(nickname)}", *(f"l:{look}" for look in sorted(nicknames.looks(nickname))))
