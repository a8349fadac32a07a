"""Strikes the servers and their Redis while the clients rage: at random, one blow after the other.

A server is killed, or stopped cleanly, and comes back after a while, on its old port or another.
Redis is killed or stopped, and started again; or it hangs for a while. A server's connections to
Redis are reset, or slow, or cut off: for a moment, or for so long that the others must give it up.

Before each blow it tells (`Concerned`) which server may lose its clients, and why. No other client may
notice anything but that its server is cut off, and back. So Redis is never away for long, compared with
the lease.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, fields
from time import monotonic

from chaos.fleet import Fleet
from chaos.hosts import Address
from labkit.instruments.faults import Bandwidth, Delay, Silence
from labkit.wire.messages import SERVER_LOST, SERVER_STOPPED

Concerned = Callable[[int, str], int]
"""Takes the number of a server that may be lost, and the reason; returns how many clients it had."""


@dataclass(frozen=True)
class Weather:
    """How many servers there are, and what happens to them."""

    servers: int = 3
    kills: int = 1  # servers killed
    stops: int = 0  # servers stopped cleanly
    restarts: int = 1  # Redis killed, or stopped, and started again
    cuts: int = 0  # Redis hangs, is slow, or out of reach for one server; not for long
    exiles: int = 0  # … for longer than the lease
    server: str = "SmallBuffers"  # which one: see serve.py

    def __str__(self) -> str:
        """As options of run.py."""
        return "".join(
            f" --{f.name} {value}" for f in fields(self) if (value := getattr(self, f.name)) != f.default
        )


class Storm:
    """Call `turn` often, with how much of the run is over; at its end, `calm` until it returns True.

    Args:
        fleet: the servers, started.
        weather: how much of what.
        lease: seconds after which a server that gives no sign of life is given up.
        seed: seeds its random choices.
        concerned: called before each blow.
    """

    def __init__(
        self, fleet: Fleet, weather: Weather, lease: float, seed: int, concerned: Concerned
    ) -> None:
        self.log: list[str] = []  # what happened, for the reader of a complaint
        self.ends = 0  # connections that were lost with their server
        self.outcasts: set[int] = set()  # servers that are cut off for too long
        self._fleet, self._lease, self._concerned = fleet, lease, concerned
        self._chance = random.Random(f"{seed}/storm")
        self._blows: list[Callable[[], bool]] = [
            *[self._kill] * weather.kills,
            *[self._stop] * weather.stops,
            *[self._restart] * weather.restarts,
            *[self._cut] * weather.cuts,
            *[self._exile] * weather.exiles,
        ]
        self._chance.shuffle(self._blows)
        self._planned = len(self._blows)
        self._start = monotonic()
        self._later: list[tuple[float, Callable[[], None]]] = []  # what is to be mended, and when
        self._redis_in_trouble = False
        self._dead: set[int] = set()

    @property
    def addresses(self) -> list[Address | None]:
        """Where each server listens; None: it does not."""
        return self._fleet.addresses

    @property
    def over(self) -> bool:
        """Nothing more will happen."""
        return not self._blows

    def turn(self, done: float) -> None:
        """Mend what is due, and strike the next blow if its time has come; `done` is from 0 to 1."""
        for n in self._fleet.look():
            self._come_back_later(n)
        now = monotonic()
        for due in [one for one in self._later if one[0] <= now]:
            self._later.remove(due)
            due[1]()
        struck = self._planned - len(self._blows)
        if self._blows and done >= (struck + 1) / (self._planned + 1):
            self._chance.shuffle(self._blows)
            if self._blows[-1]():
                self._blows.pop()

    def calm(self) -> bool:
        """Whether all is mended; nothing new happens."""
        self._blows.clear()
        self.turn(0.0)
        return not (self._later or self._dead or self._fleet.changing)

    def _note(self, what: str) -> None:
        self.log.append(f"{monotonic() - self._start:.2f} s: {what}")

    def _a_while(self) -> float:
        """Seconds that Redis may be away with no server losing its lease; some notice it, some do not."""
        return self._lease * self._chance.choice(
            (self._chance.uniform(0.01, 0.1), self._chance.uniform(0.2, 0.3))
        )

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        self._later.append((monotonic() + seconds, act))

    # --- the blows; False: not possible just now ---

    def _victim(self) -> int | None:
        up = [n for n, host in enumerate(self._fleet.hosts) if n and host and n not in self.outcasts]
        return self._chance.choice(up) if up else None

    def _kill(self) -> bool:
        if (n := self._victim()) is None:
            return False
        self.ends += self._concerned(n, SERVER_LOST)
        self._fleet.kill(n)
        self._note(f"server {n} is killed")
        self._come_back_later(n)
        return True

    def _stop(self) -> bool:
        # It says goodbye by way of Redis.
        if self._redis_in_trouble or (n := self._victim()) is None:
            return False
        self._concerned(n, SERVER_STOPPED)
        self._fleet.stop(n)
        self._dead.add(n)
        self._note(f"server {n} is stopped")
        return True

    def _come_back_later(self, n: int) -> None:
        self._dead.add(n)
        same_port = self._chance.random() < 0.5
        self._after(self._chance.uniform(0.05, 1.5) * self._lease, lambda: self._come_back(n, same_port))

    def _come_back(self, n: int, same_port: bool) -> None:
        if self._redis_in_trouble:  # without Redis none starts
            self._after(0.05, lambda: self._come_back(n, same_port))
            return
        self._fleet.launch(n, same_port)
        self._dead.discard(n)
        self._note(f"server {n} is started again, {'on its port' if same_port else 'on another port'}")

    def _restart(self) -> bool:
        if self._redis_in_trouble or self._fleet.changing:
            return False
        self._redis_in_trouble = True
        way = self._chance.choice(("kill", "stop"))
        getattr(self._fleet.redis, way)()
        self._note(f"Redis: {way}")
        self._after(self._a_while(), self._redis_is_back)
        return True

    def _redis_is_back(self) -> None:
        self._fleet.redis.start()
        self._redis_in_trouble = False
        self._note("Redis is back")

    def _hang(self) -> bool:
        self._redis_in_trouble = True
        self._fleet.redis.pause()
        self._note("Redis hangs")
        self._after(self._a_while(), self._redis_goes_on)
        return True

    def _redis_goes_on(self) -> None:
        self._fleet.redis.resume()
        self._redis_in_trouble = False
        self._note("Redis goes on")

    def _behind_a_link(self) -> list[int]:
        hosts = range(len(self._fleet.hosts))
        return [n for n in hosts if n not in self.outcasts and self._fleet.goes_through(n) is not None]

    def _cut(self) -> bool:
        if self._redis_in_trouble or self._fleet.changing:
            return False
        behind = self._behind_a_link()
        if not behind or self._chance.random() < 0.2:
            return self._hang()
        n = self._chance.choice(behind)
        link = self._fleet.goes_through(n)
        assert link is not None
        how = self._chance.choice(("reset", "silence", "slow", "slow"))
        seconds = self._a_while()
        self._note(f"server {n} and Redis: {how}")
        self._redis_in_trouble = True  # one thing at a time, or the lease may end
        if how == "reset":
            link.reset()
        elif how == "silence":
            link.silence()
        else:
            link.to_server.use(Delay(0.02, 0.02))
            link.to_client.use(Delay(0.02, 0.02), Bandwidth(300_000))
            seconds = 0.5 * self._lease
        self._after(seconds, lambda: self._link_is_back(n))
        return True

    def _link_is_back(self, n: int) -> None:
        self._redis_in_trouble = False
        self._mend(n)

    def _mend(self, n: int) -> None:
        link = self._fleet.links[n]
        assert link is not None
        link.to_server.use()
        link.to_client.use()
        self._note(f"server {n} and Redis: all is well")

    def _exile(self) -> bool:
        behind = self._behind_a_link()
        if self._redis_in_trouble or not behind:
            return False
        n = self._chance.choice(behind)
        link = self._fleet.goes_through(n)
        assert link is not None
        self.ends += self._concerned(n, SERVER_LOST)
        self.outcasts.add(n)
        how = self._chance.choice((Silence(), Silence(), None))
        self._note(f"server {n} is cut off from Redis, for longer than the lease")
        for direction in (link.to_server, link.to_client):
            direction.use(how or Delay(3 * self._lease))
        self._after(self._chance.uniform(1.6, 2.2) * self._lease, lambda: self._exile_ends(n))
        return True

    def _exile_ends(self, n: int) -> None:
        self._mend(n)
        # It soon notices, and lets go of its clients.
        self._after(self._lease, lambda: self.outcasts.discard(n))
