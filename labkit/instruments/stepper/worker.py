"""One worker in one schedule: its function, traced line by line.

It stops before each line and asks its scheduler, which returns when it is its turn. When all is over it
leaves the user's code, whatever that does against it.
"""

from __future__ import annotations

import _thread
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any, Protocol

from labkit.instruments.stepper.hands import Ended, Hand, interrupt
from labkit.instruments.stepper.lines import NOWHERE, Lines
from labkit.instruments.stepper.locks import RUNNING, Lock

UNWINDING = 200
"""Lines that a worker may still execute, in `finally` and `with`, when all is over."""


@dataclass(slots=True)
class Wait:
    lock: Lock
    timeout: float
    expired: bool = False


class Scheduler(Protocol):
    """It decides which worker goes on: a Play."""

    state: Any
    lines: Lines
    over: bool

    def arrive(self, me: Worker, frame: FrameType) -> None:
        """Before a line: let the next worker go on, and come back when it is this one."""

    def wait_for(self, me: Worker, lock: Lock, timeout: float) -> bool:
        """Go on when the lock is free; False: the time ran out."""

    def ended(self, me: Worker, problem: BaseException | None) -> None:
        """The worker's function has returned, or raised."""

    def crashed(self, error: Exception) -> None:
        """The stepper itself has failed."""

    def looking(self) -> bool:
        """Whether the state is being shown."""


class Worker:
    """One worker in one schedule: where it stands, and its half of every hand-over."""

    def __init__(
        self, scheduler: Scheduler, index: int, name: str, function: Callable[[Any], object]
    ) -> None:
        self.scheduler, self.index, self.name, self.function = scheduler, index, name, function
        self.place = NOWHERE  # the line it executes, or is about to
        self.wait: Wait | None = None
        self.done = False
        self.begun = False  # its first line was reached
        self.count = 0  # lines
        self.told = False  # that all is over
        self.unwound = 0  # lines since then
        self.hand: Hand | None = None

    @property
    def lock(self) -> Lock | None:
        """What it waits for."""
        return self.wait.lock if self.wait else None

    @property
    def able(self) -> bool:
        return not self.done and (self.wait is None or self.wait.lock.free)

    def perform(self) -> None:
        """The whole job of its thread."""
        if self.scheduler.over:
            return
        problem: BaseException | None = None
        before = sys.gettrace()
        me = _thread.get_ident()
        RUNNING[me] = self
        try:
            try:
                sys.settrace(self._call)
                self.function(self.scheduler.state)
            finally:
                sys.settrace(before)
        except Ended:
            pass
        except BaseException as error:  # any kind: it is what broke
            problem = error
        finally:
            RUNNING.pop(me, None)
        try:
            self.scheduler.ended(self, problem)
        except Exception as error:  # the stepper's own fault: for the caller
            self.scheduler.crashed(error)

    def _call(self, frame: FrameType, event: str, arg: object) -> Any:
        if self.scheduler.looking() or not self.scheduler.lines.theirs(frame):
            return None
        return self._line

    def _line(self, frame: FrameType, event: str, arg: object) -> Any:
        if event == "line" and not self.scheduler.looking():
            if self.scheduler.over:
                self._unwind()
            else:
                self.scheduler.arrive(self, frame)
        return self._line

    def end(self) -> None:
        """All is over: leave the user's code."""
        self.told = True
        raise Ended

    def _unwind(self) -> None:
        if not self.told:  # it waited for something unknown
            self.end()
        self.unwound += 1
        # Raised from here it would end the tracing, and `except:` in a loop would swallow it.
        if self.unwound > UNWINDING and self.hand:
            self.hand.lost = True  # it may meet this too late
            interrupt(self.hand)

    def wait_for(self, lock: Lock, timeout: float) -> bool:
        return self.scheduler.wait_for(self, lock, timeout)
