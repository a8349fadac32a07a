"""rooms.py: who is here and who hears what, without a socket or a thread in sight."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from labkit.server.rooms import LOBBY, Delivery, Enters, Refusal, Rooms, ToOne, ToRoom
from labkit.wire.messages import (
    HELP,
    Act,
    Acted,
    FromClient,
    FromServer,
    Help,
    Join,
    Joined,
    Left,
    Moved,
    Notice,
    Rename,
    Renamed,
    Said,
    Say,
    Speech,
    Welcome,
    Whisper,
    Whispered,
    Who,
    from_client,
)


def rooms_with(*nicknames: str) -> Rooms[int]:
    """Rooms with these people in the lobby: 1 is the first of them."""
    rooms: Rooms[int] = Rooms()
    for who, nickname in enumerate(nicknames, 1):
        rooms.join(who, nickname)
    return rooms


def snapshot(rooms: Rooms[int]) -> list[tuple[int, str, str]]:
    return [(p.who, p.nickname, p.room.name) for p in rooms.people()]


def notices(deliveries: list[Delivery[int]]) -> list[str]:
    return [d.message.line() for d in deliveries if isinstance(d, ToOne)]


# --- coming and going ---


def test_join() -> None:
    """A newcomer hears the lobby from then on, is welcomed by the name as shown, and is announced."""
    rooms = rooms_with("alice")
    assert rooms.join(2, " Ｂｏｂ ") == [
        Enters(2, LOBBY),
        ToOne(2, Welcome("Bob", LOBBY)),
        ToRoom(LOBBY, Joined("Bob"), but=2),
    ]
    assert snapshot(rooms) == [(1, "alice", LOBBY), (2, "Bob", LOBBY)]
    assert len(rooms) == 2 and 2 in rooms and 3 not in rooms
    assert rooms.nickname(2) == "Bob" and rooms.room(2) == LOBBY


@pytest.mark.parametrize(
    ("nickname", "why"),
    [
        ("alice", "the nickname alice is taken"),
        ("ALICE", "the nickname ALICE is taken"),
        ("Ａｌｉｃｅ", "the nickname Alice is taken"),
        (" alice ", "the nickname alice is taken"),
        ("", "that nickname will not do: it is empty"),
        ("a b", "that nickname will not do: no white space inside a name"),
        ("/quit", "that nickname will not do: a name cannot begin with '/'"),
    ],
)
def test_a_refused_newcomer_changes_nothing(nickname: str, why: str) -> None:
    """A name that is taken, in whatever letters, or not fit: the reason is told, and nothing changes."""
    rooms = rooms_with("alice")
    with pytest.raises(Refusal) as refused:
        rooms.join(2, nickname)
    assert str(refused.value) == why
    assert snapshot(rooms) == [(1, "alice", LOBBY)] and 2 not in rooms


def test_no_client_joins_twice() -> None:
    """A client cannot join again under a second name: that is the caller's mistake."""
    rooms = rooms_with("alice")
    with pytest.raises(ValueError, match="1 is here already, as alice"):
        rooms.join(1, "bob")
    assert snapshot(rooms) == [(1, "alice", LOBBY)]
    rooms.join(2, "bob")


def test_leave() -> None:
    """The room is told once, with the reason, and the nickname is free again, in any letters."""
    rooms = rooms_with("alice", "bob")
    assert rooms.leave(1, "hung up") == [Enters(1, None), ToRoom(LOBBY, Left("alice", "hung up"))]
    assert 1 not in rooms and snapshot(rooms) == [(2, "bob", LOBBY)]
    rooms.join(3, "ALICE")
    assert rooms.nickname(3) == "ALICE"


@pytest.mark.parametrize(
    "act", [lambda h: h.leave(1, "quit"), lambda h: h.do(1, Say("hello")), lambda h: h.room(1)]
)
def test_only_those_who_are_here(act: object) -> None:
    """Asking anything of a client that is not here is the caller's mistake."""
    with pytest.raises(KeyError):
        act(rooms_with())  # type: ignore[operator]


# --- saying ---


def test_say_and_act() -> None:
    """What is said goes to all in the room but the one who said it."""
    rooms = rooms_with("alice", "bob")
    assert rooms.do(1, Say("hello")) == [ToRoom(LOBBY, Said("alice", "hello"), but=1)]
    assert rooms.do(2, Act("waves")) == [ToRoom(LOBBY, Acted("bob", "waves"), but=2)]


