"""Lanes as a drawing: SVG in HTML, which scrolls sideways below the names of its threads.

A state has a shape and a letter, and only then a colour. The drawing is the same for the same lanes: it has
no ids.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

from labkit.instruments.lanes.states import HOLDS, LETTERS, LOCK, READY, RUNS, Interval, in_words
from labkit.instruments.lanes.text import (
    MEANWHILE,
    SEEN_AS_RUNNING,
    folded,
    letter,
    letters,
    moments,
    shown,
    states,
)
from labkit.instruments.markup import CODE, COLOURS, FONT, GROUND, PAPER, bdi
from labkit.wire.text import brief, clean

if TYPE_CHECKING:
    from labkit.instruments.lanes.side_by_side import Lanes

DRAWN = 300
"""Moments that are drawn: the newest. `between` draws others."""

ROWS = 200
"""Rows of a table; of more, the middle is folded."""

WORDS = 80
"""Characters of an event that are shown."""

STEP = 34.0
"""Pixels of a step."""

LEAST, DECADE = 13.0, 9.0
"""Pixels of a moment of a microsecond, or less; and how many more there are each time it lasts ten times as
long. A real run has waits of a second beside holds of a microsecond: none would be seen to scale."""

GAP, TOP, BOTTOM = 9, 18, 20
"""Pixels between two threads' rows, and of what stands above and below the rows."""

BOX, BAND = 16, 13
"""Pixels of a state's height, and of a hold's, which lies below it; one under another still lower."""

LETTER = 7.0
"""Pixels of a letter's width."""

TICK = 84.0
"""Pixels between two times that are written below."""

Place = Callable[[float], float]
"""Where a moment stands, in pixels."""

STYLE = f"""<style>
.labkit-lanes {{
  {COLOURS}
  --paper: {GROUND};
  color: var(--ink); background: var(--paper); font: 13px/1.45 {FONT};
}}
.labkit-panel .labkit-lanes {{ --paper: {PAPER}; }}
.labkit-lanes .scrolls {{ display: flex; overflow-x: auto; margin: 6px 0; }}
.labkit-lanes .names {{
  position: sticky; left: 0; z-index: 1; flex: none; padding-right: 8px; background: var(--paper);
  border-right: 1px solid var(--line); max-width: 40%;
}}
.labkit-lanes .names div {{ overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }}
.labkit-lanes.labkit-lanes svg {{ flex: none; display: block; max-width: none; }}
.labkit-lanes svg text {{ fill: var(--ink); font: 11px {CODE}; }}
.labkit-lanes svg .runs {{ fill: var(--ink); }}
.labkit-lanes svg .ready {{ fill: none; stroke: var(--faint); stroke-dasharray: 2 3; }}
.labkit-lanes svg .waits {{ fill: none; stroke: var(--faint); }}
.labkit-lanes svg .wants {{ fill: none; stroke: var(--ink); stroke-width: 1.5; }}
.labkit-lanes svg .stripes {{ stroke: var(--bad); stroke-width: 2; fill: none; }}
.labkit-lanes svg .holds {{ fill: var(--own); stroke: var(--paper); }}
.labkit-lanes svg text.on {{ fill: var(--paper); font-weight: 600; }}
.labkit-lanes svg .mark {{ stroke: var(--faint); stroke-dasharray: 1 3; }}
.labkit-lanes svg .moment {{ stroke: var(--ink); stroke-width: 2; }}
.labkit-lanes svg .paper {{ fill: var(--paper); }}
.labkit-lanes .legend {{ display: flex; flex-wrap: wrap; gap: 2px 16px; }}
.labkit-lanes .legend span {{ display: flex; align-items: center; gap: 6px; }}
.labkit-lanes details {{ margin-top: 4px; overflow-x: auto; }}
.labkit-lanes.labkit-lanes pre {{
  margin: 4px 0; color: var(--ink); background: none; white-space: pre; overflow-x: auto;
  font: 12px/16px {CODE};
}}
.labkit-lanes summary {{ cursor: pointer; }}
.labkit-lanes.labkit-lanes table {{ border-collapse: collapse; margin: 4px 0; font-size: 12px; }}
.labkit-lanes.labkit-lanes tr {{ background: none; }}
.labkit-lanes.labkit-lanes th, .labkit-lanes.labkit-lanes td {{
  text-align: left; padding: 1px 14px 1px 0; white-space: nowrap; background: none; border: none;
  border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; color: var(--ink);
}}
</style>"""


