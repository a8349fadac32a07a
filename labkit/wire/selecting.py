"""A selector for any number of sockets: Windows has only `select`, which takes 512 of them at once."""

from __future__ import annotations

import select
import selectors
from collections.abc import Sequence
from time import monotonic, sleep

MOST = 512
"""Sockets that `select` takes at once: FD_SETSIZE in Windows' build of Python."""

AGAIN = 0.01
"""Seconds between two looks at more than that."""

Ready = list[tuple[selectors.SelectorKey, int]]


def selector() -> selectors.BaseSelector:
    """The system's best one."""
    best: type[selectors.BaseSelector] = selectors.DefaultSelector
    return SelectInTurns() if best is selectors.SelectSelector else best()


class SelectInTurns(selectors.SelectSelector):
    """`select`, of a group after the other where there are too many for one."""

    def select(self, timeout: float | None = None) -> Ready:
        keys = list(self.get_map().values())
        if len(keys) <= MOST:
            return super().select(timeout)
        groups = [keys[start : start + MOST] for start in range(0, len(keys), MOST)]
        give_up = None if timeout is None else monotonic() + timeout
        while not (ready := [one for group in groups for one in _ready(group)]):
            left = AGAIN if give_up is None else give_up - monotonic()
            if left <= 0:
                break
            sleep(min(left, AGAIN))
        return ready


def _ready(keys: Sequence[selectors.SelectorKey]) -> Ready:
    """Those on which something can be done now, and what."""
    readers = [key.fd for key in keys if key.events & selectors.EVENT_READ]
    writers = [key.fd for key in keys if key.events & selectors.EVENT_WRITE]
    # The third list is how Windows tells that a `connect` failed.
    readable, writable, failed = map(set, select.select(readers, writers, writers, 0))
    able = [
        (selectors.EVENT_READ if key.fd in readable else 0)
        | (selectors.EVENT_WRITE if key.fd in writable or key.fd in failed else 0)
        for key in keys
    ]
    return [(key, events) for key, events in zip(keys, able, strict=True) if events]
