"""backplane/session.py, log.py and contact.py by hand: what one server asks of Redis, without one."""

from __future__ import annotations

import json
import threading
from typing import Any, cast

import pytest
from watched import takes

from labkit.server.backplane import contact, session
from labkit.server.backplane.backplane import GIVEN_UP
from labkit.server.backplane.contact import FIRST_PAUSE, LONGEST_PAUSE, Contact, growing_pauses
from labkit.server.backplane.log import (
    LONG_NAME,
    MOST,
    Answered,
    AsksWho,
    Ends,
    Enters,
    Entry,
    Exits,
    Member,
    Reached,
    SharedRoom,
    Told,
    changes_of,
)
from labkit.server.backplane.scripts import ENTRY
from labkit.server.backplane.session import WINDOW, Request, Session, Whispering, ignore, told_by
from labkit.server.connection import ServerConnection
from labkit.server.delivery import Close, Hears
from labkit.server.rooms import LOBBY, ToOne, ToRoom
from labkit.server.rooms import Enters as RoomsEnters
from labkit.wire.messages import (
    BACK,
    CUT_OFF,
    Acted,
    Joined,
    Left,
    Moved,
    Notice,
    Renamed,
    Said,
    Speech,
    Welcome,
)


class Person:
    """Stands for a connection."""

    def __init__(self) -> None:
        self.outbox = object()


def person() -> ServerConnection:
    return cast(ServerConnection, Person())


class Bench:
    """A session, and Redis played by hand."""

    def __init__(self) -> None:
        self.session = Session(threading.Lock())
        self.asked = self.commands()
        self.lobby = self.session.rooms[LOBBY]

    def commands(self, turn: int = 1, tell_from: int = 1000) -> list[Any]:
        """What is to be done now; the handlers are kept."""
        self.things = self.session.gather(turn, tell_from)
        return [command for command, _ in self.things]

    def answers(self, *answers: Any) -> None:
        for (_, handler), answer in zip(self.things, answers, strict=True):
            handler(answer)

    def followed(self) -> Member:
        """In the lobby, where there is nobody else yet."""
        self.answers([b"lobby", b"0", b"0-0", []])
        self.commands()
        member = self.session.member(person())
        member.room = self.lobby
        return member


@pytest.fixture
def bench() -> Bench:
    return Bench()


# --- rooms ---


def test_every_session_follows_the_lobby(bench: Bench) -> None:
    """It is used when Redis has answered; then the reader is rung."""
    assert bench.asked == [("follow", ("lobby", "lobby"))]
    assert not bench.lobby.followed.is_set() and bench.lobby not in bench.session.lively
    assert bench.session.ring("lobby") is None
    bench.answers([b"Lobby", b"70", b"5-1", [b"b.1", b"2 bob", b"a.1", b"1 ann lee"]])
    assert bench.lobby.followed.is_set() and bench.lobby in bench.session.lively
    assert (bench.lobby.name, bench.lobby.read, bench.lobby.heard, bench.lobby.told) == (
        "Lobby",
        70,
        70,
        70,
    )
    assert (bench.lobby.last, bench.lobby.heard_id, bench.lobby.untold) == ("5-1", "5-1", 0)
    assert list(bench.lobby.members.items()) == [("a.1", "ann lee"), ("b.1", "bob")]
    assert bench.commands() == [("ring", ())]
    assert bench.lobby.stream == "labkit:room:lobby"


def test_what_is_more_than_a_turn_takes_waits_for_the_next(bench: Bench) -> None:
    """Also in other rooms than the one that has filled it."""
    me = bench.followed()
    den = bench.session.follow("den", "Den")
    bench.commands()
    den.follow("Den", 0, "0-0", {})
    for room, size in ((bench.lobby, MOST), (den, 1)):
        bench.session.put(room, Told(ToRoom(room.key, Said("ann", "hi")), b"x" * size, me))
    turns = [[about[0] for name, about in bench.commands(turn) if name == "append"] for turn in (1, 2, 3)]
    assert turns == [["lobby"], ["den"], []]


