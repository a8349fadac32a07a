"""What differs on Windows, tried on whatever system this is; tests/tools/wine.sh tries it on that one."""

from __future__ import annotations

import errno
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from programs import CLEAN, LABKIT, PATIENCE, Program
from support import SOON, Wire

from labkit import ChatClient, ChatServer
from labkit.cli import console, lab
from labkit.journal import Journal
from labkit.probe import children, commands, job
from labkit.probe.reaper import runs
from labkit.wire import errors, sockets, winsock

# --- a server, and what waits when it stops ---


def test_stop_loses_none_of_six_megabytes() -> None:
    """They wait for one that reads only then; it hears them, and then the farewell."""
    journal = Journal()
    server = ChatServer(port=0, journal=journal).start()
    with Wire(server.address) as reader, Wire(server.address) as talker:
        for name, wire in ("reader", reader), ("talker", talker):
            wire.send(name)
            wire.until(f"* you are {name}")
        reader.until("* talker joined")
        for number in range(1500):
            talker.sock.sendall(b"%06d %s\n" % (number, b"x" * 4000))
        give_up = monotonic() + PATIENCE
        while next(one.lines_in for one in server.present() if one.nickname == "talker") < 1500:
            assert monotonic() < give_up
            sleep(0.01)
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        heard = b""
        while data := reader.sock.recv(1 << 20):
            heard += data
        stopping.join(PATIENCE)
    said = [line.split(b" ")[1] for line in heard.split(b"\n") if line.startswith(b"talker: ")]
    assert said == [b"%06d" % number for number in range(1500)]
    assert "stopp" in heard.decode().splitlines()[-1]
    assert {event.what for event in journal if event.kind == "left"} == {"server stopped"}
    assert not stopping.is_alive()


def test_a_thread_in_receive_wakes() -> None:
    """It gets what has arrived, and then the end; the other side is told nothing."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(sockets.HAS_DONTWAIT)
        got: list[bytes] = []

        def read() -> None:
            while data := sockets.receive(ours, 100):
                got.append(data)

        reading = threading.Thread(target=read)
        reading.start()
        theirs.sendall(b"first")
        sockets.stop_reading(ours)
        reading.join(SOON)
        assert not reading.is_alive() and b"".join(got) in (b"", b"first")
        theirs.settimeout(0.1)
        with pytest.raises(TimeoutError):
            theirs.recv(1)
        assert sockets.send_now(ours, b"and we can still speak") > 0


def test_hang_up_wakes_a_thread_in_recv() -> None:
    """By shutdown or by close: on every system one of them does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    ended = threading.Event()

    def read() -> None:
        try:
            ours.recv(1)
        except OSError:
            pass
        ended.set()

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    sleep(0.05)
    sockets.hang_up(ours)
    assert ended.wait(SOON)
    thread.join(SOON)
    theirs.close()


# --- commands ---


def test_serve_and_join_on_a_pipe() -> None:
    """What is piped in is said; what is heard comes out."""
    with Program(*LABKIT, "serve", "--port", "0") as serve:
        address = serve.until("listening on").partition("listening on ")[2].split()[0]
        host, _, port = address.rpartition(":")
        with ChatClient("bob", (host, int(port))) as bob:
            done = subprocess.run(
                [*LABKIT, "join", "--host", host, "--port", port],
                input="alice\nhello\n",
                capture_output=True,
                text=True,
                env=CLEAN,
                timeout=PATIENCE,
            )
            assert (done.returncode, done.stderr) == (0, "")
            assert "you are alice" in done.stdout
            bob.wait_for("alice: hello")


