"""Starts the processes of checks as forks of one that has imported already what they need (zygote.py).

To start Python and to import the lab takes 0.15 s of processor time, most of what a check takes; a fork
takes a tenth of that. The tests of how such a process starts, lives and ends use the real one.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any
from unittest.mock import patch

from zygote import LENGTH, NUMBER

WORKS = sys.platform == "linux"
"""Whether a fork is as good as a start: macOS's own libraries do not bear one, and Windows has none."""

HOME = Path(__file__).resolve().parents[1]


class Fork:
    """As much of subprocess.Popen as a check's process needs."""

    def __init__(
        self, pid: int, stdin: IO[bytes], stdout: IO[bytes], stderr: IO[bytes], end: socket.socket
    ) -> None:
        self.pid, self.stdin, self.stdout, self.stderr = pid, stdin, stdout, stderr
        self._lock = threading.Lock()  # guards the two below
        self._end, self._code = end, int(-signal.SIGKILL)

    def wait(self) -> int:
        """Its exit status, once it has ended; as of Popen, -9 if signal 9 has ended it."""
        with self._lock:
            if self._end.fileno() >= 0:
                if status := self._end.recv(NUMBER.size, socket.MSG_WAITALL):
                    (self._code,) = NUMBER.unpack(status)
                self._end.close()
            return self._code


class Zygote:
    """The process that forks, seen from the tests. It starts when the first fork is asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the two below; a request goes out in one piece
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id, once it is started."""
        assert self._process is not None
        return self._process.pid

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(HOME / "tests" / "zygote.py")],
                stdin=theirs.fileno(),
                env=os.environ
                | {"PYTHONPATH": str(HOME), "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"},
            )
        return ours

    def popen(
        self, command: Sequence[str], *, env: Mapping[str, str], cwd: Path | None = None, **_: Any
    ) -> Fork:
        """What children.popen does with `python -P -m module`, where all three streams are pipes."""
        (ours, theirs), (end, its_end) = socket.socketpair(), socket.socketpair()
        (read, stdin), (stdout, write), (stderr, write_too) = os.pipe(), os.pipe(), os.pipe()
        request = pickle.dumps((command[-1], dict(env), cwd and str(cwd)))
        given = [read, write, write_too, theirs.fileno(), its_end.fileno()]
        with ours, theirs, its_end:
            with self._lock:
                self._socket = self._socket or self._start()
                socket.send_fds(self._socket, [LENGTH.pack(len(request))], given)
                self._socket.sendall(request)
            for descriptor in given[:3]:
                os.close(descriptor)
            theirs.close()
            (pid,) = NUMBER.unpack(ours.recv(NUMBER.size, socket.MSG_WAITALL))
        return Fork(pid, os.fdopen(stdin, "wb"), os.fdopen(stdout, "rb"), os.fdopen(stderr, "rb"), end)

    def close(self) -> None:
        """End it; the forks have ended."""
        if self._socket is not None and self._process is not None:
            self._socket.close()
            self._process.wait()


@contextlib.contextmanager
def forking(zygote: Zygote) -> Iterator[None]:
    """Meanwhile, the processes of checks are its forks."""
    if not WORKS:
        yield
        return
    with patch("labkit.exercises.grading.process.children", SimpleNamespace(popen=zygote.popen)):
        yield
