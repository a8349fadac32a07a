"""What a client has heard and said, and how to wait for a line of it.

One thread adds what comes (`keep`); others wait for a line, look at the last ones, or are told of every
change. A line that begins with `# ` is the client's own note; no nickname begins so, and so no server's
line does.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable
from itertools import islice
from time import monotonic

from labkit.client.errors import ConnectionEnded

KEPT = 100_000
"""Lines that are kept; older ones make way …"""

KEPT_CHARACTERS = 100_000_000
"""… and characters, of one to four bytes each: a line can have 4,095."""

Wanted = str | re.Pattern[str] | Callable[[str], bool]


class Lines(deque[str]):
    """The newest lines, oldest first."""

    characters = 0

    def append(self, line: str) -> None:
        super().append(line)
        self.characters += len(line)
        while len(self) > KEPT or self.characters > KEPT_CHARACTERS:
            self.characters -= len(self.popleft())


class Transcript:
    """The lines of one client, in order."""

    def __init__(self) -> None:
        self.changed = threading.Condition()  # guards all below, and is told of every change in it
        self.lines = Lines()
        self.inbox = Lines()  # heard, and not yet found by wait_for
        self.end = ""  # why no more lines come, as soon as that is known …
        self.complete = False  # … and whether the last one has come
        self._listeners: list[Callable[[], None]] = []

    def wait_for(self, wanted: Wanted, timeout: float, who: str) -> str:
        """The first line that matches, among those not found yet; see `ChatClient.wait_for`."""
        matches, name = _matcher(wanted)
        give_up = monotonic() + timeout
        with self.changed:
            while True:
                for i, line in enumerate(self.inbox):
                    if matches(line):
                        del self.inbox[i]
                        self.inbox.characters -= len(line)
                        return line
                if self.complete:
                    raise ConnectionEnded(f"{who} waited for {name}, but {self.end}; {self.came()}")
                # It can come at the last moment, when `wait` has given up already; so look once more.
                left = give_up - monotonic()
                if left <= 0:
                    raise TimeoutError(f"{who} waited {timeout:g} s for {name}; {self.came()}")
                self.changed.wait(left)

    def tail(self, count: int) -> list[str]:
        with self.changed:
            return list(islice(reversed(self.lines), count))[::-1]

    def on_change(self, listener: Callable[[], None]) -> None:
        with self.changed:
            self._listeners.append(listener)

    def tell_listeners(self) -> None:
        with self.changed:
            listeners = list(self._listeners)
        for listener in listeners:
            listener()

    # --- with `changed` held ---

    def keep(self, line: str) -> None:
        self.lines.append(line)
        self.inbox.append(line)

    def note(self, text: str) -> None:
        self.keep(f"# {text}")

    def came(self) -> str:
        """What came lately, for an error's text."""
        latest = list(self.inbox)[-5:]
        return "instead came: " + " | ".join(latest) if latest else "nothing came instead"


def _matcher(wanted: Wanted) -> tuple[Callable[[str], object], str]:
    """What to ask of a line, and how to call that in an error's text."""
    if isinstance(wanted, str):
        return lambda line: wanted in line, repr(wanted)
    if isinstance(wanted, re.Pattern):
        return wanted.search, f"a line like {wanted.pattern!r}"
    return wanted, f"a line for which {getattr(wanted, '__name__', 'the function')} holds"
