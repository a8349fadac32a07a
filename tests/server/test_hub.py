"""hub.py and delivery.py: what a client does becomes entries of the log, in one order for all."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import SOON, Wire
from watched import Watched, takes

from labkit import ChatServer, Limits
from labkit.journal import Journal
from labkit.server.broadcaster import Broadcaster
from labkit.server.connection import Disconnected, ServerConnection
from labkit.server.delivery import Close, Entry, ForOne, ForRoom, Hears, as_entry
from labkit.server.hub import AT_ONCE, LONGEST_PREFIX, LocalHub
from labkit.server.rooms import Delivery, Enters, Refusal, ToOne, ToRoom
from labkit.wire.framing import LineFraming
from labkit.wire.messages import (
    HUNG_UP,
    NO_NICKNAME,
    QUIT,
    SERVER_STOPPED,
    VANISHED,
    FromClient,
    Heartbeat,
    Notice,
    Quit,
    Reason,
    Refused,
    Said,
    Say,
    Whisper,
    Who,
)
from labkit.wire.nicknames import BadName, fit


class Written(Broadcaster):
    """A broadcaster that is not at work: what is posted is written down, and how often it was woken."""

    def __init__(self, hub_lock: threading.Lock) -> None:
        super().__init__(Limits())
        self.entries: list[Entry] = []
        self.woken = 0
        self.hub_lock = hub_lock

    def post(self, entries: list[Entry], may_wait: bool = False) -> None:
        self.entries += entries

    def post_talk(self, entries: list[ForRoom]) -> None:
        self.post([*entries])

    def wake(self) -> None:
        assert not self.hub_lock.locked(), "it writes to a socket, and must not be called under a lock"
        self._let_others_write()
        self.woken += 1

    def taken(self) -> list[Entry]:
        entries, self.entries = self.entries, []
        return entries


class Bench:
    """A hub, and clients that are not connected to anything."""

    def __init__(self) -> None:
        self.ending = threading.Event()
        self.journal = Journal()
        self.hub = LocalHub(Limits(), self.journal, lambda: self.broadcaster, self.ending, 4096)
        self.broadcaster = Written(self.hub.lock)
        self.hub.open()
        self.clients: list[ServerConnection] = []

    def connected(self) -> ServerConnection:
        client = ServerConnection(socket.socket(), LineFraming(), None, threading.Lock())
        self.clients.append(client)
        self.hub.slots.add(client, "127.0.0.1")
        return client

    def joined(self, nickname: str) -> ServerConnection:
        client = self.connected()
        self.hub.join(client, nickname)
        self.broadcaster.taken()
        return client

    def events(self) -> list[tuple[str, str, str, str]]:
        return [(event.kind, event.who, event.what, event.where) for event in self.journal]


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    for client in bench.clients:
        client.sock.close()
    bench.hub.stop()


def room(data: str, but: ServerConnection | None = None, name: str = "lobby") -> ForRoom:
    return ForRoom(name, data.encode(), None if but is None else but.outbox)


def one(client: ServerConnection, data: str) -> ForOne:
    return ForOne(client.outbox, data.encode())


# --- what is posted ---


def test_a_life(bench: Bench) -> None:
    """Every entry of a client's life, in order, each act with one wake-up after it."""
    alice = bench.joined("alice")
    bob = bench.connected()
    hub, broadcaster = bench.hub, bench.broadcaster
    assert not bob.named
    hub.join(bob, "bob")
    assert bob.named and hub.slots.in_the_way() is None
    assert broadcaster.taken() == [
        Hears(bob.outbox, "lobby"),
        one(bob, "* you are bob, in lobby\n"),
        room("* bob joined\n", bob),
    ]
    assert broadcaster.woken == 2
    assert hub.say(bob, b"one\ntwo\n", 2)
    assert broadcaster.taken() == [room("bob: one\nbob: two\n", bob)]
    hub.do(bob, [Say("three"), Heartbeat(), Refusal("no"), Say("four"), Who()])
    assert broadcaster.taken() == [
        room("bob: three\n", bob),
        one(bob, "! no\n"),
        room("bob: four\n", bob),
        one(bob, "* in lobby: alice, bob\n"),
    ]
    hub.tell(alice, Notice("a"), Notice("b"))
    assert broadcaster.taken() == [one(alice, "* a\n"), one(alice, "* b\n")]
    hub.flush_tls(alice)
    assert broadcaster.taken() == [one(alice, "")]
    assert broadcaster.woken == 6
    assert [(p.who, p.nickname) for p in hub.present()] == [(alice, "alice"), (bob, "bob")]
    hub.leave(bob, HUNG_UP)
    assert broadcaster.taken() == [
        Hears(bob.outbox, None),
        room("* bob left (hung up)\n"),
        Hears(bob.outbox, None),
        Close(bob.outbox, politely=True),
    ]
    assert broadcaster.woken == 7
    assert [p.nickname for p in hub.present()] == ["alice"] and bob not in hub.slots
    assert bench.events() == [
        ("joined", "alice", "", "lobby"),
        ("joined", "bob", "", "lobby"),
        *[("said", "bob", text, "lobby") for text in ("one", "two", "three")],
        ("refused", "bob", "no", ""),
        ("said", "bob", "four", "lobby"),
        ("left", "bob", "hung up", "lobby"),
    ]


