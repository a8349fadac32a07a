"""A right client in one thread, with select: it neither waits in recv, nor in send, nor for its input.

    selecting.py HOST PORT

Its user answers the request.
"""

from __future__ import annotations

import os
import select
import socket
import sys


def main() -> None:
    try:
        sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
    except OSError as error:
        sys.exit(f"cannot connect: {error.strerror}")
    sock.setblocking(False)
    heard = typed = unsent = b""
    typing = True
    while True:
        readers: list[socket.socket | int] = [sock, 0] if typing and len(unsent) < 65536 else [sock]
        ready, free, _ = select.select(readers, [sock] if unsent else [], [])
        try:
            if free:
                unsent = unsent[sock.send(unsent) :]
            if sock in ready:
                data = sock.recv(4096)
                if not data:
                    break
                *lines, heard = (heard + data).split(b"\n")
                for line in lines:
                    text = line.decode(errors="replace")
                    print("nickname, please:" if text == "nickname" else f"[{text}]", flush=True)
            if 0 in ready:
                data = os.read(0, 4096)
                typing = bool(data)
                *lines, typed = (typed + (data or b"\n" * bool(typed))).split(b"\n")
                unsent += b"".join(line + b"\n" for line in lines)
            if not typing and not unsent:
                sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            sys.exit(f"the connection broke: {error.strerror}")
    if typing:
        sys.exit("the server hung up")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