def test_whisper() -> None:
    """A whisper goes to the one it is for, by any way to write the name, in whatever room."""
    rooms = rooms_with("alice", "Bob")
    rooms.do(2, Join("tea"))
    for name in ("Bob", "bob", "ＢＯＢ"):
        assert rooms.do(1, Whisper(name, "psst")) == [ToOne(2, Whispered("alice", "psst"))]


@pytest.mark.parametrize(
    ("what", "why"),
    [
        (Whisper("carol", "hi"), "nobody here is called carol"),
        (Whisper("x" * 400, "hi"), f"nobody here is called {'x' * 39}…"),
        (Whisper("a:b", "hi"), "nobody here is called a:b"),
        (Whisper("ALICE", "hi"), "that is you"),
        (Rename("BOB"), "the nickname BOB is taken"),
        (Rename("alice"), "you are alice already"),
        (Rename("a b"), "that nickname will not do: no white space inside a name"),
        (Rename("x" * 33), "that nickname will not do: too long: 33 characters, at most 32"),
        (Join("LOBBY"), "you are in lobby already"),
        (Join("#tea"), "not a room's name: a name cannot begin with '#'"),
        (Join("tea room"), "not a room's name: no white space inside a name"),
        (Say("x" * 4089), "too long: with your nickname before it, over 4096 bytes"),
        (Act("x" * 4088), "too long: with your nickname before it, over 4096 bytes"),
        (Whisper("bob", "x" * 4082), "too long: with your nickname before it, over 4096 bytes"),
        (Say("🙂" * 1023), "too long: with your nickname before it, over 4096 bytes"),
        (Say("é" * 2045), "too long: with your nickname before it, over 4096 bytes"),
    ],
)
def test_a_refusal_changes_nothing(what: FromClient, why: str) -> None:
    """What cannot be done is told to the client that asked, and nothing changes."""
    rooms = rooms_with("alice", "bob")
    before = snapshot(rooms)
    with pytest.raises(Refusal) as refused:
        rooms.do(1, what)
    assert str(refused.value) == why
    assert snapshot(rooms) == before
    assert rooms.do(2, Whisper("alice", "hi")) == [ToOne(1, Whispered("bob", "hi"))]


@pytest.mark.parametrize(
    "what",
    [Say("x" * 4088), Act("x" * 4087), Whisper("bob", "x" * 4081), Say("é" * 2044), Say("🙂" * 1022)],
)
def test_the_longest_line_that_will_do(what: FromClient) -> None:
    """With the nickname before it and the LF after it, a line may have 4096 bytes and not one more."""
    [delivery] = rooms_with("alice", "bob").do(1, what)
    assert isinstance(delivery, ToRoom | ToOne)
    assert len(delivery.message.line().encode()) + 1 == 4096


def test_rooms_with_shorter_lines() -> None:
    """Rooms with shorter lines refuse earlier, and say so."""
    rooms: Rooms[int] = Rooms(max_line=512)
    rooms.join(1, "alice")
    rooms.do(1, Say("x" * 504))
    with pytest.raises(Refusal, match="over 512 bytes"):
        rooms.do(1, Say("x" * 505))


@pytest.mark.parametrize("line", ["* bob joined", "! no", "nickname", "bob: hi", "//who"])
def test_said_is_said(line: str) -> None:
    """Words that look like another line are words."""
    [delivery] = rooms_with("alice").do(1, from_client(line))
    assert isinstance(delivery, ToRoom) and delivery.message.line() == f"alice: {line.removeprefix('/')}"


# --- names and rooms ---


def test_rename() -> None:
    """A new name is told to its owner and to the room; the old one is free, the new one taken."""
    rooms = rooms_with("alice", "bob")
    assert rooms.do(1, Rename("al")) == [
        ToOne(1, Welcome("al", LOBBY)),
        ToRoom(LOBBY, Renamed("alice", "al"), but=1),
    ]
    assert snapshot(rooms) == [(1, "al", LOBBY), (2, "bob", LOBBY)]
    rooms.join(3, "alice")
    with pytest.raises(Refusal, match="the nickname AL is taken"):
        rooms.join(4, "AL")


def test_rename_in_other_letters() -> None:
    """A client's own name in other letters is a new name, and still taken for all others."""
    rooms = rooms_with("alice")
    rooms.do(1, Rename("ALICE"))
    assert rooms.nickname(1) == "ALICE"
    with pytest.raises(Refusal, match="is taken"):
        rooms.join(2, "alice")
    rooms.leave(1, "quit")
    rooms.join(2, "alice")


