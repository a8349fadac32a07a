"""report.py and run.py: what is told of a run, to the letter, and how a run goes."""

from __future__ import annotations

import contextlib
import json
import math
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import pytest
from judged_here import under_test
from support import SOON, BareServer, Wire
from watched import takes

from labkit import ChatServer
from labkit.conformance import greeting, opening, run
from labkit.conformance.advice import ENDS, ENDS_BY_SIGNAL, UNCAUGHT
from labkit.conformance.behaviour import Behaviour, Section
from labkit.conformance.greeting import CannotRun
from labkit.conformance.report import (
    HOLDS,
    MISSED,
    NOT_JUDGED,
    NOT_TRIED,
    WIDTH,
    Report,
    Verdict,
    _in_words,
)
from labkit.conformance.run import check_address, check_command
from labkit.conformance.server_under_test import CannotJoin, Guests, NotJudged, ServerUnderTest
from labkit.journal import Journal
from labkit.probe.deadline import Deadline
from labkit.probe.failed import CheckFailed
from labkit.probe.launch import Launched
from labkit.probe.patience import cores
from labkit.probe.raw_client import RawClient
from labkit.wire.framing import FRAMINGS


def behaviour(
    number: int = 7,
    name: str = "it sings",
    optional: bool = False,
    not_raw: str = "",
    tries: Callable[[ServerUnderTest], None] = lambda server: None,
) -> Behaviour:
    return Behaviour(number, name, "`la la`", optional, not_raw, tries)


# --- the report ---


@pytest.mark.parametrize(
    ("verdict", "told"),
    [
        (Verdict(behaviour(), True, HOLDS), "  7 ✓ it sings"),
        (Verdict(behaviour(12, optional=True), False, HOLDS), " 12 ✓ it sings (optional)"),
        (
            Verdict(behaviour(), True, NOT_JUDGED, because="it is mute"),
            "  7 – it sings: not judged, because it is mute",
        ),
        (Verdict(behaviour(), True, NOT_TRIED, because="nobody"), "  7 · it sings: not tried: nobody"),
        (
            Verdict(behaviour(), True, MISSED, "a song", "'hm'\nand more"),
            "  7 ✗ it sings\n"
            "        expected: a song\n"
            "        seen:     'hm'\n"
            "                  and more\n"
            "        the wire: `la la`",
        ),
    ],
)
def test_a_verdict_as_text(verdict: Verdict, told: str) -> None:
    """One line; of a miss what was expected, what was seen, and the clause."""
    assert str(verdict) == told


def test_long_texts_are_wrapped_below_their_beginning() -> None:
    """To the width, the first column left to the sign."""
    text = str(Verdict(behaviour(name="word " * 40), True, MISSED, "long " * 40, "")).splitlines()
    assert all(len(line) <= WIDTH == 100 for line in text)
    assert max(map(len, text)) > WIDTH - 5
    assert text[1].startswith("      word") and text[4].startswith(" " * 18 + "long")
    assert "        seen:     " in text


def report(*verdicts: tuple[str, bool], notes: tuple[str, ...] = ()) -> Report:
    journal = Journal()
    journal.record("bytes", "server", "nickname", "alice")
    return Report(
        "a server",
        "lines",
        list(notes),
        [
            Verdict(behaviour(n, f"thing {n}"), required, verdict, "e", "s", "", tuple(journal))
            for n, (verdict, required) in enumerate(verdicts, 1)
        ],
        12.34,
    )


@pytest.mark.parametrize(
    ("verdicts", "holds", "told"),
    [
        ([(HOLDS, True)], True, "1 of 1 required behaviours hold (12.3 s)"),
        (
            [(HOLDS, True), (MISSED, False)],
            True,
            "1 of 1 required behaviours hold, 1 optional missed (12.3 s)",
        ),
        (
            [(HOLDS, True), (NOT_JUDGED, True)],
            True,
            "1 of 2 required behaviours hold, 1 not judged (12.3 s)",
        ),
        ([(NOT_TRIED, True)], False, "0 of 1 required behaviours hold, 1 not tried (12.3 s)"),
        ([(NOT_TRIED, False)], True, "0 of 0 required behaviours hold (12.3 s)"),
        (
            [(MISSED, True), (MISSED, True), (NOT_JUDGED, True), (NOT_TRIED, True), (HOLDS, True)],
            False,
            "1 of 5 required behaviours hold, 2 missed, 1 not judged, 1 not tried (12.3 s)",
        ),
    ],
)
def test_the_sum_of_it(verdicts: list[tuple[str, bool]], holds: bool, told: str) -> None:
    """How many hold of those that are required; the first miss as a ladder before it."""
    whole = report(*verdicts)
    assert whole.holds is holds
    missed = [n for n, (verdict, _) in enumerate(verdicts, 1) if verdict == MISSED]
    assert whole.missed == missed
    assert whole.tail().splitlines()[-1] == told
    if missed:
        to_mend = "".join(f"\n  {n}: thing {n}" for n in missed)
        first = whole.ladder(missed[0])
        assert whole.tail() == f"\nTo mend, the worst first:{to_mend}\n\n{first}\n\n{told}"
        assert whole.ladder(missed[0]).title == f"{missed[0]}: thing {missed[0]}"
    else:
        assert whole.tail() == f"\n{told}"


