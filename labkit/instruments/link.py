"""A wire you can tap and break: a TCP proxy with faults.

Put a `Link` between clients and any server: clients connect to `link.address`, and it connects to the
server for each of them. It writes down every chunk that passes, every FIN and every RST, in `journal`;
and what passes can be delayed, sliced, held up or cut off, each direction by itself, while it runs:

    with Link(server.address) as link:
        link.to_client.use(Slice(1))         # faults.py lists them all
        alice = ChatClient("alice", link.address)
        link.to_client.use()                 # a good wire again
        print(link.journal)

It keeps TCP's promises: no byte is lost, repeated or put in another order in mid-stream. It knows
nothing of chat, and works in front of every server.

One thread does it all. It waits in `select` until a socket has something to read or room to write, or
until the next piece is due. What one connection is about is in `_Connection`, what one direction of it
is about in `_Stream`.
"""

from __future__ import annotations

import random
import selectors
import socket
import threading
from collections import deque
from math import inf
from time import monotonic
from types import TracebackType

from labkit.instruments.faults import Fault, Freeze, HalfClose, Piece, Reset, Silence, Stage
from labkit.journal import Journal, shown
from labkit.wire import sockets

CHUNK = 1024 * 1024
"""Bytes read at once."""

FULL = 1024 * 1024
"""Bytes of one direction that a link holds; then it reads no more, and TCP slows the sender."""

LAST_BYTES = 1.0
"""Seconds that the bytes before an RST have to reach the other end, before the RST goes on all the same."""

LONGEST_SLEEP = 3600.0
"""Seconds; more, and some systems' `select` fails."""

FIN = b""
"""How the end of a stream is queued: as the piece that `recv` returns for it."""


class Direction:
    """One direction of a link: what is wrong with it, for all its connections."""

    def __init__(self, link: Link, sender: str, receiver: str) -> None:
        self.sender, self.receiver = sender, receiver
        self._link = link
        self.faults: tuple[Fault, ...] = ()  # replaced as a whole, never changed: no lock needed

    def use(self, *faults: Fault) -> None:
        """From now on these faults, in this order, instead of those before. None: a good wire.

        Raises:
            OSError: the link was stopped.
            TypeError: one of them is no fault.
        """
        if not self._link.running:
            raise OSError("this link was stopped; make a new one")
        for fault in faults:
            if not isinstance(fault, Fault):
                raise TypeError(f"a fault is one of those in faults.py, such as Delay(0.2), not {fault!r}")
        self.faults = faults
        self._link._wake()

    def __repr__(self) -> str:
        return f"<{self.sender} → {self.receiver}: {', '.join(map(repr, self.faults)) or 'a good wire'}>"


class Link:
    """A proxy on a free port of this machine, in front of the server at `address`.

    Args:
        address: (host, port) of the server.
        client, server: what the two ends are called in the journal and in pictures of it.
        journal: where to write down what passes; by default a new one, in `journal`.
        seed: of the dice that faults throw; the same seed, the same throws.

    `to_server` and `to_client` are its two directions: `use` puts faults on them.
    """

    def __init__(
        self,
        address: sockets.Address,
        *,
        client: str = "client",
        server: str = "server",
        journal: Journal | None = None,
        seed: int = 0,
    ) -> None:
        self.journal = Journal() if journal is None else journal
        self.to_server = Direction(self, client, server)
        self.to_client = Direction(self, server, client)
        self._server = address
        self._chance = random.Random(seed)
        self._connections: dict[_Connection, None] = {}  # the link's own thread's, as is the selector
        self._selector = selectors.DefaultSelector()
        self._buffer = memoryview(bytearray(CHUNK))
        self._wakes, self._waker = sockets.waker()
        self._listener = sockets.listen("localhost", 0)
        self.address: sockets.Address = self._listener.getsockname()[:2]
        self._to_reset = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"labkit-link-{client}", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return not self._ending.is_set()

    def reset(self) -> None:
        """RST to both ends of every connection that there is now."""
        self._to_reset.set()
        self._wake()

    def silence(self) -> None:
        """Nothing passes any more, either way; and nobody is told."""
        self.to_server.use(Silence())
        self.to_client.use(Silence())

    def stop(self) -> None:
        """End every connection and the thread, and free the port. Twice does no harm."""
        if not self._ending.is_set():
            self._ending.set()
            self._wake()
            self._thread.join()
            self._wakes.close()
            self._waker.close()

    def __enter__(self) -> Link:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Link {self.to_server!r} {self.to_client!r}>"

    def _wake(self) -> None:
        sockets.wake(self._waker)

    # --- the link's thread ---

    def _work(self) -> None:
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wakes, selectors.EVENT_READ)
        try:
            while not self._ending.is_set():
                self._go_on()
        finally:  # also after a bug of ours: a link that is dead must not go on accepting
            self._ending.set()
            for connection in self._connections:
                connection.end()
            self._listener.close()
            self._selector.close()

    def _go_on(self) -> None:
        due = min((c.due() for c in self._connections), default=inf)
        timeout = None if due == inf else min(max(0.0, due - monotonic()), LONGEST_SLEEP)
        for key, events in self._selector.select(timeout):
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj is self._wakes:
                self._wakes.recv(4096)
            else:
                key.data.ready(key.fileobj, events)
        now = monotonic()
        if self._to_reset.is_set():
            self._to_reset.clear()
            for connection in self._connections:
                connection.reset_by_link(now)
        for connection in list(self._connections):
            connection.go_on(now)
            if connection.over:
                del self._connections[connection]

    def _accept(self) -> None:
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
        self._connections[_Connection(self, client, server, self._selector, self._buffer, self._chance)] = (
            None
        )


