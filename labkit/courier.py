"""The courier: one thread that alone writes to clients, and brings each of them up to date.

If every thread that has read a line also sent it to everybody, one line among n people would cost n
`send`s, each line again, and one reader that stopped reading would block them all. Here the threads
only write down what is to be heard, in one log. The courier takes all that was written since it last
looked, joins it into one block of bytes for each room, and gives each client that block with a single
`send` that never waits. A hundred lines cost a client one `send`, and all who hear the same share the
same bytes.

Some clients need a block of their own: whoever spoke does not hear that part of it, a private line goes
in between, a newcomer hears only what came after. For these a plan is kept, a list of pieces of the
room's block with their own lines in between.

What a client's socket does not take at once waits in its backlog. See `Limits.behind` and
`Limits.grace` for where that ends, and `flowing` for how talkers are slowed before it does.

The courier knows nothing of nicknames or of what lines mean. It builds on sockets.py and limits.py.
"""

from __future__ import annotations

import selectors
import socket
import threading
from collections import deque
from dataclasses import dataclass
from time import monotonic

from labkit import sockets
from labkit.limits import Limits
from labkit.messages import HUNG_UP, TOO_SLOW, VANISHED

PATIENCE = 0.05
"""Seconds for which a client that takes nothing may slow the talkers; after that they go on without it."""

LINGER = 1.0
"""Seconds that a client let go politely has to take the last lines and close its side too."""

UNREAD = 4 * 1024 * 1024
"""Bytes of log that may wait for the courier itself before talkers are slowed."""


