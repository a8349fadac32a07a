"""The exercises, a file each: task, answer, wrong versions, hints, and steps.

- accept.py      exercise `accept`
- broadcast.py   exercise `broadcast`
- client.py      exercise `client`
- framing.py     exercise `framing`
- goodbye.py     exercise `goodbye`
- judge.py       exercise `judge`: a test to write, for servers of bench/
- limit.py       exercise `limit`, a first part of `slow`
- lock.py        exercise `lock`
- nickname.py    exercise `nickname`
- roster.py      exercise `roster`
- screen.py      exercise `screen`, a step towards `client`
- server.py      exercise `server`, the capstone
- shutdown.py    exercise `shutdown`
- slow.py        exercise `slow`
- wake.py        exercise `wake`, a first part of `shutdown`
"""

from __future__ import annotations

import difflib
import importlib

from labkit.exercises.exercise import Exercise, Task

NAMES = (
    "framing",
    "accept",
    "nickname",
    "broadcast",
    "goodbye",
    "wake",
    "shutdown",
    "screen",
    "client",
    "roster",
    "lock",
    "limit",
    "slow",
    "server",
)
"""The exercises that `check` knows, in the order of the notebooks. `judge` has no steps, and is not one."""

WITH_ANSWERS = True
"""False in the student's edition (handout/), whose exercises have no answer and no wrong versions."""


def exercise_called(name: str) -> Exercise:
    """The exercise of this name.

    Raises:
        ValueError: there is none.
    """
    if name not in NAMES:
        near = difflib.get_close_matches(str(name), NAMES, 1)
        meant = f"; did you mean {near[0]!r}?" if near else "."
        raise ValueError(f"there is no exercise {name!r}{meant} There are: {', '.join(NAMES)}")
    exercise: Exercise = importlib.import_module(f"labkit.exercises.catalogue.{name}").EXERCISE
    return exercise


def task_called(name: str) -> Exercise | Task:
    """The exercise of this name; `judge`, too.

    Raises:
        ValueError: there is none.
    """
    if name == "judge":
        task: Task = importlib.import_module("labkit.exercises.catalogue.judge").JUDGE
        return task
    return exercise_called(name)
