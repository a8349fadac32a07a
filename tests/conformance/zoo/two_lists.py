"""A right server: a thread for each client, and two lists, as in the assignment. For each client there are
a queue and a thread that sends.
"""

from __future__ import annotations

import os
import queue
import socket
import threading
import unicodedata
from collections.abc import Iterator

FRAMING = "lines"
FORM = "{name}: {text}"
REQUEST = "nickname"
END = "\n" if FRAMING == "lines" else ""
LONGEST = 4096


class Client:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.nickname = ""
        self.room = "lobby"
        self.gone = False
        self.outbox: queue.Queue[bytes | None] = queue.Queue()
        threading.Thread(target=self.write, daemon=True).start()

    def send(self, text: str) -> None:
        if self.gone:
            raise ConnectionError(f"{self.nickname} is gone")
        self.outbox.put((text + END).encode())

    def write(self) -> None:
        try:
            while (data := self.outbox.get()) is not None:
                self.sock.sendall(data)
        except OSError:
            self.gone = True
        self.close()

    def close(self) -> None:
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()


clients: list[Client] = []
nicknames: list[str] = []
lock = threading.Lock()


def read(sock: socket.socket) -> Iterator[bytes | None]:
    """What the client says, a message at a time; None for one that is too long."""
    buffer, skipping = b"", False
    while data := sock.recv(1024):
        if FRAMING == "raw":
            yield data
            continue
        buffer += data
        *lines, buffer = buffer.split(b"\n")
        for line in lines:
            yield None if skipping or len(line) >= LONGEST else line.removesuffix(b"\r")
            skipping = False
        if len(buffer) >= LONGEST:
            buffer, skipping = b"", True


def clean(text: str) -> str:
    return "".join("?" if unicodedata.category(c) in ("Cc", "Cf") else c for c in text)


def broadcast(sender: Client, text: str) -> None:
    with lock:
        for client in list(clients):
            if client is not sender and client.room == sender.room and not client.gone:
                client.send(text)


def notice(about: Client, text: str) -> None:
    """With the lock held."""
    for client in clients:
        if FRAMING == "lines" and client is not about and not client.gone:
            client.send(f"* {about.nickname} {text}")


def ask(client: Client, messages: Iterator[bytes | None]) -> bool:
    """Whether it has a nickname now; it may have hung up instead."""
    client.send(REQUEST)
    for answer in messages:
        nickname = clean((answer or b"").decode(errors="replace").strip())
        with lock:
            if nickname and nickname not in nicknames:
                client.nickname = nickname
                notice(client, "joined")
                clients.append(client)
                nicknames.append(nickname)
                return True
        if FRAMING == "lines":
            client.send("! not that one")
        client.send(REQUEST)
    return False


def talk(client: Client, messages: Iterator[bytes | None]) -> None:
    for message in messages:
        text = "" if message is None else message.decode(errors="replace")
        if message is None:
            client.send("! too long")
        elif FRAMING == "lines" and text.startswith("/"):
            command(client, text)
        elif text:
            said = clean(text) if FRAMING == "lines" else text
            broadcast(client, FORM.format(name=client.nickname, text=said))


def command(client: Client, text: str) -> None:
    word, _, rest = text.partition(" ")
    if word == "/who":
        client.send("* here: " + ", ".join(nicknames))
    elif word == "/join":
        client.room = rest
        client.send(f"* you are in {rest} now")
    elif word == "/msg":
        nickname, _, said = rest.partition(" ")
        with lock:
            for other in clients:
                if other.nickname == nickname:
                    other.send(f"{client.nickname} -> you: {clean(said)}")


def leave(client: Client, reason: str) -> None:
    with lock:
        if client in clients:
            clients.remove(client)
            nicknames.remove(client.nickname)
            notice(client, f"left ({reason})")
    client.gone = True
    client.outbox.put(None)


def handle_client(sock: socket.socket) -> None:
    client, messages, reason = Client(sock), read(sock), "hung up"
    try:
        if ask(client, messages):
            talk(client, messages)
    except OSError:
        reason = "vanished"
    finally:
        leave(client, reason)


def receive() -> None:
    while True:
        sock, _ = server.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=handle_client, args=(sock,), daemon=True).start()


server = socket.create_server(("127.0.0.1", int(os.environ["PORT"])), backlog=100)
receive()
