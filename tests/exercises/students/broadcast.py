"""Answers to `broadcast` as students write them: right ones in many styles, and wrong ones."""

from labkit.exercises.exercise import Wrong

RIGHT = {
    "asyncio in a thread": r"""
import asyncio


async def to_one(client, line):
    try:
        await asyncio.to_thread(client.sendall, line)
    except OSError:
        return client


async def to_all(others, line):
    return await asyncio.gather(*(to_one(client, line) for client in others))


def broadcast(clients, line, sender):
    others = [client for client in clients if client is not sender]
    for dead in asyncio.run(to_all(others, line)):
        if dead is not None:
            if dead in clients:
                try:
                    clients.remove(dead)
                except ValueError:
                    pass
            dead.close()
""",
    "dataclass": r"""
from __future__ import annotations

import socket
from dataclasses import dataclass, field


@dataclass
class Delivery:
    line: bytes
    failed: list[socket.socket] = field(default_factory=list)

    def to(self, client: socket.socket) -> None:
        left = self.line
        while left:
            try:
                left = left[client.send(left):]
            except OSError:
                self.failed.append(client)
                return


def broadcast(clients: list[socket.socket], line: bytes, sender: socket.socket) -> None:
    delivery = Delivery(line)
    for client in [*clients]:
        if client is not sender:
            delivery.to(client)
    for client in delivery.failed:
        try:
            clients.remove(client)
        except ValueError:
            pass
        finally:
            client.close()
""",
    "socketserver's writer": r"""
from socketserver import _SocketWriter


def broadcast(clients, line, sender):
    for client in clients[:]:
        if client is sender:
            continue
        try:
            _SocketWriter(client).write(line)
        except OSError:
            try:
                clients.remove(client)
            except ValueError:
                pass
            client.close()
""",
    "globals, index by while, shutdown": r"""
import socket
import threading

lock = threading.Lock()
dropped = 0


def drop(clients, client):
    global dropped
    dropped += 1
    with lock:
        if client in clients:
            try:
                clients.remove(client)
            except ValueError:
                pass
    try:
        client.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    client.close()
    print("dropped", dropped)


def broadcast(clients, line, sender):
    others = list(clients)
    i = 0
    while i < len(others):
        client = others[i]
        i += 1
        if client == sender:
            continue
        try:
            client.sendall(line)
        except (ConnectionError, TimeoutError) as error:
            print(error)
            drop(clients, client)
        except OSError as error:
            print(error)
            drop(clients, client)
""",
    "a generator, and a queue for each": r"""
import queue
import threading


def failures(clients, line):
    results = queue.Queue()

    def work(client):
        try:
            client.sendall(line)
            results.put(None)
        except OSError:
            results.put(client)
        except BaseException as error:
            results.put(error)

    threads = [threading.Thread(target=work, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while not results.empty():
        yield results.get()


def broadcast(clients, line, sender):
    others = tuple(client for client in clients if client is not sender)
    for failed in failures(others, line):
        if isinstance(failed, BaseException):
            raise failed
        if failed is not None:
            failed.close()
            try:
                clients.remove(failed)
            except ValueError:
                pass
""",
    "inheritance": r"""
class Fanout:
    def __init__(self, clients):
        self.clients = clients

    def targets(self):
        return self.clients.copy()

    def lost(self, client):
        client.close()

    def send(self, data):
        for client in self.targets():
            try:
                client.sendall(data)
            except OSError:
                self.lost(client)


class ChatFanout(Fanout):
    def __init__(self, clients, sender):
        super().__init__(clients)
        self.sender = sender

    def targets(self):
        return filter(lambda client: client is not self.sender, super().targets())

    def lost(self, client):
        super().lost(client)
        for at, other in enumerate(self.clients):
            if other is client:
                del self.clients[at]
                break


def broadcast(clients, line, sender):
    ChatFanout(clients, sender).send(line)
""",
    "sendmsg in a loop": r"""
def send_all_of(client, line):
    view = memoryview(line)
    while view:
        view = view[client.sendmsg([view]):]


def broadcast(clients, line, sender):
    for client in list(clients):
        if client is not sender:
            try:
                send_all_of(client, line)
            except OSError:
                client.close()
                try:
                    clients.remove(client)
                except ValueError:
                    pass
""",
    "select for writing, with send": r"""
import select


def broadcast(clients, line, sender):
    rest = {client: line for client in list(clients) if client is not sender}
    while rest:
        for client in list(rest):
            try:
                sent = client.send(rest[client])
            except OSError:
                del rest[client]
                client.close()
                try:
                    clients.remove(client)
                except ValueError:
                    pass
                continue
            rest[client] = rest[client][sent:]
            if not rest[client]:
                del rest[client]
""",
    "with a file, buffered": r"""
from contextlib import suppress


def broadcast(clients, line, sender):
    for client in list(clients):
        if client is sender:
            continue
        try:
            with client.makefile("wb") as file:
                file.write(line)
                file.flush()
        except OSError:
            with suppress(ValueError):
                clients.remove(client)
            client.close()
""",
    "sets flags": r"""
import socket


def broadcast(clients, line, sender):
    dead = set()
    for c in list(clients):
        if c is sender:
            continue
        try:
            c.sendall(line, getattr(socket, "MSG_NOSIGNAL", 0))
        except OSError:
            dead.add(c)
    if dead:
        for c in list(clients):
            if c in dead:
                try:
                    clients.remove(c)
                except ValueError:
                    pass
        for c in dead:
            c.close()
""",
    "lock around, remove in check": r"""
import threading

lock = threading.Lock()


def broadcast(clients, line, sender):
    with lock:
        targets = list(clients)
    for client in targets:
        if client is sender:
            continue
        try:
            client.sendall(line)
        except OSError:
            with lock:
                if client in clients:
                    clients.remove(client)
            client.close()
""",
    "slice assign w/o": r"""
def broadcast(clients, line, sender):
    dead = []
    for client in clients[:]:
        if client is not sender:
            try:
                client.sendall(line)
            except OSError:
                dead.append(client)
    for client in dead:
        try:
            client.close()
        except OSError:
            pass
        while client in clients:
            clients.remove(client)
""",
    "send with memoryview; ConnectionError, timeout, OSError": r"""
import socket


def send_everything(sock, data):
    total = 0
    while total < len(data):
        sent = sock.send(memoryview(data)[total:])
        if sent == 0:
            raise RuntimeError("socket connection broken")
        total = total + sent


def broadcast(clients, line, sender):
    for c in [x for x in clients if x is not sender]:
        try:
            send_everything(c, line)
        except (ConnectionError, socket.timeout, OSError):
            try:
                clients.remove(c)
            except ValueError:
                pass
            finally:
                c.close()
""",
    "sender by fileno equality; shutdown first": r"""
import contextlib
import socket


def broadcast(clients, line, sender):
    me = sender.fileno()
    for c in tuple(clients):
        if c.fileno() == me:
            continue
        try:
            c.sendall(line)
        except OSError:
            with contextlib.suppress(ValueError):
                clients.remove(c)
            with contextlib.suppress(OSError):
                c.shutdown(socket.SHUT_RDWR)
            c.close()
""",
    "executor map with submit": r"""
from concurrent.futures import ThreadPoolExecutor, as_completed


def broadcast(clients, line, sender):
    with ThreadPoolExecutor(max_workers=4) as pool:
        jobs = {pool.submit(c.sendall, line): c for c in list(clients) if c is not sender}
        for job in as_completed(jobs):
            client = jobs[job]
            try:
                job.result()
            except OSError:
                if client in clients:
                    clients.remove(client)
                client.close()
""",
    "nonblocking select loop with own deadline": r"""
import select
import time


def broadcast(clients, line, sender):
    pending = {c: memoryview(line) for c in list(clients) if c is not sender}
    deadline = time.monotonic() + 5
    while pending:
        alive = [c for c in pending if c.fileno() >= 0]
        for c in list(pending):
            if c not in alive:
                drop(clients, c)
                del pending[c]
        if not pending:
            return
        ready = select.select([], list(pending), [], max(0, deadline - time.monotonic()))[1]
        if not ready:
            for c in list(pending):
                drop(clients, c)
            return
        for c in ready:
            try:
                n = c.send(pending[c])
            except OSError:
                drop(clients, c)
                del pending[c]
                continue
            pending[c] = pending[c][n:]
            if not pending[c]:
                del pending[c]


def drop(clients, c):
    try:
        clients.remove(c)
    except ValueError:
        pass
    c.close()
""",
}

