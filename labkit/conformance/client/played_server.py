"""The server that a client under test finds, as far as it never waits: a behaviour plays it."""

from __future__ import annotations

import contextlib
import os
import socket
from time import monotonic

from labkit.conformance.client.way import CLIENT, HOST, SERVER
from labkit.journal import Journal, shown
from labkit.probe import kernel
from labkit.wire import sockets

MUCH = 8192
"""Bytes of which a client that waits in send has sent more."""

RECEIVE_BUFFER = 65536
"""Bytes that the kernel keeps for this server."""

AT_ONCE = 1 << 20
"""Bytes taken at once."""


class PlayedServer:
    """A server for one client, at this machine's two addresses.

    Args:
        port: where it listens; 0: on a free port.
        journal: where to write down what passes.
        listening: False: the port is its own, and nobody listens there.

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, port: int, journal: Journal, listening: bool = True) -> None:
        self.journal = journal
        self.end: str | None = None  # how the client ended the connection: "FIN" or "RST"
        self.deaf = False  # it does not read
        self.arrived = bytearray()  # all that came from the client
        self.sock: socket.socket | None = None  # the connection, once there is one
        self.sent_at = 0.0
        self._listeners = [sockets.listen(HOST, port) if listening else _bound(port)]
        self.port: int = self._listeners[0].getsockname()[1]
        if not listening:
            return
        with contextlib.suppress(OSError):  # no IPv6; or its port is taken
            self._listeners.append(sockets.listen("::1", self.port))
        for listener in self._listeners:
            # Set, it does not grow: a client that says more than the kernel keeps must wait.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)

    def accept(self) -> socket.socket | None:
        """The next that has connected, if any has."""
        for listener in self._listeners:
            listener.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                return listener.accept()[0]
        return None

    def let_in(self) -> bool:
        """Whether the client has connected."""
        if self.sock is None and (sock := self.accept()):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sock = sock
        return self.sock is not None

    def comes_back(self) -> bool:
        """Whether the client has connected once more."""
        if sock := self.accept():
            sock.close()
            return True
        return False

    @property
    def readers(self) -> list[socket.socket]:
        """The socket that something may come from; none, if nothing can."""
        sock = self.sock
        return [sock] if sock and sock.fileno() >= 0 and not self.end and not self.deaf else []

    @property
    def full(self) -> bool:
        """Whether much has come that was not taken."""
        with contextlib.suppress(OSError):
            return self.sock is not None and len(self.sock.recv(2 * MUCH, socket.MSG_PEEK)) > MUCH
        return False

    def receive(self) -> None:
        """Take what has come."""
        for sock in self.readers:
            try:
                data = sockets.receive_now(sock, AT_ONCE)
                if data:
                    self.journal.record("bytes", CLIENT, shown(data), SERVER)
                    self.arrived += data
                how = "FIN" if data == b"" else ""
            except OSError:
                how = "RST"
            if how:
                self.end = how
                self.journal.record(how, CLIENT, where=SERVER)

    def push(self, data: bytes | memoryview) -> int:
        """Send what the kernel takes of this; how many bytes that was.

        Raises:
            OSError: the connection is broken, or there is none.
        """
        if self.sock is None or self.sock.fileno() < 0 or self.end == "RST":
            raise ConnectionResetError("the client is gone")
        took = sockets.send_now(self.sock, data)
        self.sent_at = monotonic()
        return took

    def read_by_client(self) -> bool:
        """Whether the client has read all that was sent; where the kernel does not tell, after a pause."""
        sock = self.sock
        if sock is None or sock.fileno() < 0 or not self.sent_at or self.end:
            return True
        if not kernel.on_this_machine(sock):
            return monotonic() > self.sent_at + kernel.PAUSE
        arriving = sockets.unsent(sock) and monotonic() < self.sent_at + kernel.ARRIVED
        return not arriving and not kernel.unread(sock)

    def hang_up(self) -> None:
        """Say goodbye: FIN, behind all that was sent."""
        if self.sock is not None:
            self.journal.record("FIN", SERVER, where=CLIENT)
            with contextlib.suppress(OSError):  # closed already
                sockets.shut(self.sock, socket.SHUT_WR)

    def reset(self) -> None:
        """Be gone at once: RST."""
        if self.sock is not None and self.sock.fileno() >= 0:
            self.journal.record("RST", SERVER, where=CLIENT)
            with contextlib.suppress(OSError):
                sockets.reset_on_close(self.sock)
            self.sock.close()

    def close(self) -> None:
        """Listen no more, and close the connection."""
        for listener in self._listeners:
            listener.close()
        if self.sock is not None:
            self.sock.close()
        self._listeners = []


def _bound(port: int) -> socket.socket:
    """A socket that has the port, and does not listen: who connects there is refused."""
    sock = socket.socket()
    if os.name == "posix":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((HOST, port))
    except OSError:
        sock.close()
        raise
    return sock
