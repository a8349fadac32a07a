"""The clock by which a student's code is timed: read outside its process, shown inside it.

The process that started it looks at the code's threads (probe/patience.py): inside, a look would have to
wait for an endless loop to let go of the interpreter. Three numbers in a file that both map into their
memory carry what it saw, and how often it has looked.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import tempfile
from time import sleep

from labkit.probe.patience import Patience

_NUMBERS = struct.Struct("=ddd")

NAP = 0.002
"""Seconds between two looks at how often the other side has looked."""


class ClockFace:
    """The side that shows the time. `path` is where the other side finds it."""

    def __init__(self) -> None:
        file, self.path = tempfile.mkstemp(prefix="labkit-clock-")
        try:
            os.write(file, bytes(_NUMBERS.size))
            self._map = mmap.mmap(file, _NUMBERS.size)
        finally:
            os.close(file)
        self._looks = 0

    def show(self, clock: Patience) -> None:
        """Show this clock's time."""
        self._looks += 1
        _NUMBERS.pack_into(self._map, 0, clock.seconds, clock.used, self._looks)

    def close(self) -> None:
        """Remove the file. Nothing may be shown any more."""
        self._map.close()
        with contextlib.suppress(FileNotFoundError):  # the other side has done it
            os.unlink(self.path)


class Clock:
    """The side that reads it, in the process of the code."""

    def __init__(self, path: str) -> None:
        with open(path, "rb") as file:
            self._map = mmap.mmap(file.fileno(), _NUMBERS.size, access=mmap.ACCESS_READ)
        with contextlib.suppress(OSError):  # Windows removes no file that is in use
            os.unlink(path)

    def __call__(self) -> float:
        """Seconds in which the code ran, or waited for nothing but itself."""
        return self.read()[0]

    def read(self) -> tuple[float, float]:
        """The same, and how many of these seconds it ran."""
        seconds, used, _ = _NUMBERS.unpack_from(self._map, 0)
        return seconds, used

    def until_looked(self) -> None:
        """Wait until the other side has looked once more: then it knows how late threads were until now.
        Once this process has ended, there is nothing to look at."""
        until = self._looks + 2  # one look may be under way
        while self._looks < until:
            sleep(NAP)

    @property
    def _looks(self) -> float:
        looks: float = _NUMBERS.unpack_from(self._map, 0)[2]
        return looks
