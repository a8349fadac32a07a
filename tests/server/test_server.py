"""server.py, acceptor.py and connection.py: coming, staying and going, through bare sockets."""

from __future__ import annotations

import errno
import gc
import os
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest
from support import SOON, Wire, need

from labkit import RAW, ChatClient, ChatServer, Limits
from labkit.probe.ports import free_port
from labkit.server import PORT
from labkit.server.handshake import RAW_PAUSE
from labkit.wire import sockets
from labkit.wire.messages import HUNG_UP, NO_NICKNAME, TOO_SLOW, VANISHED


def until(*wires: Wire, text: str) -> None:
    """Each of these has heard a line that holds `text`."""
    for wire in wires:
        wire.until(text)


@pytest.fixture(params=[True, False], ids=["dontwait", "select"])
def any_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Both ways to send without waiting: MSG_DONTWAIT, and the one for systems that lack it."""
    if not request.param:
        monkeypatch.setattr(sockets, "HAS_DONTWAIT", False)
    yield


# --- starting and stopping ---


def test_start_and_stop_twice_do_no_harm() -> None:
    """Both may be called again; what was stopped stays stopped, and says so."""
    server = ChatServer(port=0)
    with pytest.raises(RuntimeError, match="before start"):
        _ = server.address
    assert server.start() is server.start()
    assert server.running
    server.stop()
    server.stop()
    assert not server.running
    assert server.wait(0)
    with pytest.raises(RuntimeError, match="make a new one"):
        server.start()


def test_stop_before_start_is_no_error() -> None:
    """There is nothing to stop; the server is just over."""
    server = ChatServer(port=0)
    server.stop()
    assert server.wait(0)
    assert not server.running


def test_a_taken_port_is_told_plainly(server: ChatServer) -> None:
    """The error names the host, the port and the reason, and leaves nothing behind."""
    host, port = server.address
    with pytest.raises(OSError, match=f"{host}:{port}: this Python process itself listens there") as info:
        ChatServer(host, port).start()
    assert info.value.errno == errno.EADDRINUSE


@pytest.mark.parametrize("port", [-1, 65536])
def test_an_impossible_port_is_told_plainly(port: int) -> None:
    """Ports go from 0 to 65535."""
    with pytest.raises(ValueError, match="a port is a number from 0 to 65535"):
        ChatServer(port=port).start()


def test_a_framing_of_ones_own_is_refused() -> None:
    """The server speaks two dialects, and does not pretend to speak a third."""
    with pytest.raises(ValueError, match="LINES or RAW"):
        ChatServer(framing=lambda: None)  # type: ignore[arg-type, return-value]


def test_the_port_is_free_at_once_after_stop() -> None:
    """Also when there were clients: SO_REUSEADDR."""
    with ChatServer(port=free_port()) as first:
        address = first.address
        wire = Wire.joined(address, "alice")
    with ChatServer(*address) as second:
        Wire.joined(second.address, "alice").close()
    wire.close()


def test_stop_leaves_no_thread_and_no_descriptor(any_system: None) -> None:
    """With clients that are here, that are asked for a nickname, that are frozen and that left."""
    threads = set(threading.enumerate())
    gc.collect()  # what others have left for it is not to go meanwhile
    descriptors = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    server = ChatServer(port=0).start()
    here = Wire.joined(server.address, "alice")
    asked = Wire(server.address)
    assert asked.line() == "nickname"
    left = Wire.joined(server.address, "bob")
    left.hang_up()
    until(here, text="bob left")
    server.stop()
    assert set(threading.enumerate()) <= threads
    for wire in (here, asked, left):
        wire.close()
    if descriptors is not None:
        assert len(os.listdir("/proc/self/fd")) == descriptors


def test_stop_tells_every_client_once_and_says_fin() -> None:
    """One line, not one for each who was here."""
    server = ChatServer(port=0).start()
    wires = [Wire.joined(server.address, f"n{i}") for i in range(3)]
    until(*wires[:2], text="n2 joined")
    server.stop()
    for wire in wires:
        assert wire.to_the_end() == ["* server stopped"]
        wire.close()
    assert {(e.who, e.what) for e in server.journal if e.kind == "left"} == {
        (f"n{i}", "server stopped") for i in range(3)
    }


def test_stop_does_not_wait_for_one_that_never_reads() -> None:
    """A frozen client with a full backlog cannot hold the server up."""
    server = ChatServer(port=0).start()
    frozen = frozen_client(server, "frozen")
    alice = Wire.joined(server.address, "alice")
    alice.send(*["x" * 4000] * 1500)  # 6 MB: more than the kernel takes for one that does not read
    alice.send("/who")
    until(alice, text="in lobby")
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    stopping.join(SOON)
    assert not stopping.is_alive()
    frozen.close()
    alice.close()


def frozen_client(server: ChatServer, nickname: str) -> socket.socket:
    """Joined, and from then on it does not read. Its buffers are small."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(server.address)
    sock.sendall(nickname.encode() + b"\n")
    server.journal.wait_for("joined", nickname)
    return sock