def test_a_room_is_followed_as_long_as_it_is_used(bench: Bench) -> None:
    """By as many as there are; it is left when the last has gone, and nothing is pending there."""
    bench.followed()
    den = bench.session.follow("den", "Den")
    assert bench.session.follow("den", "DEN") is den and den.users == 2
    assert bench.commands() == [("follow", ("den", "Den"))]
    bench.session.leave(den)
    assert bench.commands() == []
    things = bench.session.gather(1, 1)
    assert things == []
    den.follow("Den", 0, "0-0", {})
    bench.session.lively[den] = 1.0
    bench.session.held.add(den)
    bench.session.put(den, Reached(threading.Event()))
    bench.session.leave(den)
    assert den.busy and bench.session.rooms["den"] is den
    den.pending.clear()
    bench.session.leave_if_empty(den)
    assert "den" not in bench.session.rooms and den not in bench.session.lively
    assert den not in bench.session.held
    assert bench.commands() == [("unfollow", ("den",))]
    bench.session.leave_if_empty(den)
    assert bench.commands() == []
    assert bench.session.ring("den") is None


def test_a_room_that_is_left_before_it_is_followed(bench: Bench) -> None:
    """It is unfollowed when the answer has come."""
    bench.followed()
    den = bench.session.follow("den", "den")
    bench.commands()
    bench.session.leave(den)
    assert bench.session.rooms["den"] is den
    bench.answers([b"den", b"0", b"0-0", []])
    assert "den" not in bench.session.rooms
    assert bench.commands() == [("unfollow", ("den",)), ("ring", ())]


def test_the_lobby_is_never_left(bench: Bench) -> None:
    bench.followed()
    bench.session.leave(bench.lobby)
    assert bench.session.rooms[LOBBY] is bench.lobby and bench.commands() == []


@pytest.mark.parametrize(
    ("answer", "more", "rung", "read_on"),
    [(1, False, False, False), (0, False, False, True), (1, True, False, True), (1, False, True, True)],
)
def test_a_quiet_room_is_read_no_more(
    bench: Bench, answer: int, more: bool, rung: bool, read_on: bool
) -> None:
    """If Redis agrees, and nothing came meanwhile; until it is rung."""
    bench.followed()
    bench.lobby.last = "7-0"
    bench.session.hush(bench.lobby)
    assert bench.commands() == [("hush", ("lobby", "7-0"))] and bench.lobby.hushing
    if more:
        bench.lobby.last = "8-0"
    if rung:
        assert bench.session.ring("lobby") is bench.lobby
    bench.answers(answer)
    assert (bench.lobby in bench.session.lively) is read_on and not bench.lobby.hushing
    assert bench.session.ring("lobby") is bench.lobby and bench.lobby in bench.session.lively


# --- what is said and done ---


def test_what_is_said_goes_out_in_one_entry(bench: Bench) -> None:
    """With who came or went; after it what is released; each room once."""
    me = bench.followed()
    session_ = bench.session
    client = me.client
    for message in (
        Joined("ann"),
        Said("ann", "hi"),
        Renamed("ann", "än"),
        Moved("än", "den"),
        Left("än", "quit"),
    ):
        session_.add(me, ToRoom("lobby", message, client))
    me.fields = ("n:an",)
    session_.add(me, ToRoom("lobby", Left("än", "quit"), client))
    session_.add(me, ToOne(client, Welcome("än", "lobby")))
    assert bench.lobby.busy and bench.lobby.waiting == sum(
        len(op.data) for op in bench.lobby.pending if isinstance(op, (Told, Answered))
    )
    changes = json.dumps(
        [["+", me.id, "ann"], ["=", me.id, "än"], *[["-", me.id, ""]] * 3], ensure_ascii=False
    )
    text = "* ann joined\nann: hi\n* ann is now än\n* än went to den\n* än left (quit)\n* än left (quit)\n"
    assert bench.commands(3) == [
        ("append", ("lobby", text.encode(), changes)),
        ("release", (me.id, "n:an")),
    ]
    assert bench.lobby.waiting == 0 and not bench.lobby.pending
    ((turn, batch),) = bench.lobby.sent
    assert turn == 3 and len(batch.ops) >= 7 and batch.size == len(batch.text) + ENTRY
    assert bench.commands() == []
    session_.add(me, ToRoom("lobby", Said("ann", "hi"), client))
    assert bench.commands() == [("append", ("lobby", b"ann: hi\n", ""))]


