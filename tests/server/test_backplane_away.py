"""The backplane when something is away: a server, Redis, or the way between them.

Everything real: a server that is killed is a process, what cuts a server off is a Link in front of Redis.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import certificates
import psutil
import pytest
from chaos.fleet import in_memory
from programs import Program
from support import Wire, need_redis
from test_backplane import ask, keys, room_memory, stores_are_closed, wait_until  # noqa: F401

from labkit import ChatClient, ChatServer, Limits
from labkit.client.reconnect import LAST_WORDS
from labkit.instruments import redis_server
from labkit.instruments.faults import Delay, Freeze
from labkit.instruments.link import Link
from labkit.instruments.redis_server import RedisServer
from labkit.server.backplane import NoRedis, RedisHub
from labkit.server.backplane.backplane import GIVEN_UP
from labkit.server.backplane.session import WINDOW
from labkit.server.backplane.store import PASSWORD, GivenUp
from labkit.server.backplane.writer import Writer
from labkit.wire.messages import BACK, CUT_OFF

HASTY = Limits(lease=2.0)
"""For servers that are soon given up."""

LONG = 30.0
"""Seconds in which Redis, or a lease, may come and go."""


@pytest.fixture
def lasting() -> Iterator[RedisServer]:
    """A Redis that knows everything again when it is back."""
    need_redis()
    with in_memory():
        running = RedisServer(append_only=True).start()
    with running:
        yield running


@contextlib.contextmanager
def serving(url: str, *options: str) -> Iterator[tuple[tuple[str, int], psutil.Process]]:
    """A server in a process of its own; its address, and the process."""
    command = [sys.executable, "-m", "labkit", "serve", "--port", "0", "--backplane", url, *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        host, _, port = process.stdout.readline().strip().removeprefix("listening on ").rpartition(":")
        yield (host, int(port)), psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def let_in(address: tuple[str, int], nickname: str) -> Wire:
    """A client that comes while Redis comes back, and may be told of that first."""
    wire = Wire(address, LONG)
    assert wire.line() == "nickname"
    wire.send(nickname)
    assert but_for_the_news(wire.until("* you are")) == [f"* you are {nickname}, in lobby"]
    return wire


def but_for_the_news(lines: list[str]) -> list[str]:
    """What was heard, without what the server tells of itself and the others."""
    return [line for line in lines if line not in (f"* {CUT_OFF}", f"* {BACK}")]


# --- a server is away ---


def test_the_people_of_a_killed_server_are_told_once_and_free_their_names(redis: RedisServer) -> None:
    """After its lease, in every room, as `server lost`."""
    with (
        ChatServer(port=0, backplane=redis.url, limits=HASTY) as server,
        Wire.joined(server.address, "alice") as alice,
        serving(redis.url, "--lease", "2") as (address, process),
    ):
        _victims = [Wire.joined(address, name) for name in ("bob", "carol", "dave")]
        alice.until("dave joined")
        with Wire.joined(address, "erin") as erin:
            erin.send("/join den")
            alice.until("erin went to den")
            alice.sock.settimeout(LONG)
            process.kill()
            assert sorted(alice.lines(3)) == [
                "* bob left (server lost)",
                "* carol left (server lost)",
                "* dave left (server lost)",
            ]
        alice.send("/who", "/msg erin hello?", "/join den", "/who", "/nick erin")
        assert alice.lines(5) == [
            "* in lobby: alice",
            "! nobody here is called erin",
            "* you are alice, in den",
            "* in den: alice",
            "* you are erin, in den",
        ]


def test_talkers_wait_for_a_server_that_does_not_read(redis: RedisServer) -> None:
    """Until it is given up: a room takes up no more in Redis than its slowest server may be behind."""
    store = ask(redis)
    with (
        ChatServer(port=0, backplane=redis.url, limits=Limits(lease=2.0)) as server,
        Wire.joined(server.address, "alice") as alice,
        ChatClient("bob", server.address) as bob,
        serving(redis.url, "--lease", "2") as (address, process),
        ChatClient("carol", address),
    ):
        bob.wait_for("carol joined")
        process.suspend()
        alice.sock.settimeout(LONG)
        for n in range(200):
            alice.send(*["x" * 4000] * 250, f"end {n}")  # 1 MB; blocks when it is read no further
            if "* carol left (server lost)" in bob.transcript:
                break
        bob.wait_for("carol left (server lost)", timeout=LONG)
        heard = bob.transcript
        heard = heard[: heard.index("* carol left (server lost)")]
        # She was read no further until then, however much the kernels took.
        assert WINDOW // 2 < sum(len(line) for line in heard) < 2 * WINDOW
        bob.wait_for(f"end {n}", timeout=LONG)
        assert room_memory(store) < 2 * WINDOW + 4_000_000
        process.resume()


def test_a_server_that_was_given_up_lets_its_people_go_and_begins_anew(redis: RedisServer) -> None:
    """Cut off from Redis for longer than its lease; the others hear `server lost`, once."""
    with (
        Link(redis.address, client="server") as link,
        ChatServer(port=0, backplane=redis.url, limits=HASTY) as well,
        ChatServer(port=0, backplane=redis.url_through(link.address), limits=HASTY) as ill,
        Wire.joined(well.address, "alice") as alice,
        Wire.joined(ill.address, "bob") as bob,
    ):
        alice.until("bob joined")
        alice.sock.settimeout(LONG)
        bob.sock.settimeout(LONG)
        link.to_server.use(Freeze())
        link.to_client.use(Freeze())
        assert alice.line() == "* bob left (server lost)"
        bob.send("does anybody hear me?")
        alice.send("/nick bob", "/who")
        assert alice.lines(2) == ["* you are bob, in lobby", "* in lobby: bob"]
        link.to_server.use()
        link.to_client.use()
        link.reset()
        assert bob.to_the_end()[-1] == f"* {GIVEN_UP}"
        wait_until(lambda: ill.roster() == [])
        with Wire.joined(ill.address, "carol") as carol:
            assert alice.line() == "* carol joined"
            carol.send("all is well")
            assert alice.line() == "carol: all is well"


# --- Redis is away ---


@pytest.mark.parametrize("how", ["kill", "stop", "pause"])
def test_what_is_said_while_redis_is_away_waits(lasting: RedisServer, how: str) -> None:
    """All are told; nothing is lost, nothing comes twice; newcomers wait, too, and people may leave."""
    with (
        ChatServer(port=0, backplane=lasting.url, limits=Limits(lease=4)) as one,
        ChatServer(port=0, backplane=lasting.url, limits=Limits(lease=4)) as other,
        ChatClient("alice", one.address) as alice,
        ChatClient("bob", other.address) as bob,
        ChatClient("carol", other.address) as carol,
    ):
        alice.say("before")
        bob.wait_for("alice: before")
        getattr(lasting, how)()
        alice.say("one")
        alice.wait_for(CUT_OFF, LONG)
        bob.wait_for(CUT_OFF, LONG) if how != "pause" else None
        alice.say("two")
        alice.say("/nick al")
        alice.say("three")
        carol.leave()
        newcomer = Wire(one.address, LONG)
        assert newcomer.line() == "nickname"
        newcomer.send("dora")
        assert newcomer.line() == f"* {CUT_OFF}"
        lasting.resume() if how == "pause" else lasting.start()
        bob.wait_for("al: three", LONG)
        alice.wait_for(BACK, LONG)
        alice.wait_for("carol left (hung up)", LONG)
        bob.wait_for("dora joined", LONG)
        said = [line for line in bob.transcript if line.startswith(("al", "* al"))]
        assert said == ["alice: before", "alice: one", "alice: two", "* alice is now al", "al: three"]
        assert sorted(newcomer.lines(2)) == sorted([f"* {BACK}", "* you are dora, in lobby"])
        newcomer.close()


def test_talkers_are_read_no_further_while_redis_is_away(redis: RedisServer) -> None:
    """The flood of one stays in the kernels, and is heard to the end afterwards."""
    with (
        ChatServer(port=0, backplane=redis.url) as server,
        Wire.joined(server.address, "alice") as alice,
        ChatClient("bob", server.address) as bob,
    ):
        alice.until("bob joined")
        redis.pause()
        bob.say("?")
        alice.until(CUT_OFF)
        alice.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        alice.sock.settimeout(0.5)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 200_000_000:  # far more than kernels keep
                sent += alice.sock.send(b"x" * 4000 + b"\n")
        present = {person.nickname: person for person in server.present()}
        assert present["alice"].lines_in < 1000
        redis.resume()
        alice.sock.settimeout(LONG)
        alice.sock.sendall(b"\nthe end\n")
        bob.wait_for("alice: the end", LONG)


def test_an_answer_that_was_lost_makes_nothing_happen_twice(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis has done it, but no answer comes: the server asks again, under the same number."""
    # The answers are held back while no other turn is on its way: that one would never be answered, and the
    # line would never be sent. So no room is hushed meanwhile, and a beat of the lease is far away.
    answered: dict[Writer, int] = {}
    hand_out = Writer._hand_out

    def noted(writer: Writer, things: Any, answers: Any) -> None:
        hand_out(writer, things, answers)
        answered[writer] = writer._turn

    monkeypatch.setattr(Writer, "_hand_out", noted)
    monkeypatch.setattr("labkit.server.backplane.reader.LATELY", 600.0)
    patient = Limits(lease=600)
    with (
        Link(redis.address, client="server") as link,
        ChatServer(port=0, backplane=redis.url, limits=patient) as one,
        ChatServer(port=0, backplane=redis.url_through(link.address), limits=patient) as other,
        ChatClient("alice", one.address) as alice,
        ChatClient("bob", other.address) as bob,
    ):
        assert isinstance(other._hub, RedisHub)
        writer = other._hub._backplane.writer
        alice.wait_for("bob joined")
        for n in range(5):
            wait_until(lambda: answered.get(writer) == writer._turn and not writer._woken)
            link.to_client.use(Freeze())
            bob.say(f"{n}.")
            alice.wait_for(f"bob: {n}.", LONG)  # so it is done
            lost = list(link._relay.connections)
            link.reset()
            for connection in lost:
                wait_until(partial(getattr, connection, "over"))
            link.to_client.use()
            bob.say("/who")
            bob.wait_for("* in lobby", LONG)  # now the answer has come
        bob.say("/nick rob")
        alice.wait_for("bob is now rob", LONG)
        said = [line for line in alice.transcript if line.startswith("bob:")]
        assert said == [f"bob: {n}." for n in range(5)]


