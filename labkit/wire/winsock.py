"""What Windows can do with a socket and the socket module cannot."""

from __future__ import annotations

import ctypes
import socket
from contextlib import suppress
from typing import Any

_INITIAL_RTO = 0x98000011  # SIO_TCP_INITIAL_RTO, mstcpip.h
_UNSPECIFIED = 0xFFFF  # TCP_INITIAL_RTO_UNSPECIFIED_RTT
_NO_SYN_AGAIN = 0xFE  # TCP_INITIAL_RTO_NO_SYN_RETRANSMISSIONS


class _Parameters(ctypes.Structure):
    """TCP_INITIAL_RTO_PARAMETERS."""

    _fields_ = (("Rtt", ctypes.c_uint16), ("MaxSynRetransmissions", ctypes.c_uint8))


def refuse_at_once(sock: socket.socket, library: Any = None) -> None:
    """Let a `connect` that is refused say so at once. By itself Windows asks three times, for 2 s; on this
    machine no packet is lost. Before Windows 10 it has no such option, and nothing happens.

    Args:
        library: ws2_32.dll.
    """
    parameters = _Parameters(_UNSPECIFIED, _NO_SYN_AGAIN)
    written = ctypes.c_uint32()
    with suppress(OSError, AttributeError):
        (library or ctypes.WinDLL("ws2_32")).WSAIoctl(  # type: ignore[attr-defined]  # Windows alone has it
            ctypes.c_size_t(sock.fileno()),
            ctypes.c_uint32(_INITIAL_RTO),
            ctypes.byref(parameters),
            ctypes.c_uint32(ctypes.sizeof(parameters)),
            None,
            ctypes.c_uint32(0),
            ctypes.byref(written),
            None,
            None,
        )
