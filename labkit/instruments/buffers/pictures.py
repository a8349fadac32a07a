"""Bars, moments side by side, and a plot over time: as text, and as HTML that says the same.

A full buffer differs from one that fills by its word and its stripes, not by its colour alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from labkit.instruments import drawing
from labkit.instruments.buffers.levels import (
    EMPTY,
    FULL,
    RECEIVING,
    SENDING,
    SOME,
    UNTOLD,
    WIRE,
    Level,
    counted,
)
from labkit.instruments.markup import bdi

if TYPE_CHECKING:
    from labkit.instruments.buffers.samples import Sample

COARSE = {EMPTY: "░░░░░░", SOME: "███░░░", FULL: "██████", UNTOLD: ""}
"""Bars that are the same on each machine."""

BLOCKS = "▁▂▃▄▅▆▇█"

COLUMNS = 40
"""Columns of a line over time, in text."""

STRIP = 44
"""Height of a buffer's strip in a plot, in pixels."""

WIDTH = 400
"""The most that a moment is wide, in pixels."""

STYLE = """<style>
.labkit-buffers .cards {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); gap: 10px;
}
/* The same part of each card at the same height: what stays and what changes is seen along a row. */
.labkit-buffers .card {
  display: grid; grid-template-rows: subgrid; gap: 4px; min-width: 0; padding: 8px 10px;
  border: 1px solid var(--line); border-radius: 6px; box-sizing: border-box;
}
.labkit-buffers .moment { font-size: 16px; font-weight: 600; }
.labkit-buffers .program {
  padding: 3px 8px; border-radius: 4px; background: var(--shade); align-self: start;
}
.labkit-buffers.labkit-buffers code {
  padding: 0; background: none; color: inherit; font-family: var(--code);
}
.labkit-buffers .program b { font-weight: 600; }
.labkit-buffers .what { display: flex; justify-content: space-between; gap: 8px; }
.labkit-buffers .what b { font-weight: 600; }
.labkit-buffers .tank {
  height: 22px; border: 2px solid var(--ink); border-radius: 4px; overflow: hidden; box-sizing: border-box;
}
.labkit-buffers .tank i { display: block; height: 100%; background: var(--own); }
.labkit-buffers .tank.full i {
  background: repeating-linear-gradient(45deg, var(--own) 0 7px, var(--ink) 7px 10px);
}
.labkit-buffers .down { text-align: center; line-height: 1.2; font-weight: 600; }
.labkit-buffers .note { margin-top: 6px; }
.labkit-buffers svg {
  width: 100%; height: 44px; display: block; border: 1px solid var(--line); box-sizing: border-box;
}
.labkit-buffers svg * { vector-effect: non-scaling-stroke; }
.labkit-buffers svg .area { fill: var(--own); fill-opacity: 0.45; stroke: var(--own); stroke-width: 1.5; }
.labkit-buffers svg .full { stroke: var(--ink); stroke-width: 5; stroke-dasharray: 7 4; }
.labkit-buffers svg .mark { stroke: var(--ink); stroke-dasharray: 2 3; }
.labkit-buffers .said { margin-top: 6px; }
.labkit-buffers .flags { position: relative; }
.labkit-buffers .flag { position: absolute; line-height: 18px; white-space: nowrap; }
.labkit-buffers .axis { display: flex; justify-content: space-between; }
</style>"""


NOTE = (
    "In brackets: memory, with the kernel's overhead, and how much it may be (SO_SNDBUF, SO_RCVBUF; Linux "
    "doubles what a program asks for). A full one may hold fewer bytes."
)


def bars(sample: Sample) -> str:
    """One moment as HTML."""
    return _cards([sample], repr(sample))


def _cards(samples: Sequence[Sample], told: str) -> str:
    parts = [_parts(sample) for sample in samples]
    rows = max(map(len, parts))
    cards = "".join(
        f'<div class="card" style="grid-row: span {rows}">{"".join(card)}</div>' for card in parts
    )
    cards = f'<div class="cards" style="max-width: {WIDTH * len(samples)}px">{cards}</div>'
    sized = any(level.room and level.unit == "bytes" for sample in samples for level in sample.levels)
    note = f'<div class="faint note">{escape(NOTE)}</div>' * sized
    sending, receiving = samples[0].level(SENDING), samples[0].level(RECEIVING)
    title = ""
    if sending and receiving:
        way = f"Where bytes wait: buffers on the way from {sending.who} to {receiving.who}"
        title, told = f'<div class="title">{bdi(way)}</div>', f"{way}\n{told}"
    return STYLE + drawing.framed("labkit-buffers", told, f"{title}{cards}{note}")


