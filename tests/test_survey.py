"""What student chat servers get wrong, tried on labkit's server and on the assignment's own.

Twelve student servers were run and probed; fourteen faults were counted. Each probe below is one of
them. It tells whether a server shows the fault, through bare sockets, in either dialect. labkit's
server, started from the command line, must show none of them. The assignment's own server (classic.py)
shows eleven: this proves that those probes can see what they look for. It is free of the other three by
its making: it sends to all but the sender, has no lock, and removes nobody inside a loop. So for these
it is made worse, one fault at a time.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from conftest import SOON

from labkit.classic import ClassicServer

A_WHILE = 0.5
"""Seconds after which a server that has a fault is taken not to answer any more. (A server that does not
have it answers at once, and is given SOON.)"""


@dataclass
class Probed:
    """A server to probe: where it is, which dialect it speaks, how long it is given."""

    address: tuple[str, int]
    lines: bool
    patience: float
    answers: bool  # whether it tells a newcomer that the nickname is accepted
    roster: Callable[[], list[str]] | None = None  # where it does not


class Peer:
    """A client that is nothing but a socket."""

    def __init__(self, server: Probed, receive_buffer: int | None = None) -> None:
        self.server = server
        self.sock = socket.socket()
        if receive_buffer is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.connect(server.address)
        self.heard = b""
        self.passed_over = b""  # what came before that which was last heard

    def send(self, *messages: str | bytes) -> None:
        """These messages, in one `send`. One who was thrown out cannot, and then nobody will hear them."""
        end = b"\n" if self.server.lines else b""
        with contextlib.suppress(OSError):
            self.sock.sendall(b"".join((m if isinstance(m, bytes) else m.encode()) + end for m in messages))

    def hears(self, text: str, patience: float | None = None) -> bool:
        """Whether it hears this, now or soon. What came before it is forgotten."""
        give_up = time.monotonic() + (self.server.patience if patience is None else patience)
        wanted = text.encode()
        while wanted not in self.heard:
            self.sock.settimeout(max(0.001, give_up - time.monotonic()))
            try:
                data = self.sock.recv(65536)
            except (TimeoutError, ConnectionResetError):
                return False
            if not data:
                return False
            self.heard += data
        before, _, self.heard = self.heard.partition(wanted)
        self.passed_over = before
        return True

    def join(self, nickname: str) -> Peer:
        assert self.hears("nickname", SOON)
        self.send(nickname)
        if self.server.answers:
            assert self.hears(f"you are {nickname}", SOON)
        else:
            give_up = time.monotonic() + SOON
            assert self.server.roster is not None
            while nickname not in self.server.roster():
                assert time.monotonic() < give_up
        return self

    def drain(self) -> None:
        """Read until nothing has come for a while."""
        self.sock.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            while self.sock.recv(262144):
                pass

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()


# --- the probes: does the server show this fault? ---


def one_client_that_stops_reading_stalls_the_room(server: Probed) -> bool:
    """12 of 12 servers. Alice says 16 MB while Mallory does not read; does Bob hear the end of it?"""
    mallory = Peer(server, receive_buffer=4096).join("mallory")
    alice, bob = Peer(server).join("alice"), Peer(server).join("bob")
    rest = memoryview(b"".join([b"x" * 1000 + b"\n"] * 16_000) + b"the end\n")
    alice.sock.setblocking(False)
    bob.sock.setblocking(False)
    heard = b""
    with selectors.DefaultSelector() as selector:
        selector.register(alice.sock, selectors.EVENT_WRITE)
        selector.register(bob.sock, selectors.EVENT_READ)
        while ready := selector.select(server.patience):
            for key, _ in ready:
                if key.fileobj is bob.sock:
                    heard = heard[-10:] + bob.sock.recv(262144)
                    if b"the end" in heard:
                        mallory.sock.close()
                        return False
                elif rest:
                    rest = rest[alice.sock.send(rest[:65536]) :]
                else:
                    selector.unregister(alice.sock)
    return True  # nothing moves any more


def two_clients_can_have_the_same_nickname(server: Probed) -> bool:
    """11 of 12."""
    alice, bob, second = Peer(server).join("alice"), Peer(server).join("bob"), Peer(server)
    assert second.hears("nickname", SOON)
    second.send("alice")
    if second.hears("! "):
        return False
    assert alice.sock.fileno() >= 0  # she is still here
    second.send("I am the other one")
    return bob.hears("alice: I am the other one", SOON)


def two_sends_arrive_as_one_message(server: Probed) -> bool:
    """11 of 12. Two messages in one packet: does Bob hear two, or one of them twice as long?"""
    alice, bob = Peer(server).join("alice"), Peer(server).join("bob")
    alice.send("one", "two")
    return not (bob.hears("alice: one") and bob.hears("alice: two"))


def one_silent_client_keeps_everybody_else_from_joining(server: Probed) -> bool:
    """9 of 12. Is a second newcomer asked for a nickname while the first has not answered?"""
    silent = Peer(server)
    assert silent.hears("nickname", SOON)
    return not Peer(server).hears("nickname")


def a_reset_during_the_handshake_ends_all_joining(server: Probed) -> bool:
    """8 of 12."""
    dead = Peer(server)
    assert dead.hears("nickname", SOON)
    dead.reset()
    return not Peer(server).hears("nickname")


def a_nickname_that_is_not_utf8_ends_all_joining(server: Probed) -> bool:
    """8 of 12."""
    odd = Peer(server)
    assert odd.hears("nickname", SOON)
    odd.send(b"ren\xe9")
    return not Peer(server).hears("nickname")


def a_clean_goodbye_is_not_noticed(server: Probed) -> bool:
    """7 of 12. The thread spins on an empty recv: here it says nothing in alice's name, again and again."""
    bob, alice = Peer(server).join("bob"), Peer(server).join("alice")
    alice.sock.close()
    if bob.hears("* alice left (hung up)"):
        return False
    return bob.hears("alice: alice: alice: ", SOON)


