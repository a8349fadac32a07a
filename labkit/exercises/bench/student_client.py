"""A student's client at work: a keyboard to type on, a screen, and a server that the step plays by hand."""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import threading
import time
from typing import Any

from labkit.exercises.bench.bench import SOON, YOU, Bench, ends, take
from labkit.journal import shown
from labkit.probe import kernel
from labkit.probe.deadline import SLICE, Deadline
from labkit.probe.failed import CheckFailed
from labkit.wire import sockets


class ServerByHand:
    """The server of one client: it says and hears what a step wants."""

    def __init__(self, bench: Bench, sock: socket.socket) -> None:
        self.bench, self.sock = bench, sock
        self.unread = b""
        self.end: str | None = None
        self.sent_at = 0.0

    def says(self, *pieces: bytes) -> None:
        """Send these, each once the client has read the one before."""
        for piece in pieces:
            if self.sent_at:
                kernel.wait_until_read(self.sock, self.sent_at, SOON)
            self.bench.journal.record("bytes", "server", shown(piece), YOU)
            with contextlib.suppress(OSError):  # it has gone: the step notices what it misses
                self.sock.sendall(piece)
            self.sent_at = time.monotonic()

    def line(self) -> bytes | None:
        """The next line that the client sends; None: none came in time, or the client has gone."""
        deadline = Deadline(SOON)
        while b"\n" not in self.unread:
            over = deadline.passed()
            if not sockets.readable(self.sock, 0 if over else SLICE):
                if over:
                    return None
                continue
            try:
                data = self.sock.recv(65536)
            except OSError:
                data, self.end = b"", "RST"
            if not data:
                self.end = self.end or "FIN"
                self.bench.journal.record(self.end, YOU, where="server")
                return None
            self.bench.journal.record("bytes", YOU, shown(data), "server")
            self.unread += data
        line, _, self.unread = self.unread.partition(b"\n")
        return line

    def hangs_up(self) -> None:
        self.bench.journal.record("FIN", "server", where=YOU)
        self.sock.close()

    def vanishes(self) -> None:
        self.bench.journal.record("RST", "server", where=YOU)
        sockets.reset_on_close(self.sock)
        self.sock.close()


KEPT_FROM_HER = ("bob", "nickname", "cut", "last line")
"""Clues that say why a line was not shown."""


