"""ChatServer: accepts connections, gives each a thread, and relays what they say.

The threads, and what each does:

- one accepts connections, and does nothing else (door.py): no newcomer can hold it up;
- one for each client, in `handle_client`: asks for the nickname, reads what the client says, and in the
  end says goodbye for it;
- the courier, which alone writes to clients (courier.py).

What is said means nothing here: room.py decides who hears it, messages.py how it reads. This file keeps
the house under a lock, and sees to it that whoever comes also goes: every way of leaving ends at one
place, `_say_goodbye`.
"""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING

from labkit.journal import Journal
from labkit.server import scheduling
from labkit.server.acceptor import Door
from labkit.server.admission import Crowd
from labkit.server.broadcaster import Close, Courier, ForOne, Hears
from labkit.server.connection import SMALL_CHUNK, Client, Gone
from labkit.server.delivery import as_bytes, as_entries, note
from labkit.server.limits import Limits
from labkit.server.password import Password
from labkit.server.rooms import Delivery, House, Refusal, ToOne
from labkit.wire import nicknames, sockets
from labkit.wire.framing import LINES, RAW, LineFraming, NewFraming, RawFraming, TooLong
from labkit.wire.messages import (
    LAST_TRY,
    NO_NICKNAME,
    NO_PASSWORD,
    NO_TLS,
    QUIT,
    SERVER_LOST,
    SERVER_STOPPED,
    TOO_SLOW,
    VANISHED,
    WENT_SILENT,
    WRONG_PASSWORD,
    Alive,
    BadCommand,
    FromClient,
    FromServer,
    Notice,
    PasswordRequest,
    Quit,
    Refused,
    Request,
    from_client,
    only_said,
)

if TYPE_CHECKING:
    from labkit.server.backplane import Backplane
    from labkit.wire.tls import ForServer, Seal

PORT = 14901
"""The assignment's port."""


RAW_PAUSE = 0.2
"""Seconds between a refusal and the next request in the raw dialect: the request must be a recv of its
own, and nothing but time keeps two messages apart there."""

POLITE = 32
"""How many may be turned away politely in a second: each of them is waited for, up to a second, so that
the reason is sure to arrive. Of a flood of them the others are told, and closed at once."""

HELD_FOR = 0.02
"""Seconds between two looks of a held talker at whether it may go on."""

TURN = 64
"""Commands of one client that are done in a row; then it is others' turn, however many it sent at once."""

LAST_LINES = 1.0
"""Seconds that what was said before `stop` has to come back from a backplane."""

MUCH = 500
"""Lines said at once after which it is others' turn, too: as much work as a turn of commands."""


