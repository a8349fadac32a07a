"""How these tests start the processes of checks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from forking import Zygote, forking

STARTED = {"test_checking.py", "test_child.py", "test_starved.py", "test_submission.py"}
"""Files that are about how such a process starts, lives and ends: there it is started as a user's is."""


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """What the processes of checks are forked from. It starts with the first of them."""
    zygote = Zygote()
    yield zygote
    zygote.close()


@pytest.fixture(scope="module", autouse=True)
def forked(request: pytest.FixtureRequest, zygote: Zygote) -> Iterator[None]:
    """The processes of checks are forks, in all other files."""
    if request.path.name in STARTED:
        yield
    else:
        with forking(zygote):
            yield