class Reader:
    """One client as the courier sees it: a socket to write to, and what that has not taken yet."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.lines_out = 0  # lines on their way to this client, or there
        self.behind = 0  # bytes that wait because the socket would not take them
        # Why the courier gave this client up; its own thread reads it when `recv` ends.
        self.failed: str | None = None
        # Guards `failed` together with the send that finds it out: the kernel tells of a reset once,
        # to the send or to the recv, and whoever was not told must not guess before the other has
        # written it down. Held during a send, and that is allowed only because the send never waits.
        self.telling = threading.Lock()
        # The rest is the courier's own; no other thread touches it.
        self.room: _Room | None = None
        self.plan: list[bytes | tuple[_Room, int, int]] | None = None  # None: hears what all hear
        self.mark = 0  # how far into the room's block the plan has come
        self.backlog: deque[memoryview] = deque()
        self.took = 0.0  # when the socket last took something
        self.close_by: float | None = None  # when it is to be closed, at the latest


class _Room:
    """Who hears a room, and what is new in it."""

    __slots__ = ("name", "readers", "parts", "size", "block")

    def __init__(self, name: str) -> None:
        self.name = name
        self.readers: dict[Reader, None] = {}
        self.clear()

    def clear(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0
        self.block = b""


# What can be written in the log. Data is one or more lines, each with its LF.


@dataclass(frozen=True, slots=True)
class ForRoom:
    """For all who hear the room, but one."""

    room: str
    data: bytes
    but: Reader | None = None


@dataclass(frozen=True, slots=True)
class ForOne:
    to: Reader
    data: bytes


@dataclass(frozen=True, slots=True)
class Hears:
    """From here on the reader hears this room; None: none."""

    who: Reader
    room: str | None


@dataclass(frozen=True, slots=True)
class Close:
    """Nothing more will be written for this reader: close its socket.

    Politely: when it has taken what waits, with FIN, and after waiting a little for its own FIN.
    """

    who: Reader
    politely: bool


Entry = ForRoom | ForOne | Hears | Close


class Courier:
    """`start` it, `post` what is to be heard and `wake` it, from any thread; then `stop` it.

    With `raw`, no LF goes out at the end of a send: the assignment's dialect, in which a `recv` is a
    message. Lines that must share a send keep the LF between them.
    """

    def __init__(self, limits: Limits, name: str = "courier", raw: bool = False) -> None:
        self._limits = limits
        self._raw = raw
        # Set while talkers may go on; a thread that would read more waits for it first.
        self.flowing = threading.Event()
        self.flowing.set()
        # Guards the four below: what the other threads write and the courier takes.
        self._lock = threading.Lock()
        self._log: list[Entry] = []
        self._unread = 0  # bytes in the log
        self._asleep = False
        self._stopping = False
        # The courier's own.
        self._rooms: dict[str, _Room] = {}
        self._waiting: dict[Reader, None] = {}  # who has a backlog, or is about to be closed
        self._selector = selectors.DefaultSelector()
        self._wakes, self._wake = sockets.waker()
        self._selector.register(self._wakes, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    # --- for the other threads ---

    def start(self) -> None:
        self._thread.start()

    def post(self, entries: list[Entry]) -> None:
        """Write in the log; the order of the log is the order in which everybody hears it.

        It only writes, so it may be called under a lock. The courier may sleep on until `wake`.
        """
        size = sum(len(e.data) for e in entries if isinstance(e, (ForRoom, ForOne)))
        with self._lock:
            self._log += entries
            self._unread += size
            if self._unread > UNREAD:
                self.flowing.clear()

    def wake(self) -> None:
        """See to it that the courier looks at the log. Not under a lock: it writes to a socket."""
        with self._lock:
            if not self._asleep:
                return
            self._asleep = False
        self._wake.send(b"!")

    def stop(self) -> None:
        """Deliver what is in the log, close what was to be closed, and end the thread."""
        with self._lock:
            self._stopping = True
        self.wake()
        self._thread.join()

    # --- the courier's thread ---

    def _work(self) -> None:
        while True:
            with self._lock:
                batch, self._log = self._log, []
                self._unread = 0
                ending = self._stopping
                self._asleep = not batch and not ending
            if batch:
                self._deliver(batch)
            elif ending and not self._waiting:
                break
            if self._waiting or not batch:
                # With somebody waiting, look at the clock now and then; with nobody, sleep until woken.
                self._look_around(0.0 if batch else PATIENCE if self._waiting else None)
            self._see_to_flow()
        self._selector.close()
        self._wakes.close()
        self._wake.close()

    def _deliver(self, batch: list[Entry]) -> None:
        """Bring everybody up to date with one batch of the log."""
        touched: dict[_Room, None] = {}  # rooms in which something is new
        special: dict[Reader, None] = {}  # readers with a plan of their own
        closing: list[Close] = []
        for entry in batch:
            if isinstance(entry, ForRoom):
                room = self._rooms.get(entry.room)
                if room is None:
                    continue  # nobody is there to hear it
                touched[room] = None
                if entry.but is not None and entry.but.room is room:
                    self._planned(entry.but, special)
                    entry.but.mark += len(entry.data)  # nobody hears their own line
                room.parts.append(entry.data)
                room.size += len(entry.data)
            elif isinstance(entry, ForOne):
                self._planned(entry.to, special).append(entry.data)
            elif isinstance(entry, Hears):
                self._planned(entry.who, special)
                self._seat(entry.who, entry.room)
            else:
                closing.append(entry)
        for room in touched:
            room.block = b"".join(room.parts)
        for reader in special:
            own = self._carried_out(reader)
            if own:
                self._send(reader, own, own.count(b"\n"))
        for room in touched:
            lines = room.block.count(b"\n")
            for reader in room.readers:
                if reader not in special:
                    self._send(reader, room.block, lines)
            room.clear()
        for close in closing:
            self._begin_to_close(close)

    def _planned(self, reader: Reader, special: dict[Reader, None]) -> list[bytes | tuple[_Room, int, int]]:
        """The reader's plan, with all that is new in its room up to here."""
        if reader.plan is None:
            reader.plan = []
            special[reader] = None
        room = reader.room
        if room is not None and reader.mark < room.size:
            reader.plan.append((room, reader.mark, room.size))
            reader.mark = room.size
        return reader.plan

    def _carried_out(self, reader: Reader) -> bytes:
        """The bytes that the reader's plan comes to; afterwards it hears what all hear again."""
        plan = self._planned(reader, {})
        pieces = [p if isinstance(p, bytes) else p[0].block[p[1] : p[2]] for p in plan]
        reader.plan = None
        reader.mark = 0
        return b"".join(pieces)

    def _seat(self, reader: Reader, name: str | None) -> None:
        old = reader.room
        if old is not None:
            del old.readers[reader]
            if not old.readers:  # rooms nobody hears must not pile up
                del self._rooms[old.name]
        reader.room = None
        if name is not None:
            reader.room = self._rooms.setdefault(name, _Room(name))
            reader.room.readers[reader] = None
            reader.mark = reader.room.size

    # --- sending ---

    def _send(self, reader: Reader, data: bytes, lines: int) -> None:
        """Give the reader these bytes; what its socket does not take now waits."""
        if reader.failed or reader.close_by is not None:
            return
        reader.lines_out += lines
        rest = memoryview(data)
        if self._raw:
            rest = rest[:-1]
        if reader.backlog:
            if self._raw:
                reader.backlog.append(memoryview(b"\n"))
                reader.behind += 1
        else:
            took = self._try(reader, rest)
            if took == len(rest) or reader.failed:
                return
            rest = rest[took:]
            reader.took = monotonic()
            self._watch(reader, selectors.EVENT_WRITE)
        reader.backlog.append(rest)
        reader.behind += len(rest)

    def _try(self, reader: Reader, data: memoryview) -> int:
        """Send what the socket takes now. A broken one is noted, and its thread woken."""
        try:
            with reader.telling:
                try:
                    return sockets.send_now(reader.sock, data)
                except BrokenPipeError:
                    reader.failed = HUNG_UP  # their FIN came first, RST after it: see tcp_reset in Linux
                    raise
                except OSError:
                    reader.failed = VANISHED
                    raise
        except OSError:
            self._give_up(reader)
            return 0

    def _flush(self, reader: Reader) -> None:
        """Send from the backlog until it is empty or the socket has had enough."""
        while reader.backlog:
            took = self._try(reader, reader.backlog[0])
            if reader.failed:
                return
            if took:
                reader.took = monotonic()
                reader.behind -= took
            if took < len(reader.backlog[0]):
                reader.backlog[0] = reader.backlog[0][took:]
                return
            reader.backlog.popleft()
        if reader.close_by is None:
            self._forget(reader)
        else:
            self._say_goodbye(reader)

    # --- those who wait: for room in their socket, or to be closed ---

    def _look_around(self, timeout: float | None) -> None:
        for key, events in self._selector.select(timeout):
            reader = key.data
            if reader is None:
                self._drain_wakes()
            elif events & selectors.EVENT_WRITE and reader.backlog:
                self._flush(reader)
            elif reader.close_by is not None:
                self._discard(reader)
        now = monotonic()
        for reader in list(self._waiting):
            if reader.close_by is not None:
                if now >= reader.close_by:
                    self._close(reader)
            else:
                idle = now - reader.took
                if idle > self._limits.grace or (reader.behind > self._limits.behind and idle > PATIENCE):
                    self._let_go(reader)

    def _drain_wakes(self) -> None:
        try:
            self._wakes.recv(64)
        except BlockingIOError:
            pass  # drained already

    def _see_to_flow(self) -> None:
        """Slow the talkers while somebody who is reading is far behind, and no longer."""
        now = monotonic()
        held = any(
            reader.behind > self._limits.behind // 2 and now - reader.took < PATIENCE
            for reader in self._waiting
            if reader.close_by is None
        )
        with self._lock:
            if held:
                self.flowing.clear()
            elif self._unread <= UNREAD and not self.flowing.is_set():
                self.flowing.set()

    def _let_go(self, reader: Reader) -> None:
        """It stopped reading: its time is up, or its backlog full."""
        with reader.telling:
            reader.failed = TOO_SLOW
        # RST, or the kernel would hold its unread megabytes for as long as it likes.
        sockets.reset_on_close(reader.sock)
        self._give_up(reader)

    def _give_up(self, reader: Reader) -> None:
        """Send nothing more, and wake the client's thread, which then leaves and says why."""
        reader.backlog.clear()
        reader.behind = 0
        self._forget(reader)
        if reader.close_by is None:
            sockets.shut(reader.sock, socket.SHUT_RDWR)
        else:
            self._close(reader)

    def _begin_to_close(self, close: Close) -> None:
        reader = close.who
        reader.close_by = monotonic() + LINGER
        if reader.failed or not close.politely:
            self._close(reader)
        elif reader.backlog:
            pass  # _flush will say goodbye
        else:
            self._say_goodbye(reader)

    def _say_goodbye(self, reader: Reader) -> None:
        """FIN; then read on until theirs. Closing with something unread would send RST instead, and
        that can wipe out the last lines before they are read (RFC 9293, section 3.10.4)."""
        sockets.shut(reader.sock, socket.SHUT_WR)
        self._watch(reader, selectors.EVENT_READ)

    def _discard(self, reader: Reader) -> None:
        try:
            if sockets.receive_now(reader.sock, 65536) != b"":
                return  # more may come: FIN has not
        except OSError:
            pass  # reset: gone all the same
        self._close(reader)

    def _close(self, reader: Reader) -> None:
        self._forget(reader)
        reader.backlog.clear()
        reader.behind = 0
        reader.sock.close()

    def _watch(self, reader: Reader, events: int) -> None:
        if reader in self._waiting:
            self._selector.modify(reader.sock, events, reader)
        else:
            self._waiting[reader] = None
            self._selector.register(reader.sock, events, reader)

    def _forget(self, reader: Reader) -> None:
        if reader in self._waiting:
            del self._waiting[reader]
            self._selector.unregister(reader.sock)
