"""Servers that are made wrong, each in one way, for the checker to catch.

Each is labkit's own server with one thing changed: mostly in `_post` of its hub, where what the rooms
decided is handed over to be delivered. `BROKEN` lists them, each with the complaints that it must lead to;
others must not be made.

They are wrong now and then, and not always: a checker that only notices what is always wrong would be of
no use. They count it: what is said in a run is chance, and one in which nothing went wrong proves nothing.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from chaos.hosts import SmallBuffers
from chaos.verdict import Kind
from labkit.server.connection import ServerConnection
from labkit.server.hub import LocalHub
from labkit.server.rooms import Delivery, Enters, Refusal, Spoken, ToOne, ToRoom
from labkit.wire.messages import (
    HUNG_UP,
    VANISHED,
    FromClient,
    Joined,
    Left,
    Moved,
    Other,
    Reason,
    Renamed,
    Said,
    Say,
    Speech,
    Whispered,
)

Deliveries = list[Delivery[ServerConnection]]

WRONGS = 5
"""How often a server is to do wrong in a run: of one who went a moment later, less can be known."""


class BrokenHub(LocalHub):
    """What they share: they look at what is to be delivered, one after the other, under the hub's lock."""

    turn = 0  # what has been said so far
    wrongs = 0  # how often it has done wrong

    @property
    def has_shown(self) -> bool:
        """It has done wrong often enough; or it never will."""
        return self.wrongs >= WRONGS or type(self) is BrokenHub

    def _speak(self, spoken: list[Spoken[ServerConnection]]) -> None:
        self._post([ToRoom(p.room.name, Speech(p.nickname, lines), p.who) for p, _, lines, _ in spoken])

    def _post(self, deliveries: Deliveries, may_wait: bool = False) -> None:
        changed: Deliveries = []
        for delivery in deliveries:
            if isinstance(delivery, ToRoom) and isinstance(delivery.message, Said | Speech):
                self.turn += 1
            instead = self.change(delivery)
            self.wrongs += instead != [delivery]
            changed += instead
        super()._post(changed, may_wait)

    def change(self, delivery: Delivery[ServerConnection]) -> Deliveries:
        """What is delivered instead."""
        return [delivery]

    def now_and_then(self, delivery: Delivery[ServerConnection], every: int = 15) -> bool:
        """It is something said, and the turn of the wrong to be done."""
        return (
            isinstance(delivery, ToRoom)
            and isinstance(delivery.message, Said | Speech)
            and self.turn % every == 0
        )

    def members(self, room: str) -> list[ServerConnection]:
        return [person.who for person in self._rooms.people() if person.room.name == room]


class LosesALine(BrokenHub):
    """Two talk at once, and the line of one of them is lost."""

    last: ServerConnection | None = None

    def change(self, delivery: Delivery[ServerConnection]) -> Deliveries:
        if not self.now_and_then(delivery):
            return [delivery]
        assert isinstance(delivery, ToRoom)
        other, self.last = self.last is not delivery.but, delivery.but
        return [] if other else [delivery]


class SkipsOne(BrokenHub):
    """One of those in the room does not get the line."""

    def change(self, delivery: Delivery[ServerConnection]) -> Deliveries:
        if not self.now_and_then(delivery):
            return [delivery]
        assert isinstance(delivery, ToRoom)
        hearers = [who for who in self.members(delivery.room) if who is not delivery.but]
        return [ToOne(who, delivery.message) for who in hearers[:-1]]


class RepeatsAfterARename(BrokenHub):
    """A client that took another nickname hears the next line twice: it is on the list twice."""

    renamed: ServerConnection | None = None

    def change(self, delivery: Delivery[ServerConnection]) -> Deliveries:
        if isinstance(delivery, ToRoom) and isinstance(delivery.message, Renamed):
            self.renamed = delivery.but
        elif isinstance(delivery, ToRoom) and isinstance(delivery.message, Said | Speech):
            who, self.renamed = self.renamed, None
            if who in self._rooms and who is not delivery.but and who in self.members(delivery.room):
                return [delivery, ToOne(who, delivery.message)]
        return [delivery]


