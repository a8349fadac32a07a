"""Exercise `server`, the capstone: all of it together, judged from outside.

Most of its steps are behaviours that `check server` tries on any server (labkit/conformance/). Here each is
tried on a new one, which runs in a thread of the student's process. This file adds the hints, and the steps
for which one must look into that process.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator

from labkit.conformance.behaviour import Behaviour
from labkit.conformance.behaviours import BEHAVIOURS
from labkit.conformance.server_under_test import CannotJoin, ServerUnderTest
from labkit.exercises.bench.bench import Bench, whereabouts
from labkit.exercises.bench.parts import part_only
from labkit.exercises.bench.pausing import Pausing, end, own_switches, pausing
from labkit.exercises.exercise import Exercise, Step, Wrong
from labkit.probe.deadline import pause
from labkit.probe.failed import CheckFailed
from labkit.probe.raw_client import RawClient, unique

TASK = """
Write `serve(listener)`: a chat server, on a listening socket that is given. It returns when that socket
is closed. Inside it may be made as you like: the skeleton below is one way, with a thread that reads and
one that sends for each client. What counts is what the clients see:

- Lines of UTF-8 end with LF; a CR before it is dropped. A line of more than 4096 bytes, its LF included, is
  refused with `! ` and a reason. What is not UTF-8 becomes U+FFFD, and so does what cannot be printed. None
  of these ends a connection.
- The server asks `nickname`. The answer is the nickname, or is refused: `! ` and a reason, and `nickname`
  again; you may end it after three refusals. Empty ones are refused, and those that are taken. A client
  that is let in hears `* you are alice, in lobby`.
- What alice says, all others hear as `alice: TEXT`, in one order for all, and she does not. An empty line
  is nothing.
- `* alice joined` is told to the others, once; so is `* alice left (hung up)` after FIN, and
  `* alice left (vanished)` after RST or an error. Then the nickname is free.
- A client that stops reading holds up no other for more than a second, and is let go. One that reads loses
  no line.
- A newcomer that says nothing, resets, or sends no text keeps no other out.
"""

ANSWER = '''
import queue
import socket
import threading

LONGEST = 4096  # bytes of a line, its LF included
WAITING = 500  # lines that may wait for a client
GRACE = 0.5  # seconds that a client with so many has to take one


def end(sock):
    """End the connection; a thread that waits in recv wakes."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it has ended already


def lines(sock):
    """The lines that come, as text; None stands for one that is too long."""
    rest, skipping = b"", False
    while data := sock.recv(4096):
        *ended, rest = (rest + data).split(b"\\n")
        for line in ended:
            yield None if skipping or len(line) >= LONGEST else printable(line)
            skipping = False
        if len(rest) >= LONGEST:
            rest, skipping = b"", True


def printable(line):
    """The line as text. What is not text, or moves a cursor, becomes U+FFFD."""
    text = line.removesuffix(b"\\r").decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "\\ufffd" for letter in text)


class Client:
    """A client: its socket, its nickname, a queue of what it is to hear, and a thread that sends it."""

    def __init__(self, sock):
        ### BEGIN SOLUTION
        self.sock = sock
        self.nickname = None
        self.too_slow = self.was_reset = False
        self.queue = queue.Queue(WAITING)
        self.thread = threading.Thread(target=self.send, daemon=True)
        self.thread.start()
        ### END SOLUTION

    def tell(self, line):
        """Put a line into the queue. A client that takes none for GRACE seconds is let go."""
        ### BEGIN SOLUTION
        try:
            if not self.too_slow:
                self.queue.put(line, timeout=GRACE)
        except queue.Full:
            self.too_slow = True
            end(self.sock)
        ### END SOLUTION

    def send(self):
        """The thread: send what is in the queue, until None comes."""
        ### BEGIN SOLUTION
        try:
            while (line := self.queue.get()) is not None:
                self.sock.sendall(line.encode() + b"\\n")
        except OSError as error:
            # A reset is told once, to this thread or to the one that reads.
            self.was_reset = isinstance(error, ConnectionResetError)
            end(self.sock)  # its own thread wakes, and tells the others
        ### END SOLUTION

    def close(self):
        """Send what is still waiting, if it is taken soon; then close."""
        ### BEGIN SOLUTION
        if not self.too_slow:
            self.tell(None)
            self.thread.join(GRACE)
        end(self.sock)
        self.sock.close()
        ### END SOLUTION


class Chat:
    """Who is here. One lock, so that all hear everything in one order."""

    def __init__(self):
        ### BEGIN SOLUTION
        self.lock = threading.Lock()  # guards members, and the order of what they are told
        self.members = {}  # nickname in small letters -> Client
        ### END SOLUTION

    def join(self, client, nickname):
        """Let the client in; or return why not."""
        ### BEGIN SOLUTION
        if not nickname.strip():
            return "a nickname is needed"
        if len(nickname) > 32 or " " in nickname or ":" in nickname or nickname[0] in "*!/#[>":
            return "at most 32 characters, no space, no colon, and no sign first"
        with self.lock:
            if nickname.casefold() in self.members:
                return f"{nickname} is taken"
            client.tell(f"* you are {nickname}, in lobby")
            self.tell_all(f"* {nickname} joined")
            client.nickname = nickname
            self.members[nickname.casefold()] = client
        return None
        ### END SOLUTION

    def say(self, client, text):
        """All others hear it, with the name before it."""
        ### BEGIN SOLUTION
        with self.lock:
            self.tell_all(f"{client.nickname}: {text}", but=client)
        ### END SOLUTION

    def leave(self, client, reason):
        """The client is not here any more; the others are told why."""
        ### BEGIN SOLUTION
        with self.lock:
            if client.nickname is not None:
                del self.members[client.nickname.casefold()]
                self.tell_all(f"* {client.nickname} left ({reason})")
        ### END SOLUTION

    def tell_all(self, line, but=None):
        """Tell all members; the lock must be held."""
        ### BEGIN SOLUTION
        for member in list(self.members.values()):
            if member is not but:
                member.tell(line)
        ### END SOLUTION


def handle_client(chat, sock):
    """The life of one client, in its own thread."""
    ### BEGIN SOLUTION
    client, reason, refused = Client(sock), "hung up", 0
    client.tell("nickname")
    try:
        for text in lines(sock):
            if text is None:
                client.tell("! that line is too long")
            elif client.nickname is None:
                why = chat.join(client, text)
                if why:
                    client.tell(f"! {why}")
                    refused += 1
                    if refused == 3:
                        break
                    client.tell("nickname")
            elif text:
                chat.say(client, text)
    except OSError:
        reason = "vanished"
    if client.was_reset:
        reason = "vanished"
    chat.leave(client, "was too slow" if client.too_slow else reason)
    client.close()
    ### END SOLUTION


def serve(listener):
    """Serve the chat until the listening socket is closed."""
    ### BEGIN SOLUTION
    chat = Chat()
    while True:
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=handle_client, args=(chat, sock), daemon=True).start()
    ### END SOLUTION'''

TIMEOUT = 1.5
"""Seconds that the server is given for anything; the machine's own pauses are not counted."""

BUFFER = 64 * 1024
"""Bytes of each connection's send buffer."""

HOLDS = 4 * BUFFER
"""Bytes that are sure to fill it: Linux takes twice as many, see socket(7)."""

