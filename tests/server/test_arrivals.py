"""broadcaster.py: arrivals that are told of together; and sender.py: the first line that a client gets."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count, islice
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import Wire, until
from test_broadcaster import WrittenDown, model, pair
from test_sender import outbox

from labkit import ChatServer
from labkit.server import broadcaster as broadcaster_module
from labkit.server.broadcaster import Broadcaster
from labkit.server.delivery import Close, Entry, ForOne, ForRoom, Hears
from labkit.server.limits import Limits
from labkit.server.sender import Outbox

CLIENTS = 5

Joiners = Iterator[tuple[Outbox, bytes]]


def arrival(who: Outbox, nickname: bytes, room: str = "lobby") -> list[Entry]:
    """What a hub posts of one that joins."""
    return [
        Hears(who, room),
        ForOne(who, b"you are " + nickname + b"\n"),
        ForRoom(room, nickname + b" joined\n", who),
    ]


def deliver(broadcaster: Broadcaster) -> None:
    """What the broadcaster does in one turn, while it is not at work."""
    with broadcaster._lock:
        batch = broadcaster._next_batch()
    broadcaster._deliver(batch)


# --- what is heard ---


class History:
    """Clients of a broadcaster that is not at work, and all that was posted."""

    def __init__(self) -> None:
        self.broadcaster = WrittenDown(CLIENTS)
        self.posted: list[Entry] = []
        self.here: set[int] = set()
        self.gone: set[int] = set()

    def post(self, entries: list[Entry], may_wait: bool = False) -> None:
        self.posted += entries
        self.broadcaster.post(entries, may_wait)

    def act(self, what: str, n: int) -> None:
        """The client joins, is asked, talks, gets a private line, or leaves: what it can do just now."""
        who = self.broadcaster.readers[n]
        line = b"%b of %d, number %d\n" % (what.encode(), n, len(self.posted))
        if what == "turn":
            self.broadcaster._due = 0.0 if n else math.inf
            deliver(self.broadcaster)
        elif n in self.gone:
            return
        elif n not in self.here:
            if what == "join":
                self.here.add(n)
                self.post(arrival(who, b"%d" % n), may_wait=True)
            elif what == "ask":
                self.post([ForOne(who, line)], may_wait=True)
        elif what == "talk":
            said = ForRoom("lobby", line, who)
            self.posted.append(said)
            self.broadcaster.post_talk([said])
        elif what == "whisper":
            self.post([ForOne(who, line)])
        elif what == "leave":
            self.here.remove(n)
            self.gone.add(n)  # it comes back with another outbox, if it does
            self.post([Hears(who, None), ForRoom("lobby", line, who)], may_wait=True)


_acts = st.sampled_from(["join", "join", "ask", "talk", "whisper", "leave", "turn", "turn"])


@given(st.lists(st.tuples(_acts, st.integers(0, CLIENTS - 1)), max_size=40))
def test_to_wait_changes_nothing_of_what_is_heard(acts: list[tuple[str, int]]) -> None:
    """Whenever arrivals are told of, each client hears the same lines in the same order."""
    history = History()
    try:
        for what, n in acts:
            history.act(what, n)
        history.act("turn", 1)
        broadcaster = history.broadcaster
        assert broadcaster.heard() == model(history.posted, broadcaster.readers)
        assert broadcaster._arrivals == []
    finally:
        history.broadcaster._sender.end()


def test_many_arrivals_are_one_send_to_each() -> None:
    """The first is told of at once; those after it together. Each is welcomed without waiting for that."""
    broadcaster = WrittenDown(CLIENTS)
    alice, *others = broadcaster.readers
    for n, who in enumerate(broadcaster.readers):
        broadcaster.post(arrival(who, b"%d" % n), may_wait=True)
        if n == 1:
            broadcaster._due = math.inf
        deliver(broadcaster)
    assert [broadcaster.sends[who] for who in others] == [[b"you are %d\n" % n] for n in range(1, CLIENTS)]
    assert broadcaster.sends[alice] == [b"you are 0\n"]
    broadcaster._due, began = 0.0, monotonic()
    deliver(broadcaster)
    assert broadcaster._due > began  # the next of them wait for a while
    broadcaster._sender.end()
    assert broadcaster.sends[alice] == [b"you are 0\n", b"1 joined\n2 joined\n3 joined\n4 joined\n"]
    assert broadcaster.sends[others[0]][1:] == [b"2 joined\n3 joined\n4 joined\n"]


def test_many_who_leave_are_one_send_to_each() -> None:
    """A thousand at once, each told of by itself, were a million sends, and ten thousand took minutes."""
    broadcaster = WrittenDown(CLIENTS)
    alice, *others = broadcaster.readers
    for n, who in enumerate(broadcaster.readers):
        broadcaster.post(arrival(who, b"%d" % n))
    deliver(broadcaster)
    before, broadcaster._due = len(broadcaster.sends[alice]), math.inf
    for n, who in enumerate(others, 1):
        broadcaster.post([ForRoom("lobby", b"%d left\n" % n, who)], may_wait=True)
        broadcaster.post([Hears(who, None)], may_wait=True)
        deliver(broadcaster)
    assert len(broadcaster.sends[alice]) == before
    broadcaster._due = 0.0
    deliver(broadcaster)
    assert broadcaster.sends[alice][before:] == [b"1 left\n2 left\n3 left\n4 left\n"]
    broadcaster._sender.end()


# --- when ---


@contextmanager
def at_work(raw: bool = False) -> Iterator[tuple[Broadcaster, Wire]]:
    """A broadcaster, and one that hears the lobby."""
    broadcaster = Broadcaster(Limits(), "labkit-broadcaster", raw)
    broadcaster.start()
    reader, wire = pair()
    with wire:
        join(broadcaster, reader, b"alice")
        assert wire.recv().rstrip("\n") == "you are alice"
        try:
            yield broadcaster, wire
        finally:
            broadcaster.post([Hears(reader, None), Close(reader, politely=False)])
            broadcaster.stop()


def join(broadcaster: Broadcaster, who: Outbox, nickname: bytes) -> None:
    broadcaster.post(arrival(who, nickname), may_wait=True)
    broadcaster.wake()


@pytest.fixture
def joiners() -> Iterator[Joiners]:
    """As many as are wanted, each with a nickname."""
    with ExitStack() as opened:

        def more() -> Joiners:
            for n in count():
                who, theirs = outbox()
                opened.enter_context(who.sock)
                opened.enter_context(theirs)
                yield who, b"client %d" % n

        yield more()


@pytest.mark.parametrize("behind", [False, True])
def test_nobody_needs_to_speak_for_arrivals_to_be_told_of(behind: bool, joiners: Joiners) -> None:
    """Also the last of a burst, and also while a client is behind, and sockets are watched."""
    slow, theirs = pair(buffer=4096)
    with at_work() as (broadcaster, alice), theirs:
        if behind:
            broadcaster.post([ForOne(slow, b"x" * 100_000 + b"\n")])
            broadcaster.wake()
            until(lambda: slow.behind > 0)
        for burst in range(20):
            people = list(islice(joiners, 1 + burst % 4))
            for who, nickname in people:
                join(broadcaster, who, nickname)
            assert alice.lines(len(people)) == [f"{nickname.decode()} joined" for _, nickname in people]
        broadcaster.post([Close(slow, politely=False)])


def test_what_is_said_is_not_overtaken(monkeypatch: pytest.MonkeyPatch, joiners: Joiners) -> None:
    """Where arrivals would wait for an hour, a line brings them along, and so does the end."""
    monkeypatch.setattr(broadcaster_module, "ARRIVALS", 3600.0)
    with at_work() as (broadcaster, alice):
        (bob, bobs), (carol, carols) = islice(joiners, 2)
        join(broadcaster, bob, bobs)
        broadcaster.post_talk([ForRoom("lobby", b"bob: hi\n", bob)])
        broadcaster.wake()
        assert alice.lines(2) == ["client 0 joined", "bob: hi"]
        join(broadcaster, carol, carols)
        broadcaster.stop()
        assert alice.line() == "client 1 joined"


def test_in_the_raw_dialect_no_arrival_waits(monkeypatch: pytest.MonkeyPatch, joiners: Joiners) -> None:
    """Two notices in one send would be one message."""
    monkeypatch.setattr(broadcaster_module, "ARRIVALS", 3600.0)
    with at_work(raw=True) as (broadcaster, alice):
        for who, nickname in islice(joiners, 3):
            join(broadcaster, who, nickname)
            assert alice.recv() == f"{nickname.decode()} joined"


def test_people_who_come_at_the_same_time_all_hear_of_those_after_them() -> None:
    """Through a server: whoever was in before hears of each that came later, once, and in order."""
    with ChatServer(port=0) as server:
        wires = [Wire(server.address) for _ in range(20)]
        for n, wire in enumerate(wires):
            wire.send(f"client{n}")
        for wire in wires:
            assert wire.line() == "nickname"
            assert wire.line().startswith("* you are client")
        order = server.roster()
        wires[0].send("here I am")
        for n, wire in enumerate(wires):
            last = "client0: here I am"
            heard = [f"* {name} joined" for name in order[order.index(f"client{n}") + 1 :]]
            assert wire.lines(len(heard) + (n > 0)) == heard + [last] * (n > 0)
            wire.close()
