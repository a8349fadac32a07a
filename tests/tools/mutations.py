"""Small faults that can be put into a source file, each in one place: the mutants of mutants.py.

Comparisons and arithmetic are turned, `and` and `or` change places, a `not` comes or goes, constants shift,
a statement or a lock is dropped, a returned value is lost, an `except` catches less. What no test should
see is left alone: docstrings, annotations, decorators, asserts, `__repr__`, the names of threads and types.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

OPPOSITE: dict[type[ast.cmpop], list[type[ast.cmpop]]] = {
    ast.Lt: [ast.LtE, ast.GtE],
    ast.LtE: [ast.Lt, ast.Gt],
    ast.Gt: [ast.GtE, ast.LtE],
    ast.GtE: [ast.Gt, ast.Lt],
    ast.Eq: [ast.NotEq],
    ast.NotEq: [ast.Eq],
    ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is],
    ast.In: [ast.NotIn],
    ast.NotIn: [ast.In],
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
DROPPED = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Raise, ast.Delete, ast.Continue, ast.Break)
UNSEEN_FIELDS = {"annotation", "returns", "decorator_list", "type_comment"}
UNSEEN_KEYWORDS = {"name", "means", "help", "thread_name_prefix", "daemon"}
UNSEEN_CALLS = {"TypeVar", "cast", "ParamSpec", "NewType"}
UNSEEN_NAMES = {"__all__", "__slots__", "__match_args__"}


@dataclass(frozen=True)
class Mutant:
    id: str  # FILE:LINE:COLUMN:NUMBER
    path: str
    line: int
    last_line: int
    before: str
    after: str
    start: int  # bytes of the source, from here …
    end: int  # … to here, are replaced by `after`

    def applied(self, source: bytes) -> bytes:
        return source[: self.start] + self.after.encode() + source[self.end :]


def mutants(path: str, source: bytes) -> list[Mutant]:
    """Every mutant of this file, in the order of their places."""
    return _Finder(path, source).found


class _Finder:
    def __init__(self, path: str, source: bytes) -> None:
        self._path = path
        self._source = source
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self.found: list[Mutant] = []
        self._numbers: dict[tuple[int, int], int] = {}
        self._walk(ast.parse(source), None, in_function=False)

    # --- where to look ---

    def _walk(self, node: ast.AST, spot: ast.expr | None, in_function: bool) -> None:
        """Look at all below `node`. `spot`: the f-string it stands in: within one, nothing has a place."""
        in_function |= isinstance(node, (ast.FunctionDef, ast.Lambda))
        for field, value in ast.iter_fields(node):
            if field in UNSEEN_FIELDS:
                continue
            children = value if isinstance(value, list) else [value]
            for n, child in enumerate(children):
                if not isinstance(child, ast.AST) or _unseen(child, n if field == "body" else -1):
                    continue
                inside = spot
                if isinstance(child, ast.expr):
                    inside = spot or (child if isinstance(child, ast.JoinedStr) else None)
                    for new in _expressions(child, node, field, in_function):
                        self._replace(node, field, n if isinstance(value, list) else None, new, inside)
                elif isinstance(child, ast.stmt) and in_function:
                    self._statement(child)
                if isinstance(child, ast.ExceptHandler):
                    self._narrow(child)
                self._walk(child, inside, in_function)

    # --- what to change ---

    def _replace(
        self, node: ast.AST, field: str, n: int | None, new: ast.expr, spot: ast.expr | None
    ) -> None:
        """Have `new` stand in this field."""
        old: ast.expr = getattr(node, field) if n is None else getattr(node, field)[n]
        if spot is None or spot is old:
            self._add(old, f"({ast.unparse(new)})")
            return
        if isinstance(new, ast.Constant) and isinstance(node, ast.FormattedValue):
            return
        _put(node, field, n, new)
        self._add(spot, f"({ast.unparse(spot)})")
        _put(node, field, n, old)

    def _statement(self, child: ast.stmt) -> None:
        if isinstance(child, ast.AnnAssign) and child.value is None:
            return  # no more than a type
        if isinstance(child, DROPPED) or (
            isinstance(child, ast.Expr) and not isinstance(child.value, (ast.Yield, ast.Constant))
        ):
            self._add(child, "pass")
        elif isinstance(child, ast.Return) and child.value is not None and not _is_none(child.value):
            self._add(child, "return None")
        elif isinstance(child, ast.With):
            first, last = child.items[0].context_expr, child.items[-1].context_expr
            if all(item.optional_vars is None for item in child.items):
                if isinstance(first, (ast.Name, ast.Attribute)):  # no call: a lock
                    self._add_at(child, self._at(child), self._end(last), "if True")

    def _narrow(self, handler: ast.ExceptHandler) -> None:
        if isinstance(handler.type, ast.Tuple):
            for n in range(len(handler.type.elts)):
                fewer = copy.copy(handler.type)
                fewer.elts = handler.type.elts[:n] + handler.type.elts[n + 1 :]
                self._add(handler.type, ast.unparse(fewer))
        elif handler.type is not None:
            self._add(handler.type, "()")

    def _add(self, node: ast.expr | ast.stmt, after: str) -> None:
        self._add_at(node, self._at(node), self._end(node), after)

    def _add_at(self, node: ast.expr | ast.stmt, start: int, end: int, after: str) -> None:
        where = node.lineno, node.col_offset
        number = self._numbers[where] = self._numbers.get(where, -1) + 1
        self.found.append(
            Mutant(
                f"{self._path}:{node.lineno}:{node.col_offset}:{number}",
                self._path,
                node.lineno,
                node.lineno + self._source[start:end].count(b"\n"),
                self._source[start:end].decode(),
                after,
                start,
                end,
            )
        )

    def _at(self, node: ast.expr | ast.stmt) -> int:
        return self._starts[node.lineno - 1] + node.col_offset

    def _end(self, node: ast.expr | ast.stmt) -> int:
        assert node.end_lineno is not None and node.end_col_offset is not None
        return self._starts[node.end_lineno - 1] + node.end_col_offset


def _put(node: ast.AST, field: str, n: int | None, new: ast.expr) -> None:
    if n is None:
        setattr(node, field, new)
    else:
        getattr(node, field)[n] = new


def _is_none(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _unseen(node: ast.AST, place: int) -> bool:
    """Whether no test should see what happens to this. `place`: its number in a body."""
    match node:
        case ast.Assert() | ast.Expr(value=ast.Constant()):  # a docstring, also one of a variable
            return True
        case ast.FunctionDef(name="__repr__"):
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.keyword(arg=arg):
            return arg in UNSEEN_KEYWORDS
        case ast.Call(func=ast.Name(id=name)):
            return name in UNSEEN_CALLS
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name in UNSEEN_NAMES
    return False


def _expressions(node: ast.expr, parent: ast.AST, field: str, in_function: bool) -> Iterator[ast.expr]:
    """What can stand in the place of this expression."""
    match node:
        case ast.Compare(left=left, ops=ops, comparators=others):
            for n, op in enumerate(ops):
                for turned in OPPOSITE[type(op)]:
                    yield ast.Compare(left, [*ops[:n], turned(), *ops[n + 1 :]], others)
        case ast.BoolOp(op=op, values=values):
            yield ast.BoolOp(ast.And() if isinstance(op, ast.Or) else ast.Or(), values)
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            if in_function or not isinstance(op, ast.BitOr):  # there: a union of types
                yield ast.BinOp(left, ARITHMETIC[type(op)](), right)
        case ast.Constant(value=value):
            yield from map(ast.Constant, _shifted(value))
        case ast.Call(func=ast.Name(id="suppress"), args=args, keywords=[]) if args:
            yield ast.Call(node.func, args[1:], [])
    condition = field == "test" or (field == "ifs" and isinstance(parent, ast.comprehension))
    if condition and not isinstance(node, (ast.Compare, ast.Constant)):
        if not isinstance(node, ast.UnaryOp):
            yield ast.UnaryOp(ast.Not(), node)


def _shifted(value: object) -> list[bool | int | float | str | bytes]:
    match value:
        case bool():
            return [not value]
        case int() | float():
            return [value + 1, value - 1]
        case str():
            return [f"X{value}" if value else "X"]
        case bytes():
            return [b"X" + value]
    return []
