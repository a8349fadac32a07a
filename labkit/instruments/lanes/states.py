"""What a thread can be at, and an interval in which it is.

A thread waits, or it runs; meanwhile it may hold locks. So the intervals of one thread follow one another,
but for those in which it holds a lock: these lie over the others.
"""

from __future__ import annotations

from dataclasses import dataclass

RUNS = "runs"
"""It waits for nothing that is recorded. Perhaps for a processor, or for the GIL; nobody sees that."""

READY = "could go on"
"""The stepper's: it waits for nothing, and it is another's turn."""

RECV = "waits in recv"
ACCEPT = "waits in accept"
SELECT = "waits in select"
LOCK = "waits for a lock"
WOKEN = "waits to be woken"
HOLDS = "holds a lock"

LETTERS = {RUNS: "─", READY: "·", RECV: "r", ACCEPT: "a", SELECT: "s", LOCK: "w", WOKEN: "z", HOLDS: "H"}
"""Each state as one character. A capital letter: it holds a lock meanwhile."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A thread was in this state, from `start` to `end`, in seconds (or in steps, from 0)."""

    thread: str
    state: str
    what: str  # which lock, or whose socket; "" where there is none
    start: float
    end: float

    @property
    def words(self) -> str:
        """The state, with what it is about: "waits for the rooms' lock"."""
        if not self.what:
            return self.state
        if self.state in (LOCK, HOLDS):
            return self.state.replace("a lock", self.what)
        return f"{self.state}: {self.what}"

    def covers(self, moment: float) -> bool:
        return self.start <= moment < self.end


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that was written down at a moment: an event of a journal, a line on a screen."""

    at: float
    text: str
    thread: str = ""
    number: int = 0  # the event's, in its journal


def in_words(moment: float, unit: str) -> str:
    """A moment, with its unit."""
    return f"step {int(moment) + 1}" if unit == "step" else f"{moment:.6f} s"


def called(lock: str) -> str:
    """A lock, by the name of its attribute."""
    name = lock.lstrip("_")
    return "the lock" if name == "lock" else f"the lock {name}"
