"""One direction of one connection through a link: from a recv of one socket to a send to the other."""

from __future__ import annotations

import random
import socket
from collections import deque
from math import inf
from typing import TYPE_CHECKING

from labkit.instruments.faults import Fault, Freeze, HalfClose, Piece, Reset, Silence, Stage
from labkit.wire import sockets

if TYPE_CHECKING:
    from labkit.instruments.relay import Connection, Direction

FULL = 1024 * 1024
"""Bytes of one direction that a link holds; then it reads no more, and TCP slows the sender."""

FIN = b""
"""How the end of a stream is queued: as the piece that `recv` returns for it."""


class Stream:
    """One direction of one connection: from a recv of `source` to a send to `sink`."""

    def __init__(
        self,
        connection: Connection,
        source: socket.socket,
        sink: socket.socket,
        direction: Direction,
        chance: random.Random,
    ) -> None:
        self.source, self.sink = source, sink
        self.direction = direction
        self.ended = False  # nothing more goes on: FIN has, or the sink is gone
        self.blocked = False  # the sink takes no more just now, or is not connected yet
        self._connection = connection
        self._chance = chance
        self._faults: tuple[Fault, ...] = ()
        self._stages: list[Stage] = []
        self.queue: deque[Piece] = deque()
        self._rest = False  # what is sent next is the rest of a piece
        self._held = 0  # bytes read and not sent
        self._passed = 0  # bytes sent since the faults are these
        self._fin_read = False

    # --- what is wrong with it ---

    def _has(self, kind: type[Fault]) -> bool:
        return any(isinstance(fault, kind) for fault in self._faults)

    @property
    def silent(self) -> bool:
        return self._has(Silence)

    def adopt(self, now: float) -> None:
        """Take over the faults that are set now."""
        if self.direction.faults is self._faults:
            return
        # What the old faults hold back goes on at once: nothing is lost, overtaken, or still late.
        self._flush(now)
        self.queue = deque((min(due, now), data) for due, data in self.queue)
        self._faults = self.direction.faults
        self._stages = [fault.start(self._chance) for fault in self._faults]
        self._passed = 0
        if self._has(HalfClose):
            self.queue.append((now, FIN))

    def _flush(self, now: float) -> None:
        for i, stage in enumerate(self._stages):
            self._enqueue(stage.flush(now), i + 1)

    def reading(self) -> bool:
        if self._fin_read or self._connection.resetting or self._held >= FULL:
            return False
        return not (self._has(Freeze) or self.silent)

    def due(self) -> float:
        """When there is something to send next."""
        if self.silent or self.blocked:
            return inf
        first = self.queue[0][0] if self.queue else inf
        return min([first, *(stage.timer() for stage in self._stages)])

    @property
    def held(self) -> int:
        """Bytes that the link has read and not yet passed on."""
        return self._held

    def last_due(self) -> float:
        return self.queue[-1][0] if self.queue else 0.0

    def drained(self) -> bool:
        """All that was read has arrived, as far as the kernel can tell."""
        return self.ended or (not self.queue and not sockets.unsent(self.sink))

    # --- passing on ---

    def read(self, now: float, buffer: memoryview) -> None:
        self.adopt(now)  # what is sent after `use` has returned meets the new faults
        if not self.reading():
            return  # frozen since the selector reported it
        try:
            size = self.source.recv_into(buffer)
        except BlockingIOError:
            return
        except OSError:
            self._flush(now)
            self._connection.reset_by_peer(self, now)
            return
        self._fin_read = size == 0
        if size and not (self._faults or self.queue or self.ended or self.blocked):
            # A good wire: straight on, without a copy.
            took = self._send_now(buffer[:size])
            size -= took
            if not size or self.ended:
                return
            buffer = buffer[took:]
        self._held += size
        self._enqueue([(now, bytes(buffer[:size]))], 0)

    def _enqueue(self, pieces: list[Piece], first: int) -> None:
        """Put the pieces through the stages from the one numbered `first` on, and in the queue."""
        for stage in self._stages[first:]:
            pieces = stage.shape(pieces)
        self.queue += pieces

    def send(self, now: float) -> None:
        """Send what is due, as far as the sink takes it."""
        if self.silent:
            return
        for i, stage in enumerate(self._stages):
            if stage.timer() <= now:
                self._enqueue(stage.flush(now), i + 1)
        reset = next((fault for fault in self._faults if isinstance(fault, Reset)), None)
        while self.queue and self.queue[0][0] <= now and not self.blocked:
            if reset and self._passed >= reset.after:
                break
            due, data = self.queue.popleft()
            if self.ended:
                self._held -= len(data)  # it goes nowhere
            elif data == FIN:
                self._send_fin()
            else:
                if reset and len(data) > reset.after - self._passed:
                    self.queue.appendleft((due, data[reset.after - self._passed :]))
                    data = data[: reset.after - self._passed]
                self._send_bytes(due, data)
        if reset and self._passed >= reset.after and not self._connection.resetting:
            self.queue.clear()
            self._connection.reset_by_link(now)

    def _send_bytes(self, due: float, data: bytes) -> None:
        took = self._send_now(data)
        self._held -= took
        self._passed += took
        if took < len(data) and not self.ended:
            self.queue.appendleft((due, data[took:]))

    def _send_now(self, data: bytes | memoryview) -> int:
        """Send what the sink takes; how much that was. The rest must be the next to be sent."""
        if self._rest:
            self._rest = False  # recorded with what went before it
        else:
            # Before it is sent: its receiver must not be ahead of the journal.
            self._connection.passes(self, data)
        try:
            took = sockets.send_now(self.sink, data)
        except OSError:
            # The peer is gone, and answers with RST.
            self.ended = True
            self.queue.clear()
            self._connection.sink_is_gone(self)
            return 0
        self.blocked = self._rest = took < len(data)
        return took

    def _send_fin(self) -> None:
        self.ended = True
        self._connection.passes(self, FIN)
        sockets.shut(self.sink, socket.SHUT_WR)
