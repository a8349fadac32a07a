"""What `judge` says of a test that finds a bug and tells nobody."""

from __future__ import annotations

import pytest

from labkit.exercises import judge
from labkit.exercises.grading import judging
from labkit.exercises.grading.judging import Judgement, Trial

HEADLESS = "def my_test(address):\n    "


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ("return False", "It returned False, and nobody looks at what a test returns."),
        ("print('wrong!')", "It printed 'wrong!', and nobody reads that."),
        ("pass", ""),
    ],
)
def test_a_test_that_tells_nobody(monkeypatch: pytest.MonkeyPatch, body: str, hint: str) -> None:
    """It is named, as text, as HTML and as data; and only where it was of no use."""
    monkeypatch.setattr(judging, "JUDGED", ("takes an empty nickname",))
    monkeypatch.setattr(judging, "RIGHT", ())
    judgement = judge(HEADLESS + body)
    assert judgement.score == 0 and judgement.hint.startswith(hint)
    assert bool(judgement.hint) == bool(hint)
    assert judgement.as_json()["hint"] == (judgement.hint or None)
    assert str(judgement).endswith(judgement.hint) and ("<i>" in judgement._repr_html_()) == bool(hint)


def test_no_advice_to_one_that_catches_all() -> None:
    """What it prints or returns does no harm then."""
    good = Trial("answer", True, False, "", "it printed 'fine'"), Trial("wrong", False, True, "no")
    assert Judgement(good).hint == ""


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("async def my_test(address):\n    assert False\n", "because of its `async def`"),
        ("def my_test(address):\n    yield\n    assert False\n", "because of its `yield`"),
    ],
)
def test_a_test_of_which_no_line_is_run(monkeypatch: pytest.MonkeyPatch, source: str, why: str) -> None:
    """A coroutine or a generator finds nothing wrong with anything: it is no test."""
    monkeypatch.setattr(judging, "RIGHT", ())
    assert why in judge(source).unusable
