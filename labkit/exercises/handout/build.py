"""The student's edition: `python -m labkit exercises build --student --to FOLDER`.

The folder holds the notebooks and a labkit of its own, from the repository that this one is in: exercises
without solutions, walkthroughs without what they print, the catalogue without answers. The same
repository gives the same bytes.

It is written into an empty folder, or over an earlier edition in which nobody has worked since: a list of
what was written, with hashes, tells.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

from labkit import __version__
from labkit.exercises.catalogue import NAMES, exercise_called
from labkit.exercises.catalogue.judge import JUDGE
from labkit.exercises.grading.notebooks import NOTEBOOKS
from labkit.exercises.handout import own_copy, traces
from labkit.exercises.handout.stripping import CannotStrip, without_answers

ROOT = NOTEBOOKS.parent
CATALOGUE = "labkit/exercises/catalogue"

LIST = ".labkit-student.json"
"""The file that tells what was written: `files`, with the SHA-256 of each."""

Files = dict[str, bytes]
"""What is in a folder, by path, with /."""


class CannotBuild(Exception):
    """The student's edition cannot be made, or not there; the text says why."""


def edition() -> Files:
    """All that students get.

    Raises:
        CannotBuild: this is no repository, or an exercise is not written as expected, or an answer would
            get out.
    """
    if not (ROOT / "STUDENTS.md").is_file():
        raise CannotBuild(f"no STUDENTS.md in {ROOT}: the student's edition is made from the repository")
    laid = [(f"notebooks/{name}", data) for name, data in own_copy.contents()]
    files = dict(sorted([*_package(), *laid, *_pages()]))
    known = traces.of_all_exercises()
    for path, data in files.items():
        if not path.endswith(".png") and (left := known.left_in(path, data)):
            names = ", ".join(sorted(left))
            raise CannotBuild(f"{path} would hand out something of an answer ({names})")
    return files


def write(folder: Path) -> list[Path]:
    """Write the student's edition into this folder; returns the paths of its files.

    Raises:
        CannotBuild: as `edition`; or the folder holds what is no edition, or somebody's work.
        OSError: something cannot be read or written.
    """
    try:
        own_copy.check_not_ours(folder)
    except own_copy.CannotLay as error:
        raise CannotBuild(str(error)) from None
    before = _written(folder)
    files = edition()
    for name in before:
        (folder / name).unlink()
    for cache in sorted(folder.glob("**/__pycache__")):
        for compiled in cache.iterdir():
            compiled.unlink()
        cache.rmdir()
    hashes = {path: _hash(data) for path, data in files.items()}
    listed = json.dumps({"files": hashes}, indent=1, sort_keys=True) + "\n"
    paths = []
    for name, data in {LIST: listed.encode(), **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        paths.append(path)
    return paths


def drifted(folder: Path) -> list[Path]:
    """What in this folder is missing, or is not as it would be written today.

    Raises:
        CannotBuild: as `edition`.
    """
    wanted = {folder / path: data for path, data in edition().items()}
    return [path for path, data in wanted.items() if not path.is_file() or path.read_bytes() != data]


def _written(folder: Path) -> list[str]:
    """What an earlier edition in this folder consists of; nothing if the folder is empty, or not there.

    Raises:
        CannotBuild: something there is not as we wrote it.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise CannotBuild(f"{folder} is no folder")
    if not folder.exists() or not any(folder.iterdir()):
        return []
    try:
        hashes = dict(json.loads((folder / LIST).read_bytes())["files"])
    except (OSError, ValueError, TypeError, KeyError):
        raise CannotBuild(f"{folder} is not empty, and no student's edition: choose another") from None
    there = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or not (path.is_dir() or path.match("__pycache__/*.pyc"))
    ]
    found = {path.relative_to(folder).as_posix(): path for path in there}
    del found[LIST]
    for name, path in found.items():
        if path.is_symlink() or name not in hashes:
            raise CannotBuild(f"{path} is somebody's, and no part of the edition: choose another folder")
        if _hash(path.read_bytes()) != hashes[name]:
            raise CannotBuild(f"somebody has worked in {path} since it was written: choose another folder")
    return [*found, LIST]


def _package() -> Iterator[tuple[str, bytes]]:
    """labkit's own files, the catalogue's without answers."""
    stubs = {f"{CATALOGUE}/{name}.py": exercise_called(name).stub for name in NAMES}
    stubs[f"{CATALOGUE}/judge.py"] = JUDGE.stub
    for path in sorted((ROOT / "labkit").rglob("*.py")):
        if not path.stem.isidentifier() or not (path.parent / "__init__.py").exists():
            continue  # an editor's backup, or its copy in a hidden folder
        name, source = path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
        if name in stubs:
            try:
                source = without_answers(source, stubs[name])
            except CannotStrip as error:
                raise CannotBuild(f"{name}: {error}") from None
        if name == f"{CATALOGUE}/__init__.py":
            source = _exchanged(name, source, "WITH_ANSWERS = True", "WITH_ANSWERS = False")
        if name == "labkit/__init__.py":
            source = _exchanged(name, source, f'"{__version__}"', f'"{__version__}+student"')
        yield name, source.encode()


def _pages() -> Iterator[tuple[str, bytes]]:
    """What stands beside the two: README, license, and what pip needs."""
    yield "README.md", _read("STUDENTS.md").encode()
    yield "LICENSE", _read("LICENSE").encode()
    yield "requirements.txt", _read("requirements.txt").encode()
    yield "setup.py", _read("setup.py").encode()
    sections = re.split(r"^(?=\[)", _read("pyproject.toml"), flags=re.MULTILINE)
    wanted = ("[build-system]", "[project", "[tool.setuptools")
    project = "".join(section for section in sections if section.startswith(wanted)).rstrip() + "\n"
    for extra in ("teach", "dev"):
        project, found = re.subn(rf"^{extra} = \[(.*|\n( .*\n)*)\]\n", "", project, flags=re.MULTILINE)
        if not found:
            raise CannotBuild(f"pyproject.toml: the extra {extra} is not written as expected")
    yield "pyproject.toml", project.encode()


def _exchanged(name: str, text: str, old: str, new: str) -> str:
    """The text with this, which stands in it once, exchanged."""
    if text.count(old) != 1:
        raise CannotBuild(f"{name}: {old!r} does not stand there once")
    return text.replace(old, new)


def _read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
