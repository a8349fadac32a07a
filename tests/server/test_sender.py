"""sender.py and broadcaster.py, byte by byte: whatever a socket takes, and however it ends."""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import SOON, until
from watched import Watched, takes

from labkit.server.broadcaster import UNREAD, Broadcaster
from labkit.server.delivery import Close, Entry, ForOne, ForRoom, Hears
from labkit.server.limits import Limits
from labkit.server.sender import PATIENCE, Outbox, Sender
from labkit.wire import sockets
from labkit.wire.messages import HUNG_UP, TOO_SLOW, VANISHED
from labkit.wire.tls import TlsSession

FULL = object()
"""A send that would have to wait."""


class Scripted(socket.socket):
    """One end of a connection, whose next sends take what the script says: so many bytes (less than 0: all
    but so many), nothing, or an error. After the script it takes all."""

    def play(self, *script: object) -> None:
        self.script = list(script)
        self.sends: list[bytes] = []  # what each send took
        self.may_go_on = threading.Event()  # until it is set, nothing goes out after the script
        self.may_go_on.set()

    def send(self, data, flags=0):  # type: ignore[no-untyped-def]
        played = bool(self.script)
        take = self.script.pop(0) if played else len(data)
        if isinstance(take, OSError):
            raise take
        if take is FULL or not (played or self.may_go_on.is_set()):
            raise BlockingIOError
        part = bytes(data)[: cast(int, take)]
        self.sends.append(part)
        self.sendall_slowly(part)
        return len(part)

    def sendall_slowly(self, part: bytes) -> None:
        while part:
            part = part[super().send(part) :]


class Stamped:
    """Stands for a TLS session: each piece can be told from the next, and nothing may come between."""

    ready = ended = True
    trouble = ""

    def encrypt(self, data: bytes) -> bytes:
        return b"<%b>" % data

    def goodbye(self) -> bytes:
        return b"<end>"


def outbox(*script: object, tls: bool = False) -> tuple[Outbox, socket.socket]:
    """An outbox whose socket plays this script, and the other end."""
    ours, theirs = socket.socketpair()
    ours.setblocking(sockets.HAS_DONTWAIT)  # as `prepare` does
    theirs.settimeout(SOON)
    scripted = Scripted(fileno=ours.detach())
    scripted.play(*script)
    return Outbox(scripted, cast(TlsSession, Stamped()) if tls else None), theirs


@contextmanager
def at_work(
    limits: Limits | None = None, raw: bool = False, encrypted: bool = False
) -> Iterator[Broadcaster]:
    """A broadcaster at work, stopped afterwards. Whoever it lets go has the time to read the last lines, on
    a busy machine, too."""
    broadcaster = Broadcaster(limits or Limits(), "labkit-broadcaster", raw, encrypted)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("labkit.server.sender.LINGER", SOON)
        broadcaster.start()
        try:
            yield broadcaster
        finally:
            broadcaster.stop()


def post(broadcaster: Broadcaster, *entries: Entry) -> None:
    broadcaster.post(list(entries))
    broadcaster.wake()


def everything(sock: socket.socket) -> bytes:
    """All that comes, up to the end."""
    with sock:
        return b"".join(iter(partial(sock.recv, 65536), b""))


# --- the whole stream ---

BATCHES = [b"the first\n", b"two\nthree\n", b"", b"four\n", b"x" * 3000 + b"\n", b"five\n"]


def stream(raw: bool, encrypted: bool, waits: bool) -> bytes:
    """What comes out of BATCHES, each in a batch of its own; `waits`: they wait for each other."""
    batches = [batch for batch in BATCHES if batch]
    if raw:
        batches = [batch.removesuffix(b"\n") for batch in batches]
    if encrypted:
        return b"".join(b"<%b>" % batch for batch in batches) + b"<end>"
    return (b"\n" if raw and waits else b"").join(batches)


