"""Many clients in one thread, on one selector: they join, talk, and hear.

Never a thread for each: the load would be slower than what it measures. Nobody waits for anybody: what a
socket does not take is sent when it has room, and meanwhile everybody hears. While a load runs, what comes
is counted by its marks, and kept (said.py).

It works with any server that asks for a nickname and passes on what is said, whatever it says besides. How
everybody comes to be there, joining.py tells; in which way they talk, kinds.py.
"""

from __future__ import annotations

import contextlib
import math
import selectors
import socket
from time import perf_counter as now

from labkit.instruments.load.said import MARK, Heard, Said
from labkit.instruments.load.times import Times

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

CHUNK = 65536
"""Bytes read at once."""

BLOCK = 64
"""Lines that one who floods has ready."""

ROOM = 64 * 1024 * 1024
"""Bytes of what was heard that may be kept, by all together; then it is looked at, run or no run."""

SPARE = 8 * 1024 * 1024
"""Bytes kept from which on it is looked at between two rounds."""

FLOODED = 10
"""Clients of whom every line is looked at in a flood: its bytes are too many to keep them all. The others'
lines are counted."""


class Client:
    """One of the crowd."""

    def __init__(self, number: int, sock: socket.socket) -> None:
        self.number = number
        self.sock = sock
        self.nickname = ""
        self.tail = b""  # while it joins: the last of what the server said
        self.count = 0  # lines heard, by their marks
        self.own = 0  # lines said
        self.heard: Heard | None = None  # None: they are only counted
        self.ended = False  # the server has ended its connection
        # What it has still to say: bytes, how many of them are out, the first line's number, and whether
        # a line is said when it goes out (or was before, when it should have).
        self.outbox = bytearray()
        self.out = 0
        self.first = 0
        self.stamps = True
        self.flooding = 0  # lines that it may say yet, by itself


