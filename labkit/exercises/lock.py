"""Exercise `lock`: what a lock is held for, how long, and in which order two of them are taken.

Two threads are played line by line, as in roster.py, which has what that needs.
"""

from __future__ import annotations

import re
import threading
from typing import Any

from labkit.exercises.bench import SOON, Bench
from labkit.exercises.exercise import Exercise, Step, Wrong
from labkit.exercises.missed import Missed
from labkit.exercises.roster import STUCK, Broken, Calls, play

TASK = """
Several threads, one building: write `Rooms`, for all of them to use at the same time. One lock, or several,
is up to you.

- `Rooms(names)`: a list of at least two names of rooms; the first is the lobby.
- `.claim(nickname)`: `True`, and the nickname is in the lobby; `False` if somebody has it already.
- `.release(nickname)`: it is in no room any more, and free. If nobody has it, nothing happens.
- `.rename(old, new)`: `True`, and `new` is in the room where `old` was; `old` is free. If nobody has `old`,
  or somebody has `new`: `False`, and nothing has changed. Whoever looks or claims meanwhile finds that one
  person under one nickname, the old or the new; never under both, never under none.
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
        """Nobody gets in between. If `new` is taken, `old` is kept."""
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
        """Call send(nickname) for everybody there, without holding a lock."""
        ### BEGIN SOLUTION
        for nickname in self.members(room):
            send(nickname)
        ### END SOLUTION
'''


class Room(str):
    """The name of a room. To look it up in a dict is a line here: so `lines[room] += 1`, which looks twice,
    is two steps for the stepper, as it is for Python."""

    def __hash__(self) -> int:
        return super().__hash__()


LOBBY, GARDEN = Room("lobby"), Room("garden")


class Rooms(Calls):
    """Rooms of the student's; everybody named is in the lobby."""

    def __init__(self, bench: Bench, *nicknames: str) -> None:
        super().__init__(bench, bench.code(["lobby", "garden"]), "rooms")
        for nickname in nicknames:
            self.gives(True, "claim", nickname)

    def are_in(self, room: str, *nicknames: str, clue: str = "") -> None:
        here = self.call("members", room)
        if sorted(here) != sorted(nicknames):
            raise Missed(f"{list(nicknames)} in the {room}", f"members gave {here}", clue)


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
        ("claim", "dave"), ("said", "lobby"), ("move", "alice", "lobby", "garden"), ("rename", "dave", "eve"),
        ("members", "garden"), ("release", "eve"),
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
        raise Missed(expected, f"{SOON:g} s later it still waits", "waits")


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
    bench.expect("dave" not in heard, "send is not called for dave, who is in the garden", seen, "elsewhere")
    if sorted(heard) != ["alice", "bob", "carol"]:
        died = f"; then {bench.deaths()[0]}" if bench.deaths() else ""
        raise Missed("send is called for alice, bob and carol, once for each", seen + died)
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
            raise Broken("one line is number 1, the other number 2", seen, "late" if 1 not in numbers.values() else "")

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

    for threads in ({"alice": alice, "bob": bob}, {"alice": alice, "carol": carol}, {"carol": carol, "dave": dave}):
        play(bench, setup, threads, one_neo, on="rooms", clue="rename" if "carol" in threads else "claim")


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
            raise Broken("alice keeps her nickname, for 'bob' is taken", "somebody else got 'alice' meanwhile")

    def one_of_both(rooms: Any) -> None:
        if len({"alice", "alicia"}.intersection(seen["members"])) != 1:
            raise Broken("the lobby has 'alice' or 'alicia' at any time", f"members gave {seen['members']}")

    def setup(new: str) -> Any:
        seen["new"] = new
        return with_claimed(bench, "alice", "bob")

    play(bench, lambda: setup("alicia"), {"alice": alice, "carol": looks}, one_of_both, on="rooms", clue="looks")
    play(bench, lambda: setup("bob"), {"alice": alice, "carol": claims}, kept, on="rooms", clue="between")


def to_and_fro(bench: Bench) -> None:
    def setup() -> Any:
        rooms = with_claimed(bench, "alice", "bob")
        rooms.move("bob", LOBBY, GARDEN)
        return rooms

    def alice(rooms: Any) -> None:
        rooms.move("alice", LOBBY, GARDEN)

    def bob(rooms: Any) -> None:
        rooms.move("bob", GARDEN, LOBBY)

    def goes(rooms: Any) -> None:
        rooms.release("alice")

    def changed_places(rooms: Any) -> None:
        if (rooms.members(LOBBY), rooms.members(GARDEN)) != (["bob"], ["alice"]):
            seen = f"the lobby has {rooms.members(LOBBY)}, the garden {rooms.members(GARDEN)}"
            raise Broken("bob is in the lobby, and alice in the garden", seen)

    def nowhere(rooms: Any) -> None:
        if "alice" in rooms.members(LOBBY) + rooms.members(GARDEN):
            raise Broken("alice has gone, and is in no room", f"she is in one: {rooms.members(GARDEN)}")

    play(bench, setup, {"alice": alice, "bob": bob}, changed_places, on="rooms", clue="places")
    play(bench, setup, {"alice": alice, "server": goes}, nowhere, on="rooms", clue="gone")


NO_LOCK = re.sub(r"^    (?= {8})|^.*(with|=).*lock.*\n", "", ANSWER, flags=re.MULTILINE)

LOCK_EACH = """
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

    def release(self, nickname):
        with self.naming:
            for name in self.names:
                with self.locks[name]:
                    self.people[name].discard(nickname)
            self.taken.discard(nickname)

    def rename(self, old, new):
        with self.naming:
            if old not in self.taken or new in self.taken:
                return False
            self.taken.remove(old)
            self.taken.add(new)
            for lock in self.locks.values():
                lock.acquire()
            for people in self.people.values():
                if old in people:
                    people.remove(old)
                    people.add(new)
            for lock in self.locks.values():
                lock.release()
            return True

    def move(self, nickname, source, target):
        first, second = sorted([source, target])
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
