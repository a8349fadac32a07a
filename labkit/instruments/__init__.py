"""What a lab bench has: instruments to look at a chat with. Import each from its own file.

- journal.py       what happened, in order
- link.py          a wire you can tap and break
- faults.py        what can be wrong with it
- ladder.py        a journal as a sequence diagram
- redis_server.py  a Redis of your own, to be killed, paused and restarted
- panel.py         ChatPanel, ServerPanel and board(), the widgets for a notebook
- wire_panel.py    LinkPanel and LadderPanel: the faults of a wire, and what passes on it
- widgets.py       the small parts that every panel is made of
- painter.py       the thread that keeps widgets up to date
- look.py          how they look
- load/            many clients at once, and what a server makes of it; its files are listed there
- stepper/         two threads, one line at a time; its files are listed there
"""
