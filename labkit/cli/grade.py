"""python -m labkit grade: the exercises of a whole class, in one table, with a page for each student."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from labkit.cli import options as take
from labkit.cli.check import NOT_JUDGED, unusable
from labkit.cli.console import is_terminal, print_error, print_notice
from labkit.wire.extras import extra

if TYPE_CHECKING:
    from labkit.exercises.classroom.feedback import Pages
    from labkit.exercises.classroom.found import Submission
    from labkit.exercises.classroom.marking import Graded
    from labkit.exercises.classroom.table import Row, Table

DETAILS = (
    "First the exercises, then files or folders with .py and .ipynb in them, in any layout. A student is "
    "called as Moodle, Canvas, Blackboard or Brightspace put it into the name; else as the first folder "
    "below the one that is named; else as the file, without the exercise's name. A run that was cut short "
    "goes on where it was: what is in the table already, of the same file, is not judged again. Exit "
    "status 0: all was judged, whatever the points; 1: a submission could not be read, or its check failed "
    "itself; 2: there was nothing to grade; 3: the machine was too busy to judge one."
)

EVERY = 1.0
"""Seconds between two writings of the table, at least: a thousand rows are not written a thousand times."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.usage = f"{parser.prog} [OPTION …] EXERCISE … PATH …"
    parser.add_argument("words", nargs="+", metavar="EXERCISE … PATH …", help="what to grade, and for what")
    parser.add_argument(
        "--csv", type=Path, metavar="FILE", help="write a row for each student and exercise"
    )
    parser.add_argument(
        "--feedback",
        type=Path,
        metavar="FOLDER",
        help="write a page for each student, and index.html for you",
    )
    parser.add_argument(
        "--jobs",
        type=take.number(int, False),
        metavar="N",
        help="how many to judge at once (default: as many as the machine bears)",
    )
    parser.add_argument(
        "--student",
        choices=("auto", "file", "folder"),
        default="auto",
        help="where the student's name is: in the file's name, or its folder's (default: auto, as above)",
    )
    parser.add_argument("--again", action="store_true", help="judge anew what is in the table already")


def arrange(words: list[str]) -> tuple[list[str], argparse.Namespace]:
    """The words with all options last: argparse cannot have one between two of the others."""
    options, others = take.apart(words[1:], "--csv", "--feedback", "--jobs", "--student")
    return [words[0], *others, *options], argparse.Namespace()


def run(options: argparse.Namespace) -> int:
    from labkit.exercises.classroom.feedback import Pages
    from labkit.exercises.classroom.table import NoTable, Table

    if options.jobs is not None and options.jobs < 1:
        return unusable(f"--jobs: 1 or more is needed, not {options.jobs}")
    try:
        submissions = _find(options.words, options.student)
        if options.csv is not None and not options.csv.absolute().parent.is_dir():
            raise ValueError(f"there is no folder {options.csv.absolute().parent} for {options.csv.name}")
        table = Table(options.csv)
        table.read()
        table.write()  # it can be written, before an hour's work
        if options.feedback is not None:
            options.feedback.mkdir(parents=True, exist_ok=True)
    except (ValueError, NoTable) as error:
        return unusable(error)
    except OSError as error:
        return unusable(f"cannot use {error.filename}: {error.strerror}")
    if not submissions:
        return unusable("no .py and no .ipynb is there")
    return _grade(submissions, table, options.feedback and Pages(options.feedback), options)


def _find(words: Sequence[str], by: str) -> list[Submission]:
    """The submissions that the words of the command line name.

    Raises:
        ValueError: they name no exercise, or nothing to grade.
        OSError: there is no such file or folder.
    """
    from labkit.exercises import NAMES
    from labkit.exercises.catalogue import task_called
    from labkit.exercises.classroom.found import Wanted, find

    first = next((n for n, word in enumerate(words) if word not in (*NAMES, "judge")), len(words))
    if first == 0:
        task_called(words[0])
    names = list(dict.fromkeys(words[:first]))
    paths = [Path(word) for word in words[first:]]
    if not paths:
        raise ValueError(f"what is to be graded for {' and '.join(names)}? Name files, or folders")
    for path in paths:
        if not path.exists():
            raise ValueError(f"there is no file or folder {path}, and no exercise of that name")
    return find(paths, [Wanted(name, task_called(name).wants) for name in names], by)


