"""How much a server lets its clients do: every number in one place, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from math import inf
from typing import Any, NamedTuple

from labkit.wire.framing import MAX_LINE


class _Range(NamedTuple):
    """Which values will do. A limit that is off by default may also be None."""

    words: str
    kind: type | tuple[type, ...]
    least: float
    most: float


_COUNT = _Range("a whole number, at least 1", int, 1, inf)
_MEMORY = _Range(f"a whole number, at least {2 * MAX_LINE}", int, 2 * MAX_LINE, inf)
# 512 holds the longest notice: two nicknames of 32 characters, 4 bytes each.
_LINE = _Range(f"from 512 to {MAX_LINE} bytes", int, 512, MAX_LINE)
# A billion seconds is 30 years; much more than that, and infinity, no kernel's clock takes.
_NUMBER = _Range("from 0.001 to 1e9", (int, float), 0.001, 1e9)
_LEASE = _Range("from 1 to 86400 seconds", (int, float), 1, 86_400)


def _limit(default: Any, allowed: _Range, means: str) -> Any:
    return field(default=default, metadata={"allowed": allowed, "means": means})


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server allows. Each is also a flag of `python -m labkit serve`.

    Raises:
        ValueError: a number that cannot be; the text says which, and what would do.
    """

    max_clients: int = _limit(10_000, _COUNT, "connections at once; one more is turned away with a reason")
    per_address: int | None = _limit(
        None,
        _COUNT,
        "connections at once from one address (off: a class may share one, behind a NAT or on one machine)",
    )
    line: int = _limit(
        MAX_LINE,
        _LINE,
        "the longest line, in bytes with its LF, and with the nickname that is put before it (512 to 4096)",
    )
    handshake: float = _limit(60.0, _NUMBER, "seconds to give a nickname in: enough to type one")
    refusals: int = _limit(3, _COUNT, "nicknames refused before the connection is ended")
    silence: float | None = _limit(
        None, _NUMBER, "seconds without a sign of life before a client is let go (off: nc sends none)"
    )
    behind: int = _limit(
        64 * 1024 * 1024,
        _MEMORY,
        "bytes that may wait for a client; talkers are slowed from half of it on, and a client that takes "
        "nothing is let go at all of it",
    )
    waiting: int = _limit(
        512 * 1024 * 1024,
        _MEMORY,
        "bytes that may wait for all clients together; what waits for many counts once. From half of it "
        "on, those who have more than their share slow the talkers, or are let go",
    )
    grace: float = _limit(
        150.0,
        _NUMBER,
        "seconds a client may take nothing while something waits for it; TCP tells of what it takes in "
        "steps of up to 128 kB, so a client that reads 1 kB/s stays (on Linux before 6.15: 2.5 kB/s)",
    )
    messages: float | None = _limit(
        None,
        _NUMBER,
        "lines a second from one client, after a burst of a second's worth; it is made to wait, nothing is "
        "lost (off)",
    )
    lease: float = _limit(
        5.0,
        _LEASE,
        "with a backplane: seconds without a sign of life after which the other servers give this one up "
        "(1 or more)",
    )

    def __post_init__(self) -> None:
        for limit in fields(self):
            value, allowed = getattr(self, limit.name), limit.metadata["allowed"]
            if value is None and limit.default is None:
                continue
            if not isinstance(value, allowed.kind) or not allowed.least <= value <= allowed.most:
                raise ValueError(f"Limits.{limit.name} is {allowed.words}, not {value!r}")


MEANS: dict[str, str] = {f.name: f.metadata["means"] for f in fields(Limits)}
"""What each limit means, in words for a --help."""
