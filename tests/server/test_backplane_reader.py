"""backplane/reader.py by hand: what happens when the streams say so, without Redis and without a thread."""

from __future__ import annotations

import json
import threading
from typing import Any, cast

import pytest

from labkit.journal import Journal
from labkit.server.backplane import reader as reading
from labkit.server.backplane.log import Answered, AsksWho, Ends, Enters, Exits, Member, Reached, SharedRoom
from labkit.server.backplane.reader import FORGIVEN, LATELY, LONGEST_WAIT, Reader
from labkit.server.backplane.scripts import ENTRY
from labkit.server.backplane.session import Session, Whispering
from labkit.server.backplane.writer import TELL_READ
from labkit.server.connection import ServerConnection
from labkit.server.delivery import Close, ForOne, ForRoom, Hears
from labkit.server.rooms import ToRoom
from labkit.wire.messages import Joined, Left, Renamed, Said


class Person:
    """Stands for a connection."""

    def __init__(self) -> None:
        self.outbox = object()


class Bench:
    """A reader, with all that it works on; `posted` is what the broadcaster is given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(reading, "monotonic", lambda: self.now)
        monkeypatch.setattr("labkit.server.backplane.session.monotonic", lambda: self.now)
        self.session = Session(threading.Lock())
        self.posted: list[Any] = []
        self.woken = 0
        self.slow: set[str] = set()
        self.far: set[object] = set()
        self.journal = Journal()
        self.reader = Reader(
            cast(Any, None),
            cast(Any, None),
            self.session.lock,
            lambda: self.session,
            cast(Any, self),
            cast(Any, self),
            self.journal,
            4096,
        )
        self.lobby = self.session.rooms["lobby"]
        self.lobby.follow("Lobby", 100, "1-0", {"b.1": "1 bob"})
        self.session.lively[self.lobby] = self.now
        self.session.requests.clear()
        self.number = 1

    # What it needs of the writer and of the broadcaster.

    def wake(self) -> None:
        self.woken += 1

    def post(self, entries: list[Any]) -> None:
        self.posted += entries

    def is_slow(self, room: str) -> bool:
        return room in self.slow

    def is_far(self, outbox: object) -> bool:
        return outbox in self.far

    # --- what comes ---

    def entry(
        self, room: SharedRoom, at: int | None = None, **fields: Any
    ) -> tuple[str, dict[bytes, bytes]]:
        self.number += 1
        known = {name.encode(): str(value).encode() for name, value in fields.items()}
        return f"{self.number}-0", {b"a": str(room.read if at is None else at).encode(), **known}

    def reads(self, *found: tuple[str, list[Any]]) -> None:
        asked = {room.stream: room for room in self.session.rooms.values()}
        self.reader._take(self.session, asked, set(self.session.lively), list(found))

    def hears(self, room: SharedRoom, **fields: Any) -> list[Any]:
        """What is posted when this entry comes in the room's stream."""
        self.reads((room.stream, [self.entry(room, **fields)]))
        posted, self.posted = self.posted, []
        return posted

    def happens(self, room: SharedRoom, *ops: Any) -> list[Any]:
        """What is posted when what this server's people did comes back."""
        for op in ops:
            self.session.put(room, op)
        batch = room.take(7)
        return self.hears(room, o=self.session.server, k=7, t=batch.text.decode(), m=batch.changes)

    def mail(self, **fields: Any) -> None:
        self.number += 1
        fields["p"] = self.session.mail  # which was the one before it
        letter = {name.encode(): str(value).encode() for name, value in fields.items()}
        self.reads((f"labkit:mail:{self.session.server}", [(f"{self.number}-0", letter)]))

    def member(self, nickname: str = "") -> Member:
        member = self.session.member(cast(ServerConnection, Person()))
        member.room = self.lobby
        if nickname:
            self.session.names[nickname] = member
        return member

    def asked(self) -> list[Any]:
        """What is to be done in Redis."""
        asked, self.session.requests = self.session.requests, []
        return [command for command, _ in asked]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


# --- what other servers' people do ---


