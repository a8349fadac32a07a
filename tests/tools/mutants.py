"""Would the tests notice? A mutant is the code with one small fault in it; the tests should kill it.

    python tests/tools/mutants.py --seed 1 --count 200      so many mutants, chosen by lot
    python tests/tools/mutants.py --of labkit/server/rooms.py --count 30
    python tests/tools/mutants.py --only labkit/server/sender.py:143:15:0      one again
    python tests/tools/mutants.py --survivors                                  all that survived before

The mutants are those of mutations.py. Each goes into a copy of the tree, never into the tree itself, and
the tests that run its line (or its file, where that is run at import) are run there until one fails, the
quickest and those of its own test file first. Which these are is measured first, and kept in .mutants/
(--measure: again; with paths: of these tests alone). The stepper's tests need the trace function, as the
measuring does: they, and the tests of code that runs in child processes, stand in `ALWAYS`.

A mutant has timed out when no test has ended for --stall seconds, not counting those in which others had
the processors, or its memory has no end. What came of each is kept in .mutants/results.json. The exit
status is 1 if one survived. Not a test: pytest does not collect it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

import psutil
from mutations import Mutant, mutants

from labkit.probe.patience import family, source

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / ".mutants"
RESULTS = KEPT / "results.json"

TARGETS = (
    *("wire", "server", "client", "conformance", "instruments/stepper"),
    *(f"instruments/{name}.py" for name in ("link", "relay", "stream", "faults", "ladder")),
    "exercises/grading/child.py",
)
"""Whose mutants are tried, below labkit/."""

MEASURED = ("wire", "server", "client", "instruments", "conformance", "exercises")
STEPPER = "tests/instruments/test_stepper.py"

ALWAYS = {
    "labkit/instruments/stepper/": ["tests/instruments/test_stepper_parts.py", STEPPER],
    "labkit/exercises/grading/child.py": ["tests/exercises/test_checking.py"],
}
"""Which tests are run besides the measured ones."""

MEMORY = 3 << 30
"""Bytes; more than any test takes."""

Outcome = str  # "killed", "survived" or "timed out"


@dataclass
class Tests:
    """Which tests run which line."""

    seconds: dict[str, float] = field(default_factory=dict)  # of each test that passes
    lines: dict[str, dict[str, list[str]]] = field(default_factory=dict)  # by file and line

    @classmethod
    def measured(cls, paths: list[str] | None, workers: int) -> Tests:
        """What was kept; or what these tests (empty: all) run now, with what was kept of others."""
        kept = KEPT / "tests.json"
        known = cls(**json.loads(kept.read_text())) if kept.exists() and paths != [] else cls()
        if paths is not None or not kept.exists():
            paths = paths or [f"tests/{folder}" for folder in MEASURED]
            _measure(paths, workers)
            known._forget(paths)
            known._add_measured()
            kept.write_text(json.dumps(vars(known)))
        return known

    def _forget(self, paths: list[str]) -> None:
        """What these tests ran before: some may be gone."""
        old = {test for test in self.seconds if test.startswith(tuple(paths))}
        for test in old:
            del self.seconds[test]
        for of_file in self.lines.values():
            for line, tests in of_file.items():
                of_file[line] = [test for test in tests if test not in old]

    def _add_measured(self) -> None:
        from coverage import CoverageData

        durations = _durations()
        self.seconds |= durations
        data = CoverageData(str(KEPT / ".coverage"))
        data.read()
        for file in data.measured_files():
            of_file = self.lines.setdefault(str(Path(file).relative_to(ROOT)), {})
            for line, contexts in data.contexts_by_lineno(file).items():
                names = {context.rpartition("|")[0] for context in contexts} & durations.keys()
                of_file[str(line)] = sorted(names.union(of_file.get(str(line), [])))

    def that_run(self, mutant: Mutant, budget: float) -> list[str]:
        """The tests to run, in this order: at most so many seconds' worth."""
        of_file = self.lines.get(mutant.path, {})
        found = {test for n in range(mutant.line, mutant.last_line + 1) for test in of_file.get(str(n), [])}
        own = f"test_{Path(mutant.path).stem}.py"
        if not found:  # it is run at import
            found = {test for tests in of_file.values() for test in tests} | self._that_import(mutant.path)
        # What is cached was run in one test for all of them.
        found |= {test for test in self.seconds if f"/{own}::" in test}
        if not found:  # all of it is
            folder = str(Path(mutant.path).parent)
            files = [lines for path, lines in self.lines.items() if path.startswith(folder)]
            found = {test for lines in files for tests in lines.values() for test in tests}
        chosen: list[str] = []
        spent = 0.0
        for test in sorted(found, key=lambda t: (self.seconds[t] * (0.3 if f"/{own}::" in t else 1), t)):
            if (spent := spent + self.seconds[test]) > budget and chosen:
                break
            chosen.append(test)
        return chosen + [test for path in ALWAYS if mutant.path.startswith(path) for test in ALWAYS[path]]

    def _that_import(self, path: str) -> set[str]:
        """Those in files that import this one: they may see what it holds, and run none of its lines."""
        package, _, name = path.removesuffix(".py").replace("/", ".").rpartition(".")
        imports = re.compile(rf"from {re.escape(package)}(\.{name} import| import (\(\n)?[^()]*\b{name}\b)")
        files = {test.partition("::")[0] for test in self.seconds}
        those = {file for file in files if imports.search((ROOT / file).read_text())}
        return {test for test in self.seconds if test.partition("::")[0] in those}


