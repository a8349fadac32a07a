"""Results, drawn: several servers side by side, or how each does as the clients become more.

Times are on a logarithmic axis, for they differ by powers of ten; the delivery times stand over their
percentiles with more and more room for the last few, which people notice. Every line and bar has its name
beside it, instead of a legend.

This file alone loads matplotlib (and Pillow, which matplotlib brings), and no window system with it.
"""

from __future__ import annotations

import io
import logging
import math
from base64 import b64encode
from collections.abc import Callable, Sequence
from html import escape
from typing import Any, Protocol

from labkit.wire.extras import extra

_logger = logging.getLogger("matplotlib")
_level = _logger.level
_logger.setLevel(logging.ERROR)  # it reports its font cache on standard error

with extra("load"):
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import to_rgb
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator
    from PIL import Image

_logger.setLevel(_level)

from labkit.instruments.load.alt import in_words  # noqa: E402
from labkit.instruments.load.times import Times  # noqa: E402
from labkit.instruments.load.units import span  # noqa: E402

# Okabe and Ito, "Color Universal Design" (2008): told apart by colour-blind people, too.
COLOURS = {
    "labkit": "#0072B2",
    "classic": "#D55E00",
    "queues": "#CC79A7",
    "asyncio": "#009E73",
    "uvloop": "#56B4E9",
    "selectors": "#E69F00",
}
OTHERS = ("#000000", "#7A5195", "#8C564B", "#5C7A29", "#A0A0A0")

INK, FAINT, GRID = "#222222", "#666666", "#DDDDDD"

CURVE = (*range(1, 90), *np.linspace(90, 99, 40), *np.linspace(99.02, 99.9, 45))
"""The percentiles that are drawn."""

TICKS = (50, 90, 99, 99.9)


WIDTH, DPI = 7.5, 110
LEAST = 75
"""Pixels for each inch of a drawing, at least: its letters, of 9 points and more, then have 9 pixels."""


class Measured(Protocol):
    """What is drawn: a Comparison. Its figures are named as in result.py."""

    @property
    def servers(self) -> list[str]: ...
    @property
    def clients(self) -> list[int]: ...
    @property
    def paced(self) -> bool: ...
    def plan(self) -> str: ...
    def machine(self) -> str: ...
    def figure(self, name: str, server: str, clients: int | None = None) -> float: ...
    def each(self, name: str, server: str) -> list[float]: ...
    def times(self, server: str) -> Times: ...
    def clients_of(self, server: str) -> list[int]: ...


