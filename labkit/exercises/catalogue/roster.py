"""Exercise `roster`: who is here. Two lists that never fall out of step, and then one dict.

Its last steps play two threads line by line (bench/races.py): a race that is there shows each time.
"""

from __future__ import annotations

from collections.abc import Callable
from textwrap import dedent
from typing import Any

from labkit.exercises.bench.bench import Bench
from labkit.exercises.bench.races import HINTS_WHEN_STUCK, Broken, Calls, has_lock, play, unlocked
from labkit.exercises.exercise import Exercise, Step, Wrong
from labkit.probe.failed import CheckFailed

TASK = """
Who is here, and by which nickname? The assignment keeps two lists; when one changes and the other does not,
a client speaks in another's name. Write `Roster`, for all threads of a server to use at the same time. What
it keeps, and how, is up to you; each `Roster` knows its own clients alone.

- `.add(client, nickname)` returns `True`. Is the client here already, or the nickname taken, it returns
  `False` and changes nothing.
- `.remove(client)` returns the client's nickname, and `None` if the client is not here. So a departure is
  told once, even if two threads notice it at the same time.
- `.rename(client, new)` returns `True`, and the client keeps its place in the order. Is the client not
  here, or `new` taken, it returns `False` and changes nothing.
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


# --- the steps ---


class Client:
    """Stands for a socket, with a name that reads well."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.name}'s socket>"


ALICE, BOB, CAROL, DAVE = map(Client, ("alice", "bob", "carol", "dave"))


