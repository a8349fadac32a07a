"""What the tests share: how long to wait, what may be missing, a bare client and a bare server."""

from __future__ import annotations

import os
import socket
import struct
from typing import Self

import pytest

from labkit.instruments import redis_server

SOON = 20.0
"""Seconds that anything may take, on a busy machine; what takes longer is broken."""


def need(condition: object, reason: str) -> None:
    """Skip the test unless `condition` holds; with LABKIT_REQUIRE=all, fail it."""
    if condition:
        return
    if os.environ.get("LABKIT_REQUIRE") == "all":
        pytest.fail(f"needed, and missing: {reason}")
    pytest.skip(reason)


def need_redis() -> None:
    """Skip the test where no redis-server is installed."""
    need(redis_server.program(), redis_server.MISSING)


class Wire:
    """A bare socket that reads and writes lines, without any of labkit's own code."""

    def __init__(self, peer: tuple[str, int] | socket.socket, timeout: float = SOON) -> None:
        self.sock = (
            peer if isinstance(peer, socket.socket) else socket.create_connection(peer, timeout=timeout)
        )
        self.sock.settimeout(timeout)
        self._rest = b""

    @classmethod
    def joined(cls, address: tuple[str, int], nickname: str) -> Self:
        """Connect, give a nickname, and be welcomed."""
        wire = cls(address)
        assert wire.line() == "nickname"
        wire.send(nickname)
        assert wire.line() == f"* you are {nickname}, in lobby"
        return wire

    def join_raw(self, nickname: str) -> None:
        """The same in the raw dialect, on a connected socket: each message is a `recv`."""
        assert self.recv() == "nickname"
        self.send_bytes(nickname.encode())
        assert self.recv() == f"* you are {nickname}, in lobby"

    def line(self) -> str:
        """The next line, without its LF. Raises TimeoutError; EOFError at the end."""
        while b"\n" not in self._rest:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError(f"the end came after {self._rest!r}")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def lines(self, count: int) -> list[str]:
        """The next so many lines."""
        return [self.line() for _ in range(count)]

    def until(self, text: str) -> list[str]:
        """The lines up to the first that holds `text`, that one included."""
        lines = [self.line()]
        while text not in lines[-1]:
            lines.append(self.line())
        return lines

    def to_the_end(self) -> list[str]:
        """All lines up to the other side's FIN."""
        lines: list[str] = []
        while True:
            try:
                lines.append(self.line())
            except EOFError:
                return lines

    def recv(self) -> str:
        """One `recv` as text: what the assignment calls a message."""
        return self.sock.recv(1024).decode()

    def send(self, *lines: str) -> None:
        """Send these lines in one `send`."""
        self.sock.sendall("".join(line + "\n" for line in lines).encode())

    def send_bytes(self, data: bytes) -> None:
        self.sock.sendall(data)

    def hang_up(self) -> None:
        """Leave with FIN."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Leave with RST."""
        layout = "hh" if os.name == "nt" else "ii"
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(layout, 1, 0))
        self.sock.close()

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class BareServer:
    """A listening socket and nothing more: the test itself plays the server."""

    def __init__(self, receive_buffer: int | None = None) -> None:
        self.sock = socket.socket()
        if receive_buffer is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen()
        self.sock.settimeout(SOON)
        self.address: tuple[str, int] = self.sock.getsockname()

    def accept(self) -> Wire:
        return Wire(self.sock.accept()[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.sock.close()
