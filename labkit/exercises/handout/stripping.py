"""The source of an exercise's module without its answers; the rest stays as it was written.

The module is read with `ast`, and changed as text: in the call that makes the exercise, the answer becomes
the stub, and the wrong versions and the other right answers go. Then goes what only they had used: a
constant that holds half an answer, a function that bends it, an import.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

KINDS = {"Exercise": {"answer", "wrong", "others"}, "Task": {"answer"}}
"""The classes that an exercise is made with, and which of their arguments hold answers."""

Edit = tuple[int, int, str]
"""The beginning and the end of what is exchanged, in bytes of the source, and what comes there."""


class CannotStrip(ValueError):
    """The module is not written as expected; the text says what is missing."""


def without_answers(source: str, stub: str) -> str:
    """The module with this stub in place of its answer.

    Raises:
        CannotStrip: it makes no exercise, or does not name the arguments.
    """
    tree = ast.parse(source)
    before = _used(tree)
    source = _edited(source, list(_replaced(source, tree, stub)))
    while True:
        tree = ast.parse(source)
        used = _used(tree)
        unused = before - used
        edits = list(_dropped(source, tree, unused))
        if not edits:
            return source
        source = _edited(source, edits)


def _replaced(source: str, tree: ast.Module, stub: str) -> Iterator[Edit]:
    """What exchanges the arguments that hold answers."""
    offsets = _offsets(source)
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS
    ]
    if not calls:
        raise CannotStrip(f"it calls none of {', '.join(KINDS)}")
    literal = stub.replace("\\", "\\\\").replace("'''", "\\'\\'\\'")
    new = {"answer": f"'''\n{literal}'''", "wrong": "()", "others": "{}"}
    for call in calls:
        assert isinstance(call.func, ast.Name)
        wanted = KINDS[call.func.id]
        values = {word.arg: word.value for word in call.keywords if word.arg in wanted}
        if missing := wanted - set(values):
            raise CannotStrip(f"{call.func.id}(…) in line {call.lineno} has no {min(missing)}=")
        for name, value in values.items():
            yield *_span(offsets, value), new[str(name)]


def _dropped(source: str, tree: ast.Module, unused: set[str]) -> Iterator[Edit]:
    """What takes away the definitions of these names, with the comments above and the text below."""
    offsets, lines = _offsets(source), source.split("\n")
    body = tree.body
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.Import | ast.ImportFrom):
            kept = [alias for alias in node.names if _bound(alias) not in unused]
            if len(kept) == len(node.names):
                continue
            if kept:
                node.names = kept
                yield *_span(offsets, node), ast.unparse(node)
                continue
        elif not (names := set(_defined(node))) or not names <= unused:
            continue
        decorators = getattr(node, "decorator_list", [])
        first = min([node.lineno, *(one.lineno for one in decorators)]) - 1
        while lines[first - 1].startswith("#"):
            first -= 1
        last = _end(after if after is not None and _is_text(after) else node)
        while not lines[last].strip() and not lines[first - 1].strip():
            first -= 1  # the empty lines below are enough
        yield offsets[first], offsets[last], ""


def _defined(node: ast.stmt) -> Iterator[str]:
    """The names that a statement of the module defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
    for target in targets:
        for part in target.elts if isinstance(target, ast.Tuple) else [target]:
            if isinstance(part, ast.Name):
                yield part.id


def _used(tree: ast.Module) -> set[str]:
    """The names that are read somewhere in the module; what a definition reads of itself does not count."""
    found = set()
    for statement in tree.body:
        own = set(_defined(statement))
        read = {
            n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)
        }
        found |= read - own
    return found


def _bound(alias: ast.alias) -> str:
    return alias.asname or alias.name.partition(".")[0]


def _is_text(node: ast.stmt) -> bool:
    """Whether it is a string by itself: what is said of the name above it."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _end(node: ast.stmt) -> int:
    """The index of the line below it."""
    assert node.end_lineno is not None
    return node.end_lineno


def _offsets(source: str) -> list[int]:
    """Where each line begins, in bytes."""
    offsets = [0]
    for line in source.encode().split(b"\n"):
        offsets.append(offsets[-1] + len(line) + 1)
    return offsets


def _span(offsets: list[int], node: ast.expr | ast.stmt) -> tuple[int, int]:
    """Where it begins and ends, in bytes."""
    assert node.end_lineno is not None and node.end_col_offset is not None
    return (
        offsets[node.lineno - 1] + node.col_offset,
        offsets[node.end_lineno - 1] + node.end_col_offset,
    )


def _edited(source: str, edits: list[Edit]) -> str:
    data = source.encode()
    for begin, end, new in sorted(edits, reverse=True):
        data = data[:begin] + new.encode() + data[end:]
    return data.decode()
