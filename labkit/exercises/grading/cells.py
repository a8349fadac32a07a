"""What of a notebook belongs to an exercise: the last definition of the wanted name, and all that it needs.

A notebook also holds experiments: cells that connect somewhere, wait, or fail. None of them is run. Taken
are the statements that bind a name that the definition uses, directly or through others, in the order of
the cells: imports, helpers, constants. What a cell's magics (`%…`, `!…`, `…?`) do is left out.
"""

from __future__ import annotations

import ast
import dis
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import CodeType
from typing import Any


class NoCode(Exception):
    """This notebook holds no Python code; the text says so."""


@dataclass(slots=True)
class Statement:
    """A statement at the top level of a cell.

    Args:
        cell: the number of its cell, from 0.
        text: its source.
        binds: the names that it gives a value to.
        changes: the names whose value it changes: `Thing.method = f`, `table[key] = 1`, `names.append(…)`.
        uses: the global names that it, or a function in it, reads.
        always: it is taken in any case.
        defines: it is an import, or defines a function or class.
    """

    cell: int
    text: str
    binds: set[str] = field(default_factory=set)
    changes: set[str] = field(default_factory=set)
    uses: set[str] = field(default_factory=set)
    always: bool = False
    defines: bool = False


def code_for(notebook: dict[str, Any], wants: str) -> str:
    """The source that defines `wants`; without such, every import, class and function that there is.

    Raises:
        NoCode: there are no code cells, or they are not Python.
    """
    cells = list(_code_cells(notebook))
    if not any(cell.strip() for cell in cells):
        raise NoCode("it is a notebook without a code cell")
    statements = [statement for n, cell in enumerate(cells) for statement in _statements(n, cell, wants)]
    last = max((s.cell for s in statements if wants in s.binds), default=None)
    if last is None:
        taken = [s for s in statements if s.defines or s.always]
    else:
        taken = _needed(statements, wants, _until(cells, last, wants))
    taken.sort(key=lambda s: not s.text.startswith("from __future__"))  # these must come first
    return "\n\n".join(s.text for s in taken) + "\n"


def _code_cells(notebook: dict[str, Any]) -> Iterator[str]:
    """The source of each code cell. nbformat 3 has them in worksheets, and calls it input."""
    try:
        language = notebook.get("metadata", {}).get("kernelspec", {}).get("language", "python")
        sheets = [notebook, *notebook.get("worksheets", [])]
        cells = [cell for sheet in sheets for cell in sheet.get("cells", []) if cell["cell_type"] == "code"]
        sources = ["".join(cell.get("source", cell.get("input", ""))) for cell in cells]
    except (AttributeError, KeyError, TypeError):
        raise NoCode("it is no notebook as Jupyter writes them. Save it from Jupyter again") from None
    if language != "python":
        raise NoCode(f"it is a notebook in {language}, not in Python")
    for source in sources:
        yield source.replace("\r\n", "\n").replace("\r", "\n")


def _until(cells: list[str], last: int, wants: str) -> int:
    """The cell in which the definition is checked; or else the one that it is in."""
    checks = re.compile(rf"\b(check|judge)\(.*\b{re.escape(wants)}\b")
    return next((n for n in range(last, len(cells)) if checks.search(cells[n])), last)


def _needed(statements: list[Statement], wants: str, until: int) -> list[Statement]:
    """The last definition of `wants`, and all that it needs: of what is bound up to that cell, as it is
    then; of what is bound only later, all the same."""
    early = [s for s in statements if s.cell <= until]
    late = [s for s in statements if s.cell > until]
    (*_, definition) = (s for s in statements if wants in s.binds)
    taken = [definition, *(s for s in statements if s.always), *(s for s in early if wants in s.changes)]
    done = {wants}
    for statement in taken:  # which grows meanwhile
        for name in statement.uses - done:
            done.add(name)
            taken += [s for s in early if name in s.binds] or [s for s in late if name in s.binds]
            taken += [s for s in early if name in s.changes]
    chosen = set(map(id, taken))
    return [s for s in statements if id(s) in chosen]


# --- a cell ---

_MAGIC = re.compile(r"^(\s*)([\w.,\s]+=\s*)?([%!].*|\?.*|.*\?\s*)$")
_PYTHON_INSIDE = re.compile(r"^%%(time|timeit|capture|prun|memit|mprun)\b")


def without_magics(cell: str) -> str:
    """The cell with `pass`, or None as a value, where IPython alone could read it.

    What Python can read, it leaves alone: `%` may stand at the start of a line in a string.
    """
    lines = cell.split("\n")
    first = next((line for line in lines if line.strip()), "")
    if first.startswith("%%"):
        if not _PYTHON_INSIDE.match(first):
            return ""
        lines[lines.index(first)] = ""
    for _ in range(len(lines) + 1):
        try:
            ast.parse("\n".join(lines))
        except SyntaxError as error:
            number = (error.lineno or 1) - 1
            if not (number < len(lines) and _MAGIC.match(lines[number])):
                break
            lines[number] = _replaced(lines[number])
        else:
            return "\n".join(lines)
    return "\n".join(lines)


def _replaced(line: str) -> str:
    return _MAGIC.sub(lambda found: f"{found[1]}{found[2]}None" if found[2] else f"{found[1]}pass", line)


_READS = {"LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS", "LOAD_CLASSDEREF"}
_CHANGES = {"append", "add", "update", "extend", "insert", "setdefault", "register"}


def _statements(number: int, cell: str, wants: str) -> Iterator[Statement]:
    cell = without_magics(cell)
    try:
        tree = compile(cell, "cell", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        if re.search(rf"^\s*(class|def|async\s+def)\s+{re.escape(wants)}\b", cell, re.MULTILINE):
            yield Statement(number, cell, binds={wants})  # the check tells what is wrong with it
        return
    for node in tree.body:
        try:
            yield _statement(number, node, cell)
        except SyntaxError:  # not of the grammar: a return outside of a function
            yield Statement(number, _text(node, cell))


def _statement(number: int, node: ast.stmt, cell: str) -> Statement:
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(ast.Module([node], []), "cell", "exec", flags, True)
    text = _text(node, cell)
    imports = isinstance(node, ast.Import | ast.ImportFrom)
    return Statement(
        number,
        text,
        binds={i.argval for i in dis.get_instructions(code) if i.opname in ("STORE_NAME", "STORE_GLOBAL")},
        changes=set(_changed(node)),
        uses={
            i.argval for inner in _codes(code) for i in dis.get_instructions(inner) if i.opname in _READS
        },
        always=text.startswith(("from __future__", "sys.path."))
        or isinstance(node, ast.ImportFrom)
        and node.names[0].name == "*",
        defines=imports or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef),
    )


def _text(node: ast.stmt, cell: str) -> str:
    lines = [line + "\n" for line in cell.split("\n")]
    decorators = getattr(node, "decorator_list", [])
    start = decorators[0].lineno if decorators else node.lineno
    return "".join(lines[start - 1 : node.lineno - 1]) + (ast.get_source_segment(cell, node) or "")


def _codes(code: CodeType) -> Iterable[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _changed(node: ast.stmt) -> Iterator[str]:
    """The names whose value this statement changes in place, other than by a call that only uses it."""
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AugAssign | ast.AnnAssign):
        targets = [node.target]
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        called = node.value.func
        targets = [called] if isinstance(called, ast.Attribute) and called.attr in _CHANGES else []
    for target in targets:
        inner: ast.expr = target
        while isinstance(inner, ast.Attribute | ast.Subscript):
            inner = inner.value
        if inner is not target and isinstance(inner, ast.Name):
            yield inner.id
