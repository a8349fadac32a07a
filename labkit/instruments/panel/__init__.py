"""Widgets for a notebook: a panel for a client, the server or a wire, and `board` for all.

- look.py      how panels look
- painter.py   one thread that keeps pictures up to date, and never more often than an eye can follow
- panels.py    widgets for a notebook
- widgets.py   the small parts that every panel is made of
- wires.py     widgets for a wire
"""

from labkit.instruments.panel.panels import LINES_SHOWN, Board, ChatPanel, ServerPanel, board
from labkit.instruments.panel.wires import LadderPanel, LinkPanel

__all__ = ["Board", "LINES_SHOWN", "ChatPanel", "LadderPanel", "LinkPanel", "ServerPanel", "board"]
