"""Why an import failed: what it needs belongs to an extra, and is installed only if asked for.

`pip install labkit` brings what `serve`, `join`, `demo`, `check` and a script need. What else a module
imports, it imports in `with extra(…)`, by the name of the extra in pyproject.toml.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class MissingExtra(ImportError):
    """Something of an extra is not installed; the text says what, and how to install it."""


@contextmanager
def extra(name: str) -> Iterator[None]:
    """What is imported in this block is in the extra of this name.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "labkit":
            raise
        raise missing(error.name, name) from None


def missing(module: str, name: str) -> MissingExtra:
    """What to raise, or to print, where this module of this extra is not installed."""
    # Double quotes: cmd.exe knows no others, and zsh would take the brackets for a pattern.
    return MissingExtra(f'this needs {module}: pip install "labkit[{name}]"', name=module)
