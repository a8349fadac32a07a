"""Exercise `broadcast`: a line for all but its sender, whatever clients die or leave meanwhile."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from labkit.exercises.bench.bench import FOR_EVER, SOON, Bench
from labkit.exercises.exercise import Exercise, Step, Wrong
from labkit.journal import Journal
from labkit.probe.deadline import wait
from labkit.probe.failed import CheckFailed
from labkit.probe.raw_client import RawClient
from labkit.wire import sockets

TASK = """
A client has said something. Write `broadcast(clients, line, sender)`, which sends it to all the others.

- `clients` is a list of connected sockets. Other threads may put clients on it, or take some off, at any
  moment: also while you send.
- `line` is `bytes`, and goes out whole, once, to all in `clients` but `sender`, which is one of them.
- The sockets have a timeout. With one, `send` sends what fits and returns how many bytes that was.
- A client that cannot be sent to (sending raises any `OSError`: reset, timed out, closed already) is taken
  off `clients` and closed. No other loses the line or its place in `clients`, and nothing is raised.
- Other exceptions are bugs, and come out: a `str` for `line` is a `TypeError`.
"""

ANSWER = '''
from contextlib import suppress


def broadcast(clients, line, sender):
    """Send line to all clients but the sender. Who cannot be sent to is taken off, and closed."""
    ### BEGIN SOLUTION
    for client in list(clients):  # a copy: others come and go meanwhile
        if client is sender:
            continue
        try:
            client.sendall(line)
        except OSError:
            with suppress(ValueError):  # its own thread may have been quicker
                clients.remove(client)
            client.close()
    ### END SOLUTION
'''

LINE = "alice: hi"
SENT = b"alice: hi\n"


class Client(socket.socket):
    """The server's end of a connection; `at_send` is called just before anything is sent on it."""

    at_send: Callable[[], None] | None = None

    def __init__(self, *how: Any, **more: Any) -> None:
        super().__init__(*how, **more)
        self.settimeout(FOR_EVER)
        self.tried = threading.Event()  # a send has taken what fits, or a sendall has begun

    def send(self, data: Any, *flags: int) -> int:
        if self.at_send is not None:
            self.at_send()
        try:
            return super().send(data, *flags)
        finally:
            self.tried.set()

    def sendall(self, data: Any, *flags: int) -> None:
        if self.at_send is not None:
            self.at_send()
        self.tried.set()
        super().sendall(data, *flags)


class Room:
    """Connected clients, of which alice is the sender. Each room begins a new ladder."""

    def __init__(self, bench: Bench, *names: str, **options: Any) -> None:
        self.bench = bench
        bench.journal = Journal()
        self.ends: dict[str, Client] = {}
        self.by_name: dict[str, RawClient] = {}
        for name in names:
            end, self.by_name[name] = bench.pair(name, **options)
            self.ends[name] = Client(fileno=end.detach())
        self.clients = list(self.ends.values())

    def broadcast(self, line: Any = SENT) -> None:
        shown = f"{line!r}" if len(line) < 40 else f"{len(line):,} bytes"
        self.bench.said(f"broadcast(…, {shown}, alice)", "check", "server")
        self.bench.code(self.clients, line, self.ends["alice"])
        self.bench.said("returned", "server", "check")

    def resets(self, name: str) -> None:
        """Reset this client, and wait until the server's end knows."""
        self.by_name[name].reset()
        wait(partial(sockets.readable, self.ends[name]), SOON)

    def ended(self, name: str) -> None:
        """Let nothing more be sent to this client, so that what it has not heard is certain."""
        with contextlib.suppress(OSError):  # closed already
            self.ends[name].shutdown(socket.SHUT_WR)

    def heard(self, name: str) -> list[str]:
        """The lines that this client has heard. Ends the connection."""
        self.ended(name)
        lines = []
        with contextlib.suppress(EOFError, TimeoutError):
            while True:
                lines.append(self.by_name[name].line())
        return lines

    def hears(self, *names: str, clue: str = "") -> None:
        """Each of these clients has heard the line, once, and nothing else."""
        for name in names:
            lines = self.heard(name)
            if lines != [LINE]:
                heard = f"{name} heard {lines}" if lines else self.by_name[name].seen()
                raise CheckFailed(f"{name} hears {LINE + chr(10)!r}, once", heard, clue)


