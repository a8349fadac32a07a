"""A queue for each client: the usual answer to a client that does not read.

Each client has two threads: one reads what it says, one sends what waits for it (sendqueue.py). To speak is
only to put lines into queues. `limit` lines may wait for a client; `when_full` says what becomes of one
more: "wait" (it is put, but the server reads no more of its speaker until there is room), "drop" (this
client never hears it), or "let go" (this client is disconnected).
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import threading
from dataclasses import dataclass
from time import monotonic

from labkit.peers.sendqueue import SendQueue
from labkit.server.acceptor import Acceptor
from labkit.wire import messages, nicknames, sockets
from labkit.wire.framing import MAX_LINE, LineFraming, TooLong
from labkit.wire.text import clean

WHEN_FULL = ("wait", "drop", "let go")

LINGER = 1.0
"""Seconds that a client which has said goodbye has to take what waits for it."""


@dataclass(eq=False, slots=True)
class QueueClient:
    sock: socket.socket
    queue: SendQueue
    nickname: str = ""
    too_slow: bool = False


class QueueServer:
    """`start` and `stop` it, or use it as a context manager.

    Args:
        host, port: where to listen; port 0 takes a free one, and `address` tells which.
        limit: lines that may wait for a client; None: any number.
        when_full: what becomes of one more.

    Raises:
        ValueError: `limit` is below 1, or `when_full` none of WHEN_FULL.
        OSError: the port is taken, or the host none of this machine's.
    """

    def __init__(
        self,
        host: str = "localhost",
        port: int = 14901,
        *,
        limit: int | None = None,
        when_full: str = "wait",
    ) -> None:
        if when_full not in WHEN_FULL or (limit is not None and limit < 1):
            raise ValueError(f"need limit >= 1, when_full one of {WHEN_FULL}; not {limit!r}, {when_full!r}")
        self._limit, self._when_full = limit, when_full
        # Guards the two below. Lines are queued under it, which never waits: so all hear them in one order.
        self._lock = threading.Lock()
        self._here: dict[str, QueueClient] = {}
        self._threads: dict[threading.Thread, QueueClient] = {}
        self._acceptor = Acceptor(host, port, self._accept, lambda why: False)
        self.address = self._acceptor.address

    def start(self) -> QueueServer:
        self._acceptor.open()
        return self

    def stop(self) -> None:
        self._acceptor.close()
        for client in self._threads.values():  # no more clients come: these are all
            client.queue.put(messages.Notice(messages.SERVER_STOPPED).data())
            client.queue.finish()
        give_up = monotonic() + LINGER
        for client in self._threads.values():
            client.queue.join(max(0.0, give_up - monotonic()))
            sockets.hang_up(client.sock)  # wakes its thread, and one that still sends
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> QueueServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def waiting(self) -> dict[str, int]:
        """How many lines wait for whom."""
        with self._lock:
            return {client.nickname: len(client.queue) for client in self._here.values()}

    def _accept(self, sock: socket.socket, number: int, host: str) -> None:
        with contextlib.suppress(OSError):  # reset already; its thread finds out
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = QueueClient(sock, SendQueue(sock, self._limit))
        name = "labkit-from-newcomer"
        thread = threading.Thread(target=self.handle_client, args=(client,), name=name, daemon=True)
        with self._lock:
            self._threads = {t: c for t, c in self._threads.items() if t.is_alive()}
            self._threads[thread] = client
        thread.start()

    def handle_client(self, client: QueueClient) -> None:
        client.queue.start()
        client.queue.put(messages.Request().data())
        reason, framing = messages.VANISHED, LineFraming()
        with contextlib.suppress(OSError):
            while data := client.sock.recv(65536):
                for line in framing.feed(data):
                    self._handle_line(client, line)
            reason = messages.HUNG_UP
        with self._lock:
            self._here = {key: one for key, one in self._here.items() if one is not client}
        client.queue.finish()
        if reason == messages.VANISHED or not client.queue.join(LINGER):
            client.queue.abort()
            client.queue.join()
        client.sock.close()
        if client.nickname:
            reason = messages.TOO_SLOW if client.too_slow else reason
            self._broadcast(client, messages.Left(client.nickname, reason))

    def _handle_line(self, client: QueueClient, line: str | TooLong) -> None:
        said = messages.Said(client.nickname, "" if isinstance(line, TooLong) else clean(line))
        if isinstance(line, TooLong) or len(said.data()) > MAX_LINE:
            client.queue.put(messages.Refused("too long").data())
        elif line and client.nickname:
            self._broadcast(client, said)
        elif line:
            self._admit(client, line)

    def _admit(self, client: QueueClient, line: str) -> None:
        try:
            nickname = nicknames.fit(line)
            with self._lock:
                if self._here.setdefault(nicknames.key(nickname), client) is not client:
                    raise nicknames.BadName("somebody here has it")
                client.nickname = nickname
                client.queue.put(messages.Welcome(nickname, "lobby").data())
        except nicknames.BadName as why:
            client.queue.put(messages.Refused(str(why)).data() + messages.Request().data())
            return
        threading.current_thread().name = f"labkit-from-{nickname}"
        client.queue.set_nickname(nickname)
        self._broadcast(client, messages.Joined(nickname))

    def _broadcast(self, speaker: QueueClient, message: messages.FromServer) -> None:
        """Put the message into the queues of all but one; and deal with those that are full."""
        line = message.data()
        with self._lock:
            others = [client for client in self._here.values() if client is not speaker]
            full = [client for client in others if not client.queue.put_if_room(line)]
            if self._when_full == "wait":
                for client in full:
                    client.queue.put(line)
        for client in full:
            if self._when_full == "wait":
                client.queue.wait_for_room()
            elif self._when_full == "let go":
                client.too_slow = True
                client.queue.abort()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m labkit.peers.queues", description="a queue for each client"
    )
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=14901, help="0: any free one")
    parser.add_argument("--limit", type=int, help="lines that may wait for a client (any number)")
    parser.add_argument("--when-full", choices=WHEN_FULL, default="wait", help="what becomes of one more")
    given = parser.parse_args()
    try:
        server = QueueServer(given.host, given.port, limit=given.limit, when_full=given.when_full)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    with server, contextlib.suppress(KeyboardInterrupt):
        print(f"listening on {server.address[0]}:{server.address[1]}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