def test_what_waits_is_counted(bench: Bench) -> None:
    """What it takes up, and what the answer to a question will."""
    me = bench.followed()
    bench.lobby.members = {"a": "x", "b": "y", "c": "z"}
    bench.session.put(bench.lobby, Answered(me, b"1234"))
    bench.session.put(bench.lobby, AsksWho(me))
    bench.session.put(bench.lobby, Reached(threading.Event()))
    assert bench.lobby.waiting == 4 + 3 * LONG_NAME == 124


@pytest.mark.parametrize(
    ("message", "talk"),
    [
        (Said("a", "b"), True),
        (Acted("a", "b"), True),
        (Speech("a", b"b\n"), True),
        (Joined("a"), False),
        (Notice("a"), False),
    ],
)
def test_what_is_talk(message: Any, talk: bool) -> None:
    """No client comes or goes with it."""
    assert Told(ToRoom("lobby", message), b"", cast(Member, None)).is_talk is talk


def test_changes_happen_to_those_who_are_there() -> None:
    """As they were told; who was there before keeps its place."""
    room = SharedRoom("lobby", members={"a": "ann", "b": "bob"})
    me = Member("me.1", person())
    for message, members in (
        (Said("x", "y"), {"a": "ann", "b": "bob"}),
        (Joined("eve"), {"a": "ann", "b": "bob", "me.1": "eve"}),
        (Renamed("eve", "eva"), {"a": "ann", "b": "bob", "me.1": "eva"}),
        (Moved("eva", "den"), {"a": "ann", "b": "bob"}),
        (Left("eva", "quit"), {"a": "ann", "b": "bob"}),
    ):
        room.happened(Told(ToRoom("lobby", cast(Any, message)), b"", me))
        assert room.members == members
    room.change("=", "a", "anna")
    room.change("-", "nobody", "")
    assert list(room.members.items()) == [("a", "anna"), ("b", "bob")]
    assert changes_of(Entry("1-0", {})) == []
    assert Entry("1-0", {}).size == ENTRY and Entry("1-0", {b"t": b"abc"}).size == ENTRY + 3


def test_going_to_anaskedroom(bench: Bench) -> None:
    """It leaves the one before it enters the other; and one that leaves for good enters none."""
    me = bench.followed()
    den = bench.session.follow("den", "den")
    bench.session.add(me, RoomsEnters(me.client, "Den"))
    (exits,) = bench.lobby.pending
    assert isinstance(exits, Exits) and exits.moves and exits.room == "lobby" and exits.member is me
    assert den.pending == [Enters(me, exits)] and me.room is den
    bench.session.add(me, RoomsEnters(me.client, None))
    *_, last = den.pending
    assert isinstance(last, Exits) and not last.moves and me.room is den
    bench.session.end(me, politely=True)
    assert den.pending[-1] == Ends(me, True)
    assert set(bench.session.touched) == {bench.lobby, den}
    new = bench.session.member(person())
    new.room = None
    bench.session.add(new, RoomsEnters(new.client, "lobby"))
    assert bench.lobby.pending[-1] == Enters(new, None)


@pytest.mark.parametrize(
    ("deliveries", "whose"),
    [
        ([], None),
        (["room"], None),
        (["room", "one"], "b"),
        (["room", "but"], "a"),
        (["enters"], "b"),
        (["but", "one"], "a"),
    ],
)
def test_whose_deed_it_was(deliveries: list[str], whose: str | None) -> None:
    """The one it is not told to; or the first that it is for."""
    made: dict[str, Any] = {
        "room": ToRoom("lobby", Notice("x")),
        "but": ToRoom("lobby", Notice("x"), "a"),
        "one": ToOne("b", Notice("x")),
        "enters": RoomsEnters("b", None),
    }
    told: object = told_by([made[name] for name in deliveries])
    assert told == whose


