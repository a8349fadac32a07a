"""The load: it counts right, it finds servers that lose lines, and it works with every kind of server."""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from programs import LABKIT, PATIENCE, still_run
from support import BareServer, until

from labkit import ChatServer
from labkit.cli import load as load_command
from labkit.instruments.load import Comparison, LoadError, Plan, Result, compare, load
from labkit.instruments.load.plan import KINDS
from labkit.instruments.load.receipts import Receipts, SentLines
from labkit.instruments.load.servers import SERVERS, find, running
from labkit.instruments.load.times import BUCKETS, Times
from labkit.instruments.load.units import amount, span
from labkit.peers.classic_lines import ClassicWithLines

SMALL = {"clients": 6, "talkers": 3, "seconds": 0.1, "rate": 300.0, "patience": PATIENCE}


def this_threads_cores() -> set[int]:
    """Where the system does not say: none."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Fail a test that leaves a process or a socket behind, or this thread on other cores than before."""
    this = psutil.Process()
    there, cores = set(this.children(recursive=True)), this_threads_cores()
    sockets = len(this.net_connections("tcp"))
    yield
    assert still_run(set(this.children(recursive=True)) - there) == []
    assert this_threads_cores() == cores
    until(lambda: len(this.net_connections("tcp")) <= sockets)  # a server's threads close them by and by


# --- pure: times ---


def nearest_rank(values: list[float], percent: float) -> float:
    return sorted(values)[max(1, math.ceil(percent / 100 * len(values))) - 1]


