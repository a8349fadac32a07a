"""What happened, in order: a bounded record that any thread may write to.

The server writes down whom it asked, who joined, what was said where and who left, and which thread
did it. A journal is for reading afterwards, or for waiting until something has happened. It is not a
log file: it keeps the newest events in memory and counts the ones it had to drop.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import NamedTuple

LONGEST_TEXT = 200
"""Characters kept of what was said: a journal must stay small whatever passes through it."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened."""

    n: int  # 1 for the first; no number is given twice
    kind: str  # "joined", "said", "left", …
    who: str  # the nickname, or "" where there is none yet
    what: str  # the words: what was said, why somebody left
    where: str  # the room, or whom it was said to
    thread: str  # the name of the thread that wrote this down

    def __str__(self) -> str:
        # What a link saw is escaped already, and shows which bytes they were.
        said = self.what if self.kind == "bytes" or not self.what else f"{self.what!r}"
        parts = (f"{self.n:>3}", f"{self.kind:<9}", f"{self.who:<8}", f"{self.where:<8}", said)
        return "  ".join(parts).rstrip()


def shown(data: bytes | memoryview) -> str:
    """Bytes as a journal has them: escaped, shortened, and with their number."""
    return f"{bytes(data[:64])!r}"[1:] + ("…" if len(data) > 64 else "") + f" ({len(data)})"


def _brief(what: str) -> str:
    return what if len(what) <= LONGEST_TEXT else what[: LONGEST_TEXT - 1] + "…"


class _Run(NamedTuple):
    """Events of one kind, recorded at once. Most are never looked at, so they are made when they are."""

    first: int  # the number of the first
    kind: str
    who: str
    whats: Sequence[str]
    where: str
    thread: str

    def events(self) -> Iterator[Event]:
        for n, what in enumerate(self.whats, self.first):
            yield Event(n, self.kind, self.who, what, self.where, self.thread)


class Journal:
    """The newest `limit` events, oldest first. Safe to use from any thread.

    It may be read while others write: iterating walks over a copy.
    """

    def __init__(self, limit: int = 10_000) -> None:
        if limit < 1:
            raise ValueError(f"a journal keeps at least one event, not {limit}")
        self._limit = limit
        self._runs: deque[_Run] = deque()  # the newest `limit` events, and perhaps some before them
        self._count = 0  # events ever recorded
        self._kept = 0  # events in the runs
        # Guards the three above, so that the numbers run in the order of the events.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._waiting = 0  # guarded too: waking nobody is not free, and most of the time nobody waits

    def record(self, kind: str, who: str = "", what: str = "", where: str = "") -> None:
        """Write down that something happened, just now, in this thread."""
        self.record_all(kind, who, (what,), where)

    def record_all(self, kind: str, who: str, whats: Sequence[str], where: str = "") -> None:
        """Write down several events that differ in nothing but their words."""
        if max(map(len, whats), default=0) > LONGEST_TEXT:
            whats = [_brief(what) for what in whats]
        thread = threading.current_thread().name
        with self._lock:
            self._runs.append(_Run(self._count + 1, kind, who, whats, where, thread))
            self._count += len(whats)
            self._kept += len(whats)
            while self._kept - len(self._runs[0].whats) >= self._limit:
                self._kept -= len(self._runs.popleft().whats)
            if self._waiting:
                self._changed.notify_all()

    def _events(self, since: int = 0) -> list[Event]:
        """The newest events, at most `limit`, and none up to number `since`. The lock must be held."""
        since = max(since, self._count - self._limit)
        runs: list[_Run] = []
        for run in reversed(self._runs):
            if run.first + len(run.whats) <= since + 1:
                break
            runs.append(run)
        return [event for run in reversed(runs) for event in run.events() if event.n > since]

    def wait_for(self, kind: str, who: str | None = None, timeout: float = 5.0, *, count: int = 1) -> Event:
        """An event of this kind (and of this person), now or within `timeout` seconds.

        The first one that is kept; or the second, with `count=2`, and so on.

        Raises:
            TimeoutError: so many did not come; the text tells what came last instead.
        """
        give_up = monotonic() + timeout
        looked_at = found = 0
        with self._lock:
            self._waiting += 1
            try:
                while True:
                    # Only what is new: whoever records waits for us meanwhile.
                    new = self._events(looked_at)
                    looked_at = self._count
                    for event in new:
                        found += event.kind == kind and who in (None, event.who)
                        if found == count:
                            return event
                    # An event can come at the last moment, after `wait` has given up; so look once more.
                    left = give_up - monotonic()
                    if left <= 0:
                        break
                    self._changed.wait(left)
            finally:
                self._waiting -= 1
            latest = "; ".join(" ".join(str(e).split()) for e in self._events(self._count - 3))
        wanted = f"{who} {kind}" if who else kind
        wanted += f" number {count}" if count > 1 else ""
        raise TimeoutError(f"{timeout:g} s passed without {wanted!r}; last came: {latest or 'nothing'}")

    @property
    def dropped(self) -> int:
        """How many events were forgotten because newer ones needed the room."""
        with self._lock:
            return max(0, self._count - self._limit)

    def __len__(self) -> int:
        with self._lock:
            return min(self._count, self._limit)

    def __iter__(self) -> Iterator[Event]:
        with self._lock:
            return iter(self._events())

    def __repr__(self) -> str:
        """The events as text, one a line."""
        with self._lock:
            events, dropped = self._events(), max(0, self._count - self._limit)
        lines = [str(event) for event in events]
        if dropped:
            lines.insert(0, f"… {dropped} earlier events dropped")
        return "\n".join(lines) if lines else "nothing has happened"
