"""The copy that `lab` lays: whole, unsolved, and over nobody's work."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest
from programs import LABKIT, PATIENCE

from labkit.exercises.grading.notebooks import NOTEBOOKS
from labkit.exercises.handout import own_copy, traces
from labkit.exercises.handout.own_copy import FIRST, LIST, CannotLay, lay

EXERCISE = "exercises/01_bytes_on_a_wire.ipynb"
PICTURE = "images/board.png"
MAP = "README.md"


def files(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a copy holds, its list too."""
    folder = tmp_path_factory.mktemp("laid")
    lay(folder)
    return files(folder)


@pytest.fixture
def copy(laid: dict[str, bytes], tmp_path: Path) -> Path:
    lay(tmp_path / "copy")
    return tmp_path / "copy"


def test_all_that_a_student_needs_is_there(laid: dict[str, bytes]) -> None:
    """Each notebook but the solutions, as if it had never been run; the map; each picture; and the list."""
    wanted = {path.relative_to(NOTEBOOKS).as_posix() for path in NOTEBOOKS.rglob("*.ipynb")}
    wanted = {name for name in wanted if not name.startswith(("solutions/", "."))}
    assert {FIRST, EXERCISE} < wanted
    assert {name for name in laid if name.endswith(".ipynb")} == wanted
    assert laid[PICTURE] == (NOTEBOOKS / PICTURE).read_bytes()
    assert set(laid) - wanted == {LIST, MAP, PICTURE}
    for name in wanted:
        notebook = nbformat.reads(laid[name].decode(), as_version=4)
        nbformat.validate(notebook)
        for cell in notebook.cells:
            assert not cell.get("outputs") and cell.get("execution_count") is None


def test_no_answer_is_there(laid: dict[str, bytes]) -> None:
    """Nor a line of one."""
    known = traces.of_all_exercises()
    for name, data in laid.items():
        assert name == PICTURE or known.left_in(name, data) == set(), name


def test_its_links_lead_into_it(laid: dict[str, bytes]) -> None:
    """Each relative one, of the map, of all notebooks, and of the pictures shown in them."""
    links = 0
    for name in laid:
        for text in prose(name, laid[name]):
            for link in re.findall(r"\]\(([^)#\s]+)|src=\"([^\"]+)", text):
                target = "".join(link)
                if not re.match(r"\w+:", target):
                    links += 1
                    assert os.path.normpath(os.path.join(os.path.dirname(name), unquote(target))) in laid
    assert links > 60


def prose(name: str, data: bytes) -> list[str]:
    """The Markdown in a file of the copy."""
    if not name.endswith(".ipynb"):
        return [data.decode()] if name.endswith(".md") else []
    cells = json.loads(data)["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]


def test_labkits_own_files_are_named_without_a_link(laid: dict[str, bytes]) -> None:
    """A copy may be anywhere, and labkit is where it is installed."""
    name = "03_who_are_you.ipynb"
    ours = "\n".join(prose(name, (NOTEBOOKS / name).read_bytes()))
    theirs = "\n".join(prose(name, laid[name]))
    assert "[`Handshake`](../labkit/server/handshake.py)" in ours
    assert "`Handshake` (in `labkit/server/handshake.py`)" in theirs


def test_a_second_time_changes_nothing(copy: Path, laid: dict[str, bytes]) -> None:
    """No file is written, the list either."""
    times = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
    assert lay(copy) == own_copy.Laid()
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*")} == times
    assert files(copy) == laid


def test_work_stays(copy: Path, laid: dict[str, bytes]) -> None:
    """What a student has changed, emptied, replaced by a link or a folder, or added; and it is told."""
    (copy / FIRST).write_bytes(b"my own")
    (copy / EXERCISE).write_bytes(b"")
    (copy / "notes.txt").write_bytes(b"mine")
    linked, folder = "02_a_thread_each.ipynb", "03_who_are_you.ipynb"
    (copy / folder).unlink()
    (copy / folder).mkdir()
    if os.name == "posix":
        (copy / linked).unlink()
        (copy / linked).symlink_to("notes.txt")
    else:
        (copy / linked).write_bytes(b"mine")
    before = files(copy)
    assert sorted(lay(copy).kept) == sorted([FIRST, EXERCISE, linked, folder])
    assert files(copy) == before


def test_what_is_missing_comes_back(copy: Path, laid: dict[str, bytes]) -> None:
    """A file that was deleted, and the list."""
    (copy / FIRST).unlink()
    shutil.rmtree(copy / "images")
    (copy / LIST).unlink()
    assert lay(copy) == own_copy.Laid(new=[FIRST, PICTURE])
    assert files(copy) == laid


def test_a_newer_kit_renews_what_was_not_touched(
    copy: Path, laid: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And of what was, the student's stays: also with the kit after that one."""
    (copy / EXERCISE).write_bytes(b"my own")
    for edition in (b"second", b"third"):
        newer = {name: edition for name in (FIRST, EXERCISE)}
        monkeypatch.setattr(own_copy, "contents", lambda newer=newer: iter(newer.items()))
        assert lay(copy) == own_copy.Laid(renewed=[FIRST], kept=[EXERCISE])
        assert files(copy) | {LIST: b""} == {**laid, **newer, EXERCISE: b"my own", LIST: b""}


@pytest.mark.parametrize("damaged", [b"", b"[]", b"{}", b'{"files": 3}', b"\xff"])
def test_a_list_that_cannot_be_read(damaged: bytes, copy: Path, laid: dict[str, bytes]) -> None:
    """Then all that differs counts as somebody's work."""
    (copy / LIST).write_bytes(damaged)
    (copy / FIRST).write_bytes(b"my own")
    assert lay(copy).kept == [FIRST]
    assert files(copy)[FIRST] == b"my own"


@pytest.mark.parametrize("own", [".", "exercises", "../labkit/cli", "../tests"])
def test_none_is_laid_into_labkit_itself(own: str) -> None:
    """Nor among the repository's notebooks and tests."""
    with pytest.raises(CannotLay, match="choose another folder"):
        lay(NOTEBOOKS / own)


def only_copy(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [*LABKIT, "lab", "--only-copy", *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, cwd=folder)


def test_the_command_finds_the_copy(tmp_path: Path) -> None:
    """Without DIR it is chat-lab; or the folder in which one stands, if that is a copy."""
    first = only_copy(tmp_path)
    copy = tmp_path / "chat-lab"
    count = len(list(own_copy.contents()))
    assert first.stdout == f"Your copy of the notebooks is {copy}: {count} files laid into it.\n"
    (copy / FIRST).write_bytes(b"my own")
    for folder in (tmp_path, copy):
        again = only_copy(folder)
        assert (again.returncode, again.stderr) == (0, "")
        assert again.stdout == f"Left as you have changed them: {FIRST}.\n"
    assert not (copy / "chat-lab").exists()
