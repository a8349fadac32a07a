"""The clock that stands still while a process is starved, and the waits that count by it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Collection, Iterator
from pathlib import Path
from time import monotonic, sleep
from types import SimpleNamespace

import psutil
import pytest
from support import SOON, need

from labkit.probe import children, deadline, patience
from labkit.probe.deadline import SLICE, Deadline, Turns, pause, wait
from labkit.probe.patience import LEAST, LOOP, TICK, TURN, Patience, Portable, SchedStat, Source, Turn


class Kernel:
    """A /proc with one process, 7, whose threads do what a test says."""

    def __init__(self, proc: Path) -> None:
        self.tasks = proc / "7" / "task"
        self.tasks.mkdir(parents=True)
        self.source = SchedStat()

    def has(self, thread: int, state: str, ran: float = 0, queued: float = 0, slices: int = 0) -> None:
        folder = self.tasks / str(thread)
        folder.mkdir(exist_ok=True)
        (folder / "schedstat").write_text(f"{round(ran * 1e9)} {round(queued * 1e9)} {slices}\n")
        (folder / "stat").write_text(f"{thread} (a ) name) {state} 1 7 7\n")

    def look(self, seconds: float) -> tuple[float, float, float]:
        turn = self.source([7], seconds)
        return round(turn.used, 6), round(turn.starved, 6), round(turn.late, 6)


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    monkeypatch.setattr(patience, "PROC", tmp_path)
    return Kernel(tmp_path)


# --- what the scheduler tells ---


def test_a_thread_that_sleeps_or_runs_is_not_starved(kernel: Kernel) -> None:
    """However its turns are cut, and although the kernel counts what it has run only at each tick."""
    kernel.has(1, "S", ran=5, queued=3, slices=9)
    kernel.has(2, "R", ran=1)
    kernel.look(0.0)
    assert kernel.look(0.1)[1] == pytest.approx(0.1)  # 2 has not run
    kernel.has(2, "R", ran=1.2, slices=1)
    assert kernel.look(0.1)[:2] == (0.2, -0.1)  # it has: the kernel was late
    for ran in (1.296, 1.4, 1.496):
        kernel.has(2, "R", ran=ran, slices=1)
        used, starved, late = kernel.look(0.1)
        assert used == pytest.approx(0.1, abs=TICK + 1e-6) and abs(starved) <= 2 * TICK and late == 0


def test_a_thread_that_queues_is_starved_from_the_first_moment(kernel: Kernel) -> None:
    """The kernel counts a wait when it is over; it is not counted twice then."""
    kernel.has(1, "R", ran=1, slices=1)
    kernel.look(0.0)
    total = 0.0
    for n in (1, 2, 3):
        _, starved, late = kernel.look(0.1)
        total += starved
        assert late == pytest.approx(0.1 * n)
    kernel.has(1, "S", ran=1.01, queued=0.35, slices=2)
    used, starved, late = kernel.look(0.1)
    assert total + starved == pytest.approx(0.35) and used == pytest.approx(0.01)
    assert late == pytest.approx(0.34)
    kernel.has(1, "S", ran=1.01, queued=0.35, slices=2)
    assert kernel.look(0.1) == (0, 0, 0)


def test_a_wait_from_before_the_first_look_is_no_credit(kernel: Kernel) -> None:
    """It would be taken for time in which the thread had to wait less."""
    kernel.has(1, "R")
    kernel.look(0.0)
    kernel.has(1, "R", ran=0.001, queued=5.0, slices=1)
    kernel.look(0.1)
    kernel.look(2 * TICK)
    assert kernel.look(0.1)[1] == pytest.approx(0.1)


def test_an_endless_loop_is_not_late(kernel: Kernel) -> None:
    """It queues for long wherever others work. A thread that woke does not."""
    kernel.has(1, "R", slices=1)
    kernel.look(0.0)
    kernel.has(1, "R", ran=LOOP + 0.01, slices=1)
    kernel.look(LOOP)
    used, starved, late = kernel.look(2.0)
    assert (used, late) == (0, 0) and starved == pytest.approx(2.0, abs=3 * TICK)
    kernel.has(1, "S", ran=LOOP + 0.01, queued=2.0, slices=2)
    kernel.look(0.1)
    kernel.has(1, "R", ran=LOOP + 0.01, queued=2.0, slices=2)
    assert kernel.look(0.1)[2] == pytest.approx(0.1)


def test_threads_that_wait_for_their_own_kind_are_not_late(kernel: Kernel) -> None:
    """A thousand that are woken at once need no other program to be slow."""
    for thread in range(20):
        kernel.has(thread, "S")
    kernel.look(0.0)
    for thread in range(20):
        kernel.has(thread, "R")
    kernel.has(0, "S", ran=0.09, slices=1)
    used, starved, late = kernel.look(0.1)
    assert (used, late) == (0.09, 0.01) and starved == pytest.approx(1.9)
    kernel.has(1, "S", ran=0.1, queued=0.1, slices=1)
    assert kernel.look(0.1)[2] == pytest.approx(0.01)


def test_many_short_waits_are_not_a_long_one(kernel: Kernel) -> None:
    """What counts is for how long a thread had to wait at a stretch."""
    kernel.has(1, "S")
    kernel.look(0.0)
    kernel.has(1, "S", ran=0.02, queued=0.08, slices=20)
    assert kernel.look(0.1) == (0.02, 0.08, 0)
    kernel.has(1, "S", ran=0.021, queued=0.16, slices=22)
    assert kernel.look(0.1) == (0.001, 0.08, 0.039)


@pytest.mark.parametrize("state", "DTt")
def test_a_thread_that_is_stopped_or_waits_for_a_disk(kernel: Kernel, state: str) -> None:
    """It can do nothing about that, either."""
    kernel.has(1, state)
    kernel.look(0.0)
    assert kernel.look(0.1) == (0, 0.1, 0.1)
    assert kernel.look(0.1) == (0, 0.1, 0.2)


def test_threads_come_and_go(kernel: Kernel) -> None:
    """So do processes: what is gone has done nothing."""
    kernel.has(1, "S")
    kernel.look(0.0)
    kernel.has(2, "S", ran=3, queued=3, slices=1)
    assert kernel.look(0.1) == (0, 0, 0)
    for file in (kernel.tasks / "1").iterdir():
        file.unlink()
    assert kernel.look(0.1) == (0, 0, 0)
    kernel.has(1, "S", ran=2)  # its number is used again
    assert kernel.look(0.1) == (0, 0, 0)
    assert kernel.source([8], 0.1) == Turn()


# --- where only psutil tells ---


@pytest.mark.parametrize(
    ("pids", "idle", "starved"),
    [
        ([], 2.0, 0.0),
        ([], 0.25, 0.0),
        ([], 0.125, 0.5),
        ([], 0.0, 1 - LEAST),
        ([99999999], 0.0, 1.0),
        ([99999999], 0.25, 0.0),
    ],
)
def test_a_processor_that_is_free(
    monkeypatch: pytest.MonkeyPatch, pids: list[int], idle: float, starved: float
) -> None:
    """Then no thread has queued for long."""
    now = iter([10.0, 11.0])
    free = iter([5.0, 5.0 + idle])
    monkeypatch.setattr(patience, "monotonic", lambda: next(now))
    monkeypatch.setattr(psutil, "cpu_times", lambda: SimpleNamespace(idle=next(free)))
    turn = Portable()(pids, 1.0)
    assert turn.used == 0.0 and turn.starved == pytest.approx(starved)
    assert turn.late == pytest.approx(1.0 - 2 * TURN)


def test_what_a_process_has_used() -> None:
    """As psutil tells."""
    source = Portable()
    source([os.getpid()], 0.0)
    before = os.times()
    while os.times().user + os.times().system < before.user + before.system + 0.1:
        pass
    assert source([os.getpid()], 1.0).used >= 0.09


# --- the clock ---


class Given:
    """A source that tells these turns, and then the last for ever."""

    def __init__(self, *turns: Turn) -> None:
        self.turns = list(turns)

    def __call__(self, pids: Collection[int], seconds: float) -> Turn:
        return self.turns.pop(0) if len(self.turns) > 1 else self.turns[0]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Clocks that look only when a test says so."""
    monkeypatch.setattr(Patience, "_work", lambda clock: None)
    yield


