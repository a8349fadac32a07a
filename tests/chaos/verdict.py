"""What a checker finds wrong with a server: complaints, each of a kind, with the histories concerned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

ENOUGH = 20
"""Complaints of one kind that are kept; the others are counted."""

SHOWN = 3
"""Complaints of one kind that are shown."""


class Kind(StrEnum):
    """What can be wrong."""

    LOST = "lost"  # a client that was there did not hear it
    TWICE = "heard twice"
    ORDER = "out of order"  # two heard it in two orders, or a sender's lines changed places
    OWN = "heard by its own sender"
    LEAK = "heard outside its room"  # or by a client that was not there yet, or no more
    FORGED = "never said"  # no client said it, and nothing like it happened
    WHISPER = "heard by the wrong one"
    REASON = "left for another reason"
    THROWN_OUT = "thrown out"
    ANSWER = "answered wrongly"
    SHARED = "one nickname for two"
    TAKEN = "still taken"  # a nickname, after its client is gone
    LEFT_BEHIND = "left behind"  # a client on the roster, a thread, a descriptor
    HELD = "held up"  # by what another asked for itself
    UNBOUNDED = "without a bound"  # a stranger's time, or what it may send; memory
    STUCK = "stuck"  # something that must happen did not


@dataclass(frozen=True, slots=True)
class Complaint:
    kind: Kind
    what: str
    excerpt: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join([f"{self.kind}: {self.what}", *("    " + line for line in self.excerpt)])


@dataclass(slots=True)
class Verdict:
    """All complaints about one run, and how much there was to complain about."""

    complaints: list[Complaint] = field(default_factory=list)
    count: Counter[Kind] = field(default_factory=Counter)
    deliveries: int = 0  # lines of others that a client heard, and rightly
    told: Counter[str] = field(default_factory=Counter)  # leavings, by the reason that was told

    def complain(self, kind: Kind, what: str, excerpt: Iterable[str] = ()) -> None:
        self.count[kind] += 1
        if self.count[kind] <= ENOUGH:
            self.complaints.append(Complaint(kind, what, tuple(excerpt)))

    @property
    def kinds(self) -> set[Kind]:
        return set(self.count)

    def __str__(self) -> str:
        if not self.count:
            return f"nothing to complain about in {self.deliveries} deliveries"
        counts = ", ".join(f"{n} × {kind}" for kind, n in self.count.items())
        shown = [c for kind in self.count for c in [c for c in self.complaints if c.kind is kind][:SHOWN]]
        return "\n".join([counts, *map(str, shown)])