# In the order in which they are tried: those that take longest come last. The goodbye comes early, for a
# server that does not notice it has a thread that spins for each client of all steps before.
HINTS: dict[str, tuple[str, ...]] = {
    "asks for a nickname at connect": (
        "What does a client hear when it has just connected?",
        "The first thing each client's thread does: send b'nickname\\n'.",
    ),
    "what one says, all others hear": (
        "Who is on the list when the line is sent to all, and who has been let in already?",
        "A nickname once accepted, put the client among the members; go over all of them for each line.",
    ),
    "a goodbye is noticed": (
        "What does recv return after FIN, and what does your loop do with it?",
        "while data := sock.recv(4096): … ends at b''; then close the socket.",
    ),
    "the name stands before what was said": (
        "bob hears the words. How does he know whose they are?",
        "f'{client.nickname}: {text}'",
    ),
    "the sender does not hear itself": (
        "Whom does the loop pass over?",
        "if member is not sender: …",
    ),
    "a line is a message, however TCP cuts it": (
        "Is what one recv returns one message?",
        "Keep what follows the last LF, and put it before what the next recv brings (exercise framing).",
    ),
    "a CR before the LF is dropped": (
        "What stands at the end of a line that a Windows program sends?",
        "line.removesuffix(b'\\r')",
    ),
    "bytes that are not UTF-8 throw nobody out": (
        "What does decode() do with a byte that is not UTF-8?",
        "decode('utf-8', 'replace')",
    ),
    "a long message in another alphabet throws nobody out": (
        "A letter is two bytes. What if recv brings only the first of them?",
        "Cut at LF first, and decode whole lines only.",
    ),
    "control characters of one do not reach another": (
        "What can alice do to bob's screen with '\\x1b[2J'?",
        "Replace every letter for which letter.isprintable() is false.",
    ),
    "an over-long line is refused, and nobody thrown out": (
        "How much does your server keep of a line that does not end?",
        "Past 4096 bytes: forget what has come, skip up to the next LF, tell `! …`, and go on.",
    ),
    "all hear the same lines in the same order": (
        "Three talk at once, in three threads. What decides the order in which bob and carol hear them?",
        "One lock around putting a line into every queue.",
    ),
    "a nickname that is taken is refused": (
        "There is an alice already. Where does your server look?",
        "if nickname.casefold() in members: refuse",
    ),
    "an empty nickname is refused": (
        "The answer was an empty line. Who would `: hello` be?",
        "if not nickname.strip(): refuse",
    ),
    "a refused nickname is asked for again": (
        "Refused; and what does the client hear next?",
        "After `! why` send `nickname` again, and take the next line for the answer.",
    ),
    "a joining is told to the others, once": (
        "Who hears that alice has come?",
        "Before she is put among the members, tell all of them `* alice joined`.",
    ),
    "a leaving is told to the others, once, and with its reason": (
        "FIN and RST are two ways of leaving. Which of them ends your loop, and which raises?",
        "`hung up` where recv returned b'', `vanished` where it raised OSError; in one place, after both.",
    ),
    "a nickname is free again after its owner has left": (
        "alice has left. Where does her nickname still stand?",
        "Delete it from the members when she leaves.",
    ),
    "nobody falls silent when people come and go": (
        "A client left, and since then nothing is heard. Which thread holds which lock?",
        "A function that is called under the lock must not take it again.",
    ),
    "a silent newcomer keeps nobody out": (
        "The first newcomer says nothing. In which thread do you wait for its nickname?",
        "In the accept loop there is accept and Thread(…).start(), and nothing else.",
    ),
    "a reset in the handshake keeps nobody out": (
        "recv raised while the nickname was awaited. Which thread ended?",
        "Catch OSError in the client's own thread, handshake included.",
    ),
    "a nickname that is not UTF-8 keeps nobody out": (
        "What does decode() do with the nickname b'ren\\xe9', and in which thread?",
        "Decode nicknames as all lines: with 'replace', in the client's own thread.",
    ),
    "nobody is skipped when several die": (
        "A client was taken off the list while a loop walked it. Who comes next in that loop?",
        "Walk a copy: for member in list(members.values()).",
    ),
    "after a reset all others are still heard": (
        "A send to a dead client failed. What became of the rest of the loop?",
        "try and except inside the loop, around the one send; or a queue and a thread for each client.",
    ),
    "after a goodbye nobody else is thrown out": (
        "A send to one who has gone fails. In whose thread, and what happens to that thread?",
        "Catch OSError at that one send; the client it was for is the one that is gone.",
    ),
    "one who stops reading holds up nobody": (
        "mallory does not read. Which of your threads waits for her, and who waits for that thread?",
        "A queue for each client, with an end, and a thread that sends from it.",
        "queue.Queue(500), put(line, timeout=0.5); a client whose queue stays full is let go.",
    ),
}

HINTS_BY_CLUE: dict[str, dict[str, tuple[str, ...]]] = {
    "a line is a message, however TCP cuts it": {
        "empty": (
            "alice pressed Enter, and nothing else. What did the others see of it?",
            "An empty line is nothing: if text: say it to all.",
        ),
    },
    "a joining is told to the others, once": {
        "herself": (
            "Who has just come hears that she has come. Was she among the members already?",
            "First tell all members, then put her among them; or leave her out.",
        ),
        "twice": (
            "The others heard more than once that she has come. From how many places are they told?",
            "Tell them in one place: where she is put among the members.",
        ),
    },
    "a leaving is told to the others, once, and with its reason": {
        "twice": (
            "One left, and the others were told more than once. From how many places are they told?",
            "Keep the reason in a variable, and tell it in one place: where she is taken off the members.",
        ),
    },
}
"""Other hints, by behaviour and clue."""

FIRST = next(iter(HINTS))

BEHAVIOUR = {behaviour.name: behaviour for behaviour in BEHAVIOURS if behaviour.required("lines")}

HINTS_AT_A_LOCK = (
    "A thread of yours stands at a lock, in the line shown. Who holds it, and what does that one wait for?",
    "If one that holds a lock calls one that takes it, both wait for ever. Take it in one of them only.",
)


HINTS_NOT_ASKED = (
    "One is in, and the next is not asked for a nickname. In which line is the thread that accepts?",
    "In the accept loop there is accept and Thread(…).start(), and nothing else.",
    "Thread(target=handle_client, args=(chat, sock)): target=handle_client(…) calls it then and there.",
)


@contextlib.contextmanager
def at_work(bench: Bench, traced: bool = False) -> Iterator[tuple[ServerUnderTest, Pausing]]:
    """The student's server, and what stops its threads if they are traced."""
    with pausing(bench, traced) as serving:
        server = ServerUnderTest(serving.address, timeout=TIMEOUT, journal=bench.journal, rests=bench.rests)
        try:
            yield server, serving
        except CheckFailed:
            bench.freeze_ladder()
            raise
        finally:
            server.leave()


MOST = 80
"""Lines of code before which a thread is stopped, at most."""


