"""How many deliveries a second: labkit's broadcaster beside the assignment's own server.

    python tests/benches/bench_broadcaster.py [--clients 100] [--talkers 10] [--lines 10] [--rounds 40]
                                            [--repeats 5]

Both servers run as processes of their own, one after the other in turn, on the first processor; the
load runs on the second, where there are two. In each round every talker sends its lines in one `send`;
the round is over when every client has every line of the others. A delivery is one line that reached
one client. The assignment's server gets line framing for this (labkit/peers/classic_lines.py): without
it, lines could not be counted. Printed: deliveries a second for each repeat, the medians, and their ratio,
taken pair by pair.

Not a test: pytest does not collect it. It talks to loopback only and ends by itself. `python -m labkit load
--against classic` measures more, and other servers too.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import selectors
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from labkit.probe import children

SAID = b": round line"
TIME_LIMIT = 60.0  # seconds for one repeat


def on_processor(number: int) -> None:
    """Keep this process to one processor, where the system can and there is more than one."""
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[number]})


@contextlib.contextmanager
def running(command: list[str]) -> Iterator[tuple[tuple[str, int], int]]:
    """The address of a server that runs this command on the first processor, and its process's number."""
    children.mark_all()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, preexec_fn=lambda: on_processor(0)
    )
    assert process.stdout is not None
    try:
        host, _, port = process.stdout.readline().removeprefix("listening on ").strip().rpartition(":")
        yield (host, int(port)), process.pid
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def deliveries_a_second(
    address: tuple[str, int], clients: int, talkers: int, lines: int, rounds: int
) -> float:
    """One repeat: connect all clients, do the rounds, and leave."""
    socks = [join(address, f"client{i:04}") for i in range(clients)]
    selector = selectors.DefaultSelector()
    for i, sock in enumerate(socks):
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ, i)
    wait_until_all_are_in(socks)
    bursts = [b"".join(b"round line %02d of %d\n" % (n, i) for n in range(lines)) for i in range(talkers)]
    a_round(selector, socks, bursts, lines)  # to warm up
    start = time.perf_counter()
    for _ in range(rounds):
        a_round(selector, socks, bursts, lines)
    seconds = time.perf_counter() - start
    for sock in socks:
        sock.close()
    return rounds * talkers * lines * (clients - 1) / seconds


def join(address: tuple[str, int], nickname: str) -> socket.socket:
    sock = socket.create_connection(address, timeout=10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not sock.recv(64).startswith(b"nickname"):
        raise SystemExit("the server did not ask for a nickname")
    sock.sendall(nickname.encode() + b"\n")
    return sock


def wait_until_all_are_in(socks: list[socket.socket]) -> None:
    """The last to join speaks until the first hears it: the assignment's server has no other sign."""
    give_up = time.perf_counter() + TIME_LIMIT
    socks[0].settimeout(0.1)
    heard = b""
    while b"all in" not in heard:
        socks[-1].sendall(b"all in\n")
        with contextlib.suppress(TimeoutError):
            heard += socks[0].recv(65536)
        if time.perf_counter() > give_up:
            raise SystemExit(f"the last client is not heard after {TIME_LIMIT:g} s")


def a_round(
    selector: selectors.BaseSelector, socks: list[socket.socket], bursts: list[bytes], lines: int
) -> None:
    """Every talker sends its burst; over when each has heard all the others."""
    wanted = [lines * (len(bursts) - (i < len(bursts))) for i in range(len(socks))]
    left = sum(wanted)
    tails = [b""] * len(socks)  # what may be the beginning of the words that are counted
    give_up = time.perf_counter() + TIME_LIMIT
    for sock, burst in zip(socks, bursts, strict=False):
        sock.sendall(burst)
    while left:
        for key, _ in selector.select(1.0):
            assert isinstance(key.fileobj, socket.socket)
            data = key.fileobj.recv(32768)
            if not data:
                raise SystemExit("the server hung up on a client")
            # Notices (`* … joined`) do not hold these words. A recv may cut them in two.
            data = tails[key.data] + data
            count = data.count(SAID)
            tails[key.data] = data[-len(SAID) + 1 :]
            wanted[key.data] -= count
            left -= count
        if time.perf_counter() > give_up:
            raise SystemExit(f"{left} deliveries are missing after {TIME_LIMIT:g} s")
    if any(wanted):
        raise SystemExit("a client heard what was not meant for it")


def main() -> None:
    parser = argparse.ArgumentParser(description="labkit's broadcaster beside the assignment's own server")
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--talkers", type=int, default=10)
    parser.add_argument("--lines", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    commands = {
        "labkit": [sys.executable, "-m", "labkit", "serve", "--port", "0"],
        "classic": [sys.executable, "-m", "labkit.peers.classic_lines", "--port", "0"],
    }
    on_processor(1)
    load = (asked.clients, asked.talkers, asked.lines, asked.rounds)
    print("{} clients, {} talkers, {} lines each a round, {} rounds".format(*load))
    figures: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(asked.repeats):
        for name, command in commands.items():
            with running(command) as (address, _):
                figures[name].append(deliveries_a_second(address, *load))
        print("  ".join(f"{name} {figures[name][-1]:>11,.0f}/s" for name in commands), flush=True)
    ratios = [a / b for a, b in zip(figures["labkit"], figures["classic"], strict=True)]
    for name in commands:
        print(f"{name:>8}: {statistics.median(figures[name]):>11,.0f} deliveries a second (median)")
    middle, worst = statistics.median(ratios), min(ratios)
    print(f"   ratio: {middle:.1f} (median of {len(ratios)} pairs, worst {worst:.1f})")


if __name__ == "__main__":
    main()