SCRIPTS = [
    [FULL],
    [0],
    [FULL, -1],
    [0, -1],
    [1],
    [-1],
    [-1, FULL],
    [2, FULL, 1, FULL, -1, 0],
    [FULL, 1, 1, 1],
]


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("encrypted", [False, True])
def test_the_stream_is_whole_whatever_the_socket_takes(
    script: list[object], raw: bool, encrypted: bool
) -> None:
    """Nothing is lost, doubled or put in between: after a send that took nothing, or all but a byte, and
    with more to come while that waits. In the raw dialect messages that wait for each other keep an LF."""
    to, theirs = outbox(*script, tls=encrypted)
    sock = cast(Scripted, to.sock)
    sock.may_go_on.clear()
    with at_work(raw=raw, encrypted=encrypted) as broadcaster:
        for batch in filter(None, BATCHES):
            handled = to.lines_out + batch.count(b"\n")
            post(broadcaster, ForOne(to, batch))
            until(lambda handled=handled: to.lines_out == handled)  # type: ignore[misc]
        # A line is counted before it is sent, and what a send takes a moment before it is taken off.
        whole = len(stream(raw, encrypted, waits=True)) - (len(b"<end>") if encrypted else 0)
        until(lambda: not sock.script and to.behind == whole - sum(map(len, sock.sends)))
        sock.may_go_on.set()
        broadcaster.wake()
        post(broadcaster, Close(to, politely=True))
        assert everything(theirs) == stream(raw, encrypted, waits=True)
        until(lambda: sock.fileno() == -1)
    assert to.behind == 0 and to.failed is None and to.lines_out == 6


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("encrypted", [False, True])
def test_what_goes_out_at_once_is_one_send_each(raw: bool, encrypted: bool) -> None:
    """And nothing is put between two that need not wait."""
    to, theirs = outbox(tls=encrypted)
    with at_work(raw=raw, encrypted=encrypted) as broadcaster:
        for batch in filter(None, BATCHES):
            handled = to.lines_out + batch.count(b"\n")
            post(broadcaster, ForOne(to, batch))
            until(lambda handled=handled: to.lines_out == handled)  # type: ignore[misc]
        post(broadcaster, Close(to, politely=True))
        assert everything(theirs) == stream(raw, encrypted, waits=False)
    assert len(cast(Scripted, to.sock).sends) == len(BATCHES) - 1 + encrypted


@given(st.lists(st.one_of(st.just(FULL), st.integers(-3, 40)), max_size=12), st.integers(0, 4))
def test_two_readers_each_get_their_own_stream(script: list[object], before: int) -> None:
    """One that takes what it likes, beside one that takes all: of a room and of what is for one alone."""
    slow, theirs = outbox(*[FULL if take == 0 else take for take in script])
    quick, others = outbox()
    lines = [b"line %d\n" % n for n in range(8)]
    with at_work() as broadcaster:
        post(broadcaster, Hears(slow, "lobby"), Hears(quick, "lobby"))
        for n, line in enumerate(lines):
            if n == before:
                post(broadcaster, ForOne(slow, b"private\n"))
            post(broadcaster, ForRoom("lobby", line))
        post(broadcaster, Close(slow, politely=True), Close(quick, politely=True))
        assert everything(others) == b"".join(lines)
        assert everything(theirs) == b"".join([*lines[:before], b"private\n", *lines[before:]])


# --- how it ends ---


@pytest.mark.parametrize(("number", "reason"), [(errno.EPIPE, HUNG_UP), (errno.ECONNRESET, VANISHED)])
@pytest.mark.parametrize("later", [False, True])
def test_a_send_that_fails_ends_this_one_alone(number: int, reason: str, later: bool) -> None:
    """At the first send, and while more waits: its thread is woken, nothing more is kept for it, and the
    others of the room hear all."""
    error = OSError(number, "so it is")
    broken, theirs = outbox(*([FULL, error] if later else [error]))
    others = [outbox() for _ in range(2)]
    everyone = [others[0][0], broken, others[1][0]]
    with at_work() as broadcaster:
        post(broadcaster, *(Hears(one, "lobby") for one in everyone), ForRoom("lobby", b"one\n"))
        until(lambda: broken.failed is not None)
        assert broken.failed == reason
        assert sockets.receive(broken.sock, 1) == b""  # so its own thread finds out
        post(broadcaster, ForRoom("lobby", b"two\n"))
        post(broadcaster, *(Close(one, politely=one is not broken) for one in everyone))
        assert [everything(wire) for _, wire in others] == [b"one\ntwo\n"] * 2
        until(lambda: broken.sock.fileno() == -1)
        assert everything(theirs) == b"" and broken.behind == 0


