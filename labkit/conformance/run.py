"""python -m labkit check server: is that server right? A run of all behaviours against any server.

Two ways. At an address there is one server, which others may use: the behaviours are tried one after the
other, and once nobody can join any more, the rest is not tried. A command is started afresh for each
behaviour, several at a time, so that no fault stands in the way of seeing another.

What a behaviour is, behaviours.py tells; how a server is started, launch.py; what comes out, report.py.
Here are the order of things and how long they may take.
"""

from __future__ import annotations

import contextlib
import shlex
import statistics
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from time import monotonic

from labkit.conformance.behaviour import Behaviour
from labkit.conformance.behaviours import BEHAVIOURS
from labkit.conformance.probed import LEAST_PATIENCE, ROUND_TRIPS, CannotJoin, Guests, NotJudged, Probed
from labkit.conformance.report import HOLDS, MISSED, NOT_JUDGED, NOT_TRIED, Report, Verdict
from labkit.journal import Journal
from labkit.probe.deadline import SLICE
from labkit.probe.failed import Missed
from labkit.probe.launch import Launched, NotStarted
from labkit.probe.raw_client import PATIENCE, Peer, unique
from labkit.wire import sockets

AT_A_TIME = 4
"""Servers that are tried at the same time."""

LINE_END = 6 * SLICE
"""Seconds after the request in which its line end must have come."""

PINGS = 5
"""Round trips of which the median is taken."""

LONGEST = 60.0
"""Seconds after which nothing more is begun. A server that answers takes a tenth of that."""

NOBODY = "nobody can join"

ENOUGH = 2
"""Behaviours, of new servers, that nobody could join for: then no other is tried."""

MOST_PATIENCE = 10.0
"""Seconds; nobody waits longer than this for anything."""

RESETS_ARE_SURVIVED = "nobody is skipped when several die"
"""Once this behaviour holds, people may leave with RST."""

Shows = Callable[[str], None]


class CannotRun(Exception):
    """There is nothing to try; the text says why."""


@dataclass
class Opening:
    """What is known of a server before it is judged."""

    speaks: str
    patience: float
    notes: list[str]


# --- the two ways ---


def check_address(host_port: str, framing: str = "lines", shows: Shows | None = None) -> Report:
    """Try the server that listens there.

    Args:
        host_port: such as "localhost:14901" or "[::1]:14901".
        framing: "lines" or "raw": what it is to speak.
        shows: is given the text of the report, piece by piece, as soon as it is known.

    Raises:
        CannotRun: that is no address, or nobody listens there.
    """
    started = monotonic()
    address = _address(host_port)
    guests = Guests()
    try:
        server = Probed(address, framing, PATIENCE, guests=guests)
        try:
            first = server.peer("first")
        except CannotJoin as missed:
            raise CannotRun(f"{host_port}: {missed.seen}") from None
        server.tail = f"q{first.port:x}"  # nobody else there has that port
        opening = _opened(server, first)
        server.leave()
        report = Report(f"the server at {host_port}", framing, opening.notes)
        shows = shows or (lambda text: None)
        shows(report.head())
        trouble = ""
        all_stay = True
        for behaviour in BEHAVIOURS:
            trouble = trouble or _no_use([], monotonic() > started + LONGEST)
            if trouble:
                verdict = _not_tried(behaviour, framing, trouble)
            else:
                tried = Probed(
                    address,
                    framing,
                    opening.patience,
                    speaks=opening.speaks,
                    tail=f"{server.tail}{behaviour.number}",
                    guests=guests,
                    all_stay=all_stay,
                )
                verdict = _judged(behaviour, tried)
                if verdict.verdict == NOT_TRIED:
                    trouble = f"nobody can join since {behaviour.number - 1}"
                    verdict = _not_tried(behaviour, framing, trouble)
                elif verdict.verdict == MISSED and (trouble := _trouble(tried)):
                    trouble += f" since {behaviour.number}"
                    tried.all_stay = True  # to the very end
                tried.leave()
                if behaviour.name == RESETS_ARE_SURVIVED and verdict.verdict == HOLDS:
                    all_stay = False
                    guests.leave()
            report.verdicts.append(verdict)
            shows(str(verdict))
    finally:
        guests.end()
    report.seconds = monotonic() - started
    shows(report.tail())
    return report


def check_command(
    command: list[str], framing: str = "lines", shows: Shows | None = None, one_by_one: bool = False
) -> Report:
    """Try the server that this command starts: afresh for each behaviour, and stopped again.

    Args:
        command: the program and its arguments; the port it must listen on is in PORT of its environment,
            and in place of `$PORT` or `{port}` in its arguments.
        framing, shows: as for `check_address`.
        one_by_one: never two servers at once, for they would share something.

    Raises:
        CannotRun: it does not start, or does not listen there; the text has its last lines.
    """
    started = monotonic()
    shows = shows or (lambda text: None)
    try:
        with _running(command, []) as address:
            server = Probed(address, framing, PATIENCE)
            opening = _opened(server, server.peer("first"))
            server.leave()
    except NotStarted as error:
        raise CannotRun(f"{shlex.join(command)}: {error}") from None
    except CannotJoin as missed:
        raise CannotRun(f"{shlex.join(command)}: it listens, but {missed.seen}") from None
    report = Report(shlex.join(command), framing, opening.notes)
    shows(report.head())
    for verdict in _all_at_once(command, framing, opening, 1 if one_by_one else AT_A_TIME):
        report.verdicts.append(verdict)
        shows(str(verdict))
    report.seconds = monotonic() - started
    shows(report.tail())
    return report


