"""child.py in this process: what it reports of code that is right, wrong, stuck, or does not load."""

from __future__ import annotations

import io
import json
import os
import pickle
import socket
import sys
import threading
from collections.abc import Iterator
from time import monotonic
from types import SimpleNamespace
from typing import Any, cast

import cloudpickle
import pytest
from support import SOON
from watched import takes

from labkit.exercises import exercise_called
from labkit.exercises.bench.bench import Bench
from labkit.exercises.exercise import Step
from labkit.exercises.general_hints import BUSY, WAITING
from labkit.exercises.grading import child
from labkit.exercises.grading.child import LONGEST, STUCK, Attempt, NameMissing, Reports, Watchdog
from labkit.exercises.grading.clock import Clock, ClockFace
from labkit.probe import deadline
from labkit.probe.failed import CheckFailed
from labkit.probe.patience import Patience

FRAMING = exercise_called("framing")
Report = dict[str, Any]


class OwnClock:
    """The clock of this process, where `Attempt` finds it."""

    def __init__(self) -> None:
        self.face = ClockFace()
        self.patience = Patience((os.getpid(),), self.face.show)

    def stop(self) -> None:
        self.patience.stop()
        self.face.close()


class Kept(Reports):
    """Reports that are kept here."""

    def __init__(self) -> None:
        self.kept: list[Report] = []

    def send(self, **report: Any) -> None:
        self.kept.append(json.loads(json.dumps(report)))


def job(source: str, wants: str = "Thing", pickled: bytes | None = None, seconds: float = SOON) -> Report:
    return {
        "exercise": "framing",
        "step_seconds": seconds,
        "sources": {},
        "path": sys.path[:],
        "pickled": pickled,
        "filename": "/nowhere/mine.py",
        "source": source,
        "wants": wants,
        "sign": "s",
        "clock": own_clock(),
    }


def does(run: Any) -> Step:
    return cast(Step, SimpleNamespace(run=run))


def tried(source: str, *runs: Any, pickled: bytes | None = None) -> tuple[list[Report], Attempt]:
    """What is reported when these steps are tried on this code, which must have `Thing`."""
    reports = Kept()
    attempt = Attempt(job(source, pickled=pickled), reports)
    attempt.exercise = cast(Any, SimpleNamespace(wants="Thing", steps=[does(run) for run in runs]))
    attempt.run()
    assert reports.kept.pop(0) == {"state": "ready"}
    return reports.kept, attempt


CLOCKS: list[OwnClock] = []


def own_clock() -> str:
    """Where a new one is found; it runs until the test is over."""
    CLOCKS.append(OwnClock())
    return CLOCKS[-1].face.path


@pytest.fixture(autouse=True)
def no_hook() -> Iterator[None]:
    """What threads die of is remembered by the child alone, and only it counts by that clock."""
    hook = threading.excepthook
    child._deaths.clear()
    threading.excepthook = child.remember_death
    yield
    deadline.count_by(None)
    while CLOCKS:
        CLOCKS.pop().stop()
    threading.excepthook = hook
    child._deaths.clear()


THING = "class Thing: pass\n"


def nothing(bench: Bench) -> None:
    pass


# --- what is reported ---


def test_each_step_begins_and_holds() -> None:
    """In order; a right answer leaves no more to say."""
    reports, _ = tried(THING, nothing, nothing)
    assert reports == [
        {"state": "began", "step": 0},
        {"state": "held", "step": 0},
        {"state": "began", "step": 1},
        {"state": "held", "step": 1},
    ]


def test_the_code_is_loaded_anew_for_each_step() -> None:
    """Once for the first, and once more for each that follows."""
    seen: list[object] = []
    tried(THING, *[lambda bench: seen.append(bench.code)] * 3)
    assert len({id(code) for code in seen}) == 3


@pytest.mark.parametrize(
    ("raises", "expected", "seen", "clue"),
    [
        (CheckFailed("this", "that", "hint"), "this", "that", "hint"),
        (SystemExit(3), "no end of the program", "your code called sys.exit()", "exit"),
        (ValueError("too many"), "no exception", "ValueError: too many", "ValueError"),
        (KeyboardInterrupt(), "no exception", "KeyboardInterrupt", "KeyboardInterrupt"),
    ],
)
def test_a_step_that_fails(raises: BaseException, expected: str, seen: str, clue: str) -> None:
    """What was expected and what was seen; nothing is tried after it."""

    def fails(bench: Bench) -> None:
        bench.journal.record("said", "alice", "hi", "lobby")
        raise raises

    reports, attempt = tried(THING, nothing, fails, nothing)
    *before, last = reports
    assert before[-1] == {"state": "began", "step": 1} and len(before) == 3
    assert (last["state"], last["expected"], last["clue"]) == ("failed", expected, clue)
    assert last["seen"].startswith(seen)
    assert last["events"] == [["said", "alice", "hi", "lobby"]]
    assert last["deaths"] == [] and "at" in last