class Roster(Calls):
    """A roster of the student's."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench, bench.code(), "roster")
        self.last: Any = None  # what a call returned

    def call(self, method: str, *arguments: Any) -> Any:
        self.last = None
        self.last = super().call(method, *arguments)
        return self.last

    def are_here(self, *pairs: tuple[Any, str], clue: str = "") -> None:
        """These clients are here under these nicknames, and no others."""
        try:
            self.gives(list(pairs), "everyone", clue=clue)
        except CheckFailed as failed:
            failed.clue = self.shape(list(pairs)) or failed.clue
            raise
        for client, nickname in pairs:
            self.gives(nickname, "nickname_of", client, clue=clue)

    def shape(self, wanted: list[Any]) -> str:
        """A clue, where `everyone` returned a list that is wrong in form or order alone."""
        here = self.last
        if not isinstance(here, list) or len(here) != len(wanted):
            return ""
        if not all(isinstance(pair, tuple) and len(pair) == 2 for pair in here):
            return "pairs"
        if here and {type(client) for client, _ in here} == {str}:
            return "pairs"
        return "order" if set(map(repr, here)) == set(map(repr, wanted)) else ""


def comes(bench: Bench) -> None:
    roster = Roster(bench)
    roster.are_here()
    alice, bob, carol = map(roster.socket, ("alice", "bob", "carol"))
    roster.gives(None, "nickname_of", alice)
    roster.gives(True, "add", carol, "carol")
    roster.gives(True, "add", alice, "alice")
    roster.gives(True, "add", bob, "bob")
    roster.are_here((carol, "carol"), (alice, "alice"), (bob, "bob"))
    Roster(bench).gives([], "everyone", clue="shared")


def once(bench: Bench) -> None:
    roster = Roster(bench)
    alice, bob = map(roster.socket, ("alice", "bob"))
    roster.gives(True, "add", alice, "alice")
    roster.gives(False, "add", bob, "alice", clue="nickname")
    roster.are_here((alice, "alice"), clue="changed")
    roster.gives(None, "nickname_of", bob, clue="changed")
    roster.gives(False, "add", alice, "alicia", clue="client")
    roster.are_here((alice, "alice"), clue="changed")


def leaves(bench: Bench) -> None:
    roster = Roster(bench)
    alice, bob, carol = map(roster.socket, ("alice", "bob", "carol"))
    for sock, name in ((alice, "alice"), (bob, "bob"), (carol, "carol")):
        roster.gives(True, "add", sock, name)
    bob.close()
    roster.gives("bob", "remove", bob)
    roster.are_here((alice, "alice"), (carol, "carol"))
    roster.gives(None, "remove", bob, clue="twice")
    roster.gives(None, "nickname_of", bob, clue="twice")
    roster.are_here((alice, "alice"), (carol, "carol"), clue="twice")
    dave = roster.socket("dave")
    roster.gives(True, "add", dave, "bob", clue="free")
    roster.are_here((alice, "alice"), (carol, "carol"), (dave, "bob"), clue="free")


def renamed(bench: Bench) -> None:
    roster = Roster(bench)
    alice, bob, carol = map(roster.socket, ("alice", "bob", "carol"))
    roster.gives(True, "add", alice, "alice")
    roster.gives(True, "add", bob, "bob")
    roster.gives(True, "rename", alice, "alicia")
    roster.are_here((alice, "alicia"), (bob, "bob"))
    roster.gives(False, "rename", bob, "alicia", clue="taken")
    roster.gives(False, "rename", carol, "carol", clue="not here")
    roster.are_here((alice, "alicia"), (bob, "bob"), clue="not here")
    roster.gives(True, "add", carol, "alice", clue="free")
    roster.gives("alicia", "remove", alice, clue="free")
    roster.gives(True, "rename", bob, "alicia", clue="free")


def copied(bench: Bench) -> None:
    roster = Roster(bench)
    alice, bob = map(roster.socket, ("alice", "bob"))
    roster.gives(True, "add", alice, "alice")
    roster.gives(True, "add", bob, "bob")
    everyone = roster.call("everyone")
    told = []
    bench.said("for each of these: remove", receiver="roster")
    for client, nickname in everyone:
        told.append(nickname)
        roster.gives(nickname, "remove", client)
    if told != ["alice", "bob"]:
        seen = f"{' and '.join(told) or 'nobody'} alone"
        raise CheckFailed("alice and bob are met on the way, though each is removed", seen)
    bench.expect(len(everyone) == 2, "the list stays as it was", f"now it is {roster.shown(everyone)}")
    roster.call("everyone").append("somebody else")
    roster.are_here()


def present(bench: Bench, *clients: Client) -> Callable[[], Any]:
    """Makes a new roster with these clients in it."""

    def setup() -> Any:
        roster = bench.code()
        for client in clients:
            roster.add(client, client.name)
        return roster

    return setup


def are_left(roster: Any, *pairs: tuple[Client, str]) -> None:
    """These are here, and no others."""
    here = roster.everyone()
    if here != list(pairs):
        raise Broken(f"then {list(pairs)} are here", f"{here}")


def two_leave(bench: Bench) -> None:
    told: dict[str, Any] = {}

    def alice(roster: Any) -> None:
        told["alice"] = roster.remove(ALICE)

    def bob(roster: Any) -> None:
        told["bob"] = roster.remove(BOB)

    def each_their_own(roster: Any) -> None:
        for name, nickname in told.items():
            if nickname != name:
                raise Broken(f"removing {name}'s socket returns {name!r}", f"it returned {nickname!r}")
        are_left(roster, (CAROL, "carol"))

    setup = present(bench, ALICE, BOB, CAROL)
    play(bench, setup, {"alice": alice, "bob": bob}, each_their_own, on="roster", clue="nickname")


def told_once(bench: Bench) -> None:
    told: dict[str, Any] = {}

    def reader(roster: Any) -> None:
        told["reader"] = roster.remove(ALICE)

    def writer(roster: Any) -> None:
        told["writer"] = roster.remove(ALICE)

    def one_of_them(roster: Any) -> None:
        if sorted(told.values(), key=str) != [None, "alice"]:
            seen = " and ".join(f"the {who} {what!r}" for who, what in told.items())
            raise Broken("one remove returns 'alice', the other None", f"the two threads got: {seen}")
        are_left(roster, (BOB, "bob"))

    setup = present(bench, ALICE, BOB)
    play(bench, setup, {"reader": reader, "writer": writer}, one_of_them, on="roster", clue="twice")


def one_nickname(bench: Bench) -> None:
    told: dict[str, Any] = {}

    def alice(roster: Any) -> None:
        told["alice"] = roster.add(ALICE, "neo")

    def bob(roster: Any) -> None:
        told["bob"] = roster.add(BOB, "neo")

    def dave(roster: Any) -> None:
        told["dave"] = roster.rename(DAVE, "neo")

    def one_of_them(roster: Any) -> None:
        got = [name for name, yes in told.items() if yes]
        if len(got) != 1:
            raise Broken("exactly one of the two gets 'neo'", f"{' and '.join(got) or 'nobody'} got it")
        neos = [nickname for _, nickname in roster.everyone()].count("neo")
        if neos != 1:
            raise Broken("one 'neo' is here then", f"{roster.everyone()}")

    def setup() -> Any:
        told.clear()
        return present(bench, DAVE)()

    def carol(roster: Any) -> None:
        told["carol"] = roster.add(CAROL, "trinity")

    def each(roster: Any) -> None:
        if not (told["alice"] and told["carol"]):
            refused = "'trinity'" if told["alice"] else "'neo'"
            raise Broken("'neo' and 'trinity' are free, and each add says True", f"{refused} was refused")

    clue = "add" if has_lock(bench.code) else "no lock"
    play(bench, setup, {"alice": alice, "bob": bob}, one_of_them, on="roster", clue=clue)
    play(bench, setup, {"alice": alice, "dave": dave}, one_of_them, on="roster", clue="rename")
    play(bench, setup, {"alice": alice, "carol": carol}, each, on="roster", clue="busy")


def whenever(bench: Bench) -> None:
    seen: dict[str, Any] = {}

    def alice(roster: Any) -> None:
        roster.remove(ALICE)

    def dave(roster: Any) -> None:
        roster.add(DAVE, "dave")

    def everyone(roster: Any) -> None:
        seen["everyone()"] = roster.everyone()

    def nickname_of(roster: Any) -> None:
        seen["everyone()"] = [(BOB, roster.nickname_of(BOB))]

    def in_step(roster: Any) -> None:
        for when, pairs in (("meanwhile", seen.get("everyone()")), ("afterwards", roster.everyone())):
            if pairs is not None:
                if any(client.name != nickname for client, nickname in pairs):
                    raise Broken("everybody has their own nickname, whenever you look", f"{when} {pairs}")
                if BOB not in dict(pairs):
                    raise Broken("bob is here all the time", f"{when} {pairs}")

    def setup() -> Any:
        seen.clear()
        return present(bench, ALICE, BOB)()

    for name, thread in (("alice", alice), ("dave", dave)):
        for look in (everyone, nickname_of):
            play(bench, setup, {name: thread, "carol": look}, in_step, on="roster", clue=look.__name__)
    play(bench, setup, {"alice": alice, "dave": dave}, in_step, on="roster", clue="add")


TWO_LISTS = """
from threading import Lock


