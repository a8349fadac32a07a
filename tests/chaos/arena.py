"""One run: a server, links with faults before it, many clients, and then the checker.

The server runs in this process, where it can be any ChatServer; or in a process of its own, which is
quicker: the clients have a processor for themselves then. Besides what was heard it is checked that the
server is afterwards as it was before: no client on its roster, no thread and no descriptor more.

Or there are several servers on one Redis, and things befall them during the run (`run_servers`).
Then it is also checked that no server wrote to stderr, and that nothing is left in Redis.
"""

from __future__ import annotations

import contextlib
import gc
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic, sleep

from chaos.checker import check
from chaos.fleet import Fleet
from chaos.hosts import Elsewhere, Here, Host, SmallBuffers
from chaos.people import People, Plan, Stuck
from chaos.storm import Storm, Weather
from chaos.verdict import Kind, Verdict
from labkit import ChatServer
from labkit.instruments.link import Link
from labkit.wire.addresses import Address

TRIES = 5
"""Runs of one plan, on a machine that is too busy for it."""


@dataclass(slots=True)
class Outcome:
    """What came of a run."""

    plan: Plan
    verdict: Verdict
    seconds: float
    ends: int
    here: bool  # the server ran in this process
    longest_turn: float  # seconds for which the clients left their sockets alone
    weather: Weather | None = None
    blows: tuple[str, ...] = ()  # what befell the servers

    @property
    def again(self) -> str:
        """The command that runs it again."""
        plan, weather = self.plan, self.weather
        shared = "" if weather is None else f"{weather} --lease {plan.limits.lease:g}"
        return (
            f"again: python tests/chaos/run.py --seeds 1 --first-seed {plan.seed} --people {plan.people} "
            f"--deliveries {plan.deliveries} --ends {plan.ends}{' --here' * self.here}{shared}"
        )

    def __str__(self) -> str:
        told = ", ".join(f"{n} {reason}" for reason, n in sorted(self.verdict.told.items()))
        head = (
            f"seed {self.plan.seed}: {self.seconds:.1f} s, {self.ends} abrupt ends; told: {told or 'none'}"
            f"; longest turn {self.longest_turn:.2f} s"
        )
        blows = [f"    {blow}" for blow in self.blows if self.verdict.count]
        return "\n".join([head, str(self.verdict), *blows])


def run(
    plan: Plan, server: type[ChatServer] | None = SmallBuffers, name: str = SmallBuffers.__name__
) -> Outcome:
    """One run of this plan, on a server of this class in this process; None: in a process of its own, by
    the name of its class (serve.py).

    Again, if this machine kept the clients waiting for so long that the server may take some for silent or
    slow: that proves nothing.
    """
    return _on_a_quiet_machine(_too_long(plan), lambda: _run(plan, server, name))


def _on_a_quiet_machine(too_long: float, run_it: Callable[[], Outcome]) -> Outcome:
    for _ in range(TRIES):
        outcome = run_it()
        if outcome.longest_turn < too_long:
            break
    return outcome


def _too_long(plan: Plan) -> float:
    """Seconds for which clients must not leave their sockets alone. The server may not have been run then,
    either, and is to be rid of one that is gone in so many."""
    return min(plan.limits.silence or math.inf, plan.limits.grace, plan.patience) / 2


@contextlib.contextmanager
def gathered(address: Address, plan: Plan, verdict: Verdict) -> Iterator[People]:
    """All who are to go to the server there, some of them through links."""
    with contextlib.ExitStack() as stack:
        links = [
            stack.enter_context(Link(address, client=f"link {n}", seed=plan.seed + n))
            for n in range(plan.links)
        ]
        people = People(address, links, plan, verdict)
        stack.callback(people.close)
        yield people


