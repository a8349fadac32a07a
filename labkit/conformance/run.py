"""A run of all behaviours against any server, in one of two ways.

At an address there is one server, which others may use: the behaviours are tried one after the other, and
once no client can join any more, the rest is not tried. A command is started afresh for each behaviour,
several at a time, so that no fault hides another.

Here are the order of things and how long they may take.
"""

from __future__ import annotations

import contextlib
import textwrap
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from time import monotonic

from labkit.conformance.behaviour import Behaviour
from labkit.conformance.behaviours import BEHAVIOURS
from labkit.conformance.greeting import CannotRun
from labkit.conformance.limit import Limit, TooLong
from labkit.conformance.opening import Opening, opened
from labkit.conformance.report import (
    HOLDS,
    MISSED,
    NOT_JUDGED,
    NOT_OFFERED,
    NOT_TRIED,
    Report,
    Verdict,
)
from labkit.conformance.server_under_test import (
    CannotJoin,
    Guests,
    NotJudged,
    NotOffered,
    ServerUnderTest,
    letters,
)
from labkit.journal import Journal
from labkit.probe import commands, kernel
from labkit.probe.deadline import SLICE, Deadline, wait
from labkit.probe.failed import CheckFailed
from labkit.probe.launch import Launched, NotStarted
from labkit.probe.patience import LATE, Patience, cores, too_busy
from labkit.probe.raw_client import REQUEST, TIMEOUT
from labkit.wire import sockets

AT_A_TIME = 8
"""Servers that are tried at the same time."""

LONGEST = 60.0
"""Seconds that all behaviours may take, not counting those in which other programs had all processors. A
server that answers takes a tenth of that."""

LONGEST_TRY = 30.0
"""Seconds that one behaviour may take, by the server's clock. Most take one; a ✗ waits a few timeouts."""

DYING = 0.3
"""Seconds that a server's process may take to end, after a ✗."""

TAIL = 5
"""Letters behind each nickname at an address, where others may have the same."""

OVER = f"{LONGEST:g} seconds are over"

NOBODY = "nobody can join and be heard"

ENOUGH = 2
"""Behaviours, each on a new server, that no client could join for: then no other is tried."""

ATTEMPTS = 3
"""Times that a server is started for a behaviour that it misses on a machine that is too busy to tell."""

RESETS_ARE_SURVIVED = "nobody is skipped when several die"
"""Once this behaviour holds, clients may leave with RST."""

Show = Callable[[str], None]


def _show_nothing(text: str) -> None:
    pass


# --- the two ways ---


def check_address(
    host_port: str,
    framing: str = "lines",
    show: Show = _show_nothing,
    request: str = REQUEST,
    ladder: int | None = None,
) -> Report:
    """Try the server that listens there.

    Args:
        host_port: such as "localhost:14901" or "[::1]:14901".
        framing: "lines" or "raw": what it is to speak.
        show: is given the text of the report, piece by piece, as soon as it is known.
        request: how it asks for a nickname; "": it does not, and the client speaks first.
        ladder: the number of the behaviour whose ladder the text ends with; None: that of the worst ✗.

    Raises:
        CannotRun: that is no address, or no server listens there.
    """
    started = monotonic()
    address = _address(host_port)
    guests = Guests()
    machine = Patience(())
    its_own = machine
    try:
        over = Deadline(LONGEST, machine)
        server = ServerUnderTest(
            address, framing, TIMEOUT, request=request, guests=guests, tail=letters(TAIL), clock=machine
        )
        try:
            first = server.connect("first")
        except CannotJoin as failed:
            raise CannotRun(f"{host_port}: {failed.seen}") from None
        if kernel.on_this_machine(first.sock) and (pid := kernel.listener(address[1])):
            its_own = server.clock = first.clock = Patience((pid,))
        opening = opened(server, first, host_port)
        server.leave()
        report = Report(f"the server at {host_port}", framing, opening.notes, ladder_of=ladder)
        verdicts = _one_after_the_other(server, opening, guests, over, its_own)
        return report.filled(verdicts, show, started)
    finally:
        guests.end()
        machine.stop()
        its_own.stop()


