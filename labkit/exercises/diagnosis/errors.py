"""Rules that begin with what an exception says: a name, two kinds of values, arguments."""

from __future__ import annotations

import ast
import builtins
import difflib
import re
import sys
from collections.abc import Iterator

from labkit.exercises.diagnosis.code import Code, Failed, Finding, Function, Rule, calls, last, own, text


def local_name(code: Code, failed: Failed) -> Iterator[Finding]:
    """A name that a function gives a value, and that was meant to be the object's, or the file's."""
    found = re.search(r"UnboundLocalError: \D*'(\w+)'(?:.*?line (\d+))?", failed.text)
    if found is None:
        return
    name, line = found[1], int(found[2] or 0)
    words = f"this function gives `{name}` a value, so `{name}` is its own, and has none yet"
    if any(node.attr == name for node in code.all(ast.Attribute) if last(node.value) == "self"):
        words += f". Is self.{name} meant?"
    elif any(name == last(t) for s in code.tree.body if isinstance(s, ast.Assign) for t in s.targets):
        words += f". For the one of the file, say: global {name}"
    yield Finding("a name of the function's own", line, words)


def unknown_name(code: Code, failed: Failed) -> Iterator[Finding]:
    found = re.search(r"NameError: name '(\w+)' is not defined(?:.*?line (\d+))?", failed.text)
    if found is None:
        return
    name, line = found[1], int(found[2] or 0)
    bound = {n.id for n in code.all(ast.Name) if isinstance(n.ctx, ast.Store)} | set(code.functions)
    bound |= (
        {a.arg for a in code.all(ast.arg)} | {c.name for c in code.all(ast.ClassDef)} | set(dir(builtins))
    )
    bound |= {(a.asname or a.name).partition(".")[0] for a in code.all(ast.alias)}
    if any(node.attr == name for node in code.all(ast.Attribute) if last(node.value) == "self"):
        yield Finding("self. is missing", line, f"`{name}`: of the object it is self.{name}")
    elif name in sys.stdlib_module_names:
        yield Finding("import is missing", line, f"`{name}` is a module: import {name}")
    elif near := difflib.get_close_matches(name, bound - {name}, 1, 0.7):
        yield Finding("misspelt name", line, f"`{name}` is nowhere given a value. Is {near[0]} meant?")


def unknown_attribute(code: Code, failed: Failed) -> Iterator[Finding]:
    found = re.search(
        r"AttributeError: '(\w+)' object has no attribute '(\w+)'(?:.*?line (\d+))?", failed.text
    )
    if found is None:
        return
    kind, name, line = found[1], found[2], int(found[3] or 0)
    if kind == code.wants and name in code.methods:
        return  # see misspelt_method
    if kind == "NoneType":
        words = f"what should have `{name}` is None: which call gave it, and when does that return None?"
        yield Finding("None is used", line, words)
        return
    owner = next((c for c in code.all(ast.ClassDef) if c.name == kind), None)
    if owner is not None:
        has = {
            n.attr for n in ast.walk(owner) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)
        }
        has |= {f.name for f in owner.body if isinstance(f, Function)}
    else:
        has = set(dir(getattr(builtins, kind, None))) if hasattr(builtins, kind) else set()
    if near := difflib.get_close_matches(name, has - {name}, 1, 0.6):
        yield Finding("misspelt name", line, f"`.{name}`: a {kind} has .{near[0]}")


MIXED = (
    r"a bytes-like object is required, not 'str'|can't concat str to bytes|must be str, not bytes"
    r"|can only concatenate str \(not \"bytes\"\)|first arg must be (?:bytes|str) or a tuple"
    r"|a bytes-like object is required, not 'list'|cannot use a (?:string|bytes) pattern"
)


def mixes_bytes_and_text(code: Code, failed: Failed) -> Iterator[Finding]:
    found = re.search(rf"({MIXED})[^\n]*?(?:line (\d+)|$)", failed.text, re.MULTILINE)
    if found is not None:
        line = int(found[2] or 0)
        words = f"`{code.line(line)[:70]}` mixes bytes and str. " if line else ""
        words += "A socket takes and gives bytes: text.encode() makes bytes, data.decode() makes text"
        yield Finding("bytes and str are mixed", line, words)


def other_parameters(code: Code, failed: Failed) -> Iterator[Finding]:
    if not failed.tells("positional argument", "unexpected keyword argument"):
        return
    for name, function in code.entries.items():
        if name not in code.methods:
            continue
        ours = [a.arg for a in code.methods[name].args.args if a.arg != "self"]
        theirs = [a.arg for a in function.args.posonlyargs + function.args.args if a.arg != "self"]
        needed = len(theirs) - len(function.args.defaults)
        if not needed <= len(ours) <= len(theirs) and function.args.vararg is None:
            words = f"{name}({', '.join(theirs)}): the task calls it with ({', '.join(ours)})"
            yield Finding("other parameters", function.lineno, words)


def calls_itself(code: Code, failed: Failed) -> Iterator[Finding]:
    if not failed.tells("RecursionError"):
        return
    for function in code.all(ast.FunctionDef):
        for node in own(function):
            name = text(node.func) if isinstance(node, ast.Call) else ""
            by_name = name in (function.name, f"self.{function.name}")
            by_property = function.decorator_list and text(node) == f"self.{function.name}"
            if by_name or by_property:
                words = f"{function.name} calls itself here. Which call of it would not?"
                yield Finding("calls itself", getattr(node, "lineno", 0), words)


def shadows_builtin(code: Code, failed: Failed) -> Iterator[Finding]:
    if not failed.tells("is not callable", "isinstance() arg 2", "UnboundLocalError"):
        return
    for name in code.all(ast.Name):
        if isinstance(name.ctx, ast.Store) and name.id in dir(builtins) and not name.id.startswith("_"):
            words = f"here `{name.id}`, a name of Python's own, gets another value. Call it something else"
            yield Finding("hides a name of Python's", name.lineno, words)


def arguments_of_thread(code: Code, failed: Failed) -> Iterator[Finding]:
    for call in code.all(ast.Call):
        given = next((k.value for k in call.keywords if k.arg == "args"), None)
        if not calls(call, "Thread", "Process") or not isinstance(given, ast.Name | ast.Attribute):
            continue
        if failed.tells("argument after * must be an iterable", "positional argument"):
            words = f"`args={text(given)}` is no tuple. One of one item has a comma in it: ({text(given)},)"
            yield Finding("args= is no tuple", given.lineno, words)


RULES: tuple[Rule, ...] = (
    local_name, unknown_name, unknown_attribute, mixes_bytes_and_text, arguments_of_thread,
    other_parameters, shadows_builtin, calls_itself,
)  # fmt: skip
