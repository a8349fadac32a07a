"""What the tests share: how long to wait, what may be missing, a bare client and a bare server."""

from __future__ import annotations

import os
import socket
import struct
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any, Protocol, Self, TypeVar

import pytest

from labkit.instruments import redis_server

SOON = 20.0
"""Seconds that anything may take, on a busy machine; what takes longer is broken."""


class Found(Protocol):
    """What `check` or `judge` came to."""

    @property
    def not_judged(self) -> str: ...


T = TypeVar("T", bound=Found)


def need(condition: object, reason: str) -> None:
    """Skip the test unless `condition` holds; with LABKIT_REQUIRE=all, fail it."""
    if condition:
        return
    if os.environ.get("LABKIT_REQUIRE") == "all":
        pytest.fail(f"needed, and missing: {reason}")
    pytest.skip(reason)


def has_ipv6() -> bool:
    """Whether this machine has IPv6, and it is switched on."""
    with suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


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
        self._last = ""  # for who wonders why it ended

    @classmethod
    def joined(cls, address: tuple[str, int], nickname: str) -> Self:
        """Connect, give a nickname, and be welcomed."""
        wire = cls(address)
        for expected in ("nickname", f"* you are {nickname}, in lobby"):
            line = wire.line()
            assert line == expected, f"{nickname} heard {line!r}"
            if line == "nickname":
                wire.send(nickname)
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
                raise EOFError(f"the end came after {self._last!r}, {self._rest!r}")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        self._last = line.decode()
        return self._last

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


class FullServer:
    """A listening socket whose queue is full: the kernel lets a newcomer knock in vain."""

    def __init__(self) -> None:
        need(sys.platform == "linux", "a kernel that is silent where a queue is full (Linux)")
        self.sock = socket.socket()
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen(0)
        self.address: tuple[str, int] = self.sock.getsockname()
        self._waiting = [socket.socket() for _ in range(4)]
        for waiting in self._waiting:
            waiting.setblocking(False)
            waiting.connect_ex(self.address)

    def accept(self) -> Wire:
        """Make room, and let in the one who has knocked in vain; its kernel knocks again after a second."""
        ours = {waiting.getsockname() for waiting in self._waiting}
        for waiting in self._waiting:
            waiting.close()
        self.sock.settimeout(SOON)
        while True:
            sock, address = self.sock.accept()
            if address not in ours:
                return Wire(sock)
            sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for sock in (self.sock, *self._waiting):
            sock.close()


def make_known(monkeypatch: pytest.MonkeyPatch, name: str, *wheres: tuple[Any, ...]) -> None:
    """Have the resolver answer with these addresses, in this order, when it is asked for this name."""
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> list[tuple[Any, ...]]:
        if host != name:
            return [tuple(found) for found in real(host, port, *args, **kwargs)]
        families = [socket.AF_INET6 if ":" in where[0] else socket.AF_INET for where in wheres]
        return [
            (family, socket.SOCK_STREAM, 6, "", where)
            for family, where in zip(families, wheres, strict=True)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


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


def until_judged(judge: Callable[[], T]) -> T:
    """What a check came to. A machine may be too busy to tell: then again, a few times."""
    for _ in range(5):
        found = judge()
        if not found.not_judged:
            break
    return found


def until(condition: Callable[[], object]) -> None:
    """Wait until it has come true, which it must soon."""
    give_up = monotonic() + SOON
    while not condition():
        assert monotonic() < give_up, "it has not come true"
        threading.Event().wait(0.002)  # the others' turn
