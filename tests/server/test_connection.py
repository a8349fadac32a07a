"""connection.py, client_loop.py and handshake.py: one client's thread, call by call."""

from __future__ import annotations

import errno
import math
import socket
import threading
from collections.abc import Iterator
from time import monotonic
from types import SimpleNamespace
from typing import Any, cast

import pytest
from support import SOON, Wire
from watched import takes

from labkit import ChatServer, Journal, Limits
from labkit.server import client_loop, connection, handshake, scheduling
from labkit.server.client_loop import MUCH, TURN, ClientLoop
from labkit.server.connection import CHUNK, LOOK_AROUND, SMALL_CHUNK, Disconnected, ServerConnection
from labkit.server.handshake import Handshake
from labkit.server.hub import Hub
from labkit.server.rooms import Refusal
from labkit.wire import sockets
from labkit.wire.framing import LineFraming, RawFraming
from labkit.wire.messages import (
    HUNG_UP,
    NO_NICKNAME,
    SERVER_STOPPED,
    TOO_SLOW,
    VANISHED,
    WENT_SILENT,
    FromClient,
    FromServer,
    Heartbeat,
    Reason,
    Request,
    Say,
    Who,
)
from labkit.wire.tls import TlsSession

GOING_ON = threading.Event()
STOPPING = threading.Event()
STOPPING.set()


class Ends:
    """A server's end of a connection, and the client's."""

    def __init__(self, rate: float | None = None, raw: bool = False, tls: Any = None) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.wire = Wire(socket.create_connection(listener.getsockname()))
            sock, _ = listener.accept()
        sockets.prepare(sock)
        framing = RawFraming(1024) if raw else LineFraming()
        self.telling = threading.Lock()
        self.client = ServerConnection(sock, framing, rate, self.telling, cast(TlsSession, tls))

    def receives(self, ending: threading.Event = GOING_ON, seconds: float | None = SOON) -> bytes:
        return self.client.receive(seconds, ending)

    def ends(self, ending: threading.Event = GOING_ON, seconds: float | None = SOON) -> Reason:
        with pytest.raises(Disconnected) as end:
            self.receives(ending, seconds)
        return end.value.reason

    def close(self) -> None:
        self.wire.close()
        self.client.sock.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    ends = Ends()
    yield ends
    ends.close()


# --- how it ends ---


def test_what_comes_and_how_it_ends(ends: Ends) -> None:
    """Bytes; silence; FIN, which is the server's own shutdown where it stops."""
    ends.wire.send("hello")
    assert ends.receives() == b"hello\n"
    assert ends.ends(seconds=0.01) == WENT_SILENT
    ends.wire.hang_up()
    assert ends.ends() == HUNG_UP
    assert ends.ends(STOPPING) == SERVER_STOPPED
    ends.client.outbox.failed = TOO_SLOW
    assert ends.ends() == TOO_SLOW
    takes(ends.client, "_telling", lambda: ends.ends())


@pytest.mark.parametrize(
    ("failed", "reason"), [(None, VANISHED), (HUNG_UP, VANISHED), (TOO_SLOW, TOO_SLOW)]
)
def test_a_reset(ends: Ends, failed: Reason | None, reason: Reason) -> None:
    """It vanished, whatever a send of ours found; unless we gave it up."""
    ends.client.outbox.failed = failed
    ends.wire.reset()
    assert ends.ends() == reason


@pytest.mark.parametrize(
    ("ready", "ended", "failed", "stopping", "reason"),
    [
        (True, True, None, False, HUNG_UP),
        (True, False, None, False, VANISHED),
        (True, True, VANISHED, False, HUNG_UP),
        (True, False, TOO_SLOW, False, TOO_SLOW),
        (False, False, None, False, HUNG_UP),
        (True, False, None, True, SERVER_STOPPED),
    ],
)
def test_with_tls_a_goodbye_is_what_tls_calls_one(
    ready: bool, ended: bool, failed: Reason | None, stopping: bool, reason: Reason
) -> None:
    """A FIN alone may come from anyone on the way."""
    ends = Ends(tls=SimpleNamespace(ready=ready, ended=ended))
    ends.client.outbox.failed = failed
    ends.wire.hang_up()
    assert ends.ends(STOPPING if stopping else GOING_ON) == reason
    ends.close()


def test_after_its_tls_goodbye_nothing_is_read() -> None:
    """Although something has come."""
    ends = Ends(tls=SimpleNamespace(ready=True, ended=True))
    ends.wire.send("more")
    assert ends.ends() == HUNG_UP
    ends.close()


