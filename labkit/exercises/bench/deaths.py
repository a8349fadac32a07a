"""What threads die of while a step looks."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from labkit.exercises.bench.bench import in_one_line


@contextlib.contextmanager
def deaths() -> Iterator[list[str]]:
    """What threads die of in this block."""
    before, died = threading.excepthook, list[str]()

    def note(hook: threading.ExceptHookArgs) -> None:
        if hook.exc_value is not None:
            died.append(in_one_line(hook.exc_value))
        before(hook)

    threading.excepthook = note
    try:
        yield died
    finally:
        threading.excepthook = before
