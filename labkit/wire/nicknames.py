"""Which nicknames are fit to use, when two are the same, and when two look the same.

`Alice`, `alice` and the full-width `Ａｌｉｃｅ` read alike. The rules for that are those of RFC 8266 (the
Nickname profile of PRECIS), done by the library `precis_i18n`. This chat adds its own: short, no white
space, and nothing that would make a line read as another.

Different names can still look alike: `alice`, and the same with a Cyrillic а. UTS #39 (Unicode Security
Mechanisms) says what to do about that. Its table of letters that are mistaken for each other is in the
library `homoglyphs_fork`; which script a letter belongs to, in `regex`. A name keeps to letters in everyday
use, to one script (Latin goes with Chinese, Japanese and Korean), and to few marks on a letter.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from itertools import groupby, pairwise
from typing import Any
from unicodedata import category, combining, digit, east_asian_width, normalize
from unicodedata import name as name_of

MAX_CHARACTERS = 32
"""The longest nickname, in characters (code points) after normalisation."""

FORBIDDEN_FIRST = "*!/#[>"
"""First characters that stand for something else: a notice, a refusal, a command, a room, a tag; and the
user's own lines, in a transcript."""

MARKS_IN_A_ROW = 4
"""Nonspacing marks on one letter, at most (UTS #39, section 5.4)."""

SCRIPTS = frozenset(
    "Zyyy Zinh Arab Armn Beng Bopo Cyrl Deva Ethi Geor Grek Gujr Guru Hang Hani Hebr Hira Kana Khmr Knda "
    "Laoo Latn Mlym Mymr Orya Sinh Taml Telu Thaa Thai Tibt".split()
)
"""Those in everyday use (UAX #31, table 5), and what they share."""

BETWEEN_LETTERS = "\u00b7\u0375\u058a\u05be\u05f3\u05f4\u0f0b\u200c\u200d\u2010\u2019\u2027\u30a0\u30fb"
"""Besides ASCII, what stands between letters in some language (UAX #31, table 3): · and ’, for example."""

_NOT_FOR_NAMES = (
    *("Ancient Greek Musical Notation", "Ancient Greek Numbers", "Combining Diacritical Marks Extended"),
    *("Combining Diacritical Marks Supplement", "Combining Diacritical Marks for Symbols"),
    *("Combining Half Marks", "Cyrillic Extended-A", "Cyrillic Extended-B", "Cyrillic Extended-C"),
    *("Cyrillic Extended-D", "Hangul Compatibility Jamo", "Hangul Jamo", "Hangul Jamo Extended-A"),
    *("Hangul Jamo Extended-B", "Kana Extended-A", "Kana Extended-B", "Kana Supplement"),
    *("Latin Extended-D", "Latin Extended-E", "Latin Extended-F", "Latin Extended-G", "Letterlike Symbols"),
    *("Modifier Tone Letters", "Musical Symbols", "Number Forms", "Phonetic Extensions"),
    *("Phonetic Extensions Supplement", "Small Kana Extension", "Vedic Extensions"),
    "Znamenny Musical Notation",
)
"""Blocks of letters for phonetics, scholars and notations, many of which look like everyday ones."""

_PLAIN = re.compile("[!-~]+")
"""Printable ASCII: the profiles change nothing but its case, and take 12 µs to find that out."""

_PARTS_OF_LETTERS = (
    "CJK Radicals Supplement", "CJK Strokes", "Ideographic Description Characters", "Kanbun",
)  # fmt: skip
"""Blocks of wide symbols that look like Chinese letters, or like the strokes of any."""

SIMPLE = frozenset("丨丶丿亅乀乁一二三口工卜丅丄〇〡〢〣ノーニエロトイ")
"""East Asian letters as simple as a Latin one or a sign: beside Latin letters they can be taken for one."""


@cache
def profile(name: str) -> Any:
    """A profile of PRECIS. Loaded when the first is wanted: `import labkit` alone is quick."""
    from precis_i18n import get_profile

    return get_profile(name)


def _shown(name: str) -> str:
    if _PLAIN.fullmatch(name):
        return name
    shown: str = profile("NicknameCasePreserved").enforce(name)  # RFC 8266, section 2.3
    return shown


def _compared(name: str) -> str:
    if _PLAIN.fullmatch(name):
        return name.lower()
    compared: str = profile("Nickname").enforce(name)  # section 2.4: it maps case, too
    return compared


class BadName(ValueError):
    """The name cannot be used; the text says why, in words for the user who chose it."""


