"""The assignment's own server and client, as plainly as it states them: two lists and all.

A thread for each client. The server asks `nickname`, and keeps each socket in `clients` and its name,
at the same place, in `nicknames`. `handle_client` relays what a client says to all the others, with its
name before it; when reading fails, the client comes off both lists. Bytes go out as they came in: there
is no framing, and no lock.

It has faults, and they are left in: they are what the course is about. Each of these can be shown (the
tests do, in tests/conformance/test_survey.py):

- a client that stops reading stalls the room: `send` waits in the middle of the broadcast;
- two clients can have the same nickname, or an empty one;
- two sends can arrive as one message, and a long one as two;
- a silent newcomer keeps everybody else out: the handshake is done in the accept loop;
- a reset, or bytes that are not UTF-8, in the handshake end that loop for good;
- a clean goodbye is not noticed: `recv` returns b"" again and again, and a core burns;
- a message that is not UTF-8, or a letter cut in two by `recv`, throws its sender out;
- a send that fails in the middle of a broadcast throws out the one who spoke, and those who come after
  the dead one in the list hear nothing;
- both lists change while other threads walk them, and two who leave at once can take away the wrong
  nickname, or none, and die of it.

labkit's own server (server.py) is the same idea with these mended.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from time import monotonic, sleep

HOST, PORT = "localhost", 14901


class ClassicServer:
    """The server. `start` it, or call `receive` and let it run for ever; `port=0` takes a free port."""

    def __init__(self, host: str = HOST, port: int = PORT) -> None:
        self.server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.server.bind((host, port))
        self.server.listen()
        self.address: tuple[str, int] = self.server.getsockname()
        self.clients: list[socket.socket] = []
        self.nicknames: list[str] = []

    def broadcast(self, message: bytes, sender: socket.socket) -> None:
        for client in self.clients:
            if client is not sender:
                client.send(message)

    def handle_client(self, client: socket.socket) -> None:
        while True:
            try:
                message = client.recv(1024).decode()
                nickname = self.nicknames[self.clients.index(client)]
                self.broadcast(f"{nickname}: {message}".encode(), client)
            except (OSError, ValueError):
                index = self.clients.index(client)
                self.clients.remove(client)
                self.nicknames.pop(index)
                client.close()
                break

    def receive(self) -> None:
        while True:
            client, _ = self.server.accept()
            client.send(b"nickname")
            nickname = client.recv(1024).decode()
            self.nicknames.append(nickname)
            self.clients.append(client)
            threading.Thread(target=self.handle_client, args=(client,), daemon=True).start()

    # --- not in the assignment: so that a notebook or a test can end it ---

    _accepting: threading.Thread | None = None

    def start(self) -> ClassicServer:
        self._accepting = threading.Thread(target=self._receive_until_stopped, daemon=True)
        self._accepting.start()
        return self

    def _receive_until_stopped(self) -> None:
        try:
            self.receive()
        except (OSError, ValueError):
            pass  # stopped, or broken by a newcomer; either way nobody can join any more

    def stop(self) -> None:
        """Close everything. Threads that wait in `recv` wake and end.

        One after the other, and each has its moment to come off the two lists: threads that do that at
        the same time can take away the wrong nickname, or fail (notebook 03).
        """
        self._end(self.server)
        if self._accepting is not None:
            self._accepting.join(0.2)  # whoever is just being let in is on the lists by then
        for sock in list(self.clients):
            self._end(sock)
            give_up = monotonic() + 1
            while sock in self.clients and monotonic() < give_up:
                sleep(0.001)

    def _end(self, sock: socket.socket) -> None:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # gone already
        sock.close()

    def __enter__(self) -> ClassicServer:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()


class ClassicClient:
    """The client: `recv_msg` answers the request and shows everything else; `write` says a line.

    `show` is what is done with a message; the assignment prints it.
    """

    def __init__(
        self, nickname: str, address: tuple[str, int] = (HOST, PORT), show: Callable[[str], object] = print
    ) -> None:
        self.nickname = nickname
        self.show = show
        self.client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.client.connect(address)
        self.thread = threading.Thread(target=self.recv_msg, daemon=True)
        self.thread.start()

    def recv_msg(self) -> None:
        while True:
            try:
                message = self.client.recv(1024).decode()
                if message == "nickname":
                    self.client.send(self.nickname.encode())
                elif message:
                    self.show(message)
                else:
                    break
            except (OSError, ValueError):
                break
        self.client.close()

    def write(self, message: str) -> None:
        self.client.send(message.encode())

    def close(self) -> None:
        try:
            self.client.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the server was quicker
        self.thread.join()
