"""stop(): it ends whatever clients do, and however it was interrupted."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from support import SOON, Wire

from labkit import ChatServer, Limits
from labkit.probe.ports import free_port
from labkit.server import handshake, scheduling
from labkit.server import server as serving
from labkit.server.client_loop import TURN
from labkit.wire.messages import NO_NICKNAME, SERVER_STOPPED


class Flood:
    """A client that sends the same bytes for as long as the server reads, and reads what it is sent."""

    def __init__(self, wire: Wire, data: bytes) -> None:
        self._sock = wire.sock
        self._data = data * (65536 // len(data))
        self.over = threading.Event()  # the connection has ended
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._send, self._receive)]
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        try:
            while True:
                self._sock.sendall(self._data)
        except OSError:
            self.over.set()

    def _receive(self) -> None:
        try:
            while self._sock.recv(1 << 20):
                pass
        except OSError:
            pass

    def join(self) -> None:
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._sock.close()


@pytest.mark.parametrize("data", [b"/nick xq\n/nick xy\n", b"/who\n", b"hello\n", b"\n"])
def test_a_client_that_never_pauses_does_not_keep_it_from_stopping(
    data: bytes, elsewhere: ThreadPoolExecutor
) -> None:
    """What it has sent is never all read: it is cut off, and told apart from one that has said all."""
    server = ChatServer(port=0).start()
    with Wire.joined(server.address, "xx") as wire, Wire.joined(server.address, "alice") as alice:
        told = elsewhere.submit(alice.to_the_end)  # at once: who reads nothing may be cut off
        flood = Flood(wire, data)
        try:
            server.journal.wait_for("said" if data == b"hello\n" else "joined")
            stopper = threading.Thread(target=server.stop, daemon=True)
            stopper.start()
            stopper.join(SOON)
            assert not stopper.is_alive() and not server.running
            # What was said at the last moment may come after it.
            assert told.result(SOON).count(f"* {SERVER_STOPPED}") == 1
        finally:
            flood.join()
            server.stop()
    left = [event for event in server.journal if event.kind == "left"]
    assert {event.what for event in left} == {SERVER_STOPPED}


def test_stop_goes_on_where_it_was_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the middle: called again it finishes; no thread, no port stays, and all are told once."""
    server = ChatServer(port=free_port()).start()
    with Wire.joined(server.address, "alice") as alice, Wire.joined(server.address, "bob"):
        wake = server._hub.broadcaster.wake

        def interrupted() -> None:
            wake()
            if threading.current_thread().name == "labkit-stop":
                raise KeyboardInterrupt

        monkeypatch.setattr(server._hub.broadcaster, "wake", interrupted)
        with pytest.raises(KeyboardInterrupt):
            server.stop()
        assert not server.wait(0)
        monkeypatch.undo()
        server.stop()
        assert server.wait(0)
        server.stop()
        assert alice.to_the_end().count(f"* {SERVER_STOPPED}") == 1
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(server.address, timeout=SOON)
    assert server.roster() == []


def test_what_was_said_before_it_still_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what was to be done in later turns when it began."""
    monkeypatch.setattr(serving, "LAST_WORDS", SOON)
    server = ChatServer(port=0).start()
    stopper = threading.Thread(target=server.stop)
    make_way = scheduling.make_way

    def stops() -> None:
        if not stopper.ident:
            stopper.start()
            assert server._ending.wait(SOON)
        make_way()

    monkeypatch.setattr(scheduling, "make_way", stops)
    with Wire.joined(server.address, "bob") as bob:
        bob.send_bytes(b"".join(b"/me is %d\n" % n for n in range(3 * TURN)))
        bob.to_the_end()
        stopper.join()
    did = [event.what for event in server.journal if event.kind == "acted"]
    assert did == [f"is {n}" for n in range(3 * TURN)]


# --- strangers with much to say ---


def test_empty_lines_are_no_nickname_however_many() -> None:
    """A stranger that sends nothing else is let go after so many, and hears why."""
    with ChatServer(port=0) as server, Wire(server.address) as stranger:
        stranger.send_bytes(b"\n" * (handshake.HEARTBEATS + 2000))
        assert stranger.line() == "nickname"
        assert stranger.line() == f"! {NO_NICKNAME} in so many lines"
        assert server.journal.wait_for("left").what == NO_NICKNAME


def test_a_stranger_that_never_pauses_has_no_more_time_than_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """No recv ever times out while bytes are waiting; the clock is looked at all the same."""
    monkeypatch.setattr(handshake, "HEARTBEATS", 1 << 60)
    with ChatServer(port=0, limits=Limits(handshake=0.3)) as server, Wire(server.address) as stranger:
        flood = Flood(stranger, b"\n")
        try:
            assert server.journal.wait_for("left").what == NO_NICKNAME
            assert "within 0.3 s" in server.journal.wait_for("refused").what
        finally:
            flood.join()
