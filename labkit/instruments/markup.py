"""What all HTML of a notebook shares: colours that can be read, and text that stays where it stands.

The colours are JupyterLab's own (`--jp-…`), so that they follow its theme; elsewhere the fallback after the
comma holds. JupyterLab's green, red, blue and grey are too pale for text on some of its grounds, so each is
mixed with the colour of the text, up to a contrast of 4.5 (WCAG 2.2, 1.4.3) in light and in dark.
"""

from __future__ import annotations

import re
from html import escape

INK = "var(--jp-ui-font-color1, #222)"
LINE = "var(--jp-border-color2, #ccc)"
GROUND = "var(--jp-layout-color0, #fff)"  # of an output
PAPER = "var(--jp-layout-color1, #fff)"
SHADE = "var(--jp-layout-color2, #f2f2f2)"
FONT = "var(--jp-ui-font-family, system-ui, sans-serif)"
CODE = "var(--jp-code-font-family, monospace)"


def _readable(colour: str) -> str:
    return f"color-mix(in srgb, {colour} 65%, {INK})"


FAINT = _readable("var(--jp-ui-font-color2, #666)")
GOOD = _readable("var(--jp-success-color1, #388e3c)")
BAD = _readable("var(--jp-error-color1, #d32f2f)")
OWN = _readable("var(--jp-brand-color1, #1976d2)")

COLOURS = (
    f"--ink: {INK}; --faint: {FAINT}; --line: {LINE}; --paper: {PAPER}; --shade: {SHADE};\n"
    f"  --own: {OWN}; --good: {GOOD}; --bad: {BAD};"
)
"""The colours by short names, for the outermost rule of a style sheet."""

_CONTROLS = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""Directional controls (Unicode, UAX #9): one without its partner would act on what follows."""

_SIGN = "\ufffd"

HIDDEN = "position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%)"
"""The style of what is said by screen readers and not shown."""


def bdi(text: str) -> str:
    """What a user wrote, as HTML: no letter of it is markup, and none changes the order around it."""
    return f"<bdi>{escape(_CONTROLS.sub(_SIGN, text))}</bdi>"
