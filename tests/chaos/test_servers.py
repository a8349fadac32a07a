"""Chaos over several servers that share their rooms, while things befall them. `run.py --servers 3` has the
long run."""

from __future__ import annotations

import pytest
from support import need_redis

from chaos.arena import run_servers
from chaos.people import Plan
from chaos.storm import Weather
from labkit.wire.messages import SERVER_LOST


@pytest.fixture(autouse=True)
def redis_is_installed() -> None:
    need_redis()


def test_no_other_client_notices_that_a_server_is_killed_and_redis_restarted() -> None:
    """Nothing lost, twice, out of order, told wrongly or left behind; each lost client is told of."""
    plan = Plan(seed=1, people=18, deliveries=15_000, ends=10, slow=False)
    outcome = run_servers(plan.shared(lease=4.0), Weather(servers=3, kills=1, restarts=1))
    assert not outcome.verdict.count, f"{outcome}\n{outcome.again}"
    assert outcome.verdict.told[SERVER_LOST] and outcome.verdict.deliveries >= plan.deliveries


def test_no_other_client_notices_that_a_server_is_cut_off_or_stopped() -> None:
    """Cut off for so long that it is given up; and for moments, in which none is."""
    plan = Plan(seed=2, people=18, deliveries=15_000, ends=10, slow=False)
    weather = Weather(servers=3, kills=0, restarts=0, stops=1, cuts=2, exiles=1)
    outcome = run_servers(plan.shared(lease=4.0), weather)
    assert not outcome.verdict.count, f"{outcome}\n{outcome.again}"
