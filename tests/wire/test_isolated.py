"""Names and texts that run from right to left: none of them makes a line look like another's."""

from __future__ import annotations

import pytest

from labkit.journal import Journal
from labkit.wire.messages import isolated_line
from labkit.wire.text import isolated

HEBREW, ARABIC = "שלום1", "سلام"


def between(text: str) -> str:
    """Isolated from what stands around it."""
    return f"\u2068{text}\u2069"


@pytest.mark.parametrize("text", ["", "alice", "木下", "é 1 (2): 3", "👩‍🚀"])
def test_what_runs_from_left_to_right_stays_as_it_is(text: str) -> None:
    """Nobody else's terminal gets a character that it may not know."""
    assert isolated(text) == text and isolated_line(f"{text}: {text}") == f"{text}: {text}"


@pytest.mark.parametrize("text", [HEBREW, ARABIC, "1 א", "(٣)", "a\u202eb"])
def test_what_runs_from_right_to_left_is_isolated(text: str) -> None:
    """Also a digit of its own, and a control; and none that it holds can end the isolate."""
    shown = isolated(text + "\u2069")
    assert shown == between(text.replace("\u202e", "\ufffd") + "\ufffd")


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (f"{HEBREW}: {ARABIC}", f"{between(HEBREW)}: {between(ARABIC)}"),
        (f"{HEBREW}: 12: hi", f"{between(HEBREW)}: 12: hi"),
        (f"alice: {ARABIC}: 12!", f"alice: {between(f'{ARABIC}: 12!')}"),
        (f"{HEBREW} -> you: {ARABIC}", f"{between(HEBREW)} -> you: {between(ARABIC)}"),
        (f"{HEBREW} * {ARABIC}", f"{between(HEBREW)} * {between(ARABIC)}"),
        (f"* {HEBREW} joined", f"* {between(HEBREW)} joined"),
        (f"* {HEBREW} went to {ARABIC}", f"* {between(HEBREW)} went to {between(ARABIC)}"),
        (f"* {HEBREW} is now {ARABIC}", f"* {between(HEBREW)} is now {between(ARABIC)}"),
        (f"! {HEBREW}?", f"! {between(f'{HEBREW}?')}"),
        (f"> /msg {HEBREW} {ARABIC}", f"> {between(f'/msg {HEBREW} {ARABIC}')}"),
        (f"no form of ours {ARABIC}", between(f"no form of ours {ARABIC}")),
    ],
)
def test_each_part_of_a_line_is_isolated_by_itself(line: str, shown: str) -> None:
    """So the name stays first, whatever is said; and the sign before it, which no client can write."""
    assert isolated_line(line) == shown


def test_an_event_keeps_its_columns() -> None:
    """Who stands before where, in a journal that is printed."""
    journal = Journal()
    journal.record("said", HEBREW, ARABIC, "חדר")
    assert repr(journal).split()[2:] == [between(HEBREW), between("חדר"), between(f"'{ARABIC}'")]
