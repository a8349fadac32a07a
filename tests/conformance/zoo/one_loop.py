"""A right server on selectors: one thread, and no call that waits but select."""

from __future__ import annotations

import os
import re
import selectors
import socket

FRAMING = "lines"
FORM = b"%(name)b: %(text)b"
REQUEST = b"nickname"
END = b"\n" if FRAMING == "lines" else b""
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")

selector = selectors.DefaultSelector()


class Peer:
    def __init__(self, sock: socket.socket) -> None:
        self.sock, self.name, self.inbox, self.outbox = sock, b"", b"", bytearray()
        self.too_long = False
        self.tell(REQUEST)

    def tell(self, text: bytes) -> None:
        self.outbox += text + END

    def readable(self) -> None:
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            leave(self, b"vanished")
            return
        if not data:
            leave(self, b"hung up")
        elif FRAMING == "raw":
            self.hear(data)
        else:
            *lines, self.inbox = (self.inbox + data).split(b"\n")
            for line in lines:
                if self.too_long or len(line) > 4095:
                    self.tell(b"! too long")
                else:
                    text = line.removesuffix(b"\r").decode(errors="replace")
                    self.hear(CONTROLS.sub("*", text).encode())
                self.too_long = False
            if len(self.inbox) > 4095:
                self.inbox, self.too_long = b"", True

    def hear(self, text: bytes) -> None:
        if self.name:
            if text:
                to_others(self, FORM % {b"name": self.name, b"text": text})
            return
        name = text.strip()
        if name and all(name != peer.name for peer in peers):
            if FRAMING == "lines":
                to_others(self, b"* %b joined" % name)
            self.name = name
        else:
            if FRAMING == "lines":
                self.tell(b"! try another one")
            self.tell(REQUEST)

    def writable(self) -> None:
        try:
            del self.outbox[: self.sock.send(self.outbox[:65536])]
        except BlockingIOError:
            pass
        except OSError:
            leave(self, b"vanished")


peers: list[Peer] = []


def to_others(sender: Peer, text: bytes) -> None:
    for peer in peers:
        if peer is not sender and peer.name:
            peer.tell(text)


def leave(peer: Peer, how: bytes) -> None:
    selector.unregister(peer.sock)
    peers.remove(peer)
    peer.sock.close()
    if peer.name and FRAMING == "lines":
        to_others(peer, b"* %b left (%b)" % (peer.name, how))


def accept(door: socket.socket) -> None:
    sock, _ = door.accept()
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    peers.append(Peer(sock))
    selector.register(sock, selectors.EVENT_READ, peers[-1])


def main() -> None:
    door = socket.create_server(("127.0.0.1", int(os.environ["PORT"])), backlog=100)
    door.setblocking(False)
    selector.register(door, selectors.EVENT_READ)
    while True:
        for key, events in selector.select():
            if key.data is None:
                accept(door)
            elif events & selectors.EVENT_READ:
                key.data.readable()
            if key.data in peers and events & selectors.EVENT_WRITE:
                key.data.writable()
        for peer in peers:
            write = selectors.EVENT_WRITE if peer.outbox else 0
            selector.modify(peer.sock, selectors.EVENT_READ | write, peer)


main()
