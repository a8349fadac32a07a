"""grade.py, classroom/ and guard.py: a class is graded, whatever its students have handed in."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from time import monotonic, sleep

import psutil
import pytest
from programs import CLEAN, LABKIT, PATIENCE, OnTerminal, Program, still_run
from support import need

from labkit.exercises import exercise_called
from labkit.exercises.classroom import marking
from labkit.exercises.classroom.found import Submission
from labkit.exercises.classroom.marking import Room, grade, graded
from labkit.exercises.classroom.table import NOT_JUDGED, Row
from labkit.exercises.grading.result import Result
from labkit.probe.patience import cores

FRAMING = exercise_called("framing")
RIGHT = FRAMING.solution
(WRONG,) = (FRAMING.version(w) for w in FRAMING.wrong if w.name == "half a line is a message")
HERE = "import os, time\n"
"""Starts a submission that does something as it is loaded."""


def run(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Grade in this folder, to the end."""
    command = [*LABKIT, "grade", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, cwd=cwd, env=CLEAN, encoding="utf-8"
    )


def rows(path: Path) -> dict[str, dict[str, str]]:
    """The rows of a table by the student."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


def submitted(folder: Path, text: str, name: str = "my.py") -> Submission:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return Submission("ann", "framing", "Framing", path, name)


def judged(folder: Path, text: str) -> Row:
    """What it came to. A machine may be too busy to tell: then again, a few times."""
    for _ in range(5):
        row = graded(submitted(folder, text)).row
        if row.state != NOT_JUDGED:
            break
    return row


# --- the command ---

HANDED_IN = {
    "right.py": (RIGHT, "right", "10"),
    "wrong.py": (WRONG, "wrong", "2"),
    "name.py": ("class Framer: ...\n", "name missing", "0"),
    "syntax.py": ("class Framing(:\n", "not loaded", "0"),
    "error.py": ("1 / 0\nclass Framing: ...\n", "not loaded", "0"),
    "picture.py": ("\x89PNG\r\n\x1a\n", "not readable", "0"),
    "exits.py": (RIGHT + "\nimport os\nos._exit(0)\n", "crashed", "0"),
    "self.py": (
        RIGHT + "\nfrom labkit.exercises import check\nassert check('framing', Framing)\n",
        "right",
        "10",
    ),
    "dana/report.pdf": ("%PDF", "missing", "0"),
}


@pytest.fixture(scope="module")
def graded_class(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The folder in which these were graded, and what the command said."""
    folder = tmp_path_factory.mktemp("class")
    for name, (text, _, _) in HANDED_IN.items():
        path = folder / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("latin-1"))
    return folder, run("framing", "in", "--csv", "g.csv", "--feedback", "out", "--jobs", "2", cwd=folder)


Class = tuple[Path, subprocess.CompletedProcess[str]]


@pytest.mark.parametrize("name", HANDED_IN)
def test_each_has_a_row_whatever_happened(name: str, graded_class: Class) -> None:
    """With its state, its points, and a page."""
    folder, _ = graded_class
    student, (_, state, points) = name.partition("/")[0].removesuffix(".py"), HANDED_IN[name]
    row = rows(folder / "g.csv")[student]
    assert (row["state"], row["points"], row["of"]) == (state, points, "10")
    assert bool(row["sha256"]) == (state != "missing")
    assert (folder / "out" / f"{student}.html").read_text(encoding="utf-8").count("<section") == 1


def test_the_command_tells_where_the_class_stands(graded_class: Class) -> None:
    """Step by step, and what could not be judged; in a pipe no bar. Nothing else is left in the folder."""
    folder, done = graded_class
    assert done.returncode == 1  # one cannot be read
    assert "9 students, 2 right" in done.stdout
    assert "3. a line in two pieces is one message" in done.stdout
    assert done.stderr.splitlines() == [line for line in done.stderr.splitlines() if "picture" in line]
    assert len(rows(folder / "g.csv")) == len(HANDED_IN)
    assert "suspicious: exits, line " in done.stdout
    assert sorted(path.name for path in folder.iterdir()) == ["g.csv", "in", "out"]
    assert "right.html#framing" in (folder / "out/index.html").read_text(encoding="utf-8")