def test_a_goodbye_cut_short_ends_it() -> None:
    """The socket breaks while its last lines wait: it is closed, and what waited is given back."""
    to, theirs = outbox(FULL, OSError(errno.ECONNRESET, "reset"))
    cast(Scripted, to.sock).may_go_on.clear()
    with at_work() as broadcaster:
        broadcaster.post([ForOne(to, b"one\n"), Close(to, politely=True)])
        broadcaster.wake()
        until(lambda: to.sock.fileno() == -1)
        assert to.behind == 0
    assert everything(theirs) == b""


def test_after_its_goodbye_nothing_is_sent() -> None:
    """What a room hears later goes to the others alone, also while the last lines still wait."""
    to, theirs = outbox(FULL)
    cast(Scripted, to.sock).may_go_on.clear()
    other, others = outbox()
    with at_work() as broadcaster:
        post(broadcaster, Hears(to, "lobby"), Hears(other, "lobby"), ForRoom("lobby", b"one\n"))
        until(lambda: to.behind == 4)
        post(broadcaster, Close(to, politely=True))
        until(lambda: to.close_by is not None)  # what comes in one batch with it would be heard
        post(broadcaster, ForRoom("lobby", b"two\n"))
        assert others.recv(4) + others.recv(4) == b"one\ntwo\n"
        cast(Scripted, to.sock).may_go_on.set()
        post(broadcaster, Close(other, politely=True))
        assert everything(theirs) == b"one\n"
        others.close()


def test_what_is_read_after_the_goodbye_is_thrown_away_until_their_fin() -> None:
    """However much it is: it is closed when their FIN has come, and not before."""
    to, theirs = outbox()
    with at_work() as broadcaster:
        post(broadcaster, ForOne(to, b"last\n"), Close(to, politely=True))
        assert theirs.recv(100) == b"last\n"
        assert theirs.recv(100) == b""
        for _ in range(3):
            theirs.sendall(b"x" * 100_000)
        assert to.sock.fileno() != -1
        theirs.shutdown(socket.SHUT_WR)
        until(lambda: to.sock.fileno() == -1)
        theirs.close()


# --- the order in which things are heard ---


def heard(*entries: Callable[[Outbox, Outbox], Entry]) -> tuple[bytes, bytes]:
    """What alice and bob hear, both in the lobby, when this comes in one batch."""
    alice, hers = outbox()
    bob, his = outbox()
    with at_work() as broadcaster:
        post(
            broadcaster,
            *[Hears(alice, "lobby"), Hears(bob, "lobby"), *(entry(alice, bob) for entry in entries)],
            *[Close(alice, politely=True), Close(bob, politely=True)],
        )
        return everything(hers), everything(his)


def test_a_whisper_does_not_overtake_what_was_said_aloud() -> None:
    """Nor does what is said aloud afterwards; all in one batch."""
    assert heard(
        lambda alice, bob: ForRoom("lobby", b"one\n", alice),
        lambda alice, bob: ForOne(bob, b"two\n"),
        lambda alice, bob: ForRoom("lobby", b"three\n", alice),
        lambda alice, bob: ForOne(alice, b"four\n"),
        lambda alice, bob: ForRoom("lobby", b"five\n", bob),
        lambda alice, bob: ForOne(bob, b"six\n"),
        lambda alice, bob: ForOne(bob, b"seven\n"),
    ) == (b"four\nfive\n", b"one\ntwo\nthree\nsix\nseven\n")


def test_one_that_goes_to_another_room_hears_each_for_its_time() -> None:
    """What was said before it came, and after it went, is not for it."""
    assert heard(
        lambda alice, bob: ForRoom("den", b"too early\n"),
        lambda alice, bob: ForRoom("lobby", b"one\n"),
        lambda alice, bob: Hears(bob, "den"),
        lambda alice, bob: ForRoom("lobby", b"for alice\n"),
        lambda alice, bob: ForRoom("den", b"two\n"),
        lambda alice, bob: Hears(bob, None),
        lambda alice, bob: ForRoom("den", b"too late\n"),
        lambda alice, bob: Hears(bob, "lobby"),
        lambda alice, bob: ForRoom("lobby", b"three\n"),
    ) == (b"one\nfor alice\nthree\n", b"one\ntwo\nthree\n")


# --- who waits, and the locks ---