def check_command(
    command: list[str],
    framing: str = "lines",
    show: Show = _show_nothing,
    one_by_one: bool = False,
    request: str = REQUEST,
    ladder: int | None = None,
    only: Collection[int] = (),
) -> Report:
    """Try the server that this command starts: afresh for each behaviour, and stopped again.

    Args:
        command: the program and its arguments; the port it must listen on is in PORT of its environment,
            and in place of `$PORT` or `{port}` in its arguments.
        framing, show, request, ladder: as for `check_address`.
        one_by_one: never two servers at once, because they would share something.
        only: the numbers of the behaviours to try; none: all.

    Raises:
        CannotRun: it does not start, or does not listen there; the text has its last lines.
    """
    started = monotonic()
    try:
        with _running(command, Running()) as (launched, clock):
            server = ServerUnderTest(launched.address, framing, TIMEOUT, request=request, clock=clock)
            opening = opened(server, server.connect("first"), commands.join(command))
            server.leave()
    except NotStarted as error:
        raise CannotRun(f"{commands.join(command)}: {error}") from None
    except CannotJoin as failed:
        raise CannotRun(f"{commands.join(command)}: it listens, but {failed.seen}") from None
    report = Report(commands.join(command), framing, opening.notes, ladder_of=ladder)
    server = replace(server, timeout=opening.timeout, speaks=opening.speaks, form=opening.form)
    chosen = sorted((b for b in BEHAVIOURS if not only or b.number in only), key=lambda b: b.number)
    verdicts = _all_at_once(chosen, command, server, 1 if one_by_one else AT_A_TIME)
    return report.filled(verdicts, show, started)


# --- at an address: one after the other ---


def _one_after_the_other(
    server: ServerUnderTest, opening: Opening, guests: Guests, over: Deadline, its_own: Patience
) -> Iterator[Verdict]:
    """The verdicts on a server that goes on, in order; after a fault it does not survive, "not tried"."""
    trouble, all_stay = "", True
    for behaviour in BEHAVIOURS:
        trouble = trouble or _no_use([], over.passed())
        if trouble:
            yield _not_tried(behaviour, server.framing, trouble)
            continue
        tried = replace(
            server,
            timeout=opening.timeout,
            speaks=opening.speaks,
            form=opening.form,
            tail=letters(TAIL),
            all_stay=all_stay,
            journal=Journal(),
        )
        its_own.late = 0.0
        verdict = _judged(behaviour, tried, over)
        unsure = verdict.verdict == MISSED or verdict.because == NOBODY
        if unsure and its_own.late >= LATE:
            verdict = replace(verdict, verdict=NOT_JUDGED, because=too_busy(its_own.late), too_busy=True)
        if verdict.because == NOBODY:
            trouble = f"{NOBODY} since {behaviour.number - 1}"
            verdict = _not_tried(behaviour, server.framing, trouble)
        elif (verdict.verdict == MISSED or verdict.too_busy) and (trouble := _trouble(tried)):
            trouble += f" since {behaviour.number}"
            tried.all_stay = True  # to the very end
        tried.leave()
        if behaviour.name == RESETS_ARE_SURVIVED and verdict.verdict == HOLDS:
            all_stay = False
            guests.leave()
        yield verdict


# --- a command: started afresh, several at a time ---


class Running(list[tuple[Launched, Patience]]):
    """The servers that are tried just now, each with its clock. Needs no lock: each worker appends its own,
    and removes it."""

    used = 0.0
    """Seconds of processor time that those before them have used …"""

    def work(self) -> float:
        """… and these, too."""
        return self.used + sum(clock.used for _, clock in list(self))


