"""Guests and strangers (guests.py, strangers.py) on the server as it is: no client notices, and each keeps its
bounds. And the plans by which broken servers are caught lead to no complaint here."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaos.arena import run
from chaos.broken_servers import FAULTS
from chaos.people import Plan

PLANS = dict.fromkeys(plan for plan, way, _ in FAULTS.values() if way is None)


def test_no_other_client_notices_all_of_them() -> None:
    """All at once, beside those who only chat, vanish and come back."""
    outcome = run(Plan(seed=1, deliveries=20_000, ends=20).with_guests(), None)
    assert not outcome.verdict.count, f"{outcome}\n{outcome.again}"


@pytest.mark.parametrize("plan", PLANS)
def test_a_server_without_the_fault_is_not_complained_of(plan: Plan) -> None:
    """What is looked for is the fault, and not how the plan goes."""
    outcome = run(replace(plan, seed=1), None)
    assert not outcome.verdict.count, f"{outcome}\n{outcome.again}"
