"""Does `grade` grade a class right? 200 submissions, of which it is known what they earn.

    python tests/tools/grade_class.py                 all, as many at once as the machine bears
    python tests/tools/grade_class.py --jobs 2 --keep /tmp/class

In each of ten exercises twenty students hand in right answers of several styles, wrong ones, notebooks,
stubs, and files that do not end, crash, cannot be read, cheat, or define another name. It prints what came
out otherwise, and how long it took; the exit status is 1 if anything did.

Not a test: pytest does not collect it. It talks to loopback only and ends by itself.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from labkit.exercises import NAMES, exercise_called
from labkit.exercises.exercise import Exercise, Wrong

EXERCISES = tuple(name for name in NAMES if name != "server")  # it takes as long as all the others together


@dataclass(frozen=True, slots=True)
class Known:
    """A submission, and what it earns.

    Args:
        name: the file's.
        content: what it holds.
        state: of its row; several where either may come.
        points: of its row.
        step, bug: of its row; None where it may be any.
        suspicious: whether it is.
    """

    name: str
    content: bytes
    state: str
    points: int = 0
    step: str | None = ""
    bug: str | None = ""
    suspicious: bool = False

    def differs(self, row: dict[str, str]) -> str:
        """What of the row is not as it is known to be; "" if nothing is."""
        pairs = [
            ("state", self.state),
            ("points", str(self.points)),
            ("step", self.step),
            ("bug", self.bug),
        ]
        wrong = [
            f"{name} {row[name]!r}, not {known!r}"
            for name, known in pairs
            if known not in (None, row[name])
        ]
        if bool(row["suspicious"]) != self.suspicious:
            wrong.append(f"suspicious {row['suspicious']!r}")
        return "; ".join(wrong)


def submissions(e: Exercise) -> Iterator[Known]:
    """Those of twenty students, in this exercise."""
    file, answer = f"{e.name}.py", e.solution
    yield Known(file, answer.encode(), "right", e.points)
    styles = [e.other(style) for style in e.others]
    for n in range(4):
        yield Known(file, styles[n % len(styles)].encode(), "right", e.points)
    wrong = [version for version in e.wrong if version.clue not in ("busy", "waiting")]
    for version in wrong[:7]:
        yield _half(e, version, file, e.version(version).encode())
    yield Known(f"{e.name}.ipynb", notebook("1 / 0", answer, "while True: pass"), "right", e.points)
    yield _half(e, wrong[-1], f"{e.name}.ipynb", notebook("import socket", e.version(wrong[-1])))
    first = f"1. {e.steps[0].name}"
    yield Known(file, e.stub.encode("utf-16"), "wrong", step=first, bug="NotImplementedError")
    yield Known(file, b"while True:\n    pass\n" + answer.encode(), "timed out", bug="busy")
    yield Known(
        file, answer.encode() + b"\nimport os\nos.abort()\n", "crashed", bug="ended", suspicious=True
    )
    yield Known(file, b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "not readable")
    cheats = f"{answer}\nfrom labkit.exercises import exercise_called\n"
    yield Known(file, cheats.encode(), "right", e.points, suspicious=True)
    yield Known(file, b"def another_name():\n    pass\n", "name missing", bug=None)


def _half(e: Exercise, wrong: Wrong, name: str, content: bytes) -> Known:
    at = [step.name for step in e.steps].index(wrong.step)
    points = sum(step.points for step in e.steps[:at])
    return Known(name, content, "wrong", points, f"{at + 1}. {wrong.step}", wrong.clue or None)


def notebook(*cells: str) -> bytes:
    made: list[dict[str, object]] = [
        {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": cell}
        for cell in cells
    ]
    return json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


def make(folder: Path) -> dict[tuple[str, str], Known]:
    """Write them, a folder for each student; returns what is known, by the student and the exercise."""
    known: dict[tuple[str, str], Known] = {}
    for name in EXERCISES:
        for number, submission in enumerate(submissions(exercise_called(name))):
            student = f"student {number:02}"
            (folder / student).mkdir(parents=True, exist_ok=True)
            (folder / student / submission.name).write_bytes(submission.content)
            known[student, name] = submission
    return known


def compare(table: Path, known: dict[tuple[str, str], Known]) -> int:
    """Print which rows are not as they should be; returns how many."""
    with table.open(encoding="utf-8-sig", newline="") as file:
        rows = {(row["student"], row["exercise"]): row for row in csv.DictReader(file)}
    bad = 0
    for key in sorted(known.keys() | rows.keys()):
        if key not in rows or key not in known:
            why = "no row" if key not in rows else "a row too many"
        else:
            why = known[key].differs(rows[key])
        if why:
            bad += 1
            print(f"{key[0]}, {key[1]}: {why}")
    print(f"{len(rows)} rows of {len(known)}, {bad} of them wrong")
    return bad


def main() -> int:
    parser = argparse.ArgumentParser(description="Whether a class is graded right, and how long it takes.")
    parser.add_argument("--jobs", type=int, metavar="N", help="(default: as many as the machine bears)")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="keep the submissions, and what came out"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="labkit-class-") as temporary:
        folder = options.keep or Path(temporary)
        known = make(folder / "submitted")
        command = [
            sys.executable,
            "-m",
            "labkit",
            "grade",
            *EXERCISES,
            str(folder / "submitted"),
            "--again",
        ]
        command += ["--csv", str(folder / "grades.csv"), "--feedback", str(folder / "out")]
        command += ["--jobs", str(options.jobs)] if options.jobs else []
        began = perf_counter()
        status = subprocess.run(command, stdout=subprocess.DEVNULL).returncode
        seconds = perf_counter() - began
        bad = compare(folder / "grades.csv", known)
        print(f"exit status {status}, {seconds:.0f} s, {seconds / len(known):.2f} s a submission")
    return 1 if bad or status not in (0, 1) else 0


if __name__ == "__main__":
    sys.exit(main())
