"""The backplane at its worst: races, moments of giving up, slow readers, URLs that leak.

Each of these was once a hang, a leak, or a lie; where the moment is short, it is made long by hand.
"""

from __future__ import annotations

import contextlib
import gc
import random
import socket
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import psutil
import pytest
from support import BareServer, Wire, need_redis
from test_backplane import keys, room_memory, wait_until
from test_backplane_away import HASTY, LONG, serving

from labkit import ChatClient, ChatServer, Limits
from labkit.instruments.faults import Bandwidth, Freeze
from labkit.instruments.link import Link
from labkit.instruments.redis_server import RedisServer
from labkit.server.backplane import NoRedis, RedisHub
from labkit.server.backplane.backplane import GIVEN_UP, Backplane
from labkit.server.backplane.session import Session
from labkit.server.backplane.store import Store
from labkit.wire.messages import SERVER_LOST


@pytest.fixture(scope="module")
def shared() -> Iterator[RedisServer]:
    """One Redis for all tests that leave nothing in it; each looks."""
    need_redis()
    with RedisServer() as running:
        yield running


@pytest.fixture
def redis(shared: RedisServer) -> Iterator[RedisServer]:
    """That one, empty before and afterwards."""
    assert keys(shared) == []
    yield shared
    left = keys(shared)
    Store(shared.url, 5.0)._turns.flushall()
    assert left == []


Two = tuple[ChatServer, ChatServer]


@pytest.fixture
def two(redis: RedisServer) -> Iterator[Two]:
    """Two servers that share their rooms."""
    with ChatServer(port=0, backplane=redis.url) as one, ChatServer(port=0, backplane=redis.url) as other:
        yield one, other


def backplane_of(server: ChatServer) -> Backplane:
    assert isinstance(server._hub, RedisHub)
    return server._hub._backplane


# --- rooms that are left ---


def test_a_big_room_can_be_left_in_one_breath(two: Two, redis: RedisServer) -> None:
    """So much was read there that the others should be told; but it is left, and takes up no key."""
    for n in range(3):
        with Wire.joined(two[0].address, "alice") as alice:
            alice.send("/join den")
            alice.until("in den")
            alice.send(*["x" * 4000] * (140 + 20 * n), "/join lobby", "/who")
            assert alice.until("in lobby: ")[-1] == "* in lobby: alice"
            wait_until(lambda: not any("den" in key for key in keys(redis)))
            alice.hang_up()
            assert alice.to_the_end() == []


