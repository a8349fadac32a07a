"""What a load is: how many clients, who talks, how much, and in which way.

Only numbers, and what each may be.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

KINDS: dict[str, str] = {
    "bursts": "rounds: each talker says all its lines in one send; over when all clients have all",
    "steady": "so many lines a second, the talkers in turn, whatever the server makes of it",
    "flood": "as much as TCP takes from each talker",
}
"""The kinds of load, and what each is."""

BURST = 10
"""Lines of each talker in a round, unless the plan says otherwise."""

TALKERS = 10
"""Clients that talk, unless the plan says otherwise or there are fewer."""

LONGEST = 4000
"""Bytes of the longest line: with a nickname before it, it must still fit into a server's 4096."""

TOKEN = 9
"""Bytes of a line that carry its number (see receipts.py)."""


class LoadError(Exception):
    """A server cannot be measured; the text says why."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A load. Each field is also a flag of `python -m labkit load`."""

    kind: str = field(default="bursts", metadata={"means": ", ".join(KINDS)})
    clients: int = field(default=100, metadata={"means": "how many are there, and hear"})
    talkers: int | None = field(
        default=None, metadata={"means": f"how many of them talk (default: {TALKERS}, or all there are)"}
    )
    lines: int | None = field(
        default=None,
        metadata={
            "means": f"bursts: lines of each talker in a round (default: {BURST}); flood: lines of each "
            "talker in all (default: until the seconds are over)"
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
        self._whole("clients", 2, 100_000)
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
        return min(TALKERS, self.clients) if self.talkers is None else self.talkers

    def __str__(self) -> str:
        words = f"{self.kind}: {self.clients} clients, {self.talking} of them talk"
        match self.kind:
            case "bursts":
                words += f", {self.lines or BURST} lines each a round"
            case "flood":
                words += f", {self.lines} lines each" if self.lines else ", as much as TCP takes"
            case _:
                words += f", {self.rate:g} lines a second"
        return words + ("" if self.kind == "flood" and self.lines else f", for {self.seconds:g} s")


MEANS: dict[str, str] = {f.name: f.metadata["means"] for f in fields(Plan)}
"""What each number means, in words for a --help."""
