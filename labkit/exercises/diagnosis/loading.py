"""Source that cannot be loaded: its syntax, its names, and what it runs at the top level."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterator

from labkit.exercises.diagnosis.code import Finding, Function

# What stands in the line, and what is the matter. The first that fits is told.
_LINES = (
    (r"^\s*(%|!|\?)\S|^\s*%%", "a magic of IPython",
     "a magic of IPython, which only a notebook's cell understands. Take the line out of the file"),
    (r"^\s*(>>>|\.\.\.)\s", "a pasted prompt", "the prompt was copied, too. Take out every >>> and ..."),
    (r"^\s*(```|~~~)", "a pasted fence", "the fence was copied with the code. Take it out"),
    (r"^(<<<<<<<|=======|>>>>>>>)", "a merge conflict",
     "git left both versions here, between <<<<<<< and >>>>>>>. Keep one of them, and take the marks out"),
    (r"[\u2018\u2019\u201c\u201d\u00ab\u00bb]", "typographic quotes",
     "these quotes are those of a text, as Word makes them. Python's are ' and \""),
    (r"[\u00a0\u2007\u202f\u200b\ufeff]", "an invisible character",
     "there is a space that is none (U+00A0 or its like), as web pages have them. Type it again"),
    (r"^\s*else\s+if\b", "else if", "Python writes elif"),
    (r"\+\+|--\s*$", "++", "Python has no ++: x += 1"),
    (r"&&|\|\|", "&&", "Python writes `and` and `or`"),
    (r"^\s*print\s+[^(=\s]", "print without ()", "print is a function: print(…)"),
    (r"^\s*(if|elif|else|for|while|def|class|try|except|finally|with)\b[^#:]*$", "a colon is missing",
     "is there a colon missing at its end?"),
    (r"^\s*(if|elif|while)\b[^=!<>]*[^=!<>]=[^=]", "= for ==", "to compare, write =="),
    (r"^\s*except\s+\w+\s*,", "except without ()", "several errors stand in parentheses: except (A, B):"),
    (r"\bf['\"].*\{[^}]*['\"]", "quotes in an f-string",
     "before Python 3.12 an f-string cannot have its own kind of quotes inside { }"),
    (r"^\s*(type\s+\w+|def\s+\w+\[|class\s+\w+\[)", "newer syntax",
     "only a newer Python than this one can read that"),
)  # fmt: skip

_MESSAGES = (
    ("inconsistent use of tabs", "tabs and spaces",
     "some lines are indented with tabs, some with spaces. In your editor: convert indentation to spaces"),
    ("unindent does not match", "indentation",
     "this line stands neither with the block above it nor with an outer one"),
    ("unexpected indent", "indentation",
     "this line stands further right than the one above, and no block begins there"),
    ("expected an indented block", "indentation",
     "a block must follow, indented. If nothing is to be done: pass"),
    ("was never closed", "a bracket is not closed", "count the brackets of this line: one is never closed"),
    ("unterminated", "a quote is not closed", "a text begins here, and its closing quote is missing"),
    ("'return' outside function", "indentation",
     "this return stands outside of every function: look at its indentation"),
    ("'await' outside", "await", "await needs `async def` around it. Sockets and threads need neither"),
    ("await' outside", "await", "await needs `async def` around it. Sockets and threads need neither"),
    ("outside loop", "indentation", "there is no loop around this line: look at its indentation"),
    ("assign", "= for ==", "to compare, write =="),
)  # fmt: skip


MAIN = 'if __name__ == "__main__":'


def syntax(source: str) -> Iterator[Finding]:
    """What the line that cannot be read looks like; nothing if all can be read."""
    try:
        compile(source, "code", "exec", dont_inherit=True)
    except SyntaxError as error:
        number, message = error.lineno or 0, error.msg
    except (ValueError, RecursionError, MemoryError) as error:
        yield Finding("cannot be read", 0, str(error))
        return
    else:
        return
    lines = source.split("\n")
    for at in (number, number - 1):  # what is missing in a line is noticed in the next
        line = lines[at - 1] if 0 < at <= len(lines) else ""
        for words, name, told in _MESSAGES:
            if at == number and words in message:
                yield Finding(name, at, told)
                return
        for pattern, name, told in _LINES:
            if re.search(pattern, line.split("#")[0]):
                yield Finding(name, at, f"`{line.strip()[:60]}`: {told}")
                return


def names(source: str, wants: str, methods: set[str]) -> Iterator[Finding]:
    """Where the wanted name is, if not at the top level; or what there is instead."""
    tree = ast.parse(source)
    parents = {child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}
    defined = [n for n in ast.walk(tree) if isinstance(n, ast.ClassDef | Function)]
    for node in defined:
        if node.name == wants:
            inside = parents[node]
            where = (
                f"inside {inside.name}" if isinstance(inside, ast.ClassDef | Function) else _block(inside)
            )
            words = f"`{wants}` is defined {where}, where nobody else finds it: move it to the left edge"
            yield Finding("nested name", node.lineno, words)
            return
    top = {node.name: node for node in defined if parents[node] is tree}
    if not top:
        has = "The file defines no function and no class" + (
            ", it has only comments" if not tree.body else ""
        )
        yield Finding("name missing", 0, f"{has}. Was it saved, and is it the right one?")
        return
    likely = [n for n in top if n.lower() == wants.lower()] or difflib.get_close_matches(wants, top, 1)
    likely = likely or [
        n for n, node in top.items() if methods & {getattr(f, "name", "") for f in node.body}
    ]
    if likely:
        words = f"`{likely[0]}`: the task calls it `{wants}`"
        yield Finding("misspelt name", top[likely[0]].lineno, words)
    else:
        has = ", ".join(f"{name} (line {node.lineno})" for name, node in top.items())
        yield Finding("name missing", 0, f"The file has: {has[:300]}")


def _block(node: ast.AST) -> str:
    kinds = {ast.If: "under an `if`", ast.Try: "in a `try`", ast.With: "in a `with`"}
    return next((words for kind, words in kinds.items() if isinstance(node, kind)), "in a block")


def instance(source: str, wants: str) -> Iterator[Finding]:
    """A later line that gives the wanted name another value."""
    for node in ast.parse(source).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(isinstance(target, ast.Name) and target.id == wants for target in targets):
            words = f"`{ast.unparse(node)[:60]}` gives the name {wants} this value"
            yield Finding("name bound to a value", node.lineno, words)


def top_level(source: str, lines: list[int]) -> Iterator[Finding]:
    """The statement at the top level that was being run when loading failed or did not end.

    Args:
        lines: those that the failure speaks of; if it speaks of none, the last statement that runs is told.
    """
    runs = [node for node in ast.parse(source).body if not isinstance(node, DEFINES)]
    inside = [node for node in runs if any(node.lineno <= n <= (node.end_lineno or 0) for n in lines)]
    for node in inside[:1] or ([] if lines else runs[-1:]):
        line = ast.unparse(node).splitlines()[0][:60]
        words = f"`{line}` runs when the file is loaded. What only tries the code belongs under: {MAIN}"
        yield Finding("runs when loaded", node.lineno, words)


DEFINES = (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
