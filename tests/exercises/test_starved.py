"""check on a machine that has no time for the code: a verdict says nothing about the machine.

A process that gets no processor is made by stopping it: the same as a machine that is busy for so long.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent, indent
from time import monotonic, sleep
from typing import Any

import pytest
from busy import busy_loops
from checks import judged
from support import SOON, need

from labkit.cli.check import NOT_JUDGED, check_file
from labkit.exercises import check, exercise_called, judge
from labkit.exercises.grading import checking, judging, process
from labkit.exercises.grading.judging import CHILD
from labkit.exercises.grading.process import Process, Starved
from labkit.exercises.grading.result import Result

pytestmark = pytest.mark.timeout(600)

SHORT, LONG = 1.5, 1.8
"""Seconds by the wall clock that code here grants, and for which it is stopped."""

FRAMING = exercise_called("framing")
FEED = "        *lines, self.rest"

WAITS = """
import os, time
from pathlib import Path

os.nice({nice})
HERE = Path({here!r})


def waited():
    '''Seconds by the wall clock until the test lets it go on; once in each process.'''
    began, note = time.monotonic(), HERE / str(os.getpid())
    if not note.exists():
        note.touch()
        while not (HERE / f"{{os.getpid()}}-go").exists():
            time.sleep(0.01)
    return time.monotonic() - began


"""


def framing(first: str, here: Path = Path(), nice: int = 0) -> str:
    """The answer to `framing`, which does this first whenever it is fed."""
    waits = WAITS.format(here=str(here), nice=nice)
    return waits + FRAMING.solution.replace(FEED, f"{indent(first, ' ' * 8)}\n{FEED}")


def until(holds: Any) -> None:
    give_up = monotonic() + 6 * SOON
    while not holds():
        assert monotonic() < give_up
        sleep(0.005)


@contextmanager
def stopping(here: Path, seconds: float, times: int = 1000) -> Iterator[list[int]]:
    """Stop each of the first processes that wait for so long, and then let them go on."""
    need(hasattr(signal, "SIGSTOP"), "signals")
    over = threading.Event()
    stopped: list[int] = []

    def work() -> None:
        while not over.wait(0.005):
            for note in here.iterdir():
                pid, done = note.name, (here / f"{note.name}-go").exists()
                if not pid.isdecimal() or done:
                    continue
                if len(stopped) < times:
                    stopped.append(int(pid))
                    os.kill(int(pid), signal.SIGSTOP)
                    sleep(seconds)
                    os.kill(int(pid), signal.SIGCONT)
                (here / f"{pid}-go").touch()

    thread = threading.Thread(target=work, name="test-stopping")
    thread.start()
    try:
        yield stopped
    finally:
        over.set()
        thread.join()


def no_calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the next attempt at once."""
    monkeypatch.setattr(checking, "CALM", (0.0, 0.0))


def words(result: Result) -> str:
    return " ".join(str(result).split())


# --- right answers that get no time ---


def test_a_process_that_is_stopped_in_the_middle_of_a_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For longer than a step may take, and a whole check: that costs nothing."""
    monkeypatch.setattr(checking, "STEP_SECONDS", 0.8)
    monkeypatch.setattr(checking, "SECONDS", 1.5)
    with stopping(tmp_path, 4.0) as stopped:
        result = check("framing", framing("waited()", tmp_path))
    assert result.ok, result
    assert len(stopped) == 1


def test_a_process_that_others_leave_little_time() -> None:
    """It has a low priority, beside loops that take all they get: every step holds, or none is judged."""
    need(hasattr(os, "nice"), "priorities")
    with busy_loops(4, 300):
        result = check("framing", framing("pass", nice=5))
    assert result.failure is None, result
    assert result.ok or result.not_judged


def test_code_that_counts_by_the_wall_clock_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was stopped, and a timeout of its own went by. The second time it is not."""
    no_calm(monkeypatch)
    with stopping(tmp_path, LONG, times=1) as stopped:
        result = check("framing", framing(f"if waited() > {SHORT}: return []", tmp_path))
    assert result.ok, result
    assert len(stopped) == 1


def test_one_who_hears_late_that_a_step_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code was stopped meanwhile, and has failed: that is known all the same, and it is tried again."""
    no_calm(monkeypatch)
    report = Process.report

    def late(child: Process, seconds: float) -> dict[str, Any] | None:
        told = report(child, seconds)
        if told and told["state"] == "began" and not stopped:
            until(lambda: child._reports.qsize())
        return told

    with stopping(tmp_path, LONG, times=1) as stopped:
        monkeypatch.setattr(Process, "report", late)
        result = check("framing", framing(f"if waited() > {SHORT}: return []", tmp_path))
    assert result.ok, result
    assert len(stopped) == 1


# --- code that takes too long, or not ---


@pytest.mark.parametrize(
    ("does", "told"),
    [
        ("while True: pass", "still at work"),
        ("while True: [n * n for n in range(1000)]", "still at work"),
        ("import hashlib; hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)", "still at work"),
        ("import threading; lock = threading.Lock(); lock.acquire(); lock.acquire()", "still waiting"),
        ("import time; time.sleep(10**6)", "still waiting"),
        ("import socket; a, b = socket.socketpair(); a.recv(1)", "still waiting"),
    ],
)
def test_code_that_does_not_end(does: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it works or waits is told, and where: a loop in C that lets other threads run works, too."""
    monkeypatch.setattr(checking, "STEP_SECONDS", 1.0)
    result = judged("framing", framing(does))
    assert f"seen: your code was {told}" in words(result), result
    assert "your code was in: line" in words(result) and result.held == 0 and result.started


