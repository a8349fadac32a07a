"""A class's submissions, without running any: whose they are, the table, the pages, what is suspicious."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from support import need

from labkit.exercises import NAMES, exercise_called
from labkit.exercises.classroom.feedback import Pages, file_name, section
from labkit.exercises.classroom.found import AUTO, BY_FILE, BY_FOLDER, Wanted, find
from labkit.exercises.classroom.marking import Graded, with_twins
from labkit.exercises.classroom.overview import as_page, as_text, stands
from labkit.exercises.classroom.suspicion import findings
from labkit.exercises.classroom.table import COLUMNS, RIGHT, WRONG, NoTable, Row, Table, in_order, parsed
from labkit.exercises.grading.result import Failure, Result

FRAMING, ACCEPT = Wanted("framing", "Framing"), Wanted("accept", "serve")
ANSWER = "class Framing:\n    pass\n"
CELLS = '{"cells": [{"cell_type": "code", "source": ["x = 1\\n", "class Framing:\\n", "    pass"]}]}'


def folder(root: Path, *names: str, text: str = ANSWER) -> Path:
    """Files of these names, below root."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(CELLS if name.endswith(".ipynb") else text)
    return root


def owners(*paths: Path, by: str = AUTO, wanted: Sequence[Wanted] = (FRAMING,)) -> dict[str, str]:
    """The students' names, and the file of each."""
    return {s.student: s.file.name if s.file else "" for s in find(paths, wanted, by)}


# --- whose they are ---

