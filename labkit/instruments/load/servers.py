"""The servers that are measured: found by a name, an address or a command; started, watched, and stopped.

A server that is started here is a process of its own, on another core than the load where the machine has
two: else each would take processor time from the other. Several that share their rooms have all cores but
the load's. Their processor time and memory include those of the processes that they start.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import psutil

from labkit.instruments.load import shared
from labkit.instruments.load.plan import LoadError
from labkit.probe import commands
from labkit.probe.launch import Launched, NotStarted
from labkit.wire import sockets


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

TRIES = 3
"""Tries to start a server of several."""

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
class Target:
    """A server that can be measured: it has an address already, or a command that starts it."""

    label: str
    address: sockets.Address | None
    command: list[str]
    count: int = 1  # how many of them are started
    # What they share their rooms on, as for shared.opened. It may hold a password.
    backplane: str | None = field(default=None, repr=False)


def find_several(count: int, backplane: str | None, clients: int) -> Target:
    """So many of labkit's own, which share their rooms; so many clients or more will be spread over them.

    Raises:
        ValueError: they cannot; the text says why.
    """
    shared.check(count, backplane, clients)
    return Target(shared.label(count, backplane), None, SERVERS["labkit"], count, backplane)


def find(which: Which) -> Target:
    """What is meant by this.

    Raises:
        LoadError: it is neither a name, nor an address, nor a command; or it needs what is not installed.
    """
    if not isinstance(which, (str, Sequence)):
        return Target("this one", which.address, [])
    if not isinstance(which, str):
        if len(which) == 2 and isinstance(which[1], int):
            return Target(f"{which[0]}:{which[1]}", (str(which[0]), which[1]), [])
        return _command([str(word) for word in which])
    if which == "uvloop" and importlib.util.find_spec("uvloop") is None:
        raise LoadError("uvloop is not installed; this does it: pip install uvloop")
    if which in SERVERS:
        return Target(which, None, SERVERS[which])
    if address := re.fullmatch(r"\[?([^\s\[\]]+?)\]?:(\d{1,5})", which):
        if not 0 < int(address[2]) < 65536:
            raise LoadError(f"a port is a number from 1 to 65535, not {address[2]}")
        return Target(which, (address[1], int(address[2])), [])
    try:
        words = commands.split(which)
    except ValueError as error:
        raise LoadError(f"{which!r} cannot be understood as a command: {error}") from None
    if len(words) < 2 and not re.search(r"\{port\}|\$\{?PORT\b", which) and not {"/", os.sep} & {*which}:
        raise LoadError(
            f"no server is called {which!r}; give HOST:PORT, a command with {{port}} in it, or one of "
            + ", ".join(SERVERS)
        )
    return _command(words)


def _command(words: list[str]) -> Target:
    if not words:
        raise LoadError("an empty command starts no server")
    told = [word for word in words if not re.search(r"\{port\}|\$\{?PORT\b", word) and word != "--port"]
    label = " ".join(Path(word).name or word for word in told)
    return Target(label if len(label) <= _LABEL else label[: _LABEL - 1] + "…", None, words)


@dataclass(frozen=True)
class Usage:
    """What a server has used up to now, with all that it has started."""

    cpu: float  # seconds, user and system
    rss: int  # bytes in memory now
    peak: int  # bytes in memory, at most so far; where the system does not record it: now


class RunningTarget:
    """A server that can be connected to, or several that share their rooms.

    Args:
        addresses: where.
        pids: their processes; none: unknown, and they are not watched.
        started: those that were started here.
        redis: what they share their rooms on.
    """

    def __init__(
        self,
        addresses: Sequence[sockets.Address],
        pids: Sequence[int],
        started: Sequence[Launched] = (),
        redis: shared.Redis | None = None,
    ) -> None:
        self.addresses = addresses
        self._pids = pids
        self._started = started
        self._redis = redis

    @property
    def address(self) -> sockets.Address:
        """Where it is; of several, the first."""
        return self.addresses[0]

    @property
    def died(self) -> str:
        """Which of those that were started here have ended, and how, in words; "" if all run."""
        ends = [f"with status {how}" for one in self._started if (how := one.ended) is not None]
        if not ends:
            return ""
        who = "the server" if len(self._started) == 1 else f"{len(ends)} of {len(self._started)} servers"
        return f"{who} ended meanwhile, {', '.join(dict.fromkeys(ends))}"

    def redis_cpu(self) -> float:
        """Seconds of processor time that Redis has used up to now; nan if there is none, or it does not
        report it."""
        return self._redis.cpu() if self._redis else math.nan

    def usage(self) -> Usage | None:
        """What they have used; None if they are not watched, or one is gone."""
        each = [_usage(pid) for pid in self._pids]
        known = [usage for usage in each if usage is not None]
        if not each or len(known) < len(each):
            return None
        return Usage(sum(u.cpu for u in known), sum(u.rss for u in known), sum(u.peak for u in known))


def _usage(pid: int) -> Usage | None:
    cpu, rss, peak, seen = 0.0, 0, 0, 0
    with contextlib.suppress(psutil.Error):
        first = psutil.Process(pid)
        if first.status() == psutil.STATUS_ZOMBIE:  # it has ended
            return None
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
def running(target: Target, pid: int | None = None) -> Iterator[RunningTarget]:
    """The server, or the servers, running: started and stopped here, unless it runs already.

    Raises:
        LoadError: it does not start, or there is no such process.
    """
    if target.address is not None:
        if pid is not None and not psutil.pid_exists(pid):
            raise LoadError(f"there is no process {pid}")
        yield RunningTarget([target.address], [] if pid is None else [pid])
        return
    with contextlib.ExitStack() as to_stop:
        redis = None if target.backplane is None else to_stop.enter_context(shared.opened(target.backplane))
        command = target.command + ([] if redis is None else ["--backplane", redis.url])
        started: list[Launched] = []
        for _ in range(target.count):
            # Ours may lose its port to another program before it listens: then try another port.
            for left in reversed(range(TRIES if redis else 1)):
                try:
                    # A process begins on the cores of the thread that starts it.
                    with on_cores(slice(0, -1) if redis else slice(0, 1)):
                        server = Launched(command, shared.environment(redis))
                    break
                except NotStarted as error:
                    if not left:
                        raise LoadError(f"{commands.join(command)}: {error}") from None
            to_stop.callback(server.stop)
            started.append(server)
        yield RunningTarget([one.address for one in started], [one.pid for one in started], started, redis)


@contextlib.contextmanager
def on_cores(which: slice) -> Iterator[bool]:
    """Keep this thread, and what it starts meanwhile, to these of the machine's cores; whether it has two
    to share.

    Linux: sched_setaffinity(2). Elsewhere, and where there is but one core, nothing is done.
    """
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    if len(before) < 2:
        yield False
        return
    os.sched_setaffinity(0, sorted(before)[which])
    try:
        yield True
    finally:
        os.sched_setaffinity(0, before)
