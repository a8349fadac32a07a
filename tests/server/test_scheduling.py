"""scheduling.py: its calls do what Python's own do."""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading

import pytest
from support import SOON, need

from labkit.server import scheduling
from labkit.wire import sockets


@pytest.fixture(params=["the C library", "Python alone"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of calling, so that where one is not to be had the other is known to work."""
    if request.param == "Python alone":
        monkeypatch.setattr(scheduling, "send", scheduling._send_by_python)
        monkeypatch.setattr(scheduling, "_sched_yield", None)
    else:
        need(sys.platform == "linux" or scheduling._send, "a C library that ctypes can reach")
        assert scheduling._send is not None and scheduling._sched_yield is not None


def send(handle: object, data: bytes) -> int:
    need(sockets.HAS_DONTWAIT, "MSG_DONTWAIT, which this system lacks")
    return scheduling.send(handle, data, scheduling.size(data), sockets.SEND_NOW)


@pytest.mark.usefixtures("way")
def test_send_sends() -> None:
    """All of it, if there is room; b"\\0" is a byte like others."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert send(scheduling.handle(ours), b"one\0two\n") == 8
        assert theirs.recv(100) == b"one\0two\n"


@pytest.mark.usefixtures("way")
def test_send_takes_what_fits_and_then_says_so() -> None:
    """A part; then -1, and EAGAIN."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sent = 0
        while (took := send(scheduling.handle(ours), bytes(100_000))) > 0:
            assert took <= 100_000
            sent += took
        assert took == -1 and scheduling.error().errno == errno.EAGAIN
        assert sockets.send_now(ours, bytes(100_000)) == 0
        theirs.settimeout(SOON)
        while sent:
            sent -= len(theirs.recv(65536))


@pytest.mark.usefixtures("way")
def test_send_to_nobody_is_the_same_error() -> None:
    """A broken pipe, and a socket that is closed on our own side."""
    ours, theirs = socket.socketpair()
    theirs.close()
    assert send(scheduling.handle(ours), b"x") == -1
    assert isinstance(scheduling.error(), BrokenPipeError)
    ours.close()
    assert send(scheduling.handle(ours), b"x") == -1
    assert scheduling.error().errno == errno.EBADF


@pytest.mark.usefixtures("way")
def test_who_steps_aside_lets_others_run() -> None:
    """Another thread gets on while this one does nothing but step aside."""
    done = threading.Event()
    other = threading.Thread(target=done.set)
    other.start()
    while not done.is_set():
        scheduling.yield_gil()
    other.join()


def test_who_waits_for_its_turn_passes_that_on() -> None:
    """The thread has the policy for batches, and so has one that it starts; the others keep theirs."""
    need(hasattr(os, "SCHED_BATCH"), "scheduling policies, which Linux has")
    policies: list[int] = []

    def note() -> None:
        policies.append(os.sched_getscheduler(0))

    def work() -> None:
        scheduling.wait_your_turn()
        note()
        child = threading.Thread(target=note)
        child.start()
        child.join()

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    note()
    assert policies == [os.SCHED_BATCH, os.SCHED_BATCH, os.SCHED_OTHER]
