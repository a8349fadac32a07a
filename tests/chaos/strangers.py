"""Strangers with much to say: none gives a nickname that will do, and none may stay for long.

- one sends LF after LF: it is let go before it has sent many
- one asks for one nickname after the other that it cannot have: it is let go after `Limits.refusals`
- one sends a line without end: it is let go when its time for the handshake is over

A stranger who says nothing at all comes beside them, and the next when that one is let go. By the time that
the second of those who came after a talkative one is let go, so must the talkative one be: whatever the
machine is busy with, it is busy with for both.
"""

from __future__ import annotations

import socket
from contextlib import suppress

from chaos.hosts import Address
from chaos.verdict import Kind, Verdict
from labkit.server.limits import Limits

WAYS: tuple[tuple[str, bytes], ...] = (
    ("LF after LF", b"\n" * 65536),
    ("nicknames that are refused", b"no such name\n" * 2000),
    ("a line without end", b"x" * 65536),
)
"""What they send, again and again."""

MOST = 4 * 1024 * 1024
"""Bytes that one may send whose end does not wait for the clock: far more than lies in kernels' buffers."""

QUEUED = 64 * 1024
"""Bytes that the kernel keeps of what a stranger sends, about."""

REQUEST, REFUSAL = b"nickname", b"! "


class Stranger:
    """One of them: `turn` it until `over`."""

    def __init__(self, address: Address, way: str, data: bytes) -> None:
        self.way = way
        self.over = False
        self.sent = 0
        self.outlived = 0  # silent ones that came later, and were let go
        self.heard = b""
        self._data = data
        self.sock = socket.create_connection(address, timeout=20.0)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, QUEUED)
        self.sock.setblocking(False)

    def turn(self) -> None:
        try:
            with suppress(BlockingIOError):
                if self._data:
                    self.sent += self.sock.send(self._data)
            while data := self.sock.recv(65536):
                self.heard += data
        except BlockingIOError:
            return
        except OSError:  # reset: it sent on after it was let go
            pass
        self.close()

    def close(self) -> None:
        self.over = True
        self.sock.close()


class Strangers:
    """So many talkative ones at once, and a silent one."""

    def __init__(self, address: Address, count: int, limits: Limits, verdict: Verdict) -> None:
        self.ended = 0  # that were let go
        self._address, self._count, self._limits, self._verdict = address, count, limits, verdict
        self._talkative: list[Stranger] = []
        self._silent: Stranger | None = None
        self._came = 0
        self._tried: set[str] = set()

    @property
    def here(self) -> int:
        return len(self._talkative) + (self._silent is not None)

    @property
    def had_their_fill(self) -> bool:
        """Of each kind one has come to its end, or has gone on for too long."""
        return not self._count or len(self._tried) == len(WAYS)

    def turn(self, coming: bool = True) -> None:
        """They send and hear; if more are `coming`, each who was let go is followed by another."""
        if not self._count:
            return
        while coming and len(self._talkative) < self._count:
            self._talkative.append(Stranger(self._address, *WAYS[self._came % len(WAYS)]))
            self._came += 1
        if coming and self._silent is None:
            self._silent = Stranger(self._address, "nothing", b"")
        if self._silent is not None:
            self._silent.turn()
            if self._silent.over:
                self._silent = None
                for stranger in self._talkative:
                    stranger.outlived += 1
        for stranger in list(self._talkative):
            stranger.turn()
            if stranger.over or self._goes_on_too_long(stranger):
                self._talkative.remove(stranger)
                self.ended += stranger.over
                self._tried.add(stranger.way)
                self._judge(stranger)
                stranger.close()

    def _goes_on_too_long(self, stranger: Stranger) -> bool:
        # The first who is let go after it came may have come before it.
        why = ""
        if stranger.outlived > 2:
            why = f"it has outlived two who came after it, with {self._limits.handshake:g} s for each"
        elif stranger.sent > MOST and not stranger.way.startswith("a line"):
            why = f"it has sent {stranger.sent} bytes"
        if why:
            self._verdict.complain(
                Kind.UNBOUNDED, f"a stranger who sends {stranger.way} is not let go: {why}"
            )
        return bool(why)

    def _judge(self, stranger: Stranger) -> None:
        """It hears requests and refusals, no more of them than there may be, and nothing else."""
        lines = stranger.heard.split(b"\n")
        requests = lines.count(REQUEST)
        if requests > self._limits.refusals:
            self._verdict.complain(
                Kind.UNBOUNDED,
                f"a stranger was asked for a nickname {requests} times, not {self._limits.refusals}",
            )
        for line in lines:
            if line and line != REQUEST and not line.startswith(REFUSAL) and line != b"* server stopped":
                self._verdict.complain(Kind.LEAK, f"a stranger without a nickname heard {line!r}")

    def close(self) -> None:
        """The rest go by themselves."""
        for stranger in [*self._talkative, *([self._silent] if self._silent else [])]:
            stranger.close()
        self._talkative.clear()
        self._silent, self._count = None, 0
