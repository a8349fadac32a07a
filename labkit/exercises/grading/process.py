"""A process for a student's code: started, watched, and ended, whatever the code does in it.
It does not outlive the process that started it, however that ends.

It reads the process's reports, a line each, and what the code prints, of which it keeps the end. What the
reports mean, checking.py and judging.py know.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import queue
import secrets
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import IO, Any, ClassVar

from labkit.exercises.grading.clock import ClockFace
from labkit.probe import children
from labkit.probe.children import kill as kill_family
from labkit.probe.deadline import wait
from labkit.probe.patience import Patience

HOME = Path(__file__).resolve().parents[3]
"""The folder that labkit is in."""

LOOKS_INTO_PIPES = hasattr(select, "poll")  # Windows cannot

KEPT = 2000
"""Bytes kept of what the code prints: the last ones."""

INSIDE = "LABKIT_INSIDE_A_CHECK"
"""The environment variable of what a check runs. A file that checks itself is not checked again there, and
again in that check, without an end."""

STORM = 5_000_000
"""Bytes that the code may print; more end it."""

STARTING = 30.0
"""Seconds, by its own clock, that a process has to start and to import what it needs."""

LONGEST = 180.0
"""Seconds by the wall clock after which a process that gets no processor time is given up."""


class Starved(Exception):
    """The machine is too busy for this process to get anywhere; the text says how that showed."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a submission runs: in a folder of its own, and guarded (guard.py).

    Args:
        folder: its working folder, and that of its temporary files.
        path: where it looks for modules.
        noticed: what guard.py saw there: pairs of a line and the words.
    """

    folder: Path
    path: tuple[str, ...]
    noticed: list[tuple[int, str]] = field(default_factory=list)

    MARK: ClassVar[str] = "LABKIT_PLACE"
    """The environment variable that names the folder to what the code starts."""

    def environment(self) -> dict[str, str]:
        folder = str(self.folder)
        return {self.MARK: folder, "TMPDIR": folder, "TEMP": folder, "TMP": folder}

    def job(self) -> dict[str, Any]:
        """What it adds to a job."""
        return {"path": list(self.path), "guarded": True, "place": self}


_running: set[Process] = set()
_running_lock = threading.Lock()  # guards _running


def stop_all() -> None:
    """End every process that runs a student's code now, in whichever thread it is followed."""
    with _running_lock:
        running = list(_running)
    for process in running:
        process.kill()


