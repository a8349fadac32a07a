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
    ways.add_parser("list", help="name them all, and what is solved in this folder")
    stub = ways.add_parser("stub", help="print an exercise's task and what to start from, as Python")
    stub.add_argument("exercise", metavar="EXERCISE")
    build = ways.add_parser("build", help="write the notebooks of exercises and solutions")
    build.add_argument("--to", metavar="FOLDER", help="where to (default: the repository's notebooks/)")
    build.add_argument(
        "--check", action="store_true", help="write nothing; fail if one is not as its source says"
    )


def run(options: argparse.Namespace) -> int:
    if options.way == "list":
        return _list()
    if options.way == "stub":
        return _print_stub(options.exercise)
    return _build(options.to, options.check)


def _list() -> int:
    """Print each exercise on a line; at its end ✓ if it is solved, or the most points so far."""
    from labkit.exercises import NAMES, exercise_called
    from labkit.exercises.catalogue.judge import JUDGE
    from labkit.exercises.progress import solved

    done = solved()
    tasks = {name: exercise_called(name) for name in NAMES} | {"judge": JUDGE}
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


def _print_stub(name: str) -> int:
    """Print what a student starts from: the task as a comment, and the stub."""
    from labkit.exercises import exercise_called
    from labkit.exercises.catalogue.judge import JUDGE
    from labkit.exercises.exercise import stub_of

    try:
        exercise = JUDGE if name == "judge" else exercise_called(name)
    except ValueError as error:
        return unusable(error)
    task = "\n".join(f"# {line}".rstrip() for line in dedent(exercise.task).strip().splitlines())
    stub = stub_of(dedent(exercise.answer).strip("\n") + "\n")
    text = f"{task}\n\n\n{stub}"
    if sys.stdout is not None and codecs.lookup(sys.stdout.encoding).name != "utf-8":
        text = text.encode("ascii", "backslashreplace").decode()  # a Python file is UTF-8, as ASCII is
    print(text, end="")
    return 0


def _build(folder: str | None, only_look: bool) -> int:
    """Write the notebooks of exercises and solutions; or name those that have drifted."""
    from labkit.exercises.grading.notebooks import NOTEBOOKS, drifted, write

    where = NOTEBOOKS if folder is None else Path(folder)
    if only_look:
        names = [str(path.relative_to(where)) for path in drifted(where)]
        for name in names:
            print(f"not as its source says: {name}")
        return 1 if names else 0
    try:
        written = list(write(where))
    except OSError as error:
        return print_error(f"cannot write {error.filename}: {error.strerror}")
    print(*(f"wrote {path}" for path in written), sep="\n")
    return 0
