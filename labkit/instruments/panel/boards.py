"""Several people and their server, side by side; one thread paints for all of them (painter.py)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any
from weakref import WeakSet

from labkit.client import ChatClient, NicknameRefused
from labkit.instruments.buffers import to_client
from labkit.instruments.link import Link
from labkit.instruments.panel.buffers_panel import BuffersPanel
from labkit.instruments.panel.chat_panel import ChatPanel
from labkit.instruments.panel.ladder_panel import LadderPanel
from labkit.instruments.panel.link_panel import LinkPanel
from labkit.instruments.panel.painter import Painter
from labkit.instruments.panel.server_panel import ServerPanel
from labkit.instruments.panel.widgets import Panel, column, row
from labkit.server import ChatServer
from labkit.wire.framing import LINES, NewFraming
from labkit.wire.nicknames import BadName, fit, looks
from labkit.wire.sockets import Address
from labkit.wire.text import isolated

_open: WeakSet[Board] = WeakSet()
"""The boards of this kernel that nobody has closed."""


class Board(Panel):
    """Several people and their server, side by side: `board` makes one.

    `board["alice"]` is alice's panel, and so is `board.alice`. Use it as a context manager, or call
    `close` in the end. With `links`, each person's wire is shown too, and can be broken. A server that is
    not labkit's own is not shown.
    """

    def __init__(
        self,
        server: ChatServer | Address,
        clients: dict[str, ChatClient],
        links: dict[str, Link] | None = None,
        buffers: bool = False,
    ) -> None:
        painter = Painter()
        self._painter = painter
        self._panels = {nickname: ChatPanel(client, painter) for nickname, client in clients.items()}
        self._links = links or {}
        self._faults = {nickname: LinkPanel(link, painter) for nickname, link in self._links.items()}
        self.server = ServerPanel(server, painter) if isinstance(server, ChatServer) else None
        self.ladder = LadderPanel(self._links, painter) if self._links else None
        ways = {name: to_client(server, c, self._links.get(name)) for name, c in clients.items() if buffers}
        self.buffers = BuffersPanel(ways, painter) if ways else None
        people = [self._person(nickname) for nickname in self._panels]
        self.widget = column(
            "labkit-board",
            row("labkit-people", *people).add_class(f"labkit-of-{len(people)}"),
            self._below(),
        )
        painter.start()
        self._where = server
        _open.add(self)

    def _person(self, nickname: str) -> Any:
        """What stands in a person's column, one below the other: their order is that of the Tab key."""
        faults = self._faults.get(nickname)
        parts = [self._panels[nickname], *([faults] if faults else [])]
        return column("labkit-person", *(part.widget for part in parts))

    def _below(self) -> Any:
        """What is not one person's. Beside a ladder, the two tables share a column."""
        tables = [panel.widget for panel in (self.buffers, self.server) if panel]
        if self.ladder and len(tables) > 1:
            beside = column("labkit-tables", *tables)
            return row("labkit-below", self.ladder.widget, beside).add_class("labkit-narrow-wide")
        return row("labkit-below", *([self.ladder.widget] if self.ladder else []), *tables)

    def wire(self, nickname: str) -> Link:
        """The wire between this person and the server.

        Raises:
            LookupError: there is none.
        """
        return self.faults(nickname).link

    def faults(self, nickname: str) -> LinkPanel:
        """The panel of that wire. Raises as `wire` does."""
        if nickname not in self._faults:
            why = (
                f"nobody on this board is called {nickname}" if self._faults else "make it with wires=True"
            )
            raise LookupError(f"no such wire: {why}")
        return self._faults[nickname]

    def close(self) -> None:
        """All clients leave, and every thread of the board ends. The server runs on. Twice does no harm.

        Wires are mended first: goodbyes should arrive.
        """
        _open.discard(self)
        for faults in self._faults.values():
            faults.mend()
        for panel in self:
            panel.client.leave()
        for link in self._links.values():
            link.stop()
        self._painter.stop()

    def __getitem__(self, nickname: str) -> ChatPanel:
        return self._panels[nickname]

    def __getattr__(self, nickname: str) -> ChatPanel:
        try:
            return self.__dict__["_panels"][nickname]  # type: ignore[no-any-return]  # it is a ChatPanel
        except KeyError:
            raise AttributeError(f"nobody on this board is called {nickname}") from None

    def __iter__(self) -> Iterator[ChatPanel]:
        return iter(self._panels.values())

    def __enter__(self) -> Board:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        """The same for each new board; so the ladder, which differs, is only named."""
        people = [repr(panel) for panel in self]
        if self.ladder:
            pairs = zip(people, self._faults.values(), strict=True)
            people = [f"{person}\n{faults}" for person, faults in pairs]
        below = [repr(panel) for panel in (self.server, self.buffers) if panel]
        below += [f"on the wire of {isolated(self.ladder.whose)}: a ladder"] if self.ladder else []
        return "\n\n".join([*people, *below])


def board(
    server: ChatServer | Address,
    *nicknames: str,
    framing: NewFraming = LINES,
    wires: bool = False,
    buffers: bool = False,
) -> Board:
    """Connect a client for each nickname, one after the other, and lay out their panels.

    Returns when each client has read that the later ones joined, so that a board always begins alike.
    `wait_for` no longer finds these lines: "bob joined" means that he joins again.

    Instead of a ChatServer it takes the address of any server, (host, port), and does not wait for these
    lines: such a server may not send them.

    With `wires`, each client connects through a `Link` of its own, `board(…).wire("bob")`, with its faults
    below its panel; and what passes on one of these wires is drawn below the board.

    With `buffers`, the board shows what waits on the way from the server to each: `board(…).buffers`.

    An older board of this kernel that has one of the nicknames at this server is closed: a cell that makes
    a board can be run again.

    Raises:
        NicknameRefused: the server refused one of the nicknames; the clients before it have left.
        OSError, RuntimeError: the server does not run, or went away, or does not announce who joins.
    """
    wanted = _looks(nicknames)
    for older in [other for other in _open if other._where == server]:
        if wanted & _looks(panel.client.nickname for panel in older):
            older.close()
    clients: dict[str, ChatClient] = {}
    links: dict[str, Link] = {}
    try:
        for nickname in nicknames:
            if not nickname or not isinstance(nickname, str):
                raise NicknameRefused(f"no board: a nickname is a string, and not empty, not {nickname!r}")
            if nickname in clients:
                raise NicknameRefused(f"no board: {nickname!r} is there twice")
            address = server.address if isinstance(server, ChatServer) else server
            if wires:
                links[nickname] = Link(address, client=nickname)
                address = links[nickname].address
            try:
                clients[nickname] = ChatClient(nickname, address, framing=framing)
            except NicknameRefused as error:
                raise NicknameRefused(f"no board: {nickname!r} was refused: {error}") from None
        if framing is LINES and isinstance(server, ChatServer):
            _wait_until_met([*clients.values()])
        return Board(server, clients, links, buffers)
    except BaseException:
        for client in clients.values():
            client.leave()
        for link in links.values():
            link.stop()
        raise


def _looks(nicknames: Iterable[str]) -> set[str]:
    """What no two clients have in common at a server."""
    found: set[str] = set()
    for nickname in nicknames:
        with suppress(BadName, TypeError):  # it will be refused
            found |= looks(fit(nickname))
    return found


def _wait_until_met(clients: list[ChatClient]) -> None:
    """Wait until each has read its welcome, and that the later ones joined."""
    for i, client in enumerate(clients):
        client.wait_for(f"* you are {client.nickname}")
        for later in clients[i + 1 :]:
            client.wait_for(f"* {later.nickname} joined")
