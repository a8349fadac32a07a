"""Servers that do not hold out against hostile clients (broken_servers.py) are caught, each time."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from support import need_redis

from chaos.arena import run
from chaos.broken_servers import FAULTS, CountsBytesAlone
from chaos.hosts import SmallBuffers
from chaos.memory import try_memory
from chaos.stops import Way, run_stop
from chaos.verdict import Kind

SEEDS = range(1, 11)
"""As many as it takes: a stop may be over before it is interrupted, and no line said just before."""

NOT_LONG = 8.0
"""Seconds that are waited for a stop that never ends."""

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="serve.py is asked to stop by signals"),
    pytest.mark.timeout(300),
]


@pytest.mark.parametrize("server", FAULTS, ids=lambda server: server.__name__)
def test_it_is_caught(server: type[SmallBuffers]) -> None:
    """By the right complaint."""
    plan, way, kinds = FAULTS[server]
    if way is Way.REDIS_HANGS:
        need_redis()
    for seed in SEEDS:
        plan = replace(plan, seed=seed)
        if way is None:
            outcome = run(plan, None, server.__name__)
        else:
            outcome = run_stop(plan, way, server.__name__, NOT_LONG)
        if kinds <= outcome.verdict.kinds:
            return
    pytest.fail(f"with none of the seeds {SEEDS} was it caught: {outcome}")


def test_memory_that_is_not_counted_is_caught() -> None:
    """By the memory of its process."""
    assert try_memory(CountsBytesAlone.__name__).kinds == {Kind.UNBOUNDED}
