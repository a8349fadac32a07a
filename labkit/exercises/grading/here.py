"""`check` in this process, for a Python that can start no other (wire/browser.py).

Nothing ends code that takes too long, and a step that needs a thread or a socket judges nothing.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from labkit.exercises.exercise import Exercise
from labkit.exercises.grading.child import Attempt, Reports, Watchdog
from labkit.exercises.grading.explaining import Text, text_of
from labkit.exercises.grading.result import Failure, Result
from labkit.journal import Event

LACKS = (
    "this Python runs in a browser, where there are no {}, and the step {!r} needs some: check it with a "
    "Python of your own machine"
)


class _Kept(Reports):
    """Reports that go nowhere."""

    def __init__(self) -> None:
        self.all: list[dict[str, Any]] = []

    def send(self, **report: Any) -> None:
        self.all.append(report)


class _Unwatched(Watchdog):
    def __init__(self) -> None:
        pass

    def guard(self, what: Callable[[], None], about: Callable[[], dict[str, Any]]) -> None:
        what()

    def goes_on(self) -> None:
        pass

    def until_looked(self) -> None:
        pass


class _Here(Attempt):
    def __init__(self, exercise: Exercise, job: dict[str, Any], code: Any, reports: Reports) -> None:
        self.job, self.reports, self.exercise = job, reports, exercise
        self.watchdog, self.bench, self.code = _Unwatched(), None, code

    def _begin(self) -> bool:
        return not isinstance(self.job["source"], str) or super()._begin()


def check(exercise: Exercise, code: Any, filename: str) -> tuple[Result, Text | None]:
    """What came of the steps, and the text of the code."""
    source = code if isinstance(code, str) else None
    job: dict[str, Any] = {"source": source, "filename": filename, "wants": exercise.wants}
    job |= {"pickled": None, "path": [*sys.path], "sources": {} if source is None else {filename: source}}
    reports = _Kept()
    arguments = sys.argv
    try:
        with _noting_what_lacks() as lacks:
            _Here(exercise, job, code, reports).run()
    finally:
        sys.argv = arguments
    return _result(exercise, reports.all, lacks), text_of(code, job)


def _result(exercise: Exercise, reports: list[dict[str, Any]], lacks: list[str]) -> Result:
    held = sum(report["state"] == "held" for report in reports)
    failed = next((report for report in reports if report["state"] == "failed"), None)
    if failed is None:
        return Result(exercise, held)
    if lacks:
        return Result(exercise, held, not_judged=LACKS.format(lacks[0], exercise.steps[held].name))
    events = tuple(Event(n, e[0], e[1], e[2], e[3], "") for n, e in enumerate(failed["events"], 1))
    at, deaths = tuple(failed["at"]), tuple(failed["deaths"])
    failure = Failure(failed["expected"], failed["seen"], failed["clue"], at, deaths, events=events)
    return Result(exercise, held, failure, started=any(r["state"] == "began" for r in reports) or held > 0)


@contextlib.contextmanager
def _noting_what_lacks() -> Iterator[list[str]]:
    """What was asked for, and is not here."""
    lacks: list[str] = []

    def noting(inner: Any, what: str) -> Any:
        def call(*arguments: Any, **more: Any) -> Any:
            try:
                return inner(*arguments, **more)
            except (RuntimeError, OSError):
                lacks.append(what)
                raise

        return call

    start, make = threading.Thread.start, socket.socket.__init__
    threading.Thread.start = noting(start, "threads")  # type: ignore[method-assign]
    socket.socket.__init__ = noting(make, "sockets")  # type: ignore[method-assign]
    try:
        yield lacks
    finally:
        threading.Thread.start = start  # type: ignore[method-assign]
        socket.socket.__init__ = make  # type: ignore[method-assign]