class Roster:
    def __init__(self):
        self.clients = []
        self.nicknames = []
        self.lock = Lock()

    def add(self, client, nickname):
        with self.lock:
            if client in self.clients or nickname in self.nicknames:
                return False
            self.clients.append(client)
            self.nicknames.append(nickname)
            return True

    def remove(self, client):
        with self.lock:
            if client not in self.clients:
                return None
            index = self.clients.index(client)
            self.clients.pop(index)
            return self.nicknames.pop(index)

    def rename(self, client, new):
        with self.lock:
            if client not in self.clients or new in self.nicknames:
                return False
            self.nicknames[self.clients.index(client)] = new
            return True

    def nickname_of(self, client):
        with self.lock:
            if client not in self.clients:
                return None
            return self.nicknames[self.clients.index(client)]

    def everyone(self):
        with self.lock:
            return list(zip(self.clients, self.nicknames))
"""


ONE_LIST = """
import threading


class Roster:
    lock = threading.RLock()

    def __init__(self):
        self.pairs = []

    def add(self, client, nickname):
        with self.lock:
            if self.nickname_of(client) is not None or self.taken(nickname):
                return False
            self.pairs.append((client, nickname))
        return True

    def remove(self, client):
        self.lock.acquire()
        try:
            for pair in self.pairs:
                if pair[0] == client:
                    self.pairs.remove(pair)
                    return pair[1]
        finally:
            self.lock.release()

    def rename(self, client, new):
        with self.lock:
            if self.nickname_of(client) is None or self.taken(new):
                return False
            self.pairs = [(c, new if c == client else n) for c, n in self.pairs]
            return True

    def taken(self, nickname):
        with self.lock:
            return any(n == nickname for c, n in self.pairs)

    def nickname_of(self, client):
        with self.lock:
            for c, n in self.pairs:
                if c == client:
                    return n
        return None

    def everyone(self):
        with self.lock:
            return list(self.pairs)
