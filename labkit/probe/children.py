"""Starts processes that end with this one, however it ends, and with them all that they start.

    server = children.popen([sys.executable, "-m", "labkit", "serve"])

With the first of them it starts the reaper (reaper.py), a process that waits for the end of a pipe of which
this process alone holds the other end. The system closes it, after SIGKILL, too. The reaper then ends what
still runs. It finds that in two ways:

- By a mark in its environment, which descendants inherit: a session of their own (setsid(2)) does not take
  it from them, nor does the end of their parent. (By such a mark, Jenkins finds what a build left behind;
  Testcontainers' Ryuk waits, like the reaper, for the end of a connection.)
- By its parents, or by its session. Some programs write a title over their environment: redis-server does.

It cannot find what has lost its mark (`env -i`), its parents and its session; nor, if this process ends in
the moment in which it starts another one, what writes over its mark (`remove` is for that). And it cannot
end what runs for another user, or what another process was asked to run, as by `docker run`.

Ctrl-C and the end of the terminal do not reach the reaper: it has a session of its own. Nor is it a child
of this process, except on Windows: it takes no wait, and no place among the children that a program counts.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from labkit.probe.job import Job

MARK = "LABKIT_REAPER"
"""The environment variable with the marks, a colon between them: tests may start what starts something."""

REAPER = Path(__file__).with_name("reaper.py")


def popen(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, **options: Any
) -> subprocess.Popen[bytes]:
    """subprocess.Popen, of a process that ends with this one, and with it all that it starts.

    Raises:
        OSError: as subprocess.Popen does.
    """
    pipe = _pipe()
    process = subprocess.Popen(command, env=_marked(os.environ if env is None else env), **options)
    if os.name == "nt":
        _jobs[process] = Job(process.pid)
    _tell(pipe, f"family {process.pid}")
    return process


def kill(process: subprocess.Popen[bytes]) -> None:
    """End it, which `popen` has started in a session of its own, and what it has started there (on Windows:
    all that it has started). Does not wait for that."""
    if os.name == "nt":
        _jobs[process].kill()
        return
    # The group has the process's number, and lives as long as any process in it. PermissionError: macOS
    # says so where only zombies are left.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def mark_all() -> None:
    """Let all that this process starts from now on, by whatever means, end with it."""
    _pipe()
    os.environ.update(_marked(os.environ))


def end_alone(pid: int, grace: float) -> None:
    """End this child with this process, but nothing that it has started: it does that itself, at SIGTERM.

    Args:
        grace: seconds until SIGKILL.
    """
    _tell(_pipe(), f"alone {pid} {grace}")


def remove(folder: str | os.PathLike[str]) -> None:
    """After the end of this process, end what runs in this folder, and remove it, if it is still there.

    A process runs in its working folder. Say so before the first: it needs neither a mark nor parents.
    """
    _tell(_pipe(), f"folder {os.fsencode(folder).hex()}")


# --- in the process that starts others ---

_lock = threading.Lock()  # guards _write
_write: int | None = None  # our end of the reaper's pipe
_token = secrets.token_hex(8)
_jobs: WeakKeyDictionary[subprocess.Popen[bytes], Job] = WeakKeyDictionary()  # Windows


def _pipe() -> int:
    """Our end of the reaper's pipe; it is started if it does not run yet."""
    global _write
    with _lock:
        if _write is None:
            _write = _start()
        return _write


def _start() -> int:
    """Start the reaper; returns our end of its pipe.

    A child has that open until it has become another program (exec), and so has its mark: the pipe's end
    does not come before.
    """
    command = [sys.executable, "-P", str(REAPER), MARK, _token]
    options: dict[str, Any]
    if sys.platform == "win32":
        options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    else:
        # The shell leaves it behind; its standard input would be /dev/null without the detour.
        command = ["/bin/sh", "-c", 'exec 3<&0; "$@" <&3 3<&- &', "sh", *command]
        options = {"start_new_session": True}
    read, write = os.pipe()
    try:
        process = subprocess.Popen(
            command,
            stdin=read,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # No mark: another's reaper must not end this one before its work is done.
            env={name: value for name, value in os.environ.items() if name != MARK},
            **options,
        )
    except BaseException:
        os.close(write)
        raise
    finally:
        os.close(read)
    if sys.platform != "win32":
        process.wait()
    return write


def _tell(pipe: int, line: str) -> None:
    with contextlib.suppress(OSError):  # somebody has ended it: EPIPE; on Windows EINVAL
        os.write(pipe, f"{line}\n".encode())


def _marked(environment: Mapping[str, str]) -> dict[str, str]:
    marks = [mark for mark in environment.get(MARK, "").split(":") if mark not in ("", _token)]
    return {**environment, MARK: ":".join([*marks, _token])}


def _start_anew() -> None:
    """In a fork of this process: let go of the pipe, or the end would not come while the fork lives."""
    global _lock, _write, _token
    if _write is not None:
        os.close(_write)
    _lock, _write, _token = threading.Lock(), None, secrets.token_hex(8)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