HANDSHAKE = (
    "a goodbye in the handshake keeps nobody out",
    "a reset in the handshake keeps nobody out",
)

OTHERS = ("after a reset all others are still heard", "once one who did not read is gone, all go on")


@pytest.mark.parametrize(
    ("names", "died", "printed", "causes"),
    [
        pytest.param(OTHERS, ["by signal 13"] * 2, ["", ""], [(ENDS_BY_SIGNAL, [1, 2])], id="a signal"),
        pytest.param(
            OTHERS, ["with status 1"] * 2, ["x.js:7", "x.js:7"], [(ENDS, [1, 2])], id="the same words"
        ),
        pytest.param(
            OTHERS,
            ["with status 1"] * 2,
            ["no", "yes"],
            [(OTHERS[0], [1]), (OTHERS[1], [2])],
            id="other words",
        ),
        pytest.param(
            OTHERS, ["by signal 13", ""], ["", ""], [(OTHERS[0], [1]), (OTHERS[1], [2])], id="one alone"
        ),
        pytest.param(
            HANDSHAKE,
            ["with status 1"] * 2,
            ["no", "no"],
            [("the loop that accepts talks to the newcomer itself, and waits or dies with it", [1, 2])],
            id="a known cause",
        ),
    ],
)
def test_what_ends_the_program_is_told_as_one(
    names: tuple[str, ...], died: list[str], printed: list[str], causes: list[tuple[str, list[int]]]
) -> None:
    """Whatever was tried when it ended in the same way, unless it is known what does that."""
    verdicts = [
        Verdict(behaviour(number, name), True, MISSED, "x", "y", died=how, printed=words)
        for number, (name, how, words) in enumerate(zip(names, died, printed, strict=True), 1)
    ]
    whole = Report("it", "lines", [], verdicts)
    assert [(words, [v.behaviour.number for v in some]) for words, some in whole.causes] == causes


@pytest.mark.parametrize(
    ("died", "printed", "starts"),
    [
        ("by signal 13", "", "SIGPIPE"),
        ("by signal 11", "", "it reads or writes where it may not"),
        ("with status 1", "throw er; // Unhandled 'error' event", "in Node, a connection that breaks"),
        ("with status 1", "Error: no", UNCAUGHT + ". a send to one who is gone raises"),
        ("with status 1", "", "a send to one who is gone raises"),
        ("", "Error: no", "a send to one who is gone raises"),
    ],
)
def test_the_hint_says_what_ended_it(died: str, printed: str, starts: str) -> None:
    """A signal says more than what was tried."""
    verdict = Verdict(behaviour(26, OTHERS[0]), True, MISSED, "x", "y", died=died, printed=printed)
    assert str(verdict.as_json()["hint"]).startswith(starts)


@pytest.mark.parametrize(("clue", "order"), [("stalls", [15, 4]), ("", [4, 15])])
def test_what_silences_the_room_comes_first(clue: str, order: list[int]) -> None:
    """Also where most of what may be wrong with a behaviour does little harm."""
    names = {4: "the sender does not hear itself", 15: "a nickname that is taken is refused"}
    verdicts = [
        Verdict(behaviour(number, name), True, MISSED, "x", "y", clue=clue)
        for number, name in names.items()
    ]
    whole = Report("it", "lines", [], verdicts)
    assert [some[0].behaviour.number for _, some in whole.causes] == order


def test_the_head_and_the_whole() -> None:
    """Which server, in which dialect, and what to know first."""
    whole = report((HOLDS, True), (MISSED, True), notes=("beware " * 20, "and this"))
    first = "a server, judged in lines\n  note: beware beware"
    assert whole.head().startswith(first) and whole.head().endswith("\n  note: and this\n")
    assert (
        str(whole)
        == repr(whole)
        == "\n".join([whole.head(), str(whole.verdicts[0]), str(whole.verdicts[1]), whole.tail()])
    )
    assert report((HOLDS, True)).head() == "a server, judged in lines\n"


def test_many_that_were_not_tried_are_told_in_one_line() -> None:
    def untried(number: int, because: str) -> Verdict:
        return Verdict(behaviour(number), True, NOT_TRIED, because=because)

    held = Verdict(behaviour(1), True, HOLDS)
    four = [untried(n, "nobody") for n in (4, 2, 3, 9)]
    alone = [untried(n, "over") for n in (10, 11, 12)]
    assert list(_in_words([held, *four, *alone, held])) == [
        "  1 ✓ it sings",
        "    · 2–4, 9 not tried: nobody",
        *(f" {n} · it sings: not tried: over" for n in (10, 11, 12)),
        "  1 ✓ it sings",
    ]
    # Each as soon as it is known: the first does not wait for the second.
    assert next(iter(_in_words(iter([held])))) == "  1 ✓ it sings"
    assert "· 2–4, 9 not tried" in str(Report("a server", "lines", verdicts=four))


