"""The checker catches servers that are wrong (broken.py), each time, and by the right complaint."""

from __future__ import annotations

import pytest

from chaos.arena import run
from chaos.broken import ALSO, BROKEN, BrokenHub, with_hub
from chaos.people import Plan
from chaos.verdict import Kind
from labkit import Limits

SEEDS = (1, 2, 3)


# No client freezes or falls silent; and none is to be let go that this process keeps waiting for a moment.
LIMITS = Limits(silence=20.0, grace=15.0, behind=16 * 1024 * 1024, handshake=20.0)


def a_plan(seed: int, expected: set[Kind]) -> Plan:
    # What is still there is waited for; not for long where it will be there for ever.
    patience = 2.5 if expected & {Kind.TAKEN, Kind.LEFT_BEHIND} else 15.0
    return Plan(
        seed=seed,
        people=12,
        deliveries=4000,
        ends=10,
        links=0,
        slow=False,
        limits=LIMITS,
        patience=patience,
    )


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("hub", BROKEN, ids=lambda hub: hub.__name__)
def test_it_is_caught(hub: type[BrokenHub], seed: int) -> None:
    """Once it has done wrong it is told, in the right words, and with the histories that show it."""
    outcome = run(a_plan(seed, BROKEN[hub]), with_hub(hub))
    found = outcome.verdict.kinds
    assert BROKEN[hub] <= found <= BROKEN[hub] | ALSO.get(hub, set()), f"{outcome}\n{outcome.again}"


def test_the_same_server_unbroken_is_not() -> None:
    """What the broken ones share does no harm: it is the one change of each that is caught."""
    outcome = run(a_plan(1, set()), with_hub(BrokenHub))
    assert not outcome.verdict.count, f"{outcome}\n{outcome.again}"
