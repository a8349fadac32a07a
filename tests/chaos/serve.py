"""A server for the clients, in a process of its own: `python serve.py "Limits(…)" PORT CLASS [REDIS_URL]`.

CLASS is SmallBuffers, or one of the servers that are made wrong (broken_backplanes.py, broken_servers.py).
Ends with SIGTERM, and with the program that started it. A stop that SIGINT interrupts is begun again. The
last thing that it prints is what the server has left behind.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from chaos.hosts import SmallBuffers, resources  # noqa: E402
from labkit import ChatServer  # noqa: E402
from labkit.server.limits import Limits  # noqa: E402

GONE = 2.0
"""Seconds that the kernel may take to be rid of a thread that has ended."""


def main(limits: Limits, port: int, name: str, backplane: str | None) -> None:
    asked_to_stop = []
    signal.signal(signal.SIGTERM, lambda *_: asked_to_stop.append(True))
    # A shell that starts the tests in the background has them ignore it, and a child inherits that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parent = os.getppid()
    options = {} if backplane is None else {"backplane": backplane}
    make = _kind(name)
    before = resources(psutil.Process())
    try:
        server = make(port=port, limits=limits, **options).start()
    except OSError as error:  # perhaps the port is taken; the fleet tries another one
        print(f"! {error}", flush=True)
        sys.exit(1)
    print(f"{server.address[0]}:{server.address[1]}", flush=True)
    try:
        while not asked_to_stop and os.getppid() == parent and not server.wait(0.1):
            pass
    finally:
        _stop(server)
    threads, descriptors = _left(before)
    print(f"left {threads} threads and {descriptors} descriptors", flush=True)


def _kind(name: str) -> Callable[..., ChatServer]:
    if name == SmallBuffers.__name__:
        return SmallBuffers
    from chaos import broken_backplanes, broken_servers

    kind: Callable[..., ChatServer] = getattr(broken_servers, name, None) or getattr(
        broken_backplanes, name
    )
    return kind


def _stop(server: ChatServer) -> None:
    while True:
        try:
            server.stop()
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            return
        except KeyboardInterrupt:
            pass  # once more


def _left(before: tuple[int, int]) -> tuple[int, int]:
    """How many threads and descriptors there are now more than before."""
    give_up = monotonic() + GONE
    while True:
        now = resources(psutil.Process())
        if now <= before or monotonic() > give_up:
            return now[0] - before[0], now[1] - before[1]
        sleep(0.01)


if __name__ == "__main__":
    main(
        eval(sys.argv[1], {"Limits": Limits}),
        int(sys.argv[2]),
        sys.argv[3],
        sys.argv[4] if sys.argv[4:] else None,
    )
