"""An exercise's module without its answers. That this is enough, test_handout.py shows."""

from __future__ import annotations

import pytest

from labkit.exercises.handout.stripping import CannotStrip, without_answers

MODULE = '''
"""An exercise."""

import re
from textwrap import dedent, indent

from labkit.exercises.exercise import Exercise, Step, Wrong

ANSWER = """
the secret
"""

# Half of it,
# bent.
HALF = re.sub("secret", "half", ANSWER)
"""What is half of it."""

KEPT = 1  # like this comment


def bent(text: str) -> str:
    return bent(text) if text else dedent(HALF)


@staticmethod
def step() -> str:
    return indent("ж", " " * KEPT)


EXERCISE = Exercise(
    name="x",
    answer=ANSWER,  # a comment
    steps=(Step("ж", step),), wrong=(Wrong("w", bent("secret")),), others={"o": ANSWER},
)
'''

STRIPPED = '''
"""An exercise."""

from textwrap import indent

from labkit.exercises.exercise import Exercise, Step

KEPT = 1  # like this comment


@staticmethod
def step() -> str:
    return indent("ж", " " * KEPT)


EXERCISE = Exercise(
    name="x",
    answer=\'\'\'
a "stub" \\\\n
\'\'\',  # a comment
    steps=(Step("ж", step),), wrong=(), others={},
)
'''


def test_what_only_an_answer_used_goes_with_it() -> None:
    """With the comment above and the text below; all else stays as it was written."""
    assert without_answers(MODULE, 'a "stub" \\n\n') == STRIPPED
    assert without_answers(STRIPPED, 'a "stub" \\n\n') == STRIPPED


@pytest.mark.parametrize("module", ["X = 1\n", "EXERCISE = Exercise(name='x', answer='', wrong=())\n"])
def test_a_module_of_another_shape(module: str) -> None:
    """It is refused, not handed out as it is."""
    with pytest.raises(CannotStrip, match="Exercise"):
        without_answers(module, "")
