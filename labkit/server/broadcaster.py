"""The broadcaster: it alone writes to clients, one thread at a time, and brings each of them up to date.

If every thread that has read a line also sent it to all, one line among n clients would cost n `send`s,
and one reader that stopped reading would block them all. Here the threads only write down what is to be
heard, in one log. The broadcaster joins all that was written since it last looked into one block of bytes
for each room, and gives each client that block with a single `send` that never waits.

While it sleeps, and no client is behind, a thread that has written something down does this in its place:
to wake another thread takes longer than to send a line to a few. And while it is at work, talk is only put
on a list: before each batch it is posted for all who spoke. (Flat combining: Hendler et al., 2010.)

Some clients need a block of their own. A talker does not hear its own part: that is cut out. A private
line goes in between, a newcomer hears only what came after: for these a plan is kept, of pieces of the
room's block with their own lines in between.

If people join one after the other, a send to all for each of them would be most of the work. So the first
is told of at once, and those who come just after it together: soon, or before anything else that is to be
heard. (The first line of all, `nickname`, goes past the broadcaster: connection.py.)

Two things slow talkers down, through `flowing` and `holds`: a log that grows faster than it is delivered
holds all of them; a reader that reads, but too slowly (sender.py), those that talk to it, in its room or
by whispers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass, field
from itertools import repeat
from time import monotonic

from labkit.server import scheduling
from labkit.server.delivery import Close, Entry, ForOne, ForRoom, Hears
from labkit.server.limits import Limits
from labkit.server.sender import PATIENCE, Outbox, Sender

UNREAD = 2 * 1024 * 1024
"""Bytes of memory that the log may take before talkers are slowed. A line waits for all that is in
it: 0.03 s beside four who never pause. With 8 MB it was 0.4 s, and nothing was faster
(tests/benches/bench_flood.py)."""

IN_A_ROW = 8
"""Batches that a thread delivers for all before it goes on with what its own client says."""

ARRIVALS = 0.01
"""Seconds between two tellings of who has come or gone, and as many again for each 250 who hear it: most of
the time is left for those who do. One who comes after a pause, or says something, is told of at once."""

ENTRY_COSTS = 150
"""Bytes of memory that an entry takes beside what is in it: 120 measured."""


@dataclass(slots=True, eq=False)
class _Room:
    """Who hears a room, and what is new in it."""

    name: str
    outboxes: dict[Outbox, None] = field(default_factory=dict)
    parts: list[bytes] = field(default_factory=list)
    size: int = 0  # bytes of the parts together
    block: bytes = b""  # the parts joined, while they are sent
    lines: int = 0  # in the block
    # Of those who only talked: where in the block each one's own parts begin and end, in turn.
    own: dict[Outbox, list[int]] = field(default_factory=dict)

    def for_talkers(self) -> Iterator[tuple[Outbox, bytes, int]]:
        """What each of them hears, and how many lines that is: all but its own parts."""
        block = self.block
        for talker, own in self.own.items():
            if len(own) == 2:  # mostly so, and twice as fast as the way for all
                start, end = own
                data = block[:start] + block[end:]
                heard = self.lines - block.count(b"\n", start, end)
            else:
                heard_from, heard_to = [0, *own[1::2]], [*own[::2], len(block)]
                data = b"".join([block[a:b] for a, b in zip(heard_from, heard_to, strict=True)])
                heard = data.count(b"\n")
            if data:
                yield talker, data, heard


class _Plan:
    """What one outbox hears of a batch, where that is not just its room's block without its own parts."""

    __slots__ = ("mark", "pieces", "private", "room")

    def __init__(self, room: _Room | None, own: list[int]) -> None:
        self.room = room
        self.mark = 0  # up to here in the room's block it is planned
        self.private = 0  # bytes that it alone hears
        self.pieces: list[bytes | tuple[_Room, int, int]] = []
        for start, end in zip(own[::2], own[1::2], strict=True):
            self.catch_up(start)
            self.mark = end

    def catch_up(self, end: int) -> None:
        """Plan in what the room has up to there."""
        if self.room is not None and self.mark < end:
            self.pieces.append((self.room, self.mark, end))
            self.mark = end

    def carried_out(self) -> bytes:
        """The bytes it comes to. The rooms' parts must be joined."""
        if self.room is not None:
            self.catch_up(self.room.size)
        return b"".join([p if isinstance(p, bytes) else p[0].block[p[1] : p[2]] for p in self.pieces])