def _grade(
    submissions: Sequence[Submission], table: Table, pages: Pages | None, options: argparse.Namespace
) -> int:
    """Grade them, keep what came out, and tell about it; returns the exit status."""
    from labkit.exercises.classroom.marking import begun, grade

    rows = {submission: begun(submission) for submission in submissions}
    known = {} if options.again else {s: row for s, row in rows.items() if _is_known(row, table, pages)}
    left = [submission for submission in submissions if submission not in known]
    keeper = _Keeper(table, pages)
    began = monotonic()
    try:
        with _bar(len(left)) as show:
            for graded in grade(left, options.jobs):
                keeper.keep(graded)
                show(graded.row)
    except KeyboardInterrupt:
        done = len(keeper.done)
        print_error(f"{done} of {len(left)} were judged; the same command goes on with the others")
        _close(keeper, rows.values())
        raise
    except OSError as error:
        _close(keeper, rows.values())
        return _cannot_write(error)
    if status := _close(keeper, rows.values()):
        return status
    return _tell([table.rows[row.key] for row in rows.values()], len(known), monotonic() - began, options)


def _close(keeper: _Keeper, rows: Iterable[Row]) -> int:
    """Write what there is; returns 0, or the exit status for that it cannot be written."""
    try:
        keeper.close([row.key for row in rows])
    except OSError as error:
        return _cannot_write(error)
    return 0


def _cannot_write(error: OSError) -> int:
    return print_error(f"cannot write {error.filename or 'the grades'}: {error.strerror}")


def _is_known(row: Row, table: Table, pages: Pages | None) -> bool:
    """Whether the table has this row, of the same file, and its page the section."""
    from labkit.exercises.classroom.table import TO_DO

    old = table.rows.get(row.key)
    if old is None or not row.sha256 or old.sha256 != row.sha256 or old.state in TO_DO:
        return False
    return pages is None or (row.exercise, row.sha256) in pages.sections(row.student)


class _Keeper:
    """Keeps what is graded: in the table, and in the pages."""

    def __init__(self, table: Table, pages: Pages | None) -> None:
        self.done: list[Row] = []
        self._table, self._pages, self._wrote = table, pages, monotonic()

    def keep(self, graded: Graded) -> None:
        """Raises OSError: it cannot be written."""
        self._table.put(graded.row)
        self.done.append(graded.row)
        if self._pages is not None:
            self._pages.put(graded)
        if monotonic() - self._wrote > EVERY:
            self._table.write()
            self._wrote = monotonic()

    def close(self, keys: Sequence[tuple[str, str]]) -> None:
        """Write all there is. Raises OSError: it cannot be written."""
        from labkit.exercises.classroom.marking import with_twins
        from labkit.exercises.classroom.overview import as_page
        from labkit.exercises.classroom.table import replace

        for row in with_twins(self._table.rows.values()):
            self._table.put(row)
        self._table.write()
        if self._pages is not None:
            rows = [self._table.rows[key] for key in keys if key in self._table.rows]
            replace(self._pages.folder / "index.html", as_page(rows), "utf-8")


def _tell(rows: Sequence[Row], known: int, seconds: float, options: argparse.Namespace) -> int:
    from labkit.exercises.classroom.overview import as_lines, as_text
    from labkit.exercises.classroom.table import NOT_JUDGED as TOO_BUSY
    from labkit.exercises.classroom.table import NOT_READABLE, TO_DO

    if options.csv is None:
        print_notice(as_lines(rows))
    print_notice(as_text(rows))
    files = [
        str(path) for path in (options.csv, options.feedback and options.feedback / "index.html") if path
    ]
    print_notice(
        f"\n{len(rows)} rows in {seconds:.0f} s"
        + (f", {known} of them from an earlier run" if known else "")
        + (f": {' and '.join(files)}" if files else "")
    )
    undone = [row for row in rows if row.state in (*TO_DO, NOT_READABLE)]
    for row in undone:
        print_error(f"{row.student}, {row.exercise}: {row.state}{': ' * bool(row.note)}{row.note}")
    if any(row.state == TOO_BUSY for row in undone):
        return NOT_JUDGED
    return 1 if undone else 0


@contextmanager
def _bar(total: int) -> Iterator[Callable[[Row], None]]:
    """A progress bar on a terminal; elsewhere nothing."""
    if not is_terminal(sys.stderr):
        yield lambda row: None
        return
    with extra("grade"):
        from tqdm import tqdm

    with tqdm(total=total, unit="", leave=False, dynamic_ncols=True) as bar:

        def show(row: Row) -> None:
            bar.set_description_str(f"{row.exercise}, {row.student}"[:30].ljust(30), refresh=False)
            bar.update()

        yield show
