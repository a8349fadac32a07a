"""Whose file is which, and for which exercise: folders of submissions, as they come.

The student's name is found, in this order,

1. in a folder's or a file's name as Moodle, Canvas, Blackboard and Brightspace write it:
   `Ann Lee_12345_assignsubmission_file_/x.py` is Ann Lee's,
2. as the first folder below the one that was named: `submitted/ann/…/x.py` is ann's,
3. as the file's name, without its ending and the exercise's name: `submitted/ann_framing.py` is ann's.
   `framing.py` alone names no one: it belongs to its folder.

Where several folders are named, and none has two files for one exercise, each is a student's.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from labkit.exercises.grading.submission import LARGEST

AUTO, BY_FILE, BY_FOLDER = "auto", "file", "folder"
"""How to find the student's name: see above; always in the file's name; always in its folder's."""

ENDINGS = (".py", ".ipynb", ".pyw", ".py.txt", ".ipynb.txt", ".ipynb.json")
"""What a submission's name ends with; the last three are what editors and browsers make of the others."""

SKIPPED = {"__pycache__", "__MACOSX", "node_modules", "site-packages", "venv", "env"}
"""Folders that no student has written. Those that begin with a dot are skipped as well."""

_LMS = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?P<name>.+?)_(?P<id>\d+)_assignsubmission_(?:file|onlinetext)(?:_(?P<rest>.*))?",  # Moodle
        r"(?P<name>[^_]+)_(?:LATE_)?(?P<id>\d+)_\d+_(?P<rest>.+)",  # Canvas
        r".+?_(?P<name>[^_]+)_attempt_[\d-]+(?P<id>)(?:_(?P<rest>.*))?(?:\.\w+)?",  # Blackboard
        r"(?P<id>\d+-\d+) ?- (?P<name>.+?) - .*(?P<rest>)",  # Brightspace
    )
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """An exercise that is graded: its name, and the name that its answer defines."""

    exercise: str
    name: str

    def defined_in(self, text: str) -> bool:
        name = re.escape(self.name)
        return bool(
            re.search(rf"\b(?:def|class)\s+{name}\b|^\s*{name}\s*(?::[^=\n]+)?=", text, re.MULTILINE)
        )


@dataclass(frozen=True, slots=True)
class Submission:
    """What a student handed in for an exercise.

    Args:
        student, exercise: their names.
        wants: the name that the exercise's answer defines.
        file: what is judged; None if there is nothing.
        called: the file's name, without what a learning platform put before it.
        beside: the student's other Python files, by the name that the judged one may import them by.
        note: what a teacher should know of how the file was found.
    """

    student: str
    exercise: str
    wants: str
    file: Path | None
    called: str = ""
    beside: tuple[tuple[str, Path], ...] = ()
    note: str = ""


@dataclass(slots=True)
class _Owner:
    """A student, by the name, by the number that a platform gave, and by the folder that was named."""

    name: str
    number: str
    root: Path
    files: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)  # that are no Python
    trouble: str = ""  # why a folder of this student cannot be opened

    def __post_init__(self) -> None:
        self.name = re.sub(r"\s+", " ", self.name).strip() or "?"


def find(paths: Sequence[Path], wanted: Sequence[Wanted], by: str = AUTO) -> list[Submission]:
    """A submission for each student and exercise, in the order of their names.

    Raises:
        FileNotFoundError: there is no such file or folder.
    """
    for path in paths:
        path.stat()
    texts = _Texts()
    owners: dict[tuple[str, str, Path], _Owner] = {}
    own = by == AUTO and _one_each(paths, wanted, texts)
    for path in map(_unwrapped, paths):
        files = list(_files(path))
        if by != BY_FILE:
            files += _empty(path, [file for file, _ in files], own)
        for file, trouble in files:
            name, number = _owner_of(file, path, wanted, by, own)
            if not name:
                continue
            owner = owners.setdefault((name, number, path), _Owner(name, number, path))
            owner.trouble = owner.trouble or trouble
            if not trouble:
                (owner.files if is_submission(file) else owner.others).append(file)
    people = _people(list(owners.values()), wanted, texts)
    found = [
        _submission(student, owner, one, wanted, texts)
        for student, owner in people.items()
        for one in wanted
    ]
    order = [one.exercise for one in wanted]
    return sorted(found, key=lambda s: (s.student.casefold(), s.student, order.index(s.exercise)))


