"""backlog.py: what waits for whom, and what all of it takes up."""

from __future__ import annotations

from labkit.server.backlog import Backlog, MemoryUse


def test_what_waits_for_many_counts_once() -> None:
    """A block is in memory once, from the first backlog that it is put into until the last has it sent."""
    store = MemoryUse()
    backlogs = [Backlog() for _ in range(3)]
    block = bytes(1000)
    for backlog in backlogs:
        backlog.put(block, store)
    assert store.bytes == 1000 and [backlog.bytes for backlog in backlogs] == [1000] * 3
    for backlog in backlogs:
        assert store.bytes == 1000
        assert backlog.took(1000, store)
        assert not backlog and backlog.bytes == 0
    assert store.bytes == 0


def test_blocks_that_are_equal_but_not_the_same_count_each() -> None:
    """Two readers of a private line each: nothing is shared."""
    store = MemoryUse()
    backlog = Backlog()
    backlog.put(bytes(bytearray(b"hello")), store)
    backlog.put(bytes(bytearray(b"hello")), store)
    assert store.bytes == 10


def test_pieces_are_taken_in_order_and_in_parts() -> None:
    """From where the first send ended; the memory is the whole block's until its last byte is taken."""
    store = MemoryUse()
    backlog = Backlog()
    backlog.put(b"0123456789", store, 4)
    backlog.put(b"abc", store)
    assert backlog.bytes == 9 and store.bytes == 13
    assert bytes(backlog.next()) == b"456789"
    assert not backlog.took(2, store)
    assert bytes(backlog.next()) == b"6789" and backlog.bytes == 7 and store.bytes == 13
    assert backlog.took(4, store)
    assert bytes(backlog.next()) == b"abc" and store.bytes == 3


def test_what_will_never_be_taken_is_given_back() -> None:
    """`clear` gives back this backlog's part, and leaves to the others what waits for them, too."""
    store = MemoryUse()
    gone, here = Backlog(), Backlog()
    shared = bytes(100)
    for backlog in (gone, here):
        backlog.put(shared, store)
    gone.put(bytes(50), store)
    gone.put(shared, store)  # the same block twice
    gone.clear(store)
    assert not gone and gone.bytes == 0
    assert store.bytes == 100
    here.clear(store)
    assert store.bytes == 0