@pytest.mark.parametrize("seed", range(5))
def test_percentiles_are_right_to_one_percent(seed: int) -> None:
    """Whatever the times are like, and in how many portions they come."""
    chance = random.Random(seed)
    values = [chance.lognormvariate(-8, 1 + seed) for _ in range(chance.randrange(1, 3000))]
    values = [min(max(value, 2e-6), 3000.0) for value in values]
    times = Times(values[: len(values) // 2])
    times.add(values[len(values) // 2 :])
    assert len(times) == len(values)
    for percent in (0, 0.1, 1, 50, 90, 99, 99.9, 100):
        right = nearest_rank(values, percent)
        assert right * (1 - 1e-9) <= times.percentile(percent) <= right * 1.0101
    assert times.percentile(100) == times.longest == max(values)


def test_times_at_the_ends() -> None:
    """None at all, too short, too long, and one alone."""
    assert math.isnan(Times().percentile(50)) and len(Times()) == 0
    ends = Times([0.0, 1e9])
    assert (ends.percentile(50), ends.longest, len(ends)) == (1e-6, 1e9, 2)
    assert Times([0.25]).percentile(1) == 0.25
    assert BUCKETS < 3000  # so many numbers are kept, however long it goes on
    for bad in (-1, 100.5, math.nan):
        with pytest.raises(ValueError, match="a percentile is from 0 to 100"):
            Times().percentile(bad)


def test_times_together() -> None:
    """What several runs come to is what one run of all would have come to."""
    both = Times.of_all([Times([0.001, 0.002]), Times([0.004])])
    assert len(both) == 3 and both.longest == 0.004
    assert both.percentile(50) == Times([0.001, 0.002, 0.004]).percentile(50)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0000042, "4.20 µs"), (0.00012, "120 µs"), (0.0123, "12.3 ms"), (1.5, "1.50 s"), (0.9999, "1.00 s")],
)
def test_a_time_in_words(seconds: float, words: str) -> None:
    """With the unit that suits it."""
    assert span(seconds) == words
    assert span(math.nan) == amount(math.nan) == "?"


# --- pure: which lines were sent, and which were received ---


def three_lines() -> tuple[SentLines, bytes]:
    """Lines 0 and 2 by talker 0, line 1 by talker 1; each said at ten times its number."""
    sent = SentLines(24)
    wire = b""
    for number, who in enumerate((0, 1, 0)):
        first, data = sent.make(who, 1)
        sent.mark_sent(first, first + 1, 10.0 * number)
        wire += b"n%d: " % who + data
    return sent, wire


def test_a_line_has_the_size_that_was_asked_for() -> None:
    """With its LF; from the least on."""
    for size in (11, 12, 24, 60, 4096):
        first, data = SentLines(size).make(0, 3)
        assert first == 0 and [len(line) for line in data.splitlines(keepends=True)] == [size] * 3
        assert data.endswith(b"00000002^\n")


@pytest.mark.parametrize("size", [1, 2, 5, 9, 1000])
def test_lines_are_found_wherever_recv_cuts_them(size: int) -> None:
    """And each came when the piece came that has its mark."""
    sent, wire = three_lines()
    receipts, times = Receipts(), Times()
    for number, at in enumerate(range(0, len(wire), size)):
        receipts.add(wire[at : at + size], 100.0 + number)
        if number % 3 == 0:
            receipts.count(sent, times)
    receipts.count(sent, times)
    assert receipts.totals(sent, who=7) == (3, 0, 0, 0)
    ends = [100.0 + wire.index(b"%08d^" % number, 0) // size for number in range(3)]
    came = [100.0 + (wire.index(b"%08d^" % number) + 8) // size for number in range(3)]
    assert all(a <= b for a, b in zip(ends, came, strict=True))
    assert times.longest == max(at - 10.0 * number for number, at in enumerate(came))


def test_lost_doubled_and_ones_own() -> None:
    """They are told apart, though the number of lines is right."""
    sent, wire = three_lines()
    first, second, third = wire.splitlines(keepends=True)
    receipts = Receipts()
    receipts.add(b"* ^ a notice with 0000^ in it ^\n" + first + third + third + b"12345678^\n", 100.0)
    receipts.count(sent, Times())
    assert receipts.totals(sent, who=7) == (2, 1, 1, 0)
    assert receipts.totals(sent, who=0) == (0, 1, 0, 3)


def test_what_was_never_said_is_not_lost() -> None:
    """Lines that were ready when a flood ended; and, when it was cut short, those still on their way."""
    sent, wire = three_lines()
    sent.make(0, 5)
    receipts = Receipts()
    receipts.add(wire.splitlines(keepends=True)[0], 100.0)
    receipts.count(sent, Times())
    assert receipts.totals(sent, who=7) == (1, 2, 0, 0)
    assert receipts.totals(sent, who=7, cut_short=True) == (1, 0, 0, 0)
    receipts.add(wire.splitlines(keepends=True)[1], 100.0)
    receipts.count(sent, Times())
    assert receipts.totals(sent, who=7, cut_short=True) == (2, 0, 0, 0)


def test_a_gap_is_lost_even_if_it_was_cut_short() -> None:
    """What comes later from the same talker proves that nothing is still on its way."""
    sent, wire = three_lines()
    receipts = Receipts()
    receipts.add(wire.splitlines(keepends=True)[2], 100.0)
    receipts.count(sent, Times())
    assert receipts.totals(sent, who=7, cut_short=True) == (1, 1, 0, 0)


def test_the_time_until_the_last_has_it() -> None:
    """Of each line the longest, over all who hear; lines that were to warm up do not count."""
    sent, wire = three_lines()
    sent.measured_from = 1
    for came in (100.0, 130.0):
        receipts = Receipts()
        receipts.add(wire, came)
        receipts.count(sent, Times())
    last = sent.until_last_receipt()
    assert len(last) == 2 and last.longest == 120.0


def test_very_many_lines() -> None:
    """The tables grow with them."""
    sent, receipts, times = SentLines(24), Receipts(), Times()
    first, data = sent.make(3, 10_000)
    sent.mark_sent(first, first + 10_000, 1.0)
    receipts.add(data, 2.0)
    receipts.count(sent, times)
    assert receipts.totals(sent, who=0) == (10_000, 0, 0, 0)
    assert len(times) == 10_000 and np.isclose(times.percentile(50), 1.0, rtol=0.01)


# --- a plan ---


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"kind": "steep"}, "Plan.kind is one of bursts, alone, burst, crowd, steady, flood, not 'steep'"),
        ({"clients": 1}, "Plan.clients is a whole number from 2 to 100000, not 1"),
        ({"clients": 4, "talkers": 5}, r"Plan.talkers is a whole number from 1 to 4 .*, not 5"),
        ({"lines": 0}, "Plan.lines is a whole number from 1 to"),
        ({"rate": 0.0}, "Plan.rate is from 0.01 to 1e\\+06, not 0.0"),
        ({"seconds": math.nan}, "Plan.seconds is from 0.01 to 3600, not nan"),
        ({"size": 10}, "Plan.size is a whole number from 11 to 4000, not 10"),
        ({"patience": "long"}, "Plan.patience is from 0.01 to 3600, not 'long'"),
    ],
)
def test_a_plan_that_will_not_do(bad: dict[str, object], why: str) -> None:
    """The error names what was given and what is needed, before anything is started."""
    with pytest.raises(ValueError, match=why):
        load("no such server", **bad)


