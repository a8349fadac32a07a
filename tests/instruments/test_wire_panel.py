"""The panels of wires, worked without a front end: as its messages would, and by method calls."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from time import monotonic
from typing import Any

import pytest
from support import SOON
from test_panel import Tags, paints, wait_for_paint

from labkit import ChatClient, ChatServer
from labkit.client import NicknameRefused
from labkit.instruments.faults import Bandwidth, Delay, Freeze, Glue, HalfClose, Reset, Silence, Slice
from labkit.instruments.ladder import Ladder
from labkit.instruments.link import Link
from labkit.instruments.panel import Board, LadderPanel, LinkPanel, board
from labkit.instruments.panel.ladder_panel import ARROWS
from labkit.instruments.panel.link_panel import GAP

EVIL = "<img/src=x/onerror=alert(1)>"


@pytest.fixture
def people(server: ChatServer) -> Iterator[Board]:
    """Alice, bob and carol on a board with wires, closed afterwards."""
    with board(server, "alice", "bob", "carol", wires=True) as three:
        yield three


@pytest.fixture
def link(server: ChatServer) -> Iterator[Link]:
    """A wire of its own, on no board."""
    with Link(server.address, client="dave") as wire:
        yield wire


def by_hand(control: Any, **state: Any) -> None:
    """What the front end sends when a control is moved."""
    control.set_state(state)


def seen(panel: LinkPanel) -> tuple[Any, ...]:
    """What the controls show."""
    return panel._delay.value, panel._size.value, panel._freeze.value, panel._silence.value


# --- LinkPanel ---


def test_a_good_wire(people: Board) -> None:
    """In the beginning every wire is good, and every control says so."""
    for name in ("alice", "bob", "carol"):
        assert repr(people.faults(name)) == f"{name}'s wire · good"
        assert seen(people.faults(name)) == (0, 0, False, False)


def test_controls_put_faults_on_the_wire(people: Board) -> None:
    """Each control, moved by hand, puts its fault on bob's wire at once, and leaves the others there."""
    panel, wire = people.faults("bob"), people.wire("bob")
    by_hand(panel._delay, value=0.2)
    assert wire.to_client.faults == wire.to_server.faults == (Delay(0.2),)
    by_hand(panel._size, value=1)
    assert wire.to_client.faults == wire.to_server.faults == (Delay(0.2), Slice(1, GAP))
    by_hand(panel._freeze, value=True)
    assert wire.to_client.faults == (Delay(0.2), Slice(1, GAP), Freeze())
    assert wire.to_server.faults == (Delay(0.2), Slice(1, GAP))
    by_hand(panel._silence, value=True)
    assert Silence() in wire.to_client.faults and Silence() in wire.to_server.faults
    by_hand(panel._delay, value=0)
    by_hand(panel._size, value=0)
    by_hand(panel._freeze, value=False)
    by_hand(panel._silence, value=False)
    assert wire.to_client.faults == wire.to_server.faults == ()
    assert people.wire("alice").to_client.faults == ()


def test_calls_do_the_same_and_move_the_controls(people: Board) -> None:
    """A method call puts the same faults on, and the controls follow."""
    panel, wire = people.faults("bob"), people.wire("bob")
    panel.delay(0.5)
    panel.slice(3)
    panel.freeze()
    panel.silence()
    assert wire.to_client.faults == (Delay(0.5), Slice(3, GAP), Silence(), Freeze())
    wait_for_paint(panel._silence, bool)
    assert seen(panel) == (0.5, 3, True, True)
    panel.thaw()
    panel.plug_in()
    panel.slice(0)
    panel.delay(0)
    assert wire.to_client.faults == wire.to_server.faults == ()
    wait_for_paint(panel._said, lambda html: "good" in html)
    assert seen(panel) == (0, 0, False, False)


def test_faults_from_elsewhere_show(people: Board) -> None:
    """Faults put on the link itself show in words and on the controls; Mend takes them off."""
    panel, wire = people.faults("bob"), people.wire("bob")
    wire.silence()
    wait_for_paint(panel._said, lambda html: "silent" in html)
    wait_for_paint(panel._silence, bool)
    wire.to_client.use(Glue(100))
    wait_for_paint(panel._said, lambda html: "held until" in html)
    panel._mend.click()
    assert wire.to_client.faults == wire.to_server.faults == ()
    wait_for_paint(panel._said, lambda html: "good" in html)


