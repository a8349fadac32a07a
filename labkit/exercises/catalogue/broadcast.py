"""Exercise `broadcast`: a line for all but its sender, whatever clients die or leave meanwhile."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from labkit.exercises.bench.bench import FOR_EVER, SOON, Bench, at_rest
from labkit.exercises.exercise import Exercise, Step, Wrong
from labkit.journal import Journal
from labkit.probe import queues
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
  off `clients` and closed, and not tried again. No other loses the line or its place in `clients`, and
  nothing is raised.
- When it returns, all that is done.
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
CUT = SENT[:4]

TURN = 0.005
"""Seconds of one turn of waiting."""

PATIENT = 10
"""Timeouts after which code tries for ever."""

MEANWHILE = 0.3
"""Seconds that a thread of the code's own is held, at most, to see whether broadcast waits for it."""


class Client(socket.socket):
    """The server's end of a connection; `at_send` is called just before anything is sent on it."""

    at_send: Callable[[], None] | None = None
    most: int | None = None  # bytes that may be sent
    stuck: Stuck | None = None  # what stands for a peer that does not read

    def __init__(self, *how: Any, **more: Any) -> None:
        super().__init__(*how, **more)
        self.settimeout(FOR_EVER)
        self.tried = threading.Event()  # a send has taken what fits, or begins to wait
        self.sent = 0

    def send(self, data: Any, *flags: int) -> int:
        with self._sending():
            data = self.stuck.takes(bytes(data)) if self.stuck else data
            return self._took(super().send(data, *flags))

    def sendto(self, data: Any, *flags_and_address: Any) -> int:
        return self.send(data)

    if hasattr(socket.socket, "sendmsg"):  # not on Windows

        def sendmsg(self, buffers: Any, *more: Any) -> int:
            return self.send(b"".join(buffers))

    def sendall(self, data: Any, *flags: int) -> None:
        with self._sending():
            self.tried.set()
            if self.stuck:
                socket.socket.send(self, self.stuck.takes(bytes(data)))
                self.stuck.takes(bytes(data)[len(CUT) :])
            super().sendall(data, *flags)
            self._took(len(data))

    @contextlib.contextmanager
    def _sending(self) -> Iterator[None]:
        if self.at_send is not None:
            self.at_send()
        if self.most is not None and self.sent and not sockets.writable(self, 0):
            self.tried.set()  # it waits
        try:
            yield
        finally:
            self.tried.set()

    def _took(self, size: int) -> int:
        self.sent += size
        if self.most is not None and self.sent > self.most:
            raise CheckFailed(
                f"all {self.most:,} bytes are sent, once", f"{self.sent:,} were sent", "from the start"
            )
        return size


class Stuck:
    """What happens to sends to bob, who has stopped reading: a first one takes CUT, the next time out."""

    def __init__(self, bench: Bench, end: Client) -> None:
        self.bench, self.end = bench, end
        self.taken = False
        self.timeouts = 0
        self.wrong: CheckFailed | None = None  # what the code did; it may have caught it

    def takes(self, data: bytes) -> bytes:
        """What of these bytes can be sent.

        Raises:
            TimeoutError: nothing.
            CheckFailed: the code should not have tried.
        """
        if self.end.gettimeout() is None:
            self.fail("the sockets keep their timeout", "bob's has none", "no timeout")
        if self.taken and data.startswith(CUT):
            self.fail(
                f"sending to bob timed out after {CUT!r}: he is gone", "the code began again", "again"
            )
        if not self.taken:
            self.taken = True
            return data[: len(CUT)]
        self.timeouts += 1
        if self.timeouts > PATIENT:
            self.fail("sending to bob timed out: he is gone", "the code tried again and again", "for ever")
        self.bench.said("the rest times out", "server", "bob")
        raise TimeoutError("timed out")

    def fail(self, expected: str, seen: str, clue: str) -> None:
        self.wrong = CheckFailed(expected, seen, clue)
        raise self.wrong


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
    returned, late = threading.Event(), []
    me = threading.get_ident()

    def held() -> None:
        # A thread of the code's own: does broadcast wait for it?
        if threading.get_ident() != me and wait(returned.wait, MEANWHILE):
            late.append(1)

    for end in room.ends.values():
        end.at_send = held
    room.broadcast()
    returned.set()
    for name in ("bob", "carol", "dave"):
        if not (room.ends[name].sent or late) and threading.active_count() > len(bench.before) + 1:
            wait(room.ends[name].tried.wait, MEANWHILE)
    bench.expect(
        not late, "the line is sent when broadcast returns", "threads of it were still at it", "late"
    )
    for name in ("bob", "carol", "dave"):
        heard = room.heard(name)
        if not heard and LINE in room.by_name[name].seen():
            raise CheckFailed(f"{name} hears {SENT!r}", f"{name} heard {LINE!r}, without its LF", "no LF")
        clue = "changed" if heard and heard != [LINE] else ""
        bench.expect(
            heard == [LINE], f"{name} hears {LINE + chr(10)!r}, once", f"{name} heard {heard}", clue
        )


