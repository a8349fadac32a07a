"""Guests with manners of their own: each tries one promise that those who only chat (person.py) do not.

- `Pipeliner` sends many commands, mixed with talk, and waits for no answer.
- `Sipper` reads slowly and steadily, in a room of its own with a `Barkeeper` who talks: it stays.
- `Hoarder` asks for long answers, one after the other, and reads little of them. In its room a `Pulse`, two
  who answer each other, goes on as in a room without it.

All but pipeliners are steady: they leave when all do, and what ends one sooner is a fault of the server's.
"""

from __future__ import annotations

from collections import Counter

from chaos.client import State
from chaos.person import IN_FLIGHT, Done, Names, Person
from chaos.verdict import Kind, Verdict
from labkit.server.limits import Limits
from labkit.wire.messages import HELP, TOO_SLOW, Help, Join, Refused, Rename, Say, Who

CELLAR, PANTRY, PARLOUR = "cellar", "pantry", "parlour"
"""Where sippers are; where hoarders are, and a pulse; and where another pulse is, and nobody else."""

AT_ONCE = (20, 200)
"""Commands that a pipeliner sends at once: from, to."""

SIPS = 150_000
"""Bytes that a sipper reads in `Limits.grace` seconds: 1 kB/s with the default of 150."""

TIMES_AS_FAST = 3
"""… and how many times as much is said to it: more may fill `Limits.behind` before the kernel has told once
that it reads, and it is let go."""

HOARDED = 512 * 1024
"""Bytes a second that a hoarder reads."""

ASKED_AT_ONCE = 100
"""Long answers that a hoarder asks for at once; until twice as much waits as may (`Limits.behind`)."""

FLOOD = 32 * 1024
"""Bytes of commands that a pipeliner has ready while a server stops: more than goes out in a turn."""

BEAT = 0.02
"""Seconds between two words of a pulse: what it says must be little for a hoarder that reads so much."""

BEATS = 40
"""Words of the pulse in the parlour from which on the other one can be compared with it."""

TIMES_AS_SLOW = 4
"""… and how many times as slow that may be."""


