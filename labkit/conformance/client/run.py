"""A run of all behaviours against a client. It is started afresh for each of them, several at a time."""

from __future__ import annotations

import contextlib
import textwrap
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from time import monotonic

from labkit.conformance.behaviour import Behaviour
from labkit.conformance.client.behaviours import BEHAVIOURS, ENDINGS, NO_SERVER
from labkit.conformance.client.client_under_test import ClientUnderTest
from labkit.conformance.client.opening import opened
from labkit.conformance.client.report import ClientReport, ClientVerdict
from labkit.conformance.client.way import CannotConnect, Way
from labkit.conformance.report import HOLDS, MISSED, NOT_JUDGED, NOT_OFFERED, NOT_TRIED, PRINTED
from labkit.conformance.run import ATTEMPTS, LONGEST
from labkit.conformance.server_under_test import NotJudged, NotOffered
from labkit.probe import commands
from labkit.probe.deadline import Deadline
from labkit.probe.failed import CheckFailed
from labkit.probe.patience import LATE, Patience, too_busy
from labkit.probe.typed_program import NoProgram
from labkit.wire.text import brief, clean

AT_A_TIME = 4
"""Clients that are tried at the same time."""

LONGEST_LINE = 150
"""Letters that are told of a line that it printed."""

Show = Callable[[str], None]


def _show_nothing(text: str) -> None:
    pass


def check_client(
    way: Way,
    show: Show = _show_nothing,
    one_by_one: bool = False,
    ladder: int | None = None,
    behaviours: Collection[Behaviour] = BEHAVIOURS,
) -> ClientReport:
    """Try the client that this command starts.

    Args:
        way: how it is run: its command, with `$HOST`, `$PORT` and `$NICKNAME` where it is told those.
        show: is given the text of the report, piece by piece, as soon as it is known.
        one_by_one: never two clients at once. It is so anyway where the port is given.
        ladder: the number of the behaviour whose ladder the text ends with; None: that of the worst ✗.
        behaviours: those to be tried.

    Raises:
        CannotRun: it does not start, does not connect, or is not made for standard input.
    """
    started = monotonic()
    name = commands.join(way.command)
    way, notes = opened(way, name)
    report = ClientReport(name, way.framing, notes, ladder_of=ladder)
    at_a_time = 1 if one_by_one or way.port else AT_A_TIME
    return report.filled(_all_at_once(behaviours, way, at_a_time), show, started)


def _all_at_once(behaviours: Collection[Behaviour], way: Way, at_a_time: int) -> Iterator[ClientVerdict]:
    """The verdicts in order, each as soon as it and those before it are known."""
    running: list[ClientUnderTest] = []  # needs no lock: each worker appends its client, and removes it
    pool = ThreadPoolExecutor(at_a_time, thread_name_prefix="labkit-check")
    with Patience(()) as machine:
        over = Deadline(LONGEST, machine)
        verdicts = [pool.submit(_surely, behaviour, way, over, running) for behaviour in behaviours]
        try:
            for verdict in verdicts:
                yield verdict.result()
        finally:  # after Ctrl-C, too: without their clients, the workers soon end
            pool.shutdown(wait=False, cancel_futures=True)
            for client in list(running):
                client.program.stop()
            pool.shutdown()


def _surely(
    behaviour: Behaviour, way: Way, over: Deadline, running: list[ClientUnderTest]
) -> ClientVerdict:
    """The verdict; not judged, if the machine is too busy to tell."""
    if over.passed():
        return _verdict(behaviour, way, NOT_TRIED, because=f"{LONGEST:g} seconds are over")
    if way.framing == "raw" and behaviour.not_raw:  # no client is needed to say so
        return _verdict(behaviour, way, NOT_JUDGED, because=behaviour.not_raw)
    try:
        for _ in range(ATTEMPTS):
            with _running(way, running, listening=behaviour.name != NO_SERVER) as client:
                verdict = _judged(behaviour, client)
            if verdict.verdict not in (MISSED, NOT_OFFERED) or client.clock.late < LATE:
                return verdict
    except (NoProgram, OSError) as error:
        return _verdict(behaviour, way, NOT_TRIED, because=f"it did not start again: {error}")
    return replace(verdict, verdict=NOT_JUDGED, because=too_busy(client.clock.late), too_busy=True)


@contextlib.contextmanager
def _running(way: Way, running: list[ClientUnderTest], listening: bool) -> Iterator[ClientUnderTest]:
    client = ClientUnderTest(way, listening)
    running.append(client)
    try:
        yield client
    finally:
        running.remove(client)
        client.stop()


def _judged(behaviour: Behaviour, client: ClientUnderTest) -> ClientVerdict:
    verdict, because, failed = HOLDS, "", CheckFailed("", "")
    try:
        behaviour.judge(client)
    except NotJudged as why:
        verdict, because = NOT_JUDGED, str(why)
    except NotOffered as why:
        verdict, because = NOT_OFFERED, str(why)
    except CannotConnect as why:
        verdict, because = NOT_TRIED, f"it did not connect again; {why.seen}"
    except CheckFailed as why:
        verdict, failed = MISSED, why
    return _verdict(behaviour, client.way, verdict, because, failed, client)


def _verdict(
    behaviour: Behaviour,
    way: Way,
    verdict: str,
    because: str = "",
    failed: CheckFailed | None = None,
    client: ClientUnderTest | None = None,
) -> ClientVerdict:
    found = ClientVerdict(
        behaviour,
        behaviour.required(way.framing),
        verdict,
        failed.expected if failed else "",
        failed.seen if failed else "",
        because,
        tuple(client.journal) if client else (),
    )
    if client is None or verdict != MISSED:
        return found
    status = 0 if behaviour.name in ENDINGS else client.program.ended
    died = "" if not status else f"by signal {-status}" if status < 0 else f"with status {status}"
    lines = [brief(clean(line), LONGEST_LINE) for line in client.screen.strip("\n").splitlines()[-PRINTED:]]
    return replace(found, died=died, printed=textwrap.dedent("\n".join(lines)))
