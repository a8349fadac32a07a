"""admission.py and acceptor.py, call by call: who comes in, who makes way, and what they hear."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from support import SOON
from watched import takes

from labkit import Journal, Limits
from labkit.probe.ports import free_port
from labkit.server import acceptor, admission
from labkit.server.acceptor import Acceptor
from labkit.server.admission import POLITE, Admission
from labkit.server.broadcaster import Broadcaster
from labkit.server.connection import ServerConnection
from labkit.server.delivery import Close, Entry, ForOne
from labkit.server.hub import LocalHub
from labkit.wire import sockets
from labkit.wire.framing import LineFraming


class Written(Broadcaster):
    """A broadcaster that is not at work: what is posted is written down, and how often it was woken."""

    def __init__(self) -> None:
        super().__init__(Limits())
        self.entries: list[Entry] = []
        self.woken = 0

    def post(self, entries: list[Entry], may_wait: bool = False) -> None:
        self.entries += entries

    def wake(self) -> None:
        self.woken += 1


class Bench:
    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, most: int = 2, per_address: int | None = None
    ) -> None:
        self.now = 1000.0
        monkeypatch.setattr(admission, "monotonic", lambda: self.now)
        limits = Limits(max_clients=most, per_address=per_address)
        self.journal, self.broadcaster = Journal(), Written()
        self.hub = LocalHub(limits, self.journal, lambda: self.broadcaster, threading.Event(), 4096)
        self.hub.open()
        self.admission = Admission(self.hub, limits, self.journal)
        self.clients: list[ServerConnection] = []
        self.wires: list[socket.socket] = []

    def comes(self, host: str = "10.0.0.1") -> tuple[ServerConnection, bool]:
        ours, theirs = socket.socketpair()
        ours.setblocking(sockets.HAS_DONTWAIT)  # as `prepare` does
        self.wires.append(theirs)
        client = ServerConnection(ours, LineFraming(), None, threading.Lock())
        self.clients.append(client)
        return client, self.admission.admit(client, host)

    def told(self) -> list[Entry]:
        told, self.broadcaster.entries = self.broadcaster.entries, []
        return told

    def refused(self) -> list[str]:
        return [event.what for event in self.journal if event.kind == "refused"]

    def close(self) -> None:
        for client in self.clients:
            client.sock.close()
        for wire in self.wires:
            wire.close()
        self.broadcaster.stop()


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def new(*arguments: Any) -> Bench:
        made.append(Bench(monkeypatch, *arguments))
        return made[-1]

    yield new
    for bench in made:
        bench.close()


def test_who_has_no_nickname_makes_way(make: Callable[..., Bench]) -> None:
    """It is told why, and its thread wakes; one with a nickname stays, and then the newcomer hears why."""
    bench = make(2)
    (first, one), (second, two) = bench.comes(), bench.comes()
    assert one and two and bench.told() == [] and bench.broadcaster.woken == 0
    third, three = bench.comes()
    assert three and len(bench.hub.slots) == 2 and first not in bench.hub.slots
    assert bench.told() == [ForOne(first.outbox, b"! no nickname yet, and others need the room\n")]
    assert first.in_the_way and not second.in_the_way and sockets.receive(first.sock, 1) == b""
    for client in (second, third):
        bench.hub.slots.named(client)
    fourth, four = bench.comes()
    assert not four and fourth not in bench.hub.slots
    why = "the server is full: 2 connections"
    assert bench.told() == [ForOne(fourth.outbox, f"! {why}\n".encode()), Close(fourth.outbox, True)]
    assert bench.refused() == [why] and bench.broadcaster.woken == 1


def test_so_many_from_one_address(make: Callable[..., Bench]) -> None:
    """Not one more, though there is room."""
    bench = make(10, 2)
    assert [bench.comes()[1] for _ in range(3)] == [True, True, False]
    assert bench.refused() == ["too many from your address: 2 connections"]
    assert bench.comes("10.0.0.2")[1]
    takes(bench.hub, "lock", lambda: bench.admission.no_room(""))


def test_so_many_a_second_are_waited_for(make: Callable[..., Bench]) -> None:
    """So that they hear why; all others are told, and closed at once."""
    bench = make(1)
    client, _ = bench.comes()
    bench.hub.slots.named(client)

    def polite() -> bool:
        bench.comes()
        last = bench.told()[-1]
        assert isinstance(last, Close)
        return last.politely

    assert POLITE == 32
    assert [polite() for _ in range(POLITE)] == [True] * POLITE
    bench.now += 0.9
    assert not polite() and not polite()
    bench.now += 0.2
    assert [polite() for _ in range(POLITE + 1)] == [True] * POLITE + [False]
    bench.now += 1.0
    assert not polite()
    bench.now += 0.1
    assert polite()


def test_no_room_on_the_machine(make: Callable[..., Bench]) -> None:
    """At first it is only written down; if it lasts, one without a nickname makes way."""
    bench = make(10)
    stranger, _ = bench.comes()
    assert not bench.admission.no_room("no descriptors")
    assert [(e.kind, e.what) for e in bench.journal] == [("full", "no descriptors")]
    assert not stranger.in_the_way and bench.broadcaster.woken == 0
    assert bench.admission.no_room("")
    assert stranger.in_the_way and bench.broadcaster.woken == 1
    assert not bench.admission.no_room("") and bench.broadcaster.woken == 2
    assert len(bench.journal) == 1


# --- the acceptor ---


class Listener:
    """A listening socket that says what it is told to."""

    def __init__(self, *script: object) -> None:
        self.script = list(script)
        self.closed = False

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 7

    def accept(self) -> tuple[Any, tuple[str, int]]:
        said = self.script.pop(0) if self.script else OSError(errno.EINVAL, "closed")
        if isinstance(said, OSError):
            raise said
        if callable(said):
            said()
            raise OSError(errno.ECONNABORTED, "reset")
        return said, ("10.0.0.1", 9)

    def shutdown(self, how: int) -> None:
        pass

    def close(self) -> None:
        self.closed = True


FULL = OSError(errno.EMFILE, "Too many open files")


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
@pytest.mark.parametrize("being_made", [True, False])
def test_when_the_machine_has_no_room(
    monkeypatch: pytest.MonkeyPatch, number: int, being_made: bool
) -> None:
    """It is told once, and again when it was well for a second; meanwhile room is asked for."""
    now = [1000.0]
    waiting = [True]
    listener = Listener(*[OSError(number, "full")] * 3)
    monkeypatch.setattr(acceptor, "monotonic", lambda: now[0])
    monkeypatch.setattr("labkit.wire.sockets.listen", lambda host, port: listener)
    monkeypatch.setattr("labkit.wire.sockets.readable", lambda sock, seconds: waiting[0])
    asked: list[str] = []
    paused: list[float] = []

    def no_room(why: str) -> bool:
        asked.append(why)
        return being_made

    it = Acceptor("localhost", 0, lambda *_: None, no_room)

    class Closing(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            paused.append(cast(float, timeout))
            now[0] += 0.5
            if len(paused) == 2:
                waiting[0] = False
            if len(paused) == 3:
                now[0] += 0.6
                listener.script += [OSError(number, "full again")]
            if len(paused) == 4:
                self.set()
            return self.is_set()

    it._closing = Closing()
    it._accept()
    assert asked == ["full", "", "full again"]
    pause = 0.01 if being_made else 0.1
    assert paused == [pause, pause, 0.1, pause]
    assert it.address == ("127.0.0.1", 7)


def test_each_that_comes_in_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """From 1 on; one that was reset meanwhile has none, and one that comes after the end is closed."""
    sockets_ = [socket.socket() for _ in range(4)]
    reset = OSError(errno.ECONNABORTED, "reset")
    came: list[tuple[object, int, str]] = []
    closing: list[threading.Event] = []
    listener = Listener(sockets_[0], reset, sockets_[1], lambda: closing[0].set(), sockets_[2])
    monkeypatch.setattr("labkit.wire.sockets.listen", lambda host, port: listener)
    it = Acceptor("localhost", 0, lambda *what: came.append(what), lambda why: False)
    closing.append(it._closing)
    it._accept()
    assert came == [(sockets_[0], 1, "10.0.0.1"), (sockets_[1], 2, "10.0.0.1")]
    late = Listener(sockets_[3])
    monkeypatch.setattr(it, "_listener", late)
    accept = late.accept
    it._closing.clear()

    def at_last() -> tuple[Any, tuple[str, int]]:
        it._closing.set()
        return accept()

    monkeypatch.setattr(late, "accept", at_last)
    it._accept()
    assert len(came) == 2 and sockets_[3].fileno() == -1
    for sock in sockets_:
        sock.close()


def test_an_acceptor_that_was_never_opened_can_be_closed() -> None:
    """Its port is free again."""
    it = Acceptor("127.0.0.1", free_port(), lambda *_: None, lambda why: False)
    it.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(it.address, timeout=SOON)


def test_closing_wakes_the_thread_where_shutdown_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """It knocks, and is let in; what came before has been handed over."""
    came: list[int] = []

    def comes_in(sock: socket.socket, number: int, host: str) -> None:
        came.append(number)
        sock.close()

    it = Acceptor("127.0.0.1", 0, comes_in, lambda why: False)
    real = it._listener

    class Deaf:
        """Its shutdown wakes nobody, as on some systems."""

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def shutdown(self, how: int) -> None:
            raise OSError(errno.ENOTCONN, "not connected")

    monkeypatch.setattr(it, "_listener", Deaf())
    it.open()
    with socket.create_connection(it.address, timeout=SOON) as sock:
        assert sock.recv(1) == b""
    it.close()
    assert came == [1] and not it._thread.is_alive() and real.fileno() == -1
