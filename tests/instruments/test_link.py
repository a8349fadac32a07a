"""Links and their faults: a wire that can be broken, and still keeps TCP's promises."""

from __future__ import annotations

import inspect
import itertools
import random
import re
import socket
import threading
from collections.abc import Callable, Iterator
from math import inf
from time import monotonic

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import SOON, Wire

import labkit.client.connection
from labkit import ChatClient, ChatServer, Limits
from labkit.classic import ClassicClient, ClassicServer
from labkit.instruments import relay
from labkit.instruments.faults import (
    Bandwidth,
    Delay,
    Fault,
    Freeze,
    Glue,
    HalfClose,
    Reset,
    Silence,
    Slice,
    Stage,
)
from labkit.instruments.link import Link
from labkit.wire import sockets

# --- the shaping faults, by hand, with a clock of our own ---


def through(fault: Fault, *pieces: tuple[float, bytes], end: float = 1000.0) -> list[tuple[float, bytes]]:
    """What comes out of a stage when these pieces go in, with its timer."""
    stage = fault.start(random.Random(1))
    out: list[tuple[float, bytes]] = []
    for now, data in [*pieces, (end, None)]:
        while stage.timer() <= now:
            out += stage.flush(stage.timer())
        if data is not None:
            out += stage.shape([(now, data)])
    return out


def test_a_good_wire_changes_nothing() -> None:
    """The stage of no fault lets everything through, and waits for nothing."""
    assert through(Fault(), (1, b"a"), (2, b"")) == [(1, b"a"), (2, b"")]
    assert Stage().timer() == inf


def test_delay_is_latency_not_throughput() -> None:
    """Each piece is late by itself: two that come together go on together."""
    assert through(Delay(0.5), (1, b"a"), (1, b"b"), (1.1, b"")) == [(1.5, b"a"), (1.5, b"b"), (1.6, b"")]


def test_jitter_never_puts_anything_out_of_order() -> None:
    """However the dice fall; and the same seed gives the same delays."""
    pieces = [(n / 100, bytes([n])) for n in range(200)]
    late = through(Delay(0.5, jitter=0.5), *pieces)
    assert [data for _, data in late] == [data for _, data in pieces]
    assert [due for due, _ in late] == sorted(due for due, _ in late)
    assert late == through(Delay(0.5, jitter=0.5), *pieces)


def test_jitter_is_what_it_says() -> None:
    """Each piece is late by the delay, give or take as much: sometimes more, sometimes less. Without it no
    dice are thrown."""
    far_apart = [(n * 10.0, b"x") for n in range(200)]
    late = [
        due - now
        for (due, _), (now, _) in zip(
            through(Delay(0.5, jitter=0.2), *far_apart, end=1e4), far_apart, strict=True
        )
    ]
    assert 0.3 <= min(late) < 0.35 and 0.65 < max(late) <= 0.7
    chance = random.Random(5)
    before = chance.getstate()
    assert Delay(0.5).start(chance).shape([(1, b"a")]) == [(1.5, b"a")]
    assert chance.getstate() == before


def test_pieces_that_come_together_and_what_lies_between() -> None:
    """Each fault, on several pieces at once: the bytes are the same, and FIN is a piece of its own."""
    pieces = [(1.0, b"abc"), (1.0, b"de"), (1.0, b"")]
    for fault, expected in (
        (Delay(0.5), [(1.5, b"abc"), (1.5, b"de"), (1.5, b"")]),
        (Slice(2), [(1.0, b"ab"), (1.0, b"c"), (1.0, b"de"), (1.0, b"")]),
        (Slice(3, gap=1), [(1.0, b"abc"), (2.0, b"de"), (3.0, b"")]),
        (Glue(4), [(1.0, b"abcde"), (1.0, b"")]),
        (Glue(5), [(1.0, b"abcde"), (1.0, b"")]),
        (Glue(6), [(1.0, b"abcde"), (1.0, b"")]),
        (Bandwidth(1), [(n + 2.0, b"abcde"[n : n + 1]) for n in range(5)] + [(6.0, b"")]),
        (Bandwidth(100), [(1.02, b"ab"), (1.03, b"c"), (1.05, b"de"), (1.05, b"")]),
    ):
        stage = fault.start(random.Random(1))
        came = stage.shape(pieces)
        assert [data for _, data in came] == [data for _, data in expected], fault
        assert [due for due, _ in came] == pytest.approx([due for due, _ in expected]), fault
        assert stage.timer() == inf and stage.flush(9.0) == []


