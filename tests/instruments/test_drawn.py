"""instruments/drawn.py, markup.py and panel/look.py: HTML that is read aloud, and from right to left."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

import pytest

from labkit import ChatServer
from labkit.instruments.ladder import Ladder
from labkit.instruments.markup import bdi
from labkit.instruments.panel import board, look
from labkit.instruments.panel.widgets import for_the_ear
from labkit.journal import Journal

HEBREW, ARABIC = "שלום1", "سلام"
SIGNS = [f"{HEBREW} (34)!", f"12: {ARABIC}?", f"a {HEBREW} b {ARABIC}: c"]


class Outside(HTMLParser):
    """What is shown outside of any <bdi>."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.deep, self.text = 0, ""
        self.feed(re.sub("<style>.*?</style>", "", html, flags=re.DOTALL))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.deep += tag == "bdi"

    def handle_endtag(self, tag: str) -> None:
        self.deep -= tag == "bdi"

    def handle_data(self, data: str) -> None:
        self.text += "" if self.deep else data


def text_of(html: str) -> str:
    return unescape(re.sub("<[^>]*>", "", html))


@pytest.mark.parametrize(
    "form", ["{n}: {t}", "{n} * {t}", "{n} -> you: {t}", "> {t}", "* {t}", "! {t}", "{t}"]
)
@pytest.mark.parametrize("text", SIGNS)
def test_a_line_in_a_panel_isolates_name_and_text(form: str, text: str) -> None:
    """Outside of the isolates stands only what the server or the panel wrote; what is read is the same."""
    line = form.format(n=HEBREW, t=text)
    html = look.log("alice", [line], more=False)
    assert text_of(html) == line
    assert Outside(html).text.isascii(), html


def test_names_are_isolated_wherever_they_stand() -> None:
    """Head, wire, table and trouble."""
    shown = [
        look.head(HEBREW, "here", "here", ARABIC),
        look.wire(ARABIC, "good", good=True),
        look.table(("nickname", "room", "n"), [(HEBREW, ARABIC, 1)]),
        look.trouble(f"! no {HEBREW}"),
    ]
    for html in shown:
        assert Outside(html).text.isascii(), html


def test_a_control_cannot_leave_its_isolate() -> None:
    """A pop of its own, or an override, would act on what follows."""
    assert bdi("a\u2069\u202e<b>") == "<bdi>a\ufffd\ufffd&lt;b&gt;</bdi>"


def test_what_is_said_aloud_is_no_formula_and_no_html() -> None:
    """A nickname goes into a label, which ipywidgets hands to MathJax."""
    assert not set(text_of(for_the_ear("$x$ \\(y\\) <b>"))) & set("$\\")
    assert "<b>" not in for_the_ear("<b>")


def row(kind: str, sender: str, what: str, receiver: str) -> Journal:
    journal = Journal()
    journal.record(kind, sender, what, receiver)
    return journal


def test_a_drawing_tells_each_arrow_in_words() -> None:
    """Who to whom, and what: a list, in the order of the picture."""
    journal = Journal()
    journal.record("bytes", "alice", "'hi' (2)", "server")
    journal.record("FIN", "server", "", "alice")
    html = Ladder(journal, "hello").html()
    told = [text_of(item) for item in re.findall("<li.*?</li>", html)]
    assert told == ["alice to server: 'hi' (2)", "server to alice: FIN ▸"]
    assert 'aria-label="hello"' in html and html.index('class="names"') < html.index("<ol>")


def test_a_drawing_has_room_for_each_label() -> None:
    """An arrow is wider than its label, so that this does not stick out over a lifeline."""
    html = Ladder(row("bytes", "a", "x" * 30, "b")).html()
    [width] = re.findall(r"margin-left: \d+\.5ch; width: (\d+)ch", html)
    assert int(width) >= 34


@pytest.mark.parametrize("text", SIGNS)
def test_a_ladder_isolates_names_and_texts(text: str) -> None:
    """As HTML, as text, and as Mermaid."""
    journal = Journal()
    for name in (HEBREW, ARABIC):
        journal.record("joined", name, where="lobby")
    journal.record("said", HEBREW, text, "lobby")
    ladder = Ladder(journal)
    assert Outside(ladder.html()).text.isascii()
    for shown in (str(ladder), ladder.mermaid().partition("participant")[2]):
        for part in re.split("\u2068.*?\u2069", shown):
            assert HEBREW[0] not in part and ARABIC[0] not in part


def test_no_two_buttons_of_a_board_have_one_name(server: ChatServer) -> None:
    """Each says what it does, and to whom; each field and each list says so too."""
    with board(server, "alice", HEBREW, wires=True) as two:
        panels = [*two, *(two.faults(name) for name in ("alice", HEBREW))]
        names = [
            text_of(control.description)
            for panel in panels
            for control in vars(panel).values()
            if getattr(control, "description", "")
        ]
    assert len(names) == 5 * 2 + 6 * 2 and len(set(names)) == len(names)
    assert {
        "what alice says",
        "Freeze\nalice",
        "Freeze wire\nof alice",
        "delay (s) in seconds, of alice's wire",
    } <= set(names)


def test_a_toggle_says_what_it_would_do(server: ChatServer) -> None:
    """A colour alone would not be heard."""
    with board(server, "alice", wires=True) as one:
        panel = one.faults("alice")
        assert panel._silence.description.startswith("Silence")
        panel.silence()
        panel.paint(last=True)
        assert panel._silence.description.startswith("Plug in")
