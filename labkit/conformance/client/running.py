"""A client that runs, and the server that it finds; and how to wait for what it does."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from labkit.conformance.client.played_server import PlayedServer
from labkit.conformance.client.way import (
    A_MOMENT,
    CLIENT,
    ENDING,
    HOST,
    KEYBOARD,
    QUIET,
    SCREEN,
    SEEN,
    TIMEOUT,
    TRACEBACK,
    Way,
)
from labkit.journal import Journal, shown
from labkit.probe.deadline import SLICE, wait
from labkit.probe.patience import Patience
from labkit.probe.typed_program import TypedProgram, filled


class RunningClient:
    """A client that runs, and the server that it finds, until `stop`.

    Args:
        way: how it is run.
        listening: False: nobody listens where it looks for the server.

    Raises:
        NoProgram: its command does not start.
        OSError: its port is taken.
    """

    def __init__(self, way: Way, listening: bool = True) -> None:
        self.way, self.framing = way, way.framing
        self.journal = Journal()
        self.server = PlayedServer(way.port, self.journal, listening)
        self._taken = 0  # so many bytes of what arrived were looked at
        self._shown = 0  # so many bytes of the screen are in the journal
        self._numbers = itertools.count(1001)  # all of one length: none is the beginning of another
        self._interrupted = False
        try:
            values = {"HOST": HOST, "PORT": self.server.port, "NICKNAME": way.nickname}
            self.program = TypedProgram(filled(way.command, values))
        except BaseException:
            self.server.close()
            raise
        self.clock = Patience((self.program.pid,))
        if way.first:
            self.type(*filled(way.first, values))

    def unique(self, word: str) -> str:
        """The word with a number that no other has."""
        return f"{word}-{next(self._numbers)}"

    def type(self, *lines: str) -> None:
        """Type these lines, at once."""
        self.type_bytes("".join(line + "\n" for line in lines).encode())

    def type_bytes(self, data: bytes) -> None:
        self.journal.record("bytes", KEYBOARD, shown(data), CLIENT)
        self.program.type(data)

    # --- waiting ---

    def pump(self, seconds: float) -> None:
        """Take what it prints and sends. Waits at most so long for something to come."""
        self.program.pump(seconds, self.server.readers)
        if new := bytes(self.program.printed[max(0, self._shown - self.program.dropped) :]):
            self.journal.record("bytes", CLIENT, shown(new), SCREEN)
        self._shown = len(self.program.printed) + self.program.dropped
        self.server.receive()

    @property
    def ended(self) -> bool:
        """Whether its process has ended."""
        return self.program.ended is not None

    def until(self, happened: Callable[[], object], seconds: float = TIMEOUT, step: float = SLICE) -> bool:
        """Wait until this has happened. False: it does not, within so many seconds of its clock."""

        def attempt(pause: float) -> bool:
            self.pump(min(pause, step))
            return bool(happened())

        return wait(attempt, seconds, self.clock)

    def pause(self, seconds: float = QUIET) -> None:
        """Let the client have so many seconds."""
        self.until(lambda: False, seconds)

    def settled(self) -> int:
        """Wait until it prints nothing more for a moment; returns the length of its screen."""
        length = -1
        while length != len(self.program.printed) and not self.endless:
            length = len(self.program.printed)
            self.pause(A_MOMENT)
        return len(self.screen)

    # --- what becomes of it ---

    @property
    def screen(self) -> str:
        """All that it has printed."""
        return self.program.screen

    @property
    def traceback(self) -> bool:
        """Whether it has died of an error that it did not catch."""
        status = self.program.ended
        return bool(TRACEBACK.search(self.screen)) or (
            status is not None and status < 0 and not self._interrupted
        )

    def interrupt(self) -> None:
        self._interrupted = True
        self.journal.record("bytes", KEYBOARD, "Ctrl-C", CLIENT)
        self.program.interrupt()

    @property
    def endless(self) -> bool:
        """Whether it prints and prints, far more than it was told."""
        return self.program.dropped > 0

    def ends(self, seconds: float = ENDING) -> bool:
        """Whether its process ends by itself."""
        return self.until(lambda: self.ended or self.endless, seconds) and self.ended

    # --- in words ---

    def seen(self, since: int = 0) -> str:
        """What became of it, and what it has printed since: for a report."""
        status = self.program.ended
        if self.endless:
            return f"it prints without end: {self.screen[-8:]!r}"
        printed = self.screen[since:].strip()
        tail = f"{'…' * (len(printed) > SEEN)}{printed[-SEEN:]!r}"
        if TRACEBACK.search(printed):
            tail = f"an error that is caught nowhere: {printed.splitlines()[-1].strip()!r}"
        what = f"it printed {tail}" if printed else "it printed nothing" + " more" * bool(since)
        if status is None:
            return what
        return f"{what}, and ended {'by signal' if status < 0 else 'with status'} {abs(status)}"

    # --- its end ---

    def stop(self) -> None:
        """Kill it, and close everything."""
        self.clock.stop()
        self.program.stop()
        self.server.close()
