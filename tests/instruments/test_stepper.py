"""The stepper: it finds races, always the same way, and shows code to be free of them."""

from __future__ import annotations

import html.parser
import linecache
import queue
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock as ImportedLock
from typing import Any

import pytest

from labkit.instruments import stepper
from labkit.instruments.stepper import Exploration, explore, lines, replay
from labkit.instruments.stepper import play as playing
from labkit.instruments.stepper.snapshot import parts

QUICK = 15.0
"""Seconds of processor time that a search may take."""


# --- six races, as students write them, and mended ---


class Room:
    """The two lists of the assignment."""

    def __init__(self) -> None:
        self.clients = ["socket 1", "socket 2", "socket 3"]
        self.nicknames = ["alice", "bob", "carol"]
        self.lock = threading.Lock()


def first_leaves(room: Room) -> None:
    index = room.clients.index("socket 1")
    room.clients.remove("socket 1")
    room.nicknames.pop(index)


def second_leaves(room: Room) -> None:
    index = room.clients.index("socket 2")
    room.clients.remove("socket 2")
    room.nicknames.pop(index)


def first_leaves_locked(room: Room) -> None:
    with room.lock:
        index = room.clients.index("socket 1")
        room.clients.remove("socket 1")
        room.nicknames.pop(index)


def second_leaves_locked(room: Room) -> None:
    with room.lock:
        index = room.clients.index("socket 2")
        room.clients.remove("socket 2")
        room.nicknames.pop(index)


def only_carol_is_left(room: Room) -> None:
    assert room.nicknames == ["carol"], f"carol is here, but the list says {room.nicknames}"


@dataclass
class Counter:
    count: int = 0
    lock: Any = field(default_factory=lambda: threading.Lock())


def add_one(state: Counter) -> None:
    n = state.count
    state.count = n + 1


def add_one_locked(state: Counter) -> None:
    with state.lock:
        n = state.count
        state.count = n + 1


def both_are_counted(state: Counter) -> bool:
    return state.count == 2


@dataclass
class Audience:
    clients: list[str] = field(default_factory=lambda: ["alice", "bob", "carol"])
    heard: list[str] = field(default_factory=list)
    lock: Any = field(default_factory=lambda: threading.Lock())


def broadcast(audience: Audience) -> None:
    for client in audience.clients:
        audience.heard.append(client)


def broadcast_to_a_copy(audience: Audience) -> None:
    for client in list(audience.clients):
        audience.heard.append(client)


def alice_leaves(audience: Audience) -> None:
    audience.clients.remove("alice")


def who_stays_hears(audience: Audience) -> None:
    for client in ("bob", "carol"):
        assert client in audience.heard, f"{client} was here all the time, and heard nothing"


@dataclass
class Names:
    taken: list[str] = field(default_factory=list)
    lock: Any = field(default_factory=lambda: threading.Lock())


def claim(names: Names) -> None:
    if "neo" not in names.taken:
        names.taken.append("neo")


def claim_locked(names: Names) -> None:
    with names.lock:
        if "neo" not in names.taken:
            names.taken.append("neo")


def one_neo(names: Names) -> bool:
    return names.taken.count("neo") == 1


class Chat:
    """`leave` tells the others, under the lock that it holds."""

    def __init__(self, lock: Any) -> None:
        self.lock = lock
        self.said: list[str] = []

    def say(self, text: str) -> None:
        with self.lock:
            self.said.append(text)

    def leave(self) -> None:
        with self.lock:
            self.say("bye")


def leave(chat: Chat) -> None:
    chat.leave()


def say(chat: Chat) -> None:
    chat.say("hello")


class Rooms:
    def __init__(self) -> None:
        self.lobby = threading.Lock()
        self.library = threading.Lock()
        self.log: list[str] = []


def to_the_library(rooms: Rooms) -> None:
    with rooms.lobby:
        with rooms.library:
            rooms.log.append("to the library")


def to_the_lobby(rooms: Rooms) -> None:
    with rooms.library:
        with rooms.lobby:
            rooms.log.append("to the lobby")


def to_the_lobby_in_the_same_order(rooms: Rooms) -> None:
    with rooms.lobby:
        with rooms.library:
            rooms.log.append("to the lobby")


