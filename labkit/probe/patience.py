"""A clock for waiting: it advances only while the processes watched could do what they wanted.

A budget by the wall clock punishes a program for what others do with the machine. `Patience` counts the
seconds in which a process ran or had nothing to do. Those in which it wanted to run and another program
had the processor, in which it was stopped or waited for a disk, don't count. So a wait by this clock ends
if the process is at rest, or at work, for that long; never because it was starved.

On Linux the kernel tells, for each thread, how long it ran and how long it queued for a processor: proc(5),
`/proc/PID/task/TID/schedstat` and `stat`. Elsewhere psutil tells what the process used and whether any
processor of the machine was free: then no thread can have queued for long.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, thread_time
from typing import Protocol

TURN = 0.02
"""Seconds from one look to the next. However late that is, a turn counts at most twice that, and the time
of the processor that the look before it took; or what the processes have used, if that is more."""

LATE = 0.25
"""Seconds that a thread has woken late, from which on nothing can be said of a program: it may rightly wait
for half a second by the wall clock."""

FAMILY = 1.0
"""Seconds after which to look again for processes that a watched one has started."""

FREE = 0.25
"""Share of one processor that must have been free for no thread to have queued, where only psutil tells."""

LEAST = 1 / 8
"""Pace of a clock of no process in particular, while no processor is free."""

WINDOW = 0.2
"""Seconds over which that share is taken: system clocks tick up to 16 ms apart."""

LOOP = 0.1
"""Seconds of processor time without a sleep, after which a thread is not one that woke."""

TICK = 0.004
"""Seconds after which the kernel has added to what a running thread has used: CONFIG_HZ=250, or more."""

PROC = Path("/proc")

CHILDREN_ARE_TOLD = (PROC / "thread-self" / "children").exists()
"""Whether this kernel tells the children of a thread (CONFIG_PROC_CHILDREN)."""


@dataclass(slots=True)
class Turn:
    """What the processes did since the last look, in seconds.

    Args:
        used: processor time, of all threads together.
        starved: time for which threads queued for a processor, or were stopped.
        late: the longest time for which a thread that woke has done so at a stretch, less what the
            processes themselves used meanwhile. An endless loop queues for long on any machine, and of a
            thousand threads each waits for the others.
    """

    used: float = 0.0
    starved: float = 0.0
    late: float = 0.0


def too_busy(late: float) -> str:
    """Why nothing is said of a program."""
    return f"other programs use the machine: its threads had to wait {late:.2f} s for their turn"


class Source(Protocol):
    """Tells what the processes with these ids did in the last `seconds`."""

    def __call__(self, pids: Collection[int], seconds: float) -> Turn: ...


@dataclass(slots=True)
class _Thread:
    """What is known of a thread: the kernel's counters, and time that they don't explain yet."""

    ran: float = 0.0
    queued: float = 0.0
    slices: int = 0
    unexplained: float = 0.0  # the kernel adds a wait to its counter once it is over
    stretch: float = 0.0  # the wait that goes on, or was the last
    awake: float = 0.0  # what it has used since it was last seen asleep
    mark: float = 0.0  # what all had used before that wait
    seen: bool = True


class SchedStat:
    """Linux: what the scheduler says of each thread."""

    def __init__(self) -> None:
        self._threads: dict[str, _Thread] = {}
        self._used = 0.0  # by all threads

    @staticmethod
    def works() -> bool:
        """Whether this kernel tells it."""
        try:
            return len((PROC / "self/schedstat").read_text().split()) == 3
        except OSError:
            return False

    def __call__(self, pids: Collection[int], seconds: float) -> Turn:
        turn = Turn()
        looker = str(threading.get_native_id())  # it runs, whenever it looks
        for thread in self._threads.values():
            thread.seen = False
        for pid in pids:
            with contextlib.suppress(OSError):  # it has ended
                for task in (PROC / str(pid) / "task").iterdir():
                    if task.name == looker:
                        continue
                    with contextlib.suppress(OSError):  # the thread has
                        self._look(str(task), seconds, turn)
        self._threads = {task: thread for task, thread in self._threads.items() if thread.seen}
        self._used += turn.used
        for thread in self._threads.values():
            if thread.awake < LOOP:
                turn.late = max(turn.late, thread.stretch - (self._used - thread.mark))
            if thread.unexplained <= 0:
                thread.mark = self._used
        return turn

    def _look(self, task: str, seconds: float, turn: Turn) -> None:
        with open(f"{task}/schedstat", "rb") as file:
            words = file.read().split()
        with open(f"{task}/stat", "rb") as file:
            state = file.read().rpartition(b")")[2].split(None, 1)[0]
        ran, queued, slices = int(words[0]) / 1e9, int(words[1]) / 1e9, int(words[2])
        thread = self._threads.get(task)
        if thread is None:
            thread = self._threads[task] = _Thread(ran, queued, slices, mark=self._used)
        used, waited, began = ran - thread.ran, queued - thread.queued, slices - thread.slices
        thread.ran, thread.queued, thread.slices, thread.seen = ran, queued, slices, True
        before = thread.unexplained
        if state in b"SIZX":  # it sleeps, or has ended
            thread.unexplained = thread.awake = 0.0
        else:  # R: it runs, or queues. D, T, t: it waits for a disk, or is stopped
            thread.awake += used
            thread.unexplained = max(-2 * TICK, before + seconds - used - waited)
        turn.used += used
        turn.starved += waited + max(0.0, thread.unexplained) - max(0.0, before)
        thread.stretch = max(thread.unexplained, waited / max(1, began))


class Portable:
    """Any system: what the processes used, and whether a processor was free meanwhile."""

    def __init__(self) -> None:
        self._used: dict[int, float] = {}
        import psutil  # elsewhere than on Linux alone

        self._psutil = psutil
        self._idle, self._since, self._share = psutil.cpu_times().idle, monotonic(), 1.0

    def __call__(self, pids: Collection[int], seconds: float) -> Turn:
        turn = Turn(late=max(0.0, seconds - 2 * TURN))
        for pid in pids:
            with contextlib.suppress(self._psutil.Error):
                times = self._psutil.Process(pid).cpu_times()
                used = times.user + times.system
                turn.used += used - self._used.get(pid, used)
                self._used[pid] = used
        now = monotonic()
        if now - self._since >= WINDOW:
            idle = self._psutil.cpu_times().idle
            self._share = min(1.0, (idle - self._idle) / (FREE * (now - self._since)))
            self._idle, self._since = idle, now
        turn.starved = seconds * (1 - max(self._share, 0.0 if pids else LEAST))
        return turn


def source(pids: Collection[int]) -> Source:
    """The best one that this system has."""
    return SchedStat() if pids and SchedStat.works() else Portable()


@dataclass
class Patience:
    """The clock of some processes and of all that they start. A thread of its own looks at them.

    Args:
        pids: the processes; none: any there are, so that it goes slowly while no processor is free.
        tell: called after each look, in that thread, with this clock.
        source: tells what they did; None: the best that this system has.

    Its time is `seconds`; in `used` of these the processes ran. `late` is the longest for which a thread
    of theirs has queued for a processor; it may be set to 0 again. `late_since` tells it of a part.
    """

    pids: tuple[int, ...]
    tell: Callable[[Patience], None] = lambda clock: None
    source: Source | None = None
    seconds: float = field(default=0.0, init=False)
    used: float = field(default=0.0, init=False)
    late: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._family: tuple[int, ...] = self.pids
        self._last, self._cost = monotonic(), 0.0
        self._counted = self._last  # its seconds are counted up to here
        # When a thread was late, and for how long; of these, each is later than those after it.
        self._lates: list[tuple[float, float]] = []
        self._searched = self._last - FAMILY
        self._source = self.source or source(self.pids)
        self._source(self.pids, 0.0)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="labkit-patience", daemon=True)
        self._thread.start()

    def __call__(self) -> float:
        """What the clock shows, in seconds.

        If the last look was long ago, because this program gets no processor either, it waits for the next:
        what has passed before must not count for one who begins to wait now.
        """
        now = monotonic()
        if threading.current_thread() is not self._thread:
            while now - self._counted > 2 * TURN and self._thread.is_alive():
                if self._over.wait(TURN / 4) or self._counted >= now:
                    break
        return self.seconds

    def look(self) -> None:
        """Count the turn that is over."""
        now, began = monotonic(), thread_time()
        took, self._last = now - self._last, now
        if now - self._searched >= FAMILY:
            self._family, self._searched = family(self.pids), now
        turn = self._source(self._family, took)
        worked = min(turn.used, took)
        took = min(took, 2 * TURN + self._cost)
        self._cost = thread_time() - began
        self.seconds += max(worked, min(took, took - turn.starved))
        self.used += worked
        self.late = max(self.late, turn.late)
        if turn.late > 0:
            longer = [(when, late) for when, late in self._lates if late > turn.late]
            self._lates = [*longer, (now, turn.late)]
        self._counted = now
        self.tell(self)

    def late_since(self, when: float) -> float:
        """The longest for which a thread of theirs has queued, as looks since then (monotonic) have seen.

        Who only hears that a part has begun, and sets `late` to 0 then, may hear it so late that a wait in
        that part is forgotten.
        """
        return next((late for looked, late in self._lates if looked >= when), 0.0)

    def _work(self) -> None:
        while not self._over.wait(TURN):
            self.look()

    def stop(self) -> None:
        """Look no more. A second call does no harm."""
        self._over.set()
        self._thread.join()

    def __enter__(self) -> Patience:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()


def cores() -> int:
    """How many processors this thread may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def family(pids: Iterable[int]) -> tuple[int, ...]:
    """These processes and all that descend from them."""
    found = list(dict.fromkeys(pids))
    for pid in found:  # which grows
        found += [child for child in children_of(pid) if child not in found]
    return tuple(found)


def children_of(pid: int) -> list[int]:
    """The processes that this one has started, and perhaps those that they have.

    Linux tells it, proc(5); elsewhere psutil has to look at all processes of the machine.
    """
    if not CHILDREN_ARE_TOLD:
        import psutil

        with contextlib.suppress(psutil.Error):
            return [child.pid for child in psutil.Process(pid).children(recursive=True)]
        return []
    found: list[int] = []
    with contextlib.suppress(OSError):  # it has ended
        for task in (PROC / str(pid) / "task").iterdir():
            with contextlib.suppress(OSError):  # the thread has
                found += map(int, (task / "children").read_text().split())
    return found