class Process:
    """A child process that runs `module` with this job (anything that pickle takes).

    Args:
        module: run as `python -m module`; reads the job from its standard input, reports as lines of JSON
            on its standard output, and lets the code print to standard error.
        job: handed to it. Its "place" is where it runs, if that is not here.
        beside: ids of processes that it waits for: its clock stands still while they are starved, too.

    `clock` is the one by which it is timed. The process finds it at job["clock"].
    """

    def __init__(self, module: str, job: Mapping[str, Any], beside: tuple[int, ...] = ()) -> None:
        self._place: Place | None = job.get("place")
        # It must find this labkit, also where it is not installed.
        path = os.pathsep.join(filter(None, [str(HOME), os.environ.get("PYTHONPATH", "")]))
        environment = {
            **os.environ,
            "PYTHONPATH": path,
            "PYTHONUNBUFFERED": "1",
            "PYTHONIOENCODING": "utf-8",
            INSIDE: "1",
            **(self._place.environment() if self._place else {}),
        }
        self._process = children.popen(
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=self._place and self._place.folder,
            start_new_session=True,  # so that stop() can end what the code starts, too
        )
        with _running_lock:
            _running.add(self)
        self._sign = secrets.token_hex(8)
        self._reports: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        # Guards _printed, and is held while reading: output is in the pipe or in _printed.
        self._reading = threading.Lock()
        self._printed = bytearray()  # the last of it
        self.bytes_printed = 0
        self._threads = [
            threading.Thread(target=target, name=f"labkit-exercise-{name}", daemon=True)
            for name, target in (("reports", self._read_reports), ("output", self._read_output))
        ]
        for thread in self._threads:
            thread.start()
        self._began = monotonic()
        self._face = ClockFace()
        self.clock = Patience((self._process.pid, *beside), self._face.show)
        ours = {"sign": self._sign, "clock": self._face.path, "place": None}
        self._hand_over(pickle.dumps({**job, **ours}))

    def _hand_over(self, job: bytes) -> None:
        stdin = self._pipe(self._process.stdin)
        with contextlib.suppress(OSError):  # it has ended already, and nothing is reported
            stdin.write(job)
            stdin.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ready(self) -> float:
        """Wait until it has imported what it needs; the code's own time begins then. Returns when that was
        (monotonic: it is the same for all processes).

        Raises:
            Starved: it does not get that far.
        """
        try:
            report = self.report(STARTING)
        except TimeoutError as error:
            raise Starved(f"the process of your code did not start: {error}") from None
        if report is None:
            raise Starved(f"the process of your code did not start: it ended {self.status}, {self.printed}")
        return float(report["at"])

    def report(self, seconds: float) -> dict[str, Any] | None:
        """The next report; None once the process has ended.

        Raises:
            TimeoutError: none came in so many seconds, by the clock of the process.
            Starved: the machine is too busy to wait for that.
        """
        came: list[dict[str, Any] | None] = []

        def arrives(slice_of_it: float) -> bool:
            try:
                came.append(self._reports.get(timeout=slice_of_it))
            except queue.Empty:
                return monotonic() - self._began > LONGEST
            return True

        if not wait(arrives, seconds, self.clock):
            raise TimeoutError(f"nothing was reported within {seconds:g} s")
        if not came:
            got = f"{self.clock.seconds:.1f} s of {LONGEST:g}"
            raise Starved(f"other programs use the machine: your code could go on for {got}")
        return came[0]

    @property
    def printed(self) -> str:
        """The end of what the code has printed so far, even if a report has overtaken it."""
        give_up = monotonic() + 20.0  # the thread may have to wait for a busy machine
        while LOOKS_INTO_PIPES and self._threads[-1].is_alive() and monotonic() < give_up:
            with self._reading:
                if not _something_in(self._pipe(self._process.stderr), 0):
                    break
            sleep(0.001)  # the reading thread is about to
        return bytes(self._printed).decode("utf-8", "replace")

    @property
    def status(self) -> str:
        """How it ended, once it has: "with exit status 1", "by signal SIGSEGV"."""
        code = self._process.wait()
        if code >= 0:
            return f"with exit status {code}"
        try:
            return f"by signal {signal.Signals(-code).name}"
        except ValueError:
            return f"by signal {-code}"

    def kill(self) -> None:
        """End it, and what it started, and do not wait for that."""
        kill_family(self._process)

    def stop(self) -> None:
        """End it, and what it started, at once. A second call does no harm."""
        self.kill()
        self._process.wait()
        self.clock.stop()
        self._face.close()
        with _running_lock:
            _running.discard(self)
        give_up = monotonic() + 1.0
        for thread in self._threads:
            # A grandchild that left the group may hold the pipe open; it must not hold us up.
            thread.join(max(0.0, give_up - monotonic()))
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None and not any(thread.is_alive() for thread in self._threads):
                with contextlib.suppress(OSError):  # something is left in it that the process did not read
                    pipe.close()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    # --- its two threads ---

    def _read_reports(self) -> None:
        for line in self._pipe(self._process.stdout):
            try:
                report = json.loads(line)
            except (ValueError, RecursionError):  # the latter from thousands of brackets
                continue  # the code found our pipe, and wrote to it
            if not isinstance(report, dict) or report.get("sign") != self._sign:
                continue
            if report.get("state") == "noticed" and self._place is not None:
                self._place.noticed.append((report["line"], report["what"]))
            else:
                self._reports.put(report)
        self._reports.put(None)

    def _read_output(self) -> None:
        output = self._pipe(self._process.stderr)
        while True:
            if LOOKS_INTO_PIPES:
                _something_in(output, None)  # so as not to wait while holding the lock
            with self._reading:
                data = os.read(output.fileno(), 65536)
                self._printed += data
                del self._printed[:-KEPT]
            if not data:
                return
            self.bytes_printed += len(data)
            if self.bytes_printed > STORM:
                self._reports.put({"state": "storm"})
                return

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None
        return pipe


def _something_in(pipe: IO[bytes], milliseconds: int | None) -> bool:
    """Whether data or the end can be read, within so many milliseconds; None waits for ever."""
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    return bool(poll.poll(milliseconds))
