"""Texts and names for hypothesis: anything at all, and more often what matters to a chat."""

from __future__ import annotations

import unicodedata

from hypothesis import strategies as st

from labkit.wire.nicknames import BadName, fit

# Controls, separators, look-alikes, letters that change with case or normal form, lone surrogates.
AWKWARD = st.sampled_from(
    [
        *"*!/#[]: ->(),aAéÅﬁİıßẞςΣǅⅧＡａ：＊　🙂",
        *"\t\n\r\x00\x0b\x1b\x1c\x7f\x85\x9b\u00a0\u00a8\u00ad\u0301\u061c",
        *"\u200b\u200d\u200e\u202e\u2028\u2029\u2066\u2069\u2800\u3164\ufeff\ufffd\ud800\udfff\U000e0041",
    ]
)
ANYTHING = st.characters(exclude_categories=())

TEXTS = st.text(ANYTHING | AWKWARD | st.sampled_from("aAé:* /"), max_size=40)
"""Any text, lone surrogates included."""


def is_fit(name: str) -> bool:
    try:
        fit(name)
    except BadName:
        return False
    return True


# Characters each of which is a fit name: nearly every text of them is one too.
_LETTERS = st.sampled_from("abcxyzABCXYZ019éÅﬁİıßẞςΣǅⅧＡａ①世界Жж🙂_.,-*!>()") | st.characters(
    categories=("L", "N", "P", "S", "M")
)
TYPED_NAMES = st.one_of(
    st.sampled_from(
        ["alice", "bob", "nickname", "you", "joined", "->", "in", "left", "ALICE", "Ａｌｉｃｅ"]
    ),
    st.text(_LETTERS, min_size=1, max_size=12),
).filter(is_fit)
"""Names as they may be typed, fit for use."""

NAMES = TYPED_NAMES.map(fit)
"""Names as they are shown."""


def harmless(line: str) -> bool:
    """Whether a line can neither break in two nor disturb a screen; by Unicode's own tables, not ours."""
    return len(line.splitlines()) <= 1 and not any(
        unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs")
        or unicodedata.bidirectional(c) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
        or c in "\u200e\u200f\u061c"
        or c in "\u00ad\u200b\u2060\u2061\u2062\u2063\u2064\ufeff"  # invisible ones …
        or c in "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180e\u180f\u3164\uffa0"  # … and more
        for c in line
    )
