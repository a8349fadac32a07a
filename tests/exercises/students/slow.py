"""Answers to `slow` as students write them: right ones in many styles, and wrong ones."""

from labkit.exercises.exercise import Wrong

RIGHT = {
    "a deque, an event and a lock": r"""
import collections, socket, threading, time
class Outbox:
    def __init__(self, sock, limit):
        self.sock, self.limit = sock, limit
        self.box = collections.deque()
        self.mutex = threading.Lock()
        self.something = threading.Event()
        self.done = False
        self.dead = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
    def run(self):
        while True:
            self.something.wait()
            with self.mutex:
                if self.box:
                    line = self.box.popleft()
                elif self.done:
                    return
                else:
                    self.something.clear()
                    continue
            try:
                self.sock.sendall(line)
            except OSError:
                self.die()
                return
    def die(self):
        with self.mutex:
            self.dead = self.done = True
            self.box.clear()
            self.something.set()
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
    def put(self, line):
        with self.mutex:
            if self.done:
                return False
            full = len(self.box) >= self.limit
            if not full:
                self.box.append(line)
                self.something.set()
        if full:
            self.die()
        return not full
    def close(self):
        with self.mutex:
            self.done = True
            self.something.set()
        self.thread.join(0.6)
        if self.thread.is_alive():
            self.die()
            self.thread.join(1)
""",
}

WRONG = (
    Wrong(
        "one line less than limit",
        "when `limit` lines wait, the client is given up, and no other",
        swaps=(("self.lines.qsize() < self.limit", "self.lines.qsize() < self.limit - 1"),),
        clue="too early",
    ),
    Wrong(
        "sends each line twice",
        "a line that is put arrives",
        swaps=(
            ("self.sock.sendall(line)", "self.sock.sendall(line)\n                self.sock.sendall(line)"),
        ),
        clue="twice",
    ),
    Wrong(
        "put returns None instead of False",
        "when `limit` lines wait, the client is given up, and no other",
        swaps=(("        self.give_up()\n        return False", "        self.give_up()"),),
        clue="returns None",
    ),
)
