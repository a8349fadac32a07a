"""Each chapter has a short path: what it leaves out is marked, and it runs without that."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import timing
from test_run_again import run

from labkit.exercises.catalogue import NAMES, task_called
from labkit.exercises.exercise import Exercise
from labkit.instruments import redis_server

CHAPTERS = timing.chapters()
chapters = pytest.mark.parametrize("path", CHAPTERS, ids=[path.stem for path in CHAPTERS])


@chapters
def test_it_is_short(path: Path) -> None:
    """At most 45 minutes, and the opening cell says how long, and how long with the rest."""
    assert timing.minutes(path) <= timing.LIMIT
    promises = timing.PROMISE.findall(timing.cells_of(path)[0].source)
    assert promises == [timing.promise(path)], "run: python tests/tools/timing.py --write"


@chapters
def test_the_tables_say_how_long(path: Path) -> None:
    """The map and the teachers' plan."""
    for page in timing.PAGES:
        found = timing.in_table(path, page.read_text(encoding="utf-8"))
        assert found and found[2] == timing.told(path), f"{page}: run python tests/tools/timing.py --write"


@pytest.mark.parametrize("name", [*NAMES, "judge"])
def test_the_tables_name_each_exercise(name: str) -> None:
    """In the row of its chapter, with a link to its notebook."""
    task = task_called(name)
    chapter = task.chapter if isinstance(task, Exercise) else "capstone"
    for page in timing.PAGES:
        rows = page.read_text(encoding="utf-8").splitlines()
        (row,) = [row for row in rows if f"](exercises/{chapter}.ipynb)" in row]
        assert name in re.findall(r"\w+", row.rpartition("](exercises/")[0].rpartition("[")[2]), row


@chapters
def test_what_is_deeper_is_marked(path: Path) -> None:
    """By the heading, for those who read; by a tag of each cell, for what runs them. And the heading is
    followed by what one gains."""
    cells = timing.cells_of(path)
    deep = list(timing.in_deep_sections(cells))
    tagged = [cell for cell in cells if timing.TAG in cell.metadata.get("tags", [])]
    assert [cell.id for cell in tagged] == [cell.id for cell in deep]
    for cell in deep:
        heading = timing.HEADING.match(cell.source) if cell.cell_type == "markdown" else None
        if heading and heading[0].endswith(" (deeper)"):
            gain = cell.source.split("\n\n")[1]
            assert 3 < len(gain.split()) < 40 and "**Predict" not in gain, gain


@chapters
@pytest.mark.timeout(240)
def test_it_runs_alone(path: Path) -> None:
    """The short path needs nothing that a deep part makes: its cells, from the first to the last, raise
    nothing."""
    sources = [cell.source for cell in timing.cells_of(path, short=True) if cell.cell_type == "code"]
    if len(sources) == sum(cell.cell_type == "code" for cell in timing.cells_of(path)):
        return  # it has no deep part: nbval runs it
    if path.name.startswith("10") and not redis_server.program():
        pytest.skip(redis_server.MISSING)
    run(sources)


@chapters
def test_it_begins_with_earlier_chapters(path: Path) -> None:
    """With two questions about them; each answer is folded away, and leads to its chapter."""
    if path == CHAPTERS[0]:
        return
    (begin,) = [
        cell.source for cell in timing.cells_of(path)[:2] if cell.source.startswith("## Before you begin\n")
    ]
    _, *answers = begin.split("<details><summary>Answer</summary>\n\n")
    assert len(answers) == 2
    for answer in answers:
        linked = [other for other in CHAPTERS if f"]({other.name}" in answer.partition("</details>")[0]]
        assert linked and all(other < path for other in linked), answer
