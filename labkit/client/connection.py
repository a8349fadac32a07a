"""One connection to a server, as the client that made it holds it.

It connects, with or without TLS, and sends a line whole, or says why not. Two threads use it: one speaks,
one listens. The one that listens closes it; others only ask it to (`stop_reading`).

With TLS both threads use one session (tls.py): the one that listens decrypts what it received, the one that
speaks encrypts what it sends, and what TLS itself has to say goes out with the next line.

It knows nothing of nicknames, and does not come back when it has ended. The server's end is in
server/connection.py.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from labkit.wire import sockets
from labkit.wire.framing import Framing

if TYPE_CHECKING:
    from labkit.wire.tls import TlsSession

LOOK_AROUND = 0.05
"""Seconds; how often a thread that waits to send, or to connect, looks whether it is still wanted."""

CHUNK = 65536
"""Bytes read at once."""

HEARTBEAT = 20.0
"""Seconds after which a client that said nothing sends a heartbeat."""


class ClientConnection:
    """One connection to a server, from connecting to closing.

    Args:
        address: (host, port).
        framing: this connection's own.
        timeout: seconds for connecting, for TLS, and for a line to be sent.
        tls: TLS, from the client's end. None: no TLS.
        given_up: is asked now and then while it connects; once it says yes, that is over.

    Raises:
        ConnectionError: no server listens there, TLS could not be agreed on, or it was given up; the text
            says why.
        TimeoutError: TLS took too long.
        OSError: there is no such host.
    """

    def __init__(
        self,
        address: sockets.Address,
        framing: Framing,
        timeout: float,
        tls: TlsSession | None = None,
        given_up: Callable[[], bool] | None = None,
    ) -> None:
        self.address = address
        self.framing = framing
        self.timeout = timeout
        self._tls = tls
        self.last_sent = monotonic()
        # Guards the sending of one line: two threads must not mix theirs.
        self._sending = threading.Lock()
        # Guards the closing of the socket against the threads that still want something of it.
        self._closing = threading.Lock()
        self._closed = False
        self._cut_short = False  # a line went out in part, and nothing can follow it
        self.deaf = False  # the receiving thread is to read no more …
        self.unplugged = False  # … and to close with RST
        self.trouble = ""  # why we end it ourselves, if we do
        self._deadline: float | None = None  # when `readable` ends it; the receiving thread's own

        self.sock = sockets.connect(address, timeout, given_up)
        try:
            sockets.prepare(self.sock)
        except OSError as error:
            self.sock.close()
            raise ConnectionError(f"the connection broke at once ({error.strerror})") from None
        self.sock.setblocking(False)  # to wait is poll's business, so that it can be interrupted
        self.early: list[bytes] = []  # what was said in the same breath as the end of the handshake
        if tls is not None:
            try:
                self.early = self._agree_on_keys(tls, given_up)
            except BaseException:
                self.sock.close()
                raise

    @property
    def encrypted(self) -> bool:
        return self._tls is not None

    @property
    def over(self) -> bool:
        """Whether the server has said TLS's goodbye: nothing more will come."""
        return self._tls is not None and self._tls.ended

    # --- for the threads that speak ---

    def send(self, data: bytes) -> None:
        """Send it all.

        Raises:
            TimeoutError: the server did not read it in time. Part of a line may be out: whatever followed
                would be taken for the rest of it.
            OSError: the connection is broken, or was. The last byte did not go out.
        """
        with self._sending:
            self._send_all(data)
            self.last_sent = monotonic()

    def _send_all(self, data: bytes) -> None:
        """Send it all, or raise: TimeoutError if it takes too long. `_sending` must be held."""
        assert self._sending.locked()
        if self._cut_short:
            raise ConnectionAbortedError("the line before went out in part")
        give_up = monotonic() + self.timeout
        rest = memoryview(data if self._tls is None else self._tls.encrypt(data))
        while rest := rest[sockets.send_now(self.sock, rest) :]:
            if self.unplugged:
                raise ConnectionAbortedError("the plug was pulled")
            if monotonic() > give_up:
                self._cut_short = True
                raise TimeoutError(f"the server read nothing for {self.timeout:g} s")
            try:
                sockets.writable(self.sock, LOOK_AROUND)
            except ValueError:  # a closed socket has no descriptor: the receiving thread was quicker
                raise ConnectionAbortedError("the connection has ended") from None

    def say_goodbye(self, seconds: float) -> None:
        """TLS has a goodbye of its own, which goes out before FIN. It waits as long as the server reads on,
        but gives up where that takes nothing for so many seconds."""
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
        self._deadline = None if seconds is None else monotonic() + seconds

    def readable(self, seconds: float) -> bool:
        """Whether there is something to read, or a reason to read no more, within so many seconds."""
        if self.deaf:
            return True
        if self._deadline is None:
            return sockets.readable(self.sock, seconds)
        left = self._deadline - monotonic()
        if sockets.readable(self.sock, max(0.0, min(seconds, left))):
            return True
        if monotonic() >= self._deadline:
            self.trouble, self.deaf = f"no answer within {self.timeout:g} s", True
        return self.deaf

    def receive(self, thawed: threading.Event, heartbeat: bytes) -> bytes:
        """What came next; b"" at the end. Sends a heartbeat now and then meanwhile."""
        while True:
            due = self.last_sent + HEARTBEAT - monotonic()
            if due <= 0:
                self._send_heartbeat(heartbeat)
            elif self.readable(due):
                thawed.wait()
                if self.deaf:
                    return b""
                data = sockets.receive_now(self.sock, CHUNK)
                if data is not None:
                    return data

    def _send_heartbeat(self, heartbeat: bytes) -> None:
        self.last_sent = monotonic()
        # If another thread is sending right now, that is the heartbeat.
        if heartbeat and self._sending.acquire(blocking=False):
            try:
                self._send_all(heartbeat)
            finally:
                self._sending.release()

    def opened(self, data: bytes) -> list[bytes]:
        """The plain bytes in what came. Raises OSError: it is no TLS (any more)."""
        return [data] if self._tls is None else self._tls.decrypt(data)

    def close(self) -> None:
        """Close the socket; with RST if it is unplugged. While this thread waits for the socket, the kernel
        keeps the connection open, even if another thread closes it."""
        with self._closing:
            if self.unplugged and not self._closed:
                sockets.reset_on_close(self.sock)
            self.sock.close()
            self._closed = True

    # --- for any thread ---

    def stop_reading(self) -> None:
        """Have the receiving thread close it. SHUT_RD sends nothing, and wakes that thread."""
        self.deaf = True
        self.shut(socket.SHUT_RD)

    def unread(self) -> int:
        """Bytes on their way that the server's kernel has not taken yet."""
        with self._closing:
            return 0 if self._closed else sockets.unsent(self.sock)

    def shut(self, how: int) -> None:
        """Shut one side of the socket, if it is not closed yet."""
        with self._closing:
            if not self._closed:
                sockets.shut(self.sock, how)

    # --- TLS ---

    def _agree_on_keys(self, tls: TlsSession, given_up: Callable[[], bool] | None) -> list[bytes]:
        """The TLS handshake; returns what the server said in the same breath. No other thread is there yet.

        Raises:
            ConnectionError: it failed; the text says why.
            TimeoutError: the server said too little in time.
        """
        where = f"{self.address[0]}:{self.address[1]}"
        give_up = monotonic() + self.timeout
        data: bytes | None = b""
        early: list[bytes] = []
        try:
            while True:
                if data is not None:
                    try:
                        early += tls.decrypt(data)
                    finally:
                        with self._sending:
                            self._send_all(b"")  # our part of the handshake, or an alert
                    if tls.ready:
                        return early
                if monotonic() >= give_up:
                    raise TimeoutError
                left = max(0.0, give_up - monotonic())
                if given_up is not None:
                    left = min(left, LOOK_AROUND)
                    if given_up():
                        raise ConnectionAbortedError("it was given up")
                sockets.readable(self.sock, left)
                data = sockets.receive_now(self.sock, CHUNK)
                if data == b"":
                    raise ConnectionError("the server hung up (it may be full, or not speak TLS)")
        except TimeoutError:
            raise TimeoutError(f"no TLS with {where}: no answer within {self.timeout:g} s") from None
        except OSError as error:
            why = "the server does not speak TLS" if tls.plain_text else tls.trouble
            why = why or error.strerror or str(error)
            raise ConnectionError(f"no TLS with {where}: {why}") from None
