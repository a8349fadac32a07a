"""__main__.py, dispatch.py, serve.py, demo.py and lab.py: the commands, run as a student runs them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from dataclasses import fields
from pathlib import Path

import pytest
from programs import CLEAN, LABKIT, PATIENCE, Program, Serving
from support import Wire, need

from labkit import ChatServer, Limits, __version__
from labkit.cli.console import print_notice
from labkit.exercises.grading.notebooks import NOTEBOOKS
from labkit.exercises.handout.own_copy import FIRST
from labkit.probe.ports import free_port


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a labkit command to its end."""
    return subprocess.run(
        [*LABKIT, *arguments], capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL
    )


def is_free(address: tuple[str, int]) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(address) != 0


# --- the command line ---


def test_help_names_every_command() -> None:
    """`--help` is where a student begins."""
    helped = run("--help")
    assert helped.returncode == 0
    for command in ("serve", "join", "lab", "demo"):
        assert f"\n    {command} " in helped.stdout
        assert run(command, "--help").returncode == 0


def test_without_a_command_they_are_listed() -> None:
    """As `--help` does; and `--version` says which labkit this is."""
    listed = run()
    assert (listed.returncode, listed.stderr, listed.stdout) == (0, "", run("--help").stdout)
    assert run("--version").stdout == f"labkit {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["dance"],
        ["join", "--port", "70000"],
        ["serve", "--port", "x"],
        ["lab", "here", "there"],
        ["lab", "here", "--in-place"],
        ["lab", "--in-place", "--only-copy"],
    ],
)
def test_a_command_line_that_cannot_be_understood(arguments: list[str]) -> None:
    """Status 2, what is wrong, and no traceback."""
    done = run(*arguments)
    assert done.returncode == 2
    assert "python -m labkit" in done.stderr and "error: " in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_is_loaded_that_is_not_needed() -> None:
    """Neither `import labkit` nor the command line loads what only one of the commands needs."""
    program = """
import contextlib, io, sys
from labkit.__main__ import COMMANDS, main
for words in [], *([name] for name in COMMANDS):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        main([*words, "--help"])
    if not words:
        print([name for name in COMMANDS if f"labkit.cli.{name}" in sys.modules])
print([name for name in ('asyncio', 'prompt_toolkit', 'ipywidgets', 'jupyter_core', 'matplotlib')
       if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout == "[]\n[]\n"


# --- serve ---


def test_nc_chats() -> None:
    """What a student tries first: `nc` is asked, answers, is heard and hears."""
    nc = shutil.which("nc")
    need(nc, "nc (netcat) is not installed")
    with Serving() as server, Program(str(nc), "localhost", str(server.address[1])) as bob:
        bob.until("nickname\n")
        bob.type("bob\n")
        bob.until("* you are bob, in lobby\n")
        with Wire.joined(server.address, "alice") as alice:
            bob.until("* alice joined\n")
            bob.type("hello from nc\n")
            assert alice.line() == "bob: hello from nc"
            alice.send("hello yourself")
            bob.until("alice: hello yourself\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_server_in_good_order(number: signal.Signals) -> None:
    """All clients are told; the status is 0, there is no error, and the port is free."""
    with Serving(port=free_port()) as server, Wire.joined(server.address, "alice") as alice:
        server.process.send_signal(number)
        assert server.ends() == 0
        assert alice.to_the_end() == ["* server stopped"]
        assert server.said.endswith("The server has stopped. Goodbye.\n")
        assert server.complaints() == ""
        with ChatServer(*server.address):  # the port can be had again at once
            pass


def test_a_reader_of_serve_that_is_gone() -> None:
    """`serve | head -1`: the server goes on, and still ends with status 0."""
    pipe = subprocess.PIPE
    with subprocess.Popen([*LABKIT, "serve", "--port", "0"], stdout=pipe, stderr=pipe, text=True) as server:
        try:
            assert server.stdout and server.stderr
            port = int(server.stdout.readline().rpartition(":")[2])
            server.stdout.close()
            with Wire.joined(("127.0.0.1", port), "alice"):
                server.send_signal(signal.SIGINT)
                assert server.wait(PATIENCE) == 0
            assert server.stderr.read() == ""
        finally:
            server.kill()


def test_serve_says_how_to_join() -> None:
    """The command line it prints works as it stands."""
    with Serving("--framing", "lines") as server:
        command = server.until("\n").split("To join: python ", 1)[1].split("\n")[0].split()
        with Program(sys.executable, *command, "alice") as alice:
            alice.until("* you are alice, in lobby\n")


def test_a_taken_port() -> None:
    """One line, which says so."""
    with ChatServer(port=0) as other, Program(*LABKIT, "serve", "--port", str(other.address[1])) as second:
        assert second.fails().endswith("another program listens there already")


def test_an_address_that_is_not_ours() -> None:
    """One line, which says so (192.0.2.1 is for documents alone: RFC 5737)."""
    with Program(*LABKIT, "serve", "--host", "192.0.2.1", "--port", "0") as server:
        assert server.fails() == "cannot listen on 192.0.2.1:0: this machine has no such address"


def test_a_warning_before_strangers() -> None:
    """Listening to other machines needs --host, and is warned of; listening to this one is not."""
    with Serving("--host", "0.0.0.0") as server:
        assert server.address[0] == "0.0.0.0"
        server.interrupt()
        assert server.ends() == 0
        warning = " ".join(server.complaints().split())
    for meaning in ("warning", "Whoever can reach this machine can join", "no password", "encrypted"):
        assert meaning in warning
    with Serving("--host", "127.0.0.1") as server:
        server.interrupt()
        assert server.ends() == 0
        assert server.complaints() == ""


def test_serve_on_ipv6() -> None:
    """An IPv6 address is printed in brackets, as in a URL, and can be joined."""
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            need(False, "this machine has no IPv6")
    with Serving("--host", "::1") as server, Wire.joined(server.address, "alice"):
        assert server.said.startswith("listening on [::1]:")


def test_each_limit_is_a_flag() -> None:
    """`--help` lists them all; one of them, tried out, does what it says."""
    helped = run("serve", "--help").stdout
    for limit in fields(Limits):
        assert f"--{limit.name.replace('_', '-')} N" in helped
    with Serving("--max-clients", "1", "--silence", "none", "--messages", "1e3") as server:
        with Wire.joined(server.address, "alice"), Wire(server.address) as second:
            assert second.to_the_end() == ["! the server is full: 1 connections"]


@pytest.mark.parametrize(
    ("flag", "value", "why"),
    [
        ("--max-clients", "0", "--max-clients is a whole number, at least 1, not 0"),
        ("--max-clients", "many", "a whole number is needed, not 'many'"),
        ("--max-clients", "none", "a whole number is needed, not 'none'"),
        ("--per-address", "2.5", "a whole number or none is needed, not '2.5'"),
        ("--per-address", "0", "--per-address is a whole number, at least 1, not 0"),
        ("--line", "100", "--line is from 512 to 4096 bytes, not 100"),
        ("--silence", "soon", "a number or none is needed, not 'soon'"),
        ("--handshake", "inf", "a number is needed, not 'inf'"),
        ("--grace", "-1", "--grace is from 0.001 to 1e9, not -1.0"),
    ],
)
def test_a_limit_that_will_not_do(flag: str, value: str, why: str) -> None:
    """Status 2, with the flag and what it takes."""
    done = run("serve", "--port", "0", flag, value)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert flag in last and last.endswith(why)


def test_the_assignments_dialect() -> None:
    """`--framing raw`: a client straight from the assignment compares a recv with `nickname`."""
    with Serving("--framing", "raw") as server, Wire(server.address) as alice:
        alice.join_raw("alice")
        with Wire(server.address) as bob:
            bob.join_raw("bob")
            assert alice.recv() == "* bob joined"
            bob.send_bytes(b"hello")
            assert alice.recv() == "bob: hello"


# --- demo ---


def test_the_demo_tells_the_same_story_every_time() -> None:
    """Nothing in it depends on the machine or the moment, and all of the story is in it."""
    first, second = run("demo"), run("demo")
    assert first.returncode == 0 and first.stderr == ""
    assert first.stdout == second.stdout
    for line in (
        "     bob    alice: hello, everybody",
        "     carol  alice: hello, everybody",
        "     alice  bob -> you: is this the right room?",
        "     carol  (nothing)",
        "     carol  * bob left (hung up)",
        "     alice  * carol left (vanished)",
        "     alice  * server stopped",
        "         │─────── bob: here I am ──────▶│       │       │",
        "     threads still running: none",
        "     at the port: nobody answers",
    ):
        assert line in first.stdout.splitlines()
    assert not re.search(r"\d{4}|127\.|localhost", first.stdout), "a port, an address or a time"
    assert max(map(len, first.stdout.splitlines())) <= 100


# --- lab ---


class Lab(Program):
    """`python -m labkit lab` with no settings but the test's own."""

    def __init__(self, folder: Path, *options: str) -> None:
        folders = {f"JUPYTER_{name}_DIR": str(folder / name) for name in ("CONFIG", "DATA", "RUNTIME")}
        no_display = {"DISPLAY": "", "WAYLAND_DISPLAY": ""}
        super().__init__(
            *(*LABKIT, "lab", *options),
            # JupyterLab is not to be measured: it takes long enough.
            environment={**CLEAN, **folders, **no_display, "COVERAGE_PROCESS_START": ""},
        )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for the copy, with a space in its name."""
    return tmp_path / "the notebooks"


def fetch(address: str) -> tuple[int, str]:
    """Get a page from this machine, whatever proxy the environment names."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(address, timeout=PATIENCE) as page:
        return page.status, page.read().decode()


