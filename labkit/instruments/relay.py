"""What a link does: a thread that takes bytes from one socket to the other, with the faults of each way.

It waits in `select` until a socket has something to read or room to write, or until the next piece is due.
`Connection` is one client's connection through the link; stream.py has one direction of it. Nothing else
waits, connecting to the server neither: what a client says until then is held for it.
"""

from __future__ import annotations

import random
import selectors
import socket
import threading
from contextlib import suppress
from math import inf
from time import monotonic

from labkit.instruments.capture import FIN, RST, Capture, Talk
from labkit.instruments.faults import Fault
from labkit.instruments.stream import Stream
from labkit.journal import Journal, shown
from labkit.probe.queues import plain
from labkit.wire import addresses, sockets

CHUNK = 1024 * 1024
"""Bytes read at once."""

CONNECTING = 5.0
"""Seconds that the server has to accept a connection; then the client's is reset."""

PAUSE = 0.1
"""Seconds without accepting, once there is no descriptor; less where a connection ends, and makes room."""

LAST_BYTES = 1.0
"""Seconds that the bytes before an RST have to reach the other end; then the RST goes on."""

LONGEST_SLEEP = 3600.0
"""Seconds; with more, `select` fails on some systems."""


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

    @property
    def held(self) -> int:
        """Bytes that the link has read, of all its connections, and not yet passed on."""
        return self._relay.held(self)

    def __repr__(self) -> str:
        return f"<{self.sender} → {self.receiver}: {', '.join(map(repr, self.faults)) or 'a good wire'}>"


class Relay:
    """The thread of a link, its sockets and its connections.

    Args:
        address: (host, port) of the server.
        client, server: what the two ends are called.
        journal: records what passes.
        chance: the dice that faults throw.

    Raises:
        OSError: there is no such host.
    """

    def __init__(
        self, address: sockets.Address, client: str, server: str, journal: Journal, chance: random.Random
    ) -> None:
        self.journal, self.capture = journal, Capture()
        self.to_server = Direction(self, client, server)
        self.to_client = Direction(self, server, client)
        self._server, self._wheres = address, addresses.to_connect_to(address)  # the resolver may take long
        self.chance = chance
        self.connections: dict[Connection, None] = {}  # the thread's own, as is the selector
        self.selector = selectors.DefaultSelector()
        self.buffer = memoryview(bytearray(CHUNK))
        self._wakes, self._waker = sockets.waker()
        self._listener = sockets.listen("localhost", 0)
        self.address: sockets.Address = self._listener.getsockname()[:2]
        self._accept_again = inf  # when, while it does not accept
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

    def held(self, direction: Direction) -> int:
        """Bytes that were read, and wait to go on in this direction."""
        streams = [stream for connection in list(self.connections) for stream in connection.streams]
        return sum(stream.held for stream in streams if stream.direction is direction)

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
        due = min([self._accept_again, *(c.due() for c in self.connections)])
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
        room = now >= self._accept_again
        for connection in list(self.connections):
            connection.go_on(now)
            if connection.over:
                del self.connections[connection]
                room = True
        if room and self._accept_again < inf:
            self._accept_again = inf
            self.selector.register(self._listener, selectors.EVENT_READ)

    def accept(self) -> None:
        """Begin to connect one more client to the server, if there are descriptors for both sockets."""
        try:
            dial = sockets.Dial(self._server, self._wheres, CONNECTING)
        except OSError:
            self._pause()
            return
        try:
            client, address = self._listener.accept()
        except OSError as error:
            dial.sock.close()
            if not isinstance(error, (BlockingIOError, ConnectionAbortedError)):  # reset before we accepted
                self._pause()
            return
        talk = self.capture.opened(plain(address), plain(self._wheres[0][1]))
        self.connections[Connection(self, client, dial, talk)] = None

    def _pause(self) -> None:
        """Leave clients in the kernel's queue for a moment: `accept` would fail again at once."""
        self.selector.unregister(self._listener)
        self._accept_again = monotonic() + PAUSE