@pytest.mark.parametrize(
    ("took", "turn", "seconds", "used"),
    [
        (0.02, Turn(), 0.02, 0),  # at rest
        (0.02, Turn(used=0.02), 0.02, 0.02),  # at work
        (0.02, Turn(used=0.005, starved=0.015), 0.005, 0.005),
        (0.02, Turn(starved=0.02), 0, 0),
        (0.02, Turn(starved=0.5), 0, 0),
        (0.02, Turn(starved=-0.5), 0.02, 0),
        (0.02, Turn(used=0.06, starved=0.1), 0.02, 0.02),  # several threads
        (3.0, Turn(), 2 * TURN, 0),  # this process itself had no time, or the machine slept
        (3.0, Turn(used=2.9), 2.9, 2.9),  # but what was used was used
        (0.02, Turn(used=0.02, starved=-0.01), 0.02, 0.02),
    ],
)
def test_what_a_turn_counts(
    looks: None, monkeypatch: pytest.MonkeyPatch, took: float, turn: Turn, seconds: float, used: float
) -> None:
    """The seconds in which the process ran, or had nothing to do."""
    now = [50.0]
    monkeypatch.setattr(patience, "monotonic", lambda: now[0])
    clock = Patience((), source=Given(turn))
    now[0] += took
    clock.look()
    assert clock() == pytest.approx(seconds) and clock.used == pytest.approx(used)