THEN = {
    "is silent": ("while True:\n        if not c.recv(100): return", "alice heard nothing", "over whom"),
    "hangs up": ("c.recv(100); c.close()", "alice heard nothing, then FIN", "what ends the connection"),
    "floods": (
        "c.recv(100)\n    while True: c.sendall(b'hey\\n' * 100)",
        "it does not; bob heard",
        "come back",
    ),
    "sends 100 MB": (
        "c.recv(100)\n    c.sendall(b'x' * 100_000_000)",
        "it does not; bob heard",
        "come back",
    ),
}


@pytest.mark.parametrize("what", THEN)
def test_a_server_that_asks_and_does_nothing_of_use(what: str, tmp_path: Path) -> None:
    then, seen, hint = THEN[what]
    (tmp_path / "server.py").write_text(f"""
import socket, sys, threading
def handle(c):
    c.sendall(b"nickname\\n")
    {then}
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    threading.Thread(target=handle, args=(server.accept()[0],), daemon=True).start()
""")
    report = check_command([sys.executable, str(tmp_path / "server.py"), "{port}"])
    assert report.missed == [2]
    told = str(report.verdicts[1])
    assert seen in told and hint in " ".join(told.split())
    assert "    · 3–35 not tried: nobody can join and be heard\n" in str(report)


def test_a_ladder_of_what_was_not_tried() -> None:
    """There is none, nor of a number that no behaviour has."""
    whole = report((HOLDS, True), (NOT_TRIED, True))
    assert "nickname" in str(whole.ladder(1))
    for number in (2, 3):
        with pytest.raises(KeyError, match=f"no behaviour number {number} was tried"):
            whole.ladder(number)


def test_the_report_as_json() -> None:
    """All of it, as objects."""
    whole = report((MISSED, True), notes=("so",))
    assert json.loads(whole.as_json()) == {
        "server": "a server",
        "framing": "lines",
        "notes": ["so"],
        "holds": False,
        "too_busy": False,
        "causes": [{"cause": "thing 1", "numbers": [1]}],
        "behaviours": [
            {
                "number": 1,
                "name": "thing 1",
                "clause": "`la la`",
                "required": True,
                "verdict": "missed",
                "expected": "e",
                "seen": "s",
                "because": "",
                "died": "",
                "printed": "",
                "hint": "",
                "chapter": "",
            }
        ],
    }
    whole.notes = ["ö"]
    assert '"\\u00f6"' in whole.as_json() and whole.as_json().startswith('{\n  "server"')


# --- one behaviour ---


@pytest.mark.parametrize(
    ("framing", "optional", "not_raw", "required"),
    [
        ("lines", False, "", True),
        ("lines", False, "why", True),
        ("raw", False, "", True),
        ("raw", False, "why", False),
        ("lines", True, "", False),
    ],
)
def test_what_is_required(framing: str, optional: bool, not_raw: str, required: bool) -> None:
    """Not what is optional, nor what this dialect cannot promise."""
    assert behaviour(optional=optional, not_raw=not_raw).required(framing) is required


def test_a_section_numbers_nothing() -> None:
    """It keeps the functions in their order, with what is said of each."""
    section = Section()

    @section.has("a name", "a clause", optional=True, not_raw="why")
    def tries(server: ServerUnderTest) -> None:
        pass

    assert section == [Behaviour(0, "a name", "a clause", True, "why", tries)]


def raising(error: Exception) -> Callable[[ServerUnderTest], None]:
    def tries(server: ServerUnderTest) -> None:
        server.journal.record("bytes", "alice", "hi", "server")
        raise error

    return tries


@pytest.mark.parametrize(
    ("error", "number", "came"),
    [
        (None, 7, (HOLDS, "", "", "")),
        (NotJudged("mute"), 7, (NOT_JUDGED, "", "", "mute")),
        (CheckFailed("a", "b"), 7, (MISSED, "a", "b", "")),
        (CannotJoin("a", "b"), 1, (MISSED, "a", "b", "")),
        (CannotJoin("a", "b"), 2, (MISSED, "a", "b", "")),
        (CannotJoin("a", "b"), 3, (NOT_TRIED, "", "", "nobody can join and be heard")),
    ],
)
def test_how_one_is_judged(error: Exception | None, number: int, came: tuple[str, str, str, str]) -> None:
    """Where no client can join, only the first two are to blame."""
    tries = (lambda server: None) if error is None else raising(error)
    server = ServerUnderTest(("127.0.0.1", 1))
    verdict = run._judged(behaviour(number, tries=tries), server)
    assert (verdict.verdict, verdict.expected, verdict.seen, verdict.because) == came
    assert verdict.required and len(verdict.events) == (error is not None)


@pytest.mark.parametrize(
    ("status", "died"), [(-9, "by signal 9"), (0, "with status 0"), (3, "with status 3"), (None, "")]
)
@pytest.mark.parametrize("before", [HOLDS, NOT_JUDGED, MISSED])
def test_a_server_that_has_died_of_it(before: str, status: int | None, died: str) -> None:
    """Then nothing holds; how, and its last words, are told."""
    launched = SimpleNamespace(ended=status, last_lines=lambda: "  one\n   two\n")
    verdict = run._with_its_end(Verdict(behaviour(), True, before, "x", "y"), cast(Launched, launched))
    if not died:
        printed = "one\n two" if before == MISSED else ""
        assert (verdict.verdict, verdict.died, verdict.printed) == (before, "", printed)
        return
    assert (verdict.verdict, verdict.died, verdict.printed) == (MISSED, died, "one\n two")
    told = ("x", "y") if before == MISSED else ("the server goes on", "its process ended")
    assert (verdict.expected, verdict.seen) == told


