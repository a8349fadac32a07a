"""What `judge` says of a test that finds a bug and tells nobody."""

from __future__ import annotations

from typing import Any

import pytest

from labkit.exercises import judge
from labkit.exercises.catalogue.judge import JUDGE
from labkit.exercises.grading import advice, judging
from labkit.exercises.grading.judging import Judgement, Trial

HEADLESS = "def my_test(address):\n    "


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ('assert ("alice" == "bob", "who?")', "line 2 asserts a pair"),
        ("try:\n        assert 1 == 2\n    except Exception:\n        print('no')", "line 4 catches what"),
        ("try:\n        assert 1 == 2\n    except:\n        return False", "line 4 catches what"),
        (
            "try:\n        assert 1 == 2\n    except (OSError, AssertionError):\n        pass",
            "line 4 catches",
        ),
        ("try:\n        assert 1 == 2\n    except Exception:\n        raise", ""),
        ("try:\n        assert 1 == 2\n    except OSError:\n        pass", ""),
        ("try:\n        hears()\n    except Exception:\n        pass", ""),
        ('assert "alice" == "bob", "who?"', ""),
        ("assert ()", ""),
        ("feed(:", ""),
    ],
)
def test_what_the_source_shows(body: str, hint: str) -> None:
    """An assert of a pair, and an assert whose failure is caught; nothing where all is well."""
    found = advice.in_the_source(HEADLESS + body)
    assert found.startswith(hint) and bool(found) == bool(hint)


def test_the_answer_gets_no_advice() -> None:
    """It may fail for many reasons, and none of these is one."""
    assert advice.in_the_source(JUDGE.answer) == ""


def my_test(address: Any) -> bool:
    return False


def test_the_source_of_a_function() -> None:
    """As it stands in its file; of what has none there is nothing to say."""
    assert advice.source_of(my_test).startswith("def my_test(")
    assert advice.source_of("x = 1") == "x = 1"
    assert advice.source_of(len) == advice.source_of(3) == ""


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ("return False", "It returned False, and nobody looks at what a test returns."),
        ("print('wrong!')", "It printed 'wrong!', and nobody reads that."),
        ("assert (False, 'wrong')", "Line 2 asserts a pair, and a pair is true"),
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
    assert Judgement(good, source=HEADLESS + "assert (1, 2)").hint == ""


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
