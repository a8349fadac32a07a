"""ChatServer: accepts connections, gives each a thread, and relays what they say.

The threads, and what each does:

- one accepts connections, and does nothing else: no newcomer can hold it up;
- one for each client, in `handle_client`: asks for the nickname, reads what the client says, and in the
  end says goodbye for it;
- the courier, which alone writes to clients (courier.py).

What is said means nothing here: room.py decides who hears it, messages.py how it reads. This file keeps
the house under a lock, turns its deliveries into bytes, and looks after connections. Every way of
leaving ends at one place, the end of `handle_client`.
"""

from __future__ import annotations

import errno
import socket
import threading
from dataclasses import dataclass
from time import monotonic
from types import TracebackType

from labkit import sockets
from labkit.courier import Close, Courier, ForOne, Hears, Reader
from labkit.delivery import as_bytes, as_entries, note
from labkit.framing import LINES, RAW, LineFraming, NewFraming, RawFraming, TooLong
from labkit.instruments.journal import Journal
from labkit.limits import Limits
from labkit.messages import (
    HUNG_UP,
    QUIT,
    SERVER_STOPPED,
    TOO_SLOW,
    VANISHED,
    WENT_SILENT,
    Alive,
    BadCommand,
    FromClient,
    FromServer,
    Notice,
    Quit,
    Refused,
    Request,
    from_client,
)
from labkit.room import Delivery, House, Refusal, ToOne

PORT = 14901
"""The assignment's port."""

CHUNK = 65536
"""Bytes read at once from a client."""

NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""What `accept` says when the machine has no room for one more connection."""


class Client(Reader):
    """One connection: what its thread knows of it, on top of what the courier does."""

    def __init__(self, sock: socket.socket, number: int, framing: LineFraming | RawFraming) -> None:
        super().__init__(sock)
        self.number = number
        self.framing = framing
        self.lines_in = 0
        self.thread: threading.Thread | None = None
        self.named = False  # has a nickname, so is in the house
        self.leaving = False  # guarded by the server's lock: its socket is the courier's to close
        self.paid_until = 0.0  # Limits.messages: what was said so far is paid for up to this time


@dataclass(frozen=True, slots=True)
class Present:
    """Somebody who is here, at the moment of asking."""

    nickname: str
    room: str
    thread: str
    lines_in: int
    lines_out: int
    behind: int  # bytes that wait because this client's socket would not take them


class _Gone(Exception):
    """The client is gone, or must go."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ChatServer:
    """A chat server on real sockets and real threads.

    Use it as a context manager, or call `start` and `stop`; both may be called twice.

    Args:
        host: which of this machine's addresses to listen on.
        port: 0 to 65535; 0 takes a free one, and `address` tells which.
        framing: LINES, or RAW for the assignment's own dialect.
        limits: see `Limits`.
        journal: where to write down what happens; by default a new one, in `journal`.
    """

    def __init__(
        self,
        host: str = "localhost",
        port: int = PORT,
        *,
        framing: NewFraming = LINES,
        limits: Limits | None = None,
        journal: Journal | None = None,
    ) -> None:
        if framing not in (LINES, RAW):
            raise ValueError(f"the server speaks LINES or RAW, not {framing!r}")
        self._host, self._port = host, port
        self._framing = framing
        self.limits = limits or Limits()
        self.journal = Journal() if journal is None else journal
        # Guards the three below. What happens in the house and what is posted for it happen under one
        # hold of the lock, so that everybody hears of things in the order in which they happened.
        self._lock = threading.Lock()
        self._house: House[Client] = House(self.limits.line)
        self._clients: dict[Client, None] = {}
        self._last_ended: threading.Thread | None = None
        # Guards starting and stopping against each other, from whatever threads.
        self._switch = threading.Lock()
        self._listener: socket.socket | None = None
        self._courier: Courier
        self._accepter: threading.Thread
        self._address: sockets.Address | None = None
        self._ending = threading.Event()  # stop was called …
        self._stopped = threading.Event()  # … and is done

    # --- for whoever runs it ---

    def start(self) -> ChatServer:
        """Listen, and start the threads; returns when clients can connect.

        Raises:
            OSError: the port is taken, or the host is none of this machine's; the text says which.
            RuntimeError: it was stopped before. Make a new one.
        """
        with self._switch:
            if self._ending.is_set():
                raise RuntimeError("this server was stopped; make a new one")
            if self._listener is None:
                self._listener = sockets.listen(self._host, self._port)
                self._address = self._listener.getsockname()[:2]
                self._courier = Courier(self.limits, "labkit-courier", raw=self._framing is RAW)
                self._courier.start()
                self._accepter = threading.Thread(target=self._accept, name="labkit-accept", daemon=True)
                self._accepter.start()
        return self

    def stop(self) -> None:
        """Tell everybody, end every connection and every thread, and free the port.

        Takes as long as the last lines take to go out, and about a second at most if somebody does not
        read them.
        """
        with self._switch:
            if self._ending.is_set():
                return
            self._ending.set()
            if self._listener is None:
                return
            self._stop_accepting(self._listener)
            with self._lock:
                # No thread starts any more, so these are all there are.
                threads = [client.thread for client in self._clients if client.thread]
                here = [client for client in self._clients if not client.leaving]
                farewell = as_bytes(Notice(SERVER_STOPPED))
                self._courier.post([ForOne(client, farewell) for client in here])
                for client in here:
                    sockets.shut(client.sock, socket.SHUT_RD)  # wakes its thread; we can still write
            self._courier.wake()
            for thread in threads:
                thread.join()
            if self._last_ended is not None:
                self._last_ended.join()
            self._courier.stop()
            self.journal.record("stopped")
            self._stopped.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Until the server has stopped, or `timeout` seconds have passed; whether it has."""
        return self._stopped.wait(timeout)

    def __enter__(self) -> ChatServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def address(self) -> sockets.Address:
        """(host, port) that it listens on, for a client to connect to."""
        if self._address is None:
            raise RuntimeError("the server has no address before start()")
        return self._address

    @property
    def running(self) -> bool:
        return self._address is not None and not self._ending.is_set()

    def roster(self) -> list[str]:
        """The nicknames of all who are here, first come first."""
        return [person.nickname for person in self.present()]

    def present(self) -> list[Present]:
        """All who are here, first come first, each with how they fare."""
        with self._lock:
            people = [(p.who, p.nickname, p.room.name) for p in self._house.people()]
        return [
            Present(
                nickname,
                room,
                client.thread.name if client.thread else "",
                client.lines_in,
                client.lines_out,
                client.behind,
            )
            for client, nickname, room in people
        ]

    def __repr__(self) -> str:
        if not self.running:
            return "<ChatServer, stopped>" if self._ending.is_set() else "<ChatServer, not started>"
        return f"<ChatServer on {self.address[0]}:{self.address[1]}, {len(self.roster())} here>"

    # --- the accept thread ---

    def _accept(self) -> None:
        listener = self._listener
        assert listener is not None
        number = 0
        while not self._ending.is_set():
            try:
                sock, _ = listener.accept()
            except OSError as error:
                if self._ending.is_set():
                    break
                if error.errno in NO_ROOM:
                    # Nothing to accept it with. It stays in the queue; try again when others have left.
                    self.journal.record("full", what=error.strerror or "")
                    self._ending.wait(0.1)
                continue  # otherwise a connection that was reset before it was accepted
            number += 1
            self._welcome(sock, number)
        listener.close()

    def _welcome(self, sock: socket.socket, number: int) -> None:
        """Give the connection its thread, or turn it away."""
        try:
            sockets.prepare(sock)
        except OSError:  # reset already
            sock.close()
            return
        framing = LineFraming(self.limits.line) if self._framing is LINES else RawFraming(self.limits.line)
        client = Client(sock, number, framing)
        client.thread = threading.Thread(
            target=self.handle_client, args=(client,), name=f"labkit-handle-{number}", daemon=True
        )
        with self._lock:
            full = len(self._clients) >= self.limits.max_clients
            if not full:
                self._clients[client] = None
        if full:
            self._turn_away(client, f"the server is full: {self.limits.max_clients} connections")
            return
        try:
            client.thread.start()
        except RuntimeError:  # the machine gives us no more threads
            with self._lock:
                del self._clients[client]
            self._turn_away(client, "the server is full: no thread to be had")

    def _turn_away(self, client: Client, why: str) -> None:
        self.journal.record("turned away", what=why)
        self._courier.post([ForOne(client, as_bytes(Refused(why))), Close(client, politely=True)])
        self._courier.wake()

    def _stop_accepting(self, listener: socket.socket) -> None:
        """Wake the accept thread out of `accept`, and wait until it has closed the listener."""
        try:
            listener.shutdown(socket.SHUT_RDWR)  # enough on Linux
        except OSError:
            try:  # elsewhere shutdown does not touch a listener: knock, and be accepted
                socket.create_connection(self.address, timeout=1).close()
            except OSError:
                listener.close()
        self._accepter.join()

    # --- a thread for each client ---

    def handle_client(self, client: Client) -> None:
        """All of one client's life, from the request for its nickname to its goodbye."""
        reason = VANISHED
        try:
            said = self._shake_hands(client)
            while True:
                self._hear(client, said)
                said = self._read(client, self.limits.silence)
        except _Gone as gone:
            reason = gone.reason
        finally:
            self._say_goodbye(client, reason)

    def _shake_hands(self, client: Client) -> list[str | TooLong]:
        """Ask for a nickname until one is granted; return what was said in the same breath."""
        give_up = monotonic() + self.limits.handshake
        refused = 0
        self._answer(client, Request())
        while True:
            left = give_up - monotonic()
            try:
                said = self._read(client, left) if left > 0 else None
            except _Gone as gone:
                if gone.reason != WENT_SILENT:
                    raise
                said = None
            if said is None:
                self._answer(client, Refused(f"no nickname within {self.limits.handshake:g} s"))
                raise _Gone(WENT_SILENT)
            while said:
                nickname = said.pop(0)
                if nickname == "":
                    continue  # a sign of life, not a nickname
                try:
                    self._let_in(client, nickname)
                except Refusal as refusal:
                    refused += 1
                    if refused == self.limits.refusals:
                        self._answer(client, Refused(f"{refusal}; that was the last try"))
                        raise _Gone(QUIT) from None
                    self._answer(client, Refused(str(refusal)), Request())
                else:
                    # From now on recv gives up after `silence`, no longer after the handshake's time.
                    sockets.patience(client.sock, self.limits.silence)
                    return said

    def _let_in(self, client: Client, nickname: str | TooLong) -> None:
        if isinstance(nickname, TooLong):
            raise Refusal("that nickname will not do: too long")
        with self._lock:
            self._post(self._house.join(client, nickname))
            client.named = True
        self._courier.wake()

    def _read(self, client: Client, seconds: float | None) -> list[str | TooLong]:
        """What the client said next, at most one `recv` of it; waits while talkers are held back.

        Raises:
            _Gone: the client is, or must be; with the reason.
        """
        while not self._courier.flowing.wait(1.0):
            if client.failed or self._ending.is_set():
                break  # recv will say so
        if not client.named:
            sockets.patience(client.sock, seconds)
        try:
            data = sockets.receive(client.sock, CHUNK if self.limits.messages is None else 4096, seconds)
        except TimeoutError:
            raise _Gone(WENT_SILENT) from None
        except OSError:
            data = b""
            reason = VANISHED
        else:
            reason = HUNG_UP
        if not data:
            with client.telling:  # the courier may be just finding out more
                raise _Gone(client.failed or (SERVER_STOPPED if self._ending.is_set() else reason))
        return client.framing.feed(data)

    def _hear(self, client: Client, said: list[str | TooLong]) -> None:
        """Do what one recv's worth of lines asks for."""
        client.lines_in += len(said)
        asked = [_understood(line) for line in said]
        deliveries: list[Delivery[Client]] = []
        with self._lock:
            for what in asked:
                if isinstance(what, Quit):
                    break
                try:
                    if isinstance(what, Refusal):
                        raise what
                    if not isinstance(what, Alive):
                        deliveries += self._house.hear(client, what)
                except Refusal as refusal:
                    deliveries.append(ToOne(client, Refused(str(refusal))))
            self._post(deliveries)
        self._courier.wake()
        if Quit() in asked:
            raise _Gone(QUIT)
        if self.limits.messages is not None:
            self._make_wait(client, len(said) / self.limits.messages)

    def _make_wait(self, client: Client, price: float) -> None:
        """Each line costs 1/messages seconds; one second's worth may be owed. Meanwhile TCP slows it."""
        now = monotonic()
        client.paid_until = max(client.paid_until, now) + price
        self._ending.wait(max(0.0, client.paid_until - now - 1.0))

    def _say_goodbye(self, client: Client, reason: str) -> None:
        """The one place where a client leaves: the nickname is free, and the others are told once."""
        stopping = self._ending.is_set()
        with self._lock:
            client.leaving = True
            if not client.named:
                self.journal.record("left", what=reason)
            elif stopping:
                # All were told by one line from stop; a line for each would be n times n lines.
                self.journal.record("left", self._house.nickname(client), reason, self._house.room(client))
                self._house.leave(client, reason)
            else:
                self._post(self._house.leave(client, reason))
            self._courier.post([Hears(client, None), Close(client, reason not in (VANISHED, TOO_SLOW))])
        self._courier.wake()
        # A thread cannot wait for its own end. So each waits for the one that ended before it, and stop
        # waits for the last: no thread is left behind.
        with self._lock:
            del self._clients[client]
            before, self._last_ended = self._last_ended, client.thread
        if before is not None:
            before.join()

    # --- telling ---

    def _answer(self, client: Client, *messages: FromServer) -> None:
        """Tell somebody who has no nickname yet."""
        with self._lock:
            self._post([ToOne(client, message) for message in messages])
        self._courier.wake()

    def _post(self, deliveries: list[Delivery[Client]]) -> None:
        """Have the deliveries carried out, and write down what is news. The lock must be held.

        The journal is written here, under the lock, so that it has the order that everybody heard.
        """
        assert self._lock.locked()
        for delivery in deliveries:
            note(self.journal, delivery, self._called)
        self._courier.post(as_entries(deliveries))

    def _called(self, client: Client) -> str:
        return self._house.nickname(client) if client in self._house else ""


def _understood(line: str | TooLong) -> FromClient | Refusal:
    """What the line asks for, or why that cannot be understood."""
    if isinstance(line, TooLong):
        return Refusal(f"too long: a line has at most {line.limit} bytes")
    try:
        return from_client(line)
    except BadCommand as bad:
        return Refusal(str(bad))
