"""Results of servers that share their rooms, drawn by how many they are.

A row for each number of servers, and one for the server without a backplane, which they are held against.
It shows how much they deliver, how long that takes, and who works: where the servers, Redis and the load
share a few cores, these are the limit, and not the number of servers.

It is drawn as figure.py draws, which loads matplotlib.
"""

from __future__ import annotations

import math
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from labkit.instruments.load.figure import FAINT, INK, Drawing, bars, plain, rounded
from labkit.instruments.load.result import FIGURES, Comparison, span
from labkit.instruments.load.shared import NONE

# Okabe and Ito, as in figure.py.
ALONE, SEVERAL, REDIS, LOAD = "#999999", "#0072B2", "#D55E00", "#E69F00"


def draw(comparison: Comparison) -> Figure:
    """A drawing of servers that share their rooms, all with one number of clients."""
    servers = comparison.servers
    drawing = Drawing(12.5, max(3.8, 2.1 + 0.5 * len(servers)))
    rates, times, work = drawing.subplots(1, 3, width_ratios=(1.1, 1.2, 1.1))
    plan = comparison.results[0].plan
    drawing.suptitle(str(plan), fontsize=11, color=INK)
    drawing.supxlabel(comparison.machine(), fontsize=9, color=INK)
    colours = {server: ALONE if server == NONE else SEVERAL for server in servers}
    if plan.kind == "steady":
        name, label = "last_client_p50_seconds", "until the last client has a line (median, ms)"
        bars(rates, comparison, name, label, 1e3, colours)
    else:
        words = {
            server: "" if math.isnan(cost := comparison.cost(server)) else f" (× {cost:.2f})"
            for server in servers
            if server != NONE
        }
        bars(rates, comparison, "deliveries_per_second", "deliveries a second", 1, colours, words)
    _times(times, comparison, colours)
    _work(work, comparison)
    for axes in (times, work):
        axes.set_yticks(range(len(servers)), [])
        axes.set_ylim(len(servers) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
    return drawing


def _times(axes: Any, comparison: Comparison, colours: dict[str, str]) -> None:
    """From the median to what 99 % did not exceed; small signs are the runs."""
    plain(axes, "delivery time: half (●) and 99 % (○) took no longer")
    axes.set_xscale("log")
    seen: list[float] = []
    for row, server in enumerate(comparison.servers):
        half, most = (comparison.figure(f"delivery_p{p}_seconds", server) for p in (50, 99))
        if math.isnan(half):
            continue
        seen += [half, most]
        colour = colours[server]
        axes.plot([half, most], [row, row], "-", color=colour, linewidth=2)
        axes.plot([half], [row], "o", color=colour, markersize=7)
        axes.plot([most], [row], "o", color=colour, markersize=7, markerfacecolor="white")
        for value, side, away in ((half, "right", 6), (most, "left", -6)):
            at = (value, row)
            axes.annotate(
                span(value), at, (away, 8), textcoords="offset points", ha=side, fontsize=8.5, color=INK
            )
        for p in (50, 99):
            runs = [FIGURES[f"delivery_p{p}_seconds"]([run]) for run in comparison.of(server)]
            if len(runs) > 1:
                axes.plot(runs, [row + 0.2] * len(runs), "|", color=FAINT, markersize=5)
    if seen:
        axes.set_xlim(min(seen) / 2.5, max(seen) * 2.5)
    axes.xaxis.set_minor_locator(NullLocator())
    rounded(axes.xaxis, few=bool(seen) and max(seen) > 16 * min(seen))


def _work(axes: Any, comparison: Comparison) -> None:
    """How many cores were at work: for the servers, for Redis, and for the load."""
    plain(axes, "cores at work, on average")
    parts = (
        ("servers", SEVERAL, "white", "cpu_share"),
        ("Redis", REDIS, "white", "redis_cpu_share"),
        ("load", LOAD, INK, "load_worked_share"),
    )
    widest = 0.0
    for row, server in enumerate(comparison.servers):
        left = 0.0
        for _, colour, ink, figure in parts:
            share = comparison.figure(figure, server)
            if math.isnan(share) or not share:
                continue
            axes.barh(row, share, left=left, color=colour, height=0.62, edgecolor="white")
            if share > 0.15:
                at = left + share / 2
                axes.text(at, row, f"{share:.1f}", ha="center", va="center", fontsize=8.5, color=ink)
            left += share
        widest = max(widest, left)
    cores = comparison.results[0].cores
    axes.set_xlim(0, 1.15 * max(widest, cores if cores <= 2 * widest else 0, 0.1))
    if cores <= axes.get_xlim()[1]:
        axes.axvline(cores, color=INK, linewidth=1, linestyle="--")
    handles = [axes.barh([0], [0], color=colour, label=name) for name, colour, *_ in parts]
    axes.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
