"""All that labkit shows in a notebook, for everybody: axe-core finds nothing, and nothing sticks out.

In light and in dark, 1280 and 800 wide. The pictures it takes are kept in .artefacts/ at the top of the
repository, each widget by itself.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from store_notebooks import METADATA
from support import need
from test_notebook_in_browser import (
    ARTEFACTS,
    CHROMIUM,
    DARK,
    ELSEWHERE,
    LIGHT,
    OPTIONS,
    lab,  # noqa: F401  # a fixture
    theme,
)

CELLS = {
    "board": """\
from labkit import ChatServer, Limits
from labkit.instruments.panel import ChatPanel, LadderPanel, LinkPanel, ServerPanel, board

server = ChatServer(port=0).start()
people = board(server, "alice", "bob", "carol", "dave", wires=True, buffers=True)
people.alice.say("good morning")
people.bob.wait_for("good morning")
people.bob.whisper("alice", "are you there?")
people.alice.wait_for("are you")
people.alice.say("/msg zoe hi")
people.alice.wait_for("zoe")
people.carol.say("/me waves")
people.dave.wait_for("waves")
people.faults("carol").slice(4)
people.faults("dave").silence()
people""",
    "chat": "people.alice",
    "server": "people.server",
    "link": "people.faults('carol')",
    "wire": "people.ladder",
    "buffers-panel": "people.buffers",
    "board-three": """\
other = ChatServer(port=0).start()
three = board(other, "שלום1", "سلام", "carol")
three["שלום1"].say("بوب: מה 12 (34)!")
three.carol.wait_for("12")
three.carol.abort()
three["سلام"].freeze()
three""",
    "ladder": """\
from labkit.instruments.ladder import Ladder
Ladder(server.journal, "who hears what", threads=True)""",
    "ladder-right-to-left": "Ladder(other.journal, 'from right to left')",
    "ladder-goodbye": """\
from labkit.instruments.ladder import Beside

two = board(other, "erin", "frank", wires=True)
two.erin.leave()
two.frank.abort()
two.wire("erin").journal.wait_for("FIN", "server")
two.wire("frank").journal.wait_for("RST", "frank")
erin, frank = (list(two.wire(name).journal)[-3:] for name in ("erin", "frank"))
Beside(Ladder(erin, "erin leaves"), Ladder(frank, "frank aborts"))""",
    "explore": """\
from labkit.instruments.stepper import explore

def setup():
    return {"count": 0}

def add_one(state):
    n = state["count"]
    state["count"] = n + 1

found = explore(setup, {"alice": add_one, "bob": add_one}, lambda state: state["count"] == 2)
found""",
    "stepper": "walk = found.slider()\nwalk.value = 2\nwalk",
    "buffers": """\
import socket
from labkit.instruments.buffers import between

listener = socket.create_server(("localhost", 0))
near = socket.create_connection(listener.getsockname())
far, _ = listener.accept()
buffers = between(near, far, listener=listener)
buffers.sample("before")
near.sendall(bytes(300_000))
while "full" not in buffers.sample().states.values():
    pass
buffers.sample("filling")
near.setblocking(False)
try:
    while True:
        near.send(bytes(1000))
except BlockingIOError:
    buffers.sample("full")
buffers.moments()""",
    "buffers-plot": "buffers.plot('near sends, and far does not read')",
    "buffers-now": "buffers",
    "lanes": """\
from labkit import ChatClient
from labkit.instruments.buffers import to_client
from labkit.instruments.lanes import record
from labkit.instruments.link import Link

third = ChatServer(port=0).start()
wire = Link(third.address, client="hal")
gina, hal = ChatClient("gina", third.address), ChatClient("hal", wire.address)
gina.wait_for("hal joined")
way = to_client(third, hal, wire)
with record(third, gina, hal, wire) as recording, way:
    recording.wait_for(1, "the bell")
    with third._hub.lock:
        gina.say("hello <b>all</b>")
        hal.say("hi")
        recording.wait_for(2, "the rooms' lock")
    gina.wait_for("hal: hi")
    hal.wait_for("gina: hello")
    way.sample()
gina.leave()
hal.leave()
recording.lanes""",
    "lanes-steps": "found.run.lanes('two who count')",
    "moment": """\
from labkit.instruments.panel import MomentPanel
MomentPanel(recording, {"hal's wire": wire, "the server": third.journal}, {"on the way to hal": way})""",
    "feed": """\