def test_glue_waits_from_the_first_of_what_it_holds() -> None:
    """And not at all while it holds nothing."""
    stage = Glue(4, seconds=2).start(random.Random(1))
    assert stage.timer() == inf
    assert stage.shape([(1, b"a")]) == [] and stage.timer() == 3
    assert stage.shape([(2, b"b")]) == [] and stage.timer() == 3
    assert stage.flush(3) == [(3, b"ab")] and stage.timer() == inf
    assert stage.shape([(5, b"abcd")]) == [(5, b"abcd")] and stage.timer() == inf


@pytest.mark.parametrize(
    ("right", "wrong", "why"),
    [
        (lambda: Delay(1, 1), lambda: Delay(1, 1.1), "need 0 <= jitter <= seconds <= 1e+06, not 1.1 and 1"),
        (lambda: Delay(1e6), lambda: Delay(1e6 + 1), "not 0.0 and 1000001.0"),
        (lambda: Delay(0), lambda: Delay(0, -0.1), "not -0.1 and 0"),
        (
            lambda: Slice(1, 1e6),
            lambda: Slice(1, 1e6 + 1),
            "need a whole size >= 1 and gap from 0 to 1e+06, not 1",
        ),
        (lambda: Slice(1, 0), lambda: Slice(0, 0), "not 0 and 0"),
        (
            lambda: Glue(1, 1e6),
            lambda: Glue(1, 1e6 + 1),
            "need a whole size >= 1, 0 < seconds <= 1e+06, not 1",
        ),
        (lambda: Glue(1, 1e-9), lambda: Glue(1, 0), "not 1 and 0"),
        (lambda: Bandwidth(1e-9), lambda: Bandwidth(-1), "need more than 0 bytes a second, not -1"),
        (lambda: Reset(0), lambda: Reset(-1), "need a whole number after >= 0, not -1"),
    ],
)
def test_the_last_value_that_will_do(
    right: Callable[[], Fault], wrong: Callable[[], Fault], why: str
) -> None:
    """And the first that will not, with the reason."""
    right()
    with pytest.raises(ValueError, match=re.escape(why)):
        wrong()


def test_what_faults_are_without_being_told() -> None:
    """Their defaults."""
    assert (Delay(1), Slice(1), Glue(1), Reset()) == (Delay(1, 0.0), Slice(1, 0.0), Glue(1, 1.0), Reset(0))


def test_slice_cuts_into_pieces_with_gaps() -> None:
    """The last piece is what is left; FIN stays FIN."""
    assert through(Slice(2), (1, b"abcde"), (2, b"")) == [(1, b"ab"), (1, b"cd"), (1, b"e"), (2, b"")]
    assert [due for due, _ in through(Slice(1, gap=0.5), (1, b"abc"), (1, b"d"))] == [1, 1.5, 2, 2.5]


def test_glue_holds_back_until_there_is_enough_or_it_is_time() -> None:
    """Enough bytes, or enough seconds since the first of them; FIN sends on what is held."""
    glue = Glue(size=4, seconds=1)
    assert through(glue, (1, b"ab"), (1.5, b"cd"), (3, b"e")) == [(1.5, b"abcd"), (4, b"e")]
    assert through(glue, (1, b"ab"), (1.5, b"")) == [(1.5, b"ab"), (1.5, b"")]


def test_bandwidth_spreads_bytes_over_time() -> None:
    """1000 bytes at 100 a second take 10 seconds; after a pause the wire is free at once."""
    out = through(Bandwidth(100), (0, b"x" * 1000), (20, b"y"))
    assert b"".join(data for _, data in out) == b"x" * 1000 + b"y"
    assert out[-2][0] == pytest.approx(10)
    assert out[-1][0] == pytest.approx(20.01)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Delay(-1),
        lambda: Delay(1, jitter=2),
        lambda: Slice(0),
        lambda: Slice(1, gap=-1),
        lambda: Glue(0),
        lambda: Glue(1, seconds=0),
        lambda: Bandwidth(0),
        lambda: Reset(-1),
        lambda: Slice(2.5),  # type: ignore[arg-type]
        lambda: Reset(2.5),  # type: ignore[arg-type]
        lambda: Bandwidth(inf),
        lambda: Delay(inf),
        lambda: Glue(1, float("nan")),
    ],
)
def test_an_impossible_fault_is_refused(wrong: object) -> None:
    """And it says what it needs instead."""
    with pytest.raises(ValueError, match="need "):
        wrong()  # type: ignore[operator]


