"""sockets.py beside its send: listening, connecting, and what the kernel is told and tells."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from typing import cast

import pytest
from support import SOON, need

from labkit.wire import sockets

# --- listening and connecting ---


def test_a_listener_gives_its_port_back_at_once() -> None:
    """SO_REUSEADDR; and many may queue to be accepted."""
    need(os.name == "posix", "Windows has SO_EXCLUSIVEADDRUSE instead")
    with sockets.listen("127.0.0.1", 0) as listener:
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 1
        address = listener.getsockname()
        knocking = [socket.create_connection(address, timeout=SOON) for _ in range(200)]
        for sock in knocking:
            sock.close()


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (errno.EADDRINUSE, "another program listens there already"),
        (errno.EACCES, "that port needs more rights than you have (below 1024, or reserved)"),
        (errno.EADDRNOTAVAIL, "this machine has no such address"),
        (errno.ENOBUFS, "so it is"),
    ],
)
def test_why_it_cannot_listen(monkeypatch: pytest.MonkeyPatch, number: int, why: str) -> None:
    """In words, with the address; and the socket is closed."""
    made: list[socket.socket] = []

    class Refusing(socket.socket):
        def bind(self, where: object) -> None:
            made.append(self)
            raise OSError(number, "so it is")

    monkeypatch.setattr(socket, "socket", Refusing)
    with pytest.raises(OSError) as error:
        sockets.listen("127.0.0.1", 5)
    assert (error.value.errno, error.value.strerror) == (number, f"cannot listen on 127.0.0.1:5: {why}")
    assert all(sock.fileno() == -1 for sock in made) and made


@pytest.mark.parametrize("ask", [sockets.listen, lambda host, port: sockets.connect((host, port), 1.0)])
@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none(ask: Callable[[str, int], object], port: int) -> None:
    """Both ends are told the same."""
    with pytest.raises(ValueError, match=f"^a port is a number from 0 to 65535, not {port}$"):
        ask("127.0.0.1", port)


def test_a_host_that_cannot_be_called_so() -> None:
    """The idna codec would say something else."""
    with pytest.raises(OSError) as error:
        sockets.connect(("a..b", 80), 1.0)
    assert error.value.strerror == "no such host: a..b (no host can be called so)"
    with pytest.raises(OSError) as error:
        sockets.connect(("nowhere.invalid", 80), 1.0)
    assert str(error.value.strerror).startswith("no such host: nowhere.invalid (")


def test_why_it_cannot_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server listens; or the network says something else. The socket is closed."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        with pytest.raises(ConnectionRefusedError) as refused:
            sockets.connect(("127.0.0.1", port), SOON)
        assert str(refused.value) == f"nobody listens on 127.0.0.1:{port} (is the server running?)"
    made: list[socket.socket] = []

    class Unreachable(socket.socket):
        def connect_ex(self, where: object) -> int:
            made.append(self)
            return errno.ENETUNREACH

    monkeypatch.setattr(socket, "socket", Unreachable)
    with pytest.raises(ConnectionError) as error:
        sockets.connect(("127.0.0.1", 7), SOON)
    assert str(error.value) == f"cannot reach 127.0.0.1:7: {os.strerror(errno.ENETUNREACH)}"
    assert made and all(sock.fileno() == -1 for sock in made)


def test_connecting_takes_no_longer_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """And how long that was is told; meanwhile it asks whether it is still wanted."""
    need(sys.platform == "linux", "elsewhere a full queue is answered in another way")
    with socket.socket() as busy, socket.socket() as one, socket.socket() as two:
        busy.bind(("127.0.0.1", 0))
        busy.listen(0)
        for waiting in (one, two):  # its queue is full then, and the kernel answers no more
            waiting.setblocking(False)
            waiting.connect_ex(busy.getsockname())
        port = busy.getsockname()[1]
        asked: list[bool] = []

        def given_up() -> bool:
            asked.append(True)
            return False

        # Time passes as it looks around, and not while another program runs.
        monkeypatch.setattr(sockets, "monotonic", lambda: 100 + 0.05 * len(asked))
        with pytest.raises(ConnectionError, match=rf"no answer from 127\.0\.0\.1:{port} within 0\.2 s"):
            sockets.connect(("127.0.0.1", port), 0.2, given_up)
        assert 1 < len(asked) < 100
        with pytest.raises(ConnectionError, match=rf"cannot reach 127\.0\.0\.1:{port}: it was given up"):
            sockets.connect(("127.0.0.1", port), SOON, lambda: True)


def test_a_receive_buffer_of_ones_own() -> None:
    """It is set; and the socket waits as long as it was told to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with sockets.connect(listener.getsockname(), 7.5, receive_buffer=8192) as sock:
            assert 8192 <= sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) <= 20_000
            assert sock.gettimeout() == 7.5
        with sockets.connect(listener.getsockname(), 7.5) as sock:
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) > 20_000


