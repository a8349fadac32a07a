"""Text that is safe to show: nothing in it moves a cursor, breaks a line, or hides."""

from __future__ import annotations

import re
from collections.abc import Iterable
from unicodedata import bidirectional

# Cc and the bidirectional controls (Unicode, UAX #9), the two separators that some readers take for a
# line end, invisible characters (but not U+200D, which joins emoji), and lone surrogates: a str can hold
# one, UTF-8 cannot.
UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u2060-\u2064\ufeff"
    "\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\u3164\uffa0\ud800-\udfff]"
)


def clean(text: str) -> str:
    """`text` with every character that could disturb a screen made visible and harmless.

    A tab becomes a space; the C0 controls and DEL become their pictures (U+2400 and on), so that ESC
    shows as ␛; all the others become U+FFFD.
    """
    return UNSAFE.sub(_picture, text)


def _picture(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code == 0x09:
        return " "
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"


def isolated(text: str) -> str:
    """`text`; cleaned, and between U+2068 and U+2069, if some of it runs from right to left.

    These isolates (Unicode, UAX #9) keep it from changing the order of what stands around it: `name: text`
    would be shown as `text :name` if both run from right to left.
    """
    if text.isascii() or not any(bidirectional(letter) in _FROM_THE_RIGHT for letter in text):
        return text
    return f"\u2068{clean(text)}\u2069"


_FROM_THE_RIGHT = ("R", "AL", "AN", "RLE", "RLO", "RLI")


def brief(text: str, characters: int = 40) -> str:
    """`text` short enough to be quoted in an answer."""
    return text if len(text) <= characters else text[: characters - 1] + "…"


def in_lines(parts: Iterable[str], between: str, budget: int) -> list[str]:
    """The parts, with `between` between two, in as many lines of at most `budget` bytes as it takes."""
    lines = [""]
    for part in parts:
        longer = f"{lines[-1]}{between}{part}" if lines[-1] else part
        if len(longer.encode()) <= budget:
            lines[-1] = longer
        else:
            lines.append(part)
    return lines