def test_a_room_is_kept_until_its_last_connection_is_closed(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its leaving was heard before its end was asked for: the end is still to come, and comes."""
    server = two[0]
    plane = backplane_of(server)
    end = plane.end

    def end_late(client: object, politely: bool, stopping: bool) -> bool:
        server.journal.wait_for("left", "alice")  # the room has heard it …
        with plane.lock:  # … and whatever follows from that is done
            pass
        return end(client, politely, stopping)  # type: ignore[arg-type]

    monkeypatch.setattr(plane, "end", end_late)
    with Wire.joined(server.address, "alice") as alice:
        alice.send("/join den")
        alice.until("in den")
        alice.hang_up()
        assert alice.to_the_end() == []
    monkeypatch.undo()
    with ChatClient("alice", server.address) as again:
        again.say("/join den")
        again.wait_for("in den")


def test_rooms_are_left_and_entered_again_and_again(two: Two) -> None:
    """By two, at once, with a third who talks there from another server: no client hears anything twice, or
    is thrown out; and two moves in one breath are two moves."""
    with ExitWires() as wires, Wire.joined(two[1].address, "talker") as talker:
        talker.send("/join den")
        talker.until("in den")
        movers = [wires.add(Wire.joined(two[n % 2].address, f"m{n}")) for n in range(3)]
        stop = threading.Event()

        def talk() -> None:
            n = 0
            while not stop.is_set() and n < 100_000:
                talker.send(f"no. {n}.")
                n += 1
                stop.wait(0.001)

        def move(wire: Wire) -> None:
            room, heard = "lobby", [-1]
            for _ in range(40):
                wire.send("/join den")
                lines = wire.until("talker: ")  # so there is something that could come twice
                wire.send("/join lobby")
                wire.send(
                    "/join den", "/who", "/join lobby", "/join den", "/join other", "/join lobby", "/who"
                )
                lines += wire.until("* in lobby: ")
                rooms = []
                for line in lines:
                    if line.startswith("* you are "):
                        rooms.append(room := line.rpartition(" ")[2])
                    elif line.startswith("talker: "):
                        assert room == "den"
                        heard.append(int(line[12:-1]))
                assert rooms == ["den", "lobby", "den", "lobby", "den", "other", "lobby"]
            assert heard == sorted(set(heard))

        with ThreadPoolExecutor(4) as pool:
            talking = pool.submit(talk)
            try:
                for moving in [pool.submit(move, wire) for wire in movers]:
                    moving.result(60)
            finally:
                stop.set()
            talking.result(60)


class ExitWires(contextlib.ExitStack):
    """Closes all wires that were added."""

    def add(self, wire: Wire) -> Wire:
        return self.enter_context(wire)


# --- the moment of giving up ---


def test_a_server_that_slept_does_not_tell_its_own_people_that_they_are_lost(redis: RedisServer) -> None:
    """It reads of itself that it is gone, perhaps before it is told so: they hear one line, and FIN."""
    with (
        ChatServer(port=0, backplane=redis.url, limits=HASTY) as server,
        Wire.joined(server.address, "alice") as alice,
        serving(redis.url, "--lease", "2") as (address, process),
        Wire.joined(address, "bob") as bob,
        Wire.joined(address, "carol") as carol,
    ):
        alice.until("carol joined")
        bob.until("carol joined")
        for wire in (alice, bob, carol):
            wire.sock.settimeout(LONG)
        process.suspend()
        assert alice.lines(2) == ["* bob left (server lost)", "* carol left (server lost)"]
        alice.send("anybody?")
        process.resume()
        for wire in (bob, carol):
            assert wire.to_the_end() == [f"* {GIVEN_UP}"]
        process.terminate()  # in good order: nothing is left in Redis
        process.wait(LONG)


@pytest.mark.parametrize("how", ["given up", "stopped"])
def test_a_client_that_left_is_closed_though_no_other_can_be_told(how: str) -> None:
    """Its last line waits for a Redis that does not answer, and then the session is over, or the server."""
    need_redis()
    with (
        RedisServer() as redis,
        ChatServer(port=0, backplane=redis.url, limits=HASTY) as server,
        Wire.joined(server.address, "alice") as alice,
    ):
        alice.sock.settimeout(LONG)
        redis.pause()
        alice.send("/quit")
        wait_until(lambda: server.roster() == [])
        if how == "stopped":
            start = monotonic()
            server.stop()
            assert monotonic() - start < LONG
        else:
            redis.kill()
            redis.start()  # it has forgotten all
        assert alice.to_the_end() in ([], [f"* {GIVEN_UP}"])


def test_a_client_that_asks_at_the_moment_of_giving_up_is_let_go(redis: RedisServer) -> None:
    """The session is over between two steps of a claim: no server would ever answer it."""
    with ChatServer(port=0, backplane=redis.url, limits=HASTY) as server:
        plane = backplane_of(server)
        with Wire(server.address) as newcomer:
            assert newcomer.line() == "nickname"
            over = Session(plane.lock)  # no thread writes for this one
            over.over = True
            now, plane.session = plane.session, over
            newcomer.send("alice")
            assert newcomer.to_the_end() == []
            plane.session = now


def test_a_talker_who_never_pauses_is_let_go_too(redis: RedisServer) -> None:
    """No client hears what it goes on sending; the server does not wait for it to pause."""
    done = threading.Event()
    with (
        ChatServer(port=0, backplane=redis.url, limits=HASTY) as server,
        Wire.joined(server.address, "alice") as alice,
        ThreadPoolExecutor(1) as pool,
    ):

        def talk() -> None:
            alice.sock.settimeout(0.1)
            while not done.is_set():
                try:
                    alice.sock.send(b"and so on\n" * 1000)
                except TimeoutError:
                    continue
                except OSError:
                    return  # closed

        pool.submit(talk)
        try:
            server.journal.wait_for("said", "alice")
            Store(redis.url, 5.0)._turns.flushall()
            assert server.journal.wait_for("left", "alice").what == SERVER_LOST
            wait_until(lambda: not server._clients)
        finally:
            done.set()


# --- slow readers, on another server ---


def test_whispers_to_a_slow_reader_on_another_server_hold_the_whisperer(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they do on one server: what was whispered arrives, and the whisperer goes on when it was read."""
    with (
        Wire.joined(two[0].address, "alice") as alice,
        Wire.joined(two[1].address, "bob") as bob,
    ):
        alice.until("bob joined")
        far = {person.who.outbox for person in two[1]._hub.present()}
        monkeypatch.setattr(two[1]._hub.broadcaster, "is_far", far.__contains__)
        alice.send("/msg bob one", "/msg nobody two", "three")
        assert bob.line() == "alice -> you: one"
        alice.sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            alice.line()
        alice.sock.settimeout(LONG)
        far.clear()
        assert alice.line() == "! nobody here is called nobody"
        assert bob.line() == "alice: three"


@pytest.mark.parametrize("fault", [Bandwidth(3_000_000), Freeze()], ids=["slow", "frozen"])
def test_a_reader_who_lags_on_another_server_makes_nothing_grow(redis: RedisServer, fault: object) -> None:
    """Talkers wait for the slow one, and not for one who reads nothing at all; Redis keeps no more than it
    must, and neither does either server."""
    limits = Limits(behind=2 * 1024 * 1024)
    with (
        ChatServer(port=0, backplane=redis.url) as near,
        ChatServer(port=0, backplane=redis.url, limits=limits) as far,
        Link(far.address, client="bob") as link,
        Wire.joined(near.address, "alice") as alice,
        Wire.joined(link.address, "bob"),
    ):
        alice.until("bob joined")
        alice.sock.settimeout(60)
        link.to_client.use(fault)  # type: ignore[arg-type]
        store = Store(redis.url, 5.0)
        for _ in range(12):
            alice.send(*["x" * 4000] * 250)
            present = far.present()
            assert all(person.behind < 2 * limits.behind + 1024 * 1024 for person in present)
            assert room_memory(store) < 10_000_000
        if isinstance(fault, Freeze):
            alice.until("bob left (was too slow)")


def test_talkers_go_on_when_a_server_reads_on(redis: RedisServer) -> None:
    """It did not read for a while, but kept its lease: no client is lost, and no line. Nor do they wait
    until something else happens."""
    with (
        ChatServer(port=0, backplane=redis.url, limits=Limits(lease=480)) as server,
        Wire.joined(server.address, "alice") as alice,
        serving(redis.url, "--lease", "480") as (address, process),
        ChatClient("bob", address) as bob,
    ):
        alice.until("bob joined")
        alice.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        alice.sock.settimeout(0.5)
        process.suspend()
        with pytest.raises(TimeoutError):
            for n in range(50_000):  # 200 MB: far more than kernels keep
                rest = b"%05d %b\n" % (n, b"x" * 3990)
                while rest:
                    rest = rest[alice.sock.send(rest) :]
        process.resume()
        alice.sock.settimeout(LONG)
        alice.sock.sendall(rest)
        heard = [bob.wait_for("alice: ", LONG) for _ in range(n + 1)]
        assert [line[7:12] for line in heard] == [f"{i:05}" for i in range(n + 1)]
        process.terminate()
        process.wait(LONG)


def test_a_mailbox_does_not_grow(redis: RedisServer) -> None:
    """What was read of it is thrown away, soon."""
    store = Store(redis.url, 5.0)
    with (
        ChatServer(port=0, backplane=redis.url, limits=HASTY) as one,
        ChatServer(port=0, backplane=redis.url, limits=HASTY) as other,
        ChatClient("bob", other.address) as bob,
        Wire.joined(one.address, "alice") as alice,
    ):
        alice.send(*[f"/msg bob {n}." for n in range(2000)])
        for n in range(2000):
            bob.wait_for(f"alice -> you: {n}.")
        mail = [f"labkit:mail:{backplane_of(server).session.server}" for server in (one, other)]
        wait_until(lambda: all(store._turns.xlen(key) <= 200 for key in mail))


# --- clients that vanish, at every step ---


def test_vanishing_at_any_step_leaves_nothing_behind(two: Two, redis: RedisServer) -> None:
    """With FIN or RST, in the middle of a claim, a renaming, a move, a whisper: the names are free, and the
    rooms empty; who stays hears of each who was let in that it left, once."""
    dice = random.Random(5)
    deeds = [
        "hello",
        "/nick {0}b",
        "/nick {0}",
        "/join den",
        "/join lobby",
        "/msg witness hi",
        "/who",
        "/me x",
    ]
    with Wire.joined(two[1].address, "witness") as witness:
        witness.sock.settimeout(LONG)

        def come_and_go(n: int, chance: random.Random) -> None:
            with Wire(two[n % 2].address) as wire:
                lines = [f"p{n}"] + [
                    chance.choice(deeds).format(f"p{n}") for _ in range(chance.randrange(8))
                ]
                wire.line()
                wire.send(*lines)
                if chance.random() < 0.3:
                    wire.line()
                if chance.random() < 0.5:
                    wire.reset()
                else:
                    wire.hang_up()
                    wire.to_the_end()

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(come_and_go, range(240), [random.Random(dice.random()) for _ in range(240)]))
        wait_until(lambda: not two[0]._clients and len(two[1]._clients) == 1)
        store = Store(redis.url, 5.0)  # and all that they did is done
        wait_until(lambda: {*store._turns.hkeys("labkit:names")} == {b"whole", b"n:witness", b"l:witness"})
        wait_until(lambda: not any("den" in key for key in keys(redis)))
        witness.send("/join den", "/who", "/join lobby", "/who", *[f"/nick p{n}" for n in range(240)])
        heard = witness.until("you are p239")
        assert "* in den: witness" in heard and "* in lobby: witness" in heard
        assert not [line for line in heard if line.startswith("!")]
    here: list[str] = []
    told = 0
    for words in [line.split() for line in heard]:
        match words[2:]:
            case ["joined"]:
                assert words[1] not in here
                here.append(words[1])
            case ["is", "now", new]:
                here[here.index(words[1])] = new
            case ["went", "to", _] | ["left", *_]:
                here.remove(words[1])  # no ValueError: they were here, and it is told once
                told += words[2] == "left"
    assert here == [] and told > 50