class Connection:
    """One client's connection through the link: two sockets, and a stream each way."""

    def __init__(self, relay: Relay, client: socket.socket, dial: sockets.Dial, talk: Talk) -> None:
        self.over = False
        self._talk, self._capture = talk, relay.capture
        self._dial: sockets.Dial | None = dial  # until the server is connected
        self._selector = relay.selector
        self._buffer = relay.buffer
        self._journal = relay.journal
        self.streams = (
            Stream(self, client, dial.sock, relay.to_server, relay.chance),
            Stream(self, dial.sock, client, relay.to_client, relay.chance),
        )
        self._watched: dict[socket.socket, int] = {}
        # Once RST is to go on: when at the latest, who sent it, and which way it goes.
        self._reset_by = inf
        self._resets: list[tuple[str, Stream]] = []
        client.setblocking(False)
        with suppress(OSError):  # macOS does not, once it is reset
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.streams[0].blocked = True
        self._connect(dial)
        self.go_on(monotonic())

    def _connect(self, dial: sockets.Dial) -> None:
        """See how connecting to the server goes on."""
        to_server, to_client = self.streams
        if self._watched.pop(dial.sock, 0):  # it may be closed, and another one take its number
            self._selector.unregister(dial.sock)
        try:
            connected = dial.go_on()
        except OSError:
            self._resets = self._resets or [(to_client.direction.sender, to_client)]
            self._pass_resets_on()
            return
        to_server.sink = to_client.source = dial.sock
        if connected:
            self._dial, to_server.blocked = None, False
            with suppress(OSError):  # reset already
                ends = (plain(end) for end in (dial.sock.getpeername(), dial.sock.getsockname()))
                self._capture.connected(self._talk, *ends)

    @property
    def resetting(self) -> bool:
        return self._reset_by < inf

    def due(self) -> float:
        """When there is something to do next."""
        dues = [stream.due() for stream in self.streams] if self._dial is None else [self._dial.due]
        if self.resetting and not any(stream.silent for stream in self.streams):
            # The kernel does not report when it has sent all.
            dues.append(min(self._reset_by, monotonic() + 0.005))
        return min(dues)

    def ready(self, sock: socket.socket, events: int) -> None:
        """A socket has something to read, or room to write; or the server has answered."""
        if self.over:
            return
        if self._dial is not None and sock is self._dial.sock:
            self._connect(self._dial)
            return
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
        if not self.over and self._dial is not None and now >= self._dial.due:
            self._connect(self._dial)
        if self.over:
            return
        for stream in self.streams:
            stream.adopt(now)
            if self._dial is None:
                stream.send(now)
        silent = any(stream.silent for stream in self.streams)
        drained = all(stream.drained() for stream in self.streams)
        if self.resetting and not silent and (drained or now >= self._reset_by):
            self._pass_resets_on()
        elif all(stream.ended for stream in self.streams) and not self.resetting:
            self.end()
        else:
            self._watch()

    def reset_by_peer(self, stream: Stream, now: float) -> None:
        """The source of `stream` is gone: what it sent goes on first, then the RST."""
        if not self.resetting:
            self._reset_by = max([now, *(s.last_due() for s in self.streams)]) + LAST_BYTES
            self._resets = [(stream.direction.sender, stream)]

    def sink_is_gone(self, stream: Stream) -> None:
        """The sink of `stream` is gone: it is the source of the other one."""
        other = self.streams[stream is self.streams[0]]
        self.reset_by_peer(other, monotonic())

    def reset_by_link(self, now: float) -> None:
        """RST to both ends, at our own wish."""
        if not self.resetting:
            self._reset_by = now + LAST_BYTES
            self._resets = [("link", stream) for stream in self.streams]

    def _pass_resets_on(self) -> None:
        for sender, stream in self._resets:
            self._journal.record(RST, sender, where=stream.direction.receiver)
            from_client, by_link = stream is self.streams[0], sender != stream.direction.sender
            self._capture.ended(self._talk, RST, from_client, by_link)
        self.end(reset=True)

    def passes(self, stream: Stream, data: bytes | memoryview) -> None:
        """Write down that this piece goes on; b"" is FIN."""
        direction, from_client = stream.direction, stream is self.streams[0]
        if data:
            self._journal.record("bytes", direction.sender, shown(data), direction.receiver)
            self._capture.passed(self._talk, from_client, data)
        else:
            self._journal.record(FIN, direction.sender, where=direction.receiver)
            self._capture.ended(self._talk, FIN, from_client)

    def end(self, reset: bool = False) -> None:
        self.over = True
        for sock in [stream.source for stream in self.streams]:
            if self._watched.get(sock):
                self._selector.unregister(sock)
            if reset and sock.fileno() >= 0:  # that to the server may be closed
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
