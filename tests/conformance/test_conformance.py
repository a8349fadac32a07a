"""A server, in whatever language, is tried from outside: what it does wrong is seen, and nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from time import process_time

import psutil
import pytest
from programs import still_run
from support import SOON, BareServer, Wire, has_ipv6, make_known, need

from labkit import ChatClient, ChatServer
from labkit.cli.check import check_server
from labkit.conformance.behaviours import BEHAVIOURS, called
from labkit.conformance.report import MISSED, NOT_JUDGED, NOT_TRIED, Report
from labkit.conformance.run import _address, check_address, check_command
from labkit.conformance.server_under_test import ServerUnderTest
from labkit.instruments.ladder import Ladder
from labkit.instruments.redis_server import RedisServer
from labkit.probe.failed import CheckFailed
from labkit.probe.launch import Launched
from labkit.probe.raw_client import RawClient, meet
from labkit.wire.framing import FRAMINGS

LABKIT = [sys.executable, "-m", "labkit", "serve", "--port", "$PORT", "--framing"]
CLASSIC = [
    sys.executable,
    "-c",
    "import os; from labkit.classic import ClassicServer; "
    "ClassicServer(port=int(os.environ['PORT'])).receive()",
]
# The faults that its docstring tells of, as they are called here.
OF_THE_ASSIGNMENT = {
    "bytes that are not UTF-8 throw nobody out",
    "a long message in another alphabet throws nobody out",
    "a nickname that is taken is refused",
    "an empty nickname is refused",
    "a silent newcomer keeps nobody out",
    "one who stops reading holds up nobody",
    "a goodbye is noticed",
    "after a reset all others are still heard",
    "after a goodbye nobody else is thrown out",
    "a reset in the handshake keeps nobody out",
    "a nickname that is not UTF-8 keeps nobody out",
}

A_STUDENTS = """
import os, queue, socket, sys, threading, unicodedata

clients = {}  # nickname -> its queue of lines
lock = threading.Lock()

def tell(line, but=None):
    with lock:
        for name, lines in clients.items():
            if name != but:
                put(lines, line)

def put(lines, line):
    try:
        lines.put_nowait(line)
    except queue.Full:  # does not read: let it go
        lines.sock.shutdown(socket.SHUT_RDWR)

def write(sock, lines):
    try:
        while (line := lines.get()) is not None:
            sock.sendall(line.encode() + b"\\n")
    except OSError:
        pass

def read(sock):
    rest, skip = b"", False
    while data := sock.recv(1024):
        rest += data
        while b"\\n" in rest:
            line, rest = rest.split(b"\\n", 1)
            yield None if skip or len(line) > 4095 else line.removesuffix(b"\\r").decode(errors="replace")
            skip = False
        if len(rest) > 4095:
            rest, skip = b"", True

def clean(text):
    return "".join("?" if unicodedata.category(c) in ("Cc", "Cf") else c for c in text)

def handle(sock):
    name, why, lines = None, "hung up", queue.Queue(1000)
    lines.sock = sock
    threading.Thread(target=write, args=(sock, lines), daemon=True).start()
    lines.put("nickname")
    try:
        for line in read(sock):
            if line is None:
                put(lines, "! too long")
            elif name is None:
                with lock:
                    if fit := line.strip() == line != "" and "\\ufffd" not in line and line not in clients:
                        name = line
                        clients[name] = lines
                if fit:
                    tell(f"* {name} joined", name)
                else:
                    put(lines, "! another one, please")
                    put(lines, "nickname")
            elif line:
                tell(f"{name}: {clean(line)}", name)
    except OSError:
        why = "vanished"
    if name is not None:
        with lock:
            del clients[name]
        tell(f"* {name} left ({why})")
    put(lines, None)
    sock.close()

listener = socket.create_server(("localhost", int(sys.argv[1])))
while True:
    threading.Thread(target=handle, args=(listener.accept()[0],), daemon=True).start()