def claimed_at_once(bench: Bench) -> None:
    with at_work(bench, traced=True) as (server, serving):
        alice = server.newcomer("alice")
        alice.send("alice")
        if not alice.hears("* you are alice"):
            raise CheckFailed("alice hears '* you are alice, in lobby'", alice.seen(), "welcome")
        second = server.newcomer("second")
        second.follows()
        second.forget()  # the rest of the request
        second.send("alice")
        with contextlib.suppress(TimeoutError, EOFError):
            if not (line := second.line()).startswith("! "):
                expected = "the second alice hears `! ` and a reason first"
                raise CheckFailed(expected, f"she heard {line!r}", "no reason")
        for lines in range(1, MOST):
            one, two = server.newcomer("one"), server.newcomer("two")
            if serving.thread_of(one) is serving.thread_of(two):
                return  # one thread for all: no other comes in between
            name = f"neo{lines}"
            stopped = serving.meet(one, name, two, name, lines)
            answers = [welcomed(one), welcomed(two)]
            if None in answers:
                at_a_lock = any("lock" in line or "acquire" in line for line in whereabouts())
                seen = f"{one.seen()}; {two.seen()}"
                raise CheckFailed("each of two newcomers is answered", seen, "lock" if at_a_lock else "")
            if all(answers):
                raise CheckFailed(
                    f"one of two who want to be {name!r} at once is refused", "both are let in"
                )
            for client in (one, two):
                client.reset()
            if not stopped:
                return
            bench.goes_on()


def welcomed(newcomer: RawClient) -> bool | None:
    """Whether this one is let in, not refused; None: it is not answered."""
    while True:
        try:
            line = newcomer.line()
        except TimeoutError:
            return None
        except EOFError:
            return False
        if line == "nickname" or line.startswith(("* you are", "!")):
            return line.startswith("*")


def told_at_once(bench: Bench) -> None:
    with at_work(bench, traced=True) as (server, serving):
        alice, bob, dave, erin = server.join("alice", "bob", "dave", "erin")
        if serving.thread_of(alice) is serving.thread_of(bob):
            return
        for lines in range(1, MOST):
            words = [unique("a"), unique("b")]
            stopped = serving.meet(alice, words[0], bob, words[1], lines)
            orders = [in_order(listener, words) for listener in (dave, erin)]
            if orders[0] != orders[1]:
                raise CheckFailed(
                    "dave and erin hear what two say at once in the same order",
                    f"dave heard {orders[0]}, and erin heard {orders[1]}",
                )
            if not stopped:
                return
            bench.goes_on()


def in_order(listener: RawClient, words: list[str]) -> list[str]:
    """These words, in the order in which the listener hears them."""
    heard: list[str] = []
    while len(heard) < len(words):
        try:
            line = listener.line()
        except (TimeoutError, EOFError):
            raise CheckFailed(f"{listener.name} hears {words}", listener.seen(), "lost") from None
        heard += [word for word in words if line.endswith(word)]
    return heard


BURST = 640
"""Lines that are said at once. An end of a queue that is lower than that, and waits for nobody, is met."""


def burst(bench: Bench) -> None:
    with at_work(bench) as (server, _):
        alice, bob = server.join("alice", "bob")
        with part_only():
            alice.send("z" * 2000)
            if not bob.hears("z" * 2000 + "\n"):
                raise CheckFailed("bob hears a line of 2000 letters", bob.seen()[-80:], "part")
        before = own_switches(0.1)  # the thread that reads goes on, until it waits for another
        try:
            alice.push("".join(f"{n}\n" for n in range(BURST)).encode())
            pause(0.01)
        finally:
            own_switches(before)
        wanted = iter(range(BURST))
        for number in wanted:
            try:
                line = bob.line()
                while line.startswith("*") or "ping" in line:
                    line = bob.line()
            except (TimeoutError, EOFError):
                seen = f"{number} of them; {bob.seen()}"
                clue = "let go" if bob.end else ""
                raise CheckFailed(f"bob, who reads, hears all {BURST} lines", seen, clue) from None
            if not line.endswith(f": {number}"):
                raise CheckFailed(f"bob hears 'alice: {number}' next", f"bob heard {line!r}")


def half_a_letter(bench: Bench) -> None:
    with at_work(bench) as (server, _):
        alice, bob = server.join("alice", "bob")
        alice.send_bytes(b"caf\xc3")
        alice.send_bytes(b"\xa9 is open\n")
        if not bob.hears("is open"):
            raise CheckFailed("bob hears 'alice: caf\u00e9 is open'", bob.seen())
        line = bob.passed_over.rpartition(b"\n")[2].decode(errors="replace")
        if not line.endswith("caf\u00e9 "):
            raise CheckFailed("bob hears 'alice: caf\u00e9 is open'", f"bob heard {line + 'is open'!r}")


def nameless(bench: Bench) -> None:
    with at_work(bench) as (server, _):
        alice, bob = server.join("alice", "bob")
        server.hears_from(bob, alice, "well")
        before = len(alice.transcript)
        for leaves in (RawClient.hang_up, RawClient.reset, RawClient.hang_up):
            newcomer = server.newcomer("nobody")
            leaves(newcomer)
            newcomer.ended()
        refused = server.newcomer("again")
        refused.send("alice")
        refused.hears("!")
        refused.hang_up()
        refused.ended()
        server.join("carol", know=alice)
        for _ in range(2):
            server.hears_from(bob, alice, "well")
        heard = alice.transcript[before:].decode(errors="replace").splitlines()
        told = [line for line in heard if line.startswith("*") and "carol" not in line]
        if told:
            raise CheckFailed(
                "alice hears nothing of those who were never let in", f"she heard {told[0]!r}"
            )


def ends(bench: Bench) -> None:
    with at_work(bench) as (server, serving):
        server.join("alice", "bob")
        bench.said("the listener is closed", "check", "server")
        listener, running = serving.listener, serving.running
        with contextlib.suppress(OSError):  # on Linux this wakes accept; elsewhere close does
            listener.shutdown(socket.SHUT_RDWR)
        # If accept has raised there, either `serve` ends by that, or it calls accept again.
        looks = 50
        while looks and not running.ended(0.005) and listener.failed < 2:
            looks -= 1 if not listener.failed else 0
        listener.close()
        before, looks = listener.in_vain, 40
        while looks and not running.ended(0.005):  # one that looks up only now and then is not waited for
            if listener.in_vain - before > IN_VAIN:
                seen = f"accept raised, and was called again, {IN_VAIN} times and more"
                raise CheckFailed("serve returns when its listener is closed", seen, "goes on")
            looks -= listener.in_vain - before < IN_VAIN // 10  # or it has its time, on a busy machine, too
        if running.error is not None:
            raise running.error


IN_VAIN = 100
"""Calls of accept, on a listener that is closed, after which code is sure to go on for ever."""


FEW, LINES_OF, MOST_SAID = 4_000, 500, 8_000_000
"""Short lines that are said to one who does not read; how many in a round; and bytes in all."""


def let_go(bench: Bench) -> None:
    with at_work(bench) as (server, serving):
        alice, bob = server.join("alice", "bob")
        # What a listener gives has its own size: so the kernel keeps little for her.
        serving.listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        server.join("mallory", know=alice, receive_buffer=4096)
        gone = f"* {server.nickname('mallory')} left"
        said = rounds = 0
        while said < MOST_SAID:
            line = b"x\n" * LINES_OF if rounds * LINES_OF < FEW else (b"x" * 4000 + b"\n") * 64
            rounds += 1
            text = unique("so-far")
            said += alice.push(line + f"{text}\n".encode())
            if not server.reaches(text, alice, bob):
                raise CheckFailed("bob hears alice while mallory does not read", bob.seen(), "held up")
            if gone.encode() in bob.transcript:
                return
            alice.forget()
        seen = f"after {said // 1_000_000} MB that wait for her, mallory is still here"
        raise CheckFailed(f"mallory reads nothing, and the others hear {gone!r}", seen)


