"""A link holds up nobody: not while it connects to the server, and not without descriptors."""

from __future__ import annotations

import errno
import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from time import monotonic, sleep
from typing import Any, Self

import pytest
from support import SOON, BareServer, FullServer, Wire, make_known

from labkit.instruments import relay
from labkit.instruments.faults import HalfClose, Reset
from labkit.instruments.link import Link
from labkit.instruments.stream import FULL
from labkit.wire import sockets


def everything(wire: Wire) -> bytes:
    """All that comes, up to FIN."""
    data = b""
    while piece := wire.sock.recv(65536):
        data += piece
    return data


# --- while it connects to the server ---


class Knocking:
    """A client whose link waits for the server to accept. Leaving the `with` block ends it."""

    def __init__(self, link: Link) -> None:
        self.client = Wire(link.address)
        self._link = link
        self.wait_until(lambda: bool(self._connections()))
        (self.connection,) = self._connections()

    def _connections(self) -> list[relay.Connection]:
        """Its own, by its port: an earlier client's may not be there yet, though its server has it."""
        found: list[relay.Connection] = []
        for connection in list(self._link._relay.connections):
            with suppress(OSError):  # it has ended
                if connection.streams[0].source.getpeername() == self.client.sock.getsockname():
                    found.append(connection)
        return found

    @property
    def waits(self) -> bool:
        return self.connection._dial is not None and not self.connection.over

    def wait_until(self, condition: Callable[[], bool]) -> None:
        give_up = monotonic() + SOON
        while not condition():
            assert monotonic() < give_up
            sleep(0.001)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.client.close()


@pytest.fixture
def full() -> Iterator[FullServer]:
    with FullServer() as server:
        yield server


@pytest.fixture
def behind(full: FullServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Link]:
    """A link in front of a server that accepts no one, with all the time in the world."""
    monkeypatch.setattr(relay, "CONNECTING", 3600.0)
    with Link(full.address) as link:
        yield link


def test_connecting_holds_up_nobody(full: FullServer, behind: Link) -> None:
    """The server accepts one, and then no more: what the one says goes there and back all the same."""
    with Wire(behind.address) as alice, full.accept() as server, ExitStack() as stack:
        # Its queue takes one more before it is full.
        newcomers = [stack.enter_context(Knocking(behind)) for _ in range(6)]
        for text in ("one", "two"):
            alice.send(text)
            assert server.line() == text
            server.send(text)
            assert alice.line() == text
        assert all(newcomer.waits for newcomer in newcomers[2:])
        behind.stop()
        assert all(newcomer.connection.over for newcomer in newcomers)


def test_what_is_said_before_the_server_accepts_is_not_lost(full: FullServer, behind: Link) -> None:
    """Bytes and FIN wait, more of them than a link holds at once; and the answer comes back."""
    said = random.Random(3).randbytes(2 * FULL + 12345)
    with Knocking(behind) as knocking:
        client = knocking.client

        def say_it() -> None:
            client.sock.sendall(said)
            client.hang_up()

        talking = threading.Thread(target=say_it)
        talking.start()
        knocking.wait_until(lambda: knocking.connection.streams[0]._held >= FULL)
        assert knocking.waits
        assert not list(behind.journal)
        with full.accept() as server:
            assert everything(server) == said
            server.send("thank you")
            assert client.line() == "thank you"
        talking.join()
        assert ("FIN", "client") in [(e.kind, e.who) for e in behind.journal]


def test_a_client_that_hangs_up_at_once_is_heard(full: FullServer, behind: Link) -> None:
    """A FIN that came before the server was connected goes on, behind what was said."""
    with Knocking(behind) as knocking:
        knocking.client.send("that is all")
        knocking.client.hang_up()
        knocking.wait_until(lambda: knocking.connection.streams[0]._fin_read)
        assert knocking.waits and not list(behind.journal)
        with full.accept() as server:
            assert server.to_the_end() == ["that is all"]
    assert [(e.kind, e.who) for e in behind.journal][:2] == [("bytes", "client"), ("FIN", "client")]


def test_a_client_that_is_gone_is_connected_to_no_server(full: FullServer, behind: Link) -> None:
    """RST, with nothing said before: the link lets go at once, and keeps no socket."""
    knocking = Knocking(behind)
    assert knocking.waits
    sock = knocking.connection.streams[0].sink
    knocking.client.reset()
    knocking.wait_until(lambda: not behind._relay.connections)
    assert [(e.kind, e.who, e.where) for e in behind.journal] == [("RST", "client", "server")]
    assert sock.fileno() == -1


