"""Judges submissions, several at once, and misses none: each comes to a row, whatever happens.

How many at once, the machine says: as long as it has memory for one more, and its processors are not busy.
What could not be judged because the machine was too busy is tried again at the end, alone.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic
from typing import Any

import psutil

from labkit.exercises.catalogue import task_called
from labkit.exercises.classroom.found import Submission
from labkit.exercises.classroom.place import place_for
from labkit.exercises.classroom.suspicion import findings
from labkit.exercises.classroom.table import (
    BROKEN,
    CRASHED,
    MISSING,
    NAME_MISSING,
    NOT_JUDGED,
    NOT_LOADED,
    NOT_READABLE,
    RIGHT,
    TIMED_OUT,
    WRONG,
    Row,
)
from labkit.exercises.general_hints import BUSY, WAITING
from labkit.exercises.grading.checking import check
from labkit.exercises.grading.judging import Judgement, judge
from labkit.exercises.grading.process import Place, stop_all
from labkit.exercises.grading.result import Result
from labkit.exercises.grading.submission import Source, Unreadable, read
from labkit.probe.patience import cores

MEMORY = 400_000_000
"""Bytes that must be free for one more check."""

MOST_PER_CORE = 4
"""Checks that run at once on a core, at most: they wait most of the time."""

BUSY_AT = 70.0
"""Per cent of the processors' time; from there on no more checks are begun than there are cores."""


@dataclass(frozen=True, slots=True)
class Graded:
    """A submission's row, and what a page shows of it.

    Args:
        row: the grade.
        found: what the check found; None if there was none.
        source: what was judged.
    """

    row: Row
    found: Result | Judgement | None = None
    source: str = ""


def begun(submission: Submission) -> Row:
    """The row of a submission that is not judged yet: what can be known without running it."""
    file = submission.file
    sha256 = ""
    if file is not None:
        try:
            with file.open("rb") as opened:
                sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        except OSError:
            pass  # `read` says why
    return Row(
        submission.student, submission.exercise, 0, task_called(submission.exercise).points,
        file="" if file is None else str(file), sha256=sha256, note=submission.note,
    )  # fmt: skip


def grade(submissions: Sequence[Submission], jobs: int | None = None) -> Iterator[Graded]:
    """Judge them all; gives each when it is ready.

    However this ends, no process of a submission runs on.

    Args:
        jobs: how many at once; None: as many as the machine bears.
    """
    room = Room(jobs)
    again: list[Submission] = []
    waiting = list(reversed(submissions))
    running: dict[Future[Graded], Submission] = {}
    with ThreadPoolExecutor(room.most, thread_name_prefix="labkit-grade") as pool:
        try:
            while waiting or running:
                while waiting and room.for_one_more(len(running)):
                    submission = waiting.pop()
                    running[pool.submit(graded, submission)] = submission
                for future in wait(running, timeout=0.2, return_when=FIRST_COMPLETED).done:
                    submission, ready = running.pop(future), future.result()
                    if ready.row.state == NOT_JUDGED and room.most > 1:
                        again.append(submission)
                    else:
                        yield ready
            yield from map(graded, again)  # alone
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            while not wait(running, timeout=0.1).done >= set(running):
                stop_all()


class Room:
    """How many checks may run at once."""

    def __init__(self, jobs: int | None) -> None:
        self._jobs, self._cores = jobs, cores()
        self.most = jobs or self._cores * MOST_PER_CORE
        self._looked, self._busy = monotonic(), 0.0
        psutil.cpu_percent()  # the next call tells of the time from here on

    def for_one_more(self, running: int) -> bool:
        if running == 0:
            return True
        if self._jobs is not None:
            return running < self._jobs
        if running >= self.most or psutil.virtual_memory().available < MEMORY:
            return False
        return running < self._cores or self._idle()

    def _idle(self) -> bool:
        """Whether the processors had time to spare since the last look; one more check is begun a look."""
        if monotonic() - self._looked < 0.5:
            return False
        self._looked, self._busy = monotonic(), psutil.cpu_percent()
        return self._busy < BUSY_AT


# --- one ---


def graded(submission: Submission) -> Graded:
    """Judge one; never raises for what the submission is or does."""
    row, began = begun(submission), monotonic()
    try:
        done = _judged(submission, row)
    except Exception as error:  # the lab's own fault: told in the row, and the others go on
        note = f"{type(error).__name__}: {error}"
        done = Graded(replace(row, state=BROKEN, note=_joined(row.note, note)))
    seconds = round(monotonic() - began, 2)
    return Graded(replace(done.row, seconds=seconds), done.found, done.source)