def as_html(lanes: Lanes) -> str:
    """The drawing, its legend, and the intervals and events as tables."""
    if not lanes.intervals:
        return f'{STYLE}<div class="labkit-lanes">{escape(lanes.title)}: nothing was recorded</div>'
    return (
        f'{STYLE}<div class="labkit-lanes">{picture(lanes)}{_legend(lanes)}'
        f"{_intervals(lanes)}{_events(lanes)}{_letters(lanes)}</div>"
    )


def picture(lanes: Lanes, until: float | None = None) -> str:
    """The drawing alone, without its style sheet. `until`: a line stands there, and nothing behind it."""
    cut = lanes
    earlier = 0
    if until is not None:
        cut = lanes.between(lanes.start, until) if until > lanes.start else lanes
    if len(cut.moments) > DRAWN:
        earlier = len(cut.moments) - DRAWN
        cut = cut.between(cut.moments[-DRAWN], cut.end)
    # The scale is that of the whole, so that nothing moves when another moment is chosen.
    place, width = _scale(cut if earlier else lanes)
    numbers = _numbers(lanes)
    heights = [BOX + (BAND + 1) * max(1, *_depths(lanes, name).values(), 0) + GAP for name in lanes.threads]
    tops = [TOP + sum(heights[:i]) for i in range(len(heights))]
    height = TOP + sum(heights) + BOTTOM
    rows = ""
    if until != lanes.start:
        rows = "".join(
            _row(cut, name, top, place, numbers) for name, top in zip(lanes.threads, tops, strict=True)
        )
    line = ""
    if until is not None:
        x = place(until)
        line = f'<line class="moment" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{height - BOTTOM}"/>'
    names = "".join(
        f'<div style="height:{high}px;line-height:{BOX + 8}px" title="{escape(clean(name))}">'
        f"{bdi(clean(name))}</div>"
        for name, high in zip(lanes.threads, heights, strict=True)
    )
    more = f"<div>… {earlier} earlier moments are not drawn</div>" if earlier else ""
    return (
        f"<div><b>{bdi(clean(lanes.title))}</b>, {_time(lanes)}</div>{more}"
        f'<div class="scrolls" tabindex="0" role="region" aria-label="{escape(clean(lanes.title))}">'
        f'<div class="names" style="padding-top:{TOP}px" aria-hidden="true">{names}</div>'
        f'<svg role="img" aria-label="{escape(_told(lanes))}" width="{width:.0f}" height="{height}" '
        f'viewBox="0 0 {width:.0f} {height}" xmlns="http://www.w3.org/2000/svg">'
        f"{_marks(cut, place, height)}{rows}{line}{_ticks(lanes, cut, place, height)}</svg></div>"
    )


def _time(lanes: Lanes) -> str:
    if lanes.unit == "step":
        return "a column for each step"
    return "in seconds, and in order: what lasts ten times as long is only a little wider"


def _scale(lanes: Lanes) -> tuple[Place, float]:
    """Where a moment stands, in pixels; and how wide it all is."""
    changes = lanes.moments
    places = [8.0]
    for before, after in zip(changes, changes[1:], strict=False):
        if lanes.unit == "step":
            places.append(places[-1] + STEP * (after - before))
        else:
            micros = (after - before) * 1e6
            places.append(places[-1] + LEAST + DECADE * math.log10(max(1.0, micros)))

    def place(moment: float) -> float:
        i = max(0, min(bisect_right(changes, moment) - 1, len(changes) - 2))
        if len(changes) < 2:
            return places[0]
        part = (moment - changes[i]) / (changes[i + 1] - changes[i])
        return places[i] + (places[i + 1] - places[i]) * max(0.0, min(1.0, part))

    return place, places[-1] + 60


# --- a thread's row ---


