"""broadcaster.py: what each reader hears, whatever comes in one batch; and sender.py: how it gets there."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import pairwise
from math import inf
from threading import Event, Thread, current_thread
from time import monotonic
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import SOON, Wire

from labkit.probe.deadline import Deadline
from labkit.server.backlog import Backlog
from labkit.server.broadcaster import UNREAD, Broadcaster
from labkit.server.delivery import Close, Entry, ForOne, ForRoom, Hears
from labkit.server.limits import Limits
from labkit.server.sender import LONGEST, PATIENCE, Outbox
from labkit.wire import sockets
from labkit.wire.messages import HUNG_UP, TOO_SLOW, VANISHED

# --- what is heard: the broadcaster against a model that does one entry at a time ---


NOWHERE = socket.socket()
NOWHERE.close()


class WrittenDown(Broadcaster):
    """A broadcaster whose sends are written down instead, one list of bytes for each reader."""

    def __init__(self, readers: int, limits: Limits | None = None) -> None:
        super().__init__(limits or Limits())
        self.readers = [Outbox(NOWHERE) for _ in range(readers)]
        self.sends: dict[Outbox, list[bytes]] = {reader: [] for reader in self.readers}
        self._sender.send = self._written_down  # type: ignore[method-assign]

    def _written_down(self, mail: Iterable[tuple[Outbox, bytes, int]]) -> None:
        for reader, data, lines in mail:
            assert lines == data.count(b"\n")
            self.sends[reader].append(data)

    def heard(self) -> list[bytes]:
        return [b"".join(self.sends[reader]) for reader in self.readers]


def model(entries: list[Entry], readers: list[Outbox]) -> list[bytes]:
    """What each reader should hear: each entry delivered by itself, the plain and slow way."""
    heard = {reader: b"" for reader in readers}
    rooms: dict[Outbox, str | None] = dict.fromkeys(readers)
    for entry in entries:
        if isinstance(entry, ForRoom):
            for reader in readers:
                if rooms[reader] == entry.room and reader is not entry.but:
                    heard[reader] += entry.data
        elif isinstance(entry, ForOne):
            heard[entry.to] += entry.data
        elif isinstance(entry, Hears):
            rooms[entry.who] = entry.room
    return [heard[reader] for reader in readers]


READERS = 4
ROOMS = ["lobby", "kitchen"]
_steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("room"), st.sampled_from(ROOMS), st.one_of(st.none(), st.integers(0, READERS - 1))
        ),
        st.tuples(st.just("one"), st.integers(0, READERS - 1), st.none()),
        st.tuples(
            st.just("hears"), st.integers(0, READERS - 1), st.one_of(st.none(), st.sampled_from(ROOMS))
        ),
    ),
    max_size=40,
)


@given(_steps, st.lists(st.integers(0, 40), max_size=6))
def test_batches_change_nothing_of_what_is_heard(
    steps: list[tuple[str, object, object]], cuts: list[int]
) -> None:
    """Whatever is in the log, and however it falls into batches, each hears what the model says, and its
    lines are counted."""
    broadcaster = WrittenDown(READERS)
    try:
        entries: list[Entry] = []
        for n, (kind, a, b) in enumerate(steps):
            if kind == "room":
                speaker = None if b is None else broadcaster.readers[cast(int, b)]
                entries.append(ForRoom(cast(str, a), b"line %d\n" % n * (1 + n % 3), speaker))
            elif kind == "one":
                entries.append(ForOne(broadcaster.readers[cast(int, a)], b"private %d\n" % n))
            else:
                entries.append(Hears(broadcaster.readers[cast(int, a)], cast("str | None", b)))
        for start, end in pairwise(sorted({0, *cuts, len(entries)})):
            broadcaster._deliver(entries[start:end])
        assert broadcaster.heard() == model(entries, broadcaster.readers)
    finally:
        broadcaster._sender.end()


def test_all_who_hear_the_same_share_the_same_bytes() -> None:
    """One block for all, not one each; and one send each, however many lines it holds."""
    broadcaster = WrittenDown(4)
    broadcaster._deliver([Hears(reader, "lobby") for reader in broadcaster.readers])
    broadcaster._deliver([ForRoom("lobby", b"line %d\n" % n, broadcaster.readers[0]) for n in range(100)])
    blocks = [broadcaster.sends[reader] for reader in broadcaster.readers]
    broadcaster._sender.end()
    assert blocks[0] == []
    assert [len(sent) for sent in blocks[1:]] == [1, 1, 1]
    assert blocks[1][0] is blocks[2][0] is blocks[3][0]


def test_rooms_without_a_listener_are_forgotten() -> None:
    """A room costs nothing once all have left it."""
    broadcaster = WrittenDown(1)
    for n in range(100):
        broadcaster._deliver([Hears(broadcaster.readers[0], f"room {n}"), ForRoom(f"room {n}", b"x\n")])
    broadcaster._deliver([Hears(broadcaster.readers[0], None)])
    broadcaster._sender.end()
    assert broadcaster._rooms == {}
    assert broadcaster._hears == {}


# --- how it gets there: real sockets ---


def pair(buffer: int | None = None) -> tuple[Outbox, Wire]:
    """A reader for the broadcaster, and the other end of its connection."""
    with socket.socket() as listener:
        if buffer is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        theirs = socket.socket()
        if buffer is not None:
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        theirs.connect(listener.getsockname())
        ours, _ = listener.accept()
        ours.setblocking(sockets.HAS_DONTWAIT)  # as `prepare` does
    return Outbox(ours), Wire(theirs)


@pytest.fixture
def broadcaster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Broadcaster]:
    """A broadcaster at work, stopped afterwards. Whoever it lets go has the time to read the last lines, on
    a busy machine, too."""
    monkeypatch.setattr("labkit.server.sender.LINGER", SOON)
    at_work = Broadcaster(Limits(behind=100_000, grace=SOON), "labkit-broadcaster")
    at_work.start()
    yield at_work
    at_work.stop()


def ends(reader: Outbox) -> bool:
    """Whether a `recv` of the client's thread returns b"", within SOON."""
    # Not by settimeout: the broadcaster's sends on the same socket would begin to wait, too.
    sockets.patience(reader.sock, SOON)
    return sockets.receive(reader.sock, 1, SOON) == b""


