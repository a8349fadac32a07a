"""A right client in two threads: it asks for the nickname first, and answers the request itself.

    threads.py HOST PORT [FAULT]

With the name of a fault it has that one. Each fault is marked where it is: `has("…")`.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator

HOST, PORT = sys.argv[1], int(sys.argv[2])
FAULT = sys.argv[3] if len(sys.argv) > 3 else ""


def has(fault: str) -> bool:
    return fault == FAULT


class Client:
    def __init__(self, nickname: str) -> None:
        self.nickname = nickname
        self.sock = socket.create_connection((HOST, PORT))
        if has("keeps the timeout"):
            self.sock.settimeout(2)
        if has("does not wait for the request"):
            self.sock.sendall(f"{nickname}\n".encode())
        self.asked = 0  # times that the server has asked for a nickname
        self.input_ended = self.at_the_end = False
        self.heard = threading.Event()  # something, since the last line was sent
        self.sending = threading.Lock()
        self.held: list[str] = []  # lines to be shown after Enter
        self.queue: queue.Queue[str] = queue.Queue()

    # --- the receiving thread ---

    def receive(self) -> None:
        try:
            self.receive_lines()
            why = "the server hung up"
        except OSError as error:
            if has("reset kills the thread") and self.asked:
                raise
            if has("reset in the handshake kills the thread") and not self.asked:
                raise
            why = f"the connection broke: {error.strerror}"
        if self.input_ended:
            return
        if has("says the end and stays"):
            print(why, flush=True)
            return
        print(why, flush=True)
        os._exit(1)  # the main thread waits for its input

    def receive_lines(self) -> None:
        rest = b""
        while True:
            chunk = self.sock.recv(65536)
            if not chunk:
                return self.ended(rest)
            self.heard.set()
            if (
                has("only whole lines in a recv of lines")
                and not rest
                and chunk.endswith(b"\n")
                and self.asked
            ):
                chunk = chunk.partition(b"\n")[0] + b"\n"
            if has("decodes what recv brings"):
                chunk = chunk.decode(errors="replace").encode()
            if has("keeps one piece") and self.asked and b"\n" not in chunk:
                rest = b""
            *lines, rest = (rest + chunk).split(b"\n")
            if has("forty lines") and len(lines) > 40:
                lines = lines[:40]
            for line in lines:
                if self.take(line, chunk):
                    rest = b""
                    break

    def ended(self, rest: bytes) -> None:
        """FIN has come."""
        if has("no end in the handshake") and not self.asked or has("no end in a line") and rest:
            threading.Event().wait()
        while has("a circle of words") and self.asked and not rest and not self.input_ended:
            self.show("it said: " + self.sock.recv(1024).decode())
        if has("no end") and self.asked and not rest and not self.input_ended:
            threading.Event().wait()
        if has("a traceback at the end") and self.asked and not rest and not self.input_ended:
            try:
                print(b""[0])
            except IndexError:
                traceback.print_exc()
                os._exit(1)

    def take(self, line: bytes, chunk: bytes) -> bool:
        """What a line is; True: forget what came behind it."""
        text = line.decode(errors="strict" if has("decodes strictly") else "replace").rstrip("\r")
        if has("decodes Latin-1"):
            text = line.decode("latin-1")
        if text == "nickname" or has("any line with the word") and "nickname" in text:
            self.answer(line, chunk)
            if has("shows the request"):
                self.show(text)
            return has("forgets what is behind the request")
        if text.startswith("!") and has("hides refusals"):
            return False
        if has("splits at the colon") and not text.startswith("!"):
            name, said = text.split(": ")
            text = f"{name}: {said}"
        if has("no long lines") and len(text) > 2048:
            return False
        self.show(text)
        return False

    def answer(self, line: bytes, chunk: bytes) -> None:
        if has("answers no request") or has("the request in one recv") and line + b"\n" not in chunk:
            self.asked += 1
            return
        if self.asked and line == b"nickname" and not has("the same nickname again"):
            print("another nickname: ", flush=True)
        else:
            self.sock.sendall(f"{self.nickname}\n".encode())
        self.asked += 1

    def show(self, text: str) -> None:
        if has("hides its own nickname") and text.startswith(self.nickname):
            return
        if has("hides whoever speaks to it") and self.nickname in text:
            return
        if has("a line is a format"):
            text = text % ()
        if has("shows a little later"):
            threading.Timer(0.2, print, [text], {"flush": True}).start()
            return
        if has("shows after Enter"):
            self.held.append(text)
            return
        with self.sending if has("shows under the sender's lock") else contextlib.nullcontext():
            print(text, flush=True)

    # --- the main thread ---

    def run(self) -> None:
        receiver = threading.Thread(target=self.receive, daemon=True)
        receiver.start()
        if has("a queue that is not emptied"):
            threading.Thread(target=self.send_queued, daemon=True).start()
        for line in self.lines():
            if has("an empty line ends") and not line:
                break
            self.say(line)
        self.input_ended = True
        if has("the end of its input is a traceback"):
            raise EOFError
        if has("a queue that is not emptied"):
            os._exit(0)
        if not has("no goodbye"):
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_WR)
        if has("a circle at the end"):
            while receiver.is_alive():
                pass
        receiver.join()
        if has("waits for ever"):
            threading.Event().wait()

    def lines(self) -> Iterator[str]:
        rest = b""
        while data := os.read(0, 65536):
            *lines, rest = (rest + data).split(b"\n")
            if has("all that is read is one message") and len(lines) > 1:
                lines = [b" ".join(lines)]
            yield from (line.decode(errors="replace") for line in lines)
        if rest and not has("no last line without LF"):
            self.at_the_end = True
            yield rest.decode(errors="replace")

    def say(self, text: str) -> None:
        for _ in range(len(self.held)):  # what comes while it prints waits for the next Enter
            print(self.held.pop(0), flush=True)
        if has("cuts a text"):
            text = text[:1000]
        if has("word by word"):
            text = text.replace(" ", "\n")
        data = text.encode("ascii", "replace") if has("sends ASCII") else text.encode()
        if not has("no LF"):
            data += b"\n"
        if has("a queue that is not emptied") and not self.at_the_end:
            return self.queue.put(text)
        self.heard.clear()
        try:
            with self.sending:
                self.sock.sendall(data)
                if has("sends twice") and len(data) < 900:
                    self.sock.sendall(data)
                if has("another sender for each request") and self.asked > 1:
                    self.sock.sendall(data)
        except OSError:
            return  # the receiving thread tells it
        if has("waits for an answer"):
            self.heard.wait()

    def send_queued(self) -> None:
        while True:
            text = self.queue.get()
            if self.queue.empty():
                time.sleep(0.3)
            self.sock.sendall(f"{text}\n".encode())


def nickname() -> str:
    print("your nickname: ", end="", flush=True)
    name = b""
    while (byte := os.read(0, 1)) not in (b"", b"\n"):
        name += byte
    return name.decode()


def main() -> None:
    name = nickname()
    try:
        client = Client(name)
    except OSError as error:
        if has("no connection is a traceback"):
            raise
        sys.exit(f"no server at {HOST}:{PORT}: {error.strerror}")
    try:
        client.run()
    except KeyboardInterrupt:
        if has("Ctrl-C is a traceback"):
            raise
        if has("Ctrl-C is not heeded"):
            threading.Event().wait()


if __name__ == "__main__":
    main()
