"""What an exercise is: a task, an answer, steps with hints that check it, wrong versions that prove those.

Each exercise is a file of catalogue/ that declares itself with these classes; grading/ runs it. The stub is
not written down: it is the answer without what stands between `### BEGIN SOLUTION` and `### END SOLUTION`,
nbgrader's marks. A wrong version is the answer with one thing exchanged, so that a reader sees the bug and
nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from textwrap import dedent

from labkit.exercises.bench.bench import Bench
from labkit.exercises.general_hints import GENERAL_HINTS

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"

UNWRITTEN = "# YOUR CODE HERE\nraise NotImplementedError()"
"""What stands in a stub for what is to be written; nbgrader puts the same there."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that an answer must do.

    Args:
        name: what must hold, in a few words: "a line in two pieces is one message".
        run: tries it, and raises CheckFailed if it does not hold. Any other exception, and five seconds
            without an end, is a ✗ as well.
        hints: what helps a student whose code fails it: first a question, last nearly the answer.
        hints_by_clue: other hints, by the clue of the failure (see CheckFailed).
        points: what it is worth.
    """

    name: str
    run: Callable[[Bench], None]
    hints: tuple[str, ...]
    hints_by_clue: dict[str, tuple[str, ...]] = field(default_factory=dict)
    points: int = 1

    def hints_for(self, clue: str) -> tuple[str, ...]:
        """The hints for a failure with this clue ("" for none)."""
        return self.hints_by_clue.get(clue) or GENERAL_HINTS.get(clue) or self.hints


@dataclass(frozen=True, slots=True)
class Wrong:
    """A wrong version: the answer with one bug, which must be caught in one step.

    Args:
        name: the bug, in a few words.
        step: the name of the step that it must fail at.
        swaps: pairs of (text that stands in the answer exactly once, its replacement).
        source: the whole wrong text, where a swap would not show the bug well.
        clue: the clue that it must fail with.
        survey: the row of survey.py that counts this bug.
    """

    name: str
    step: str
    swaps: tuple[tuple[str, str], ...] = ()
    source: str = ""
    clue: str = ""
    survey: str = ""


class Answered:
    """What has an answer: Python source, with the marks BEGIN and END around what a student writes."""

    __slots__ = ()
    answer: str

    @property
    def marked(self) -> str:
        """The answer, with the marks."""
        return _text(self.answer)

    @property
    def stub(self) -> str:
        """What a student starts from."""
        return stub_of(self.marked)


@dataclass(frozen=True, slots=True)
class Task(Answered):
    """What is to be written, without steps: see Exercise."""

    title: str
    wants: str
    task: str
    answer: str
    points: int


@dataclass(frozen=True, slots=True)
class Exercise(Answered):
    """An exercise.

    Args:
        name: what `check` knows it by.
        title: what it is about, in a few words.
        chapter: the name of the notebook it belongs to, without its ending.
        wants: the name of the function or class to write.
        task: what is to be written, as Markdown.
        answer: Python source that does it, with the marks BEGIN and END around what a student writes.
        steps: in the order in which they are tried; the first ✗ ends it.
        wrong: wrong versions.
        others: other right answers, by their style: the steps must not insist on one.
    """

    name: str
    title: str
    chapter: str
    wants: str
    task: str
    answer: str
    steps: tuple[Step, ...]
    wrong: tuple[Wrong, ...]
    others: dict[str, str]

    @property
    def points(self) -> int:
        return sum(step.points for step in self.steps)

    @property
    def solution(self) -> str:
        """The answer, without the marks.

        Raises:
            LookupError: this is the student's edition, which holds none.
        """
        if BEGIN not in self.answer:
            raise LookupError(f"no answer of {self.name} here: this is the student's edition")
        return "".join(line for line in self.marked.splitlines(True) if line.strip() not in (BEGIN, END))

    def version(self, wrong: Wrong) -> str:
        """The source of a wrong version.

        Raises:
            ValueError: a text to exchange is not there exactly once.
        """
        if wrong.source:
            return _text(wrong.source)
        source = self.solution
        for old, new in wrong.swaps:
            if source.count(old) != 1:
                raise ValueError(f"{wrong.name}: {old!r} stands {source.count(old)} times in the answer")
            source = source.replace(old, new)
        return source

    def other(self, style: str) -> str:
        """The source of another right answer."""
        return _text(self.others[style])


def _text(source: str) -> str:
    """As it would stand in a file: the catalogue indents it, and begins it on a line of its own."""
    return dedent(source).strip("\n") + "\n"


def stub_of(answer: str) -> str:
    """The answer with each marked part replaced by UNWRITTEN."""

    def unwritten(marked: re.Match[str]) -> str:
        return "".join(f"{marked[1]}{line}\n" for line in UNWRITTEN.splitlines())

    return re.sub(rf"^([ ]*){BEGIN}\n.*?^[ ]*{END}\n", unwritten, answer, flags=re.DOTALL | re.MULTILINE)
