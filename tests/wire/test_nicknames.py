"""nicknames.py: what RFC 8266 makes of a name, what this chat adds, when two are the same, or look so."""

from __future__ import annotations

import subprocess
import sys
import unicodedata
from collections.abc import Callable, Mapping
from functools import cache

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
        ("\u2126μέγα", "Ωμέγα"),  # OHM SIGN becomes the letter
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
    ("one", "other"), [("scope", "ѕсоре"), ("straße", "strasse"), ("o", "0"), ("é", "e")]
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
        ("\u0301alice", "a mark must follow the letter that it belongs on"),
        ("\u00a8", "a mark must follow the letter that it belongs on"),  # its normal form does
        ("\u093eन", "a mark must follow the letter that it belongs on"),
        ("5\u05b8", "a mark must follow the letter that it belongs on"),  # of Hebrew
        ("🙂\u0301", "a mark must follow the letter that it belongs on"),
        ("a" + "\u0301" * 31, "too many marks on one letter"),
        ("ae\u0301\u0301", "too many marks on one letter"),  # é, and the same mark again
        ("a\u0323\u0302\u0301\u0308\u0307", "too many marks on one letter"),
        ("bob⦂hi", "the character U+2982 is not allowed in a name"),
        ("al⵿ice", "the character U+2D7F is not allowed in a name"),
        ("ᴀnna", "the character U+1D00 is not allowed in a name"),
        ("ʀob", "the character U+0280 is not allowed in a name"),
        ("a\u0336l\u0336i\u0336", "the character U+0336 is not allowed in a name"),  # struck through
        ("bob\u20dd", "the character U+20DD is not allowed in a name"),  # in a circle
        ("🅰nna", "the character U+1F170 is not allowed in a name"),
        ("a│ice", "the character U+2502 is not allowed in a name"),  # a line of a box
        ("ᎪᏞᎥᏟᎬ", "the character U+13AA is not allowed in a name"),  # Cherokee
        ("ꓮꓡꓲꓚꓰ", "the character U+A4EE is not allowed in a name"),  # Lisu
        ("κim", "it mixes letters of different scripts"),
        ("ηina", "it mixes letters of different scripts"),
        ("Кatя", "it mixes letters of different scripts"),
        ("太郎Иван", "it mixes letters of different scripts"),
        ("a\u064e", "it mixes letters of different scripts"),  # a vowel of Arabic
        ("Ali\u0661", "it mixes letters of different scripts"),
        ("नेहा1१", "it mixes digits of different scripts"),
        ("1محمد", "its parts could be shown in another order"),
        ("רותǃ", "it mixes letters of different scripts"),
        ("ǃalice", "it has something that looks like punctuation"),
        ("aliceː", "it has something that looks like punctuation"),
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


@given(st.text([chr(n) for n in range(0x80)], max_size=MAX_CHARACTERS))
@example("".join(map(chr, range(0x21, 0x50))))
@example("".join(map(chr, range(0x50, 0x7F))))
def test_plain_names_are_what_the_profiles_make_of_them(typed: str) -> None:
    """A name of ASCII is shown and compared as RFC 8266 says, whether the library was asked or not."""
    for ours, profile in ((nicknames._shown, "NicknameCasePreserved"), (nicknames._compared, "Nickname")):
        assert outcome(ours, typed) == outcome(nicknames.profile(profile).enforce, typed)


def outcome(enforce: Callable[[str], str], name: str) -> str:
    """What this makes of the name, or why it refuses it."""
    try:
        return enforce(name)
    except UnicodeEncodeError as error:
        return error.reason


@given(TYPED_NAMES)
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
        assert fit(key(name)) == key(name)
        assert name[0] not in "*!/#["


# --- looking alike ---


