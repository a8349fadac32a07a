"""Backplane: what a server sees of the rooms that it shares with others.

The hub gives it what clients do, to happen later, in its place; and it makes a client's thread wait where
an answer depends on other servers.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
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
from labkit.server.broadcaster import Broadcaster
from labkit.server.connection import Disconnected, ServerConnection
from labkit.server.delivery import ForOne, Hears, as_bytes
from labkit.server.limits import Limits
from labkit.server.rooms import Delivery, Enters, Refusal, presentable
from labkit.wire import nicknames, sockets
from labkit.wire.messages import (
    CUT_OFF,
    NO_NICKNAME,
    SERVER_LOST,
    SERVER_STOPPED,
    TAKEN,
    VANISHED,
    Notice,
)

PENDING = 1024 * 1024
"""Bytes of a room that may wait for the writer; then talkers wait."""

LOOK_AROUND = 0.05
"""Seconds between two looks of a thread that waits for Redis at whether its client is still there."""

GIVEN_UP = "this server lost its place among the others: come again"


class Backplane:
    """`open` and `start` it; give it what clients do, and it tells the broadcaster what happens.

    Args:
        url: of the Redis; see `Store`.
        hub_lock: guards the rooms; it is taken before the backplane's own.
        ending: set when the server is being stopped.

    Raises:
        ValueError: that is no URL of a Redis.
    """

    def __init__(
        self,
        url: str,
        hub_lock: threading.Lock,
        journal: Journal,
        limits: Limits,
        ending: threading.Event,
    ) -> None:
        self._limits = limits
        self._hub_lock = hub_lock
        self._journal = journal
        self._ending = ending
        self._broadcaster: Broadcaster
        self._reader: Reader
        # Guards the session, and the two below. Never held while Redis is asked.
        self._lock = threading.Lock()
        self._session = Session(self._lock)
        self._let_go: set[ServerConnection] = set()  # because this server was given up
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

    def start(self, broadcaster: Broadcaster) -> None:
        """Take part.

        Raises:
            NoRedis: it cannot be reached any more, or will not do.
        """
        self._broadcaster = broadcaster
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
            broadcaster,
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
            self._broadcaster.post(self._session.abandon())  # Redis may have been away

    def holds(self, client: ServerConnection) -> bool:
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

    def claim(self, client: ServerConnection, nickname: str) -> None:
        """Have this nickname, on all servers, or none.

        Raises:
            Refusal: it is not fit, or a client has it, or one that looks like it.
            Disconnected: the client is, or the server is being stopped.
        """
        shown = presentable(nickname)
        with self._lock:
            if client in self._let_go:
                raise Disconnected(SERVER_LOST)
            session = self._session
            member = session.member(client)
            # From an earlier try: then the rooms would not have it.
            session.release(member, member.fields)
            member.fields = _fields(shown)
        try:
            self._claim(session, member, shown, member.fields)
        except Refusal:
            with self._lock:
                member.fields = ()
            raise

    @contextmanager
    def claimed(self, client: ServerConnection, shown: str) -> Iterator[None]:
        """While the client takes this nickname instead of its own. Raises as `claim` does."""
        session, member = self._session, self._member(client)
        # The name before the last may be on its way to be released: not to be claimed before that is done.
        self.wait_until_done(client)
        old, new = member.fields, _fields(shown)
        with self._lock:
            member.fields = (*old, *new)  # all of them to be released, should it go while it waits
        try:
            self._claim(session, member, shown, new)
        except Refusal:
            with self._lock:
                member.fields = old
            raise
        try:
            yield
        except Refusal:
            with self._lock:
                member.fields = old
                session.release(member, {*new} - {*old})
            raise
        with self._lock:
            member.fields = new
            session.release(member, {*old} - {*new}, with_next_turn=True)

    def _claim(self, session: Session, member: Member, shown: str, fields: tuple[str, ...]) -> None:
        verdict, who = self._ask(session, member, "claim", member.id, shown, *fields)
        if verdict == b"taken":
            raise Refusal(f"the nickname {shown} {TAKEN}")
        if verdict == b"alike":
            raise Refusal(f"the nickname {shown} looks like {who.decode()}, who is here")

    def take(self, deliveries: list[Delivery[ServerConnection]]) -> list[Delivery[ServerConnection]]:
        """Take what the rooms decided about a deed of one client: it happens later, in its place.

        Returns what is not for the backplane: what a client is told that is in no room yet. The hub's
        lock must be held.

        Raises:
            Disconnected: the client has to leave, and whatever it goes on saying is heard by nobody.
        """
        assert self._hub_lock.locked()
        client = told_by(deliveries)
        with self._lock:
            if client in self._let_go:
                if client.named:
                    raise Disconnected(SERVER_LOST)
                return []  # it is just being let in, and will find out
            member = self._session.members.get(client) if client is not None else None
            if member is None or (member.room is None and not isinstance(deliveries[0], Enters)):
                return deliveries
            self._tell_why_it_waits(member)
            for delivery in deliveries:
                self._session.add(member, delivery)
            self._session.given += 1
            self._writer.wake()
        return []

    def end(self, client: ServerConnection, politely: bool, stopping: bool = False) -> bool:
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

    def was_let_go(self, client: ServerConnection) -> bool:
        """Whether it has to leave because this server was given up: the others have been told then."""
        with self._lock:
            return client in self._let_go

    # --- what clients ask for ---

    def follow(self, client: ServerConnection, name: str) -> str:
        """See to it that this room can be entered; returns what it is called."""
        session, member = self._session, self._member(client)
        key = nicknames.key(name)
        assert member.room is not None
        if key == member.room.key:
            return name
        with self._lock:
            room = session.follow(key, name)
            self._writer.wake()
        try:
            self._wait_for(session, client, room.followed)
        except Disconnected:
            with self._lock:
                session.leave(room)
            raise
        return room.name

    def tell_who(self, client: ServerConnection) -> None:
        """Tell it who is in its room, in the place that the question has among all that happens there."""
        session, member = self._session, self._member(client)
        assert member.room is not None
        if member.room.waiting > PENDING:  # a short question can have a long answer
            self.wait_until_done(client)
        with self._lock:
            session.put(member.room, AsksWho(member))

    def whisper(self, client: ServerConnection, key: str, line: bytes, whispering: Whispering) -> None:
        """Send the line to the client that has this nickname, on whatever server."""
        with self._lock:
            here = self._session.names.get(key)
            if here is not None and not here.gone:
                self._broadcaster.post([ForOne(here.outbox, line)])
                client.whispered_to.add(here.outbox)
                whispering.heard = True
            else:
                whispering.done.clear()
                self._session.whisper(f"n:{key}", line, whispering)
                self._writer.wake()

    # --- waiting ---

    def wait_until_done(self, client: ServerConnection) -> None:
        """Wait until all that this client did has happened. Raises Disconnected as `wait_for` does."""
        session, member = self._session, self._member(client)
        reached = threading.Event()
        with self._lock:
            if member.room is None or not member.room.busy:
                return
            session.put(member.room, Reached(reached))
            self._writer.wake()
        self._wait_for(session, client, reached)

    def wait_for(self, client: ServerConnection, event: threading.Event) -> None:
        """Wait for it.

        Raises:
            Disconnected: the client is; or the server stops, or was given up.
        """
        self._wait_for(self._session, client, event)

    def _member(self, client: ServerConnection) -> Member:
        with self._lock:
            if client not in self._session.members:
                raise Disconnected(SERVER_LOST)
            return self._session.members[client]

    def _ask(self, session: Session, member: Member, name: str, *arguments: str) -> Any:
        """Have something done in Redis, and wait for the answer. Raises Disconnected."""
        with self._lock:
            request = session.ask(name, *arguments)
            self._writer.wake()
        self._wait_for(session, member.client, request.done)
        return request.answer

    def _wait_for(self, session: Session, client: ServerConnection, event: threading.Event) -> None:
        while not event.wait(LOOK_AROUND):
            if session.over:
                break
            if self._ending.is_set():
                raise Disconnected(SERVER_STOPPED)
            if client.in_the_way:
                raise Disconnected(NO_NICKNAME)
            # One that has only hung up is not gone: what it said before that is still to be done.
            if client.outbox.failed or sockets.ended_by(client.sock) == "RST":
                raise Disconnected(client.outbox.failed or VANISHED)
            with self._lock:
                self._tell_why_it_waits(session.members.get(client))
            self._broadcaster.wake()
        if session.over:
            raise Disconnected(SERVER_LOST)

    def _tell_why_it_waits(self, member: Member | None) -> None:
        """Somebody who came after all others were told that Redis is away. The lock must be held."""
        if member is not None and self._contact.told and not member.told:
            member.told = True
            self._broadcaster.post([ForOne(member.outbox, as_bytes(Notice(CUT_OFF)))])

    # --- in the threads that talk to Redis ---

    def _tell_all(self, text: str, why: str) -> None:
        notice, cut_off = as_bytes(Notice(text)), text == CUT_OFF
        self._journal.record("backplane", what=f"{text} ({why})" if why else text)
        with self._lock:
            for member in self._session.members.values():
                if member.told != cut_off and (member.room is not None or member.told):
                    member.told = cut_off
                    self._broadcaster.post([ForOne(member.outbox, notice)])
        self._broadcaster.wake()

    def _begin_anew(self, why: str) -> Session:
        """This server was given up: its people have to go."""
        self._journal.record("given up", what=why)
        notice = as_bytes(Notice(GIVEN_UP))
        with self._hub_lock, self._lock:
            entries = self._session.abandon()
            for client in self._session.members:
                self._let_go.add(client)
                entries += [ForOne(client.outbox, notice), Hears(client.outbox, None)]
                sockets.shut(
                    client.sock, socket.SHUT_RD
                )  # wakes its thread; the last word can still go out
            self._broadcaster.post(entries)
            self._session = Session(self._lock)
        self._broadcaster.wake()
        return self._session


def _fields(nickname: str) -> tuple[str, ...]:
    """What of Redis's table of names this one takes up: itself, and what it looks like."""
    return (f"n:{nicknames.key(nickname)}", *(f"l:{look}" for look in sorted(nicknames.looks(nickname))))
