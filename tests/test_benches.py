"""The benches measure what they say. How fast anything is does not matter here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import rounds
from bench_floor import SHAPES, Shape, compiled, measured
from programs import PATIENCE
from rounds import Room, running
from support import BareServer, Wire

from labkit.instruments.load.plan import LoadError

BENCH = Path(__file__).with_name("benches") / "bench_floor.py"
CLASSIC = [sys.executable, "-m", "labkit.peers.classic_lines", "--port", "0"]


@pytest.fixture(scope="module")
def floor(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of the floor, where it can be compiled."""
    try:
        return [compiled(tmp_path_factory.mktemp("floor")), "0"]
    except LoadError as error:
        pytest.skip(str(error))


def bench(*arguments: str, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(BENCH), "--repeats", "1", "--seconds", "0.02", *arguments],
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PATH": path},
    )


def test_the_server_has_another_processor_than_the_load() -> None:
    """Also when the load kept to its own before; afterwards it may use all again."""
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    if len(before) < 2:
        pytest.skip("needs two processors, and a system that tells them apart")
    for _ in range(2):
        with rounds.on_processor(1), running(CLASSIC) as (address, pid), Room(address, 3):
            load, server = os.sched_getaffinity(0), os.sched_getaffinity(pid)
        assert len(load) == len(server) == 1 and load != server
    assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize(
    "shape", [Shape(3, 1, 1), Shape(12, 10, 10), Shape(30, 30, 2, pipelined=True)], ids=str
)
def test_the_floor_delivers_each_line_to_each_other_once(floor: list[str], shape: Shape) -> None:
    """Whatever the shape: the room counts for each client."""
    figures = measured(floor, shape, seconds=0.05)
    assert figures.rate > 0 and figures.cost >= 0 and figures.load > 0


def test_what_the_floor_says(floor: list[str]) -> None:
    """A name before each line, however it is cut; one without a nickname hears nothing; and one may go."""
    with running(floor) as (address, _):
        wires = [Wire(address, PATIENCE) for _ in range(4)]
        alice, bob, carol, stranger = wires
        assert [wire.line() for wire in wires] == ["nickname"] * 4
        alice.sock.sendall(b"alice\n")
        bob.sock.sendall(b"bob\none\ntw")
        assert alice.line() == "bob: one"
        carol.sock.sendall(b"carol\nthree\n")
        assert [alice.line(), bob.line()] == ["carol: three"] * 2
        bob.sock.sendall(b"o\n\n")
        for wire in (alice, carol):
            assert [wire.line(), wire.line()] == ["bob: two", "bob: "]
        alice.sock.close()
        long = b"x" * 1_000_000
        carol.sock.sendall(long + b"\n")
        stranger.sock.sendall(b"dave\nfour\n")
        assert sorted([bob.line(), bob.line()]) == ["carol: " + long.decode(), "dave: four"]
        for wire in wires:
            wire.sock.close()


@pytest.mark.parametrize("each_line", [False, True])
@pytest.mark.parametrize("pipelined", [False, True])
def test_rounds_are_counted(pipelined: bool, each_line: bool) -> None:
    """So many as are asked for, of lines that each of the others hears."""
    with running(CLASSIC) as (address, _), Room(address, 5) as room:
        for talkers, lines, of_them in [(1, 1, 7), (5, 3, 4)]:
            deliveries, seconds = room.talk(
                talkers, lines, rounds=of_them, ahead=4 if pipelined else 0, each_line=each_line
            )
            assert deliveries == of_them * talkers * lines * 4 and seconds > 0


@pytest.mark.parametrize(
    ("passed_on", "each_line", "why"),
    [
        ([0, 1, 1], True, "a client heard what was not meant for it"),
        ([0, 1, 1], False, "a client heard what was not meant for it"),
        ([1], False, "a client did not hear all that was meant for it"),
        ([0], True, "the server hung up on a client"),
        ([0], False, "the server hung up on a client"),
    ],
)
def test_a_wrong_server_is_found_out(passed_on: list[int], each_line: bool, why: str) -> None:
    """One that says a line twice, or leaves one out; or not the last, and goes."""
    with BareServer() as server, ThreadPoolExecutor() as threads:
        wires: list[Wire] = []

        def serve() -> None:
            for _ in range(2):
                wires.append(server.accept())
                wires[-1].send("nickname")
                wires[-1].line()
            first, last = wires
            last.line()
            first.send("client0001: all in")
            said = [first.line(), first.line()]
            last.send(*(f"client0000: {said[line]}" for line in passed_on))
            last.hang_up()

        server.sock.settimeout(PATIENCE)
        served = threads.submit(serve)
        with pytest.raises(SystemExit, match=why), Room(server.address, 2) as room:
            room.talk(1, 2, rounds=1, each_line=each_line)
        served.result()
        for wire in wires:
            wire.sock.close()


def test_all_servers_and_shapes_have_a_row() -> None:
    """Rates, processor time, and of the others, labkit's ratio."""
    done = bench("--servers", "labkit,classic", "--shapes", "4,1,1", "5,5,2,pipelined")
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split() for line in done.stdout.splitlines()[3:]]
    assert [row[:2] for row in rows] == [
        [shape, server] for shape in ("4,1,1", "5,5,2,pipelined") for server in ("labkit", "classic")
    ]
    assert [len(row) for row in rows] == [5, 6, 5, 6]
    assert all(float(re.sub("[,%]", "", cell)) >= 0 for row in rows for cell in row[2:])


def test_without_a_compiler_the_floor_is_left_out() -> None:
    """And it says so; the others are measured."""
    done = bench("--servers", "classic,floor", "--shapes", "3,1,1", path="")
    assert (done.returncode, done.stderr) == (0, "")
    assert "floor is left out: " in done.stdout
    assert [line.split()[1] for line in done.stdout.splitlines()[4:]] == ["classic"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (
            ["--shapes", "5,6,1"],
            "a shape is CLIENTS,TALKERS,LINES or CLIENTS,TALKERS,LINES,pipelined, not '5,6,1'",
        ),
        (["--shapes", "5,1"], "not '5,1'"),
        (["--shapes", "5,1,1,fast"], "not '5,1,1,fast'"),
        (["--servers", "labkit,nginx"], "there is no server 'nginx', but labkit, classic,"),
        (["--repeats", "0"], "--repeats is at least 1, not 0"),
    ],
)
def test_what_the_comparison_refuses(arguments: list[str], why: str) -> None:
    """Before anything is started."""
    done = bench(*arguments)
    assert done.returncode == 2 and why in done.stderr.splitlines()[-1]


def test_the_usual_shapes_are_read_as_they_are_printed() -> None:
    """What stands in a row can be given to --shapes."""
    assert [Shape.read(str(shape)) for shape in SHAPES] == SHAPES
