"""What a run found: a verdict for each behaviour, as text and as JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from labkit.conformance.advice import ADVICE, Advice, Cause, causes_of
from labkit.conformance.behaviour import Behaviour
from labkit.instruments.ladder import Ladder
from labkit.journal import Event

HOLDS, MISSED, NOT_JUDGED, NOT_TRIED = "holds", "missed", "not judged", "not tried"
NOT_OFFERED = "not offered"

SIGNS = {HOLDS: "✓", MISSED: "✗", NOT_JUDGED: "–", NOT_TRIED: "·", NOT_OFFERED: "–"}

WIDTH = 100
"""Columns of the text."""

ROWS = 16
"""Arrows of the ladder that is shown with the worst ✗."""

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
                words = f"{self._advice.hint_for(self.clue)} (chapter {self._advice.chapter})"
                rows.append(_wrapped("        look:     ", words))
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
            "hint": self._advice.hint_for(self.clue) if self._advice else "",
            "chapter": self._advice.chapter if self._advice else "",
        }

    @property
    def _advice(self) -> Advice | None:
        return self.advice.get(self.behaviour.name) if self.verdict == MISSED else None


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

    def told_as_one(self, missed: Collection[str]) -> list[tuple[Cause | None, list[str]]]:
        """These behaviours, those of one cause together."""
        return causes_of(missed)

    # --- as text ---

    def head(self) -> str:
        text = f"{self.server}, judged in {self.framing}"
        return "\n".join([text, *(_wrapped("  note: ", note) for note in self.notes)]) + "\n"

    @property
    def causes(self) -> list[tuple[str, list[Verdict]]]:
        """What is to be mended, the worst first: what it is, and the ✗ that come of it."""
        missed = {v.behaviour.name: v for v in self.verdicts if v.verdict == MISSED}
        found = [
            (cause.words if cause else names[0], [missed[name] for name in names])
            for cause, names in self.told_as_one(missed)
        ]
        return sorted(found, key=lambda one: not any(verdict.died for verdict in one[1]))

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
        lines[-1] += f" ({self.seconds:.1f} s)"
        return "\n".join(lines)

    def __str__(self) -> str:
        return "\n".join([self.head(), *map(str, self.verdicts), self.tail()])

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


def _indented(first: str, lines: list[str]) -> str:
    """These lines behind `first`, as they are."""
    return first + ("\n" + " " * len(first)).join(lines)


def _wrapped(first: str, text: str) -> str:
    """The text behind `first`, in as many lines as it takes."""
    lines = [part for line in text.split("\n") for part in textwrap.wrap(line, WIDTH - len(first)) or [""]]
    return _indented(first, lines)
