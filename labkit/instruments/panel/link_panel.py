"""What is wrong with a wire, and controls to change it.

The controls and the methods do the same. The panel looks at the link a few times a second, and says in
words what is on it, however it came there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import ipywidgets

from labkit.instruments.faults import (
    Bandwidth,
    Delay,
    Fault,
    Freeze,
    Glue,
    HalfClose,
    Reset,
    Silence,
    Slice,
)
from labkit.instruments.link import Link
from labkit.instruments.panel import look
from labkit.instruments.panel.painter import Painter
from labkit.instruments.panel.widgets import (
    LivePanel,
    button,
    column,
    for_the_ear,
    number_field,
    row,
    sized,
    style,
)
from labkit.wire.text import isolated

LOOKS = 0.25
"""Seconds between two looks at a link."""

LONGEST_DELAY = 2.0
"""Seconds, each way."""

LARGEST_PIECE = 64
"""Bytes."""

GAP = 0.01
"""Seconds between two pieces: so that even a slow receiver sees each as a `recv` of its own."""


@dataclass(frozen=True, slots=True)
class _Controls:
    """What the controls are set to."""

    delay: float = 0.0
    size: int = 0  # of a piece; 0: as they come
    frozen: bool = False
    silent: bool = False


class LinkPanel(LivePanel):
    """What is wrong with a wire, and controls to change it.

    The delay, the pieces and the silence are the same both ways; frozen is the way to the client alone.
    Other faults on the link are shown in words, and make way when a control is used.

    Args:
        link: the wire.
        painter: as for ChatPanel; None: a painter of its own, which ends when the link has stopped.
    """

    every = LOOKS

    def __init__(self, link: Link, painter: Painter | None = None) -> None:
        super().__init__(painter)
        self.link = link
        self._seen: object = None
        self._reflecting: int | None = None  # the thread that sets the controls to what is on the wire
        self._build()
        self._begin()

    # --- what can be done; the controls do the same ---

    def delay(self, seconds: float) -> None:
        """From now on everything arrives so many seconds later, 0 to 2; 0: at once.

        Raises:
            ValueError: it is out of that range.
        """
        if not 0 <= seconds <= LONGEST_DELAY:
            raise ValueError(f"a delay is from 0 to {LONGEST_DELAY:g} seconds, not {seconds!r}")
        self._use(delay=seconds)

    def slice(self, size: int) -> None:
        """From now on everything arrives in pieces of so many bytes, 1 to 64; 0: as it comes.

        Raises:
            ValueError: it is out of that range.
        """
        if size not in range(LARGEST_PIECE + 1):
            raise ValueError(f"a piece has from 1 to {LARGEST_PIECE} bytes, or 0 for off, not {size!r}")
        self._use(size=size)

    def freeze(self) -> None:
        """Nothing is read for the client any more, as if it hung; what it says still goes out."""
        self._use(frozen=True)

    def thaw(self) -> None:
        """Read on: nothing was lost."""
        self._use(frozen=False)

    def silence(self) -> None:
        """Nothing passes any more, either way, and neither end is told: a cable pulled out of the wall."""
        self._use(silent=True)

    def plug_in(self) -> None:
        """The cable is back: what was held goes on."""
        self._use(silent=False)

    def reset(self) -> None:
        """RST to both ends, now."""
        if not self.over():
            self.link.reset()
            self._painter.wake()

    def mend(self) -> None:
        """A good wire again."""
        self._put([], [])

    def _use(self, **change: Any) -> None:
        now = replace(self._controls(), **change)
        both: list[Fault] = []
        if now.delay:
            both.append(Delay(now.delay))
        if now.size:
            both.append(Slice(now.size, GAP))
        if now.silent:
            both.append(Silence())
        self._put(both, [*both, Freeze()] if now.frozen else both)

    def _put(self, to_server: list[Fault], to_client: list[Fault]) -> None:
        if not self.over():  # a stopped link takes nothing any more
            self.link.to_server.use(*to_server)
            self.link.to_client.use(*to_client)
            self._painter.wake()

    def _controls(self) -> _Controls:
        """What the controls would have to be set to, for the wire to be as it is."""
        now = _Controls()
        for fault in self.link.to_client.faults:
            match fault:
                case Delay(seconds):
                    now = replace(now, delay=seconds)
                case Slice(size):
                    now = replace(now, size=min(size, LARGEST_PIECE))
                case Freeze():
                    now = replace(now, frozen=True)
                case Silence():
                    now = replace(now, silent=True)
        return now

    # --- what is shown ---

    def __repr__(self) -> str:
        return f"{isolated(self._whose())}'s wire · {self._words()}"

    def _whose(self) -> str:
        return self.link.to_client.receiver

    def _name(self) -> str:
        return f"{self._whose()}'s wire"

    def _words(self) -> str:
        return "stopped" if self.over() else _in_words(self.link)

    def over(self) -> bool:
        return not self.link.running

    def paint(self, last: bool) -> None:
        over, there = self.over(), (self.link.to_server.faults, self.link.to_client.faults)
        if (over, there) == self._seen:
            return
        self._seen = over, there
        self._said.value = look.wire(self._whose(), self._words(), good=over or not any(there))
        self._reflecting = threading.get_ident()
        at = self._controls()
        self._delay.value = min(round(at.delay, 1), LONGEST_DELAY)
        self._size.value = at.size
        self._freeze.value, self._silence.value = at.frozen, at.silent
        sized(self._freeze, "Thaw wire" if at.frozen else "Freeze wire", f"of {self._whose()}")
        sized(self._silence, "Plug in" if at.silent else "Silence", self._name())
        self._reflecting = None
        for control in (self._delay, self._size, self._freeze, self._silence, self._reset, self._mend):
            control.disabled = over

    # --- widgets ---

    def _build(self) -> None:
        self._said = ipywidgets.HTML()
        self._delay = number_field(
            ipywidgets.BoundedFloatText,
            f"delay (s){for_the_ear(f' in seconds, of {self._name()}')}",
            LONGEST_DELAY,
            0.1,
            "everything arrives so much later, each way; 0: at once",
        )
        self._size = number_field(
            ipywidgets.BoundedIntText,
            f"pieces (B){for_the_ear(f' in bytes, of {self._name()}')}",
            LARGEST_PIECE,
            1,
            "everything arrives in pieces of so many bytes, each way; 0: as it comes",
        )
        self._freeze = ipywidgets.ToggleButton(tooltip="nothing is read for the client, as if it hung")
        self._silence = ipywidgets.ToggleButton(
            tooltip="nothing passes, and neither end is told: a cable pulled out"
        )
        self._reset = button("Reset", "RST to both ends, now", self.reset)
        self._mend = button("Mend", "a good wire again", self.mend)
        sized(self._reset, "Reset", self._name())
        sized(self._mend, "Mend", self._name())
        self._obey(self._delay, self.delay)
        self._obey(self._size, self.slice)
        self._obey(self._freeze, lambda on: self.freeze() if on else self.thaw())
        self._obey(self._silence, lambda on: self.silence() if on else self.plug_in())
        self.widget = column(
            "labkit-panel",
            style(),
            self._said,
            row("labkit-set", self._delay, self._size),
            row("labkit-do", self._freeze, self._silence, self._reset, self._mend),
        ).add_class("labkit-wire")

    def _obey(self, control: Any, action: Callable[[Any], None]) -> None:
        """When the control is moved by hand, do this with its value."""

        def moved(change: Any) -> None:
            if self._reflecting != threading.get_ident():
                action(change.new)

        control.observe(moved, "value")


def _in_words(link: Link) -> str:
    """What is on the wire now, in words."""
    there, back = link.to_server.faults, link.to_client.faults
    if any(isinstance(fault, Reset) and not fault.after for fault in (*there, *back)):
        return "cut: RST to both ends"
    both = [fault for fault in there if fault in back]
    parts = [
        (f"{word}: " if word else "") + ", ".join(map(_word, faults))
        for word, faults in (
            ("", both),
            (f"to {isolated(link.to_server.receiver)}", [fault for fault in there if fault not in both]),
            (f"to {isolated(link.to_client.receiver)}", [fault for fault in back if fault not in both]),
        )
        if faults
    ]
    return "; ".join(parts) or "good"


def _word(fault: Fault) -> str:
    match fault:
        case Delay(seconds, jitter):
            return f"{seconds:g} s late" + (f", give or take {jitter:g} s" if jitter else "")
        case Slice(size):
            return f"in pieces of {_bytes(size)}"
        case Glue(size):
            return f"held until there are {_bytes(size)}"
        case Bandwidth(rate):
            return f"{rate:g} bytes a second"
        case Freeze():
            return "frozen, nothing is read"
        case Silence():
            return "silent, nothing passes"
        case HalfClose():
            return "finished (FIN)"
        case Reset(after):
            return f"to be cut after {_bytes(after)}"
    return repr(fault)


def _bytes(number: int) -> str:
    return "1 byte" if number == 1 else f"{number} bytes"
