"""launch.py: a port for each server that is started, and no other's."""

from __future__ import annotations

import socket
import sys

import pytest

from labkit.probe import launch
from labkit.probe.launch import Launched, NotStarted

LISTENS = [
    sys.executable,
    "-c",
    "import os, socket, time\n"
    "listener = socket.create_server(('127.0.0.1', int(os.environ['PORT'])))\n"
    "time.sleep(60)",
]


def test_two_runs_at_the_same_time_choose_different_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process knows nothing of the ports handed out here; one is the server's until it stops."""
    first = Launched(LISTENS)
    try:
        monkeypatch.setattr(launch, "_taken", [])  # as in another process
        port = first.address[1]
        with socket.socket(type=socket.SOCK_DGRAM) as other, pytest.raises(OSError):
            other.bind(("127.0.0.1", port))
        monkeypatch.setattr(launch, "PORTS", [port, port, port + 1])
        found, claim = launch._free_port()
        claim.close()
        assert found == port + 1
    finally:
        first.stop()
    with socket.socket(type=socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", port))


def test_a_program_that_cannot_be_run_keeps_no_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does one that ends at once."""
    with socket.socket(type=socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(launch, "PORTS", [port])
    for command in (["no-such-program"], [sys.executable, "-c", "pass"]):
        monkeypatch.setattr(launch, "_taken", [])
        with pytest.raises(NotStarted):
            Launched(command)
        with socket.socket(type=socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", port))
