"""The server through real sockets, beside Rooms (rooms.py) told the same: each client hears the same.

Hypothesis plays: people come, talk, whisper, take other names, change rooms, and leave in three ways, in
any order. After each step every connected client must have heard exactly what Rooms says
it hears, in that order, and nothing else. No client waits for what may not come: each asks the server one
thing more, and what comes before the answer is all there is.
"""

from __future__ import annotations

import socket
from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from support import Wire

from labkit import ChatServer
from labkit.server.rooms import Delivery, Enters, Refusal, Rooms, ToOne
from labkit.wire.messages import (
    HUNG_UP,
    QUIT,
    VANISHED,
    BadCommand,
    Quit,
    Refused,
    Rename,
    Say,
    Whisper,
    from_client,
)

NICKNAMES = [
    "alice",
    "Alice",
    "bob",
    "böb",
    "Ａｌｉｃｅ",
    "карл",
    "x" * 32,
    "x" * 33,
    "no one",
    "*eve",
    "a:b",
]
ROOMS = ["lobby", "LOBBY", "tea", "Tea", "#no", "two words", "карл"]
TEXTS = [
    "hello",
    "* alice left (quit)",
    "! you are out",
    "nickname",
    "//quit",
    "\x1b[2J",
    "a\0b\rc",
    "y" * 4090,
    "/me waves",
    "/who",
    "/help",
    "/nonsense",
    "/msg bob",
    "",
]
OBSERVER = 0  # always here, to tell when a reset was noticed


