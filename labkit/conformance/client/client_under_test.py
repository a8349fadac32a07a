"""A client under test, as a behaviour sees it: its user, its screen, and the server that it talks to.

A behaviour plays all of them. It types (`type`, `end_input`), talks as the server (`say`, `send`), and
looks at what the client prints (`shows`) and sends (`hears`). Each behaviour has a client of its own, and
all that passes is in its journal: keyboard, client, server, screen.

No timing is left to luck. A wait ends when the thing happens; what it may last is counted by the client's
own clock (patience.py). A piece is sent once the client has read the one before (kernel.py).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

from labkit.conformance.client.running import RunningClient
from labkit.conformance.client.way import (
    AT_REQUEST,
    AT_START,
    CLIENT,
    CONNECTING,
    KEYBOARD,
    NAP,
    NICKNAMES,
    NUDGE,
    NUDGES,
    OTHER,
    QUIET,
    SERVER,
    TIMEOUT,
    CannotConnect,
)
from labkit.journal import shown
from labkit.probe.deadline import SLICE, Deadline
from labkit.probe.failed import CheckFailed


class ClientUnderTest(RunningClient):
    """A client that a behaviour plays with."""

    nickname = ""  # what it has answered the request with

    # --- getting in ---

    def connects(self, seconds: float = CONNECTING) -> bool:
        """Whether it connects in time, and does not end before that."""

        return self.until(lambda: self.server.let_in() or self.ended, seconds) and self.server.let_in()

    def connected(self) -> None:
        """Wait until it has connected; type its nickname before that, if it wants it so.

        Raises:
            CannotConnect: it does not.
        """
        if self.way.asks == AT_START and not self.way.nickname:
            self.type(NICKNAMES[0])
        if not self.connects():
            raise CannotConnect("the client connects", self.seen())

    def answered(self) -> str:
        """Type the nickname, if that is how it gets it, and wait until it comes; returns what comes.

        Raises:
            CheckFailed: none comes.
        """
        if self.way.asks == AT_REQUEST:
            self.until_read()  # a user types once the client has heard the request
            self.type(NICKNAMES[0])
        answer = self.message() if self.way.answers else ""
        if answer is None:
            raise CheckFailed("it answers with its nickname", self.seen())
        self.nickname = answer.strip()
        return answer

    def join(self) -> None:
        """Let it connect, ask it for its nickname, and say a word, as to one who has been let in.

        Whether it does what it should then is not looked at.

        Raises:
            CannotConnect: it does not connect.
        """
        self.connected()
        self.ask()
        with contextlib.suppress(CheckFailed):
            self.answered()
        self.forget()
        word = self.unique("welcome")
        self.say(f"{OTHER}: {word}")
        if not self.way.blind:
            self.shows(word)
        self.forget()

    # --- its user ---

    def type_much(self, line: str, most: int, full: float, limit: Deadline) -> int:
        """Type this line again and again, at most so many bytes, until nothing of it is taken for so many
        seconds, because the server does not read, or the limit has passed; returns how many."""
        self.server.deaf = True
        count = 0
        while count * len(line) < most and not limit.passed():
            self.type(*[line] * 32)
            count += 32
            if not self._takes_all(full):
                break
        return count

    def still_arrives(self, text: str) -> int:
        """How often this arrives from here on, before what is typed next; 0 if that does not arrive."""
        start, last = self._taken, self.unique("next")
        self.type(last)
        return self.server.arrived.count(text.encode(), start, self._taken) if self.hears(last) else 0

    def _takes_all(self, full: float) -> bool:
        """Whether it takes all that was typed; False once nothing of it is taken for so many seconds."""
        untaken = self.program.untaken

        def less() -> bool:
            return self.program.untaken < untaken

        while untaken and self.until(less, full):
            untaken = self.program.untaken
        return not untaken

    def end_input(self) -> None:
        """Its input ends: Ctrl-D, or the end of a file."""
        self.journal.record("FIN", KEYBOARD, where=CLIENT)
        self.program.end_input()

    def shows(self, text: str, seconds: float = TIMEOUT) -> bool:
        """Whether it prints this, or has printed it."""
        self._happens(lambda: text in self.screen or self.ended, seconds)
        return text in self.screen

    def shown_once(self, expected: str, *texts: str) -> None:
        """Wait until these are on the screen, one after the other, and another line behind them.

        Raises:
            CheckFailed: one of them is missing, comes twice, or comes before another; or all end there.
        """
        last = self.unique("after")
        self.until_read()
        self.say(f"{OTHER}: {last}")
        self.shows(last)
        self.check_order(expected, texts)
        if last not in self.screen:
            raise CheckFailed("what is said after that is shown, too", self.seen())

    def check_order(self, expected: str, texts: Iterable[str]) -> None:
        """Each of these is on the screen once, one after the other.

        Raises:
            CheckFailed: one of them is missing, comes twice, or comes before another.
        """
        at, screen = 0, self.screen
        for text in texts:
            count, found = screen.count(text), screen.find(text)
            if count != 1:
                brief = text if len(text) < 40 else f"{text[:20]}…{text[-16:]}"
                how = f"{brief!r} comes {count} times" if count else f"{brief!r} is missing"
                raise CheckFailed(expected, f"{how}; {self.seen()}")
            if found < at:
                raise CheckFailed(expected, f"{text!r} comes before another that was said first")
            at = found

    # --- its server ---

    def ask(self) -> None:
        """Ask for a nickname, if that is how this server does it."""
        if self.way.request:
            self.say(self.way.request)

    def say(self, *texts: str) -> bool:
        """Send these: lines, in one send; in the raw dialect each once the one before is read."""
        if self.framing == "raw":
            return all([self.send(text.encode()) for text in texts])
        return self.send("".join(text + "\n" for text in texts).encode())

    def send(self, *pieces: bytes) -> bool:
        """Send these bytes, each piece once the one before is read. False: the client is gone, or full."""
        return all([self._send(piece) for piece in pieces])

    def _send(self, data: bytes) -> bool:
        self.until_read()
        self.journal.record("bytes", SERVER, shown(data), CLIENT)
        rest = memoryview(data)
        limit = Deadline(TIMEOUT, self.clock)
        try:
            while rest := rest[self.server.push(rest) :]:
                if limit.passed():
                    break
                self.pump(SLICE / 10)
        except OSError:
            return False
        return not rest

    def until_read(self) -> bool:
        """Wait until the client has read all that was sent. False: it does not, within the timeout."""
        return self._happens(self.server.read_by_client, TIMEOUT, NAP)

    def _happens(self, happened: Callable[[], bool], seconds: float, step: float = SLICE) -> bool:
        """Whether this happens in time. Presses Enter for a client that does nothing before that."""
        if not self.way.nudged or self.until(happened, 0):
            return self.until(happened, seconds, step)
        for _ in range(NUDGES):
            self.type(NUDGE)
            if self.until(happened, seconds / NUDGES):
                return True
        return False

    def heard(self, seconds: float = TIMEOUT) -> bool:
        """Whether anything comes from the client that was not looked at yet."""
        happened = self.until(lambda: len(self.server.arrived) > self._taken or self.server.end, seconds)
        return happened and len(self.server.arrived) > self._taken

    def message(self, seconds: float = TIMEOUT) -> str | None:
        """What it sends next, without its end: a line; in raw, what has come. None: nothing comes.

        A line that lacks its end is one once nothing follows it.
        """
        while True:
            if not self.heard(seconds):
                return None
            if self.framing == "lines":
                self.until(lambda: b"\n" in self.server.arrived[self._taken :] or self.server.end, QUIET)
            rest = bytes(self.server.arrived[self._taken :])
            line = rest if self.framing == "raw" else rest.partition(b"\n")[0] + b"\n" * (b"\n" in rest)
            self._taken += len(line)
            text = line.decode(errors="replace").rstrip("\r\n")
            if NUDGE not in text:
                return text

    def hears(self, text: str, seconds: float = TIMEOUT) -> bool:
        """Whether this comes from the client, or has come since the last look."""
        wanted, arrived = text.encode(), self.server.arrived
        searched, found = self._taken, -1

        def happened() -> bool:
            nonlocal searched, found
            found = arrived.find(wanted, searched)
            searched = max(searched, len(arrived) - len(wanted) + 1)  # there may be megabytes
            return found >= 0 or self.server.end is not None

        self.until(happened, seconds)
        if found >= 0:
            self._taken = found + len(wanted)
        return found >= 0

    @property
    def unheard(self) -> str:
        """What has come from the client and was not looked at, but for what was typed to wake it."""
        text = bytes(self.server.arrived[self._taken :]).decode(errors="replace")
        return "\n".join(line for line in text.splitlines() if line and NUDGE not in line)

    def forget(self) -> None:
        """Look no more at what has come so far."""
        self.pump(0)
        self._taken = len(self.server.arrived)
