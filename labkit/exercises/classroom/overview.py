"""Where the class stands: step by step, so that a teacher sees what it has not understood.

As text for a terminal, and as a page that leads to those of the students. Both are made of the rows alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from statistics import median
from urllib.parse import quote

from labkit.exercises.catalogue import task_called
from labkit.exercises.classroom.feedback import file_name, page
from labkit.exercises.classroom.table import RIGHT, WRONG, Row, shown
from labkit.exercises.exercise import Exercise
from labkit.instruments.markup import bdi

BAR = 20
"""Characters of the longest bar."""


@dataclass(frozen=True, slots=True)
class Stand:
    """Where the class stands at one step.

    Args:
        step: its number and name.
        reached: how many came to it.
        failed: how many failed there.
        bugs: the bugs that they failed with, the most frequent first, and how many had each.
        hint: what the exercise asks those who fail there.
    """

    step: str
    reached: int
    failed: int
    bugs: tuple[tuple[str, int], ...]
    hint: str


def stands(exercise: str, rows: Iterable[Row]) -> list[Stand]:
    """Each step of an exercise, in its order; of `judge`, what its tests got wrong."""
    failed: dict[str, list[Row]] = {}
    passed = 0
    for row in rows:
        passed += row.state == RIGHT
        if row.step:
            failed.setdefault(row.step, []).append(row)
    task = task_called(exercise)
    if isinstance(task, Exercise):
        steps = {f"{n}. {step.name}": step.hints[0] for n, step in enumerate(task.steps, 1)}
    else:
        steps = {step: "" for step in sorted(failed, key=lambda step: -len(failed[step]))}
    found = []
    left = passed + sum(len(failed.get(step, [])) for step in steps)
    for step, hint in steps.items():
        here = failed.get(step, [])
        bugs = Counter(row.bug or row.state for row in here if row.bug or row.state != WRONG)
        found.append(Stand(step, left, len(here), tuple(bugs.most_common()), hint))
        left -= len(here)
    return found


def headline(exercise: str, rows: Sequence[Row]) -> str:
    """`framing: messages out of a stream — 25 students, 12 right, median 7 of 10 points`."""
    task = task_called(exercise)
    right = sum(row.state == RIGHT for row in rows)
    middle = median(row.points for row in rows) if rows else 0
    people = f"{len(rows)} student{'s' * (len(rows) != 1)}"
    return f"{exercise}: {task.title} — {people}, {right} right, median {middle:g} of {task.points} points"


def states(rows: Iterable[Row]) -> list[tuple[str, int]]:
    """How many rows are in each state other than right and wrong."""
    return Counter(row.state for row in rows if row.state not in (RIGHT, WRONG)).most_common()


# --- as text ---


def as_text(rows: Sequence[Row]) -> str:
    """The steps at which someone failed, exercise by exercise."""
    return "\n\n".join(_exercise_as_text(name, of_it) for name, of_it in _by_exercise(rows).items())


def as_lines(rows: Sequence[Row]) -> str:
    """Each row in a line: for who wants no table."""
    width = max((len(shown(row.student)) for row in rows), default=0)
    lines = (
        f"{shown(row.student):<{width}}  {row.exercise:<10} {row.points:>2} of {row.of:<2}  "
        f"{row.state}{': ' * bool(row.step)}{row.step}"
        for row in rows
    )
    return "\n".join(lines) + "\n"


def _exercise_as_text(exercise: str, rows: Sequence[Row]) -> str:
    failed = [stand for stand in stands(exercise, rows) if stand.failed]
    lines = [headline(exercise, rows)]
    width = max((len(stand.step) for stand in failed), default=0)
    most = max((stand.failed for stand in failed), default=1)
    for stand in failed:
        bar = "█" * max(1, round(stand.failed * BAR / most))
        count = f"{stand.failed:>3} of {stand.reached:<3}"
        lines.append(f"  ✗ {stand.step:<{width}}  {count} {bar:<{BAR}} {_bugs(stand)}")
    told = ", ".join(f"{state} {count}" for state, count in states(rows))
    lines += [f"  {told}"] * bool(told)
    lines += [f"  suspicious: {shown(row.student)}, {row.suspicious}" for row in rows if row.suspicious]
    return "\n".join(line.rstrip() for line in lines)


def _bugs(stand: Stand) -> str:
    return ", ".join(f"{bug} {count}" for bug, count in stand.bugs)


def _by_exercise(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.exercise, []).append(row)
    return found


# --- as a page ---


def as_page(rows: Sequence[Row]) -> str:
    """A page for the teacher: the steps, and the students, with links to their pages."""
    parts = ["<h1>Where the class stands</h1>"]
    for exercise, of_it in _by_exercise(rows).items():
        parts.append(f"<h2>{escape(headline(exercise, of_it))}</h2>")
        parts.append(_steps(stands(exercise, of_it)))
    parts.append(f"<h2>Students</h2>\n{_students(rows)}")
    return page("Where the class stands", "\n".join(parts))


def _steps(found: Sequence[Stand]) -> str:
    parts = ['<div class="wide"><table class="grid">']
    parts.append('<tr><th>step</th><th class="number">failed here</th><th>share</th><th>bugs</th></tr>')
    for stand in found:
        share = 100 * stand.failed / stand.reached if stand.reached else 0
        parts_of_it = (("b", 100 - share), ("i", share))
        bars = "".join(f'<{tag} style="width: {size:.0f}%"></{tag}>' for tag, size in parts_of_it)
        bar = (
            f'<span class="bar" role="img" aria-label="{share:.0f} %">{bars}</span>'
            if stand.reached
            else ""
        )
        hint = f'<div class="quiet">{escape(stand.hint)}</div>' if stand.failed and stand.hint else ""
        parts.append(
            f"<tr><td>{escape(stand.step)}{hint}</td>"
            f'<td class="number">{stand.failed} of {stand.reached}</td>'
            f"<td>{bar}</td><td>{escape(_bugs(stand))}</td></tr>"
        )
    return "\n".join(parts) + "</table></div>"


def _students(rows: Iterable[Row]) -> str:
    parts = ['<div class="wide"><table class="grid">']
    parts.append(
        '<tr><th>student</th><th>exercise</th><th class="number">points</th>'
        "<th>state</th><th>notes</th></tr>"
    )
    for row in rows:
        link = f"{quote(file_name(row.student))}#{quote(row.exercise)}"
        state = f"{row.state}{': ' * bool(row.step)}{row.step}{f' ({row.bug})' if row.bug else ''}"
        notes = bdi(shown(row.note))
        if row.suspicious:
            notes = f'<span class="flag">suspicious: {bdi(shown(row.suspicious))}</span> {notes}'
        parts.append(
            f'<tr><td class="name"><a href="{link}">{bdi(shown(row.student))}</a></td>'
            f"<td>{escape(row.exercise)}</td>"
            f'<td class="number">{row.points} of {row.of}</td><td>{escape(state)}</td>'
            f'<td class="notes">{notes}</td></tr>'
        )
    return "\n".join(parts) + "</table></div>"
