"""Questions to the Linux kernel about one TCP socket: how much waits in its queues, and for what?

`/proc/net/tcp` tells some of it of all sockets at once, but reading it takes 1.5 to 3 milliseconds. The
kernel answers a question, sock_diag(7), in 10 microseconds: with it `check server HOST:PORT` takes a
quarter less time, and more on a busy machine.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

_SOCK_DIAG = 4  # NETLINK_SOCK_DIAG, linux/netlink.h
_BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY, linux/sock_diag.h
_REQUEST = 1  # NLM_F_REQUEST, linux/netlink.h
_ERROR = 2  # NLMSG_ERROR
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
_QUESTION = struct.Struct("=BBBBI")  # struct inet_diag_req_v2: family, protocol, …, states; then the id
_ANY = b"\xff" * 8  # INET_DIAG_NOCOOKIE: whichever socket it is
_STATE = _HEADER.size + 1  # where struct inet_diag_msg has idiag_state, and then idiag_timer …
_QUEUE = _HEADER.size + 4 + 48 + 4  # … and idiag_rqueue, and then idiag_wqueue
_ATTRIBUTES = _QUEUE + 16  # after it: each with its length, its kind, and padding to 4 bytes
_MEMORY = 7  # INET_DIAG_SKMEMINFO, linux/inet_diag.h
_TIME_WAIT, _LISTEN = 6, 10  # TCP_TIME_WAIT, TCP_LISTEN: the kernel's states (tcp_states.h)
_SENT_FIN = (4, 9, 11)  # TCP_FIN_WAIT1, LAST_ACK, CLOSING: it is not yet acknowledged
_GOT_FIN = (8, 9, 11)  # TCP_CLOSE_WAIT, LAST_ACK, CLOSING
_PROBES = 4  # idiag_timer: the other end's window is shut, and we ask now and then (tcp_diag.c)

Address = tuple[str, int]


class CannotTell(Exception):
    """This system does not answer the question."""


@dataclass(frozen=True, slots=True)
class Queues:
    """What one end of a connection keeps, in bytes. Memory counts the kernel's own overhead, too."""

    unread: int  # arrived, and not yet read here
    unsent: int  # taken from the program, and not yet acknowledged by the other end
    shut: bool  # the other end's window is shut: it has no room, and this end keeps what it has
    read_used: int = 0  # memory of what is unread …
    read_room: int = 0  # … and how much there may be (SO_RCVBUF); 0: not told
    send_used: int = 0
    send_room: int = 0  # SO_SNDBUF

    @property
    def send_full(self) -> bool:
        """Whether `send` would wait: poll(2) tells of room only while two thirds are used at most
        (sk_stream_is_writable in Linux)."""
        return 0 < 2 * self.send_room < 3 * self.send_used


def unread_at(end: Address, other: Address) -> int:
    """Bytes that have arrived at `end` of the connection and were not read there; 0 if that end is gone.

    Raises:
        CannotTell: another system than Linux, or one that forbids it.
    """
    answer = _ask(end, other)
    return 0 if answer is None else int(struct.unpack_from("=I", answer, _QUEUE)[0])


def queues_at(end: Address, other: Address) -> Queues | None:
    """What `end` of the connection keeps; None: there is no such connection. Raises as `unread_at`."""
    answer = _ask(end, other, 1 << (_MEMORY - 1))
    if answer is None:
        return None
    state, timer = struct.unpack_from("=BB", answer, _STATE)
    if state == _TIME_WAIT:
        return None  # only its ports are kept
    unread, unsent = struct.unpack_from("=II", answer, _QUEUE)
    unread -= unread > 0 and state in _GOT_FIN  # the kernel counts FIN as one byte
    unsent -= unsent > 0 and state in _SENT_FIN
    # SK_MEMINFO_RMEM_ALLOC, RCVBUF, WMEM_ALLOC, SNDBUF, FWD_ALLOC, WMEM_QUEUED (linux/sock_diag.h)
    read_used, read_room, _, send_room, _, send_used = _memory(answer)
    return Queues(unread, unsent, timer == _PROBES, read_used, read_room, send_used, send_room)


def waiting_at(listener: Address) -> tuple[int, int] | None:
    """How many connections wait at this address to be accepted, and how many may (listen(2)'s backlog).

    None: nobody listens there. Raises as `unread_at`.
    """
    anybody = ("::" if ":" in listener[0] else "0.0.0.0", 0)
    answer = _ask(listener, anybody)
    if answer is None or answer[_STATE] != _LISTEN:
        return None
    waiting, limit = struct.unpack_from("=II", answer, _QUEUE)
    return waiting, limit


def _ask(end: Address, other: Address, extensions: int = 0) -> bytes | None:
    """The kernel's answer about this socket; None: there is none."""
    try:
        family = socket.AF_INET6 if ":" in end[0] else socket.AF_INET
        ports = struct.pack(">HH", end[1], other[1])
        hosts = b"".join(socket.inet_pton(family, host).ljust(16, b"\0") for host, _ in (end, other))
        states = 0xFFFFFFFF  # all
        body = _QUESTION.pack(family, socket.IPPROTO_TCP, extensions, 0, states)
        body += ports + hosts + bytes(4) + _ANY
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
            kernel.settimeout(1.0)
            kernel.send(_HEADER.pack(_HEADER.size + len(body), _BY_FAMILY, _REQUEST, 1, 0) + body)
            answer = kernel.recv(65536)
        kind: int = _HEADER.unpack_from(answer)[1]
        if kind == _ERROR:
            (number,) = struct.unpack_from("=i", answer, _HEADER.size)
            if number != -2:  # ENOENT: there is no such connection any more
                raise CannotTell(f"sock_diag answers with error {-number}")
            return None
        struct.unpack_from("=II", answer, _QUEUE)  # is it all there?
        # Of a connection that is gone it tells of the listener at its port, with figures of other things.
        return None if answer[_STATE] == _LISTEN and other[1] else answer
    except (AttributeError, OSError, struct.error) as error:
        raise CannotTell(str(error)) from None


def _memory(answer: bytes) -> tuple[int, ...]:
    """The first six figures of the attribute SKMEMINFO; zeros if the kernel left it out."""
    at = _ATTRIBUTES
    while at + 4 <= len(answer):
        length, kind = struct.unpack_from("=HH", answer, at)
        if kind == _MEMORY and length >= 4 + 24:
            return struct.unpack_from("=6I", answer, at + 4)
        at += max(4, (length + 3) & ~3)
    return (0,) * 6
