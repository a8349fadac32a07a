"""A table of who is connected to a server."""

from __future__ import annotations

from time import monotonic

import ipywidgets

from labkit.instruments.panel import look
from labkit.instruments.panel.painter import Painter
from labkit.instruments.panel.widgets import LivePanel, column, style
from labkit.server import ChatServer, Present
from labkit.wire.text import isolated

LOOKS = 0.2
"""Seconds between two looks at a server, which does not report changes."""


class ServerPanel(LivePanel):
    """Who is connected to a server, in what room, through which thread, and how far behind.

    Args: as for ChatPanel.
    """

    every = LOOKS

    def __init__(self, server: ChatServer, painter: Painter | None = None) -> None:
        super().__init__(painter)
        self.server = server
        self._look_again = 0.0
        self._seen: tuple[str, list[Present]] | None = None
        self._shown = ipywidgets.HTML()
        self.widget = column("labkit-panel", style(), self._shown)
        self._begin()

    def _state(self) -> str:
        return "running" if self.server.running else "stopped"

    def __repr__(self) -> str:
        """Without the numbers, which change while you read."""
        people = self.server.present()
        lines = [f"  {isolated(who.nickname)}: in {isolated(who.room)}, {who.thread}" for who in people]
        return "\n".join([f"server · {self._state()}, {len(people)} here", *lines])

    def over(self) -> bool:
        return self.server.wait(0)

    def paint(self, last: bool) -> None:
        now = monotonic()
        if now < self._look_again and not last:
            return
        self._look_again = now + LOOKS
        state, people = self._state(), self.server.present()
        if last and state == "running":
            state = "no longer watched"
        if (state, people) == self._seen:
            return
        self._seen = state, people
        words = f"{state}, {len(people)} here"
        if state == "running":
            words += ", at {}:{}".format(*self.server.address)
        rows = [
            (who.nickname, who.room, who.thread, who.lines_in, who.lines_out, who.behind) for who in people
        ]
        heads = ("nickname", "room", "thread", "lines in", "lines out", "bytes behind")
        self._shown.value = look.head("server", state, words) + look.table(heads, rows, "who is connected")
