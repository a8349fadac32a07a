"""Chaos, and no other client notices: a few seeds of it. `run.py` has the long run."""

from __future__ import annotations

import pytest

from chaos.arena import run
from chaos.people import Plan
from labkit.wire.messages import HUNG_UP, QUIT, TOO_SLOW, VANISHED, WENT_SILENT


@pytest.mark.parametrize("seed", range(2))
def test_no_other_client_notices(seed: int) -> None:
    """The server in this process: nothing lost, twice, out of order, told wrongly or left behind."""
    outcome = run(Plan(seed=seed, deliveries=20_000, ends=30))
    assert not outcome.verdict.count, f"{outcome}\n{outcome.again}"


def test_no_other_client_notices_with_a_server_elsewhere() -> None:
    """The same in two processes, where they do not wait for each other's interpreter."""
    outcome = run(Plan(seed=2, deliveries=60_000, ends=30), None)
    assert not outcome.verdict.count, f"{outcome}\n{outcome.again}"


def test_all_ways_of_leaving_are_told() -> None:
    """Clients do leave in all these ways; so that what was proven is not proven of nothing."""
    told: set[str] = set()
    for seed in range(3, 13):  # in the first, as a rule; but who is too slow, the machine decides, too
        plan = Plan(seed=seed, deliveries=30_000, ends=60)
        outcome = run(plan, None)
        assert not outcome.verdict.count, f"{outcome}\n{outcome.again}"
        assert outcome.verdict.deliveries >= plan.deliveries
        told |= set(outcome.verdict.told)
        if told >= {QUIT, HUNG_UP, VANISHED, WENT_SILENT, TOO_SLOW}:
            break
    assert told == {QUIT, HUNG_UP, VANISHED, WENT_SILENT, TOO_SLOW}
