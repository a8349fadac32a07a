"""Programs run as a student runs them: as processes, on a pipe or on a pseudo-terminal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from time import monotonic, sleep
from typing import IO, Self

import psutil
from support import need

PATIENCE = 120.0
"""Seconds that a program has for anything: to start, to print a line, to end."""

LABKIT = (sys.executable, "-m", "labkit")

# No settings of the machine's own.
OURS = ("JUPYTER", "PYTHONIO", "TERM")
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}


def _heed_signals() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


# A shell that starts the tests in the background has them ignore Ctrl-C, and nohup the end of the terminal.
# A child inherits that.
HEED_SIGNALS = _heed_signals if os.name == "posix" else None


def runs(process: psutil.Process) -> bool:
    """Whether it has not ended; a zombie has."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def still_run(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended in time: a killed process is not gone at once."""
    give_up = monotonic() + PATIENCE / 3
    left = list(processes)
    while (left := list(filter(runs, left))) and monotonic() < give_up:
        sleep(0.01)
    return left


class Program:
    """A program on pipes. Leaving the `with` block ends it, if it has not ended itself."""

    def __init__(self, *arguments: str, environment: Mapping[str, str] = CLEAN) -> None:
        self._changed = threading.Condition()  # guards the two below; re-entrant
        self._said = b""
        self._over = False
        self.process = self._start(arguments, environment)
        self._reader = threading.Thread(target=self._read, name="test-reader", daemon=True)
        self._reader.start()

    def _start(self, arguments: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            arguments, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, preexec_fn=HEED_SIGNALS
        )
        assert process.stdout is not None and process.stdin is not None
        self._output = process.stdout.fileno()
        self._input: IO[bytes] = process.stdin
        return process

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._output, 65536)
            except OSError:  # how a pseudo-terminal ends
                data = b""
            with self._changed:
                self._said += data
                self._over = not data
                self._changed.notify_all()
            if not data:
                return
            self._take(data)

    def _take(self, data: bytes) -> None:
        pass

    @property
    def said(self) -> str:
        """All that it has printed so far."""
        with self._changed:
            return self._said.decode(errors="replace")

    @property
    def raw(self) -> bytes:
        """The same, as bytes."""
        with self._changed:
            return self._said

    def until(self, text: str, encoding: str = "utf-8") -> str:
        """Wait until it has printed this; returns all that it printed so far."""
        with self._changed:
            wanted = text.encode(encoding)
            if not self._changed.wait_for(lambda: wanted in self._said or self._over, PATIENCE):
                raise AssertionError(f"{PATIENCE:g} s passed without {text!r}; it printed {self._said!r}")
            assert wanted in self._said, f"it ended without {text!r}; it printed {self._said!r}"
        return self.said

    def type(self, text: str) -> None:
        """Write to its standard input."""
        self._input.write(text.encode())
        self._input.flush()

    def hang_up(self) -> None:
        """End its standard input."""
        self._input.close()

    def interrupt(self) -> None:
        """What Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)

    def ends(self) -> int:
        """Wait until it has ended by itself; returns its exit status."""
        status = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return status

    def fails(self) -> str:
        """Wait until it has ended with status 1 and one line about it; returns that line."""
        assert self.ends() == 1, self.said
        line, *more = self.complaints().splitlines()
        assert not more, f"more than one line: {line}, {more}"
        assert line.startswith("labkit: ")
        return line.removeprefix("labkit: ")

    def complaints(self) -> str:
        """All that it wrote to standard error. Wait for its end first."""
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(PATIENCE)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None and not pipe.closed:
                pipe.close()


class OnTerminal(Program):
    """A program on a pseudo-terminal of 24 lines; only its standard error is a pipe."""

    def _start(self, arguments: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        need(os.name == "posix", "this system has no pseudo-terminals")
        import pty
        import termios

        self._output, terminal = pty.openpty()
        termios.tcsetwinsize(terminal, (24, 80))
        process = subprocess.Popen(
            arguments,
            stdin=terminal,
            stdout=terminal,
            stderr=subprocess.PIPE,
            env={"TERM": "xterm", **environment},
            start_new_session=True,
            preexec_fn=HEED_SIGNALS,
        )
        os.close(terminal)
        return process

    def _take(self, data: bytes) -> None:
        # A terminal answers when it is asked where the cursor is; a program may wait for that.
        for _ in range(data.count(b"\x1b[6n")):
            os.write(self._output, b"\x1b[1;1R")

    @property
    def shown(self) -> str:
        """What it has printed, without the orders to the terminal; a step to the right is a space."""
        said = re.sub(r"\x1b\[(\d*)C", lambda steps: " " * int(steps[1] or 1), self.said)
        return re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|[()].|[=>])", "", said)

    def until_shown(self, text: str, since: int = 0) -> str:
        """Wait until this can be read on the screen after the first `since` characters of `shown`."""
        give_up = monotonic() + PATIENCE
        with self._changed:
            while text not in self.shown[since:]:
                left = give_up - monotonic()
                if self._over or left <= 0 or not self._changed.wait(left):
                    raise AssertionError(f"no {text!r} came; it printed {self.shown[since:]!r}")
        return self.shown

    def type(self, text: str) -> None:
        os.write(self._output, text.encode())

    def hang_up(self) -> None:
        self.type("\x04")  # Ctrl-D

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        os.close(self._output)


class Serving(Program):
    """`python -m labkit serve --port 0`, or another port, once it listens."""

    def __init__(self, *options: str, port: int = 0) -> None:
        super().__init__(*LABKIT, "serve", "--port", str(port), *options)
        first = self.until("\n").splitlines()[0]
        found = re.fullmatch(r"listening on (.+):(\d+)", first)
        assert found, first
        self.address = found[1].strip("[]"), int(found[2])