class Machine(RuleBasedStateMachine):
    """A server and Rooms, told the same."""

    def __init__(self) -> None:
        super().__init__()
        self.server = ChatServer(port=0).start()
        self.rooms: Rooms[int] = Rooms()
        self.wires: dict[int, Wire] = {}
        self.hears: dict[int, str] = {}  # in which room, as the deliveries of Rooms have told
        self.due: dict[int, list[str]] = {}  # what each is to hear next
        self.numbers = count()
        self.probes = count()
        self.come("observer")

    def teardown(self) -> None:
        for wire in self.wires.values():
            wire.close()
        self.server.stop()
        assert self.server.roster() == []

    # --- what Rooms says that each client hears ---

    def carry_out(self, deliveries: list[Delivery[int]]) -> None:
        for delivery in deliveries:
            if isinstance(delivery, Enters):
                if delivery.room is None:
                    self.hears.pop(delivery.who, None)
                else:
                    self.hears[delivery.who] = delivery.room
            elif isinstance(delivery, ToOne):
                self.due[delivery.who].append(delivery.message.line())
            else:
                for who, room in self.hears.items():
                    if room == delivery.room and who != delivery.but:
                        self.due[who] += delivery.message.line().split("\n")

    def tell(self, who: int, line: str) -> None:
        """Tells Rooms and the server the same."""
        try:
            asked = from_client(line)
            if line:
                self.carry_out(self.rooms.do(who, asked))
        except (Refusal, BadCommand) as no:
            self.due[who].append(Refused(str(no)).line())
        self.wires[who].send(line)

    def all_heard_just_this(self, *first: int) -> None:
        """The one who did something asks first: when it has its answer, all others have theirs as well."""
        for who in [*first, *(who for who in self.wires if who not in first)]:
            name = f"nobody.{next(self.probes)}"
            self.wires[who].send(Whisper(name, "?").line())
            heard = self.wires[who].until(f"! nobody here is called {name}")
            assert heard[:-1] == self.due[who], f"{self.rooms.nickname(who)} (number {who})"
            self.due[who].clear()
        here = [(person.nickname, person.room.name) for person in self.rooms.people()]
        assert [(person.nickname, person.room) for person in self.server.present()] == here

    def any_client(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.wires)[1:]))

    # --- what people do ---

    def come(self, nickname: str) -> None:
        who, wire = next(self.numbers), Wire(self.server.address)
        wire.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or a second send waits 40 ms
        assert wire.line() == "nickname"
        wire.send(nickname)
        self.due[who] = []
        try:
            self.carry_out(self.rooms.join(who, nickname))
        except Refusal as refusal:
            assert wire.lines(2) == [Refused(str(refusal)).line(), "nickname"]
            wire.close()
            del self.due[who]
            return self.all_heard_just_this()
        self.wires[who] = wire
        self.all_heard_just_this(who)

    @precondition(lambda self: len(self.wires) < 6)
    @rule(nickname=st.sampled_from(NICKNAMES))
    def a_client_comes(self, nickname: str) -> None:
        self.come(nickname)

    @precondition(lambda self: len(self.wires) > 1)
    @rule(data=st.data(), text=st.sampled_from(TEXTS))
    def say(self, data: st.DataObject, text: str) -> None:
        who = self.any_client(data)
        self.tell(who, text)
        self.all_heard_just_this(who)

    @precondition(lambda self: len(self.wires) > 1)
    @rule(data=st.data(), texts=st.lists(st.sampled_from(TEXTS[:8]), min_size=2, max_size=5))
    def say_in_one_breath(self, data: st.DataObject, texts: list[str]) -> None:
        who = self.any_client(data)
        wire, sent = self.wires[who], []
        for text in texts:
            try:
                self.carry_out(self.rooms.do(who, from_client(text)))
            except Refusal as no:
                self.due[who].append(Refused(str(no)).line())
            sent.append(text)
        wire.send(*sent)
        self.all_heard_just_this(who)

    @precondition(lambda self: len(self.wires) > 1)
    @rule(data=st.data(), to=st.sampled_from(NICKNAMES), text=st.sampled_from(TEXTS[:5]))
    def whisper(self, data: st.DataObject, to: str, text: str) -> None:
        who = self.any_client(data)
        self.tell(who, f"/msg {to} {text}")
        self.all_heard_just_this(who)

    @precondition(lambda self: len(self.wires) > 1)
    @rule(data=st.data(), new=st.sampled_from(NICKNAMES))
    def rename(self, data: st.DataObject, new: str) -> None:
        who = self.any_client(data)
        self.tell(who, Rename(new).line())
        self.all_heard_just_this(who)

    @precondition(lambda self: len(self.wires) > 1)
    @rule(data=st.data(), room=st.sampled_from(ROOMS))
    def move(self, data: st.DataObject, room: str) -> None:
        who = self.any_client(data)
        self.tell(who, f"/join {room}")
        self.all_heard_just_this(who)

    @precondition(lambda self: len(self.wires) > 1)
    @rule(data=st.data(), last=st.sampled_from([None, "goodbye"]))
    def quit(self, data: st.DataObject, last: str | None) -> None:
        who = self.any_client(data)
        self.speak_last(who, last, Quit().line())
        self.gone(who, QUIT)

    @precondition(lambda self: len(self.wires) > 1)
    @rule(data=st.data(), last=st.sampled_from([None, "goodbye"]))
    def hang_up(self, data: st.DataObject, last: str | None) -> None:
        who = self.any_client(data)
        self.speak_last(who, last)
        self.wires[who].hang_up()
        self.gone(who, HUNG_UP)

    @precondition(lambda self: len(self.wires) > 1)
    @rule(data=st.data())
    def vanish(self, data: st.DataObject) -> None:
        who = self.any_client(data)
        nickname = self.rooms.nickname(who)
        self.wires.pop(who).reset()
        observer = self.wires[OBSERVER]
        refused = f"! nobody here is called {nickname}"
        # Until the server has noticed: each question waits for its answer, which comes either way.
        early: list[str] = []
        while not early or refused not in early:
            name = f"nobody.{next(self.probes)}"
            observer.send(Whisper(nickname, "?").line(), Whisper(name, "?").line())
            early += observer.until(f"! nobody here is called {name}")[:-1]
        early.remove(refused)
        self.carry_out(self.rooms.leave(who, VANISHED))
        assert early == self.due[OBSERVER]
        self.due[OBSERVER].clear()
        del self.due[who]
        self.all_heard_just_this()

    def speak_last(self, who: int, *lines: str | None) -> None:
        said = [line for line in lines if line is not None]
        for line in said:
            if line != Quit().line():
                self.carry_out(self.rooms.do(who, Say(line)))
        if said:
            self.wires[who].send(*said)

    def gone(self, who: int, reason: str) -> None:
        """It reads to the end: FIN comes after its leaving."""
        wire = self.wires.pop(who)
        assert wire.to_the_end() == self.due.pop(who)
        wire.close()
        self.carry_out(self.rooms.leave(who, reason))
        self.all_heard_just_this()


TestMachine = Machine.TestCase
TestMachine.settings = settings(settings(), max_examples=60, stateful_step_count=40)
TestMachine.__doc__ = "Whatever people do, clients hear the same from the server as from Rooms."
