"""The process in which a student's code runs: it tries the steps, and reports each as a line of JSON.

Started by process.py, as `python -m labkit.grading.child`, with the job on its standard input. Nothing
that the code does can hurt more than this process: it may print, loop for ever, lock itself up, or end
the process. Reports go where standard output went; what the code prints, to standard error, where it is
collected and counted.

It builds on bench.py and on the exercises.
"""

from __future__ import annotations

import json
import linecache
import os
import pickle
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from labkit.conformance.missed import Missed
from labkit.exercises import exercise_called
from labkit.grading import bench as benches

STUCK = 70
"""The exit status of a process that ended itself because a step took too long."""


class Reports:
    """Reports to the process that started this one. Safe to use from any thread."""

    def __init__(self) -> None:
        # Another number for standard output; its old one, 1, from now on means standard error.
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._lock = threading.Lock()  # guards the stream: a report is one line

    def send(self, **report: Any) -> None:
        with self._lock:
            self._out.write(json.dumps(report) + "\n")
            self._out.flush()


class Watchdog:
    """Ends the process when a step takes too long, and tells first where the code was."""

    def __init__(self, reports: Reports, seconds: float) -> None:
        self._reports, self._seconds = reports, seconds

    def guard(self, what: Callable[[], None], about: Callable[[], dict[str, Any]]) -> None:
        """Do this, in this thread, with an eye on the time; `about` is told if it runs out."""
        over = threading.Event()
        worked_before = time.process_time()

        def bite() -> None:
            if not over.wait(self._seconds):
                worked = time.process_time() - worked_before
                # On a busy machine even an endless loop gets only a part of a core.
                clue = "busy" if worked > self._seconds / 10 else "waiting"
                self._reports.send(state="stuck", seconds=self._seconds, clue=clue, **about())
                os._exit(STUCK)

        threading.Thread(target=bite, name="labkit-watchdog", daemon=True).start()
        try:
            what()
        finally:
            over.set()


class NotThere(Exception):
    """The code does not have what the task asks for."""


def load(job: dict[str, Any]) -> Any:
    """What the student wrote: from a notebook by cloudpickle, from a file by running it."""
    for filename, text in job["sources"].items():
        linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    sys.path[:] = job["path"]
    if job["pickled"] is not None:
        return pickle.loads(job["pickled"])
    names: dict[str, Any] = {"__name__": "__student__", "__file__": job["filename"]}
    exec(compile(job["source"], job["filename"], "exec", dont_inherit=True), names)
    wanted = job["wants"]
    if wanted not in names:
        raise NotThere(wanted)
    return names[wanted]


def state(bench: benches.Bench | None) -> dict[str, Any]:
    """What is known of a step that did not end well."""
    if bench is None:
        return {"at": benches.whereabouts(), "events": [], "deaths": []}
    events = [[e.kind, e.who, e.what, e.where] for e in bench.journal]
    return {"at": bench.whereabouts(), "events": events, "deaths": bench.deaths() + _deaths}


_deaths: list[str] = []  # what threads died of that the code itself started; appending is atomic


def remember_death(hook: threading.ExceptHookArgs) -> None:
    if hook.exc_value is not None:
        _deaths.append(benches.told(hook.exc_value))


def attempt(job: dict[str, Any], reports: Reports) -> None:
    """Load the code and try the steps, one after the other, up to the first that fails."""
    watchdog = Watchdog(reports, job["step_seconds"])
    exercise = exercise_called(job["exercise"])
    bench: benches.Bench | None = None
    code: Any = None

    def fail(expected: str, seen: str, clue: str = "") -> None:
        known = state(bench)
        known["deaths"] = [death for death in known["deaths"] if death != seen]  # it is told already
        reports.send(state="missed", expected=expected, seen=seen, clue=clue, **known)

    def begin() -> None:
        nonlocal code
        code = load(job)

    try:
        watchdog.guard(begin, lambda: state(None))
    except NotThere:
        return fail(f"a function or class called {exercise.wants}", "the file has none of that name")
    except SyntaxError as error:
        where = f"line {error.lineno}: {(error.text or '').strip()}"
        return fail("Python that can be read", f"{type(error).__name__}: {error.msg} (in {where})")
    except BaseException as error:  # also sys.exit() at the top of the file
        return fail("code that can be loaded", benches.told(error))
    if not callable(code):
        return fail(f"a function or class to call, like {exercise.wants}", f"{code!r}")
    for n, step in enumerate(exercise.steps):
        reports.send(state="began", step=n)
        _deaths.clear()
        bench = benches.Bench(code)
        now = bench
        try:
            watchdog.guard(lambda: step.run(now), lambda: state(now))  # noqa: B023 - called in this round
        except Missed as missed:
            return fail(missed.expected, missed.seen, missed.clue)
        except SystemExit:
            return fail(step.name, "your code called sys.exit()", "exit")
        except BaseException as error:  # the student's own: whatever it is, it is a ✗ with a reason
            return fail(step.name, benches.told(error), type(error).__name__)
        finally:
            bench.close()
        reports.send(state="held", step=n)


def main() -> None:
    reports = Reports()
    job = pickle.load(sys.stdin.buffer)
    threading.excepthook = remember_death
    sys.stderr.flush()
    try:
        attempt(job, reports)
    except BaseException as error:  # ours: a step that is wrong itself
        reports.send(state="broken", error="".join(traceback.format_exception(error)))
    reports.send(state="over")
    # Threads of the code's may still run, and would be waited for.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
