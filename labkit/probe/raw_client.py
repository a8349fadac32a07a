"""A client that is nothing but a socket: it does what it is told, right or wrong, and hears what comes.

For trying servers. labkit's own client is too polite for that, and has threads. A `RawClient` can hang up
in the middle, send bytes that are no text, stop reading. Its journal keeps everything it sends and
receives, FIN and RST too, so that a `Ladder` can be drawn.

    with RawClient(address, "alice") as alice, RawClient(address, "bob") as bob:
        alice.join("alice")
        bob.join("bob")
        meet(bob, alice)                    # each hears the other
        alice.send("hello-17")
        assert bob.hears("alice: hello-17")

No timing is left to luck. A send first waits until the server has read the one before, so that two messages
stay two even where nothing frames them (kernel.py). `hears` searches the stream, wherever `recv` has cut
it, among all else that the server says.
A RawClient is for one thread. It knows how a nickname is asked for, and nothing else of chat.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
from time import monotonic
from types import TracebackType

from labkit.journal import Journal, shown
from labkit.probe import kernel
from labkit.probe.deadline import SLICE, Clock, Deadline
from labkit.probe.failed import CheckFailed
from labkit.wire import sockets
from labkit.wire.messages import Request

TIMEOUT = 5.0
"""Seconds that a server may take for anything, unless a RawClient is told otherwise."""

A_MOMENT = 0.2
"""Seconds spent on what has arrived, while a server keeps sending more."""

AT_MOST = 4
"""Times its timeout that a client listens to a server that keeps sending something else."""

KEPT = 1024 * 1024
"""Bytes kept of what was heard, the newest."""

SERVER = "server"
"""What the server is called in the journal."""

REQUEST = Request().line()

_numbers = itertools.count(1)


def unique(word: str) -> str:
    """The word with a number that no other has: `hello-17`."""
    return f"{word}-{next(_numbers)}"


class RawClient:
    """One connection to the server at `address`, open when this returns.

    Args:
        address: (host, port) of the server.
        name: what it is called in the journal; not yet its nickname.
        journal: where to write down what passes; by default a new one, in `journal`.
        framing: "lines" puts LF behind each text that is sent, "raw" nothing.
        request: how the server asks for a nickname; "": it does not, and the client speaks first.
        receive_buffer: bytes that the kernel may keep for it; small for one that will not read.
        timeout: seconds that it waits for anything, unless a call says otherwise.
        clock: counts these seconds; None: as a Deadline does.

    Raises:
        ConnectionError: no server listens there, or none answered in time.
    """

    def __init__(
        self,
        address: sockets.Address,
        name: str,
        *,
        journal: Journal | None = None,
        framing: str = "lines",
        request: str = REQUEST,
        receive_buffer: int | None = None,
        timeout: float = TIMEOUT,
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        self.clock = clock
        self.journal = Journal() if journal is None else journal
        self.timeout = timeout
        self.end: str | None = None  # how the server ended it: "FIN" or "RST"; None: it has not
        self.passed_over = b""  # what came before that which `hears` last found
        self.received = 0  # bytes, in all
        self.transcript = bytearray()  # those bytes; of very many, the newest
        self._heard = bytearray()  # what came, and no call has taken yet
        self.framing = framing
        self.request = request
        self._narrow = receive_buffer is not None
        self._sent_at = 0.0
        self._asked = False  # the LF behind the request may still come
        self._taken = False  # `hears` has found something, and the end of that line is not taken
        self.sock = sockets.connect(address, timeout, receive_buffer=receive_buffer)
        self.sock.setblocking(False)

    @property
    def port(self) -> int:
        """The port of its own end."""
        port: int = self.sock.getsockname()[1]
        return port

    # --- what it says ---

    def send(self, *texts: str | bytes) -> bool:
        """Send these, framed, in one send. False: the connection has ended, or the server takes no more."""
        end = b"\n" if self.framing == "lines" else b""
        return self.send_bytes(b"".join((t if isinstance(t, bytes) else t.encode()) + end for t in texts))

    def send_bytes(self, data: bytes) -> bool:
        """Send exactly these bytes, once the server has read those before. False: as for `send`."""
        self.until_read()
        return self.push(data) == len(data)

    def until_read(self, timeout: float | None = None) -> bool:
        """Wait until the server has read all that was sent. False: it did not, within the timeout."""
        limit = self.timeout if timeout is None else timeout
        return not self._sent_at or kernel.wait_until_read(self.sock, self._sent_at, limit, self.clock)

    def push(self, data: bytes, timeout: float | None = None) -> int:
        """Send these bytes at once, whatever was read of those before; how many the server took."""
        if timeout == 0 and not sockets.writable(self.sock, 0):
            return 0
        self.journal.record("bytes", self.name, shown(data), SERVER)
        rest = memoryview(data)
        deadline = self.deadline(timeout)
        while rest:
            try:
                took = sockets.send_now(self.sock, rest)
            except OSError:
                self._has_ended("RST")
                break
            self._sent_at = monotonic()
            rest = rest[took:]
            if rest and not took:
                sockets.writable(self.sock, SLICE)
                if deadline.passed():
                    break
        return len(data) - len(rest)

    # --- what it hears ---

    def hears(self, text: str, timeout: float | None = None) -> bool:
        """Whether this comes, or has come since the last call. Forgets what came before it.

        It gives up after `timeout` seconds without a byte (0: looks only at what has arrived), or after
        four times as long, or at the end of the connection.
        """
        wanted = text.encode()
        limit = self.timeout if timeout is None else timeout
        deadline = self.deadline(AT_MOST * limit or A_MOMENT)
        searched = 0
        while (at := self._heard.find(wanted, searched)) < 0:
            del self._heard[: max(0, len(self._heard) - KEPT)]
            searched = max(0, len(self._heard) - len(wanted) + 1)
            if deadline.passed():
                return False
            if not self._listen(min(limit, max(deadline.left, 0))):
                return False
        self.passed_over = bytes(self._heard[:at])
        del self._heard[: at + len(wanted)]
        self._taken = True
        return True

    def line(self, timeout: float | None = None) -> str:
        """The next line, without its end; in the raw dialect, what the next `recv` brings.

        Raises:
            TimeoutError: none came within the timeout.
            EOFError: the connection has ended; the text says how, and after what.
        """
        raw = self.framing == "raw"
        deadline = self.deadline(timeout)
        over = False
        while True:
            if self._asked and self._heard:
                self._asked = False
                for end in (b"\r\n", b"\n"):
                    if self._heard.startswith(end):
                        del self._heard[: len(end)]
                        break
            if self._heard and (raw or b"\n" in self._heard):
                break
            if over:
                raise TimeoutError(f"{self.name} heard no line in time; {self.seen()}")
            over = deadline.passed()
            if not self._listen(0 if over else min(SLICE, deadline.left)) and self.end:
                raise EOFError(f"{self.name} hears no more; {self.seen()}")
        size = len(self._heard) if raw else self._heard.index(b"\n") + 1
        line = bytes(self._heard[:size])
        del self._heard[:size]
        self._taken = False
        return line.decode(errors="replace").rstrip("\r\n")

    def ended(self, timeout: float | None = None) -> str | None:
        """How the server ended the connection: "FIN" or "RST"; None if it does not, within the timeout.

        What comes before the end is kept for `hears`. As there, 0 looks only at what has arrived.
        """
        limit = self.timeout if timeout is None else timeout
        deadline = self.deadline(AT_MOST * limit or A_MOMENT)
        while not self.end and self._listen(min(limit, max(deadline.left, 0))):
            del self._heard[: max(0, len(self._heard) - KEPT)]
            if deadline.passed():
                break
        return self.end

    def follows(self, timeout: float | None = None) -> bytes:
        """What comes next, or has come: the first of it, and nothing is forgotten. b"": nothing does."""
        if not self._heard:
            self._listen(self.timeout if timeout is None else timeout)
        return bytes(self._heard[:64])

    def seen(self) -> str:
        """What it heard and no call has taken, in words: for a report."""
        rest = bytes(self._heard)
        if self._taken:  # the end of that line tells nothing
            rest = rest.removeprefix(b"\r").removeprefix(b"\n")
        tail = repr(rest[-64:].decode(errors="replace"))
        what = f"heard {'…' * (len(rest) > 64)}{tail}" if rest else "heard nothing"
        return f"{self.name} {what}" + (f", then {self.end}" if self.end else "")

    def forget(self) -> None:
        """Drop all that has arrived, and most of what goes on arriving."""
        for _ in range(64):
            if not self._listen(0):
                break
            self._heard.clear()
        self._heard.clear()

    def widen(self) -> None:
        """Give it a receive buffer of the usual size from now on."""
        if self._narrow and self.sock.fileno() >= 0:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KEPT)
            self._narrow = False

    def fileno(self) -> int:
        """For `select`; -1 once it is closed."""
        return self.sock.fileno()

    def _listen(self, seconds: float) -> bool:
        """Take what has come, or comes within so many seconds. False: nothing, or no more."""
        deadline = self.deadline(seconds)
        while not self.end and self.sock.fileno() >= 0:
            over = seconds <= 0 or deadline.passed()
            try:
                data = sockets.receive_now(self.sock, 262144)
            except OSError:
                self._has_ended("RST")
            else:
                if data:
                    kernel.acknowledge(self.sock)
                    self.journal.record("bytes", SERVER, shown(data), self.name)
                    self._heard += data
                    self.received += len(data)
                    self.transcript += data
                    if len(self.transcript) > 2 * KEPT:
                        del self.transcript[:-KEPT]
                    return True
                if data == b"":
                    self._has_ended("FIN")
                elif over:  # it had passed before this look
                    break
                else:
                    sockets.readable(self.sock, min(SLICE, max(deadline.left, 0)))
        return False

    def deadline(self, timeout: float | None = None) -> Deadline:
        """Its timeout, or so many seconds from now on."""
        return Deadline(self.timeout if timeout is None else timeout, self.clock)

    def _has_ended(self, how: str) -> None:
        if self.end is None:
            self.end = how
            self.journal.record(how, SERVER, where=self.name)

    # --- coming and going ---

    def join(self, nickname: str) -> RawClient:
        """Wait for the request, answer it, and wait until the answer is read.

        A server need not tell that it is in the room now: see `meet`.

        Raises:
            CheckFailed: no request came.
        """
        self.is_asked()
        self.send(nickname)
        self.until_read()
        return self

    def is_asked(self, timeout: float | None = None) -> None:
        """Wait for the request; where there is none, do not.

        Raises:
            CheckFailed: none came.
        """
        if self.request and not self.hears(self.request, timeout):
            raise CheckFailed(f"`{self.request}` is asked for at connect", self.seen())
        self._asked = True

    def hang_up(self) -> None:
        """Say goodbye: FIN. It can still hear."""
        self.journal.record("FIN", self.name, where=SERVER)
        with contextlib.suppress(OSError):  # closed already
            sockets.shut(self.sock, socket.SHUT_WR)

    def reset(self) -> None:
        """Vanish: RST."""
        if self.sock.fileno() >= 0:
            self.journal.record("RST", self.name, where=SERVER)
            with contextlib.suppress(OSError):
                sockets.reset_on_close(self.sock)
            self.sock.close()

    def close(self) -> None:
        """Close the socket: FIN; or RST, if something was not read. Twice does no harm."""
        self.sock.close()

    def __enter__(self) -> RawClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<RawClient {self.name}>"


def meet(newcomer: RawClient, present: RawClient, timeout: float | None = None) -> None:
    """Wait until each of the two hears the other. Then the newcomer has joined, whatever the server says.

    The newcomer says a word until `present` hears it, and then the other way round. Some of these words
    may come twice, and later.

    Raises:
        CheckFailed: one does not hear the other.
    """
    for speaker, listener in ((newcomer, present), (present, newcomer)):
        word = unique("ping")
        deadline = newcomer.deadline(timeout)
        nap = SLICE
        while True:
            if not speaker.until_read() and not speaker.end:
                raise CheckFailed(
                    f"the server reads what {speaker.name} says", f"it does not; {speaker.seen()}", "unread"
                )
            speaker.send(word)
            if listener.hears(word, min(nap, max(deadline.left, SLICE))):
                break
            if deadline.passed() or listener.end or speaker.ended(0):
                seen = f"{speaker.seen()}; " if speaker.end else ""
                clue = "thrown out" if speaker.end or listener.end else ""
                expected = f"{listener.name} hears what {speaker.name} says"
                raise CheckFailed(expected, seen + listener.seen(), clue)
            nap = min(2 * nap, 0.4)
