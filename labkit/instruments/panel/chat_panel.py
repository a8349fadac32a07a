"""One person's window on the chat.

It shows a ChatClient and drives it, by hand or by method calls, which do the same. It adds nothing to the
chat: all that it shows, the client knows.

Callbacks of widgets may run in another thread than the notebook's cells (JupyterLab gives them a
subshell). So only the painter writes what is shown, and only callbacks write the text field.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from time import monotonic
from typing import Any

import ipywidgets

from labkit.client import FROZEN, GONE, ChatClient
from labkit.instruments.panel import look
from labkit.instruments.panel.painter import Painter
from labkit.instruments.panel.widgets import LivePanel, button, column, for_the_ear, row, sized, style
from labkit.wire.messages import isolated_line
from labkit.wire.text import isolated

LINES_SHOWN = 200
"""The newest lines that a panel shows; the client's `transcript` has the others."""

RIGHT_BEHIND = 0.25
"""Seconds within which an edited text follows the Enter or the click that is to send it."""

ON_ITS_WAY = 1.0
"""Seconds that the text has where there is no earlier one to send instead."""


class ChatPanel(LivePanel):
    """One person's window on the chat, and controls to take part in it.

    Args:
        client: whom it shows.
        painter: keeps it up to date, and starts later; None: a painter of its own, which ends when the
            client is gone.

    What goes wrong in `say` and the other actions is shown in the panel, and raises nothing.
    """

    def __init__(self, client: ChatClient, painter: Painter | None = None) -> None:
        super().__init__(painter)
        self.client = client
        self._changed = True
        self._trouble = ""  # why the latest action did not work, if it did not
        self._enter = 0.0  # until when an Enter waits for its text
        self._build()
        client.on_change(self._client_changed)
        self._begin()

    # --- what can be done; the buttons do the same ---

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
            Left: the connection ended before it came.
        """
        return self.client.wait_for(text, timeout)

    def leave(self) -> None:
        """A proper goodbye. Takes about a second at most, if the server does not answer it."""
        self._do(self.client.leave)

    def abort(self) -> None:
        """End the connection at once, with RST: no goodbye."""
        self._do(self.client.abort)

    def freeze(self) -> None:
        """Stop reading, as a program does that hangs; the connection stands."""
        self._do(self.client.freeze)

    def thaw(self) -> None:
        """Read on."""
        self._do(self.client.thaw)

    def _do(self, action: Callable[..., None], *args: str) -> None:
        try:
            action(*args)
        except (OSError, ValueError) as error:  # gone, or not to be sent: the text says which
            self._trouble = f"! {error}"
        else:
            self._trouble = ""
        self._client_changed()
        if self._painter.ended:  # all clients were gone
            self._painter.stop()
            self.paint(last=True)

    # --- what is shown ---

    def __repr__(self) -> str:
        _, words, lines, more = self._seen()
        shown = ["… earlier lines are not shown"] * more + lines + [self._trouble] * bool(self._trouble)
        where = f", in {isolated(self._room())}" if self._room() else ""
        head = f"{isolated(self._name())} · {words}{where}"
        return "\n".join([head, *("  " + isolated_line(line) for line in shown)])

    def _room(self) -> str:
        return "" if self.client.state == GONE else self.client.room

    def _name(self) -> str:
        return self.client.nickname or "(no nickname yet)"

    def _seen(self) -> tuple[str, str, list[str], bool]:
        """The state, the state in words, the newest lines, and whether there were older ones."""
        state = self.client.state
        if state == GONE:
            words = f"gone: {self.client.end}"
        else:
            words = state
        lines = self.client.tail(LINES_SHOWN + 1)
        return state, words, lines[-LINES_SHOWN:], len(lines) > LINES_SHOWN

    def _client_changed(self) -> None:
        self._changed = True
        self._painter.wake()

    def over(self) -> bool:
        return self.client.state == GONE

    def paint(self, last: bool) -> None:
        if not (self._changed or last):
            return
        self._changed = False  # before looking: what changes now will be seen, now or next time
        state, words, lines, more = self._seen()
        name = self._name()
        self._head.value = look.head(name, state, words, self._room())
        self._lines.value = look.log(name, lines, more)
        self._problem.value = look.trouble(self._trouble)
        self._field.description = for_the_ear(f"what {name} says")
        words_of = {self._send: "Send", self._leave: "Leave", self._abort: "Abort"}
        for control, word in (words_of | {self._freeze: "Thaw" if state == FROZEN else "Freeze"}).items():
            sized(control, word, name)
        for control in (self._field, self._send, self._leave, self._abort, self._freeze):
            control.disabled = state == GONE

    # --- widgets ---

    def _build(self) -> None:
        self._head, self._lines, self._problem = (ipywidgets.HTML() for _ in range(3))
        self._field = ipywidgets.Text(
            placeholder="say something, or /help",
            tooltip="Enter sends it",
            continuous_update=False,
            description_allow_html=True,
        )
        self._field.on_msg(self._enter_was_pressed)
        self._field.observe(self._text_came, "value")
        self._send = button("Send", "say it (Enter does the same)", self._send_what_was_typed)
        self._leave = button("Leave", "a proper goodbye: the others read “left (hung up)”", self.leave)
        self._abort = button("Abort", "RST, no goodbye: the others read “left (vanished)”", self.abort)
        self._freeze = button(
            "Freeze", "stop reading, as a program does that hangs; thaw reads on", self._freeze_or_thaw
        )
        self.widget = column(
            "labkit-panel",
            style(),
            self._head,
            column("labkit-log", self._lines),
            self._problem,
            row("labkit-type", self._field, self._send),
            row("labkit-do", self._leave, self._abort, self._freeze),
        )

    # The front end sends Enter first, and then the text, if it was edited since the field last lost the
    # focus. A click on Send comes second, but may overtake the text: each widget's messages can have a
    # thread of their own in the kernel. So in either case the text may come right behind.

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