# --- the link, between two bare sockets ---


class Ends:
    """A link with one connection through it, and a bare socket at either end."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(SOON)
            self.link = Link(listener.getsockname())
            self.client = Wire(self.link.address)
            self.server = Wire(listener.accept()[0])

    def close(self) -> None:
        self.client.close()
        self.server.close()
        self.link.stop()

    def passed(self) -> list[tuple[str, str, str]]:
        return [(e.kind, e.who, e.what) for e in self.link.journal]


@pytest.fixture
def ends() -> Iterator[Ends]:
    both = Ends()
    yield both
    both.close()


def read(wire: Wire, size: int) -> bytes:
    """The next so many bytes."""
    data = b""
    while len(data) < size:
        data += wire.sock.recv(size - len(data))
    return data


def everything(wire: Wire) -> bytes:
    """All that comes, up to FIN."""
    data = b""
    while piece := wire.sock.recv(65536):
        data += piece
    return data


def test_bytes_pass_both_ways_and_are_written_down(ends: Ends) -> None:
    """The journal has all bytes, with direction and number, escaped; and FIN."""
    ends.client.send("hé")
    assert ends.server.line() == "hé"
    ends.server.send("back")
    assert ends.client.line() == "back"
    ends.client.hang_up()
    assert everything(ends.server) == b""
    assert ends.passed() == [
        ("bytes", "client", "'h\\xc3\\xa9\\n' (4)"),
        ("bytes", "server", "'back\\n' (5)"),
        ("FIN", "client", ""),
    ]


def test_the_journal_is_never_behind_what_is_received(ends: Ends) -> None:
    """What has arrived is in the journal already; 200 times."""
    for n in range(1, 201):
        ends.client.send_bytes(b"x")
        assert ends.server.recv() == "x"
        assert len(ends.link.journal) == n


def test_a_half_closed_connection_still_carries_the_answer(ends: Ends) -> None:
    """FIN ends one direction alone."""
    ends.client.send("question")
    ends.client.hang_up()
    assert everything(ends.server) == b"question\n"
    ends.server.send("answer")
    ends.server.hang_up()
    assert everything(ends.client) == b"answer\n"


def test_a_reset_passes_as_a_reset_after_what_came_before_it(ends: Ends) -> None:
    """RST at one end is RST at the other; and the bytes before it arrive."""
    ends.client.send("the last words")
    assert ends.server.line() == "the last words"
    ends.client.reset()
    with pytest.raises(ConnectionResetError):
        ends.server.sock.recv(1)
    assert ends.passed()[-1] == ("RST", "client", "")


def test_slice_shows_as_single_recvs(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a gap, every byte is a `recv` of its own, where each is read before the next is due."""
    clock = [monotonic()]
    monkeypatch.setattr(relay, "monotonic", lambda: clock[0])
    ends.link.to_server.use(Slice(1, gap=0.5))
    ends.client.send("abc")
    came = []
    for _ in range(4):
        came.append(ends.server.recv())
        clock[0] += 0.6
        ends.link._relay.wake()
    assert came == ["a", "b", "c", "\n"]


def test_glue_makes_one_recv_of_three_sends(ends: Ends) -> None:
    """TCP does not keep messages apart."""
    ends.link.to_server.use(Glue(size=9, seconds=SOON))
    for text in ("ab", "cd", "ef"):
        ends.client.send(text)
    assert ends.server.recv() == "ab\ncd\nef\n"


def test_what_a_fault_held_back_goes_on_when_it_is_taken_off(ends: Ends) -> None:
    """Before anything that is sent later."""
    ends.link.to_server.use(Glue(size=1000, seconds=1000))
    ends.client.send("held")
    ends.server.sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        ends.server.sock.recv(1)
    ends.server.sock.settimeout(SOON)
    ends.link.to_server.use()
    ends.client.send("later")
    assert ends.server.lines(2) == ["held", "later"]


