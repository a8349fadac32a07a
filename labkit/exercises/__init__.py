"""Exercises that name the bug: write a part of a chat, and see at once what is wrong with it, and why.

    from labkit.exercises import check
    check("framing", Framing)

`check` runs the code in a process of its own, under a time limit, step by step. `judge(my_test)` turns it
round: you write the test, and it is tried on servers that are right, and on wrong ones. Both are in
labkit/grading/. Here is what is asked, an exercise a file:

- exercise.py   what an exercise is
- survey.py     what students really get wrong: what the wrong versions are taken from
- framing.py, accept.py, nickname.py, broadcast.py, goodbye.py, shutdown.py, client.py, roster.py, lock.py,
  slow.py, server.py   the exercises, in the order of the notebooks
"""

from __future__ import annotations

import difflib
import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labkit.exercises.exercise import Exercise
    from labkit.grading.checking import check
    from labkit.grading.judging import judge

__all__ = ["NAMES", "check", "exercise_called", "judge"]

NAMES = (
    "framing",
    "accept",
    "nickname",
    "broadcast",
    "goodbye",
    "shutdown",
    "client",
    "roster",
    "lock",
    "slow",
    "server",
)
"""The exercises, in the order of the notebooks."""


def exercise_called(name: str) -> Exercise:
    """The exercise of this name.

    Raises:
        ValueError: there is none.
    """
    if name not in NAMES:
        near = difflib.get_close_matches(str(name), NAMES, 1)
        meant = f"; did you mean {near[0]!r}?" if near else "."
        raise ValueError(f"there is no exercise {name!r}{meant} There are: {', '.join(NAMES)}")
    exercise: Exercise = importlib.import_module(f"labkit.exercises.{name}").EXERCISE
    return exercise


def __getattr__(name: str) -> Any:
    # What runs code of others is loaded only where that is done, and not in each of its processes.
    if name == "check":
        from labkit.grading.checking import check

        return check
    if name == "judge":
        from labkit.grading.judging import judge

        return judge
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
