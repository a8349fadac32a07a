"""What a step raises that does not hold: what was expected, and what was seen instead.

Both are told to a student, side by side. So they name things the student can look at: bytes, lines, who
heard what, how long.
"""

from __future__ import annotations


class Missed(Exception):
    """Something that should hold does not.

    Args:
        expected: what should have happened, in a few words.
        seen: what happened instead.
        clue: a word by which an exercise finds its hint, where one step can be missed in several ways.
    """

    def __init__(self, expected: str, seen: str, clue: str = "") -> None:
        super().__init__(f"expected {expected}; seen: {seen}")
        self.expected = expected
        self.seen = seen
        self.clue = clue