def test_a_second_run_judges_only_what_is_new(graded_class: Class) -> None:
    """Known by its hash; --again judges everything anew. Rows of others stay."""
    folder, _ = graded_class
    before = rows(folder / "g.csv")
    (folder / "in/wrong.py").write_text(RIGHT, encoding="utf-8")
    done = run("framing", "in", "--csv", "g.csv", "--feedback", "out", cwd=folder)
    after = rows(folder / "g.csv")
    assert {name for name in after if after[name] != before[name]} == {"wrong", "right"}  # twins now
    assert after["wrong"]["state"] == "right"
    assert f"{len(HANDED_IN) - 2} of them from an earlier run" in done.stdout
    done = run("framing", "in/right.py", "--csv", "g.csv", "--again", cwd=folder)
    assert "earlier run" not in done.stdout
    assert "right  framing" not in done.stdout
    done = run("framing", "in/right.py", cwd=folder)  # without a table it prints one
    assert "right  framing    10 of 10  right\n" in done.stdout
    assert rows(folder / "g.csv").keys() == before.keys()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["framin", "in"], "did you mean 'framing'?"),
        (["framing"], "Name files, or folders"),
        (["framing", "nowhere"], "no file or folder nowhere"),
        (["framing", "empty"], "no .py and no .ipynb"),
        (["framing", "in", "--csv", "other.csv"], "no table of grades"),
        (["framing", "in", "--csv", "no/where.csv"], "there is no folder"),
        (["framing", "in", "--jobs", "0"], "1 or more"),
    ],
)
def test_nothing_to_grade(words: list[str], why: str, tmp_path: Path) -> None:
    """Status 2, one line that says why, and nothing is written."""
    (tmp_path / "in").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "in/ann.py").write_text(RIGHT)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    done = run(*words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert why in done.stderr and len(done.stderr.splitlines()) == 1
    assert (tmp_path / "other.csv").read_text() == "a,b\n1,2\n"


def test_what_was_judged_survives_ctrl_c(tmp_path: Path) -> None:
    """The rows so far are in the table; no process runs on; the same command goes on with the rest."""
    waits = HERE + "open(os.environ['READY'], 'w').write(str(os.getpid()))\ntime.sleep(100)\n" + RIGHT
    (tmp_path / "in").mkdir()
    for name, text in {"a": RIGHT, "b": RIGHT + "# b\n", "c": waits}.items():
        (tmp_path / f"in/{name}.py").write_text(text)
    ready = tmp_path / "ready"
    words = [
        *LABKIT,
        "grade",
        "framing",
        str(tmp_path / "in"),
        "--csv",
        str(tmp_path / "g.csv"),
        "--jobs",
        "1",
    ]
    with Program(*words, environment={**CLEAN, "READY": str(ready)}) as grading:
        until(lambda: ready.exists() and ready.read_text() != "")
        waiting = psutil.Process(int(ready.read_text()))
        grading.interrupt()
        assert grading.ends() == 128 + signal.SIGINT
        assert "2 of 3 were judged" in grading.complaints()
    assert still_run([waiting]) == []
    assert set(rows(tmp_path / "g.csv")) == {"a", "b"}
    (tmp_path / "in/c.py").write_text(RIGHT + "# c\n")
    done = run("framing", "in", "--csv", "g.csv", cwd=tmp_path)
    assert done.returncode == 0
    assert set(rows(tmp_path / "g.csv")) == {"a", "b", "c"}
    assert "2 of them from an earlier run" in done.stdout


def test_a_terminal_shows_a_bar(tmp_path: Path) -> None:
    """How many of how many; on standard error, if that is the terminal."""
    need(os.name == "posix", "this system has no pseudo-terminals")
    (tmp_path / "ann.py").write_text(RIGHT)
    line = " ".join([sys.executable, "-m", "labkit", "grade", "framing", str(tmp_path / "ann.py"), "2>&1"])
    with OnTerminal("/bin/sh", "-c", line) as grading:
        grading.until("0/1")
        grading.until("1 right")
        assert grading.ends() == 0


def until(holds: object) -> None:
    """Wait until it does."""
    assert callable(holds)
    give_up = monotonic() + PATIENCE
    while not holds():
        assert monotonic() < give_up
        sleep(0.01)


# --- one submission hurts no other ---


def test_it_runs_in_a_folder_of_its_own(tmp_path: Path) -> None:
    """With the student's other files, and none of another's; what it leaves is gone."""
    (tmp_path / "helper.py").write_text("where = 1\n")
    other = tmp_path / "other"
    other.mkdir()
    (other / "secret.py").write_text("")
    text = (
        "import os, tempfile, helper\nassert helper.where == 1\n"
        "assert os.path.dirname(__file__) == os.getcwd() == tempfile.gettempdir()\n"
        "assert not os.path.exists('secret.py')\nopen('left', 'w').write('x')\n"
        f"open({str(tmp_path / 'where')!r}, 'w').write(os.getcwd())\n"
    )
    found = submitted(tmp_path, text + RIGHT)
    beside = (("helper.py", tmp_path / "helper.py"),)
    done = graded(Submission("ann", "framing", "Framing", found.file, "my.py", beside))
    assert done.row.state == "right", done.found
    assert not Path((tmp_path / "where").read_text()).exists()


ESCAPES = (
    HERE + "import subprocess, sys\n"
    "command = [sys.executable, '-c', 'import time; time.sleep(1000)']\n"
    "child = subprocess.Popen(command, start_new_session=True)\n"
    "open({file!r}, 'a').write(str(child.pid) + ' ')\n"
)


def test_what_leaves_its_group_is_ended_too(tmp_path: Path) -> None:
    """A process in a session of its own does not outlive the check. And it is told, with the line."""
    pid = tmp_path / "pid"
    row = judged(tmp_path, ESCAPES.format(file=str(pid)) + RIGHT)
    assert row.state == "right"
    assert "line 2: import subprocess" in row.suspicious
    assert "line 4: starts processes, as it runs" in row.suspicious
    left = map(int, pid.read_text().split())
    assert still_run([psutil.Process(number) for number in left if psutil.pid_exists(number)]) == []


def test_a_fork_bomb_is_bounded(tmp_path: Path) -> None:
    """It ends by itself, with few processes, and none is left. A check may be done twice."""
    need(hasattr(os, "fork"), "this system has no fork")
    log = tmp_path / "log"
    bomb = (
        f"{HERE}first = os.getpid()\nwhile True:\n    os.fork()\n"
        f"    open({str(log)!r}, 'a').write(f'{{first}} ')\n"
    )
    row = judged(tmp_path, bomb + RIGHT)
    # Its own processes make the machine busy: as it may be too busy to tell, so it may here.
    assert row.state in ("not loaded", "crashed", "timed out", "not judged")
    for forks in Counter(log.read_text().split()).values():
        assert forks <= 2 * 2**6
    assert "os.fork()" in row.suspicious


def test_a_file_that_grows_is_bounded(tmp_path: Path) -> None:
    """A disk is not filled."""
    need(sys.platform == "linux", "no bound of files here")
    size = tmp_path / "size"
    text = (
        "import os\nsize = 0\ntry:\n    with open('big', 'wb') as big:\n        while size < 1000:\n"
        "            size += big.write(b'x' * 1_000_000) // 1_000_000\n"
        f"finally:\n    open({str(size)!r}, 'w').write(str(size))\n"
    )
    assert judged(tmp_path, text + RIGHT).state == "not loaded"
    assert int(size.read_text()) <= 101


SNEAKS: dict[str, tuple[str, str]] = {
    "opens an answer": (
        "import socket, os, sys\nhome = [p for p in sys.path if os.path.isdir(p + '/lab' + 'kit')][0]\n"
        "text = open(home + '/lab' + 'kit/exercises/catalogue/framing.py').read()\n",
        "line 3: opens framing.py of the checker, as it runs",
    ),
    "looks at frames": (
        "import sys\nlook = sys.__dict__['_get' + 'frame']\nlook(0)\n",
        "line 3: looks into the running program, as it runs",
    ),
    "imports by a built name": (
        "import builtins as b\nb.__dict__['__imp' + 'ort__']('lab' + 'kit.peers.queues')\n",
        "line 2: imports labkit.peers.queues, as it runs",
    ),
}


@pytest.mark.parametrize("trick", SNEAKS)
def test_what_no_reader_finds_is_noticed_as_it_runs(trick: str, tmp_path: Path) -> None:
    """The line is told; the points are what the code earns."""
    text, told = SNEAKS[trick]
    row = judged(tmp_path, text + RIGHT)
    assert told in row.suspicious, row
    assert row.points == 10


@pytest.mark.parametrize("text", [RIGHT, FRAMING.other(next(iter(FRAMING.others)))])
def test_an_honest_one_is_not_suspicious(text: str, tmp_path: Path) -> None:
    """Nor one that prints a traceback, for which Python opens the files in which the error passed."""
    noisy = (
        "import traceback, logging, tempfile, collections\ncollections.namedtuple('P', 'x')\n"
        "try:\n    1 / 0\nexcept ZeroDivisionError:\n    traceback.print_exc(); logging.exception('x')\n"
        "traceback.print_stack()\nlogging.warning('%s', tempfile.mkdtemp())\n"
    )
    row = judged(tmp_path, noisy + text)
    assert (row.state, row.suspicious) == ("right", "")


# --- how many at once ---


def test_the_machine_says_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """One always; up to the cores at once; more while they are idle; none without memory."""
    monkeypatch.setattr(marking, "MEMORY", 0)  # whatever other programs have taken of it
    room = Room(None)
    at_once = cores()
    assert room.for_one_more(0) and (at_once == 1 or room.for_one_more(at_once - 1))
    monkeypatch.setattr(room, "_idle", lambda: True)
    assert room.for_one_more(at_once) and not room.for_one_more(room.most)
    monkeypatch.setattr(room, "_idle", lambda: False)
    assert not room.for_one_more(at_once)
    monkeypatch.setattr(marking, "MEMORY", 1 << 62)
    assert room.for_one_more(0) and not room.for_one_more(1)
    assert Room(3).for_one_more(2) and not Room(3).for_one_more(3)


def test_what_is_not_judged_is_tried_again_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end, when nothing else runs; if the machine is still too busy, the row says so."""
    tried: list[str] = []

    def check(name: str, code: str, **more: object) -> Result:
        which = code.split()[1]
        tried.append(which)
        result = Result(FRAMING, 0)
        busy = which == "never" or which == "later" and tried.count("later") == 1
        result.not_judged = "the machine was busy" if busy else ""
        return result

    monkeypatch.setattr(marking, "check", check)
    names = ["later", "never", "at-once"]
    submissions = [submitted(tmp_path, f"# {name}\n", f"{name}.py") for name in names]
    done = {Path(one.row.file).stem: one.row for one in grade(submissions, 2)}
    assert {name: row.state for name, row in done.items()} == {
        "later": "right", "never": NOT_JUDGED, "at-once": "right",
    }  # fmt: skip
    assert done["never"].points == 0
    assert sorted(tried) == ["at-once", "later", "later", "never", "never"]


def test_a_fault_of_ours_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the others are judged all the same."""

    def check(name: str, code: str, **more: object) -> Result:
        if "bad" in code:
            raise RuntimeError("the exercise is broken itself")
        return Result(FRAMING, len(FRAMING.steps))

    monkeypatch.setattr(marking, "check", check)
    submissions = [submitted(tmp_path, f"# {name}\n", f"{name}.py") for name in ("bad", "good")]
    done: Sequence[Row] = [one.row for one in grade(submissions, 2)]
    assert {Path(row.file).stem: row.state for row in done} == {"bad": "broken", "good": "right"}
    assert any("the exercise is broken itself" in row.note for row in done)