Case = tuple[Callable[[], Any], dict[str, Callable[[Any], None]], Callable[[Any], object] | None]

WRONG: dict[str, tuple[Case, str]] = {
    "two lists": (
        (Room, {"alice": first_leaves, "bob": second_leaves}, only_carol_is_left),
        "carol is here, but the list says ['bob']",
    ),
    "lost update": (
        (Counter, {"alice": add_one, "bob": add_one}, both_are_counted),
        "both_are_counted does not hold: count=1, lock=<free lock>",
    ),
    "live list": (
        (Audience, {"bob": broadcast, "alice": alice_leaves}, who_stays_hears),
        "bob was here all the time, and heard nothing",
    ),
    "one nickname": (
        (Names, {"alice": claim, "bob": claim}, one_neo),
        "one_neo does not hold: taken=['neo', 'neo'], lock=<free lock>",
    ),
    "lock taken twice": (
        (lambda: Chat(threading.Lock()), {"alice": leave, "bob": say}, None),
        "deadlock: alice waits for a lock that alice herself holds (lock), at line N; "
        "bob waits for a lock that alice holds (lock), at line N",
    ),
    "two orders": (
        (Rooms, {"alice": to_the_library, "bob": to_the_lobby}, None),
        "deadlock: alice waits for a lock that bob holds (library), at line N; "
        "bob waits for a lock that alice holds (lobby), at line N",
    ),
}

RIGHT: dict[str, Case] = {
    "two lists": (Room, {"alice": first_leaves_locked, "bob": second_leaves_locked}, only_carol_is_left),
    "lost update": (Counter, {"alice": add_one_locked, "bob": add_one_locked}, both_are_counted),
    "live list": (Audience, {"bob": broadcast_to_a_copy, "alice": alice_leaves}, who_stays_hears),
    "one nickname": (Names, {"alice": claim_locked, "bob": claim_locked}, one_neo),
    "lock taken twice": (lambda: Chat(threading.RLock()), {"alice": leave, "bob": say}, None),
    "two orders": (Rooms, {"alice": to_the_library, "bob": to_the_lobby_in_the_same_order}, None),
}


def without_numbers(why: str) -> str:
    return re.sub(r"line \d+", "line N", why)


def switches(found: Exploration) -> int:
    """How often the table changes from one column to another."""
    assert found.schedule
    return sum(a != b for a, b in zip(found.schedule, found.schedule[1:], strict=False))


@pytest.mark.parametrize("race", WRONG)
def test_a_race_is_found(race: str) -> None:
    """In time, with the reason, and a schedule that goes to and fro twice at most."""
    case, why = WRONG[race]
    began = time.process_time()
    found = explore(*case)
    assert time.process_time() - began < QUICK
    assert found.found and without_numbers(found.why) == why
    assert switches(found) <= 3 and len(found.schedule or ()) <= 12
    assert found.why in str(found)


@pytest.mark.parametrize("race", RIGHT)
def test_the_corrected_code_is_free_of_it(race: str) -> None:
    """All schedules are tried, and none breaks."""
    result = explore(*RIGHT[race], switches=20)
    assert not result.found and result.complete and result.tried > 1
    assert str(result) == f"{result.tried} schedules tried, all that there are: nothing breaks"


@pytest.mark.parametrize("race", WRONG)
def test_the_same_schedule_goes_the_same_way(race: str) -> None:
    """Twenty replays of the same schedule are equal to the letter; so are two searches."""
    case, _ = WRONG[race]
    found, again = explore(*case), explore(*case)
    assert found.schedule and (found.schedule, str(found)) == (again.schedule, str(again))
    assert {str(replay(*case[:2], found.schedule, case[2])) for _ in range(20)} == {str(found.run)}


# --- what is shown ---


def test_the_table() -> None:
    """A column for each thread, its line and its new local values, the state after it, and the verdict."""
    table = str(explore(lambda: {"count": 0}, {"alice": take, "bob": take}, lambda s: s["count"] == 2).run)
    assert re.sub(r"\d\d\d", "NNN", table).splitlines() == [
        "   alice                       bob                           state (▸ changed)",
        "─  ──────────────────────────  ──────────────────────────  ───────────────────",
        "                                                             count=0",
        '1  NNN n = state["count"]                                    count=0',
        "       → n = 0",
        '2                              NNN n = state["count"]        count=0',
        "                                   → n = 0",
        '3                              NNN state["count"] = n + 1  ▸ count=1',
        '4  NNN state["count"] = n + 1                                count=1',
        "",
        "✗ the invariant does not hold: count=1",
    ]


