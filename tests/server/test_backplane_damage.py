"""The backplane when another program spoils what is kept in Redis, or Redis has no room for more."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import ExitStack, suppress
from itertools import count, pairwise
from time import monotonic
from typing import Any, cast

import pytest
from support import SOON, Wire
from test_backplane import ask, keys, stores_are_closed, wait_until  # noqa: F401
from test_backplane_away import HASTY, LONG, serving

from labkit import ChatClient, ChatServer, Limits
from labkit.instruments.redis_server import RedisServer
from labkit.server.backplane import RedisHub
from labkit.server.backplane.backplane import GIVEN_UP
from labkit.server.backplane.log import MOST, Answered, Member, Releases, SharedRoom
from labkit.server.backplane.scripts import ENTRY
from labkit.server.backplane.session import WINDOW
from labkit.server.backplane.store import GivenUp
from labkit.server.backplane.writer import Writer
from labkit.wire.messages import BACK, CUT_OFF

SHORT = Limits(lease=1.0)


def writer_of(server: ChatServer) -> Writer:
    assert isinstance(server._hub, RedisHub)
    return server._hub._backplane.writer


def id_of(server: ChatServer) -> str:
    assert isinstance(server._hub, RedisHub)
    return server._hub._backplane.session.server


class Beats:
    """How often each server has looked around."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._seen: Counter[Writer] = Counter()
        look_around = Writer._look_around

        def noted(writer: Writer) -> Any:
            self._seen[writer] += 1
            return look_around(writer)

        monkeypatch.setattr(Writer, "_look_around", noted)

    def wait_for_two(self, *servers: ChatServer) -> None:
        """When the second begins, all that the first has found is done."""
        before = self._seen.copy()
        wait_until(lambda: all(self._seen[w] >= before[w] + 2 for w in map(writer_of, servers)))


@pytest.fixture
def beats(monkeypatch: pytest.MonkeyPatch) -> Beats:
    """With servers that soon turn from a room to the mail, and begin anew without a pause."""
    monkeypatch.setattr("labkit.server.backplane.reader.LATELY", 0.0)
    monkeypatch.setattr("labkit.server.backplane.reader.SECONDS", 0.05)
    monkeypatch.setattr("labkit.server.backplane.writer.LONGEST_PAUSE", 0.01)
    return Beats(monkeypatch)


_marks = count()


def until_heard(talker: ChatClient, listener: ChatClient, text: str, heard: str) -> None:
    """Say it again and again: what was said while a server begins anew is lost, and they come back."""
    give_up = monotonic() + 2 * SOON
    while not any(heard in line for line in listener.tail(30)):
        assert monotonic() < give_up, (heard, talker.tail(5), listener.tail(5))
        talker.say(text)
        with suppress(TimeoutError):
            listener.wait_for(heard, timeout=0.2)


def all_is_well(people: dict[str, list[ChatClient]]) -> None:
    """In each room all hear each other, and `/who` names them and no others."""
    for room, those in people.items():
        names = sorted(person.nickname for person in those)
        for one, other in [*pairwise(those), (those[-1], those[0])]:
            mark = f"mark {next(_marks)}."
            until_heard(one, other, mark, f"{one.nickname}: {mark}")
        for person in those:
            give_up = monotonic() + 2 * SOON
            here: list[str] = []
            while here != names:
                assert monotonic() < give_up, (room, here, person.tail(5))
                with suppress(TimeoutError):
                    person.say("/who")
                    here = sorted(person.wait_for(f"* in {room}: ", 2.0).partition(": ")[2].split(", "))


KINDS = ["servers", "names", "lease:{0}", "turn:{0}", "rooms:{0}", "mail:{0}"] + [
    f"room:{room}{part}" for room in ("lobby", "den") for part in ("", ":who", ":read", ":quiet", ":state")
]


