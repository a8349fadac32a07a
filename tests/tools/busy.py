"""Programs that do nothing but use a processor, for what must not depend on how busy the machine is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from labkit.probe import children


@contextmanager
def busy_loops(count: int, seconds: float) -> Iterator[None]:
    """So many of them, for so long at most. They end with the process that started them."""
    code = f"import time\nend = time.time() + {seconds}\nwhile time.time() < end: pass"
    loops = [children.popen([sys.executable, "-c", code]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
