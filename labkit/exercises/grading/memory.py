"""A bound on the memory of the process that runs a student's code, so that it cannot harm the machine.

Linux enforces it (setrlimit(2), RLIMIT_DATA): code that asks for more gets a MemoryError. Elsewhere only
the time of a step bounds what it takes.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from types import ModuleType

resource: ModuleType | None
try:
    import resource
except ImportError:  # Windows
    resource = None

MOST = 2 << 30
"""Bytes: room for 400 threads, each of which counts with its whole stack. Code that leaves a thread behind
for each client must come to the step that says so."""

STACK = 4 << 20
"""Bytes of a thread's stack: half of what is usual on Linux."""


def bound() -> None:
    """Bound this process's memory."""
    if resource is not None:
        with suppress(ValueError):  # a system that wants more
            threading.stack_size(STACK)
    _set(MOST)


def lift() -> None:
    """Take the bound away: to report needs memory, too."""
    _set(None)


def _set(most: int | None) -> None:
    if resource is None:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if most is None or (hard != resource.RLIM_INFINITY and hard < most):
        most = hard
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
