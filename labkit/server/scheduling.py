"""Four places where it matters who runs next.

Only one thread at a time executes Python: the one that holds the interpreter's lock, the GIL. Python lets
go of it around every system call that may wait, so that other threads can go on meanwhile. Mostly that is
right. In a server that sends one line to hundreds of clients there are places where it is not:

- `send`: it never waits here, and to let go costs. Some other thread has something to read, and takes over;
  and then the two change places at every single send.
- `yield_gil`: here another thread *should* take over, and Python has no call that lets it and comes back
  at once. `time.sleep(0)` sleeps for 50 µs on Linux (timer slack, prctl(2)).
- `wait_your_turn`: a thread for which bytes arrive pushes the running one off the processor. Mostly that
  one holds the GIL, so the newcomer can do nothing, and the two have changed places twice for nothing.
- `lengthen_switch_interval`: a thread that waits for the GIL asks for it every 5 ms. When 10,000 clients
  leave at once, 10,000 threads ask two million times a second, and hardly anything else gets done.

The first two go through ctypes: a function of a PyDLL is called with the GIL held, one of a CDLL without.
Where the C library cannot be had like that, Python's own calls do the same, more slowly.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, cast


def _find(library: type[ctypes.CDLL], name: str) -> Callable[..., int] | None:
    if os.name != "posix":
        return None
    try:
        return cast(Callable[..., int], getattr(library(None, use_errno=True), name))
    except (OSError, AttributeError):
        return None


_send = _find(ctypes.PyDLL, "send")
_sched_yield = _find(ctypes.CDLL, "sched_yield")
if _send is not None:
    _send.restype = ctypes.c_ssize_t  # type: ignore[attr-defined]


def _send_by_python(sock: Any, data: bytes, size: Any, flags: int) -> int:
    try:
        return int(sock.send(data, flags))
    except OSError as error:
        ctypes.set_errno(error.errno or 0)
        return -1


send: Callable[[Any, bytes, Any, int], int] = _send or _send_by_python
"""send(2) with the GIL held: `send(handle(sock), data, size(data), flags)`, as few words as it takes,
because it is called for every client. Returns how many bytes it took, or -1: then `error()` says why, if
it is asked at once. Only with flags that keep it from waiting: nobody else runs meanwhile."""


def handle(sock: socket.socket) -> Any:
    """What `send` wants of this socket. Good until the socket is closed, and not a moment longer: its
    number may be another one's by then."""
    return sock.fileno() if send is _send else sock


def size(data: bytes) -> Any:
    """The number of bytes as `send` wants it. To declare the C types once for all calls, with `argtypes`,
    would make each call slower by a tenth of its time."""
    return ctypes.c_size_t(len(data))


def error() -> OSError:
    """Why the last `send` of this thread returned -1."""
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))


def yield_gil() -> None:
    """Let other threads run that are ready to, and come back when it is this one's turn again."""
    if _sched_yield is None:
        time.sleep(0)
    else:
        _sched_yield()


def make_way() -> None:
    """Let another thread have the interpreter that has been waiting for it, for certain.

    Who lets go of the GIL and wants it back at once gets it: on another processor nobody wakes so fast. So
    this waits a moment, 50 µs or a little more. It is for a thread that has had more than its turn.
    """
    time.sleep(0)


def wait_your_turn() -> None:
    """From now on this thread, and any that it starts, waits for its turn when it wakes, and takes the
    processor from nobody (SCHED_BATCH, sched(7)). Linux; elsewhere nothing happens."""
    if hasattr(os, "SCHED_BATCH"):
        try:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        except OSError:
            pass  # not allowed in this container: then it goes on as it was


ASK_EVERY = 0.1
"""Seconds between two questions for the GIL, in a process that is a server and nothing else. No thread of
the server holds it for so long without a call that waits."""


def lengthen_switch_interval() -> None:
    """Let all threads of this process ask for the GIL every `ASK_EVERY` seconds (sys.setswitchinterval).

    It concerns the whole process, so a program that has other things to do should not call it: a thread
    that only computes keeps the others waiting for so long.
    """
    sys.setswitchinterval(ASK_EVERY)
