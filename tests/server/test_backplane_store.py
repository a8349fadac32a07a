"""backplane/store.py without a Redis: URLs, answers, and errors in a few words."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import redis

from labkit.server.backplane.store import GivenUp, NoRedis, Store, reason

UNLIKE = (
    "; it looks like redis://HOST:PORT/0, or begins with rediss:// (TLS) or unix://; in a password / is "
    "written %2F, ? %3F, # %23 and @ %40"
)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost", "redis://localhost"),
        ("redis://localhost:7/3", "redis://localhost:7/3"),
        ("redis://me:secret@localhost:7/3", "redis://localhost:7/3"),
        ("rediss://[::1]:7", "rediss://[::1]:7"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("redis://localhost/?client_name=x", "redis://localhost/"),
    ],
)
def test_where_it_is(url: str, shown: str) -> None:
    """Without its user, its password and its options."""
    store = Store(url, 2.0)
    assert store.where == shown and repr(store) == f"<Store {shown}>"
    for client in (store._turns, store._reads):
        options = client.connection_pool.connection_kwargs
        assert options["socket_timeout"] == options["socket_connect_timeout"] == 2.0
        assert options["retry"]._retries == 0  # the writer asks again, and knows that it does


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost/x", "redis://localhost/x"),
        ("redis://localhost/1/2", "redis://localhost/1/2"),
        ("redis://localhost?socket_timeout=1", "redis://localhost"),
        ("redis://localhost?protocol=3", "redis://localhost"),
        ("redis://me:se/cret@localhost", "(unreadable)"),
        ("redis://localhost:x", "(unreadable)"),
        ("redis://", "(unreadable)"),
        ("localhost", "(unreadable)"),
        ("http://localhost", "http://localhost"),
    ],
)
def test_what_is_no_url_of_a_redis(url: str, shown: str) -> None:
    """It is told how one looks, and nothing of a password."""
    with pytest.raises(ValueError) as error:
        Store(url, 2.0)
    assert str(error.value) == f"not the URL of a Redis: {shown}{UNLIKE}"


def test_a_password_may_come_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless the URL has one of its own."""
    monkeypatch.setenv("REDISCLI_AUTH", "sesame")
    for url, password in (("redis://localhost", "sesame"), ("redis://:own@localhost", "own")):
        assert Store(url, 2.0)._turns.connection_pool.connection_kwargs["password"] == password
    monkeypatch.delenv("REDISCLI_AUTH")
    assert Store("redis://localhost", 2.0)._turns.connection_pool.connection_kwargs.get("password") is None


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (redis.TimeoutError("Timeout reading from socket"), "no answer"),
        (TimeoutError(), "no answer"),
        (
            caused(
                redis.ConnectionError("Error 111 ..."), ConnectionRefusedError(111, "Connection refused")
            ),
            "Connection refused",
        ),
        (caused(redis.ConnectionError("Error ..."), OSError("odd")), "odd"),
        (caused(redis.ConnectionError("gone."), ValueError("x")), "gone"),
        (
            caused(redis.ResponseError("OOM command not allowed."), OSError(1, "x")),
            "OOM command not allowed",
        ),
        (redis.ResponseError("WRONGTYPE it is script: abc, on @user_script:3."), "WRONGTYPE it is"),
        (redis.ResponseError("one\ntwo"), "one"),
        (redis.ResponseError(""), "ResponseError"),
        (ConnectionResetError(104, "Connection reset by peer"), "[Errno 104] Connection reset by peer"),
    ],
)
def test_why_in_a_few_words(error: Exception, words: str) -> None:
    assert reason(error) == words


