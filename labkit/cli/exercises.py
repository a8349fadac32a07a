"""python -m labkit exercises: name them, print one to begin with, write their notebooks."""

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
    ways.add_parser("list", help="name them all")
    stub = ways.add_parser("stub", help="print an exercise's task and what to start from, as Python")
    stub.add_argument("exercise", metavar="EXERCISE")
    build = ways.add_parser(
        "build", help="write the notebooks of exercises and solutions, or what students get"
    )
    build.add_argument("--to", metavar="FOLDER", help="where to (default: the repository's notebooks/)")
    build.add_argument(
        "--student",
        action="store_true",
        help="write what students are handed, without the answers, into a folder that is empty or an "
        "earlier one of these (needs --to)",
    )
    build.add_argument(
        "--check", action="store_true", help="write nothing; fail if one is not as its source says"
    )


def run(options: argparse.Namespace) -> int:
    if options.way == "list":
        return _list()
    if options.way == "stub":
        return _print_stub(options.exercise)
    from labkit.exercises.catalogue import WITH_ANSWERS

    if not WITH_ANSWERS:
        return print_error("this is the student's edition: it holds no answers, and builds nothing")
    if options.student:
        if options.to is None:
            return print_error("--student needs --to FOLDER, the folder to hand out")
        return _build_student(Path(options.to), options.check)
    return _build(options.to, options.check)


def _list() -> int:
    """Print each exercise on a line."""
    from labkit.exercises import NAMES, exercise_called
    from labkit.exercises.catalogue.judge import JUDGE

    for name in NAMES:
        exercise = exercise_called(name)
        print(f"{name:<10} {exercise.points:>2} points   {exercise.wants + ':':<14} {exercise.title}")
    print(f"{'judge':<10} {JUDGE.points:>2} points   {JUDGE.wants + ':':<14} {JUDGE.title}")
    return 0


def _print_stub(name: str) -> int:
    """Print what a student starts from: the task as a comment, and the stub."""
    from labkit.exercises import exercise_called
    from labkit.exercises.catalogue.judge import JUDGE

    try:
        exercise = JUDGE if name == "judge" else exercise_called(name)
    except ValueError as error:
        return unusable(error)
    task = "\n".join(f"# {line}".rstrip() for line in dedent(exercise.task).strip().splitlines())
    text = f"{task}\n\n\n{exercise.stub}"
    if sys.stdout is not None and codecs.lookup(sys.stdout.encoding).name != "utf-8":
        text = text.encode("ascii", "backslashreplace").decode()  # a Python file is UTF-8, as ASCII is
    print(text, end="")
    return 0


def _build(folder: str | None, only_look: bool) -> int:
    """Write the notebooks of exercises and solutions; or name those that have drifted."""
    from labkit.exercises.grading.notebooks import NOTEBOOKS, drifted, write

    where = NOTEBOOKS if folder is None else Path(folder)
    if only_look:
        return _tell_drifted(drifted(where), where)
    try:
        written = list(write(where))
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