def test_what_is_too_long_for_one_breath_is_not_said(bench: Bench) -> None:
    """It needs a closer look, and nothing is posted; but what others said before is, and delivered."""
    alice, bob = bench.joined("alice"), bench.joined("bob")
    woken = bench.broadcaster.woken
    bench.hub._said.append((bob, b"hi\n", 1))
    assert not bench.hub.say(alice, b"x" * 4090 + b"\n", 1)
    assert bench.broadcaster.taken() == [room("bob: hi\n", bob)] and bench.broadcaster.woken == woken + 1


def test_what_others_said_is_delivered_whatever_comes_of_a_join(bench: Bench) -> None:
    """A refusal tells nobody anything; what was posted before it must not wait for another to ring."""
    alice, bob = bench.joined("alice"), bench.connected()
    woken = bench.broadcaster.woken
    bench.hub._said.append((alice, b"hi\n", 1))
    with pytest.raises(Refusal):
        bench.hub.join(bob, "alice")
    assert (
        bench.broadcaster.taken() == [room("alice: hi\n", alice)] and bench.broadcaster.woken == woken + 1
    )


def test_to_say_something_takes_no_lock(bench: Bench) -> None:
    """Whoever delivers next posts it, or wants the lock: what one says is heard before what it does."""
    alice, bob = bench.joined("alice"), bench.joined("bob")
    hub, broadcaster = bench.hub, bench.broadcaster
    broadcaster.wake = lambda: None  # type: ignore[method-assign]
    with hub.lock:
        assert hub.say(alice, b"one\n", 1) and hub.say(bob, b"two\n", 1)
    assert broadcaster.taken() == []
    expected: list[Entry] = [room("alice: one\n", alice), room("bob: two\n", bob)]
    for act, *more in (
        (broadcaster._let_others_write,),
        (lambda: hub.do(bob, [Say("three")]), room("bob: three\n", bob)),
        (lambda: hub.tell(bob, Notice("a")), one(bob, "* a\n")),
        (lambda: hub.say(bob, b"x" * 4000 + b"\n", 1), room("bob: " + "x" * 4000 + "\n", bob)),
    ):
        act()
        assert broadcaster.taken() == [*expected, *more]
        hub.say(alice, b"one\n", 1)
        hub.say(bob, b"two\n", 1)
    with hub.lock:
        hub.say_farewell([bob])
    assert broadcaster.taken() == [*expected, one(bob, "* server stopped\n")]
    hub.say(alice, b"last\n", 1)
    hub.leave(alice, HUNG_UP)
    assert broadcaster.taken()[0] == room("alice: last\n", alice)


def test_what_waits_to_be_posted_is_bounded(bench: Bench) -> None:
    """Where nobody comes to post it, those who speak do."""
    alice = bench.joined("alice")
    bench.broadcaster.wake = lambda: None  # type: ignore[method-assign]
    for n in range(3 * AT_ONCE):
        assert bench.hub.say(alice, b"%d\n" % n, 1)
        assert len(bench.hub._said) <= AT_ONCE
    for n, short in ((2, False), (20, False), (1983, True)):
        assert bench.hub.say(alice, b"a\n" * n, n)
        assert (bench.hub._said == []) == short  # with her name before each, it is too much to wait
    bench.broadcaster.entries = bench.broadcaster.entries[: 3 * AT_ONCE]
    said = [cast(ForRoom, entry).data for entry in bench.broadcaster.taken()]
    assert said == [b"alice: %d\n" % n for n in range(3 * AT_ONCE)]


