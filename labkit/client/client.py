"""ChatClient: one end of a conversation, with a thread that listens while you speak.

`recv_msg` runs in that thread; your own thread speaks (`say`) and waits for what it expects (`wait_for`).
It works with any server that speaks the wire.
"""

from __future__ import annotations

import random
import re
import socket
import threading
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING

from labkit.client.errors import PasswordNeeded
from labkit.client.reconnect import Reconnection, several, told_of
from labkit.client.session import Session
from labkit.wire import sockets
from labkit.wire.framing import LINES, NewFraming

if TYPE_CHECKING:
    from labkit.wire.tls import ForClient

# What a client is doing.
JOINING, HERE, FROZEN, GONE = "joining", "here", "frozen", "gone"

GOODBYE = 1.0
"""Seconds that a server has to answer our goodbye with its own."""


class ChatClient:
    """A client of a chat server: connects, gives its nickname, and listens.

    Use it as a context manager, or call `leave` in the end. With LINES it returns when the server has
    accepted the nickname. In RAW no server need say so: it returns when it has answered; with a password,
    when that has been asked for or `timeout` is over.

    Args:
        nickname: what to answer to the server's request. None: only connect; then call `answer`.
        address: (host, port). Or a list of these, for a client that comes back; see below.
        framing: LINES, or RAW for the assignment's own dialect.
        timeout: seconds for connecting, for the handshake, and for a line to be sent.
        password: what to answer if the server asks for one. It is sent then, once, and never shown.
        tls: the file (PEM) of the server's certificate, or of the authority that signed it; True: any
            authority that this machine trusts; or an `ssl.SSLContext`. None: no TLS.
        give_up: seconds that a client of several servers looks for another one, once it has lost its own.
        seed: seeds the random pauses between attempts. None: any.

    Raises:
        NicknameRefused: the server refused the nickname.
        PasswordNeeded, WrongPassword: it asks for a password, and there is none; or not this one.
        ConnectionError: no server listens there; it went away during the handshake; or TLS could not be
            agreed on, and the text says why.
        TimeoutError: the server listens, but said nothing.
        OSError: there is no such host, or the certificate's file cannot be read.
        ValueError: the certificate's file holds none; the password cannot be sent; the list of addresses
            cannot be one, or was given with RAW.

    With a list of addresses, even of one, it goes to the first server that lets it in (ConnectionError:
    none did; the text says why of each). When that is lost, it is JOINING again, and tries them in turn,
    from the next one on, until one has given it its nickname and its room back. `# lost …` and
    `# back at …, in ROOM` in the transcript tell of it, and `wait_for` finds them.

    - A server counts as lost when it ends the connection for any reason, is cut off, or reads nothing for
      `timeout` seconds. After `/quit` or `leave` nothing is lost.
    - A nickname that is taken may still be our own: that is tried again. Any other refusal is the end, and
      so are `give_up` seconds.
    - `say` waits meanwhile, and says it to the next server. What had gone out in the last 3 s, or since the
      server was cut off from others, is not said again, but `# it may not have heard …` names it.
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
        one = isinstance(address, tuple)
        servers = (address,) if isinstance(address, tuple) else several(address, framing, give_up)
        come_back = None if one else partial(Reconnection, servers, give_up, random.Random(seed))
        password = None if password is None else _sendable(password)
        context = None
        if tls is not None and tls is not False:
            from labkit.wire.tls import client_context  # loaded only where there is TLS

            context = client_context(tls)
        failures: list[str] = []
        for server in servers:
            try:
                self._session = Session(framing, timeout, password, context, come_back, server)
                self._enter(nickname)
                break
            except OSError as error:  # not a refusal: that would be the same everywhere
                if one:
                    raise
                failures.append(told_of(server, error))
        else:
            raise ConnectionError(f"no server let us in: {'; '.join(failures)}")
        with self._changed:
            for lines in (self._transcript.lines, self._transcript.inbox):
                lines.extendleft(f"# {failure}" for failure in reversed(failures))

    def _enter(self, nickname: str | None) -> None:
        """Be asked, and answer."""
        session = self._session
        self._transcript = session.transcript
        self._changed = session.changed  # guards both, and is told of every change
        session.thread = threading.Thread(target=self.recv_msg, name="labkit-recv_msg", daemon=True)
        session.thread.start()
        try:
            session.wait_until_asked()
            if nickname is not None:
                self.answer(nickname)
        except BaseException:
            self.leave()
            raise

    def recv_msg(self) -> None:
        """Listen until the connection ends; and, with several servers, until there is no other one."""
        end = self._session.listen()
        while self._session.reconnect(end):
            end = self._session.listen()
        self._session.finish(end)

    # --- getting in, and speaking ---

    def answer(self, nickname: str) -> None:
        """Answer the server's request for a nickname, and the one for a password that may follow.

        Raises:
            NicknameRefused, PasswordNeeded, WrongPassword: as above; answer again, or `give_password`.
            ConnectionEnded, TimeoutError: the server ended the connection; or said neither yes nor no.
            ValueError: it is empty (on the wire that is a heartbeat, no answer), or holds a line end.
        """
        if not nickname:
            raise ValueError("an empty line is no nickname")
        session = self._session
        session.wait_until_asked()
        session.reply(nickname)
        if self.asks_for_password:
            if session.password is None:
                raise PasswordNeeded("the server asks for a password, and none was given")
            self.give_password(session.password)

    @property
    def asks_for_password(self) -> bool:
        """Whether the server waits for a password: then nothing else can be said."""
        return self._session.dialogue.asks_for_password

    def give_password(self, password: str) -> None:
        """Answer the server's request for a password; it is not shown. Raises as `answer` does (where the
        nickname is refused, the password was right), and ValueError if the server asks for none."""
        if not self.asks_for_password and not self._transcript.complete:
            raise ValueError("the server does not ask for a password now")
        self._session.reply(_sendable(password), is_password=True)

    def say(self, text: str) -> None:
        """Send a line, just as if it were typed: `/who` asks who is here, `//who` says `/who`.

        Raises:
            ValueError, PasswordNeeded: it holds a line end; or the server would take it for the password.
            ConnectionEnded: this client has left, or the server is gone.
            TimeoutError: the server does not read; the line may have gone out in part.
            ComingBack: with several servers: none read it for `timeout` seconds. It looks for another one.
        """
        self._session.say(text)

    def whisper(self, nickname: str, text: str) -> None:
        """Say something to one client alone. Raises as `say` does."""
        self.say(f"/msg {nickname} {text}")

    # --- what was heard, and what it is doing ---

    def wait_for(self, text: str | re.Pattern[str] | Callable[[str], bool], timeout: float = 5.0) -> str:
        """The first line that holds `text`, among those not found by an earlier `wait_for`.

        It may have come already, or comes within `timeout` seconds; the others stay, to be found later.
        `text` is a part of the line, a pattern to search for in it, or a function of the line.

        Raises:
            TimeoutError, ConnectionEnded: it did not come; the text tells what came instead.
        """
        return self._transcript.wait_for(text, timeout, self.nickname)

    def wait_until_gone(self, timeout: float = 5.0) -> str:
        """Wait until the connection has ended; returns why, in words. TimeoutError: it still stands."""
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
        """Call `listener` after every line and change of state, in the thread that made it. It must be
        quick, and must not wait for this client."""
        self._transcript.on_change(listener)

    @property
    def state(self) -> str:
        """JOINING (also while it comes back), HERE, FROZEN or GONE."""
        session = self._session
        with self._changed:
            if self._transcript.complete:
                return GONE
            if (session.is_here or session.reconnection) and not session.thawed.is_set():
                return FROZEN
            return HERE if session.is_here else JOINING

    @property
    def end(self) -> str:
        """Why the connection ended, in words; empty while it stands."""
        return self._transcript.end

    @property
    def nickname(self) -> str:
        """As the server shows it, once it has accepted it."""
        return self._session.dialogue.nickname

    @property
    def room(self) -> str:
        """The room that it is in; empty if the server tells of none."""
        return self._session.dialogue.room

    @property
    def address(self) -> sockets.Address:
        """(host, port) of the server that it is connected to, or was last."""
        return self._session.connection.address

    @property
    def sock(self) -> socket.socket:
        """The socket of its latest connection: to look at, not to read from."""
        return self._session.connection.sock

    # --- leaving, and misbehaving ---

    def leave(self) -> None:
        """A proper goodbye: FIN, read on until the server's own FIN, close. Twice does no harm.

        Waits as long as the server reads on what was said; for its answer, GOODBYE seconds.
        """
        session = self._session
        if session.begin_to_leave("you left"):
            connection = session.connection
            connection.say_goodbye(GOODBYE)
            connection.shut(socket.SHUT_WR)
            unread = None
            while session.thread.is_alive() and unread != (unread := connection.unread()):
                session.join(min(session.timeout, GOODBYE))
            connection.stop_reading()
        session.join()

    def abort(self) -> None:
        """End the connection with RST, without a goodbye (RFC 9293, 3.10.5: ABORT)."""
        self._session.begin_to_leave("you aborted", abort=True)
        self._session.join()

    def freeze(self) -> None:
        """Stop reading, as a program does that hangs; the connection stands."""
        self._session.thawed.clear()
        self._transcript.tell_listeners()

    def thaw(self) -> None:
        """Read on."""
        self._session.thawed.set()
        self._transcript.tell_listeners()

    def __enter__(self) -> ChatClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def __repr__(self) -> str:
        return f"<ChatClient {self.nickname}, {self.state}>"


def _sendable(password: str) -> str:
    """The password, if it can be sent. An error must not repeat it."""
    if not password or "\n" in password:
        raise ValueError("a password is not empty, and holds no line end")
    return password