MORE: dict[str, tuple[Callable[[Bench], None], tuple[str, ...], dict[str, tuple[str, ...]]]] = {
    "a letter may come in two pieces": (
        half_a_letter,
        (
            "Half a letter came: \u00e9 is two bytes. What did your server make of the first of them?",
            "Cut at b'\\n' first, as bytes, and decode whole lines only.",
        ),
        {},
    ),
    "of two who claim a nickname at once, one gets it": (
        claimed_at_once,
        (
            "Two looked whether the nickname is free, before either had it. What lies between the two?",
            "One lock, from the `if … in members` to `members[…] = client`.",
        ),
        {
            "lock": HINTS_AT_A_LOCK,
            "welcome": (
                "alice gave a nickname that is free. How does she learn that she is let in, and where?",
                "client.tell(f'* you are {nickname}, in lobby')",
            ),
            "no reason": (
                "A nickname was refused. How does a client see that it was, and why?",
                "First `! ` and a reason in one line, then `nickname` again.",
            ),
        },
    ),
    "what two say at once comes to all in one order": (
        told_at_once,
        (
            "One thread had told dave and not yet erin; the other told both. What lets it in between?",
            "One lock around the whole loop that puts a line into the queues, not around each put.",
        ),
        {
            "lost": (
                "Two spoke at once, and a line was lost. Which list did both threads change?",
                "One lock around what threads share, and around the loop that walks it.",
            )
        },
    ),
    "one who reads loses no line of a burst": (
        burst,
        (
            "Many lines came at once, and one is missing. What does a full queue do with the next line?",
            "A line that has no room waits a moment: put(line, timeout=0.5).",
        ),
        {
            "part": (
                "A line came in part, and the rest of it never. What does sock.send return?",
                "send may take a part, and says how much. sendall goes on until all is out.",
            ),
            "let go": (
                "Bob reads as fast as he can, and was let go. How long had he been given to take a line?",
                "Too many lines for a moment is no reason yet: put(line, timeout=0.5) waits for room.",
            ),
        },
    ),
    "nothing is told of one who was never let in": (
        nameless,
        (
            "Somebody came, gave no nickname, and went. Who was told of that, and under which name?",
            "if client.nickname is not None: … in leave: only members are taken off, and told of.",
        ),
        {},
    ),
    "serve ends quietly when its listener is closed": (
        ends,
        (
            "The listener was closed. What does accept do then, and what did `serve` do?",
            "accept raises OSError: except OSError: return",
        ),
        {
            "goes on": (
                "The listener is closed, and accept is called again and again. What leads back to it?",
                "Nobody comes any more at a closed listener: except OSError: return, and no continue.",
            )
        },
    ),
    "one who never reads is let go": (
        let_go,
        (
            "mallory never reads. How many lines wait for her, and how much memory has a server?",
            "A queue needs an end: a client whose queue stays full is shut down, and has left.",
            "Her own thread is in recv: sock.shutdown(socket.SHUT_RDWR) wakes it, and it tells the others.",
        ),
        {
            "held up": (
                "mallory does not read. Which of your threads waits for her, and who waits for that one?",
                "Wait for room in a queue half a second, once; and not for one that was given up.",
            )
        },
    ),
}
"""Steps that look into the process: what is tried, hints, and hints by clue."""

AFTER = {
    "bytes that are not UTF-8 throw nobody out": ["a letter may come in two pieces"],
    "a silent newcomer keeps nobody out": ["of two who claim a nickname at once, one gets it"],
    "all hear the same lines in the same order": [
        "what two say at once comes to all in one order",
        "one who reads loses no line of a burst",
    ],
    "a leaving is told to the others, once, and with its reason": [
        "nothing is told of one who was never let in"
    ],
    "one who stops reading holds up nobody": [
        "one who never reads is let go",
        "serve ends quietly when its listener is closed",
    ],
}
"""Behind which behaviours these come."""


def all_steps() -> Iterator[Step]:
    """The behaviours, and between them those that look into the process."""
    for name in HINTS:
        yield step(BEHAVIOUR[name])
        for more in AFTER.get(name, ()):
            tries, hints, by_clue = MORE[more]
            yield Step(more, tries, hints=hints, hints_by_clue=by_clue)


def step(behaviour: Behaviour) -> Step:
    """The behaviour, tried on a server that has just been started."""

    def run(bench: Bench) -> None:
        listener = bench.listener()
        # Its connections inherit it: so one who does not read is noticed after few lines.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        serving = bench.thread(bench.code, listener, name="serve")
        server = ServerUnderTest(
            listener.getsockname(), timeout=TIMEOUT, journal=bench.journal, holds=HOLDS, rests=bench.rests
        )
        try:
            behaviour.judge(server)
        except CheckFailed as failed:
            bench.freeze_ladder()
            at_a_lock = any("lock" in line or "acquire" in line for line in whereabouts())
            clue = "lock" if at_a_lock else failed.clue
            if (
                behaviour.name != FIRST
                and isinstance(failed, CannotJoin)
                and failed.expected.startswith("`nickname`")
            ):
                clue = clue or "not asked"
            raise CheckFailed(failed.expected, failed.seen, clue) from None
        finally:
            server.leave()
            end(serving, listener)

    by_clue = {"lock": HINTS_AT_A_LOCK, "not asked": HINTS_NOT_ASKED} | HINTS_BY_CLUE.get(
        behaviour.name, {}
    )
    return Step(behaviour.name, run, hints=HINTS[behaviour.name], hints_by_clue=by_clue)


