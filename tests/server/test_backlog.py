"""backlog.py: what waits for whom, and what all of it takes up."""

from __future__ import annotations

import tracemalloc

import pytest

from labkit.server.backlog import AT_ONCE, BLOCK_COSTS, PIECE_COSTS, Backlog, MemoryUse


def test_what_waits_for_many_counts_once() -> None:
    """A block is in memory once, from the first backlog that it is put into until the last has it sent."""
    store = MemoryUse()
    backlogs = [Backlog() for _ in range(3)]
    block = bytes(1000)
    for backlog in backlogs:
        backlog.put(block, store)
    assert [backlog.bytes for backlog in backlogs] == [1000] * 3
    for waiting, backlog in zip((3, 2, 1), backlogs, strict=True):
        assert store.bytes == 1000 + BLOCK_COSTS + waiting * PIECE_COSTS
        backlog.took(1000, store)
        assert not backlog and backlog.bytes == backlog.cost == 0
    assert store.bytes == 0


def test_blocks_that_are_equal_but_not_the_same_count_each() -> None:
    """Two readers of a private line each: nothing is shared."""
    store = MemoryUse()
    backlog = Backlog()
    backlog.put(bytes(bytearray(b"hello")), store)
    backlog.put(bytes(bytearray(b"hello")), store)
    assert store.bytes == backlog.cost == 10 + 2 * (BLOCK_COSTS + PIECE_COSTS)


def test_pieces_are_taken_in_order_and_in_parts() -> None:
    """From where the last send ended; the memory is the whole block's until its last byte is taken."""
    store = MemoryUse()
    backlog = Backlog()
    backlog.put(b"0123456789", store)
    backlog.took(4, store)
    backlog.put(b"abc", store)
    whole = store.bytes
    assert backlog.bytes == 9 and whole == backlog.cost
    assert bytes(backlog.next()) == b"456789abc"
    backlog.took(2, store)
    assert bytes(backlog.next()) == b"6789abc" and backlog.bytes == 7
    assert store.bytes == backlog.cost == whole
    backlog.took(5, store)
    assert bytes(backlog.next()) == b"bc" and backlog.bytes == 2
    assert store.bytes == backlog.cost == 3 + BLOCK_COSTS + PIECE_COSTS
    backlog.took(2, store)
    assert not backlog and store.bytes == 0


def test_small_blocks_go_out_together_and_large_ones_uncopied() -> None:
    """As many as come to AT_ONCE; a large block is sent from where it lies."""
    store = MemoryUse()
    backlog = Backlog()
    lines = [b"%d\n" % n for n in range(30_000)]
    large = bytes(2 * AT_ONCE)
    for block in (large, *lines):
        backlog.put(block, store)
    first = backlog.next()
    assert isinstance(first, memoryview) and first.obj is large
    stream = b""
    sends = 0
    while backlog:
        data = bytes(backlog.next())
        stream += data
        sends += 1
        backlog.took(len(data), store)
    assert stream == large + b"".join(lines)
    assert sends == 4 and store.bytes == 0


@pytest.mark.parametrize("readers", [1, 50])
@pytest.mark.parametrize("size", [1, 5, 100, 5000])
def test_what_is_counted_is_what_it_costs(readers: int, size: int) -> None:
    """However small the pieces: the memory that Python takes is never more than a tenth above the count."""
    store = MemoryUse()
    backlogs = [Backlog() for _ in range(readers)]
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for n in range(2000):
            block = b"".join((b"x" * (size - 1), b"%d" % (n % 10)))
            for backlog in backlogs:
                backlog.put(block, store)
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 0.4 * store.bytes < taken < 1.1 * store.bytes


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
    assert store.bytes == here.cost == 100 + BLOCK_COSTS + PIECE_COSTS
    here.clear(store)
    assert store.bytes == 0