def _row(lanes: Lanes, thread: str, y: float, place: Place, numbers: dict[str, int]) -> str:
    drawn, depths = [], _depths(lanes, thread)
    for i in lanes.intervals:
        if i.thread != thread:
            continue
        x, width = place(i.start), place(i.end) - place(i.start)
        if i.state == HOLDS:
            shape = _hold(
                i.what, numbers.get(i.what, 0), x, y + BOX + 1 + (BAND + 1) * (depths[i] - 1), width
            )
        else:
            shape = _box(i, letter(lanes, thread, i.start), x, y, width)
        tip = f"{clean(thread)} {clean(i.words)}, {_span(i, lanes.unit)}"
        drawn.append(f"<g><title>{escape(tip)}</title>{shape}</g>")
    return "".join(drawn)


def _depths(lanes: Lanes, thread: str) -> dict[Interval, int]:
    """Of each time for which this thread holds a lock, how many it holds then, that one included."""
    depths: dict[Interval, int] = {}
    open_ones: list[tuple[float, int]] = []  # until when, and how deep
    for i in lanes.intervals:
        if i.thread == thread and i.state == HOLDS:
            open_ones = [one for one in open_ones if one[0] > i.start]
            taken = {depth for _, depth in open_ones}
            depths[i] = next(n for n in range(1, len(taken) + 2) if n not in taken)
            open_ones.append((i.end, depths[i]))
    return depths


def _box(i: Interval, sign: str, x: float, y: float, width: float) -> str:
    middle = y + BOX / 2
    if i.state == RUNS:
        return f'<rect class="runs" x="{x:.1f}" y="{middle - 2.5}" width="{width:.1f}" height="5"/>'
    if i.state == READY:
        return f'<line class="ready" x1="{x:.1f}" x2="{x + width:.1f}" y1="{middle}" y2="{middle}"/>'
    kind = "wants" if i.state == LOCK else "waits"
    box = f'<rect class="{kind}" x="{x + 1:.1f}" y="{y}" width="{max(1.0, width - 2):.1f}" height="{BOX}"/>'
    if i.state == LOCK:
        count = max(1, int((width - 6) / 5))
        strokes = "".join(f"M{x + 4 + 5 * n:.1f} {y + 2}v{BOX - 4}" for n in range(count))
        box = f'<path class="stripes" d="{strokes}"/>{box}'
    if width < LETTER + 4:
        return box
    what = clean(i.what)
    said = f"{sign} {what}" if width > LETTER * (len(what) + 4) else sign
    centre, half = x + width / 2, LETTER / 2 * len(said) + 2
    backing = f'x="{centre - half:.1f}" y="{y + 2}" width="{2 * half:.1f}" height="{BOX - 4}"'
    return (
        f'{box}<rect class="paper" {backing}/>'
        f'<text x="{centre:.1f}" y="{y + 12}" text-anchor="middle">{escape(said)}</text>'
    )


def _hold(what: str, number: int, x: float, y: float, width: float) -> str:
    """A lock that is held, by its name where there is room, else by its number in the legend."""
    box = f'<rect class="holds" x="{x:.1f}" y="{y}" width="{max(2.0, width):.1f}" height="{BAND}"/>'
    name = clean(what)
    said = name if width > LETTER * (len(name) + 1) else str(number or "")
    if not said or width < LETTER * len(said) + 2:
        return box
    return (
        f'{box}<text class="on" x="{x + width / 2:.1f}" y="{y + 10}" text-anchor="middle">'
        f"{escape(said)}</text>"
    )


def _numbers(lanes: Lanes) -> dict[str, int]:
    """The locks that are held, numbered."""
    names = dict.fromkeys(i.what for i in lanes.intervals if i.state == HOLDS)
    return {name: n for n, name in enumerate(names, 1)}


def _span(i: Interval, unit: str) -> str:
    start, end = moments(i, unit)
    return f"{start} to {end}" if start != end else start


# --- around the rows ---


def _marks(lanes: Lanes, place: Place, height: int) -> str:
    drawn, free = [], -math.inf
    for mark in lanes.marks:
        x = place(mark.at)
        drawn.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{height - BOTTOM}"/>')
        if x >= free:
            label = str(mark.number)
            drawn.append(f'<text x="{x:.1f}" y="12" text-anchor="middle">{label}</text>')
            free = x + 7 * len(label) + 6
    return "".join(drawn)