def test_a_plan_in_words() -> None:
    """What a table is headed with."""
    assert str(Plan()) == "bursts: 100 clients, 10 of them talk, 10 lines each a round, for 2 s"
    assert str(Plan("flood", 5, lines=7)) == "flood: 5 clients, 5 of them talk, 7 lines each"
    assert str(Plan("alone")) == "alone: 100 clients, 1 of them talks, 1 line each a round, for 2 s"
    assert str(Plan("burst", 5)) == "burst: 5 clients, 5 of them talk, 10 lines each a round, for 2 s"
    assert str(Plan("crowd")) == "crowd: 100 clients, all of them talk, 1 line each a round, for 2 s"


@pytest.mark.parametrize(
    ("kind", "talkers", "lines"), [("alone", 1, 1), ("burst", 10, 10), ("crowd", 40, 1), ("bursts", 10, 10)]
)
def test_kinds_that_say_who_talks(kind: str, talkers: int, lines: int) -> None:
    """Shapes of a round, by name; where the plan gives a number, that holds."""
    plan = Plan(kind, clients=40)
    assert (plan.talking, plan.lines_a_round) == (talkers, lines)
    given = Plan(kind, clients=40, talkers=7, lines=3)
    assert (given.talking, given.lines_a_round) == (7, 3)
    assert Plan(kind, clients=2).talking == min(talkers, 2)


@pytest.mark.parametrize(("kind", "a_round"), [("alone", 1), ("burst", 60), ("crowd", 6)])
def test_what_is_said_in_a_round(kind: str, a_round: int, server: ChatServer) -> None:
    """Six clients: one line; ten of each; one of each."""
    result = load(server, kind=kind, clients=6, seconds=0.05, patience=PATIENCE)
    expect_all_came(result)
    assert result.said % a_round == 0


# --- against real servers ---


def expect_all_came(result: Result) -> None:
    assert result.right, result
    others = result.plan.clients - 1
    assert result.said > 0 and result.deliveries == result.said * others
    assert result.per_second > 0
    assert 0 < result.delivery.percentile(50) <= result.delivery.longest
    assert result.spread.percentile(50) >= result.delivery.percentile(1)
    if result.plan.kind == "steady":
        assert result.said == round(result.plan.rate * result.plan.seconds)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_load_on_labkits_server(kind: str, server: ChatServer) -> None:
    """In this process: everything comes, once. What is in this process too is not watched."""
    result = load(server, kind=kind, **SMALL)
    expect_all_came(result)
    assert result.before is result.after is None and not result.apart


