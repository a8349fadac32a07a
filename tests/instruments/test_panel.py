"""The panels, worked without a front end: as its messages would, and by method calls."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from html.parser import HTMLParser
from time import monotonic
from typing import Any

import pytest
from programs import PATIENCE
from support import SOON, BareServer, Wire

from labkit import RAW, ChatClient, ChatServer
from labkit.client import GONE, HERE, ConnectionEnded, NicknameRefused
from labkit.instruments.panel import LINES_SHOWN, Board, ChatPanel, ServerPanel, board
from labkit.peers.queues import QueueServer

IMG = "<img src=x onerror=alert(1)>"


@pytest.fixture
def people(server: ChatServer) -> Iterator[Board]:
    """Alice, bob and carol on a board, closed afterwards."""
    with board(server, "alice", "bob", "carol") as three:
        yield three


def wait_for_paint(widget: Any, wanted: Callable[[Any], object], trait: str = "value") -> None:
    """Wait until the painter has made the widget show this."""
    came = threading.Event()

    def look(_: object = None) -> None:
        if wanted(getattr(widget, trait)):
            came.set()

    widget.observe(look, trait)
    look()
    assert came.wait(4 * SOON), getattr(widget, trait)
    widget.unobserve(look, trait)


def edit(panel: ChatPanel, text: str) -> None:
    """What the front end sends when an edited field is left, or right after Enter."""
    panel._field.set_state({"value": text})


def enter(panel: ChatPanel) -> None:
    """What the front end sends on Enter, before the text."""
    panel._field._handle_custom_msg({"event": "submit"}, [])


def paints(widget: Any) -> list[float]:
    """A list that grows by a time whenever the widget gets something new to show."""
    times: list[float] = []
    widget.observe(lambda _: times.append(monotonic()), "value")
    return times


# --- reading ---


def test_any_server_by_its_address() -> None:
    """Of any other server a board knows only the address: it shows the people, and no table."""
    with QueueServer(port=0) as other, board(other.address, "alice", "bob") as two:
        two.bob.say("hello")
        assert two.alice.wait_for("hello") == "bob: hello"
        assert two.server is None and repr(two).startswith("alice · here, in lobby\n")


def test_a_board_takes_over_from_an_older_one(server: ChatServer) -> None:
    """The cell was run again: the older board of this kernel is closed, only that one, with its threads."""
    before = set(threading.enumerate())
    with board(server, "dave") as dave, board(server, "alice", "bob", wires=True) as older:
        older.bob.say("/nick zoe")
        older.alice.wait_for("is now zoe")
        with board(server, "alice", "carol") as newer:
            assert {older.alice.client.state, older["bob"].client.state} == {GONE}
            newer.alice.say("hello")
            assert newer.carol.wait_for("hello") == "alice: hello"
            assert sorted(server.roster()) == ["alice", "carol", "dave"]
            with board(server, "Carol"):  # in other letters, it is the same name
                assert newer.alice.client.state == GONE
        assert dave.dave.client.state == HERE
    server.stop()
    assert not set(threading.enumerate()) - before


def test_the_same_nickname_at_another_server(people: Board) -> None:
    """It is free there: no board is closed."""
    with ChatServer(port=0) as other, board(other, "alice"):
        assert people.alice.client.state == HERE


def test_repr_is_the_transcript(people: Board) -> None:
    """A panel as text: name, state, and what was heard and said."""
    assert repr(people.alice) == (
        "alice · here, in lobby\n  * you are alice, in lobby\n  * bob joined\n  * carol joined"
    )
    people.alice.say("hello")
    people.bob.wait_for("hello")
    assert str(people.bob).endswith("\n  * carol joined\n  alice: hello")
    assert repr(people.alice).endswith("\n  > hello")


def test_board_as_text_always_begins_alike(people: Board) -> None:
    """A board as text: all panels, one after the other, and no number that changes while one reads."""
    text = repr(people)
    assert text.count("\n\n") == 3
    assert text.endswith(
        "server · running, 3 here\n  alice: in lobby, labkit-handle-1\n"
        "  bob: in lobby, labkit-handle-2\n  carol: in lobby, labkit-handle-3"
    )


def test_text_stands_beside_the_widget(people: Board) -> None:
    """Where a widget cannot be shown, Jupyter has the whole transcript as text/plain."""
    for shown in (people, people.alice, people.server):
        bundle = shown._repr_mimebundle_(include=None, exclude=None)
        assert bundle["text/plain"] == repr(shown)
        assert "application/vnd.jupyter.widget-view+json" in bundle
    assert len(repr(people)) > 110  # ipywidgets' own text ends there


def test_newest_lines_are_shown(people: Board) -> None:
    """A panel shows 200 lines at most, the newest, and says that there were others."""
    for number in range(LINES_SHOWN + 10):
        people.alice.say(f"line {number}.")
    last = f"line {LINES_SHOWN + 9}."
    people.bob.wait_for(last)
    wait_for_paint(people.bob._lines, lambda html: last in html)
    html = people.bob._lines.value
    assert html.count("<div class=") == LINES_SHOWN + 1
    assert "line 9." not in html and "line 10." in html and "earlier lines are not shown" in html
    assert len(repr(people.bob).splitlines()) == LINES_SHOWN + 2


def words(html: str) -> str:
    """What a reader sees of it."""
    return unescape(re.sub("<[^>]*>", "", html))


class Tags(HTMLParser):
    """The tags and attributes that a browser would see."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen |= {tag, *(f"{tag}.{name}" for name, _ in attrs)}


