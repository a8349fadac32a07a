"""A copy of the notebooks to work in: `labkit lab DIR` lays it into DIR.

It holds the exercises without solutions, the walkthrough without what it prints, which asks for guesses
(predicting.py), its map, and the pictures. What a student has changed since stays; a list of what was laid,
with hashes, tells what that is.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labkit.exercises.grading.notebooks import INSTALLED, NOTEBOOKS, PACKAGE, as_json, notebooks
from labkit.exercises.handout.predicting import asking

FIRST = "00_the_whole_chat.ipynb"
"""The first notebook of the walkthrough."""

LIST = ".labkit-notebooks.json"
"""The file in the copy that tells what was laid: `files`, with the SHA-256 of each."""


class CannotLay(Exception):
    """No copy can be laid there; the text says why."""


@dataclass(frozen=True, slots=True)
class Laid:
    """What has become of the files, by their paths in the copy."""

    new: list[str] = field(default_factory=list)
    renewed: list[str] = field(default_factory=list)  # nobody had changed them; the kit has
    kept: list[str] = field(default_factory=list)  # somebody's work


def contents() -> Iterator[tuple[str, bytes]]:
    """Each file of a copy: its path, with /, and what is in it."""
    for name, text in notebooks(["exercises"]).items():
        yield name, text.encode()
    for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")):
        yield path.name, _unrun(path.read_text(encoding="utf-8")).encode()
    yield "README.md", (NOTEBOOKS / "README.md").read_bytes()
    for path in sorted((NOTEBOOKS / "images").glob("*.png")):
        yield f"images/{path.name}", path.read_bytes()


def is_copy(folder: Path) -> bool:
    """Whether a copy was laid there."""
    return (folder / LIST).is_file()


def lay(folder: Path) -> Laid:
    """Lay a copy into this folder, or complete and renew the one that is there.

    A file that is there and differs is left as it is, unless it is as it was laid.

    Raises:
        CannotLay: the folder is labkit's own; or what is to be copied is missing.
        OSError: something cannot be read or written.
    """
    check_not_ours(folder)
    files = {name: _alone(data) for name, data in contents()}
    if FIRST not in files:
        raise CannotLay(f"no notebook at {NOTEBOOKS / FIRST}: this labkit is not complete")
    folder.mkdir(parents=True, exist_ok=True)
    before, laid = _hashes(folder), Laid()
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("xb") as file:
                file.write(data)
            laid.new.append(name)
        except FileExistsError:
            there = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            if there == data:
                continue
            if not there or _hash(there) != before.get(name):
                laid.kept.append(name)
                continue
            _replace(path, data)
            laid.renewed.append(name)
    hashes = {name: _hash(data) for name, data in files.items()}
    # Of what somebody has changed, the list still tells how it was.
    hashes |= {name: before[name] for name in laid.kept if name in before}
    if hashes != before:
        _replace(folder / LIST, (json.dumps({"files": hashes}, indent=1, sort_keys=True) + "\n").encode())
    return laid


def check_not_ours(folder: Path) -> None:
    """Raise CannotLay if this folder is labkit's own: nobody's work belongs there."""
    ours = [PACKAGE.parent] if INSTALLED else [PACKAGE, NOTEBOOKS, PACKAGE.parent / "tests"]
    for own in ours:
        if folder.resolve().is_relative_to(own):
            raise CannotLay(f"{folder} is in {own}, where labkit itself is: choose another folder")


def _unrun(text: str) -> str:
    """The notebook as if it had never been run, with a guess asked for before each answer."""
    cells: list[dict[str, Any]] = asking(json.loads(text)["cells"])
    for cell in cells:
        cell["metadata"] = {key: value for key, value in cell["metadata"].items() if key == "jupyter"}
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    return as_json(cells)


def _alone(data: bytes) -> bytes:
    """Without links to labkit's files, which need not be beside a copy: `[x](../labkit/y.py)`."""
    return re.sub(rb"\[([^\[\]]+)\]\(\.\./(labkit/[^)\s]+)\)", rb"\1 (in `\2`)", data)


def _hashes(folder: Path) -> dict[str, str]:
    """What the list in this folder tells; nothing if there is none, or none that can be read."""
    try:
        return dict(json.loads((folder / LIST).read_bytes())["files"])
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def _replace(path: Path, data: bytes) -> None:
    """Write the file at once: who looks finds it as it was, or as it is to be."""
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(data)
    os.replace(part, path)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
