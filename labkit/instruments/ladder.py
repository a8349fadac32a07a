"""A journal as a sequence diagram: who sent what to whom, from top to bottom.

Everybody who appears gets a vertical line, in order of appearance. Every event is an arrow from one to
another, with what it carried: bytes escaped, shortened, and with their number. Time runs downwards, as
order and not as seconds. FIN (▸, finished) and RST (✕, cut) look different.

The journal of a `Link` shows the bytes on one wire; that of a server shows whom it asked, what was said,
and to whom it went. Both are drawn alike. In Jupyter a ladder shows itself as a drawing (drawn.py); it is
always text as well, with the same content, and lines up wherever letters have one width. `mermaid` is the
same for a page in Markdown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from itertools import zip_longest

from labkit.instruments.drawing import width
from labkit.instruments.drawn import STYLE, Rung, drawn
from labkit.instruments.markup import bdi
from labkit.journal import Event, Journal
from labkit.wire.messages import (
    FIN,
    RST,
    SERVER,
    Joined,
    Left,
    Reason,
    Refused,
    Renamed,
    Request,
    Welcome,
    Whisper,
    Whispered,
    from_event,
    isolated_line,
    reason_called,
)
from labkit.wire.text import clean, isolated

ROWS = 40
"""Arrows that a ladder shows; of a longer journal the middle is folded."""

LABEL = 40
"""Characters of a label; a longer one is shortened, and ends with …"""


@dataclass(frozen=True, slots=True)
class Arrow:
    """One rung: something went from `sender` to `receiver`, or (where both are one) happened there."""

    sender: str
    receiver: str
    label: str
    kind: str = "bytes"  # "bytes", "FIN", "RST" or "note"
    thread: str = ""


class Ladder:
    """The picture of a journal, as it is now.

    Args:
        events: a Journal, or some of its events.
        title: what it shows, in a few words; screen readers say it, too.
        rows: how many arrows at most; of more, the middle is folded.
        threads: whether to name the thread that did it, at the end of each row.
        begin: the kind of event with which it begins, such as "said"; what came before is only counted.
    """

    def __init__(
        self,
        events: Iterable[Event],
        title: str = "",
        *,
        rows: int = ROWS,
        threads: bool = False,
        begin: str = "",
    ) -> None:
        if rows < 2:
            raise ValueError(f"a ladder has at least 2 rows, not {rows}")
        self.title = title or "who sent what to whom"
        self._dropped = events.dropped if isinstance(events, Journal) else 0
        seen = list(events)
        arrows = list(_arrows(seen))
        self._earlier = _before(seen, begin) if begin else 0
        self.arrows = arrows[self._earlier :]
        self._all = list(dict.fromkeys(name for a in arrows for name in (a.sender, a.receiver)))
        self._rows = rows
        self._threads = threads

    @property
    def participants(self) -> list[str]:
        """Everybody in the picture, in order of appearance."""
        here = {name for a in self.arrows for name in (a.sender, a.receiver)}
        return [name for name in self._all if name in here]

    def _folded(self) -> list[Arrow | str]:
        """The arrows that are shown; a text stands where some are not."""
        hidden = len(self.arrows) - self._rows
        earlier = [f"… {self._dropped} earlier events dropped …"] * bool(self._dropped)
        earlier += [f"… {self._earlier} earlier …"] * bool(self._earlier)
        if hidden <= 0:
            return [*earlier, *self.arrows]
        first = self._rows - self._rows // 2
        return [*earlier, *self.arrows[:first], f"… {hidden} more …", *self.arrows[first + hidden :]]

    # --- as text ---

    def __str__(self) -> str:
        if not self.arrows:
            return f"{self.title}: nothing has happened"
        names = self.participants
        columns = self._columns(names)
        lines = [self.title, "", _placed({columns[n]: isolated(n) for n in names}, centred=True)]
        for row in self._folded():
            if isinstance(row, str):
                lines.append(_placed({columns[n]: "⋮" for n in names}) + "   " + row)
            else:
                line = _rung(row, columns)
                if self._threads and row.thread:
                    line += "   " + row.thread
                lines.append(line)
        return "\n".join(lines)

    __repr__ = __str__

    def _columns(self, names: list[str]) -> dict[str, int]:
        """Where each one's line stands: so far apart that every label fits between its two ends."""
        at = {name: i for i, name in enumerate(names)}
        gaps = [0] * max(0, len(names) - 1)
        for i in range(len(gaps)):
            gaps[i] = (width(names[i]) + width(names[i + 1])) // 2 + 4
        for row in self._folded():
            if isinstance(row, str) or row.sender == row.receiver:
                continue
            left, right = sorted((at[row.sender], at[row.receiver]))
            missing = width(_text(row)) + 6 - sum(gaps[left:right])
            if missing > 0:
                gaps[right - 1] += missing
        columns, here = {}, width(names[0]) // 2 + 1
        for name, gap in zip(names, [*gaps, 0], strict=True):
            columns[name] = here
            here += gap
        return columns

    # --- as a drawing ---

    def mermaid(self) -> str:
        """The ladder in Mermaid's language, for JupyterLab, GitHub and others that draw it."""
        names = {name: f"p{i}" for i, name in enumerate(self.participants)}
        lines = ["sequenceDiagram", f"    accTitle: {_escaped(self.title)}"]
        told = "; ".join(
            row if isinstance(row, str) else f"{row.sender} to {row.receiver}: {_text(row)}"
            for row in self._folded()
        )
        lines.append(f"    accDescr: {_escaped(told)}")
        lines += [f"    participant {alias} as {_escaped(isolated(name))}" for name, alias in names.items()]
        for row in self._folded():
            if isinstance(row, str):
                lines.append(
                    f"    Note over {','.join(list(names.values())[:: max(1, len(names) - 1)])}: {row}"
                )
            elif row.sender == row.receiver:
                lines.append(f"    Note over {names[row.sender]}: {_escaped(row.label)}")
            else:
                arrow = {"FIN": "--)", "RST": "-x"}.get(row.kind, "->>")
                label = _escaped(isolated_line(_text(row)))
                lines.append(f"    {names[row.sender]}{arrow}{names[row.receiver]}: {label}")
        return "\n".join(lines)

    def html(self) -> str:
        """The ladder as HTML, without its title and style."""
        rungs = [
            Rung(row)
            if isinstance(row, str)
            else Rung(_text(row), row.sender, row.receiver, row.kind, row.thread if self._threads else "")
            for row in self._folded()
        ]
        return drawn(self.title, self._columns(self.participants), rungs)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        bundle = {"text/plain": str(self)}
        if self.arrows:
            title = f'<div class="title">{bdi(self.title)}</div>'
            bundle["text/html"] = f'<div class="labkit-drawing">{STYLE}{title}{self.html()}</div>'
        return bundle


