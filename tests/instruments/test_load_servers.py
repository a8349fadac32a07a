"""The load over several servers: how it is spread, what the results say, and what stays secret."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from time import monotonic, sleep

import psutil
import pytest
from programs import PATIENCE
from support import need, need_redis
from test_load import SMALL, expect_all_came, nothing_left, shell, three_lines, words

from labkit import ChatServer
from labkit.__main__ import main
from labkit.instruments.link import Link
from labkit.instruments.load import Comparison, LoadError, Result, compare, load, run, shared
from labkit.instruments.load.joining import join
from labkit.instruments.load.receipts import Receipts
from labkit.instruments.load.servers import RunningTarget, Target, find, find_several, running
from labkit.instruments.load.times import Times
from labkit.instruments.redis_server import RedisServer

__all__ = ["nothing_left"]  # a fixture that is used by all tests of this file, too

SECRET = "open-sesame-14901"
HIDDEN = f"redis://:{SECRET}@localhost:1"


# --- which lines cross from one server to another ---


def test_a_line_that_crosses_is_told_from_one_that_does_not() -> None:
    """Talker 0 is on server 0, talker 1 on server 1: by where one listens, one line crosses, or two do."""
    sent, wire = three_lines()
    sent.servers = 2
    for server, counts in ((0, (2, 1)), (1, (1, 2))):
        receipts, within, crossed = Receipts(server), Times(), Times()
        receipts.add(wire, 100.0)
        receipts.count(sent, within, crossed)
        assert (len(within), len(crossed)) == counts
        assert receipts.totals(sent, who=7) == (3, 0, 0, 0)
        assert (crossed if server == 0 else within).longest == 90.0  # line 1, said at 10.0


# --- how clients are spread: two addresses of one server are enough to see it ---


@pytest.fixture
def addresses(server: ChatServer) -> Iterator[list[tuple[str, int]]]:
    """Two addresses of the same server."""
    with Link(server.address) as link:
        yield [server.address, link.address]


@pytest.mark.parametrize("count", [2, 5, 40])
def test_clients_are_spread_evenly(addresses: list[tuple[str, int]], count: int) -> None:
    """In turn, so that talkers are spread, too."""
    clients, echoes = join(addresses, count, PATIENCE)
    try:
        ports = [client.sock.getpeername()[1] for client in clients]
        assert ports == [addresses[number % 2][1] for number in range(count)]
        assert not echoes
        assert [client.number for client in clients] == list(range(count))
        assert len({client.nickname for client in clients}) == count
    finally:
        for client in clients:
            client.sock.close()


@pytest.fixture
def as_two_servers(addresses: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    """These two addresses stand for servers that the load has started."""

    @contextlib.contextmanager
    def two(target: Target, pid: int | None) -> Iterator[RunningTarget]:
        assert (target.count, target.backplane, pid) == (2, HIDDEN, None)
        yield RunningTarget(addresses, [])

    monkeypatch.setattr(run, "running", two)


@pytest.mark.parametrize("kind", ["bursts", "steady"])
def test_deliveries_within_a_server_and_from_one_to_another(kind: str, as_two_servers: None) -> None:
    """Six clients, three on each: of what one says, two hear it on its own server, three on the other."""
    result = load(servers=2, backplane=HIDDEN, kind=kind, **SMALL)
    expect_all_came(result)
    assert (result.server, result.servers, result.backplane) == ("2 servers", 2, True)
    assert (len(result.within), len(result.crossed)) == (2 * result.said, 3 * result.said)
    assert len(result.delivery) == 5 * result.said
    heads, row = repr(result).splitlines()[2:4]
    assert "p50 within  p50 across" in heads and row.startswith("2 servers")


# --- what may be asked for ---


@pytest.mark.parametrize(
    ("count", "backplane", "why"),
    [
        (0, "own", "a number of servers is a whole number from 1 to 100, not 0"),
        (101, "own", "from 1 to 100, not 101"),
        (2, None, "2 servers without a backplane are 2 chats: .* or 'own' to have one started"),
        (7, "own", "7 servers need as many clients or more, not 6"),
        (2, "localhost:6379", "redis://HOST:PORT, rediss://HOST:PORT or 'own', not 'localhost:6379'"),
        (2, "http://localhost", "not 'http://localhost'"),
        (2, f"reddis://:{SECRET}@localhost", "not this one, which begins otherwise"),
    ],
)
def test_servers_that_cannot_be_had(count: int, backplane: str | None, why: str) -> None:
    """The error names what was given and what is needed, but no password; nothing was started."""
    for attempt in (
        lambda: load(servers=count, backplane=backplane, **SMALL),
        lambda: compare([count], backplane=backplane, **SMALL),
    ):
        with pytest.raises(ValueError, match=why) as error:
            attempt()
        assert SECRET not in str(error.value)


def test_what_does_not_go_together() -> None:
    """Other servers than labkit's have no backplane; and one needs servers that use it."""
    with pytest.raises(ValueError, match="for labkit's own server, not for 'asyncio'"):
        load("asyncio", servers=2, backplane="own")
    with pytest.raises(ValueError, match="for numbers of servers, and there is none among them"):
        compare(["labkit"], backplane="own")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--servers", "2"], "2 servers without a backplane are 2 chats"),
        (["--servers", "0", "--backplane", "own"], "a whole number from 1 to 100, not 0"),
        (["--servers", "two"], "or several with commas between them, not 'two'"),
        (["--servers", "2,2", "--backplane", "own"], "one of the servers is given twice"),
        (["--servers", "9", "--backplane", "own"], "9 servers need as many clients or more, not 5"),
        (["--servers", "1", "--backplane", "6379"], "or 'own', not '6379'"),
        (["--servers", "2", "--backplane", HIDDEN.replace("redis", "ftp")], "not this one"),
        (["asyncio", "--servers", "2", "--backplane", "own"], "labkit's own, not for 'asyncio'"),
        (["--against", "classic", "--backplane", "own"], "labkit's own, not for 'classic'"),
    ],
)
def test_bad_flags(arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line says what was given and what is needed."""
    with pytest.raises(SystemExit) as end:
        main(["load", "--clients", "5", *arguments])
    complaint = capsys.readouterr().err
    assert end.value.code == 2 and why in complaint.splitlines()[-1] and SECRET not in complaint


@pytest.mark.parametrize(
    ("arguments", "servers", "backplane", "repeats"),
    [
        ([], ["labkit"], None, 1),
        (["--servers", "1"], [1], None, 1),
        (["--servers", "2", "--backplane", "own"], [2], "own", 1),
        (["--backplane", "own"], ["labkit", 1], "own", 3),
        (["--servers", "1,2,4", "--backplane", "own"], ["labkit", 1, 2, 4], "own", 3),
        (["--servers", "2,4", "--backplane", "own", "--repeats", "2"], ["labkit", 2, 4], "own", 2),
    ],
)
def test_what_the_flags_ask_for(
    arguments: list[str],
    servers: list[object],
    backplane: str | None,
    repeats: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A number is measured alone; several, beside one without a backplane."""
    asked: list[object] = []

    def no_comparison(which: list[object], **options: object) -> Comparison:
        asked.extend([which, options["backplane"], options["repeats"]])
        return Comparison(missing=["not measured"])

    monkeypatch.setattr(import_module("labkit.instruments.load.run"), "compare", no_comparison)
    assert main(["load", *arguments]) == 1
    assert asked == [servers, backplane, repeats]
    capsys.readouterr()


# --- what stays secret ---


@pytest.mark.parametrize(
    ("url", "without", "password"),
    [
        ("redis://h:1", "redis://h:1", None),
        (f"redis://:{SECRET}@h:1/2", "redis://h:1/2", SECRET),
        (
            "rediss://ann:a%40b%2F@[::1]:1?ssl_ca_certs=a.pem",
            "rediss://ann@[::1]:1?ssl_ca_certs=a.pem",
            "a@b/",
        ),
        (f"unix:///tmp/a?password={SECRET}&db=1", "unix:///tmp/a?db=1", SECRET),
    ],
)
def test_a_url_and_its_password(
    url: str, without: str, password: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are taken apart; the servers get the one on the command line, the other by the environment,
    which may hold it from the start."""
    monkeypatch.setenv("REDISCLI_AUTH", "another")
    with shared.opened(url) as redis:
        assert (redis.url, redis.password) == (without, password or "another")
    assert SECRET not in repr(redis) + repr(find_several(2, url, 100))
    assert shared.environment(redis) == {**os.environ, "REDISCLI_AUTH": password or "another"}
    assert "REDISCLI_AUTH" not in shared.environment(shared.Redis("redis://h:1"))
    assert "REDISCLI_AUTH" not in shared.environment(None)


def test_a_redis_that_does_not_answer(redis: RedisServer) -> None:
    """What it has used is unknown then; the load goes on."""
    assert shared.Redis(redis.url).cpu() >= 0
    redis.stop()
    assert math.isnan(shared.Redis(redis.url).cpu())


def test_no_redis_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text says how to get one."""
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(LoadError, match="apt-get install redis-server"):
        load(servers=2, backplane="own", **SMALL)


# --- servers that die ---


def kill_a_server() -> None:
    """One that this process has started."""
    servers = [p for p in psutil.Process().children() if "serve" in p.cmdline()]
    servers[0].kill()


def test_a_server_that_dies_meanwhile() -> None:
    """A clear line says so, beside what was lost."""
    need(os.name == "posix", "a signal is a status only there")
    killed: list[str] = []

    def shows(server: str, share: float) -> None:
        if not killed and share > 0.1:
            killed.append(server)
            kill_a_server()

    result = load(servers=1, shows=shows, kind="steady", **{**SMALL, "seconds": 3.0})
    assert killed == [shared.NONE] == [result.server]
    assert result.died == "the server ended meanwhile, with status -9"
    assert not result.right and result.hung_up == 6 and result.after is None
    assert f"{shared.NONE}: the server ended meanwhile, with status -9, " in repr(result)
    assert json.loads(result.as_json())["died"] == result.died


def test_a_server_that_dies_as_clients_join() -> None:
    """The error begins with it: what the clients saw came of it."""
    need(os.name == "posix", "a signal is a status only there")
    with running(find("labkit")) as server:
        kill_a_server()
        give_up = monotonic() + 20
        while not server.died and monotonic() < give_up:
            sleep(0.01)
        with pytest.raises(LoadError, match=r"^the server ended meanwhile, with status -9; nobody listens"):
            with run._telling_who_died(server):
                join(server.addresses, 2, 1.0)


# --- what came out, as text and as a drawing ---


@pytest.fixture(scope="module")
def measured() -> Result:
    """A real result, from which others are made."""
    with ChatServer(port=0) as server:
        return load(server.address, **SMALL)


@pytest.fixture
def several(measured: Result) -> Comparison:
    """As of 1 server without a backplane, and 1, 2 and 4 with one; twice each."""
    results = []
    for again in (1.0, 1.25):
        for servers, backplane, times in ((1, False, 1.0), (1, True, 2.0), (2, True, 4.0), (4, True, 8.0)):
            one = replace(
                measured,
                server=shared.label(servers, "own" if backplane else None),
                servers=servers,
                backplane=backplane,
                redis_cpu=0.25 * times * again if backplane else math.nan,
                seconds=times * again,
                crossed=measured.within if servers > 1 else Times(),
                cores=2,
            )
            results.append(one)
    return Comparison(results)


def test_the_table_of_several_servers(several: Comparison) -> None:
    """It has what Redis used and what crossed, what the backplane costs, and who had the cores."""
    table = repr(several).splitlines()
    assert "p50 across" in table[2] and "  Redis  " in table[2]
    assert [line.split("  ")[0] for line in table[3:7]] == [
        "1 server, no backplane",
        "1 server",
        "2 servers",
        "4 servers",
    ]
    assert len({len(line) for line in table[2:7]}) == 1
    assert "25%" in table[4] and "25%" not in table[3]
    assert "1 server: 0.50 × the deliveries a second of 1 server, no backplane" in table
    assert "4 servers: 0.12 × the deliveries a second of 1 server, no backplane" in table
    assert several.machine() in table and "shared 2 cores: this tells nothing of" in several.machine()
    apart = Comparison([replace(result, apart=True) for result in several.results])
    assert apart.machine().startswith("Of 2 cores the load had one, the servers shared the other, and")
    read = json.loads(several.as_json())["medians"]
    assert [row["redis_cpu_share"] for row in read] == [None, 0.25, 0.25, 0.25]
    assert read[1]["crossed_p50_seconds"] is None and read[2]["crossed_p99_seconds"] > 0


def test_several_servers_drawn(several: Comparison) -> None:
    """A bar for each, and who shared the cores."""
    drawing = several.plot()
    assert {"1 server, no backplane", "1 server", "2 servers", "4 servers"} <= words(drawing)
    assert {several.machine(), "deliveries a second"} <= words(drawing)
    assert drawing.axes[1].get_yscale() == "log"
    assert drawing._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("error")
def test_what_can_be_drawn(several: Comparison, measured: Result) -> None:
    """One alone, one that delivered nothing, a steady load, and several numbers of clients."""
    only = several.results[2]
    mute = replace(only, server="4 servers", deliveries=0, delivery=Times(), spread=Times())
    steady = [replace(r, plan=replace(r.plan, kind="steady")) for r in several.results]
    more = [replace(r, plan=replace(r.plan, clients=12)) for r in several.results]
    for results in ([only], [only, mute], [mute], steady, several.results + more):
        assert Comparison(results).plot()._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
    assert "until the last client has a line (median, ms)" in words(Comparison(steady).plot())
    assert "×" not in repr(Comparison(steady)) and "deliveries a second of" not in repr(Comparison([only]))
    assert Comparison([measured]).machine() == ""


# --- with a Redis ---


@pytest.fixture
def redis_with_password() -> Iterator[RedisServer]:
    """A Redis of our own that asks for a password."""
    need_redis()
    with RedisServer(password=SECRET) as redis:
        yield redis


@pytest.mark.parametrize("kind", ["bursts", "steady", "flood"])
def test_each_kind_of_load_on_two_servers(kind: str, redis: RedisServer) -> None:
    """Everything comes, once, to all; the servers and Redis are watched."""
    result = load(servers=2, backplane=redis.url, kind=kind, **SMALL)
    expect_all_came(result)
    assert (len(result.within), len(result.crossed)) == (2 * result.said, 3 * result.said)
    assert result.cpu >= 0 and result.redis_cpu >= 0


def test_a_password_is_never_seen(redis_with_password: RedisServer) -> None:
    """Not in the list of processes, the table, the JSON or the drawing."""
    seen: list[str] = []

    def shows(server: str, share: float) -> None:
        seen.append(server)
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
                seen.append(" ".join(process.cmdline()))

    result = load(servers=2, backplane=redis_with_password.url, shows=shows, **SMALL)
    assert result.right and any("labkit serve" in line for line in seen)
    everything = [*seen, repr(result), result.as_json(), *words(result.plot())]
    assert not [text for text in everything if SECRET in text]


def test_a_redis_that_is_not_there(redis_with_password: RedisServer) -> None:
    """Nothing can be measured; one line says why, without the password."""
    redis_with_password.stop()
    with pytest.raises(LoadError, match=r"labkit serve .* ended at once") as trouble:
        load(servers=2, backplane=redis_with_password.url, **SMALL)
    assert SECRET not in str(trouble.value) and str(redis_with_password.address[1]) in str(trouble.value)


def test_one_of_two_servers_dies(redis: RedisServer) -> None:
    """Its clients lose their connections, the others go on; the result has both."""
    killed: list[str] = []

    def shows(server: str, share: float) -> None:
        if not killed and share > 0.1:
            killed.append(server)
            kill_a_server()

    plan = {**SMALL, "kind": "steady", "seconds": 3.0, "patience": 2.0}
    result = load(servers=2, backplane=redis.url, shows=shows, **plan)
    assert result.died == "1 of 2 servers ended meanwhile, with status -9" and result.hung_up == 3
    assert not result.right and result.deliveries > 0


def test_in_a_shell(tmp_path: Path) -> None:
    """Redis and all, from one command: the reference, one server and two; a table and a drawing."""
    need_redis()
    file = tmp_path / "servers.png"
    done = shell("--servers", "1,2", "--backplane", "own", "--repeats", "1", "--plot", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split("  ")[0] for line in done.stdout.splitlines()[3:6]] == [
        "1 server, no backplane",
        "1 server",
        "2 servers",
    ]
    assert file.read_bytes().startswith(b"\x89PNG")
