"""Two lists that belong together by their places, and how they slide out of step.

As HTML, and as text that says the same; both are the same each time. A pair that does not fit has a ✗ below
it, and words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.instruments import drawing
from labkit.instruments.markup import bdi
from labkit.wire.text import clean

if TYPE_CHECKING:
    from labkit.instruments.stepper.record import Trace


@dataclass(frozen=True, slots=True)
class _Step:
    what: str
    lists: tuple[tuple[str, ...], tuple[str, ...]]


class TwoLists:
    """Two lists that belong together by their places, after each step; what no longer fits is marked.

    Args:
        first, second: what the lists are called.
        fits: which of the second list belongs to each of the first; by default those that stand at the
            same place when they are first seen.
    """

    def __init__(
        self, first: str = "clients", second: str = "nicknames", fits: Mapping[str, str] | None = None
    ) -> None:
        self._names = (first, second)
        self._fits = None if fits is None else dict(fits)
        self.steps: list[_Step] = []

    def step(self, what: str, first: Iterable[object], second: Iterable[object]) -> TwoLists:
        """Write down how the lists are after this."""
        self.steps.append(_Step(what, (tuple(map(str, first)), tuple(map(str, second)))))
        return self

    @classmethod
    def of_run(
        cls,
        run: Trace | None,
        first: str = "clients",
        second: str = "nicknames",
        fits: Mapping[str, str] | None = None,
    ) -> TwoLists:
        """What a run of the stepper did to them: its states show both, `A B | alice bob`.

        Steps that change nothing are left out. What `explore` returns has such a run, if it found one.

        Raises:
            ValueError: a state does not look like that, or there is no run.
        """
        if run is None:
            raise ValueError("there is no run to draw: nothing was found")
        lists = cls(first, second, fits)
        before = ""
        for what, state in [
            ("at the start", run.start),
            *((f"{step.thread}: {step.source}", step.state) for step in run.steps),
        ]:
            left, bar, right = state.partition("|")
            if not bar:
                raise ValueError(f"a state must have a | between two lists, and is {state!r}")
            if state != before:
                lists.step(what, left.split(), right.split())
            before = state
        return lists

    def misfits(self, step: int) -> dict[int, str]:
        """Place -> what does not fit there after that step (from 0), in words."""
        (one, other), fits = self.steps[step].lists, self._known()
        found = {}
        for place in range(max(len(one), len(other))):
            left = one[place] if place < len(one) else None
            right = other[place] if place < len(other) else None
            if left is None or right is None:
                found[place] = f"{left or right} alone"
            elif fits.get(left, right) != right:
                found[place] = f"{left} with {right}"
        return found

    def _wrong(self, step: int) -> str:
        return "; ".join(f"place {place}: {clean(words)}" for place, words in self.misfits(step).items())

    def _known(self) -> dict[str, str]:
        if self._fits is not None:
            return self._fits
        fits: dict[str, str] = {}
        for step in self.steps:
            for left, right in zip(*step.lists, strict=False):
                fits.setdefault(left, right)
        return fits

    def __repr__(self) -> str:
        told = []
        for number, step in enumerate(self.steps):
            misfits = self.misfits(number)
            length = max(map(len, step.lists))
            rows = []
            for name, items in zip(self._names, step.lists, strict=True):
                gone = ["·"] * (length - len(items))
                rows.append([f"   {name}", *map(clean, items), *gone])
            if misfits:
                rows.append(["", *("✗" if place in misfits else "" for place in range(length))])
            told += [f"{number}  {step.what}", *drawing.in_columns(rows, " │ ")]
            told += [f"   ✗ {self._wrong(number)}"] if misfits else []
        return "\n".join(told) or "no step yet"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        rows = "".join(
            f"<tr><td>{number}</td><td>{bdi(step.what)}</td><td>{self._drawn(number)}</td></tr>"
            for number, step in enumerate(self.steps)
        )
        table = f"<table><tbody>{rows}</tbody></table>"
        html = drawing.TABLE_STYLE + drawing.framed("labkit-rows", repr(self), table)
        return {"text/plain": repr(self), "text/html": html}

    def _drawn(self, number: int) -> str:
        misfits, lists = self.misfits(number), self.steps[number].lists
        length = max(map(len, lists))
        cells = []
        for name, items in zip(self._names, lists, strict=True):
            cells.append(f'<span class="name">{bdi(name)}</span>')
            for place, item in enumerate(items):
                mark = " wrong" if place in misfits else ""
                cells.append(f'<span class="box{mark}">{bdi(clean(item))}</span>')
            cells += ['<span class="box gone faint">none</span>'] * (length - len(items))
        said = ""
        if misfits:
            marks = ("✗" if place in misfits else "" for place in range(length))
            cells += ["<span></span>", *(f'<span class="mark">{mark}</span>' for mark in marks)]
            said = f"<div><b>✗ {bdi(self._wrong(number))}</b></div>"
        columns = f"grid-template-columns: repeat({length + 1}, auto)"
        return f'<div class="pairs" style="{columns}">{"".join(cells)}</div>{said}'
