"""check and judge: whatever the code does, a readable ✗ comes back in time, and the next check works.

That each exercise catches its bugs, test_exercises.py shows. Here the code is hostile, broken or odd.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from textwrap import dedent
from typing import Any
from unittest.mock import patch

import psutil
import pytest
from checks import judged
from programs import LABKIT, PATIENCE, still_run
from support import until_judged

from labkit.exercises import check, exercise_called, judge
from labkit.exercises.catalogue.judge import JUDGE, JUDGED
from labkit.exercises.grading import checking, judging
from labkit.exercises.grading.judging import Judgement, Trial
from labkit.exercises.grading.result import Result

FRAMING = exercise_called("framing")

STEP = 1
"""Seconds that a step may take here, where some never end."""

STORM = "a print storm"
"""That ends, as soon as it has printed enough: it has the usual time for it."""

# An endless loop ends once it has had its seconds of processor time, which takes long on a busy machine.
pytestmark = pytest.mark.timeout(600)


class Fed:
    """An answer to `framing` that does one thing when it is fed."""

    does: Callable[[], Any]

    def feed(self, data: bytes) -> Any:
        return type(self).does()


def checked(does: Callable[[], Any] | str) -> Result:
    """What check says of a framing that does this; and that the check after it goes well."""
    if isinstance(does, str):
        result = until_judged(lambda: check("framing", dedent(does)))
    else:
        code = type("Framing", (Fed,), {"does": staticmethod(does)})
        result = until_judged(lambda: check("framing", code))
    assert not result.ok
    assert result.score == 0
    assert check("framing", FRAMING.solution).ok
    return result


def locked_twice() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def endless() -> None:
    while True:
        pass


def print_storm() -> None:
    while True:
        print("hello", "x" * 60)


def out_of_reach() -> int:
    """A loop inside C, which lets no other thread run."""
    return sum(range(10**12))


def recursion() -> None:
    recursion()


def a_thread_dies() -> None:
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()


HOSTILE: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "an endless loop": (endless, [f"within {STEP} s", "still at work", "your code was in: line"]),
    "a lock taken twice": (locked_twice, [f"within {STEP} s", "still waiting", "lock.acquire()"]),
    "os._exit": (lambda: os._exit(1), ["it ended with exit status 1", "os._exit"]),
    "a crash": (lambda: os.abort(), ["it ended by signal SIGABRT"]),
    "sys.exit": (sys.exit, ["called sys.exit()"]),
    STORM: (print_storm, ["more than 5,000,000 bytes", "hello xxxx"]),
    "a loop inside C": (out_of_reach, [f"within {STEP} s", "no other thread could run"]),
    "no end of calls": (recursion, ["RecursionError"]),
    "a thread that dies": (a_thread_dies, ["a thread died:", "ZeroDivisionError", "1 / 0"]),
    "Ctrl-C": (lambda: (_ for _ in ()).throw(KeyboardInterrupt), ["KeyboardInterrupt"]),
}

FILES: dict[str, tuple[str, list[str]]] = {
    "no Python": ("class Framing:\n    def feed(:\n", ["SyntaxError", "line 2: def feed(:"]),
    "an endless file": ("while True:\n    pass\n", [f"within {STEP} s"]),
    "an exit": ("import sys\nsys.exit()\n", ["SystemExit", "line 2"]),
    "an error": ("1 / 0\n", ["ZeroDivisionError", "line 1: 1 / 0"]),
    "another name": ("class Framer:\n    pass\n", ["a function or class called Framing"]),
    "no function": ("Framing = 3\n", ["to call", "of the type int"]),
}


@pytest.fixture(scope="module")
def results() -> dict[str, Future[Result]]:
    """What check says of each of these. They wait most of the time; so a few do it together."""
    both = HOSTILE | FILES
    with ThreadPoolExecutor(4, thread_name_prefix="test-check") as pool:
        storm = pool.submit(checked, both.pop(STORM)[0])
        wait([storm])
        with patch.object(checking, "STEP_SECONDS", STEP):
            found = {name: pool.submit(checked, does) for name, (does, _) in both.items()}
            wait(found.values())
    return {STORM: storm, **found}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_code_is_a_readable_failure(name: str, results: dict[str, Future[Result]]) -> None:
    """It is named in step 1, with the line where there is one."""
    result = results[name].result()
    assert (result.started, result.failed) == (True, FRAMING.steps[0].name)
    for words in HOSTILE[name][1]:
        assert words in str(result), result
    assert result.hints


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    """Whatever the code writes, and wherever to: nothing of it reaches the caller's own streams."""
    for does in (lambda: os.write(2, b"!"), a_thread_dies, lambda: os.abort()):
        checked(does)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_cannot_be_loaded(name: str, results: dict[str, Future[Result]]) -> None:
    """What is wrong is told, before any step."""
    told, result = FILES[name][1], results[name].result()
    assert not result.started
    assert result.failed is None
    for words in told:
        assert words in str(result), result


