"""Exercise `accept`: a thread for each client, so that no client waits for another."""

from __future__ import annotations

import socket
import threading
from functools import partial
from queue import SimpleQueue

from labkit.exercises.bench.bench import SOON, Bench, take
from labkit.exercises.bench.serving import serving
from labkit.exercises.exercise import Exercise, Step, Wrong
from labkit.journal import Journal
from labkit.probe.deadline import wait
from labkit.probe.failed import CheckFailed
from labkit.probe.raw_client import RawClient
from labkit.wire import sockets

TASK = """
Write `serve(listener)`. `listener` is a listening socket; `listener.accept()` gives the next client that
connects. Serve each of them, in a thread of its own:

- Send `nickname` and LF, and read the answer: a line, however many pieces it comes in.
- Send `* you are NAME` and LF.
- Then read on. What the client says is of no interest here; but when its end comes, close the socket, and
  let the thread end.

Nobody waits for anybody else: not for one who stays, not for one who never answers. Nobody is kept out
by a client that breaks off (a reset), or whose nickname is not UTF-8; what that one gets does not matter.

When the listener is closed, `accept` raises an `OSError`. Then `serve` returns.
"""

ANSWER = '''
import threading


def handle_client(client):
    """Ask one client for its nickname, welcome it, and read on until it leaves."""
    ### BEGIN SOLUTION
    try:
        with client, client.makefile("rb") as reader:
            client.sendall(b"nickname\\n")
            nickname = reader.readline().decode("utf-8", "replace").strip()
            client.sendall(f"* you are {nickname}\\n".encode())
            while reader.readline():
                pass
    except OSError:
        pass  # it has vanished; that is its own affair
    ### END SOLUTION


def serve(listener):
    """Give each client a thread, until the listener is closed."""
    ### BEGIN SOLUTION
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return  # the listener is closed
        threading.Thread(target=handle_client, args=(client,), daemon=True).start()
    ### END SOLUTION
'''

MANY = 20

AFTER_RESET = ", who comes after mallory's reset,"

NO_FIN = {
    "reads on": f"no FIN in {SOON:g} s, and her thread was still running",
    "open": f"no FIN in {SOON:g} s, though her thread had ended",
}


def asks(bench: Bench) -> None:
    with serving(bench) as serve:
        serve.joins("alice").hang_up()


def goodbye(bench: Bench) -> None:
    with serving(bench) as serve:
        alice = serve.joins("alice")
        for word in ("hello", "again"):
            alice.send(word)
            alice.until_read()
        bench.expect(not alice.ended(0), "alice can say more than one line", alice.seen(), "early")
        alice.hang_up()
        ended = alice.ended()
        alone = not serve.threads_left(0 if ended is None else SOON)
        clue = "open" if alone else "reads on"
        bench.expect(ended, "alice hung up, so the server's end is closed, too", NO_FIN[clue], clue)
        bench.expect(alone, "alice hung up, so her thread ends", "it was still running", clue)


def listener_closed(bench: Bench) -> None:
    with serving(bench) as serve:
        for name in ("alice", "bob"):
            serve.joins(name).hang_up()
        expected = "the listener is closed, and serve returns"
        bench.expect(serve.shut(), expected, f"it was still running after {SOON:g} s", "goes on")
        if serve.call.error is not None:
            raise CheckFailed(expected, "serve raised an exception", type(serve.call.error).__name__)


def two_pieces(bench: Bench) -> None:
    with serving(bench) as serve:
        alice = serve.connect("alice")
        serve.hears(alice, "nickname")
        alice.send_bytes(b"al")
        alice.send_bytes(b"ice\n")
        serve.hears(alice, "* you are alice")


def reset(bench: Bench) -> None:
    with serving(bench) as serve:
        mallory = serve.connect("mallory")
        serve.hears(mallory, "nickname")
        mallory.reset()
        serve.joins("bob", AFTER_RESET)
    bench.journal = Journal()
    with serving(bench) as serve:
        doomed: SimpleQueue[RawClient] = SimpleQueue()

        def vanish(client: socket.socket) -> None:
            serve.listener.at_accept = None
            take(doomed).reset()
            wait(partial(sockets.readable, client), SOON)  # then the reset has arrived

        serve.listener.at_accept = vanish
        doomed.put(serve.connect("mallory"))
        serve.joins("bob", AFTER_RESET)