# --- a connection ---


@contextlib.contextmanager
def over_tcp() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with socket.create_connection(listener.getsockname(), timeout=SOON) as theirs:
            ours, _ = listener.accept()
            with ours:
                yield ours, theirs


def test_a_connection_made_ready_for_chat() -> None:
    """Small lines go out at once; a dead machine is noticed within a minute; and it blocks, where sends
    need not."""
    with over_tcp() as (ours, _):
        ours.settimeout(3)
        sockets.prepare(ours)
        assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        for name, value in (
            ("TCP_KEEPIDLE", 30),
            ("TCP_KEEPALIVE", 30),
            ("TCP_KEEPINTVL", 10),
            ("TCP_KEEPCNT", 3),
        ):
            if hasattr(socket, name):
                assert ours.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) == value, name
        assert ours.gettimeout() == (None if sockets.HAS_DONTWAIT else 0.0)
        if sys.platform == "linux":  # while data is on its way, one of two options of tcp(7) tells
            waits = ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            hurried = 0
            with contextlib.suppress(OSError):
                hurried = ours.getsockopt(socket.IPPROTO_TCP, 44)  # TCP_RTO_MAX_MS, from 6.15 on
            assert waits == 60_000 or hurried == 4000


@pytest.mark.parametrize(
    ("seconds", "whole", "micro"),
    [(None, 0, 0), (2.0, 2, 0), (2.25, 2, 250_000), (0.0, 0, 1000), (0.5, 0, 500_000), (1e9, 10**9, 0)],
)
def test_how_long_a_recv_waits(seconds: float | None, whole: int, micro: int) -> None:
    """As the kernel is told: 0 would mean for ever."""
    need(sockets.HAS_DONTWAIT, "here `receive` waits in select")
    told: list[tuple[object, ...]] = []

    class Told:
        def setsockopt(self, *what: object) -> None:
            told.append(what)

    sockets.patience(cast(socket.socket, Told()), seconds)
    ((level, option, value),) = told
    assert (level, option) == (socket.SOL_SOCKET, socket.SO_RCVTIMEO)
    came = struct.unpack("@ll", cast(bytes, value))
    assert came[0] == whole and abs(came[1] - micro) <= 1


@pytest.mark.parametrize("dontwait", [True, False])
def test_what_a_recv_brings(monkeypatch: pytest.MonkeyPatch, dontwait: bool) -> None:
    """Bytes; nothing in time; FIN; RST. The same where no socket blocks."""
    need(sockets.HAS_DONTWAIT or not dontwait, "MSG_DONTWAIT")
    monkeypatch.setattr(sockets, "HAS_DONTWAIT", dontwait)
    with over_tcp() as (ours, theirs):
        sockets.prepare(ours)
        assert ours.getblocking() is dontwait
        theirs.sendall(b"one")
        sockets.patience(ours, SOON)
        assert sockets.receive(ours, 2, SOON) == b"on" and sockets.receive(ours, 9, SOON) == b"e"
        sockets.patience(ours, 0.02)
        with pytest.raises(TimeoutError, match="^nothing came$"):
            sockets.receive(ours, 9, 0.02)
        sockets.patience(ours, None)
        later = threading.Timer(0.1, theirs.sendall, [b"two"])
        later.start()
        assert sockets.receive(ours, 9, None) == b"two"
        later.join()
        theirs.shutdown(socket.SHUT_WR)
        assert sockets.receive(ours, 9, None) == b""
    with over_tcp() as (ours, theirs):
        sockets.reset_on_close(theirs)
        theirs.close()
        with pytest.raises(ConnectionResetError):
            sockets.receive(ours, 9, SOON)