def _measure(paths: list[str], workers: int) -> None:
    """Run the tests, and have coverage write down which lines each of them runs."""
    KEPT.mkdir(exist_ok=True)
    rc = KEPT / "coveragerc"
    rc.write_text(f"[run]\nsource = labkit\nparallel = true\ndata_file = {KEPT / '.coverage'}\n")
    options = ["-o", "addopts=", "-q", f"-n{workers}", "--dist=loadfile", "-p", "no:cacheprovider"]
    options += ["--cov", f"--cov-config={rc}", "--cov-context=test", "--cov-report="]
    options += [f"--junitxml={KEPT / 'durations.xml'}", f"--ignore={STEPPER}", "-p", "no:nbval"]
    # A test that fails while it is measured is not used: the clock of some does not like that.
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *paths],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    if done.returncode not in (0, 1):
        raise SystemExit("the tests could not be run")


def _durations() -> dict[str, float]:
    seconds: dict[str, float] = {}
    for case in ElementTree.parse(KEPT / "durations.xml").iter("testcase"):
        if not any(child.tag in ("failure", "error", "skipped") for child in case):
            seconds[_id(case.get("classname", ""), case.get("name", ""))] = float(case.get("time", 0))
    return seconds


def _id(module: str, test: str) -> str:
    """What pytest calls a test of this module, or of a class in it."""
    parts = module.split(".")
    inside = [test]
    while parts and not (ROOT / f"{'/'.join(parts)}.py").exists():
        inside.insert(0, parts.pop())
    return "::".join([f"{'/'.join(parts)}.py", *inside])


class Copy:
    """A copy of the tree, for one mutant after the other."""

    def __init__(self, number: int, options: argparse.Namespace) -> None:
        self.folder = KEPT / f"copy-{number}"
        self._token = f"{os.getpid()}-{number}."
        self._options = options
        self._stamp = (
            time.time() - 1e6
        )  # of the next change: else Python might take the compiled file before it
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in ("labkit", "tests", "notebooks"):
            ignored = shutil.ignore_patterns("__pycache__", ".*")
            shutil.copytree(ROOT / name, self.folder / name, ignore=ignored)
        for path in ROOT.glob("*.*"):
            if path.is_file() and path.suffix in (".toml", ".md", ".txt"):
                shutil.copy(path, self.folder)
        if options.soon:
            support = self.folder / "tests" / "support.py"
            support.write_text(re.sub(r"(?m)^SOON = .*", f"SOON = {options.soon}", support.read_text()))

    def try_out(self, mutant: Mutant, tests: list[str]) -> tuple[Outcome, str]:
        """What comes of it, and by which test."""
        file = self.folder / mutant.path
        source = file.read_bytes()  # not the tree's: that may have been changed since
        try:
            self._write(file, mutant.applied(source))
            outcome, by = self._run(tests)
        finally:
            self._write(file, source)
        if (
            outcome == "killed"
            and "::" in by
            and by.startswith("ERROR: ")
            and self._run(tests)[0] != "survived"
        ):
            raise SystemExit(f"{by}: measure again (--measure)")  # a test that there is no more
        return outcome, by

    def _write(self, file: Path, source: bytes) -> None:
        file.write_bytes(source)
        self._stamp += 10
        os.utime(file, (self._stamp, self._stamp))

    def _run(self, tests: list[str]) -> tuple[Outcome, str]:
        said = self.folder / "said.txt"
        options = [
            "-o",
            "addopts=",
            "-x",
            "-v",
            "-p",
            "pytest_timeout",
            "-o",
            "timeout=0",  # --stall takes its place
            "-p",
            "no:cacheprovider",
            "--tb=no",
        ]
        options.append(f"--basetemp={self.folder / 'temporary'}")
        environment = {"PYTHONPATH": str(self.folder), "LABKIT_MUTANT": self._token}
        # Without other plugins it starts in a second.
        environment |= {
            "LABKIT_HYPOTHESIS": "mutants",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "COLUMNS": "200",
        }
        with said.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "pytest", *options, *tests],
                cwd=self.folder,
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            in_time = self._watch(process, said)
        finally:
            process.kill()
            process.wait()
            _end_all(self._token)
        text = said.read_text(errors="replace")
        last = ([line for line in text.splitlines() if "::" in line] or text.splitlines()[-1:] or ["?"])[-1]
        if not in_time:
            return "timed out", last
        return ("survived", "") if process.returncode == 0 else ("killed", last)

    def _watch(self, process: subprocess.Popen[bytes], said: Path) -> bool:
        """Wait for it; False: no test has ended for too long, or it takes too much memory."""
        looks, size, waited, since = source((process.pid,)), 0, 0.0, time.monotonic()
        while True:
            try:
                process.wait(0.5)
                return True
            except subprocess.TimeoutExpired:
                pass
            took = time.monotonic() - since
            since += took
            turn = looks(family((process.pid,)), took)
            waited += max(min(turn.used, took), took - turn.starved)
            if (now := said.stat().st_size) != size:
                size, waited = now, 0.0
            if waited > self._options.stall:
                return False
            try:
                if psutil.Process(process.pid).memory_info().rss > MEMORY:
                    return False
            except psutil.Error:
                pass