@pytest.mark.parametrize("in_place", [False, True])
def test_lab_opens_the_notebook(in_place: bool, folder: Path, tmp_path: Path) -> None:
    """A copy, or the repository's own: the address that it prints works as it stands, asks about no news,
    and SIGINT ends it all."""
    opened = NOTEBOOKS if in_place else folder
    # Another test may look for a free port at the same time.
    options = ("--in-place", "--port", str(free_port())) if in_place else (str(folder),)
    with Lab(tmp_path, *options) as running:
        said = running.until("Ctrl-C ends JupyterLab.")
        found = re.search(r"http://localhost:(\d+)(/lab/tree/\S+)\?token=(\w+)", said)
        assert found, said
        assert found[2] == f"/lab/tree/{FIRST}"
        status, page = fetch(found[0])
        assert status == 200 and "JupyterLab" in page
        base, token = f"http://localhost:{found[1]}", f"?token={found[3]}"
        _, contents = fetch(f"{base}/api/contents{token}")
        names = {path.name for path in opened.iterdir() if not path.name.startswith((".", "__"))}
        assert {file["name"] for file in json.loads(contents)["content"]} - {"__pycache__"} == names
        _, settings = fetch(f"{base}/lab/api/settings/@jupyterlab/apputils-extension:notification{token}")
        defaults = json.loads(settings)["schema"]["properties"]
        assert defaults["fetchNews"]["default"] == "false"
        running.interrupt()
        assert running.ends() == 0
        assert running.said.endswith("JupyterLab has ended. Goodbye.\n")
        assert "Traceback" not in running.complaints()
        assert is_free(("127.0.0.1", int(found[1])))