LAYOUTS: dict[str, tuple[list[str], list[str]]] = {
    "a file each": (["ann.py", "bob.ipynb"], ["ann", "bob"]),
    "the exercise in the name": (
        ["ann_framing.py", "framing-bob.py", "Framing.cy.py"],
        ["ann", "bob", "cy"],
    ),
    "a folder each": (["ann/framing.py", "bob/deep/er/my.py"], ["ann", "bob"]),
    "a folder around all": (["export/ann/x.py", "export/bob/x.py"], ["ann", "bob"]),
    "nbgrader": (["ann/wires/01.ipynb", "bob/wires/01.ipynb"], ["ann", "bob"]),
    "Moodle": (
        ["Ann Lee_12345_assignsubmission_file_/x.py", "Bob_12_assignsubmission_file_/f/x.ipynb"],
        ["Ann Lee", "Bob"],
    ),
    "Moodle, files": (["Ann Lee_12345_assignsubmission_file_x.py"], ["Ann Lee"]),
    "Moodle, one student": (["Ann Lee_12345_assignsubmission_file_/x.py"], ["Ann Lee"]),
    "Canvas": (["leeann_123_4567_framing.py", "doebob_LATE_12_34_x.ipynb"], ["doebob", "leeann"]),
    "Blackboard": (["Lab 1_alee_attempt_2026-11-29-10-00-00_x.py"], ["alee"]),
    "Brightspace": (["12-34 - Ann Lee - Nov 29, 2026 1145 PM/x.py"], ["Ann Lee"]),
    "what editors make": (["ann.PY", "bob.py.txt", "cy.ipynb.json"], ["ann", "bob", "cy"]),
    "what is no one's": (
        ["ann.py", ".x.py", "__MACOSX/ann.py", "ann/__pycache__/q.py", "README.md"],
        ["ann"],
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_student_is_found(layout: str, tmp_path: Path) -> None:
    """As a learning platform puts it into the name, else as the folder, else as the file."""
    names, students = LAYOUTS[layout]
    assert sorted(owners(folder(tmp_path, *names))) == students


def test_two_of_one_name_stay_apart(tmp_path: Path) -> None:
    """By the platform's number; or by the folder that was named, if each has an answer in it."""
    moodle = folder(
        tmp_path / "m", "Ann_1_assignsubmission_file_/x.py", "Ann_2_assignsubmission_file_/y.py"
    )
    assert owners(moodle) == {"Ann (1)": "x.py", "Ann (2)": "y.py"}
    one, two = (folder(tmp_path / name, "ann/x.py", "bob/x.py") for name in ("A", "B"))
    assert set(owners(one, two)) == {"A/ann", "B/ann", "A/bob", "B/bob"}


def test_one_of_two_folders_is_one_student(tmp_path: Path) -> None:
    """Where each of them has another exercise."""
    one = folder(tmp_path / "one", "ann.py", "bob.py")
    two = folder(tmp_path / "two", "ann.py", "bob.py", text="def serve(listener): ...\n")
    found = find([one, two], [FRAMING, ACCEPT])
    assert [(s.student, s.exercise) for s in found] == [
        (student, exercise) for student in ("ann", "bob") for exercise in ("framing", "accept")
    ]
    assert all(s.file for s in found)


def test_a_folder_for_each_student_may_be_named(tmp_path: Path) -> None:
    """`submitted/*`, as the shell writes it out; and a single student's folder by its exercises."""
    for name in ("ann", "bob"):
        folder(tmp_path / name, "my.py")
    assert set(owners(tmp_path / "ann", tmp_path / "bob")) == {"ann", "bob"}
    assert set(owners(folder(tmp_path / "cy", "framing.py"))) == {"cy"}


def test_the_teacher_may_say_where_the_name_is(tmp_path: Path) -> None:
    """--student file, and --student folder."""
    folder(tmp_path, "group1/ann/x.py", "group2/bob/x.py")
    assert set(owners(tmp_path, by=BY_FOLDER)) == {"ann", "bob"}
    folder(tmp_path / "flat", "g1/ann.py", "g2/bob.py")
    assert set(owners(tmp_path / "flat", by=BY_FILE)) == {"ann", "bob"}


def test_the_right_one_of_several_files(tmp_path: Path) -> None:
    """What defines the name; of several, what is called like the exercise; then the newest. It is noted."""
    folder(tmp_path / "ann", "notes.py", text="x = 1\n")
    folder(tmp_path / "ann", "old.py", "new.py")
    os.utime(tmp_path / "ann/old.py", (1e9, 1e9))
    (found,) = find([tmp_path], [FRAMING])
    assert found.file == tmp_path / "ann/new.py"
    assert "old.py" in found.note
    assert dict(found.beside).keys() == {"notes.py", "old.py"}
    folder(tmp_path / "ann", "framing.py")
    os.utime(tmp_path / "ann/framing.py", (1e9, 1e9))
    assert owners(tmp_path) == {"ann": "framing.py"}


def test_each_exercise_has_its_file(tmp_path: Path) -> None:
    """A row for each, also where there is nothing."""
    folder(tmp_path / "ann", "a.py")
    folder(tmp_path / "ann", "b.py", text="def serve(listener): ...\n")
    folder(tmp_path / "bob", "a.py")
    (tmp_path / "bob" / "c.py").write_text("x = 1")
    folder(tmp_path, "cy/report.pdf", "dora/x.py")
    found = {(s.student, s.exercise): s for s in find([tmp_path], [FRAMING, ACCEPT])}
    assert len(found) == 8
    assert found["ann", "accept"].file == tmp_path / "ann/b.py"
    assert found["bob", "accept"].file is None
    assert "serve" in found["bob", "accept"].note
    assert "report.pdf" in found["cy", "framing"].note


def test_text_in_other_encodings_is_searched(tmp_path: Path) -> None:
    """UTF-16, as an older PowerShell writes it."""
    folder(tmp_path / "ann", "x.py", text="")
    (tmp_path / "ann/y.py").write_bytes("class Framing: ...\r\n".encode("utf-16"))
    assert owners(tmp_path) == {"ann": "y.py"}


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """It may lead to a file of the teacher's, and a page would show that."""
    secret = folder(tmp_path / "mine", "secret.py") / "secret.py"
    folder(tmp_path / "in", "bob/x.py")
    (tmp_path / "in/ann").mkdir()
    try:
        (tmp_path / "in/ann/x.py").symlink_to(secret)
    except OSError:
        need(False, "links cannot be made here")
    found = {s.student: s for s in find([tmp_path / "in"], [FRAMING])}
    assert found["ann"].file is None
    assert "link" in found["ann"].note


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser can open every folder")
def test_a_folder_that_cannot_be_opened_is_a_row(tmp_path: Path) -> None:
    """Its student is not forgotten."""
    folder(tmp_path, "ann/x.py", "bob/x.py")
    (tmp_path / "ann").chmod(0)
    try:
        found = {s.student: s for s in find([tmp_path], [FRAMING])}
    finally:
        (tmp_path / "ann").chmod(0o700)
    assert found["ann"].file is None and found["ann"].note
    assert found["bob"].file


# --- the table ---


def row(student: str = "ann", **more: Any) -> Row:
    return Row(student, "framing", **{"points": 3, "of": 10, "state": WRONG, **more})


NASTY = [
    "=1+1",
    "+1",
    "-1",
    "@x",
    "\t=1",
    "'=1",
    "''@",
    "\uff1dx",
    "a,b;c",
    'say "x"',
    "two\nlines",
    "жук",
    "\x1b[2J",
]


@pytest.mark.parametrize("name", NASTY)
def test_no_cell_is_a_formula(name: str) -> None:
    """Whatever a student is called, a spreadsheet computes nothing, and the table is read as it was."""
    text = in_order([row(name, suspicious=name)])
    cells = list(csv.reader(io.StringIO(text)))[1]
    for cell in cells[0], cells[COLUMNS.index("suspicious")]:
        assert cell[:1] not in ("=", "+", "-", "@", "\uff1d", "\t", "\x1b"), cell
        assert "\n" not in cell
    (again,) = parsed(text)
    assert again.key == row(name).key
    assert in_order([again]) == text


def test_the_table_opens_in_excel(tmp_path: Path) -> None:
    """UTF-8 with a BOM, CR LF; and what Excel saves in another country is read, too."""
    table = Table(tmp_path / "g.csv")
    table.put(row("Ödön", seconds=1.5))
    table.write()
    data = (tmp_path / "g.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbfstudent,exercise,points,of,step,bug,")
    assert data.count(b"\r\n") == data.count(b"\n") == 2
    saved = data.decode("utf-8-sig").replace(",", ";").replace("1.5", "1,5")
    assert parsed(saved) == [row("Ödön", seconds=1.5)]
    assert [entry.name for entry in tmp_path.iterdir()] == ["g.csv"]


@pytest.mark.parametrize(
    "text", ["name,mark\nann,3\n", "student,exercise\n", "student,exercise,x\n1,2,3,4\n", "\xff"]
)
def test_another_file_is_not_overwritten(text: str, tmp_path: Path) -> None:
    """What is no table of grades stays as it is."""
    path = tmp_path / "g.csv"
    path.write_bytes(text.encode("latin-1"))
    if text == "student,exercise\n":  # it has no rows: nothing is lost
        Table(path).read()
        return
    with pytest.raises(NoTable):
        Table(path).read()
    assert path.read_bytes() == text.encode("latin-1")


def test_twins_are_noted() -> None:
    """The same file from several students, in the rows of all of them, and once."""
    rows = [row("ann", sha256="1"), row("bob", sha256="1", note="kept"), row("cy", sha256="2"), row("dora")]
    for _ in range(2):
        rows = with_twins(rows)
    assert [r.note for r in rows] == ["the same file as bob", "kept; the same file as ann", "", ""]


# --- the pages ---

EVIL = "<script>alert(1)</script><!-- labkit end --><img src=x onerror=y>&\u202e"


def graded(student: str, source: str = "", **more: Any) -> Graded:
    exercise = exercise_called("framing")
    result = Result(exercise, 2, Failure(EVIL, EVIL, printed=EVIL, at=(EVIL,)))
    return Graded(row(student, file=f"in/{EVIL}.py", **more), result, source)


def test_all_that_a_student_wrote_is_escaped(tmp_path: Path) -> None:
    """Name, code, file's name and what it printed: none of it is markup, or ends a section."""
    pages = Pages(tmp_path)
    pages.put(graded(EVIL, EVIL, sha256="12"))
    text = pages.path(EVIL).read_text(encoding="utf-8")
    assert text.count("<!-- labkit end -->") == 1
    assert set(re.findall(r"<(script|img)", text)) == set()
    assert "\u202e" not in text
    overview = as_page([graded(EVIL, suspicious=EVIL, note=EVIL).row])
    assert not re.search(r"<(script|img)|\u202e", overview)


def test_a_page_needs_nothing_else(tmp_path: Path) -> None:
    """No other file, no program, both colours; all hints, and the code, line by line."""
    pages = Pages(tmp_path)
    pages.put(graded("ann", "class Framing:\n    pass\n"))
    text = pages.path("ann").read_text(encoding="utf-8")
    assert "default-src 'none'" in text and "prefers-color-scheme: dark" in text
    assert not re.search(r"<[^>]*(src|href)=|url\(|@import|<script|<link", text)
    hints = exercise_called("framing").steps[2].hints
    assert all(f"Hint {n} of {len(hints)}" in text for n in range(1, len(hints) + 1))
    assert ".hint()" not in text
    assert "<span>1</span>  class Framing:" in text


def test_a_page_keeps_its_other_exercises(tmp_path: Path) -> None:
    """A section for each exercise; a new one takes the place of the old."""
    pages = Pages(tmp_path)
    pages.put(graded("ann", sha256="1"))
    other = Row("ann", "accept", 0, 10, state="missing", note="nothing was handed in")
    pages.put(Graded(other))
    pages.put(graded("ann", sha256="2"))
    assert set(pages.sections("ann")) == {("framing", "2"), ("accept", "")}
    assert "nothing was handed in" in section(Graded(other))


def test_pages_of_no_two_students_are_one_file() -> None:
    """On any system: capitals, marks, names that Windows keeps for itself, and very long ones."""
    students = [
        "ann",
        "Ann",
        "ANN",
        "a/b",
        "a\\b",
        "a:b",
        "con",
        "index",
        "",
        ".",
        "..",
        "x" * 300,
        "x" * 301,
        "жук",
    ]
    names = [file_name(student) for student in students]
    assert len({name.lower() for name in names}) == len(students)
    for name in names:
        assert re.fullmatch(r"[\w\-]{1,80}\.html", name)
        assert name.lower() not in ("con.html", "index.html")


def test_the_overview_counts_steps() -> None:
    """How many reached a step, and how many failed there, with which bugs."""
    names = [f"{n}. {step.name}" for n, step in enumerate(exercise_called("framing").steps, 1)]
    rows = [
        row("a", step=names[0]),
        row("b", step=names[2], bug="too early"),
        row("c", state=RIGHT, points=10),
    ]
    rows += [
        row("d", step=names[2], bug="too early"),
        row("e", state="not readable", suspicious="line 1: x"),
    ]
    found = stands("framing", rows)
    assert [(s.reached, s.failed) for s in found[:4]] == [(4, 1), (3, 0), (3, 2), (1, 0)]
    assert found[2].bugs == (("too early", 2),)
    text = as_text(rows)
    assert "5 students, 1 right, median 3 of 10 points" in text
    assert re.search(r"3\. .* 2 of 3 .*too early 2", text)
    assert "not readable 1" in text and "suspicious: e, line 1: x" in text


# --- suspicious ---

HONEST = """
    import socket, socketserver, sys, threading, os, re, inspect_me, traceback
    from labkit.exercises import check
    "labkit is a docstring here"
    pattern = re.compile("x")
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    class Framing:
        '''Not labkit's.'''
        def __init__(self): self.rest, self.open = b"", True
        def __eq__(self, other): return self.rest == other.rest
        def do(self, name): return getattr(self, "do_" + name)()
        def feed(self, data):
            r, w = os.pipe(); os.write(w, b"x"); sys.stdout.flush()
            return []
    if __name__ == "__main__":
        from labkit import ChatServer
        print(check("framing", Framing))
"""

TRICKS = [
    "from labkit.exercises.catalogue.framing import EXERCISE",
    "from labkit.exercises import exercise_called",
    "from labkit.exercises import check, exercise_called",
    "from labkit.exercises import *",
    "import labkit.exercises.catalogue as c",
    "import labkit",
    "from labkit.wire.framing import Lines",
    "from labkit import ChatServer as serve",
    "m = __import__('lab' + 'kit')",
    "import importlib",
    "import sys as s; s.modules",
    "from sys import modules",
    "import sys; getattr(sys, 'mod' + 'ules')",
    "import sys; getattr(sys, 'modules')",
    "import sys; vars(sys)",
    "import sys; sys._getframe(1)",
    "import gc",
    "import inspect",
    "import ctypes",
    "from ctypes import CDLL",
    "import os; os._exit(0)",
    "from os import _exit as leave",
    "import os; os.write(3, b'{}')",
    "import os as o; o.fdopen(4, 'w')",
    "open(3, 'w')",
    "open('/x/labkit/exercises/catalogue/framing.py')",
    "p = f'{1}/labkit/exercises'",
    "open('/proc/self/fd/3')",
    "eval('1')",
    "exec(x)",
    "check.__globals__['x']",
    "getattr(check, '__globals__')",
    "error.__traceback__.tb_frame.f_back",
    "object.__subclasses__()",
    "class All:\n    def __eq__(self, other):\n        return True",
    "class All:\n    __eq__ = lambda self, other: True",
    "import time; time.sleep = lambda s: None",
    "import threading; threading.Thread.start = print",
    "import subprocess",
    "import os; os.fork()",
    "import os; os.execv('x', [])",
    "__name__ = '__main__'\nif __name__ == '__main__':\n    import labkit",
]


@pytest.mark.parametrize("trick", TRICKS)
def test_a_trick_is_suspicious_with_its_line(trick: str) -> None:
    """Three lines further down, the line is another, and its text is told."""
    found = findings(f"x = 1\n\n\n{trick}\n")
    assert found, trick
    at = found[0].line - 4
    assert 0 <= at < len(trick.splitlines())
    assert f"line {found[0].line}: {trick.splitlines()[at].strip()[:30]}" in str(found[0])


def test_what_is_honest_is_not_suspicious() -> None:
    """Common modules, a check at the end of the file, an __eq__ that compares."""
    assert findings(dedent(HONEST)) == []
    assert findings("def f(:") == findings("") == findings("(" * 5000) == []


@pytest.mark.parametrize("name", NAMES)
def test_no_version_of_an_exercise_is_suspicious(name: str) -> None:
    """Right or wrong, they are what students write."""
    exercise = exercise_called(name)
    sources = [exercise.solution, exercise.stub, *map(exercise.other, exercise.others)]
    sources += [exercise.version(wrong) for wrong in exercise.wrong]
    assert [finding for source in sources for finding in findings(source)] == []
