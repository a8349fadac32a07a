"""Exercise `slow`: a bounded queue for each client: one that does not read holds up no other."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from time import sleep
from typing import Any

from labkit.exercises.bench.bench import SOON, Bench, Running
from labkit.exercises.bench.deaths import deaths
from labkit.exercises.bench.stopping import line_of
from labkit.exercises.exercise import Exercise, Step, Wrong
from labkit.journal import Journal
from labkit.probe.deadline import Deadline, pause, wait
from labkit.probe.failed import CheckFailed

TASK = """
A client that stops reading must not stop the server. Write `Outbox`: the lines that wait for one client.

- `Outbox(sock, limit)`: a connected socket, and how many lines may wait (at least 1). A line that is just
  being sent need not be counted. Some other thread waits in `sock.recv` meanwhile, so the socket stays
  blocking and gets no timeout.
- `.put(line)` takes bytes that end with LF, and never waits. `True`: the line will be sent, whole and in
  order. `False`: the client is given up, because `limit` lines wait already, or because the connection is
  broken. Then `put` says `False` for ever, and the socket has been shut down, so that the thread in
  `sock.recv` wakes. (On Windows `shutdown` wakes no thread, but `close` does: after it, close the socket.)
  Nothing of this concerns any other client.
- `.close()`: no more lines; `put` says `False` from now on. What waits is still sent, if the client reads
  it within half a second; `close` returns within two seconds, whatever the client does.
- An outbox may have a thread of its own, or all may share one. A thread of its own has ended soon after
  `close`, and no thread ever dies of an exception.
"""

ANSWER = '''
import queue
import socket
import threading


class Outbox:
    """Lines on their way to one client: a queue with an end, and a thread that empties it."""

    def __init__(self, sock: socket.socket, limit: int):
        ### BEGIN SOLUTION
        self.sock = sock
        self.limit = limit
        self.lines = queue.SimpleQueue()  # lines, and None behind the last
        self.ended = False
        self.lock = threading.Lock()  # guards `ended`: no line gets behind the None
        self.thread = threading.Thread(target=self.send_lines, daemon=True)
        self.thread.start()
        ### END SOLUTION

    def put(self, line: bytes) -> bool:
        """Never waits. True: the line will be sent. False: the client is given up."""
        ### BEGIN SOLUTION
        with self.lock:
            if self.ended:
                return False
            if self.lines.qsize() < self.limit:
                self.lines.put(line)
                return True
        self.give_up()
        return False
        ### END SOLUTION

    def close(self) -> None:
        """No more lines. What waits is still sent, if the client reads."""
        ### BEGIN SOLUTION
        with self.lock:
            self.ended = True
            self.lines.put(None)
        self.thread.join(0.5)
        self.give_up()
        ### END SOLUTION

    def send_lines(self) -> None:
        """What the thread does: send one line after the other, up to the end."""
        ### BEGIN SOLUTION
        try:
            while (line := self.lines.get()) is not None:
                self.sock.sendall(line)
        except OSError:
            self.give_up()
        ### END SOLUTION

    def give_up(self) -> None:
        """Nothing more goes in or out. A thread that waits in recv or sendall wakes."""
        ### BEGIN SOLUTION
        with self.lock:
            self.ended = True
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it is broken already
        self.sock.close()  # on Windows, this wakes them
        ### END SOLUTION
'''

SMALL = 4096
"""Bytes requested for the kernel's buffers at both ends; the kernel keeps about three times that …"""

LONG = 100_000
"""… so that a line of so many bytes is never taken by a client that does not read."""

PIECE = 1000
"""Bytes that a `send` of PartOnly takes at most."""


def short(line: bytes) -> str:
    """A line, as it is shown."""
    return f"{line!r}" if len(line) < 40 else f"{line[:4]!r}… ({len(line)} bytes)"


class PartOnly(socket.socket):
    """A socket whose `send` takes only a part, as any may. `sendall` goes on until all is out."""

    def send(self, data: Any, flags: int = 0, /) -> int:
        return super().send(memoryview(data)[:PIECE], flags)


