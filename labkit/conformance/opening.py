"""What is learnt of a server before it is judged: its dialect, its form of a message, its quickness."""

from __future__ import annotations

import contextlib
import statistics
from dataclasses import dataclass
from time import monotonic

from labkit.conformance.dialect import Form
from labkit.conformance.greeting import greeted
from labkit.conformance.server_under_test import (
    LEAST_TIMEOUT,
    ROUND_TRIPS,
    NotJudged,
    ServerUnderTest,
    asked_with,
)
from labkit.probe.deadline import SLICE
from labkit.probe.failed import CheckFailed
from labkit.probe.raw_client import REQUEST, RawClient, unique

LINE_END = 6 * SLICE
"""Seconds after the request in which its line end must have come."""

PINGS = 5
"""Round trips of which the median is taken."""

MOST_TIMEOUT = 10.0
"""Seconds: no client waits longer than this for anything."""


@dataclass
class Opening:
    """What is known of a server before it is judged."""

    speaks: str
    timeout: float
    notes: list[str]
    form: Form | None = None


def opened(server: ServerUnderTest, first: RawClient, name: str) -> Opening:
    """Which dialect the server speaks, and how quick it is, as far as it answers.

    Raises:
        CannotRun: it asks nobody for a nickname as it should.
    """
    opening = Opening(server.framing, LEAST_TIMEOUT, [])
    greeted(server, first, name)
    if server.request:
        before, behind = first.passed_over, first.follows(LINE_END)
        ends = behind.startswith((b"\n", b"\r\n"))
        words = asked_with(server.request, before, behind)
        if server.request == REQUEST and words != REQUEST:
            opening.notes.append(
                f"it asks with {words!r}, and not with `{REQUEST}` alone, which is told as 1; "
                f'--request "{words}" judges it as it asks'
            )
        if ends and server.framing == "raw":
            opening.speaks = server.speaks = first.framing = "lines"
            opening.notes.append(
                "its request ends with LF, so it speaks lines and not raw. It is spoken to in lines here, "
                "and judged as raw; --framing lines judges it in its own dialect"
            )
        elif not behind and server.framing == "lines" and server.request == REQUEST:
            opening.notes.append(
                "its request comes without LF: as in the assignment, where what one recv brings is a "
                "message (raw). It is judged in lines all the same; --framing raw judges it in that dialect"
            )
    with contextlib.suppress(CheckFailed, NotJudged):
        server.answer(first, server.nickname("first"))
        (second,) = server.join("second", know=first)
        opening.timeout = min(MOST_TIMEOUT, max(LEAST_TIMEOUT, ROUND_TRIPS * _round_trip(first, second)))
        opening.form = server.form_of(first, second)
        if opening.form.pattern != Form().pattern:
            opening.notes.append(
                f"what one says reaches the others as `{opening.form.shown}`; that is judged once (3)"
            )
    return opening


def _round_trip(speaker: RawClient, listener: RawClient) -> float:
    """Seconds until the listener hears what the speaker says, the median of a few."""
    seconds = []
    for _ in range(PINGS):
        text = unique("ping")
        speaker.until_read()
        said = monotonic()
        speaker.send(text)
        if not listener.hears(text):
            raise CheckFailed(f"{listener.name} hears {text!r}", listener.seen())
        seconds.append(monotonic() - said)
    return statistics.median(seconds)
