"""Threads side by side: what each did at a moment, and the picture of it, whoever recorded it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace

from labkit.instruments.lanes.drawing import as_html
from labkit.instruments.lanes.states import HOLDS, LOCK, Interval, Mark, in_words
from labkit.instruments.lanes.text import as_text


class Lanes:
    """Threads side by side, and time to the right. It shows itself in Jupyter; its `repr` says the same.

    Args:
        intervals: of all threads; those of one thread that are no HOLDS do not overlap.
        marks: the events of a journal, with their times.
        unit: "s" for seconds since the recording began; "step" for the steps of a schedule.
        dropped: the threads of which only the newest intervals were kept.
        threads: in which order they are drawn; by default that in which they appear.
    """

    def __init__(
        self,
        intervals: Iterable[Interval],
        marks: Iterable[Mark] = (),
        *,
        unit: str = "s",
        title: str = "",
        dropped: Sequence[str] = (),
        threads: Sequence[str] = (),
    ) -> None:
        # The wider ones first: a lock that is taken under another is drawn over it.
        self.intervals = tuple(sorted(intervals, key=lambda i: (i.start, -i.end)))
        self.marks = tuple(sorted(marks, key=lambda mark: mark.at))
        self.unit = unit
        self.title = title or "what ran when"
        self.dropped = tuple(dropped)
        self.threads = tuple(threads) or tuple(dict.fromkeys(i.thread for i in self.intervals))
        # Each list without overlaps: what a thread does, and when it holds a certain lock.
        self._does: dict[str, list[Interval]] = {name: [] for name in self.threads}
        self._holds: dict[tuple[str, str], list[Interval]] = {}
        for i in self.intervals:
            if i.state == HOLDS:
                self._holds.setdefault((i.thread, i.what), []).append(i)
            elif i.thread in self._does:
                self._does[i.thread].append(i)

    # --- looking ---

    @property
    def start(self) -> float:
        """When the first interval begins."""
        return min((i.start for i in self.intervals), default=0.0)

    @property
    def end(self) -> float:
        """When the last one ends."""
        return max((i.end for i in self.intervals), default=0.0)

    @property
    def moments(self) -> list[float]:
        """All at which something changes, or was written down, in order; of steps, all."""
        if self.unit == "step":
            return [float(n) for n in range(int(self.start), int(self.end) + 1)]
        changes = {moment for i in self.intervals for moment in (i.start, i.end)}
        return sorted(changes.union(mark.at for mark in self.marks if self.start <= mark.at <= self.end))

    def state(self, thread: str, moment: float) -> Interval | None:
        """What this thread does at the moment, beside holding locks; None: it is not there.

        Raises:
            KeyError: there is no such thread.
        """
        return _at(self._does[thread], moment)

    def held(self, moment: float, thread: str | None = None) -> list[Interval]:
        """Who holds which locks at the moment: all threads, or one."""
        found = (_at(holds, moment) for (who, _), holds in self._holds.items() if thread in (None, who))
        return [one for one in found if one]

    def at(self, moment: float) -> str:
        """What each thread does at that moment, a line each."""
        moment = self._within(moment)
        lines = [f"{in_words(moment, self.unit)}"]
        lines += [f"  {name:<{self._widest()}}  {self.does(name, moment)}" for name in self.threads]
        return "\n".join(lines)

    def does(self, thread: str, moment: float) -> str:
        """What a thread does at that moment, in words."""
        moment = self._within(moment)
        now = self.state(thread, moment)
        if now is None:
            return "is not there"
        said = now.words
        if now.state == LOCK:
            holders = [i.thread for i in self.held(moment) if i.what == now.what]
            said += f", which {holders[0]} holds" if holders else ""
        holds = [i.what for i in self.held(moment, thread)]
        return said + (f", and holds {' and '.join(holds)}" if holds else "")

    def _within(self, moment: float) -> float:
        """The end is no part of the last intervals: to ask for it means just before it."""
        return self.moments[-2] if self.intervals and moment >= self.end else moment

    def _widest(self) -> int:
        return max(map(len, self.threads), default=0)

    # --- a part of it ---

    def between(self, start: float, end: float) -> Lanes:
        """The same, from one moment to another."""
        cut = [replace(i, start=max(i.start, start), end=min(i.end, end)) for i in self.intervals]
        return self._with(
            [i for i in cut if i.start < i.end], [m for m in self.marks if start <= m.at <= end]
        )

    def of(self, *names: str) -> Lanes:
        """Only these threads; or, of the locks that are held, only these. Part of a name will do.

        Raises:
            LookupError: nothing here is called so.
        """
        known = {*self.threads, *(i.what for i in self.intervals)}
        for name in names:
            if not any(name in other for other in known):
                raise LookupError(
                    f"nothing here is called {name!r}, only {', '.join(sorted(known - {''}))}"
                )
        threads = [t for t in self.threads if any(name in t for name in names)] or [*self.threads]
        locks = {i.what for i in self.intervals if i.state == HOLDS and any(n in i.what for n in names)}
        kept = [
            i
            for i in self.intervals
            if i.thread in threads and (i.state != HOLDS or not locks or i.what in locks)
        ]
        return self._with(kept, self.marks, threads)

    def _with(
        self, intervals: Iterable[Interval], marks: Iterable[Mark], threads: Sequence[str] = ()
    ) -> Lanes:
        return Lanes(
            intervals,
            marks,
            unit=self.unit,
            title=self.title,
            dropped=self.dropped,
            threads=threads or self.threads,
        )

    # --- shown ---

    def __str__(self) -> str:
        return as_text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return as_html(self)


def _at(intervals: Sequence[Interval], moment: float) -> Interval | None:
    """The one that covers the moment, of some that do not overlap."""
    place = bisect_right(intervals, moment, key=lambda i: i.start) - 1
    return intervals[place] if place >= 0 and intervals[place].covers(moment) else None