# --- the handshake ---


def test_a_silent_newcomer_holds_up_no_client(server: ChatServer) -> None:
    """The handshake is done in the newcomer's own thread."""
    silent = [Wire(server.address) for _ in range(20)]
    with Wire.joined(server.address, "alice"):
        for wire in silent:
            assert wire.line() == "nickname"
            wire.close()


def test_a_refused_nickname_is_asked_for_again(server: ChatServer) -> None:
    """Each refusal says why; what comes after the right one, in the same send, is heard."""
    with Wire.joined(server.address, "alice") as alice, Wire(server.address) as bob:
        bob.send("Alice", "b:b", "bob", "hello")
        assert bob.lines(6) == [
            "nickname",
            "! the nickname Alice is taken",
            "nickname",
            "! that nickname will not do: no ':' inside a name",
            "nickname",
            "* you are bob, in lobby",
        ]
        assert alice.lines(2) == ["* bob joined", "bob: hello"]


@pytest.mark.parametrize("bad", [b"\xff\xfe\n", b"x" * 5000 + b"\n", b"a b\n", b"*\n", b"\x1b[31m\n"])
def test_three_bad_nicknames_end_the_connection_and_no_client_hears_of_it(
    server: ChatServer, bad: bytes
) -> None:
    """The last refusal arrives, then FIN."""
    with Wire.joined(server.address, "alice") as alice, Wire(server.address) as bad_one:
        bad_one.send_bytes(bad * 3)
        lines = bad_one.to_the_end()
        assert [line[0] for line in lines] == ["n", "!", "n", "!", "n", "!"]
        assert lines[-1].endswith("that was the last try")
        server.journal.wait_for("left", "")
        alice.send("/who")
        assert alice.line() == "* in lobby: alice"


@pytest.mark.parametrize("password", [None, "secret"])
def test_what_comes_in_one_chunk_with_the_answers_is_heard(password: str | None) -> None:
    """A client that waits for no question: every line after its answers is done, in order."""
    answers = ["alice"] if password is None else ["alice", password]
    with ChatServer(port=0, password=password) as server, Wire(server.address) as alice:
        alice.send(*answers, "one", "/me waves", "", "/who", "/join den", "two", "/quit")
        assert alice.to_the_end() == [
            *(["nickname"] if password is None else ["nickname", "password"]),
            "* you are alice, in lobby",
            "* in lobby: alice",
            "* you are alice, in den",
        ]
        server.journal.wait_for("left", "alice")
        assert [
            (e.kind, e.what, e.where) for e in server.journal if e.who == "alice" and e.kind != "asked"
        ] == [
            ("joined", "", "lobby"),
            ("said", "one", "lobby"),
            ("acted", "waves", "lobby"),
            ("moved", "to den", "lobby"),
            ("joined", "", "den"),
            ("said", "two", "den"),
            ("left", "quit", "den"),
        ]


