"""What in a submission reaches for the checker, or for an answer: found by reading it, without running it.

A finding is no verdict. It names a line for a teacher to look at: no answer to an exercise needs what is
listed here. Nor is a submission without a finding honest: text can be built in ways that no reader sees.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from labkit.wire.text import brief, clean

MOST = 5
"""Findings that are told of one file."""

PUBLIC = {"check", "judge"}
"""What a file may import to try itself; in a check they do nothing."""

MODULES = {
    **dict.fromkeys(("gc", "inspect", "ctypes", "_ctypes"), "looks into the running program"),
    **dict.fromkeys(("importlib", "runpy", "pkgutil", "linecache"), "loads modules by name"),
    **dict.fromkeys(("builtins", "unittest.mock"), "exchanges what others use"),
    **dict.fromkeys(("subprocess", "multiprocessing", "pty"), "starts processes"),
}
"""Modules that no answer needs, and what they do."""

NAMES = {
    **dict.fromkeys(
        ("sys.modules", "sys._getframe", "sys._current_frames"), "looks into the running program"
    ),
    **dict.fromkeys(("sys.settrace", "sys.setprofile", "sys.monitoring"), "looks into the running program"),
    **dict.fromkeys(("sys.meta_path", "sys.path_hooks"), "changes how modules are found"),
    **dict.fromkeys(("os._exit", "os.abort", "os.kill", "os.killpg"), "ends processes"),
    **dict.fromkeys(("os.fork", "os.forkpty", "os.system", "os.popen"), "starts processes"),
    **dict.fromkeys(("__import__", "eval", "exec", "compile"), "runs what is not written there"),
    **dict.fromkeys(("__builtins__", "__loader__", "__spec__"), "looks into the running program"),
}
"""Names, as they are after the imports, that no answer needs."""

STARTS = re.compile(r"os\.(exec|spawn|posix_spawn)\w+")

ATTRIBUTES = set(
    "__globals__ __closure__ __code__ __subclasses__ __builtins__ __loader__ "
    "f_back f_globals f_locals f_builtins tb_frame gi_frame cr_frame ag_frame".split()
)
"""Attributes that lead from a function, a class or an exception to what has called it."""

DESCRIPTORS = {"os.write", "os.fdopen", "os.dup", "os.dup2", "os.close", "os.closerange", "open"}
"""What takes a descriptor: a number in its place is another's, such as the pipe of the reports."""