def post(broadcaster: Broadcaster, *entries: Entry) -> None:
    broadcaster.post(list(entries))
    broadcaster.wake()


def test_a_slow_reader_gets_every_byte_in_order(broadcaster: Broadcaster) -> None:
    """What a socket does not take at once waits, and goes out when it has room again."""
    reader, wire = pair(buffer=4096)
    lines = [f"{n:06} {'x' * 90}" for n in range(900)]  # 88 kB: less than `behind`, more than the buffers
    post(broadcaster, *(ForOne(reader, line.encode() + b"\n") for line in lines))
    with wire:
        assert wire.lines(len(lines)) == lines
    post(broadcaster, Close(reader, politely=False))


def test_one_that_takes_nothing_is_let_go_when_its_backlog_is_full(broadcaster: Broadcaster) -> None:
    """Its thread is woken, `failed` says why, and its memory is given back."""
    reader, wire = pair(buffer=4096)
    with wire:
        for _ in range(40):
            post(broadcaster, ForOne(reader, b"x" * 9_999 + b"\n"))
        assert ends(reader)
        assert reader.failed == TOO_SLOW
        assert reader.behind == 0
        post(broadcaster, Close(reader, politely=False))


def test_all_backlogs_together_have_an_end() -> None:
    """Ten that take nothing, each with lines of its own: until half of `waiting` is free, who has more than
    its share is let go."""
    limits = Limits(waiting=400_000, behind=10_000_000, grace=1000)
    broadcaster = Broadcaster(limits, "labkit-broadcaster")
    broadcaster.start()
    readers = [pair(buffer=4096) for _ in range(10)]
    small, one_more = pair(buffer=4096)
    post(broadcaster, ForOne(small, b"x" * 16_000 + b"\n"))  # more than the buffers hold, less than a share
    for n in range(20):
        post(broadcaster, *(ForOne(reader, b"%02d" % n * 5_000 + b"\n") for reader, _ in readers))
    give_up = monotonic() + SOON
    # 200 kB each: one could stay. Who has failed gives its memory back a moment later.
    while (
        sum(reader.failed == TOO_SLOW for reader, _ in readers) < 9
        or sum(reader.behind for reader, _ in readers) > limits.waiting // 2
    ):
        assert monotonic() < give_up
        Event().wait(0.01)
    assert not small.failed
    assert one_more.line() == "x" * 16_000
    for reader, wire in (*readers, (small, one_more)):
        wire.close()
        post(broadcaster, Close(reader, politely=False))
    broadcaster.stop()


