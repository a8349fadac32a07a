"""Ten thousand clients on one server: how long they take to join, hear a line and leave; what they cost.

    python tests/benches/bench_many.py [--clients 10000]

The server is `labkit serve`, a process of its own on the first processor; the clients are sockets on one
selector, on the second, where there are two. Printed: the seconds until all have joined and been welcomed;
the seconds until each has heard one line (median of three lines); the server's memory for each client
(its unique set size, from psutil); and how many threads and descriptors are left when all have gone.

Each process needs as many descriptors as there are clients, and a few more (`ulimit -n`).

Not a test: pytest does not collect it. It talks to loopback only and ends by itself.
"""

from __future__ import annotations

import argparse
import selectors
import socket
import statistics
import sys
import time

import psutil
from rounds import on_processor, running

AT_ONCE = 250  # who may be joining at the same time
TIME_LIMIT = 120.0  # seconds for each of the three parts
QUIET = 0.5  # seconds without a byte: everything that was under way has come


class ManyClients:
    """All the clients, on one selector."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._selector = selectors.DefaultSelector()
        self._socks: list[socket.socket] = []

    def join(self, count: int) -> float:
        """Seconds until so many have been welcomed."""
        start = time.perf_counter()
        asked: set[int] = set()
        welcomed: set[int] = set()
        while len(welcomed) < count:
            while len(self._socks) < count and len(self._socks) - len(welcomed) < AT_ONCE:
                sock = socket.socket()
                sock.setblocking(False)
                sock.connect_ex(self._address)
                self._selector.register(sock, selectors.EVENT_READ, len(self._socks))
                self._socks.append(sock)
            for sock, number, data in self._came(start):
                if number not in asked and b"nickname\n" in data:
                    sock.sendall(b"client%05d\n" % number)
                    asked.add(number)
                if b"* you are " in data:
                    welcomed.add(number)
        return time.perf_counter() - start

    def hear(self, text: bytes) -> float:
        """Seconds until what one of them says has reached all the others."""
        start = time.perf_counter()
        self._socks[0].sendall(text + b"\n")
        heard: set[int] = set()
        while len(heard) < len(self._socks) - 1:
            heard.update(number for _, number, data in self._came(start) if text in data)
        return time.perf_counter() - start

    def settle(self) -> None:
        """Read until nothing comes any more."""
        last = time.perf_counter()
        while time.perf_counter() - last < QUIET:
            if any(True for _ in self._came(last)):
                last = time.perf_counter()

    def leave(self) -> None:
        for sock in self._socks:
            self._selector.unregister(sock)
            sock.close()
        self._selector.close()

    def _came(self, start: float):  # type: ignore[no-untyped-def]
        """What has come to whom."""
        if time.perf_counter() - start > TIME_LIMIT:
            raise SystemExit(f"not done after {TIME_LIMIT:g} s")
        for key, _ in self._selector.select(0.1):
            data = key.fileobj.recv(262_144)  # type: ignore[union-attr]
            if not data:
                raise SystemExit("the server hung up on a client (is `ulimit -n` high enough?)")
            yield key.fileobj, key.data, data


def main() -> None:
    parser = argparse.ArgumentParser(description="many clients on one server")
    parser.add_argument("--clients", type=int, default=10_000)
    count = parser.parse_args().clients
    command = [sys.executable, "-m", "labkit", "serve", "--port", "0", "--max-clients", str(count + 10)]
    with running(command) as (address, number), on_processor(1):
        watched = psutil.Process(number)
        memory, threads = watched.memory_full_info().uss, watched.num_threads()
        descriptors = watched.num_fds()
        clients = ManyClients(address)
        print(f"{count:,} clients joined in {clients.join(count):.1f} s")
        clients.settle()
        heard = statistics.median(clients.hear(b"line number %d" % n) for n in range(3))
        print(f"all heard one line in {heard:.3f} s (median of 3)")
        each = (watched.memory_full_info().uss - memory) / count
        print(f"{each / 1000:.1f} kB of memory for each")
        start = time.perf_counter()
        clients.leave()
        while (watched.num_threads(), watched.num_fds()) != (threads, descriptors):
            if time.perf_counter() - start > TIME_LIMIT:
                break
            time.sleep(0.02)
        print(
            f"all left after {time.perf_counter() - start:.1f} s: threads {watched.num_threads()} "
            f"(before: {threads}), descriptors {watched.num_fds()} (before: {descriptors})"
        )


if __name__ == "__main__":
    main()