def test_when_nothing_more_is_of_use() -> None:
    """The time is up; or no client could join, twice."""
    stuck = Verdict(behaviour(), True, NOT_TRIED, because="nobody can join and be heard")
    other = Verdict(behaviour(), True, NOT_TRIED, because="something else")
    assert run._no_use([], False) == run._no_use([stuck, other], False) == ""
    assert run._no_use([stuck, other, stuck], False) == "nobody can join and be heard"
    assert run._no_use([], True) == "60 seconds are over"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("localhost:14901", ("localhost", 14901)),
        ("[::1]:1", ("::1", 1)),
        ("::1:65535", ("::1", 65535)),
        ("h:0", None),
        ("h:65536", None),
        (":80", None),
        ("h:", None),
        ("h:-1", None),
        ("h:٣", None),
        ("80", None),
    ],
)
def test_addresses(text: str, address: tuple[str, int] | None) -> None:
    """HOST:PORT, or it is said how."""
    if address is None:
        with pytest.raises(CannotRun) as error:
            run._address(text)
        assert str(error.value) == f"an address is HOST:PORT, such as localhost:14901, not {text!r}"
    else:
        assert run._address(text) == address


def test_what_can_be_done_where_no_nickname_is_asked_for() -> None:
    """To the letter: it is what one types next."""
    assert greeting._offer("name?") == (
        'with --request "name?" it is judged all the same, given that this is how it asks'
    )
    assert greeting._offer("") == (
        "with --request none it is judged all the same, given that its clients speak first, with their "
        "nickname"
    )
    assert greeting._no_way("who") == (
        "and if 'who' is answered with a nickname, still nobody is heard by another"
    )


# --- a whole run, with few behaviours ---


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> list[Behaviour]:
    """The behaviours that a run tries, in their place; and it judges on however busy a machine."""
    chosen: list[Behaviour] = []
    monkeypatch.setattr(run, "BEHAVIOURS", chosen)
    monkeypatch.setattr(run, "LATE", math.inf)
    return chosen


def joins(server: ServerUnderTest) -> None:
    alice, bob = server.join("alice", "bob")
    server.hears_from(alice, bob, "well")


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_run_at_an_address(few: list[Behaviour], framing: str) -> None:
    """Each is shown as soon as it is known; names have a tail that no other has; all leave in the end."""
    names: list[str] = []
    shown: list[str] = []

    def tries(server: ServerUnderTest) -> None:
        names.append(server.nickname("alice"))
        assert server.timeout >= 1.5 and server.all_stay
        joins(server)

    few += [behaviour(n, f"thing {n}", tries=tries) for n in (1, 2)]
    with ChatServer(port=0, framing=FRAMINGS[framing]) as server:
        began = monotonic()
        told = check_address(f"127.0.0.1:{server.address[1]}", framing, shown.append)
        took = monotonic() - began
        for nickname in server.roster():
            server.journal.wait_for("left", nickname)
    assert [v.verdict for v in told.verdicts] == [HOLDS, HOLDS] and told.notes == []
    assert shown == [told.head(), *map(str, told.verdicts), told.tail()]
    assert told.server == f"the server at 127.0.0.1:{server.address[1]}" and told.framing == framing
    assert 0 < told.seconds <= took
    assert len(set(names)) == 2 and all(re.fullmatch("ali[a-z]{5}", name) for name in names)


def test_after_a_fault_that_a_server_does_not_survive(few: list[Behaviour]) -> None:
    """Nothing more is tried, and it is said since when."""
    with ChatServer(port=0) as server:

        def kills(tried: ServerUnderTest) -> None:
            joins(tried)
            stopping = threading.Thread(target=server.stop)
            stopping.start()
            stopping.join()
            raise CheckFailed("life", "death")

        few += [
            behaviour(1, tries=joins),
            behaviour(2, tries=kills),
            behaviour(3, tries=joins),
            behaviour(4, optional=True, tries=joins),
        ]
        told = check_address(f"127.0.0.1:{server.address[1]}")
    assert [(v.verdict, v.because, v.required) for v in told.verdicts] == [
        (HOLDS, "", True),
        (MISSED, "", True),
        (NOT_TRIED, "nobody can join and be heard since 2", True),
        (NOT_TRIED, "nobody can join and be heard since 2", False),
    ]


def test_a_fault_that_a_server_survives(few: list[Behaviour]) -> None:
    """The next one is tried."""

    def fails(tried: ServerUnderTest) -> None:
        joins(tried)
        raise CheckFailed("a", "b")

    few += [behaviour(3, tries=fails), behaviour(4, tries=joins)]
    with ChatServer(port=0) as server:
        told = check_address(f"127.0.0.1:{server.address[1]}")
    assert [v.verdict for v in told.verdicts] == [MISSED, HOLDS]


