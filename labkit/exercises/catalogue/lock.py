"""Exercise `lock`: what a lock is held for, how long, and in which order two of them are taken.

Two threads are played line by line, as in roster.py.
"""

from __future__ import annotations

import gc
import inspect
import re
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from labkit.exercises.bench import races
from labkit.exercises.bench.bench import SOON, Bench, Running
from labkit.exercises.bench.races import HINTS_WHEN_STUCK, Broken, Calls, unlocked
from labkit.exercises.bench.values import is_list
from labkit.exercises.exercise import Exercise, Step, Wrong
from labkit.instruments.stepper import locks
from labkit.probe.failed import CheckFailed

TASK = """
Several threads, one building: write `Rooms`, for all of them to use at the same time. One lock, or several,
is up to you.

- `Rooms(names)`: a list of at least two names of rooms; the first is the lobby.
- `.claim(nickname)`: `True`, and the nickname is in the lobby; `False` if it is taken.
- `.release(nickname)`: it is in no room any more, and free. If it was free, nothing happens.
- `.rename(old, new)`: `True`, and `new` is in the room where `old` was; `old` is free now. If `old` was
  free, or `new` is taken: `False`, and nothing has changed. A thread that looks or claims meanwhile finds
  that client under one nickname, the old or the new; never under both, never under none.
- `.move(nickname, source, target)`: from one room to the other: `True`; `False` if it is not in `source`.
- `.members(room)`: a list of the nicknames there, in any order; it is the caller's.
- `.said(room)` is called for each line said there. It returns the line's number: 1, 2, 3 in each room.
- `.tell(room, send)` calls `send(nickname)` once for each who was there when `tell` began. `send` may take
  long: meanwhile every other method works, in any thread.
"""

ANSWER = '''
import threading


class Rooms:
    """Who is in which room, and how much was said there. Safe to use from any thread."""

    def __init__(self, names: list[str]):
        ### BEGIN SOLUTION
        self.lobby = names[0]
        self.room_of = {}  # nickname -> room
        self.lines = {name: 0 for name in names}  # room -> lines said there
        self.lock = threading.RLock()  # guards both; who holds it may take it again
        ### END SOLUTION

    def claim(self, nickname: str) -> bool:
        """Exactly one of those who claim a nickname gets it."""
        ### BEGIN SOLUTION
        with self.lock:
            if nickname in self.room_of:
                return False
            self.room_of[nickname] = self.lobby
            return True
        ### END SOLUTION

    def release(self, nickname: str) -> None:
        """The nickname is free."""
        ### BEGIN SOLUTION
        with self.lock:
            self.room_of.pop(nickname, None)
        ### END SOLUTION

    def rename(self, old: str, new: str) -> bool:
        """No other thread gets in between. If `new` is taken, `old` is kept."""
        ### BEGIN SOLUTION
        with self.lock:
            if old not in self.room_of or not self.claim(new):
                return False
            self.room_of[new] = self.room_of[old]
            self.release(old)
            return True
        ### END SOLUTION

    def move(self, nickname: str, source: str, target: str) -> bool:
        """False: it is not in `source`."""
        ### BEGIN SOLUTION
        with self.lock:
            if self.room_of.get(nickname) != source:
                return False
            self.room_of[nickname] = target
            return True
        ### END SOLUTION

    def members(self, room: str) -> list[str]:
        """A copy."""
        ### BEGIN SOLUTION
        with self.lock:
            return [nickname for nickname, where in self.room_of.items() if where == room]
        ### END SOLUTION

    def said(self, room: str) -> int:
        """The number of this line in that room."""
        ### BEGIN SOLUTION
        with self.lock:
            self.lines[room] += 1
            return self.lines[room]
        ### END SOLUTION

    def tell(self, room: str, send) -> None:
        """Call send(nickname) for each nickname there, without holding a lock."""
        ### BEGIN SOLUTION
        for nickname in self.members(room):
            send(nickname)
        ### END SOLUTION
'''


class Room(str):
    """The name of a room. Its lookup in a dict runs a line here: so `lines[room] += 1`, which looks twice,
    is two steps for the stepper, as it is for Python."""

    def __hash__(self) -> int:
        return super().__hash__()


LOBBY, GARDEN = Room("lobby"), Room("garden")


class InTurn:
    """Calls one after the other, each in a thread that lives until the next call is over.

    An RLock knows its holder by the thread's number, and a new thread may get that of one that has ended.
    """

    def __init__(self) -> None:
        self._may_end = threading.Event()

    def __call__(self, function: Callable[..., Any], *arguments: Any, name: str) -> Any:
        done, may_end, before = threading.Event(), threading.Event(), self._may_end
        values: list[Any] = []
        errors: list[BaseException] = []

        def work() -> None:
            try:
                values.append(function(*arguments))
            except BaseException as error:  # raised again below
                errors.append(error)
            done.set()
            may_end.wait()

        threading.Thread(target=work, name=name, daemon=True).start()
        done.wait()
        before.set()
        self._may_end = may_end
        if errors:
            raise errors[0]
        return values[0]