def test_a_slow_redis_makes_slow_and_no_more(redis: RedisServer) -> None:
    """Every answer comes 0.1 s late: all is heard, in order, and no client is told of a trouble."""
    with (
        Link(redis.address, client="server") as link,
        ChatServer(port=0, backplane=redis.url_through(link.address)) as server,
        ChatClient("alice", server.address) as alice,
        ChatClient("bob", server.address) as bob,
    ):
        alice.wait_for("bob joined")
        link.to_client.use(Delay(0.1))
        for n in range(200):
            alice.say(f"{n}.")
        assert [bob.wait_for("alice: ") for _ in range(200)] == [f"alice: {n}." for n in range(200)]
        assert CUT_OFF not in " ".join(bob.transcript)


@pytest.mark.parametrize("how", ["emptied", "started anew"])
def test_a_redis_that_has_forgotten_everything(redis: RedisServer, how: str) -> None:
    """No server can go on from what is gone: all clients are let go, and then it works again."""
    with (
        ChatServer(port=0, backplane=redis.url, limits=HASTY) as one,
        ChatServer(port=0, backplane=redis.url, limits=HASTY) as other,
        Wire.joined(one.address, "alice") as alice,
        Wire.joined(other.address, "bob") as bob,
    ):
        alice.until("bob joined")
        if how == "emptied":
            ask(redis)._turns.flushall()
        else:
            redis.kill()
            redis.start()
        for wire in (alice, bob):
            wire.sock.settimeout(LONG)
            assert wire.to_the_end()[-1] == f"* {GIVEN_UP}"
        with let_in(one.address, "alice") as again, let_in(other.address, "bob") as too:
            too.send("here we are")
            assert but_for_the_news(again.until("bob: ")) == ["* bob joined", "bob: here we are"]


