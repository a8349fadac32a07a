"""What a chat server does, as a numbered list of behaviours that can each be tried from outside.

A behaviour has a name, the clause of the wire that it comes from, and a function that tries it on a
server, through bare sockets. The function returns if the server behaves so, and raises `Missed` with what
was expected and what was seen if it does not. It takes the server as it is, in whatever language; what
that says besides (a welcome, a prompt, who has joined) is passed over, unless it is what is judged.

Those that may cost the server its life come last. Each section is in a file of its own: talking.py,
naming.py, staying.py, leaving.py and dying.py.
"""

from __future__ import annotations

from dataclasses import replace

from labkit.conformance.behaviour import Behaviour
from labkit.conformance.dying import DYING
from labkit.conformance.leaving import LEAVING
from labkit.conformance.naming import NAMING
from labkit.conformance.staying import STAYING
from labkit.conformance.talking import TALKING

BEHAVIOURS: list[Behaviour] = [
    replace(behaviour, number=number)
    for number, behaviour in enumerate([*TALKING, *NAMING, *STAYING, *LEAVING, *DYING], 1)
]


def called(name: str) -> Behaviour:
    """The behaviour of this name.

    Raises:
        KeyError: there is none.
    """
    found = [behaviour for behaviour in BEHAVIOURS if behaviour.name == name]
    if not found:
        raise KeyError(f"no behaviour is called {name!r}; they are in BEHAVIOURS")
    return found[0]