def a_message_that_is_not_utf8_throws_its_sender_out(server: Probed) -> bool:
    """6 of 12."""
    alice, bob = Peer(server).join("alice"), Peer(server).join("bob")
    alice.send(b"caf\xe9")
    if not bob.hears("alice: caf"):
        return True
    alice.send("still here")
    return not bob.hears("still here")


def a_long_cyrillic_message_throws_its_sender_out(server: Probed) -> bool:
    """6 of 12. Two bytes a letter, and one byte before them: some `recv` cuts a letter in two."""
    alice, bob = Peer(server).join("alice"), Peer(server).join("bob")
    alice.send("!" + "ж" * 1500)
    alice.send("still here")
    return not (bob.hears("alice: !жжж") and bob.hears("still here"))


def one_whose_thread_is_busy(server: Probed) -> tuple[Peer, Peer, Peer, Peer]:
    """Alice, one who will die, Bob, and Mallory, who does not read.

    The one who will die has said so much that a thread which sends by itself is stuck in a send to
    Mallory, and cannot see the death of its own client: somebody else's send will be the first to.
    """
    alice, dead, bob = (Peer(server).join(name) for name in ("alice", "dead", "bob"))
    mallory = Peer(server, receive_buffer=4096).join("mallory")
    dead.sock.setblocking(True)
    dead.send(*["x" * 1000] * 4000)
    bob.drain()
    dead.drain()  # closing with something unread would send RST
    return alice, dead, bob, mallory


def after_a_reset_the_next_messages_reach_nobody(server: Probed) -> bool:
    """5 of 12. Bob comes after the dead one in the list of a server that has one."""
    alice, dead, bob, mallory = one_whose_thread_is_busy(server)
    dead.reset()
    alice.send("is anybody there?")
    heard = bob.hears("is anybody there?")
    mallory.sock.close()
    return not heard


def after_a_goodbye_the_next_innocent_sender_is_thrown_out(server: Probed) -> bool:
    """4 of 12. The first send to a closed socket goes well, the second fails: who pays for it?"""
    alice, dead, bob, mallory = one_whose_thread_is_busy(server)
    dead.sock.close()
    heard = True
    for n in range(3):
        alice.send(f"are you there, {n}?")
        heard = heard and bob.hears(f"are you there, {n}?")
    mallory.sock.close()
    return not heard


def the_sender_hears_its_own_message(server: Probed) -> bool:
    """4 of 12. What alice hears first is bob's answer to what she said."""
    alice, bob = Peer(server).join("alice"), Peer(server).join("bob")
    alice.send("an echo?")
    assert bob.hears("alice: an echo?", SOON)
    bob.send("no echo")
    assert alice.hears("bob: no echo", SOON)
    return b"an echo?" in alice.passed_over


def removing_inside_the_loop_skips_the_next_client(server: Probed) -> bool:
    """1 of 12. Two die at once; does everybody else still hear, also who joined just after them?"""
    alice = Peer(server).join("alice")
    people = [Peer(server).join(name) for name in ("dead0", "other0", "dead1", "other1")]
    dead, others = people[::2], people[1::2]
    for peer in dead:
        peer.reset()
    alice.send("who hears me?")
    return not all(peer.hears("alice: who hears me?") for peer in others)


