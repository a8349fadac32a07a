"""What a link costs: 100 MB through it, beside 100 MB over a connection without one.

    python tests/benches/bench_link.py [--megabytes 100] [--repeats 7]

Sender and receiver are two threads of this process; the link, where there is one, is a third. The two
ways are measured in turn. Printed: megabytes a second each time, and the median ratio, pair by pair.

Not a test: pytest does not collect it. It talks to loopback only and ends by itself.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import statistics
import threading
import time

from labkit.instruments.link import Link

CHUNK = 256 * 1024


def megabytes_a_second(megabytes: int, through_link: bool) -> float:
    """One transfer, from connect to the last byte."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        address = listener.getsockname()
        if through_link:
            address = stack.enter_context(Link(address)).address
        sender = stack.enter_context(socket.create_connection(address))
        receiver = stack.enter_context(listener.accept()[0])
        receiving = threading.Thread(target=take, args=(receiver, megabytes * 1_000_000))
        data = bytes(CHUNK)
        left = megabytes * 1_000_000
        start = time.perf_counter()
        receiving.start()
        while left:
            sender.sendall(data[:left])
            left -= min(left, CHUNK)
        receiving.join()
        return megabytes / (time.perf_counter() - start)


def take(sock: socket.socket, size: int) -> None:
    buffer = bytearray(CHUNK)
    while size:
        size -= sock.recv_into(buffer)


def main() -> None:
    parser = argparse.ArgumentParser(description="what a link costs")
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=7)
    asked = parser.parse_args()
    ratios = []
    for _ in range(asked.repeats):
        direct = megabytes_a_second(asked.megabytes, through_link=False)
        linked = megabytes_a_second(asked.megabytes, through_link=True)
        ratios.append(linked / direct)
        print(f"direct {direct:>6,.0f} MB/s   through a link {linked:>6,.0f} MB/s   ratio {ratios[-1]:.2f}")
    print(f"ratio: {statistics.median(ratios):.2f} (median of {len(ratios)} pairs)")


if __name__ == "__main__":
    main()
