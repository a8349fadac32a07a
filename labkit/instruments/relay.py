"""What a link does: a thread that takes bytes from one socket to the other, with the faults of each way.

It waits in `select` until a socket has something to read or room to write, or until the next piece is due.
`_Connection` is one client's connection through the link, `_Stream` one direction of it.
"""

from __future__ import annotations

import random
import selectors
import socket
import threading
from collections import deque
from math import inf
from time import monotonic

from labkit.instruments.faults import Fault, Freeze, HalfClose, Piece, Reset, Silence, Stage
from labkit.journal import Journal, shown
from labkit.wire import sockets

CHUNK = 1024 * 1024
"""Bytes read at once."""

FULL = 1024 * 1024
"""Bytes of one direction that a link holds; then it reads no more, and TCP slows the sender."""

LAST_BYTES = 1.0
"""Seconds that the bytes before an RST have to reach the other end; then the RST goes on."""

LONGEST_SLEEP = 3600.0
"""Seconds; with more, `select` fails on some systems."""

FIN = b""
"""How the end of a stream is queued: as the piece that `recv` returns for it."""


class Direction:
    """One direction of a link: what is wrong with it, for all its connections."""

    def __init__(self, relay: Relay, sender: str, receiver: str) -> None:
        self.sender, self.receiver = sender, receiver
        self._relay = relay
        self.faults: tuple[Fault, ...] = ()  # replaced as a whole, never changed: no lock needed

    def use(self, *faults: Fault) -> None:
        """From now on these faults, in this order, instead of those before. None: a good wire.

        Raises:
            OSError: the link was stopped.
            TypeError: one of them is no fault.
        """
        if not self._relay.running:
            raise OSError("this link was stopped; make a new one")
        for fault in faults:
            if not isinstance(fault, Fault):
                raise TypeError(f"a fault is one of those in faults.py, such as Delay(0.2), not {fault!r}")
        self.faults = faults
        self._relay.wake()

    def __repr__(self) -> str:
        return f"<{self.sender} → {self.receiver}: {', '.join(map(repr, self.faults)) or 'a good wire'}>"


class Relay:
    """The thread of a link, its sockets and its connections.

    Args:
        address: (host, port) of the server.
        client, server: what the two ends are called.
        journal: records what passes.
        chance: the dice that faults throw.
    """

    def __init__(
        self, address: sockets.Address, client: str, server: str, journal: Journal, chance: random.Random
    ) -> None:
        self.journal = journal
        self.to_server = Direction(self, client, server)
        self.to_client = Direction(self, server, client)
        self._server = address
        self.chance = chance
        self.connections: dict[_Connection, None] = {}  # the thread's own, as is the selector
        self.selector = selectors.DefaultSelector()
        self.buffer = memoryview(bytearray(CHUNK))
        self._wakes, self._waker = sockets.waker()
        self._listener = sockets.listen("localhost", 0)
        self.address: sockets.Address = self._listener.getsockname()[:2]
        self._to_reset = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"labkit-link-{client}", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return not self._ending.is_set()

    def wake(self) -> None:
        """Have the thread look at what has changed."""
        sockets.wake(self._waker)

    def reset(self) -> None:
        """RST to both ends of every connection."""
        self._to_reset.set()
        self.wake()

    def stop(self) -> None:
        """End every connection and the thread, and free the port. Twice does no harm."""
        if not self._ending.is_set():
            self._ending.set()
            self.wake()
            self._thread.join()
            self._wakes.close()
            self._waker.close()

    def _run(self) -> None:
        self._listener.setblocking(False)
        self.selector.register(self._listener, selectors.EVENT_READ)
        self.selector.register(self._wakes, selectors.EVENT_READ)
        try:
            while not self._ending.is_set():
                self._turn()
        finally:  # after a bug of ours, too: a dead link must not go on accepting
            self._ending.set()
            for connection in self.connections:
                connection.end()
            self._listener.close()
            self.selector.close()

    def _turn(self) -> None:
        due = min((c.due() for c in self.connections), default=inf)
        timeout = None if due == inf else min(max(0.0, due - monotonic()), LONGEST_SLEEP)
        for key, events in self.selector.select(timeout):
            if key.fileobj is self._listener:
                self.accept()
            elif key.fileobj is self._wakes:
                self._wakes.recv(4096)
            else:
                key.data.ready(key.fileobj, events)
        now = monotonic()
        if self._to_reset.is_set():
            self._to_reset.clear()
            for connection in self.connections:
                connection.reset_by_link(now)
        for connection in list(self.connections):
            connection.go_on(now)
            if connection.over:
                del self.connections[connection]

    def accept(self) -> None:
        """Connect one more client to the server."""
        try:
            client, _ = self._listener.accept()
        except OSError:
            return  # reset before it was accepted
        try:
            server = sockets.connect(self._server, timeout=5.0)
        except OSError:
            self.journal.record("RST", self.to_client.sender, where=self.to_client.receiver)
            sockets.reset_on_close(client)
            client.close()
            return
        self.connections[_Connection(self, client, server)] = None


