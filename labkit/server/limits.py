"""How much a server lets its clients do: every number in one place, each with its reason.

Nothing here acts; server.py and courier.py do.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from labkit.wire.framing import MAX_LINE


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server allows. Each is also a flag of `python -m labkit serve`."""

    max_clients: int = field(
        default=10_000, metadata={"means": "connections at once; one more is turned away with a reason"}
    )
    per_address: int | None = field(
        default=None,
        metadata={
            "means": "connections at once from one address (off: a class may share one, behind a NAT or "
            "on one machine)"
        },
    )
    line: int = field(
        default=MAX_LINE,
        metadata={
            "means": "the longest line, in bytes with its LF, and with the nickname that is put before it "
            "(512 to 4096)"
        },
    )
    handshake: float = field(
        default=60.0, metadata={"means": "seconds to give a nickname in: enough to type one"}
    )
    refusals: int = field(default=3, metadata={"means": "nicknames refused before the connection is ended"})
    silence: float | None = field(
        default=None,
        metadata={"means": "seconds without a sign of life before a client is let go (off: nc sends none)"},
    )
    behind: int = field(
        default=64 * 1024 * 1024,
        metadata={
            "means": "bytes that may wait for a client; talkers are slowed from half of it on, and a "
            "client that takes nothing is let go at all of it"
        },
    )
    waiting: int = field(
        default=512 * 1024 * 1024,
        metadata={
            "means": "bytes that may wait for all clients together; what waits for many counts once. From "
            "half of it on, those who have more than their share slow the talkers, or are let go"
        },
    )
    grace: float = field(
        default=10.0,
        metadata={"means": "seconds a client may take nothing while something waits for it"},
    )
    messages: float | None = field(
        default=None,
        metadata={"means": "lines a second from one client, after a burst of a second's worth; it is "
        "made to wait, nothing is lost (off)"},
    )  # fmt: skip
    lease: float = field(
        default=5.0,
        metadata={
            "means": "with a backplane: seconds without a sign of life after which the other servers give "
            "this one up (1 or more)"
        },
    )

    def __post_init__(self) -> None:
        for name, least in (
            ("max_clients", 1),
            ("per_address", 1),
            ("refusals", 1),
            ("behind", 2 * MAX_LINE),
            ("waiting", 2 * MAX_LINE),
        ):
            value = getattr(self, name)
            if value is None and name == "per_address":
                continue
            if not isinstance(value, int) or value < least:
                raise ValueError(f"Limits.{name} is a whole number, at least {least}, not {value!r}")
        # 512 holds the longest notice: two nicknames of 32 characters, 4 bytes each.
        if not isinstance(self.line, int) or not 512 <= self.line <= MAX_LINE:
            raise ValueError(f"Limits.line is from 512 to {MAX_LINE} bytes, not {self.line!r}")
        if not isinstance(self.lease, (int, float)) or not 1 <= self.lease <= 86_400:
            raise ValueError(f"Limits.lease is from 1 to 86400 seconds, not {self.lease!r}")
        for name in ("handshake", "silence", "grace", "messages"):
            value = getattr(self, name)
            if value is None and name in ("silence", "messages"):
                continue
            # A billion seconds is 30 years; much more than that, and infinity, no kernel's clock takes.
            if not isinstance(value, (int, float)) or not 0.001 <= value <= 1e9:
                raise ValueError(f"Limits.{name} is from 0.001 to 1e9, not {value!r}")


MEANS: dict[str, str] = {f.name: f.metadata["means"] for f in fields(Limits)}
"""What each limit means, in words for a --help."""
