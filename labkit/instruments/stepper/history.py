"""A schedule as lanes: for each step who runs, who waits for which lock, and who holds it.

A thread holds a lock from the step in which it takes it to the step in which it gives it back.
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.instruments.lanes.side_by_side import Lanes
from labkit.instruments.lanes.states import HOLDS, LOCK, READY, RUNS, WOKEN, Interval, called
from labkit.instruments.stepper.record import Step, Trace


def as_lanes(trace: Trace, title: str = "") -> Lanes:
    """The threads of the schedule, side by side."""
    intervals = [i for name in trace.names for i in (*_does(trace, name), *_holds(trace, name))]
    title = title or " and ".join(trace.names)
    return Lanes(intervals, unit="step", title=title, threads=trace.names)


def _does(trace: Trace, name: str) -> Iterator[Interval]:
    """What a thread does in each step; what lasts longer is one interval."""
    own = [n for n, step in enumerate(trace.steps) if step.thread == name]
    end = len(trace.steps)
    if trace.stands.get(name, None) is None and not (own and _waits(trace.steps[own[-1]])):
        end = own[-1] + 1 if own else 0  # it has ended
    states: list[tuple[str, str]] = []
    now = READY, ""
    for step in trace.steps[:end]:
        if step.thread == name:
            now = _waits(step) or (READY, "")
            states.append(_waits(step) or (RUNS, ""))
        else:
            states.append(now)
    start = 0
    for n in range(1, end + 1):
        if n == end or states[n] != states[start]:
            yield Interval(name, *states[start], start, n)
            start = n


def _waits(step: Step) -> tuple[str, str] | None:
    """What it has to wait for."""
    if not step.note.startswith("waits"):
        return None
    return (LOCK, called(step.waits)) if step.waits else (WOKEN, "")


def _holds(trace: Trace, name: str) -> Iterator[Interval]:
    since: dict[str, int] = {}
    for n, step in enumerate(trace.steps):
        held = {called(lock) for holder, lock in step.held if holder == name}
        for lock in held - since.keys():
            since[lock] = n
        for lock in since.keys() - held:
            yield Interval(name, HOLDS, lock, since.pop(lock), n + 1)
    for lock, start in since.items():
        yield Interval(name, HOLDS, lock, start, len(trace.steps))
