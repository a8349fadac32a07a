"""What broke, in words: where, and which worker waits for which lock.

It looks up what a student calls a lock, and runs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import CodeType
from typing import Any, Protocol

from labkit.instruments.stepper.lines import Place, plain
from labkit.instruments.stepper.locks import Lock

SELF = {"alice": "herself", "carol": "herself", "bob": "himself", "dave": "himself"}
"""A thread is an `it`; the people of the course are not."""


class Waiting(Protocol):
    """A worker that may wait for a lock."""

    name: str
    function: Callable[[Any], object]
    done: bool

    @property
    def lock(self) -> Lock | None:
        """What it waits for."""

    @property
    def place(self) -> Place:
        """Where."""


def first_line(error: BaseException) -> str:
    """What an exception says, as far as it fits in a sentence."""
    return str(error).split("\n")[0][:200]


def at(place: Place, text: bool = True) -> str:
    """Where, in words."""
    if not place.line:
        return "in code that cannot be seen"
    return f"at line {place.line}" + (f": {place.source}" if text and place.source else "")


def deadlock(workers: Sequence[Waiting], state: Any) -> str:
    """Which worker waits for which lock, and which holds it."""
    told = []
    for worker in workers:
        if worker.lock and not worker.done:
            told.append(
                f"{worker.name} waits {_for_what(worker, workers, state)}, {at(worker.place, False)}"
            )
    return "deadlock: " + "; ".join(told)


def _for_what(worker: Waiting, workers: Sequence[Waiting], state: Any) -> str:
    lock = worker.lock
    assert lock is not None
    if lock.to_wake:
        return "to be woken, and nobody is left to do it"
    name = name_of(lock, state, worker.function)
    if lock.holder == worker.name:
        whose = f"that {worker.name} {SELF.get(worker.name, 'itself')} holds"
    elif any(other.name == lock.holder and other.done for other in workers):
        whose = f"that {lock.holder}, who has ended, still holds"
    else:
        whose = f"that {lock.holder} holds"
    return f"for a lock {whose}" + (f" ({name})" if name else "")


def name_of(lock: Lock, state: Any, function: Callable[..., Any]) -> str:
    """What the user's code calls this lock; "" if that is not to be found."""
    function = plain(function)
    code: CodeType | None = getattr(function, "__code__", None)
    names = set(code.co_names) if code else set()
    spaces = [getattr(state, "__dict__", {}), state if isinstance(state, dict) else {}]
    spaces.append({k: v for k, v in getattr(function, "__globals__", {}).items() if k in names})
    for space in spaces:
        for name, value in space.items():
            if value is lock:
                return str(name)
    for space in spaces:  # one floor down
        for name, value in space.items():
            for inner, thing in getattr(value, "__dict__", {}).items():
                if thing is lock:
                    return f"{name}.{inner}"
    return ""
