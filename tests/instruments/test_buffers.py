"""Buffers that fill: what is seen of them, as figures, as text, and as HTML."""

from __future__ import annotations

import gc
import re
import socket
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from time import monotonic

import pytest
from support import SOON, need, until

from labkit import ChatClient, ChatServer, Journal, Limits
from labkit.instruments.buffers import (
    EMPTY,
    FULL,
    SOME,
    UNTOLD,
    AcceptQueue,
    Buffers,
    Count,
    Level,
    Moments,
    Plot,
    Sample,
    between,
    to_client,
)
from labkit.instruments.buffers.levels import OTHER, RECEIVING, SENDING
from labkit.instruments.faults import Freeze
from labkit.instruments.link import Link
from labkit.instruments.panel import BuffersPanel, board
from labkit.instruments.panel.buffers_panel import table
from labkit.probe import kernel, netlink, queues
from labkit.wire import sockets

EVIL = "<img/src=x/onerror=alert(1)>"
NEAR, FAR = "near: kernel, to be sent", "far: kernel, to be read"

Pair = tuple[socket.socket, socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Near, far, and the listener."""
    need(kernel.TABLES[0].exists(), "only Linux tells of windows")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
        with near, far:
            yield near, far, listener


def moments_of(near: socket.socket, far: socket.socket, tubs: Buffers) -> None:
    """Before, filling, full, and read: what notebook 07 shows."""
    tubs.sample("before")
    near.setblocking(False)
    near.sendall(bytes(300_000))
    until(lambda: tubs.sample().states[FAR] == FULL)
    tubs.sample("filling")
    while sockets.send_now(near, bytes(1000)):
        pass
    tubs.sample("full")
    left = True
    far.setblocking(False)
    while left:
        while sockets.receive_now(far, 65536):
            pass
        left = set(tubs.sample().states.values()) != {EMPTY}
    tubs.sample("read")


def test_the_three_moments_tell_the_chapter(pair: Pair) -> None:
    """Before, filling, full: the text is the same each time, and says what send and recv do."""
    near, far, _ = pair
    tubs = between(near, far)
    moments_of(near, far, tubs)
    assert repr(tubs.moments("before", "filling", "full")) == (
        "                           before         filling       full\n"
        "near: kernel, to be sent   ░░░░░░ empty   ███░░░ some   ██████ full\n"
        "far: kernel, to be read    ░░░░░░ empty   ██████ full   ██████ full\n"
        "\n"
        "before: Nothing is under way: far's recv would wait, near's send would not.\n"
        "filling: far does not keep up: its kernel's buffer is full. near's kernel keeps the rest, and "
        "send still returns at once.\n"
        "full: Both buffers are full: near's send waits until far reads."
    )
    html = tubs.moments()._repr_mimebundle_()["text/html"]
    told = re.sub(r"<style>.*?</style>|<[^>]*>", " ", html, flags=re.S)
    assert told.count("the window is shut") == 2
    assert re.findall(r"send {2,}(waits|returns at once)", told) == [
        "returns at once",
        "returns at once",
        "waits",
        "returns at once",
    ]
    assert re.findall(r"recv {2,}would (\w+)", told) == ["wait", "find", "find", "wait"]
    with pytest.raises(LookupError, match=r"'half'; there are: before, filling, full, read"):
        tubs.moments("half")


def test_each_byte_is_somewhere(pair: Pair) -> None:
    """What near sent is what both buffers hold, whenever one looks at rest."""
    near, far, _ = pair
    tubs = between(near, far)
    near.setblocking(False)
    took = 0
    for size in (1, 5_000, 100_000, 400_000):
        took += sockets.send_now(near, bytes(size))
        until(lambda: sum(level.holds or 0 for level in tubs.sample().levels) == took)  # noqa: B023


def test_queue_for_accept(pair: Pair) -> None:
    """It fills with each connection that is not accepted, and is no part of the way."""
    near, far, listener = pair
    tubs = between(near, far, listener=listener)
    assert tubs.sample().levels[0].figures == "0 connections of 128"
    with socket.create_connection(listener.getsockname()):
        until(lambda: tubs.sample().levels[0].holds == 1)
        assert tubs.sample().levels[0].figures == "1 connection of 128"
        assert "A connection waits to be accepted." in tubs.sample().caption
    gauge = AcceptQueue(("127.0.0.1", 1))
    assert gauge.read()[0].figures == "Nobody listens there."


def test_ends_of_two_connections_are_refused(pair: Pair) -> None:
    """The way is one connection's."""
    near, _, listener = pair
    with socket.create_connection(listener.getsockname()) as other:
        with pytest.raises(ValueError, match="near and far are not the two ends of one connection"):
            between(near, other)


def test_where_the_system_tells_nothing_it_says_so(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence instead of a bar."""
    near, far, _ = pair

    def cannot_tell(*_: object) -> None:
        raise netlink.CannotTell("This system does not tell.")

    tubs = between(near, far)
    monkeypatch.setattr(queues, "at", cannot_tell)
    seen = tubs.sample("now")
    assert set(seen.states.values()) == {UNTOLD} and seen.caption == "This system does not tell."
    assert seen.levels[0].bar == "" and seen.levels[0].figures == "This system does not tell."
    assert 'class="tank' not in tubs._repr_mimebundle_()["text/html"]
    assert "not told" in repr(tubs.moments()) and "This system does not tell." in repr(tubs.plot())


# --- over time ---


def test_samples_have_the_clock_of_the_journal(pair: Pair) -> None:
    """Each knows its time and the newest event; `at` and `after` find the last one that is not later."""
    near, far, _ = pair
    journal = Journal()
    tubs = between(near, far, journal=journal)
    assert tubs.at(monotonic()) is None and tubs.after(5) is None
    first = tubs.sample()
    journal.record("said", "alice", "hi")
    near.sendall(b"hi")
    second = tubs.sample("second")
    assert (first.after, second.after) == (0, 1)
    assert first.when <= second.when <= monotonic()
    assert tubs.at(first.when - 1) is None
    assert tubs.at(first.when) is first and tubs.at(second.when) is second is tubs.at(monotonic())
    assert tubs.after(0) is first and tubs.after(1) is second is tubs.after(99)


def test_what_stays_the_same_is_kept_once(pair: Pair) -> None:
    """A thousand looks at quiet buffers take the room of two; the last one has the latest time."""
    near, far, _ = pair
    tubs = between(near, far)
    for _ in range(1000):
        last = tubs.sample()
    assert len(tubs) == 2 and [*tubs][-1] is last


def test_memory_is_bounded() -> None:
    """Of looks that differ, the newest are kept; a named one is kept among the moments all the same."""
    numbers = iter(range(100))
    tubs = Buffers(Count("queue", "lines", lambda: next(numbers)), kept=5)
    tubs.sample("first")
    for _ in range(50):
        tubs.sample()
    assert [sample.levels[0].holds for sample in tubs] == [46, 47, 48, 49, 50]
    assert [sample.levels[0].holds for sample in tubs.moments().samples] == [0]


def test_a_thread_looks_while_it_is_watched(pair: Pair) -> None:
    """It sees what changes; with `stop` it ends."""
    near, far, _ = pair
    with between(near, far) as tubs:
        assert tubs.watching and tubs.watch() is tubs
        near.sendall(b"hello")
        until(lambda: any(sample.levels[1].holds == 5 for sample in tubs))
    assert not tubs.watching
    tubs.stop()


def test_the_thread_ends_by_itself(pair: Pair) -> None:
    """When the connection is over, and when nobody holds the Buffers any more."""
    near, far, _ = pair
    tubs = between(near, far).watch(100)
    until(lambda: len(tubs))
    sockets.reset_on_close(near)
    near.close()
    far.close()
    until(lambda: not tubs.watching)

    watched = Buffers(Count("queue", "lines", lambda: 1)).watch(100)
    assert watched._watch is not None
    thread, gone = watched._watch._thread, weakref.ref(watched)
    del watched
    until(lambda: gc.collect() >= 0 and not thread.is_alive())
    assert gone() is None


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Buffers(), "at least one gauge"),
        (lambda: Buffers(Count("a", "b", lambda: 1), kept=1), "at least 2 samples"),
        (lambda: Buffers(Count("a", "b", lambda: 1)).watch(0), "up to 1000 times a second, not 0"),
    ],
)
def test_wrong_arguments(make: Callable[[], object], words: str) -> None:
    """The error says what would be right."""
    with pytest.raises(ValueError, match=words):
        make()


# --- levels, by hand ---


def level(holds: int | None, used: int = 0, room: int = 0, **more: object) -> Level:
    return Level("near", "kernel", SENDING, holds, used, room, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "state", "bar", "figures"),
    [
        (level(0, 0, 1024), EMPTY, "░░░░░░░░░░░░", "0 bytes (0 of 1 KiB)"),
        (level(1, 1, 131072), SOME, "▌░░░░░░░░░░░", "1 byte (0 of 128 KiB)"),
        (level(60_000, 65536, 131072), SOME, "██████░░░░░░", "60,000 bytes (64 of 128 KiB)"),
        (level(60_000, 65536, 131072, full=True), FULL, "████████████", "60,000 bytes (64 of 128 KiB)"),
        (level(9, 3 << 20, 2 << 20), SOME, "████████████", "9 bytes (3.0 of 2.0 MiB)"),
        (level(7), SOME, "", "7 bytes"),
        (level(None, why="It is over."), UNTOLD, "", "It is over."),
        (level(2, 2, 4, unit="lines"), SOME, "██████░░░░░░", "2 lines of 4"),
    ],
)
def test_a_level_in_words(given: Level, state: str, bar: str, figures: str) -> None:
    """State, bar and figures."""
    assert (given.state, given.bar, given.figures) == (state, bar, figures)


def test_a_plot_says_what_it_shows() -> None:
    """The most that was held, and when it was full; moments are marked, and no two labels overlap."""
    one = level(10, 10, 100)
    samples = [
        Sample(5.0, (replace(one, holds=0),), moment="before"),
        Sample(5.01, (one,), moment="a little later"),
        Sample(6.0, (replace(one, holds=100, full=True),), moment="full"),
        Sample(7.0, (replace(one, holds=50),)),
        Sample(9.0, (replace(one, holds=100, full=True),)),
        Sample(10.0, (replace(one, holds=0),)),
    ]
    plot = Plot(samples, "near fills")
    text = repr(plot)
    assert text.startswith("near fills, from 0 to 5.00 s\nnear: kernel  ▂▂▂▂▂▂▂█████████▅▅▅")
    assert text.endswith("at most 100 bytes; full from 1.00 s to 2.00 s, and 1 times more")
    html = plot._repr_mimebundle_()["text/html"]
    assert f'aria-label="{text}"' in html and html.count('class="mark"') == html.count('class="flag"') == 3
    rows = [row for _, _, row in plot._marks()]
    assert rows[:2] == [0, 1]
    assert repr(Plot([])) == "what each buffer held: nothing was seen yet"
    assert "text/html" not in Moments([])._repr_mimebundle_()


def test_names_are_text_everywhere() -> None:
    """No name puts HTML into a picture, and each stands by itself, whichever way it is written."""
    bad = replace(level(5, 5, 10), who=EVIL, why=EVIL)
    untold = Level(EVIL, EVIL, RECEIVING, None, why=EVIL)
    taken = Sample(1.0, (bad, untold), moment=EVIL)
    bundles = (Moments([taken])._repr_mimebundle_(), Plot([taken], EVIL)._repr_mimebundle_())
    for html in [*(bundle["text/html"] for bundle in bundles), table({EVIL: taken})]:
        assert "<img" not in html and "&lt;img" in html
    assert f"<bdi>{EVIL.replace('<', '&lt;').replace('>', '&gt;')}</bdi>" in bundles[0]["text/html"]


# --- on the way to a client ---


def flood(
    server: ChatServer, speaker: ChatClient, hearer: ChatClient, enough: Callable[[], object]
) -> None:
    number = 0
    while not enough():
        number += 1
        speaker.say(f"{number} {'blah ' * 700}")
        hearer.wait_for(f"{speaker.nickname}: {number} ", timeout=SOON)
        assert number < 20_000


def test_the_way_to_a_client_that_stops_reading() -> None:
    """His kernel's buffer fills, then the server's, then the server's backlog; he reads: all are empty."""
    need(kernel.TABLES[0].exists(), "only Linux tells of windows")
    with ChatServer(port=0, limits=Limits(behind=4_000_000)) as server:
        with (
            ChatClient("alice", server.address) as alice,
            ChatClient("bob", server.address) as bob,
            ChatClient("carol", server.address) as carol,
        ):
            tubs = to_client(server, bob)
            until(lambda: set(tubs.sample().states.values()) == {EMPTY})
            bob.freeze()
            flood(server, alice, carol, lambda: (tubs.sample().levels[0].holds or 0) > 100_000)
            full = tubs.sample("full")
            assert [*full.states.values()] == [SOME, FULL, FULL]
            assert full.caption == (
                "Both buffers are full: server's send waits until bob reads. "
                "Server itself keeps what the kernel does not take: its backlog grows."
            )
            assert full.after > 0
            firsts = [
                next(sample.when for sample in tubs if sample.levels[n].state in wanted)
                for n, wanted in ((2, (FULL,)), (1, (FULL,)), (0, (SOME,)))
            ]
            assert firsts == sorted(firsts)
            bob.thaw()
            until(lambda: set(tubs.sample().states.values()) == {EMPTY})
        until(lambda: tubs.sample().caption == "This connection is over.")


def test_a_link_on_the_way_holds_some() -> None:
    """What a frozen wire keeps is told as the link's."""
    need(kernel.TABLES[0].exists(), "only Linux tells of windows")
    with ChatServer(port=0) as server, Link(server.address, client="bob") as link:
        with (
            ChatClient("alice", server.address) as alice,
            ChatClient("bob", link.address) as bob,
            ChatClient("carol", server.address) as carol,
        ):
            tubs = to_client(server, bob, link)
            link.to_client.use(Freeze())
            flood(server, alice, carol, lambda: (tubs.sample().levels[2].holds or 0) > 50_000)
            seen = tubs.sample()
            assert [one.who for one in seen.levels] == ["server", "server", "link", "bob"]
            assert seen.levels[3].state == EMPTY and seen.levels[2].state == SOME
            link.to_client.use()
            until(lambda: set(tubs.sample().states.values()) == {EMPTY})
            assert link.to_client.held == 0


def test_a_board_shows_the_buffers(server: ChatServer) -> None:
    """A row for each person; they are seen to fill; the panel ends with the board."""
    need(kernel.TABLES[0].exists(), "only Linux tells of windows")
    with board(server, "alice", "bob", wires=True, buffers=True) as people:
        assert isinstance(people.buffers, BuffersPanel)
        assert "buffers on the way to: alice, bob" in repr(people)
        shown = people.buffers._shown
        assert [name in shown.value for name in ("<bdi>alice</bdi>", "<bdi>bob</bdi>")] == [True, True]
        people.bob.freeze()
        people.alice.say("hello")
        until(lambda: people.buffers and people.buffers["bob"].sample().levels[-1].holds)
        until(lambda: ">13<" in shown.value)  # alice: hello
        people.bob.thaw()
    names = [thread.name for thread in threading.enumerate()]
    assert "labkit-painter" not in names and "labkit-buffers" not in names
    assert board(server, "carol").buffers is None


def test_a_count_of_the_program_itself() -> None:
    """A queue of lines, with a limit: full at its limit."""
    lines = [1, 2]
    count = Count("bob", "queue", lambda: len(lines), room=3)
    assert count.read()[0].figures == "2 lines of 3" and not count.read()[0].full
    lines.append(3)
    assert count.read()[0].state == FULL and count.read()[0].kind == OTHER