class Rooms(Calls):
    """Rooms of the student's, with these nicknames in the lobby."""

    def __init__(self, bench: Bench, *nicknames: str) -> None:
        super().__init__(bench, bench.code(["lobby", "garden"]), "rooms")
        self.calls: list[tuple[str, tuple[Any, ...]]] = []  # so far
        self.in_turn = InTurn()
        for nickname in nicknames:
            self.gives(True, "claim", nickname)

    def call(self, method: str, *arguments: Any) -> Any:
        self.calls.append((method, arguments))
        call = self.written(method, arguments)
        self.bench.said(call, receiver=self.on)
        function = getattr(self.made, method)
        calling = self.bench.thread(lambda: self.in_turn(function, *arguments, name=call))
        try:
            value = calling.result(f"{call} comes back")
        except CheckFailed as failed:
            self._say_who_keeps_the_lock(failed)
            raise
        self.bench.said(repr(value), self.on, "check")
        if inspect.isawaitable(value):
            seen = "a coroutine, of which no line was run"
            raise CheckFailed(f"{call} does it", seen, "coroutine")
        return value

    def gives(self, expected: Any, method: str, *arguments: Any, clue: str = "") -> None:
        value = self.call(method, *arguments)
        if value is None:
            raise CheckFailed(f"{expected} from {self.written(method, arguments)}", "None", "None")
        if value != expected:
            raise CheckFailed(f"{expected} from {self.written(method, arguments)}", repr(value), clue)

    def members(self, room: str) -> list[str]:
        """What `members` gives, which must be a list."""
        here = self.call("members", room)
        is_list(here, f"members({room!r})")
        return list(here)

    def are_in(self, room: str, *nicknames: str, clue: str = "") -> None:
        here = self.members(room)
        if sorted(here, key=repr) != sorted(nicknames):
            raise CheckFailed(f"{list(nicknames)} in the {room}", f"members gave {here}", clue)

    def _say_who_keeps_the_lock(self, failed: CheckFailed) -> None:
        """Make the same calls once more, with locks that know who holds them; raise with what they say."""
        functions = [self.bench.code, *vars(self.bench.code).values()]
        with locks.OwnLocks([f for f in functions if inspect.isfunction(f)]):
            with locks.Caller():
                made = self.bench.code(["lobby", "garden"])
            in_turn = InTurn()
            for n, (method, arguments) in enumerate(self.calls):
                name = f"{self.written(method, arguments)}{' ' * n}"  # the blanks: no two are the same
                again = partial(in_turn, getattr(made, method), *arguments, name=name)
                if not Running(again, (), "again").ended(0.5):
                    break
        held = [lock.holder for lock in gc.get_objects() if isinstance(lock, locks.Lock) and lock.holder]
        if any(holder != name for holder in held):
            keeps = next(holder for holder in held if holder != name).strip()
            seen = f"{failed.seen}: {keeps} was over, and had not released the lock"
            raise CheckFailed(failed.expected, seen, "not released") from None
        if not held:
            raise CheckFailed(failed.expected, f"{failed.seen}, and no lock is held", "no lock") from None


def play(bench: Bench, *arguments: Any, **options: Any) -> None:
    """As in races.py. Where a lock is made in the midst of it, that is the bug."""
    try:
        races.play(bench, *arguments, on="rooms", **options)
    except CheckFailed as failed:
        if any(re.search(r"\b(Lock|Semaphore|Condition)\(", event.what) for event in bench.journal):
            raise CheckFailed(failed.expected, failed.seen, "new lock") from None
        raise


def claimed(bench: Bench) -> None:
    rooms = Rooms(bench, "alice", "bob")
    rooms.gives(False, "claim", "alice", clue="taken")
    rooms.are_in("lobby", "alice", "bob")
    rooms.are_in("garden")
    rooms.call("release", "alice")
    rooms.call("release", "nobody")
    rooms.are_in("lobby", "bob", clue="released")
    rooms.gives(True, "claim", "alice", clue="released")
    rooms.are_in("lobby", "alice", "bob", clue="released")
    Rooms(bench).are_in("lobby", clue="shared")


def moved(bench: Bench) -> None:
    rooms = Rooms(bench, "alice", "bob")
    rooms.gives(True, "move", "alice", "lobby", "garden")
    rooms.are_in("lobby", "bob")
    rooms.are_in("garden", "alice")
    rooms.gives(False, "move", "alice", "lobby", "garden", clue="not there")
    rooms.gives(False, "move", "carol", "lobby", "garden", clue="not there")
    rooms.are_in("garden", "alice", clue="not there")
    rooms.gives(False, "claim", "alice", clue="elsewhere")
    rooms.members("garden").append("a ghost")
    rooms.are_in("garden", "alice", clue="copy")
    for number in (1, 2, 3):
        rooms.gives(number, "said", "lobby", clue="said")
    rooms.gives(1, "said", "garden", clue="said")


def renamed(bench: Bench) -> None:
    rooms = Rooms(bench, "alice", "bob")
    rooms.gives(True, "move", "alice", "lobby", "garden")
    rooms.gives(True, "rename", "alice", "alicia")
    rooms.are_in("garden", "alicia")
    rooms.gives(False, "rename", "alicia", "bob", clue="taken")
    rooms.gives(False, "rename", "carol", "caro", clue="nobody")
    rooms.are_in("garden", "alicia", clue="taken")
    rooms.are_in("lobby", "bob", clue="nobody")
    rooms.gives(True, "claim", "alice", clue="free")


def no_lock_held(bench: Bench) -> None:
    rooms = Rooms(bench, "alice")
    asked = [
        ("claim", "dave"), ("said", "lobby"), ("move", "alice", "lobby", "garden"),
        ("rename", "dave", "eve"), ("members", "garden"), ("release", "eve"),
    ]  # fmt: skip
    late: list[str] = []
    joins: list[bool] = []

    def send(nickname: str) -> None:
        bench.said(f"send({nickname!r})", "rooms", "check")
        for method, *arguments in asked:
            call = rooms.written(method, tuple(arguments))
            bench.said(call, "another thread", "rooms")
            if not bench.thread(getattr(rooms.made, method), *arguments).ended():
                late.append(call)
                joins.append(in_join(telling[0].thread))
                return

    bench.said("tell('lobby', send)", receiver="rooms")
    telling: list[Running] = []
    telling.append(bench.thread(rooms.made.tell, "lobby", send, name="tell"))
    telling[0].result("tell comes back", 2 * SOON)
    if late:
        expected = f"send is at work: {late[0]} comes back in another thread meanwhile"
        clue = "join" if any(joins) else "waits"
        raise CheckFailed(expected, f"{SOON:g} s later it still waits", clue)


