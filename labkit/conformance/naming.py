"""Behaviours of a chat server: nicknames, and how joining is told.

How a behaviour is written, talking.py says.
"""

from __future__ import annotations

import re

from labkit.conformance.behaviour import Section
from labkit.conformance.server_under_test import CannotJoin, NotJudged, ServerUnderTest
from labkit.probe.failed import CheckFailed
from labkit.probe.raw_client import REQUEST, RawClient, unique
from labkit.wire.messages import Joined

NAMING = Section()

NOBODY_KEPT_OUT = (
    "a silent newcomer, a reset, bytes that are not text: none of these ends the joining of others"
)


@NAMING.has(
    "a nickname that is taken is refused",
    "a nickname belongs to one client; `! …` says that it was refused",
)
def _(server: ServerUnderTest) -> None:
    alice, bob = server.join("alice", "bob")
    second = server.newcomer("second")
    server.answer(second, server.nickname("alice"))
    # If the server refused it, it takes the first of these for a nickname, or has closed.
    second.send(unique("other").replace("-", "x"))
    second.until_read()
    text = unique("hello")
    second.send(text)
    if not server.reaches(text, second, bob):
        return
    before = bob.passed_over.decode(errors="replace")
    if says(server.nickname("alice"), before):
        raise CheckFailed(
            f"a second {server.nickname('alice')!r} is refused while the first is here",
            f"bob heard {before[-len(server.nickname('alice')) - 3 :] + text!r} from the second",
        )


def says(nickname: str, before: str) -> bool:
    """Whether what was heard after `before` is what the client of this nickname said."""
    # A server that leaves the line's end on a nickname has it here; and some write another form than
    # `alice: `, which another behaviour judges.
    return re.search(re.escape(nickname) + r"\s*\S{1,2} $", before) is not None


@NAMING.has("an empty nickname is refused", "what a client says begins with its nickname")
def _(server: ServerUnderTest) -> None:
    alice, bob = server.join("alice", "bob")
    nameless = server.newcomer("nameless")
    server.answer(nameless, "" if server.framing == "lines" else "\n")
    name = unique("nameless").replace("-", "x")
    nameless.send(name)
    nameless.until_read()
    server.hears_from(alice, bob, "meanwhile")
    text = unique("hello")
    nameless.send(text)
    if not server.reaches(text, nameless, bob):
        return
    before = bob.passed_over.decode(errors="replace")
    if re.search(r"(^|\s): $", before):
        raise CheckFailed(
            "a client without a nickname is asked again, or let go",
            f"bob heard {before[-20:] + text!r} from it",
        )


@NAMING.has(
    "a refused nickname is asked for again",
    "`nickname` goes to a client at connect, and again after a refusal",
)
def _(server: ServerUnderTest) -> None:
    alice, bob = server.join("alice", "bob")
    second = server.newcomer("second")
    second.forget()
    server.answer(second, server.nickname("alice"))
    asked = _asked_again(second, server.framing == "raw")
    text, name = unique("hello"), unique("second").replace("-", "x")
    if asked:
        second.send(name)
        second.until_read()
    second.send(text)
    heard = server.reaches(text, second, bob)
    if heard and says(server.nickname("alice"), bob.passed_over.decode(errors="replace")):
        raise NotJudged("it refused no nickname")
    if not asked:
        raise CheckFailed("`nickname`, once more", second.seen())
    if not heard:
        raise CheckFailed(f"bob hears {text!r} from the one who then said {name!r}", bob.seen())


def _asked_again(newcomer: RawClient, raw: bool) -> bool:
    """Whether the request comes once more, on its own: the words of the refusal may hold it, too."""
    deadline = newcomer.deadline()
    heard = ""
    while not deadline.passed():
        try:
            heard = newcomer.line(deadline.left)
        except (TimeoutError, EOFError):
            return False
        if heard == REQUEST or (raw and heard.endswith(REQUEST)):
            return True
    return False


@NAMING.has(
    "a joining is told to the others, once",
    f"`* …` is a notice to a client: `{Joined('alice').line()}`",
    not_raw="the assignment tells no one",
)
def _(server: ServerUnderTest) -> None:
    alice, bob = server.join("alice", "bob")
    before = len(alice.transcript)
    (carol,) = server.join("carol", know=alice)
    server.hears_from(bob, alice, "well")
    notice = told_once(alice, before, server.nickname("carol"), f"`{Joined('carol').line()}`")
    server.hears_from(bob, carol, "welcome")
    if notice in carol.transcript.decode(errors="replace").splitlines():
        raise CheckFailed(
            f"the others hear {notice!r}, and carol does not", "carol heard it, too", "herself"
        )


def told_once(listener: RawClient, since: int, nickname: str, notice: str) -> str:
    """The one line about this nickname after so many bytes, other than what its owner said.

    Raises:
        CheckFailed: there is none, or more than one.
    """
    heard = listener.transcript[since:].decode(errors="replace").splitlines()
    # A nickname alone in a line is no notice: the server left the line's end on it. And in whatever form a
    # server puts what is said, it holds a word with a number: all clients here say such words.
    about = [
        line
        for line in heard
        if nickname in line and not re.search(r"[a-z]-\d+", line) and line.strip() != nickname
    ]
    if len(about) != 1:
        raise CheckFailed(
            f"{listener.name} hears {notice}, once",
            f"{len(about)} lines about it: {about}" if about else "none",
        )
    return about[0]


@NAMING.has("a silent newcomer keeps nobody out", NOBODY_KEPT_OUT)
def _(server: ServerUnderTest) -> None:
    silent = server.newcomer("silent")
    try:
        still_asked(server, "while another has not answered")
    finally:
        server.answer(silent, server.nickname("silent"))


def still_asked(server: ServerUnderTest, when: str) -> RawClient:
    """The next newcomer, which is asked for a nickname all the same.

    Raises:
        CheckFailed: it is not asked.
    """
    try:
        return server.newcomer("next")
    except CannotJoin as failed:
        raise CheckFailed(f"the next one is asked for a nickname {when}", failed.seen) from None
