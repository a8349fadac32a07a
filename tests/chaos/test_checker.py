"""The checker itself: right about histories written by hand, and about made-up ones."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Sequence

import pytest

from chaos.checker import check
from chaos.history import Deed, Life
from chaos.verdict import Kind
from labkit.server.rooms import Enters, Refusal, Rooms, ToOne
from labkit.wire.messages import (
    HUNG_UP,
    QUIT,
    TOO_SLOW,
    VANISHED,
    Act,
    FromClient,
    Join,
    Quit,
    Refused,
    Rename,
    Say,
    Whisper,
    Who,
)

Lives = dict[str, Life]


def a_life(nickname: str, deeds: list[Deed], *heard: str, **more: object) -> Life:
    return Life(nickname, deeds, [line.encode() for line in heard], **more)  # type: ignore[arg-type]


def a_story() -> Lives:
    """Three in the lobby, and one who was there before; one takes another name, one another room."""
    witness = a_life(
        "witness",
        [],
        "* you are witness, in lobby",
        "* alice joined",
        "* bob joined",
        "alice: one",
        "bob: two",
        "* carol joined",
        "* bob is now bo",
        "bo: three",
        "* carol is now carla",
        "* carla went to den",
        "* alice left (quit)",
        "bo -> you: psst",
        settled=12,
        watches="lobby",
    )
    alice = a_life(
        "alice",
        [Say("one"), Who(), Quit()],
        "* you are alice, in lobby",
        "* bob joined",
        "* in lobby: witness, alice, bob",
        "bob: two",
        "* carol joined",
        "* bob is now bo",
        "bo: three",
        "* carol is now carla",
        ends={QUIT},
        over=True,
    )
    bob = a_life(
        "bob",
        [Say("two"), Rename("bo"), Say("three"), Whisper("witness", "psst"), Whisper("nobody", "?")],
        "* you are bob, in lobby",
        "alice: one",
        "* carol joined",
        "* you are bo, in lobby",
        "* carol is now carla",
        "* carla went to den",
        "* alice left (quit)",
        "! nobody here is called nobody",
        settled=8,
    )
    carol = a_life(
        "carol",
        [Rename("carla"), Join("den"), Say("is anybody here?"), Refused("that is you")],
        "* you are carol, in lobby",
        "* bob is now bo",
        "bo: three",
        "* you are carla, in lobby",
        "* you are carla, in den",
        "! that is you",
        ends={VANISHED},
        over=True,
        whole=False,
    )
    return {life.nickname: life for life in (witness, alice, bob, carol)}


def test_a_true_story_is_believed() -> None:
    """And its deliveries are counted, as are the leavings that were told."""
    verdict = check(list(a_story().values()))
    assert str(verdict) == "nothing to complain about in 24 deliveries"
    assert verdict.told == {QUIT: 1}


def without(who: str, line: str) -> Callable[[Lives], None]:
    def change(lives: Lives) -> None:
        life = lives[who]
        if life.settled is not None and life.heard.index(line.encode()) < life.settled:
            life.settled -= 1
        life.heard.remove(line.encode())

    return change


def inserted(who: str, at: int, line: str) -> Callable[[Lives], None]:
    def change(lives: Lives) -> None:
        life = lives[who]
        life.heard.insert(at, line.encode())
        if life.settled is not None and at <= life.settled:
            life.settled += 1

    return change


def swapped(who: str, at: int) -> Callable[[Lives], None]:
    def change(lives: Lives) -> None:
        heard = lives[who].heard
        heard[at], heard[at + 1] = heard[at + 1], heard[at]

    return change


def everywhere(old: str, new: str) -> Callable[[Lives], None]:
    def change(lives: Lives) -> None:
        for life in lives.values():
            life.heard = [new.encode() if line == old.encode() else line for line in life.heard]

    return change


def also(*changes: Callable[[Lives], None]) -> Callable[[Lives], None]:
    def change(lives: Lives) -> None:
        for one in changes:
            one(lives)

    return change


def thrown_out(lives: Lives) -> None:
    lives["bob"].thrown_out = True


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (without("alice", "bob: two"), Kind.LOST, "alice did not hear b'bob: two'"),
        (without("alice", "* carol joined"), Kind.LOST, "alice did not hear"),
        (without("bob", "* alice left (quit)"), Kind.LOST, "bob did not hear"),
        (without("carol", "bo: three"), Kind.LOST, "carol did not hear"),
        (without("witness", "alice: one"), Kind.LOST, "not heard by the witness of lobby, but by bob"),
        (
            also(without("witness", "alice: one"), without("bob", "alice: one")),
            Kind.LOST,
            "not heard by the witness of lobby, but by nobody",
        ),
        (without("witness", "bo -> you: psst"), Kind.LOST, "for witness, was not heard, and not refused"),
        (
            also(without("witness", "* alice left (quit)"), without("bob", "* alice left (quit)")),
            Kind.LOST,
            "nobody was told that alice left lobby",
        ),
        (inserted("alice", 4, "bob: two"), Kind.TWICE, "alice heard b'bob: two' twice"),
        (inserted("witness", 6, "* bob joined"), Kind.TWICE, "witness heard b'* bob joined' twice"),
        (inserted("witness", 12, "bo -> you: psst"), Kind.TWICE, "psst' twice"),
        (swapped("bob", 1), Kind.ORDER, "bob heard b'alice: one' too late"),
        (swapped("alice", 5), Kind.ORDER, "too late"),
        (
            also(swapped("witness", 6), swapped("alice", 5), swapped("carol", 1)),
            Kind.ORDER,  # all agree, and yet: it cannot have spoken under a name that it did not have yet
            "and was heard before that",
        ),
        (inserted("bob", 3, "bob: two"), Kind.OWN, "its own"),
        (inserted("bob", 6, "carla: is anybody here?"), Kind.LEAK, "in lobby, heard"),
        (inserted("carol", 5, "* alice left (quit)"), Kind.LEAK, "in den, heard"),
        (inserted("carol", 1, "bob: two"), Kind.LEAK, "from before it came"),
        (inserted("alice", 3, "eve: hello"), Kind.FORGED, "which nobody said or did"),
        (inserted("alice", 3, "* server stopped"), Kind.FORGED, "which nobody said or did"),
        (inserted("alice", 3, "* eve left (quit)"), Kind.FORGED, "nobody is called so"),
        (inserted("alice", 3, "bo -> you: psst"), Kind.WHISPER, "alice heard b'bo -> you: psst'"),
        (inserted("bob", 3, "! that is you"), Kind.ANSWER, "which answers nothing"),
        (
            everywhere("* in lobby: witness, alice, bob", "* in lobby: witness, alice"),
            Kind.ANSWER,
            "and not",
        ),
        (everywhere("* alice left (quit)", "* alice left (vanished)"), Kind.REASON, "it was quit"),
        (
            inserted("witness", 11, "* alice left (hung up)"),
            Kind.TWICE,
            "it left once, and was told 2 times",
        ),
        (inserted("witness", 10, "* bo left (quit)"), Kind.FORGED, "or it is still here"),
        (thrown_out, Kind.THROWN_OUT, "bob was thrown out, and had done nothing for it"),
    ],
)
def test_a_lie_is_found(change: Callable[[Lives], None], kind: Kind, words: str) -> None:
    """Each kind by its name, with who was told it and what."""
    lives = a_story()
    change(lives)
    verdict = check(list(lives.values()))
    assert kind in verdict.kinds, verdict
    assert any(c.kind is kind and words in c.what for c in verdict.complaints), verdict


@pytest.mark.parametrize("left", range(1, 8))
def test_one_that_left_may_not_have_heard_the_last_of_it(left: int) -> None:
    """Cut off anywhere, what alice has heard proves nothing wrong; a hole in it does."""
    lives = a_story()
    del lives["alice"].heard[left:]
    assert not check(list(lives.values())).count


def test_one_that_vanished_may_not_have_been_heard_to_the_last() -> None:
    """What carol sent last may be unread; but not with something read that she sent afterwards."""
    lives = a_story()
    lives["carol"].deeds += [Rename("carlotta"), Join("lobby"), Say("four")]
    assert not check(list(lives.values())).count
    for heard in (lives["witness"].heard, lives["bob"].heard):
        heard.insert(heard.index(b"* alice left (quit)"), b"carlotta: four")
    assert check(list(lives.values())).kinds >= {Kind.LOST}


def test_lines_that_read_alike_are_no_history() -> None:
    """The checker could not tell whether one was lost and the other heard twice."""
    lives = a_story()
    lives["alice"].deeds.insert(0, Say("one"))
    with pytest.raises(ValueError, match="each line of a run must differ"):
        check(list(lives.values()))


def test_without_a_witness_there_is_no_order() -> None:
    """No client would be sure to have heard it all."""
    lives = a_story()
    lives["witness"].watches = ""
    with pytest.raises(ValueError, match="witness in the lobby"):
        check(list(lives.values()))


# --- made-up histories: Rooms, and dice ---


def made_up(seed: int) -> list[Life]:
    """What a few people hear of each other in Rooms (rooms.py), told everything in one order."""
    dice, rooms = random.Random(seed), Rooms[int]()
    lives: list[Life] = []
    hears: dict[int, str] = {}

    def carry_out(deliveries: Sequence[object]) -> None:
        for delivery in deliveries:
            if isinstance(delivery, Enters):
                hears[delivery.who] = delivery.room or ""
            elif isinstance(delivery, ToOne):
                lives[delivery.who].heard.append(delivery.message.line().encode())
            else:
                for who, room in hears.items():
                    if room == delivery.room and who != delivery.but:  # type: ignore[attr-defined]
                        lives[who].heard.append(delivery.message.line().encode())  # type: ignore[attr-defined]

    def come(nickname: str) -> None:
        lives.append(Life(nickname))
        carry_out(rooms.join(len(lives) - 1, nickname))

    def do(who: int, what: FromClient) -> None:
        lives[who].deeds.append(what)  # type: ignore[arg-type]
        try:
            carry_out(rooms.do(who, what))
        except Refusal as refusal:
            if not isinstance(what, Whisper) or str(refusal) == "that is you":
                lives[who].deeds[-1] = Refused(str(refusal))
            lives[who].heard.append(Refused(str(refusal)).line().encode())

    come("witness")
    come("walks")
    do(1, Rename("other"))
    do(1, Join("den"))
    lives[0].watches, lives[1].watches = "lobby", "den"
    for n in range(200):
        here = [who for who in range(2, len(lives)) if who in rooms]
        if len(here) < 3 or dice.random() < 0.1:
            come(f"p{n}")
            continue
        who = dice.choice(here)
        match dice.randrange(8):
            case 0:
                do(who, Rename(f"r{n}"))
                do(who, Join("den" if rooms.room(who) == "lobby" else "lobby"))
            case 1:
                do(who, Whisper(rooms.nickname(dice.choice(here)) if n % 3 else f"x{n}", f"psst {n}"))
            case 2:
                do(who, Who())
            case 3:
                lives[who].ends = {dice.choice((QUIT, HUNG_UP, VANISHED, TOO_SLOW))}
                lives[who].over = True
                carry_out(rooms.leave(who, *lives[who].ends))
            case _:
                do(who, dice.choice((Say, Act))(f"text {n}"))
    for life in lives:
        if not life.over:
            life.settled = len(life.heard)
    return lives


@pytest.mark.parametrize("seed", range(20))
def test_made_up_histories_are_true(seed: int) -> None:
    """Nothing to complain about; nor when those who left have not heard the last of it."""
    lives, dice = made_up(seed), random.Random(seed)
    assert not (verdict := check(lives)).count, verdict
    for life in lives:
        if life.over:
            del life.heard[dice.randint(1, len(life.heard)) :]
    assert not (verdict := check(lives)).count, verdict


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_lost_repeated_or_exchanged_is_noticed(seed: int) -> None:
    """Anywhere in what any client heard that stayed and was no witness."""
    true, dice = made_up(seed), random.Random(seed)
    for _ in range(10):
        lives = copy.deepcopy(true)
        life = dice.choice([life for life in lives[2:] if life.settled is not None and len(life.heard) > 3])
        at = dice.randrange(1, len(life.heard) - 1)
        # What is not said aloud has no place among what is: no other client knows when it was due.
        if any(line.startswith((b"! ", b"* in ")) or b" -> " in line for line in life.heard[at : at + 2]):
            continue
        match dice.randrange(3):
            case 0:
                del life.heard[at]
            case 1:
                life.heard.insert(at, life.heard[at])
            case _:
                life.heard[at], life.heard[at + 1] = life.heard[at + 1], life.heard[at]
        life.settled = len(life.heard)
        assert check(lives).count, (seed, at, life.nickname)
