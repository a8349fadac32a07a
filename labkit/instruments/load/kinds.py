"""In which way clients talk: a function for each kind of load.

Each returns the seconds that count: from the first line until all have the last one, without what the load
did in between to look at what had come; and for how many of them the load itself worked.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Callable
from time import perf_counter as now
from time import thread_time

from labkit.instruments.load.clients import ClientPool, LoadClient
from labkit.instruments.load.plan import ROUNDS, Plan
from labkit.instruments.load.receipts import MOST_LINES

Progress = Callable[[float], None]
"""Is called from time to time with how much is done, from 0 to 1."""

FLOOD_BUFFER = 65536
"""Bytes of a talker's send buffer in a flood."""

A_MOMENT = 0.05
"""Seconds for which the load receives before it looks at the clock again."""


def warm_up(pool: ClientPool, plan: Plan) -> None:
    """Every talker says one line, and all hear it."""
    for talker in _talkers(pool, plan):
        pool.send_lines(talker, 1)
    pool.receive_all(plan.patience)
    pool.start_measuring()


def run(pool: ClientPool, plan: Plan, progress: Progress) -> tuple[float, float]:
    """Put this load on the server; returns the seconds that count, and those for which the load worked."""
    of_kind = {**dict.fromkeys(ROUNDS, _bursts), "steady": _steady, "flood": _flood}
    return of_kind[plan.kind](pool, plan, progress)


def _talkers(pool: ClientPool, plan: Plan) -> list[LoadClient]:
    return pool.clients[: plan.talking]


def _bursts(pool: ClientPool, plan: Plan, progress: Progress) -> tuple[float, float]:
    talkers = _talkers(pool, plan)
    lines = plan.lines_a_round
    seconds = worked = 0.0
    all_came = True
    while all_came and seconds < plan.seconds:
        started, worked_before = now(), thread_time()
        for talker in talkers:
            pool.send_lines(talker, lines)
        all_came = pool.receive_all(plan.patience)
        seconds += now() - started
        worked += thread_time() - worked_before
        pool.count_receipts_if_many()
        progress(seconds / plan.seconds)
    return seconds, worked


def _flood(pool: ClientPool, plan: Plan, progress: Progress) -> tuple[float, float]:
    talkers = _talkers(pool, plan)
    for talker in talkers:  # what waits is to wait for the server, and not in the load's own buffers
        talker.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, FLOOD_BUFFER)
    started, worked = now(), thread_time()
    pool.start_flood(talkers, plan.lines or MOST_LINES // plan.talking // 2)
    give_up = started + plan.patience
    while pool.talking and now() < min(give_up, started + (plan.seconds if not plan.lines else math.inf)):
        if pool.receive(A_MOMENT):
            give_up = now() + plan.patience
        if plan.lines:
            progress(pool.sent.count / plan.lines / plan.talking)
        else:
            progress((now() - started) / plan.seconds)
    pool.stop_flood()
    pool.receive_all(plan.patience, at_most=plan.patience)
    return now() - started, thread_time() - worked


def _steady(pool: ClientPool, plan: Plan, progress: Progress) -> tuple[float, float]:
    """A line is said when it is due, whatever has become of those before: a slow server gets no time to
    catch up, and its slowness shows."""
    talkers = _talkers(pool, plan)
    started, worked = now(), thread_time()
    said, all_of_them = 0, round(plan.rate * plan.seconds)
    while said < all_of_them:
        due = started + said / plan.rate
        pool.receive(min(max(0.0, due - now()), A_MOMENT))
        at = now()
        while said < all_of_them and started + said / plan.rate <= at:
            pool.send_lines(talkers[said % len(talkers)], 1, when=at)
            said += 1
        progress(said / all_of_them)
    pool.receive_all(plan.patience, at_most=plan.patience)
    return now() - started, thread_time() - worked
