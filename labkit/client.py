"""ChatClient: one end of a conversation, with a thread that listens while you speak.

`recv_msg` runs in that thread: it answers the request for a nickname and keeps everything else, line by
line. Your own thread speaks (`say`) and waits for what it expects (`wait_for`). There are also ways to
misbehave on purpose: `vanish` pulls the plug, `freeze` stops reading.

With TLS both threads use one seal (tls.py): the one that listens opens what it received, the one that
speaks seals what it sends, and what TLS itself has to say goes out with the next line.

It builds on framing.py, messages.py and sockets.py, and where it is used, on tls.py. It knows nothing of
the server's inside, and works with any server that speaks the wire.
"""

from __future__ import annotations

import re
import socket
import threading
from collections import deque
from collections.abc import Callable
from itertools import islice
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING

from labkit import sockets
from labkit.framing import LINES, RAW, NewFraming, TooLong
from labkit.messages import PasswordRequest, Refused, Request, Welcome, clean, from_server

if TYPE_CHECKING:
    from labkit.tls import ForClient, Seal

SIGN_OF_LIFE = 20.0
"""Seconds after which a client that said nothing sends an empty line."""

GOODBYE = 1.0
"""Seconds that a server has to answer our goodbye with its own."""

LOOK_AROUND = 0.05
"""Seconds; how often a thread that waits to send looks whether the plug was pulled."""

KEPT = 100_000
"""Lines of the transcript that are kept; older ones make way."""

CHUNK = 65536
"""Bytes read at once."""

# What the client is doing.
JOINING, HERE, FROZEN, GONE = "joining", "here", "frozen", "gone"


class Left(ConnectionError):
    """This client has left, or was let go, and cannot do what was asked of it."""


class NicknameRefused(ValueError):
    """The server would not have this nickname; the text says why."""


class PasswordNeeded(ValueError):
    """The server asks for a password, and this client has given none; see `ChatClient.give_password`."""


class WrongPassword(PasswordNeeded):
    """The server refused the password."""


