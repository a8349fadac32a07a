"""What student chat servers get wrong, tried on labkit's server and on the assignment's own.

Twelve student servers were run and probed; fourteen faults were counted. For each of them there is a
behaviour (labkit/conformance/behaviours.py) that a server with the fault does not have, tried through bare
sockets, in either dialect. labkit's server must have them all. The assignment's own server (classic.py)
shows eleven of the faults: this proves that those behaviours can see what they look for. It is free of
the other three by its making: it sends to all but the sender, has no lock, and removes no client inside a
loop. So for these it is made worse, one fault at a time.
"""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest
from judged_here import under_test

from labkit import ChatServer
from labkit.classic import ClassicServer
from labkit.conformance.behaviours import called
from labkit.conformance.server_under_test import CannotJoin, NotJudged, ServerUnderTest
from labkit.probe.failed import CheckFailed
from labkit.wire.framing import FRAMINGS

FAULTS = {
    # what was counted, and in how many of twelve: the behaviour that it is the lack of
    "one client that stops reading stalls the room (12)": "one who stops reading holds up nobody",
    "two clients can have the same nickname (11)": "a nickname that is taken is refused",
    "two sends arrive as one message (11)": "a line is a message, however TCP cuts it",
    "one silent client keeps everybody else from joining (9)": "a silent newcomer keeps nobody out",
    "a reset during the handshake ends all joining (8)": "a reset in the handshake keeps nobody out",
    "a nickname that is not UTF-8 ends all joining (8)": "a nickname that is not UTF-8 keeps nobody out",
    "a clean goodbye is not noticed (7)": "a goodbye is noticed",
    "a message that is not UTF-8 throws its sender out (6)": "bytes that are not UTF-8 throw nobody out",
    "a long Cyrillic message throws its sender out (6)": "a long message in another alphabet throws "
    "nobody out",
    "after a reset the next messages reach nobody (5)": "after a reset all others are still heard",
    "after a goodbye an innocent sender is thrown out (4)": "after a goodbye nobody else is thrown out",
    "the sender hears its own message (4)": "the sender does not hear itself",
    "removing inside the loop skips the next client (1)": "nobody is skipped when several die",
    "a lock taken twice makes the server silent (1)": "nobody falls silent when people come and go",
}
CLASSIC_HAS = list(FAULTS)[:11]
FRAMING = "two sends arrive as one message (11)"


def shows(fault: str, address: tuple[str, int], framing: str) -> bool:
    """Whether the server shows this fault."""
    try:
        with under_test(address, framing) as server:
            called(FAULTS[fault]).judge(server)
    except CheckFailed as failed:
        assert not isinstance(failed, CannotJoin), failed  # nothing was tried
        return True
    return False


@pytest.mark.parametrize(
    ("fault", "framing"),
    [
        (fault, framing)
        for fault in FAULTS
        for framing in FRAMINGS
        # In raw a recv is a message: no server can tell two in one packet from one twice as long.
        if (fault, framing) != (FRAMING, "raw")
    ],
)
def test_labkit_is_free_of_it(fault: str, framing: str) -> None:
    """None of the fourteen can be shown on labkit's server."""
    with ChatServer(port=0, framing=FRAMINGS[framing]) as server:
        assert not shows(fault, server.address, framing)


def test_raw_cannot_promise_to_keep_messages_apart() -> None:
    """So no server is judged by it there; and the reason is told."""
    with pytest.raises(NotJudged, match="a recv is a message"):
        called(FAULTS[FRAMING]).judge(ServerUnderTest(("localhost", 0), "raw"))


@pytest.mark.parametrize("fault", CLASSIC_HAS)
def test_the_assignments_own_server_shows_it(fault: str) -> None:
    """The fault is seen where it is. That there is no framing shows when it is spoken to in lines."""
    with ClassicServer(port=0) as classic:
        assert shows(fault, classic.address, "lines" if fault == FRAMING else "raw")


# --- three that the assignment's own server does not have: it is given them ---


class Echoes(ClassicServer):
    """Sends to all, the sender included."""

    def broadcast(self, message: bytes, sender: socket.socket) -> None:
        for client in self.clients:
            client.send(message)


class RemovesInTheLoop(ClassicServer):
    """A client's thread just ends; one that finds a client dead takes it off the lists it is walking."""

    def handle_client(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            while message := client.recv(1024).decode():
                nickname = self.nicknames[self.clients.index(client)]
                self.broadcast(f"{nickname}: {message}".encode(), client)

    def broadcast(self, message: bytes, sender: socket.socket) -> None:
        for client in self.clients:
            if client is not sender:
                try:
                    client.send(message)
                except OSError:
                    self.nicknames.pop(self.clients.index(client))
                    self.clients.remove(client)


class LocksTwice(ClassicServer):
    """Takes its lock to remove a client, and again, in there, to tell the others."""

    def __init__(self, host: str = "localhost", port: int = 0) -> None:
        super().__init__(host, port)
        self.lock = threading.Lock()

    def handle_client(self, client: socket.socket) -> None:
        try:
            while message := client.recv(1024).decode():
                nickname = self.nicknames[self.clients.index(client)]
                self.broadcast(f"{nickname}: {message}".encode(), client)
        except (OSError, ValueError):
            pass
        with self.lock:
            index = self.clients.index(client)
            self.clients.remove(client)
            self.broadcast(f"{self.nicknames.pop(index)} left".encode(), client)

    def broadcast(self, message: bytes, sender: socket.socket) -> None:
        # For ever, or until the server is stopped, so that the test's threads end.
        while not self.lock.acquire(timeout=0.05):
            if self.server.fileno() < 0:
                return
        super().broadcast(message, sender)
        self.lock.release()


@pytest.mark.parametrize(
    ("worse", "fault"), list(zip((Echoes, RemovesInTheLoop, LocksTwice), list(FAULTS)[11:], strict=True))
)
def test_a_server_made_worse_shows_it(worse: type[ClassicServer], fault: str) -> None:
    """The fault is seen where it is, and nowhere else: the server as it was does not show it."""
    with ClassicServer(port=0) as classic:
        assert not shows(fault, classic.address, "raw")
    with worse(port=0) as classic:
        assert shows(fault, classic.address, "raw")
