"""A student's source as the rules see it: a syntax tree in which each node knows where it stands."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, TypeVar, overload

Function = ast.FunctionDef | ast.AsyncFunctionDef
Node = TypeVar("Node", bound=ast.AST)
Other = TypeVar("Other", bound=ast.AST)


class Finding(NamedTuple):
    """A bug that may have led to a failure.

    Args:
        name: the bug's name, in a few words, alike in all submissions that have it.
        line: where it stands; 0 for nowhere.
        words: what is the matter, and what to do.
    """

    name: str
    line: int
    words: str


@dataclass(frozen=True, slots=True)
class Failed:
    """What a rule may know of the failure.

    Args:
        step: the name of the step that failed; "" if the code could not be loaded.
        text: what was expected, and behind a NUL what was seen, where threads were, what they died of.
        stuck: whether something did not come to its end.
    """

    step: str
    text: str
    stuck: bool

    @property
    def seen(self) -> str:
        """What was seen, without what was expected."""
        return self.text.partition("\0")[2]

    def tells(self, *words: str) -> bool:
        """Whether one of these stands in it."""
        return any(word in self.text for word in words)


@dataclass
class Code:
    """The source, and the name that the exercise wants.

    Args:
        source: of the file, or of the cell in which the name is defined.
        wants: the name.
        answer: our own answer, which says what its methods are called and which of them return something.
        rest: what other source belongs to it: of a notebook, its other cells.
    """

    source: str
    wants: str
    answer: str
    rest: str = ""
    tree: ast.Module = field(init=False)
    parents: dict[ast.AST, ast.AST] = field(init=False)
    nodes: list[ast.AST] = field(init=False)  # all, in the order of their lines

    def __post_init__(self) -> None:
        self.tree = ast.parse(self.source)
        nodes = list(ast.walk(self.tree))
        self.parents = {child: parent for parent in nodes for child in ast.iter_child_nodes(parent)}
        self.nodes = sorted(nodes, key=lambda node: getattr(node, "lineno", 0))

    @overload
    def all(self, one: type[Node], /) -> Iterator[Node]: ...

    @overload
    def all(self, one: type[Node], other: type[Other], /) -> Iterator[Node | Other]: ...

    def all(self, *kinds: type[ast.AST]) -> Iterator[ast.AST]:
        """All nodes of these kinds, in the order of their lines."""
        yield from (node for node in self.nodes if isinstance(node, kinds))

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """What this node stands in, the innermost first."""
        while (parent := self.parents.get(node)) is not None:
            yield parent
            node = parent

    def function_of(self, node: ast.AST) -> Function | None:
        """The function that it stands in."""
        return next((n for n in self.above(node) if isinstance(n, Function)), None)

    def line(self, number: int) -> str:
        lines = self.source.split("\n")
        return lines[number - 1].strip() if 0 < number <= len(lines) else ""

    @cached_property
    def wanted(self) -> ast.ClassDef | Function | None:
        """The definition of the wanted name; the last, as in Python."""
        found = [
            node for node in self.tree.body
            if isinstance(node, ast.ClassDef | Function) and node.name == self.wants
        ]  # fmt: skip
        return found[-1] if found else None

    @cached_property
    def entries(self) -> dict[str, Function]:
        """The functions that a check calls: the wanted one, or the class's methods that the task names."""
        if isinstance(self.wanted, Function):
            return {self.wanted.name: self.wanted}
        if self.wanted is None:
            return {}
        return {f.name: f for f in self.wanted.body if isinstance(f, Function) and f.name in self.methods}

    @cached_property
    def methods(self) -> dict[str, Function]:
        """What our answer has under these names."""
        for node in ast.parse(self.answer).body:
            if isinstance(node, Function) and node.name == self.wants:
                return {node.name: node}
            if isinstance(node, ast.ClassDef) and node.name == self.wants:
                return {f.name: f for f in node.body if isinstance(f, Function)}
        return {}

    @cached_property
    def functions(self) -> dict[str, Function]:
        """All functions and methods, by name."""
        return {function.name: function for function in self.all(ast.FunctionDef)}

    def parameters(self, name: str) -> list[str]:
        """What our answer calls the parameters of this method, without self."""
        function = self.methods.get(name)
        return [argument.arg for argument in function.args.args[1:]] if function else []

    def mentions(self, *words: str) -> bool:
        """Whether one of these stands in the source, anywhere."""
        return any(word in self.source or word in self.rest for word in words)


Rule = Callable[[Code, Failed], Iterator[Finding]]


def own(function: ast.AST) -> Iterator[ast.AST]:
    """What stands in a function itself, not in one that is defined in it."""
    for child in ast.iter_child_nodes(function):
        yield child
        if not isinstance(child, Function | ast.Lambda | ast.ClassDef):
            yield from own(child)


def text(node: ast.AST, longest: int = 80) -> str:
    """The source of an expression: "self.lock"; of a longer one the beginning."""
    source = ast.unparse(node)
    return source if longest > 80 else source.split("\n")[0][:longest]


def last(node: ast.AST) -> str:
    """The last name of `threading.Thread`, `self.lock`, `Lock`."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def calls(node: ast.AST, *names: str) -> bool:
    """Whether it is a call of one of these, however it is reached: `Lock()`, `threading.Lock()`."""
    return isinstance(node, ast.Call) and last(node.func) in names


def returns_something(function: Function) -> bool:
    """Whether it has a return with a value; or raises what is still to be written."""
    return any(
        isinstance(node, ast.Return)
        and node.value is not None
        and not (isinstance(node.value, ast.Constant) and node.value.value is None)
        for node in own(function)
    )


def yields(function: Function) -> ast.AST | None:
    return next((node for node in own(function) if isinstance(node, ast.Yield | ast.YieldFrom)), None)
