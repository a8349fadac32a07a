"""gil.py: the two calls do what Python's own do."""

from __future__ import annotations

import socket
import sys
import threading

import pytest
from conftest import SOON, need

from labkit import gil, sockets


@pytest.fixture(params=["the C library", "Python alone"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of calling, so that where one is not to be had the other is known to work."""
    if request.param == "Python alone":
        monkeypatch.setattr(gil, "_send", None)
        monkeypatch.setattr(gil, "_sched_yield", None)
    else:
        need(sys.platform == "linux" or gil._send, "a C library that ctypes can reach")
        assert gil._send is not None and gil._sched_yield is not None


def flags() -> int:
    need(sockets.HAS_DONTWAIT, "MSG_DONTWAIT, which this system lacks")
    return int(socket.MSG_DONTWAIT) | int(getattr(socket, "MSG_NOSIGNAL", 0))


@pytest.mark.usefixtures("way")
def test_send_sends() -> None:
    """All of it, if there is room; b"\\0" is a byte like others."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert gil.send(ours, b"one\0two\n", flags()) == 8
        assert theirs.recv(100) == b"one\0two\n"


@pytest.mark.usefixtures("way")
def test_send_takes_what_fits_and_then_says_so() -> None:
    """A part; then BlockingIOError, which send_now tells as 0."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sent = 0
        with pytest.raises(BlockingIOError):
            while True:
                took = gil.send(ours, bytes(100_000), flags())
                assert 0 < took <= 100_000
                sent += took
        assert sockets.send_now(ours, bytes(100_000)) == 0
        theirs.settimeout(SOON)
        while sent:
            sent -= len(theirs.recv(65536))


@pytest.mark.usefixtures("way")
def test_send_to_nobody_is_the_same_error() -> None:
    """A broken pipe, and a socket that is closed on our own side."""
    ours, theirs = socket.socketpair()
    theirs.close()
    with pytest.raises(BrokenPipeError):
        gil.send(ours, b"x", flags())
    ours.close()
    with pytest.raises(OSError):
        gil.send(ours, b"x", flags())


@pytest.mark.usefixtures("way")
def test_who_steps_aside_lets_others_run() -> None:
    """Another thread gets on while this one does nothing but step aside."""
    done = threading.Event()
    other = threading.Thread(target=done.set)
    other.start()
    while not done.is_set():
        gil.step_aside()
    other.join()
