"""The process in which a student's code runs: it tries the steps, and reports each as a line of JSON.

process.py starts it as `python -m labkit.exercises.grading.child`, with the job on standard input. The
code can hurt nothing but this process: it may print, loop for ever, deadlock, or end the process. Reports
go where standard output went; what the code prints goes to standard error, where process.py counts it.
"""

from __future__ import annotations

import json
import linecache
import os
import pickle
import sys
import threading
import traceback
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from time import monotonic
from types import CodeType, ModuleType
from typing import Any, Literal

import cloudpickle

from labkit.exercises.bench import bench as benches
from labkit.exercises.catalogue import exercise_called
from labkit.exercises.exercise import Step
from labkit.exercises.general_hints import BUSY, WAITING
from labkit.exercises.grading import memory
from labkit.exercises.grading.clock import Clock
from labkit.exercises.grading.guard import guard
from labkit.probe import deadline
from labkit.probe.failed import CheckFailed
from labkit.wire.shadows import shadow

LONGEST = 600
"""Characters reported of what was expected, and of what was seen."""

STUCK = 70
"""The exit status of a process that ended itself because a step took too long."""

LOOKS = 5
"""Looks at the code's threads, to see whether they move."""


class Reports:
    """Reports to the process that started this one. Safe to use from any thread."""

    def __init__(self) -> None:
        # Reports get a descriptor of their own; 1, standard output, is standard error from now on.
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._lock = threading.Lock()  # guards the stream: a report is one line
        self.sign = ""  # on every report: what the code may write to the stream has none

    def send(self, **report: Any) -> None:
        with self._lock:
            self._out.write(json.dumps({"sign": self.sign, "at": monotonic(), **report}) + "\n")
            self._out.flush()


class Watchdog:
    """Ends the process when a step takes too long, and first reports where the code was.

    Args:
        seconds: that a step may take, by this clock: what others do with the machine does not count.
    """

    def __init__(self, reports: Reports, seconds: float, clock: Clock) -> None:
        self._reports, self._seconds, self._clock = reports, seconds, clock
        self._began = (0.0, 0.0)

    def goes_on(self) -> None:
        """A part of the step is done: the next has as long."""
        self._began = self._clock.read()
        self._reports.send(state="goes on")

    def until_looked(self) -> None:
        """Wait until all is known that others have done with the machine up to now."""
        self._clock.until_looked()

    def guard(self, what: Callable[[], None], about: Callable[[], dict[str, Any]]) -> None:
        """Do this, in this thread, within the time; if that runs out, report what `about` returns."""
        over = threading.Event()
        read = self._clock.read
        self._began = read()

        def bite() -> None:
            # What it did in the last half of the time tells what it did at last.
            middle = self._began
            while not over.wait(deadline.SLICE):
                now = read()
                taken = now[0] - self._began[0]
                if taken >= self._seconds:
                    break
                if taken < self._seconds / 2:
                    middle = now
            else:
                return
            worked = (now[1] - middle[1]) / (now[0] - middle[0])
            clue = BUSY if worked > 0.5 or moves(over.wait) else WAITING
            self._reports.send(state="stuck", seconds=self._seconds, clue=clue, **about())
            os._exit(STUCK)

        threading.Thread(target=bite, name="labkit-watchdog", daemon=True).start()
        try:
            what()
        finally:
            over.set()


def moves(sleep: Callable[[float], object]) -> bool:
    """Whether the code's threads go from line to line: mostly at another place, look for look."""
    places = []
    for _ in range(LOOKS):
        places.append([(id(frame), frame.f_lasti) for frame in benches.students_frames()])
        sleep(deadline.SLICE / LOOKS)
    return sum(a != b for a, b in pairwise(places)) > LOOKS / 2


class NameMissing(Exception):
    """The code does not have what the task asks for."""


def load(job: dict[str, Any]) -> Any:
    """What the student wrote: from a notebook by cloudpickle, from a file by running it."""
    for filename, text in job["sources"].items():
        linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    sys.path[:] = job["path"]
    if job["pickled"] is not None:
        # Or it would return the classes that it made before.
        cloudpickle.cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.clear()
        code = pickle.loads(job["pickled"])
        # Where pickle and typing look for its names.
        main = sys.modules["__main__"] = ModuleType("__main__")
        main.__dict__.update(getattr(code, "__globals__", {}), **{job["wants"]: code})
        return code
    names = _as_module(job["filename"])
    exec(_compiled(job["source"], job["filename"]), names)
    wanted = job["wants"]
    if wanted not in names:
        raise NameMissing(wanted)
    return names[wanted]


@cache
def _compiled(source: str, filename: str) -> CodeType:
    """The code of a file: each step runs it anew."""
    return compile(source, filename, "exec", dont_inherit=True)


def _as_module(filename: str) -> dict[str, Any]:
    """The globals of a new module for this file, with what it finds when it is run: it is in sys.modules,
    as dataclasses, pickle and inspect want it; and its neighbours are imported anew."""
    folder = os.path.join(os.path.dirname(os.path.abspath(filename)), "")
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or ""
        if file.startswith(folder) and benches.is_students(file):
            del sys.modules[name]
    module = ModuleType("__student__")
    module.__file__ = filename
    sys.modules[module.__name__] = module
    sys.argv = [filename]
    return vars(module)


def state(bench: benches.Bench | None) -> dict[str, Any]:
    """What is known of a step that failed."""
    if bench is None:
        return {"at": benches.whereabouts(), "events": [], "deaths": []}
    events = [[e.kind, e.who, e.what, e.where] for e in bench.journal]
    return {"at": bench.whereabouts(), "events": events, "deaths": bench.deaths() + deaths(bench)}


