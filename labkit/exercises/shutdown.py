"""Exercise `shutdown`: a server that stops, and leaves nothing behind."""

from __future__ import annotations

import errno
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labkit.exercises import kernel
from labkit.exercises.bench import SOON, Bench, Running
from labkit.exercises.exercise import Exercise, Step, Wrong
from labkit.exercises.missed import Missed
from labkit.exercises.peer import Peer

TASK = """
Write `Server`, which can be stopped. What it serves is simple: it greets each client with the line
`* hello`, and sends each line that a client says back to that client. It has a thread for each.

- `Server(port=0)` makes one, on 127.0.0.1; with port 0 on any free port. `.start()` begins to serve, and
  returns. From then on `.address` is `(host, port)`.
- `.stop()` returns within 2 seconds, whoever is connected, talking or silent. When it returns:
  nobody can connect any more; every client's connection has ended, also of one who came in at the very
  last moment; all threads that the server started have ended.
- The port is free at once: another `Server` can have it.
- `.stop()` does no harm if clients have left before, if it was called before, or if the server was never
  started.
"""

ANSWER = '''
import contextlib
import socket
import threading


class Server:
    """Greets each client and says each line back to it, until it is stopped."""

    def __init__(self, port=0):
        ### BEGIN SOLUTION
        self.listener = socket.create_server(("127.0.0.1", port))  # it sets SO_REUSEADDR
        self.address = self.listener.getsockname()
        self.door = threading.Thread(target=self.accept_clients)
        self.threads = []  # of clients; only the door adds to it
        self.clients = set()
        self.lock = threading.Lock()  # guards clients: a socket in there is open
        ### END SOLUTION

    def start(self):
        """Begin to serve, in threads."""
        ### BEGIN SOLUTION
        self.door.start()
        ### END SOLUTION

    def accept_clients(self):
        """The life of the thread at the door."""
        ### BEGIN SOLUTION
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:  # stop() has shut the door
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
        with contextlib.suppress(OSError):  # it is closed already
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        if self.door.is_alive():
            self.door.join()  # from here on, nobody comes in
        self.listener.close()
        with self.lock:
            for client in self.clients:
                with contextlib.suppress(OSError):  # it has vanished
                    client.shutdown(socket.SHUT_RDWR)  # wakes recv
        for thread in self.threads:
            thread.join()
        ### END SOLUTION
'''

HELD = 0.8
"""Seconds for which a thread is held, at most, to see whether stop() waits for it. Whoever does not is back
in a millisecond; whoever joins it is seen doing so; whoever waits in another way waits this long."""


class House:
    """A server of the student's, and the threads that it started.

    Args:
        port: for the server.
        holding: whether its threads can be held: see `hold`.
    """

    def __init__(self, bench: Bench, port: int = 0, *, start: bool = True) -> None:
        self.bench = bench
        self.before = set(threading.enumerate())
        self.server = bench.code(port)
        self.host, self.port = "127.0.0.1", port
        if start:
            self.server.start()
            self.host, self.port = self.server.address[:2]

    def guest(self, name: str, says: str = "") -> Peer:
        """A client that has been greeted; and that was answered, if it says something."""
        guest = self.knock(name)
        bench, line = self.bench, "* hello\n"
        bench.expect(guest.hears(line), f"{name} hears '* hello'", guest.seen(), "no greeting")
        if says:
            guest.send(says)
            bench.expect(guest.hears(f"{says}\n"), f"{name} hears {says!r}", guest.seen())
        return guest

    def knock(self, name: str) -> Peer:
        try:
            return self.bench.peer((self.host, self.port), name)
        except ConnectionError as error:
            raise Missed(f"{name} can connect to {self.host}:{self.port}", str(error)) from None

    def stopping(self) -> Running:
        """Call stop(), in a thread of its own."""
        self.bench.said("stop()", "check", "server")

        def stop() -> None:
            self.server.stop()
            self.bench.said("stop() has returned", "server", "check")

        return self.bench.thread(stop, name="stop")

    def stop(self) -> None:
        self.stopping().result("stop() returns within 2 s", SOON)

    def threads(self) -> list[threading.Thread]:
        """The threads that the server started, and that are alive."""
        ours = self.before | {running.thread for running in self.bench.running}
        return [t for t in threading.enumerate() if t not in ours and t.is_alive()]

    def ends(self, guest: Peer, clue: str) -> None:
        """This client's connection has ended."""
        if guest.ended() is None:
            raise Missed(f"{guest.name}'s connection ends", f"after stop() it is still open after {SOON:g} s", clue)

    def is_empty(self) -> None:
        """No thread is left, now or soon."""
        give_up = time.monotonic() + SOON
        for thread in self.threads():
            thread.join(max(0.0, give_up - time.monotonic()))
        left = len(self.threads())
        if left:
            threads = "a thread of the server's is" if left == 1 else f"{left} threads of the server's are"
            raise Missed("all threads end", f"{threads} still there {SOON:g} s after stop()", "left")

    def settle(self) -> None:
        """Wait until all threads of the server's wait for something: in accept, recv, select.

        Linux tells whether a thread sleeps: proc(5), `/proc/self/task/…/stat`. Elsewhere only the line
        that it is in can tell.
        """
        same, last = 0, None
        give_up = time.monotonic() + SOON / 4
        while same < 3 and time.monotonic() < give_up:
            time.sleep(0.003)  # not in the hope of anything: it hands them the interpreter
            now = [(t.native_id, asleep(t)) for t in self.threads()]
            same = same + 1 if now == last and all(where for _, where in now) else 0
            last = now


def asleep(thread: threading.Thread) -> object:
    """Where a thread sleeps; None if it does not."""
    frame = sys._current_frames().get(thread.ident or 0)
    try:
        state = Path(f"/proc/self/task/{thread.native_id}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        state = "S"
    return (frame.f_code, frame.f_lasti) if frame is not None and state == "S" else None


class Hold:
    """Holds each thread that is started meanwhile, once `begin` was called, when it next does anything.

    So it can be seen whether stop() waits for them. A held thread goes on when somebody joins it, when
    stop() has returned, or after HELD seconds.
    """

    def __init__(self) -> None:
        self.held: list[threading.Thread] = []
        self.holds = threading.Event()  # one is held now
        self.stopped: Running | None = None
        self.not_waited_for: list[threading.Thread] = []
        self._beginning = False

    def begin(self) -> None:
        self._beginning = True

    def seen(self, frame: Any, event: str, arg: Any) -> None:
        """The profile function of those threads."""
        me = threading.current_thread()
        if not self._beginning or me in self.held or "check" in me.name:
            return
        self.held.append(me)
        self.holds.set()
        give_up = time.monotonic() + SOON
        while time.monotonic() < give_up and not joined(me):
            if self.stopped is not None:
                give_up = min(give_up, self.since + HELD)
                if self.stopped.ended(0.002):
                    self.not_waited_for.append(me)
                    return
            else:
                time.sleep(0.002)
