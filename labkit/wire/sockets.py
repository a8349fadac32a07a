"""All that differs between operating systems about sockets.

Linux can send at once on a socket that another thread waits on (MSG_DONTWAIT), give up a `recv` after a
while (SO_RCVTIMEO), and end it with SHUT_RD without losing what has arrived. Elsewhere no socket blocks,
and a thread that waits looks around: macOS' `send` knows no MSG_DONTWAIT, and its SHUT_RD throws away what
has arrived (XNU's uipc_socket.c); Windows has neither option, and after SHUT_RD its `recv` fails
(WSAESHUTDOWN). And Windows' SO_REUSEADDR, which elsewhere gives a server its port back, lets another
program steal it.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any
from weakref import WeakSet

from labkit.wire import addresses, browser, winsock
from labkit.wire.addresses import Where, place
from labkit.wire.errors import words

if sys.platform == "linux":
    import fcntl
    import termios

Address = addresses.Address

HAS_DONTWAIT = sys.platform == "linux"  # a test sets it to False, to try the other way
_NOW = int(getattr(socket, "MSG_DONTWAIT", 0))
# Python ignores SIGPIPE, but a program that imports labkit may not.
SEND_NOW = _NOW | int(getattr(socket, "MSG_NOSIGNAL", 0))

KEEPALIVE_IDLE = 30  # seconds of quiet before the kernel asks whether the peer still lives …
KEEPALIVE_INTERVAL = 10  # … seconds between two such questions …
KEEPALIVE_PROBES = 3  # … and how many may stay unanswered: 60 s in all
RETRANSMIT_MS = 4000  # milliseconds between two retransmissions, at most; 16 of them come to 52 s, measured
_TCP_RTO_MAX_MS = 44  # linux/tcp.h, from 6.15 on; the socket module does not have it yet
_LONGEST_SEGMENT = 32767  # bytes that TCP_MAXSEG may say: MAX_TCP_WINDOW in Linux
_LOOK_AROUND = 0.05  # seconds; how often `connect` asks whether it is still wanted, and time is left
_WAKE_UP = 0.2  # seconds; how often a waiting thread looks around where SHUT_RD cannot wake it

# What a call says of a connection that is over. EINVAL: macOS, of one that is reset or half closed.
_OVER = (errno.ENOTCONN, errno.EINVAL, errno.ECONNRESET, errno.ECONNABORTED, errno.ESHUTDOWN)

_CANNOT_LISTEN = {
    errno.EADDRINUSE: "another program listens there already",
    errno.EACCES: "that port needs more rights than you have (below 1024, or reserved)",
    errno.EADDRNOTAVAIL: "this machine has no such address",
}


def listen(host: str, port: int, waiting: int = 4096) -> socket.socket:
    """A listening socket; port 0 takes any free one. `waiting` connections may queue for accept.

    The host "" or "*" stands for all addresses of this machine, IPv4 and IPv6.

    Raises:
        OSError: the port is taken, or is not ours to take; the host is none of this machine's, or there
            is none; the text says which.
    """
    for family, where in addresses.to_listen_on((host, port)):
        try:
            return _listen(family, where, waiting)
        except OSError as error:
            trouble = error
        if trouble.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            break
    at = place((host or "*", port))
    why = _CANNOT_LISTEN.get(trouble.errno or 0) or words(trouble)
    if trouble.errno == errno.EADDRINUSE:
        holder = addresses.held_by((family, where))
        if holder == "self":
            why = (
                "this Python process itself listens there already (a ChatServer that was started here "
                "earlier?); stop that one, or take port=0"
            )
        elif holder:
            at = f"{at}, which {holder} holds"
    raise OSError(trouble.errno, f"cannot listen on {at}: {why}")


def _listen(family: socket.AddressFamily, where: Any, waiting: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "nt":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)  # type: ignore[attr-defined]
        else:
            # Or the port stays taken for a minute after a server that had clients (TIME_WAIT, RFC 9293).
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if where[0] == "::" and socket.has_dualstack_ipv6():
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(where)
        listener.listen(waiting)
    except OSError:
        listener.close()
        raise
    return listener


class Dial:
    """Connects to a server without ever waiting: to each of its addresses in turn, until one answers.

    An address that does not answer has its share of the time that is left, the others theirs.

    Args:
        address: (host, port), for what errors say.
        wheres: what `to_connect_to` found for it.
        timeout: seconds, for all of them together.
        receive_buffer: bytes that the kernel may keep for it, which must be set before it connects.

    Raises:
        ConnectionError: there is no socket to be had.
    """

    def __init__(
        self,
        address: Address,
        wheres: Sequence[Where],
        timeout: float,
        receive_buffer: int | None = None,
    ) -> None:
        self._address, self._timeout, self._receive_buffer = address, timeout, receive_buffer
        self._give_up = monotonic() + timeout
        self._untried = deque(wheres)
        self._failures: list[tuple[str, int]] = []  # the addresses that were tried, and their errno
        self.sock: socket.socket  # the one that is to be connected; another one after each failure
        self.due = 0.0  # when `go_on` is to be called, if the socket is not writable before
        self._open()

    def go_on(self) -> bool:
        """Whether `sock` is connected now. False: call again once it is writable, or at `due`.

        Raises:
            ConnectionError: none of the addresses can be reached; the text names them.
        """
        while (error := self._outcome()) is not None:
            if not error:
                return True
            self.sock.close()
            self._failures.append((self._where[0], error))
            self._open()
        return False

    def _open(self) -> None:
        """A socket for the next address."""
        while self._untried:
            family, self._where = self._untried.popleft()
            try:
                self.sock = socket.socket(family, socket.SOCK_STREAM)
            except OSError as error:  # such as no IPv6 here
                self._failures.append((self._where[0], error.errno or 0))
                continue
            self.sock.setblocking(False)
            if os.name == "nt" and self._where[0] in ("127.0.0.1", "::1"):
                winsock.refuse_at_once(self.sock)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # small lines go out at once
            if self._receive_buffer is not None:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
                with suppress(AttributeError, OSError):  # not on every system
                    # Linux gives the other end room for some twenty segments of the longest.
                    longest = min(self._receive_buffer, _LONGEST_SEGMENT)
                    self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, longest)
            self._begun = False
            return
        raise self._trouble()

    def _outcome(self) -> int | None:
        """How connecting to this address has ended: 0, or an errno; None: it has not yet."""
        if not self._begun:
            self._begun = True
            now = monotonic()
            self.due = now + max(0.0, self._give_up - now) / (1 + len(self._untried))
            error = self.sock.connect_ex(self._where)
            if error not in (errno.EINPROGRESS, errno.EWOULDBLOCK):
                return error
        if writable(self.sock, 0):
            return self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return None if monotonic() < self.due else errno.ETIMEDOUT

    def _trouble(self) -> ConnectionError:
        """Why it did not work."""
        hosts = [host for host, _ in self._failures]
        tried = f"tried {', '.join(hosts[:-1])} and {hosts[-1]}" if hosts[1:] else ""
        errors = {error for _, error in self._failures}
        at = place(self._address)
        if errors == {errno.ECONNREFUSED}:
            tried = f"{tried}; " if tried else ""
            return ConnectionRefusedError(f"nobody listens on {at} ({tried}is the server running?)")
        if errors == {errno.ETIMEDOUT}:
            tried = tried and f" ({tried})"
            return ConnectionError(f"no answer from {at} within {self._timeout:g} s{tried}")
        known = {errno.ECONNREFUSED: "nobody listens there", errno.ETIMEDOUT: "no answer in time"}
        whys = [(host, known.get(error) or words(error)) for host, error in self._failures]
        return ConnectionError(
            f"cannot reach {at}: {'; '.join(f'{host}: {why}' if tried else why for host, why in whys)}"
        )


def connect(
    address: Address,
    timeout: float,
    given_up: Callable[[], bool] | None = None,
    receive_buffer: int | None = None,
) -> socket.socket:
    """Connect to the first of the host's addresses that answers, or say plainly why none does.

    Args:
        timeout: seconds, for all addresses together.
        given_up: asked now and then while it waits: whether to give up.
        receive_buffer: bytes that the kernel may keep for it, which must be set before it connects.

    Raises:
        ConnectionError: no server listens there, none answered in time, or it was given up.
        OSError: there is no such host.
    """
    dial = Dial(address, addresses.to_connect_to(address), timeout, receive_buffer)
    try:
        while not dial.go_on():
            if given_up is not None and given_up():
                raise ConnectionError(f"cannot reach {place(address)}: it was given up")
            writable(dial.sock, _LOOK_AROUND)
    except BaseException:
        dial.sock.close()
        raise
    dial.sock.settimeout(timeout)
    return dial.sock


def prepare(sock: socket.socket) -> None:
    """Make a connection ready for chat: small lines go out at once, and a dead machine is noticed.

    Keepalive notices it within about 60 s; while data is on its way, the end of the retransmissions does,
    after 16 of them. Where they cannot be hurried (Linux before 6.15), TCP_USER_TIMEOUT does;
    but that also ends a client which reads so slowly that its window stays shut for 60 s. See tcp(7).
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    dead_after = KEEPALIVE_IDLE + KEEPALIVE_INTERVAL * KEEPALIVE_PROBES
    # Linux calls the first one KEEPIDLE, macOS KEEPALIVE. A system that lacks or refuses one has its own.
    options = {
        "TCP_KEEPIDLE": KEEPALIVE_IDLE,
        "TCP_KEEPALIVE": KEEPALIVE_IDLE,
        "TCP_KEEPINTVL": KEEPALIVE_INTERVAL,
        "TCP_KEEPCNT": KEEPALIVE_PROBES,
    }
    try:
        if sys.platform == "linux":
            sock.setsockopt(socket.IPPROTO_TCP, _TCP_RTO_MAX_MS, RETRANSMIT_MS)
    except OSError:
        options["TCP_USER_TIMEOUT"] = 1000 * dead_after
    for name, value in options.items():
        with suppress(AttributeError, OSError):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    sock.setblocking(HAS_DONTWAIT)


