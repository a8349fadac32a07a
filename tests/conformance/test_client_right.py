"""`check client` finds nothing wrong with right clients, in five styles and two languages. What it cannot
judge it tells in one line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
from support import need

from labkit.__main__ import main
from labkit.conformance.client.behaviours import BEHAVIOURS
from labkit.conformance.client.joining import JOINING
from labkit.conformance.client.run import check_client
from labkit.conformance.client.way import Way
from labkit.conformance.greeting import CannotRun
from labkit.conformance.report import MISSED, NOT_JUDGED, NOT_OFFERED
from labkit.probe.ports import free_port

CLIENTS = Path(__file__).parent / "clients"
PYTHON = (sys.executable, "-I", "-S")

RIGHT = {
    "two threads": (*PYTHON, str(CLIENTS / "threads.py"), "$HOST", "$PORT"),
    "select": (*PYTHON, str(CLIENTS / "selecting.py"), "{host}", "{port}"),
    "asyncio": (*PYTHON, str(CLIENTS / "looping.py"), "${HOST}", "${PORT}", "bob"),
    "node": ("node", str(CLIENTS / "client.js"), "localhost", "$PORT"),
    "node, which draws what is typed": ("node", str(CLIENTS / "drawing.js"), "$HOST", "$PORT"),
    "labkit": (sys.executable, "-m", "labkit", "join", "--host", "$HOST:$PORT"),
}

THEIR_USER_ANSWERS = ("select", "node", "node, which draws what is typed", "labkit")

RAW = """
import os, socket, sys, threading
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def receive():
    while data := sock.recv(4096):
        print(data.decode(errors="replace"), flush=True)
    print("the server hung up", flush=True)
    os._exit(0)
threading.Thread(target=receive, daemon=True).start()
while data := os.read(0, 4096):
    for line in data.splitlines():
        sock.sendall(line)
sock.shutdown(socket.SHUT_WR)
"""
"""It sends no LF; so it is of the raw dialect."""


ASKS = """
import os, runpy, sys
def line(prompt):
    print(prompt, flush=True)
    return "".join(iter(lambda: os.read(0, 1).decode(), "\\n"))
program = sys.argv[1]
sys.argv[1:] = [line("Host:"), line("Port:")]
runpy.run_path(program, run_name="__main__")
"""
"""It asks where the server is, and goes on as another."""


@pytest.mark.parametrize("style", RIGHT)
def test_all_holds(style: str) -> None:
    """Whether its user answers the request is the only thing that is judged of one and not of another."""
    need(not style.startswith("node") or shutil.which("node") is not None, "Node")
    report = check_client(Way(RIGHT[style]))
    assert report.missed == [] and report.holds, report
    if not report.too_busy:
        left = {v.behaviour.number for v in report.verdicts if v.verdict in (NOT_JUDGED, NOT_OFFERED)}
        assert left <= ({5, 34} if style in THEIR_USER_ANSWERS else {34}), report
        assert len(report.verdicts) == len(BEHAVIOURS)


def test_a_nickname_that_the_command_carries() -> None:
    """It must be the one that arrives."""
    command = (*RIGHT["asyncio"][:-1], "$NICKNAME")
    report = check_client(Way(command, nickname="robin"), behaviours=BEHAVIOURS[:1])
    assert report.holds, report
    report = check_client(Way(RIGHT["asyncio"], nickname="robin"), behaviours=BEHAVIOURS[:1])
    assert report.too_busy or report.missed == [1] and "'bob' arrives" in str(report), report


def test_one_that_speaks_first() -> None:
    """Where the server does not ask, what is about the request is not judged."""
    report = check_client(Way(RIGHT["select"], request=""), behaviours=BEHAVIOURS[: len(JOINING) + 2])
    assert report.missed == [] and report.verdicts[1].verdict == NOT_JUDGED, report


def test_another_request() -> None:
    """The word is the server's."""
    report = check_client(Way(RIGHT["select"], request="Your name? "), behaviours=BEHAVIOURS[:4])
    assert report.missed == [], report


def test_a_client_without_line_ends() -> None:
    """In lines that is told, with the option that judges it in its own dialect; there, nothing is wrong."""
    command = (*PYTHON, "-c", RAW, "$HOST", "$PORT")
    some = [behaviour for behaviour in BEHAVIOURS if behaviour.number in (1, 4, 20, 24, 29)]
    lines = check_client(Way(command), behaviours=some)
    assert "--framing raw" in str(lines.notes)
    assert lines.too_busy or lines.missed == [20], lines
    raw = check_client(Way(command, framing="raw"), behaviours=some)
    assert raw.missed == [] and not raw.notes, raw


