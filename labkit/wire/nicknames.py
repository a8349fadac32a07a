"""Which nicknames are fit to use, when two are the same, and when two look the same.

`Alice`, `alice` and the full-width `Ａｌｉｃｅ` read alike. The rules for that are those of RFC 8266 (the
Nickname profile of PRECIS), done by the library `precis_i18n`. This chat adds its own: short, no white
space, and nothing that would make a line read as another.

Different names can still look alike: `alice`, and the same with a Cyrillic а. Which letters are mistaken
for which is a table of Unicode's (UTS #39), in the library `homoglyphs_fork`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any
from unicodedata import normalize

MAX_CHARACTERS = 32
"""The longest nickname, in characters (code points) after normalisation."""

FORBIDDEN_FIRST = "*!/#[>"
"""First characters that stand for something else: a notice, a refusal, a command, a room, a tag; and the
user's own lines, in a transcript."""


@cache
def profile(name: str) -> Any:
    """A profile of PRECIS. Loaded when the first is wanted: `import labkit` alone is quick."""
    from precis_i18n import get_profile

    return get_profile(name)


def _shown(name: str) -> str:
    shown: str = profile("NicknameCasePreserved").enforce(name)  # RFC 8266, section 2.3
    return shown


def _compared(name: str) -> str:
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
    return shown


def key(name: str) -> str:
    """What two names have in common when they are the same name (RFC 8266, section 2.4).

    `name` must be one that `fit` returned.
    """
    return _compared(name)


def looks(name: str) -> frozenset[str]:
    """What the name looks like. Two names look alike if they have one of these in common.

    They are skeletons (UTS #39, section 4): each letter is replaced by the one that it could be mistaken
    for. One is of the name as it is shown, where a capital I looks like a small l; the other of the name
    in small letters, where it does not, but the Cyrillic capitals of `АLIСЕ` look like more of `alice`.

    That `1` looks like `l` and `rn` like `m` counts, too: `AIice` and `alicel` need no Cyrillic keyboard.
    Honest names hardly ever meet so: of the 5,163 first names of the US census of 1990, seven pairs do
    (Ian and Lan).

    `name` must be one that `fit` returned.
    """
    return frozenset(_skeleton(form).casefold() for form in (name, key(name)))


def load() -> None:
    """Read Unicode's tables now: later there may be no descriptor to open their files with."""
    key("alice")
    fit("alice")
    _mistaken()


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
    import json  # here, for a quick `import labkit`: most names are plain letters
    from importlib.resources import files

    # Around letters that are written from right to left there are marks, U+200E.
    text = (files("homoglyphs_fork") / "confusables.json").read_text("ascii").replace("\\u200e", "")
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
    return letters | {one: others.translate(letters) for one, others in several.items()}


def _reason(error: UnicodeEncodeError) -> str:
    if error.reason.endswith("/empty"):
        return "it is empty"
    # The library's own copy of the text: it may be normalised, so the position is not ours.
    return f"the character U+{ord(error.object[error.start]):04X} is not allowed in a name"
