"""A server under test, as a behaviour sees it: the clients to send there, and how long to wait.

A behaviour (behaviours.py) asks it for clients: `join("alice", "bob")` returns two that have joined and
hear each other. They leave when the behaviour is over.

There are two kinds. A server that was started for one behaviour has no other clients: names stay plain, and
it does not matter what becomes of it afterwards. A server that ran before, and goes on, has others in it:
names get a tail that is unique there, and no client may leave before the server is known to survive that.
Until then they stay, and a thread reads for them (`Guests`).
"""

from __future__ import annotations

import contextlib
import random
import re
import selectors
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from time import sleep

from labkit.conformance.dialect import Form, learnt
from labkit.journal import Journal
from labkit.probe.deadline import SLICE, Clock, Deadline, pause
from labkit.probe.failed import CheckFailed
from labkit.probe.raw_client import AT_MOST, REQUEST, RawClient, meet, unique
from labkit.wire import sockets

LEAST_TIMEOUT = 1.5
"""Seconds after which a server is taken not to do a thing, however quick it is."""

LETTERS = "abcdefghjkopqstuxyz"
"""What unique nicknames are made of: no letters that together look like another, as `rn` does like `m`."""

LONGEST_NAME = 8
"""Letters of a nickname: servers may allow no more, and nothing but letters."""

LESSONS = 3
"""Times that two talk to find out in which form they are heard."""

ROUND_TRIPS = 50
"""Or so many times the median of its round trips, if that is more."""


def letters(count: int) -> str:
    """So many letters, drawn by lot: a nickname that nobody has."""
    return "".join(random.SystemRandom().choices(LETTERS, k=count))


def told_something(client: RawClient, since: int) -> bool:
    """Whether the server has told the client something after so many bytes, in whatever words.

    All that clients say here holds a word with a number.
    """
    heard = client.transcript[since:].decode(errors="replace").splitlines()
    return any(re.search(r"\w", line) and not re.search(r"[a-z]-\d+", line) for line in heard)


def asked_with(request: str, before: bytes, behind: bytes) -> str:
    """The whole line in which a client was asked: the request, and what came before and behind it."""
    line = (before.rpartition(b"\n")[2] + request.encode() + behind).partition(b"\n")[0]
    return line.decode(errors="replace").rstrip("\r")


class CannotJoin(CheckFailed):
    """The clients that a behaviour needs do not get in: it cannot be judged."""


class NotJudged(Exception):
    """The behaviour cannot be judged, on this server or in this dialect; the text says why."""


class NotOffered(Exception):
    """The server does not have what the behaviour is about, and need not have it."""


