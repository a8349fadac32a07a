"""Widgets for a notebook: a panel for a client, the server or a wire, and `board` for all.

- boards.py        several people and their server, side by side
- chat_panel.py    one person's window on the chat
- buffers_panel.py what waits on the way to each person
- server_panel.py  who is connected to a server
- link_panel.py    what is wrong with a wire, and controls to change it
- ladder_panel.py  what passes on a wire, drawn as it passes
- moment_panel.py  one moment of a recording: lanes, ladders, buffers and screens
- prediction.py    a question, and a guess that is kept before its answer is seen
- look.py          the style sheet, and lines and tables as HTML
- painter.py       one thread that keeps pictures up to date, at most 20 times a second
- widgets.py       what every panel is made of

A panel is also text: its `repr` is what you would read in it, so that a notebook makes sense without a
front end.
"""

from labkit.wire.extras import extra

with extra("lab"):
    from labkit.instruments.panel.boards import Board, board
    from labkit.instruments.panel.buffers_panel import BuffersPanel
    from labkit.instruments.panel.chat_panel import LINES_SHOWN, ChatPanel
    from labkit.instruments.panel.ladder_panel import LadderPanel
    from labkit.instruments.panel.link_panel import LinkPanel
    from labkit.instruments.panel.moment_panel import MomentPanel
    from labkit.instruments.panel.prediction import Prediction, predict
    from labkit.instruments.panel.server_panel import ServerPanel

__all__ = [
    "Board", "BuffersPanel", "LINES_SHOWN", "ChatPanel", "LadderPanel", "LinkPanel", "MomentPanel",
    "Prediction", "ServerPanel", "board", "predict",
]  # fmt: skip