from labkit.instruments.boxes import FeedSteps
from labkit.wire.framing import LineFraming

letters = "жук\\n".encode()
FeedSteps(LineFraming(), b"hello\\nhow a", b"re you?\\n" + letters[:3], letters[3:])""",
    "two-lists": """\
from labkit.instruments.two_lists import TwoLists

(TwoLists().step("three are here", "ABC", ["alice", "bob", "carol"])
    .step("the second leaves, of one list", "AC", ["alice", "bob", "carol"]))""",
    "topology": """\
from labkit.instruments.topology import Topology
Topology({"left": server, "right": third})""",
    "predict": """\
from labkit.instruments.panel.prediction import predict
predict("predict-seen", "Will carol hear it?", "yes", "no", guess="yes")""",
    "predict-seen": "print('carol hears it')",
    "predict-typed": "predict('later', 'What will carol hear?')",
    "check": """\
from labkit.exercises import check

check("broadcast", '''
def broadcast(line, sender, clients, lock):
    for client in clients:
        client.sendall(line)
''')""",
    "judge": """\
from labkit.exercises.grading.judging import Judgement, Trial

Judgement((
    Trial("threads", True, False, ""),
    Trial("echoes what is said to its speaker as well", False, True, "AssertionError: alice heard herself"),
    Trial("forgets who has left", False, False, ""),
))""",
    "load": """\
from labkit.instruments.load import compare

once = compare(["queues", "labkit"], clients=5, repeats=1, seconds=0.05)
once.plot()""",
    "load-growing": """\
compare(["queues", "labkit"], clients=[2, 5, 10], repeats=1, seconds=0.05).plot()""",
}


@pytest.fixture(scope="module")
def page(lab: tuple[str, Path]) -> Iterator[Any]:  # noqa: F811
    """A notebook with one of each, run, in a browser that talks to this machine alone."""
    need(importlib.util.find_spec("axe_playwright_python"), "axe-playwright-python is not installed")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=60_000)
    address, folder = lab
    cells = [new_code_cell(source, id=name) for name, source in CELLS.items()]
    nbformat.write(new_notebook(cells=cells, metadata=METADATA), folder / "access.ipynb")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS.split())
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(60_000)
        page.route(ELSEWHERE, lambda route: route.abort())
        page.goto(address.format("access.ipynb"))
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        page.locator(".jp-InputPrompt", has_text=f"[{len(CELLS)}]:").wait_for()
        expect(page.locator("[data-mime-type='application/vnd.jupyter.error']")).to_have_count(0)
        page.keyboard.press("Control+b")  # the list of files goes away: the width is the notebook's
        yield page
        browser.close()


def output(page: Any, name: str) -> Any:
    """What the cell of this name shows."""
    shown = page.locator(".jp-CodeCell .jp-Cell-outputArea").nth(list(CELLS).index(name))
    shown.evaluate("output => output.scrollIntoView({block: 'start'})")
    return shown


def violations(page: Any, shown: Any) -> list[str]:
    """What axe-core finds in an output; what is around it is JupyterLab's."""
    from axe_playwright_python.sync_playwright import Axe

    shown.evaluate("output => output.id = 'looked-at'")
    found = Axe().run(page, context={"include": [["#looked-at"]]})
    shown.evaluate("output => output.id = ''")
    assert found.response["passes"], "it has looked at nothing"
    return [
        f"{rule['id']}: {node['html'][:160]} {[why['message'] for why in node['any'] + node['all']]}"
        for rule in found.response["violations"]
        for node in rule["nodes"]
    ]


STICKS_OUT = """output => [...output.querySelectorAll(
    '.labkit-panel, .labkit-do, .labkit-set, .labkit-type, .labkit-drawing, .labkit-steps, '
    + '.labkit-picture, .labkit-picture .card, .labkit-lanes, .labkit-parts > div, .labkit-predicted'
)].filter(part => part.scrollWidth > part.clientWidth + 1
    && getComputedStyle(part).overflowX === 'visible'
    || part.getBoundingClientRect().right > output.getBoundingClientRect().right + 1
).map(part => part.className)"""
"""The parts that are wider than their place, and do not scroll."""


