"""What a client's thread does over and over: read what its client says, and have that done.

A client that is held is read no further, and TCP slows it down.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from time import monotonic

from labkit.server import scheduling
from labkit.server.connection import Disconnected, ServerConnection
from labkit.server.hub import Hub
from labkit.server.limits import Limits
from labkit.server.rooms import Refusal
from labkit.wire.framing import TooLong
from labkit.wire.messages import (
    NO_NICKNAME,
    SERVER_STOPPED,
    TOO_SLOW,
    BadCommand,
    FromClient,
    from_client,
    is_talk,
)

HELD_FOR = 0.02
"""Seconds between two looks of a held talker at whether it may go on."""

TURN = 64
"""Commands of one client that are done in a row; then it is others' turn, however many it sent at once."""

MUCH = 500
"""Lines said at once after which it is others' turn, too: as much work as a turn of commands."""


@dataclass(slots=True)
class ClientLoop:
    """Reads and does what clients say, each call in that client's own thread."""

    hub: Hub
    limits: Limits
    ending: threading.Event  # set when the server is being stopped
    stop_by: float = math.inf  # when every client's thread is to end then, whatever is still unread

    def read(self, client: ServerConnection, seconds: float | None) -> bytes:
        """What comes next from the client; it has so many seconds for it (None: any number)."""
        data = client.receive(seconds, self.ending)
        self._look_around(client)
        # Held here, with its bytes in hand: as lines they would take many times the memory.
        while self.hub.holds(client):
            self.hub.wait_for_flow(HELD_FOR)
            if self.ending.is_set():
                raise Disconnected(SERVER_STOPPED)
            if client.outbox.failed:
                break  # the next receive will say so
        if client.tls is not None:
            data = client.decrypted(data)
            if client.tls.pending:
                self.hub.flush_tls(client)
        return data

    def hear(self, client: ServerConnection, data: bytes) -> None:
        """Do what one recv's worth of bytes asks for: the short way if all of it is talk."""
        if client.lines is None:
            self.hear_all(client, client.framing.feed(data))
            return
        lines = client.lines.lines(data)
        count = lines.count(b"\n")
        if not (is_talk(lines) and self.hub.say(client, lines, count)):
            self.hear_all(client, client.lines.messages(lines))
            return
        client.lines_in += count
        if count > MUCH:
            scheduling.make_way()

    def hear_all(self, client: ServerConnection, said: list[str | TooLong]) -> None:
        """Do what these messages ask for."""
        client.lines_in += len(said)
        if self.limits.messages is not None:
            for part in client.paced(said, self.ending):
                self._do(client, part)
            return
        for start in range(0, len(said), TURN):
            if start:
                scheduling.make_way()
                self._look_around(client)
            self._do(client, said[start : start + TURN])

    def _look_around(self, client: ServerConnection) -> None:
        """After each recv and each turn: a client that never pauses must find out, too, that it is over."""
        if self.stop_by != math.inf and self.stop_by < monotonic():
            raise Disconnected(SERVER_STOPPED)
        if client.in_the_way:
            raise Disconnected(NO_NICKNAME)
        if client.outbox.failed == TOO_SLOW:
            raise Disconnected(TOO_SLOW)

    def _do(self, client: ServerConnection, said: list[str | TooLong]) -> None:
        self.hub.do(client, [_understood(line) for line in said])


def _understood(line: str | TooLong) -> FromClient | Refusal:
    """What the line asks for, or why that cannot be understood."""
    if isinstance(line, TooLong):
        return Refusal(f"too long: a line has at most {line.limit} bytes")
    try:
        return from_client(line)
    except BadCommand as bad:
        return Refusal(str(bad))
