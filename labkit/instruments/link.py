"""A wire you can tap and break: a TCP proxy with faults.

Put a `Link` between clients and any server: clients connect to `link.address`, and it connects to the
server for each of them. Its `journal` records every chunk that passes, every FIN and every RST; and what
passes can be delayed, sliced, held up or cut off, each direction by itself, while it runs:

    with Link(server.address) as link:
        link.to_client.use(Slice(1))         # faults.py lists them all
        alice = ChatClient("alice", link.address)
        link.to_client.use()                 # a good wire again
        print(link.journal)
        link.save("alice.pcapng")            # for Wireshark

It keeps TCP's promises: no byte is lost, repeated or reordered in mid-stream. It knows nothing of chat,
and works in front of every server. One thread does it all (relay.py).
"""

from __future__ import annotations

import os
import random
from pathlib import Path

from labkit.instruments import pcapng
from labkit.instruments.capture import Talk
from labkit.instruments.faults import Silence
from labkit.instruments.relay import Relay
from labkit.journal import Journal
from labkit.wire.sockets import Address


class Link:
    """A proxy on a free port of this machine, in front of the server at `address`.

    Args:
        address: (host, port) of the server.
        client, server: what the two ends are called in the journal and in pictures of it.
        journal: records what passes; by default a new one, in `journal`.
        seed: seeds the random faults; the same seed, the same faults.

    Raises:
        OSError: there is no such host.

    A server that does not accept within 5 s (relay.CONNECTING) is felt as a reset. What a client says until
    then goes on once it does.

    `to_server` and `to_client` are its two directions: `use` puts faults on them.
    """

    def __init__(
        self,
        address: Address,
        *,
        client: str = "client",
        server: str = "server",
        journal: Journal | None = None,
        seed: int = 0,
    ) -> None:
        self.journal = Journal() if journal is None else journal
        self._relay = Relay(address, client, server, self.journal, random.Random(seed))
        self.to_server, self.to_client = self._relay.to_server, self._relay.to_client
        self.address: Address = self._relay.address

    @property
    def running(self) -> bool:
        return self._relay.running

    def reset(self) -> None:
        """RST to both ends of every connection that there is now."""
        self._relay.reset()

    def silence(self) -> None:
        """Nothing passes any more, either way, and neither end is told."""
        self.to_server.use(Silence())
        self.to_client.use(Silence())

    def conversation(self, client: Address) -> Talk | None:
        """The latest connection of the client at this address, and where the link is connected for it."""
        return self._relay.capture.talk_of(client)

    def save(self, path: str | os.PathLike[str], *others: Link) -> Path:
        """Write what passed to a pcapng file, for Wireshark and tshark; `others` go into the same one.

        The link draws the packets up; a comment in the file says what they cannot show (pcapng.py). It
        keeps the newest 8 MiB (capture.BYTES) of what passed; of bytes before these, the file tells only
        how many they were. An older file of this name is replaced.

        Raises:
            OSError: it cannot be written there.
            TypeError: one of the others is no link.
        """
        for other in others:
            if not isinstance(other, Link):
                raise TypeError(f"what is saved along is a Link, not {other!r}")
        links = dict.fromkeys((self, *others))
        sources = [
            pcapng.Source(link._relay.capture, link.to_server.sender, link.to_server.receiver)
            for link in links
        ]
        where = Path(path)
        where.write_bytes(pcapng.file_of(sources))
        return where

    def stop(self) -> None:
        """End every connection and the thread, and free the port. Twice does no harm."""
        self._relay.stop()

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Link {self.to_server!r} {self.to_client!r}>"
