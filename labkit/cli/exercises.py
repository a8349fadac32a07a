"""What `python -m labkit check` and `python -m labkit exercises` do.

Here is what is read from files, what is printed, and which exit status comes of it. What an exercise is,
and what a check does, is elsewhere: checking.py, build.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent

from labkit.cli.console import complain, use_any_letter
from labkit.exercises import NAMES, exercise_called
from labkit.exercises.catalogue.judge import JUDGE
from labkit.exercises.exercise import stub_of
from labkit.exercises.grading.checking import check
from labkit.exercises.grading.judging import judge

UNUSABLE = 2
"""The exit status when nothing could be checked at all."""


def check_file(name: str, filename: str, hints: int, as_json: bool) -> int:
    """Check the exercise in this file and print what was found; 0 if all of it holds, 1 if not."""
    if hints < 1:
        return _unusable(f"--hints: 1 or more is needed, not {hints}")
    try:
        source = Path(filename).read_text(encoding="utf-8")
        if name != "judge":
            exercise_called(name)
    except (OSError, ValueError) as error:
        return _unusable(_why(error, filename))
    use_any_letter()
    if name == "judge":
        return _judge_file(source, filename, as_json)
    result = check(name, source, filename=filename)
    if as_json:
        print(json.dumps(result.as_json(), ensure_ascii=False))
        return 0 if result.ok else 1
    print(result)
    for _ in range(min(hints, len(result.hints)) - 1):
        print(result.hint())
    return 0 if result.ok else 1


def _judge_file(source: str, filename: str, as_json: bool) -> int:
    """Judge the test in this file."""
    judgement = judge(source, filename=filename)
    print(json.dumps(judgement.as_json(), ensure_ascii=False) if as_json else judgement)
    return UNUSABLE if judgement.unusable else 0 if judgement.ok else 1


def _unusable(why: str) -> int:
    complain(why)
    return UNUSABLE


def _why(error: OSError | ValueError, filename: str) -> str:
    if isinstance(error, OSError):
        return f"cannot read {filename}: {error.strerror}"
    if isinstance(error, UnicodeDecodeError):
        return f"cannot read {filename}: it is not UTF-8 text"
    return str(error)


def list_exercises() -> int:
    """Print each exercise on a line."""
    for name in NAMES:
        exercise = exercise_called(name)
        print(f"{name:<10} {exercise.points:>2} points   {exercise.wants + ':':<14} {exercise.title}")
    print(f"{'judge':<10} {JUDGE.points:>2} points   {JUDGE.wants + ':':<14} {JUDGE.title}")
    return 0


def print_stub(name: str) -> int:
    """Print what a student starts from: the task as a comment, and the stub."""
    try:
        exercise = JUDGE if name == "judge" else exercise_called(name)
    except ValueError as error:
        return _unusable(str(error))
    task = "\n".join(f"# {line}".rstrip() for line in dedent(exercise.task).strip().splitlines())
    stub = stub_of(dedent(exercise.answer).strip("\n") + "\n")
    print(f"{task}\n\n\n{stub}", end="")
    return 0


def build(folder: str | None, only_look: bool) -> int:
    """Write the notebooks of exercises and solutions; or tell which of them have drifted."""
    from labkit.exercises.grading.notebooks import NOTEBOOKS, drifted, write

    where = NOTEBOOKS if folder is None else Path(folder)
    if only_look:
        names = [str(path.relative_to(where)) for path in drifted(where)]
        for name in names:
            print(f"not as its source says: {name}")
        return 1 if names else 0
    try:
        for path in write(where):
            print(f"wrote {path}")
    except OSError as error:
        return complain(f"cannot write {error.filename}: {error.strerror}")
    return 0
