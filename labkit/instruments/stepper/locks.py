"""Locks that know their holder, and tell the stepper when a worker has to wait.

A `Lock` and an `RLock` here do what those of `threading` do. But a worker of the stepper does not block on
one: it lets others go on until the lock is free. In any other thread, at any other time, they are the real
ones inside, so an object made under the stepper can be used afterwards.

`OwnLocks` makes `threading` hand them out, to the threads of the stepper alone. So the stepper also knows
what is built on locks in Python (Condition, Event, Semaphore, Barrier, `queue.Queue`).
"""

from __future__ import annotations

import _thread
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any, Protocol

REAL_LOCK: Callable[[], Any] = _thread.allocate_lock
REAL_RLOCK: Callable[[], Any] = _thread.RLock
_THREADINGS_LOCK: Any = threading.Lock
_THREADINGS_RLOCK: Any = threading.RLock


class StillHeld(Exception):
    """A lock is wanted in `setup`, in the invariant or in a `repr`, where no thread can wait."""


class Turn(Protocol):
    """A thread that the stepper leads."""

    name: str

    def wait_for(self, lock: Lock | RLock, timeout: float) -> bool:
        """Let others go on until `lock` is free; False: the time ran out before."""


RUNNING: dict[int, Turn] = {}
"""Threads that the stepper leads just now, by their `get_ident()`. Each puts in and takes out itself."""


class Lock:
    """As `threading.Lock`. `holder` is the name of the thread that holds it; None: it is free."""

    to_wake = False  # made by a Condition, to sleep on: to wait for it is to wait to be woken

    def __init__(self) -> None:
        self._real = REAL_LOCK()
        self.holder: str | None = None

    @property
    def free(self) -> bool:
        return not self._real.locked()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As that of `threading.Lock`. Under the stepper time passes only when no worker can go on."""
        turn = RUNNING.get(_thread.get_ident())
        got: bool
        if turn is None or (not blocking and timeout != -1):  # the real one rejects these
            got = self._real.acquire(blocking, timeout)
        else:
            got = self._real.acquire(False)
            while not got and blocking and timeout != 0 and turn.wait_for(self, timeout):
                got = self._real.acquire(False)
        if got:
            self._taken_by(turn)
        return got

    def _taken_by(self, turn: Turn | None) -> None:
        self.holder = turn.name if turn else threading.current_thread().name

    def release(self) -> None:
        """As that of `threading.Lock`. Raises RuntimeError where it is not held."""
        holder, self.holder = self.holder, None
        try:
            self._real.release()
        except RuntimeError:
            self.holder = holder
            raise

    def locked(self) -> bool:
        return not self.free

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def _at_fork_reinit(self) -> None:
        self._real._at_fork_reinit()
        self.holder = None

    def __repr__(self) -> str:
        return "<free lock>" if self.free else f"<lock held by {self.holder or 'somebody'}>"


class RLock(Lock):
    """As `threading.RLock`: its holder may take it again."""

    def __init__(self) -> None:
        self._real = REAL_RLOCK()
        self.holder = None
        self._depth = 0  # how often its holder has taken it; only the holder changes it

    @property
    def free(self) -> bool:
        return self._depth == 0

    def _taken_by(self, turn: Turn | None) -> None:
        self._depth += 1
        super()._taken_by(turn)

    def release(self) -> None:
        if not self._is_owned():
            raise RuntimeError("cannot release un-acquired lock")
        self._depth -= 1
        if self._depth == 0:
            self.holder = None
        self._real.release()

    # What a Condition asks of a lock that can be taken more than once.

    def _is_owned(self) -> bool:
        return bool(self._real._is_owned())

    def _release_save(self) -> int:
        depth = self._depth
        for _ in range(depth):
            self.release()
        return depth

    def _acquire_restore(self, depth: int) -> None:
        for _ in range(depth):
            self.acquire()

    def _at_fork_reinit(self) -> None:
        super()._at_fork_reinit()
        self._depth = 0


class _Sleeper(Lock):
    to_wake = True


def _led() -> bool:
    return _thread.get_ident() in RUNNING


def _new_lock() -> Any:
    # A thread that a worker starts is not led: the event that says that it runs stays real.
    caller = sys._getframe(1).f_back
    starts = caller is not None and caller.f_code is threading.Thread.__init__.__code__
    return Lock() if _led() and not starts else REAL_LOCK()


def _new_rlock() -> Any:
    return RLock() if _led() else _THREADINGS_RLOCK()


def _new_sleeper() -> Any:
    """For a Condition to sleep on: known to the stepper if its lock is."""
    condition = sys._getframe(1).f_locals.get("self")
    return _Sleeper() if _led() and isinstance(getattr(condition, "_lock", None), Lock) else REAL_LOCK()


class Caller:
    """The thread that called the stepper, while it executes the user's code. It cannot wait."""

    name = "setup"

    def wait_for(self, lock: Lock, timeout: float) -> bool:
        raise StillHeld(f"a lock was never released: {lock.holder} holds it")

    def __enter__(self) -> None:
        RUNNING[_thread.get_ident()] = self

    def __exit__(self, *_: object) -> None:
        RUNNING.pop(_thread.get_ident(), None)


class OwnLocks:
    """While it is entered, threads of the stepper get its locks, and others real ones.

    The names that `threading` has for its locks are replaced. So are, in the globals of `functions`,
    names that came by `from threading import Lock`, and locks that were made there beforehand.
    """

    def __init__(self, functions: Iterable[Callable[..., Any]]) -> None:
        spaces = {id(space): space for f in functions if (space := getattr(f, "__globals__", None))}
        self._spaces = list(spaces.values())
        self._replaced: list[tuple[dict[str, Any], str, Any, Any]] = []
        self._made_before: list[tuple[dict[str, Any], str, Any, type[Lock]]] = []

    def __enter__(self) -> OwnLocks:
        own = {"Lock": _new_lock, "RLock": _new_rlock, "_allocate_lock": _new_sleeper}
        for name, new in own.items():
            if name in vars(threading):
                self._replace(vars(threading), name, new)
        kinds: dict[type, type[Lock]] = {type(REAL_LOCK()): Lock, type(REAL_RLOCK()): RLock}
        for space in self._spaces:
            for name, value in list(space.items()):
                if value is _THREADINGS_LOCK:
                    self._replace(space, name, _new_lock)
                elif value is _THREADINGS_RLOCK:
                    self._replace(space, name, _new_rlock)
                elif type(value) in kinds:
                    self._made_before.append((space, name, value, kinds[type(value)]))
        return self

    def _replace(self, space: dict[str, Any], name: str, new: Any) -> None:
        self._replaced.append((space, name, space[name], new))
        space[name] = new

    def renew(self) -> None:
        """Free the locks that were made beforehand."""
        for space, name, _, kind in self._made_before:
            space[name] = kind()

    def __exit__(self, *_: object) -> None:
        for space, name, old, new in self._replaced:
            if space.get(name) is new:
                space[name] = old
        for space, name, made, _kind in self._made_before:
            space[name] = made
