"""What a link has seen, with times and bytes: enough to draw it up as packets (pcapng.py).

The journal keeps the beginning of each piece, for people to read. This keeps whole pieces: the newest
`BYTES` of them, and of older ones only how long they were.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from time import monotonic, time

from labkit.wire.addresses import Address

PACKETS = 50_000
"""The newest that are kept of a link: packets of no bytes, FIN and RST too."""

BYTES = 8 * 1024 * 1024
"""Bytes that are kept of a link; of what passed before them, only how many they were."""

SYN, SYN_ACK, ACK, DATA, FIN, RST = "SYN", "SYN/ACK", "ACK", "data", "FIN", "RST"


@dataclass(eq=False, slots=True)
class Talk:
    """One client's connection through a link."""

    number: int  # 1 for the link's first
    client: Address
    server: Address
    link: Address | None = None  # from where the link is connected to the server; None: not yet
    # Sequence numbers that the client has used, and the server.
    sent: list[int] = field(default_factory=lambda: [0, 0])

    @property
    def server_ends(self) -> tuple[Address, Address] | None:
        """The two ends of the connection between server and link."""
        return (self.server, self.link) if self.link else None


@dataclass(eq=False, slots=True)
class Packet:
    """One thing that passed. `seq` and `ack` count from 0, for the SYN."""

    when: float  # of time.monotonic()
    talk: Talk
    kind: str
    from_client: bool
    seq: int
    ack: int
    size: int = 0  # bytes that it carries
    data: bytes | None = b""  # None: forgotten
    by_link: bool = False  # the link itself sent it


class Capture:
    """What one link has seen. Its thread writes; any thread may read."""

    def __init__(self) -> None:
        self.epoch = time() - monotonic()  # to be added to `when`, for seconds since 1970
        self._lock = threading.Lock()  # guards all below
        self._packets: deque[Packet] = deque()
        self._with_data: deque[Packet] = deque()
        self._bytes = 0
        self._talks: deque[Talk] = deque(maxlen=1000)
        self._count = 0
        self.dropped = 0  # packets that were forgotten

    def opened(self, client: Address, server: Address) -> Talk:
        """A client has connected to the link."""
        with self._lock:
            self._count += 1
            talk = Talk(self._count, client, server)
            self._talks.append(talk)
            self._add(talk, SYN, True)
        return talk

    def connected(self, talk: Talk, server: Address, link: Address) -> None:
        """And the link to the server."""
        with self._lock:
            talk.server, talk.link = server, link
            self._add(talk, SYN_ACK, False)
            self._add(talk, ACK, True)

    def passed(self, talk: Talk, from_client: bool, data: bytes | memoryview) -> None:
        with self._lock:
            self._add(talk, DATA, from_client, bytes(data))

    def ended(self, talk: Talk, kind: str, from_client: bool, by_link: bool = False) -> None:
        """FIN or RST went on."""
        with self._lock:
            self._add(talk, kind, from_client, by_link=by_link)

    def _add(
        self, talk: Talk, kind: str, from_client: bool, data: bytes = b"", by_link: bool = False
    ) -> None:
        own, other = (0, 1) if from_client else (1, 0)
        seq, ack = talk.sent[own], talk.sent[other]
        packet = Packet(monotonic(), talk, kind, from_client, seq, ack, len(data), data, by_link)
        talk.sent[own] += len(data) + (kind in (SYN, SYN_ACK, FIN))  # these three count as one byte
        self._packets.append(packet)
        if data:
            self._with_data.append(packet)
            self._bytes += len(data)
        while self._bytes > BYTES:
            forgotten = self._with_data.popleft()
            self._bytes -= forgotten.size
            forgotten.data = None
        if len(self._packets) > PACKETS:
            gone = self._packets.popleft()
            self.dropped += 1
            if gone.data and self._with_data[0] is gone:
                self._with_data.popleft()
                self._bytes -= gone.size

    def packets(self) -> list[Packet]:
        """All that are kept, oldest first."""
        with self._lock:
            return list(self._packets)

    def talk_of(self, client: Address) -> Talk | None:
        """The latest connection of the client at this address."""
        with self._lock:
            return next((talk for talk in reversed(self._talks) if talk.client == client), None)
