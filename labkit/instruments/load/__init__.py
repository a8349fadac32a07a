"""A load on a chat server: how many lines the server delivers, and how long each takes.

- alt.py        what a drawing shows, in words
- clients.py    many clients in one thread, on one selector
- figure.py     results, drawn
- joining.py    how the clients join
- kinds.py      in which way they talk
- plan.py       what a load is
- receipts.py   which lines were sent, when, and which clients received each of them
- result.py     what was measured
- run.py        `load` puts a load on one server; `compare` puts the same on several, in turn
- servers.py    the servers that are measured
- shared.py     what several servers share their rooms on
- times.py      very many times, in little room
- units.py      times and sizes in words
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from labkit.instruments.load.plan import LoadError, Plan

if TYPE_CHECKING:
    from labkit.instruments.load.result import Comparison, Result
    from labkit.instruments.load.run import compare, load

__all__ = ["Comparison", "LoadError", "Plan", "Result", "compare", "load"]

_WHERE = {"Comparison": "result", "Result": "result", "compare": "run", "load": "run"}


def __getattr__(name: str) -> Any:
    """What needs numpy, loaded when it is wanted: a load can be planned without."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
