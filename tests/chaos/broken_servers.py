"""Servers that do not hold out against guests.py, strangers.py, stops.py and memory.py, by one fault each.

They run in processes of their own (serve.py), whose stop, processor time and memory are looked at.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import redis

from chaos.broken import BrokenHub, Deliveries
from chaos.hosts import SmallBuffers
from chaos.people import Plan
from chaos.stops import Way
from chaos.verdict import Kind
from labkit import Limits
from labkit.server import backlog, handshake, sender
from labkit.server import server as server_module
from labkit.server.broadcaster import Broadcaster
from labkit.server.client_loop import ClientLoop
from labkit.server.connection import Disconnected, ServerConnection
from labkit.server.rooms import Delivery, ToOne, ToRoom
from labkit.wire import sockets
from labkit.wire.messages import HUNG_UP, TOO_SLOW, Said, Speech

Outboxes = list[sender.Outbox]


class NeverStops(SmallBuffers):
    """A client that never pauses is never told apart from one that has still something to say."""

    def start(self) -> NeverStops:
        ClientLoop._look_around = lambda self, client: None  # type: ignore[method-assign]
        self._hub.holds = lambda client: False  # type: ignore[method-assign]
        super().start()
        return self


class StrangersHaveTime(SmallBuffers):
    """The handshake's clock is the kernel's alone, which waits while there is something to read."""

    def start(self) -> StrangersHaveTime:
        handshake.monotonic = lambda: 0.0  # type: ignore[attr-defined]
        super().start()
        return self


class StrangersHaveLines(SmallBuffers):
    """An empty line is a sign of life, and a stranger may give as many as it likes."""

    def start(self) -> StrangersHaveLines:
        handshake.HEARTBEATS = 1 << 60
        super().start()
        return self


class StrangersAskAgain(SmallBuffers):
    """A nickname that is refused may be followed by any number of others."""

    def start(self) -> StrangersAskAgain:
        handshake.range = lambda *_: iter(lambda: 2, None)  # type: ignore[attr-defined]
        super().start()
        return self


class AnswersHoldTheRoom(SmallBuffers):
    """What a client asked for itself counts as what its room has said to it."""

    def _new_broadcaster(self) -> Broadcaster:
        broadcaster = super()._new_broadcaster()
        held = broadcaster._sender.held

        def all_by_the_room() -> tuple[Outboxes, Outboxes]:
            far, _ = held()
            return far, far

        broadcaster._sender.held = all_by_the_room  # type: ignore[method-assign]
        return broadcaster


class ThrowsOutSippers(SmallBuffers):
    """Who has not taken all for as long as `grace` is taken for one that takes nothing."""

    def _new_broadcaster(self) -> Broadcaster:
        broadcaster = super()._new_broadcaster()
        looks = broadcaster._sender._let_go_if_too_slow
        since: dict[sender.Outbox, float] = {}
        waiting = broadcaster._sender._waiting

        def look(outbox: sender.Outbox, now: float) -> None:
            for gone in since.keys() - waiting.keys():
                del since[gone]
            if now - since.setdefault(outbox, now) > self.limits.grace:
                with broadcaster.telling:
                    outbox.failed = TOO_SLOW
                sockets.reset_on_close(outbox.sock)
                broadcaster._sender._give_up(outbox)
            else:
                looks(outbox, now)

        broadcaster._sender._let_go_if_too_slow = look  # type: ignore[method-assign]
        return broadcaster


class CountsBytesAlone(SmallBuffers):
    """Of what waits, the bytes are counted, and not what it costs to keep them."""

    def start(self) -> CountsBytesAlone:
        for module in (backlog, sender):
            module.BLOCK_COSTS = module.PIECE_COSTS = 0  # type: ignore[attr-defined]
        super().start()
        return self


class ForgetsTheUnread(SmallBuffers):
    """A client that has hung up is gone, whatever of what it said waits for its turn."""

    def start(self) -> ForgetsTheUnread:
        paced = ServerConnection.paced

        def impatient(self: ServerConnection, said: list[Any], ending: threading.Event) -> Any:
            for part in paced(self, said, ending):
                if sockets.ended_by(self.sock) is not None:
                    raise Disconnected(HUNG_UP)
                yield part

        ServerConnection.paced = impatient  # type: ignore[method-assign]
        super().start()
        return self


class StopsOnce(SmallBuffers):
    """A stop that was interrupted counts as done; and it goes on until it is interrupted."""

    asked = False

    def start(self) -> StopsOnce:
        server_module.LAST_WORDS = 60.0
        super().start()
        return self

    def stop(self) -> None:
        if not self.asked:
            self.asked = True
            self._stop()


class LeavesTheSelector(SmallBuffers):
    """A descriptor is still open after the stop."""

    def _new_broadcaster(self) -> Broadcaster:
        broadcaster = super()._new_broadcaster()
        self.kept = broadcaster._sender._selector
        self.kept.close = lambda: None  # type: ignore[method-assign]
        return broadcaster


class KeepsOneBack(BrokenHub):
    """The first who came to a room hears a line at once, the others when the next thing happens there."""

    kept: Deliveries = []

    def change(self, delivery: Delivery[ServerConnection]) -> Deliveries:
        if not isinstance(delivery, ToRoom):
            return [delivery]
        before, self.kept = self.kept, []
        if isinstance(delivery.message, Said | Speech):
            hearers = [who for who in self.members(delivery.room) if who is not delivery.but]
            if hearers:
                self.kept = [ToOne(who, delivery.message) for who in hearers[1:]]
                return [*before, ToOne(hearers[0], delivery.message)]
        return [*before, delivery]


class LosesTheLastLine(SmallBuffers):
    """It says goodbye before all has been heard that was said."""

    hub_class = KeepsOneBack


class WaitsForRedis(SmallBuffers):
    """A stop waits until Redis answers."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._redis = redis.Redis.from_url(options["backplane"], socket_timeout=60.0)

    def _stop(self) -> None:
        self._redis.ping()
        super()._stop()