def _parts(sample: Sample) -> list[str]:
    """A card from top to bottom, in the order in which bytes go: each part is a row of the picture."""
    sending, receiving = sample.level(SENDING), sample.level(RECEIVING)
    parts = [f'<div class="moment">{bdi(sample.moment)}</div>'] if sample.moment else []
    parts.append(f"<div>{bdi(sample.caption)}</div>")
    for level in sample.levels:
        if level is sending and level.state != UNTOLD:
            does = "waits" if level.full else "returns at once"
            parts += [_program(level.who, "send", does), _goes_on(not level.full)]
        if level is receiving and sending and UNTOLD not in (level.state, sending.state):
            parts.append(_goes_on(not level.full, ": the window is shut"))
        if level.kind == WIRE:
            parts.append(_goes_on(not level.full))
        parts.append(tank(level))
        if level is receiving and level.state != UNTOLD:
            does = "would find bytes" if level.holds else "would wait"
            parts += [_goes_on(True), _program(level.who, "recv", does)]
    return parts


def _program(who: str, call: str, does: str) -> str:
    """What a call does, or would do, in the program at this end."""
    return f'<div class="program">{bdi(who)}\'s program: <code>{call}</code> <b>{does}</b></div>'


def _goes_on(on: bool, why: str = "") -> str:
    """Whether bytes go on from here."""
    return f'<div class="down">{"↓" if on else f"✕ no room{why}"}</div>'


def tank(level: Level) -> str:
    """A buffer as a bar."""
    name = f"{bdi(level.who)}: {bdi(level.what)}" if level.who else bdi(level.what)
    head = f'<div class="what"><span>{name}</span><b>{escape(level.state)}</b></div>'
    below = f'<div class="faint">{escape(level.figures)}</div>'
    bar = ""
    if level.holds is not None and level.room:
        percent = max(round(100 * level.share, 1), 1.0 if level.holds else 0.0)
        full = " full" if level.full else ""
        bar = f'<div class="tank{full}"><i style="width:{percent:g}%"></i></div>'
    return f"<div>{head}{bar}{below}</div>"


class Moments:
    """Several samples side by side. As text it has words and coarse bars, the same on each machine."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.samples = list(samples)

    def __repr__(self) -> str:
        if not self.samples:
            return "no moments: give a sample a name, as in sample('before')"
        heads = ["", *(sample.moment for sample in self.samples)]
        names = dict.fromkeys(level.name for sample in self.samples for level in sample.levels)
        rows = [heads]
        for name in names:
            rows.append([name, *(_coarse(sample, name) for sample in self.samples)])
        said = [f"{sample.moment}: {sample.caption}" for sample in self.samples]
        return "\n".join([*drawing.in_columns(rows, "   "), "", *said])

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        bundle = {"text/plain": repr(self)}
        if self.samples:
            told = "\n".join(map(repr, self.samples))
            bundle["text/html"] = _cards(self.samples, told)
        return bundle


def _coarse(sample: Sample, name: str) -> str:
    """A buffer's bar and state, in text."""
    found = [level.state for level in sample.levels if level.name == name]
    return f"{COARSE[found[0]]} {found[0]}".strip() if found else ""


