"""Answers to `client` as students write them: right ones in many styles, and wrong ones."""

from labkit.exercises.exercise import Wrong

RIGHT = {
    "selectors, and a pair of sockets for the keyboard": r"""
import selectors, socket, threading
def run_client(address, keyboard, show):
    try:
        s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        s.connect(address)
    except OSError as e:
        show("* cannot connect: %s" % e)
        return
    ours, theirs = socket.socketpair()
    def pump():
        try:
            while True:
                l = keyboard.readline()
                if l == "":
                    break
                theirs.sendall(l.rstrip("\r\n").encode("utf-8") + b"\n")
            theirs.shutdown(socket.SHUT_WR)
        except OSError:
            pass
    threading.Thread(target=pump, daemon=True).start()
    sel = selectors.DefaultSelector()
    sel.register(s, selectors.EVENT_READ, "net")
    sel.register(ours, selectors.EVENT_READ, "kbd")
    buf = b""
    bye = False
    try:
        while True:
            for key, _ in sel.select():
                if key.data == "kbd":
                    data = ours.recv(65536)
                    if data:
                        s.sendall(data)
                    else:
                        bye = True
                        sel.unregister(ours)
                        s.shutdown(socket.SHUT_WR)
                else:
                    data = s.recv(65536)
                    if not data:
                        if not bye:
                            show("* server closed the connection")
                        return
                    buf += data
                    while b"\n" in buf:
                        line, buf = buf.split(b"\n", 1)
                        if line != b"nickname":
                            show(line.decode("utf-8", "replace"))
    except OSError:
        if not bye:
            show("* server vanished")
    finally:
        for thing in (sel, s, ours, theirs):
            thing.close()
""",
    "a class, an enum and match": r"""
import enum, socket, threading, queue
class End(enum.Enum):
    INPUT = 1
    SERVER = 2
class Chat:
    def __init__(self, sock, keyboard, show):
        self.sock, self.keyboard, self.show = sock, keyboard, show
        self.said_bye = False
    def type(self):
        try:
            for line in iter(self.keyboard.readline, ""):
                self.sock.sendall((line if line.endswith("\n") else line + "\n").encode())
            self.said_bye = True
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            return
    def listen(self):
        with self.sock.makefile("rb") as f:
            while True:
                line = f.readline()
                if not line.endswith(b"\n"):
                    return End.SERVER
                text = line[:-1].decode("utf8", "replace")
                match text:
                    case "nickname":
                        pass
                    case _:
                        self.show(text)
    def go(self):
        threading.Thread(target=self.type, daemon=True).start()
        try:
            self.listen()
        except ConnectionError:
            pass
        if not self.said_bye:
            self.show("* connection lost")
        self.sock.close()
def run_client(address, keyboard, show):
    try:
        sock = socket.create_connection(address, 5)
        sock.settimeout(None)
    except OSError:
        show("* nobody there")
    else:
        Chat(sock, keyboard, show).go()
""",
}

WRONG = (
    Wrong(
        "shows each line twice",
        "shows what comes, and sends what is typed",
        swaps=(("                show(line)", "                show(line)\n                show(line)"),),
        clue="shown twice",
    ),
)
