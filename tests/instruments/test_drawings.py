"""Drawings: a framing's boxes, two lists, and who is connected where, as text and as HTML."""

from __future__ import annotations

import re
from html import unescape
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import SOON, need_redis

from labkit import ChatClient, ChatServer
from labkit.instruments.boxes import Box, FeedSteps, boxes
from labkit.instruments.redis_server import RedisServer
from labkit.instruments.stepper import explore
from labkit.instruments.topology import Topology
from labkit.instruments.two_lists import TwoLists
from labkit.wire.framing import LineFraming, RawFraming

EVIL = "<img/src=x/onerror=alert(1)>"


class MyFraming:
    """Notebook 01's."""

    def __init__(self) -> None:
        self.kept = b""

    def feed(self, data: bytes) -> list[str]:
        *lines, self.kept = (self.kept + data).split(b"\n")
        return [line.decode() for line in lines]


def html_of(drawing: FeedSteps | TwoLists | Topology) -> str:
    return drawing._repr_mimebundle_()["text/html"]


def visible(html: str) -> str:
    """What can be read in it."""
    return " ".join(unescape(re.sub(r"<style>.*?</style>|<[^>]*>", " ", html, flags=re.S)).split())


# --- feed ---


def test_a_line_falls_out_when_its_lf_comes() -> None:
    """What comes, what falls out, and what is kept, the letter that was cut in two with it."""
    steps = FeedSteps(MyFraming(), b"hi\nho", "w\nж".encode()[:3], "ж\n".encode()[1:])
    assert repr(steps) == (
        "1  comes   │h│i│⏎│h│o│\n"
        "   → line  hi\n"
        "   keeps   │h│o│\n"
        "2  kept    │h│o│\n"
        "   comes   │w│⏎│½ d0│\n"
        "   → line  how\n"
        "   keeps   │½ d0│\n"
        "3  kept    │½ d0│\n"
        "   comes   │½ b6│⏎│\n"
        "   → line  ж\n"
        "   keeps   nothing"
    )
    html = html_of(steps)
    assert html == html_of(FeedSteps(MyFraming(), b"hi\nho", "w\nж".encode()[:3], "ж\n".encode()[1:]))
    assert html.count('class="box kept"') == 4 and html.count('class="box new"') == 8
    assert html.count('class="box kept wrong"') == 2 and html.count('class="box new wrong"') == 2
    assert "how" in visible(html)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (
            b"a b\t\r\n\x00\x7f",
            [Box("a"), Box("␣"), Box("b"), Box("⇥"), Box("␍"), Box("⏎"), Box("", "00"), Box("", "7f")],
        ),
        ("ж👋".encode(), [Box("ж", "d0 b6"), Box("👋", "f0 9f 91 8b")]),
        ("👋".encode()[:3], [Box("½", "f0 9f 91", half=True)]),
        (b"\xd0a\xb6", [Box("½", "d0", half=True), Box("a"), Box("½", "b6", half=True)]),
        (b"\xff\xc0", [Box("?", "ff", half=True), Box("?", "c0", half=True)]),
        ("\u202e".encode(), [Box("\ufffd", "e2 80 ae")]),
    ],
)
def test_a_box_for_each_letter(data: bytes, expected: list[Box]) -> None:
    """One for each byte, one for all bytes of a letter; half a letter is marked."""
    assert boxes(data) == expected


@given(st.binary(max_size=60))
def test_no_byte_is_lost(data: bytes) -> None:
    """The boxes of any bytes are these bytes."""
    signs = {"␣": b" ", "⇥": b"\t", "␍": b"\r", "⏎": b"\n"}
    back = [
        bytes.fromhex(box.codes) if box.codes else signs.get(box.sign) or box.sign.encode()
        for box in boxes(data)
    ]
    assert b"".join(back) == data


def test_other_framings() -> None:
    """The package's own, one that fails, one that hides what it keeps; long pieces are folded."""
    steps = FeedSteps(LineFraming(), b"x" * 5000 + b"\nstill here\n", b"")
    assert "│x│x│ … 4,980 bytes … │l│l│␣│h│e│r│e│⏎│" in repr(steps)
    assert "→ line  still here" in repr(steps) and "comes   nothing" in repr(steps)
    assert html_of(steps).count('class="box') == 32
    fails = FeedSteps(MyFraming(), b"\xff\n", b"never fed\n")
    assert "→ fails  UnicodeDecodeError: 'utf-8' codec" in repr(fails) and "never" not in repr(fails)
    assert (
        "cannot be seen" in repr(FeedSteps(RawFraming(), b"hi"))
        and repr(FeedSteps(MyFraming())) == "nothing was fed"
    )
    assert "<img" not in html_of(FeedSteps(MyFraming(), EVIL.encode() + b"\n", EVIL.encode()))


# --- two lists ---


