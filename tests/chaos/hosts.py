"""A server to be tried, and the process that it runs in: this one, or one of its own."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import IO

import psutil

from labkit import ChatServer
from labkit.probe import children
from labkit.server.limits import Limits

Address = tuple[str, int]

SEND_BUFFER = 16 * 1024
"""Bytes that the kernel keeps for a client of the server, so that one that is frozen is soon noticed."""


class SmallBuffers(ChatServer):
    """The server, but its kernel keeps few bytes for a client."""

    @property
    def has_shown(self) -> bool:
        """What is to be seen of it has happened; until then a run goes on."""
        return True

    def _come_in(self, sock: socket.socket, number: int, host: str) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        super()._come_in(sock, number, host)


def resources(process: psutil.Process) -> tuple[int, int]:
    """How many threads and how many descriptors a process has."""
    return process.num_threads(), process.num_handles() if os.name == "nt" else process.num_fds()


class Host:
    """A server, and the process that it runs in."""

    def __init__(self, process: psutil.Process) -> None:
        self.address: Address
        self.process = process

    def resources(self) -> tuple[int, int]:
        """How many threads and how many descriptors the process has."""
        return resources(self.process)

    @property
    def has_shown(self) -> bool:
        """What is to be seen of the server has happened; until then a run goes on."""
        return True

    def roster(self) -> list[str] | None:
        """Who is here; None if unknown."""
        return None

    def processor_time(self) -> float:
        """Seconds that its process has had the processor."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def stop(self) -> None: ...


class Here(Host):
    """A server in this process."""

    def __init__(self, server: ChatServer) -> None:
        super().__init__(psutil.Process())
        self.address = server.start().address
        self._server = server

    @property
    def has_shown(self) -> bool:
        return getattr(self._server, "has_shown", True)

    def roster(self) -> list[str] | None:
        return self._server.roster()

    def stop(self) -> None:
        self._server.stop()


class Elsewhere(Host):
    """A server in a process of its own; `ready` tells when it listens.

    Args:
        limits: its limits.
        port: where it is to listen; 0: anywhere.
        backplane: the URL of the Redis that it is to share with others; None: none.
        server: the name of its class, as serve.py knows it.
        errors: where it may complain to.
    """

    def __init__(
        self,
        limits: Limits,
        port: int = 0,
        backplane: str | None = None,
        server: str = SmallBuffers.__name__,
        errors: IO[bytes] | None = None,
    ) -> None:
        self.last_words = ""  # what it printed after it had stopped
        self._popen = children.popen(
            self._command(limits, port, backplane, server),
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=os.name == "posix",
        )
        super().__init__(psutil.Process(self._popen.pid))

    def _command(self, limits: Limits, port: int, backplane: str | None, server: str) -> list[str]:
        program = str(Path(__file__).with_name("serve.py"))
        command = [sys.executable, program, repr(limits), str(port), server]
        return command if backplane is None else [*command, backplane]

    @property
    def over(self) -> bool:
        """Its process has ended."""
        return self._popen.poll() is not None

    @property
    def status(self) -> int | None:
        """Its exit status, when it is over."""
        return self._popen.returncode

    def ready(self) -> bool:
        """Whether it listens. Raises RuntimeError: it has ended."""
        assert self._popen.stdout is not None
        return bool(select.select([self._popen.stdout], [], [], 0.0)[0]) and self.started() is self

    def started(self) -> Elsewhere:
        """Itself, as soon as it listens. Raises RuntimeError: it has ended."""
        assert self._popen.stdout is not None
        said = self._popen.stdout.readline().decode()
        if not said or said.startswith("! "):
            why = said.removeprefix("! ").strip() or "it did not say why"
            raise RuntimeError(f"the server has ended, with status {self._popen.wait()}: {why}")
        host, _, port = said.strip().rpartition(":")
        self.address = (host.rpartition(" ")[2], int(port))
        return self

    def ask_to_stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._popen.send_signal(signal.SIGTERM)

    def interrupt(self) -> None:
        """Ctrl-C: where it is just stopping, that is interrupted, and it is asked once more."""
        with contextlib.suppress(ProcessLookupError):
            self._popen.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """It ends at once, without a word to any client."""
        self._popen.kill()
        self._popen.wait()

    def stop(self) -> None:
        if not self.over:
            self.ask_to_stop()
            try:
                self._popen.wait(10.0)
            except subprocess.TimeoutExpired:
                self.kill()
        assert self._popen.stdout is not None
        if not self._popen.stdout.closed:
            self.last_words = self._popen.stdout.read().decode()
            self._popen.stdout.close()


class ServeCommand(Elsewhere):
    """`python -m labkit serve`, as a user starts it."""

    def _command(self, limits: Limits, port: int, backplane: str | None, server: str) -> list[str]:
        command = [sys.executable, "-m", "labkit", "serve", "--port", str(port)]
        for limit in fields(limits):
            command += [f"--{limit.name.replace('_', '-')}", str(getattr(limits, limit.name)).lower()]
        return command if backplane is None else [*command, "--backplane", backplane]
