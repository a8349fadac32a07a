"""A step in which two threads meet: every order of their lines is tried, and one that breaks is shown.

The stepper does the work; here its finding becomes a failed check with a ladder.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping
from types import FunctionType
from typing import Any

from labkit.exercises.bench.bench import Bench
from labkit.exercises.bench.values import is_like
from labkit.instruments import stepper
from labkit.instruments.stepper.locks import StillHeld
from labkit.probe.failed import CheckFailed

SWITCHES = 2
"""Times that a thread is left though it could go on, at most: each race here needs one."""


SECONDS = 0.8
"""Seconds of processor time that one search may take; most take a twentieth of that."""


UNKNOWN = "waits for something that the stepper does not know"
"""In what the stepper says of a thread that waits for another thread of the student's, or a clock."""

_unknown: list[str] = []  # what it found so: the code cannot be led, and is not judged by that

Thread = Callable[[Any], object]


_LOCKS: dict[type, Callable[[], Any]] = {
    type(threading.Lock()): stepper.Lock,
    type(threading.RLock()): stepper.RLock,
    stepper.Lock: stepper.Lock,
    stepper.RLock: stepper.RLock,
}

_REAL = {type(threading.Lock()), type(threading.RLock())}


def play(
    bench: Bench,
    setup: Callable[[], Any],
    threads: Mapping[str, Thread],
    holds: Callable[[Any], None],
    *,
    on: str,
    clue: str = "",
) -> None:
    """Play two threads in every order; CheckFailed tells the shortest order that breaks something.

    Args:
        setup: makes what the threads share, anew each time.
        threads: name -> what it does with that.
        holds: called with it afterwards; raises `Broken` with what was expected and what was seen.
        on: what the threads work on, as it is called on the ladder.
        clue: for a `Broken` that has none. The clue of an exception that leaves a thread is its name; that
            of a deadlock is "deadlock".
    """
    named = " and ".join(threads) + " at the same time"
    broken: list[Broken] = []

    def invariant(shared: Any) -> None:
        broken.clear()
        try:
            holds(shared)
        except Broken as what:
            broken.append(what)
            raise

    before = set(threading.enumerate())
    kept = setup()  # or its threads may end with it
    if _unknown or set(threading.enumerate()) - before:
        return  # the stepper leads two threads, and cannot see a third that they wait for
    del kept
    with _own_locks(bench.code) as renew:

        def begin() -> Any:
            renew()
            shared = setup()
            _exchange(shared)
            return shared

        begin = _as_if_by_student(bench.code, begin)
        try:
            found = stepper.explore(begin, threads, invariant, switches=SWITCHES, seconds=SECONDS)
        except StillHeld as held:
            raise CheckFailed("each method lets go of its lock", str(held), "held") from None
    if UNKNOWN in found.why:
        _unknown.append(found.why)
    if not found.run or _unknown:
        return
    last = ""
    for step in found.run.steps:
        inside = step.place.function == "__hash__"  # in the middle of a line that uses a dict
        if not inside:
            bench.said(_line(step), step.thread, on)
        elif step.note or step.thread != last:
            bench.said(f"… {step.note or 'and the rest of that line'}", step.thread, on)
        last = step.thread
    if broken:
        raise CheckFailed(f"{named}: {broken[0].expected}", broken[0].seen, broken[0].clue or clue)
    failed = re.match(r"\w+ fails with (\w+)|(deadlock)", found.why)
    why = failed[1] or failed[2] if failed else "no end"
    if StillHeld.__name__ in found.why:
        raise CheckFailed("each method lets go of its lock", found.why.partition(": ")[2], "held")
    # The ladder shows where they wait; it may be in the middle of a line.
    seen = re.sub(r", at line \d+", "", found.why) if why == "deadlock" else found.why
    raise CheckFailed(f"{named}: each comes to its end", seen, why)


def _line(step: stepper.Step) -> str:
    """A step as an arrow's label: the line, and the value it gave to a name."""
    name, _, value = step.note.partition(" = ")
    if value and step.source.startswith(f"{name} = "):
        return step.source + ("" if step.source == step.note else f" → {value}")
    return f"{step.source} ({step.note})" if step.note.startswith("waits") else step.source


class Broken(AssertionError):
    """What the threads left behind is wrong."""

    def __init__(self, expected: str, seen: str, clue: str = "") -> None:
        super().__init__(seen)
        self.expected, self.seen, self.clue = expected, seen, clue


def has_lock(code: Any) -> bool:
    """Whether an object that this makes can take a lock, or anything else that others wait for."""
    made = code()
    names = [
        *getattr(made, "__dict__", {}).values(),
        *vars(type(made)).values(),
        *_globals_of(code).values(),
    ]
    closure = [c.cell_contents for f in names for c in getattr(f, "__closure__", None) or ()]
    kept = [value for value in names + closure if not isinstance(value, type)]
    return any(hasattr(value, "acquire") or hasattr(value, "put") for value in kept)


