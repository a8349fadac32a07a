"""Locks that know who takes them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class Watched:
    """A lock (or a Condition) that knows which threads have taken it."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self.takers: list[threading.Thread] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lock, name)

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        got = self._lock.acquire(blocking, timeout)
        if got:
            self.takers.append(threading.current_thread())
        return got

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


def takes(owner: object, lock: str, *calls: Callable[[], object], times: int = 1) -> None:
    """Assert that each of these calls takes this lock of its owner so often, in the thread that calls."""
    real = getattr(owner, lock)
    watched = Watched(real)
    setattr(owner, lock, watched)
    try:
        for number, call in enumerate(calls):
            watched.takers.clear()
            call()
            taken = watched.takers.count(threading.current_thread())
            assert taken >= times, f"call {number} took {lock} {taken} times"
    finally:
        setattr(owner, lock, real)
