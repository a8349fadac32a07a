"""How many sockets a process may have: each is a descriptor, and the system counts those."""

from __future__ import annotations

import sys
from contextlib import suppress

OPEN_MAX = 10_240
"""As many as macOS grants where it names no limit, and asked for more refuses: setrlimit(2) there."""


def allow_many(count: int = sys.maxsize) -> int:
    """Have the system allow this process so many, if it grants them; returns how many it allows then."""
    try:
        import resource
    except ImportError:  # Windows counts none
        return sys.maxsize
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for most in (sys.maxsize if hard == resource.RLIM_INFINITY else hard, OPEN_MAX):
        if soft < (wanted := min(count, most)):
            with suppress(ValueError, OSError, OverflowError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
                break
    return int(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
