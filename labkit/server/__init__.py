"""The chat server: a thread for each client, one that accepts, and one that alone writes.

- acceptor.py      the door
- admission.py     everybody who is connected, with a nickname or without
- backlog.py       what waits for a client because its socket would not take it, and how much memory all of
                   that is
- broadcaster.py   the courier
- connection.py    one connection, as the thread that reads from it sees it
- delivery.py      from what the house decided to what the courier carries, and to what the journal keeps
- limits.py        how much a server lets its clients do
- password.py      a password that somebody can be held against, and nobody can read
- rooms.py         who is here, and who hears what
- scheduling.py    four places where it matters who runs next
- sender.py        bytes out of the server, without ever waiting
- server.py        ChatServer
"""

from labkit.server.server import PORT, ChatServer, Present

__all__ = ["PORT", "ChatServer", "Present"]
