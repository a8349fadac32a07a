"""display.py: rows of a terminal, and letters that an encoding lacks."""

from __future__ import annotations

import codecs
from unicodedata import east_asian_width

import pytest
from hypothesis import given
from hypothesis import strategies as some
from wcwidth import wcswidth

from labkit.cli.display import INDENT, NARROWEST, STAND_INS, in_rows, stand_in, whole
from labkit.wire.text import clean

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"
"""Two columns where it is drawn as one emoji, eight where it is drawn as four."""

PIECES = [
    "a",
    " ",
    "bob: hi",
    "中",
    "é",
    "e\u0301",
    "\u0301",
    "ж",
    "ｗ",
    "한",
    FAMILY,
    "👍🏽",
    "☁\ufe0f",
    "🇩🇪",
    "कि",
    "㉈",
]

LINES = some.lists(some.sampled_from(PIECES) | some.text(max_size=20), max_size=80).map(
    lambda pieces: clean("".join(pieces))
)


@given(LINES, some.integers(1, 200))
def test_only_the_first_row_begins_at_the_edge(line: str, columns: int) -> None:
    """All others begin with the indent, and together they are the line, with nothing lost."""
    first, *others = in_rows(line, columns)
    assert all(row.startswith(INDENT) and row != INDENT for row in others)
    assert first + "".join(row.removeprefix(INDENT) for row in others) == line


@given(LINES, some.integers(NARROWEST, 200))
def test_no_row_is_wider_than_the_terminal(line: str, columns: int) -> None:
    """By wcwidth's measure of the whole row; and where a terminal joins nothing, by each letter's own."""
    for row in in_rows(line, columns):
        assert wcswidth(row) <= columns
        assert sum(2 if east_asian_width(letter) in "WF" else 0 for letter in row) <= columns


@given(some.text("abc :", max_size=500), some.integers(NARROWEST, 200))
def test_rows_are_filled(line: str, columns: int) -> None:
    """A line of ASCII takes as few rows as it can: a line that fits is one."""
    rows = in_rows(line, columns)
    assert all(len(row) == columns for row in rows[:-1])
    assert (len(rows) == 1) == (len(line) <= columns)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("中", 2),
        ("e\u0301", 1),
        ("ｗ", 2),
        ("ж", 1),
        ("한", 2),
        ("𝒳", 1),
        ("🎉", 2),
        ("☁\ufe0f", 2),
        ("㉈", 2),
        ("कि", 2),
    ],
)
def test_wide_letters_and_marks_are_measured(text: str, columns: int) -> None:
    """As many as fill a row of 40 columns stay in one; one more makes a second."""
    assert len(in_rows(text * (40 // columns), 40)) == 1
    assert in_rows(text * (40 // columns + 1), 40)[1] == INDENT + text


@pytest.mark.parametrize("columns", range(1, 100))
def test_nobody_else_is_quoted(columns: int) -> None:
    """At any width: spaces before it, or wide letters, take no quotation to the beginning of a row."""
    for filler in (" ", "x", "中", FAMILY, "\u0301", "㉈"):
        for many in range(0, 2 * columns):
            rows = in_rows(f"mallory: {filler * many}bob: hi", columns)
            assert not any(row.startswith("bob") for row in rows)


@pytest.mark.parametrize("encoding", ["ascii", "cp866", "cp1252", "latin-1", "koi8-r", "cp437", "utf-8"])
def test_signs_stay_apart_in_every_encoding(encoding: str) -> None:
    """What holds and what does not, what was not judged and what was not tried are four signs."""
    codecs.register_error("labkit-test", stand_in)
    shown = [sign.encode(encoding, "labkit-test") for sign in "✓✗–·"]
    assert len(set(shown)) == 4 and b"?" not in shown
    arrows = [sign.encode(encoding, "labkit-test") for sign in "◀▶"]
    assert len(set(arrows)) == 2 and b"?" not in arrows


def test_other_letters_become_question_marks() -> None:
    """One for each; signs beside them keep their stand-ins, of ASCII alone."""
    codecs.register_error("labkit-test", stand_in)
    assert "ж✓ü…\ud800😀".encode("ascii", "labkit-test") == b"?+?...??"
    assert all(str(stand).isascii() for stand in STAND_INS.values())


@given(some.text())
def test_typed_letters_are_whole(text: str) -> None:
    """UTF-8 that was read as ASCII comes out as it was typed; the rest as it is, without surrogates."""
    as_typed = clean(text).encode()
    assert whole(as_typed.decode("ascii", "surrogateescape")) == clean(text)
    whole(text).encode()
