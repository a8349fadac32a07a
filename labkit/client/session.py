"""What a client's two threads share: the connection, the dialogue on it, the transcript. And what the
receiving thread does: it hears what comes, and goes on at another server when its own is lost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from labkit.client.connection import ClientConnection
from labkit.client.dialogue import Dialogue
from labkit.client.errors import ComingBack, ConnectionEnded, NicknameRefused, PasswordNeeded, WrongPassword
from labkit.client.reconnect import LastWords, Reconnection
from labkit.client.transcript import Transcript
from labkit.wire.addresses import Address, place
from labkit.wire.errors import words
from labkit.wire.framing import RAW, NewFraming, TooLong
from labkit.wire.messages import BadCommand, Notice, Quit, from_client, from_server
from labkit.wire.text import clean

if TYPE_CHECKING:
    from ssl import SSLContext

LEAST = 0.5
"""Seconds that a server gets at least to let us back in, also when we are about to give up."""


@dataclass(eq=False, repr=False)
class Session:
    """One client's connection, and the next one when that is lost."""

    new_framing: NewFraming
    timeout: float  # seconds, as for ChatClient
    password: str | None
    tls: SSLContext | None
    # Makes a Reconnection of what was lost: address, nickname, room, password. None: a loss is the end.
    come_back: Callable[[Address, str, str, str | None], Reconnection] | None
    address: Address  # of the first server

    def __post_init__(self) -> None:
        self.framed = self.new_framing is not RAW
        self.frame = self.new_framing().frame
        self.thawed = threading.Event()
        self.thawed.set()
        self.thread: threading.Thread  # the receiving thread
        self.transcript = Transcript()
        self.changed = self.transcript.changed  # guards all below, too
        self.dialogue = Dialogue("", self.password)
        self.reconnection: Reconnection | None = None  # while we look for another server
        self.last_words = LastWords()
        self.quitting = False  # said /quit
        self.connection = self._dial(self.address, self.timeout)  # the latest one, if it has ended

    def _dial(self, address: Address, timeout: float) -> ClientConnection:
        return ClientConnection(address, self.new_framing(), timeout, self.tls, lambda: self.leaving)

    @property
    def leaving(self) -> bool:
        """Whether it is over: we leave, or look no more for another server."""
        return bool(self.transcript.end)

    @property
    def is_here(self) -> bool:
        """Whether a server has let us in. `changed` must be held."""
        return self.dialogue.inside and self.reconnection is None and not self.transcript.complete

    # --- getting in ---

    def wait_until_asked(self) -> None:
        transcript = self.transcript
        with self.changed:
            self.changed.wait_for(lambda: self.dialogue.asked or transcript.complete, self.timeout)
            if self.dialogue.asked:
                return
            came, no_tls = transcript.came(), self.connection.no_tls
            if transcript.complete:
                why = f"the server asked for no nickname: {transcript.end}; {came}"
                raise ConnectionEnded(transcript.end if no_tls else why)
            if not transcript.inbox and not self.connection.encrypted:
                came += " (does it speak TLS?)"  # then it waits for us
            why = f"the server asked for no nickname within {self.timeout:g} s; {came}"
            raise TimeoutError(f"{no_tls}: no answer within {self.timeout:g} s" if no_tls else why)

    def reply(self, text: str, is_password: bool = False) -> None:
        """Answer the server's request, and wait for what it says to that. Raises as `ChatClient.answer`."""
        data = self.frame(text)
        dialogue, transcript = self.dialogue, self.transcript
        with self.changed:
            if is_password:
                dialogue.give_password(text)
                if self.come_back is None:
                    dialogue.password = self.password  # the one that was typed is kept only for coming back
            else:
                dialogue.answer(text)
                if not self.framed and self.password is None:
                    dialogue.accept()
        self.send(self.connection, data)
        nickname = f"the nickname {dialogue.nickname!r}"
        with self.changed:
            self.changed.wait_for(lambda: transcript.complete or dialogue.settled, self.timeout)
            if refusal := dialogue.refusal:
                wrong = dialogue.asks_for_password or refusal.wrong_password
                raise (WrongPassword if wrong else NicknameRefused)(refusal.why)
            if transcript.complete:
                raise ConnectionEnded(f"{nickname} was answered by the end: {transcript.end}")
            if dialogue.asks_for_password:
                return
            if self.framed and not dialogue.inside:
                within = f"within {self.timeout:g} s"
                raise TimeoutError(f"the server neither accepted nor refused {nickname} {within}")
            dialogue.accept()
        self.thread.name = f"labkit-recv_msg-{dialogue.nickname}"
        transcript.tell_listeners()

    # --- speaking, and leaving ---

    def say(self, text: str) -> None:
        """See `ChatClient.say`."""
        data = self.frame(text)
        give_up = monotonic() + self.timeout
        broken: ClientConnection | None = None
        while True:
            connection = self._begin_to_say(text, broken, give_up)
            try:
                self.send(connection, data)
                break
            except ConnectionEnded:
                if not self.come_back:
                    raise
                broken = connection  # the LF did not go out, so no client has heard it
        if self.come_back and text:
            with self.changed:
                if self.connection is connection and self.reconnection is None:
                    self.last_words.add(text)
                elif not self.transcript.complete:  # lost while we said it
                    self.transcript.note(f"it may not have heard this line: {text}")
        self.transcript.tell_listeners()

    def _begin_to_say(self, text: str, broken: ClientConnection | None, give_up: float) -> ClientConnection:
        """The connection to say it through, as soon as there is one, and not the one that broke."""
        nickname = self.dialogue.nickname
        with self.changed:
            ready = self.changed.wait_for(
                lambda: self.leaving or (self.reconnection is None and self.connection is not broken),
                give_up - monotonic(),
            )
            if not ready:
                why = f"no server let it back in within {self.timeout:g} s"
                raise ComingBack(f"{nickname} has not said {text!r}: {why}")
            if self.leaving:
                raise ConnectionEnded(f"{nickname} cannot say {text!r}: {self.transcript.end}")
            if self.dialogue.asks_for_password:
                raise PasswordNeeded("the server asks for a password: give_password, and then say")
            if text:
                self.transcript.lines.append(f"> {text}")
            with suppress(BadCommand):
                self.quitting |= from_client(text) == Quit()
            return self.connection

    def send(self, connection: ClientConnection, data: bytes) -> None:
        """Send a line. Raises as `ChatClient.say` does."""
        try:
            connection.send(data)
        except TimeoutError as error:
            with self.changed:
                comes_back = self.come_back and (self.is_here or self.reconnection)
            if not comes_back:
                self.begin_to_leave(str(error), abort=True)
                raise
            connection.break_off(str(error))
            raise ComingBack(f"{error}; the line was not said") from None
        except OSError as error:
            why = self.transcript.end or words(error)
            raise ConnectionEnded(f"{self.dialogue.nickname} is no longer connected ({why})") from None

    def begin_to_leave(self, why: str, abort: bool = False) -> bool:
        """Whether there is anything left to leave."""
        with self.changed:
            if self.leaving:
                return False
            self.transcript.end = why
            connection, coming_back = self.connection, self.reconnection is not None
            self.changed.notify_all()
        if abort:
            connection.break_off(why)
        elif coming_back or connection.no_tls:
            connection.stop_reading()  # a server that has not let us in needs no goodbye
        self.thawed.set()
        return True

    def join(self, timeout: float | None = None) -> None:
        """Wait until the receiving thread has ended, unless this is it."""
        if threading.current_thread() is not self.thread:
            self.thread.join(timeout)

    # --- the receiving thread: hearing ---

    def listen(self) -> str:
        """Hear what comes until this connection ends, and close it; returns why it ended."""
        connection = self.connection
        try:
            while not connection.over and (data := connection.receive(self.thawed, self._heartbeat())):
                self._hear(connection.decrypted(data))
            if connection.over:
                connection.say_goodbye(0)
            end = connection.why_ended()
        except OSError as error:
            end = connection.why_ended(error)
        connection.close()
        return end

    def _heartbeat(self) -> bytes:
        """An empty line. Before there is a nickname it might be taken for one; in RAW it is a message."""
        return self.frame("") if self.framed and self.dialogue.inside else b""

    def _hear(self, pieces: list[bytes]) -> None:
        """Keep what came, and send what the dialogue answers."""
        lines: list[str] = []
        for piece in pieces:
            for heard in self.connection.framing.feed(piece):
                if isinstance(heard, TooLong):
                    lines.append(f"! a line of more than {heard.limit} bytes came, and was dropped")
                else:
                    lines += heard.split("\n")  # in RAW several may share a recv
        if not lines:
            return
        answers: list[str | None] = []
        with self.changed:
            for line in map(clean, lines):  # the server should have; a student's may not
                message = from_server(line)
                answers.append(self.dialogue.receive(message))
                if self.dialogue.shown:
                    self.transcript.keep(line)
                if self.reconnection is not None:
                    self._look_whether_back()
                elif isinstance(message, Notice):
                    self.last_words.heed(message.text)
            self.changed.notify_all()
        self.transcript.tell_listeners()
        for answer in answers:
            if answer is not None:
                self.connection.send(self.frame(answer))

    def finish(self, end: str) -> None:
        """There is no connection any more, nor will there be one."""
        with self.changed:
            self.reconnection = None
            self.transcript.end = self.transcript.end or end
            self.transcript.complete = True
            self.changed.notify_all()
        self.transcript.tell_listeners()

    # --- the receiving thread: coming back ---

    def reconnect(self, why: object) -> bool:
        """Connect to another server, now that this connection ended, and why; False if that is over."""
        where = self.connection.address
        while (address := self._next_server(where, why)) is not None:
            assert self.reconnection is not None
            timeout = min(self.timeout, max(LEAST, self.reconnection.time_left))
            try:
                connection = self._dial(address, timeout)
            except (OSError, ValueError) as error:
                where, why = address, error
                continue
            connection.expect(timeout)
            with self.changed:
                self.connection, self.dialogue = connection, self.reconnection.dialogue
                connection.deaf = self.leaving
            return True
        return False

    def _next_server(self, where: Address, why: object) -> Address | None:
        """Whom to try, now that `where` is lost, or failed, and after a pause; None: nothing more."""
        transcript = self.transcript
        with self.changed:
            if self.leaving or self.quitting or self.come_back is None:
                return None
            if self.reconnection is not None:
                news = [self.reconnection.failed(where, why)]
            elif self.dialogue.inside:
                had = self.dialogue
                self.reconnection = self.come_back(where, had.nickname, had.room, had.password)
                first = self.reconnection.first
                trying = "again" if first == where else place(first)
                news = [f"lost {place(where)} ({why}); trying {trying}", self.last_words.lost()]
            else:
                return None  # no server had let us in yet
            for text in filter(None, news):
                transcript.note(text)
            turn = self.reconnection.next()
            if turn is None:
                transcript.end = self.reconnection.end
            self.changed.notify_all()
        transcript.tell_listeners()
        if turn is None:
            return None
        pause, address = turn
        with self.changed:
            self.changed.wait_for(lambda: self.leaving, pause)
        self.thawed.wait()
        return None if self.leaving else address

    def _look_whether_back(self) -> None:
        """`changed` must be held."""
        connection, dialogue = self.connection, self.dialogue
        if dialogue.over:
            connection.deaf = True
        elif dialogue.inside:
            connection.expect(None)
            connection.timeout = self.timeout
            self.reconnection = None
            where = f", in {dialogue.room}" if dialogue.room else ""
            self.transcript.note(f"back at {place(connection.address)}{where}")