def fit(name: str) -> str:
    """Return `name` as it will be shown: normalised, outer spaces gone.

    Raises:
        BadName: if it cannot be a nickname (or a room: the same rules hold for both).
    """
    if len(name) > 8 * MAX_CHARACTERS:  # normalisation is work; not for a whole page of text
        raise BadName(f"too long: at most {MAX_CHARACTERS} characters")
    # One character may become 18, and the profile takes its time with each: this is quick to find out.
    if (length := len(normalize("NFKC", name).strip())) > MAX_CHARACTERS:
        raise BadName(f"too long: {length} characters, at most {MAX_CHARACTERS}")
    try:
        shown = _shown(name)
    except UnicodeEncodeError as error:
        raise BadName(_reason(error)) from None
    if "\ufffd" in shown:  # which bytes that are not UTF-8 have become
        raise BadName("it is not valid UTF-8")
    # U+2800, the braille pattern without a dot, looks like a space and is none to Unicode.
    if any(c.isspace() or c == "\u2800" for c in shown):
        raise BadName("no white space inside a name")
    # Looked for after normalising: the full-width colon becomes a plain one.
    if ":" in shown:
        raise BadName("no ':' inside a name")
    if shown[0] in FORBIDDEN_FIRST:
        raise BadName(f"a name cannot begin with {shown[0]!r}")
    if not shown.isascii():
        _judge(shown)
    return shown


def _judge(name: str) -> None:
    """Raise BadName if the name has what only serves to look like another (UTS #39, sections 3 to 5)."""
    if any(category(c)[0] == "M" and category(before)[0] not in "LM" for before, c in pairwise(" " + name)):
        raise BadName("a mark must follow the letter that it belongs on")
    marked = normalize("NFD", name)
    for is_mark, run in groupby(marked, lambda c: category(c) == "Mn"):
        marks = list(run) if is_mark else []
        if len(marks) > MARKS_IN_A_ROW or any(one == other for one, other in pairwise(marks)):
            raise BadName("too many marks on one letter")
    for c in name + key(name):
        if not (c.isascii() or _in_everyday_use(c)):
            raise BadName(f"the character U+{ord(c):04X} is not allowed in a name")
    if not _of_one_script(name) or (SIMPLE & {*name} and any(map(_is_latin, name))):
        raise BadName("it mixes letters of different scripts")
    if len({ord(c) - digit(c) for c in name if category(c) == "Nd"}) > 1:
        raise BadName("it mixes digits of different scripts")
    if not _read_in_one_direction(name):
        raise BadName("its parts could be shown in another order")  # than they were typed in
    seen = looks(name)
    if any(":" in look for look in seen) or (
        east_asian_width(name[0]) != "W"  # ノ looks like a slash, but is as wide as two
        and any(look[0] in FORBIDDEN_FIRST for look in seen)
    ):
        raise BadName("it has something that looks like punctuation")


def _in_everyday_use(c: str) -> bool:
    if c in BETWEEN_LETTERS:
        return True
    if category(c) in ("So", "Sk"):  # wide as emoji are; the narrow ones can look like letters
        return east_asian_width(c) == "W" and not _has(c, "Block", *_PARTS_OF_LETTERS)
    return (
        f"a{c}".isidentifier()
        and combining(c) != 1  # a stroke through the letter
        and _has(c, "Script", *SCRIPTS)
        and not _has(c, "Block", *_NOT_FOR_NAMES)
        and "SMALL CAPITAL" not in name_of(c, "")
    )


def _has(c: str, name: str, *values: str) -> bool:
    """Whether this property of Unicode has one of these values for the character."""
    return _having(name, values).match(c) is not None


@cache
def _having(name: str, values: tuple[str, ...]) -> Any:
    import regex  # here, for a quick `import labkit`: most names are plain letters

    return regex.compile("[" + "".join(rf"\p{{{name}={value}}}" for value in values) + "]")


def _of_one_script(name: str) -> bool:
    """Whether it is at most "highly restrictive" (UTS #39, section 5.2)."""
    scripts = [_writing_systems(c) for c in name]
    others = [of for of in scripts if of and "Latn" not in of]
    return bool(not others or _shared(filter(None, scripts)) or _shared(others) & {"Jpan", "Kore", "Hanb"})


def _is_latin(c: str) -> bool:
    return c.isalpha() and "Latn" in _writing_systems(c)


def _shared(sets: Iterable[set[str]]) -> set[str]:
    return set.intersection(*sets)


