"""What one client that stops reading costs the others: one of 100 is frozen while the rest talk.

    python tests/benches/bench_frozen.py [--clients 100] [--rounds 4000] [--repeats 3]

As in bench_broadcaster.py, rounds of ten talkers with ten lines each, on two processors; with `--behind
4000000 --grace 2` for the server, so that the frozen client is let go before the end. Printed, for each
repeat: the deliveries a second of the others with and without it, their ratio, the longest round, the
server's memory (unique set size, its growth), and whether the frozen one's nickname is free in the end.

Not a test: pytest does not collect it. It talks to loopback only and ends by itself.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import psutil
from rounds import Room, join, running

TALKERS, LINES = 10, 10
FROZEN = "frozen"
SERVE = ["-m", "labkit", "serve", "--port", "0", "--behind", "4000000", "--grace", "2"]


def one_run(clients: int, rounds: int, frozen: bool) -> tuple[float, float, float, bool]:
    """Deliveries a second, the longest round in seconds, megabytes it grew by; is the name free again?"""
    with running([sys.executable, *SERVE]) as (address, number):
        watched = psutil.Process(number)
        idle = join(address, FROZEN)
        with Room(address, clients - 1) as room:
            if not frozen:
                idle.close()
            room.talk(TALKERS, LINES, rounds=1)
            before = peak = watched.memory_full_info().uss
            longest, deliveries, start = 0.0, 0, time.perf_counter()
            for done in range(rounds):
                came, took = room.talk(TALKERS, LINES, rounds=1)
                deliveries += came
                longest = max(longest, took)
                if done % 200 == 0:
                    peak = max(peak, watched.memory_full_info().uss)
            seconds = time.perf_counter() - start
            with join(address, FROZEN) as again, idle:
                again.settimeout(5)
                free = again.recv(4096).startswith(b"* you are")
        return deliveries / seconds, longest, (peak - before) / 1e6, free


def main() -> None:
    parser = argparse.ArgumentParser(description="what one client that stops reading costs the others")
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    ratios = []
    for _ in range(asked.repeats):
        without, _, _, _ = one_run(asked.clients, asked.rounds, frozen=False)
        with_one, longest, grew, free = one_run(asked.clients, asked.rounds, frozen=True)
        ratios.append(with_one / without)
        print(
            f"without {without:,.0f}/s  with a frozen one {with_one:,.0f}/s  ratio {ratios[-1]:.2f}  "
            f"longest round {1000 * longest:.0f} ms  memory +{grew:.1f} MB  nickname free: {free}",
            flush=True,
        )
    print(f"ratio: {statistics.median(ratios):.2f} (median of {len(ratios)})")


if __name__ == "__main__":
    main()
