"""A folder of its own for each submission: the code runs there, with the student's other files beside it.

It finds no other student's files there, and what it leaves is removed: files, and processes that have left
the group in which a check ends them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import monotonic, sleep

import psutil

from labkit.exercises.grading.process import HOME, Place
from labkit.probe import children


@contextlib.contextmanager
def place_for(called: str, text: str, beside: Sequence[tuple[str, Path]]) -> Iterator[Place]:
    """A place for one submission, for as long as the block runs.

    Args:
        called: the file's name.
        text: what it holds.
        beside: the student's other files: the name in the new folder, and where they are.

    Raises:
        OSError: there is no room for it.
    """
    folder = Path(tempfile.mkdtemp(prefix="labkit-grade-")).resolve()
    children.remove(folder)  # should this process be killed
    try:
        _fill(folder, called, text, beside)
        here = {"", os.getcwd(), str(Path.cwd().resolve())}
        path = [str(folder), str(HOME), *(entry for entry in sys.path if entry not in here)]
        with contextlib.ExitStack() as then:
            then.callback(_end_all, str(folder))
            yield Place(folder, tuple(path))
    finally:
        _remove(folder)


def _fill(folder: Path, called: str, text: str, beside: Sequence[tuple[str, Path]]) -> None:
    for name, file in beside:
        target = (folder / name).resolve()
        if folder in target.parents:
            target.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(OSError):  # its import fails, and says so
                shutil.copyfile(file, target)
    (folder / called).write_text(text, encoding="utf-8", errors="surrogatepass")


def _end_all(folder: str) -> None:
    """End what has this place's mark in its environment, or runs in its folder, until none is left."""
    give_up = monotonic() + 5.0
    while (left := [p for p in psutil.process_iter() if _belongs(p, folder)]) and monotonic() < give_up:
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        sleep(0.01)


def _belongs(process: psutil.Process, folder: str) -> bool:
    if process.pid == os.getpid():
        return False
    with contextlib.suppress(psutil.Error, OSError):  # it has ended, or is another user's
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return bool(process.environ().get(Place.MARK) == folder or process.cwd() == folder)
    return False


def _remove(folder: Path) -> None:
    """Remove it, also what has been made unreadable."""

    def allow(function: object, name: str, error: object) -> None:
        with contextlib.suppress(OSError):
            os.chmod(os.path.dirname(name), 0o700)
            os.chmod(name, 0o700)
            os.rmdir(name) if os.path.isdir(name) else os.unlink(name)

    shutil.rmtree(folder, onerror=allow)
    shutil.rmtree(folder, ignore_errors=True)
