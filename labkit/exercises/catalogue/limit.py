"""Exercise `limit`: lines that wait, and no more of them than may. A first part of `slow`."""

from __future__ import annotations

from typing import Any

from labkit.exercises.bench.bench import SOON, Bench, Running, at_rest
from labkit.exercises.exercise import Exercise, Step, Wrong
from labkit.probe.failed import CheckFailed

TASK = """
A client's thread sends what waits for that client; others put lines down for it. Write `Lines`: what stands
between them. There is no socket in it. It is the first part of `slow`, where a thread takes the lines and
sends them.

- `Lines(limit)`: so many lines may wait, at least 1.
- `.put(line)` never waits. `True`: the line is taken. `False`: it is not, because `limit` lines wait, or
  because of `close`. When there is room again, a line is taken again.
- `.next()` returns the line that has waited longest. If there is none, it waits for one. After `close` it
  returns what still waits, and then `None`, once.
- `.close()`: no more lines. It never waits; a thread that waits in `next` wakes.

Several threads may call `put` at the same time; one thread calls `next`.
"""

ANSWER = '''
import queue
import threading


class Lines:
    """Lines that wait for one client: a queue with an end."""

    def __init__(self, limit: int):
        ### BEGIN SOLUTION
        self.limit = limit
        self.lines = queue.SimpleQueue()  # lines, and None behind the last
        self.ended = False
        self.lock = threading.Lock()  # guards `ended`: no line gets behind the None
        ### END SOLUTION

    def put(self, line: bytes) -> bool:
        """Never waits. False: the line is not taken."""
        ### BEGIN SOLUTION
        with self.lock:
            if self.ended or self.lines.qsize() >= self.limit:
                return False
            self.lines.put(line)
            return True
        ### END SOLUTION

    def next(self) -> bytes | None:
        """Waits for a line. None: closed, and all lines were taken."""
        ### BEGIN SOLUTION
        return self.lines.get()
        ### END SOLUTION

    def close(self) -> None:
        """No more lines."""
        ### BEGIN SOLUTION
        with self.lock:
            self.ended = True
            self.lines.put(None)
        ### END SOLUTION
'''

ONE, TWO, THREE, FOUR = (f"{word}\n".encode() for word in ("one", "two", "three", "four"))


class Waiting:
    """A `Lines` of the student's, with so many that may wait."""

    def __init__(self, bench: Bench, limit: int = 10) -> None:
        self.bench = bench
        bench.said(f"Lines({limit})")
        self.lines = bench.code(limit)

    def put(self, line: bytes) -> bool:
        """What `put` returns for this line. Raises CheckFailed if it waits."""
        call = f"put({line!r})"
        answer = self._call(self.lines.put, line).result(f"{call} comes back at once")
        self.bench.said(f"{call}: {answer!r}")
        if not isinstance(answer, bool):
            clue = "no bool" if answer is not None else "returns None"
            raise CheckFailed(f"{call} says True or False", f"it said {answer!r}", clue)
        return answer

    def takes(self, line: bytes, clue: str) -> None:
        """Put a line that must be taken."""
        self.bench.expect(self.put(line), f"put({line!r}) says True", "it said False", clue)

    def asks(self) -> Running:
        """Call `next`, in a thread of its own."""
        return self._call(self.lines.next)

    def gives(self, line: bytes | None, clue: str, asked: Running | None = None) -> None:
        """`next` returns this."""
        value = (asked or self.asks()).result(f"next() returns {line!r}")
        self.bench.said(f"next(): {value!r}")
        self.bench.expect(value == line, f"next() returns {line!r}", f"it returned {value!r}", clue)

    def asks_and_waits(self) -> Running:
        """A call of `next` that waits, for there is no line."""
        asked = self.asks()
        at_rest(lambda: [asked.thread] * asked.thread.is_alive(), SOON / 2)
        if asked.ended(0):
            value = asked.result("next() waits")
            raise CheckFailed("next() waits until there is a line", f"it returned {value!r}", "too soon")
        return asked

    def close(self) -> None:
        self.bench.said("close()")
        self._call(self.lines.close).result("close() comes back at once")

    def _call(self, method: Any, *arguments: Any) -> Running:
        return self.bench.thread(method, *arguments, name=method.__name__)