class Client:
    """A client's outbox, the socket it was given, and the far end of that."""

    def __init__(self, bench: Bench, name: str = "alice", limit: int = 10, part_only: bool = False) -> None:
        self.bench, self.name = bench, name
        self.took = 0.0  # seconds that the last put took …
        self.answer: Any = None  # … and what it returned
        self.heard: list[bytes] = []  # lines
        self.sock, self.far_end = bench.pair(name, receive_buffer=SMALL)
        if part_only:
            self.sock = PartOnly(fileno=self.sock.detach())
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
        call = f"Outbox(socket of {name}, {limit})"
        bench.said(call, receiver="server")
        making = bench.thread(bench.code, self.sock, limit, name="Outbox")
        self.box = self.result_of(making, f"{call} comes back", "does not begin")

    def put(self, line: bytes) -> bool:
        """What the student's `put` returns for this line. Raises CheckFailed if it waits."""

        def put() -> Any:
            began = Deadline(0)
            value = self.box.put(line)
            self.took = -began.left
            return value

        call = f"{self.name}: put({short(line)})"
        self.bench.said(call, receiver="server")
        putting = self.bench.thread(put, name="put")
        self.answer = self.result_of(putting, f"{call} comes back at once", "does not come back")
        self.bench.said(f"{self.answer!r}", "server", "check")
        if not isinstance(self.answer, bool):
            clue = "no bool" if self.answer is not None else "returns None"
            raise CheckFailed(f"{call} says True or False", f"it said {self.answer!r}", clue)
        return self.answer

    def result_of(self, running: Running, expected: str, clue: str) -> Any:
        """What it returned. If it waits for a lock, the clue is "lock"."""
        try:
            return running.result(expected)
        except CheckFailed as failed:
            clue = "lock" if re.search("lock|acquire|cond", line_of(running.thread)) else clue
            raise CheckFailed(failed.expected, failed.seen, clue) from None

    def takes(self, line: bytes, clue: str = "") -> None:
        """Put a line that must be taken."""
        if not self.put(line):
            raise CheckFailed(f"{self.name}: put({short(line)}) says True", "it said False", clue)

    def hears(self, line: bytes, clue: str = "") -> None:
        expected = f"{self.name} hears {short(line)}"
        try:
            heard = self.far_end.line().encode() + b"\n"
        except (TimeoutError, EOFError):
            if self.far_end.follows(0).strip() == line.strip():
                clue = "changed"
            raise CheckFailed(expected, self.far_end.seen(), clue) from None
        if heard != line and heard.strip() in (line.strip(), b""):
            clue = "changed"
        elif heard != line and heard in self.heard:
            clue = "twice"
        self.heard.append(heard)
        self.bench.expect(heard == line, expected, f"{self.name} heard {short(heard)}", clue)

    def close(self) -> Running:
        """Start the student's `close` in a thread; it has begun when this returns."""
        entered = threading.Event()

        def close() -> None:
            entered.set()
            self.box.close()

        self.bench.said(f"{self.name}: close()", receiver="server")
        closing = self.bench.thread(close, name="close")
        wait(entered.wait, SOON)
        return closing


def in_time(closing: Running, name: str, clue: str = "does not come back") -> None:
    """`close` returns within two seconds, and one more that a busy machine may take."""
    try:
        closing.result(f"{name}: close() comes back within 2 s", 3.0)
    except CheckFailed as failed:
        raise CheckFailed(failed.expected, failed.seen, clue) from None


def tidy(*clients: Client) -> None:
    """Leave nothing for the next step; another step checks how `close` does that."""
    for client in clients:
        client.far_end.reset()
    for closing in [client.close() for client in clients]:
        closing.ended(0.5)
    for client in clients:
        client.sock.close()


# --- the steps ---


def arrives(bench: Bench) -> None:
    alice = Client(bench)
    with deaths() as died:
        for line in (b" hello \n", b"again\n"):
            alice.takes(line)
            try:
                alice.hears(line)
            except CheckFailed as failed:
                clue = "died" if died else failed.clue
                raise CheckFailed(failed.expected, failed.seen, clue) from None
    if (timeout := alice.sock.gettimeout()) is not None:
        seen, clue = f"it has a timeout of {timeout:g} s now", "timeout"
        if timeout == 0:
            seen, clue = "it waits no longer, neither in send nor in recv", "BlockingIOError"
        raise CheckFailed("the socket stays blocking", seen, clue)
    reader = bench.thread(alice.sock.recv, 100, name="recv")
    alice.far_end.send("hi")
    heard = reader.result("the thread in sock.recv gets what alice says")
    bench.expect(heard == b"hi\n", "the thread in sock.recv gets b'hi\\n'", f"it got {heard!r}", "reads")
    tidy(alice)


def at_once(bench: Bench) -> None:
    alice = Client(bench, limit=4)
    for letter in b"abcd":
        alice.takes(bytes([letter]) * LONG + b"\n", "not taken")
        alice.far_end.follows(SOON)  # the first is on its way, and stays there
    tidy(alice)


def in_order(bench: Bench) -> None:
    alice = Client(bench, part_only=True)
    alice.far_end.journal = Journal()  # a hundred small pieces would say little
    lines = [b"a" * LONG + b"\n", b"bbb\n", b"c" * LONG + b"\n", b"d" * LONG + b"\n"]
    for line in lines:
        alice.takes(line)
    heard: list[bytes] = []
    with contextlib.suppress(TimeoutError, EOFError):
        for _ in lines:
            heard.append(alice.far_end.line().encode() + b"\n")
            bench.said(short(heard[-1]), "server", "alice")
    if heard != lines:
        # A thread for each line may send a whole one too early as well: pieces tell more.
        pieces = [n for n, line in enumerate(heard) if line not in lines]
        wrong_ones = pieces or [n for n, line in enumerate(lines) if heard[n : n + 1] != [line]]
        at = wrong_ones[0]
        wrong = heard[at] if len(heard) > at else b""
        came, put = sum(map(len, heard)), sum(map(len, lines))
        seen, clue = f"it is {short(wrong)}, with pieces of other lines in it", "mixed"
        if wrong in lines:
            seen, clue = f"it is {short(wrong)}", "order"
        elif came < put:
            seen, clue = f"it is {short(wrong)}; of {put} bytes that were put, {came} came", "cut"
        raise CheckFailed(f"line {at + 1} that alice hears is {short(lines[at])}", seen, clue)
    tidy(alice)


def holds_up_nobody(bench: Bench) -> None:
    alice, bob = Client(bench, "alice"), Client(bench, "bob")
    for number in (1, 2, 3):
        alice.takes(b"a" * LONG + b"\n")
        line = f"number {number}\n".encode()
        bob.takes(line)
        bob.hears(line)
    tidy(alice, bob)