_HIDDEN = re.compile(r"(?i)labkit|/proc/|BEGIN SOLUTION")


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A line, and why it is suspicious."""

    line: int
    why: str
    text: str = ""

    def __str__(self) -> str:
        return (
            f"line {self.line}: {self.text} ({self.why})" if self.text else f"line {self.line}: {self.why}"
        )


def findings(source: str) -> list[Finding]:
    """What is suspicious in this Python source, line by line; nothing if it cannot be read as Python."""
    try:
        tree = ast.parse(source)
        found = sorted(set(_Reader(tree).read()))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    lines = source.splitlines()
    by_line: dict[int, Finding] = {}
    for line, why in found:
        text = clean(lines[line - 1]).strip() if line <= len(lines) else ""
        by_line.setdefault(line, Finding(line, why, brief(text, 100)))
    return list(by_line.values())[:MOST]


class _Reader:
    """Reads one module."""

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        self._names = dict(_imported(tree))  # what each name of the module stands for
        self._docs = {id(doc) for doc in _docstrings(tree)}

    def read(self) -> Iterator[tuple[int, str]]:
        renamed = any(_stores(node, "__name__") for node in ast.walk(self._tree))
        nodes: list[ast.AST] = [self._tree]
        while nodes:
            node = nodes.pop()
            why = self._why(node)
            if why and isinstance(node, ast.expr | ast.stmt):
                yield node.lineno, why
            if isinstance(node, ast.If) and _is_main(node) and not renamed:
                nodes += node.orelse  # a check does not run the rest
            else:
                nodes += ast.iter_child_nodes(node)

    def _why(self, node: ast.AST) -> str:
        match node:
            case ast.Import() | ast.ImportFrom():
                return next(filter(None, map(_why_imported, _modules(node))), "")
            case ast.Call():
                return self._call(node)
            case ast.Attribute() | ast.Name():
                return self._named(node)
            case ast.Constant(value=str(text)) if id(node) not in self._docs and _HIDDEN.search(text):
                return "names a part of the checker"
            case ast.Assign(targets=targets, value=value) if not isinstance(value, ast.Constant):
                return next(filter(None, map(self._exchanged, targets)), "") or _equals_all(node)
            case ast.FunctionDef():
                return _equals_all(node)
        return ""

    def _dotted(self, node: ast.expr) -> str:
        """`os.write`, whatever the file calls it; "" for what is no name of a module."""
        if isinstance(node, ast.Attribute):
            before = self._dotted(node.value)
            return f"{before}.{node.attr}" if before else ""
        return self._names.get(node.id, node.id) if isinstance(node, ast.Name) else ""

    def _named(self, node: ast.Attribute | ast.Name) -> str:
        name = self._dotted(node)
        if isinstance(node, ast.Attribute) and node.attr in ATTRIBUTES:
            return "looks into the running program"
        if isinstance(node.ctx, ast.Store):
            return ""
        if name.startswith("labkit.") and isinstance(node, ast.Attribute) and name not in _TRIES:
            return "uses the lab's own code"
        return NAMES.get(name, "") or ("starts processes" if STARTS.fullmatch(name) else "")

    def _call(self, node: ast.Call) -> str:
        name = self._dotted(node.func)
        first, second, *_ = [*node.args, None, None]
        if name in DESCRIPTORS and isinstance(first, ast.Constant) and type(first.value) is int:
            return "uses a descriptor that is not its own"
        if name in ("getattr", "setattr", "delattr") and first is not None:
            return self._by_name(name, first, second)
        if name == "vars" and first is not None and self._dotted(first) in self._names.values():
            return "looks into a module"
        return ""

    def _by_name(self, name: str, owner: ast.expr, attribute: ast.expr | None) -> str:
        if isinstance(attribute, ast.Constant):
            if attribute.value in ATTRIBUTES:
                return "looks into the running program"
            return NAMES.get(f"{self._dotted(owner)}.{attribute.value!s}", "")
        if name == "setattr" and self._dotted(owner) in self._names.values():
            return "exchanges what others use"
        of_itself = isinstance(owner, ast.Name) and owner.id in ("self", "cls")
        return "" if of_itself else "gets at something by a name that is not written there"

    def _exchanged(self, target: ast.expr) -> str:
        """`time.sleep = …`: the checker uses that, too."""
        name = self._dotted(target) if isinstance(target, ast.Attribute) else ""
        module = name.partition(".")[0]
        ours = module in {known.partition(".")[0] for known in self._names.values()}
        return f"exchanges {name}, which others use" if ours and name else ""


_TRIES = {f"labkit.exercises.{name}" for name in PUBLIC}


def _modules(node: ast.Import | ast.ImportFrom) -> list[str]:
    """The dotted names of what is imported."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [f"{node.module or ''}.{alias.name}" for alias in node.names] if not node.level else []


def _why_imported(name: str) -> str:
    if name in _TRIES:
        return ""
    if name.startswith("labkit.exercises"):
        return "imports the checker"
    if name.partition(".")[0] == "labkit":
        return "imports the lab's own code"
    known = MODULES.get(name) or MODULES.get(name.rpartition(".")[0]) or MODULES.get(name.partition(".")[0])
    return known or NAMES.get(name, "") or ("starts processes" if STARTS.fullmatch(name) else "")


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                yield (alias.asname, alias.name) if alias.asname else (top, top)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _docstrings(tree: ast.Module) -> Iterator[ast.expr]:
    """Texts that stand alone: docstrings, and what is commented out by quotes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value


def _stores(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store)


def _is_main(node: ast.If) -> bool:
    return re.sub(r"[\"'\s()]", "", ast.unparse(node.test)) == "__name__==__main__"


def _equals_all(node: ast.Assign | ast.FunctionDef) -> str:
    """An object that says that it equals whatever is expected."""
    if isinstance(node, ast.FunctionDef):
        names, body = [node.name], [s for s in node.body if not isinstance(s, ast.Expr)]
        value = body[0].value if len(body) == 1 and isinstance(body[0], ast.Return) else None
    else:
        names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        value = node.value.body if isinstance(node.value, ast.Lambda) else None
    always = isinstance(value, ast.Constant) and value.value is not False and value.value is not None
    return "equals whatever it is compared with" if always and "__eq__" in names else ""
