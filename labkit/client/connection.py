"""One connection to a server, as the client that made it holds it; the server's is server/connection.py.

Two threads use it: one speaks, one listens. The one that listens closes it; others only ask it to
(`stop_reading`). With TLS they share one session (wire/tls.py): one encrypts, the other decrypts, and what
TLS itself has to say goes out with the next line.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from labkit.wire import sockets
from labkit.wire.addresses import place
from labkit.wire.errors import words
from labkit.wire.framing import Framing

if TYPE_CHECKING:
    from ssl import SSLContext

LOOK_AROUND = 0.05
"""Seconds; how often a thread that waits to send looks whether it is still wanted."""

CHUNK = 65536
"""Bytes read at once."""

HEARTBEAT = 20.0
"""Seconds after which a client that said nothing sends a heartbeat."""


class ClientConnection:
    """One connection to a server, from connecting to closing.

    Args:
        address: (host, port).
        framing: this connection's own.
        timeout: seconds for connecting, and for a line to be sent.
        tls: for TLS, as `client_context` makes it.
        given_up: is asked now and then while it connects; once it says yes, that is over.

    Raises:
        ConnectionError: no server listens there, or it was given up.
        OSError: there is no such host.
    """

    def __init__(
        self,
        address: sockets.Address,
        framing: Framing,
        timeout: float,
        tls: SSLContext | None = None,
        given_up: Callable[[], bool] = lambda: False,
    ) -> None:
        self.address = address
        self.framing = framing
        self.timeout = timeout
        self.last_sent = monotonic()
        self._sending = threading.Lock()  # guards the sending of one line: two threads must not mix theirs
        self._closing = threading.Lock()  # guards the closing of the socket against its use
        self._cut_short = False  # a line went out in part, and nothing can follow it
        self.deaf = False  # the receiving thread is to read no more …
        self.aborted = False  # … and to close with RST
        self.trouble = ""  # why we end it ourselves, if we do
        self._deadline = math.inf  # when `readable` ends it
        self._tls = None
        if tls is not None:
            from labkit.wire.tls import TlsSession  # loaded only where there is TLS

            self._tls = TlsSession(tls, address[0].partition("%")[0])  # no certificate knows our interfaces
        self.sock = sockets.connect(address, timeout, given_up)
        try:
            sockets.prepare(self.sock)
            self.sock.setblocking(False)  # to wait is poll's business, so that it can be interrupted
            self.decrypted(b"")  # begins TLS
        except OSError as error:
            self.sock.close()
            raise ConnectionError(f"the connection broke at once ({words(error)})") from None

    @property
    def encrypted(self) -> bool:
        return self._tls is not None

    @property
    def over(self) -> bool:
        """Whether the server has said TLS's goodbye: nothing more will come."""
        return self._tls is not None and self._tls.ended

    @property
    def no_tls(self) -> str:
        """What to say where TLS could not be agreed on; empty once it is, and where there is to be none."""
        agreed = self._tls is None or self._tls.ready
        return "" if agreed else f"no TLS with {place(self.address)}"

    def why_ended(self, error: OSError | None = None) -> str:
        """Why it ended, in words: by this error, or by the server's FIN."""
        if self.trouble:
            return self.trouble
        why = words(error) if error else ""
        if self._tls is not None and self.no_tls:
            why = "the server does not speak TLS" if self._tls.plain_text else self._tls.trouble or why
            return f"{self.no_tls}: {why or 'the server hung up (it may be full, or not speak TLS)'}"
        if error:
            return f"the connection broke ({why})"
        if self.encrypted and not self.over:
            # An attacker on the way can forge a FIN; only the server can say close_notify.
            return "the connection was cut: no goodbye (close_notify) came before its end"
        return "the server hung up"

    # --- for the threads that speak ---

    def send(self, data: bytes, wait: bool = True) -> None:
        """Send it all. Without `wait`: unless another thread is sending just now.

        Raises:
            TimeoutError: the server did not read it in time. Part of a line may be out.
            OSError: the connection is broken, or was. The last byte did not go out.
        """
        if not self._sending.acquire(wait):
            return
        try:
            if self._cut_short:
                raise ConnectionAbortedError("the line before went out in part")
            give_up = monotonic() + self.timeout
            rest = memoryview(data if self._tls is None else self._tls.encrypt(data))
            while rest := rest[sockets.send_now(self.sock, rest) :]:
                if self.aborted:
                    raise ConnectionAbortedError("the connection was aborted")
                if monotonic() > give_up:
                    self._cut_short = True
                    raise TimeoutError(f"the server read nothing for {self.timeout:g} s")
                sockets.writable(self.sock, LOOK_AROUND)
            self.last_sent = monotonic()
        except ValueError:  # a closed socket has no descriptor: the receiving thread was quicker
            raise ConnectionAbortedError("the connection has ended") from None
        finally:
            self._sending.release()

    def say_goodbye(self, seconds: float) -> None:
        """Send TLS's own goodbye, before FIN; gives up once the server has taken nothing for so long."""
        if self._tls is None or not self._sending.acquire(timeout=seconds):
            return  # or another thread still sends, in vain
        try:
            rest = memoryview(self._tls.goodbye())
            unread = None
            while rest := rest[sockets.send_now(self.sock, rest) :]:
                if not seconds or unread == (unread := self.unread()):
                    break
                sockets.writable(self.sock, seconds)
        except (OSError, ValueError):
            pass  # it is gone already; a closed socket has no descriptor
        finally:
            self._sending.release()

    # --- for the receiving thread ---

    def expect(self, seconds: float | None) -> None:
        """End it in so many seconds, unless `expect(None)` comes first."""
        self._deadline = math.inf if seconds is None else monotonic() + seconds

    def readable(self, seconds: float) -> bool:
        """Whether there is something to read, or a reason to read no more, within so many seconds."""
        left = max(0.0, min(seconds, self._deadline - monotonic()))
        if self.deaf or sockets.readable(self.sock, left):
            return True
        if monotonic() >= self._deadline:
            self.trouble, self.deaf = f"no answer within {self.timeout:g} s", True
        return self.deaf

    def receive(self, thawed: threading.Event, heartbeat: bytes) -> bytes:
        """What came next; b"" at the end. Sends a heartbeat now and then meanwhile."""
        while True:
            due = self.last_sent + HEARTBEAT - monotonic()
            if due <= 0:
                self.last_sent = monotonic()
                if heartbeat:
                    self.send(heartbeat, wait=False)  # if another thread is sending, that is the heartbeat
            elif self.readable(due):
                thawed.wait()
                if self.deaf:
                    return b""
                data = sockets.receive_now(self.sock, CHUNK)
                if data is not None:
                    return data

    def decrypted(self, data: bytes) -> list[bytes]:
        """The plain bytes in what came. Raises OSError: it is no TLS (any more)."""
        if self._tls is None:
            return [data]
        handshake = not self._tls.ready
        try:
            return self._tls.decrypt(data)
        finally:
            if handshake:
                self.send(b"")  # our part of it, or an alert

    def close(self) -> None:
        """Close the socket; with RST if it is aborted. While this thread waits for the socket, the kernel
        keeps the connection open, even if another thread closes it."""
        with self._closing:
            if self.aborted and self._is_open():
                sockets.reset_on_close(self.sock)
            self.sock.close()

    # --- for any thread ---

    def stop_reading(self) -> None:
        """Have the receiving thread close it. The server is told nothing."""
        self.deaf = True
        with self._closing:
            if self._is_open():
                sockets.stop_reading(self.sock)

    def break_off(self, why: str) -> None:
        """Have the receiving thread close it with RST."""
        self.trouble, self.aborted = why, True
        self.stop_reading()

    def unread(self) -> int:
        """Bytes on their way that the server's kernel has not taken yet."""
        with self._closing:
            return sockets.unsent(self.sock) if self._is_open() else 0

    def shut(self, how: int) -> None:
        """Shut one side of the socket, if it is not closed yet."""
        with self._closing:
            if self._is_open():
                sockets.shut(self.sock, how)

    def _is_open(self) -> bool:
        return self.sock.fileno() != -1