def test_flow_is_decided_while_no_thread_can_post() -> None:
    """One that fills the log meanwhile holds all: what was just decided does not undo that."""
    broadcaster = Broadcaster(Limits(), "labkit-broadcaster")
    posted = threading.Thread(target=broadcaster.post, args=([ForRoom("den", bytes(UNREAD + 1))],))
    wrong: list[str] = []

    class Flowing(threading.Event):
        def is_set(self) -> bool:
            answer = super().is_set()
            if posted.ident is None:
                posted.start()
                posted.join(0.1)  # it cannot end while the flow is being decided
            return answer

        def set(self) -> None:
            if broadcaster.full:
                wrong.append("set although the log is full")
            super().set()

    broadcaster.flowing = Flowing()
    broadcaster.start()
    try:
        post(broadcaster, ForRoom("den", b"x\n"))
        assert broadcaster.flowing.wait(SOON)
        posted.join(SOON)
        assert not posted.is_alive() and not wrong
    finally:
        broadcaster.stop()


def test_the_log_is_guarded() -> None:
    """To post, to wake and to stop takes its lock; to stop, once more to wake."""
    with at_work() as broadcaster:
        until(lambda: broadcaster.asleep)  # who wakes one that is awake needs no lock
        takes(broadcaster, "_lock", lambda: broadcaster.post([]), broadcaster.wake)
        takes(broadcaster, "_lock", broadcaster.stop, times=2)


def test_each_round_takes_the_lock_twice() -> None:
    """To take what is in the log, and to decide whether talkers may go on; whoever delivers."""
    broadcaster = Broadcaster(Limits(), "labkit-broadcaster")
    takes(broadcaster, "_lock", broadcaster._see_to_flow)
    takes(broadcaster, "_lock", broadcaster._deliver_for_all)
    watched = Watched(broadcaster._lock)
    broadcaster._lock = cast(threading.Lock, watched)
    rounds: list[threading.Thread] = []
    held = broadcaster._sender.held

    def counted() -> tuple[list[Outbox], list[Outbox]]:
        rounds.append(threading.current_thread())
        return held()

    broadcaster._sender.held = counted  # type: ignore[method-assign]
    broadcaster.start()
    to, theirs = outbox()
    post(broadcaster, Close(to, politely=False))
    broadcaster.stop()
    theirs.close()
    own = broadcaster._thread
    assert watched.takers.count(own) == 2 * rounds.count(own) + 1