def test_what_others_say_is_heard_as_it_is_written(bench: Bench) -> None:
    """And who came or went with it is known; what only tells that is not heard."""
    changes = json.dumps([["+", "b.2", "eve"], ["=", "b.1", "rob"]])
    assert bench.hears(bench.lobby, o="b", k=1, t="bob: hi\n", m=changes) == [
        ForRoom("Lobby", b"bob: hi\n")
    ]
    assert bench.lobby.members == {"b.1": "rob", "b.2": "eve"}
    assert bench.hears(bench.lobby, o="b", k=2, t="", m="") == []
    size = len("bob: hi\n") + 2 * ENTRY
    assert (bench.lobby.heard, bench.lobby.read) == (100 + size, 100 + size)
    assert bench.lobby.heard_id == bench.lobby.last == "3-0" and bench.lobby.untold == size
    assert not bench.session.broken


def test_a_server_that_is_lost(bench: Bench) -> None:
    """Its people have left, each told once, with the reason."""
    bench.lobby.members |= {"b.2": "eve", "c.1": "carol"}
    assert bench.hears(bench.lobby, x="b", why="server lost", t="") == [
        ForRoom("Lobby", b"* bob left (server lost)\n"),
        ForRoom("Lobby", b"* eve left (server lost)\n"),
    ]
    assert bench.lobby.members == {"c.1": "carol"}
    assert [(e.kind, e.who, e.what, e.where) for e in bench.journal] == [
        ("left", "bob", "server lost", "Lobby"),
        ("left", "eve", "server lost", "Lobby"),
    ]


def test_this_server_was_given_up(bench: Bench) -> None:
    """It is known at once, and nothing after it is read."""
    bench.reads((bench.lobby.stream, [bench.entry(bench.lobby, x=bench.session.server, why="x")]))
    assert bench.session.broken == "the others have given this server up"
    assert bench.woken == 1 and bench.posted == [] and bench.lobby.last == "1-0"


def test_something_is_missing(bench: Bench) -> None:
    """Each entry says how much was written before it."""
    bench.reads((bench.lobby.stream, [bench.entry(bench.lobby, at=101, o="b", k=1, t="x\n", m="")]))
    assert bench.session.broken == "something is missing in Lobby" and bench.woken == 1
    assert bench.posted == []


def test_a_room_that_was_left_meanwhile_is_passed_over(bench: Bench) -> None:
    """Or followed anew, and is another one now."""
    old = bench.session.rooms.pop("lobby")
    bench.session.rooms["lobby"] = SharedRoom("lobby")
    entry = bench.entry(old, o="b", k=1, t="x\n", m="")
    bench.reader._take(bench.session, {old.stream: old}, set(), [(old.stream, [entry])])
    assert bench.posted == [] and old.last == "1-0" and not bench.session.broken


# --- what this server's people did ---


def test_what_ones_own_people_did_happens_when_it_comes_back(bench: Bench) -> None:
    """In its order; who said it does not hear it, and what is for one alone is."""
    me = bench.member()
    client, event = me.client, threading.Event()
    bench.lobby.tell(ToRoom("Lobby", Joined("ann"), client), me)
    bench.lobby.tell(ToRoom("Lobby", Said("ann", "hi"), client), me)
    bench.lobby.tell(ToRoom("Lobby", Left("ann", "quit")), me)
    assert bench.happens(bench.lobby, Answered(me, b"* hello\n"), AsksWho(me), Reached(event)) == [
        ForRoom("Lobby", b"* ann joined\n", me.outbox),
        ForRoom("Lobby", b"ann: hi\n", me.outbox),
        ForRoom("Lobby", b"* ann left (quit)\n", None),
        ForOne(me.outbox, b"* hello\n"),
        ForOne(me.outbox, b"* in Lobby: bob\n"),
    ]
    assert event.is_set() and not bench.lobby.busy
    assert [(e.kind, e.who, e.what) for e in bench.journal] == [
        ("joined", "ann", ""),
        ("said", "ann", "hi"),
        ("left", "ann", "quit"),
    ]


