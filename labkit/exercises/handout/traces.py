"""Whether something of an answer is left in a text: in a file that students get, for one.

A trace is one to three lines of an answer that follow each other, and are long together. Their indentation
and the empty lines between them do not count. What students are given is no trace: the stub and the hints.
Traces of few short lines stand elsewhere, too: many a program starts its threads in a loop, and joins them
in one.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from labkit.exercises.catalogue import NAMES, exercise_called
from labkit.exercises.catalogue.judge import JUDGE

LONG_ENOUGH = 45
"""Characters that the lines of a trace have together."""

TOO_MANY = 4
"""So many different lines of one answer stand nowhere by chance; nor does one that alone is LONG_ENOUGH."""

Trace = tuple[str, ...]


class Traces:
    """The traces of these answers.

    Args:
        answers: their sources, by name.
        given: texts whose lines are no traces.
    """

    def __init__(self, answers: Mapping[str, str], given: Iterable[str]) -> None:
        known = {line for text in given for line in _lines(text)}
        self._names: dict[Trace, set[str]] = {}  # of the answers that it stands in
        for name, source in answers.items():
            for trace in _runs(_lines(source)):
                secret = not any(line in known or line.startswith(("import ", "from ")) for line in trace)
                if secret and sum(map(len, trace)) >= LONG_ENOUGH:
                    self._names.setdefault(trace, set()).add(name)

    def left_in(self, path: str, data: bytes) -> set[str]:
        """The names of the answers of which something stands in this file, also within a string in it."""
        return {name for text in _texts(path, data.decode("utf-8", "replace")) for name in self._left(text)}

    def _left(self, text: str) -> Iterator[str]:
        found: dict[str, set[str]] = {}  # by the name of the answer, its lines
        for trace in _runs(_lines(text)):
            for name in self._names.get(trace, ()):
                found.setdefault(name, set()).update(trace)
                if len(trace) == 1 or len(found[name]) >= TOO_MANY:
                    yield name


def of_all_exercises() -> Traces:
    """Those of the answers, of the other right ones, and of the wrong versions."""
    answers, given = {"judge": JUDGE.answer}, [JUDGE.stub]
    for name in NAMES:
        exercise = exercise_called(name)
        answers[name] = exercise.solution
        answers |= {f"{name}: {style}": exercise.other(style) for style in exercise.others}
        answers |= {f"{name}: {wrong.name}": exercise.version(wrong) for wrong in exercise.wrong}
        given.append(exercise.stub)
        for step in exercise.steps:
            given += [*step.hints, *(hint for hints in step.hints_by_clue.values() for hint in hints)]
    return Traces(answers, given)


def _lines(text: str) -> list[str]:
    return [line for line in map(str.strip, text.splitlines()) if line]


def _runs(lines: list[str]) -> Iterator[Trace]:
    """One, two and three lines that follow each other."""
    for length in (1, 2, 3):
        yield from (tuple(lines[at : at + length]) for at in range(len(lines) - length + 1))


def _texts(path: str, text: str) -> Iterator[str]:
    """The text, and those within it: the strings of a module, the cells of a notebook."""
    yield text
    if path.endswith(".py"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
    if path.endswith(".ipynb"):
        yield from _strings(json.loads(text))


def _strings(value: Any) -> Iterator[str]:
    """All strings in a JSON value; a list of strings is one text, in lines."""
    match value:
        case str():
            yield value
        case [str(), *_]:
            yield "".join(map(str, value))
        case list():
            for one in value:
                yield from _strings(one)
        case dict():
            for one in value.values():
                yield from _strings(one)
