"""Behaviours of a client whose user types: what arrives at the server."""

from __future__ import annotations

import os
from functools import partial

from labkit.conformance.behaviour import Section
from labkit.conformance.client.client_under_test import ClientUnderTest
from labkit.conformance.client.hearing import LONG
from labkit.conformance.client.way import OTHER
from labkit.conformance.server_under_test import NotJudged
from labkit.probe.deadline import Deadline
from labkit.probe.failed import CheckFailed

SAYING = Section()

LINE = "x" * 900
"""Typed again and again while the server does not read."""

MOST = 8_000_000
"""Bytes typed at most. A kernel keeps less for one connection (tcp_wmem in Linux: 4 MB at most)."""

FULL = 0.3
"""Seconds in which nothing more is taken of what is typed: all on the way is full."""

TYPING = 4.0
"""Seconds of its clock for all of that. One that draws each letter that is typed, as Node's readline does
on a terminal, takes minutes for so much."""

ROUNDS = 4
"""How often that is brought about, and something said: to receive it, a kernel may pack what it keeps more
tightly, so that a little more can be sent."""


def _arrives(client: ClientUnderTest, *words: str, expected: str = "") -> None:
    for word in words:
        if not client.hears(word):
            brief = word if len(word) < 40 else f"{word[:20]}…{word[-16:]}"
            told = client.unheard
            sent = f"{told[:80]!r} is sent" if told else "nothing more is sent"
            raise CheckFailed(expected or f"{brief!r} arrives", f"{sent}; {client.seen()}")


@SAYING.has("a line that is typed arrives, with its end", "a line ends with LF")
def arrives(client: ClientUnderTest) -> None:
    client.join()
    word = client.unique("typed")
    client.type(word)
    _arrives(client, word)
    if client.framing == "lines" and not client.hears("\n"):
        raise CheckFailed(
            f"{word!r} arrives with an LF at its end",
            "it arrives without: the next line runs into it",
        )


@SAYING.has("a line that is typed arrives once", "what a user says once is said once")
def arrives_once(client: ClientUnderTest) -> None:
    client.join()
    word = client.unique("once")
    client.type(word)
    _arrives(client, word)
    if again := client.still_arrives(word):
        raise CheckFailed(f"{word!r} arrives once", f"it arrives {again + 1} times")


@SAYING.has("words with spaces between arrive as one line", "all up to LF is one message")
def words_in_a_line(client: ClientUnderTest) -> None:
    client.join()
    line = f"{client.unique('some')} words: 50 % of a {client.unique('line')}"
    client.type(line)
    _arrives(client, line)


@SAYING.has("line after line arrives while the server is silent", "nobody need answer what is said")
def while_the_server_is_silent(client: ClientUnderTest) -> None:
    client.join()
    for _ in range(3):
        word = client.unique("silence")
        client.type(word)
        _arrives(client, word)


@SAYING.has("lines that are typed at once all arrive", "an input may hold more than one line")
def typed_at_once(client: ClientUnderTest) -> None:
    client.join()
    words, start = [client.unique("typed") for _ in range(5)], len(client.server.arrived)
    client.type(*words)
    for word in words:
        _arrives(client, word)
        if b"\n" in client.server.arrived[start:] and not client.hears("\n"):
            raise CheckFailed(f"{word!r} arrives as a message of its own", "it runs into the next")
        client.say(f"{OTHER}: yes")


@SAYING.has("another alphabet arrives as it was typed", "what is said is UTF-8")
def another_alphabet(client: ClientUnderTest) -> None:
    client.join()
    word = client.unique("здравствуй")
    client.type(word)
    _arrives(client, word)


@SAYING.has("a long line arrives whole", "a line has up to 4096 bytes")
def a_long_line(client: ClientUnderTest) -> None:
    client.join()
    word = client.unique("long") + "m" * LONG + client.unique("end")
    client.type(word)
    _arrives(client, word, expected=f"a line of {len(word)} letters arrives in one")


@SAYING.has("an empty line does not end it", "a user may press Enter")
def an_empty_line(client: ClientUnderTest) -> None:
    client.join()
    word = client.unique("after")
    client.type("")
    client.pause()
    client.say(f"{OTHER}: yes")
    client.type(word)
    _arrives(client, word, expected="after an empty line, the next arrives")


@SAYING.has(
    "while the server does not read, others are heard", "send may wait, and recv must not wait with it"
)
def while_the_server_does_not_read(client: ClientUnderTest) -> None:
    if os.name != "posix":
        raise NotJudged("on this system one cannot type without waiting")
    if client.way.nudged:
        raise NotJudged("it shows nothing before Enter")
    client.join()
    lines, limit = 0, Deadline(TYPING, client.clock)
    for _ in range(ROUNDS):
        lines += client.type_much(LINE, MOST, FULL, limit)
        if limit.passed() and not client.program.untaken:  # it has taken all, so far
            return _while_it_is_busy(client)
        if not client.server.full:
            raise NotJudged("it takes no more of its input although it could send")
        word = client.unique("hello")
        client.say(f"{OTHER}: {word}")
        if not client.until(partial(_is_shown, client, word)):
            raise CheckFailed(f"{word!r} is shown while the server does not read", client.seen())
    client.server.deaf = False
    last = client.unique("last")
    client.type(last)
    if not _arrives_at_last(client, last):
        raise CheckFailed("once the server reads again, all arrives", client.seen())
    arrived = bytes(client.server.arrived).count(LINE.encode())
    if arrived != lines:
        raise CheckFailed(f"all {lines} lines arrive that were typed", f"{arrived} do")


def _while_it_is_busy(client: ClientUnderTest) -> None:
    """It takes what is typed so slowly that its way to the server may not be full yet."""
    word = client.unique("hello")
    if client.server.full:
        client.say(f"{OTHER}: {word}")
        if client.until(partial(_is_shown, client, word)):
            return
    raise NotJudged("it takes what is typed too slowly")


def _arrives_at_last(client: ClientUnderTest, word: str) -> bool:
    """Whether this arrives, behind all else: as long as anything does, it may come yet."""
    before = -1
    while before < len(client.server.arrived) <= 2 * ROUNDS * MOST:
        before = len(client.server.arrived)
        if client.hears(word):
            return True
    return False


def _is_shown(client: ClientUnderTest, word: str) -> bool:
    return word in client.screen
