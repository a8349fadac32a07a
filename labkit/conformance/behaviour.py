"""A behaviour: one thing that a chat server does, with a name, a clause of the wire, and a way to try it.

The behaviours themselves are in behaviours.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from labkit.conformance.server_under_test import NotJudged

Tries = Callable[[Any], None]
"""Takes what is under test: a server, or a client."""


class UnderTest(Protocol):
    """What is under test."""

    framing: str  # "lines" or "raw"


@dataclass(frozen=True)
class Behaviour:
    """One thing that a chat server does."""

    number: int
    name: str
    clause: str  # of the wire
    optional: bool
    not_raw: str  # why the raw dialect cannot be judged by it; "": it can
    tries: Tries
    luck: bool = False  # threads must meet for a fault to show, or a busy machine may look like one

    def required(self, framing: str) -> bool:
        """Whether a server that speaks this dialect must behave so."""
        return not self.optional and not (framing == "raw" and self.not_raw)

    def judge(self, subject: UnderTest) -> None:
        """Try it.

        Raises:
            CheckFailed: the server does not behave so.
            NotJudged: it cannot be judged, in this dialect or on this server.
            NotOffered: it is optional, and the server does not have it.
        """
        if subject.framing == "raw" and self.not_raw:
            raise NotJudged(self.not_raw)
        self.tries(subject)


class Section(list[Behaviour]):
    """Some behaviours, in order; `behaviours.py` puts the sections together and numbers them."""

    def has(
        self, name: str, clause: str, *, optional: bool = False, not_raw: str = "", luck: bool = False
    ) -> Callable[[Tries], Tries]:
        """A decorator: this function tries the behaviour of this name."""

        def put(tries: Tries) -> Tries:
            self.append(Behaviour(0, name, clause, optional, not_raw, tries, luck))
            return tries

        return put