@pytest.mark.parametrize("output", ["cp1251", "cp866", "cp1252", "utf-8"])
def test_demo_on_a_console_that_lacks_letters(output: str) -> None:
    """Its signs have stand-ins."""
    done = subprocess.run(
        [*LABKIT, "demo"], capture_output=True, env={**CLEAN, "PYTHONIOENCODING": output}, timeout=PATIENCE
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode(output)


# --- a command's words ---

WORDS = st.lists(st.text("ab \\\"'\t/:.$", min_size=0, max_size=8), min_size=1, max_size=4)


@given(WORDS)
def test_what_is_joined_can_be_split_again(words: list[str]) -> None:
    """On this system, and as on Windows: whatever quotes and backslashes there are."""
    assert commands.split(commands.join(words)) == words
    assert commands._split_on_windows(subprocess.list2cmdline(words)) == words


def test_words_as_windows_has_them() -> None:
    """Microsoft's own examples, and paths as students type them."""
    for line, words in (
        (r'"a b c" d e', ["a b c", "d", "e"]),
        (r'"ab\"c" "\\" d', ['ab"c', "\\", "d"]),
        (r'a\\\b d"e f"g h', [r"a\\\b", "de fg", "h"]),
        (r"a\\\"b c d", [r"a\"b", "c", "d"]),
        (r'a\\\\"b c" d e', [r"a\\b c", "d", "e"]),
        ('"a ""b"" c" d', ['a "b" c', "d"]),
        (
            r'"C:\Program Files\nodejs\node.exe" C:\work\server.js {port}',
            [r"C:\Program Files\nodejs\node.exe", r"C:\work\server.js", "{port}"],
        ),
        (r"python C:\Users\Ann\my server.py", ["python", r"C:\Users\Ann\my", "server.py"]),
        ("it's one", ["it's", "one"]),
        ("", []),
        ('""', [""]),
    ):
        assert commands._split_on_windows(line) == words, line
    with pytest.raises(ValueError, match="quotation"):
        commands._split_on_windows('"C:\\Program Files\\x.exe')


# --- processes ---

GRANDCHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


def test_what_a_process_has_started_ends_with_it() -> None:
    """By its process group, or by its job."""
    process = children.popen(
        [sys.executable, "-c", GRANDCHILD], stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    grandchild = psutil.Process(int(process.stdout.readline()))
    assert grandchild.is_running()
    children.kill(process)
    process.wait(PATIENCE)
    process.stdout.close()
    give_up = monotonic() + SOON
    while runs(grandchild) and monotonic() < give_up:
        sleep(0.01)
    assert not runs(grandchild)


class Kernel:
    """Stands for kernel32.dll: what was asked of it, in order."""

    def __init__(self, runs: bool = True) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.runs = runs

    def __getattr__(self, name: str) -> Callable[..., int]:
        def call(*arguments: Any) -> int:
            if name == "SetInformationJobObject":
                limits = arguments[2]._obj
                arguments = (arguments[0], arguments[1], hex(limits.LimitFlags), arguments[3])
            self.calls.append((name, *arguments))
            return {"CreateJobObjectW": 7, "OpenProcess": 8 if self.runs else 0}.get(name, 1)

        return call


def test_a_job_as_documented() -> None:
    """It kills what is in it when it is closed, at the latest; a process that has ended is in none."""
    kernel = Kernel()
    its_job = job.Job(1234, kernel)
    assert kernel.calls == [
        ("CreateJobObjectW", None, None),
        ("SetInformationJobObject", 7, 9, "0x2000", 144),
        ("OpenProcess", 0x101, 0, 1234),
        ("AssignProcessToJobObject", 7, 8),
        ("CloseHandle", 8),
    ]
    its_job.kill()
    assert kernel.calls[-1:] == [("TerminateJobObject", 7, 1)]
    del its_job
    assert kernel.calls[-1:] == [("CloseHandle", 7)]
    ended = Kernel(runs=False)
    job.Job(1, ended)
    assert "AssignProcessToJobObject" not in [name for name, *_ in ended.calls]


REDIRECTOR = """
import subprocess, sys
sys.exit(subprocess.call([sys.executable, "-c", sys.argv[1], *sys.argv[2:]]))
"""
"""python.exe of a venv on Windows: it starts another Python, and waits for that."""

LISTENS = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    listener.accept()
"""


def test_a_lab_under_a_redirector_comes_up() -> None:
    """The port is its child's; and one that another program has is still not taken for it."""
    with socket.create_server(("127.0.0.1", 0)) as mine:
        taken = mine.getsockname()[1]
        assert lab._listens(os.getpid(), taken)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = children.popen(
        [sys.executable, "-c", REDIRECTOR, LISTENS, str(port)], start_new_session=True, env=CLEAN
    )
    try:
        assert lab._came_up(process, port)
        with socket.create_server(("127.0.0.1", 0)) as mine:
            assert not lab._listens(process.pid, mine.getsockname()[1])
    finally:
        children.kill(process)
        process.wait(PATIENCE)


@pytest.mark.parametrize("number", [22, 32])
def test_a_pipe_whose_reader_is_gone(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """EPIPE; on Windows EINVAL: the reaper was ended, and what it was told is lost without an error."""

    def write(*_: object) -> int:
        raise OSError(number, "the reader is gone")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", write)
        children._tell(99, "family 1")


class Ws2:
    """Stands for ws2_32.dll."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def WSAIoctl(self, sock: Any, code: Any, parameters: Any, size: Any, *rest: Any) -> int:  # noqa: N802
        given = parameters._obj
        self.asked.append((sock.value, hex(code.value), given.Rtt, given.MaxSynRetransmissions, size.value))
        return 0


def test_a_refused_connect_is_to_say_so_at_once() -> None:
    """As documented; and where there is no such library, nothing happens."""
    library = Ws2()
    with socket.socket() as sock:
        winsock.refuse_at_once(sock, library)
        assert library.asked == [(sock.fileno(), "0x98000011", 0xFFFF, 0xFE, 4)]
        winsock.refuse_at_once(sock, object())
        winsock.refuse_at_once(sock)


def test_a_reader_that_is_gone_is_no_error_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """EINVAL is how it is told there; elsewhere that is an error."""
    invalid = OSError(errno.EINVAL, "Invalid argument")
    assert console.reader_is_gone(BrokenPipeError(errno.EPIPE, "Broken pipe"))
    assert console.reader_is_gone(invalid) == (os.name == "nt")
    with monkeypatch.context() as patched:
        patched.setattr(os, "name", "nt")
        assert console.reader_is_gone(invalid)
        assert not console.reader_is_gone(OSError(errno.ENOSPC, "full"))


def test_words_for_errors_are_the_systems_own() -> None:
    """Where the system has none, the number is told; a program's own text stays."""
    assert errors.words(OSError(4711, "our own text")) == "our own text"
    assert errors.words(10054) == "Connection reset by peer"
    assert errors.words(ConnectionResetError(10054, "Eine vorhandene Verbindung wurde …")) == (
        "Connection reset by peer"
    )
    assert errors.words(99999) == "error 99999"
    assert errors.words(OSError("no number")) == "no number"


def test_what_is_run_under_wine_is_there() -> None:
    """The files of its list, and the tests that it leaves out."""
    root = Path(__file__).parents[2]
    script = (root / "tests/tools/wine.sh").read_text(encoding="utf-8")
    left_out = re.findall(r'"(tests/\S+\.py)::(\w+)"', script)
    assert left_out
    for file, test in left_out:
        assert f"def {test}(" in (root / file).read_text(encoding="utf-8"), f"{file}::{test}"
    listed = script.partition("FILES=(")[2].partition("\n)")[0]
    names = [part.split(",") for part in re.findall(r"{(.*?)}", listed)]
    folders = re.findall(r"(tests/\w+)/test_{", listed)
    for folder, of_it in zip(folders, names, strict=True):
        for name in of_it:
            assert (root / folder / f"test_{name}.py").is_file(), name