def has_an_end(bench: Bench) -> None:
    limit = 4
    bob = Client(bench, "bob", limit)
    carol = Client(bench, "carol", limit=1)
    carol.takes(b"the only one\n", "too early")
    carol.hears(b"the only one\n")
    alice, reader = filled(bench, limit)
    if alice.took > 0.5:  # a put that waits does so each time; a busy machine does not
        tidy(alice)
        alice, reader = filled(bench, limit)
    if alice.took > 0.5:
        raise CheckFailed("put never waits", f"the one that said False took {alice.took:.1f} s", "waited")
    if not reader.ended():
        if alice.sock.fileno() < 0:
            seen, clue = "the socket is closed, and that thread still waits in recv", "closed"
        else:
            seen, clue = f"{SOON:g} s later that thread still waits in recv", "not shut down"
        raise CheckFailed("alice is given up: the thread in sock.recv wakes", seen, clue)
    bench.expect(not alice.put(b"more\n"), "put says False from now on", "it said True again", "again")
    bob.takes(b"hello\n", "all of them")
    bob.hears(b"hello\n", "all of them")
    tidy(alice, bob, carol)


def filled(bench: Bench, limit: int) -> tuple[Client, Running]:
    """A client that does not read, when the first line was not taken; and the call that waits in its recv.

    A thread that takes all waiting lines, to send them at once, may keep twice as many: a limit, too.
    """
    alice = Client(bench, "alice", limit)
    reader = bench.thread(alice.sock.recv, 100, name="recv")
    taken, enough = 0, 2 * limit + 2
    while alice.put(numbered(taken)):
        taken += 1
        if taken > enough:
            seen = f"alice reads nothing, and {taken} lines of {LONG} bytes were taken"
            clue = "no end"
            if (came := what_comes(alice, taken)) < taken:
                seen, clue = f"{seen}; when she reads, line {came + 1} is not there", "drops"
            raise CheckFailed(f"with {limit} lines waiting, the next put says False", seen, clue)
    if taken < limit:
        raise CheckFailed(f"{limit} lines may wait", f"put said False when {taken} did", "too early")
    return alice, reader


def numbered(number: int) -> bytes:
    """A long line that is like no other."""
    return b"%d" % number + b"a" * LONG + b"\n"


def what_comes(client: Client, lines: int) -> int:
    """How many of so many numbered lines come, in order, now that the client reads."""
    for number in range(lines):
        try:
            if client.far_end.line().encode() + b"\n" != numbered(number):
                return number
        except (TimeoutError, EOFError):
            return number
    return lines


def has_died(bench: Bench) -> None:
    alice, bob = Client(bench, "alice", limit=1000), Client(bench, "bob")
    with deaths() as died:
        alice.far_end.reset()
        bench.said("alice: put(b'hello\\n') until it says False", receiver="server")
        deadline, said = Deadline(SOON), 0
        while not died and alice.box.put(b"hello\n"):
            said += 1
            if deadline.passed():
                raise CheckFailed(
                    "alice is gone: put says False", f"it said True {said} times", "not noticed"
                )
            pause(0.01)  # so that a server that does notice has the time to
        for turn in (1, 2):
            if died:
                seen = f"one died of {died[0].split(':')[0]}"
                clue = "shutdown" if "shutdown(" in died[0] else "died"
                raise CheckFailed("alice is gone, and no thread dies of it", seen, clue)
            bob.takes(b"number %d\n" % turn, "all of them")
            bob.hears(b"number %d\n" % turn, "all of them")
        tidy(alice, bob)


def closes(bench: Bench) -> None:
    # A busy machine can sleep through the half second: so three attempts.
    for last_try in (False, False, True):
        bench.journal = Journal()
        alice = Client(bench)
        lines = (b"a" * LONG + b"\n", b"two\n", b"three\n")
        for line in lines:
            alice.takes(line)
        closing = alice.close()
        closing.ended(0.1)  # a close that forgets what waits has done so by now
        late = not closing.ended(0) and alice.put(b"late\n")
        try:
            for line in lines:
                alice.hears(line)
            if late:  # then it must come, too
                alice.hears(b"late\n", "late")
            break
        except CheckFailed:
            if last_try:
                raise
    in_time(closing, "alice")
    bench.expect(not alice.put(b"more\n"), "after close, put says False", "it said True", "after")
    tidy(alice)


def ends(bench: Bench) -> None:
    before = set(threading.enumerate())
    idle = [Client(bench, name) for name in ("alice", "bob")]
    stuck = [Client(bench, name) for name in ("carol", "dave")]
    for client in stuck:
        client.takes(b"x" * LONG + b"\n")
    closings = [(client.name, client.close(), "does not come back") for client in idle + stuck]
    full = full_ones(bench)  # meanwhile: each close may wait half a second
    closings += [(client.name, client.close(), "full") for client in full]
    for name, closing, clue in closings:
        in_time(closing, name, clue)
    deadline = Deadline(1.0)
    while len(left := outboxes_threads(bench, before)) > 1:  # one may be shared by all
        if deadline.passed():
            seen = f"{len(left)} threads more than before are alive: " + ", ".join(t.name for t in left)
            raise CheckFailed("after close, the outbox has no thread any more", seen, "threads")
        sleep(0.005)
    tidy(*idle, *stuck, *full)


def full_ones(bench: Bench) -> list[Client]:
    """Two clients for whom as many lines wait as may, and a line is being sent; the second is given up."""
    limit = 3
    clients = [Client(bench, name, limit) for name in ("erin", "frank")]
    for client in clients:
        client.takes(b"x" * LONG + b"\n")
        client.far_end.follows(SOON)  # the first line is on its way, and waits no more
        for _ in range(limit):
            client.put(b"x" * LONG + b"\n")  # an outbox may count the first line, too: then it is full
    for _ in range(limit + 2):
        clients[1].put(b"x" * LONG + b"\n")
    return clients


