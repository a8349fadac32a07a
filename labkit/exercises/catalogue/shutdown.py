"""Exercise `shutdown`: a server that stops, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import errno
import gc
import socket
import sys
import threading
from collections.abc import Callable
from functools import wraps
from time import sleep

from labkit.exercises.bench.bench import FOR_EVER, SOON, Bench, asleep, in_one_line
from labkit.exercises.bench.stopping import StudentServer, holding
from labkit.exercises.exercise import Exercise, Step, Wrong
from labkit.probe.deadline import Deadline, wait
from labkit.probe.failed import CheckFailed
from labkit.probe.ports import free_port
from labkit.probe.raw_client import RawClient

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
        self.lock = threading.Lock()  # guards clients
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
                    client.shutdown(socket.SHUT_RDWR)  # wakes recv (on Windows, close does)
                client.close()
        for thread in self.threads:
            thread.join()
        ### END SOLUTION
'''


# --- the steps ---


SPUN = 0.05
"""Seconds of processor time after which a thread to which nothing comes goes round and round."""

LOOKS = 25
"""Looks in a row, milliseconds apart, in which a thread that rests has not moved."""


def stops(tries: Callable[[Bench], None]) -> Callable[[Bench], None]:
    """A step in which stop() may wait for a thread that waits for a lock: that is told as such."""

    @wraps(tries)
    def run(bench: Bench) -> None:
        try:
            tries(bench)
        except CheckFailed as failed:
            places = bench.whereabouts()
            at_a_lock = any("lock" in place or "acquire" in place for place in places)
            if failed.clue != "does not come back" or not at_a_lock:
                raise
            clue = "join" if any(".join(" in place for place in places) else "lock"
            raise CheckFailed(failed.expected, failed.seen, clue) from None

    return run


def hears(client: RawClient, wanted: str, clue: str) -> None:
    """The client hears this line next, and nothing else before it."""
    expected = f"{client.name} hears {wanted + chr(10)!r}"
    try:
        line = client.line()
    except (TimeoutError, EOFError):
        clue = "no LF" if client.follows(0) == wanted.encode() else clue
        raise CheckFailed(expected, client.seen(), clue) from None
    if line != wanted:
        raise CheckFailed(expected, f"{client.name} heard {line + chr(10)!r}", "changed")


def serves(bench: Bench) -> None:
    server = StudentServer(bench, start=False)
    starting = bench.thread(server.server.start, name="check")
    starting.result("start() returns while the server serves")
    if not isinstance(address := server.server.address, tuple | list) or len(address) < 2:
        raise CheckFailed(".address is (host, port)", f"it is {address!r}", "address")
    server.address = (address[0], address[1])
    alice = server.connect("alice")
    hears(alice, "* hello", "not greeted")
    bob = server.connect("bob")  # alice is silent for now: he must not have to wait for her
    hears(bob, "* hello", "not greeted")
    bob.send("I am bob")
    hears(bob, "I am bob", "no answer")
    bob.send("and I say more")
    hears(bob, "and I say more", "second")
    bob.send("two lines", "at once")
    hears(bob, "two lines", "second")
    hears(bob, "at once", "glued")
    alice.send("I am alice")
    hears(alice, "I am alice", "no answer")
    if sys.platform == "linux":  # elsewhere a machine has not all of 127.0.0.0/8
        elsewhere = ("127.0.0.2", server.address[1])
        with contextlib.suppress(OSError), socket.create_connection(elsewhere, FOR_EVER):
            raise CheckFailed("it listens on 127.0.0.1 alone", "127.0.0.2 is answered, too", "too wide")
    server.call_stop()  # whatever comes of it: the next steps look at that


@stops
def nobody_there(bench: Bench) -> None:
    server = StudentServer(bench, free_port())
    server.settles()
    server.stop()
    try:
        bench.connect(server.address, "alice")
    except ConnectionError:
        server.has_no_threads()
    else:
        raise CheckFailed("no client can connect after stop()", "alice could", "open")


@stops
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


@stops
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
        gc.collect()  # a socket that is forgotten is closed with that
        server.has_closed(alice, carol)


@stops
def waits_for_threads(bench: Bench) -> None:
    with holding() as hold:
        server = StudentServer(bench)
        for name in ("alice", "bob"):
            server.greeted(name, says="hi")
        server.settles()
        hold.on = True
        hold.stop(server)
        server.has_no_threads()
    if hold.not_waited_for:
        seen = "it returned while one was still at work"
        clue = "naps" if hold.naps else "some" if len(hold.joined) > 1 else ""
        raise CheckFailed("stop() returns when all threads have ended", seen, clue)


@stops
def port_is_free(bench: Bench) -> None:
    first = StudentServer(bench, free_port())  # the kernel gives it to nobody meanwhile
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
    if second.address[1] != first.address[1]:
        seen = f"it is at port {second.address[1]}"
        raise CheckFailed(f"Server({first.address[1]}) is at that port", seen, "port")
    second.greeted("carol", says="hi")
    second.stop()
    for _ in range(3):  # by chance it may be the same port again, but not each time
        third = StudentServer(bench)
        third.stop()
        if third.address[1] != first.address[1]:
            return
    seen = f"each is at port {third.address[1]}"
    raise CheckFailed("Server() is at any free port, another one each time", seen, "port")


@stops
def left_before(bench: Bench) -> None:
    server = StudentServer(bench)
    alice, bob, carol = (server.greeted(name, says="hi") for name in ("alice", "bob", "carol"))
    alice.hang_up()
    bob.reset()
    if alice.ended(SOON / 4) is None and spins(server):
        seen = "a thread of the server's goes round and round"
        raise CheckFailed("alice has hung up, and her thread ends", seen, "spins")
    server.settles()
    server.stop_does_no_harm("raised")
    server.has_closed(carol)
    server.has_no_threads()


def spins(server: StudentServer) -> bool:
    """Whether one of its threads works on and on, though nothing comes.

    One that only waits for the interpreter seems to sleep, too, at any one look.
    """
    import psutil  # not where threads do not exist

    def worked() -> dict[threading.Thread, float]:
        took = {one.id: one.user_time + one.system_time for one in psutil.Process().threads()}
        return {thread: took.get(thread.native_id, 0.0) for thread in server.threads()}

    before = now = worked()
    deadline, resting = Deadline(SOON), 0
    while resting < LOOKS and not deadline.passed():
        sleep(0.002)  # their turn
        last, now = now, worked()
        if any(now[thread] - before[thread] > SPUN for thread in now.keys() & before.keys()):
            return True
        resting = resting + 1 if now == last and all(map(asleep, now)) else 0
    return False


@stops
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
                    client.shutdown(socket.SHUT_RDWR)  # wakes recv (on Windows, close does)
                client.close()
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
    "asyncio in a thread": """
    import asyncio
    import threading


    class Server:
        def __init__(self, port=0):
            self.port = port
            self.thread = None

        def start(self):
            ready = threading.Event()
            self.loop = asyncio.new_event_loop()
            self.thread = threading.Thread(target=self.run, args=(ready,))
            self.thread.start()
            ready.wait()

        def run(self, ready):
            asyncio.set_event_loop(self.loop)
            self.end = asyncio.Event()
            self.loop.run_until_complete(self.main(ready))
            self.loop.close()

        async def main(self, ready):
            self.tasks = set()
            server = await asyncio.start_server(self.client, "127.0.0.1", self.port)
            self.address = server.sockets[0].getsockname()
            ready.set()
            await self.end.wait()
            server.close()
            for _ in range(10):
                await asyncio.sleep(0)
            for task in list(self.tasks):
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)

        async def client(self, reader, writer):
            self.tasks.add(asyncio.current_task())
            try:
                writer.write(b"* hello\\n")
                while line := await reader.readline():
                    writer.write(line)
                    await writer.drain()
            except (ConnectionError, asyncio.CancelledError):
                pass
            finally:
                self.tasks.discard(asyncio.current_task())
                writer.transport.abort()

        def stop(self):
            if self.thread is None or not self.thread.is_alive():
                return
            self.loop.call_soon_threadsafe(self.end.set)
            self.thread.join()
    """,
    "socketserver": """
    import socketserver
    import threading


    class Handler(socketserver.StreamRequestHandler):
        def setup(self):
            super().setup()
            with self.server.guard:
                self.server.handlers[threading.current_thread()] = self.connection

        def handle(self):
            try:
                self.wfile.write(b"* hello\\n")
                for line in self.rfile:
                    self.wfile.write(line)
            except OSError:
                pass

        def finish(self):
            with self.server.guard:
                self.server.handlers.pop(threading.current_thread(), None)
            try:
                super().finish()
            except OSError:
                pass


    class TCP(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = False
        block_on_close = True

        def handle_error(self, request, client_address):
            pass


    class Server:
        def __init__(self, port=0):
            self.tcp = TCP(("127.0.0.1", port), Handler)
            self.tcp.guard = threading.Lock()
            self.tcp.handlers = {}
            self.address = self.tcp.server_address
            self.thread = None

        def start(self):
            self.thread = threading.Thread(target=self.tcp.serve_forever, args=(0.05,))
            self.thread.start()

        def stop(self):
            if self.thread is None:
                self.tcp.server_close()
                return
            self.tcp.shutdown()
            self.thread.join()
            while True:
                with self.tcp.guard:
                    left = list(self.tcp.handlers.values())
                for sock in left:
                    try:
                        sock.shutdown(2)
                    except OSError:
                        pass
                if not left:
                    break
                threading.Event().wait(0.005)
            self.tcp.server_close()
    """,
    "a dataclass with string annotations": """
    from __future__ import annotations

    import socket
    import threading
    from dataclasses import dataclass, field


    @dataclass
    class Server:
        port: int = 0
        clients: dict[socket.socket, threading.Thread] = field(default_factory=dict)
        lock: threading.Lock = field(default_factory=threading.Lock)
        listener: socket.socket | None = None
        thread: threading.Thread | None = None
        stopped: bool = False

        @property
        def address(self) -> tuple[str, int]:
            return self.listener.getsockname()

        def start(self) -> None:
            self.listener = socket.create_server(("127.0.0.1", self.port))
            self.thread = threading.Thread(target=self.serve, args=(self.listener,))
            self.thread.start()

        def serve(self, listener: socket.socket) -> None:
            while not self.stopped:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                thread = threading.Thread(target=self.handle, args=(client,))
                with self.lock:
                    if self.stopped:
                        client.close()
                        return
                    self.clients[client] = thread
                    thread.start()

        def handle(self, client: socket.socket) -> None:
            try:
                with client:
                    client.sendall(b"* hello\\n")
                    for line in client.makefile("rb"):
                        client.sendall(line)
            except OSError:
                pass
            with self.lock:
                self.clients.pop(client, None)

        def stop(self) -> None:
            with self.lock:
                self.stopped = True
                clients = list(self.clients.items())
            if self.listener is None:
                return
            try:
                self.listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self.listener.close()
            self.thread.join()
            for client, thread in clients:
                try:
                    client.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            for client, thread in clients:
                thread.join()
    """,
    "inheritance": """
    import socket
    import threading


    class Stoppable(threading.Thread):
        def __init__(self, sock):
            super().__init__()
            self.sock = sock

        def end(self):
            try:
                self.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            if self.ident is not None:
                self.join()
            self.sock.close()


    class Client(Stoppable):
        def run(self):
            try:
                self.sock.send(b"* hello\\n")
                rest = b""
                while True:
                    data = self.sock.recv(10)
                    if not data:
                        break
                    rest += data
                    while b"\\n" in rest:
                        line, rest = rest.split(b"\\n", 1)
                        self.sock.sendall(line + b"\\n")
            except OSError:
                pass
            self.sock.close()


    class Server(Stoppable):
        def __init__(self, port=0):
            super().__init__(socket.create_server(("127.0.0.1", port)))
            self.address = self.sock.getsockname()
            self.clients = []

        def run(self):
            while True:
                try:
                    sock, _ = self.sock.accept()
                except OSError:
                    break
                client = Client(sock)
                self.clients.append(client)
                client.start()

        def stop(self):
            self.end()
            for client in self.clients:
                client.end()
    """,
    "globals, and makefile": """
    import socket
    import threading

    servers = {}


    def serve(me):
        state = servers[me]
        while True:
            try:
                conn, addr = state["listener"].accept()
            except OSError:
                return
            t = threading.Thread(target=talk, args=(conn,))
            state["conns"].append(conn)
            state["threads"].append(t)
            t.start()


    def talk(conn):
        try:
            f = conn.makefile("rwb")
            f.write(b"* hello\\n")
            f.flush()
            while True:
                line = f.readline()
                if not line:
                    break
                f.write(line)
                f.flush()
        except OSError:
            pass
        finally:
            try:
                f.close()
            except OSError:
                pass
            conn.close()


    class Server:
        def __init__(self, port=0):
            s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("localhost", port))
            s.listen(5)
            self.address = s.getsockname()
            servers[id(self)] = {"listener": s, "conns": [], "threads": [], "main": None}

        def start(self):
            t = threading.Thread(target=serve, args=(id(self),))
            servers[id(self)]["main"] = t
            t.start()

        def stop(self):
            state = servers[id(self)]
            try:
                state["listener"].shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            state["listener"].close()
            if state["main"]:
                state["main"].join()
            for conn in state["conns"]:
                try:
                    conn.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            for t in state["threads"]:
                t.join()
    """,
    "a pool of threads, and select": """
    import concurrent.futures
    import select
    import socket
    import threading


    class Server:
        def __init__(self, port=0):
            self.sock = socket.create_server(("127.0.0.1", port))
            self.address = self.sock.getsockname()
            self.stopping = False
            self.pool = concurrent.futures.ThreadPoolExecutor(20)
            self.started = False

        def start(self):
            self.started = True
            self.pool.submit(self.accept)

        def accept(self):
            while not self.stopping:
                ready, _, _ = select.select([self.sock], [], [], 0.1)
                if ready:
                    client, _ = self.sock.accept()
                    self.pool.submit(self.talk, client)

        def talk(self, client):
            with client:
                try:
                    client.sendall(b"* hello\\n")
                    while not self.stopping:
                        ready, _, _ = select.select([client], [], [], 0.1)
                        if ready:
                            data = client.recv(1024)
                            if not data:
                                return
                            client.sendall(data)
                except OSError:
                    return

        def stop(self):
            self.stopping = True
            self.pool.shutdown(wait=True)
            self.sock.close()
    """,
}
"""Other right answers."""

AT_A_LOCK: dict[str, tuple[str, ...]] = {
    "join": (
        "stop() waits for a thread to end, and that thread for a lock. Who holds it meanwhile?",
        "A thread that ends needs the lock, to take its client off the list: join outside the lock.",
    ),
    "lock": (
        "stop() waits for a lock. Who holds it, and what does that one wait for?",
        "with self.lock: lets go of it on every way out. And a Lock cannot be taken twice.",
    ),
}

HINTS_AT_FIN = (
    "alice has said FIN. What does recv return from then on, and what does your loop do?",
    "while data := client.recv(4096): ends at b''.",
)

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
                "second": (
                    "The first line came back, the second did not. What does the thread do after one line?",
                    "while data := client.recv(4096): client.sendall(data)",
                ),
                "glued": (
                    "Two lines came in one recv. What became of the second?",
                    "client.sendall(data) says all back that has come, however many lines that is.",
                ),
                "changed": (
                    "Compare what was said, and by whom, with what came back to whom.",
                    "A line goes back as it came, to the client who said it, and to no other.",
                ),
                "no LF": (
                    "The words came. By what does a client see that the line has ended?",
                    "A line ends with LF, the greeting, too: b'* hello\\n'",
                ),
                "address": (
                    "Whoever wants to connect needs a host and a port. What is in .address?",
                    "self.address = listener.getsockname()",
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
            hints_by_clue=AT_A_LOCK
            | {
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
                "client.shutdown(socket.SHUT_RDWR) ends the connection, and wakes who sits in recv; on "
                "Windows, client.close() after it does.",
            ),
            hints_by_clue=AT_A_LOCK
            | {
                "does not come back": (
                    "A client's thread sits in recv. What would make recv return?",
                    "Not close() alone: Linux keeps a connection open while a thread waits in its recv. "
                    "Nor, on Windows, shutdown() alone.",
                    "client.shutdown(socket.SHUT_RDWR), then client.close(), and then join its thread.",
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
            hints_by_clue=AT_A_LOCK,
        ),
        Step(
            "stop() returns when all threads have ended, and not before",
            waits_for_threads,
            hints=(
                "stop() has woken them. How does it know that they have ended?",
                "Keep the threads, too, and join each of them, after you have woken it.",
                "for thread in self.threads: thread.join()",
            ),
            hints_by_clue=AT_A_LOCK
            | {
                "some": (
                    "stop() waits for a thread, and another one goes on. How many are there, and which?",
                    "One accepts, and there is one for each client: keep them all, and join each.",
                ),
                "naps": (
                    "stop() sleeps. How does it know that this was long enough, on whichever machine?",
                    "join() returns when the thread has ended, and neither before nor later.",
                ),
            },
            points=2,
        ),
        Step(
            "the port is free at once",
            port_is_free,
            hints=(
                "The first server is gone. What is left of it in the second one's way?",
                "Both need the same port, and each its own listener.",
            ),
            hints_by_clue=AT_A_LOCK
            | {
                "port": (
                    "Compare the port that was asked for with that of .address. Who chose this one?",
                    'bind(("127.0.0.1", port)), with the port that __init__ was given; 0 is any free one.',
                ),
                "in use": (
                    "All its sockets are closed. Who still holds the port, and for how long?",
                    "Who says FIN first waits for stragglers: a minute in TIME_WAIT. One option allows it.",
                    "listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1), before bind",
                ),
            },
        ),
        Step(
            "clients who have left before do no harm",
            left_before,
            hints=("Two have left before stop(). What does it try to do with their sockets?",),
            hints_by_clue=AT_A_LOCK
            | {
                "spins": HINTS_AT_FIN,
                "busy": HINTS_AT_FIN,
                "does not come back": (
                    "Two have left before. For which of their threads does stop() wait, and where is that?",
                    "After FIN recv returns b'', at once, for ever: that must end the loop.",
                ),
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
            hints_by_clue=AT_A_LOCK
            | {
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
            "says one line back, and no more",
            "greets each client, and says its lines back",
            (
                (
                    "            while data := client.recv(4096):\n    ",
                    "            data = client.recv(4096)\n            if data:\n    ",
                ),
            ),
            clue="second",
        ),
        Wrong(
            "says the last of several lines back",
            "greets each client, and says its lines back",
            (("client.sendall(data)", 'client.sendall(data.split(b"\\n")[0] + b"\\n")'),),
            clue="glued",
        ),
        Wrong(
            "says it to all",
            "greets each client, and says its lines back",
            (
                (
                    "                client.sendall(data)",
                    "                for one in list(self.clients):\n                    one.sendall(data)",
                ),
            ),
            clue="changed",
        ),
        Wrong(
            "greets without an LF",
            "greets each client, and says its lines back",
            (('b"* hello\\n"', 'b"* hello"'),),
            clue="no LF",
        ),
        Wrong(
            "joins under the lock",
            "stop() ends every client's connection, also of one who says nothing",
            ((JOIN, "            for thread in self.threads:\n                thread.join()\n"),),
            clue="join",
        ),
        Wrong(
            "joins one of the threads",
            "stop() returns when all threads have ended, and not before",
            ((JOIN, "        if self.threads:\n            self.threads[0].join()\n"),),
            clue="some",
        ),
        Wrong(
            "sleeps a little, instead of joining",
            "stop() returns when all threads have ended, and not before",
            ((JOIN, "        import time\n\n        time.sleep(0.2)\n"),),
            clue="naps",
        ),
        Wrong(
            "chooses its port itself",
            "the port is free at once",
            (('("127.0.0.1", port)', '("127.0.0.1", 0)'),),
            clue="port",
        ),
        Wrong(
            "the end of the stream is ignored",
            "clients who have left before do no harm",
            (
                (
                    "            while data := client.recv(4096):\n",
                    "            while True:\n                data = client.recv(4096)\n",
                ),
            ),
            clue="spins",
            survey="end of stream ignored",
        ),
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
            (
                (
                    "                with contextlib.suppress(OSError):  # it may have vanished\n"
                    "                    client.shutdown(socket.SHUT_RDWR)  "
                    "# wakes recv (on Windows, close does)\n",
                    "",
                ),
            ),
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
