"""A schedule as a table: one column for each thread, one row for each line, and the state after it.

As text and as HTML; all that comes from the user's code goes through `html.escape` here.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from labkit.instruments.drawing import width
from labkit.instruments.markup import BAD, CODE, FAINT, INK, LINE, bdi
from labkit.instruments.stepper.record import Step, Trace

ROWS = 60
"""Rows of a table; of a longer schedule the middle is folded."""

CELL = 38
"""Columns that a thread's line may take in the text; a longer one ends with …"""

STATE = 66
"""Columns that a state may take in the text, before it is set in several lines."""

# Named twice, so that it counts for more than what Jupyter says of all tables.
HTML_STYLE = f"""<style>
.labkit-steps {{ color: {INK}; font-size: 13px; overflow-x: auto; }}
.labkit-steps.labkit-steps table {{ border-collapse: collapse; margin: 6px 0; font-size: 13px; }}
.labkit-steps.labkit-steps tr {{ background: none; }}
.labkit-steps.labkit-steps th, .labkit-steps.labkit-steps td {{
  text-align: left; vertical-align: top; padding: 2px 18px 2px 0; background: none; max-width: none;
  border: none; border-bottom: 1px solid {LINE}; white-space: normal;
}}
.labkit-steps.labkit-steps th {{ font-weight: 600; }}
.labkit-steps.labkit-steps code {{
  font-family: {CODE}; font-size: 12px; white-space: pre-wrap;
  background: none !important; color: inherit; padding: 0 !important;
}}
.labkit-steps .step {{ display: flex; gap: 8px; }}
.labkit-steps .n, .labkit-steps .note, .labkit-steps .same, .labkit-steps .at {{
  color: {FAINT}; font-weight: 400;
}}
.labkit-steps .note {{ padding-left: 2em; }}
.labkit-steps .why {{ color: {BAD}; font-weight: 600; }}
</style>"""


_STEPS = "what each thread did, step by step"


def as_text(trace: Trace) -> str:
    """The table, and what came of it."""
    heads = ["", *trace.names]
    rows: list[list[list[str]]] = [[[""] for _ in heads]]
    states = [_state(trace.start, trace.start_parts, False)]
    before = trace.start
    for row in _folded(trace):
        if isinstance(row, str):
            rows.append([[""], [row], *([""] for _ in trace.names[1:])])
            states.append([""])
            continue
        number, step = row
        known = step.place.source  # where it is not, the text is the number already
        cell = _cut(f"{step.line:>3} {step.source}" if known else f"    {step.source}", CELL)
        lines = [cell, *([f"    → {_cut(step.note, CELL - 6)}"] if step.note else [])]
        rows.append([[str(number)], *([*lines] if n == step.thread else [""] for n in trace.names)])
        states.append(_state(step.state, step.parts, step.state != before))
        before = step.state
    if any(filled for lines in states for filled in lines):
        heads.append("  state (▸ changed)")
        for cells, lines in zip(rows, states, strict=True):
            cells.append(lines)
    else:
        del rows[0]
    widths = [
        max(width(head), *(width(line) for cells in rows for line in cells[i]))
        for i, head in enumerate(heads)
    ]
    told = [_line(heads, widths), _line(["─" * w for w in widths], widths)]
    for cells in rows:
        for i in range(max(map(len, cells))):
            told.append(_line([cell[i] if i < len(cell) else "" for cell in cells], widths))
    return "\n".join([*told, "", trace.verdict])


def _folded(trace: Trace) -> Iterator[tuple[int, Step] | str]:
    """The steps that are shown, with their numbers; a text stands where some are not."""
    hidden = len(trace.steps) - ROWS
    for i, step in enumerate(trace.steps):
        if hidden <= 0 or not ROWS // 2 <= i < ROWS // 2 + hidden:
            yield i + 1, step
        elif i == ROWS // 2:
            yield f"… {hidden} more steps …"


def as_html(trace: Trace, words: str = "") -> str:
    """The table, with what was tried before it."""
    heads = "".join(f'<th scope="col">{bdi(name)}</th>' for name in trace.names)
    rows = [_html_row("", trace.names, None, state_as_html(trace.start_parts, trace.start_parts))]
    before = trace.start_parts
    for row in _folded(trace):
        if isinstance(row, str):
            rows.append(f'<tr><td></td><td colspan="{len(trace.names) + 1}">{escape(row)}</td></tr>')
            continue
        number, step = row
        rows.append(_html_row(str(number), trace.names, step, state_as_html(step.parts, before)))
        before = step.parts
    said = f"<div>{escape(words)}</div>" if words else ""
    return (
        f'{HTML_STYLE}<div class="labkit-steps" tabindex="0" role="group" aria-label="{_STEPS}">{said}'
        f'<table><thead><tr><th scope="col">step</th>{heads}'
        f'<th scope="col">state</th></tr></thead><tbody>{"".join(rows)}</tbody></table>'
        f"{verdict_as_html(trace)}</div>"
    )


def _html_row(number: str, names: tuple[str, ...], step: Step | None, state: str) -> str:
    done = step_as_html(step) if step else ""
    cells = "".join(f"<td>{done if step and step.thread == name else ''}</td>" for name in names)
    return f'<tr><td class="n">{number}</td>{cells}<td class="state">{state}</td></tr>'


def step_as_html(step: Step) -> str:
    """What a thread did."""
    line = f'<span class="at">{step.line}</span>' if step.place.source else ""
    note = f'<div class="note">→ {escape(step.note)}</div>' if step.note else ""
    return f'<div class="step">{line}<code>{escape(step.source)}</code></div>{note}'


def state_as_html(parts: tuple[str, ...], before: tuple[str, ...]) -> str:
    """The state, a line for each part; what has changed stands out."""
    told = []
    for i, part in enumerate(parts):
        shown = f"<code>{escape(part)}</code>"
        if before != parts:
            kept = i < len(before) and before[i] == part
            told.append(f'<div class="same">{shown}</div>' if kept else f"<div><b>{shown}</b></div>")
        else:
            told.append(f'<div class="same">{shown}</div>')
    return "".join(told)


def verdict_as_html(trace: Trace) -> str:
    """What came of it."""
    return f'<div class="{"why" if trace.why else "fine"}">{escape(trace.verdict)}</div>'


def note_as_html(words: str) -> str:
    """One sentence."""
    return f'<div class="labkit-steps">{escape(words)}</div>'


def _state(whole: str, parts: tuple[str, ...], changed: bool) -> list[str]:
    """The cell of a state. What has changed is marked: of two long lists it is hard to see."""
    if not whole:
        return [""]
    first, *others = [whole] if width(whole) <= STATE else parts
    return [("▸ " if changed else "  ") + first, *("  " + part for part in others)]


def _line(cells: list[str], widths: list[int]) -> str:
    padded = [cell + " " * (w - width(cell)) for cell, w in zip(cells, widths, strict=True)]
    return "  ".join(padded).rstrip()


def _cut(text: str, columns: int) -> str:
    if width(text) <= columns:
        return text
    while width(text) >= columns:
        text = text[:-1]
    return text + "…"
