"""What passes on a wire, drawn as it passes: the live twin of `Ladder`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from time import monotonic

import ipywidgets

from labkit.instruments.drawn import STYLE
from labkit.instruments.ladder import Ladder
from labkit.instruments.link import Link
from labkit.instruments.panel import look
from labkit.instruments.panel.painter import Painter
from labkit.instruments.panel.widgets import LivePanel, column, style
from labkit.journal import Event

LOOKS = 0.25
"""Seconds between two looks at a link's journal."""

ARROWS = 25
"""The newest arrows that a LadderPanel shows; the link's `journal` has the others."""


NOTHING = "nothing has passed"


class LadderPanel(LivePanel):
    """The newest arrows on one of several wires.

    Args:
        wires: each with the name by which it is chosen.
        painter: as for ChatPanel; None: a painter of its own, which ends when all links have stopped.
    """

    every = LOOKS

    def __init__(self, wires: Mapping[str, Link], painter: Painter | None = None) -> None:
        if not wires:
            raise ValueError("a LadderPanel needs at least one wire")
        super().__init__(painter)
        self._wires = dict(wires)
        self._look_again = 0.0
        self._seen: object = None
        self._whose = ipywidgets.Dropdown(
            options=[*self._wires], description="on the wire of", tooltip="whose wire is drawn"
        )
        self._whose.observe(lambda _: self._painter.wake(), "value")
        self._shown = ipywidgets.HTML()
        self.widget = column(
            "labkit-panel", style(), style(STYLE), self._whose, column("labkit-rungs", self._shown)
        ).add_class("labkit-ladder")
        self._begin()

    def show(self, name: str) -> None:
        """Draw that one's wire from now on.

        Raises:
            KeyError: there is none of that name.
        """
        if name not in self._wires:
            raise KeyError(name)
        self._whose.value = name

    @property
    def whose(self) -> str:
        """Whose wire is drawn."""
        return str(self._whose.value)

    def __repr__(self) -> str:
        return f"on the wire of {self.whose}\n\n{_text(self._wires[self.whose])}"

    def over(self) -> bool:
        return not any(link.running for link in self._wires.values())

    def paint(self, last: bool) -> None:
        now = monotonic()
        if now < self._look_again and not last:
            return
        self._look_again = now + LOOKS
        whose = self.whose
        journal = self._wires[whose].journal
        there = whose, journal.dropped + len(journal)
        if there != self._seen:
            self._seen = there
            newest, earlier = _newest(self._wires[whose])
            self._shown.value = look.ladder(newest.html(), earlier) if newest.arrows else NOTHING


def _text(link: Link) -> str:
    newest, earlier = _newest(link)
    if not newest.arrows:
        return NOTHING
    drawn = str(newest).partition("\n\n")[2]  # without its title
    return f"… {earlier} earlier\n\n{drawn}" if earlier else drawn


def _newest(link: Link) -> tuple[Ladder, int]:
    """The ladder of the newest arrows, and how many came before them."""
    events = list(link.journal)
    shown = events[-ARROWS:]
    return _LinkLadder(link, shown), events[-1].n - len(shown) if events else 0


class _LinkLadder(Ladder):
    """The ladder of a link; each end keeps its side, whichever of them sends first."""

    def __init__(self, link: Link, events: Iterable[Event]) -> None:
        super().__init__(events, f"what passes on the wire of {link.to_client.receiver}")
        self._ends = (link.to_server.sender, link.to_server.receiver)

    @property
    def participants(self) -> list[str]:
        client, server = self._ends
        between = [name for name in super().participants if name not in self._ends]  # the link itself
        return list(dict.fromkeys([client, *between, server]))
