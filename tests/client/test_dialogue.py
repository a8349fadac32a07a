"""dialogue.py: what a client answers, message by message, when it joins and when it comes back."""

from __future__ import annotations

import pytest

from labkit.client.dialogue import Dialogue
from labkit.wire.messages import from_server

WELCOME = "* you are alice, in lobby"


def answers(dialogue: Dialogue, *lines: str) -> list[str]:
    """What it answers to these."""
    found = [dialogue.receive(from_server(line)) for line in lines]
    return [answer for answer in found if answer is not None]


# --- joining: the user answers ---


@pytest.mark.parametrize(
    ("lines", "state"),
    [
        ([], "connected"),
        (["220 mail.example ESMTP"], "connected"),
        (["! beware of the dog"], "connected refused"),
        (["* you are alice, in lobby"], "connected"),
        (["nickname"], "connected asked"),
        (["password"], "connected"),
        (["nickname", "<alice"], "answered"),
        (["! beware of the dog", "nickname", "<alice"], "answered"),
        (["nickname", "nickname", "<alice", "nickname", WELCOME], "inside asked settled"),
        (["nickname", "<alice", WELCOME], "inside settled"),
        (["nickname", "<alice", "bob: hi"], "inside settled"),
        (["nickname", "<alice", "! alice is taken"], "answered refused"),
        (["nickname", "<alice", "! alice is taken", "nickname"], "answered asked refused settled"),
        (["nickname", "<bob", "! bob is taken", "nickname", "<alice"], "answered"),
        (["nickname", "<alice", "password"], "password settled"),
        (["nickname", "<alice", "password", "<s"], "answered"),
        (["nickname", "<alice", "password", "<s", "! wrong password"], "answered refused"),
        (
            ["nickname", "<alice", "password", "<s", "! wrong password", "password"],
            "password refused settled",
        ),
        (
            ["nickname", "<alice", "password", "<s", "! wrong password", "password", "<t", WELCOME],
            "inside settled",
        ),
        (
            ["nickname", "<alice", "password", "<s", "! alice is taken", "nickname"],
            "answered asked refused settled",
        ),
        (["nickname", "<alice", WELCOME, "password"], "inside settled"),
        (["nickname", "<alice", WELCOME, "! no such command"], "inside settled"),
        (["nickname", "<alice", WELCOME, "nickname"], "inside asked settled"),
    ],
)
def test_joining(lines: list[str], state: str) -> None:
    """Where each conversation leads; `<` is what the user answers. By itself it answers nothing."""
    dialogue = Dialogue()
    for line in lines:
        if not line.startswith("<"):
            assert dialogue.receive(from_server(line)) is None
        elif dialogue.asks_for_password:
            assert dialogue.give_password(line[1:]) == line[1:]
        else:
            assert dialogue.answer(line[1:]) == line[1:]
    flags = {"asked": dialogue.asked, "refused": dialogue.refusal, "settled": dialogue.settled}
    assert " ".join([dialogue.step.value, *(word for word, is_so in flags.items() if is_so)]) == state
    assert not (dialogue.over or dialogue.final)


def test_the_server_decides_on_the_nickname_and_the_room() -> None:
    """Each welcome tells them, also after a /nick and a /join."""
    dialogue = Dialogue()
    dialogue.receive(from_server("nickname"))
    dialogue.answer(" ALICE ")
    assert (dialogue.nickname, dialogue.room) == (" ALICE ", "")
    for who, room in (("Alice", "lobby"), ("al", "lobby"), ("al", "den")):
        dialogue.receive(from_server(f"* you are {who}, in {room}"))
        assert (dialogue.nickname, dialogue.room) == (who, room)


def test_what_is_for_people_to_read() -> None:
    """Not the requests; but a line `password` that another client may have said is no request."""
    shown = []
    dialogue = Dialogue()
    for line in ("Hello!", "nickname", "! no", "password", WELCOME, "password", "nickname", "bob: hi"):
        dialogue.receive(from_server(line))
        if line == "nickname":
            dialogue.answer("alice")
        if dialogue.shown:
            shown.append(line)
    assert shown == ["Hello!", "! no", WELCOME, "password", "bob: hi"]


