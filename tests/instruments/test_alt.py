"""load/alt.py and figure.py: a plot in words, and never too small to be read."""

from __future__ import annotations

import base64
import io
import re
from html import unescape

import pytest
from PIL import Image

from labkit.instruments.load.figure import LEAST, Drawing, _for_letters


def plot(x: str, y: str) -> tuple[Drawing, object]:
    drawing = Drawing(6, 3)
    axes = drawing.subplots()
    axes.set(xlabel=x, ylabel=y)
    return drawing, axes


def test_few_points_are_told_one_by_one() -> None:
    """With the name that stands at the end of each line, or is its label, or has its colour."""
    drawing, axes = plot("lines a second", "time (ms)")
    axes.plot([1, 2], [3.0, 4.5], color="#009E73")  # type: ignore[attr-defined]
    axes.annotate("  asyncio, p99", (2, 4.5), color="#009E73")  # type: ignore[attr-defined]
    axes.plot([1, 2], [5, 6], color="#0072B2", label="labkit")  # type: ignore[attr-defined]
    axes.plot([1, 2], [7, 8], color="#D55E00")  # type: ignore[attr-defined]
    axes.annotate("classic", (1.5, 7), color="#D55E00")  # type: ignore[attr-defined]
    assert drawing.alt() == (
        "time (ms) against lines a second: asyncio, p99: 3 at 1, 4.5 at 2; labkit: 5 at 1, 6 at 2; "
        "classic: 7 at 1, 8 at 2."
    )


def test_many_points_are_summed_up() -> None:
    """How many, the ends, the least, the middle and the most."""
    drawing, axes = plot("line", "time (ms)")
    axes.plot(range(1, 102), [i % 10 for i in range(101)], ".")  # type: ignore[attr-defined]
    assert drawing.alt() == (
        "time (ms) against line: 101 points, from 0 at 1 to 0 at 101, least 0, median 4, most 9."
    )


def test_rows_have_their_names() -> None:
    """Points in rows, as of two ways to send; and bars."""
    drawing, axes = plot("time (ms)", "")
    for at in (0, 1):
        axes.plot([1.0, 3.0, 2.0 + at], [at] * 3, "o")  # type: ignore[attr-defined]
    axes.set_yticks([0, 1], ["send", "c_send"])  # type: ignore[attr-defined]
    told = "send: 3 points, least 1, median 2, most 3; c_send: 3 points, least 1, median 3, most 3"
    assert drawing.alt() == f"time (ms): {told}."
    bars, axes = plot("deliveries a second", "")
    axes.barh([0, 1], [10, 2500])  # type: ignore[attr-defined]
    axes.set_yticks([0, 1], ["classic", "labkit"])  # type: ignore[attr-defined]
    assert bars.alt() == "deliveries a second: classic 10; labkit 2,500."


def test_a_notebook_gets_the_words_with_the_image() -> None:
    """In HTML, which JupyterLab shows; beside the PNG; and as text. It is never too small."""
    drawing, axes = plot("<x>", 'y "quoted"')
    axes.plot([1], [1])  # type: ignore[attr-defined]
    bundle, metadata = drawing._repr_mimebundle_()
    words = drawing.alt()
    assert bundle["text/plain"] == metadata["image/png"]["alt"] == words
    [alt] = re.findall('alt="(.*?)"', bundle["text/html"])
    assert unescape(alt) == words and "<x>" not in bundle["text/html"]
    assert f"min-width: {6 * LEAST}px" in bundle["text/html"]
    with Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))) as image:
        assert image.width == 660


@pytest.mark.parametrize("colour", ["#CC79A7", "#56B4E9", "#E69F00", "#009E73", "#0072B2", "#A0A0A0"])
def test_names_in_a_plot_can_be_read(colour: str) -> None:
    """Their contrast on white is 4.5 or more (WCAG 2.2, 1.4.3)."""
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in _for_letters(colour)
    ]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    assert 1.05 / (luminance + 0.05) >= 4.5
