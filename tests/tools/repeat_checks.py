"""Is the verdict always the same? Every version of every exercise, many times, on a busy machine.

    python tests/tools/repeat_checks.py                          all, 20 times each, beside two busy loops
    python tests/tools/repeat_checks.py framing lock --times 5 --busy 0

For each exercise the answer, the stub, the other right answers and all wrong versions are checked, a few at
a time, in an order that is shuffled. A wrong version must fail at its own step, for its own reason. What
came out otherwise is printed; the exit status is 1 then.

Not a test: pytest does not collect it. It talks to loopback only and ends by itself.
"""

from __future__ import annotations

import argparse
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

from busy import busy_loops

from labkit.exercises import NAMES, check, exercise_called
from labkit.exercises.exercise import Exercise, Wrong

Job = tuple[Exercise, str, str, Wrong | None]


def jobs(name: str) -> list[Job]:
    """Every version of an exercise, with what it is called, and the bug that it has."""
    e = exercise_called(name)
    found: list[Job] = [(e, "the answer", e.solution, None), (e, "the stub", e.stub, None)]
    found += [(e, style, e.other(style), None) for style in e.others]
    return found + [(e, wrong.name, e.version(wrong), wrong) for wrong in e.wrong]


def verdict(job: Job) -> str:
    """What is wrong with the verdict; "" if nothing is."""
    exercise, name, source, wrong = job
    result = check(exercise.name, source)
    if result.not_judged:
        return f"{exercise.name}, {name}: not judged: {result.not_judged}"
    if name == "the stub":
        good = result.score == 0
    elif wrong is None:
        good = result.ok
    else:
        good = result.failed == wrong.step and (
            not wrong.clue or (result.failure is not None and result.failure.clue == wrong.clue)
        )
    return "" if good else f"{exercise.name}, {name}:\n{result}\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Whether checks always come to the same verdict.")
    parser.add_argument("exercises", nargs="*", metavar="EXERCISE", help="(default: all)")
    parser.add_argument("--times", type=int, default=20, metavar="N", help="(default: 20)")
    parser.add_argument("--busy", type=int, default=2, metavar="N", help="busy loops beside (default: 2)")
    parser.add_argument("--at-once", type=int, default=4, metavar="N", help="(default: 4)")
    parser.add_argument("--minutes", type=float, default=60, help="begin no more after (default: 60)")
    options = parser.parse_args()
    everything = [job for name in options.exercises or NAMES for job in jobs(name)] * options.times
    random.Random(0).shuffle(everything)
    began, done, bad = perf_counter(), 0, 0

    def within_time(job: Job) -> str | None:
        return None if perf_counter() - began > 60 * options.minutes else verdict(job)

    with busy_loops(options.busy, 60 * options.minutes), ThreadPoolExecutor(options.at_once) as pool:
        for why in pool.map(within_time, everything):
            done += why is not None
            if why:
                bad += 1
                print(why, flush=True)
    print(f"{done} checks of {len(everything)}, {bad} with another verdict, {perf_counter() - began:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
