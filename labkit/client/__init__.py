"""The chat client: a thread that listens while yours speaks, and comes back when its server is lost.

- client.py       ChatClient: say, wait_for, leave
- session.py      what its two threads share, and the receiving one's work
- dialogue.py     how a client gets in, joining or coming back; pure
- reconnect.py    whom to try next, and when to give up
- connection.py   one connection to a server
- transcript.py   what was heard and said
- errors.py       what ChatClient raises
"""

from labkit.client.client import FROZEN, GONE, HERE, JOINING, ChatClient
from labkit.client.errors import ComingBack, ConnectionEnded, NicknameRefused, PasswordNeeded, WrongPassword

__all__ = [
    "FROZEN",
    "GONE",
    "HERE",
    "JOINING",
    "ChatClient",
    "ComingBack",
    "ConnectionEnded",
    "NicknameRefused",
    "PasswordNeeded",
    "WrongPassword",
]
