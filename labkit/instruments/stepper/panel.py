"""A schedule to walk through: the number of steps made, the code of each thread, and where each stands.

`Run.slider()` makes it; `.value` moves it, as the hand does. It shows what a `Run` holds, and runs
nothing. It is also text: its `repr` says what it shows. It imports ipywidgets, so it is itself imported
only for such a panel.
"""

from __future__ import annotations

from html import escape

from labkit.instruments.markup import bdi
from labkit.instruments.panel.widgets import Panel, button, column, number_field, row, style
from labkit.instruments.stepper.lines import Place, listing
from labkit.instruments.stepper.record import Trace
from labkit.instruments.stepper.table import HTML_STYLE, state_as_html, step_as_html, verdict_as_html
from labkit.wire.extras import extra

with extra("lab"):
    import ipywidgets

STYLE = """<style>
.labkit-threads { display: flex; flex-flow: row wrap; gap: 10px; margin: 8px 0; }
.labkit-threads > div { flex: 1 1 240px; min-width: 0; }
.labkit-threads .status { color: var(--faint); }
.labkit-threads pre {
  margin: 4px 0 0; padding: 6px 0; overflow-x: auto; line-height: 18px; font-size: 12px;
  font-family: var(--jp-code-font-family, monospace); color: var(--ink);
  background: var(--inset); border: 1px solid var(--line); border-radius: 6px;
}
.labkit-threads pre span { display: block; width: max-content; min-width: 100%; padding: 0 8px; }
.labkit-threads pre span { box-sizing: border-box; border-left: 3px solid transparent; }
.labkit-threads pre i { color: var(--faint); font-style: normal; user-select: none; }
.labkit-threads pre .stands {
  border-left-color: var(--own);
  background: var(--shade); background: color-mix(in srgb, var(--own) 16%, transparent);
}
.labkit-threads .turn b { color: var(--own); }
.labkit-threads .over pre { color: var(--faint); }
</style>"""


class StepPanel(Panel):
    """Walks through a Run. `value` is how many steps were made, from 0 to all; set it to move."""

    def __init__(self, run: Trace) -> None:
        self.run = run
        self._shown = ipywidgets.HTML()
        all_of_them = len(run.steps)
        words = f"steps made, of {all_of_them}"
        self._stops = number_field(ipywidgets.BoundedIntText, words, all_of_them, 1, "how far it has come")
        self._stops.observe(lambda _: self._paint(), "value")
        self._back = button("◀ Back", "one step back", lambda: self._go(-1))
        self._on = button("Step ▶", "the next step", lambda: self._go(1))
        self.widget = column(
            "labkit-panel",
            style(),
            ipywidgets.HTML(HTML_STYLE + STYLE).add_class("labkit-style"),
            row("labkit-set", self._stops, self._back, self._on),
            self._shown,
        ).add_class("labkit-stepper")
        self._paint()

    @property
    def value(self) -> int:
        return int(self._stops.value)

    @value.setter
    def value(self, steps: int) -> None:
        if steps not in range(len(self.run.steps) + 1):
            raise ValueError(f"there are 0 to {len(self.run.steps)} steps, not {steps!r}")
        self._stops.value = steps

    def _go(self, steps: int) -> None:
        self._stops.value = self.value + steps  # the field itself stays within its ends

    def __repr__(self) -> str:
        made = self.value
        lines = [f"after {made} of {len(self.run.steps)} steps: {self._state()}"]
        for name in self.run.names:
            place, words = self._stands(name)
            lines.append(f"  {name} {words}" + (f", {place.line}: {place.text}" if place else ""))
        return "\n".join([*lines, self.run.verdict] if made == len(self.run.steps) else lines)

    # --- what is shown ---

    def _state(self) -> str:
        return self.run.steps[self.value - 1].state if self.value else self.run.start

    def _stands(self, name: str) -> tuple[Place | None, str]:
        """The line that a thread is about to execute, None if it has ended; and how it is with it."""
        before, after = self.run.steps[: self.value], self.run.steps[self.value :]
        last = next((step for step in reversed(before) if step.thread == name), None)
        coming = next((step.place for step in after if step.thread == name), None)
        place = coming or self.run.stands.get(name)
        if last and last.note.startswith(("waits", "fails")):
            return (place or last.place), last.note
        if place is None:
            return None, "has ended"
        if after and after[0].thread == name:
            return place, "goes on now"
        return place, "stands" if last else "has not begun"

    def _paint(self) -> None:
        made, steps = self.value, self.run.steps
        self._back.disabled, self._on.disabled = made == 0, made == len(steps)
        threads = "".join(map(self._thread, self.run.names))
        before = steps[made - 2].parts if made > 1 else self.run.start_parts
        now = steps[made - 1].parts if made else self.run.start_parts
        done = f"<b>{bdi(steps[made - 1].thread)}</b>{step_as_html(steps[made - 1])}" if made else "&nbsp;"
        verdict = verdict_as_html(self.run) if made == len(steps) else "&nbsp;"
        self._shown.value = (
            f'<div class="labkit-steps"><div class="labkit-threads">{threads}</div>'
            f'<div role="status">{done}{state_as_html(now, before)}{verdict}</div></div>'
        )

    def _thread(self, name: str) -> str:
        place, words = self._stands(name)
        shown = place or next((s.place for s in reversed(self.run.steps) if s.thread == name), None)
        turn = "turn" if words == "goes on now" else "over" if place is None else ""
        return (
            f'<div class="{turn}"><b>{bdi(name)}</b> <span class="status">{escape(words)}</span>'
            f"{_code(name, shown, place is not None) if shown else ''}</div>"
        )


def _code(name: str, place: Place, stands: bool) -> str:
    """The function in which a thread stands, its line marked."""
    lines, first = [place.text], place.line
    if place.code and (whole := listing(place.code)):
        lines, first = whole, place.code.co_firstlineno
    told = []
    for number, line in enumerate(lines, first):
        mark = ' class="stands" aria-current="step"' if stands and number == place.line else ""
        told.append(f"<span{mark}><i>{number:>3}</i> {escape(line)}</span>")
    return f'<pre tabindex="0" role="group" aria-label="the code of {escape(name)}">{"".join(told)}</pre>'
