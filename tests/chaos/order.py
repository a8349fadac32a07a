"""What happened in one room, in the one order in which its witness heard it.

A witness enters a room before all others, says nothing, and stays to the end. So it hears all that
happens there, and what it heard is the order in which all others must have heard it too. Should it be
the witness who was told wrongly, then all others disagree with it, and that is noticed as well.

`Step` is one thing that happened; `steps` tells which ones a client's deeds come to. Pure.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from chaos.history import Life
from labkit.server.rooms import LOBBY
from labkit.wire.messages import (
    Act,
    Acted,
    FromServer,
    Join,
    Joined,
    Moved,
    Rename,
    Renamed,
    Said,
    Say,
    Welcome,
    Whisper,
    Whispered,
)

LEFT = re.compile(rb"\* ([^\s:]+) left \(([^)]*)\)")


def on_the_wire(message: FromServer) -> bytes:
    return message.line().encode()


@dataclass(frozen=True, slots=True)
class Step:
    """Something that all others in the room hear."""

    life: Life
    room: str
    deed: int  # the number of the deed that it comes from; 0: that it came at all
    text: bytes


@dataclass(frozen=True, slots=True)
class Place:
    """A client's nickname, and the room it is in."""

    name: str
    room: str

    @property
    def welcome(self) -> bytes:
        return on_the_wire(Welcome(self.name, self.room))


class Course:
    """All that a life comes to, if the server does all its deeds in the order in which they were sent."""

    def __init__(self, life: Life) -> None:
        self.life = life
        place = Place(life.nickname, LOBBY)
        self.places = [place]  # after so many deeds
        self.steps = [Step(life, LOBBY, 0, on_the_wire(Joined(place.name)))]
        self.whispers: dict[int, bytes] = {}  # by deed
        for n, deed in enumerate(life.deeds, 1):
            name, room = place.name, place.room
            match deed:
                case Say(text):
                    self._step(n, room, Said(name, text))
                case Act(action):
                    self._step(n, room, Acted(name, action))
                case Whisper(_, text):
                    self.whispers[n] = on_the_wire(Whispered(name, text))
                case Rename(new):
                    self._step(n, room, Renamed(name, new))
                    place = Place(new, room)
                case Join(to):
                    self._step(n, room, Moved(name, to))
                    self._step(n, to, Joined(name))
                    place = Place(name, to)
            self.places.append(place)

    def _step(self, deed: int, room: str, message: FromServer) -> None:
        self.steps.append(Step(self.life, room, deed, on_the_wire(message)))

    def names(self) -> Iterable[str]:
        return dict.fromkeys(place.name for place in self.places)


class Order:
    """The steps of one room and the leavings from it, in order.

    `here` keeps who was in the room after each of them, in the order in which they came.
    """

    def __init__(self, room: str, witness: Life) -> None:
        self.room = room
        self.witness = witness
        self.lines: list[bytes] = []
        self.at: dict[bytes, int] = {}
        self.settled = 0  # how many there were when all had gone quiet
        self._here = [Course(witness).places[-1].name]
        self._changed: list[int] = [-1]
        self._rosters: list[list[str]] = [self._here]

    def add(self, line: bytes) -> None:
        self.at[line] = len(self.lines)
        self.lines.append(line)

    def comes(self, name: str) -> None:
        self._change([*self._here, name])

    def goes(self, name: str) -> None:
        self._change([other for other in self._here if other != name])

    def renames(self, old: str, new: str) -> None:
        self._change([new if name == old else name for name in self._here])

    def _change(self, here: list[str]) -> None:
        self._here = here
        self._changed.append(len(self.lines) - 1)
        self._rosters.append(here)

    def here(self, count: int) -> list[str]:
        """Who was in the room when so many of its lines had come."""
        return self._rosters[bisect_right(self._changed, count - 1) - 1]
