"""What can be measured: the buffers of a connection, a listener's queue, a server's backlog, a count.

A gauge has `read()`, which returns a `Level` for each of its buffers, in the order in which bytes go
through them. It only looks, and never waits.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Protocol

from labkit.instruments.buffers.levels import (
    ACCEPT,
    BACKLOG,
    OTHER,
    RECEIVING,
    SENDING,
    WIRE,
    Level,
)
from labkit.instruments.link import Link
from labkit.instruments.stream import FULL as LINK_HOLDS
from labkit.probe import queues
from labkit.probe.netlink import Address, CannotTell, Queues
from labkit.server import ChatServer

ALL = "all that it holds"
TO_SEND, TO_READ = "kernel, to be sent", "kernel, to be read"

OVER = "This connection is over."
NOT_HERE = "This end is on another machine, or gone."

Ends = tuple[Address, Address]


class Gauge(Protocol):
    """Something to be measured."""

    def read(self) -> tuple[Level, ...]: ...


class Way:
    """The way through the kernels from one end of a connection to the other: two buffers.

    Args:
        sender, receiver: what the two ends are called.
        ends: tells the addresses of the sending and the receiving end, or None if it is over.
        socks: the two sockets, as far as this program has them: some systems tell only of those.
    """

    def __init__(
        self,
        sender: str,
        receiver: str,
        ends: Callable[[], Ends | None],
        socks: tuple[socket.socket | None, socket.socket | None] = (None, None),
    ) -> None:
        self._sender, self._receiver, self._ends, self._socks = sender, receiver, ends, socks

    def read(self) -> tuple[Level, ...]:
        ends = self._ends()
        if ends is None:
            return sending(self._sender, None, OVER), receiving(self._receiver, None, None, OVER)
        here, here_untold = _asked(ends, self._socks[0])
        there, there_untold = _asked(ends[::-1], self._socks[1])
        if here is None and there is None and not here_untold and not there_untold:
            here_untold = there_untold = OVER
        return (
            sending(self._sender, here, here_untold),
            receiving(self._receiver, here, there, there_untold),
        )


def _asked(ends: Ends, sock: socket.socket | None) -> tuple[Queues | None, str]:
    """What the first of these ends keeps; or None, and why that is not told."""
    try:
        return queues.at(*ends, sock), ""
    except CannotTell as why:
        return None, str(why)


def sending(who: str, here: Queues | None, why: str = "") -> Level:
    """What the sender's kernel keeps: not sent yet, or not acknowledged."""
    if here is None:
        return Level(who, TO_SEND, SENDING, None, why=why or NOT_HERE)
    return Level(who, TO_SEND, SENDING, here.unsent, here.send_used, here.send_room, here.send_full)


def receiving(who: str, sender: Queues | None, here: Queues | None, why: str = "") -> Level:
    """What the receiver's kernel keeps, unread. It is full when its window is shut, as the sender knows."""
    if here is None:
        return Level(who, TO_READ, RECEIVING, None, why=why or NOT_HERE)
    full = here.unread > 0 and sender is not None and sender.shut
    return Level(who, TO_READ, RECEIVING, here.unread, here.read_used, here.read_room, full)


class ToClient:
    """The way from a labkit server to one of its clients: backlog, kernel, wire, kernel.

    Args:
        server: the server, or its address: then it has no backlog to look at.
        nickname: whose way it is.
        sock: returns the client's socket, which changes when it reconnects.
        link: the wire in between, if there is one.
    """

    def __init__(
        self,
        server: ChatServer | object,
        nickname: str,
        sock: Callable[[], socket.socket],
        link: Link | None = None,
    ) -> None:
        self._server, self._nickname, self._sock, self._link = server, nickname, sock, link
        self._client_end: Ends | None = None  # the latest that there was

    def read(self) -> tuple[Level, ...]:
        try:
            self._client_end = queues.ends(self._sock())
        except OSError:
            pass  # it is closed; the kernel may still keep something
        backlog = self._backlog() if isinstance(self._server, ChatServer) else ()
        client = self._client_end
        if self._link is None:
            way = Way("server", self._nickname, lambda: client and client[::-1], (None, self._open()))
            return backlog + way.read()
        talk = self._link.conversation(client[0]) if client else None
        to_link = Way("server", "link", lambda: talk.server_ends if talk else None)
        from_link = Way("link", self._nickname, lambda: client and client[::-1], (None, self._open()))
        (first, second), (third, last) = to_link.read(), from_link.read()
        return (*backlog, first, _joined(self._link, second, third), last)

    def _open(self) -> socket.socket | None:
        sock = self._sock()
        return sock if sock.fileno() >= 0 else None

    def _backlog(self) -> tuple[Level, ...]:
        assert isinstance(self._server, ChatServer)
        for who in self._server.present():
            if who.nickname == self._nickname:
                room = self._server.limits.behind
                full = who.behind >= room
                return (Level("server", "backlog", BACKLOG, who.behind, who.behind, room, full),)
        return (Level("server", "backlog", BACKLOG, None, why=f"{self._nickname} is not here."),)


def _joined(link: Link, *kernels: Level) -> Level:
    """What is in a link: what its two sockets keep, and what it holds itself."""
    if any(level.holds is None for level in kernels):
        why = next(level.why for level in kernels if level.holds is None)
        return Level("link", ALL, WIRE, None, why=why)
    held = link.to_client.held
    return Level(
        "link",
        ALL,
        WIRE,
        held + sum(level.holds or 0 for level in kernels),
        held + sum(level.used for level in kernels),
        LINK_HOLDS + sum(level.room for level in kernels),
        all(level.full for level in kernels),
    )


class AcceptQueue:
    """The connections that wait until the server calls `accept`: listen(2) calls them its backlog."""

    def __init__(self, listener: Address, who: str = "listener") -> None:
        self._listener, self._who = listener, who

    def read(self) -> tuple[Level, ...]:
        what = "queue for accept"
        try:
            found = queues.waiting(self._listener)
        except CannotTell as why:
            return (Level(self._who, what, ACCEPT, None, why=str(why)),)
        if found is None:
            return (Level(self._who, what, ACCEPT, None, why="Nobody listens there."),)
        waiting, limit = found
        full = 0 < limit < waiting  # one more than the limit gets in (sk_acceptq_is_full in Linux)
        return (Level(self._who, what, ACCEPT, waiting, waiting, limit, full, "connections"),)


class Count:
    """A number that the program itself knows, such as the lines in a queue of its own.

    Args:
        who, what: whose it is, and which.
        look: returns the number.
        room: how many there may be; 0: no limit.
        unit: what is counted.
    """

    def __init__(
        self, who: str, what: str, look: Callable[[], int], room: int = 0, unit: str = "lines"
    ) -> None:
        self._who, self._what, self._look, self._room, self._unit = who, what, look, room, unit

    def read(self) -> tuple[Level, ...]:
        number = self._look()
        full = 0 < self._room <= number
        return (Level(self._who, self._what, OTHER, number, number, self._room, full, self._unit),)
