"""Many who read slowly, and one who says next to nothing, again and again: what waits for them has a limit.

A short line that waits costs many times its bytes, and a little more for each client that it waits for. The
memory of the server's process is held against `Limits.waiting`.
"""

from __future__ import annotations

from time import monotonic

from chaos.client import Client, State
from chaos.hosts import Elsewhere, SmallBuffers
from chaos.verdict import Kind, Verdict
from labkit.server.limits import Limits

LIMITS = Limits(behind=900_000, waiting=1_000_000)
READERS = 300
SMALL = 4096
"""Bytes that a reader's kernel keeps, about."""

FILLING = 50  # lines of 4 kB that fill what kernels keep
LINES = 1500  # and then this many of one letter, each when one who reads all has heard the last
RATE = 1000.0
"""Bytes a second that a reader reads: it takes something, now and then."""

OVER = 1.1
"""Times the limit that the memory may grow …"""

MARGIN = 1_500_000
"""… and bytes more, for what the process needs itself."""

IDLE = 3.0
"""Seconds without a line said after which the server has slowed the talker for good."""

LONGEST = 60.0  # seconds


def try_memory(server: str = SmallBuffers.__name__) -> Verdict:
    """Whether this server, by the name of its class (serve.py), keeps within its limit."""
    verdict = Verdict()
    host = Elsewhere(LIMITS, server=server).started()
    clients: list[Client] = []
    try:
        for n in range(READERS + 1):
            client = Client(host.address, f"reader{n}" if n else "talker", small=SMALL * bool(n))
            clients.append(client)
            _until_in(client, clients)
        _try(clients[0], clients, host, verdict)
    finally:
        for client in clients:
            client.close()
        host.stop()
    return verdict


def _until_in(client: Client, clients: list[Client]) -> None:
    give_up = monotonic() + LONGEST
    while client.state is not State.IN:
        for one in clients:
            one.read()
        if monotonic() > give_up:
            raise TimeoutError(f"{client.life} is not let in")


def _try(talker: Client, readers: list[Client], host: Elsewhere, verdict: Verdict) -> None:
    listener = readers[1]
    for reader in readers[2:]:
        reader.rate = RATE
    talker.send(b"".join(b"x" * 4000 + b"\n" for n in range(FILLING)))
    before = host.process.memory_info().rss
    most = 0
    heard = 0
    said, moved, start = 0, monotonic(), monotonic()
    while said < LINES or talker.blocked:
        now = monotonic()
        talker.flush()
        listener.read()
        if not talker.blocked and said < LINES and len(listener.life.heard) > heard:
            talker.send(b"x\n")
            said, moved, heard = said + 1, now, len(listener.life.heard)
        talker.read()
        for reader in readers[2:] if said % 50 == 0 else ():
            if reader.state is not State.OVER:
                reader.sip(now)
        most = max(most, host.process.memory_info().rss - before)
        if most > OVER * LIMITS.waiting + MARGIN:
            break
        if now - moved > IDLE or now - start > LONGEST:
            break
    if most > OVER * LIMITS.waiting + MARGIN:
        what = f"memory grew by {most / 1e6:.0f} MB; {LIMITS.waiting / 1e6:.0f} MB may wait"
        verdict.complain(Kind.UNBOUNDED, f"{what}, after {said} lines for {READERS} readers")
    verdict.deliveries = said * READERS
