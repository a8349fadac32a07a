"""The checker on histories, written by hand, of people on several servers, one of which is lost."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import pytest

from chaos.checker import check
from chaos.history import BACK, CUT_OFF, GIVEN_UP, Life
from chaos.test_checker import Lives, a_life, also, everywhere, inserted, without
from chaos.verdict import Kind
from labkit.wire.messages import QUIT, SERVER_LOST, SERVER_STOPPED, Quit, Refused, Rename, Say, Whisper, Who

STOPPED = "* server stopped"


def a_story() -> Lives:
    """Witness and ann on one server, bob and carl on another, which is lost; bob comes back."""
    witness = a_life(
        "witness",
        [],
        "* you are witness, in lobby",
        "* ann joined",
        "* bob joined",
        "* carl joined",
        "bob: one",
        CUT_OFF.decode(),
        BACK.decode(),
        "ann: two",
        "carl -> you: psst",
        "* bob left (server lost)",
        "* carl left (server lost)",
        "* bOb joined",
        "bOb: five",
        settled=13,
        watches="lobby",
        shared=True,
    )
    ann = a_life(
        "ann",
        [Say("two"), Whisper("bob", "ann asks"), Who(), Quit()],
        "* you are ann, in lobby",
        "* bob joined",
        "* carl joined",
        "bob: one",
        CUT_OFF.decode(),
        BACK.decode(),
        "! nobody here is called bob",
        "* in lobby: witness, ann, bob, carl",
        "* bob left (server lost)",
        "* carl left (server lost)",
        ends={QUIT, SERVER_STOPPED},
        over=True,
        shared=True,
    )
    bob = a_life(
        "bob",
        [Say("one"), Say("three"), Rename("bobby")],
        "* you are bob, in lobby",
        "* carl joined",
        "ann: two",
        "ann -> you: ann asks",
        CUT_OFF.decode(),
        GIVEN_UP.decode(),
        ends={SERVER_LOST},
        over=True,
        whole=False,
        shared=True,
        since=1.0,
        until=5.0,
    )
    carl = a_life(
        "carl",
        [Whisper("witness", "psst"), Say("four")],
        "* you are carl, in lobby",
        ends={SERVER_LOST},
        over=True,
        whole=False,
        shared=True,
    )
    again = a_life(
        "bOb",
        [Say("five"), Refused("that is you")],
        CUT_OFF.decode(),
        "! the nickname bOb is taken",
        "nickname",
        BACK.decode(),
        "* you are bOb, in lobby",
        "* ann left (quit)",
        "! that is you",
        settled=7,
        shared=True,
        since=7.0,
    )
    lives = {life.nickname: life for life in (witness, ann, bob, carl, again)}
    witness.heard.append(b"* ann left (quit)")
    witness.settled = 14
    return lives


def test_a_true_story_is_believed() -> None:
    """The last words of those who were lost may be unsaid, and that a server is cut off is no news."""
    verdict = check(list(a_story().values()))
    assert not verdict.count, verdict
    assert verdict.told == {SERVER_LOST: 2, QUIT: 1}


def test_a_server_that_stops_may_answer_after_its_goodbye() -> None:
    """What its people had asked just before."""
    lives = a_story()
    lives["ann"].heard.insert(-1, STOPPED.encode())
    assert not check(list(lives.values())).count


def has(who: str, **changes: object) -> Callable[[Lives], None]:
    def change(lives: Lives) -> None:
        for name, value in changes.items():
            setattr(lives[who], name, value)

    return change


def the_other_way_round(lives: Lives) -> None:
    """The witness is told of bob before what bob said."""
    heard = lives["witness"].heard
    heard.insert(4, heard.pop(heard.index(b"* bob left (server lost)")))


LEFT = "* bob left (server lost)"


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (also(without("witness", LEFT), without("ann", LEFT)), Kind.LOST, "nobody was told that bob left"),
        (without("witness", "bob: one"), Kind.LOST, "not heard by the witness of lobby, but by ann"),
        (inserted("witness", 13, LEFT), Kind.TWICE, "twice"),
        (everywhere(LEFT, "* bob left (vanished)"), Kind.REASON, "it was server lost"),
        (the_other_way_round, Kind.ORDER, "told before the last that bob said"),
        (has("bob", ends={QUIT}), Kind.REASON, "it was quit"),
        (has("bob", ends={QUIT}), Kind.FORGED, "lost its place among the others"),
        (inserted("bob", 6, "ann: six"), Kind.FORGED, "lost its place among the others"),
        (inserted("ann", 4, STOPPED), Kind.FORGED, ""),
        (has("bob", since=1.0, until=inf), Kind.SHARED, "bOb was let in, while bob had the nickname"),
        (has("bOb", since=4.9), Kind.SHARED, "bOb was let in, while bob had the nickname"),
        (without("witness", BACK.decode()), Kind.LOST, "witness was never told that its server is back"),
        (without("witness", CUT_OFF.decode()), Kind.TWICE, "and nothing had changed"),
        (inserted("witness", 6, CUT_OFF.decode()), Kind.TWICE, "and nothing had changed"),
        (has("ann", shared=False), Kind.FORGED, "which nobody said or did"),
        (
            also(
                inserted("carl", 1, "! nobody here is called witness"),
                without("witness", "carl -> you: psst"),
            ),
            Kind.ANSWER,
            "told that witness is not here, who never left",
        ),
        (has("bob", ends={QUIT, SERVER_STOPPED}), Kind.WHISPER, "and its sender was told that nobody"),
    ],
)  # fmt: skip
def test_a_lie_is_found(change: Callable[[Lives], None], kind: Kind, words: str) -> None:
    """Each kind by its name, with who was told it and what."""
    lives = a_story()
    if change.__qualname__.startswith("inserted") and words == "":
        lives["ann"].ends = {QUIT}  # its server has not stopped
    change(lives)
    verdict = check(list(lives.values()))
    assert any(c.kind is kind and words in c.what for c in verdict.complaints), verdict


def many() -> tuple[Life, Life, list[str]]:
    """A room so full that to tell who is here takes two lines."""
    names = [f"{'x' * 28}{n:04}" for n in range(150)]
    joined = [f"* {name} joined" for name in names]
    witness = a_life(
        "witness", [], "* you are witness, in lobby", *joined, "* ann joined", settled=152, watches="lobby"
    )
    ann = a_life("ann", [Who()], "* you are ann, in lobby", settled=3)
    return witness, ann, ["witness", *names, "ann"]


@pytest.mark.parametrize(
    ("first", "last", "right"),
    [(120, 152, True), (120, 151, False), (5, 152, False), (121, 152, False)],
)
def test_the_roster_may_take_more_than_a_line(first: int, last: int, right: bool) -> None:
    """All of them, in order, and a line that goes on is full."""
    witness, ann, names = many()
    rest = 120 if first == 121 else first  # one of them is told in both lines
    for part in (names[:first], names[rest:last]):
        ann.heard.append(f"* in lobby: {', '.join(part)}".encode())
    others = [a_life(name, [], f"* you are {name}, in lobby") for name in names[1:-1]]
    verdict = check([witness, ann, *others])
    assert (Kind.ANSWER in verdict.kinds) is not right, verdict
