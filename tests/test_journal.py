"""journal.py: what happened, in order, from any thread, and never more than it may keep."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import SOON

from labkit.journal import LONGEST_TEXT, Event, Journal, Run


def test_events_in_the_order_in_which_they_were_recorded() -> None:
    """Each event has the next number, and what was told of it, and the thread that told it."""
    journal = Journal()
    journal.record("joined", "alice", where="lobby")
    journal.record("said", "alice", "hello", "lobby")
    journal.record("stopped")
    here = threading.current_thread().name
    assert list(journal) == [
        Event(1, "joined", "alice", "", "lobby", here),
        Event(2, "said", "alice", "hello", "lobby", here),
        Event(3, "stopped", "", "", "", here),
    ]
    assert len(journal) == 3 and journal.dropped == 0


def test_the_thread_is_the_one_that_recorded(elsewhere: ThreadPoolExecutor) -> None:
    """An event names the thread it was recorded in."""
    journal = Journal()

    def record() -> str:
        journal.record("said")
        return threading.current_thread().name

    name = elsewhere.submit(record).result()
    assert [event.thread for event in journal] == [name]
    assert name != threading.current_thread().name


def test_the_newest_are_kept_and_the_rest_counted() -> None:
    """Beyond its limit a journal forgets the oldest, says how many, and numbers on."""
    journal = Journal(limit=3)
    for i in range(10):
        journal.record("said", what=str(i))
    assert [event.n for event in journal] == [8, 9, 10]
    assert [event.what for event in journal] == ["7", "8", "9"]
    assert (len(journal), journal.dropped) == (3, 7)
    assert repr(journal).splitlines()[0] == "… 7 earlier events dropped"


@pytest.mark.parametrize("limit", [0, -1])
def test_a_journal_keeps_something(limit: int) -> None:
    """A journal that could keep nothing is refused."""
    with pytest.raises(ValueError, match="at least one event"):
        Journal(limit)


@pytest.mark.parametrize(
    ("length", "kept"),
    [(LONGEST_TEXT, LONGEST_TEXT), (LONGEST_TEXT + 1, LONGEST_TEXT), (10**6, LONGEST_TEXT)],
)
def test_long_text_is_shortened(length: int, kept: int) -> None:
    """Of a long text the beginning is kept, with a sign that there was more."""
    journal = Journal()
    journal.record("said", "alice", "x" * length)
    [event] = journal
    assert len(event.what) == kept
    assert event.what.endswith("…") == (length > LONGEST_TEXT)


def test_it_shows_itself_as_text() -> None:
    """repr is the journal as a table, an event a line, without times or addresses."""
    journal = Journal()
    assert repr(journal) == "nothing has happened"
    journal.record("joined", "alice", where="lobby")
    journal.record("said", "alice", "it's me\x1b", "lobby")
    journal.record("stopped")
    assert repr(journal).splitlines() == [
        "  1  joined     alice     lobby",
        '  2  said       alice     lobby     "it\'s me\\x1b"',
        "  3  stopped",
    ]


def test_reading_while_others_write() -> None:
    """Iterating walks over a copy: what is recorded meanwhile neither shows nor disturbs."""
    journal = Journal()
    journal.record("one")
    journal.record("two")
    seen = []
    for event in journal:
        journal.record("more")
        seen.append(event.kind)
    assert seen == ["one", "two"]
    assert len(journal) == 4


def test_wait_for_what_has_happened() -> None:
    """The first event of that kind, or of that kind and person, is returned at once."""
    journal = Journal()
    for who in ("alice", "bob", "alice"):
        journal.record("joined", who)
    assert journal.wait_for("joined", timeout=0).n == 1
    assert journal.wait_for("joined", "bob", timeout=0).n == 2
    assert journal.wait_for("joined", "alice", timeout=0).n == 1


def test_wait_for_what_comes_later(elsewhere: ThreadPoolExecutor) -> None:
    """A waiting thread is woken by the event it waits for, and not by others."""
    journal = Journal(limit=2)
    waiting = elsewhere.submit(journal.wait_for, "left", "bob")
    for i in range(100):
        journal.record("said", "bob", str(i))
        journal.record("left", "alice")
    assert not waiting.done()
    journal.record("left", "bob", "hung up")
    assert waiting.result(SOON).what == "hung up"


def test_wait_for_tells_what_came_instead() -> None:
    """A timeout names what was waited for, and the last three events."""
    journal = Journal()
    with pytest.raises(TimeoutError) as nothing:
        journal.wait_for("joined", timeout=0)
    assert str(nothing.value) == "0 s passed without 'joined'; last came: nothing"
    for kind in ("asked", "joined", "said", "left"):
        journal.record(kind, "alice", where="lobby")
    with pytest.raises(TimeoutError) as other:
        journal.wait_for("joined", "bob", timeout=0.01)
    assert str(other.value) == (
        "0.01 s passed without 'bob joined'; "
        "last came: 2 joined alice lobby; 3 said alice lobby; 4 left alice lobby"
    )


def test_an_event_at_the_very_last_moment_is_found() -> None:
    """What came while the wait was giving up is returned, not named in a timeout as what came instead."""
    journal = Journal()

    class TooLate(threading.Condition):
        """The event comes after the wait has given up, and before it has the lock again."""

        def wait(self, timeout: float | None = None) -> bool:
            self.release()
            threading.Event().wait(timeout)
            journal.record("said", "alice")
            self.acquire()
            return False

    journal._changed = TooLate(journal._lock)
    assert journal.wait_for("said", timeout=0.01).who == "alice"


def test_eight_threads_at_once(elsewhere: ThreadPoolExecutor) -> None:
    """8 threads record 1000 events each: every one is there once, in order, each thread's own too."""
    journal = Journal()
    start = threading.Barrier(8)

    def write(me: int) -> None:
        start.wait()
        for i in range(1000):
            journal.record("said", str(me), str(i))
            if i % 100 == 0:
                list(journal), repr(journal), len(journal), journal.dropped

    for done in [elsewhere.submit(write, me) for me in range(8)]:
        done.result(timeout=60)
    events = list(journal)
    assert [event.n for event in events] == list(range(1, 8001))
    for me in range(8):
        own = [event for event in events if event.who == str(me)]
        assert [event.what for event in own] == [str(i) for i in range(1000)]
        assert len({event.thread for event in own}) == 1