# --- the steps ---


def in_order(bench: Bench) -> None:
    waiting = Waiting(bench)
    for line in (ONE, TWO, THREE):
        waiting.takes(line, "not taken")
    for line in (ONE, TWO, THREE):
        waiting.gives(line, "")


def waits(bench: Bench) -> None:
    waiting = Waiting(bench)
    asked = waiting.asks_and_waits()
    waiting.takes(ONE, "not taken")
    waiting.gives(ONE, "", asked)


def has_an_end(bench: Bench) -> None:
    waiting = Waiting(bench, limit=2)
    waiting.takes(ONE, "too early")
    waiting.takes(TWO, "too early")
    expected = "2 lines wait, and 2 may: put(b'three\\n') says False"
    bench.expect(not waiting.put(THREE), expected, "it said True", "no end")
    waiting.gives(ONE, "drops")
    waiting.takes(FOUR, "for ever")
    waiting.gives(TWO, "drops")
    waiting.gives(FOUR, "drops")


def closes(bench: Bench) -> None:
    waiting, full = Waiting(bench), Waiting(bench, limit=2)
    for lines in (waiting, full):
        lines.takes(ONE, "not taken")
        lines.takes(TWO, "not taken")
    waiting.close()
    waiting.gives(ONE, "lost")
    bench.expect(not waiting.put(THREE), "after close(), put says False", "it said True", "after")
    waiting.gives(TWO, "lost")
    waiting.gives(None, "more")
    try:
        full.close()
    except CheckFailed as failed:
        raise CheckFailed(failed.expected, failed.seen, "full") from None
    for line in (ONE, TWO, None):
        full.gives(line, "lost")


def wakes(bench: Bench) -> None:
    waiting = Waiting(bench)
    asked = waiting.asks_and_waits()
    waiting.close()
    waiting.gives(None, "", asked)


LOOK = """            if self.ended or self.lines.qsize() >= self.limit:
                return False
            self.lines.put(line)
            return True
"""
"""How the answer's put looks at the limit."""

NO_WAKER = """
import threading


class Lines:
    def __init__(self, limit):
        self.limit, self.lines, self.open = limit, [], True
        self.changed = threading.Condition()

    def put(self, line):
        with self.changed:
            if not self.open or len(self.lines) >= self.limit:
                return False
            self.lines.append(line)
            self.changed.notify()
            return True

    def next(self):
        with self.changed:
            if self.open:
                self.changed.wait_for(lambda: self.lines)
            return self.lines.pop(0) if self.lines else None

    def close(self):
        self.open = False
"""