def in_join(thread: threading.Thread) -> bool:
    """Whether this thread waits for the end of another."""
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None and frame.f_code is not threading.Thread.join.__code__:
        frame = frame.f_back
    return frame is not None


def told(bench: Bench) -> None:
    tells(bench, leave=set())
    tells(bench, leave={"alice", "bob", "carol"})


def tells(bench: Bench, leave: set[str]) -> None:
    """Those there are told, once each; each leaves when told, these with the first; and erin comes then."""
    rooms = Rooms(bench, "alice", "bob", "carol", "dave")
    rooms.gives(True, "move", "dave", "lobby", "garden")
    heard: list[str] = []

    def send(nickname: str) -> None:
        bench.said(f"send({nickname!r})", "rooms", "check")
        heard.append(nickname)
        rooms.made.release(nickname)
        if len(heard) == 1:
            rooms.made.claim("erin")
            for other in leave.difference(heard):
                rooms.made.release(other)

    call = f"tell('lobby', send); who is told leaves{', and the others with the first' if leave else ''}"
    bench.said(call, receiver="rooms")
    telling = bench.thread(rooms.made.tell, "lobby", send, name="tell")
    telling.ended()
    seen = f"it was called for {', '.join(heard) or 'nobody'}"
    bench.expect("dave" not in heard, "send is not called for dave in the garden", seen, "elsewhere")
    bench.expect("erin" not in heard, "send is not called for erin, who came later", seen, "came later")
    if sorted(heard, key=repr) != ["alice", "bob", "carol"]:
        died = f"; then {bench.deaths()[0]}" if bench.deaths() else ""
        clue = "twice" if len(set(heard)) < len(heard) else ""
        clue = clue if {*heard} <= {"alice", "bob", "carol"} else "whom"
        clue = clue or ("left" if leave else "")
        raise CheckFailed("send is called for alice, bob and carol, once for each", seen + died, clue)
    telling.result("tell comes back", 0)


# --- two threads, line by line ---


def each_line_counts(bench: Bench) -> None:
    numbers: dict[str, int] = {}

    def alice(rooms: Any) -> None:
        numbers["alice"] = rooms.said(LOBBY)

    def bob(rooms: Any) -> None:
        numbers["bob"] = rooms.said(LOBBY)

    def one_and_two(rooms: Any) -> None:
        if sorted(numbers.values()) != [1, 2]:
            seen = f"alice's is number {numbers['alice']}, and bob's number {numbers['bob']}"
            clue = "" if 1 in numbers.values() else "late"
            raise Broken("one line is number 1, the other number 2", seen, clue)

    play(bench, lambda: bench.code([LOBBY, GARDEN]), {"alice": alice, "bob": bob}, one_and_two)


def one_of_them(bench: Bench) -> None:
    got: dict[str, bool] = {}

    def alice(rooms: Any) -> None:
        got["alice"] = rooms.claim("neo")

    def bob(rooms: Any) -> None:
        got["bob"] = rooms.claim("neo")

    def carol(rooms: Any) -> None:
        got["carol"] = rooms.rename("carol", "neo")

    def dave(rooms: Any) -> None:
        got["dave"] = rooms.rename("dave", "neo")

    def one_neo(rooms: Any) -> None:
        got_it = [name for name, yes in sorted(got.items()) if yes]
        if len(got_it) != 1:
            raise Broken("exactly one of the two gets 'neo'", f"{' and '.join(got_it) or 'nobody'} got it")
        kept = [name for name in ("carol", "dave") if name not in got_it]
        if sorted(here := rooms.members(LOBBY)) != sorted(["neo", *kept]):
            raise Broken(f"then {['neo', *kept]} are in the lobby", f"{here}")

    def setup() -> Any:
        got.clear()
        return with_claimed(bench, "carol", "dave")

    def trinity(rooms: Any) -> None:
        got["trinity"] = rooms.claim("trinity")

    def each(rooms: Any) -> None:
        if not (got["alice"] and got["trinity"]):
            refused = "'trinity'" if got["alice"] else "'neo'"
            raise Broken("'neo' and 'trinity' are free, and each claim says True", f"{refused} was refused")

    play(bench, setup, {"alice": alice, "bob": bob}, one_neo, clue="claim")
    play(bench, setup, {"alice": alice, "trinity": trinity}, each, clue="busy")
    play(bench, setup, {"alice": alice, "carol": carol}, one_neo, clue="rename")
    play(bench, setup, {"carol": carol, "dave": dave}, one_neo, clue="rename")


def with_claimed(bench: Bench, *nicknames: str) -> Any:
    rooms = bench.code([LOBBY, GARDEN])
    for nickname in nicknames:
        rooms.claim(nickname)
    return rooms


def one_person(bench: Bench) -> None:
    seen: dict[str, Any] = {}

    def alice(rooms: Any) -> None:
        seen["renamed"] = rooms.rename("alice", seen["new"])

    def claims(rooms: Any) -> None:
        seen["claimed"] = rooms.claim("alice")

    def looks(rooms: Any) -> None:
        seen["members"] = rooms.members(LOBBY)

    def kept(rooms: Any) -> None:
        if seen["claimed"]:
            raise Broken("alice keeps her nickname: 'bob' is taken", "somebody else has 'alice' now")

    def one_name(rooms: Any) -> None:
        if len({"alice", "alicia"}.intersection(seen["members"])) != 1:
            raise Broken("the lobby has 'alice' or 'alicia' at any time", f"members gave {seen['members']}")

    def setup(new: str) -> Any:
        seen["new"] = new
        return with_claimed(bench, "alice", "bob")

    both = {"alice": alice, "carol": looks}
    play(bench, lambda: setup("alicia"), both, one_name, clue="looks")
    both = {"alice": alice, "carol": claims}
    play(bench, lambda: setup("bob"), both, kept, clue="between")


