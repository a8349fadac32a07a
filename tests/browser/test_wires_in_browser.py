"""A board with wires as a student works it: in JupyterLab, in a browser, by hand.

The pictures it takes are kept in .artefacts/ at the top of the repository.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from store_notebooks import METADATA
from test_notebook_in_browser import (
    CHROMIUM,
    DARK,
    ELSEWHERE,
    LIGHT,
    OPTIONS,
    lab,  # noqa: F401  # a fixture
    panel,
    picture,
    theme,
)

BOARD = """\
import labkit.client.connection
from labkit import ChatServer, Limits
from labkit.instruments.panel import board

labkit.client.connection.HEARTBEAT = 0.5
server = ChatServer(port=0, limits=Limits(silence=6)).start()
people = board(server, "alice", "bob", "carol", wires=True)
people"""


@pytest.fixture
def page(lab: tuple[str, Path]) -> Iterator[Any]:  # noqa: F811
    """A notebook with a board that has wires, run, in a browser that talks to this machine alone."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=30_000)
    address, folder = lab
    notebook = new_notebook(cells=[new_code_cell(BOARD)], metadata=METADATA)
    nbformat.write(notebook, folder / "wires.ipynb")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS.split())
        page = browser.new_page(viewport={"width": 1360, "height": 1400}, device_scale_factor=1.5)
        page.set_default_timeout(30_000)
        page.route(ELSEWHERE, lambda route: route.abort())
        page.goto(address.format("wires.ipynb"))
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        page.locator(".labkit-ladder").wait_for()
        yield page
        browser.close()


def wire(page: Any, nickname: str) -> Any:
    """The panel of a person's wire."""
    return page.locator(".labkit-wire", has_text=f"{nickname}'s wire")


def test_pieces_and_silence(page: Any) -> None:
    """Pieces of 1 byte on the ladder, one whole line in the panel; the silent stays until time runs out."""
    from playwright.sync_api import expect

    alice, bob, carol = (panel(page, nickname) for nickname in ("alice", "bob", "carol"))
    ladder = page.locator(".labkit-ladder")
    ladder.get_by_role("combobox").select_option("bob")
    wire(page, "bob").get_by_label("pieces (B) in bytes, of bob's wire").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(wire(page, "bob")).to_contain_text("in pieces of 1 byte")
    field = alice.get_by_role("textbox")
    field.fill("Hi!")
    field.press("Enter")
    for letter in "Hi!":
        expect(ladder.locator("ol")).to_contain_text(f"'{letter}' (1)")
    expect(bob.get_by_text("alice: Hi!", exact=True)).to_be_visible()
    picture(page, "wires")
    theme(page, DARK)
    picture(page, "wires-dark")
    theme(page, LIGHT)

    in_roster = page.locator(".labkit-table tr", has_text="carol")
    wire(page, "carol").get_by_role("button", name="Silence").click()
    expect(wire(page, "carol")).to_contain_text("silent, nothing passes")
    expect(in_roster).to_have_count(1)
    for person in (alice, bob):
        expect(person.get_by_role("log")).to_contain_text("* carol left (went silent)")
    expect(in_roster).to_have_count(0)
    expect(carol).to_contain_text("here, in lobby")
    ladder.get_by_role("combobox").select_option("carol")
    expect(ladder.locator(".names")).to_contain_text("carol")
    picture(page, "wires-silent")
