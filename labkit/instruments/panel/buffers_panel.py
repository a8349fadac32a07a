"""What waits on the way from a server to each person: a row for each, and a bar for each buffer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from time import monotonic

import ipywidgets

from labkit.instruments.buffers import UNTOLD, Buffers, Level, Sample
from labkit.instruments.buffers.levels import BACKLOG, RECEIVING, SENDING, WIRE
from labkit.instruments.markup import bdi
from labkit.instruments.panel.painter import Painter
from labkit.instruments.panel.widgets import LivePanel, column, style

LOOKS = 0.1
"""Seconds between two looks at the buffers, which do not report changes."""

HEADS = {
    BACKLOG: "server's backlog",
    SENDING: "server's kernel",
    WIRE: "wire",
    RECEIVING: "their kernel",
}

SIZES = ((10_000, 1, "{:,.0f}"), (1_000_000, 1_000, "{:.0f} k"), (math.inf, 1_000_000, "{:.1f} M"))
"""Up to what, in what unit, and how the bytes are written; all their digits are in the tooltip."""

STYLE = """<style>
.labkit-bars .tank {
  display: inline-block; vertical-align: middle; width: 40px; height: 14px; margin-right: 6px;
  border: 1px solid var(--ink); border-radius: 3px; overflow: hidden; box-sizing: border-box;
}
.labkit-bars .tank i { display: block; height: 100%; background: var(--own); }
.labkit-bars .tank.full i {
  background: repeating-linear-gradient(45deg, var(--own) 0 5px, var(--ink) 5px 7px);
}
.labkit-bars .labkit-table tbody tr:last-child th { border-bottom: none; }
.labkit-bars td b { font-weight: 600; }
</style>"""


class BuffersPanel(LivePanel):
    """The buffers on the way to each of several people.

    Args:
        ways: each with the name of the person whom it leads to, as `buffers.to_client` makes it.
        painter: as for ChatPanel; None: a painter of its own, which ends when all connections are over.

    `panel["bob"]` are bob's Buffers, with all that was seen.
    """

    every = LOOKS

    def __init__(self, ways: Mapping[str, Buffers], painter: Painter | None = None) -> None:
        if not ways:
            raise ValueError("a BuffersPanel needs at least one way")
        super().__init__(painter)
        self._ways = dict(ways)
        self._look_again = 0.0
        self._seen: list[tuple[Level, ...]] = []
        self._shown = ipywidgets.HTML()
        sheet = ipywidgets.HTML(STYLE).add_class("labkit-style")
        self.widget = column("labkit-panel", style(), sheet, self._shown).add_class("labkit-bars")
        self._begin()

    def __getitem__(self, name: str) -> Buffers:
        return self._ways[name]

    def __repr__(self) -> str:
        """Without the figures, which change while you read."""
        return f"buffers on the way to: {', '.join(self._ways)}"

    def over(self) -> bool:
        return bool(self._seen) and all(
            level.state == UNTOLD for levels in self._seen for level in levels if level.who != "server"
        )

    def paint(self, last: bool) -> None:
        now = monotonic()
        if now < self._look_again and not last:
            return
        self._look_again = now + LOOKS
        samples = {name: way.sample() for name, way in self._ways.items()}
        levels = [sample.levels for sample in samples.values()]
        if levels != self._seen:
            self._seen = levels
            self._shown.value = table(samples)


def table(samples: Mapping[str, Sample]) -> str:
    """A row for each name, and a column for each buffer."""
    first = next(iter(samples.values())).levels
    heads = ["bytes for", *(HEADS[level.kind] for level in first)]
    top = "".join(f'<th scope="col">{escape(head)}</th>' for head in heads)
    rows = "".join(
        f'<tr><th scope="row">{bdi(name)}</th>{"".join(map(_cell, sample.levels))}</tr>'
        for name, sample in samples.items()
    )
    whys = dict.fromkeys(level.why for sample in samples.values() for level in sample.levels if level.why)
    notes = "".join(f'<div class="labkit-state">not told: {escape(why)}</div>' for why in whys)
    return (
        '<div class="labkit-table" tabindex="0" role="group" aria-label="what waits on the way to each">'
        f"<table><thead><tr>{top}</tr></thead><tbody>{rows}</tbody></table></div>{notes}"
    )


def _cell(level: Level) -> str:
    if level.holds is None:
        return f"<td>{UNTOLD}</td>"
    percent = max(round(100 * level.share, 1), 2.0 if level.holds else 0.0)
    full = " full" if level.full else ""
    bar = f'<span class="tank{full}" aria-hidden="true"><i style="width:{percent:g}%"></i></span>'
    size = next(form.format(level.holds / unit) for most, unit, form in SIZES if level.holds < most)
    state = f"<b>{level.state}</b> " * level.full
    return f'<td title="{escape(level.figures)}">{bar * bool(level.room)}{state}{size}</td>'
