"""How panels look: the style sheet, and lines and tables as HTML.

Strings in, strings out. All that users say, and their names, go through `bdi` here (in an attribute,
`html.escape`): one place to check that no user can put HTML into another's notebook, or write a line
that is taken for another's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from labkit.instruments.markup import COLOURS, FONT, GROUND, bdi
from labkit.wire.messages import Acted, Other, Refused, Said, Whispered, from_server

STYLE = (
    f"""<style>
.labkit-panel {{
  {COLOURS}
  --inset: {GROUND}; font-family: {FONT};
}}
</style>"""
    + """<style>
.labkit-panel {
  --cold: var(--jp-info-color1, #0097a7);
  box-sizing: border-box; margin: 4px; padding: 8px 10px 6px; overflow: hidden;
  color: var(--ink); background: var(--paper);
  border: 1px solid var(--line); border-radius: 8px; font-size: 13px;
}
.labkit-panel .widget-html, .labkit-panel .widget-html-content {
  margin: 0; height: auto; min-height: 0; min-width: 0; max-width: 100%;
  line-height: 1.45; font-size: inherit; color: inherit;
}
.labkit-panel .labkit-style { display: none; }
.labkit-head { display: flex; align-items: baseline; flex-wrap: wrap; gap: 0 8px; overflow-wrap: anywhere; }
.labkit-name { font-size: 18px; font-weight: 600; line-height: 1.3; }
.labkit-state { color: var(--faint); }
.labkit-dot { width: 10px; height: 10px; border-radius: 50%; flex: none; background: var(--faint); }
.labkit-dot.here, .labkit-dot.running { background: var(--good); }
.labkit-dot.frozen { background: var(--cold); }
.labkit-dot.gone, .labkit-dot.stopped { background: none; box-shadow: inset 0 0 0 2px var(--bad); }
/* Its only child lies at the bottom, and so does the view, until the reader scrolls up. */
.labkit-log {
  display: flex; flex-direction: column-reverse; overflow-y: auto; resize: vertical;
  height: 224px; margin: 6px 0 4px; padding: 4px 0;
  background: var(--inset); border: 1px solid var(--line); border-radius: 6px;
}
.labkit-panel .labkit-log > * { flex: none; margin-bottom: auto !important; width: 100%; }
/* A line that runs from right to left begins on the left all the same, with its name. */
.labkit-line {
  padding: 1px 9px; border-left: 3px solid transparent; overflow-wrap: anywhere; white-space: pre-wrap;
  direction: ltr;
}
.labkit-line b { font-weight: 600; }
.labkit-line.own {
  border-left-color: var(--own);
  background: var(--shade); background: color-mix(in srgb, var(--own) 10%, transparent);
}
.labkit-line.own i { color: var(--own); font-style: normal; font-weight: 600; }
.labkit-line.private { border-left: 3px double var(--ink); font-style: italic; }
.labkit-line.notice, .labkit-line.more { color: var(--faint); }
.labkit-line.refusal, .labkit-trouble { color: var(--bad); }
.labkit-trouble { padding: 0 2px 4px; overflow-wrap: anywhere; }
.labkit-table { overflow-x: auto; margin-top: 4px; }
.labkit-panel .labkit-table table {
  border-collapse: collapse; width: 100%; margin: 0; font-size: 13px; font-variant-numeric: tabular-nums;
}
.labkit-panel .labkit-table tr { background: none; }
.labkit-panel .labkit-table th { color: var(--faint); font-weight: 400; }
.labkit-panel .labkit-table th, .labkit-panel .labkit-table td {
  padding: 2px 12px 2px 0; text-align: left; border: none; border-bottom: 1px solid var(--line);
  white-space: nowrap; max-width: none;
}
.labkit-panel .labkit-table .number { text-align: right; }
.labkit-panel .labkit-table tr:last-child td { border-bottom: none; }
.labkit-panel .labkit-type, .labkit-panel .labkit-do, .labkit-panel .labkit-set {
  overflow: visible; gap: 0 6px; flex-flow: row wrap;
}
.labkit-panel .labkit-type { flex-wrap: nowrap; }
.labkit-panel .widget-text { margin: 2px 0; flex: 1 1 auto; width: auto; min-width: 0; }
.labkit-panel .labkit-type .widget-label {
  position: absolute; width: 1px; height: 1px; clip-path: inset(50%);
}
.labkit-panel .widget-text input { border-radius: 5px; }
.labkit-panel .widget-text input::placeholder { color: var(--faint); opacity: 1; }
/* The second line of a button's words says whose it is. It is not seen, for what stands above says so. */
.labkit-panel .widget-button, .labkit-panel .widget-toggle-button {
  display: inline-flex; align-items: flex-start; justify-content: center; box-sizing: border-box;
  height: 28px; line-height: 26px; margin: 2px 0; padding: 0 4px; width: auto; min-width: 0;
  overflow: hidden; white-space: pre-line; border: 1px solid transparent; border-radius: 5px;
  box-shadow: none; color: var(--ink); background: var(--shade);
}
.labkit-panel .widget-button:disabled, .labkit-panel .widget-toggle-button:disabled { opacity: 0.5; }
.labkit-panel .widget-dropdown {
  width: auto; max-width: 100%; min-width: 0; margin: 2px 0; flex: none; align-self: flex-start;
}
.labkit-panel .widget-dropdown .widget-label { width: auto; margin-right: 6px; color: var(--ink); }
.labkit-panel .widget-dropdown select {
  min-width: 0; width: auto; padding-right: 22px; border-radius: 5px; color: var(--ink);
  background: linear-gradient(45deg, transparent 50%, var(--ink) 50%) right 12px center / 5px 5px no-repeat,
    linear-gradient(-45deg, transparent 50%, var(--ink) 50%) right 7px center / 5px 5px no-repeat
    var(--inset);
}
.labkit-panel .labkit-number { flex: none; margin: 2px 0; }
.labkit-panel .labkit-number .widget-label { width: auto; margin-right: 4px; color: var(--ink); }
.labkit-panel .labkit-number input { width: 50px; flex: none; padding-right: 2px; }
.labkit-said {
  position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap;
}
.labkit-wire .labkit-head b { font-weight: 600; }
.labkit-wire .labkit-bad { color: var(--bad); }
.labkit-wire .labkit-do { gap: 0 4px; }
.labkit-wire .widget-button, .labkit-wire .widget-toggle-button {
  height: 26px; line-height: 24px; padding: 0 2px; font-size: 12px;
}
/* As in the log, the newest arrow is in view; the names are, too. */
.labkit-rungs { display: flex; flex-direction: column-reverse; overflow: auto; max-height: 420px; }
.labkit-rungs > * { flex: none; margin-bottom: auto !important; }
.labkit-rungs .widget-html, .labkit-rungs .widget-html-content {
  max-width: none !important; overflow: visible;
}
.labkit-rungs .labkit-drawing .scroll { overflow: visible; max-height: none; }
.labkit-moment .labkit-number input { width: 86px; }
.labkit-moment .labkit-buffers { max-width: 340px; }
.labkit-moment .labkit-buffers .title, .labkit-moment .labkit-buffers .note { display: none; }
.labkit-does { margin: 2px 0 8px; padding: 0; list-style: none; columns: 320px; }
.labkit-does li { break-inside: avoid; overflow-wrap: anywhere; }
.labkit-parts { display: flex; flex-flow: row wrap; gap: 8px 20px; }
.labkit-parts > div { flex: 0 1 auto; min-width: min(220px, 100%); max-width: 100%; }
.labkit-panel .widget-toggle-button.mod-active { color: var(--paper); background: var(--bad); }
.labkit-panel .widget-button:focus-visible, .labkit-panel .widget-toggle-button:focus-visible,
.labkit-panel [tabindex="0"]:focus-visible {
  outline: 2px solid var(--own); outline-offset: 1px;
}
/* The board: a column for each person, and below them the ladder beside the server. */
.labkit-board { container-type: inline-size; overflow: visible; }
.labkit-board .labkit-people, .labkit-board .labkit-below {
  display: grid; align-items: stretch; overflow: visible;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 196px), 1fr));
}
.labkit-board .labkit-person { gap: 0; overflow: visible; margin: 4px; }
.labkit-board .labkit-person > .labkit-panel { margin: 0; border-radius: 0; flex: none; }
.labkit-board .labkit-person > .labkit-panel:first-child { border-radius: 8px 8px 0 0; flex: 1 0 auto; }
.labkit-board .labkit-person > .labkit-panel:last-child { border-radius: 0 0 8px 8px; }
.labkit-board .labkit-person > .labkit-panel:not(:first-child) { border-top: none; padding-top: 4px; }
.labkit-board .labkit-person .labkit-log { height: 130px; }
.labkit-board .labkit-person > .labkit-panel:only-child { border-radius: 8px; }
.labkit-board .labkit-person > .labkit-panel:only-child .labkit-log { height: 200px; }
.labkit-board .labkit-below .labkit-rungs { max-height: 230px; }
.labkit-board .labkit-tables { overflow: visible; }
.labkit-board .labkit-tables > .labkit-panel { flex: 1 0 auto; }
.labkit-board .labkit-narrow-wide { grid-template-columns: minmax(0, 2fr) minmax(0, 3fr); }
.labkit-board .labkit-narrow-wide .labkit-rungs { max-height: 270px; }
.labkit-board .labkit-below .labkit-table th, .labkit-board .labkit-below .labkit-table td {
  padding-right: 10px;
}
@container (max-width: 800px) {
  .labkit-board .labkit-of-4 { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .labkit-board .labkit-of-4 .labkit-log { height: 72px; }
}
@container (max-width: 640px) {
  .labkit-board .labkit-below { grid-template-columns: minmax(0, 1fr); }
}
</style>"""
)


def head(name: str, state: str, words: str, room: str = "") -> str:
    """A name and a state: a dot in the state's colour, the name in large, and words; and in what room."""
    where = f", in {bdi(room)}" if room else ""
    return (
        f'<div class="labkit-head"><span class="labkit-dot {escape(state)}"></span>'
        f'<span class="labkit-name">{bdi(name)}</span>'
        f'<span class="labkit-state">{escape(words)}{where}</span></div>'
    )


def wire(name: str, words: str, good: bool) -> str:
    """Whose wire, and what is on it; what is wrong with it stands out."""
    state = "labkit-state" if good else "labkit-bad"
    return (
        f'<div class="labkit-head" role="status"><b>{bdi(name)}\'s wire</b>'
        f'<span class="{state}">{escape(words)}</span></div>'
    )


def ladder(drawing: str, earlier: int) -> str:
    """A ladder that is drawn already; so many arrows came before it."""
    more = f'<div class="labkit-state">… {earlier} earlier</div>' if earlier else ""
    return f'{more}<div class="labkit-drawing">{drawing}</div>'


def log(name: str, lines: Iterable[str], more: bool) -> str:
    """A transcript, oldest line first. `more`: there were older ones."""
    earlier = '<div class="labkit-line more">… earlier lines are not shown</div>' if more else ""
    shown = "".join(map(_line, lines))
    label = f"what {escape(name)} said and heard"
    return f'<div role="log" tabindex="0" aria-label="{label}">{earlier}{shown}</div>'


def _line(line: str) -> str:
    if line.startswith("> "):
        return f'<div class="labkit-line own"><i>&gt;</i> {bdi(line[2:])}</div>'
    kind = ""
    message = from_server(line)
    match message:
        case Whispered():
            kind = " private"
        case Refused():
            kind = " refusal"
        case Said() | Acted():
            pass
        case _ if line.startswith(("* ", "# ")):  # `# `: the client's own
            kind = " notice"
    fields = {name: bdi(getattr(message, name)) for name in message.__match_args__}
    if isinstance(message, Said | Acted | Whispered):
        fields["who"] = f"<b>{fields['who']}</b>"
    form = "{text}" if isinstance(message, Other) else escape(message.form)
    return f'<div class="labkit-line{kind}">{form.format(**fields)}</div>'


def trouble(text: str) -> str:
    """What did not work, on a line of its own; nothing for no text."""
    return f'<div class="labkit-trouble" role="alert">{bdi(text)}</div>' if text else ""


def table(heads: Sequence[str], rows: Sequence[Sequence[str | int]], what: str = "a table") -> str:
    """A table; numbers are set to the right. `what` it shows, a screen reader says. Nothing for no rows."""
    if not rows:
        return ""
    top = "".join(
        f'<th scope="col"{_align(cell)}>{escape(head)}</th>'
        for head, cell in zip(heads, rows[0], strict=True)
    )
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    return (
        f'<div class="labkit-table" tabindex="0" role="group" aria-label="{escape(what)}"><table>'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(cell: str | int) -> str:
    return f"<td{_align(cell)}>{cell if isinstance(cell, int) else bdi(cell)}</td>"


def _align(cell: str | int) -> str:
    return ' class="number"' if isinstance(cell, int) else ""
