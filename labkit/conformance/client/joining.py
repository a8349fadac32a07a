"""Behaviours of a client that gets in: how it answers the request for a nickname."""

from __future__ import annotations

import contextlib

from labkit.conformance.behaviour import Section
from labkit.conformance.client.client_under_test import ClientUnderTest
from labkit.conformance.client.way import AT_REQUEST, BY_ITSELF, NICKNAMES, OTHER, QUIET, TIMEOUT
from labkit.conformance.server_under_test import NotJudged
from labkit.probe.failed import CheckFailed

JOINING = Section()

_IN_RAW = "in raw a message is what one recv brings, whatever that is"


def _needs_request(client: ClientUnderTest) -> None:
    if not client.way.request:
        raise NotJudged("this server does not ask for a nickname")


def _needs_answer(client: ClientUnderTest) -> None:
    _needs_request(client)
    if not client.way.answers:
        raise NotJudged("it answers no request")


@JOINING.has("it gives its nickname when it is asked", "`nickname` is answered with a nickname")
def gives_its_nickname(client: ClientUnderTest) -> None:
    client.connected()
    client.ask()
    wanted = client.way.nickname or NICKNAMES[0]
    if client.way.asks == AT_REQUEST:
        client.until_read()
        client.type(wanted)
    answer = client.message()
    if answer is None:
        asked = f"`{client.way.request}` is answered" if client.way.request else "it sends its nickname"
        raise CheckFailed(f"{asked} with {wanted!r}", f"nothing is sent; {client.seen()}")
    known = client.way.nickname or client.way.asks in ("at the start", AT_REQUEST)
    if known and answer.strip() != wanted:
        raise CheckFailed(f"the nickname arrives as {wanted!r}", f"{answer!r} arrives")
    # Once it shows what is said behind the request, it has read that, too.
    word = client.unique("welcome")
    client.say(f"{OTHER}: {word}")
    if client.way.blind or not client.shows(word):
        client.pause()
    if client.way.request and client.unheard == answer.strip():
        raise CheckFailed(
            f"{answer.strip()!r} arrives once",
            "it arrives twice: the second is taken for a message. Is it sent before the request, too?",
        )


@JOINING.has("a line right behind the request is shown", "a recv may bring several lines", not_raw=_IN_RAW)
def a_line_behind_the_request(client: ClientUnderTest) -> None:
    _needs_request(client)
    client.connected()
    word = client.unique("behind")
    client.say(client.way.request, f"{OTHER}: {word}")
    if client.way.answers:
        client.answered()
    client.shown_once("what stands behind the request is shown", word)


@JOINING.has(
    "a request that comes in pieces is answered", "a line may come in several recvs", not_raw=_IN_RAW
)
def a_request_in_pieces(client: ClientUnderTest) -> None:
    _needs_answer(client)
    client.connected()
    request = (client.way.request + "\n").encode()
    client.send(request[:3], request[3:-1], request[-1:])
    client.answered()


@JOINING.has("the request in another's words is none", "the request is a message of its own")
def no_request_in_words(client: ClientUnderTest) -> None:
    _needs_request(client)
    client.join()
    word = client.unique("mine")
    client.say(f"{OTHER}: {client.way.request}")
    client.say(f"{OTHER}: my {client.way.request} is {word}")
    client.shown_once("what is said is shown, whatever the words", word)
    client.pause()
    if client.unheard:
        raise CheckFailed(
            f"`{OTHER}: {client.way.request}` is shown, and not answered", f"{client.unheard!r} is sent"
        )


@JOINING.has(
    "a request that it answers itself is not shown", "`nickname` is for the client, not for its user"
)
def the_request_is_not_shown(client: ClientUnderTest) -> None:
    _needs_answer(client)
    if client.way.asks == AT_REQUEST:
        raise NotJudged("its user answers the request")
    client.connected()
    before = client.screen.count(client.way.request)
    client.ask()
    with contextlib.suppress(CheckFailed):
        client.answered()
    client.shown_once("what is said is shown")
    shown = client.screen.count(client.way.request) - before
    if shown > 0:
        raise CheckFailed(f"`{client.way.request}` is answered, and not shown", client.seen())


def _refused(client: ClientUnderTest) -> tuple[str, str]:
    """Refuse its nickname, and ask again; returns the nickname, and why it was refused."""
    client.connected()
    client.ask()
    nickname = client.answered().strip()
    reason = client.unique("taken")
    client.say(f"! {reason}")
    # What it has sent up to here is no answer to the request that follows.
    client.until(lambda: reason in client.screen or client.ended or client.server.end, QUIET)
    client.forget()
    client.ask()
    return nickname, reason


@JOINING.has("asked again, another nickname can be given", "after a refusal the request comes again")
def asked_again(client: ClientUnderTest) -> None:
    _needs_answer(client)
    nickname, reason = _refused(client)
    expected = "its user can give another nickname, or it says why there is none, and ends"
    # It may take its time to end; and if it waits for another nickname, it does not end.
    client.until(lambda: client.ended or client.server.end or client.unheard, TIMEOUT / 4)
    if client.server.end:
        client.server.hang_up()
        client.ends()
    elif not client.ended and not client.unheard:
        client.until_read()
        client.type(NICKNAMES[1])
    answer = client.message()
    if answer is not None and answer.strip() == nickname:
        if client.way.asks == BY_ITSELF:
            raise NotJudged("its command gives it the nickname, and it gives that again")
        raise CheckFailed(expected, f"it gives {nickname!r} again, which was refused")
    if answer is not None and not client.way.nickname and answer.strip() not in NICKNAMES:
        raise CheckFailed(expected, f"it answers the second request with {answer!r}")
    if answer is None and not client.ended:
        raise CheckFailed(expected, f"the second request is not answered; {client.seen()}")
    if answer is None and (reason not in client.screen or client.traceback):
        raise CheckFailed(expected, client.seen())
    # A second request must not start anything a second time, such as to listen to the keyboard.
    if answer and answer.strip() and not client.ended and client.still_arrives(answer.strip()):
        raise CheckFailed(expected, f"it can, but what is typed from then on, {answer!r}, arrives twice")


@JOINING.has("why a nickname was refused is shown", "`! …` tells the user what the server refuses")
def the_refusal_is_shown(client: ClientUnderTest) -> None:
    _needs_answer(client)
    _, reason = _refused(client)
    if client.until(lambda: client.server.end or reason in client.screen) and client.server.end:
        client.server.hang_up()
    if not client.shows(reason):
        raise CheckFailed(f"`! {reason}` is shown", client.seen())
