"""What a class expected: for each question of the walkthrough, how often each answer was guessed.

Counted is a student's last guess before the experiment ran. Those who guessed only when they had seen it
are told apart. As text for a terminal, and as a page; without names, unless they are asked for.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from labkit.exercises.classroom.feedback import page
from labkit.exercises.classroom.found import SKIPPED
from labkit.exercises.classroom.table import shown
from labkit.exercises.grading.notebooks import NOTEBOOKS
from labkit.exercises.handout.predicting import Asked, questions
from labkit.instruments.predictions import FILE, Guesses, Predictions

BAR = 20
"""Characters of the longest bar."""

TOLD = 8
"""The most frequent answers in students' own words that are told."""

ELSEWHERE = "Asked elsewhere"
"""The heading of questions that no notebook of this labkit asks."""


@dataclass(slots=True)
class Class:
    """What was found in the students' folders.

    Args:
        students: each with guesses, by experiment.
        without: the folders that hold none.
        troubles: what could not be read, and why.
    """

    students: dict[str, dict[str, Guesses]] = field(default_factory=dict)
    without: list[Path] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Tally:
    """The guesses about one experiment.

    Args:
        chapter: the title of its notebook.
        asked: the question.
        guesses: who guessed it, by what was guessed: the choices first, then what was seldom guessed last.
        late: who guessed only when it had been seen.
    """

    chapter: str
    asked: Asked
    guesses: dict[str, list[str]]
    late: list[str]

    @property
    def count(self) -> int:
        return sum(map(len, self.guesses.values()))


# --- the folders ---


def collect(paths: Sequence[Path]) -> Class:
    """What is in these folders and below. A student is a folder in one of them, or it itself if the file is
    right in it; an LMS may have put the name in front of the file's.

    Raises:
        FileNotFoundError: there is no such file or folder.
    """
    found = Class()
    for path in paths:
        path.stat()
    # A student may have several copies of the notebooks, and two folders may have students of one name.
    for root in dict.fromkeys(_unwrapped(path.resolve()) for path in paths):
        people: dict[str, dict[str, Guesses]] = {}
        for file in _files(root, found.troubles):
            guesses = Predictions(file).all()
            theirs = people.setdefault(_owner(file, root), {})
            for name, those in guesses.items():
                known = theirs.setdefault(name, those)
                known.before = known.before or those.before
                known.after = known.after or those.after
        found.without += _without(root, people)
        for name, theirs in people.items():
            label = name if name not in found.students else f"{root.name}/{name}"
            found.students[label if label not in found.students else f"{root}/{name}"] = theirs
    return found


def _unwrapped(root: Path) -> Path:
    """The folder that holds the students': an archive often has one folder around them all."""
    while len(folders := _folders(root)) == 1 and not _has_its_own(root):
        if sum(any(_files(inner, [])) for inner in _folders(folders[0])) < 2:
            break
        root = folders[0]
    return root


def _folders(root: Path) -> list[Path]:
    try:
        entries = sorted(root.iterdir()) if root.is_dir() else []
    except OSError:
        return []  # collect tells it
    return [
        entry
        for entry in entries
        if entry.is_dir() and not entry.name.startswith(".") and entry.name not in SKIPPED
    ]


def _has_its_own(root: Path) -> bool:
    try:
        return any(entry.name.endswith(FILE[1:]) for entry in root.iterdir())
    except OSError:
        return False


def _files(root: Path, troubles: list[str]) -> Iterator[Path]:
    """The files of predictions, by name. Links are not followed: they may lead anywhere."""
    if root.is_file():
        yield root
        return
    errors: list[OSError] = []
    for folder, folders, names in os.walk(root, onerror=errors.append):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in SKIPPED)
        for file in (Path(folder, name) for name in sorted(names) if name.endswith(FILE[1:])):
            if file.is_symlink() or not file.is_file():
                troubles.append(f"{file} is no file")
            elif not os.access(file, os.R_OK):
                troubles.append(f"{file} cannot be read")
            else:
                yield file
    troubles += [f"{error.filename} cannot be read: {error.strerror}" for error in errors]


def _owner(file: Path, root: Path) -> str:
    parts = file.relative_to(root).parts
    if len(parts) > 1:
        return parts[0]
    name = file.name.removesuffix(FILE[1:]).rstrip("._- ")
    return name or file.parent.name or "?"


def _without(root: Path, people: Iterable[str]) -> list[Path]:
    """The students' folders that hold no predictions; the root itself, if it has no folders."""
    if not root.is_dir() or _has_its_own(root):
        return []
    folders = _folders(root)
    return [folder for folder in folders if folder.name not in people] if folders else [root]


# --- the tallies ---


