"""The lines that wait for one client, and the thread that sends them.

A thread with a line for the client puts it here, and does not wait for the socket. The queue's own thread
sends one line after the other, and may wait in that for as long as the client likes. It knows nothing of
chat.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import deque

from labkit.wire import sockets


class SendQueue:
    """Lines on their way to one client. `start` its thread; `finish` or `abort` ends it, `join` waits.

    Args:
        sock: connected, and blocking. It is not closed here.
        limit: lines that may wait; None: any number.
    """

    def __init__(self, sock: socket.socket, limit: int | None) -> None:
        self.sock = sock
        self.limit = limit
        # Guards the two below; notified of every line that comes or goes.
        self._changed = threading.Condition()
        self._lines: deque[bytes] = deque()
        self._over = False  # no more lines will come
        self._thread = threading.Thread(target=self._send_lines, name="labkit-to-newcomer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def set_nickname(self, nickname: str) -> None:
        self._thread.name = f"labkit-to-{nickname}"

    def __len__(self) -> int:
        return len(self._lines)

    def put(self, line: bytes) -> None:
        """Add a line, however many wait already."""
        with self._changed:
            if not self._over:
                self._lines.append(line)
                self._changed.notify_all()

    def put_if_room(self, line: bytes) -> bool:
        """Add a line, unless the queue is full; whether it did. Only one thread at a time may call it."""
        if self.limit is not None and len(self) >= self.limit:
            return False
        self.put(line)
        return True

    def wait_for_room(self) -> None:
        """Wait until the queue is within its limit, or over."""
        with self._changed:
            self._changed.wait_for(self._has_room)

    def finish(self) -> None:
        """Take no more lines; those that wait still go out, if the client reads them."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def abort(self) -> None:
        """End the connection, both ways, with RST once it is closed. Wakes threads that wait in it."""
        self.finish()
        with contextlib.suppress(OSError):  # closed already
            sockets.reset_on_close(self.sock)
        sockets.hang_up(self.sock)

    def join(self, seconds: float | None = None) -> bool:
        """Wait for the thread; whether it has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _has_room(self) -> bool:
        return self._over or self.limit is None or len(self._lines) <= self.limit

    def _send_lines(self) -> None:
        with contextlib.suppress(OSError):  # the thread that reads meets the same end, and says so
            while line := self._next_line():
                self.sock.sendall(line)
        self.finish()

    def _next_line(self) -> bytes:
        """The next one, when there is one; b"" after the last."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._over)
            self._changed.notify_all()  # there is room
            return self._lines.popleft() if self._lines else b""