def test_an_empty_line_is_no_nickname(server: ChatServer) -> None:
    """It is a sign of life, and the server waits on."""
    with Wire(server.address) as wire:
        wire.send("", "", "alice")
        assert wire.lines(2) == ["nickname", "* you are alice, in lobby"]


def test_the_handshake_takes_no_longer_than_allowed(any_system: None) -> None:
    """However slowly the bytes of an answer drip in, it ends; and it says why."""
    with ChatServer(port=0, limits=Limits(handshake=0.3)) as server, Wire(server.address) as wire:
        assert wire.line() == "nickname"
        wire.sock.settimeout(0.02)
        while True:
            wire.send_bytes(b"x")
            try:
                assert wire.line() == "! no nickname within 0.3 s"
                break
            except TimeoutError:
                continue
        assert server.journal.wait_for("left").what == NO_NICKNAME


@pytest.mark.parametrize("how", ["reset", "hang_up"])
def test_a_newcomer_that_leaves_at_once_ends_nothing(server: ChatServer, how: str) -> None:
    """Others still join, and no client is told of one that never was here."""
    with Wire.joined(server.address, "alice") as alice:
        for _ in range(20):
            newcomer = Wire(server.address)
            getattr(newcomer, how)()
            newcomer.close()
        with Wire.joined(server.address, "bob"):
            assert alice.line() == "* bob joined"


def test_one_too_many_is_turned_away_with_a_reason_and_may_come_later() -> None:
    """max_clients counts connections; when one leaves there is room again."""
    with ChatServer(port=0, limits=Limits(max_clients=2)) as server:
        alice = Wire.joined(server.address, "alice")
        bob = Wire.joined(server.address, "bob")
        with Wire(server.address) as third:
            third.send("third")
            assert third.to_the_end() == ["! the server is full: 2 connections"]
        bob.hang_up()
        assert bob.to_the_end() == []
        while True:  # its place is free a moment after its connection has ended
            with Wire(server.address) as again:
                if again.line() == "nickname":
                    break
        alice.close()
        bob.close()


def test_running_out_of_descriptors_pauses_accepting_and_no_more(
    server: ChatServer,
) -> None:
    """It neither spins nor dies: who is here chats on, and who waits is let in when there is room."""
    resource = pytest.importorskip("resource", reason="Windows has no limit to run into")
    need(os.path.isdir("/proc/self/fd"), "this looks at /proc/self/fd, which only Linux has")
    with Wire.joined(server.address, "alice") as alice, Wire.joined(server.address, "bob") as bob:
        alice.line()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        waiting = socket.socket()  # taken before there are none left
        try:
            highest = max(int(fd) for fd in os.listdir("/proc/self/fd"))
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
            spare = []
            with pytest.raises(OSError, match="Too many open files"):
                while True:
                    spare.append(os.dup(0))
            waiting.connect(server.address)
            server.journal.wait_for("full")
            alice.send("still here")
            assert bob.line() == "alice: still here"
            assert len(server.present()) == 2  # nor does the one that looks on need one
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for fd in spare:
                os.close(fd)
        assert Wire(waiting).line() == "nickname"
        waiting.close()


# --- going ---


def test_hanging_up_is_told_as_hung_up(server: ChatServer, any_system: None) -> None:
    """FIN: a clean goodbye, once, and the nickname is free."""
    with Wire.joined(server.address, "alice") as alice, Wire.joined(server.address, "bob") as bob:
        alice.line()
        bob.hang_up()
        assert alice.line() == "* bob left (hung up)"
        with Wire.joined(server.address, "bob"):
            assert alice.line() == "* bob joined"


def test_what_was_said_before_hanging_up_is_heard(server: ChatServer) -> None:
    """Lines and FIN in one packet; and the one who half-closed still gets the answers."""
    with Wire.joined(server.address, "alice") as alice, Wire(server.address) as bob:
        bob.send("bob", "one", "two", "/who")
        bob.hang_up()
        assert alice.lines(4) == ["* bob joined", "bob: one", "bob: two", "* bob left (hung up)"]
        assert bob.to_the_end() == ["nickname", "* you are bob, in lobby", "* in lobby: alice, bob"]


