"""What a person does next, at random: talk, whisper, rename, change rooms, send garbage.

A person outlives its connections: it comes back, often with the nickname that it had. It sees to it that
all it says differs from all that is said in the run, and that it takes each nickname in letters of its
own, as the checker needs it (history.py).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

from chaos.client import Client
from chaos.history import Deed
from labkit.server.rooms import LOBBY
from labkit.wire.messages import Act, Join, Refused, Rename, Say, Whisper, Who

WORDS = "well then so what about the tea is it cold привет как дела 你好 🍵 and again".split()
IN_FLIGHT = 3
"""Probes that may be unanswered: a person that has so many says nothing more until one is."""

Done = tuple[Deed, bytes]


def written(key: str, n: int) -> str:
    """The same nickname, in other letters for each number: each bit of it is a capital.

    Raises:
        ValueError: there are not so many ways to write it.
    """
    letters = []
    for c in key:
        if c.isalpha():
            c, n = (c.upper() if n & 1 else c), n >> 1
        letters.append(c)
    if n:
        raise ValueError(f"all ways to write {key} are used up")
    return "".join(letters)


class Names:
    """Nicknames, no two in the same letters; the same name, to the server, as often as it is asked for."""

    def __init__(self) -> None:
        self._used: dict[str, int] = {}

    def of(self, key: str) -> str:
        """The name in letters that it was not given in before."""
        n = self._used[key] = self._used.get(key, -1) + 1
        return written(key, n)

    def keys(self) -> list[str]:
        return list(self._used)


class Person:
    """One user; `client` is its connection, while it has one."""

    steady = False  # it leaves when all do, and not before
    small = False  # its kernel keeps few bytes, always
    fits_a_link = True  # it says no more than one in pieces of seven bytes can carry

    def __init__(
        self,
        number: int,
        names: Names,
        rooms: tuple[str, ...],
        seed: int,
        contested: tuple[str, ...] = (),
    ) -> None:
        word = "chatterers" if number % 4 else "болтуныыыы"
        self.key = f"{word}{number}"
        self.number = number
        self.rooms = rooms
        self.chance = random.Random(f"{seed}/{number}")
        self.client: Client | None = None
        self.back_at = 0.0  # when it comes, or comes back
        self.refused_since: float | None = None
        self.thaws_at: float | None = None
        self.link: int | None = None  # the link that it came through
        self.room = LOBBY  # as it will be when all that was sent is done …
        self.name = ""
        self._entered = True  # … and whether a room was entered under this name
        self._names = names
        self._contested = contested  # nicknames that others want, too …
        self._eager = number % 2 == 0  # … and this one as soon as it comes
        self._lives = 0
        self._said = 0
        self._whispered: Counter[str] = Counter()  # by nickname
        self._renamed = 0
        self._keys = [self.key]

    def nickname(self) -> str:
        """The nickname to come back with: one of those it had, and knew that it had.

        What it asked for last may still be on its way when it is gone; and must be free then.
        """
        known = self.client.welcomed_as() if self.client is not None else ""
        if known and known.lower() not in self._contested:
            self._keys = [*(key for key in self._keys if key != known.lower()), known.lower()]
        wanted = self._keys[-3:]
        if self._contested and not self._lives and self._eager:
            wanted = [self._contested[0]]  # all of these at the same moment
        elif self._contested and self.chance.random() < 0.15:
            wanted = list(self._contested)
        self.name = self._names.of(self.chance.choice(wanted))
        self.room, self._entered = LOBBY, True
        self._lives += 1
        return self.name

    @property
    def contests(self) -> bool:
        """The nickname that it asks for is one that others want, too."""
        return self.name.lower() in self._contested

    # --- one turn ---

    def act(self, others: list[Person], taken: list[str]) -> None:
        """Do something, unless too much is unanswered. `taken` are nicknames of people who stay."""
        client = self.client
        assert client is not None
        if not self.may_go_on(IN_FLIGHT):
            return
        turns: tuple[tuple[int, Callable[[], list[Done]]], ...] = (
            (60, lambda: [self.say() for _ in range(self.chance.randint(1, 8))]),
            (10, lambda: [self.garbage() for _ in range(self.chance.randint(1, 3))]),
            (8, lambda: [self.whisper(others, taken)]),
            (4, self.rename),
            (6, self.move),
            (4, lambda: [(Who(), b"/who")]),
            (4, lambda: [self.wrong(taken)]),
            (4, lambda: [self.say(), *self.rename(), self.say(), *self.move(), self.say()]),
        )
        if self.contests:
            turns = turns[:3]  # it keeps what it has
        [turn] = self.chance.choices([t for _, t in turns], [weight for weight, _ in turns])
        self.do(turn())
        if self.chance.random() < 0.5:
            client.probe()

    def may_go_on(self, in_flight: int) -> bool:
        """All that it said was sent, and fewer of its probes than so many are unanswered."""
        client = self.client
        return client is not None and not client.blocked and client.unanswered < in_flight

    def do(self, done: list[Done]) -> None:
        """Send it: in one piece, or, now and then, cut where it hurts."""
        assert self.client is not None
        self.client.do(*done, cut=self.chance.random() if self.chance.random() < 0.1 else 0.0)

    # --- what there is to do: the deed, and the line that asks for it ---

    def _tag(self) -> str:
        self._said += 1
        return f"{self.key}/{self._said}"

    def say(self) -> Done:
        text = f"{self._tag()} {' '.join(self.chance.choices(WORDS, k=self.chance.randint(1, 5)))}"
        if self.chance.random() < 0.08:
            text += " " + "long " * self.chance.randint(20, 180)
        deed = Act(text) if self.chance.random() < 0.1 else Say(text)
        end = b"\r" if self.chance.random() < 0.05 else b""
        return deed, deed.line().encode() + end

    def garbage(self) -> Done:
        """Bytes that do harm to those who trust them; and what must become of them."""
        tag = self._tag()
        text, line = self.chance.choice(
            [
                (f"\ufffd\ufffd {tag}", b"\xff\xfe " + tag.encode()),
                (f"{tag} \ufffd", tag.encode() + b" \xd0"),
                (f"␛[2J {tag}", b"\x1b[2J " + tag.encode()),
                (f"␀ {tag}", b"\0 " + tag.encode()),
                (f"{tag} ␍* alice left (quit)", tag.encode() + b" \r* alice left (quit)"),
                (f"{tag} \ufffdkcab", f"{tag} \u202ekcab".encode()),
                (f"* server stopped {tag}", f"* server stopped {tag}".encode()),
                (f"! you are out {tag}", f"! you are out {tag}".encode()),
                (f"alice: {tag}", f"alice: {tag}".encode()),
                (f"* {self.name} joined {tag}", f"* {self.name} joined {tag}".encode()),
                (f"/quit {tag}", f"//quit {tag}".encode()),
                (f"nickname {tag}", f"nickname\t{tag}".encode()),
            ]
        )
        return Say(text), line

    def wrong(self, taken: list[str]) -> Done:
        """What must be refused, and heard by no client."""
        name = self.chance.choice(taken)
        return self.chance.choice(
            [
                (
                    Refused("too long: a line has at most 4096 bytes"),
                    b"x" * self.chance.randint(4096, 20000),
                ),
                (Refused("too long: with your nickname before it, over 4096 bytes"), b"y " * 2046),
                (Refused("no such command: /nonsense (try /help; //… says /…)"), b"/nonsense"),
                (Refused("that is said like this: /msg NICK TEXT"), b"/msg alice"),
                (Refused(f"the nickname {name} is taken"), f"/nick {name}".encode()),
                (Refused("that is you"), f"/msg {self.name} ?".encode()),
            ]
        )

    def whisper(self, others: list[Person], taken: list[str]) -> Done:
        to = self.chance.choice(others).name or taken[0]
        if to.lower() == self.name.lower() or self.chance.random() < 0.3:
            to = self.chance.choice(taken)
        return self.whisper_to(to)

    def whisper_to(self, to: str) -> Done:
        """In other letters each time, so that a refusal tells which whisper was refused."""
        self._whispered[to.lower()] += 1
        deed = Whisper(written(to.lower(), self._whispered[to.lower()]), f"{self._tag()} psst")
        return deed, deed.line().encode()

    def rename(self) -> list[Done]:
        self._renamed += 1
        key = f"{self.key}.{self._renamed}"
        self.name, self._entered = self._names.of(key), False
        return [(Rename(self.name), f"/nick {self.name}".encode())]

    def move(self) -> list[Done]:
        """To another room; sometimes to one of its own, where it is alone."""
        # Its own, and of this life: who vanished in there may be still about when it comes back.
        closet = f"{self.key}.{self._lives}"
        rooms = [room for room in (*self.rooms, closet) if room != self.room]
        done = self.rename() if self._entered else []
        self.room, self._entered = self.chance.choice(rooms), True
        wanted = self.room.upper() if self.room in self.rooms and self.chance.random() < 0.3 else self.room
        return [*done, (Join(self.room), f"/join {wanted}".encode())]

    def start_anew(self) -> None:
        """Its nickname is still taken: with another one."""
        self._renamed += 1
        self._keys = [f"{self.key}.{self._renamed}"]
        self.refused_since = None
