"""Chat servers built in other ways than labkit's own, each small enough to be read beside it.

They speak the same wire: the handshake, `alice: TEXT`, `* alice joined`. They have no rooms and no
commands. Each can be run by itself: `python -m labkit.peers.queues`.

- sendqueue.py   the lines that wait for one client, and the thread that sends them
- queues.py      a queue for each client
"""