def take(state: dict[str, int]) -> None:
    n = state["count"]
    state["count"] = n + 1


def test_steps_can_be_read_by_a_program() -> None:
    """Thread, line, source, and the state after it."""
    run = replay(lambda: {"count": 0}, [take, take], [0, 0, 1, 1])
    first = take.__code__.co_firstlineno
    assert [(s.thread, s.line - first, s.source, s.state) for s in run.steps] == [
        ("take 1", 1, 'n = state["count"]', "count=0"),
        ("take 1", 2, 'state["count"] = n + 1', "count=1"),
        ("take 2", 1, 'n = state["count"]', "count=1"),
        ("take 2", 2, 'state["count"] = n + 1', "count=2"),
    ]
    assert run.why == "" and run.schedule == ("take 1", "take 1", "take 2", "take 2")
    assert str(run).endswith("✓ nothing breaks")


def test_a_schedule_can_be_pasted() -> None:
    """Its repr is Python, and replays the same."""
    case, _ = WRONG["two lists"]
    found = explore(*case)
    pasted = eval(repr(found.schedule))
    assert str(replay(*case[:2], pasted, case[2])) == str(found.run)


class Tags(html.parser.HTMLParser):
    """The names of all tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.names.add(tag)


def test_no_html_gets_into_the_table() -> None:
    """Names, lines, states, local values, reasons: all are text."""
    evil = "<img/src=x/onerror=alert(1)>"

    def fail(state: list[str]) -> None:
        state.append("<img src=y>")
        raise ValueError(evil)

    result = explore(lambda: [evil], {evil: fail, "<script>": fail})
    assert result.found and result.run
    for shown in (result._repr_html_(), result.run._repr_html_(), result.slider()._shown.value):
        assert not {"img", "script"} & Tags(shown).names
    assert "&lt;img" in result._repr_html_()


def test_html_says_the_same() -> None:
    """Every line, every state and the verdict are in it; where nothing breaks, one sentence."""
    shown = explore(lambda: {"count": 0}, [take, take], lambda s: s["count"] == 2)._repr_html_()
    for text in (
        "take 1",
        "take 2",
        "state[&quot;count&quot;] = n + 1",
        "n = 0",
        "count=1",
        "✗ the",
    ):
        assert text in shown
    assert "nothing breaks" in explore(lambda: {"count": 0}, [take, take])._repr_html_()


def test_the_slider_walks_through_the_steps() -> None:
    """It says where each thread stands, marks that line, and ends with the verdict."""
    panel = explore(lambda: {"count": 0}, {"alice": take, "bob": take}, lambda s: s["count"] == 2).slider()
    assert panel.value == 0 and "bob has not begun" in repr(panel)
    panel.value = 1
    assert re.sub(r"\d\d+", "NN", repr(panel)).splitlines() == [
        "after 1 of 4 steps: count=0",
        '  alice stands, NN: state["count"] = n + 1',
        '  bob goes on now, NN: n = state["count"]',
    ]
    assert panel._shown.value.count('class="stands"') == 2
    panel._on.click()
    assert panel.value == 2
    panel.value = 4
    assert repr(panel).endswith("alice has ended\n  bob has ended\n✗ the invariant does not hold: count=1")
    assert panel._on.disabled and "✗ the invariant" in panel._shown.value
    with pytest.raises(ValueError, match="0 to 4 steps, not 5"):
        panel.value = 5
    assert explore(lambda: {"count": 0}, [take, take]).run is None


def test_a_slider_at_a_deadlock_shows_the_waiting_threads() -> None:
    """Both stand where they wait."""
    case, _ = WRONG["two orders"]
    panel = explore(*case).slider()
    panel.value = len(panel.run.steps)
    assert "alice waits: bob holds it" in repr(panel) and "bob waits: alice holds it" in repr(panel)


def test_the_state_as_text() -> None:
    """Short, the same for the same state, with locks and without addresses."""
    held = stepper.Lock()
    held.acquire()

    class Plain:
        def __init__(self) -> None:
            self.name = "x" * 100
            self.people = {"b", "a"}
            self.locks = [stepper.Lock(), held]
            self.more = object()

    assert parts(Plain()) == (
        "name='xxxxxxxxxxxxxxxxx...xxxxxxxxxxxxxxxxxx'",
        "people={'a', 'b'}",
        "locks=[<free lock>, <lock held by MainThread>]",
        "more=<object>",
    )
    assert parts(list(range(20))) == ("[0, 1, 2, 3, 4, 5, 6, 7, …]",)
    assert parts(None) == ()


def test_a_state_can_be_shown_in_your_own_way() -> None:
    """`show` makes the text."""
    run = replay(lambda: {"count": 0}, [take, take], [0] * 2 + [1] * 2, show=lambda s: f"<{s['count']}>")
    assert [step.state for step in run.steps] == ["<0>", "<1>", "<1>", "<2>"]


def test_a_repr_that_takes_the_lock_does_no_harm() -> None:
    """It cannot wait, and its lines are no steps."""

    class Shy:
        def __init__(self) -> None:
            self.lock = threading.Lock()

        def __repr__(self) -> str:
            with self.lock:
                return "shy"

    def work(state: list[Shy]) -> None:
        with state[0].lock:
            state.append(Shy())

    run = explore(lambda: [Shy()], [work, work], lambda state: len(state) < 3).run
    assert run and {step.source for step in run.steps} == {
        "with state[0].lock:",
        "state.append(Shy())",
        "end of with state[0].lock:",
        "self.lock = threading.Lock()",
    }


# --- what else can break ---


def test_an_exception_in_a_worker() -> None:
    """Which, in which worker, at which line; also where no other worker is needed for it."""

    def divide(state: list[int]) -> None:
        state[0] // state[1]

    found = explore(lambda: [1, 0], {"alice": divide, "bob": lambda _: None})
    line = divide.__code__.co_firstlineno + 1
    assert found.why == (
        f"alice fails with ZeroDivisionError: integer division or modulo by zero, "
        f"at line {line}: state[0] // state[1]"
    )
    assert found.run and found.run.steps[-1].note == "fails: ZeroDivisionError"


def test_an_exit_is_an_exception_too() -> None:
    """`sys.exit()` in a thread ends that thread alone, and silently."""
    found = explore(list, {"alice": lambda _: sys.exit(3), "bob": len})
    assert found.why.startswith("alice fails with SystemExit: 3, at line")


def test_an_endless_loop() -> None:
    """It is stopped and reported, and the thread ends, though it catches everything."""

    def for_ever(state: list[int]) -> None:
        while True:
            try:
                state.append(1)
                state.clear()
            except:  # noqa: E722  # as students do
                pass

    began = time.process_time()
    found = explore(list, {"alice": for_ever, "bob": lambda _: None})
    assert found.why.startswith("alice goes on and on: 2000 lines and no end, at line")
    assert "more steps …" in str(found)
    assert time.process_time() - began < QUICK


def test_waiting_in_a_loop_is_no_endless_loop() -> None:
    """A worker that goes round and round is stopped for another that can go on."""

    def wait(state: dict[str, bool]) -> None:
        while not state["ready"]:
            pass

    def make_ready(state: dict[str, bool]) -> None:
        state["ready"] = True

    assert not explore(lambda: {"ready": False}, [wait, make_ready], schedules=200).found


def test_a_flag_is_not_a_lock() -> None:
    """Two workers that wait in a loop for a flag can both come through."""

    def enter(state: dict[str, Any]) -> None:
        while state["busy"]:
            pass
        state["busy"] = True
        state["inside"] += 1
        assert state["inside"] == 1, "two are inside"
        state["inside"] -= 1
        state["busy"] = False

    found = explore(lambda: {"busy": False, "inside": 0}, {"alice": enter, "bob": enter})
    assert "two are inside" in found.why


def test_waiting_for_something_unknown() -> None:
    """A `recv` without an answer is reported, with its line; the thread ends when its wait does."""
    sockets: list[socket.socket] = []

    def setup() -> socket.socket:
        one, other = socket.socketpair()
        sockets.extend((one, other))
        return one

    def receive(sock: socket.socket) -> None:
        sock.recv(1)

    found = explore(setup, {"alice": receive, "bob": lambda _: None})
    line = receive.__code__.co_firstlineno + 1
    assert found.why == (
        f"alice waits for something that the stepper does not know, at line {line}: sock.recv(1)"
    )
    for sock in sockets:
        sock.close() if sock.fileno() < 0 else sock.shutdown(socket.SHUT_RDWR)
    for thread in threading.enumerate():
        if thread.name.startswith("labkit-stepper"):
            thread.join(QUICK)
    for sock in sockets:
        sock.close()


def test_a_lock_that_is_never_released() -> None:
    """A worker that has ended and still holds it is named; also where only the invariant wants it."""

    def keep(lock: Any) -> None:
        lock.acquire()

    found = explore(lambda: threading.Lock(), {"alice": keep, "bob": keep})
    assert "bob waits for a lock that alice, who has ended, still holds, at line" in found.why

    def wants_the_lock(lock: Any) -> None:
        with lock:
            pass

    found = explore(lambda: threading.Lock(), {"alice": keep, "bob": lambda _: None}, wants_the_lock)
    assert found.why == "the invariant fails with StillHeld: a lock was never released: alice holds it"


def test_a_broken_schedule_ends_every_thread_and_runs_its_finally() -> None:
    """`finally` and `with` of a stopped worker run, also where there is a lock."""
    ended: list[str] = []

    def hold(state: dict[str, Any]) -> None:
        try:
            with state["a"]:
                with state["b"]:
                    pass
        finally:
            ended.append("hold")

    def hold_the_other_way(state: dict[str, Any]) -> None:
        try:
            with state["b"]:
                with state["a"]:
                    pass
        finally:
            ended.append("hold the other way")

    assert replay(
        lambda: {"a": threading.Lock(), "b": threading.Lock()},
        [hold, hold_the_other_way],
        [0, 0, 1, 1, 1, 0],
    ).why.startswith("deadlock")
    assert sorted(ended) == ["hold", "hold the other way"]


def test_a_thread_that_hangs_in_its_finally_is_left_behind() -> None:
    """The search does not wait for it for long, and plays the other schedules."""
    one, other = socket.socketpair()

    def fail(sock: socket.socket) -> None:
        sock.send(b".")
        raise KeyError

    def wait(sock: socket.socket) -> None:
        try:
            sock.send(b".")
            sock.send(b".")
        finally:
            sock.recv(100)
            sock.recv(100)

    found = replay(lambda: one, {"alice": fail, "bob": wait}, [1, 1, 0, 0])
    assert found.why.startswith("alice fails with KeyError")
    assert explore(Counter, [add_one, add_one], both_are_counted).found
    with one, other:
        one.shutdown(socket.SHUT_RDWR)
        for thread in threading.enumerate():
            if thread.name.startswith("labkit-stepper"):
                thread.join(QUICK)


# --- more than two, and other kinds of code ---


def test_three_workers() -> None:
    """Three threads, three columns; the corrected code has no race."""
    three = {"alice": add_one, "bob": add_one, "carol": add_one}
    found = explore(Counter, three, lambda s: s.count == 3)
    assert found.found and len(str(found).splitlines()[2].split()) == 6
    safe = explore(
        Counter, dict.fromkeys(three, add_one_locked), lambda s: s.count == 3, switches=30, seconds=20
    )
    assert safe.complete and not safe.found


def test_every_switch_counts() -> None:
    """What needs three switches is not found with two; and the words say that two were tried."""

    def sandwich(state: dict[str, int]) -> None:
        state["x"] = 1
        state["y"] = state["x"]
        state["z"] = state["x"]

    def disturb(state: dict[str, int]) -> None:
        state["x"] = 2
        state["w"] = state["x"]
        state["x"] = 3

    def tidy(state: dict[str, int]) -> bool:
        return (state.get("y"), state.get("z")) != (2, 3)

    two = explore(dict, [sandwich, disturb], tidy, switches=2)
    assert not two.found and not two.complete
    assert str(two) == f"{two.tried} schedules tried, all with at most 2 switches: nothing breaks"
    assert explore(dict, [sandwich, disturb], tidy, switches=3).found


def test_limits() -> None:
    """Of schedules and of time: it says that there are more."""
    few = explore(Counter, [add_one, add_one], schedules=2)
    assert str(few) == "2 schedules tried, and there are more (that is the limit): nothing breaks so far"
    assert not few.complete
    assert explore(Counter, [add_one, add_one], seconds=0).tried == 1


def test_every_order_is_tried_once() -> None:
    """Two workers of three lines each can be interleaved in 20 ways."""

    def write(name: str) -> Callable[[list[str]], None]:
        def lines(log: list[str]) -> None:
            log.append(name)
            log.append(name)
            log.append(name)

        return lines

    seen: list[str] = []
    result = explore(
        list, {"a": write("a"), "b": write("b")}, lambda log: seen.append("".join(log)), switches=9
    )
    assert result.complete and result.tried == len(seen) == len(set(seen)) == 20


def outcomes(case: Case) -> set[str]:
    """All states that a case can end in, by its schedules."""
    seen: set[str] = set()

    def judge(state: Any) -> None:
        seen.add(repr(parts(state)))

    assert explore(case[0], case[1], judge, switches=99, seconds=20).complete
    return seen


def test_what_is_left_out_makes_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Schedules that count as equal are equal: with all of them, the same states come out."""

    def work(state: dict[str, Any]) -> None:
        with state["lock"]:
            mine = state["x"]
            here = mine
        state["x"] = here + 1
        with state["lock"]:
            state["log"] += str(here)

    case: Case = (
        lambda: {"lock": threading.Lock(), "x": 0, "log": ""},
        {"alice": work, "bob": work},
        None,
    )
    few = outcomes(case)
    monkeypatch.setattr(lines, "_TAKES_A_LOCK", re.compile("(?!)"))
    monkeypatch.setattr(lines, "_QUIET_NAMES", re.compile("(?!)"))
    assert outcomes(case) == few and len(few) > 2