def test_a_fault_that_may_be_none_on_a_busy_machine(
    few: list[Behaviour], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not judged; but the server may be broken, and then no other is tried."""

    def fails(tried: ServerUnderTest) -> None:
        raise CheckFailed("a", "b")

    few += [behaviour(3, tries=fails), behaviour(4, tries=joins)]
    monkeypatch.setattr(run, "LATE", -1.0)
    monkeypatch.setattr(run, "_trouble", lambda tried: "it hangs")
    with ChatServer(port=0) as server:
        told = check_address(f"127.0.0.1:{server.address[1]}")
    assert [v.verdict for v in told.verdicts] == [NOT_JUDGED, NOT_TRIED]
    assert told.verdicts[1].because == "it hangs since 3"


def test_after_a_fault_the_clients_leave_before_others_join(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that only they have held up is tried further."""
    tried = ServerUnderTest(server.address, timeout=SOON)
    (alice,) = tried.join("alice")
    here: list[bool] = []
    join = ServerUnderTest.join

    def joined(tried: ServerUnderTest, *names: str) -> list[RawClient]:
        here.append(alice.fileno() >= 0)
        return join(tried, *names)

    monkeypatch.setattr(ServerUnderTest, "join", joined)
    assert run._trouble(tried) == "" and here == [False]


def test_no_client_can_join(few: list[Behaviour]) -> None:
    """Since the one before it."""

    def in_vain(server: ServerUnderTest) -> None:
        raise CannotJoin("a", "b")

    few += [behaviour(3, tries=joins), behaviour(4, tries=in_vain), behaviour(5, tries=joins)]
    with ChatServer(port=0) as server:
        told = check_address(f"127.0.0.1:{server.address[1]}")
    assert [v.because for v in told.verdicts] == ["", *["nobody can join and be heard since 3"] * 2]


def test_once_resets_are_survived_clients_may_leave(few: list[Behaviour]) -> None:
    """Until then all stay as guests; from then on they go."""
    stay: list[tuple[bool, int]] = []

    with ChatServer(port=0) as server:

        def tries(tried: ServerUnderTest) -> None:
            stay.append((tried.all_stay, len(server.roster())))
            joins(tried)

        few += [
            behaviour(1, tries=tries),
            behaviour(2, tries=tries),
            behaviour(3, "nobody is skipped when several die", tries=tries),
            behaviour(4, tries=tries),
        ]
        check_address(f"127.0.0.1:{server.address[1]}")
    assert [all_stay for all_stay, _ in stay] == [True, True, True, False]
    assert [number for _, number in stay[:3]] == [2, 4, 6]


SERVES = [
    sys.executable,
    "-c",
    "import os; from labkit import ChatServer; ChatServer(port=int(os.environ['PORT'])).start().wait()",
]


def test_a_run_of_a_command(few: list[Behaviour]) -> None:
    """A new server for each; those that raw cannot be judged by need none."""
    roster: list[int] = []

    def tries(server: ServerUnderTest) -> None:
        alice, bob = server.join("alice", "bob")
        roster.append(server.address[1])
        server.hears_from(alice, bob, "well")

    few += [behaviour(n, tries=tries) for n in (1, 2)]
    shown: list[str] = []
    told = check_command(SERVES, show=shown.append, one_by_one=True)
    assert [v.verdict for v in told.verdicts] == [HOLDS, HOLDS], str(told)
    assert shown == [told.head(), *map(str, told.verdicts), told.tail()]
    assert len(set(roster)) == 2 and told.server.startswith(sys.executable)


def test_raw_needs_no_server_to_say_what_it_cannot_promise() -> None:
    """Nor does a server that does not start again stop a run."""
    raw, lines = (ServerUnderTest(("localhost", 0), framing) for framing in ("raw", "lines"))
    verdict = run._afresh(behaviour(not_raw="mute"), ["no-such-program"], raw, run.Running())
    assert (verdict.verdict, verdict.because, verdict.required) == (NOT_JUDGED, "mute", False)
    running = run.Running()
    verdict = run._afresh(behaviour(), ["no-such-program"], lines, running)
    assert verdict.verdict == NOT_TRIED and running == []
    assert verdict.because.startswith("the server did not start again: cannot run 'no-such-program'")


def test_all_at_once_in_their_order(few: list[Behaviour], monkeypatch: pytest.MonkeyPatch) -> None:
    """Several at a time, and told in order; when no use is seen in it, the rest is not tried."""
    go = {n: threading.Event() for n in range(1, 7)}
    began: list[int] = []

    class Left(list[Behaviour]):
        def copy(self) -> list[Behaviour]:
            left.append(super().copy())
            return left[0]

    left: list[list[Behaviour]] = []

    def afresh(what: Behaviour, *_: object) -> Verdict:
        began.append(what.number)
        if what.number == 1:
            assert go[2].wait(SOON)
        give_up = monotonic() + SOON
        while what.number == 5 and left[0] and monotonic() < give_up:
            sleep(0.001)  # the other one is still in 3 or 4, and begins with 6 only then
        go[what.number].set()
        return run._not_tried(
            what, "lines", "nobody can join and be heard" if what.number in (3, 4) else "x"
        )

    monkeypatch.setattr(run, "_afresh", afresh)
    few += [behaviour(n) for n in go]
    verdicts = list(run._all_at_once(Left(few), [], ServerUnderTest(("localhost", 0)), 2))
    assert [v.behaviour.number for v in verdicts] == [1, 2, 3, 4, 5, 6]
    assert began[:2] in ([1, 2], [2, 1]) and len(began) < 6
    assert verdicts[5].because == "nobody can join and be heard"


def test_a_run_that_is_broken_off_ends_its_servers(
    few: list[Behaviour], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And begins no more."""
    began: list[int] = []
    stopped = threading.Event()

    def afresh(what: Behaviour, command: Any, server: Any, running: list[Any], _: object) -> Verdict:
        if what.number == 2:
            running.append((SimpleNamespace(stop=stopped.set), SimpleNamespace(used=0.0)))
        began.append(what.number)
        if what.number == 2:
            assert stopped.wait(SOON)
        return run._not_tried(what, "lines", "x")

    monkeypatch.setattr(run, "_afresh", afresh)
    few += [behaviour(n) for n in range(1, 6)]
    verdicts = run._all_at_once(few, [], ServerUnderTest(("localhost", 0)), 1)
    assert next(verdicts).behaviour.number == 1
    while began != [1, 2]:
        pass
    cast(Any, verdicts).close()
    assert stopped.is_set() and began == [1, 2]


def test_a_behaviour_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken off wherever it waits, it is not judged; once the time for all is over, it was not tried."""

    def waits(server: ServerUnderTest) -> None:
        while not server.deadline(60).passed():
            pass

    passed = iter(range(10_000))
    server = ServerUnderTest(("localhost", 0), clock=lambda: 1.0 * next(passed))
    verdict = run._judged(behaviour(tries=waits), server)
    assert (verdict.verdict, verdict.because) == (
        NOT_JUDGED,
        "the server is so slow that this is not done after 30 s",
    )
    assert next(passed) < 50
    server.deadline(1)  # afterwards its clock breaks off nothing
    over = Deadline(5, server.clock)
    verdict = run._judged(behaviour(tries=waits), server, over)
    assert (verdict.verdict, verdict.because) == (NOT_TRIED, "60 seconds are over")


@pytest.mark.parametrize("still", [True, False])
def test_servers_that_leave_no_processor_free(
    few: list[Behaviour], monkeypatch: pytest.MonkeyPatch, still: bool
) -> None:
    """What they use themselves counts as time, those that run still and those that were stopped."""

    def afresh(what: Behaviour, command: Any, server: Any, running: run.Running, _: object) -> Verdict:
        used = run.LONGEST * cores()
        if still:
            running.append((cast(Any, Mock()), cast(Any, SimpleNamespace(used=used))))
        else:
            running.used += used
        return run._not_tried(what, "lines", "x")

    monkeypatch.setattr(run, "Patience", lambda pids: Mock(return_value=0.0))  # none is free
    monkeypatch.setattr(run, "_afresh", afresh)
    few += [behaviour(1), behaviour(2)]
    verdicts = list(run._all_at_once(few, [], ServerUnderTest(("localhost", 0)), 1))
    assert [verdict.because for verdict in verdicts] == ["x", "60 seconds are over"]


def test_who_is_not_let_in_on_a_busy_machine_is_not_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is started again, a few times; then the behaviour is not judged."""
    tried: list[int] = []

    def in_vain(server: ServerUnderTest) -> None:
        tried.append(server.address[1])
        clock.late = 1.0
        raise CannotJoin("a", "b")

    clock = Mock(return_value=0.0, late=0.0)
    server = SimpleNamespace(
        address=("localhost", 1), ended=None, ends=lambda seconds: True, last_lines=lambda: ""
    )
    monkeypatch.setattr(run, "_running", lambda *_: contextlib.nullcontext((server, clock)))
    verdict = run._afresh(behaviour(tries=in_vain), [], ServerUnderTest(("localhost", 0)), run.Running())
    assert verdict.verdict == NOT_JUDGED and verdict.too_busy and len(tried) == run.ATTEMPTS


# --- what is known before ---

ENDS_WITH_LF = (
    "its request ends with LF, so it speaks lines and not raw. It is spoken to in lines here, and judged "
    "as raw; --framing lines judges it in its own dialect"
)
COMES_WITHOUT_LF = (
    "its request comes without LF: as in the assignment, where what one recv brings is a message (raw). It "
    "is judged in lines all the same; --framing raw judges it in that dialect"
)


@pytest.mark.parametrize(
    ("serves", "judged", "speaks", "note"),
    [
        ("lines", "lines", "lines", ""),
        ("raw", "raw", "raw", ""),
        ("lines", "raw", "lines", ENDS_WITH_LF),
        ("raw", "lines", "lines", COMES_WITHOUT_LF),
    ],
)
def test_which_dialect_a_server_speaks(serves: str, judged: str, speaks: str, note: str) -> None:
    """It is spoken to in its own, where that is lines."""
    with ChatServer(port=0, framing=FRAMINGS[serves]) as server:
        tried = ServerUnderTest(server.address, judged, SOON)
        found = opening.opened(tried, tried.connect("first"), "it")
        assert (found.speaks, found.notes) == (speaks, [note] if note else [])
        assert 1.5 <= found.timeout <= 10
        assert tried.speaks == ("lines" if note and judged == "raw" else "")
        tried.leave()


@pytest.mark.parametrize(("trip", "timeout"), [(0.0, 1.5), (0.029, 1.5), (0.1, 5.0), (0.3, 10.0)])
def test_how_long_a_server_is_given(monkeypatch: pytest.MonkeyPatch, trip: float, timeout: float) -> None:
    """So many times its round trip, in bounds."""
    monkeypatch.setattr(opening, "_round_trip", lambda first, second: trip)
    with ChatServer(port=0) as server:
        tried = ServerUnderTest(server.address, "lines", SOON)
        assert opening.opened(tried, tried.connect("first"), "it").timeout == pytest.approx(timeout)
        tried.leave()


def test_the_round_trip_is_the_median(bare_server: BareServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of five; one that hears nothing is told."""
    ticks = iter([0, 1, 10, 12, 20, 23, 30, 34, 40, 140])
    monkeypatch.setattr(opening, "monotonic", lambda: next(ticks))
    pings: list[str] = []
    speaker = SimpleNamespace(until_read=lambda: pings.append("read"), send=pings.append)
    listener = SimpleNamespace(
        name="bob", hears=lambda text: text == pings[-1], seen=lambda: "bob heard nothing"
    )
    assert opening._round_trip(cast(RawClient, speaker), cast(RawClient, listener)) == 3
    assert len(pings) == 10 and pings[::2] == ["read"] * 5 and pings[1].startswith("ping-")
    listener.hears = lambda text: False
    ticks = iter(range(9))
    with pytest.raises(CheckFailed, match="expected bob hears 'ping-.*'; seen: bob heard nothing"):
        opening._round_trip(cast(RawClient, speaker), cast(RawClient, listener))


def test_no_server_there() -> None:
    """It is said so, with the address."""
    with socket.socket() as mine:  # it keeps the port, and does not listen
        mine.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{mine.getsockname()[1]}"
        nobody = f"^{re.escape(address)}: nobody listens on {re.escape(address)}"
        with pytest.raises(CannotRun, match=nobody):
            check_address(address)
    with pytest.raises(CannotRun, match="^no-such-program x: cannot run 'no-such-program'"):
        check_command(["no-such-program", "x"])


# --- the clients of a behaviour ---


@pytest.fixture
def guests() -> Iterator[Guests]:
    guests = Guests()
    yield guests
    guests.end()


def test_guests_stay_and_are_read_for(server: ChatServer, guests: Guests) -> None:
    """Until they leave, with RST, all of them; more may come then."""
    tried = ServerUnderTest(server.address, guests=guests, timeout=SOON)
    tried.join("alice", "bob")
    tried.leave()
    tried.join("carol")
    server.journal.wait_for("joined", "carol")
    tried.newcomer("nobody")
    tried.leave()
    # One that was asked for a nickname has given one, so that no server waits for it.
    server.journal.wait_for("joined", count=4)
    here = server.roster()
    assert len(here) == 4 and here[:3] == ["alice", "bob", "carol"]
    with Wire.joined(server.address, "talker") as talker:
        for _ in range(300):
            talker.send(*["x" * 1000] * 50)  # more than the buffers of those that do not read
        talker.send("/who")
        talker.until("in lobby")
        assert all(person.behind < 64 * 1024 * 1024 for person in server.present())
    takes(guests, "_lock", lambda: guests.take([]))
    guests.leave()
    for name in here:
        assert server.journal.wait_for("left", name).what == "vanished"
    tried.join("dave")
    server.journal.wait_for("joined", "dave")
    tried.leave()
    assert server.roster() == ["dave"]
    guests.end()
    server.journal.wait_for("left", "dave")
    guests.__init__()  # type: ignore[misc]  # for the fixture to end


def test_what_comes_for_a_guest_is_read(guests: Guests) -> None:
    """Each time something does; or it would hold up who talks to it."""
    read: list[bool] = []
    guests._read(cast(RawClient, SimpleNamespace(forget=lambda: read.append(True), end=None)))
    assert read == [True]


def test_one_that_listens_and_lets_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to judge."""

    @contextlib.contextmanager
    def running(command: list[str], running: list[Launched]) -> Iterator[tuple[Any, None]]:
        yield SimpleNamespace(address=("127.0.0.1", 1)), None

    def refuses(tried: ServerUnderTest, name: str) -> RawClient:
        raise CannotJoin(f"{name} can connect", "it does not accept")

    monkeypatch.setattr(run, "_running", running)
    monkeypatch.setattr(ServerUnderTest, "connect", refuses)
    with pytest.raises(CannotRun, match="^server --loud: it listens, but it does not accept$"):
        check_command(["server", "--loud"])


def test_without_guests_all_leave(server: ChatServer) -> None:
    """With RST; those that stay, at the very end."""
    tried = ServerUnderTest(server.address, timeout=SOON)
    alice, bob = tried.join("alice", "bob")
    tried.newcomer("nobody")
    tried.stays(alice)
    tried.leave()
    for name in ("alice", "bob"):
        assert server.journal.wait_for("left", name).what == "vanished"
    assert alice.fileno() == bob.fileno() == -1
    tried.leave()


def test_one_that_cannot_connect_or_is_not_asked(bare_server: BareServer) -> None:
    """What was expected, and what was seen."""
    tried = ServerUnderTest(bare_server.address, timeout=0.1)
    with pytest.raises(CannotJoin) as failed:
        tried.newcomer("alice")
    assert (failed.value.expected, failed.value.seen) == (
        "`nickname` is asked for at connect",
        "alice heard nothing",
    )
    tried.leave()
    bare_server.sock.close()
    with pytest.raises(CannotJoin) as failed:
        tried.connect("bob")
    assert failed.value.expected == "bob can connect" and "nobody listens" in failed.value.seen


def test_one_whom_nobody_hears_has_not_joined(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was expected, and what was seen, is told as it was."""

    def have_not_met(client: RawClient, first: RawClient) -> None:
        raise CheckFailed(f"{first.name} hears {client.name}", "nothing")

    monkeypatch.setattr("labkit.conformance.server_under_test.meet", have_not_met)
    tried = ServerUnderTest(server.address, timeout=SOON)
    with pytest.raises(CannotJoin) as failed:
        tried.join("alice", "bob")
    assert (failed.value.expected, failed.value.seen) == ("alice hears bob", "nothing")
    tried.leave()


def test_nicknames_are_letters_and_all_different() -> None:
    """Also where little room is left before the tail, and for names that hold something else."""
    tried = ServerUnderTest(("127.0.0.1", 1), tail="vwxyz")
    names = ["alice", "alicia", "alicf", "no one", "dave-2"]
    nicknames = [tried.nickname(name) for name in names]
    assert nicknames[0] == "alivwxyz" and len(set(nicknames)) == len(names)
    assert all(re.fullmatch("[a-z]{3}vwxyz", nickname) for nickname in nicknames)
    assert [tried.nickname(name) for name in names] == nicknames


@pytest.mark.parametrize(
    ("silent", "over", "speaker_end", "asks", "waits", "heard"),
    [
        (True, False, None, 1, 0.1, False),
        (False, True, None, 1, 0.1, False),
        (False, False, "FIN", 2, 0.2, False),
        (False, False, "FIN", 2, 0.2, True),
    ],
)
def test_how_long_one_listens(
    monkeypatch: pytest.MonkeyPatch,
    silent: bool,
    over: bool,
    speaker_end: str | None,
    asks: int,
    waits: float,
    heard: bool,
) -> None:
    """Until nothing comes for so long, or something else for four times as long, or the speaker is out."""
    monkeypatch.setattr(
        "labkit.conformance.server_under_test.Deadline",
        lambda seconds, clock: SimpleNamespace(passed=lambda: silent if seconds == 1.0 else over),
    )
    asked: list[float] = []

    def hears(text: str, seconds: float) -> bool:
        asked.append(seconds)
        return heard and len(asked) == 2

    listener = SimpleNamespace(hears=hears, received=0, end=None)
    speaker = SimpleNamespace(ended=lambda seconds: speaker_end)
    tried = ServerUnderTest(("127.0.0.1", 1), timeout=1.0)
    assert tried.reaches("x", cast(RawClient, speaker), cast(RawClient, listener)) is heard
    assert len(asked) == asks and asked[0] == pytest.approx(0.1) and asked[-1] == pytest.approx(waits)


def test_one_listens_on_while_something_else_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time the silence is measured anew."""

    def deadline(seconds: float, clock: object) -> SimpleNamespace:
        looks = iter([False])  # it has passed at the second look
        return SimpleNamespace(passed=lambda: seconds == 1.0 and next(looks, True))

    def hears(text: str, seconds: float) -> bool:
        listener.received += 1
        return bool(listener.received == 4)

    monkeypatch.setattr("labkit.conformance.server_under_test.Deadline", deadline)
    listener = SimpleNamespace(hears=hears, received=0, end=None)
    speaker = SimpleNamespace(ended=lambda seconds: None)
    tried = ServerUnderTest(("127.0.0.1", 1), timeout=1.0)
    assert tried.reaches("x", cast(RawClient, speaker), cast(RawClient, listener))


def test_calming_down(server: ChatServer) -> None:
    """When nothing has come for a while; or never, while another talks on and on."""
    with under_test(server.address, timeout=0.4) as tried:
        alice, bob = tried.join("alice", "bob")
        tried.stays(bob)
        alice.send("x")
        assert tried.calms_down(0.1)
        assert not bob.hears("x", 0)  # it was read
        _never_calms_down(server, tried)


def _never_calms_down(server: ChatServer, tried: ServerUnderTest) -> None:
    over = threading.Event()

    def talks() -> None:
        with Wire.joined(server.address, "talker") as talker:
            while not over.wait(0.005):
                talker.send("x")

    talking = threading.Thread(target=talks)
    talking.start()
    server.journal.wait_for("joined", "talker")
    try:
        assert not tried.calms_down(0.2)
    finally:
        over.set()
        talking.join()