# --- how far it was read ---


@pytest.mark.parametrize(
    ("heard", "tell_from", "held", "told"),
    [
        (1000, 1000, False, False),
        (1001, 1000, False, True),
        (1, 1000, True, True),
    ],
)
def test_the_others_are_told_how_far_it_was_read(
    bench: Bench, heard: int, tell_from: int, held: bool, told: bool
) -> None:
    """When that is much, or they wait for it; now and then of all rooms."""
    bench.followed()
    bench.lobby.heard, bench.lobby.heard_id = heard, "9-0"
    if held:
        bench.session.held.add(bench.lobby)
    if tell_from:
        bench.session.touched[bench.lobby] = None
    asked = [(name, those[:3]) for name, those in bench.commands(1, tell_from)]
    assert asked == [("read", ("lobby", heard, "9-0"))] * told
    assert bench.lobby.untold == (0 if told else heard)
    if told:
        bench.answers(WINDOW)
        assert bench.lobby.lag == WINDOW and bench.lobby not in bench.session.held


def test_who_lags_holds_the_room(bench: Bench) -> None:
    """More than a window; until it has caught up."""
    me = bench.followed()
    for lag, held in ((WINDOW, False), (WINDOW + 1, True), (WINDOW, False)):
        bench.session.add(me, ToRoom("lobby", Said("ann", "hi"), me.client))
        bench.commands()
        bench.answers(*[str(lag).encode()] * len(bench.things))
        assert (bench.lobby in bench.session.held) is held


def test_a_room_that_was_left_is_not_told_of(bench: Bench) -> None:
    bench.followed()
    den = SharedRoom("den", "den")
    bench.session.put(den, Reached(threading.Event()))
    assert bench.commands() == []


# --- requests, names and whispers ---


def test_people_and_their_names(bench: Bench) -> None:
    """Each has a number of its own; names are released at once, or after what is said in the same turn."""
    me = bench.followed()
    assert bench.session.member(me.client) is me and me.id == f"{bench.session.server}.1"
    other = bench.session.member(person())
    assert other.id == f"{bench.session.server}.2"
    bench.session.release(me, ())
    bench.session.release(me, ("a", "b"))
    bench.session.release(other, ("c",), with_next_turn=True)
    bench.session.add(me, ToRoom("lobby", Said("ann", "hi"), me.client))
    asked = bench.commands()
    assert asked[0] == ("release", (me.id, "a", "b")) and len(asked) == 3
    assert ("append", ("lobby", b"ann: hi\n", "")) in asked and ("release", (other.id, "c")) in asked
    assert bench.commands() == []
    assert len(bench.session.server) == 8 and Session(threading.Lock()).server != bench.session.server


def test_what_is_asked_for_is_answered(bench: Bench) -> None:
    bench.followed()
    request = bench.session.ask("claim", "a", 3)
    bench.session.want("ring", ("x",))
    assert bench.commands() == [("claim", ("a", 3)), ("ring", ("x",))]
    assert not request.done.is_set() and bench.session._waiting == [request]
    bench.answers("yes", None)
    assert request.done.is_set() and request.answer == "yes" and bench.session._waiting == []


@pytest.mark.parametrize(
    ("server", "gone", "heard"), [(b"other", False, True), (b"", False, False), (b"other", True, False)]
)
def test_a_whisper_on_its_way(bench: Bench, server: bytes, gone: bool, heard: bool) -> None:
    """To a server that is there; what has become of it is told once."""
    bench.followed()
    first, second = Whispering("no", ("a", "b", "c")), Whispering("no", ("a", "b", "c"))
    bench.session.whisper("n:x", b"0\n", first)
    bench.session.whisper("n:bob", b"hi\n", second)
    assert bench.commands() == [("whisper", ("n:x", 1, b"0\n")), ("whisper", ("n:bob", 2, b"hi\n"))]
    if gone:
        bench.session.lose("other")
    bench.answers(b"third", server)
    assert second.done.is_set() is not heard and not second.heard and not first.done.is_set()
    bench.session.answer(2, True)
    assert second.heard is heard and second.done.is_set()
    bench.session.answer(2, False)
    assert second.heard is heard
    bench.session.lose("third")
    assert first.done.is_set() and not first.heard and bench.session.whispers == {}


