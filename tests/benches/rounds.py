"""What the benches share: a server on the first processor, and on the second clients that talk in rounds.

In each round every talker sends its lines in one `send`; the round is over when every client has every line
of the others. A delivery is one line that reached one client.
"""

from __future__ import annotations

import contextlib
import math
import os
import selectors
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Self

from labkit.probe import children

Address = tuple[str, int]

MARK = b"|"  # stands in lines of a round that are counted, and in nothing else; no recv cuts it in two
AT_ONCE = 262_144  # bytes of a recv
TIME_LIMIT = 60.0  # seconds for a round, and for the last client to be in

# Those of the start: one who keeps to one of them would later find no other.
PROCESSORS = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


@contextlib.contextmanager
def on_processor(number: int) -> Iterator[None]:
    """Keep this thread, and what it starts meanwhile, to one processor, where the system can."""
    if len(PROCESSORS) < 2:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {PROCESSORS[number]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def running(command: list[str]) -> Iterator[tuple[Address, int]]:
    """The address of a server that runs this command on the first processor, and its process's number."""
    children.mark_all()
    with on_processor(0):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        host, colon, port = said.removeprefix("listening on ").strip().rpartition(":")
        if not colon:
            raise SystemExit(f"{' '.join(command)} does not say where it listens, but {said!r}")
        yield (host, int(port)), process.pid
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def join(address: Address, nickname: str) -> socket.socket:
    sock = socket.create_connection(address, timeout=10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not sock.recv(64).startswith(b"nickname"):
        raise SystemExit("the server did not ask for a nickname")
    sock.sendall(nickname.encode() + b"\n")
    return sock


class Room:
    """So many clients of one server. While they are in, this thread keeps to the second processor."""

    def __init__(self, address: Address, clients: int) -> None:
        self._open = contextlib.ExitStack()
        self._selector = self._open.enter_context(selectors.DefaultSelector())
        self._address = address
        self._clients = clients
        self._socks: list[socket.socket] = []
        self._data = bytearray(
            AT_ONCE
        )  # of one recv; to make a new one each time would take longer than to count

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undone:
            undone.push(self._open)
            self._open.enter_context(on_processor(1))
            for number in range(self._clients):
                sock = self._open.enter_context(join(self._address, f"client{number:04}"))
                self._socks.append(sock)
            self._wait_until_all_are_in()
            for number, sock in enumerate(self._socks):
                sock.setblocking(False)
                self._selector.register(sock, selectors.EVENT_READ, number)
            undone.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _wait_until_all_are_in(self) -> None:
        """The last to join speaks until the first hears it: the assignment's server has no other sign."""
        give_up = time.perf_counter() + TIME_LIMIT
        first, last = self._socks[0], self._socks[-1]
        first.settimeout(0.1)
        heard = b""
        while b"all in" not in heard:
            last.sendall(b"all in\n")
            with contextlib.suppress(TimeoutError):
                heard += first.recv(AT_ONCE)
            if time.perf_counter() > give_up:
                raise SystemExit(f"the last client is not heard after {TIME_LIMIT:g} s")

    def talk(
        self,
        talkers: int,
        lines: int,
        *,
        rounds: float = math.inf,
        seconds: float = math.inf,
        ahead: int = 0,
        each_line: bool = True,
    ) -> tuple[int, float]:
        """Do so many rounds, or as many as begin within so many seconds.

        Args:
            talkers: how many of the clients talk, the first of them.
            lines: what each says in a round.
            ahead: a round begins when no more deliveries are missing than so many rounds have. 0: when the
                one before is over.
            each_line: count each line. If not, the last of each talker's in a round, which comes after the
                others, and the bytes: of a fast server the load would do little else than count.

        Returns:
            The deliveries, and the seconds that they took.

        Raises:
            SystemExit: the server hung up, a round takes too long, or a client did not hear all that was
                meant for it, or more.
        """
        marks = [MARK if each_line or n == lines - 1 else b"." for n in range(lines)]
        bursts = [
            b"".join(b"round line %02d %s of %3d\n" % (n, mark, i) for n, mark in enumerate(marks))
            for i in range(talkers)
        ]
        for_one = lines // marks.count(MARK)  # lines that a mark stands for
        of_a_round = talkers * lines * (len(self._socks) - 1)
        heard, received = [0] * len(self._socks), [0] * len(self._socks)
        said = missing = 0
        give_up = math.inf
        start = time.perf_counter()
        while True:
            while said < rounds and missing <= ahead * of_a_round and time.perf_counter() - start < seconds:
                for sock, burst in zip(self._socks, bursts, strict=False):
                    sock.sendall(burst)
                said += 1
                missing += of_a_round
                give_up = time.perf_counter() + TIME_LIMIT
            if missing <= 0:
                break
            missing -= for_one * self._receive(heard, received)
            if time.perf_counter() > give_up:
                raise SystemExit(f"{missing} deliveries are missing after {TIME_LIMIT:g} s")
        took = time.perf_counter() - start
        others = [
            said * (talkers - (i < talkers)) for i in range(len(heard))
        ]  # bursts that each is to hear
        if [for_one * count for count in heard] != [lines * count for count in others]:
            raise SystemExit("a client heard what was not meant for it")
        if any(size < count * len(bursts[0]) for size, count in zip(received, others, strict=True)):
            raise SystemExit("a client did not hear all that was meant for it")
        return said * of_a_round, took

    def _receive(self, heard: list[int], received: list[int]) -> int:
        """Count the marks that have come, and the bytes, for each client. Returns the marks of all."""
        together = 0
        for key, _ in self._selector.select(1.0):
            sock, number = key.fileobj, key.data
            assert isinstance(sock, socket.socket)
            size = sock.recv_into(self._data)
            if not size:
                raise SystemExit("the server hung up on a client")
            count = self._data.count(MARK, 0, size)
            heard[number] += count
            received[number] += size
            together += count
        return together


def deliveries_a_second(address: Address, clients: int, talkers: int, lines: int, rounds: int) -> float:
    """One repeat: connect all clients, do the rounds, and leave."""
    with Room(address, clients) as room:
        room.talk(talkers, lines, rounds=1)  # to warm up
        deliveries, seconds = room.talk(talkers, lines, rounds=rounds)
    return deliveries / seconds