def test_a_reset_is_told_as_vanished(server: ChatServer, any_system: None) -> None:
    """RST: gone without a goodbye."""
    with Wire.joined(server.address, "alice") as alice:
        Wire.joined(server.address, "bob").reset()
        assert alice.lines(2) == ["* bob joined", "* bob left (vanished)"]


def test_a_reset_is_told_as_vanished_while_lines_are_on_their_way(server: ChatServer) -> None:
    """Whether the reader or the broadcaster finds out first, the reason is the same; 50 times."""
    with Wire.joined(server.address, "alice") as alice:
        for n in range(50):
            bob = Wire.joined(server.address, "bob")
            alice.send(*[f"{n} {i}" for i in range(20)])
            bob.reset()
            alice.send(*[f"{n} {i}" for i in range(20)])
            assert alice.lines(2) == ["* bob joined", "* bob left (vanished)"]


def test_quitting_is_told_as_quit(server: ChatServer) -> None:
    """What comes after /quit in the same send is not said; and the server says FIN."""
    with Wire.joined(server.address, "alice") as alice, Wire.joined(server.address, "bob") as bob:
        bob.send("bye", "/quit", "not said")
        assert bob.to_the_end() == []
        assert alice.lines(3) == ["* bob joined", "bob: bye", "* bob left (quit)"]


def test_silence_is_told_as_went_silent(any_system: None) -> None:
    """An empty line is a sign of life; without one, the connection is ended."""
    silence = 2.0
    for _ in range(20):  # until this thread is run often enough for alice to give her signs in time
        with ChatServer(port=0) as server:
            with Wire.joined(server.address, "alice") as alice, Wire.joined(server.address, "bob") as bob:
                assert alice.line() == "* bob joined"
                alice.sock.settimeout(0.1)
                server.limits = Limits(silence=silence)  # for each from its next line on
                bob.send("")
                pauses, before, line = [0.0], monotonic(), ""
                while not line and pauses[-1] < silence:  # ten signs of life a second from alice, bob none
                    now = monotonic()
                    pauses.append(now - before)
                    before = now
                    try:
                        alice.send("")
                        line = alice.line()
                    except TimeoutError:
                        pass
                    except (OSError, EOFError) as error:  # let go: rightly, after such a pause
                        line = repr(error)
                here, late = server.roster(), monotonic() - before
                if max(*pauses, late) >= silence:
                    continue
                assert line == "* bob left (went silent)"
                assert bob.to_the_end() == []
                assert here == ["alice"]
                return
    pytest.fail(f"this thread was never run often enough: {pauses}, {late}")


def test_one_that_stops_reading_is_let_go_as_too_slow_and_holds_up_no_client() -> None:
    """The others hear every line; the frozen one's nickname is free afterwards."""
    with ChatServer(port=0, limits=Limits(behind=100_000)) as server:
        frozen = frozen_client(server, "frozen")
        with Wire.joined(server.address, "alice") as alice, Wire.joined(server.address, "bob") as bob:
            flood = threading.Thread(target=alice.send, args=(*["x" * 4000] * 2000, "end"))
            flood.start()
            lines = bob.until("end")
            assert lines.count("alice: " + "x" * 4000) == 2000
            flood.join()
            assert server.journal.wait_for("left", "frozen").what == TOO_SLOW
            Wire.joined(server.address, "frozen").close()
        frozen.close()


