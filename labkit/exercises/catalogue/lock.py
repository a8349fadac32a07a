"""Exercise `lock`: what a lock is held for, how long, and in which order two of them are taken.

Two threads are played line by line, as in roster.py.
"""

from __future__ import annotations

import re
from typing import Any

from labkit.exercises.bench.bench import SOON, Bench
from labkit.exercises.bench.races import HINTS_WHEN_STUCK, Broken, Calls, play, unlocked
from labkit.exercises.bench.values import is_list
from labkit.exercises.exercise import Exercise, Step, Wrong
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


class Rooms(Calls):
    """Rooms of the student's, with these nicknames in the lobby."""

    def __init__(self, bench: Bench, *nicknames: str) -> None:
        super().__init__(bench, bench.code(["lobby", "garden"]), "rooms")
        for nickname in nicknames:
            self.gives(True, "claim", nickname)

    def are_in(self, room: str, *nicknames: str, clue: str = "") -> None:
        here = self.call("members", room)
        is_list(here, f"members({room!r})")
        if sorted(here) != sorted(nicknames):
            raise CheckFailed(f"{list(nicknames)} in the {room}", f"members gave {here}", clue)


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


def moved(bench: Bench) -> None:
    rooms = Rooms(bench, "alice", "bob")
    rooms.gives(True, "move", "alice", "lobby", "garden")
    rooms.are_in("lobby", "bob")
    rooms.are_in("garden", "alice")
    rooms.gives(False, "move", "alice", "lobby", "garden", clue="not there")
    rooms.gives(False, "move", "carol", "lobby", "garden", clue="not there")
    rooms.are_in("garden", "alice", clue="not there")
    rooms.gives(False, "claim", "alice", clue="elsewhere")
    rooms.call("members", "garden").append("a ghost")
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

    def send(nickname: str) -> None:
        bench.said(f"send({nickname!r})", "rooms", "check")
        for method, *arguments in asked:
            call = rooms.written(method, tuple(arguments))
            bench.said(call, "another thread", "rooms")
            if not bench.thread(getattr(rooms.made, method), *arguments).ended():
                late.append(call)
                return

    bench.said("tell('lobby', send)", receiver="rooms")
    bench.thread(rooms.made.tell, "lobby", send, name="tell").result("tell comes back", 2 * SOON)
    if late:
        expected = f"send is at work: {late[0]} comes back in another thread meanwhile"
        raise CheckFailed(expected, f"{SOON:g} s later it still waits", "waits")


def told(bench: Bench) -> None:
    rooms = Rooms(bench, "alice", "bob", "carol", "dave")
    rooms.gives(True, "move", "dave", "lobby", "garden")
    heard: list[str] = []

    def send(nickname: str) -> None:
        bench.said(f"send({nickname!r})", "rooms", "check")
        heard.append(nickname)
        rooms.made.release(nickname)

    bench.said("tell('lobby', send); who is told leaves", receiver="rooms")
    telling = bench.thread(rooms.made.tell, "lobby", send, name="tell")
    telling.ended()
    seen = f"it was called for {', '.join(heard) or 'nobody'}"
    bench.expect("dave" not in heard, "send is not called for dave in the garden", seen, "elsewhere")
    if sorted(heard) != ["alice", "bob", "carol"]:
        died = f"; then {bench.deaths()[0]}" if bench.deaths() else ""
        raise CheckFailed("send is called for alice, bob and carol, once for each", seen + died)
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

    play(bench, lambda: bench.code([LOBBY, GARDEN]), {"alice": alice, "bob": bob}, one_and_two, on="rooms")


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

    play(bench, setup, {"alice": alice, "bob": bob}, one_neo, on="rooms", clue="claim")
    play(bench, setup, {"alice": alice, "carol": carol}, one_neo, on="rooms", clue="rename")
    play(bench, setup, {"carol": carol, "dave": dave}, one_neo, on="rooms", clue="rename")


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
    play(bench, lambda: setup("alicia"), both, one_name, on="rooms", clue="looks")
    both = {"alice": alice, "carol": claims}
    play(bench, lambda: setup("bob"), both, kept, on="rooms", clue="between")


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

    play(bench, setup, {"alice": alice, "bob": bob}, changed_places, on="rooms", clue="places")
    play(bench, setup, {"alice": alice, "server": release_alice}, one_is_left, on="rooms", clue="gone")
    play(bench, setup, {"bob": bob, "server": release_bob}, one_is_left, on="rooms", clue="gone")


NO_LOCK = re.sub(r"^.*(self\.lock|###).*\n", "", unlocked(ANSWER), flags=re.MULTILINE)

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
            hints_by_clue=HINTS_WHEN_STUCK
            | {
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
            hints_by_clue=HINTS_WHEN_STUCK
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
            hints_by_clue={
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
            "while send is at work, no lock is held",
            no_lock_held,
            hints=(
                "What does the other thread wait for, and who has it while send is at work?",
                "A send takes as long as a slow client likes. Hold the lock to copy the list, no longer.",
                "for nickname in self.members(room): send(nickname)",
            ),
            points=2,
        ),
        Step(
            "tell reaches everybody there, though some leave meanwhile",
            told,
            hints=(
                "A client left while tell was on its way. What did tell walk over?",
                "Walk over a copy: for nickname in self.members(room): …",
            ),
            hints_by_clue=HINTS_WHEN_STUCK
            | {"elsewhere": ("Who is in this room?", "for nickname in self.members(room): …")},
        ),
        Step(
            "no two lines have the same number",
            each_line_counts,
            hints=(
                "Both threads read the same number, and then both wrote it, one higher. What was lost?",
                "To read, to add and to write are three things: hold the lock from the first to the last.",
                "with self.lock: around all of said",
            ),
            hints_by_clue={
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
            hints_by_clue={
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
            hints_by_clue={
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
            hints_by_clue={
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
            "releases the old nickname before it has the new one",
            "rename keeps the room, and the old nickname if the new one is taken",
            (("            if old not in self.room_of or not self.claim(new):\n"
              "                return False\n"
              "            self.room_of[new] = self.room_of[old]\n"
              "            self.release(old)\n",
              "            room = self.room_of.get(old)\n"
              "            self.release(old)\n"
              "            if room is None or not self.claim(new):\n"
              "                return False\n"
              "            self.room_of[new] = room\n"),),
            clue="taken",
        ),
        Wrong(
            "sends while it holds the lock",
            "while send is at work, no lock is held",
            (("        for nickname in self.members(room):\n"
              "            send(nickname)\n",
              "        with self.lock:\n"
              "            for nickname in self.members(room):\n"
              "                send(nickname)\n"),),
            survey="sends while holding the lock",
        ),
        Wrong(
            "walks what others change",
            "tell reaches everybody there, though some leave meanwhile",
            (("        for nickname in self.members(room):\n"
              "            send(nickname)\n",
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
    },
)  # fmt: skip
