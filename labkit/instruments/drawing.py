"""What drawings in HTML share: the colours, a frame that screen readers can tell, and text in columns.

Strings in, strings out. It needs no widgets, so that a drawing is shown where there are none.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from wcwidth import wcswidth

from labkit.instruments.markup import CODE, COLOURS, FONT, GROUND, PAPER

# Named twice, so that it counts for more than what Jupyter says of all tables and texts.
STYLE = f"""<style>
.labkit-picture.labkit-picture {{
  {COLOURS}
  --paper: {GROUND}; --code: {CODE};
  color: var(--ink); background: var(--paper); font: 13px/1.4 {FONT}; overflow-x: auto;
}}
.labkit-panel .labkit-picture.labkit-picture {{ --paper: {PAPER}; }}
.labkit-picture .title {{ font-weight: 600; margin: 2px 0 6px; }}
.labkit-picture .faint {{ color: var(--faint); }}
.labkit-picture .row {{ display: flex; flex-flow: row wrap; gap: 3px; align-items: center; }}
.labkit-picture .box {{
  display: inline-block; min-width: 9px; padding: 1px 5px; text-align: center; white-space: pre;
  border: 1px solid var(--faint); border-radius: 3px; background: var(--paper); font: 12px/1.4 var(--code);
}}
.labkit-picture .box small {{ display: block; font-size: 10px; color: var(--faint); }}
.labkit-picture .box.kept {{ border: 2px dashed var(--ink); background: var(--shade); }}
.labkit-picture .box.new {{ border-bottom: 3px solid var(--own); }}
.labkit-picture .box.wrong {{ border: 3px double var(--bad); font-weight: 700; }}
</style>"""


TABLE_STYLE = """<style>
.labkit-rows.labkit-rows table { border-collapse: collapse; margin: 4px 0; font-size: 13px; }
.labkit-rows.labkit-rows.labkit-rows tr, .labkit-rows.labkit-rows.labkit-rows tr:hover { background: none; }
.labkit-rows.labkit-rows th, .labkit-rows.labkit-rows td {
  text-align: left; vertical-align: top; padding: 5px 14px 5px 0; background: none; border: none;
  border-bottom: 1px solid var(--line); color: inherit; white-space: normal;
}
.labkit-rows.labkit-rows th { font-weight: 600; }
.labkit-rows .line { border-left: 3px solid var(--ink); padding: 1px 7px; margin-bottom: 3px; }
.labkit-rows .pairs { display: grid; gap: 3px; justify-content: start; align-items: center; margin: 2px 0; }
.labkit-rows .pairs > .name { padding-right: 10px; }
.labkit-rows .gone { border-style: dotted; }
.labkit-rows .mark { text-align: center; font-weight: 700; }
</style>"""


def framed(kind: str, told: str, inner: str) -> str:
    """A drawing, which a screen reader tells as the text `told`."""
    return (
        f'{STYLE}<div class="labkit-picture {kind}" role="img" tabindex="0" aria-label="{escape(told)}">'
        f'<div aria-hidden="true">{inner}</div></div>'
    )


def width(text: str) -> int:
    """Columns that the text takes in a terminal."""
    columns = wcswidth(text)
    return columns if columns >= 0 else len(text)


def in_columns(rows: Sequence[Sequence[str]], between: str = "  ") -> list[str]:
    """Lines of cells, each column as wide as its widest cell."""
    widths = [max(map(width, cells)) for cells in zip(*rows, strict=True)]
    return [
        between.join(
            cell + " " * (wide - width(cell)) for cell, wide in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
