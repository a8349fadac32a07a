"""Which lines are steps, and what is in them.

A line is a step if its code is the user's: the workers' own file, and whatever is neither in the
standard library, nor in site-packages, nor in labkit. Code compiled from text, and the cells of a
notebook, count as the user's. A comprehension belongs to the line it stands on.

It reads code and runs none.
"""

from __future__ import annotations

import dis
import functools
import inspect
import linecache
import os
import re
import sysconfig
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

import labkit

_LIBRARY = tuple(
    os.path.normcase(os.path.join(folder, ""))
    for folder in {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
)
_LABKIT = os.path.normcase(os.path.join(os.path.dirname(labkit.__file__), ""))
_INSTALLED = re.compile(r"[\\/](site|dist)-packages[\\/]")
_PART_OF_A_LINE = {"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"}

_QUIET = {
    *("RESUME", "NOP", "CACHE", "EXTENDED_ARG", "LOAD_CONST", "LOAD_SMALL_INT", "POP_TOP", "COPY", "SWAP"),
    *("JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT", "NOT_TAKEN"),
}
_QUIET_NAMES = re.compile(r"(LOAD|STORE)_FAST")

_TAKES_A_LOCK = re.compile(r"with [\w.\[\]'\"]+:|[\w.\[\]'\"]+\.acquire\(\)")


@dataclass(frozen=True, slots=True)
class Place:
    """A line, where a thread can stand."""

    file: str
    line: int
    function: str
    source: str  # without its indentation; "" if unavailable
    quiet: bool = False  # it touches nothing but local names, so other workers cannot tell when it runs
    leaving: bool = False  # the `with` line again, at the end of its block
    code: CodeType | None = None  # kept, so that its id stays its own

    @property
    def text(self) -> str:
        """The line as it is shown."""
        if not self.source:
            return f"line {self.line}" if self.line else "(code that cannot be seen)"
        return f"end of {self.source}" if self.leaving else self.source

    @property
    def takes_a_lock(self) -> bool:
        """It does this, and nothing else."""
        return not self.leaving and _TAKES_A_LOCK.fullmatch(self.source) is not None


NOWHERE = Place("", 0, "", "")


class Lines:
    """Knows the lines of some workers; looks at each only once.

    Args:
        workers: functions whose files are the user's, wherever they are.
    """

    def __init__(self, workers: Iterable[Callable[..., Any]]) -> None:
        codes = [getattr(plain(worker), "__code__", None) for worker in workers]
        self._files = {code.co_filename for code in codes if code}
        for file in self._files:
            linecache.checkcache(file)  # it may have been edited since it was last shown
        self._theirs: dict[int, tuple[bool, CodeType]] = {}
        self._places: dict[tuple[int, int], Place] = {}

    def theirs(self, frame: FrameType) -> bool:
        """Whether the lines of this frame are steps."""
        code = frame.f_code
        known = self._theirs.get(id(code))
        if known is None:
            known = self._theirs[id(code)] = self._is_theirs(code, frame.f_globals), code
        return known[0]

    def _is_theirs(self, code: CodeType, names: dict[str, Any]) -> bool:
        file = code.co_filename
        if code.co_name in _PART_OF_A_LINE or file.startswith("<frozen"):
            return False
        if file == "<string>":  # what dataclasses and namedtuple write by themselves is not the user's
            written = str(names.get("__name__")).startswith("namedtuple_")
            return not (written or code.co_qualname.startswith("__create_fn__"))
        if file in self._files:
            return True
        path = os.path.normcase(file)
        return not (path.startswith((_LABKIT, *_LIBRARY)) or _INSTALLED.search(path))

    def at(self, frame: FrameType, offset: int | None = None, line: int | None = None) -> Place:
        """Where this frame stands. `offset`, `line`: or stood, in a traceback."""
        code = frame.f_code
        offset = frame.f_lasti if offset is None else offset
        place = self._places.get((id(code), offset))
        if place is None:
            line = frame.f_lineno if line is None else line
            source = linecache.getline(code.co_filename, line, frame.f_globals).strip()
            quiet, leaving = _inside(code, offset, line, source)
            place = Place(code.co_filename, line, code.co_name, source, quiet, leaving, code)
            self._places[id(code), offset] = place
        return place


def plain(worker: Callable[..., Any]) -> Any:
    """The function in a partial, a method or an object that can be called."""
    while isinstance(worker, functools.partial):
        worker = worker.func
    if not hasattr(worker, "__code__") and not hasattr(worker, "__func__"):
        worker = getattr(worker, "__call__", worker)  # noqa: B004  # the method itself is wanted
    return inspect.unwrap(getattr(worker, "__func__", worker))


def _inside(code: CodeType, offset: int, line: int, source: str) -> tuple[bool, bool]:
    """Whether the piece of a line that begins here is quiet; whether it leaves a `with` block."""
    starts = [(at, number) for at, number in dis.findlinestarts(code) if number is not None]
    end = min((at for at, _ in starts if at > offset), default=len(code.co_code))
    piece = [i.opname for i in dis.get_instructions(code) if offset <= i.offset < end]
    quiet = all(name in _QUIET or _QUIET_NAMES.match(name) for name in piece)
    first = min((at for at, number in starts if number == line), default=offset)
    return quiet and bool(piece), source.startswith("with ") and offset > first


def listing(code: CodeType) -> list[str]:
    """The lines of a function, without their common indentation; empty if unavailable."""
    lines = linecache.getlines(code.co_filename)[code.co_firstlineno - 1 :]
    if not lines:
        return []
    block = inspect.getblock(lines) if code.co_name != "<module>" else lines
    indent = min((len(text) - len(text.lstrip()) for text in block if text.strip()), default=0)
    return [text[indent:].rstrip() for text in block]
