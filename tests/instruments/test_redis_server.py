"""A Redis of our own: a real one, not shared with other programs, that leaves nothing behind."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep

import psutil
import pytest
from programs import PATIENCE
from support import SOON, need, need_redis

from labkit.instruments import redis_server
from labkit.instruments.redis_server import RedisMissing, RedisNotStarted, RedisServer
from labkit.probe import children


@pytest.fixture(autouse=True)
def installed(request: pytest.FixtureRequest) -> Iterator[None]:
    """All but the tests without Redis need one."""
    if "without" not in request.node.name:
        need_redis()
    yield


def ask(redis: RedisServer, *words: str, timeout: float = SOON) -> str:
    """Send one command, on a connection of its own."""
    with redis_server._RedisConnection(redis.address[1], timeout) as connection:
        return connection.send(*words)


def wait_until(holds: Callable[[], bool], what: str) -> None:
    give_up = monotonic() + 4 * SOON
    while not holds():
        assert monotonic() < give_up, f"waited {4 * SOON:g} s until {what}"
        sleep(0.01)


def gone(pid: int) -> bool:
    """No such process; or one that has ended and was not waited for."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def folder_of(redis: RedisServer) -> Path:
    folder = redis._folder
    assert folder is not None
    return folder


def test_it_runs_inside_the_block_and_leaves_nothing() -> None:
    """Neither its process nor its folder."""
    with RedisServer() as redis:
        assert redis.running and ask(redis, "PING") == "+PONG"
        assert redis.url == f"redis://127.0.0.1:{redis.address[1]}"
        pid, folder = redis.pid, folder_of(redis)
        assert folder.is_dir()
    assert not redis.running and not folder.exists()
    assert not psutil.pid_exists(pid)
    redis.close()


def test_its_port_is_none_that_others_get() -> None:
    """Not 6379, where another Redis may be; none that an outgoing connection is given, or it could be
    taken while Redis is away."""
    assert 6379 not in redis_server.PORTS
    need(sys.platform == "linux", "/proc, which tells what outgoing connections are given")
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert redis_server.PORTS.stop <= first


@pytest.mark.parametrize("way", ["stop", "kill"])
@pytest.mark.parametrize("append_only", [True, False])
def test_started_again_it_is_the_same(way: str, append_only: bool) -> None:
    """The same port and folder; and it has its data again, if it wrote them to disk."""
    with RedisServer(append_only) as redis:
        before = redis.address, folder_of(redis)
        assert ask(redis, "SET", "room", "lobby") == "+OK"
        pid = redis.pid
        getattr(redis, way)()
        assert not redis.running and not psutil.pid_exists(pid)
        with pytest.raises(OSError):
            ask(redis, "PING")
        redis.start()
        assert (redis.address, folder_of(redis)) == before
        assert ask(redis, "GET", "room") == ("$5\r\nlobby" if append_only else "$-1")


def test_restart_is_stop_and_start(redis: RedisServer) -> None:
    """A new process, that answers when `restart` returns; and one that runs is not started twice."""
    pid = redis.pid
    assert redis.start().pid == pid
    assert redis.restart().pid != pid
    assert ask(redis, "PING") == "+PONG"


def test_it_can_be_started_after_it_ended_by_itself(redis: RedisServer) -> None:
    """However it ended: `running` says so."""
    os.kill(redis.pid, signal.SIGKILL)
    wait_until(lambda: not redis.running, "that is noticed")
    redis.start()
    assert ask(redis, "PING") == "+PONG"


def test_paused_it_says_nothing_and_keeps_its_connections(redis: RedisServer) -> None:
    """It answers the commands of meanwhile when it goes on."""
    with redis_server._RedisConnection(redis.address[1], SOON) as connection:
        redis.pause()
        with pytest.raises(TimeoutError):
            ask(redis, "PING", timeout=0.1)
        assert redis.running
        redis.resume()
        assert connection.send("PING") == "+PONG"