@pytest.mark.parametrize("pause", [0.002, 0.01])
def test_one_that_reads_slowly_loses_nothing(pause: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Talkers are slowed by TCP instead: more than all buffers hold, through one that takes its time."""
    # A busy machine may not run this thread for far longer than it pauses: it would seem to read no more.
    monkeypatch.setattr("labkit.server.sender.PATIENCE", SOON)
    size = 20_000 if pause < 0.01 else 8_000  # kB
    with ChatServer(port=0, limits=Limits(behind=4_000_000)) as server:
        with Wire.joined(server.address, "alice") as alice, Wire(server.address) as bob:
            alice.sock.settimeout(60)
            bob.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            bob.send("bob")
            until(alice, text="bob joined")
            flood = threading.Thread(target=alice.send, args=[f"{n:>6} {'x' * 986}" for n in range(size)])
            flood.start()
            breath = threading.Event()
            data = b""
            while not data.endswith(f"{size - 1:>6} {'x' * 986}\n".encode()):
                came = bob.sock.recv(65536)
                assert came, f"the end came after {len(data)} bytes"
                data += came
                breath.wait(pause)
            flood.join()
            heard = [line for line in data.decode().splitlines() if line.startswith("alice: ")]
            assert heard == [f"alice: {n:>6} {'x' * 986}" for n in range(size)]
            assert server.roster() == ["alice", "bob"]


# --- talking ---


def test_all_hear_the_same_in_the_same_order_but_their_own(server: ChatServer) -> None:
    """Ten talk at once, 200 lines each: one common order, each sender's lines in theirs."""
    people = [Wire.joined(server.address, f"n{i}") for i in range(10)]
    for i, wire in enumerate(people[:-1]):
        assert [line.split()[1] for line in wire.lines(9 - i)] == [f"n{j}" for j in range(i + 1, 10)]

    def talk(wire: Wire, i: int) -> None:
        for n in range(200):
            wire.send(f"{i} {n}")

    observer = Wire.joined(server.address, "observer")
    with ThreadPoolExecutor(10) as pool:
        for i, wire in enumerate(people):
            pool.submit(talk, wire, i)
        everything = observer.lines(2000)
        for i, wire in enumerate(people):
            assert wire.line() == "* observer joined"
            heard = wire.lines(1800)
            assert heard == [line for line in everything if not line.startswith(f"n{i}:")]
            assert [x for x in everything if x.startswith(f"n{i}:")] == [
                f"n{i}: {i} {n}" for n in range(200)
            ]
    for wire in [*people, observer]:
        wire.close()


def test_no_client_is_thrown_out_for_what_it_sends(server: ChatServer) -> None:
    """Over-long lines, bytes that are not UTF-8, control characters, unknown commands."""
    with Wire.joined(server.address, "alice") as alice, Wire.joined(server.address, "bob") as bob:
        bob.send_bytes(
            b"x" * 5000 + b"\ncaf\xe9\n\x1b[31mred\x00\n/nonsense\nx" + b"y" * 4090 + b"\nok\r\n"
        )
        assert alice.lines(4) == ["* bob joined", "bob: caf\ufffd", "bob: ␛[31mred␀", "bob: ok"]
        assert [line[:18] for line in bob.lines(3)] == [
            "! too long: a line",
            "! no such command:",
            "! too long: with y",
        ]


def test_a_cyrillic_letter_cut_in_two_is_whole_again(server: ChatServer) -> None:
    """A line is decoded when it is complete, not when a recv is."""
    with Wire.joined(server.address, "alice") as alice, Wire.joined(server.address, "bob") as bob:
        data = ("ж" * 20 + "\n").encode()
        for i in range(len(data)):
            bob.send_bytes(data[i : i + 1])
        assert alice.lines(2) == ["* bob joined", "bob: " + "ж" * 20]


def test_private_messages_rooms_and_commands(server: ChatServer) -> None:
    """The commands of the wire, through real sockets."""
    with Wire.joined(server.address, "alice") as alice, Wire.joined(server.address, "bob") as bob:
        until(alice, text="bob joined")
        alice.send("/msg BOB psst", "/msg carol hi", "/me waves", "//who", "/nick al", "/who")
        assert bob.lines(4) == ["alice -> you: psst", "alice * waves", "alice: /who", "* alice is now al"]
        assert alice.lines(3) == [
            "! nobody here is called carol",
            "* you are al, in lobby",
            "* in lobby: al, bob",
        ]
        alice.send("/join kitchen", "anybody?", "/who")
        assert alice.lines(2) == ["* you are al, in kitchen", "* in kitchen: al"]
        bob.send("/msg al come back", "/help")
        assert alice.line() == "bob -> you: come back"
        assert bob.lines(2) == ["* al went to kitchen", "* " + bob_help()]
        alice.send("/join lobby")
        assert alice.line() == "* you are al, in lobby"
        assert bob.until("joined")[-1] == "* al joined"


def bob_help() -> str:
    from labkit.wire.messages import HELP

    return HELP[0]


def test_too_many_messages_are_made_to_wait_and_none_is_lost() -> None:
    """Limits.messages slows a talker; what it said comes all the same."""
    with ChatServer(port=0, limits=Limits(messages=200)) as server:
        with Wire.joined(server.address, "alice") as alice, Wire.joined(server.address, "bob") as bob:
            until(alice, text="bob joined")
            alice.send(*[str(n) for n in range(300)])
            assert bob.lines(300) == [f"alice: {n}" for n in range(300)]


def test_not_more_than_a_second_s_worth_comes_at_once() -> None:
    """However many lines one recv has brought: twice as many as a second's worth take a second."""
    with ChatServer(port=0, limits=Limits(messages=50)) as server:
        with Wire.joined(server.address, "alice") as alice, Wire.joined(server.address, "bob") as bob:
            until(alice, text="bob joined")
            began = monotonic()
            alice.send(*[str(n) for n in range(100)])
            assert bob.lines(100) == [f"alice: {n}" for n in range(100)]
            assert monotonic() - began >= 0.95


def test_one_that_is_made_to_wait_and_is_reset_is_gone() -> None:
    """Its nickname is free long before all that it had said could have been passed on: 500 s."""
    need(sys.platform == "linux", "a kernel that tells of an RST behind unread bytes")
    with ChatServer(port=0, limits=Limits(messages=1)) as server:
        with Wire.joined(server.address, "alice") as alice:
            alice.send(*["x"] * 500)
            server.journal.wait_for("said", "alice")
            alice.reset()
            assert server.journal.wait_for("left", "alice").what == VANISHED


@pytest.mark.parametrize("end", ["", "/quit"])
def test_one_that_is_made_to_wait_and_hangs_up_is_heard_to_the_end(end: str) -> None:
    """A FIN behind lines that wait for their turn takes none of them away."""
    with (
        ChatServer(port=0, limits=Limits(messages=50)) as server,
        Wire.joined(server.address, "bob") as bob,
    ):
        alice = Wire.joined(server.address, "alice")
        assert bob.line() == "* alice joined"
        alice.send(*[str(n) for n in range(120)], *[end] * bool(end))
        alice.sock.shutdown(socket.SHUT_WR)
        assert bob.lines(120) == [f"alice: {n}" for n in range(120)]
        assert bob.line() == f"* alice left ({'quit' if end else HUNG_UP})"
        alice.sock.close()


# --- looking ---


def test_present_tells_how_each_one_fares(server: ChatServer) -> None:
    """Nickname, room, thread, lines in and out."""
    with Wire.joined(server.address, "alice") as alice, Wire.joined(server.address, "bob") as bob:
        until(alice, text="bob joined")
        alice.send("one", "two", "/join kitchen")
        until(alice, text="kitchen")
        bob.lines(3)
        first, second = server.present()
        assert (first.nickname, first.room, first.lines_in, first.lines_out) == ("alice", "kitchen", 3, 4)
        assert (second.nickname, second.room, second.lines_in, second.lines_out) == ("bob", "lobby", 0, 5)
        assert (first.thread, second.thread) == ("labkit-handle-1", "labkit-handle-2")
        assert first.behind == 0
        assert repr(server) == f"<ChatServer on 127.0.0.1:{server.address[1]}, 2 here>"


def test_the_journal_has_the_story_in_order(server: ChatServer) -> None:
    """Who was asked, who joined, what was said, by which thread, and who left why."""
    with ChatClient("alice", server.address) as alice, ChatClient("bob", server.address) as bob:
        alice.say("hello")
        bob.wait_for("hello")
        bob.whisper("alice", "psst")
        alice.wait_for("psst")
        bob.abort()
        alice.wait_for("bob left")
    server.journal.wait_for("left", "alice")
    assert [(e.kind, e.who, e.what, e.where, e.thread[-1]) for e in server.journal] == [
        ("asked", "", "", "", "1"),
        ("joined", "alice", "", "lobby", "1"),
        ("asked", "", "", "", "2"),
        ("joined", "bob", "", "lobby", "2"),
        ("said", "alice", "hello", "lobby", "1"),
        ("whispered", "bob", "psst", "alice", "2"),
        ("left", "bob", VANISHED, "lobby", "2"),
        ("left", "alice", "hung up", "lobby", "1"),
    ]


# --- many ---


def test_a_thousand_people_in_one_room() -> None:
    """Each with a thread; one line reaches the other 999; all leave at once; no thread is left."""
    people = 1000
    resource = pytest.importorskip("resource", reason="Windows sets no limit on open files")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need(
        hard == resource.RLIM_INFINITY or hard >= 3 * people,
        f"this needs {3 * people} open files at once; the system allows {hard} (ulimit -Hn)",
    )
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 3 * people), hard))
    before = threading.active_count()
    with ChatServer(port=0) as server:
        wires = [Wire.joined(server.address, f"n{i}") for i in range(people)]
        assert threading.active_count() == before + 2 + people
        assert len(server.roster()) == people
        wires[0].send("one line")
        for wire in wires[1:]:
            assert wire.until("one line")[-1] == "n0: one line"
        with ChatClient("observer", server.address) as observer:
            for wire in wires:
                wire.close()
            for _ in range(people):
                observer.wait_for(" left (")
            assert server.roster() == ["observer"]
            assert len(observer.transcript) == 1 + people  # its welcome, and each leaving once
    assert threading.active_count() == before


