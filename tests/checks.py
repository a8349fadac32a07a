"""What `check` says of many sources. Its processes wait most of the time, so a few run at the same time."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from support import until_judged

from labkit.exercises import check
from labkit.exercises.grading.result import Result

AT_ONCE = 3


class Checks:
    """The results, by an exercise's name and the name of a version of its answer.

    With the first that is asked for of an exercise, all of this exercise are found: conftest.py gives each
    exercise's tests to one process.
    """

    def __init__(self, sources: Mapping[tuple[str, str], str]) -> None:
        self._sources = sources
        self._results: dict[tuple[str, str], Result] = {}

    def __getitem__(self, wanted: tuple[str, str]) -> Result:
        if wanted not in self._results:
            keys = [key for key in self._sources if key[0] == wanted[0]]
            # All are waited for: none runs on behind a test that has nothing to do with it.
            with kept_quiet(), ThreadPoolExecutor(AT_ONCE, thread_name_prefix="test-check") as pool:
                results = pool.map(lambda key: judged(key[0], self._sources[key]), keys)
                self._results |= zip(keys, results, strict=True)
        return self._results[wanted]


def judged(name: str, source: str) -> Result:
    return until_judged(lambda: check(name, source))


@contextlib.contextmanager
def kept_quiet() -> Iterator[None]:
    """Fail if anything is written to standard output or standard error meanwhile, by whichever process."""
    sys.stdout.flush()
    sys.stderr.flush()
    own = os.dup(1), os.dup(2)
    with tempfile.TemporaryFile() as file:
        try:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            yield
        finally:
            os.dup2(own[0], 1)
            os.dup2(own[1], 2)
            os.close(own[0])
            os.close(own[1])
        file.seek(0)
        assert file.read() == b""