def test_lab_where_no_copy_can_be(tmp_path: Path) -> None:
    """One line that says why."""
    file = tmp_path / "file"
    file.touch()
    ours = NOTEBOOKS / "mine"
    for place, why in ((file, f"cannot write {file}: "), (ours, f"{ours} is in ")):
        with Lab(tmp_path, str(place)) as running:
            assert running.fails().startswith(why)
    assert not ours.exists()


def test_lab_on_a_taken_port(folder: Path, tmp_path: Path) -> None:
    """One line, not Jupyter's page of them."""
    with ChatServer(port=0) as other:
        with Lab(tmp_path, str(folder), "--port", str(other.address[1])) as running:
            assert (
                running.fails() == f"port {other.address[1]} is taken; without --port a free one is found"
            )


def test_lab_that_does_not_start(folder: Path, tmp_path: Path) -> None:
    """What follows -- reaches JupyterLab; if it cannot start with that, the last line says so."""
    with Lab(tmp_path, str(folder), "--", "--ServerApp.ip=no such address") as running:
        assert running.ends() == 1
        assert running.complaints().splitlines()[-1].startswith("labkit: JupyterLab did not start")


def test_a_server_that_cannot_say_where_it_listens_ends() -> None:
    """`serve > /dev/full`: one line says why, and no traceback follows."""
    need(os.path.exists("/dev/full"), "/dev/full, which Linux has")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*LABKIT, "serve", "--port", "0"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
        )
    assert done.stderr == "labkit: cannot write to standard output (No space left on device)\n"
    assert done.returncode == 1


def test_a_full_disk_does_not_end_a_running_server(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What it would have printed is dropped; one line on standard error says so, once."""
    need(os.path.exists("/dev/full"), "/dev/full, which Linux has")
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        print_notice("Cut off from other servers.")
        print_notice("Back with other servers.")
        with pytest.raises(OSError), open("/dev/full", "w") as full_again:
            monkeypatch.setattr(sys, "stdout", full_again)
            print_notice("listening on …", needed=True)
    assert capfd.readouterr().err == (
        "labkit: cannot write to standard output (No space left on device); going on without it\n"
    )