class Guests:
    """Clients that have done their part and cannot leave yet. A thread reads for them."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wakes, self._waker = sockets.waker()
        self._selector.register(self._wakes, selectors.EVENT_READ)
        # Guards _coming, from which the thread takes them.
        self._lock = threading.Lock()
        self._coming: list[RawClient] = []
        self._staying: list[RawClient] = []
        self._leaving = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="labkit-check-guests", daemon=True)
        self._thread.start()

    def take(self, clients: list[RawClient]) -> None:
        """Hand these over to the thread."""
        for client in clients:
            client.journal = Journal(1)  # what they hear now does not matter
        with self._lock:
            self._coming += clients
        sockets.wake(self._waker)

    def leave(self) -> None:
        """All that are here now leave, with RST, one after the other."""
        self._leaving.set()
        sockets.wake(self._waker)
        while self._leaving.is_set():
            sleep(SLICE)

    def end(self) -> None:
        """Reset all of them, and end the thread."""
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
        speaks: the dialect in which the clients speak to it, if not the same.
        request: how it asks for a nickname; "": it does not, and the client speaks first.
        form: in which it passes on what one says; None: that is still to be learnt.
        tail: letters put behind each nickname, where others may have the same.
        guests: where clients stay that cannot leave yet; None: they leave.
        all_stay: whether no client can leave yet.
        clock: counts the seconds of all these waits; None: as a Deadline does.
        holds: bytes that the kernel takes for a client that does not read; None: as this system does.
        rests: waits until the server has done what it had to do; None: that shows in nothing but time.
    """

    address: sockets.Address
    framing: str = "lines"
    timeout: float = LEAST_TIMEOUT
    speaks: str = ""
    request: str = REQUEST
    form: Form | None = None
    tail: str = ""
    guests: Guests | None = None
    all_stay: bool = True
    journal: Journal = field(default_factory=Journal)
    clock: Clock | None = None
    holds: int | None = None
    rests: Callable[[], object] | None = None
    _here: list[RawClient] = field(default_factory=list, init=False)
    _nameless: list[RawClient] = field(default_factory=list, init=False)
    _staying: list[RawClient] = field(default_factory=list, init=False)
    _nicknames: dict[str, str] = field(default_factory=dict, init=False)

    def nickname(self, name: str) -> str:
        """What alice is called here: a few letters, and nothing else."""
        if name not in self._nicknames:
            short = name[: LONGEST_NAME - len(self.tail)]
            while not short.isalpha() or short + self.tail in self._nicknames.values():
                short = letters(LONGEST_NAME - len(self.tail))
            self._nicknames[name] = short + self.tail
        return self._nicknames[name]

    # --- what it makes of what is said ---

    def form_of(self, alice: RawClient, bob: RawClient) -> Form:
        """The form in which these two hear each other.

        Raises:
            NotJudged: it is never the same.
        """
        for _ in range(LESSONS):
            if self.form is not None:
                break
            texts: dict[str, str] = {}
            heard: dict[str, str] = {}
            for speaker, listener in ((alice, bob), (bob, alice)):
                nickname, text = self.nickname(speaker.name), unique("form")
                self.quiet(alice, bob)
                listener.forget()
                speaker.send(text)
                if not self.reaches(text, speaker, listener):
                    raise NotJudged(f"{listener.name} does not hear {speaker.name}")
                before = listener.passed_over.decode(errors="replace")
                after = listener.follows(0).decode(errors="replace").partition("\n")[0]
                if self.framing == "lines":
                    before = before.rpartition("\n")[2]
                texts[nickname], heard[nickname] = text, before + text + after
            self.form = learnt(heard, texts)
        if self.form is None:
            raise NotJudged("what one says reaches the others in no form that could be made out")
        return self.form

    def said_by(self, form: Form, heard: str, text: str) -> list[str]:
        """The nicknames under which this was said, in what was heard; "" where messages have none."""
        return form.said(heard, text, self.framing == "raw")

    def deadline(self, seconds: float | None = None) -> Deadline:
        """Its timeout, or so many seconds, from now on."""
        return Deadline(self.timeout if seconds is None else seconds, self.clock)

    # --- its clients ---

    def connect(self, name: str, receive_buffer: int | None = None) -> RawClient:
        """A client that is connected, and nothing more.

        Raises:
            CannotJoin: the server does not accept.
        """
        try:
            client = RawClient(
                self.address,
                name,
                journal=self.journal,
                framing=self.speaks or self.framing,
                request=self.request,
                receive_buffer=receive_buffer,
                timeout=self.timeout,
                clock=self.clock,
            )
        except OSError as error:
            raise CannotJoin(f"{name} can connect", str(error.strerror or error)) from None
        self._here.append(client)
        self._nameless.append(client)
        return client

    def latest(self) -> RawClient:
        """The one that connected last."""
        return self._here[-1]

    def newcomer(self, name: str, receive_buffer: int | None = None) -> RawClient:
        """A client that was asked for a nickname, and has not answered.

        Raises:
            CannotJoin: it was not asked.
        """
        return self.asked(self.connect(name, receive_buffer))

    def asked(self, client: RawClient) -> RawClient:
        """The same client, once it was asked for a nickname.

        Raises:
            CannotJoin: it was not asked.
        """
        try:
            client.is_asked()
        except CheckFailed as failed:
            raise CannotJoin(failed.expected, failed.seen) from None
        return client

    def answer(self, newcomer: RawClient, nickname: str | bytes) -> None:
        """The newcomer sends its nickname, and the server reads it."""
        self._nameless.remove(newcomer)
        newcomer.send(nickname)
        newcomer.until_read()

    def join(
        self, *names: str, know: RawClient | None = None, receive_buffer: int | None = None
    ) -> list[RawClient]:
        """These clients have joined, in this order; each hears the first (or `know`) and is heard.

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
                    raise CannotJoin(failed.expected, failed.seen, failed.clue) from None
            joined.append(client)
        return joined

    # --- what they do ---

    def reaches(self, text: str, speaker: RawClient, listener: RawClient) -> bool:
        """Whether the listener hears what the speaker has said.

        It waits no longer once the speaker was thrown out, and goes on while something else comes, such as
        a backlog.
        """
        silence, total = self.deadline(), self.deadline(AT_MOST * self.timeout)
        received = listener.received
        while not listener.hears(text, 2 * SLICE):
            if speaker.ended(0) or listener.end:
                return listener.hears(text, 4 * SLICE)  # it may have been on its way
            if listener.received != received:
                silence, received = self.deadline(), listener.received
            if silence.passed() or total.passed():
                return False
        return True

    def hears_from(self, speaker: RawClient, listener: RawClient, word: str) -> str:
        """The speaker says something, and the listener hears it. Returns what it was.

        Raises:
            CheckFailed: it does not; the text says if the speaker was thrown out.
        """
        text = unique(word)
        speaker.send(text)
        if not self.reaches(text, speaker, listener):
            seen = f"{speaker.name} was thrown out ({speaker.end}); " if speaker.end else ""
            raise CheckFailed(f"{listener.name} hears {text!r} from {speaker.name}", seen + listener.seen())
        return text

    def needs(self, speaker: RawClient, listener: RawClient, word: str = "well") -> None:
        """The same, where this is another behaviour's matter.

        Raises:
            NotJudged: the listener does not hear it.
        """
        try:
            self.hears_from(speaker, listener, word)
        except CheckFailed as failed:
            raise NotJudged(f"{failed.seen}, and this rests on what {speaker.name} said") from None

    def quiet(self, *clients: RawClient) -> None:
        """Wait until nothing is on its way to these, in the order in which they joined.

        The kernel reports a reset once: to the client's own thread, or to another that just sends to it.
        """
        *others, last = clients
        for speaker in clients:
            text = unique("quiet")
            speaker.send(text)
            for listener in [last] if speaker is not last else others:
                if not self.reaches(text, speaker, listener):
                    return
        self.settle()  # where each client has a thread that sends, the last to hear may not be the last

    def settle(self) -> None:
        """Give the server time for what no client is told of.

        What a server does because of something must be over before it is looked for: a newcomer may get in
        before the server has noticed a goodbye, and closes its listener for it.
        """
        if self.rests:
            self.rests()
        else:
            pause(self.timeout / 5, self.clock)

    # --- the end of it ---

    def stays(self, client: RawClient) -> None:
        """This client must not leave before the very end, if the server is to go on."""
        self._here.remove(client)
        self._staying.append(client)

    def leave(self) -> None:
        """All leave with RST; where the server may not survive that, they become guests."""
        if self.guests:
            for client in self._nameless:  # a server that waits for the answer waits no longer
                if client.send(letters(LONGEST_NAME)):
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
        """All clients read, until nothing has come for so long. False: it never ends.

        A client that left in the middle of it would do harm: the kernel reports a reset once, to the first
        send or recv, and a server's other thread may go on for ever.
        """
        clients = self._here + self._staying
        for client in clients:
            client.widen()
        total, calm = self.deadline(2 * self.timeout), self.deadline(seconds)
        received = -1
        while not calm.passed():
            if total.passed():
                return False
            for client in clients:
                client.forget()
            now = sum(client.received for client in clients)
            if now != received:
                received, calm = now, self.deadline(seconds)
            sleep(SLICE / 10)
        return True