def test_a_peer_that_is_gone_is_not_merely_silent() -> None:
    """Keepalive that went unanswered is a broken connection."""

    class Gone:
        def recv(self, size: int) -> bytes:
            raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")

    with pytest.raises(ConnectionAbortedError, match="Connection timed out") as error:
        sockets.receive(cast(socket.socket, Gone()), 9, 5.0)
    assert error.value.errno == errno.ETIMEDOUT


def test_what_has_arrived() -> None:
    """Without waiting: bytes, nothing yet, or the end."""
    with over_tcp() as (ours, theirs):
        assert sockets.receive_now(ours, 9) is None
        assert not sockets.readable(ours, 0)
        theirs.sendall(b"abc")
        assert sockets.readable(ours, SOON)
        assert sockets.receive_now(ours, 2) == b"ab"
        assert sockets.receive_now(ours, 9) == b"c"
        theirs.shutdown(socket.SHUT_WR)
        assert sockets.readable(ours, SOON)
        assert sockets.receive_now(ours, 9) == b""


def test_how_a_connection_has_ended_behind_what_is_unread() -> None:
    """Not at all, by FIN, or by RST."""
    need(sys.platform == "linux", "only Linux tells of a FIN before its turn")
    with over_tcp() as (ours, theirs):
        theirs.sendall(b"unread")
        assert sockets.readable(ours, SOON) and sockets.ended_by(ours) is None
        theirs.shutdown(socket.SHUT_WR)
        while sockets.ended_by(ours) is None:
            pass
        assert sockets.ended_by(ours) == "FIN"
        sockets.reset_on_close(theirs)
        theirs.close()
        while sockets.ended_by(ours) == "FIN":
            pass
        assert sockets.ended_by(ours) == "RST"


def test_how_much_is_on_its_way() -> None:
    """What `send` took and the peer's kernel has not: nothing at first, then what it has no room for."""
    need(sys.platform == "linux", "here the kernel cannot tell, or differently")
    with over_tcp() as (ours, theirs):
        assert sockets.unsent(ours) == 0
        sent = 0
        while sockets.writable(ours, 0.1):  # what is still on its way makes room when it arrives
            sent += sockets.send_now(ours, bytes(65536))
        assert 0 < sockets.unsent(ours) <= sent
        theirs.settimeout(SOON)
        while sent:
            sent -= len(theirs.recv(65536))
        while sockets.unsent(ours):
            pass
        assert sockets.writable(ours, SOON)


@pytest.mark.parametrize(
    ("number", "harmless"), [(errno.ENOTCONN, True), (errno.EINVAL, True), (errno.EBADF, False)]
)
def test_shutting_what_is_gone(number: int, harmless: bool) -> None:
    """That the peer was quicker is no error; another error is."""

    class Gone:
        def shutdown(self, how: int) -> None:
            raise OSError(number, "gone")

    if harmless:
        sockets.shut(cast(socket.socket, Gone()), socket.SHUT_WR)
    else:
        with pytest.raises(OSError):
            sockets.shut(cast(socket.socket, Gone()), socket.SHUT_WR)


@pytest.mark.parametrize(("number", "harmless"), [(errno.EINVAL, True), (errno.EBADF, False)])
def test_resetting_what_is_gone(number: int, harmless: bool) -> None:
    """Likewise."""

    class Gone:
        def setsockopt(self, *what: object) -> None:
            raise OSError(number, "gone")

    if harmless:
        sockets.reset_on_close(cast(socket.socket, Gone()))
    else:
        with pytest.raises(OSError):
            sockets.reset_on_close(cast(socket.socket, Gone()))


def test_waking_never_waits() -> None:
    """However often, and however little is read."""
    wakes, waker = sockets.waker()
    with wakes, waker:
        assert wakes.gettimeout() == waker.gettimeout() == 0.0
        sockets.wake(waker)
        assert wakes.recv(100) == b"!"
        for _ in range(2000):
            sockets.wake(waker)
        with pytest.raises(BlockingIOError):
            while True:
                waker.send(bytes(10_000))
        sockets.wake(waker)
        assert wakes.recv(3) == b"!!!"
