"""What a reader is told to try runs: every *Your turn* cell, with its `#` taken away.

A whole notebook takes up to a minute. So of the cells before it, only those statements are run that make a
name which it uses: a name that no cell makes is a NameError here, as it is for the reader.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from test_notebooks import WALKTHROUGH
from test_run_again import run

from labkit.instruments import redis_server

COMMENTED_OUT = re.compile(r"^# ( *)(?=\S)", re.MULTILINE)


def uncommented(source: str) -> str:
    """The cell as it is once the reader has taken the `#` away; a remark among the code stays one."""
    tried = COMMENTED_OUT.sub(r"\1", source)
    try:
        ast.parse(tried)
    except SyntaxError as error:
        raise AssertionError(f"with its # taken away it is no Python: {error}\n{tried}") from None
    return tried


def made(statement: ast.stmt) -> set[str]:
    """The names that a statement makes. `_ = file.write(…)` makes `file` what it is to be."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {(name.asname or name.name).partition(".")[0] for name in statement.names}
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return {statement.name}
    nodes = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
    names = {node.id for node in nodes if stores(node)}
    if names == {"_"}:
        return {node.id for node in nodes} - {"_"}
    return names if isinstance(statement, ast.Assign | ast.AnnAssign) else set()


def stores(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store)


def used(*statements: ast.stmt) -> set[str]:
    """The names that these read, but for those that they made before."""
    wanted: set[str] = set()
    there: set[str] = set()
    for statement in statements:
        nodes = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
        inside = {node.id for node in nodes if stores(node)}
        wanted |= {node.id for node in nodes if not stores(node)} - there - inside
        there |= made(statement) | inside
    return {name for name in wanted if not hasattr(builtins, name)}


def needed(before: list[str], cells: list[str]) -> list[str]:
    """The statements of the cells before that these cells need, in order."""
    statements = [statement for cell in cells for statement in ast.parse(cell).body]
    wanted, own = used(*statements), set().union(*map(made, statements))
    kept: list[str] = []
    for source in reversed(before):
        for statement in reversed(ast.parse(source).body):
            if made(statement) & wanted:
                # What a function reads, it reads when these cells call it: theirs, if they make it.
                later = isinstance(statement, ast.FunctionDef | ast.ClassDef)
                wanted |= used(statement) - (own if later else set())
                kept.insert(0, ast.unparse(statement))
    return kept


def your_turn(path: Path) -> Iterator[tuple[list[str], list[str]]]:
    """The code before the part of this notebook that is to be tried, and the code of that part."""
    before: list[str] = []
    turn: list[str] = []
    reached = False
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            (turn if reached else before).append(cell.source)
        elif cell.source.startswith("## Your turn"):
            reached = True
        elif reached and cell.source.startswith("## "):
            break
    if reached:
        yield before, turn


TURNS = [(path, before, turn) for path in WALKTHROUGH for before, turn in your_turn(path)]


def test_they_are_found() -> None:
    """So many notebooks have such a part; in all of them something is commented out."""
    assert [path.name[:2] for path, _, _ in TURNS] == ["00", "05", "07", "08", "09", "10"]
    assert all(any(uncommented(cell) != cell for cell in turn) for _, _, turn in TURNS)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("path, before, turn", TURNS, ids=[path.stem for path, _, _ in TURNS])
def test_it_runs(path: Path, before: list[str], turn: list[str]) -> None:
    """In a kernel of its own, from the first `#` to the last: no exception, and nothing is left running."""
    if path.name.startswith("10") and not redis_server.program():
        pytest.skip(redis_server.MISSING)
    cells = [uncommented(source) for source in turn]
    run(["\n".join(needed(before, cells)), *cells])


def test_a_name_that_no_cell_makes_is_found() -> None:
    """`board` of a notebook that never imports it."""
    assert needed(["import os", "x = os.getcwd()"], ["print(x, board)"]) == ["import os", "x = os.getcwd()"]
    assert uncommented("# people = board(server)\n# people") == "people = board(server)\npeople"
    assert uncommented("# for n in x:\n#     print(n)") == "for n in x:\n    print(n)"