def is_submission(file: Path) -> bool:
    return file.name.lower().endswith(ENDINGS)


# --- files ---


def _files(path: Path) -> Iterator[tuple[Path, str]]:
    """The files in this folder and below; or what cannot be read, and why."""
    if not path.is_dir():
        yield path, "" if path.is_file() else f"{path} is no file"
        return
    troubles: list[OSError] = []
    for folder, folders, files in os.walk(path, onerror=troubles.append):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in SKIPPED)
        for name in folders:
            if not os.access(Path(folder, name), os.R_OK | os.X_OK):
                troubles.append(PermissionError(0, "it cannot be opened", str(Path(folder, name))))
        for file in (Path(folder, name) for name in sorted(files) if not name.startswith(".")):
            if file.is_symlink():  # it may lead to any file of the teacher's
                yield file, f"{file} is a link to another file, which is not followed"
            elif file.is_file():
                yield file, ""
    for error in {str(error.filename): error for error in troubles}.values():
        yield Path(str(error.filename)), f"cannot read {error.filename}: {error.strerror}"


def _empty(path: Path, files: Sequence[Path], own: bool) -> Iterator[tuple[Path, str]]:
    """The students' folders in which there is no file: their students have handed in nothing.

    Args:
        own: the folder itself is a student's.
    """
    if own:
        if not files:
            yield path, f"{path} has no file in it"
    elif path.is_dir() and not any(file.parent == path and is_submission(file) for file in files):
        full = {file.relative_to(path).parts[:1] for file in files}
        with contextlib.suppress(OSError):  # that is told already
            for entry in sorted(path.iterdir()):
                skipped = entry.name.startswith(".") or entry.name in SKIPPED
                if entry.is_dir() and not skipped and (entry.name,) not in full:
                    why = "is a link, which is not followed" if entry.is_symlink() else "has no file in it"
                    yield entry, f"{entry} {why}"


def _unwrapped(path: Path) -> Path:
    """The folder that holds the students': an archive often has one folder around them all."""
    while path.is_dir():
        try:
            entries = [entry for entry in path.iterdir() if not entry.name.startswith((".", "__"))]
            folders = [entry for entry in entries if entry.is_dir() and not entry.is_symlink()]
            if len(folders) != 1 or any(map(is_submission, entries)) or _platform(folders[0].name):
                break
            inner = [e for e in folders[0].iterdir() if e.is_dir() and not e.name.startswith((".", "__"))]
        except OSError:
            break
        if not inner or any(map(is_submission, folders[0].iterdir())):
            break
        path = folders[0]
    return path


class _Texts:
    """What files hold, as far as a search for a name needs it; each is read once."""

    def __init__(self) -> None:
        self._texts: dict[Path, str] = {}

    def of(self, file: Path) -> str:
        if file not in self._texts:
            self._texts[file] = text_of(file)
        return self._texts[file]


def text_of(file: Path) -> str:
    """What it holds, well enough to look for a name in it; "" if it cannot be read."""
    try:
        if not file.is_file():
            return ""
        with file.open("rb") as opened:
            data = opened.read(LARGEST)
    except OSError:
        return ""
    text = data.replace(b"\0", b"").decode("utf-8", "replace")  # so UTF-16, too, shows its ASCII
    return text.replace("\\n", "\n").replace('"', "\n") if ".ipynb" in file.name.lower() else text


# --- names ---


def _platform(name: str) -> re.Match[str] | None:
    return next((match for pattern in _LMS if (match := pattern.fullmatch(name))), None)


def _owner_of(file: Path, root: Path, wanted: Sequence[Wanted], by: str, own: bool) -> tuple[str, str]:
    """The name and the number of the student whose file this is; "" for no one's."""
    parts = file.relative_to(root).parts if file != root else (file.name,)
    for part in parts if by == AUTO else ():
        if match := _platform(part):
            return match["name"], match["id"]
    if by == BY_FOLDER or own:
        return (root if own else file if file.is_dir() else file.parent).resolve().name, ""
    if len(parts) > 1 and by == AUTO:
        return parts[0], ""
    if file.is_dir():
        return file.name, ""
    if not is_submission(file):
        return "", ""
    return _without(_stem(file.name), wanted) or file.resolve().parent.name, ""


