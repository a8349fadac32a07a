"""Answers to `server` as students write them: right ones in many styles, and wrong ones."""

from labkit.exercises.exercise import Wrong

RIGHT = {
    "one thread that says all, and a queue of events": r"""
import queue, socket, threading

class Peer:
    def __init__(self, sock):
        self.sock = sock
        self.name = None
        self.out = queue.Queue(2000)
        self.slow = False
        threading.Thread(target=self.pump, daemon=True).start()

    def tell(self, text):
        try:
            self.out.put((text + "\n").encode(), timeout=0.4) if not self.slow else None
        except queue.Full:
            self.slow = True
            self.kill()

    def kill(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def pump(self):
        try:
            while True:
                data = self.out.get()
                if data is None:
                    break
                self.sock.sendall(data)
        except OSError:
            pass
        self.kill()
        self.sock.close()


def serve(listener):
    events = queue.Queue(1000)
    peers = {}

    def dispatch():
        while True:
            kind, peer, what = events.get()
            if kind == "line":
                if peer.name is None:
                    name = what
                    key = name.lower()
                    bad = any(c.isspace() or c == ":" for c in name) or len(name) > 32
                    if not name or bad or name[0] in "*!/#[>":
                        peer.tell("! not a nickname")
                        peer.tell("nickname")
                    elif key in peers:
                        peer.tell("! taken")
                        peer.tell("nickname")
                    else:
                        peer.name = name
                        peer.tell(f"* you are {name}, in lobby")
                        for p in peers.values():
                            p.tell(f"* {name} joined")
                        peers[key] = peer
                elif what:
                    for p in list(peers.values()):
                        if p is not peer:
                            p.tell(f"{peer.name}: {what}")
            elif kind == "long":
                peer.tell("! too long")
            else:
                if peer.name is not None:
                    del peers[peer.name.lower()]
                    for p in list(peers.values()):
                        p.tell(f"* {peer.name} left ({what})")
                try:
                    peer.out.put_nowait(None)
                except queue.Full:
                    peer.kill()

    def read(sock):
        peer = Peer(sock)
        peer.tell("nickname")
        buffer, skip = bytearray(), False
        reason = "hung up"
        try:
            while True:
                data = sock.recv(8192)
                if not data:
                    break
                buffer += data
                while True:
                    at = buffer.find(b"\n")
                    if at < 0:
                        break
                    line = bytes(buffer[:at])
                    del buffer[: at + 1]
                    if skip or at + 1 > 4096:
                        skip = False
                        events.put(("long", peer, None))
                        continue
                    if line.endswith(b"\r"):
                        line = line[:-1]
                    text = line.decode("utf-8", "replace")
                    text = "".join(c if c.isprintable() else "\ufffd" for c in text)
                    events.put(("line", peer, text))
                if len(buffer) >= 4096:
                    skip = True
                    buffer.clear()
        except OSError:
            reason = "vanished"
        events.put(("end", peer, reason))

    threading.Thread(target=dispatch, daemon=True).start()
    try:
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=read, args=(sock,), daemon=True).start()
    except OSError:
        pass
""",
}

WRONG = (
    Wrong(
        "tells twice who left",
        "a leaving is told to the others, once, and with its reason",
        swaps=(
            (
                '                self.tell_all(f"* {client.nickname} left ({reason})")',
                (
                    '                self.tell_all(f"* {client.nickname} left ({reason})")\n'
                    '                self.tell_all(f"* {client.nickname} left ({reason})")'
                ),
            ),
        ),
        clue="twice",
    ),
    Wrong(
        "goes on without a listener",
        "serve ends quietly when its listener is closed",
        swaps=(
            (
                "        except OSError:\n            return\n        threading",
                "        except OSError:\n            continue\n        threading",
            ),
        ),
        clue="goes on",
    ),
)