class _Connection:
    """One client's connection through the link: two sockets, and a stream each way."""

    def __init__(self, relay: Relay, client: socket.socket, server: socket.socket) -> None:
        self.over = False
        self._selector = relay.selector
        self._buffer = relay.buffer
        self._journal = relay.journal
        self.streams = (
            _Stream(self, client, server, relay.to_server, relay.journal, relay.chance),
            _Stream(self, server, client, relay.to_client, relay.journal, relay.chance),
        )
        self._watched: dict[socket.socket, int] = {}
        # Once RST is to go on: when at the latest, and from whom to whom.
        self._reset_by = inf
        self._resets: list[tuple[str, str]] = []
        for sock in (client, server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setblocking(False)
        self.go_on(monotonic())

    @property
    def resetting(self) -> bool:
        return self._reset_by < inf

    def due(self) -> float:
        """When there is something to do next."""
        if any(stream.silent for stream in self.streams):
            return min(stream.due() for stream in self.streams)
        # The kernel does not report when it has sent all.
        soon = min(self._reset_by, monotonic() + 0.005) if self.resetting else inf
        return min(soon, *(stream.due() for stream in self.streams))

    def ready(self, sock: socket.socket, events: int) -> None:
        """A socket has something to read, or room to write."""
        for stream in self.streams:
            # The kernel reports a reset once: after a send has met it, it reads like FIN.
            if (
                stream.source is sock
                and events & selectors.EVENT_READ
                and not (self.over or self.resetting)
            ):
                stream.read(monotonic(), self._buffer)
            if not self.over and stream.sink is sock and events & selectors.EVENT_WRITE:
                stream.blocked = False

    def go_on(self, now: float) -> None:
        """Send what is due, and watch each socket for what comes next."""
        if self.over:
            return
        for stream in self.streams:
            stream.adopt(now)
            stream.send(now)
        silent = any(stream.silent for stream in self.streams)
        drained = all(stream.drained() for stream in self.streams)
        if self.resetting and not silent and (drained or now >= self._reset_by):
            for sender, receiver in self._resets:
                self._journal.record("RST", sender, where=receiver)
            self.end(reset=True)
        elif all(stream.ended for stream in self.streams) and not self.resetting:
            self.end()
        else:
            self._watch()

    def reset_by_peer(self, stream: _Stream, now: float) -> None:
        """The source of `stream` is gone: what it sent goes on first, then the RST."""
        if not self.resetting:
            self._reset_by = max([now, *(s.last_due() for s in self.streams)]) + LAST_BYTES
            self._resets = [(stream.direction.sender, stream.direction.receiver)]

    def sink_is_gone(self, stream: _Stream) -> None:
        """The sink of `stream` is gone: it is the source of the other one."""
        other = self.streams[stream is self.streams[0]]
        self.reset_by_peer(other, monotonic())

    def reset_by_link(self, now: float) -> None:
        """RST to both ends, at our own wish."""
        if not self.resetting:
            self._reset_by = now + LAST_BYTES
            self._resets = [("link", stream.direction.receiver) for stream in self.streams]

    def end(self, reset: bool = False) -> None:
        self.over = True
        for sock in [stream.source for stream in self.streams]:
            if self._watched.get(sock):
                self._selector.unregister(sock)
            if reset:
                sockets.reset_on_close(sock)
            sock.close()
        self._watched.clear()

    def _watch(self) -> None:
        for stream, other in (self.streams, self.streams[::-1]):
            sock = stream.source  # and the other stream's sink
            wanted = selectors.EVENT_READ * stream.reading() | selectors.EVENT_WRITE * other.blocked
            before = self._watched.get(sock, 0)
            if wanted == before:
                continue
            if not wanted:  # not even for errors: a silent wire reports nothing
                self._selector.unregister(sock)
            elif before:
                self._selector.modify(sock, wanted, self)
            else:
                self._selector.register(sock, wanted, self)
            self._watched[sock] = wanted


class _Stream:
    """One direction of one connection: from a recv of `source` to a send to `sink`."""

    def __init__(
        self,
        connection: _Connection,
        source: socket.socket,
        sink: socket.socket,
        direction: Direction,
        journal: Journal,
        chance: random.Random,
    ) -> None:
        self.source, self.sink = source, sink
        self.direction = direction
        self.ended = False  # nothing more goes on: FIN has, or the sink is gone
        self.blocked = False  # the sink takes no more just now
        self._connection = connection
        self._journal = journal
        self._chance = chance
        self._faults: tuple[Fault, ...] = ()
        self._stages: list[Stage] = []
        self.queue: deque[Piece] = deque()
        self._rest = False  # what is sent next is the rest of a piece
        self._held = 0  # bytes read and not sent
        self._passed = 0  # bytes sent since the faults are these
        self._fin_read = False

    # --- what is wrong with it ---

    def _has(self, kind: type[Fault]) -> bool:
        return any(isinstance(fault, kind) for fault in self._faults)

    @property
    def silent(self) -> bool:
        return self._has(Silence)

    def adopt(self, now: float) -> None:
        """Take over the faults that are set now."""
        if self.direction.faults is self._faults:
            return
        # What the old faults hold back goes on at once: nothing is lost, overtaken, or still late.
        self._flush(now)
        self.queue = deque((min(due, now), data) for due, data in self.queue)
        self._faults = self.direction.faults
        self._stages = [fault.start(self._chance) for fault in self._faults]
        self._passed = 0
        if self._has(HalfClose):
            self.queue.append((now, FIN))

    def _flush(self, now: float) -> None:
        for i, stage in enumerate(self._stages):
            self._enqueue(stage.flush(now), i + 1)

    def reading(self) -> bool:
        if self._fin_read or self._connection.resetting or self._held >= FULL:
            return False
        return not (self._has(Freeze) or self.silent)

    def due(self) -> float:
        """When there is something to send next."""
        if self.silent or self.blocked:
            return inf
        first = self.queue[0][0] if self.queue else inf
        return min([first, *(stage.timer() for stage in self._stages)])

    def last_due(self) -> float:
        return self.queue[-1][0] if self.queue else 0.0

    def drained(self) -> bool:
        """All that was read has arrived, as far as the kernel can tell."""
        return self.ended or (not self.queue and not sockets.unsent(self.sink))

    # --- passing on ---

    def read(self, now: float, buffer: memoryview) -> None:
        self.adopt(now)  # what is sent after `use` has returned meets the new faults
        if not self.reading():
            return  # frozen since the selector reported it
        try:
            size = self.source.recv_into(buffer)
        except BlockingIOError:
            return
        except OSError:
            self._flush(now)
            self._connection.reset_by_peer(self, now)
            return
        self._fin_read = size == 0
        if size and not (self._faults or self.queue or self.ended):
            # A good wire: straight on, without a copy.
            took = self._send_now(buffer[:size])
            size -= took
            if not size or self.ended:
                return
            buffer = buffer[took:]
        self._held += size
        self._enqueue([(now, bytes(buffer[:size]))], 0)

    def _enqueue(self, pieces: list[Piece], first: int) -> None:
        """Put the pieces through the stages from the one numbered `first` on, and in the queue."""
        for stage in self._stages[first:]:
            pieces = stage.shape(pieces)
        self.queue += pieces

    def send(self, now: float) -> None:
        """Send what is due, as far as the sink takes it."""
        if self.silent:
            return
        for i, stage in enumerate(self._stages):
            if stage.timer() <= now:
                self._enqueue(stage.flush(now), i + 1)
        reset = next((fault for fault in self._faults if isinstance(fault, Reset)), None)
        while self.queue and self.queue[0][0] <= now and not self.blocked:
            if reset and self._passed >= reset.after:
                break
            due, data = self.queue.popleft()
            if self.ended:
                self._held -= len(data)  # it goes nowhere
            elif data == FIN:
                self._send_fin()
            else:
                if reset and len(data) > reset.after - self._passed:
                    self.queue.appendleft((due, data[reset.after - self._passed :]))
                    data = data[: reset.after - self._passed]
                self._send_bytes(due, data)
        if reset and self._passed >= reset.after and not self._connection.resetting:
            self.queue.clear()
            self._connection.reset_by_link(now)

    def _send_bytes(self, due: float, data: bytes) -> None:
        took = self._send_now(data)
        self._held -= took
        self._passed += took
        if took < len(data) and not self.ended:
            self.queue.appendleft((due, data[took:]))

    def _send_now(self, data: bytes | memoryview) -> int:
        """Send what the sink takes; how much that was. The rest must be the next to be sent."""
        if self._rest:
            self._rest = False  # recorded with what went before it
        else:
            # Before it is sent: its receiver must not be ahead of the journal.
            direction = self.direction
            self._journal.record("bytes", direction.sender, shown(data), direction.receiver)
        try:
            took = sockets.send_now(self.sink, data)
        except OSError:
            # The peer is gone, and answers with RST.
            self.ended = True
            self.queue.clear()
            self._connection.sink_is_gone(self)
            return 0
        self.blocked = self._rest = took < len(data)
        return took

    def _send_fin(self) -> None:
        self.ended = True
        self._journal.record("FIN", self.direction.sender, where=self.direction.receiver)
        sockets.shut(self.sink, socket.SHUT_WR)