@pytest.mark.parametrize("way", ["stop", "kill", "close"])
def test_paused_it_can_be_ended(redis: RedisServer, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And at once: a paused process would not heed SIGTERM."""
    monkeypatch.setattr(redis_server, "STOPPING", 2 * PATIENCE)
    redis.pause()
    start = monotonic()
    getattr(redis, way)()
    assert not redis.running and monotonic() - start < redis_server.STOPPING / 2


def test_what_does_not_run_cannot_be_paused() -> None:
    """It says so; and before the first start it has no address."""
    redis = RedisServer()
    for use in (redis.pause, redis.resume, lambda: redis.pid):
        with pytest.raises(RuntimeError, match="does not run: <RedisServer, no port yet, stopped>"):
            use()
    with pytest.raises(RuntimeError, match="no address before start"):
        _ = redis.address
    redis.stop()
    redis.kill()
    redis.close()


def test_a_password_is_needed_and_not_to_be_seen() -> None:
    """Whatever characters it has, it is in the URL alone: in no `repr`, no process list, no file."""
    password = "top secret\"\\ ' $x ключ"
    with RedisServer(password=password) as redis:
        assert ask(redis, "PING").startswith("-NOAUTH")
        with redis_server._RedisConnection(redis.address[1], SOON) as connection:
            assert connection.send("AUTH", "wrong").startswith("-WRONGPASS")
            assert connection.send("AUTH", password) == "+OK"
            assert connection.send("PING") == "+PONG"
        assert redis.url.startswith("redis://:top%20secret%22%5C")
        assert redis.url_through(("localhost", 1)).endswith("@localhost:1")
        command = " ".join(psutil.Process(redis.pid).cmdline())
        files = "".join(f.read_text(errors="replace") for f in folder_of(redis).rglob("*") if f.is_file())
        for seen in (repr(redis), command, files):
            assert "secret" not in seen


def test_no_password_is_none_and_not_empty_without_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says so before anything is started."""
    monkeypatch.setattr(redis_server, "program", lambda: "/bin/false")
    with pytest.raises(ValueError, match="password is empty"):
        RedisServer(password="")


def test_where_it_is_missing_it_says_how_to_get_it_without_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither of the two names is on PATH."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert redis_server.program() is None
    with pytest.raises(RedisMissing, match="redis-server nor valkey-server.*apt-get install redis-server"):
        RedisServer()


def test_a_port_that_was_snatched_is_given_up_at_the_first_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """At first another one will do; later it must be the same, and the error says that it is taken."""
    with socket.socket() as snatcher:
        snatcher.bind(("127.0.0.1", 0))
        snatcher.listen()
        taken = snatcher.getsockname()[1]
        dice = random.SystemRandom()
        thrown: list[int] = []

        class Dice:
            def choice(self, ports: range) -> int:
                thrown.append(dice.choice(ports) if thrown else taken)
                return thrown[-1]

        monkeypatch.setattr("labkit.instruments.redis_server.random.SystemRandom", Dice)
        with RedisServer() as redis:
            assert thrown[0] == taken and len(thrown) > 1
            assert redis.address == ("127.0.0.1", thrown[-1])
            redis._port = taken
            redis.stop()
            with pytest.raises(RedisNotStarted, match=f"port {taken} of 127.0.0.1: Address already in use"):
                redis.start()


def test_without_its_settings_it_listens_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its program may end before it has written them. Redis's own port, 6379, is not ours."""
    monkeypatch.setattr(RedisServer, "_settings", lambda self: b"")
    with RedisServer() as redis:
        listens = psutil.Process(redis.pid).net_connections("tcp")
        assert {tuple(one.laddr) for one in listens if one.status == psutil.CONN_LISTEN} == {redis.address}


def test_a_port_snatched_at_the_last_moment_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even by another Redis, which answers: it is not ours, and ours has ended."""
    monkeypatch.setattr(redis_server, "_must_be_free", lambda port: None)
    with RedisServer() as other:

        class Dice:
            def choice(self, ports: object) -> int:
                return other.address[1]

        monkeypatch.setattr("labkit.instruments.redis_server.random.SystemRandom", Dice)
        monkeypatch.setattr(redis_server, "TRIES", 2)
        redis = RedisServer()
        with pytest.raises(RedisNotStarted, match="(?s)ended at once.*Address already in use"):
            redis.start()
        assert other.running and not redis.running
        redis.close()


def test_what_ends_at_once_is_told_with_its_last_lines(tmp_path: Path) -> None:
    """Not a Redis at all, say."""
    need(os.name == "posix", "a shell script as the program")
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\necho no such luck >&2\nexit 3\n")
    program.chmod(0o755)
    redis = RedisServer()
    redis._program = str(program)
    with pytest.raises(
        RedisNotStarted, match="ended at once, with status 3; its last lines:\n    no such luck"
    ):
        redis.start()
    redis.close()


@pytest.mark.parametrize("how", ["ends", "is killed"])
def test_it_does_not_outlive_its_program(how: str) -> None:
    """Whether that ends without `close`, or is killed; and the folder goes, too."""
    script = (
        "from labkit.instruments.redis_server import RedisServer as R; r = R().start();"
        "print(r.pid, r._folder, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None and program.stdin is not None
        pid, folder = program.stdout.readline().split()
        assert psutil.pid_exists(int(pid)) and Path(folder).is_dir()
        if how == "ends":
            program.stdin.write("\n")
            program.stdin.flush()
        else:
            program.kill()
        program.wait(SOON)
    wait_until(lambda: gone(int(pid)), "Redis is gone")
    wait_until(lambda: not Path(folder).exists(), "its folder is gone")


def test_nor_if_that_is_killed_while_it_starts() -> None:
    """Before the reaper knows its number; and when it looks, Redis has written over its environment."""
    need(os.name == "posix", "SIGSTOP")
    script = """
import os, time
from labkit.instruments.redis_server import RedisServer
from labkit.probe import children
tell = children._tell
def stop(pipe, line):
    if line.startswith("family"):
        print(line.split()[1], children._token, flush=True)
        time.sleep(600)
    tell(pipe, line)
children._tell = stop
RedisServer().start()
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        pid, mark = program.stdout.readline().split()
        redis = psutil.Process(int(pid))
        reaper = next(
            one for one in psutil.process_iter(["cmdline"]) if mark in (one.info["cmdline"] or [])
        )
        reaper.suspend()
        program.kill()
    wait_until(lambda: mark not in redis.environ().get(children.MARK, ""), "its mark is gone")
    reaper.resume()
    wait_until(lambda: gone(redis.pid), "Redis is gone")
