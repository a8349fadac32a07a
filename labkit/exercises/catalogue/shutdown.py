"""Exercise `shutdown`: a server that stops, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import errno
import socket
import sys

from labkit.exercises.bench.bench import FOR_EVER, SOON, Bench, in_one_line
from labkit.exercises.bench.stopping import StudentServer, holding
from labkit.exercises.exercise import Exercise, Step, Wrong
from labkit.probe.deadline import wait
from labkit.probe.failed import CheckFailed

TASK = """
Write `Server`, which can be stopped. What it serves is simple: it greets each client with the line
`* hello`, and says each line of a client back to that client. Each client has a thread.

- `Server(port=0)` makes one, on 127.0.0.1; port 0 is any free one. `.start()` begins to serve, and
  returns. From then on, `.address` is `(host, port)`.
- `.stop()` returns within 2 seconds, whatever clients are connected, talking or silent. When it has
  returned, no client can connect any more; every client's connection has ended, also that of one that came
  in at the last moment; and all threads that the server started have ended.
- The port is free at once: another `Server` can have it.
- `.stop()` raises nothing: not if clients have left before, not if it was called before, and not if the
  server was never started.
"""

ANSWER = '''
import contextlib
import socket
import threading


class Server:
    """Greets each client and says its lines back to it, until it is stopped."""

    def __init__(self, port=0):
        ### BEGIN SOLUTION
        self.listener = socket.create_server(("127.0.0.1", port))  # sets SO_REUSEADDR
        self.address = self.listener.getsockname()
        self.acceptor = threading.Thread(target=self.accept_clients)
        self.threads = []  # of the clients
        self.clients = set()  # their sockets
        self.lock = threading.Lock()  # guards clients: a socket in there is open
        ### END SOLUTION

    def start(self):
        """Begin to serve, in threads."""
        ### BEGIN SOLUTION
        self.acceptor.start()
        ### END SOLUTION

    def accept_clients(self):
        """Accept clients, until the listener is closed."""
        ### BEGIN SOLUTION
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:  # stop() has closed the listener
                return
            with self.lock:
                self.clients.add(client)
            thread = threading.Thread(target=self.handle_client, args=(client,))
            thread.start()
            self.threads = [t for t in self.threads if t.is_alive()] + [thread]
        ### END SOLUTION

    def handle_client(self, client):
        """The life of a client's thread."""
        ### BEGIN SOLUTION
        with contextlib.suppress(OSError):  # the client may vanish
            client.sendall(b"* hello\\n")
            while data := client.recv(4096):
                client.sendall(data)
        with self.lock:
            self.clients.remove(client)
            client.close()
        ### END SOLUTION

    def stop(self):
        """Leave nothing behind: no thread, no connection, no busy port."""
        ### BEGIN SOLUTION
        with contextlib.suppress(OSError):  # it may be closed already
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept (if not on Linux, close does)
        self.listener.close()
        if self.acceptor.is_alive():
            self.acceptor.join()  # from here on no client comes in
        with self.lock:
            for client in self.clients:
                with contextlib.suppress(OSError):  # it may have vanished
                    client.shutdown(socket.SHUT_RDWR)  # wakes recv
        for thread in self.threads:
            thread.join()
        ### END SOLUTION