def cannot_both_be_here(one: str, other: str) -> bool:
    try:
        return bool(looks(fit(one)) & looks(fit(other)))
    except BadName:
        return True


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Alice", "AIice"),  # a capital I
        ("ALICE", "ALlCE"),  # a small l among capitals
        ("alice1", "alicel"),
        ("bob0", "bobO"),
        ("b0b", "bob"),
        ("tom", "torn"),
        ("scope", "ѕсоре"),  # Cyrillic throughout: no mixture gives it away
        ("Tom", "ТОМ"),  # Cyrillic capitals, of which the M becomes rn as a small letter
        ("ilker", "ılker"),  # no dot
        ("alice", "ali\u0307ce"),  # a dot on what has one
        ("alice", "AL\u0130CE"),
        ("alice", "ali\u0307c\u0332e"),  # loose marks, as many as there may be
        ("小明1", "小明l"),
        ("ロ", "口"),  # Katakana, and Han
        ("نور", "نُور"),  # with a vowel
        ("می\u200cنا", "مینا"),
    ],
)
def test_names_that_look_alike(one: str, other: str) -> None:
    """They are not the same name, and no reader could tell them apart."""
    assert key(fit(one)) != key(fit(other)) or one.lower() == other.lower()
    assert looks(fit(one)) & looks(fit(other))


@pytest.mark.parametrize(
    "name", ["аlice", "АLIСЕ", "раураl", "OЛЯ", "ѕtrаѕѕе", "Ηelen", "alі", "Αlice", "aliсe", "mаllory"]
)
def test_letters_of_two_scripts_are_refused(name: str) -> None:
    """Whoever has the real name: a mixture is no honest name."""
    with pytest.raises(BadName, match="different scripts"):
        fit(name)


HONEST = """
    José Zoë Łukasz Αλέξης Кирилл 太郎 김민준 नेहा محمد İbrahim Nguyễn O'Brien O’Brien Anne-Marie anna_2 R2D2
    Ødegård Þór Ægir Đức Ñuño François Müller Ḥasan Əli Ọláṣẹ́gun Ngũgĩ Kɔfi Ɛsi Ŋ G̃uarani Márton Ștefan
    Ἀριστοτέλης Σοφία Дмитрий Їжак Љубиша Қайрат ДʼАртаньян رضا علی فاطمة مُحَمَّد יעל דוד בן־גוריון محمد1 محمد١
    გიორგი Հայկ ዳዊት สมชาย ກຸ້ງ ကျော် វិចិត្រ བསྟན་འཛིན ދިވެހި பிரியா తెలుగు ಕನ್ನಡ മലയാളം ਗੁਰਪ੍ਰੀਤ ગુજરાતી ଓଡ଼ିଆ
    සිංහල বাংলা 王小明 𠮷野 ノア さくら ジョン・スミス 李Alex 김Alex Alexさん ㄅㄆㄇ Zoë🙂 🙂 🚀rocket नेहा१
    नेहा1 v1.2 x² alice_1 a.b -x- (bob) c++ ~~ 007
""".split()


@pytest.mark.parametrize("name", HONEST)
def test_honest_names_are_let_in(name: str) -> None:
    """In every script in everyday use, with the marks it needs; and hardly any are taken for each other."""
    shown = fit(name)
    assert fit(key(shown)) == key(shown)
    others = [fit(other) for other in HONEST if other != name]
    alike = [other for other in others if looks(shown) & looks(other) and key(shown) != key(other)]
    assert alike in ([], ["O’Brien"], ["O'Brien"], ["محمد"], ["مُحَمَّد"], ["محمد1"], ["محمد١"])


PLAIN = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=8)
MARKS = st.characters(categories=("Mn", "Me")).filter(lambda c: unicodedata.normalize("NFD", c) == c)


@given(PLAIN, MARKS, st.data())
@example("alice", "\u0307", None)
@example("joli", "\u0335", None)
def test_a_mark_in_a_plain_name(name: str, mark: str, data: st.DataObject | None) -> None:
    """It makes a letter that there is, such as é, or else one is taken for the name without it."""
    at = data.draw(st.integers(0, len(name))) if data else 3
    marked = name[:at] + mark + name[at:]
    accented = unicodedata.normalize("NFC", marked)
    is_a_letter = len(accented) == len(name) and not set("İ") & set(accented)
    assert is_a_letter or cannot_both_be_here(marked, name)