def everybody(bench: Bench) -> None:
    room = Room(bench, "alice", "bob", "carol", "dave")
    room.broadcast()
    room.hears("bob", "carol", "dave")


def not_the_sender(bench: Bench) -> None:
    room = Room(bench, "bob", "alice", "carol")
    room.broadcast()
    room.hears("bob", "carol")
    if lines := room.heard("alice"):
        raise CheckFailed("alice, who said it, hears nothing", f"alice heard {lines}")


def long_line(bench: Bench) -> None:
    room = Room(bench, "alice", "bob", receive_buffer=65536)
    room.ends["bob"].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    line = b"alice: " + b"la" * 1_000_000 + b"\n"

    def read() -> bytes:
        # Nothing is read until a first send has taken what fits: so it never fits whole.
        wait(room.ends["bob"].tried.wait, SOON)
        data = bytearray()
        with socket.fromfd(room.by_name["bob"].fileno(), socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.settimeout(FOR_EVER)
            while piece := sock.recv(262144):
                data += piece
        return bytes(data)

    bob = bench.thread(read, name="bob")
    room.broadcast(line)
    room.ended("bob")
    data = bob.result("bob hears the end of the connection")
    bench.said(f"{len(data):,} bytes", "server", "bob")
    if data != line:
        seen = f"bob heard {len(data):,} bytes" + ", the first ones" * line.startswith(data)
        raise CheckFailed(f"bob hears all {len(line):,} bytes of a long line", seen)


def dead_client(bench: Bench) -> None:
    room = Room(bench, "alice", "bob", "carol")
    room.resets("bob")
    room.broadcast()

    def times_out() -> None:
        bench.said("the send times out", "server", "bob")
        raise TimeoutError("timed out")

    room = Room(bench, "alice", "bob", "carol")
    room.ends["bob"].at_send = times_out
    room.broadcast()
    room = Room(bench, "alice", "bob", "carol")
    room.ends["bob"].close()
    bench.said("closes bob's socket", "another thread", "server")
    room.broadcast()


def after_the_dead(bench: Bench) -> None:
    room = Room(bench, "alice", "bob", "carol", "dave", "erin")
    room.resets("carol")
    room.broadcast()
    room.hears("bob")
    erin = room.heard("erin")
    room.hears("dave", clue="next" if erin == [LINE] else "rest")
    if erin != [LINE]:
        raise CheckFailed(f"erin hears {LINE + chr(10)!r}, once", f"erin heard {erin}")


def nobody_else(bench: Bench) -> None:
    room = Room(bench, "bob", "alice", "carol", "dave")
    room.resets("dave")
    room.broadcast()
    for name in ("alice", "bob", "carol"):
        end = room.ends[name]
        who = "alice, who said it," if name == "alice" else name
        lost = ["taken off clients"] * (end not in room.clients) + ["closed"] * (end.fileno() < 0)
        clue = "" if name == "alice" else "innocent"
        bench.expect(not lost, f"dave vanished; {who} stays", f"{name} was {' and '.join(lost)}", clue)


def dead_is_gone(bench: Bench) -> None:
    room = Room(bench, "alice", "bob", "carol", "dave")
    for name in ("bob", "carol"):
        room.resets(name)
    room.broadcast()
    for name in ("bob", "carol"):
        expected = f"{name}, who vanished, is taken off clients, and closed"
        bench.expect(room.ends[name] not in room.clients, expected, f"{name} is still in clients")
        bench.expect(room.ends[name].fileno() < 0, expected, f"{name} is off, but not closed", "open")


def others_leave(bench: Bench) -> None:
    room = Room(bench, "alice", "bob", "carol", "dave", "erin", "frank")
    frank = room.clients.pop()
    reached: list[str] = []

    def sending_to(name: str) -> None:
        reached.append(name)
        bench.said("a send begins", "server", name)
        if len(reached) == 2:
            bench.said("takes bob off clients", "another thread", "server")
            with contextlib.suppress(ValueError):  # the code may send in several threads
                room.clients.remove(room.ends["bob"])
            bench.said("puts frank on clients", "another thread", "server")
            room.clients.append(frank)

    for name in ("bob", "carol", "dave", "erin"):
        room.ends[name].at_send = partial(sending_to, name)
    room.broadcast()
    room.hears("carol", "dave", "erin")  # bob and frank may have heard it, or not
    stays = frank in room.clients and frank.fileno() >= 0
    bench.expect(stays, "frank, who came meanwhile, stays in clients", "he was taken off", "written over")
    back = room.ends["bob"] in room.clients
    bench.expect(not back, "bob, who was taken off meanwhile, stays off", "he is back", "written over")

    def taken_off_already() -> None:
        bench.said("takes bob off clients", "another thread", "server")
        room.clients.remove(room.ends["bob"])
        room.ends["bob"].at_send = None

    room = Room(bench, "alice", "bob", "carol")
    room.resets("bob")
    room.ends["bob"].at_send = taken_off_already
    room.broadcast()
    room.hears("carol")


def a_bug(bench: Bench) -> None:
    room = Room(bench, "alice", "bob", "carol")
    try:
        room.broadcast(LINE + "\n")
    except Exception:
        return
    left = len(room.clients)
    clue = "sent" if left == 3 else ""
    raise CheckFailed(
        "a str for line raises TypeError", f"nothing was raised; clients has {left} of 3", clue
    )


ANY_FAILURE = (
    "Which exception was it? Is it one of those that your except names?",
    "A reset, a timeout, a closed socket: each has its own exception, and all of them are OSErrors.",
    "except OSError:",
)
HINTS_UNGUARDED = (
    "bob is gone. Who pays for it: bob, or the one who just said something?",
    "Sending to a dead client raises. Catch that where you send, for each client by itself.",
    "try: client.sendall(line), and then except OSError:",
)

EXERCISE = Exercise(
    name="broadcast",
    title="a line for everybody else",
    chapter="04_who_hears_what",
    wants="broadcast",
    task=TASK,
    answer=ANSWER,
    steps=(
        Step(
            "everybody else hears the line",
            everybody,
            hints=(
                "Who should have heard what, and what did each hear?",
                "for client in list(clients): and then client.sendall(line), as it is.",
            ),
        ),
        Step(
            "the sender does not hear it",
            not_the_sender,
            hints=(
                "alice knows what she said. Which client is hers?",
                "if client is sender: continue",
            ),
        ),
        Step(
            "a long line arrives whole",
            long_line,
            hints=(
                "What does send return, and what became of the bytes that did not fit?",
                "sendall goes on until all of it is sent, or raises.",
            ),
        ),
        Step(
            "a client that is gone raises nothing",
            dead_client,
            hints=HINTS_UNGUARDED,
            hints_by_clue={
                "TimeoutError": ANY_FAILURE,
                "OSError": ANY_FAILURE,
                "IndexError": (
                    "How long was the list when range(len(clients)) was made, and how long is it now?",
                    "Taking something off a list moves what follows. Walk over a copy of it.",
                    "for client in list(clients): and clients.remove(client)",
                ),
            },
        ),
        Step(
            "those behind one who vanished hear the line as well",
            after_the_dead,
            hints=("Who heard nothing, and where do they stand in clients?",),
            hints_by_clue={
                "rest": (
                    "carol is gone. Where does your code go on, after it caught that?",
                    "A try around the loop ends the loop. Put the try inside, around one send.",
                ),
                "next": (
                    "carol was removed, and dave moved into her place. Where does the for look next?",
                    "A for counts places. Remove one, and it steps over the next.",
                    "Walk over a copy, and remove from the list: for client in list(clients):",
                ),
            },
            points=2,
        ),
        Step(
            "nobody else is thrown out for it",
            nobody_else,
            hints=(
                "It was dave who could not be sent to. Whom does your except throw out?",
                "In the except, the one that failed is client, and not sender.",
            ),
            hints_by_clue={
                "innocent": (
                    "An index is a place in one list. In which did you count, from which did you pop?",
                    "clients.remove(client) takes off that client, wherever it stands.",
                )
            },
        ),
        Step(
            "one who vanished is taken off the list, and closed",
            dead_is_gone,
            hints=(
                "Every client that ever vanished is still in clients. Who takes them off?",
                "In the except: clients.remove(client), and client.close().",
            ),
            hints_by_clue={
                "open": (
                    "Off the list, but what about the socket itself?",
                    "An open socket without a use is lost until the program ends: client.close()",
                )
            },
        ),
        Step(
            "others leave while the line goes out, and nobody is skipped",
            others_leave,
            hints=(
                "Look at the ladder: at which moment did clients change, and who was next?",
                "You walk over the list itself, and others change it. Walk over a copy.",
                "for client in list(clients): copies it in one go.",
            ),
            hints_by_clue={
                "ValueError": (
                    "Look at the ladder: was bob still in clients when you wanted to take him off?",
                    "Another thread can be quicker. That remove finds nothing is no error here.",
                    "with suppress(ValueError): clients.remove(client)",
                ),
                "IndexError": (
                    "The list became shorter while you counted. Who promised that it would not?",
                    "Walk over a copy: for client in list(clients):",
                ),
                "written over": (
                    "Others changed clients while your code sent. What did it write over their changes?",
                    "Take off the one that failed, and leave the rest of the list to others.",
                    "clients.remove(client), and no clients[:] = … at the end.",
                ),
            },
        ),
        Step(
            "a bug is not hidden",
            a_bug,
            hints=(
                "A str cannot be sent, to no client. What did your except make of that?",
                "except Exception, or except alone, also catches your mistakes. except OSError does not.",
            ),
            hints_by_clue={
                "sent": (
                    "line was to be bytes. How does a caller that gives something else find that out?",
                    "Send line as it is: sendall raises TypeError for a str, and nothing catches that.",
                )
            },
        ),
    ),
    wrong=(
        Wrong(
            "the sender hears it too",
            "the sender does not hear it",
            (("        if client is sender:\n            continue\n", ""),),
            survey="the sender hears its own message",
        ),
        Wrong(
            "send instead of sendall",
            "a long line arrives whole",
            (("sendall", "send"),),
            survey="send, never sendall",
        ),
        Wrong(
            "no try at all",
            "a client that is gone raises nothing",
            source="""
            def broadcast(clients, line, sender):
                for client in list(clients):
                    if client is not sender:
                        client.sendall(line)
            """,
            survey="an unguarded send in the broadcast",
            clue="ConnectionResetError",
        ),
        Wrong(
            "catches resets only",
            "a client that is gone raises nothing",
            (("except OSError", "except ConnectionError"),),
            clue="TimeoutError",
        ),
        Wrong(
            "pops by index from the list it walks",
            "a client that is gone raises nothing",
            source="""
            def broadcast(clients, line, sender):
                for i in range(len(clients)):
                    if clients[i] is sender:
                        continue
                    try:
                        clients[i].sendall(line)
                    except OSError:
                        clients.pop(i).close()
            """,
            survey="removes from the list it walks",
            clue="IndexError",
        ),
        Wrong(
            "writes the whole list anew",
            "others leave while the line goes out, and nobody is skipped",
            source="""
            def broadcast(clients, line, sender):
                alive = []
                for client in list(clients):
                    try:
                        if client is not sender:
                            client.sendall(line)
                        alive.append(client)
                    except OSError:
                        client.close()
                clients[:] = alive
            """,
            clue="written over",
        ),
        Wrong(
            "one try around the whole loop",
            "those behind one who vanished hear the line as well",
            source="""
            def broadcast(clients, line, sender):
                try:
                    for client in list(clients):
                        if client is not sender:
                            client.sendall(line)
                except OSError:
                    clients.remove(client)
                    client.close()
            """,
            survey="after somebody's reset the next messages reach nobody",
            clue="rest",
        ),
        Wrong(
            "remove inside the loop",
            "those behind one who vanished hear the line as well",
            (("list(clients):  # a copy: others come and go meanwhile", "clients:"),),
            survey="remove inside the loop skips the next client",
            clue="next",
        ),
        Wrong(
            "throws out the sender",
            "nobody else is thrown out for it",
            (("clients.remove(client)", "clients.remove(sender)"), ("client.close()", "sender.close()")),
            survey="after somebody's goodbye the next innocent sender is thrown out",
        ),
        Wrong(
            "counts in one list and pops from another",
            "nobody else is thrown out for it",
            source="""
            def broadcast(clients, line, sender):
                others = [client for client in clients if client is not sender]
                for i, client in enumerate(others):
                    try:
                        client.sendall(line)
                    except OSError:
                        clients.pop(i).close()
            """,
            clue="innocent",
        ),
        Wrong(
            "removes nobody",
            "one who vanished is taken off the list, and closed",
            (("with suppress(ValueError):  # its own thread may have been quicker", "pass"),
             ("                clients.remove(client)\n            client.close()\n", "")),
            survey="never removes anybody",
        ),
        Wrong(
            "closes nobody",
            "one who vanished is taken off the list, and closed",
            (("            client.close()\n", ""),),
            clue="open",
        ),
        Wrong(
            "walks the live list",
            "others leave while the line goes out, and nobody is skipped",
            source="""
            from contextlib import suppress


            def broadcast(clients, line, sender):
                gone = []
                for client in clients:
                    if client is sender:
                        continue
                    try:
                        client.sendall(line)
                    except OSError:
                        gone.append(client)
                for client in gone:
                    with suppress(ValueError):
                        clients.remove(client)
                    client.close()
            """,
            survey="walks the live list while others change it",
        ),
        Wrong(
            "removes one who is off already",
            "others leave while the line goes out, and nobody is skipped",
            (("with suppress(ValueError):  # its own thread may have been quicker\n                ", ""),),
            clue="ValueError",
        ),
        Wrong("catches everything", "a bug is not hidden", (("except OSError", "except Exception"),)),
    ),
    others={
        "first all sends, then all goodbyes": """
        def broadcast(clients, line, sender):
            gone = []
            for client in tuple(clients):
                if client != sender:
                    try:
                        client.sendall(line)
                    except OSError:
                        gone.append(client)
            while gone:
                client = gone.pop()
                client.close()
                try:
                    clients.remove(client)
                except ValueError:
                    pass
        """,
        "a thread for each": """
        from concurrent.futures import ThreadPoolExecutor
        from functools import partial


        def deliver(line, client):
            try:
                client.sendall(line)
                return None
            except OSError:
                return client


        def broadcast(clients, line, sender):
            others = [client for client in clients if client is not sender]
            with ThreadPoolExecutor(len(others) or 1) as pool:
                for dead in pool.map(partial(deliver, line), others):
                    if dead:
                        dead.close()
                        try:
                            clients.remove(dead)
                        except ValueError:
                            pass
        """,
        "send in a loop, by a class": """
        from contextlib import suppress


        class Letter:
            def __init__(self, line):
                self.line = memoryview(line)

            def reach(self, client):
                at = 0
                while at < len(self.line):
                    at += client.send(self.line[at:])


        def broadcast(clients, line, sender):
            letter = Letter(line)
            for client in clients.copy():
                if client is sender:
                    continue
                try:
                    letter.reach(client)
                except OSError:
                    client.close()
                    with suppress(ValueError):
                        clients.remove(client)
        """,
        "a writing file, and recursion": """
        from contextlib import suppress


        def broadcast(clients, line, sender):
            to_all([client for client in clients[:] if client is not sender], line, clients)


        def to_all(others, line, clients):
            if not others:
                return
            client, *rest = others
            try:
                writer = client.makefile("wb", buffering=0)
                sent = 0
                while sent < len(line):
                    sent += writer.write(line[sent:])
                writer.close()
            except OSError:
                with suppress(ValueError):
                    clients.remove(client)
                client.close()
                writer.close()
            to_all(rest, line, clients)
        """,
    },
)  # fmt: skip
