"""Behaviours of a chat server: a client leaves, and the server notices and tells the others.

How a behaviour is written, talking.py says.
"""

from __future__ import annotations

from labkit.conformance.behaviour import Section
from labkit.conformance.naming import is_from, told_once
from labkit.conformance.server_under_test import CannotJoin, NotJudged, ServerUnderTest
from labkit.probe.deadline import SLICE, pause
from labkit.probe.failed import CheckFailed
from labkit.probe.raw_client import RawClient, unique
from labkit.wire.messages import HUNG_UP, VANISHED, Left

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
        if server.framing == "lines" and f"{server.nickname('alice')} " in heard:  # a notice
            seen += ": it knows that she has left, and has not closed her socket"
        server.stays(alice)  # if she closed, the next send to her would fail
        raise CheckFailed("the server ends alice's connection after she has hung up", seen)


@LEAVING.has(
    "a leaving is told to the others, once, and with its reason",
    f"`{Left('alice', HUNG_UP).line()}` after FIN, `{Left('alice', VANISHED).line()}` after RST",
    not_raw="the assignment tells no one",
)
def _(server: ServerUnderTest) -> None:
    alice, dave = server.join("alice", "dave")
    for name, reason in (("bob", HUNG_UP), ("carol", VANISHED)):
        try:
            (leaver,) = server.join(name, know=alice)
        except CannotJoin as failed:
            if reason == HUNG_UP:
                raise
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
                raise NotJudged("the server does not notice a goodbye, and cannot tell of it")
        alice.hears(server.nickname(name))
        server.settle()  # a second notice, if there is one, comes before
        server.needs(dave, alice)
        notice = Left(server.nickname(name), reason).line()
        told = told_once(alice, before, server.nickname(name), f"`{notice}`")
        if reason not in told:
            raise CheckFailed(f"alice hears `{notice}`", f"{told!r}", "reason")


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
        raise NotJudged("the server does not notice a goodbye, and cannot know that the name is free")
    deadline = server.deadline()
    while True:  # it may close first, and free the name then
        try:
            again = server.newcomer("alice again")
        except CannotJoin as failed:
            raise NotJudged(f"nobody gets in once one has left: {failed.seen}") from None
        server.answer(again, server.nickname("alice"))
        text = unique("back")
        bob.forget()
        again.send(text)
        if server.reaches(text, again, bob):
            heard = bob.passed_over.decode(errors="replace") + text
            if is_from(server.nickname("alice"), server.said_by(form, heard, text)):
                return
        if deadline.passed():
            raise CheckFailed("another may be called alice now", again.seen())
        pause(SLICE, server.clock)  # no more newcomers than a server can bear


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
    second = _comes_in(server, "second", "two visitors have left")
    server.answer(second, server.nickname("second"))
    if not _heard_at_last(second, alice):
        if second.end:
            return  # thrown out: a fault of another kind
        raise CheckFailed("another visitor is heard after two have left", alice.seen())
    server.quiet(alice, bob, second)
    second.reset()
    server.settle()
    _still_heard(bob, alice, "a visitor vanished", server)
    _comes_in(server, "third", "three visitors have left")


def _still_heard(speaker: RawClient, listener: RawClient, after: str, server: ServerUnderTest) -> None:
    text = unique("still-there")
    speaker.send(text)
    # One who is thrown out for it is another behaviour's matter.
    if not server.reaches(text, speaker, listener) and not (speaker.end or listener.end):
        raise CheckFailed(f"{listener.name} hears {speaker.name} after {after}", listener.seen())


def _comes_in(server: ServerUnderTest, name: str, after: str) -> RawClient:
    try:
        return server.newcomer(name)
    except CannotJoin as failed:
        raise CheckFailed(f"a newcomer is asked for a nickname after {after}", failed.seen) from None


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