def test_newcomers_who_wait_for_redis_take_no_more_places_than_there_are() -> None:
    """A client that must make way is told, and closed, though its nickname is still being asked for."""
    need_redis()
    with (
        RedisServer() as redis,
        ChatServer(port=0, backplane=redis.url, limits=Limits(max_clients=2)) as server,
        contextlib.ExitStack() as wires,
    ):
        redis.pause()
        newcomers = []
        for n in range(6):
            newcomers.append(wires.enter_context(Wire(server.address)))
            assert newcomers[n].line() == "nickname"
            newcomers[n].send(f"n{n}")
        for wire in newcomers[:4]:
            with contextlib.suppress(ConnectionResetError):  # a name that was not read yet
                assert "! no nickname yet, and others need the room" in wire.to_the_end()
        redis.resume()
        for n in (4, 5):
            newcomers[n].until(f"you are n{n}")


# --- starting, and what is shown ---


def test_a_start_that_fails_leaves_nothing_open(bare_server: BareServer) -> None:
    """No socket, no selector, no thread; not even where no Redis answers."""
    here = psutil.Process()
    with pytest.raises(NoRedis):  # whatever is loaded at the first time
        ChatServer(port=0, backplane="redis://127.0.0.1:1").start()
    gc.collect()  # what others have left for it is not to go meanwhile
    before = here.num_fds()
    server = ChatServer(port=0, backplane="redis://127.0.0.1:1")
    with pytest.raises(NoRedis, match="no Redis at redis://127.0.0.1:1: Connection refused"):
        server.start()
    host, port = bare_server.address
    silent = ChatServer(port=0, backplane=f"redis://{host}:{port}", limits=HASTY)
    with pytest.raises(NoRedis, match=f"no Redis at redis://{host}:{port}: no answer"):
        silent.start()
    assert here.num_fds() == before


