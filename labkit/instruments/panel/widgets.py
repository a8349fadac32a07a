"""What every panel is made of: its small parts, and what it has in common with the others."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
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
    made = sized(ipywidgets.Button(tooltip=tooltip), description)
    made.on_click(lambda _: action())
    return made


def sized(control: Any, words: str, whose: str = "") -> Any:
    """Give a button these words, and the width that they need; a screen reader also hears whose it is.

    That stands in a second line of the words, which look.py does not show: ipywidgets has no other way to
    name a button.
    """
    control.description = f"{words}\n{whose}" if whose else words
    control.layout.flex = f"0 0 {0.52 * len(words) + 1.2:.2f}em"
    return control


def number_field(kind: Any, description: str, most: float, step: float, tooltip: str) -> Any:
    """A field for a number from 0, with its name before it.

    It has what a slider or a list of ipywidgets lacks: a name for screen readers, and arrow keys that
    JupyterLab does not take for its own.

    Args:
        kind: BoundedIntText or BoundedFloatText.
        description: HTML.
    """
    return kind(
        description=description, description_allow_html=True, min=0, max=most, step=step, tooltip=tooltip
    ).add_class("labkit-number")


def for_the_ear(text: str) -> str:
    """HTML that is not seen, and said by screen readers; in it nothing is left that MathJax reads."""
    return f'<span class="labkit-said">{escape(text.translate(_NO_MATH))}</span>'


_NO_MATH = str.maketrans("$\\", "＄＼")


def column(css_class: str, *children: Any) -> Any:
    return ipywidgets.VBox(children).add_class(css_class)


def row(css_class: str, *children: Any) -> Any:
    return ipywidgets.HBox(children).add_class(css_class)


def style(sheet: str = look.STYLE) -> Any:
    """The style sheet; every panel brings it along, for it may be shown alone."""
    return ipywidgets.HTML(sheet).add_class("labkit-style")