def outboxes_threads(bench: Bench, before: set[threading.Thread]) -> list[threading.Thread]:
    """The live threads that the student's code started."""
    ours = {running.thread for running in bench.running}
    return [t for t in threading.enumerate() if t not in before | ours]


LOOKS = """            if self.lines.qsize() < self.limit:
                self.lines.put(line)
                return True
        self.give_up()
        return False
"""
"""How the answer's put looks at the limit."""

BOUNDED = (
    ("queue.SimpleQueue()", "queue.Queue(limit)"),
    (
        LOOKS,
        """\
            try:
                self.lines.put_nowait(line)
                return True
            except queue.Full:
                pass
        self.give_up()
        return False
""",
    ),
)
"""A queue that has its end itself."""

NO_QUEUE = """
import socket
import threading


class Outbox:
    def __init__(self, sock, limit):
        self.sock = sock

    def put(self, line):
        try:
            self.sock.sendall(line)
            return True
        except OSError:
            return False

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
"""

EXERCISE = Exercise(
    name="slow",
    title="one who does not read holds up nobody",
    chapter="07_slow_readers",
    wants="Outbox",
    task=TASK,
    answer=ANSWER,
    steps=(
        Step(
            "a line that is put arrives",
            arrives,
            hints=(
                "The line was put. Which thread sends it, and what does it wait for?",
                "__init__ starts a thread: it gets a line from the queue, sends it, and gets the next.",
            ),
            hints_by_clue={
                "does not begin": (
                    "Outbox(…) must come back. Which of your lines runs there, instead of in a thread?",
                    "Thread(target=self.send_lines): without brackets, or it runs here and now.",
                    "thread.start() begins a thread; thread.run() runs its work in this one.",
                ),
                "twice": (
                    "A line came that had come before. How often is each line sent, and from where?",
                    "Take a line out of the queue, and send it once: sendall(line)",
                ),
                "changed": (
                    "Compare, byte for byte, what was put with what came. Which line of yours changes it?",
                    "A line is bytes, and has its LF already: sendall(line), as it is.",
                ),
                "died": (
                    "The thread that sends has died, and nothing is sent any more. Of what did it die?",
                    "A line is bytes already: it needs no encode(), and goes to sendall as it is.",
                ),
                "no bool": (
                    "What came back is neither True nor False. What does it mean for who called put?",
                    "0 and '' count as False in an if: return True.",
                ),
                "returns None": (
                    "put must say whether it took the line. What does it return?",
                    "A function that comes to its end without a return returns None: return True.",
                ),
                "timeout": (
                    "The server has a thread in sock.recv. What does your timeout do to that one?",
                    "A timeout holds for recv too: a client that is silent for as long is thrown out.",
                    "With a queue none is needed: only the thread that empties it waits in sendall.",
                ),
                "BlockingIOError": (
                    "recv should wait when there is nothing to read. What did you switch off?",
                    "setblocking(False) holds for recv too. send(data, MSG_DONTWAIT) holds for one send.",
                ),
                "reads": (
                    "What alice says is for the server's thread. Who took it away?",
                    "An outbox sends. It does not call recv.",
                ),
            },
        ),
        Step(
            "put does not wait for a client that reads nothing",
            at_once,
            hints=(
                "Which line does put wait in, and whom does that line wait for?",
                "sendall returns when the kernel has taken all: little, for a client that does not read.",
                "put only puts the line into a queue. A thread of the outbox calls sendall.",
            ),
            hints_by_clue={
                "lock": (
                    "put waits for a lock. Which thread holds it, and what does that one wait for?",
                    "Nobody may hold a lock while it sends: with the lock take the line, without it send.",
                ),
                "not taken": (
                    "Fewer lines than `limit` were waiting. Why was this one not taken?",
                    "That the client reads nothing is no reason yet; that too many lines wait is one.",
                )
            },
            points=2,
        ),
        Step(
            "lines arrive whole and in order, long ones too",
            in_order,
            hints=("Compare what was put with what came: which line is it?",),
            hints_by_clue={
                "cut": (
                    "Not all of the line was sent. What does sock.send return?",
                    "send may take a part, and says how much. sendall goes on until all is out.",
                ),
                "mixed": (
                    "Pieces of two lines are mixed up. How many threads send on this socket at a time?",
                    "One thread for each outbox, not one for each line: it sends the next when one is out.",
                ),
                "order": (
                    "Which line does your thread take from those that wait: the oldest or the newest?",
                    "First in, first out: queue.Queue, or a deque with append and popleft.",
                ),
            },
        ),
        Step(
            "one who does not read holds up nobody else",
            holds_up_nobody,
            hints=(
                "alice reads nothing, and bob hears nothing. What do the two share?",
                "A thread that waits in sendall for alice cannot send to bob.",
                "A queue and a thread for each. Or one thread that never waits: select, MSG_DONTWAIT.",
            ),
        ),
        Step(
            "when `limit` lines wait, the client is given up, and no other",
            has_an_end,
            hints=(
                "put never waits, not even now. How can a queue say that it is full?",
                "if self.lines.qsize() >= self.limit: …, or put_nowait and except queue.Full.",
            ),
            hints_by_clue={
                "no end": (
                    "She reads nothing, and you keep each line. How much memory has a server?",
                    "A queue needs an end: look at how many lines wait before you take one more.",
                    "if self.lines.qsize() >= self.limit: give the client up, and return False",
                ),
                "drops": (
                    "True says that the line will be sent. Which of them did you throw away?",
                    "Who does not read loses no line, but is let go: shut down, and False.",
                ),
                "lock": (
                    "put waits for a lock, and holds one. Is it the same, and in which two lines?",
                    "A Lock cannot be taken twice, not even by its holder: give the client up outside it.",
                ),
                "waited": (
                    "How long may put wait for room in the queue?",
                    "Not at all. put_nowait raises queue.Full at once.",
                ),
                "does not come back": (
                    "The queue is full, and put waits until there is room. Who would make some?",
                    "alice would, and she does not read. put_nowait does not wait; it raises queue.Full.",
                ),
                "Full": (
                    "queue.Full says that too many lines wait. Who should hear that, and in which form?",
                    "except queue.Full: give the client up, and return False",
                ),
                "too early": (
                    "How many lines may wait, and how many did?",
                    "Lines are counted, not bytes; and `limit` of them may wait.",
                ),
                "not shut down": (
                    "alice has been given up, but her thread in recv does not know. What would wake it?",
                    "sock.shutdown(socket.SHUT_RDWR): recv returns b'' in any thread, and sendall fails. "
                    "On Windows they fail only after sock.close().",
                ),
                "closed": (
                    "You closed the socket. Why does a recv that waits on it not notice?",
                    "close takes away your number for the connection; who waits on it goes on waiting.",
                    "sock.shutdown(socket.SHUT_RDWR) wakes them all. close() may follow, later.",
                ),
                "again": (
                    "She was given up a moment ago. Where is that written down?",
                    "Keep it: self.ended = True. put looks at it first.",
                ),
                "all of them": (
                    "Only alice was given up. Why does bob no longer get anything?",
                    "What belongs to one client is kept in self. What is shared must live on.",
                ),
            },
            points=2,
        ),
        Step(
            "a client that died is given up, quietly",
            has_died,
            hints=(
                "alice is gone. Who finds out, and how does put learn of it?",
                "sendall raises OSError. except OSError: give her up.",
            ),
            hints_by_clue={
                "not noticed": (
                    "A send to alice fails. What do you do then, and does put see it?",
                    "except OSError: self.ended = True. put looks at it first, and returns False.",
                ),
                "died": (
                    "sendall raised an exception in your thread. Who is there to catch it?",
                    "No code above a thread catches for it: try … except OSError around its loop.",
                ),
                "shutdown": (
                    "shutdown() raised: what does it say of a connection that is gone already?",
                    "An OSError again. try … except OSError: pass around shutdown alone.",
                ),
                "all of them": (
                    "alice is gone, and bob hears nothing. What did the two share?",
                    "If one thread serves all, an error of one client must not end its loop.",
                ),
            },
        ),
        Step(
            "close: what waits is still sent",
            closes,
            hints=(
                "Lines were waiting when close was called. What became of them?",
                "Put an end mark into the queue, behind them, and let the thread come to it: put(None).",
                "Then thread.join(0.5): that waits for the thread, and not too long.",
            ),
            hints_by_clue={
                "late": (
                    "close was at work, and put said True. Behind what does that line wait now?",
                    "What is behind the end mark is never sent: first self.ended = True, then put(None).",
                ),
                "after": (
                    "The outbox is closed. What does put look at before it takes a line?",
                    "self.ended = True in close; and put returns False where that is so.",
                ),
                "does not come back": (
                    "All lines were sent. What does close wait for now?",
                    "The thread waits in get() for the next line: put(None) tells it that there is none.",
                ),
            },
        ),
        Step(
            "close ends, and the thread with it, even if nobody reads",
            ends,
            hints=(
                "close waits for a thread, and that thread for a client. How long?",
                "thread.join(0.5) waits no longer than half a second.",
                "Then shut the socket down: the thread's sendall fails, and it can end.",
            ),
            hints_by_clue={
                "full": (
                    "The queue is full, and nobody takes from it. Which line of close waits for room?",
                    "put(None) waits on a full queue. Tell the thread by a flag, and by shutdown.",
                    "Or count the lines yourself, and let the queue have no end: then None has room.",
                ),
                "Full": (
                    "The queue was full when close put its end mark into it. Who has to know of that?",
                    "except queue.Full: the thread is stuck, so shut the socket down.",
                ),
                "busy": (
                    "close looks at the queue again and again. When is it empty, if alice never reads?",
                    "thread.join(0.5) waits no longer than half a second, and burns nothing.",
                ),
                "threads": (
                    "The outboxes are closed, and their threads live. Which line are they in?",
                    "One that waits in get() needs an end mark: put(None), and it leaves its loop.",
                    "One in sendall needs sock.shutdown(socket.SHUT_RDWR), when half a second is over.",
                ),
            },
        ),
    ),
    wrong=(
        Wrong(
            "put sends, and waits",
            "put does not wait for a client that reads nothing",
            source=NO_QUEUE,
            clue="does not come back",
            survey="blocking fan-out: no queue, no timeout",
        ),
        Wrong(
            "a timeout instead of a queue",
            "a line that is put arrives",
            source=NO_QUEUE.replace("self.sock = sock", "self.sock = sock; sock.settimeout(0.1)"),
            clue="timeout",
        ),
        Wrong(
            "send, never sendall",
            "lines arrive whole and in order, long ones too",
            (("self.sock.sendall(line)", "self.sock.send(line)"),),
            clue="cut",
        ),
        Wrong(
            "a thread for each line",
            "lines arrive whole and in order, long ones too",
            source=NO_QUEUE.replace("def put", "def send").replace(
                "    def close",
                "    def put(self, line):\n"
                "        threading.Thread(target=self.send, args=(line,), daemon=True).start()\n"
                "        return True\n\n"
                "    def close",
            ),
            clue="mixed",
        ),
        Wrong(
            "one thread waits for each in turn",
            "one who does not read holds up nobody else",
            source='''
            import queue
            import threading

            lines = queue.Queue()


            def send_lines():
                while True:
                    sock, line = lines.get()
                    try:
                        sock.sendall(line)
                    except OSError:
                        pass


            threading.Thread(target=send_lines, daemon=True).start()


            class Outbox:
                def __init__(self, sock, limit):
                    self.sock = sock

                def put(self, line):
                    lines.put((self.sock, line))
                    return True

                def close(self):
                    pass
            ''',
        ),
        Wrong(
            "a queue without an end",
            "when `limit` lines wait, the client is given up, and no other",
            ((LOOKS,
              "            self.lines.put(line)\n"
              "        return True\n"),),
            clue="no end",
        ),
        Wrong(
            "waits when the queue is full",
            "when `limit` lines wait, the client is given up, and no other",
            (("queue.SimpleQueue()", "queue.Queue(limit)"),
             (LOOKS,
              "        self.lines.put(line)\n"
              "        return True\n")),
            clue="does not come back",
        ),
        Wrong(
            "drops the line and keeps the client",
            "when `limit` lines wait, the client is given up, and no other",
            (("        self.give_up()\n        return False", "        return False"),),
            clue="not shut down",
        ),
        Wrong(
            "close instead of shutdown",
            "when `limit` lines wait, the client is given up, and no other",
            (("self.sock.shutdown(socket.SHUT_RDWR)", "self.sock.close()"),),
            clue="closed",
        ),
        Wrong(
            "a dead client kills the thread",
            "a client that died is given up, quietly",
            (("        try:\n            while (line", "        if True:\n            while (line"),
             ("        except OSError:\n            self.give_up()\n", "")),
            clue="died",
        ),
        Wrong(
            "close forgets what waits",
            "close: what waits is still sent",
            (("        self.thread.join(0.5)\n", ""),),
        ),
        Wrong(
            "close waits for the thread, however long",
            "close ends, and the thread with it, even if nobody reads",
            (("self.thread.join(0.5)", "self.thread.join()"),),
            clue="does not come back",
        ),
        Wrong(
            "close waits for room in a full queue",
            "close ends, and the thread with it, even if nobody reads",
            (*BOUNDED, ("            self.lines.put(None)\n        self.thread",
                        "        self.lines.put(None)\n        self.thread")),
            clue="full",
        ),
        Wrong(
            "close raises at a full queue",
            "close ends, and the thread with it, even if nobody reads",
            (*BOUNDED, ("            self.lines.put(None)\n", "            self.lines.put_nowait(None)\n")),
            clue="Full",
        ),
        Wrong(
            "takes lines while it closes",
            "close: what waits is still sent",
            (("            self.ended = True\n            self.lines.put(None)\n",
              "            self.lines.put(None)\n"),),
            clue="late",
        ),
        Wrong(
            "throws the oldest line away",
            "when `limit` lines wait, the client is given up, and no other",
            ((LOOKS,
              "            if self.lines.qsize() >= self.limit:\n"
              "                self.lines.get()\n"
              "            self.lines.put(line)\n"
              "            return True\n"),),
            clue="drops",
        ),
        Wrong(
            "gives up under the lock",
            "when `limit` lines wait, the client is given up, and no other",
            (("        self.give_up()\n        return False",
              "            self.give_up()\n            return False"),),
            clue="lock",
        ),
        Wrong(
            "sends under the lock",
            "put does not wait for a client that reads nothing",
            (("                self.sock.sendall(line)\n",
              "                with self.lock:\n                    self.sock.sendall(line)\n"),),
            clue="lock",
        ),
        Wrong(
            "runs its thread's work itself",
            "a line that is put arrives",
            (("        self.thread.start()\n", "        self.thread.run()\n"),),
            clue="does not begin",
        ),
        Wrong(
            "changes the line",
            "a line that is put arrives",
            (("self.sock.sendall(line)", "self.sock.sendall(line.strip())"),),
            clue="changed",
        ),
        Wrong(
            "nobody tells the thread",
            "close ends, and the thread with it, even if nobody reads",
            (("            self.lines.put(None)\n", ""),),
            clue="threads",
        ),
    ),
    others={
        "a list and a condition": '''
        import socket
        import threading


        class Outbox(threading.Thread):
            def __init__(self, sock, limit):
                super().__init__(daemon=True)
                self.sock, self.limit = sock, limit
                self.waiting, self.over = [], False
                self.changed = threading.Condition()
                self.start()

            def put(self, line):
                with self.changed:
                    if len(self.waiting) == self.limit and not self.over:
                        self.hang_up()
                    if not self.over:
                        self.waiting.append(line)
                        self.changed.notify()
                    return not self.over

            def run(self):
                while True:
                    with self.changed:
                        self.changed.wait_for(lambda: self.waiting or self.over)
                        if not self.waiting:
                            return
                        lines, self.waiting = self.waiting, []
                    try:
                        self.sock.sendall(b"".join(lines))
                    except OSError:
                        return self.hang_up()

            def hang_up(self):
                with self.changed:
                    self.over, self.waiting = True, []
                    self.changed.notify()
                try:
                    self.sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

            def close(self):
                with self.changed:
                    self.over = True
                    self.changed.notify()
                self.join(1)
                self.hang_up()
        ''',
        "a function, a bounded queue, a file object": '''
        import queue
        import socket
        import threading
        import types


        def Outbox(sock, limit):
            lines = queue.Queue(maxsize=limit)
            over = threading.Event()
            finished = threading.Event()

            def hang_up():
                over.set()
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

            def run():
                file = sock.makefile("wb", buffering=0)
                try:
                    while not (over.is_set() and lines.empty()):
                        try:
                            line = memoryview(lines.get(timeout=0.05))
                        except queue.Empty:
                            continue
                        while line:
                            line = line[file.write(line):]
                except OSError:
                    hang_up()
                finally:
                    finished.set()

            def put(line):
                if over.is_set():
                    return False
                try:
                    lines.put_nowait(line)
                except queue.Full:
                    hang_up()
                    return False
                return True

            def close():
                over.set()
                if not finished.wait(1.0):
                    hang_up()

            threading.Thread(target=run, daemon=True).start()
            return types.SimpleNamespace(put=put, close=close)
        ''',
        "one thread with a selector for all": '''
        import select
        import socket
        import threading

        changed = threading.Condition()
        boxes = []
        ears, bell = socket.socketpair()


        def serve():
            while True:
                with changed:
                    busy = [box for box in boxes if box.lines]
                _, writable, _ = select.select([ears], [box.sock for box in busy], [])
                with changed:
                    if select.select([ears], [], [], 0)[0]:
                        ears.recv(1000)
                    for box in busy:
                        if box.sock in writable:
                            box.send_some()
                    changed.notify_all()


        class Outbox:
            thread = None

            def __init__(self, sock, limit):
                self.sock, self.limit = sock, limit
                self.lines, self.alive = [], True
                with changed:
                    boxes.append(self)
                    if Outbox.thread is None:
                        Outbox.thread = threading.Thread(target=serve, daemon=True)
                        Outbox.thread.start()

            def put(self, line):
                with changed:
                    if self.alive and len(self.lines) >= self.limit:
                        self.drop()
                    if self.alive:
                        self.lines.append(line)
                        bell.send(b"!")
                    return self.alive

            def send_some(self):
                try:
                    while self.lines:
                        sent = self.sock.send(self.lines[0], socket.MSG_DONTWAIT)
                        if sent == len(self.lines[0]):
                            del self.lines[0]
                        else:
                            self.lines[0] = self.lines[0][sent:]
                except BlockingIOError:
                    pass
                except OSError:
                    self.drop()

            def drop(self):
                self.alive = False
                self.lines.clear()
                try:
                    self.sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

            def close(self):
                with changed:
                    self.alive = False
                    changed.wait_for(lambda: not self.lines, timeout=0.7)
                    self.drop()
                    boxes.remove(self)
        ''',
        "asyncio in a thread": '''
        import asyncio
        import socket
        import threading

        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, daemon=True).start()


        class Outbox:
            def __init__(self, sock, limit):
                self.sock = sock
                self.limit = limit
                self.count = 0
                self.over = False
                self.lock = threading.Lock()
                self.copy = sock.dup()
                self.queue = asyncio.Queue()
                self.task = asyncio.run_coroutine_threadsafe(self._send(), loop)

            async def _send(self):
                while True:
                    line = await self.queue.get()
                    if line is None:
                        return
                    try:
                        while line:
                            try:
                                n = self.copy.send(line, socket.MSG_DONTWAIT)
                                line = line[n:]
                            except BlockingIOError:
                                await asyncio.sleep(0.005)
                    except OSError:
                        self._give_up()
                        return
                    with self.lock:
                        self.count -= 1

            def _give_up(self):
                self.over = True
                try:
                    self.sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

            def put(self, line):
                with self.lock:
                    if self.over:
                        return False
                    if self.count > self.limit:
                        self._give_up()
                        return False
                    self.count += 1
                    loop.call_soon_threadsafe(self.queue.put_nowait, line)
                    return True

            def close(self):
                self.over = True
                loop.call_soon_threadsafe(self.queue.put_nowait, None)
                try:
                    self.task.result(0.6)
                except TimeoutError:
                    self.task.cancel()
                except OSError:
                    pass
                self._give_up()
                self.copy.close()
        ''',
        "a dataclass with string annotations": '''
        from __future__ import annotations

        import collections
        import socket
        import threading
        from dataclasses import dataclass, field


        @dataclass
        class Outbox:
            sock: socket.socket
            limit: int
            waiting: collections.deque[bytes] = field(default_factory=collections.deque)
            ended: bool = False
            cond: threading.Condition = field(default_factory=threading.Condition)

            def __post_init__(self) -> None:
                self.thread = threading.Thread(target=self.work, daemon=True)
                self.thread.start()

            def put(self, line: bytes) -> bool:
                with self.cond:
                    if not self.ended and len(self.waiting) >= self.limit:
                        self.stop()
                    if self.ended:
                        return False
                    self.waiting.append(line)
                    self.cond.notify()
                    return True

            def stop(self) -> None:
                self.ended = True
                self.waiting.clear()
                self.cond.notify_all()
                try:
                    self.sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

            def work(self) -> None:
                while True:
                    with self.cond:
                        while not self.waiting:
                            if self.ended:
                                return
                            self.cond.wait()
                        line = self.waiting.popleft()
                    try:
                        self.sock.sendall(line)
                    except OSError:
                        with self.cond:
                            self.stop()
                        return

            def close(self) -> None:
                with self.cond:
                    self.ended = True
                    self.cond.notify_all()
                self.thread.join(timeout=1)
                with self.cond:
                    self.stop()
        ''',
        "inheritance, and a semaphore that counts places": '''
        import queue
        import socket
        import threading


        class Sender(threading.Thread):
            def __init__(self, sock):
                threading.Thread.__init__(self, daemon=True)
                self.sock = sock
                self.lines = queue.SimpleQueue()
                self.failed = False

            def run(self):
                for line in iter(self.lines.get, b""):
                    try:
                        self.sock.sendall(line)
                    except Exception:
                        self.failed = True
                        self.hang_up()
                        break
                    self.sent()

            def sent(self):
                raise NotImplementedError

            def hang_up(self):
                try:
                    self.sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass


        class Outbox(Sender):
            def __init__(self, sock, limit):
                super().__init__(sock)
                self.places = threading.Semaphore(limit)
                self.closed = False
                self.start()

            def sent(self):
                self.places.release()

            def put(self, line):
                if self.closed or self.failed:
                    return False
                if not self.places.acquire(blocking=False):
                    self.closed = True
                    self.hang_up()
                    return False
                self.lines.put(line)
                return True

            def close(self):
                self.closed = True
                self.lines.put(b"")
                self.join(0.5)
                self.hang_up()
                self.join(1)
        ''',
        "globals": '''
        import socket
        import threading
        import time

        state = {}


        def sender(key):
            box = state[key]
            while True:
                box["event"].wait()
                with box["lock"]:
                    if not box["lines"]:
                        if box["closed"]:
                            box["done"].set()
                            return
                        box["event"].clear()
                        continue
                    line = box["lines"].pop(0)
                try:
                    box["sock"].sendall(line)
                except OSError:
                    kill(box)
                    box["done"].set()
                    return


        def kill(box):
            with box["lock"]:
                box["closed"] = True
                box["lines"].clear()
                box["event"].set()
            try:
                box["sock"].shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


        class Outbox:
            def __init__(self, sock, limit):
                box = state[id(self)] = dict(sock=sock, limit=limit, lines=[], closed=False)
                box.update(lock=threading.Lock(), event=threading.Event(), done=threading.Event())
                threading.Thread(target=sender, args=(id(self),), daemon=True).start()

            def put(self, line):
                box = state[id(self)]
                with box["lock"]:
                    if box["closed"]:
                        return False
                    if len(box["lines"]) < box["limit"]:
                        box["lines"].append(line)
                        box["event"].set()
                        return True
                kill(box)
                return False

            def close(self):
                box = state[id(self)]
                with box["lock"]:
                    box["closed"] = True
                    box["event"].set()
                box["done"].wait(0.5)
                kill(box)
        ''',
        "makefile, and a queue with an end": '''
        import queue
        import socket
        import threading
        import time


        class Outbox:
            def __init__(self, sock, limit):
                self.sock = sock
                self.file = sock.makefile("wb")
                self.queue = queue.Queue(limit)
                self.open = True
                self.thread = threading.Thread(target=self.loop)
                self.thread.daemon = True
                self.thread.start()

            def loop(self):
                while True:
                    line = self.queue.get()
                    try:
                        if line is None:
                            return
                        self.file.write(line)
                        self.file.flush()
                    except (OSError, ValueError):
                        self.give_up()
                        return
                    finally:
                        self.queue.task_done()

            def give_up(self):
                self.open = False
                try:
                    self.sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                try:
                    while True:
                        self.queue.get_nowait()
                except queue.Empty:
                    pass
                try:
                    self.queue.put_nowait(None)
                except queue.Full:
                    pass

            def put(self, line):
                if not self.open:
                    return False
                try:
                    self.queue.put(line, block=False)
                except queue.Full:
                    self.give_up()
                    return False
                return self.open

            def close(self):
                was, self.open = self.open, False
                if was:
                    try:
                        self.queue.put(None, timeout=0.5)
                    except queue.Full:
                        pass
                self.thread.join(0.5)
                if self.thread.is_alive():
                    self.give_up()
                    self.thread.join(0.5)
        ''',
        "a thread that looks up now and then": '''
        import queue
        import socket
        import threading


        class Outbox:
            def __init__(self, sock, limit):
                self.sock = sock
                self.q = queue.Queue(maxsize=limit)
                self.dead = False
                self.closing = threading.Event()
                self.t = threading.Thread(target=self._run, daemon=True)
                self.t.start()

            def _run(self):
                try:
                    while True:
                        try:
                            line = self.q.get(timeout=0.02)
                        except queue.Empty:
                            if self.closing.is_set():
                                return
                            continue
                        self.sock.sendall(line)
                except OSError:
                    self._kill()

            def _kill(self):
                self.dead = True
                self.closing.set()
                try:
                    self.sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

            def put(self, line):
                if self.dead or self.closing.is_set():
                    return False
                try:
                    self.q.put_nowait(line)
                    return True
                except queue.Full:
                    self._kill()
                    return False

            def close(self):
                self.closing.set()
                self.t.join(0.5)
                if self.t.is_alive():
                    self._kill()
                    self.t.join(0.5)
        ''',
    },
)  # fmt: skip
