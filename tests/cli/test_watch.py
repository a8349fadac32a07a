"""watch.py and progress.py: a file that is checked when it is saved, and what is solved."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from programs import CLEAN, LABKIT, PATIENCE, Program

from labkit.cli.watch import Saved, _exercise_in, change
from labkit.exercises import NAMES, exercise_called
from labkit.exercises.progress import FILE, Best, remember, solved

FRAMING = exercise_called("framing")
RIGHT = FRAMING.solution
(HALF,) = (FRAMING.version(w) for w in FRAMING.wrong if w.name == "half a line is a message")


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path


# --- when a file has been saved ---


def write(path: Path, text: str) -> None:
    path.write_text(text)


def put_in_place(path: Path, text: str) -> None:
    """As vim and PyCharm save: another file takes its place."""
    path.with_name("my.py~").write_text(text)
    path.with_name("my.py~").replace(path)


def remove_and_write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("save", [write, put_in_place, remove_and_write])
def test_a_file_is_saved_once(save: Callable[[Path, str], None], tmp_path: Path) -> None:
    """However the editor does it: two looks that find it alike tell it, and no third."""
    path = tmp_path / "my.py"
    saved = Saved(path)
    assert [saved.anew() for _ in range(3)] == [False] * 3  # not there yet
    for text in "x = 1", "x = 22":
        save(path, text)
        assert [saved.anew() for _ in range(4)] == [False, True, False, False]


def test_a_file_is_not_read_while_it_is_written(tmp_path: Path) -> None:
    """As long as each look finds it longer, or not at all, it counts as being saved."""
    path = tmp_path / "my.py"
    saved = Saved(path)
    for length in range(1, 5):
        path.write_text("x" * length)
        assert not saved.anew()
    path.unlink()
    assert not saved.anew()
    path.write_text("x" * 9)
    assert [saved.anew(), saved.anew()] == [False, True]


def test_the_same_text_is_not_checked_again(tmp_path: Path) -> None:
    """Saved without a change, or touched, or away for a moment."""
    path = tmp_path / "my.py"
    path.write_text("x = 1")
    saved = Saved(path)
    assert [saved.anew(), saved.anew()] == [False, True]
    os.utime(path, (1e9, 1e9))
    assert [saved.anew() for _ in range(3)] == [False] * 3
    path.unlink()
    assert not saved.anew()
    path.write_text("x = 1")
    assert [saved.anew() for _ in range(3)] == [False] * 3


def test_the_change_is_told() -> None:
    assert change("framing", None, 2, 10) == "framing: 2 of 10 points"
    assert change("framing", 2, 10, 10) == "framing: 10 of 10 points, 8 more than before"
    assert change("framing", 10, 9, 10) == "framing: 9 of 10 points, 1 fewer than before"
    assert change("framing", 9, 9, 10) == "framing: 9 of 10 points, as before"


def test_the_exercise_is_found_by_its_name(inside: Path) -> None:
    """By what the file defines; of two exercises that ask for one name, by the file's."""
    write(Path("my.py"), RIGHT)
    assert _exercise_in(Path("my.py")) == "framing"
    for name in "my.py", "my_accept.py":
        write(Path(name), "def serve(listener): ...\n")
    assert _exercise_in(Path("my_accept.py")) == "accept"
    with pytest.raises(ValueError, match=r"accept or server: say which, as in .* watch accept my.py"):
        _exercise_in(Path("my.py"))
    write(Path("my.py"), "x = 1\n")
    with pytest.raises(ValueError, match="defines no name that an exercise asks for"):
        _exercise_in(Path("my.py"))


@pytest.mark.parametrize("words", [["framin", "my.py"], ["framing"], ["judge"]])
def test_what_cannot_be_watched(words: list[str], tmp_path: Path) -> None:
    """Status 2, and one line."""
    done = subprocess.run(
        [*LABKIT, "watch", *words], capture_output=True, text=True, timeout=PATIENCE, cwd=tmp_path
    )
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)


def notebook(code: str) -> str:
    cell: dict[str, object] = {
        "cell_type": "code",
        "metadata": {},
        "outputs": [],
        "execution_count": None,
        "source": code,
    }
    return json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


