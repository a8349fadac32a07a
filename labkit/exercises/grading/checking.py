"""`check(name, code)`: does this code do what the exercise asks?

The code goes to a process of its own (process.py), which tries the steps (child.py). Here is this side of
it: what is sent, how long the caller waits, and how the reports, or their absence, become a Result. Nothing
that the code does can end the caller.

How long, the process's own clock says (clock.py), which stands still while others use the machine. The code
may count by the wall clock all the same, as in `join(0.5)`. So a check that fails while threads of the code
had to queue for the processor is done again; and if they had to queue for long each time, the code is not
judged.
"""

from __future__ import annotations

import inspect
import io
import linecache
import os
import pickle
import sys
import threading
from collections import ChainMap
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import cloudpickle

from labkit.exercises.catalogue import exercise_called
from labkit.exercises.exercise import Exercise
from labkit.exercises.general_hints import BUSY, WAITING
from labkit.exercises.grading.explaining import Text, findings, text_of
from labkit.exercises.grading.process import INSIDE, STORM, Place, Process, Starved
from labkit.exercises.grading.result import Failure, Result
from labkit.exercises.progress import remembered
from labkit.journal import Event
from labkit.probe import kernel
from labkit.probe.deadline import Deadline
from labkit.probe.patience import LATE, TURN, too_busy
from labkit.wire import browser

STEP_SECONDS = 5.0
"""Seconds that a step may take, by the clock of its process."""

SECONDS = 20.0
"""Seconds that a check of ten steps may take in all, by the same clock; more steps have more."""

UNTOLD = 4
"""Times as many of both where no kernel tells what was read, and a pause after each send has to do
(probe/kernel.py)."""

ATTEMPTS = 4
"""Times that a check is done, at most, if threads had to queue for long in each."""

NOTICED = 0.05
"""Seconds for which a thread had to queue for the processor: from here on a second attempt may differ."""

CALM = 0.5, 20.0
"""Seconds without a thread that wakes late before another attempt, and how long to wait at most."""

GRACE = 2.0
"""Seconds more that the process gets to report by itself that a step took too long."""

YOUR_FILE = "<your code>"


@remembered
def check(name: str, code: Any, *, filename: str = YOUR_FILE, place: Place | None = None) -> Result:
    """Try the student's code, step by step, in a process of its own.

    Args:
        name: of the exercise: "framing", "accept", …
        code: the function or class, or Python source that defines it.
        filename: what to call the source in errors.
        place: where to run it, if not here: as a submission, guarded.

    On a machine that is too busy to tell, the result is "not judged": see Result.not_judged.

    Raises:
        ValueError: there is no such exercise.
    """
    exercise = exercise_called(name)
    if browser.RUNS_HERE:
        from labkit.exercises.grading import here

        return _explained(*here.check(exercise, code, filename), filename)
    if INSIDE in os.environ:
        return Result(exercise, len(exercise.steps))
    try:
        job = pack(code, filename)
    except CannotSend as error:
        failure = Failure("code that can be sent to a process of its own", str(error))
        return Result(exercise, 0, failure, started=False)
    text = text_of(code, job)
    job |= {"exercise": name, "wants": exercise.wants, "step_seconds": _allowed(STEP_SECONDS)}
    job |= place.job() if place else {}
    late = 0.0
    for attempt in range(ATTEMPTS):
        if attempt:
            calm_down()
        try:
            with Process("labkit.exercises.grading.child", job) as process:
                process.ready()
                result, began = _follow(exercise, process)
                late = process.clock.late_since(began)
        except Starved as why:
            return Result(exercise, 0, not_judged=str(why))
        if result.ok or late < (NOTICED if result.may_differ and not attempt else LATE):
            return _explained(result, text, filename)
    return Result(exercise, 0, not_judged=too_busy(late))


def _explained(result: Result, text: Text | None, filename: str) -> Result:
    """The result, with what was judged, and with the lines to look at."""
    if text is not None and text.is_cell:
        result.judged = text.first_line(result.exercise.wants)
    if (failure := result.failure) is not None:
        seen = (failure.expected, failure.seen, *failure.deaths, *failure.at)
        found = findings(result.exercise, text, result.failed or "", seen, failure.clue)
        if filename.endswith(".ipynb"):  # it shows no numbers of lines
            found = tuple(finding._replace(line=0) for finding in found)
        result.failure = replace(failure, look_at=found)
    return result


def calm_down() -> None:
    """Wait until threads wake in time for a while; not for ever."""
    quiet, most = CALM
    began = since = last = monotonic()
    while last - since < quiet and last - began < most:
        sleep(TURN)
        now = monotonic()
        if now - last > TURN + NOTICED:
            since = now
        last = now


class CannotSend(Exception):
    """This code cannot be sent to another process; the text says what to do about it."""


