"""nicknames.py: what RFC 8266 makes of a name, what this chat adds, when two are the same, or look so."""

from __future__ import annotations

import subprocess
import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from texts import NAMES, TEXTS, TYPED_NAMES

from labkit.wire import nicknames
from labkit.wire.messages import Acted, Joined, Left, Moved, Renamed, Said, Welcome, Whispered, from_server
from labkit.wire.nicknames import MAX_CHARACTERS, BadName, fit, key, looks
from labkit.wire.text import clean


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("alice", "alice"),
        ("Alice", "Alice"),
        ("  alice ", "alice"),
        ("\u00a0alice\u3000", "alice"),  # no-break and ideographic space are spaces
        ("Ａｌｉｃｅ", "Alice"),  # full width
        ("ﬁona", "fiona"),  # a ligature
        ("Ame\u0301lie", "Amélie"),  # é in two code points
        ("Ⅷ", "VIII"),
        ("王小明", "王小明"),
        ("Ωmega", "Ωmega"),  # OHM SIGN becomes the letter
        ("Zoë🙂", "Zoë🙂"),
        ("nickname", "nickname"),
        ("a*b!c/d#e[f]", "a*b!c/d#e[f]"),  # only in the first place do they stand for something else
        ("->", "->"),
        ("x" * MAX_CHARACTERS, "x" * MAX_CHARACTERS),
        (" " + "é" * MAX_CHARACTERS, "é" * MAX_CHARACTERS),
    ],
)
def test_shown_as_rfc_8266_says(typed: str, shown: str) -> None:
    """A name is shown normalised (NFKC), its case kept, without outer spaces (RFC 8266, 2.3)."""
    assert fit(typed) == shown


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("alice", "ALICE"),
        ("alice", "Ａｌｉｃｅ"),
        ("Amélie", "AME\u0301LIE"),
        ("ﬁona", "FIONA"),
        ("Łukasz", "łukasz"),
        ("ΣΟΦΙΑ", "Σοφια"),
        ("Kelvin", "\u212aelvin"),  # the Kelvin sign
    ],
)
def test_look_alikes_are_the_same_name(one: str, other: str) -> None:
    """Case, width and the way of writing an accent do not make another name (RFC 8266, 2.4)."""
    assert key(fit(one)) == key(fit(other))


@pytest.mark.parametrize(
    ("one", "other"), [("alice", "alicе"), ("straße", "strasse"), ("o", "0"), ("é", "e")]
)
def test_what_rfc_8266_takes_for_different(one: str, other: str) -> None:
    """Letters of other scripts, and spellings, stay different: the RFC leaves such look-alikes be."""
    assert key(fit(one)) != key(fit(other))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "it is empty"),
        ("   ", "it is empty"),
        ("\u3000", "it is empty"),
        ("x" * 33, "too long: 33 characters, at most 32"),
        ("ﷺ" * 2, "too long: 36 characters, at most 32"),  # one character that is 18 after normalising
        ("x" * 100_000, "too long: at most 32 characters"),
        ("al\ufffdice", "it is not valid UTF-8"),
        ("al ice", "no white space inside a name"),
        ("al\u00a0ice", "no white space inside a name"),
        ("al\u1680ice", "no white space inside a name"),
        ("a:b", "no ':' inside a name"),
        ("a：b", "no ':' inside a name"),  # full width
        ("*alice", "a name cannot begin with '*'"),
        ("!alice", "a name cannot begin with '!'"),
        ("/alice", "a name cannot begin with '/'"),
        ("#alice", "a name cannot begin with '#'"),
        ("[alice", "a name cannot begin with '['"),
        ("＊alice", "a name cannot begin with '*'"),  # full width
        ("\ufe6falice", "the character U+FE6F is not allowed in a name"),
        ("al\tice", "the character U+0009 is not allowed in a name"),
        ("al\nice", "the character U+000A is not allowed in a name"),
        ("al\rice", "the character U+000D is not allowed in a name"),
        ("al\x00ice", "the character U+0000 is not allowed in a name"),
        ("\x1b[31malice", "the character U+001B is not allowed in a name"),
        ("al\x7fice", "the character U+007F is not allowed in a name"),
        ("al\u200bice", "the character U+200B is not allowed in a name"),  # zero width space
        ("al\u200dice", "the character U+200D is not allowed in a name"),  # zero width joiner
        ("\u202eecila", "the character U+202E is not allowed in a name"),  # right-to-left override
        ("al\u2066ice", "the character U+2066 is not allowed in a name"),
        ("al\u2028ice", "the character U+2028 is not allowed in a name"),
        ("al\u2029ice", "the character U+2029 is not allowed in a name"),
        ("\ufeffalice", "the character U+FEFF is not allowed in a name"),
        ("al\u00adice", "the character U+00AD is not allowed in a name"),  # soft hyphen
        ("\u3164", "the character U+1160 is not allowed in a name"),  # a filler; its normal form is told
        ("al\ud800ice", "the character U+D800 is not allowed in a name"),
        ("al\U0010ffffice", "the character U+10FFFF is not allowed in a name"),
        ("al\ue000ice", "the character U+E000 is not allowed in a name"),
    ],
)
def test_each_rule_says_why(name: str, why: str) -> None:
    """A name that will not do is refused, in words for the one who chose it."""
    with pytest.raises(BadName) as refused:
        fit(name)
    assert str(refused.value) == why


