"""How long a line takes beside a flood: one says it, another waits for it, and some talk without a pause.

    python tests/benches/bench_flood.py [--flooders 4] [--lines 200] [--repeats 5] [--server COMMAND ...]

The server is on the first processor, all clients are on the second, where there are two. Nobody but the one
who waits looks at what comes. Several servers take turns: that compares two versions. Each is to say where
it listens, as `labkit serve` does. Printed, as medians: milliseconds within which half of the lines came,
and 99 of 100.

Not a test: pytest does not collect it. It talks to loopback only and ends by itself.
"""

from __future__ import annotations

import argparse
import shlex
import socket
import statistics
import sys
import threading
import time
from contextlib import suppress

from rounds import on_processor, running

from labkit.instruments.load.joining import join

SERVE = f"{shlex.quote(sys.executable)} -m labkit serve --port 0"
IDLE = 3  # clients besides
IN_A_SEND = 50  # lines
GAP = 0.004  # seconds between two lines that are timed
PATIENCE = 20.0


def passes_over(sock: socket.socket) -> None:
    """Read all that comes, and look at nothing."""
    room = bytearray(1 << 20)
    with suppress(OSError):
        while sock.recv_into(room):
            pass


def floods(sock: socket.socket, over: threading.Event) -> None:
    data = b"".join(b"x%07d\n" % n for n in range(IN_A_SEND))
    with suppress(OSError):
        while not over.is_set():
            sock.sendall(data)


def times(address: tuple[str, int], flooders: int, lines: int) -> list[float]:
    """Seconds that each line took, from its send to its recv."""
    clients, _ = join([address], 2 + IDLE + flooders, PATIENCE)
    socks = [client.sock for client in clients]
    for sock in socks:
        sock.settimeout(PATIENCE)
    talker, hearer, *others = socks
    over = threading.Event()
    threads = [threading.Thread(target=passes_over, args=(sock,)) for sock in [talker, *others]]
    threads += [threading.Thread(target=floods, args=(sock, over)) for sock in others[IDLE:]]
    for thread in threads:
        thread.start()
    sent: list[float] = []

    def says() -> None:
        for n in range(lines):
            sent.append(time.perf_counter())
            talker.sendall(b"probe%d.\n" % n)
            time.sleep(GAP)

    saying = threading.Thread(target=says)
    saying.start()
    took: list[float] = []
    try:
        rest = b""
        while len(took) < lines:
            data = rest + hearer.recv(1 << 20)
            now = time.perf_counter()
            while (at := data.find(b"probe%d.\n" % len(took))) >= 0:
                data = data[at:]
                took.append(now - sent[len(took)])
            rest = data[-32:]
    finally:
        over.set()
        saying.join()
        for sock in socks:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        for sock in socks:
            sock.close()
    return sorted(took)


def main() -> None:
    parser = argparse.ArgumentParser(description="what a line takes beside a flood")
    parser.add_argument("--flooders", type=int, default=4)
    parser.add_argument("--lines", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--server", action="append", help="its command; several: in turn")
    asked = parser.parse_args()
    servers = asked.server or [SERVE]
    figures: dict[str, list[tuple[float, float]]] = {server: [] for server in servers}
    with on_processor(1):
        for _ in range(asked.repeats):
            for server in servers:
                with running(shlex.split(server)) as (address, _):
                    took = times(address, asked.flooders, asked.lines)
                figures[server].append((took[len(took) // 2], took[len(took) * 99 // 100]))
    for server, pairs in figures.items():
        half, most = (1000 * statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"half within {half:.0f} ms, 99 of 100 within {most:.0f} ms: {server}")


if __name__ == "__main__":
    main()
