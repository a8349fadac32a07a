"""What an error number of a socket means, in words that are the same on every system.

`os.strerror` knows none of Windows' (WinSock's begin at 10000), and Windows says them in its own language.
"""

from __future__ import annotations

import errno
import os

_WINSOCK = {
    10004: "Interrupted system call",
    10009: "Bad file descriptor",
    10013: "Permission denied",
    10022: "Invalid argument",
    10024: "Too many open files",
    10035: "Resource temporarily unavailable",
    10038: "Socket operation on non-socket",
    10042: "Protocol not available",
    10047: "Address family not supported by protocol",
    10048: "Address already in use",
    10049: "Cannot assign requested address",
    10050: "Network is down",
    10051: "Network is unreachable",
    10052: "Network dropped connection on reset",
    10053: "Software caused connection abort",
    10054: "Connection reset by peer",
    10055: "No buffer space available",
    10056: "Transport endpoint is already connected",
    10057: "Transport endpoint is not connected",
    10058: "Cannot send after transport endpoint shutdown",
    10060: "Connection timed out",
    10061: "Connection refused",
    10064: "Host is down",
    10065: "No route to host",
    11001: "Name or service not known",
    11002: "Temporary failure in name resolution",
}
"""Winsock Error Codes (Microsoft), in the words that Linux has for the same."""

_WINDOWS = {
    2: "No such file or directory",
    3: "No such file or directory",
    5: "Permission denied",
    193: "Exec format error",
}
"""System Error Codes (Microsoft), likewise. Elsewhere these are other errors' numbers."""


def words(error: OSError | int) -> str:
    """What went wrong, in a few words."""
    number = error if isinstance(error, int) else error.errno
    winerror = getattr(error, "winerror", None) or 0
    if known := _WINDOWS.get(winerror) or _WINSOCK.get(winerror or number or 0):
        return known
    if isinstance(error, OSError):
        return error.strerror or str(error)
    text = os.strerror(error)
    return f"error {errno.errorcode.get(error, error)}" if text.startswith("Unknown error") else text