@given(TEXTS)
@example("\u00a8")  # its normal form begins with a space
@example("İ")  # two code points in lower case
def test_any_text_is_fit_or_a_bad_name(text: str) -> None:
    """fit() returns a name that keeps every rule, or raises BadName, and nothing else."""
    try:
        name = fit(text)
    except BadName as bad:
        reason = str(bad)
        assert clean(reason) == reason and len(reason) < 80
        reason.encode()  # can be sent
    else:
        assert 1 <= len(name) <= MAX_CHARACTERS
        assert name[0] not in "*!/#[" and ":" not in name and not any(c.isspace() for c in name)
        assert clean(name) == name
        name.encode()


@given(TYPED_NAMES)
@example("\u00a8")
@example("İ")
@example("ΑΣ")
def test_fit_is_idempotent_and_key_stable(typed: str) -> None:
    """A fit name is fit as it is; its key is its own key, is fit, and is that of other ways to type it."""
    name = fit(typed)
    assert fit(name) == name
    assert key(key(name)) == key(name)
    assert fit(key(name)) == key(name)
    assert key(fit(f"  {typed}\u3000")) == key(name)


@given(st.text("abcABC12._", min_size=1, max_size=6), st.text("abcABC12._", min_size=1, max_size=6))
def test_one_key_is_one_name(one: str, other: str) -> None:
    """Of plain letters, two names are the same just when they differ in case alone, at any width."""
    wide = "".join(chr(ord(c) + 0xFEE0) for c in other)  # ASCII as it stands in the full-width block
    assert (key(fit(one)) == key(fit(other))) == (one.lower() == other.lower())
    assert key(fit(wide)) == key(fit(other))


@given(NAMES, NAMES)
def test_a_fit_name_makes_lines_that_read_back(a: str, b: str) -> None:
    """Every kind of line with a fit name in it reads as that line, of that name."""
    for message in (
        Said(a, "hello"),
        Said(a, ""),
        Acted(a, "waves"),
        Whispered(a, f"{b}: no, {b} -> you: no"),
        Welcome(a, b),
        Joined(a),
        Left(a, "hung up"),
        Moved(a, b),
        Renamed(a, b),
    ):
        assert from_server(message.line()) == message


def test_every_character_that_changes() -> None:
    """Each code point with a case or another normal form, alone: fit and stable, or BadName."""
    changing = [
        c
        for c in map(chr, range(0x110000))
        if unicodedata.normalize("NFKC", c).lower() != c or c.upper() != c
    ]
    assert len(changing) > 5000
    for c in changing:
        try:
            name = fit(c)
        except BadName:
            continue
        assert fit(name) == name and clean(name) == name and key(key(name)) == key(name)
        assert name[0] not in "*!/#["


# --- looking alike ---


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("alice", "аlice"),  # a Cyrillic а
        ("Alice", "AIice"),  # a capital I
        ("alice", "АLIСЕ"),  # Cyrillic capitals but for two: alike when both are written small
        ("ALICE", "ALlCE"),  # a small l among capitals
        ("alice1", "alicel"),
        ("bob0", "bobO"),
        ("b0b", "bob"),
        ("tom", "torn"),
        ("paypal", "раураl"),
        ("ОЛЯ", "OЛЯ"),  # a Latin O
        ("strasse", "ѕtrаѕѕе"),
        ("scope", "ѕсоре"),  # Cyrillic throughout: no mixture gives it away
        ("ilker", "ılker"),  # no dot
        ("Ηelen", "Helen"),  # a Greek Η
        ("ali", "alі"),  # a Ukrainian і
    ],
)
def test_names_that_look_alike(one: str, other: str) -> None:
    """They are not the same name, and no reader could tell them apart."""
    assert key(fit(one)) != key(fit(other)) or one.lower() == other.lower()
    assert looks(fit(one)) & looks(fit(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Elia", "Ella"),  # a small i has a dot
        ("alice1", "alice2"),
        ("Zoe", "Zoé"),
        ("bob", "6o6"),
        ("Müller", "Muller"),
        ("Лиза", "Луза"),
        ("小明", "小朋"),
        ("🙂", "🙃"),
        ("anna", "hanna"),
        ("jose", "josé"),
    ],
)
def test_names_that_can_be_told_apart(one: str, other: str) -> None:
    """Accents, other digits, other letters of the same alphabet: these can be read."""
    assert not looks(fit(one)) & looks(fit(other))


def test_numbered_names_do_not_meet() -> None:
    """A program that joins as n0, n1, n2 … is refused none of them."""
    seen: set[str] = set()
    for n in range(20_000):
        look = looks(f"n{n}")
        assert not seen & look
        seen |= look


def test_plain_letters_are_as_in_the_table() -> None:
    """The short way for plain letters and Unicode's table agree; a replacement is replaced no further."""
    table = nicknames._mistaken()
    assert {one: other for one, other in table.items() if one < 128} == nicknames._MISTAKEN_ASCII
    for other in table.values():
        assert other.translate(table) == other


def test_the_table_is_read_once_and_only_for_other_letters() -> None:
    """A program whose people have plain names does not read it; and reading it is not done at import."""
    script = (
        "import sys; from labkit.wire import nicknames; nicknames.looks('alice'); "
        "print(nicknames._mistaken.cache_info().currsize); nicknames.looks('zoé'); "
        "print(nicknames._mistaken.cache_info().currsize)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "1"]


@given(NAMES)
def test_a_name_looks_like_itself_in_other_letters(name: str) -> None:
    """The same name looks the same: no client is taken for another for that."""
    assert looks(name) & looks(key(name))
    assert 1 <= len(looks(name)) <= 2
