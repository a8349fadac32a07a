"""How long does a check take? The answer of each exercise, several times; the median is what counts.

python tests/benches/bench_checks.py              all exercises, 5 times each
python tests/benches/bench_checks.py framing lock --runs 9
"""

from __future__ import annotations

import argparse
from statistics import median
from time import perf_counter

from labkit.exercises import NAMES, check, exercise_called


def seconds(name: str) -> float:
    """Seconds that a check of the answer takes, from the call to the result."""
    source = exercise_called(name).solution
    began = perf_counter()
    result = check(name, source)
    took = perf_counter() - began
    if not result.ok:
        raise SystemExit(f"the answer of {name} does not hold:\n{result}")
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description="How long a check of a right answer takes.")
    parser.add_argument("exercises", nargs="*", metavar="EXERCISE", help="(default: all)")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="(default: 5)")
    options = parser.parse_args()
    names = options.exercises or NAMES
    for name in names:
        if name not in NAMES:
            parser.error(f"there is no exercise {name!r}")
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(options.runs):
        for name in names:  # in turn, so that a busy minute hits all alike
            times[name].append(seconds(name))
    print(f"{'exercise':<10}  median   slowest   (seconds, of {options.runs})")
    for name, took in times.items():
        print(f"{name:<10}  {median(took):6.2f}   {max(took):7.2f}")


if __name__ == "__main__":
    main()
