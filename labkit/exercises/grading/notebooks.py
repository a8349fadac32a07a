"""The notebooks of exercises and of solutions, both from one source: `python -m labkit exercises build`.

Each chapter has two, alike but for what a student writes: in `solutions/` it is there, between marks; in
`exercises/` it is cut out. The cells carry nbgrader's metadata (schema 3), so that a folder of solutions is
a source assignment as it is: nbgrader cuts out the same parts.

It writes JSON, without Jupyter's packages.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

from labkit.exercises.catalogue import NAMES, exercise_called
from labkit.exercises.catalogue.judge import JUDGE
from labkit.exercises.exercise import Exercise, Task

PACKAGE = Path(__file__).resolve().parents[2]

INSTALLED = (PACKAGE / "notebooks").is_dir()
"""Whether the walkthrough is in the package, where setup.py puts it; else it stands beside."""

NOTEBOOKS = (PACKAGE if INSTALLED else PACKAGE.parent) / "notebooks"
"""Where the walkthrough is; in the repository, those of exercises, too."""

Cell = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Chapter:
    """A notebook of exercises: its file's name, its title, what is said at its start, what comes next."""

    stem: str
    title: str
    start: str
    then: tuple[str, str] | None = None  # the next chapter: its file's name, and its title


CHAPTERS = (
    Chapter(
        "01_bytes_on_a_wire",
        "Bytes on a wire",
        "Of 170 student servers, 98 % take what one `recv` returns for one message. Yours will not.",
        ("02_a_thread_each", "A thread each"),
    ),
    Chapter(
        "02_a_thread_each",
        "A thread each",
        "In 9 of 12 student servers one newcomer that says nothing keeps all others out. Why?",
        ("03_who_are_you", "Who are you?"),
    ),
    Chapter(
        "03_who_are_you",
        "Who are you?",
        "Of 77 student servers that take a nickname, 94 % take the same one twice, and 90 % an empty one.",
        ("04_who_hears_what", "Who hears what"),
    ),
    Chapter(
        "04_who_hears_what",
        "Who hears what",
        "One loop over a list, and a `send` in it: what can go wrong? In student servers, eight things.",
        ("05_goodbyes", "Goodbyes"),
    ),
    Chapter(
        "05_goodbyes",
        "Goodbyes",
        "52 % of 170 student servers ignore the end of the stream, and 53 % of 182 clients never notice\n"
        "that the server has gone. Here you write three ends: a client thread's, a server's, a client's;\n"
        "the last two in two steps each.",
        ("06_races", "Races"),
    ),
    Chapter(
        "06_races",
        "Races",
        "88 % of 170 student servers have threads, and no lock. They work, until they do not. Here no\n"
        "luck is needed: each schedule of two threads is tried, and one that breaks your code is shown.",
        ("07_slow_readers", "Slow readers"),
    ),
    Chapter(
        "07_slow_readers",
        "Slow readers",
        "In all of 12 student servers, one client that stops reading stalls the room. Here you keep what\n"
        "waits for it out of the others' way: first the lines, then the thread that sends them.",
        ("08_measure_it", "Measure it"),
    ),
    Chapter(
        "capstone",
        "The whole server",
        "All of it together: a server that keeps every promise of the wire, and a test that finds out\n"
        "servers which do not.",
    ),
)

HOW = """
Each exercise has three cells: the task, your code, and the check. Run your code, then the check. It tries
your code in a process of its own, step by step, and stops at the first ✗: an endless loop or a crash there
cannot hurt this notebook.

A ✗ tells what was expected, what was seen instead, and in which line your code was; and a hint. For the
next hint, run `result.hint()` in a cell of its own.
"""


FOLDERS = {"exercises": False, "solutions": True}
"""The folders, and whether what is in them is solved."""


def notebooks(folders: Collection[str] = tuple(FOLDERS)) -> dict[str, str]:
    """The text of every notebook in these, by its path: `exercises/01_bytes_on_a_wire.ipynb`, …"""
    return {
        f"{folder}/{chapter.stem}.ipynb": as_json(list(_cells(chapter, FOLDERS[folder])))
        for chapter in CHAPTERS
        for folder in folders
    }


def write(folder: Path) -> Iterator[Path]:
    """Write them all below this folder; gives the path of each.

    Raises:
        OSError: one cannot be written.
    """
    for name, text in notebooks().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        yield path


def drifted(folder: Path) -> list[Path]:
    """Those below this folder that are missing, or are not what their source says."""
    wanted = {folder / name: text for name, text in notebooks().items()}
    return [p for p, text in wanted.items() if not p.exists() or p.read_text(encoding="utf-8") != text]


def _cells(chapter: Chapter, solved: bool) -> Iterator[Cell]:
    walkthrough = _link(chapter.stem, chapter.title)
    # Not every chapter has its walkthrough in every copy.
    walked = (NOTEBOOKS / f"{chapter.stem}.ipynb").exists()
    after = f"\n\nThe chapter that these exercises belong to is {walkthrough}." if walked else ""
    title = f"# {chapter.title}: write it yourself"
    yield _markdown(f"{chapter.stem}-start", f"{title}\n\n{chapter.start}{after}\n{HOW}")
    for name in NAMES:
        exercise = exercise_called(name)
        if exercise.chapter == chapter.stem:
            yield from _exercise(name, exercise, f'check("{name}", {exercise.wants})', solved)
    if chapter.stem == "capstone":
        yield from _exercise("judge", JUDGE, f"judge({JUDGE.wants})", solved)
    if chapter.then and walked:
        yield _markdown(f"{chapter.stem}-next", f"Next: {_link(*chapter.then)}")


def _link(stem: str, title: str) -> str:
    """To a chapter of the walkthrough, from a folder beside it."""
    return f"[{stem[:2]} · {title}](../{stem}.ipynb)"


def _exercise(name: str, exercise: Exercise | Task, call: str, solved: bool) -> Iterator[Cell]:
    """The task, the code and the check."""
    yield _markdown(f"{name}-task", f"## `{name}`: {exercise.title}\n\n{dedent(exercise.task).strip()}")
    code = exercise.marked if solved else exercise.stub
    graded = {"schema_version": 3, "grade_id": f"{name}-code", "solution": True, "grade": False}
    yield _code(f"{name}-code", code, {**graded, "locked": False, "task": False})
    graded = {"schema_version": 3, "grade_id": f"{name}-check", "solution": False, "grade": True}
    # The locked cell imports for itself: what a student may have called `check` or `display` is not used.
    # nbgrader takes the last line for the points.
    function = call.partition("(")[0]
    yield _code(
        f"{name}-check",
        "from IPython.display import display\n\n"
        f"from labkit.exercises import {function}\n\n"
        f"result = {call}\ndisplay(result)\nresult.score",
        {**graded, "locked": True, "points": exercise.points, "task": False},
        tags=["nbval-ignore-output"],
    )


def _markdown(name: str, text: str) -> Cell:
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": _lines(text.strip())}


def _code(name: str, text: str, graded: Cell | None = None, tags: list[str] | None = None) -> Cell:
    metadata = ({"nbgrader": graded} if graded else {}) | ({"tags": tags} if tags else {})
    return {
        "cell_type": "code", "execution_count": None, "id": name, "metadata": metadata, "outputs": [],
        "source": _lines(text.rstrip("\n")),
    }  # fmt: skip


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def as_json(cells: list[Cell]) -> str:
    """The text of a notebook of these cells."""
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    notebook = {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