@pytest.mark.parametrize("private", [False, True])
def test_talkers_are_held_before_small_pieces_take_more_than_waiting(private: bool) -> None:
    """Lines of one letter to twenty slow readers: what counts is what they cost, many times their bytes."""
    limits = Limits(waiting=1_000_000, behind=10_000_000)
    broadcaster = Broadcaster(limits, "labkit-broadcaster")
    readers = [pair(buffer=4096) for _ in range(20)]
    broadcaster._deliver([Hears(reader, "lobby") for reader, _ in readers])
    broadcaster._deliver([ForRoom("lobby", b"x" * 16_000)])  # more than the buffers hold
    for reader, _ in readers:
        assert reader.behind
        reader.took = inf  # it reads
    delivered = 0
    while broadcaster.flowing.is_set():
        batch = [ForOne(reader, b"x\n") for reader, _ in readers] if private else [ForRoom("lobby", b"x\n")]
        broadcaster._deliver(list[Entry](batch))
        broadcaster._see_to_flow()
        delivered += 1
        assert broadcaster._sender._store.bytes <= limits.waiting
    assert 100 < delivered < 5_000
    assert broadcaster.is_slow("lobby") != private
    for reader, wire in readers:
        wire.close()
        broadcaster._sender.close(reader, politely=False)
    broadcaster._sender.end()


def test_a_slow_reader_is_waited_for_ten_seconds_at_most() -> None:
    """It may take what it takes in steps a minute apart, and nobody's line waits for that long."""
    broadcaster = Broadcaster(Limits(behind=100_000, grace=1e6), "labkit-broadcaster")
    reader, wire = pair(buffer=4096)
    with wire:
        broadcaster._deliver([Hears(reader, "lobby"), ForRoom("lobby", b"x" * 90_000)])
        reader.took = monotonic() - 60
        wire.sock.recv(4096)  # a step
        while reader.patience == PATIENCE:
            broadcaster._sender.look_around(0.1)
            wire.sock.setblocking(False)
            with suppress(BlockingIOError):
                wire.sock.recv(4096)
        assert reader.patience == LONGEST == 10
        broadcaster._sender.close(reader, politely=False)
        broadcaster._sender.end()


def test_one_that_takes_nothing_is_let_go_after_its_grace() -> None:
    """However little waits for it."""
    broadcaster = Broadcaster(Limits(grace=0.1), "labkit-broadcaster")
    broadcaster.start()
    reader, wire = pair(buffer=4096)
    with wire:
        post(broadcaster, ForOne(reader, b"x" * 40_000 + b"\n"))
        assert ends(reader)
        assert reader.failed == TOO_SLOW
        post(broadcaster, Close(reader, politely=False))
        broadcaster.stop()


def test_closing_politely_delivers_what_waits_and_says_fin(broadcaster: Broadcaster) -> None:
    """Also when the other side has sent something that will not be read: no RST wipes out the last line."""
    reader, wire = pair()
    with wire:
        wire.send("nobody reads this")
        post(broadcaster, ForOne(reader, b"the last line\n"), Close(reader, politely=True))
        assert wire.to_the_end() == ["the last line"]


def test_closing_politely_waits_for_the_backlog(broadcaster: Broadcaster) -> None:
    """FIN comes after the last byte, not instead of it."""
    reader, wire = pair(buffer=4096)
    data = b"x" * 79_999 + b"\n"
    post(broadcaster, ForOne(reader, data), Close(reader, politely=True))
    with wire:
        assert wire.to_the_end() == ["x" * 79_999]


