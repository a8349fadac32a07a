"""The checker catches servers whose backplane is wrong (broken_backplanes.py), by the right complaint."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support import need_redis

from chaos.arena import run_servers
from chaos.broken_backplanes import ALSO, BROKEN, Broken
from chaos.people import Plan
from chaos.storm import Weather

SEEDS = range(1, 21)
"""As many as it takes: what is wrong for an instant only, when Redis goes or two come at once, may meet
no client that talks then."""


@pytest.fixture(autouse=True)
def redis_is_installed() -> None:
    need_redis()


def a_plan(seed: int) -> Plan:
    plan = Plan(seed=seed, people=12, deliveries=3000, ends=4, links=0, slow=False, patience=1.0)
    return plan.shared(lease=3.0)


@pytest.mark.timeout(600)  # a seed takes 5 s, or three times as long on a busy machine, and two of three do
@pytest.mark.parametrize("server", BROKEN, ids=lambda server: server.__name__)
def test_it_is_caught(server: type[Broken]) -> None:
    """Once it has done wrong it is told, in the right words, and with the histories that show it."""
    weather, kinds = BROKEN[server]
    for seed in SEEDS:
        outcome = run_servers(a_plan(seed), replace(weather, server=server.__name__))
        found = outcome.verdict.kinds
        assert found <= kinds | ALSO.get(server, set()), f"{outcome}\n{outcome.again}"
        if kinds <= found:
            return
    pytest.fail(f"with none of the seeds {SEEDS} was it caught")


def test_the_same_backplane_unbroken_is_not() -> None:
    """What the broken ones share does no harm, in all weathers."""
    weather = Weather(servers=2, kills=1, restarts=2, server=Broken.__name__)
    outcome = run_servers(a_plan(1), weather)
    assert not outcome.verdict.count, f"{outcome}\n{outcome.again}"
