"""The servers of the zoo are judged as they should be: right ones have no ✗, wrong ones those of a fault.

Here each wrong one is tried in one of its dialects, on what its fault breaks and what is tried next to
that; tests/tools/check_zoo.py tries all of it, as often as one likes.
"""

from __future__ import annotations

import signal
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest
import zoo
from faults import FAULTS, PUT, REFUSE, Fault

from labkit.conformance.behaviours import BEHAVIOURS
from labkit.conformance.greeting import CannotRun
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


NEW = "if nickname and nickname not in nicknames:"

NUMBERED = (
    NEW,
    "if nickname:\n                while nickname in nicknames:\n                    nickname += 'x'",
)

SENTENCE = ('REQUEST = "nickname"', 'REQUEST = "Your nickname, please:"')

LETS_GO = (REFUSE, '        client.send("! not that one")\n        return False\n    return False')

GREETED = (
    ('REQUEST = "nickname"', 'REQUEST = "Welcome! Your name:"'),
    ("    client.send(REQUEST)\n    return", '    client.send("Your name:")\n    return'),
)

UNASKED = (
    ("client.send(REQUEST)\n    for", "for"),
    ("    client.send(REQUEST)\n    return", "    pass\n    return"),
)


@pytest.mark.parametrize("framing", ["lines", "raw"])
@pytest.mark.parametrize(
    ("changes", "request_", "missed"),
    [
        pytest.param((NUMBERED,), "nickname", (), id="a taken nickname gets another ending"),
        pytest.param((SENTENCE,), "Your nickname, please:", (), id="a sentence asks"),
        pytest.param((SENTENCE,), "nickname", (1,), id="and the word is in it"),
        pytest.param(UNASKED, "", (), id="nobody is asked"),
        pytest.param((LETS_GO,), "nickname", (), id="one that is refused is let go"),
        pytest.param(GREETED, "Welcome! Your name:", (), id="the second time it asks in fewer words"),
    ],
)
def test_right_in_another_way(
    changes: tuple[tuple[str, str], ...],
    request_: str,
    missed: tuple[int, ...],
    framing: str,
    tmp_path: Path,
) -> None:
    """What is done another way is no fault."""
    other = Fault("", changes, frozenset(missed), None, "")
    naming = {1, 15, 16, 17, 19, 24, 28, 29, 33}
    report = check_command(zoo.wrong(other, tmp_path, framing), framing, request=request_, only=naming)
    assert_missed(report, other.missed)
    advised = '--request "Your nickname, please:"' in " ".join(str(report).split())
    assert advised == bool(missed)


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        pytest.param((('REQUEST = "nickname"', 'REQUEST = "NAME"'),), '--request "NAME"', id="asked"),
        pytest.param(UNASKED, "--request none", id="nobody is asked"),
    ],
)
def test_the_option_for_one_that_asks_where_it_accepts(
    changes: tuple[tuple[str, str], ...], option: str, tmp_path: Path
) -> None:
    """The first client has not answered when others try whether they can talk: they must get in."""
    asks = zoo.called("the nickname is asked for where it accepts")
    server = replace(asks, changes=asks.changes + changes)
    with pytest.raises(CannotRun, match=option):
        check_command(zoo.wrong(server, tmp_path))


def test_a_command_that_is_none_is_not_offered(tmp_path: Path) -> None:
    """A server may answer with what it was asked: that it has no such command is no fault."""
    goes = (
        'elif word == "/join":\n        client.room = rest\n        client.send(f"* you are in {rest} now")'
    )
    told = 'elif word != "/msg":\n        client.send(f"! no such command: {text}")'
    other = Fault("", ((goes, told),), frozenset(), None, "")
    report = check_command(zoo.wrong(other, tmp_path), only={14})
    assert_missed(report, frozenset())
    told = " ".join(str(report).split())
    assert report.too_busy or "not offered: `/join` is answered as what is no command is" in told


SIGPIPE_ENDS = Fault(
    "SIGPIPE ends the program",
    (
        ("import os\n", "import os\nimport signal\n"),
        ("import threading\n", "import threading\nsignal.signal(signal.SIGPIPE, signal.SIG_DFL)\n"),
        (
            PUT,
            """try:
            self.sock.sendall((text + END).encode())
        except OSError:
            pass""",
        ),
        (" and not client.gone:\n                client.send", ":\n                client.send"),
        (
            "with lock:\n        for client in list(clients):",
            "if True:\n        for client in list(clients):",
        ),
    ),
    frozenset({26, 27}),
    frozenset({26, 27}),
    "MSG_NOSIGNAL",
)


@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="no signal comes of a send there")
@pytest.mark.parametrize("framing", ["lines", "raw"])
def test_a_send_that_ends_the_program(framing: str, tmp_path: Path) -> None:
    """The kernel tells the first of a reset, and sends the next the signal: several must speak."""
    report = check_command(zoo.wrong(SIGPIPE_ENDS, tmp_path, framing), framing, only=SIGPIPE_ENDS.missed)
    assert_missed(report, SIGPIPE_ENDS.missed)
    if not report.too_busy:
        assert [[v.behaviour.number for v in verdicts] for _, verdicts in report.causes] == [[26, 27]]
        assert SIGPIPE_ENDS.look in " ".join(str(report).split())


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
