"""Bytes out of the server, without ever waiting.

What a socket does not take at once stays in its backlog, and goes out when the socket has room again. Three
things can end that: the connection breaks, the client takes nothing for too long (`Limits.grace`,
`Limits.behind`), or it is to be closed. Everything here runs in the broadcaster's thread.
"""

from __future__ import annotations

import errno
import selectors
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from labkit.server.backlog import BLOCK_COSTS, PIECE_COSTS, Backlog, MemoryUse
from labkit.server.limits import Limits
from labkit.wire import selecting, sockets
from labkit.wire.messages import HUNG_UP, TOO_SLOW, VANISHED, Reason

if TYPE_CHECKING:
    from labkit.wire.tls import TlsSession

PATIENCE = 0.05
"""Seconds for which a client that takes nothing may slow the talkers; after that they go on without it …"""

BREATHS = 3
"""… or, if that is more, so many times the longest pause that it has made so far …"""

LONGEST = 10.0
"""… but never more seconds than these."""

CHECK = 0.01
"""Seconds between two looks at who has taken what: each costs a system call for each who waits."""

LINGER = 1.0
"""Seconds that a client let go politely has to take the last lines and close its side too."""


class Outbox:
    """A client's socket, and what that has not taken yet."""

    def __init__(self, sock: socket.socket, tls: TlsSession | None = None) -> None:
        self.sock = sock
        self.tls = tls
        self.lines_out = 0  # lines on their way to this client, or there
        # Why the sender gave this client up; its own thread reads it when `recv` ends. Guarded by
        # `Sender.telling`.
        self.failed: Reason | None = None
        # The rest is the broadcaster's own; no other thread touches it.
        self.send = sock.send
        self.clear = True  # it can be sent something at once: nothing waits, nothing failed, no end is near
        self.backlog = Backlog()
        # What of the backlog is for this one alone, about: bytes, and the blocks that some are in.
        self.private = 0.0
        self.private_blocks = 0.0
        self.sent = 0  # bytes sent since there is a backlog …
        self.acked = 0  # … and how many of them, at least, the peer's kernel has acknowledged
        self.took = 0.0  # when that last grew
        self.patience = PATIENCE
        self.close_by: float | None = None  # when it is to be closed, at the latest

    def note_the_end(self, error: OSError) -> None:
        """A send found it out. `Sender.telling` must be held."""
        # EPIPE: their FIN came first, then RST.
        self.failed = HUNG_UP if error.errno == errno.EPIPE else VANISHED
        self.clear = False  # the next send would find EPIPE, whatever it was

    @property
    def behind(self) -> int:
        """Bytes that wait because the socket would not take them. Any thread may ask."""
        return self.backlog.bytes