def test_following_the_wire_changes_nothing_on_it(people: Board) -> None:
    """Controls that follow the wire put nothing on it, although they cannot show all of it."""
    panel, wire = people.faults("bob"), people.wire("bob")
    there = (Delay(0.17, 0.1), Slice(3), Bandwidth(1e6))
    wire.to_client.use(*there)
    wait_for_paint(panel._size, lambda size: size == 3)
    assert panel._delay.value == 0.2
    people.alice.say("hello")
    people.bob.wait_for("hello")
    assert wire.to_client.faults == there and wire.to_server.faults == ()


@pytest.mark.parametrize(
    ("to_server", "to_client", "words"),
    [
        ((), (), "good"),
        ((Delay(0.5),), (Delay(0.5),), "0.5 s late"),
        ((Delay(0.5),), (Delay(0.5), Freeze()), "0.5 s late; to dave: frozen, nothing is read"),
        ((Slice(1),), (Slice(2),), "to server: in pieces of 1 byte; to dave: in pieces of 2 bytes"),
        ((Silence(),), (Silence(),), "silent, nothing passes"),
        ((Reset(),), (Silence(),), "cut: RST to both ends"),
        ((Reset(10),), (), "to server: to be cut after 10 bytes"),
        ((HalfClose(),), (), "to server: finished (FIN)"),
        ((), (Delay(1, 0.5), Glue(9), Bandwidth(50)), "to dave: 1 s late, give or take 0.5 s, "
         "held until there are 9 bytes, 50 bytes a second"),
    ],
)  # fmt: skip
def test_words(link: Link, to_server: Any, to_client: Any, words: str) -> None:
    """What is on the wire, in words: what is the same both ways stands there once."""
    panel = LinkPanel(link)
    link.to_server.use(*to_server)
    link.to_client.use(*to_client)
    assert repr(panel) == f"dave's wire · {words}"


def test_out_of_range(people: Board) -> None:
    """What the sliders cannot do, a call cannot either: the error says what was asked."""
    panel = people.faults("bob")
    for deed, value in ((panel.delay, -1), (panel.delay, 3), (panel.slice, -1), (panel.slice, 65)):
        with pytest.raises(ValueError, match=f"not {value}"):
            deed(value)
    assert people.wire("bob").to_client.faults == ()


def test_single_bytes_make_a_whole_line(people: Board) -> None:
    """In pieces of one byte a line comes out whole, and the ladder shows each byte."""
    people.faults("bob").slice(1)
    people.ladder.show("bob")
    people.alice.say("Hi!")
    assert people.bob.wait_for("Hi!") == "alice: Hi!"
    wait_for_paint(people.ladder._shown, lambda html: "&#x27;!&#x27; (1)" in html)
    for letter in "alice: Hi":
        assert f"'{letter}' (1)" in repr(people.ladder)


def test_reset_button(people: Board) -> None:
    """Reset cuts the connection at both ends, and the others read that bob vanished."""
    people.faults("bob")._reset.click()
    assert people.alice.wait_for("bob left") == "* bob left (vanished)"
    assert "broke" in people.bob.client.wait_until_gone()
    assert people.wire("bob").to_server.faults == ()  # the next client finds a good wire


def test_silence_loses_nothing(people: Board) -> None:
    """While the wire is silent nothing passes; taken off, all that was said comes."""
    panel = people.faults("bob")
    panel.silence()
    people.alice.say("one")
    people.bob.say("two")
    people.alice.say("/who")
    people.alice.wait_for("* in lobby: alice, bob, carol")
    assert "one" not in repr(people.bob) and "two" not in repr(people.carol)
    by_hand(panel._silence, value=True)  # the front end had it so already
    by_hand(panel._silence, value=False)
    people.bob.wait_for("one")
    people.carol.wait_for("two")


def test_freeze_is_one_way(people: Board) -> None:
    """Frozen, bob hears nothing, but is heard; thawed, he has lost nothing."""
    people.faults("bob").freeze()
    people.alice.say("one")
    people.carol.wait_for("one")
    people.bob.say("two")
    assert people.alice.wait_for("two") == "bob: two"
    assert "one" not in repr(people.bob)
    people.faults("bob").thaw()
    people.bob.wait_for("one")