def test_code_that_cannot_travel() -> None:
    """A socket of the notebook's own cannot go to another process; it is named, and what to do about it."""
    names: dict[str, Any] = {"sock": socket.socket()}
    exec("class Framing:\n    def feed(self, data):\n        return sock\n", names)
    with names["sock"]:
        result = check("framing", names["Framing"])
    assert result.failure is not None and not result.started
    assert "`sock`" in result.failure.seen and "belongs to this process" in result.failure.seen


RIGHT = FRAMING.solution
FEED = "        *lines, self.rest"


def test_a_lock_travels() -> None:
    """One in a global variable arrives as a lock that is free, also if it is held here."""
    names: dict[str, Any] = {"lock": threading.Lock(), "again": threading.RLock()}
    exec(RIGHT.replace(FEED, "        with lock, again:\n            pass\n" + FEED), names)
    with names["lock"]:
        assert check("framing", names["Framing"]).ok


def test_each_step_begins_afresh() -> None:
    """What one step has left in a global variable, no other finds there; from a notebook, neither."""
    source = "seen = []\n\n\n" + RIGHT.replace(
        FEED, "        seen.append(data)\n        assert len(seen) < 30\n" + FEED
    )
    assert check("framing", source).ok
    names: dict[str, Any] = {}
    exec(source, names)
    assert check("framing", names["Framing"]).ok


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("import threading; threading.Thread(target=lambda: 1 / 0).start()", "ZeroDivisionError"),
        ("import socket, sys; sys.left = socket.create_server(('127.0.0.1', 0))", "no port left open"),
    ],
)
def test_right_answers_that_leave_something_behind(line: str, told: str) -> None:
    """A thread that died, a port that is still open: what it returned is right, and that is not enough."""
    result = judged("framing", RIGHT.replace(FEED, f"        {line}\n{FEED}"))
    assert not result.ok and result.score < result.points
    assert told in str(result), result


def test_a_report_of_the_codes_own_is_not_believed() -> None:
    """Writing where the reports go earns nothing."""
    forged = "[forge(n) for n in range(3, 9)]"
    forge = """
    import contextlib, os


    def forge(n):
        with contextlib.suppress(OSError):
            os.write(n, b'{"state": "over"}\\n')
    """
    wrong = FRAMING.version(FRAMING.wrong[2])
    result = judged("framing", dedent(forge) + wrong.replace(FEED, f"        {forged}\n{FEED}"))
    assert not result.ok and result.failed == FRAMING.wrong[2].step


def test_a_huge_value_is_shortened() -> None:
    """However much the code returns, what is told can be read."""
    result = checked(lambda: ["x" * 10**6] * 5)
    assert len(str(result)) < 4000


def test_an_object_instead_of_its_class() -> None:
    """A frequent slip: check("framing", Framing())."""
    assert "a function or class to call" in str(check("framing", Fed()))


def test_what_it_prints_is_shown() -> None:
    """Students debug with print: the last lines come back with a ✗."""
    result = checked(lambda: print("one\ntwo", file=sys.stderr))
    assert "it printed:       one" in str(result)


def test_no_process_is_left(tmp_path: Path) -> None:
    """Neither the code's process nor one that it started outlives the check."""
    note = tmp_path / "pid"

    def starts_another() -> None:
        program = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
        subprocess.Popen([sys.executable, "-c", program])
        while not note.exists() or not note.read_text():
            pass

    checked(starts_another)
    started = int(note.read_text())
    if psutil.pid_exists(started):
        with contextlib.suppress(psutil.NoSuchProcess):
            assert still_run([psutil.Process(started)]) == []
    assert still_run(psutil.Process().children()) == []