def test_move() -> None:
    """Who goes to another room hears that one, is welcomed there, and both rooms are told."""
    rooms = rooms_with("alice", "bob", "carol")
    rooms.do(3, Join("Tea"))
    assert rooms.do(1, Join("ｔｅａ")) == [
        ToRoom(LOBBY, Moved("alice", "Tea"), but=1),
        Enters(1, "Tea"),  # the room's name is the first comer's way to write it
        ToOne(1, Welcome("alice", "Tea")),
        ToRoom("Tea", Joined("alice"), but=1),
    ]
    assert rooms.do(1, Say("hi")) == [ToRoom("Tea", Said("alice", "hi"), but=1)]
    assert rooms.do(2, Say("hi")) == [ToRoom(LOBBY, Said("bob", "hi"), but=2)]


def test_a_room_exists_while_a_client_is_in_it() -> None:
    """An empty room is forgotten, its way to be written too; ten thousand of them leave nothing behind."""
    rooms = rooms_with("alice", "bob")
    rooms.do(1, Join("Tea"))
    rooms.do(1, Join("coffee"))
    rooms.do(2, Join("TEA"))
    assert rooms.room(2) == "TEA"
    rooms.leave(2, "quit")
    rooms.do(1, Join("tea"))
    assert rooms.room(1) == "tea"
    for i in range(10_000):
        rooms.do(1, Join(f"room{i}"))
    assert len(rooms._rooms) == 1
    rooms.leave(1, "quit")
    assert len(rooms._rooms) == 0


def test_the_lobby_comes_back() -> None:
    """When all have left the lobby, the next newcomer is in it all the same."""
    rooms = rooms_with("alice")
    rooms.do(1, Join("tea"))
    rooms.join(2, "bob")
    assert rooms.room(2) == LOBBY
    assert notices(rooms.do(2, Who())) == ["* in lobby: bob"]


def test_who_names_those_in_this_room() -> None:
    """/who names all in the room, the one that asks too, first come first; no other client hears of it."""
    rooms = rooms_with("alice", "bob", "carol")
    rooms.do(2, Join("tea"))
    rooms.do(1, Join("tea"))
    assert rooms.do(1, Who()) == [ToOne(1, Notice("in tea: bob, alice"))]
    assert rooms.do(3, Who()) == [ToOne(3, Notice("in lobby: carol"))]


@pytest.mark.parametrize("max_line", [512, 4096])
@pytest.mark.parametrize("name", ["{}", "nick-{}-" + "🙂" * 20, "a,{},"])
def test_who_with_a_thousand_people(name: str, max_line: int) -> None:
    """However many are here, /who tells of each once, in order, in as few lines as fit within the limit."""
    rooms: Rooms[int] = Rooms(max_line)
    nicknames = [name.format(i) for i in range(1000)]
    for who, nickname in enumerate(nicknames):
        rooms.join(who, nickname)
    lines = notices(rooms.do(500, Who()))
    assert all(line.startswith("* in lobby: ") for line in lines)
    assert all(len(line.encode()) + 1 <= max_line for line in lines)
    parts = [line.removeprefix("* in lobby: ") for line in lines]
    assert ", ".join(parts) == ", ".join(nicknames)
    for line, following in zip(lines, parts[1:], strict=False):
        first_of_next = following.split(", ")[0]
        assert len(f"{line}, {first_of_next}\n".encode()) > max_line


def test_the_longest_names_fit_the_shortest_lines() -> None:
    """With lines of 512 bytes, the least allowed, every notice about the longest names still fits."""
    nick, other, room = "🙂" * 32, "🙃" * 32, "🚪" * 32
    rooms: Rooms[int] = Rooms(max_line=512)
    said = rooms.join(1, nick) + rooms.do(1, Join(room)) + rooms.do(1, Who()) + rooms.do(1, Rename(other))
    said += rooms.leave(1, "server stopped")
    lines = [d.message.line() for d in said if not isinstance(d, Enters)]
    assert max(len(line.encode()) + 1 for line in lines) <= 512


def test_help() -> None:
    """/help goes to the one who asks."""
    assert rooms_with("alice").do(1, Help()) == [ToOne(1, Notice(line)) for line in HELP]


# --- against a model ---

NICKNAMES = ["alice", "ALICE", "Ａｌｉｃｅ", " bob", "Bob", "carol", "dave", "a b", "", "*x", "x" * 33]
LOOK_ALIKES = {"aiice": "alice", "ali\u0307ce": "alice", "b0b": "bob"}
NICKNAMES += ["AIice", "ali\u0307ce", "b0b", "аlice"]  # the last one has a Cyrillic а
SHOWN = {"Ａｌｉｃｅ": "Alice", " bob": "bob"}  # the others are shown as typed
UNFIT = {"a b", "", "*x", "x" * 33, "аlice"}
ROOMS = ["lobby", "Lobby", "tea", "TEA", "#no", "coffee"]
PEOPLE = st.integers(1, 5)


