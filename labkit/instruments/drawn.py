"""A ladder as HTML: lifelines and arrows, names that stay in view, and words for screen readers.

Positions are in `ch`, the width of a letter where all have one width: the same columns as in the text. A
label has a ground of its own, so no lifeline crosses it. Where its style is taken away, it
is a list: who to whom, and what.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape

from labkit.instruments.markup import BAD, CODE, FAINT, GROUND, HIDDEN, INK, LINE, PAPER, bdi
from labkit.wire.messages import isolated_line

# Named twice, so that it counts for more than what Jupyter says of all lists.
STYLE = f"""<style>
.labkit-drawing {{ --ground: {GROUND}; color: {INK}; font-size: 13px; max-width: 100%; }}
.labkit-panel .labkit-drawing {{ --ground: {PAPER}; }}
.labkit-drawing .title {{ font-weight: 600; margin: 2px 0 4px; }}
.labkit-drawing .scroll {{ overflow: auto; max-height: 440px; }}
.labkit-drawing .scroll:focus-visible {{ outline: 2px solid {INK}; outline-offset: -2px; }}
.labkit-drawing .sheet {{ position: relative; font: 12px/20px {CODE}; }}
.labkit-drawing .names {{
  position: sticky; top: 0; z-index: 2; height: 22px; background: var(--ground);
  border-bottom: 1px solid {LINE};
}}
.labkit-drawing .names span {{
  position: absolute; transform: translateX(-50%); white-space: nowrap; font-weight: 600;
}}
.labkit-drawing .rungs {{ position: relative; padding: 4px 0 6px; }}
.labkit-drawing .life {{ position: absolute; top: 0; bottom: 0; width: 1px; background: {LINE}; }}
.labkit-drawing.labkit-drawing ol {{ list-style: none; margin: 0; padding: 0; position: relative; }}
.labkit-drawing.labkit-drawing li {{
  display: flex; align-items: center; box-sizing: border-box; height: 20px; margin: 0; padding: 0;
  position: relative; white-space: pre; direction: ltr;
}}
.labkit-drawing li.left {{ flex-direction: row-reverse; }}
.labkit-drawing li.right::before, .labkit-drawing li.right::after,
.labkit-drawing li.left::before, .labkit-drawing li.left::after {{
  content: ""; flex: 1 1 1ch; border-top: 1px solid currentColor;
}}
.labkit-drawing li.FIN::before, .labkit-drawing li.FIN::after {{ border-top: 2px dashed currentColor; }}
.labkit-drawing li.RST {{ color: {BAD}; font-weight: 600; }}
.labkit-drawing li .head {{
  order: 1; border: 4px solid transparent; border-left: 8px solid currentColor; border-right: none;
}}
.labkit-drawing li.left .head {{ border: 4px solid transparent; border-right: 8px solid currentColor; }}
.labkit-drawing li.left .head {{ border-left: none; }}
.labkit-drawing .label {{
  padding: 0 1ch; background: var(--ground); position: relative; line-height: 18px;
}}
.labkit-drawing li.right .label:empty, .labkit-drawing li.left .label:empty {{ padding: 0; }}
.labkit-drawing .note .label {{ border: 1px solid {LINE}; border-radius: 4px; line-height: 16px; }}
.labkit-drawing .fold, .labkit-drawing .thread {{ color: {FAINT}; }}
.labkit-drawing .thread {{ position: absolute; }}
.labkit-drawing .told {{ {HIDDEN}; }}
</style>"""


@dataclass(frozen=True, slots=True)
class Rung:
    """A row: an arrow between two ends, a note where both are one, or (without ends) a fold."""

    label: str
    sender: str = ""
    receiver: str = ""
    kind: str = ""
    thread: str = ""


def drawn(title: str, columns: Mapping[str, int], rungs: Iterable[Rung]) -> str:
    """The drawing, without its style.

    Args:
        columns: where each one's lifeline stands.
    """
    rows = list(rungs)
    last = max(columns.values())
    width = max([last + len(list(columns)[-1]) // 2 + 2, *(_end(rung, columns, last) for rung in rows)])
    names = "".join(f'<span style="left: {at}.5ch">{bdi(name)}</span> ' for name, at in columns.items())
    lives = "".join(f'<div class="life" style="left: {at}.5ch"></div>' for at in columns.values())
    arrows = "".join(_row(rung, columns, last) for rung in rows)
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(title)}">'
        f'<div class="sheet" style="width: {width}ch"><div class="names">{names}</div>'
        f'<div class="rungs">{lives}<ol>{arrows}</ol></div></div></div>'
    )


def _end(rung: Rung, columns: Mapping[str, int], last: int) -> int:
    """The column where a row ends."""
    if rung.thread:
        return last + len(rung.thread) + 4
    if rung.sender == rung.receiver:
        return columns.get(rung.sender, 0) + 2 * len(rung.label) + 4  # a letter may be two columns wide
    return last + 2


def _row(rung: Rung, columns: Mapping[str, int], last: int) -> str:
    label = f'<span class="label"><bdi dir="ltr">{escape(isolated_line(rung.label))}</bdi></span>'
    if not rung.sender:
        return f'<li class="fold">{label}</li>'
    start, end = columns[rung.sender], columns[rung.receiver]
    left = min(start, end)
    thread = ""
    if rung.thread:
        thread = f' <span class="thread" style="left: {last - left + 3}ch">{bdi(rung.thread)}</span>'
    if start == end:
        told = f'<span class="told">at {bdi(rung.sender)}: </span>'
        return f'<li class="note" style="margin-left: {left}ch">{told}{label}{thread}</li>'
    told = f'<span class="told">{bdi(rung.sender)} to {bdi(rung.receiver)}: </span>'
    kind = f"{'right' if start < end else 'left'} {escape(rung.kind)}".rstrip()
    place = f"margin-left: {left}.5ch; width: {abs(end - start)}ch"
    return f'<li class="{kind}" style="{place}">{told}{label}<span class="head"></span>{thread}</li>'