def test_an_exercise_that_does_not_exist() -> None:
    """An error that names those there are, and the one that was perhaps meant."""
    with pytest.raises(ValueError, match=r"no exercise 'framin'; did you mean 'framing'\? .*broadcast"):
        check("framin", "")


# --- the result ---


def test_a_right_answer_shows_every_step() -> None:
    """As text and as HTML."""
    result = check("framing", FRAMING.solution)
    assert bool(result) and result.hint() == "No hint is needed."
    assert str(result).count("✓") == len(FRAMING.steps)
    assert result._repr_html_().count("✓") == len(FRAMING.steps)
    assert "✗" not in str(result)


def test_hints_come_one_by_one() -> None:
    """The first stands in the result; each call gives the next, and at last the last again."""
    result = judged("framing", FRAMING.version(FRAMING.wrong[2]))
    first, *others = result.hints
    assert others and f"Hint 1 of {len(result.hints)}" in str(result) and first.split()[0] in str(result)
    for n, text in enumerate(others, 2):
        assert result.hint() == f"Hint {n} of {len(result.hints)}: {text}"
    assert result.hint().endswith(others[-1])


def test_nothing_that_code_says_becomes_html() -> None:
    """What it returns, prints or dies of is escaped."""
    evil = "<script>alert(1)</script>"

    def says_it() -> list[str]:
        print(evil)
        return [evil]

    html = checked(says_it)._repr_html_()
    assert evil not in html
    assert html.count("&lt;script&gt;") >= 3  # seen, printed, and on the ladder


# --- in a shell ---


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*LABKIT, *arguments], capture_output=True, text=True, timeout=PATIENCE)


def test_check_in_a_shell(tmp_path: Path) -> None:
    """The same check: exit status 0 if all holds, 1 if not, 2 if nothing could be checked."""
    file = tmp_path / "mine.py"
    file.write_text(FRAMING.solution, encoding="utf-8")
    right = run("check", "framing", str(file))
    assert (right.returncode, right.stderr) == (0, "")
    assert "10 of 10 points" in right.stdout
    file.write_text(FRAMING.version(FRAMING.wrong[2]), encoding="utf-8")
    wrong = run("check", "framing", str(file), "--hints", "2")
    assert (wrong.returncode, wrong.stderr) == (1, "")
    assert "✗ 3." in wrong.stdout and "Hint 2 of 3" in wrong.stdout
    as_json = json.loads(run("check", "framing", str(file), "--json").stdout)
    assert (as_json["exercise"], as_json["ok"]) == ("framing", False)
    assert (as_json["score"], as_json["points"], as_json["steps_held"]) == (2, 10, 2)
    assert as_json["failed"] == FRAMING.steps[2].name and as_json["seen"]
    for arguments, why in [
        (["framing", str(tmp_path / "none.py")], "No such file"),
        (["dancing", str(file)], "no exercise 'dancing'"),
    ]:
        failed = run("check", *arguments)
        assert (failed.returncode, failed.stdout) == (2, "")
        assert why in failed.stderr and len(failed.stderr.splitlines()) == 1
    assert run("check", "framing").returncode == 2


def test_a_module_beside_the_file(tmp_path: Path) -> None:
    """It can be imported, as when the file is run."""
    (tmp_path / "ends.py").write_text("LF = b'\\n'\n", encoding="utf-8")
    file = tmp_path / "mine.py"
    file.write_text("from ends import LF\n\n\n" + RIGHT.replace('b"\\n"', "LF"), encoding="utf-8")
    assert run("check", "framing", str(file)).returncode == 0


def test_options_may_stand_anywhere(tmp_path: Path) -> None:
    """Before, between or after the words."""
    missing = str(tmp_path / "none.py")
    for words in (
        ["--json", "framing", missing],
        ["framing", "--json", missing],
        ["framing", missing, "--json"],
    ):
        failed = run("check", *words)
        assert (failed.returncode, failed.stdout) == (2, "") and "No such file" in failed.stderr
    assert "1 or more is needed" in run("check", "framing", "--hints", "0", missing).stderr


