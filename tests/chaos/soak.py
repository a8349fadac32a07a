"""Everybody at once, for a long time: does the server stay as it is?

    python tests/chaos/soak.py [--minutes 10] [--seed 0] [--people 30]

All kinds of people (person.py, guests.py, strangers.py) on one server, in a process of its own; now and
then its memory, threads, descriptors and processor time are looked at. It prints a table and what is wrong:

- memory, threads and descriptors in the last part of the time, beside those after the first minute. Of
  threads and descriptors only those count that no connection needs;
- the same when all have left, the processor time of a few idle seconds, and that of the stop;
- what the checker finds, as always; and a server that is stopped in the middle of all that (stops.py).

The exit status is 0 if nothing is wrong. Ctrl-C ends it.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import monotonic, sleep

sys.path.insert(0, str(Path(__file__).parents[1]))

from chaos.arena import check_what_is_left, checked, gathered  # noqa: E402
from chaos.hosts import Elsewhere  # noqa: E402
from chaos.people import People, Plan, Stuck  # noqa: E402
from chaos.stops import Way, run_stop  # noqa: E402
from chaos.verdict import Kind, Verdict  # noqa: E402

FLAT = 1.1
"""Memory at the end, compared with that after the first minute, at most …"""

SLACK = 8.0
"""… and so many MB more: what waits for those who read slowly is now more, now less."""

COMING_AND_GOING = 3
"""Threads or descriptors more than connections that may be on their way in or out."""

IDLE = 5.0  # seconds …
IDLE_WORK = 0.05  # … and the processor time that they may take
STOP_WORK = 1.0  # seconds of processor time for a stop


@dataclass(frozen=True)
class Sample:
    """The server at one moment."""

    seconds: float
    deliveries: int
    connections: int
    memory: float  # MB
    threads: int
    descriptors: int
    work: float  # processor time, in seconds

    def __str__(self) -> str:
        return (
            f"{self.seconds:8.0f} {self.deliveries:12,} {self.connections:12} {self.memory:8.1f} "
            f"{self.threads:8} {self.descriptors:12} {self.work:10.1f}"
        )


HEAD = " seconds   deliveries  connections       MB  threads  descriptors  processor"


class Soak:
    """Looks at the server every few seconds, until the time is over."""

    def __init__(self, host: Elsewhere, people: People, seconds: float) -> None:
        self.samples: list[Sample] = []
        self._host, self._people, self._seconds = host, people, seconds
        self._start = monotonic()
        self._every = max(0.5, min(10.0, seconds / 60))

    def sample(self) -> Sample:
        threads, descriptors = self._host.resources()
        now = Sample(
            monotonic() - self._start,
            self._people.deliveries,
            self._people.connections,
            self._host.process.memory_info().rss / 1e6,
            threads,
            descriptors,
            self._host.processor_time(),
        )
        print(now, flush=True)
        self.samples.append(now)
        return now

    def is_over(self) -> bool:
        now = monotonic() - self._start
        if not self.samples or now >= self.samples[-1].seconds + self._every:
            self.sample()
        return now >= self._seconds

    def judge(self, verdict: Verdict) -> None:
        """The last fifth of the time, beside a fifth of it that begins after the first minute."""
        begin, fifth = min(60.0, self._seconds / 4), self._seconds / 5
        early = [s for s in self.samples if begin <= s.seconds <= begin + fifth]
        late = [s for s in self.samples if s.seconds >= self._seconds - fifth]
        if not early or not late:
            verdict.complain(Kind.STUCK, "too few samples to compare")
            return
        before, after = _median(early, lambda s: s.memory), _median(late, lambda s: s.memory)
        print(f"memory: {before:.1f} MB after the first minute, {after:.1f} MB at the end")
        if after > FLAT * before + SLACK:
            verdict.complain(Kind.UNBOUNDED, f"memory grew from {before:.1f} to {after:.1f} MB")
        for what, of in (
            ("threads", lambda s: s.threads - s.connections),
            ("descriptors", lambda s: s.descriptors - s.connections),
        ):
            before, after = _median(early, of), _median(late, of)
            print(f"{what} beside those of connections: {before:g}, and {after:g} at the end")
            if after > before + COMING_AND_GOING:
                verdict.complain(
                    Kind.LEFT_BEHIND, f"{what}, but for connections: {before:g}, then {after:g}"
                )


def _median(samples: Sequence[Sample], of: Callable[[Sample], float]) -> float:
    return median(map(of, samples))


def soak(plan: Plan, seconds: float) -> Verdict:
    """One long run, and what is wrong."""
    verdict = Verdict()
    host = Elsewhere(plan.limits).started()
    with contextlib.ExitStack() as stack:
        stack.callback(host.stop)
        people = stack.enter_context(gathered(host.address, plan, verdict))
        try:
            people.enter()
            before = host.resources()
            print(HEAD)
            watch = Soak(host, people, seconds)
            people.rage(watch.is_over)
            people.settle()
            people.leave()
            check_what_is_left(host, before, people, verdict)
            _idle(host, watch, verdict)
            _stop(host, verdict)
            people.farewell()
        except Stuck as stuck:
            verdict.complain(Kind.STUCK, str(stuck))
            return verdict
        watch.judge(verdict)
    print(f"{people.strangers.ended} strangers were let go, {people.ends} others ended abruptly")
    return checked(people, verdict)


def _idle(host: Elsewhere, watch: Soak, verdict: Verdict) -> None:
    """Nobody does anything."""
    first = watch.sample()
    sleep(IDLE)
    work = host.processor_time() - first.work
    print(f"idle: {work:.2f} s of processor time in {IDLE:g} s")
    if work > IDLE_WORK:
        verdict.complain(Kind.UNBOUNDED, f"idle, and {work:.2f} s of processor time in {IDLE:g} s")


def _stop(host: Elsewhere, verdict: Verdict) -> None:
    start, before, work = monotonic(), host.processor_time(), 0.0
    host.ask_to_stop()
    while not host.over and monotonic() - start < 30.0:
        with contextlib.suppress(OSError):
            work = max(work, host.processor_time() - before)
        sleep(0.01)
    print(f"stop: {monotonic() - start:.2f} s, and {work:.2f} s of processor time")
    if not host.over or work > STOP_WORK:
        verdict.complain(Kind.STUCK, f"the stop took {work:.2f} s of processor time")


def main() -> int:
    parser = argparse.ArgumentParser(description="Everybody at once, for a long time.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--people", type=int, default=30)
    chosen = parser.parse_args()
    seconds = 60.0 * chosen.minutes
    # Ends come at a rate, not up to a number; and turns are long, or the histories would fill the memory.
    plan = Plan(
        seed=chosen.seed,
        people=chosen.people,
        deliveries=10**12,
        ends=10**9,
        seconds=seconds + 600,
        pause=0.02,
    ).with_guests()
    plan = replace(plan, soon=40.0, limits=replace(plan.limits, silence=2 * IDLE))
    try:
        verdict = soak(plan, seconds)
        print(verdict)
        stopped = run_stop(replace(plan, deliveries=20_000, ends=20, links=0, thorough=False), Way.ASKED)
    except KeyboardInterrupt:
        print("interrupted: nothing is proven")
        return 1
    print(f"stopped in the middle: {stopped}; {'; '.join(stopped.blows)}")
    wrong = sum(verdict.count.values()) + sum(stopped.verdict.count.values())
    print(f"{'nothing' if not wrong else wrong} to complain about")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
