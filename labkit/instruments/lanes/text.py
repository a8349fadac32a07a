"""Lanes as text: a line of letters for each thread, what the letters mean, and a table of the intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from labkit.instruments.drawing import width
from labkit.instruments.lanes.states import HOLDS, LETTERS, READY, RUNS, Interval, in_words
from labkit.wire.text import brief, clean

if TYPE_CHECKING:
    from labkit.instruments.lanes.side_by_side import Lanes

COLUMNS = 80
"""Moments in the lines of letters; of more, the middle is folded."""

ROWS = 30
"""Rows of a table; of more, the middle is folded."""

WORDS = 60
"""Characters of an event that are shown."""

T = TypeVar("T")

SEEN_AS_RUNNING = f"{RUNS}, or waits for what is not recorded"
MEANWHILE = "a capital letter: it holds a lock meanwhile"


def as_text(lanes: Lanes) -> str:
    """All of it."""
    if not lanes.intervals:
        return f"{lanes.title}: nothing was recorded"
    return "\n".join([_title(lanes), "", *letters(lanes), "", *_table(lanes), *_events(lanes)])


def letters(lanes: Lanes) -> list[str]:
    """The lines of letters, and what they mean. In them time is an order: each column is a moment at which
    something changes, however long it lasts."""
    moments = lanes.moments
    columns = [*folded([*zip(moments, moments[1:], strict=False)], COLUMNS)]
    wide = len(str(len(columns))) + 1 if lanes.unit == "step" else 1
    names = {name: clean(name) for name in lanes.threads}
    widest = max(map(width, names.values()))
    lines = []
    if lanes.unit == "step":
        lines.append(" " * (widest + 2) + _numbers(columns, wide))
    for name in lanes.threads:
        does = "".join(_letter(lanes, name, column, wide) for column in columns)
        lines.append(f"{names[name]}{' ' * (widest - width(names[name]) + 2)}{does}".rstrip())
    if marks := _marks(lanes, columns):
        lines.append(" " * (widest + 2) + marks)
    lines += ["", *_legend(lanes)]
    return lines + [f"… only the newest of {name} were kept" for name in lanes.dropped]


def _title(lanes: Lanes) -> str:
    if lanes.unit == "step":
        return f"{lanes.title}: a column for each step"
    return f"{lanes.title}: in order, a column for each moment at which something changes"


def folded(items: Sequence[T], most: int) -> Iterator[T | str]:
    """The items; of many, the first and the last, and a text in place of those between."""
    hidden = len(items) - most
    if hidden <= 0:
        yield from items
        return
    first = most - most // 2
    yield from items[:first]
    yield f"… {hidden} more …"
    yield from items[first + hidden :]


def letter(lanes: Lanes, thread: str, moment: float) -> str:
    """What a thread does at this moment: see `LETTERS`. A space: it is not there."""
    now = lanes.state(thread, moment)
    if now is None:
        return " "
    if not lanes.held(moment, thread):
        return LETTERS[now.state]
    if now.state == READY:
        return LETTERS[HOLDS].lower()
    return LETTERS[HOLDS] if now.state == RUNS else LETTERS[now.state].upper()


def _letter(lanes: Lanes, thread: str, column: tuple[float, float] | str, wide: int) -> str:
    return "…" * wide if isinstance(column, str) else letter(lanes, thread, column[0]) * wide


def _numbers(columns: Sequence[tuple[float, float] | str], wide: int) -> str:
    shown = (f"{'…' if isinstance(c, str) else int(c[0]) + 1:<{wide}}" for c in columns)
    return "".join(shown).rstrip()


def _marks(lanes: Lanes, columns: Sequence[tuple[float, float] | str]) -> str:
    """The numbers of the journal's events, each below the column that begins with it."""
    line = ""
    for i, column in enumerate(columns):
        for mark in lanes.marks:
            if not isinstance(column, str) and column[0] == mark.at and len(line) <= i:
                line += " " * (i - len(line)) + f"{mark.number}"
    return line + "  (events of the journal)" if line else ""


def states(lanes: Lanes) -> list[str]:
    """Those that occur, in the order of the legend."""
    there = {i.state for i in lanes.intervals}
    return [state for state in LETTERS if state in there]


def _legend(lanes: Lanes) -> list[str]:
    there = states(lanes)
    lines = ["   ".join(f"{LETTERS[state]} {state}" for state in there)]
    if RUNS in there and lanes.unit == "s":
        lines = [lines[0].replace(RUNS, SEEN_AS_RUNNING)]
    if READY in there and HOLDS in there:
        lines[0] += f"   {LETTERS[HOLDS].lower()} {READY}, and {HOLDS}"
    return [*lines, MEANWHILE] if HOLDS in there else lines


def shown(lanes: Lanes) -> list[Interval]:
    """The intervals that a table has: those in which a thread waits, or holds a lock."""
    return [i for i in lanes.intervals if i.state not in (RUNS, READY)]


def _table(lanes: Lanes) -> list[str]:
    rows = [("from", "to", "thread", "")]
    for row in folded(shown(lanes), ROWS):
        if isinstance(row, str):
            rows.append(("…", "…", row, ""))
        else:
            rows.append((*moments(row, lanes.unit), clean(row.thread), clean(row.words)))
    if len(rows) == 1:
        return ["no thread waits, or holds a lock"]
    widths = [max(width(row[i]) for row in rows) for i in range(3)]
    return [
        "  ".join([*(c + " " * (w - width(c)) for c, w in zip(row, widths, strict=False)), row[3]]).rstrip()
        for row in rows
    ]


def moments(interval: Interval, unit: str) -> tuple[str, str]:
    """From when to when."""
    if unit == "step":
        return in_words(interval.start, unit), in_words(interval.end - 1, unit)
    return f"{interval.start:.6f}", f"{interval.end:.6f} s"


def _events(lanes: Lanes) -> list[str]:
    if not lanes.marks:
        return []
    lines = ["", "the journal's events"]
    for mark in folded(lanes.marks, ROWS):
        if isinstance(mark, str):
            lines.append(mark)
        else:
            said = brief(clean(mark.text), WORDS)
            lines.append(f"{mark.at:.6f} s  {mark.number:>3}  {said}  · {clean(mark.thread)}")
    return lines
