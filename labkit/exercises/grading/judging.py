"""`judge(my_test)`: is this test any good? It is tried on servers that are right, and on wrong ones.

A test is a function that takes a server's address and raises if the server is wrong. A good one accuses no
right server and misses no wrong one. The servers are those of bench/judged_servers.py.

Server and test each run in a process of their own (server_child.py), a few at a time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from html import escape
from typing import Any

from labkit.exercises.bench.judged_servers import RIGHT
from labkit.exercises.catalogue.judge import JUDGE, JUDGED
from labkit.exercises.diagnosis.code import Finding
from labkit.exercises.diagnosis.testing import look_at_test
from labkit.exercises.general_hints import BUSY
from labkit.exercises.grading.checking import (
    ATTEMPTS,
    GRACE,
    NOTICED,
    YOUR_FILE,
    CannotSend,
    calm_down,
    pack,
)
from labkit.exercises.grading.explaining import text_of
from labkit.exercises.grading.process import INSIDE, Place, Process, Starved
from labkit.exercises.grading.result import cell, sign_cell
from labkit.exercises.progress import remembered
from labkit.instruments.markup import BAD, GOOD, bdi
from labkit.probe.patience import LATE, too_busy
from labkit.wire import browser

CHILD = "labkit.exercises.grading.server_child"

SECONDS = 6.0
"""Seconds that a test may take on one server, by a clock that stands still while others use the machine."""

AT_ONCE = 4
"""Servers that are tried at the same time."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a test said of one server.

    Args:
        server: its name: how it is made, or its bug.
        right: whether the server is right.
        accused: whether the test found it wrong.
        why: what the test said, or how it failed to end.
    """

    server: str
    right: bool
    accused: bool
    why: str

    @property
    def good(self) -> bool:
        """Whether the test was right."""
        return self.accused != self.right


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a test is worth. True if it accused no right server and caught every wrong one."""

    trials: tuple[Trial, ...]
    unusable: str = ""  # why it could not be tried at all
    not_judged: str = ""  # why nothing can be said of it: the machine was too busy
    look_at: tuple[Finding, ...] = ()  # lines of it that may keep it from finding anything

    @property
    def ok(self) -> bool:
        return not self.unusable and not self.not_judged and all(trial.good for trial in self.trials)

    def __bool__(self) -> bool:
        return self.ok

    @property
    def points(self) -> int:
        return len(JUDGED)

    @property
    def caught(self) -> int:
        """How many wrong servers it found wrong."""
        return sum(trial.accused for trial in self.trials if not trial.right)

    @property
    def accused(self) -> int:
        """How many right servers it found wrong."""
        return sum(trial.accused for trial in self.trials if trial.right)

    @property
    def score(self) -> int:
        """A point for each bug it caught; none if it accuses a right server, for then it proves nothing."""
        return 0 if self.accused or self.unusable or self.not_judged else self.caught

    def as_json(self) -> dict[str, object]:
        """What a script wants to know of it."""
        trials = [
            {"server": t.server, "right": t.right, "accused": t.accused, "why": t.why} for t in self.trials
        ]
        return {
            "exercise": "judge",
            "ok": self.ok,
            "score": None if self.not_judged else self.score,
            "points": self.points,
            "not_judged": self.not_judged or None,
            "unusable": self.unusable or None,
            "trials": trials,
            "look_at": [finding._asdict() for finding in self.look_at if not self.ok],
        }

    @property
    def headline(self) -> str:
        mark = "not judged" if self.not_judged else f"{self.score} of {self.points} points"
        return f"judge: {JUDGE.title} — {mark}"

    @property
    def words(self) -> str:
        """The judgement in a sentence."""
        if self.unusable:
            return f"Your test could not be run: {self.unusable}."
        if self.not_judged:
            return f"Your test was not judged: {self.not_judged}. Try again when it is less busy."
        if self.accused:
            return (
                f"It accuses {self.accused} of {sum(t.right for t in self.trials)} right servers. "
                "A test that does so proves nothing: mend this first."
            )
        look_at = "".join(f" Look at line {f.line}: {f.words}." for f in self.look_at if not self.ok)
        return f"It accuses no right server, and catches {self.caught} of {self.points} bugs.{look_at}"

    def _rows(self) -> Iterator[tuple[str, str, str, str]]:
        for trial in self.trials:
            kind = "right" if trial.right else "wrong"
            said = ("accused: " + trial.why) if trial.accused else "found nothing wrong"
            yield "✓" if trial.good else "✗", kind, trial.server, said

    def __str__(self) -> str:
        lines = [self.headline, ""]
        width = max((len(trial.server) for trial in self.trials), default=0)
        for sign, kind, server, said in self._rows():
            said = said if len(said) <= 70 else said[:69] + "…"
            lines.append(f"  {sign} {kind}  {server:<{width}}  {said}")
        return "\n".join([*lines, *[""] * bool(self.trials), self.words])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr>{sign_cell(sign)}{cell(kind)}{cell(bdi(server), 'min-width: 24ch', 'th')}"
            f"{cell(bdi(said), 'min-width: 30ch')}</tr>"
            for sign, kind, server, said in self._rows()
        )
        return (
            f'<div style="border-left: 4px solid {GOOD if self.ok else BAD}; padding: 4px 12px; '
            f'overflow-x: auto" tabindex="0" role="group" aria-label="{escape(self.headline)}">'
            f"<div><b>{escape(self.headline)}</b></div><div>{bdi(self.words)}</div>"
            f'<table style="margin-top: 6px; border-collapse: collapse">{rows}</table></div>'
        )