def not_the_sender(bench: Bench) -> None:
    room = Room(bench, "bob", "alice", "carol")
    room.broadcast()
    room.hears("bob", "carol")
    if lines := room.heard("alice"):
        raise CheckFailed("alice, who said it, hears nothing", f"alice heard {lines}")


def long_line(bench: Bench) -> None:
    line = b"alice: " + b"la" * 1_000_000 + b"\n"
    data, clue = read_late(bench, line)
    if data != line:
        seen = f"bob heard {len(data):,} bytes" + ", the first ones" * line.startswith(data)
        raise CheckFailed(f"bob hears all {len(line):,} bytes of a long line", seen, clue)
    data, clue = read_late(bench, SENT, full=True)
    expected = "bob, who was slow for a moment, hears the line"
    bench.expect(data.endswith(SENT), expected, "he heard nothing of it", clue or "not now")


def read_late(bench: Bench, line: bytes, *, full: bool = False) -> tuple[bytes, str]:
    """What bob hears, and a clue to why no more. He begins to read when a first send has taken what fits,
    or the code waits for room.

    Args:
        full: nothing fits; so much has been sent to him before.
    """
    room = Room(bench, "alice", "bob", receive_buffer=65536)
    end = room.ends["bob"]
    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    if full:
        fill(end)
        end.settimeout(SOON)
        bench.said("much that he has not read yet", "server", "bob")
    else:
        end.most = len(line)
    patience = end.gettimeout() or FOR_EVER
    returned = threading.Event()
    code = threading.current_thread()

    def waits() -> bool:
        """Whether the code waits until bob's socket takes something: in select, say."""
        return full and at_rest(lambda: [code], 10 * TURN)

    def read() -> bytes:
        while not end.tried.wait(TURN) and not returned.is_set() and not waits():
            pass
        data = bytearray()
        with socket.fromfd(room.by_name["bob"].fileno(), socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.settimeout(FOR_EVER)
            while piece := sock.recv(262144):
                data += piece
        return bytes(data)

    bob = bench.thread(read, name="bob")
    try:
        room.broadcast(line)
    finally:
        returned.set()
    bench.expect(end.gettimeout() != 0, "the socket keeps its timeout", "now it never waits", "never waits")
    room.ended("bob")
    data: bytes = bob.result("bob hears the end of the connection")
    bench.said(f"{len(data):,} bytes", "server", "bob")
    return data, "timeout" if 0 < (end.gettimeout() or 0) < patience else ""


def fill(sock: socket.socket) -> None:
    """Send until nothing more fits, now or later: what is still on its way makes room when it arrives."""
    sock.setblocking(False)
    while sockets.writable(sock, 0):
        with contextlib.suppress(BlockingIOError):
            while True:
                socket.socket.send(sock, b"before this\n" * 100)
        wait(lambda seconds: sockets.writable(sock, seconds / 10) or not queues.on_the_way(sock), SOON)


def timed_out(bench: Bench, *names: str) -> Room:
    """A room in which bob has timed out; the line has been broadcast."""
    room = Room(bench, *names)
    end = room.ends["bob"]
    end.stuck = Stuck(bench, end)
    room.broadcast()
    if end.stuck.wrong:
        raise end.stuck.wrong
    end.stuck = None
    return room


def dead_client(bench: Bench) -> None:
    room = Room(bench, "alice", "bob", "carol")
    room.resets("bob")
    room.broadcast()
    timed_out(bench, "alice", "bob", "carol")
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
        clue = "" if name == "alice" else "closed" if lost == ["closed"] else "innocent"
        bench.expect(not lost, f"dave vanished; {who} stays", f"{name} was {' and '.join(lost)}", clue)
    stay = [name for client in room.clients for name, end in room.ends.items() if client is end]
    here = [name for name in stay if name != "dave"]
    bench.expect(here == ["bob", "alice", "carol"], "the others keep their places", f"now: {here}", "place")
    for name in here:
        try:
            room.ends[name].send(SENT)
        except OSError as error:
            seen = f"sending to {name} raises {type(error).__name__}: it was shut down"
            raise CheckFailed(f"dave vanished; {name} can be sent to still", seen, "closed") from None


def dead_is_gone(bench: Bench) -> None:
    room = Room(bench, "alice", "bob", "carol", "dave")
    for name in ("bob", "carol"):
        room.resets(name)
    room.broadcast()
    off(room, "bob", "vanished")
    off(room, "carol", "vanished")
    off(timed_out(bench, "alice", "bob", "carol"), "bob", "timed out")
    room = Room(bench, "alice", "bob", "carol")
    room.ends["bob"].close()
    bench.said("closes bob's socket", "another thread", "server")
    room.broadcast()
    off(room, "bob", "was closed already")


def off(room: Room, name: str, how: str) -> None:
    """This client, to whom sending failed, is off the list, and closed."""
    expected = f"{name}, who {how}, is taken off clients, and closed"
    end, clue = room.ends[name], "" if how == "vanished" else how
    room.bench.expect(end not in room.clients, expected, f"{name} is still in clients", clue)
    room.bench.expect(end.fileno() < 0, expected, f"{name} is off, but not closed", "open")


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
            hints_by_clue={
                "no LF": (
                    "line came with an LF, and went out without. Which call takes it away?",
                    "Send line as it is: without its LF the next one is glued to it.",
                ),
                "changed": (
                    "Compare what was heard with line. What did your code add, or send again?",
                    "client.sendall(line), once for each client.",
                ),
                "late": (
                    "broadcast returned, and nothing had been sent to some. Who was to do it, and when?",
                    "Wait for the threads that you start: thread.join()",
                ),
            },
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
            hints_by_clue={
                "from the start": (
                    "More was sent than line is long. Where does each send of yours begin?",
                    "What send took is gone: go on with line[sent:], or use sendall.",
                ),
                "never waits": (
                    "What does a socket do that may not wait, when not all of line fits?",
                    "The sockets have a timeout: leave it. setblocking(False) is no timeout.",
                ),
                "timeout": (
                    "bob began to read a moment later, and was given up. Who had set a shorter timeout?",
                    "The sockets have a timeout, and it is long enough: leave it as it is.",
                ),
                "not now": (
                    "bob had not read for a moment; then he did. Why was nothing sent to him?",
                    "Not writable now does not mean gone. sendall waits, as long as the timeout lets it.",
                ),
            },
        ),
        Step(
            "a client that is gone raises nothing",
            dead_client,
            hints=HINTS_UNGUARDED,
            hints_by_clue={
                "TimeoutError": ANY_FAILURE,
                "OSError": (
                    "Look at the line: is it sending that failed, or what you do with the dead one then?",
                    "A closed socket raises an OSError, whatever is done with it; close() alone does not.",
                    "except OSError: around the send; behind it clients.remove and client.close()",
                ),
                "again": (
                    "Some of the line had gone out when it timed out. What does bob hear if it comes anew?",
                    "He who does not read in time cannot be sent to: off the list with him, and close.",
                ),
                "for ever": (
                    "bob reads nothing any more. After how many timeouts do you believe it?",
                    "After the first. An OSError, which a TimeoutError is, ends it for this client.",
                ),
                "no timeout": (
                    "bob reads nothing any more. How long does everybody wait for him, in your code?",
                    "The timeout is what saves the others: no settimeout(None), no setblocking(True).",
                ),
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
                "closed": (
                    "He is on the list, but nothing goes out to him. Which line of yours closed, or shut?",
                    "finally is run for those who heard the line as well. close() belongs in the except.",
                ),
                "place": (
                    "The same clients are here, in another order. Who was taken off for a moment?",
                    "Leave the list as it is, but for those who are gone: skip the sender in the loop.",
                ),
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
                "timed out": (
                    "bob reads nothing, and timed out. What does your code do with him, and next time?",
                    "A timeout is an OSError as any other: off the list, and closed.",
                ),
                "was closed already": (
                    "His socket is closed. Why is he on the list still?",
                    "Nothing can be sent to him: that too takes him off. Do not pass over him.",
                ),
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
        Wrong(
            "does not wait for its threads",
            "everybody else hears the line",
            source="""
            import threading


            def broadcast(clients, line, sender):
                for client in list(clients):
                    if client is not sender:
                        threading.Thread(target=client.sendall, args=(line,)).start()
            """,
            clue="late",
        ),
        Wrong(
            "strips the line",
            "everybody else hears the line",
            (("sendall(line)", "sendall(line.strip())"),),
            clue="no LF",
        ),
        Wrong(
            "adds an LF",
            "everybody else hears the line",
            (("sendall(line)", 'sendall(line + b"\\n")'),),
            clue="changed",
        ),
        Wrong(
            "sends it all again until all of it fits",
            "a long line arrives whole",
            (("client.sendall(line)", "while client.send(line) < len(line):\n                pass"),),
            clue="from the start",
        ),
        Wrong(
            "passes over those who are slow",
            "a long line arrives whole",
            (("from contextlib", "import select\nfrom contextlib"),
             ("if client is sender:",
              "if client is sender or (\n"
              "            client.fileno() >= 0 and not select.select([], [client], [], 0)[1]\n"
              "        ):")),
            clue="not now",
        ),
        Wrong(
            "never waits",
            "a long line arrives whole",
            (("client.sendall(line)", "client.setblocking(False)\n            client.sendall(line)"),),
            clue="never waits",
        ),
        Wrong(
            "sends the whole line again after a timeout",
            "a client that is gone raises nothing",
            (("            client.sendall(line)\n",
              "            try:\n                client.sendall(line)\n"
              "            except TimeoutError:\n                client.sendall(line)\n"),),
            clue="again",
        ),
        Wrong(
            "sends the rest after a timeout, again and again",
            "a client that is gone raises nothing",
            (("            client.sendall(line)\n",
              "            sent = 0\n            while sent < len(line):\n"
              "                with suppress(TimeoutError):\n"
              "                    sent += client.send(line[sent:])\n"),),
            clue="for ever",
        ),
        Wrong(
            "takes the timeout away",
            "a client that is gone raises nothing",
            (("client.sendall(line)", "client.settimeout(None)\n            client.sendall(line)"),),
            clue="no timeout",
        ),
        Wrong(
            "asks a dead one for its address",
            "a client that is gone raises nothing",
            (("client.close()", "client.close()\n            print(client.getpeername())"),),
            clue="OSError",
        ),
        Wrong(
            "one who timed out stays",
            "one who vanished is taken off the list, and closed",
            (("        except OSError",
              "        except TimeoutError:\n            continue\n        except OSError"),),
            clue="timed out",
        ),
        Wrong(
            "passes over those who are closed",
            "one who vanished is taken off the list, and closed",
            (("if client is sender:", "if client is sender or client.fileno() < 0:"),),
            clue="was closed already",
        ),
        Wrong(
            "takes the sender off for a while",
            "nobody else is thrown out for it",
            (("    for client in list", "    clients.remove(sender)\n    for client in list"),
             ("            client.close()\n", "            client.close()\n    clients.append(sender)\n")),
            clue="place",
        ),
        Wrong(
            "closes whoever was sent to",
            "nobody else is thrown out for it",
            (("    client.close()", "    pass\n        finally:\n            client.close()"),),
            clue="closed",
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
