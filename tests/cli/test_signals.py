"""What signals and keys do to a command: Ctrl-C from the first moment, SIGTERM, SIGHUP, Ctrl-Z, Ctrl-D."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

import psutil
import pytest
from programs import CLEAN, LABKIT, PATIENCE, OnTerminal, Program, Serving
from support import Wire

from labkit import ChatClient, ChatServer

termios = pytest.importorskip("termios", reason="signals and pseudo-terminals are POSIX")
fcntl = pytest.importorskip("fcntl")

INTERRUPTING = """
import os, signal, sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["INTERRUPT_AT"]:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
"""
"""A sitecustomize.py: Ctrl-C just when a module is looked for."""

JOB = "import subprocess, sys; sys.exit(subprocess.Popen(sys.argv[1:], process_group=0).wait())"
"""Runs a command as a shell does, in a process group of its own: only such a one can be suspended."""


def join(server: ChatServer, *more: str) -> tuple[str, ...]:
    return (*LABKIT, "join", *more, "--host", server.address[0], "--port", str(server.address[1]))


def until(holds: Callable[[], bool]) -> None:
    """Wait until it holds."""
    give_up = monotonic() + PATIENCE
    while not holds():
        assert monotonic() < give_up
        sleep(0.01)


class Watched(OnTerminal):
    """A program on a terminal whose modes are looked at."""

    def modes(self) -> list[object]:
        """What `stty -a` shows."""
        return list(termios.tcgetattr(self._output))

    def is_raw(self) -> bool:
        return not int(termios.tcgetattr(self._output)[3]) & (termios.ECHO | termios.ICANON)


def sane() -> list[object]:
    """The modes of a fresh terminal."""
    controller, terminal = os.openpty()
    try:
        return list(termios.tcgetattr(controller))
    finally:
        os.close(controller)
        os.close(terminal)


# --- the end ---


@pytest.mark.parametrize(
    "module", ["labkit.client", "labkit.wire.messages", "labkit.server", "labkit.cli.dispatch"]
)
def test_ctrl_c_while_it_is_loaded(module: str, tmp_path: Path) -> None:
    """It ends as a shell expects, by the signal, and without a traceback."""
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTING)
    environment = {**CLEAN, "PYTHONPATH": str(tmp_path), "INTERRUPT_AT": module}
    with Program(*LABKIT, "join", "alice", "--port", "1", environment=environment) as alice:
        assert alice.ends() == -signal.SIGINT
        assert (alice.said, alice.complaints()) == ("", "")


@pytest.mark.parametrize("module", ["labkit.cli.join", "prompt_toolkit", "prompt_toolkit.shortcuts"])
def test_ctrl_c_while_the_terminal_is_made_ready(module: str, server: ChatServer, tmp_path: Path) -> None:
    """As quiet, and the terminal is as it was."""
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTING)
    environment = {**CLEAN, "PYTHONPATH": str(tmp_path), "INTERRUPT_AT": module}
    with Watched(*join(server, "alice"), environment=environment) as alice:
        assert alice.ends() == 128 + signal.SIGINT
        assert (alice.said, alice.complaints()) == ("", "")
        assert alice.modes() == sane()


@pytest.mark.parametrize("command", [["demo"], ["exercises", "list"], ["check", "server", "localhost:1"]])
def test_a_command_that_was_cut_short_has_not_held(command: list[str], tmp_path: Path) -> None:
    """Its status is not 0: what it was to find out is not known."""
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTING)
    modules = {"demo": "encodings.idna", "exercises": "labkit.exercises", "check": "labkit.conformance.run"}
    environment = {**CLEAN, "PYTHONPATH": str(tmp_path), "INTERRUPT_AT": modules[command[0]]}
    with Program(*LABKIT, *command, environment=environment) as program:
        status = program.ends()
        assert status == 128 + signal.SIGINT
        assert program.complaints() == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("named", [True, False], ids=["in the chat", "asked for a nickname"])
def test_a_killed_join_says_goodbye_and_leaves_a_sane_terminal(
    number: signal.Signals, named: bool, server: ChatServer
) -> None:
    """In the middle of a line: status 0, no complaint, FIN for the server, echo for the shell."""
    with Watched(*join(server, *(["alice"] if named else []))) as alice:
        alice.until_shown("alice in lobby" if named else "nickname:")
        assert alice.is_raw()
        alice.type("half a li")
        alice.until_shown("half a li")
        alice.process.send_signal(number)
        assert alice.ends() == 0
        assert alice.complaints() == ""
        assert alice.modes() == sane()
        assert "\x1b[?2004l" in alice.said.rpartition("half")[2], "pastes would come in brackets still"
    assert server.journal.wait_for("left", timeout=PATIENCE).what == "hung up"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_on_a_pipe_is_a_goodbye(number: signal.Signals, server: ChatServer) -> None:
    """As Ctrl-C is; also where that is ignored, as for what a script starts in the background."""
    for ignored in ("", "trap '' INT;"):
        with Program("sh", "-c", f'{ignored} exec "$@"', "sh", *join(server, "alice")) as alice:
            alice.until("* you are alice")
            alice.process.send_signal(number)
            assert alice.ends() == 0
            assert alice.complaints() == ""
        left = server.journal.wait_for("left", "alice", timeout=PATIENCE)
        assert left.what == "hung up"


def test_nohup(server: ChatServer) -> None:
    """A SIGHUP that was ignored from the start ends neither join nor serve."""
    ignoring = ("sh", "-c", "trap '' HUP; exec \"$@\"", "sh")
    with Program(*ignoring, *join(server, "alice")) as alice, ChatClient("bob", server.address) as bob:
        alice.until("* you are alice")
        alice.process.send_signal(signal.SIGHUP)
        alice.type("still here\n")
        bob.wait_for("alice: still here", timeout=PATIENCE)
        alice.process.send_signal(signal.SIGTERM)
        assert alice.ends() == 0
    with Program(*ignoring, *LABKIT, "serve", "--port", "0") as other:
        port = int(other.until("To join").split("\n")[0].rpartition(":")[2])
        other.process.send_signal(signal.SIGHUP)
        with Wire.joined(("127.0.0.1", port), "carol"):
            other.process.send_signal(signal.SIGTERM)
            assert other.ends() == 0


@pytest.mark.parametrize("controlling", [True, False], ids=["with SIGHUP", "without"])
def test_a_terminal_that_is_closed(controlling: bool, server: ChatServer) -> None:
    """Nothing can be shown any more: join ends by itself, and the others hear that it has left."""
    controller, terminal = os.openpty()
    with ChatClient("bob", server.address) as bob:
        alice = subprocess.Popen(
            join(server, "alice"),
            stdin=terminal,
            stdout=terminal,
            stderr=subprocess.PIPE,
            env={**CLEAN, "TERM": "xterm"},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0) if controlling else None,
        )
        try:
            os.close(terminal)
            said = b""
            while b"* you are alice" not in said:
                said += os.read(controller, 65536)
            os.close(controller)
            bob.wait_for("alice left", timeout=PATIENCE)
            assert alice.wait(PATIENCE) in (0, 1)
            assert alice.stderr and b"Traceback" not in alice.stderr.read()
        finally:
            alice.kill()
            alice.communicate()


def test_sighup_stops_the_server_in_good_order() -> None:
    """All clients are told, the status is 0, and there is no error."""
    with Serving() as server, Wire.joined(server.address, "alice") as alice:
        server.process.send_signal(signal.SIGHUP)
        assert server.ends() == 0
        assert alice.to_the_end() == ["* server stopped"]
        assert server.complaints() == ""


# --- suspended ---


@pytest.mark.parametrize("how", ["Ctrl-Z", "SIGTSTP", "SIGSTOP"])
def test_suspended_and_continued(how: str, server: ChatServer) -> None:
    """After `fg` the typed line is there again, the terminal is raw, and the chat goes on."""
    with (
        ChatClient("bob", server.address) as bob,
        Watched(sys.executable, "-c", JOB, *join(server, "alice")) as alice,
    ):
        alice.until_shown("alice in lobby")
        alice.type("half a li")
        alice.until_shown("half a li")
        (job,) = psutil.Process(alice.process.pid).children()
        if how == "Ctrl-Z":
            alice.type("\x1a")
        else:
            job.send_signal(getattr(signal, how))
        until(lambda: job.status() == psutil.STATUS_STOPPED)
        if how == "Ctrl-Z":
            assert not alice.is_raw()
        # What a shell does: it has the terminal as it wants it, and writes; then `fg`.
        termios.tcsetattr(alice._output, termios.TCSANOW, sane())
        bob.say("meanwhile")
        before = len(alice.shown)
        job.send_signal(signal.SIGCONT)
        alice.until_shown("bob: meanwhile", before)
        alice.until_shown("> half a li", before)
        until(alice.is_raw)
        alice.type("ne\r")
        assert bob.wait_for("alice: ", timeout=PATIENCE) == "alice: half a line"
        alice.hang_up()
        assert alice.ends() == 0
        assert alice.modes() == sane()


# --- keys ---


def test_ctrl_d_with_half_a_line_typed(server: ChatServer) -> None:
    """It says why it does not leave; the line stays, and is said."""
    with ChatClient("bob", server.address) as bob, Watched(*join(server, "alice")) as alice:
        alice.until_shown("alice in lobby")
        alice.type("half a li")
        alice.until_shown("half a li")
        before = len(alice.shown)
        alice.type("\x04")
        alice.until_shown("# Ctrl-D leaves when nothing is typed", before)
        alice.type("ne\r")
        assert bob.wait_for("alice: ", timeout=PATIENCE) == "alice: half a line"
        alice.type("\x04")
        assert alice.ends() == 0


def test_ctrl_d_while_lines_arrive(server: ChatServer) -> None:
    """It leaves, whatever is printed at that moment."""
    with Wire.joined(server.address, "bob") as bob:
        for n in range(5):
            with Watched(*join(server, f"alice{n}x")) as alice:
                alice.until_shown(f"* you are alice{n}x")
                bob.send(*["hello"] * 200)
                alice.until_shown("bob: hello")
                alice.type("\x04")
                assert alice.ends() == 0


# --- rows ---


@pytest.mark.parametrize("columns", [20, 80, 113])
def test_no_row_can_be_taken_for_another_line(columns: int, server: ChatServer) -> None:
    """A long line goes on in rows that are indented, in the width that the window has now."""
    quoted = "carol: " + "hi " * 10
    with ChatClient("bob", server.address) as bob, Watched(*join(server, "alice")) as alice:
        alice.until_shown("alice in lobby")
        termios.tcsetwinsize(alice._output, (24, columns))
        alice.process.send_signal(signal.SIGWINCH)
        bob.say("x" + " " * (columns - 6) + quoted)
        bob.say("the end")
        alice.until_shown("bob: the end")
        rows = [row.strip("\r") for row in alice.shown.split("\n")]
        assert not any(row.startswith("carol") for row in rows)
        assert any(row.startswith("    ") and "carol: hi" in row for row in rows)


def test_rows_are_indented_where_only_the_output_is_a_terminal(server: ChatServer) -> None:
    """`cat | join`: what is read is no terminal, what is written on is."""
    command = ("sh", "-c", 'cat | "$@"', "sh", *join(server, "alice"))
    with ChatClient("bob", server.address) as bob, Watched(*command) as alice:
        alice.until_shown("* you are alice")
        bob.say("x" + " " * 74 + "carol: hi")
        alice.until_shown("\n    carol: hi")
        alice.hang_up()
        assert alice.ends() == 0


# --- a terminal that cannot move its cursor ---


def test_a_dumb_terminal(server: ChatServer) -> None:
    """What is typed is written once more after a line that arrives, and after a key that changes it."""
    environment = {**CLEAN, "TERM": "dumb"}
    with (
        ChatClient("bob", server.address) as bob,
        Watched(*join(server, "alice"), environment=environment) as alice,
    ):
        alice.until("* you are alice, in lobby\r\n> ")
        alice.type("half a li")
        alice.until("> half a li")
        bob.say("watch out")
        alice.until("> half a li\r\nbob: watch out\r\n> half a li")
        alice.type("nx\x7fe\r")
        alice.until("> half a linx\r\n> half a lin")
        assert bob.wait_for("alice: ", timeout=PATIENCE) == "alice: half a line"
        alice.until("> half a line\r\n> ")  # or the answer may come before there is a prompt to make room
        bob.say("yes")
        alice.until("> half a line\r\n> \r\nbob: yes\r\n> ")
        alice.hang_up()
        assert alice.ends() == 0
        assert "\x1b" not in alice.said
        assert alice.modes() == sane()


def test_a_dumb_terminal_shows_no_password() -> None:
    """Not a letter of it."""
    with ChatServer(port=0, password="secret!") as server:
        environment = {**CLEAN, "TERM": "dumb"}
        with Watched(*join(server, "alice"), environment=environment) as alice:
            alice.until("password: ")
            alice.type("secret!\r")
            alice.until("* you are alice, in lobby")
            assert "secret" not in alice.said and "\x1b" not in alice.said
