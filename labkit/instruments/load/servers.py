"""The servers that are measured: found by a name, an address or a command; started, watched, and stopped.

A server that is started here runs as a process of its own, on another core than the load where the machine
has two: or each would take from the other what is measured. Its processor time and its memory are what the
system says of it and of all that it has started.

It builds on the conformance checks' launch.py; psutil reads what the system says.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from labkit import sockets
from labkit.conformance.launch import Launched, NotStarted
from labkit.instruments.load.crowd import Trouble


def _ours(module: str, *options: str) -> list[str]:
    return [sys.executable, "-m", module, *options, "--port", "{port}"]


SERVERS: dict[str, list[str]] = {
    "labkit": _ours("labkit", "serve"),
    "classic": _ours("labkit.peers.classic_lines"),
    "queues": _ours("labkit.peers.queues", "--limit", "10000"),
    "asyncio": _ours("labkit.peers.asyncio_server"),
    "uvloop": _ours("labkit.peers.asyncio_server", "--loop", "uvloop"),
    "selectors": _ours("labkit.peers.selectors_server"),
}
"""Those that have a name, and how they are started."""

_LABEL = 24
"""Characters of a command that is a server's name in a table."""


class HasAddress(Protocol):
    """A server that runs in this process, such as a ChatServer."""

    @property
    def address(self) -> sockets.Address: ...


Which = str | sockets.Address | Sequence[str] | HasAddress
"""A server: one of SERVERS, HOST:PORT, a command with `{port}` in it; an address, the words of a command;
or one that runs in this process."""


@dataclass(frozen=True)
class Found:
    """A server that can be measured: it has an address already, or a command that starts it."""

    label: str
    address: sockets.Address | None
    command: list[str]


def find(which: Which) -> Found:
    """What is meant by this.

    Raises:
        Trouble: it is neither a name, nor an address, nor a command; or it needs what is not installed.
    """
    if not isinstance(which, (str, Sequence)):
        return Found("this one", which.address, [])
    if not isinstance(which, str):
        if len(which) == 2 and isinstance(which[1], int):
            return Found(f"{which[0]}:{which[1]}", (str(which[0]), which[1]), [])
        return _command([str(word) for word in which])
    if which == "uvloop" and importlib.util.find_spec("uvloop") is None:
        raise Trouble("uvloop is not installed; this does it: pip install uvloop")
    if which in SERVERS:
        return Found(which, None, SERVERS[which])
    if address := re.fullmatch(r"\[?([^\s\[\]]+?)\]?:(\d{1,5})", which):
        if not 0 < int(address[2]) < 65536:
            raise Trouble(f"a port is a number from 1 to 65535, not {address[2]}")
        return Found(which, (address[1], int(address[2])), [])
    try:
        words = shlex.split(which, posix=os.name == "posix")
    except ValueError as error:
        raise Trouble(f"{which!r} cannot be understood as a command: {error}") from None
    if len(words) < 2 and not re.search(r"\{port\}|\$\{?PORT\b", which) and "/" not in which:
        raise Trouble(
            f"no server is called {which!r}; give HOST:PORT, a command with {{port}} in it, or one of "
            + ", ".join(SERVERS)
        )
    return _command(words)


def _command(words: list[str]) -> Found:
    if not words:
        raise Trouble("an empty command starts no server")
    told = [word for word in words if not re.search(r"\{port\}|\$\{?PORT\b", word) and word != "--port"]
    label = " ".join(Path(word).name or word for word in told)
    return Found(label if len(label) <= _LABEL else label[: _LABEL - 1] + "…", None, words)


@dataclass(frozen=True)
class Usage:
    """What a server has used up to now, with all that it has started."""

    cpu: float  # seconds, user and system
    rss: int  # bytes in memory now
    peak: int  # bytes in memory, at most so far; where the system keeps no account: now


class Running:
    """A server that can be connected to.

    Args:
        address: where.
        pid: its process; None: nobody knows, and it is not watched.
    """

    def __init__(self, address: sockets.Address, pid: int | None) -> None:
        self.address = address
        self._pid = pid

    def usage(self) -> Usage | None:
        """What it has used; None if it is not watched, or gone."""
        if self._pid is None:
            return None
        cpu, rss, peak, seen = 0.0, 0, 0, 0
        with contextlib.suppress(psutil.Error):
            first = psutil.Process(self._pid)
            for process in [first, *first.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):  # ended meanwhile
                    times, memory = process.cpu_times(), process.memory_info()
                    cpu += times.user + times.system
                    rss += memory.rss
                    peak += _peak(process.pid) or getattr(memory, "peak_wset", memory.rss)
                    seen += 1
        return Usage(cpu, rss, peak) if seen else None


def _peak(pid: int) -> int:
    """VmHWM of proc(5), in bytes; 0 where there is none."""
    with contextlib.suppress(OSError):
        if found := re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE):
            return 1024 * int(found[1])
    return 0


@contextlib.contextmanager
def running(found: Found, pid: int | None = None) -> Iterator[Running]:
    """The server, running: started and stopped here, unless it runs already.

    Raises:
        Trouble: it does not start, or there is no such process.
    """
    if found.address is not None:
        if pid is not None and not psutil.pid_exists(pid):
            raise Trouble(f"there is no process {pid}")
        yield Running(found.address, pid)
        return
    try:
        with on_core(0):  # a process begins on the cores of the thread that starts it
            server = Launched(found.command)
    except NotStarted as error:
        raise Trouble(f"{shlex.join(found.command)}: {error}") from None
    try:
        yield Running(server.address, server.pid)
    finally:
        server.stop()


@contextlib.contextmanager
def on_core(number: int) -> Iterator[bool]:
    """Keep this thread, and what it starts meanwhile, to one core; whether the machine has two to share.

    Linux: sched_setaffinity(2). Elsewhere, and where there is but one core, nothing is done.
    """
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    if len(before) < 2:
        yield False
        return
    os.sched_setaffinity(0, {sorted(before)[number]})
    try:
        yield True
    finally:
        os.sched_setaffinity(0, before)
