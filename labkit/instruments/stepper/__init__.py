"""Two or three threads, one line at a time, in an order that is chosen: explore all orders, replay one.

A race shows itself once in a thousand runs, and never when you look. Here nothing is left to luck. The
workers are functions that share a state; they run in real threads, and at each line the stepper decides
which of them goes on. `explore` tries one schedule after the other until something breaks, those with the
fewest switches first, so that you can follow what it finds. `replay` runs one schedule again, and shows it.

    def setup():
        return {"count": 0}

    def add_one(state):
        n = state["count"]
        state["count"] = n + 1

    explore(setup, {"alice": add_one, "bob": add_one}, lambda state: state["count"] == 2)

A step is a line: nothing comes between the two halves of `x += 1`, of a comprehension, or of a call into a
library, though on a real machine something can. The stepper does not know what a worker waits for outside
the process, or at a clock, and it knows no thread but its own. Locks are its own as long as `setup` or a
worker makes them: `threading.Lock()` gives one.

- searching.py   in which order schedules are tried, and when it is enough
- play.py        one schedule, played once
- worker.py      one worker in one schedule, traced line by line
- hands.py       the threads of the workers
- locks.py       locks that know their holder, and tell the stepper when a worker has to wait
- lines.py       which lines are steps, and what is in them
- record.py      what is recorded while a schedule is played
- snapshot.py    shared state as short text
- words.py       what broke, in words
- table.py       a schedule as a table, as text and as HTML
- panel.py       a panel to walk through it
- history.py     a schedule as lanes: who waits for a lock, and who holds it
- run.py         a schedule that was played, as a student gets it
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labkit.instruments.stepper.lines import plain
from labkit.instruments.stepper.locks import Lock, RLock
from labkit.instruments.stepper.play import PATIENCE
from labkit.instruments.stepper.record import Show, Step
from labkit.instruments.stepper.run import Run
from labkit.instruments.stepper.searching import Harness, search
from labkit.instruments.stepper.table import as_html, note_as_html

__all__ = ["Exploration", "Lock", "RLock", "Run", "Step", "explore", "replay"]

Worker = Callable[[Any], object]
Workers = Sequence[Worker] | Mapping[str, Worker]
Schedule = tuple[str, ...]

SHORT_PATIENCE = 0.5
"""Seconds, where a schedule is known to end with a wait for something unknown."""


_ANOTHER_WAY = (
    "a schedule broke something, and went another way when it was played again: setup must make everything "
    "anew, and workers must not leave anything to chance, to the clock or to threads of their own"
)


@dataclass(frozen=True, eq=False)
class Exploration:
    """What `explore` has found: a schedule that breaks something, or none."""

    found: bool
    schedule: Schedule | None  # one name for each step; `replay` takes it
    why: str  # what broke, in one sentence; "" if nothing did
    tried: int  # schedules
    complete: bool  # these were all that there are
    run: Run | None  # the schedule, played again
    words: str  # what was tried, in words

    def __bool__(self) -> bool:
        return self.found

    def __str__(self) -> str:
        return f"{self.words}\n\n{self.run}" if self.run else self.words

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return as_html(self.run, self.words) if self.run else note_as_html(self.words)

    def slider(self) -> Any:
        """Widgets to walk through the schedule that was found.

        Raises:
            ValueError: none was found.
        """
        if self.run is None:
            raise ValueError(f"there is nothing to walk through: {self.words}")
        return self.run.slider()


def explore(
    setup: Callable[[], Any],
    workers: Workers,
    invariant: Callable[[Any], object] | None = None,
    *,
    switches: int = 4,
    schedules: int = 20_000,
    seconds: float = 5.0,
    show: Show | None = None,
) -> Exploration:
    """Try schedules until one breaks something: the fewest switches first, and of these the shortest.

    These break: the invariant fails, an exception leaves a worker, a deadlock, a worker goes on for more
    than 2000 lines, or waits for something that the stepper does not know.

    A switch is one that need not be: the worker before it could have gone on. It is none when another
    worker goes on because one ends, or waits for a lock. A wait for a lock with a `timeout` lasts until no
    other worker can go on; then the time runs out.

    Args:
        setup: makes the shared state, anew for each schedule.
        workers: two or three functions, or name -> function; each is called with the state.
        invariant: called with the state when all have ended. False (or a false value other than None), or
            an AssertionError: broken.
        switches: the most that a schedule may have.
        schedules: the most that are tried.
        seconds: of processor time, after which no other is begun.
        show: the state as text, for the table; None: what is in it, shortened.

    Raises:
        ValueError: there are not two or three workers, or a limit is out of range, or a schedule goes
            another way when it is played again: then `setup` leaves something as it was.
    """
    for name, value, least in (("switches", switches, 0), ("schedules", schedules, 1)):
        if value < least:
            raise ValueError(f"{name}: {least} or more is needed, not {value!r}")
    harness = _harness(setup, workers, invariant, show)
    with harness:
        result = search(harness, switches, schedules, seconds)
        if result.found is None:
            return Exploration(False, None, "", result.tried, result.complete, None, result.words)
        found = result.found
        try:
            run = _run(harness, found.taken, SHORT_PATIENCE if found.unknown else PATIENCE)
        except ValueError as error:
            raise ValueError(f"{_ANOTHER_WAY} ({found.why}; then: {error})") from None
    if not run.why:
        raise ValueError(f"{_ANOTHER_WAY} ({found.why}; then nothing)")
    return Exploration(True, run.schedule, run.why, result.tried, result.complete, run, result.words)


def replay(
    setup: Callable[[], Any],
    workers: Workers,
    schedule: Sequence[str | int],
    invariant: Callable[[Any], object] | None = None,
    *,
    show: Show | None = None,
) -> Run:
    """Play one schedule. The same one goes the same way, always.

    Args:
        schedule: who makes each step, by name or by number from 0: as `Exploration.schedule` has it.
        Others are as for `explore`.

    Raises:
        ValueError: the schedule does not fit these workers.
    """
    harness = _harness(setup, workers, invariant, show)
    numbers = {name: i for i, name in enumerate(harness.names)}
    plan = []
    for who in schedule:
        number = who if isinstance(who, int) else numbers.get(who, -1)
        if number not in range(len(harness.names)):
            raise ValueError(
                f"the schedule does not fit: nobody here is called {who!r}, only {', '.join(harness.names)}"
            )
        plan.append(number)
    with harness:
        return _run(harness, plan, PATIENCE)


def _run(harness: Harness, plan: Sequence[int], patience: float) -> Run:
    play = harness.play(plan, strict=True, record=True, patience=patience)
    if play.misfit:
        raise ValueError(f"the schedule does not fit: {play.misfit}")
    stands = {worker.name: None if worker.done else worker.place for worker in play.workers}
    record = play.record
    assert record is not None
    return Run(
        tuple(harness.names), tuple(record.steps), play.why, record.start, record.start_parts, stands
    )


def _harness(
    setup: Callable[[], Any],
    workers: Workers,
    invariant: Callable[[Any], object] | None,
    show: Show | None,
) -> Harness:
    named = dict(workers) if isinstance(workers, Mapping) else _named(list(workers))
    if len(named) not in (2, 3):
        raise ValueError(f"two or three workers are needed, not {len(named)}")
    for name, worker in named.items():
        if not isinstance(name, str) or not callable(worker):
            raise ValueError(f"a worker is a function, with a name that is text; not {name!r}: {worker!r}")
    if not callable(setup):
        raise ValueError(f"setup is a function that makes the state, not {setup!r}")
    return Harness(setup, list(named), list(named.values()), invariant, show)


def _named(workers: list[Worker]) -> dict[str, Worker]:
    """Each by the name of its function; with a number where two have the same name."""
    names = [getattr(plain(worker), "__name__", "worker") for worker in workers]
    names = ["worker" if name == "<lambda>" else name for name in names]
    if len(set(names)) < len(names):
        names = [f"{name} {i + 1}" for i, name in enumerate(names)]
    return dict(zip(names, workers, strict=True))
