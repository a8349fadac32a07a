"""What a chat server does, as a numbered list of behaviours that can each be tried from outside.

A behaviour has a name, the clause of the wire it comes from, and a function that tries it on a server,
through bare sockets. The function returns if the server behaves so, and raises `CheckFailed` with what was
expected and what was seen if it does not. It takes servers in any language as they are: what they say
besides (a welcome, a prompt, who has joined) is skipped, unless that is what is judged.

Behaviours that may kill the server come last. Each section has a file: talking.py, hearing.py, naming.py,
staying.py, leaving.py and dying.py.
"""

from __future__ import annotations

from dataclasses import replace

from labkit.conformance.behaviour import Behaviour
from labkit.conformance.dying import DYING
from labkit.conformance.hearing import HEARING
from labkit.conformance.leaving import LEAVING
from labkit.conformance.naming import NAMING
from labkit.conformance.staying import STAYING
from labkit.conformance.talking import TALKING

_LATER = (
    "what one says arrives whole",
    "one without a nickname does not hear the room",
    "once one who did not read is gone, all go on",
    "a goodbye in the handshake keeps nobody out",
    "each keeps its own name when others leave",
    "a word that one says ends nobody else",
)
"""These came later, and have the last numbers: a number goes on meaning what it means in older reports."""


def _numbered() -> list[Behaviour]:
    in_order = [*TALKING, *HEARING, *NAMING, *STAYING, *LEAVING, *DYING]
    names = [b.name for b in in_order if b.name not in _LATER] + list(_LATER)
    return [replace(behaviour, number=1 + names.index(behaviour.name)) for behaviour in in_order]


BEHAVIOURS: list[Behaviour] = _numbered()
"""In the order in which they are tried."""


def called(name: str) -> Behaviour:
    """The behaviour of this name.

    Raises:
        KeyError: there is none.
    """
    found = [behaviour for behaviour in BEHAVIOURS if behaviour.name == name]
    if not found:
        raise KeyError(f"no behaviour is called {name!r}; they are in BEHAVIOURS")
    return found[0]