def a_lock_taken_twice_makes_the_server_silent(server: Probed) -> bool:
    """1 of 12. Everything that might take a lock in a lock: joining, talking, leaving, rudely, at once."""
    alice, bob = Peer(server).join("alice"), Peer(server).join("bob")
    for n in range(5):
        visitor = Peer(server).join(f"visitor{n}")
        visitor.send("hello")
        if not alice.hears(f"visitor{n}: hello"):
            return True
        if n % 2:
            visitor.reset()
        else:
            visitor.sock.close()
    bob.send("still there?")
    return not alice.hears("bob: still there?")


FAULTS = [
    one_client_that_stops_reading_stalls_the_room,
    two_clients_can_have_the_same_nickname,
    two_sends_arrive_as_one_message,
    one_silent_client_keeps_everybody_else_from_joining,
    a_reset_during_the_handshake_ends_all_joining,
    a_nickname_that_is_not_utf8_ends_all_joining,
    a_clean_goodbye_is_not_noticed,
    a_message_that_is_not_utf8_throws_its_sender_out,
    a_long_cyrillic_message_throws_its_sender_out,
    after_a_reset_the_next_messages_reach_nobody,
    after_a_goodbye_the_next_innocent_sender_is_thrown_out,
    the_sender_hears_its_own_message,
    removing_inside_the_loop_skips_the_next_client,
    a_lock_taken_twice_makes_the_server_silent,
]
CLASSIC_HAS = FAULTS[:11]


def name(value: object) -> str | None:
    return value.__name__ if callable(value) else None


@contextlib.contextmanager
def from_the_command_line(framing: str) -> Iterator[tuple[str, int]]:
    """The address of `python -m labkit serve`."""
    command = [sys.executable, "-m", "labkit", "serve", "--port", "0", "--framing", framing]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            host, _, port = process.stdout.readline().strip().removeprefix("listening on ").rpartition(":")
            yield host, int(port)
        finally:
            process.terminate()
            assert process.wait(SOON) == 0


@pytest.mark.parametrize(
    ("fault", "framing"),
    [
        (fault, framing)
        for fault in FAULTS
        for framing in ("lines", "raw")
        # In raw a recv is a message: no server can tell two in one packet from one twice as long.
        if (fault, framing) != (two_sends_arrive_as_one_message, "raw")
    ],
    ids=name,
)
def test_labkit_is_free_of_it(fault: Callable[[Probed], bool], framing: str) -> None:
    """None of the fourteen can be shown on `labkit serve`."""
    with from_the_command_line(framing) as address:
        server = Probed(address, lines=framing == "lines", patience=SOON, answers=True)
        assert not fault(server)


@pytest.mark.parametrize("fault", CLASSIC_HAS, ids=name)
def test_the_assignments_own_server_shows_it(fault: Callable[[Probed], bool]) -> None:
    """The probe sees the fault where it is."""
    with ClassicServer(port=0) as classic:
        server = Probed(classic.address, False, A_WHILE, False, lambda: list(classic.nicknames))
        assert fault(server)


# --- three that the assignment's own server does not have: it is given them ---


class Echoes(ClassicServer):
    """Sends to everybody, the sender included."""

    def broadcast(self, message: bytes, sender: socket.socket) -> None:
        for client in self.clients:
            client.send(message)


class RemovesInTheLoop(ClassicServer):
    """A client's thread just ends; whoever finds a client dead takes it off the lists it is walking."""

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
        # Not for ever, so that the test's threads end; to the probe it is all the same.
        if not self.lock.acquire(timeout=4 * A_WHILE):
            return
        super().broadcast(message, sender)
        self.lock.release()


@pytest.mark.parametrize(
    ("worse", "fault"),
    [
        (Echoes, the_sender_hears_its_own_message),
        (RemovesInTheLoop, removing_inside_the_loop_skips_the_next_client),
        (LocksTwice, a_lock_taken_twice_makes_the_server_silent),
    ],
    ids=name,
)
def test_a_server_made_worse_shows_it(worse: type[ClassicServer], fault: Callable[[Probed], bool]) -> None:
    """The probe sees the fault where it is."""
    with worse(port=0) as classic:
        server = Probed(classic.address, False, A_WHILE, False, lambda: list(classic.nicknames))
        assert fault(server)
