"""instruments/lanes: what ran when, from real runs and from the stepper."""

from __future__ import annotations

import itertools
import queue
import re
import selectors
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import pytest
from support import SOON, Wire, until

from labkit import ChatClient, ChatServer
from labkit.instruments.lanes import Lanes, Recording, record
from labkit.instruments.lanes.finding import parts
from labkit.instruments.lanes.states import (
    ACCEPT,
    HOLDS,
    LOCK,
    READY,
    RECV,
    RUNS,
    SELECT,
    WOKEN,
    Interval,
    Mark,
)
from labkit.instruments.link import Link
from labkit.instruments.stepper import explore, replay
from labkit.journal import Journal
from labkit.wire import sockets

EVIL = '<img/src="x"/onerror=alert(1)>\N{RIGHT-TO-LEFT OVERRIDE}'


class Thing:
    """Something with a lock, as a student would write it."""

    def __init__(self, lock: Any = None) -> None:
        self.lock = lock or threading.Lock()
        self.inside = threading.Event()
        self.go_on = threading.Event()

    def hold(self) -> None:
        with self.lock:
            self.inside.set()
            self.go_on.wait(SOON)

    def take(self) -> None:
        with self.lock:
            pass


@contextmanager
def thread(name: str, target: Callable[[], object]) -> Iterator[threading.Thread]:
    """A thread of that name; it must have ended in the end."""
    made = threading.Thread(target=target, name=name, daemon=True)
    made.start()
    yield made
    made.join(SOON)
    assert not made.is_alive()


def waits(recording: Recording, name: str, state: str) -> Callable[[], bool]:
    """Whether this thread is in that state now."""

    def does() -> bool:
        lanes = recording.lanes
        if name not in lanes.threads:
            return False
        now = [i for i in lanes.intervals if i.thread == name and i.state != HOLDS]
        return bool(now) and now[-1].state == state

    return does


def only(lanes: Lanes, name: str, state: str) -> Interval:
    (found,) = [i for i in lanes.intervals if (i.thread, i.state) == (name, state)]
    return found


@pytest.mark.parametrize("new_lock", [threading.Lock, threading.RLock])
def test_one_holds_the_lock_and_another_waits_for_it(new_lock: Callable[[], Any]) -> None:
    """The wait lies in the hold of the first, and the hold of the second begins when the first ends."""
    thing = Thing(new_lock())
    with record(thing) as recording, thread("first", thing.hold):
        assert thing.inside.wait(SOON)
        with thread("second", thing.take):
            assert recording.wait_for(1, "the lock", SOON) == ["second"]
            with pytest.raises(
                TimeoutError, match="without 2 threads that wait for the lock; now wait: second"
            ):
                recording.wait_for(2, "the lock", 0.0)
            now = recording.lanes
            said = now.does("second", only(now, "second", LOCK).start)
            assert said == "waits for the lock, which first holds"
            thing.go_on.set()
    lanes = recording.lanes
    first, wait, second = (
        only(lanes, "first", HOLDS),
        only(lanes, "second", LOCK),
        only(lanes, "second", HOLDS),
    )
    assert first.start < wait.start < first.end <= wait.end == second.start
    assert first.what == wait.what == second.what == "the lock"
    assert lanes.state("second", wait.start) == wait
    assert lanes.held(wait.start) == [first]


def test_a_lock_taken_twice_is_held_once() -> None:
    """An RLock is held from the first taking to the last giving back."""
    thing = Thing(threading.RLock())
    with record(thing) as recording, thing.lock, thing.lock:
        assert len([i for i in recording.lanes.intervals if i.state == HOLDS]) == 1
    assert len([i for i in recording.lanes.intervals if i.state == HOLDS]) == 1


def test_a_deadlock_is_seen_while_it_lasts() -> None:
    """Each of two threads holds a lock, and waits for the other's: nothing has ended, and all is there."""
    one, other = Thing(), Thing()
    both = [one, other]

    def cross(mine: Thing, theirs: Thing) -> None:
        mine.lock.acquire()
        mine.inside.set()
        theirs.inside.wait(SOON)
        theirs.lock.acquire()

    recording = record(both).start()
    threads = [
        threading.Thread(target=cross, args=pair, name=name, daemon=True)
        for name, pair in (("alice", (one, other)), ("bob", (other, one)))
    ]
    for each in threads:
        each.start()
    for name in ("alice", "bob"):
        until(waits(recording, name, LOCK))
    lanes = recording.lanes
    recording.stop()
    for name in ("alice", "bob"):
        assert re.search(rf"^{name} .*W+$", str(lanes), re.M)
        assert len([i for i in lanes.intervals if i.thread == name and i.state == HOLDS]) == 1
    one.lock.release()  # for those who wait
    other.lock.release()
    for each in threads:
        each.join(SOON)
        assert not each.is_alive()