def test_the_defaults_are_the_assignments() -> None:
    """Port 14901."""
    assert PORT == 14901


def test_raw_asks_again_in_a_recv_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that compares one recv with `nickname` understands the request after a refusal, too."""
    read = threading.Event()
    pauses: list[float] = []

    def pause(seconds: float) -> bool:
        pauses.append(seconds)
        return read.wait(SOON)

    with ChatServer(port=0, framing=RAW) as server, Wire(server.address) as alice:
        alice.join_raw("alice")
        with Wire(server.address) as bob:
            assert bob.recv() == "nickname"
            monkeypatch.setattr(server._ending, "wait", pause)
            bob.send_bytes(b"alice")
            assert bob.recv() == "! the nickname alice is taken"
            read.set()
            bob.join_raw("bob")
            monkeypatch.undo()
            assert pauses == [RAW_PAUSE] and RAW_PAUSE >= 0.1
            assert alice.recv() == "* bob joined"
            bob.send_bytes(b"hello")
            assert alice.recv() == "bob: hello"


def test_raw_lines_fit_into_the_assignments_recv() -> None:
    """No message is longer than 1024 bytes: or its second recv could be made to look like any line."""
    with ChatServer(port=0, framing=RAW) as server, Wire(server.address) as mallory:
        mallory.join_raw("mallory")
        with Wire(server.address) as alice:
            alice.join_raw("alice")
            mallory.send_bytes(b"x" * 1015 + b"* bob left (hung up)" + b"nickname")
            heard = ""
            while not heard.endswith("nickname"):
                heard += alice.recv()  # it may bring the beginning of the next one, too
            messages = [f"mallory: {message}" for message in heard.split("mallory: ")[1:]]
            assert "".join(messages) == heard and len(messages) == 2
            assert all(len(message) <= 1024 for message in messages)