@pytest.mark.parametrize("how", ["deleted", "a string", "a list, then deleted"])
def test_no_key_that_is_spoilt_takes_a_nickname_or_a_room(
    redis: RedisServer, beats: Beats, how: str
) -> None:
    """Whichever it is: soon all of them chat on, under the names that they had; and in the end any client
    can have any of these, and nothing is left."""
    db: Any = ask(redis)._turns
    with ExitStack() as stack:
        servers = [
            stack.enter_context(ChatServer(port=0, backplane=redis.url, limits=SHORT)) for _ in range(2)
        ]
        people: dict[str, list[ChatClient]] = {"lobby": [], "den": []}
        for name, server, room in zip(
            ("alice", "bob", "carol", "dave"), servers * 2, ["lobby"] * 2 + ["den"] * 2, strict=True
        ):
            client = stack.enter_context(ChatClient(name, [server.address]))
            if room != "lobby":
                client.say(f"/join {room}")
            people[room].append(client)
        for kind in KINDS:
            all_is_well(people)
            wait_until(lambda: {*db.keys("labkit:room:*:quiet")} >= {b"labkit:room:lobby:quiet"})
            key = "labkit:" + kind.format(id_of(servers[0]))
            with db.pipeline(transaction=True) as at_once:  # or a server makes it anew in between
                at_once.delete(key)
                if how != "deleted":
                    _ = at_once.set(key, "x") if how == "a string" else at_once.lpush(key, "x")
                at_once.execute()
            beats.wait_for_two(*servers)
            if "then" in how:
                db.delete(key)
                beats.wait_for_two(*servers)
        all_is_well(people)
        for client in people["lobby"]:
            client.leave()
        for name, server in (("alice", servers[1]), ("bob", servers[0])):
            again = stack.enter_context(Wire(server.address))
            while again.line() != f"* you are {name}, in lobby":  # its leaving may be on its way
                again.send(name)
        holders = cast(dict[bytes, bytes], db.hgetall("labkit:names"))
        assert {value.partition(b".")[0].decode() for value in holders.values()} <= {
            "1",
            *map(id_of, servers),
        }
    assert keys(redis) == []


def test_two_never_have_one_name_when_the_table_of_names_is_gone(redis: RedisServer) -> None:
    """No server can tell then who is here: all begin anew, before any gives a name away."""
    with (
        ChatServer(port=0, backplane=redis.url) as one,
        ChatServer(port=0, backplane=redis.url) as other,
        Wire.joined(one.address, "alice") as alice,
        Wire(other.address) as newcomer,
    ):
        ask(redis)._turns.delete("labkit:names")
        newcomer.send("alice")
        with suppress(EOFError):
            newcomer.until("* you are alice")
        assert alice.to_the_end() == [f"* {GIVEN_UP}"]
        with Wire(one.address) as again:
            again.send("bob")
            again.until("* you are bob")


def test_what_a_lost_server_had_is_free_whatever_is_known_of_it(redis: RedisServer) -> None:
    """Which rooms it followed is forgotten; who reads on there notices, and no talker waits for it."""
    store = ask(redis)
    db: Any = store._turns
    for server, person in (("a", "a.1"), ("b", "b.1")):
        store.hello(server, 60.0)
        store.turn(
            server,
            1,
            60.0,
            [
                ("follow", ("den", "Den")),
                ("claim", (person, f"ann{server}", f"n:ann{server}")),
                ("append", ("den", "* joined\n", f'[["+", "{person}", "ann{server}"]]')),
            ],
        )
    entries = db.xrange("labkit:room:den")
    db.delete("labkit:rooms:b", "labkit:lease:b")
    assert store.turn("a", 2, 60.0, [("look", ()), ("lose", ("b",))]) == [[b"b"], 1]
    assert {*db.hkeys("labkit:names")} == {b"whole", b"n:anna"}
    read = 2 * (ENTRY + len("* joined\n"))
    last = entries[-1][0].decode()
    assert store.turn("a", 3, 60.0, [("read", ("den", read, last, read, last, 0, 2))]) == [ENTRY]
    assert db.hkeys("labkit:room:den:who") == [b"a.1"]
    (gone,) = db.xrange("labkit:room:den", f"({last}")
    assert gone[1] == {b"a": str(read).encode(), b"x": b"b", b"why": b"server lost"}
    db.hset("labkit:names", "n:ben", "b.7 ben")  # whoever wrote this: b is no server
    assert store.turn("a", 4, 60.0, [("claim", ("a.2", "ben", "n:ben"))]) == [[b"yours", b"ben"]]
    store.turn("a", 5, 60.0, [("goodbye", ("server stopped",))])
    assert keys(redis) == []


LINE = ("append", ("den", "ann: hi\n", ""))
ROOM = "labkit:room:den"


