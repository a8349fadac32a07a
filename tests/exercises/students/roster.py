"""Answers to `roster` as students write them: right ones in many styles, and wrong ones."""

from labkit.exercises.exercise import Wrong

RIGHT = {
    "asyncio": r'''
import asyncio
import threading


class Roster:
    """One loop in a thread of its own does everything; the others ask it."""

    def __init__(self):
        self.here = {}
        self.lock = threading.Lock()

    def ask(self, coroutine):
        with self.lock:
            try:
                coroutine.send(None)
            except StopIteration as stop:
                return stop.value

    async def _add(self, client, nickname):
        if client in self.here or nickname in self.here.values():
            return False
        self.here[client] = nickname
        return True

    async def _remove(self, client):
        return self.here.pop(client, None)

    async def _rename(self, client, new):
        if client not in self.here or new in self.here.values():
            return False
        self.here[client] = new
        return True

    async def _everyone(self):
        return [*self.here.items()]

    async def _nickname_of(self, client):
        return self.here.get(client)

    def add(self, client, nickname):
        return self.ask(self._add(client, nickname))

    def remove(self, client):
        return self.ask(self._remove(client))

    def rename(self, client, new):
        return self.ask(self._rename(client, new))

    def nickname_of(self, client):
        return self.ask(self._nickname_of(client))

    def everyone(self):
        return self.ask(self._everyone())
''',
    "asyncio loop in a thread": r"""
import asyncio
import threading


class Roster:
    def __init__(self):
        self.here = {}
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def ask(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    async def _add(self, client, nickname):
        if client in self.here or nickname in self.here.values():
            return False
        self.here[client] = nickname
        return True

    async def _remove(self, client):
        return self.here.pop(client, None)

    async def _rename(self, client, new):
        if client not in self.here or new in self.here.values():
            return False
        self.here[client] = new
        return True

    async def _everyone(self):
        return list(self.here.items())

    async def _nickname_of(self, client):
        return self.here.get(client)

    def add(self, client, nickname):
        return self.ask(self._add(client, nickname))

    def remove(self, client):
        return self.ask(self._remove(client))

    def rename(self, client, new):
        return self.ask(self._rename(client, new))

    def nickname_of(self, client):
        return self.ask(self._nickname_of(client))

    def everyone(self):
        return self.ask(self._everyone())
""",
    "dataclasses": r"""
from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Member:
    client: Any
    nickname: str


@dataclass
class Roster:
    members: list[Member] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def _find(self, client: Any) -> Member | None:
        return next((m for m in self.members if m.client is client), None)

    def _taken(self, nickname: str) -> bool:
        return any(m.nickname == nickname for m in self.members)

    def add(self, client: Any, nickname: str) -> bool:
        with self.lock:
            if self._find(client) or self._taken(nickname):
                return False
            self.members.append(Member(client, nickname))
            return True

    def remove(self, client: Any) -> str | None:
        with self.lock:
            member = self._find(client)
            if member is None:
                return None
            self.members.remove(member)
            return member.nickname

    def rename(self, client: Any, new: str) -> bool:
        with self.lock:
            member = self._find(client)
            if member is None or self._taken(new):
                return False
            member.nickname = new
            return True

    def nickname_of(self, client: Any) -> str | None:
        with self.lock:
            member = self._find(client)
            return member.nickname if member else None

    def everyone(self) -> list[tuple[Any, str]]:
        with self.lock:
            return [(m.client, m.nickname) for m in self.members]
""",
    "inherits from dict": r"""
import threading


class Roster(dict):
    def __init__(self):
        super().__init__()
        self.lock = threading.RLock()

    def add(self, client, nickname):
        with self.lock:
            if client in self or nickname in self.values():
                return False
            self[client] = nickname
            return True

    def remove(self, client):
        with self.lock:
            return self.pop(client, None)

    def rename(self, client, new):
        with self.lock:
            if client in self and new not in self.values():
                self[client] = new
                return True
            return False

    def nickname_of(self, client):
        with self.lock:
            return self.get(client)

    def everyone(self):
        with self.lock:
            return list(self.items())
""",
    "a decorator": r"""
import functools
from threading import RLock


def locked(method):
    @functools.wraps(method)
    def wrapper(self, *args):
        with self._lock:
            return method(self, *args)

    return wrapper


class Roster:
    def __init__(self):
        self._lock = RLock()
        self._clients, self._names = [], []

    @locked
    def add(self, client, nickname):
        if client in self._clients or nickname in self._names:
            return False
        self._clients.append(client)
        self._names.append(nickname)
        return True

    @locked
    def remove(self, client):
        try:
            i = self._clients.index(client)
        except ValueError:
            return None
        del self._clients[i]
        return self._names.pop(i)

    @locked
    def rename(self, client, new):
        if new in self._names or client not in self._clients:
            return False
        self._names[self._clients.index(client)] = new
        return True

    @locked
    def nickname_of(self, client):
        return dict(zip(self._clients, self._names)).get(client)

    @locked
    def everyone(self):
        return list(zip(self._clients, self._names))
""",
    "acquire and release, globals": r"""
import threading

lock = threading.Lock()


class Roster:
    def __init__(self):
        self.d = {}

    def add(self, client, nickname):
        lock.acquire()
        try:
            for c in self.d:
                if c is client or self.d[c] == nickname:
                    return False
            self.d[client] = nickname
            return True
        finally:
            lock.release()

    def remove(self, client):
        lock.acquire()
        try:
            if client in self.d:
                name = self.d[client]
                del self.d[client]
                return name
            return None
        finally:
            lock.release()

    def rename(self, client, new):
        lock.acquire()
        ok = client in self.d and new not in self.d.values()
        if ok:
            self.d[client] = new
        lock.release()
        return ok

    def nickname_of(self, client):
        with lock:
            return self.d[client] if client in self.d else None

    def everyone(self):
        with lock:
            result = []
            for client, name in self.d.items():
                result.append((client, name))
            return result
""",
    "a queue of one, as a lock": r"""
import queue


class Roster:
    def __init__(self):
        self.turn = queue.Queue()
        self.turn.put({})

    def add(self, client, nickname):
        here = self.turn.get()
        try:
            if client in here or nickname in here.values():
                return False
            here[client] = nickname
            return True
        finally:
            self.turn.put(here)

    def remove(self, client):
        here = self.turn.get()
        name = here.pop(client, None)
        self.turn.put(here)
        return name

    def rename(self, client, new):
        here = self.turn.get()
        ok = client in here and new not in here.values()
        if ok:
            here[client] = new
        self.turn.put(here)
        return ok

    def nickname_of(self, client):
        here = self.turn.get()
        try:
            return here.get(client)
        finally:
            self.turn.put(here)

    def everyone(self):
        here = self.turn.get()
        try:
            return list(here.items())
        finally:
            self.turn.put(here)
""",
    "a Semaphore": r"""
from threading import Semaphore


class Roster:
    def __init__(self):
        self.people, self.one = {}, Semaphore(1)

    def add(self, client, nickname):
        with self.one:
            if self.people.get(client) is None and nickname not in list(self.people.values()):
                self.people.update({client: nickname})
                return True
        return False

    def remove(self, client):
        with self.one:
            return self.people.pop(client) if client in self.people else None

    def rename(self, client, new):
        with self.one:
            if client in self.people and new not in set(self.people.values()):
                self.people[client] = new
                return True
            return False

    def nickname_of(self, client):
        with self.one:
            try:
                return self.people[client]
            except KeyError:
                return None

    def everyone(self):
        with self.one:
            return [pair for pair in self.people.items()]
""",
    "dict.get without the lock, which is atomic": r'''
import threading


class Roster:
    """Who is here, and by which nickname. Safe to use from any thread."""

    def __init__(self):
        self.nicknames = {}  # client -> nickname, in order of arrival
        self.lock = threading.Lock()  # guards nicknames

    def add(self, client, nickname: str) -> bool:
        """False: the client is here already, or the nickname is taken."""
        with self.lock:
            if client in self.nicknames or nickname in self.nicknames.values():
                return False
            self.nicknames[client] = nickname
            return True

    def remove(self, client) -> str | None:
        """The nickname of the client that has left; None if it was not here."""
        with self.lock:
            return self.nicknames.pop(client, None)

    def rename(self, client, new: str) -> bool:
        """False: the client is not here, or the nickname is taken."""
        with self.lock:
            if client not in self.nicknames or new in self.nicknames.values():
                return False
            self.nicknames[client] = new
            return True

    def nickname_of(self, client) -> str | None:
        """Its nickname; None if it is not here."""
        return self.nicknames.get(client)

    def everyone(self) -> list:
        """Pairs (client, nickname), in order of arrival."""
        with self.lock:
            return list(self.nicknames.items())
''',
    "OrderedDict, by id": r"""
import threading
from collections import OrderedDict


class Roster:
    def __init__(self):
        self.by_id = OrderedDict()
        self.taken = set()
        self.mutex = threading.Lock()

    def add(self, client, nickname):
        with self.mutex:
            if id(client) in self.by_id or nickname in self.taken:
                return False
            self.by_id[id(client)] = (client, nickname)
            self.taken.add(nickname)
            return True

    def remove(self, client):
        with self.mutex:
            found = self.by_id.pop(id(client), None)
            if found is None:
                return None
            self.taken.discard(found[1])
            return found[1]

    def rename(self, client, new):
        with self.mutex:
            if id(client) not in self.by_id or new in self.taken:
                return False
            self.taken.discard(self.by_id[id(client)][1])
            self.taken.add(new)
            self.by_id[id(client)] = (client, new)
            return True

    def nickname_of(self, client):
        with self.mutex:
            return self.by_id.get(id(client), (None, None))[1]

    def everyone(self):
        with self.mutex:
            return list(self.by_id.values())
""",
    "namedtuple and frozen, Condition": r"""
import threading
from collections import namedtuple

Entry = namedtuple("Entry", "client nickname")


class Roster:
    def __init__(self):
        self.entries = ()
        self.changed = threading.Condition()

    def add(self, client, nickname):
        with self.changed:
            if any(e.client is client or e.nickname == nickname for e in self.entries):
                return False
            self.entries += (Entry(client, nickname),)
            self.changed.notify_all()
            return True

    def remove(self, client):
        with self.changed:
            gone = [e for e in self.entries if e.client is client]
            self.entries = tuple(e for e in self.entries if e.client is not client)
            return gone[0].nickname if gone else None

    def rename(self, client, new):
        with self.changed:
            if client not in [e.client for e in self.entries]:
                return False
            if new in [e.nickname for e in self.entries]:
                return False
            self.entries = tuple(
                e._replace(nickname=new) if e.client is client else e for e in self.entries
            )
            return True

    def nickname_of(self, client):
        return next((e.nickname for e in self.entries if e.client is client), None)

    def everyone(self):
        return [(e.client, e.nickname) for e in self.entries]
""",
    "from threading import Lock as default argument": r"""
from threading import Lock


class Roster:
    def __init__(self, make_lock=Lock):
        self._guard = make_lock()
        self._d = dict()

    def add(self, client, nickname):
        with self._guard:
            taken = nickname in self._d.values() or client in self._d
            if not taken:
                self._d[client] = nickname
            return not taken

    def remove(self, client):
        with self._guard:
            return self._d.pop(client, None)

    def rename(self, client, new):
        with self._guard:
            if new in self._d.values() or client not in self._d:
                return False
            self._d[client] = new
            return True

    def nickname_of(self, client):
        with self._guard:
            return self._d.get(client, None)

    def everyone(self):
        with self._guard:
            return list(self._d.items())
""",
    "slots": r"""
import threading


class Roster:
    __slots__ = ("d", "lock")
    make = staticmethod(threading.Lock)

    def __init__(self):
        self.d = {}
        self.lock = self.make()

    def add(self, client, nickname):
        with self.lock:
            if client in self.d or nickname in self.d.values():
                return False
            self.d[client] = nickname
            return True

    def remove(self, client):
        with self.lock:
            return self.d.pop(client, None)

    def rename(self, client, new):
        with self.lock:
            if client not in self.d or new in self.d.values():
                return False
            self.d[client] = new
            return True

    def nickname_of(self, client):
        with self.lock:
            return self.d.get(client)

    def everyone(self):
        with self.lock:
            return [(c, n) for c, n in self.d.items()]
""",
    "base class and mixin; sqlite": r"""
import sqlite3
import threading


class Roster:
    def __init__(self):
        self.db = sqlite3.connect(":memory:", check_same_thread=False)
        columns = "n integer primary key autoincrement, id integer unique, nick text unique"
        self.db.execute(f"create table r ({columns})")
        self.objects = {}
        self.lock = threading.Lock()

    def add(self, client, nickname):
        with self.lock:
            try:
                self.db.execute("insert into r (id, nick) values (?, ?)", (id(client), nickname))
            except sqlite3.IntegrityError:
                return False
            self.objects[id(client)] = client
            return True

    def remove(self, client):
        with self.lock:
            row = self.db.execute("select nick from r where id = ?", (id(client),)).fetchone()
            if row is None:
                return None
            self.db.execute("delete from r where id = ?", (id(client),))
            del self.objects[id(client)]
            return row[0]

    def rename(self, client, new):
        with self.lock:
            if self.db.execute("select 1 from r where nick = ?", (new,)).fetchone():
                return False
            return self.db.execute("update r set nick = ? where id = ?", (new, id(client))).rowcount == 1

    def nickname_of(self, client):
        with self.lock:
            row = self.db.execute("select nick from r where id = ?", (id(client),)).fetchone()
            return row[0] if row else None

    def everyone(self):
        with self.lock:
            rows = self.db.execute("select id, nick from r order by n").fetchall()
            return [(self.objects[i], nick) for i, nick in rows]
""",
    "own rlock in nested object": r"""
import threading


class Store:
    def __init__(self):
        self.mutex = threading.RLock()
        self.clients = []
        self.names = []

    def __enter__(self):
        self.mutex.acquire()
        return self

    def __exit__(self, *exc):
        self.mutex.release()


class Roster:
    def __init__(self):
        self.store = Store()

    def _at(self, client):
        return self.store.clients.index(client) if client in self.store.clients else -1

    def add(self, client, nickname):
        with self.store as s:
            if self._at(client) >= 0 or nickname in s.names:
                return False
            s.clients.append(client)
            s.names.append(nickname)
            return True

    def remove(self, client):
        with self.store as s:
            at = self._at(client)
            if at < 0:
                return None
            s.clients.pop(at)
            return s.names.pop(at)

    def rename(self, client, new):
        with self.store as s:
            at = self._at(client)
            if at < 0 or new in s.names:
                return False
            s.names[at] = new
            return True

    def nickname_of(self, client):
        with self.store as s:
            at = self._at(client)
            return None if at < 0 else s.names[at]

    def everyone(self):
        with self.store as s:
            return list(zip(s.clients, s.names))
""",
}