class Screen:
    """What the student's code shows."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.screen: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.typed: set[str] = set()
        self.shown: list[str] = []

    def show(self, text: Any) -> None:
        self.bench.said(f"show({text!r})", YOU, "alice")
        self.screen.put(text)

    def next_shown(self, expected: str) -> Any:
        """What is shown next.

        Raises:
            queue.Empty: nothing is, in time.
        """
        return take(self.screen)

    def shows(self, *lines: str, clue: str = "") -> None:
        """These lines are shown next."""
        for line in lines:
            expected = f"show({line!r})"
            try:
                seen = self.next_shown(expected)
            except queue.Empty:
                missing = clue if clue in KEPT_FROM_HER else "not shown"
                if clue == "cut" and not line.isascii():
                    missing = "letter"
                raise CheckFailed(expected, f"nothing was shown in {SOON:g} s", missing) from None
            if seen != line:
                clue = self.difference(line, seen) or clue or "shown twice" * (seen in self.shown)
                raise CheckFailed(expected, f"show({seen!r})", clue)
            self.shown.append(line)

    def difference(self, line: str, seen: Any) -> str:
        """What is wrong with a line that was shown, as a clue."""
        if isinstance(seen, bytes):
            return "bytes"
        if seen == "nickname":
            return "request"
        if seen == line + "\n":
            return "LF"
        if "\r" in line:
            return "only LF"
        if "\n" in str(seen):
            return ""
        plain = next((line[:n] for n, letter in enumerate(line) if not letter.isascii()), None)
        if "\ufffd" in str(seen) or (plain and str(seen).startswith(plain)):
            return "letters"
        if str(seen).strip() == line.strip():
            return "stripped"
        return "not hers" if line in str(seen) or seen in self.typed else ""


class StudentClient(Screen):
    """The student's client at work, in a thread of its own.

    Args:
        nickname: what is typed when it is asked; "": it is not asked yet.
        there: whether there is a server at all.
    """

    def __init__(self, bench: Bench, nickname: str = "alice", there: bool = True) -> None:
        super().__init__(bench)
        deadline = Deadline(SOON)
        self.before = set(threading.enumerate())
        read, self.keys = os.pipe()
        self.keyboard = open(read, encoding="utf-8")
        listener = bench.listener()
        address = listener.getsockname()
        if not there:
            listener.close()
        self.own: threading.Thread | None = None
        self.call = bench.thread(self.run, address, name="check-client")
        if not there:
            return
        while not sockets.readable(listener, SOON / 20):
            if self.call.ended(0):
                self.call.result("")
                raise CheckFailed("run_client connects to `address`", "it returned", "not connected")
            if deadline.passed():
                raise CheckFailed("run_client connects to `address`", f"not in {SOON:g} s", "not connected")
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server = ServerByHand(bench, sock)
        if nickname:
            self.server.says(b"nickname\n")
            self.types(nickname)
            self.server_hears(nickname)

    def run(self, address: Any) -> None:
        """Run it in a thread that is no daemon, as a program would: its threads inherit that."""
        errors = []

        def live() -> None:
            try:
                self.bench.code(address, self.keyboard, self.show)
            except BaseException as error:  # raised again below
                errors.append(error)

        self.own = threading.Thread(target=live, name="run_client", daemon=False)
        self.own.start()
        self.own.join()
        if errors:
            raise errors[0]

    def types(self, *lines: str) -> None:
        self.typed |= {*lines}
        self.bench.said(f"types {lines[0]!r}" + f" … {lines[-1]!r}" * (len(lines) > 1), "alice")
        with contextlib.suppress(BrokenPipeError):  # the client has ended
            os.write(self.keys, "".join(line + "\n" for line in lines).encode())

    def input_ends(self) -> None:
        self.bench.said("end of input", "alice")
        os.close(self.keys)

    def ends(self) -> None:
        """The step holds. End the client, so that the next step's ✗ does not show this one."""
        self.input_ends()
        self.server.hangs_up()
        self.call.ended(SOON / 10)

    # --- what must be so ---

    def server_hears(self, line: str, clue: str = "not sent") -> None:
        heard = self.server.line()
        if heard == line.encode():
            return
        if heard is None:
            rest = self.server.unread
            seen = f"it heard {self.server.end}" if self.server.end else f"nothing in {SOON:g} s"
            if rest:
                seen = f"it heard {rest!r}, and no LF".replace(" b", " ", 1)
                clue = "no LF" if rest == line.encode() else "part"
        else:
            seen = f"it heard {heard!r}".replace(" b", " ", 1)
            if clue == "not sent":
                clue = "LF too many" if not heard else "more than that"
        raise CheckFailed(f"the server hears {line!r}", seen, clue)

    def has_reported(self, why: str) -> None:
        """run_client has returned, and has said why in one line, and nothing more."""
        self.call.result(f"run_client returns {why}")
        self.leaves_no_thread()
        self.types("anybody?")  # a thread that still waits at the keyboard ends
        self.input_ends()
        for thread in self.left():
            ends(thread, SOON / 2)
        told = []
        while not self.screen.empty():
            told.append(self.screen.get())
        expected = f"show('* …'), once, {why}"
        seen = " and ".join(f"show({text!r})" for text in told) or "nothing was shown"
        if len(told) != 1:
            raise CheckFailed(expected, seen, "twice" if told else "not told")
        if not str(told[0]).startswith("* "):
            raise CheckFailed(expected, seen, "no star")

    def left(self) -> list[threading.Thread]:
        """The live threads that run_client started."""
        ours = {*self.before, self.own, self.call.thread}
        return [t for t in threading.enumerate() if t not in ours and t.is_alive()]

    def leaves_no_thread(self) -> None:
        """No thread keeps the program from ending."""
        for thread in self.left():
            if not thread.daemon and not ends(thread, SOON / 2):
                seen = "run_client has returned, and a thread is left that is no daemon"
                raise CheckFailed("the program can end", seen, "thread")


class StudentReader(Screen):
    """The half of a client that reads at work: it is given a connection, and shows what comes."""

    OVER = object()

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        ours, raw = bench.pair("server")
        self.server = ServerByHand(bench, raw.sock)
        self.call = bench.thread(self.run, ours, name="show_lines")

    def run(self, server: socket.socket) -> Any:
        try:
            return self.bench.code(server, self.show)
        finally:
            self.screen.put(self.OVER)

    def next_shown(self, expected: str) -> Any:
        """As for a whole client; what the code raises is raised here, and it must not have returned."""
        if (seen := super().next_shown(expected)) is self.OVER:
            self.call.result(expected)
            raise CheckFailed(expected, "show_lines returned", "too early")
        return seen

    def returns(self, why: str) -> None:
        """It returns, without an error, and shows nothing more."""
        self.call.result(f"show_lines returns {why}")
        if (more := take(self.screen)) is not self.OVER:
            raise CheckFailed(f"nothing more is shown {why}", f"show({more!r})", "more")