# --- LadderPanel ---


def test_ladder_is_the_twin_of_the_text(link: Link, server: ChatServer) -> None:
    """What is drawn is the ladder of the journal, with the client to the left."""
    panel = LadderPanel({"dave": link})
    assert repr(panel) == "on the wire of dave\n\nnothing has passed"
    with ChatClient("dave", link.address):
        wait_for_paint(panel._shown, lambda html: "you are dave" in html)
        head, *rungs = repr(panel).splitlines()[2:]
        assert head.split() == ["dave", "server"]
        assert "◀" in rungs[0] and "'nickname\\n' (9)" in rungs[0]
        assert "▶" in rungs[1] and "'dave\\n' (5)" in rungs[1]
    link.journal.wait_for("FIN", "server")
    arrows = Ladder(link.journal).arrows
    assert [line.split("─ ")[1].split(" ─")[0] for line in repr(panel).splitlines()[3:]] == [
        f"{'FIN ▸' if arrow.kind == 'FIN' else arrow.label}" for arrow in arrows
    ]


def test_only_the_newest_arrows(people: Board) -> None:
    """Of a long journal the newest arrows are drawn, and how many were before them."""
    people.faults("bob").slice(1)
    people.alice.say("x" * 40)
    people.bob.wait_for("x" * 40)
    people.ladder.show("bob")
    wait_for_paint(people.ladder._shown, lambda html: html.count("(1)") == ARROWS)
    said = repr(people.ladder).splitlines()
    assert said[2].startswith("… ") and said[2].endswith(" earlier")


def test_the_link_stands_in_the_middle(people: Board) -> None:
    """An RST that the link itself sent comes from between the two ends."""
    people.wire("bob").reset()
    people.alice.wait_for("bob left")
    people.ladder.show("bob")
    heads = next(line for line in repr(people.ladder).splitlines() if "link" in line)
    assert heads.split() == ["bob", "link", "server"]


def test_choosing_a_wire(people: Board) -> None:
    """The list by hand, or a call: that one's wire is drawn; another name is an error."""
    wait_for_paint(people.ladder._shown, lambda html: "you are alice" in html)
    by_hand(people.ladder._whose, index=2)
    wait_for_paint(people.ladder._shown, lambda html: "you are carol" in html)
    people.ladder.show("bob")
    wait_for_paint(people.ladder._shown, lambda html: "you are bob" in html)
    assert people.ladder.whose == people.ladder._whose.value == "bob"
    with pytest.raises(KeyError):
        people.ladder.show("dave")
    with pytest.raises(ValueError, match="at least one"):
        LadderPanel({})


def test_drawn_four_times_a_second_at_most(people: Board) -> None:
    """However much passes, the ladder is drawn four times a second at most, and ends with the last."""
    drawn = paints(people.ladder._shown)
    began = monotonic()
    number = 0
    while monotonic() < began + 1.0 or number <= 25:
        number += 1
        people.alice.client.say(f"line {number}.")
    people.bob.wait_for(f"line {number}.")
    people.alice.say("that was all")
    wait_for_paint(people.ladder._shown, lambda html: "that was all" in html)
    assert 1 <= len(drawn) <= 4 * (monotonic() - began) + 2


def test_nothing_new_nothing_drawn(people: Board) -> None:
    """While nothing passes on alice's wire, her ladder is not drawn again, whatever bob does."""
    wait_for_paint(people.ladder._shown, lambda html: "carol joined" in html)
    drawn = paints(people.ladder._shown)
    people.bob.whisper("carol", "pst")
    people.carol.wait_for("pst")
    wait_for_paint(people.server._shown, lambda html: '<td class="number">1</td>' in html)
    people.faults("bob").slice(1)
    wait_for_paint(people.faults("bob")._said, lambda html: "1 byte" in html)
    assert drawn == []


# --- the board ---


