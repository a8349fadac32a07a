"""A server that is stopped in the middle of everything (stops.py) ends, and all have heard it all."""

from __future__ import annotations

import os

import pytest
from support import need_redis

from chaos.broken_servers import STOPPED
from chaos.stops import Way, run_stop


@pytest.mark.parametrize("way", Way, ids=lambda way: way.name.lower())
def test_it_stops_and_no_client_was_told_less_than_another(way: Way) -> None:
    """Whatever clients do meanwhile; nothing is left, and each line that one heard all have heard."""
    if os.name == "nt":
        pytest.skip("needs signals")
    if way in (Way.REDIS_HANGS, Way.REDIS_IS_GONE):
        need_redis()
    outcome = run_stop(STOPPED, way)
    assert not outcome.verdict.count, f"{outcome}\n{outcome.blows}"
    assert outcome.verdict.deliveries
