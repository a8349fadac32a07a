"""What was measured: in one run, and of several servers under the same load. As text, and as JSON.

figure.py draws it, and loads matplotlib only then.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from labkit.instruments.load.plan import Plan
from labkit.instruments.load.servers import Usage
from labkit.instruments.load.shared import NONE
from labkit.instruments.load.times import Times
from labkit.instruments.load.units import amount, span

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BUSY = 0.9
"""Share of the time for which a process works that is the limit."""

PERCENTILES = (50, 90, 99)


@dataclass(frozen=True, repr=False)
class Result:
    """What one run measured.

    A delivery is one line that reached one client. Times are in seconds: from before the talker's send (or
    from when it should have been sent, in a steady load) until after the listener's recv.
    """

    server: str
    plan: Plan
    seconds: float  # that count
    said: int  # lines
    deliveries: int
    delivery: Times  # how long each delivery took
    within: Times  # of these: to the clients of the server where the line was said …
    crossed: Times  # … and from one server to another
    spread: Times  # of each line: the time until the last client had it
    lost: int  # deliveries that did not come
    doubled: int  # deliveries that came once too often
    echoed: int  # lines that came to the client that had said them
    hung_up: int  # clients whose connection the server ended
    died: str  # which servers ended meanwhile, in words; "" if none
    looked_at: int  # clients of which every line was looked at; of the others they were counted
    cut_short: bool  # lines were still coming when it was ended: they are neither lost, nor in the times
    joined_in: float  # seconds until all clients had joined
    working: float  # share of the time for which the load itself worked, 0 to 1
    apart: bool  # the server and the load had a core each
    before: Usage | None  # what the server had used before the first client; None: it was not watched
    joined: Usage | None  # when all had joined, and nothing was said
    after: Usage | None  # at the end
    servers: int = 1  # how many there were …
    backplane: bool = False  # … and whether they shared their rooms on Redis …
    redis_cpu: float = math.nan  # … which used so many seconds of processor time; nan: unknown
    cores: int = 1  # that the servers, Redis and the load could use

    @property
    def right(self) -> bool:
        """Nothing was lost, nothing came twice or to its own talker, and no connection and no server
        ended."""
        return not (self.lost or self.doubled or self.echoed or self.hung_up or self.died)

    @property
    def per_second(self) -> float:
        """Deliveries a second."""
        return self.deliveries / self.seconds if self.seconds else math.nan

    @property
    def cpu(self) -> float:
        """Seconds of processor time that the servers used for it; nan if they were not watched."""
        return self.after.cpu - self.joined.cpu if self.after and self.joined else math.nan

    @property
    def wrong(self) -> str:
        """What went wrong, in words; "" if nothing."""
        found = {
            "lost": self.lost,
            "doubled": self.doubled,
            "told to who had said it": self.echoed,
            "clients hung up on": self.hung_up,
        }
        words = [self.died] if self.died else []
        return ", ".join(words + [f"{count:,} {what}" for what, count in found.items() if count])

    def notes(self) -> list[str]:
        """What one must know to read the figures."""
        notes = []
        if self.wrong:
            notes.append(f"{self.server}: {self.wrong}")
        if self.looked_at < self.plan.clients:
            notes.append(
                f"{self.server}: every line of {self.looked_at} clients was looked at, and the times are "
                "theirs; of the others, lines were counted"
            )
        if self.cut_short:
            notes.append(
                f"{self.server}: more was said than it had passed on when the time was over; what was "
                "still on its way is not counted"
            )
        # How many cores the servers can keep busy. False if they were not watched.
        at_its_limit = self.cpu > BUSY * self.seconds * min(self.servers, max(1, self.cores - 1))
        if self.working > BUSY and not at_its_limit:
            notes.append(f"{self.server}: the load itself worked nearly all the time, and may be the limit")
        if not self.apart:
            notes.append(f"{self.server}: it and the load had no core of its own each")
        return notes

    def __repr__(self) -> str:
        return repr(Comparison([self]))

    def plot(self) -> Figure:
        """A drawing of it."""
        return Comparison([self]).plot()

    def as_dict(self) -> dict[str, object]:
        figures = {name: _number(read([self])) for name, read in FIGURES.items()}
        counts = ("said", "deliveries", "lost", "doubled", "echoed", "hung_up", "looked_at")
        others = ("died", "apart", "cut_short", "servers", "backplane", "cores")
        facts = {name: getattr(self, name) for name in (*counts, *others)}
        return {"server": self.server, "right": self.right, "plan": asdict(self.plan), **facts, **figures}

    def as_json(self) -> str:
        return json.dumps(self.as_dict(), indent=2)


def _number(value: float) -> float | None:
    """None for nan, which JSON does not have."""
    return None if math.isnan(value) else value


Results = Sequence[Result]


def _median(read: Callable[[Result], float]) -> Callable[[Results], float]:
    return lambda results: statistics.median(read(result) for result in results)


# Each figure, of one run or of several of the same server: the median of what it was in each.
FIGURES: dict[str, Callable[[Results], float]] = {
    "deliveries_per_second": _median(lambda r: r.per_second),
    **{
        f"delivery_p{p}_seconds": _median(lambda r, p=p: r.delivery.percentile(p))  # type: ignore[misc]
        for p in PERCENTILES
    },
    "delivery_max_seconds": _median(lambda r: r.delivery.longest or math.nan),
    "last_client_p50_seconds": _median(lambda r: r.spread.percentile(50)),
    "last_client_p99_seconds": _median(lambda r: r.spread.percentile(99)),
    **{
        f"{name}_p{p}_seconds": _median(lambda r, name=name, p=p: getattr(r, name).percentile(p))  # type: ignore[misc]
        for name in ("within", "crossed")
        for p in (50, 99)
    },
    "joined_in_seconds": _median(lambda r: r.joined_in),
    "cpu_seconds": _median(lambda r: r.cpu),
    "cpu_share": _median(lambda r: r.cpu / r.seconds if r.seconds else math.nan),
    "redis_cpu_share": _median(lambda r: r.redis_cpu / r.seconds if r.seconds else math.nan),
    "cpu_seconds_per_delivery": _median(lambda r: r.cpu / r.deliveries if r.deliveries else math.nan),
    "rss_bytes": _median(lambda r: r.after.rss if r.after else math.nan),
    "peak_rss_bytes": _median(lambda r: r.after.peak if r.after else math.nan),
    "rss_bytes_per_client": _median(
        lambda r: (r.joined.rss - r.before.rss) / r.plan.clients if r.joined and r.before else math.nan
    ),
    "load_worked_share": _median(lambda r: r.working),
}


@dataclass(repr=False)
class Comparison:
    """What several servers did, each perhaps several times and with several numbers of clients."""

    results: list[Result] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)  # what could not be measured, and why

    @property
    def right(self) -> bool:
        """Everything could be measured, and no line was lost or came twice."""
        return bool(self.results) and not self.missing and all(result.right for result in self.results)

    @property
    def servers(self) -> list[str]:
        return list(dict.fromkeys(result.server for result in self.results))

    @property
    def clients(self) -> list[int]:
        """The numbers of clients, the smallest first."""
        return sorted({result.plan.clients for result in self.results})

    def clients_of(self, server: str) -> list[int]:
        """The numbers of clients with which one server was measured, the smallest first."""
        return sorted({result.plan.clients for result in self.of(server)})

    def of(self, server: str, clients: int | None = None) -> Results:
        """The runs of one server, with so many clients.

        Raises:
            KeyError: there are none.
        """
        found = [r for r in self.results if r.server == server and clients in (None, r.plan.clients)]
        if not found:
            raise KeyError(f"nothing was measured of {server!r} with {clients} clients")
        return found

    def figure(self, name: str, server: str, clients: int | None = None) -> float:
        """One of FIGURES: the median of that server's runs."""
        return FIGURES[name](self.of(server, clients))

    def each(self, name: str, server: str) -> list[float]:
        """One of FIGURES, of each of that server's runs."""
        return [FIGURES[name]([run]) for run in self.of(server)]

    def times(self, server: str) -> Times:
        """The delivery times of all of that server's runs."""
        return Times.of_all(run.delivery for run in self.of(server))

    def rows(self) -> list[tuple[str, int, Results]]:
        """The runs that belong together: server, number of clients, and the runs."""
        found = []
        for clients in self.clients:
            for server in self.servers:
                if any(r.server == server and r.plan.clients == clients for r in self.results):
                    found.append((server, clients, self.of(server, clients)))
        return found

    # --- as text ---

    def __repr__(self) -> str:
        lines = []
        if self.results:
            repeats = max(len(runs) for *_, runs in self.rows())
            lines = [
                self.plan() + (f"; medians of {repeats} runs" if repeats > 1 else ""),
                "",
                *self._table(),
            ]
        notes = [*self._what_it_costs(), *(note for result in self.results for note in result.notes())]
        notes += self.missing
        return "\n".join([*lines, *([""] if notes and lines else []), *dict.fromkeys(notes)])

    def plan(self) -> str:
        """The load, in words; "" if nothing was measured."""
        if not self.results:
            return ""
        most = max((result.plan for result in self.results), key=lambda plan: plan.clients)
        if len(self.clients) == 1:
            return str(most)
        return str(most).replace(f": {most.clients} clients", ": more and more clients")

    @property
    def paced(self) -> bool:
        """The load sets the pace, and not the server."""
        return any(result.plan.kind == "steady" for result in self.results)

    @property
    def shared(self) -> bool:
        """Some of the servers shared their rooms on Redis."""
        return any(result.backplane for result in self.results)

    def cost(self, server: str) -> float:
        """How many times as much a server delivers as one without a backplane; nan if that was not
        measured, or the load sets the pace."""
        if self.paced or NONE not in self.servers or len(self.clients) > 1:
            return math.nan
        alone = self.figure("deliveries_per_second", NONE)
        return self.figure("deliveries_per_second", server) / alone if alone else math.nan

    def machine(self) -> str:
        """Which processes shared the cores, and what follows; "" if no servers shared their rooms."""
        if not self.shared:
            return ""
        cores, apart = self.results[0].cores, self.results[0].apart
        shared = f"The servers, Redis and the load shared {cores} core{'s'[: cores > 1]}"
        if apart:
            rest = "the other" if cores == 2 else f"the other {cores - 1}"
            shared = f"Of {cores} cores the load had one, the servers shared {rest}, and Redis ran on any"
        return shared + ": this tells nothing of servers that have a machine each."

    def _what_it_costs(self) -> list[str]:
        if not self.shared:
            return []
        costs = [
            f"{server}: {cost:.2f} × the deliveries a second of {NONE}"
            for server in self.servers
            if server != NONE and not math.isnan(cost := self.cost(server))
        ]
        return [*costs, self.machine()]

    def _table(self) -> list[str]:
        crossed = any(len(result.crossed) for result in self.results)
        heads = ["server", "clients", "deliveries/s", "p50", "p90", "p99", "max"]
        heads += ["p50 within", "p50 across"] if crossed else []
        heads += ["last has it", "CPU", *(["Redis"] if self.shared else []), "memory", "peak"]
        table = [heads]
        for server, clients, runs in self.rows():
            values = {name: read(runs) for name, read in FIGURES.items()}
            times = [values[f"delivery_p{p}_seconds"] for p in PERCENTILES]
            times += [values["delivery_max_seconds"]]
            times += [values["within_p50_seconds"], values["crossed_p50_seconds"]] if crossed else []
            times += [values["last_client_p50_seconds"]]
            shares = [values["cpu_share"]] + ([values["redis_cpu_share"]] if self.shared else [])
            sizes = [values["rss_bytes"], values["peak_rss_bytes"]]
            table.append(
                [server, f"{clients:,}", f"{values['deliveries_per_second']:,.0f}"]
                + [span(seconds) for seconds in times]
                + ["?" if math.isnan(share) else f"{share:.0%}" for share in shares]
                + [amount(size) for size in sizes]
            )
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        return [
            "  ".join(
                cell.rjust(width) if i else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in table
        ]

    # --- as JSON, and as a drawing ---

    def as_json(self) -> str:
        medians = [
            {"server": server, "clients": clients, "runs": len(runs)}
            | {name: _number(read(runs)) for name, read in FIGURES.items()}
            for server, clients, runs in self.rows()
        ]
        return json.dumps(
            {
                "right": self.right,
                "missing": self.missing,
                "medians": medians,
                "runs": [result.as_dict() for result in self.results],
            },
            indent=2,
        )

    def plot(self) -> Figure:
        """A drawing: what each server came to; of several numbers of clients, against that number."""
        from labkit.instruments.load.figure import draw  # here, for it loads matplotlib

        return draw(self)