def open_ports() -> int:
    """How many ports this process listens on."""
    try:
        import psutil
    except ImportError:  # in a browser (here.py)
        return 0
    connections = psutil.Process().net_connections("tcp")
    return sum(connection.status == psutil.CONN_LISTEN for connection in connections)


def told(error: BaseException) -> str:
    """In one line: what it is, or what it comes of if a file hides one of Python's modules."""
    if isinstance(error, MemoryError):
        memory.lift()
    return shadow(error) or benches.in_one_line(error)


def brief(text: str) -> str:
    """The text; of a long one the beginning and the end."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 100]} … {text[-95:]}"


# The threads that the code started and that died, and what of. Appending is atomic.
_deaths: list[tuple[threading.Thread | None, str]] = []


def remember_death(hook: threading.ExceptHookArgs) -> None:
    if hook.exc_value is not None and not isinstance(hook.exc_value, SystemExit):  # that ends it silently
        _deaths.append((hook.thread, told(hook.exc_value)))


def deaths(bench: benches.Bench) -> list[str]:
    """What threads of this step died of; one of an earlier step may die late."""
    return [told for thread, told in _deaths if thread is None or thread not in bench.before]


class Attempt:
    """Loads the code and tries the steps, one after the other, up to the first that fails."""

    def __init__(self, job: dict[str, Any], reports: Reports) -> None:
        self.job, self.reports = job, reports
        self.clock = Clock(job["clock"])
        deadline.count_by(self.clock)
        self.watchdog = Watchdog(reports, job["step_seconds"], self.clock)
        self.exercise = exercise_called(job["exercise"])
        self.bench: benches.Bench | None = None  # of the step that is tried
        self.code: Any = None

    def run(self) -> None:
        self.reports.send(state="ready")
        if not self._begin():
            return
        all_deaths: list[str] = []
        for number, step in enumerate(self.exercise.steps):
            self.reports.send(state="began", step=number)
            # Anew: no step finds in a global variable what an earlier one left there.
            if number and not self._begin():
                return
            # It knows which earlier threads may still die.
            self.bench = benches.Bench(self.code, self.watchdog.goes_on)
            _deaths.clear()
            if not self._holds(step, self.bench):
                return
            all_deaths += deaths(self.bench)
            if step is self.exercise.steps[-1] and not self._left_nothing(all_deaths):
                return
            self.reports.send(state="held", step=number)

    def _begin(self) -> bool:
        """Load the code. False: that failed, and is reported."""

        def begin() -> None:
            self.code = load(self.job)

        wants = self.exercise.wants
        try:
            self.watchdog.guard(begin, lambda: state(None))
        except NameMissing:
            return self._fail(
                f"a function or class called {wants}", "the file has none of that name", "no such name"
            )
        except SyntaxError as error:
            where = benches.shown_line(error.filename or "", error.lineno, (error.text or "").strip())
            if error.filename != self.job["filename"]:
                where = f"{os.path.basename(error.filename or '')}, {where}"
            seen = shadow(error) or f"{type(error).__name__}: {error.msg} (in {where})"
            return self._fail("Python that can be read", seen, "SyntaxError")
        except BaseException as error:  # also sys.exit() at the top of the file
            clue = "exit at load" if isinstance(error, SystemExit) else type(error).__name__
            return self._fail("code that can be loaded", told(error), clue)
        if not callable(self.code):
            kind = type(self.code).__name__
            what = f"an object, of the type {kind}; is it {kind}() where {kind} is wanted?"
            return self._fail(f"a function or class to call, like {wants}", what, "not callable")
        return True

    def _holds(self, step: Step, bench: benches.Bench) -> bool:
        """Try a step. False: it failed, and that is reported."""
        try:
            self.watchdog.guard(lambda: self._run(step, bench), lambda: state(bench))
        except CheckFailed as failed:
            return self._fail(failed.expected, failed.seen, failed.clue)
        except SystemExit:
            return self._fail("no end of the program", "your code called sys.exit()", "exit")
        except BaseException as error:  # the student's own: whatever it is, it is a ✗ with a reason
            return self._fail("no exception", told(error), type(error).__name__)
        finally:
            bench.close()
        return True

    def _run(self, step: Step, bench: benches.Bench) -> None:
        """Run the step, and wait until the code's threads have done what they do: one may still die."""
        try:
            step.run(bench)
        finally:
            bench.rests()

    def _left_nothing(self, all_deaths: list[str]) -> bool:
        """After the last step: no thread has died, and no port is open. False: that is reported."""
        if all_deaths:
            return self._fail("no thread of your code to die", all_deaths[0], "died")
        if ports := open_ports():
            seen = f"your code still listens on {ports} of them"
            return self._fail("no port left open when all is done", seen, "port")
        return True

    def _fail(self, expected: str, seen: str, clue: str = "") -> Literal[False]:
        known = state(self.bench)
        known["deaths"] = [death for death in known["deaths"] if death != seen]  # that is told already
        self.watchdog.until_looked()
        self.reports.send(state="failed", expected=brief(expected), seen=brief(seen), clue=clue, **known)
        return False


def main() -> None:
    reports = Reports()
    job = pickle.load(sys.stdin.buffer)
    reports.sign = job["sign"]
    threading.excepthook = remember_death
    guard(job, reports)
    sys.stderr.flush()
    memory.bound()
    try:
        Attempt(job, reports).run()
    except BaseException as error:  # ours: the exercise itself is wrong
        reports.send(state="broken", error="".join(traceback.format_exception(error)))
    reports.send(state="over")
    # os._exit does not wait for the code's threads.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