class Beside:
    """Ladders to be compared: side by side where there is room, as text always."""

    def __init__(self, *ladders: Ladder) -> None:
        self.ladders = ladders

    def __str__(self) -> str:
        columns = [str(ladder).splitlines() for ladder in self.ladders]
        widths = [max(map(width, column)) + 3 for column in columns]
        rows = zip_longest(*columns, fillvalue="")
        starts = [sum(widths[:i]) for i in range(len(widths))]
        return "\n".join(_placed(dict(zip(starts, row, strict=True))).rstrip() for row in rows)

    __repr__ = __str__

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        drawings = [ladder._repr_mimebundle_() for ladder in self.ladders]
        each = "".join(
            f'<div style="max-width: 100%">{drawing.get("text/html", escape(drawing["text/plain"]))}</div>'
            for drawing in drawings
        )
        style = "display: flex; flex-wrap: wrap; gap: 10px 32px; align-items: flex-start"
        return {"text/plain": str(self), "text/html": f'<div style="{style}">{each}</div>'}


# --- from events to arrows ---


def _before(events: list[Event], kind: str) -> int:
    """How many arrows come before the first event of this kind; none if there is none."""
    first = next((i for i, e in enumerate(events) if e.kind == kind), 0)
    return sum(1 for _ in _arrows(events[:first]))