def _run(plan: Plan, server: type[ChatServer] | None, name: str) -> Outcome:
    start = monotonic()
    verdict = Verdict()
    if server is not None:
        gc.collect()  # what others have left for it is not to go meanwhile: descriptors are counted
    host: Host = (
        Elsewhere(plan.limits, server=name).started()
        if server is None
        else Here(server(port=0, limits=plan.limits))
    )
    with contextlib.ExitStack() as stack:
        stack.callback(host.stop)
        people = stack.enter_context(gathered(host.address, plan, verdict))
        try:
            people.enter()
            before = host.resources()
            people.rage(lambda: people.is_enough() and host.has_shown)
            people.settle()
            people.leave()
            people.rest()
            check_what_is_left(host, before, people, verdict)
            host.stop()
            people.farewell()
        except Stuck as stuck:
            # Histories that end in the middle prove nothing more.
            verdict.complain(Kind.STUCK, str(stuck))
        else:
            verdict = checked(people, verdict)
    return Outcome(plan, verdict, monotonic() - start, people.ends, server is not None, people.longest_turn)


def run_servers(plan: Plan, weather: Weather) -> Outcome:
    """One run of this plan on several servers, in this weather. Again, as in `run`; also if a server may
    not have been run for its lease."""
    too_long = min(_too_long(plan), plan.limits.lease / 2)
    return _on_a_quiet_machine(too_long, lambda: _run_servers(plan, weather))


def _run_servers(plan: Plan, weather: Weather) -> Outcome:
    start = monotonic()
    verdict = Verdict()
    with_links = bool(weather.cuts or weather.exiles)
    fleet = Fleet(weather.servers, with_links, plan.limits, plan.seed, weather.server)
    with contextlib.ExitStack() as stack:
        stack.callback(fleet.close)
        fleet.start()
        steady = fleet.hosts[0]
        assert steady is not None
        people = stack.enter_context(gathered(steady.address, plan, verdict))
        storm = Storm(fleet, weather, plan.limits.lease, plan.seed, people.concerned)
        people.shared = storm
        try:
            people.enter()
            before = steady.resources()
            people.rage()
            people.settle()
            people.leave()
            people.rest()
            check_what_is_left(steady, before, people, verdict)
            fleet.stop_all()
            people.farewell()
        except Stuck as stuck:
            verdict.complain(Kind.STUCK, str(stuck))
        else:
            verdict = checked(people, verdict)
            if keys := fleet.left_in_redis():
                verdict.complain(Kind.LEFT_BEHIND, f"in Redis: {', '.join(keys)}")
        if printed := fleet.complaints():
            verdict.complain(Kind.LEFT_BEHIND, f"on stderr: … {printed[-500:]}")
    seconds = monotonic() - start
    return Outcome(
        plan, verdict, seconds, people.ends, False, people.longest_turn, weather, tuple(storm.log)
    )


def checked(people: People, verdict: Verdict) -> Verdict:
    """What the checker finds, and what was found before."""
    found = check(people.lives)
    for complaint in verdict.complaints:
        found.complain(complaint.kind, complaint.what, complaint.excerpt)
    return found


def check_what_is_left(host: Host, before: tuple[int, int], people: People, verdict: Verdict) -> None:
    """Roster, threads and descriptors are as they were when only the witnesses were here."""
    witnesses = sorted(f"witness-{room}" for room in people.rooms)
    for what, is_now, should_be in (
        ("roster", host.roster, (None, witnesses)),
        ("threads and descriptors", host.resources, (before,)),
    ):
        # The server closes after the client has: a little later.
        seen = next((now for now in _looks(is_now, people.patience) if now in should_be), is_now())
        if seen not in should_be:
            verdict.complain(Kind.LEFT_BEHIND, f"{what}: {seen}, and not {should_be[-1]}")


def _looks(at: object, soon: float) -> Iterator[object]:
    """What it is, for so many seconds."""
    give_up = monotonic() + soon
    while monotonic() < give_up:
        now = at()  # type: ignore[operator]
        yield sorted(now) if isinstance(now, list) else now
        sleep(0.01)