def test_code_made_from_text() -> None:
    """It is the user's; its source is shown where there is one, else its line numbers."""
    text = "def add(state):\n    n = state[0]\n    state[0] = n + 1\n"
    names: dict[str, Any] = {}
    exec(compile(text, "<answer>", "exec"), names)
    found = explore(lambda: [0], [names["add"], names["add"]], lambda state: state == [2])
    assert found.found and "line 2" in str(found)
    linecache.cache["<answer>"] = (len(text), None, text.splitlines(True), "<answer>")
    try:
        assert "state[0] = n + 1" in str(explore(lambda: [0], [names["add"]] * 2, lambda s: s == [2]))
    finally:
        del linecache.cache["<answer>"]


def test_cells_of_a_notebook() -> None:
    """Each is a file of its own, and they share their globals: also a lock made in one of them."""
    cells = {
        "<cell 1>": "import threading\nfrom threading import RLock\nlock = threading.Lock()\n",
        "<cell 2>": "def add(state):\n    with lock:\n        n = state[0]\n        state[0] = more(n)\n",
        "<cell 3>": "def more(n):\n    with RLock():\n        return n + 1\n",
    }
    names: dict[str, Any] = {"__name__": "__main__"}
    for file, text in cells.items():
        exec(compile(text, file, "exec"), names)
    real = names["lock"], names["RLock"]
    result = explore(lambda: [0], [names["add"], names["add"]], lambda state: state == [2])
    assert result.complete and not result.found
    assert (names["lock"], names["RLock"]) == real
    run = replay(lambda: [0], [names["add"]] * 2, [0] * 7 + [1] * 7)
    assert {step.place.file for step in run.steps} == {"<cell 2>", "<cell 3>"}