def test_the_kernel_is_told_only_what_is_new(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """How long to wait costs a system call."""
    told: list[float | None] = []
    monkeypatch.setattr(sockets, "patience", lambda sock, seconds: told.append(seconds))
    for seconds in (None, 5.0, 5.0, 6.0, None):
        ends.wire.send("x")
        ends.receives(seconds=seconds)
    assert told == [5.0, 6.0, None]


# --- the first line ---


def test_the_first_line_is_sent_at_once(ends: Ends) -> None:
    """And counted; under the lock that tells of resets."""
    takes(ends.client, "_telling", lambda: ends.client.greet(b"nickname\n"))
    assert ends.wire.line() == "nickname"
    assert (ends.client.outbox.lines_out, ends.client.outbox.failed) == (1, None)


def test_a_first_line_that_is_not_taken_is_to_be_posted(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the machine has no memory left for it."""
    monkeypatch.setattr(sockets, "send_now", lambda sock, data: 0)
    assert not ends.client.greet(b"nickname\n")
    assert (ends.client.outbox.lines_out, ends.client.outbox.failed) == (0, None)


@pytest.mark.parametrize(("number", "reason"), [(errno.EPIPE, HUNG_UP), (errno.ECONNRESET, VANISHED)])
def test_a_first_line_may_find_out_that_the_client_is_gone(
    ends: Ends, monkeypatch: pytest.MonkeyPatch, number: int, reason: Reason
) -> None:
    """The kernel tells it once; `receive` tells it on."""

    def fails(sock: socket.socket, data: bytes) -> int:
        raise OSError(number, "gone")

    monkeypatch.setattr(sockets, "send_now", fails)
    assert ends.client.greet(b"nickname\n")
    assert not ends.client.outbox.clear, "a later send would overwrite why it is gone"
    ends.wire.hang_up()
    assert ends.ends() == reason


# --- how much is read at once ---


@pytest.mark.parametrize(
    ("rate", "raw", "named", "sent", "chunk"),
    [
        (None, False, True, SMALL_CHUNK, CHUNK),
        (None, False, True, SMALL_CHUNK - 1, SMALL_CHUNK),
        (None, False, False, SMALL_CHUNK, SMALL_CHUNK),
        (5.0, False, True, SMALL_CHUNK, SMALL_CHUNK),
        (None, True, True, SMALL_CHUNK, SMALL_CHUNK),
    ],
)
def test_who_is_read_more_from_at_once(
    monkeypatch: pytest.MonkeyPatch, rate: float | None, raw: bool, named: bool, sent: int, chunk: int
) -> None:
    """One that has filled a small chunk, has a nickname, and whose lines are not counted."""
    ends = Ends(rate, raw)
    ends.client.named = named
    asked: list[int] = []

    def receive(sock: socket.socket, size: int, seconds: float | None) -> bytes:
        asked.append(size)
        return b"x" * sent

    monkeypatch.setattr(sockets, "receive", receive)
    assert ends.receives() == ends.receives() == b"x" * sent
    assert asked == [SMALL_CHUNK, chunk]
    ends.close()


def test_in_raw_a_message_and_its_name_fit_into_a_recv() -> None:
    """In bytes: so many are read at once."""
    ends = Ends(raw=True)
    assert not ends.client.named
    ends.client.set_nickname("жук")
    assert ends.client.named
    ends.wire.send_bytes(b"x" * 2000)
    came = [len(ends.receives())]
    while sum(came) < 2000:
        came.append(len(ends.receives()))
    assert came[0] == 1024 - len("жук: \n".encode()) == 1015
    ends.close()


def test_what_is_understood() -> None:
    """Lines, in whatever pieces TLS has them; what should be TLS and is not ends it."""

    class Pieces:
        ready = ended = False
        asked: list[tuple[bytes, int]] = []

        def decrypt(self, data: bytes, size: int) -> list[bytes]:
            self.asked.append((data, size))
            if data == b"bad":
                raise ConnectionError("no TLS")
            return [b"one\ntw", b"o\nthr"]

    plain, sealed = Ends(), Ends(tls=Pieces())
    assert plain.client.decrypted(b"one\ntwo\nth") == b"one\ntwo\nth"
    for _ in range(2):
        assert sealed.client.decrypted(b"x") == b"one\ntwo\nthr"
    assert Pieces.asked == [(b"x", SMALL_CHUNK)] * 2
    with pytest.raises(Disconnected) as end:
        sealed.client.decrypted(b"bad")
    assert end.value.reason == VANISHED
    plain.close()
    sealed.close()


# --- lines that are counted ---


class Clock:
    """A clock that only those who wait move on; and an event that is waited for."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float] = []
        self.stops = False

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += max(seconds, 0.001)
        return self.stops


@pytest.mark.parametrize(
    ("rate", "said", "parts", "seconds"),
    [
        (2.0, 5, [2, 2, 1], 1.5),
        (2.0, 2, [2], 0.0),
        (2.0, 3, [2, 1], 0.5),
        (0.5, 2, [1, 1], 2.0),
        (10.0, 10, [10], 0.0),
        (10.0, 25, [10, 10, 5], 1.5),
        (2.9, 6, [2, 2, 2], 6 / 2.9 - 1),
    ],
)
def test_counted_lines_come_when_the_rate_allows(
    monkeypatch: pytest.MonkeyPatch, rate: float, said: int, parts: list[int], seconds: float
) -> None:
    """A second's worth at once, or one; then so many a second, in waits of at most LOOK_AROUND."""
    ends, clock = Ends(rate), Clock()
    monkeypatch.setattr(connection, "monotonic", clock)
    lines = list(range(said))
    came = list(ends.client.paced(lines, cast(threading.Event, clock)))
    assert [len(part) for part in came] == parts and sum(came, []) == lines
    assert clock.now - 1000 == pytest.approx(seconds, abs=0.003)
    assert all(0 < wait <= LOOK_AROUND for wait in clock.waits)
    # After a pause a burst may come again, and no more than that.
    clock.now += 100
    before = clock.now
    list(ends.client.paced([0] * max(1, int(rate)), cast(threading.Event, clock)))
    assert clock.now == before
    ends.close()


def test_one_that_waits_is_told_of_the_stop_and_of_its_own_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever comes first; a goodbye is none: what it said before is still to be heard."""
    clock = Clock()
    monkeypatch.setattr(connection, "monotonic", clock)
    for set_up, reason in (
        (lambda ends: setattr(clock, "stops", True), SERVER_STOPPED),
        (lambda ends: setattr(ends.client.outbox, "failed", TOO_SLOW), TOO_SLOW),
        (lambda ends: ends.wire.reset(), VANISHED),
    ):
        ends, clock.stops = Ends(1.0), False
        set_up(ends)
        if reason == VANISHED:
            while sockets.ended_by(ends.client.sock) != "RST":
                pass
        parts = ends.client.paced([1, 2], cast(threading.Event, clock))
        assert next(parts) == [1]
        with pytest.raises(Disconnected) as end:
            next(parts)
        assert end.value.reason == reason
        ends.close()
    ends, clock.stops = Ends(1.0), False
    ends.wire.hang_up()
    assert list(ends.client.paced([1, 2], cast(threading.Event, clock))) == [[1], [2]]
    ends.close()


# --- the loop ---


class Asked:
    """A hub that writes down what it is asked for."""

    def __init__(self) -> None:
        self.done: list[object] = []
        self.holding = 0  # times that it says yes

    def say(self, client: object, lines: bytes, count: int) -> bool:
        assert count == lines.count(b"\n")
        self.done.append(lines)
        return lines != b"no\n"

    def do(self, client: object, asked: list[FromClient | Refusal]) -> None:
        self.done.append([str(what) if isinstance(what, Refusal) else what for what in asked])

    def holds(self, client: object) -> bool:
        self.holding -= 1
        return self.holding >= 0

    def wait_for_flow(self, seconds: float) -> None:
        self.done.append(seconds)

    def flush_tls(self, client: object) -> None:
        self.done.append("flushed")


def loop(
    limits: Limits | None = None, ending: threading.Event = GOING_ON, **more: Any
) -> tuple[ClientLoop, Asked]:
    hub = Asked()
    return ClientLoop(cast(Hub, hub), limits or Limits(), ending, **more), hub


def test_talk_is_said_at_once_and_the_rest_is_done(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands in turns, with others' turn in between; what cannot be understood is refused."""
    ways: list[str] = []
    monkeypatch.setattr(scheduling, "make_way", lambda: ways.append("way"))
    it, hub = loop()
    it.hear(ends.client, b"one\ntwo\n")
    assert hub.done == [b"one\ntwo\n"] and ends.client.lines_in == 2 and ways == []
    it.hear(ends.client, b"no\n")
    it.hear(ends.client, b"\n/who\n" + b"y" * 4096 + b"\n/nonsense\nx\n")
    assert hub.done[1:] == [
        b"no\n",
        [Say("no")],
        [
            Heartbeat(),
            Who(),
            "too long: a line has at most 4096 bytes",
            "no such command: /nonsense (try /help; //… says /…)",
            Say("x"),
        ],
    ]
    assert ends.client.lines_in == 8 and ways == []
    hub.done.clear()
    it.hear(ends.client, b"/who\n" * (2 * TURN + 1))
    assert [len(cast(list[object], part)) for part in hub.done] == [TURN, TURN, 1] and len(ways) == 2
    it.hear(ends.client, b"/who\n" * TURN)
    it.hear(ends.client, b"x\n" * MUCH)
    assert len(ways) == 2
    it.hear(ends.client, b"x\n" * (MUCH + 1))
    assert len(ways) == 3


def test_counted_lines_are_done_part_by_part() -> None:
    """Each when its time has come."""
    ends = Ends(2.0)
    it, hub = loop(Limits(messages=2.0))
    it.hear(ends.client, b"one\ntwo\n")
    assert hub.done == [[Say("one"), Say("two")]]
    ends.close()


def test_one_that_is_held_is_read_no_further(ends: Ends) -> None:
    """It waits, looking around; what it has said already is understood afterwards."""
    it, hub = loop()
    hub.holding = 2
    ends.wire.send("hello")
    assert it.read(ends.client, SOON) == b"hello\n"
    assert hub.done == [client_loop.HELD_FOR] * 2
    hub.holding = 10
    ends.wire.send("hello")
    ends.client.outbox.failed = VANISHED
    assert it.read(ends.client, SOON) == b"hello\n"
    assert hub.holding == 9


def test_one_that_is_held_is_told_of_the_stop(ends: Ends) -> None:
    it, hub = loop(ending=STOPPING)
    hub.holding = 10
    ends.wire.send("hello")
    with pytest.raises(Disconnected) as end:
        it.read(ends.client, SOON)
    assert end.value.reason == SERVER_STOPPED


@pytest.mark.parametrize("between_turns", [False, True])
@pytest.mark.parametrize(
    ("about", "reason"),
    [("late", SERVER_STOPPED), ("in the way", NO_NICKNAME), ("too slow", TOO_SLOW), ("vanished", None)],
)
def test_a_client_that_never_pauses_finds_out_that_it_is_over(
    ends: Ends, about: str, reason: Reason | None, between_turns: bool
) -> None:
    """After each recv, and after each turn of its commands."""
    it, hub = loop(stop_by=monotonic() - 1 if about == "late" else math.inf)
    ends.client.in_the_way = about == "in the way"
    ends.client.outbox.failed = {"too slow": TOO_SLOW, "vanished": VANISHED}.get(about)
    ends.wire.send("/who")

    def go_on() -> None:
        if between_turns:
            it.hear(ends.client, b"/who\n" * (TURN + 1))
        else:
            it.read(ends.client, SOON)

    if reason is None:
        go_on()
    else:
        with pytest.raises(Disconnected) as end:
            go_on()
        assert end.value.reason == reason
        assert len(hub.done) == between_turns


def test_what_tls_itself_has_to_say_goes_out() -> None:
    """When something is pending, and not otherwise."""
    tls = SimpleNamespace(ready=True, ended=False, pending=False, decrypt=lambda data, size: [data])
    ends = Ends(tls=tls)
    it, hub = loop()
    for tls.pending, done in ((False, []), (True, ["flushed"])):
        ends.wire.send("hello")
        assert it.read(ends.client, SOON) == b"hello\n"
        assert hub.done == done
    ends.close()


# --- the handshake ---


@pytest.mark.parametrize(
    ("chunks", "let_in"),
    [
        ([["", ""], [""], ["alice", "/who"]], True),
        ([["", "", ""], ["alice", "/who"]], True),
        ([["", ""], ["", ""], ["alice", "/who"]], False),
    ],
)
def test_so_many_heartbeats_may_come_instead_of_an_answer(
    ends: Ends, monkeypatch: pytest.MonkeyPatch, chunks: list[list[str]], let_in: bool
) -> None:
    """And no more; what comes with the answer is kept."""
    monkeypatch.setattr(handshake, "HEARTBEATS", 3)
    told: list[str] = []
    joined: list[str] = []

    class Loop:
        limits = Limits()
        hub = SimpleNamespace(
            tell=lambda client, *messages: told.extend(message.line() for message in messages),
            join=lambda client, nickname: joined.append(nickname),
        )

        def read(self, client: ServerConnection, seconds: float) -> bytes:
            assert 0 < seconds <= self.limits.handshake
            return "".join(f"{line}\n" for line in chunks.pop(0)).encode()

    shaking = Handshake(ends.client, cast(ClientLoop, Loop()), Journal(), None, False)
    if let_in:
        assert shaking.shake_hands() == ["/who"]
        assert (told, joined) == ([], ["alice"])
    else:
        with pytest.raises(Disconnected) as end:
            shaking.shake_hands()
        assert end.value.reason == NO_NICKNAME
        assert (told, joined) == (["! no nickname in so many lines"], [])
    assert ends.wire.line() == "nickname"


def test_time_that_is_up_is_told_as_that(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after as many heartbeats as may come."""
    monkeypatch.setattr(handshake, "HEARTBEATS", 3)
    told: list[str] = []
    chunks = [["", "", ""]]

    class Loop:
        limits = Limits(handshake=7.5)
        hub = SimpleNamespace(
            tell=lambda client, *messages: told.extend(message.line() for message in messages)
        )

        def read(self, client: ServerConnection, seconds: float) -> bytes:
            if not chunks:
                raise Disconnected(WENT_SILENT)
            return "".join(f"{line}\n" for line in chunks.pop(0)).encode()

    with pytest.raises(Disconnected) as end:
        Handshake(ends.client, cast(ClientLoop, Loop()), Journal(), None, False).shake_hands()
    assert end.value.reason == NO_NICKNAME and told == ["! no nickname within 7.5 s"]
    assert ends.wire.line() == "nickname"


@pytest.mark.parametrize("way", ["tls", "raw", "not taken"])
def test_the_broadcaster_asks_where_the_thread_cannot(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS and the raw dialect change the bytes of a line; and a socket may have no room for any."""
    monkeypatch.setattr(sockets, "send_now", lambda sock, data: 0)
    told: list[FromServer] = []

    def read(client: ServerConnection, seconds: float) -> bytes:
        raise Disconnected(HUNG_UP)

    ends = Ends(raw=way == "raw", tls=SimpleNamespace(ready=True) if way == "tls" else None)
    hub = SimpleNamespace(tell=lambda client, *messages: told.extend(messages))
    it = cast(ClientLoop, SimpleNamespace(limits=Limits(), hub=hub, read=read))
    with pytest.raises(Disconnected):
        Handshake(ends.client, it, Journal(), None, way == "raw").shake_hands()
    assert told == [Request()]
    ends.close()


@pytest.mark.parametrize("number", [1, 2])
def test_so_many_refusals_and_no_more(number: int) -> None:
    """Every line that a stranger hears, to the last."""
    limits = Limits(refusals=number)
    why = "! that nickname will not do: no ':' inside a name"
    with ChatServer(port=0, limits=limits, password="sesame") as server:
        with Wire(server.address) as wire:
            wire.send("a:b", *["x"] * number)
            again = ["! wrong password", "password"] * (number - 1)
            last = "! wrong password; that was the last try"
            assert wire.to_the_end() == ["nickname", "password", *again, last]
        with Wire(server.address) as wire:
            wire.send("a:b", "sesame", *["a:b"] * (number - 1), "alice")
            assert wire.to_the_end() == [
                "nickname",
                "password",
                *[why, "nickname"] * (number - 1),
                f"{why}; that was the last try",
            ]
        with Wire(server.address) as wire:
            wire.send("x" * 5000, "sesame")
            assert wire.lines(3)[2].startswith("! that nickname will not do: too long")


@pytest.mark.parametrize("what", ["nickname", "password"])
def test_a_stranger_that_says_nothing_hears_why(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For want of which, and within how long."""
    ahead = 0.0
    monkeypatch.setattr(handshake, "monotonic", lambda: monotonic() + ahead)
    with ChatServer(port=0, limits=Limits(handshake=600), password="sesame") as server:
        with Wire(server.address) as wire:
            if what == "password":
                wire.send("alice")
            wire.until(what)  # whatever that takes; and now the time is almost up
            ahead = 599.8
            wire.send("")  # so that its thread looks at the clock
            assert wire.to_the_end() == [f"! no {what} within 600 s"]
        assert server.journal.wait_for("left").what == f"no {what}"
