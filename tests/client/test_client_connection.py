"""connection.py: one connection, as the client holds it. What TLS adds, test_tls.py has."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from time import monotonic
from typing import cast

import pytest
from support import SOON, BareServer
from watched import takes

from labkit.client import connection
from labkit.client.connection import ClientConnection
from labkit.wire import sockets
from labkit.wire.framing import LineFraming
from labkit.wire.tls import TlsSession


def test_what_is_sent_and_what_comes(bare_server: BareServer) -> None:
    """Bytes go both ways, and the peer's FIN is seen; closed, it answers questions all the same."""
    call = ClientConnection(bare_server.address, LineFraming(), SOON)
    with bare_server.accept() as peer:
        call.send(b"hello\n")
        assert peer.line() == "hello"
        peer.send("hi")
        assert call.readable(SOON)
        assert sockets.receive_now(call.sock, 100) == b"hi\n"
        peer.hang_up()
        assert call.readable(SOON)
        assert sockets.receive_now(call.sock, 100) == b""
        call.close()
        call.close()
        call.shut(socket.SHUT_RD)
        assert (call.unread(), call.encrypted, call.over) == (0, False, False)
        with pytest.raises(OSError):
            call.send(b"x\n")


def test_a_deadline_ends_it(bare_server: BareServer) -> None:
    """What was expected and did not come is a reason to read no more; what need not come is none."""
    call = ClientConnection(bare_server.address, LineFraming(), 0.05)
    with bare_server.accept():
        call.expect(0.05)
        call.expect(None)
        assert not call.readable(0.1)
        call.expect(0.05)
        began = monotonic()
        while not call.readable(SOON):
            assert monotonic() - began < SOON
        assert (call.deaf, call.trouble) == (True, "no answer within 0.05 s")
        assert call.readable(SOON)  # at once, from now on
    call.close()


def test_connecting_is_given_up(elsewhere: ThreadPoolExecutor) -> None:
    """A caller that changes its mind need not wait until the other side answers, or does not."""
    wanted = threading.Event()
    wanted.set()
    with socket.socket() as busy, socket.socket() as one, socket.socket() as two, socket.socket() as three:
        busy.bind(("127.0.0.1", 0))
        busy.listen(0)
        for waiting in (one, two, three):  # its queue is full then, and the kernel answers no more (Linux)
            waiting.setblocking(False)
            waiting.connect_ex(busy.getsockname())
        calling = elsewhere.submit(
            ClientConnection, busy.getsockname(), LineFraming(), 60.0, None, lambda: not wanted.is_set()
        )
        wanted.clear()
        with pytest.raises(ConnectionError, match="it was given up"):
            calling.result(SOON)


def test_no_server_listens_there() -> None:
    """Also one who looks around while connecting is told so, in the same words."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError, match="nobody listens on 127.0.0.1:"):
            ClientConnection(bound.getsockname(), LineFraming(), SOON, None, lambda: False)


def test_closed_while_a_thread_waits_to_send(
    bare_server: BareServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The receiving thread closes the socket at the worst moment: an error of the connection, no other."""
    call = ClientConnection(bare_server.address, LineFraming(), SOON)

    def full(sock: socket.socket, data: object) -> int:
        call.close()
        return 0

    monkeypatch.setattr(sockets, "send_now", full)
    with pytest.raises(ConnectionError, match="the connection has ended"):
        call.send(b"hello\n")


def test_nothing_follows_a_line_cut_short(elsewhere: ThreadPoolExecutor) -> None:
    """Where a line went out in part, the next one would be taken for the rest of it: it is not sent."""
    # A buffer of few kilobytes can be slow to empty, even on loopback.
    with BareServer(receive_buffer=65536) as deaf:
        call = ClientConnection(deaf.address, LineFraming(), 0.2)
        with deaf.accept() as peer:
            with pytest.raises(TimeoutError, match="the server read nothing for 0.2 s"):
                call.send(b"x" * 20_000_000)
            reading = elsewhere.submit(peer.to_the_end)
            with pytest.raises(ConnectionError, match="the line before went out in part"):
                call.send(b"hello\n")
            call.close()
            assert reading.result(SOON) == []