def test_closing_politely_ends_although_the_other_side_never_closes() -> None:
    """After LINGER seconds the socket is closed all the same: stop returns."""
    broadcaster = Broadcaster(Limits(), "labkit-broadcaster")
    broadcaster.start()
    reader, wire = pair()
    with wire:
        post(broadcaster, Close(reader, politely=True))
        stopping = Thread(target=broadcaster.stop)
        stopping.start()
        stopping.join(SOON)
        assert not stopping.is_alive()
        assert reader.sock.fileno() == -1


def test_a_reset_and_a_goodbye_are_told_apart(broadcaster: Broadcaster) -> None:
    """A send that fails after RST says `vanished`; after FIN and then RST, `hung up`."""
    vanished, theirs = pair()
    theirs.reset()
    with pytest.raises(ConnectionResetError):
        while True:  # until the RST is here; it is on its way, and recv takes the news from the kernel
            if vanished.sock.recv(1) == b"":
                break
    hung_up, wire = pair()
    wire.close()
    assert ends(hung_up)
    while hung_up.failed is None:  # the first send is answered by RST; one after that fails
        post(broadcaster, ForOne(hung_up, b"x\n"))
    assert hung_up.failed == HUNG_UP
    post(broadcaster, Close(hung_up, politely=False), Close(vanished, politely=False))


def test_a_reset_found_out_by_send_is_told_by_the_reader(broadcaster: Broadcaster) -> None:
    """Only one of send and recv is told of a reset by the kernel; `failed` tells the other."""
    reader, wire = pair()
    wire.reset()
    while reader.failed is None:
        post(broadcaster, ForOne(reader, b"x\n"))
    assert reader.failed == VANISHED
    post(broadcaster, Close(reader, politely=False))


def test_raw_sends_hold_no_line_end_but_between_lines() -> None:
    """In the assignment's dialect a recv is a message; lines that share a send keep the LF between."""
    broadcaster = Broadcaster(Limits(), "labkit-broadcaster", raw=True)
    reader, wire = pair()
    with wire:
        broadcaster.post([ForOne(reader, b"nickname\n")])
        broadcaster.start()
        assert wire.recv() == "nickname"
        post(broadcaster, ForOne(reader, b"one\n"), ForOne(reader, b"two\n"))
        assert wire.recv() == "one\ntwo"
        post(broadcaster, Close(reader, politely=False))
        broadcaster.stop()


def test_talkers_are_held_while_the_log_is_full_and_go_on_afterwards() -> None:
    """`flowing` is cleared by too much unread log, and set again when it has been delivered."""
    broadcaster = Broadcaster(Limits(), "labkit-broadcaster")
    while broadcaster._unread <= UNREAD:
        assert broadcaster.flowing.is_set()
        broadcaster.post([ForRoom("lobby", b"x" * 1_000_000 + b"\n")])
    assert not broadcaster.flowing.is_set()
    broadcaster.start()
    assert broadcaster.flowing.wait(SOON)
    broadcaster.stop()


# --- who is slowed by whom ---


def test_answers_that_a_client_asks_for_slow_itself_alone() -> None:
    """It is far behind by what it alone is told: it must wait, and its room need not."""
    broadcaster = WrittenDown(3, Limits(behind=1_000_000))
    mallory, alice, bob = broadcaster.readers
    try:
        broadcaster._deliver([Hears(outbox, "lobby") for outbox in broadcaster.readers])
        for private, room_waits in ((1_000_000, False), (400_000, True), (0, True)):
            mallory.clear = False
            mallory.backlog = Backlog()
            mallory.backlog.put(bytes(1_000_000), broadcaster._sender._store)
            mallory.private = private
            mallory.took = inf  # it reads
            broadcaster._sender._waiting = {mallory: None}
            broadcaster._see_to_flow()
            assert not broadcaster.flowing.is_set()
            assert broadcaster.holds(mallory) and broadcaster.holds(alice, [mallory])
            assert broadcaster.holds(alice) == broadcaster.holds(bob) == room_waits
            assert broadcaster.is_slow("lobby") == room_waits
    finally:
        broadcaster._sender.end()