def not_text(bench: Bench) -> None:
    with serving(bench) as serve:
        mallory = serve.connect("mallory")
        serve.hears(mallory, "nickname")
        mallory.send(b"caf\xe9")
        mallory.until_read()
        mallory.hang_up()
        serve.joins("bob", ", who comes after mallory's bytes,")


def one_who_stays(bench: Bench) -> None:
    with serving(bench) as serve:
        serve.joins("alice")
        serve.joins("bob", ", who comes while alice is here,")


def one_who_is_silent(bench: Bench) -> None:
    with serving(bench) as serve:
        alice = serve.connect("alice")
        serve.hears(alice, "nickname")
        # A short timeout for each would only hide it: so there are several.
        others = [RawClient(serve.address, "another") for _ in range(5)]
        bench.said("connect, and say nothing either", "5 others", "server")
        serve.joins("bob", ", who comes while they say nothing,")
        for other in others:
            other.close()


def twenty(bench: Bench) -> None:
    # The wires are not drawn: a ladder of twenty would be unreadable.
    everybody = f"{MANY} guests"
    with serving(bench) as serve:
        guests: list[RawClient] = []
        bench.said(f"{MANY} connect, one by one", everybody, "server")
        while len(guests) < MANY:
            guest = RawClient(serve.address, f"guest-{len(guests) + 1}", timeout=SOON)
            if serve.line(guest) != "nickname":
                where, clue = serve.whereabouts()
                raise CheckFailed(f"all {MANY} are asked", f"only {len(guests)} were asked{where}", clue)
            guests.append(guest)
        bench.said("all are asked", "server", everybody)
        for guest in guests:
            guest.send(guest.name)
        for guest in guests:
            welcome = f"* you are {guest.name}"
            line = serve.line(guest)
            if line != welcome:
                others = [other.name for other in guests if other.hears(welcome + "\n", 0)]
                heard = f"{guest.name} heard {line!r}" if line else guest.seen()
                seen = f"; it came to {others[0]}" if others else ""
                raise CheckFailed(
                    f"{guest.name} hears {welcome!r}", heard + seen, "mixed" if others else ""
                )
        bench.said("all are welcomed", "server", everybody)
        for guest in guests:
            guest.close()
    with serving(bench) as serve:
        bench.said(f"{MANY} more connect, all at once", everybody, "server")
        threading.setprofile(serve.late)
        guests = [RawClient(serve.address, f"guest-{n}", timeout=SOON) for n in range(1, MANY + 1)]
        for guest in guests:
            if serve.line(guest) != "nickname":
                twice = [other.name for other in guests if other.hears("nickname\nnickname\n", 0)]
                seen = f"{guest.name} was not asked"
                seen += f", and {twice[-1]} more than once" if twice else serve.whereabouts()[0]
                raise CheckFailed(f"all {MANY} are asked, once", seen, "twice" if twice else "")
            guest.close()
        threading.setprofile(None)


IN_THE_LOOP = """
import threading


def handshake(client):
    client.sendall(b"nickname\\n")
    nickname = client.makefile("rb").readline().decode({decode})
    client.sendall(f"* you are {{nickname}}".encode())


def read_on(client):
    try:
        while client.recv(1024):
            pass
    except OSError:
        pass
    client.close()


def serve(listener):
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        try:
            handshake(client)
        except {except_for}:
            continue
        threading.Thread(target=read_on, args=(client,), daemon=True).start()
"""

HINTS_WHO_WAITS = (
    "bob came, and was not asked. In which line was the thread that should accept him?",
    "serve itself only accepts, and starts a thread for each: in that one it may wait as long as it likes.",
    "threading.Thread(target=handle_client, args=(client,)).start()",
)
HINTS_APART = (
    "What can go wrong with one client belongs in the thread of that client: there it hurts no other.",
    "In the loop: accept, and start a thread. All of the handshake is done in that thread.",
)

