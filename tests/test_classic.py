"""classic.py: the assignment's own two, with each other and with labkit's, both ways round.

In this dialect a recv is a message, so two messages on their way at once may arrive as one. These tests
let each message arrive before the next is sent; what happens otherwise is in test_survey.py.
"""

from __future__ import annotations

import inspect
import queue
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from support import SOON, Wire

from labkit import RAW, ChatClient, ChatServer
from labkit.classic import HOST, PORT, ClassicClient, ClassicServer


class Watched(list[socket.socket]):
    """A list of clients that tells when one was put on it or taken off."""

    def __init__(self) -> None:
        super().__init__()
        self.came: queue.Queue[socket.socket] = queue.Queue()
        self.left: queue.Queue[socket.socket] = queue.Queue()

    def append(self, client: socket.socket) -> None:
        super().append(client)
        self.came.put(client)

    def remove(self, client: socket.socket) -> None:
        super().remove(client)
        self.left.put(client)


class Ears:
    """What a ClassicClient shows, to wait for."""

    def __init__(self) -> None:
        self._heard: queue.Queue[str] = queue.Queue()

    def __call__(self, message: str) -> None:
        self._heard.put(message)

    def next(self) -> str:
        return self._heard.get(timeout=SOON)

    def until(self, text: str) -> list[str]:
        """All messages up to the one that holds `text`."""
        heard = [self.next()]
        while text not in heard[-1]:
            heard.append(self.next())
        return heard

    @property
    def nothing_more(self) -> bool:
        return self._heard.empty()


@pytest.fixture
def classic() -> Iterator[tuple[ClassicServer, Watched]]:
    """The assignment's server on a free port, its list of clients being watched."""
    with ClassicServer("127.0.0.1", 0) as server:
        server.clients = watched = Watched()
        yield server, watched


def joined(classic: tuple[ClassicServer, Watched], nickname: str) -> tuple[ClassicClient, Ears]:
    """The assignment's client with this nickname, when the server has it on both lists."""
    ears = Ears()
    client = ClassicClient(nickname, classic[0].address, ears)
    classic[1].came.get(timeout=SOON)
    return client, ears


def test_all_others_hear_it(classic: tuple[ClassicServer, Watched]) -> None:
    """Three of the assignment's clients: each message reaches the other two, with the right name."""
    people = {name: joined(classic, name) for name in ("alice", "bob", "carol")}
    assert classic[0].nicknames == list(people)
    for speaker, (client, _) in people.items():
        client.write(f"hello from {speaker}")
        for name, (_, ears) in people.items():
            if name != speaker:
                assert ears.next() == f"{speaker}: hello from {speaker}"
    assert all(ears.nothing_more for _, ears in people.values())
    classic[0].stop()
    for client, _ in people.values():
        client.close()


def test_a_reset_takes_the_client_off_both_lists(classic: tuple[ClassicServer, Watched]) -> None:
    """When reading fails, socket and name go from the same place, and the others talk on."""
    alice, _ = joined(classic, "alice")
    with Wire(classic[0].address) as eve:
        assert eve.recv() == "nickname"
        eve.send_bytes(b"eve")
        classic[1].came.get(timeout=SOON)
        bob, bobs_ears = joined(classic, "bob")
        eve.reset()
    classic[1].left.get(timeout=SOON)
    alice.write("who is left?")
    assert bobs_ears.next() == "alice: who is left?"
    assert classic[0].nicknames == ["alice", "bob"] and len(classic[0].clients) == 2
    classic[0].stop()
    alice.close()
    bob.close()


def test_labkits_client_with_the_classic_server(classic: tuple[ClassicServer, Watched]) -> None:
    """ChatClient(framing=RAW) is at home with a server written straight from the assignment."""
    people = []
    for name in ("alice", "bob", "carol"):
        people.append(ChatClient(name, classic[0].address, framing=RAW))
        classic[1].came.get(timeout=SOON)
    alice, bob, carol = people
    for speaker in people:
        speaker.say("Grüße, 世界")
        for other in people:
            if other is not speaker:
                assert other.wait_for("Grüße") == f"{speaker.nickname}: Grüße, 世界"
    alice.abort()
    classic[1].left.get(timeout=SOON)
    assert classic[0].nicknames == ["bob", "carol"]
    bob.say("she is gone")
    assert carol.wait_for("gone") == "bob: she is gone"
    classic[0].stop()
    for client in (bob, carol):
        assert client.wait_until_gone()
        client.leave()


