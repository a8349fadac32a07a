"""What a check found: steps with ✓ up to the first ✗, why that one failed, and hints.

As text for a terminal and a test, as HTML for a notebook.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from html import escape

from labkit.exercises.diagnosis.code import Finding
from labkit.exercises.exercise import Exercise
from labkit.exercises.general_hints import GENERAL_HINTS
from labkit.instruments.ladder import Ladder
from labkit.instruments.markup import BAD, CODE, FAINT, GOOD, bdi
from labkit.journal import Event
from labkit.wire import browser
from labkit.wire.text import clean

ROWS = 16
"""Arrows of the ladder of a run, at most."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a step failed.

    Args:
        expected, seen: what should have happened, and what did.
        clue: selects the hints; see CheckFailed.
        at: the lines that the student's threads were in.
        deaths: what threads of the code died of.
        printed: the end of what the code printed.
        events: what the journal of this step has.
        look_at: lines of the code that may be the cause.
    """

    expected: str
    seen: str
    clue: str = ""
    at: tuple[str, ...] = ()
    deaths: tuple[str, ...] = ()
    printed: str = ""
    events: tuple[Event, ...] = ()
    look_at: tuple[Finding, ...] = ()


def _shown(finding: Finding) -> str:
    return f"line {finding.line}: {finding.words}" if finding.line else finding.words


@dataclass
class Result:
    """What a check found. True if every step holds.

    Args:
        exercise: what was checked.
        held: how many steps hold; they are the first ones.
        failure: why the next one does not; None if all hold.
        started: whether the code could be loaded at all.
        not_judged: why nothing can be said: the machine was too busy. "": the code was judged.
        may_differ: whether a busy machine may have had a part in the failure.
        judged: of a notebook's cell, the line that defines the name, and the cell's number.
    """

    exercise: Exercise
    held: int
    failure: Failure | None = None
    started: bool = True
    not_judged: str = ""
    may_differ: bool = field(default=False, repr=False)
    judged: str = ""
    _hinted: int = field(default=1, repr=False)

    @property
    def ok(self) -> bool:
        return self.failure is None and not self.not_judged

    def __bool__(self) -> bool:
        return self.ok

    @property
    def score(self) -> int:
        """Points for the steps that hold."""
        return sum(step.points for step in self.exercise.steps[: self.held])

    @property
    def points(self) -> int:
        """Points that there are."""
        return self.exercise.points

    @property
    def failed(self) -> str | None:
        """The name of the step that failed."""
        if self.failure is None or not self.started:
            return None
        return self.exercise.steps[self.held].name

    @property
    def hints(self) -> tuple[str, ...]:
        """All hints for what was seen, the gentlest first."""
        if self.failure is None:
            return ()
        if not self.started:
            return GENERAL_HINTS.get(self.failure.clue, ())
        return self.exercise.steps[self.held].hints_for(self.failure.clue)

    def hint(self) -> str:
        """The next hint: the result itself shows the first one. After the last comes the last again."""
        if not self.hints:
            return (
                "No hint is needed."
                if self.ok
                else f"Not judged: {self.not_judged}."
                if self.not_judged
                else "What was seen tells what to change, before anything else."
            )
        self._hinted = min(self._hinted + 1, len(self.hints))
        return f"Hint {self._hinted} of {len(self.hints)}: {self.hints[self._hinted - 1]}"

    @property
    def ladder(self) -> Ladder | None:
        """What passed in the step that failed; None if nothing did."""
        if self.failure is None or not self.failure.events:
            return None
        return Ladder(self.failure.events, f"step {self.held + 1}: {self.failed}", rows=ROWS)

    def as_json(self) -> dict[str, object]:
        """What a script wants to know of it."""
        failure = self.failure
        return {
            "exercise": self.exercise.name,
            "ok": self.ok,
            "score": None if self.not_judged else self.score,
            "points": self.points,
            "not_judged": self.not_judged or None,
            "steps_held": self.held,
            "failed": self.failed,
            "expected": failure and failure.expected,
            "seen": failure and failure.seen,
            "step": self.held + 1 if self.failed else None,
            "clue": failure and failure.clue,
            "hint": self.hints[0] if self.hints else None,
            "look_at": [finding._asdict() for finding in failure.look_at] if failure else [],
        }

    # --- as text ---

    @property
    def _judged(self) -> str:
        return f"judged: {clean(self.judged)}" if self.judged else ""

    @property
    def headline(self) -> str:
        return f"{self.exercise.name}: {self.exercise.title} — {self._mark}"

    @property
    def _mark(self) -> str:
        return "not judged" if self.not_judged else f"{self.score} of {self.points} points"

    def _rows(self) -> list[tuple[str, str, str]]:
        """Each step that was tried: the sign, its number and name, its points."""
        steps = self.exercise.steps
        rows = [("✓", f"{n + 1}. {steps[n].name}", f"{steps[n].points}") for n in range(self.held)]
        if self.failure is not None and not self.started:
            rows.append(("✗", "your code can be loaded", f"0 of {self.points}"))
        elif self.failure is not None:
            step = steps[self.held]
            rows.append(("✗", f"{self.held + 1}. {step.name}", f"0 of {step.points}"))
        return rows

    def _reasons(self) -> list[tuple[str, str]]:
        """Why it failed: pairs of what is told, and the words."""
        failure = self.failure
        if self.not_judged:
            again = "" if browser.RUNS_HERE else ". Check again when it is less busy"
            return [("why", self.not_judged + again)]
        if failure is None:
            return []
        reasons = [("expected", failure.expected), ("seen", failure.seen)]
        reasons += [("a thread died", death) for death in failure.deaths]
        reasons += [("your code was in", line) for line in failure.at]
        reasons += [("look at", _shown(finding)) for finding in failure.look_at]
        if failure.printed:
            reasons.append(("it printed", failure.printed))
        # The code may have printed control characters, and this may be read on a terminal.
        return [(about, "\n".join(map(clean, words.splitlines()))) for about, words in reasons]

    @property
    def _waiting(self) -> str:
        left = len(self.exercise.steps) - self.held - 1
        if self.failure is None or left < 1 or not self.started:
            return ""
        return f"{left} more {'step waits' if left == 1 else 'steps wait'} for this one."

    @property
    def _first_hint(self) -> str:
        if not self.hints:
            return ""
        more = " — .hint() gives the next" if len(self.hints) > 1 else ""
        return f"Hint 1 of {len(self.hints)}{more}: {self.hints[0]}"

    def __str__(self) -> str:
        lines = [self.headline, *[self._judged] * bool(self.judged), ""]
        width = max([48, *(len(name) for _, name, _ in self._rows())])
        lines += [f"  {sign} {name:<{width}}  {points}" for sign, name, points in self._rows()]
        for about, words in self._reasons():
            wrapped = [part for line in words.splitlines() for part in textwrap.wrap(line, 78)] or [""]
            lines.append(f"      {about + ':':<18}{wrapped[0]}")
            lines += [" " * 24 + line for line in wrapped[1:]]
        if self._waiting:
            lines.append(f"    {self._waiting}")
        if self.ladder is not None:
            lines += ["", textwrap.indent(str(self.ladder), "  ")]
        if self._first_hint:
            lines += ["", *textwrap.wrap(self._first_hint, 100)]
        return "\n".join(lines)

    __repr__ = __str__

    # --- as HTML ---

    def _repr_html_(self) -> str:
        return self.as_html()

    def as_html(self, on_paper: bool = False) -> str:
        """What a notebook shows; or a page on which nothing can be called: that has all the hints."""
        colour = GOOD if self.ok else BAD
        parts = [
            f'<div style="border-left: 4px solid {colour}; padding: 4px 12px; overflow-x: auto" '
            f'tabindex="0" role="group" aria-label="{escape(self.headline)}">',
            f"<div><b>{escape(self.exercise.name)}</b>: {escape(self.exercise.title)} "
            f'<b style="color: {colour}">{self._mark}</b></div>',
            f"<div><code>{escape(self._judged)}</code></div>" if self.judged else "",
            '<table style="margin: 6px 0 2px; border-collapse: collapse">',
        ]
        for sign, name, points in self._rows():
            cells = [sign_cell(sign), cell(bdi(name), "white-space: nowrap", "th")]
            parts.append(f"<tr>{''.join(cells)}{cell(points, 'white-space: nowrap')}</tr>")
        parts.append("</table>")
        if self._reasons():
            parts.append('<table style="margin: 2px 0 6px 20px; border-collapse: collapse">')
            for about, words in self._reasons():
                head = cell(about, f"color: {FAINT}; white-space: nowrap", "th")
                wide = f"white-space: pre-wrap; min-width: 40ch; font-family: {CODE}"
                parts.append(f"<tr>{head}{cell(bdi(words), wide)}</tr>")
            parts.append("</table>")
        if self._waiting:
            parts.append(f"<div>{escape(self._waiting)}</div>")
        if self.ladder is not None:
            parts.append(self.ladder._repr_mimebundle_()["text/html"])
        if on_paper:
            parts += _unfolded(self.hints)
        elif self._first_hint:
            parts.append(f'<div style="margin-top: 6px"><i>{escape(self._first_hint)}</i></div>')
        return "".join(parts) + "</div>"


def cell(content: str, style: str = "", tag: str = "td") -> str:
    """A cell of a table, or the head of a row. Jupyter sets those in bold, and numbers to the right."""
    scope = ' scope="row"' if tag == "th" else ""
    plain = "text-align: left; vertical-align: top; font-weight: 400; padding: 1px 10px 1px 0"
    return f'<{tag}{scope} style="{plain}; {style}">{content}</{tag}>'


def sign_cell(sign: str) -> str:
    """The cell of ✓ or ✗, with its colour; a screen reader says what it means."""
    good = sign == "✓"
    said = f'<span role="img" aria-label="{"right" if good else "wrong"}">{sign}</span>'
    return cell(said, f"color: {GOOD if good else BAD}")


def _unfolded(hints: tuple[str, ...]) -> list[str]:
    """The first hint; the others show when they are asked for."""
    told = [f"Hint {n} of {len(hints)}: {escape(hint)}" for n, hint in enumerate(hints, 1)]
    return [f'<div style="margin-top: 6px"><i>{hint}</i></div>' for hint in told[:1]] + [
        f"<details><summary>Hint {n}</summary><i>{hint}</i></details>" for n, hint in enumerate(told[1:], 2)
    ]
