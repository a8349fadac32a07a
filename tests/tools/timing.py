"""How long a chapter takes to read, to predict and to run: its short path, and all of it.

    python tests/tools/timing.py            a table of all chapters
    python tests/tools/timing.py --write    and what is said of it, put right: in each opening cell, in the
                                            map (notebooks/README.md) and in the plan (TEACHING.md)
    python tests/tools/timing.py --write notebooks/00_the_whole_chat.ipynb    of this chapter

The rule is ours, of thumb, and the same for all: words at 180 a minute (readers of English non-fiction do
238, Brysbaert 2019; this is to be understood, and by many in a second language), ten seconds for a line of
code, 40 for a prediction, a minute and a half for a question with a folded answer, three minutes for *Your
turn*. What a cell prints is not counted: it is compared with what was predicted. By this rule the eleven
chapters of the first edition come to 875 minutes; walks through them took about 860.

A chapter's sections whose headings end in `(deeper)` are left out of the short path. All their cells carry
the tag `deeper`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
WORDS_A_MINUTE = 180
MINUTES_A_LINE = 10 / 60
MINUTES_A_PREDICTION = 40 / 60
MINUTES_A_QUESTION = 1.5
MINUTES_OF_ONES_OWN = 3.0
STEP = 5
"""What is said is rounded up to so many minutes."""

LIMIT = 45
"""Minutes of a short path, at most."""

PAGES = (NOTEBOOKS / "README.md", NOTEBOOKS / "TEACHING.md")
"""Where each chapter's minutes stand in a table."""

TAG = "deeper"
HEADING = re.compile(r"(#+) .*")
PROMISE = re.compile(r"^\[You are here\]\(README\.md\)\. .*$", re.MULTILINE)


def chapters() -> list[Path]:
    return sorted(NOTEBOOKS.glob("[01][0-9]_*.ipynb"))


def cells_of(path: Path, *, short: bool = False) -> list[Any]:
    """The cells of a notebook, all or those of the short path."""
    cells = nbformat.read(path, as_version=4).cells
    return [cell for cell in cells if not (short and TAG in cell.metadata.get("tags", []))]


def in_deep_sections(cells: list[Any]) -> Iterator[Any]:
    """The cells under headings that end in (deeper), each up to the next heading of its level or above."""
    level = 0
    for cell in cells:
        heading = HEADING.match(cell.source) if cell.cell_type == "markdown" else None
        if heading and (not level or len(heading[1]) <= level):
            level = len(heading[1]) if heading[0].endswith(" (deeper)") else 0
        if level:
            yield cell


def minutes(path: Path, *, short: bool = True) -> float:
    """How long this notebook takes, by the rule above."""
    total = 0.0
    for cell in cells_of(path, short=short):
        if cell.cell_type == "code":
            total += MINUTES_A_LINE * sum(bool(line.strip()) for line in cell.source.splitlines())
            continue
        total += len(cell.source.split()) / WORDS_A_MINUTE
        total += MINUTES_A_PREDICTION * cell.source.count("**Predict")
        total += MINUTES_A_QUESTION * cell.source.count("<details>")
        total += MINUTES_OF_ONES_OWN * cell.source.startswith("## Your turn")
    return total


def rounded(path: Path, *, short: bool = True) -> int:
    """The minutes that are told: up to the next five."""
    return int(-(-minutes(path, short=short) // STEP) * STEP)


def promise(path: Path) -> str:
    """The line of the opening cell that says how long the chapter takes."""
    short, whole = rounded(path), rounded(path, short=False)
    here = "[You are here](README.md). "
    if len(cells_of(path)) == len(cells_of(path, short=True)):
        return f"{here}About {whole} minutes."
    path_taken = f"Short path: about {short} minutes: all but the parts marked *deeper*."
    return f"{here}{path_taken} With these: about {whole} minutes."


def told(path: Path) -> str:
    """How long the chapter takes, as the tables say it: `45 (65)`."""
    short, whole = rounded(path), rounded(path, short=False)
    return f"{whole}" if short == whole else f"{short} ({whole})"


def in_table(path: Path, table: str) -> re.Match[str] | None:
    """What a table says of this chapter: the text up to it, then the minutes."""
    row = rf"^(\| \[[^]]*\]\({re.escape(path.name)}\) \| )(\d+(?: \(\d+\))?)"
    return re.search(row, table, re.MULTILINE)


def write_tables(path: Path) -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        if found := in_table(path, text):
            text = text[: found.start(2)] + told(path) + text[found.end(2) :]
            page.write_text(text, encoding="utf-8")


def write(path: Path) -> None:
    """Put the promise right, or at the end of the opening cell where there is none."""
    notebook = nbformat.read(path, as_version=4)
    cell = notebook.cells[0]
    if not PROMISE.search(cell.source):
        cell.source += "\n\n" + promise(path)
    for _ in range(2):  # the first line may change how long the cell is, and with it the minutes
        cell.source = PROMISE.sub(promise(path), cell.source)
        nbformat.write(notebook, path)


def main() -> None:
    total = [0.0, 0.0]
    named = [Path(name) for name in sys.argv[1:] if name != "--write"]
    for path in named or chapters():
        if "--write" in sys.argv[1:]:
            write(path)
            write_tables(path)
        both = minutes(path), minutes(path, short=False)
        total = [total[0] + both[0], total[1] + both[1]]
        print(f"{path.stem:<26} short {both[0]:5.0f}   whole {both[1]:5.0f}")
    print(f"{'all':<26} short {total[0]:5.0f}   whole {total[1]:5.0f}")


if __name__ == "__main__":
    main()