def test_a_server_waits_in_recv_and_in_accept() -> None:
    """Each client's thread waits for its client, the acceptor for the next one, the broadcaster to be
    woken: also those that waited already when the recording began."""
    with ChatServer(port=0) as server:
        alice, bob = (Wire.joined(server.address, name) for name in ("alice", "bob"))
        alice.until("bob joined")
        until(lambda: waiting(server) == 4)
        with record(server) as recording:
            lanes = recording.lanes
        for name, words in {
            "labkit-accept": "waits in accept: the listener",
            "labkit-broadcaster": "waits to be woken: the bell",
            "labkit-handle-1": "waits in recv: alice's socket",
            "labkit-handle-2": "waits in recv: bob's socket",
        }.items():
            assert lanes.does(name, lanes.start) in (
                words,
                words.replace("alice", name).replace("bob", name),
            )
        alice.close()
        bob.close()


def test_a_thread_that_began_to_wait_in_an_earlier_recording() -> None:
    """It is seen by the next one, too, though it still stands in what recorded it."""
    near, far = socket.socketpair()
    thing = Thing()
    held = [thing, near]
    assert thing.lock.acquire()
    with record(held) as first:
        threads = [
            threading.Thread(target=target, name=name, daemon=True)
            for name, target in (("read", lambda: near.recv(1)), ("take", thing.take))
        ]
        for each in threads:
            each.start()
        until(waits(first, "read", RECV))
        until(waits(first, "take", LOCK))
    with record(held) as second:
        lanes = second.lanes
    assert lanes.does("read", lanes.start) == "waits in recv: read's socket"
    assert lanes.does("take", lanes.start) == "waits for the lock"
    thing.lock.release()
    far.sendall(b"x")
    for each in threads:
        each.join(SOON)
        assert not each.is_alive()
    for sock in (near, far):
        sock.close()


def waiting(server: ChatServer) -> int:
    """How many of its threads are seen to wait."""
    with record(server) as recording:
        return sum(
            i.state in (RECV, ACCEPT, WOKEN) and i.thread.startswith("labkit-")
            for i in recording.lanes.intervals
        )


def test_what_is_said_was_written_down_under_the_lock() -> None:
    """Each event of the journal has its time, and just then its thread holds the rooms' lock, or one that
    writes down for others what they said. Threads that came later are there, too."""
    with ChatServer(port=0) as server, record(server) as recording:
        alice, bob = (Wire.joined(server.address, name) for name in ("alice", "bob"))
        for n in range(20):
            alice.send(f"line {n}")
            bob.until(f"line {n}")
        bob.send("/msg alice hi", "/join tea")
        alice.until("bob")
        alice.close()
        bob.close()
        server.journal.wait_for("left", "bob")
        server.journal.wait_for("left", "alice")
        lanes = recording.lanes
        marks = {mark.number: mark for mark in lanes.marks}
        times = recording.when(server.journal)
        for event in server.journal:
            assert marks[event.n].at == times[event.n]
            assert event.who in marks[event.n].text and event.thread == marks[event.n].thread
            if event.kind in ("said", "joined", "left", "moved"):
                thread = None if event.kind == "said" else event.thread
                held = [i.what for i in lanes.held(marks[event.n].at, thread)]
                assert "the rooms' lock" in held, event
        assert [*times] == sorted(times) and [*times.values()] == sorted(times.values())
        reads = [i for i in lanes.intervals if i.state == RECV and i.thread == "labkit-handle-1"]
        assert len(reads) >= 20 and {i.what for i in reads} == {"alice's socket"}


