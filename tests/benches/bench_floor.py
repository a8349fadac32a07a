"""labkit beside other servers, at all sizes: from one who talks alone to a crowd.

    python tests/benches/bench_floor.py [--repeats 9] [--seconds 0.4]
        [--servers labkit,classic,asyncio,uvloop,floor] [--shapes 10,1,1 100,10,10 200,20,10,pipelined]

A shape is how many clients there are, how many of them talk, and how many lines each says in a round (see
rounds.py). Pipelined, the talkers do not wait for the end of a round: they are up to four rounds ahead. The
servers are those of `python -m labkit load`, and `floor`: floor.c beside this file, about the least that a
server can do, which is compiled where there is a C compiler. uvloop takes part where it is installed.

Each server runs on the first processor and the load on the second, where there are two; in each repeat all
servers take their turn, in the next in the opposite order. Printed, as medians of the repeats: deliveries a
second; the server's processor time for 1,000 of them; the share of the time for which the load worked (near
100 %, the load is the limit, and all good servers look equally fast); and how many times as much labkit
delivers as each other, repeat by repeat.

Not a test: pytest does not collect it. It talks to loopback only and ends by itself, after
some four minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import thread_time

import psutil
from rounds import Room, running

from labkit.instruments.load.joining import SPARE_FILES, allow_files
from labkit.instruments.load.plan import LoadError
from labkit.instruments.load.servers import SERVERS, find

OURS, FLOOR = "labkit", "floor"
USUAL = [OURS, "classic", "asyncio", "uvloop", FLOOR]
AHEAD = 4  # rounds
WARM_UP = 0.1  # seconds

Commands = dict[str, list[str]]


@dataclass(frozen=True)
class Shape:
    clients: int
    talkers: int
    lines: int
    pipelined: bool = False

    @classmethod
    def read(cls, text: str) -> Shape:
        """From what is typed.

        Raises:
            argparse.ArgumentTypeError: it is no shape.
        """
        numbers, comma, last = text.rpartition(",")
        pipelined = last == "pipelined"
        with contextlib.suppress(ValueError):
            clients, talkers, lines = map(int, (numbers if pipelined else text).split(","))
            if clients >= 2 and 1 <= talkers <= clients and lines >= 1:
                return cls(clients, talkers, lines, pipelined)
        raise argparse.ArgumentTypeError(
            f"a shape is CLIENTS,TALKERS,LINES or CLIENTS,TALKERS,LINES,pipelined, not {text!r}"
        )

    def __str__(self) -> str:
        return f"{self.clients},{self.talkers},{self.lines}" + (",pipelined" if self.pipelined else "")


SHAPES = [
    Shape(10, 1, 1),
    Shape(10, 10, 10),
    Shape(100, 10, 10),
    Shape(100, 100, 1),
    Shape(500, 1, 1),
    Shape(200, 20, 10, pipelined=True),
]


@dataclass(frozen=True)
class Figures:
    """What one server did in one repeat."""

    rate: float  # deliveries a second
    cost: float  # milliseconds of the server's processor time for 1,000 deliveries
    load: float  # share of the time for which the load worked, 0 to 1


def measured(command: list[str], shape: Shape, seconds: float) -> Figures:
    ahead = AHEAD if shape.pipelined else 0
    with running(command) as (address, pid), Room(address, shape.clients) as room:
        server = psutil.Process(pid)
        room.talk(shape.talkers, shape.lines, seconds=WARM_UP, ahead=ahead)
        before, worked = server.cpu_times(), thread_time()
        deliveries, took = room.talk(
            shape.talkers, shape.lines, seconds=seconds, ahead=ahead, each_line=False
        )
        after, worked = server.cpu_times(), thread_time() - worked
    used = after.user + after.system - before.user - before.system
    return Figures(deliveries / took, 1e6 * used / deliveries, worked / took)


@contextlib.contextmanager
def found(names: Sequence[str]) -> Iterator[tuple[Commands, list[str]]]:
    """The commands of the servers that can be run, and why the others cannot."""
    commands: Commands = {}
    missing = []
    with tempfile.TemporaryDirectory(prefix="floor-", ignore_cleanup_errors=True) as folder:
        for name in names:
            try:
                if name == FLOOR:
                    commands[name] = [compiled(Path(folder)), "0"]
                else:
                    commands[name] = [word.replace("{port}", "0") for word in find(name).command]
            except LoadError as error:
                missing.append(f"{name} is left out: {error}")
        yield commands, missing


def compiled(folder: Path) -> str:
    """The floor's program.

    Raises:
        LoadError: there is none, here.
    """
    if sys.platform != "linux":
        raise LoadError("it uses epoll, which only Linux has")
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise LoadError("there is no C compiler, neither cc nor gcc")
    program = str(folder / FLOOR)
    source = str(Path(__file__).with_name("floor.c"))
    done = subprocess.run([compiler, "-O2", "-o", program, source], capture_output=True, text=True)
    if done.returncode:
        raise LoadError(f"{compiler} does not compile it: {done.stderr.strip()}")
    return program


HEADS = ("clients,talkers,lines", "server", "deliveries/s", "ms for 1,000", "load worked", "labkit: ×")


def row(shape: object, server: str, *figures: str) -> str:
    return f"{shape!s:<22}  {server:<8}" + "".join(f"{figure:>14}" for figure in figures)


def compare(commands: Commands, shape: Shape, repeats: int, seconds: float) -> None:
    """Measure all servers at one shape, and print their rows."""
    figures: dict[str, list[Figures]] = {name: [] for name in commands}
    for repeat in range(repeats):
        for name in list(commands)[:: -1 if repeat % 2 else 1]:
            figures[name].append(measured(commands[name], shape, seconds))
    for name, its in figures.items():
        cells = [
            f"{median(f.rate for f in its):,.0f}",
            f"{median(f.cost for f in its):.3f}",
            f"{median(f.load for f in its):.0%}",
        ]
        if OURS in figures and name != OURS:
            pairs = zip(figures[OURS], its, strict=True)
            cells.append(f"{median(ours.rate / other.rate for ours, other in pairs):.2f}")
        print(row(shape, name, *cells), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="labkit beside other servers, at all sizes")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--shapes", type=Shape.read, nargs="+", default=SHAPES, metavar="C,T,L[,pipelined]")
    parser.add_argument("--servers", default=",".join(USUAL))
    parser.add_argument(
        "--seconds", type=float, default=0.4, help="for each server, at each shape, in each repeat"
    )
    asked = parser.parse_args()
    if asked.repeats < 1:
        parser.error(f"--repeats is at least 1, not {asked.repeats}")
    for name in (names := asked.servers.split(",")):
        if name not in (*SERVERS, FLOOR):
            parser.error(f"there is no server {name!r}, but {', '.join(SERVERS)} and {FLOOR}")
    allow_files(max(shape.clients for shape in asked.shapes) + SPARE_FILES)
    with found(names) as (commands, missing):
        print(f"medians of {asked.repeats} repeats, {asked.seconds:g} s each", *missing, "", sep="\n")
        print(row(*HEADS))
        for shape in asked.shapes:
            compare(commands, shape, asked.repeats, asked.seconds)


if __name__ == "__main__":
    main()