@dataclass
class Point:
    x: list[str]


def test_lines_of_libraries_are_no_steps() -> None:
    """Nor are comprehensions steps of their own, nor what a dataclass writes by itself."""

    def work(state: list[Any]) -> None:
        state.extend(Point([name for name in ("a", "b")]) for _ in range(2))
        state.append(re.compile("[ab]c").match("ac"))

    run = replay(list, [work, work], [0, 0, 1, 1])
    assert [step.line - work.__code__.co_firstlineno for step in run.steps] == [1, 2, 1, 2]


def test_names_that_functions_share() -> None:
    """Local names of an outer function keep what the others put there."""
    count = 0

    def add() -> None:
        nonlocal count
        n = count
        count = n + 1

    def setup() -> None:
        nonlocal count
        count = 0

    assert not explore(setup, {"alice": lambda _: add(), "bob": lambda _: None}, lambda _: count == 1).found
    counts: set[int] = set()
    result = explore(
        setup, [lambda _: add(), lambda _: add()], lambda _: counts.add(count), switches=99, seconds=20
    )
    assert not result.found and counts == {1, 2}


def test_import_is_cheap() -> None:
    """Without a slider no widgets are loaded."""
    script = "import sys, labkit.instruments.stepper; print('ipywidgets' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# --- locks ---


