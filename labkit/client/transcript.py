"""What a client has heard: its transcript, and how to wait for a line in it.

One thread adds what comes (`_keep`); any other may wait for a line, look at the last ones, or ask to be
told of every change. A line that begins with `# ` is the client's own note.

It knows nothing of connections: whether there is more to come, client.py says by `_state` and `_end`.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable
from itertools import islice
from time import monotonic

KEPT = 100_000
"""Lines of the transcript that are kept; older ones make way."""

# What the client is doing.
JOINING, HERE, FROZEN, GONE = "joining", "here", "frozen", "gone"


class Left(ConnectionError):
    """This client has left, or was let go, and cannot do what was asked of it."""


class Heard:
    """What somebody has heard so far; ChatClient is one who hears."""

    def __init__(self, nickname: str) -> None:
        self.nickname = nickname  # as the server shows it, once it has accepted it
        # Guards all below, and is told of every change in it.
        self._changed = threading.Condition()
        self._transcript: deque[str] = deque(maxlen=KEPT)
        self._inbox: deque[str] = deque(maxlen=KEPT)  # heard, and not yet found by wait_for
        self._listeners: list[Callable[[], None]] = []
        self._forget()

    def _forget(self) -> None:
        self._transcript.clear()
        self._inbox.clear()
        self._state = JOINING
        self._end = ""  # why the connection ended, once it has

    def wait_for(self, text: str | re.Pattern[str] | Callable[[str], bool], timeout: float = 5.0) -> str:
        """The first line that holds `text`, among those not found by an earlier `wait_for`.

        It may have come already; otherwise it has `timeout` seconds to come. Lines that do not match
        stay, for another `wait_for` to find.

        Args:
            text: a part of the line, or a pattern to search for in it, or a function of the line.

        Raises:
            TimeoutError: it did not come; the text tells what came instead.
            Left: the connection ended before it came.
        """
        matches, wanted = _matcher(text)
        give_up = monotonic() + timeout
        with self._changed:
            while True:
                for i, line in enumerate(self._inbox):
                    if matches(line):
                        del self._inbox[i]
                        return line
                if self._state == GONE:
                    raise Left(f"{self.nickname} waited for {wanted}, but {self._end}; {self._came()}")
                # It can come at the last moment, when `wait` has given up already; so look once more.
                left = give_up - monotonic()
                if left <= 0:
                    raise TimeoutError(f"{self.nickname} waited {timeout:g} s for {wanted}; {self._came()}")
                self._changed.wait(left)

    def wait_until_gone(self, timeout: float = 5.0) -> str:
        """Wait until the connection has ended; returns why, in words.

        Raises:
            TimeoutError: it still stands after `timeout` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._state == GONE, timeout):
                raise TimeoutError(f"{self.nickname} is still connected after {timeout:g} s")
            return self._end

    @property
    def transcript(self) -> list[str]:
        """All that this client heard, and what it said itself (`> ` before it), in order."""
        with self._changed:
            return list(self._transcript)

    def tail(self, lines: int) -> list[str]:
        """The last so many lines of the transcript."""
        with self._changed:
            return list(islice(reversed(self._transcript), lines))[::-1]

    @property
    def end(self) -> str:
        """Why the connection ended, in words; empty while it stands."""
        with self._changed:
            return self._end

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every line and every change of state, in whatever thread made it.

        It must be quick, and must not wait for this client.
        """
        with self._changed:
            self._listeners.append(listener)

    # --- for whoever hears ---

    def _keep(self, line: str) -> None:
        """The lock must be held."""
        self._transcript.append(line)
        self._inbox.append(line)

    def _note(self, text: str, first: bool = False) -> None:
        """A line of our own, which no server of this wire could have sent. The lock must be held."""
        for lines in (self._transcript, self._inbox):
            (lines.appendleft if first else lines.append)(f"# {text}")

    def _came(self) -> str:
        """What came lately, for an error's text. The lock must be held."""
        latest = list(self._inbox)[-5:]
        return "instead came: " + " | ".join(latest) if latest else "nothing came instead"

    def _tell_listeners(self) -> None:
        with self._changed:
            listeners = list(self._listeners)
        for listener in listeners:
            listener()


def _matcher(text: str | re.Pattern[str] | Callable[[str], bool]) -> tuple[Callable[[str], object], str]:
    """What to ask of a line, and how to call that in an error's text."""
    if isinstance(text, str):
        return lambda line: text in line, repr(text)
    if isinstance(text, re.Pattern):
        return text.search, f"a line like {text.pattern!r}"
    return text, f"a line for which {getattr(text, '__name__', 'the function')} holds"
