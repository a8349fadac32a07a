"""Bytes out of the server, without ever waiting.

`Outgoing` gives each reader its bytes with one `send` that never waits. What a socket does not take at
once stays in the reader's backlog, and goes out when the socket has room again. Three things can end
that: the connection breaks, the reader takes nothing for too long (`Limits.grace`, `Limits.behind`), or
it is to be closed.

Everything here runs in the courier's thread. It knows bytes and sockets; what is sent to whom, and in
which order, courier.py decides.
"""

from __future__ import annotations

import errno
import math
import selectors
import socket
import threading
from collections.abc import Iterable
from time import monotonic
from typing import TYPE_CHECKING

from labkit.server import scheduling
from labkit.server.backlog import Backlog, Store
from labkit.server.limits import Limits
from labkit.wire import sockets
from labkit.wire.messages import HUNG_UP, TOO_SLOW, VANISHED

if TYPE_CHECKING:
    from labkit.wire.tls import Seal

PATIENCE = 0.05
"""Seconds for which a client that takes nothing may slow the talkers; after that they go on without it.
More for one that has shown to breathe more slowly: see `_see_what_was_taken`."""

BREATHS = 3
"""Times its own longest pause so far that a slow reader may pause."""

CHECK = 0.01
"""Seconds between two looks at who has taken what: each costs a system call for each who waits."""

LINGER = 1.0
"""Seconds that a client let go politely has to take the last lines and close its side too."""