def to_and_fro(bench: Bench) -> None:
    def setup() -> Any:
        rooms = with_claimed(bench, "alice", "bob")
        rooms.move("bob", LOBBY, GARDEN)
        return rooms

    def alice(rooms: Any) -> None:
        rooms.move("alice", LOBBY, GARDEN)

    def bob(rooms: Any) -> None:
        rooms.move("bob", GARDEN, LOBBY)

    def release_alice(rooms: Any) -> None:
        rooms.release("alice")

    def release_bob(rooms: Any) -> None:
        rooms.release("bob")

    def changed_places(rooms: Any) -> None:
        if (rooms.members(LOBBY), rooms.members(GARDEN)) != (["bob"], ["alice"]):
            seen = f"the lobby has {rooms.members(LOBBY)}, the garden {rooms.members(GARDEN)}"
            raise Broken("bob is in the lobby, and alice in the garden", seen)

    def one_is_left(rooms: Any) -> None:
        if len(here := rooms.members(LOBBY) + rooms.members(GARDEN)) != 1:
            raise Broken("who was released is in no room", f"the two rooms have {here}")

    play(bench, setup, {"alice": alice, "bob": bob}, changed_places, clue="places")
    play(bench, setup, {"alice": alice, "server": release_alice}, one_is_left, clue="gone")
    play(bench, setup, {"bob": bob, "server": release_bob}, one_is_left, clue="gone")


NO_LOCK = re.sub(r"^.*(self\.lock|###).*\n", "", unlocked(ANSWER), flags=re.MULTILINE)

LOCK = "        self.lock = threading.RLock()  # guards both; who holds it may take it again\n"
CLAIM = """\
        with self.lock:
            if nickname in self.room_of:
                return False
            self.room_of[nickname] = self.lobby
            return True
"""
RENAMED = """\
            if old not in self.room_of or not self.claim(new):
                return False
            self.room_of[new] = self.room_of[old]
            self.release(old)
            return True
"""
TOLD = """\
        for nickname in self.members(room):
            send(nickname)
"""
"""Parts of the answer that wrong versions do in another way."""

LOCK_EACH = """
import contextlib
import threading


class Rooms:
    def __init__(self, names):
        self.names = names
        self.people = {name: set() for name in names}
        self.lines = dict.fromkeys(names, 0)
        self.locks = {name: threading.Lock() for name in names}
        self.taken = set()
        self.naming = threading.Lock()

    def claim(self, nickname):
        with self.naming:
            if nickname in self.taken:
                return False
            with self.locks[self.names[0]]:
                self.people[self.names[0]].add(nickname)
            self.taken.add(nickname)
            return True

    def all_rooms(self):
        stack = contextlib.ExitStack()
        for name in self.names:
            stack.enter_context(self.locks[name])
        return stack

    def release(self, nickname):
        with self.naming, self.all_rooms():
            self.taken.discard(nickname)
            for people in self.people.values():
                people.discard(nickname)

    def rename(self, old, new):
        with self.naming, self.all_rooms():
            if old not in self.taken or new in self.taken:
                return False
            self.taken ^= {old, new}
            for people in self.people.values():
                if old in people:
                    people ^= {old, new}
            return True

    def move(self, nickname, source, target):
        first, second = sorted([source, target], key=self.names.index)
        with self.locks[first], self.locks[second]:
            if nickname not in self.people[source]:
                return False
            self.people[source].remove(nickname)
            self.people[target].add(nickname)
            return True

    def members(self, room):
        with self.locks[room]:
            return list(self.people[room])

    def said(self, room):
        with self.locks[room]:
            self.lines[room] += 1
            return self.lines[room]

    def tell(self, room, send):
        for nickname in self.members(room):
            send(nickname)
"""

HINTS_HERE: dict[str, tuple[str, ...]] = {
    "does not come back": (
        "It waits for a lock that its own thread holds. Which two lines are these?",
        "A Lock that is held cannot be taken again, not even by its own thread. An RLock can.",
        "Or keep what both methods do in one that takes no lock, and call that under the lock.",
    ),
    "not released": (
        "An earlier call has kept the lock: which way out of it does not come by release()?",
        "with self.lock: releases it on every way out: at each return, and where something raises.",
    ),
    "no lock": (
        "No lock is held. In which line does it wait, and for what?",
        "A method that cannot do what it is asked says False at once: nobody waits for a nickname.",
    ),
    "None": (
        "None is no answer. On which way through your function is there no `return`?",
        "A function that comes to its end without a return returns None. And print tells it to nobody.",
    ),
    "coroutine": (
        "Nothing of it was run. What does `async def` make of a function?",
        "A call of an `async def` makes a coroutine, and runs no line of it. Here `def` is wanted.",
    ),
    "shared": (
        "Another Rooms was made, and there is somebody in it already. What have the two in common?",
        "What stands in the class, not in __init__, belongs to all objects: self.room_of = {} in __init__.",
    ),
}

NEW_LOCK: dict[str, tuple[str, ...]] = {
    "new lock": (
        "A lock was made in the midst of this. How many locks are there, and who else has this one?",
        "Two threads exclude each other only with the same lock: make it once, in __init__.",
        "self.lock = threading.Lock() in __init__, and with self.lock: everywhere",
    )
}

