"""The walkthrough as it is stored. That it runs, and says the same every time, is nbval's to show:

    pytest --nbval notebooks/

Notebook 10 needs Redis. Where there is none, its cells are skipped (conftest.py, above this folder).

After a change in a notebook, or in what one prints, run and store it again:

    python tests/tools/store_notebooks.py notebooks/00_the_whole_chat.ipynb
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import nbformat
import pytest
from programs import PATIENCE
from store_notebooks import METADATA, NOTEBOOKS, WIDGET

WALKTHROUGH = sorted(NOTEBOOKS.glob("[01][0-9]_*.ipynb"))
BOUNDS = ast.Lt | ast.LtE | ast.Gt | ast.GtE
notebooks = pytest.mark.parametrize("path", WALKTHROUGH, ids=lambda path: path.stem)


def code_cells(path: Path) -> list[Any]:
    cells = nbformat.read(path, as_version=4).cells
    return [cell for cell in cells if cell.cell_type == "code"]


@notebooks
def test_stored_as_run(path: Path) -> None:
    """A notebook is stored just as a run from top to bottom left it, without errors or stderr."""
    assert [cell.execution_count for cell in code_cells(path)] == [*range(1, len(code_cells(path)) + 1)]
    for cell in code_cells(path):
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr"


@notebooks
def test_what_is_drawn_from_figures_is_not_compared(path: Path) -> None:
    """A plot's words are its figures, and these differ from run to run."""
    for cell in code_cells(path):
        if any("image/png" in output.get("data", {}) for output in cell.outputs):
            assert "nbval-ignore-output" in cell.metadata.get("tags", []), cell.id


@notebooks
def test_no_widget_stored(path: Path) -> None:
    """No widget's state, and no reference to one: a reader without a kernel gets its text."""
    assert nbformat.read(path, as_version=4).metadata == METADATA
    for cell in code_cells(path):
        for output in cell.outputs:
            assert WIDGET not in output.get("data", {})


@notebooks
def test_nothing_stored_that_differs(path: Path) -> None:
    """No port, no address in memory and no time of day stands in an output."""
    for cell in code_cells(path):
        for output in cell.outputs:
            output.get("data", {}).pop("image/png", None)  # letters by chance
        text = json.dumps(cell.outputs)
        assert not re.search(r"127\.0\.0\.1|localhost:\d|0x[0-9a-f]{6,}|\d\d:\d\d", text), text


@notebooks
def test_every_run_is_predicted(path: Path) -> None:
    """No cell sleeps, and the text asks for predictions."""
    text = path.read_text(encoding="utf-8")
    assert "sleep(" not in "".join(cell.source for cell in code_cells(path))
    assert "**Predict:**" in text and "In the wild" in text


@notebooks
def test_values_and_no_verdicts(path: Path) -> None:
    """What was measured is shown, in a cell whose output may vary; not that it is more than some bound."""
    for cell in code_cells(path):
        for call in ast.walk(ast.parse(cell.source)):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "print":
                compared = [said for said in call.args if isinstance(said, ast.Compare)]
                assert not any(isinstance(op, BOUNDS) for said in compared for op in said.ops), cell.source


def test_no_two_cells_have_the_same_id() -> None:
    """Of all notebooks: what is kept for a cell is kept under its id. (A solution's cells are its
    exercise's, with the answers in them, so they share theirs.)"""
    paths = [*WALKTHROUGH, *sorted(NOTEBOOKS.glob("exercises/*.ipynb"))]
    ids = Counter(cell.id for path in paths for cell in nbformat.read(path, as_version=4).cells)
    assert [name for name, times in ids.items() if times > 1] == []


@pytest.mark.parametrize("require, told", [("", "skipped"), ("all", "RedisMissing")])
def test_the_tenth_without_redis(require: str, told: str, tmp_path: Path) -> None:
    """`pytest notebooks` skips it, and says how to get Redis; it fails if nothing may be missing."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n0", "-rs", "-x", WALKTHROUGH[10]],
        cwd=NOTEBOOKS.parent,
        env={**os.environ, "PATH": str(tmp_path), "LABKIT_REQUIRE": require},
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,  # a pytest, and a kernel
    )
    assert done.returncode == (1 if require else 0), done.stdout
    assert told in done.stdout and "apt-get install redis-server" in done.stdout