def test_the_bench_is_closed_however_a_step_ends() -> None:
    """Of a step that holds, and of one that does not."""
    closed: list[Bench] = []

    def watch(bench: Bench) -> None:
        close = bench.close
        bench.close = lambda: (closed.append(bench), close())[1]  # type: ignore[method-assign, func-returns-value]
        if closed:
            raise CheckFailed("a", "b")

    tried(THING, watch, watch)
    assert len(closed) == 2


def die(bench: Bench) -> None:
    def dies() -> None:
        raise ValueError("in a thread")

    thread = threading.Thread(target=dies)
    thread.start()
    thread.join()


def test_a_thread_that_dies_is_told_at_the_end() -> None:
    """Whichever step it belonged to, the first of them."""
    reports, _ = tried(THING, die, nothing)
    assert [report["state"] for report in reports] == ["began", "held", "began", "failed"]
    assert reports[-1]["expected"] == "no thread of your code to die"
    assert reports[-1]["seen"].startswith("ValueError: in a thread")
    assert reports[-1]["clue"] == "died" and reports[-1]["deaths"] == []


def test_what_a_thread_died_of_stands_beside_another_failure() -> None:
    """But not twice, if that is the failure."""

    def both(bench: Bench) -> None:
        die(bench)
        raise CheckFailed("a", "b")

    reports, _ = tried(THING, both)
    (death,) = reports[-1]["deaths"]
    assert death.startswith("ValueError: in a thread") and reports[-1]["seen"] == "b"

    def same(bench: Bench) -> None:
        die(bench)
        raise CheckFailed("a", death)

    reports, _ = tried(THING, same)
    assert reports[-1]["seen"] == death and reports[-1]["deaths"] == []


def test_a_thread_of_an_earlier_step_may_die_late() -> None:
    """That is not told of the step in which it does, nor at the end of all."""
    go = threading.Event()
    threads: list[threading.Thread] = []

    def starts(bench: Bench) -> None:
        def dies_late() -> None:
            go.wait(SOON)
            raise ValueError("late")

        threads.append(threading.Thread(target=dies_late))
        threads[0].start()

    def later(bench: Bench) -> None:
        go.set()
        threads[0].join()

    reports, _ = tried(THING, starts, later)
    assert reports[-1] == {"state": "held", "step": 1}


def test_a_port_left_open_is_told_at_the_end() -> None:
    """And how many; one that only connects holds none."""
    before = child.open_ports()
    listeners = []

    def listens(bench: Bench) -> None:
        listeners.append(socket.create_server(("127.0.0.1", 0)))

    try:
        reports, _ = tried(THING, listens)
        assert child.open_ports() == before + 1
        with socket.create_connection(listeners[0].getsockname()):
            assert child.open_ports() == before + 1
    finally:
        listeners[0].close()
    assert child.open_ports() == before
    assert (reports[-1]["state"], reports[-1]["clue"]) == ("failed", "port")
    assert reports[-1]["expected"] == "no port left open when all is done"
    assert reports[-1]["seen"] == f"your code still listens on {before + 1} of them"


# --- what cannot be loaded ---


@pytest.mark.parametrize(
    ("source", "expected", "seen", "clue"),
    [
        ("", "a function or class called Thing", "the file has none of that name", "no such name"),
        (
            "x = 1\nx = = 2\n",
            "Python that can be read",
            "SyntaxError: invalid syntax (in line 2: x = = 2)",
            "SyntaxError",
        ),
        (
            "  x = 1\n",
            "Python that can be read",
            "IndentationError: unexpected indent (in line 1: x = 1)",
            "SyntaxError",
        ),
        ("1 / 0", "code that can be loaded", "ZeroDivisionError: division by zero", "ZeroDivisionError"),
        ("import sys\nsys.exit(3)", "code that can be loaded", "SystemExit: 3", "exit at load"),
        (
            "Thing = 3",
            "a function or class to call, like Thing",
            "an object, of the type int; is it int() where int is wanted?",
            "not callable",
        ),
    ],
)
def test_code_that_cannot_be_loaded(source: str, expected: str, seen: str, clue: str) -> None:
    """The reason is all that is reported, and no step begins."""
    (report,), attempt = tried(source, nothing)
    assert (report["state"], report["expected"], report["clue"]) == ("failed", expected, clue)
    assert report["seen"].startswith(seen)
    assert report["events"] == report["deaths"] == []
    assert attempt.bench is None


