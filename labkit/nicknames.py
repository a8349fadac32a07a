"""Which nicknames are fit to use, and when two are the same.

Unicode makes this harder than it looks: `Alice`, `alice` and the full-width `Ａｌｉｃｅ` read alike. The
rules are those of RFC 8266 (the Nickname profile of PRECIS), done by the library `precis_i18n`; on top
come this chat's own: short enough, no white space, and nothing that would make a line read as another.

Pure: it knows no list of who is here. That is room.py's.
"""

from __future__ import annotations

from precis_i18n import get_profile

MAX_CHARACTERS = 32
"""The longest nickname, in characters (code points) after normalisation."""

FORBIDDEN_FIRST = "*!/#[>"
"""First characters that stand for something else: a notice, a refusal, a command, a room, a tag; and one's
own lines, in a transcript."""

# In this library "Nickname" maps case (RFC 8266 section 2.4, for comparing) and
# "NicknameCasePreserved" does not (section 2.3, for showing).
_shown = get_profile("NicknameCasePreserved")
_compared = get_profile("Nickname")


class BadName(ValueError):
    """The name cannot be used; the text says why, in words for the one who chose it."""


def fit(name: str) -> str:
    """Return `name` as it will be shown: normalised, outer spaces gone.

    Raises:
        BadName: if it cannot be a nickname (or a room: the same rules hold for both).
    """
    if len(name) > 8 * MAX_CHARACTERS:  # normalisation is work; not for a whole page of text
        raise BadName(f"too long: at most {MAX_CHARACTERS} characters")
    try:
        shown = _shown.enforce(name)
    except UnicodeEncodeError as error:
        raise BadName(_reason(error)) from None
    if len(shown) > MAX_CHARACTERS:
        raise BadName(f"too long: {len(shown)} characters, at most {MAX_CHARACTERS}")
    # U+FFFD is what bytes that are not UTF-8 were turned into.
    if "\ufffd" in shown:
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
    """What two names have in common when they are the same name (RFC 8266 section 2.4).

    `name` must be one that `fit` returned.
    """
    return _compared.enforce(name)


def _reason(error: UnicodeEncodeError) -> str:
    if error.reason.endswith("/empty"):
        return "it is empty"
    # The library's own copy of the text: it may be normalised, so the position is not ours.
    return f"the character U+{ord(error.object[error.start]):04X} is not allowed in a name"
