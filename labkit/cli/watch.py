"""python -m labkit watch: a solution, checked again whenever its file is saved."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING

from labkit.cli.check import unusable
from labkit.cli.console import called, print_error, print_notice

if TYPE_CHECKING:
    from labkit.exercises.grading.submission import Source

DETAILS = (
    "The file, .py or .ipynb, may be there already, or come later. Which exercise it is, the name that it "
    "defines tells, or EXERCISE. It runs until Ctrl-C."
)

LOOK = 0.3
"""Seconds between two looks at the file."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("exercise", nargs="?", metavar="EXERCISE", help="its name, if that is not clear")
    parser.add_argument("file", metavar="FILE", help="what to check again when it is saved")


def run(options: argparse.Namespace) -> int:
    """Watch until Ctrl-C; returns the exit status."""
    from labkit.exercises import NAMES
    from labkit.exercises.catalogue import task_called

    name, file = options.exercise, options.file
    try:
        if name is None and file in (*NAMES, "judge"):
            raise ValueError(f"which file is to be watched for {file}?")
        if name is not None:
            task_called(name)
    except ValueError as error:
        return unusable(error)
    try:
        watch(Path(file), name)
    except KeyboardInterrupt:
        print_notice("")
    return 0


def watch(path: Path, name: str | None, look: Callable[[], None] = lambda: sleep(LOOK)) -> None:
    """Check the file now, and whenever it has changed, for ever.

    Args:
        name: the exercise; None finds it by what the file defines.
        look: waits until the next look at the file.
    """
    saved = Saved(path)
    scores: dict[str, int] = {}
    print_notice(f"watching {path}; Ctrl-C ends it")
    if not path.exists():
        print_notice("it is not there yet")
    while True:
        if saved.anew():
            _check(path, name, scores)
        look()


class Saved:
    """Tells when a file has been saved.

    An editor may write a file in pieces, or take it away and put another in its place. So it counts as
    saved once two looks, one after the other, find it alike, and its text is another than before.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, ...] | None = None  # at the last look
        self._settled: tuple[int, ...] | None = None  # when it was last read
        self._text = ""

    def anew(self) -> bool:
        """Look at it: whether it has been saved since this was last true."""
        before, self._seen = self._seen, self._look()
        if self._seen is None or self._seen != before or self._seen == self._settled:
            return False
        try:
            text = hashlib.sha256(self._path.read_bytes()).hexdigest()
        except OSError:  # it is being replaced, or locked: the next look tells
            return False
        if self._look() != self._seen:
            return False
        self._settled = self._seen
        changed, self._text = text != self._text, text
        return changed

    def _look(self) -> tuple[int, ...] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def _check(path: Path, name: str | None, scores: dict[str, int]) -> None:
    """Check it once, and print what was found and how the points have changed."""
    from labkit.exercises.catalogue import task_called
    from labkit.exercises.grading.checking import check
    from labkit.exercises.grading.judging import judge
    from labkit.exercises.grading.submission import Unreadable, read
    from labkit.exercises.progress import remember

    try:
        name = name or _exercise_in(path)
        source: Source = read(path, task_called(name).wants)
    except (ValueError, Unreadable) as error:
        print_error(error)
        return
    found = (judge if name == "judge" else partial(check, name))(source.text, filename=source.filename)
    print_notice(f"\n{found}\n")
    if found.not_judged:
        return
    remember(name, found.score, found.points)
    print_notice(f"{datetime.now():%H:%M:%S}  {change(name, scores.get(name), found.score, found.points)}")
    scores[name] = found.score


def change(name: str, before: int | None, score: int, points: int) -> str:
    """`framing: 4 of 10 points, 2 more than before`."""
    now = f"{name}: {score} of {points} points"
    if before is None:
        return now
    if before == score:
        return f"{now}, as before"
    return f"{now}, {abs(score - before)} {'more' if score > before else 'fewer'} than before"


def _exercise_in(path: Path) -> str:
    """The exercise that this file is an answer to.

    Raises:
        ValueError: none, or more than one.
        Unreadable: it cannot be read.
    """
    from labkit.exercises import NAMES
    from labkit.exercises.catalogue import task_called
    from labkit.exercises.classroom.found import Wanted, named, text_of

    wanted = [Wanted(name, task_called(name).wants) for name in (*NAMES, "judge")]
    text = text_of(path)
    found = [one.exercise for one in wanted if one.defined_in(text)]
    if len(found) > 1:
        found = [one for one in found if named(path, one)] or found
    if len(found) == 1:
        return found[0]
    if not found:
        raise ValueError(f"{path} defines no name that an exercise asks for; `exercises list` has them")
    which = f"{called()} watch {found[0]} {path}"
    raise ValueError(f"{path} may be {' or '.join(found)}: say which, as in {which}")