def _ticks(whole: Lanes, lanes: Lanes, place: Place, height: int) -> str:
    if whole.unit == "step":
        return "".join(
            f'<text x="{place(n) + STEP / 2:.1f}" y="{height - 6}" text-anchor="middle">{int(n) + 1}</text>'
            for n in whole.moments[:-1]
        )
    drawn, free = [], -math.inf
    for moment in lanes.moments:
        x = place(moment)
        if x >= free:
            drawn.append(f'<text x="{x:.1f}" y="{height - 6}">{escape(f"{moment:.6f}")}</text>')
            free = x + TICK
    return "".join(drawn)


def _told(lanes: Lanes) -> str:
    """What the picture shows, for those who do not see it."""
    said = [f"{lanes.title}."]
    for name in lanes.threads:
        does: dict[str, int] = {}
        for i in lanes.intervals:
            if i.thread == name and i.state not in (RUNS, READY):
                does[i.words] = does.get(i.words, 0) + 1
        told = ", ".join(
            words if count == 1 else f"{words} ({count} times)" for words, count in does.items()
        )
        said.append(f"{name}: {told or RUNS}.")
    return clean(" ".join(said))


def _legend(lanes: Lanes) -> str:
    items = []
    for state in states(lanes):
        one = Interval("", state, "", 0.0, 1.0)
        sign = LETTERS[state]
        shape = _hold("", 0, 1, 4, 28) if state == HOLDS else _box(one, sign, 1, 1, 28)
        words = SEEN_AS_RUNNING if state == RUNS and lanes.unit == "s" else state
        items.append(
            f'<span><svg width="30" height="26" aria-hidden="true">{shape}</svg>{escape(words)}</span>'
        )
    if HOLDS in states(lanes):
        items.append(f"<span>{escape(MEANWHILE)}</span>")
        items += [f"<span>{n}: {bdi(clean(what))}</span>" for what, n in _numbers(lanes).items()]
    if lanes.marks:
        items.append("<span>numbers above: events of the journal</span>")
    return f'<div class="legend">{"".join(items)}</div>'


def _intervals(lanes: Lanes) -> str:
    rows = []
    for row in folded(shown(lanes), ROWS):
        if isinstance(row, str):
            rows.append(f'<tr><td colspan="4">{escape(row)}</td></tr>')
            continue
        start, end = moments(row, lanes.unit)
        rows.append(
            f"<tr><td>{start}</td><td>{end}</td><td>{bdi(clean(row.thread))}</td>"
            f"<td>{bdi(clean(row.words))}</td></tr>"
        )
    return _table("waits and holds, with their times", ("from", "to", "thread", "what it does"), rows)


def _events(lanes: Lanes) -> str:
    rows = []
    for mark in folded(lanes.marks, ROWS):
        if isinstance(mark, str):
            rows.append(f'<tr><td colspan="5">{escape(mark)}</td></tr>')
            continue
        does = lanes.does(mark.thread, mark.at) if mark.thread in lanes.threads else ""
        rows.append(
            f"<tr><td>{mark.number}</td><td>{escape(in_words(mark.at, lanes.unit))}</td>"
            f"<td>{bdi(brief(clean(mark.text), WORDS))}</td>"
            f"<td>{bdi(clean(mark.thread))}</td><td>{bdi(clean(does))}</td></tr>"
        )
    heads = ("event", "at", "", "thread", "which just then")
    return _table("the journal's events, with their times", heads, rows)


def _letters(lanes: Lanes) -> str:
    """The same as text: for those who hear it, and where a viewer shows no drawings."""
    text = escape("\n".join(letters(lanes)))
    return f'<details><summary>as letters</summary><pre tabindex="0">{text}</pre></details>'


def _table(words: str, heads: tuple[str, ...], rows: list[str]) -> str:
    if not rows:
        return ""
    top = "".join(f'<th scope="col">{escape(head)}</th>' if head else "<td></td>" for head in heads)
    return (
        f"<details><summary>{escape(words)}</summary><table><thead><tr>{top}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></details>"
    )
