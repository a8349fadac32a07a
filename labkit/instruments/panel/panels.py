"""Widgets for a notebook: a panel for each person, one for the server, and `board` for all at once.

A panel shows a ChatClient and lets you drive it, by hand or by method calls, which do the same. It adds
nothing to the chat: whatever it shows, the client or the server knows. A panel is also text: its `repr`
is what you would read in it, so that a notebook makes sense without a front end.

One thread for each board paints (painter.py); look.py makes the HTML. Only this file, wire_panel.py
and widgets.py import ipywidgets.

Callbacks of widgets may run in another thread than the notebook's cells (JupyterLab gives them a
subshell). So only the painter writes what is shown, and only callbacks write the text field.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

import ipywidgets

from labkit.client import FROZEN, GONE, ChatClient, NicknameRefused
from labkit.instruments.link import Link
from labkit.instruments.panel import look
from labkit.instruments.panel.painter import Painter
from labkit.instruments.panel.widgets import bundle, button, column, style
from labkit.instruments.panel.wires import LadderPanel, LinkPanel
from labkit.server import ChatServer, Present
from labkit.wire.framing import LINES, NewFraming
from labkit.wire.sockets import Address

LINES_SHOWN = 200
"""The newest lines that a panel shows; the client's `transcript` has the others."""

LOOKS = 0.2
"""Seconds between two looks at a server, which gives no news of itself."""

RIGHT_BEHIND = 0.25
"""Seconds within which an edited text follows the Enter or the click that was to send it."""

ON_ITS_WAY = 1.0
"""Seconds that it has where there is no earlier one to be sent instead."""


