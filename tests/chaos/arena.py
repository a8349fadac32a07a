"""One run: a server, links with faults before it, a crowd, and then the checker.

The server runs in this process, where it can be any ChatServer; or in a process of its own, which is
quicker: the crowd has a processor for itself then. Besides what was heard it is checked that the server is
afterwards as it was before: nobody on its roster, no thread and no descriptor more.

It builds on crowd.py and checker.py.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import psutil

from chaos.checker import check
from chaos.crowd import Crowd, Plan, Stuck
from chaos.verdict import Kind, Verdict
from labkit import ChatServer
from labkit.instruments.link import Link
from labkit.limits import Limits

SEND_BUFFER = 16 * 1024
"""Bytes that the kernel keeps for a client of the server, so that one that is frozen is soon noticed."""


class SmallBuffers(ChatServer):
    """The server, but its kernel keeps few bytes for a client."""

    def _come_in(self, sock: socket.socket, number: int, host: str) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        super()._come_in(sock, number, host)


@dataclass(slots=True)
class Outcome:
    """What came of a run."""

    plan: Plan
    verdict: Verdict
    seconds: float
    ends: int
    here: bool  # the server ran in this process
    longest_turn: float  # seconds for which the crowd itself left its sockets alone

    @property
    def again(self) -> str:
        """The command that runs it again."""
        plan = self.plan
        return (
            f"again: python tests/chaos/run.py --seeds 1 --first-seed {plan.seed} --people {plan.people} "
            f"--deliveries {plan.deliveries} --ends {plan.ends}{' --here' * self.here}"
        )

    def __str__(self) -> str:
        told = ", ".join(f"{n} {reason}" for reason, n in sorted(self.verdict.told.items()))
        head = (
            f"seed {self.plan.seed}: {self.seconds:.1f} s, {self.ends} abrupt ends; told: {told or 'none'}"
        )
        return f"{head}\n{self.verdict}"


class Host:
    """A server to be tried, and the process that it runs in."""

    def __init__(self, address: tuple[str, int], process: psutil.Process) -> None:
        self.address = address
        self.process = process

    def resources(self) -> tuple[int, int]:
        """How many threads and how many descriptors the process has."""
        descriptors = self.process.num_handles() if os.name == "nt" else self.process.num_fds()
        return self.process.num_threads(), descriptors

    def roster(self) -> list[str] | None:
        """Who is here; None if nobody can tell."""
        return None

    def stop(self) -> None: ...


class Here(Host):
    """A server in this process."""

    def __init__(self, server: ChatServer) -> None:
        super().__init__(server.start().address, psutil.Process())
        self._server = server

    def roster(self) -> list[str] | None:
        return self._server.roster()

    def stop(self) -> None:
        self._server.stop()


class Elsewhere(Host):
    """A server in a process of its own."""

    def __init__(self, limits: Limits) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("serve.py")), repr(limits)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._popen.stdout is not None
        host, _, port = self._popen.stdout.readline().strip().rpartition(":")
        super().__init__((host, int(port)), psutil.Process(self._popen.pid))

    def stop(self) -> None:
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGTERM)
            try:
                self._popen.wait(10.0)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()
        assert self._popen.stdout is not None
        self._popen.stdout.close()


def run(plan: Plan, server: type[ChatServer] | None = SmallBuffers) -> Outcome:
    """One run of this plan, on a server of this class in this process; None: in a process of its own."""
    start = monotonic()
    verdict = Verdict()
    host: Host = Elsewhere(plan.limits) if server is None else Here(server(port=0, limits=plan.limits))
    with contextlib.ExitStack() as stack:
        stack.callback(host.stop)
        links = [
            stack.enter_context(Link(host.address, client=f"link {n}", seed=plan.seed + n))
            for n in range(plan.links)
        ]
        crowd = Crowd(host.address, links, plan, verdict)
        stack.callback(crowd.close)
        try:
            crowd.enter()
            before = host.resources()
            crowd.rage()
            crowd.settle()
            crowd.leave()
            _check_what_is_left(host, before, crowd, verdict)
            host.stop()
            crowd.farewell()
        except Stuck as stuck:
            # Histories that end in the middle prove nothing more.
            verdict.complain(Kind.STUCK, str(stuck))
        else:
            found = check(crowd.lives)
            for complaint in verdict.complaints:
                found.complain(complaint.kind, complaint.what, complaint.excerpt)
            verdict = found
    return Outcome(plan, verdict, monotonic() - start, crowd.ends, server is not None, crowd.longest_turn)


def _check_what_is_left(host: Host, before: tuple[int, int], crowd: Crowd, verdict: Verdict) -> None:
    """Roster, threads and descriptors are as they were when only the witnesses were here."""
    witnesses = sorted(f"witness-{room}" for room in crowd.rooms)
    for what, is_now, should_be in (
        ("roster", host.roster, (None, witnesses)),
        ("threads and descriptors", host.resources, (before,)),
    ):
        # The server closes after the client has: a little later.
        seen = next((now for now in _looks(is_now, crowd.patience) if now in should_be), is_now())
        if seen not in should_be:
            verdict.complain(Kind.LEFT_BEHIND, f"{what}: {seen}, and not {should_be[-1]}")


def _looks(at: object, soon: float) -> Iterator[object]:
    """What it is, for so many seconds."""
    give_up = monotonic() + soon
    while monotonic() < give_up:
        now = at()  # type: ignore[operator]
        yield sorted(now) if isinstance(now, list) else now
        sleep(0.01)
