"""The chat without threads: asyncio streams. One thread, and a coroutine for each client.

    python -m labkit.peers.asyncio_server --port 0 [--loop uvloop]

Where server.py has a thread that waits in `recv`, this has a coroutine that waits in `await reader.read`.
Only one runs at a time, and it gives way only where it says `await`: that is why there is no lock here.
`writer.write` never waits. What the socket does not take at once, the transport keeps, without a limit; so
a client that has just spoken waits for those that are behind, and one that is behind for more than GRACE
seconds is disconnected. Each line costs a `write`, and mostly a system call, for each client that hears it.

It leaves out commands (so there is one room, and nothing private), limits, and time limits for the
handshake. With `--loop uvloop` the same coroutines run on another loop (`pip install uvloop`).

The rules come from the pure files: framing.py, nicknames.py and messages.py.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
from dataclasses import dataclass

from labkit.wire import sockets
from labkit.wire.framing import LineFraming, TooLong
from labkit.wire.messages import HUNG_UP, TOO_SLOW, VANISHED
from labkit.wire.nicknames import BadName, fit, key
from labkit.wire.text import clean

BEHIND = 1024 * 1024
"""Bytes that may wait for a client before talkers wait for it."""

GRACE = 1.0
"""Seconds for which they do."""


@dataclass(eq=False)
class AsyncioClient:
    writer: asyncio.StreamWriter
    nickname: str = ""  # "": it has not given one yet
    reason: str = HUNG_UP  # why it has left, once it has

    def send(self, line: str) -> None:
        if not self.writer.is_closing():
            self.writer.write(line.encode() + b"\n")


class AsyncioServer:
    new_framing: type[LineFraming] = LineFraming  # another class of it cuts otherwise

    def __init__(self) -> None:
        self.clients: dict[str, AsyncioClient] = {}  # by the key of their nickname

    async def handle_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """All of one client's life."""
        client = AsyncioClient(writer)
        framing = self.new_framing()
        writer.transport.set_write_buffer_limits(high=BEHIND)
        # asyncio does this by itself only for sockets that it has opened itself.
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.send("nickname")
        try:
            while data := await reader.read(65536):
                for line in framing.feed(data):
                    self.handle_line(client, line)
                await self.wait_for_slow_clients()
        except OSError:
            client.reason = VANISHED
        except asyncio.CancelledError:
            return  # Ctrl-C; asyncio 3.11 would report it if it went on
        if client.nickname:
            del self.clients[key(client.nickname)]
            self.broadcast(f"* {client.nickname} left ({client.reason})")
        writer.close()

    def handle_line(self, client: AsyncioClient, line: str | TooLong) -> None:
        if isinstance(line, TooLong):
            client.send(f"! too long: a line has at most {line.limit} bytes")
        elif not line:
            pass  # a sign of life
        elif client.nickname:
            self.broadcast(f"{client.nickname}: {clean(line)}", client)
        else:
            self.admit(client, line)

    def admit(self, client: AsyncioClient, line: str) -> None:
        try:
            nickname = fit(line)
        except BadName as bad:
            return self.refuse(client, f"that nickname will not do: {bad}")
        if self.is_taken(nickname):
            return self.refuse(client, f"{nickname} is taken")
        client.nickname = nickname
        self.broadcast(f"* {nickname} joined")
        self.clients[key(nickname)] = client

    def is_taken(self, nickname: str) -> bool:
        return key(nickname) in self.clients

    def refuse(self, client: AsyncioClient, why: str) -> None:
        client.send(f"! {why}\nnickname")

    def broadcast(self, line: str, but: AsyncioClient | None = None) -> None:
        for client in self.clients.values():
            if client is not but:
                client.send(line)

    async def wait_for_slow_clients(self) -> None:
        for client in list(self.clients.values()):
            transport = client.writer.transport
            if transport.get_write_buffer_size() > BEHIND and not transport.is_closing():
                try:
                    async with asyncio.timeout(GRACE):
                        await client.writer.drain()
                except TimeoutError:
                    client.reason = TOO_SLOW
                    transport.abort()
                except OSError:
                    pass  # gone; its own coroutine finds out, too


async def serve(host: str, port: int) -> None:
    listener = sockets.listen(host, port)
    server = await asyncio.start_server(AsyncioServer().handle_client, sock=listener, backlog=4096)
    print("listening on {}:{}".format(*listener.getsockname()[:2]), flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description="A chat server on asyncio streams.")
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=14901, help="0 takes a free one")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    options = parser.parse_args()
    new_loop = None
    if options.loop == "uvloop":
        try:
            import uvloop
        except ImportError:
            parser.error("uvloop is not installed; this does it: pip install uvloop")
        new_loop = uvloop.new_event_loop
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(serve(options.host, options.port))


if __name__ == "__main__":
    main()
