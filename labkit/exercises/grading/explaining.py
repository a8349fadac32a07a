"""What is said of a check beside what was seen: which lines to look at, and which code was judged."""

from __future__ import annotations

import inspect
import linecache
import re
import sys
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from labkit.exercises.diagnosis.code import Code, Failed, Finding
from labkit.exercises.diagnosis.finding import STUCK, look_at, look_at_file
from labkit.exercises.exercise import Exercise
from labkit.exercises.general_hints import BUSY, WAITING

LONGEST = 100_000
"""Characters of source that are looked into: a student's has a few thousand."""


@dataclass(frozen=True, slots=True)
class Text:
    """The source of what is judged.

    Args:
        source: of the file; of a notebook's cell in which the name is defined.
        rest: of the notebook's other cells.
        cell: the number of that cell in its notebook, as In [n] shows it; None if it is none.
    """

    source: str
    rest: str = ""
    cell: int | None = None
    is_cell: bool = False

    def first_line(self, wants: str) -> str:
        """The line that defines the name, and where: so one who looks sees whether it is the newest."""
        defines = re.compile(
            rf"^\s*(class|def|async def)\s+{re.escape(wants)}\b.*|^{re.escape(wants)}\s*=.*"
        )
        lines = [line for line in self.source.split("\n") if line.strip()]
        line = next((line for line in reversed(lines) if defines.match(line)), lines[0] if lines else "")
        where = f"In [{self.cell}]" if self.cell is not None else "the cell"
        return f"{line.strip()[:70]}   ({where}, {len(lines)} lines)"


def text_of(code: Any, job: dict[str, Any]) -> Text | None:
    """The source of what was sent with this job; None if it is not known."""
    if job["source"] is not None:
        return Text(job["source"], is_cell=job["filename"].endswith(".ipynb"))
    functions = [code, *vars(code).values()] if inspect.isclass(code) else [code]
    name = next((f.__code__.co_filename for f in functions if inspect.isfunction(f)), None)
    sources = job["sources"]
    if name is not None and name not in sources and (lines := linecache.getlines(name)):
        return Text("".join(lines))  # it comes from a file
    if name is None or name not in sources:
        return None
    rest = "\n".join(text for other, text in sources.items() if other != name)
    return Text(sources[name], rest, _number_of_cell(name), True)


def _number_of_cell(filename: str | None) -> int | None:
    """The number that the notebook shows for this cell; None without IPython, or if it does not tell."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    numbers = getattr(getattr(shell, "compile", None), "_filename_map", {})
    return numbers.get(filename) if isinstance(numbers, dict) else None


def findings(
    exercise: Exercise, text: Text | None, step: str, seen: Collection[str], clue: str
) -> tuple[Finding, ...]:
    """What to look at in this source.

    Args:
        step: the step that failed; "" if the code could not be loaded.
        seen: what was expected, what was seen, and where the code was.
    """
    if text is None or len(text.source) > LONGEST:
        return ()
    expected, *others = seen
    told = "\0".join([expected, "\n".join(others)])
    try:
        if not step:
            at = [int(line) for line in re.findall(r"line (\d+)", "\n".join(others))]
            methods = set(Code(exercise.solution, exercise.wants, exercise.solution).methods)
            return look_at_file(text.source, exercise.wants, methods, told, at)
        code = Code(text.source, exercise.wants, exercise.solution, text.rest)
        stuck = clue in (BUSY, WAITING, "deadlock") or bool(STUCK.search(told))
        return look_at(code, Failed(step, told, stuck))
    except (
        Exception
    ):  # source that a rule is not made for: nothing is lost but a hint, and no point with it
        return ()