def _globals_of(code: Any) -> dict[str, Any]:
    """The names of the student's file."""
    functions = [code, *vars(code).values()] if isinstance(code, type) else [code]
    return next((f.__globals__ for f in functions if isinstance(f, FunctionType)), {})


def _as_if_by_student(code: Any, setup: Callable[[], Any]) -> Callable[[], Any]:
    """The same function with the student's globals: the stepper looks for locks there, too."""

    def begin() -> Any:
        return setup()

    return FunctionType(begin.__code__, _globals_of(code), "setup", None, begin.__closure__)


@contextlib.contextmanager
def _own_locks(code: Any) -> Iterator[Callable[[], None]]:
    """Replace the locks in class attributes of the student's by the stepper's, and what is built on locks
    in global variables, too. Yields what renews them."""
    names = _globals_of(code)
    classes = {c for c in names.values() if isinstance(c, type) and c.__module__ == names["__name__"]}
    classes |= {code} if isinstance(code, type) else set()
    locks = [(c, k, v) for c in classes for k, v in vars(c).items() if _made_anew(v)]
    of_all = [(k, v) for k, v in names.items() if isinstance(v, threading.Condition | threading.Semaphore)]

    def renew() -> None:
        for owner, name, lock in locks:
            setattr(owner, name, _made_anew(lock)())
        for name, lock in of_all:
            names[name] = _made_anew(lock)()

    yield renew
    for owner, name, lock in locks:
        setattr(owner, name, lock)
    names.update(of_all)


def _exchange(shared: Any, deep: int = 3) -> None:
    """Exchange the real locks in there for the stepper's: a dataclass field(default_factory=threading.Lock)
    has seen `threading.Lock` before the stepper came."""
    items = shared if isinstance(shared, dict) else dict(getattr(shared, "__dict__", {}))
    if isinstance(items, dict) and items is not shared:
        slots = [name for kind in type(shared).__mro__ for name in vars(kind).get("__slots__", ())]
        items |= {name: getattr(shared, name) for name in slots if hasattr(shared, name)}
    if isinstance(shared, list | tuple):
        items = dict(enumerate(shared))
    for key, value in list(items.items()) if items and deep else []:
        if type(value) not in _REAL:
            _exchange(value, deep - 1)
        elif isinstance(shared, dict | list):
            shared[key] = _LOCKS[type(value)]()
        elif not isinstance(shared, tuple):
            object.__setattr__(shared, key, _LOCKS[type(value)]())


def _made_anew(lock: Any) -> Any:
    """What makes another like this one, which is free; None if it is none of these."""
    if isinstance(lock, threading.Semaphore):
        return lambda: type(lock)(lock._value)
    return type(lock) if isinstance(lock, threading.Condition) else _LOCKS.get(type(lock))


class Calls:
    """An object of the student's; each call is drawn on the ladder.

    Args:
        on: the object's name there.
    """

    def __init__(self, bench: Bench, made: Any, on: str) -> None:
        self.bench, self.made, self.on = bench, made, on
        self.names: dict[Any, str] = {}

    def socket(self, name: str) -> socket.socket:
        """The server's end of a connection."""
        sock, _ = self.bench.pair(name)
        self.names[sock] = f"{name}'s socket"
        return sock

    def call(self, method: str, *arguments: Any) -> Any:
        call = self.written(method, arguments)
        self.bench.said(call, receiver=self.on)
        value = self.bench.thread(getattr(self.made, method), *arguments).result(f"{call} comes back")
        self.bench.said(self.shown(value), self.on, "check")
        return value

    def written(self, method: str, arguments: tuple[Any, ...]) -> str:
        return f"{method}({', '.join(map(self.shown, arguments))})"

    def shown(self, value: Any) -> str:
        if isinstance(value, list):
            return "[" + ", ".join(map(self.shown, value)) + "]"
        if isinstance(value, tuple):
            return "(" + ", ".join(map(self.shown, value)) + ")"
        return self.names.get(value) or repr(value) if isinstance(value, Hashable) else repr(value)

    def gives(self, expected: Any, method: str, *arguments: Any, clue: str = "") -> None:
        value = self.call(method, *arguments)
        is_like(value, expected, self.written(method, arguments))
        if value != expected:
            wanted = f"{self.shown(expected)} from {self.written(method, arguments)}"
            raise CheckFailed(wanted, self.shown(value), clue)


def unlocked(source: str) -> str:
    """The source without its `with self.lock:`."""
    block = re.compile(r"^ {8}with self\.lock:\n((?: {12}.*\n)+)", re.MULTILINE)
    return block.sub(lambda inside: re.sub(r"^    ", "", inside[1], flags=re.MULTILINE), source)


HINTS_WHEN_STUCK: dict[str, tuple[str, ...]] = {
    "held": (
        "A method has returned, and still holds the lock. Which way out of it does not let go?",
        "with self.lock: lets go of it in any case. acquire wants a release on each way.",
    ),
    "does not come back": (
        "Which line does it wait in, and which thread could let it go on?",
        "A Lock that is held cannot be taken again, not even by its own thread. An RLock can.",
        "with self.lock: lets go of the lock in any case. acquire without release does not.",
    ),
}
