"""Behaviours of a client whose server goes: by FIN or RST, in the handshake, in a line; or is not there."""

from __future__ import annotations

import re

from labkit.conformance.behaviour import Section
from labkit.conformance.client.client_under_test import ClientUnderTest
from labkit.conformance.client.leaving import SPIN, spins
from labkit.conformance.client.way import ENDING, OTHER, TIMEOUT
from labkit.conformance.server_under_test import NotJudged
from labkit.probe.failed import CheckFailed

DYING = Section()

LAST = 5
"""Lines that are said right before the server hangs up."""

_AGAIN = "it connects again by itself"


def _said(client: ClientUnderTest, since: int) -> bool:
    """Whether it has told something since."""
    return re.search(r"\w", client.screen[since:]) is not None


def _noticed(client: ClientUnderTest, since: int, what: str) -> None:
    """Wait until it has told something, has ended, or comes back.

    Raises:
        CheckFailed: it does not.
    """
    again: list[bool] = []

    def happened() -> bool:
        again.extend([True] * client.server.comes_back())
        return bool(again) or client.endless or _said(client, since) or client.ended

    happens = client.until(happened) and not client.endless
    if happens and (again or client.ended):
        return
    # One that goes on may say the same again and again, since nothing is what recv brings.
    used = spins(client)
    if not happens or used >= SPIN:
        busy = f", but that it uses {used:.0%} of a processor" if used >= SPIN else ""
        raise CheckFailed(
            f"{what} is told to its user, or ends it", f"nothing happens{busy}; {client.seen(since)}"
        )


def _no_traceback(client: ClientUnderTest, what: str) -> None:
    if client.traceback:
        raise CheckFailed(f"it tells in words that {what}", client.seen())


def _ends_without_traceback(client: ClientUnderTest, what: str) -> None:
    client.until(lambda: client.ended, TIMEOUT / 4)
    _no_traceback(client, what)


@DYING.has("the server's goodbye is noticed", "recv brings nothing after FIN: nothing more will come")
def goodbye_noticed(client: ClientUnderTest) -> None:
    client.join()
    since = client.settled()
    client.server.hang_up()
    _noticed(client, since, "the end of the server")


@DYING.has("once the server is gone, it ends", "there is nobody to say anything to")
def ends(client: ClientUnderTest) -> None:
    client.join()
    since = client.settled()
    client.server.hang_up()
    try:
        _noticed(client, since, "")
    except CheckFailed:
        raise NotJudged("it does not notice it at all") from None
    if not client.until(lambda: client.ended or client.server.comes_back(), ENDING):
        told = client.seen(since)
        client.type("enter")
        waits = "; it ends once Enter is pressed" if client.ends(TIMEOUT) else ""
        raise CheckFailed("its process ends", f"it goes on; {told}{waits}")
    if not client.ended:
        raise NotJudged(_AGAIN)


@DYING.has("it tells the server's end in words", "no user can read a traceback")
def in_words(client: ClientUnderTest) -> None:
    client.join()
    since = client.settled()
    client.server.hang_up()
    client.until(lambda: client.ended or _said(client, since))
    _ends_without_traceback(client, "the server has hung up")


@DYING.has("what is said right before the goodbye is shown", "FIN comes behind all that was said")
def the_last_lines(client: ClientUnderTest) -> None:
    client.join()
    words = [client.unique("farewell") for _ in range(LAST)]
    client.say(*(f"{OTHER}: {word}" for word in words))
    client.server.hang_up()
    client.shows(words[-1])
    client.check_order(f"{LAST} lines that came with the goodbye are all shown", words)


@DYING.has("a reset is noticed like a goodbye", "recv raises after RST")
def reset(client: ClientUnderTest) -> None:
    client.join()
    since = client.settled()
    client.server.reset()
    _noticed(client, since, "a reset by the server")
    _ends_without_traceback(client, "the connection is broken")


@DYING.has("a goodbye instead of the request ends it", "a server may be full, or stop")
def goodbye_in_the_handshake(client: ClientUnderTest) -> None:
    client.connected()
    since = client.settled()
    client.server.hang_up()
    _noticed(client, since, "a goodbye instead of the request")
    _ends_without_traceback(client, "the server has hung up")


@DYING.has("a reset instead of the request ends it", "a server may be killed")
def reset_in_the_handshake(client: ClientUnderTest) -> None:
    client.connected()
    since = client.settled()
    client.server.reset()
    _noticed(client, since, "a reset instead of the request")
    _ends_without_traceback(client, "the connection is broken")


@DYING.has("a goodbye in the middle of a line is noticed", "a server may be killed while it sends")
def in_the_middle_of_a_line(client: ClientUnderTest) -> None:
    client.join()
    half = f"{OTHER}: half a li"
    client.send(half.encode())
    client.until_read()
    client.until(lambda: half in client.screen, TIMEOUT / 8)
    since = client.settled()
    client.server.hang_up()
    _noticed(client, since, "the end in the middle of a line")
    _ends_without_traceback(client, "the server has hung up")


@DYING.has("where nobody listens, it says so", "connect raises where nobody listens")
def nobody_listens(client: ClientUnderTest) -> None:
    if client.way.asks == "at the start":
        client.type("alice")
    expected = "it says in words that nobody listens, and ends"
    if not client.ends():
        raise CheckFailed(expected, f"it goes on; {client.seen()}")
    if client.traceback or not _said(client, 0):
        raise CheckFailed(expected, client.seen())