def pack(code: Any, filename: str = YOUR_FILE) -> dict[str, Any]:
    """What another process needs to have this code.

    Raises:
        CannotSend: it holds something that belongs to this process.
    """
    # Source without a file: a notebook's cells. linecache keeps it without a modification time.
    entries = [(name, entry) for name, entry in linecache.cache.items() if len(entry) == 4]
    sources = {name: "".join(entry[2]) for name, entry in entries if entry[1] is None}
    job: dict[str, Any] = {"pickled": None, "source": None, "filename": filename, "path": sys.path}
    if isinstance(code, str):
        job["source"] = code
        sources[filename] = code
        if filename != YOUR_FILE:  # its neighbours can be imported, as when it is run
            job["path"] = [str(Path(filename).resolve().parent), *sys.path]
    else:
        try:
            job["pickled"] = _pickled(code)
        except UNPICKLABLE as error:
            culprits = ", ".join(_what_cannot_be_sent(code))
            raise CannotSend(
                f"{culprits + ': ' if culprits else ''}{error}. That belongs to this process, as a socket "
                "does, or a running server. Make it inside your function or class; or let it be an argument"
            ) from None
    return job | {"sources": sources}


UNPICKLABLE = (TypeError, AttributeError, ValueError, pickle.PicklingError, RecursionError)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # it ships no types
    """Pickles locks, too: a lock in a global variable arrives as a new one, not held."""

    dispatch_table = ChainMap(
        {type(kind()): lambda lock, kind=kind: (kind, ()) for kind in (threading.Lock, threading.RLock)},
        cloudpickle.Pickler.dispatch_table,
    )


def _pickled(code: Any) -> bytes:
    file = io.BytesIO()
    _Pickler(file).dump(code)
    return file.getvalue()


def _what_cannot_be_sent(code: Any) -> list[str]:
    """The names of the global variables that the code uses and that cannot be sent."""
    functions = (
        [value for value in vars(code).values() if inspect.isfunction(value)]
        if inspect.isclass(code)
        else [code]
    )
    found = []
    for function in functions:
        for name in getattr(function, "__code__", _NO_NAMES).co_names:
            try:
                _pickled(getattr(function, "__globals__", {}).get(name))
            except UNPICKLABLE:
                found.append(f"`{name}`")
    return sorted(set(found))


_NO_NAMES = (lambda: None).__code__


def _allowed(seconds: float) -> float:
    return seconds if kernel.TABLES[0].exists() else UNTOLD * seconds


def _follow(exercise: Exercise, process: Process) -> tuple[Result, float]:
    """Read the reports until it is over; returns also when the last step began, 0 if none did."""
    seconds = _allowed(SECONDS) * max(10, len(exercise.steps)) / 10
    of_a_step = _allowed(STEP_SECONDS)
    deadline = Deadline(seconds, process.clock)
    held, began_at, failure, may_differ = 0, 0.0, None, False
    while failure is None:
        used, began = process.clock.used, process.clock.seconds
        try:
            # The watchdog ends a step; this is for code that lets no other thread of its process run.
            report = process.report(min(of_a_step + GRACE, max(deadline.left, 0)))
        except TimeoutError:
            out_of_time = deadline.passed()
            busy = process.clock.used - used > (process.clock.seconds - began) / 2
            failure = Failure(
                f"all steps within {seconds:g} s" if out_of_time else f"the step within {of_a_step:g} s",
                "it took longer" + ("" if out_of_time else ", and no other thread could run meanwhile"),
                BUSY if out_of_time or busy else WAITING,
                printed=_last(process),
            )
            continue
        match report:
            case {"state": "over"} if held == len(exercise.steps):
                return Result(exercise, held), began_at
            case None | {"state": "over"}:
                failure = Failure(
                    "the process of your code to live on",
                    f"it ended {process.status}: os._exit, or a crash",
                    "ended",
                    printed=_last(process),
                )
            case {"state": "began", "at": began_at}:
                pass
            case {"state": "held"}:
                held += 1
            case {"state": "goes on"}:
                pass
            case {"state": "storm"}:
                failure = Failure(
                    "little or nothing to be printed", f"more than {STORM:,} bytes",
                    "storm", printed=_last(process),
                )  # fmt: skip
            case {"state": "broken", "error": error}:
                raise RuntimeError(f"the exercise {exercise.name} is broken itself:\n{error}")
            case {"state": "stuck", "seconds": seconds, "clue": clue}:
                seen = {BUSY: "your code was still at work", WAITING: "your code was still waiting"}[clue]
                failure = _failure(report, process, f"the step within {seconds:g} s", seen, clue)
            case {"state": "failed", "expected": expected, "seen": seen, "clue": clue}:
                failure, may_differ = _failure(report, process, expected, seen, clue), began_at > 0
    return Result(exercise, held, failure, began_at > 0, may_differ=may_differ), began_at


def _failure(report: dict[str, Any], process: Process, expected: str, seen: str, clue: str) -> Failure:
    events = tuple(Event(n, e[0], e[1], e[2], e[3], "") for n, e in enumerate(report["events"], 1))
    return Failure(
        expected, seen, clue, tuple(report["at"]), tuple(report["deaths"]), _last(process), events
    )


def _last(process: Process) -> str:
    """The last five lines that were printed."""
    lines = process.printed.splitlines()
    more = ["…"] if len(lines) > 5 or process.bytes_printed > len(process.printed.encode()) else []
    return "\n".join(more + [line[:200] for line in lines[-5:]])
