"""A password that an answer can be checked against, and that cannot be read.

Only its SHA-256 is kept, so that no error, no `repr` and no debugger shows it. Two spellings that look the
same are the same (RFC 8265, the OpaqueString profile, done by `precis_i18n`); upper and lower case differ.
"""

from __future__ import annotations

from contextlib import suppress

from labkit.wire.nicknames import profile

LONGEST = 256
"""Bytes of the longest password: it must fit on a line, and into one recv of the raw dialect."""


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
            self._hash = _hashed(profile("OpaqueString").enforce(text))
        except UnicodeEncodeError:
            raise ValueError("the password holds a character that cannot be typed") from None

    def fits(self, given: object) -> bool:
        """Whether this is it. Takes the same time however much of it is right."""
        from hmac import compare_digest

        normal = ""  # which no password is
        if isinstance(given, str) and len(given) <= LONGEST:
            with suppress(UnicodeEncodeError):
                normal = profile("OpaqueString").enforce(given)
        return compare_digest(_hashed(normal), self._hash)

    def __repr__(self) -> str:
        return "<Password>"


def _hashed(text: str) -> bytes:
    # Of one length, whatever the text's: compare_digest tells by its time whether lengths differ.
    from hashlib import sha256

    return sha256(text.encode("utf-8", "surrogatepass")).digest()
