"""The servers of the zoo are judged as they should be: right ones have no ✗, wrong ones those of a fault.

Here each wrong one is tried in one of its dialects, on what its fault breaks and what is tried next to
that; tests/tools/check_zoo.py tries all of it, as often as one likes.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest
import zoo
from faults import FAULTS, Fault

from labkit.conformance.behaviours import BEHAVIOURS
from labkit.conformance.report import Report
from labkit.conformance.run import check_command

NAMED, BRACKETS, NAMELESS = zoo.FORMS

IN_ORDER = [behaviour.number for behaviour in BEHAVIOURS]


def next_to(numbers: Collection[int]) -> set[int]:
    """These, and those that are tried before and after them."""
    places = {IN_ORDER.index(number) + step for number in numbers for step in (-1, 0, 1)}
    return {IN_ORDER[place % len(IN_ORDER)] for place in places}


def assert_missed(report: Report, expected: frozenset[int]) -> None:
    """Just these are ✗; on a busy machine some may be not judged."""
    unsure = {verdict.behaviour.number for verdict in report.verdicts if verdict.too_busy}
    assert expected - unsure <= {*report.missed} <= expected, str(report)


def test_each_behaviour_is_missed_by_some_server_alone() -> None:
    """And the zoo has forty wrong servers at least, no two called the same."""
    for framing, tried in (("lines", BEHAVIOURS), ("raw", [b for b in BEHAVIOURS if not b.not_raw])):
        missed = [zoo.missed(fault, framing, NAMED) for fault in FAULTS]
        alone = {number for numbers in missed if numbers and len(numbers) == 1 for number in numbers}
        # In raw a recv is a message, and it may begin or end in the middle of a letter.
        assert alone == {behaviour.number for behaviour in tried} - ({7, 8} if framing == "raw" else set())
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 40
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert f"each of {len(FAULTS)} wrong ones" in " ".join(readme.split())


@pytest.mark.parametrize(
    ("name", "framing", "form"),
    [
        ("two_lists.py", "lines", NAMED),
        ("tcp_server.py", "raw", NAMED),
        ("streams.py", "lines", BRACKETS),
        ("one_loop.py", "raw", NAMELESS),
        ("node.js", "lines", NAMELESS),
        ("poll.c", "lines", NAMED),
    ],
)
def test_a_right_server(name: str, framing: str, form: str, tmp_path: Path) -> None:
    """In whatever style or language; only the form of a message is told where it is another."""
    report = check_command(zoo.right(name, tmp_path, framing, form), framing)
    assert_missed(report, frozenset() if form == NAMED else frozenset({3}))


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_a_wrong_server(fault: Fault, tmp_path: Path) -> None:
    """Its fault is found, nothing else is, and the report says where to look."""
    dialects = [
        (framing, form)
        for form in (BRACKETS, NAMELESS, NAMED)
        for framing in ("raw", "lines")
        if zoo.missed(fault, framing, form) is not None
    ]
    framing, form = dialects[FAULTS.index(fault) % len(dialects)]
    missed = zoo.missed(fault, framing, form)
    assert missed
    report = check_command(zoo.wrong(fault, tmp_path, framing, form), framing, only=next_to(missed))
    assert_missed(report, missed)
    if not report.too_busy:
        assert fault.look in " ".join(str(report).split()), str(report)
