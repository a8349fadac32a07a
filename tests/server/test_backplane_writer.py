"""backplane/writer.py by hand: what it asks of Redis, turn by turn, and what it does when none answers."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest
from redis import RedisError

from labkit import Limits
from labkit.client.reconnect import LAST_WORDS as LAST_WORDS_OF_A_CLIENT
from labkit.journal import Journal
from labkit.server.backplane import writer as writing
from labkit.server.backplane.backplane import Backplane
from labkit.server.backplane.log import Reached
from labkit.server.backplane.requests import Requests
from labkit.server.backplane.session import Session
from labkit.server.backplane.store import GivenUp, NoRedis
from labkit.server.backplane.writer import HELD_ROOM, LAST_WORDS, TELL_READ, Writer

LEASE = 4.0


class Ended(BaseException):
    """The test has seen enough."""


class Bench:
    """A writer whose Redis, clock and waits are the test's; it runs in the test's own thread."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.lock = threading.Lock()
        self.session = Session(self.lock)
        self.turns: list[tuple[str, int, list[Any]]] = []
        self.hellos: list[tuple[str, float]] = []
        self.answers: list[Any] = []  # an exception, or a function of the commands
        self.contact: list[tuple[Any, ...]] = []
        self.begun_anew: list[str] = []
        self.waits: list[float] = []
        monkeypatch.setattr(writing, "monotonic", lambda: self.now)
        self.writer = Writer(cast(Any, self), LEASE, cast(Any, self), self.lock, self._begin_anew)
        self.writer._stopping.wait = self._wait  # type: ignore[assignment, method-assign]
        self.writer._session = self.session

    def _begin_anew(self, why: str) -> Session:
        self.begun_anew.append(why)
        self.session = Session(self.lock)
        return self.session

    def _wait(self, seconds: float | None = None) -> bool:
        self.waits.append(cast(float, seconds))
        self.now += cast(float, seconds)
        return False

    # What it needs of the store and of the contact.

    def hello(self, server: str, lease: float, *_: object) -> None:
        self.hellos.append((server, lease))
        if self.answers and isinstance(self.answers[0], Exception):
            raise self.answers.pop(0)

    def turn(self, server: str, number: int, lease: float, commands: list[Any], *_: object) -> list[Any]:
        self.turns.append((server, number, list(commands)))
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, BaseException):
            raise answer
        if answer is not None:
            return cast("list[Any]", answer(commands))
        room = [b"lobby", b"0", b"0-0", []]
        return [room if name == "follow" else [] if name == "look" else 0 for name, _ in commands]

    def lost(self, thread: str, since: float, why: str) -> None:
        self.contact.append((thread, since, why))

    def found(self, thread: str) -> None:
        self.contact.append((thread,))


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def names(commands: list[Any]) -> list[str]:
    return [name for name, _ in commands]


