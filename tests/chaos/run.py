"""The long run: many seeds, as much chaos as you like, and one line for each.

    python tests/chaos/run.py [--deliveries 1000000] [--ends 1000] [--seeds 20] [--first-seed 0]
                              [--people 30] [--here]
    python tests/chaos/run.py --stopped …
    python tests/chaos/run.py --servers 3 [--kills 2] [--stops 1] [--restarts 2] [--cuts 2] [--exiles 1]
                              [--lease 2] [--server CLASS] …

Deliveries and abrupt ends are those of all seeds together: each seed does its share, and at least that. A
delivery is a line of another's that one client heard, and that the checker has found right. An
abrupt end is one that no client announced: vanished, frozen until it was let go, fallen silent, closed
unread, cut off with its link, lost with its server.

Among the people are those of guests.py and strangers.py. The server runs in a process of its own; with
--here, in this one. With --stopped, each seed is one of the ways to stop it in the middle (stops.py).

With --servers, as many share their rooms on one Redis; in each seed so many of them are killed (--kills),
stopped in good order (--stops) or cut off from Redis for longer than the lease (--exiles), and come back;
Redis is killed or stopped, and started again (--restarts), or hangs, is slow, or out of reach for one of
them for a moment (--cuts). --server is for those that are made wrong (broken_backplanes.py).

The last line sums it up, and the exit status is 0 if there is nothing to complain about. A complaint comes
with its seed and the histories concerned; the same command with `--seeds 1 --first-seed N` (and the shares
as printed) runs that seed again: the same dice, though threads and sockets take their own time.

Not a test: pytest does not collect it. It talks to loopback only and ends by itself.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path
from time import monotonic

sys.path.insert(0, str(Path(__file__).parents[1]))

from chaos.arena import run, run_servers  # noqa: E402
from chaos.hosts import SmallBuffers  # noqa: E402
from chaos.people import Plan  # noqa: E402
from chaos.stops import Way, run_stop  # noqa: E402
from chaos.storm import Weather  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description="Chaos, and a checker.")
    parser.add_argument("--deliveries", type=int, default=1_000_000)
    parser.add_argument("--ends", type=int, default=1_000)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--people", type=int, default=30)
    parser.add_argument("--here", action="store_true", help="the server in this process")
    parser.add_argument("--stopped", action="store_true", help="it is stopped in the middle")
    parser.add_argument("--servers", type=int, default=1)
    for name, default in (("kills", 2), ("stops", 1), ("restarts", 2), ("cuts", 2), ("exiles", 1)):
        parser.add_argument(f"--{name}", type=int, default=default, help="in each seed")
    parser.add_argument("--lease", type=float, default=2.0, help="seconds")
    parser.add_argument("--server", default=Weather.server, help="the servers' class")
    chosen = parser.parse_args()
    weather = None
    if chosen.servers > 1:
        weather = Weather(**{f.name: getattr(chosen, f.name) for f in fields(Weather)})
    start = monotonic()
    deliveries = ends = wrong = 0
    told: Counter[str] = Counter()
    for n, seed in enumerate(range(chosen.first_seed, chosen.first_seed + chosen.seeds), 1):
        plan = Plan(
            seed=seed,
            people=chosen.people,
            deliveries=-(-chosen.deliveries // chosen.seeds),
            ends=-(-chosen.ends // chosen.seeds),
            seconds=600.0,
        ).with_guests()
        if chosen.stopped:
            outcome = run_stop(replace(plan, links=0, thorough=False), list(Way)[seed % len(Way)])
        elif weather is None:
            outcome = run(plan, SmallBuffers if chosen.here else None)
        else:
            outcome = run_servers(plan.shared(chosen.lease), weather)
        deliveries += outcome.verdict.deliveries
        ends += outcome.ends
        told += outcome.verdict.told
        wrong += sum(outcome.verdict.count.values())
        print(f"{n} of {chosen.seeds}  {outcome}", flush=True)
        if outcome.verdict.count:
            print(outcome.again, flush=True)
    print(
        f"\n{deliveries:,} deliveries and {ends:,} abrupt ends with {chosen.seeds} seeds in "
        f"{monotonic() - start:.0f} s: {wrong} complaints. Told of leavings: "
        + ", ".join(f"{count} {reason}" for reason, count in told.most_common())
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
