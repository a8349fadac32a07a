"""From what was recorded to lanes: what each thread did between its waits, and what things are called."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from labkit.instruments.lanes.recorded import KEPT, Lane, Span, Thing
from labkit.instruments.lanes.side_by_side import Lanes
from labkit.instruments.lanes.states import HOLDS, LOCK, RECV, RUNS, WOKEN, Interval, Mark
from labkit.journal import Event, Journal

STAMPS = 10_000
"""Moments that are kept of each journal: the newest; as many as a journal keeps events, by default."""


@dataclass(slots=True)
class Stamps:
    """When the events of a journal came."""

    before: int  # how many it had when the recording began
    # How many it had, and when.
    after: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=STAMPS))

    def when(self) -> dict[int, int]:
        """The moment of each event, by its number: the first at which it is known to be there."""
        times: dict[int, int] = {}
        # If older ones were dropped, those before the first that is kept have no time.
        number = self.after[0][0] - 1 if len(self.after) == STAMPS else self.before
        for count, moment in sorted(self.after.copy(), key=lambda stamp: stamp[1]):
            for n in range(number + 1, count + 1):
                times[n] = moment
            number = max(number, count)
        return times


class Told(NamedTuple):
    """What a recording has to tell."""

    lanes: Lanes
    screens: dict[str, list[Mark]]
    times: list[tuple[Journal, dict[int, float]]]


def told(
    began: int,
    now: int,
    spans: Iterable[tuple[Lane, list[Span]]],
    standing: Mapping[threading.Thread, tuple[str, Thing, int]],
    stamps: Sequence[tuple[Journal, Stamps]],
    wires: Sequence[Journal],
    screens: Mapping[str, list[tuple[int, str]]],
) -> Told:
    """All of it in seconds since it `began`.

    The events of `wires`, which have numbers of their own, are not among those of the lanes.
    """
    own: dict[Lane, list[Span]] = {}
    for lane, more in spans:
        if more or lane.thread in standing:  # not one that only asked for the recording
            own.setdefault(lane, []).extend(more)
    nicknames = {e.thread: e.who for journal, _ in stamps for e in journal if e.kind == "joined"}
    called = _sockets(own, standing, nicknames)
    threads = {lane: lane.thread for lane in own}
    names = _names([*threads.values(), *(t for t in standing if t not in threads.values())])
    intervals: list[Interval] = []

    def add(thread: threading.Thread, span: Span) -> None:
        state, thing, start, end = span
        if thing.bell:
            state = WOKEN if state == LOCK else state
        if not (thing.bell and state == HOLDS):
            what = called.get(thing, thing.name)
            intervals.append(
                Interval(names[thread], state, what, (start - began) / 1e9, (end - began) / 1e9)
            )

    for lane, does in own.items():
        first = max(began, lane.began)
        if waited := standing.get(lane.thread):
            state, thing, since = waited
            moved = min((span[2] for span in does if span[2] >= since), default=now)
            does.append((state, thing, since, moved))
            first = min(first, since)
        last = now if lane.thread.is_alive() else max((span[3] for span in does), default=first)
        for span in [*does, *_runs(does, first, last)]:
            add(lane.thread, span)
    for thread, waited in standing.items():
        if thread not in threads.values():
            add(thread, (*waited, now))
    times = [
        (journal, {n: (t - began) / 1e9 for n, t in stamp.when().items()}) for journal, stamp in stamps
    ]
    heard = [(journal, when) for journal, when in times if not any(journal is wire for wire in wires)]
    marks = [Mark(when[e.n], _words(e), e.thread, e.n) for j, when in heard for e in j if e.n in when]
    shown = {who: [Mark((t - began) / 1e9, line) for t, line in lines] for who, lines in screens.items()}
    dropped = [names[lane.thread] for lane in own if len(lane.spans) == KEPT]
    order = sorted(names, key=lambda thread: (names[thread] == "MainThread", thread.name))
    lanes = Lanes(intervals, marks, dropped=dropped, threads=[names[thread] for thread in order])
    return Told(lanes, shown, times)


_NOTHING = Thing("")


def _runs(does: list[Span], first: int, last: int) -> Iterator[Span]:
    """The time between the waits."""
    for _, _, start, end in sorted((s for s in does if s[0] != HOLDS), key=lambda span: span[2]):
        if first < start:
            yield RUNS, _NOTHING, first, start
        first = max(first, end)
    if first < last:
        yield RUNS, _NOTHING, first, last


def _sockets(
    own: Mapping[Lane, list[Span]],
    standing: Mapping[threading.Thread, tuple[str, Thing, int]],
    nicknames: Mapping[str, str],
) -> dict[Thing, str]:
    """Names for those without one: each is that of the client whose thread reads from it."""
    reading = [(thread, state, thing) for thread, (state, thing, _) in standing.items()]
    reading += [(lane.thread, state, thing) for lane, does in own.items() for state, thing, _, _ in does]
    return {
        thing: f"{nicknames.get(thread.name) or thread.name}'s socket"
        for thread, state, thing in reversed(reading)  # the first that reads counts
        if state == RECV and thing.name in ("", "a socket", "sock")
    }


def _names(threads: Iterable[threading.Thread]) -> dict[threading.Thread, str]:
    """Their names, each once."""
    names: dict[threading.Thread, str] = {}
    for thread in threads:
        same = sum(other.name == thread.name for other in names)
        names[thread] = f"{thread.name} ({same + 1})" if same else thread.name
    return names


def _words(event: Event) -> str:
    """An event without its number."""
    return " ".join(str(event).split()[1:])
