"""How much each end of a TCP connection keeps in its kernel's buffers, and how much may wait for `accept`.

Of a socket that this program has, most systems tell how many bytes are unread (FIONREAD) and unsent
(SIOCOUTQ on Linux, SO_NWRITE on macOS). Of any socket of this machine, another program's too, Linux tells
more: netlink.py, or, where a sandbox forbids that, `/proc/net/tcp` (proc(5)). It only reads.

What SO_SNDBUF and SO_RCVBUF say is memory, with the kernel's overhead for each piece. Linux doubles what
was set, for that overhead, and makes the buffers larger by itself, up to `tcp_wmem` and `tcp_rmem`: see
socket(7) and tcp(7). So a buffer is full before it holds as many bytes as it has room.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections.abc import Iterator
from typing import NamedTuple

from labkit.probe import kernel, netlink
from labkit.probe.netlink import Address, CannotTell, Queues
from labkit.wire import sockets

if sys.platform != "win32":
    import fcntl
    import termios

_SIOCOUTQNSD = 0x894B
_PROBES = 4  # as in netlink.py; proc(5) calls it the timer "tr"


def plain(address: tuple[object, ...]) -> Address:
    """(host, port) of what `getsockname` and `getpeername` return; an IPv4 address in IPv6 becomes IPv4."""
    host, port = str(address[0]).partition("%")[0], int(str(address[1]))
    found = ipaddress.ip_address(host)
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found), port


def ends(sock: socket.socket) -> tuple[Address, Address]:
    """The two ends of a connected socket: its own, and the other.

    Raises:
        OSError: it is closed, or not connected.
    """
    return plain(sock.getsockname()), plain(sock.getpeername())


def at(end: Address, other: Address, sock: socket.socket | None = None) -> Queues | None:
    """What `end` of the connection keeps; None: this machine has no such connection (any more).

    `sock` is that end itself, if this program has it.

    Raises:
        CannotTell: this system does not tell; the text is a sentence that says so.
    """
    try:
        return netlink.queues_at(end, other)
    except CannotTell:
        pass
    found = _in_tables(end, other)
    if sock is None:
        if kernel.TABLES[0].exists():
            return found
        raise CannotTell(f"{system()} does not tell a program what another's buffers hold.")
    try:
        read_room = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        send_room = sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        if found is None:
            found = Queues(_unread(sock), sockets.unsent(sock), shut=False)
        # What memory the bytes take is not told, so they are counted without the overhead; but whether
        # there is room for more is.
        send_used = found.unsent if sockets.writable(sock, 0) else send_room
    except (OSError, ValueError):
        return None  # closed meanwhile
    return Queues(found.unread, found.unsent, found.shut, found.unread, read_room, send_used, send_room)


def waiting(listener: Address) -> tuple[int, int] | None:
    """How many connections wait to be accepted, and how many may (0: not told); None: nobody listens there.

    Raises as `at`.
    """
    for end in dict.fromkeys((listener, ("0.0.0.0", listener[1]), ("::", listener[1]))):
        try:
            if found := netlink.waiting_at(end):
                return found
        except CannotTell:
            if not kernel.TABLES[0].exists():
                raise CannotTell(
                    f"{system()} does not tell how many connections wait to be accepted."
                ) from None
            # proc(5) leaves out that the receive queue of a listener counts connections (tcp_ipv4.c).
            return next(
                ((row.unread, 0) for row in _rows() if (row.own_port, row.other_port) == (end[1], 0)), None
            )
    return None


def on_the_way(sock: socket.socket) -> int:
    """Bytes that went out and that the peer's kernel has not acknowledged yet. 0 where the kernel does not
    tell: Linux does, SIOCOUTQ less SIOCOUTQNSD (linux/sockios.h)."""
    if sys.platform != "linux":
        return 0
    not_sent = int.from_bytes(fcntl.ioctl(sock, _SIOCOUTQNSD, bytes(4)), sys.byteorder)
    return sockets.unsent(sock) - not_sent


def system() -> str:
    """What this operating system is called."""
    return {"darwin": "macOS", "win32": "Windows", "linux": "This Linux"}.get(sys.platform, sys.platform)


def _unread(sock: socket.socket) -> int:
    """FIONREAD: see tcp(7), or ioctl(2) on macOS. Windows has it, and Python does not."""
    if sys.platform == "win32":
        raise CannotTell("Python cannot ask Windows how many bytes are unread.")
    return int.from_bytes(fcntl.ioctl(sock, termios.FIONREAD, bytes(4)), sys.byteorder)


class _Row(NamedTuple):
    """A TCP socket in the kernel's tables."""

    own_port: int
    other_port: int
    unsent: int
    unread: int
    timer: int


def _in_tables(end: Address, other: Address) -> Queues | None:
    for row in _rows():
        if (row.own_port, row.other_port) == (end[1], other[1]):
            return Queues(row.unread, row.unsent, row.timer == _PROBES)
    return None


def _rows() -> Iterator[_Row]:
    for table in kernel.TABLES:
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue  # no such table
        for line in lines:
            _, here, there, _, queues, timer, *_ = line.split()
            parts = (here.split(":")[1], there.split(":")[1], *queues.split(":"), timer.split(":")[0])
            yield _Row(*(int(part, 16) for part in parts))