class TwoOrders(BrokenHub):
    """One line overtakes another, for one listener only."""

    held: ToRoom[ServerConnection] | None = None

    def change(self, delivery: Delivery[ServerConnection]) -> Deliveries:
        held, self.held = self.held, None
        if held is not None and isinstance(delivery, ToRoom) and delivery.room == held.room:
            rest = [who for who in self.members(held.room) if who is not held.but]
            last = rest.pop() if rest and rest[-1] is not delivery.but else None
            early: Deliveries = [ToOne(who, held.message) for who in rest]
            return [*early, delivery, *([ToOne(last, held.message)] if last else [])]
        if held is not None:
            return [held, delivery]
        if self.now_and_then(delivery):
            assert isinstance(delivery, ToRoom)
            self.held = delivery
            return []
        return [delivery]

    def _post(self, deliveries: Deliveries, may_wait: bool = False) -> None:
        super()._post(deliveries, may_wait)
        if self.held is not None and len(deliveries) > 1:  # no client may wait for it in vain
            held, self.held = self.held, None
            super(BrokenHub, self)._post([held])


class Echoes(BrokenHub):
    """The sender hears it as well."""

    def change(self, delivery: Delivery[ServerConnection]) -> Deliveries:
        if self.now_and_then(delivery):
            assert isinstance(delivery, ToRoom)
            return [ToRoom(delivery.room, delivery.message, None)]
        return [delivery]


class Leaks(BrokenHub):
    """A line is heard in another room too: by the client that moved out last."""

    moved: tuple[ServerConnection, str] | None = None

    def change(self, delivery: Delivery[ServerConnection]) -> Deliveries:
        if isinstance(delivery, ToRoom) and isinstance(delivery.message, Moved):
            assert delivery.but is not None
            self.moved = (delivery.but, delivery.room)
        elif isinstance(delivery, ToRoom) and isinstance(delivery.message, Said | Speech) and self.moved:
            who, room = self.moved
            if room == delivery.room and who in self._rooms and self._rooms.room(who) != room:
                self.moved = None
                return [delivery, ToOne(who, delivery.message)]
        return [delivery]


class NewcomersAreLate(BrokenHub):
    """A newcomer hears the room only from the second line on."""

    def change(self, delivery: Delivery[ServerConnection]) -> Deliveries:
        if isinstance(delivery, ToRoom) and isinstance(delivery.message, Said | Speech):
            late = [who for who in self.members(delivery.room) if getattr(who, "late", False)]
            for who in late:
                who.late = False  # type: ignore[attr-defined]
            late = [who for who in late if who is not delivery.but]
            leaves: Deliveries = [Enters(who, None) for who in late]
            return [*leaves, delivery, *[Enters(who, delivery.room) for who in late]]
        return [delivery]

    def join(self, client: ServerConnection, nickname: str) -> None:
        super().join(client, nickname)
        with self.lock:
            client.late = not nickname.startswith("w")  # type: ignore[attr-defined]


class LeavesTwice(BrokenHub):
    """Two threads notice that a client vanished, and both tell."""

    def change(self, delivery: Delivery[ServerConnection]) -> Deliveries:
        if isinstance(delivery, ToRoom) and isinstance(delivery.message, Left):
            return [delivery] * (1 + (delivery.message.reason == VANISHED))
        return [delivery]


class WrongReason(BrokenHub):
    """A reset is taken for a goodbye."""

    def leave(self, client: ServerConnection, reason: Reason) -> None:
        super().leave(client, HUNG_UP if reason == VANISHED else reason)
        self.wrongs += reason == VANISHED


class LeavesUntold(BrokenHub):
    """A client that vanished is taken off the roster, and no other is told."""

    def change(self, delivery: Delivery[ServerConnection]) -> Deliveries:
        if isinstance(delivery, ToRoom) and isinstance(delivery.message, Left):
            return [] if delivery.message.reason == VANISHED else [delivery]
        return [delivery]


class JoinsTwice(BrokenHub):
    """A client that comes from another room is announced twice."""

    def change(self, delivery: Delivery[ServerConnection]) -> Deliveries:
        if (
            isinstance(delivery, ToRoom)
            and isinstance(delivery.message, Joined)
            and delivery.room != "lobby"
        ):
            return [delivery, delivery]
        return [delivery]


class WhispersAloud(BrokenHub):
    """A whisper is heard by one more."""

    def change(self, delivery: Delivery[ServerConnection]) -> Deliveries:
        if isinstance(delivery, ToOne) and isinstance(delivery.message, Whispered):
            others = [p.who for p in self._rooms.people() if p.who is not delivery.who]
            return [delivery, *[ToOne(who, delivery.message) for who in others[-1:]]]
        return [delivery]


