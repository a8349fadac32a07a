"""The small parts that every panel is made of. Widgets only; it builds on ipywidgets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets

from labkit.instruments.panel import look


def bundle(widget: Any, text: str) -> dict[str, Any]:
    """What Jupyter shows: the widget, and where there is none (or to nbval), the text."""
    return {**widget._repr_mimebundle_(), "text/plain": text}


def button(description: str, tooltip: str, deed: Callable[[], None]) -> Any:
    made = ipywidgets.Button(description=description, tooltip=tooltip)
    made.on_click(lambda _: deed())
    return made


def column(css_class: str, *children: Any) -> Any:
    return ipywidgets.VBox(children).add_class(css_class)


def style() -> Any:
    """The style sheet; every panel brings it along, for it may be shown alone."""
    return ipywidgets.HTML(look.STYLE).add_class("labkit-style")