EXERCISE = Exercise(
    name="lock",
    title="what is locked, and for how long",
    chapter="06_races",
    wants="Rooms",
    task=TASK,
    answer=ANSWER,
    steps=(
        Step(
            "who has a nickname has it alone, and is in the lobby",
            claimed,
            hints=(
                "Who is in which room after claim, and who should be?",
                "One dict says it all: nickname -> room.",
            ),
            hints_by_clue=HINTS_HERE
            | {
                "KeyError": (
                    "Something was looked up that is not there. Which nickname was it, and in which call?",
                    "If it was free, release does nothing: self.room_of.pop(nickname, None)",
                ),
                "taken": (
                    "This nickname is taken. Did claim look?",
                    "if nickname in self.room_of: return False",
                ),
                "released": (
                    "The nickname was released. Where is it still written down?",
                    "self.room_of.pop(nickname, None): out of the room, and free.",
                ),
            },
        ),
        Step(
            "rooms have members, and lines have numbers",
            moved,
            hints=(
                "Who was moved, and from where to where?",
                "Look whether it is in `source`; then change where it is.",
            ),
            hints_by_clue=HINTS_HERE
            | {
                "not there": (
                    "It is not in `source`. What should move say, and what should it change?",
                    "if self.room_of.get(nickname) != source: return False",
                ),
                "elsewhere": (
                    "She is in the garden now. Does claim look there, too?",
                    "A nickname is taken as long as it is in a room, whichever that is.",
                ),
                "copy": ("Whose list is it that members returns?", "Return a copy: list(…)."),
                "said": (
                    "Each room counts for itself, from 1 on. What does said return?",
                    "self.lines = {name: 0 for name in names}; one more, and return it.",
                ),
            },
        ),
        Step(
            "rename keeps the room, and the old nickname if the new one is taken",
            renamed,
            hints=(
                "Who is in which room after rename?",
                "new goes where old was; then old is released.",
            ),
            hints_by_clue=HINTS_HERE
            | {
                "KeyError": (
                    "Something was looked up under a nickname that is free. Did rename look before?",
                    "if old not in self.room_of: return False",
                ),
                "does not come back": (
                    "rename holds a lock, and waits for one. Which one is it, and who holds it?",
                    "A Lock cannot be taken twice, not even by the thread that holds it.",
                    "An RLock can. Or keep what claim does in a method that takes no lock, and call that.",
                ),
                "taken": (
                    "The new nickname is taken. What has become of the old one?",
                    "First claim the new one; only if that was possible, release the old one.",
                ),
                "nobody": (
                    "The old nickname is free. Did rename look?",
                    "if old not in self.room_of: return False",
                ),
                "free": (
                    "She has another nickname now. Who still has the old one?",
                    "self.release(old)",
                ),
            },
        ),
        Step(
            "no two lines have the same number",
            each_line_counts,
            hints=(
                "Both threads read the same number, and then both wrote it, one higher. What was lost?",
                "To read, to add and to write are three things: hold the lock from the first to the last.",
                "with self.lock: around all of said",
            ),
            hints_by_clue=NEW_LOCK
            | {
                "late": (
                    "Each line was counted. When did the first thread read the number that it returns?",
                    "return self.lines[room] belongs under the lock, too.",
                ),
                "deadlock": HINTS_WHEN_STUCK["does not come back"],
            },
        ),
        Step(
            "of those who claim a nickname at the same time, exactly one gets it",
            one_of_them,
            hints=("When did each of the two look, and when did each of them write?",),
            hints_by_clue=NEW_LOCK
            | {
                "busy": (
                    "It was free, and was refused, for another thread was at work. Who waits for the lock?",
                    "with self.lock: waits until the lock is free. acquire(blocking=False) does not.",
                ),
                "claim": (
                    "Both looked before either wrote. Was the lock held from the one to the other?",
                    "with self.lock: around all of claim, the if included",
                ),
                "rename": (
                    "One claimed and one was renamed. Do both hold the same lock, from look to write?",
                    "rename calls claim, and claim looks and writes under the lock.",
                ),
            },
        ),
        Step(
            "nobody gets in between while somebody is renamed",
            one_person,
            hints=("What could another thread see in the middle of rename?",),
            hints_by_clue=NEW_LOCK
            | dict.fromkeys(
                ("KeyError", "RuntimeError"),
                (
                    "members was on its way when rename changed what it walks. Did it hold the lock?",
                    "with self.lock: around all of members, for it reads what others write.",
                ),
            )
            | {
                "looks": (
                    "For a moment she had two nicknames, or none. Which two lines lie around that moment?",
                    "Hold the lock from the first to the last: with self.lock: around all of rename.",
                    "claim and release take it again, so it has to be an RLock.",
                ),
                "between": (
                    "Her nickname was free for a moment, and she wanted it back. Why was it free?",
                    "First claim the new one, then release the old one; and all that under one lock.",
                ),
            },
        ),
        Step(
            "two who change places come to an end",
            to_and_fro,
            hints=(
                "Where was each of them, and who changed which room?",
                "with self.lock: around all of move",
            ),
            hints_by_clue=NEW_LOCK
            | {
                "deadlock": (
                    "Each holds what the other waits for. In which order did each take its two locks?",
                    "Always in the same order, whichever way the move goes: sorted([source, target]).",
                    "Or one lock for all rooms.",
                ),
                "ValueError": (
                    "It was in the list when this thread looked. Who took it away since?",
                    "with self.lock: around all of move, and around all of release",
                ),
                "gone": (
                    "For a moment she was in neither room, or in both. Did release wait for that to end?",
                    "move and release both hold the lock, from the first line to the last.",
                ),
            },
        ),
        Step(
            "while send is at work, no lock is held",
            no_lock_held,
            hints=(
                "What does the other thread wait for, and who has it while send is at work?",
                "A send takes as long as a slow client likes. Hold the lock to copy the list, no longer.",
                "for nickname in self.members(room): send(nickname)",
            ),
            hints_by_clue=HINTS_HERE
            | {
                "join": (
                    "tell waits for threads to end, and they for a client. What does it hold meanwhile?",
                    "Take a copy of the list under the lock; start and join the threads outside it.",
                )
            },
            points=2,
        ),
        Step(
            "tell reaches everybody there, though some leave meanwhile",
            told,
            hints=(
                "A client left while tell was on its way. What did tell walk over?",
                "Walk over a copy: for nickname in self.members(room): …",
            ),
            hints_by_clue=HINTS_HERE
            | {
                "elsewhere": ("Who is in this room?", "for nickname in self.members(room): …"),
                "whom": (
                    "send was called with something else than a nickname of this room. With what?",
                    "for nickname in self.members(room): send(nickname)",
                ),
                "left": (
                    "Some had left when their turn came. Who was to be told: those there when tell began?",
                    "Take the copy, and tell all who are in it, whether they are still there or not.",
                ),
                "came later": (
                    "Somebody was told who was not there when tell began. When do you ask for the members?",
                    "Ask once, at the beginning: for nickname in self.members(room): …",
                ),
                "twice": (
                    "Somebody was told twice. How often is send called for each?",
                    "One loop over the copy, and one send in it.",
                ),
            },
        ),
    ),
    wrong=(
        Wrong(
            "no lock at all",
            "no two lines have the same number",
            source=NO_LOCK,
            survey="no lock at all",
        ),
        Wrong(
            "a lock taken twice",
            "rename keeps the room, and the old nickname if the new one is taken",
            (("threading.RLock()", "threading.Lock()"),),
            clue="does not come back",
            survey="a lock taken twice",
        ),
        Wrong(
            "a lock is not released on one path",
            "who has a nickname has it alone, and is in the lobby",
            ((CLAIM,
              "        self.lock.acquire()\n"
              "        if nickname in self.room_of:\n"
              "            return False\n"
              "        self.room_of[nickname] = self.lobby\n"
              "        self.lock.release()\n"
              "        return True\n"),),
            clue="not released",
        ),
        Wrong(
            "a new lock each time",
            "no two lines have the same number",
            ((LOCK, "\n    @property\n    def lock(self):\n        return threading.Lock()\n"),
             (RENAMED,
              "            if old not in self.room_of or new in self.room_of:\n"
              "                return False\n"
              "            self.room_of[new] = self.room_of.pop(old)\n"
              "            return True\n")),
            clue="new lock",
        ),
        Wrong(
            "joins threads under the lock",
            "while send is at work, no lock is held",
            ((TOLD,
              "        with self.lock:\n"
              "            members = self.members(room)\n"
              "            threads = [threading.Thread(target=send, args=(n,)) for n in members]\n"
              "            for thread in threads:\n"
              "                thread.start()\n"
              "            for thread in threads:\n"
              "                thread.join()\n"),),
            clue="join",
        ),
        Wrong(
            "claim waits until the nickname is free",
            "who has a nickname has it alone, and is in the lobby",
            ((CLAIM,
              "        self.changed = threading.Condition(self.lock)\n"
              "        with self.changed:\n"
              "            self.changed.wait_for(lambda: nickname not in self.room_of)\n"
              "            self.room_of[nickname] = self.lobby\n"
              "            return True\n"),),
            clue="no lock",
        ),
        Wrong(
            "members gives a set",
            "who has a nickname has it alone, and is in the lobby",
            (("return [nickname for nickname, where in self.room_of.items() if where == room]",
              "return {nickname for nickname, where in self.room_of.items() if where == room}"),),
            clue="returns a set",
        ),
        Wrong(
            "what is of one belongs to all",
            "who has a nickname has it alone, and is in the lobby",
            (("        self.room_of = {}  # nickname -> room\n", ""),
             ("    def __init__", "    room_of = {}\n\n    def __init__")),
            clue="shared",
        ),
        Wrong(
            "members takes no lock",
            "nobody gets in between while somebody is renamed",
            (("        with self.lock:\n"
              "            return [nickname for nickname, where in self.room_of.items() "
              "if where == room]\n",
              "        found = []\n"
              "        for nickname in self.room_of:\n"
              "            if self.room_of[nickname] == room:\n"
              "                found.append(nickname)\n"
              "        return found\n"),),
            clue="KeyError",
        ),
        Wrong(
            "releases the old nickname before it has the new one",
            "rename keeps the room, and the old nickname if the new one is taken",
            ((RENAMED,
              "            room = self.room_of.get(old)\n"
              "            self.release(old)\n"
              "            if room is None or not self.claim(new):\n"
              "                return False\n"
              "            self.room_of[new] = room\n"
              "            return True\n"),),
            clue="taken",
        ),
        Wrong(
            "sends while it holds the lock",
            "while send is at work, no lock is held",
            ((TOLD,
              "        with self.lock:\n"
              "            for nickname in self.members(room):\n"
              "                send(nickname)\n"),),
            survey="sends while holding the lock",
        ),
        Wrong(
            "walks what others change",
            "tell reaches everybody there, though some leave meanwhile",
            ((TOLD,
              "        for nickname in self.room_of:\n"
              "            if self.room_of[nickname] == room:\n"
              "                send(nickname)\n"),),
        ),
        Wrong(
            "reads the number when the lock is free again",
            "no two lines have the same number",
            (("            return self.lines[room]\n", "        return self.lines[room]\n"),),
            clue="late",
        ),
        Wrong(
            "looks before it takes the lock",
            "of those who claim a nickname at the same time, exactly one gets it",
            (("        with self.lock:\n"
              "            if nickname in self.room_of:\n"
              "                return False\n"
              "            self.room_of[nickname]",
              "        if nickname in self.room_of:\n"
              "            return False\n"
              "        with self.lock:\n"
              "            self.room_of[nickname]"),),
            clue="claim",
        ),
        Wrong(
            "a lock for each half of rename",
            "nobody gets in between while somebody is renamed",
            (("        with self.lock:\n"
              "            if old not in self.room_of or not self.claim(new):\n"
              "                return False\n"
              "            self.room_of[new] = self.room_of[old]\n"
              "            self.release(old)\n"
              "            return True\n",
              "        if old not in self.room_of or not self.claim(new):\n"
              "            return False\n"
              "        self.room_of[new] = self.room_of[old]\n"
              "        self.release(old)\n"
              "        return True\n"),),
            clue="looks",
        ),
        Wrong(
            "two locks in two orders",
            "two who change places come to an end",
            source=LOCK_EACH.replace("sorted([source, target], key=self.names.index)", "source, target"),
            clue="deadlock",
        ),
    ),
    others={
        "a lock for each room, taken in one order": LOCK_EACH,
        "one plain lock, and a method for those who hold it": '''
        from threading import Lock


        class Rooms:
            def __init__(self, names):
                self.names = names
                self.members_of = {name: [] for name in names}
                self.count = [0] * len(names)
                self.lock = Lock()

            def _room_of(self, nickname):
                assert self.lock.locked()
                for room, members in self.members_of.items():
                    if nickname in members:
                        return room

            def claim(self, nickname):
                with self.lock:
                    free = self._room_of(nickname) is None
                    if free:
                        self.members_of[self.names[0]].append(nickname)
                return free

            def release(self, nickname):
                with self.lock:
                    room = self._room_of(nickname)
                    if room:
                        self.members_of[room].remove(nickname)

            def rename(self, old, new):
                self.lock.acquire()
                try:
                    room = self._room_of(old)
                    if room is None or self._room_of(new):
                        return False
                    members = self.members_of[room]
                    members[members.index(old)] = new
                    return True
                finally:
                    self.lock.release()

            def move(self, nickname, source, target):
                with self.lock:
                    if nickname not in self.members_of[source]:
                        return False
                    self.members_of[source].remove(nickname)
                    self.members_of[target].append(nickname)
                    return True

            def members(self, room):
                with self.lock:
                    return self.members_of[room][:]

            def said(self, room):
                with self.lock:
                    index = self.names.index(room)
                    self.count[index] += 1
                    return self.count[index]

            def tell(self, room, send):
                with self.lock:
                    present = tuple(self.members_of[room])
                list(map(send, present))
        ''',
        "a function, a condition, and dicts that are never changed": '''
        import itertools
        import threading
        import types


        def Rooms(names):
            changing = threading.Condition()
            now = {}
            numbers = {name: itertools.count(1) for name in names}

            def claim(nickname):
                nonlocal now
                with changing:
                    if nickname in now:
                        return False
                    now = {**now, nickname: names[0]}
                    return True

            def release(nickname):
                nonlocal now
                with changing:
                    now = {n: room for n, room in now.items() if n != nickname}

            def rename(old, new):
                nonlocal now
                with changing:
                    if old not in now or new in now:
                        return False
                    now = {new if n == old else n: room for n, room in now.items()}
                    return True

            def move(nickname, source, target):
                nonlocal now
                with changing:
                    there = now.get(nickname) == source
                    if there:
                        now = now | {nickname: target}
                    return there

            def members(room):
                return [n for n, where in now.items() if where == room]

            def said(room):
                return next(numbers[room])

            def tell(room, send):
                for nickname in members(room):
                    send(nickname)

            return types.SimpleNamespace(
                claim=claim, release=release, rename=rename, move=move,
                members=members, said=said, tell=tell,
            )
        ''',
        "a semaphore of the class; tell in threads that it waits for": '''
        import threading


        class Rooms(object):
            sem = threading.Semaphore(1)

            def __init__(self, names):
                self.names = names
                self.members_ = []  # pairs
                self.n = [0 for _ in names]

            def _find(self, nickname):
                for i, (nick, room) in enumerate(self.members_):
                    if nick == nickname:
                        return i
                return -1

            def claim(self, nickname):
                with self.sem:
                    if self._find(nickname) >= 0:
                        return False
                    self.members_.append((nickname, self.names[0]))
                    return True

            def release(self, nickname):
                with self.sem:
                    i = self._find(nickname)
                    if i >= 0:
                        self.members_.pop(i)

            def rename(self, old, new):
                with self.sem:
                    i = self._find(old)
                    if i == -1 or self._find(new) != -1:
                        return False
                    self.members_[i] = (new, self.members_[i][1])
                    return True

            def move(self, nickname, source, target):
                with self.sem:
                    i = self._find(nickname)
                    if i == -1 or self.members_[i][1] != source:
                        return False
                    self.members_[i] = (nickname, target)
                    return True

            def members(self, room):
                with self.sem:
                    return [n for n, r in self.members_ if r == room]

            def said(self, room):
                with self.sem:
                    i = self.names.index(room)
                    self.n[i] += 1
                    return self.n[i]

            def tell(self, room, send):
                threads = [threading.Thread(target=send, args=(n,)) for n in self.members(room)]
                for t in threads:
                    t.start()
                for t in threads:
                    t.join()
        ''',
        "globals, and a decorator": '''
        import threading

        lock = threading.Lock()
        where = {}
        counts = {}
        lobby = None


        def locked(function):
            def wrapper(*args, **kwargs):
                lock.acquire()
                try:
                    return function(*args, **kwargs)
                finally:
                    lock.release()
            return wrapper


        class Rooms:
            def __init__(self, names):
                global lobby
                with lock:
                    where.clear()
                    counts.clear()
                    lobby = names[0]
                    for n in names:
                        counts[n] = 0

            @locked
            def claim(self, nickname):
                if nickname in where:
                    return False
                where[nickname] = lobby
                return True

            @locked
            def release(self, nickname):
                where.pop(nickname, None)

            @locked
            def rename(self, old, new):
                if old not in where or new in where:
                    return False
                where[new] = where.pop(old)
                return True

            @locked
            def move(self, nickname, source, target):
                if where.get(nickname) != source:
                    return False
                where[nickname] = target
                return True

            @locked
            def members(self, room):
                return [n for n in where if where[n] == room]

            @locked
            def said(self, room):
                counts[room] += 1
                return counts[room]

            def tell(self, room, send):
                for n in self.members(room):
                    send(n)
        ''',
        "a dataclass with string annotations": '''
        from __future__ import annotations

        import threading
        from collections import Counter
        from dataclasses import dataclass, field


        @dataclass
        class Rooms:
            names: list[str]
            here: dict[str, str] = field(default_factory=dict)
            lines: Counter[str] = field(default_factory=Counter)
            lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

            def claim(self, nickname: str) -> bool:
                with self.lock:
                    return self.here.setdefault(nickname, "") == "" and bool(
                        self.here.update({nickname: self.names[0]}) or True
                    )

            def release(self, nickname: str) -> None:
                with self.lock:
                    if nickname in self.here:
                        del self.here[nickname]

            def rename(self, old: str, new: str) -> bool:
                with self.lock:
                    if new in self.here:
                        return False
                    try:
                        self.here[new] = self.here.pop(old)
                    except KeyError:
                        return False
                    return True

            def move(self, nickname: str, source: str, target: str) -> bool:
                with self.lock:
                    match self.here.get(nickname):
                        case str(room) if room == source:
                            self.here[nickname] = target
                            return True
                        case _:
                            return False

            def members(self, room: str) -> list[str]:
                with self.lock:
                    return [name for name, where in self.here.items() if where == room]

            def said(self, room: str) -> int:
                with self.lock:
                    self.lines[room] += 1
                    return self.lines[room]

            def tell(self, room: str, send) -> None:
                for nickname in tuple(self.members(room)):
                    send(nickname)
        ''',
        "asyncio in a thread": '''
        import asyncio
        import threading


        class Rooms:
            def __init__(self, names):
                self.names = names
                self.rooms = {name: set() for name in names}
                self.numbers = {name: 0 for name in names}
                self.loop = asyncio.new_event_loop()
                threading.Thread(target=self.loop.run_forever, daemon=True).start()

            def _run(self, function, *args):
                async def call():
                    return function(*args)
                return asyncio.run_coroutine_threadsafe(call(), self.loop).result()

            def _where(self, nickname):
                for room, people in self.rooms.items():
                    if nickname in people:
                        return room

            def claim(self, nickname):
                def do():
                    if self._where(nickname):
                        return False
                    self.rooms[self.names[0]].add(nickname)
                    return True
                return self._run(do)

            def release(self, nickname):
                def do():
                    for people in self.rooms.values():
                        people.discard(nickname)
                self._run(do)

            def rename(self, old, new):
                def do():
                    room = self._where(old)
                    if not room or self._where(new):
                        return False
                    self.rooms[room].remove(old)
                    self.rooms[room].add(new)
                    return True
                return self._run(do)

            def move(self, nickname, source, target):
                def do():
                    if nickname in self.rooms[source]:
                        self.rooms[source].remove(nickname)
                        self.rooms[target].add(nickname)
                        return True
                    return False
                return self._run(do)

            def members(self, room):
                return self._run(lambda: list(self.rooms[room]))

            def said(self, room):
                def do():
                    self.numbers[room] += 1
                    return self.numbers[room]
                return self._run(do)

            def tell(self, room, send):
                for nickname in self.members(room):
                    send(nickname)
        ''',
        "inheritance": '''
        import threading


        class Locked:
            def __init__(self):
                self._mutex = threading.RLock()

            def __enter__(self):
                self._mutex.acquire()
                return self

            def __exit__(self, *exc):
                self._mutex.release()


        class Registry(Locked):
            def __init__(self, names):
                super().__init__()
                self.names = list(names)
                self.rooms = {name: {} for name in self.names}

            def where(self, nickname):
                with self:
                    for room in self.rooms:
                        if nickname in self.rooms[room]:
                            return room
                    return None

            def claim(self, nickname):
                with self:
                    if self.where(nickname) is not None:
                        return False
                    self.rooms[self.names[0]][nickname] = True
                    return True

            def release(self, nickname):
                with self:
                    room = self.where(nickname)
                    if room is not None:
                        del self.rooms[room][nickname]


        class Rooms(Registry):
            def __init__(self, names):
                super().__init__(names)
                self.counts = {name: 0 for name in names}

            def rename(self, old, new):
                with self:
                    room = self.where(old)
                    if room is None:
                        return False
                    if self.where(new) is not None:
                        return False
                    self.rooms[room] = {(new if n == old else n): True for n in self.rooms[room]}
                    return True

            def move(self, nickname, source, target):
                with self:
                    if nickname not in self.rooms[source]:
                        return False
                    del self.rooms[source][nickname]
                    self.rooms[target][nickname] = True
                    return True

            def members(self, room):
                with self:
                    return sorted(self.rooms[room])

            def said(self, room):
                with self:
                    self.counts[room] = self.counts[room] + 1
                    return self.counts[room]

            def tell(self, room, send):
                with self:
                    names = self.members(room)
                for name in names:
                    send(name)
        ''',
        "an actor: one thread owns all": '''
        import queue
        import threading


        class Rooms:
            def __init__(self, names):
                self.jobs = queue.Queue()
                self.names = names
                self.of = {}
                self.count = {}
                threading.Thread(target=self._work, daemon=True).start()

            def _work(self):
                while True:
                    what, args, answer = self.jobs.get()
                    answer.put(getattr(self, "_" + what)(*args))

            def _ask(self, what, *args):
                answer = queue.Queue()
                self.jobs.put((what, args, answer))
                return answer.get()

            def claim(self, n): return self._ask("claim", n)
            def release(self, n): return self._ask("release", n)
            def rename(self, o, n): return self._ask("rename", o, n)
            def move(self, n, s, t): return self._ask("move", n, s, t)
            def members(self, r): return self._ask("members", r)
            def said(self, r): return self._ask("said", r)

            def tell(self, room, send):
                for n in self.members(room):
                    send(n)

            def _claim(self, n):
                if n in self.of:
                    return False
                self.of[n] = self.names[0]
                return True

            def _release(self, n):
                self.of.pop(n, None)

            def _rename(self, o, n):
                if o not in self.of or n in self.of:
                    return False
                self.of[n] = self.of.pop(o)
                return True

            def _move(self, n, s, t):
                if self.of.get(n) == s:
                    self.of[n] = t
                    return True
                return False

            def _members(self, r):
                return [n for n in self.of if self.of[n] == r]

            def _said(self, r):
                self.count[r] = self.count.get(r, 0) + 1
                return self.count[r]
        ''',
    },
)  # fmt: skip