def test_an_rlock_can_be_taken_again() -> None:
    """By its holder; another waits until it was released as often."""

    def twice(state: dict[str, Any]) -> None:
        with state["lock"]:
            state["lock"].acquire()
            state["x"] += 1
            state["lock"].release()
            assert repr(state["lock"]).startswith("<lock held by")

    result = explore(lambda: {"lock": threading.RLock(), "x": 0}, [twice, twice], switches=99)
    assert result.complete and not result.found


def test_a_lock_is_a_real_one_afterwards() -> None:
    """What was made under the stepper works outside: two threads, one lock, one at a time."""
    made: list[Any] = []

    def setup() -> Any:
        made.append(threading.Lock())
        made.append(threading.RLock())
        return None

    explore(setup, [lambda _: None, lambda _: None])
    for lock in made[:2]:
        assert isinstance(lock, stepper.Lock) and lock.acquire()
        got: list[bool] = []
        other = threading.Thread(target=lambda lock=lock, got=got: got.append(lock.acquire(timeout=0.01)))
        other.start()
        other.join()
        lock.release()
        assert got == [False] and repr(lock) == "<free lock>"
        with pytest.raises(RuntimeError):
            lock.release()


def test_other_threads_get_real_locks_meanwhile() -> None:
    """A server that runs in the same process is left alone."""
    ask, answer = queue.SimpleQueue[None](), queue.SimpleQueue[Any]()

    def elsewhere() -> None:
        ask.get(timeout=QUICK)
        answer.put((threading.Lock(), threading.RLock(), threading.Condition()))

    other = threading.Thread(target=elsewhere)
    other.start()
    kinds: list[Any] = []

    def work(_: object) -> None:
        kinds.append(type(threading.Lock()))

    def setup() -> None:
        if not kinds:
            ask.put(None)
            kinds.append(answer.get(timeout=QUICK))
            kinds.append(type(ImportedLock()))

    before = threading.Lock, threading.RLock, ImportedLock
    explore(setup, [work, work])
    other.join()
    lock, rlock, condition = kinds[0]
    assert type(lock) is type(before[0]()) and type(rlock) is type(before[1]())
    assert type(condition._lock) is type(rlock)
    assert set(kinds[1:]) == {stepper.Lock}
    assert (threading.Lock, threading.RLock, ImportedLock) == before