def _all_at_once(
    behaviours: list[Behaviour], command: list[str], server: ServerUnderTest, at_a_time: int
) -> Iterator[Verdict]:
    """The verdicts in the order of their numbers, each as soon as it and those before it are known."""
    changed = threading.Condition()  # guards to_do and done
    to_do = behaviours.copy()
    done: dict[int, Verdict] = {}
    running = Running()
    machine = Patience(())
    # While the servers themselves leave no processor free, the machine's clock hardly advances.
    over = Deadline(LONGEST, lambda: machine() + running.work() / cores())

    broken: list[BaseException] = []  # a fault of ours

    def work() -> None:
        try:
            work_on()
        except BaseException as error:
            broken.append(error)
            with changed:
                changed.notify_all()

    def work_on() -> None:
        while True:
            with changed:
                if not to_do or broken:
                    return
                behaviour = to_do.pop(0)
                trouble = _no_use(list(done.values()), over.passed())
            verdict = (
                _not_tried(behaviour, server.framing, trouble)
                if trouble
                else _surely(behaviour, command, server, running, over)
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
        for behaviour in behaviours:
            with changed:
                while behaviour.number not in done:
                    if broken:
                        raise broken[0]
                    changed.wait(1.0)
                verdict = done[behaviour.number]
            yield verdict
    finally:  # after Ctrl-C, too: without their servers, the workers soon end
        with changed:
            to_do.clear()
        for launched, _ in list(running):
            launched.stop()
        for worker in workers:
            worker.join()
        machine.stop()


def _no_use(verdicts: list[Verdict], too_long: bool) -> str:
    """Why nothing more need be tried; "" if more should."""
    if too_long:
        return OVER
    stuck = [verdict for verdict in verdicts if verdict.because == NOBODY]
    return NOBODY if len(stuck) >= ENOUGH else ""


def _surely(
    behaviour: Behaviour,
    command: list[str],
    server: ServerUnderTest,
    running: Running,
    over: Deadline | None = None,
) -> Verdict:
    """The verdict; a ✗ that luck may have a part in only if it comes twice."""
    verdict = _afresh(behaviour, command, server, running, over)
    if verdict.verdict == MISSED and behaviour.luck:
        verdict = _afresh(behaviour, command, server, running, over)
    return verdict


def _afresh(
    behaviour: Behaviour,
    command: list[str],
    server: ServerUnderTest,
    running: Running,
    over: Deadline | None = None,
) -> Verdict:
    if server.framing == "raw" and behaviour.not_raw:  # no server is needed to say so
        return Verdict(behaviour, False, NOT_JUDGED, because=behaviour.not_raw)
    try:
        for _ in range(ATTEMPTS):
            with _running(command, running) as (launched, clock):
                tried = replace(server, address=launched.address, journal=Journal(), clock=clock)
                try:
                    # Before all leave at once: that may end a server, and is not what was tried.
                    verdict = _judged(behaviour, tried, over)
                    if verdict.verdict != HOLDS:  # it may be about to die of it
                        wait(launched.ends, DYING, clock)
                    verdict = _with_its_end(verdict, launched)
                finally:
                    tried.leave()
            if not (verdict.verdict == MISSED or verdict.because == NOBODY) or clock.late < LATE:
                return verdict
    except NotStarted as error:
        return _not_tried(behaviour, server.framing, f"the server did not start again: {error}")
    return replace(verdict, verdict=NOT_JUDGED, because=too_busy(clock.late), too_busy=True)


def _with_its_end(verdict: Verdict, launched: Launched) -> Verdict:
    """The verdict, and whether the server has died of it: then nothing holds."""
    if (status := launched.ended) is not None:
        died = f"by signal {-status}" if status < 0 else f"with status {status}"
        printed = launched.last_lines()
        if verdict.verdict in (HOLDS, NOT_JUDGED, NOT_OFFERED, NOT_TRIED):
            verdict = replace(
                verdict, verdict=MISSED, because="", expected="the server goes on", seen="its process ended"
            )
        return replace(verdict, died=died, printed=textwrap.dedent(printed.strip("\n")))
    if verdict.verdict == MISSED:
        return replace(verdict, printed=textwrap.dedent(launched.last_lines().strip("\n")))
    return verdict


@contextlib.contextmanager
def _running(command: list[str], running: Running) -> Iterator[tuple[Launched, Patience]]:
    """A server that this starts, and stops; and its clock."""
    server = Launched(command)
    clock = Patience((server.pid,))
    running.append((server, clock))
    try:
        yield server, clock
    finally:
        clock.stop()
        server.stop()
        running.remove((server, clock))
        running.used += clock.used


# --- one behaviour ---


def _judged(behaviour: Behaviour, server: ServerUnderTest, over: Deadline | None = None) -> Verdict:
    verdict, expected, seen, because, clue = HOLDS, "", "", "", ""
    try:
        with Limit(server.clock, LONGEST_TRY, over) as server.clock:
            behaviour.judge(server)
    except NotJudged as why:
        verdict, because = NOT_JUDGED, str(why)
    except TooLong:
        verdict, because = NOT_TRIED, OVER
    except NotOffered as why:
        verdict, because = NOT_OFFERED, str(why)
    except CheckFailed as failed:
        # The first two are about joining itself.
        if isinstance(failed, CannotJoin) and behaviour.number > 2:
            verdict, because = NOT_TRIED, NOBODY
        else:
            verdict, expected, seen, clue = MISSED, failed.expected, failed.seen, failed.clue
    required = behaviour.required(server.framing)
    events = tuple(server.journal)
    return Verdict(behaviour, required, verdict, expected, seen, because, events, clue=clue)


def _not_tried(behaviour: Behaviour, framing: str, why: str) -> Verdict:
    return Verdict(behaviour, behaviour.required(framing), NOT_TRIED, because=why)


def _trouble(tried: ServerUnderTest) -> str:
    """Why no more can be tried on this server, after a ✗; "" if it can."""
    if not tried.calms_down(8 * SLICE):
        return "a client that has left talks on and on"
    tried.leave()
    newcomers = replace(tried, tail=letters(TAIL), journal=Journal())
    try:
        newcomers.join("any", "body")
    except CheckFailed:
        return NOBODY
    finally:
        newcomers.leave()
    return ""


def _address(host_port: str) -> sockets.Address:
    host, _, port = host_port.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (host and port.isascii() and port.isdigit() and 0 < int(port) <= 65535):
        raise CannotRun(f"an address is HOST:PORT, such as localhost:14901, not {host_port!r}")
    return host, int(port)
