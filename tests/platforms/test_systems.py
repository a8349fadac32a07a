"""What other systems lack or do otherwise, faked on Linux (fake/sitecustomize.py): the lab does without."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from programs import CLEAN, LABKIT, PATIENCE, Program
from support import SOON

from labkit import ChatClient
from labkit.exercises import NAMES, exercise_called

FAKE = Path(__file__).with_name("fake")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a fake of other systems, made of Linux")

SYSTEMS = ("darwin", "windows")


def environment(fakes: str) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(FAKE), os.environ.get("PYTHONPATH")]))
    return {**CLEAN, "PYTHONPATH": path, "FAKE": fakes}


def run(fakes: str, code: str) -> str:
    """What this code prints there."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment(fakes),
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def command(fakes: str, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """A command of labkit's, run there to its end."""
    return subprocess.run(
        [*LABKIT, *words],
        input=typed,
        capture_output=True,
        text=True,
        env=environment(fakes),
        timeout=PATIENCE,
    )


STOP = """
import socket, threading
from labkit import ChatServer, Journal
SIZE, LINES = 4000, 1500
journal = Journal()
server = ChatServer(port=0, journal=journal).start()
def joined(name):
    sock = socket.create_connection(server.address)
    sock.sendall(f"{name}\\n".encode())
    file = sock.makefile("rb")
    while b"you are" not in file.readline():
        pass
    return sock, file
reader, reads = joined("reader")
talker, _ = joined("talker")
talker.sendall(b"".join(b"%06d %s\\n" % (n, b"x" * SIZE) for n in range(LINES)))
while next(one.lines_in for one in server.present() if one.nickname == "talker") < LINES:
    threading.Event().wait(0.01)
stopping = threading.Thread(target=server.stop)
stopping.start()
heard = reads.read().split(b"\\n")
talker.close()
stopping.join(60)
said = [line.split(b" ")[1] for line in heard if line.startswith(b"talker: ")]
print(len(said), said == sorted(said), any(b"stopp" in line for line in heard[-4:]))
print(sorted({event.what for event in journal if event.kind == "left"}))
print(not stopping.is_alive(), [t.name for t in threading.enumerate() if t.name.startswith("labkit")])
"""
"""A server is stopped while 6 MB wait for one that has not read yet."""


@pytest.mark.parametrize("system", ["", *SYSTEMS])
def test_stop_loses_nothing_that_waits(system: str) -> None:
    """All that was said arrives, and then the farewell; nobody is called vanished; no thread is left."""
    heard, why, left = run(system, STOP).splitlines()
    assert heard == "1500 True True"
    assert "vanished" not in why
    assert left == "True []"


UNREAD = """
import socket, threading
from labkit import ChatServer
server = ChatServer(port=0).start()
socks = []
for name in ("reader", "talker"):
    sock = socket.create_connection(server.address)
    sock.sendall(f"{name}\\n".encode())
    file = sock.makefile("rb")
    while b"you are" not in file.readline():
        pass
    socks.append((sock, file))
(_, reads), (talker, _) = socks
talker.sendall(b"".join(b"%06d\\n" % n for n in range(5000)))
server.stop()
print(sum(line.startswith(b"talker: ") for line in reads.read().splitlines()))
"""
"""… while what a client has said has arrived, and was not read yet."""


@pytest.mark.parametrize("system", SYSTEMS)
def test_stop_reads_what_has_arrived(system: str) -> None:
    """What was said before the stop is heard."""
    assert run(system, UNREAD).split() == ["5000"]


EVERYWHERE = """
import threading
from labkit import ChatServer
from labkit.peers.queues import QueueServer
for server in ChatServer("0.0.0.0", 0), ChatServer("*", 0), QueueServer("0.0.0.0", 0):
    with server:
        pass
print([thread.name for thread in threading.enumerate() if thread.name.startswith("labkit")])
"""


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_server_at_all_addresses_can_be_stopped(system: str) -> None:
    """Its shutdown wakes no thread in accept, and nobody can connect to 0.0.0.0."""
    assert run(system, EVERYWHERE) == "[]\n"


DEAF = """
import socket, threading
from labkit import ChatClient, ChatServer
with ChatServer(port=0) as server:
    deaf = socket.create_connection(server.address)
    deaf.sendall(b"deaf\\n")
    with ChatClient("alice", server.address) as alice, ChatClient("bob", server.address) as bob:
        alice.wait_for("* bob joined", timeout=60)
        for n in range(4000):
            alice.say("x" * 4000)
        alice.say("the last")
        bob.wait_for("alice: the last", timeout=60)
        behind = next(one.behind for one in server.present() if one.nickname == "deaf")
    deaf.close()
print(behind > 1_000_000)
"""


@pytest.mark.parametrize("system", SYSTEMS)
def test_one_that_does_not_read_holds_up_no_other(system: str) -> None:
    """Sixteen megabytes: more than the kernel keeps for it."""
    assert run(system, DEAF) == "True\n"


MANY = """
import socket
from labkit.server.limits import Limits
from labkit.server.sender import Outbox, Sender
from labkit.wire import descriptors, sockets
MANY = 1300
descriptors.allow_many(3 * MANY)
sender, outboxes, theirs = Sender(Limits()), [], []
for _ in range(MANY):
    ours, their = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    sockets.prepare(ours) if ours.family != getattr(socket, "AF_UNIX", None) else ours.setblocking(False)
    outboxes.append(Outbox(ours))
    theirs.append(their)
data = b"x" * 500_000
sender.send((outbox, data, 1) for outbox in outboxes)
assert all(outbox.behind for outbox in outboxes)
got = [0] * MANY
while any(outbox.behind for outbox in outboxes):
    for number, their in enumerate(theirs):
        got[number] += len(their.recv(1 << 20, socket.MSG_PEEK)) and len(their.recv(1 << 20)) if \
            outboxes[number].behind else 0
    sender.look_around(0.01)
print("all")
"""


def test_more_wait_than_select_takes() -> None:
    """Thirteen hundred readers that are behind: each gets all."""
    assert run("windows", MANY) == "all\n"


def test_a_selector_of_many_tells_what_each_can() -> None:
    """Who can be read, who written, who both, and who neither; and waits no longer than it was told."""
    code = """
import selectors, socket
from labkit.wire import descriptors, selecting
descriptors.allow_many(4000)
with selecting.selector() as selector:
    pairs = [socket.socketpair() for _ in range(1100)]
    for number, (ours, _) in enumerate(pairs):
        selector.register(ours, selectors.EVENT_READ, number)
    assert selector.select(0.05) == []
    pairs[700][1].send(b"x")
    assert [(key.data, what) for key, what in selector.select(60)] == [(700, selectors.EVENT_READ)]
    selector.modify(pairs[1050][0], selectors.EVENT_READ | selectors.EVENT_WRITE, 1050)
    assert [(key.data, what) for key, what in selector.select(None)] == [(700, 1), (1050, 2)]
    selector.modify(pairs[700][0], selectors.EVENT_WRITE, 700)
    assert sorted((key.data, what) for key, what in selector.select()) == [(700, 2), (1050, 2)]
print("ok")
"""
    assert run("windows", code) == "ok\n"


def test_one_refused_option_breaks_no_connection() -> None:
    """The others are set all the same."""
    code = """
import socket
from labkit import ChatClient, ChatServer
with ChatServer(port=0) as server, ChatClient("alice", server.address) as alice:
    alice.wait_for(lambda line: "you are alice" in line, timeout=60)
    (connection,) = server._clients
    print(connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL), alice.nickname)
"""
    assert run("no_keepalive", code) == "10 alice\n"


@pytest.mark.parametrize("fakes", ["no_sched", "no_sched no_fork", *SYSTEMS])
def test_a_check_needs_neither_fork_nor_sched(fakes: str, tmp_path: Path) -> None:
    """In the process of the code, either."""
    answer = tmp_path / "framing.py"
    answer.write_text(exercise_called("framing").solution, encoding="utf-8")
    done = command(fakes, "check", "framing", str(answer))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert "10 of 10" in done.stdout


@pytest.mark.parametrize("fakes", ["no_sched", *SYSTEMS])
def test_a_load_needs_no_sched(fakes: str) -> None:
    """Nor cores to keep to."""
    done = command(fakes, "load", "--clients", "3", "--seconds", "0.2")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("fakes", [*SYSTEMS, "no_keepalive", "no_sched no_fork"])
def test_demo(fakes: str) -> None:
    """Three clients chat, and leave."""
    done = command(fakes, "demo")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("fakes", [*SYSTEMS, "windows sigbreak"])
def test_serve_and_join_on_a_pipe(fakes: str) -> None:
    """A line is said and heard; then the server is asked to stop, by the signal that this system has."""
    with Program(
        *LABKIT, "serve", "--host", "0.0.0.0", "--port", "0", environment=environment(fakes)
    ) as serve:
        port = serve.until("listening on").partition("0.0.0.0:")[2].split()[0]
        with ChatClient("bob", ("127.0.0.1", int(port))) as bob:
            done = command(fakes, "join", "--host", "127.0.0.1", "--port", port, typed="alice\nhello\n")
            assert (done.returncode, done.stderr) == (0, "")
            bob.wait_for("alice: hello", timeout=SOON)
        serve.process.send_signal(signal.SIGUSR1 if "sigbreak" in fakes else signal.SIGTERM)
        assert "has stopped" in serve.until("Goodbye")
        assert serve.process.wait(PATIENCE) == 0


def test_a_hard_limit_that_is_none() -> None:
    """macOS says so of descriptors, and refuses to grant more than OPEN_MAX."""
    code = """
import resource
from labkit.wire import descriptors
print(descriptors.allow_many(), resource.getrlimit(resource.RLIMIT_NOFILE)[1] == resource.RLIM_INFINITY)
"""
    assert run("darwin no_limits", code) == "10240 True\n"
    assert run("darwin no_limits", code.replace("many()", "many(3000)")) == "3000 True\n"
    assert run("darwin no_limits", code.replace("many()", "many(100)")) == "256 True\n"


def test_serve_asks_for_all_the_descriptors_that_there_are() -> None:
    """And not for what is refused."""
    code = """
import resource, sys, threading
from labkit.cli import serve
serve._wait = lambda *_: print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
from labkit.__main__ import main
main(["serve", "--port", "0"])
"""
    assert "\n10240\n" in run("darwin no_limits", code)


def test_every_error_of_a_socket_has_words() -> None:
    """Whatever strerror knows of Windows' numbers: nothing."""
    code = """
from labkit.wire import errors, sockets
import errno, socket
numbers = [10004, 10013, 10022, 10024, 10038, 10048, 10049, 10050, 10051, 10053, 10054, 10055, 10057, 10058]
numbers += [10060, 10061, 10064, 10065, 11001]
found = [errors.words(number) for number in numbers]
assert len(set(found)) == len(found) and not any("nknown" in one or "error" in one for one in found), found
class Refuses(sockets.Dial):
    def _outcome(self):
        return self.numbers.pop(0)
wheres = [(socket.AF_INET, (f"127.0.0.{n}", 1)) for n in (1, 2)]
dial = Refuses(("many.example", 1), wheres, 1)
dial.numbers = [10065, 10053]
try:
    dial.go_on()
except ConnectionError as error:
    print(error)
"""
    assert run("no_words", code) == (
        "cannot reach many.example:1: 127.0.0.1: No route to host; "
        "127.0.0.2: Software caused connection abort\n"
    )


@pytest.mark.parametrize("name", ["server", "shutdown"])
def test_a_check_without_proc_scores_in_full(name: str, tmp_path: Path) -> None:
    """Where the kernel does not tell what was read: no step takes its pauses for work."""
    (tmp_path / "my.py").write_text(exercise_called(name).solution, encoding="utf-8")
    done = command("no_proc", "check", name, str(tmp_path / "my.py"), "--json")
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert found["ok"] or found["not_judged"], found


# --- a Python in a browser ---


@pytest.mark.parametrize("style", ["", *exercise_called("framing").others])
def test_a_browser_checks_what_needs_neither_threads_nor_sockets(style: str, tmp_path: Path) -> None:
    """`framing`, in the process itself."""
    exercise = exercise_called("framing")
    (tmp_path / "my.py").write_text(exercise.other(style) if style else exercise.solution, encoding="utf-8")
    done = command("no_threads", "check", "framing", str(tmp_path / "my.py"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "10 of 10" in done.stdout


@pytest.mark.parametrize(
    "wrong", ["a recv is a message", "decodes strictly", "one rest for all connections"]
)
def test_a_browser_finds_what_is_wrong(wrong: str, tmp_path: Path) -> None:
    """The step and the hint are those of any other check."""
    exercise = exercise_called("framing")
    (version,) = (one for one in exercise.wrong if one.name == wrong)
    (tmp_path / "my.py").write_text(exercise.version(version), encoding="utf-8")
    here, there = (
        json.loads(command(fakes, "check", "framing", str(tmp_path / "my.py"), "--json").stdout)
        for fakes in ("no_threads", "")
    )
    assert here == there and here["failed"] == version.step


@pytest.mark.parametrize("name", [name for name in NAMES if name != "framing"])
def test_a_browser_says_what_it_lacks(name: str, tmp_path: Path) -> None:
    """In one sentence; nothing is judged."""
    (tmp_path / "my.py").write_text(exercise_called(name).solution, encoding="utf-8")
    done = command("no_threads", "check", name, str(tmp_path / "my.py"))
    assert (done.returncode, done.stderr) == (3, "")
    said = " ".join(done.stdout.split())
    assert "this Python runs in a browser, where there are no" in said and "not judged" in said
    assert "less busy" not in said


@pytest.mark.parametrize(
    "words",
    [
        ["serve"],
        ["join"],
        ["demo"],
        ["lab"],
        ["load"],
        ["watch", "x"],
        ["grade", "."],
        ["check", "server", "a:1"],
    ],
)
def test_a_browser_has_no_chat(words: list[str]) -> None:
    """Each command says so, in one line."""
    done = command("no_threads", *words)
    assert done.returncode in (1, 2) and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "runs in a browser" in line


def test_a_browser_has_neither_server_nor_client() -> None:
    """Nor a test of one; the error is the same sentence."""
    code = """
import labkit
from labkit.exercises import check, judge
join = lambda: labkit.ChatClient("alice", ("localhost", 1))
for make in labkit.ChatServer().start, join, lambda: judge(""):
    try:
        make()
    except OSError as error:
        print(error)
class Framing:
    def __init__(self, limit=4096): self.rest = b""
    def frame(self, text): return text.encode() + b"\\n"
    def feed(self, data):
        *lines, self.rest = (self.rest + data).split(b"\\n")
        return [line.removesuffix(b"\\r").decode("utf-8", "replace") for line in lines]
print(check("framing", Framing).ok)
"""
    *refused, checked = run("no_threads", code).splitlines()
    assert len(refused) == 3 and len(set(refused)) == 1 and "runs in a browser" in refused[0]
    assert checked == "True"
