"""ChatClient: one end of a conversation, with a thread that listens while you speak.

`recv_msg` runs in that thread: it answers the request for a nickname and keeps everything else, line by
line (heard.py). Your own thread speaks (`say`) and waits for what it expects (`wait_for`). There are also
ways to misbehave on purpose: `vanish` pulls the plug, `freeze` stops reading.

With several servers it comes back when its own is lost: `recv_msg` goes on to the next one, takes the
nickname and the room back, and says so. Lines that begin with `# ` are the client's own; no nickname begins
so, and so no server's line does.

The connection itself is a Call (call.py); whom to try next, and what to say there, a Comeback knows
(comeback.py). It knows nothing of the
server's inside, and works with any server that speaks the wire.
"""

from __future__ import annotations

import math
import random
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING

from labkit.client.connection import CHUNK, Call
from labkit.client.reconnect import Comeback, place, several, told_of
from labkit.client.transcript import FROZEN, GONE, HERE, JOINING, Heard, Left
from labkit.wire import sockets
from labkit.wire.framing import LINES, RAW, NewFraming, TooLong
from labkit.wire.messages import (
    BACK,
    CUT_OFF,
    BadCommand,
    FromServer,
    Notice,
    PasswordRequest,
    Quit,
    Refused,
    Request,
    Welcome,
    clean,
    from_client,
    from_server,
)

if TYPE_CHECKING:
    from labkit.wire.tls import ForClient, TlsSession

__all__ = [
    "FROZEN",
    "GONE",
    "HERE",
    "JOINING",
    "ChatClient",
    "ComingBack",
    "Left",
    "NicknameRefused",
    "PasswordNeeded",
    "WrongPassword",
]

SIGN_OF_LIFE = 20.0
"""Seconds after which a client that said nothing sends an empty line."""

GOODBYE = 1.0
"""Seconds that a server has to answer our goodbye with its own."""

LAST_WORDS = 3.0
"""Seconds; what was said so shortly before a server was lost, it may not have heard. Nor what was said
while it was cut off from others, however long ago, or so shortly before it told so: it waits for an answer
for two seconds first."""

LEAST = 0.5
"""Seconds that a server gets at least to let us back in, also when we are about to give up."""


class ComingBack(TimeoutError):
    """This client looks for another server just now; what was to be said was not said."""


class NicknameRefused(ValueError):
    """The server would not have this nickname; the text says why."""


class PasswordNeeded(ValueError):
    """The server asks for a password, and this client has given none; see `ChatClient.give_password`."""


class WrongPassword(PasswordNeeded):
    """The server refused the password."""


