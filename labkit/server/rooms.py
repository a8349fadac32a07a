"""Who is here, and who hears what.

`Rooms` decides, and delivers nothing. Tell it what a client did, and it answers with deliveries: this
message to that one, that message to all in this room but one. The caller carries them out, in that order.

Pure: no socket, no thread, no clock. So it can be tried by hand in a notebook, and a test can hold the
real server against it. It is not safe to share between threads: the hub keeps it under one lock.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from labkit.wire import nicknames
from labkit.wire.framing import MAX_LINE
from labkit.wire.messages import (
    HELP,
    TAKEN,
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
    Welcome,
    Whisper,
    Whispered,
    Who,
)
from labkit.wire.text import brief, in_lines

LOBBY = "lobby"
"""The room in which every client starts."""

W = TypeVar("W", bound=Hashable)  # what stands for a client: a ServerConnection, or a number in a test
M = TypeVar("M", bound=Callable[..., Any])  # a method


class Refusal(Exception):
    """What was asked cannot be done; the text is for the client that asked."""


@dataclass(frozen=True, slots=True)
class ToOne(Generic[W]):
    """This message goes to `who` alone."""

    who: W
    message: FromServer


@dataclass(slots=True)  # not frozen: those take three times as long to make
class ToRoom(Generic[W]):
    """This message goes to all in the room but `but` (who said it, or did it)."""

    room: str
    message: FromServer
    but: W | None = None


@dataclass(frozen=True, slots=True)
class Enters(Generic[W]):
    """From here on `who` hears this room, and no other; None: no room at all."""

    who: W
    room: str | None


Delivery = ToOne[W] | ToRoom[W] | Enters[W]


@dataclass(slots=True)
class Room(Generic[W]):
    name: str
    members: dict[W, None] = field(default_factory=dict)  # a dict for its order: first come first


@dataclass(slots=True)
class Person(Generic[W]):
    who: W
    nickname: str
    room: Room[W]
    prefix: bytes = b""  # of each line that it says, as others hear it


Spoken = tuple[Person[W], bytes, bytes, int]
"""Who said something, what others hear of it, the lines that it is, and how many."""

_DOES: dict[type[FromClient], Callable[..., list[Delivery[Any]]]] = {}


def does(command: type[FromClient]) -> Callable[[M], M]:
    """This method is what the command does. (Quit and Heartbeat concern the connection alone.)"""

    def register(method: M) -> M:
        _DOES[command] = method
        return method

    return register


class Rooms(Generic[W]):
    """Every client that has a nickname, and the rooms they are in."""

    def __init__(self, max_line: int = MAX_LINE) -> None:
        self._max_line = max_line  # bytes of the longest line that may come out, nickname, LF and all
        self._people: dict[W, Person[W]] = {}
        self._names: dict[str, Person[W]] = {}  # by nicknames.key
        self._looks: dict[str, Person[W]] = {}  # by each of nicknames.looks
        self._rooms: dict[str, Room[W]] = {}  # by nicknames.key of the room's name

    # --- looking ---

    def __len__(self) -> int:
        return len(self._people)

    def __contains__(self, who: object) -> bool:
        return who in self._people

    def people(self) -> list[Person[W]]:
        """All clients, first come first."""
        return list(self._people.values())

    def nickname(self, who: W) -> str:
        """Of one that is not here: ""."""
        return self._people[who].nickname if who in self._people else ""

    def room(self, who: W) -> str:
        return self._people[who].room.name

    def whispered(self, nickname: str, text: str) -> FromServer:
        """What one hears to whom `nickname` whispers this. Raises Refusal if it is too long."""
        return self._short_enough(Whispered(nickname, text))

    # --- doing ---

    def join(self, who: W, nickname: str) -> list[Delivery[W]]:
        """`who` asks to be called `nickname` and, if that is granted, is in the lobby.

        Raises:
            Refusal: the name is not fit, or a client here has it, or one that looks like it.
            ValueError: `who` is here already, and could only ask for another nickname.
        """
        if who in self._people:
            raise ValueError(f"{who!r} is here already, as {self.nickname(who)}")
        shown = self._claimable(nickname)
        person = Person(who, shown, self._room(LOBBY))
        self._people[who] = person
        self._write_down(person)
        return self._arrival(person)

    def leave(self, who: W, reason: str) -> list[Delivery[W]]:
        """`who` is gone: the nickname is free, and the room is told once."""
        person = self._people.pop(who)
        self._strike_out(person)
        self._walk_out(person)
        return [Enters(who, None), ToRoom(person.room.name, Left(person.nickname, reason))]

    def do(self, who: W, what: FromClient) -> list[Delivery[W]]:
        """`who` said or asked something.

        Raises:
            Refusal: it cannot be done; nothing has changed.
        """
        return _DOES[type(what)](self, self._people[who], what)

    def say(self, said: Iterable[tuple[W, bytes, int]]) -> list[Spoken[W]]:
        """Each of these said so many lines in one breath, each with its LF, and all of it is talk. As `do`
        of a `Say` for each line, for less.

        Raises:
            Refusal: one of them is too long; `do` tells which. Nothing has changed.
        """
        spoken = []
        for who, lines, count in said:
            person = self._people[who]
            prefix = person.prefix
            longest = self._max_line - len(prefix)
            if len(lines) > longest and 1 + max(map(len, lines.split(b"\n"))) > longest:
                raise Refusal("one of them is too long")
            if count == 1:
                heard = prefix + lines
            else:
                heard = prefix + lines[:-1].replace(b"\n", b"\n" + prefix) + b"\n"
            spoken.append((person, heard, lines, count))
        return spoken

    # --- what each command does ---

    @does(Say)
    def _say(self, person: Person[W], what: Say) -> list[Delivery[W]]:
        said = self._short_enough(Said(person.nickname, what.text))
        return [ToRoom(person.room.name, said, person.who)]

    @does(Act)
    def _act(self, person: Person[W], what: Act) -> list[Delivery[W]]:
        acted = self._short_enough(Acted(person.nickname, what.action))
        return [ToRoom(person.room.name, acted, person.who)]

    @does(Whisper)
    def _whisper(self, person: Person[W], what: Whisper) -> list[Delivery[W]]:
        other = None
        with suppress(nicknames.BadName):  # no client can have such a name
            other = self._names.get(nicknames.key(nicknames.fit(what.to)))
        if other is None:
            raise Refusal(f"nobody here is called {brief(what.to)}")
        if other is person:
            raise Refusal("that is you")
        return [ToOne(other.who, self.whispered(person.nickname, what.text))]

    @does(Rename)
    def _rename(self, person: Person[W], what: Rename) -> list[Delivery[W]]:
        new = self._claimable(what.new, person)
        old = person.nickname
        if new == old:
            raise Refusal(f"you are {old} already")
        self._strike_out(person)
        person.nickname = new
        self._write_down(person)
        return [
            ToOne(person.who, Welcome(new, person.room.name)),
            ToRoom(person.room.name, Renamed(old, new), person.who),
        ]

    @does(Join)
    def _move(self, person: Person[W], what: Join) -> list[Delivery[W]]:
        name = room_name(what.room)
        old = person.room
        if nicknames.key(name) == nicknames.key(old.name):
            raise Refusal(f"you are in {old.name} already")
        self._walk_out(person)
        person.room = self._room(name)
        moved = Moved(person.nickname, person.room.name)
        return [ToRoom(old.name, moved, person.who), *self._arrival(person)]

    @does(Who)
    def _tell_who(self, person: Person[W], what: Who) -> list[Delivery[W]]:
        names = [self.nickname(who) for who in person.room.members]
        notices = who_is_here(person.room.name, names, self._max_line)
        return [ToOne(person.who, notice) for notice in notices]

    @does(Help)
    def _tell_help(self, person: Person[W], what: Help) -> list[Delivery[W]]:
        return [ToOne(person.who, Notice(line)) for line in HELP]

    # --- the parts they share ---

    def _arrival(self, person: Person[W]) -> list[Delivery[W]]:
        person.room.members[person.who] = None
        room = person.room.name
        return [
            Enters(person.who, room),
            ToOne(person.who, Welcome(person.nickname, room)),
            ToRoom(room, Joined(person.nickname), person.who),
        ]

    def _claimable(self, nickname: str, person: Person[W] | None = None) -> str:
        """The name as it will be shown, if `person` (or a newcomer, None) may have it."""
        shown = presentable(nickname)
        if self._names.get(nicknames.key(shown), person) is not person:
            raise Refusal(f"the nickname {shown} {TAKEN}")
        for look in nicknames.looks(shown):
            other = self._looks.get(look, person)
            if other is not None and other is not person:
                raise Refusal(f"the nickname {shown} looks like {other.nickname}, who is here")
        return shown

    def _write_down(self, person: Person[W]) -> None:
        person.prefix = f"{person.nickname}: ".encode()
        self._names[nicknames.key(person.nickname)] = person
        for look in nicknames.looks(person.nickname):
            self._looks[look] = person

    def _strike_out(self, person: Person[W]) -> None:
        del self._names[nicknames.key(person.nickname)]
        for look in nicknames.looks(person.nickname):
            del self._looks[look]

    def _room(self, name: str) -> Room[W]:
        return self._rooms.setdefault(nicknames.key(name), Room(name))

    def _walk_out(self, person: Person[W]) -> None:
        del person.room.members[person.who]
        if not person.room.members:  # empty rooms must not pile up
            del self._rooms[nicknames.key(person.room.name)]

    def _short_enough(self, message: FromServer) -> FromServer:
        line = message.line()
        # No character takes more than 4 bytes: most lines need no counting.
        if 4 * len(line) >= self._max_line and len(line.encode()) >= self._max_line:
            raise Refusal(f"too long: with your nickname before it, over {self._max_line} bytes")
        return message


def presentable(nickname: str) -> str:
    """The name as it will be shown, whether or not it is taken. Raises Refusal if it is not fit."""
    try:
        return nicknames.fit(nickname)
    except nicknames.BadName as error:
        raise Refusal(f"that nickname will not do: {error}") from None


def room_name(name: str) -> str:
    """The name of a room as it will be shown. Raises Refusal if it is not fit."""
    try:
        return nicknames.fit(name)
    except nicknames.BadName as error:
        raise Refusal(f"not a room's name: {error}") from None


def who_is_here(room: str, names: Iterable[str], max_line: int) -> list[Notice]:
    """The answer to `/who`: these names, in as many lines as it takes."""
    prefix = f"in {room}: "
    budget = max_line - len(f"* {prefix}\n".encode())
    return [Notice(prefix + part) for part in in_lines(names, ", ", budget)]
