"""reconnect.py and the client's last words: pauses, reasons, and what keeps a client from coming back."""

from __future__ import annotations

import random

import pytest
from support import SOON

from labkit import ChatClient, ChatServer
from labkit.client import ComingBack, ConnectionEnded, reconnect
from labkit.client.reconnect import LastWords, Reconnection
from labkit.instruments.link import Link
from labkit.wire.messages import BACK, CUT_OFF

A, B, C = ("a.example", 1), ("b.example", 2), ("::1", 3)


def reconnection() -> Reconnection:
    return Reconnection([A, B, C], 1000.0, random.Random(1), A, "alice", "den", None)


def test_a_pause_is_half_of_the_longest_or_more() -> None:
    """In each round twice as long as in the one before, up to two seconds; all within the time."""

    class Dice(random.Random):
        def uniform(self, a: float, b: float) -> float:
            asked.append((a, b))
            return a

    asked: list[tuple[float, float]] = []
    back = Reconnection([A, B], 60.0, Dice(), A, "alice", "lobby", None)
    tries = [back.next() for _ in range(14)]
    assert [turn[1] for turn in tries if turn] == [B, A] * 7
    assert [turn[0] for turn in tries if turn] == [a for a, _ in asked]
    assert asked == [
        (longest / 2, longest) for longest in (0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0) for _ in range(2)
    ]


def test_what_failed_is_told_once_and_at_the_end() -> None:
    """Each server's latest reason; news only where it has changed."""
    back = reconnection()
    assert back.first == B
    assert back.end == "no server let alice back in within 1000 s: there was no time to try one"
    back.next()
    assert back.failed(B, "full") == "b.example:2: full"
    assert back.failed(B, "full") == ""
    assert back.failed(B, OSError(5, "broken")) == "b.example:2: broken"
    assert back.failed(A, "full") == "a.example:1: full"
    assert back.end == "no server let alice back in within 1000 s: b.example:2: broken; a.example:1: full"
    assert not back.refused


def test_last_words_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which are named, to the second: of those said lately, or since it was cut off."""
    now = [100.0]
    monkeypatch.setattr(reconnect, "monotonic", lambda: now[0])
    words = LastWords()
    assert words.lost() == ""
    words.add("old")
    now[0] = 103.0
    assert words.lost() == ""
    words.add("one")
    now[0] = 105.999
    assert words.lost() == "it may not have heard this line: one"
    assert words.lost() == ""
    words.add("one")
    words.add("two")
    assert words.lost() == "it may not have heard the last 2 lines, from this one on: one"
    words.add("before")
    now[0] += 2
    words.heed(CUT_OFF)
    words.add("after")
    now[0] += 60
    words.heed("something else")
    assert words.lost() == "it may not have heard the last 2 lines, from this one on: before"
    words.add("later")
    now[0] += 4
    assert words.lost() == ""
    words.heed(CUT_OFF)
    words.add("waits")
    now[0] += 60
    words.heed(BACK)  # now it goes out, at last
    now[0] += 2
    assert words.lost() == "it may not have heard this line: waits"
    words.heed(CUT_OFF)
    words.add("waits")
    now[0] += 60
    words.heed(BACK)
    now[0] += 4
    assert words.lost() == ""
    for n in range(1000):
        words.add(f"{n}")
    assert words.lost() == "it may not have heard the last 1000 or more lines, from this one on: 0"
    for n in range(999):
        words.add(f"{n}")
    assert words.lost() == "it may not have heard the last 999 lines, from this one on: 0"


def test_once_it_is_back_it_waits_for_as_long_as_ever(server: ChatServer) -> None:
    """And no longer for what was left of the time to come back in."""
    with Link(server.address) as link:
        with ChatClient("alice", [link.address], seed=1, timeout=2 * SOON, give_up=SOON) as alice:
            link.reset()
            alice.wait_for("# back at", SOON)
            assert alice._session.connection.timeout == 2 * SOON


@pytest.mark.parametrize("said", ["/nonsense", "/msg", "/quitt", "//quit", "quit", "/me", "/quit now"])
def test_what_is_no_goodbye_keeps_no_client_away(server: ChatServer, said: str) -> None:
    """After a command that does not exist, or lacks something, and after talk of /quit, it comes back."""
    with Link(server.address) as link, ChatClient("alice", [link.address], seed=1) as alice:
        alice.say(said)
        alice.say("/who")
        alice.wait_for("in lobby: alice")
        assert f"> {said}" in alice.transcript
        link.reset()
        alice.wait_for("# back at")
        alice.say("/who")
        alice.wait_for("in lobby: alice")


def test_quit_in_other_letters_is_quit(server: ChatServer) -> None:
    """Then nothing is lost, and it does not come back; also after it said more."""
    with ChatClient("alice", [server.address], seed=1) as alice:
        alice.say("/QUIT")
        alice.wait_until_gone()
        assert not [line for line in alice.transcript if line.startswith("# ")]


def test_a_line_that_did_not_go_out_waits_for_another_connection(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for the one that broke; and if none comes in time, it is said so."""
    with ChatClient("alice", [server.address]) as alice:
        alice._session.timeout = 0.3  # from now on: it was let in
        tried: list[object] = []

        def fails(connection: object, data: bytes) -> None:
            tried.append(connection)
            assert len(tried) < 10
            raise ConnectionEnded("it broke")

        monkeypatch.setattr(alice._session, "send", fails)
        with pytest.raises(ComingBack) as error:
            alice.say("hello")
        assert str(error.value) == ("alice has not said 'hello': no server let it back in within 0.3 s")
        assert len(tried) == 1 and alice.transcript[-1] == "> hello"