def test_both_kinds_of_client_with_the_classic_server(classic: tuple[ClassicServer, Watched]) -> None:
    """The assignment's client and labkit's hear each other through the assignment's server."""
    alice, alices_ears = joined(classic, "alice")
    bob = ChatClient("bob", classic[0].address, framing=RAW)
    classic[1].came.get(timeout=SOON)
    alice.write("hello bob")
    assert bob.wait_for("hello") == "alice: hello bob"
    bob.say("hello alice")
    assert alices_ears.next() == "bob: hello alice"
    classic[0].stop()
    alice.close()
    bob.leave()


def test_the_classic_client_with_labkits_server() -> None:
    """Three of the assignment's clients with ChatServer(framing=RAW): all hear the others, and goodbyes."""
    with ChatServer(port=0, framing=RAW) as server:
        people: dict[str, tuple[ClassicClient, Ears]] = {}
        for name in ("alice", "bob", "carol"):
            ears = Ears()
            client = ClassicClient(name, server.address, ears)
            assert ears.next() == f"* you are {name}, in lobby"
            for _, others in people.values():
                assert others.next() == f"* {name} joined"
            people[name] = client, ears
        for speaker, (client, _) in people.items():
            client.write(f"hello from {speaker}")
            for name, (_, ears) in people.items():
                if name != speaker:
                    assert ears.next() == f"{speaker}: hello from {speaker}"
        people["alice"][0].close()
        for name in ("bob", "carol"):
            assert people[name][1].next() == "* alice left (hung up)"
        assert server.roster() == ["bob", "carol"]
        assert all(ears.nothing_more for _, ears in people.values())
        server.stop()
        for name in ("bob", "carol"):
            assert people[name][1].next() == "* server stopped"
            people[name][0].close()


def test_a_refused_classic_client_can_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second alice is told why not, and asked again, by labkit's server in the assignment's dialect."""
    # Nothing but time keeps the two apart: so much that this thread has read the first.
    monkeypatch.setattr("labkit.server.handshake.RAW_PAUSE", 2.0)
    with (
        ChatServer(port=0, framing=RAW) as server,
        Wire(server.address) as alice,
        Wire(server.address) as eve,
    ):
        assert alice.recv() == "nickname"
        alice.send_bytes(b"alice")
        assert alice.recv() == "* you are alice, in lobby"
        assert eve.recv() == "nickname"
        eve.send_bytes(b"alice")
        assert eve.recv() == "! the nickname alice is taken"
        assert eve.recv() == "nickname"
        eve.send_bytes(b"eve")
        assert eve.recv() == "* you are eve, in lobby"
        assert alice.recv() == "* eve joined"


@pytest.mark.parametrize("make", [ClassicClient, lambda name, at, ears: ChatClient(name, at, framing=RAW)])
def test_several_at_once_with_labkits_server(
    make: Callable[..., object], elsewhere: ThreadPoolExecutor
) -> None:
    """Eight clients, of either kind, come at the same moment: all of them are in."""
    with ChatServer(port=0, framing=RAW) as server:
        names = [f"client{i}" for i in range(8)]
        making = [elsewhere.submit(make, name, server.address, Ears()) for name in names]
        clients = [client.result(timeout=SOON) for client in making]
        for name in names:
            server.journal.wait_for("joined", name)
        assert sorted(server.roster()) == names
        for client in clients:
            client.leave() if isinstance(client, ChatClient) else client.close()  # type: ignore[attr-defined]
        for name in names:
            assert server.journal.wait_for("left", name).what == "hung up"


def test_the_defaults_are_the_assignments() -> None:
    """Both listen on and connect to localhost, port 14901, if nothing else is said."""
    assert (HOST, PORT) == ("localhost", 14901)
    parameters = inspect.signature(ClassicServer).parameters
    assert (parameters["host"].default, parameters["port"].default) == ("localhost", 14901)
    assert inspect.signature(ClassicClient).parameters["address"].default == ("localhost", 14901)