def test_time_runs_out_only_when_no_worker_can_go_on() -> None:
    """`acquire(timeout=…)` gives up then, at once, and `acquire(False)` never waits."""

    def one_way(state: dict[str, Any]) -> None:
        with state["a"]:
            if state["b"].acquire(timeout=3600):
                state["b"].release()
            else:
                state["gave up"] = True

    def other_way(state: dict[str, Any]) -> None:
        with state["b"]:
            if state["a"].acquire(False):
                state["a"].release()
            with state["a"]:
                pass

    def setup() -> dict[str, Any]:
        return {"a": threading.Lock(), "b": threading.Lock()}

    assert not explore(setup, [one_way, other_way], switches=99).found
    assert explore(setup, [one_way, other_way], lambda state: "gave up" not in state).found


def test_a_queue_is_known() -> None:
    """What is built on locks in Python works: one worker waits until the other has put something in."""

    def put(state: Any) -> None:
        state.put("a line")

    def get(state: Any) -> None:
        assert state.get() == "a line"

    result = explore(queue.Queue, [get, put], switches=99, seconds=20)
    assert result.complete and not result.found
    assert "to be woken, and nobody is left to do it" in explore(queue.Queue, [get, get]).why


def test_a_worker_may_start_a_thread() -> None:
    """The stepper does not lead it; to start it and to wait for its end is one step each."""

    def spawn(state: list[int]) -> None:
        other = threading.Thread(target=lambda: state.append(1))
        other.start()
        other.join()

    result = explore(list, [spawn, spawn], lambda state: len(state) == 2)
    assert not result.found and result.tried > 2


