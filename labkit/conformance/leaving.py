"""Behaviours of a chat server: a client leaves, and the server notices and tells the others.

How a behaviour is written, talking.py says.
"""

from __future__ import annotations

from labkit.conformance.behaviour import Section
from labkit.conformance.dialect import Form
from labkit.conformance.naming import is_from, told_once
from labkit.conformance.server_under_test import (
    LONGEST_NAME,
    CannotJoin,
    NotJudged,
    ServerUnderTest,
    letters,
)
from labkit.probe.deadline import SLICE, pause
from labkit.probe.failed import CheckFailed
from labkit.probe.raw_client import RawClient, unique
from labkit.wire.messages import HUNG_UP, VANISHED, Left

VISITORS = 40
"""Clients that come and go: more than the places that a server has which counts all that ever came."""

SPEAKS_ON = 5
"""How often one who has left is heard of, at least, if her server takes nothing for something said."""

COMING = 10.0
"""Seconds that they may take, by the server's clock; of a slow one, fewer come."""

STAYS_OPEN = "it leaves the connection open after a goodbye (see: a goodbye is noticed)"

LEAVING = Section()


@LEAVING.has(
    "a goodbye is noticed",
    "every leaving is told; and a client that has hung up is gone, and holds nothing any more",
)
def _(server: ServerUnderTest) -> None:
    bob, alice = server.join("bob", "alice")
    bob.forget()
    before = len(bob.transcript)
    alice.hang_up()
    if alice.ended() is None:
        bob.ended(0)  # takes what has come
        seen = f"no end within {server.timeout:.1f} s; {bob.seen()}"
        heard = bob.transcript[before:].decode(errors="replace")
        speaks_on = heard.count(server.nickname("alice")) >= SPEAKS_ON
        if speaks_on:
            seen += ": all that she says after she has left"
        elif server.framing == "lines" and f"{server.nickname('alice')} " in heard:  # a notice
            seen += ": it knows that she has left, and has not closed her socket"
        server.stays(alice)  # if she closed, the next send to her would fail
        clue = "speaks on" if speaks_on else ""
        raise CheckFailed("the server ends alice's connection after she has hung up", seen, clue)


@LEAVING.has(
    "a leaving is told to the others, once, and with its reason",
    f"`{Left('alice', HUNG_UP).line()}` after FIN, `{Left('alice', VANISHED).line()}` after RST",
    not_raw="the assignment tells no one",
)
def _(server: ServerUnderTest) -> None:
    alice, dave = server.join("alice", "dave")
    no_reason = None  # the least of what may be wrong: others of these come first
    for name, reason in (("bob", HUNG_UP), ("carol", VANISHED)):
        try:
            (leaver,) = server.join(name, know=alice)
        except CannotJoin as failed:
            if reason == HUNG_UP:
                raise
            if no_reason:
                raise no_reason from None
            raise NotJudged(f"nobody gets in once one has left: {failed.seen}") from None
        # The leaver last: the kernel tells of an RST once, and a send on its way to it would be told.
        for listener in (alice, leaver):
            server.needs(dave, listener)
        server.settle()
        before = len(alice.transcript)
        if reason == VANISHED:
            leaver.reset()
        else:
            leaver.hang_up()
            if leaver.ended() is None:
                raise NotJudged(STAYS_OPEN)
        alice.hears(server.nickname(name))
        server.settle()  # a second notice, if there is one, comes before
        server.needs(dave, alice)
        notice = Left(server.nickname(name), reason).line()
        told = told_once(alice, before, server.nickname(name), f"`{notice}`")
        if reason not in told and no_reason is None:
            no_reason = CheckFailed(f"alice hears `{notice}`", f"{told!r}", "reason")
    if no_reason:
        raise no_reason


@LEAVING.has(
    "a nickname is free again after its owner has left",
    "a nickname belongs to one client, as long as it is here",
)
def _(server: ServerUnderTest) -> None:
    bob, alice = server.join("bob", "alice")
    form = server.form_of(bob, alice)
    alice.hang_up()
    noticed = alice.ended()
    alice.close()
    if noticed is None:
        raise NotJudged(STAYS_OPEN)
    second = _gets(server, form, bob, "alice")
    server.quiet(bob, second)
    second.reset()
    server.settle()
    try:
        (_third,) = server.join("third", know=bob)
    except CannotJoin as failed:
        raise NotJudged(f"nobody gets in once one has vanished: {failed.seen}") from None
    _gets(server, form, bob, "alice", "vanished")


def _gets(server: ServerUnderTest, form: Form, bob: RawClient, name: str, clue: str = "") -> RawClient:
    """Another client gets this one's nickname, and bob hears it under it.

    Raises:
        CheckFailed: it does not.
    """
    deadline = server.deadline()
    while True:  # it may close first, and free the name then
        try:
            again = server.newcomer("another")
        except CannotJoin as failed:
            raise NotJudged(f"nobody gets in once one has left: {failed.seen}") from None
        server.answer(again, server.nickname(name))
        text = unique("back")
        bob.forget()
        again.send(text)
        if server.reaches(text, again, bob):
            heard = bob.passed_over.decode(errors="replace") + text
            if is_from(server.nickname(name), server.said_by(form, heard, text)):
                return again
        if deadline.passed():
            raise CheckFailed(
                f"another may be called {name} now" + ", who has vanished" * bool(clue),
                f"bob does not hear the one who says so; {again.seen()}",
                clue,
            )
        pause(SLICE, server.clock)  # no more newcomers than a server can bear


