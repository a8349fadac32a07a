"""What a step works with: the student's code, threads to run it in, sockets, and a journal.

It lives in the process that runs the student's code, and keeps track of the code's threads, so that a ✗ can
say in which line a thread waited, or what it died of.
"""

from __future__ import annotations

import contextlib
import ctypes
import linecache
import queue
import socket
import sys
import sysconfig
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Container, Iterable
from pathlib import Path
from types import FrameType
from typing import Any

from labkit.journal import Journal
from labkit.probe.deadline import Deadline, wait
from labkit.probe.failed import CheckFailed
from labkit.probe.raw_client import RawClient

SOON = 2.0
"""Seconds in which everything that a step expects must have happened, by the clock of the process, which
stands still while others use the machine. It takes milliseconds, and a step has five seconds in all."""

FOR_EVER = 60.0
"""Seconds by the wall clock, for a socket's own timeout: no step takes that long."""

RESTING = 1.0
"""Seconds that the code's threads are given to come to rest after a step."""

LOOKS, LOOK = 3, 0.002
"""Looks in a row, and seconds between two, in which a thread must not have moved to be at rest."""

YOU = "your code"
"""What the student's code is called on a ladder, where it has no better name."""


def ends(thread: threading.Thread, seconds: float = SOON) -> bool:
    """Whether this thread has ended, now or within so many seconds."""

    def over(slice_of_it: float) -> bool:
        thread.join(slice_of_it)
        return not thread.is_alive()

    return wait(over, seconds)


def take(items: queue.SimpleQueue[Any], seconds: float = SOON) -> Any:
    """What comes next in this queue.

    Raises:
        queue.Empty: nothing does, within so many seconds.
    """
    came = []

    def comes(slice_of_it: float) -> bool:
        with contextlib.suppress(queue.Empty):
            came.append(items.get(timeout=slice_of_it))
        return bool(came)

    if not wait(comes, seconds):
        raise queue.Empty
    return came[0]


class Running:
    """A function of the student's that runs in its own thread."""

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...], name: str) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        self.given_up = False  # what it raises from now on is not the student's doing
        self._function, self._arguments = function, arguments
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.value = self._function(*self._arguments)
        except BaseException as error:  # shown to the student, whatever it is
            self.error = None if self.given_up else error

    def ended(self, seconds: float = SOON) -> bool:
        """Whether it has returned, now or within so many seconds."""
        return ends(self.thread, seconds)

    def interrupt(self) -> None:
        """End it, by an exception before its next line."""
        self.given_up = True
        if self.thread.ident:
            wanted = ctypes.c_ulong(self.thread.ident)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(wanted, ctypes.py_object(SystemExit))

    def result(self, expected: str, seconds: float = SOON) -> Any:
        """What it returned.

        Raises:
            CheckFailed: it did not return in time; `expected` says what should have made it return.
            BaseException: what it raised.
        """
        if not self.ended(seconds):
            raise CheckFailed(expected, f"it had not come back after {seconds:g} s", "does not come back")
        if self.error is not None:
            raise self.error
        return self.value


class Bench:
    """What one step works with. `code` is what the student wrote: a function or a class."""

    def __init__(self, code: Any, goes_on: Callable[[], None] = lambda: None) -> None:
        self.code = code
        # To be called by a step of many parts after each: its seconds are for one, however slow the system.
        self.goes_on = goes_on
        # Threads left from earlier steps.
        self.before = set(threading.enumerate()) - {threading.current_thread()}
        self.journal = Journal()
        self.running: list[Running] = []
        self._sockets: list[socket.socket] = []
        self._clients: list[RawClient] = []

    # --- things to work with; all are closed with the step ---

    def thread(self, function: Callable[..., Any], *arguments: Any, name: str = "your-code") -> Running:
        """Run this in its own thread, now."""
        running = Running(function, arguments, name)
        self.running.append(running)
        return running

    def listener(self) -> socket.socket:
        """A listening socket on a free port of this machine."""
        listener = socket.create_server(("127.0.0.1", 0))
        self._sockets.append(listener)
        return listener

    def connect(self, address: Any, name: str = "alice", **options: Any) -> RawClient:
        """A bare client, connected. The journal keeps what passes."""
        client = RawClient(address, name, journal=self.journal, **{"timeout": SOON, **options})
        self._clients.append(client)
        return client

    def pair(self, name: str = "alice", **options: Any) -> tuple[socket.socket, RawClient]:
        """A connection: the server's end, and the client at the other."""
        listener = self.listener()
        client = self.connect(listener.getsockname(), name, **options)
        ours, _ = listener.accept()
        # Or a second small send would wait up to 40 ms for an acknowledgement.
        ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sockets.append(ours)
        return ours, client

    def said(self, text: str, sender: str = "check", receiver: str = YOU) -> None:
        """Draw an arrow on the ladder for what is not a byte on a wire: a call, or what it returned."""
        self.journal.record("bytes", sender, text, receiver)

    def freeze_ladder(self) -> None:
        """Keep off the ladder what comes now: the step is over, and the rest not the student's doing."""
        kept = Journal()
        for event in self.journal:
            kept.record(event.kind, event.who, event.what, event.where)
        self.journal = kept

    def rests(self) -> None:
        """Wait until the threads that came with this step are at rest, or have ended."""
        ours = self.before | {threading.current_thread()}
        at_rest(lambda: [t for t in threading.enumerate() if t not in ours and not is_ours(t)], RESTING)

    def close(self) -> None:
        for client in self._clients:
            client.close()
        for sock in self._sockets:
            sock.close()

    # --- what to ask when a check fails ---

    def expect(self, holds: object, expected: str, seen: str, clue: str = "") -> None:
        """Raise CheckFailed unless it holds."""
        if not holds:
            raise CheckFailed(expected, seen, clue)

    def whereabouts(self) -> list[str]:
        """The lines of the student's code in which the threads of this step are now."""
        return whereabouts(self.before)

    def deaths(self) -> list[str]:
        """What threads died of, each as "ValueError: … in line 7: …"."""
        return [in_one_line(running.error) for running in self.running if running.error is not None]


