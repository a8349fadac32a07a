"""How the tests are shared among processes; and nbval, which runs the notebooks, loaded in less time.

nbval imports jsonschema, which builds a grammar of IRIs with rfc3987_syntax: 1.5 s in each process, for a
check that no notebook needs. Without that package, jsonschema leaves the check out. So pyproject.toml keeps
pytest from loading nbval by itself, which it would do before it reads this file.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import sys
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling

sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

pytest_plugins = ["nbval.plugin"]

TOGETHER = {
    "test_access_in_browser.py",
    "test_checking.py",
    "test_grade.py",
    "test_handout.py",
    "test_notebook_in_browser.py",
    "test_starved.py",
    "test_wires_in_browser.py",
}
"""Files whose tests share what takes seconds to make: one process has them all, as it has a notebook."""

BY_EXERCISE = {"test_exercises.py", "test_students.py"}
"""Files whose tests of an exercise share its checks: one process has those."""

KERNELS = range(9_000, 10_000)
"""Ports for the kernels of notebooks, a hundred for each process: see `pytest_configure`."""


def pytest_configure() -> None:
    """Give kernels ports that nobody else is given.

    One is chosen before the kernel runs, which takes a second or more. Of those that the system gives to
    connections and to listeners on port 0, another test gets one by then: the kernel dies.
    """
    from jupyter_client.connect import LocalPortCache

    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ours = list(KERNELS[worker % 10 * 100 :][:100])
    begin = random.randrange(100)  # these tests may run twice on this machine
    turn = itertools.cycle(ours[begin:] + ours[:begin])

    def find_available_port(cache: LocalPortCache, ip: str) -> int:
        from labkit.probe.ports import is_free

        return next(filter(is_free, turn))

    LocalPortCache.find_available_port = find_available_port  # type: ignore[method-assign]


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Of pictures, compare the text, which says the same; not the letters of their style sheets."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("text/html",)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    """Give each process a test at a time, the largest groups first: a file that waits holds up no other."""
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = PurePath(nodeid.partition("::")[0])
            if path.name in BY_EXERCISE:
                name = re.search(r"\[\w+", nodeid)
                return f"{path}{name and name[0]}"
            return str(path) if path.suffix == ".ipynb" or path.name in TOGETHER else nodeid

    return Scheduling(config, log)