class ChatPanel:
    """One person's window on the chat, and hands to act with.

    Args:
        client: whom it shows.
        painter: who keeps it up to date, and is started later; None: a painter of its own, which ends
            when the client is gone.

    What goes wrong in `say` and the other deeds is shown in the panel, and raises nothing.
    """

    every: float | None = None  # the client tells of every change

    def __init__(self, client: ChatClient, painter: Painter | None = None) -> None:
        self.client = client
        self._painter = painter or Painter()
        self._changed = True
        self._trouble = ""  # why the latest deed did not work, if it did not
        self._enter = 0.0  # until when an Enter waits for its text
        self._build()
        self._painter.add(self)
        client.on_change(self._news)
        self.paint(last=False)
        if painter is None:
            self._painter.start()

    # --- deeds; the buttons do the same ---

    def say(self, text: str) -> None:
        """Say it, as if it were typed: a line that begins with `/` is a command."""
        self._do(self.client.say, text)

    def whisper(self, nickname: str, text: str) -> None:
        """Say it to one person alone."""
        self._do(self.client.whisper, nickname, text)

    def wait_for(self, text: str | re.Pattern[str] | Callable[[str], bool], timeout: float = 5.0) -> str:
        """The first line that holds `text`, among those not yet found: `ChatClient.wait_for`.

        Raises:
            TimeoutError: it did not come within `timeout` seconds.
            ConnectionEnded: the connection ended before it came.
        """
        return self.client.wait_for(text, timeout)

    def leave(self) -> None:
        """A proper goodbye. Takes about a second at most, if the server does not answer it."""
        self._do(self.client.leave)

    def pull_the_plug(self) -> None:
        """End the connection without a goodbye."""
        self._do(self.client.vanish)

    def freeze(self) -> None:
        """Stop reading, as a program does that hangs; the connection stands."""
        self._do(self.client.freeze)

    def thaw(self) -> None:
        """Read on."""
        self._do(self.client.thaw)

    def _do(self, deed: Callable[..., None], *args: str) -> None:
        try:
            deed(*args)
        except (OSError, ValueError) as error:  # gone; not to be sent: they say so themselves
            self._trouble = f"! {error}"
        else:
            self._trouble = ""
        self._news()
        if self._painter.ended:  # all were gone, and it went home
            self._painter.stop()
            self.paint(last=True)

    # --- what is shown ---

    def __repr__(self) -> str:
        _, words, lines, more = self._seen()
        shown = ["… earlier lines are not shown"] * more + lines + [self._trouble] * bool(self._trouble)
        return "\n".join([f"{self._name()} · {words}", *("  " + line for line in shown)])

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return bundle(self.widget, repr(self))

    def _name(self) -> str:
        return self.client.nickname or "(no nickname yet)"

    def _seen(self) -> tuple[str, str, list[str], bool]:
        """The state, the state in words, the newest lines, and whether there were older ones."""
        state = self.client.state
        if state == GONE:
            words = f"gone: {self.client.end}"
        else:
            words = f"{state}, in {self.client.room}" if self.client.room else state
        lines = self.client.tail(LINES_SHOWN + 1)
        return state, words, lines[-LINES_SHOWN:], len(lines) > LINES_SHOWN

    def _news(self) -> None:
        self._changed = True
        self._painter.wake()

    def over(self) -> bool:
        return self.client.state == GONE

    def paint(self, last: bool) -> None:
        """Show what is new. For the painter."""
        if not (self._changed or last):
            return
        self._changed = False  # before looking: what changes now will be seen, now or next time
        state, words, lines, more = self._seen()
        self._head.value = look.head(self._name(), state, words)
        self._lines.value = look.log(self._name(), lines, more)
        self._problem.value = look.trouble(self._trouble)
        self._freeze.description = "Thaw" if state == FROZEN else "Freeze"
        for control in (self._field, self._send, self._leave, self._pull, self._freeze):
            control.disabled = state == GONE

    # --- widgets ---

    def _build(self) -> None:
        self._head, self._lines, self._problem = (ipywidgets.HTML() for _ in range(3))
        self._field = ipywidgets.Text(
            placeholder="say something, or /help",
            tooltip=f"what {self._name()} says; Enter sends it",
            continuous_update=False,
        )
        self._field.on_msg(self._enter_was_pressed)
        self._field.observe(self._text_came, "value")
        self._send = button("Send", "say it (Enter does the same)", self._send_what_was_typed)
        self._leave = button("Leave", "a proper goodbye: the others read “left (hung up)”", self.leave)
        self._pull = button(
            "Pull the plug", "no goodbye: the others read “left (vanished)”", self.pull_the_plug
        )
        self._freeze = button(
            "Freeze", "stop reading, as a program does that hangs; thaw reads on", self._freeze_or_thaw
        )
        self.widget = column(
            "labkit-panel",
            style(),
            self._head,
            column("labkit-log", self._lines),
            self._problem,
            ipywidgets.HBox([self._field, self._send]).add_class("labkit-type"),
            ipywidgets.HBox([self._leave, self._pull, self._freeze]).add_class("labkit-do"),
        )

    # The front end tells of Enter first, and then of the text, if it was edited since the field last lost
    # the focus. A click on Send comes second, but may overtake the text: each widget's messages can have
    # a thread of their own in the kernel. So whichever it was, what was typed may come right behind it.

    def _enter_was_pressed(self, _: object, content: dict[str, Any], __: object) -> None:
        if content.get("event") == "submit":
            self._send_what_was_typed()

    def _send_what_was_typed(self) -> None:
        if not self._field.value:
            self._enter = monotonic() + ON_ITS_WAY
            return
        # This came earlier: to be sent, unless an edited one comes.
        self._enter = monotonic() + RIGHT_BEHIND
        try:
            asyncio.get_running_loop().call_later(RIGHT_BEHIND, self._send_entered)
        except RuntimeError:  # no kernel, no loop, and nothing behind
            self._send_text()

    def _send_entered(self) -> None:
        if self._enter:
            self._send_text()

    def _text_came(self, _: object) -> None:
        if monotonic() < self._enter:
            self._send_text()

    def _send_text(self) -> None:
        self._enter = 0.0
        text, self._field.value = self._field.value, ""
        if text:
            self.say(text)

    def _freeze_or_thaw(self) -> None:
        if self.client.state == FROZEN:
            self.thaw()
        else:
            self.freeze()


