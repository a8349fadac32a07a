"""Backplane: a server's side of the rooms that it shares with others.

The hub hands it what clients do; it writes that to the shared log, and applies it when the log says so. A
client's thread waits here where an answer depends on other servers.
"""

from __future__ import annotations

import threading
from time import monotonic

from redis import RedisError

from labkit.journal import Journal
from labkit.server.backplane.contact import Contact
from labkit.server.backplane.log import Member, Reached
from labkit.server.backplane.reader import Reader
from labkit.server.backplane.session import WINDOW, Session, told_by
from labkit.server.backplane.store import GivenUp, NoRedis, Store, reason
from labkit.server.backplane.writer import Writer
from labkit.server.broadcaster import Broadcaster
from labkit.server.connection import Disconnected, ServerConnection
from labkit.server.delivery import ForOne, Hears
from labkit.server.limits import Limits
from labkit.server.rooms import Delivery, Enters
from labkit.wire import sockets
from labkit.wire.messages import (
    CUT_OFF,
    NO_NICKNAME,
    SERVER_LOST,
    SERVER_STOPPED,
    VANISHED,
    Notice,
)

PENDING = 1024 * 1024
"""Bytes of a room that may wait for the writer; then talkers wait."""

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
        self.broadcaster: Broadcaster
        self._reader: Reader
        # Guards the session, and the two below. Never held while Redis is asked.
        self.lock = threading.Lock()
        self.session = Session(self.lock)
        self.let_go: set[ServerConnection] = set()  # because this server was given up
        self._store = Store(url, min(2.0, limits.lease / 2))
        self._contact = Contact(self._tell_all)
        self.writer = Writer(self._store, limits.lease, self._contact, self.lock, self._begin_anew)

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
        self.broadcaster = broadcaster
        try:
            self.writer.start(self.session)
        except (GivenUp, RedisError, OSError) as error:
            self._store.close()
            raise NoRedis(f"no use of the Redis at {self.where}: {reason(error)}") from None
        self._reader = Reader(
            self._store,
            self._contact,
            self.lock,
            lambda: self.session,
            self.writer,
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
        with self.lock:
            for room in self.session.rooms.values():
                if room.busy and room.followed.is_set():
                    events.append(threading.Event())
                    self.session.put(room, Reached(events[-1]))
            self.writer.wake()
        give_up = monotonic() + seconds
        for event in events:
            event.wait(max(0.0, give_up - monotonic()))

    def stop(self) -> None:
        """Tell the other servers, and end the threads. Nothing may be given to it any more."""
        self._reader.end()
        self.writer.stop()  # it wakes the reader
        self._reader.join()
        self._store.close()
        with self.lock:
            self.broadcaster.post(self.session.abandon())  # Redis may have been away

    def holds(self, client: ServerConnection) -> bool:
        """Whether this one must wait now: Redis is away, or has more to do, or another server has."""
        if self._contact.cut_off:
            return client.named  # a newcomer will wait for the nickname, and be told why
        member = self.session.members.get(client)
        room = member.room if member is not None else None
        return room is not None and (room.lag > WINDOW or room.waiting > PENDING)

    def wake(self) -> None:
        """See to it that what was given is looked at."""
        with self.lock:
            self.writer.wake()

    # --- coming and going ---

    def take(self, deliveries: list[Delivery[ServerConnection]]) -> list[Delivery[ServerConnection]]:
        """Take what the rooms decided about a deed of one client: it happens later, in its place.

        Returns what is not for the backplane: what a client is told that is in no room yet. The hub's
        lock must be held.

        Raises:
            Disconnected: the client has to leave; nothing that it goes on saying is heard.
        """
        assert self._hub_lock.locked()
        client = told_by(deliveries)
        with self.lock:
            if client in self.let_go:
                if client.named:
                    raise Disconnected(SERVER_LOST)
                return []  # it is just being let in, and will find out
            member = self.session.members.get(client) if client is not None else None
            if member is None or (member.room is None and not isinstance(deliveries[0], Enters)):
                return deliveries
            self._tell_why_it_waits(member)
            for delivery in deliveries:
                self.session.add(member, delivery)
            self.session.given += 1
            self.writer.wake()
        return []

    def end(self, client: ServerConnection, politely: bool, stopping: bool = False) -> bool:
        """The client has left. Its connection will be closed when all have heard it; or, False, is to be
        closed now. A server that stops says goodbye for all of its people at once."""
        with self.lock:
            self.let_go.discard(client)
            member = self.session.members.pop(client, None)
            if member is None:
                return False
            self.writer.wake()
            if member.room is None:  # it was never let in
                self.session.release(member, member.fields)
                return False
            member.gone = stopping or not politely or self._contact.cut_off
            if stopping:
                return False
            self.session.end(member, politely)
            return not member.gone

    def was_let_go(self, client: ServerConnection) -> bool:
        """Whether it has to leave because this server was given up: the others have been told then."""
        with self.lock:
            return client in self.let_go

    # --- for threads that wait (requests.py) ---

    def member(self, client: ServerConnection) -> tuple[Session, Member]:
        """What stands for the client, in this life of the server.

        Raises:
            Disconnected: the server was given up since the client came.
        """
        with self.lock:
            if client not in self.session.members:
                raise Disconnected(SERVER_LOST)
            return self.session, self.session.members[client]

    def look_around(self, session: Session, client: ServerConnection) -> None:
        """Between two looks at whether what the client waits for has come.

        Raises:
            Disconnected: the client is; or the server stops.
        """
        if self._ending.is_set():
            raise Disconnected(SERVER_STOPPED)
        if client.in_the_way:
            raise Disconnected(NO_NICKNAME)
        # One that has only hung up is not gone: what it said before that is still to be done.
        if client.outbox.failed or sockets.ended_by(client.sock) == "RST":
            raise Disconnected(client.outbox.failed or VANISHED)
        with self.lock:
            self._tell_why_it_waits(session.members.get(client))
        self.broadcaster.wake()

    def _tell_why_it_waits(self, member: Member | None) -> None:
        """It came after all others were told that Redis is away. The lock must be held."""
        if member is not None and self._contact.told and not member.told:
            member.told = True
            self.broadcaster.post([ForOne(member.outbox, Notice(CUT_OFF).data())])

    # --- in the threads that talk to Redis ---

    def _tell_all(self, text: str, why: str) -> None:
        notice, cut_off = Notice(text).data(), text == CUT_OFF
        self._journal.record("backplane", what=f"{text} ({why})" if why else text)
        with self.lock:
            for member in self.session.members.values():
                if member.told != cut_off and (member.room is not None or member.told):
                    member.told = cut_off
                    self.broadcaster.post([ForOne(member.outbox, notice)])
        self.broadcaster.wake()

    def _begin_anew(self, why: str) -> Session:
        """This server was given up: its people have to go."""
        self._journal.record("given up", what=why)
        notice = Notice(GIVEN_UP).data()
        with self._hub_lock, self.lock:
            entries = self.session.abandon()
            for client in self.session.members:
                self.let_go.add(client)
                entries += [ForOne(client.outbox, notice), Hears(client.outbox, None)]
                sockets.stop_reading(client.sock)  # wakes its thread; the last word can still go out
            self.broadcaster.post(entries)
            self.session = Session(self.lock)
        self.broadcaster.wake()
        return self.session
