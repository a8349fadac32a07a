"""Answers to `lock` as students write them: right ones in many styles, and wrong ones."""

from labkit.exercises.exercise import Wrong

RIGHT = {
    "a set for each room, private names and a Counter": r"""
import threading
from collections import Counter, defaultdict
class Rooms:
    def __init__(self, names):
        self.__names = tuple(names)
        self.__rooms = {n: set() for n in names}
        self.__counter = Counter()
        self.__mutex = threading.Lock()
    def _where(self, who):
        for r, s in self.__rooms.items():
            if who in s:
                return r
        return None
    def claim(self, nickname):
        with self.__mutex:
            free = self._where(nickname) is None
            if free:
                self.__rooms[self.__names[0]].add(nickname)
            return free
    def release(self, nickname):
        with self.__mutex:
            for s in self.__rooms.values():
                s.discard(nickname)
    def rename(self, old, new):
        with self.__mutex:
            r = self._where(old)
            if r is None or self._where(new) is not None:
                return False
            self.__rooms[r] = (self.__rooms[r] - {old}) | {new}
            return True
    def move(self, nickname, source, target):
        with self.__mutex:
            if nickname not in self.__rooms[source]:
                return False
            self.__rooms[source].remove(nickname)
            self.__rooms[target].add(nickname)
            return True
    def members(self, room):
        with self.__mutex:
            return sorted(self.__rooms[room])
    def said(self, room):
        with self.__mutex:
            self.__counter[room] += 1
            return self.__counter[room]
    def tell(self, room, send):
        with self.__mutex:
            who = [*self.__rooms[room]]
        for w in who:
            send(w)
""",
}

WRONG = (
    Wrong(
        "tell passes over those who left meanwhile",
        "tell reaches everybody there, though some leave meanwhile",
        swaps=(
            (
                "            send(nickname)",
                "            if nickname in self.members(room):\n                send(nickname)",
            ),
        ),
        clue="left",
    ),
    Wrong(
        "asks for the members after each send",
        "tell reaches everybody there, though some leave meanwhile",
        swaps=(
            (
                "        for nickname in self.members(room):\n            send(nickname)",
                (
                    "        told = set()\n"
                    "        while left := [n for n in self.members(room) if n not in told]:\n"
                    "            told.add(left[0])\n"
                    "            send(left[0])"
                ),
            ),
        ),
        clue="came later",
    ),
    Wrong(
        "claim says False while the lock is held",
        "of those who claim a nickname at the same time, exactly one gets it",
        swaps=(
            (
                (
                    "        with self.lock:\n"
                    "            if nickname in self.room_of:\n"
                    "                return False\n"
                    "            self.room_of[nickname] = self.lobby\n"
                    "            return True"
                ),
                (
                    "        if not self.lock.acquire(blocking=False):\n"
                    "            return False\n"
                    "        try:\n"
                    "            if nickname in self.room_of:\n"
                    "                return False\n"
                    "            self.room_of[nickname] = self.lobby\n"
                    "            return True\n"
                    "        finally:\n"
                    "            self.lock.release()"
                ),
            ),
        ),
        clue="busy",
    ),
)
