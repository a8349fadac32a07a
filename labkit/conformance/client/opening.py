"""What a client does before it is judged: when it asks its user for a nickname, and what it shows at all.

A client that does not connect cannot be judged, nor can one that is made for a terminal or a window.
"""

from __future__ import annotations

import re
from dataclasses import replace

from labkit.conformance.client.client_under_test import ClientUnderTest
from labkit.conformance.client.way import (
    AT_START,
    BY_ITSELF,
    CONNECTING,
    NICKNAMES,
    NUDGE,
    OTHER,
    TIMEOUT,
    Way,
)
from labkit.conformance.greeting import CannotRun
from labkit.probe.typed_program import NoProgram

RESTING = 0.6
"""Seconds without processor time after which a client that has not connected waits for its user."""

ANSWERING = 0.6
"""Seconds after the request in which one that knows its nickname has given it."""

_TERMINAL = re.compile(
    r"\x1b\[\?1049h|_curses\.error|setupterm|termios\.error|Inappropriate ioctl|ENOTTY|setRawMode|/dev/tty"
    r"|not a (tty|terminal)\b"
)
"""What one prints that needs a terminal; the first is how curses takes over the screen."""

_WINDOW = re.compile(r"TclError|[Nn]o display|DISPLAY|HeadlessException|could not connect to display")
"""What one prints that opens a window, where there are none."""


def opened(way: Way, name: str) -> tuple[Way, list[str]]:
    """How to run the client, with all that is learnt of it, and what the user should know.

    Args:
        name: what to call it.

    Raises:
        CannotRun: it cannot be judged; the text says why.
    """
    try:
        client = ClientUnderTest(way)
    except NoProgram as error:
        raise CannotRun(f"{name}: {error}") from None
    except OSError as error:
        raise CannotRun(str(error)) from None
    try:
        way = _asked(client, _connected(client, name), name)
        return _talked(client, way, name)
    finally:
        client.stop()


def _connected(client: ClientUnderTest, name: str) -> Way:
    """Wait until it connects; by itself, or once its user has typed a nickname."""
    way = client.way
    rested, used = client.clock.seconds, client.clock.used

    def settled() -> bool:
        nonlocal rested, used
        if client.clock.used > used:
            rested, used = client.clock.seconds, client.clock.used
        return client.connects(0) or client.ended or client.clock.seconds > rested + RESTING

    client.until(settled, CONNECTING)
    if client.server.sock is None and not client.ended and not way.nickname:
        way = replace(way, asks=AT_START)
        client.type(NICKNAMES[0])
    if not client.connects():
        raise CannotRun(f"{name}: {_no_connection(client)}")
    return way


def _no_connection(client: ClientUnderTest) -> str:
    if special := _special(client):
        return special
    way = client.way
    where = f"127.0.0.1 port {client.server.port}"
    told = any(re.search(r"PORT|\{port\}", word) for word in way.command)
    hint = (
        ""
        if told or way.port
        else "; if its port is written in the program, give it with --port N, or write '$PORT' where its "
        "arguments say the port"
    )
    printed = "".join(f"\n    {line}" for line in client.screen.strip().splitlines()[-10:])
    last = f"; its last lines:{printed}" if printed else "; it printed nothing"
    status = client.program.ended
    if status is not None:
        return f"it ended, with status {status}, and never connected to {where}{hint}{last}"
    asks = (
        "" if way.first else "; if it asks where the server is, --type '$HOST' --type '$PORT' answers that"
    )
    return f"it runs, but does not connect to {where}{hint}{asks}{last}"


def _special(client: ClientUnderTest) -> str:
    """Why a client that reads no standard input cannot be judged; "" if it seems to read it."""
    printed = client.program.printed.decode(errors="replace")
    if _TERMINAL.search(printed):
        return (
            "it draws on a terminal, or reads the keys of one: only a client that reads lines from its "
            "standard input can be judged"
        )
    if _WINDOW.search(printed):
        return "it opens a window: only a client that reads lines from its standard input can be judged"
    return ""


def _asked(client: ClientUnderTest, way: Way, name: str) -> Way:
    """Ask for its nickname."""
    client.ask()
    if way.asks != AT_START and client.heard(ANSWERING):
        way = replace(way, asks=BY_ITSELF)
    elif way.asks != AT_START:
        if way.nickname:  # it carries one, and does not give it
            way = replace(way, asks=BY_ITSELF)
        else:
            client.type(NICKNAMES[0])
    way = replace(way, answers=client.heard())
    if not way.answers and (client.ended or (client.server.end and client.ends())):
        raise CannotRun(f"{name}: asked for a nickname, it ends: {_special(client) or client.seen()}")
    return way


def _talked(client: ClientUnderTest, way: Way, name: str) -> tuple[Way, list[str]]:
    notes = []
    if way.answers and way.framing == "lines":
        client.until(lambda: b"\n" in client.server.arrived or client.server.end, TIMEOUT / 4)
        if b"\n" not in client.server.arrived:
            notes.append(
                "what it sends comes without LF, so it speaks raw and not lines. It is judged in lines all "
                "the same; --framing raw judges it in its own dialect"
            )
    word = client.unique("welcome")
    client.say(f"{OTHER}: {word}")
    if not client.until(lambda: word in client.screen or client.ended):
        client.type(NUDGE)
        late = client.until(lambda: word in client.screen)
        way = replace(way, nudged=late, blind=not late)
        if not late and (special := _special(client)):
            raise CannotRun(f"{name}: {special}")
        notes.append(
            "it shows what others say only after Enter; that is judged once"
            if late
            else "it shows nothing of what others say, so most of the rest cannot hold"
        )
    client.forget()
    typed = client.unique("hello")
    client.type(typed)
    said = client.message()
    if said and typed in said and said.strip() != typed:
        notes.append(
            f"what is typed arrives as `{said.replace(typed, 'TEXT').strip()}`; that is taken as it is"
        )
    return way, notes
