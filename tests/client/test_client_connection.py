"""connection.py: one connection, as the client holds it. What TLS adds, test_tls.py has."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest
from support import SOON, BareServer

from labkit.client.connection import ClientConnection
from labkit.wire import sockets
from labkit.wire.framing import LineFraming


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
