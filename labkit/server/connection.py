"""One client: what it says, and how its connection ends, as the thread that reads from it sees it.

All the ways in which a connection can end meet here, and raise `Disconnected`: FIN, RST, silence, and our
own side giving up on it.

With TLS, a goodbye is what TLS calls one, close_notify. A FIN alone can come from anyone on the way who
wants the rest not to arrive, so it counts as `vanished`. It cannot cut a line in half: a line counts when
its LF has come.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from labkit.server.sender import Outbox
from labkit.wire import sockets
from labkit.wire.framing import Framing, LineFraming, RawFraming
from labkit.wire.messages import HUNG_UP, SERVER_STOPPED, TOO_SLOW, VANISHED, WENT_SILENT, Reason

if TYPE_CHECKING:
    from labkit.wire.tls import TlsSession

SMALL_CHUNK = 1024
"""Bytes read at once: each thread that waits in `recv` holds so much memory. In the raw dialect, also the
longest message (the assignment's own number)."""

CHUNK = 65536
"""Bytes read at once from a client that has ever filled the small chunk. Not from one whose lines are
counted: what it must wait for stays unread, and TCP slows it down."""

LOOK_AROUND = 0.1
"""Seconds between two looks of a thread that is made to wait at whether its client is still there."""

SLACK = 0.001
"""Seconds that the rate may be ahead of the clock: less is not worth a wait."""

T = TypeVar("T")


class Disconnected(Exception):
    """Nothing more is to come from this client."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class ServerConnection:
    """A client, as its server has it. `receive`, `greet`, `decrypted`, `paced` are for its thread alone."""

    def __init__(
        self,
        sock: socket.socket,
        framing: Framing,
        rate: float | None,  # lines a second that it may say; None: any number
        telling: threading.Lock,  # the Sender's
        tls: TlsSession | None = None,
    ) -> None:
        self.sock = sock
        self.tls = tls
        self.outbox = Outbox(sock, tls)
        self._telling = telling
        self._raw = isinstance(framing, RawFraming)
        self._chunk = SMALL_CHUNK
        # None: it may not say many lines at once, or has none.
        self.lines = framing if isinstance(framing, LineFraming) and rate is None else None
        self.thread = threading.current_thread()  # until it is given its own
        self.lines_in = 0
        self.whispered_to: set[Outbox] = set()  # with its last commands; whom it may have to wait for
        self.named = False  # it has a nickname, so it is in a room
        self.in_the_way = False  # it has none, and its place was given to another
        self.leaving = False  # guarded by the hub's lock: its socket is the broadcaster's to close
        self.framing = framing
        self._rate = rate
        self._paid_until = 0.0
        self._patience: float | None = None  # as the kernel was told

    def receive(self, seconds: float | None, ending: threading.Event) -> bytes:
        """What one `recv` brought, within so many seconds; `ending` is set when the server stops."""
        if seconds != self._patience:
            sockets.patience(self.sock, seconds)
            self._patience = seconds
        try:
            over = self.tls is not None and self.tls.ended
            data = b"" if over else sockets.receive(self.sock, self._chunk, seconds)
        except TimeoutError:
            raise Disconnected(WENT_SILENT) from None
        except OSError:
            # The kernel told us, so the next send may have met a mere EPIPE: do not ask it.
            raise Disconnected(TOO_SLOW if self.outbox.failed == TOO_SLOW else VANISHED) from None
        if data:
            if len(data) == SMALL_CHUNK and self.lines is not None and self.named:
                self._chunk = CHUNK
            return data
        with self._telling:  # the broadcaster may be just finding out that this was no goodbye
            reason = self.outbox.failed or (SERVER_STOPPED if ending.is_set() else HUNG_UP)
        if self.tls is not None and self.tls.ready and reason in (HUNG_UP, VANISHED):
            reason = HUNG_UP if self.tls.ended else VANISHED  # TLS knows, whatever the kernel says
        raise Disconnected(reason)

    def greet(self, data: bytes) -> bool:
        """Send its first line, past the broadcaster: nothing can wait there. False: it was not taken."""
        with self._telling:
            try:
                sent = sockets.send_now(self.sock, data) > 0
            except OSError as error:  # `receive` will say so
                self.outbox.note_the_end(error)
                sent = True
            self.outbox.lines_out += sent
        return sent

    def decrypted(self, data: bytes) -> bytes:
        """The bytes as the client meant them. Disconnected: they should be TLS, and are not."""
        if self.tls is None:
            return data
        try:
            return b"".join(self.tls.decrypt(data, self._chunk))
        except ConnectionError:  # no TLS; `tls.trouble` says why
            raise Disconnected(VANISHED) from None

    def set_nickname(self, nickname: str) -> None:
        """It has this nickname now, which will stand before what it says."""
        self.named = True
        if self._raw:  # with the nickname it must fit into a receiver's recv, or be taken for two messages
            self._chunk = SMALL_CHUNK - len(f"{nickname}: \n".encode())

    def paced(self, said: list[T], ending: threading.Event) -> Iterator[list[T]]:
        """What was said, in parts, each when the rate allows it; a second's worth may come at once."""
        assert self._rate is not None
        at_once = max(1, int(self._rate))
        ahead = max(1.0, 1.0 / self._rate)
        for start in range(0, len(said), at_once):
            part = said[start : start + at_once]
            now = monotonic()
            self._paid_until = max(self._paid_until, now - ahead) + len(part) / self._rate
            while self._paid_until > monotonic() + SLACK:
                if ending.wait(min(LOOK_AROUND, self._paid_until - monotonic())):
                    raise Disconnected(SERVER_STOPPED)
                # One that has only hung up is not gone: what it said before that is still to be heard.
                if self.outbox.failed or sockets.ended_by(self.sock) == "RST":
                    raise Disconnected(self.outbox.failed or VANISHED)
            yield part