@remembered
def judge(test: Any, *, filename: str = YOUR_FILE, place: Place | None = None) -> Judgement:
    """Try a test on right servers and on wrong ones.

    Args:
        test: a function that takes (host, port) and raises if the server there is wrong; or Python source
            that defines one called `my_test`.
        filename: what to call the source in errors.
        place: where to run it, if not here: as a submission, guarded.
    """
    browser.refuse()
    if INSIDE in os.environ:
        return Judgement(())
    try:
        job = pack(test, filename) | {"role": "test", "wants": JUDGE.wants, "seconds": SECONDS}
        job |= place.job() if place else {}
    except CannotSend as error:
        return Judgement((), str(error))
    servers = [(style, True) for style in RIGHT] + [(name, False) for name in JUDGED]

    def attempt(server: tuple[str, bool]) -> Trial:
        return _tried(job, *server)

    try:
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="labkit-judge") as pool:
            trials = list(pool.map(attempt, [server for server in servers if server[1]]))
            if not all(trial.accused for trial in trials):  # else it would accuse the wrong ones, too
                trials += pool.map(attempt, [server for server in servers if not server[1]])
    except Unusable as error:
        return Judgement((), str(error))
    except Starved as why:
        return Judgement((), not_judged=str(why))
    text = text_of(test, job)
    return Judgement(tuple(trials), look_at=look_at_test(text.source, JUDGE.wants) if text else ())


class Unusable(Exception):
    """The test itself cannot be run."""


def _tried(test: dict[str, Any], name: str, right: bool) -> Trial:
    """What the test says of the server of this name.

    Raises:
        Starved: the machine is too busy to tell; tests wait by the wall clock.
    """
    for attempt in range(ATTEMPTS):
        if attempt:
            calm_down()
        trial, late = _try(test, name, right)
        if late < (LATE if trial.good or attempt else NOTICED):
            return trial
    raise Starved(too_busy(late))


def _try(test: dict[str, Any], name: str, right: bool) -> tuple[Trial, float]:
    """What the test says, and for how long a thread had to queue for a processor meanwhile."""
    with Process(CHILD, {"role": "server", "server": name}) as serving:
        serving.ready()
        report = serving.report(SECONDS)
        if report is None or report["state"] != "listening":
            raise RuntimeError(f"a server of ours does not start: {report}, {serving.printed}")
        with Process(CHILD, test | {"address": report["address"]}, beside=(serving.pid,)) as testing:
            began = testing.ready()
            return Trial(name, right, *_said(testing)), testing.clock.late_since(began)


def _said(testing: Process) -> tuple[bool, str]:
    """Whether the test accuses the server, and why."""
    try:
        said = testing.report(SECONDS + GRACE)
    except TimeoutError:
        return True, f"it did not end within {SECONDS:g} s"
    match said:
        case {"state": "right"}:
            return False, ""
        case {"state": "wrong", "why": why}:
            return True, why
        case {"state": "unusable", "why": why}:
            raise Unusable(why)
        case {"state": "stuck", "clue": clue, "at": at}:
            doing = "still at work" if clue == BUSY else "still waiting"
            return True, f"{doing} after {SECONDS:g} s, in {'; '.join(at)}"
        case {"state": "storm"}:
            return True, "it printed without an end"
    return True, f"its process ended {testing.status}"