class _Connection:
    """One client's connection through the link: two sockets, and a stream each way."""

    def __init__(
        self,
        link: Link,
        client: socket.socket,
        server: socket.socket,
        selector: selectors.BaseSelector,
        buffer: memoryview,
        chance: random.Random,
    ) -> None:
        self.over = False
        self._selector = selector
        self._buffer = buffer
        self._journal = link.journal
        self._streams = (
            _Stream(self, client, server, link.to_server, link.journal, chance),
            _Stream(self, server, client, link.to_client, link.journal, chance),
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
        if any(stream.silent for stream in self._streams):
            return min(stream.due() for stream in self._streams)
        # The kernel does not tell when it has sent all.
        soon = min(self._reset_by, monotonic() + 0.005) if self.resetting else inf
        return min(soon, *(stream.due() for stream in self._streams))

    def ready(self, sock: socket.socket, events: int) -> None:
        """A socket has something to read, or room to write."""
        for stream in self._streams:
            # A reset that a send has found out reads like FIN afterwards: the kernel tells of it once.
            if (
                stream.source is sock
                and events & selectors.EVENT_READ
                and not (self.over or self.resetting)
            ):
                stream.read(monotonic(), self._buffer)
            if not self.over and stream.sink is sock and events & selectors.EVENT_WRITE:
                stream.blocked = False

    def go_on(self, now: float) -> None:
        """Send what is due, and see what each socket is to be watched for."""
        if self.over:
            return
        for stream in self._streams:
            stream.adopt(now)
            stream.send(now)
        silent = any(stream.silent for stream in self._streams)
        drained = all(stream.drained() for stream in self._streams)
        if self.resetting and not silent and (drained or now >= self._reset_by):
            for sender, receiver in self._resets:
                self._journal.record("RST", sender, where=receiver)
            self.end(reset=True)
        elif all(stream.ended for stream in self._streams) and not self.resetting:
            self.end()
        else:
            self._watch()

    def reset_by_peer(self, stream: _Stream, now: float) -> None:
        """The source of `stream` is gone. What it sent before goes on first; then the other end is told."""
        if not self.resetting:
            self._reset_by = max([now, *(s.last_due() for s in self._streams)]) + LAST_BYTES
            self._resets = [(stream.direction.sender, stream.direction.receiver)]

    def sink_is_gone(self, stream: _Stream) -> None:
        """The other stream came from there."""
        other = self._streams[stream is self._streams[0]]
        self.reset_by_peer(other, monotonic())

    def reset_by_link(self, now: float) -> None:
        """Nobody's wish but ours: both ends are told."""
        if not self.resetting:
            self._reset_by = now + LAST_BYTES
            self._resets = [("link", stream.direction.receiver) for stream in self._streams]

    def end(self, reset: bool = False) -> None:
        self.over = True
        for sock in [stream.source for stream in self._streams]:
            if self._watched.get(sock):
                self._selector.unregister(sock)
            if reset:
                sockets.reset_on_close(sock)
            sock.close()
        self._watched.clear()

    def _watch(self) -> None:
        for stream, other in (self._streams, self._streams[::-1]):
            sock = stream.source  # and the other stream's sink
            wanted = selectors.EVENT_READ * stream.reading() | selectors.EVENT_WRITE * other.blocked
            before = self._watched.get(sock, 0)
            if wanted == before:
                continue
            if not wanted:  # not even for errors: a silent wire tells of nothing
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
        self._queue: deque[Piece] = deque()
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
        """Take over the faults that were set since the last look."""
        if self.direction.faults is self._faults:
            return
        # What the old faults hold back goes on at once: nothing is lost or overtaken, or late for them.
        self._flush(now)
        self._queue = deque((min(due, now), data) for due, data in self._queue)
        self._faults = self.direction.faults
        self._stages = [fault.start(self._chance) for fault in self._faults]
        self._passed = 0
        if self._has(HalfClose):
            self._queue.append((now, FIN))

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
        first = self._queue[0][0] if self._queue else inf
        return min([first, *(stage.timer() for stage in self._stages)])

    def last_due(self) -> float:
        return self._queue[-1][0] if self._queue else 0.0

    def drained(self) -> bool:
        """All that was read has arrived, as far as the kernel can tell."""
        return self.ended or (not self._queue and not sockets.unsent(self.sink))

    # --- passing on ---

    def read(self, now: float, buffer: memoryview) -> None:
        self.adopt(now)  # what is sent after `use` has returned meets the new faults
        if not self.reading():
            return  # frozen between the look whether there is something and this one
        try:
            size = self.source.recv_into(buffer)
        except BlockingIOError:
            return
        except OSError:
            self._flush(now)
            self._connection.reset_by_peer(self, now)
            return
        self._fin_read = size == 0
        if size and not (self._faults or self._queue or self.ended):
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
        self._queue += pieces

    def send(self, now: float) -> None:
        """Send what is due, as far as the sink takes it."""
        if self.silent:
            return
        for i, stage in enumerate(self._stages):
            if stage.timer() <= now:
                self._enqueue(stage.flush(now), i + 1)
        reset = next((fault for fault in self._faults if isinstance(fault, Reset)), None)
        while self._queue and self._queue[0][0] <= now and not self.blocked:
            if reset and self._passed >= reset.after:
                break
            due, data = self._queue.popleft()
            if self.ended:
                self._held -= len(data)  # it goes nowhere
            elif data == FIN:
                self._send_fin()
            else:
                if reset and len(data) > reset.after - self._passed:
                    self._queue.appendleft((due, data[reset.after - self._passed :]))
                    data = data[: reset.after - self._passed]
                self._send_bytes(due, data)
        if reset and self._passed >= reset.after and not self._connection.resetting:
            self._queue.clear()
            self._connection.reset_by_link(now)

    def _send_bytes(self, due: float, data: bytes) -> None:
        took = self._send_now(data)
        self._held -= took
        self._passed += took
        if took < len(data) and not self.ended:
            self._queue.appendleft((due, data[took:]))

    def _send_now(self, data: bytes | memoryview) -> int:
        """Send what the sink takes; how much that was. The rest must be the next to be sent."""
        if self._rest:
            self._rest = False  # was written down with what went before it
        else:
            # Before it is sent: whoever receives it must not be ahead of the journal.
            direction = self.direction
            self._journal.record("bytes", direction.sender, shown(data), direction.receiver)
        try:
            took = sockets.send_now(self.sink, data)
        except OSError:
            # Its owner is gone, and what is sent to it is answered by RST.
            self.ended = True
            self._queue.clear()
            self._connection.sink_is_gone(self)
            return 0
        self.blocked = self._rest = took < len(data)
        return took

    def _send_fin(self) -> None:
        self.ended = True
        self._journal.record("FIN", self.direction.sender, where=self.direction.receiver)
        sockets.shut(self.sink, socket.SHUT_WR)