GUESTS = Plan(people=12, deliveries=4000, ends=5, links=0, slow=False, thorough=True)
MUCH = replace(GUESTS.limits, behind=2 * 1024 * 1024)  # answers to many commands may wait
STOPPED = replace(GUESTS, limits=MUCH, pipeliners=2, hoarders=1, sippers=1, thorough=False)
STRANGERS = replace(
    GUESTS, strangers=3, deliveries=1000, limits=Limits(handshake=5.0, silence=20.0, grace=15.0)
)
SIPPERS = replace(GUESTS, sippers=2, limits=replace(GUESTS.limits, grace=1.0, behind=2 * 1024 * 1024))
PACED = replace(
    GUESTS, deliveries=3000, limits=replace(GUESTS.limits, messages=100.0, grace=15.0, silence=20.0)
)

FAULTS: dict[type[SmallBuffers], tuple[Plan, Way | None, set[Kind]]] = {
    NeverStops: (STOPPED, Way.ASKED, {Kind.STUCK}),
    StopsOnce: (STOPPED, Way.INTERRUPTED, {Kind.LEFT_BEHIND}),
    LeavesTheSelector: (STOPPED, Way.ASKED, {Kind.LEFT_BEHIND}),
    LosesTheLastLine: (replace(STOPPED, pipeliners=0), Way.ASKED, {Kind.LOST}),
    WaitsForRedis: (STOPPED, Way.REDIS_HANGS, {Kind.STUCK}),
    StrangersHaveTime: (
        replace(STRANGERS, limits=replace(STRANGERS.limits, handshake=1.0)),
        None,
        {Kind.UNBOUNDED},
    ),
    StrangersHaveLines: (STRANGERS, None, {Kind.UNBOUNDED}),
    StrangersAskAgain: (STRANGERS, None, {Kind.UNBOUNDED}),
    AnswersHoldTheRoom: (replace(GUESTS, hoarders=1), None, {Kind.HELD}),
    ThrowsOutSippers: (SIPPERS, None, {Kind.THROWN_OUT}),
    ForgetsTheUnread: (PACED, None, {Kind.LOST}),
}
"""Each with the plan that shows it, how the server is stopped if that is where it fails, and the complaints
that it must lead to."""