def _carried_out(plans: dict[Outbox, _Plan]) -> Iterator[tuple[Outbox, bytes, int]]:
    """What each of them hears, and how many lines that is.

    As in `for_talkers`, each is made when it is sent: a hundred of them at once would be in no cache.
    """
    for outbox, plan in plans.items():
        data = plan.carried_out()
        if plan.private:
            outbox.private += plan.private
            outbox.private_blocks += 1
        if data or outbox.tls is not None:  # TLS may have something to say by itself
            yield outbox, data, data.count(b"\n")


class Broadcaster:
    """`start` it, `post` what is to be heard and `wake` it, from any thread; then `stop` it."""

    def __init__(
        self, limits: Limits, name: str = "broadcaster", raw: bool = False, encrypted: bool = False
    ) -> None:
        # Set while all may go on. If not, a thread that has read something asks `holds` before it goes on.
        self.flowing = threading.Event()
        self.flowing.set()
        # Who is far behind, and who talks to them: made anew by the broadcaster; others only look.
        self._far: frozenset[Outbox] = frozenset()
        self._feeding: frozenset[Outbox] = frozenset()
        self._slow: frozenset[str] = frozenset()  # their rooms
        self._pause = 0.0 if raw else ARRIVALS  # raw: two notices in one send would be one message
        self._said: Sized = ()  # see `collect`
        self._post_said: Callable[[], None]
        # Guards the eight below: what the other threads write and the broadcaster takes. (Whether it is
        # asleep, others look at without it, too.)
        self._lock = threading.Lock()
        self._log: list[Entry] = []
        self._arrivals: list[Entry] = []  # to be told together: when that is due, or before anything else
        self._due = 0.0
        self._watching = False  # whether it wakes by itself when they are due
        self._unread = 0  # bytes in the log
        self.asleep = False
        self._at_the_bell = False  # where it sleeps, if it does
        self._stopping = False
        # What the broadcaster waits at while no socket is to be watched: held by it, released to wake it.
        # That takes no system call that lets another thread run, as writing to a socket would.
        self._bell = threading.Lock()
        self._bell.acquire()
        # The broadcaster's own.
        self._rooms: dict[str, _Room] = {}
        self._hears: dict[Outbox, _Room] = {}
        self._sender = Sender(limits, raw, encrypted)
        self.telling = self._sender.telling  # for the threads that read, to ask how a connection ended
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    # --- for the other threads ---

    def collect(self, said: Sized, post_said: Callable[[], None]) -> None:
        """Before each batch, have `post_said` called if there is anything in `said`. Who puts something
        there needs no lock, and calls `wake` then."""
        self._said, self._post_said = said, post_said

    def start(self) -> None:
        self._thread.start()

    def post(self, entries: list[Entry], may_wait: bool = False) -> None:
        """Write in the log, in the order in which all are to hear it. May be called under a lock.

        `may_wait`: this is of one that comes or goes. What others hear of that may wait for more who do.
        """
        size = sum(ENTRY_COSTS + len(e.data) for e in entries if isinstance(e, (ForRoom, ForOne)))
        with self._lock:
            if may_wait:
                self._arrivals += [entry for entry in entries if not isinstance(entry, ForOne)]
                entries = [entry for entry in entries if isinstance(entry, ForOne)]
            elif self._arrivals:
                self._log_arrivals()
            self._log += entries
            self._unread += size
            if self._unread > UNREAD:
                self.flowing.clear()

    def post_talk(self, entries: list[ForRoom]) -> None:
        """`post` of entries that are all for rooms, for less: most are."""
        size = ENTRY_COSTS * len(entries) + sum([len(entry.data) for entry in entries])
        with self._lock:
            if self._arrivals:
                self._log_arrivals()
            self._log += entries
            self._unread += size
            if self._unread > UNREAD:
                self.flowing.clear()

    def wake(self) -> None:
        """Have the log delivered: by this thread, for a while, if no other is at it. Not under a lock."""
        if not self.asleep:
            return  # another is at work, and looks again before it ends
        with self._lock:
            if not self.asleep:
                return
            self.asleep = False
            at_the_bell = self._at_the_bell  # before another turn of its loop can change that
        if not at_the_bell:
            self._sender.wake()
            return
        try:
            done = self._deliver_for_all()
        except BaseException:  # Ctrl-C in a program's own thread, say
            self._bell.release()
            raise
        if not done:
            self._bell.release()

    def _deliver_for_all(self) -> bool:
        """Do the broadcaster's work, to save it the waking; False if it must do the rest itself."""
        for _ in range(IN_A_ROW):
            self._let_others_write()
            with self._lock:
                if self._stopping:
                    return False
                batch = self._next_batch()
                asleep = self._falls_asleep(not batch and (self._watching or not self._arrivals))
            if not batch:
                return asleep
            self._deliver(batch)
            self._see_to_flow()
            if not self._sender.idle:
                return False
        return False

    def holds(self, who: Outbox, whispered_to: Iterable[Outbox] = ()) -> bool:
        """Whether this one must wait now: the log is too long, or it talks to one that is far behind."""
        return self._unread > UNREAD or who in self._feeding or not self._far.isdisjoint(whispered_to)

    @property
    def full(self) -> bool:
        """The log is so long that talkers, and a backplane, must wait."""
        return self._unread > UNREAD

    def is_slow(self, room: str) -> bool:
        """Whether one that hears this room is far behind."""
        return room in self._slow

    def is_far(self, who: Outbox) -> bool:
        """Whether this one reads, and is far behind."""
        return who in self._far

    def stop(self) -> None:
        """Deliver what is in the log, close what was to be closed, and end the thread."""
        with self._lock:
            self._stopping = True
        if self._thread.is_alive():
            self.wake()
        if self._thread.ident is not None:  # it was started
            self._thread.join()
        self._sender.end()

    # --- its own thread ---

    def _work(self) -> None:
        scheduling.wait_your_turn()
        while True:
            self._let_others_write()
            with self._lock:
                left = self._due - monotonic() if self._arrivals else 0.0
                self._watching = left > 0
                batch = self._next_batch()
                ending = self._stopping
                asleep = self._falls_asleep(not batch and not ending)
                self._at_the_bell = asleep and self._sender.idle
                if not (batch or ending or asleep):
                    continue  # something was said just now
            if batch:
                self._deliver(batch)
            elif ending and self._sender.idle:
                break
            if self._at_the_bell:
                if left <= 0 or self._has_to_tell_arrivals(left):
                    self._bell.acquire()
            elif not batch:
                self._sender.look_around(PATIENCE)
            elif not self._sender.idle:
                self._sender.look_around(0.0)
            self._see_to_flow()

    def _falls_asleep(self, may: bool) -> bool:
        """Whether it does, if it may. The lock must be held."""
        self.asleep = may
        # In this order: who puts something there looks afterwards whether there is one asleep to be woken.
        if may and self._said:
            self.asleep = may = False
        return may

    def _has_to_tell_arrivals(self, left: float) -> bool:
        """Whether no thread rings in so many seconds; then those who came meanwhile are told of."""
        if self._bell.acquire(timeout=left):
            return False
        with self._lock:
            self._watching = False  # if another is at work, it rings for what it leaves
        self.wake()
        return True

    def _next_batch(self) -> list[Entry]:
        """What is to be delivered now. The lock must be held."""
        if self._arrivals and (self._stopping or self._due <= monotonic()):
            self._log_arrivals()
        batch, self._log = self._log, []
        self._unread = 0
        return batch

    def _log_arrivals(self) -> None:
        """The lock must be held."""
        self._log += self._arrivals
        self._arrivals = []
        self._due = monotonic() + self._pause * (1 + len(self._hears) / 250)

    def _let_others_write(self) -> None:
        """While more comes, let it: the fuller the batch, the fewer sends. Threads that have just read
        something are ready to run, and do so when this one steps aside. Then post what they have said."""
        seen = 0
        while (came := len(self._log) + len(self._said)) > seen:
            seen = came
            scheduling.yield_gil()
        if self._said:
            self._post_said()

    def _see_to_flow(self) -> None:
        far, far_by_its_room = self._sender.held()
        if far or self._far:
            self._far = frozenset(far)
            rooms = {self._hears[outbox] for outbox in far_by_its_room if outbox in self._hears}
            self._feeding = self._far.union(*(room.outboxes for room in rooms))
            self._slow = frozenset(room.name for room in rooms)
        with self._lock:
            if far:
                self.flowing.clear()
            elif self._unread <= UNREAD and not self.flowing.is_set():
                self.flowing.set()

    def _deliver(self, batch: list[Entry]) -> None:
        touched: list[_Room] = []  # rooms in which something is new
        plans: dict[Outbox, _Plan] = {}  # who hears something else than all in the room
        ends: list[Close] = []
        for entry in batch:
            if isinstance(entry, ForRoom):
                room = self._rooms.get(entry.room)
                if room is None:
                    continue  # no one is there to hear it
                if not room.parts:
                    touched.append(room)
                room.parts.append(entry.data)
                start, room.size = room.size, room.size + len(entry.data)
                talker = entry.but
                if talker is not None and self._hears.get(talker) is room:
                    if plans and (plan := plans.get(talker)):
                        plan.catch_up(start)
                        plan.mark = room.size  # no client hears its own line
                    elif own := room.own.get(talker):
                        own += (start, room.size)
                    else:
                        room.own[talker] = [start, room.size]
            elif isinstance(entry, ForOne):
                plan = self._planned(entry.to, plans)
                plan.pieces.append(entry.data)
                plan.private += len(entry.data)
            elif isinstance(entry, Hears):
                self._seat(entry, self._planned(entry.who, plans))
            else:
                ends.append(entry)
        for room in touched:
            room.block = b"".join(room.parts)
            room.lines = room.block.count(b"\n")
        self._sender.send(_carried_out(plans))
        for room in touched:
            self._sender.send(room.for_talkers())
        for outbox in plans:
            if outbox.clear:  # nothing of it waits
                outbox.private = outbox.private_blocks = 0
        for room in touched:
            others = [o for o in room.outboxes if o not in room.own and o not in plans]
            self._sender.send(zip(others, repeat(room.block), repeat(room.lines)))
            room.parts, room.size, room.block, room.lines, room.own = [], 0, b"", 0, {}
        for end in ends:
            self._sender.close(end.who, end.politely)

    def _planned(self, outbox: Outbox, plans: dict[Outbox, _Plan]) -> _Plan:
        """The outbox's plan, with all in it that is new in its room up to here."""
        plan = plans.get(outbox)
        if plan is None:
            room = self._hears.get(outbox)
            plan = plans[outbox] = _Plan(room, room.own.pop(outbox, []) if room else [])
        if plan.room is not None:
            plan.catch_up(plan.room.size)
        return plan

    def _seat(self, entry: Hears, plan: _Plan) -> None:
        """From here on the outbox hears another room."""
        old = self._hears.pop(entry.who, None)
        if old is not None:
            del old.outboxes[entry.who]
            if not old.outboxes:  # rooms that no one hears must not pile up
                del self._rooms[old.name]
        plan.room = None
        if entry.room is not None:
            room = self._rooms.setdefault(entry.room, _Room(entry.room))
            room.outboxes[entry.who] = None
            self._hears[entry.who] = plan.room = room
            plan.mark = room.size