@pytest.mark.timeout(900)
def test_nothing_is_found(page: Any) -> None:
    """axe-core has no complaint, and nothing sticks out, in any theme and size."""
    found = []
    ARTEFACTS.mkdir(exist_ok=True)
    for colours in (DARK, LIGHT):
        page.set_viewport_size({"width": 1280, "height": 900})  # there is room for all menus
        theme(page, colours)
        for width in (800, 1280):
            page.set_viewport_size({"width": width, "height": 1500})  # a picture is of all of it
            for name in CELLS:
                shown = output(page, name)
                told = violations(page, shown)
                told += [f"{part} sticks out" for part in shown.evaluate(STICKS_OUT)]
                found += [f"{name}, {colours}, {width}: {what}" for what in told]
                shown.screenshot(path=ARTEFACTS / f"{name}-{colours.split()[1].lower()}-{width}.png")
    assert not found, "\n".join(found)


def test_one_screen_for_one_experiment(page: Any) -> None:
    """Four people, wires, ladder, buffers, server: all in view at once; each control has its own name."""
    from playwright.sync_api import expect

    board = output(page, "board").locator(".labkit-board")
    for part in board.locator(".labkit-panel").all():
        expect(part).to_be_in_viewport(ratio=0.99)
    for table in board.locator(".labkit-table").all():
        assert table.evaluate("table => table.scrollWidth <= table.clientWidth"), "all columns are in view"
    for role, number in (("button", 4 * 4 + 4 * 4), ("textbox", 4), ("spinbutton", 4 * 2), ("combobox", 1)):
        expect(board.get_by_role(role)).to_have_count(number)
        names = re.findall(rf"^ *- '?{role} \"(.*?)\"", board.aria_snapshot(), re.MULTILINE)
        assert len(set(names)) == len(names) == number, names
    for words in ("Leave alice", "Freeze dave", "Freeze wire of dave", "Plug in dave's wire"):
        expect(board.get_by_role("button", name=words, exact=True)).to_have_count(1)
    expect(board.get_by_label("pieces (B) in bytes, of carol's wire")).to_have_value("4")


FOCUSED = """() => {
    const at = document.activeElement;
    return (at.labels || [])[0]?.textContent || at.getAttribute('aria-label') || at.textContent;
}"""


def test_tab_goes_from_person_to_person(page: Any) -> None:
    """From what one says to the buttons, to the wire, to the next person; not back and forth."""
    board = output(page, "board").locator(".labkit-board")
    board.get_by_label("what alice says").focus()
    names = []
    for _ in range(13):
        names.append(" ".join(page.evaluate(FOCUSED).split()))
        page.keyboard.press("Tab")
    assert names == [
        *("what alice says", "Send alice", "Leave alice", "Abort alice", "Freeze alice"),
        *("delay (s) in seconds, of alice's wire", "pieces (B) in bytes, of alice's wire"),
        *("Freeze wire of alice", "Silence alice's wire", "Reset alice's wire", "Mend alice's wire"),
        *("what bob said and heard", "what bob says"),
    ]


def test_a_name_from_the_right_stays_on_the_left(page: Any) -> None:
    """Name, colon and text stand in this order, whatever runs from right to left in them."""
    line = output(page, "board-three").locator(".labkit-line", has_text="12 (34)").last
    where = line.evaluate("""line => [...line.querySelectorAll('bdi')].map(part => {
        const box = part.getBoundingClientRect();
        return [box.left, box.right];
    })""")
    (left, right), (start, end) = where
    assert left < right < start < end


def test_the_names_of_a_ladder_stay_in_view(page: Any) -> None:
    """However far it is scrolled; and a label lies on a ground of its own, not on a lifeline."""
    from playwright.sync_api import expect

    ladder = output(page, "ladder")
    scroll = ladder.locator(".scroll")
    assert scroll.evaluate("scroll => scroll.scrollHeight > scroll.clientHeight")
    scroll.evaluate("scroll => scroll.scrollTop = scroll.scrollHeight")
    expect(ladder.locator(".names").get_by_text("alice")).to_be_in_viewport()
    expect(ladder.locator("li").first).not_to_be_in_viewport()
    on_top = ladder.locator(".label").last.evaluate("""label => {
        const box = label.getBoundingClientRect();
        const there = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
        return label.contains(there) && getComputedStyle(label).backgroundColor;
    }""")
    assert on_top and on_top != "rgba(0, 0, 0, 0)"