def test_what_a_client_said_before_its_reset_still_arrives(
    full: FullServer, behind: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the server accepts before the last bytes have waited too long; and the RST comes behind them."""
    monkeypatch.setattr(relay, "LAST_BYTES", SOON)
    knocking = Knocking(behind)
    knocking.client.send("farewell")
    knocking.wait_until(lambda: bool(knocking.connection.streams[0].queue))
    knocking.client.reset()
    knocking.wait_until(lambda: knocking.connection.resetting)
    assert knocking.waits
    with full.accept() as server:
        assert server.line() == "farewell"
        with pytest.raises(ConnectionResetError):
            server.sock.recv(1)


def test_a_server_that_does_not_accept_in_time_is_felt_as_a_reset(
    full: FullServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And told in the journal; what the client had said is dropped."""
    monkeypatch.setattr(relay, "CONNECTING", 0.05)
    with Link(full.address) as link:
        with pytest.raises(ConnectionResetError), Wire(link.address) as client:
            client.send("hello?")
            client.sock.recv(1)
        assert [(e.kind, e.who, e.where) for e in link.journal] == [("RST", "server", "client")]


def test_a_reset_by_the_link_ends_a_knocking_one_too(full: FullServer, behind: Link) -> None:
    """`reset` is for every connection that there is."""
    with Knocking(behind) as knocking:
        client = knocking.client
        behind.reset()
        with pytest.raises(ConnectionResetError):
            client.sock.recv(1)
        knocking.wait_until(lambda: knocking.connection.over)


def test_faults_wait_for_the_connection(full: FullServer, behind: Link) -> None:
    """A half-close and a reset act on a connection, and not before there is one."""
    with Knocking(behind) as knocking:
        client = knocking.client
        behind.to_client.use(HalfClose())
        behind.to_server.use(Reset(after=3))
        client.send_bytes(b"abcdef")
        knocking.wait_until(lambda: bool(knocking.connection.streams[0].queue))
        assert knocking.waits and not list(behind.journal)
        with full.accept() as server:
            assert server.sock.recv(3) == b"abc"
            with pytest.raises(ConnectionResetError):
                server.sock.recv(1)


def test_a_link_tries_every_address_of_its_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """In order: one that is silent, one that refuses, and then the one that listens."""
    with FullServer() as silent, BareServer() as server, socket.socket() as refuses:
        refuses.bind(("127.0.0.1", 0))
        make_known(monkeypatch, "many.example", silent.address, refuses.getsockname(), server.address)
        monkeypatch.setattr(relay, "CONNECTING", 3.0)
        with Link(("many.example", 1)) as link, Wire(link.address) as client:
            client.send("hello")
            client.hang_up()
            with server.accept() as heard:
                assert heard.to_the_end() == ["hello"]


def test_a_link_to_no_host_says_so() -> None:
    """Where it is made: its clients could only be told by a reset. Nothing is left behind."""
    threads = threading.active_count()
    with pytest.raises(OSError, match="no such host: a..b"):
        Link(("a..b", 1))
    assert threading.active_count() == threads


# --- without descriptors ---


class NoRoom:
    """Has `socket` fail, as it does where there are no descriptors left, until `ends`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tries = 0
        self.failed = threading.Semaphore(0)
        self._dial = sockets.Dial
        self._monkeypatch = monkeypatch
        monkeypatch.setattr(sockets, "Dial", self.fail)

    def fail(self, *_: object) -> None:
        self.tries += 1
        self.failed.release()
        raise ConnectionError("Too many open files")

    def ends(self) -> None:
        self._monkeypatch.setattr(sockets, "Dial", self._dial)


def test_without_descriptors_it_does_not_spin(monkeypatch: pytest.MonkeyPatch) -> None:
    """It tries once, and no more until a connection of its own has ended; what waits is served then."""
    monkeypatch.setattr(relay, "PAUSE", 3600.0)
    with BareServer() as server, Link(server.address) as link:
        with Wire(link.address) as first, server.accept() as heard:
            no_room = NoRoom(monkeypatch)
            with Wire(link.address) as second:
                second.send("here I am")
                assert no_room.failed.acquire(timeout=SOON)
                for _ in range(20):  # the link's thread turns each time
                    first.send("still there?")
                    assert heard.line() == "still there?"
                assert no_room.tries == 1
                no_room.ends()
                first.close()
                heard.close()
                with server.accept() as now:
                    assert now.line() == "here I am"


def test_room_that_others_make_is_found_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a short pause it tries again, with no connection of its own that could end."""
    monkeypatch.setattr(relay, "PAUSE", 0.001)
    no_room = NoRoom(monkeypatch)
    with BareServer() as server, Link(server.address) as link, Wire(link.address) as client:
        for _ in range(3):
            assert no_room.failed.acquire(timeout=SOON)
        no_room.ends()
        client.send("at last")
        with server.accept() as heard:
            assert heard.line() == "at last"


def test_no_descriptor_for_the_client_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the socket to the server could be had, and then `accept` fails, it pauses."""
    refuse, refused = threading.Event(), threading.Semaphore(0)

    class Listening(socket.socket):
        def accept(self) -> tuple[socket.socket, Any]:
            if refuse.is_set():
                refused.release()
                raise OSError(errno.EMFILE, "Too many open files")
            return super().accept()

    listen = sockets.listen
    monkeypatch.setattr(sockets, "listen", lambda *where: Listening(fileno=listen(*where).detach()))
    monkeypatch.setattr(relay, "PAUSE", 3600.0)
    with BareServer() as server, Link(server.address) as link:
        with Wire(link.address) as first, server.accept() as heard:
            refuse.set()
            with Wire(link.address) as second:
                assert refused.acquire(timeout=SOON)
                for _ in range(20):
                    first.send("still there?")
                    assert heard.line() == "still there?"
                assert not refused.acquire(blocking=False)
                assert not sockets.readable(server.sock, 0)  # the server was not bothered
                refuse.clear()
                first.close()
                heard.close()
                second.send("here I am")
                with server.accept() as now:
                    assert now.line() == "here I am"
