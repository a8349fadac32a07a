"""A check's process that is a fork (forking.py) is as one that is started: its verdicts are the same."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psutil
import pytest
from forking import WORKS, Zygote, forking
from programs import still_run
from support import SOON

from labkit.exercises import check, exercise_called, judge
from labkit.exercises.grading import process
from labkit.probe import children

pytestmark = pytest.mark.skipif(not WORKS, reason="no fork is used here")

FRAMING = exercise_called("framing")

TELLS = """
import json, os, resource, signal, sys, threading
told = {
    "environment": dict(os.environ),
    "folder": os.getcwd(),
    "session": os.getsid(0) == os.getpid(),
    "descriptors": sorted(os.listdir("/proc/self/fd")),
    "flags": repr(sys.flags),
    "signals": {str(number): str(signal.getsignal(number)) for number in signal.valid_signals()},
    "blocked": str(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "woken": signal.set_wakeup_fd(-1),
    "streams": [[s.encoding, s.errors, s.write_through] for s in (sys.stdout, sys.stderr)],
    "stdin": sys.stdin.read(),
    "path": sys.path,
    "lab": sorted(name for name in sys.modules if name.startswith("labkit")),
    "main": sys.modules["__main__"].__spec__ is not None,
    "threads": sorted(thread.name for thread in threading.enumerate()),
    "memory": resource.getrlimit(resource.RLIMIT_DATA),
    "nice": os.nice(0),
}
if not os.path.exists({note!r}):  # at the first step: later, a thread of the one before may still be ending
    with open({note!r}, "w") as file:
        json.dump(told, file)
"""


@contextmanager
def starting() -> Iterator[None]:
    """Meanwhile, processes are started as a user's are, also where this file's are forks."""
    forks, process.children = process.children, children  # type: ignore[attr-defined]
    try:
        yield
    finally:
        process.children = forks  # type: ignore[attr-defined]


def told(note: Path, folder: Path) -> dict[str, Any]:
    """What the code of a check finds where it runs."""
    place = process.Place(folder, tuple(sys.path))
    source = TELLS.replace("{note!r}", repr(str(note))) + FRAMING.solution
    result = check("framing", source, filename=str(folder / "mine.py"), place=place)
    found: dict[str, Any] = json.loads(note.read_text())
    assert result.score is not None and not result.not_judged
    return found


def test_it_finds_the_same_as_one_that_is_started(tmp_path: Path) -> None:
    """Its environment, folder, descriptors, signals, streams and bounds; of the lab it has more."""
    (folder := tmp_path / "in").mkdir()
    forked = told(tmp_path / "forked", folder)
    with starting():
        started = told(tmp_path / "started", folder)
    assert set(started.pop("lab")) < set(forked.pop("lab"))
    assert forked == started


@pytest.mark.parametrize(
    ("does", "words"),
    [
        ("os._exit(7)", "with exit status 7"),
        ("os.abort()", "by signal SIGABRT"),
        ("os.kill(os.getpid(), 9)", "by signal SIGKILL"),
    ],
)
def test_how_it_ended_is_told(does: str, words: str) -> None:
    """By an exit, or by a signal; and the next one works."""
    result = check("framing", f"import os\n{does}\n")
    assert result.failure is not None and words in result.failure.seen
    assert check("framing", FRAMING.solution).ok


def test_nothing_of_it_is_left(zygote: Zygote) -> None:
    """No process that it started, and no descriptor, here or there; a judge's are forks, too."""
    assert check("framing", FRAMING.solution).ok
    this, forks = psutil.Process(), psutil.Process(zygote.pid)
    before = this.num_fds() + forks.num_fds()
    source = "import subprocess\nsubprocess.Popen(['sleep', '60'])\n" + FRAMING.solution
    for _ in range(3):
        assert check("framing", source).ok
    assert judge("def my_test(address):\n    assert False\n").score == 0
    assert still_run(forks.children(recursive=True)) == []
    give_up = monotonic() + SOON  # the zygote closes its last one after it has told how that fork ended
    while (left := this.num_fds() + forks.num_fds() - before) > 0 and monotonic() < give_up:
        sleep(0.005)
    assert left <= 0


def test_the_zygote_ends_with_its_tests() -> None:
    """It is closed, and ends by itself."""
    zygote = Zygote()
    with forking(zygote):
        assert check("framing", FRAMING.solution).ok
    running = psutil.Process(zygote.pid)
    zygote.close()
    assert still_run([running]) == [] and not os.path.exists(f"/proc/{running.pid}")