def test_in_raw_silence_is_a_yes() -> None:
    """Until the server asks for a password after all."""
    dialogue = Dialogue()
    dialogue.receive(from_server("nickname"))
    dialogue.answer("alice")
    dialogue.accept()
    assert dialogue.inside
    dialogue.receive(from_server("password"))
    assert dialogue.asks_for_password and not dialogue.inside


# --- coming back: it answers by itself ---


def test_the_nickname_then_the_room() -> None:
    """Asked for the nickname, it gives it; welcomed in the lobby, it goes to its room: it is back."""
    back = Dialogue("alice", None, "den")
    assert answers(back, "Hello!", "nickname") == ["alice"]
    assert not back.shown
    assert back.receive(from_server("* you are alice, in lobby")) == "/join den"
    assert back.shown and not back.inside
    assert back.receive(from_server("bob: what a lobby")) is None
    assert not back.inside
    assert back.receive(from_server("* you are alice, in den")) is None
    assert back.inside and (back.nickname, back.room, back.refusal) == ("alice", "den", None)


def test_a_banner_that_sounds_like_a_refusal() -> None:
    """What was said before the request is forgotten with the request."""
    back = Dialogue("alice", None, "lobby")
    assert answers(back, "! beware of the dog", "nickname", "* you are alice, in lobby") == ["alice"]
    assert back.inside and (back.refusal, back.over) == (None, False)


def test_no_way_to_go() -> None:
    """Whose room is the lobby is back with the welcome; where no server told of a room, with any line."""
    lobby = Dialogue("alice", None, "lobby")
    assert answers(lobby, "nickname", "* you are alice, in lobby") == ["alice"]
    dumb = Dialogue("alice")
    assert answers(dumb, "Hello!", "nickname") == ["alice"] and not dumb.inside
    assert dumb.receive(from_server("bob: hi")) is None
    assert lobby.inside and dumb.inside


def test_a_password_is_given_at_its_turn() -> None:
    """Right after the nickname, once; never to a line that came later, as it may be another client's."""
    for lines, sent in (
        (["password", "nickname", "password", "password"], ["alice", "s"]),
        (["nickname", "bob: hi", "password"], ["alice"]),
    ):
        assert answers(Dialogue("alice", "s", "den"), *lines) == sent
    none = Dialogue("alice", None, "den")
    assert answers(none, "nickname", "password") == ["alice"]
    assert none.final and none.refusal
    assert none.refusal.why == "it asks for a password, and there is none"


@pytest.mark.parametrize(
    ("lines", "over", "final"),
    [
        (["! the server is full: 1 connections"], False, False),
        (["nickname", "! others need the room"], False, False),
        (["nickname", "! no; that was the last try"], True, True),
        (["nickname", "! alice is taken; that was the last try"], True, False),
        (["nickname", "! the nickname alice is taken"], True, False),
        (["nickname", "! the nickname alice is taken", "nickname"], True, False),
        (["nickname", "! that nickname will not do: no"], False, False),
        (["nickname", "! that nickname will not do: no", "nickname"], True, True),
        (["nickname", "password", "! wrong password"], False, False),
        (["nickname", "password", "! wrong password", "password"], True, True),
        (["nickname", WELCOME, "! no such room"], True, True),
        (["nickname", WELCOME, "! den is taken"], True, True),
    ],
)
def test_which_refusals_end_it(lines: list[str], over: bool, final: bool) -> None:
    """Here, or everywhere. After that nothing is answered, and nothing changes."""
    back = Dialogue("alice", "s", "den")
    answers(back, *lines)
    assert (back.over, back.final, back.inside) == (over, final, False)
    if over:
        assert answers(back, "nickname", "password", WELCOME, "* you are alice, in den") == []
        assert (back.over, back.final, back.inside) == (over, final, False)


def test_back_it_is_like_any_other() -> None:
    """Once inside, it answers nothing by itself any more, and a refusal of what is said is no end."""
    back = Dialogue("alice", "s", "den")
    answers(back, "nickname", WELCOME, "* you are alice, in den")
    assert answers(back, "! no such command", "nickname", "password", "* you are al, in den") == []
    assert back.inside and back.nickname == "al" and not back.over
