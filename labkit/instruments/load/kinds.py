"""In which way a crowd talks: a function for each kind of load.

Each returns the seconds that count: from the first line until everybody has had the last one, without what
was done in between to look at what had been heard; and for how many of them the load itself worked.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Callable
from time import perf_counter as now
from time import thread_time

from labkit.instruments.load.crowd import Client, Crowd
from labkit.instruments.load.plan import BURST, Plan
from labkit.instruments.load.said import MOST_LINES

Shows = Callable[[float], None]
"""Is told from time to time how much of it is done, from 0 to 1."""

FLOOD_BUFFER = 65536
"""Bytes of a talker's send buffer in a flood."""

A_MOMENT = 0.05
"""Seconds for which one listens to the crowd before looking after something else."""


def warm_up(crowd: Crowd, plan: Plan) -> None:
    """Every talker says one line, and all hear it."""
    for talker in _talkers(crowd, plan):
        crowd.say(talker, 1)
    crowd.hear_all(plan.patience)
    crowd.begin()


def go(crowd: Crowd, plan: Plan, shows: Shows) -> tuple[float, float]:
    """Put this load on the server; returns the seconds that count, and those for which the load worked."""
    if plan.kind == "bursts":
        return _bursts(crowd, plan, shows)
    if plan.kind == "flood":
        return _flood(crowd, plan, shows)
    return _steady(crowd, plan, shows)


def _talkers(crowd: Crowd, plan: Plan) -> list[Client]:
    return crowd.clients[: plan.talking]


def _bursts(crowd: Crowd, plan: Plan, shows: Shows) -> tuple[float, float]:
    talkers = _talkers(crowd, plan)
    lines = plan.lines or BURST
    seconds = worked = 0.0
    all_came = True
    while all_came and seconds < plan.seconds:
        started, worked_before = now(), thread_time()
        for talker in talkers:
            crowd.say(talker, lines)
        all_came = crowd.hear_all(plan.patience)
        seconds += now() - started
        worked += thread_time() - worked_before
        crowd.look_if_much()
        shows(seconds / plan.seconds)
    return seconds, worked


def _flood(crowd: Crowd, plan: Plan, shows: Shows) -> tuple[float, float]:
    talkers = _talkers(crowd, plan)
    for talker in talkers:  # what waits is to wait for the server, and not in the load's own buffers
        talker.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, FLOOD_BUFFER)
    started, worked = now(), thread_time()
    crowd.flood(talkers, plan.lines or MOST_LINES // plan.talking // 2)
    give_up = started + plan.patience
    while crowd.talking and now() < min(give_up, started + (plan.seconds if not plan.lines else math.inf)):
        if crowd.hear(A_MOMENT):
            give_up = now() + plan.patience
        if plan.lines:
            shows(crowd.said.count / plan.lines / plan.talking)
        else:
            shows((now() - started) / plan.seconds)
    crowd.stop_flooding()
    crowd.hear_all(plan.patience, at_most=plan.patience)
    return now() - started, thread_time() - worked


def _steady(crowd: Crowd, plan: Plan, shows: Shows) -> tuple[float, float]:
    """A line is said when it is due, whatever has become of those before: a server that is slow is not
    given time to catch up, and its slowness not hidden."""
    talkers = _talkers(crowd, plan)
    started, worked = now(), thread_time()
    said, all_of_them = 0, round(plan.rate * plan.seconds)
    while said < all_of_them:
        due = started + said / plan.rate
        crowd.hear(min(max(0.0, due - now()), A_MOMENT))
        at = now()
        while said < all_of_them and started + said / plan.rate <= at:
            crowd.say(talkers[said % len(talkers)], 1, when=at)
            said += 1
        shows(said / all_of_them)
    crowd.hear_all(plan.patience, at_most=plan.patience)
    return now() - started, thread_time() - worked
