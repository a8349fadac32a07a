"""What `grade` makes of folders in which nothing was handed in, and of what is no file."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from labkit.exercises.classroom.found import BY_FILE, BY_FOLDER, Wanted, find

FRAMING = Wanted("framing", "Framing")


def handed_in(folder: Path, *names: str) -> Path:
    """This folder, with these files, each an answer."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("class Framing: ...\n")
    return folder


def test_an_empty_folder_is_a_row(tmp_path: Path) -> None:
    """Its student handed in nothing, and is not forgotten."""
    handed_in(tmp_path, "ann/x.py", "bob/x.py")
    for name in ("cy/deep", "__pycache__", ".git"):
        (tmp_path / name).mkdir(parents=True)
    found = {s.student: s for s in find([tmp_path], [FRAMING])}
    assert {name: bool(s.file) for name, s in found.items()} == {"ann": True, "bob": True, "cy": False}
    assert "has no file in it" in found["cy"].note
    by_folder = {s.student: s.file for s in find([tmp_path], [FRAMING], BY_FOLDER)}
    assert set(by_folder) == {"ann", "bob", "cy"} and by_folder["cy"] is None
    assert len(find([tmp_path], [FRAMING], BY_FILE)) == 1  # x.py twice, and no folder's name counts


def test_a_linked_folder_is_a_row(tmp_path: Path) -> None:
    """It is not followed, but its student is not forgotten."""
    handed_in(tmp_path, "ann/x.py", "bob/x.py")
    with contextlib.suppress(OSError):  # where links cannot be made, there are none
        (tmp_path / "dan").symlink_to(tmp_path / "ann")
        found = {s.student: s for s in find([tmp_path], [FRAMING])}
        assert found["dan"].file is None and "link" in found["dan"].note


def test_an_empty_folder_that_is_named_is_a_row(tmp_path: Path) -> None:
    """And the names of the others are still those of their folders."""
    for name in ("ann", "bob"):
        handed_in(tmp_path / name, "solution.py")
    (tmp_path / "cy").mkdir()
    named = find([tmp_path / name for name in ("ann", "bob", "cy")], [FRAMING])
    assert [(s.student, bool(s.file)) for s in named] == [("ann", True), ("bob", True), ("cy", False)]


def test_a_folder_beside_files_is_no_student(tmp_path: Path) -> None:
    """Where the files have the names, a folder may hold anything."""
    handed_in(tmp_path, "eve.py")
    (tmp_path / "notes").mkdir()
    assert [s.student for s in find([tmp_path], [FRAMING])] == ["eve"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no such files here")
def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    """Nobody would ever write into it."""
    os.mkfifo(tmp_path / "ann.py")
    (found,) = find([tmp_path / "ann.py"], [FRAMING])
    assert (found.file, found.student) == (None, "ann")
    assert "is no file" in found.note