@pytest.mark.parametrize(
    "url",
    [
        "http://me:sesame@127.0.0.1",
        "redis://me:1234/sesame@127.0.0.1:6379",
        "redis://me:1234?sesame@127.0.0.1:6379",
        "redis://me:1234#sesame@127.0.0.1:6379",
        "redis://me:sesame℀@127.0.0.1:6379",
        "redis://me:sesame@[::1",
        "redis://me:sesame@127.0.0.1:x",
        "redis://me:sesame@127.0.0.1:99999",
        "redis://me:sesame@127.0.0.1/?socket_timeout=sesame",
        "me:sesame@127.0.0.1",
        "",
    ],
)
def test_a_url_that_is_none_is_told_without_its_password(url: str) -> None:
    """In one line that says what one looks like; nothing in it, or in the traceback, is of the password."""
    with pytest.raises(
        ValueError, match="not the URL of a Redis: .* looks like redis://HOST:PORT"
    ) as trouble:
        ChatServer(port=0, backplane=url)
    told = "".join(traceback.format_exception(None, trouble.value, None))
    assert "sesame" not in told and "1234" not in told and "\n" not in str(trouble.value)


def test_an_old_redis_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its version, and the one that is needed."""
    monkeypatch.setattr("redis.Redis.info", lambda self, section: {"redis_version": "6.0.16"})
    with pytest.raises(
        NoRedis, match="the Redis at redis://127.0.0.1:1 is 6.0.16; it must be 6.2 or newer"
    ):
        ChatServer(port=0, backplane="redis://127.0.0.1:1").start()


def test_a_user_with_a_password_is_let_in(shared: RedisServer) -> None:
    """An ACL user, whose password has letters that a URL must hide; one who may not write is refused."""
    admin = Store(shared.url, 5.0)._turns
    admin.acl_setuser(
        "chat", enabled=True, passwords=["+a/b?c#d@e"], keys=["labkit:*"], categories=["+@all"]
    )
    admin.acl_setuser("guest", enabled=True, passwords=["+sesame"], keys=["*"], categories=["+@read"])
    host, port = shared.address
    with ChatServer(port=0, backplane=f"redis://chat:a%2Fb%3Fc%23d%40e@{host}:{port}") as server:
        with ChatClient("alice", server.address) as alice:
            alice.say("/who")
            alice.wait_for("in lobby: alice")
        assert "a/b" not in repr(server) and server.shares_through == f"redis://{host}:{port}"
    with pytest.raises(NoRedis, match="permission") as trouble:
        ChatServer(port=0, backplane=f"redis://guest:sesame@{host}:{port}").start()
    assert "sesame" not in str(trouble.value)


def test_a_hello_that_comes_late_does_no_harm(redis: RedisServer) -> None:
    """It was held up on its way, and sent again: the turns go on where they were."""
    store = Store(redis.url, 5.0)
    store.hello("me", 5.0)
    assert store.turn("me", 1, 5.0, [("look", ())]) == [[]]
    store.hello("me", 5.0)
    assert store.turn("me", 2, 5.0, [("look", ())]) == [[]]
    store.turn("me", 3, 5.0, [("goodbye", ("server stopped",))])
    store.close()