def _judged(submission: Submission, row: Row) -> Graded:
    if submission.file is None:
        return Graded(replace(row, state=MISSING))
    try:
        source = read(submission.file, submission.wants)
    except Unreadable as error:
        why = str(error).replace(str(submission.file), submission.file.name)  # the student reads it, too
        return Graded(replace(row, state=NOT_READABLE, note=_joined(row.note, why)))
    called = _module(submission.called)
    with place_for(called, source.text, submission.beside) as place:
        try_it: Callable[..., Result | Judgement]
        try_it = judge if submission.exercise == "judge" else partial(check, submission.exercise)
        found = try_it(source.text, filename=str(place.folder / called), place=place)
        row = replace(row, suspicious=_suspicious(source, submission, place))
    row = replace(row, **(_of_judgement(found) if isinstance(found, Judgement) else _of_result(found)))
    row = replace(row, note=_joined(submission.note, row.note if row.note != submission.note else ""))
    return Graded(row, found, source.text)


def _module(called: str) -> str:
    """A name for the file in its new folder; of what is too long for one, another."""
    name = called if called.endswith(".py") else f"{called}.py"
    return name if len(os.fsencode(name)) < 200 else "submission.py"


def _of_result(result: Result) -> dict[str, Any]:
    failure = result.failure
    step = f"{result.held + 1}. {result.failed}" if result.failed else ""
    return {
        "points": 0 if state_of(result) == NOT_JUDGED else result.score,
        "state": state_of(result),
        "step": step,
        "bug": "" if failure is None else failure.clue,
    }


def state_of(result: Result) -> str:
    """A word for how a check ended."""
    failure = result.failure
    if result.not_judged:
        return NOT_JUDGED
    if failure is None:
        return RIGHT
    if failure.clue in (BUSY, WAITING):
        return TIMED_OUT
    if failure.clue in ("ended", "storm", "exit"):
        return CRASHED
    if result.started:
        return WRONG
    missing = failure.clue == "no such name" or failure.expected.startswith("a function or class called ")
    return NAME_MISSING if missing else NOT_LOADED


def _of_judgement(judgement: Judgement) -> dict[str, Any]:
    accused = [trial.server for trial in judgement.trials if trial.right and trial.accused]
    missed = [trial.server for trial in judgement.trials if not trial.right and not trial.accused]
    step = f"accuses {accused[0]}" if accused else f"misses {missed[0]}" if missed else ""
    state = NOT_LOADED if judgement.unusable else RIGHT if judgement.ok else WRONG
    if judgement.not_judged:
        state = NOT_JUDGED
    note = judgement.unusable or (f"misses {len(missed)} bugs" if missed and not accused else "")
    return {"points": judgement.score, "state": state, "step": step, "note": note}


def _suspicious(source: Source, submission: Submission, place: Place) -> str:
    """What was found by reading the file, and those beside it, and what was noticed while it ran."""
    told = [str(finding) for finding in findings(source.text)]
    for name, _ in submission.beside:
        try:
            text = read(place.folder / name, submission.wants).text
        except Unreadable:
            continue
        told += [f"{name}, {finding}" for finding in findings(text)]
    for line, what in dict.fromkeys(place.noticed):
        if not any(known.startswith(f"line {line}:") for known in told):
            told.append(f"line {line}: {what}, as it runs")
    return "; ".join(told)


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


# --- all together ---


def with_twins(rows: Iterable[Row]) -> list[Row]:
    """The rows, those of one file that several students handed in with a note of the others."""
    rows = list(rows)
    same: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in rows:
        if row.sha256:
            same[row.exercise, row.sha256].append(row.student)
    return [_with_note(row, same.get((row.exercise, row.sha256), [])) for row in rows]


TWIN = "the same file as "


def _with_note(row: Row, students: list[str]) -> Row:
    kept = [note for note in row.note.split("; ") if not note.startswith(TWIN)]
    others = sorted(student for student in students if student != row.student)
    told = f"{TWIN}{', '.join(others[:5])}{' …' if len(others) > 5 else ''}" if others else ""
    return replace(row, note=_joined(*kept, told))