@LEAVING.has(
    "each keeps its own name when others leave",
    "`alice: TEXT` goes to the others when alice said TEXT, whoever has left",
)
def _(server: ServerUnderTest) -> None:
    alice, gone, bob, carol = server.join("alice", "gone", "bob", "carol")
    form = server.form_of(alice, bob)
    server.quiet(alice, gone, bob, carol)
    gone.hang_up()
    if gone.ended() is None:
        raise NotJudged(STAYS_OPEN)
    server.settle()  # it may close first, and do the rest then
    # Alice came before the one who left: whatever is wrong for her is another behaviour's matter.
    server.needs(alice, carol)
    for speaker in (bob, carol):
        _own_name(server, form, speaker, alice)


def _own_name(server: ServerUnderTest, form: Form, speaker: RawClient, listener: RawClient) -> None:
    """What this one says is heard, and under its own name.

    Raises:
        CheckFailed: it was thrown out, or is heard under another's name.
    """
    nickname, text = server.nickname(speaker.name), unique("my-name")
    expected = f"{listener.name} hears {text!r} from {nickname}, after one who came before has left"
    listener.forget()
    speaker.send(text)
    if not server.reaches(text, speaker, listener):
        if speaker.end:
            raise CheckFailed(expected, f"{speaker.name} was thrown out ({speaker.end})")
        raise NotJudged(f"{listener.name} does not hear {speaker.name}")
    if not form.named:
        return
    heard = listener.passed_over.decode(errors="replace").rpartition("\n")[2] + text
    names = server.said_by(form, heard, text)
    if names and not is_from(nickname, names):
        raise CheckFailed(expected, f"{listener.name} heard {heard[-80:]!r}")


@LEAVING.has(
    "nobody falls silent when people come and go",
    "what is said reaches the others, whatever clients come, talk or leave meanwhile",
)
def _(server: ServerUnderTest) -> None:
    alice, *visitors, bob = server.join("alice", "visitor", "other", "bob")
    for visitor in visitors:
        visitor.hang_up()
        visitor.ended()
        server.settle()  # it may close first, and do the rest then
        # Alice came first: she has her line before a send to any other can go wrong.
        _still_heard(bob, alice, "a visitor hung up", server)
        if visitor.end:
            _still_heard(alice, bob, "a visitor hung up", server)
            visitor.close()
        else:
            server.stays(visitor)
    left = 2
    if all(visitor.end for visitor in visitors):
        left += _come_and_go(server)
    second = _comes_in(server, "second", f"{left} visitors have left")
    server.answer(second, server.nickname("second"))
    if not _heard_at_last(second, alice):
        if second.end:
            return  # thrown out: a fault of another kind
        raise CheckFailed(f"another visitor is heard after {left} have left", alice.seen())
    server.quiet(alice, bob, second)
    second.reset()
    server.settle()
    _still_heard(bob, alice, "a visitor vanished", server)
    _comes_in(server, "third", f"{left + 1} visitors have left")


def _still_heard(speaker: RawClient, listener: RawClient, after: str, server: ServerUnderTest) -> None:
    text = unique("still-there")
    speaker.send(text)
    # One who is thrown out for it is another behaviour's matter.
    if not server.reaches(text, speaker, listener) and not (speaker.end or listener.end):
        raise CheckFailed(f"{listener.name} hears {speaker.name} after {after}", listener.seen())


def _come_and_go(server: ServerUnderTest) -> int:
    """Many come and go, one after the other, or as many as a slow server can bear. How many it were."""
    deadline = server.deadline(COMING)
    for count in range(VISITORS):
        if deadline.passed():
            return count
        visitor = _comes_in(server, "visitor", f"{count + 2} visitors have left")
        server.answer(visitor, letters(LONGEST_NAME))
        visitor.hang_up()
        if visitor.ended() is None:
            server.stays(visitor)
            return count
        visitor.close()
    return VISITORS


def _comes_in(server: ServerUnderTest, name: str, after: str) -> RawClient:
    try:
        return server.newcomer(name)
    except CannotJoin as failed:
        clue = "places" if name == "visitor" else ""
        raise CheckFailed(f"a newcomer is asked for a nickname after {after}", failed.seen, clue) from None


def _heard_at_last(speaker: RawClient, listener: RawClient) -> bool:
    """Whether the speaker is heard; it may not be let in yet at first."""
    deadline = speaker.deadline()
    text = unique("hello")
    while speaker.send(text) and not speaker.ended(0):
        if listener.hears(text, 4 * SLICE):
            return True
        if deadline.passed():
            break
    return False
