"""All that differs between operating systems about sockets.

Linux and macOS can send at once on a socket that another thread waits on (MSG_DONTWAIT), and give up a
`recv` after a while (SO_RCVTIMEO). Windows can do neither: there no socket blocks, and a thread waits in
`select`. And SO_REUSEADDR, which elsewhere gives a server its port back, lets another program steal it.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any

if sys.platform == "linux":
    import fcntl
    import termios

Address = tuple[str, int]

HAS_DONTWAIT = hasattr(socket, "MSG_DONTWAIT")  # a test sets it to False, to try the other way
_NOW = int(getattr(socket, "MSG_DONTWAIT", 0))
# Python ignores SIGPIPE, but a program that imports labkit may not.
SEND_NOW = _NOW | int(getattr(socket, "MSG_NOSIGNAL", 0))

KEEPALIVE_IDLE = 30  # seconds of quiet before the kernel asks whether the peer still lives …
KEEPALIVE_INTERVAL = 10  # … seconds between two such questions …
KEEPALIVE_PROBES = 3  # … and how many may stay unanswered: 60 s in all
_LOOK_AROUND = 0.05  # seconds; how often `connect` asks whether it is still wanted
_WAKE_UP = 0.2  # seconds; how often a waiting thread looks around where shutdown() does not wake it

_CANNOT_LISTEN = {
    errno.EADDRINUSE: "another program listens there already",
    errno.EACCES: "that port needs more rights than you have (below 1024, or reserved)",
    errno.EADDRNOTAVAIL: "this machine has no such address",
}


def listen(host: str, port: int, waiting: int = 4096) -> socket.socket:
    """A listening socket; port 0 takes any free one. `waiting` connections may queue for accept.

    Raises:
        OSError: the port is taken, or is not ours to take; the host is none of this machine's, or there
            is none; the text says which.
    """
    family, where = _resolve(host, port)
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "nt":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)  # type: ignore[attr-defined]
        else:
            # Or the port stays taken for a minute after a server that had clients (TIME_WAIT, RFC 9293).
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(waiting)
    except OSError as error:
        listener.close()
        why = _CANNOT_LISTEN.get(error.errno or 0, error.strerror)
        if error.errno == errno.EADDRINUSE and _is_ours(port):
            why = "this very program listens there already: stop its older server first"
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {why}") from None
    return listener


def _is_ours(port: int) -> bool:
    """Whether a socket of this process listens on the port."""
    import psutil  # here, for a quick `import labkit`

    try:
        mine = psutil.Process().net_connections("tcp")
    except (psutil.Error, OSError):
        return False  # not to be known
    return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in mine)


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, Any]:
    """The family and the address to use for a host: its IPv4 one where it has one.

    `localhost` may mean ::1 first, where a server on 127.0.0.1 does not listen.
    """
    if not host:  # getaddrinfo would take it for this machine
        raise OSError(errno.EINVAL, "the host is empty")
    if not 0 <= port <= 65535:
        raise ValueError(f"a port is a number from 0 to 65535, not {port}")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise OSError(error.errno, f"no such host: {host} ({error.strerror})") from None
    except UnicodeError:  # from the idna codec: a part that is empty, or too long
        raise OSError(errno.EINVAL, f"no such host: {host} (no host can be called so)") from None
    family, _, _, _, where = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return family, where


def connect(
    address: Address,
    timeout: float,
    given_up: Callable[[], bool] | None = None,
    receive_buffer: int | None = None,
) -> socket.socket:
    """Connect, or say plainly why not.

    Args:
        timeout: seconds.
        given_up: asked now and then while it waits: whether to give up.
        receive_buffer: bytes that the kernel may keep for it, which must be set before it connects.

    Raises:
        ConnectionError: no server listens there, none answered in time, or it was given up.
        OSError: there is no such host.
    """
    host, port = address
    family, where = _resolve(host, port)
    sock = socket.socket(family, socket.SOCK_STREAM)
    trouble: OSError
    try:
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        _connect(sock, where, timeout, given_up)
        return sock
    except TimeoutError:
        trouble = ConnectionError(f"no answer from {host}:{port} within {timeout:g} s")
    except ConnectionRefusedError:
        trouble = ConnectionRefusedError(f"nobody listens on {host}:{port} (is the server running?)")
    except OSError as error:
        trouble = ConnectionError(f"cannot reach {host}:{port}: {error.strerror}")
    sock.close()
    raise trouble


def _connect(sock: socket.socket, where: Any, timeout: float, given_up: Callable[[], bool] | None) -> None:
    """`sock.connect` in steps, with a look at `given_up` between them. Raises what it would."""
    deadline = monotonic() + timeout
    sock.setblocking(False)
    error = sock.connect_ex(where)
    while error in (errno.EINPROGRESS, errno.EWOULDBLOCK):
        if given_up is not None and given_up():
            raise ConnectionAbortedError(errno.ECONNABORTED, "it was given up")
        left = deadline - monotonic()
        if left <= 0:
            raise TimeoutError
        if writable(sock, min(_LOOK_AROUND, left)):
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))
    sock.settimeout(timeout)


def prepare(sock: socket.socket) -> None:
    """Make a connection ready for chat: small lines go out at once, and a dead machine is noticed.

    Keepalive notices it within about 60 s; while data is on its way, TCP_USER_TIMEOUT does. See tcp(7).
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    dead_after = KEEPALIVE_IDLE + KEEPALIVE_INTERVAL * KEEPALIVE_PROBES
    # Linux calls the first one KEEPIDLE, macOS KEEPALIVE; a system that lacks one keeps its default.
    for name, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE),
        ("TCP_KEEPALIVE", KEEPALIVE_IDLE),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL),
        ("TCP_KEEPCNT", KEEPALIVE_PROBES),
        ("TCP_USER_TIMEOUT", 1000 * dead_after),
    ):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    sock.setblocking(HAS_DONTWAIT)


