"""How panels look: the style sheet, and lines and tables as HTML.

Strings in, strings out. All that users say, and their names, go through `html.escape` here: one place to
check that no user can put HTML into another's notebook.

The colours are JupyterLab's own (`--jp-…`), so that light and dark themes both look right; elsewhere the
fallback after the comma holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from labkit.wire.messages import Acted, Refused, Said, Whispered, from_server

STYLE = """<style>
.labkit-panel {
  --ink: var(--jp-ui-font-color1, #222); --faint: var(--jp-ui-font-color2, #666);
  --line: var(--jp-border-color2, #ccc); --paper: var(--jp-layout-color1, #fff);
  --inset: var(--jp-layout-color0, #fff); --shade: var(--jp-layout-color2, #f2f2f2);
  --own: var(--jp-brand-color1, #1976d2); --good: var(--jp-success-color1, #388e3c);
  --bad: var(--jp-error-color1, #d32f2f); --cold: var(--jp-info-color1, #0097a7);
  box-sizing: border-box; margin: 4px; padding: 10px 12px 8px; overflow: hidden;
  color: var(--ink); background: var(--paper);
  border: 1px solid var(--line); border-radius: 8px;
  font-family: var(--jp-ui-font-family, system-ui, sans-serif); font-size: 13px;
}
.labkit-panel .widget-html, .labkit-panel .widget-html-content {
  margin: 0; height: auto; min-height: 0; min-width: 0; max-width: 100%;
  line-height: 1.45; font-size: inherit; color: inherit;
}
.labkit-panel .labkit-style { display: none; }
.labkit-head { display: flex; align-items: baseline; flex-wrap: wrap; gap: 0 8px; overflow-wrap: anywhere; }
.labkit-name { font-size: 18px; font-weight: 600; }
.labkit-state { color: var(--faint); }
.labkit-dot { width: 10px; height: 10px; border-radius: 50%; flex: none; background: var(--faint); }
.labkit-dot.here, .labkit-dot.running { background: var(--good); }
.labkit-dot.frozen { background: var(--cold); }
.labkit-dot.gone, .labkit-dot.stopped { background: none; box-shadow: inset 0 0 0 2px var(--bad); }
/* Its only child lies at the bottom, and so does the view, until the reader scrolls up. */
.labkit-log {
  display: flex; flex-direction: column-reverse; overflow-y: auto; resize: vertical;
  height: 224px; margin: 8px 0 6px; padding: 6px 0;
  background: var(--inset); border: 1px solid var(--line); border-radius: 6px;
}
.labkit-panel .labkit-log > * { flex: none; margin-bottom: auto !important; width: 100%; }
.labkit-line {
  padding: 1px 9px; border-left: 3px solid transparent; overflow-wrap: anywhere; white-space: pre-wrap;
}
/* A name that is written from right to left stays on the left of what it said. */
.labkit-line { direction: ltr; }
.labkit-line b { font-weight: 600; unicode-bidi: isolate; }
.labkit-line.own {
  border-left-color: var(--own);
  background: var(--shade); background: color-mix(in srgb, var(--own) 10%, transparent);
}
.labkit-line.own i { color: var(--own); font-style: normal; font-weight: 600; }
.labkit-line.private { border-left: 3px double var(--ink); font-style: italic; }
.labkit-line.notice, .labkit-line.more { color: var(--faint); }
.labkit-line.refusal, .labkit-trouble { color: var(--bad); }
.labkit-trouble { padding: 0 2px 4px; overflow-wrap: anywhere; }
.labkit-table { overflow-x: auto; margin-top: 6px; }
.labkit-table table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
.labkit-table th { color: var(--faint); font-weight: 400; }
.labkit-table th, .labkit-table td {
  padding: 2px 12px 2px 0; text-align: left; border-bottom: 1px solid var(--line); white-space: nowrap;
}
.labkit-table .number { text-align: right; }
.labkit-table tr:last-child td { border-bottom: none; }
.labkit-panel .labkit-type, .labkit-panel .labkit-do { overflow: visible; gap: 6px; flex-flow: row wrap; }
.labkit-panel .labkit-type { flex-wrap: nowrap; }
.labkit-panel .widget-text { margin: 2px 0; flex: 1 1 auto; width: auto; min-width: 0; }
.labkit-panel .widget-text input { border-radius: 5px; }
.labkit-panel .widget-button, .labkit-panel .widget-toggle-button {
  margin: 2px 0; width: auto; padding: 0 10px; border-radius: 5px; flex: none; box-shadow: none;
}
.labkit-person { gap: 0; overflow: visible; }
.labkit-person .labkit-panel:first-child { flex: 1 0 auto; margin-bottom: 0; border-radius: 8px 8px 0 0; }
.labkit-person .labkit-wire { margin-top: 0; border-top: none; border-radius: 0 0 8px 8px; }
.labkit-wire .labkit-head b { font-weight: 600; }
.labkit-wire .labkit-bad { color: var(--bad); }
.labkit-wire .widget-hslider { width: 100%; margin: 0; }
.labkit-wire .widget-label { width: 44px; text-align: left; flex: none; }
.labkit-wire .widget-readout { min-width: 60px; text-align: right; flex: none; }
.labkit-ladder .widget-dropdown { width: auto; margin: 0; align-self: flex-start; }
.labkit-ladder .widget-label { width: auto; margin-right: 8px; }
.labkit-rungs { overflow-x: auto; }
.labkit-rungs pre {
  margin: 6px 0 2px; color: var(--ink); background: none; white-space: pre;
  font-family: var(--jp-code-font-family, monospace); font-size: 12px; line-height: 16px;
}
.labkit-panel .widget-toggle-button.mod-active { color: var(--paper); background: var(--bad); }
.labkit-panel .widget-button:focus-visible, .labkit-panel .widget-toggle-button:focus-visible {
  outline: 2px solid var(--own); outline-offset: 1px;
}
</style>"""


def head(name: str, state: str, words: str) -> str:
    """A name and a state: a dot in the state's colour, the name in large, and words."""
    return (
        f'<div class="labkit-head"><span class="labkit-dot {escape(state)}"></span>'
        f'<span class="labkit-name">{escape(name)}</span>'
        f'<span class="labkit-state">{escape(words)}</span></div>'
    )


def wire(name: str, words: str, good: bool) -> str:
    """Whose wire, and what is on it; what is wrong with it stands out."""
    state = "labkit-state" if good else "labkit-bad"
    return (
        f'<div class="labkit-head" role="status"><b>{escape(name)}</b>'
        f'<span class="{state}">{escape(words)}</span></div>'
    )


def ladder(name: str, text: str) -> str:
    """A ladder that is text already."""
    return f'<pre tabindex="0" aria-label="what passes on the wire of {escape(name)}">{escape(text)}</pre>'


def log(name: str, lines: Iterable[str], more: bool) -> str:
    """A transcript, oldest line first. `more`: there were older ones."""
    earlier = '<div class="labkit-line more">… earlier lines are not shown</div>' if more else ""
    shown = "".join(map(_line, lines))
    return f'<div role="log" aria-label="what {escape(name)} said and heard">{earlier}{shown}</div>'


def _line(line: str) -> str:
    if line.startswith("> "):
        return f'<div class="labkit-line own"><i>&gt;</i> {escape(line[2:])}</div>'
    kind = ""
    shown = escape(line)
    match from_server(line):
        case Said(who, text):
            shown = f"<b>{escape(who)}</b>: {escape(text)}"
        case Acted(who, action):
            shown = f"<b>{escape(who)}</b> * {escape(action)}"
        case Whispered(who, text):
            kind = " private"
            shown = f"<b>{escape(who)}</b> -&gt; you: {escape(text)}"
        case Refused():
            kind = " refusal"
        case _ if line.startswith(("* ", "# ")):  # `# `: the client's own
            kind = " notice"
    return f'<div class="labkit-line{kind}">{shown}</div>'


def trouble(text: str) -> str:
    """What did not work, on a line of its own; nothing for no text."""
    return f'<div class="labkit-trouble" role="alert">{escape(text)}</div>' if text else ""


def table(heads: Sequence[str], rows: Sequence[Sequence[str | int]]) -> str:
    """A table; numbers are set to the right. Nothing for no rows."""
    if not rows:
        return ""
    top = "".join(f"<th{_align(cell)}>{escape(h)}</th>" for h, cell in zip(heads, rows[0], strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{_align(cell)}>{escape(str(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return (
        '<div class="labkit-table" tabindex="0"><table>'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _align(cell: str | int) -> str:
    return ' class="number"' if isinstance(cell, int) else ""
