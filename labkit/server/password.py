"""A password that somebody can be held against, and nobody can read.

Kept is only what it comes to in SHA-256, so that no error, no `repr` and no debugger shows it. Two
spellings that look the same count as the same: RFC 8265, the OpaqueString profile, done by `precis_i18n`,
as for nicknames. Upper and lower case differ.

It knows nothing of the wire. That is the server's: what is asked when, and how often.
"""

from __future__ import annotations

from precis_i18n import get_profile

LONGEST = 256
"""Bytes of the longest password: it must fit on a line, and into one recv of the raw dialect."""

_opaque = get_profile("OpaqueString")


class Password:
    """The password of a server.

    Args:
        text: 1 to 256 bytes of UTF-8, without control characters.

    Raises:
        ValueError: that cannot be a password. The text does not repeat it.
    """

    __slots__ = ("_hash",)

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise ValueError(f"a password is text, not {type(text).__name__}")
        if not text:
            raise ValueError("the password is empty; without one, nobody is asked for it")
        if len(text.encode("utf-8", "replace")) > LONGEST:
            raise ValueError(f"the password is too long: it has at most {LONGEST} bytes")
        try:
            self._hash = _hashed(_opaque.enforce(text))
        except UnicodeEncodeError:
            raise ValueError("the password holds a character that cannot be typed") from None

    def fits(self, given: object) -> bool:
        """Whether this is it. Takes the same time however much of it is right."""
        from hmac import compare_digest

        if not isinstance(given, str) or len(given) > LONGEST:
            given = ""
        try:
            given = _opaque.enforce(given)
        except UnicodeEncodeError:
            given = ""  # nobody's: a password is not empty
        return compare_digest(_hashed(given), self._hash)

    def __repr__(self) -> str:
        return "<Password>"


def _hashed(text: str) -> bytes:
    # Hashed, both are of one length: compare_digest tells by its time whether lengths differ.
    from hashlib import sha256

    return sha256(text.encode("utf-8", "surrogatepass")).digest()
