"""Many clients in one thread, on one selector: they join, talk, and hear.

Not a thread for each: the load would be slower than what it measures. No client waits for another: what a
socket does not take is sent when it has room, and meanwhile all hear. While a load runs, the pool counts
what comes by its marks, and keeps it (receipts.py).

It works with any server that asks for a nickname and passes on what is said, whatever it says besides.
joining.py has the clients join, kinds.py has them talk.
"""

from __future__ import annotations

import contextlib
import math
import selectors
import socket
from time import perf_counter as now

from labkit.instruments.load.receipts import MARK, Receipts, SentLines
from labkit.instruments.load.times import Times
from labkit.wire import selecting

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

CHUNK = 65536
"""Bytes read at once."""

BLOCK = 64
"""Lines that a client which floods has ready."""

ROOM = 64 * 1024 * 1024
"""Bytes that all clients together may keep; what is more is looked at during the run."""

SPARE = 8 * 1024 * 1024
"""Bytes kept from which on they are looked at between two rounds."""

FLOODED = 10
"""Clients of which every line is looked at in a flood: its bytes are too many to keep them all. The others'
lines are counted."""


class LoadClient:
    """One client of a load."""

    def __init__(self, number: int, sock: socket.socket) -> None:
        self.number = number
        self.sock = sock
        self.nickname = ""
        self.tail = b""  # while it joins: the last of what the server said
        self.received = 0  # lines, by their marks
        self.sent = 0  # lines
        self.receipts: Receipts | None = None  # None: its lines are only counted
        self.ended = False  # the server has ended its connection
        # What it has still to say: bytes, how many of them are out, the first line's number, and whether a
        # line is marked as sent when it goes out (or was before, when it was due).
        self.outbox = bytearray()
        self.out = 0
        self.first = 0
        self.stamps = True
        self.flooding = 0  # lines that it may still say by itself


