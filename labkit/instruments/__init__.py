"""What a lab bench has: instruments to look at a chat with. Import each from its own file.

- journal.py    what happened, in order
- link.py       a wire you can tap and break
- faults.py     what can be wrong with it
- ladder.py     a journal as a sequence diagram
- panel.py      ChatPanel, ServerPanel and board(), the widgets for a notebook
- painter.py    the thread that keeps widgets up to date
- look.py       how they look
"""