def test_a_thread_does_one_thing_after_the_other() -> None:
    """Intervals that are no holds neither overlap nor leave a gap, and none ends before it begins."""
    with ChatServer(port=0) as server, record(server, fine=True) as recording:
        wires = [Wire.joined(server.address, f"client{n}") for n in range(4)]
        for wire in wires:
            wire.send(*(f"line {n}" for n in range(50)))
        for wire in wires:
            for _ in range(3):
                wire.until("line 49")
        for wire in wires:
            wire.close()
    lanes = recording.lanes
    assert "the log's lock" in {i.what for i in lanes.intervals}
    for name in lanes.threads:
        own = [i for i in lanes.intervals if i.thread == name and i.state != HOLDS]
        assert all(i.start <= i.end for i in own)
        assert all(one.end == other.start for one, other in zip(own, own[1:], strict=False))
        for lock in {i.what for i in lanes.intervals}:
            held = [i for i in lanes.intervals if (i.thread, i.state, i.what) == (name, HOLDS, lock)]
            assert all(one.end <= other.start for one, other in zip(held, held[1:], strict=False))
    holds = sorted(
        (i.start, i.end) for i in lanes.intervals if i.what == "the rooms' lock" and i.state == HOLDS
    )
    assert all(end <= start for (_, end), (start, _) in zip(holds, holds[1:], strict=False))


# --- on and off ---


def everything(*things: Any) -> dict[tuple[int, str], tuple[int, type, frozenset[str]]]:
    """What is where, of which class, and what is replaced in it."""
    found = {}
    for one in parts(*things):
        inside = frozenset(getattr(one.value, "__dict__", {}))
        found[id(one.owner), one.name] = id(one.value), type(one.value), inside
    return found


def test_nothing_is_left_behind() -> None:
    """After a recording, also one that ends with an error, all is as it was, and new clients are plain,
    too. During it, it was not."""
    with ChatServer(port=0) as server:
        alice = ChatClient("alice", server.address)
        poll, threads = sockets.readable, threading.enumerate()
        before = everything(server, alice)
        for error in (None, KeyError):
            try:
                with record(server, alice):
                    assert everything(server, alice) != before
                    assert sockets.readable is not poll
                    bob = Wire.joined(server.address, "bob")
                    alice.wait_for("bob joined")
                    alice.say("hello")
                    bob.until("hello")
                    if error:
                        raise error
            except KeyError:
                pass
            assert sockets.readable is poll
            for one in parts(server, alice):
                assert "Recorded" not in type(one.value).__name__
                if isinstance(one.value, (threading.Event, selectors.BaseSelector, Journal)):
                    inside = vars(one.value)
                    assert not {"wait", "select", "record_runs"} & inside.keys()
            bob.send("still here")
            alice.wait_for("still here")
            # The accept loop waited all the time: this client comes out of an `accept` that was recorded.
            carol = Wire.joined(server.address, "carol")
            for wire, name in ((bob, "bob"), (carol, "carol")):
                wire.close()
                alice.wait_for(f"{name} left")
        until(lambda: everything(server, alice).items() == before.items())
        until(lambda: set(threading.enumerate()) == set(threads))
        alice.leave()


def test_a_socket_is_the_same_object_all_the_time() -> None:
    """It keeps its descriptor, also one that is accepted meanwhile; an accepted one is plain afterwards."""
    listener = socket.create_server(("127.0.0.1", 0))
    with record([listener]) as recording:
        accepted: list[socket.socket] = []
        with thread("accept", lambda: accepted.append(listener.accept()[0])):
            until(waits(recording, "accept", ACCEPT))
            near = socket.create_connection(listener.getsockname())
        (far,) = accepted
        assert isinstance(far, socket.socket) and type(far) is not socket.socket
        number = far.fileno()
        read: list[bytes] = []
        with thread("read", lambda: read.append(far.recv(10))):
            until(waits(recording, "read", RECV))
            near.sendall(b"hello")
    assert read == [b"hello"]
    assert type(far) is type(listener) is socket.socket and far.fileno() == number
    assert only(recording.lanes, "read", RECV).what == "read's socket"
    for sock in (listener, near, far):
        sock.close()


def test_what_else_is_waited_for() -> None:
    """A queue, an event and a selector; and one that does not wait is not said to."""

    class Others:
        def __init__(self) -> None:
            self.queue: queue.Queue[int] = queue.Queue()
            self.rung = threading.Event()
            self.selector = selectors.DefaultSelector()

    others = Others()
    near, far = socket.socketpair()
    others.selector.register(near, selectors.EVENT_READ)
    with record(others) as recording, thread("get", others.queue.get), thread("ring", others.rung.wait):
        with thread("select", others.selector.select):
            for name, state in (("get", WOKEN), ("ring", WOKEN), ("select", SELECT)):
                until(waits(recording, name, state))
            far.sendall(b"x")
            others.queue.put(1)
            others.rung.set()
    assert "waits to be woken: queue" in str(recording.lanes)
    for closing in (others.selector, near, far):
        closing.close()


