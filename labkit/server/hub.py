"""What a client does to what all clients share, under one lock.

`LocalHub` is the rooms of one server, and a broadcaster; backplane/hub.py has the same on Redis.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from labkit.journal import Journal, Run
from labkit.server.broadcaster import UNREAD, Broadcaster
from labkit.server.connection import Disconnected, ServerConnection
from labkit.server.delivery import Close, Entry, ForOne, ForRoom, Hears, as_entry, note
from labkit.server.limits import Limits
from labkit.server.rooms import Delivery, Person, Refusal, Rooms, Spoken, ToOne
from labkit.server.slots import ConnectionSlots
from labkit.wire import nicknames
from labkit.wire.messages import (
    NO_NICKNAME,
    QUIT,
    RST,
    SERVER_STOPPED,
    FromClient,
    FromServer,
    Heartbeat,
    Notice,
    Quit,
    Reason,
    Refused,
)

LAST_LINES = 1.0
"""Seconds that what was said before a stop has to come back from a backplane."""


AT_ONCE = 500
"""Chunks of talk that may wait to be posted; together, as others hear them, no more than UNREAD."""

LONGEST_PREFIX = 4 * nicknames.MAX_CHARACTERS + len(b": ")
"""Bytes that stand before a line that is said. No character takes more than 4."""


class Hub(Protocol):
    """What a client's thread asks for."""

    def join(self, client: ServerConnection, nickname: str) -> None:
        """It gets this nickname, and is in the lobby. Raises Refusal if it cannot have it, and Disconnected
        if it had to make way or the server stops."""

    def say(self, client: ServerConnection, lines: bytes, count: int) -> bool:
        """It said so many lines at once. False: a line needs a closer look (`do`), and none was said."""

    def do(self, client: ServerConnection, asked: Sequence[FromClient | Refusal]) -> None:
        """Do what these lines ask for, one after the other. Raises Disconnected if that is the end."""

    def tell(self, client: ServerConnection, *messages: FromServer) -> None:
        """Answer a client that has no nickname yet."""

    def flush_tls(self, client: ServerConnection) -> None:
        """Send what TLS itself has to say."""

    def holds(self, client: ServerConnection) -> bool:
        """Whether it must wait now before it says more."""

    def wait_for_flow(self, seconds: float) -> None:
        """Wait for so long, or until clients need not wait any more."""

    def leave(self, client: ServerConnection, reason: Reason) -> None:
        """It is gone, for this reason: the nickname is free, and the others are told once."""

    def present(self) -> list[Person[ServerConnection]]:
        """All that are here, at this moment, first come first."""


class InTurn:
    """The hub's lock, once all that was said before has been posted. That is delivered, come what may.

    No generator: what is recorded of threads looks into their frames, and Python 3.13 may crash over the
    frame of one that has ended (python/cpython#125723).
    """

    def __init__(self, hub: LocalHub) -> None:
        self._hub = hub

    def __enter__(self) -> None:
        self._hub.lock.acquire()
        try:
            self._hub.catch_up()
        except BaseException:
            self._hub.lock.release()
            raise

    def __exit__(self, *_: object) -> None:
        self._hub.lock.release()
        self._hub.broadcaster.wake()


