"""Answers as students write them: right ones in many styles score in full, wrong ones are caught by name.

The wrong versions of the exercises themselves are tried in test_exercises.py. What is here differs from
them in how the same bug is written, or is rarer.
"""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from checks import Checks, judged

from labkit.exercises import NAMES, exercise_called
from labkit.exercises.exercise import Wrong

WRITTEN = {name: runpy.run_path(str(Path(__file__).parent / "students" / f"{name}.py")) for name in NAMES}
RIGHT = [(name, style) for name in NAMES for style in WRITTEN[name]["RIGHT"]]
WRONG = [(name, wrong) for name in NAMES for wrong in WRITTEN[name]["WRONG"]]

pytestmark = pytest.mark.timeout(600)  # an exercise's first test waits for all of its checks


def named(value: object) -> str | None:
    return value.name if isinstance(value, Wrong) else None


@pytest.fixture(scope="module")
def checks(request: pytest.FixtureRequest) -> Checks:
    """What check says of each of the answers that these tests ask about."""
    sources: dict[tuple[str, str], str] = {}
    for item in request.session.items:
        match getattr(getattr(item, "callspec", None), "params", {}):
            case {"name": name, "style": style}:
                sources[name, style] = WRITTEN[name]["RIGHT"][style]
            case {"name": name, "wrong": wrong}:
                sources[name, wrong.name] = exercise_called(name).version(wrong)
    return Checks(sources)


@pytest.mark.parametrize(("name", "style"), RIGHT)
def test_a_right_answer_scores_full_marks(name: str, style: str, checks: Checks) -> None:
    """What counts is what the code does, and not how it is written."""
    result = checks[name, style]
    assert result.ok, result


@pytest.mark.parametrize(("name", "wrong"), WRONG, ids=named)
def test_a_wrong_answer_is_caught_by_name(name: str, wrong: Wrong, checks: Checks) -> None:
    """The bug is caught in the step that is about it, with the clue that leads to its hints."""
    result = checks[name, wrong.name]
    assert result.failure is not None, result
    assert (result.failed, result.failure.clue) == (wrong.step, wrong.clue), result


def test_a_roster_without_any_lock_earns_half_at_most() -> None:
    """In a chapter on races, what takes no lock cannot pass."""
    exercise = exercise_called("roster")
    own = {wrong.name: wrong for wrong in WRITTEN["roster"]["WRONG"]}
    without = [wrong for wrong in exercise.wrong if wrong.clue == "no lock"] + [
        own["no lock, list of pairs"]
    ]
    for wrong in without:
        result = judged("roster", exercise.version(wrong))
        assert 2 * result.score <= result.points, result