def test_a_turn_that_is_asked_for_twice_is_done_once(redis: RedisServer) -> None:
    """The same answers, one effect; the number after the next is refused, and so is a stranger."""
    store = ask(redis)
    store.hello("me", 5.0)
    commands = [
        ("follow", ("den", "Den")),
        ("claim", ("me.1", "ann", "n:ann", "l:ann")),
        ("append", ("den", "ann: hi\n", '[["+", "me.1", "ann"]]')),
        ("look", ()),
    ]
    first = store.turn("me", 1, 5.0, commands)
    assert first == [[b"Den", b"0", b"0-0", []], [b"yours", b"ann"], first[2], []]
    assert store.turn("me", 1, 5.0, commands) == first
    assert store._turns.xlen("labkit:room:den") == 1
    assert store.turn("me", 2, 5.0, [("claim", ("me.2", "Ann", "n:ann"))]) == [[b"taken", b"ann"]]
    with pytest.raises(GivenUp):
        store.turn("me", 4, 5.0, commands)
    with pytest.raises(GivenUp):
        store.turn("you", 1, 5.0, commands)
    store.close()


def test_stop_takes_no_longer_than_it_must_while_redis_is_away(redis: RedisServer) -> None:
    """Its people are told and let go; no thread is left (conftest looks), whatever Redis does."""
    for name, how in (("alice", redis.pause), ("bob", redis.kill)):
        with ChatServer(port=0, backplane=redis.url, limits=HASTY) as server:
            with Wire.joined(server.address, name) as wire:
                how()
                server.stop()
                assert wire.to_the_end()[-1] == "* server stopped"
        if name == "alice":
            redis.resume()