@pytest.mark.parametrize(
    ("spoil", "lost"),  # `lost`: whether it cannot go on, when all was read, and when an entry is unread
    [
        (("delete", ROOM), (False, True)),
        (("set", ROOM, "x"), (False, True)),
        (("delete", f"{ROOM}:who"), (True, False)),  # it cannot tell before it has read what is new
        (("delete", f"{ROOM}:read"), (True, True)),
        (("delete", f"{ROOM}:state"), (True, True)),
        (("delete", f"{ROOM}:quiet"), (False, False)),
        (("delete", "labkit:rooms:a"), (False, False)),
        (("ping",), (False, False)),
    ],
)
@pytest.mark.parametrize("unread", [0, 1])
def test_a_server_finds_out_what_is_missing_in_a_room_where_nothing_happens(
    redis: RedisServer, spoil: tuple[str, ...], lost: tuple[bool, bool], unread: int
) -> None:
    """Though no client says anything: it begins anew, or puts right what it can."""
    store = ask(redis)
    db: Any = store._turns
    store.hello("a", 60.0)
    coming = ("append", ("den", "* ann joined\n", '[["+", "a.1", "ann"]]'))
    store.turn("a", 1, 60.0, [("follow", ("den", "den")), coming, LINE])
    first, second = db.xrange(ROOM)
    total = 2 * ENTRY + len("* ann joined\n" + "ann: hi\n")
    read, last = (int(second[1][b"a"]), first[0]) if unread else (total, second[0])
    quiet = ("read", ("den", 0, "0-0", read, last.decode(), 1, -1 if unread else 1))
    assert store.turn("a", 2, 60.0, [quiet]) == [total]
    mail = db.xlen("labkit:mail:a")
    assert bool(mail) == bool(unread)  # it is rung
    getattr(db, spoil[0])(*spoil[1:])
    if lost[unread]:
        with pytest.raises(GivenUp, match="read: "):
            store.turn("a", 3, 60.0, [quiet])
        with pytest.raises(GivenUp):  # whatever it asks for then
            store.turn("a", 3, 60.0, [])
        assert keys(redis) == []
    else:
        assert store.turn("a", 3, 60.0, [quiet]) == [total]
        assert db.xlen("labkit:mail:a") == 2 * mail
        assert db.sismember(f"{ROOM}:quiet", "a") != unread
        assert db.smembers("labkit:rooms:a") == {b"den"}