# --- where the student's code is ---

_OURS = str(Path(__file__).resolve().parents[2])
_LIBRARIES = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}


def is_students(filename: str) -> bool:
    """Whether this file is the student's, neither labkit's nor a library's."""
    if filename.startswith("<frozen"):
        return False
    return not filename.startswith((_OURS, *_LIBRARIES))


def place(filename: str, line: int | None) -> str:
    """A line of code as it is shown: its number and its text."""
    return shown_line(filename, line, linecache.getline(filename, line or 0).strip())


def shown_line(filename: str, line: int | None, text: str) -> str:
    """The same, of a line whose text is known. A notebook shows no numbers: there it is the text."""
    if filename.endswith(".ipynb") and text:
        return f"the line `{text}`"
    return f"line {line}: {text}" if text else f"line {line}"


def in_one_line(error: BaseException, innermost: bool = True) -> str:
    """An error in one line, with the line of the student's code that raised it (or called what did)."""
    words = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
    if isinstance(error, NotImplementedError) and not str(error):
        words = "NotImplementedError: this is not written yet"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if is_students(f.filename)]
    if not frames:
        return words
    frame = frames[-1 if innermost else 0]
    return f"{words} (in {place(frame.filename, frame.lineno)})"


def students_frames(but: Container[threading.Thread] = ()) -> Iterable[FrameType]:
    """The student's frames that its threads are in now, one for each thread, except these threads."""
    others = {thread.ident for thread in threading.enumerate() if thread in but}
    for ident, frame in sys._current_frames().items():
        at: FrameType | None = None if ident in others else frame
        while at is not None and not is_students(at.f_code.co_filename):
            at = at.f_back
        if at is not None:
            yield at


def whereabouts(but: Container[threading.Thread] = ()) -> list[str]:
    """The lines of the student's code in which its threads are now, except these threads."""
    found = [place(frame.f_code.co_filename, frame.f_lineno) for frame in students_frames(but)]
    return [line + (f" ({n} threads)" if n > 1 else "") for line, n in sorted(Counter(found).items())]


# --- whether its threads wait ---


def is_ours(thread: threading.Thread) -> bool:
    """Whether it is a thread of labkit's own."""
    return thread.name.startswith("labkit-")


def asleep(thread: threading.Thread) -> object:
    """Where a thread sleeps; None if it does not.

    Linux tells whether a thread sleeps: proc(5), `/proc/self/task/…/stat`. Elsewhere it is taken to sleep,
    and only its place is compared.
    """
    try:
        stat = Path(f"/proc/self/task/{thread.native_id}/stat").read_text()
    except OSError:
        stat = ") S"
    frame = sys._current_frames().get(thread.ident or 0)
    return (frame.f_code, frame.f_lasti) if frame and stat.rpartition(")")[2].split()[0] == "S" else None


def at_rest(threads: Callable[[], list[threading.Thread]], seconds: float) -> bool:
    """Wait until all these threads wait for something: in accept, recv, select. False: not in time."""
    deadline = Deadline(seconds)
    same, last = 0, None
    while same < LOOKS:
        now = [(thread.ident, asleep(thread)) for thread in threads()]
        if not now:
            return True
        same = same + 1 if now == last and all(where for _, where in now) else 0
        last = now
        if same < LOOKS:
            if deadline.passed():
                return False
            time.sleep(LOOK)  # their turn
    return True