WRONG = (
    Wrong(
        "no lock, list of pairs",
        "of two who want one nickname, one gets it",
        source=r"""
class Roster:
    def __init__(self):
        self.pairs = []
    def add(self, client, nickname):
        for c, n in self.pairs:
            if c == client or n == nickname:
                return False
        self.pairs.append((client, nickname))
        return True
    def remove(self, client):
        for pair in self.pairs:
            if pair[0] == client:
                self.pairs.remove(pair)
                return pair[1]
        return None
    def rename(self, client, new):
        if any(n == new for c, n in self.pairs):
            return False
        for i, (c, n) in enumerate(self.pairs):
            if c == client:
                self.pairs[i] = (c, new)
                return True
        return False
    def nickname_of(self, client):
        for c, n in self.pairs:
            if c == client:
                return n
    def everyone(self):
        return list(self.pairs)
""",
        clue="no lock",
    ),
    Wrong(
        "new lock each time",
        "of two who want one nickname, one gets it",
        source=r'''
import threading


class Roster:
    """Who is here, and by which nickname. Safe to use from any thread."""

    def __init__(self):
        self.nicknames = {}  # client -> nickname, in order of arrival
        self.lock = threading.Lock()  # guards nicknames

    def add(self, client, nickname: str) -> bool:
        """False: the client is here already, or the nickname is taken."""
        with threading.Lock():
            if client in self.nicknames or nickname in self.nicknames.values():
                return False
            self.nicknames[client] = nickname
            return True

    def remove(self, client) -> str | None:
        """The nickname of the client that has left; None if it was not here."""
        with threading.Lock():
            return self.nicknames.pop(client, None)

    def rename(self, client, new: str) -> bool:
        """False: the client is not here, or the nickname is taken."""
        with threading.Lock():
            if client not in self.nicknames or new in self.nicknames.values():
                return False
            self.nicknames[client] = new
            return True

    def nickname_of(self, client) -> str | None:
        """Its nickname; None if it is not here."""
        with threading.Lock():
            return self.nicknames.get(client)

    def everyone(self) -> list:
        """Pairs (client, nickname), in order of arrival."""
        with threading.Lock():
            return list(self.nicknames.items())
''',
        clue="add",
    ),
    Wrong(
        "lock not released on one path",
        "a nickname is taken once, and a client comes once",
        swaps=(
            (
                (
                    "        with self.lock:\n"
                    "            if client in self.nicknames or nickname in self.nicknames.values():\n"
                    "                return False\n"
                    "            self.nicknames[client] = nickname\n"
                    "            return True"
                ),
                (
                    "        self.lock.acquire()\n"
                    "        if client in self.nicknames or nickname in self.nicknames.values():\n"
                    "            return False\n"
                    "        self.nicknames[client] = nickname\n"
                    "        self.lock.release()\n"
                    "        return True"
                ),
            ),
        ),
        clue="does not come back",
    ),
    Wrong(
        "lock taken twice",
        "a client gets a new nickname, if it is free",
        swaps=(
            (
                "            if client not in self.nicknames or new",
                "            if self.nickname_of(client) is None or new",
            ),
        ),
        clue="does not come back",
    ),
    Wrong(
        "mutable default",
        "who has come is here, in order of arrival",
        swaps=(
            ("def __init__(self):", "def __init__(self, nicknames={}):"),
            ("self.nicknames = {}", "self.nicknames = nicknames"),
        ),
        clue="shared",
    ),
    Wrong(
        "rename moves to end",
        "a client gets a new nickname, if it is free",
        swaps=(
            (
                "            self.nicknames[client] = new",
                ("            del self.nicknames[client]\n            self.nicknames[client] = new"),
            ),
        ),
        clue="order",
    ),
    Wrong(
        "removal keeps name taken",
        "who has left is gone, and the others keep their nicknames",
        source=r"""
import threading
class Roster:
    def __init__(self):
        self.d = {}; self.taken = set(); self.lock = threading.Lock()
    def add(self, client, nickname):
        with self.lock:
            if client in self.d or nickname in self.taken:
                return False
            self.d[client] = nickname; self.taken.add(nickname)
            return True
    def remove(self, client):
        with self.lock:
            return self.d.pop(client, None)
    def rename(self, client, new):
        with self.lock:
            if client not in self.d or new in self.taken:
                return False
            self.taken.add(new); self.d[client] = new
            return True
    def nickname_of(self, client):
        with self.lock: return self.d.get(client)
    def everyone(self):
        with self.lock: return list(self.d.items())
""",
        clue="free",
    ),
    Wrong(
        "nick -> client dict",
        "a nickname is taken once, and a client comes once",
        source=r"""
import threading
class Roster:
    def __init__(self):
        self.d = {}
        self.lock = threading.Lock()
    def add(self, client, nickname):
        with self.lock:
            if nickname in self.d:
                return False
            self.d[nickname] = client
            return True
    def remove(self, client):
        with self.lock:
            for n, c in self.d.items():
                if c == client:
                    del self.d[n]
                    return n
    def rename(self, client, new):
        with self.lock:
            if new in self.d:
                return False
            for n, c in list(self.d.items()):
                if c == client:
                    del self.d[n]
                    self.d[new] = c
                    return True
            return False
    def nickname_of(self, client):
        with self.lock:
            for n, c in self.d.items():
                if c == client:
                    return n
    def everyone(self):
        with self.lock:
            return [(c, n) for n, c in self.d.items()]
""",
        clue="client",
    ),
    Wrong(
        "remove: get then pop, one lock each",
        "a departure is told once, even if two threads notice it",
        swaps=(
            (
                ("        with self.lock:\n            return self.nicknames.pop(client, None)"),
                (
                    "        nickname = self.nickname_of(client)\n"
                    "        with self.lock:\n"
                    "            self.nicknames.pop(client, None)\n"
                    "        return nickname"
                ),
            ),
        ),
        clue="twice",
    ),
    Wrong(
        "add: check in one lock, write in other",
        "of two who want one nickname, one gets it",
        swaps=(
            (
                "            self.nicknames[client] = nickname",
                ("        with self.lock:\n            self.nicknames[client] = nickname"),
            ),
        ),
        clue="add",
    ),
    Wrong(
        "two locks",
        "of two who want one nickname, one gets it",
        swaps=(
            (
                ("        with self.lock:\n            if client not in self"),
                ("        with self.lock2:\n            if client not in self"),
            ),
            (
                "        self.lock = threading.Lock()",
                ("        self.lock2 = threading.Lock()\n        self.lock = threading.Lock()"),
            ),
        ),
        clue="rename",
    ),
    Wrong(
        "everyone: swapped",
        "who has come is here, in order of arrival",
        swaps=(("list(self.nicknames.items())", "[(n, c) for c, n in self.nicknames.items()]"),),
        clue="pairs",
    ),
    Wrong(
        "refuses while the lock is held",
        "of two who want one nickname, one gets it",
        swaps=(
            (
                (
                    "    def add(self, client, nickname: str) -> bool:\n"
                    '        """False: the client is here already, or the nickname is taken."""\n'
                ),
                (
                    "    def add(self, client, nickname: str) -> bool:\n"
                    '        """False: the client is here already, or the nickname is taken."""\n'
                    "        if self.lock.locked():\n"
                    "            return False\n"
                ),
            ),
        ),
        clue="busy",
    ),
)