def test_loading_a_file() -> None:
    """It is run as a module that is not the main one, and knows its file; its lines can be shown."""
    import linecache

    what = job("Thing = [__name__, __file__, len(Other.__name__)]\n".replace("Other", "str"))
    what["sources"] = {"<cell>": "one\ntwo\n"}
    what["path"] = [*sys.path, "/nowhere"]
    path = sys.path[:]
    try:
        assert child.load(what) == ["__student__", "/nowhere/mine.py", 3]
        assert sys.path == what["path"]
        assert linecache.getline("<cell>", 2) == "two\n"
    finally:
        sys.path[:] = path
        linecache.clearcache()
    with pytest.raises(NameMissing, match="^Thing$"):
        child.load(job("x = 1"))
    with pytest.raises(ZeroDivisionError) as error:
        child.load(job("\n1 / 0"))
    assert error.traceback[-1].lineno == 1 and str(error.traceback[-1].path) == "/nowhere/mine.py"


def test_code_from_a_notebook_is_made_anew_each_time() -> None:
    """A class that came by cloudpickle is not the one of before, with what was left in it."""

    class Mine:
        kept: list[int] = []

    what = job("", pickled=cloudpickle.dumps(Mine))
    first = child.load(what)
    first.kept.append(1)
    second = child.load(what)
    assert second is not first and second.kept == []


# --- a step that does not end ---


class Ended(BaseException):
    pass


class Given:
    """A clock that shows these times, one after the other, and the last for ever."""

    def __init__(self, *times: tuple[float, float]) -> None:
        self.times = list(times)

    def read(self) -> tuple[float, float]:
        return self.times.pop(0) if len(self.times) > 1 else self.times[0]


@pytest.mark.parametrize(
    ("times", "clue"),
    [
        ([(7.0, 1.0), (9.0, 1.1), (12.0, 1.2)], WAITING),
        ([(7.0, 1.0), (9.0, 3.0), (12.0, 6.0)], BUSY),
        ([(7.0, 1.0), (9.0, 3.0), (12.0, 3.1)], WAITING),  # what it did at last
        ([(7.0, 1.0), (9.0, 1.0), (12.0, 3.9)], BUSY),
        ([(7.0, 1.0), (12.0, 6.0)], BUSY),  # one look comes late
    ],
)
def test_a_step_that_takes_too_long(
    monkeypatch: pytest.MonkeyPatch, times: list[tuple[float, float]], clue: str
) -> None:
    """Where the code was is reported, and whether it worked or waited; then the process ends."""
    reports, over = Kept(), threading.Event()
    status: list[int] = []

    def ends(code: int) -> None:
        status.append(code)
        over.set()

    monkeypatch.setattr(os, "_exit", ends)
    watchdog = Watchdog(reports, 5.0, cast(Clock, Given(*times)))
    watchdog.guard(lambda: None if over.wait(SOON) else None, lambda: {"at": "line 3"})
    assert status == [STUCK] == [70]
    assert reports.kept == [{"state": "stuck", "seconds": 5.0, "clue": clue, "at": "line 3"}]


def test_a_step_is_not_bitten_while_its_clock_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long that takes: others use the machine."""
    looks = threading.Semaphore(0)

    class Stands(Given):
        def read(self) -> tuple[float, float]:
            looks.release()
            return super().read()

    monkeypatch.setattr(os, "_exit", lambda code: pytest.fail("bitten"))
    reports = Kept()

    def three_looks() -> None:
        for _ in range(4):
            assert looks.acquire(timeout=SOON)

    Watchdog(reports, 0.001, cast(Clock, Stands((1.0, 1.0)))).guard(three_looks, dict)
    assert reports.kept == []


def test_each_part_of_a_step_has_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, on a system where each takes long; the parent is told that it goes on."""
    clock, looked = Given((0.0, 0.0)), threading.Semaphore(0)

    class Told(Given):
        def read(self) -> tuple[float, float]:
            looked.release()
            return clock.times[0]

    monkeypatch.setattr(os, "_exit", lambda code: pytest.fail("bitten"))
    reports = Kept()
    watchdog = Watchdog(reports, 5.0, cast(Clock, Told()))

    def four_parts() -> None:
        for part in range(1, 5):
            clock.times = [(4.0 * part, 0.0)]
            for _ in range(3):
                assert looked.acquire(timeout=SOON)
            watchdog.goes_on()

    watchdog.guard(four_parts, dict)
    assert reports.kept == [{"state": "goes on"}] * 4


def test_a_step_that_ends_in_time_is_not_bitten(monkeypatch: pytest.MonkeyPatch) -> None:
    """However it ends: its watchdog goes, too."""
    reports = Kept()
    monkeypatch.setattr(os, "_exit", lambda code: reports.kept.append({"exit": code}))
    dogs: list[threading.Thread] = []

    def looks() -> None:
        dogs.extend(t for t in threading.enumerate() if t.name == "labkit-watchdog")
        raise ValueError

    with pytest.raises(ValueError):
        Watchdog(reports, 1000, Clock(own_clock())).guard(looks, dict)
    (dog,) = dogs
    dog.join(SOON)
    assert not dog.is_alive() and dog.daemon and reports.kept == []


