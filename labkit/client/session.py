"""What a client's threads share: the connection, the dialogue on it, the transcript; and how to speak.

The receiving thread's part is in receiver.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from labkit.client.connection import ClientConnection
from labkit.client.dialogue import Dialogue
from labkit.client.errors import ComingBack, ConnectionEnded, NicknameRefused, PasswordNeeded, WrongPassword
from labkit.client.reconnect import LastWords, Reconnection
from labkit.client.transcript import Transcript
from labkit.wire.framing import RAW, NewFraming
from labkit.wire.messages import BadCommand, Quit, from_client
from labkit.wire.sockets import Address

if TYPE_CHECKING:
    from labkit.wire.tls import ForClient, TlsSession


class Session:
    """One client's connection, and the next one when that is lost.

    Args:
        framing, timeout, password, tls: as for ChatClient.
        come_back: makes a Reconnection of what was lost: address, nickname, room, password. None: a lost
            connection is the end.
    """

    def __init__(
        self,
        framing: NewFraming,
        timeout: float,
        password: str | None,
        tls: ForClient | None,
        come_back: Callable[[Address, str, str, str | None], Reconnection] | None,
    ) -> None:
        self.framed = framing is not RAW
        self.frame = framing().frame
        self.timeout = timeout
        self.thawed = threading.Event()
        self.thawed.set()
        self.come_back = come_back
        self._new_framing = framing
        self._new_tls = None if tls is None or tls is False else _encrypting(tls)
        self.transcript = Transcript()
        self.changed = self.transcript.changed  # guards all below, too
        self.password = password
        self.connection: ClientConnection  # the latest one, if it has ended
        self.dialogue = Dialogue()  # on that connection
        self.reconnection: Reconnection | None = None  # while we look for another server
        self.last_words = LastWords()
        self.thread: threading.Thread  # the receiving thread
        self.leaving = False
        self.quitting = False  # said /quit

    def connect(self, address: Address) -> None:
        """Connect for the first time, or again after that failed. No thread is there yet."""
        self.connection = self.dial(address, self.timeout)
        self.dialogue = Dialogue()
        self.transcript.clear()
        self.leaving = False

    def dial(
        self, address: Address, timeout: float, given_up: Callable[[], bool] | None = None
    ) -> ClientConnection:
        tls = self._new_tls(address[0]) if self._new_tls else None
        return ClientConnection(address, self._new_framing(), timeout, tls, given_up)

    @property
    def is_here(self) -> bool:
        """Whether a server has let us in. `changed` must be held."""
        return self.dialogue.inside and self.reconnection is None and not self.transcript.complete

    @property
    def heartbeat(self) -> bytes:
        """An empty line. Before there is a nickname it might be taken for one; in RAW it is a message."""
        return self.frame("") if self.framed and self.dialogue.inside else b""

    # --- getting in ---

    def wait_until_asked(self) -> None:
        transcript = self.transcript
        with self.changed:
            self.changed.wait_for(lambda: self.dialogue.asked or transcript.complete, self.timeout)
            if self.dialogue.asked:
                return
            came = transcript.came()
            if transcript.complete:
                raise ConnectionEnded(f"the server asked for no nickname: {transcript.end}; {came}")
            if not transcript.inbox and not self.connection.encrypted:
                came += " (does it speak TLS?)"  # then it waits for us
            raise TimeoutError(f"the server asked for no nickname within {self.timeout:g} s; {came}")

    def check_connected(self, what: str) -> None:
        if self.transcript.complete:
            raise ConnectionEnded(f"{what} comes too late: {self.transcript.end}")

    def settle(self) -> None:
        """Wait for what the server answers to a nickname, or to a password."""
        dialogue, transcript = self.dialogue, self.transcript
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
        transcript, nickname = self.transcript, self.dialogue.nickname
        with self.changed:
            ready = self.changed.wait_for(
                lambda: (
                    transcript.complete
                    or self.leaving
                    or (self.reconnection is None and self.connection is not broken)
                ),
                give_up - monotonic(),
            )
            if not ready:
                why = f"no server let it back in within {self.timeout:g} s"
                raise ComingBack(f"{nickname} has not said {text!r}: {why}")
            if self.dialogue.asks_for_password and not transcript.complete:
                raise PasswordNeeded("the server asks for a password: give_password, and then say")
            if transcript.complete or self.leaving:
                raise ConnectionEnded(f"{nickname} cannot say {text!r}: {transcript.end}")
            if text:
                transcript.lines.append(f"> {text}")
            self.quitting = self.quitting or _is_quit(text)
            return self.connection

    def send(self, connection: ClientConnection, data: bytes) -> None:
        """Send a line. Raises as `ChatClient.say` does."""
        try:
            connection.send(data)
        except TimeoutError:
            why = f"the server read nothing for {self.timeout:g} s"
            # Part of a line may be out: whatever followed would be taken for the rest of it.
            with self.changed:
                comes_back = self.come_back and (self.is_here or self.reconnection)
            if comes_back:
                connection.trouble, connection.unplugged = why, True
            if comes_back or self.begin_to_leave(why, unplug=True):
                connection.stop_reading()
            if comes_back:
                raise ComingBack(f"{why}; the line was not said") from None
            raise TimeoutError(why) from None
        except OSError as error:
            why = f"{self.dialogue.nickname} is no longer connected ({error.strerror or error})"
            raise ConnectionEnded(why) from None

    def begin_to_leave(self, why: str, unplug: bool = False) -> bool:
        """Whether there is anything left to leave."""
        with self.changed:
            if self.leaving or self.transcript.complete:
                return False
            self.leaving = True
            self.transcript.end = why
            connection, let_in = self.connection, self.reconnection is None
            connection.unplugged = connection.unplugged or unplug
            self.changed.notify_all()
        self.thawed.set()
        if not let_in:
            connection.stop_reading()  # a server that has not let us in needs no goodbye
        return True

    def join(self, timeout: float | None = None) -> None:
        """Wait until the receiving thread has ended, unless this is it."""
        if threading.current_thread() is not self.thread:
            self.thread.join(timeout)


def _is_quit(text: str) -> bool:
    try:
        return text.startswith("/") and from_client(text) == Quit()
    except BadCommand:
        return False


def _encrypting(tls: ForClient) -> Callable[[str], TlsSession]:
    """What makes the TLS with the server at a host. Loaded only where there is TLS."""
    from labkit.wire.tls import TlsSession, client_context

    context = client_context(tls)
    return lambda host: TlsSession(context, host)
