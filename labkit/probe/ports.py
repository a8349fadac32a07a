"""Ports that are free, and stay so until somebody asks for them by number."""

from __future__ import annotations

import errno
import random
import socket

PORTS = range(10_000, 20_000)
"""Where one is chosen: below those that systems give to connections and to listeners on port 0 (Linux: from
32768 on, ip(7)). One of these could be given to another program just when it is to be free."""

_taken: list[int] = []


def free_port() -> int:
    """A port that is free, and was not handed out just now."""
    dice = random.SystemRandom()
    while True:
        port = dice.choice(PORTS)
        if port not in _taken and is_free(port):
            _taken.append(port)
            del _taken[:-100]
            return port


def is_free(port: int) -> bool:
    """Whether a server could listen there, at all addresses of this machine."""
    for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        try:
            with socket.socket(family) as sock:
                sock.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):  # the latter: reserved by Windows
                return False  # any other error: it has no IPv6
    return True
