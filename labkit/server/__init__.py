"""The chat server: a thread for each client, one that accepts, and one that alone writes.

- server.py        ChatServer: start, stop, who is here
- acceptor.py      the thread that accepts
- admission.py     who may come in, and who makes way
- slots.py         the slots for connections, counted; pure
- handshake.py     TLS, password, nickname
- client_loop.py   what a client's thread does: reads, and has done what was read
- connection.py    one client: what it says, and how it ends
- hub.py           what a client does to what all share, under one lock
- rooms.py         who is here, and who hears what; pure
- delivery.py      what was decided, as the log's entries and the journal's events; pure
- broadcaster.py   one thread that brings every client up to date, in batches
- sender.py        bytes out, without ever waiting; lets go of slow readers
- backlog.py       what waits for a client, and how much memory that is
- limits.py        how much a server lets its clients do; pure
- password.py      a password that can be compared with, and not be read
- scheduling.py    where it matters which thread runs next
- backplane/       rooms that several servers share, on Redis
"""

from labkit.server.server import PORT, ChatServer, Present

__all__ = ["PORT", "ChatServer", "Present"]
