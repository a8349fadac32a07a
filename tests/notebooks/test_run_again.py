"""Run All, and Run All again in the same kernel: as a reader does who has got lost.

Two notebooks wait for timeouts or move much data; they take a minute, and run with LABKIT_LONG=1.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from store_notebooks import NOTEBOOKS

LONG = ("05", "07")
NUMBERS = [
    pytest.param(
        number,
        marks=pytest.mark.skipif(
            number in LONG and not os.environ.get("LABKIT_LONG"),
            reason="takes long; run with LABKIT_LONG=1",
        ),
    )
    for number in ("00", "01", "02", "03", "04", "05", "06", "07")
]


def run(sources: list[str]) -> list[str]:
    """The outputs of these cells, run one after the other in one kernel. An exception fails the test."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    client = NotebookClient(notebook, timeout=100, resources={"metadata": {"path": str(NOTEBOOKS)}})
    client.execute()
    # What is printed may come in several pieces; the threads of a server are numbered as clients come.
    said = ["".join(map(text_of, cell.outputs)) for cell in notebook.cells]
    return [re.sub(r"labkit-handle-\d+", "labkit-handle", text) for text in said]


def text_of(output: Any) -> str:
    return str(output.get("text") or output.get("data", {}).get("text/plain"))


def cells_of(number: str) -> list[Any]:
    path: Path
    (path,) = NOTEBOOKS.glob(f"{number}_*.ipynb")
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("number", NUMBERS)
def test_run_all_twice(number: str) -> None:
    """The second time every cell says what it said the first time, threads and nicknames included; but for
    those whose values vary."""
    cells = cells_of(number)
    sources = [cell.source for cell in cells]
    outputs = run([*sources, *sources])
    for cell, once, again in zip(cells, outputs[: len(cells)], outputs[len(cells) :], strict=True):
        assert once == again or "nbval-ignore-output" in cell.metadata.get("tags", []), cell.source


def test_cells_run_again_and_out_of_order() -> None:
    """The server's cell, and the board's, twice each, and the server's after the board's: a new board, and
    our own threads are counted."""
    server, count, people, count_again, *_ = [cell.source for cell in cells_of("00")]
    once = run([server, count, people, count_again])
    again = run([server, server, count, people, people, count_again, server, count, people, count_again])
    assert again[2:4] == once[1:3]
    assert again[4:6] == once[2:4]
    assert again[6:] == once
