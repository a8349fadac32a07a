"""The assignment's own server (classic.py), except that a message is a line.

    python -m labkit.peers.classic_lines --port 0

The two lists, the accept loop and the sends are its own, and so are its faults: one thread for each
client sends to all the others itself, one line after the other, and waits for each. Only what is said after
the handshake is cut into lines: else lines run together, and a load could not count which have arrived.

It is here to be measured, not to be imitated: it fails two thirds of `python -m labkit check server`.
"""

from __future__ import annotations

import argparse
import contextlib
import socket

from labkit.classic import HOST, PORT, ClassicServer


class ClassicWithLines(ClassicServer):
    """The assignment's server, but a message is a line. The lists, the loop and the sends are its own."""

    def handle_client(self, client: socket.socket) -> None:
        rest = b""
        while True:
            try:
                *lines, rest = (rest + client.recv(1024)).split(b"\n")
                nickname = self.nicknames[self.clients.index(client)].strip()
                for line in lines:
                    self.broadcast(f"{nickname}: {line.decode()}\n".encode(), client)
            except (OSError, ValueError):
                index = self.clients.index(client)
                self.clients.remove(client)
                self.nicknames.pop(index)
                client.close()
                break


def main() -> None:
    parser = argparse.ArgumentParser(description="The assignment's own chat server, with line ends.")
    parser.add_argument("--host", default=HOST)
    parser.add_argument("--port", type=int, default=PORT, help="0 takes a free one")
    options = parser.parse_args()
    server = ClassicWithLines(options.host, options.port)
    print("listening on {}:{}".format(*server.address), flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.receive()


if __name__ == "__main__":
    main()
