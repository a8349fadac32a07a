"""Times and sizes in words: three digits, with the unit that suits them."""

from __future__ import annotations

import math


def span(seconds: float) -> str:
    """A time, with the unit that suits it, and three digits at most."""
    if math.isnan(seconds):
        return "?"
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= 0.9995 * size:
            return f"{_short(seconds / size)} {unit}"
    return f"{_short(seconds * 1e6)} µs"


def amount(size: float) -> str:
    """Bytes, in MB or kB (of a thousand)."""
    if math.isnan(size):
        return "?"
    return f"{_short(size / 1e6)} MB" if size >= 1e6 else f"{_short(size / 1e3)} kB"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 99.5 else f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"
