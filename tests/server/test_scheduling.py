"""scheduling.py: its calls do what Python's own do."""

from __future__ import annotations

import os
import threading

import pytest
from support import need

from labkit.server import scheduling


@pytest.mark.parametrize("way", ["the C library", "Python alone"])
def test_a_thread_that_yields_lets_others_run(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread gets on while this one does nothing but yield; also where there is no sched_yield."""
    if way == "Python alone":
        monkeypatch.setattr(scheduling, "_sched_yield", None)
    else:
        need(scheduling._sched_yield, "a C library that ctypes can reach")
    done = threading.Event()
    other = threading.Thread(target=done.set)
    other.start()
    while not done.is_set():
        scheduling.yield_gil()
    other.join()


def test_a_thread_that_waits_for_its_turn_passes_that_on() -> None:
    """The thread has the policy for batches, and so has one that it starts; the others keep theirs."""
    need(hasattr(os, "SCHED_BATCH"), "scheduling policies, which Linux has")
    policies: list[int] = []

    def note() -> None:
        policies.append(os.sched_getscheduler(0))

    def work() -> None:
        scheduling.wait_your_turn()
        note()
        child = threading.Thread(target=note)
        child.start()
        child.join()

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    note()
    assert policies == [os.SCHED_BATCH, os.SCHED_BATCH, os.SCHED_OTHER]