def test_no_html_gets_into_a_panel(server: ChatServer) -> None:
    """Text, nickname, room, whisper, refusal and error are shown as they are, and are no HTML."""
    name, room = "<img/src=x/onerror=alert(1)>", "<u>tea</u>"
    with board(server, name, "bob") as two:
        eve, bob = two[name], two.bob
        eve.say(IMG)
        eve.say(f"/me {IMG}")
        eve.whisper("bob", IMG)
        eve.say(f"/{IMG}")
        eve.say(f"/msg {IMG} hi")
        eve.say(f"/join {room}")
        eve.client.wait_for(room)
        bob.say(f"/join {room}")
        bob.wait_for(f"in {room}")
        eve.say(f"{IMG}\n")  # two lines in one: refused by the client, who quotes it
        eve.leave()
        bob.wait_for("left")
        wait_for_paint(two.server._shown, lambda html: "1 here" in html and "tea" in html)
        for widget in all_html(two):
            assert Tags(widget.value).seen <= {
                *("div", "span", "b", "i", "table", "thead", "tbody", "tr", "th", "td"),
                *("div.class", "span.class", "th.class", "td.class", "div.role"),
                *("div.aria-label", "div.tabindex", "th.scope", "bdi"),
            }
        assert bob._lines.value.count("&lt;img") >= 3


def all_html(two: Board) -> list[Any]:
    """Every HTML widget of the board but the style sheets."""
    return [
        *(widget for panel in two for widget in (panel._head, panel._lines, panel._problem)),
        two.server._shown,
    ]


def test_headline_follows_nickname_room_and_state(people: Board) -> None:
    """The head of a panel tells what the person is called now, where, and whether it reads."""
    people.alice.say("/nick al")
    people.alice.say("/join tea")
    wait_for_paint(people.alice._head, lambda html: words(html) == "alhere, in tea")
    people.alice.freeze()
    wait_for_paint(people.alice._head, lambda html: "labkit-dot frozen" in html)
    people.alice.thaw()
    wait_for_paint(people.alice._head, lambda html: "labkit-dot here" in html)
    people.alice.abort()
    wait_for_paint(people.alice._head, lambda html: "gone: you aborted" in html)


def test_before_the_nickname(server: ChatServer) -> None:
    """A client that has not answered the request yet is joining."""
    with ChatClient(None, server.address) as newcomer:
        assert repr(ChatPanel(newcomer)) == "(no nickname yet) · joining"


# --- typing ---


def test_enter_sends_and_empties_the_field(people: Board) -> None:
    """Enter, and the text right behind it: it is said, and the field is empty again; twice too."""
    for _ in range(2):
        enter(people.alice)
        edit(people.alice, "hello")
        assert people.bob.wait_for("hello") == "alice: hello"
        assert people.alice._field.value == ""


def test_leaving_the_field_sends_nothing(people: Board) -> None:
    """Half a line stays in the field after a click elsewhere; Enter sends it later."""
    edit(people.alice, "half a line")
    assert people.alice._field.value == "half a line"
    assert "> half a line" not in people.alice.client.transcript
    enter(people.alice)
    assert people.bob.wait_for("half") == "alice: half a line"


