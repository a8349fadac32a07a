"""What a backplane costs, and how long a line takes from one server to another.

    python tests/benches/bench_backplane.py [--clients 100] [--talkers 10] [--lines 10] [--rounds 40]
        [--repeats 5] [--crossings 1000] [--rooms 400]

First the same rounds as in bench_broadcaster.py, on a server with the backplane and on one without, pair by
pair: deliveries a second, and the ratio. Then a client of one server says a line when a client of another
has heard the one before, 1000 times: how long each took, from before the send to after the recv. The same
with both at one server, with the backplane and without, to compare with; and from one server to another
once more, when there are many rooms, each with a silent client of every server. It starts the
Redis that it needs.

The servers are on the first processor, the load is on the second, where there are two; Redis is where
the system puts it. Not a test: pytest does not collect it. It talks to loopback only and ends by itself.
`python -m labkit load --servers 1,2,4 --backplane own` measures more.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import socket
import statistics
import sys
import time
from collections.abc import Iterator

from rounds import deliveries_a_second, join, on_processor, running

from labkit.instruments.redis_server import RedisServer

SERVE = [sys.executable, "-m", "labkit", "serve", "--port", "0"]
WARM_UP = 50  # lines whose times do not count
PATIENCE = 10.0  # seconds for one line

_visits = itertools.count()


def line_by_line(mouth: socket.socket, ear: socket.socket, lines: int) -> list[float]:
    """Seconds that each line took, from the one to the other; the next is said when one has come."""
    ear.settimeout(PATIENCE)
    times = []
    for number in range(WARM_UP + lines):
        said = b"line %06d." % number
        began = time.perf_counter()
        mouth.sendall(said + b"\n")
        heard = b""
        while said not in heard:
            data = ear.recv(65536)
            if not data:
                raise SystemExit("the server hung up")
            heard = heard[-len(said) :] + data
        times.append(time.perf_counter() - began)
    return times[WARM_UP:]


def come_in(address: tuple[str, int], nickname: str) -> socket.socket:
    """Join, and wait until the server has said so."""
    sock = join(address, nickname)
    sock.settimeout(PATIENCE)
    heard = b""
    while b"* you are" not in heard:
        heard += sock.recv(4096)
    return sock


def crossing(one: tuple[str, int], other: tuple[str, int], lines: int) -> str:
    """How long lines take from a client of the one to a client of the other, in words."""
    names = (f"{who}{next(_visits)}" for who in ("alice", "bob"))  # those who left may not be gone yet
    with on_processor(1), come_in(one, next(names)) as alice, come_in(other, next(names)) as bob:
        times = line_by_line(alice, bob, lines)
    late = statistics.quantiles(times, n=100)[98]
    return (
        f"median {1e3 * statistics.median(times):6.3f} ms   99 % within {1e3 * late:6.3f} ms   "
        f"longest {1e3 * max(times):6.2f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="a server with a backplane beside one without")
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--talkers", type=int, default=10)
    parser.add_argument("--lines", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--crossings", type=int, default=1000)
    parser.add_argument(
        "--rooms", type=int, default=400, help="each takes two of this program's descriptors"
    )
    asked = parser.parse_args()
    load = (asked.clients, asked.talkers, asked.lines, asked.rounds)
    print("{} clients, {} talkers, {} lines each a round, {} rounds".format(*load))
    figures: dict[str, list[float]] = {"without": [], "with": []}
    for _ in range(asked.repeats):
        with running(SERVE) as (address, _):
            figures["without"].append(deliveries_a_second(address, *load))
        with servers(1) as (address,):
            figures["with"].append(deliveries_a_second(address, *load))
        print("  ".join(f"{name} {its[-1]:>11,.0f}/s" for name, its in figures.items()), flush=True)
    ratios = [a / b for a, b in zip(figures["with"], figures["without"], strict=True)]
    middle, worst = statistics.median(ratios), min(ratios)
    print(f"ratio: {middle:.2f} (median of {len(ratios)} pairs, worst {worst:.2f})\n")

    print(f"{asked.crossings} lines, one after the other")
    with servers(2) as (one, other):
        print(f"from one server to another:       {crossing(one, other, asked.crossings)}", flush=True)
        print(f"within one, with a backplane:     {crossing(one, one, asked.crossings)}", flush=True)
        with quiet_rooms(asked.rooms, one, other):
            print(
                f"… among {asked.rooms:>5,} quiet rooms:       {crossing(one, other, asked.crossings)}",
                flush=True,
            )
    with running(SERVE) as (alone, _):
        print(f"within one, without a backplane:  {crossing(alone, alone, asked.crossings)}")


@contextlib.contextmanager
def quiet_rooms(count: int, *addresses: tuple[str, int]) -> Iterator[None]:
    """So many rooms, each with a client of every server."""
    with contextlib.ExitStack() as people:
        for number in range(count):
            for address in addresses:
                person = people.enter_context(come_in(address, f"quiet{next(_visits)}"))
                person.sendall(b"/join room%d\n" % number)
                heard = b""
                while b", in room" not in heard:
                    heard += person.recv(65536)
        yield


@contextlib.contextmanager
def servers(count: int) -> Iterator[list[tuple[str, int]]]:
    """The addresses of so many servers that share their rooms, on a Redis of their own."""
    with contextlib.ExitStack() as all_of_them:
        redis = all_of_them.enter_context(RedisServer())
        command = [*SERVE, "--backplane", redis.url]
        yield [all_of_them.enter_context(running(command))[0] for _ in range(count)]


if __name__ == "__main__":
    main()