class Trusts(BrokenHub):
    """What looks like a notice is passed on as one: without the nickname before it."""

    def change(self, delivery: Delivery[ServerConnection]) -> Deliveries:
        if isinstance(delivery, ToRoom) and isinstance(delivery.message, Said):
            text = delivery.message.text
            if text.startswith("* "):
                return [ToRoom(delivery.room, Other(text), delivery.but)]
        elif isinstance(delivery, ToRoom) and isinstance(delivery.message, Speech):
            if any(text.startswith("* ") for text in delivery.message.texts):
                said = [Said(delivery.message.who, text) for text in delivery.message.texts]
                return [d for one in said for d in self.change(ToRoom(delivery.room, one, delivery.but))]
        return [delivery]


class KeepsNicknames(BrokenHub):
    """The nickname of one who vanished stays taken."""

    def leave(self, client: ServerConnection, reason: Reason) -> None:
        with self.lock:
            person = next((p for p in self._rooms.people() if p.who is client), None)
        super().leave(client, reason)
        if person is not None and reason == VANISHED:
            with self.lock:
                self._rooms._names[person.nickname.lower()] = person
            self.wrongs += 1


class ThrowsOut(BrokenHub):
    """A client is thrown out for what it says."""

    def do(self, client: ServerConnection, asked: Sequence[FromClient | Refusal]) -> None:
        super().do(client, asked)
        if any(isinstance(what, Say) and "\ufffd" in what.text for what in asked):
            self.wrongs += 1
            raise ValueError("not UTF-8")


class LeaksThreads(BrokenHub):
    """A thread of one who vanished never ends; until the server stops."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.released = threading.Event()
        self.left: list[threading.Thread] = []

    def leave(self, client: ServerConnection, reason: Reason) -> None:
        super().leave(client, reason)
        if reason == VANISHED:
            thread = threading.Thread(target=self.released.wait, name="labkit-left-behind", daemon=True)
            self.left.append(thread)
            thread.start()
            self.wrongs += 1

    def stop(self) -> None:
        self.released.set()
        super().stop()
        for thread in self.left:
            thread.join()


class LeaksDescriptors(BrokenHub):
    """A descriptor for each one who vanished stays open; until the server stops."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.left: list[int] = []

    def leave(self, client: ServerConnection, reason: Reason) -> None:
        super().leave(client, reason)
        if reason == VANISHED:
            self.left.append(os.open(os.devnull, os.O_RDONLY))
            self.wrongs += 1

    def stop(self) -> None:
        super().stop()
        while self.left:
            os.close(self.left.pop())


class Broken(SmallBuffers):
    """A server with one of these hubs; a thread that dies says nothing on stderr."""

    _hub: BrokenHub

    @property
    def has_shown(self) -> bool:
        return self._hub.has_shown

    def handle_client(self, client: ServerConnection) -> None:
        with suppress(ValueError):
            super().handle_client(client)


def with_hub(hub: type[BrokenHub]) -> type[Broken]:
    return type(hub.__name__, (Broken,), {"hub_class": hub, "__doc__": hub.__doc__})


BROKEN: dict[type[BrokenHub], set[Kind]] = {
    LosesALine: {Kind.LOST},
    SkipsOne: {Kind.LOST},
    RepeatsAfterARename: {Kind.TWICE},
    TwoOrders: {Kind.ORDER},
    Echoes: {Kind.OWN},
    Leaks: {Kind.LEAK},
    NewcomersAreLate: {Kind.LOST},
    LeavesTwice: {Kind.TWICE},
    WrongReason: {Kind.REASON},
    LeavesUntold: {Kind.LOST},
    JoinsTwice: {Kind.TWICE},
    WhispersAloud: {Kind.WHISPER},
    Trusts: {Kind.FORGED, Kind.LOST},  # and what was said in fact was not heard
    KeepsNicknames: {Kind.TAKEN},
    ThrowsOut: {Kind.THROWN_OUT},
    LeaksThreads: {Kind.LEFT_BEHIND},
    LeaksDescriptors: {Kind.LEFT_BEHIND},
}
"""Each with the kinds of complaint that it must lead to."""

ALSO: dict[type[BrokenHub], set[Kind]] = {
    KeepsNicknames: {Kind.ANSWER},  # who asks for one of them is refused, for no reason
    LeavesUntold: {Kind.ANSWER},  # to /who: by what was told, they are still here
    ThrowsOut: {Kind.REASON, Kind.LOST, Kind.FORGED},  # what it had sent and was not read, /nick, say
    TwoOrders: {Kind.LOST},  # by a client that leaves while the line is held back
}
"""Complaints that are right, too, and not made each time."""