def test_one_recording_at_a_time() -> None:
    """A second one stops the first, which keeps what it has; none begins twice."""
    thing = Thing()
    real = thing.lock
    first = record(thing).start()
    thing.take()
    with record(thing) as second:
        assert not first.running and second.running
        thing.take()
        thing.take()
    assert thing.lock is real
    for recording, count in ((first, 1), (second, 2)):
        assert sum(i.state == HOLDS for i in recording.lanes.intervals) == count
    with pytest.raises(RuntimeError, match="make a new one"):
        first.start()
    with pytest.raises(ValueError, match="name a server"):
        record()
    with pytest.raises(RuntimeError, match="call start"):
        record(thing).lanes  # noqa: B018  # it is a property
    with pytest.raises(LookupError, match="not recorded"):
        second.when(Journal())


def test_screens_and_wires_have_their_times() -> None:
    """What a client shows, what it said, and what passes its link, in this order."""
    with ChatServer(port=0) as server, Link(server.address, client="bob") as link:
        alice, bob = ChatClient("alice", server.address), ChatClient("bob", link.address)
        alice.wait_for("bob joined")
        with record(server, alice, bob, link) as recording:
            alice.say("hello")
            bob.wait_for("hello")
            end = recording.seconds(monotonic())
        (said,) = [at for n, at in recording.when(server.journal).items()]
        (passed,) = recording.when(link).values()
        (shown,) = [mark.at for mark in recording.screens["bob"] if mark.text == "alice: hello"]
        assert 0 < said < passed <= shown < end
        assert [mark.text for mark in recording.screens["alice"]][-1] == "> hello"
        assert recording.seconds(recording.monotonic(1.0)) == pytest.approx(1.0)
        alice.leave()
        bob.leave()


# --- shown ---


SOME = Lanes(
    [
        Interval("alice", RUNS, "", 0.0, 0.5),
        Interval("alice", HOLDS, "the lock", 0.1, 0.5),
        Interval("bob", RECV, "bob's socket", 0.0, 0.2),
        Interval("bob", LOCK, "the lock", 0.2, 0.5),
        Interval(EVIL, WOKEN, EVIL, 0.1, 0.4),
    ],
    [Mark(0.2, f"said {EVIL}", "alice", 7)],
)


def test_the_text_has_a_line_for_each_thread_and_a_table() -> None:
    """A column for each moment, a letter for each state, a capital for one that holds a lock."""
    lines = str(SOME).splitlines()
    assert lines[2].split() == ["alice", "─HHH"]
    assert lines[3].split() == ["bob", "rrww"]
    assert lines[4].endswith("   zz")
    assert lines[5].strip() == "7  (events of the journal)"
    assert lines[5].index("7") == lines[3].index("ww")
    assert "0.200000  0.500000 s  bob" in str(SOME) and "waits for the lock" in str(SOME)
    assert SOME.at(0.3).splitlines()[1:3] == [
        f"  {'alice':<{len(EVIL)}}  runs, and holds the lock",
        f"  {'bob':<{len(EVIL)}}  waits for the lock, which alice holds",
    ]
    assert "bob" in SOME.at(0.5) and "waits for the lock" in SOME.at(0.5)
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in str(SOME)


def test_the_drawing_says_all_that_its_shapes_say() -> None:
    """Its alternative text names each thread and what it waits for; no name is taken for HTML."""
    html = SOME._repr_html_()
    assert '<svg role="img" aria-label="what ran when. alice: holds the lock. bob: waits in recv' in html
    assert "<img" not in html and "\N{RIGHT-TO-LEFT OVERRIDE}" not in html
    assert ">r bob&#x27;s socket<" in html
    assert html.count("<bdi>") == html.count("</bdi>") and "<bdi>bob</bdi>" in html
    assert html == SOME._repr_html_()
    for state in (RUNS, RECV, LOCK, WOKEN, HOLDS):
        assert state in html.partition('class="legend"')[2]


