"""Two system calls in which it matters who holds the interpreter.

Only one thread at a time executes Python: the one that holds the interpreter's lock, the GIL. Python lets
go of it around every system call that may wait, so that other threads can go on meanwhile. Mostly that is
right. In a server that sends one line to hundreds of clients there are two places where it is not:

- `send`: it never waits here, and to let go costs. Some other thread has something to read, and takes over;
  and then the two change places at every single send.
- `step_aside`: here another thread *should* take over, and Python has no call that lets it and comes back
  at once. `time.sleep(0)` sleeps for 50 µs on Linux (timer slack, prctl(2)).

Both go through ctypes: a function of a PyDLL is called with the GIL held, one of a CDLL without. Where the
C library cannot be had like that, Python's own calls do the same, more slowly. It builds on nothing.
"""

from __future__ import annotations

import ctypes
import os
import socket
import time
from collections.abc import Callable
from typing import cast


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


def send(sock: socket.socket, data: bytes, flags: int) -> int:
    """send(2), with the GIL held. Only with flags that keep it from waiting: nobody else runs meanwhile.

    Raises:
        OSError: as socket.send does; BlockingIOError if nothing was taken.
    """
    if _send is None:
        return sock.send(data, flags)
    # To declare the types once, as `argtypes`, would make each call slower by a tenth of its time.
    took = _send(sock.fileno(), data, ctypes.c_size_t(len(data)), flags)
    if took < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return took


def step_aside() -> None:
    """Let other threads run that are ready to, and come back when it is this one's turn again."""
    if _sched_yield is None:
        time.sleep(0)
    else:
        _sched_yield()
