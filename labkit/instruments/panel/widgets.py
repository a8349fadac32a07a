"""What every panel is made of: its small parts, and what it has in common with the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets

from labkit.instruments.panel import look
from labkit.instruments.panel.painter import Painter


class Panel:
    """What Jupyter shows: `widget`, and where there is no front end (and for nbval), the `repr`."""

    widget: Any

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return {**self.widget._repr_mimebundle_(), "text/plain": repr(self)}


class LivePanel(Panel):
    """A panel that a painter keeps up to date.

    Args:
        painter: starts later; None: a painter of its own, which ends when the panel is `over`.
    """

    every: float | None = None

    def __init__(self, painter: Painter | None) -> None:
        self._has_own_painter = painter is None
        self._painter = painter or Painter()

    def _begin(self) -> None:
        """Paint for the first time, and from now on. The widgets must be there."""
        self._painter.add(self)
        self.paint(last=False)
        if self._has_own_painter:
            self._painter.start()

    def over(self) -> bool:
        """Whether nothing will change any more."""
        raise NotImplementedError

    def paint(self, last: bool) -> None:
        """Show what is new. For the painter."""
        raise NotImplementedError


def button(description: str, tooltip: str, action: Callable[[], None]) -> Any:
    made = ipywidgets.Button(description=description, tooltip=tooltip)
    made.on_click(lambda _: action())
    return made


def column(css_class: str, *children: Any) -> Any:
    return ipywidgets.VBox(children).add_class(css_class)


def style() -> Any:
    """The style sheet; every panel brings it along, for it may be shown alone."""
    return ipywidgets.HTML(look.STYLE).add_class("labkit-style")
