"""Very many times, in little room: how many there were of each length, right to one percent.

A run has millions of delivery times. `Times` keeps none of them: it counts how many fall into each of some
two thousand buckets, each one percent longer than the one before. So a percentile is right to one percent,
which is less than the difference of two runs; the longest time is exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from labkit.wire.extras import extra

with extra("load"):
    import numpy as np
    from numpy.typing import ArrayLike

LEAST = 1e-6
"""Seconds; what is shorter counts as this long."""

MOST = 3600.0
"""Seconds; what is longer counts as this long."""

STEP = 1.01
"""How much longer each bucket is than the one before."""

BUCKETS = math.ceil(math.log(MOST / LEAST) / math.log(STEP)) + 1


class Times:
    """Counts of times, in seconds."""

    def __init__(self, seconds: ArrayLike = ()) -> None:
        self._counts = np.zeros(BUCKETS, np.int64)
        self.longest = 0.0  # seconds
        self.add(seconds)

    def add(self, seconds: ArrayLike) -> None:
        """Count these, too."""
        all_of_them = np.asarray(seconds, float)
        if all_of_them.size == 0:
            return
        self.longest = max(self.longest, float(all_of_them.max()))
        steps = np.log(np.clip(all_of_them, LEAST, MOST) / LEAST) / math.log(STEP)
        self._counts += np.bincount(np.ceil(steps - 1e-9).astype(np.int64), minlength=BUCKETS)

    def __len__(self) -> int:
        """How many were counted."""
        return int(self._counts.sum())

    def percentile(self, percent: float) -> float:
        """The time, in seconds, that so many percent of all did not exceed (nearest rank); nan if none
        was counted.

        Raises:
            ValueError: that is no percentage.
        """
        if not 0 <= percent <= 100:
            raise ValueError(f"a percentile is from 0 to 100, not {percent!r}")
        if not len(self):
            return math.nan
        rank = max(1, math.ceil(percent / 100 * len(self) - 1e-9))
        if rank == len(self):
            return self.longest
        bucket = int(np.searchsorted(np.cumsum(self._counts), rank))
        return min(LEAST * STEP**bucket, self.longest)

    @classmethod
    def of_all(cls, several: Iterable[Times]) -> Times:
        """All of these together."""
        together = cls()
        for times in several:
            together._counts += times._counts
            together.longest = max(together.longest, times.longest)
        return together