def test_names_are_known_as_they_happen(bench: Bench) -> None:
    """Whispers reach who has the name now; a name that another has is not taken from it."""
    me, other = bench.member(), bench.member("old")
    for message, names in (
        (Joined("Ann"), {"ann": me, "old": other}),
        (Renamed("Ann", "Eve"), {"eve": me, "old": other}),
        (Renamed("old", "New"), {"eve": me, "old": other, "new": me}),
        (Left("old", "quit"), {"eve": me, "old": other, "new": me}),
        (Left("New", "quit"), {"eve": me, "old": other}),
    ):
        bench.lobby.tell(ToRoom("Lobby", cast(Any, message), me.client), me)
        bench.happens(bench.lobby)
        assert bench.session.names == names
    assert bench.lobby.members == {"b.1": "bob"}


def test_one_that_is_gone_is_told_nothing_more(bench: Bench) -> None:
    """But what waits for it happens."""
    me = bench.member()
    me.gone = True
    exits = Exits(me)
    users = bench.lobby.users
    assert (
        bench.happens(
            bench.lobby, Answered(me, b"x\n"), AsksWho(me), Enters(me, None), exits, Ends(me, True)
        )
        == []
    )
    assert exits.done and bench.lobby.users == users - 2


@pytest.mark.parametrize("politely", [True, False])
def test_the_end_of_one(bench: Bench, politely: bool) -> None:
    """It hears no room, and is closed; it does not use the room any more."""
    me = bench.member()
    bench.lobby.users = 5
    assert bench.happens(bench.lobby, Exits(me, moves=False), Ends(me, politely)) == [
        Hears(me.outbox, None),
        Hears(me.outbox, None),
        Close(me.outbox, politely),
    ]
    assert me.gone and bench.lobby.users == 4


# --- from one room to another ---


def den(bench: Bench) -> SharedRoom:
    room = bench.session.follow("den", "Den")
    room.follow("Den", 0, "0-0", {})
    bench.session.lively[room] = bench.now
    bench.session.requests.clear()
    return room


def test_one_that_moves_leaves_before_it_enters(bench: Bench) -> None:
    """Whichever stream comes first."""
    me, other = bench.member(), den(bench)
    exits = Exits(me, "Lobby")
    assert bench.happens(other, Enters(me, exits), Answered(me, b"* welcome\n")) == []
    assert other.busy
    assert bench.happens(bench.lobby, exits) == [
        Hears(me.outbox, None),
        Hears(me.outbox, "Den"),
        ForOne(me.outbox, b"* welcome\n"),
    ]
    assert not other.busy
    late = Exits(me, "Den")
    bench.happens(other, late)
    assert bench.happens(bench.lobby, Enters(me, late)) == [Hears(me.outbox, "Lobby")]


def test_a_room_does_not_wait_for_a_slow_one_for_ever(bench: Bench) -> None:
    """A moment, once: then one that leaves it need not have heard all of it."""
    me, other = bench.member(), den(bench)
    exits = Exits(me, "Lobby")
    bench.slow.add("Lobby")
    assert bench.happens(other, Enters(me, exits)) == []
    bench.now += LONGEST_WAIT - 0.01
    bench.reads()
    assert bench.posted == [] and not exits.done
    bench.now += 0.02
    bench.reads()
    assert bench.posted == [Hears(me.outbox, None), Hears(me.outbox, "Den")] and exits.done and exits.early
    bench.posted.clear()
    assert bench.happens(bench.lobby, exits) == []  # it has gone already
    second = Exits(me, "Lobby")
    assert bench.happens(other, Enters(me, second)) == [Hears(me.outbox, None), Hears(me.outbox, "Den")]
    bench.slow.clear()
    bench.now += FORGIVEN + 0.1
    third = Exits(me, "Lobby")
    bench.happens(other, Enters(me, third))
    bench.now += 0.1
    bench.slow.add("Lobby")
    fourth = Exits(me, "Lobby")
    assert not fourth.done and bench.happens(other, Enters(me, fourth)) == []