def test_what_is_for_one_alone_is_counted_while_it_is_behind() -> None:
    """Not what went out at once; and of what waits, in one batch and in those that follow, all."""
    broadcaster = WrittenDown(1)
    (bob,) = broadcaster.readers
    try:
        broadcaster._deliver([ForOne(bob, b"one\n"), ForOne(bob, b"two\n")])
        assert (bob.private, bob.private_blocks) == (0, 0)
        bob.clear = False
        broadcaster._deliver([ForOne(bob, b"three\n")])
        assert (bob.private, bob.private_blocks) == (6, 1)
        broadcaster._deliver([ForOne(bob, b"four\n"), ForRoom("lobby", b"x\n")])
        assert (bob.private, bob.private_blocks) == (11, 2)
    finally:
        broadcaster._sender.end()


def test_what_was_for_one_alone_is_counted_no_longer_than_it_waits() -> None:
    """Or one that never quite catches up could have answers by the gigabyte, and then let its room's talk
    pile up by as much."""
    broadcaster = Broadcaster(Limits(behind=1_000_000))
    reader, wire = pair(buffer=4096)
    with wire:
        wire.sock.setblocking(False)
        for _ in range(20):
            broadcaster._deliver([ForOne(reader, b"x" * 100_000)])
            assert 0 < reader.private <= reader.behind + 1
            assert 0 < reader.private_blocks
            while reader.behind > 50_000:
                broadcaster._sender.look_around(0.01)
                with suppress(BlockingIOError):
                    wire.sock.recv(10_000)
        assert 0 < reader.private <= reader.behind + 1 and reader.private_blocks < 2
        broadcaster._deliver([ForRoom("lobby", b"x"), Close(reader, politely=False)])
    broadcaster._sender.end()


# --- who delivers ---


@pytest.mark.parametrize("own", [True, False], ids=["its own thread", "one that rang"])
def test_what_is_said_while_it_falls_asleep_is_heard(own: bool) -> None:
    """Who said it saw it awake, and did not ring."""
    said: list[bytes] = []
    posted = Event()
    broadcaster = Broadcaster(Limits())
    next_batch = broadcaster._next_batch
    to_be_said = [b"hi\n"]

    def last_moment() -> list[Entry]:
        batch = next_batch()
        if to_be_said and (current_thread() is broadcaster._thread) == own:
            said.append(to_be_said.pop())
        return batch

    def post_said() -> None:
        said.clear()
        posted.set()

    broadcaster._next_batch = last_moment  # type: ignore[method-assign]
    broadcaster.collect(said, post_said)
    broadcaster.start()
    if not own:
        deadline = Deadline(SOON)
        while not broadcaster.asleep:
            assert not deadline.passed()
        broadcaster.wake()
    assert posted.wait(SOON)
    broadcaster.stop()
    assert said == []


def test_one_that_has_fallen_asleep_does_not_ring_for_itself() -> None:
    """Another may have claimed the work since; two would deliver."""
    broadcaster = Broadcaster(Limits())

    class Lock:
        """Once it is free, another claims the work."""

        def __enter__(self) -> None:
            pass

        def __exit__(self, *_: object) -> None:
            broadcaster.asleep = False

    broadcaster._lock = cast(threading.Lock, Lock())
    assert broadcaster._deliver_for_all()
    broadcaster._sender.end()


def test_one_thread_at_a_time_delivers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who claims the work looks where the broadcaster sleeps at the same moment: a moment later that may be
    at work for all that was written, and asleep again, with the work there for a second one to claim."""
    broadcaster = Broadcaster(Limits())

    class Claimed:
        """The lock; once it is free, the broadcaster takes another turn and falls asleep at the bell."""

        def __enter__(self) -> None:
            pass

        def __exit__(self, *_: object) -> None:
            broadcaster.asleep = broadcaster._at_the_bell = True

    did: list[str] = []

    def deliver() -> bool:
        did.append("delivered")
        return True

    monkeypatch.setattr(broadcaster, "_lock", Claimed())
    monkeypatch.setattr(broadcaster, "_deliver_for_all", deliver)
    monkeypatch.setattr(broadcaster._sender, "wake", lambda: did.append("woke"))
    broadcaster.asleep, broadcaster._at_the_bell = True, False
    broadcaster.wake()
    broadcaster._sender.end()
    assert did == ["woke"]
