"""Exercise `server`, the capstone: all of it together, judged from outside.

Its steps are behaviours that `check server` tries on any server (labkit/conformance/). Here each is tried
on a new one, which runs in a thread of the student's process. This file adds the hints.
"""

from __future__ import annotations

import socket

from labkit.conformance.behaviour import Behaviour
from labkit.conformance.behaviours import BEHAVIOURS
from labkit.conformance.server_under_test import ServerUnderTest
from labkit.exercises.bench.bench import Bench, whereabouts
from labkit.exercises.exercise import Exercise, Step, Wrong
from labkit.probe.failed import CheckFailed

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

# In the order in which they are tried: those that take longest come last.
HINTS: dict[str, tuple[str, ...]] = {
    "asks for a nickname at connect": (
        "What does a client hear when it has just connected?",
        "The first thing each client's thread does: send b'nickname\\n'.",
    ),
    "what one says, all others hear": (
        "Who is on the list when the line is sent to all, and who has been let in already?",
        "A nickname once accepted, put the client among the members; go over all of them for each line.",
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
    "a goodbye is noticed": (
        "What does recv return after FIN, and what does your loop do with it?",
        "while data := sock.recv(4096): … ends at b''; then close the socket.",
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
    },
}
"""Other hints, by behaviour and clue."""

BEHAVIOUR = {behaviour.name: behaviour for behaviour in BEHAVIOURS if behaviour.required("lines")}

HINTS_AT_A_LOCK = (
    "A thread of yours stands at a lock, in the line shown. Who holds it, and what does that one wait for?",
    "If one that holds a lock calls one that takes it, both wait for ever. Take it in one of them only.",
)


def step(behaviour: Behaviour) -> Step:
    """The behaviour, tried on a server that has just been started."""

    def run(bench: Bench) -> None:
        listener = bench.listener()
        # Its connections inherit it: so one who does not read is noticed after few lines.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        bench.thread(bench.code, listener, name="serve")
        server = ServerUnderTest(
            listener.getsockname(), timeout=TIMEOUT, journal=bench.journal, holds=HOLDS, rests=bench.rests
        )
        try:
            behaviour.judge(server)
        except CheckFailed as failed:
            bench.freeze_ladder()
            at_a_lock = any("lock" in line or "acquire" in line for line in whereabouts())
            raise CheckFailed(failed.expected, failed.seen, "lock" if at_a_lock else failed.clue) from None
        finally:
            server.leave()

    by_clue = {"lock": HINTS_AT_A_LOCK} | HINTS_BY_CLUE.get(behaviour.name, {})
    return Step(behaviour.name, run, hints=HINTS[behaviour.name], hints_by_clue=by_clue)


EXERCISE = Exercise(
    name="server",
    title="the whole server",
    chapter="capstone",
    wants="serve",
    task=TASK,
    answer=ANSWER,
    steps=tuple(step(BEHAVIOUR[name]) for name in HINTS),
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
              "        except (OSError, AttributeError):\n            end(self.sock)")),
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
    },
)  # fmt: skip