def test_silence_passes_nothing_until_it_is_lifted(ends: Ends) -> None:
    """Not even a goodbye; then everything comes, in order."""
    ends.link.silence()
    ends.client.send("is anybody there?")
    ends.client.hang_up()
    ends.server.sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        ends.server.sock.recv(1)
    ends.server.sock.settimeout(SOON)
    ends.link.to_server.use()
    assert everything(ends.server) == b"is anybody there?\n"


def test_silence_hides_a_reset_too(ends: Ends) -> None:
    """Which is passed on when the wire is whole again."""
    ends.link.silence()
    ends.client.reset()
    ends.server.sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        ends.server.sock.recv(1)
    ends.server.sock.settimeout(SOON)
    ends.link.to_server.use()
    ends.link.to_client.use()
    with pytest.raises(ConnectionResetError):
        ends.server.sock.recv(1)


def test_freeze_is_felt_as_backpressure_and_loses_nothing(ends: Ends) -> None:
    """The sender can send no more; thawed, every byte arrives."""
    ends.link.to_server.use(Freeze())
    ends.client.sock.settimeout(0.2)
    sent = 0
    with pytest.raises(TimeoutError):
        while True:
            sent += ends.client.sock.send(b"x" * 65536)
    ends.link.to_server.use()
    ends.client.hang_up()
    assert len(everything(ends.server)) == sent