class Sender:
    """What goes out, for all outboxes of one broadcaster."""

    def __init__(self, limits: Limits, raw: bool = False, encrypted: bool = False) -> None:
        self._limits = limits
        self._raw = raw  # no LF at the end of a send: in the assignment's dialect a recv is a message
        self._encrypted = encrypted  # each outbox has a TLS session; all that waits is ciphertext
        # Guards `Outbox.failed` together with the send that finds it out: the kernel tells of a reset
        # once, to the send or to the recv; the thread that was not told must not guess before the other has
        # written it down. Held while sending, and while a block is made for one client alone; that is
        # allowed only because no send here ever waits.
        self.telling = threading.Lock()
        self._waiting: dict[Outbox, None] = {}  # who has a backlog, or is about to be closed
        self._store = MemoryUse()  # what waits for them
        self._check_at = 0.0
        self._selector = selecting.selector()
        self._wakes, self._wake = sockets.waker()
        self._selector.register(self._wakes, selectors.EVENT_READ)

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be sent or closed."""
        return not self._waiting

    def wake(self) -> None:
        """Make `look_around` return, or the next one. The one call that any thread may make."""
        sockets.wake(self._wake)

    def end(self) -> None:
        self._selector.close()
        self._wakes.close()
        self._wake.close()

    def send(self, mail: Iterable[tuple[Outbox, bytes, int]]) -> None:
        """Give each its bytes, which are so many lines (none: what TLS itself has to say); what it does
        not take waits."""
        if self._raw:
            mail = ((outbox, data[:-1], lines) for outbox, data, lines in mail)
        self._send(list(self._encrypt(mail)) if self._encrypted else mail)

    def _send(self, mail: Iterable[tuple[Outbox, bytes, int]]) -> None:
        broken: list[Outbox] = []
        with self.telling:
            for outbox, data, lines in mail:  # once for every client that is sent something
                outbox.lines_out += lines
                if not outbox.clear:
                    self._queue_up(outbox, data)
                    continue
                try:
                    took = outbox.send(data, sockets.SEND_NOW)
                except BlockingIOError:
                    took = 0
                except OSError as error:
                    outbox.note_the_end(error)
                    broken.append(outbox)
                    continue
                if took != len(data):
                    self._begin_backlog(outbox, data, took)
        for outbox in broken:
            self._give_up(outbox)

    @staticmethod
    def _encrypt(mail: Iterable[tuple[Outbox, bytes, int]]) -> Iterator[tuple[Outbox, bytes, int]]:
        for outbox, data, lines in mail:
            if outbox.tls is not None and not outbox.failed and outbox.close_by is None:
                if encrypted := outbox.tls.encrypt(data):
                    yield outbox, encrypted, lines

    def _queue_up(self, outbox: Outbox, data: bytes) -> None:
        """It goes to the end of the backlog; or nowhere, if this one is on its way out."""
        if outbox.backlog and outbox.close_by is None:
            if self._raw and not self._encrypted:  # what was encrypted at once is opened as one
                outbox.backlog.put(b"\n", self._store)
            outbox.backlog.put(data, self._store)

    def _begin_backlog(self, outbox: Outbox, data: bytes, took: int) -> None:
        outbox.clear = False
        outbox.sent = 0
        outbox.acked = -sockets.unsent(outbox.sock)
        outbox.took = monotonic()
        outbox.patience = PATIENCE
        outbox.backlog.put(data, self._store)
        self._took(outbox, took)
        self._watch(outbox, selectors.EVENT_WRITE)

    def _took(self, outbox: Outbox, count: int) -> None:
        """Its socket took so many bytes of the backlog."""
        left = 1 - count / outbox.backlog.bytes  # as if what is for it alone were spread evenly
        outbox.private *= left
        outbox.private_blocks *= left
        outbox.backlog.took(count, self._store)

    def _flush(self, outbox: Outbox) -> None:
        """Send from the backlog until it is empty or the socket has had enough."""
        while outbox.backlog:
            data = outbox.backlog.next()
            with self.telling:
                try:
                    took = sockets.send_now(outbox.sock, data)
                except OSError as error:
                    outbox.note_the_end(error)
            if outbox.failed:
                self._give_up(outbox)
                return
            outbox.sent += took
            self._took(outbox, took)
            if took < len(data):
                return
        if outbox.close_by is None:
            self._forget(outbox)
            outbox.clear = True
        else:
            self._say_goodbye(outbox)

    def look_around(self, timeout: float | None) -> None:
        """See to those who wait: for room in their socket, or to be closed."""
        for key, events in self._selector.select(timeout):
            outbox = key.data
            if outbox is None:
                with suppress(BlockingIOError):  # drained already
                    self._wakes.recv(64)
            elif events & selectors.EVENT_WRITE and outbox.backlog:
                self._flush(outbox)
            elif outbox.close_by is not None:
                self._discard(outbox)
        now = monotonic()
        if now >= self._check_at:
            self._check_at = now + CHECK
            for outbox in list(self._waiting):
                if outbox.close_by is None:
                    self._let_go_if_too_slow(outbox, now)
                elif now >= outbox.close_by:
                    self._close(outbox)

    def _let_go_if_too_slow(self, outbox: Outbox, now: float) -> None:
        """Let the outbox go if its time is up; else learn how slowly it reads.

        The selector reports a socket only when a good part of its buffer is free: of a slow reader,
        megabytes and seconds away. What the peer's kernel acknowledges tells sooner; on Linux and loopback
        in steps of 64 to 128 kB, however small the pieces in which it is read.
        """
        acked = outbox.sent - sockets.unsent(outbox.sock)
        if acked > outbox.acked:
            outbox.patience = min(max(outbox.patience, BREATHS * (now - outbox.took)), LONGEST)
            outbox.acked = acked
            outbox.took = now
        idle = now - outbox.took
        full = self._is_over(outbox, self._limits.behind)
        if idle > self._limits.grace or (full and idle > outbox.patience):
            with self.telling:
                outbox.failed = TOO_SLOW
            # RST, or the kernel would hold its unread megabytes for as long as it likes.
            sockets.reset_on_close(outbox.sock)
            self._give_up(outbox)

    def held(self) -> tuple[list[Outbox], list[Outbox]]:
        """Those that are reading, and far behind: talkers to them should be slowed. And which of them are
        so by what their room hears: the answers that a client asks for slow itself alone."""
        now = monotonic()
        half = self._limits.behind // 2
        far = [
            outbox
            for outbox in self._waiting
            if outbox.close_by is None
            and now - outbox.took < outbox.patience
            and self._is_over(outbox, half)
        ]
        return far, [outbox for outbox in far if self._is_over(outbox, half, private=False)]

    def _is_over(self, outbox: Outbox, limit: int, private: bool = True) -> bool:
        """Whether more waits for it than the limit, or, when half of the memory for all is taken, more than
        its even share of that. So one always has more, and is let go, or slows the talkers."""
        waits: float = outbox.backlog.bytes
        cost: float = outbox.backlog.cost
        if not private:
            waits -= outbox.private
            cost -= outbox.private + outbox.private_blocks * (BLOCK_COSTS + PIECE_COSTS)
        half = self._limits.waiting // 2
        return waits > limit or (self._store.bytes > half and cost > half / len(self._waiting))

    def _give_up(self, outbox: Outbox) -> None:
        """Send nothing more, and wake the client's thread, which then leaves and says why."""
        outbox.clear = False
        self._forget(outbox)
        if outbox.close_by is None:
            sockets.stop_reading(outbox.sock)  # a FIN would say that all had been told
        else:
            self._close(outbox)

    def close(self, outbox: Outbox, politely: bool) -> None:
        """Close it when it has taken what waits; rudely: at once."""
        if politely and outbox.tls is not None and not outbox.failed:
            if last := outbox.tls.goodbye():
                self._send([(outbox, last, 0)])
        outbox.clear = False
        outbox.close_by = monotonic() + LINGER
        if outbox.failed or not politely:
            self._close(outbox)
        elif not outbox.backlog:  # else `_flush` will say goodbye
            self._say_goodbye(outbox)

    def _say_goodbye(self, outbox: Outbox) -> None:
        """FIN; then read on until theirs. Closing with something unread would send RST instead, and that
        can wipe out the last lines before they are read (RFC 9293, section 3.10.4)."""
        sockets.shut(outbox.sock, socket.SHUT_WR)
        self._watch(outbox, selectors.EVENT_READ)

    def _discard(self, outbox: Outbox) -> None:
        with suppress(OSError):  # reset: gone all the same
            if sockets.receive_now(outbox.sock, 65536) != b"":
                return  # more may come: FIN has not
        self._close(outbox)

    def _close(self, outbox: Outbox) -> None:
        self._forget(outbox)
        outbox.sock.close()

    def _watch(self, outbox: Outbox, events: int) -> None:
        if outbox in self._waiting:
            self._selector.modify(outbox.sock, events, outbox)
        else:
            self._waiting[outbox] = None
            self._selector.register(outbox.sock, events, outbox)

    def _forget(self, outbox: Outbox) -> None:
        outbox.backlog.clear(self._store)
        if outbox in self._waiting:
            del self._waiting[outbox]
            self._selector.unregister(outbox.sock)
