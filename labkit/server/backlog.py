"""What waits for a client because its socket would not take it, and how much memory all of that is.

For one thread.
"""

from __future__ import annotations

from collections import Counter, deque


class MemoryUse:
    """The memory of all backlogs together: a block counts once, however many clients it waits for."""

    def __init__(self) -> None:
        self.bytes = 0  # in memory
        self._pieces: Counter[int] = Counter()  # how many of a block wait, by the block's id

    def add(self, block: bytes) -> None:
        if id(block) not in self._pieces:
            self.bytes += len(block)
        self._pieces[id(block)] += 1

    def remove(self, block: bytes) -> None:
        self._pieces[id(block)] -= 1
        if not self._pieces[id(block)]:
            del self._pieces[id(block)]
            self.bytes -= len(block)


class Backlog:
    """What waits for one client, the oldest first. True if anything does."""

    def __init__(self) -> None:
        self.bytes = 0  # that this client has still to get
        self._pieces: deque[tuple[memoryview, bytes]] = deque()  # each with the block that it is a part of

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def put(self, block: bytes, store: MemoryUse, start: int = 0) -> None:
        """The block waits from here on, but for its first `start` bytes."""
        self._pieces.append((memoryview(block)[start:], block))
        self.bytes += len(block) - start
        store.add(block)

    def next(self) -> memoryview:
        return self._pieces[0][0]

    def took(self, count: int, store: MemoryUse) -> bool:
        """The client's socket took so many bytes of `next`; whether that was all of it."""
        self.bytes -= count
        piece, block = self._pieces[0]
        if count < len(piece):
            self._pieces[0] = piece[count:], block
            return False
        self._pieces.popleft()
        store.remove(block)
        return True

    def clear(self, store: MemoryUse) -> None:
        """The client is gone."""
        for _, block in self._pieces:
            store.remove(block)
        self._pieces.clear()
        self.bytes = 0