def test_one_waits_until_the_other_side_has_looked() -> None:
    """From beginning to end: one look may be under way."""
    face, shown = ClockFace(), cast(Patience, SimpleNamespace(seconds=1.5, used=0.5))
    waiting = threading.Thread(target=Clock(face.path).until_looked)
    waiting.start()
    try:
        face.show(shown)
        waiting.join(0.1)
        assert waiting.is_alive()
    finally:
        while waiting.is_alive():
            face.show(shown)
            waiting.join(0.05)
        face.close()


def test_a_failure_is_told_once_all_is_known_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process ends then, and nobody can look any more how late its threads were."""
    known: list[str] = []
    monkeypatch.setattr(Watchdog, "until_looked", lambda dog: known.append("looked"))
    send = Kept.send

    def sent(reports: Kept, **report: Any) -> None:
        known.append(report["state"])
        send(reports, **report)

    monkeypatch.setattr(Kept, "send", sent)

    def fails(bench: Bench) -> None:
        raise CheckFailed("a", "b")

    tried(THING, nothing, fails)
    assert known == ["ready", "began", "held", "began", "looked", "failed"]


# --- the way out ---


def test_reports_go_where_standard_output_went(capfd: pytest.CaptureFixture[str]) -> None:
    """One line of JSON each, signed; what is printed goes to standard error from then on."""
    out, began = os.dup(1), monotonic()
    try:
        reports = Reports()
        reports.sign = "secret"
        os.write(1, b"printed by the code\n")
        reports.send(state="began", step=0)
        takes(reports, "_lock", lambda: reports.send(state="ö"))
        reports._out.close()
    finally:
        os.dup2(out, 1)
        os.close(out)
    said = capfd.readouterr()
    assert said.err == "printed by the code\n"
    told = [json.loads(line) for line in said.out.splitlines()]
    assert began <= told[0].pop("at") <= told[1].pop("at") <= monotonic()
    assert told == [
        {"sign": "secret", "state": "began", "step": 0},
        {"sign": "secret", "state": "ö"},
    ]
    assert said.out.startswith('{"sign": "secret", ')


@pytest.mark.parametrize("broken", [False, True])
def test_a_whole_run(monkeypatch: pytest.MonkeyPatch, broken: bool) -> None:
    """The job comes on standard input; the last report is `over`, and the process ends without waiting. An
    error of ours is told as that."""
    reports = Kept()
    status: list[int] = []
    monkeypatch.setattr(child, "Reports", lambda: reports)
    monkeypatch.setattr(os, "_exit", status.append)
    bounded: list[bool] = []
    # Not in the tests' own process: what else it runs, and starts, would have the bound.
    monkeypatch.setattr("labkit.exercises.grading.memory.bound", lambda: bounded.append(True))
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    what = job(FRAMING.solution, FRAMING.wants)
    if broken:
        what["exercise"] = "no such exercise"
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(pickle.dumps(what))))
    path = sys.path[:]
    try:
        child.main()
    finally:
        sys.path[:] = path
    assert status == [0] and bounded == [True] and reports.sign == "s"
    assert threading.excepthook is child.remember_death
    *before, last = reports.kept
    assert last == {"state": "over"}
    if broken:
        (error,) = before
        assert error["state"] == "broken" and error["error"].startswith("Traceback")
        assert "no such exercise" in error["error"]
    else:
        steps = range(len(FRAMING.steps))
        assert before == [
            {"state": "ready"},
            *({"state": state, "step": n} for n in steps for state in ("began", "held")),
        ]


@pytest.mark.parametrize(("length", "whole"), [(LONGEST, True), (LONGEST + 1, False), (5000, False)])
def test_how_much_is_told(length: int, whole: bool) -> None:
    """Of a long text the beginning and the end: never more than what may be told."""
    text = "".join(chr(0x4E00 + n) for n in range(length))
    told = child.brief(text)
    assert told == (text if whole else f"{text[:500]} … {text[-95:]}")
    assert len(told) <= LONGEST == 600


def test_a_death_without_an_exception_is_none() -> None:
    """It happens when the interpreter ends."""
    child.remember_death(cast(Any, SimpleNamespace(exc_value=None, thread=None)))
    assert child._deaths == []
    child.remember_death(cast(Any, SimpleNamespace(exc_value=ValueError("x"), thread=None)))
    assert [thread for thread, _ in child._deaths] == [None]
    bench = Bench(None)
    try:
        assert child.deaths(bench) == ["ValueError: x"]
        assert child.state(bench)["deaths"] == ["ValueError: x"]
    finally:
        bench.close()