def patience(sock: socket.socket, seconds: float | None) -> None:
    """From now on `receive` gives up after so many seconds; None: never."""
    if not HAS_DONTWAIT:
        return  # `receive` looks around, and is told each time
    whole = 0 if seconds is None else max(seconds, 0.001)  # 0 means never to the kernel
    value = struct.pack("@ll", int(whole), int(whole % 1 * 1_000_000))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)


def receive(sock: socket.socket, size: int, seconds: float | None = None) -> bytes:
    """`recv`, giving up as `patience` said; b"" is the peer's FIN, or our own `stop_reading`.

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
            if sock in _deaf:
                return b""
            if HAS_DONTWAIT or (give_up is not None and monotonic() >= give_up):
                raise TimeoutError("nothing came") from None
        except TimeoutError as error:
            # ETIMEDOUT: keepalive went unanswered. The peer is gone, and not merely silent.
            raise ConnectionAbortedError(error.errno, error.strerror) from None
        readable(sock, _WAKE_UP if give_up is None else max(0.0, give_up - monotonic()))


_deaf: WeakSet[socket.socket] = WeakSet()  # from which `receive` is to take what has arrived, and no more


def stop_reading(sock: socket.socket) -> None:
    """Have `receive` return what has arrived, and then b"", in any thread. The peer is told nothing."""
    if HAS_DONTWAIT:
        shut(sock, socket.SHUT_RD)
    else:
        _deaf.add(sock)


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
    """Whether `recv` would return at once: now, or within so many seconds. Where SHUT_RD cannot
    wake a thread, `receive` and others must look around: this returns sooner."""
    if not HAS_DONTWAIT:
        seconds = min(seconds, _WAKE_UP)
    if hasattr(select, "poll"):
        return _poll(sock, select.POLLIN, seconds) != 0
    return bool(select.select([sock], [], [], seconds)[0])


def writable(sock: socket.socket, seconds: float) -> bool:
    """Whether `send` would take something: now, or within so many seconds."""
    if hasattr(select, "poll"):
        return _poll(sock, select.POLLOUT, seconds) != 0
    # The third list is how Windows tells that a `connect` failed.
    return any(select.select([], [sock], [sock], seconds))


def ended_by(sock: socket.socket) -> str | None:
    """Which of "FIN" and "RST" has come from the peer, even behind bytes that are unread; or None.

    Linux alone tells of either before its turn (POLLRDHUP).
    """
    if sys.platform != "linux":
        return None
    events = _poll(sock, select.POLLRDHUP, 0)
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
        with suppress(OSError):
            return sock.getsockopt(socket.SOL_SOCKET, 0x1024)
    return 0


def shut(sock: socket.socket, how: int) -> None:
    """`shutdown`; that the peer was quicker is no error."""
    try:
        sock.shutdown(how)
    except OSError as error:
        if error.errno not in _OVER:
            raise


def hang_up(sock: socket.socket) -> None:
    """End the connection, and wake a thread that waits in it: Linux wakes it by `shutdown`, Windows by
    `close`, macOS by either."""
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


def reset_on_close(sock: socket.socket) -> None:
    """Let `close` send RST and forget what was not sent yet, instead of FIN (SO_LINGER with 0 s)."""
    layout = "hh" if os.name == "nt" else "ii"
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(layout, 1, 0))
    except OSError as error:
        if error.errno not in _OVER:
            raise


def waker() -> tuple[socket.socket, socket.socket]:
    """Two connected sockets: a byte written to the second wakes a `select` on the first."""
    browser.refuse()
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    return ends


def wake(waker: socket.socket) -> None:
    """Wake the `select` at the other end of what `waker()` made. Any thread may."""
    with suppress(BlockingIOError):  # so many wake-ups unread: it will wake
        waker.send(b"!")
