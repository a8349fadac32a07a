"""What is recorded while a schedule is played: each line, and the state that it left behind.

The state is as in snapshot.py, or as the user wants it; local names with a new value are noted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any

from labkit.instruments.stepper import snapshot
from labkit.instruments.stepper.lines import NOWHERE, Place
from labkit.instruments.stepper.locks import Lock, StillHeld

Show = Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class Step:
    """A line that was executed, and what it left behind."""

    thread: str
    line: int
    source: str
    state: str = ""
    note: str = ""  # what else there is to say: a local name that has changed, a wait
    parts: tuple[str, ...] = ()  # the state in pieces, one for each attribute
    place: Place = NOWHERE
    waits: str = ""  # for which lock it has to wait; what wakes a Condition has no name of its own
    held: tuple[tuple[str, str], ...] = ()  # afterwards: who holds which lock


@dataclass(frozen=True, eq=False)
class Trace:
    """A schedule that was played, step by step."""

    names: tuple[str, ...]  # of the threads
    steps: tuple[Step, ...]
    why: str  # what broke, in one sentence; "" if nothing did
    start: str  # the state before the first step
    start_parts: tuple[str, ...] = ()
    stands: dict[str, Place | None] = field(default_factory=dict)  # at the end; None: it has ended

    @property
    def schedule(self) -> tuple[str, ...]:
        """Who made each step; `replay` takes it."""
        return tuple(step.thread for step in self.steps)

    @property
    def verdict(self) -> str:
        """What came of it."""
        return f"✗ {self.why}" if self.why else "✓ nothing breaks"


class Record:
    """The steps of one schedule. `show`: state to text; None: as snapshot.py has it."""

    def __init__(self, state: Any, show: Show | None) -> None:
        self._state, self._show = state, show
        self.steps: list[Step] = []
        self.looking = False  # the state is being shown: the user's code that does this is no step
        self._frame: tuple[FrameType, dict[str, Any]] | None = None  # whose locals are known, and they
        self._globals: dict[str, Any] = {}  # of the line
        self.start, self.start_parts = self._look()

    def begins(self, name: str, place: Place) -> None:
        """A worker executes this line now."""
        self.steps.append(Step(name, place.line, place.text, place=place))

    def locals_of(self, frame: FrameType) -> None:
        """The line is in this frame."""
        self._globals = frame.f_globals
        # Not where a name is shared with another function: up to Python 3.12, to look at these and then let
        # another thread run undoes what that thread does to them.
        shared = frame.f_code.co_freevars or frame.f_code.co_cellvars
        self._frame = None if shared else (frame, dict(frame.f_locals))

    def made(
        self, name: str, frame: FrameType | None = None, note: str = "", lock: Lock | None = None
    ) -> None:
        """The line that this worker began was executed, or has to wait for the lock."""
        if not self.steps or self.steps[-1].thread != name:
            return
        if frame and self._frame and self._frame[0] is frame:
            before = self._frame[1]
            now = {k: v for k, v in frame.f_locals.items() if k not in before or before[k] is not v}
            with contextlib.suppress(StillHeld):
                note = note or ", ".join(f"{k} = {snapshot.text(v)}" for k, v in now.items())
        self._frame = None
        state, pieces = self._look()
        found = snapshot.locks(self._state) | snapshot.locks_in(self._globals)
        waits = "" if lock is None or lock.to_wake else found.get(lock, "a lock")
        held = tuple((one.holder, called) for one, called in found.items() if one.holder)
        self.steps[-1] = replace(
            self.steps[-1], state=state, parts=pieces, note=note, waits=waits, held=held
        )

    def _look(self) -> tuple[str, tuple[str, ...]]:
        """The state as text, whole and in pieces."""
        self.looking = True
        try:
            pieces = (self._show(self._state),) if self._show else snapshot.parts(self._state)
        except StillHeld:
            pieces = ("(cannot be shown while a lock is held)",)
        finally:
            self.looking = False
        return ", ".join(pieces), pieces
