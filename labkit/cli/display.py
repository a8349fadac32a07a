"""Text as an output can show it: in rows of a terminal, and in the letters that its encoding has. Pure."""

from __future__ import annotations

from functools import lru_cache
from unicodedata import category, east_asian_width

INDENT = "    "
"""What a row begins with that continues the one above it."""

NARROWEST = len(INDENT) + 2
"""Columns that a row needs: a character may take two."""

_EMOJI_STYLE = "\ufe0f"  # U+FE0F makes ☁, one column wide, an emoji, which is two

STAND_INS = str.maketrans(
    {
        **{"✓": "+", "✗": "x", "✕": "x", "×": "x", "–": "-", "—": "-", "─": "-", "·": "."},
        **{"│": "|", "├": "|", "⋮": ":", "▶": ">", "▸": ">", "◀": "<", "→": ">"},
        **{"“": '"', "”": '"', "…": "...", "µ": "u"},
    }
)
"""The signs that this project prints, for encodings that lack them: different ones stay different where
they mean different things. Most are as wide as what they stand for, so that columns stay columns."""


def stand_in(error: UnicodeError) -> tuple[str, int]:
    """An error handler for `codecs`: signs have their stand-ins; other letters become `?`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end].translate(STAND_INS)
    return "".join(letter if letter.isascii() else "?" for letter in lacking), error.end


def whole(typed: str) -> str:
    """What was typed, with its letters whole. Bytes that the input's encoding lacks (ASCII, often) come as
    surrogates, one each; they are likely UTF-8."""
    return typed.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def in_rows(line: str, columns: int) -> list[str]:
    """Cut a line into rows of at most `columns` (or NARROWEST); all but the first are indented.

    The terminal would cut it as well, and begin the next row with whatever stands there: with spaces enough
    in what one client says, that is the nickname of another.
    """
    columns = max(columns, NARROWEST)
    if _width(line) <= columns:
        return [line]
    rows, row, room = [], "", columns
    for piece in _pieces(line, columns - len(INDENT)):
        width = _width(piece)
        if width > room:
            rows.append(row)
            row, room = INDENT, columns - len(INDENT)
        row += piece
        room -= width
    return [*rows, row]


def _pieces(line: str, columns: int) -> list[str]:
    """Its characters as a reader sees them (UAX #29), each whole if it is not wider than `columns`."""
    from wcwidth import iter_graphemes  # here: it takes 10 ms, and most commands cut no line

    pieces: list[str] = []
    for grapheme in iter_graphemes(line):
        pieces += [grapheme] if _width(grapheme) <= columns else grapheme
    return pieces


def _width(text: str) -> int:
    """The columns it takes on the terminal that gives it most. One joins two emoji to one, or a vowel sign
    to its letter, where another does not."""
    return sum(map(_columns, text))


@lru_cache(1024)
def _columns(letter: str) -> int:
    from wcwidth import wcwidth

    kind = category(letter)
    if kind in ("Mn", "Me"):  # marks that take no place of their own
        return 1 if letter == _EMOJI_STYLE else 0
    if (
        east_asian_width(letter) in ("WF", "WFA")[kind == "No"]
    ):  # glibc has ㉈ wide, which Unicode leaves open
        return 2
    return max(wcwidth(letter), 1)
