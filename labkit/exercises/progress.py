"""What a student has solved: a small file in the folder in which the checks are run.

A line for each time that a check came to more points than any before it (instruments/kept.py).
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar

from labkit.instruments.kept import append, records

FILE = ".labkit-progress.jsonl"


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
    for record in records(_file(folder)):
        name, best = _parsed(record)
        if best is not None and (name not in found or best.score > found[name].score):
            found[name] = best
    return found


def remember(exercise: str, score: int, points: int, folder: Path | None = None) -> None:
    """Note what a check came to, if it is more than before. That it cannot be noted is no error."""
    before = solved(folder).get(exercise)
    if before is not None and before.score >= score and before.points == points:
        return
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    append(_file(folder), {"exercise": exercise, "score": score, "points": points, "when": now})


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


def _parsed(record: dict[str, Any]) -> tuple[str, Best | None]:
    name, score, points = (record.get(key) for key in ("exercise", "score", "points"))
    if isinstance(name, str) and type(score) is int and type(points) is int:
        return name, Best(score, points, str(record.get("when", "")))
    return "", None