"""

IN_JAVASCRIPT = r"""
const net = require("net");
const clients = new Map();
const tell = (line, but) => clients.forEach((sock, name) => {
  if (name !== but) {
    if (sock.writableLength > 16e6) sock.destroy(); else sock.write(line + "\n");
  }
});
net.createServer({ allowHalfOpen: false }, (sock) => {
  let name = null, rest = Buffer.alloc(0), skip = false, why = "hung up";
  sock.write("nickname\n");
  sock.on("error", () => { why = "vanished"; });
  sock.on("close", () => {
    if (name === null) return;
    clients.delete(name);
    tell(`* ${name} left (${why})`);
  });
  sock.on("data", (data) => {
    rest = Buffer.concat([rest, data]);
    for (let at; (at = rest.indexOf(10)) >= 0; rest = rest.subarray(at + 1)) {
      const tooLong = skip || at > 4095;
      skip = false;
      if (tooLong) { sock.write("! too long\n"); continue; }
      const line = rest.subarray(0, at).toString().replace(/\r$/, "");
      if (name === null) {
        if (/^[\p{L}\p{N}-]{1,32}$/u.test(line) && !clients.has(line)) {
          name = line;
          clients.set(name, sock);
          tell(`* ${name} joined`, name);
        } else sock.write("! another one, please\nnickname\n");
      } else if (line) tell(`${name}: ${line.replace(/[\p{Cc}\p{Cf}]/gu, "?")}`, name);
    }
    if (rest.length > 4095) { rest = Buffer.alloc(0); skip = true; }
  });
}).listen(process.env.PORT);
"""


def missed(report: Report) -> set[str]:
    return {v.behaviour.name for v in report.verdicts if v.verdict == MISSED}


@pytest.fixture(autouse=True)
def no_process_left() -> Iterator[None]:
    """Fail a test after which a process that it has started still runs."""
    this = psutil.Process()
    before = set(this.children(recursive=True))  # what the tests of exercises fork from lives on
    yield
    assert still_run(set(this.children(recursive=True)) - before) == []


@contextlib.contextmanager
def running(command: list[str]) -> Iterator[str]:
    """HOST:PORT of a server that says where it listens."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip().removeprefix("listening on ")
        finally:
            process.terminate()
            process.wait(SOON)


# --- right servers ---


@pytest.mark.parametrize("framing", FRAMINGS)
def test_nothing_is_wrong_with_labkit_started_as_a_command(framing: str) -> None:
    """A fresh server for each behaviour; all hold that can be judged, the optional ones as well."""
    report = check_command([*LABKIT, framing], framing)
    assert (missed(report), report.holds, report.notes) == (set(), True, []), str(report)
    assert not [v for v in report.verdicts if v.verdict == NOT_TRIED]
    unjudged = {v.behaviour.number for v in report.verdicts if v.verdict == NOT_JUDGED and not v.too_busy}
    assert unjudged == {b.number for b in BEHAVIOURS if framing == "raw" and b.not_raw}


@pytest.mark.parametrize("framing", FRAMINGS)
def test_nothing_is_wrong_with_labkit_at_its_address(framing: str) -> None:
    """One server for all behaviours, with another client in the room; it is left as it was found."""
    with ChatServer(port=0, framing=FRAMINGS[framing]) as server:
        with Wire(server.address) as resident:
            resident.send("resident")
            server.journal.wait_for("joined", "resident")
            threading.Thread(target=_read_on, args=(resident,), name="test-resident", daemon=True).start()
            report = check_address(f"localhost:{server.address[1]}", framing)
            # The last to hang up has done so, but the server may be about to read it.
            for nickname in server.roster():
                if nickname != "resident":
                    server.journal.wait_for("left", nickname)
            assert server.roster() == ["resident"]
    assert (missed(report), report.holds) == (set(), True), str(report)
    assert not [v for v in report.verdicts if v.verdict == NOT_TRIED]


def test_nothing_is_wrong_with_labkit_on_a_backplane(redis: RedisServer) -> None:
    """Unchanged, at its address, while another server has a client in the same room."""
    with (
        ChatServer(port=0, backplane=redis.url) as other,
        ChatServer(port=0, backplane=redis.url) as server,
        ChatClient("resident", other.address),
    ):
        report = check_address(f"localhost:{server.address[1]}", "lines")
    assert (missed(report), report.holds) == (set(), True), str(report)
    assert not [v for v in report.verdicts if v.verdict in (NOT_TRIED, NOT_JUDGED) and not v.too_busy]


