"""The slots that a server has for connections, with a nickname or without.

A connection costs its owner next to nothing, so one host can open thousands and never say a word. This
counts how many come from each address. When all are taken, it names one that is in the way: of those
without a nickname, the one that has waited longest, from the address that most of them come from. So a host
that fills the server with silent connections loses these; a client with a nickname never makes way.
"""

from __future__ import annotations

import ipaddress
from collections import Counter, defaultdict
from collections.abc import Hashable
from functools import lru_cache
from typing import Generic, TypeVar

C = TypeVar("C", bound=Hashable)  # what stands for a connection: a ServerConnection, a number in a test


class ConnectionSlots(Generic[C]):
    """The connections: at most `most`, and at most `per_address` from one address (None: any).

    Pure: it counts, and closes nothing. It is not safe to share between threads.
    """

    def __init__(self, most: int, per_address: int | None = None) -> None:
        self._most = most
        self._per_address = per_address
        self._slots: dict[C, str] = {}  # where each of them comes from
        self._count: Counter[str] = Counter()  # how many come from there
        # Those without a nickname, by where they come from: first come first.
        self._unnamed: defaultdict[str, dict[C, None]] = defaultdict(dict)

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, who: object) -> bool:
        return who in self._slots

    @property
    def full(self) -> bool:
        return len(self._slots) >= self._most

    def has_enough_from(self, host: str) -> bool:
        """Whether no more may come from there."""
        return self._per_address is not None and self._count[_place(host)] >= self._per_address

    def add(self, who: C, host: str) -> None:
        """A client has connected, and has no nickname yet."""
        place = self._slots[who] = _place(host)
        self._count[place] += 1
        self._unnamed[place][who] = None

    def named(self, who: C) -> None:
        """It has a nickname now. Twice does no harm."""
        place = self._slots[who]
        self._unnamed[place].pop(who, None)
        if not self._unnamed[place]:
            del self._unnamed[place]

    def remove(self, who: C) -> None:
        """It has gone, or is to go. Twice does no harm."""
        if who not in self._slots:
            return
        self.named(who)
        place = self._slots.pop(who)
        self._count[place] -= 1
        if not self._count[place]:  # addresses must not pile up
            del self._count[place]

    def in_the_way(self) -> C | None:
        """Which one is to go if one must; None: all have a nickname."""
        return next(iter(max(self._unnamed.values(), key=len, default=())), None)


@lru_cache(1024)
def _place(host: str) -> str:
    """What counts as one address: of IPv6 the first 64 bits, for a home has all these (RFC 6177)."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if address.version == 4:
        return str(address)
    return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))