'''


# --- the steps ---


def serves(bench: Bench) -> None:
    server = StudentServer(bench)
    alice = server.greeted("alice")  # silent for now: bob must not have to wait for her
    server.greeted("bob", says="I am bob")
    alice.send("I am alice")
    if not alice.hears("I am alice\n"):
        raise CheckFailed("alice hears 'I am alice\\n'", alice.seen(), "no answer")
    if sys.platform == "linux":  # elsewhere a machine has not all of 127.0.0.0/8
        elsewhere = ("127.0.0.2", server.address[1])
        with contextlib.suppress(OSError), socket.create_connection(elsewhere, FOR_EVER):
            raise CheckFailed("it listens on 127.0.0.1 alone", "127.0.0.2 is answered, too", "too wide")
    server.call_stop()  # whatever comes of it: the next steps look at that


def nobody_there(bench: Bench) -> None:
    server = StudentServer(bench)
    server.settles()
    server.stop()
    try:
        bench.connect(server.address, "alice")
    except ConnectionError:
        server.has_no_threads()
    else:
        raise CheckFailed("no client can connect after stop()", "alice could", "open")


def clients_there(bench: Bench) -> None:
    server = StudentServer(bench)
    clients = [
        server.greeted("alice"),
        server.greeted("bob", says="hi"),
        server.greeted("carol", says="hi"),
    ]
    server.settles()
    server.stop()
    server.has_closed(*clients)
    server.has_no_threads()


def comes_late(bench: Bench) -> None:
    with holding() as hold:
        server = StudentServer(bench)
        alice = server.greeted("alice", says="hi")
        server.settles()
        hold.on = True
        bench.said("connects", "carol", "server")
        carol = server.connect("carol")
        wait(hold.holds.wait, SOON)  # the accepting thread has her, and is held there
        hold.stop(server)
        server.has_closed(alice, carol)


def waits_for_threads(bench: Bench) -> None:
    with holding() as hold:
        server = StudentServer(bench)
        server.greeted("alice", says="hi")
        server.settles()
        hold.on = True
        hold.stop(server)
        server.has_no_threads()
    if hold.not_waited_for:
        seen = "it returned while one was still at work"
        raise CheckFailed("stop() returns when all threads have ended", seen)


def port_is_free(bench: Bench) -> None:
    first = StudentServer(bench)
    clients = [first.greeted("alice", says="hi"), first.greeted("bob", says="hi")]
    first.stop()
    first.has_closed(*clients)
    for client in clients:
        client.hang_up()
    try:
        second = StudentServer(bench, first.address[1])
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise CheckFailed("another Server starts on this port", in_one_line(error), "in use") from error
    second.greeted("carol", says="hi")
    second.stop()


def left_before(bench: Bench) -> None:
    server = StudentServer(bench)
    alice, bob, carol = (server.greeted(name, says="hi") for name in ("alice", "bob", "carol"))
    alice.hang_up()
    bob.reset()
    alice.ended()
    server.settles()
    server.stop_does_no_harm("raised")
    server.has_closed(carol)
    server.has_no_threads()


def stops_again(bench: Bench) -> None:
    server = StudentServer(bench)
    alice = server.greeted("alice")
    server.stop()
    server.has_closed(alice)
    server.stop_does_no_harm("twice")
    server = StudentServer(bench, start=False)
    server.stop_does_no_harm("not started")
    server.has_no_threads()


WAKE_ACCEPT = """\
        with contextlib.suppress(OSError):  # it may be closed already
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept (if not on Linux, close does)
"""
CLOSE_THE_LISTENER = (
    WAKE_ACCEPT
    + """\
        self.listener.close()
        if self.acceptor.is_alive():
            self.acceptor.join()  # from here on no client comes in
"""
)
END_CONNECTIONS = """\
        with self.lock:
            for client in self.clients:
                with contextlib.suppress(OSError):  # it may have vanished
                    client.shutdown(socket.SHUT_RDWR)  # wakes recv
"""
JOIN = """\
        for thread in self.threads:
            thread.join()
"""
"""Parts of the answer that wrong versions leave out, or move."""

LIVE_LIST = """
import socket
import threading


class Server:
    def __init__(self, port=0):
        self.listener = socket.create_server(("127.0.0.1", port))
        self.address = self.listener.getsockname()
        self.acceptor = threading.Thread(target=self.accept_clients)
        self.clients = []

    def start(self):
        self.acceptor.start()

    def accept_clients(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self.handle_client, args=(client,))
            self.clients.append((client, thread))
            thread.start()

    def handle_client(self, client):
        with client:
            client.sendall(b"* hello\\n")
            while data := client.recv(4096):
                client.sendall(data)
        self.clients.remove((client, threading.current_thread()))

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.acceptor.join()
        self.listener.close()
        for client, thread in self.clients:
            client.shutdown(socket.SHUT_RDWR)
            thread.join()
"""

OTHERS = {
    "one thread, with select and a waker": """
    import selectors
    import socket
    import threading


    class Server:
        def __init__(self, port=0):
            self.port, self.thread = port, None

        def start(self):
            self.listener = socket.socket()
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind(("127.0.0.1", self.port))
            self.listener.listen()
            self.address = self.listener.getsockname()
            self.wake, self.woken = socket.socketpair()
            self.thread = threading.Thread(target=self.serve, daemon=True)
            self.thread.start()

        def serve(self):
            with selectors.DefaultSelector() as selector:
                selector.register(self.listener, selectors.EVENT_READ)
                selector.register(self.woken, selectors.EVENT_READ)
                while True:
                    for key, _ in selector.select():
                        if key.fileobj is self.woken:
                            for key in list(selector.get_map().values()):
                                key.fileobj.close()
                            return
                        if key.fileobj is self.listener:
                            client, _ = self.listener.accept()
                            client.sendall(b"* hello\\n")
                            selector.register(client, selectors.EVENT_READ)
                        else:
                            self.read(selector, key.fileobj)

        def read(self, selector, client):
            try:
                data = client.recv(4096)
            except ConnectionError:
                data = b""
            if data:
                client.sendall(data)
            else:
                selector.unregister(client)
                client.close()

        def stop(self):
            if self.thread is not None:
                self.wake.close()
                self.thread.join()
    """,
    "a function; threads that look up now and then": """
    import socket
    import threading
    import types


    def Server(port=0):
        listener = socket.create_server(("127.0.0.1", port))
        listener.settimeout(0.05)
        stopping = threading.Event()
        threads = []

        def handle(client):
            with client:
                client.settimeout(0.05)
                client.sendall(b"* hello\\n")
                while not stopping.is_set():
                    try:
                        data = client.recv(4096)
                    except TimeoutError:
                        continue
                    except OSError:
                        return
                    if not data:
                        return
                    client.sendall(data)

        def accept():
            while not stopping.is_set():
                try:
                    client, _ = listener.accept()
                except TimeoutError:
                    continue
                threads.append(threading.Thread(target=handle, args=(client,)))
                threads[-1].start()

        door = threading.Thread(target=accept)

        def stop():
            stopping.set()
            while door.is_alive() or any(thread.is_alive() for thread in threads):
                stopping.wait(0.001)
                threading.Event().wait(0.001)
            listener.close()

        return types.SimpleNamespace(start=door.start, stop=stop, address=listener.getsockname())
    """,
    "a thread class; a knock at the door; a count of who is inside": """
    import socket
    import threading


    class Guest(threading.Thread):
        def __init__(self, server, sock):
            super().__init__(daemon=True)
            self.server, self.sock = server, sock

        def run(self):
            try:
                self.sock.sendall(b"* hello\\n")
                for line in self.sock.makefile("rb"):
                    self.sock.sendall(line)
            except OSError:
                pass
            finally:
                with self.server.changed:
                    self.sock.close()
                    self.server.inside.discard(self)
                    self.server.changed.notify_all()


    class Server:
        def __init__(self, port=0):
            self.port, self.listener, self.open = port, None, False
            self.changed = threading.Condition()
            self.inside = set()

        def start(self):
            self.listener = socket.create_server(("127.0.0.1", self.port))
            self.address = self.listener.getsockname()
            self.open = True
            self.acceptor = threading.Thread(target=self.accept)
            self.acceptor.start()

        def accept(self):
            with self.listener:
                while True:
                    sock, _ = self.listener.accept()
                    with self.changed:
                        if not self.open:
                            sock.close()
                            return
                        guest = Guest(self, sock)
                        self.inside.add(guest)
                    guest.start()

        def stop(self):
            with self.changed:
                if not self.open:
                    return
                self.open = False
            socket.create_connection(self.address).close()
            self.acceptor.join()
            with self.changed:
                for guest in self.inside:
                    try:
                        guest.sock.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        pass
                self.changed.wait_for(lambda: not self.inside)
    """,
}
"""Other right answers."""

EXERCISE = Exercise(
    name="shutdown",
    title="a server that can be stopped",
    chapter="05_goodbyes",
    wants="Server",
    task=TASK,
    answer=ANSWER,
    steps=(
        Step(
            "greets each client, and says its lines back",
            serves,
            hints=(
                "Which of your threads should have done that, and what did it do instead?",
                "One thread accepts, and starts one for each client; that one greets and reads.",
            ),
            hints_by_clue={
                "does not come back": (
                    "start() must return, and a thread must accept. Can one thread do both?",
                    "threading.Thread(target=self.accept_clients).start()",
                ),
                "refused": (
                    "Nothing listens there. When does your server begin to listen, and what is .address?",
                    "self.address = listener.getsockname()",
                ),
                "not greeted": (
                    "Who greets the second client, while the first one says nothing?",
                    "Start a thread for each client. It begins with client.sendall(b'* hello\\n')",
                ),
                "no answer": (
                    "The greeting came, the answer did not. Does your thread read in a loop?",
                    "while data := client.recv(4096): client.sendall(data)",
                ),
                "too wide": (
                    "A client came in by another address of this machine. At which ones do you listen?",
                    "bind(('127.0.0.1', port)): '' and '0.0.0.0' are all addresses, for the whole network.",
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
                    "A thread outlives your server. In which line does it wait?",
                    "On Linux close() alone wakes no thread that waits in accept: shutdown() first.",
                ),
            },
        ),
        Step(
            "stop() ends every client's connection, also of one who says nothing",
            clients_there,
            hints=(
                "What does stop() have to do for each client?",
                "client.shutdown(socket.SHUT_RDWR) ends the connection, and wakes who sits in recv.",
            ),
            hints_by_clue={
                "does not come back": (
                    "A client's thread sits in recv. What would make recv return?",
                    "Not close(): Linux keeps a connection open while a thread waits in its recv.",
                    "client.shutdown(socket.SHUT_RDWR), and then join its thread.",
                ),
                "all": (
                    "stop() closed the listener. From where does it know who is inside?",
                    "Keep each client's socket when you accept it. In stop(), shut each of them down.",
                ),
                "some": (
                    "Some were sent home, and some not. What became of your list while you went along it?",
                    "A thread that ends takes its client off the list, and the next one is skipped.",
                    "Walk along a copy: for client in list(self.clients):",
                ),
                "RuntimeError": (
                    "What became of your set, or dict, while you went along it?",
                    "Threads that end take their clients out. Walk along a copy: list(self.clients)",
                ),
                "left": (
                    "The connections have ended, and a thread goes on. In which line?",
                    "After shutdown, recv returns b''. That must end the loop.",
                ),
            },
            points=2,
        ),
        Step(
            "one who comes in at the last moment is sent home, too",
            comes_late,
            hints=(
                "Carol was being accepted when stop() began. When did it look who is inside?",
                "As long as the listener is open, a client may come in behind your back.",
                "First close the listener, and join the thread that accepts. Then look who is inside.",
            ),
        ),
        Step(
            "stop() returns when all threads have ended, and not before",
            waits_for_threads,
            hints=(
                "stop() has woken them. How does it know that they have ended?",
                "Keep the threads, too, and join each of them, after you have woken it.",
                "for thread in self.threads: thread.join()",
            ),
            points=2,
        ),
        Step(
            "the port is free at once",
            port_is_free,
            hints=(
                "The first server is gone. What is left of it in the second one's way?",
                "Both need the same port, and each its own listener.",
            ),
            hints_by_clue={
                "in use": (
                    "All its sockets are closed. Who still holds the port, and for how long?",
                    "Who says FIN first waits for stragglers: a minute in TIME_WAIT. One option allows it.",
                    "listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1), before bind",
                )
            },
        ),
        Step(
            "clients who have left before do no harm",
            left_before,
            hints=("Two have left before stop(). What does it try to do with their sockets?",),
            hints_by_clue={
                "raised": (
                    "Two have left before stop(). What does shutdown() say of a connection that is gone?",
                    "It raises an OSError, and the clients behind that one are never reached.",
                    "Catch it for each client alone: with contextlib.suppress(OSError):",
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
            "closes the listener under accept",
            "stop() ends the waiting for newcomers",
            ((WAKE_ACCEPT, ""),),
            clue="does not come back",
        ),
        Wrong(
            "leaves the listener open",
            "stop() ends the waiting for newcomers",
            ((CLOSE_THE_LISTENER, ""),),
            clue="open",
        ),
        Wrong(
            "closes the clients under recv",
            "stop() ends every client's connection, also of one who says nothing",
            (("client.shutdown(socket.SHUT_RDWR)  # wakes recv", "client.close()"),),
            clue="does not come back",
        ),
        Wrong(
            "forgets the clients",
            "stop() ends every client's connection, also of one who says nothing",
            ((END_CONNECTIONS, ""), (JOIN, "")),
            clue="all",
        ),
        Wrong(
            "walks the live list",
            "stop() ends every client's connection, also of one who says nothing",
            source=LIVE_LIST,
            clue="some",
        ),
        Wrong(
            "closes the listener last",
            "one who comes in at the last moment is sent home, too",
            ((CLOSE_THE_LISTENER, ""), (JOIN, JOIN + CLOSE_THE_LISTENER)),
        ),
        Wrong(
            "doesn't join the clients' threads",
            "stop() returns when all threads have ended, and not before",
            ((JOIN, ""),),
        ),
        Wrong(
            "no SO_REUSEADDR",
            "the port is free at once",
            (
                (
                    'socket.create_server(("127.0.0.1", port))  # sets SO_REUSEADDR',
                    'socket.socket()\n        self.listener.bind(("127.0.0.1", port))\n'
                    "        self.listener.listen()",
                ),
            ),
            clue="in use",
            survey="no SO_REUSEADDR",
        ),
        Wrong(
            "shuts down connections that are gone",
            "clients who have left before do no harm",
            (
                ("            self.clients.remove(client)\n", ""),
                ("                with contextlib.suppress(OSError):  # it may have vanished\n    ", ""),
            ),
            clue="raised",
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
            (("        if self.acceptor.is_alive():\n    ", ""),),
            clue="not started",
        ),
    ),
    others=OTHERS,
)
