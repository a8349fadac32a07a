"""client_loop.py: the short way for what is merely said comes to the same as the long one."""

from __future__ import annotations

import socket
import threading

from hypothesis import given
from hypothesis import strategies as st

from labkit.journal import Journal
from labkit.server.broadcaster import Broadcaster
from labkit.server.client_loop import ClientLoop
from labkit.server.connection import Disconnected, ServerConnection
from labkit.server.delivery import Close, ForOne, ForRoom
from labkit.server.hub import LocalHub
from labkit.server.limits import Limits
from labkit.wire.framing import LineFraming

NOWHERE = socket.socket()
NOWHERE.close()

LINES = st.one_of(
    st.text(max_size=60).map(str.encode),
    st.binary(max_size=60),
    st.sampled_from(
        [b"hello", b"", b"/who", b"//x", b"/nick bob", b"/me waves", b"/quit", b"a\r", b"x" * 300]
    ),
    st.integers(480, 530).map(lambda size: b"y" * size),
    st.integers(120, 132).map(lambda count: "🙂".encode() * count),
)


class Told:
    """A hub with alice and one who listens, whose log nobody delivers."""

    def __init__(self, limit: int, short: bool) -> None:
        self.limits = Limits(line=limit)
        self.journal = Journal()
        ending = threading.Event()
        self.hub = LocalHub(self.limits, self.journal, lambda: Broadcaster(self.limits), ending, limit)
        self.hub.open()
        self.loop = ClientLoop(self.hub, self.limits, ending)
        self.alice, self.zoe = (
            ServerConnection(NOWHERE, LineFraming(limit), None, self.hub.broadcaster.telling)
            for _ in range(2)
        )
        for client, nickname in ((self.alice, "alice"), (self.zoe, "zoe")):
            self.hub.slots.add(client, "127.0.0.1")
            self.hub.join(client, nickname)
        if not short:
            self.alice.lines = None

    def hear(self, pieces: list[bytes]) -> tuple[object, ...]:
        """All that comes of these bytes: what each is told, what the journal has, how it ends."""
        end = ""
        try:
            for piece in pieces:
                self.loop.hear(self.alice, piece)
        except Disconnected as disconnected:
            end = disconnected.reason
        self.hub.broadcaster._let_others_write()
        told: dict[object, bytes] = {}
        order = b""
        for entry in self.hub.broadcaster._log:
            if isinstance(entry, ForRoom):
                assert entry.but in (None, self.alice.outbox, self.zoe.outbox)
                told[entry.room] = told.get(entry.room, b"") + entry.data
            elif isinstance(entry, ForOne):
                who = "alice" if entry.to is self.alice.outbox else "zoe"
                told[who] = told.get(who, b"") + entry.data
            order += entry.data if isinstance(entry, (ForRoom, ForOne)) else b"-"
            assert not isinstance(entry, Close)
        news = [(e.n, e.kind, e.who, e.what, e.where) for e in self.journal]
        self.hub.close()
        return told, order, news, end, self.alice.lines_in if not end else None


@given(
    st.sampled_from([512, 4096]), st.lists(LINES, max_size=12), st.lists(st.integers(1, 200), max_size=8)
)
def test_the_short_way_says_what_the_long_way_says(limit: int, lines: list[bytes], cuts: list[int]) -> None:
    """Any bytes, cut anywhere: each hears the same, in the same order, and so does the journal."""
    stream = b"".join(line + b"\n" for line in lines)
    pieces, start = [], 0
    for cut in cuts:
        pieces.append(stream[start : start + cut])
        start += cut
    pieces = [piece for piece in (*pieces, stream[start:]) if piece]
    assert Told(limit, short=True).hear(pieces) == Told(limit, short=False).hear(pieces)
