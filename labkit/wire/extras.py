"""Why an import failed: what it needs belongs to an extra, and is installed only if asked for.

Labkit without an extra is what `serve`, `join`, `demo`, `check` and a script need. What else a module
imports, it imports in `with extra(…)`, by the name of the extra in pyproject.toml.
"""

from __future__ import annotations

import re
import sys
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
    from importlib import util

    packages = " ".join(sorted(_packages(name))) or module
    python = f'"{sys.executable}"' if " " in sys.executable else sys.executable
    # By their own names, and for this very Python: whichever `pip` the shell finds may be another's, and
    # would look for labkit where it did not come from.
    install = f"{python} -m pip install" if util.find_spec("pip") else f"uv pip install --python {python}"
    return MissingExtra(f"this needs {module}: {install} {packages}", name=module)


def _packages(name: str) -> set[str]:
    """What is in the extra, and in those that it is made of."""
    from importlib import metadata  # slow to import, and needed only here

    found = set()
    try:
        requirements = metadata.requires("labkit") or []
    except metadata.PackageNotFoundError:  # it was not installed, only found
        return set()
    for line in requirements:
        requirement, _, marker = line.partition(";")
        if re.search(rf"""extra == ["']{name}["']""", marker):
            package, *more = re.findall(r"[\w.-]+", requirement.partition(">")[0])
            found |= {package} if not more else {one for other in more for one in _packages(other)}
    return found
