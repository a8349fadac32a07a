"""Several servers that share their rooms on one Redis, all in processes of their own.

Server 0 is the one that is always there: it is never killed, and no link can cut it off. In front of Redis,
for each of the others, there is a link; whether a server goes through its link is thrown at each start.
What a server writes to stderr is kept: it should be nothing.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from time import sleep

from chaos.hosts import Address, Elsewhere
from labkit.instruments.link import Link
from labkit.instruments.redis_server import RedisServer
from labkit.probe.ports import free_port
from labkit.server.limits import Limits

TRIES = 5
"""Servers that may find their port taken all the same."""


@contextlib.contextmanager
def in_memory() -> Iterator[None]:
    """Temporary folders that are made meanwhile are in memory, where there is room for that (Linux): Redis
    writes down each command, and is away for seconds while another program keeps the disk busy."""
    before, memory = tempfile.tempdir, "/dev/shm"
    with contextlib.suppress(OSError):
        if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 500_000_000:
            tempfile.tempdir = memory
    try:
        yield
    finally:
        tempfile.tempdir = before


class Fleet:
    """`start`; then `kill`, `stop` and `launch` servers; at last `close`.

    Args:
        size: how many servers.
        links: there are links in front of Redis.
        limits: of each server.
        seed: of the dice.
        server: the name of the servers' class, as serve.py knows it.
    """

    def __init__(self, size: int, links: bool, limits: Limits, seed: int, server: str) -> None:
        self.redis = RedisServer(append_only=True)
        self.hosts: list[Elsewhere | None] = [None] * size  # None: it is not there
        self.links: list[Link | None] = [None] * size
        self._with_links = links
        self._limits, self._server = limits, server
        self._chance = random.Random(f"{seed}/fleet")
        self._through: set[int] = set()  # servers that go through their link
        self._launching: dict[int, Elsewhere] = {}
        self._stopping: dict[int, Elsewhere] = {}
        self._ports: dict[int, int] = {}
        self._failed = 0  # servers that ended before they listened
        self._stack = contextlib.ExitStack()
        self._errors = self._stack.enter_context(tempfile.TemporaryFile())

    @property
    def addresses(self) -> list[Address | None]:
        """Where each server listens; None: it does not."""
        return [None if host is None else host.address for host in self.hosts]

    @property
    def changing(self) -> bool:
        """Some server is about to start or to stop."""
        return bool(self._launching or self._stopping)

    def start(self) -> None:
        """Redis and all servers; returns when all listen."""
        with in_memory():
            self._stack.enter_context(self.redis)
        for n in range(1, len(self.hosts) if self._with_links else 0):
            link = Link(self.redis.address, client=f"server {n}", server="redis", seed=n)
            self.links[n] = self._stack.enter_context(link)
        for n in range(len(self.hosts)):
            self.launch(n)
        while self._launching:
            self.look()
            sleep(0.005)

    def launch(self, n: int, same_port: bool = False) -> None:
        """Start a server; `look` will find that it listens."""
        if not same_port or n not in self._ports:
            self._ports[n] = free_port()
        link = self.links[n]
        # One of them at least goes through its link: or no server could be cut off from Redis any more.
        if link is None or (self._through - {n} and self._chance.random() < 0.3):
            self._through.discard(n)
            url = self.redis.url
        else:
            self._through.add(n)
            url = self.redis.url_through(link.address)
        self._launching[n] = Elsewhere(self._limits, self._ports[n], url, self._server, self._errors)

    def look(self) -> list[int]:
        """Servers that have stopped since the last look; those that now listen are in `hosts`."""
        for n, host in list(self._launching.items()):
            try:
                listens = host.ready()
            except RuntimeError:
                host.stop()
                self._failed += 1
                if self._failed > TRIES:
                    raise
                self.launch(n)  # another program was faster to take its port
                continue
            if listens:
                self.hosts[n] = self._launching.pop(n)
        stopped = [n for n, host in self._stopping.items() if host.over]
        for n in stopped:
            self._stopping.pop(n).stop()
        return stopped

    def kill(self, n: int) -> None:
        """A server ends at once."""
        host, self.hosts[n] = self.hosts[n], None
        assert n and host is not None
        host.kill()
        host.stop()

    def stop(self, n: int) -> None:
        """A server is asked to end; `look` will find that it has."""
        host, self.hosts[n] = self.hosts[n], None
        assert n and host is not None
        self._stopping[n] = host
        host.ask_to_stop()

    def goes_through(self, n: int) -> Link | None:
        """The link between this server and Redis, if it uses one."""
        return self.links[n] if n in self._through and self.hosts[n] is not None else None

    def stop_all(self) -> None:
        """All servers in good order, that which is always there as the last."""
        for n in reversed(range(len(self.hosts))):
            host, self.hosts[n] = self.hosts[n], None
            if host is not None:
                host.stop()

    def left_in_redis(self) -> list[str]:
        """What is still there when all servers have stopped."""
        if not self.redis.running:
            return ["(it does not run)"]
        import redis

        with redis.Redis.from_url(self.redis.url) as asking:
            return sorted(key.decode() for key in asking.keys())

    def complaints(self) -> str:
        """What servers have written to stderr."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")

    def close(self) -> None:
        """End whatever runs."""
        for host in [*self._launching.values(), *self._stopping.values()]:
            host.kill()
            host.stop()
        for n, running in enumerate(self.hosts):
            if running is not None:
                self.hosts[n] = None
                running.kill()
                running.stop()
        self._stack.close()