@lru_cache(1024)
def _writing_systems(c: str) -> set[str]:
    """Those that the character is written in (UTS #39, section 5.1); none: in any."""
    if c.isascii():
        return {"Latn"} if c.isalpha() else set()
    found = {script for script in SCRIPTS - {"Zyyy", "Zinh"} if _has(c, "Script_Extensions", script)}
    if not found and not _has(c, "Script_Extensions", "Zyyy", "Zinh"):
        return {"others"}  # of Yi's radicals, which are symbols
    for script, mixed in (("Hani", "Hanb Jpan Kore"), ("Bopo", "Hanb"), ("Hang", "Kore")):
        found |= set(mixed.split()) if script in found else set()
    return found | ({"Jpan"} if found & {"Hira", "Kana"} else set())


def _read_in_one_direction(name: str) -> bool:
    """Whether no two such names are shown the same (RFC 5893, section 2)."""
    from precis_i18n.bidi import bidi_rule, has_rtl
    from precis_i18n.unicode import UnicodeData

    data = UnicodeData()
    return not has_rtl(name, data) or bidi_rule(name, data)


def key(name: str) -> str:
    """What two names have in common when they are the same name (RFC 8266, section 2.4).

    `name` must be one that `fit` returned.
    """
    return _compared(name)


@lru_cache(1024)
def looks(name: str) -> frozenset[str]:
    """What the name looks like. Two names look alike if they have one of these in common.

    They are skeletons (UTS #39, section 4): each letter is replaced by the one that it could be mistaken
    for. One is of the name as it is shown, where a capital I looks like a small l; the other of the name
    in small letters, where it does not. Both again without marks that are no part of a letter, such as a
    dot on an i that has one.

    That `1` looks like `l` and `rn` like `m` counts, too: `AIice` and `alicel` need no Cyrillic keyboard.
    Honest names hardly ever meet so: of the 5,163 first names of the US census of 1990, seven pairs do
    (Ian and Lan).

    `name` must be one that `fit` returned.
    """
    forms = {name, key(name)}
    if not name.isascii():
        forms |= {_without_loose_marks(form) for form in forms}
    # Again in small letters: a capital M is like no other letters, and a small one like rn.
    return frozenset(_skeleton(_skeleton(form).casefold()).casefold() for form in forms)


def _without_loose_marks(name: str) -> str:
    return "".join(c for c in name if category(c) != "Mn" or not _has(c, "Script", "Zinh"))


def load() -> None:
    """Read Unicode's tables now: later there may be no descriptor to open their files with."""
    looks(fit("Zoé"))


def _skeleton(name: str) -> str:
    if name.isascii():
        return name.translate(_MISTAKEN_ASCII)
    return normalize("NFD", normalize("NFD", name).translate(_mistaken()))


# What Unicode's table says of plain letters: most names need no more of it.
_MISTAKEN_ASCII = str.maketrans(
    {"0": "O", "1": "l", "I": "l", "|": "l", "m": "rn", "`": "'", '"': "''", "%": "º/₀"}
)


@cache
def _mistaken() -> Mapping[int, str]:
    """For each letter that could be mistaken for another one, or for several: for which.

    The library's file has each letter with all that look like it, both ways round. A letter with several
    is the one that the others are replaced by; of a pair, it is the first in order.
    """
    import json
    from importlib.util import find_spec

    # The file alone: to import its library, or importlib.resources, takes longer than all the rest.
    library = find_spec("homoglyphs_fork")
    assert library is not None and library.origin is not None
    with open(os.path.join(os.path.dirname(library.origin), "confusables.json"), encoding="ascii") as file:
        # Around letters that are written from right to left there are marks, U+200E.
        text = file.read().replace("\\u200e", "")
    alike: dict[str, list[str]] = json.loads(text)
    letters: dict[int, str] = {}
    several: dict[int, str] = {}
    for one, (other, *more) in alike.items():
        if len(one) > 1 or more:
            continue
        if len(other) > 1:
            several[ord(one)] = other
        elif len(alike[other]) > 1 or other < one:
            letters[ord(one)] = other
    several = {one: others.translate(letters) for one, others in several.items()}
    return letters | several | {0x200C: "", 0x200D: ""}  # the joiners: they are not seen


def _reason(error: UnicodeEncodeError) -> str:
    if error.reason.endswith("/empty"):
        return "it is empty"
    # The library's own copy of the text: it may be normalised, so the position is not ours.
    return f"the character U+{ord(error.object[error.start]):04X} is not allowed in a name"