def test_servers_that_share_something_are_tried_one_by_one(tmp_path: Path) -> None:
    """This one ends at once if another of it runs; none does, and all behaviours are tried."""
    need(os.name == "posix", "no flock here")
    code = (
        "import fcntl, os; from labkit import ChatServer; "
        f"file = open({str(tmp_path / 'alone')!r}, 'w'); "
        "fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB); "
        "ChatServer(port=int(os.environ['PORT'])).start().wait()"
    )
    report = check_command([sys.executable, "-c", code], one_by_one=True)
    assert report.holds and not [v for v in report.verdicts if v.verdict == NOT_TRIED], str(report)


def _read_on(wire: Wire) -> None:
    with contextlib.suppress(OSError):
        wire.sock.settimeout(None)
        while wire.sock.recv(65536):
            pass


def test_a_students_right_server_is_found_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A thread and a queue per client, no commands: exit status 0; what is optional is not offered."""
    program = tmp_path / "server.py"
    program.write_text(A_STUDENTS)
    assert check_server(None, [sys.executable, str(program), "{port}"], "lines", as_json=False) == 0
    said = capsys.readouterr().out
    assert " ✗ " not in said and said.count("(optional): not offered") == 3, said
    assert "32 of 32 required behaviours hold" in said


def test_a_right_server_in_another_language_is_found_right(tmp_path: Path) -> None:
    """JavaScript, one thread, the port from its environment."""
    node = shutil.which("node")
    need(node, "node")
    program = tmp_path / "server.js"
    program.write_text(IN_JAVASCRIPT)
    report = check_command([str(node), str(program)])
    assert report.holds, str(report)


# --- wrong servers ---


def test_the_assignments_own_server_has_its_faults_and_no_other() -> None:
    """As a command: all that its docstring tells of, however it breaks; what raw cannot promise is no ✗."""
    report = check_command(CLASSIC, "raw")
    unsure = {v.behaviour.name for v in report.verdicts if v.too_busy}
    assert OF_THE_ASSIGNMENT - unsure <= missed(report) <= OF_THE_ASSIGNMENT, str(report)
    assert not [v for v in report.verdicts if v.verdict == NOT_TRIED]
    assert not report.holds


def test_nothing_is_made_up_once_a_server_is_broken() -> None:
    """At its address: what comes before the first fault it does not survive, and then nothing more."""
    code = "import sys; from labkit.classic import ClassicServer; s = ClassicServer(port=0); "
    code += "print('%s:%d' % s.address, flush=True); s.receive()"
    with running([sys.executable, "-c", code]) as address:
        report = check_address(address, "raw")
    assert missed(report) < OF_THE_ASSIGNMENT, str(report)
    if report.too_busy:  # then it may be another that shows it
        return
    last = called("a goodbye is noticed").number  # or a thread spins, and all hear it for ever
    assert report.missed[-1] == last
    at = [v.behaviour.number for v in report.verdicts].index(last)
    rest = report.verdicts[at + 1 :]
    assert {v.verdict for v in rest} == {NOT_TRIED}
    assert all(v.because.endswith(f"since {last}") for v in rest), str(report)
    assert not report.holds


# --- no chat server, or one of another dialect ---

LITTLE = 10.0
"""Seconds of processor time that such a check may take at most; the rest of its time it waits."""

SERVES = """
import os, socket, threading, time
listener = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
def serve(sock):
    try:
        DO
    except OSError:
        pass
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""

RELAYS = """
here = globals().setdefault("here", {})
        sock.sendall(b"ASK")
        name = sock.recv(100).strip()
        here[sock] = name
        for line in sock.makefile("rb"):
            for other in list(here):
                if other is not sock:
                    other.sendall(name + b"> " + line)
"""