def test_line_edited_after_leaving_the_field(people: Board) -> None:
    """Half a line was left, then finished: Enter sends it whole, and once, though the text comes after."""

    async def with_a_loop() -> None:
        edit(people.alice, "half a")
        enter(people.alice)
        edit(people.alice, "half a line, and the rest")
        await asyncio.to_thread(people.bob.wait_for, "half")
        edit(people.alice, "unedited")
        enter(people.alice)
        await asyncio.to_thread(people.bob.wait_for, "unedited")

    asyncio.run(with_a_loop())
    said = [line for line in people.alice.client.transcript if line.startswith("> ")]
    assert said == ["> half a line, and the rest", "> unedited"]


def test_nothing_typed_nothing_said(people: Board) -> None:
    """Enter or Send on an empty field say nothing."""
    before = people.alice.client.transcript
    enter(people.alice)
    people.alice._send.click()
    assert people.alice.client.transcript == before


def test_send_button(people: Board) -> None:
    """Send says what is in the field."""
    edit(people.alice, "hello")
    people.alice._send.click()
    assert people.bob.wait_for("hello") == "alice: hello"


# --- the other buttons ---


def test_leave_button(people: Board) -> None:
    """Leave is a proper goodbye, and nothing can be done in the panel after it."""
    people.alice._leave.click()
    assert people.bob.wait_for("alice left") == "* alice left (hung up)"
    controls = [getattr(people.alice, name) for name in ("_field", "_send", "_leave", "_abort", "_freeze")]
    for control in controls:
        wait_for_paint(control, bool, "disabled")


def test_pull_button(people: Board) -> None:
    """Abort says no goodbye."""
    people.alice._abort.click()
    assert people.bob.wait_for("alice left") == "* alice left (vanished)"


def test_freeze_button(people: Board) -> None:
    """Freeze stops the reading and becomes Thaw, which goes on where it stopped: no line is lost."""
    people.bob._freeze.click()
    wait_for_paint(people.bob._freeze, lambda label: label == "Thaw\nbob", "description")
    people.alice.say("one")
    people.alice.say("two")
    people.carol.wait_for("two")
    people.bob._freeze.click()
    wait_for_paint(people.bob._freeze, lambda label: label == "Freeze\nbob", "description")
    assert people.bob.wait_for("one") and people.bob.wait_for("two")


# --- trouble ---


def test_trouble_is_a_line_in_the_panel(people: Board, capfd: pytest.CaptureFixture[str]) -> None:
    """What cannot be said raises nothing and prints nothing: the panel says why, until something works."""
    people.alice.say("two\nlines")
    wait_for_paint(people.alice._problem, lambda html: 'role="alert"' in html)
    assert repr(people.alice).splitlines()[-1].startswith("  ! ")
    people.alice.say("one line")
    wait_for_paint(people.alice._problem, lambda html: html == "")
    people.alice.leave()
    people.alice.say("too late")
    wait_for_paint(people.alice._problem, lambda html: "too late" in html)
    assert repr(people.alice).endswith("! alice cannot say 'too late': you left")
    with pytest.raises(ConnectionEnded):
        people.alice.wait_for("too late")
    assert capfd.readouterr() == ("", "")


def test_trouble_after_the_board_was_closed(people: Board) -> None:
    """The painter has ended, and still a panel says what went wrong."""
    people.close()
    people.alice.say("anybody?")
    assert "anybody?" in people.alice._problem.value


def test_server_that_reads_nothing(bare_server: BareServer, elsewhere: ThreadPoolExecutor) -> None:
    """A server that stops reading shows as trouble, and as the reason why the client is gone."""

    def ask_and_read_no_more() -> Wire:
        wire = bare_server.accept()
        wire.send("nickname")
        return wire

    asking = elsewhere.submit(ask_and_read_no_more)
    with ChatClient("alice", bare_server.address, framing=RAW) as client, asking.result():
        client._session.timeout = client._session.connection.timeout = 1.0
        panel = ChatPanel(client)
        while "\n  ! " not in repr(panel):
            panel.say("x" * 100_000)
        client.wait_until_gone()
        assert "gone: the server read nothing for 1 s" in repr(panel)
    wait_for_paint(panel._problem, lambda html: "read nothing" in html)


# --- the board ---


def test_people_by_name(people: Board) -> None:
    """board["alice"] is board.alice; there are no others."""
    assert people["alice"] is people.alice
    assert [panel.client.nickname for panel in people] == ["alice", "bob", "carol"]
    with pytest.raises(AttributeError, match="nobody on this board is called dave"):
        _ = people.dave
    with pytest.raises(KeyError):
        people["dave"]


