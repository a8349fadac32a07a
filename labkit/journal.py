"""What happened, in order: a bounded record that any thread may write to.

The server writes down whom it asked, who joined, what was said where, who left, and which thread did it.
A journal is to be read afterwards, or to wait for an event. It is no log file: it keeps the newest events
in memory and counts those it dropped.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple

from labkit.wire.text import brief, isolated

LONGEST_TEXT = 200
"""Characters kept of what was said: a journal stays small whatever passes through it."""

_LONGEST_BYTES = 4 * LONGEST_TEXT  # no character takes more than 4


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened."""

    n: int  # 1 for the first; no number is given twice
    kind: str  # "joined", "said", "left", …
    who: str  # the nickname, or "" where there is none yet
    what: str  # the words: what was said, why a client left
    where: str  # the room, or whom it was said to
    thread: str  # the name of the thread in which it happened

    def __str__(self) -> str:
        # What a link saw is escaped already, and shows which bytes they were.
        said = self.what if self.kind == "bytes" or not self.what else f"{self.what!r}"
        who, where, said = map(isolated, (self.who, self.where, said))
        return f"{self.n:>3}  {self.kind:<9}  {who:<8}  {where:<8}  {said}".rstrip()


def shown(data: bytes | memoryview) -> str:
    """Bytes as a journal has them: escaped, shortened, and with their number."""
    return f"{bytes(data[:64])!r}"[1:] + ("…" if len(data) > 64 else "") + f" ({len(data)})"


def _shortened(lines: str | bytes) -> str | bytes:
    """What a journal keeps of these lines; one of text alone is short already."""
    if isinstance(lines, str):
        return lines
    texts = lines[:-1].decode().split("\n")
    return "\n".join([*(brief(text, LONGEST_TEXT) for text in texts), ""]).encode()


Run = tuple[int, str, str | bytes, str, str]
"""How many events, who, their words, where, and the name of the thread in which they happened ("": the one
that records them). The words are text for one event, or lines in UTF-8, each with its LF."""


class _Run(NamedTuple):
    """Events recorded at once. Most are never looked at, so each is made only when it is."""

    last: int  # the number of the last
    kind: str
    who: str
    what: str | bytes  # bytes: lines in UTF-8, each with its LF and an event of its own
    where: str
    thread: str

    def events(self) -> Iterator[Event]:
        whats = [self.what] if isinstance(self.what, str) else self.what[:-1].decode().split("\n")
        for n, what in enumerate(whats, self.last - len(whats) + 1):
            yield Event(n, self.kind, self.who, brief(what, LONGEST_TEXT), self.where, self.thread)


class Journal:
    """The newest `limit` events, oldest first. Any thread may use it; iterating walks over a copy."""

    def __init__(self, limit: int = 10_000) -> None:
        if limit < 1:
            raise ValueError(f"a journal keeps at least one event, not {limit}")
        self._limit = limit
        # As `_Run`s are made: the newest `limit` events, and perhaps some before them.
        self._runs: deque[tuple[int, str, str, str | bytes, str, str]] = deque()
        self._count = 0  # events ever recorded
        self._waiting = 0  # threads in `wait_for`: mostly none, and to notify none costs time, too
        # Guards the three above, so that the numbers run in the order of the events. To read one number
        # needs no lock.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)

    def record(self, kind: str, who: str = "", what: str = "", where: str = "") -> None:
        """Write down what has just happened in this thread."""
        text = what if len(what) <= LONGEST_TEXT else brief(what, LONGEST_TEXT)
        self.record_runs(kind, [(1, who, text, where, "")])

    def record_runs(self, kind: str, runs: list[Run]) -> None:
        """Write down runs of events of one kind; those of a run differ in nothing but their words."""
        with self._lock:
            for count, who, what, where, thread in runs:
                if len(what) > count * _LONGEST_BYTES:
                    what = _shortened(what)
                self._count += count
                thread = thread or threading.current_thread().name
                self._runs.append((self._count, kind, who, what, where, thread))
            oldest = self._count - self._limit
            while self._runs and self._runs[0][0] <= oldest:
                self._runs.popleft()
            if self._waiting:
                self._changed.notify_all()

    def _events(self, since: int = 0) -> list[Event]:
        """The newest events, at most `limit`, and none up to number `since`. The lock must be held."""
        since = max(since, self._count - self._limit)
        runs = list(takewhile(lambda run: run[0] > since, reversed(self._runs)))
        return [event for run in reversed(runs) for event in _Run(*run).events() if event.n > since]

    def wait_for(self, kind: str, who: str | None = None, timeout: float = 5.0, *, count: int = 1) -> Event:
        """The first event of this kind (and of this person) that is kept, or the `count`-th.

        Raises:
            TimeoutError: it did not come within `timeout` seconds; the text tells what came last instead.
        """
        looked_at = found = 0

        def look() -> Event | None:
            nonlocal looked_at, found
            for event in self._events(looked_at):  # only the new: threads that record wait meanwhile
                found += event.kind == kind and who in (None, event.who)
                if found == count:
                    return event
            looked_at = self._count
            return None

        with self._lock:
            self._waiting += 1
            try:
                if event := self._changed.wait_for(look, timeout):  # looks again when the time is over
                    return event
            finally:
                self._waiting -= 1
            latest = "; ".join(" ".join(str(e).split()) for e in self._events(self._count - 3))
        wanted = f"{who} {kind}" if who else kind
        wanted += f" number {count}" if count > 1 else ""
        raise TimeoutError(f"{timeout:g} s passed without {wanted!r}; last came: {latest or 'nothing'}")

    @property
    def dropped(self) -> int:
        """How many events were forgotten because newer ones needed the room."""
        return max(0, self._count - self._limit)

    def __len__(self) -> int:
        return min(self._count, self._limit)

    def __iter__(self) -> Iterator[Event]:
        with self._lock:
            return iter(self._events())

    def __repr__(self) -> str:
        """The events as text, one a line."""
        with self._lock:
            events, dropped = self._events(), self.dropped
        lines = [f"… {dropped} earlier events dropped"] if dropped else []
        return "\n".join(lines + [str(event) for event in events]) or "nothing has happened"
