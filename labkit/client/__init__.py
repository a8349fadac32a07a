"""The chat client: a thread that listens while yours speaks, and comes back when its server is lost.

- client.py       ChatClient
- connection.py   a call
- reconnect.py    a comeback
- transcript.py   what a client has heard
"""

from labkit.client.client import (
    ChatClient,
    ComingBack,
    NicknameRefused,
    PasswordNeeded,
    WrongPassword,
)
from labkit.client.transcript import FROZEN, GONE, HERE, JOINING, Left

__all__ = [
    "FROZEN",
    "GONE",
    "HERE",
    "JOINING",
    "ChatClient",
    "ComingBack",
    "Left",
    "NicknameRefused",
    "PasswordNeeded",
    "WrongPassword",
]
