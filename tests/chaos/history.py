"""What one client sent and heard, from its nickname to its end: a life.

Data, and nothing else. The clients (client.py) write it while they run; the checker (checker.py) reads it
when all is over.

What a client did is a list of deeds, in the order in which they were sent. A deed is one of the messages
that a client can send, with the text as the others are to hear it; or a `Refused`: something was sent
that the server must answer with just this refusal. An empty line is no deed: no client hears of it.

To tell every line from every other, all are different: a text is said once in a run, and a nickname, in
just these letters, belongs to one life, and enters one room. One that comes back with the same nickname
writes it in other letters (`Bob`, `bOb`), which to the server is the same (RFC 8266).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from labkit.wire.messages import Act, Help, Join, Quit, Refused, Rename, Say, Whisper, Who

CUT_OFF = b"* cut off from the other servers: what you say waits"
BACK = b"* back with the other servers"
GIVEN_UP = b"* this server lost its place among the others: come again"

Deed = Say | Act | Whisper | Rename | Join | Who | Help | Quit | Refused


@dataclass(slots=True)
class Life:
    """One connection that gave a nickname."""

    nickname: str
    deeds: list[Deed] = field(default_factory=list)
    # All lines that came, without their LF, from the first after the nickname was sent.
    heard: list[bytes] = field(default_factory=list)
    # The reasons that the others may be told for its leaving: one, or what may have overtaken it. While
    # there is none, it stays. A client that only froze for a while may be here still.
    ends: set[str] = field(default_factory=set)
    over: bool = False  # the connection is closed
    thrown_out: bool = False  # the server ended it, and it had given no reason
    whole: bool = True  # all that it sent was sent to the end: none of it may be missing
    # How many lines it had heard when all had gone quiet, and it had asked the server one thing
    # more, and had the answer: all that was said before is among them. None: it did not live so long.
    settled: int | None = None
    # Its server stopped: `settled` is where it was told so, and what it asked for last may be unanswered.
    stopped: bool = False
    untold: bool = False  # the same, and it was not told: the others may never have heard that it left
    # Its server shares the rooms with others, and may be cut off from them: that is told, and no news.
    shared: bool = False
    # When it heard that the nickname it came with is its own, and when it first did, or its server
    # suffered, what could free that again: in between no other may have it. Seconds, monotonic.
    since: float | None = None
    until: float = inf
    watches: str = ""  # it is the witness of this room: there from the first to the last, and silent

    def __str__(self) -> str:
        return self.nickname
