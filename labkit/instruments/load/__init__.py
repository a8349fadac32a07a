"""A load on a chat server, and what it makes of it: how many lines it delivers, and how long each takes.

- crowd.py      many clients in one thread, on one selector
- figure.py     results, drawn
- joining.py    how a crowd comes to be there
- kinds.py      in which way a crowd talks
- plan.py       what a load is
- result.py     what came out
- run.py        `load` puts a load on one server; `compare` puts the same on several, one after the other,
                in turn
- said.py       which lines were said, when, and who has heard each of them
- servers.py    the servers that are measured
- shared.py     what several servers share their rooms on
- times.py      very many times, in little room
- units.py      times and sizes in words
"""

from labkit.instruments.load.plan import LoadError, Plan
from labkit.instruments.load.result import Comparison, Result
from labkit.instruments.load.run import compare, load

__all__ = ["Comparison", "LoadError", "Plan", "Result", "compare", "load"]
