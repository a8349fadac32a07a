"""The backplane: several servers, one conversation. When something is away: test_backplane_away.py."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from time import monotonic
from typing import Any, cast

import pytest
from support import SOON, Wire

from labkit import RAW, ChatClient, ChatServer, Limits
from labkit.client import NicknameRefused
from labkit.instruments.redis_server import RedisServer
from labkit.server.backplane import RedisHub
from labkit.server.backplane.contact import Contact
from labkit.server.backplane.log import Entry, Exits, Member, SharedRoom, changes_of
from labkit.server.backplane.scripts import ENTRY
from labkit.server.backplane.store import Store
from labkit.server.rooms import ToRoom
from labkit.wire.messages import BACK, CUT_OFF, Joined, Left, Renamed, Said


@pytest.fixture
def two(redis: RedisServer) -> Iterator[tuple[ChatServer, ChatServer]]:
    """Two servers that share their rooms."""
    with ChatServer(port=0, backplane=redis.url) as one, ChatServer(port=0, backplane=redis.url) as other:
        yield one, other


Two = tuple[ChatServer, ChatServer]


def ask(redis: RedisServer) -> Store:
    """Another client of this Redis. Closed when the Redis is."""
    store = Store(redis.url, 5.0)
    _asking.append(store)
    return store


_asking: list[Store] = []


@pytest.fixture(autouse=True)
def stores_are_closed() -> Iterator[None]:
    yield
    while _asking:
        _asking.pop().close()


def room_memory(store: Store) -> int:
    """Bytes that the lobby takes there."""
    used = store._turns.memory_usage("labkit:room:lobby", samples=0)  # all of it, and no guess
    assert used is not None
    return int(used)


def keys(redis: RedisServer) -> list[str]:
    """All that is kept there."""
    return sorted(key.decode() for key in cast(list[bytes], ask(redis)._turns.keys("*")))


def wait_until(holds: Callable[[], object]) -> None:
    """For what no event announces."""
    give_up = monotonic() + 4 * SOON
    while not holds():
        assert monotonic() < give_up
        threading.Event().wait(0.01)


# --- what is said ---


def test_what_one_says_is_heard_on_both_servers(two: Two) -> None:
    """By the others of one's own server, by those of the other, and not by oneself."""
    with (
        ChatClient("alice", two[0].address) as alice,
        ChatClient("ann", two[0].address) as ann,
        ChatClient("bob", two[1].address) as bob,
    ):
        alice.wait_for("bob joined")
        alice.say("hello")
        bob.say("hi")
        for client in (ann, bob):
            client.wait_for("alice: hello")
        assert alice.wait_for(lambda line: "hello" in line or "bob: hi" in line) == "bob: hi"


def test_all_hear_one_order(redis: RedisServer) -> None:
    """Nine people on three servers talk at once; what two of them both heard, they heard in one order."""
    with ExitStack() as stack:
        servers = [stack.enter_context(ChatServer(port=0, backplane=redis.url)) for _ in range(3)]
        people = [stack.enter_context(Wire.joined(servers[n % 3].address, f"p{n}")) for n in range(9)]
        people[0].until("p8 joined")

        def talk(n: int) -> None:
            for k in range(40):
                people[n].send(f"{k} of {n}")

        with ThreadPoolExecutor(9) as pool:
            list(pool.map(talk, range(9)))
        heard = []
        for n, person in enumerate(people):
            lines: list[str] = []
            while len(lines) < 8 * 40:
                if not (line := person.line()).startswith("*"):
                    lines.append(line)
            assert not [line for line in lines if line.startswith(f"p{n}:")]
            assert len(set(lines)) == len(lines)
            heard.append(lines)
        for n, one in enumerate(heard):
            for k, other in enumerate(heard[:n]):
                without = [line for line in one if not line.startswith(f"p{k}:")]
                assert without == [line for line in other if not line.startswith(f"p{n}:")]


