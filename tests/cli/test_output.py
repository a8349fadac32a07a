"""console.py: outputs that lack letters, that are full, or whose reader is gone."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from programs import CLEAN, LABKIT, PATIENCE, OnTerminal, Program
from support import need

from labkit import ChatClient, ChatServer
from labkit.__main__ import COMMANDS
from labkit.exercises import NAMES

OUTPUTS: dict[str, dict[str, str]] = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "cp866": {"PYTHONIOENCODING": "cp866"},
    "cp1251": {"PYTHONIOENCODING": "cp1251"},
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "C": {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"},
}
"""Environments in which standard output lacks letters."""

FRAMING = """
class Framing:
    def __init__(self, limit=4096):
        print("grüße, ж, ✓ ✗")
    def feed(self, data):
        return data.decode().splitlines() if data.endswith(b"\\n") else ["ж – ✓"]
    def frame(self, text):
        return text.encode() + b"\\n"
"""
"""An answer to `framing` that prints, and fails, in letters that most encodings lack."""


RUN_ALL = """
import json, os, sys
from labkit.__main__ import main
statuses = []
for arguments in json.loads(sys.argv[1]):
    try:
        statuses.append(main([os.fsdecode(word.encode()) for word in arguments]))
    except SystemExit as end:
        statuses.append(end.code)
with open(sys.argv[2], "w") as file:
    json.dump(statuses, file)
"""
"""Runs one command line after the other in one process, and writes their statuses to a file."""


def run(
    *arguments: str, environment: Mapping[str, str] = CLEAN, stdout: int = subprocess.PIPE
) -> tuple[int, bytes, bytes]:
    """Run a labkit command to its end: its status, output and errors."""
    done = subprocess.run(
        [*LABKIT, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=environment,
        timeout=PATIENCE,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a student's files."""
    (tmp_path / "my.py").write_text(FRAMING, encoding="utf-8")
    status, stub, _ = run("exercises", "stub", "judge")
    assert status == 0
    (tmp_path / "grün ж.py").write_bytes(stub)
    return tmp_path


def commands(files: Path, server: ChatServer) -> Iterator[tuple[list[str], int]]:
    """Command lines that print something, and the status that each is to end with."""
    yield from (([*name, "--help"], 0) for name in [[], *([name] for name in COMMANDS)])
    yield from ((["exercises", what, "--help"], 0) for what in ("list", "stub", "build"))
    yield ["exercises", "list"], 0
    yield ["exercises", "stub", "framing"], 0
    yield ["exercises", "stub", "no ж"], 2
    yield ["exercises", "build", "--to", str(files / "büro ж")], 0
    yield ["exercises", "build", "--check", "--to", str(files / "nowhere ж")], 1
    yield ["demo"], 0
    yield ["check", "framing", str(files / "my.py"), "--hints", "3"], 1
    yield ["check", "judge", str(files / "grün ж.py")], 1
    yield ["check", "nothing ж", str(files / "my.py")], 2
    yield ["check", "framing", "nowhere ж.py"], 2
    yield ["check", "server", "ж:1"], 2
    yield ["check", "server", "--", "/bin/sh", "-c", "echo grüße ж ✗"], 2
    yield ["join", "ж", "--host", server.address[0], "--port", str(server.address[1])], 0
    yield ["join", "a", "--host", "ж.invalid"], 1
    yield ["serve", "--port", "0", "--tls-cert", "ж", "--tls-key", "ж"], 1
    yield ["load", "--clients", "2", "--seconds", "0.1"], 0
    yield ["load", "--clients", "2", "--seconds", "0.1", "--plot", "ж.txt"], 2
    yield ["lab", "--port", str(server.address[1])], 1  # which is taken
    yield ["dance ж"], 2


@pytest.mark.parametrize("output", OUTPUTS)
def test_no_command_dies_of_a_letter(output: str, files: Path, server: ChatServer) -> None:
    """Each ends with the status that it has on UTF-8, and without a traceback."""
    lines, wanted = zip(*commands(files, server), strict=True)
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALL, json.dumps(lines), str(files / "statuses")],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={**CLEAN, **OUTPUTS[output]},
        timeout=3 * PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr and b"UnicodeEncodeError" not in done.stderr, done.stderr
    came = json.loads((files / "statuses").read_text())
    assert came == list(wanted), [pair for pair in zip(lines, came, wanted, strict=True)]


@pytest.mark.parametrize("output", OUTPUTS)
def test_signs_stay_two(output: str, tmp_path: Path) -> None:
    """A step that holds is told from one that does not, and nothing else of it is lost in JSON."""
    (tmp_path / "my.py").write_text(FRAMING, encoding="utf-8")
    check = ("check", "framing", str(tmp_path / "my.py"))
    status, said, complaints = run(*check, environment={**CLEAN, **OUTPUTS[output]})
    assert (status, complaints) == (1, b"")
    assert b"\n  + 1. " in said and b"\n  x 3. " in said, said
    _, said, _ = run(*check, "--json", environment={**CLEAN, **OUTPUTS[output]})
    assert "ж – ✓" in json.loads(said)["seen"]


def test_signs_stay_two_for_a_server(server: ChatServer) -> None:
    """The same where a server is checked, on the output that lacks most."""
    address = f"{server.address[0]}:{server.address[1]}"
    status, said, complaints = run("check", "server", address, environment={**CLEAN, **OUTPUTS["ascii"]})
    assert (status, complaints) == (0, b"")
    assert b"\n  1 + asks for a nickname" in said and b"?" not in said


