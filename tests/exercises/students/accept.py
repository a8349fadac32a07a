"""Answers to `accept` as students write them: right ones in many styles, and wrong ones."""

from labkit.exercises.exercise import Wrong

RIGHT = {
    "asyncio": r"""
import asyncio


async def talk(client):
    reader, writer = await asyncio.open_connection(sock=client)
    try:
        writer.write(b"nickname\n")
        await writer.drain()
        line = await reader.readline()
        if line.endswith(b"\n"):
            writer.write(b"* you are " + line)
            await writer.drain()
            while await reader.read(1024):
                pass
    except OSError:
        pass
    finally:
        writer.close()


async def main(listener):
    tasks = set()
    while True:
        try:
            client, _ = await asyncio.to_thread(listener.accept)
        except OSError:
            return
        client.setblocking(False)
        task = asyncio.create_task(talk(client))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


def serve(listener):
    asyncio.run(main(listener))
""",
    "socketserver": r"""
import socketserver


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        try:
            self.wfile.write(b"nickname\n")
            name = self.rfile.readline().rstrip(b"\r\n")
            self.wfile.write(b"* you are " + name + b"\n")
            for line in self.rfile:
                pass
        except OSError:
            pass


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False


def serve(listener):
    server = Server(listener.getsockname(), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    while True:
        try:
            request, address = server.get_request()
        except OSError:
            return
        server.process_request(request, address)
""",
    "dataclass": r"""
from __future__ import annotations

import socket
import threading
from dataclasses import dataclass, field


@dataclass
class Guest:
    sock: socket.socket
    buffer: bytearray = field(default_factory=bytearray)
    name: str | None = None

    def read_line(self) -> bytes | None:
        while b"\n" not in self.buffer:
            piece = self.sock.recv(512)
            if not piece:
                return None
            self.buffer += piece
        line, _, rest = bytes(self.buffer).partition(b"\n")
        self.buffer = bytearray(rest)
        return line

    def talk(self) -> None:
        try:
            self.sock.sendall(b"nickname\n")
            line = self.read_line()
            if line is None:
                return
            self.name = line.decode(errors="replace")
            self.sock.sendall(("* you are " + self.name + "\n").encode())
            while self.read_line() is not None:
                pass
        except OSError:
            return
        finally:
            self.sock.close()


@dataclass
class Server:
    listener: socket.socket
    threads: list[threading.Thread] = field(default_factory=list)

    def run(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                break
            thread = threading.Thread(target=Guest(client).talk, daemon=True)
            thread.start()
            self.threads.append(thread)


def serve(listener: socket.socket) -> None:
    Server(listener).run()
""",
    "globals": r"""
import threading
import socket

clients = []
count = 0


def client_thread(conn, addr):
    global count
    count += 1
    clients.append(conn)
    print("new client", addr)
    try:
        conn.sendall("nickname\n".encode("utf-8"))
        data = b""
        while True:
            chunk = conn.recv(1)
            if chunk == b"":
                return
            if chunk == b"\n":
                break
            data = data + chunk
        try:
            name = data.decode("utf-8")
        except UnicodeDecodeError:
            conn.sendall(b"bad nickname\n")
            return
        conn.sendall(("* you are " + name + "\n").encode("utf-8"))
        while True:
            chunk = conn.recv(4096)
            if not chunk:
                break
    except OSError as e:
        print("lost", addr, e)
    finally:
        clients.remove(conn)
        conn.close()
        print("bye", addr)


def serve(listener):
    print("waiting on", listener.getsockname())
    while True:
        try:
            conn, addr = listener.accept()
        except OSError:
            print("listener closed")
            break
        t = threading.Thread(target=client_thread, args=(conn, addr))
        t.start()
""",
    "selectors, no thread at all": r"""
import selectors


def serve(listener):
    listener.setblocking(False)
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        rests, named = {}, set()
        while listener.fileno() >= 0:
            for key, _ in selector.select(0.05):
                sock = key.fileobj
                if sock is listener:
                    try:
                        client, _ = listener.accept()
                    except BlockingIOError:
                        continue
                    except OSError:
                        return
                    client.setblocking(False)
                    rests[client] = b""
                    selector.register(client, selectors.EVENT_READ)
                    try:
                        client.send(b"nickname\n")
                    except OSError:
                        pass
                    continue
                try:
                    data = sock.recv(4096)
                except OSError:
                    data = b""
                if not data:
                    selector.unregister(sock)
                    sock.close()
                    continue
                if sock in named:
                    continue
                rests[sock] += data
                if b"\n" in rests[sock]:
                    named.add(sock)
                    try:
                        sock.send(b"* you are " + rests[sock].partition(b"\n")[0] + b"\n")
                    except OSError:
                        pass
""",
    "a generator of lines, closures, and with": r"""
import threading
from contextlib import closing, suppress


def lines_of(sock):
    rest = b""
    while piece := sock.recv(100):
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines


def serve(listener):
    def start(sock):
        def run():
            with closing(sock), suppress(ConnectionError, OSError):
                sock.sendall(b"nickname\n")
                lines = lines_of(sock)
                for nickname in lines:
                    sock.sendall(b"* you are %s\n" % nickname)
                    break
                for _ in lines:
                    pass

        threading.Thread(target=run).start()

    with suppress(OSError):
        while True:
            sock, address = listener.accept()
            start(sock)
""",
    "inheritance": r"""
import socket
import threading


class BaseHandler(threading.Thread):
    def __init__(self, sock):
        threading.Thread.__init__(self)
        self.daemon = True
        self.sock = sock

    def run(self):
        try:
            self.setup()
            self.loop()
        except (OSError, EOFError):
            pass
        finally:
            self.finish()

    def setup(self):
        pass

    def loop(self):
        raise NotImplementedError

    def finish(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()


class ChatHandler(BaseHandler):
    def setup(self):
        self.file = self.sock.makefile("rwb")
        self.file.write(b"nickname\n")
        self.file.flush()
        line = self.file.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        self.file.write(b"* you are " + line.strip() + b"\n")
        self.file.flush()

    def loop(self):
        while self.file.read1(1024):
            pass

    def finish(self):
        try:
            self.file.close()
        except OSError:
            pass
        super().finish()


class Server:
    handler = ChatHandler

    def __init__(self, listener):
        self.listener = listener

    def serve_forever(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.handler(sock).start()


def serve(listener):
    Server(listener).serve_forever()
""",
    "listens for select, then accepts": r"""
import select
import threading


def handle(client):
    try:
        f = client.makefile("r", encoding="utf-8", errors="replace", newline="\n")
        client.sendall(b"nickname\n")
        name = f.readline().rstrip("\r\n")
        client.sendall("* you are {}\n".format(name).encode("utf-8"))
        while f.readline() != "":
            continue
    except OSError:
        pass
    finally:
        f.close()
        client.close()


def serve(listener):
    while True:
        try:
            ready, _, _ = select.select([listener], [], [], 0.2)
            if not ready:
                continue
            client, _ = listener.accept()
        except (OSError, ValueError):
            return
        threading.Thread(target=handle, args=[client]).start()
""",
    "joins its threads when the listener is closed": r"""
import threading


def one(client, done):
    with client:
        try:
            with client.makefile("rwb", buffering=0) as f:
                f.write(b"nickname\n")
                line = b""
                while not line.endswith(b"\n"):
                    byte = f.read(1)
                    if not byte:
                        return
                    line += byte
                f.write(b"* you are " + line)
                while f.read(4096):
                    pass
        except OSError:
            return
        finally:
            done.append(client)


def serve(listener):
    threads, done = [], []
    while True:
        try:
            client = listener.accept()[0]
        except OSError:
            break
        threads.append(threading.Thread(target=one, kwargs={"client": client, "done": done}))
        threads[-1].start()
    for thread in threads:
        thread.join()
""",
    "two threads for each client": r"""
import queue
import threading


def writer(client, out):
    try:
        while (line := out.get()) is not None:
            client.sendall(line.encode("utf-8", "surrogateescape"))
    except OSError:
        pass


def reader(client, out):
    try:
        with client.makefile(encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
            name = next(lines, None)
            if name is None:
                return
            out.put("* you are " + name.rstrip("\n") + "\n")
            for _ in lines:
                pass
    except OSError:
        pass
    finally:
        out.put(None)


def client_main(client):
    out = queue.Queue()
    out.put("nickname\n")
    w = threading.Thread(target=writer, args=(client, out))
    w.start()
    reader(client, out)
    w.join()
    client.close()


def serve(listener):
    for client, _ in accepted(listener):
        threading.Thread(target=client_main, args=(client,)).start()


def accepted(listener):
    while True:
        try:
            yield listener.accept()
        except OSError:
            return
""",
    "settimeout with retry": r"""
import socket
import threading


class Client:
    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(0.5)
        self.buf = b""

    def readline(self):
        while True:
            i = self.buf.find(b"\n")
            if i >= 0:
                line, self.buf = self.buf[:i], self.buf[i + 1:]
                return line
            try:
                data = self.sock.recv(1024)
            except socket.timeout:
                continue
            if not data:
                return None
            self.buf += data

    def run(self):
        try:
            self.sock.sendall(b"nickname\n")
            name = self.readline()
            if name is not None:
                self.sock.sendall(b"* you are " + name + b"\n")
                while self.readline() is not None:
                    pass
        except (ConnectionError, OSError):
            pass
        finally:
            self.sock.close()


def serve(listener):
    listener.settimeout(1.0)
    while True:
        try:
            sock, addr = listener.accept()
        except socket.timeout:
            continue
        except OSError:
            break
        t = threading.Thread(target=Client(sock).run)
        t.daemon = True
        t.start()
""",
    "RCVTIMEO, tcp options, logging": r"""
import logging
import socket
import threading

log = logging.getLogger(__name__)


def chat(sock, who):
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    try:
        sock.send(b"nickname\n")
        with sock.makefile("r", encoding="utf8", errors="ignore", newline="\n") as f:
            nick = f.readline()
            if not nick:
                log.warning("%s left", who)
                return
            sock.send(f"* you are {nick.strip()}\n".encode())
            for line in f:
                log.info("%s: %s", nick, line)
    except OSError as e:
        log.warning("%s: %s", who, e)
    finally:
        sock.close()


def serve(listener):
    logging.basicConfig(level=logging.INFO)
    try:
        while True:
            sock, who = listener.accept()
            threading.Thread(target=chat, name=f"chat-{who[1]}", args=(sock, who)).start()
    except OSError:
        log.info("listener closed")
""",
    "lambda w/ default, partial": r"""
import functools
import threading

names = {}
names_lock = threading.Lock()


def on_client(conn):
    with conn:
        f = conn.makefile("rwb", 0)
        try:
            f.write(b"nickname\n")
            name = f.readline().rstrip(b"\r\n").decode("utf-8", "replace")
            with names_lock:
                names[conn] = name
            f.write(("* you are %s\n" % name).encode())
            while f.readline():
                pass
        except OSError:
            pass
        finally:
            f.close()
            with names_lock:
                names.pop(conn, None)


def serve(listener):
    while True:
        try:
            conn = listener.accept()[0]
        except OSError:
            return None
        threading.Thread(target=functools.partial(on_client, conn)).start()
""",
    "thread dies of not text": r"""
import threading


def worker(conn):
    try:
        conn.sendall(b"nickname\n")
        data = b""
        while not data.endswith(b"\n"):
            part = conn.recv(64)
            if not part:
                return
            data += part
        nickname = data.decode()[:-1]
        conn.sendall(f"* you are {nickname}\n".encode())
        while conn.recv(64):
            pass
    except (ConnectionResetError, BrokenPipeError):
        return
    finally:
        conn.close()


def serve(listener):
    threads = []
    while True:
        try:
            conn, _ = listener.accept()
            threads.append(threading.Thread(target=worker, args=(conn,), daemon=True))
            threads[-1].start()
        except OSError:
            return
""",
    "slow before each recv, and catches resets alone": r"""
import threading
import time


def worker(conn):
    try:
        conn.sendall(b"nickname\n")
        data = b""
        while not data.endswith(b"\n"):
            time.sleep(0.03)
            part = conn.recv(64)
            if not part:
                return
            data += part
        conn.sendall(b"* you are " + data)
        while True:
            time.sleep(0.03)
            if not conn.recv(64):
                return
    except (ConnectionResetError, BrokenPipeError):
        return
    finally:
        conn.close()


def serve(listener):
    while True:
        try:
            conn, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=worker, args=(conn,)).start()
""",
    "poll": r"""
import select
import threading


def talk(client):
    poller = select.poll()
    poller.register(client, select.POLLIN)
    buffer = b""
    named = False
    try:
        client.sendall(b"nickname\n")
        while True:
            poller.poll(1000)
            try:
                data = client.recv(4096, 64)
            except BlockingIOError:
                continue
            if not data:
                break
            buffer += data
            if not named and b"\n" in buffer:
                named = True
                client.sendall(b"* you are " + buffer.split(b"\n")[0] + b"\n")
    except OSError:
        pass
    client.close()


def serve(listener):
    while listener.fileno() != -1:
        try:
            client, _ = listener.accept()
        except OSError:
            break
        threading.Thread(target=talk, args=(client,), daemon=True).start()
""",
    "accept thread with a registry under a lock": r"""
import threading


class Hub:
    def __init__(self):
        self.lock = threading.Lock()
        self.members = {}

    def join(self, client, name):
        with self.lock:
            self.members[client] = name

    def leave(self, client):
        with self.lock:
            self.members.pop(client, None)


class Session:
    def __init__(self, hub, client):
        self.hub = hub
        self.client = client
        self.thread = threading.Thread(target=self.main, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def lines(self):
        rest = bytearray()
        while True:
            data = self.client.recv(2048)
            if not data:
                return
            rest.extend(data)
            while b"\n" in rest:
                line, _, tail = rest.partition(b"\n")
                rest = bytearray(tail)
                yield bytes(line)

    def main(self):
        try:
            self.client.sendall(b"nickname\n")
            lines = self.lines()
            name = next(lines, None)
            if name is None:
                return
            self.hub.join(self.client, name)
            self.client.sendall(b"* you are " + name + b"\n")
            for _ in lines:
                pass
        except OSError:
            pass
        finally:
            self.hub.leave(self.client)
            self.client.close()


def serve(listener):
    hub = Hub()
    sessions = []
    try:
        for client, _ in iter(listener.accept, None):
            sessions.append(Session(hub, client).start())
    except OSError:
        return
""",
}

