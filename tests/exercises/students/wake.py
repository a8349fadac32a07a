"""Answers to `wake` as students write them: right ones in many styles, and wrong ones."""

from labkit.exercises.exercise import Wrong

RIGHT = {
    "no `with`, shutdown in a try": r"""
import socket, threading
class Greeter:
    def __init__(self, port=0):
        self.listener = socket.create_server(("127.0.0.1", port))
        self.address = self.listener.getsockname()
        self.thread = threading.Thread(target=self.greet_clients)
        self.started = False
    def start(self):
        self.started = True
        self.thread.start()
    def greet_clients(self):
        while True:
            try:
                conn, addr = self.listener.accept()
            except OSError:
                break
            try:
                conn.send("* hello\n".encode())
            except OSError as e:
                pass
            finally:
                conn.close()
    def stop(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        if self.started:
            self.thread.join()
""",
    "a subclass of Thread": r"""
import socket, threading
class Greeter(threading.Thread):
    def __init__(self, port=0):
        super().__init__(daemon=True)
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind(("127.0.0.1", port))
        self.sock.listen(16)
        self.address = self.sock.getsockname()
        self.sock.settimeout(0.1)
        self.ended = threading.Event()
    def run(self):
        while not self.ended.is_set():
            try:
                c, _ = self.sock.accept()
            except OSError:
                continue
            try:
                with c:
                    c.setblocking(True)
                    c.sendall(b"* hello\n")
            except ConnectionError:
                print("gone")
    def stop(self):
        self.ended.set()
        if self.ident is not None:
            self.join()
        self.sock.close()
""",
    "asyncio in a thread": r"""
import asyncio, threading
class Greeter:
    def __init__(self, port=0):
        self.port, self.thread = port, None
    def start(self):
        ready = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.main(ready)))
        self.thread.start()
        ready.wait()
    async def main(self, ready):
        self.loop, self.end = asyncio.get_running_loop(), asyncio.Event()
        async def greet(reader, writer):
            try:
                writer.write(b"* hello\n")
                await writer.drain()
                writer.close()
                await writer.wait_closed()
            except OSError:
                pass
        server = await asyncio.start_server(greet, "127.0.0.1", self.port)
        self.address = server.sockets[0].getsockname()
        ready.set()
        await self.end.wait()
        server.close()
    def stop(self):
        if self.thread and self.thread.is_alive():
            self.loop.call_soon_threadsafe(self.end.set)
            self.thread.join()
""",
}

WRONG = (
    Wrong(
        "a flag that nobody sees while it waits",
        "stop() ends the waiting for newcomers",
        swaps=(
            ("        while True:\n", "        self.on = True\n        while self.on:\n"),
            (
                "            self.listener.shutdown(socket.SHUT_RDWR)  "
                "# wakes accept (if not on Linux, close does)\n",
                "            self.on = False\n",
            ),
        ),
        clue="does not come back",
    ),
    Wrong(
        "says goodbye instead",
        "greets each client, and hangs up",
        swaps=(('b"* hello\\n"', 'b"* goodbye\\n"'),),
        clue="other words",
    ),
    Wrong(
        "a client that is gone ends the loop",
        "a client that is gone already does no harm",
        swaps=(
            (
                "            with client, contextlib.suppress(OSError):  # it may be gone already\n"
                '                client.sendall(b"* hello\\n")\n',
                "            try:\n                with client:\n"
                '                    client.sendall(b"* hello\\n")\n'
                "            except OSError:\n                return\n",
            ),
        ),
        clue="gone",
    ),
)