@dataclass(frozen=True, slots=True)
class Present:
    """Somebody who is here, at the moment of asking."""

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
        host: which of this machine's addresses to listen on.
        port: 0 to 65535; 0 takes a free one, and `address` tells which.
        framing: LINES, or RAW for the assignment's own dialect.
        limits: see `Limits`.
        journal: where to write down what happens; by default a new one, in `journal`.
        password: what whoever wants to join must know. None: nothing.
        tls: (certificate, key), two PEM files, or an `ssl.SSLContext`: nobody can read along. None: no TLS.
        backplane: the URL of a Redis; the rooms are shared with all servers that have the same one
            (backplane/). None: they are this server's own.

    Raises:
        OSError, ValueError: a file of `tls` cannot be read, or will not do; `password` or `backplane` will
            not.
    """

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
        self._framing = framing
        self.limits = limits or Limits()
        self.journal = Journal() if journal is None else journal
        self._password = None if password is None else Password(password)
        self._new_seal = None if tls is None else _sealing(tls)
        # Guards the four below. What happens in the house and what is posted for it happen under one
        # hold of the lock, so that everybody hears of things in the order in which they happened.
        self._lock = threading.Lock()
        self._longest = self.limits.line if framing is LINES else min(self.limits.line, SMALL_CHUNK)
        self._house: House[Client] = House(self._longest)
        self._clients: dict[Client, None] = {}
        self._crowd: Crowd[Client] = Crowd(self.limits.max_clients, self.limits.per_address)
        self._last_ended: threading.Thread | None = None
        # Guards starting and stopping against each other, from whatever threads.
        self._switch = threading.Lock()
        self._door: Door | None = None
        self._turned_away: deque[float] = deque(maxlen=POLITE)  # when; the accept thread's own
        self._courier: Courier
        self._ending = threading.Event()  # stop was called …
        self._stopped = threading.Event()  # … and is done
        self._backplane = None if backplane is None else self._shared(backplane)

    # --- for whoever runs it ---

    def start(self) -> ChatServer:
        """Listen, and start the threads; returns when clients can connect.

        Raises:
            OSError: the port is taken, or the host is none of this machine's; the text says which. Or there
                is no Redis.
            RuntimeError: it was stopped before. Make a new one.
        """
        with self._switch:
            if self._ending.is_set():
                raise RuntimeError("this server was stopped; make a new one")
            if self._door is None:
                nicknames.load()
                if self._backplane is not None:
                    self._backplane.open()  # before anybody can knock: they would knock in vain
                try:
                    door = Door(self._host, self._port, self._come_in, self._no_room)
                except OSError:
                    if self._backplane is not None:
                        self._backplane.close()
                    raise
                self._courier = Courier(
                    self.limits,
                    "labkit-courier",
                    raw=self._framing is RAW,
                    sealed=self._new_seal is not None,
                )
                if self._backplane is not None:
                    try:
                        self._backplane.start(self._courier)
                    except OSError:
                        door.abandon()
                        self._courier.abandon()
                        raise
                self._courier.start()
                self._door = door
                door.open()
        return self

    def stop(self) -> None:
        """Tell everybody, end every connection and every thread, and free the port.

        Takes as long as the last lines take to go out, and about a second at most if somebody does not
        read them; with a backplane whose Redis does not answer, a few seconds more.
        """
        with self._switch:
            if self._ending.is_set():
                return
            self._ending.set()
            if self._door is None:
                self._stopped.set()
                return
            self._door.close()
            if self._backplane is not None:
                self._backplane.settle(LAST_LINES)
            with self._lock:
                # No thread starts any more, so these are all there are.
                threads = [client.thread for client in self._clients]
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
            if self._backplane is not None:
                self._backplane.stop()
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
        if self._door is None:
            raise RuntimeError("the server has no address before start()")
        return self._door.address

    @property
    def running(self) -> bool:
        return self._door is not None and not self._ending.is_set()

    @property
    def shares_through(self) -> str:
        """The Redis of its backplane, without a password; "" if its rooms are its own."""
        return "" if self._backplane is None else self._backplane.where

    @property
    def cut_off(self) -> str:
        """Why the Redis of its backplane cannot be used just now, if that lasts; "" if it can."""
        return "" if self._backplane is None else self._backplane.trouble

    def roster(self) -> list[str]:
        """The nicknames of all who are connected here, first come first."""
        return [person.nickname for person in self.present()]

    def present(self) -> list[Present]:
        """All who are here, first come first, each with how they fare."""
        with self._lock:
            people = [(p.who, p.nickname, p.room.name) for p in self._house.people()]
        return [
            Present(
                nickname,
                room,
                client.thread.name,
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

    # --- in the accept thread ---

    def _come_in(self, sock: socket.socket, number: int, host: str) -> None:
        """Give the connection its thread, or turn it away."""
        try:
            sockets.prepare(sock)
        except OSError:  # reset already
            sock.close()
            return
        framing = LineFraming if self._framing is LINES else RawFraming
        client = Client(sock, framing(self._longest), self.limits.messages, self._courier.telling)
        if self._new_seal is not None:
            client.seal = self._new_seal()
        client.thread = threading.Thread(
            target=self.handle_client, args=(client,), name=f"labkit-handle-{number}", daemon=True
        )
        why_not = ""
        with self._lock:
            if self._crowd.has_enough_from(host):
                why_not = f"too many from your address: {self.limits.per_address} connections"
            elif self._crowd.full and not self._make_way():
                why_not = f"the server is full: {self.limits.max_clients} connections"
            else:
                self._clients[client] = None
                self._crowd.add(client, host)
        if why_not:
            self._turn_away(client, why_not)
            return
        try:
            client.thread.start()
        except RuntimeError:  # the machine gives us no more threads
            with self._lock:
                del self._clients[client]
                self._crowd.remove(client)
            self._turn_away(client, "the server is full: no thread to be had")

    def _turn_away(self, client: Client, why: str) -> None:
        self.journal.record("refused", what=why)
        now = monotonic()
        polite = len(self._turned_away) < POLITE or now - self._turned_away[0] > 1.0
        if polite:
            self._turned_away.append(now)
        self._courier.post([ForOne(client, as_bytes(Refused(why))), Close(client, polite)])
        self._courier.wake()

    def _no_room(self, why: str) -> bool:
        """The machine has no room for one more. Whoever has no nickname gives up theirs, if this lasts."""
        if why:
            self.journal.record("full", what=why)
            return False
        with self._lock:
            made = self._make_way()
        self._courier.wake()
        return made

    def _make_way(self) -> bool:
        """Let go of one who has no nickname, if there is one. The lock must be held.

        Their thread wakes, and finds that they are no longer in the crowd.
        """
        assert self._lock.locked()
        client = self._crowd.in_the_way()
        if client is None:
            return False
        self._crowd.remove(client)
        client.in_the_way = True
        self._courier.post([ForOne(client, as_bytes(Refused("no nickname yet, and others need the room")))])
        sockets.shut(client.sock, socket.SHUT_RD)
        return True

    # --- a thread for each client ---

    def handle_client(self, client: Client) -> None:
        """All of one client's life, from the request for its nickname to its goodbye."""
        reason = VANISHED
        try:
            said = self._shake_hands(client)
            while True:
                self._hear(client, said)
                said = self._read(client, self.limits.silence)
        except Gone as gone:
            reason = gone.reason
        finally:
            self._say_goodbye(client, reason)

    def _shake_hands(self, client: Client) -> list[str | TooLong]:
        """Ask for a nickname until one is granted; return what was said in the same breath.

        Where there is a password, it is asked for as soon as a nickname was given, and the nickname is
        looked at only afterwards. Or whoever does not know the password could learn who is here, by
        trying names; or keep a name from others, by giving it and then thinking about the password.
        """
        give_up = monotonic() + self.limits.handshake
        said = self._agree_on_keys(client, give_up)
        trusted = self._password is None
        refused = 0
        self._answer(client, Request())
        while True:
            while said:
                nickname = said.pop(0)
                if nickname == "":
                    continue  # a sign of life, not a nickname
                if not trusted:
                    said = self._ask_for_password(client, said, give_up)
                    trusted = True
                try:
                    self._let_in(client, nickname)
                except Refusal as refusal:
                    refused += 1
                    if refused == self.limits.refusals:
                        self._answer(client, Refused(f"{refusal}{LAST_TRY}"))
                        raise Gone(NO_NICKNAME) from None
                    self._ask_again(client, Refused(str(refusal)), Request())
                else:
                    return said
            said = self._read_in_time(client, give_up, NO_NICKNAME)

    def _agree_on_keys(self, client: Client, give_up: float) -> list[str | TooLong]:
        """The TLS handshake, if there is to be one; return what was said in the same breath."""
        seal = client.seal
        said: list[str | TooLong] = []
        while seal is not None and not seal.ready:
            try:
                said += self._read(client, max(0.0, give_up - monotonic()))
            except Gone as gone:
                if gone.reason == WENT_SILENT:
                    why = f"within {self.limits.handshake:g} s"
                elif seal.trouble:
                    why = f"({seal.trouble})"
                else:
                    raise
                self.journal.record("refused", what=f"{NO_TLS} {why}")
                if seal.plain_text:
                    seal.say_plainly(as_bytes(Refused("this server speaks TLS alone, and this was none")))
                raise Gone(NO_TLS) from None
        return said

    def _ask_for_password(
        self, client: Client, said: list[str | TooLong], give_up: float
    ) -> list[str | TooLong]:
        """Ask until it is given; `said` is what is unread, before and after."""
        assert self._password is not None
        refused = 0
        self._answer(client, PasswordRequest())
        while True:
            while said:
                given = said.pop(0)
                if given == "":
                    continue
                if self._password.fits(given):
                    return said
                refused += 1
                if refused == self.limits.refusals:
                    self._answer(client, Refused(WRONG_PASSWORD + LAST_TRY))
                    raise Gone(NO_PASSWORD)
                self._ask_again(client, Refused(WRONG_PASSWORD), PasswordRequest())
            said = self._read_in_time(client, give_up, NO_PASSWORD)

    def _ask_again(self, client: Client, refusal: Refused, request: Request | PasswordRequest) -> None:
        if self._framing is RAW:
            self._answer(client, refusal)
            self._ending.wait(RAW_PAUSE)
            self._answer(client, request)
        else:
            self._answer(client, refusal, request)

    def _read_in_time(self, client: Client, give_up: float, lacking: str) -> list[str | TooLong]:
        """What the client answers, if it does before its time for the handshake is up."""
        try:
            # Each byte of a slow answer starts a new recv, but not a new minute.
            return self._read(client, max(0.0, give_up - monotonic()))
        except Gone as gone:
            if gone.reason != WENT_SILENT:
                raise
            self._answer(client, Refused(f"{lacking} within {self.limits.handshake:g} s"))
            raise Gone(lacking) from None

    def _let_in(self, client: Client, nickname: str | TooLong) -> None:
        if isinstance(nickname, TooLong):
            raise Refusal("that nickname will not do: too long")
        if self._backplane is not None:
            self._backplane.claim(client, nickname)
        with self._lock:
            if client not in self._crowd:
                raise Gone(NO_NICKNAME)  # too late: it had to make way
            self._post(self._house.join(client, nickname))
            self._crowd.named(client)
            client.goes_by(self._house.nickname(client))
        self._courier.wake()

    def _read(self, client: Client, seconds: float | None) -> list[str | TooLong]:
        """What the client said next; raises Gone if it is, or must go."""
        data = client.receive(seconds, self._ending)
        # A held talker is read no further, and TCP slows it down. Not for ever: it may be gone. It is held
        # here, with its bytes in hand, because here they are fewest: as lines they are many times as many.
        flowing = self._courier.flowing
        while self._is_held(client):
            if not flowing.is_set():
                flowing.wait(HELD_FOR)
            else:  # then it is the backplane that holds it
                self._ending.wait(HELD_FOR)
            if self._ending.is_set():
                raise Gone(SERVER_STOPPED)
            if client.failed:
                break  # the next receive will say so
        said = client.understand(data)
        if client.seal is not None and client.seal.pending:
            self._courier.post([ForOne(client, b"")])  # no data, but what TLS has to say
            self._courier.wake()
        return said

    def _is_held(self, client: Client) -> bool:
        if not self._courier.flowing.is_set() and self._courier.holds(client, client.whispered_to):
            return True
        return self._backplane is not None and self._backplane.holds(client)

    def _hear(self, client: Client, said: list[str | TooLong]) -> None:
        """Do what one recv's worth of lines asks for."""
        client.lines_in += len(said)
        if self.limits.messages is not None:
            for part in client.paced(said, self._ending):
                self._do(client, part)
        elif not ((texts := only_said(said)) and self._pass_on(client, texts)):
            for start in range(0, len(said), TURN):
                if start:
                    scheduling.make_way()
                self._do(client, said[start : start + TURN])
        elif len(said) > MUCH:
            scheduling.make_way()

    def _do(self, client: Client, said: list[str | TooLong]) -> None:
        """Do what these lines ask for, one after the other."""
        asked = [_understood(line) for line in said]
        if self._backplane is not None:
            self._backplane.do(client, asked)
            return
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
        client.whispered_to = {d.who for d in deliveries if isinstance(d, ToOne)}
        self._courier.wake()
        if Quit() in asked:
            raise Gone(QUIT)

    def _pass_on(self, client: Client, texts: tuple[str, ...]) -> bool:
        """Relay what was said, all of it at once. False: one of the lines needs a closer look."""
        client.whispered_to = set()
        try:
            with self._lock:
                self._post(self._house.hear_all(client, texts))
        except Refusal:
            return False
        self._courier.wake()
        return True

    def _say_goodbye(self, client: Client, reason: str) -> None:
        """The one place where a client leaves: the nickname is free, and the others are told once."""
        stopping = self._ending.is_set()
        with self._lock:
            client.leaving = True
            politely = reason not in (VANISHED, TOO_SLOW)
            if client not in self._crowd:  # it had to make way, and its descriptor is wanted now
                reason, politely = NO_NICKNAME, False
            self._crowd.remove(client)
            let_go = self._backplane is not None and self._backplane.was_let_go(client)
            if let_go:
                reason = SERVER_LOST
            if not client.named:
                self.journal.record("left", what=reason)
            elif stopping or let_go:
                # All were told by one line from stop; a line for each would be n times n lines.
                self.journal.record("left", self._house.nickname(client), reason, self._house.room(client))
                self._house.leave(client, reason)
            else:
                self._post(self._house.leave(client, reason))
            if self._backplane is None or not self._backplane.end(client, politely, stopping):
                self._courier.post([Hears(client, None), Close(client, politely)])
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
        if self._backplane is not None:
            deliveries = self._backplane.take(deliveries)
        for delivery in deliveries:
            note(self.journal, delivery, self._called)
        self._courier.post(as_entries(deliveries))

    def _called(self, client: Client) -> str:
        return self._house.nickname(client) if client in self._house else ""

    def _shared(self, url: str) -> Backplane:
        """The backplane. Loaded only where there is one."""
        from labkit.server.backplane import Backplane

        return Backplane(url, self._house, self._lock, self.journal, self.limits, self._ending)


def _sealing(tls: ForServer) -> Callable[[], Seal]:
    """What makes the TLS of a new connection. Loaded only where there is TLS."""
    from labkit.wire.tls import Seal, server_context

    context = server_context(tls)
    return lambda: Seal(context)


def _understood(line: str | TooLong) -> FromClient | Refusal:
    """What the line asks for, or why that cannot be understood."""
    if isinstance(line, TooLong):
        return Refusal(f"too long: a line has at most {line.limit} bytes")
    try:
        return from_client(line)
    except BadCommand as bad:
        return Refusal(str(bad))
