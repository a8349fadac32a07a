"""One question to the Linux kernel, about one TCP connection: how much has arrived and was not read?

`/proc/net/tcp` tells the same of all connections at once, but reading it takes 1.5 to 3 milliseconds. The
kernel answers this question, sock_diag(7), in 10 microseconds: with it `check server HOST:PORT` takes a
quarter less time, and more on a busy machine.
"""

from __future__ import annotations

import socket
import struct

_SOCK_DIAG = 4  # NETLINK_SOCK_DIAG, linux/netlink.h
_BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY, linux/sock_diag.h
_REQUEST = 1  # NLM_F_REQUEST, linux/netlink.h
_ERROR = 2  # NLMSG_ERROR
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
_QUESTION = struct.Struct("=BBBBI")  # struct inet_diag_req_v2: family, protocol, …, states; then the id
_ANY = b"\xff" * 8  # INET_DIAG_NOCOOKIE: whichever socket it is
_QUEUE = _HEADER.size + 4 + 48 + 4  # where struct inet_diag_msg has idiag_rqueue

Address = tuple[str, int]


class CannotTell(Exception):
    """This system does not answer the question."""


def unread_at(end: Address, other: Address) -> int:
    """Bytes that have arrived at `end` of the connection and were not read there; 0 if that end is gone.

    Raises:
        CannotTell: another system than Linux, or one that forbids it.
    """
    try:
        family = socket.AF_INET6 if ":" in end[0] else socket.AF_INET
        ports = struct.pack(">HH", end[1], other[1])
        hosts = b"".join(socket.inet_pton(family, host).ljust(16, b"\0") for host, _ in (end, other))
        states = 0xFFFFFFFF  # all
        body = _QUESTION.pack(family, socket.IPPROTO_TCP, 0, 0, states) + ports + hosts + bytes(4) + _ANY
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
            kernel.settimeout(1.0)
            kernel.send(_HEADER.pack(_HEADER.size + len(body), _BY_FAMILY, _REQUEST, 1, 0) + body)
            answer = kernel.recv(65536)
        kind: int = _HEADER.unpack_from(answer)[1]
        if kind == _ERROR:
            (number,) = struct.unpack_from("=i", answer, _HEADER.size)
            if number != -2:  # ENOENT: there is no such connection any more
                raise CannotTell(f"sock_diag answers with error {-number}")
            return 0
        queued: int = struct.unpack_from("=I", answer, _QUEUE)[0]
        return queued
    except (AttributeError, OSError, struct.error) as error:
        raise CannotTell(str(error)) from None