# --- what is sent, byte by byte ---


class Scripted:
    """Stands for `send_now`: takes so many bytes each time, what is left over is for the last."""

    def __init__(self, *takes: int) -> None:
        self.takes, self.taken = list(takes), b""
        self.waits: list[float] = []

    def send_now(self, sock: socket.socket, data: memoryview) -> int:
        part = bytes(data)[: self.takes.pop(0)] if self.takes else bytes(data)
        self.taken += part
        return len(part)

    def writable(self, sock: socket.socket, seconds: float) -> bool:
        self.waits.append(seconds)
        return True


@pytest.mark.parametrize("takes", [(), (0,), (5,), (1, 0, 3), (5, 0), (0, 5), (3, 0, 0, 2)])
def test_a_line_goes_out_whole_whatever_the_socket_takes(
    bare_server: BareServer, monkeypatch: pytest.MonkeyPatch, takes: tuple[int, ...]
) -> None:
    """In as many parts as it takes; between two of them it waits."""
    call = ClientConnection(bare_server.address, LineFraming(), SOON)
    script = Scripted(*takes)
    monkeypatch.setattr(sockets, "send_now", script.send_now)
    monkeypatch.setattr(sockets, "writable", script.writable)
    before = call.last_sent = call.last_sent - 5
    call.send(b"hello\n")
    assert script.taken == b"hello\n" and script.waits == [0.05] * len(takes)
    assert call.last_sent > before
    call.send(b"")
    call.close()


def test_no_two_threads_mix_their_lines(bare_server: BareServer, elsewhere: ThreadPoolExecutor) -> None:
    """One waits until the other has sent its own; a heartbeat does not wait, for the other's will do."""
    call = ClientConnection(bare_server.address, LineFraming(), SOON)
    with bare_server.accept() as peer:
        takes(call, "_sending", lambda: call.send(b"one\n"))
        with call._sending:
            elsewhere.submit(call.send, b"beat\n", wait=False).result(SOON)
        call.send(b"two\n", wait=False)
        assert peer.lines(2) == ["one", "two"]
        takes(call, "_closing", call.unread, lambda: call.shut(socket.SHUT_RD), call.close)
        assert not call._sending.locked()