@given(st.text(min_size=1, max_size=40))
def test_no_nickname_takes_more_than_is_kept_for_it(text: str) -> None:
    """Or a line that was taken could turn out to be too long."""
    with suppress(BadName):
        assert len(f"{fit(text)}: ".encode()) <= LONGEST_PREFIX


def test_after_quit_nothing_is_done(bench: Bench) -> None:
    """What stood before it is; and the client is told to go."""
    alice = bench.joined("alice")
    with pytest.raises(Disconnected) as end:
        bench.hub.do(alice, [Say("one"), Quit(), Say("two")])
    assert end.value.reason == QUIT
    assert bench.broadcaster.taken() == [room("alice: one\n", alice)]


@pytest.mark.parametrize(
    ("reason", "politely", "told"),
    [(HUNG_UP, True, True), (VANISHED, False, True), (NO_NICKNAME, True, False)],
)
@pytest.mark.parametrize("stopping", [False, True])
def test_leaving(bench: Bench, reason: Reason, politely: bool, told: bool, stopping: bool) -> None:
    """The others are told, unless all are told of the stop by one line; RST is not answered by FIN."""
    alice = bench.joined("alice")
    if stopping:
        bench.ending.set()
    assert not alice.leaving
    bench.hub.leave(alice, reason)
    assert alice.leaving
    *first, last = bench.broadcaster.taken()
    assert last == Close(alice.outbox, politely)
    assert (room(f"* alice left ({reason})\n") in first) == (told and not stopping)
    assert bench.events()[-1] == ("left", "alice", reason, "lobby")
    assert bench.hub.present() == [] and len(bench.hub.slots) == 0


def test_one_that_had_to_make_way(bench: Bench) -> None:
    """It cannot join any more; its socket is closed at once, whatever it says of its end."""
    client = bench.connected()
    bench.hub.slots.remove(client)
    with pytest.raises(Disconnected) as end:
        bench.hub.join(client, "alice")
    assert end.value.reason == NO_NICKNAME
    bench.hub.leave(client, HUNG_UP)
    assert bench.broadcaster.taken() == [Hears(client.outbox, None), Close(client.outbox, politely=False)]
    assert bench.events() == [("left", "", NO_NICKNAME, "")]
    client.sock.close()


# --- who waits for whom ---


@pytest.mark.parametrize(
    ("asked", "to"),
    [
        ([Whisper("bob", "hi")], ["bob"]),
        ([Whisper("bob", "hi"), Whisper("carol", "hi")], ["bob", "carol"]),
        ([Who()], ["alice"]),
        ([Who(), Say("hi"), Whisper("bob", "hi")], ["alice", "bob"]),
        ([Say("hi")], []),
        ([Refusal("no")], ["alice"]),
    ],
)
def test_whom_one_may_have_to_wait_for(
    bench: Bench, asked: Sequence[FromClient | Refusal], to: list[str]
) -> None:
    """Those to whom its latest commands sent something, itself included: who asks much waits for itself."""
    people = {name: bench.joined(name) for name in ("alice", "bob", "carol")}
    alice = people["alice"]
    bench.hub.do(alice, [Whisper("carol", "before")])
    bench.hub.do(alice, asked)
    assert alice.whispered_to == {people[name].outbox for name in to}
    bench.hub.say(alice, b"aloud\n", 1)
    assert alice.whispered_to == set()


def test_one_is_held_only_while_the_flow_is(bench: Bench) -> None:
    """And by those it talks to alone."""
    alice, bob = bench.joined("alice"), bench.joined("bob")
    asked: list[tuple[object, object]] = []

    def holds(who: object, whispered_to: object = ()) -> bool:
        asked.append((who, whispered_to))
        return who is alice.outbox

    bench.broadcaster.holds = holds  # type: ignore[method-assign]
    assert not bench.hub.holds(alice) and asked == []
    bench.broadcaster.flowing.clear()
    alice.whispered_to = {bob.outbox}
    assert bench.hub.holds(alice) and not bench.hub.holds(bob)
    assert asked == [(alice.outbox, {bob.outbox}), (bob.outbox, set())]


def test_what_all_share_is_guarded(bench: Bench) -> None:
    """No two threads are in the rooms at once."""
    alice, bob = bench.joined("alice"), bench.connected()
    hub = bench.hub
    takes(
        hub,
        "lock",
        lambda: hub.join(bob, "bob"),
        lambda: hub.say(alice, b"hi\n", 1),
        lambda: hub.do(alice, [Say("hi")]),
        lambda: hub.tell(alice, Notice("hi")),
        hub.present,
        lambda: hub.leave(bob, HUNG_UP),
    )