@given(PLAIN, st.characters(categories=("Cf", "Cc", "Zs", "Zl", "Zp", "Cn", "Co", "Cs")), st.data())
def test_something_unseen_in_a_plain_name(name: str, unseen: str, data: st.DataObject) -> None:
    """Or white space, or what no font has: it is refused, or dropped."""
    at = data.draw(st.integers(0, len(name)))
    assert cannot_both_be_here(name[:at] + unseen + name[at:], name)


@cache
def mistaken_for() -> Mapping[str, list[str]]:
    """Unicode's table the other way round."""
    back: dict[str, list[str]] = {}
    for one, other in nicknames._mistaken().items():
        if fits_as_it_is(chr(one)):
            back.setdefault(other, []).append(chr(one))
    return back


def fits_as_it_is(c: str) -> bool:
    """Whether it is shown as typed: a long s is shown as s."""
    return unicodedata.normalize("NFKC", c) == c


@given(NAMES, st.data())
def test_each_letter_may_be_one_that_it_is_mistaken_for(name: str, data: st.DataObject) -> None:
    """A name with some letters replaced by what Unicode's table has for them cannot be there beside it."""
    table, back = nicknames._mistaken(), mistaken_for()
    other = ""
    for c in unicodedata.normalize("NFD", name):
        to = [c, table.get(ord(c), c), *back.get(c, ()), *back.get(table.get(ord(c), ""), ())]
        other += to[data.draw(st.integers(0, len(to) - 1))]
    assert cannot_both_be_here(name, other)


def test_letters_in_the_clothes_of_others() -> None:
    """Every code point that Unicode's table or its normal form takes for a plain letter: one name with it
    and with the letter."""
    found = 0
    for code in range(0x80, 0x110000):
        c = chr(code)
        plain = nicknames._skeleton(unicodedata.normalize("NFKC", c))
        if len(plain) == 1 and plain.isascii() and plain.isalnum():
            found += 1
            assert cannot_both_be_here(f"x{c}x", f"x{plain}x"), hex(code)
            assert cannot_both_be_here(c * 3, plain * 3), hex(code)
            assert cannot_both_be_here(c * 3, plain.lower() * 3), hex(code)
    assert found > 1500


def test_numbers_beside_letters_from_right_to_left() -> None:
    """On the screen `1محمد` and `محمد1` are the same; only one of them can be had."""
    assert fit("محمد1") == "محمد1"
    assert cannot_both_be_here("1محمد", "محمد1")


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
    assert 1 <= len(looks(name)) <= 4


@pytest.mark.parametrize("name", ["\u2ea9\u4f1f", "al\u31d1ce", "\u31d0\u4e8c", "a\u2ff0b", "bob\u3190"])
def test_no_part_of_a_chinese_letter_stands_for_one(name: str) -> None:
    """Radicals and strokes are symbols, as wide as emoji, and look like letters."""
    with pytest.raises(nicknames.BadName, match="not allowed"):
        nicknames.fit(name)


@pytest.mark.parametrize("name", "al丨ce al〡ce al亅ce b口b 丿me ノme 一Bob é口".split())
def test_an_east_asian_letter_does_not_stand_for_a_latin_one(name: str) -> None:
    """Some are a stroke or a square, and Chinese and Japanese are written with Latin letters, too."""
    with pytest.raises(BadName, match="mixes letters"):
        fit(name)


@pytest.mark.parametrize("name", "李Lee Tanaka太郎 口 ノア 一郎 三井 三1 ニコ".split())
def test_beside_its_like_each_of_them_is_a_letter(name: str) -> None:
    assert fit(name) == name
