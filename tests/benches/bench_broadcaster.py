"""How many deliveries a second: labkit's broadcaster beside the assignment's own server.

    python tests/benches/bench_broadcaster.py [--clients 100] [--talkers 10] [--lines 10] [--rounds 40]
                                            [--repeats 5]

Both servers run as processes of their own, one after the other in turn, on the first processor; the
load runs on the second, where there are two. rounds.py tells what a round is, and a delivery. The
assignment's server gets line framing for this (labkit/peers/classic_lines.py): without it, lines could not
be counted. Printed: deliveries a second for each repeat, the medians, and their ratio, taken pair by pair.

Not a test: pytest does not collect it. It talks to loopback only and ends by itself. bench_floor.py
compares more servers, at more sizes.
"""

from __future__ import annotations

import argparse
import statistics
import sys

from rounds import deliveries_a_second, running


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
