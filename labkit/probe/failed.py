"""What a failed check raises: what was expected, and what was seen instead.

A student reads both side by side. So they name things the student can look at: bytes, lines, who heard
what, how long.
"""

from __future__ import annotations


class CheckFailed(Exception):
    """Something that should hold does not.

    Args:
        expected: what should have happened, in a few words.
        seen: what happened instead.
        clue: a word by which an exercise finds its hint, where one step can fail in several ways.
    """

    def __init__(self, expected: str, seen: str, clue: str = "") -> None:
        super().__init__(f"expected {expected}; seen: {seen}")
        self.expected = expected
        self.seen = seen
        self.clue = clue
