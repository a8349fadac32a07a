"""Which notebooks need what may be missing. Their cells are tests, by nbval.

It stands here, and not in tests/, so that `pytest notebooks` finds it, too.
"""

from __future__ import annotations

import os

import pytest

from labkit.instruments import redis_server

NOTEBOOKS_WITH_REDIS = {"10_more_than_one_machine.ipynb"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the cells of these where no redis-server is installed. With LABKIT_REQUIRE=all they run, and the
    first that needs it fails, and says what is missing."""
    if redis_server.program() or os.environ.get("LABKIT_REQUIRE") == "all":
        return
    for item in items:
        if item.path.name in NOTEBOOKS_WITH_REDIS:
            item.add_marker(pytest.mark.skip(redis_server.MISSING))
