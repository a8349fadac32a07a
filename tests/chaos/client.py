"""One of the many connections: bytes in, bytes out, and all the ways in which it can end.

A bare socket that never waits. It writes down what it hears in its life (history.py), and looks at no
more of it than it must: that it was asked for a nickname, welcomed, refused, answered. What to do,
person.py decides, and people.py when.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from enum import Enum, auto
from time import monotonic

from chaos.history import Deed, Life
from labkit.wire import sockets
from labkit.wire.messages import (
    HUNG_UP,
    QUIT,
    TOO_SLOW,
    VANISHED,
    WENT_SILENT,
    Quit,
    Refused,
    Rename,
    Whisper,
)

PROBE = "nobody."
"""How the nicknames begin that no client has: a whisper to one of them is refused, and the refusal shows
that all that was said before has been done."""

SIP = 512
"""Bytes that one who reads slowly waits for, if that takes no longer than half a second."""

_REFUSED_PROBE = f"! nobody here is called {PROBE}".encode()
_WELCOME = b"* you are "


class State(Enum):
    WAITING = auto()  # for the request
    ASKED = auto()  # gave a nickname, and waits for the welcome
    IN = auto()
    FROZEN = auto()  # reads nothing
    SILENT = auto()  # says nothing, not even that it lives
    LEAVING = auto()  # said goodbye, and reads on to the end
    OVER = auto()


class Client:
    """A connection to `address`, under the nickname `nickname`.

    `server` is the number of the server that it comes to. With `small`, its kernel keeps no more
    bytes than about so many, so that a sender notices soon that it does not read.
    """

    def __init__(self, address: tuple[str, int], nickname: str, *, small: int = 0, server: int = 0) -> None:
        self.life = Life(nickname)
        self.state = State.WAITING
        self.small = small
        self.server = server
        self.closed_at = 0.0
        self.refused = False  # the nickname is taken; to be asked for again
        self.unanswered = 0  # probes
        self.settling = False  # the next probe that is answered settles it
        self.rate: float | None = None  # bytes that it reads in a second; None: all that comes
        self.before_closing: Callable[[Client], None] = lambda client: None  # the selector lets go of it
        self._probes = 0
        self._rest = b""
        self._out = bytearray()
        self._hangs_up = False  # when all is sent
        self._sipped_at = 0.0
        self.sock = socket.socket()
        if small:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, small)
        self.sock.settimeout(20.0)
        self.sock.connect(address)
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    # --- saying ---

    @property
    def blocked(self) -> bool:
        """There is something to send that the socket did not take."""
        return bool(self._out)

    @property
    def queued(self) -> int:
        """How many bytes that is."""
        return len(self._out)

    def do(self, *deeds: tuple[Deed, bytes], cut: float = 0.0) -> None:
        """Send these deeds in one `send`; each comes with the line that asks for it, without its LF.

        With `cut`, this share of the bytes goes first, in a `send` of its own.
        """
        self.life.deeds += [deed for deed, _ in deeds]
        if any(isinstance(deed, Rename) for deed, _ in deeds):
            self._may_lose_nickname()
        data = b"".join(line + b"\n" for _, line in deeds)
        first = int(cut * len(data))
        if first:
            self.send(data[:first])
        self.send(data[first:])

    def send(self, data: bytes) -> None:
        self._out += data
        self.flush()

    def flush(self) -> None:
        try:
            while self._out:
                del self._out[: self.sock.send(self._out)]
        except BlockingIOError:
            return
        except OSError:
            self._out.clear()
            while self.life.untold and self.state is not State.OVER and self.read():
                pass  # what came before the server stopped
            self.ended()
            return
        if self._hangs_up:
            self._hangs_up = False
            if self.sock.fileno() != -1:  # thrown out meanwhile, and not looked at since
                sockets.shut(self.sock, socket.SHUT_WR)

    def probe(self) -> None:
        self._probes += 1
        self.unanswered += 1
        name = f"{PROBE}{self._probes}"
        self.do((Refused(f"nobody here is called {name}"), Whisper(name, "?").line().encode()))

    def ask(self) -> None:
        """Give the nickname."""
        self.state = State.ASKED
        self.refused = False
        self.send(self.life.nickname.encode() + b"\n")

    # --- hearing ---

    def sip(self, now: float) -> None:
        """Hear as much of what has come as its rate allows by now."""
        assert self.rate is not None
        most = int(self.rate * min(now - self._sipped_at, 0.5))
        if most >= SIP or now - self._sipped_at > 0.5:
            self._sipped_at = now
            self.read(max(1, min(most, 65536)))

    def read(self, most: int = 65536) -> bool:
        """Hear what has come, if anything has."""
        try:
            data = self.sock.recv(most)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self.ended()
            return False
        *lines, self._rest = (self._rest + data).split(b"\n")
        if self.state in (State.WAITING, State.ASKED) or b"! n" in data or self.unanswered:
            for n, line in enumerate(lines, len(self.life.heard) + 1):
                self._look_at(n, line)
        self.life.heard += lines
        return True

    def _look_at(self, n: int, line: bytes) -> None:
        if line.startswith(_REFUSED_PROBE):
            self.unanswered -= 1
            if self.settling and not self.unanswered:
                self.life.settled, self.settling = n, False
        elif self.state is State.WAITING and line == b"nickname":
            self.ask()
        elif self.state is State.ASKED:
            if line.startswith(_WELCOME):
                self.state = State.IN
                self.life.since = monotonic()
            elif line == b"nickname":
                self.refused = True

    def welcomed_as(self) -> str:
        """The last nickname that it heard was granted; "": none."""
        for line in reversed(self.life.heard):
            if line.startswith(_WELCOME):
                return line.removeprefix(_WELCOME).partition(b",")[0].decode()
        return ""

    def names_in_doubt(self) -> list[str]:
        """What it may be called now, as far as it knows."""
        names = [self.life.nickname, *(deed.new for deed in self.life.deeds if isinstance(deed, Rename))]
        known = self.welcomed_as()
        return names[names.index(known) :] if known in names else names

    # --- ending ---

    def may_end(self, reason: str, *, whole: bool = False) -> None:
        """From now on the others may be told that it left for this reason."""
        self.life.ends.add(reason)
        self.life.whole &= whole
        self._may_lose_nickname()

    def _may_lose_nickname(self) -> None:
        self.life.until = min(self.life.until, monotonic())

    def ended(self) -> None:
        """The other side has ended it."""
        if self.state is State.OVER:
            return
        if self.state in (State.IN, State.FROZEN) and not self.life.ends:
            self.life.thrown_out = True
            self.life.whole = False
        self.close()

    def quit(self) -> None:
        if self.state is State.OVER:  # the server was quicker
            return
        self.may_end(QUIT, whole=True)
        self.state = State.LEAVING
        self.do((Quit(), b"/quit"))

    def hang_up(self) -> None:
        """FIN, as soon as all is sent; and read on."""
        if self.state is State.OVER:  # the server was quicker
            return
        self.may_end(HUNG_UP, whole=True)
        self.state = State.LEAVING
        self._hangs_up = True
        self.flush()

    def vanish(self) -> None:
        """RST, at once."""
        if self.state is State.OVER:  # the server was quicker
            return
        self.may_end(VANISHED)
        sockets.reset_on_close(self.sock)
        self.close()

    def slam(self) -> None:
        """Close without a look: FIN if all was read that had come, RST if not."""
        if self.state is State.OVER:  # the server was quicker
            return
        self.may_end(HUNG_UP)
        self.may_end(VANISHED)
        self.close()

    def freeze(self) -> None:
        self.may_end(TOO_SLOW)
        self.state = State.FROZEN

    def fall_silent(self) -> None:
        self.may_end(WENT_SILENT, whole=True)
        self.state = State.SILENT

    def close(self) -> None:
        self.state = State.OVER
        self.life.over = True
        self.closed_at = monotonic()
        self._may_lose_nickname()
        self.before_closing(self)
        self.sock.close()
