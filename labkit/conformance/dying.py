"""Behaviours of a chat server: what a client's death does to the others, and to newcomers.

Two of the faults looked for here hide: a server that notices a death at once never sends to the dead
client. So each is tried twice, the second time with the dead client's thread kept busy (`Clog`): the client
has said so much that its thread, if it also sends, is stuck in a send to a client that does not read. It
cannot see the end of its own client; another thread's send will be the first to.

A fault here may be the last thing that a server does.
"""

from __future__ import annotations

import contextlib

from labkit.conformance.behaviour import Section
from labkit.conformance.naming import NOBODY_KEPT_OUT, still_asked
from labkit.conformance.server_under_test import CannotJoin, NotJudged, ServerUnderTest, letters
from labkit.conformance.staying import TINY, flood, kernel_holds
from labkit.probe.deadline import SLICE
from labkit.probe.failed import CheckFailed
from labkit.probe.raw_client import RawClient, unique
from labkit.wire import sockets

STUCK = 0.5
"""Seconds without any movement after which a server is taken to be stuck. If it is merely slow, less is
tried, and it is not blamed."""

FAREWELLS = ("quit", "exit", "bye", "q", "/quit", "/exit", "!quit", "{quit}")
"""What many servers take for a goodbye."""

DYING = Section()


class Clog:
    """Clients, of which `dead` will die while its thread is busy: `mallory`, the last one, does not read.

    `stuck` tells whether that worked, and `bob`, who came after `dead`, still hears.
    """

    def __init__(self, server: ServerUnderTest) -> None:
        first, *self.speakers, self.dead, self.bob = server.join(
            "first", "one", "two", "three", "dead", "bob"
        )
        (self.mallory,) = server.join("mallory", know=first, receive_buffer=TINY)
        self._all = [first, *self.speakers, self.dead, self.bob]
        self.server, self.lines = server, flood(server)
        self.stuck = self._fill() and self._heard(server, first)
        server.settle()  # nothing is on its way to one that may die now

    def _fill(self) -> bool:
        """`dead` says more than mallory's kernel takes. False: bob has heard all of it."""
        left = (self.server.holds or kernel_holds()) + 1024 * 1024
        everything = self.bob.received + left
        idle = self.server.deadline(STUCK)
        received = 0
        while self.bob.received < everything:
            took = self.dead.push(self.lines, 0) if left > 0 else 0
            left -= took
            for client in self._all:
                client.forget()
            now = sum(client.received for client in self._all)
            if took or now != received:
                idle, received = self.server.deadline(STUCK), now
            elif idle.passed():
                return True
            else:
                sockets.readable(self.bob.sock, SLICE / 10)
        return False

    def _heard(self, server: ServerUnderTest, first: RawClient) -> bool:
        """Whether bob hears what the first client says: then he comes before mallory."""
        text = unique("can-you-hear")
        first.send(text)
        return server.reaches(text, first, self.bob)


@DYING.has(
    "after a reset all others are still heard",
    "what is said reaches all others in the room; RST of one is that one's leaving, and no more",
    luck=True,
)
def _(server: ServerUnderTest) -> None:
    alice, gone, dave = server.join("alice", "gone", "dave")
    server.quiet(alice, gone, dave)
    gone.reset()
    server.settle()  # a server that notices by itself has noticed; the others are tried below
    server.hears_from(alice, dave, "is-anybody-there")
    clog = Clog(server)
    if clog.stuck:
        clog.dead.reset()
        server.settle()
        # The kernel tells the first of the reset; the next one's send ends a program that forgot SIGPIPE.
        for speaker in clog.speakers[:2]:
            server.hears_from(speaker, clog.bob, "is-anybody-there")


