"""How a client is run and what is known of it; and how long it may take for anything."""

from __future__ import annotations

import re
from dataclasses import dataclass

from labkit.probe.failed import CheckFailed
from labkit.wire.messages import Request

TIMEOUT = 2.0
"""Seconds after which a client is taken not to do a thing."""

CONNECTING = 10.0
"""Seconds that it has to start, and to connect."""

ENDING = 4.0
"""Seconds that it has to end."""

QUIET = 0.4
"""Seconds without anything after which nothing more is expected."""

A_MOMENT = 0.2
"""Seconds without a byte after which it has printed what it prints of itself, such as a prompt."""

NAP = 0.002
"""Seconds from one look to the next, where nothing wakes: whether the client has read what was sent."""

NUDGES = 12
"""Times that Enter is pressed for a client that shows nothing before that."""

HOST = "127.0.0.1"

CLIENT, SERVER, KEYBOARD, SCREEN = "client", "server", "keyboard", "screen"

SEEN = 120
"""Letters of what it printed last that are told."""

REQUEST = Request().line()

OTHER = "kim"
"""Who talks in the room of the client."""

NICKNAMES = ("alice", "carol", "frida")
"""What its user types when a nickname is asked for, and when it is asked for again."""

AT_START, AT_REQUEST, BY_ITSELF = "at the start", "at the request", "by itself"
"""When a client takes the nickname from its user: before it connects, or once the server asks; or never,
because it knows it."""

NUDGE = "nudge"

TRACEBACK = re.compile(
    r"Traceback \(most recent call last\)|^Exception in thread |^[ \t]+at [\w.$<>/]+ ?\("
    r"|UnhandledPromiseRejection|Unhandled '?error'? event|^panic: |^goroutine \d+|Unhandled exception"
    r"|\bpanicked at\b|Segmentation fault|core dumped",
    re.M,
)
"""What Python, Java, Node, Go, .NET and Rust print where an error is not caught."""


class CannotConnect(CheckFailed):
    """The client does not connect, so that nothing can be judged."""


@dataclass(frozen=True)
class Way:
    """How to run a client, and what is known of it before it is judged."""

    command: tuple[str, ...]
    framing: str = "lines"
    request: str = REQUEST  # "": the server does not ask, and the client speaks first
    nickname: str = ""  # that the command carries
    first: tuple[str, ...] = ()  # what is typed before the nickname, such as $HOST and $PORT
    port: int = 0  # on which the client looks for the server; 0: it is told
    asks: str = AT_REQUEST
    answers: bool = True  # it does send a nickname
    blind: bool = False  # it shows nothing that others say
    nudged: bool = False  # it shows what others say only after Enter
