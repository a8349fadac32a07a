"""Exercise `wake`: a thread that waits for newcomers, and can be ended. A first part of `shutdown`."""

from __future__ import annotations

from labkit.exercises.bench.bench import SOON, Bench
from labkit.exercises.bench.stopping import StudentServer, holding
from labkit.exercises.catalogue.shutdown import nobody_there, stops
from labkit.exercises.exercise import Exercise, Step, Wrong
from labkit.probe.deadline import wait
from labkit.probe.failed import CheckFailed

TASK = """
`Greeter` listens, says the line `* hello` to each client that connects, and hangs up at once. One thread
does that. `__init__` is written; the rest is yours. It is the first part of `shutdown`, where clients stay.

- `.start()` begins to greet, in `self.thread`, and returns.
- `.greet_clients()` is what that thread does, until `stop()` is called.
- `.stop()` returns within 2 seconds. When it has returned, no client can connect any more, and the thread
  has ended. It raises nothing, also if it was called before, or if the greeter was never started.
- A client that is gone before it can be greeted does no harm: the next one is greeted.
"""

ANSWER = '''
import contextlib
import socket
import threading


class Greeter:
    """Greets each client and hangs up, until it is stopped."""

    def __init__(self, port=0):
        self.listener = socket.create_server(("127.0.0.1", port))
        self.address = self.listener.getsockname()
        self.thread = threading.Thread(target=self.greet_clients)

    def start(self):
        """Begin to greet, in a thread."""
        ### BEGIN SOLUTION
        self.thread.start()
        ### END SOLUTION

    def greet_clients(self):
        """Accept clients, greet each, and hang up, until the listener is closed."""
        ### BEGIN SOLUTION
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:  # stop() has closed the listener
                return
            with client, contextlib.suppress(OSError):  # it may be gone already
                client.sendall(b"* hello\\n")
        ### END SOLUTION

    def stop(self):
        """Wake the thread, and wait for its end."""
        ### BEGIN SOLUTION
        with contextlib.suppress(OSError):  # it may be closed already
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept (if not on Linux, close does)
        self.listener.close()
        if self.thread.is_alive():
            self.thread.join()
        ### END SOLUTION
'''


# --- the steps ---


def greets(bench: Bench) -> None:
    server = StudentServer(bench)
    for name, missed in (("alice", "not greeted"), ("bob", "second")):
        client = server.connect(name)
        expected = f"{name} hears '* hello\\n'"
        try:
            line = client.line()
        except (TimeoutError, EOFError):
            clue = "no LF" if client.follows(0) == b"* hello" else missed
            raise CheckFailed(expected, client.seen(), clue) from None
        bench.expect(line == "* hello", expected, f"{name} heard {line!r}", "other words")
        if client.ended(SOON / 2) is None:
            raise CheckFailed(f"then {name}'s connection ends", "it is still open", "stays")
    server.call_stop()  # whatever comes of it: the next steps look at that


@stops
def waits_for_its_thread(bench: Bench) -> None:
    with holding() as hold:
        server = StudentServer(bench)
        server.greeted("alice")
        server.settles()
        hold.on = True
        hold.stop(server)
        server.has_no_threads()
    if hold.not_waited_for:
        seen = "it returned while the thread was still at work"
        raise CheckFailed("stop() returns when the thread has ended", seen, "naps" if hold.naps else "")


@stops
def gone_already(bench: Bench) -> None:
    with holding() as hold:
        server = StudentServer(bench)
        server.settles()
        hold.on = True
        alice = server.connect("alice")
        wait(hold.holds.wait, SOON)  # she is accepted, and the thread is held there
        alice.reset()
        hold.on = False
        bob = server.connect("bob")
        if not bob.hears("* hello\n"):
            raise CheckFailed("alice has vanished, and bob is greeted", bob.seen(), "gone")
        server.stop()
        server.has_no_threads()


@stops
def stops_again(bench: Bench) -> None:
    server = StudentServer(bench)
    server.stop()
    server.stop_does_no_harm("twice")
    server = StudentServer(bench, start=False)
    server.stop_does_no_harm("not started")
    server.has_no_threads()


WAKE = """\
        with contextlib.suppress(OSError):  # it may be closed already
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept (if not on Linux, close does)
"""
JOIN = """\
        if self.thread.is_alive():
            self.thread.join()
"""
STOP = WAKE + "        self.listener.close()\n" + JOIN
"""Parts of the answer that wrong versions leave out."""