class Plot:
    """What each buffer held over time: a strip for each, all on one time axis."""

    def __init__(self, samples: Sequence[Sample], title: str = "") -> None:
        self.samples, self.title = list(samples), title or "what each buffer held"
        self._names = list(dict.fromkeys(level.name for s in self.samples for level in s.levels))
        self._start = self.samples[0].when if self.samples else 0.0
        self._end = self.samples[-1].when if self.samples else 0.0

    def _levels(self, name: str) -> list[tuple[float, Level]]:
        """When, in seconds from the first sample, and what."""
        return [
            (sample.when - self._start, level)
            for sample in self.samples
            for level in sample.levels
            if level.name == name
        ]

    def _most(self, name: str) -> int:
        return max((level.holds or 0 for _, level in self._levels(name)), default=0)

    def _full(self, name: str) -> list[tuple[float, float]]:
        """From when to when it was full."""
        spans: list[tuple[float, float]] = []
        was_full = False
        for when, level in self._levels(name):
            if was_full:
                spans[-1] = (spans[-1][0], when)
            elif level.full:
                spans.append((when, when))
            was_full = level.full
        return spans

    def _said(self, name: str) -> str:
        levels = [level for _, level in self._levels(name)]
        if all(level.state == UNTOLD for level in levels):
            return levels[0].why
        spans = self._full(name)
        full = f"; full from {spans[0][0]:.2f} s to {spans[0][1]:.2f} s" if spans else ""
        full += f", and {len(spans) - 1} times more" * (len(spans) > 1)
        return f"at most {counted(self._most(name), levels[0].unit)}{full}"

    def __repr__(self) -> str:
        if not self.samples:
            return f"{self.title}: nothing was seen yet"
        rows = [[name, self._line(name), self._said(name)] for name in self._names]
        seconds = f"from 0 to {self._end - self._start:.2f} s"
        return "\n".join([f"{self.title}, {seconds}", *drawing.in_columns(rows)])

    def _line(self, name: str) -> str:
        """`▁▁▃▅▇██▁`: the most that it held in each part of the time."""
        most = self._most(name)
        length = max(self._end - self._start, 1e-9)
        cells, levels = [], self._levels(name)
        for column in range(COLUMNS):
            start, end = (length * (column + i) / COLUMNS for i in range(2))
            before = [level.holds or 0 for when, level in levels if when <= start][-1:]
            held = max(
                [*before, *(level.holds or 0 for when, level in levels if start < when <= end)], default=0
            )
            cells.append(BLOCKS[-(-held * (len(BLOCKS) - 1) // most)] if most else BLOCKS[0])
        return "".join(cells)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        bundle = {"text/plain": repr(self)}
        if self.samples:
            bundle["text/html"] = STYLE + drawing.framed("labkit-buffers", repr(self), self._drawn())
        return bundle

    def _drawn(self) -> str:
        marks = self._marks()
        rows = max((row + 1 for _, _, row in marks), default=0)
        names = "".join(
            f'<span class="flag" style="{_at(x)};top:{18 * row}px">{bdi(moment)}</span>'
            for x, moment, row in marks
        )
        strips = "".join(self._strip(name, [x for x, _, _ in marks]) for name in self._names)
        return (
            f'<div class="title">{bdi(self.title)}</div>'
            f'<div class="flags" style="height:{18 * rows}px">{names}</div>{strips}'
            f'<div class="axis faint"><span>0 s</span><span>{self._end - self._start:.2f} s</span></div>'
        )

    def _marks(self) -> list[tuple[float, str, int]]:
        """Where each moment with a name stands, and in which row its name, so that no two overlap."""
        marks: list[tuple[float, str, int]] = []
        for sample in self.samples:
            if sample.moment:
                x = self._x(sample.when - self._start)
                room = 1.6 * len(sample.moment) + 4  # percent: a letter's, where the plot is narrow
                taken = [row for other, name, row in marks if x - other < room + 1.6 * len(name)]
                marks.append((x, sample.moment, min({*range(len(taken) + 1)} - {*taken})))
        return marks

    def _x(self, seconds: float) -> float:
        """In percent of the width."""
        return round(100 * seconds / max(self._end - self._start, 1e-9), 2)

    def _strip(self, name: str, marks: Sequence[float]) -> str:
        """A buffer over time. The text stands beside the drawing, which is stretched to any width."""
        levels, most = self._levels(name), self._most(name)
        parts = [f'<line class="mark" x1="{x}" x2="{x}" y1="0" y2="{STRIP}"/>' for x in marks]
        if most:
            # What was seen holds until the next look.
            points, y = [f"0,{STRIP}"], float(STRIP)
            for when, level in levels:
                x, y_before = self._x(when), y
                y = round(STRIP - (STRIP - 8) * (level.holds or 0) / most, 1)
                points += [f"{x},{y_before}", f"{x},{y}"]
            points += [f"100,{y}", f"100,{STRIP}"]
            parts.append(f'<polygon class="area" points="{" ".join(points)}"/>')
            for start, end in self._full(name):
                left, right = self._x(start), max(self._x(end), self._x(start) + 0.4)
                parts.append(f'<line class="full" x1="{left}" x2="{right}" y1="3" y2="3"/>')
        said = f"<b>{bdi(name)}</b>: {bdi(self._said(name))}"
        box = f'viewBox="0 0 100 {STRIP}" preserveAspectRatio="none"'
        return f'<div class="said">{said}</div><svg {box}>{"".join(parts)}</svg>'


def _at(percent: float) -> str:
    """Where a text stands that belongs to this place, and does not leave the drawing."""
    if percent > 50:
        return (
            f"right:{round(100 - percent, 2)}%;text-align:right;border-right:2px dotted;padding-right:3px"
        )
    return f"left:{percent}%;border-left:2px dotted;padding-left:3px"
