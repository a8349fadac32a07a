"""What waits for a client because its socket would not take it, and how much memory all of that is.

For one thread.
"""

from __future__ import annotations

from collections import Counter, deque
from itertools import islice

BLOCK_COSTS = 200
"""Bytes of memory that a block takes beside what is in it: 124 measured, and a table that grows."""

PIECE_COSTS = 16
"""Bytes of memory for each client that a block waits for: 9 measured."""

AT_ONCE = 64 * 1024
"""Bytes of small blocks that are joined for one send."""


class MemoryUse:
    """The memory of all backlogs together: a block counts once, however many clients it waits for."""

    def __init__(self) -> None:
        self.bytes = 0  # in memory
        self._waits_for: Counter[int] = Counter()  # in how many places a block waits, by the block's id

    def add(self, block: bytes) -> None:
        if id(block) not in self._waits_for:
            self.bytes += BLOCK_COSTS + len(block)
        self.bytes += PIECE_COSTS
        self._waits_for[id(block)] += 1

    def remove(self, block: bytes) -> None:
        self.bytes -= PIECE_COSTS
        self._waits_for[id(block)] -= 1
        if not self._waits_for[id(block)]:
            del self._waits_for[id(block)]
            self.bytes -= BLOCK_COSTS + len(block)


class Backlog:
    """What waits for one client, the oldest first. True if anything does."""

    def __init__(self) -> None:
        self.bytes = 0  # that this client has still to get
        self._blocks: deque[bytes] = deque()
        self._taken = 0  # bytes of the first block that have gone out

    def __bool__(self) -> bool:
        return bool(self._blocks)

    @property
    def cost(self) -> int:
        """Bytes of memory, as if it waited for this client alone."""
        return self.bytes + self._taken + len(self._blocks) * (BLOCK_COSTS + PIECE_COSTS)

    def put(self, block: bytes, store: MemoryUse) -> None:
        self._blocks.append(block)
        self.bytes += len(block)
        store.add(block)

    def next(self) -> bytes | memoryview:
        """What is to be sent next: the rest of the first block, with the small ones behind it."""
        first = memoryview(self._blocks[0])[self._taken :]
        size, count = len(first), 1
        while size < AT_ONCE and count < len(self._blocks):
            size += len(self._blocks[count])
            count += 1
        return first if count == 1 else b"".join((first, *islice(self._blocks, 1, count)))

    def took(self, count: int, store: MemoryUse) -> None:
        """The client's socket took so many bytes."""
        self.bytes -= count
        self._taken += count
        while self._blocks and self._taken >= len(self._blocks[0]):
            block = self._blocks.popleft()
            self._taken -= len(block)
            store.remove(block)

    def clear(self, store: MemoryUse) -> None:
        """The client is gone."""
        for block in self._blocks:
            store.remove(block)
        self._blocks.clear()
        self.bytes = self._taken = 0
