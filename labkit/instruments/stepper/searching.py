"""In which order schedules are tried, and when it is enough.

Each schedule that was played says where another worker could have gone on instead. Each of these is the
beginning of another schedule, and of no other: so all are reached, and none twice. They wait in line by the
number of their switches. Some are not played: where a line touches only local names, it makes no difference
on which side of it another worker comes in; and to let on a worker that can only wait changes nothing.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import process_time
from typing import Any

from labkit.instruments.stepper.hands import Hand
from labkit.instruments.stepper.lines import Lines, plain
from labkit.instruments.stepper.locks import REAL_LOCK, RUNNING, Caller, OwnLocks
from labkit.instruments.stepper.play import PATIENCE, Play
from labkit.instruments.stepper.record import Record, Show
from labkit.instruments.stepper.snapshot import parts
from labkit.instruments.stepper.words import first_line

FURTHER = 200
"""Schedules with as many switches that are tried after the first that breaks, to find a shorter one."""

_ONE_AT_A_TIME = REAL_LOCK()
"""Guards the names in `threading` that are replaced while schedules are played."""


class Harness:
    """What schedules are played with: the workers, their state, and threads for them while entered."""

    def __init__(
        self,
        setup: Callable[[], Any],
        names: Sequence[str],
        functions: Sequence[Callable[[Any], object]],
        invariant: Callable[[Any], object] | None,
        show: Show | None,
    ) -> None:
        self.names, self._functions = names, functions
        self._setup, self._invariant, self._show = setup, invariant, show
        self._lines = Lines(functions)
        judge = [invariant] if invariant else []
        users: list[Callable[..., Any]] = [setup, *functions, *judge]
        self._locks = OwnLocks([plain(user) for user in users])
        self._hands: list[Hand] = []

    def __enter__(self) -> Harness:
        if threading.get_ident() in RUNNING:
            raise RuntimeError("a worker cannot use the stepper itself")
        _ONE_AT_A_TIME.acquire()
        self._locks.__enter__()
        self._hands = [Hand(name) for name in self.names]
        return self

    def __exit__(self, *_: object) -> None:
        for hand in self._hands:
            hand.dismiss()
        self._locks.__exit__()
        _ONE_AT_A_TIME.release()

    def play(
        self, plan: Sequence[int], *, strict: bool = False, record: bool = False, patience: float = PATIENCE
    ) -> Play:
        """Play one schedule, and judge what it leaves."""
        self._locks.renew()
        with Caller():
            state = self._setup()
            play = Play(
                self.names,
                self._functions,
                state,
                self._lines,
                plan,
                strict=strict,
                record=Record(state, self._show) if record else None,
                patience=patience,
            )
        play.run(self._hands)
        if not (play.why or play.misfit or play.equal) and self._invariant:
            with Caller():
                play.why = _broken(self._invariant, state, self._show)
        return play


def _broken(invariant: Callable[[Any], object], state: Any, show: Show | None) -> str:
    """What is wrong with this state; "" if nothing is."""
    try:
        holds = invariant(state)
    except Exception as error:  # any kind: it is what broke
        told = first_line(error)
        if told and isinstance(error, AssertionError):
            return told
        return f"the invariant fails with {type(error).__name__}" + (f": {told}" if told else "")
    if holds is None or holds:
        return ""
    name = getattr(invariant, "__name__", "<lambda>")
    whose = "the invariant" if name == "<lambda>" else name
    left = show(state) if show else ", ".join(parts(state))
    return f"{whose} does not hold" + (f": {left}" if left else "")


@dataclass(frozen=True)
class BrokenSchedule:
    """A schedule that breaks something."""

    taken: tuple[int, ...]
    why: str
    unknown: bool


@dataclass(frozen=True)
class SearchResult:
    """How a search ended."""

    found: BrokenSchedule | None
    tried: int
    complete: bool
    words: str


Branch = tuple[tuple[int, ...], int, int]  # a schedule, one of its steps, and who makes that instead


def search(harness: Harness, switches: int, schedules: int, seconds: float) -> SearchResult:
    """Try them, until one breaks something or a limit is reached."""
    give_up = process_time() + seconds
    tried, cut, further, limit = 0, False, FURTHER, ""
    found: BrokenSchedule | None = None
    level: deque[Branch] = deque([((), 0, -1)])
    for _ in range(switches + 1):
        following: deque[Branch] = deque()
        while level and further:
            if tried >= schedules or (tried and process_time() > give_up):
                limit = "that is the limit" if tried >= schedules else f"{seconds:g} seconds are over"
                break
            parent, step, who = level.popleft()
            play = harness.play(() if who < 0 else (*parent[:step], who))
            if play.misfit:
                raise ValueError(
                    f"the same schedule went another way the second time ({play.misfit}): "
                    "setup must make everything anew, each time the same"
                )
            if play.equal:
                continue
            tried += 1
            cut = cut or play.unfair
            taken = tuple(play.taken)
            if play.why and (found is None or len(taken) < len(found.taken)):
                found = BrokenSchedule(taken, play.why, play.unknown)
            if found:
                further = 0 if found.unknown else further - 1
            for step, who, free in play.branches:
                if free:
                    level.append((taken, step, who))
                else:
                    following.append((taken, step, who))
        if found or limit:
            cut = True
            break
        level = following
    complete = not cut and not level
    return SearchResult(found, tried, complete, _words(found, tried, complete, switches, limit))


def _words(found: BrokenSchedule | None, tried: int, complete: bool, switches: int, limit: str) -> str:
    many = f"{tried:,} schedule{'s' * (tried != 1)} tried"
    if found:
        return f"{many}, the fewest switches first: this one breaks"
    if limit:
        return f"{many}, and there are more ({limit}): nothing breaks so far"
    if complete:
        return f"{many}, all that there are: nothing breaks"
    return f"{many}, all with at most {switches} switch{'es' * (switches != 1)}: nothing breaks"