@pytest.mark.parametrize("name", ["my.py", "my.ipynb"])
def test_watching(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for the file, checks it after each save, and ends with Ctrl-C; a notebook, too."""
    file = tmp_path / name
    text = notebook if name.endswith(".ipynb") else str
    monkeypatch.chdir(tmp_path)  # the program's, too
    with Program(*LABKIT, "watch", name, environment=CLEAN) as watching:
        watching.until("it is not there yet")
        put_in_place(file, text(HALF))  # it may look at a file that is being written
        watching.until("framing: 2 of 10 points\n")
        put_in_place(file, text(RIGHT))
        watching.until("framing: 10 of 10 points, 8 more than before")
        put_in_place(file, text("class Framing(:"))
        watching.until("framing: 0 of 10 points, 10 fewer than before")
        watching.interrupt()
        assert watching.ends() == 0
        assert watching.complaints() == ""
        assert "\x1b" not in watching.said  # it clears nothing
    assert solved(tmp_path)["framing"].solved


# --- what is solved ---


def test_the_best_is_kept(inside: Path) -> None:
    """Fewer points than before change nothing; and an exercise that has changed its points counts anew."""
    assert solved() == {}
    for score in 2, 7, 5:
        remember("framing", score, 10)
    assert (solved()["framing"].score, solved()["framing"].solved) == (7, False)
    assert len((inside / FILE).read_text().splitlines()) == 2
    remember("framing", 10, 10)
    assert solved()["framing"].solved
    assert solved(inside)["framing"] == solved()["framing"]


@pytest.mark.parametrize(
    "rubbish",
    [b"", b"\xff\xfe\0", b"[", b"[]\n3\nnull\n", b'{"exercise": 1, "score": 1, "points": 1}', b"[" * 9999,
     b'{"exercise": "framing", "score": "9", "points": 10}\n', b'{"exercise": "framing", "sco'],
)  # fmt: skip
def test_a_broken_file_breaks_nothing(rubbish: bytes, inside: Path) -> None:
    """What cannot be read counts for nothing, and what comes after it counts."""
    (inside / FILE).write_bytes(rubbish)
    assert solved() == {}
    remember("framing", 3, 10)
    assert solved()["framing"].score == 3


def test_where_nothing_can_be_written(inside: Path) -> None:
    """No check fails because of it: a folder of that name, or no folder at all."""
    remember("framing", 3, 10, inside / "nowhere")
    (inside / FILE).mkdir()
    remember("framing", 3, 10)
    assert solved() == {}


def test_several_checks_at_once_lose_nothing(inside: Path) -> None:
    """A hundred, in four processes."""
    code = (
        "import sys; from labkit.exercises.progress import remember\n"
        "for n in range(25): remember(f'{sys.argv[1]}-{n}', 1, 1)"
    )

    def writes(number: int) -> None:
        subprocess.run([sys.executable, "-c", code, str(number)], check=True, timeout=PATIENCE)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(writes, range(4)))
    assert set(solved()) == {f"{process}-{n}" for process in range(4) for n in range(25)}
    assert all(isinstance(best, Best) and best.solved for best in solved().values())


def test_check_and_list(tmp_path: Path) -> None:
    """A check in the shell notes it, one as JSON does not; `exercises list` shows it."""

    def run(*words: str) -> str:
        command = [*LABKIT, *words]
        return subprocess.run(
            command, capture_output=True, encoding="utf-8", timeout=PATIENCE, cwd=tmp_path, env=CLEAN
        ).stdout

    (tmp_path / "my.py").write_text(HALF)
    run("check", "framing", "my.py", "--json")
    assert "solved" not in run("exercises", "list")
    run("check", "framing", "my.py")
    assert "2 points so far" in run("exercises", "list").splitlines()[0]
    (tmp_path / "my.py").write_text(RIGHT)
    run("check", "framing", "my.py")
    told = run("exercises", "list")
    assert told.splitlines()[0].endswith("✓ solved")
    assert f"1 of {len(NAMES) + 1} are solved" in told  # and the test that is to be written


IN_NOTEBOOK = f"""
import IPython
from labkit.exercises import check
from labkit.exercises.progress import solved
IPython.get_ipython = lambda: True
exec({RIGHT!r})
check("framing", Framing)
print(sorted(solved()))
"""


@pytest.mark.parametrize(
    ("environment", "told"), [({}, "['framing']"), ({"NBGRADER_EXECUTION": "autograde"}, "[]")]
)
def test_a_check_in_a_notebook_is_noted(environment: dict[str, str], told: str, tmp_path: Path) -> None:
    """By the student who runs it; not by nbgrader."""
    done = subprocess.run(
        [sys.executable, "-c", IN_NOTEBOOK], capture_output=True, text=True, timeout=PATIENCE, cwd=tmp_path,
        env={**CLEAN, **environment},
    )  # fmt: skip
    assert done.stdout.strip() == told, done.stderr
