"""Exercises that name the bug: write a part of a chat, and see at once what is wrong with it, and why.

    from labkit.exercises import check
    check("framing", Framing)

`check` runs the code in a process of its own, under a time limit, step by step. `judge(my_test)` turns it
round: you write the test, and it is tried on servers that are right, and on wrong ones.

- exercise.py        what an exercise is
- catalogue/         the exercises, a file each: task, answer, steps, wrong versions, and their hints
- general_hints.py   hints for what can happen in every step
- bench/             what a step works with
- grading/           what runs a student's code, and says what came of it
- handout/           what students are handed: all of it without the answers
- survey.py          what students really get wrong: the wrong versions are taken from it
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.exercises.catalogue import NAMES, exercise_called

if TYPE_CHECKING:
    from labkit.exercises.grading.checking import check
    from labkit.exercises.grading.judging import judge

__all__ = ["NAMES", "check", "exercise_called", "judge"]


def __getattr__(name: str) -> Any:
    # Loaded only when called for: the processes in which a student's code runs need neither.
    if name == "check":
        from labkit.exercises.grading.checking import check

        return check
    if name == "judge":
        from labkit.exercises.grading.judging import judge

        return judge
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
