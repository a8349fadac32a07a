"""The first notebook as a student meets it: JupyterLab in a browser, and panels worked by hand.

The pictures it takes are kept in .artefacts/ at the top of the repository.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from support import need

from labkit.exercises.handout.own_copy import FIRST, lay

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "notebooks" / "00_the_whole_chat.ipynb"
ARTEFACTS = ROOT / ".artefacts"
CHROMIUM = "/usr/bin/chromium"
OPTIONS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
ELSEWHERE = re.compile(r"^\w+://(?!(localhost|127\.0\.0\.1)[:/])")
LIGHT, DARK = "JupyterLab Light", "JupyterLab Dark"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A JupyterLab of our own: its address, with {} for a notebook, and its folder, a copy of ours."""
    need(importlib.util.find_spec("playwright"), "playwright is not installed (pip install playwright)")
    need(Path(CHROMIUM).exists(), f"there is no Chromium at {CHROMIUM}")
    folder = tmp_path_factory.mktemp("lab")
    copied = folder / "notebooks"
    shutil.copytree(NOTEBOOK.parent, copied)
    settings = folder / "config" / "labconfig" / "default_setting_overrides.json"
    settings.parent.mkdir(parents=True)
    settings.write_text(
        json.dumps(
            {
                "@jupyterlab/apputils-extension:notification": {
                    "fetchNews": "false",
                    "checkForUpdates": False,
                }
            }
        )
    )
    # Nothing of the user who runs this: no settings, no workspace, no history.
    own = {
        name: str(folder / name.lower())
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    }
    jupyter = subprocess.Popen(
        [
            sys.executable,
            *("-m", "jupyterlab", "--no-browser", "--allow-root"),
            *("--ServerApp.ip=127.0.0.1", "--ServerApp.port=0", f"--ServerApp.root_dir={copied}"),
            "--LabApp.extension_manager=readonly",
        ],
        env={**os.environ, **own, "JUPYTER_CONFIG_PATH": str(folder / "config")},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert jupyter.stderr
    with ended(jupyter):
        said = []
        for line in jupyter.stderr:
            said.append(line)
            if found := re.search(r"(http://127\.0\.0\.1:[1-9]\d*/lab)\?(token=\w+)", line):
                break
        else:
            pytest.fail("JupyterLab ended:\n" + "".join(said))
        # Its output must be read, or it would wait for that for ever.
        reader = threading.Thread(target=lambda: said.extend(jupyter.stderr or ()), daemon=True)
        reader.start()
        yield f"{found[1]}/tree/{{}}?{found[2]}&reset", copied  # reset: no tabs of the test before
    reader.join(15)
    jupyter.stderr.close()


@contextlib.contextmanager
def ended(jupyter: subprocess.Popen[str]) -> Iterator[None]:
    """End it after the block, also if that fails."""
    try:
        yield
    finally:
        jupyter.terminate()
        try:
            jupyter.wait(15)
        except subprocess.TimeoutExpired:
            jupyter.kill()
            jupyter.wait()


@pytest.fixture
def page(lab: tuple[str, Path], request: pytest.FixtureRequest) -> Iterator[Any]:
    """The first notebook, with a kernel for this test, in a browser that talks to this machine alone."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=30_000)
    address, folder = lab
    notebook = f"{request.node.name}.ipynb"
    shutil.copy(NOTEBOOK, folder / notebook)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS.split())
        page = browser.new_page(viewport={"width": 1360, "height": 1000}, device_scale_factor=1.5)
        page.set_default_timeout(60_000)
        page.route(ELSEWHERE, lambda route: route.abort())
        page.goto(address.format(notebook))
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
        yield page
        browser.close()


def run_all(page: Any) -> None:
    """Run all cells, and wait until the last one has run."""
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    runnable = sum(cell.cell_type == "code" for cell in cells)
    # What is stored must not be taken for what was run.
    page.get_by_role("menuitem", name="Edit", exact=True).click()
    page.get_by_role("menuitem", name="Clear Outputs of All Cells").click()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.locator(".jp-InputPrompt", has_text=f"[{runnable}]:").wait_for()


def panel(page: Any, nickname: str) -> Any:
    """The latest panel of that name."""
    name = page.locator(".labkit-name").get_by_text(nickname, exact=True)
    return page.locator(".labkit-panel", has=name).last


def theme(page: Any, name: str) -> None:
    """Change JupyterLab's theme."""
    page.get_by_role("menuitem", name="Settings", exact=True).click()
    page.get_by_text("Theme", exact=True).hover()
    page.get_by_role("menuitem", name=name, exact=True).click()
    page.locator(f"body[data-jp-theme-name='{name}']").wait_for(state="attached")
    page.locator("#jupyterlab-splash").wait_for(state="detached")


def test_run_all_then_play(page: Any) -> None:
    """Run All runs clean to the end; then typing, Enter and the buttons work, and the others read of it."""
    from playwright.sync_api import expect

    run_all(page)
    expect(page.locator("[data-mime-type='application/vnd.jupyter.stderr']")).to_have_count(0)
    expect(page.locator("[data-mime-type='application/vnd.jupyter.error']")).to_have_count(0)

    alice, bob, carol = (panel(page, nickname) for nickname in ("alice", "bob", "carol"))
    alice.scroll_into_view_if_needed()
    field = alice.get_by_role("textbox")
    field.fill("hello?")
    field.press("Enter")
    expect(bob.get_by_role("log")).to_contain_text("alice: hello?")
    expect(field).to_have_value("")
    # The same once more: the focus has stayed in the field.
    page.keyboard.type("hello?")
    page.keyboard.press("Enter")
    expect(bob.get_by_text("alice: hello?")).to_have_count(2)

    # Bob types half a line, and clicks elsewhere: it is sent when he presses Enter, and not before.
    draft = bob.get_by_role("textbox")
    draft.click()
    page.keyboard.type("good morning, al")
    carol.get_by_role("log").click()
    draft.click()
    page.keyboard.press("End")
    page.keyboard.type("ice!")
    page.keyboard.press("Enter")
    expect(alice.get_by_role("log")).to_contain_text("bob: good morning, alice!")
    draft.click()
    page.keyboard.type("can I fool you?")
    carol.get_by_role("log").click()
    draft.click()
    page.keyboard.press("Enter")
    expect(alice.get_by_role("log")).to_contain_text("bob: can I fool you?")
    draft.click()
    page.keyboard.type("* carol left (hung up)")
    bob.get_by_role("button", name="Send").click()
    expect(alice.get_by_role("log")).to_contain_text("bob: * carol left (hung up)")
    # What bob reads of himself, no more and no less; his panel is painted after alice's.
    said = ["> good morning, alice!", "> can I fool you?", "> * carol left (hung up)"]
    expect(bob.locator(".labkit-line.own")).to_have_text(said)

    field.fill("/msg carol he is up to something")
    field.press("Enter")
    expect(carol.get_by_role("log")).to_contain_text("alice -> you: he is up to something")
    carol.get_by_role("textbox").fill("/nick bob")
    carol.get_by_role("textbox").press("Enter")
    expect(carol.get_by_role("log")).to_contain_text("! the nickname bob is taken")
    # The server's table is brought up to date five times a second.
    row = page.locator(".labkit-table tr", has_text="carol").last
    expect(row.get_by_role("cell").nth(3)).to_have_text("1")
    alice.locator(".labkit-name").click()  # no field with a frame around it in the pictures
    picture(page, "board")
    theme(page, DARK)
    picture(page, "board-dark")

    carol.get_by_role("button", name="Abort").click()
    for person in (alice, bob):
        expect(person.get_by_role("log")).to_contain_text("* carol left (vanished)")
    expect(carol).to_contain_text("gone: you aborted")
    expect(carol.get_by_role("textbox")).to_be_disabled()
    bob.get_by_role("button", name="Freeze").click()
    expect(bob.get_by_role("button", name="Thaw")).to_be_visible()
    picture(page, "board-end-dark")
    theme(page, LIGHT)
    picture(page, "board-end")  # README's picture, notebooks/images/board.png, is a copy of this one


def test_newest_line_in_view(page: Any) -> None:
    """The newest line is in view, unless the reader has scrolled up to an older one; also when narrow."""
    from playwright.sync_api import expect

    run_all(page)
    alice, bob = panel(page, "alice"), panel(page, "bob")
    field = alice.get_by_role("textbox")
    for number in range(15):
        field.fill(f"line {number}, and a few words more")
        field.press("Enter")
        expect(field).to_have_value("")
    newest = bob.get_by_text("line 14,")
    bob.locator(".labkit-log").scroll_into_view_if_needed()
    expect(newest).to_be_in_viewport()

    bob.locator(".labkit-log").evaluate("log => log.scrollTop = -log.scrollHeight")
    expect(newest).not_to_be_in_viewport()
    field.fill("one more")
    field.press("Enter")
    expect(bob.get_by_role("log")).to_contain_text("one more")
    expect(bob.get_by_text("* you are bob")).to_be_in_viewport()
    expect(bob.get_by_text("one more")).not_to_be_in_viewport()

    page.set_viewport_size({"width": 720, "height": 1500})
    alice.scroll_into_view_if_needed()
    wide = page.evaluate(
        "() => [...document.querySelectorAll('.labkit-panel')].map(p => p.scrollWidth - p.clientWidth)"
    )
    assert max(wide) <= 0, "something sticks out of its panel"
    picture(page, "board-narrow")


def test_predict_by_keyboard(page: Any, lab: tuple[str, Path]) -> None:
    """In a student's copy, by keys alone: a guess, the experiment, the guess below what came, and why."""
    from playwright.sync_api import expect

    address, folder = lab
    lay(folder / "mine")
    page.goto(address.format(f"mine/{FIRST}"))
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    keys = page.keyboard
    page.locator(".jp-Cell").first.click()
    keys.press("Escape")
    why = page.locator("summary", has_text="What came, and why")
    explanation = page.locator("details p", has_text="It finished at once")
    expect(why.first).to_be_visible()
    expect(explanation).to_be_hidden()
    for _ in range(2):  # to the question's cell, which is run where it is
        keys.press("ArrowDown")
    keys.press("Control+Enter")
    asked = page.locator(".labkit-predict")
    never = asked.get_by_role("button", name="no, never")
    never.wait_for()
    tab_to(page, never)
    keys.press("Enter")
    expect(asked.get_by_role("button", name="✓ no, never")).to_be_focused()
    expect(asked.get_by_role("status")).to_have_text("Kept: no, never. Now see what comes.")
    keys.press("Space")  # the same again changes nothing
    keys.press("ArrowDown")  # JupyterLab's own: the next cell
    keys.press("Shift+Enter")
    beside = page.locator(".labkit-predicted")
    expect(beside).to_have_text("You predicted: no, never.")
    tab_to(page, why.first)
    keys.press("Enter")
    expect(explanation).to_be_visible()
    records = (folder / "mine" / ".labkit-predictions.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line).get("guess") for line in records] == ["no, never", None]
    ARTEFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTEFACTS / "predict.png", animations="disabled")
    theme(page, DARK)
    page.screenshot(path=ARTEFACTS / "predict-dark.png", animations="disabled")
    theme(page, LIGHT)


def tab_to(page: Any, wanted: Any) -> None:
    """Press Tab until this has the focus."""
    for _ in range(12):
        page.keyboard.press("Tab")
        if wanted.evaluate("one => one === document.activeElement"):
            return
    pytest.fail("Tab does not lead there")


def picture(page: Any, name: str) -> None:
    """Keep a picture of the latest board."""
    ARTEFACTS.mkdir(exist_ok=True)
    board = page.locator(".labkit-board").last
    board.evaluate("board => board.scrollIntoView({block: 'center'})")
    board.screenshot(path=ARTEFACTS / f"{name}.png", animations="disabled")
