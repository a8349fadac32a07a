"""One schedule, played once: real threads, of which exactly one runs at any moment.

Each worker (worker.py) has a thread, which stops before each line. There it decides itself, by the plan,
which worker goes on, and either runs on or hands over and waits for its turn: no thread stands between
them. A worker that would wait for a lock hands over, too. So the play always knows which workers can go on;
when none can, that is a deadlock.

When something has broken, or all is done, every thread ends: those that wait get an exception that no
student's code expects, and what they have in `finally` and `with` runs without a plan.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from labkit.instruments.stepper.hands import Ended, Hand
from labkit.instruments.stepper.lines import Lines, Place
from labkit.instruments.stepper.locks import REAL_LOCK, Lock, StillHeld
from labkit.instruments.stepper.record import Record
from labkit.instruments.stepper.words import at, deadlock, first_line
from labkit.instruments.stepper.worker import Wait, Worker
from labkit.probe.deadline import SLICE, Deadline

LINES = 2000
"""Lines that one worker may execute; one that needs more counts as endless."""

PATIENCE = 2.0
"""Seconds without a step after which a thread counts as waiting for something unknown."""

SPIN = 100
"""Lines in a row after which to check whether a worker goes round and round and changes nothing."""


class Play:
    """A schedule: by the plan as far as it goes, and from there on without a switch that is not forced.

    Args:
        names: of the workers, and `functions`, what they do with the state.
        plan: for each step the index of the worker that makes it.
        strict: the plan must be the whole schedule.
        record: of the steps; None: none is kept.
    """

    def __init__(
        self,
        names: Sequence[str],
        functions: Sequence[Callable[[Any], object]],
        state: Any,
        lines: Lines,
        plan: Sequence[int] = (),
        *,
        strict: bool = False,
        record: Record | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self.state, self.lines, self.plan, self.strict = state, lines, plan, strict
        self.workers = [
            Worker(self, i, name, f) for i, (name, f) in enumerate(zip(names, functions, strict=True))
        ]
        self.taken: list[int] = []
        # A step, which other worker could make it, and whether that is no switch.
        self.branches: list[tuple[int, int, bool]] = []
        self.why = ""
        self.misfit = ""  # the plan does not fit, and why
        self.equal = False  # leads to nothing that another schedule does not lead to
        self.unfair = False  # a worker that went round and round was stopped for others
        self.unknown = False  # a worker waits for something unknown
        self.over = False
        self._crash: Exception | None = None
        self.record, self._patience = record, patience
        self._ticks = 0  # changes whenever anything moves
        self._finished = REAL_LOCK()
        self._finished.acquire()
        self._guard = REAL_LOCK()  # guards `over` and `_parked`
        self._parked: set[int] = set()
        self._row = 0  # lines that the running worker has made in a row
        self._seen: set[tuple[object, ...]] = set()
        self._spinning = False

    # --- the caller's side ---

    def run(self, hands: list[Hand]) -> None:
        """Play it to its end. A hand that does not come back is replaced."""
        for worker, hand in zip(self.workers, hands, strict=True):
            worker.hand = hand
            hand.job = worker.perform
        self._parked = set(range(len(hands)))
        try:
            with contextlib.suppress(Ended):  # the plan does not even begin
                self._start(self._choose(None))
            self._watch()
        finally:
            self._end()  # a KeyboardInterrupt, too
            for i, hand in enumerate(hands):
                if not hand.came_back():
                    hand.retire()
                    hands[i] = Hand(self.workers[i].name)
        if self._crash:
            raise self._crash
        if self.strict and not self.misfit and len(self.taken) < len(self.plan):
            made = len(self.taken)
            self.misfit = f"it has {len(self.plan)} steps, and after {made} all is over" + (
                f": {self.why}" if self.why else ""
            )

    def _watch(self) -> None:
        deadline, ticks, worked = Deadline(self._patience), -1, 0.0
        while not self._finished.acquire(timeout=SLICE):
            running = self.workers[self.taken[-1]]
            if ticks != self._ticks:
                deadline, ticks, worked = Deadline(self._patience), self._ticks, _worked(running.hand)
            elif deadline.passed():
                self.unknown = True
                where = at(running.place)
                # On a busy machine it gets a part of a core.
                if _worked(running.hand) - worked > self._patience / 10:
                    self._end(f"{running.name} goes on and on within one line, {where}")
                    continue  # it executes Python, so it can be interrupted
                self._end(f"{running.name} waits for something that the stepper does not know, {where}")
                if running.hand:
                    running.hand.lost = True  # it ends when its wait does

    # --- the workers' side; one at a time, in turn ---

    def arrive(self, me: Worker, frame: FrameType) -> None:
        """Before a line: let the next worker go on, and come back when it is this one."""
        place = self.lines.at(frame)
        if not me.begun:
            me.begun = True
        else:
            self._step_made(me, frame)
            me.place = place
            if me.count >= LINES:
                self._end(f"{me.name} goes on and on: {LINES} lines and no end, {at(place)}")
                me.end()
            choice = self._choose(me, stay=True, leave=not place.quiet)
            self._give(me, choice)
            if choice == me.index:
                self._look_for_spinning(frame)
        me.place = place
        self._begin(me)
        if self.record:
            self.record.locals_of(frame)

    def wait_for(self, me: Worker, lock: Lock, timeout: float) -> bool:
        """Go on when the lock is free; False: time ran out, because no other worker could go on."""
        if self.over:
            me.end()
        if self.looking():
            raise StillHeld
        if not self.strict and self.plan and len(self.taken) == len(self.plan) and me.place.takes_a_lock:
            # It was let on to take this lock, and cannot: as if it had not been let on.
            self.equal = True
            self._end()
            me.end()
        me.wait = Wait(lock, timeout)
        note = "waits to be woken" if lock.to_wake else f"waits: {lock.holder} holds it"
        self._step_made(me, None, note, lock)
        choice = self._choose(me)
        if choice is None:
            self._end(deadlock(self.workers, self.state))
            me.end()
        self._give(me, choice)
        expired, me.wait = me.wait.expired, None
        self._begin(me)
        return not expired

    def ended(self, me: Worker, problem: BaseException | None) -> None:
        """The worker's function has returned, or raised."""
        me.done = True
        if self.over:
            return
        if not me.begun and not me.count:
            self._begin(me)
        if problem is not None:
            place = self._last_line(problem) or me.place
            what = f"{type(problem).__name__}: {first_line(problem)}".removesuffix(": ")
            self._step_made(me, None, f"fails: {type(problem).__name__}")
            self._end(f"{me.name} fails with {what}, {at(place)}")
            return
        self._step_made(me)
        with contextlib.suppress(Ended):  # the plan does not fit; this one has ended anyway
            self._start(self._choose(None, after=me.index))

    def crashed(self, error: Exception) -> None:
        """The stepper itself has failed, in the thread of a worker."""
        self._crash = error
        self._end()

    def _last_line(self, error: BaseException) -> Place | None:
        """The user's line in which it was raised."""
        place = None
        traceback = error.__traceback__
        while traceback is not None:
            if self.lines.theirs(traceback.tb_frame):
                place = self.lines.at(traceback.tb_frame, traceback.tb_lasti, traceback.tb_lineno)
            traceback = traceback.tb_next
        return place

    def _choose(
        self, me: Worker | None, *, stay: bool = False, leave: bool = True, after: int = -1
    ) -> int | None:
        """Which worker makes the next step; None: none can. Notes which others could have made it."""
        able = [worker.index for worker in self.workers if worker.able]
        if not able:
            for worker in self.workers:
                if not worker.done and worker.wait and worker.wait.timeout >= 0:
                    worker.wait.expired = True
                    able = [worker.index]
                    break
            else:
                return None
        here = len(self.taken)
        if here < len(self.plan):
            choice = self.plan[here]
            if choice not in able:
                who = self.workers[choice]
                why = "has ended" if who.done else "waits for a lock"
                self._misfits(f"at step {here + 1} it lets {who.name} go on, who {why}")
        elif self.strict:
            who = self.workers[able[0]]
            self._misfits(f"it ends after step {here}, and {who.name} has not ended")
        else:
            after = me.index if me else after
            others = [i for i in able if i != after]
            if stay and not (self._spinning and others):
                choice = after
            else:
                self.unfair = self.unfair or stay
                choice = min(others or able, key=lambda i: (i - after - 1) % len(self.workers))
            if leave or choice != after:
                free = choice != after or not stay
                self.branches += [(here, i, free) for i in others if i != choice]
        self.taken.append(choice)
        return choice

    def _misfits(self, why: str) -> None:
        self.misfit = why
        self._end()
        raise Ended

    def _give(self, me: Worker, choice: int | None) -> None:
        """Hand over, unless it is this worker's own turn, and wait until it is."""
        if choice is None or choice == me.index:
            return
        with self._guard:
            if self.over:
                me.end()
            self._parked.add(me.index)
            self._wake(choice)
        if me.hand:
            me.hand.baton.acquire()
        if self.over:
            me.end()

    def _start(self, choice: int | None) -> None:
        """Let that worker go on, without waiting; None: all is over."""
        if choice is None:
            done = all(worker.done for worker in self.workers)
            self._end("" if done else deadlock(self.workers, self.state))
            return
        with self._guard:
            if not self.over:
                self._wake(choice)

    def _wake(self, index: int) -> None:
        """Needs the guard held."""
        assert self._guard.locked()
        self._parked.discard(index)
        self._row, self._spinning = 0, False
        self._seen.clear()
        hand = self.workers[index].hand
        if hand:
            hand.baton.release()

    def _end(self, why: str = "") -> None:
        """All is over: every worker that waits for a turn wakes, and ends."""
        with self._guard:
            if self.over:
                return
            self.over, self.why = True, why
            for index in list(self._parked):
                self._wake(index)
            self._finished.release()

    def _look_for_spinning(self, frame: FrameType) -> None:
        self._row += 1
        if self._row < SPIN or self._spinning:
            return
        inside = tuple(id(value) for value in frame.f_locals.values())
        now = (id(frame), frame.f_lasti, inside)
        self._spinning = now in self._seen
        self._seen.add(now)

    def _begin(self, me: Worker) -> None:
        self._ticks += 1
        me.count += 1
        if self.record:
            self.record.begins(me.name, me.place)

    def _step_made(
        self, me: Worker, frame: FrameType | None = None, note: str = "", lock: Lock | None = None
    ) -> None:
        if self.record:
            self.record.made(me.name, frame, note, lock)

    def looking(self) -> bool:
        """Whether the state is being shown: the user's code that does this is no step."""
        return self.record is not None and self.record.looking


def _worked(hand: Hand | None) -> float:
    """Seconds of processor time that a thread has used; else, of the whole process."""
    if hand is not None and hand.ident is not None and hasattr(time, "pthread_getcpuclockid"):
        with contextlib.suppress(OSError):
            return time.clock_gettime(time.pthread_getcpuclockid(hand.ident))
    return time.process_time()