class LocalHub:
    """The rooms of one server."""

    def __init__(
        self,
        limits: Limits,
        journal: Journal,
        new_broadcaster: Callable[[], Broadcaster],
        ending: threading.Event,  # set when the server is being stopped
        max_line: int,
    ) -> None:
        # Guards the rooms and the slots. What happens there is posted under the same hold, so that all
        # hear of it in the order in which it happened.
        self.lock = threading.Lock()
        self.broadcaster: Broadcaster
        self._new_broadcaster = new_broadcaster
        self._limits = limits
        self._journal = journal
        self.slots = ConnectionSlots[ServerConnection](limits.max_clients, limits.per_address)
        self._ending = ending
        self._rooms: Rooms[ServerConnection] = Rooms(max_line)
        # Said, and not posted yet: (who, the lines, how many they are). To put something here takes no
        # lock. Whoever delivers next posts it all, and so does whoever does something that others hear of.
        self._said: list[tuple[ServerConnection, bytes, int]] = []
        self._short = max_line - LONGEST_PREFIX
        self._in_turn = InTurn(self)

    @property
    def where(self) -> str:
        """The Redis behind it, if there is one."""
        return ""

    @property
    def trouble(self) -> str:
        """Why that cannot be used just now."""
        return ""

    # --- the life of a server ---

    def open(self) -> None:
        """Make what must be there before a client can connect."""
        self.broadcaster = self._new_broadcaster()
        self.broadcaster.collect(self._said, self.post_said)

    def close(self) -> None:
        """Undo `open`, where `start` was never called."""
        self.broadcaster.stop()

    def start(self) -> None:
        self.broadcaster.start()

    def say_farewell(self, clients: list[ServerConnection]) -> None:
        """Tell these that the server stops; the lock must be held."""
        self.catch_up()
        farewell = Notice(SERVER_STOPPED).data()
        self.broadcaster.post([ForOne(client.outbox, farewell) for client in clients])

    def settle(self, seconds: float = LAST_LINES) -> None:
        """Wait until all that was said has been posted, for so many seconds at most."""

    def stop(self) -> None:
        """Deliver what is still to be delivered. No client is here any more."""
        self.broadcaster.stop()

    # --- what clients do ---

    def join(self, client: ServerConnection, nickname: str) -> None:
        with self._in_turn:
            if client not in self.slots:
                raise Disconnected(NO_NICKNAME)  # too late: it had to make way
            self._post(self._rooms.join(client, nickname), may_wait=True)
            self.slots.named(client)
            client.set_nickname(self._rooms.nickname(client))

    def say(self, client: ServerConnection, lines: bytes, count: int) -> bool:
        if (
            self.broadcaster.asleep
            or len(lines) > self._short
            or len(lines) + count * LONGEST_PREFIX > UNREAD // AT_ONCE
            or len(self._said) >= AT_ONCE
        ):
            return self._say_now(client, lines, count)
        if client.whispered_to:
            client.whispered_to = set()
        self._said.append((client, lines, count))
        self.broadcaster.wake()
        return True

    def _say_now(self, client: ServerConnection, lines: bytes, count: int) -> bool:
        """`say` where nobody is there to post it, a line may be too long, or there is much of it."""
        if client.whispered_to:
            client.whispered_to = set()
        with self._in_turn:
            try:
                self._speak(self._rooms.say([(client, lines, count)]))
            except Refusal:
                return False
        return True

    def do(self, client: ServerConnection, asked: Sequence[FromClient | Refusal]) -> None:
        deliveries: list[Delivery[ServerConnection]] = []
        with self._in_turn:
            for what in asked:
                if isinstance(what, Quit):
                    break
                try:
                    if isinstance(what, Refusal):
                        raise what
                    if not isinstance(what, Heartbeat):
                        deliveries += self._rooms.do(client, what)
                except Refusal as refusal:
                    deliveries.append(ToOne(client, Refused(str(refusal))))
            self._post(deliveries)
        client.whispered_to = {d.who.outbox for d in deliveries if isinstance(d, ToOne)}
        if Quit() in asked:
            raise Disconnected(QUIT)

    def tell(self, client: ServerConnection, *messages: FromServer) -> None:
        with self._in_turn:
            self._post([ToOne(client, message) for message in messages], may_wait=True)

    def flush_tls(self, client: ServerConnection) -> None:
        self.broadcaster.post([ForOne(client.outbox, b"")])  # no data, but what TLS has to say
        self.broadcaster.wake()

    def holds(self, client: ServerConnection) -> bool:
        broadcaster = self.broadcaster
        return not broadcaster.flowing.is_set() and broadcaster.holds(client.outbox, client.whispered_to)

    def wait_for_flow(self, seconds: float) -> None:
        self.broadcaster.flowing.wait(seconds)

    def leave(self, client: ServerConnection, reason: Reason) -> None:
        with self._in_turn:
            client.leaving = True
            politely = reason.last_packet != RST
            if client not in self.slots:  # it had to make way, and its descriptor is wanted now
                reason, politely = NO_NICKNAME, False
            self.slots.remove(client)
            stopping = self._ending.is_set()
            announced = reason.announced and not stopping
            self._say_goodbye(client, reason, announced)
            closing = self._closing(client, politely, stopping)
            self.broadcaster.post(closing, may_wait=announced and client.named)

    def present(self) -> list[Person[ServerConnection]]:
        with self.lock:
            return [replace(person) for person in self._rooms.people()]

    def post_said(self) -> None:
        """Post what has been said and not been posted. The lock must not be held."""
        with self.lock:
            self.catch_up()

    # --- the parts they share; the lock must be held ---

    def catch_up(self) -> None:
        """Post what has been said. The lock must be held."""
        assert self.lock.locked()
        if said := self._said[:]:
            del self._said[: len(said)]  # not all: more may have come
            self._speak(self._rooms.say(said))

    def _say_goodbye(self, client: ServerConnection, reason: Reason, announced: bool) -> None:
        """Take it out of the rooms; tell the others, unless one line has told them of all who leave."""
        if not client.named:
            self._journal.record("left", what=reason)
        elif announced:
            self._post(self._rooms.leave(client, reason), may_wait=True)
        else:
            self._journal.record("left", self._rooms.nickname(client), reason, self._rooms.room(client))
            self._rooms.leave(client, reason)

    def _closing(self, client: ServerConnection, politely: bool, stopping: bool) -> list[Entry]:
        return [Hears(client.outbox, None), Close(client.outbox, politely)]

    def _speak(self, spoken: list[Spoken[ServerConnection]]) -> None:
        """What `_post` of these does, for less: most deliveries are talk."""
        runs: list[Run] = []
        entries: list[ForRoom] = []
        for person, heard, lines, count in spoken:
            client, room = person.who, person.room.name
            runs.append((count, person.nickname, lines, room, client.thread.name))
            entries.append(ForRoom(room, heard, client.outbox))
        self._journal.record_runs("said", runs)
        self.broadcaster.post_talk(entries)

    def _post(self, deliveries: list[Delivery[ServerConnection]], may_wait: bool = False) -> None:
        """Have the deliveries carried out, and write down what is news, in the order that all hear.

        `may_wait`: they are about one that comes or goes, and can be told with others that do.
        """
        assert self.lock.locked()
        for delivery in deliveries:
            note(self._journal, delivery, self._rooms.nickname)
        self.broadcaster.post([as_entry(delivery) for delivery in deliveries], may_wait)