EXERCISE = Exercise(
    name="accept",
    title="a thread each",
    chapter="02_a_thread_each",
    wants="serve",
    task=TASK,
    answer=ANSWER,
    steps=(
        Step(
            "asks who connects, and welcomes by nickname",
            asks,
            hints=(
                "Follow the ladder: what did the client hear, what did it say, what came then?",
                "accept, and then for that client: send, read a line, send.",
            ),
            hints_by_clue={
                "no LF": (
                    "How does the client know that what it hears is complete?",
                    "By its LF: client.sendall(b'nickname\\n')",
                )
            },
        ),
        Step(
            "reads on until the client hangs up; then closes, and the thread ends",
            goodbye,
            hints=("What came last from the client, and what did its thread do then?",),
            hints_by_clue={
                "early": (
                    "After its welcome a client may say many lines. How many did you read?",
                    "Read in a loop, until the end comes.",
                ),
                "reads on": (
                    "What do recv and readline return when the other side has hung up? Who looks at it?",
                    "b'' means the end: it comes at once, and again and again. Leave the loop then.",
                    "while reader.readline(): pass",
                ),
                "open": (
                    "Your thread has ended. And its socket?",
                    "client.close(), or with client: around it all.",
                ),
            },
        ),
        Step(
            "serve goes on until the listener is closed, and then returns",
            listener_closed,
            hints=("What does accept do when its listener is closed, and what does serve make of it?",),
            hints_by_clue={
                "returned": (
                    "One client was served, and then serve returned. Which line should come again?",
                    "while True: with the accept in it.",
                ),
                "OSError": (
                    "accept raised an OSError. Whose business is it to catch that?",
                    "try: client, _ = listener.accept(), and then except OSError: return",
                ),
                "goes on": (
                    "The listener is closed. Can there ever be another client?",
                    "Do not try again: except OSError: return",
                ),
            },
        ),
        Step(
            "a nickname in two pieces is one nickname",
            two_pieces,
            hints=(
                "'al' came, and then 'ice\\n'. After which of them is the nickname complete?",
                "recv returns what is there. Read until the LF: client.makefile('rb').readline() does.",
            ),
        ),
        Step(
            "a reset keeps nobody else out",
            reset,
            hints=(
                "mallory is gone. In which thread was that noticed, and what else is it for?",
                *HINTS_APART,
            ),
            hints_by_clue={
                "ConnectionResetError": (
                    "mallory vanished, and serve died of it. What was serve doing with mallory's socket?",
                    *HINTS_APART,
                ),
                "returned": (
                    "mallory vanished, and serve returned. Which call failed, and was the except for it?",
                    "Only accept tells that the listener is closed. Put nothing else into that try.",
                    "Send and read in the client's thread, with a try of its own.",
                ),
            },
        ),
        Step(
            "a nickname that is not UTF-8 keeps nobody else out",
            not_text,
            hints=("mallory's nickname is no text. Which thread had to find that out?", *HINTS_APART),
            hints_by_clue={
                "UnicodeDecodeError": (
                    "decode() raised, and serve died of it. Whose thread should decode mallory's bytes?",
                    *HINTS_APART,
                    "And decode('utf-8', 'replace') never raises.",
                )
            },
        ),
        Step(
            "a client that stays keeps nobody out",
            one_who_stays,
            hints=HINTS_WHO_WAITS,
            hints_by_clue={
                "target=f()": (
                    "target=f(client): who calls f here, and when?",
                    "The brackets call it at once, in serve's own thread. The new one is given None.",
                    "target=handle_client, args=(client,): without brackets.",
                ),
                "run": (
                    "There is a Thread. In which thread does run() run?",
                    "In the one that calls it. start() makes a new one, and calls run() there.",
                ),
                "join": (
                    "What does join() wait for?",
                    "For the end of the thread. Then nothing is won by having started it. Leave it out.",
                ),
                "called": (
                    "bob came, and serve was busy with alice. Which call of serve's does not come back?",
                    "Give that call a thread of its own.",
                    "threading.Thread(target=handle_client, args=(client,)).start()",
                ),
            },
        ),
        Step(
            "a silent client keeps nobody out",
            one_who_is_silent,
            hints=HINTS_WHO_WAITS,
            hints_by_clue={
                "called": (
                    "The handshake is a function. Which thread calls it, and how long may alice think?",
                    "Call it first thing in the client's own thread, and not before that is started.",
                ),
                "itself": (
                    "The loop that accepts also reads. Whom does it wait for, and who waits meanwhile?",
                    "Take it out of the loop: into the function that is the client's thread.",
                ),
            },
            points=2,
        ),
        Step(
            "twenty at once",
            twenty,
            hints=(
                "How many got an answer, and what stopped the next one?",
                "A pool has so many threads and no more. A client may stay for hours: give each its own.",
            ),
            hints_by_clue={
                "twice": (
                    "One was asked twice, and another not at all. When does a lambda look what client is?",
                    "When it runs: by then the loop may be one client further. Hand it over at once.",
                    "threading.Thread(target=handle_client, args=(client,)).start()",
                ),
                "mixed": (
                    "Somebody heard what was meant for another. Which variable do all the threads share?",
                    "An attribute or a global is one for all. What belongs to one client is an argument.",
                    "threading.Thread(target=handle_client, args=(client,)).start()",
                )
            },
        ),
    ),
    wrong=(
        Wrong(
            "the request has no LF",
            "asks who connects, and welcomes by nickname",
            (('b"nickname\\n"', 'b"nickname"'),),
            clue="no LF",
        ),
        Wrong(
            "reads one line more",
            "reads on until the client hangs up; then closes, and the thread ends",
            (("while reader.readline():\n                pass", "reader.readline()"),),
            clue="early",
        ),
        Wrong(
            "reads on after the end",
            "reads on until the client hangs up; then closes, and the thread ends",
            (("reader.readline():\n                pass", "True:\n                reader.readline()"),),
            clue="reads on",
        ),
        Wrong(
            "leaves the socket open",
            "reads on until the client hangs up; then closes, and the thread ends",
            (("with client, client.makefile", "with client.makefile"),),
            clue="open",
        ),
        Wrong(
            "dies with the listener",
            "serve goes on until the listener is closed, and then returns",
            (("        try:\n            client, _ = listener.accept()\n        except OSError:\n"
              "            return  # the listener is closed\n",
              "        client, _ = listener.accept()\n"),),
            clue="OSError",
        ),
        Wrong(
            "goes on without a listener",
            "serve goes on until the listener is closed, and then returns",
            (("return  # the listener is closed", "continue"),),
            clue="goes on",
        ),
        Wrong(
            "a recv is the nickname",
            "a nickname in two pieces is one nickname",
            (("reader.readline().decode", "client.recv(1024).decode"),),
        ),
        Wrong(
            "a handshake that breaks off ends the loop",
            "a reset keeps nobody else out",
            source=IN_THE_LOOP.format(except_for="EOFError", decode='"utf-8", "replace"'),
            survey="a reset during the handshake ends all joining",
            clue="ConnectionResetError",
        ),
        Wrong(
            "takes a failing send for the end of the listener",
            "a reset keeps nobody else out",
            (('            client.sendall(b"nickname\\n")\n', ""),
             ("client, _ = listener.accept()\n",
              'client, _ = listener.accept()\n            client.sendall(b"nickname\\n")\n')),
            clue="returned",
        ),
        Wrong(
            "bytes that are no text end the loop",
            "a nickname that is not UTF-8 keeps nobody else out",
            source=IN_THE_LOOP.format(except_for="OSError", decode=""),
            survey="a nickname that isn't UTF-8 ends all joining",
            clue="UnicodeDecodeError",
        ),
        Wrong(
            "calls it, instead of naming it",
            "a client that stays keeps nobody out",
            (("target=handle_client, args=(client,)", "target=handle_client(client)"),),
            survey="target=f()",
            clue="target=f()",
        ),
        Wrong(
            "run, not start",
            "a client that stays keeps nobody out",
            ((").start()", ").run()"),),
            clue="run",
        ),
        Wrong(
            "waits for each thread",
            "a client that stays keeps nobody out",
            (("threading.Thread(target", "thread = threading.Thread(target"),
             (".start()", "\n        thread.start()\n        thread.join()")),
            clue="join",
        ),
        Wrong(
            "no thread",
            "a client that stays keeps nobody out",
            (("threading.Thread(target=handle_client, args=(client,), daemon=True).start()",
              "handle_client(client)"),),
            clue="called",
        ),
        Wrong(
            "the handshake is called by the loop",
            "a silent client keeps nobody out",
            source=IN_THE_LOOP.format(except_for="(OSError, UnicodeDecodeError)", decode=""),
            survey="one silent client keeps everybody else from joining",
            clue="called",
        ),
        Wrong(
            "the loop itself reads",
            "a silent client keeps nobody out",
            source="""
            import threading


            def read_on(client):
                try:
                    while client.recv(1024):
                        pass
                except OSError:
                    pass
                client.close()


            def serve(listener):
                while True:
                    try:
                        client, _ = listener.accept()
                    except OSError:
                        return
                    try:
                        client.sendall(b"nickname\\n")
                        nickname = b""
                        while not nickname.endswith(b"\\n"):
                            nickname += client.recv(1)
                        client.sendall(b"* you are " + nickname)
                    except OSError:
                        continue
                    threading.Thread(target=read_on, args=(client,), daemon=True).start()
            """,
            survey="recv in the accept loop",
            clue="itself",
        ),
        Wrong(
            "a pool of eight",
            "twenty at once",
            (("import threading\n",
              "from concurrent.futures import ThreadPoolExecutor\n\npool = ThreadPoolExecutor(8)\n"),
             ("threading.Thread(target=handle_client, args=(client,), daemon=True).start()",
              "pool.submit(handle_client, client)")),
        ),
        Wrong(
            "a lambda, which looks later who client is",
            "twenty at once",
            (("target=handle_client, args=(client,)", "target=lambda: handle_client(client)"),),
            clue="twice",
        ),
        Wrong(
            "one variable for all clients",
            "twenty at once",
            source="""
            import threading


            class Server:
                def handle(self):
                    reader = self.client.makefile("rb")
                    try:
                        with self.client, reader:
                            self.client.sendall(b"nickname\\n")
                            nickname = reader.readline().decode("utf-8", "replace").strip()
                            self.client.sendall(f"* you are {nickname}\\n".encode())
                            while reader.readline():
                                pass
                    except OSError:
                        pass

                def run(self, listener):
                    while True:
                        try:
                            self.client, _ = listener.accept()
                        except OSError:
                            return
                        threading.Thread(target=self.handle, daemon=True).start()


            def serve(listener):
                Server().run(listener)
            """,
            clue="mixed",
        ),
    ),
    others={
        "a class for each, which is a thread": """
        from threading import Thread


        class Guest(Thread):
            def __init__(self, sock):
                super().__init__(daemon=True)
                self.sock = sock
                self.rest = b""

            def line(self):
                while b"\\n" not in self.rest:
                    data = self.sock.recv(4096)
                    if not data:
                        raise EOFError
                    self.rest += data
                line, _, self.rest = self.rest.partition(b"\\n")
                return line

            def run(self):
                try:
                    self.sock.sendall(b"nickname\\n")
                    self.sock.sendall(b"* you are %b\\n" % self.line())
                    while self.line() is not None:
                        pass
                except (EOFError, OSError):
                    self.sock.close()


        class Door:
            def __init__(self, listener):
                self.listener = listener
                self.guests = []

            def run(self):
                try:
                    while True:
                        self.guests.append(Guest(self.listener.accept()[0]))
                        self.guests[-1].start()
                except OSError:
                    pass


        def serve(listener):
            Door(listener).run()
        """,
        "a function within, that dies of what is not text": """
        import _thread


        def serve(listener):
            def talk(client):
                with client:
                    client.send(b"nickname\\n")
                    nickname = b""
                    while (byte := client.recv(1)) not in (b"", b"\\n"):
                        nickname += byte
                    client.send(("* you are " + nickname.decode() + "\\n").encode())
                    while client.recv(1000):
                        pass

            while listener.fileno() != -1:
                try:
                    client = listener.accept()[0]
                except OSError:
                    break
                _thread.start_new_thread(talk, (client,))
        """,
        "a pool that is large enough, and a timeout": """
        from concurrent.futures import ThreadPoolExecutor


        def serve(listener):
            listener.settimeout(0.1)
            pool = ThreadPoolExecutor(max_workers=200)
            clients = set()
            while True:
                try:
                    client, address = listener.accept()
                except TimeoutError:
                    continue
                except OSError:
                    break
                client.settimeout(None)
                clients.add(client)
                pool.submit(talk, client, clients)
            pool.shutdown(wait=False)


        def talk(client, clients):
            try:
                lines = client.makefile("r", encoding="utf-8", errors="replace", newline="\\n")
                client.sendall(b"nickname\\n")
                nickname = next(lines, "")
                client.sendall(("* you are " + nickname).encode())
                for line in lines:
                    pass
                lines.close()
            finally:
                clients.discard(client)
                client.close()
        """,
    },
)  # fmt: skip