EXERCISE = Exercise(
    name="wake",
    title="a thread that waits can be ended",
    chapter="05_goodbyes",
    wants="Greeter",
    task=TASK,
    answer=ANSWER,
    steps=(
        Step(
            "greets each client, and hangs up",
            greets,
            hints=(
                "What does the thread do when a client has connected?",
                "In a loop: client, _ = self.listener.accept(), then sendall, then close.",
            ),
            hints_by_clue={
                "does not come back": (
                    "start() must return. Which of your lines waits for clients there?",
                    "self.thread.start() begins the thread, and does not wait for what it does.",
                ),
                "not greeted": (
                    "Alice has connected, and hears nothing. Does the thread run, and where is it?",
                    "self.thread.start(); and in greet_clients: client.sendall(b'* hello\\n')",
                ),
                "second": (
                    "Alice was greeted, bob was not. What does the thread do after one client?",
                    "while True: around accept and what follows it.",
                ),
                "no LF": (
                    "The words came. By what does a client see that the line has ended?",
                    "A line ends with LF: b'* hello\\n'",
                ),
                "other words": (
                    "Compare what was to be said with what came, letter by letter.",
                    "client.sendall(b'* hello\\n')",
                ),
                "stays": (
                    "She was greeted, and waits for what comes next. Who ends the connection, and when?",
                    "with client: around sendall closes it at the end of the block.",
                ),
                "address": (
                    "Whoever wants to connect needs a host and a port. What is in .address?",
                    "__init__ is written: leave it as it is.",
                ),
            },
        ),
        Step(
            "stop() ends the waiting for newcomers",
            nobody_there,
            hints=(
                "What does stop() have to do about the listener, and about the thread that waits on it?",
                "listener.shutdown(socket.SHUT_RDWR), listener.close(), and then join the thread.",
            ),
            hints_by_clue={
                "does not come back": (
                    "A thread waits in accept. Does it notice that another thread closes the listener?",
                    "On Linux close() wakes no thread. shutdown() does; so does a connection of your own.",
                    "listener.shutdown(socket.SHUT_RDWR), then listener.close(), then join.",
                ),
                "open": (
                    "Alice came in after stop(). Who has let her in?",
                    "Close the listener. And wake who sits in accept, or Linux keeps it open for them.",
                ),
                "left": (
                    "A thread outlives stop(). In which line does it wait?",
                    "On Linux close() alone wakes no thread that waits in accept: shutdown() first.",
                ),
                "died": (
                    "The thread was woken, by an exception. Which one, and who catches it?",
                    "accept raises an OSError when the listener is closed: except OSError: return",
                ),
            },
            points=2,
        ),
        Step(
            "stop() returns when the thread has ended, and not before",
            waits_for_its_thread,
            hints=(
                "stop() has woken the thread. How does it know that it has ended?",
                "self.thread.join() returns when it has.",
            ),
            hints_by_clue={
                "naps": (
                    "stop() sleeps. How does it know that this was long enough, on whichever machine?",
                    "join() returns when the thread has ended, and neither before nor later.",
                ),
            },
        ),
        Step(
            "a client that is gone already does no harm",
            gone_already,
            hints=("Alice had vanished when she was to be greeted. What does sendall do then?",),
            hints_by_clue={
                "gone": (
                    "Alice had vanished when she was to be greeted. What became of your thread?",
                    "sendall raises an OSError, and it ends the thread: catch it for this client alone.",
                    "with client, contextlib.suppress(OSError): client.sendall(b'* hello\\n')",
                ),
            },
        ),
        Step(
            "stop() twice, or before start(), does no harm",
            stops_again,
            hints=("Which line of stop() needs something that is not there, or not there any more?",),
            hints_by_clue={
                "twice": (
                    "What has the first stop() left for the second?",
                    "A closed socket cannot be shut down: OSError. Catch it, or remember that you stopped.",
                ),
                "not started": (
                    "Nothing was started. For what does stop() wait, or what does it look for?",
                    "A thread that was never started cannot be joined: ask is_alive() first.",
                ),
                "does not come back": (
                    "For which thread, or which word from it, does stop() wait? Will it ever come?",
                    "Wait only for a thread that is_alive().",
                ),
            },
        ),
    ),
    wrong=(
        Wrong(
            "greets one client, and no more",
            "greets each client, and hangs up",
            (("        while True:\n", "        for _ in range(1):\n"),),
            clue="second",
        ),
        Wrong(
            "does not hang up",
            "greets each client, and hangs up",
            (("            with client, contextlib", "            with contextlib"),),
            clue="stays",
        ),
        Wrong(
            "greets without an LF",
            "greets each client, and hangs up",
            (('b"* hello\\n"', 'b"* hello"'),),
            clue="no LF",
        ),
        Wrong(
            "greets in start",
            "greets each client, and hangs up",
            (("self.thread.start()", "self.greet_clients()"),),
            clue="does not come back",
        ),
        Wrong(
            "closes the listener under accept",
            "stop() ends the waiting for newcomers",
            ((WAKE, ""),),
            clue="does not come back",
        ),
        Wrong(
            "leaves the listener open",
            "stop() ends the waiting for newcomers",
            ((STOP, "        pass\n"),),
            clue="open",
        ),
        Wrong(
            "doesn't join its thread",
            "stop() returns when the thread has ended, and not before",
            ((JOIN, ""),),
        ),
        Wrong(
            "sleeps a little, instead of joining",
            "stop() returns when the thread has ended, and not before",
            ((JOIN, "        import time\n\n        time.sleep(0.2)\n"),),
            clue="naps",
        ),
        Wrong(
            "dies of a client that is gone",
            "a client that is gone already does no harm",
            (("            with client, contextlib.suppress(OSError):", "            with client:"),),
            clue="gone",
        ),
        Wrong(
            "cannot be stopped twice",
            "stop() twice, or before start(), does no harm",
            (("        with contextlib.suppress(OSError):  # it may be closed already\n    ", ""),),
            clue="twice",
        ),
        Wrong(
            "joins a thread that was never started",
            "stop() twice, or before start(), does no harm",
            (("        if self.thread.is_alive():\n    ", ""),),
            clue="not started",
        ),
    ),
    others={
        "looks up now and then": """
        import socket
        import threading


        class Greeter:
            def __init__(self, port=0):
                self.listener = socket.create_server(("127.0.0.1", port))
                self.address = self.listener.getsockname()
                self.thread = threading.Thread(target=self.greet_clients)
                self.stopping = threading.Event()

            def start(self):
                self.thread.start()

            def greet_clients(self):
                self.listener.settimeout(0.05)
                while not self.stopping.is_set():
                    try:
                        client, _ = self.listener.accept()
                    except TimeoutError:
                        continue
                    client.settimeout(1)
                    try:
                        client.sendall(b"* hello\\n")
                    except OSError:
                        pass
                    client.close()

            def stop(self):
                self.stopping.set()
                if self.thread.is_alive():
                    self.thread.join()
                self.listener.close()
        """,
        "a knock at the door": """
        import socket
        import threading


        class Greeter:
            def __init__(self, port=0):
                self.listener = socket.create_server(("127.0.0.1", port))
                self.address = self.listener.getsockname()
                self.thread = None
                self.open = True

            def start(self):
                self.thread = threading.Thread(target=self.greet_clients, daemon=True)
                self.thread.start()

            def greet_clients(self):
                with self.listener:
                    while True:
                        client, _ = self.listener.accept()
                        if not self.open:
                            client.close()
                            return
                        try:
                            client.sendall(b"* hello\\n")
                        except ConnectionError:
                            pass
                        finally:
                            client.close()

            def stop(self):
                if self.thread and self.open:
                    self.open = False
                    socket.create_connection(self.address).close()
                    self.thread.join()
                self.listener.close()
        """,
        "select, and a waker": """
        import select
        import socket
        import threading


        class Greeter:
            def __init__(self, port=0):
                self.listener = socket.create_server(("127.0.0.1", port))
                self.address = self.listener.getsockname()
                self.thread = threading.Thread(target=self.greet_clients)
                self.wake, self.woken = socket.socketpair()

            def start(self):
                self.thread.start()

            def greet_clients(self):
                while self.woken not in (ready := select.select([self.listener, self.woken], [], [])[0]):
                    for listener in ready:
                        client, _ = listener.accept()
                        with client:
                            try:
                                client.sendall(b"* hello\\n")
                            except OSError:
                                continue

            def stop(self):
                self.wake.close()
                if self.thread.is_alive():
                    self.thread.join()
                self.listener.close()
        """,
    },
)