class RoomsBesideAModel(RuleBasedStateMachine):
    """Rooms beside two dicts: whatever clients do, those hear of it who should, and no others."""

    def __init__(self) -> None:
        super().__init__()
        self.rooms: Rooms[int] = Rooms()
        self.nick: dict[int, str] = {}  # the model: each client's nickname …
        self.room: dict[int, str] = {}  # … and room, as the first comer wrote it
        self.hears: dict[int, str | None] = {}  # what the deliveries have told so far

    def carry_out(self, deliveries: list[Delivery[int]]) -> dict[int, list[FromServer]]:
        """Who hears what, when the deliveries are carried out one after the other."""
        heard: dict[int, list[FromServer]] = {}
        for delivery in deliveries:
            if isinstance(delivery, Enters):
                self.hears[delivery.who] = delivery.room
            elif isinstance(delivery, ToOne):
                heard.setdefault(delivery.who, []).append(delivery.message)
            else:
                for who, room in self.hears.items():
                    if room == delivery.room and who != delivery.but:
                        heard.setdefault(who, []).append(delivery.message)
        return heard

    def others(self, who: int, room: str | None = None) -> list[int]:
        """Who is in that room (or in who's own), but who: by the model."""
        room = room or self.room[who]
        return [other for other in self.room if other != who and self.room[other] == room]

    def taken(self, nickname: str, by_other_than: int) -> bool:
        def look(name: str) -> str:
            return LOOK_ALIKES.get(name.lower(), name.lower())

        look_of_it = look(SHOWN.get(nickname, nickname))
        return any(look(n) == look_of_it for who, n in self.nick.items() if who != by_other_than)

    def refused(self, who: int, what: FromClient) -> None:
        with pytest.raises(Refusal):
            self.rooms.do(who, what)

    @rule(who=PEOPLE, nickname=st.sampled_from(NICKNAMES))
    def join(self, who: int, nickname: str) -> None:
        if who in self.nick:
            with pytest.raises(ValueError):
                self.rooms.join(who, nickname)
        elif nickname in UNFIT or self.taken(nickname, who):
            with pytest.raises(Refusal):
                self.rooms.join(who, nickname)
        else:
            heard = self.carry_out(self.rooms.join(who, nickname))
            self.nick[who] = shown = SHOWN.get(nickname, nickname)
            self.room[who] = LOBBY
            lobby = next((r for w, r in self.room.items() if w != who and r.lower() == LOBBY), LOBBY)
            self.room[who] = lobby
            assert heard == {
                who: [Welcome(shown, lobby)],
                **{other: [Joined(shown)] for other in self.others(who)},
            }

    @precondition(lambda self: self.nick)
    @rule(data=st.data(), reason=st.sampled_from(["quit", "vanished"]))
    def leave(self, data: st.DataObject, reason: str) -> None:
        who = data.draw(st.sampled_from(sorted(self.nick)))
        heard = self.carry_out(self.rooms.leave(who, reason))
        assert heard == {other: [Left(self.nick[who], reason)] for other in self.others(who)}
        del self.nick[who], self.room[who]

    @precondition(lambda self: self.nick)
    @rule(data=st.data(), text=st.sampled_from(["hello", "x" * 4085, "x" * 4095]))
    def speak(self, data: st.DataObject, text: str) -> None:
        who = data.draw(st.sampled_from(sorted(self.nick)))
        kind, heard_as = data.draw(st.sampled_from([(Say, Said), (Act, Acted)]))
        message = heard_as(self.nick[who], text)
        if len(message.line()) + 1 > 4096:
            self.refused(who, kind(text))
        else:
            heard = self.carry_out(self.rooms.do(who, kind(text)))
            assert heard == {other: [message] for other in self.others(who)}

    @precondition(lambda self: self.nick)
    @rule(data=st.data(), to=st.sampled_from(NICKNAMES))
    def whisper(self, data: st.DataObject, to: str) -> None:
        who = data.draw(st.sampled_from(sorted(self.nick)))
        shown = SHOWN.get(to, to).lower()
        found = [other for other, nick in self.nick.items() if nick.lower() == shown]
        if found in ([], [who]):
            self.refused(who, Whisper(to, "psst"))
        else:
            heard = self.carry_out(self.rooms.do(who, Whisper(to, "psst")))
            assert heard == {found[0]: [Whispered(self.nick[who], "psst")]}

    @precondition(lambda self: self.nick)
    @rule(data=st.data(), new=st.sampled_from(NICKNAMES))
    def rename(self, data: st.DataObject, new: str) -> None:
        who = data.draw(st.sampled_from(sorted(self.nick)))
        old, shown = self.nick[who], SHOWN.get(new, new)
        if new in UNFIT or shown == old or self.taken(new, who):
            self.refused(who, Rename(new))
        else:
            heard = self.carry_out(self.rooms.do(who, Rename(new)))
            self.nick[who] = shown
            assert heard == {
                who: [Welcome(shown, self.room[who])],
                **{other: [Renamed(old, shown)] for other in self.others(who)},
            }

    @precondition(lambda self: self.nick)
    @rule(data=st.data(), room=st.sampled_from(ROOMS))
    def move(self, data: st.DataObject, room: str) -> None:
        who = data.draw(st.sampled_from(sorted(self.nick)))
        if room.startswith("#") or room.lower() == self.room[who].lower():
            self.refused(who, Join(room))
        else:
            nick, left = self.nick[who], self.others(who)
            heard = self.carry_out(self.rooms.do(who, Join(room)))
            self.room[who] = next((r for r in self.room.values() if r.lower() == room.lower()), room)
            assert heard == {
                who: [Welcome(nick, self.room[who])],
                **{other: [Moved(nick, self.room[who])] for other in left},
                **{other: [Joined(nick)] for other in self.others(who)},
            }

    @precondition(lambda self: self.nick)
    @rule(data=st.data())
    def ask_who(self, data: st.DataObject) -> None:
        who = data.draw(st.sampled_from(sorted(self.nick)))
        heard = self.carry_out(self.rooms.do(who, Who()))
        [line] = heard.pop(who)
        assert heard == {} and isinstance(line, Notice)
        room, _, names = line.text.partition(": ")
        assert room == f"in {self.room[who]}"
        here = {self.nick[other] for other in [who, *self.others(who)]}
        assert set(names.split(", ")) == here

    @invariant()
    def the_house_is_as_the_model(self) -> None:
        assert {p.who: p.nickname for p in self.rooms.people()} == self.nick
        assert {p.who: p.room.name for p in self.rooms.people()} == self.room
        assert {who: room for who, room in self.hears.items() if room is not None} == self.room
        assert len(self.rooms) == len(self.nick)
        assert len(self.rooms._rooms) == len(set(self.room.values()))