@DYING.has(
    "after a goodbye nobody else is thrown out",
    "a client that keeps reading and talking stays, whatever becomes of the others",
    luck=True,
)
def _(server: ServerUnderTest) -> None:
    alice, carol, gone, dave = server.join("alice", "carol", "gone", "dave")
    server.quiet(alice, carol, gone, dave)
    say_goodbye(gone)
    server.settle()
    for speaker in (alice, carol):
        server.hears_from(speaker, dave, "are-you-there")
    clog = Clog(server)
    if clog.stuck:
        say_goodbye(clog.dead)
        server.settle()
        # The first send to a closed socket goes well, the next one fails: who pays for it? With the third,
        # SIGPIPE comes where bytes were unread.
        for speaker in clog.speakers:
            server.hears_from(speaker, clog.bob, "are-you-there")


def say_goodbye(client: RawClient) -> None:
    """Leave with FIN, and close: with something unread, close would send RST."""
    client.forget()
    client.hang_up()
    client.close()


@DYING.has(
    "once one who did not read is gone, all go on",
    "a client that stops reading holds up no other, and is let go",
    luck=True,
)
def _(server: ServerUnderTest) -> None:
    clog = Clog(server)
    clog.mallory.reset()
    server.settle()
    one, two, *_ = clog.speakers
    for speaker, listener in ((one, two), (two, one)):
        text = unique("going-on")
        speaker.send(text)
        if server.reaches(text, speaker, listener):
            continue
        if speaker.end or listener.end:
            raise NotJudged(
                "others were thrown out for it (see: after a goodbye nobody else is thrown out)"
            )
        raise CheckFailed(f"{listener.name} hears {text!r} from {speaker.name}", listener.seen())


@DYING.has("a goodbye in the handshake keeps nobody out", NOBODY_KEPT_OUT)
def _(server: ServerUnderTest) -> None:
    gone = server.newcomer("gone")
    server.settle()  # a welcome that it has not read would make it a reset
    say_goodbye(gone)
    still_asked(server, "after another hung up instead of answering")


@DYING.has("a reset in the handshake keeps nobody out", NOBODY_KEPT_OUT)
def _(server: ServerUnderTest) -> None:
    dead = server.newcomer("dead")
    dead.reset()
    still_asked(server, "after another reset its connection instead of answering")
    with contextlib.suppress(CannotJoin):  # the next ones cannot, either
        server.connect("scan").reset()  # as a port scan does
    # Those before are still here, and have their nicknames.
    still_asked(server, "after another reset its connection at once", ("later", "latest"))


@DYING.has("a nickname that is not UTF-8 keeps nobody out", NOBODY_KEPT_OUT)
def _(server: ServerUnderTest) -> None:
    odd = server.newcomer("odd")
    server.answer(odd, b"ren\xe9")
    still_asked(server, "after another answered b'ren\\xe9'")


@DYING.has(
    "a word that one says ends nobody else",
    "what a client says may end its own connection, and no other",
)
def _(server: ServerUnderTest) -> None:
    alice, bob = server.join("alice", "bob")
    visitor, said = None, ""
    for word in FAREWELLS:
        after = f"after another said {word!r}"
        if visitor is None or visitor.end:
            try:
                (visitor,) = server.join(letters(4), know=alice)
            except CannotJoin as failed:
                if not said:
                    raise
                expected = f"others can join after one has said {said!r}"
                raise CheckFailed(expected, failed.seen) from None
        said = word
        visitor.send(word)
        visitor.until_read()
        visitor.ended(0)
        _goes_on(server, alice, bob, after)
    server.settle()  # what a word starts may take a moment
    _goes_on(server, alice, bob, f"after another said {FAREWELLS}")
    still_asked(server, f"after another said {FAREWELLS}")


def _goes_on(server: ServerUnderTest, alice: RawClient, bob: RawClient, after: str) -> None:
    """Raises:
    CheckFailed: one of the two does not hear the other now.
    """
    for speaker, listener in ((alice, bob), (bob, alice)):
        try:
            server.hears_from(speaker, listener, "still-here")
        except CheckFailed as failed:
            raise CheckFailed(f"{failed.expected} {after}", failed.seen) from None