def test_how_far_it_was_read_is_told_when_it_is_much(bench: Bench) -> None:
    """And not for a line."""
    bench.session.touched.clear()
    bench.hears(bench.lobby, o="b", k=1, t="x" * (TELL_READ - ENTRY), m="")
    assert bench.session.touched == {} and bench.woken == 0
    bench.hears(bench.lobby, o="b", k=1, t="x", m="")
    assert bench.session.touched == {bench.lobby: None} and bench.woken == 1


def test_a_room_in_which_nothing_happens_is_read_no_more(bench: Bench) -> None:
    """After a while; not while something is still to happen there."""
    bench.now += LATELY
    bench.reads()
    assert bench.asked() == []
    bench.now += 0.1
    bench.lobby.sent.append(cast(Any, (1, None)))
    bench.reads()
    assert bench.asked() == [] and bench.woken == 0
    bench.lobby.sent.clear()
    bench.reads()
    assert bench.asked() == [("hush", ("lobby", "1-0"))] and bench.woken == 1
    bench.reads()
    assert bench.asked() == []
    bench.lobby.hushing = False
    bench.hears(bench.lobby, o="b", k=1, t="x\n", m="")
    assert bench.session.lively[bench.lobby] == bench.now and bench.asked() == []


# --- the mail ---


def test_a_whisper_from_another_server(bench: Bench) -> None:
    """To one that is here; whether it was heard is answered, when it can be."""
    me, gone = bench.member("ann"), bench.member("gone")
    gone.gone = True
    for name, heard in (("ann", 1), ("gone", 0), ("nobody", 0)):
        bench.mail(w=5, s="b", f=f"n:{name}", t="bob -> you: hi\n")
        assert bench.posted == [ForOne(me.outbox, b"bob -> you: hi\n")] * heard
        assert bench.asked() == [("answer", ("b", 5, heard))]
        bench.posted.clear()
    assert bench.woken == 3
    assert bench.session.mail == f"{bench.number}-0"
    bench.far.add(me.outbox)
    bench.mail(w=6, s="b", f="n:ann", t="x\n")
    assert bench.asked() == [] and len(bench.session.late) == 1
    bench.reader._answer_late(bench.session)
    assert bench.asked() == [] and len(bench.session.late) == 1
    bench.far.clear()
    woken = bench.woken
    bench.reader._answer_late(bench.session)
    assert (
        bench.asked() == [("answer", ("b", 6, 1))] and bench.session.late == [] and bench.woken == woken + 1
    )


@pytest.mark.parametrize("heard", [True, False])
def test_what_has_become_of_a_whisper(bench: Bench, heard: bool) -> None:
    """Its sender is told; so it is when the other server is gone."""
    whispering, other = (Whispering("no", ("a", "b", "c"), server="b") for _ in range(2))
    bench.session.whispers = {3: whispering, 4: other}
    bench.mail(r=3, heard=int(heard))
    assert whispering.done.is_set() and whispering.heard is heard and not other.done.is_set()
    bench.mail(gone="b")
    assert other.done.is_set() and not other.heard and "b" in bench.session.gone


def test_a_letter_waits_for_a_room_that_is_to_be_read_first(bench: Bench) -> None:
    """Who whispers may have said something aloud before."""
    me, other = bench.member("ann"), den(bench)
    del bench.session.lively[other]
    bench.mail(n="den")
    assert other in bench.session.lively and len(bench.session.letters) == 0
    del bench.session.lively[other]
    mail = f"labkit:mail:{bench.session.server}"
    letters = [
        ("80-0", {b"n": b"nowhere", b"p": bench.session.mail.encode()}),
        ("90-0", {b"n": b"den", b"p": b"80-0"}),
        ("100-0", {b"w": b"1", b"s": b"b", b"f": b"n:ann", b"t": b"x\n", b"p": b"90-0"}),
    ]
    bench.reads((mail, letters))
    assert bench.posted == [] and len(bench.session.letters) == 1 and bench.session.mail == "100-0"
    bench.reads()
    assert bench.posted == [ForOne(me.outbox, b"x\n")] and not bench.session.letters
