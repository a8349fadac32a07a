"""What a run found: a verdict for each behaviour, as text and as JSON."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from time import monotonic
from typing import ClassVar, Self

from labkit.conformance.advice import (
    ADVICE,
    DEATHS,
    ENDS,
    ENDS_BY_SIGNAL,
    LAST_WORDS,
    UNCAUGHT,
    Advice,
    Harm,
)
from labkit.conformance.behaviour import Behaviour
from labkit.conformance.causes import CAUSES, Cause, causes_of
from labkit.instruments.ladder import Ladder
from labkit.journal import Event

HOLDS, MISSED, NOT_JUDGED, NOT_TRIED = "holds", "missed", "not judged", "not tried"
NOT_OFFERED = "not offered"

SIGNS = {HOLDS: "✓", MISSED: "✗", NOT_JUDGED: "–", NOT_TRIED: "·", NOT_OFFERED: "–"}

WIDTH = 100
"""Columns of the text."""

ROWS = 16
"""Arrows of the ladder that is shown with the worst ✗."""

FEW = 3
"""Behaviours not tried for one reason that have a line each; more in a row are told in one."""

PRINTED = 8
"""Lines of what the server printed that are shown with a ✗."""


@dataclass(frozen=True)
class Verdict:
    """Whether a server behaves so, and how that showed."""

    subject: ClassVar[str] = "server"  # what it is
    advice: ClassVar[Mapping[str, Advice]] = ADVICE

    behaviour: Behaviour
    required: bool
    verdict: str  # one of the five above
    expected: str = ""
    seen: str = ""
    because: str = ""  # why it was not judged, or not tried
    events: tuple[Event, ...] = ()  # what passed while it was tried
    too_busy: bool = False  # not judged, because others used the machine
    died: str = ""  # how the server's process ended meanwhile, if it did
    printed: str = ""  # what the server printed meanwhile
    clue: str = ""  # which of the behaviour's parts it was, where another hint belongs to it

    def __str__(self) -> str:
        mark = f"{self.behaviour.number:>3} {SIGNS[self.verdict]} "
        name = self.behaviour.name + " (optional)" * self.behaviour.optional
        if self.because:
            name += f": {self.verdict}{', because' if self.verdict == NOT_JUDGED else ':'} {self.because}"
        rows = [_wrapped(mark, name)]
        if self.verdict == MISSED:
            rows.append(_wrapped("        expected: ", self.expected))
            rows.append(_wrapped("        seen:     ", self.seen))
            rows.append(_wrapped("        the wire: ", self.behaviour.clause))
            if self.died:
                rows.append(_wrapped("        and then: ", f"the {self.subject} ended, {self.died}"))
            if self.printed:
                rows.append(_indented("        it said:  ", self.printed.splitlines()[-PRINTED:]))
            if self._advice:
                rows.append(
                    _wrapped("        look:     ", f"{self._hint} (chapter {self._advice.chapter})")
                )
        return "\n".join(rows)

    def as_json(self) -> dict[str, object]:
        return {
            "number": self.behaviour.number,
            "name": self.behaviour.name,
            "clause": self.behaviour.clause,
            "required": self.required,
            "verdict": self.verdict,
            "expected": self.expected,
            "seen": self.seen,
            "because": self.because,
            "died": self.died,
            "printed": self.printed,
            "hint": self._hint,
            "chapter": self._advice.chapter if self._advice else "",
        }

    @property
    def _advice(self) -> Advice | None:
        return self.advice.get(self.behaviour.name) if self.verdict == MISSED else None

    @property
    def _hint(self) -> str:
        if not self._advice:
            return ""
        for words, meaning in LAST_WORDS.items():
            if self.died and words in self.printed:
                return meaning
        hint = DEATHS.get(self.died) or self._advice.hint_for(self.clue)
        return f"{UNCAUGHT}. {hint}" if self.printed and self.died.startswith("with") else hint

    @property
    def harm(self) -> Harm:
        """What it does, if it is a ✗."""
        return self._advice.harm_for(self.clue) if self._advice else Harm.FORM

    @property
    def end(self) -> str:
        """How its process ended, and with which last words, but for numbers; "" if it has not."""
        return self.died and self.died + re.sub(r"\d+", "", self.printed * (self.died not in DEATHS))


@dataclass
class Report:
    """What a server does and does not do.

    Args:
        server: which one, in words.
        framing: "lines" or "raw": the dialect in which it was judged.
        notes: what the user should know first.
        verdicts: in the order of the behaviours.
        ladder_of: the number of the behaviour whose ladder the text has at its end; None: of the worst ✗.
    """

    subject: ClassVar[str] = "server"  # what it is about

    server: str
    framing: str
    notes: list[str] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    seconds: float = 0.0
    ladder_of: int | None = None

    @property
    def missed(self) -> list[int]:
        """The numbers of the ✗, required or not."""
        return sorted(v.behaviour.number for v in self.verdicts if v.verdict == MISSED)

    @property
    def holds(self) -> bool:
        """Whether all that is required was tried, and holds or cannot be judged."""
        return not any(v.required and v.verdict in (MISSED, NOT_TRIED) for v in self.verdicts)

    @property
    def too_busy(self) -> bool:
        """Whether something was not judged because others used the machine."""
        return any(v.required and v.too_busy for v in self.verdicts)

    def ladder(self, number: int) -> Ladder:
        """Who sent what to whom while the behaviour of this number was tried.

        Raises:
            KeyError: it was not tried.
        """
        for v in self.verdicts:
            if v.behaviour.number == number and v.verdict != NOT_TRIED:
                return Ladder(v.events, f"{number}: {v.behaviour.name}", rows=ROWS)
        raise KeyError(f"no behaviour number {number} was tried")

    def told_as_one(self, missed: Mapping[str, str]) -> list[tuple[Cause | None, list[str]]]:
        """These behaviours, those of one cause together; by their names, the clue to each."""
        return causes_of(missed)

    def filled(self, verdicts: Iterable[Verdict], show: Callable[[str], None], started: float) -> Self:
        """This report with these verdicts, its text shown piece by piece, as soon as each is known."""
        show(self.head())

        def kept() -> Iterator[Verdict]:
            for verdict in verdicts:
                self.verdicts.append(verdict)
                yield verdict

        for text in _in_words(kept()):
            show(text)
        self.seconds = monotonic() - started
        show(self.tail())
        return self

    # --- as text ---

    def head(self) -> str:
        text = f"{self.server}, judged in {self.framing}"
        return "\n".join([text, *(_wrapped("  note: ", note) for note in self.notes)]) + "\n"

    @property
    def causes(self) -> list[tuple[str, list[Verdict]]]:
        """What is to be mended, the worst first: what it is, and the ✗ that come of it."""
        missed = {v.behaviour.name: v for v in self.verdicts if v.verdict == MISSED}
        found = []
        for end in {v.end: None for v in missed.values() if v.end}:
            dead = {name: v for name, v in missed.items() if v.end == end}
            # Whatever was tried, the program ended in the same way.
            if len(dead) > 1 and not any(
                cause.dies and dead.keys() <= cause.behaviours for cause in CAUSES
            ):
                words = ENDS_BY_SIGNAL if end.startswith("by") else ENDS
                found.append((words, sorted(dead.values(), key=lambda v: v.behaviour.number)))
                missed = {name: v for name, v in missed.items() if name not in dead}
        found += [
            (cause.words if cause else names[0], [missed[name] for name in names])
            for cause, names in self.told_as_one({name: verdict.clue for name, verdict in missed.items()})
        ]
        return sorted(
            found,
            key=lambda one: (
                not any(verdict.died for verdict in one[1]),
                min(verdict.harm for verdict in one[1]),
            ),
        )

    def _to_mend(self) -> list[str]:
        lines = []
        for words, verdicts in self.causes:
            numbers = ", ".join(str(n) for n in sorted(v.behaviour.number for v in verdicts))
            died = next((f" (the {self.subject} ended, {v.died})" for v in verdicts if v.died), "")
            lines.append(_wrapped(f"  {numbers}: ", words + died))
        return lines

    def tail(self) -> str:
        lines = []
        if self.missed:
            lines += ["", "To mend, the worst first:", *self._to_mend()]
        number = self.ladder_of
        if number is None and self.missed:
            number = self.causes[0][1][0].behaviour.number
        if number is not None:
            try:
                lines += ["", str(self.ladder(number))]
            except KeyError as none:
                lines += ["", str(none.args[0])]
        required = [v for v in self.verdicts if v.required]
        held = sum(v.verdict == HOLDS for v in required)
        lines += ["", f"{held} of {len(required)} required behaviours hold"]
        for verdict, words in ((MISSED, "missed"), (NOT_JUDGED, "not judged"), (NOT_TRIED, "not tried")):
            if count := sum(v.verdict == verdict for v in required):
                lines[-1] += f", {count} {words}"
        if count := sum(v.verdict == MISSED and not v.required for v in self.verdicts):
            lines[-1] += f", {count} optional missed"
        lines[-1] += f" ({self.seconds:.1f} s)"
        return "\n".join(lines)

    def __str__(self) -> str:
        return "\n".join([self.head(), *_in_words(self.verdicts), self.tail()])

    __repr__ = __str__

    # --- as JSON ---

    def as_json(self) -> str:
        return json.dumps(
            {
                self.subject: self.server,
                "framing": self.framing,
                "notes": self.notes,
                "holds": self.holds,
                "too_busy": self.too_busy,
                "causes": [
                    {"cause": words, "numbers": [v.behaviour.number for v in verdicts]}
                    for words, verdicts in self.causes
                ],
                "behaviours": [v.as_json() for v in self.verdicts],
            },
            indent=2,
        )


def _in_words(verdicts: Iterable[Verdict]) -> Iterator[str]:
    """Each verdict as text, as soon as it is known; many that were not tried for one reason as one."""
    for because, group in groupby(verdicts, lambda v: v.because if v.verdict == NOT_TRIED else None):
        if because is None:
            yield from map(str, group)
            continue
        untried = list(group)
        if len(untried) <= FEW:
            yield from map(str, untried)
        else:
            numbers = sorted(v.behaviour.number for v in untried)
            yield _wrapped(f"    {SIGNS[NOT_TRIED]} ", f"{_ranges(numbers)} not tried: {because}")


def _ranges(numbers: list[int]) -> str:
    """Such as "3–11, 13": sorted numbers, those in a row as their first and last."""
    rows = [[n for _, n in row] for _, row in groupby(enumerate(numbers), lambda at: at[1] - at[0])]
    return ", ".join(f"{row[0]}–{row[-1]}" if len(row) > 1 else str(row[0]) for row in rows)


def _indented(first: str, lines: list[str]) -> str:
    """These lines behind `first`, as they are."""
    return first + ("\n" + " " * len(first)).join(lines)


def _wrapped(first: str, text: str) -> str:
    """The text behind `first`, in as many lines as it takes."""
    lines = [part for line in text.split("\n") for part in textwrap.wrap(line, WIDTH - len(first)) or [""]]
    return _indented(first, lines)
