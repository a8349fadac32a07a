"""The bare client asks nothing of a server's kernel that would make a check wait, or say much."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

import pytest
from support import need

from labkit.conformance.staying import NARROW, TINY
from labkit.probe.raw_client import RawClient
from labkit.wire import sockets

DELAYED = 0.04
"""Seconds for which Linux may keep an acknowledgement back: TCP_DELACK_MIN."""


@contextmanager
def connected(receive_buffer: int | None = None) -> Iterator[tuple[socket.socket, RawClient]]:
    """A server's end, with the options that it has by itself, and the client at the other."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        RawClient(listener.getsockname(), "alice", receive_buffer=receive_buffer) as alice,
        listener.accept()[0] as server,
    ):
        yield server, alice


def test_a_second_small_line_need_not_wait_for_an_acknowledgement() -> None:
    """Of a server that has not set TCP_NODELAY. On a busy machine some rounds take as long, but not all."""
    need(hasattr(socket, "TCP_QUICKACK"), "TCP_QUICKACK (Linux)")
    rounds = []
    with connected() as (server, alice):
        for _ in range(50):
            alice.send("well")
            assert server.recv(100) == b"well\n"
            began = perf_counter()
            for line in (b"one\n", b"two\n"):
                server.sendall(line)
            assert [alice.line(), alice.line()] == ["one", "two"]
            rounds.append(perf_counter() - began)
    assert min(rounds[20:]) < DELAYED / 2  # a new connection acknowledges at once, anyway


@pytest.mark.parametrize("line", [b"x\n", b"x" * 3999 + b"\n"])
def test_little_fills_the_kernel_for_one_who_does_not_read(line: bytes) -> None:
    """No more than a check says to find out who waits for it."""
    need(hasattr(socket, "TCP_MAXSEG"), "TCP_MAXSEG")
    took = 0
    with connected(TINY) as (server, _):
        server.setblocking(False)
        while took < 2 * NARROW and sockets.writable(server, 0.5):
            took += sockets.send_now(server, line * 100)
    assert took < NARROW