def test_nothing_passes_once_it_is_frozen(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the link's thread sees later bytes before it sees the fault."""
    monkeypatch.setattr(ends.link._relay, "wake", lambda: None)
    ends.link.to_server.use(Freeze())
    ends.client.send("late")
    ends.server.sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        ends.server.sock.recv(1)
    assert ends.passed() == []


def test_reset_ends_both_sides_at_once(ends: Ends) -> None:
    """Whatever they were doing."""
    ends.link.reset()
    for end in (ends.client, ends.server):
        with pytest.raises(ConnectionResetError):
            end.sock.recv(1)


def test_reset_after_so_many_bytes_delivers_them_first(ends: Ends) -> None:
    """To the byte; then both sides end."""
    ends.link.to_server.use(Reset(after=5))
    ends.client.send_bytes(b"12345678")
    data = b""
    with pytest.raises(ConnectionResetError):
        while piece := ends.server.sock.recv(65536):
            data += piece
    assert data == b"12345"
    with pytest.raises(ConnectionResetError):
        ends.client.sock.recv(1)


@pytest.mark.parametrize("chunks", [[3, 5], [5, 3], [1, 1, 1, 1, 4], [8], [4, 1, 3], [6, 2]])
def test_reset_after_so_many_bytes_counts_over_all_that_came(ends: Ends, chunks: list[int]) -> None:
    """In whatever chunks they come; what came before the fault does not count."""
    ends.link.to_server.use(Slice(2))
    ends.client.send_bytes(b"before")
    assert read(ends.server, 6) == b"before"
    ends.link.to_server.use(Reset(after=5))
    data, came = b"12345678", b""
    for size in chunks:
        ends.client.send_bytes(data[:size])
        data = data[size:]
        expected = min(8 - len(data), 5)
        came += read(ends.server, expected - len(came))
        if expected == 5:
            break
    assert came == b"12345"
    for end in (ends.server, ends.client):
        with pytest.raises(ConnectionResetError):
            end.sock.recv(1)
    assert sorted(ends.passed()[-2:]) == [("RST", "link", "")] * 2


@pytest.mark.parametrize("how", ["by the link", "by a peer", "after so many bytes"])
def test_a_reset_waits_no_longer_than_what_came_before_it(
    ends: Ends, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Once all that was on its way has arrived, it goes on at once."""
    monkeypatch.setattr(relay, "LAST_BYTES", 1000.0)
    ends.link.to_server.use(*[Reset(after=4)] * (how == "after so many bytes"))
    ends.client.send_bytes(b"last words"[:4])
    assert read(ends.server, 4) == b"last"
    if how == "by the link":
        ends.link.reset()
    elif how == "by a peer":
        ends.client.reset()
    with pytest.raises(ConnectionResetError):
        ends.server.sock.recv(1)
    if how != "by a peer":
        with pytest.raises(ConnectionResetError):
            ends.client.sock.recv(1)
    who = "client" if how == "by a peer" else "link"
    assert {(kind, by) for kind, by, _ in ends.passed()[1:]} == {("RST", who)}


def test_a_link_holds_so_much_and_reads_no_more(ends: Ends) -> None:
    """What is held back by a fault ends somewhere: then the sender must wait. None of it is lost."""
    ends.link.to_server.use(Delay(1000))
    ends.client.sock.settimeout(0.2)
    sent = 0
    with pytest.raises(TimeoutError):
        while sent < 100_000_000:
            sent += ends.client.sock.send(b"x" * 65536)
    assert sent > 1_000_000
    ends.link.to_server.use()
    ends.client.hang_up()
    assert len(everything(ends.server)) == sent


@pytest.mark.parametrize("end", ["client", "server"])
def test_what_comes_after_half_close_goes_nowhere(ends: Ends, end: str) -> None:
    """It is read, and dropped; the other direction goes on."""
    here, there = (ends.client, ends.server) if end == "client" else (ends.server, ends.client)
    direction = ends.link.to_server if end == "client" else ends.link.to_client
    direction.use(HalfClose())
    assert everything(there) == b""
    for _ in range(40):
        here.send_bytes(b"x" * 100_000)  # more than a link holds
    there.send("still here")
    assert here.line() == "still here"
    there.hang_up()
    here.hang_up()
    assert everything(here) == b""


@pytest.mark.parametrize(
    "faults", [(), (Delay(0.001),), (Slice(3),), (Glue(4, 0.001),), (Reset(after=26),)]
)
@pytest.mark.parametrize("takes", [(0, 1), (1,), (-1,), (3, 0, 0, 2), (0, 0, 7)])
def test_a_sink_that_takes_a_little_gets_all_of_it(
    ends: Ends, monkeypatch: pytest.MonkeyPatch, takes: tuple[int, ...], faults: tuple[Fault, ...]
) -> None:
    """In order, and nothing twice; each piece is written down once, before it goes out, whole."""
    ends.link.to_server.use(*faults)
    real, script = sockets.send_now, itertools.cycle(takes)

    def send_now(sock: socket.socket, data: bytes | memoryview) -> int:
        part = bytes(data)[: next(script)] if len(data) > 1 else data
        return real(sock, part) if part else 0

    monkeypatch.setattr(sockets, "send_now", send_now)
    for chunk in (b"one, two, ", b"three", b"and so on..."):
        ends.client.send_bytes(chunk)
        came = b""
        while len(came) < len(chunk) and (more := receive_or_reset(ends.server, len(chunk) - len(came))):
            came += more
        assert came == chunk[: 11 if faults == (Reset(26),) else None]
    told = [re.sub(r" \(\d+\)$", "", what)[1:-1] for kind, _, what in ends.passed() if kind == "bytes"]
    assert "".join(told).startswith("one, two, threeand so on..") and len("".join(told)) <= 27
    if not faults:
        assert told == ["one, two, ", "three", "and so on..."]


def receive_or_reset(wire: Wire, size: int) -> bytes:
    """What comes; b"" if that is RST."""
    try:
        return wire.sock.recv(size)
    except ConnectionResetError:
        return b""


def test_what_a_link_does_without_being_told() -> None:
    """Its defaults: the same dice for all who name no seed."""
    parameters = inspect.signature(Link).parameters
    defaults = {name: parameters[name].default for name in ("client", "server", "journal", "seed")}
    assert defaults == {"client": "client", "server": "server", "journal": None, "seed": 0}


def test_the_words_of_a_link(server: ChatServer) -> None:
    """What it is called, and what is wrong with it."""
    with Link(server.address, client="alice", server="chat") as link:
        link.to_server.use(Delay(0.5), Freeze())
        assert repr(link.to_server) == "<alice → chat: Delay(seconds=0.5, jitter=0.0), Freeze()>"
        assert repr(link) == f"<Link {link.to_server!r} <chat → alice: a good wire>>"
        assert link.running and link.address[1] != server.address[1]
        with pytest.raises(
            TypeError, match=r"^a fault is one of those in faults\.py, such as Delay\(0\.2\), not 3$"
        ):
            link.to_server.use(3)  # type: ignore[arg-type]
        assert link.to_server.faults == (Delay(0.5), Freeze())
    with pytest.raises(OSError, match="^this link was stopped; make a new one$"):
        link.to_server.use()


def test_reset_comes_through_although_the_receiver_does_not_read(ends: Ends) -> None:
    """All buffers are full; the last bytes have their second, and then both sides end."""
    ends.client.sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        while True:
            ends.client.sock.send(b"x" * 65536)
    ends.link.reset()
    ends.client.sock.settimeout(SOON)
    with pytest.raises(ConnectionResetError):
        ends.client.sock.recv(1)


def test_reset_delivers_what_was_on_its_way_in_both_directions(ends: Ends) -> None:
    """What a fault has delayed arrives first; and the next connection is not touched."""
    ends.link.to_client.use(Delay(0.5))
    ends.server.send("on its way")
    give_up = monotonic() + SOON
    # Until the link has read it; or has sent it on already, if this machine is very busy.
    while not any(s.queue for c in list(ends.link._relay.connections) for s in c.streams):
        if any(kind == "bytes" for kind, _, _ in ends.passed()):
            break
        assert monotonic() < give_up
    ends.link.reset()
    assert ends.client.line() == "on its way"
    with pytest.raises(ConnectionResetError):
        ends.client.sock.recv(1)
    assert ends.link.to_server.faults == ()


def test_a_reset_is_drawn_below_what_came_before_it(ends: Ends) -> None:
    """However late; and what the other side says meanwhile does not overtake it."""
    ends.link.to_server.use(Delay(0.3))
    ends.client.send("last words")
    ends.client.reset()
    ends.server.send("what is it?")
    assert ends.server.line() == "last words"
    with pytest.raises(ConnectionResetError):
        ends.server.sock.recv(1)
    told = [(kind, who) for kind, who, _ in ends.passed()]
    assert told[-2:] == [("bytes", "client"), ("RST", "client")]


def test_a_reset_that_is_found_out_by_sending_is_told_too(ends: Ends) -> None:
    """The link does not read from the client just then, and meets the RST in a send."""
    ends.link.to_server.use(Freeze())
    ends.client.reset()
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        while True:
            ends.server.send("hello?")
    assert ends.passed()[-1] == ("RST", "client", "")


def test_a_reset_found_out_by_sending_is_not_taken_for_fin(ends: Ends) -> None:
    """The kernel reports a reset once, to the send; to a later recv it looks like FIN."""
    held, go_on = threading.Event(), threading.Event()
    accept = ends.link._relay.accept

    def hold_the_thread() -> None:
        held.set()
        go_on.wait(SOON)
        accept()

    ends.link._relay.accept = hold_the_thread  # type: ignore[method-assign]
    with Wire(ends.link.address):
        assert held.wait(SOON)
        ends.server.send("on its way")
        ends.client.reset()
        go_on.set()  # both are found at once, the server's line first
        with pytest.raises(ConnectionResetError):
            ends.server.sock.recv(1)


def test_a_mended_wire_holds_nothing_up(ends: Ends) -> None:
    """Not even what a fault has put off for an hour."""
    ends.link.to_server.use(Slice(4, gap=3600))
    ends.client.send("abcdefgh")
    assert ends.server.recv() == "abcd"
    ends.link.to_server.use()
    ends.client.send("on")
    assert ends.server.lines(2) == ["efgh", "on"]


def test_a_stopped_link_says_so(server: ChatServer) -> None:
    """Faults put on it would do nothing."""
    link = Link(server.address)
    link.stop()
    assert not link.running
    with pytest.raises(OSError, match="stopped"):
        link.to_server.use(Silence())


def test_half_close_says_fin_in_one_direction(ends: Ends) -> None:
    """The other goes on."""
    ends.link.to_client.use(HalfClose())
    assert everything(ends.client) == b""
    ends.client.send("still talking")
    assert ends.server.line() == "still talking"


def test_something_that_is_no_fault_is_refused(ends: Ends) -> None:
    """And the class instead of the fault is the likeliest slip."""
    with pytest.raises(TypeError, match="such as Delay"):
        ends.link.to_server.use(Silence)  # type: ignore[arg-type]


def test_a_server_that_is_not_there_is_felt_as_a_reset() -> None:
    """As far as a proxy can refuse: it has accepted by then."""
    with socket.socket() as bound:  # taken, and not listening
        bound.bind(("127.0.0.1", 0))
        with Link(bound.getsockname()) as link:
            # Where the RST is quick, connect raises already.
            with pytest.raises(ConnectionResetError), Wire(link.address) as wire:
                wire.sock.recv(1)


_faults = st.lists(
    st.one_of(
        st.builds(Delay, st.just(0.004), st.sampled_from([0.0, 0.004])),
        st.builds(Slice, st.integers(1, 50)),
        st.builds(Glue, st.integers(1, 200), st.just(0.005)),
        st.builds(Bandwidth, st.sampled_from([20_000.0, 1e6])),
    ),
    max_size=3,
)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=300), _faults), max_size=6),
    st.lists(st.tuples(st.binary(min_size=1, max_size=300), _faults), max_size=6),
    st.integers(0, 2**32),
)
def test_every_byte_comes_out_in_order(
    up: list[tuple[bytes, list[Fault]]], down: list[tuple[bytes, list[Fault]]], seed: int
) -> None:
    """Random bytes both ways through random chains of faults that change meanwhile."""
    ends = Ends()
    ends.link._relay.chance.seed(seed)
    try:
        talks = ((ends.client, ends.link.to_server, up), (ends.server, ends.link.to_client, down))
        for wire, direction, said in talks:
            for data, faults in said:
                direction.use(*faults)
                wire.send_bytes(data)
            wire.hang_up()
        assert everything(ends.server) == b"".join(data for data, _ in up)
        assert everything(ends.client) == b"".join(data for data, _ in down)
    finally:
        ends.close()


def test_ten_megabytes_pass_unchanged_with_both_ends_talking(ends: Ends) -> None:
    """More than any buffer holds: the link reads no faster than the other end does."""
    data = random.Random(1).randbytes(10_000_000)
    got: dict[str, bytes] = {}
    threads = [
        threading.Thread(target=lambda w=w: (w.send_bytes(data), w.hang_up()))
        for w in (ends.client, ends.server)
    ] + [
        threading.Thread(target=lambda n=n, w=w: got.update({n: everything(w)}))
        for n, w in (("client", ends.client), ("server", ends.server))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got["client"] == data
    assert got["server"] == data


# --- in front of servers ---


def test_two_hundred_links_at_once(server: ChatServer) -> None:
    """Each with a client; all hear the last to join; nothing is left behind."""
    before = threading.active_count()
    links = [Link(server.address, client=f"n{i}") for i in range(200)]
    clients = [ChatClient(f"n{i}", link.address) for i, link in enumerate(links)]
    for client in clients[:-1]:
        client.wait_for("n199 joined")
    for client in clients:
        client.leave()
    for link in links:
        link.stop()
        link.stop()
    server.journal.wait_for("left", "n199")
    while threading.active_count() > before:
        pass  # the server's threads for them; bounded by the test's time limit


def test_a_silent_wire_ends_in_went_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no keepalive notices behind a proxy, Limits.silence does."""
    monkeypatch.setattr(labkit.client.connection, "HEARTBEAT", 0.1)  # she stays until the wire is silent
    with ChatServer(port=0, limits=Limits(silence=2.0)) as server, Link(server.address) as link:
        with ChatClient("carol", link.address) as carol:
            link.silence()
            assert server.journal.wait_for("left", "carol").what == "went silent"
            assert carol.state == "here"  # she was not told
            link.to_client.use()
            carol.wait_until_gone()


def test_it_works_in_front_of_the_assignments_own_server() -> None:
    """The link knows nothing of chat."""
    with ClassicServer(port=0) as classic, Link(classic.address, client="alice") as link:
        heard = threading.Event()
        alice = ClassicClient("alice", link.address, show=lambda text: heard.set())
        while classic.nicknames != ["alice"]:
            pass
        with Wire(classic.address) as bob:
            assert bob.recv() == "nickname"
            bob.send_bytes(b"bob")
            while len(classic.clients) < 2:
                pass
            bob.send_bytes(b"hi")
            assert heard.wait(SOON)
        alice.close()
        assert [e.what for e in link.journal if e.kind == "bytes"][:2] == ["'nickname' (8)", "'alice' (5)"]
