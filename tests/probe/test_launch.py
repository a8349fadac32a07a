"""Servers in any language, started as a command: which port they get, and how long they may take."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from support import SOON, Wire, has_ipv6, need

from labkit.probe import children, launch
from labkit.probe.launch import Launched, NotStarted
from labkit.probe.ports import free_port, is_free

LISTENS = (
    "import os, socket\n"
    "sock = socket.create_server(('127.0.0.1', int(os.environ['PORT'])))\n"
    "print('listens', flush=True)\n"
    "sock.accept()[0].sendall(b'nickname\\n')\n"
    "sock.accept()\n"
)


@contextmanager
def listener(host: str = "127.0.0.1") -> Iterator[int]:
    """A port on which another program listens."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as sock:
        yield sock.getsockname()[1]


@contextmanager
def launched(code: str) -> Iterator[Launched]:
    server = Launched([sys.executable, "-c", code])
    try:
        yield server
    finally:
        server.stop()


def test_a_port_that_was_taken_meanwhile_is_no_fault_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program listens there by the time the server has started: it gets another port."""
    free = free_port
    with listener() as taken:
        ports = iter([taken, taken, free()])
        monkeypatch.setattr(launch, "free_port", lambda: next(ports))
        with launched(LISTENS) as server:
            assert server.address[1] != taken and server.ended is None
            with Wire(server.address) as alice:
                assert alice.line() == "nickname"
        assert next(ports, None) is None


@pytest.mark.parametrize(
    "words",
    [
        "OSError: [Errno 98] Address already in use",
        "Error: listen EADDRINUSE: address already in use 127.0.0.1:14901",
        "labkit: cannot listen on localhost:14901: another program listens there already",
        "only one usage of each socket address (protocol/network address/port) is normally permitted",
        "",
    ],
)
def test_one_that_held_the_port_may_be_gone_again(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what the server printed, or since another one was seen to listen there."""
    free = free_port
    ports = iter([free(), free()])
    monkeypatch.setattr(launch, "free_port", lambda: next(ports))
    looks = iter(["127.0.0.1"] if not words else [])
    listens = launch._listens
    monkeypatch.setattr(launch, "_listens", lambda port, tree: next(looks, None) or listens(port, tree))
    # The first one of the two ends, and the second listens.
    ends = f"import sys, os\nprint({words!r}, flush=True)\nif not os.path.exists({{mark!r}}):\n"
    with tempfile.TemporaryDirectory() as folder:
        mark = os.path.join(folder, "mark")
        ends = ends.replace("{mark!r}", repr(mark)) + f"    open({mark!r}, 'w').close()\n    sys.exit(1)\n"
        with launched(ends + LISTENS) as server, Wire(server.address) as alice:
            assert alice.line() == "nickname"
    assert next(ports, None) is None


def test_it_does_not_try_ports_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """And says why, with the server's own words."""
    with listener() as taken:
        monkeypatch.setattr(launch, "free_port", lambda: taken)
        with pytest.raises(NotStarted, match=f"(?s)with status 1.* port {taken};.*Address already in use"):
            Launched([sys.executable, "-c", LISTENS])


def test_what_its_server_says_of_other_ports_is_not_taken_for_that() -> None:
    """It ended for a reason of its own: it is started once."""
    with pytest.raises(NotStarted, match="(?s)ended at once, with status 3,.*no such luck"):
        Launched([sys.executable, "-c", "import sys; print('no such luck'); sys.exit(3)"])


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_a_port_is_not_free_if_it_is_taken_at_one_address(host: str) -> None:
    need(":" not in host or has_ipv6(), "this machine has no IPv6")
    with listener(host) as taken:
        assert not is_free(taken)


def test_a_script_may_leave_a_server_behind() -> None:
    """It ends, with status 0, and the server that it started listens."""
    need(os.name == "posix", "a process that outlives its parent, as on POSIX")
    popen = f"subprocess.Popen([sys.executable, '-c', {LISTENS!r}], stdout=subprocess.PIPE)"
    code = f"import os, subprocess, sys; {popen}.stdout.readline(); os._exit(0)"
    with launched(code) as server, Wire(server.address) as alice:
        assert alice.line() == "nickname"


def test_time_for_which_it_was_stopped_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may take so long to start; not the time in which it could not run."""
    need(sys.platform == "linux", "what the scheduler says of threads, as on Linux")
    monkeypatch.setattr(launch, "STARTING", 1.5)
    stopped = threading.Event()
    waits = "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\n"
    popen = children.popen

    def noted(*args: Any, **kwargs: Any) -> Any:
        process = popen(*args, **kwargs)

        def go_on() -> None:
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
            stopped.wait(2.0)
            os.kill(process.pid, signal.SIGCONT)

        threading.Thread(target=go_on, daemon=True).start()
        return process

    monkeypatch.setattr(children, "popen", noted)
    with launched(waits + LISTENS) as server, Wire(server.address, SOON) as alice:
        assert alice.line() == "nickname"


NODE = """\
node:events:502
      throw er; // Unhandled 'error' event
      ^

Error: read ECONNRESET
    at TCP.onStreamRead (node:internal/stream_base_commons:218:20)
Emitted 'error' event on Socket instance at:
    at emitErrorNT (node:internal/streams/destroy:169:8)
    at emitErrorCloseNT (node:internal/streams/destroy:128:3)
    at process.processTicksAndRejections (node:internal/process/task_queues:82:21) {
  errno: -104
}
"""

JAVA = (
    'Exception in thread "main" java.lang.NullPointerException: it\'s null\n'
    + 12 * "\tat Chat.run(Chat.java:7)\n"
)

PYTHON = "Traceback (most recent call last):\n" + 9 * '  File "a.py", line 1\n' + "ValueError: no\n"


@pytest.mark.parametrize(
    ("printed", "first", "last"),
    [
        pytest.param(NODE, "node:events:502", "    at emitErrorCloseNT", id="Node"),
        pytest.param(JAVA, "Exception in thread", "\tat Chat.run", id="Java"),
        pytest.param(PYTHON, '  File "a.py"', "ValueError: no", id="Python"),
        pytest.param("up\n" + JAVA.replace("\tat", "at"), "at Chat.run", "at Chat.run", id="no stack"),
    ],
)
def test_the_last_lines_have_the_error(printed: str, first: str, last: str) -> None:
    """Where its stack stands below it, too."""
    server = object.__new__(Launched)
    server._printed = printed.encode()
    lines = [line.removeprefix("    ") for line in server.last_lines().strip("\n").splitlines()]
    assert len(lines) == launch.LAST_LINES
    assert lines[0].startswith(first) and lines[-1].startswith(last)
