"""What a server does when somebody connects; and if it is not what it should be, what to make of it.

Nothing can be tried on a server that asks nobody for a nickname. It may be a chat server of another
dialect: then the option is offered with which it can be tried. Or it is no chat server at all.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace

from labkit.conformance.server_under_test import LONGEST_NAME, NotJudged, ServerUnderTest, letters
from labkit.journal import Journal
from labkit.probe.deadline import SLICE
from labkit.probe.failed import CheckFailed
from labkit.probe.raw_client import RawClient

QUIET = 1.0
"""Seconds without a byte after which a server has said what it has to say to a newcomer."""

LONGEST = 6.0
"""Seconds that a server has, in all, to ask for a nickname."""

MUCH = 64 * 1024
"""Bytes from which on it is no greeting."""

KNOWN = {
    b"SSH-": "SSH",
    b"HTTP/": "HTTP",
    b"220 ": "FTP or SMTP",
    b"+OK": "POP3",
    b"\x15\x03": "TLS",
}
"""What some servers begin with that are no chat servers."""

HTTP = "it speaks HTTP, and is no chat server"


class CannotRun(Exception):
    """There is nothing to try; the text says why."""


def greeted(server: ServerUnderTest, first: RawClient, name: str) -> None:
    """Wait until the first client is asked for a nickname.

    Args:
        name: what to call the server.

    Raises:
        CannotRun: it is not asked; the text says what happens instead, and what can be done.
    """
    if not server.request:
        return
    limit, quiet = first.deadline(LONGEST), first.deadline(LONGEST)
    while True:
        before = first.received
        with contextlib.suppress(CheckFailed):
            first.is_asked(SLICE)
            return
        if first.received != before:
            quiet = first.deadline(QUIET)
        if first.end or first.received > MUCH or limit.passed() or quiet.passed():
            raise CannotRun(f"{name}: {_instead(server, first)}")


def _instead(server: ServerUnderTest, first: RawClient) -> str:
    """What came instead of the request, and what to try."""
    heard = bytes(first.transcript)
    for sign, protocol in KNOWN.items():
        if heard.startswith(sign):
            return f"it speaks {protocol}, and is no chat server: it said {_shown(heard)}"
    if first.received > MUCH:
        return (
            f"it asks nobody for a nickname: {first.received // 1000} kB came unasked, such as "
            f"{_shown(heard)}"
        )
    if first.end:
        after = f", after {_shown(heard)}" if heard else ""
        return f"it closes each connection at once ({first.end}){after}, and asks nobody for a nickname"
    # It answers: where each is asked in the loop that accepts, no other gets in before it has.
    first.send(letters(LONGEST_NAME))
    if first.hears("HTTP/", 4 * SLICE):
        return HTTP
    if heard:
        word = _last_words(heard)
        told = f"it does not ask with `{server.request}`, but says {_shown(heard)}"
        return f"{told}\n{_offer(word) if _talks(server, word) else _no_way(word)}"
    if _talks(server, ""):
        return f"it asks nobody for a nickname, and waits\n{_offer('')}"
    first.send("GET / HTTP/1.0\r\n\r")
    if first.hears("HTTP/", LONGEST / 3):
        return HTTP
    return f"it listens, and says nothing within {LONGEST:g} s: nobody is asked for a nickname"


def _last_words(heard: bytes) -> str:
    """What it asks with: the last line that it said, without its end."""
    return heard.decode(errors="replace").rstrip("\r\n").rpartition("\n")[2]


def _talks(server: ServerUnderTest, request: str) -> bool:
    """Whether two can talk if that is how it asks."""
    tried = replace(server, request=request, journal=Journal(), timeout=LONGEST / 3)
    try:
        tried.join("kim", "max")
    except (CheckFailed, NotJudged):
        return False
    finally:
        tried.leave()
    return True


def _offer(request: str) -> str:
    option = f'--request "{request}"' if request else "--request none"
    how = "that this is how it asks" if request else "that its clients speak first, with their nickname"
    return f"with {option} it is judged all the same, given {how}"


def _no_way(request: str) -> str:
    return f"and if {request!r} is answered with a nickname, still nobody is heard by another"


def _shown(heard: bytes) -> str:
    text = heard[:64].decode(errors="replace")
    return repr(text) + ("…" if len(heard) > 64 else "")
