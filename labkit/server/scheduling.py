"""Places where it matters which thread runs next.

Only one thread at a time executes Python: the one that holds the interpreter's lock, the GIL. Python lets
go of it around every system call that may wait. Mostly that is right. In a server that sends one line to
hundreds of clients there are places where it is not enough. Each was left out, one at a time, and measured
(2 cores, Linux, medians of 5 pairs; deliveries a second):

- `yield_gil`: here another thread *should* run, and then this one at once. `time.sleep(0)` sleeps for 50 µs
  (timer slack, prctl(2)). Without it 0.55 × at bursts of a hundred clients, 0.83 × of ten.
- `wait_your_turn`: a thread for which bytes arrive pushes the running one off the processor. Mostly that
  one holds the GIL, so the newcomer can do nothing, and the two have changed places twice for nothing.
  Without it 0.66 × with one talker among ten, 0.84 × at bursts.
- `lengthen_switch_interval`: a thread that waits for the GIL asks for it every 5 ms. When 10,000 clients
  leave at once, 10,000 threads ask. Without it that took 12.6 s once in three times, else 1 to 2 s.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from contextlib import suppress

try:
    # A function of a CDLL is called without the GIL. (`os.sched_yield` keeps it, before Python 3.12.)
    _sched_yield = ctypes.CDLL(None).sched_yield if os.name == "posix" else None
except (OSError, AttributeError):
    _sched_yield = None

SWITCH_INTERVAL = 0.1
"""Seconds between two questions for the GIL, in a process that is a server and nothing else. No thread of
the server holds it for so long without a call that waits."""


def yield_gil() -> None:
    """Let other threads run that are ready to, and come back when it is this one's turn again."""
    if _sched_yield is None:
        time.sleep(0)
    else:
        _sched_yield()


def make_way() -> None:
    """Let another thread that waits for the interpreter have it, for certain.

    A thread that lets go of the GIL and wants it back at once gets it: on another processor none wakes so
    fast. So this waits a moment, 50 µs or a little more. It is for a thread that has had its turn.
    """
    time.sleep(0)


def wait_your_turn() -> None:
    """From now on this thread, and any that it starts, takes the processor from no other when it wakes
    (SCHED_BATCH, sched(7)). Linux; elsewhere nothing happens."""
    if hasattr(os, "SCHED_BATCH"):
        with suppress(OSError):  # not allowed in this container: then it goes on as it was
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def lengthen_switch_interval() -> None:
    """Let all threads of this process ask for the GIL every `SWITCH_INTERVAL` seconds.

    Not for a program that has other things to do: a thread that only computes keeps the others waiting for
    so long.
    """
    sys.setswitchinterval(SWITCH_INTERVAL)