TestRooms = RoomsBesideAModel.TestCase
TestRooms.settings = settings(settings(), max_examples=60, stateful_step_count=40)


def test_several_lines_at_once_go_where_single_ones_go() -> None:
    """To the same room, under the same name."""
    rooms: Rooms[str] = Rooms()
    rooms.join("A", "alice")
    rooms.do("A", Join("garden"))
    (single,) = rooms.do("A", Say("one"))
    assert isinstance(single, ToRoom) and isinstance(single.message, Said)
    for lines in (b"one\n", b"one\ntwo\n", b"one\ntwo\nthree\n"):
        count = lines.count(b"\n")
        ((person, heard, *said),) = rooms.say([("A", lines, count)])
        assert said == [lines, count]
        assert (person.who, person.nickname, person.room.name) == ("A", single.message.who, single.room)
        assert (
            heard
            == Speech("alice", lines).data()
            == b"".join(Said("alice", text).data() for text in lines.decode().splitlines())
        )
    rooms.do("A", Rename("жук"))
    rooms.join("B", "bob")
    spoken = rooms.say([("A", b"one\n", 1), ("B", b"two\n", 1), ("A", b"three\n", 1)])
    assert [(person.who, person.room.name, heard.decode()) for person, heard, _, _ in spoken] == [
        ("A", "garden", "жук: one\n"),
        ("B", "lobby", "bob: two\n"),
        ("A", "garden", "жук: three\n"),
    ]


@pytest.mark.parametrize("length", range(88, 97))
def test_at_once_nothing_is_let_through_that_is_too_long(length: int) -> None:
    """Where one alone would be refused, so are all of them together; and nowhere else."""
    rooms: Rooms[str] = Rooms(100)
    rooms.join("A", "alice")
    for letter in "xж🙂":
        text = letter * (length // len(letter.encode())) + "x" * (length % len(letter.encode()))
        for say in (
            lambda text=text: rooms.do("A", Say(text)),
            lambda text=text: rooms.say([("A", f"{text}\n".encode(), 1)]),
            lambda text=text: rooms.say([("A", f"short\n{text}\nshort\n".encode(), 3)]),
        ):
            with nullcontext() if length + len("alice: \n") <= 100 else pytest.raises(Refusal):
                say()