def test_who_is_present_is_a_copy(bench: Bench) -> None:
    """What happens later does not change it."""
    alice = bench.joined("alice")
    before = bench.hub.present()
    bench.hub.do(alice, [cast(FromClient, Who())])
    bench.hub.leave(alice, HUNG_UP)
    assert [(p.nickname, p.room.name) for p in before] == [("alice", "lobby")]


# --- deliveries as entries ---


class Someone:
    def __init__(self, name: str) -> None:
        self.name = name
        self.outbox = object()


PEOPLE = [Someone("a"), Someone("b")]
_people = st.sampled_from(PEOPLE)
_messages = st.sampled_from([Said("a", "hi"), Notice("x"), Refused("no")])
_rooms = st.sampled_from(["lobby", "den"])
_deliveries = st.lists(
    st.one_of(
        st.builds(ToRoom, _rooms, _messages, st.one_of(st.none(), _people)),
        st.builds(ToOne, _people, _messages),
        st.builds(Enters, _people, st.one_of(st.none(), _rooms)),
    ),
    max_size=8,
)


@given(_deliveries)
def test_deliveries_become_entries(deliveries: list[Delivery[Someone]]) -> None:
    """Each of them one: the same line to the same clients, or the same room."""
    for delivery in deliveries:
        entry = as_entry(cast("Delivery[ServerConnection]", delivery))
        if isinstance(delivery, ToRoom):
            but = None if delivery.but is None else delivery.but.outbox
            assert entry == ForRoom(delivery.room, delivery.message.data(), cast(Any, but))
        elif isinstance(delivery, ToOne):
            assert entry == ForOne(cast(Any, delivery.who.outbox), delivery.message.data())
        else:
            assert entry == Hears(cast(Any, delivery.who.outbox), delivery.room)


# --- the lock, over a client's life ---


def test_each_thread_takes_the_lock_as_often_as_it_must() -> None:
    """To be admitted and counted; to join, to leave and to be forgotten; and to stop."""
    server = ChatServer(port=0)
    watched = Watched(server._hub.lock)
    server._hub.lock = cast(threading.Lock, watched)
    switch = Watched(server._switch)
    server._switch = cast(threading.Lock, switch)
    server.start()
    assert len(switch.takers) == 1
    with Wire.joined(server.address, "alice") as alice:
        alice.hang_up()
        assert alice.to_the_end() == []
    server.stop()
    assert len(switch.takers) == 2
    taken = Counter(thread.name for thread in watched.takers)
    assert (taken["labkit-accept"], taken["labkit-handle-1"], len(taken)) == (2, 3, 3)


def test_where_there_is_no_thread_the_lock_is_taken_to_undo_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection has its slot, and is counted; then neither."""
    start = threading.Thread.start

    def fails(thread: threading.Thread) -> None:
        if thread.name.startswith("labkit-handle"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", fails)
    server = ChatServer(port=0)
    watched = Watched(server._hub.lock)
    server._hub.lock = cast(threading.Lock, watched)
    server.start()
    with Wire(server.address) as stranger:
        assert stranger.to_the_end() == ["! the server is full: no thread to be had"]
    assert [thread.name for thread in watched.takers] == ["labkit-accept"] * 3
    assert len(server._hub.slots) == 0
    server.stop()


# --- a stop, while a client is on its way out ---


def test_stop_leaves_those_alone_who_are_leaving() -> None:
    """Its socket may be closed already: it is neither told nor shut."""
    gone, told = threading.Event(), threading.Event()
    spared: list[list[str]] = []

    class Hub(LocalHub):
        def say_farewell(self, clients: list[ServerConnection]) -> None:
            spared.append([client.thread.name for client in clients])
            told.set()
            super().say_farewell(clients)

    class Server(ChatServer):
        hub_class = Hub

        def _forget(self, client: ServerConnection) -> None:
            if not told.is_set():
                gone.set()
                assert told.wait(SOON)
            super()._forget(client)

    with Server(port=0) as server, Wire.joined(server.address, "alice"):
        with Wire.joined(server.address, "bob") as bob:
            bob.hang_up()
            assert gone.wait(SOON)
            assert bob.to_the_end() == []
        server.stop()
    assert spared == [["labkit-handle-1"]]
    assert [(e.who, e.what) for e in server.journal if e.kind == "left"] == [
        ("bob", HUNG_UP),
        ("alice", SERVER_STOPPED),
    ]