def tallies(found: Class, chapter: str = "") -> list[Tally]:
    """The questions about which anybody guessed, in the notebooks' order.

    Args:
        chapter: how the name of a notebook begins, such as `03`; "" for all.
    """
    told: list[Tally] = []
    known: set[str] = set()
    for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        title = "".join(cells[0]["source"]).partition("\n")[0].lstrip("# ") if cells else path.stem
        for asked in questions(cells):
            known.add(asked.name)
            if path.name.startswith(chapter):
                told.append(_tally(title, asked, found))
    names = {name: None for theirs in found.students.values() for name in theirs if name not in known}
    told += [_tally(ELSEWHERE, Asked(n, n, ()), found) for n in names if n.startswith(chapter)]
    return [tally for tally in told if tally.guesses or tally.late]


def _tally(chapter: str, asked: Asked, found: Class) -> Tally:
    guesses: dict[str, list[str]] = {choice: [] for choice in asked.choices}
    late: list[str] = []
    alike = {choice.casefold(): choice for choice in asked.choices}
    for student, theirs in found.students.items():
        of_it = theirs.get(asked.name, Guesses())
        if of_it.before:
            guess = alike.setdefault(of_it.before.casefold().rstrip("."), of_it.before)
            guesses.setdefault(guess, []).append(student)
        elif of_it.after:
            late.append(student)
    if not any(guesses.values()):
        return Tally(chapter, asked, {}, late)
    rest = [guess for guess in guesses if guess not in asked.choices]
    order = [*asked.choices, *sorted(rest, key=lambda guess: -len(guesses[guess]))]
    return Tally(chapter, asked, {guess: guesses[guess] for guess in order}, late)


def headline(found: Class) -> str:
    """`24 students have predicted something; 2 folders hold no predictions`."""
    count, without = sum(map(bool, found.students.values())), len(found.without)
    empty = len(found.students) - count
    words = f"{count} student{'s have' if count != 1 else ' has'} predicted something"
    if without + empty:
        words += (
            f"; {without + empty} folder{'s hold' if without + empty != 1 else ' holds'} no predictions"
        )
    return words


# --- as text ---


def as_text(told: Sequence[Tally], names: bool = False) -> str:
    """Each question, with a bar for each answer. `names`: and who gave it."""
    lines: list[str] = []
    chapter = ""
    for tally in told:
        if tally.chapter != chapter:
            chapter = tally.chapter
            lines += ["", shown(chapter)]
        lines += ["", f"{shown(tally.asked.question)}  ({shown(tally.asked.name)}, {_count(tally)})"]
        rows, others = _rows(tally)
        width = max((len(shown(guess)) for guess, _ in rows), default=0)
        most = max((len(who) for _, who in rows), default=1)
        for guess, who in rows:
            bar = "█" * round(len(who) * BAR / (most or 1))
            lines.append(f"  {shown(guess):<{width}} {len(who):>3} {bar}".rstrip())
            lines += [f"      {shown(', '.join(who))}"] * bool(names and who)
        if others:
            lines.append(f"  … and {others} other answers")
        if names and tally.late:
            lines.append(f"  late: {shown(', '.join(tally.late))}")
    return "\n".join(lines[1:])


def _count(tally: Tally) -> str:
    words = f"{tally.count} guess{'es' * (tally.count != 1)}"
    return f"{words}; {len(tally.late)} more, once it had been seen" if tally.late else words


def _rows(tally: Tally) -> tuple[list[tuple[str, list[str]]], int]:
    """The answers that are told, with those who gave them, and how many are not."""
    rows = list(tally.guesses.items())
    most = max(TOLD, len(tally.asked.choices))
    return rows[:most], len(rows[most:])


# --- as a page ---


def as_page(found: Class, told: Sequence[Tally], names: bool = False) -> str:
    """The same, as a page."""
    title = "What the class expected"
    parts = [f"<h1>{title}</h1>\n<p>{escape(headline(found))}.</p>"]
    chapter = ""
    for tally in told:
        if tally.chapter != chapter:
            chapter = tally.chapter
            parts.append(f"<h2>{escape(shown(chapter))}</h2>")
        parts.append(_as_table(tally, names))
    return page(title, "\n".join(parts))


def _as_table(tally: Tally, names: bool) -> str:
    rows, others = _rows(tally)
    question = f"{escape(shown(tally.asked.question))} <span class='quiet'>{escape(_count(tally))}</span>"
    parts = [
        '<div class="wide"><table class="grid">'
        f'<caption style="padding-top: 1rem; text-align: left">{question}</caption>'
    ]
    parts.append('<tr><th>guess</th><th class="number">students</th><th>share</th></tr>')
    for guess, who in rows:
        share = 100 * len(who) / tally.count if tally.count else 0
        people = f'<div class="quiet">{escape(shown(", ".join(who)))}</div>' if names and who else ""
        parts.append(
            f"<tr><td><bdi>{escape(shown(guess))}</bdi>{people}</td>"
            f'<td class="number">{len(who)} of {tally.count}</td>'
            f'<td><span class="bar"><b style="width: {share:.0f}%"></b></span></td></tr>'
        )
    more = f'<p class="quiet">… and {others} other answers</p>' if others else ""
    return "\n".join(parts) + f"</table></div>{more}"
