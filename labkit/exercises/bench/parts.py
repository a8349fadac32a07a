"""A kernel that is short of room: what `send` leaves over, when it takes only a part."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def part_only() -> Iterator[None]:
    """`send` takes only a part, as any may; sendall, and what is built on a loop, sends all. In the check's
    own thread, which calls this, it is as usual."""
    send, own = socket.socket.send, threading.get_ident()

    def a_part(self: socket.socket, data: Any, flags: int = 0, /) -> int:
        return send(self, data if threading.get_ident() == own else memoryview(data)[:5], flags)

    socket.socket.send = a_part  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        socket.socket.send = send  # type: ignore[method-assign]