class Crowd:
    """All clients of a load, once they have joined.

    Args:
        clients: them, on sockets that do not wait.
        size: bytes of a line.
        sampled: of how many every line is looked at; of the others they are counted.
        echoes: whether the server tells people what they said themselves.
        servers: over how many the clients are spread, one after the other.
    """

    def __init__(
        self, clients: list[Client], size: int, sampled: int, echoes: bool = False, servers: int = 1
    ) -> None:
        self.clients = clients
        self.size = size
        self.said = Said(size, servers)
        self.within = Times()  # of deliveries to clients of the server where the line was said
        self.crossed = Times()  # of those from one server to another
        self.missing = 0  # deliveries that are still to come
        self.echoes = echoes
        self.cut_short = False  # not all that was said had come when it was ended
        self._total = 0  # lines said, by all
        self._here = len(clients)  # whose connection has not ended
        self._selector = selectors.DefaultSelector()
        for client in clients:
            self._selector.register(client.sock, READ, client)
        step = len(clients) / sampled
        self.looked_at = [clients[int(i * step)] for i in range(sampled)]
        for client in self.looked_at:
            client.heard = Heard(client.number % servers)
        self._room = ROOM // sampled

    # --- talking ---

    def say(self, client: Client, lines: int, *, when: float | None = None) -> None:
        """Say so many new lines, in one send if the socket takes them.

        They were said when they go out; or at the time that is given, if they should have been said then.
        """
        if client.ended:
            return
        first, data = self.said.lines(client.number, lines)
        if when is not None:
            self.said.stamp(first, first + lines, when)
        self._expect(client, lines)
        if client.out < len(client.outbox):
            del client.outbox[: client.out]
            client.outbox += data
            client.out = 0
            return
        client.outbox, client.out, client.first = bytearray(data), 0, first
        client.stamps = when is None
        self._send(client)

    def _expect(self, talker: Client, lines: int) -> None:
        """So many lines more are due to everybody but the talker; fewer, if it is negative."""
        self._total += lines
        talker.own += lines
        self.missing += lines * (self._here - (0 if self.echoes else 1))

    def _due(self, client: Client) -> int:
        """Lines that it should have heard, had it stayed."""
        return self._total - (0 if self.echoes else client.own)

    def _send(self, client: Client) -> None:
        at = now()
        try:
            with memoryview(client.outbox) as all_of_it:
                took = client.sock.send(all_of_it[client.out :])
        except BlockingIOError:
            took = 0
        except OSError:
            self._lose(client)
            return
        out = client.out + took
        if client.stamps:
            size = self.size
            self.said.stamp(client.first + client.out // size, client.first + out // size, at)
        client.out = out
        if out < len(client.outbox) or client.flooding:
            self._selector.modify(client.sock, READ | WRITE, client)

    def _go_on_talking(self, client: Client) -> None:
        if client.out < len(client.outbox):
            self._send(client)
        elif client.flooding:
            lines = min(client.flooding, BLOCK)
            client.flooding -= lines
            self.say(client, lines)
        else:
            self._selector.modify(client.sock, READ, client)

    def flood(self, talkers: list[Client], lines: int) -> None:
        """From now on, whenever one of these can, it says something; so many lines at most."""
        for client in talkers:
            client.flooding = lines
            self._selector.modify(client.sock, READ | WRITE, client)

    def stop_flooding(self) -> None:
        """Nothing new is said; a line that is half out, is said to its end."""
        for client in self.clients:
            client.flooding = 0
            if client.out < len(client.outbox):
                end = -(-client.out // self.size) * self.size
                unsaid = (len(client.outbox) - end) // self.size
                del client.outbox[end:]
                self._expect(client, -unsaid)

    @property
    def talking(self) -> bool:
        """Somebody has still to say something."""
        return any(c.flooding or c.out < len(c.outbox) for c in self.clients if not c.ended)

    # --- hearing ---

    def hear(self, seconds: float) -> int:
        """Hear what comes, within so many seconds; how many lines that was."""
        heard = 0
        for key, events in self._selector.select(seconds):
            client: Client = key.data
            if events & WRITE:
                self._go_on_talking(client)
                if not events & READ:
                    continue
            try:
                data = client.sock.recv(CHUNK)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if not data:
                self._lose(client)
                continue
            lines = data.count(MARK)
            client.count += lines
            heard += lines
            if client.heard is not None:
                client.heard.keep(data, now())
                if client.heard.kept > self._room:
                    client.heard.look(self.said, self.within, self.crossed)
        self.missing -= heard
        return heard

    def hear_all(self, patience: float, at_most: float = math.inf) -> bool:
        """Hear until nothing is missing. False: something is; and nothing came for `patience` seconds, or
        `at_most` seconds have passed, and it was still coming."""
        stop = now() + at_most
        give_up = now() + patience
        while self.missing > 0 or self.talking:
            heard = self.hear(min(patience, 0.2))
            at = now()
            if heard:
                give_up = at + patience
                if at > stop:
                    self.cut_short = True
                    return False
            elif at > give_up:
                return False
        return True

    def _lose(self, client: Client) -> None:
        """The server has ended this connection."""
        if not client.ended:
            client.ended = True
            client.flooding = 0
            client.outbox, client.out = bytearray(), 0
            self._here -= 1
            self.missing -= self._due(client) - client.count
            self._selector.unregister(client.sock)

    # --- looking at what was heard ---

    def begin(self) -> None:
        """What was said up to here was to warm up: it must have come, but its times do not count."""
        self.look()
        self.within, self.crossed = Times(), Times()
        self.said.measured_from = self.said.count

    def look(self) -> None:
        for client in self.looked_at:
            assert client.heard is not None
            client.heard.look(self.said, self.within, self.crossed)

    def look_if_much(self) -> None:
        if sum(client.heard.kept for client in self.looked_at if client.heard) > SPARE:
            self.look()

    def compared(self) -> tuple[int, int, int, int]:
        """Lines that were heard, lost, heard once too often, and heard by who had said them.

        If it was cut short, only that is lost which somebody should have heard before something that
        they have heard.
        """
        self.look()
        sums = [0, 0, 0, 0]
        for client in self.clients:
            if client.heard is not None:
                found = client.heard.compared(self.said, client.number, self.cut_short)
            else:
                due = self._total - client.own
                lost = 0 if self.cut_short else max(0, due - client.count)
                found = (min(due, client.count), lost, max(0, client.count - due), 0)
            sums = [a + b for a, b in zip(sums, found, strict=True)]
        return sums[0], sums[1], sums[2], sums[3]

    def close(self) -> None:
        self._selector.close()
        for client in self.clients:
            with contextlib.suppress(OSError):
                client.sock.shutdown(socket.SHUT_WR)
            client.sock.close()
