"""Exercise `roster`: who is here. Two lists that never fall out of step, and then one dict.

Its last steps play two threads line by line (instruments/stepper.py): a race that is there shows itself
each time. What is needed for that, `play` and `Thread`, serves the exercise `lock` as well.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

from labkit.exercises.bench import Bench
from labkit.exercises.exercise import Exercise, Step, Wrong
from labkit.exercises.missed import Missed
from labkit.instruments import stepper

TASK = """
Who is here, and by which nickname? The assignment keeps two lists; when one changes and the other does not,
somebody speaks in another's name. Write `Roster`, for all threads of a server to use at the same time. What
it keeps, and how, is up to you.

- `.add(client, nickname)` returns `True`. Is the client here already, or the nickname taken, it returns
  `False` and changes nothing.
- `.remove(client)` returns the client's nickname, and `None` if the client is not here. So a departure is
  told once, even if two threads notice it at the same time.
- `.rename(client, new)` returns `True`, and the client keeps its place in the order. Is the client not here,
  or `new` taken by another, it returns `False` and changes nothing.
- `.nickname_of(client)` returns its nickname, or `None`.
- `.everyone()` returns a list of pairs `(client, nickname)`, in order of arrival; the list is the caller's.

Clients are objects that a dict can have as keys: sockets, for example, also closed ones.
"""

ANSWER = '''
import threading


class Roster:
    """Who is here, and by which nickname. Safe to use from any thread."""

    def __init__(self):
        ### BEGIN SOLUTION
        self.nicknames = {}  # client -> nickname, in order of arrival
        self.lock = threading.Lock()  # guards nicknames
        ### END SOLUTION

    def add(self, client, nickname: str) -> bool:
        """False: the client is here already, or the nickname is taken."""
        ### BEGIN SOLUTION
        with self.lock:
            if client in self.nicknames or nickname in self.nicknames.values():
                return False
            self.nicknames[client] = nickname
            return True
        ### END SOLUTION

    def remove(self, client) -> str | None:
        """The nickname of the client that has left; None if it was not here."""
        ### BEGIN SOLUTION
        with self.lock:
            return self.nicknames.pop(client, None)
        ### END SOLUTION

    def rename(self, client, new: str) -> bool:
        """False: the client is not here, or the nickname is taken."""
        ### BEGIN SOLUTION
        with self.lock:
            if client not in self.nicknames or new in self.nicknames.values():
                return False
            self.nicknames[client] = new
            return True
        ### END SOLUTION

    def nickname_of(self, client) -> str | None:
        """Its nickname; None if it is not here."""
        ### BEGIN SOLUTION
        with self.lock:
            return self.nicknames.get(client)
        ### END SOLUTION

    def everyone(self) -> list:
        """Pairs (client, nickname), in order of arrival."""
        ### BEGIN SOLUTION
        with self.lock:
            return list(self.nicknames.items())
        ### END SOLUTION
'''

# --- two threads, line by line ---

SWITCHES = 2
"""Times that a thread is left though it could go on, at most: each race here needs no more than one."""

SECONDS = 2.0
"""Seconds that one search may take; right answers need a tenth of that."""

Thread = Callable[[Any], object]

_LOCKS: dict[type, Callable[[], Any]] = {
    type(threading.Lock()): stepper.Lock,
    type(threading.RLock()): stepper.RLock,
    stepper.Lock: stepper.Lock,
    stepper.RLock: stepper.RLock,
}


def play(
    bench: Bench,
    setup: Callable[[], Any],
    threads: dict[str, Thread],
    holds: Callable[[Any], None],
    *,
    on: str,
    clue: str,
) -> None:
    """Play two threads in every order; Missed tells the shortest in which something breaks.

    Args:
        setup: makes what the threads share, anew each time.
        threads: name -> what it does with that.
        holds: called with it afterwards; raises `Broken` with what was expected and what was seen.
        on: what the threads work on, as it is called on the ladder.
        clue: where `holds` raised it; an exception that leaves a thread has its name as clue, and a deadlock
            the word "deadlock".
    """
    named = " and ".join(threads)
    broken: list[Broken] = []

    def invariant(shared: Any) -> None:
        broken.clear()
        try:
            holds(shared)
        except Broken as what:
            broken.append(what)
            raise

    with _own_locks(bench.code) as renew:

        def begin() -> Any:
            renew()
            return setup()

        begin = _as_if_by_student(bench.code, begin)
        found = stepper.explore(begin, threads, invariant, switches=SWITCHES, seconds=SECONDS)
    bench.said(f"{named}, at the same time", receiver=on)
    if not found.run:
        bench.said(found.words, on, "check")
        return
    for step in found.run.steps:
        bench.said(step.source + (f"  ({step.note})" if step.note else ""), step.thread, on)
    expected = f"{named} at the same time: no order of their lines breaks anything"
    if broken:
        raise Missed(broken[0].expected, broken[0].seen, clue)
    if failed := re.match(r"\w+ fails with (\w+)", found.why):
        raise Missed(expected, found.why, failed[1])
    raise Missed(expected, found.why, found.why.split(":")[0] if "deadlock" in found.why else "stands still")


class Broken(AssertionError):
    """What the threads left behind is wrong."""

    def __init__(self, expected: str, seen: str) -> None:
        super().__init__(seen)
        self.expected, self.seen = expected, seen


def _globals_of(code: Any) -> dict[str, Any]:
    """The names of the student's file."""
    functions = [code, *vars(code).values()] if isinstance(code, type) else [code]
    return next((f.__globals__ for f in functions if isinstance(f, FunctionType)), {})


def _as_if_by_student(code: Any, setup: Callable[[], Any]) -> Callable[[], Any]:
    """The same function, among the names of the student's file: there too the stepper looks for locks."""

    def begin() -> Any:
        return setup()

    return FunctionType(begin.__code__, _globals_of(code), "setup", None, begin.__closure__)


@contextlib.contextmanager
def _own_locks(code: Any) -> Iterator[Callable[[], None]]:
    """Locks that a class of the student's has for all its objects become the stepper's. Yields: anew."""
    classes = [c for c in _globals_of(code).values() if isinstance(c, type)]
    classes += [code] if isinstance(code, type) else []
    locks = [(c, k, v) for c in classes for k, v in vars(c).items() if type(v) in _LOCKS]

    def renew() -> None:
        for owner, name, lock in locks:
            setattr(owner, name, _LOCKS[type(lock)]())

    yield renew
    for owner, name, lock in locks:
        setattr(owner, name, lock)
