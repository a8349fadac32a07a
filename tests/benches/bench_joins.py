"""What it costs to join and to leave: labkit's server beside the assignment's own.

    python tests/benches/bench_joins.py [--present 100] [--joins 100] [--waves 0,25,100] [--repeats 9]

So many clients are present, and others join: one after the other, each waiting until it is let in before
the next one connects (a wave of 0), or so many at once. Then these leave, all at once. Each server is a
process of its own on the first processor, the two in turn; the clients run on the second, where there are
two. Printed, as medians: joins a second, and the server's processor time for each client that joins and for
each that leaves, with the notices to the others. No client reads those meanwhile: that would take longer
than all the rest.

The assignment's server tells neither the others that a client has joined, nor the client that it is in: one
counts as let in when it has answered. Its leaving is not measured: it never notices (classic.py).

Not a test: pytest does not collect it. It talks to loopback only and ends by itself.
"""

from __future__ import annotations

import argparse
import selectors
import socket
import statistics
import sys
import time
from collections.abc import Callable
from itertools import count

import psutil
from rounds import on_processor, running

TIME_LIMIT = 60.0  # seconds for one part
QUIET = 0.05  # seconds in which the server uses no processor time: it is done

COMMANDS = {
    "labkit": [sys.executable, "-m", "labkit", "serve", "--port", "0", "--max-clients", "20000"],
    "classic": [sys.executable, "-m", "labkit.peers.classic_lines", "--port", "0"],
}
_numbers = count()


def join(address: tuple[str, int], joins: int, at_once: int, welcomed: bool) -> list[socket.socket]:
    """So many join, of whom `at_once` (0: one) are on their way at any time."""
    selector = selectors.DefaultSelector()
    socks: list[socket.socket] = []
    left, give_up = joins, time.perf_counter() + TIME_LIMIT
    while left:
        while len(socks) < joins and len(socks) - (joins - left) < max(1, at_once):
            sock = socket.create_connection(address)
            socks.append(sock)
            selector.register(sock, selectors.EVENT_READ)
        for key, _ in selector.select(1.0):
            assert isinstance(key.fileobj, socket.socket)
            data = key.fileobj.recv(65536)
            asked = data.startswith(b"nickname")
            if asked:
                key.fileobj.sendall(b"client%07d\n" % next(_numbers))
            if asked is not welcomed:
                selector.unregister(key.fileobj)
                left -= 1
            elif not data:
                raise SystemExit("the server hung up on a client")
        if time.perf_counter() > give_up:
            raise SystemExit(f"{left} have not joined after {TIME_LIMIT:g} s")
    selector.close()
    return socks


def time_used(server: psutil.Process, action: Callable[[], None]) -> tuple[float, float]:
    """Seconds that this takes, and seconds of processor time that the server uses until it is quiet."""
    before, start = used_by(server), time.perf_counter()
    action()
    seconds = time.perf_counter() - start
    return seconds, wait_until_quiet(server) - before


def used_by(server: psutil.Process) -> float:
    """Seconds of processor time so far: from its clock where it can be read (Linux), which is exact; else
    in hundredths."""
    if sys.platform == "linux":
        return time.clock_gettime(~server.pid << 3 | 2)  # what clock_getcpuclockid(3) makes of a number
    times = server.cpu_times()
    return times.user + times.system


def wait_until_quiet(server: psutil.Process) -> float:
    """The processor time that it has used by then."""
    give_up = time.perf_counter() + TIME_LIMIT
    used = used_by(server)
    while time.perf_counter() < give_up:
        time.sleep(QUIET)
        if used == (used := used_by(server)):
            return used
    raise SystemExit(f"the server is not quiet after {TIME_LIMIT:g} s")


def close(socks: list[socket.socket]) -> None:
    for sock in socks:
        sock.close()


def measured(name: str, present: int, joins: int, at_once: int) -> tuple[float, float, float]:
    """Joins a second; microseconds of processor time for one that joins, and for one that leaves."""
    with running(COMMANDS[name]) as (address, number):
        server = psutil.Process(number)
        ours = name == "labkit"
        socks = join(address, present, 0, ours)
        wait_until_quiet(server)
        seconds, used = time_used(server, lambda: socks.extend(join(address, joins, at_once, ours)))
        leaving = 0.0
        if ours:
            _, leaving = time_used(server, lambda: close(socks[present:]))
        close(socks)
    return joins / seconds, 1e6 * used / joins, 1e6 * leaving / joins


def main() -> None:
    parser = argparse.ArgumentParser(description="what joining and leaving cost")
    parser.add_argument("--present", type=int, default=100)
    parser.add_argument("--joins", type=int, default=100)
    parser.add_argument("--waves", default="0,25,100", help="how many join at once; 0: one after the other")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--only", choices=[*COMMANDS], action="append", help="not both")
    asked = parser.parse_args()
    with on_processor(1):
        compare(asked)


def compare(asked: argparse.Namespace) -> None:
    print(f"{asked.present} present, {asked.joins} join; µs: the server's processor time for each")
    for at_once in map(int, asked.waves.split(",")):
        names = asked.only or [*COMMANDS]
        figures: dict[str, list[tuple[float, float, float]]] = {name: [] for name in names}
        for _ in range(asked.repeats):
            for name in names:
                figures[name].append(measured(name, asked.present, asked.joins, at_once))
        for name in names:
            rate, joining, leaving = (
                statistics.median(column) for column in zip(*figures[name], strict=True)
            )
            gone = f", a leaving {leaving:5.0f} µs" if name == "labkit" else ""
            way = f"{at_once} at once" if at_once else "one by one"
            print(
                f"{way:>11}, {name:>7}: {rate:6,.0f} a second, a joining {joining:5.0f} µs{gone}",
                flush=True,
            )


if __name__ == "__main__":
    main()
