"""The thread that accepts connections, and does nothing else.

While one connection is handed over no other client comes in. When the machine has no descriptor left for
one more, the connection stays in the kernel's queue, and the acceptor soon tries again.
"""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

from labkit.server import scheduling
from labkit.wire import addresses, sockets

NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""What `accept` says when the machine has no room for one more connection."""

PAUSE, SHORT_PAUSE = 0.1, 0.01
"""Seconds to wait then, before trying again; the short one where a connection is just being closed."""


class Acceptor:
    """Listens from the start; `open` starts the thread, `close` ends it and frees the port.

    Args:
        comes_in: called in the thread with every connection, its number (1 for the first) and its host.
        no_room: called when the machine has no room for one more, with its words for it; and then, as
            long as that lasts and a client waits, with "". Returns whether room is being made.

    Raises:
        OSError: it cannot listen there; the text says why.
    """

    def __init__(
        self,
        host: str,
        port: int,
        comes_in: Callable[[socket.socket, int, str], None],
        no_room: Callable[[str], bool],
    ) -> None:
        self._comes_in = comes_in
        self._no_room = no_room
        self._told_until = 0.0  # until then, no room is no news
        self._listener = sockets.listen(host, port)
        self.address = addresses.own(self._listener)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._accept, name="labkit-accept", daemon=True)

    def open(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Let no client in any more. What was accepted before has been handed over when this returns."""
        self._closing.set()
        try:
            self._listener.shutdown(socket.SHUT_RDWR)  # on Linux enough to wake a thread in accept
        except OSError:  # elsewhere shutdown does not touch a listener: knock, and be let in
            with suppress(OSError):  # no place in the queue: another client just woke it
                sockets.connect(self.address, timeout=1).close()
        if self._thread.ident is not None:  # it was opened
            self._thread.join()
        self._listener.close()

    def _accept(self) -> None:
        scheduling.wait_your_turn()  # and so will every thread that is started for a connection
        number = 0
        while not self._closing.is_set():
            try:
                sock, address = self._listener.accept()
            except OSError as error:
                if error.errno in NO_ROOM:
                    self._wait_for_room(error.strerror or str(error))
                continue  # otherwise reset before it was accepted, or `close` woke us
            if self._closing.is_set():
                sock.close()
                break
            number += 1
            self._comes_in(sock, number, address[0])

    def _wait_for_room(self, why: str) -> None:
        now = monotonic()
        news, self._told_until = now > self._told_until, now + 1.0
        being_made = False
        # Linux says that there is no room before it looks whether a client is waiting: accept(2).
        if news or sockets.readable(self._listener, PAUSE):
            being_made = self._no_room(why if news else "")
        self._closing.wait(SHORT_PAUSE if being_made else PAUSE)