def _stem(name: str) -> str:
    ending = max((e for e in ENDINGS if name.lower().endswith(e)), key=len, default="")
    return name[: len(name) - len(ending)]


def _without(stem: str, wanted: Iterable[Wanted]) -> str:
    """The name without an exercise's: `ann_framing` is ann's, `framing (1)` no one's."""
    for one in wanted:
        words = rf"{re.escape(one.exercise)}|{re.escape(one.name)}"
        stem = re.sub(rf"(?i)(?:^|[\W_]+)(?:{words})(?=[\W_]|$)(?:\s*\(\d+\))?", "", stem)
    return stem.strip("_-. ")


def _one_each(paths: Sequence[Path], wanted: Sequence[Wanted], texts: _Texts) -> bool:
    """Whether each of several folders that were named is one student's."""
    if len(paths) < 2 or not all(path.is_dir() for path in paths):
        return False
    for path in paths:
        entries = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
        direct = [file for file in entries if is_submission(file)]
        if (entries and not direct) or any(
            sum(one.defined_in(texts.of(file)) for file in direct) > 1 for one in wanted
        ):
            return False
    return True


def _people(owners: list[_Owner], wanted: Sequence[Wanted], texts: _Texts) -> dict[str, _Owner]:
    """The owners by names that tell them apart. One name in two folders is one student, unless both have
    something for the same exercise."""
    by_name: dict[str, list[_Owner]] = {}
    for owner in owners:
        by_name.setdefault(owner.name, []).append(owner)
    people: dict[str, _Owner] = {}
    for name, same in by_name.items():
        numbers = {owner.number for owner in same if owner.number}
        clash = any(
            sum(any(one.defined_in(texts.of(file)) for file in owner.files) for owner in same) > 1
            for one in wanted
        )
        if len(same) > 1 and len(numbers) < 2 and not clash:
            first, *rest = same
            for owner in rest:
                first.files += owner.files
                first.others += owner.others
            same = [first]
        for owner in same:
            people[_told_apart(name, owner, same, people)] = owner
    return people


def _told_apart(name: str, owner: _Owner, same: list[_Owner], taken: Iterable[str]) -> str:
    if len(same) == 1:
        return name
    numbers = [other.number for other in same]
    if owner.number and numbers.count(owner.number) == 1:
        return f"{name} ({owner.number})"
    label = f"{owner.root.resolve().name}/{name}"
    return label if label not in taken else f"{owner.root}/{name}"


# --- which file ---


def _submission(
    student: str, owner: _Owner, one: Wanted, wanted: Sequence[Wanted], texts: _Texts
) -> Submission:
    candidates = [file for file in owner.files if one.defined_in(texts.of(file))]
    fitting = [file for file in owner.files if named(file, one.exercise)]
    if not candidates:
        candidates = fitting or (owner.files if len(wanted) == 1 or len(owner.files) == 1 else [])
    if not candidates:
        return Submission(student, one.exercise, one.name, None, note=_nothing(owner, one))
    chosen = max(candidates, key=lambda file: (file in fitting, _changed(file), file.name))
    note = ""
    if len(candidates) > 1:
        names = ", ".join(file.name for file in candidates if file != chosen)
        note = f"{len(candidates)} files would do; not judged: {names}"
    return Submission(
        student, one.exercise, one.name, chosen, _called(chosen), tuple(_beside(chosen, owner)), note
    )


def named(file: Path, exercise: str) -> bool:
    """Whether the file's name has the exercise's in it, as a word."""
    return exercise in re.split(r"[\W_]+", _stem(file.name).lower())


def _nothing(owner: _Owner, one: Wanted) -> str:
    if owner.trouble:
        return owner.trouble
    if owner.files:
        return f"none of {len(owner.files)} files defines {one.name}"
    names = ", ".join(sorted(file.name for file in owner.others)[:5])
    return f"no .py and no .ipynb; only {names}" if names else "nothing was handed in"


def _changed(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def _called(file: Path) -> str:
    match = _platform(file.name)
    return (match["rest"] or file.name) if match else file.name


def _beside(chosen: Path, owner: _Owner) -> Iterator[tuple[str, Path]]:
    """What the chosen file may import: the student's Python files beside it, and in folders below."""
    for file in owner.files[:200]:
        if file != chosen and file.name.lower().endswith(".py") and chosen.parent in file.parents:
            yield str(file.relative_to(chosen.parent).with_name(_called(file))), file