class Reader:
    """One client, seen from the server's writing side: a socket, and what that has not taken yet."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.lines_out = 0  # lines on their way to this client, or there
        # Why the courier gave this client up; its own thread reads it when `recv` ends. Guarded by
        # `Outgoing.telling`.
        self.failed: str | None = None
        self.seal: Seal | None = None  # its TLS, if it has any
        # The rest is the courier's own; no other thread touches it.
        self.handle = scheduling.handle(sock)
        self.clear = True  # it can be sent something at once: nothing waits, nothing failed, no end is near
        self.backlog = Backlog()
        self.sent = 0  # bytes sent since there is a backlog …
        self.acked = 0  # … and how many of them, at least, the peer's kernel has acknowledged
        self.took = 0.0  # when that last grew
        self.patience = PATIENCE
        self.close_by: float | None = None  # when it is to be closed, at the latest

    @property
    def behind(self) -> int:
        """Bytes that wait because the socket would not take them. Any thread may ask."""
        return self.backlog.bytes


class Outgoing:
    """What goes out, for all readers of one courier.

    With `raw`, no LF goes out at the end of a send: the assignment's dialect, in which a `recv` is a
    message. Lines that must share a send keep the LF between them. With `sealed`, every reader has a
    seal (tls.py), and what goes out, waits and is counted is ciphertext.
    """

    def __init__(self, limits: Limits, raw: bool = False, sealed: bool = False) -> None:
        self._limits = limits
        self._raw = raw
        self._sealed = sealed
        # Guards `Reader.failed` together with the send that finds it out: the kernel tells of a reset
        # once, to the send or to the recv, and whoever was not told must not guess before the other has
        # written it down. Held while sending, and that is allowed only because no send here ever waits.
        self.telling = threading.Lock()
        self._waiting: dict[Reader, None] = {}  # who has a backlog, or is about to be closed
        self._store = Store()  # what waits for them
        self._check_at = 0.0
        self._selector = selectors.DefaultSelector()
        self._wakes, self._wake = sockets.waker()
        self._selector.register(self._wakes, selectors.EVENT_READ)

    @property
    def idle(self) -> bool:
        """Nobody waits for anything."""
        return not self._waiting

    def wake(self) -> None:
        """Make `look_around` return, or the next one if none is going on. The one call that any thread
        may make."""
        sockets.wake(self._wake)

    def end(self) -> None:
        self._selector.close()
        self._wakes.close()
        self._wake.close()

    def send(self, readers: Iterable[Reader], data: bytes, lines: int) -> None:
        """Give each of them these bytes; what a socket does not take now waits."""
        if self._raw:
            data = data[:-1]
        if self._sealed:
            self._seal_and_send(readers, data, lines)
        else:
            self._send(readers, data, lines)

    def _seal_and_send(self, readers: Iterable[Reader], data: bytes, lines: int) -> None:
        """To each a ciphertext of its own, with what TLS had to say before; no data: that alone."""
        for reader in readers:
            if reader.seal is not None and not reader.failed and reader.close_by is None:
                if sealed := reader.seal.seal(data):
                    self._send((reader,), sealed, lines)

    def _send(self, readers: Iterable[Reader], data: bytes, lines: int) -> None:
        # This loop runs once for every line that reaches somebody. What can be done before it is.
        whole, size, send = len(data), scheduling.size(data), scheduling.send
        broken: list[Reader] = []
        with self.telling:
            for reader in readers:
                reader.lines_out += lines
                if not reader.clear:
                    self._queue_up(reader, data)
                elif (took := send(reader.handle, data, size, sockets.SEND_NOW)) != whole:
                    if took >= 0 or not self._broke(reader, scheduling.error()):
                        self._begin_backlog(reader, data, max(took, 0))
                    else:
                        broken.append(reader)
        for reader in broken:
            self._give_up(reader)

    def _queue_up(self, reader: Reader, data: bytes) -> None:
        """It goes to the end of the backlog; or nowhere, if this one is on its way out."""
        if reader.backlog and reader.close_by is None:
            if self._raw and not self._sealed:  # what was sealed at once is opened as one
                reader.backlog.put(b"\n", self._store)
            reader.backlog.put(data, self._store)

    def _begin_backlog(self, reader: Reader, data: bytes, took: int) -> None:
        """The socket has had enough for now: it took so many bytes of this."""
        reader.clear = False
        reader.sent = 0
        reader.acked = -sockets.unsent(reader.sock)
        reader.took = monotonic()
        reader.patience = PATIENCE
        reader.backlog.put(data, self._store, took)
        self._watch(reader, selectors.EVENT_WRITE)

    def _broke(self, reader: Reader, error: OSError) -> bool:
        """Whether that is the end of the connection; it is noted, for its thread to find."""
        assert self.telling.locked()
        if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK):
            return False
        # EPIPE: their FIN came first, then RST.
        reader.failed = HUNG_UP if error.errno == errno.EPIPE else VANISHED
        return True

    def _flush(self, reader: Reader) -> None:
        """Send from the backlog until it is empty or the socket has had enough."""
        while reader.backlog:
            with self.telling:
                try:
                    took = sockets.send_now(reader.sock, reader.backlog.next())
                except OSError as error:
                    self._broke(reader, error)
            if reader.failed:
                self._give_up(reader)
                return
            reader.sent += took
            if not reader.backlog.took(took, self._store):
                return
        if reader.close_by is None:
            self._forget(reader)
            reader.clear = True
        else:
            self._say_goodbye(reader)

    # --- those who wait: for room in their socket, or to be closed ---

    def look_around(self, timeout: float | None) -> None:
        for key, events in self._selector.select(timeout):
            reader = key.data
            if reader is None:
                self._drain_wakes()
            elif events & selectors.EVENT_WRITE and reader.backlog:
                self._flush(reader)
            elif reader.close_by is not None:
                self._discard(reader)
        now = monotonic()
        if now >= self._check_at:
            self._check_at = now + CHECK
            for reader in list(self._waiting):
                if reader.close_by is None:
                    self._see_what_was_taken(reader, now)
                elif now >= reader.close_by:
                    self._close(reader)

    def _see_what_was_taken(self, reader: Reader, now: float) -> None:
        """Let the reader go if its time is up; else learn how slowly it reads.

        A socket with a backlog is reported to have room again only when a good part of its buffer is
        free, which for one that reads slowly is megabytes and seconds away. What the peer's kernel
        acknowledges tells sooner; on loopback and Linux it does so about every 64 kB.
        """
        acked = reader.sent - sockets.unsent(reader.sock)
        if acked > reader.acked:
            reader.patience = max(reader.patience, BREATHS * (now - reader.took))
            reader.acked = acked
            reader.took = now
        idle = now - reader.took
        full = reader.behind > min(self._limits.behind, self._share())
        if idle > self._limits.grace or (full and idle > reader.patience):
            self._let_go(reader)

    def _drain_wakes(self) -> None:
        try:
            self._wakes.recv(64)
        except BlockingIOError:
            pass  # drained already

    def held(self) -> list[Reader]:
        """Those who are reading, and far behind: whoever talks to them should be slowed."""
        now = monotonic()
        far = min(self._limits.behind // 2, self._share())
        return [
            reader
            for reader in self._waiting
            if reader.close_by is None and reader.behind > far and now - reader.took < reader.patience
        ]

    def _share(self) -> float:
        """Bytes that may wait for one reader because of all the others: when half of the memory is taken,
        its even share. So there is always one who has more, and is let go, or slows the talkers."""
        half = self._limits.waiting // 2
        return half / len(self._waiting) if self._store.bytes > half else math.inf

    def _let_go(self, reader: Reader) -> None:
        """It stopped reading: its time is up, or its backlog full."""
        with self.telling:
            reader.failed = TOO_SLOW
        # RST, or the kernel would hold its unread megabytes for as long as it likes.
        sockets.reset_on_close(reader.sock)
        self._give_up(reader)

    def _give_up(self, reader: Reader) -> None:
        """Send nothing more, and wake the client's thread, which then leaves and says why."""
        reader.clear = False
        reader.backlog.clear(self._store)
        self._forget(reader)
        if reader.close_by is None:
            sockets.shut(reader.sock, socket.SHUT_RD)  # RDWR would say FIN, as if all had been told
        else:
            self._close(reader)

    def close(self, reader: Reader, politely: bool) -> None:
        """Close it when it has taken what waits; rudely: at once."""
        if politely and reader.seal is not None and not reader.failed:
            if last := reader.seal.goodbye():
                self._send((reader,), last, 0)
        reader.clear = False
        reader.close_by = monotonic() + LINGER
        if reader.failed or not politely:
            self._close(reader)
        elif reader.backlog:
            pass  # _flush will say goodbye
        else:
            self._say_goodbye(reader)

    def _say_goodbye(self, reader: Reader) -> None:
        """FIN; then read on until theirs. Closing with something unread would send RST instead, and
        that can wipe out the last lines before they are read (RFC 9293, section 3.10.4)."""
        sockets.shut(reader.sock, socket.SHUT_WR)
        self._watch(reader, selectors.EVENT_READ)

    def _discard(self, reader: Reader) -> None:
        try:
            if sockets.receive_now(reader.sock, 65536) != b"":
                return  # more may come: FIN has not
        except OSError:
            pass  # reset: gone all the same
        self._close(reader)

    def _close(self, reader: Reader) -> None:
        self._forget(reader)
        reader.backlog.clear(self._store)
        reader.sock.close()

    def _watch(self, reader: Reader, events: int) -> None:
        if reader in self._waiting:
            self._selector.modify(reader.sock, events, reader)
        else:
            self._waiting[reader] = None
            self._selector.register(reader.sock, events, reader)

    def _forget(self, reader: Reader) -> None:
        if reader in self._waiting:
            del self._waiting[reader]
            self._selector.unregister(reader.sock)
