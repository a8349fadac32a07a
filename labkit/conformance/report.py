"""What a run found: a verdict for each behaviour, as text and as JSON."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass, field

from labkit.conformance.behaviour import Behaviour
from labkit.instruments.ladder import Ladder
from labkit.journal import Event

HOLDS, MISSED, NOT_JUDGED, NOT_TRIED = "holds", "missed", "not judged", "not tried"

SIGNS = {HOLDS: "✓", MISSED: "✗", NOT_JUDGED: "–", NOT_TRIED: "·"}

WIDTH = 100
"""Columns of the text."""

ROWS = 16
"""Arrows of the ladder that is shown with the first ✗."""


@dataclass(frozen=True)
class Verdict:
    """Whether a server behaves so, and how that showed."""

    behaviour: Behaviour
    required: bool
    verdict: str  # one of the four above
    expected: str = ""
    seen: str = ""
    because: str = ""  # why it was not judged, or not tried
    events: tuple[Event, ...] = ()  # what passed while it was tried
    too_busy: bool = False  # not judged, because others used the machine

    def __str__(self) -> str:
        mark = f"{self.behaviour.number:>3} {SIGNS[self.verdict]} "
        name = self.behaviour.name + " (optional)" * self.behaviour.optional
        if self.because:
            name += f": {self.verdict}{', because' if self.verdict == NOT_JUDGED else ':'} {self.because}"
        text = _wrapped(mark, name)
        if self.verdict == MISSED:
            text += "\n" + _wrapped("        expected: ", self.expected)
            text += "\n" + _wrapped("        seen:     ", self.seen)
            text += "\n" + _wrapped("        the wire: ", self.behaviour.clause)
        return text

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
        }


@dataclass
class Report:
    """What a server does and does not do.

    Args:
        server: which one, in words.
        framing: "lines" or "raw": the dialect in which it was judged.
        notes: what the user should know first.
        verdicts: in the order of the behaviours.
    """

    server: str
    framing: str
    notes: list[str] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def missed(self) -> list[int]:
        """The numbers of the ✗, required or not."""
        return [v.behaviour.number for v in self.verdicts if v.verdict == MISSED]

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

    # --- as text ---

    def head(self) -> str:
        text = f"{self.server}, judged in {self.framing}"
        return "\n".join([text, *(_wrapped("  note: ", note) for note in self.notes)]) + "\n"

    def tail(self) -> str:
        lines = []
        if self.missed:
            lines += ["", str(self.ladder(self.missed[0]))]
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
                "server": self.server,
                "framing": self.framing,
                "notes": self.notes,
                "holds": self.holds,
                "too_busy": self.too_busy,
                "behaviours": [v.as_json() for v in self.verdicts],
            },
            indent=2,
        )


def _wrapped(first: str, text: str) -> str:
    """The text behind `first`, in as many lines as it takes."""
    lines = [part for line in text.split("\n") for part in textwrap.wrap(line, WIDTH - len(first)) or [""]]
    return first + ("\n" + " " * len(first)).join(lines)
