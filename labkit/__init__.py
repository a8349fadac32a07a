"""Chat Lab: how a multi-user chat over TCP works, on real sockets and real threads.

The files, in the order in which they are best read. The first four are pure: no socket, no thread.

 1. framing.py      bytes in, messages out
 2. nicknames.py    which nicknames are fit to use, and when two are the same
 3. messages.py     what can be said on the wire
 4. room.py         who is here, and who hears what
 5. classic.py      the assignment's own two-list server and client
 6. sockets.py      where operating systems differ about sockets
 7. limits.py       how much a server lets its clients do
 8. server.py       ChatServer: accept, handle_client, stop
 9. delivery.py     from what the house decided to what the courier carries
10. courier.py      one thread that brings every client up to date, in batches
11. client.py       ChatClient: recv_msg, say, wait_for
12. terminal.py     chat in a terminal
13. __main__.py     python -m labkit …
14. instruments/    what a lab bench has: journal.py, panel.py
"""

from labkit.client import ChatClient
from labkit.framing import LINES, RAW
from labkit.limits import Limits
from labkit.server import ChatServer

__all__ = ["LINES", "RAW", "ChatClient", "ChatServer", "Limits"]