@pytest.mark.parametrize(
    "does", ["sum(range(3 * 10**6))", "sorted(range(10**6, 0, -1))", "import time; time.sleep(0.02)"]
)
def test_slow_code_that_ends(does: str) -> None:
    """In C, where no other thread can run meanwhile: it may be slow."""
    assert check("framing", framing(does)).ok


def test_a_thread_that_dies_late() -> None:
    """The last step is over, and a thread that it has started is still on its way to its error."""
    late = """
    import threading

    def dies():
        sum(range(2 * 10**6))
        return 1 / 0

    threading.Thread(target=dies).start()
    """
    result = judged("framing", framing(dedent(late)))
    assert not result.ok and "ZeroDivisionError" in str(result), result


# --- not judged ---


def test_a_machine_that_is_too_busy_to_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each time the code fails, and each time it was stopped for long: no points are lost, and none won."""
    no_calm(monkeypatch)
    here = tmp_path / "notes"
    here.mkdir()
    file = tmp_path / "mine.py"
    file.write_text(framing(f"if waited() > {SHORT}: return []", here), encoding="utf-8")
    with stopping(here, LONG) as stopped:
        assert check_file("framing", str(file), 1, False) == NOT_JUDGED == 3
    assert len(stopped) == checking.ATTEMPTS
    said = capsys.readouterr().out
    assert "— not judged" in said and "other programs use the machine" in said
    assert "points" not in said and "✗" not in said and "✓" not in said
    with stopping(here, LONG):
        assert check_file("framing", str(file), 1, True) == NOT_JUDGED
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["score"], told["seen"]) == (False, None, None)
    assert "other programs use the machine" in told["not_judged"]


def test_what_not_judged_looks_like() -> None:
    """It is no ✗ and no ✓, in a notebook neither."""
    result = Result(FRAMING, 0, not_judged="too busy & more")
    assert not result and result.failed is None and result.hints == () and result.ladder is None
    assert "not judged" in result.headline and "too busy" in result.hint()
    html = result._repr_html_()
    assert "not judged" in html and "too busy &amp; more" in html and "points" not in html


def test_a_process_that_never_gets_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the wall clock there is an end, too: not judged."""
    need(hasattr(signal, "SIGSTOP"), "signals")
    monkeypatch.setattr(process, "LONGEST", 0.5)
    with Process(CHILD, {"role": "server"}) as child:
        os.kill(child.pid, signal.SIGSTOP)
        with pytest.raises(Starved, match=r"could go on for \d"):
            while child.report(1000.0):
                pass
    begins = Process.ready

    def stopped(child: Process) -> None:
        os.kill(child.pid, signal.SIGSTOP)
        begins(child)

    monkeypatch.setattr(Process, "ready", stopped)
    assert "could go on for" in check("framing", FRAMING.solution).not_judged
    assert "could go on for" in judge("def my_test(address): pass").not_judged


def test_a_process_that_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is not the code's doing."""
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    result = check("framing", FRAMING.solution)
    assert "did not start: it ended with exit status" in result.not_judged


# --- judge ---

TEST = """
def my_test(address):
    import socket
    with socket.create_connection(address) as sock:
        sock.recv(100)
    assert waited() < 1.5
"""


def test_a_test_on_a_machine_that_is_too_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was stopped, and accuses a right server: it is tried again, and at last it is not judged."""
    no_calm(monkeypatch)
    monkeypatch.setattr(judging, "JUDGED", ())
    monkeypatch.setattr(judging, "AT_ONCE", 1)
    test = WAITS.format(here=str(tmp_path), nice=0) + TEST
    with stopping(tmp_path, LONG, times=1):
        judgement = judge(test)
    assert judgement.accused == 0 and not judgement.not_judged, judgement
    monkeypatch.setattr(judging, "ATTEMPTS", 2)
    with stopping(tmp_path, LONG):
        judgement = judge(test)
    assert not judgement and judgement.score == 0 and "other programs" in judgement.not_judged
    assert "not judged" in judgement.headline and "not judged" in str(judgement)
    assert judgement.as_json()["score"] is None


# --- in a shell ---


def test_the_exit_statuses_are_told() -> None:
    """All four of them."""
    told = subprocess.run(
        [sys.executable, "-m", "labkit", "check", "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert "3: the machine was too busy to tell" in " ".join(told.split())