class Played:
    """A store whose Redis says what the test wants."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = Store("redis://localhost:7", 2.0)
        self.closed = 0
        self.server: Any = {"redis_version": "6.2.0"}
        self.memory: dict[str, Any] = {"maxmemory": 0, "maxmemory_policy": "noeviction"}
        monkeypatch.setattr(self.store._turns, "info", self.info)
        for client in (self.store._turns, self.store._reads):
            monkeypatch.setattr(client.connection_pool, "disconnect", self.disconnect)

    def info(self, section: str) -> Any:
        if isinstance(self.server, Exception):
            raise self.server
        return self.server if section == "server" else self.memory

    def disconnect(self) -> None:
        self.closed += 1


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    return Played(monkeypatch)


@pytest.mark.parametrize(
    ("version", "maxmemory", "policy", "why"),
    [
        ("6.2.0", 0, "noeviction", ""),
        ("7.0.15", 100, "noeviction", ""),
        ("10.1.0", 100, "volatile-lru", ""),
        ("6.2.0", 0, "allkeys-lru", ""),
        ("6.1.9", 0, "noeviction", " is 6.1.9; it must be 6.2 or newer"),
        ("5.9.9", 0, "noeviction", " is 5.9.9; it must be 6.2 or newer"),
        (
            "6.2.0",
            100,
            "allkeys-lru",
            " throws away what it likes when its memory is full (maxmemory-policy allkeys-lru); "
            "it must be noeviction",
        ),
    ],
)
def test_whether_it_will_do(played: Played, version: str, maxmemory: int, policy: str, why: str) -> None:
    """New enough, and it throws nothing away; else its connections are closed, and it is said why."""
    played.server = {"redis_version": version}
    played.memory = {"maxmemory": maxmemory, "maxmemory_policy": policy}
    if why:
        with pytest.raises(NoRedis) as error:
            played.store.open()
        assert str(error.value) == f"the Redis at redis://localhost:7{why}"
    else:
        played.store.open()
    assert played.closed == (2 if why else 0)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (redis.TimeoutError(), "no Redis at redis://localhost:7: no answer"),
        (OSError(113, "No route to host"), "no Redis at redis://localhost:7: [Errno 113] No route to host"),
        (redis.ResponseError("NOAUTH"), "no Redis at redis://localhost:7: NOAUTH"),
        (TypeError("unexpected"), "the URL of the Redis at redis://localhost:7 has an unknown option"),
    ],
)
def test_why_there_is_none(played: Played, error: Exception, why: str) -> None:
    played.server = error
    with pytest.raises(NoRedis) as none:
        played.store.open()
    assert str(none.value) == why
    assert played.closed == (0 if isinstance(error, TypeError) else 2)


def test_what_is_asked_for(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command with the number of its arguments; the lease in milliseconds."""
    asked: list[list[Any]] = []

    def script(args: list[Any]) -> list[Any]:
        asked.append(args)
        return ["one", "two"]

    monkeypatch.setattr(played.store, "_turn", script)
    monkeypatch.setattr(played.store, "_hello", script)
    assert played.store.turn("me", 7, 2.5, [("ring", ()), ("claim", ("a", b"b"))]) == ["one", "two"]
    played.store.hello("me", 2.5)
    turn, hello = asked
    assert turn[:3] == ["me", 7, 2500] and turn[-6:] == ["ring", 0, "claim", 2, "a", b"b"]
    assert hello[:2] == ["me", 2500]


def test_a_server_that_was_given_up(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told in its own words; another error is another error."""
    error: list[Exception] = [redis.ResponseError("GIVENUP the others have given this server up")]

    def script(args: list[Any]) -> list[Any]:
        raise error[0]

    monkeypatch.setattr(played.store, "_turn", script)
    with pytest.raises(GivenUp, match="^the others have given this server up$"):
        played.store.turn("me", 7, 2.5, [])
    error[0] = redis.ResponseError("OOM")
    with pytest.raises(redis.ResponseError, match="^OOM$"):
        played.store.turn("me", 7, 2.5, [])


@pytest.mark.parametrize(("seconds", "milliseconds"), [(0.5, 500), (5.0, 1000), (0.0, 1), (0.02, 20)])
def test_reading(
    played: Played, monkeypatch: pytest.MonkeyPatch, seconds: float, milliseconds: int
) -> None:
    """It waits for so long, but not for longer than half its patience; nothing is an empty list."""
    asked: list[tuple[Any, ...]] = []
    found: list[Any] = [None]

    def execute(*command: Any) -> Any:
        asked.append(command)
        return found[0]

    monkeypatch.setattr(played.store._reads, "execute_command", execute)
    assert played.store.read({"a": "1-0", "b": "2-0"}, seconds) == []
    command, count, number, block, wait, streams, *rest = asked[0]
    assert (command, count, block, wait, streams) == ("XREAD", "COUNT", "BLOCK", milliseconds, "STREAMS")
    assert number == 100 and rest == ["a", "b", "1-0", "2-0"]
    found[0] = [[b"a", [(b"3-0", {b"t": b"x"})]], [b"b", []]]
    assert played.store.read({"a": "1-0"}, seconds) == [("a", [("3-0", {b"t": b"x"})]), ("b", [])]


def test_no_socket_is_opened_before_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The URL alone is looked at."""
    monkeypatch.setattr(socket, "create_connection", None)
    Store("redis://localhost:7", 2.0).close()