@pytest.fixture(scope="module", params=["queues", "asyncio", "selectors"])
def peer(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """One of the peers, as a process of its own, for several loads."""
    with running(find(request.param)) as started:
        yield started.address


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_load_on_each_peer(kind: str, peer: tuple[str, int]) -> None:
    """They are right, too."""
    expect_all_came(load(peer, kind=kind, **SMALL))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_load_on_the_assignments_own(kind: str) -> None:
    """A new one each time: it does not survive that all leave."""
    expect_all_came(load("classic", kind=kind, **SMALL))


def test_a_flood_of_so_many_lines() -> None:
    """Every talker says them all, and is waited for."""
    with ChatServer(port=0) as server:
        result = load(server.address, kind="flood", lines=5000, **SMALL)
    assert result.said == 15_000 and result.right
    assert not result.cut_short


def test_of_many_readers_of_a_flood_some_are_measured() -> None:
    """The others' lines are counted; and the table says so."""
    with ChatServer(port=0) as server:
        result = load(server, kind="flood", lines=200, clients=25, talkers=2)
    assert result.right and result.deliveries == 2 * 200 * 24 and len(result.delivery) == 10 * 400 - 200
    assert "every line of 10 clients was looked at" in repr(result)


def test_more_than_a_server_can_do() -> None:
    """Lines are said when they are due, all the same."""
    result = load("selectors", kind="steady", clients=4, talkers=1, rate=300_000.0, seconds=0.2)
    assert result.said == 60_000 and result.right, result
    assert result.seconds > 0.2


# --- servers that are wrong ---


class Fake(ClassicWithLines):
    """The assignment's, whose threads can fail when all leave at once; here they fail silently."""

    def handle_client(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError, IndexError):
            super().handle_client(client)


class Wrong(Fake):
    """The assignment's, made to lose, double and echo: the tenth, the twentieth and the thirtieth line."""

    def __init__(self) -> None:
        super().__init__("localhost", 0)
        self.lock = threading.Lock()
        self.said = 0

    def broadcast(self, message: bytes, sender: socket.socket) -> None:
        with self.lock:
            self.said += b"^" in message
            turn = self.said if b"^" in message else 0
            others = [client for client in self.clients if client is not sender]
            for client in others:
                if (turn, client) != (10, others[-1]):
                    client.sendall(message * (2 if (turn, client) == (20, others[0]) else 1))
            if turn == 30:
                sender.sendall(message)


@pytest.mark.parametrize("kind", ["bursts", "steady"])
def test_a_server_that_loses_and_doubles_is_found_out(kind: str) -> None:
    """One line lost, one doubled, one sent back to its talker; and nothing else."""
    with Wrong() as wrong:
        plan = {**SMALL, "kind": kind, "lines": 20, "patience": 2.0}
        result = load(wrong.address, **plan)
    assert (result.lost, result.doubled, result.echoed, result.hung_up) == (1, 1, 1, 0)
    assert not result.right
    assert "1 lost, 1 doubled, 1 told to who had said it" in repr(result)
    assert len(result.spread) > 20


class Echoes(Fake):
    """Sends clients their own lines, too."""

    def broadcast(self, message: bytes, sender: socket.socket) -> None:
        for client in self.clients:
            client.sendall(message)


def test_a_server_that_echoes_can_be_measured() -> None:
    """The result says that it is wrong; what the others hear is counted all the same."""
    with Echoes("localhost", 0) as echoes:
        result = load(echoes.address, **SMALL)
    assert (result.lost, result.doubled) == (0, 0) and result.echoed == result.said + 3  # 3 to warm up
    assert result.deliveries == result.said * 5


class HangsUp(Fake):
    """Ends the last client's connection at the fiftieth line."""

    said = 0

    def broadcast(self, message: bytes, sender: socket.socket) -> None:
        HangsUp.said += 1
        if HangsUp.said == 50:
            self.clients[-1].shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            super().broadcast(message, sender)


def test_a_server_that_hangs_up_on_a_client() -> None:
    """The load goes on without it, and reports it."""
    with HangsUp("localhost", 0) as server:
        result = load(server.address, **{**SMALL, "patience": 2.0})
    assert result.hung_up >= 1 and result.lost > 0 and not result.right


@pytest.mark.parametrize(
    ("says", "why"),
    [
        (b"", r"client 1 of 6 is not asked for its `nickname` within 1 s; it heard nothing"),
        (b"hello\n", r"not asked .* the last that it heard: 'hello'"),
        (b"nickname\n! no\n", r"5 of 6 clients do not hear what the first one says within 1 s; .*'! no'"),
    ],
)
def test_a_server_that_lets_no_client_in(says: bytes, why: str, bare_server: BareServer) -> None:
    """The text has what it said last."""
    over = threading.Event()

    def serve() -> None:
        with contextlib.ExitStack() as all_of_them:
            bare_server.sock.settimeout(0.05)
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    client = all_of_them.enter_context(bare_server.accept())
                    client.send_bytes(says)

    serving = threading.Thread(target=serve, daemon=True)
    serving.start()
    try:
        with pytest.raises(LoadError, match=why):
            load(bare_server.address, **{**SMALL, "patience": 1.0})
    finally:
        over.set()
        serving.join()


def test_a_server_that_is_full() -> None:
    """It says so and hangs up, or with RST, which may overtake what it says."""
    from labkit import Limits

    with ChatServer(port=0, limits=Limits(max_clients=3)) as server:
        with pytest.raises(LoadError, match=r"hung up on client . as it joined(;| \(Connection reset)"):
            load(server, **SMALL)


@pytest.mark.parametrize(
    ("which", "why"),
    [
        ("nonsense", "no server is called 'nonsense'; give HOST:PORT, a command .* labkit, classic"),
        ("localhost:99999", "a port is a number from 1 to 65535, not 99999"),
        ("no/such/program {port}", "cannot run 'no/such/program': No such file or directory"),
        ("'", "cannot be understood as a command"),
        ([], "an empty command"),
    ],
)
def test_what_is_no_server(which: str, why: str) -> None:
    """The text says what is needed."""
    with pytest.raises(LoadError, match=why):
        load(which, **SMALL)


def test_uvloop_is_asked_for_and_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says how to get it; the other servers are measured."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with ChatServer(port=0) as server:
        comparison = compare([server, "uvloop"], **SMALL, repeats=1)
    assert comparison.missing == ["uvloop is not installed; this does it: pip install uvloop"]
    assert len(comparison.results) == 1 and not comparison.right


# --- comparing ---


def test_two_servers_of_the_same_name(server: ChatServer) -> None:
    """They are told apart."""
    comparison = compare([server, server], **{**SMALL, "seconds": 0.02}, repeats=1)
    assert comparison.servers == ["this one", "this one #2"]


@pytest.fixture(scope="module")
def compared() -> Comparison:
    """Two servers and a student's command, twice each."""
    command = f'"{sys.executable}" -m labkit.peers.selectors_server --port {{port}}'
    small = {**SMALL, "seconds": 0.05}
    return compare(["labkit", command], **small, repeats=2)


def test_servers_side_by_side(compared: Comparison) -> None:
    """In turn; each is watched, and on a core of its own where there are two."""
    name = Path(sys.executable).name
    assert compared.right, compared
    assert [result.server.split()[0] for result in compared.results] == ["labkit", name] * 2
    assert len(compared.rows()) == 2
    for result in compared.results:
        assert result.before and result.joined and result.after
        assert result.after.peak >= result.after.rss > 5e6 and result.cpu >= 0
        assert result.apart == (len(this_threads_cores()) > 1)
    rates = sorted(result.per_second for result in compared.of("labkit"))
    assert compared.figure("deliveries_per_second", "labkit") == sum(rates) / 2
    with pytest.raises(KeyError, match="nothing was measured of 'dave'"):
        compared.of("dave")


def test_the_table(compared: Comparison) -> None:
    """A head, a row for each, in columns."""
    lines = repr(compared).splitlines()
    assert lines[0].endswith("medians of 2 runs")
    assert lines[2].split()[:3] == ["server", "clients", "deliveries/s"]
    assert lines[3].startswith("labkit ") and len({len(line) for line in lines[2:5]}) == 1


def test_as_json(compared: Comparison) -> None:
    """All of it can be read back, and what is unknown is null."""
    read = json.loads(compared.as_json())
    assert read["right"] is True and len(read["runs"]) == 4
    assert read["medians"][0]["deliveries_per_second"] > 0
    unknown = replace(compared.results[0], joined=None, after=None)
    assert json.loads(unknown.as_json())["cpu_seconds"] is None


def words(figure: object) -> set[str]:
    from matplotlib.text import Text

    return {text.get_text() for text in figure.findobj(Text)}  # type: ignore[attr-defined]


def test_drawn_side_by_side(compared: Comparison) -> None:
    """Every axis says what it shows and in which unit, every line has its name; a notebook shows it."""
    drawing = compared.plot()
    for axes in drawing.axes:
        assert axes.get_xlabel()
    assert {"labkit", "deliveries a second", "delivery time", "server's CPU time a delivery (µs)"} <= words(
        drawing
    )
    assert drawing.axes[1].get_yscale() == "log"
    assert drawing._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
    assert compared.results[0].plot().axes


def test_drawn_against_the_number_of_clients(compared: Comparison) -> None:
    """Of several numbers, each is a point of a line."""
    more = [replace(r, plan=replace(r.plan, clients=12)) for r in compared.results]
    growing = Comparison(compared.results + more)
    drawing = growing.plot()
    assert {"clients", "deliveries a second", "delivery time, median", "labkit", "6", "12"} <= words(
        drawing
    )
    assert [len(line.get_xdata()) for line in drawing.axes[0].get_lines()] == [2, 2]
    assert growing.clients == [6, 12] and "more and more clients" in repr(growing)
    assert drawing.axes[1].get_ylim() == drawing.axes[2].get_ylim()


def test_a_steady_load_and_one_that_was_not_watched_can_be_drawn(server: ChatServer) -> None:
    """Other bars, for other questions."""
    drawing = load(server, kind="steady", **SMALL).plot()
    assert {"was not watched", "until the last client has a line (median, ms)"} <= words(drawing)


@pytest.mark.filterwarnings("error")
def test_a_server_that_delivered_nothing_can_be_drawn(compared: Comparison) -> None:
    """Beside one that did, and alone; without a warning, for that would go to standard error."""
    none = [
        replace(r, server="mute", deliveries=0, delivery=Times(), spread=Times()) for r in compared.results
    ]
    several = [replace(r, plan=replace(r.plan, clients=12)) for r in none]
    for results in (none, compared.results + none, none + several, compared.results + none + several):
        assert Comparison(results).plot()._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
        assert "mute" in repr(Comparison(results))


def test_nothing_to_draw() -> None:
    """That is an error, and not an empty picture."""
    with pytest.raises(ValueError, match="nothing was measured"):
        Comparison().plot()


# --- in a shell ---


def shell(*arguments: str) -> subprocess.CompletedProcess[str]:
    few = ["--clients", "5", "--seconds", "0.05", "--patience", f"{PATIENCE:g}"]
    return subprocess.run(
        [*LABKIT, "load", *few, *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        stdin=subprocess.DEVNULL,
    )


def test_in_a_shell(tmp_path: Path) -> None:
    """A table, and a drawing; nothing on standard error, which is no terminal."""
    file = tmp_path / "load.png"
    done = shell("--against", "selectors", "--repeats", "1", "--plot", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()[3:]] == ["labkit", "selectors"]
    assert file.read_bytes().startswith(b"\x89PNG") and file.stat().st_size > 10_000


def test_json_in_a_shell_of_a_server_that_runs(server: ChatServer) -> None:
    """HOST:PORT, and the process to watch."""
    done = shell("{}:{}".format(*server.address), "--json", "--pid", str(os.getpid()), "--kind", "steady")
    assert (done.returncode, done.stderr) == (0, "")
    (run,) = json.loads(done.stdout)["runs"]
    assert run["lost"] == run["doubled"] == 0 and run["rss_bytes"] > 1e6
    assert run["plan"]["kind"] == "steady"


def test_the_exit_status_of_a_wrong_server() -> None:
    """1, and the table says what was wrong."""
    with Wrong() as wrong:
        done = shell("{}:{}".format(*wrong.address), "--lines", "30", "--patience", "1")
    assert (done.returncode, done.stderr) == (1, "")
    assert "lost" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "why"),
    [
        (["--talkers", "9"], 2, "--talkers is a whole number from 1 to 5 (that is --clients), not 9"),
        (
            ["--kind", "steep"],
            2,
            "--kind is one of bursts, alone, burst, crowd, steady, flood, not 'steep'",
        ),
        (["--repeats", "-1"], 2, "--repeats is at least 1, not -1"),
        (["--against", "labkit"], 2, "one of the servers is given twice"),
        (["--plot", "load.doc"], 2, "a drawing's name ends with .png, .svg or .pdf; 'load.doc' does not"),
        (["--plot", "no/such/load.png"], 2, "there is no folder 'no/such'"),
        (["--rate", "fast"], 2, "invalid float value: 'fast'"),
        (["localhost:1"], 1, "labkit: nobody listens on localhost:1 ("),
        (["localhost:1", "--pid", "999999999"], 1, "there is no process 999999999"),
    ],
)
def test_bad_flags(
    arguments: list[str],
    status: int,
    why: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line says what was given and what is needed."""
    from labkit.__main__ import main

    few = ["--clients", "5", "--seconds", "0.05"]
    try:
        seen = main(["load", *few, *arguments])
    except SystemExit as end:
        seen = int(str(end.code))
    complaint = capsys.readouterr().err
    assert seen == status
    assert why in complaint.splitlines()[-1]


def test_numbers_of_clients_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Several with commas, or a clear error."""
    from labkit.__main__ import main

    with pytest.raises(SystemExit):
        main(["load", "--clients", "5,x"])
    assert "or several with commas between them, not '5,x'" in capsys.readouterr().err


def test_the_progress_bar_is_for_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """There it names the server and moves; elsewhere there is none."""
    with load_command._bar() as shows:
        assert shows is None
    monkeypatch.setattr(load_command, "is_terminal", lambda stream: True)
    with load_command._bar() as shows:
        assert shows is not None
        shows("asyncio", 0.0)
        threading.Event().wait(0.15)  # the bar is not drawn more often than ten times a second
        shows("asyncio", 0.5)
    assert "asyncio" in capsys.readouterr().err
    assert set(SERVERS) >= {"labkit", "classic", "asyncio", "selectors", "queues", "uvloop"}
