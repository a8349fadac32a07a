"""A program in any language whose user is played: what is typed goes to its standard input, and what it
prints is read. It ends with the process that started it.

Its input is a pipe, which can end. Its output, errors included, is a pseudo-terminal where the system has
them: most languages write to a terminal line by line, as a user sees it, and to a pipe only in blocks.

All is done in the thread that calls: nothing is written or read but in `pump` and `type`.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Collection, Mapping
from time import sleep

import psutil

from labkit.probe import children
from labkit.wire.errors import words

COLUMNS = 4000
"""Of the terminal: no client need break a line."""

KEPT = 1 << 18
"""Bytes kept of what it prints, the newest."""

READS = 64
"""Reads at a time: a program may print without end."""

CHUNK = 65536

DYING = 5.0
"""Seconds to wait for the end of what was killed."""

A_MOMENT = 0.1
"""Seconds without a byte after which a program that has ended has printed all."""

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()].|[=>78cDEHM])")
"""What a terminal is told, and does not show: ECMA-48, xterm's ctlseqs."""


class NoProgram(Exception):
    """There is no such program; the text says so."""


def filled(words: Collection[str], values: Mapping[str, object]) -> list[str]:
    """The words of a command with values in place of `$NAME`, `${NAME}` and `{name}`."""
    names = {
        form: str(value)
        for n, value in values.items()
        for form in (f"${n}", f"${{{n}}}", f"{{{n.lower()}}}")
    }
    pattern = re.compile("|".join(re.escape(form) + r"\b" * form[-1].isalpha() for form in names))
    return [pattern.sub(lambda found: names[found[0]], word) for word in words]


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _ignores_interrupts() -> bool:
    return signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def _environment() -> dict[str, str]:
    """This process's own, in which programs write UTF-8."""
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "1"}
    language = environment.get("LC_ALL") or environment.get("LC_CTYPE") or environment.get("LANG") or ""
    if os.name != "posix":
        environment |= {"PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "1"}
    elif "utf" not in language.lower():
        environment["LC_ALL"] = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"
    return environment


class TypedProgram:
    """A program that runs, until `stop`.

    Args:
        command: the program and its arguments.

    Raises:
        NoProgram: there is none.
    """

    def __init__(self, command: list[str]) -> None:
        self.printed = bytearray()
        self.dropped = 0  # bytes that were printed before these
        self.complete = False  # it can print no more
        self._to_write = bytearray()
        self._input_ends = self._drained = False
        self._reader: threading.Thread | None = (
            None  # where one cannot look whether there is something to read
        )
        read, write = _screen()
        try:
            self._process = children.popen(
                command,
                env=_environment(),
                stdin=subprocess.PIPE,
                stdout=write,
                stderr=write,
                start_new_session=os.name == "posix",
                # What a shell starts in the background ignores Ctrl-C; so would the child.
                preexec_fn=_heed_interrupts if os.name == "posix" and _ignores_interrupts() else None,
            )
        except OSError as error:
            os.close(read)
            raise NoProgram(f"cannot run {command[0]!r}: {words(error)}") from None
        finally:
            os.close(write)
        assert self._process.stdin is not None
        self._input, self._output = self._process.stdin.fileno(), read
        if os.name == "posix":
            os.set_blocking(self._input, False)
            os.set_blocking(read, False)
        else:
            self._reader = threading.Thread(target=self._read_on, name="labkit-check-screen", daemon=True)
            self._reader.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def ended(self) -> int | None:
        """Its exit status, if it has ended by itself, negative for a signal. None: it runs."""
        status = self._process.poll()
        if status is not None and not self._drained:
            self._drained = True
            self._drain()
        return status

    def _drain(self) -> None:
        """Take the last of what it printed. What it has started may hold its terminal on."""
        if os.name == "posix":
            for _ in range(READS):
                if self.complete or not select.select([self._output], [], [], A_MOMENT)[0]:
                    break
                self._read()
        elif self._reader is not None:
            self._reader.join(A_MOMENT)

    @property
    def screen(self) -> str:
        """What it has printed, without orders to the terminal."""
        text = _ESCAPES.sub("", self.printed.decode(errors="replace"))
        return text.replace("\r\n", "\n")

    # --- its user ---

    def type(self, data: bytes) -> None:
        """Write this to its standard input, as soon as it takes it."""
        self._to_write += data
        self._write()

    def end_input(self) -> None:
        """End its standard input, behind all that was typed."""
        self._input_ends = True
        self._write()

    @property
    def untaken(self) -> int:
        """Bytes that were typed, and that the pipe does not take yet."""
        return len(self._to_write)

    def interrupt(self) -> None:
        """What Ctrl-C does: SIGINT for all of its processes."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGINT)

    # --- what passes ---

    def pump(self, seconds: float, socks: Collection[socket.socket] = ()) -> None:
        """Take what it prints, and write what was typed. Waits at most so many seconds until there is
        something to take, or one of these sockets can be read."""
        readers: list[int | socket.socket] = [*socks]
        writers: list[int] = []
        if os.name == "posix":
            readers += [] if self.complete else [self._output]
            writers += [self._input] if self._to_write and self._input >= 0 else []
        if readers or writers:
            select.select(readers, writers, [], max(0.0, seconds))
        else:
            sleep(max(0.0, seconds))
        self._write()
        if os.name == "posix":
            self._read()

    def _write(self) -> None:
        try:
            while self._to_write and self._input >= 0:
                del self._to_write[: os.write(self._input, self._to_write[:CHUNK])]
        except BlockingIOError:
            return
        except OSError:  # it has closed it, or is gone
            self._to_write.clear()
        if self._input_ends and not self._to_write:
            self._close_input()

    def _close_input(self) -> None:
        if self._input >= 0:
            self._input = -1
            assert self._process.stdin is not None
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def _read(self) -> None:
        """Take what it has printed, if anything."""
        try:
            for _ in range(READS):
                if not (data := os.read(self._output, CHUNK)):
                    break
                self._keep(data)
            else:
                return
        except BlockingIOError:
            return
        except OSError:  # how a pseudo-terminal ends
            pass
        self.complete = True

    def _read_on(self) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(self._output, CHUNK):
                self._keep(data)
        self.complete = True

    def _keep(self, data: bytes) -> None:
        self.printed += data
        if (more := len(self.printed) - KEPT) > 0:
            del self.printed[:more]
            self.dropped += more

    # --- its end ---

    def stop(self) -> None:
        """Kill it, and all that it has started. A second call does no harm."""
        tree: list[psutil.Process] = []
        with contextlib.suppress(psutil.Error):
            tree = psutil.Process(self.pid).children(recursive=True)
        children.kill(self._process)
        for process in tree:
            with contextlib.suppress(psutil.Error):  # psutil notices a process id that is used again
                process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(DYING)
        self._close_input()
        if self._reader is not None:
            self._reader.join(DYING)
        if self._output >= 0:
            os.close(self._output)
            self._output, self.complete = -1, True


def _screen() -> tuple[int, int]:
    """The two ends of what it prints to."""
    if os.name != "posix":
        return os.pipe()
    import pty
    import termios
    import tty

    read, write = pty.openpty()
    tty.setraw(write)
    if hasattr(termios, "tcsetwinsize"):
        termios.tcsetwinsize(write, (50, COLUMNS))
    return read, write