def test_a_letter_that_is_missing_is_noticed(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whisper that another program deletes on its way: its sender is told that it was not heard."""
    with (
        ChatServer(port=0, backplane=redis.url, limits=Limits(lease=8.0)) as one,
        ChatServer(port=0, backplane=redis.url, limits=Limits(lease=8.0)) as other,
        Wire.joined(one.address, "alice") as alice,
        Wire.joined(other.address, "bob") as bob,
    ):
        alice.until("bob joined")
        deaf = threading.Event()

        def read_nothing(*what: object) -> list[object]:
            deaf.set()
            deaf.wait(0.01)
            return []

        with monkeypatch.context() as patch:
            patch.setattr(other._hub._backplane._reader._store, "read", read_nothing)  # type: ignore[attr-defined]
            assert deaf.wait(LONG)
            alice.send("/msg bob hello")
            db: Any = ask(redis)._turns
            mail = f"labkit:mail:{id_of(other)}"
            wait_until(lambda: any(b"w" in fields for _, fields in db.xrange(mail)))
            db.delete(mail)
        assert bob.to_the_end() == [f"* {GIVEN_UP}"]
        assert sorted(alice.lines(2)) == ["! nobody here is called bob", "* bob left (server lost)"]


# --- Redis has no room for more ---


MUCH = 4_000_000
"""Bytes of memory that Redis may take; without people it takes a third of it."""


def test_what_waits_for_a_full_redis_is_one_turn_after_another() -> None:
    """No more bytes in one than MOST; what frees a name stays with the line that tells of it."""
    room = SharedRoom("lobby")
    me = Member("me.1", None)  # type: ignore[arg-type]
    ops = [Answered(me, b"x" * (MOST // 2 - 1)), Answered(me, b"y"), Answered(me, b"z" * MOST)]
    gone = [Releases(me, ("n:one",)), Releases(me, ("n:two",))]
    for op in (ops[0], ops[1], gone[0], ops[2], gone[1]):
        room.add(op)
    assert room.take(1).ops == [*ops[:2], gone[0]] and room.waiting == MOST
    assert room.take(2, 10).ops == [ops[2], gone[1]] and not room.pending


def test_talk_goes_on_when_a_full_redis_is_emptied(redis: RedisServer) -> None:
    """Another program fills it, and stops: all are told, nothing is lost, and leases and names are kept."""
    db: Any = ask(redis)._turns
    with (
        ChatServer(port=0, backplane=redis.url, limits=Limits(lease=600.0)) as one,
        ChatServer(port=0, backplane=redis.url, limits=Limits(lease=600.0)) as other,
        ChatClient("alice", one.address) as alice,
        ChatClient("bob", other.address) as bob,
    ):
        alice.wait_for("bob joined")
        db.set("another program's", b"x" * MUCH)
        db.config_set("maxmemory", MUCH)
        alice.say("?")
        for client in (alice, bob):
            client.wait_for(CUT_OFF, LONG)
        with Wire(one.address, LONG) as carol:
            carol.send("carol")
            assert carol.lines(2) == ["nickname", f"* {CUT_OFF}"]
            for n in range(100):
                alice.say(f"{n}.")
            alice.say("/nick al")
            leases = [f"labkit:lease:{id_of(server)}" for server in (one, other)]
            for _ in range(5):  # they are renewed all the while
                db.delete(*leases)
                wait_until(lambda: db.exists(*leases) == 2)
            db.delete("another program's")
            bob.wait_for("alice is now al", LONG)
            bob.wait_for("carol joined", LONG)
        for client in (alice, bob):
            client.wait_for(BACK, LONG)
        said = [line for line in bob.transcript if line.startswith("alice:")]
        assert said == ["alice: ?", *[f"alice: {n}." for n in range(100)]]


@pytest.mark.parametrize("how", ["reads on", "is lost"])
def test_a_redis_that_is_full_of_talk_becomes_emptier_by_itself(redis: RedisServer, how: str) -> None:
    """A server has stopped reading, and what it has still to read fills Redis; then it reads on, or its
    lease is over. All that was said is heard, once."""
    lease = 480.0 if how == "reads on" else 2.0
    db: Any = ask(redis)._turns
    with (
        ChatServer(port=0, backplane=redis.url, limits=Limits(lease=lease)) as server,
        Wire.joined(server.address, "alice") as alice,
        ChatClient("ann", server.address) as ann,
        serving(redis.url, "--lease", f"{lease:g}") as (address, process),
        ChatClient("bob", address) as bob,
    ):
        alice.until("bob joined")
        db.config_set("maxmemory", MUCH)
        process.suspend()
        lines = [f"{n:05} {'x' * 3990}" for n in range(2 * WINDOW // 4000)]
        talking = threading.Thread(target=alice.send, args=lines)
        alice.sock.settimeout(2 * LONG)
        talking.start()
        ann.wait_for(CUT_OFF, LONG)
        if how == "reads on":
            process.resume()
        else:
            process.kill()
            ann.wait_for("bob left (server lost)", LONG)
        for listener in [ann, bob] if how == "reads on" else [ann]:
            listener.wait_for(f"alice: {lines[-1][:6]}", 2 * LONG)
            heard = [line[7:12] for line in listener.transcript if line.startswith("alice: ")]
            assert heard == [line[:5] for line in lines]
        ann.wait_for(BACK, LONG)
        talking.join()
        process.kill()


def test_a_server_starts_on_a_redis_that_is_full_of_what_the_killed_left(redis: RedisServer) -> None:
    """It clears that away when their lease is over, and then there is room."""
    db: Any = ask(redis)._turns
    with serving(redis.url, "--lease", "2") as (address, process), Wire.joined(address, "alice"):
        db.xadd("labkit:room:lobby", {"a": 0, "x": "x" * MUCH})
        process.kill()
        process.wait(LONG)
        db.config_set("maxmemory", MUCH)
    with (
        ChatServer(port=0, backplane=redis.url, limits=HASTY) as server,
        Wire(server.address, LONG) as alice,
    ):
        alice.send("alice")
        while not (line := alice.line()).startswith("* you are alice"):
            if line.startswith("!"):
                alice.send("alice")
        assert db.memory_usage("labkit:room:lobby") < 100_000
