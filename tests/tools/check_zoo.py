"""Is each server of the zoo judged as it should be, whatever else the machine does?

    python tests/tools/check_zoo.py                        all, in both dialects and three forms of a name
    python tests/tools/check_zoo.py --times 10 --busy 8    ten times, beside eight loops
    python tests/tools/check_zoo.py lock --show            those with lock in their names, and their reports

Every behaviour is tried on every server. What came out otherwise is printed, and the exit status is 1 then.
On a busy machine a behaviour may be not judged; that is counted by itself.

Not a test: pytest does not collect it. It talks to loopback only and ends by itself.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import zoo  # noqa: E402
from busy import busy_loops  # noqa: E402
from faults import FAULTS, Fault  # noqa: E402

from labkit.conformance.greeting import CannotRun  # noqa: E402
from labkit.conformance.report import NOT_TRIED, Report  # noqa: E402
from labkit.conformance.run import check_command  # noqa: E402


@dataclass(frozen=True)
class Job:
    """A server, in one of its dialects."""

    name: str
    fault: Fault | None
    framing: str
    form: str

    @property
    def expected(self) -> frozenset[int] | None:
        if self.fault:
            return zoo.missed(self.fault, self.framing, self.form)
        return frozenset() if self.form == zoo.FORMS[0] else frozenset({3})

    def __str__(self) -> str:
        return f"{self.name} ({self.framing}, {self.form})"


def jobs(words: list[str], framings: list[str], forms: list[str]) -> Iterator[Job]:
    """All servers with one of these words in their name; none: all."""
    for framing, form in product(framings, forms):
        for name in (*zoo.PYTHON, *zoo.OTHERS):
            if name != "poll.c" or (framing, form) == (zoo.FRAMINGS[0], zoo.FORMS[0]):
                yield Job(name, None, framing, form)
        for fault in FAULTS:
            job = Job(fault.name, fault, framing, form)
            if job.expected is not None:
                yield job


def judged(job: Job) -> Report | str:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        command = (
            zoo.wrong(job.fault, place, job.framing, job.form)
            if job.fault
            else zoo.right(job.name, place, job.framing, job.form)
        )
        try:
            return check_command(command, job.framing)
        except CannotRun as error:
            return str(error)


def difference(job: Job, report: Report) -> str:
    """In which way the verdicts are not as they should be; "" if they are."""
    expected = job.expected or frozenset()
    too_busy = {v.behaviour.number for v in report.verdicts if v.too_busy}
    untried = {v.behaviour.number for v in report.verdicts if v.verdict == NOT_TRIED}
    wrongly, not_seen = set(report.missed) - expected, expected - set(report.missed) - too_busy
    told = (("accused", wrongly), ("not seen", not_seen), ("not tried", untried))
    return ", ".join(f"{words} {sorted(numbers)}" for words, numbers in told if numbers)


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Whether the servers of the zoo are judged as they should be."
    )
    parser.add_argument("words", nargs="*", metavar="WORD", help="in the servers' names (default: all)")
    parser.add_argument("--times", type=int, default=1, metavar="N", help="(default: 1)")
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="busy loops beside (default: 0)")
    parser.add_argument("--at-once", type=int, default=2, metavar="N", help="(default: 2)")
    parser.add_argument("--minutes", type=float, default=60, help="begin no more after (default: 60)")
    parser.add_argument("--framing", choices=zoo.FRAMINGS, action="append", help="(default: both)")
    parser.add_argument("--form", choices=zoo.FORMS, action="append", help="(default: all three)")
    parser.add_argument("--show", action="store_true", help="print the reports")
    options = parser.parse_args()
    everything = list(jobs(options.words, options.framing or [*zoo.FRAMINGS], options.form or [*zoo.FORMS]))
    everything = [
        job for job in everything if not options.words or any(w in job.name for w in options.words)
    ]
    everything *= options.times
    random.Random(0).shuffle(everything)
    began, done, bad, busily = perf_counter(), 0, 0, 0

    def within_time(job: Job) -> tuple[Job, Report | str | None]:
        return job, None if perf_counter() - began > 60 * options.minutes else judged(job)

    with busy_loops(options.busy, 60 * options.minutes), ThreadPoolExecutor(options.at_once) as pool:
        for job, report in pool.map(within_time, everything):
            if report is None:
                continue
            done += 1
            why = report if isinstance(report, str) else difference(job, report)
            bad += bool(why)
            busily += not isinstance(report, str) and report.too_busy
            if why:
                print(f"{job}: {why}", flush=True)
            if why or options.show:
                print(report, flush=True)
    seconds = perf_counter() - began
    print(
        f"{done} checks of {len(everything)}, {bad} with another verdict, {busily} not all judged, "
        f"{seconds:.0f} s"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