WRONG = (
    Wrong(
        "retry 3 times",
        "a client that is gone raises nothing",
        swaps=(
            (
                "            client.sendall(line)",
                (
                    "            for _ in range(3):\n"
                    "                try:\n"
                    "                    client.sendall(line)\n"
                    "                    break\n"
                    "                except TimeoutError:\n"
                    "                    pass"
                ),
            ),
        ),
        clue="again",
    ),
    Wrong(
        "setblocking(True)",
        "a client that is gone raises nothing",
        swaps=(
            (
                "            client.sendall(line)",
                ("            client.setblocking(True)\n            client.sendall(line)"),
            ),
        ),
        clue="no timeout",
    ),
    Wrong(
        "sendmsg once",
        "a long line arrives whole",
        swaps=(("client.sendall(line)", "client.sendmsg([line])"),),
        clue="",
    ),
    Wrong(
        "sendto once",
        "a long line arrives whole",
        swaps=(("client.sendall(line)", "client.sendto(line, client.getpeername())"),),
        clue="",
    ),
    Wrong(
        "send twice halves",
        "a long line arrives whole",
        swaps=(("client.sendall(line)", "n = client.send(line); client.send(line[n:])"),),
        clue="",
    ),
    Wrong(
        "timed out removed not closed",
        "one who vanished is taken off the list, and closed",
        swaps=(
            (
                "        except OSError:",
                (
                    "        except TimeoutError:\n"
                    "            clients.remove(client)\n"
                    "            continue\n"
                    "        except OSError:"
                ),
            ),
        ),
        clue="open",
    ),
    Wrong(
        "by name closed fileno",
        "one who vanished is taken off the list, and closed",
        swaps=(("        if client is sender:", "        if client is sender or client.fileno() == -1:"),),
        clue="was closed already",
    ),
    Wrong(
        "catches BrokenPipe, Reset, Timeout",
        "a client that is gone raises nothing",
        swaps=(("except OSError", ("except (BrokenPipeError, ConnectionResetError, TimeoutError)")),),
        clue="OSError",
    ),
    Wrong(
        "except (OSError, TypeError)",
        "a bug is not hidden",
        swaps=(("except OSError", "except (OSError, TypeError)"),),
        clue="",
    ),
    Wrong(
        "reversed range",
        "others leave while the line goes out, and nobody is skipped",
        swaps=(
            (
                (
                    "    for client in list(clients):  # a copy: others come and go meanwhile\n"
                    "        if client is sender:\n"
                    "            continue\n"
                    "        try:\n"
                    "            client.sendall(line)\n"
                    "        except OSError:\n"
                    "            with suppress(ValueError):  # its own thread may have been quicker\n"
                    "                clients.remove(client)\n"
                    "            client.close()"
                ),
                (
                    "    for i in reversed(range(len(clients))):\n"
                    "        if clients[i] is sender:\n"
                    "            continue\n"
                    "        try:\n"
                    "            clients[i].sendall(line)\n"
                    "        except OSError:\n"
                    "            clients.pop(i).close()"
                ),
            ),
        ),
        clue="",
    ),
    Wrong(
        "clients = [..] local",
        "one who vanished is taken off the list, and closed",
        swaps=(
            (
                (
                    "    for client in list(clients):  # a copy: others come and go meanwhile\n"
                    "        if client is sender:\n"
                    "            continue\n"
                    "        try:\n"
                    "            client.sendall(line)\n"
                    "        except OSError:\n"
                    "            with suppress(ValueError):  # its own thread may have been quicker\n"
                    "                clients.remove(client)"
                ),
                (
                    "    for client in list(clients):\n"
                    "        if client is sender:\n"
                    "            continue\n"
                    "        try:\n"
                    "            client.sendall(line)\n"
                    "        except OSError:\n"
                    "            clients = [c for c in clients if c is not client]"
                ),
            ),
        ),
        clue="",
    ),
    Wrong(
        "break in except",
        "those behind one who vanished hear the line as well",
        swaps=(("            client.close()", "            client.close()\n            break"),),
        clue="rest",
    ),
    Wrong(
        "shutdown raises",
        "a client that is gone raises nothing",
        swaps=(
            ("            client.close()", ("            client.shutdown(2)\n            client.close()")),
        ),
        clue="OSError",
    ),
    Wrong(
        "finally close",
        "nobody else is thrown out for it",
        swaps=(
            (
                "            client.close()",
                ("            pass\n        finally:\n            client.close()"),
            ),
        ),
        clue="closed",
    ),
    Wrong(
        "thread each, no join",
        "everybody else hears the line",
        swaps=(
            (
                (
                    "    for client in list(clients):  # a copy: others come and go meanwhile\n"
                    "        if client is sender:\n"
                    "            continue\n"
                    "        try:\n"
                    "            client.sendall(line)\n"
                    "        except OSError:\n"
                    "            with suppress(ValueError):  # its own thread may have been quicker\n"
                    "                clients.remove(client)\n"
                    "            client.close()"
                ),
                (
                    "    import threading\n"
                    "    def one(client):\n"
                    "        try:\n"
                    "            client.sendall(line)\n"
                    "        except OSError:\n"
                    "            with suppress(ValueError):\n"
                    "                clients.remove(client)\n"
                    "            client.close()\n"
                    "    for client in list(clients):\n"
                    "        if client is not sender:\n"
                    "            threading.Thread(target=one, args=(client,)).start()"
                ),
            ),
        ),
        clue="late",
    ),
    Wrong(
        "deletes sender from list",
        "nobody else is thrown out for it",
        swaps=(
            (
                (
                    "    for client in list(clients):  # a copy: others come and go meanwhile\n"
                    "        if client is sender:\n"
                    "            continue\n"
                    "        try:\n"
                    "            client.sendall(line)\n"
                    "        except OSError:\n"
                    "            with suppress(ValueError):  # its own thread may have been quicker\n"
                    "                clients.remove(client)\n"
                    "            client.close()"
                ),
                (
                    "    clients.remove(sender)\n"
                    "    for client in list(clients):\n"
                    "        try:\n"
                    "            client.sendall(line)\n"
                    "        except OSError:\n"
                    "            with suppress(ValueError):\n"
                    "                clients.remove(client)\n"
                    "            client.close()\n"
                    "    clients.append(sender)"
                ),
            ),
        ),
        clue="place",
    ),
    Wrong(
        "no copy, iterate by while",
        "others leave while the line goes out, and nobody is skipped",
        swaps=(
            (
                (
                    "    for client in list(clients):  # a copy: others come and go meanwhile\n"
                    "        if client is sender:\n"
                    "            continue\n"
                    "        try:\n"
                    "            client.sendall(line)\n"
                    "        except OSError:\n"
                    "            with suppress(ValueError):  # its own thread may have been quicker\n"
                    "                clients.remove(client)\n"
                    "            client.close()"
                ),
                (
                    "    i = 0\n"
                    "    while i < len(clients):\n"
                    "        client = clients[i]\n"
                    "        if client is not sender:\n"
                    "            try:\n"
                    "                client.sendall(line)\n"
                    "            except OSError:\n"
                    "                clients.remove(client)\n"
                    "                client.close()\n"
                    "                continue\n"
                    "        i += 1"
                ),
            ),
        ),
        clue="",
    ),
    Wrong(
        "select writable skip",
        "a long line arrives whole",
        swaps=(
            (
                "        try:",
                (
                    "        import select\n"
                    "        if client.fileno() >= 0 and not select.select([], [client], [], 0)[1]:\n"
                    "            continue\n"
                    "        try:"
                ),
            ),
        ),
        clue="not now",
    ),
    Wrong(
        "a timeout of its own, far too short",
        "a long line arrives whole",
        swaps=(
            (
                "            client.sendall(line)",
                "            client.settimeout(0.001)\n            client.sendall(line)",
            ),
        ),
        clue="timeout",
    ),
    Wrong(
        "shuts down whom it has sent to",
        "nobody else is thrown out for it",
        swaps=(
            (
                "            client.sendall(line)",
                "            client.sendall(line)\n            client.shutdown(1)",
            ),
        ),
        clue="closed",
    ),
)
