"""The README's stills, from the notebooks' own cells: each tells its chapter, and fits into 800 pixels.

It draws them into .artefacts/ at the top of the repository; from there they go to .github/images/.
"""

from __future__ import annotations

import html
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import pytest
from support import need
from test_notebook_in_browser import ARTEFACTS, CHROMIUM, ELSEWHERE, OPTIONS, ROOT

from labkit.instruments.buffers import Level, Sample
from labkit.instruments.buffers.levels import BACKLOG, RECEIVING, SENDING, WIRE
from labkit.instruments.panel import look
from labkit.instruments.panel.buffers_panel import STYLE, table

WIDE = 800

ON_A_BOARD = 655
"""Pixels for the table of buffers, and around it, where JupyterLab is 1280 wide."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    need(importlib.util.find_spec("playwright"), "playwright is not installed (pip install playwright)")
    need(Path(CHROMIUM).exists(), f"there is no Chromium at {CHROMIUM}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS.split())
        yield browser
        browser.close()


def ran(notebook: str, *cells: str) -> dict[str, Any]:
    """What these cells of a notebook have left behind."""
    sources = {cell["id"]: cell.source for cell in nbformat.read(ROOT / "notebooks" / notebook, 4).cells}
    left: dict[str, Any] = {}
    for name in cells:
        exec(compile(sources[name], name, "exec"), left)
    return left


def drawn(browser: Any, name: str, inner: str, wide: int = WIDE) -> str:
    """Take a picture, sharp on any screen, in which nothing need be scrolled. Returns the text in it.

    Lanes may: how wide they are depends on what happened.
    """
    page = browser.new_page(viewport={"width": wide, "height": 600}, device_scale_factor=1.5)
    page.route(ELSEWHERE, lambda route: route.abort())
    looks = "<style>body { margin: 0; } #still { padding: 8px; } details { display: none; }</style>"
    page.set_content(f'{looks}<div id="still">{inner}</div>')
    still = page.locator("#still")
    ARTEFACTS.mkdir(exist_ok=True)
    still.screenshot(path=ARTEFACTS / f"{name}.png")
    too_wide = still.evaluate(
        "still => [...still.querySelectorAll('*')].filter(part => part.scrollWidth > part.clientWidth + 1"
        " && getComputedStyle(part).overflowX !== 'visible' && !part.matches('.scrolls'))"
        ".map(part => part.className)"
    )
    assert not too_wide
    told = " ".join(still.inner_text().split())
    page.close()
    return told


def test_three_moments_tell_that_a_buffer_fills(browser: Any) -> None:
    """07: the receiver's buffer is full first, then the sender's; only then send waits."""
    left = ran("07_slow_readers.ipynb", "07-helpers", "07-moments")
    told = drawn(browser, "moments", left["buffers"].moments()._repr_mimebundle_()["text/html"])
    left["buffers"].stop()
    for sock in (left["near"], left["far"], left["listener"]):
        sock.close()
    order = (
        *("before", "near's program: send returns at once", "far's program: recv would wait"),
        *("filling", "near's program: send returns at once", "near: kernel, to be sent some"),
        *("no room: the window is shut", "far: kernel, to be read full"),
        *(
            "full",
            "near's program: send waits",
            "near: kernel, to be sent full",
            "far: kernel, to be read full",
        ),
    )
    at = 0
    for words in order:
        at = told.index(words, at) + 1


def test_lanes_tell_who_waits_for_the_lock(browser: Any) -> None:
    """06: two threads wait for a lock that a third one holds. How wide each box is depends on the run."""
    recording = ran("06_races.ipynb", "06-real")["recording"]
    lanes = recording.lanes.of("handle", "Main", "the rooms' lock")
    told = drawn(browser, "lanes", lanes._repr_html_())
    names = ("labkit-handle-1", "labkit-handle-2", "MainThread")
    for words in (*names, "waits in recv", "waits for a lock", "holds a lock", "1: the rooms' lock"):
        assert words in told
    picture = html.unescape(lanes._repr_html_())
    for thread, does in zip(names, ("waits for", "waits for", "holds"), strict=True):
        assert re.search(rf"{thread}: [^.]*{does} the rooms' lock", picture)


def test_full_buffers_fit_on_a_board(browser: Any) -> None:
    """The longest figures that the table of a board for four can have: each column is in view."""
    level = Level("server", "", SENDING, 3_999_999, 4_000_000, 4_000_000, full=True)
    small = replace(level, kind=BACKLOG, holds=999_999)
    levels = (small, level, replace(small, kind=WIRE), replace(small, kind=RECEIVING))
    rows = table({name: Sample(0.0, levels) for name in ("alice", "bob", "carol", "dave")})
    panel = f'<div class="labkit-panel labkit-bars">{rows}</div>'
    inner = f'{look.STYLE}{STYLE}<div class="labkit-board"><div class="labkit-below">{panel}</div></div>'
    told = drawn(browser, "buffers-full", inner, wide=ON_A_BOARD)
    assert told.count("full 1000 k") == 4 * 3
