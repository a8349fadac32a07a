"""Chat in a terminal: what you type is said, what is heard is printed.

As in the assignment, the main thread reads the keyboard and sends; what the client's receiving thread
has heard is printed by a third, so that neither waits for the other. There are two keyboards:

- `Typist`: a person at a terminal. prompt_toolkit keeps the line being typed apart from what arrives.
- `Pipe`: lines from a file or another program, as in `printf 'alice\\nhello\\n' | python -m labkit join`.

Both can be interrupted: when the server goes away, nobody is left typing to it.

This file is no client of its own: it builds on ChatClient (client.py). prompt_toolkit is imported only
when somebody sits at a terminal.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from time import sleep
from typing import Protocol

from labkit.client import GONE, ChatClient, Left, NicknameRefused
from labkit.framing import RAW, LineFraming, NewFraming, TooLong
from labkit.messages import Quit, from_client
from labkit.sockets import Address

LONGEST = 1 << 20
"""Bytes of the longest line that is read from a pipe. The server refuses much shorter ones, and says so."""

RAW_PAUSE = 0.2
"""Seconds between two messages in the raw dialect, where nothing but time keeps them apart."""
