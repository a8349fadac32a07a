"""The receiving thread's work: to hear what comes, and to go on at another server when its own is lost.

It also holds what this thread shares with those that speak (client.py): the connection, the dialogue, the
transcript.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from labkit.client.connection import ClientConnection
from labkit.client.dialogue import Dialogue
from labkit.client.reconnect import LastWords, Reconnection, place
from labkit.client.transcript import Transcript
from labkit.wire.framing import RAW, NewFraming, TooLong
from labkit.wire.messages import Notice, clean, from_server
from labkit.wire.sockets import Address

if TYPE_CHECKING:
    from labkit.wire.tls import ForClient, Seal

LEAST = 0.5
"""Seconds that a server gets at least to let us back in, also when we are about to give up."""


class Receiver:
    """One client's connection, and what came through it.

    Args:
        servers: where to look for another one; None: a lost connection is the end.
        The others: as for ChatClient.
    """

    def __init__(
        self,
        servers: Sequence[Address] | None,
        framing: NewFraming,
        timeout: float,
        password: str | None,
        tls: ForClient | None,
        give_up: float,
        seed: int | None,
    ) -> None:
        self.servers = servers
        self.framed = framing is not RAW
        self.frame = framing().frame
        self.timeout = timeout
        self.thawed = threading.Event()
        self.thawed.set()
        self._new_framing = framing
        self._new_seal = None if tls is None or tls is False else _sealing(tls)
        self._give_up = give_up
        self._chance = random.Random(seed)
        self.transcript = Transcript()
        self.changed = self.transcript.changed  # guards all below, too
        self.password = password
        self.connection: ClientConnection  # the latest one, if it has ended
        self.dialogue = Dialogue()  # on that connection
        self.reconnection: Reconnection | None = None  # while we look for another server
        self.last_words = LastWords()
        self.leaving = False
        self.quitting = False  # said /quit

    def connect(self, address: Address) -> None:
        """Connect for the first time, or again after that failed. No thread is there yet."""
        self.connection = self._dial(address, self.timeout)
        self.dialogue = Dialogue()
        self.transcript.clear()
        self.leaving = self.quitting = False

    def _dial(
        self, address: Address, timeout: float, given_up: Callable[[], bool] | None = None
    ) -> ClientConnection:
        seal = self._new_seal(address[0]) if self._new_seal else None
        return ClientConnection(address, self._new_framing(), timeout, seal, given_up)

    @property
    def is_here(self) -> bool:
        """Whether a server has let us in. `changed` must be held."""
        return self.dialogue.inside and self.reconnection is None and not self.transcript.complete

    # --- hearing ---

    def listen(self) -> str:
        """Hear what comes until this connection ends, and close it; returns why it ended."""
        connection, end = self.connection, "the server hung up"
        try:
            self._hear(connection, connection.early)
            while not connection.over and (data := connection.receive(self.thawed, self._heartbeat())):
                self._hear(connection, connection.opened(data))
            if connection.over:
                connection.say_goodbye(0)
            elif connection.sealed:
                # A FIN can come from anybody on the way; only the server can say close_notify.
                end = "the connection was cut: no goodbye (close_notify) came before its end"
        except OSError as error:
            end = f"the connection broke ({error.strerror or error})"
        connection.close()
        return connection.trouble or end

    def _heartbeat(self) -> bytes:
        """Before we have a nickname, an empty line might be taken for one; in RAW it is a message."""
        return self.frame("") if self.framed and self.dialogue.inside else b""

    def _hear(self, connection: ClientConnection, pieces: list[bytes]) -> None:
        """Take what came, and answer it; in RAW each piece is a message."""
        lines: list[str] = []
        for piece in pieces:
            for message in connection.framing.feed(piece):
                if isinstance(message, TooLong):
                    lines.append(f"! a line of more than {message.limit} bytes came, and was dropped")
                else:
                    # In RAW several lines may share a recv; a line of LINES is in one piece.
                    lines += message.split("\n")
        if lines:
            for answer in self._take(lines):
                connection.send(self.frame(answer))

    def _take(self, lines: list[str]) -> list[str]:
        """Keep what was heard; returns what the dialogue answers."""
        answers: list[str] = []
        with self.changed:
            for line in map(clean, lines):  # the server should have; a student's may not
                message = from_server(line)
                answer = self.dialogue.receive(message)
                if answer is not None:
                    answers.append(answer)
                if self.dialogue.shown:
                    self.transcript.keep(line)
                if self.reconnection is not None:
                    self._look_whether_back()
                elif isinstance(message, Notice):
                    self.last_words.heed(message.text)
            self.changed.notify_all()
        self.transcript.tell_listeners()
        return answers

    def finish(self, end: str) -> None:
        """There is no connection any more, nor will there be one."""
        with self.changed:
            self.reconnection = None
            self.transcript.end = self.transcript.end or end
            self.transcript.complete = True
            self.changed.notify_all()
        self.transcript.tell_listeners()

    # --- coming back ---

    def reconnect(self, end: str) -> bool:
        """Connect to another server, now that the connection ended (`end`: how); False if that is over."""
        if not self._is_looking(self.connection.address, end):
            return False
        while (turn := self._next_try()) is not None:
            address, timeout = turn
            try:
                connection = self._dial(address, timeout, given_up=lambda: self.leaving)
            except (OSError, ValueError) as error:
                self._is_looking(address, error)
                continue
            connection.expect(timeout)
            with self.changed:
                if not self.leaving and self.reconnection is not None:
                    self.connection, self.dialogue = connection, self.reconnection.dialogue
                    return True
            connection.close()
        return False

    def _is_looking(self, where: Address, why: object) -> bool:
        """Whether we look for another server, now that there is none here, and why; says what is new."""
        with self.changed:
            if self.leaving or self.quitting or not self.servers:
                return False
            if self.reconnection is not None:
                if news := self.reconnection.failed(where, why):
                    self.transcript.note(news)
            elif self.dialogue.inside:
                self._lose(self.servers, where, why)
            else:
                return False  # no server had let us in yet
            self.changed.notify_all()
        self.transcript.tell_listeners()
        return True

    def _lose(self, servers: Sequence[Address], where: Address, why: object) -> None:
        nickname, room = self.dialogue.nickname, self.dialogue.room
        self.reconnection = Reconnection(
            servers, where, nickname, room, self.password, self._give_up, self._chance
        )
        first = self.reconnection.first
        trying = "again" if first == where else place(first)
        self.transcript.note(f"lost {place(where)} ({why}); trying {trying}")
        if missed := self.last_words.lost():
            self.transcript.note(missed)

    def _next_try(self) -> tuple[Address, float] | None:
        """Whom to try now, after the pause before it, and for how long; None: none, and why is the end."""
        with self.changed:
            assert self.reconnection is not None
            turn = self.reconnection.next()
            if turn is None:
                self.transcript.end = self.transcript.end or self.reconnection.end
                return None
            pause, address = turn
            self.changed.wait_for(lambda: self.leaving, pause)
        self.thawed.wait()
        if self.leaving:
            return None
        return address, min(self.timeout, max(LEAST, self.reconnection.time_left))

    def _look_whether_back(self) -> None:
        """`changed` must be held."""
        connection, room = self.connection, self.dialogue.room
        if self.dialogue.over:
            connection.deaf = True
        elif self.dialogue.inside:
            connection.expect(None)
            connection.timeout = self.timeout
            self.reconnection = None
            self.transcript.note(f"back at {place(connection.address)}" + (f", in {room}" if room else ""))


def _sealing(tls: ForClient) -> Callable[[str], Seal]:
    """What makes the TLS with the server at a host. Loaded only where there is TLS."""
    from labkit.wire.tls import Seal, client_context

    context = client_context(tls)
    return lambda host: Seal(context, host)
