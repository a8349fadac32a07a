"""What the kernel knows of the other end of a connection: whether the server has read what was sent.

Two sends can arrive as one. To keep two messages apart, whatever the server makes of them, a client must
not send the second before the server has read the first. No byte on the wire tells that. But on one machine
both ends belong to one kernel, and Linux answers (netlink.py), or shows its tables: proc(5),
`/proc/net/tcp`.

Elsewhere a pause has to do. All this only reads: it sends nothing, and touches no process.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

from labkit.probe import netlink
from labkit.probe.deadline import Clock, Deadline
from labkit.wire import sockets

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))

PAUSE = 0.3
"""Seconds to wait between two sends where the kernel does not tell whether the first was read."""

ARRIVED = 0.01
"""Seconds after which data sent on this machine has arrived. Its acknowledgement may take longer: up to
40 ms, for something to travel with (TCP_DELACK_MIN in Linux)."""

_LISTEN = "0A"  # TCP_LISTEN in the kernel's enumeration of states


def _rows(table: Path, end: int) -> Iterator[tuple[str, int, int, str, int]]:
    """Local address and port, remote port, state and unread bytes of each TCP socket in a table that has
    this port at one of its ends."""
    ending = f":{end:04X} "
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return  # no such table: another system, or no IPv6
    for line in lines:
        if ending not in line:  # a busy machine has thousands
            continue
        _, here, there, state, queues, *_ = line.split()
        address, _, port = here.partition(":")
        yield (
            address,
            int(port, 16),
            int(there.partition(":")[2], 16),
            state,
            int(queues.partition(":")[2], 16),
        )


def on_this_machine(sock: socket.socket) -> bool:
    """Whether both ends of the connection are in this kernel's tables."""
    try:
        here, there = sock.getsockname()[0], sock.getpeername()[0]
    except OSError:
        return False  # no longer connected
    return TABLES[0].exists() and (here == there or there.startswith("127."))


def unread(sock: socket.socket) -> int:
    """Bytes that have arrived at the other end and were not read there; 0 if that end is gone.

    Only for a socket that is `on_this_machine`.
    """
    try:
        here, there = sock.getsockname()[:2], sock.getpeername()[:2]
    except OSError:
        return 0
    with contextlib.suppress(netlink.CannotTell):
        return netlink.unread_at(there, here)
    ours, theirs = here[1], there[1]
    for table in TABLES:  # reading one takes milliseconds; the first is mostly enough
        for _, local, remote, _, queued in _rows(table, theirs):
            if (local, remote) == (theirs, ours):
                return queued
    return 0


def wait_until_read(
    sock: socket.socket, sent_at: float, seconds: float, clock: Clock | None = None
) -> bool:
    """Wait until the other end has read all that was sent, the last of it at `sent_at` (monotonic).

    Where the kernel does not tell, until PAUSE seconds have passed since then. False: it was not read
    within `seconds`.
    """
    if not on_this_machine(sock):
        sleep(max(0.0, sent_at + PAUSE - monotonic()))
        return True
    deadline = Deadline(seconds, clock)
    nap, over = 0.0005, False
    while unread(sock) or (sockets.unsent(sock) and monotonic() < sent_at + ARRIVED):
        if over:
            return False
        over = deadline.passed()
        sleep(nap)
        nap = min(2 * nap, 0.002)
    return True


def acknowledge(sock: socket.socket) -> None:
    """Acknowledge now what was received.

    Linux waits up to 40 ms for something to travel with; and a program that sends a second small line to
    this end waits for that, unless it has set TCP_NODELAY (Nagle's algorithm, RFC 896).
    """
    if hasattr(socket, "TCP_QUICKACK"):
        with contextlib.suppress(OSError):  # the connection has just broken
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def listens(port: int) -> str | None:
    """The address at which a program on this machine listens on this port, as seen from this machine.

    Linux; elsewhere always None. It sends nothing: a server would take a connection for a client.
    """
    for table in TABLES:
        for address, local, _, state, _ in _rows(table, port):
            if local == port and state == _LISTEN:
                return _reached_at(address)
    return None


def listener(port: int) -> int | None:
    """The id of the process that listens on this port of this machine, if we may know."""
    import psutil  # seldom needed

    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                return int(connection.pid) if connection.pid else None
    return None


def _reached_at(address: str) -> str:
    """An address of the tables in its usual form; for "any", this machine's own."""
    words = [bytes.fromhex(address[i : i + 8])[::-1] for i in range(0, len(address), 8)]
    found = ipaddress.ip_address(b"".join(words) if sys.byteorder == "little" else bytes.fromhex(address))
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    if found.is_unspecified:
        return "127.0.0.1" if found.version == 4 else "::1"
    return str(found)
