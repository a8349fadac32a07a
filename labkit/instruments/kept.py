"""Files that a student's folder keeps: a record a line, as JSON, and lines are only ever appended.

So several programs may write at once, and lose nothing. A line that cannot be read counts for nothing: a
machine that went down may have left a part of one. That nothing can be written is no error: nobody's work
stops for it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LARGEST = 1_000_000
"""Bytes of a file that are read. A record takes about 100, and a student makes a few hundred."""


def records(path: Path) -> Iterator[dict[str, Any]]:
    """The records of this file, oldest first; none if it is not there, or cannot be read."""
    for line in _text(path).split("\n"):
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            yield found


def append(path: Path, record: dict[str, Any]) -> bool:
    """Append it, on a line of its own; returns whether it is written."""
    try:
        whole = _ends_a_line(path)
        with path.open("ab") as file:
            file.write(f"{'' if whole else chr(10)}{json.dumps(record)}\n".encode())
    except OSError:
        return False
    return True


def _text(path: Path) -> str:
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            return file.read(LARGEST).decode("utf-8", "replace")
    except OSError:
        return ""


def _ends_a_line(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            if file.seek(0, os.SEEK_END) == 0:
                return True
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"
    except FileNotFoundError:
        return True