"""


LOCKED_REMOVE = TWO_LISTS[TWO_LISTS.index("    def remove") : TWO_LISTS.index("    def rename")]

EXERCISE = Exercise(
    name="roster",
    title="who is here, and as whom",
    chapter="06_races",
    wants="Roster",
    task=TASK,
    answer=ANSWER,
    steps=(
        Step(
            "who has come is here, in order of arrival",
            comes,
            hints=(
                "Compare the two: who is missing, or under which name?",
                "A dict keeps its keys in the order in which they came: client -> nickname.",
            ),
            hints_by_clue=HINTS_WHEN_STUCK
            | {
                "pairs": (
                    "Take one item of your list: is it a tuple of two, with the client first?",
                    "list(self.nicknames.items()), where the clients are the keys",
                ),
                "order": (
                    "The right ones are here. Who came first, and who stands first?",
                    "A dict keeps the order of arrival; sorting or a set loses it.",
                ),
                "shared": (
                    "A new Roster knows clients that came to another. What do the two share?",
                    "What belongs to one object is made in __init__: self.nicknames = {}",
                    "A class attribute, a global, and def __init__(self, x={}) are one for all.",
                ),
            },
        ),
        Step(
            "a nickname is taken once, and a client comes once",
            once,
            hints=("Look before you add: what could be there already?",),
            hints_by_clue=HINTS_WHEN_STUCK
            | {
                "nickname": (
                    "Two people, one nickname. Where do you look whether it is taken?",
                    "if nickname in self.nicknames.values(): return False",
                ),
                "client": (
                    "This client is here already. Where do you look for it?",
                    "if client in self.nicknames: return False",
                ),
                "changed": (
                    "add said False. What had it changed before?",
                    "First look, then change: both questions come before the first line that adds.",
                ),
            },
        ),
        Step(
            "who has left is gone, and the others keep their nicknames",
            leaves,
            hints=(
                "A client left. Who has which nickname now, and why?",
                "Two lists both lose the item at the same index. A dict has one thing to lose.",
            ),
            hints_by_clue=HINTS_WHEN_STUCK
            | {
                "twice": (
                    "This client is not here. What should remove say, and what should it change?",
                    "self.nicknames.pop(client, None)",
                ),
                "KeyError": (
                    "This client has left already. What does a dict do that does not have a key?",
                    "pop(client) raises KeyError; pop(client, None) returns None.",
                ),
                "ValueError": (
                    "This client has left already. What does a list do that does not have an item?",
                    "if client not in self.clients: return None",
                ),
                "free": (
                    "The old bob has left. Who still has his nickname?",
                    "Everything that add writes down, remove takes away.",
                ),
            },
        ),
        Step(
            "a client gets a new nickname, if it is free",
            renamed,
            hints=(
                "Who has which nickname after rename, and in which order?",
                "self.nicknames[client] = new changes a value, and no key moves.",
            ),
            hints_by_clue=HINTS_WHEN_STUCK
            | {
                "taken": (
                    "The nickname belonged to another client. Did rename look?",
                    "The same question as in add: if new in self.nicknames.values(): return False",
                ),
                "not here": (
                    "Only who is here can be renamed. Did rename look?",
                    "if client not in self.nicknames: return False",
                ),
                "free": (
                    "No client has this nickname any more. Where is it still written down?",
                    "If you keep the nicknames a second time, take the old one away there as well.",
                ),
            },
        ),
        Step(
            "the list of everyone is the caller's own",
            copied,
            hints=(
                "The caller walks the list, and it changes on the way. Whose list is it?",
                "Return a copy: list(…).",
            ),
        ),
        Step(
            "of two who want one nickname, one gets it",
            one_nickname,
            hints=("When did each of the two look, and when did each of them write?",),
            hints_by_clue=HINTS_WHEN_STUCK
            | {
                "no lock": (
                    "Two threads, and nothing keeps them apart. Between which two lines did they meet?",
                    "self.lock = threading.Lock() in __init__, and with self.lock: in each method.",
                    "What looks and what writes belong under the lock together.",
                ),
                "busy": (
                    "It was free, and was refused, for another thread was at work. Who waits for the lock?",
                    "with self.lock: waits until it is free. To look whether it is held is no waiting.",
                ),
                "add": (
                    "Both looked, found it free, and then both took it. What should the lock keep apart?",
                    "with self.lock: around both, the if and the line that adds.",
                ),
                "rename": (
                    "add and rename both found it free. Do the two hold the same lock while they look?",
                    "with self.lock: around all of rename, as in add",
                ),
            },
        ),
        Step(
            "two who leave at the same time take nobody else's nickname",
            two_leave,
            hints=(
                "One thread had found its index, and then the other one ran. What is at that index now?",
                "Between the line that looks and the line that changes, no other thread may come in.",
                "with self.lock: around all of remove, and around every other method that uses these lists",
            ),
            hints_by_clue=HINTS_WHEN_STUCK
            | {
                "IndexError": (
                    "The index was right when it was found. What has happened to the list since?",
                    "with self.lock: around all of remove, from index to pop",
                ),
                "deadlock": (
                    "Which lock is waited for, and who holds it?",
                    "Each method takes the lock once, and lets go of it in any case: with self.lock:",
                ),
            },
            points=2,
        ),
        Step(
            "a departure is told once, even if two threads notice it",
            told_once,
            hints=(
                "Both threads got an answer, before either had removed anything. Which line gave it?",
                "To look and to remove are one thing: the lock is held from the one to the other.",
                "with self.lock: return self.nicknames.pop(client, None)",
            ),
            hints_by_clue=HINTS_WHEN_STUCK
            | {
                "KeyError": (
                    "It was there when this thread looked. Who has removed it since?",
                    "pop(client, None) looks and removes at once; or both under one lock.",
                ),
                "ValueError": (
                    "It was in the list when this thread looked. Who has removed it since?",
                    "with self.lock: around the look and the removal",
                ),
            },
        ),
        Step(
            "whenever you look, everybody has their own nickname",
            whenever,
            hints=(
                "One thread was in the middle of a change, and the other looked. Who should have waited?",
                "Who reads takes the lock as well, or it may see what is half done.",
            ),
            hints_by_clue=HINTS_WHEN_STUCK
            | {
                "RuntimeError": (
                    "A dict was walked, and changed on the way. Who walks it, and who should wait?",
                    "with self.lock: return list(self.nicknames.items())",
                ),
                "nickname_of": (
                    "First it looks where the client is, then what stands there. What came between?",
                    "with self.lock: around both",
                ),
                "add": (
                    "One came and one left, and now the lists differ. Which change was half done?",
                    "with self.lock: around both changes, in add and in remove",
                ),
            },
        ),
    ),
    wrong=(
        Wrong(
            "two lists, and no lock in remove",
            "two who leave at the same time take nobody else's nickname",
            source=TWO_LISTS.replace(LOCKED_REMOVE, unlocked(LOCKED_REMOVE)),
            clue="nickname",
            survey="keeps two lists in step by .index()",
        ),
        Wrong(
            "no lock at all",
            "of two who want one nickname, one gets it",
            source=unlocked(dedent(ANSWER)).replace("self.lock = threading.Lock()  # guards nicknames", ""),
            clue="no lock",
        ),
        Wrong(
            "rename takes no lock",
            "of two who want one nickname, one gets it",
            (("        with self.lock:\n"
              "            if client not in self.nicknames or new in self.nicknames.values():\n"
              "                return False\n"
              "            self.nicknames[client] = new\n"
              "            return True\n",
              "        if client not in self.nicknames or new in self.nicknames.values():\n"
              "            return False\n"
              "        self.nicknames[client] = new\n"
              "        return True\n"),),
            clue="rename",
        ),
        Wrong(
            "a dict of the class",
            "who has come is here, in order of arrival",
            (("        self.nicknames = {}  # client -> nickname, in order of arrival\n", ""),
             ("class Roster:\n", "class Roster:\n    nicknames = {}\n\n")),
            clue="shared",
        ),
        Wrong(
            "in alphabetical order",
            "who has come is here, in order of arrival",
            (("list(self.nicknames.items())", "sorted(self.nicknames.items(), key=lambda pair: pair[1])"),),
            clue="order",
        ),
        Wrong(
            "the nicknames alone",
            "who has come is here, in order of arrival",
            (("list(self.nicknames.items())", "list(self.nicknames.values())"),),
            clue="pairs",
        ),
        Wrong(
            "a lock that times out, and is never released",
            "of two who want one nickname, one gets it",
            source=dedent(ANSWER).replace(
                "with self.lock:", "if self.lock.acquire(timeout=0.01) or True:"
            ),  # no clue: it shows as a lock that is held, or as a dict that changes while it is read
        ),
        Wrong(
            "adds before it looks",
            "a nickname is taken once, and a client comes once",
            (("            if client in self.nicknames or nickname in self.nicknames.values():\n"
              "                return False\n"
              "            self.nicknames[client] = nickname\n"
              "            return True\n",
              "            taken = client in self.nicknames or nickname in self.nicknames.values()\n"
              "            self.nicknames[client] = nickname\n"
              "            return not taken\n"),),
            clue="changed",
        ),
        Wrong(
            "one of the two lists forgets nobody",
            "who has left is gone, and the others keep their nicknames",
            source=TWO_LISTS.replace("self.nicknames.pop(index)", "self.nicknames[index]"),
        ),
        Wrong(
            "takes away who is not here",
            "who has left is gone, and the others keep their nicknames",
            (("pop(client, None)", "pop(client)"),),
            clue="KeyError",
        ),
        Wrong(
            "rename does not look",
            "a client gets a new nickname, if it is free",
            (("if client not in self.nicknames or new in self.nicknames.values():",
              "if client not in self.nicknames:"),),
            clue="taken",
        ),
        Wrong(
            "gives its own list away",
            "the list of everyone is the caller's own",
            source=ONE_LIST.replace("return list(self.pairs)", "return self.pairs"),
        ),
        Wrong(
            "looks outside the lock who leaves",
            "a departure is told once, even if two threads notice it",
            (("        with self.lock:\n"
              "            return self.nicknames.pop(client, None)\n",
              "        nickname = self.nicknames.get(client)\n"
              "        with self.lock:\n"
              "            self.nicknames.pop(client, None)\n"
              "        return nickname\n"),),
            clue="twice",
        ),
        Wrong(
            "looks outside the lock whether it is taken",
            "of two who want one nickname, one gets it",
            (("        with self.lock:\n"
              "            if client in self.nicknames or nickname in self.nicknames.values():\n"
              "                return False\n"
              "            self.nicknames[client] = nickname\n",
              "        if client in self.nicknames or nickname in self.nicknames.values():\n"
              "            return False\n"
              "        with self.lock:\n"
              "            self.nicknames[client] = nickname\n"),),
            clue="add",
        ),
        Wrong(
            "who reads takes no lock",
            "whenever you look, everybody has their own nickname",
            source=TWO_LISTS.replace(
                "        with self.lock:\n            return list(zip",
                "        return list(zip",
            ),
            clue="everyone",
        ),
        Wrong(
            "walks the dict without the lock",
            "whenever you look, everybody has their own nickname",
            (("        with self.lock:\n"
              "            return list(self.nicknames.items())\n",
              "        pairs = []\n"
              "        for client, nickname in self.nicknames.items():\n"
              "            pairs.append((client, nickname))\n"
              "        return pairs\n"),),
            clue="RuntimeError",
        ),
    ),
    others={
        "two lists and a lock": TWO_LISTS,
        "a list of pairs, one lock for the class, taken more than once": ONE_LIST,
        "two dicts, one for each direction": '''
        import threading

        guard = threading.Lock()


        class Roster:
            def __init__(self):
                self.name_by_client, self.client_by_name = {}, {}

            def add(self, client, nickname):
                with guard:
                    free = client not in self.name_by_client and nickname not in self.client_by_name
                    if free:
                        self.name_by_client[client] = nickname
                        self.client_by_name[nickname] = client
                    return free

            def remove(self, client):
                with guard:
                    nickname = self.name_by_client.pop(client, None)
                    self.client_by_name.pop(nickname, None)
                    return nickname

            def rename(self, client, new):
                with guard:
                    old = self.name_by_client.get(client)
                    if old is None or self.client_by_name.get(new, client) is not client:
                        return False
                    del self.client_by_name[old]
                    self.client_by_name[new] = client
                    self.name_by_client[client] = new
                    return True

            def nickname_of(self, client):
                with guard:
                    return self.name_by_client.get(client)

            def everyone(self):
                with guard:
                    return [(client, nickname) for client, nickname in self.name_by_client.items()]
        ''',
        "a function, and a dict that is never changed": '''
        import threading
        import types


        def Roster():
            lock = threading.Condition()
            now = {}

            def add(client, nickname):
                nonlocal now
                with lock:
                    if client in now or nickname in now.values():
                        return False
                    now = {**now, client: nickname}
                return True

            def remove(client):
                nonlocal now
                with lock:
                    nickname = now.get(client)
                    now = {c: n for c, n in now.items() if c is not client}
                return nickname

            def rename(client, new):
                nonlocal now
                with lock:
                    if client not in now or new in now.values():
                        return False
                    now = now | {client: new}
                return True

            return types.SimpleNamespace(
                add=add, remove=remove, rename=rename,
                nickname_of=lambda client: now.get(client), everyone=lambda: list(now.items()),
            )
        ''',
    },
)  # fmt: skip