def test_a_client_that_has_its_port_written_in_it() -> None:
    """It is tried at that port, and is told how if it is not given."""
    port = free_port()  # it is given to nobody who asks for any port, while it is free again and again
    command = tuple(str(port) if word == "{port}" else word for word in RIGHT["select"])
    report = check_client(Way(command, port=port), behaviours=BEHAVIOURS[:2])
    assert report.missed == [] and report.holds, report
    with pytest.raises(CannotRun, match="if its port is written in the program, give it with --port N"):
        check_client(Way(command))


def test_a_client_that_asks_where_the_server_is() -> None:
    """Its user types that first; without that it is told how."""
    command = (*PYTHON, "-c", ASKS, str(CLIENTS / "selecting.py"))
    some = [behaviour for behaviour in BEHAVIOURS if behaviour.number in (1, 8, 20, 44)]
    report = check_client(Way(command, first=("$HOST", "$PORT")), behaviours=some)
    assert report.missed == [] and report.holds, report
    with pytest.raises(CannotRun, match=r"--type '\$HOST' --type '\$PORT' answers that"):
        check_client(Way(command))


NOT_TO_BE_JUDGED = {
    "import curses; curses.wrapper(lambda window: window.getch())": "draws on a terminal",
    "import sys; sys.exit('tkinter.TclError: no display name and no $DISPLAY')": "opens a window",
    "print('no config'); raise SystemExit(3)": "ended, with status 3, and never connected.*no config",
    "import socket, sys; s = socket.create_connection(('localhost', int(sys.argv[1]))); s.recv(9); 1 / 0": (
        "asked for a nickname, it ends: .*ZeroDivisionError"
    ),
}


@pytest.mark.parametrize("program", NOT_TO_BE_JUDGED)
def test_what_cannot_be_judged(program: str) -> None:
    """A client that reads no standard input, or does not get that far: why is said, and nothing tried."""
    with pytest.raises(CannotRun, match="(?s)" + NOT_TO_BE_JUDGED[program]):
        check_client(Way((sys.executable, "-c", program, "$PORT")))


def test_a_shell_reads_the_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    """2 where there is nothing to try, with one line; and --json is JSON."""
    assert main(["check", "client", "--", "no-such-program"]) == 2
    assert capsys.readouterr().out == "labkit: no-such-program: cannot run 'no-such-program': " + (
        "No such file or directory\n"
    )
    fault = (*RIGHT["two threads"], "no connection is a traceback")
    status = main(["check", "client", "--json", "--", *fault])
    found = json.loads(capsys.readouterr().out)
    missed = [b["number"] for b in found["behaviours"] if b["verdict"] == MISSED]
    assert (status, missed) == (1, [44]) or found["too_busy"], found
    assert found["client"].endswith("no connection is a traceback'")


NAIVE = """
import socket, sys, threading
nickname = input("Choose your nickname: ")
client = socket.socket()
client.connect((sys.argv[1], int(sys.argv[2])))
def receive():
    while True:
        try:
            message = client.recv(1024).decode("ascii")
            if message == "nickname":
                client.send(nickname.encode("ascii"))
            else:
                print(message)
        except:
            print("An error occurred!")
            client.close()
            break
def write():
    while True:
        client.send("{}: {}".format(nickname, input("")).encode("ascii"))
threading.Thread(target=receive).start()
threading.Thread(target=write).start()
"""


def test_a_students_client() -> None:
    """The client of a well-known tutorial: what is wrong with it, where, and what is told as one."""
    some = [behaviour for behaviour in BEHAVIOURS if behaviour.number in (11, 25, 29, 33, 36, 40, 43, 44)]
    command = (*PYTHON, "-c", NAIVE, "$HOST", "$PORT")
    report = check_client(Way(command, framing="raw"), behaviours=some)
    if report.too_busy:
        return
    assert "arrives as `alice: TEXT`" in str(report.notes)
    missed = {v.behaviour.name for v in report.verdicts if v.verdict == MISSED}
    assert missed == {
        "another alphabet is shown as it is",
        "another alphabet arrives as it was typed",
        "when its input ends, it hangs up",
        "the server's goodbye is noticed",
        "a goodbye in the middle of a line is noticed",
        "its end is quiet: it does not run in a circle",
        "where nobody listens, it says so",
    }, report
    text = str(report)
    assert "UnicodeEncodeError" in text and "EOFError" in text and "ConnectionRefusedError" in text
    (cause, verdicts) = report.causes[0]
    assert cause.startswith("the end of the connection is not looked at") and len(verdicts) > 2, report


def test_ctrl_c_where_it_is_ignored() -> None:
    """A shell has what it starts in the background ignore Ctrl-C; the client does not inherit that."""
    need(os.name == "posix", "Ctrl-C for one process (POSIX)")
    some = [behaviour for behaviour in BEHAVIOURS if behaviour.name == "Ctrl-C ends it quietly"]
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        report = check_client(Way(RIGHT["select"]), behaviours=some)
    finally:
        signal.signal(signal.SIGINT, before)
    assert report.missed == [], report