def test_the_longest_wait_is_kept(looks: None) -> None:
    """Until it is set to 0 again."""
    told: list[float] = []
    turns = Given(Turn(), Turn(late=0.2), Turn(late=0.5), Turn(late=0.1))
    clock = Patience((), lambda clock: told.append(clock.late), turns)
    for _ in range(3):
        clock.look()
    clock.late = 0.0
    clock.look()
    assert told == [0.2, 0.5, 0.5, 0.1]


def test_the_longest_wait_of_a_part_is_told(looks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what looks have seen since that began; whatever was longer before."""
    now = [50.0]
    monkeypatch.setattr(patience, "monotonic", lambda: now[0])
    lates = [0.2, 0.5, 0.1, 0.3, 0.0, 0.3]
    clock = Patience((), source=Given(Turn(), *(Turn(late=late) for late in lates)))
    for _ in lates:
        now[0] += 1.0
        clock.look()
    longest = {0.0: 0.5, 51.0: 0.5, 52.0: 0.5, 52.1: 0.3, 53.1: 0.3, 55.5: 0.3, 56.1: 0.0}
    assert {when: clock.late_since(when) for when in longest} == longest


def goes_to(clock: Patience, seconds: float) -> None:
    give_up = monotonic() + 3 * SOON
    while clock() < seconds:
        assert monotonic() < give_up
        sleep(TURN)


class Idle(Portable):
    """On a machine where a processor is free, as it seems."""

    def __init__(self) -> None:
        super().__init__()
        self._since = float("inf")


@pytest.mark.parametrize("kind", [SchedStat, Idle])
def test_a_process_at_rest_and_at_work(kind: type[Source]) -> None:
    """The clock goes on with both; how much was work is told."""
    need(kind is Idle or SchedStat.works(), "the scheduler's counters")
    for program, least, most in (
        ("import time; print(1, flush=True); time.sleep(600)", 0.0, 0.2),
        ("print(1, flush=True)\nwhile True: pass", 0.8, 1.0),
    ):
        process = children.popen([sys.executable, "-c", program], stdout=-1)
        try:
            assert process.stdout is not None and process.stdout.readline()
            with Patience((process.pid,), source=kind()) as clock:
                goes_to(clock, 0.4)
                used, seconds = clock.used, clock.seconds
        finally:
            process.kill()
            process.communicate()
        if kind is SchedStat:  # the other cannot see that it had to queue
            assert least * seconds <= used <= most * seconds


def test_this_process_itself() -> None:
    """At rest, though the thread that looks runs whenever it does."""
    with Patience((os.getpid(),)) as clock:
        goes_to(clock, 0.4)
        assert clock.used < 0.3


def test_a_process_that_is_stopped() -> None:
    """Its clock stands still; it goes on with the process. So does that of one that waits for it."""
    need(SchedStat.works() and hasattr(signal, "SIGSTOP"), "the scheduler's counters, and signals")
    process = children.popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        with Patience((process.pid,)) as clock, Patience((os.getpid(), process.pid)) as both:
            goes_to(clock, 0.1)
            os.kill(process.pid, signal.SIGSTOP)
            sleep(5 * TURN)
            before, before_both, began = clock(), both(), monotonic()
            while monotonic() - began < 0.5:
                sleep(TURN)
            assert clock() == pytest.approx(before)
            assert both() < before_both + 0.4  # what this one has used itself
            assert clock.late >= 0.4
            os.kill(process.pid, signal.SIGCONT)
            goes_to(clock, before + 0.1)
            goes_to(both, before_both + 0.1)
    finally:
        process.kill()
        process.wait()


def test_what_a_process_has_started_counts_as_well() -> None:
    """The one that waits for its child is not at rest while that child is stopped."""
    need(SchedStat.works() and hasattr(signal, "SIGSTOP"), "the scheduler's counters, and signals")
    program = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)\n"
        "print(child.pid, flush=True)\nchild.wait()"
    )
    process = children.popen([sys.executable, "-c", program], stdout=-1)
    try:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert patience.family((process.pid,)) == (process.pid, child)
        os.kill(child, signal.SIGSTOP)
        with Patience((process.pid,)) as clock:
            sleep(0.5)
            assert clock() < 0.2
    finally:
        os.kill(child, signal.SIGKILL)
        process.kill()
        process.communicate()


def test_a_clock_that_is_stopped_leaves_no_thread() -> None:
    """Twice does no harm."""
    clock = Patience((os.getpid(),))
    clock.stop()
    clock.stop()
    assert clock._thread not in threading.enumerate()


# --- waiting by it ---


def test_a_deadline_counts_by_its_clock() -> None:
    """By the one it is given, or the usual one, or else by its own turns."""
    now = [7.0]
    given = Deadline(2.0, lambda: now[0])
    deadline.count_by(lambda: 3 * now[0])
    try:
        usual = Deadline(2.0)
    finally:
        deadline.count_by(None)
    assert (given.left, usual.left, given.passed()) == (2.0, 2.0, False)
    now[0] += 1.5
    assert (given.left, usual.passed(), given.passed()) == (0.5, True, False)
    now[0] += 0.5
    assert given.passed()


def test_a_turn_that_took_too_long_counts_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is known of the other side."""
    now = [7.0]
    monkeypatch.setattr(deadline, "monotonic", lambda: now[0])
    turns = Turns()
    now[0] += SLICE
    assert turns() == pytest.approx(SLICE)
    now[0] += 100
    assert turns() == pytest.approx(3 * SLICE)


def test_what_has_passed_before_does_not_count_for_who_waits_now() -> None:
    """Where the clock's own thread comes late: who reads the clock waits for it."""
    turns: list[float] = []
    held, go_on = threading.Event(), threading.Event()

    def late(pids: Collection[int], seconds: float) -> Turn:
        if turns and not held.is_set():
            held.set()
            go_on.wait(SOON)
        turns.append(seconds)
        return Turn(used=seconds)  # all of its turns count

    with Patience((os.getpid(),), source=late) as clock:
        assert held.wait(SOON)
        waited = threading.Timer(0.3, go_on.set)
        waited.start()
        sleep(0.2)
        began = monotonic()
        before = clock()
        while len(turns) < 6:
            sleep(TURN)
        assert clock() - before <= monotonic() - began + 2 * TURN
        waited.join()


def test_what_came_at_the_last_moment_is_seen() -> None:
    """This program may have had no time to look, while the other side had all it needed."""
    now, given = [0.0], list[float]()

    def attempt(seconds: float) -> str:
        given.append(seconds)
        now[0] += 10.0  # it is not woken for long
        return "came" if len(given) == 2 else ""

    assert wait(attempt, 2.0, lambda: now[0]) == "came"
    assert given == [SLICE, 0.0]
    given.clear()
    assert wait(lambda seconds: given.append(seconds), 0.0, lambda: now[0]) is None
    assert given == [0.0]


def test_a_pause_lasts_as_long_as_its_clock_says() -> None:
    """One whose clock stands still goes on."""
    times = iter([0.0, 0.0, 0.0, 0.0, 0.0, 0.02, 0.02, 0.04, 0.05, 0.05])
    pause(0.05, lambda: next(times))
    assert len(list(times)) <= 1
