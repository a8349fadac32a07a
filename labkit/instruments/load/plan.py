"""What a load is: how many clients, who talks, how much, and in which way.

Only numbers, and what each may be.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

KINDS: dict[str, str] = {
    "bursts": "rounds: each talker says all its lines in one send; over when all clients have all",
    "alone": "bursts in which one talks, a line at a time",
    "burst": "bursts in which ten talk, ten lines each",
    "crowd": "bursts in which all talk, a line each",
    "steady": "so many lines a second, the talkers in turn, whatever the server makes of it",
    "flood": "as much as TCP takes from each talker",
}
"""The kinds of load, and what each is."""

TALKERS = 10
"""Clients that talk, unless the plan or its kind says otherwise, or there are fewer."""

MOST_CLIENTS = 100_000

ROUNDS: dict[str, tuple[int, int]] = {
    "bursts": (TALKERS, 10),
    "alone": (1, 1),
    "burst": (TALKERS, 10),
    "crowd": (MOST_CLIENTS, 1),
}
"""The kinds that go in rounds: how many talk, or all there are, and how many lines each says in a round,
unless the plan gives other numbers."""

LONGEST = 4000
"""Bytes of the longest line: with a nickname before it, it must still fit into a server's 4096."""

TOKEN = 9
"""Bytes of a line that carry its number (see receipts.py)."""


class LoadError(Exception):
    """A server cannot be measured; the text says why."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A load. Each field is also a flag of `python -m labkit load`."""

    kind: str = field(
        default="bursts", metadata={"means": ", ".join(f"{kind} ({what})" for kind, what in KINDS.items())}
    )
    clients: int = field(default=100, metadata={"means": "how many are there, and hear"})
    talkers: int | None = field(
        default=None,
        metadata={
            "means": f"how many of them talk (default: {TALKERS}, or all there are; alone: 1; crowd: all)"
        },
    )
    lines: int | None = field(
        default=None,
        metadata={
            "means": "bursts and the like: lines of each talker in a round (default: "
            f"{ROUNDS['bursts'][1]}; alone and crowd: 1); flood: lines of each talker in all (default: "
            "until the seconds are over)"
        },
    )
    rate: float = field(default=500.0, metadata={"means": "steady: lines a second, all talkers together"})
    seconds: float = field(default=2.0, metadata={"means": "how long it goes on"})
    size: int = field(default=24, metadata={"means": "bytes of a line, as it is said, with its LF"})
    patience: float = field(
        default=10.0, metadata={"means": "seconds without a sign after which what is missing is lost"}
    )

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"Plan.kind is one of {', '.join(KINDS)}, not {self.kind!r}")
        self._whole("clients", 2, MOST_CLIENTS)
        self._whole("size", TOKEN + 2, LONGEST)
        if self.lines is not None:
            self._whole("lines", 1, 1_000_000)
        if self.talkers is not None:
            self._whole("talkers", 1, self.clients, " (that is Plan.clients)")
        for name, most in (("rate", 1e6), ("seconds", 3600.0), ("patience", 3600.0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.01 <= value <= most:
                raise ValueError(f"Plan.{name} is from 0.01 to {most:g}, not {value!r}")

    def _whole(self, name: str, least: int, most: int, why: str = "") -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"Plan.{name} is a whole number from {least} to {most}{why}, not {value!r}")

    @property
    def talking(self) -> int:
        """How many talk."""
        return self.talkers or min(ROUNDS.get(self.kind, (TALKERS, 0))[0], self.clients)

    @property
    def lines_a_round(self) -> int:
        """Lines of each talker in a round, of a kind that goes in rounds."""
        return self.lines or ROUNDS[self.kind][1]

    def __str__(self) -> str:
        talking = self.talking
        who = "all" if self.kind == "crowd" and self.talkers is None else talking
        words = f"{self.kind}: {self.clients} clients, {who} of them talk{'s'[: talking == 1]}"
        match self.kind:
            case "flood":
                words += f", {self.lines} lines each" if self.lines else ", as much as TCP takes"
            case "steady":
                words += f", {self.rate:g} lines a second"
            case _:
                lines = self.lines_a_round
                words += f", {lines} line{'s'[: lines > 1]} each a round"
        return words + ("" if self.kind == "flood" and self.lines else f", for {self.seconds:g} s")


MEANS: dict[str, str] = {f.name: f.metadata["means"] for f in fields(Plan)}
"""What each number means, in words for a --help."""