def test_a_full_log_holds_all_and_a_short_one_no_talker() -> None:
    """What is for a room and what is for one alone counts; others may be posted for nothing."""
    broadcaster = Broadcaster(Limits(), "labkit-broadcaster")
    to, theirs = outbox()
    half = bytes(UNREAD // 2 - 2048)
    try:
        broadcaster.post([ForRoom("lobby", half), Hears(to, None), ForOne(to, half)])
        assert broadcaster.flowing.is_set() and not broadcaster.full and not broadcaster.holds(to)
        broadcaster.post([ForOne(to, bytes(4097))])
        assert not broadcaster.flowing.is_set() and broadcaster.full and broadcaster.holds(to)
    finally:
        broadcaster.stop()
        to.sock.close()
        theirs.close()


def test_sends_are_made_under_the_lock_that_readers_ask() -> None:
    """A reset that a send finds out is written down before a thread in `recv` may ask what it was."""
    held: list[bool] = []

    class Watched(Scripted):
        def send(self, data, flags=0):  # type: ignore[no-untyped-def]
            held.append(broadcaster.telling.locked())
            return Scripted.send(self, data, flags)  # type: ignore[no-untyped-call]

    ours, theirs = socket.socketpair()
    ours.setblocking(sockets.HAS_DONTWAIT)  # as `prepare` does
    watched = Watched(fileno=ours.detach())
    watched.play(FULL, 1, FULL)
    to = Outbox(watched)
    with at_work() as broadcaster:
        post(broadcaster, ForOne(to, b"one\n"), Close(to, politely=True))
        assert everything(theirs) == b"one\n"
    assert held == [True] * len(held) and len(held) >= 4


def test_all_that_is_asked_for_is_heard(elsewhere: ThreadPoolExecutor) -> None:
    """Many short ones from several threads: nobody sleeps on what was posted."""
    to, theirs = outbox()
    came = elsewhere.submit(everything, theirs)
    with at_work() as broadcaster:

        def say(lines: Iterable[bytes]) -> None:
            for line in lines:
                post(broadcaster, ForOne(to, line))

        threads = [threading.Thread(target=say, args=([b"%d\n" % n] * 300,)) for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SOON)
        post(broadcaster, Close(to, politely=True))
        lines = came.result(SOON).splitlines()
    assert sorted(lines) == sorted([b"0"] * 300 + [b"1"] * 300 + [b"2"] * 300)


# --- slow readers, by a clock of our own ---


class Bench:
    """A sender whose clock is moved by hand; and what the peers' kernels have not acknowledged is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **limits: Any) -> None:
        self.now = 1000.0
        self.unsent: dict[socket.socket, int] = {}
        self.looks = 0
        monkeypatch.setattr("labkit.server.sender.monotonic", lambda: self.now)
        monkeypatch.setattr("labkit.wire.sockets.unsent", self._unsent)
        self.sender = Sender(Limits(**limits))
        self.wires: list[socket.socket] = []

    def _unsent(self, sock: socket.socket) -> int:
        self.looks += 1
        return self.unsent.get(sock, 0)

    def slow(self, waiting: int, sent: int = 0) -> Outbox:
        """One for which so many bytes wait, after as many were sent."""
        to, theirs = outbox(*[sent] * bool(sent), FULL)
        cast(Scripted, to.sock).may_go_on.clear()
        self.wires.append(theirs)
        self.unsent[to.sock] = sent
        self.sender.send([(to, bytes(sent + waiting), 1)])
        if sent:
            self.sender.look_around(0)
        assert to.behind == waiting and not to.clear
        return to

    def after(self, seconds: float) -> None:
        self.now += seconds
        self.sender.look_around(0)

    def close(self) -> None:
        for wire in self.wires:
            wire.close()
        self.sender.end()


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    bench = Bench(monkeypatch, grace=10.0, behind=100_000)
    yield bench
    bench.close()


def test_one_that_takes_nothing_has_its_grace(bench: Bench) -> None:
    """To the tenth of a second; then it is reset, and the thread that reads from it wakes."""
    assert bench.sender.idle
    to = bench.slow(1000)
    assert not bench.sender.idle
    bench.after(9.9)
    assert to.failed is None and to.behind == 1000
    bench.after(0.2)
    assert to.failed == TOO_SLOW and to.behind == 0 and bench.sender.idle
    assert sockets.receive(to.sock, 1) == b""
    layout = "hh" if os.name == "nt" else "ii"
    size = struct.calcsize(layout)
    linger = to.sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, size)
    assert struct.unpack(layout, linger) == (1, 0)
    bench.sender.send([(to, b"more", 1)])
    assert to.behind == 0
    bench.sender.close(to, politely=True)
    assert to.sock.fileno() == -1


@pytest.mark.parametrize(
    ("waiting", "pause", "let_go"), [(150_000, 0.04, False), (150_000, 0.06, True), (90_000, 5.0, False)]
)
def test_one_for_which_too_much_waits_has_a_moment(
    bench: Bench, waiting: int, pause: float, let_go: bool
) -> None:
    """And no grace."""
    to = bench.slow(waiting)
    bench.after(pause)
    assert (to.failed == TOO_SLOW) is let_go
    if not let_go:
        bench.sender.close(to, politely=False)


def test_one_that_takes_a_little_now_and_then_has_its_time_again(bench: Bench) -> None:
    """From when its kernel last took something: three times the pause that it has made before."""
    to = bench.slow(150_000, sent=5000)
    bench.after(0.04)
    bench.unsent[to.sock] = 4000  # it has taken something, after 40 ms
    bench.after(0.01)
    bench.after(0.14)
    assert to.failed is None
    bench.after(0.02)
    assert to.failed == TOO_SLOW
    bench.sender.close(to, politely=False)
    patient = bench.slow(1000, sent=5000)
    bench.after(9.0)
    bench.unsent[patient.sock] = 4999
    bench.after(0.5)
    bench.after(9.9)
    assert patient.failed is None
    bench.after(0.2)
    assert patient.failed == TOO_SLOW
    bench.sender.close(patient, politely=False)


@pytest.mark.parametrize("acknowledged", [True, False])
def test_what_goes_out_counts_when_it_is_acknowledged(bench: Bench, acknowledged: bool) -> None:
    """A socket that takes more and more is no sign of life: what the peer's kernel has, is."""
    to = bench.slow(50_000)
    cast(Scripted, to.sock).script = [20_000, FULL]
    bench.unsent[to.sock] = 0 if acknowledged else 20_000
    bench.after(6.0)
    assert to.behind == 30_000
    cast(Scripted, to.sock).script = []
    bench.after(6.0)
    assert (to.failed == TOO_SLOW) is not acknowledged
    if acknowledged:
        # Once for a send, which takes nothing; and once to write down that it was too slow.
        takes(bench.sender, "telling", lambda: bench.after(6.0), times=2)
        assert to.failed == TOO_SLOW
    bench.sender.close(to, politely=False)


def test_looking_who_has_taken_what_is_done_now_and_then(bench: Bench) -> None:
    """Each look costs a system call for each who waits."""
    to = bench.slow(1000)
    bench.after(0.02)
    looks = bench.looks
    bench.after(0.005)
    assert bench.looks == looks
    bench.after(0.006)
    assert bench.looks == looks + 1
    bench.sender.close(to, politely=False)


def test_who_slows_the_talkers(bench: Bench) -> None:
    """Who reads, and has more than half of what may wait; by what its room hears, or by its own alone."""
    far, near = bench.slow(60_000), bench.slow(40_000)
    assert bench.sender.held() == ([far], [far])
    far.private = 20_000
    assert bench.sender.held() == ([far], [])
    far.private = 0
    bench.now += 0.04
    assert bench.sender.held() == ([far], [far])
    bench.now += 0.02
    assert bench.sender.held() == ([], [])  # it takes nothing: the talkers go on without it
    bench.now -= 0.06
    bench.sender.close(far, politely=True)
    assert bench.sender.held() == ([], [])  # it is on its way out
    for one in (far, near):
        bench.sender.close(one, politely=False)


def test_a_goodbye_is_waited_for_so_long(bench: Bench) -> None:
    """One second; then it is closed, whatever has come."""
    to, theirs = outbox()
    bench.wires.append(theirs)
    bench.sender.close(to, politely=True)
    assert not to.clear and not bench.sender.idle
    bench.after(0.9)
    assert to.sock.fileno() != -1
    bench.after(0.2)
    assert to.sock.fileno() == -1 and bench.sender.idle


def test_a_reset_after_the_goodbye_closes_it(bench: Bench) -> None:
    """It is gone all the same."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    sockets.prepare(ours)
    to = Outbox(ours)
    bench.sender.close(to, politely=True)
    sockets.reset_on_close(theirs)
    theirs.close()
    while to.sock.fileno() != -1:
        bench.sender.look_around(SOON)
    assert bench.sender.idle


def test_memory_for_all_is_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """When half of it is taken, who has more than an even share is let go; who has less stays."""
    bench = Bench(monkeypatch, grace=1000.0, behind=10_000_000, waiting=200_000)
    little, much = bench.slow(20_000), bench.slow(60_000)
    bench.after(1.0)
    assert little.failed is None and much.failed is None
    more = bench.slow(30_000)  # more than half of 200,000 now: 33,000 for each
    bench.after(0.1)
    assert [one.failed for one in (little, much, more)] == [None, TOO_SLOW, None]
    bench.after(1.0)
    assert [one.failed for one in (little, more)] == [None, None]
    for one in (little, much, more):
        bench.sender.close(one, politely=False)
    bench.close()


def test_it_waits_only_when_nothing_was_to_be_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not read is looked after between two batches, and waited for when there is none."""
    waits: list[float] = []
    slow, theirs = outbox(FULL)
    cast(Scripted, slow.sock).may_go_on.clear()
    with theirs, slow.sock, at_work() as broadcaster:
        look_around = broadcaster._sender.look_around

        def looks_around(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 2:
                broadcaster.post([ForRoom("lobby", b"two\n", None)])  # there is a batch, then
            look_around(seconds)

        monkeypatch.setattr(broadcaster._sender, "look_around", looks_around)
        post(broadcaster, Hears(slow, "lobby"), ForRoom("lobby", b"one\n", None))
        until(lambda: len(waits) >= 5)
        post(broadcaster, Close(slow, politely=False))
    assert waits[1:5] == [PATIENCE, 0.0, PATIENCE, PATIENCE]


def test_a_wake_up_ends_a_look_around() -> None:
    """From any thread, however often; the next one waits again."""
    sender = Sender(Limits())
    for _ in range(3000):
        sender.wake()
    began = monotonic()
    sender.look_around(SOON)
    assert monotonic() - began < SOON / 2
    while sender._wakes.fileno() != -1 and not _would_wait(sender._wakes):
        sender.look_around(0)
    sender.end()


def _would_wait(sock: socket.socket) -> bool:
    try:
        sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    return False