def test_rooms_are_apart(two: Two) -> None:
    """Who is in another room does not hear, on whatever server; a room has one name, as first written."""
    with (
        Wire.joined(two[0].address, "alice") as alice,
        Wire.joined(two[1].address, "bob") as bob,
        Wire.joined(two[1].address, "carol") as carol,
    ):
        alice.until("carol joined")
        alice.send("/join Den", "in the den")
        alice.until("you are alice, in Den")
        bob.until("alice went to Den")
        bob.send("/join dEN")
        assert bob.until("you are bob")[-1] == "* you are bob, in Den"
        alice.until("bob joined")
        carol.send("nobody left")
        bob.send("here", "/who")
        assert bob.line() == "* in Den: alice, bob"
        assert alice.line() == "bob: here"
        assert carol.until("bob went to Den") == [
            "* alice went to Den",
            "* bob went to Den",
        ]


def test_slash_who_names_the_clients_of_all_servers_in_the_order_of_coming(two: Two) -> None:
    """`/who` counts every client in the room; and a line said before it has gone out."""
    with ExitStack() as stack:
        names = ["dora", "alice", "carol", "bob"]
        people = [
            stack.enter_context(Wire.joined(two[n % 2].address, name)) for n, name in enumerate(names)
        ]
        people[3].send("/nick bo", "/who")
        assert people[3].until("in lobby:")[-1] == "* in lobby: dora, alice, carol, bo"
        people[0].until("bob is now bo")
        people[0].send("/who")
        assert people[0].line() == "* in lobby: dora, alice, carol, bo"


def test_a_whisper_finds_the_client_of_that_name(two: Two) -> None:
    """On the same server or the other; or it is refused, in the order in which it was asked for."""
    with (
        Wire.joined(two[0].address, "alice") as alice,
        Wire.joined(two[0].address, "ann") as ann,
        Wire.joined(two[1].address, "bob") as bob,
    ):
        alice.until("bob joined")
        alice.send(
            "/msg bob one", "/msg ann two", "/msg nobody three", "/msg Alice four", "/nick al", "/who"
        )
        assert bob.until("one")[-1] == "alice -> you: one"
        assert ann.until("two")[-1] == "alice -> you: two"
        assert alice.lines(4) == [
            "! nobody here is called nobody",
            "! that is you",
            "* you are al, in lobby",
            "* in lobby: al, ann, bob",
        ]
        bob.send("/msg alice gone", "/msg al here")
        assert bob.until("!")[-1] == "! nobody here is called alice"
        assert alice.line() == "bob -> you: here"


# --- who is called what ---


def test_a_nickname_is_unique_over_all_servers(two: Two) -> None:
    """Taken there is taken here, in whatever letters; and so is one that looks like it."""
    with ChatClient("alice", two[0].address):
        for name, why in (
            ("Alice", "the nickname Alice is taken"),
            ("a1ice", "looks like alice, who is here"),
        ):
            with pytest.raises(NicknameRefused, match=why):
                ChatClient(name, two[1].address)
        with ChatClient("bob", two[1].address) as bob:
            bob.say("/nick ALICE")
            assert bob.wait_for("!") == "! the nickname ALICE is taken"
            bob.say("/nick BOB")
            bob.wait_for("you are BOB")
            bob.say("/nick BOB")
            assert bob.wait_for("!") == "! you are BOB already"


def test_a_nickname_is_free_when_its_leaving_is_heard(two: Two) -> None:
    """At that very moment, on both servers; after a renaming as well."""
    with Wire.joined(two[0].address, "alice") as alice:
        for n in range(20):
            there, here = two[n % 2], two[(n + 1) % 2]
            with Wire.joined(there.address, "bob") as bob:
                alice.until("bob joined")
                bob.send("/nick rob")
                alice.until("bob is now rob")
                with Wire.joined(here.address, "bob"):
                    alice.until("bob joined")
                alice.until("bob left")
            alice.until("rob left")


