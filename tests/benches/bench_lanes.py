"""What it costs a server to have its lanes recorded.

    python tests/benches/bench_lanes.py [--pairs 20] [--rounds 500] [--clients 2]

A server runs as a process of its own, and a recording in it is switched on and off in turn (by SIGUSR1), at
three sizes: a hundred clients of which ten talk, ten of which one does, and two. Printed for each size:
deliveries a second, and processor time of the server for 1,000 deliveries, as medians; and what the
recording changes, as the median of the pairs.

Not a test: pytest does not collect it. It talks to loopback only and ends by itself. Linux only: it reads
processor time from /proc.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import threading
import time
from pathlib import Path

from rounds import Room, running

from labkit import ChatServer
from labkit.instruments.lanes import Recording, record
from labkit.server import scheduling

SIZES = ((100, 10, 10), (10, 1, 1), (2, 1, 1))

SWITCHING = 0.3
"""Seconds for the recording to begin, or to end."""


def serve(fine: bool) -> None:
    """Be the server, until the process is killed."""
    scheduling.lengthen_switch_interval()  # as `labkit serve` does
    recordings: list[Recording] = []

    def switch(*_: object) -> None:
        if recordings:
            recordings.pop().stop()
        else:
            recordings.append(record(server, fine=fine).start())

    signal.signal(signal.SIGUSR1, switch)
    with ChatServer(port=0) as server:
        print("listening on {}:{}".format(*server.address), flush=True)
        while True:
            threading.Event().wait(60)


def processor_time(pid: int) -> float:
    """Seconds that the threads of a process have used so far (proc(5), schedstat)."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def measured(pid: int, room: Room, talkers: int, lines: int, rounds: int) -> tuple[float, float]:
    """Deliveries a second, and milliseconds of processor time for 1,000 deliveries."""
    room.talk(talkers, lines, rounds=20)  # to warm up
    before = processor_time(pid)
    deliveries, took = room.talk(talkers, lines, rounds=rounds)
    return deliveries / took, 1e6 * (processor_time(pid) - before) / deliveries


def main() -> None:
    parser = argparse.ArgumentParser(description="what it costs a server to have its lanes recorded")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=500, help="of each half of a pair")
    parser.add_argument("--clients", type=int, help="only the size that has so many")
    parser.add_argument("--fine", action="store_true", help="also the broadcaster's own lock")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        serve(asked.fine)
    command = [sys.executable, __file__, "--serve", *["--fine"] * asked.fine]
    for clients, talkers, lines in [size for size in SIZES if asked.clients in (None, size[0])]:
        print(f"{clients} clients, {talkers} talking, lines a round: {lines}")
        pairs = []
        with running(command) as (address, pid), Room(address, clients) as room:
            for _ in range(asked.pairs):
                pair = []
                for _ in ("off", "on"):
                    pair.append(measured(pid, room, talkers, lines, asked.rounds))
                    os.kill(pid, signal.SIGUSR1)
                    time.sleep(SWITCHING)
                pairs.append(pair)
        for name, which in (("without", 0), ("recorded", 1)):
            rate, cost = (statistics.median(pair[which][i] for pair in pairs) for i in (0, 1))
            print(f"  {name:<9} {rate:>10,.0f} deliveries/s   {cost:>7.3f} ms of processor time for 1,000")
        rate, cost = (statistics.median(on[i] / off[i] - 1 for off, on in pairs) for i in (0, 1))
        print(f"  changed   {rate:>+10.1%}                {cost:>+8.1%}", flush=True)


if __name__ == "__main__":
    main()