class Drawing(Figure):
    """A figure that a notebook shows by itself."""

    def __init__(self, width: float, height: float) -> None:
        super().__init__(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
        FigureCanvasAgg(self)

    def alt(self) -> str:
        """What it shows, in words."""
        return in_words(self)

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
        """As an image with its text, which JupyterLab shows; as a PNG for those who take no HTML.

        It is never shown so small that its letters could not be read: where there is less room, it scrolls.
        """
        png, words = b64encode(self._repr_png_()).decode(), self.alt()
        least = round(self.get_figwidth() * LEAST)
        html = (
            f'<div style="overflow-x: auto" tabindex="0" role="group" aria-label="a drawing">'
            f'<img style="min-width: {least}px; max-width: 100%" src="data:image/png;base64,{png}" '
            f'alt="{escape(words)}"></div>'
        )
        return {"text/html": html, "image/png": png, "text/plain": words}, {"image/png": {"alt": words}}

    def _repr_png_(self) -> bytes:
        """In 64 colours, which is enough, and makes the notebooks that store it a quarter as large."""
        png, small = io.BytesIO(), io.BytesIO()
        self.savefig(png, format="png")
        with Image.open(png) as image:
            image.convert("RGB").quantize(64, dither=Image.Dither.NONE).save(small, "png", optimize=True)
        return small.getvalue()


def draw(measured: Measured) -> Figure:
    """A drawing of what was measured.

    Raises:
        ValueError: nothing was.
    """
    if not measured.servers:
        raise ValueError("nothing was measured, so there is nothing to draw")
    return _growing(measured) if len(measured.clients) > 1 else _side_by_side(measured)


def saves(name: str) -> bool:
    """Whether a file of this name can be written, by its ending."""
    return name.rpartition(".")[2].lower() in FigureCanvasAgg.get_supported_filetypes()


def _colours(servers: Sequence[str]) -> dict[str, str]:
    others = [server for server in servers if server not in COLOURS]
    return COLOURS | {server: OTHERS[i % len(OTHERS)] for i, server in enumerate(others)}


# --- one number of clients ---


def _side_by_side(measured: Measured) -> Figure:
    servers = measured.servers
    drawing = Drawing(WIDTH, max(5.6, 4.6 + 0.5 * len(servers)))
    grid = drawing.add_gridspec(2, 2, height_ratios=(max(2.2, 1.2 + 0.5 * len(servers)), 3.2))
    rates, times, costs = (drawing.add_subplot(grid[at]) for at in ((0, 0), (1, slice(None)), (0, 1)))
    drawing.suptitle(measured.plan(), fontsize=11, color=INK)
    drawing.supxlabel(measured.machine(), fontsize=9, color=INK)
    if measured.paced:  # all deliver what is said; they differ in when the last client has it
        label = "until the last client has a line (median, ms)"
        _bars(rates, measured, "last_client_p50_seconds", label, 1e3)
    else:
        _bars(rates, measured, "deliveries_per_second", "deliveries a second", 1)
    _curves(times, measured)
    _bars(costs, measured, "cpu_seconds_per_delivery", "server's CPU time a delivery (µs)", 1e6)
    return drawing


def _bars(axes: Any, measured: Measured, figure: str, label: str, scale: float) -> None:
    """A bar for each server; ticks on it are the runs of which it is the median."""
    servers = measured.servers
    colours = _colours(servers)
    values = [scale * measured.figure(figure, server) for server in servers]
    known = [value for value in values if not math.isnan(value)]
    _plain(axes, label)
    axes.set_xlabel(label, loc="right")
    axes.set_yticks(range(len(servers)), servers, color=INK)
    axes.set_ylim(len(servers) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    if not known:
        axes.set_xticks([])
        axes.text(0.5, 0.5, "was not watched", transform=axes.transAxes, ha="center", color=FAINT)
        return
    axes.barh(range(len(servers)), values, color=[colours[server] for server in servers], height=0.62)
    every_run = [scale * value for server in servers for value in measured.each(figure, server)]
    axes.set_xlim(0, 1.3 * float(np.nanmax(every_run)) or 1.0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _brief(value)))
    axes.locator_params(axis="x", nbins=5)
    for row, (server, value) in enumerate(zip(servers, values, strict=True)):
        runs = [scale * value for value in measured.each(figure, server)]
        if math.isnan(value):
            continue
        if len(runs) > 1:
            axes.plot(runs, [row] * len(runs), "|", color=INK, markersize=7, markeredgewidth=0.9)
        at = max(value, *runs, 0.0)
        axes.annotate(
            _brief(value),
            (at, row),
            (5, 0),
            textcoords="offset points",
            va="center",
            color=INK,
        )


def _curves(axes: Any, measured: Measured) -> None:
    """The delivery times over their percentiles."""
    servers = measured.servers
    colours = _colours(servers)
    _plain(axes, "deliveries (%) that took no longer", "delivery time")
    ends: list[tuple[float, str, str]] = []
    for server in servers:
        times = measured.times(server)
        if not len(times):
            continue
        heights = [times.percentile(p) for p in CURVE]
        width = 2.4 if server == "labkit" else 1.6
        axes.plot([_nines(p) for p in CURVE], heights, color=colours[server], linewidth=width, label=server)
        ends.append((heights[-1], server, colours[server]))
    _log(axes, _round, ends)
    axes.set_xticks([_nines(p) for p in TICKS], [f"{p:g}" for p in TICKS])
    axes.set_xlim(0, _nines(CURVE[-1]))
    _name_ends(axes, ends)


def _nines(percent: float) -> float:
    """Where a percentile stands: 90, 99 and 99.9 are as far from each other as they are rare."""
    return -math.log10(1 - percent / 100)


# --- several numbers of clients ---


def _growing(measured: Measured) -> Figure:
    drawing = Drawing(WIDTH, 7.0)
    grid = drawing.add_gridspec(2, 2)
    rates, middle, late = (drawing.add_subplot(grid[at]) for at in ((0, slice(None)), (1, 0), (1, 1)))
    drawing.suptitle(measured.plan(), fontsize=11, color=INK)
    ends = [
        _lines(rates, measured, "deliveries_per_second", "deliveries a second"),
        _lines(middle, measured, "delivery_p50_seconds", "delivery time, median"),
        _lines(late, measured, "delivery_p99_seconds", "delivery time, 99 % took no longer"),
    ]
    _log(rates, _brief, ends[0])
    _log(middle, _round, ends[1])
    _log(late, _round, ends[2])
    low = min(axes.get_ylim()[0] for axes in (middle, late))
    high = max(axes.get_ylim()[1] for axes in (middle, late))
    for axes in (middle, late):
        axes.set_ylim(low, high)  # so that the two can be compared
    for axes, its_ends in zip((rates, middle, late), ends, strict=True):
        _name_ends(axes, its_ends)
    return drawing


def _lines(axes: Any, measured: Measured, figure: str, label: str) -> list[tuple[float, str, str]]:
    """A line for each server; returns where each ends, its name and its colour."""
    colours = _colours(measured.servers)
    _plain(axes, "clients", label)
    ends: list[tuple[float, str, str]] = []
    for server in measured.servers:
        numbers = measured.clients_of(server)
        heights = [measured.figure(figure, server, number) for number in numbers]
        if not any(height > 0 for height in heights):  # nan, or nothing at all
            continue
        width = 2.4 if server == "labkit" else 1.6
        axes.plot(
            numbers, heights, "o-", color=colours[server], linewidth=width, markersize=4, label=server
        )
        last = [height for height in heights if height > 0][-1]
        ends.append((last, server, colours[server]))
    axes.set_xscale("log")
    axes.set_xlim(0.85 * measured.clients[0], 1.18 * measured.clients[-1])
    axes.set_xticks(measured.clients, [f"{number:,}" for number in measured.clients])
    axes.xaxis.set_minor_locator(NullLocator())
    return ends


# --- what both share ---

ONE_TWO_FIVE = (1.0, 2.0, 5.0)
"""Where there are lines between two powers of ten."""


def _plain(axes: Any, x: str, y: str = "") -> None:
    axes.set_xlabel(x, color=INK)
    axes.set_ylabel(y, color=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)
    axes.tick_params(colors=FAINT, labelsize=9)
    axes.grid(axis="x" if not y else "both", color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)


def _log(axes: Any, words: Callable[[float], str], ends: list[Any]) -> None:
    """Make the upright axis logarithmic, if there is anything on it."""
    if not ends:
        return
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(10, ONE_TWO_FIVE, numticks=12))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: words(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _round(seconds: float) -> str:
    number, _, unit = span(seconds).partition(" ")
    return f"{float(number.replace(',', '')):g} {unit}"


def _name_ends(axes: Any, ends: list[tuple[float, str, str]]) -> None:
    """The name of each line at its right end; names that would lie on each other are moved apart."""
    if not ends:
        return
    low, high = (math.log10(limit) for limit in axes.get_ylim())
    wanted = sorted(((math.log10(end) - low) / (high - low), name, colour) for end, name, colour in ends)
    apart = 0.062
    places = [place for place, *_ in wanted]
    for _ in range(200):
        for i in range(len(places) - 1):
            if (close := apart - (places[i + 1] - places[i])) > 0:
                places[i] -= close / 2
                places[i + 1] += close / 2
    for place, (_, name, colour) in zip(places, wanted, strict=True):
        axes.annotate(
            name,
            (1, place),
            (5, 0),
            xycoords="axes fraction",
            textcoords="offset points",
            color=_for_letters(colour),
            va="center",
            fontsize=9,
            fontweight="bold" if name == "labkit" else "normal",
        )


def _for_letters(colour: str) -> tuple[float, ...]:
    """The colour, dark enough for letters on white: a contrast of 4.5 or more (WCAG 2.2, 1.4.3)."""
    return tuple(0.58 * part for part in to_rgb(colour))


def _brief(value: float) -> str:
    """A number in three digits: 7.45 million, 382 thousand, 0.13."""
    for unit, size in ((" M", 1e6), (" k", 1e3)):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"
