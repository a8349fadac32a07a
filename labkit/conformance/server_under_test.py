"""A server that is being tried, as a behaviour sees it: whom to send there, and how long to wait.

A behaviour (behaviours.py) asks it for people: `people("alice", "bob")` are two who have joined and hear
each other. Whoever was asked for leaves again when the behaviour is over.

There are two kinds. In a server that was started for one behaviour nobody else is, people go by their
plain names, and what becomes of it afterwards is all the same. One that ran before, and goes on, has
others in it: names get a tail that nobody else has, and nobody may leave before it is known that the
server survives that. Until then they stay, and somebody reads for them (`Guests`).
"""

from __future__ import annotations

import contextlib
import selectors
import threading
from dataclasses import dataclass, field
from time import sleep

from labkit.journal import Journal
from labkit.probe.deadline import SLICE, Deadline
from labkit.probe.failed import CheckFailed
from labkit.probe.raw_client import AT_MOST, RawClient, meet, unique
from labkit.wire import sockets

LEAST_TIMEOUT = 1.5
"""Seconds after which a server is taken not to do a thing, however quick it is."""

ROUND_TRIPS = 50
"""Or so many times the median of its round trips, if that is more."""


class CannotJoin(CheckFailed):
    """Those whom a behaviour needs do not get in: nothing can be said of the behaviour itself."""


class NotJudged(Exception):
    """Nothing can be said of the behaviour, on this server or in this dialect; the text says why."""