# --- wrong use ---


def test_a_schedule_that_does_not_fit_is_refused() -> None:
    """Too short, too long, a worker that has ended, an unknown name: the error says which."""

    def play(*schedule: str | int) -> None:
        replay(Counter, {"alice": add_one, "bob": add_one}, schedule)

    play("alice", "alice", 1, 1)
    with pytest.raises(ValueError, match="ends after step 3, and bob has not ended"):
        play("alice", "alice", "bob")
    with pytest.raises(ValueError, match="has 5 steps, and after 4 all is over"):
        play("alice", "alice", "bob", "bob", "bob")
    with pytest.raises(ValueError, match="at step 3 it lets alice go on, who has ended"):
        play("alice", "alice", "alice", "bob", "bob")
    with pytest.raises(ValueError, match="nobody here is called 'dave', only alice, bob"):
        play("dave")
    with pytest.raises(ValueError, match="nobody here is called 2"):
        play(2)
    with pytest.raises(ValueError, match="ends after step 0"):
        play()
    with pytest.raises(ValueError, match="at step 3 it lets bob go on, who waits for a lock"):
        replay(Counter, {"alice": add_one_locked, "bob": add_one_locked}, ["alice", "bob", "bob"])


def test_wrong_arguments_are_named() -> None:
    """How many workers are needed, and what a limit may be."""
    with pytest.raises(ValueError, match="two or three workers are needed, not 1"):
        explore(Counter, [add_one])
    with pytest.raises(ValueError, match="a worker is a function"):
        explore(Counter, {"alice": add_one, "bob": 3})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="switches: 0 or more is needed, not -1"):
        explore(Counter, [add_one, add_one], switches=-1)
    with pytest.raises(ValueError, match="setup is a function"):
        explore([], [add_one, add_one])  # type: ignore[arg-type]


def test_a_setup_that_leaves_something_is_found_out() -> None:
    """Schedules can only be compared if each begins with the same state."""
    log: list[int] = []

    def work(state: list[int]) -> None:
        if not state:
            state.append(1)
            state.append(2)

    with pytest.raises(ValueError, match="setup must make everything anew"):
        explore(lambda: log, [work, work])


def test_an_error_in_setup_is_the_callers() -> None:
    """It goes on to the caller, and everything is as it was."""
    before = threading.Lock
    with pytest.raises(KeyError):
        explore(lambda: dict[str, int]()["x"], [add_one, add_one])
    assert threading.Lock is before


def test_an_interrupt_ends_everything() -> None:
    """Ctrl-C while a schedule is played: threads end, and the locks are real again."""
    before = threading.Lock

    class Interrupted(playing.Play):
        def _watch(self) -> None:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("labkit.instruments.stepper.searching.Play", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            explore(Counter, [add_one, add_one])
    assert threading.Lock is before
    assert explore(Counter, [add_one, add_one]).complete


def test_a_debugger_of_the_callers_stays() -> None:
    """Its trace function is the same afterwards, in the caller's thread and for new ones."""

    def trace(*_: object) -> None:
        return None

    before, for_threads = sys.gettrace(), threading.gettrace()
    sys.settrace(trace)
    threading.settrace(trace)
    try:
        assert explore(Counter, [add_one, add_one], both_are_counted).found
        after = sys.gettrace(), threading.gettrace()
    finally:
        sys.settrace(before)
        threading.settrace(for_threads)
    assert after == (trace, trace)


def test_threads_have_names_and_none_is_left() -> None:
    """`labkit-stepper-…`, while it lasts."""
    seen: set[str] = set()

    def work(_: object) -> None:
        seen.add(threading.current_thread().name)

    explore(lambda: None, {"alice": work, "bob": work})
    assert seen == {"labkit-stepper-alice", "labkit-stepper-bob"}
    assert not [t for t in threading.enumerate() if t.name.startswith("labkit-stepper")]


def test_nothing_is_written(capfd: pytest.CaptureFixture[str]) -> None:
    """Neither for what breaks, nor for what does not."""
    for case, _ in WRONG.values():
        explore(*case)
    assert capfd.readouterr() == ("", "")
