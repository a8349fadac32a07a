"""sockets.py: a send that never waits."""

from __future__ import annotations

import errno
import socket

import pytest
from support import SOON, need

from labkit.wire import sockets


def pair() -> tuple[socket.socket, socket.socket]:
    need(sockets.HAS_DONTWAIT, "MSG_DONTWAIT, which this system lacks")
    return socket.socketpair()


def test_send_now_sends() -> None:
    """All of it, if there is room; b"\\0" is a byte like others."""
    ours, theirs = pair()
    with ours, theirs:
        assert sockets.send_now(ours, b"one\0two\n") == 8
        assert theirs.recv(100) == b"one\0two\n"


def test_send_now_takes_what_fits_and_then_nothing() -> None:
    """A part, then 0; and what was taken arrives."""
    ours, theirs = pair()
    with ours, theirs:
        sent = 0
        while (took := sockets.send_now(ours, bytes(100_000))) > 0:
            assert took <= 100_000
            sent += took
        assert took == 0
        theirs.settimeout(SOON)
        while sent:
            sent -= len(theirs.recv(65536))


def test_send_now_to_a_socket_that_is_gone() -> None:
    """A broken pipe, and a socket that is closed on our own side."""
    ours, theirs = pair()
    theirs.close()
    with pytest.raises(BrokenPipeError):
        sockets.send_now(ours, b"x")
    ours.close()
    with pytest.raises(OSError) as error:
        sockets.send_now(ours, b"x")
    assert error.value.errno == errno.EBADF
