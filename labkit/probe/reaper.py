"""The process that ends what another one has started, once that one is gone.

children.py starts it, by this file's path, and tells it on its standard input what there is to end, a line
each. The end of that input is the end of the other process. It imports nothing of labkit, to begin quickly.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import signal
import sys
from time import monotonic, sleep

import psutil

GRACE = 1.0
"""Seconds between SIGTERM and SIGKILL."""

PATIENCE = 10.0
"""Seconds that processes may take to be gone after SIGKILL; what they start meanwhile is ended, too."""


class Legacy:
    """What the other process leaves behind.

    Args:
        variable: the environment variable with the marks.
        mark: that of the other process.
    """

    def __init__(self, variable: str, mark: str) -> None:
        self._variable, self._mark = variable, mark
        self._families: list[psutil.Process] = []  # to be ended with all that belongs to them
        self._alone: list[psutil.Process] = []
        self._folders: list[str] = []
        self._sessions: set[int] = set()
        self._grace = GRACE

    def add(self, line: str) -> None:
        """Take down `family PID`, `alone PID SECONDS`, or `folder HEX`."""
        kind, what, *grace = line.split()
        if kind == "folder":
            self._folders.append(os.path.realpath(os.fsdecode(bytes.fromhex(what))))
            return
        self._grace = max([self._grace, *map(float, grace)])
        processes = self._families if kind == "family" else self._alone
        # Forget those that have ended: their numbers are used again. psutil notices that, by the time.
        processes[:] = filter(runs, processes)
        with contextlib.suppress(psutil.Error):
            processes.append(psutil.Process(int(what)))

    def end(self) -> None:
        """SIGTERM, then SIGKILL, until nothing is left and nothing new is found."""
        for ask, seconds in (psutil.Process.terminate, self._grace), (psutil.Process.kill, PATIENCE):
            asked: set[psutil.Process] = set()
            give_up = monotonic() + seconds
            while monotonic() < give_up:
                self._find()
                left = set(filter(runs, [*self._families, *self._alone]))
                if not left:
                    break
                for process in left - asked:
                    with contextlib.suppress(psutil.Error):
                        ask(process)
                asked |= left
                sleep(0.02)
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)

    def _find(self) -> None:
        """Add to the families what has the mark or runs in a folder, and their sessions and descendants."""
        found = set(self._families)
        processes = set(psutil.process_iter()) - set(self._alone)
        found |= {process for process in processes if self._has_mark(process) or self._in_folder(process)}
        # A session may outlive its leader; its number is not used again before its end.
        self._sessions |= {process.pid for process in found if _session(process) == process.pid}
        found |= {process for process in processes if _session(process) in self._sessions}
        born = {process.pid: _born(process) for process in found & processes}
        for process in sorted(processes, key=_born):  # parents before their children
            with contextlib.suppress(psutil.Error):
                # Windows tells the parent's number after its end, too, when it may be another's.
                if born.get(process.ppid(), math.inf) <= _born(process):
                    found.add(process)
                    born[process.pid] = _born(process)
        self._families = list(found)

    def _has_mark(self, process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error, OSError):  # it has ended, or is another user's
            return self._mark in process.environ().get(self._variable, "").split(":")
        return False

    def _in_folder(self, process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error, OSError):
            return process.cwd() in self._folders
        return False


def _born(process: psutil.Process) -> float:
    """When it was started, in seconds since 1970; 0 if unknown."""
    with contextlib.suppress(psutil.Error):
        return float(process.create_time())
    return 0.0


def _session(process: psutil.Process) -> int | None:
    """The number of its session, which is that of the process that began it, setsid(2); None if unknown."""
    with contextlib.suppress(OSError):  # it has ended
        return os.getsid(process.pid) if os.name == "posix" else None
    return None


def runs(process: psutil.Process) -> bool:
    """Whether it has not ended; a zombie has."""
    with contextlib.suppress(psutil.Error):
        return process.is_running() and bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def main(variable: str, mark: str) -> None:
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):  # sent to all; this one ends last
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    os.chdir(os.sep)  # so as to keep no folder in use
    legacy = Legacy(variable, mark)
    for line in sys.stdin:
        legacy.add(line)
    legacy.end()


if __name__ == "__main__":
    main(*sys.argv[1:])
