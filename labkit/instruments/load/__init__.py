"""A load on a chat server, and what it makes of it: how many lines it delivers, and how long each takes.

    from labkit.instruments.load import compare, load

    load(kind="steady", clients=100)                          # on labkit's own server
    load("localhost:14901")                                   # on one that runs
    compare(["labkit", "asyncio", "./mine {port}"]).plot()
    compare(["labkit", 1, 2, 4], backplane="own").plot()      # several, that share their rooms on Redis

- plan.py       how many clients, who talks, how much, in which way
- times.py      very many times, in little room; percentiles
- said.py       which lines were said, and who has heard each
- crowd.py      many clients in one thread, on one selector
- joining.py    how they come to be there
- visitors.py   people who come and go meanwhile
- kinds.py      steady, bursts, flood, churn
- servers.py    what is measured: started, watched, stopped
- shared.py     what several servers share their rooms on
- result.py     what came out, as text and as JSON
- figure.py     the same, drawn
- scaling.py    the same of several servers, drawn by how many they are
- run.py        `load` and `compare`
- command.py    python -m labkit load
"""

from labkit.instruments.load.crowd import Trouble
from labkit.instruments.load.plan import Plan
from labkit.instruments.load.result import Comparison, Result
from labkit.instruments.load.run import compare, load

__all__ = ["Comparison", "Plan", "Result", "Trouble", "compare", "load"]
