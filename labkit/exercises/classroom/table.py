"""The grades, as rows of a CSV file: written whole after each submission, and read again by the next run.

UTF-8 with a BOM, or Excel would take it for another encoding; CR LF, as RFC 4180 has it. A text that a
spreadsheet would compute (`=…`, `+…`, `-…`, `@…`) has an apostrophe before it.
"""

from __future__ import annotations

import csv
import io
import os
import re
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from labkit.wire.text import clean

RIGHT, WRONG = "right", "wrong"
TIMED_OUT, CRASHED, NOT_LOADED, NAME_MISSING = "timed out", "crashed", "not loaded", "name missing"
NOT_READABLE, MISSING, NOT_JUDGED, BROKEN = "not readable", "missing", "not judged", "broken"
"""A row's state.

right: all steps hold. wrong: one does not. timed out, crashed: what came instead of its end. not loaded:
an error before the first step. name missing: the file defines no such name. not readable: the file is no
Python source. missing: there is no file. not judged: the machine was too busy, alone too. broken: the check
itself failed.
"""

TO_DO = (NOT_JUDGED, BROKEN)
"""The states that are no grade: the next run tries these again."""

_FORMULA = re.compile(r"'*\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")


@dataclass(frozen=True, slots=True)
class Row:
    """A student's grade for an exercise. `of` is the points that there are, `bug` the failure's clue."""

    student: str
    exercise: str
    points: int
    of: int
    step: str = ""
    bug: str = ""
    seconds: float = 0.0
    file: str = ""
    sha256: str = ""
    state: str = MISSING
    suspicious: str = ""
    note: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return shown(self.student), self.exercise


COLUMNS = tuple(field.name for field in fields(Row))


class NoTable(Exception):
    """This file is no table of grades; the text says why."""


class Table:
    """The rows of a CSV file, by student and exercise.

    Args:
        path: of the file; None keeps the rows here alone.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.rows: dict[tuple[str, str], Row] = {}

    def read(self) -> None:
        """Take over what the file has, if it is there.

        Raises:
            NoTable: it is something else, and must not be overwritten.
            OSError: it cannot be read.
        """
        if self.path is None or not self.path.exists():
            return
        try:
            for row in parsed(self.path.read_text(encoding="utf-8-sig")):
                self.rows[row.key] = row
        except (ValueError, csv.Error) as error:
            raise NoTable(f"{self.path} is no table of grades of ours ({error})") from None

    def put(self, row: Row) -> None:
        self.rows[row.key] = row

    def write(self) -> None:
        """Write all rows; the file has the old ones or the new ones, whatever happens meanwhile.

        Raises:
            OSError: it cannot be written. With `filename`, if the rows are there instead.
        """
        if self.path is not None:
            replace(self.path, in_order(self.rows.values()))


def in_order(rows: Iterable[Row]) -> str:
    """The rows as the text of a CSV file, without its BOM."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for row in sorted(rows, key=lambda row: (row.student.casefold(), row.student, row.exercise)):
        writer.writerow([guarded(value) if isinstance(value, str) else value for value in astuple(row)])
    return out.getvalue()


def parsed(text: str) -> list[Row]:
    """The rows of such a text. A spreadsheet may have put semicolons or tabs between the cells.

    Raises:
        ValueError: it is no such table.
    """
    first = text.partition("\n")[0].strip("\r")
    between = next((mark for mark in ",;\t" if first.split(mark)[:2] == list(COLUMNS[:2])), "")
    if not between:
        raise ValueError(f"it does not begin with {', '.join(COLUMNS[:2])}, …")
    rows = []
    for cells in csv.DictReader(io.StringIO(text, newline=""), delimiter=between):
        if None in cells or set(cells) != set(COLUMNS):
            raise ValueError("its columns are others")
        values = {name: unguarded(value or "") for name, value in cells.items()}
        numbers = {name: int(values.pop(name)) for name in ("points", "of")}
        seconds = float(values.pop("seconds").replace(",", "."))
        rows.append(Row(**values, **numbers, seconds=seconds))  # type: ignore[arg-type]  # all others are str
    return rows


def shown(text: str) -> str:
    """A text as it is written: in one line, without control characters."""
    return clean(" ".join(text.split()))


def guarded(text: str) -> str:
    """A cell that no spreadsheet computes."""
    text = shown(text)
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(text: str) -> str:
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def replace(path: Path, text: str, encoding: str = "utf-8-sig") -> None:
    """Write a file in such a way that it has its old text or its new one, never a part.

    Raises:
        OSError: it cannot be written; or not replaced, as when Excel has it open: then the error's
            `filename` is where the new text is.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent)
    try:
        with open(handle, "w", encoding=encoding, errors="backslashreplace", newline="") as file:
            file.write(text)
        os.chmod(name, _mode(path))
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
    try:
        os.replace(name, path)
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror}; what it was to hold is in {name}", name) from None


def _mode(path: Path) -> int:
    """The permissions that it has, or that a new file gets."""
    with suppress(OSError):
        return path.stat().st_mode & 0o777
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask
