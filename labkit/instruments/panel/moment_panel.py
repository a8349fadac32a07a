"""One view of a recording: choose a moment, and see what each thread did then, what had passed, what the
buffers held, and what each client had on its screen. What came later is left out.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import ipywidgets

from labkit.instruments.drawn import STYLE as LADDER_STYLE
from labkit.instruments.ladder import Ladder
from labkit.instruments.lanes import Recording
from labkit.instruments.lanes.drawing import STYLE, picture
from labkit.instruments.lanes.states import in_words
from labkit.instruments.link import Link
from labkit.instruments.markup import bdi
from labkit.instruments.panel import look
from labkit.instruments.panel.widgets import Panel, button, column, number_field, row, style
from labkit.journal import Event, Journal

LINES = 8
"""The newest lines of a screen."""

ARROWS = 16
"""The most arrows of a ladder."""


class Samples(Protocol):
    """What looked at something again and again, and can tell what it saw last at a moment."""

    def at(self, seconds: float) -> Any:
        """That, at a moment of `time.monotonic`. Its `_repr_html_` is shown, or its `repr`. None: it
        had not looked yet."""


class MomentPanel(Panel):
    """A moment of a recording. `value` is which, in seconds since it began, to the microsecond; set it to
    choose another one.

    Args:
        recording: one that has ended; clients that are named where it begins have a screen here.
        wires: journals (or links) whose ladders are drawn, by what they are called; they must be recorded.
        buffers: what looked at buffers meanwhile, by what that is called.

    Raises:
        LookupError: a journal is not recorded.
        RuntimeError: the recording is still on.
    """

    def __init__(
        self,
        recording: Recording,
        wires: Mapping[str, Journal | Link] | None = None,
        buffers: Mapping[str, Samples] | None = None,
    ) -> None:
        if recording.running:
            raise RuntimeError("the recording is still on: stop it first")
        self._recording = recording
        self._lanes, self._screens = recording.lanes, recording.screens
        self._buffers = dict(buffers or {})
        self._wires = {name: list(_timed(recording, wire)) for name, wire in (wires or {}).items()}
        self._stops = self._moments()
        kind, end = ipywidgets.BoundedFloatText, self._stops[-1]
        self._field = number_field(kind, "moment, seconds", end, 0.001, "from when the recording began")
        self._field.value = end
        self._field.observe(lambda _: self._paint(), "value")
        self._back = button(
            "◀ Back", "to when something happened before that", lambda: self._go(forward=False)
        )
        self._on = button("Next ▶", "to when something happens next", lambda: self._go(forward=True))
        self._shown = ipywidgets.HTML()
        self.widget = column(
            "labkit-panel",
            style(),
            ipywidgets.HTML(STYLE + LADDER_STYLE).add_class("labkit-style"),
            row("labkit-set", self._field, self._back, self._on),
            self._shown,
        ).add_class("labkit-moment")
        self._paint()

    def _moments(self) -> list[float]:
        """All at which something changes, or is written down."""
        marks = [*self._lanes.marks, *(mark for lines in self._screens.values() for mark in lines)]
        written = {mark.at for mark in marks} | {at for events in self._wires.values() for at, _ in events}
        return sorted({*map(_by, {0.0, self._lanes.end} | written | {*self._lanes.moments})})

    @property
    def value(self) -> float:
        return float(self._field.value)

    @value.setter
    def value(self, seconds: float) -> None:
        self._field.value = self._checked(_by(seconds))

    def _checked(self, seconds: float) -> float:
        if not 0 <= seconds <= self._stops[-1]:
            raise ValueError(f"the recording goes from 0 to {self._stops[-1]:.6f} s, not to {seconds!r}")
        return seconds

    def _go(self, forward: bool) -> None:
        """To the stop behind this moment, or the one before it."""
        there = (
            bisect_right(self._stops, self.value) if forward else bisect_left(self._stops, self.value) - 1
        )
        self._field.value = self._stops[max(0, min(there, len(self._stops) - 1))]

    def at(self, seconds: float) -> str:
        """All of it at that moment, as text.

        Raises:
            ValueError: the recording was not on then.
        """
        self._checked(seconds)
        parts = [self._lanes.at(seconds)]
        for name in self._wires:
            parts.append(str(self._ladder(name, seconds)))
        for name, samples in self._buffers.items():
            seen = samples.at(self._recording.monotonic(seconds))
            parts.append(f"{name}\n{'not looked at yet' if seen is None else seen!r}")
        for name in self._screens:
            lines, more = self._screen(name, seconds)
            told = ["… earlier lines are not shown"] * more + (lines or ["nothing"])
            parts.append("\n".join([f"on {name}'s screen", *("  " + line for line in told)]))
        return "\n\n".join(parts)

    def __repr__(self) -> str:
        return self.at(self.value)

    # --- what is shown ---

    def _ladder(self, name: str, seconds: float) -> Ladder:
        return Ladder([event for at, event in self._wires[name] if at <= seconds], name, rows=ARROWS)

    def _screen(self, name: str, seconds: float) -> tuple[list[str], bool]:
        """The newest lines, and whether there were others before."""
        lines = [mark.text for mark in self._screens[name] if mark.at <= seconds]
        return lines[-LINES:], len(lines) > LINES

    def _paint(self) -> None:
        seconds = self.value
        self._back.disabled, self._on.disabled = seconds <= 0, seconds >= self._stops[-1]
        parts = []
        for name in self._wires:
            passed = self._ladder(name, seconds)
            drawn = look.ladder(passed.html(), 0) if passed.arrows else "nothing has passed"
            parts.append(_part(name, drawn))
        for name, samples in self._buffers.items():
            seen = samples.at(self._recording.monotonic(seconds))
            parts.append(_part(name, _html(seen)))
        for name in self._screens:
            lines, more = self._screen(name, seconds)
            parts.append(_part(f"{name}'s screen", look.log(name, lines, more) if lines else "nothing"))
        does = "".join(map(self._does, self._lanes.threads))
        self._shown.value = (
            f'<div class="labkit-lanes">{picture(self._lanes, seconds)}</div>'
            f'<div role="status">at {in_words(seconds, "s")}</div><ul class="labkit-does">{does}</ul>'
            f'<div class="labkit-parts">{"".join(parts)}</div>'
        )

    def _does(self, thread: str) -> str:
        words = self._lanes.does(thread, self.value)
        return f"<li><b>{bdi(thread)}</b> {bdi(words)}</li>"


def _timed(recording: Recording, wire: Journal | Link) -> Iterator[tuple[float, Event]]:
    """A journal's events, each with its moment; 0 for those that came before the recording."""
    times = recording.when(wire)
    journal = wire.journal if isinstance(wire, Link) else wire
    first, last = min(times, default=1), max(times, default=0)
    for event in journal:
        if event.n in times:
            yield times[event.n], event
        elif event.n < first or not last:
            yield 0.0, event


def _by(seconds: float) -> float:
    """The microsecond by which something has happened: as long a number as a field can show."""
    return math.ceil(seconds * 1e6) / 1e6


def _part(name: str, shown: str) -> str:
    return f"<div><b>{bdi(name)}</b>{shown}</div>"


def _html(seen: Any) -> str:
    if seen is None:
        return "<div>not looked at yet</div>"
    if hasattr(seen, "_repr_html_"):
        return str(seen._repr_html_())
    return f'<div class="labkit-rungs"><pre tabindex="0">{bdi(repr(seen))}</pre></div>'
