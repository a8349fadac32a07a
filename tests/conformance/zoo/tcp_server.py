"""A right server on socketserver.ThreadingTCPServer: a dict of people, a Condition to wake who sends."""

from __future__ import annotations

import os
import socketserver
import threading

FRAMING = "lines"
FORM = "{name}: {text}"
REQUEST = b"nickname"
END = b"\n" if FRAMING == "lines" else b""

people: dict[str, Handler] = {}
changed = threading.Condition()  # guards people, and each one's `waiting`


class Handler(socketserver.BaseRequestHandler):
    def setup(self) -> None:
        self.name, self.rest, self.waiting, self.over = "", b"", bytearray(), False
        self.sender = threading.Thread(target=self.send_all, daemon=True)
        self.sender.start()

    def send_all(self) -> None:
        while True:
            with changed:
                changed.wait_for(lambda: self.waiting or self.over)
                data, self.waiting = bytes(self.waiting), bytearray()
            if not data:
                return
            try:
                self.request.sendall(data)
            except OSError:
                return

    def tell(self, text: bytes) -> None:
        """With the lock held."""
        self.waiting += text + END
        changed.notify_all()

    def message(self) -> bytes | None:
        """The next one; None at the end. One that is too long is refused."""
        if FRAMING == "raw":
            return self.request.recv(4096) or None
        too_long = False
        while True:
            line, found, rest = self.rest.partition(b"\n")
            if found:
                self.rest = rest
                if not too_long and len(line) < 4096:
                    return line.rstrip(b"\r")
                too_long = False
                with changed:
                    self.tell(b"! that was too long")
                continue
            if len(line) > 4096:
                too_long, self.rest = True, b""
            data = self.request.recv(4096)
            if not data:
                return None
            self.rest += data

    def handle(self) -> None:
        how = "hung up"
        with changed:
            self.tell(REQUEST)
        try:
            while (message := self.message()) is not None:
                text = message.decode("utf-8", "backslashreplace")
                if FRAMING == "lines":
                    text = "".join(c if c.isprintable() else "_" for c in text)
                with changed:
                    self.hear(text)
        except OSError:
            how = "vanished"
        with changed:
            if people.pop(self.name, None) and FRAMING == "lines":
                self.tell_others(f"* {self.name} left ({how})")

    def hear(self, text: str) -> None:
        """With the lock held."""
        if self.name:
            if text:
                self.tell_others(FORM.format(name=self.name, text=text))
        elif (name := text.strip()) and name not in people:
            self.name = name
            if FRAMING == "lines":
                self.tell_others(f"* {name} joined")
            people[name] = self
        else:
            if FRAMING == "lines":
                self.tell(b"! that is no name, or another's")
            self.tell(REQUEST)

    def tell_others(self, text: str) -> None:
        for other in people.values():
            if other is not self:
                other.tell(text.encode())

    def finish(self) -> None:
        with changed:
            self.over = True
            changed.notify_all()
        self.sender.join()


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 100


Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
