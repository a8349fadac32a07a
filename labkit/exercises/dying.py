"""Behaviours of a chat server: somebody vanishes, or stops reading, and the others go on.

What is looked for here hides: a server that notices a death at once never sends to the dead. So it is
tried twice, the second time with the dead one's thread kept busy (`Clog`): it has said so much that a
thread which sends by itself is stuck in a send to somebody who does not read, and cannot see the end of
its own client. Somebody else's send will be the first to.

It builds as talking.py does.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from labkit import sockets
from labkit.exercises.behaviour import Section
from labkit.exercises.missed import Missed
from labkit.exercises.patience import SLICE, Patience
from labkit.exercises.peer import Peer, unique
from labkit.exercises.probed import NotJudged, Probed

LINE = b"x" * 999
"""What is said when it is only the amount that matters; with its LF, 1000 bytes."""

TINY = 4096
"""Bytes of the receive buffer of one who will not read."""

STUCK = 0.5
"""Seconds without any movement after which a server is taken to be stuck. If it is merely slow, less is
tried, and nothing wrong is told."""

DYING = Section()


def kernel_holds() -> int:
    """Bytes that a server's kernel may take for somebody who does not read: tcp(7), tcp_wmem."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        most = int(Path("/proc/sys/net/ipv4/tcp_wmem").read_text().split()[2])
        return max(1, min(most, 32 * 1024 * 1024))
    return 4 * 1024 * 1024  # as Linux has it, unless it is told otherwise


@DYING.has(
    "nobody is skipped when several die",
    "everybody in a room hears the same lines",
)
def _(server: Probed) -> None:
    alice, *people, last = server.people("alice", "dead0", "other0", "dead1", "other1", "last")
    others = [*people[1::2], last]
    for dead in people[::2]:
        dead.reset()
        server.settle()  # who notices by itself has noticed
    text = unique("who-hears-me")
    alice.send(text)
    deaf = [peer for peer in others if not server.reaches(text, alice, peer)]
    if len(deaf) == len(others):
        raise NotJudged("nobody at all is heard after a reset")
    if deaf:
        heard = " and ".join(peer.name for peer in others if peer not in deaf)
        raise Missed(f"all three hear {text!r}", f"{heard} did; {deaf[0].seen()}")


class Clog:
    """People, of whom `dead` will die while its thread is busy: `mallory`, who came last, does not read.

    `stuck` tells whether that could be brought about, and somebody who came after `dead` still hears.
    """

    def __init__(self, server: Probed) -> None:
        first, *self.speakers, self.dead, self.bob = server.people("first", "one", "two", "dead", "bob")
        (self.mallory,) = server.people("mallory", know=first, receive_buffer=TINY)
        self._all = [first, *self.speakers, self.dead, self.bob]
        self.stuck = self._fill() and self._heard(server, first)

    def _fill(self) -> bool:
        """The dead one says more than mallory's kernel takes. False: bob has heard all of it."""
        left = kernel_holds() + 1024 * 1024
        everything = self.bob.received + left
        idle = Patience(STUCK)
        received = 0
        while self.bob.received < everything:
            took = self.dead.push((LINE + b"\n") * 64, 0) if left > 0 else 0
            left -= took
            for peer in self._all:
                peer.forget()
            now = sum(peer.received for peer in self._all)
            if took or now != received:
                idle, received = Patience(STUCK), now
            elif idle.spent():
                return True
            else:
                sockets.readable(self.bob.sock, SLICE / 10)
        return False

    def _heard(self, server: Probed, first: Peer) -> bool:
        """Whether bob hears what the first of all says: he comes before mallory, then."""
        text = unique("can-you-hear")
        first.send(text)
        return server.reaches(text, first, self.bob)


@DYING.has(
    "after a reset all others are still heard",
    "what is said reaches all others in the room; RST of one is that one's leaving, and no more",
)
def _(server: Probed) -> None:
    alice, gone, dave = server.people("alice", "gone", "dave")
    gone.reset()
    server.hears_from(alice, dave, "is-anybody-there")
    clog = Clog(server)
    if clog.stuck:
        clog.dead.reset()
        server.hears_from(clog.speakers[0], clog.bob, "is-anybody-there")
    clog.mallory.reset()


@DYING.has(
    "one who stops reading holds up nobody",
    "whoever stops reading holds up nobody; nobody who keeps reading loses a line",
)
def _(server: Probed) -> None:
    alice, bob = server.people("alice", "bob")
    (mallory,) = server.people("mallory", know=alice, receive_buffer=TINY)
    lines = (LINE + b"\n") * 32
    said, most = 0, 2 * kernel_holds()
    while said < most:
        # Bob has heard all before more is said: nobody is behind but mallory.
        text = unique("so-far")
        said += alice.push(lines)
        if not (alice.until_read() and alice.send(text) and server.reaches(text, alice, bob)):
            seen = (
                f"nothing more after {said // 1000} kB"
                + f", and alice was thrown out ({alice.end})" * bool(alice.end)
            )
            raise Missed("bob hears alice while mallory does not read", seen)
        alice.forget()
    mallory.reset()