def test_of_two_that_want_one_name_at_once_one_gets_it(two: Two) -> None:
    """On two servers at the same moment, again and again."""
    barrier = threading.Barrier(2)

    def want(server: ChatServer, name: str) -> Wire | None:
        wire = Wire(server.address)
        wire.line()
        barrier.wait()
        wire.send(name)
        if wire.line() == f"* you are {name}, in lobby":
            return wire
        wire.close()
        return None

    with ThreadPoolExecutor(2) as pool:
        for n in range(40):
            got = list(pool.map(want, two, [f"name{n}"] * 2))
            assert [wire is None for wire in got].count(True) == 1
            for wire in got:
                if wire is not None:
                    wire.close()


# --- what is kept, and what is left ---


def test_nothing_is_left_of_rooms_and_servers_that_are_gone(redis: RedisServer) -> None:
    """An empty room takes up no key, and neither does a server that has stopped."""
    with ChatServer(port=0, backplane=redis.url) as server:
        with Wire.joined(server.address, "alice") as alice:
            before = keys(redis)
            alice.send(
                *[line for n in range(50) for line in (f"/join room{n}", "hello")], "/join lobby", "/who"
            )
            alice.until("in lobby: alice")
            wait_until(lambda: not [key for key in keys(redis) if "room" in key and key not in before])
    assert keys(redis) == []


def test_a_server_that_stops_says_goodbye_for_its_people(two: Two) -> None:
    """To those of the other server: `server stopped`, each once; its own hear one line, as without."""
    with Wire.joined(two[1].address, "bob") as bob, ChatClient("alice", two[0].address) as alice:
        with ChatClient("ann", two[0].address):
            bob.until("ann joined")
            alice.say("to the last")
            two[0].stop()
            assert bob.lines(3) == [
                "alice: to the last",
                "* alice left (server stopped)",
                "* ann left (server stopped)",
            ]
            alice.wait_for("* server stopped")
            bob.send("/who")
            assert bob.line() == "* in lobby: bob"


def test_a_server_that_stops_says_goodbye_in_every_room(two: Two) -> None:
    """Also where all of its people go one after the other, until none of them is left there."""
    with Wire.joined(two[1].address, "bob") as bob, ExitStack() as stack:
        bob.send("/join den")
        bob.until("in den")
        for n in range(30):
            person = stack.enter_context(Wire.joined(two[0].address, f"p{n}"))
            person.send("/join den")
            bob.until(f"p{n} joined")
        two[0].stop()
        assert sorted(bob.lines(30)) == sorted(f"* p{n} left (server stopped)" for n in range(30))
        bob.send("/who")
        assert bob.line() == "* in den: bob"


def test_a_stream_is_trimmed(two: Two, redis: RedisServer) -> None:
    """However much was said: what both servers have read is thrown away."""
    store = ask(redis)
    line = "x" * 4000
    with Wire.joined(two[0].address, "alice") as alice, ChatClient("bob", two[1].address) as bob:
        for n in range(20):
            alice.send(*[line] * 250, f"end {n}")
            bob.wait_for(f"end {n}", timeout=20)
            assert room_memory(store) < 8_000_000  # of 20 MB
        # Soon after the last line almost nothing is left: there may be ten thousand quiet rooms.
        wait_until(lambda: room_memory(store) < 50_000)


# --- together with all the rest ---


def test_limits_password_and_order_hold_with_a_backplane(redis: RedisServer) -> None:
    """A rate makes wait, a password is asked for; nothing is lost."""
    limits = Limits(messages=200)
    with (
        ChatServer(port=0, backplane=redis.url, limits=limits, password="sesame") as one,
        ChatServer(port=0, backplane=redis.url) as other,
        ChatClient("alice", one.address, password="sesame") as alice,
        ChatClient("bob", other.address) as bob,
    ):
        for n in range(230):
            alice.say(f"{n}.")
        assert [bob.wait_for("alice: ") for _ in range(230)] == [f"alice: {n}." for n in range(230)]


