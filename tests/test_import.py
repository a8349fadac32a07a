"""`import labkit`: quick, and alone."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("IPython", "asyncio", "ipywidgets", "jupyter", "jupyterlab", "matplotlib", "prompt_toolkit")


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True)


def test_import_pulls_in_neither_jupyter_nor_anything_heavy() -> None:
    """Plain scripts pay for what they use, and no more."""
    loaded = python("-c", "import sys, labkit; print(*sys.modules)").stdout.split()
    assert not {name.partition(".")[0] for name in loaded} & set(HEAVY)


def test_import_takes_under_100_ms() -> None:
    """Of processor time, and the best of several: what else the machine does is not labkit's."""
    script = "from time import process_time as now; start = now(); import labkit; print(now() - start)"
    took = (float(python("-c", script).stdout) for _ in range(30))
    assert any(seconds < 0.1 for seconds in took)