def test_it_begins_with_a_hello_and_what_a_session_needs(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In turn 1; then its thread goes on."""
    started: list[bool] = []
    monkeypatch.setattr(bench.writer._thread, "start", lambda: started.append(True))
    bench.writer.start(bench.session)
    assert bench.hellos == [(bench.session.server, LEASE)] and started == [True]
    assert bench.turns == [(bench.session.server, 1, [("follow", ("lobby", "lobby"))])]
    assert bench.session.rooms["lobby"].followed.is_set()


def test_answers_go_to_those_who_wait(bench: Bench) -> None:
    """Each to its own."""
    heard: list[Any] = []
    things = [(("a", ()), lambda answer: heard.append(("a", answer))), (("b", ()), heard.append)]
    bench.writer._hand_out(cast(Any, things), [1, [b"other", b"x"]])
    assert heard == [("a", 1), [b"other", b"x"]] and not bench.session.broken


def test_an_answer_that_cannot_be_read_breaks_the_session(bench: Bench) -> None:
    """Another program may have written there; why is told."""
    bench.writer._hand_out(cast(Any, [(("a", ()), int)]), [b"x"])
    assert bench.session.broken == (
        """cannot read an answer: ValueError("invalid literal for int() with base 10: b'x'")"""
    )


def test_no_answer_is_asked_for_again(bench: Bench) -> None:
    """The same, with the same number, in pauses that grow; and the trouble is told, since it was asked."""
    bench.answers = [OSError(5, "gone"), RedisError("busy"), OSError(5, "gone")]
    heard: list[Any] = []
    bench.writer._turn = 7
    assert bench.writer._do([(("ring", ()), heard.append)])
    assert [turn for _, turn, _ in bench.turns] == [7] * 4 and heard == [0]
    assert bench.waits == [0.02, 0.04, 0.08]
    assert [told[0] for told in bench.contact] == ["writer"] * 4 and len(bench.contact[-1]) == 1
    assert [told[1] for told in bench.contact[:3]] == pytest.approx([1000.0, 1000.02, 1000.06])
    assert bench.contact[1][2] == "busy" and "gone" in bench.contact[0][2]
    assert bench.writer._there_since == pytest.approx(1000.06 + 0.08)


def test_one_that_stops_does_not_ask_for_ever(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second, and no longer."""
    waited: list[float] = []

    class Never(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waited.append(cast(float, timeout))
            bench.now += cast(float, timeout) + 0.001
            return False

    monkeypatch.setattr("labkit.server.backplane.writer.threading.Event", Never)
    bench.writer._stop_by = bench.now + LAST_WORDS
    bench.answers = [OSError(5, "gone")] * 50
    assert not bench.writer._do([])
    assert 0.9 < bench.now - 1000 < 1.2 and waited[:3] == [0.02, 0.04, 0.08] and min(waited) >= 0
    assert bench.waits == [] and LAST_WORDS == 1.0


def test_one_that_was_given_up_begins_anew(bench: Bench) -> None:
    """As another server, which buries the one before; it does not hurry, if it had hardly begun."""
    before = bench.session.server
    bench.writer._there_since = bench.now - 0.4
    bench.answers = [GivenUp("so they say"), OSError(5, "gone"), OSError(5, "gone")]
    assert not bench.writer._do([])
    assert bench.begun_anew == ["so they say"] and bench.session.server != before
    assert bench.waits == [0.5, 0.02, 0.04]
    assert [server for server, _ in bench.hellos] == [bench.session.server] * 3
    assert bench.writer._turn == 0 and bench.contact[-1] == ("writer",)
    bench.waits.clear()
    bench.writer._there_since = bench.now - 0.6
    bench.writer._start_anew("again")
    assert bench.begun_anew == ["so they say", "again"] and bench.waits == []
    bench.writer._stop_by = 1.0
    bench.writer._start_anew("no more")
    assert len(bench.begun_anew) == 2


def test_servers_without_a_lease_have_their_chance(bench: Bench) -> None:
    """They must be seen so twice in a row; and not soon after Redis was away."""
    bench.session.gather(0, 1)
    bench.writer._there_since = bench.now

    def asked() -> list[Any]:
        asked = [arguments[0] for (name, arguments), _ in bench.session.requests if name == "lose"]
        return [*asked, *getattr(bench.writer, "_lost", [])]

    for _ in range(3):
        bench.writer._judge([b"b"])
    assert asked() == []
    bench.now += LEASE
    bench.writer._judge([b"c"])
    bench.writer._judge([b"d"])
    assert asked() == []
    bench.writer._judge([b"d", b"e"])
    assert asked() == ["d"]
    bench.writer._judge([])
    bench.writer._judge([b"e"])
    assert "e" not in asked()


# --- its rounds ---


def rounds(bench: Bench, *between: Any) -> list[list[str]]:
    """What is done in each round; before each one something happens, and after the last it ends."""
    happens = list(between)

    def wait() -> None:
        if not happens:
            raise Ended
        happens.pop(0)()

    bench.writer._wait_for_work = wait  # type: ignore[method-assign]
    bench.turns.clear()
    with pytest.raises(Ended):
        bench.writer._write()
    return [names(commands) for _, _, commands in bench.turns]


def nothing() -> None:
    pass


def test_the_lease_is_kept_and_others_are_looked_at(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four times in its length; and then all rooms are told how far they were read."""
    monkeypatch.setattr("labkit.server.scheduling.wait_your_turn", nothing)
    lobby = bench.session.rooms["lobby"]

    def later(seconds: float) -> Any:
        def move() -> None:
            bench.now += seconds
            lobby.heard += 1

        return move

    assert rounds(bench, nothing, later(0.9), later(0.2), later(0.9)) == [
        ["follow", "mailed", "look"],
        ["ring"],
        ["read", "mailed", "look"],
        [],
    ]
    assert [turn for _, turn, _ in bench.turns] == [1, 2, 3, 4]
    lobby.heard = lobby.told + TELL_READ + 1
    bench.session.touched[lobby] = None
    bench.session.mail = "8-0"
    assert rounds(bench, nothing, later(1.0)) == [["read"], ["read", "mailed", "look"]]
    assert ("mailed", ("8-0",)) in bench.turns[-1][2]


def test_a_broken_session_is_begun_anew(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what was gathered is not done."""
    monkeypatch.setattr("labkit.server.scheduling.wait_your_turn", nothing)
    bench.session.broken = "why"
    assert rounds(bench, nothing, nothing)[0][:1] == ["follow"]
    assert bench.begun_anew == ["why"] and len(bench.turns) == 1


@pytest.mark.parametrize("done", [True, False])
def test_the_end(bench: Bench, monkeypatch: pytest.MonkeyPatch, done: bool) -> None:
    """What is still to be done, with a ring for the reader; and if that went well, a goodbye."""
    monkeypatch.setattr("labkit.server.scheduling.wait_your_turn", nothing)
    bench.writer._stop_by = bench.now + (10 if done else -1)
    bench.session.broken = "" if done else "why"
    bench.answers = [] if done else [OSError(5, "gone")]
    bench.writer._wait_for_work = nothing  # type: ignore[method-assign]
    bench.writer._write()
    assert [(turn, names(commands)) for _, turn, commands in bench.turns] == [
        (1, ["follow", "ring"]),
        (2, ["goodbye"]),
    ][: 1 + done]
    if done:
        assert bench.turns[-1][2] == [("goodbye", ("server stopped",))]
    assert bench.begun_anew == []


@pytest.mark.parametrize(
    ("set_up", "waits"),
    [
        ("nothing", [1.0]),
        ("held", [HELD_ROOM]),
        ("woken", []),
        ("requests", []),
        ("broken", []),
        ("stopping", []),
        ("overdue", []),
    ],
)
def test_how_long_it_waits_for_work(bench: Bench, set_up: str, waits: list[float]) -> None:
    """Until the next beat, or a look at how far a slow server is; not if there is something to do."""
    bench.session.gather(0, 1)
    bench.writer._beat_at = bench.now + (1.0 if set_up != "overdue" else -1.0)
    lobby = bench.session.rooms["lobby"]
    if set_up == "held":
        bench.session.held.add(lobby)
    elif set_up == "woken":
        bench.writer._woken = True
    elif set_up == "requests":
        bench.session.want("ring")
    elif set_up == "broken":
        bench.session.broken = "x"
    elif set_up == "stopping":
        bench.writer._stop_by = 1.0
    waited: list[float] = []

    def wait(seconds: float) -> bool:
        waited.append(seconds)
        bench.now += seconds
        return False

    bench.writer._work.wait = wait  # type: ignore[assignment, method-assign]
    bench.writer._wait_for_work()
    assert waited == pytest.approx(waits)


def test_waking_it_twice_is_waking_it_once(bench: Bench) -> None:
    told: list[bool] = []
    bench.writer._work.notify = lambda n=1: told.append(True)  # type: ignore[method-assign]
    bench.writer.wake()
    bench.writer.wake()
    assert told == [True] and bench.writer._woken


def backplane(**limits: Any) -> Backplane:
    """One that was not started: no Redis is needed."""
    return Backplane(
        "redis://127.0.0.1:1", threading.Lock(), Journal(), Limits(**limits), threading.Event()
    )


@pytest.mark.parametrize(("lease", "patience"), [(2.0, 1.0), (3.0, 1.5), (60.0, 2.0)])
def test_how_long_an_answer_is_waited_for(lease: float, patience: float) -> None:
    """Not for so long that the lease ends; and what a client remembers to have said goes back further."""
    assert backplane(lease=lease)._store._patience == patience < LAST_WORDS_OF_A_CLIENT


def test_one_that_was_given_up_has_that_delivered() -> None:
    """Also when none of its own threads leaves because of it."""
    plane, did = backplane(), list[str]()
    plane.broadcaster = cast(
        Any,
        SimpleNamespace(post=lambda entries: did.append("post"), wake=lambda: did.append("wake")),
    )
    assert plane._begin_anew("why") is plane.session
    assert did == ["post", "wake"]


def test_one_that_cannot_start_closes_its_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis was there a moment before."""
    plane, closed = backplane(), list[bool]()

    def fails(session: Session) -> None:
        raise OSError(5, "gone")

    monkeypatch.setattr(plane.writer, "start", fails)
    monkeypatch.setattr(plane._store, "close", lambda: closed.append(True))
    with pytest.raises(NoRedis, match="^no use of the Redis at redis://127.0.0.1:1: "):
        plane.start(cast(Any, None))
    assert closed == [True]


def test_one_that_waits_for_what_was_said_wakes_it() -> None:
    """It would else find out at the next beat that the thread waits."""
    plane = backplane()
    lobby = plane.session.rooms["lobby"]
    lobby.followed.set()
    assert not plane.writer._woken
    lobby.add(Reached(threading.Event()))
    plane.settle(0.0)
    assert plane.writer._woken and lobby in plane.session.touched
    assert [type(op) for op in lobby.pending] == [Reached, Reached]


def test_one_that_waits_for_redis_looks_around_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the server stops, which is to take no second, or the client has gone."""
    plane, looks, waits = backplane(), list[Session](), list[float]()

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return len(waits) == 3

    monkeypatch.setattr(plane, "look_around", lambda session, client: looks.append(session))
    Requests(plane)._wait_for(plane.session, cast(Any, None), cast(Any, SimpleNamespace(wait=wait)))
    assert looks == [plane.session] * 2 and 0 < min(waits) <= max(waits) < 0.25