# --- at the start, and what is never shown ---


def test_no_redis_is_told_in_one_line_and_leaves_nothing(redis: RedisServer) -> None:
    """The server does not start; its port is free again."""
    url = redis.url
    redis.kill()
    server = ChatServer(port=0, backplane=url)
    with pytest.raises(NoRedis, match=r"no Redis at redis://127\.0\.0\.1:\d+: Connection refused"):
        server.start()
    with pytest.raises(ValueError, match="not the URL of a Redis: http://127.0.0.1"):
        ChatServer(port=0, backplane="http://me:sesame@127.0.0.1")


def test_a_password_is_honoured_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the URL or in the environment; neither an error, nor what `serve` prints, nor `ps` has it."""
    need_redis()
    with RedisServer(password="sesame") as redis:
        plain = f"redis://127.0.0.1:{redis.address[1]}"
        for url in (plain, plain.replace("//", "//:wrong-word@")):
            with pytest.raises(NoRedis) as trouble:
                ChatServer(port=0, backplane=url).start()
            assert "wrong-word" not in str(trouble.value) and "\n" not in str(trouble.value)
            assert re.search("Authentication required|invalid username-password", str(trouble.value))
        with (
            ChatServer(port=0, backplane=redis.url) as server,
            ChatClient("alice", server.address) as alice,
        ):
            assert server.shares_through == plain
            assert "sesame" not in repr(vars(server._hub)) + repr(server) + " ".join(alice.transcript)
        monkeypatch.setenv(PASSWORD, "sesame")
        with serving(plain) as (address, process), ChatClient("bob", address) as bob:
            bob.say("/who")
            bob.wait_for("in lobby: bob")
            assert "sesame" not in " ".join(process.cmdline())
        broken = [sys.executable, "-m", "labkit", "serve", "--port", "0", "--backplane"]
        monkeypatch.delenv(PASSWORD)
        for url in (plain.replace("//", "//:wrong-word@"), "redis://:wrong-word@127.0.0.1:99999"):
            done = subprocess.run([*broken, url], capture_output=True, text=True, timeout=60)
            assert done.returncode == 1 and done.stdout == ""
            assert done.stderr.count("\n") == 1 and "wrong-word" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="no redis-server with TLS there")
def test_tls_is_honoured(tmp_path: Path) -> None:
    """rediss:// with the certificate's file; without it, it is not trusted, and that is told."""
    need_redis()
    made = certificates.make(tmp_path, "redis")
    with RedisServer() as plain:
        port = plain.address[1]
    program = redis_server.program()
    assert program is not None
    command = [program, "--port", "0", "--tls-port", str(port), "--tls-cert-file", made.pem]
    command += ["--tls-key-file", made.key, "--tls-ca-cert-file", made.pem, "--tls-auth-clients", "no"]
    command += ["--save", "", "--dir", str(tmp_path), "--bind", "127.0.0.1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    url = f"rediss://127.0.0.1:{port}"
    try:
        wait_until(lambda: _starts(f"{url}?ssl_ca_certs={made.pem}"))
        with pytest.raises(NoRedis, match="certificate verify failed"):
            ChatServer(port=0, backplane=url).start()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _starts(url: str) -> bool:
    """Whether a server with this backplane does its work."""
    try:
        with ChatServer(port=0, backplane=url) as server, ChatClient("alice", server.address) as alice:
            alice.say("/who")
            return bool(alice.wait_for("in lobby: alice"))
    except NoRedis:
        return False


def test_what_another_program_spoils_is_told_and_done_with(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program writes into our keys: no turn is done twice for it, and no client is left hanging."""
    # What finds it out is to be what alice says: so the room is not hushed, and the next beat is far away.
    monkeypatch.setattr("labkit.server.backplane.reader.LATELY", 600.0)
    store = ask(redis)
    with (
        ChatServer(port=0, backplane=redis.url, limits=Limits(lease=600)) as server,
        Wire.joined(server.address, "alice") as alice,
    ):
        store._turns.delete("labkit:room:lobby:state")
        alice.send("hello")
        assert alice.to_the_end() == [f"* {GIVEN_UP}"]
        assert "append: " in str(server.journal.wait_for("given up"))
        with Wire.joined(server.address, "bob") as bob:
            bob.send("/who")
            assert bob.line() == "* in lobby: bob"


def test_a_foreign_entry_lets_no_server_seem_well(redis: RedisServer) -> None:
    """A server that cannot read on lets its people go, and begins anew."""
    with ChatServer(port=0, backplane=redis.url) as server, Wire.joined(server.address, "alice") as alice:
        ask(redis)._turns.xadd("labkit:room:lobby", {"foo": "bar"})
        assert alice.to_the_end() == [f"* {GIVEN_UP}"]
        assert "cannot read" in str(server.journal.wait_for("given up"))
        with Wire.joined(server.address, "bob") as bob:
            bob.send("/who")
            assert bob.line() == "* in lobby: bob"


def test_a_url_that_does_not_say_what_it_seems_to_is_refused(redis: RedisServer) -> None:
    """Words where a database's number stands; options that are none; letters that hide what is what."""
    url = redis.url
    for wrong in (
        f"{url}/abc",
        f"{url}?protocol=3",
        "redis://:s3cretpw℀@localhost",
        "redis://user:s3cr@et/pw@localhost:1",
    ):
        with pytest.raises(ValueError, match="not the URL of a Redis") as trouble:
            ChatServer(port=0, backplane=wrong)
        assert "s3cr" not in str(trouble.value) and "pw" not in str(trouble.value).replace("password", "")
    with pytest.raises(NoRedis, match="an unknown option"):
        ChatServer(port=0, backplane=f"{url}?nonsense=1").start()


def test_a_client_names_what_waited_when_its_server_was_lost(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was told that what it says waits; then the server is gone, and with it what waited."""
    monkeypatch.setattr(
        "labkit.client.reconnect.LAST_WORDS", 60.0
    )  # a busy server may take longer to notice
    with (
        Link(redis.address, client="server") as link,
        ChatServer(port=0, backplane=redis.url, limits=HASTY) as well,
        ChatServer(port=0, backplane=redis.url_through(link.address), limits=HASTY) as ill,
        ChatClient("alice", [ill.address, well.address]) as alice,
    ):
        link.silence()
        alice.say("/who")  # now it notices
        alice.wait_for(CUT_OFF, LONG)
        alice.say("nobody hears this")
        ill.stop()
        assert "from this one on: /who" in alice.wait_for("# it may not have heard", LONG)
        alice.wait_for("# back at", LONG)


def test_a_client_names_what_was_said_before_it_could_know(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis answers no more. The server waits for 2 s, then tells; what was said before is named, too. So
    it is when the server is gone before it could tell."""
    assert LAST_WORDS > 2.5
    monkeypatch.setattr(
        "labkit.client.reconnect.LAST_WORDS", 60.0
    )  # here it may take longer: this machine is busy
    with (
        Link(redis.address, client="server") as ill,
        ChatServer(port=0, backplane=redis.url) as well,
        ChatServer(port=0, backplane=redis.url_through(ill.address)) as server,
        Link(server.address) as one,
        Link(server.address) as two,
        ChatClient("alice", [one.address, well.address]) as alice,
        ChatClient("bob", [two.address, well.address]) as bob,
    ):
        ill.silence()
        alice.say("first")
        bob.say("first")
        two.reset()
        assert bob.wait_for("may not have heard") == "# it may not have heard this line: first"
        alice.wait_for(CUT_OFF, LONG)
        alice.say("second")
        one.reset()
        assert alice.wait_for("may not have heard") == (
            "# it may not have heard the last 2 lines, from this one on: first"
        )


def test_the_operator_is_told_why_a_server_is_cut_off(redis: RedisServer) -> None:
    """`serve` prints the words of Redis, and when it is over; the journal has them, too."""
    store = ask(redis)
    command = [sys.executable, "-m", "labkit", "serve", "--port", "0", "--backplane", redis.url]
    with Program(*command) as serving, ChatServer(port=0, backplane=redis.url) as server:
        serving.until("shared through")
        store._turns.config_set("maxmemory", 1)
        serving.until("Cut off from other servers: command not allowed when used memory")
        event = server.journal.wait_for("backplane", timeout=LONG)
        assert "(command not allowed when used memory" in str(event)
        assert server.cut_off == "command not allowed when used memory > 'maxmemory'"
        store._turns.config_set("maxmemory", 0)
        serving.until("Back with other servers.")


def test_a_redis_that_throws_away_what_it_likes_is_refused(redis: RedisServer) -> None:
    """It could throw away the nicknames, and a client could come in with one that is taken."""
    store = ask(redis)
    store._turns.config_set("maxmemory", 10_000_000)
    ChatServer(port=0, backplane=redis.url).start().stop()
    store._turns.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(NoRedis, match=r"\(maxmemory-policy allkeys-lru\); it must be noeviction"):
        ChatServer(port=0, backplane=redis.url).start()
    store._turns.config_set("maxmemory", 0)
    ChatServer(port=0, backplane=redis.url).start().stop()


def test_no_client_can_connect_where_there_is_no_redis(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server asks for Redis before it listens."""
    listened: list[object] = []
    monkeypatch.setattr("labkit.server.acceptor.sockets.listen", lambda *where: listened.append(where))
    server = ChatServer(port=0, backplane=redis.url)
    redis.kill()
    with pytest.raises(NoRedis):
        server.start()
    assert listened == []


def test_a_port_that_is_taken_leaves_redis_alone(redis: RedisServer) -> None:
    """The server cannot listen: it has not taken part, and has no connection to Redis any more."""
    with ChatServer(port=0) as other:
        with pytest.raises(OSError, match="listens there already"):
            ChatServer(port=other.address[1], backplane=redis.url).start()
    mine = [
        c for c in psutil.Process().net_connections("tcp") if c.raddr and c.raddr[1] == redis.address[1]
    ]
    assert not [c for c in mine if c.status == psutil.CONN_ESTABLISHED]
    assert keys(redis) == []
