"""What `judge` says of a test that is none."""

from __future__ import annotations

import pytest

from labkit.exercises import judge


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("async def my_test(address):\n    assert False\n", "because of its `async def`"),
        ("def my_test(address):\n    yield\n    assert False\n", "because of its `yield`"),
    ],
)
def test_a_test_of_which_no_line_is_run(source: str, why: str) -> None:
    """A coroutine or a generator finds nothing wrong with anything: it is no test."""
    assert why in judge(source).unusable
