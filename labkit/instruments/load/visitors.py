"""People who come and go while others talk: what `churn` adds to a steady load.

What they hear is not looked at. That they come and go must not cost those who stay a line; and that is
looked at (said.py). Half of them leave with FIN, as one should, and half with RST.
"""

from __future__ import annotations

import contextlib
import random
import selectors
import socket
from collections.abc import Sequence

from labkit.instruments.load.crowd import CHUNK
from labkit.instruments.load.joining import Where, connecting
from labkit.wire import sockets

AT_MOST = 50
"""Visitors at the same time."""


class Visitors:
    """The visitors of a server, or of several in turn.

    Args:
        wheres: they are.
        port: a number that makes their nicknames differ from all others.
        changes: joins and leaves a second.
        seed: decides who leaves when, and how.
    """

    def __init__(self, wheres: Sequence[Where], port: int, changes: float, seed: int) -> None:
        self.came = 0
        self.left = 0
        self.reset = 0  # of those who left: with RST
        self._wheres = wheres
        self._changes = changes
        self._random = random.Random(seed)
        self._selector = selectors.DefaultSelector()
        self._here: list[socket.socket] = []
        self._leaving: set[socket.socket] = set()  # have sent FIN, and wait for the server's
        self._done = 0  # joins and leaves so far
        self._port = port

    def look_around(self, seconds: float) -> None:
        """Do what is due after so many seconds, and hear what has come. Never waits."""
        while self._done < seconds * self._changes:
            self._done += 1
            few, many = not self._here, len(self._here) + len(self._leaving) >= AT_MOST
            if not many and (few or self._random.random() < 0.5):
                self._come()
            elif self._here:
                self._leave()
        for key, _ in self._selector.select(0):
            self._hear(key.fileobj, key.data)  # type: ignore[arg-type]

    def _come(self) -> None:
        sock = connecting(self._wheres[self.came % len(self._wheres)])
        self.came += 1
        self._selector.register(sock, selectors.EVENT_READ, f"v{self.came}x{self._port:x}")
        self._here.append(sock)

    def _hear(self, sock: socket.socket, nickname: str) -> None:
        try:
            data = sock.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._forget(sock)
        elif nickname and b"nickname" in data:
            with contextlib.suppress(OSError):  # already thrown out: that shows at the next recv
                sock.send(nickname.encode() + b"\n")
            self._selector.modify(sock, selectors.EVENT_READ, "")

    def _leave(self) -> None:
        self.left += 1
        sock = self._here.pop(self._random.randrange(len(self._here)))
        if self._random.random() < 0.5:
            self.reset += 1
            sockets.reset_on_close(sock)
            self._forget(sock)
        else:
            # To close it now, with something unread, would send RST as well (RFC 9293, section 3.10.4).
            sockets.shut(sock, socket.SHUT_WR)
            self._leaving.add(sock)

    def _forget(self, sock: socket.socket) -> None:
        self._selector.unregister(sock)
        self._leaving.discard(sock)
        if sock in self._here:
            self._here.remove(sock)
        sock.close()

    def close(self) -> None:
        for sock in [*self._here, *self._leaving]:
            sock.close()
        self._selector.close()