WRONG = (
    Wrong(
        "FIN mid nickname spins",
        "reads on until the client hangs up; then closes, and the thread ends",
        swaps=(
            (
                (
                    '        with client, client.makefile("rb") as reader:\n'
                    '            client.sendall(b"nickname\\n")\n'
                    '            nickname = reader.readline().decode("utf-8", "replace").strip()\n'
                    '            client.sendall(f"* you are {nickname}\\n".encode())\n'
                    "            while reader.readline():"
                ),
                (
                    "        with client:\n"
                    '            client.sendall(b"nickname\\n")\n'
                    "            nickname = client.recv(1024)\n"
                    "            if not nickname:\n"
                    "                return\n"
                    '            while b"\\n" not in nickname:\n'
                    "                nickname += client.recv(1024)\n"
                    '            client.sendall(b"* you are " + nickname.strip() + b"\\n")\n'
                    "            while client.recv(1024):"
                ),
            ),
            ("import threading", "import threading"),
        ),
        clue="reads on before",
    ),
    Wrong(
        "FIN before the nickname spins (ask again)",
        "reads on until the client hangs up; then closes, and the thread ends",
        swaps=(
            (
                (
                    '            client.sendall(b"nickname\\n")\n'
                    '            nickname = reader.readline().decode("utf-8", "replace").strip()'
                ),
                (
                    '            nickname = ""\n'
                    '            client.sendall(b"nickname\\n")\n'
                    "            while not nickname:\n"
                    '                nickname = reader.readline().decode("utf-8", "replace").strip()'
                ),
            ),
            ("import threading", "import threading"),
        ),
        clue="reads on before",
    ),
    Wrong(
        "Timer closes",
        "a silent client keeps nobody out",
        swaps=(
            (
                ('            nickname = reader.readline().decode("utf-8", "replace").strip()'),
                (
                    "            timer = threading.Timer(3, client.shutdown, [2])\n"
                    "            timer.daemon = True\n"
                    "            timer.start()\n"
                    '            nickname = reader.readline().decode("utf-8", "replace").strip()\n'
                    "            timer.cancel()"
                ),
            ),
            ("import threading", "import threading"),
        ),
        clue="thrown out",
    ),
    Wrong(
        "silent thrown out after a second: during chat",
        "a silent client keeps nobody out",
        swaps=(
            (
                "            while reader.readline()",
                ("            client.settimeout(1)\n            while reader.readline()"),
            ),
        ),
        clue="thrown out",
    ),
    Wrong(
        "setdefaulttimeout",
        "a silent client keeps nobody out",
        swaps=(("import threading", ("import threading\nimport socket\nsocket.setdefaulttimeout(5)")),),
        clue="thrown out",
    ),
    Wrong(
        "args misses",
        "asks who connects, and welcomes by nickname",
        swaps=((", args=(client,)", ""),),
        clue="arguments",
    ),
    Wrong(
        "with client around thread start",
        "asks who connects, and welcomes by nickname",
        swaps=(
            (
                ("        threading.Thread(target=handle_client, args=(client,), daemon=True).start()"),
                (
                    "        with client:\n"
                    "            threading.Thread(target=handle_client, args=(client,), "
                    "daemon=True).start()"
                ),
            ),
        ),
        clue="closed",
    ),
    Wrong(
        "global client",
        "a silent client keeps nobody out",
        source=r"""
import threading
client = None
def handle_client():
    try:
        with client, client.makefile("rb") as reader:
            client.sendall(b"nickname\n")
            nickname = reader.readline().decode("utf-8", "replace").strip()
            client.sendall(f"* you are {nickname}\n".encode())
            while reader.readline():
                pass
    except OSError:
        pass
def serve(listener):
    global client
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=handle_client, daemon=True).start()
""",
        clue="mixed",
    ),
    Wrong(
        "global lock around handshake",
        "a silent client keeps nobody out",
        swaps=(
            (
                (
                    '            client.sendall(b"nickname\\n")\n'
                    '            nickname = reader.readline().decode("utf-8", "replace").strip()\n'
                    '            client.sendall(f"* you are {nickname}\\n".encode())'
                ),
                (
                    "            with lock:\n"
                    '                client.sendall(b"nickname\\n")\n'
                    '                nickname = reader.readline().decode("utf-8", "replace").strip()\n'
                    '                client.sendall(f"* you are {nickname}\\n".encode())'
                ),
            ),
            ("import threading", "import threading\nlock = threading.Lock()"),
        ),
        clue="lock",
    ),
    Wrong(
        "Semaphore 10",
        "forty at once",
        swaps=(
            ("import threading", "import threading\nslots = threading.Semaphore(10)"),
            ("        with client, client", "        with slots, client, client"),
        ),
        clue="lock",
    ),
    Wrong(
        "thread made once, outside",
        "a client that stays keeps nobody out",
        source=r"""
import threading
def serve(listener):
    while True:
        try:
            t = threading.Thread(target=worker, args=(listener,))
            t.start()
            t.join()
            return
        except OSError:
            return
def worker(listener):
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        try:
            with client, client.makefile("rb") as reader:
                client.sendall(b"nickname\n")
                nickname = reader.readline().decode("utf-8", "replace").strip()
                client.sendall(f"* you are {nickname}\n".encode())
                while reader.readline():
                    pass
        except OSError:
            pass
""",
        clue="join",
    ),
    Wrong(
        "pool default",
        "a silent client keeps nobody out",
        swaps=(
            (
                "import threading",
                ("from concurrent.futures import ThreadPoolExecutor\n\npool = ThreadPoolExecutor()"),
            ),
            (
                ("threading.Thread(target=handle_client, args=(client,), daemon=True).start()"),
                "pool.submit(handle_client, client)",
            ),
        ),
        clue="pool",
    ),
    Wrong(
        "peeks nickname in main",
        "asks who connects, and welcomes by nickname",
        swaps=(
            (
                "            return  # the listener is closed",
                (
                    "            return  # the listener is closed\n"
                    "        if not client.recv(1, 2): continue"
                ),
            ),
        ),
        clue="itself",
    ),
    Wrong(
        "listener.listen(1) and accept N",
        "forty at once",
        swaps=(("    while True:", "    for _ in range(10):"),),
        clue="returned",
    ),
    Wrong(
        "not closed when she leaves before her nickname",
        "reads on until the client hangs up; then closes, and the thread ends",
        swaps=(
            (
                (
                    '        with client, client.makefile("rb") as reader:\n'
                    '            client.sendall(b"nickname\\n")\n'
                    '            nickname = reader.readline().decode("utf-8", "replace").strip()\n'
                    '            client.sendall(f"* you are {nickname}\\n".encode())\n'
                    "            while reader.readline():\n"
                    "                pass"
                ),
                (
                    '        reader = client.makefile("rb")\n'
                    '        client.sendall(b"nickname\\n")\n'
                    "        line = reader.readline()\n"
                    "        if not line:\n"
                    "            return\n"
                    '        nickname = line.decode("utf-8", "replace").strip()\n'
                    '        client.sendall(f"* you are {nickname}\\n".encode())\n'
                    "        while reader.readline():\n"
                    "            pass\n"
                    "        client.close()\n"
                    "        reader.close()"
                ),
            ),
            ("import threading", "import threading"),
        ),
        clue="open before",
    ),
    Wrong(
        "async def serve",
        "asks who connects, and welcomes by nickname",
        swaps=(("def serve(listener)", "async def serve(listener)"),),
        clue="returned",
    ),
)