class ClientPool:
    """All clients of a load, once they have joined.

    Args:
        clients: them, on sockets that do not block.
        size: bytes of a line.
        sampled: of how many clients every line is looked at; of the others they are counted.
        echoes: whether the server sends clients their own lines.
        servers: over how many the clients are spread, one after the other.
    """

    def __init__(
        self, clients: list[LoadClient], size: int, sampled: int, echoes: bool = False, servers: int = 1
    ) -> None:
        self.clients = clients
        self.size = size
        self.sent = SentLines(size, servers)
        self.within = Times()  # of deliveries to clients of the server where the line was said
        self.crossed = Times()  # of those from one server to another
        self.missing = 0  # deliveries that are still to come
        self.echoes = echoes
        self.cut_short = False  # not all that was said had come when it was ended
        self._total = 0  # lines said, by all
        self._here = len(clients)  # whose connection has not ended
        self._selector = selecting.selector()
        for client in clients:
            self._selector.register(client.sock, READ, client)
        step = len(clients) / sampled
        self._sampled = [clients[int(i * step)] for i in range(sampled)]
        for client in self._sampled:
            client.receipts = Receipts(client.number % servers)
        self._room = ROOM // sampled

    # --- talking ---

    def send_lines(self, client: LoadClient, lines: int, *, when: float | None = None) -> None:
        """Say so many new lines, in one send if the socket takes them.

        They count as sent when they go out; or at `when`, if they were due then.
        """
        if client.ended:
            return
        first, data = self.sent.make(client.number, lines)
        if when is not None:
            self.sent.mark_sent(first, first + lines, when)
        self._expect(client, lines)
        if client.out < len(client.outbox):
            del client.outbox[: client.out]
            client.outbox += data
            client.out = 0
            return
        client.outbox, client.out, client.first = bytearray(data), 0, first
        client.stamps = when is None
        self._send(client)

    def _expect(self, talker: LoadClient, lines: int) -> None:
        """So many more lines are due to all but the talker; fewer, if it is negative."""
        self._total += lines
        talker.sent += lines
        self.missing += lines * (self._here - (0 if self.echoes else 1))

    def _send(self, client: LoadClient) -> None:
        at = now()
        try:
            with memoryview(client.outbox) as all_of_it:
                took = client.sock.send(all_of_it[client.out :])
        except BlockingIOError:
            took = 0
        except OSError:
            self._drop(client)
            return
        out = client.out + took
        if client.stamps:
            size = self.size
            self.sent.mark_sent(client.first + client.out // size, client.first + out // size, at)
        client.out = out
        if out < len(client.outbox) or client.flooding:
            self._selector.modify(client.sock, READ | WRITE, client)

    def _send_more(self, client: LoadClient) -> None:
        if client.out < len(client.outbox):
            self._send(client)
        elif client.flooding:
            lines = min(client.flooding, BLOCK)
            client.flooding -= lines
            self.send_lines(client, lines)
        else:
            self._selector.modify(client.sock, READ, client)

    def start_flood(self, talkers: list[LoadClient], lines: int) -> None:
        """From now on each of these says something whenever it can; so many lines at most."""
        for client in talkers:
            client.flooding = lines
            self._selector.modify(client.sock, READ | WRITE, client)

    def stop_flood(self) -> None:
        """Say nothing new; a line that is half out goes out to its end."""
        for client in self.clients:
            client.flooding = 0
            if client.out < len(client.outbox):
                end = -(-client.out // self.size) * self.size
                unsaid = (len(client.outbox) - end) // self.size
                del client.outbox[end:]
                self._expect(client, -unsaid)

    @property
    def talking(self) -> bool:
        """Some client has still something to say."""
        return any(c.flooding or c.out < len(c.outbox) for c in self.clients if not c.ended)

    # --- hearing ---

    def receive(self, seconds: float) -> int:
        """Receive what comes within so many seconds; how many lines that was."""
        received = 0
        for key, events in self._selector.select(seconds):
            client: LoadClient = key.data
            if events & WRITE:
                self._send_more(client)
                if not events & READ:
                    continue
            try:
                data = client.sock.recv(CHUNK)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if not data:
                self._drop(client)
                continue
            lines = data.count(MARK)
            client.received += lines
            received += lines
            if client.receipts is not None:
                client.receipts.add(data, now())
                if client.receipts.kept > self._room:
                    client.receipts.count(self.sent, self.within, self.crossed)
        self.missing -= received
        return received

    def receive_all(self, patience: float, at_most: float = math.inf) -> bool:
        """Receive until nothing is missing. False: something is; and nothing came for `patience` seconds,
        or `at_most` seconds have passed, and it was still coming."""
        stop = now() + at_most
        give_up = now() + patience
        while self.missing > 0 or self.talking:
            received = self.receive(min(patience, 0.2))
            at = now()
            if received:
                give_up = at + patience
                if at > stop:
                    self.cut_short = True
                    return False
            elif at > give_up:
                return False
        return True

    def _drop(self, client: LoadClient) -> None:
        """The server has ended this connection."""
        if not client.ended:
            client.ended = True
            client.flooding = 0
            client.outbox, client.out = bytearray(), 0
            self._here -= 1
            due = self._total - (0 if self.echoes else client.sent)
            self.missing -= due - client.received
            self._selector.unregister(client.sock)

    # --- counting what came ---

    def start_measuring(self) -> None:
        """What was said so far was to warm up: it must have come, but its times do not count."""
        self.count_receipts()
        self.within, self.crossed = Times(), Times()
        self.sent.measured_from = self.sent.count

    def count_receipts(self) -> None:
        for client in self._sampled:
            assert client.receipts is not None
            client.receipts.count(self.sent, self.within, self.crossed)

    def count_receipts_if_many(self) -> None:
        if sum(client.receipts.kept for client in self._sampled if client.receipts) > SPARE:
            self.count_receipts()

    def totals(self) -> tuple[int, int, int, int]:
        """Lines that were delivered, lost, delivered once too often, and delivered to their own talker.

        If the load was cut short, a line counts as lost only for a client that has heard a later one of the
        same talker.
        """
        self.count_receipts()
        sums = [0, 0, 0, 0]
        for client in self.clients:
            if client.receipts is not None:
                found = client.receipts.totals(self.sent, client.number, self.cut_short)
            else:
                due = self._total - client.sent
                lost = 0 if self.cut_short else max(0, due - client.received)
                found = (min(due, client.received), lost, max(0, client.received - due), 0)
            sums = [a + b for a, b in zip(sums, found, strict=True)]
        return sums[0], sums[1], sums[2], sums[3]

    def close(self) -> None:
        self._selector.close()
        for client in self.clients:
            with contextlib.suppress(OSError):
                client.sock.shutdown(socket.SHUT_WR)
            client.sock.close()
