"""A server in any language, started as a command, and stopped again with all that it has started.
It ends with the process that started it, too, however that ends.

The port it must listen on is in PORT of its environment, and replaces `$PORT` and `{port}` in its
arguments. It is ready when something listens there; no connection is made to find out, for a server would
take that for a client. Of what it prints only the last lines are kept.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping
from time import monotonic, sleep

import psutil

from labkit.probe import children, kernel
from labkit.probe.deadline import Clock
from labkit.probe.patience import Patience
from labkit.probe.reaper import runs
from labkit.wire import sockets

STARTING = 10.0
"""Seconds that a server may take until it listens, not counting those for which other programs kept it from
running."""

ELSEWHERE = 1.0
"""Seconds after which a server that listens on another port is taken to stay there."""

PORTS = range(10_000, 20_000)
"""Where its port is chosen: below those that systems give to connections and to listeners on port 0 (Linux:
from 32768 on, ip(7)). One of these could take the port before the program has started."""

STOPPING = 1.0
"""Seconds between SIGTERM and SIGKILL."""

KEPT_OUTPUT = 8192
"""Bytes kept of what a server prints, the newest."""


class NotStarted(Exception):
    """The server did not start; the text says how that showed, and what it printed last."""


class Launched:
    """A server that runs, until `stop`.

    Args:
        command: the program and its arguments.
        environment: its environment variables; None: those of this process.

    Raises:
        NotStarted: there is no such program, or it ended at once, or it does not listen where it should.
    """

    def __init__(self, command: list[str], environment: Mapping[str, str] | None = None) -> None:
        port, self._claim = _free_port()
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
            self._claim.close()
            raise NotStarted(f"cannot run {words[0]!r}: {error.strerror}") from None
        self._printed = b""
        self._reader = threading.Thread(target=self._read, name="labkit-check-output", daemon=True)
        self._reader.start()
        try:
            with Patience((self.pid,)) as clock:
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

    def last_lines(self, count: int = 10) -> str:
        """What it printed last, each line indented; "" if nothing. Marks like ^^^^ under the lines of a
        traceback are left out: there is room for more of these.
        """
        lines = self._printed.decode(errors="replace").splitlines()
        lines = [line for line in lines if not line.strip() or line.strip(" ~^")]
        return "".join(f"\n    {line}" for line in lines[-count:])

    def _wait_until_it_listens(self, port: int, clock: Clock) -> str:
        started = clock()
        look_elsewhere = started + ELSEWHERE
        while True:
            ended = self._process.poll()
            if host := _listens(port, self._tree()):
                return host
            if ended is not None:
                self._reader.join(STOPPING)
                printed = self.last_lines()
                raise NotStarted(
                    f"it ended at once, with status {ended}, and never listened on port {port}"
                    + (f"; its last lines:{printed}" if printed else "; it printed nothing")
                )
            now = clock()
            if now > look_elsewhere:
                look_elsewhere = now + ELSEWHERE
                elsewhere = sorted(_ports(self._tree()))
                if elsewhere and port not in elsewhere:
                    raise NotStarted(
                        f"it listens on port {', '.join(map(str, elsewhere))} instead of {port}, which is "
                        "in $PORT of its environment: have it read that, or write {port} where its "
                        "arguments say the port"
                    )
            if now > started + STARTING:
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
        self._signal("SIGKILL", tree)  # what it left behind, too
        self._process.wait()
        self._claim.close()
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
            # The group has the process's id, and lives as long as any process in it.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, getattr(signal, name))
        for process in tree:
            with contextlib.suppress(psutil.Error):  # psutil notices a process id that is used again
                process.terminate() if name == "SIGTERM" else process.kill()


_taken: list[int] = []


def _free_port() -> tuple[int, socket.socket]:
    """A port that is free, and was not handed out just now; and what keeps it ours, until that is closed.

    A program that is told a port takes its time to listen there. Another run of this one, at the same time,
    must not choose that port meanwhile: its clients would come to the wrong server. So each port is claimed
    by binding it in UDP, which hinders no TCP server.
    """
    dice = random.SystemRandom()
    while True:
        port = dice.choice(PORTS)
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue  # taken
        if port in _taken:
            continue
        claim = socket.socket(type=socket.SOCK_DGRAM)
        try:
            claim.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            continue
        _taken.append(port)
        del _taken[:-100]
        return port, claim


def _listens(port: int, tree: list[psutil.Process]) -> str | None:
    """The address at which a server listens on this port, if one does."""
    if kernel.TABLES[0].exists():
        return kernel.listens(port)
    return "127.0.0.1" if port in _ports(tree) else None


def _ports(tree: list[psutil.Process]) -> set[int]:
    """The ports that these processes listen on."""
    ports = set()
    for process in tree:
        with contextlib.suppress(psutil.Error):
            # psutil 6 has renamed it.
            connections = getattr(process, "net_connections", None) or process.connections
            ports |= {c.laddr.port for c in connections("tcp") if c.status == psutil.CONN_LISTEN}
    return ports
