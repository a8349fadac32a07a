"""Every exercise is proved able to teach: the answer passes, the stub does not, each bug is named.

What one exercise is about stands in its own file in labkit/exercises; here is what must hold for all.
Each check runs a process, so those of an exercise run a few at a time, and its tests read what came out.
"""

from __future__ import annotations

import ast

import pytest
from checks import Checks

from labkit.exercises import NAMES, exercise_called
from labkit.exercises.exercise import Exercise, Wrong
from labkit.exercises.survey import ROWS

EXERCISES = [exercise_called(name) for name in NAMES]
WRONG = [(exercise, wrong) for exercise in EXERCISES for wrong in exercise.wrong]
OTHERS = [(exercise, style) for exercise in EXERCISES for style in exercise.others]

pytestmark = pytest.mark.timeout(1800)  # an exercise's first test waits for all of its checks

exercises = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.name)


def named(value: object) -> str | None:
    if isinstance(value, Exercise | Wrong):
        return value.name.replace(" ", "-")
    return value.replace(" ", "-") if isinstance(value, str) else None


@pytest.fixture(scope="module")
def checks() -> Checks:
    """What check says of every version of every exercise."""
    sources: dict[tuple[str, str], str] = {}
    for exercise in EXERCISES:
        sources[exercise.name, "answer"] = exercise.solution
        sources[exercise.name, "stub"] = exercise.stub
        sources |= {(exercise.name, "wrong: " + w.name): exercise.version(w) for w in exercise.wrong}
        sources |= {(exercise.name, "other: " + style): exercise.other(style) for style in exercise.others}
    return Checks(sources)


@exercises
def test_the_answer_scores_full_marks(exercise: Exercise, checks: Checks) -> None:
    """What the exercise itself gives as its answer holds in every step."""
    result = checks[exercise.name, "answer"]
    assert result.ok, result
    assert result.score == result.points


@exercises
def test_the_stub_scores_nothing(exercise: Exercise, checks: Checks) -> None:
    """Unsolved: a ✗ in the first step, with the reason that nothing is written yet."""
    result = checks[exercise.name, "stub"]
    assert (result.score, result.held, result.started) == (0, 0, True), result
    assert "not written yet" in str(result)


@pytest.mark.parametrize(("exercise", "wrong"), WRONG, ids=named)
def test_a_wrong_version_fails_at_its_own_step(exercise: Exercise, wrong: Wrong, checks: Checks) -> None:
    """The bug is caught in the step that is about it, and for the reason that is its own."""
    result = checks[exercise.name, "wrong: " + wrong.name]
    assert result.failure is not None, result
    assert result.failed == wrong.step, result
    if wrong.clue:
        assert result.failure.clue == wrong.clue, result
    assert result.hints, result


@pytest.mark.parametrize(("exercise", "style"), OTHERS, ids=named)
def test_another_right_answer_scores_full_marks(exercise: Exercise, style: str, checks: Checks) -> None:
    """What counts is what the code does, and not how it is written."""
    result = checks[exercise.name, "other: " + style]
    assert result.ok, result


@exercises
def test_three_other_right_answers_at_least(exercise: Exercise) -> None:
    """An exercise whose steps were only tried on one style may insist on it."""
    assert len(exercise.others) >= 3
    assert len({ast.dump(ast.parse(exercise.other(style))) for style in exercise.others}) == len(
        exercise.others
    )


@exercises
def test_each_wrong_version_has_its_own_hint(exercise: Exercise, checks: Checks) -> None:
    """No two bugs of an exercise get the same advice."""
    results = [checks[exercise.name, "wrong: " + wrong.name] for wrong in exercise.wrong]
    hints = [result.hints[0] for result in results]
    assert sorted(hints) == sorted(set(hints))
    assert len({step.name for step in exercise.steps}) == len(exercise.steps)


def test_every_row_of_the_survey_is_a_wrong_version() -> None:
    """What students really get wrong is what the exercises can name."""
    shown = [wrong.survey for _, wrong in WRONG if wrong.survey]
    assert set(shown) == set(ROWS)
    assert len(WRONG) >= 45
