"""What a lab bench has: instruments to look at a chat with. Import each from its own file.

- journal.py: what happened, in order.
- panel.py: ChatPanel, ServerPanel and board(), the widgets for a notebook; painter.py, the thread that
  keeps them up to date; look.py, their HTML.
"""