def _end_all(token: str) -> None:
    """End whatever the tests have left behind that were started with a token that begins so."""
    for process in psutil.process_iter():
        try:
            if process.environ().get("LABKIT_MUTANT", "").startswith(token):
                process.kill()
        except psutil.Error:
            pass


def all_mutants(below: Iterable[str]) -> list[Mutant]:
    found: list[Mutant] = []
    for target in below:
        path = ROOT / target
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            found += mutants(str(file.relative_to(ROOT)), file.read_bytes())
    return found


def chosen_mutants(options: argparse.Namespace, kept: dict[str, dict[str, str]]) -> list[Mutant]:
    everyone = all_mutants(options.of or [f"labkit/{target}" for target in TARGETS])
    if options.only or options.survivors:
        wanted = options.only or [name for name, result in kept.items() if result["outcome"] == "survived"]
        return [mutant for mutant in everyone if mutant.id in wanted]
    return random.Random(options.seed).sample(everyone, min(options.count, len(everyone)))


def _brief(text: str) -> str:
    return " ".join(text.split())[:160]


def _on_sigterm(*_: object) -> None:
    """End with all that was started."""
    _end_all(f"{os.getpid()}-")
    os._exit(1)


def main() -> int:
    parser = argparse.ArgumentParser(description="Whether the tests notice small faults in the code.")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--count", type=int, default=200, metavar="N")
    parser.add_argument(
        "--of", nargs="+", metavar="PATH", help="files or folders (default: all that count)"
    )
    parser.add_argument("--only", nargs="+", metavar="ID", help="these mutants")
    parser.add_argument("--survivors", action="store_true", help="those that survived before")
    parser.add_argument("--measure", nargs="*", metavar="TESTS", help="measure which tests run which line")
    parser.add_argument("--workers", type=int, default=2, metavar="N")
    parser.add_argument("--budget", type=float, default=60, metavar="S", help="seconds of tests for each")
    parser.add_argument("--stall", type=float, default=60, metavar="S", help="seconds for one test")
    parser.add_argument(
        "--soon", type=float, metavar="S", help="how long a test waits (default: as it says)"
    )
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _on_sigterm)
    tests = Tests.measured(options.measure, options.workers)
    kept: dict[str, dict[str, str]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    wanted = chosen_mutants(options, kept)
    copies: SimpleQueue[Copy] = SimpleQueue()
    for number in range(options.workers):
        copies.put(Copy(number, options))
    writing = threading.Lock()  # guards `kept` and the lines that are printed
    count = {"killed": 0, "survived": 0, "timed out": 0}

    def try_out(mutant: Mutant) -> None:
        chosen = tests.that_run(mutant, options.budget)
        copy = copies.get()
        began = time.monotonic()
        try:
            outcome, by = copy.try_out(mutant, chosen) if chosen else ("survived", "")
        finally:
            copies.put(copy)
        with writing:
            count[outcome] += 1
            kept[mutant.id] = {"outcome": outcome, "by": by, "before": mutant.before, "after": mutant.after}
            RESULTS.write_text(json.dumps(kept, indent=1))
            turned = f"{_brief(mutant.before)} → {_brief(mutant.after)}"
            print(f"{outcome}, {time.monotonic() - began:.0f} s: {mutant.id}  {turned}")
            print(f"    {by or f'by {len(chosen)} tests'}", flush=True)

    pool = ThreadPoolExecutor(options.workers)
    try:
        list(pool.map(try_out, wanted))
    finally:
        pool.shutdown(cancel_futures=True)
    for copy in [copies.get() for _ in range(options.workers)]:
        shutil.rmtree(copy.folder)
    print(f"of {len(wanted)} mutants: " + ", ".join(f"{n} {outcome}" for outcome, n in count.items()))
    return 1 if count["survived"] else 0


if __name__ == "__main__":
    sys.exit(main())
