"""The peers in one thread: all that is required of a server holds, and they run in a shell."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import pytest
from programs import CLEAN, PATIENCE, Program
from support import Wire

from labkit.conformance.report import NOT_OFFERED
from labkit.conformance.run import check_command

LOOPS = ("asyncio_server", "selectors_server")
ALL = (*LOOPS, "classic_lines")


@pytest.mark.parametrize("peer", LOOPS)
def test_all_that_is_required_holds(peer: str) -> None:
    """They leave out commands, as their docstrings say, and nothing else."""
    report = check_command([sys.executable, "-m", f"labkit.peers.{peer}", "--port", "{port}"])
    not_offered = {v.behaviour.number for v in report.verdicts if v.verdict == NOT_OFFERED}
    optional = {verdict.behaviour.number for verdict in report.verdicts if verdict.behaviour.optional}
    assert report.holds and report.missed == [] and not_offered == optional, report


@pytest.mark.parametrize("peer", ALL)
def test_in_a_shell(peer: str) -> None:
    """`python -m` says first where it listens, serves there, and Ctrl-C ends it without a word."""
    with Program(sys.executable, "-m", f"labkit.peers.{peer}", "--port", "0") as program:
        host, port = program.until("\n").splitlines()[0].removeprefix("listening on ").split(":")
        with contextlib.closing(Wire((host, int(port)))) as wire:
            assert wire.sock.recv(8) == b"nickname"
        program.interrupt()
        program.process.wait(PATIENCE)
        assert program.complaints() == ""


def test_another_loop_that_is_not_there() -> None:
    """How to get it is said in one line."""
    script = (
        "import sys; sys.modules['uvloop'] = None; from labkit.peers.asyncio_server import main; main()"
    )
    command = [sys.executable, "-c", script, "--loop", "uvloop", "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=CLEAN)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.splitlines()[-1].endswith(
        "uvloop is not installed; this does it: pip install uvloop"
    )
