"""The chat in one thread, by hand: a selector (epoll on Linux) tells which sockets have something to do.

    python -m labkit.peers.selectors_server --port 0

No call here waits for one client: all waiting is in one `select`, for all of them. What asyncio hides is
plain to see: a loop, a buffer for each client, and which events each is watched for. What a client says
goes into the others' outboxes; they are sent once all that had something to say were read, so many lines
share a `send`.

Memory has an end: while a client has more than BEHIND bytes waiting, the server reads from none, and TCP
slows the talkers. A client that takes nothing for GRACE seconds meanwhile is disconnected.

It leaves out commands (so there is one room, and nothing private), limits, and time limits for the
handshake. The rules come from the pure files: framing.py, nicknames.py and messages.py.
"""

from __future__ import annotations

import argparse
import contextlib
import selectors
import socket
from time import monotonic

from labkit.wire import sockets
from labkit.wire.framing import LineFraming, TooLong
from labkit.wire.messages import HUNG_UP, TOO_SLOW, VANISHED
from labkit.wire.nicknames import BadName, fit, key
from labkit.wire.text import clean

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
BEHIND = 1024 * 1024
GRACE = 1.0


class SelectorClient:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.framing = LineFraming()
        self.nickname = ""  # "": it has not given one yet
        self.outbox = bytearray(b"nickname\n")
        self.took = monotonic()  # when it last took something, or had nothing to take
        self.watched = 0  # for these events
        self.gone = ""  # the reason, once it has left


class SelectorsServer:
    def __init__(self, host: str = "localhost", port: int = 14901) -> None:
        self.listener = sockets.listen(host, port)
        self.listener.setblocking(False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, READ)
        self.clients: list[SelectorClient] = []
        self.nicknames: dict[str, SelectorClient] = {}  # by their key
        self.held = False  # a client is far behind: the server reads from none

    def run(self) -> None:
        while True:
            for selected, events in self.selector.select(0.1 if self.held else None):
                if selected.data is None:
                    self.accept()
                elif events & READ and not self.held:
                    self.read(selected.data)
            for client in self.clients:
                if client.outbox and not client.gone:
                    self.write(client)
            self.held = any(len(client.outbox) > BEHIND for client in self.clients)
            for client in [client for client in self.clients if client.gone]:
                self.drop(client)
            for client in self.clients:
                self.watch(client, (0 if self.held else READ) | (WRITE if client.outbox else 0))

    def watch(self, client: SelectorClient, events: int) -> None:
        if events == client.watched:
            return
        if client.watched:
            self.selector.unregister(client.sock)
        if events:
            self.selector.register(client.sock, events, client)
        client.watched = events

    def accept(self) -> None:
        with contextlib.suppress(OSError):  # gone again already
            sock, _ = self.listener.accept()
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.clients.append(SelectorClient(sock))

    def read(self, client: SelectorClient) -> None:
        try:
            data = client.sock.recv(65536)
        except OSError:
            client.gone = client.gone or VANISHED
            return
        if not data:
            client.gone = client.gone or HUNG_UP
        for line in client.framing.feed(data):
            self.handle_line(client, line)

    def write(self, client: SelectorClient) -> None:
        now = monotonic()
        try:
            took = client.sock.send(client.outbox)
        except BlockingIOError:
            took = 0
        except OSError:
            client.gone = VANISHED
            return
        del client.outbox[:took]
        if took or len(client.outbox) <= BEHIND:
            client.took = now
        elif now > client.took + GRACE:
            client.gone = TOO_SLOW

    def handle_line(self, client: SelectorClient, line: str | TooLong) -> None:
        if isinstance(line, TooLong):
            client.outbox += f"! too long: a line has at most {line.limit} bytes\n".encode()
        elif not line:
            pass  # a sign of life
        elif client.nickname:
            self.broadcast(f"{client.nickname}: {clean(line)}", client)
        else:
            self.admit(client, line)

    def admit(self, client: SelectorClient, line: str) -> None:
        try:
            nickname = fit(line)
            if key(nickname) in self.nicknames:
                raise BadName(f"{nickname} is taken")
        except BadName as bad:
            client.outbox += f"! {bad}\nnickname\n".encode()
            return
        self.broadcast(f"* {nickname} joined")
        client.nickname = nickname
        self.nicknames[key(nickname)] = client

    def broadcast(self, line: str, but: SelectorClient | None = None) -> None:
        data = line.encode() + b"\n"
        for client in self.nicknames.values():
            if client is not but:
                client.outbox += data

    def drop(self, client: SelectorClient) -> None:
        self.watch(client, 0)
        self.clients.remove(client)
        client.sock.close()
        if client.nickname:
            del self.nicknames[key(client.nickname)]
            self.broadcast(f"* {client.nickname} left ({client.gone})")


def main() -> None:
    parser = argparse.ArgumentParser(description="A chat server in one thread, on a selector.")
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=14901, help="0 takes a free one")
    options = parser.parse_args()
    server = SelectorsServer(options.host, options.port)
    print("listening on {}:{}".format(*server.listener.getsockname()[:2]), flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.run()


if __name__ == "__main__":
    main()
