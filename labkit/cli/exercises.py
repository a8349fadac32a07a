"""python -m labkit exercises: name them, print one, write their notebooks; draw a class's guesses."""

from __future__ import annotations

import argparse
import codecs
import sys
from pathlib import Path
from textwrap import dedent

from labkit.cli.check import unusable
from labkit.cli.console import print_error

DETAILS = ""


def add_options(parser: argparse.ArgumentParser) -> None:
    ways = parser.add_subparsers(title="what to do", metavar="WHAT", required=True, dest="way")
    ways.add_parser("list", help="name them all, and what is solved in this folder")
    stub = ways.add_parser("stub", help="print an exercise's task and what to start from, as Python")
    stub.add_argument("exercise", metavar="EXERCISE")
    stub.add_argument("--to", metavar="FILE", help="write it to this file, as UTF-8, and over no other")
    build = ways.add_parser(
        "build", help="write the notebooks of exercises and solutions, or what students get"
    )
    build.add_argument("--to", metavar="FOLDER", help="where to (default, in a repository: its notebooks/)")
    build.add_argument(
        "--student",
        action="store_true",
        help="write what students are handed, without the answers, into a folder that is empty or an "
        "earlier one of these (needs --to)",
    )
    build.add_argument(
        "--check", action="store_true", help="write nothing; fail if one is not as its source says"
    )
    guessed = ways.add_parser(
        "predictions",
        help="draw what a class predicted in the walkthrough",
        description="How often each answer was guessed before it was seen, for each question of the "
        "walkthrough. Each folder in a PATH is a student's; so is a PATH with predictions right in it. "
        "Without --names no student is named.",
    )
    guessed.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="the students' folders")
    guessed.add_argument("--chapter", default="", metavar="NN", help="one notebook alone, such as 03")
    guessed.add_argument("--names", action="store_true", help="name who guessed what")
    guessed.add_argument("--page", type=Path, metavar="FILE", help="write it as a page (HTML), too")


def run(options: argparse.Namespace) -> int:
    if options.way == "list":
        return _list()
    if options.way == "predictions":
        return _draw_predictions(options)
    if options.way == "stub":
        return _stub(options.exercise, options.to)
    from labkit.exercises.catalogue import WITH_ANSWERS

    if not WITH_ANSWERS:
        return print_error("this is the student's edition: it holds no answers, and builds nothing")
    if options.student:
        if options.to is None:
            return print_error("--student needs --to FOLDER, the folder to hand out")
        return _build_student(Path(options.to), options.check)
    return _build(options.to, options.check)


def _list() -> int:
    """Print each exercise on a line; at its end ✓ if it is solved, or the most points so far."""
    from labkit.exercises import NAMES
    from labkit.exercises.catalogue import task_called
    from labkit.exercises.progress import solved

    done = solved()
    tasks = {name: task_called(name) for name in (*NAMES, "judge")}
    for name, task in tasks.items():
        line = f"{name:<10} {task.points:>2} points   {task.wants + ':':<14} {task.title}"
        if best := done.get(name):
            line = (
                f"{line:<80} {'✓ solved' if best.score >= task.points else f'{best.score} points so far'}"
            )
        print(line)
    if done:
        count = sum(done[name].score >= task.points for name, task in tasks.items() if name in done)
        print(f"\n{count} of {len(tasks)} are solved, by the checks run in this folder.")
    return 0


def _draw_predictions(options: argparse.Namespace) -> int:
    """Print what the students in these folders guessed; and write the page, if one is wanted."""
    from labkit.exercises.classroom import predictions
    from labkit.exercises.classroom.table import replace

    try:
        found = predictions.collect(options.paths)
    except OSError as error:
        return unusable(f"cannot use {error.filename}: {error.strerror}")
    told = predictions.tallies(found, options.chapter)
    for trouble in found.troubles:
        print_error(trouble)
    print(f"{predictions.headline(found)}." + "\n" * bool(told))
    if told:
        print(predictions.as_text(told, options.names))
    if options.page is not None:
        try:
            replace(options.page, predictions.as_page(found, told, options.names), "utf-8")
        except OSError as error:
            return print_error(f"cannot write {error.filename or options.page}: {error.strerror}")
        print(f"\nwrote {options.page}")
    return 0 if told else 1


def _stub(name: str, to: str | None) -> int:
    """Print, or write, what a student starts from: the task as a comment, and the stub."""
    from labkit.exercises.catalogue import task_called

    try:
        exercise = task_called(name)
    except ValueError as error:
        return unusable(error)
    task = "\n".join(f"# {line}".rstrip() for line in dedent(exercise.task).strip().splitlines())
    text = f"{task}\n\n\n{exercise.stub}"
    if to is not None:
        return _write_new(Path(to), text, f"{name}.py")
    if sys.stdout is not None and codecs.lookup(sys.stdout.encoding).name != "utf-8":
        text = text.encode("ascii", "backslashreplace").decode()  # a Python file is UTF-8, as ASCII is
    print(text, end="")
    return 0


def _write_new(path: Path, text: str, name: str) -> int:
    """Write this file, as UTF-8 with LF; in a folder, under this name. What is there already, it leaves."""
    if path.is_dir():
        path /= name
    if path.suffix.lower() == ".ipynb":
        return unusable(f"--to {path}: a stub is a .py file; notebooks are in notebooks/exercises/")
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        return unusable(f"{path} is there already, and stays as it is: name another file")
    except OSError as error:
        return unusable(f"cannot write {path}: {error.strerror}")
    print(f"wrote {path}")
    return 0


def _build(folder: str | None, only_look: bool) -> int:
    """Write the notebooks of exercises and solutions; or name those that have drifted."""
    from labkit.exercises.grading.notebooks import INSTALLED, NOTEBOOKS, drifted, write
    from labkit.exercises.handout.own_copy import CannotLay, check_not_ours, is_copy

    if folder is None and INSTALLED:
        return print_error("labkit is installed, and no repository: name a folder, --to FOLDER")
    where = NOTEBOOKS if folder is None else Path(folder)
    if only_look:
        return _tell_drifted(drifted(where), where)
    if is_copy(where):
        return print_error(f"{where} is a student's copy, and may hold work: name another folder")
    try:
        if INSTALLED:
            check_not_ours(where)
        written = list(write(where))
    except CannotLay as error:
        return print_error(error)
    except OSError as error:
        return print_error(f"cannot write {error.filename}: {error.strerror}")
    print(*(f"wrote {path}" for path in written), sep="\n")
    return 0


def _build_student(folder: Path, only_look: bool) -> int:
    """Write what students get; or name what in the folder is not as it would be written."""
    from labkit.exercises.handout import build

    try:
        if only_look:
            return _tell_drifted(build.drifted(folder), folder)
        written = build.write(folder)
    except build.CannotBuild as error:
        return print_error(str(error))
    except OSError as error:
        return print_error(f"cannot read or write {error.filename}: {error.strerror}")
    print(f"wrote {len(written)} files to {folder}: hand out the folder, whole")
    return 0


def _tell_drifted(paths: list[Path], folder: Path) -> int:
    for path in paths:
        print(f"not as its source says: {path.relative_to(folder)}")
    return 1 if paths else 0
