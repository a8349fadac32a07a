"""The peers: servers built in other ways, on the same wire as labkit's own."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest
from programs import PATIENCE
from support import SOON, Wire

from labkit.peers.queues import QueueServer

LONG = "x" * 4000
MANY = 2000
"""Lines of that length that are more than two kernels and a queue take."""


def until(condition: object) -> None:
    give_up = monotonic() + 4 * SOON
    while not condition():  # type: ignore[operator]
        assert monotonic() < give_up
        threading.Event().wait(0.002)


def people(server: QueueServer, *names: str) -> list[Wire]:
    """A bare socket for each name; all have read of each other."""
    wires = [Wire.joined(server.address, name) for name in names]
    for i, wire in enumerate(wires):
        assert wire.lines(len(names) - i - 1) == [f"* {name} joined" for name in names[i + 1 :]]
    return wires


def talk(alice: Wire, carol: Wire, lines: int) -> None:
    """Alice says so many lines, each when carol has heard the one before."""
    for number in range(lines):
        alice.send(f"{number} {LONG}")
        assert carol.line().startswith(f"alice: {number} ")


def test_all_the_others_hear_it() -> None:
    """Joining, talking, two ways of leaving; an empty line is nothing, an escape a picture."""
    with QueueServer(port=0) as server:
        alice, bob, carol = people(server, "alice", "bob", "carol")
        alice.send_bytes(b"hello\n\n\x1b[2J\n")
        assert bob.lines(2) == carol.lines(2) == ["alice: hello", "alice: ␛[2J"]
        bob.sock.close()
        assert alice.line() == carol.line() == "* bob left (hung up)"
        carol.reset()
        assert alice.line() == "* carol left (vanished)"
        assert server.waiting() == {"alice": 0}


def test_nicknames() -> None:
    """One that is taken or unfit is refused and asked for again; it is free when its owner has left."""
    with QueueServer(port=0) as server:
        (alice,) = people(server, "alice")
        bob = Wire(server.address)
        for name in ("Alice", "a b", "*"):
            assert bob.line() == "nickname"
            bob.send(name)
            assert bob.line().startswith("! ")
        assert bob.line() == "nickname"
        alice.sock.close()
        until(lambda: not server.waiting())
        bob.send("alice")
        assert bob.line() == "* you are alice, in lobby"


def test_too_long_a_line_is_refused() -> None:
    """Too long by itself, or with the name before it: its speaker alone is told, and stays."""
    with QueueServer(port=0) as server:
        alice, bob = people(server, "alice", "bob")
        for length in (5000, 4094):
            alice.send("x" * length)
            assert alice.line() == "! too long"
        alice.send("x" * (4096 - len("alice: \n")))
        assert len(bob.line()) == 4095


def test_without_a_limit_the_queue_grows() -> None:
    """A client that does not read holds up no other; and hears all of it, in order, once it reads on."""
    with QueueServer(port=0) as server:
        alice, bob, carol = people(server, "alice", "bob", "carol")
        talk(alice, carol, MANY)
        assert server.waiting()["bob"] > 100 and server.waiting()["carol"] == 0
        assert [line.split()[1] for line in bob.lines(MANY)] == [str(number) for number in range(MANY)]


def test_drop() -> None:
    """No more wait than may; what arrives is in order, and the rest never does."""
    with QueueServer(port=0, limit=10, when_full="drop") as server:
        alice, bob, carol = people(server, "alice", "bob", "carol")
        talk(alice, carol, MANY)
        assert server.waiting()["bob"] <= 10
        heard = []
        while server.waiting()["bob"]:
            heard.append(bob.line())
        alice.send("the end")
        heard += bob.until("the end")[:-1]
        numbers = [int(line.split()[1]) for line in heard]
        assert numbers[:10] == [*range(10)] and numbers == sorted({*numbers}) and len(numbers) < MANY


def test_let_go() -> None:
    """Whose queue is full is thrown out, with the reason; the others miss nothing."""
    with QueueServer(port=0, limit=10, when_full="let go") as server:
        alice, bob, carol = people(server, "alice", "bob", "carol")
        for number in range(MANY):
            alice.send(f"{number} {LONG}")
            line = carol.line()
            if line == "* bob left (was too slow)":
                break
        assert line == "* bob left (was too slow)"
        assert [*server.waiting()] == ["alice", "carol"]
        with pytest.raises((ConnectionResetError, EOFError)):
            bob.lines(MANY)


def test_wait(elsewhere: ThreadPoolExecutor) -> None:
    """A sender is read no further while one client does not read; then all hear everything."""
    with QueueServer(port=0, limit=10, when_full="wait") as server:
        alice, bob, carol = people(server, "alice", "bob", "carol")
        talking = elsewhere.submit(alice.send_bytes, f"{LONG}\n".encode() * 5 * MANY)
        hearing = elsewhere.submit(carol.lines, 5 * MANY)
        until(lambda: server.waiting()["bob"] == 11)
        assert not hearing.done()
        assert len(bob.lines(5 * MANY)) == len(hearing.result(SOON)) == 5 * MANY
        talking.result(SOON)


def test_stop_ends_all_of_it() -> None:
    """With one who waits for room, one who does not read and one without a nickname: no thread is left."""
    server = QueueServer(port=0, limit=10, when_full="wait").start()
    alice, bob = people(server, "alice", "bob")
    newcomer = Wire(server.address)
    alice.sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        alice.send_bytes(f"{LONG}\n".encode() * 10 * MANY)
    server.stop()
    assert newcomer.to_the_end() == ["nickname", "* server stopped"]
    with pytest.raises(ConnectionRefusedError):
        Wire(server.address)


@pytest.mark.parametrize("bad", [{"limit": 0}, {"limit": -1}, {"when_full": "explode"}])
def test_bad_input(bad: dict[str, object]) -> None:
    """The error names what was given."""
    with pytest.raises(ValueError, match=str([*bad.values()][0])):
        QueueServer(port=0, **bad)  # type: ignore[arg-type]


def test_in_a_shell() -> None:
    """`python -m` says first where it listens, and serves there."""
    command = [
        sys.executable,
        "-m",
        "labkit.peers.queues",
        "--port",
        "0",
        "--limit",
        "9",
        "--when-full",
        "drop",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        try:
            host, port = process.stdout.readline().removeprefix("listening on ").split(":")
            wire = Wire.joined((host, int(port)), "alice")
            wire.sock.close()
        finally:
            process.terminate()
        assert process.stderr.read() == ""


def test_a_bad_limit_in_a_shell() -> None:
    """One line that names it, and no traceback."""
    command = [sys.executable, "-m", "labkit.peers.queues", "--port", "0", "--limit", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 2 and "not 0" in done.stderr and "Traceback" not in done.stderr
