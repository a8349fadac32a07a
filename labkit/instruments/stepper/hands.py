"""The threads of the workers: they wait for a job, do it, and can be made to end.

Python cannot stop a thread that waits for something unknown, or goes round and round; it can only send it
an exception, which the thread meets when it next executes Python. So the stepper gives up a thread that
does not come back: it is a daemon, ends when it can, and another takes its place.
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Callable

from labkit.instruments.stepper.locks import REAL_LOCK


class Ended(BaseException):
    """Ends a worker whose schedule is over. Not an Exception: `except Exception` should let it pass."""


class Hand(threading.Thread):
    """The thread of a worker. It is used for one schedule after the other."""

    def __init__(self, name: str) -> None:
        super().__init__(name=f"labkit-stepper-{name}", daemon=True)
        self.baton, self.idle = REAL_LOCK(), REAL_LOCK()
        self.baton.acquire()
        self.idle.acquire()
        self.job: Callable[[], None] | None = None
        self.lost = False  # it did not come back in time, or may be hit by an exception that came late
        self.start()

    def run(self) -> None:
        with contextlib.suppress(Ended):
            while not self.lost:
                self.baton.acquire()
                if self.job is None:
                    return
                self.job()
                self.job = None
                self.idle.release()

    def came_back(self) -> bool:
        """Whether it is ready for another schedule. One that still runs is interrupted, for a second."""
        if self.lost or self.idle.acquire(timeout=0.2):
            return not self.lost
        self.lost = True
        for _ in range(100):  # `except:` in a loop may swallow it, but not for ever
            interrupt(self)
            if self.idle.acquire(timeout=0.01) or not self.is_alive():
                return False
        _spare(self)
        return False

    def retire(self) -> None:
        """Have it end as soon as it can."""
        self.lost, self.job = True, None
        if self.baton.locked():
            self.baton.release()

    def dismiss(self) -> None:
        """End it, and wait for that."""
        self.retire()
        self.join(2.0)  # it is idle, so this takes no time


def interrupt(thread: threading.Thread) -> None:
    """Raise Ended in a thread as soon as it executes Python again."""
    _send(thread.ident, Ended)


def _spare(thread: threading.Thread) -> None:
    """Take that back.

    In Python 3.11 no thread can be traced as long as an exception waits for a thread that does not run. The
    flag for that is reset only when an exception is met: so this thread sends itself one.
    """
    _send(thread.ident, None)
    with contextlib.suppress(Ended):
        _send(threading.get_ident(), Ended)
        for _ in range(1000):  # it is met at the end of a round
            pass


def _send(ident: int | None, exception: type[BaseException] | None) -> None:
    what = None if exception is None else ctypes.py_object(exception)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident or 0), what)