class Pipeliner(Person):
    """Two nicknames in turn, who is here, help, rooms and talk: many in one `send`, or in many."""

    fits_a_link = False
    takes_turns = True  # between two nicknames; otherwise each is new

    def __init__(self, number: int, names: Names, rooms: tuple[str, ...], seed: int) -> None:
        super().__init__(number, names, rooms, seed)
        # No letter that looks like another one, and enough to be written in a hundred thousand ways.
        self.key = f"streamsthatneverend{number}"
        self._both = ("", "")
        self._keys = [self.key]

    def nickname(self) -> str:
        name = super().nickname()
        if self.takes_turns:
            # New ones each time: what its last life sent may still be on its way, and take both in turn.
            self._both = f"{self.key}.{self._lives}", f"askersandrenamers{self.number}.{self._lives}"
            name = self.name = self._names.of(self._both[0])
        return name

    def rename(self) -> list[Done]:
        if not self.takes_turns:
            return super().rename()
        key = self._both[self.name.lower() == self._both[0]]
        self.name, self._entered = self._names.of(key), False
        return [(Rename(self.name), f"/nick {self.name}".encode())]

    def act(self, others: list[Person], taken: list[str]) -> None:
        assert self.client is not None
        if self.may_go_on(IN_FLIGHT):
            self.do(self._many(self.chance.randint(*AT_ONCE)))
            self.client.probe()

    def flood(self) -> None:
        """See that it never has nothing to say."""
        if self.client is not None and self.client.state is State.IN and self.client.queued < FLOOD:
            # Nothing that is answered at length: it would be held for that.
            wrong = Refused("that is said like this: /msg NICK TEXT"), b"/msg alice"
            self.client.do(*[wrong] * (2 * FLOOD // 10))

    def _many(self, count: int) -> list[Done]:
        many: list[Done] = []
        while len(many) < count:
            what = self.chance.random()
            if what < 0.4:
                many += self.rename()
            elif what < 0.6:
                many.append((Who(), b"/who"))
            elif what < 0.7:
                many.append((Help(), b"/help"))
            elif what < 0.8:
                many += self.move()
            else:
                many.append(self.say())
        return many

    def do(self, done: list[Done]) -> None:
        """In one `send`, or in one for each."""
        assert self.client is not None
        if self.chance.random() < 0.7:
            self.client.do(*done)
        else:
            for one in done:
                self.client.do(one)


class Guest(Person):
    """Goes to its room, `home`, and there does the same all the time."""

    steady, fits_a_link = True, False

    def __init__(self, word: str, number: int, names: Names, home: str, seed: int) -> None:
        super().__init__(number, names, (), seed)
        self.home = home
        self.key = f"{word}{number}"
        self._keys = [self.key]
        self._looked = 0  # lines that were looked at
        self._at_home = False

    def act(self, others: list[Person], taken: list[str]) -> None:
        """It has a `turn` each time, and not now and then."""

    def turn(self, now: float) -> None:
        """Called often."""
        client = self.client
        if client is None or client.state is not State.IN:
            return
        if self.room != self.home:
            self.room = self.home
            self.do([*self.rename(), (Join(self.home), f"/join {self.home}".encode())])
        heard = client.life.heard
        new, self._looked = heard[self._looked :], len(heard)
        if self._at_home:
            self.hear(new, now)
        elif any(line.endswith(f", in {self.home}".encode()) for line in new):
            self._at_home = True
            self.arrive()

    def nickname(self) -> str:
        self._at_home, self._looked = False, 0
        return super().nickname()

    def arrive(self) -> None:
        """It is at home now."""

    def hear(self, new: list[bytes], now: float) -> None:
        """These lines have come since the last turn."""

    @property
    def is_at_home(self) -> bool:
        return self.client is not None and self.client.state is State.IN and self._at_home


class Sipper(Guest):
    """Reads so many bytes a second."""

    def __init__(self, number: int, names: Names, seed: int, rate: float) -> None:
        super().__init__("sippers", number, names, CELLAR, seed)
        self._rate = rate
        self.sipped = 0  # bytes

    def hear(self, new: list[bytes], now: float) -> None:
        self.sipped += sum(map(len, new))

    def arrive(self) -> None:
        assert self.client is not None
        self.client.rate = self._rate


class Barkeeper(Guest):
    """Says so many bytes a second to the sippers, if they let it."""

    def __init__(self, number: int, names: Names, seed: int, rate: float) -> None:
        super().__init__("barkeepers", number, names, CELLAR, seed)
        self._rate = rate
        self._next = 0.0  # when it goes on

    def hear(self, new: list[bytes], now: float) -> None:
        if self.client and now >= self._next and self.may_go_on(IN_FLIGHT):
            said = [Say(f"{self._tag()} {'on and on ' * 100}and on") for _ in range(4)]
            self.do([(one, one.line().encode()) for one in said])
            self.client.probe()
            self._next = now + sum(len(one.text) for one in said) / self._rate


class Hoarder(Guest):
    """Asks and asks; of the answers it reads a little."""

    small = True

    def __init__(self, number: int, names: Names, seed: int, behind: int) -> None:
        super().__init__("hoarders", number, names, PANTRY, seed)
        self._unread = 2 * behind // (ASKED_AT_ONCE * sum(map(len, HELP)))

    def arrive(self) -> None:
        assert self.client is not None
        self.client.rate = HOARDED
        self.client.may_end(TOO_SLOW)  # more may wait for it than one is allowed

    def hear(self, new: list[bytes], now: float) -> None:
        if self.client and self.may_go_on(self._unread):
            self.do(
                [(Help(), b"/help") if self.chance.random() < 0.9 else (Who(), b"/who")] * ASKED_AT_ONCE
            )
            self.client.probe()


class Beat:
    """Two who answer each other in one room: `count` words were said, and heard by the other."""

    def __init__(self) -> None:
        self.count = 0
        self.both: list[Pulse] = []
        self.next = 0  # who speaks next …
        self.due = 0.0  # … and when …
        self.awaited = b""  # … as soon as this has been heard


class Pulse(Guest):
    """One of the two."""

    def __init__(self, number: int, names: Names, home: str, seed: int, beat: Beat) -> None:
        super().__init__("heartbeats", number, names, home, seed)
        self._beat = beat
        beat.both.append(self)

    def arrive(self) -> None:
        self._beat.awaited = b""

    def hear(self, new: list[bytes], now: float) -> None:
        beat, me = self._beat, self._beat.both.index(self)
        if beat.next != me or not all(one.is_at_home for one in beat.both):
            return
        if beat.awaited in new:
            beat.count += 1
            beat.awaited, beat.due = b"", now + BEAT
        if not beat.awaited and now >= beat.due:
            said = Say(f"{self._tag()} tick")
            self.do([(said, said.line().encode())])
            beat.awaited, beat.next = f"{self.name}: {said.text}".encode(), 1 - me


class Guests:
    """All who are steady; `turn` them while the others rage, and then `judge`."""

    def __init__(self, sippers: int, hoarders: int, limits: Limits, names: Names, seed: int) -> None:
        self.people: list[Guest] = []
        self.rooms: tuple[str, ...] = ()
        self._hoarders = [Hoarder(n, names, seed, limits.behind) for n in range(hoarders)]
        self._beats = {room: Beat() for room in (PANTRY, PARLOUR)}
        self._beside: Counter[str] = Counter()  # beats while somebody hoarded
        if sippers:
            self.rooms += (CELLAR,)
            rate = SIPS / limits.grace
            self.people += [Sipper(n, names, seed, rate) for n in range(sippers)]
            self.people.append(Barkeeper(0, names, seed, TIMES_AS_FAST * rate))
        if hoarders:
            self.rooms += (PANTRY, PARLOUR)
            self.people += self._hoarders
            for n, (room, beat) in enumerate(self._beats.items()):
                self.people += [Pulse(2 * n + one, names, room, seed, beat) for one in range(2)]

    @property
    def had_their_fill(self) -> bool:
        """What they are to show has had time to show."""
        sipped = all(one.sipped > 2 * SIPS for one in self.people if isinstance(one, Sipper))
        return sipped and (not self._hoarders or self._beside[PARLOUR] >= BEATS)

    def turn(self, now: float) -> None:
        hoarded = any(one.is_at_home and one.client and one.client.unanswered for one in self._hoarders)
        before = {room: beat.count for room, beat in self._beats.items()}
        for person in self.people:
            person.turn(now)
        if hoarded:
            for room, beat in self._beats.items():
                self._beside[room] += beat.count - before[room]

    def judge(self, verdict: Verdict) -> None:
        """Answers that somebody asked for hold up no other in the room."""
        here, there = self._beside[PANTRY], self._beside[PARLOUR]
        if there >= BEATS and here * TIMES_AS_SLOW < there:
            verdict.complain(
                Kind.HELD, f"two who talked beside hoarders said {here} words, two elsewhere {there}"
            )
