"""python -m labkit demo: the walkthrough's story in a terminal.

A real server, three real clients, and what each of them said and heard. Every step says first what will
happen. The output is the same every time: nothing waits for time to pass, only for lines that must come.
"""

from __future__ import annotations

import argparse
import re
import threading

from labkit.cli.console import print_error
from labkit.client import ChatClient
from labkit.instruments.ladder import Ladder
from labkit.server import ChatServer
from labkit.wire.sockets import Address, connect

DETAILS = ""

_WHO = re.compile(r"^\* in \S+: ")
"""The answer to `/who`."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """It has none."""


def run(options: argparse.Namespace) -> int:
    """Play the story; returns the exit status."""
    try:
        return _play()
    except BrokenPipeError:
        raise  # our output is closed: there is no one to tell
    except (TimeoutError, ConnectionError) as error:
        return print_error(error)


def _play() -> int:
    with ChatServer(port=0) as server:
        print("Real sockets, real threads. > is what somebody types; all else is what they hear.")
        story = _Story()

        story.step(
            "A server listens. alice, bob and carol connect, one after the other.",
            "Each is asked for a nickname. Whoever is here already hears who joins.",
        )
        alice, bob, carol = [story.enters(name, server.address) for name in ("alice", "bob", "carol")]
        story.show(alice, bob, carol)

        story.step("alice speaks. All the others hear it, with her name before it. She does not.")
        alice.say("hello, everybody")
        story.show(alice, bob, carol)

        story.step("bob says something to alice alone. carol hears nothing.")
        bob.whisper("alice", "is this the right room?")
        story.show(bob, alice, carol)

        story.step("bob goes to another room. What alice says in the lobby, he does not hear.")
        bob.say("/join library")
        story.settle()
        alice.say("bob? are you there?")
        story.show(bob, alice, carol)

        story.step("bob comes back, and is heard again.")
        bob.say("/join lobby")
        story.settle()
        bob.say("here I am")
        story.show(bob, alice, carol)

        story.step("bob says goodbye: his client sends FIN. The others are told.")
        story.leaves(bob)
        bob.leave()
        server.journal.wait_for("left", "bob")
        story.show(alice, carol)

        story.step("carol aborts. No goodbye: her client sends RST, and the connection is no more.")
        story.leaves(carol)
        carol.abort()
        server.journal.wait_for("left", "carol")
        story.show(alice)

        story.step("The server stops. It tells whoever is left, and ends every connection.")
        story.leaves(alice)
        server.stop()
        alice.leave()
        story.show(alice)

        story.step(
            "Meanwhile the server has kept a journal: what happened, who did it, where, and the words."
        )
        print(*(f"     {event}" for event in server.journal), sep="\n")

        story.step("The same as a ladder: who sent what to whom. Time runs downwards.")
        ladder = str(Ladder(server.journal, rows=24)).splitlines()[2:]
        print(*(f"     {row}" for row in ladder), sep="\n")

        story.step("Now nothing must be left: no thread, and nobody who answers at the server's port.")
        threads = [thread.name for thread in threading.enumerate() if thread.name.startswith("labkit-")]
        answers = _answers(server.address)
        print("     threads still running:", ", ".join(threads) or "none")
        print("     at the port:", "somebody still answers" if answers else "nobody answers")
    return 1 if threads or answers else 0


def _answers(address: Address) -> bool:
    try:
        connect(address, timeout=1).close()
    except ConnectionError:
        return False
    return True


class _Story:
    """Numbers the steps; knows who is here, and how much of each transcript was shown."""

    def __init__(self) -> None:
        self._steps = 0
        self._here: list[ChatClient] = []
        self._shown: dict[ChatClient, int] = {}

    def step(self, *says: str) -> None:
        self._steps += 1
        first, *others = says
        print(f"\n{self._steps:>2}. {first}", *(f"    {line}" for line in others), sep="\n")

    def enters(self, nickname: str, address: Address) -> ChatClient:
        client = ChatClient(nickname, address)
        self._here.append(client)
        self._shown[client] = 0
        return client

    def leaves(self, client: ChatClient) -> None:
        self._here.remove(client)

    def settle(self) -> None:
        """Wait until every client has heard all that was said so far.

        A client's question is answered after all that it said before: after the first round of /who the
        server has everything. And after all that it was sent before: after the second the clients have it.
        """
        for client in self._here * 2:
            client.say("/who")
            client.wait_for(_WHO)

    def show(self, *people: ChatClient) -> None:
        """What each of them said and heard since the last time."""
        self.settle()
        for client in people:
            lines = client.transcript[self._shown[client] :]
            self._shown[client] += len(lines)
            lines = [line for line in lines if line != "> /who" and not _WHO.match(line)]
            name = client.nickname
            for line in lines or ["(nothing)"]:
                print(f"     {name:<7}{line}")
                name = ""