EXERCISE = Exercise(
    name="limit",
    title="no more lines wait than may",
    chapter="07_slow_readers",
    wants="Lines",
    task=TASK,
    answer=ANSWER,
    steps=(
        Step(
            "lines come out as they went in, the oldest first",
            in_order,
            hints=(
                "Compare what was put with what next() returned. Which line do you take out?",
                "First in, first out: queue.SimpleQueue, or a deque with append and popleft.",
            ),
            hints_by_clue={
                "does not come back": (
                    "Lines wait, and a call does not come back. What does it wait for?",
                    "put adds a line and returns True; next takes the oldest one.",
                ),
                "not taken": (
                    "There was room. Why was this line not taken?",
                    "return False only where as many wait as may, or after close.",
                ),
                "no bool": (
                    "What came back is neither True nor False. What does it mean for who called put?",
                    "return True",
                ),
                "returns None": (
                    "put must say whether it took the line. What does it return?",
                    "A function that comes to its end without a return returns None: return True.",
                ),
            },
        ),
        Step(
            "next() waits until there is a line",
            waits,
            hints=(
                "A line was put while next() waited. Which one came out?",
                "next() returns the line that was put, as it is.",
            ),
            hints_by_clue={
                "too soon": (
                    "No line was there. What would a thread that sends do with what it got?",
                    "get() of a queue waits for a line; a Condition has wait_for.",
                ),
                "Empty": (
                    "queue.Empty says that no line is there. Who should wait for one?",
                    "get() waits; get_nowait() does not.",
                ),
                "IndexError": (
                    "The list was empty. Who should wait until it is not?",
                    "A queue's get() waits; with a list it takes a Condition and its wait_for.",
                ),
                "does not come back": (
                    "A line was put, and the thread in next() still waits. Who tells it?",
                    "A queue's put wakes who waits in get. A Condition has to be notified.",
                ),
            },
        ),
        Step(
            "when `limit` lines wait, put says False",
            has_an_end,
            hints=(
                "How many lines wait, how many may, and what did put say?",
                "if self.lines.qsize() >= self.limit: return False",
            ),
            hints_by_clue={
                "no end": (
                    "Nobody takes lines, and you keep each. How much memory has a server?",
                    "Look at how many lines wait before you take one more.",
                ),
                "does not come back": (
                    "The queue is full, and put waits until there is room. Who would make some?",
                    "put never waits: put_nowait raises queue.Full at once; or look at qsize() first.",
                ),
                "Full": (
                    "queue.Full says that too many lines wait. Who should hear that, and in which form?",
                    "except queue.Full: return False",
                ),
                "too early": (
                    "How many lines may wait, and how many did when put said False?",
                    "`limit` lines may wait: the next one may not.",
                ),
                "drops": (
                    "True says that the line will come out. Which of them did you throw away?",
                    "A line that was taken stays; the one that has no room is not taken: False.",
                ),
                "for ever": (
                    "A line was taken out, so there is room. What does put remember of the time before?",
                    "Look at how many lines wait now.",
                ),
            },
            points=2,
        ),
        Step(
            "close: what waits still comes, and then None",
            closes,
            hints=(
                "Two lines waited when close was called. What did next() return, call by call?",
                "Put an end mark behind the lines, and let next() come to it: put(None).",
            ),
            hints_by_clue={
                "lost": (
                    "Lines were waiting when close was called. What became of them?",
                    "close throws nothing away: it says that nothing more comes.",
                ),
                "after": (
                    "The lines are closed. What does put look at before it takes one?",
                    "self.ended = True in close; and put returns False where that is so.",
                ),
                "more": (
                    "All lines were taken. What came after them?",
                    "After the last line next() returns None.",
                ),
                "full": (
                    "As many lines wait as may, and close does not come back. What does it wait for?",
                    "put(None) waits on a full queue. Count the lines yourself, and let it have no end.",
                ),
                "Full": (
                    "The queue was full when close put its end mark into it. Must the mark have room?",
                    "Count the lines yourself, and let the queue have no end: then None has room.",
                ),
                "does not come back": (
                    "All lines were taken. What does next() wait for now?",
                    "It waits in get() for the next line: put(None) tells it that there is none.",
                ),
            },
        ),
        Step(
            "close wakes a thread that waits in next()",
            wakes,
            hints=(
                "A thread waits in next(), and then comes close. What returned?",
                "It returns None: nothing more comes.",
            ),
            hints_by_clue={
                "does not come back": (
                    "A thread waits in next() for a line, and none will come. Who tells it?",
                    "An end mark in the queue does: put(None). A Condition has notify_all.",
                ),
            },
        ),
    ),
    wrong=(
        Wrong(
            "the newest line first",
            "lines come out as they went in, the oldest first",
            (("queue.SimpleQueue()", "queue.LifoQueue()"),),
        ),
        Wrong(
            "does not say that it took the line",
            "lines come out as they went in, the oldest first",
            (("            return True\n", ""),),
            clue="returns None",
        ),
        Wrong(
            "next does not wait",
            "next() waits until there is a line",
            (("self.lines.get()", "self.lines.get_nowait()"),),
            clue="Empty",
        ),
        Wrong(
            "next returns None if there is no line",
            "next() waits until there is a line",
            (("return self.lines.get()", "return None if self.lines.empty() else self.lines.get()"),),
            clue="too soon",
        ),
        Wrong(
            "a queue without an end",
            "when `limit` lines wait, put says False",
            (("self.ended or self.lines.qsize() >= self.limit", "self.ended"),),
            clue="no end",
        ),
        Wrong(
            "waits when the queue is full",
            "when `limit` lines wait, put says False",
            (
                ("queue.SimpleQueue()", "queue.Queue(limit)"),
                ("self.ended or self.lines.qsize() >= self.limit", "self.ended"),
            ),
            clue="does not come back",
        ),
        Wrong(
            "raises when the queue is full",
            "when `limit` lines wait, put says False",
            (
                ("queue.SimpleQueue()", "queue.Queue(limit)"),
                ("self.ended or self.lines.qsize() >= self.limit", "self.ended"),
                ("self.lines.put(line)", "self.lines.put_nowait(line)"),
            ),
            clue="Full",
        ),
        Wrong(
            "one line too few may wait",
            "when `limit` lines wait, put says False",
            (("self.lines.qsize() >= self.limit", "self.lines.qsize() + 1 >= self.limit"),),
            clue="too early",
        ),
        Wrong(
            "throws the oldest line away",
            "when `limit` lines wait, put says False",
            ((LOOK, "            if self.lines.qsize() >= self.limit:\n"
                    "                self.lines.get()\n"
                    "                self.lines.put(line)\n"
                    "                return False\n" + LOOK),),
            clue="drops",
        ),
        Wrong(
            "once full, never again",
            "when `limit` lines wait, put says False",
            (("                return False\n",
              "                self.ended = True\n                return False\n"),),
            clue="for ever",
        ),
        Wrong(
            "close throws away what waits",
            "close: what waits still comes, and then None",
            (("            self.ended = True\n            self.lines.put(None)\n",
              "            self.ended = True\n            self.lines = queue.SimpleQueue()\n"
              "            self.lines.put(None)\n"),),
            clue="lost",
        ),
        Wrong(
            "takes lines after close",
            "close: what waits still comes, and then None",
            (("            self.ended = True\n", ""),),
            clue="after",
        ),
        Wrong(
            "close waits for room in a full queue",
            "close: what waits still comes, and then None",
            (("queue.SimpleQueue()", "queue.Queue(limit)"),),
            clue="full",
        ),
        Wrong(
            "nobody tells the thread",
            "close: what waits still comes, and then None",
            (("            self.lines.put(None)\n", ""),),
            clue="does not come back",
        ),
        Wrong(
            "close wakes nobody",
            "close wakes a thread that waits in next()",
            source=NO_WAKER,
            clue="does not come back",
        ),
    ),
    others={
        "a deque and a condition": """
        import threading
        from collections import deque


        class Lines:
            def __init__(self, limit):
                self.waiting = deque()
                self.most = limit
                self.over = False
                self.news = threading.Condition()

            def put(self, line):
                with self.news:
                    taken = not self.over and len(self.waiting) < self.most
                    if taken:
                        self.waiting.append(line)
                        self.news.notify_all()
                    return taken

            def next(self):
                with self.news:
                    while not self.waiting and not self.over:
                        self.news.wait()
                    return self.waiting.popleft() if self.waiting else None

            def close(self):
                with self.news:
                    self.over = True
                    self.news.notify_all()
        """,
        "two semaphores": """
        import threading


        class Lines:
            def __init__(self, limit):
                self.room = threading.Semaphore(limit)
                self.there = threading.Semaphore(0)
                self.lines = []
                self.lock = threading.Lock()
                self.closed = False

            def put(self, line):
                with self.lock:
                    if self.closed or not self.room.acquire(blocking=False):
                        return False
                    self.lines.append(line)
                self.there.release()
                return True

            def next(self):
                self.there.acquire()
                with self.lock:
                    if not self.lines:
                        return None
                    self.room.release()
                    return self.lines.pop(0)

            def close(self):
                with self.lock:
                    self.closed = True
                self.there.release()
        """,
        "a queue with an end, and a look now and then": """
        import queue


        class Lines:
            def __init__(self, limit):
                self.q = queue.Queue(maxsize=limit)
                self.done = False

            def put(self, line):
                if self.done:
                    return False
                try:
                    self.q.put_nowait(line)
                except queue.Full:
                    return False
                return True

            def next(self):
                while True:
                    try:
                        return self.q.get(timeout=0.02)
                    except queue.Empty:
                        if self.done:
                            return None

            def close(self):
                self.done = True
        """,
    },
)  # fmt: skip