def patience(sock: socket.socket, seconds: float | None) -> None:
    """From now on `receive` gives up after so many seconds; None: never."""
    if not HAS_DONTWAIT:
        return  # `receive` waits in select, and is told each time
    whole = 0 if seconds is None else max(seconds, 0.001)  # 0 means never to the kernel
    value = struct.pack("@ll", int(whole), int(whole % 1 * 1_000_000))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)


def receive(sock: socket.socket, size: int, seconds: float | None = None) -> bytes:
    """`recv`, giving up as `patience` said; b"" is the peer's FIN, or our own `shutdown`.

    `seconds` repeats what `patience` was told, for the systems that need it here.

    Raises:
        TimeoutError: nothing came in time.
        OSError: the connection is broken.
    """
    give_up = None if seconds is None else monotonic() + seconds
    while True:
        try:
            return sock.recv(size)
        except BlockingIOError:
            if HAS_DONTWAIT or (give_up is not None and monotonic() >= give_up):
                raise TimeoutError("nothing came") from None
        except TimeoutError as error:
            # ETIMEDOUT: keepalive went unanswered. The peer is gone, and not merely silent.
            raise ConnectionAbortedError(error.errno, error.strerror) from None
        left = _WAKE_UP if give_up is None else min(_WAKE_UP, max(0.0, give_up - monotonic()))
        select.select([sock], [], [], left)


def send_now(sock: socket.socket, data: bytes | memoryview) -> int:
    """Send what the kernel takes without waiting; how many bytes that was, perhaps 0.

    Raises:
        OSError: the connection is broken.
    """
    try:
        return sock.send(data, SEND_NOW)
    except BlockingIOError:
        return 0


def _poll(sock: socket.socket, events: int, seconds: float) -> int:
    """The events of poll(2) that come within so many seconds. select cannot see descriptors above 1023."""
    poll = select.poll()
    poll.register(sock, events)
    came = poll.poll(1000 * seconds)
    return came[0][1] if came else 0


def readable(sock: socket.socket, seconds: float) -> bool:
    """Whether `recv` would return at once: now, or within so many seconds."""
    if hasattr(select, "poll"):
        return _poll(sock, select.POLLIN, seconds) != 0
    return bool(select.select([sock], [], [], min(seconds, _WAKE_UP))[0])


def writable(sock: socket.socket, seconds: float) -> bool:
    """Whether `send` would take something: now, or within so many seconds."""
    if hasattr(select, "poll"):
        return _poll(sock, select.POLLOUT, seconds) != 0
    # The third list is how Windows tells that a `connect` failed.
    return any(select.select([], [sock], [sock], seconds))


def ended_by(sock: socket.socket) -> str | None:
    """Which of "FIN" and "RST" has come from the peer, even behind bytes that are unread; or None.

    Linux alone tells of a FIN before its turn (POLLRDHUP); elsewhere only what has broken is seen.
    """
    if not hasattr(select, "poll"):
        return None
    events = _poll(sock, getattr(select, "POLLRDHUP", 0), 0)
    if events & (select.POLLERR | select.POLLHUP):
        return "RST"
    return "FIN" if events else None


def receive_now(sock: socket.socket, size: int) -> bytes | None:
    """What has arrived, or None if nothing has; b"" is the peer's FIN. Never waits.

    Raises:
        OSError: the connection is broken.
    """
    try:
        return sock.recv(size, _NOW)
    except BlockingIOError:
        return None


def unsent(sock: socket.socket) -> int:
    """Bytes that `send` took and the peer's kernel has not acknowledged; 0 where the kernel cannot tell.

    Linux: SIOCOUTQ, see tcp(7). macOS: SO_NWRITE.
    """
    if sys.platform == "linux":
        return int.from_bytes(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    if sys.platform == "darwin":
        return sock.getsockopt(socket.SOL_SOCKET, 0x1024)
    return 0


def shut(sock: socket.socket, how: int) -> None:
    """`shutdown`, which wakes a thread in `recv`; that the peer was quicker is no error."""
    try:
        sock.shutdown(how)
    except OSError as error:
        # ENOTCONN: it was gone already. EINVAL: macOS says so of a half-closed connection.
        if error.errno not in (errno.ENOTCONN, errno.EINVAL):
            raise


def reset_on_close(sock: socket.socket) -> None:
    """Let `close` send RST and forget what was not sent yet, instead of FIN (SO_LINGER with 0 s)."""
    layout = "hh" if os.name == "nt" else "ii"
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(layout, 1, 0))
    except OSError as error:
        if error.errno != errno.EINVAL:  # macOS says so of a connection that is reset already
            raise


def waker() -> tuple[socket.socket, socket.socket]:
    """Two connected sockets: a byte written to the second wakes a `select` on the first."""
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    return ends


def wake(waker: socket.socket) -> None:
    """Wake the `select` at the other end of what `waker()` made. Any thread may."""
    with suppress(BlockingIOError):  # so many wake-ups unread: it will wake
        waker.send(b"!")
