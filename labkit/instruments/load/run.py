"""`load` puts a load on one server; `compare` puts the same on several, one after the other, in turn."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from time import perf_counter as now
from typing import Any

from labkit.instruments.load import kinds, shared
from labkit.instruments.load.clients import FLOODED, ClientPool
from labkit.instruments.load.joining import SPARE_FILES, allow_files, join
from labkit.instruments.load.plan import LoadError, Plan
from labkit.instruments.load.result import Comparison, Result
from labkit.instruments.load.servers import (
    RunningTarget,
    Target,
    Which,
    find,
    find_several,
    on_cores,
    running,
)
from labkit.instruments.load.times import Times
from labkit.probe.patience import cores

Shows = Callable[[str, float], None]
"""Is called with a server's name and how much is done, from 0 to 1."""


def load(
    server: Which = "labkit",
    *,
    servers: int | None = None,
    backplane: str | None = None,
    pid: int | None = None,
    shows: Shows | None = None,
    **plan: Any,
) -> Result:
    """Put a load on a server, and measure; or on several that share their rooms.

    Args:
        server: one of SERVERS (the load starts and stops it), "HOST:PORT", a command with `{port}` in it,
            an address, or a server that runs in this process.
        servers: start so many of labkit's own, which share their rooms, and spread the clients evenly over
            them. None: one, with whatever `backplane` says.
        backplane: what they share them on: the URL of a Redis that runs, or "own" for one that the load
            starts and stops.
        pid: the server's process, if it runs already: its processor time and memory are read there.
        shows: is called with the server's name, and how much is done, from 0 to 1.
        plan: the fields of a Plan, such as kind="steady", clients=100.

    Raises:
        ValueError: a field of the plan, or these servers, does not fit; the text says why.
        LoadError: the server cannot be measured.
    """
    the_plan = Plan(**plan)
    if servers is None and backplane is None:
        return _one(find(server), the_plan, pid, shows)
    if server != "labkit":
        raise ValueError(f"servers and backplane are for labkit's own server, not for {server!r}")
    target = find_several(1 if servers is None else servers, backplane, the_plan.clients)
    return _one(target, the_plan, None, shows)


def compare(
    servers: Sequence[Which | int],
    *,
    backplane: str | None = None,
    clients: int | Sequence[int] = Plan().clients,
    repeats: int = 3,
    shows: Shows | None = None,
    pid: int | None = None,
    **plan: Any,
) -> Comparison:
    """Put the same load on several servers: each once, then each again; the figures are medians.

    One that cannot be measured is left out, and `missing` says why.

    Args:
        servers: each as in `load`; or a number, for so many of labkit's own that share their rooms:
            `compare(["labkit", 1, 2, 4], backplane="own")`, where the first is one without a backplane.
        backplane: of the numbers among them, as in `load`.
        clients: how many; several numbers, to see how the servers grow.
        repeats: how often each.
        pid: the process of the first server, if that runs already.
        shows, plan: as in `load`.

    Raises:
        ValueError: a field of the plan, or these servers, does not fit; the text says why.
    """
    if repeats < 1:
        raise ValueError(f"repeats is at least 1, not {repeats}")
    numbers = [clients] if isinstance(clients, int) else list(clients)
    if not numbers or not servers:
        raise ValueError("compare needs at least one server, and one number of clients")
    plans = [Plan(clients=number, **plan) for number in numbers]
    if backplane is not None and not any(isinstance(server, int) for server in servers):
        raise ValueError("a backplane is for numbers of servers, and there is none among them")
    comparison = Comparison()
    targets = _targets(servers, backplane, min(numbers), comparison.missing)
    done = 0
    runs = repeats * len(plans) * len(targets)

    def shows_all(server: str, share: float) -> None:
        if shows is not None:
            shows(server, (done + min(share, 1.0)) / runs)

    for _ in range(repeats):
        for a_plan in plans:
            for which, target in list(targets.items()):
                try:
                    its_pid = pid if which == 0 else None
                    comparison.results.append(_one(target, a_plan, its_pid, shows_all))
                except LoadError as error:
                    why = str(error)
                    comparison.missing.append(why if target.label in why else f"{target.label}: {why}")
                    del targets[which]
                done += 1
    return comparison


def _targets(
    servers: Sequence[Which | int], backplane: str | None, clients: int, missing: list[str]
) -> dict[int, Target]:
    """What is meant by these, by their places; why one cannot be measured goes into `missing`."""
    found: dict[int, Target] = {}
    for place, server in enumerate(servers):
        try:
            if isinstance(server, int):
                target = find_several(server, backplane, clients)
            else:
                target = find(server)
                if server == "labkit" and any(isinstance(other, int) for other in servers):
                    target = replace(target, label=shared.NONE)
        except LoadError as error:
            missing.append(str(error))
            continue
        taken = sum(other.label.partition(" #")[0] == target.label for other in found.values())
        found[place] = replace(target, label=f"{target.label} #{taken + 1}") if taken else target
    return found


def _one(target: Target, plan: Plan, pid: int | None, shows: Shows | None) -> Result:
    # Before the server starts, which inherits the limit.
    allow_files(plan.clients + SPARE_FILES)
    how_many_cores = cores()
    with running(target, pid) as server, on_cores(slice(-1, None)) as apart, _no_collecting():
        before = server.usage()
        started = now()
        with _telling_who_died(server):
            clients, echoes = join(server.addresses, plan.clients, plan.patience)
        joined_in = now() - started
        sampled = min(plan.clients, FLOODED) if plan.kind == "flood" else plan.clients
        pool = ClientPool(clients, plan.size, sampled, echoes, target.count)
        try:
            kinds.warm_up(pool, plan)
            measured_from = pool.sent.count
            delivered_before = pool.totals()[0]
            joined, redis_before = server.usage(), server.redis_cpu()
            seconds, worked = kinds.run(
                pool, plan, lambda share: shows(target.label, share) if shows else None
            )
            after, redis_after = server.usage(), server.redis_cpu()
            delivered, lost, doubled, echoed = pool.totals()
            if lost and not pool.cut_short:
                # Perhaps a mark like ours was in something else, and these lines are still to come.
                while pool.receive(min(plan.patience, 1.0)):
                    pass
                delivered, lost, doubled, echoed = pool.totals()
            died = server.died
        finally:
            pool.close()
    return Result(
        server=target.label,
        plan=plan,
        seconds=seconds,
        said=int(pool.sent.was_sent()[measured_from:].sum()),
        deliveries=delivered - delivered_before,
        delivery=Times.of_all([pool.within, pool.crossed]),
        within=pool.within,
        crossed=pool.crossed,
        spread=pool.sent.until_last_receipt(),
        lost=lost,
        doubled=doubled,
        echoed=echoed,
        hung_up=sum(client.ended for client in clients),
        looked_at=sampled,
        joined_in=joined_in,
        died=died,
        cut_short=pool.cut_short,
        working=worked / seconds if seconds else 0.0,
        apart=apart and bool(target.command),
        before=before,
        joined=joined,
        after=after,
        servers=target.count,
        backplane=target.backplane is not None,
        redis_cpu=redis_after - redis_before,
        cores=how_many_cores,
    )


@contextlib.contextmanager
def _telling_who_died(server: RunningTarget) -> Iterator[None]:
    """Where clients fail because the server is gone, the error begins with that."""
    try:
        yield
    except LoadError as error:
        if died := server.died:
            raise LoadError(f"{died}; {error}") from None
        raise


@contextlib.contextmanager
def _no_collecting() -> Iterator[None]:
    """Collect no garbage meanwhile: that would stop the load, and look like slow deliveries."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