def test_many_commands_in_one_send_are_done_in_order(two: Two) -> None:
    """A thousand of them, and the end of the connection in the same breath."""
    with Wire.joined(two[1].address, "bob") as bob:
        with Wire.joined(two[0].address, "alice") as alice:
            bob.until("alice joined")
            alice.send(*[line for n in range(300) for line in (f"a{n}", f"/me b{n}", f"/msg bob c{n}")])
            alice.send("/nick al", "last", "/join den", "/join lobby")
            alice.hang_up()
            heard = bob.until("al left (hung up)")
        said = [line for line in heard if "->" not in line]
        assert said[:600] == [line for n in range(300) for line in (f"alice: a{n}", f"alice * b{n}")]
        assert said[600:] == [
            "* alice is now al",
            "al: last",
            "* al went to den",
            "* al joined",
            "* al left (hung up)",
        ]
        assert [line for line in heard if "->" in line] == [f"alice -> you: c{n}" for n in range(300)]


def test_without_a_backplane_there_is_no_redis() -> None:
    """A server that has none does not even import redis-py."""
    program = (
        "import sys; from labkit import ChatClient, ChatServer\n"
        "with ChatServer(port=0) as s, ChatClient('a', s.address) as a:\n"
        "    a.say('/who'); a.wait_for('lobby: a')\n"
        "print([name for name in sys.modules if 'redis' in name or 'backplane' in name])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_raw_cannot_be_shared() -> None:
    """In the raw dialect a `recv` is a message: what several servers glue together is none."""
    with pytest.raises(ValueError, match="needs framing=LINES"):
        ChatServer(port=0, framing=RAW, backplane="redis://localhost")


# --- by hand: a room as one server sees it ---


def a_room() -> tuple[SharedRoom, Member]:
    room = SharedRoom("lobby")
    room.follow("lobby", 100, "5-0", {"b.1": "2 bob", "a.7": "1 ann", "c.1": "10 carol"})
    return room, Member("me.1", None)  # type: ignore[arg-type]


def test_a_room_begins_as_redis_has_it() -> None:
    """The members in the order of their places; and nothing to be told of what was before."""
    room, _ = a_room()
    assert list(room.members.values()) == ["ann", "bob", "carol"]
    assert (room.last, room.heard, room.untold) == ("5-0", 100, 0)


def test_a_batch_has_what_the_others_need() -> None:
    """The lines as they are heard, and who came or went; what is for one's own people stays here."""
    room, me = a_room()
    room.tell(ToRoom("lobby", Joined("dan")), me)
    room.tell(ToRoom("lobby", Said("dan", "hi")), me)
    room.add(Exits(me))
    room.tell(ToRoom("lobby", Renamed("dan", "dän")), me)
    batch = room.take(3)
    assert batch.text.decode() == "* dan joined\ndan: hi\n* dan is now dän\n"
    assert not room.pending and room.sent[0] == (3, batch) and room.busy
    entry = Entry("6-0", {b"t": batch.text, b"m": batch.changes.encode()})
    assert changes_of(entry) == [("+", "me.1", "dan"), ("=", "me.1", "dän")]
    assert entry.size == batch.size == len(batch.text) + ENTRY
    assert changes_of(Entry("7-0", {b"t": b"x", b"m": b""})) == []


def test_a_lost_server_takes_its_people_along() -> None:
    """And no others, in the order in which they had come."""
    room, _ = a_room()
    room.change("+", "b.12", "ben")
    room.change("=", "b.1", "rob")
    room.change("-", "c.1", "")
    assert room.lose("b") == ["rob", "ben"]
    assert list(room.members.values()) == ["ann"]
    assert room.lose("b") == []
    told: ToRoom[Any] = ToRoom("lobby", Left("ann", "quit"))
    room.tell(told, Member("a.7", None))  # type: ignore[arg-type]
    room.take(1)
    assert room.busy


def test_contact_tells_of_a_trouble_that_lasts_and_of_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once each, whichever thread it was; and nothing of a hiccup."""
    now = 100.0
    monkeypatch.setattr("labkit.server.backplane.contact.monotonic", lambda: now)
    told: list[str] = []
    contact = Contact(lambda text, why: told.append(text))
    contact.lost("writer", now, "no answer")
    assert contact.cut_off and not contact.told
    contact.found("writer")
    assert not contact.cut_off and told == []
    contact.lost("writer", now, "no answer")
    contact.lost("reader", now, "no answer")
    now += 1.0
    contact.lost("reader", now, "no answer")
    contact.lost("writer", now, "refused")
    assert told == [CUT_OFF] and contact.why == "no answer"
    contact.found("reader")
    assert told == [CUT_OFF] and contact.cut_off
    contact.found("writer")
    contact.found("writer")
    assert told == [CUT_OFF, BACK] and contact.why == ""
    contact.lost("writer", now - 2.0, "no answer")  # it has waited for one
    assert told == [CUT_OFF, BACK, CUT_OFF]


def test_a_whisper_does_not_overtake_what_was_said_before_it(two: Two) -> None:
    """Neither on the same server nor on the other one; and a new name is heard before its whispers."""
    with (
        Wire.joined(two[0].address, "ann") as ann,
        Wire.joined(two[1].address, "bob") as bob,
        Wire.joined(two[0].address, "alice") as alice,
    ):
        for wire in (ann, bob):
            wire.until("alice joined")
        for n in range(30):
            alice.send(f"loud {n}", f"/msg ann soft {n}", f"/msg bob soft {n}")
            for wire in (ann, bob):
                assert wire.lines(2) == [f"alice: loud {n}", f"alice -> you: soft {n}"]
        alice.send("/nick al", "/msg ann hi", "/msg bob hi", "bye", "/msg ann last", "/quit")
        assert ann.lines(4) == ["* alice is now al", "al -> you: hi", "al: bye", "al -> you: last"]
        assert bob.lines(3) == ["* alice is now al", "al -> you: hi", "al: bye"]


# --- many rooms, most of them quiet ---


def lively(two: Two) -> set[str]:
    """The rooms that are read just now, on either server."""
    sessions = [server._hub._backplane.session for server in two if isinstance(server._hub, RedisHub)]
    return {room.name for session in sessions for room in list(session.lively)}


def test_a_quiet_room_is_not_read_and_what_is_said_there_is_heard(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both servers turn to the mail alone; a line in the room comes nevertheless, and before the whisper
    that its speaker sends next."""
    monkeypatch.setattr("labkit.server.backplane.reader.LATELY", 0.0)
    monkeypatch.setattr("labkit.server.backplane.reader.SECONDS", 0.05)
    with ChatClient("alice", two[0].address) as alice, ChatClient("bob", two[1].address) as bob:
        for client in (alice, bob):
            client.say("/join den")
            client.wait_for("in den")
        for n in range(20):
            wait_until(lambda: not lively(two))
            alice.say(f"{n}.")
            alice.say(f"/msg bob and {n}.")
            assert bob.wait_for(f"{n}.") == f"alice: {n}."
            assert bob.wait_for(f"{n}.") == f"alice -> you: and {n}."
            bob.say("/who")
            bob.wait_for("in den: alice, bob")


def test_only_rooms_where_something_happens_are_read(two: Two) -> None:
    """However many there are where people are, and say nothing."""
    with ExitStack() as stack:
        people = [stack.enter_context(Wire.joined(two[n % 2].address, f"p{n}")) for n in range(40)]
        for n, person in enumerate(people):
            person.send(f"/join room{n}")
            person.until(f"in room{n}")
        wait_until(lambda: not lively(two))
        people[0].send("/join room1", "hello")
        assert people[1].until("hello") == ["* p0 joined", "p0: hello"]
        assert lively(two) <= {"room0", "room1"}
