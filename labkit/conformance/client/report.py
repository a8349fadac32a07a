"""What a run found about a client: as for a server, with the words for a client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from labkit.conformance.advice import Advice
from labkit.conformance.causes import Cause, causes_of
from labkit.conformance.client.advice import ADVICE, CAUSES
from labkit.conformance.report import Report, Verdict


@dataclass(frozen=True)
class ClientVerdict(Verdict):
    """Whether a client behaves so, and how that showed."""

    subject: ClassVar[str] = "client"
    advice: ClassVar[Mapping[str, Advice]] = ADVICE


@dataclass(repr=False)
class ClientReport(Report):
    """What a client does and does not do."""

    subject: ClassVar[str] = "client"

    def told_as_one(self, missed: Mapping[str, str]) -> list[tuple[Cause | None, list[str]]]:
        return causes_of(missed, ADVICE, CAUSES)