def test_judge_in_a_shell(tmp_path: Path) -> None:
    """It is listed, its stub printed, and a test in a file judged."""
    assert "judge      10 points" in run("exercises", "list").stdout
    file = tmp_path / "mine.py"
    file.write_text(run("exercises", "stub", "judge").stdout, encoding="utf-8")
    judged = run("check", "judge", str(file), "--json")
    assert (judged.returncode, judged.stderr) == (1, "")
    assert json.loads(judged.stdout)["score"] == 0
    file.write_text("def my_test():\n    pass\n", encoding="utf-8")
    assert run("check", "judge", str(file)).returncode == 2


def test_a_stub_from_the_shell_can_be_checked(tmp_path: Path) -> None:
    """`exercises stub` prints what to start from; unsolved it is a ✗, and nothing else."""
    assert run("exercises", "list").stdout.startswith("framing    10 points")
    file = tmp_path / "mine.py"
    stub = run("exercises", "stub", "framing")
    assert stub.returncode == 0
    file.write_text(stub.stdout, encoding="utf-8")
    result = run("check", "framing", str(file))
    assert (result.returncode, result.stderr) == (1, "")
    assert "not written yet" in result.stdout
    assert run("exercises", "stub", "dancing").returncode == 2


# --- judge ---


@pytest.fixture(scope="module")
def answer() -> Judgement:
    return until_judged(lambda: judge(dedent(JUDGE.answer)))


def test_the_model_test_catches_every_bug(answer: Judgement) -> None:
    """And accuses none of four right servers."""
    assert answer.ok and answer.score == answer.points == len(JUDGED) == 10
    assert sum(trial.right for trial in answer.trials) >= 4
    assert str(answer).count("✓") == len(answer.trials)


def test_a_test_that_accepts_everything() -> None:
    """It accuses no server, and catches none."""
    judgement = until_judged(lambda: judge(lambda address: None))
    assert (judgement.accused, judgement.caught, judgement.score) == (0, 0, 0)
    assert "catches 0 of 10 bugs" in str(judgement)


def test_a_test_that_accuses_every_server() -> None:
    """Points for bugs would be free: so it gets none, and is tried no further."""

    def no(address: tuple[str, int]) -> None:
        raise AssertionError("I do not like it <b>")

    judgement = until_judged(lambda: judge(no))
    assert judgement.score == 0
    assert all(trial.right and trial.accused for trial in judgement.trials)
    assert "accused: I do not like it <b>" in str(judgement)
    assert "like it &lt;b&gt;" in judgement._repr_html_()


def test_a_test_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is stopped, and told where it was."""
    monkeypatch.setattr(judging, "SECONDS", 1.0)
    judgement = until_judged(lambda: judge("def my_test(address):\n    while True:\n        pass\n"))
    assert "still at work after 1 s, in line" in str(judgement)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("def my_test(:", "SyntaxError"),
        ("x = 1", "defines no my_test"),
        ("my_test = 3", "not 3"),
        ("def my_test():\n    pass\n", "must take one argument"),
    ],
)
def test_a_test_that_cannot_be_run(source: str, why: str) -> None:
    """The reason instead of a table."""
    judgement = judge(source)
    assert why in judgement.unusable and why in str(judgement)
    assert judgement.score == 0 and not judgement


def test_one_false_accusation_costs_all_points() -> None:
    """The arithmetic, without running anything."""
    trials = [Trial("right one", True, True, "why"), *(Trial(name, False, True, "") for name in JUDGED)]
    assert Judgement(tuple(trials)).score == 0
    assert Judgement(tuple(trials[1:])).score == len(JUDGED)


def test_a_file_that_can_be_loaded_only_once() -> None:
    """Each step loads it anew. That this fails is the step's ✗, and no fault of the exercise."""
    once = "import threading\nassert not hasattr(threading, 'mine')\nthreading.mine = 1\n"
    result = judged("framing", once + FRAMING.solution)
    assert (result.held, result.failed) == (1, FRAMING.steps[1].name)
    assert "AssertionError" in str(result)


def test_a_file_that_checks_itself_is_checked_once() -> None:
    """What it calls there does nothing: else each check would start another."""
    ends = "from labkit.exercises import check, judge\nassert check('framing', Framing)\nassert judge(1)\n"
    assert check("framing", FRAMING.solution + ends).ok