def test_the_end_of_a_session_wakes_all_who_wait(bench: Bench) -> None:
    """And lets go of those who have left, each once and as they are to be."""
    me = bench.followed()
    other, third = bench.session.member(person()), bench.session.member(person())
    third.gone = True
    request, whispering = bench.session.ask("x"), Whispering("no", ("a", "b", "c"))
    bench.session.whisper("n:bob", b"hi\n", whispering)
    den = bench.session.follow("den", "den")
    reached = [threading.Event() for _ in range(3)]
    bench.lobby.now.append(Reached(reached[0]))
    bench.session.put(bench.lobby, Reached(reached[1]))
    bench.session.put(bench.lobby, Ends(me, True))
    bench.lobby.take(1)
    bench.session.put(bench.lobby, Reached(reached[2]))
    bench.session.put(bench.lobby, Ends(other, False))
    bench.session.put(bench.lobby, Ends(third, True))
    bench.session.put(bench.lobby, Ends(me, True))
    assert bench.session.abandon() == [
        Hears(me.outbox, None),
        Close(me.outbox, True),
        Hears(other.outbox, None),
        Close(other.outbox, False),
    ]
    assert bench.session.over and request.done.is_set() and request.answer is None
    assert whispering.done.is_set() and not whispering.heard and den.followed.is_set()
    assert all(event.is_set() for event in reached) and me.gone and other.gone


def test_defaults() -> None:
    """What has not happened yet."""
    request, room = Request(), SharedRoom("x")
    assert not request.done.is_set() and request.answer is None
    ignore(3)
    assert (room.name, room.users, room.waiting, room.last, room.read, room.heard) == (
        "",
        0,
        0,
        "0-0",
        0,
        0,
    )
    assert (room.heard_id, room.told, room.lag, room.hushing, room.busy) == ("0-0", 0, 0, False, False)
    exits = Exits(cast(Member, None))
    assert (exits.room, exits.moves, exits.early, exits.done) == ("", True, False, False)
    member = Member("a.1", person())
    assert (member.fields, member.told, member.gone, member.room) == ((), False, False, None)
    assert member.outbox is member.client.outbox
    whispering = Whispering("no", ("a", "b", "c"))
    assert (whispering.heard, whispering.server) == (False, "")
    assert session.WINDOW == 4 * 1024 * 1024
    assert GIVEN_UP == "this server lost its place among the others: come again"


# --- whether Redis can be reached ---


def test_pauses_grow() -> None:
    """Each twice the last, to an end."""
    pauses = growing_pauses()
    assert [next(pauses) for _ in range(8)] == [0.02, 0.04, 0.08, 0.16, 0.32, 0.5, 0.5, 0.5]
    assert (FIRST_PAUSE, LONGEST_PAUSE) == (0.02, 0.5)


def test_what_is_told_of_a_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its reason, once it has lasted; to the tenth of a second, since it was first noticed."""
    now = [100.0]
    monkeypatch.setattr(contact, "monotonic", lambda: now[0])
    told: list[tuple[str, str]] = []
    it = Contact(lambda text, why: told.append((text, why)))
    assert not it.cut_off and not it.told and it.why == ""
    it.found("writer")
    it.lost("writer", 100.0, "one")
    now[0] = 100.25
    it.lost("writer", 100.2, "two")
    assert told == [] and it.cut_off and not it.told
    now[0] = 100.35
    it.lost("writer", 100.3, "three")
    assert told == [(CUT_OFF, "three")] and it.told and it.why == "three"
    it.lost("reader", 100.35, "four")
    assert it.why == "three"
    it.found("writer")
    assert len(told) == 1 and it.told and it.why == "three" and it.cut_off
    it.found("reader")
    assert told[1:] == [(BACK, "")] and not it.told and it.why == "" and not it.cut_off
    takes(it, "_lock", lambda: it.lost("writer", 100.0, "x"), lambda: it.found("writer"))
