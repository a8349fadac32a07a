"""A schedule that was played, as a student gets it: as tables, as a panel to walk through, and as lanes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.instruments.lanes.side_by_side import Lanes
from labkit.instruments.stepper.history import as_lanes
from labkit.instruments.stepper.record import Trace
from labkit.instruments.stepper.table import as_html, as_text

if TYPE_CHECKING:
    from labkit.instruments.stepper.panel import StepPanel


class Run(Trace):
    """A schedule that was played."""

    def slider(self) -> StepPanel:
        """Widgets to walk through the steps."""
        from labkit.instruments.stepper.panel import StepPanel  # here, for it needs ipywidgets

        return StepPanel(self)

    def lanes(self, title: str = "") -> Lanes:
        """The threads side by side, step by step: who runs, who waits for a lock, and who holds it."""
        return as_lanes(self, title)

    def __str__(self) -> str:
        return as_text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return as_html(self)