def test_a_part_of_it() -> None:
    """From one moment to another; some threads, or some locks; of what is not there, an error."""
    assert [i.thread for i in SOME.between(0.0, 0.15).intervals] == ["alice", "bob", "alice", EVIL]
    assert SOME.between(0.0, 0.15).end == 0.15
    assert SOME.of("bob").threads == ("bob",)
    assert {i.what for i in SOME.of("lock").intervals if i.state == HOLDS} == {"the lock"}
    with pytest.raises(LookupError, match="nothing here is called 'dave'"):
        SOME.of("dave")
    empty = Lanes([])
    assert (
        str(empty) == "what ran when: nothing was recorded"
        and "nothing was recorded" in empty._repr_html_()
    )


def test_many_intervals_are_folded() -> None:
    """Text and drawing stay small, and say how much is left out."""
    many = Lanes(
        Interval(f"thread {n % 3}", LOCK if n % 2 else RUNS, "the lock" * (n % 2), n / 10, (n + 3) / 10)
        for n in range(5000)
    )
    assert len(str(many)) < 10_000 and "more …" in str(many)
    html = many._repr_html_()
    assert len(html) < 400_000 and "earlier moments are not drawn" in html


# --- from the stepper ---


class Rooms:
    def __init__(self) -> None:
        self.lobby = threading.Lock()
        self.tea = threading.Lock()


def to_tea(rooms: Rooms) -> None:
    with rooms.lobby:
        with rooms.tea:
            pass


def to_lobby(rooms: Rooms) -> None:
    with rooms.tea:
        with rooms.lobby:
            pass


def test_the_steppers_history_as_lanes() -> None:
    """A deadlock: who holds which lock from which step on, and who waits for it; the same each time."""
    runs = [explore(Rooms, {"alice": to_tea, "bob": to_lobby}).run for _ in range(2)]
    assert runs[0] is not None and runs[1] is not None
    lanes = runs[0].lanes()
    assert str(lanes) == str(runs[1].lanes()) and lanes._repr_html_() == runs[1].lanes()._repr_html_()
    assert str(lanes).splitlines()[2:5] == ["       1 2 3 4", "alice  HHhhhhWW", "bob    ··HHWWWW"]
    assert [(i.thread, i.words, i.start, i.end) for i in lanes.intervals if i.state in (LOCK, HOLDS)] == [
        ("alice", "holds the lock lobby", 0, 4),
        ("bob", "holds the lock tea", 1, 4),
        ("bob", "waits for the lock lobby", 2, 4),
        ("alice", "waits for the lock tea", 3, 4),
    ]


def test_a_lock_given_back_in_the_stepper() -> None:
    """It is held up to the step in which it is given back; who waited has it in its next step."""

    def take(rooms: Rooms) -> None:
        with rooms.lobby:
            pass

    run = replay(
        Rooms, {"alice": take, "bob": take}, ["alice", "bob", "alice", "alice", "bob", "bob", "bob"]
    )
    lanes = run.lanes("one after the other")
    assert str(lanes).startswith("one after the other: a column for each step\n")
    holds = [(i.thread, i.start, i.end) for i in lanes.intervals if i.state == HOLDS]
    assert holds == [("alice", 0, 3), ("bob", 4, 7)] or holds == [("alice", 0, 4), ("bob", 4, 7)]
    assert lanes.does("bob", 2) == "waits for the lock lobby, which alice holds"
    assert READY in {i.state for i in lanes.intervals}


def test_on_and_off_while_clients_come_and_go() -> None:
    """A recording that begins and ends at any moment disturbs no thread: each client is let in and heard,
    and in the end everything is plain."""
    with ChatServer(port=0) as server:
        accepting = server._acceptor
        heard: list[str] = []

        cycles = 0

        def come_and_go(name: str) -> None:
            for n in itertools.count():
                wire = Wire.joined(server.address, f"{name}{n}")
                wire.send("/who")
                heard.append(wire.until("in lobby: ")[-1])
                wire.close()
                if n >= 9 and cycles > 1:
                    return

        people = [threading.Thread(target=come_and_go, args=(name,)) for name in ("alice", "bob")]
        for person in people:
            person.start()
        while any(person.is_alive() for person in people):
            with record(server, fine=cycles % 2 == 0):
                cycles += 1
        for person in people:
            person.join(SOON)
        assert len(heard) >= 20 and cycles > 1
        assert accepting is server._acceptor and accepting is not None and accepting._thread.is_alive()
        until(lambda: not server.present())
        for one in parts(server):
            assert "Recorded" not in type(one.value).__name__
