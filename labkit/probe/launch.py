"""A server in any language, started as a command, and stopped again with all that it has started.
It ends with the process that started it, too, however that ends.

The port it must listen on is in PORT of its environment, and replaces `$PORT` and `{port}` in its
arguments. It is ready when something listens there; no connection is made to find out, for a server would
take that for a client. Of what it prints only the last lines are kept.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from time import monotonic, sleep

import psutil

from labkit.probe import children, kernel
from labkit.probe.patience import Patience
from labkit.probe.ports import free_port
from labkit.probe.reaper import runs
from labkit.wire import errors, sockets

STARTING = 10.0
"""Seconds that a server may take until it listens; those in which others had the processor do not count."""

TRIES = 5
"""Ports to try where another program takes the one that was free."""

ELSEWHERE = 1.0
"""Seconds after which a server that listens on another port is taken to stay there."""

STOPPING = 1.0
"""Seconds between SIGTERM and SIGKILL."""

KEPT_OUTPUT = 8192
"""Bytes kept of what a server prints, the newest."""


LAST_LINES = 8
"""Lines of it that are shown."""

ERROR = re.compile(r"(\S+ )*[\w.]*(Error|Exception)\b|panic:|Uncaught")
"""How a line begins that names an error, with the stack below it, as Node and Java print it."""

STACK = re.compile(r"\s+at |goroutine ")

PLACE = re.compile(r"\S+:\d+$")
"""A line above it in Node: the file, and the number of the line that failed."""


IN_USE = re.compile(
    "address already in use|EADDRINUSE|only one usage of each socket address|listens there already",
    re.IGNORECASE,
)
"""What programs print when another one listens on their port: most systems, Node, Windows, and labkit."""


class NotStarted(Exception):
    """The server did not start; the text says how that showed, and what it printed last."""


class _Taken(NotStarted):
    """… since another program had its port, which was free when it was chosen."""


class Launched:
    """A server that runs, until `stop`.

    Args:
        command: the program and its arguments.
        environment: its environment variables; None: those of this process.

    Raises:
        NotStarted: there is no such program, or it ended at once, or it does not listen where it should.
    """

    def __init__(self, command: list[str], environment: Mapping[str, str] | None = None) -> None:
        for tries in range(TRIES, 0, -1):
            try:
                return self._start(command, environment, free_port())
            except _Taken as taken:
                if tries == 1:
                    raise NotStarted(str(taken)) from None

    def _start(self, command: list[str], environment: Mapping[str, str] | None, port: int) -> None:
        words = [re.sub(r"\$PORT\b|\$\{PORT\}|\{port\}", str(port), word) for word in command]
        try:
            self._process = children.popen(
                words,
                # What a server in Python prints is read at once, not when it ends.
                env={"PYTHONUNBUFFERED": "1"}
                | dict(os.environ if environment is None else environment)
                | {"PORT": str(port)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=os.name == "posix",
            )
        except OSError as error:
            raise NotStarted(f"cannot run {words[0]!r}: {errors.words(error)}") from None
        self._printed = b""
        self._reader = threading.Thread(target=self._read, name="labkit-check-output", daemon=True)
        self._reader.start()
        try:
            with Patience((self._process.pid,)) as clock:
                self.address: sockets.Address = (self._wait_until_it_listens(port, clock), port)
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def ended(self) -> int | None:
        """Its exit status, if it has ended by itself, negative for a signal. None: it runs."""
        return self._process.poll()

    def ends(self, seconds: float) -> bool:
        """Whether it has ended, or does so within so many seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self.ended is not None

    def _read(self) -> None:
        assert self._process.stdout is not None
        output = self._process.stdout.fileno()
        while data := os.read(output, 65536):
            self._printed = (self._printed + data)[-KEPT_OUTPUT:]

    def last_lines(self, count: int = LAST_LINES) -> str:
        """What it printed last, each line indented; "" if nothing. Marks like ^^^^ under the lines of a
        traceback are left out: there is room for more of these. Of a long stack below an error, the error.
        """
        lines = self._printed.decode(errors="replace").splitlines()
        lines = [line for line in lines if not line.strip() or line.strip(" ~^")]
        start = min(_error(lines), max(0, len(lines) - count))
        return "".join(f"\n    {line}" for line in lines[start : start + count])

    def _wait_until_it_listens(self, port: int, clock: Patience) -> str:
        look_elsewhere, taken = ELSEWHERE, False
        while True:
            ended = self._process.poll()
            host = _listens(port, self._tree)
            # What has ended well may have left a server behind. And whose a port is may be kept from us.
            if host and (
                ended == 0 or ended is None and (port in _ports(self._tree()) or clock.seconds > ELSEWHERE)
            ):
                return host
            taken = taken or host is not None  # by another one, which may be gone when this one has ended
            if ended is not None:
                self._reader.join(STOPPING)
                printed = self.last_lines()
                why = _Taken if taken or IN_USE.search(printed) else NotStarted
                raise why(
                    f"it ended at once, with status {ended}, and never listened on port {port}"
                    + (f"; its last lines:{printed}" if printed else "; it printed nothing")
                )
            if clock.seconds > look_elsewhere:
                look_elsewhere = clock.seconds + ELSEWHERE
                elsewhere = sorted(_ports(self._tree()))
                if elsewhere and port not in elsewhere:
                    raise NotStarted(
                        f"it listens on port {', '.join(map(str, elsewhere))} instead of {port}, which is "
                        "in $PORT of its environment: have it read that, or write {port} where its "
                        "arguments say the port"
                    )
            if clock.seconds > STARTING:
                raise NotStarted(
                    f"it runs, but listens nowhere after {STARTING:g} s; it is to listen on port {port}, "
                    f"which is in $PORT of its environment; its last lines:{self.last_lines() or ' none'}"
                )
            sleep(0.02)

    def _tree(self) -> list[psutil.Process]:
        """The process and its descendants, as far as they still belong to it."""
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self._process.pid)
            return [process, *process.children(recursive=True)]
        return []

    def stop(self) -> None:
        """End it, and all that it has started: SIGTERM, then SIGKILL. A second call does no harm."""
        tree = self._tree()
        self._signal("SIGTERM", tree)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOPPING)
        children.kill(self._process)  # and what it left behind
        self._signal("SIGKILL", tree)
        self._process.wait()
        # SIGKILL takes a moment, too; descendants that are not our children cannot be waited for.
        until = monotonic() + STOPPING
        while any(map(runs, tree)) and monotonic() < until:
            sleep(0.01)
        self._reader.join(STOPPING)
        if not self._reader.is_alive() and self._process.stdout is not None:
            self._process.stdout.close()

    def _signal(self, name: str, tree: list[psutil.Process]) -> None:
        """To its whole process group, and to processes that left the group."""
        if os.name == "posix":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, getattr(signal, name))
        for process in tree:
            with contextlib.suppress(psutil.Error):  # psutil notices a process id that is used again
                process.terminate() if name == "SIGTERM" else process.kill()


def _error(lines: list[str]) -> int:
    """Where the last error begins that has its stack below it; the end of the lines, if there is none."""
    for at in range(len(lines) - 2, -1, -1):
        if ERROR.match(lines[at]) and STACK.match(lines[at + 1]):
            above = [place for place in range(max(0, at - 4), at) if PLACE.match(lines[place])]
            return above[0] if above else at
    return len(lines)


def _listens(port: int, tree: Callable[[], list[psutil.Process]]) -> str | None:
    """The address at which a server listens on this port, if one does."""
    if kernel.TABLES[0].exists():
        return kernel.listens(port)
    return "127.0.0.1" if port in _ports(tree()) else None


def _ports(tree: list[psutil.Process]) -> set[int]:
    """The ports that these processes listen on."""
    ports = set()
    for process in tree:
        with contextlib.suppress(psutil.Error):
            # psutil 6 has renamed it.
            connections = getattr(process, "net_connections", None) or process.connections
            ports |= {c.laddr.port for c in connections("tcp") if c.status == psutil.CONN_LISTEN}
    return ports