def _all_at_once(command: list[str], framing: str, opening: Opening, at_a_time: int) -> Iterator[Verdict]:
    """The verdicts in the order of the behaviours, each as soon as it and those before it are known."""
    # Guards the three below: what is to be judged, what was, and the servers that run just now.
    changed = threading.Condition()
    to_do = list(BEHAVIOURS)
    done: dict[int, Verdict] = {}
    running: list[Launched] = []
    give_up = monotonic() + LONGEST

    def work() -> None:
        while True:
            with changed:
                if not to_do:
                    return
                behaviour = to_do.pop(0)
                trouble = _no_use(list(done.values()), monotonic() > give_up)
            verdict = (
                _not_tried(behaviour, framing, trouble)
                if trouble
                else _afresh(behaviour, command, framing, opening, running)
            )
            with changed:
                done[behaviour.number] = verdict
                changed.notify_all()

    workers = [
        threading.Thread(target=work, name=f"labkit-check-{n}", daemon=True) for n in range(at_a_time)
    ]
    for worker in workers:
        worker.start()
    try:
        for behaviour in BEHAVIOURS:
            with changed:
                while behaviour.number not in done:
                    changed.wait(1.0)
                verdict = done[behaviour.number]
            yield verdict
    finally:  # after Ctrl-C, too: without their servers, the workers soon end
        with changed:
            to_do.clear()
        for server in list(running):
            server.stop()
        for worker in workers:
            worker.join()


def _no_use(verdicts: list[Verdict], too_long: bool) -> str:
    """Why nothing more need be tried; "" if it should."""
    if too_long:
        return f"{LONGEST:g} seconds are over"
    stuck = [verdict for verdict in verdicts if verdict.because == NOBODY]
    return NOBODY if len(stuck) >= ENOUGH else ""


def _afresh(
    behaviour: Behaviour, command: list[str], framing: str, opening: Opening, running: list[Launched]
) -> Verdict:
    if framing == "raw" and behaviour.not_raw:  # no server is needed to say so
        return Verdict(behaviour, False, NOT_JUDGED, because=behaviour.not_raw)
    try:
        with _running(command, running) as address:
            server = Probed(address, framing, opening.patience, speaks=opening.speaks)
            try:
                return _judged(behaviour, server)
            finally:
                server.leave()
    except NotStarted as error:
        return _not_tried(behaviour, framing, f"the server did not start again: {error}")


@contextlib.contextmanager
def _running(command: list[str], running: list[Launched]) -> Iterator[sockets.Address]:
    """The address of a server that this starts, and stops."""
    server = Launched(command)
    running.append(server)
    try:
        yield server.address
    finally:
        server.stop()
        running.remove(server)


# --- one behaviour ---


def _judged(behaviour: Behaviour, server: Probed) -> Verdict:
    verdict, expected, seen, because = HOLDS, "", "", ""
    try:
        behaviour.judge(server)
    except NotJudged as why:
        verdict, because = NOT_JUDGED, str(why)
    except Missed as missed:
        # The first two are about joining itself.
        if isinstance(missed, CannotJoin) and behaviour.number > 2:
            verdict, because = NOT_TRIED, NOBODY
        else:
            verdict, expected, seen = MISSED, missed.expected, missed.seen
    required = behaviour.required(server.framing)
    return Verdict(behaviour, required, verdict, expected, seen, because, tuple(server.journal))


def _not_tried(behaviour: Behaviour, framing: str, why: str) -> Verdict:
    return Verdict(behaviour, behaviour.required(framing), NOT_TRIED, because=why)


def _trouble(tried: Probed) -> str:
    """Why no more can be tried on this server, after a ✗; "" if it can."""
    if not tried.calms_down(8 * SLICE):
        return "somebody who has left talks on and on"
    tried.leave()
    newcomers = replace(tried, tail=tried.tail + "y", journal=Journal())
    try:
        newcomers.people("any", "body")
    except Missed:
        return "nobody can join"
    finally:
        newcomers.leave()
    return ""


# --- before it is judged ---


def _opened(server: Probed, first: Peer) -> Opening:
    """Which dialect it speaks, and how quick it is. Of a server that answers nothing, nothing is known."""
    opening = Opening(server.framing, LEAST_PATIENCE, [])
    with contextlib.suppress(Missed):
        server.asked(first)
        ends = first.follows(LINE_END).startswith((b"\n", b"\r\n"))
        if ends and server.framing == "raw":
            opening.speaks = server.speaks = first.framing = "lines"
            opening.notes.append(
                "its request ends with LF, so it speaks lines and not raw. It is spoken to in lines here, "
                "and judged as raw; --framing lines judges it in its own dialect"
            )
        elif not ends and server.framing == "lines":
            opening.notes.append(
                "its request comes without LF, so it speaks raw and not lines. It is judged in lines all "
                "the same; --framing raw judges it in its own dialect"
            )
        server.answer(first, server.nickname("first"))
        (second,) = server.people("second", know=first)
        opening.patience = min(MOST_PATIENCE, max(LEAST_PATIENCE, ROUND_TRIPS * _round_trip(first, second)))
    return opening


def _round_trip(speaker: Peer, listener: Peer) -> float:
    """Seconds from what one says to what the other hears, the median of a few."""
    seconds = []
    for _ in range(PINGS):
        text = unique("ping")
        speaker.until_read()
        said = monotonic()
        speaker.send(text)
        if not listener.hears(text):
            raise Missed(f"{listener.name} hears {text!r}", listener.seen())
        seconds.append(monotonic() - said)
    return statistics.median(seconds)


def _address(host_port: str) -> sockets.Address:
    host, _, port = host_port.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (host and port.isascii() and port.isdigit() and 0 < int(port) <= 65535):
        raise CannotRun(f"an address is HOST:PORT, such as localhost:14901, not {host_port!r}")
    return host, int(port)
