"""ChatServer: starts the threads, knows who is here, and stops: tells all, and ends every connection."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from labkit.journal import Journal
from labkit.server.acceptor import Acceptor
from labkit.server.admission import Admission
from labkit.server.broadcaster import Broadcaster
from labkit.server.client_loop import ClientLoop
from labkit.server.connection import SMALL_CHUNK, Disconnected, ServerConnection
from labkit.server.handshake import Handshake
from labkit.server.hub import LocalHub
from labkit.server.limits import Limits
from labkit.server.password import Password
from labkit.wire import nicknames, sockets
from labkit.wire.addresses import place
from labkit.wire.framing import LINES, RAW, LineFraming, NewFraming, RawFraming
from labkit.wire.messages import VANISHED

if TYPE_CHECKING:
    from labkit.wire.tls import ForServer, TlsSession

PORT = 14901
"""The assignment's port."""

LAST_WORDS = 0.5
"""Seconds after `stop` in which what clients had said is still read; one that goes on and on is cut off."""


@dataclass(frozen=True, slots=True)
class Present:
    """A client that is here, at the moment of asking."""

    nickname: str
    room: str
    thread: str
    lines_in: int
    lines_out: int
    behind: int  # bytes that wait because this client's socket would not take them


class ChatServer:
    """A chat server on real sockets and real threads.

    Use it as a context manager, or call `start` and `stop`; both may be called twice.

    Args:
        host: which of this machine's addresses to listen on; "" or "*": on all.
        port: 0 to 65535; 0 takes a free one, and `address` tells which.
        framing: LINES, or RAW for the assignment's own dialect.
        limits: see `Limits`.
        journal: where to write down what happens; by default a new one, in `journal`.
        password: what a client must know to join. None: nothing.
        tls: (certificate, key), two PEM files, or an `ssl.SSLContext`. None: no TLS.
        backplane: the URL of a Redis, whose servers share their rooms. None: the rooms are its own.

    Raises:
        OSError, ValueError: `tls`, `password` or `backplane` will not do.
    """

    hub_class = LocalHub  # of a server whose rooms are its own

    def __init__(
        self,
        host: str = "localhost",
        port: int = PORT,
        *,
        framing: NewFraming = LINES,
        limits: Limits | None = None,
        journal: Journal | None = None,
        password: str | None = None,
        tls: ForServer | None = None,
        backplane: str | None = None,
    ) -> None:
        if framing not in (LINES, RAW):
            raise ValueError(f"the server speaks LINES or RAW, not {framing!r}")
        if framing is RAW and backplane is not None:
            raise ValueError("a backplane carries lines: it needs framing=LINES")
        self._host, self._port = host, port
        self._raw = framing is RAW
        self.limits = limits or Limits()
        self.journal = Journal() if journal is None else journal
        self._new_tls: Callable[[], TlsSession] | None = None
        if tls is not None:  # loaded only where there is TLS
            from labkit.wire.tls import TlsSession, server_context

            self._new_tls = partial(TlsSession, server_context(tls))
        self._longest = min(self.limits.line, SMALL_CHUNK) if self._raw else self.limits.line
        self._ending = threading.Event()  # stop was called …
        self._stopped = threading.Event()  # … and is done
        self._hub = self._own_hub() if backplane is None else self._shared_hub(backplane)
        self._client_loop = ClientLoop(self._hub, self.limits, self._ending)
        self._password = None if password is None else Password(password)
        self._admission = Admission(self._hub, self.limits, self.journal)
        # The hub's lock guards these two, too.
        self._clients: dict[ServerConnection, None] = {}
        self._last_ended: threading.Thread | None = None
        # Guards starting and stopping against each other, from whatever threads.
        self._switch = threading.Lock()
        self._acceptor: Acceptor | None = None

    def _own_hub(self) -> LocalHub:
        return self.hub_class(self.limits, self.journal, self._new_broadcaster, self._ending, self._longest)

    def _shared_hub(self, url: str) -> LocalHub:
        from labkit.server.backplane import RedisHub  # loaded only where there is a Redis

        return RedisHub(url, self.limits, self.journal, self._new_broadcaster, self._ending, self._longest)

    def _new_broadcaster(self) -> Broadcaster:
        return Broadcaster(self.limits, "labkit-broadcaster", self._raw, self._new_tls is not None)

    # --- for the program that runs it ---

    def start(self) -> ChatServer:
        """Listen, and start the threads; returns when clients can connect.

        Raises:
            OSError: it cannot listen there, or there is no Redis; the text says why.
            RuntimeError: it was stopped before. Make a new one.
        """
        with self._switch:
            if self._ending.is_set():
                raise RuntimeError("this server was stopped; make a new one")
            if self._acceptor is None:
                nicknames.load()
                self._hub.open()  # before a client can knock: it would knock in vain
                acceptor = None
                try:
                    acceptor = Acceptor(self._host, self._port, self._come_in, self._admission.no_room)
                    self._hub.start()
                except (OSError, ValueError):
                    if acceptor is not None:
                        acceptor.close()
                    self._hub.close()
                    raise
                self._acceptor = acceptor
                acceptor.open()
        return self

    def stop(self) -> None:
        """Tell all clients, end every connection and every thread, and free the port.

        Takes as long as the last lines take to go out, and about a second at most if a client does not
        read them; a few seconds more if the backplane's Redis does not answer. Interrupted, it goes on in a
        thread of its own; called again, it waits for that.
        """
        if self._stopped.is_set():
            return
        failed: list[BaseException] = []
        done = threading.Event()

        def stop() -> None:
            try:
                self._stop()
            except BaseException as error:
                failed.append(error)
            done.set()

        # In a thread of its own: Ctrl-C interrupts the main thread, and a join that is interrupted takes
        # the other thread for ended (bpo-45274, up to Python 3.12).
        stopper = threading.Thread(target=stop, name="labkit-stop", daemon=True)
        try:
            stopper.start()
        except RuntimeError:  # no thread to be had
            stop()
        done.wait()
        if failed:
            raise failed[0]
        if stopper.ident is not None:
            stopper.join()

    def _stop(self) -> None:
        with self._switch:
            if self._stopped.is_set():
                return
            if self._acceptor is None:
                self._ending.set()
                self._stopped.set()
                return
            self._acceptor.close()
            self._hub.settle()
            with self._hub.lock:
                # No thread starts any more, so these are all there are.
                threads = [client.thread for client in self._clients]
                if not self._ending.is_set():
                    self._say_farewell()
            self._hub.broadcaster.wake()
            for thread in threads:
                thread.join()
            if self._last_ended is not None:
                self._last_ended.join()
            self._hub.stop()
            self.journal.record("stopped")
            self._stopped.set()

    def _say_farewell(self) -> None:
        """Tell all at the same moment: none leaves because of the stop before it was told.

        The hub's lock must be held.
        """
        self._client_loop.stop_by = monotonic() + LAST_WORDS
        self._ending.set()
        here = [client for client in self._clients if not client.leaving]
        self._hub.say_farewell(here)
        for client in here:
            sockets.stop_reading(client.sock)  # wakes its thread; we can still write

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has stopped, for `timeout` seconds at most; whether it has."""
        return self._stopped.wait(timeout)

    def __enter__(self) -> ChatServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def address(self) -> sockets.Address:
        """(host, port) that it listens on, for a client to connect to."""
        if self._acceptor is None:
            raise RuntimeError("the server has no address before start()")
        return self._acceptor.address

    @property
    def running(self) -> bool:
        return self._acceptor is not None and not self._ending.is_set()

    @property
    def shares_through(self) -> str:
        """The Redis of its backplane, without a password; "" if its rooms are its own."""
        return self._hub.where

    @property
    def cut_off(self) -> str:
        """Why the Redis of its backplane cannot be used just now, if that lasts; "" if it can."""
        return self._hub.trouble

    def roster(self) -> list[str]:
        """The nicknames of all who are connected here, first come first."""
        return [person.nickname for person in self.present()]

    def present(self) -> list[Present]:
        """All who are here, first come first, each with how it fares."""
        people = [(p, p.who, p.who.outbox) for p in self._hub.present()]
        return [
            Present(p.nickname, p.room.name, who.thread.name, who.lines_in, outbox.lines_out, outbox.behind)
            for p, who, outbox in people
        ]

    def __repr__(self) -> str:
        if not self.running:
            return "<ChatServer, stopped>" if self._ending.is_set() else "<ChatServer, not started>"
        return f"<ChatServer on {place(self.address)}, {len(self.roster())} here>"

    # --- in the accept thread ---

    def _come_in(self, sock: socket.socket, number: int, host: str) -> None:
        """Give the connection its thread, or turn it away."""
        try:
            sockets.prepare(sock)
        except OSError:  # reset already
            sock.close()
            return
        framing = (RawFraming if self._raw else LineFraming)(self._longest)
        tls = None if self._new_tls is None else self._new_tls()
        client = ServerConnection(sock, framing, self.limits.messages, self._hub.broadcaster.telling, tls)
        client.thread = threading.Thread(
            target=self.handle_client, args=(client,), name=f"labkit-handle-{number}", daemon=True
        )
        if not self._admission.admit(client, host):
            return
        with self._hub.lock:
            self._clients[client] = None
        try:
            client.thread.start()
        except RuntimeError:  # the machine gives us no more threads
            with self._hub.lock:
                del self._clients[client]
                self._hub.slots.remove(client)
            self._admission.turn_away(client, "the server is full: no thread to be had")

    # --- a thread for each client ---

    def handle_client(self, client: ServerConnection) -> None:
        """All of one client's life, from the request for its nickname to its goodbye."""
        reason = VANISHED
        try:
            handshake = Handshake(client, self._client_loop, self.journal, self._password, self._raw)
            self._client_loop.hear_all(client, handshake.shake_hands())
            while True:
                self._client_loop.hear(client, self._client_loop.read(client, self.limits.silence))
        except Disconnected as end:
            reason = end.reason
        finally:
            self._hub.leave(client, reason)
            self._forget(client)

    def _forget(self, client: ServerConnection) -> None:
        """Wait for the thread that ended before this one; `stop` waits for the last: none is left."""
        with self._hub.lock:
            del self._clients[client]
            before, self._last_ended = self._last_ended, client.thread
        if before is not None:
            before.join()
