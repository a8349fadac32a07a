"""Guests and strangers (guests.py, strangers.py) on the server as it is: each keeps its bounds, and no
client notices. And the plans by which broken servers are caught lead to no complaint here."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from chaos.arena import run
from chaos.broken_servers import FAULTS
from chaos.memory import try_memory
from chaos.people import Plan

pytestmark = pytest.mark.skipif(os.name == "nt", reason="serve.py is asked to stop by signals")

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


def test_what_waits_for_many_slow_readers_has_a_limit() -> None:
    """However short the lines are that wait."""
    verdict = try_memory()
    assert not verdict.count, str(verdict)