class ChatClient(Heard):
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
        tls: the file of the server's certificate, or of whoever signed it (PEM); or True, to trust those
            whom this machine trusts; or an `ssl.SSLContext`. The server must be the one the certificate is
            for. None: no TLS.
        give_up: seconds that a client of several servers looks for another one, once it has lost its own.
        seed: of the dice that its pauses are thrown with; the same seed, the same throws. None: any.

    Raises:
        NicknameRefused: the server refused the nickname.
        PasswordNeeded, WrongPassword: it asks for a password, and there is none; or not this one.
        ConnectionError: nobody listens there; the server went away during the handshake; or TLS could not
            be agreed on, and the text says why.
        TimeoutError: the server listens, but said nothing.
        OSError: there is no such host, or the certificate's file cannot be read.
        ValueError: the certificate's file holds none, or the password cannot be sent; or the list of
            addresses cannot be one, or was given with RAW.

    With LINES it returns when the server has said that the nickname is accepted. In RAW no server need
    say so, and it returns when it has answered the request; with a password, when that has been asked for
    or `timeout` is over.

    With a list of addresses, even of one, it goes to the first of them that lets it in (ConnectionError:
    none did; the text says why of each). When that server is lost, it is JOINING again, and its thread
    tries them in turn, from the next one on and round again, until one has given it its nickname and its
    room back:

    - Lost is a server that hung up, stopped, was cut off, or read nothing for `timeout` seconds. The wire
      does not tell why: a server that let us go, for reading nothing or for being silent, is lost as well.
      After `/quit` or `leave` nothing is lost.
    - A nickname that `is taken` may still be our own: that is tried again. Any other refusal, of the
      nickname, the password or the room, is the end, and so are `give_up` seconds.
    - `# lost …` and `# back at …, in ROOM` in the transcript tell of it, and `wait_for` finds them.
    - `say` waits meanwhile. What could not be sent is sent to the next server; its last byte never went
      out, so nobody has heard it. What had gone out just before may have been heard or not: nothing on the
      wire acknowledges a line. It is not said again, but `# it may not have heard …` names what was said in
      the last 3 s, and what was said since the server was cut off from others.
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
        super().__init__(nickname or "")
        self.room = ""
        # For coming back: where to. None for a client of one server, which does not.
        self._servers = None if isinstance(address, tuple) else several(address, framing, give_up)
        self._give_up = give_up
        self._chance = random.Random(seed)
        self._new_framing = framing
        self._framed = framing is not RAW
        self._frame = framing().frame
        self._timeout = timeout
        self._password = None if password is None else _sendable(password)
        self._new_seal = None if tls is None or tls is False else _sealing(tls)
        # What follows, up to `_quitting`, is guarded by `_changed` of Heard, too.
        self._call: Call  # the connection; the latest one, if it has ended
        self._comeback: Comeback | None = None  # while we look for another server
        self._said: deque[tuple[str, float]] = deque(maxlen=1000)  # what went out last, and when
        self._waits_since = math.inf  # since when it waits, for the server is cut off from others
        self._start_afresh()
        self._thawed = threading.Event()
        self._thawed.set()
        if isinstance(address, tuple):
            self._enter(address, nickname)
        else:
            self._enter_one_of(address, nickname)

    def _start_afresh(self) -> None:
        self._forget()
        self._asked = False  # the server has asked for a nickname and waits for the answer
        self._answered = False  # and has got it
        self._refusal = ""  # why it refused the last one
        self._may_ask = False  # nothing has come since we answered: now `password` is a request
        self._asks_for_password = False  # the server has asked for it and waits for the answer
        self._leaving = False
        self._quitting = False  # said /quit

    def _enter(self, address: sockets.Address, nickname: str | None) -> None:
        """Connect, be asked, and answer."""
        self._call = self._call_up(address, self._timeout)
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

    def _enter_one_of(self, servers: Sequence[sockets.Address], nickname: str | None) -> None:
        failures: list[str] = []
        for address in servers:
            try:
                self._enter(address, nickname)
                break
            except OSError as error:  # not a refusal: that is one's own doing, and the same everywhere
                failures.append(told_of(address, error))
                self._start_afresh()
        else:
            raise ConnectionError(f"no server let us in: {'; '.join(failures)}")
        with self._changed:
            for failure in reversed(failures):
                self._note(failure, first=True)

    def _call_up(
        self, address: sockets.Address, timeout: float, given_up: Callable[[], bool] | None = None
    ) -> Call:
        seal = self._new_seal(address[0]) if self._new_seal else None
        return Call(address, self._new_framing(), timeout, seal, given_up)

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
        answer = self._frame(nickname)
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
        self._send(self._call, answer)
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
        """Answer the server's request for a password. It is not shown, and kept only for coming back.

        Raises:
            WrongPassword: it was refused. The server asks again, or has hung up.
            NicknameRefused: it is right, but the nickname is refused: `answer` with another one.
            Left: the server ended the connection.
            TimeoutError: the server neither accepted nor refused it.
            ValueError: it is empty, or holds a line end; or the server asks for none.
        """
        data = self._frame(_sendable(password))
        with self._changed:
            if self._state == GONE:
                raise Left(f"the password comes too late: {self._end}")
            if not self._asks_for_password:
                raise ValueError("the server does not ask for a password now")
            self._asks_for_password = False
            self._refusal = ""
        self._send(self._call, data)
        before = self._password
        if self._servers:
            self._password = password
        try:
            self._settle()
        except WrongPassword:
            self._password = before
            raise

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
            ComingBack: with several servers: it was not said, since for `timeout` seconds there was none
                that would have read it. The client goes on looking for one.
        """
        data = self._frame(text)
        give_up = monotonic() + self._timeout
        broken: Call | None = None
        while True:
            with self._changed:
                self._wait_until_back(text, broken, give_up)
                if self._asks_for_password and self._state != GONE:
                    raise PasswordNeeded("the server asks for a password: give_password, and then say")
                if self._state == GONE or self._leaving:
                    raise Left(f"{self.nickname} cannot say {text!r}: {self._end or 'it has left'}")
                if text:
                    self._transcript.append(f"> {text}")
                if self._servers:
                    self._quitting = self._quitting or _is_quit(text)
                call = self._call
            try:
                self._send(call, data)
                break
            except Left:
                if not self._servers:
                    raise
                broken = call  # the LF did not go out, so nobody has heard it
        if self._servers and text:
            with self._changed:
                if self._call is call and self._comeback is None:
                    self._said.append((text, monotonic()))
                elif self._state != GONE:  # lost while we said it
                    self._note(f"it may not have heard this line: {text}")
        self._tell_listeners()

    def _wait_until_back(self, text: str, broken: Call | None, give_up: float) -> None:
        """Until there is a server to say it to, and not through a connection that broke; or the end. The
        lock must be held."""
        if not self._changed.wait_for(
            lambda: (
                self._state == GONE
                or self._leaving
                or (self._comeback is None and self._call is not broken)
            ),
            give_up - monotonic(),
        ):
            raise ComingBack(
                f"{self.nickname} has not said {text!r}: no server let it back in "
                f"within {self._timeout:g} s"
            )

    def whisper(self, nickname: str, text: str) -> None:
        """Say something to one person alone. Raises as `say` does."""
        self.say(f"/msg {nickname} {text}")

    # --- what it is doing ---

    @property
    def state(self) -> str:
        """JOINING (also while it comes back), HERE, FROZEN or GONE."""
        with self._changed:
            if (self._state == HERE or self._comeback) and not self._thawed.is_set():
                return FROZEN
            return self._state

    @property
    def address(self) -> sockets.Address:
        """(host, port) of the server that it is connected to, or was last."""
        with self._changed:
            return self._call.address

    # --- leaving, and misbehaving ---

    def leave(self) -> None:
        """A proper goodbye: FIN, read on until the server's own FIN, close. Twice does no harm.

        A server that still reads what was said before has all the time it needs. One that neither reads
        on nor answers is left after GOODBYE seconds.
        """
        if self._begin_to_leave("you left"):
            call = self._call
            call.say_goodbye(GOODBYE)
            call.shut(socket.SHUT_WR)
            unread = None
            while self._thread.is_alive() and unread != (unread := call.unread()):
                self._join(min(self._timeout, GOODBYE))
            call.stop_reading()
        self._join(None)

    def vanish(self) -> None:
        """Pull the plug: the connection ends with RST, without a goodbye."""
        if self._begin_to_leave("you pulled the plug", unplug=True):
            self._call.stop_reading()
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
        """Listen until the connection ends; and, with several servers, until there is no other one."""
        end = self._listen(self._call)
        while self._call_again(end):
            end = self._listen(self._call)
        with self._changed:
            self._state = GONE
            self._comeback = None
            self._end = self._end or end
            self._changed.notify_all()
        self._tell_listeners()

    def _listen(self, call: Call) -> str:
        """Hear what comes until this connection ends, and close it; returns why it ended."""
        end = "the server hung up"
        try:
            self._hear(call, call.early)
            while not call.over and (data := self._recv(call)):
                self._hear(call, call.opened(data))
            if call.over:
                call.say_goodbye(0)
            elif call.sealed:
                # A FIN can come from anybody on the way; only the server can say close_notify.
                end = "the connection was cut: no goodbye (close_notify) came before its end"
        except OSError as error:
            end = f"the connection broke ({error.strerror or error})"
        call.close()
        return call.trouble or end

    def _hear(self, call: Call, pieces: list[bytes]) -> None:
        """Take what came, and answer it if we come back; in RAW each piece is a message."""
        lines: list[str] = []
        for piece in pieces:
            for message in call.framing.feed(piece):
                if isinstance(message, TooLong):
                    lines.append(f"! a line of more than {message.limit} bytes came, and was dropped")
                else:
                    # In RAW several lines may share a recv; a line of LINES is in one piece.
                    lines += message.split("\n")
        if lines:
            for answer in self._take(call, lines):
                call.send(self._frame(answer))

    def _recv(self, call: Call) -> bytes:
        """What came next; b"" at the end. Gives the server a sign of life now and then meanwhile."""
        while True:
            due = call.last_sent + SIGN_OF_LIFE - monotonic()
            if due <= 0:
                self._give_sign_of_life(call)
            elif call.readable(due):
                self._thawed.wait()
                if call.deaf:
                    return b""
                data = sockets.receive_now(call.sock, CHUNK)
                if data is not None:
                    return data

    def _give_sign_of_life(self, call: Call) -> None:
        call.last_sent = monotonic()
        # If somebody is sending right now, that is the sign.
        # Before we have a nickname, an empty line might be taken for one.
        if self._framed and self._state != JOINING:
            call.send_if_free(self._frame(""))

    def _take(self, call: Call, lines: list[str]) -> list[str]:
        """Keep what was heard; returns what is to be answered, by one who comes back."""
        answers: list[str] = []
        with self._changed:
            for line in lines:
                line = clean(line)  # the server should have; a student's may not
                message = from_server(line)
                if self._comeback is not None:
                    answers += self._take_back(self._comeback, call, message, line)
                    continue
                # Our answer must be the last thing that happened. Or somebody could have a server without
                # framing relay a line of that name, and would be told the password.
                may_ask = self._may_ask and isinstance(message, (PasswordRequest, Refused))
                self._may_ask = may_ask
                if isinstance(message, Notice):
                    self._note_what_waits(message.text)
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
                self._keep(line)
            self._changed.notify_all()
        self._tell_listeners()
        return answers

    # --- coming back; in the receiving thread ---

    def _call_again(self, end: str) -> bool:
        """Whether we are connected again, to one of several servers; `end`: how the last call ended."""
        if not self._is_looking(self._call.address, end):
            return False
        while (address := self._whose_turn()) is not None:
            assert self._comeback is not None
            timeout = min(self._timeout, max(LEAST, self._comeback.time_left))
            try:
                call = self._call_up(address, timeout, given_up=lambda: self._leaving)
            except (OSError, ValueError) as error:
                self._is_looking(address, error)
                continue
            call.expect(timeout)
            with self._changed:
                if not self._leaving:
                    self._call = call
                    return True
            call.close()
        return False

    def _is_looking(self, where: sockets.Address, why: object) -> bool:
        """Whether we look for another server, now that there is none here, and why; says what is new."""
        with self._changed:
            if self._leaving or self._quitting or not self._servers:
                return False
            if self._comeback is not None:
                if news := self._comeback.failed(where, why):
                    self._note(news)
            elif self._state == HERE:
                self._lost(where, why)
            else:
                return False  # nobody had let us in yet
            self._changed.notify_all()
        self._tell_listeners()
        return True

    def _lost(self, where: sockets.Address, why: object) -> None:
        assert self._servers is not None
        self._state = JOINING
        self._comeback = Comeback(
            self._servers, where, self.nickname, self.room, self._password, self._give_up, self._chance
        )
        first = self._comeback.first
        self._note(f"lost {place(where)} ({why}); trying {'again' if first == where else place(first)}")
        recently = min(monotonic(), self._waits_since) - LAST_WORDS
        texts = [text for text, when in self._said if when > recently]
        self._said.clear()
        self._waits_since = math.inf
        if texts:
            more = "or more " if len(texts) == self._said.maxlen else ""
            which = f"the last {len(texts)} {more}lines, from this one on" if texts[1:] else "this line"
            self._note(f"it may not have heard {which}: {texts[0]}")

    def _note_what_waits(self, notice: str) -> None:
        """A server that is cut off from others tells so: what is said from then on, nobody has heard."""
        if notice == CUT_OFF:
            self._waits_since = monotonic()
        elif notice == BACK:
            now, self._waits_since = monotonic(), math.inf
            self._said = deque([(text, now) for text, _ in self._said], self._said.maxlen)

    def _whose_turn(self) -> sockets.Address | None:
        """Whom to try now, after the pause before it; None if nobody, and then why is the end."""
        with self._changed:
            assert self._comeback is not None
            turn = self._comeback.next()
            if turn is None:
                self._end = self._end or self._comeback.end
                return None
            pause, address = turn
            self._changed.wait_for(lambda: self._leaving, pause)
        self._thawed.wait()
        return None if self._leaving else address

    def _take_back(self, comeback: Comeback, call: Call, message: FromServer, line: str) -> list[str]:
        """Take a line on the way back; returns what is to be answered. The lock must be held."""
        answer = comeback.answer(message)
        if comeback.inside:
            self._keep(line)
        if comeback.over:
            call.deaf = True
        elif comeback.done:
            call.expect(None)
            call.timeout = self._timeout
            self.nickname, self.room = comeback.nickname, comeback.room
            self._state = HERE
            self._comeback = None
            self._note(f"back at {place(call.address)}" + (f", in {self.room}" if self.room else ""))
        return [] if answer is None else [answer]

    # --- the parts they share ---

    def _wait_until_asked(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._asked or self._state == GONE, self._timeout)
            if self._asked:
                return
            came = self._came()
            if not self._inbox and not self._call.sealed and self._state != GONE:
                came += " (does it speak TLS?)"  # then it waits for us
            if self._state == GONE:
                raise Left(f"the server asked for no nickname: {self._end}; {came}")
            raise TimeoutError(f"the server asked for no nickname within {self._timeout:g} s; {came}")

    def _send(self, call: Call, data: bytes) -> None:
        try:
            call.send(data)
        except TimeoutError:
            why = f"the server read nothing for {self._timeout:g} s"
            # Part of a line may be out: whatever followed would be taken for the rest of it.
            with self._changed:
                comes_back = bool(self._servers) and (self._state == HERE or self._comeback is not None)
            if comes_back:
                call.trouble, call.unplugged = why, True
            if comes_back or self._begin_to_leave(why, unplug=True):
                call.stop_reading()
            if comes_back:
                raise ComingBack(f"{why}; the line was not said") from None
            raise TimeoutError(why) from None
        except OSError as error:
            raise Left(f"{self.nickname} is no longer connected ({error.strerror or error})") from None

    def _begin_to_leave(self, why: str, unplug: bool = False) -> bool:
        """Whether there is anything left to leave."""
        with self._changed:
            if self._leaving or self._state == GONE:
                return False
            self._leaving = True
            self._end = why
            self._call.unplugged = self._call.unplugged or unplug
            let_in = self._comeback is None
            self._changed.notify_all()
        self._thawed.set()
        if not let_in:
            self._call.stop_reading()  # to who has not let us in no goodbye is due
        return True

    def _join(self, timeout: float | None) -> None:
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)

    def _name_thread(self) -> None:
        self._thread.name = f"labkit-recv_msg-{self.nickname}" if self.nickname else "labkit-recv_msg"


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


def _sealing(tls: ForClient) -> Callable[[str], TlsSession]:
    """What makes the TLS with the server at a host. Loaded only where there is TLS."""
    from labkit.wire.tls import TlsSession, client_context

    context = client_context(tls)
    return lambda host: TlsSession(context, host)
