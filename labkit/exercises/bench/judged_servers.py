"""The servers that `judge` tries a test on: four that are right, and ten with one bug each.

They are those of peers/, which anybody may read, and promise one thing more: an empty nickname is refused,
where a peer takes it for a sign of life. So `judge` needs neither the answer of the exercise `server` nor
its wrong versions, and works where those are not handed out.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from itertools import count

from labkit.peers.asyncio_server import AsyncioClient, AsyncioServer
from labkit.peers.queues import QueueClient, QueueServer
from labkit.peers.selectors_server import READ, SelectorClient, SelectorsServer
from labkit.wire.framing import LineFraming, TooLong
from labkit.wire.nicknames import key

Serve = Callable[[socket.socket], None]
"""Serves on this listening socket, for as long as the process lives."""


class Right(AsyncioServer):
    def handle_line(self, client: AsyncioClient, line: str | TooLong) -> None:
        if client.nickname or isinstance(line, TooLong):
            super().handle_line(client, line)
        else:
            self.admit(client, line)

    def admit(self, client: AsyncioClient, line: str) -> None:
        super().admit(client, line)
        if client.nickname:
            self.welcome(client)

    def welcome(self, client: AsyncioClient) -> None:
        client.send(f"* you are {client.nickname}, in lobby")


# --- with one bug ---


class HearsItself(Right):
    def broadcast(self, line: str, but: AsyncioClient | None = None) -> None:
        super().broadcast(line)


class NoName(Right):
    def broadcast(self, line: str, but: AsyncioClient | None = None) -> None:
        super().broadcast(line.partition(": ")[2] if but else line, but)


class TakesTwice(Right):
    def is_taken(self, nickname: str) -> bool:
        if super().is_taken(nickname):  # the first one stays, under a key of its own
            self.clients[f"{key(nickname)} {len(self.clients)}"] = self.clients[key(nickname)]
        return False


class TakesEmpty(Right):
    def admit(self, client: AsyncioClient, line: str) -> None:
        if line.strip():
            super().admit(client, line)
        else:
            client.nickname = self.free_blanks()
            self.clients[client.nickname] = client
            self.welcome(client)

    def free_blanks(self) -> str:
        return next(" " * n for n in count(1) if " " * n not in self.clients)


class AsksOnce(Right):
    def refuse(self, client: AsyncioClient, why: str) -> None:
        client.send(f"! {why}")


class PieceFraming(LineFraming):
    """What one recv returns is a message."""

    def feed(self, data: bytes) -> list[str | TooLong]:
        return [data.rstrip(b"\r\n").decode("utf-8", "replace")]


class PieceIsMessage(Right):
    new_framing = PieceFraming


class OneAtTheDoor(Right):
    """Talks to one newcomer at a time, as a server does whose accept loop holds the handshake."""

    def __init__(self) -> None:
        super().__init__()
        self.door = asyncio.Lock()
        self.at_door: asyncio.StreamWriter | None = None

    async def handle_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.door.acquire()
        self.at_door = writer
        try:
            await super().handle_client(reader, writer)
        finally:
            self.leave_door(writer)

    def welcome(self, client: AsyncioClient) -> None:
        super().welcome(client)
        self.leave_door(client.writer)

    def leave_door(self, writer: asyncio.StreamWriter) -> None:
        if self.at_door is writer:
            self.at_door = None
            self.door.release()


class StrictFraming(LineFraming):
    """Ends the connection where the bytes are not UTF-8."""

    def lines(self, data: bytes) -> bytes:
        lines = super().lines(data)
        try:
            lines.decode()
        except UnicodeDecodeError as error:
            raise ConnectionAbortedError(str(error)) from None
        return lines


class DecodesStrictly(Right):
    new_framing = StrictFraming


class TellsNoLeaving(Right):
    def broadcast(self, line: str, but: AsyncioClient | None = None) -> None:
        if but or not line.startswith("* ") or " left (" not in line:
            super().broadcast(line, but)


class NeverFree(Right):
    def __init__(self) -> None:
        super().__init__()
        self.ever: set[str] = set()  # keys of nicknames that somebody has, or had

    def is_taken(self, nickname: str) -> bool:
        return key(nickname) in self.ever

    def welcome(self, client: AsyncioClient) -> None:
        super().welcome(client)
        self.ever.add(key(client.nickname))


# --- right ones, in other ways ---


class Curt(Right):
    """Gives no reasons, and ends the connection after three refusals."""

    def __init__(self) -> None:
        super().__init__()
        self.refusals: Counter[AsyncioClient] = Counter()

    def refuse(self, client: AsyncioClient, why: str) -> None:
        self.refusals[client] += 1
        client.send("! no" if self.refusals[client] == 3 else "! no\nnickname")
        if self.refusals[client] == 3:
            client.writer.close()

    def handle_line(self, client: AsyncioClient, line: str | TooLong) -> None:
        if not client.writer.is_closing():
            super().handle_line(client, line)


class Selecting(SelectorsServer):
    def __init__(self, listener: socket.socket) -> None:
        super().__init__(port=0)
        self.selector.unregister(self.listener)
        self.listener.close()
        self.listener = listener
        listener.setblocking(False)
        self.selector.register(listener, READ)

    def handle_line(self, client: SelectorClient, line: str | TooLong) -> None:
        if client.nickname or isinstance(line, TooLong):
            return super().handle_line(client, line)
        self.admit(client, line)
        if client.nickname:
            client.outbox += f"* you are {client.nickname}, in lobby\n".encode()


class Queueing(QueueServer):
    def _handle_line(self, client: QueueClient, line: str | TooLong) -> None:
        if client.nickname or isinstance(line, TooLong):
            super()._handle_line(client, line)
        else:
            self._admit(client, line)

    def run(self, listener: socket.socket) -> None:
        self._acceptor.close()  # its own was never opened
        for number in count(1):
            sock, (host, *_) = listener.accept()
            self._accept(sock, number, host)


def on_asyncio(kind: type[Right]) -> Serve:
    async def run(listener: socket.socket) -> None:
        server = await asyncio.start_server(kind().handle_client, sock=listener)
        await server.serve_forever()

    return lambda listener: asyncio.run(run(listener))


RIGHT: dict[str, Serve] = {
    "asyncio": on_asyncio(Right),
    "asyncio, curt": on_asyncio(Curt),
    "one thread and a selector": lambda listener: Selecting(listener).run(),
    "two threads and a queue each": lambda listener: Queueing(port=0).run(listener),
}
"""By how they are made."""

WRONG: dict[str, Serve] = {
    "the sender hears itself": on_asyncio(HearsItself),
    "no name before the message": on_asyncio(NoName),
    "takes the same nickname twice": on_asyncio(TakesTwice),
    "takes an empty nickname": on_asyncio(TakesEmpty),
    "does not ask again": on_asyncio(AsksOnce),
    "a recv is a message": on_asyncio(PieceIsMessage),
    "the handshake in the accept loop": on_asyncio(OneAtTheDoor),
    "decodes strictly": on_asyncio(DecodesStrictly),
    "tells nobody who left": on_asyncio(TellsNoLeaving),
    "a nickname is taken for ever": on_asyncio(NeverFree),
}
"""By their bugs."""


def serve_called(name: str) -> Serve:
    """The `serve` of the server of this name."""
    return (RIGHT | WRONG)[name]
