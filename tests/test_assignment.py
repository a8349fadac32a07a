"""The assignment, row by row (S1 to S9), on real sockets; a bare socket plays the client where it can."""

from __future__ import annotations

import errno
import importlib.util
import inspect
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from programs import PATIENCE
from support import SOON, BareServer, Wire, need

from labkit import RAW, ChatClient, ChatServer
from labkit.classic import ClassicClient, ClassicServer

ASSIGNED = ("localhost", 14901)


def test_S1_a_tcp_server_bound_to_localhost_port_14901() -> None:
    """Nothing said, ChatServer and the classic two mean localhost, port 14901."""
    for server in (ChatServer, ClassicServer):
        parameters = inspect.signature(server).parameters
        assert (parameters["host"].default, parameters["port"].default) == ASSIGNED
    assert inspect.signature(ClassicClient).parameters["address"].default == ASSIGNED


def test_S1_it_really_listens_there() -> None:
    """ChatServer() is reached at 127.0.0.1:14901 over TCP; afterwards the port is free."""
    try:
        server = ChatServer().start()
    except OSError as error:
        need(error.errno != errno.EADDRINUSE, "port 14901 is taken on this machine")
        raise
    with server:
        assert server.address == ("127.0.0.1", 14901)
        with Wire(("127.0.0.1", 14901)) as wire:
            assert wire.sock.type == socket.SOCK_STREAM
            assert wire.line() == "nickname"
    with socket.socket() as after, pytest.raises(ConnectionRefusedError):
        after.connect(("127.0.0.1", 14901))