class Guests:
    """People who have nothing to do any more and cannot leave yet. A thread reads for them."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wakes, self._waker = sockets.waker()
        self._selector.register(self._wakes, selectors.EVENT_READ)
        # Guards the list, which the thread takes newcomers from.
        self._lock = threading.Lock()
        self._coming: list[RawClient] = []
        self._staying: list[RawClient] = []
        self._leaving = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="labkit-check-guests", daemon=True)
        self._thread.start()

    def take(self, clients: list[RawClient]) -> None:
        """From now on they are the thread's."""
        for client in clients:
            client.journal = Journal(1)  # what they hear now is nobody's business
        with self._lock:
            self._coming += clients
        sockets.wake(self._waker)

    def leave(self) -> None:
        """All who are here by now leave, with RST, one after the other."""
        self._leaving.set()
        sockets.wake(self._waker)
        while self._leaving.is_set():
            sleep(SLICE)

    def end(self) -> None:
        """Everybody leaves, rudely: there is nobody left to mind."""
        self._ending.set()
        sockets.wake(self._waker)
        self._thread.join()
        for client in self._coming + self._staying:
            client.reset()
        self._selector.close()
        self._wakes.close()
        self._waker.close()

    def _work(self) -> None:
        while not self._ending.is_set():
            for key, _ in self._selector.select():
                if key.data is None:
                    self._welcome()
                else:
                    self._read(key.data)
            if self._leaving.is_set():
                for client in self._staying:
                    if not client.end:
                        self._selector.unregister(client)
                    client.reset()
                    sleep(SLICE / 10)
                self._staying.clear()
                self._leaving.clear()
            sleep(SLICE / 5)  # in a room full of noise it would do nothing but read

    def _read(self, client: RawClient) -> None:
        client.forget()
        if client.end:
            self._selector.unregister(client)

    def _welcome(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wakes.recv(64)
        with self._lock:
            coming, self._coming = self._coming, []
        for client in coming:
            self._staying.append(client)
            if not client.end:
                self._selector.register(client, selectors.EVENT_READ, client)


@dataclass
class ServerUnderTest:
    """A server to try.

    Args:
        address: (host, port).
        framing: "lines" or "raw": the dialect in which it is judged.
        timeout: seconds that it is given for anything.
        speaks: the dialect in which it is spoken to, where that is not the same.
        tail: what is put behind everybody's name, where others may have the same.
        guests: where people stay who cannot leave yet; None: they just leave.
        all_stay: nobody can leave yet.
    """

    address: sockets.Address
    framing: str = "lines"
    timeout: float = LEAST_TIMEOUT
    speaks: str = ""
    tail: str = ""
    guests: Guests | None = None
    all_stay: bool = True
    journal: Journal = field(default_factory=Journal)
    _here: list[RawClient] = field(default_factory=list, init=False)
    _nameless: list[RawClient] = field(default_factory=list, init=False)
    _staying: list[RawClient] = field(default_factory=list, init=False)

    def nickname(self, name: str) -> str:
        """What alice is called here."""
        return name + self.tail

    # --- people ---

    def connect(self, name: str, receive_buffer: int | None = None) -> RawClient:
        """Somebody who is connected, and nothing more.

        Raises:
            CannotJoin: the server does not accept.
        """
        try:
            client = RawClient(
                self.address,
                name,
                journal=self.journal,
                framing=self.speaks or self.framing,
                receive_buffer=receive_buffer,
                timeout=self.timeout,
            )
        except OSError as error:
            raise CannotJoin(f"{name} can connect", str(error.strerror or error)) from None
        self._here.append(client)
        self._nameless.append(client)
        return client

    def newcomer(self, name: str, receive_buffer: int | None = None) -> RawClient:
        """Somebody who was asked for a nickname, and has not answered.

        Raises:
            CannotJoin: nobody asks.
        """
        return self.asked(self.connect(name, receive_buffer))

    def asked(self, client: RawClient) -> RawClient:
        """The same, once it was asked for a nickname.

        Raises:
            CannotJoin: nobody asks.
        """
        try:
            client.is_asked()
        except CheckFailed as failed:
            raise CannotJoin(failed.expected, failed.seen) from None
        return client

    def answer(self, newcomer: RawClient, nickname: str | bytes) -> None:
        """The newcomer says its nickname, and the server reads it."""
        self._nameless.remove(newcomer)
        newcomer.send(nickname)
        newcomer.until_read()

    def people(
        self, *names: str, know: RawClient | None = None, receive_buffer: int | None = None
    ) -> list[RawClient]:
        """These people have joined, in this order; each hears the first (or `know`) and is heard.

        Raises:
            CannotJoin: one of them is not asked, or not heard.
        """
        joined: list[RawClient] = []
        for name in names:
            client = self.newcomer(name, receive_buffer)
            self.answer(client, self.nickname(name))
            first = know or (joined[0] if joined else None)
            if first:
                try:
                    meet(client, first)
                except CheckFailed as failed:
                    raise CannotJoin(failed.expected, failed.seen) from None
            joined.append(client)
        return joined

    # --- what they do ---

    def reaches(self, text: str, speaker: RawClient, listener: RawClient) -> bool:
        """Whether the listener hears this, which the speaker has said.

        Nobody waits any longer once the speaker was thrown out; while something else comes, a backlog
        perhaps, the listener listens on.
        """
        every, in_all = Deadline(self.timeout), Deadline(AT_MOST * self.timeout)
        received = listener.received
        while not listener.hears(text, 2 * SLICE):
            if speaker.ended(0) or listener.end:
                return listener.hears(text, 4 * SLICE)  # it may have been on its way
            if listener.received != received:
                every, received = Deadline(self.timeout), listener.received
            if every.passed() or in_all.passed():
                return False
        return True

    def hears_from(self, speaker: RawClient, listener: RawClient, word: str) -> None:
        """The speaker says something, and the listener hears it.

        Raises:
            CheckFailed: it does not. Perhaps because the speaker was thrown out: that is told, too.
        """
        text = unique(word)
        speaker.send(text)
        if not self.reaches(text, speaker, listener):
            seen = f"{speaker.name} was thrown out ({speaker.end}); " if speaker.end else ""
            raise CheckFailed(f"{listener.name} hears {text!r} from {speaker.name}", seen + listener.seen())

    def settle(self) -> None:
        """Give the server time to do what nobody is told of."""
        sleep(self.timeout / 5)

    # --- the end of it ---

    def stays(self, client: RawClient) -> None:
        """This one must not leave before the very end, if the server is to go on."""
        self._here.remove(client)
        self._staying.append(client)

    def leave(self) -> None:
        """Everybody leaves: with RST; or, where the server may not survive that, is a guest from now on."""
        if self.guests:
            for client in self._nameless:  # a server that waits for the answer waits no longer
                if client.send(unique(self.nickname("guest")).replace("-", "x")):
                    client.until_read(4 * SLICE)
            if self._here and not self.all_stay:
                self.calms_down()
        here, staying = self._here, self._staying
        self._here, self._nameless, self._staying = [], [], []
        if self.guests and self.all_stay:
            here, staying = [], here + staying
        for client in here:
            client.reset()
            if self.guests:
                sleep(SLICE / 5)
        if self.guests:
            self.guests.take([client for client in staying if client.fileno() >= 0])
        else:
            for client in staying:
                client.reset()

    def calms_down(self, seconds: float = 2 * SLICE) -> bool:
        """Whoever did not read reads now, until nothing has come for so long. False: it never ends.

        To leave in the middle of it would do harm: a reset is told once, to whoever sends or receives
        first, and a thread that was not told may go on for ever.
        """
        people = self._here + self._staying
        for client in people:
            client.widen()
        in_all, calm = Deadline(2 * self.timeout), Deadline(seconds)
        received = -1
        while not calm.passed():
            if in_all.passed():
                return False
            for client in people:
                client.forget()
            now = sum(client.received for client in people)
            if now != received:
                received, calm = now, Deadline(seconds)
            sleep(SLICE / 10)
        return True