class ServerPanel:
    """Who is connected to a server, in what room, through which thread, and how far behind.

    Args: as for ChatPanel.
    """

    every: float | None = LOOKS

    def __init__(self, server: ChatServer, painter: Painter | None = None) -> None:
        self.server = server
        self._painter = painter or Painter()
        self._look_again = 0.0
        self._seen: tuple[str, list[Present]] | None = None
        self._shown = ipywidgets.HTML()
        self.widget = column("labkit-panel", style(), self._shown)
        self._painter.add(self)
        self.paint(last=False)
        if painter is None:
            self._painter.start()

    def _state(self) -> str:
        return "running" if self.server.running else "stopped"

    def __repr__(self) -> str:
        """Without the numbers, which change while you read."""
        people = self.server.present()
        lines = [f"  {who.nickname}: in {who.room}, {who.thread}" for who in people]
        return "\n".join([f"server · {self._state()}, {len(people)} here", *lines])

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return bundle(self.widget, repr(self))

    def over(self) -> bool:
        return self.server.wait(0)

    def paint(self, last: bool) -> None:
        """Show what is new. For the painter."""
        now = monotonic()
        if now < self._look_again and not last:
            return
        self._look_again = now + LOOKS
        state, people = self._state(), self.server.present()
        if last and state == "running":
            state = "no longer watched"
        if (state, people) == self._seen:
            return
        self._seen = state, people
        words = f"{state}, {len(people)} here"
        if state == "running":
            words += ", at {}:{}".format(*self.server.address)
        rows = [
            (who.nickname, who.room, who.thread, who.lines_in, who.lines_out, who.behind) for who in people
        ]
        heads = ("nickname", "room", "thread", "lines in", "lines out", "bytes behind")
        self._shown.value = look.head("server", state, words) + look.table(heads, rows)


class Board:
    """Several people and their server, side by side: `board` makes one.

    `board["alice"]` is alice's panel, and so is `board.alice`. Use it as a context manager, or call
    `close` in the end. With `links`, each person's wire is shown too, and can be broken. Of
    a server that is not labkit's own nothing is shown.
    """

    def __init__(
        self,
        server: ChatServer | Address,
        clients: dict[str, ChatClient],
        links: dict[str, Link] | None = None,
    ) -> None:
        painter = Painter()
        self._painter = painter
        self._panels = {nickname: ChatPanel(client, painter) for nickname, client in clients.items()}
        self._links = links or {}
        self._faults = {nickname: LinkPanel(link, painter) for nickname, link in self._links.items()}
        self.server = ServerPanel(server, painter) if isinstance(server, ChatServer) else None
        self.ladder = LadderPanel(self._links, painter) if self._links else None
        columns = [panel.widget for panel in self]
        if self._faults:
            pairs = zip(columns, self._faults.values(), strict=True)
            columns = [column("labkit-person", person, faults.widget) for person, faults in pairs]
        people = ipywidgets.Box(columns)
        people.layout = ipywidgets.Layout(flex_flow="row wrap", align_items="stretch")
        least = "40%" if len(columns) == 4 else "240px"  # two and two, not three and one
        for one in columns:
            one.layout = ipywidgets.Layout(flex=f"1 1 {least}", width="auto")
        below = [panel.widget for panel in (self.server, self.ladder) if panel]
        self.widget = column("labkit-board", people, *below)
        painter.start()

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
        """Everybody leaves, and every thread of the board ends. The server runs on. Twice does no harm.

        Wires are mended first: goodbyes should arrive.
        """
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
        """As it begins it is always the same; so the ladder, which is not, is only named."""
        people = [repr(panel) for panel in self]
        if self.ladder:
            pairs = zip(people, self._faults.values(), strict=True)
            people = [f"{person}\n{faults}" for person, faults in pairs]
        below = [repr(self.server)] if self.server else []
        below += [f"on the wire of {self.ladder.whose}: a ladder"] if self.ladder else []
        return "\n\n".join([*people, *below])

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return bundle(self.widget, repr(self))


def board(
    server: ChatServer | Address, *nicknames: str, framing: NewFraming = LINES, wires: bool = False
) -> Board:
    """Connect somebody for each nickname, one after the other, and lay out their panels.

    Returns when each of them has read of those who came later, so that it always begins alike. What they
    have read by then, `wait_for` finds no more: "bob joined" means that he joins again.

    Instead of a ChatServer it takes the address of any server, (host, port). What that one tells of who
    joins is not waited for: it may say nothing.

    With `wires`, each of them is connected through a `Link` of their own, `board(…).wire("bob")`, with
    its faults below their panel; and what passes on one of these wires is drawn below the board.

    Raises:
        NicknameRefused: the server would not have one of the nicknames; those before it have left.
        OSError, RuntimeError: the server does not run, or went away, or does not tell who joins.
    """
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
        return Board(server, clients, links)
    except BaseException:
        for client in clients.values():
            client.leave()
        for link in links.values():
            link.stop()
        raise


def _wait_until_met(clients: list[ChatClient]) -> None:
    """Until each has read its welcome, and that the later ones joined. `wait_for` finds these no more."""
    for i, client in enumerate(clients):
        client.wait_for(f"* you are {client.nickname}")
        for later in clients[i + 1 :]:
            client.wait_for(f"* {later.nickname} joined")
