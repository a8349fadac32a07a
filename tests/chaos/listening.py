"""What one client heard, line by line, held against what happened in the rooms it was in.

Each line is one of three kinds. An answer to something of its own: a welcome, a refusal, who is here. A
whisper to it. Or something that happened in the room. Answers must come in the order of the deeds that
they answer. What happened in the room must be all that the witness of the room heard since this one came,
without gaps, but for what it said or did itself.

`Facts` is what all of them need: who said what, and what the witnesses heard.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property

from chaos.history import BACK, CUT_OFF, GIVEN_UP, Life
from chaos.order import LEFT, Course, Order, Place, on_the_wire
from chaos.verdict import Kind, Verdict
from labkit.wire.messages import (
    HELP,
    NO_NICKNAME,
    SERVER_LOST,
    SERVER_STOPPED,
    Act,
    Help,
    Join,
    Notice,
    Quit,
    Refused,
    Rename,
    Say,
    Whisper,
    Who,
)

REQUEST = b"nickname"
STOPPED = on_the_wire(Notice(SERVER_STOPPED))
HELPS = tuple(on_the_wire(Notice(line)) for line in HELP)
OUT_OF_TIME = on_the_wire(Refused(f"{NO_NICKNAME} within "))  # it came, and this machine was busy
LONG = 4000
"""Bytes from which on the answer to /who may go on in another line (the longest has 4096)."""
ENOUGH = 5  # complaints about what one of them heard: the first ones tell most


class Facts:
    """Who did what, by the line that tells of it; and what happened in the rooms.

    Raises:
        ValueError: two lines of the run would read alike.
    """

    def __init__(self, courses: Sequence[Course]) -> None:
        self.courses = courses
        self.of = {course.life.nickname: course for course in courses}
        self.steps = {step.text: step for course in courses for step in course.steps}
        self.whispers = {text: (course, n) for course in courses for n, text in course.whispers.items()}
        self.by_name = {name: course for course in courses for name in course.names()}
        self.by_key: dict[str, list[Course]] = {}
        for name, course in self.by_name.items():
            self.by_key.setdefault(name.lower(), []).append(course)
        self.orders: dict[str, Order] = {}
        # What the listeners found out, for each other.
        self.whispered: dict[bytes, str] = {}  # whispers that were heard, and by whom
        self.refused: set[tuple[str, int]] = set()  # whispers that were refused: whose, and which deed
        self.answered: dict[str, int] = {}  # by nickname: the last deed that was answered
        self.heard_by: dict[bytes, str] = {}  # what a witness did not hear, and a client that did
        for what, all_of_them in (
            ("line", [step.text for course in courses for step in course.steps]),
            ("whisper", [text for course in courses for text in course.whispers.values()]),
            ("nickname", [name for course in courses for name in course.names()]),
        ):
            [(most, times)] = Counter[object](all_of_them).most_common(1) or [(None, 0)]
            if times > 1:
                raise ValueError(
                    f"each {what} of a run must differ from all others; {most!r} is there {times} times"
                )

    def belongs(self, line: bytes, room: str) -> bool:
        """Whether this can have happened in that room."""
        if left := LEFT.fullmatch(line):
            return left[1].decode() in self.by_name
        return line in self.steps and self.steps[line].room == room

    @cached_property
    def leavings(self) -> dict[str, list[tuple[Order, bytes]]]:
        """What the witnesses heard of leavings, by who it was: where, and the line."""
        found: dict[str, list[tuple[Order, bytes]]] = {}
        for order in self.orders.values():
            for line in order.lines:
                if left := LEFT.fullmatch(line):
                    found.setdefault(left[1].decode(), []).append((order, line))
        return found


class Listening:
    """Goes through all that one of them heard."""

    def __init__(self, facts: Facts, course: Course, verdict: Verdict) -> None:
        self.done = -1  # the last deed of its own that was answered; 0: it was welcomed
        self._facts = facts
        self._course = course
        self._life: Life = course.life
        self._verdict = verdict
        self._place: Place | None = None
        self._order: Order | None = None  # of the room that it is in
        self._came = -1  # where in that order it came …
        self._next = 0  # … and what it is to hear next
        self._missed: dict[
            bytes, int
        ] = {}  # what it should have heard before, and where in the order that was
        self._rest: list[str] = []  # of those who are here: to be told in the next line
        self._helps: tuple[bytes, ...] = ()  # of the answer to /help: to come in the next lines
        self._cut_off = False  # as it was told
        self._complaints = 0

    def check(self) -> None:
        heard, settled = self._life.heard, self._life.settled
        for line in {step.text for step in self._course.steps}.intersection(heard):
            self._complain(Kind.OWN, f"{self._life} heard {line!r}, its own", heard.index(line))
        self._listen(0, len(heard) if settled is None else settled)
        if settled is not None:
            if self._order is not None:
                self._must_have_heard(self._order.settled)
            self._listen(settled, len(heard))
            for deed in self._life.deeds[max(self.done, 0) :]:
                if isinstance(deed, Rename | Join | Who | Help | Refused) and not self._life.stopped:
                    self._complain(Kind.ANSWER, f"{self._life} was never answered: {deed}", -1)
            if self._cut_off and not self._life.stopped:
                self._complain(Kind.LOST, f"{self._life} was never told that its server is back", -1)
        self._leave()
        self._facts.answered[self._life.nickname] = self.done
        if self._life.thrown_out:
            self._complain(Kind.THROWN_OUT, f"{self._life} was thrown out, and had done nothing for it", -1)

    def _listen(self, first: int, end: int) -> None:
        heard = self._life.heard
        for n in range(first, end):
            line, order = heard[n], self._order
            # Mostly it is just what is to come next.
            if order is not None and self._next < len(order.lines) and order.lines[self._next] == line:
                self._next += 1
                self._verdict.deliveries += 1
            else:
                self._judge(n, line)

    def _judge(self, n: int, line: bytes) -> None:
        if self._rest:
            self._judge_rest(n, line)
        elif self._helps:
            self._judge_help(n, line)
        elif self._life.shared and line in (CUT_OFF, BACK):
            self._judge_cut(n, line)
        elif line in (STOPPED, GIVEN_UP):
            self._judge_end(n, line)
        elif self._place is None:
            self._judge_handshake(n, line)
        elif line in self._facts.whispers:
            self._judge_whisper(n, line)
        elif line[:2] in (b"! ", b"* ") and self._answers(n, line):
            return
        else:
            self._judge_news(n, line)

    # --- what its server tells of itself ---

    def _judge_cut(self, n: int, line: bytes) -> None:
        """Cut off, and back: one after the other."""
        if (line == CUT_OFF) == self._cut_off:
            self._complain(Kind.TWICE, f"{self._life} heard {line!r}, and nothing had changed", n)
        self._cut_off = line == CUT_OFF

    def _judge_end(self, n: int, line: bytes) -> None:
        """The server lets go of all. What they did just before may still be answered when it stops; when it
        was given up, nothing may."""
        last, ends = n == len(self._life.heard) - 1, self._life.ends
        if not (last and SERVER_LOST in ends if line == GIVEN_UP else last or SERVER_STOPPED in ends):
            self._complain(Kind.FORGED, f"{self._life} heard {line!r}, which nobody said or did", n)

    # --- answers ---

    def _judge_handshake(self, n: int, line: bytes) -> None:
        taken = f"! the nickname {self._life.nickname} is taken".encode()
        if line == self._course.places[0].welcome:
            self.done = 0
            self._enter(self._course.places[0], self._course.steps[0].text)
        elif line == REQUEST or line.startswith((taken, OUT_OF_TIME)):
            pass
        elif self._life.deeds and line.startswith(b"! that nickname will not do: "):
            pass  # it went on talking before it was let in
        else:
            self._complain(Kind.ANSWER, f"{self._life} heard {line!r} before its welcome", n)

    def _answers(self, n: int, line: bytes) -> bool:
        """Whether this line answers the next deed that asks for an answer, or claims to answer one."""
        if not (line.startswith((b"! ", b"* you are ", b"* in ")) or line == HELPS[0]):
            return False
        for deed_number in range(self.done + 1, len(self._life.deeds) + 1):
            deed = self._life.deeds[deed_number - 1]
            place = self._course.places[deed_number]
            if isinstance(deed, Whisper):
                if line == f"! nobody here is called {deed.to}".encode():
                    self._facts.refused.add((self._life.nickname, deed_number))
                    self.done = deed_number
                    return True
            elif isinstance(deed, Rename | Join):
                if line == place.welcome:
                    self.done = deed_number
                    self._welcomed(deed_number, place)
                    return True
                break
            elif isinstance(deed, Refused):
                if line == deed.line().encode():
                    self.done = deed_number
                    return True
                break
            elif isinstance(deed, Who):
                if not line.startswith(b"* in "):
                    break
                self.done = deed_number
                self._rest = self._here(place)
                self._judge_rest(n, line)
                return True
            elif isinstance(deed, Help):
                if line != HELPS[0]:
                    break
                self.done = deed_number
                self._helps = HELPS[1:]
                return True
            elif isinstance(deed, Quit):
                break
        self._complain(Kind.ANSWER, f"{self._life} was told {line!r}, which answers nothing", n)
        return True

    def _judge_rest(self, n: int, line: bytes) -> None:
        """A line of the answer to /who: it tells all the rest; or as many as fit on it."""
        assert self._place is not None
        prefix, rest, self._rest = f"* in {self._place.room}: ".encode(), self._rest, []
        told = line.removeprefix(prefix).decode(errors="replace").split(", ")
        if not line.startswith(prefix) or told != rest[: len(told)] or (told != rest and len(line) < LONG):
            what = f"{self._life} was told {line[:200]!r}, and not {', '.join(rest)[:200]}"
            self._complain(Kind.ANSWER, what, n)
        else:
            self._rest = rest[len(told) :]

    def _judge_help(self, n: int, line: bytes) -> None:
        """The next line of the answer to /help: nothing comes in between."""
        if line == self._helps[0]:
            self._helps = self._helps[1:]
        else:
            self._complain(
                Kind.ANSWER, f"{self._life} was told {line[:200]!r}, and not {self._helps[0]!r}", n
            )
            self._helps = ()

    def _here(self, place: Place) -> list[str]:
        return [place.name] if self._order is None else self._order.here(self._next)

    def _welcomed(self, deed: int, place: Place) -> None:
        assert self._place is not None
        own = [step for step in self._course.steps if step.deed == deed]
        if place.room == self._place.room:
            self._place = place
            self._skip_own(own[0].text)
            if self._order is not None and own[0].text in self._order.at:
                self._heard_at(self._order.at[own[0].text])
        else:
            if self._order is not None and own[0].text in self._order.at:
                self._must_have_heard(self._order.at[own[0].text])
            self._leave()
            self._enter(place, own[1].text)

    # --- rooms ---

    def _enter(self, place: Place, arrival: bytes) -> None:
        self._place = place
        self._order = self._facts.orders.get(place.room)
        if self._order is None:
            return
        if self._order.witness is self._life:
            self._came = -1
        elif arrival in self._order.at:
            self._came = self._order.at[arrival]
        else:
            self._order = None  # the witness has missed it; that is told elsewhere
            return
        self._next = self._came + 1

    def _must_have_heard(self, end: int) -> None:
        """All that happened in the room before this, it must have heard by now."""
        assert self._order is not None
        for at in range(self._next, end):
            line = self._order.lines[at]
            if not self._is_own(line):
                self._missed[line] = at
        self._next = max(self._next, end)

    def _leave(self) -> None:
        """It has left the room: what it has missed until now is lost."""
        for line, at in self._missed.items():
            assert self._order is not None
            self._complain(Kind.LOST, f"{self._life} did not hear {line!r}", None, self._order, at)
        self._missed.clear()

    def _is_own(self, line: bytes) -> bool:
        step = self._facts.steps.get(line)
        return step is not None and step.life is self._life

    def _skip_own(self, line: bytes) -> None:
        """What it said itself is not heard: step over that, up to this line. Not over what it was welcomed
        for: the welcome stands in its place."""
        order = self._order
        while order is not None and self._next < len(order.lines):
            step = self._facts.steps.get(order.lines[self._next])
            if step is None or step.text == line or step.life is not self._life:
                break
            if not (step.deed and isinstance(self._life.deeds[step.deed - 1], Say | Act)):
                break
            self._next += 1

    def _heard_at(self, at: int) -> None:
        """It heard what is at this place in the order; what it has skipped it may still hear, too late."""
        if at >= self._next:
            self._must_have_heard(at)
            self._next = at + 1

    # --- what happened in the room ---

    def _judge_news(self, n: int, line: bytes) -> None:
        self._skip_own(line)
        order = self._order
        if order is not None and self._next < len(order.lines) and order.lines[self._next] == line:
            self._next += 1
            self._verdict.deliveries += 1
            return
        if self._is_own(line):
            pass  # that is told already
        elif line in self._life.heard[:n]:
            self._complain(Kind.TWICE, f"{self._life} heard {line!r} twice", n)
        elif not LEFT.fullmatch(line) and line not in self._facts.steps:
            self._complain(Kind.FORGED, f"{self._life} heard {line!r}, which nobody said or did", n)
        elif order is None or line not in order.at:
            self._judge_strange(n, line)
        elif line in self._missed:
            del self._missed[line]
            self._complain(Kind.ORDER, f"{self._life} heard {line!r} too late", n, order, order.at[line])
        elif order.at[line] < self._next:
            self._complain(
                Kind.LEAK, f"{self._life} heard {line!r}, from before it came", n, order, order.at[line]
            )
        else:
            self._heard_at(order.at[line])
            self._verdict.deliveries += 1

    def _judge_strange(self, n: int, line: bytes) -> None:
        """It was said or done, but not in this room, as far as the witness knows."""
        step, where = self._facts.steps.get(line), self._place.room if self._place else "no room"
        if step is None:
            name = LEFT.fullmatch(line)[1].decode()  # type: ignore[index]
            told = [order.room for order in self._facts.orders.values() if line in order.at]
            if name not in self._facts.by_name:
                self._complain(Kind.FORGED, f"{self._life} heard {line!r}, and nobody is called so", n)
            elif told:
                self._complain(Kind.LEAK, f"{self._life}, in {where}, heard {line!r} from {told[0]}", n)
            else:
                self._complain(Kind.REASON, f"{self._life} heard {line!r}, and no witness did", n)
        elif step.room == where:
            self._facts.heard_by[line] = str(self._life)
        else:
            self._complain(Kind.LEAK, f"{self._life}, in {where}, heard {line!r} from {step.room}", n)

    def _judge_whisper(self, n: int, line: bytes) -> None:
        course, deed_number = self._facts.whispers[line]
        deed = course.life.deeds[deed_number - 1]
        assert isinstance(deed, Whisper) and self._place is not None
        if line in self._facts.whispered:
            who = self._facts.whispered[line]
            if who == str(self._life):
                self._complain(Kind.TWICE, f"{self._life} heard {line!r} twice", n)
            else:
                self._complain(Kind.WHISPER, f"{self._life} heard {line!r}, and so did {who}", n)
        elif deed.to.lower() != self._place.name.lower():
            self._complain(Kind.WHISPER, f"{self._life} heard {line!r}, which was for {deed.to}", n)
        else:
            self._facts.whispered[line] = str(self._life)
            self._verdict.deliveries += 1

    # --- telling ---

    def _complain(
        self, kind: Kind, what: str, n: int | None, order: Order | None = None, at: int = 0
    ) -> None:
        self._complaints += 1
        if self._complaints > ENOUGH:
            return
        excerpt: list[str] = []
        if n is not None:
            excerpt += around(self._life.heard, n % len(self._life.heard or [b""]), str(self._life))
        if order is not None:
            excerpt += around(order.lines, at, f"the witness of {order.room}")
        self._verdict.complain(kind, what, excerpt)


def around(lines: Sequence[bytes], at: int, who: str) -> Iterable[str]:
    """The lines before and after this one, as `who` heard them."""
    first = max(0, at - 3)
    return [
        f"{who} heard {'▸' if n == at else ' '} {n}: {line[:120].decode(errors='replace')}"
        for n, line in enumerate(lines[first : at + 3], first)
    ]
