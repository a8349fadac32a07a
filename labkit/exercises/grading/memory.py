"""A bound on the memory of the process that runs a student's code, so that it cannot harm the machine.

Linux enforces it (setrlimit(2), RLIMIT_DATA): code that asks for more gets a MemoryError. Elsewhere only
the time of a step bounds what it takes.
"""

from __future__ import annotations

from types import ModuleType

resource: ModuleType | None
try:
    import resource
except ImportError:  # Windows
    resource = None

MOST = 2 << 30
"""Bytes: room for 200 threads, each of which counts with a stack of 8 MB."""


def bound() -> None:
    """Bound this process's memory."""
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
