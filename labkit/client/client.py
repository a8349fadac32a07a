"""ChatClient: one end of a conversation, with a thread that listens while you speak.

`recv_msg` runs in that thread (its work is in receiver.py); your own thread speaks (`say`) and waits for
what it expects (`wait_for`). There are also ways to misbehave on purpose: `vanish` pulls the plug, `freeze`
stops reading. It works with any server that speaks the wire.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Sequence
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING

from labkit.client.connection import ClientConnection
from labkit.client.errors import ComingBack, ConnectionEnded, NicknameRefused, PasswordNeeded, WrongPassword
from labkit.client.receiver import Receiver
from labkit.client.reconnect import several, told_of
from labkit.wire import sockets
from labkit.wire.framing import LINES, NewFraming
from labkit.wire.messages import BadCommand, Quit, from_client

if TYPE_CHECKING:
    from labkit.wire.tls import ForClient

# What a client is doing.
JOINING, HERE, FROZEN, GONE = "joining", "here", "frozen", "gone"

GOODBYE = 1.0
"""Seconds that a server has to answer our goodbye with its own."""


class ChatClient:
    """A client of a chat server: connects, gives its nickname, and listens.

    Use it as a context manager, or call `leave` in the end.

    Args:
        nickname: what to answer to the server's request. None: connect and be asked, no more; then
            call `answer`.
        address: (host, port), as `ChatServer.address` gives it. Or a list of these, for a client that comes
            back; see below.
        framing: LINES, or RAW for the assignment's own dialect.
        timeout: seconds for connecting, for the handshake, and for a line to be sent.
        password: what to answer if the server asks for one. It is sent then, once, and never shown.
        tls: the file of the server's certificate, or of the authority that signed it (PEM); or True, to
            trust those that this machine trusts; or an `ssl.SSLContext`. The certificate must be for this
            server. None: no TLS.
        give_up: seconds that a client of several servers looks for another one, once it has lost its own.
        seed: of the dice that its pauses are thrown with; the same seed, the same throws. None: any.

    Raises:
        NicknameRefused: the server refused the nickname.
        PasswordNeeded, WrongPassword: it asks for a password, and there is none; or not this one.
        ConnectionError: no server listens there; it went away during the handshake; or TLS could not be
            agreed on, and the text says why.
        TimeoutError: the server listens, but said nothing.
        OSError: there is no such host, or the certificate's file cannot be read.
        ValueError: the certificate's file holds none, or the password cannot be sent; or the list of
            addresses cannot be one, or was given with RAW.

    With LINES it returns when the server has said that the nickname is accepted. In RAW no server need
    say so, and it returns when it has answered the request; with a password, when that has been asked for
    or `timeout` is over.

    With a list of addresses, even of one, it goes to the first server that lets it in (ConnectionError:
    none did; the text says why of each). When that is lost, it is JOINING again, and tries them in turn,
    from the next one on and round again, until one has given it its nickname and its room back:

    - Lost is a server that hung up, stopped, was cut off, or read nothing for `timeout` seconds; also one
      that let us go, as the wire does not tell why. After `/quit` or `leave` nothing is lost.
    - A nickname that `is taken` may still be our own: that is tried again. Any other refusal, of the
      nickname, the password or the room, is the end, and so are `give_up` seconds.
    - `# lost …` and `# back at …, in ROOM` in the transcript tell of it, and `wait_for` finds them.
    - `say` waits meanwhile, and says it to the next server. What had gone out just before may have been
      heard or not: it is not said again, but `# it may not have heard …` names what was said in the last
      3 s, and what was said since the server was cut off from others.
    - A password given by `give_password` is kept for the next server.
    - A frozen client notices nothing, and comes back when it is thawed.
    """

    def __init__(
        self,
        nickname: str | None,
        address: sockets.Address | list[sockets.Address],
        *,
        framing: NewFraming = LINES,
        timeout: float = 5.0,
        password: str | None = None,
        tls: ForClient | None = None,
        give_up: float = 30.0,
        seed: int | None = None,
    ) -> None:
        servers = None if isinstance(address, tuple) else several(address, framing, give_up)
        password = None if password is None else _sendable(password)
        self._receiver = Receiver(servers, framing, timeout, password, tls, give_up, seed)
        self._transcript = self._receiver.transcript
        self._changed = self._transcript.changed  # guards the two above, and is told of every change
        if isinstance(address, tuple):
            self._enter(address, nickname)
        else:
            self._enter_one_of(address, nickname)

    def _enter(self, address: sockets.Address, nickname: str | None) -> None:
        """Connect, be asked, and answer."""
        self._receiver.connect(address)
        self._thread = threading.Thread(target=self.recv_msg, name="labkit-recv_msg", daemon=True)
        self._thread.start()
        try:
            self._wait_until_asked()
            if nickname is not None:
                self.answer(nickname)
        except BaseException:
            self.leave()
            raise

    def _enter_one_of(self, servers: Sequence[sockets.Address], nickname: str | None) -> None:
        failures: list[str] = []
        for address in servers:
            try:
                self._enter(address, nickname)
                break
            except OSError as error:  # not a refusal: that would be the same everywhere
                failures.append(told_of(address, error))
        else:
            raise ConnectionError(f"no server let us in: {'; '.join(failures)}")
        with self._changed:
            for failure in reversed(failures):
                self._transcript.note(failure, first=True)

    def _wait_until_asked(self) -> None:
        receiver, transcript = self._receiver, self._transcript
        with self._changed:
            self._changed.wait_for(lambda: receiver.dialogue.asked or transcript.complete, receiver.timeout)
            if receiver.dialogue.asked:
                return
            came = transcript.came()
            if transcript.complete:
                raise ConnectionEnded(f"the server asked for no nickname: {transcript.end}; {came}")
            if not transcript.inbox and not receiver.connection.sealed:
                came += " (does it speak TLS?)"  # then it waits for us
            raise TimeoutError(f"the server asked for no nickname within {receiver.timeout:g} s; {came}")

    def answer(self, nickname: str) -> None:
        """Answer the server's request for a nickname.

        Raises:
            NicknameRefused: it was refused. The server asks again: answer with another one.
            PasswordNeeded: the server asks for a password first; `give_password` answers that.
            WrongPassword: it asked, and refused the one that this client has.
            ConnectionEnded: the server ended the connection, perhaps after too many refusals.
            TimeoutError: the server neither accepted nor refused it.
            ValueError: it is empty (on the wire that is a heartbeat, no answer), or holds a line end.
        """
        if not nickname:
            raise ValueError("an empty line is no nickname")
        receiver = self._receiver
        data = receiver.frame(nickname)
        self._wait_until_asked()
        with self._changed:
            if self._transcript.complete:
                raise ConnectionEnded(f"the nickname {nickname!r} comes too late: {self.end}")
            receiver.dialogue.answer(nickname)
            if not receiver.framed and receiver.password is None:
                receiver.dialogue.accept()
        self._send(receiver.connection, data)
        self._settle()
        if self.asks_for_password:
            if receiver.password is None:
                raise PasswordNeeded("the server asks for a password, and none was given")
            self.give_password(receiver.password)

    @property
    def asks_for_password(self) -> bool:
        """Whether the server waits for a password: then nothing else can be said."""
        with self._changed:
            return self._receiver.dialogue.asks_for_password

    def give_password(self, password: str) -> None:
        """Answer the server's request for a password. It is not shown, and kept only for coming back.

        Raises:
            WrongPassword: it was refused. The server asks again, or has hung up.
            NicknameRefused: it is right, but the nickname is refused: `answer` with another one.
            ConnectionEnded: the server ended the connection.
            TimeoutError: the server neither accepted nor refused it.
            ValueError: it is empty, or holds a line end; or the server asks for none.
        """
        receiver = self._receiver
        data = receiver.frame(_sendable(password))
        with self._changed:
            if self._transcript.complete:
                raise ConnectionEnded(f"the password comes too late: {self.end}")
            if not self.asks_for_password:
                raise ValueError("the server does not ask for a password now")
            receiver.dialogue.give_password(password)
        self._send(receiver.connection, data)
        before = receiver.password
        if receiver.servers:
            receiver.password = password
        try:
            self._settle()
        except WrongPassword:
            receiver.password = before
            raise

    def _settle(self) -> None:
        """Wait for what the server answers to a nickname, or to a password."""
        receiver, dialogue, transcript = self._receiver, self._receiver.dialogue, self._transcript
        with self._changed:
            self._changed.wait_for(lambda: transcript.complete or dialogue.settled, receiver.timeout)
            if refusal := dialogue.refusal:
                wrong = dialogue.asks_for_password or refusal.wrong_password
                raise (WrongPassword if wrong else NicknameRefused)(refusal.why)
            if transcript.complete:
                raise ConnectionEnded(f"the nickname {self.nickname!r} was answered by the end: {self.end}")
            if dialogue.asks_for_password:
                return
            if receiver.framed and not dialogue.inside:
                raise TimeoutError(
                    f"the server neither accepted nor refused the nickname {self.nickname!r} "
                    f"within {receiver.timeout:g} s"
                )
            dialogue.accept()
        self._thread.name = f"labkit-recv_msg-{self.nickname}"
        transcript.tell_listeners()

    # --- speaking ---

    def say(self, text: str) -> None:
        """Send a line, just as if it were typed: `/who` asks who is here, `//who` says `/who`.

        Raises:
            ValueError: it holds a line end, and would be two lines.
            PasswordNeeded: the server waits for a password, and would take this for it.
            ConnectionEnded: this client has left, or the server is gone.
            TimeoutError: the server does not read; the line may have gone out in part.
            ComingBack: with several servers: it was not said, since for `timeout` seconds there was none
                that would have read it. The client goes on looking for one.
        """
        receiver = self._receiver
        data = receiver.frame(text)
        give_up = monotonic() + receiver.timeout
        broken: ClientConnection | None = None
        while True:
            connection = self._begin_to_say(text, broken, give_up)
            try:
                self._send(connection, data)
                break
            except ConnectionEnded:
                if not receiver.servers:
                    raise
                broken = connection  # the LF did not go out, so no client has heard it
        if receiver.servers and text:
            with self._changed:
                if receiver.connection is connection and receiver.reconnection is None:
                    receiver.last_words.add(text)
                elif not self._transcript.complete:  # lost while we said it
                    self._transcript.note(f"it may not have heard this line: {text}")
        self._transcript.tell_listeners()

    def _begin_to_say(self, text: str, broken: ClientConnection | None, give_up: float) -> ClientConnection:
        """The connection to say it through, as soon as there is one, and not the one that broke."""
        receiver, transcript = self._receiver, self._transcript

        def is_connected() -> bool:
            return receiver.reconnection is None and receiver.connection is not broken

        with self._changed:
            if not self._changed.wait_for(
                lambda: transcript.complete or receiver.leaving or is_connected(), give_up - monotonic()
            ):
                raise ComingBack(
                    f"{self.nickname} has not said {text!r}: no server let it back in "
                    f"within {receiver.timeout:g} s"
                )
            if receiver.dialogue.asks_for_password and not transcript.complete:
                raise PasswordNeeded("the server asks for a password: give_password, and then say")
            if transcript.complete or receiver.leaving:
                raise ConnectionEnded(f"{self.nickname} cannot say {text!r}: {self.end or 'it has left'}")
            if text:
                transcript.lines.append(f"> {text}")
            receiver.quitting = receiver.quitting or _is_quit(text)
            return receiver.connection

    def _send(self, connection: ClientConnection, data: bytes) -> None:
        receiver = self._receiver
        try:
            connection.send(data)
        except TimeoutError:
            why = f"the server read nothing for {receiver.timeout:g} s"
            # Part of a line may be out: whatever followed would be taken for the rest of it.
            with self._changed:
                comes_back = receiver.servers and (receiver.is_here or receiver.reconnection)
            if comes_back:
                connection.trouble, connection.unplugged = why, True
            if comes_back or self._begin_to_leave(why, unplug=True):
                connection.stop_reading()
            if comes_back:
                raise ComingBack(f"{why}; the line was not said") from None
            raise TimeoutError(why) from None
        except OSError as error:
            why = f"{self.nickname} is no longer connected ({error.strerror or error})"
            raise ConnectionEnded(why) from None

    def whisper(self, nickname: str, text: str) -> None:
        """Say something to one client alone. Raises as `say` does."""
        self.say(f"/msg {nickname} {text}")

    # --- what was heard ---

    def wait_for(self, text: str | re.Pattern[str] | Callable[[str], bool], timeout: float = 5.0) -> str:
        """The first line that holds `text`, among those not found by an earlier `wait_for`.

        It may have come already; otherwise it has `timeout` seconds to come. Lines that do not match
        stay, for another `wait_for` to find.

        Args:
            text: a part of the line, or a pattern to search for in it, or a function of the line.

        Raises:
            TimeoutError: it did not come; the text tells what came instead.
            ConnectionEnded: the connection ended before it came.
        """
        return self._transcript.wait_for(text, timeout, self.nickname)

    def wait_until_gone(self, timeout: float = 5.0) -> str:
        """Wait until the connection has ended; returns why, in words.

        Raises:
            TimeoutError: it still stands after `timeout` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._transcript.complete, timeout):
                raise TimeoutError(f"{self.nickname} is still connected after {timeout:g} s")
            return self.end

    @property
    def transcript(self) -> list[str]:
        """All that this client heard, and what it said itself (`> ` before it), in order."""
        with self._changed:
            return list(self._transcript.lines)

    def tail(self, lines: int) -> list[str]:
        """The last so many lines of the transcript."""
        return self._transcript.tail(lines)

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every line and every change of state, in whatever thread made it.

        It must be quick, and must not wait for this client.
        """
        self._transcript.on_change(listener)

    # --- what it is doing ---

    @property
    def state(self) -> str:
        """JOINING (also while it comes back), HERE, FROZEN or GONE."""
        receiver = self._receiver
        with self._changed:
            if self._transcript.complete:
                return GONE
            if (receiver.is_here or receiver.reconnection) and not receiver.thawed.is_set():
                return FROZEN
            return HERE if receiver.is_here else JOINING

    @property
    def end(self) -> str:
        """Why the connection ended, in words; empty while it stands."""
        with self._changed:
            return self._transcript.end

    @property
    def nickname(self) -> str:
        """As the server shows it, once it has accepted it."""
        return self._receiver.dialogue.nickname

    @property
    def room(self) -> str:
        """The room that it is in; empty if the server tells of none."""
        return self._receiver.dialogue.room

    @property
    def address(self) -> sockets.Address:
        """(host, port) of the server that it is connected to, or was last."""
        with self._changed:
            return self._receiver.connection.address

    # --- leaving, and misbehaving ---

    def leave(self) -> None:
        """A proper goodbye: FIN, read on until the server's own FIN, close. Twice does no harm.

        A server that still reads what was said before has all the time it needs. One that neither reads
        on nor answers is left after GOODBYE seconds.
        """
        if self._begin_to_leave("you left"):
            connection = self._receiver.connection
            connection.say_goodbye(GOODBYE)
            connection.shut(socket.SHUT_WR)
            unread = None
            while self._thread.is_alive() and unread != (unread := connection.unread()):
                self._join(min(self._receiver.timeout, GOODBYE))
            connection.stop_reading()
        self._join(None)

    def vanish(self) -> None:
        """Pull the plug: the connection ends with RST, without a goodbye."""
        if self._begin_to_leave("you pulled the plug", unplug=True):
            self._receiver.connection.stop_reading()
        self._join(None)

    def freeze(self) -> None:
        """Stop reading, as a program does that hangs; the connection stands."""
        self._receiver.thawed.clear()
        self._transcript.tell_listeners()

    def thaw(self) -> None:
        """Read on."""
        self._receiver.thawed.set()
        self._transcript.tell_listeners()

    def _begin_to_leave(self, why: str, unplug: bool = False) -> bool:
        """Whether there is anything left to leave."""
        receiver = self._receiver
        with self._changed:
            if receiver.leaving or self._transcript.complete:
                return False
            receiver.leaving = True
            self._transcript.end = why
            receiver.connection.unplugged = receiver.connection.unplugged or unplug
            let_in = receiver.reconnection is None
            self._changed.notify_all()
        receiver.thawed.set()
        if not let_in:
            receiver.connection.stop_reading()  # a server that has not let us in needs no goodbye
        return True

    def _join(self, timeout: float | None) -> None:
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)

    def __enter__(self) -> ChatClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def __repr__(self) -> str:
        return f"<ChatClient {self.nickname}, {self.state}>"

    # --- the receiving thread ---

    def recv_msg(self) -> None:
        """Listen until the connection ends; and, with several servers, until there is no other one."""
        end = self._receiver.listen()
        while self._receiver.reconnect(end):
            end = self._receiver.listen()
        self._receiver.finish(end)


def _sendable(password: str) -> str:
    """The password, if it can be sent. An error must not repeat it."""
    if not password or "\n" in password:
        raise ValueError("a password is not empty, and holds no line end")
    return password


def _is_quit(text: str) -> bool:
    try:
        return text.startswith("/") and from_client(text) == Quit()
    except BadCommand:
        return False