def test_a_line_ends_when_it_is_aborted_or_the_time_is_up(
    bare_server: BareServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And afterwards another may be tried."""
    call = ClientConnection(bare_server.address, LineFraming(), 0.05)
    script = Scripted()
    monkeypatch.setattr(sockets, "send_now", lambda sock, data: 0)
    monkeypatch.setattr(sockets, "writable", script.writable)
    with pytest.raises(TimeoutError, match="^the server read nothing for 0.05 s$"):
        call.send(b"hello\n")
    with pytest.raises(ConnectionAbortedError, match="^the line before went out in part$"):
        call.send(b"x")
    assert not call._sending.locked()
    other = ClientConnection(bare_server.address, LineFraming(), SOON)
    other.aborted = True
    with pytest.raises(ConnectionAbortedError, match="^the connection was aborted$"):
        other.send(b"hello\n")
    assert not other._sending.locked()
    call.close()
    other.close()


# --- why it ended ---


class Tls:
    """What a TLS session says of itself."""

    def __init__(
        self, ready: bool = True, ended: bool = False, trouble: str = "", plain: bool = False
    ) -> None:
        self.ready, self.ended, self.trouble, self.plain_text = ready, ended, trouble, plain

    def goodbye(self) -> bytes:
        return b"goodbye"


BROKEN = OSError(5, "it broke")
CUT = "the connection was cut: no goodbye (close_notify) came before its end"


@pytest.mark.parametrize(
    ("tls", "trouble", "error", "why"),
    [
        (None, "", None, "the server hung up"),
        (None, "", BROKEN, "the connection broke (it broke)"),
        (None, "", OSError("words"), "the connection broke (words)"),
        (None, "you left", BROKEN, "you left"),
        (Tls(ended=True), "", None, "the server hung up"),
        (Tls(), "", None, CUT),
        (Tls(), "", BROKEN, "the connection broke (it broke)"),
        (Tls(False), "", BROKEN, "no TLS with H: it broke"),
        (Tls(False, trouble="bad"), "", BROKEN, "no TLS with H: bad"),
        (Tls(False, trouble="bad", plain=True), "", BROKEN, "no TLS with H: the server does not speak TLS"),
        (Tls(False), "", None, "no TLS with H: the server hung up (it may be full, or not speak TLS)"),
        (Tls(False), "gone", None, "gone"),
    ],
)
def test_why_it_ended(
    bare_server: BareServer, tls: Tls | None, trouble: str, error: OSError | None, why: str
) -> None:
    """In words: by our own wish, by an error, or by the server."""
    call = ClientConnection(bare_server.address, LineFraming(), SOON)
    call._tls, call.trouble = cast(TlsSession, tls), trouble
    host = f"{bare_server.address[0]}:{bare_server.address[1]}"
    assert call.why_ended(error) == why.replace("H", host, 1)
    assert call.encrypted == (tls is not None) and call.over == (tls is not None and tls.ended)
    assert call.no_tls == (f"no TLS with {host}" if tls and not tls.ready else "")
    call.close()


@pytest.mark.parametrize(
    ("takes", "unread", "seconds", "waits", "said"),
    [
        ((), [], 1.0, 0, b"goodbye"),
        ((3,), [], 0.0, 0, b"goo"),
        ((3,), [4], 1.0, 1, b"goodbye"),
        ((3, 0, 0, 0), [4, 4], 1.0, 1, b"goo"),
        ((3, 0, 0, 0), [4, 3, 2, 2], 1.0, 3, b"goo"),
    ],
)
def test_a_goodbye_over_tls(
    bare_server: BareServer,
    monkeypatch: pytest.MonkeyPatch,
    takes: tuple[int, ...],
    unread: list[int],
    seconds: float,
    waits: int,
    said: bytes,
) -> None:
    """It is given up once the server takes nothing more; without TLS there is none."""
    call = ClientConnection(bare_server.address, LineFraming(), SOON)
    script = Scripted(*takes)
    monkeypatch.setattr(sockets, "send_now", script.send_now)
    monkeypatch.setattr(sockets, "writable", script.writable)
    monkeypatch.setattr(call, "unread", lambda: unread.pop(0))
    call.say_goodbye(seconds)
    assert script.taken == b""
    call._tls = cast(TlsSession, Tls())
    call.say_goodbye(seconds)
    assert (script.taken, script.waits) == (said, [seconds] * waits)
    with call._sending:
        call.say_goodbye(0.01)  # another thread still sends, in vain
    assert script.taken == said and not call._sending.locked()
    for error in (OSError(), ValueError()):
        monkeypatch.setattr(sockets, "send_now", raises(error))
        call.say_goodbye(seconds)
        assert not call._sending.locked()
    call._tls = None
    call.close()


def raises(error: Exception) -> Callable[..., int]:
    def fails(*_: object) -> int:
        raise error

    return fails


# --- what comes ---


class Clock:
    """A clock that is moved on by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("heartbeat", [b"\n", b""])
def test_a_heartbeat_when_nothing_was_said_for_long(
    bare_server: BareServer, monkeypatch: pytest.MonkeyPatch, heartbeat: bytes
) -> None:
    """To the second; one that need not be sent is none."""
    call = ClientConnection(bare_server.address, LineFraming(), SOON)
    clock, thawed = Clock(), threading.Event()
    thawed.set()
    call.last_sent = 90.0
    waits: list[float] = []
    sent: list[tuple[bytes, bool, float]] = []

    def readable(seconds: float) -> bool:
        waits.append(seconds)
        if len(waits) < 4:
            clock.now += seconds
            return False
        return True

    monkeypatch.setattr(connection, "monotonic", clock)
    monkeypatch.setattr(call, "readable", readable)
    monkeypatch.setattr(call, "send", lambda data, wait: sent.append((data, wait, clock.now)))
    with bare_server.accept() as peer:
        peer.send("hello")
        while not sockets.readable(call.sock, SOON):
            pass
        assert call.receive(thawed, heartbeat) == b"hello\n"
    assert waits == [10.0, 20.0, 20.0, 20.0]
    assert sent == [(heartbeat, False, now) for now in (110.0, 130.0, 150.0)] * bool(heartbeat)
    call.close()


def test_one_that_is_frozen_reads_when_it_is_thawed(
    bare_server: BareServer, elsewhere: ThreadPoolExecutor
) -> None:
    """And nothing more, if it has become deaf meanwhile."""
    call = ClientConnection(bare_server.address, LineFraming(), SOON)
    thawed = threading.Event()
    with bare_server.accept() as peer:
        peer.send("one")
        waiting = elsewhere.submit(call.receive, thawed, b"")
        done, _ = wait([waiting], 0.05)
        assert not done
        thawed.set()
        assert waiting.result(SOON) == b"one\n"
        peer.send("two")
        call.stop_reading()
        assert call.receive(thawed, b"") == b""
    call.close()


@pytest.mark.parametrize(
    ("deadline", "comes", "seconds", "waited", "readable", "deaf"),
    [
        (None, True, 5.0, 5.0, True, False),
        (None, False, 5.0, 5.0, False, False),
        (3.0, False, 5.0, 3.0, True, True),
        (3.0, False, 2.0, 2.0, False, False),
        (-1.0, False, 5.0, 0.0, True, True),
        (-1.0, True, 5.0, 0.0, True, False),
    ],
)
def test_something_to_read_or_a_reason_to_read_no_more(
    bare_server: BareServer,
    monkeypatch: pytest.MonkeyPatch,
    deadline: float | None,
    comes: bool,
    seconds: float,
    waited: float,
    readable: bool,
    deaf: bool,
) -> None:
    """Within so many seconds, and before its deadline."""
    call = ClientConnection(bare_server.address, LineFraming(), 7.0)
    clock = Clock()
    waits: list[float] = []

    def looks(sock: socket.socket, seconds: float) -> bool:
        waits.append(seconds)
        clock.now += seconds
        return comes

    monkeypatch.setattr(connection, "monotonic", clock)
    monkeypatch.setattr(sockets, "readable", looks)
    call.expect(deadline)
    assert call.readable(seconds) is readable
    assert waits == [waited] and call.deaf is deaf
    assert call.trouble == ("no answer within 7 s" if deaf else "")
    if deaf:
        assert call.readable(seconds) and len(waits) == 1
    call.close()


@pytest.mark.parametrize("aborted", [False, True])
def test_how_it_is_closed(bare_server: BareServer, aborted: bool) -> None:
    """With FIN, or with RST where it was aborted, and why."""
    call = ClientConnection(bare_server.address, LineFraming(), SOON)
    with bare_server.accept() as peer:
        if aborted:
            call.break_off("so it is")
            assert (call.trouble, call.aborted, call.deaf) == ("so it is", True, True)
        call.close()
        if aborted:
            with pytest.raises(ConnectionResetError):
                peer.sock.recv(1)
        else:
            assert peer.sock.recv(1) == b""
    call.close()


def test_a_connection_that_breaks_at_once(bare_server: BareServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said so, and the socket is closed."""
    made: list[socket.socket] = []

    def prepare(sock: socket.socket) -> None:
        made.append(sock)
        raise OSError(5, "so it is")

    monkeypatch.setattr(sockets, "prepare", prepare)
    with pytest.raises(ConnectionError, match=r"^the connection broke at once \(so it is\)$"):
        ClientConnection(bare_server.address, LineFraming(), SOON)
    assert made[0].fileno() == -1