@pytest.mark.parametrize("name", [*NAMES, "judge"])
def test_a_stub_is_the_same_python_on_every_output(name: str) -> None:
    """Saved as it comes, it is valid, and means what it means where no letter is lacking."""
    stubs = [
        run("exercises", "stub", name, environment={**CLEAN, "PYTHONIOENCODING": encoding})
        for encoding in ("utf-8", "cp1252", "ascii")
    ]
    assert {(status, complaints) for status, _, complaints in stubs} == {(0, b"")}
    assert len({ast.dump(ast.parse(stub)) for _, stub, _ in stubs}) == 1


@pytest.mark.parametrize(
    ("encoding", "said", "heard"),
    [("cp866", "привет", "привет +"), ("cp1252", "grüße", "grüße +"), ("utf-16-le", "ж 中", "ж 中 ✓")],
)
def test_a_pipe_in_another_encoding(server: ChatServer, encoding: str, said: str, heard: str) -> None:
    """Lines are read, and printed, in the encoding of standard input and output; the wire has UTF-8."""
    host, port = server.address
    command = (*LABKIT, "join", "alice", "--host", host, "--port", str(port))
    environment = {**CLEAN, "PYTHONIOENCODING": encoding}
    with ChatClient("bob", server.address) as bob, Program(*command, environment=environment) as alice:
        assert alice.process.stdin is not None
        alice.process.stdin.write(f"{said}\n".encode(encoding))
        alice.process.stdin.flush()
        assert bob.wait_for("alice: ", timeout=PATIENCE) == f"alice: {said}"
        bob.say(f"{said} ✓")
        alice.until(f"bob: {heard}\n", encoding)
        alice.hang_up()
        assert alice.ends() == 0


def test_letters_are_whole_where_the_locale_is_c(server: ChatServer) -> None:
    """There standard input claims to be ASCII; a pipe, a nickname and a terminal are read as UTF-8."""
    host, port = server.address
    command = (*LABKIT, "join", "--host", host, "--port", str(port))
    environment = {**CLEAN, **OUTPUTS["C"]}
    with ChatClient("bob", server.address) as bob:
        with Program(*command, "älice", environment=environment) as alice:
            alice.type("grüße, ж\n")
            assert bob.wait_for("grü", timeout=PATIENCE) == "älice: grüße, ж"
        with OnTerminal(*command, environment=environment) as carol:
            carol.until_shown("nickname:")
            carol.type("cärol\r")
            carol.until_shown("* you are c?rol")
            carol.type("grüße, ж\r")
            assert bob.wait_for("cärol: ", timeout=PATIENCE) == "cärol: grüße, ж"
            bob.say("ж ✓")
            carol.until_shown("bob: ? +")
            carol.hang_up()
            assert carol.ends() == 0


# --- outputs that take nothing more ---


def full_commands(server: ChatServer, tmp_path: Path) -> list[list[str]]:
    (tmp_path / "my.py").write_text(FRAMING, encoding="utf-8")
    address = f"{server.address[0]}:{server.address[1]}"
    return [
        ["demo"],
        ["exercises", "list"],
        ["exercises", "stub", "judge"],
        ["exercises", "build", "--to", str(tmp_path / "to")],
        ["check", "framing", str(tmp_path / "my.py")],
        ["check", "framing", str(tmp_path / "my.py"), "--json"],
        ["check", "server", address],
        ["load", "--clients", "2", "--seconds", "0.1"],
        ["serve", "--port", "0"],
        ["join", "alice", "--host", server.address[0], "--port", str(server.address[1])],
    ]


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_a_full_disk_is_told_in_one_line(unbuffered: str, server: ChatServer, tmp_path: Path) -> None:
    """Status 1, what is wrong, and no traceback; also where it shows only when the last is written."""
    need(os.path.exists("/dev/full"), "/dev/full, which Linux has")
    environment = {**CLEAN, "PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "wb") as full:
        for arguments in full_commands(server, tmp_path):
            status, _, complaints = run(*arguments, environment=environment, stdout=full.fileno())
            wanted = b"labkit: cannot write to standard output (No space left on device)\n"
            assert (status, complaints) == (1, wanted), arguments


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_a_reader_that_is_gone_is_no_complaint(unbuffered: str, server: ChatServer, tmp_path: Path) -> None:
    """`labkit … | true`: it ends by itself, and quietly."""
    environment = {**CLEAN, "PYTHONUNBUFFERED": unbuffered}
    for arguments in full_commands(server, tmp_path):
        if arguments[0] in ("serve", "join"):
            continue  # tried elsewhere: a server serves on, and join ends at the next line
        reads, writes = os.pipe()
        os.close(reads)
        try:
            status, _, complaints = run(*arguments, environment=environment, stdout=writes)
        finally:
            os.close(writes)
        assert (status, complaints) == (1, b""), arguments


@pytest.mark.parametrize("closed", [">&-", "2>&-", "2>/dev/full", ">&- 2>&-"])
@pytest.mark.parametrize(
    ("arguments", "wanted"), [("exercises list", 0), ("check framing nowhere.py", 2)], ids=["list", "check"]
)
def test_closed_outputs(closed: str, arguments: str, wanted: int) -> None:
    """What cannot be said is not said; the status stays."""
    need(os.path.exists("/dev/full"), "/dev/full, which Linux has")
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh", *LABKIT, *arguments.split()]
    done = subprocess.run(shell, capture_output=True, env=CLEAN, timeout=PATIENCE)
    assert done.returncode == wanted, done
    assert b"Traceback" not in done.stdout + done.stderr
