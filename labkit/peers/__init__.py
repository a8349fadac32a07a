"""Chat servers built in other ways than labkit's own, each small enough to be read beside it.

They speak the same wire: the handshake, `alice: TEXT`, `* alice joined`. They have no rooms and no
commands. Each can be run by itself: `python -m labkit.peers.queues`.

- classic_lines.py      the assignment's own, with line ends: speakers send to all themselves
- sendqueue.py          the lines that wait for one client, and the thread that sends them
- queues.py             a queue for each client
- selectors_server.py   one thread, on a selector
- asyncio_server.py     one thread, and a coroutine for each client

`python -m labkit load --against classic,queues,selectors,asyncio` puts the same load on all of them.
"""