def test_board_as_text_always_begins_alike(people: Board) -> None:
    """A board with wires as text: each wire below its person, and no arrows, whose order may differ."""
    assert repr(people) == (
        "alice · here, in lobby\n  * you are alice, in lobby\n  * bob joined\n  * carol joined\n"
        "alice's wire · good\n\n"
        "bob · here, in lobby\n  * you are bob, in lobby\n  * carol joined\nbob's wire · good\n\n"
        "carol · here, in lobby\n  * you are carol, in lobby\ncarol's wire · good\n\n"
        "server · running, 3 here\n  alice: in lobby, labkit-handle-1\n"
        "  bob: in lobby, labkit-handle-2\n  carol: in lobby, labkit-handle-3\n\n"
        "on the wire of alice: a ladder"
    )


def test_text_stands_beside_the_widgets(people: Board) -> None:
    """Where a widget cannot be shown, Jupyter has the text."""
    for shown in (people, people.faults("bob"), people.ladder):
        bundle = shown._repr_mimebundle_(include=None, exclude=None)
        assert bundle["text/plain"] == repr(shown)
        assert "application/vnd.jupyter.widget-view+json" in bundle


def test_without_wires(server: ChatServer) -> None:
    """A board without wires has no links and no ladder, and says how to get them."""
    with board(server, "alice") as people:
        assert people.ladder is None
        assert not [t for t in threading.enumerate() if t.name.startswith("labkit-link")]
        with pytest.raises(LookupError, match="wires=True"):
            people.wire("alice")


def test_whose_wire(people: Board) -> None:
    """Each wire is called after its person; for another name there is none."""
    assert people.wire("bob").to_client.receiver == "bob"
    assert people.wire("bob") is people.faults("bob").link
    assert people.wire("bob") is not people.wire("alice")
    with pytest.raises(LookupError, match="nobody on this board is called dave"):
        people.wire("dave")


def test_close_ends_the_links(server: ChatServer) -> None:
    """close stops the links too, and the panels say so; another close, and later actions, do nothing."""
    people = board(server, "alice", "bob", wires=True)
    names = {"labkit-link-alice", "labkit-link-bob", "labkit-painter"}
    assert names <= {thread.name for thread in threading.enumerate()}
    people.close()
    people.close()
    assert not names & {thread.name for thread in threading.enumerate()}
    assert repr(people.faults("bob")) == "bob's wire · stopped"
    assert "stopped" in people.faults("bob")._said.value and people.faults("bob")._silence.disabled
    people.faults("bob").delay(1)
    people.faults("bob").reset()
    people.faults("bob").mend()


def test_goodbyes_arrive_at_close(server: ChatServer) -> None:
    """Wires are mended before all leave: also those on a silent one say goodbye properly."""
    people = board(server, "alice", "bob", wires=True)
    people.faults("bob").silence()
    people.close()
    assert server.journal.wait_for("left", "bob").what == "hung up"


@pytest.mark.parametrize("bad", ["x y", "alice"])
def test_no_board_no_link(server: ChatServer, bad: str) -> None:
    """If a nickname is refused, no wire is left behind."""
    with pytest.raises(NicknameRefused):
        board(server, "alice", bad, wires=True)
    assert not [t for t in threading.enumerate() if t.name.startswith("labkit-link")]


def test_panels_alone(server: ChatServer) -> None:
    """Both panels work without a board, with painters that end when the link has stopped."""
    link = Link(server.address, client="dave")
    one, other = LinkPanel(link), LadderPanel({"dave": link})
    one.silence()
    wait_for_paint(one._silence, bool)
    link.stop()
    for painter in (one._painter, other._painter):
        painter._thread.join(SOON)
        assert not painter._thread.is_alive()
    assert "stopped" in one._said.value


def test_no_html_gets_into_a_wire(server: ChatServer) -> None:
    """Names and bytes are shown as they are, and are no HTML."""
    with board(server, EVIL, "bob", wires=True) as two:
        two[EVIL].say("<script>alert(1)</script>")
        two.bob.wait_for("script")
        wait_for_paint(two.ladder._shown, lambda html: "&lt;script" in html)
        wait_for_paint(two.faults(EVIL)._said, lambda html: "&lt;img" in html)
        allowed = {
            "div",
            "b",
            "span",
            "bdi",
            "bdi.dir",
            "ol",
            "li",
            "div.tabindex",
            "div.aria-label",
            "div.role",
        }
        allowed |= {f"{tag}.{name}" for tag in ("div", "span", "li") for name in ("class", "style")}
        for widget in (two.ladder._shown, two.faults(EVIL)._said):
            assert Tags(widget.value).seen <= allowed
