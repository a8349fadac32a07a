"""RedisHub: what clients do to rooms that several servers share.

The threads of the clients work here. They give what their clients say and do, to happen later, in its
place; and they wait where an answer depends on other servers: whether a nickname is free, who has it, what
a room is called.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from labkit.journal import Journal
from labkit.server.backplane.backplane import Backplane
from labkit.server.backplane.requests import Requests
from labkit.server.backplane.session import Whispering
from labkit.server.broadcaster import Broadcaster
from labkit.server.connection import Disconnected, ServerConnection
from labkit.server.delivery import Entry, note
from labkit.server.hub import LAST_LINES, LocalHub
from labkit.server.limits import Limits
from labkit.server.rooms import Delivery, Refusal, Spoken, ToOne, ToRoom, presentable, room_name
from labkit.wire import nicknames
from labkit.wire.messages import (
    QUIT,
    SERVER_LOST,
    FromClient,
    Heartbeat,
    Join,
    Quit,
    Reason,
    Refused,
    Rename,
    Speech,
    Whisper,
    Who,
)
from labkit.wire.text import brief


class RedisHub(LocalHub):
    """The rooms of all servers that have the same Redis.

    `rooms` know of this server's clients alone; what they decide is given to the backplane.

    Args:
        url: of the Redis; see `Store`.

    Raises:
        ValueError: that is no URL of a Redis.
    """

    def __init__(
        self,
        url: str,
        limits: Limits,
        journal: Journal,
        new_broadcaster: Callable[[], Broadcaster],
        ending: threading.Event,
        max_line: int,
    ) -> None:
        super().__init__(limits, journal, new_broadcaster, ending, max_line)
        self._backplane = Backplane(url, self.lock, journal, limits, ending)
        self._requests = Requests(self._backplane)

    @property
    def where(self) -> str:
        return self._backplane.where

    @property
    def trouble(self) -> str:
        return self._backplane.trouble

    # --- the life of a server ---

    def open(self) -> None:
        self._backplane.open()
        super().open()

    def close(self) -> None:
        self._backplane.close()
        super().close()

    def start(self) -> None:
        self._backplane.start(self.broadcaster)
        super().start()

    def settle(self, seconds: float = LAST_LINES) -> None:
        self._backplane.settle(seconds)

    def stop(self) -> None:
        self._backplane.stop()
        super().stop()

    # --- what clients do ---

    def join(self, client: ServerConnection, nickname: str) -> None:
        self._requests.claim(client, nickname)
        super().join(client, nickname)

    def holds(self, client: ServerConnection) -> bool:
        return super().holds(client) or self._backplane.holds(client)

    def wait_for_flow(self, seconds: float) -> None:
        if self.broadcaster.flowing.is_set():  # then it is the backplane that holds the client
            self._ending.wait(seconds)
        else:
            super().wait_for_flow(seconds)

    def say(self, client: ServerConnection, lines: bytes, count: int) -> bool:
        return self._say_now(client, lines, count)  # what it asks for next may wait for that

    def _speak(self, spoken: list[Spoken[ServerConnection]]) -> None:
        self._post([ToRoom(p.room.name, Speech(p.nickname, lines), p.who) for p, _, lines, _ in spoken])

    def _post(self, deliveries: list[Delivery[ServerConnection]], may_wait: bool = False) -> None:
        super()._post(self._backplane.take(deliveries))

    def _say_goodbye(self, client: ServerConnection, reason: Reason, announced: bool) -> None:
        if self._backplane.was_let_go(client):  # the others have been told
            reason, announced = SERVER_LOST, False
        super()._say_goodbye(client, reason, announced)

    def _closing(self, client: ServerConnection, politely: bool, stopping: bool) -> list[Entry]:
        """It is closed when all have heard that it left; a server that stops closes all at once."""
        if self._backplane.end(client, politely, stopping):
            return []
        return super()._closing(client, politely, stopping)

    # --- what they ask for ---

    def do(self, client: ServerConnection, asked: Sequence[FromClient | Refusal]) -> None:
        """Do what these lines ask for, one after the other.

        Raises:
            Disconnected: they ask for the end; or that came while something had to wait.
        """
        client.whispered_to = set()
        whispers: list[Whispering] = []
        try:
            for what in asked:
                if isinstance(what, Whisper):
                    if not whispers:  # what was said before it is heard before it
                        self._requests.wait_until_done(client)
                    whispers.append(self._whisper(client, what))
                    continue
                self._end_whispers(client, whispers)
                if isinstance(what, Quit):
                    raise Disconnected(QUIT)
                try:
                    self._do(client, what)
                except Refusal as refusal:
                    self._refuse(client, str(refusal))
            self._end_whispers(client, whispers)
        finally:
            self._backplane.wake()

    def _do(self, client: ServerConnection, what: FromClient | Refusal) -> None:
        if isinstance(what, Refusal):
            raise what
        if isinstance(what, Rename):
            with self._requests.claimed(client, presentable(what.new)), self.lock:
                self._backplane.take(self._rooms.do(client, what))
        elif isinstance(what, Join):
            self._move(client, what)
        elif isinstance(what, Who):
            self._requests.tell_who(client)
        elif not isinstance(what, Heartbeat):
            with self.lock:
                self._backplane.take(self._rooms.do(client, what))

    def _refuse(self, client: ServerConnection, why: str) -> None:
        refused = ToOne(client, Refused(why))
        with self.lock:
            note(self._journal, refused, self._rooms.nickname)
            self._backplane.take([refused])

    def _move(self, client: ServerConnection, what: Join) -> None:
        name = self._requests.follow(client, room_name(what.room))
        with self.lock:  # it refuses only a client that is there already, and then nothing was followed
            self._backplane.take(self._rooms.do(client, Join(name)))

    # --- whispers: the addressee's server answers whether it has heard them ---

    def _whisper(self, client: ServerConnection, what: Whisper) -> Whispering:
        """Sends the whisper on its way; or its refusal says why it cannot be."""
        with self.lock:
            own = self._rooms.nickname(client)
        whispering = Whispering(f"nobody here is called {brief(what.to)}", (own, what.text, what.to))
        whispering.done.set()
        try:
            key = nicknames.key(nicknames.fit(what.to))
            if key == nicknames.key(own):
                raise Refusal("that is you")
            line = self._rooms.whispered(own, what.text).data()
        except nicknames.BadName:
            return whispering  # no client can have such a name
        except Refusal as refusal:
            whispering.refusal = str(refusal)
            return whispering
        self._requests.whisper(client, key, line, whispering)
        self.broadcaster.wake()
        return whispering

    def _end_whispers(self, client: ServerConnection, whispers: list[Whispering]) -> None:
        for whispering in whispers:
            self._requests.wait_for(client, whispering.done)
            if whispering.heard:
                who, text, to = whispering.news
                self._journal.record("whispered", who, text, to)
            else:
                self._refuse(client, whispering.refusal)
        whispers.clear()
