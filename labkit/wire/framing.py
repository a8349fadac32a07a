"""Bytes in, messages out.

TCP carries a stream of bytes and keeps no message apart from the next: one `send` may arrive as three
`recv`s, and three `send`s as one. A framing is the rule by which both ends cut the stream into messages:
it is fed bytes, in pieces of any size, and returns the messages that are complete.

- `LineFraming` (LINES): a message ends with LF.
- `RawFraming` (RAW): what one `recv` returned is a message. The assignment speaks this; it works only while
  neither side writes twice before the other reads once.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

MAX_LINE = 4096
"""The longest line on the wire, in bytes, its LF included."""


@dataclass(frozen=True, slots=True)
class TooLong:
    """Stands where a message longer than the limit was; its bytes were not kept."""

    limit: int  # bytes, LF included


class Framing(Protocol):
    """What a framing can do. Each connection needs one of its own."""

    def feed(self, data: bytes) -> list[str | TooLong]:
        """Take the bytes of one `recv`; return the messages they complete, oldest first."""

    def frame(self, text: str) -> bytes:
        """The bytes that carry `text` as one message."""


NewFraming = Callable[[], Framing]


class LineFraming:
    """UTF-8 lines ended by LF. A CR before the LF is dropped.

    Bytes that are not UTF-8 become U+FFFD. Only whole lines are decoded, so that a character which `recv`
    cut in two is whole again. A line of more than `limit` bytes comes out as `TooLong`. What follows the
    last LF is kept for the next `feed`, never more than `limit` bytes of it.
    """

    def __init__(self, limit: int = MAX_LINE) -> None:
        if limit < 2:
            raise ValueError(f"a limit of {limit} bytes leaves no room for a message and its LF")
        self.limit = limit
        self._rest = b""  # what came after the last LF

    def feed(self, data: bytes) -> list[str | TooLong]:
        return self.messages(self.lines(data))

    def lines(self, data: bytes) -> bytes:
        """Take the bytes of one `recv`; return the lines they complete, each with its LF."""
        if self._rest:
            data = self._rest + data
        elif data.endswith(b"\n"):
            return data
        end = data.rfind(b"\n") + 1
        self._rest = data[end : end + self.limit]  # so much tells that a line is too long
        return data[:end]

    def messages(self, lines: bytes) -> list[str | TooLong]:
        """What these lines say."""
        if len(lines) > self.limit:
            return [self._line(line) for line in lines[:-1].split(b"\n")]
        if not lines:
            return []
        # None of these lines can be too long. To decode them together changes nothing: no byte of a longer
        # UTF-8 character can be an LF, so what is broken in one line stays in that line.
        text = lines[:-1].decode("utf-8", "replace")
        return [*text.replace("\r\n", "\n").removesuffix("\r").split("\n")]

    def _line(self, line: bytes) -> str | TooLong:
        if len(line) >= self.limit:
            return TooLong(self.limit)
        return line.decode("utf-8", "replace").removesuffix("\r")

    def frame(self, text: str) -> bytes:
        if "\n" in text:
            raise ValueError(f"a line cannot hold an LF: {text!r}")
        return text.encode("utf-8", "replace") + b"\n"


class RawFraming:
    """The assignment's dialect: a recv is a message.

    Line ends at the end of a message are dropped, so that `nc` can speak it. Half a character is held back
    until its other half comes: the only repair that this dialect allows.
    """

    def __init__(self, limit: int = MAX_LINE) -> None:
        self.limit = limit
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes) -> list[str | TooLong]:
        if not data:
            return []
        if len(data) > self.limit:
            self._decoder.reset()
            return [TooLong(self.limit)]
        text = self._decoder.decode(data)
        # An empty text here is half a character, not a message.
        return [text.rstrip("\r\n")] if text else []

    def frame(self, text: str) -> bytes:
        return text.encode("utf-8", "replace")


LINES: NewFraming = LineFraming
RAW: NewFraming = RawFraming
FRAMINGS: dict[str, NewFraming] = {"lines": LINES, "raw": RAW}
