"""In a submission's process: notices what reaches for the checker, and bounds what it may use up.

It sees events of Python's own (PEP 578): a file that is opened, a module that is imported, frames that are
looked at. It is no wall: code in C is not seen, nor is what was loaded already.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

FILE_SIZE = 100_000_000
"""Bytes that a file which the code writes may have."""

PROCESSES = 64
"""Processes and threads more than there are, that the user may have once the code has started a process."""

FORKS, STARTS = 6, 100
"""How often it may fork, counted along a line of descent: 64 processes by forks of forks; and how
often it may start a program."""

NOTICES = 5
"""What is told of one process."""

CHECKER = str(Path(__file__).resolve().parents[1])
_LAB = str(Path(__file__).resolve().parents[2])
_TELLS_ERRORS = ("linecache.py", "traceback.py")  # they open the files in which an error passed

_FORKS = {"os.fork", "os.forkpty"}
_LOOKS = {"gc.get_objects", "gc.get_referrers", "gc.get_referents", "sys._getframe", "sys._current_frames"}
_STARTS = {
    *_FORKS,
    *("os.system", "os.exec", "os.posix_spawn", "os.spawn", "subprocess.Popen", "pty.spawn"),
}


class Reports(Protocol):
    """Where to tell of it."""

    def send(self, **report: Any) -> None: ...


def guard(job: dict[str, Any], reports: Reports) -> None:
    """Begin, if the job asks for it: a teacher's grade does, a student's own check does not."""
    if not job.get("guarded"):
        return
    _bound_files()
    folder = os.path.dirname(job["filename"]) + os.sep
    noticed: set[str] = set()
    forks = starts = 0
    looking = threading.local()  # the hook causes events, too

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        what = _what(event, arguments)
        if not what or getattr(looking, "now", False):
            return
        looking.now = True
        try:
            look(event, what)
        finally:
            looking.now = False

    def look(event: str, what: str) -> None:
        nonlocal forks, starts
        line = _students_line(sys._getframe(2), folder, directly=event in _LOOKS)
        if event in _STARTS and line:
            if not starts:
                _bound_processes()
            starts += 1
            forks += event in _FORKS
        if line and len(noticed) < NOTICES and what not in noticed:
            noticed.add(what)
            reports.send(state="noticed", line=line, what=what)
        if event in _STARTS and (forks > FORKS or starts > STARTS):
            raise RuntimeError("it starts too many processes")

    sys.addaudithook(hook)


def _what(event: str, arguments: tuple[Any, ...]) -> str:
    """What the event means, if it is one that no answer needs."""
    if event == "open":
        name = arguments[0]
        if isinstance(name, bytes):
            name = os.fsdecode(name)
        if isinstance(name, int) and name > 2:
            return "uses a descriptor that is not its own"
        hit = isinstance(name, str) and ("labkit" in name or "/proc/" in name) and _inside(name)
        return f"opens {os.path.basename(name)} of the checker" if hit else ""
    if event == "import":
        name = str(arguments[0])
        return f"imports {name}" if name == "labkit" or name.startswith("labkit.") else ""
    if event in _LOOKS:
        return "looks into the running program"
    if event.startswith("ctypes.dlopen"):
        return "loads a library in C"
    return "starts processes" if event in _STARTS else ""


def _inside(name: str) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return os.path.realpath(name).startswith(CHECKER) or os.path.abspath(name).startswith(
            "/proc/self/fd"
        )
    return False


def _students_line(frame: FrameType | None, folder: str, directly: bool) -> int:
    """The line of the student's files that caused it; 0 if the lab's own code or, of what is asked for
    directly, a library did."""
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(folder):
            return frame.f_lineno
        if name.endswith(_TELLS_ERRORS) or name.startswith(_LAB) or directly and not name.startswith("<"):
            return 0
        frame = frame.f_back
    return 0


def _bound_files() -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):  # Windows; or it has a lower bound already
        import resource

        for what, bound in ((resource.RLIMIT_FSIZE, FILE_SIZE), (resource.RLIMIT_CORE, 0)):
            hard = resource.getrlimit(what)[1]
            least = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
            resource.setrlimit(what, (least, least))


def _bound_processes() -> None:
    """Let the user have few more than now. Only where it starts one: threads count, too, and a right answer
    has many. The superuser has no such bound."""
    import psutil

    with contextlib.suppress(ImportError, OSError, ValueError, psutil.Error):
        import resource

        ours = [p for p in psutil.process_iter() if p.uids().real == os.getuid()]
        bound = sum(process.num_threads() for process in ours) + PROCESSES
        hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(resource.RLIMIT_NPROC, (bound, bound))