class ChatClient:
    """A client of a chat server: connects, gives its nickname, and listens.

    Use it as a context manager, or call `leave` in the end.

    Args:
        nickname: what to answer to the server's request. None: connect and be asked, no more; then
            call `answer`.
        address: (host, port), as `ChatServer.address` gives it.
        framing: LINES, or RAW for the assignment's own dialect.
        timeout: seconds for connecting, for the handshake, and for a line to be sent.
        password: what to answer if the server asks for one. It is sent then, once, and never shown.
        tls: the file of the server's certificate, or of whoever signed it (PEM); or True, to trust those
            whom this machine trusts; or an `ssl.SSLContext`. The server must be the one the certificate is
            for. None: no TLS.

    Raises:
        NicknameRefused: the server refused the nickname.
        PasswordNeeded, WrongPassword: it asks for a password, and there is none; or not this one.
        ConnectionError: nobody listens there; the server went away during the handshake; or TLS could not
            be agreed on, and the text says why.
        TimeoutError: the server listens, but said nothing.
        OSError: there is no such host, or the certificate's file cannot be read.
        ValueError: the certificate's file holds none, or the password cannot be sent.

    With LINES it returns when the server has said that the nickname is accepted. In RAW no server need
    say so, and it returns when it has answered the request; with a password, when that has been asked for
    or `timeout` is over.
    """

    def __init__(
        self,
        nickname: str | None,
        address: sockets.Address,
        *,
        framing: NewFraming = LINES,
        timeout: float = 5.0,
        password: str | None = None,
        tls: ForClient | None = None,
    ) -> None:
        self.nickname = nickname or ""  # as the server shows it, once it has accepted it
        self.room = ""
        self._framing = framing()
        self._framed = framing is not RAW
        self._timeout = timeout
        self._password = None if password is None else _sendable(password)
        # Guards the eleven below, and is told of every change in them.
        self._changed = threading.Condition()
        self._transcript: deque[str] = deque(maxlen=KEPT)
        self._inbox: deque[str] = deque(maxlen=KEPT)  # heard, and not yet found by wait_for
        self._state = JOINING
        self._asked = False  # the server has asked for a nickname and waits for the answer
        self._answered = False  # and has got it
        self._refusal = ""  # why it refused the last one
        self._may_ask = False  # nothing has come since we answered: now `password` is a request
        self._asks_for_password = False  # the server has asked for it and waits for the answer
        self._leaving = False
        self._end = ""  # why the connection ended, once it has
        self._listeners: list[Callable[[], None]] = []
        # Guards the sending of one line: two threads must not mix theirs.
        self._sending = threading.Lock()
        self._last_sent = monotonic()
        self._thawed = threading.Event()
        self._thawed.set()
        self._deaf = False  # the receiving thread is to read no more …
        self._unplugged = False  # … and to close with RST

        seal = None if tls is None or tls is False else _seal(tls, address[0])
        self._sock = sockets.connect(address, timeout)
        try:
            sockets.prepare(self._sock)
        except OSError as error:
            self._sock.close()
            raise ConnectionError(f"the connection broke at once ({error.strerror})") from None
        self._sock.setblocking(False)  # to wait is poll's business, so that it can be interrupted
        self._seal = seal
        self._early: list[bytes] = []  # what was said in the same breath as the end of the handshake
        if seal is not None:
            try:
                self._early = self._agree_on_keys(seal, address)
            except BaseException:
                self._sock.close()
                raise
        self._thread = threading.Thread(target=self.recv_msg, name="labkit-recv_msg", daemon=True)
        self._name_thread()
        self._thread.start()
        try:
            self._wait_until_asked()
            if nickname is not None:
                self.answer(nickname)
        except BaseException:
            self.leave()
            raise

    def answer(self, nickname: str) -> None:
        """Answer the server's request for a nickname.

        Raises:
            NicknameRefused: it was refused. The server asks again: answer with another one.
            PasswordNeeded: the server asks for a password first; `give_password` answers that.
            WrongPassword: it asked, and refused the one that this client has.
            Left: the server ended the connection, perhaps after too many refusals.
            TimeoutError: the server neither accepted nor refused it.
            ValueError: it is empty (on the wire that is a sign of life, no answer), or holds a line end.
        """
        if not nickname:
            raise ValueError("an empty line is no nickname")
        answer = self._framing.frame(nickname)
        self._wait_until_asked()
        with self._changed:
            if self._state == GONE:
                raise Left(f"the nickname {nickname!r} comes too late: {self._end}")
            self._asked = False
            self._answered = True
            self._refusal = ""
            self._may_ask = True
            self.nickname = nickname
            if not self._framed and self._state == JOINING and self._password is None:
                self._state = HERE
        self._send(answer)
        self._settle()
        if self.asks_for_password:
            if self._password is None:
                raise PasswordNeeded("the server asks for a password, and none was given")
            self.give_password(self._password)

    @property
    def asks_for_password(self) -> bool:
        """Whether the server waits for a password: then nothing else can be said."""
        with self._changed:
            return self._asks_for_password

    def give_password(self, password: str) -> None:
        """Answer the server's request for a password. It is neither kept nor shown.

        Raises:
            WrongPassword: it was refused. The server asks again, or has hung up.
            NicknameRefused: it is right, but the nickname is refused: `answer` with another one.
            Left: the server ended the connection.
            TimeoutError: the server neither accepted nor refused it.
            ValueError: it is empty, or holds a line end; or the server asks for none.
        """
        data = self._framing.frame(_sendable(password))
        with self._changed:
            if self._state == GONE:
                raise Left(f"the password comes too late: {self._end}")
            if not self._asks_for_password:
                raise ValueError("the server does not ask for a password now")
            self._asks_for_password = False
            self._refusal = ""
        self._send(data)
        self._settle()

    def _settle(self) -> None:
        """Wait for what the server answers to a nickname, or to a password."""
        with self._changed:
            done = self._changed.wait_for(
                lambda: (
                    self._state != JOINING or self._asks_for_password or (self._refusal and self._asked)
                ),
                self._timeout,
            )
            if self._refusal:
                wrong = self._asks_for_password or self._refusal.startswith("wrong password")
                raise (WrongPassword if wrong else NicknameRefused)(self._refusal)
            if self._state == GONE:
                raise Left(f"the nickname {self.nickname!r} was answered by the end: {self._end}")
            if self._asks_for_password:
                return
            if not done and self._framed:
                raise TimeoutError(
                    f"the server neither accepted nor refused the nickname {self.nickname!r} "
                    f"within {self._timeout:g} s"
                )
            self._state = HERE  # in RAW silence is a yes
        self._name_thread()
        self._tell_listeners()

    # --- speaking ---

    def say(self, text: str) -> None:
        """Send a line, just as if it were typed: `/who` asks who is here, `//who` says `/who`.

        Raises:
            ValueError: it holds a line end, and would be two lines.
            PasswordNeeded: the server waits for a password, and would take this for it.
            Left: this client has left, or the server is gone.
            TimeoutError: the server does not read; the line may have gone out in part.
        """
        data = self._framing.frame(text)
        with self._changed:
            if self._asks_for_password and self._state != GONE:
                raise PasswordNeeded("the server asks for a password: give_password, and then say")
            if self._state == GONE or self._leaving:
                raise Left(f"{self.nickname} cannot say {text!r}: {self._end or 'it has left'}")
            if text:
                self._transcript.append(f"> {text}")
        self._send(data)
        self._tell_listeners()

    def whisper(self, nickname: str, text: str) -> None:
        """Say something to one person alone. Raises as `say` does."""
        self.say(f"/msg {nickname} {text}")

    # --- listening ---

    def wait_for(self, text: str | re.Pattern[str] | Callable[[str], bool], timeout: float = 5.0) -> str:
        """The first line that holds `text`, among those not found by an earlier `wait_for`.

        It may have come already; otherwise it has `timeout` seconds to come. Lines that do not match
        stay, for another `wait_for` to find.

        Args:
            text: a part of the line, or a pattern to search for in it, or a function of the line.

        Raises:
            TimeoutError: it did not come; the text tells what came instead.
            Left: the connection ended before it came.
        """
        matches, wanted = _matcher(text)
        give_up = monotonic() + timeout
        with self._changed:
            while True:
                for i, line in enumerate(self._inbox):
                    if matches(line):
                        del self._inbox[i]
                        return line
                if self._state == GONE:
                    raise Left(f"{self.nickname} waited for {wanted}, but {self._end}; {self._came()}")
                # It can come at the last moment, when `wait` has given up already; so look once more.
                left = give_up - monotonic()
                if left <= 0:
                    raise TimeoutError(f"{self.nickname} waited {timeout:g} s for {wanted}; {self._came()}")
                self._changed.wait(left)

    def wait_until_gone(self, timeout: float = 5.0) -> str:
        """Wait until the connection has ended; returns why, in words.

        Raises:
            TimeoutError: it still stands after `timeout` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._state == GONE, timeout):
                raise TimeoutError(f"{self.nickname} is still connected after {timeout:g} s")
            return self._end

    @property
    def transcript(self) -> list[str]:
        """All that this client heard, and what it said itself (`> ` before it), in order."""
        with self._changed:
            return list(self._transcript)

    def tail(self, lines: int) -> list[str]:
        """The last so many lines of the transcript."""
        with self._changed:
            return list(islice(reversed(self._transcript), lines))[::-1]

    @property
    def state(self) -> str:
        """JOINING, HERE, FROZEN or GONE."""
        with self._changed:
            if self._state == HERE and not self._thawed.is_set():
                return FROZEN
            return self._state

    @property
    def end(self) -> str:
        """Why the connection ended, in words; empty while it stands."""
        with self._changed:
            return self._end

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every line and every change of state, in whatever thread made it.

        It must be quick, and must not wait for this client.
        """
        with self._changed:
            self._listeners.append(listener)

    # --- leaving, and misbehaving ---

    def leave(self) -> None:
        """A proper goodbye: FIN, read on until the server's own FIN, close. Twice does no harm.

        A server that still reads what was said before has all the time it needs. One that neither reads
        on nor answers is left after GOODBYE seconds.
        """
        if self._begin_to_leave("you left"):
            self._say_goodbye(GOODBYE)
            self._shut(socket.SHUT_WR)
            unread = None
            while self._thread.is_alive() and unread != (unread := self._unread()):
                self._join(min(self._timeout, GOODBYE))
            self._stop_reading()
        self._join(None)

    def vanish(self) -> None:
        """Pull the plug: the connection ends with RST, without a goodbye."""
        if self._begin_to_leave("you pulled the plug"):
            self._unplugged = True
            self._stop_reading()
        self._join(None)

    def freeze(self) -> None:
        """Stop reading, as a program does that hangs; the connection stands."""
        self._thawed.clear()
        self._tell_listeners()

    def thaw(self) -> None:
        """Read on."""
        self._thawed.set()
        self._tell_listeners()

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
        """Listen until the connection ends."""
        end = "the server hung up"
        try:
            self._hear(self._early)
            while not self._over() and (data := self._recv()):
                self._hear([data] if self._seal is None else self._seal.open(data))
            if self._over():
                self._say_goodbye(0)
            elif self._seal is not None:
                # A FIN can come from anybody on the way; only the server can say close_notify.
                end = "the connection was cut: no goodbye (close_notify) came before its end"
        except OSError as error:
            end = f"the connection broke ({error.strerror or error})"
        with self._changed:
            if self._unplugged:
                sockets.reset_on_close(self._sock)
            self._sock.close()
            self._state = GONE
            self._end = self._end or end
            self._changed.notify_all()
        self._tell_listeners()

    def _over(self) -> bool:
        return self._seal is not None and self._seal.ended

    def _hear(self, pieces: list[bytes]) -> None:
        """Take what came; in RAW each piece is a message."""
        lines: list[str] = []
        for piece in pieces:
            for message in self._framing.feed(piece):
                if isinstance(message, TooLong):
                    lines.append(f"! a line of more than {message.limit} bytes came, and was dropped")
                else:
                    # In RAW several lines may share a recv; a line of LINES is in one piece.
                    lines += message.split("\n")
        if lines:
            self._take(lines)

    def _recv(self) -> bytes:
        """What came next; b"" at the end. Gives the server a sign of life now and then meanwhile."""
        while True:
            due = self._last_sent + SIGN_OF_LIFE - monotonic()
            if due <= 0:
                self._give_sign_of_life()
            elif sockets.readable(self._sock, due):
                self._thawed.wait()
                if self._deaf:
                    return b""
                data = sockets.receive_now(self._sock, CHUNK)
                if data is not None:
                    return data

    def _give_sign_of_life(self) -> None:
        self._last_sent = monotonic()
        # If somebody is sending right now, that is the sign.
        # Before we have a nickname, an empty line might be taken for one.
        if self._framed and self._state != JOINING and self._sending.acquire(blocking=False):
            try:
                self._send_all(self._framing.frame(""))
            finally:
                self._sending.release()

    def _take(self, lines: list[str]) -> None:
        with self._changed:
            for line in lines:
                line = clean(line)  # the server should have; a student's may not
                message = from_server(line)
                # Our answer must be the last thing that happened. Or somebody could have a server without
                # framing relay a line of that name, and would be told the password.
                may_ask = self._may_ask and isinstance(message, (PasswordRequest, Refused))
                self._may_ask = may_ask
                match message:
                    case Request():
                        self._asked, self._answered = True, False
                        continue
                    case PasswordRequest() if may_ask:
                        self._asks_for_password, self._state = True, JOINING
                        continue
                    case Refused(why) if self._state == JOINING:
                        self._refusal = why
                    case Welcome(who, room):
                        self.nickname, self.room = who, room
                        self._state = HERE
                    case _ if self._state == JOINING and self._answered:
                        self._state = HERE  # a student's server may have no word of welcome
                self._transcript.append(line)
                self._inbox.append(line)
            self._changed.notify_all()
        self._tell_listeners()

    # --- the parts they share ---

    def _wait_until_asked(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._asked or self._state == GONE, self._timeout)
            if self._asked:
                return
            came = self._came()
            if not self._inbox and self._seal is None and self._state != GONE:
                came += " (does it speak TLS?)"  # then it waits for us
            if self._state == GONE:
                raise Left(f"the server asked for no nickname: {self._end}; {came}")
            raise TimeoutError(f"the server asked for no nickname within {self._timeout:g} s; {came}")

    def _send(self, data: bytes) -> None:
        try:
            with self._sending:
                self._send_all(data)
                self._last_sent = monotonic()
        except TimeoutError:
            # Part of a line may be out: whatever followed would be taken for the rest of it.
            if self._begin_to_leave(f"the server read nothing for {self._timeout:g} s"):
                self._unplugged = True
                self._stop_reading()
            raise TimeoutError(f"the server read nothing for {self._timeout:g} s") from None
        except OSError as error:
            raise Left(f"{self.nickname} is no longer connected ({error.strerror or error})") from None

    def _send_all(self, data: bytes) -> None:
        """Send it all, or raise: TimeoutError if it takes too long. `_sending` must be held."""
        assert self._sending.locked()
        give_up = monotonic() + self._timeout
        rest = memoryview(data if self._seal is None else self._seal.seal(data))
        while rest := rest[sockets.send_now(self._sock, rest) :]:
            if self._unplugged:
                raise ConnectionAbortedError("the plug was pulled")
            if monotonic() > give_up:
                raise TimeoutError
            sockets.writable(self._sock, LOOK_AROUND)

    def _agree_on_keys(self, seal: Seal, address: sockets.Address) -> list[bytes]:
        """The TLS handshake; returns what the server said in the same breath. No other thread is there yet.

        Raises:
            ConnectionError: it failed; the text says why.
            TimeoutError: the server said too little in time.
        """
        where = f"{address[0]}:{address[1]}"
        give_up = monotonic() + self._timeout
        data: bytes | None = b""
        early: list[bytes] = []
        try:
            while True:
                if data is not None:
                    try:
                        early += seal.open(data)
                    finally:
                        with self._sending:
                            self._send_all(b"")  # our part of the handshake, or an alert
                    if seal.ready:
                        return early
                if monotonic() >= give_up:
                    raise TimeoutError
                sockets.readable(self._sock, max(0.0, give_up - monotonic()))
                data = sockets.receive_now(self._sock, CHUNK)
                if data == b"":
                    raise ConnectionError("the server hung up (it may be full, or not speak TLS)")
        except TimeoutError:
            raise TimeoutError(f"no TLS with {where}: no answer within {self._timeout:g} s") from None
        except OSError as error:
            why = "the server does not speak TLS" if seal.plain_text else seal.trouble
            why = why or error.strerror or str(error)
            raise ConnectionError(f"no TLS with {where}: {why}") from None

    def _say_goodbye(self, seconds: float) -> None:
        """TLS has a goodbye of its own, which goes out before FIN. It waits as long as the server reads on,
        but gives up where that takes nothing for so many seconds."""
        if self._seal is None or not self._sending.acquire(timeout=seconds):
            return  # or somebody still sends, in vain
        try:
            rest = memoryview(self._seal.goodbye())
            unread = None
            while rest := rest[sockets.send_now(self._sock, rest) :]:
                if not seconds or unread == (unread := self._unread()):
                    break
                sockets.writable(self._sock, seconds)
        except OSError:
            pass  # it is gone already
        finally:
            self._sending.release()

    def _begin_to_leave(self, why: str) -> bool:
        """Whether there is anything left to leave."""
        with self._changed:
            if self._leaving or self._state == GONE:
                return False
            self._leaving = True
            self._end = why
        self._thawed.set()
        return True

    def _stop_reading(self) -> None:
        """Have the receiving thread close the socket, with RST if it is unplugged.

        It must be that thread: while it waits for the socket, the kernel keeps the connection open
        whoever else closes it. SHUT_RD sends nothing, and wakes it.
        """
        self._deaf = True
        self._shut(socket.SHUT_RD)

    def _unread(self) -> int:
        """Bytes on their way that the server's kernel has not taken yet."""
        with self._changed:
            return 0 if self._state == GONE else sockets.unsent(self._sock)

    def _shut(self, how: int) -> None:
        with self._changed:  # or the receiving thread may close it in between
            if self._state != GONE:
                sockets.shut(self._sock, how)

    def _join(self, timeout: float | None) -> None:
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)

    def _name_thread(self) -> None:
        self._thread.name = f"labkit-recv_msg-{self.nickname}" if self.nickname else "labkit-recv_msg"

    def _came(self) -> str:
        """What came lately, for an error's text. The lock must be held."""
        latest = list(self._inbox)[-5:]
        return "instead came: " + " | ".join(latest) if latest else "nothing came instead"

    def _tell_listeners(self) -> None:
        with self._changed:
            listeners = list(self._listeners)
        for listener in listeners:
            listener()


def _sendable(password: str) -> str:
    """The password, if it can be sent. An error must not repeat it."""
    if not password or "\n" in password:
        raise ValueError("a password is not empty, and holds no line end")
    return password


def _seal(tls: ForClient, host: str) -> Seal:
    """TLS with the server at this host. Loaded only where there is TLS."""
    from labkit.tls import Seal, client_context

    return Seal(client_context(tls), host)


def _matcher(text: str | re.Pattern[str] | Callable[[str], bool]) -> tuple[Callable[[str], object], str]:
    """What to ask of a line, and how to call that in an error's text."""
    if isinstance(text, str):
        return lambda line: text in line, repr(text)
    if isinstance(text, re.Pattern):
        return text.search, f"a line like {text.pattern!r}"
    return text, f"a line for which {getattr(text, '__name__', 'the function')} holds"