def test_many_wait_at_once(elsewhere: ThreadPoolExecutor) -> None:
    """Each of many waiting threads gets the event it waits for."""
    journal = Journal()
    waiting = [elsewhere.submit(journal.wait_for, "said", str(i)) for i in range(16)]
    for i in reversed(range(16)):
        journal.record("said", str(i))
    assert [event.result(SOON).who for event in waiting] == [str(i) for i in range(16)]
    assert journal._waiting == 0


def test_wait_for_the_second_of_a_kind() -> None:
    """`count` says which one; what is named in the timeout's text, too."""
    journal = Journal()
    for text in ("one", "two"):
        journal.record("said", "alice", text)
        journal.record("said", "bob", "between")
    assert journal.wait_for("said", "alice", count=2).what == "two"
    with pytest.raises(TimeoutError, match="'alice said number 3'"):
        journal.wait_for("said", "alice", 0.01, count=3)


@given(st.lists(st.lists(st.integers(1, 7), max_size=3), max_size=6), st.integers(1, 9))
def test_recorded_at_once_or_one_by_one(parts: list[list[int]], limit: int) -> None:
    """Several in one call leave what as many calls leave: numbers, the newest, how many were dropped."""
    at_once, one_by_one = Journal(limit), Journal(limit)
    me = threading.current_thread().name
    for n, sizes in enumerate(parts):
        runs: list[Run] = []
        for size in sizes:
            words = [f"{n}.{i} " + "xж🙂"[i % 3] * LONGEST_TEXT * (n * i % 6) for i in range(size)]
            lines = "".join(f"{what}\n" for what in words).encode()
            runs.append((size, "alice", lines, "lobby", me))
            for what in words:
                one_by_one.record("said", "alice", what, "lobby")
        at_once.record_runs("said", runs)
        assert list(at_once) == list(one_by_one)
        assert (len(at_once), at_once.dropped) == (len(one_by_one), one_by_one.dropped)
    assert repr(at_once) == repr(one_by_one)


def test_waiting_for_one_of_several_recorded_at_once(elsewhere: ThreadPoolExecutor) -> None:
    """The third of them is found, also by one who waited before."""
    journal = Journal()
    waits = elsewhere.submit(journal.wait_for, "said", "alice", SOON, count=3)
    lines = b"one\ntwo\nthree\nfour\n"
    journal.record_runs("said", [(4, "alice", lines, "lobby", "labkit-handle-1")])
    assert waits.result(SOON).what == "three"