def test_S1_the_command_line_says_so() -> None:
    """`python -m labkit serve --help` and `join --help` name the assignment's port."""
    need(importlib.util.find_spec("labkit.__main__"), "labkit has no __main__ yet")
    for command in ("serve", "join"):
        told = subprocess.run(
            [sys.executable, "-m", "labkit", command, "--help"],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert told.returncode == 0 and "14901" in told.stdout and "localhost" in told.stdout


def test_S2_an_endless_loop_accepts_new_connections_at_any_time(server: ChatServer) -> None:
    """While some chat, and others have not even given a nickname, newcomers are let in all the same."""
    with Wire(server.address) as silent, Wire.joined(server.address, "alice") as alice:
        assert silent.line() == "nickname"  # and never answers
        alice.send("anybody here?")
        for i in range(20):
            with Wire.joined(server.address, f"newcomer{i}") as newcomer:
                newcomer.send("hello")
                alice.until(f"newcomer{i}: hello")
                newcomer.hang_up()
                alice.until(f"newcomer{i} left")
        silent.send("bob")
        assert silent.line() == "* you are bob, in lobby"


def test_S3_on_connect_the_server_sends_nickname(server: ChatServer) -> None:
    """The first thing a client is sent is `nickname`; it answers with one, and is in."""
    with Wire(server.address) as wire:
        assert wire.sock.recv(9, socket.MSG_WAITALL) == b"nickname\n"
        assert server.roster() == []
        wire.send("alice")
        assert wire.line() == "* you are alice, in lobby"
        assert server.roster() == ["alice"]


def test_S3_in_the_assignments_own_dialect() -> None:
    """With framing=RAW the request is the eight letters and nothing else, and so is the answer."""
    with ChatServer(port=0, framing=RAW) as server, Wire(server.address) as wire:
        assert wire.recv() == "nickname"
        wire.send_bytes(b"alice")
        assert wire.recv() == "* you are alice, in lobby"
        assert server.roster() == ["alice"]


def test_S4_two_lists_pair_each_socket_with_its_name() -> None:
    """In classic.py `clients` and `nicknames` hold socket and name at the same index, whichever leaves."""
    with ClassicServer("127.0.0.1", 0) as server:
        before, wires = set(threading.enumerate()), {}
        for name in ("alice", "bob", "carol"):
            wires[name] = Wire(server.address)
            assert wires[name].recv() == "nickname"  # so the one before has been put on both lists
            wires[name].send_bytes(name.encode())
        unnamed = Wire(server.address)
        assert unnamed.recv() == "nickname"
        assert server.nicknames == ["alice", "bob", "carol"]
        assert [c.getpeername() for c in server.clients] == [w.sock.getsockname() for w in wires.values()]
        handlers = [t for t in threading.enumerate() if "handle_client" in t.name and t not in before]
        assert len(handlers) == 3
        wires["bob"].reset()
        # One of the threads ends, the one that was bob's.
        finished = threading.Event()

        def wait_for(handler: threading.Thread) -> None:
            handler.join()
            finished.set()

        for handler in handlers:
            threading.Thread(target=wait_for, args=(handler,), daemon=True).start()
        assert finished.wait(SOON)
        assert server.nicknames == ["alice", "carol"]
        left = [wires["alice"], wires["carol"]]
        assert [c.getpeername() for c in server.clients] == [w.sock.getsockname() for w in left]
        unnamed.reset()
    for wire in left:
        wire.close()


def test_S5_a_thread_per_client_relays_to_all_the_others(server: ChatServer) -> None:
    """Each client has a thread of its own in handle_client; what it says reaches all others, named."""
    names = ("alice", "bob", "carol")
    wires = {name: Wire.joined(server.address, name) for name in names}
    for i, name in enumerate(names):
        assert wires[name].lines(2 - i) == [f"* {other} joined" for other in names[i + 1 :]]
    threads = {person.thread for person in server.present()}
    assert len(threads) == 3 and threads <= {t.name for t in threading.enumerate()}
    for speaker in names:
        wires[speaker].send(f"hello from {speaker}")
        for name in names:
            if name != speaker:
                assert wires[name].line() == f"{speaker}: hello from {speaker}"
    # No sender heard itself: what comes next is something else.
    for name in names:
        wires[name].send("/help")
        assert wires[name].line().startswith("* /who")
    for wire in wires.values():
        wire.close()
    assert hasattr(ChatServer, "handle_client") and hasattr(ClassicServer, "handle_client")
    assert hasattr(ClassicServer, "broadcast")


def test_S6_a_read_error_removes_the_client_and_ends_its_thread(server: ChatServer) -> None:
    """After a reset the name is off the roster and free, the others are told once, and its thread ends."""
    alice, bob = Wire.joined(server.address, "alice"), Wire.joined(server.address, "bob")
    assert alice.line() == "* bob joined"
    of_bob = {p.nickname: p.thread for p in server.present()}["bob"]
    [thread] = [t for t in threading.enumerate() if t.name == of_bob]
    bob.reset()
    assert alice.line() == "* bob left (vanished)"
    thread.join(SOON)
    assert not thread.is_alive()
    assert server.roster() == ["alice"]
    with Wire.joined(server.address, "bob"):
        assert alice.line() == "* bob joined"
    assert alice.line() == "* bob left (hung up)"
    alice.close()


def test_S6_in_the_classic_server_both_lists_shrink() -> None:
    """The same in the assignment's own: socket and name come off both lists."""
    with ClassicServer("127.0.0.1", 0) as server:
        before, wire = set(threading.enumerate()), Wire(server.address)
        assert wire.recv() == "nickname"
        wire.send_bytes(b"alice")
        unnamed = Wire(server.address)
        assert unnamed.recv() == "nickname"  # so alice is on both lists
        [handler] = [t for t in threading.enumerate() if "handle_client" in t.name and t not in before]
        wire.reset()
        handler.join(SOON)
        assert not handler.is_alive()
        assert server.clients == [] and server.nicknames == []
        unnamed.reset()


def test_S7_recv_msg_answers_the_request_and_shows_the_rest(
    bare_server: BareServer, elsewhere: ThreadPoolExecutor
) -> None:
    """labkit's client has a receiving thread, recv_msg: `nickname` it answers, all else it keeps."""
    joining = elsewhere.submit(ChatClient, "alice", bare_server.address)
    with bare_server.accept() as peer:
        peer.send("nickname")
        assert peer.line() == "alice"
        peer.send("* you are alice, in lobby", "bob: hello", "something else")
        with joining.result(SOON) as alice:
            assert alice.wait_for("something") == "something else"
            assert alice.transcript == ["* you are alice, in lobby", "bob: hello", "something else"]
            assert any("recv_msg" in t.name for t in threading.enumerate())
            peer.hang_up()


def test_S7_in_the_classic_client_too(bare_server: BareServer, elsewhere: ThreadPoolExecutor) -> None:
    """The assignment's own client does the same, and prints the rest."""
    shown: list[str] = []
    client = ClassicClient("alice", bare_server.address, shown.append)
    with bare_server.accept() as peer:
        peer.send_bytes(b"nickname")
        assert peer.recv() == "alice"
        peer.send_bytes(b"bob: hello")
        peer.hang_up()
        client.thread.join(SOON)
    assert shown == ["bob: hello"]
    client.close()


def test_S8_the_main_thread_reads_the_keyboard_and_sends(server: ChatServer) -> None:
    """`python -m labkit join`: what is typed is said, and what is heard is printed."""
    need(importlib.util.find_spec("labkit.__main__"), "labkit has no __main__ yet")
    host, port = server.address
    with Wire.joined(server.address, "bob") as bob:
        typing = subprocess.Popen(
            [sys.executable, "-m", "labkit", "join", "alice", "--host", host, "--port", str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        try:
            assert typing.stdin is not None
            bob.sock.settimeout(PATIENCE)  # a program takes its time to start
            assert bob.line() == "* alice joined"
            typing.stdin.write("hello bob\n")
            typing.stdin.flush()
            assert bob.line() == "alice: hello bob"
            bob.send("hello alice")
            assert typing.stdout is not None
            assert typing.stdout.readline() == "* you are alice, in lobby\n"
            assert typing.stdout.readline() == "bob: hello alice\n"
            _, complaints = typing.communicate(timeout=PATIENCE)  # ends the input
            assert (typing.returncode, complaints) == (0, "")
            assert bob.line() in ("* alice left (hung up)", "* alice left (quit)")
        finally:
            typing.kill()
            typing.wait()
            for pipe in (typing.stdin, typing.stdout, typing.stderr):
                pipe.close()  # type: ignore[union-attr]


def test_S9_every_message_reaches_all_others_with_the_right_name(server: ChatServer) -> None:
    """Twenty clients at once, ten lines each in no agreed order: all hear all others' lines, in order."""
    names = [f"client{i}" for i in range(20)]
    wires = {name: Wire.joined(server.address, name) for name in names}
    for name, wire in wires.items():
        wire.until(f"* {names[-1]} joined") if name != names[-1] else None
    for i in range(10):
        for name, wire in wires.items():
            wire.send(f"line {i} of {name}")
    heard = {name: wire.lines(10 * (len(names) - 1)) for name, wire in wires.items()}
    for name in names:
        for other in names:
            own = [line for line in heard[name] if line.startswith(f"{other}: ")]
            assert own == ([] if other == name else [f"{other}: line {i} of {other}" for i in range(10)])
        wires[name].close()
