"""Answers to `limit` as students write them: right ones in many styles, and wrong ones."""

from labkit.exercises.exercise import Wrong

RIGHT = {
    "an event, and a list": r"""
import threading
class Lines:
    def __init__(self, limit):
        self.limit = limit
        self.items = []
        self.event = threading.Event()
        self.guard = threading.RLock()
        self.closed = False
    def put(self, line):
        with self.guard:
            if self.closed:
                return False
            if len(self.items) == self.limit:
                return False
            self.items.append(line)
            self.event.set()
            return True
    def next(self):
        while True:
            self.event.wait()
            with self.guard:
                if self.items:
                    return self.items.pop(0)
                if self.closed:
                    return None
                self.event.clear()
    def close(self):
        with self.guard:
            self.closed = True
            self.event.set()
""",
    "subclass of Queue, one place more for the end": r"""
import queue, threading
class Lines(queue.Queue):
    def __init__(self, limit):
        super().__init__(limit + 1)
        self._limit = limit
        self._open = True
        self._l = threading.Lock()
    def put(self, line, block=False, timeout=None):
        with self._l:
            if not self._open or self.qsize() >= self._limit:
                return False
            super().put(line, block)
            return True
    def next(self):
        return self.get()
    def close(self):
        with self._l:
            if self._open:
                self._open = False
                super().put(None)
""",
    "closures, and a deque with maxlen": r"""
import collections, threading, types
def Lines(limit):
    lines = collections.deque(maxlen=limit)
    cond = threading.Condition()
    state = {"open": True}
    def put(line):
        with cond:
            if len(lines) < limit and state["open"]:
                lines.append(line)
                cond.notify()
                return True
        return False
    def next():
        with cond:
            cond.wait_for(lambda: len(lines) > 0 or not state["open"])
            try:
                return lines.popleft()
            except IndexError:
                return None
    def close():
        with cond:
            state["open"] = False
            cond.notify()
    return types.SimpleNamespace(put=put, next=next, close=close)
""",
}

WRONG = (
    Wrong(
        "a deque with maxlen, and nothing else",
        "when `limit` lines wait, put says False",
        source="""
        import threading
        from collections import deque


        class Lines:
            def __init__(self, limit):
                self.lines, self.there, self.open = deque(maxlen=limit), threading.Semaphore(0), True

            def put(self, line):
                if not self.open:
                    return False
                self.lines.append(line)
                self.there.release()
                return True

            def next(self):
                self.there.acquire()
                return self.lines.popleft() if self.lines else None

            def close(self):
                self.open = False
                self.there.release()
        """,
        clue="no end",
    ),
    Wrong(
        "says 1 for True",
        "lines come out as they went in, the oldest first",
        swaps=(("            return True\n", "            return 1\n"),),
        clue="no bool",
    ),
    Wrong(
        "a list, and no waiting",
        "next() waits until there is a line",
        source="""
        class Lines:
            def __init__(self, limit):
                self.limit, self.lines = limit, []

            def put(self, line):
                if len(self.lines) >= self.limit:
                    return False
                self.lines.append(line)
                return True

            def next(self):
                return self.lines.pop(0)

            def close(self):
                pass
        """,
        clue="IndexError",
    ),
    Wrong(
        "the end mark comes first",
        "close: what waits still comes, and then None",
        source="""
        import threading


        class Lines:
            def __init__(self, limit):
                self.limit, self.lines, self.open = limit, [], True
                self.news = threading.Condition()

            def put(self, line):
                with self.news:
                    if not self.open or len(self.lines) >= self.limit:
                        return False
                    self.lines.append(line)
                    self.news.notify()
                    return True

            def next(self):
                with self.news:
                    self.news.wait_for(lambda: self.lines or not self.open)
                    return self.lines.pop(0) if self.open else None

            def close(self):
                with self.news:
                    self.open = False
                    self.news.notify()
        """,
        clue="lost",
    ),
)
