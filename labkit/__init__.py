"""Chat Lab: how a multi-user chat over TCP works, on real sockets and real threads.

The files, in the order in which they are best read. The first four are pure: no socket, no thread.

 1. framing.py      bytes in, messages out
 2. nicknames.py    which nicknames are fit to use, and when two are the same; password.py
 3. messages.py     what can be said on the wire
 4. room.py         who is here, and who hears what
 5. classic.py      the assignment's own two-list server and client
 6. sockets.py      where operating systems differ about sockets
 7. limits.py       how much a server lets its clients do
 8. server.py       ChatServer: accept, handle_client, stop
 9. door.py         the thread that accepts connections
10. crowd.py        who is connected, from where, and who could make room
11. connection.py   what a client's thread reads, and how that can end
12. delivery.py     from what the house decided to what the courier carries
13. courier.py      one thread that brings every client up to date, in batches
14. outgoing.py     bytes out, without ever waiting; backlog.py: what waits; tls.py: TLS, without a socket
15. gil.py          four places where it matters who runs next
16. backplane/      rooms that several servers share, on Redis
17. client.py       ChatClient: recv_msg, say; heard.py: wait_for; call.py and comeback.py: connections
18. terminal.py     chat in a terminal; keyboards.py and console.py are its hands
19. __main__.py     python -m labkit …; serve.py, demo.py and lab.py are its commands
20. instruments/    what a lab bench has
21. conformance/    is that server right? behaviours, tried from outside
22. exercises/      what to write yourself: task, answer, wrong versions, hints
23. grading/        what runs a student's code, and says what came of it
24. peers/          chat servers built in other ways, to be read beside it

Each folder lists its files.
"""

from labkit.client import ChatClient
from labkit.framing import LINES, RAW
from labkit.limits import Limits
from labkit.server import ChatServer

__all__ = ["LINES", "RAW", "ChatClient", "ChatServer", "Limits"]