@pytest.mark.parametrize(
    ("does", "told"),
    [
        ("time.sleep(60)", r"it listens, and says nothing within 6 s: nobody is asked for a nickname"),
        ("sock.close()", r"it closes each connection at once \(FIN\), and asks nobody for a nickname"),
        ("sock.sendall(b'hello\\n'); sock.close()", r"at once \(FIN\), after 'hello\\n', and asks nobody"),
        (
            "sock.sendall(b'SSH-2.0-OpenSSH_9\\r\\n'); time.sleep(60)",
            r"it speaks SSH, and is no chat server",
        ),
        ("sock.recv(1); sock.sendall(b'HTTP/1.1 400 Bad\\r\\n')", r"it speaks HTTP, and is no chat server"),
        (
            "while True: sock.sendall(b'x' * 65536)",
            r"asks nobody for a nickname: \d+ kB came unasked",
        ),
        ("sock.sendall(b'x' * 100_000_000)", r"asks nobody for a nickname: \d+ kB came unasked"),
        (
            RELAYS.replace("ASK", "Your name: "),
            r"not ask with `nickname`, but says 'Your name: '\nwith --request \"Your name: \" it is judged",
        ),
        (RELAYS.replace("ASK", ""), r"nobody for a nickname, and waits\nwith --request none it is judged"),
        ("sock.sendall(b'who'); time.sleep(60)", r"says 'who'\nand if 'who' is answered with a nickname"),
    ],
)
def test_one_that_asks_nobody_for_a_nickname(
    does: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line or two what it does instead, and with what option it can be judged, if it can."""
    program = tmp_path / "server.py"
    program.write_text(SERVES.replace("DO", does.strip()))
    used = process_time()
    assert check_server(None, [sys.executable, str(program)], "lines", as_json=False) == 2
    said = capsys.readouterr().out
    assert re.search(told, said) and len(said.splitlines()) <= 2, said
    assert process_time() - used < LITTLE


@pytest.mark.parametrize(
    ("does", "told"),
    [
        ("sock.close()", r"it closes each connection at once \(FIN\), and asks nobody for a nickname"),
        ("sock.sendall(b'x' * 100_000_000)", r"asks nobody for a nickname: \d+ kB came unasked"),
    ],
)
def test_one_that_asks_nobody_at_its_address(
    does: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same is told."""
    program = tmp_path / "server.py"
    program.write_text(SERVES.replace("DO", does))
    launched = Launched([sys.executable, str(program)])
    try:
        assert check_server(f"localhost:{launched.address[1]}", [], "lines", as_json=False) == 2
    finally:
        launched.stop()
    said = capsys.readouterr().out
    assert re.search(told, said) and len(said.splitlines()) == 1, said


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_localhost_is_every_address_that_it_has(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server at one of them is found, whichever comes first."""
    need(has_ipv6(), "IPv6")
    with ChatServer(host, 0) as server:
        port = server.address[1]
        make_known(monkeypatch, "localhost", ("127.0.0.1", port), ("::1", port, 0, 0))
        tried = ServerUnderTest(_address(f"localhost:{port}"))
        tried.join("alice", "bob")
        tried.leave()


@pytest.mark.parametrize("request_with", ["Your name: ", ""])
def test_one_that_asks_otherwise_is_judged_when_that_is_said(request_with: str, tmp_path: Path) -> None:
    """With its own form of a message; and what was learnt of that is told."""
    program = tmp_path / "server.py"
    program.write_text(SERVES.replace("DO", RELAYS.replace("ASK", request_with).strip()))
    report = check_command([sys.executable, str(program)], request=request_with)
    assert "`alice> TEXT`" in report.notes[0]
    wrong = missed(report)
    assert "the name stands before what was said" in wrong
    assert {"a nickname that is taken is refused", "an empty nickname is refused"} <= wrong
    assert "what one says, all others hear" not in wrong and "what one says arrives whole" not in wrong


# --- the other dialect ---


def test_a_server_that_speaks_raw_is_told_so() -> None:
    """Asked for lines: a note at the start, and ✗ where the missing line end is judged."""
    report = check_command(CLASSIC)
    assert report.notes[0].startswith("its request comes without LF: as in the assignment")
    assert "--framing raw" in report.head()
    assert called("asks for a nickname at connect").number in report.missed
    assert called("what one says, all others hear").number not in report.missed
    assert called("a joining is told to the others, once").number in report.missed
    assert called("a nickname that is taken is refused").number in report.missed
    framing = report.verdicts[called("a line is a message, however TCP cuts it").number - 1]
    assert framing.verdict == MISSED


def test_a_server_that_speaks_lines_is_told_so() -> None:
    """Asked for raw: a note, ✗ for the request with its LF, and all else judged as usual."""
    with ChatServer(port=0) as server:
        report = check_address(f"localhost:{server.address[1]}", "raw")
    assert "speaks lines and not raw" in report.notes[0]
    assert missed(report) == {"asks for a nickname at connect"}, str(report)


# --- what is said of it ---


@pytest.fixture(scope="module")
def broken() -> Report:
    """The report on a server that says what is said without the name before it, and to all."""
    return check_command([sys.executable, "-c", NAMELESS], "lines")


NAMELESS = """
import os, socket, threading
listener = socket.create_server(("localhost", int(os.environ["PORT"])))
clients = []
def handle(sock):
    for n, line in enumerate(sock.makefile("rb")):
        if n == 0:
            clients.append(sock)
        for other in clients if n else []:
            other.sendall(line)
while True:
    sock = listener.accept()[0]
    sock.sendall(b"welcome!\\nnickname\\n")
    threading.Thread(target=handle, args=(sock,), daemon=True).start()
"""


def test_a_missed_behaviour_is_told_with_what_was_seen(broken: Report) -> None:
    """Expected beside seen, and the clause of the wire."""
    text = str(broken)
    number = called("the name stands before what was said").number
    told = text[text.index(f" {number} ✗ the name stands") :].splitlines()
    assert told[1].strip().startswith("expected: 'alice: hello-")
    assert told[2].strip().startswith("seen:     'hello-")
    assert told[3].strip().startswith("the wire: `alice: TEXT`")
    assert called("the sender does not hear itself").number in broken.missed
    assert called("asks for a nickname at connect").number not in broken.missed


def test_the_worst_is_shown_as_a_ladder(broken: Report) -> None:
    """Who sent what to whom, in the text; and of every behaviour that was tried, when asked for."""
    worst = broken.causes[0][1][0].behaviour.number
    assert str(broken.ladder(worst)) in str(broken)
    broken.ladder_of = 2
    assert str(broken.ladder(2)) in str(broken)
    broken.ladder_of = None
    assert isinstance(broken.ladder(1), Ladder)
    assert "nickname" in str(broken.ladder(1)) and "RST" not in str(broken.ladder(1))
    with pytest.raises(KeyError, match="99"):
        broken.ladder(99)


def test_the_json_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """One object, with a list of verdicts; the exit status is that of the text."""
    with ChatServer(port=0) as server:
        assert check_server(f"127.0.0.1:{server.address[1]}", [], "lines", as_json=True) == 0
    said = json.loads(capsys.readouterr().out)
    assert list(said) == ["server", "framing", "notes", "holds", "too_busy", "causes", "behaviours"]
    assert said["holds"] is True
    assert [b["number"] for b in said["behaviours"]] == [b.number for b in BEHAVIOURS]
    keys = ["number", "name", "clause", "required", "verdict", "expected", "seen", "because"]
    keys += ["died", "printed", "hint", "chapter"]
    assert all(list(b) == keys for b in said["behaviours"])


# --- what cannot be tried ---


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((None, []), "one of these is needed"),
        (("localhost", []), "an address is HOST:PORT, such as localhost:14901, not 'localhost'"),
        (("localhost:http", []), "not 'localhost:http'"),
        ((None, ["no-such-program-anywhere"]), "cannot run 'no-such-program-anywhere': No such file"),
        ((None, [sys.executable, "-c", "print('so long'); raise SystemExit(3)"]), "with status 3"),
        ((None, [sys.executable, "-c", "print('so long'); raise SystemExit(3)"]), "\n    so long"),
        ((None, [sys.executable, "-c", "import http.server as h; h.test(port=0)"]), "instead of"),
    ],
)
def test_what_cannot_be_tried_is_told(
    arguments: tuple[str | None, list[str]], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, and a reason, with the last lines of a server that ended or ignores $PORT."""
    assert check_server(*arguments, "lines", as_json=False) == 2
    assert told in capsys.readouterr().out
    assert check_server(*arguments, "lines", as_json=True) == 2
    assert "error" in json.loads(capsys.readouterr().out)


def test_no_server_listens_there(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2, and the address."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{sock.getsockname()[1]}"
        assert check_server(address, [], "lines", as_json=False) == 2
    assert address in capsys.readouterr().out


def test_a_server_is_stopped_with_all_that_it_started(tmp_path: Path) -> None:
    """A child of its own, one that heeds no SIGTERM, and a flood of output: none outlives the run."""
    need(os.name == "posix", "no process groups here")
    code = "import signal, subprocess, sys, os, threading; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    code += "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
    code += (
        "threading.Thread(target=lambda: [print('x' * 1000) for _ in range(100000)], daemon=True).start(); "
    )
    code += "from labkit import ChatServer; ChatServer(port=int(os.environ['PORT'])).start().wait()"
    from labkit.probe.launch import Launched

    server = Launched([sys.executable, "-c", code])
    family = psutil.Process(server._process.pid).children(recursive=True)
    assert len(family) == 1
    server.stop()
    assert still_run(family) == []


# --- a client that is nothing but a socket ---


def test_a_raw_client_hears_what_is_cut_and_what_comes_late(bare_server: BareServer) -> None:
    """It looks in the stream, wherever `recv` has cut it; what it passed over, it can tell."""
    with RawClient(bare_server.address, "alice") as alice, bare_server.accept() as server:
        server.send_bytes(b"noise, nick")
        assert not alice.hears("nickname", 0)
        server.send_bytes(b"name\r\n* you are alice\nhalf a li")
        alice.is_asked()
        assert alice.passed_over == b"noise, "
        assert alice.line() == "* you are alice"
        with pytest.raises(TimeoutError, match="'half a li'"):
            alice.line(0.05)
        server.hang_up()
        assert alice.ended() == "FIN"
        with pytest.raises(EOFError, match="alice heard 'half a li', then FIN"):
            alice.line()


def test_a_raw_client_waits_until_the_server_has_read(bare_server: BareServer) -> None:
    """Two sends are two, though the server is slow to read: the second waits for the first to be read."""
    need(sys.platform == "linux", "elsewhere a pause has to do")
    alice = RawClient(bare_server.address, "alice", framing="raw", timeout=SOON)
    with alice, bare_server.accept() as server:
        alice.send("one")
        sending = threading.Thread(target=alice.send, args=("two",), name="test-sending")
        sending.start()
        sending.join(0.2)
        assert sending.is_alive()
        assert server.recv() == "one"
        assert server.recv() == "two"
        sending.join(SOON)


def test_a_raw_client_writes_down_what_passes(bare_server: BareServer) -> None:
    """Bytes, FIN and RST, as a link does; a ladder can be drawn."""
    with RawClient(bare_server.address, "alice") as alice, bare_server.accept() as server:
        alice.send("hello")
        server.send("hi")
        assert alice.hears("hi")
        alice.hang_up()
        alice.reset()
    assert [(e.kind, e.who, e.where, e.what) for e in alice.journal] == [
        ("bytes", "alice", "server", "'hello\\n' (6)"),
        ("bytes", "server", "alice", "'hi\\n' (3)"),
        ("FIN", "alice", "server", ""),
        ("RST", "alice", "server", ""),
    ]


def test_two_that_do_not_hear_each_other_have_not_met(bare_server: BareServer) -> None:
    """What they would have heard is told."""
    with RawClient(bare_server.address, "alice") as alice, RawClient(bare_server.address, "bob") as bob:
        with bare_server.accept() as one, bare_server.accept() as two:
            for wire in (one, two):
                threading.Thread(target=_read_on, args=(wire,), name="test-reader", daemon=True).start()
            with pytest.raises(CheckFailed, match="bob hears what alice says; seen: bob heard nothing"):
                meet(alice, bob, 0.2)