@pytest.mark.parametrize("bad", ["x y", "", "alice", "* bob", "x" * 33, ["dave"]])
def test_bad_nickname(server: ChatServer, bad: Any) -> None:
    """A bad nickname: the error quotes it, and the clients before it have left again."""
    with pytest.raises(NicknameRefused) as error:
        board(server, "alice", "bob", bad)
    assert repr(bad) in str(error.value)
    server.journal.wait_for("left", "alice")
    server.journal.wait_for("left", "bob")
    assert server.roster() == []


def test_no_server() -> None:
    """A board on a server that was not started says so, and so does one on a server that was stopped."""
    server = ChatServer(port=0)
    with pytest.raises(RuntimeError, match="start"):
        board(server, "alice")
    server.start().stop()
    with pytest.raises(OSError):
        board(server, "alice")


def test_close_twice(server: ChatServer) -> None:
    """close has all clients leave and ends every thread of the board; a second time, it does nothing."""
    people = board(server, "alice", "bob")
    threads = {thread.name for thread in threading.enumerate()}
    assert {"labkit-painter", "labkit-recv_msg-alice", "labkit-recv_msg-bob"} <= threads
    people.close()
    people.close()
    left = {thread.name for thread in threading.enumerate()}
    assert not left & {"labkit-painter", "labkit-recv_msg-alice", "labkit-recv_msg-bob"}
    assert server.running
    assert "no longer watched" in people.server._shown.value


def test_painter_ends_with_the_last(server: ChatServer) -> None:
    """Without `close`, the painter ends when all are gone and the server has stopped."""
    people = board(server, "alice", "bob")
    people.alice.leave()
    server.stop()
    people._painter._thread.join(SOON)
    assert not people._painter._thread.is_alive()
    assert "gone: the server hung up" in people.bob._head.value
    assert "* server stopped" in words(people.bob._lines.value)
    assert "stopped, 0 here" in people.server._shown.value


def test_panels_alone(server: ChatServer) -> None:
    """A panel works without a board, with a painter of its own that ends when there is no more to see."""
    with ChatClient("alice", server.address) as alice:
        one, all_of_them = ChatPanel(alice), ServerPanel(server)
        one.say("/who")
        wait_for_paint(one._lines, lambda html: "in lobby: alice" in html)
    server.stop()
    for painter in (one._painter, all_of_them._painter):
        painter._thread.join(SOON)
    assert "stopped, 0 here" in all_of_them._shown.value


def test_raw_dialect() -> None:
    """A board speaks the assignment's own dialect too."""
    with ChatServer(port=0, framing=RAW) as server, board(server, "alice", "bob", framing=RAW) as two:
        server.journal.wait_for("joined", "alice")  # or what she says could be glued to her nickname
        server.journal.wait_for("joined", "bob")
        two.alice.say("hello")
        assert "alice: hello" in two.bob.wait_for("hello")


# --- a flood ---


def test_flood(people: Board) -> None:
    """However much is said, panels are painted 20 times a second at most, and end with the last line."""
    shown, table = paints(people.bob._lines), paints(people.server._shown)
    began = monotonic()
    number = 0
    while monotonic() < began + 1.0 or number <= 100:
        number += 1
        people.alice.client.say(f"line {number}.")
    people.bob.wait_for(f"line {number}.")
    wait_for_paint(people.bob._lines, lambda html: f"line {number}." in html)
    took = monotonic() - began
    assert 1 <= len(shown) <= 20 * took + 2
    assert len(table) <= 5 * took + 2


def test_quiet_costs_nothing(people: Board) -> None:
    """Only what changed is painted: a whisper to bob, and carol's panel stays as it is."""
    wait_for_paint(people.carol._lines, lambda html: "you are carol" in words(html))
    carol = paints(people.carol._lines)
    people.alice.whisper("bob", "pst")
    wait_for_paint(people.bob._lines, lambda html: "pst" in html)
    assert carol == []


# --- what it is built with ---


def test_nothing_deprecated(server: ChatServer) -> None:
    """Neither building nor using a panel calls anything that ipywidgets will drop."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with board(server, "alice") as one:
            enter(one.alice)
            edit(one.alice, "hello")
            one.alice._freeze.click()


def test_import_labkit_needs_no_jupyter() -> None:
    """`import labkit` imports no ipywidgets."""
    code = "import sys, labkit; sys.exit('ipywidgets' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=PATIENCE).returncode == 0