EXERCISE = Exercise(
    name="server",
    title="the whole server",
    chapter="capstone",
    wants="serve",
    task=TASK,
    answer=ANSWER,
    steps=tuple(all_steps()),
    wrong=(
        Wrong(
            "does not ask",
            "asks for a nickname at connect",
            (('    client.tell("nickname")\n    try:', "    try:"),),
        ),
        Wrong(
            "no name before the message",
            "the name stands before what was said",
            (('f"{client.nickname}: {text}"', "text"),),
        ),
        Wrong(
            "the sender hears itself",
            "the sender does not hear itself",
            ((", but=client)", ")"),),
        ),
        Wrong(
            "a recv is a message",
            "a line is a message, however TCP cuts it",
            (('*ended, rest = (rest + data).split(b"\\n")', 'ended = [data.rstrip(b"\\n")]'),),
        ),
        Wrong(
            "says an empty line to all",
            "a line is a message, however TCP cuts it",
            (("            elif text:\n", "            else:\n"),),
            clue="empty",
        ),
        Wrong(
            "keeps the CR",
            "a CR before the LF is dropped",
            (('line.removesuffix(b"\\r").decode', "line.decode"),
             ("letter.isprintable()", 'letter.isprintable() or letter == "\\r"')),
        ),
        Wrong(
            "decodes strictly",
            "bytes that are not UTF-8 throw nobody out",
            (('decode("utf-8", "replace")', "decode()"),),
        ),
        Wrong(
            "lets control characters through",
            "control characters of one do not reach another",
            (("letter if letter.isprintable()", "letter if letter"),),
        ),
        Wrong(
            "throws out a client that says too much",
            "an over-long line is refused, and nobody thrown out",
            (('client.tell("! that line is too long")', 'raise OSError("too long")'),),
        ),
        Wrong(
            "takes the same nickname twice",
            "a nickname that is taken is refused",
            (("if nickname.casefold() in self.members:", "if nickname in ():"),
             ("self.members[nickname.casefold()] = client", "self.members[client] = client"),
             ("del self.members[client.nickname.casefold()]", "del self.members[client]")),
            survey="two clients can have the same nickname",
        ),
        Wrong(
            "looks before it takes the lock",
            "of two who claim a nickname at once, one gets it",
            (("        with self.lock:\n"
              "            if nickname.casefold() in self.members:\n"
              '                return f"{nickname} is taken"\n',
              "        if nickname.casefold() in self.members:\n"
              '            return f"{nickname} is taken"\n'
              "        with self.lock:\n"),),
        ),
        Wrong(
            "serves one client, and then the next",
            "what one says, all others hear",
            (("threading.Thread(target=handle_client, args=(chat, sock), daemon=True).start()",
              "threading.Thread(target=handle_client(chat, sock)).start()"),),
            clue="not asked",
            survey="target=f()",
        ),
        Wrong(
            "decodes before it cuts",
            "a letter may come in two pieces",
            (('rest, skipping = b"", False', 'rest, skipping = "", False'),
             ('(rest + data).split(b"\\n")', '(rest + data.decode("utf-8", "replace")).split("\\n")'),
             ("else printable(line)", "else printable(line.encode())"),
             ('rest, skipping = b"", True', 'rest, skipping = "", True')),
        ),
        Wrong(
            "refuses without a reason",
            "of two who claim a nickname at once, one gets it",
            (('                    client.tell(f"! {why}")\n', ""),),
            clue="no reason",
        ),
        Wrong(
            "send, never sendall",
            "one who reads loses no line of a burst",
            (("self.sock.sendall(", "self.sock.send("),),
            clue="part",
        ),
        Wrong(
            "does not welcome",
            "of two who claim a nickname at once, one gets it",
            (('            client.tell(f"* you are {nickname}, in lobby")\n', ""),),
            clue="welcome",
        ),
        Wrong(
            "tells outside the lock",
            "what two say at once comes to all in one order",
            (("        with self.lock:\n            self.tell_all(f\"{", "        self.tell_all(f\"{"),),
            survey="no lock at all",
        ),
        Wrong(
            "gives up one who reads",
            "one who reads loses no line of a burst",
            (("self.queue.put(line, timeout=GRACE)", "self.queue.put_nowait(line)"),),
            clue="let go",
        ),
        Wrong(
            "tells of one who has no nickname",
            "nothing is told of one who was never let in",
            (("            if client.nickname is not None:\n"
              "                del self.members[client.nickname.casefold()]\n"
              "                self.tell_all",
              "            if client.nickname is not None:\n"
              "                del self.members[client.nickname.casefold()]\n"
              "            if True:\n"
              "                self.tell_all"),),
        ),
        Wrong(
            "dies when its listener is closed",
            "serve ends quietly when its listener is closed",
            (("        except OSError:\n            return\n        threading",
              "        except TimeoutError:\n            return\n        threading"),),
            clue="OSError",
        ),
        Wrong(
            "keeps one who never reads",
            "one who never reads is let go",
            (("queue.Queue(WAITING)", "queue.Queue()"),),
        ),
        Wrong(
            "takes an empty nickname",
            "an empty nickname is refused",
            (("if not nickname.strip():", "if nickname is None:"), ("nickname[0] in", "nickname[:1] in [*"),
             ('"*!/#[>":', '"*!/#[>"]:')),
        ),
        Wrong(
            "does not ask again",
            "a refused nickname is asked for again",
            (('                    client.tell("nickname")\n', ""),),
        ),
        Wrong(
            "tells nobody who joined",
            "a joining is told to the others, once",
            (('            self.tell_all(f"* {nickname} joined")\n', ""),),
        ),
        Wrong(
            "tells the newcomer, too",
            "a joining is told to the others, once",
            (('            self.tell_all(f"* {nickname} joined")\n', ""),
             ("            self.members[nickname.casefold()] = client\n",
              "            self.members[nickname.casefold()] = client\n"
              '            self.tell_all(f"* {nickname} joined")\n')),
            clue="herself",
        ),
        Wrong(
            "the end of the stream is ignored",
            "a goodbye is noticed",
            (("while data := sock.recv(4096):", "while True:\n        data = sock.recv(4096)"),),
            survey="a clean goodbye isn't noticed",
        ),
        Wrong(
            "tells nobody who left",
            "a leaving is told to the others, once, and with its reason",
            (('                self.tell_all(f"* {client.nickname} left ({reason})")\n', ""),),
        ),
        Wrong(
            "a nickname is taken for ever",
            "a nickname is free again after its owner has left",
            (("del self.members[client.nickname.casefold()]",
              'self.members[client.nickname.casefold()] = Nobody()'),
             ("class Chat:", "class Nobody:\n    def tell(self, line):\n        pass\n\n\nclass Chat:")),
        ),
        Wrong(
            "takes the lock twice",
            "a goodbye is noticed",
            (("        for member in list(self.members.values()):\n            if member is not but:\n"
              "                member.tell(line)",
              "        with self.lock:\n            for member in list(self.members.values()):\n"
              "                if member is not but:\n                    member.tell(line)"),
             ("        with self.lock:\n            self.tell_all(f\"{", "        self.tell_all(f\"{"),
             ("            self.tell_all(f\"* {nickname} joined\")\n", ""),
             ("        return None",
              "        self.tell_all(f\"* {nickname} joined\", but=client)\n        return None")),
            clue="lock",
            survey="a lock taken twice: the server goes silent",
        ),
        Wrong(
            "sends in the talker's thread",
            "one who stops reading holds up nobody",
            (("self.queue.put(line, timeout=GRACE)", 'self.sock.sendall(line.encode() + b"\\n")'),
             ("        except queue.Full:\n            self.too_slow = True\n            end(self.sock)",
              "        except OSError:\n            end(self.sock)"),
             ("            self.tell(None)", "            self.queue.put(None)")),
            survey="one client that stops reading stalls the room",
        ),
        Wrong(
            "the handshake in the accept loop",
            "a silent newcomer keeps nobody out",
            (("        threading.Thread(target=handle_client, args=(chat, sock), daemon=True).start()",
              """        client = Client(sock)
        client.tell("nickname")
        try:
            first = sock.recv(4096)
        except OSError:
            first = b""
        threading.Thread(target=handle_client, args=(chat, sock, client, first), daemon=True).start()"""),
             ("def handle_client(chat, sock):", "def handle_client(chat, sock, client, first):"),
             ('client, reason, refused = Client(sock), "hung up", 0\n    client.tell("nickname")',
              'reason, refused = "hung up", 0'),
             ("for text in lines(sock):", "for text in lines(sock, first):"),
             ("def lines(sock):", "def lines(sock, first):"),
             ("data := sock.recv(4096):", 'data := first or sock.recv(4096):\n        first = b""')),
        ),
    ),
    others={
        "one thread and a selector": '''
        import selectors
        import socket


        class Conn:
            def __init__(self, sock):
                self.sock, self.nick, self.bad = sock, None, 0
                self.inp, self.out, self.skip, self.done = b"", b"", False, False


        class Server:
            def __init__(self, listener):
                self.sel, self.listener, self.conns = selectors.DefaultSelector(), listener, []
                listener.setblocking(False)
                self.sel.register(listener, selectors.EVENT_READ)

            def run(self):
                while self.listener.fileno() >= 0:
                    for key, events in self.sel.select(0.2):
                        if key.data is None:
                            self.accept()
                        elif events & selectors.EVENT_READ and not key.data.done:
                            self.read(key.data)
                    for conn in list(self.conns):
                        self.flush(conn)

            def accept(self):
                try:
                    sock, _ = self.listener.accept()
                except OSError:
                    return
                sock.setblocking(False)
                conn = Conn(sock)
                self.conns.append(conn)
                self.sel.register(sock, selectors.EVENT_READ, conn)
                self.put(conn, "nickname")

            def put(self, conn, line):
                conn.out += line.encode() + b"\\n"

            def others(self, conn, line):
                for other in self.conns:
                    if other is not conn and other.nick is not None:
                        self.put(other, line)

            def read(self, conn):
                try:
                    data = conn.sock.recv(65536)
                except BlockingIOError:
                    return
                except OSError:
                    return self.drop(conn, "vanished")
                if not data:
                    return self.drop(conn, "hung up")
                parts = (conn.inp + data).split(b"\\n")
                conn.inp = parts.pop()
                for part in parts:
                    if conn.skip or len(part) > 4095:
                        conn.skip = False
                        self.put(conn, "! too long")
                    elif not conn.done:
                        self.line(conn, part)
                if len(conn.inp) > 4095:
                    conn.inp, conn.skip = b"", True

            def line(self, conn, data):
                text = data.decode("utf-8", "replace").removesuffix("\\r")
                text = "".join(c if c.isprintable() else "\\ufffd" for c in text)
                if conn.nick is not None:
                    if text:
                        self.others(conn, f"{conn.nick}: {text}")
                    return
                taken = [other.nick.lower() for other in self.conns if other.nick]
                if text.strip() and text.lower() not in taken and text.isidentifier():
                    conn.nick = text
                    self.put(conn, f"* you are {text}, in lobby")
                    self.others(conn, f"* {text} joined")
                    return
                conn.bad += 1
                self.put(conn, "! that nickname will not do")
                if conn.bad < 3:
                    self.put(conn, "nickname")
                else:
                    conn.done = True

            def flush(self, conn):
                if conn.out:
                    try:
                        conn.out = conn.out[conn.sock.send(conn.out[:262144]) :]
                    except BlockingIOError:
                        if len(conn.out) > 4_000_000:
                            return self.drop(conn, "was too slow")
                    except OSError:
                        return self.drop(conn, "vanished")
                if conn.done and not conn.out:
                    return self.drop(conn, "no nickname")
                events = selectors.EVENT_READ | (selectors.EVENT_WRITE if conn.out else 0)
                self.sel.modify(conn.sock, events, conn)

            def drop(self, conn, why):
                if conn in self.conns:
                    self.conns.remove(conn)
                    self.sel.unregister(conn.sock)
                    conn.sock.close()
                    if conn.nick is not None:
                        self.others(conn, f"* {conn.nick} left ({why})")


        def serve(listener):
            Server(listener).run()
        ''',
        "socketserver": '''
        import queue
        import socketserver
        import threading

        class Handler(socketserver.StreamRequestHandler):
            def setup(self):
                super().setup()
                self.nick, self.late, self.waiting = "", False, queue.Queue(1000)
                self.writer = threading.Thread(target=self.write, daemon=True)
                self.writer.start()

            def put(self, line):
                try:
                    self.late or self.waiting.put(line, timeout=0.3)
                except queue.Full:
                    self.late = True
                    self.connection.shutdown(2)

            def write(self):
                try:
                    for line in iter(self.waiting.get, None):
                        self.wfile.write((line + "\\n").encode())
                except ConnectionResetError:
                    self.why = "vanished"
                except OSError:
                    pass

            def line(self):
                data = self.rfile.readline(4096)
                if len(data) == 4096 and not data.endswith(b"\\n"):
                    while data and not data.endswith(b"\\n"):
                        data = self.rfile.readline(4096)
                    self.put("! too long")
                    return self.line()
                if not data.endswith(b"\\n"):
                    return None
                text = data[:-1].decode(errors="replace")
                text = text[:-1] if text.endswith("\\r") else text
                return "".join(c if c.isprintable() else "?" for c in text)

            def handle(self):
                self.why = "hung up"
                try:
                    for _ in range(3):
                        self.put("nickname")
                        nick = self.line()
                        if nick is None or self.enter(nick):
                            break
                    if self.nick:
                        while (text := self.line()) is not None:
                            if text:
                                self.server.tell(f"{self.nick}: {text}", self)
                except OSError:
                    self.why = "vanished"
                with self.server.lock:
                    if self.server.here.pop(self.nick.upper(), None):
                        why = "was too slow" if self.late else self.why
                        self.server.tell(f"* {self.nick} left ({why})")

            def enter(self, nick):
                with self.server.lock:
                    if not nick.strip() or nick.upper() in self.server.here or len(nick.split()) > 1:
                        self.put("! no")
                        return False
                    self.nick = nick
                    self.put(f"* you are {nick}, in lobby")
                    self.server.tell(f"* {nick} joined")
                    self.server.here[nick.upper()] = self
                    return True

            def finish(self):
                self.late or self.waiting.put(None)
                self.writer.join(1)
                self.connection.close()


        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

            def __init__(self, listener):
                super().__init__(listener.getsockname(), Handler, bind_and_activate=False)
                self.socket.close()
                self.socket = listener
                self.lock, self.here = threading.RLock(), {}

            def tell(self, line, *but):
                with self.lock:
                    for handler in list(self.here.values()):
                        if handler not in but:
                            handler.put(line)

            def handle_error(self, request, address):
                pass


        def serve(listener):
            Server(listener).serve_forever(0.1)
        ''',
        "asyncio": '''
        import asyncio


        class Room:
            def __init__(self):
                self.people = {}

            def send(self, writer, line):
                if writer.transport.get_write_buffer_size() > 4_000_000:
                    writer.transport.abort()
                else:
                    writer.write(line.encode() + b"\\n")

            def all(self, line, but=None):
                for nick, writer in list(self.people.items()):
                    if nick != but:
                        self.send(writer, line)

            async def line(self, reader, writer):
                while True:
                    try:
                        data = await reader.readuntil(b"\\n")
                    except asyncio.LimitOverrunError as error:
                        await reader.readexactly(error.consumed)
                        while not (await reader.read(1)).endswith(b"\\n"):
                            pass
                        self.send(writer, "! too long")
                        continue
                    except asyncio.IncompleteReadError:
                        return None
                    text = data[:-1].removesuffix(b"\\r").decode("utf-8", "replace")
                    return "".join(c if c.isprintable() else "." for c in text)

            async def client(self, reader, writer):
                nick, why = None, "hung up"
                try:
                    for _ in range(3):
                        self.send(writer, "nickname")
                        wanted = await self.line(reader, writer)
                        if wanted is None:
                            break
                        if wanted.strip() and " " not in wanted and wanted.lower() not in self.people:
                            nick = wanted
                            self.send(writer, f"* you are {nick}, in lobby")
                            self.all(f"* {nick} joined")
                            self.people[nick.lower()] = writer
                            break
                        self.send(writer, "! another one, please")
                    while nick and (text := await self.line(reader, writer)) is not None:
                        if text:
                            self.all(f"{nick}: {text}", but=nick.lower())
                except OSError:
                    why = "vanished"
                finally:
                    if nick:
                        del self.people[nick.lower()]
                        self.all(f"* {nick} left ({why})")
                    writer.close()


        async def main(listener):
            room = Room()
            server = await asyncio.start_server(room.client, sock=listener, limit=4095)
            await server.serve_forever()


        def serve(listener):
            asyncio.run(main(listener))
        ''',
        "makefile, a deque and a condition": '''
        import collections
        import socket
        import threading
        import time


        class Peer:
            def __init__(self, sock):
                self.sock = sock
                self.name = ""
                self.lines = collections.deque()
                self.cond = threading.Condition()
                self.state = "open"
                self.why = "hung up"
                threading.Thread(target=self.pump, daemon=True).start()

            def send(self, text):
                with self.cond:
                    if self.state != "open":
                        return
                    if len(self.lines) >= 800:
                        room = lambda: len(self.lines) < 800 or self.state != "open"
                        self.cond.wait_for(room, timeout=0.4)
                        if len(self.lines) >= 800:
                            self.state = "dead"
                            self.why = "was too slow"
                            self.lines.clear()
                            self.cond.notify_all()
                            cut(self.sock)
                            return
                    self.lines.append(text)
                    self.cond.notify_all()

            def pump(self):
                while True:
                    with self.cond:
                        self.cond.wait_for(lambda: self.lines or self.state != "open")
                        if not self.lines:
                            return
                        batch = [self.lines.popleft() for _ in range(min(len(self.lines), 50))]
                        self.cond.notify_all()
                    try:
                        self.sock.sendall("".join(line + "\\n" for line in batch).encode())
                    except OSError as e:
                        if isinstance(e, ConnectionResetError):
                            self.why = "vanished"
                        with self.cond:
                            self.state = "dead"
                            self.lines.clear()
                            self.cond.notify_all()
                        cut(self.sock)
                        return

            def bye(self):
                with self.cond:
                    if self.state == "open":
                        self.cond.wait_for(lambda: not self.lines or self.state == "dead", timeout=0.5)
                    self.state = "closed"
                    self.cond.notify_all()
                cut(self.sock)
                self.sock.close()


        def cut(sock):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


        def read_lines(file):
            while True:
                raw = file.readline(4097)
                if not raw.endswith(b"\\n"):
                    if len(raw) < 4097:
                        return
                    while raw and not raw.endswith(b"\\n"):
                        raw = file.readline(4097)
                    yield None
                elif len(raw) > 4096:
                    yield None
                else:
                    text = raw[:-1].removesuffix(b"\\r").decode("utf-8", "replace")
                    yield "".join(c if c.isprintable() else "\\ufffd" for c in text)


        def serve(listener):
            lock = threading.RLock()
            peers = {}

            def everyone(text, skip=None):
                for p in list(peers.values()):
                    if p is not skip:
                        p.send(text)

            def enter(peer, name):
                if not name.strip() or name != name.strip() or len(name) > 40 or name[0] in "*!":
                    return False
                with lock:
                    if name.lower() in peers:
                        return False
                    everyone(f"* {name} joined")
                    peer.name = name
                    peers[name.lower()] = peer
                    peer.send(f"* you are {name}, in lobby")
                    return True

            def talk(sock):
                peer = Peer(sock)
                peer.send("nickname")
                tries = 0
                try:
                    with sock.makefile("rb") as file:
                        for text in read_lines(file):
                            if text is None:
                                peer.send("! too long")
                            elif not peer.name:
                                if not enter(peer, text):
                                    peer.send("! no")
                                    tries += 1
                                    if tries == 3:
                                        break
                                    peer.send("nickname")
                            elif text:
                                with lock:
                                    everyone(f"{peer.name}: {text}", peer)
                except OSError:
                    peer.why = "vanished"
                with lock:
                    if peer.name:
                        del peers[peer.name.lower()]
                        everyone(f"* {peer.name} left ({peer.why})")
                peer.bye()

            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    break
                threading.Thread(target=talk, args=(sock,), daemon=True).start()
        ''',
        "a dataclass with string annotations": '''
        from __future__ import annotations

        import queue
        import socket
        import threading
        from dataclasses import dataclass, field


        @dataclass(eq=False)
        class Client:
            sock: socket.socket
            name: str | None = None
            box: queue.Queue[bytes | None] = field(default_factory=lambda: queue.Queue(600))
            reason: str = "hung up"
            gone: bool = False
            writer: threading.Thread | None = None

            def tell(self, text: str) -> None:
                if self.gone:
                    return
                try:
                    self.box.put(text.encode() + b"\\n", timeout=0.5)
                except queue.Full:
                    self.gone = True
                    self.reason = "was too slow"
                    self.cut()

            def cut(self) -> None:
                try:
                    self.sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

            def write(self) -> None:
                for data in iter(self.box.get, None):
                    try:
                        self.sock.sendall(data)
                    except ConnectionResetError:
                        self.reason = "vanished"
                        self.cut()
                        break
                    except OSError:
                        self.cut()
                        break


        @dataclass
        class Server:
            listener: socket.socket
            clients: dict[str, Client] = field(default_factory=dict)
            lock: threading.Lock = field(default_factory=threading.Lock)

            def run(self) -> None:
                while True:
                    try:
                        sock, _ = self.listener.accept()
                    except OSError:
                        return
                    client = Client(sock)
                    client.writer = threading.Thread(target=client.write, daemon=True)
                    client.writer.start()
                    threading.Thread(target=self.read, args=(client,), daemon=True).start()

            def broadcast(self, text: str, sender: Client | None = None) -> None:
                for client in tuple(self.clients.values()):
                    if client is not sender:
                        client.tell(text)

            def join(self, client: Client, name: str) -> str:
                if name.strip() == "":
                    return "empty"
                with self.lock:
                    if name.casefold() in self.clients:
                        return "taken"
                    client.tell(f"* you are {name}, in lobby")
                    self.broadcast(f"* {name} joined")
                    self.clients[name.casefold()] = client
                    client.name = name
                return ""

            def read(self, client: Client) -> None:
                client.tell("nickname")
                buffer = bytearray()
                skip = False
                misses = 0
                try:
                    while misses < 3:
                        chunk = client.sock.recv(2048)
                        if not chunk:
                            break
                        buffer += chunk
                        while (i := buffer.find(b"\\n")) >= 0:
                            line = bytes(buffer[:i])
                            del buffer[: i + 1]
                            if skip or i > 4095:
                                skip = False
                                client.tell("! line too long")
                                continue
                            text = clean(line)
                            if client.name:
                                if text:
                                    with self.lock:
                                        self.broadcast(f"{client.name}: {text}", client)
                            elif why := self.join(client, text):
                                client.tell("! " + why)
                                misses += 1
                                if misses == 3:
                                    break
                                client.tell("nickname")
                        if len(buffer) > 4095:
                            buffer.clear()
                            skip = True
                except OSError:
                    client.reason = "vanished"
                with self.lock:
                    if client.name:
                        self.clients.pop(client.name.casefold())
                        self.broadcast(f"* {client.name} left ({client.reason})")
                client.gone = True
                try:
                    client.box.put(None, timeout=0.5)
                except queue.Full:
                    pass
                client.writer.join(0.5)
                client.cut()
                client.sock.close()


        def clean(line: bytes) -> str:
            text = line.decode("utf-8", "replace")
            if text.endswith("\\r"):
                text = text[:-1]
            return "".join(c if c.isprintable() else "\\N{REPLACEMENT CHARACTER}" for c in text)


        def serve(listener):
            Server(listener).run()
        ''',
        "inheritance": '''
        import queue
        import socket
        import threading


        class Worker(threading.Thread):
            def __init__(self, client):
                super().__init__(daemon=True)
                self.client = client


        class Writer(Worker):
            def run(self):
                while True:
                    line = self.client.queue.get()
                    if line is None:
                        return
                    try:
                        self.client.sock.sendall(line)
                    except OSError as error:
                        self.client.failed(error)
                        return


        class Reader(Worker):
            def run(self):
                try:
                    for line in self.client.lines():
                        if not self.client.got(line):
                            break
                except OSError as error:
                    self.client.failed(error)
                self.client.over()


        class Connection:
            LIMIT = 4096

            def __init__(self, sock, room):
                self.sock, self.room = sock, room
                self.queue = queue.Queue(maxsize=500)
                self.reason = "hung up"
                self.slow = False
                self.writer = Writer(self)
                self.writer.start()
                Reader(self).start()

            def lines(self):
                data, long = b"", False
                while True:
                    more = self.sock.recv(8192)
                    if not more:
                        return
                    data += more
                    while b"\\n" in data:
                        line, data = data.split(b"\\n", 1)
                        if long or len(line) + 1 > self.LIMIT:
                            long = False
                            yield None
                        else:
                            yield line
                    if len(data) >= self.LIMIT:
                        data, long = b"", True

            def send(self, text):
                if self.slow:
                    return
                try:
                    self.queue.put((text + "\\n").encode("utf-8"), True, 0.5)
                except queue.Full:
                    self.slow, self.reason = True, "was too slow"
                    self.hang_up()

            def hang_up(self):
                try:
                    self.sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

            def failed(self, error):
                if isinstance(error, ConnectionError) and not isinstance(error, BrokenPipeError):
                    self.reason = "vanished"
                self.hang_up()

            def got(self, line):
                raise NotImplementedError

            def over(self):
                if not self.slow:
                    self.send_end()
                    self.writer.join(0.5)
                self.hang_up()
                self.sock.close()

            def send_end(self):
                try:
                    self.queue.put(None, True, 0.5)
                except queue.Full:
                    pass


        class ChatConnection(Connection):
            def __init__(self, sock, room):
                self.nick, self.wrong = None, 0
                super().__init__(sock, room)
                self.send("nickname")

            def got(self, line):
                if line is None:
                    self.send("! too long a line")
                    return True
                text = line.removesuffix(b"\\r").decode("utf-8", "replace")
                text = "".join(c if c.isprintable() else "\\ufffd" for c in text)
                if self.nick is None:
                    why = self.room.add(self, text)
                    if why:
                        self.send("! " + why)
                        self.wrong += 1
                        if self.wrong == 3:
                            return False
                        self.send("nickname")
                elif text:
                    self.room.say(self, f"{self.nick}: {text}")
                return True

            def over(self):
                self.room.remove(self)
                super().over()


        class Room:
            def __init__(self):
                self.people, self.lock = [], threading.Lock()

            def add(self, who, nick):
                if not nick or nick.isspace():
                    return "nobody is called nothing"
                with self.lock:
                    for other in self.people:
                        if other.nick.lower() == nick.lower():
                            return "taken"
                    for other in self.people:
                        other.send(f"* {nick} joined")
                    who.nick = nick
                    self.people.append(who)
                    who.send(f"* you are {nick}, in lobby")

            def say(self, who, line):
                with self.lock:
                    for other in self.people:
                        if other is not who:
                            other.send(line)

            def remove(self, who):
                with self.lock:
                    if who in self.people:
                        self.people.remove(who)
                        for other in self.people:
                            other.send(f"* {who.nick} left ({who.reason})")


        def serve(listener):
            room = Room()
            try:
                while True:
                    ChatConnection(listener.accept()[0], room)
            except OSError:
                return
        ''',
        "globals": '''
        import queue
        import socket
        import threading

        clients = []
        names = {}
        boxes = {}
        slow = set()
        lock = threading.RLock()


        def put(sock, text):
            if sock in slow:
                return
            try:
                boxes[sock].put(text, timeout=0.5)
            except queue.Full:
                slow.add(sock)
                off(sock)
            except KeyError:
                pass


        def off(sock):
            try:
                sock.shutdown(2)
            except OSError:
                pass


        def broadcast(text, sender=None):
            with lock:
                for client in clients[:]:
                    if client is not sender:
                        put(client, text)


        def sending(sock, box, state):
            while True:
                text = box.get()
                if text is None:
                    break
                try:
                    sock.sendall(text.encode() + b"\\n")
                except ConnectionResetError:
                    state["why"] = "vanished"
                    off(sock)
                    break
                except OSError:
                    off(sock)
                    break


        def recv_msg(sock):
            rest = b""
            skipping = False
            while True:
                data = sock.recv(1024)
                if not data:
                    return
                lines = (rest + data).split(b"\\n")
                rest = lines.pop()
                for line in lines:
                    if skipping or len(line) > 4095:
                        skipping = False
                        put(sock, "! too long")
                        continue
                    text = line.decode(errors="replace").removesuffix("\\r")
                    yield "".join([c if c.isprintable() else "\\ufffd" for c in text])
                if len(rest) > 4095:
                    rest, skipping = b"", True


        def handle_client(sock):
            box = queue.Queue(700)
            state = {"why": "hung up"}
            boxes[sock] = box
            sender = threading.Thread(target=sending, args=(sock, box, state), daemon=True)
            sender.start()
            put(sock, "nickname")
            bad = 0
            nickname = None
            try:
                for text in recv_msg(sock):
                    if nickname is None:
                        with lock:
                            if text.strip() and text.lower() not in names and " " not in text:
                                nickname = text
                                put(sock, f"* you are {nickname}, in lobby")
                                broadcast(f"* {nickname} joined")
                                names[nickname.lower()] = sock
                                clients.append(sock)
                                continue
                        put(sock, "! another one")
                        bad += 1
                        if bad >= 3:
                            break
                        put(sock, "nickname")
                    elif text != "":
                        broadcast(f"{nickname}: {text}", sock)
            except OSError:
                state["why"] = "vanished"
            with lock:
                if nickname is not None:
                    clients.remove(sock)
                    del names[nickname.lower()]
                    broadcast(f"* {nickname} left ({'was too slow' if sock in slow else state['why']})")
            if sock not in slow:
                put(sock, None)
                sender.join(0.5)
            off(sock)
            boxes.pop(sock, None)
            slow.discard(sock)
            sock.close()


        def serve(listener):
            while True:
                try:
                    sock, address = listener.accept()
                except OSError:
                    return
                t = threading.Thread(target=handle_client, args=(sock,))
                t.daemon = True
                t.start()
        ''',
    },
)  # fmt: skip
