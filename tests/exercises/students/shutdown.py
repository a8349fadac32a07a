"""Answers to `shutdown` as students write them: right ones in many styles, and wrong ones."""

from labkit.exercises.exercise import Wrong

RIGHT = {
    "polls, with threads that are no daemons": r"""
import select, socket, threading
class Server:
    def __init__(self, port=0):
        self._port = port
        self._sock = None
        self._stop = threading.Event()
        self._guard = threading.RLock()
        self._conns = {}
    @property
    def address(self):
        return self._sock.getsockname()
    def start(self):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", self._port))
        s.listen()
        self._sock = s
        self._main = threading.Thread(target=self._loop)
        self._main.start()
    def _loop(self):
        while not self._stop.is_set():
            ready, _, _ = select.select([self._sock], [], [], 0.1)
            if ready:
                conn, _ = self._sock.accept()
                t = threading.Thread(target=self._talk, args=(conn,))
                with self._guard:
                    self._conns[t] = conn
                t.start()
    def _talk(self, conn):
        try:
            conn.sendall(b"* hello\n")
            with conn.makefile("rwb") as f:
                for line in f:
                    f.write(line)
                    f.flush()
        except OSError:
            pass
        finally:
            with self._guard:
                self._conns.pop(threading.current_thread(), None)
            conn.close()
    def stop(self):
        self._stop.set()
        if self._sock is None:
            return
        self._main.join()
        self._sock.close()
        with self._guard:
            pairs = list(self._conns.items())
        for t, conn in pairs:
            try:
                conn.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for t, _ in pairs:
            t.join()
""",
    "timeouts in all threads, and a flag": r"""
import contextlib
import socket
import threading
import time
class Server(object):
    def __init__(self, port=0):
        self.port = port
        self.running = False
        self.threads = []
        self.listener = None
    def start(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.listener.settimeout(0.05)
        self.address = self.listener.getsockname()[:2]
        self.running = True
        self.threads.append(threading.Thread(target=self.accepting, name="accepting"))
        self.threads[0].start()
    def accepting(self):
        with contextlib.closing(self.listener):
            while self.running:
                try:
                    sock, peer = self.listener.accept()
                except socket.timeout:
                    continue
                thread = threading.Thread(target=self.echo, args=(sock,), name=f"echo {peer}")
                self.threads.append(thread)
                thread.start()
    def echo(self, sock):
        with sock:
            sock.settimeout(0.05)
            try:
                sock.sendall(b"* hello\n")
                while self.running:
                    try:
                        data = sock.recv(1000)
                    except socket.timeout:
                        continue
                    if not data:
                        break
                    sock.sendall(data)
            except OSError:
                return
    def stop(self):
        self.running = False
        for thread in list(self.threads)[:1]:
            thread.join()
        for thread in list(self.threads)[1:]:
            thread.join()
""",
    "joins again and again, for a second": r"""
import contextlib
import socket
import threading


class Server:
    #Greets each client and says its lines back to it, until it is stopped.#

    def __init__(self, port=0):
        self.listener = socket.create_server(("127.0.0.1", port))  # sets SO_REUSEADDR
        self.address = self.listener.getsockname()
        self.acceptor = threading.Thread(target=self.accept_clients)
        self.threads = []  # of the clients
        self.clients = set()  # their sockets
        self.lock = threading.Lock()  # guards clients: a socket in there is open

    def start(self):
        #Begin to serve, in threads.#
        self.acceptor.start()

    def accept_clients(self):
        #Accept clients, until the listener is closed.#
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

    def handle_client(self, client):
        #The life of a client's thread.#
        with contextlib.suppress(OSError):  # the client may vanish
            client.sendall(b"* hello\n")
            while data := client.recv(4096):
                client.sendall(data)
        with self.lock:
            self.clients.remove(client)
            client.close()

    def stop(self):
        #Leave nothing behind: no thread, no connection, no busy port.#
        with contextlib.suppress(OSError):  # it may be closed already
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept (if not on Linux, close does)
        self.listener.close()
        if self.acceptor.is_alive():
            self.acceptor.join()  # from here on no client comes in
        with self.lock:
            for client in self.clients:
                with contextlib.suppress(OSError):  # it may have vanished
                    client.shutdown(socket.SHUT_RDWR)  # wakes recv
        import time
        until = time.monotonic() + 1
        for thread in self.threads:
            while thread.is_alive() and time.monotonic() < until:
                thread.join(0.02)
""",
}

WRONG = (
    Wrong(
        "joins for a hundredth of a second",
        "stop() returns when all threads have ended, and not before",
        swaps=(("            thread.join()", "            thread.join(0.01)"),),
        clue="",
    ),
)
