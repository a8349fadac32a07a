"""What a drawing shows, in words, read off the drawing itself: for those who cannot see it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labkit.wire.extras import extra

with extra("load"):
    from matplotlib.colors import to_rgba
    from matplotlib.ticker import FixedLocator

FEW = 5
"""Points of a line that are told one by one; of a longer one the first, the last and the extremes are."""


def in_words(figure: Any) -> str:
    """The title, and for each of its axes what is on them and the values."""
    title = figure.get_suptitle()
    figure.canvas.draw()  # only then ticks have their labels
    parts = [_axes(axes) for axes in figure.axes]
    return ". ".join(part for part in [title, *parts] if part).replace("\n", " ") + "."


def _axes(axes: Any) -> str:
    across, up = axes.get_xlabel(), axes.get_ylabel()
    told = [*_bars(axes), *_lines(axes)]
    what = f"{up} against {across}" if across and up else across or up or axes.get_title()
    return f"{what}: {'; '.join(told) or 'nothing'}" if what or told else ""


def _bars(axes: Any) -> Iterator[str]:
    names = _ticks(axes.yaxis)
    for bar in axes.patches:
        row = bar.get_y() + bar.get_height() / 2
        name = names.get(round(row, 6), "")
        yield f"{name} {_number(bar.get_width(), axes.xaxis)}".strip()


def _lines(axes: Any) -> Iterator[str]:
    rows = {} if axes.get_ylabel() else _ticks(axes.yaxis)
    for line in axes.lines:
        xs, ys = (list(map(float, data)) for data in (line.get_xdata(), line.get_ydata()))
        if not ys or line.get_transform() != axes.transData:  # or it is a rule from side to side
            continue
        if rows:  # points in a row that has a name
            if axes.patches:
                continue  # the single runs: the bar has their median
            name = rows.get(ys[0], "")
            yield f"{name}: {_span(xs, axes.xaxis)}"
            continue
        name = _name(axes, line, xs[-1], ys[-1])
        yield (f"{name}: " if name else "") + _values(axes, xs, ys)


def _values(axes: Any, xs: list[float], ys: list[float]) -> str:
    def point(i: int) -> str:
        return f"{_number(ys[i], axes.yaxis)} at {_number(xs[i], axes.xaxis)}"

    if len(ys) <= FEW:
        return ", ".join(map(point, range(len(ys))))
    if isinstance(axes.xaxis.get_major_locator(), FixedLocator):  # the ticks are what counts
        marks = {tick.get_loc(): tick.label1.get_text() for tick in axes.xaxis.get_major_ticks()}
        nearest = {mark: min(range(len(xs)), key=lambda i: abs(xs[i] - mark)) for mark in marks}
        return ", ".join(f"{_number(ys[i], axes.yaxis)} at {marks[mark]}" for mark, i in nearest.items())
    middle = sorted(ys)[len(ys) // 2]
    return (
        f"{len(ys)} points, from {point(0)} to {point(len(ys) - 1)}, "
        f"least {_number(min(ys), axes.yaxis)}, median {_number(middle, axes.yaxis)}, "
        f"most {_number(max(ys), axes.yaxis)}"
    )


def _span(values: list[float], axis: Any) -> str:
    middle = sorted(values)[len(values) // 2]
    least, most = (_number(value, axis) for value in (min(values), max(values)))
    return f"{len(values)} points, least {least}, median {_number(middle, axis)}, most {most}"


def _name(axes: Any, line: Any, x: float, y: float) -> str:
    """What is written beside a line: its own label, the text at its end, or one in its colour."""
    label = str(line.get_label())
    if not label.startswith("_"):
        return label
    texts = [text for text in axes.texts if text.get_text().strip()]
    for text in texts:
        if getattr(text, "xy", None) == (x, y):
            return str(text.get_text()).strip()
    same = [text for text in texts if to_rgba(text.get_color()) == to_rgba(line.get_color())]
    return str(same[0].get_text()).strip() if same else ""


def _ticks(axis: Any) -> dict[float, str]:
    """The labels of an axis, by their places, if they are names."""
    found = {float(tick.get_loc()): tick.label1.get_text() for tick in axis.get_major_ticks()}
    return {at: name for at, name in found.items() if name and not _is_number(name)}


def _is_number(text: str) -> bool:
    return text[0].isdigit() or text[0] in "-−$."


def _plain(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _number(value: float, axis: Any) -> str:
    """As the axis would write it, but not more coarsely than in three digits."""
    words = str(axis.get_major_formatter()(value))
    return words if any(letter.isalpha() for letter in words) and "$" not in words else _plain(value)
