"""Bytes out of the server, without ever waiting.

`Outgoing` gives each reader its bytes with one `send` that never waits. What a socket does not take at
once stays in the reader's backlog, and goes out when the socket has room again. Three things can end
that: the connection breaks, the reader takes nothing for too long (`Limits.grace`, `Limits.behind`), or
it is to be closed.

Everything here runs in the courier's thread. It knows bytes and sockets; what is sent to whom, and in
which order, courier.py decides. It builds on sockets.py and limits.py.
"""

from __future__ import annotations

import selectors
import socket
import threading
from collections import deque
from time import monotonic

from labkit import sockets
from labkit.limits import Limits
from labkit.messages import HUNG_UP, TOO_SLOW, VANISHED

PATIENCE = 0.05
"""Seconds for which a client that takes nothing may slow the talkers; after that they go on without it."""

LINGER = 1.0
"""Seconds that a client let go politely has to take the last lines and close its side too."""


class Reader:
    """One client, seen from the server's writing side: a socket, and what that has not taken yet."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.lines_out = 0  # lines on their way to this client, or there
        self.behind = 0  # bytes that wait because the socket would not take them
        # Why the courier gave this client up; its own thread reads it when `recv` ends.
        self.failed: str | None = None
        # Guards `failed` together with the send that finds it out: the kernel tells of a reset once,
        # to the send or to the recv, and whoever was not told must not guess before the other has
        # written it down. Held during a send, and that is allowed only because the send never waits.
        self.telling = threading.Lock()
        # The rest is the courier's own; no other thread touches it.
        self.backlog: deque[memoryview] = deque()
        self.took = 0.0  # when the socket last took something
        self.close_by: float | None = None  # when it is to be closed, at the latest


class Outgoing:
    """What goes out, for all readers of one courier.

    With `raw`, no LF goes out at the end of a send: the assignment's dialect, in which a `recv` is a
    message. Lines that must share a send keep the LF between them.
    """

    def __init__(self, limits: Limits, raw: bool = False) -> None:
        self._limits = limits
        self._raw = raw
        self._waiting: dict[Reader, None] = {}  # who has a backlog, or is about to be closed
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
        try:
            self._wake.send(b"!")
        except BlockingIOError:
            pass  # so many wake-ups unread: it will wake

    def end(self) -> None:
        self._selector.close()
        self._wakes.close()
        self._wake.close()

    def send(self, reader: Reader, data: bytes, lines: int) -> None:
        """Give the reader these bytes; what its socket does not take now waits."""
        if reader.failed or reader.close_by is not None:
            return
        reader.lines_out += lines
        rest = memoryview(data)
        if self._raw:
            rest = rest[:-1]
        if reader.backlog:
            if self._raw:
                reader.backlog.append(memoryview(b"\n"))
                reader.behind += 1
        else:
            took = self._try(reader, rest)
            if took == len(rest) or reader.failed:
                return
            rest = rest[took:]
            reader.took = monotonic()
            self._watch(reader, selectors.EVENT_WRITE)
        reader.backlog.append(rest)
        reader.behind += len(rest)

    def _try(self, reader: Reader, data: memoryview) -> int:
        """Send what the socket takes now. A broken one is noted, and its thread woken."""
        try:
            with reader.telling:
                try:
                    return sockets.send_now(reader.sock, data)
                except BrokenPipeError:
                    reader.failed = HUNG_UP  # their FIN came first, then RST
                    raise
                except OSError:
                    reader.failed = VANISHED
                    raise
        except OSError:
            self._give_up(reader)
            return 0

    def _flush(self, reader: Reader) -> None:
        """Send from the backlog until it is empty or the socket has had enough."""
        while reader.backlog:
            took = self._try(reader, reader.backlog[0])
            if reader.failed:
                return
            if took:
                reader.took = monotonic()
                reader.behind -= took
            if took < len(reader.backlog[0]):
                reader.backlog[0] = reader.backlog[0][took:]
                return
            reader.backlog.popleft()
        if reader.close_by is None:
            self._forget(reader)
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
        for reader in list(self._waiting):
            if reader.close_by is not None:
                if now >= reader.close_by:
                    self._close(reader)
            else:
                idle = now - reader.took
                if idle > self._limits.grace or (reader.behind > self._limits.behind and idle > PATIENCE):
                    self._let_go(reader)

    def _drain_wakes(self) -> None:
        try:
            self._wakes.recv(64)
        except BlockingIOError:
            pass  # drained already

    def held(self) -> bool:
        """Whether talkers should be slowed: somebody who is reading is far behind."""
        now = monotonic()
        return any(
            reader.behind > self._limits.behind // 2 and now - reader.took < PATIENCE
            for reader in self._waiting
            if reader.close_by is None
        )

    def _let_go(self, reader: Reader) -> None:
        """It stopped reading: its time is up, or its backlog full."""
        with reader.telling:
            reader.failed = TOO_SLOW
        # RST, or the kernel would hold its unread megabytes for as long as it likes.
        sockets.reset_on_close(reader.sock)
        self._give_up(reader)

    def _give_up(self, reader: Reader) -> None:
        """Send nothing more, and wake the client's thread, which then leaves and says why."""
        reader.backlog.clear()
        reader.behind = 0
        self._forget(reader)
        if reader.close_by is None:
            sockets.shut(reader.sock, socket.SHUT_RDWR)
        else:
            self._close(reader)

    def close(self, reader: Reader, politely: bool) -> None:
        """Close it when it has taken what waits; rudely: at once."""
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
        reader.backlog.clear()
        reader.behind = 0
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
