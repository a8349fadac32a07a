"""How a framing cuts a stream: bytes as boxes, what it keeps of them, and the lines that fall out.

As HTML, and as text that says the same; both are the same each time. What is kept has a dashed border,
what has just come a line below it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Protocol

from labkit.instruments import drawing
from labkit.instruments.markup import bdi
from labkit.wire.text import clean

SHOWN = 48
"""Boxes in a row; of more, the middle is left out."""

_NEVER = (0xC0, 0xC1, *range(0xF5, 0x100))  # bytes that UTF-8 does not have (RFC 3629)
_SIGNS = {10: "⏎", 13: "␍", 32: "␣", 9: "⇥"}


class Feeds(Protocol):
    """A framing: labkit's own, or a student's."""

    def feed(self, data: bytes, /) -> Iterable[object]: ...


@dataclass(frozen=True, slots=True)
class Box:
    """A byte, or the bytes of one letter."""

    sign: str
    codes: str = ""  # in hexadecimal, where the sign alone does not tell
    half: bool = False  # not all bytes of its letter are here

    def __str__(self) -> str:
        return f"{self.sign} {self.codes}".strip()


def boxes(data: bytes) -> list[Box]:
    """A box for each byte; the bytes of one UTF-8 letter share theirs. Half a letter is marked as such."""
    found, at = [], 0
    while at < len(data):
        size = _length(data[at])
        letter = data[at : at + size]
        try:
            text = letter.decode()
        except UnicodeDecodeError:
            rest = letter[1:]
            whole = all(0x80 <= byte < 0xC0 for byte in rest)
            letter = letter if len(letter) < size and whole else letter[:1]
            sign = "?" if letter[0] in _NEVER else "½"
            found.append(Box(sign, letter.hex(" "), half=True))
        else:
            if size == 1:
                byte = letter[0]
                known = byte in _SIGNS or 32 < byte < 127
                found.append(Box(_SIGNS.get(byte, text)) if known else Box("", letter.hex()))
            else:
                found.append(Box(clean(text), letter.hex(" ")))
        at += len(letter)
    return found


def _length(first: int) -> int:
    """Bytes of a UTF-8 letter that begins with this one (RFC 3629)."""
    return 1 if first < 0xC2 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4 if first < 0xF5 else 1


@dataclass(frozen=True, slots=True)
class Fed:
    """One call of `feed`."""

    kept: bytes | None  # before it; None: cannot be seen
    piece: bytes
    messages: tuple[str, ...]
    keeps: bytes | None  # after it
    error: str = ""


class FeedSteps:
    """What a framing makes of some pieces: what comes, which lines fall out, and what it keeps.

    Args:
        framing: anything with `feed`. What it keeps is the one attribute of it that holds bytes.
        pieces: what one `recv` after the other returns.
    """

    def __init__(self, framing: Feeds, *pieces: bytes) -> None:
        self.steps: list[Fed] = []
        for piece in pieces:
            before, error = _kept(framing), ""
            messages: tuple[str, ...] = ()
            try:
                messages = tuple(map(str, framing.feed(piece)))
            except Exception as raised:  # a student's: it belongs into the picture
                error = f"{type(raised).__name__}: {raised}"
            self.steps.append(Fed(before, piece, messages, _kept(framing), error))
            if error:
                break

    def __repr__(self) -> str:
        rows: list[list[str]] = []
        for number, step in enumerate(self.steps, 1):
            if step.kept:
                rows.append([f"{number}", "kept", _as_text(step.kept)])
            rows.append(["" if step.kept else f"{number}", "comes", _as_text(step.piece)])
            rows += [["", "→ line", clean(message)] for message in step.messages]
            rows += [["", "→ fails", step.error]] if step.error else []
            rows.append(["", "keeps", _keeps_as_text(step.keeps)])
        return "\n".join(drawing.in_columns(rows)) if rows else "nothing was fed"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        heads = ("", "kept, and what comes", "lines that fall out", "kept now")
        top = "".join(f'<th scope="col">{head}</th>' for head in heads)
        rows = "".join(self._row(number, step) for number, step in enumerate(self.steps, 1))
        inner = f"<table><thead><tr>{top}</tr></thead><tbody>{rows}</tbody></table>"
        html = drawing.TABLE_STYLE + drawing.framed("labkit-rows", repr(self), inner)
        return {"text/plain": repr(self), "text/html": html}

    def _row(self, number: int, step: Fed) -> str:
        came = _as_html(step.kept or b"", "kept") + _as_html(step.piece, "new")
        lines = "".join(
            f'<div class="line">{bdi(clean(line)) if line else "&nbsp;"}</div>' for line in step.messages
        )
        if step.error:
            lines += f'<div class="line"><b>fails</b>: {bdi(step.error)}</div>'
        none = '<span class="faint">{}</span>'
        keeps = _as_html(step.keeps, "kept") if step.keeps else none.format(_NOTHING[step.keeps])
        row = '<div class="row">{}</div>'
        cells = (str(number), row.format(came), lines or none.format("none"), row.format(keeps))
        return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


_NOTHING: dict[bytes | None, str] = {b"": "nothing", None: "cannot be seen"}


def _kept(framing: object) -> bytes | None:
    """What a framing has put by: the one attribute that holds bytes."""
    try:
        held = [bytes(value) for value in vars(framing).values() if isinstance(value, bytes | bytearray)]
    except TypeError:  # it has no attributes of its own
        return None
    return held[0] if len(held) == 1 else None


def _folded(data: bytes) -> tuple[list[Box], int, list[Box]]:
    """The first boxes, how many bytes are left out, and the last boxes."""
    if len(data) <= SHOWN:
        return boxes(data), 0, []
    return boxes(data[: SHOWN // 2]), len(data) - SHOWN // 2 - 8, boxes(data[-8:])


def _as_text(data: bytes) -> str:
    first, missing, last = _folded(data)
    shown = "│" + "".join(f"{box}│" for box in first)
    if not data:
        return "nothing"
    return shown + (f" … {missing:,} bytes … │" + "".join(f"{box}│" for box in last) if missing else "")


def _keeps_as_text(data: bytes | None) -> str:
    return _NOTHING[None] if data is None else _as_text(data)


def _as_html(data: bytes, kind: str) -> str:
    first, missing, last = _folded(data)
    shown = [_box(box, kind) for box in first]
    if missing:
        shown += [f'<span class="faint">… {missing:,} bytes …</span>', *(_box(box, kind) for box in last)]
    return "".join(shown)


def _box(box: Box, kind: str) -> str:
    codes = f"<small>{box.codes}</small>" if box.codes else ""
    return f'<span class="box {kind}{" wrong" if box.half else ""}">{escape(box.sign)}{codes}</span>'