def test_the_pair_that_no_longer_fits_is_marked() -> None:
    """Notebook 03: carol's socket ends up with bob's name."""
    clients, names = ["A", "B", "C"], ["alice", "bob", "carol"]
    lists = TwoLists().step("at the start", clients, names)
    lists.step("alice leaves", clients[1:], names[1:])
    lists.step("bob's socket goes", ["C"], names[1:])
    lists.step("name 1 goes", ["C"], ["bob"])
    assert [lists.misfits(n) for n in range(4)] == [
        {},
        {},
        {0: "C with bob", 1: "carol alone"},
        {0: "C with bob"},
    ]
    assert repr(lists).endswith(
        "2  bob's socket goes\n"
        "   clients   │ C   │ ·\n"
        "   nicknames │ bob │ carol\n"
        "             │ ✗   │ ✗\n"
        "   ✗ place 0: C with bob; place 1: carol alone\n"
        "3  name 1 goes\n"
        "   clients   │ C\n"
        "   nicknames │ bob\n"
        "             │ ✗\n"
        "   ✗ place 0: C with bob"
    )
    html = html_of(lists)
    assert html.count('class="box wrong"') == 5 and "✗ place 0: C with bob" in visible(html)
    assert "<bdi>carol</bdi>" in html


def test_who_belongs_to_whom_can_be_said() -> None:
    """Without it, those that are first seen side by side; with it, a pair can be wrong from the start."""
    assert TwoLists().step("", ["A"], ["bob"]).misfits(0) == {}
    assert TwoLists(fits={"A": "alice"}).step("", ["A"], ["bob"]).misfits(0) == {0: "A with bob"}
    assert TwoLists().step("", [], ["bob"]).misfits(0) == {0: "bob alone"}
    empty = TwoLists().step("empty", [], [])
    assert repr(empty) == "0  empty\n   clients\n   nicknames" and "empty" in visible(html_of(empty))
    assert "<img" not in html_of(TwoLists(EVIL, EVIL, {EVIL: "b"}).step(EVIL, [EVIL], [EVIL]))


class Hall:
    def __init__(self) -> None:
        self.clients, self.nicknames = ["A", "B", "C"], ["alice", "bob", "carol"]


def leave_as_a(hall: Hall) -> None:
    place = hall.clients.index("A")
    hall.clients.remove("A")
    hall.nicknames.pop(place)


def leave_as_b(hall: Hall) -> None:
    place = hall.clients.index("B")
    hall.clients.remove("B")
    hall.nicknames.pop(place)


def test_a_run_of_the_stepper() -> None:
    """Its states, each with the line that made it; what changes nothing is left out."""
    found = explore(
        Hall,
        {"alice": leave_as_a, "bob": leave_as_b},
        lambda hall: hall.nicknames == ["carol"],
        show=lambda hall: f"{' '.join(hall.clients)} | {' '.join(hall.nicknames)}",
    )
    lists = TwoLists.of_run(found.run)
    assert lists.steps[0].lists == (("A", "B", "C"), ("alice", "bob", "carol"))
    assert lists.steps[-1].lists[0] == ("C",) and lists.misfits(len(lists.steps) - 1)
    assert len(lists.steps) == 5  # two lists change twice each
    assert all(": hall." in step.what for step in lists.steps[1:])
    broken = explore(
        Hall, {"alice": leave_as_a, "bob": leave_as_b}, lambda hall: hall.nicknames == ["carol"]
    )
    with pytest.raises(ValueError, match=r"a state must have a \| between two lists"):
        TwoLists.of_run(broken.run)
    with pytest.raises(ValueError, match="there is no run to draw"):
        TwoLists.of_run(None)


# --- servers ---


def test_one_server_by_itself(server: ChatServer) -> None:
    """No Redis, and so no line to one."""
    with ChatClient("alice", server.address) as alice:
        alice.wait_for("you are alice")
        drawn = Topology({"the server": server})
        assert repr(drawn) == "the server · running, 1 connected\n   alice in lobby"
        assert "Redis" not in visible(html_of(drawn)) and "<bdi>alice</bdi>" in html_of(drawn)
    with pytest.raises(ValueError, match="no server to draw"):
        Topology({})


def test_two_servers_and_their_redis() -> None:
    """Who is connected where, and in what room; a server that has lost Redis, or was stopped, says so."""
    need_redis()
    with (
        RedisServer() as redis,
        ChatServer(port=0, backplane=redis.url) as left,
        ChatServer(port=0, backplane=redis.url) as right,
        ChatClient("alice", left.address) as alice,
        ChatClient("carol", right.address) as carol,
    ):
        alice.wait_for("carol joined", timeout=SOON)
        carol.say("/join tea")
        carol.wait_for("tea", timeout=SOON)
        servers = {"left": left, "right": right}
        drawn = Topology(servers)
        assert repr(drawn) == (
            "Redis · a stream for each of the rooms lobby, tea\n"
            "├─ left · running, 1 connected\n"
            "│     alice in lobby\n"
            "└─ right · running, 1 connected\n"
            "      carol in tea"
        )
        assert html_of(drawn).count('class="line cut"') == 0
        redis.kill()
        give_up = monotonic() + SOON
        while not (left.cut_off and right.cut_off):
            assert monotonic() < give_up
        lost = Topology(servers)
        assert repr(lost).count("✕") == 2 and html_of(lost).count('class="line cut"') == 2
        right.stop()
        assert "└ ✕ right · stopped, nobody connected" in repr(Topology(servers))
