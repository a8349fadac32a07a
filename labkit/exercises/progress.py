"""What a student has solved: a small file in the folder in which the checks are run.

A line for each time that a check came to more points than any before it. Lines are appended, so that
several checks at once lose nothing; a line that cannot be read counts for nothing. No check fails for it.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar

FILE = ".labkit-progress.jsonl"

LARGEST = 1_000_000
"""Bytes of it that are read; a student needs a hundred a point."""


@dataclass(frozen=True, slots=True)
class Best:
    """The most points that a check of an exercise came to, of how many, and when (ISO 8601)."""

    score: int
    points: int
    when: str

    @property
    def solved(self) -> bool:
        return self.score >= self.points > 0


def solved(folder: Path | None = None) -> dict[str, Best]:
    """The best of each exercise, by its name: what the file in this folder (default: the current) has."""
    found: dict[str, Best] = {}
    for line in _text(_file(folder)).splitlines():
        name, best = _parsed(line)
        if best is not None and (name not in found or best.score > found[name].score):
            found[name] = best
    return found


def remember(exercise: str, score: int, points: int, folder: Path | None = None) -> None:
    """Note what a check came to, if it is more than before. That it cannot be noted is no error."""
    before = solved(folder).get(exercise)
    if before is not None and before.score >= score and before.points == points:
        return
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    line = json.dumps({"exercise": exercise, "score": score, "points": points, "when": now})
    path = _file(folder)
    try:
        whole = _ends_a_line(path)
        with path.open("ab") as file:
            file.write(f"{'' if whole else chr(10)}{line}\n".encode())
    except OSError:
        pass


class _Found(Protocol):
    """A result, or a judgement."""

    @property
    def score(self) -> int: ...

    @property
    def points(self) -> int: ...

    @property
    def not_judged(self) -> str: ...


Found = TypeVar("Found", bound=_Found)
P = ParamSpec("P")


def remembered(check: Callable[P, Found]) -> Callable[P, Found]:
    """`check`, or `judge`, so that it notes what it came to in a notebook in which a student works."""

    @functools.wraps(check)
    def checks(*arguments: P.args, **more: P.kwargs) -> Found:
        found = check(*arguments, **more)
        if _in_notebook() and not found.not_judged:
            exercise = getattr(found, "exercise", None)
            remember("judge" if exercise is None else exercise.name, found.score, found.points)
        return found

    return checks


def _in_notebook() -> bool:
    """Whether this is one; not where nbgrader runs it."""
    shell = sys.modules.get("IPython")
    return shell is not None and shell.get_ipython() is not None and "NBGRADER_EXECUTION" not in os.environ


def _file(folder: Path | None) -> Path:
    return (Path() if folder is None else folder) / FILE


def _text(path: Path) -> str:
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            return file.read(LARGEST).decode("utf-8", "replace")
    except OSError:
        return ""


def _ends_a_line(path: Path) -> bool:
    """Whether what it has ends with LF: a machine that went down may have left a part of a line."""
    try:
        with path.open("rb") as file:
            if file.seek(0, os.SEEK_END) == 0:
                return True
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"
    except FileNotFoundError:
        return True


def _parsed(line: str) -> tuple[str, Best | None]:
    try:
        found: Any = json.loads(line)
        name, score, points = found["exercise"], found["score"], found["points"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return "", None
    fits = isinstance(name, str) and type(score) is int and type(points) is int
    return (name, Best(score, points, str(found.get("when", "")))) if fits else ("", None)