def _arrows(events: list[Event]) -> Iterator[Arrow]:
    """What went from whom to whom. A server's own events are told as it saw them: what came in, and to
    whom it went on."""
    names = _who_is_who(events)
    rooms: dict[str, str] = {}  # nickname -> room, of all who are here

    for e in events:
        me = e.who or names.get(e.thread, "a client")
        message = from_event(e.kind, me, e.what)
        others = [name for name, room in rooms.items() if room == e.where and name != me]
        if e.kind in ("bytes", FIN, RST):
            yield Arrow(e.who, e.where, e.what, e.kind, e.thread)
        elif message is None:
            yield Arrow(SERVER, SERVER, f"{e.kind} {e.what}".strip(), "note", e.thread)
        elif isinstance(message, Request | Refused):
            yield Arrow(SERVER, me, message.line(), thread=e.thread)
        elif isinstance(message, Whispered):
            yield Arrow(me, SERVER, Whisper(e.where, message.text).line(), thread=e.thread)
            yield Arrow(SERVER, e.where, message.line(), thread=e.thread)
        else:
            told = True
            if isinstance(message, Joined):
                if me not in rooms:
                    yield Arrow(me, SERVER, me, thread=e.thread)
                rooms[me] = e.where
                yield Arrow(SERVER, me, Welcome(me, e.where).line(), thread=e.thread)
            elif isinstance(message, Left):
                reason = reason_called(e.what)
                yield _end(me, reason, e.thread)
                rooms.pop(me, None)
                told = reason.announced
            elif (asked := message.asked()) is not None:
                yield Arrow(me, SERVER, asked.line(), thread=e.thread)
            if isinstance(message, Renamed):
                rooms[message.new] = rooms.pop(me, e.where)
                yield Arrow(me, me, f"is now {message.new}", "note", e.thread)
            for name in others * told:
                yield Arrow(SERVER, name, message.line(), thread=e.thread)


def _end(me: str, reason: Reason, thread: str) -> Arrow:
    """How this one's connection ended, and who ended it."""
    if reason.ended_by == SERVER:
        return Arrow(SERVER, me, reason, reason.last_packet, thread)
    if reason.last_packet in (FIN, RST):
        return Arrow(me, SERVER, "", reason.last_packet, thread)
    return Arrow(me, SERVER, reason.last_packet, thread=thread)


def _who_is_who(events: list[Event]) -> dict[str, str]:
    """Thread -> nickname: who is asked has none yet, but the same thread soon tells it."""
    return {e.thread: e.who for e in reversed(events) if e.who and e.kind == "joined"}


# --- drawing ---


def _text(arrow: Arrow) -> str:
    sign = {"FIN": "FIN ▸", "RST": "RST ✕"}.get(arrow.kind, "")
    label = clean(arrow.label)
    if width(label) > LABEL:
        label = label[: LABEL - 1] + "…"
    return f"{sign} {label}".strip()


def _rung(arrow: Arrow, columns: dict[str, int]) -> str:
    """One row: the lines of all, and the arrow between two of them."""
    start, end = columns[arrow.sender], columns[arrow.receiver]
    text = isolated_line(_text(arrow))
    if start == end:
        lines = {column: "│" for column in columns.values() if column <= start}
        return _placed({**lines, start: f"├ {text}"})
    left, right = min(start, end), max(start, end)
    shaft = right - left - 1 - width(text) - 3  # without the point, and a space before and after the text
    if start < end:
        arrow_itself = f"{'─' * (shaft - shaft // 2)} {text} {'─' * (shaft // 2)}▶"
    else:
        arrow_itself = f"◀{'─' * (shaft // 2)} {text} {'─' * (shaft - shaft // 2)}"
    lines = {column: "│" for column in columns.values() if not left < column < right}
    return _placed({**lines, left: "│" + arrow_itself})


def _placed(parts: dict[int, str], centred: bool = False) -> str:
    """A line with each text at its column."""
    line = ""
    for column, text in sorted(parts.items()):
        start = column - (width(text) - 1) // 2 if centred else column
        line += " " * (start - width(line)) + text
    return line


def _escaped(text: str) -> str:
    """Text that Mermaid takes for nothing but text."""
    safe = "".join(f"#{ord(c)};" if c in '#;%<>{}"\\' or ord(c) < 32 else c for c in text)
    # The bare word ends a block in Mermaid.
    return safe.replace("end", "e#110;d").replace("End", "E#110;d").replace("END", "E#78;D")
