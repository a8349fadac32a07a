"""What the tests of the commands share."""

from __future__ import annotations

from pathlib import Path

import pytest
from coverage import Coverage
from programs import CLEAN


@pytest.fixture(autouse=True)
def measure_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """With --cov, measure the commands too, which run in processes of their own."""
    if Coverage.current():
        config = str(Path(__file__).parents[2] / "pyproject.toml")
        monkeypatch.setenv("COVERAGE_PROCESS_START", config)
        monkeypatch.setitem(CLEAN, "COVERAGE_PROCESS_START", config)
