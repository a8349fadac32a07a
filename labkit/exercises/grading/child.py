"""The process in which a student's code runs: it tries the steps, and reports each as a line of JSON.

Started by process.py, as `python -m labkit.exercises.grading.child`, with the job on standard input.
Nothing that the code does can hurt more than this process: it may print, loop for ever, lock itself up, or
end the process. Reports go where standard output went; what the code prints, to standard error, where it is
collected and counted.
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

import cloudpickle
import psutil

from labkit.exercises.bench import bench as benches
from labkit.exercises.catalogue import exercise_called
from labkit.exercises.general_hints import BUSY, WAITING
from labkit.probe.failed import CheckFailed

LONGEST = 600
"""Characters that are told of what was expected, and of what was seen."""

STUCK = 70
"""The exit status of a process that ended itself because a step took too long."""


class Reports:
    """Reports to the process that started this one. Safe to use from any thread."""

    def __init__(self) -> None:
        # Another number for standard output; its old one, 1, from now on means standard error.
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._lock = threading.Lock()  # guards the stream: a report is one line
        self.sign = (
            ""  # on every report, so that what the code may write to the stream is not taken for one
        )

    def send(self, **report: Any) -> None:
        with self._lock:
            self._out.write(json.dumps({"sign": self.sign, **report}) + "\n")
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
                clue = BUSY if worked > self._seconds / 10 else WAITING
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
        # It keeps the classes that it has made before, and would give them out again.
        cloudpickle.cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.clear()
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
    return {"at": bench.whereabouts(), "events": events, "deaths": bench.deaths() + deaths(bench)}


def open_ports() -> int:
    """How many ports this process listens on."""
    connections = psutil.Process().net_connections("tcp")
    return sum(connection.status == psutil.CONN_LISTEN for connection in connections)


def brief(text: str) -> str:
    """The text, if it is short enough to be read; of a longer one the beginning and the end."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 100]} … {text[-95:]}"


# What threads died of that the code itself started, and which they were. Appending is atomic.
_deaths: list[tuple[threading.Thread | None, str]] = []


def remember_death(hook: threading.ExceptHookArgs) -> None:
    if hook.exc_value is not None:
        _deaths.append((hook.thread, benches.in_one_line(hook.exc_value)))


def deaths(bench: benches.Bench) -> list[str]:
    """What threads that were started in this step died of; one of a step before may die late."""
    return [told for thread, told in _deaths if thread is None or thread not in bench.before]


def attempt(job: dict[str, Any], reports: Reports) -> None:
    """Load the code and try the steps, one after the other, up to the first that fails."""
    watchdog = Watchdog(reports, job["step_seconds"])
    exercise = exercise_called(job["exercise"])
    bench: benches.Bench | None = None
    code: Any = None

    def fail(expected: str, seen: str, clue: str = "") -> None:
        known = state(bench)
        known["deaths"] = [death for death in known["deaths"] if death != seen]  # it is told already
        reports.send(state="failed", expected=brief(expected), seen=brief(seen), clue=clue, **known)

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
        return fail("code that can be loaded", benches.in_one_line(error))
    if not callable(code):
        kind = type(code).__name__
        what = f"an object, of the type {kind}; is it {kind}() where {kind} is wanted?"
        return fail(f"a function or class to call, like {exercise.wants}", what)
    all_deaths: list[str] = []
    for n, step in enumerate(exercise.steps):
        reports.send(state="began", step=n)
        if n:  # anew, so that no step finds in a global variable what another has left there
            code = load(job)
        bench = benches.Bench(code)
        _deaths.clear()  # of those that died before; who dies later is known to the bench
        now = bench
        try:
            watchdog.guard(lambda: step.run(now), lambda: state(now))  # noqa: B023 - called in this round
        except CheckFailed as failed:
            return fail(failed.expected, failed.seen, failed.clue)
        except SystemExit:
            return fail("no end of the program", "your code called sys.exit()", "exit")
        except BaseException as error:  # the student's own: whatever it is, it is a ✗ with a reason
            return fail("no exception", benches.in_one_line(error), type(error).__name__)
        finally:
            bench.close()
        all_deaths += deaths(bench)
        if step is exercise.steps[-1] and all_deaths:
            return fail("no thread of your code to die", all_deaths[0], "died")
        if step is exercise.steps[-1] and (ports := open_ports()):
            seen = f"your code still listens on {ports} of them"
            return fail("no port left open when all is done", seen, "port")
        reports.send(state="held", step=n)


def main() -> None:
    reports = Reports()
    job = pickle.load(sys.stdin.buffer)
    reports.sign = job["sign"]
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
