"""Which lines were sent, when, and which clients received each of them: once, not at all, or twice.

Each line ends with its number, in eight digits and a mark: `abcdefg 00000042^`. While a load runs, it only
counts the marks; that costs next to nothing, so the load is not what is measured. What a client receives is
kept as it comes, each piece with its time, until there is time to look at it (`Receipts.count`). That
finds each line by its number, however the server writes it.

The times of sending and of receiving are readings of one clock in one process: their difference is the time
of the delivery, from before the talker's send to after the listener's recv.

Pure: no socket.
"""

from __future__ import annotations

import string

from labkit.instruments.load.plan import TOKEN
from labkit.instruments.load.times import Times
from labkit.wire.extras import extra

with extra("load"):
    import numpy as np
    from numpy.typing import NDArray

MARK = b"^"
"""Ends a line's number. Servers do not use it in lines of their own."""

_DIGITS = TOKEN - 1
_PLACES = np.arange(-_DIGITS, 0)
_WORTH = 10 ** np.arange(_DIGITS - 1, -1, -1)
MOST_LINES: int = 10**_DIGITS

Numbers = NDArray[np.int64]
Clock = NDArray[np.float64]


class SentLines:
    """All lines of a load, by their numbers.

    Args:
        size: bytes of a line.
        servers: over how many the talkers are spread, one after the other.
    """

    def __init__(self, size: int, servers: int = 1) -> None:
        self.servers = servers
        self.count = 0
        self.measured_from = 0  # the number of the first line whose times count
        self._when: Clock = np.full(4096, np.nan)  # nan: not yet
        self._who: NDArray[np.int32] = np.zeros(4096, np.int32)
        self._last: Clock = np.zeros(4096)  # when the last of the listeners had it
        room = size - TOKEN - 1
        self._filling = (string.ascii_lowercase * (room // 26 + 1)).encode()[: room - 1] + b" " * (room > 0)

    def make(self, who: int, count: int) -> tuple[int, bytes]:
        """So many new lines for this talker: the number of the first, and their bytes."""
        first = self.count
        if first + count > MOST_LINES:
            raise ValueError(f"a load has at most {MOST_LINES} lines")
        self.count += count
        while self.count > len(self._when):
            self._when = np.concatenate([self._when, np.full(len(self._when), np.nan)])
            self._who = np.concatenate([self._who, np.zeros_like(self._who)])
            self._last = np.concatenate([self._last, np.zeros_like(self._last)])
        self._who[first : self.count] = who
        filling = self._filling
        return first, b"".join([b"%s%08d^\n" % (filling, n) for n in range(first, self.count)])

    def mark_sent(self, first: int, end: int, when: float) -> None:
        """The lines from `first` to before `end` were sent at that time."""
        self._when[first:end] = when

    def sent_by(self, who: int) -> NDArray[np.bool_]:
        """For each line, whether this client sent it."""
        by_them: NDArray[np.bool_] = self.was_sent() & (self._who[: self.count] == who)
        return by_them

    def was_sent(self) -> NDArray[np.bool_]:
        """For each line, whether it was sent."""
        sent: NDArray[np.bool_] = ~np.isnan(self._when[: self.count])
        return sent

    def not_after(self, received: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """For each line, whether it was received, or a later one of the same talker was."""
        latest = np.full(int(self._who.max()) + 1, -1)
        numbers = np.flatnonzero(received)
        np.maximum.at(latest, self._who[numbers], numbers)
        not_after: NDArray[np.bool_] = np.arange(self.count) <= latest[self._who[: self.count]]
        return not_after

    def latencies(self, numbers: Numbers, came: Clock) -> Clock:
        """How long each of these lines took that is measured; they came at these times."""
        self._last[numbers] = np.maximum(self._last[numbers], came)
        took: Clock = (came - self._when[numbers])[numbers >= self.measured_from]
        return took[~np.isnan(took)]

    def crossed(self, numbers: Numbers, server: int) -> NDArray[np.bool_]:
        """For each of these lines, whether it was sent to another server than this one."""
        crossed: NDArray[np.bool_] = self._who[numbers] % self.servers != server
        return crossed

    def until_last_receipt(self) -> Times:
        """Of each line that came: the time from sending it until the last client had it."""
        measured = slice(self.measured_from, self.count)
        took = (self._last - self._when)[measured][self._last[measured] > 0]
        return Times(took[~np.isnan(took)])


class Receipts:
    """What one client has received.

    Args:
        server: which of several it is connected to, from 0.
    """

    def __init__(self, server: int = 0) -> None:
        self._server = server
        self.kept = 0  # bytes that were not counted yet
        self._pieces: list[bytes] = []
        self._came: list[float] = []
        self._tail = b""  # the beginning of a number may be in it
        self._times = np.zeros(1024, np.uint8)  # how often each line came

    def add(self, piece: bytes, came: float) -> None:
        self._pieces.append(piece)
        self._came.append(came)
        self.kept += len(piece)

    def count(self, sent: SentLines, times: Times, crossed: Times | None = None) -> None:
        """Count what was kept. The times of the deliveries go into `times`; those from another server into
        `crossed`, if this is given."""
        if not self._pieces:
            return
        whole = self._tail + b"".join(self._pieces)
        ends = np.cumsum([len(self._tail) + len(self._pieces[0]), *map(len, self._pieces[1:])])
        signs = np.frombuffer(whole, np.uint8)
        marks = np.flatnonzero(signs == MARK[0])
        self._tail = whole[int(marks[-1]) + 1 if len(marks) else 0 :][-_DIGITS:]
        marks = marks[marks >= _DIGITS]
        digits = signs[marks[:, None] + _PLACES] - 48  # wraps: what is no digit becomes large
        fit = (digits < 10).all(axis=1)
        numbers = digits[fit] @ _WORTH
        came = np.array(self._came)[np.searchsorted(ends, marks[fit], side="right")]
        known = numbers < sent.count
        numbers, came = numbers[known], came[known]
        self._tally(numbers, sent.count)
        if crossed is not None and sent.servers > 1:
            far = sent.crossed(numbers, self._server)
            crossed.add(sent.latencies(numbers[far], came[far]))
            numbers, came = numbers[~far], came[~far]
        times.add(sent.latencies(numbers, came))
        self._pieces.clear()
        self._came.clear()
        self.kept = 0

    def _tally(self, numbers: Numbers, most: int) -> None:
        if most > len(self._times):
            self._times = np.concatenate([self._times, np.zeros(2 * most, np.uint8)])
        if len(numbers):
            first, last = int(numbers.min()), int(numbers.max()) + 1
            together = self._times[first:last] + np.bincount(numbers - first)
            self._times[first:last] = np.minimum(together, 255)

    def totals(self, sent: SentLines, who: int, cut_short: bool = False) -> tuple[int, int, int, int]:
        """How many lines of others came, were lost, came once too often; and how many of its own came.

        Call `count` first. If the load was `cut_short`, the last lines of each talker may still have been
        on their way, and are not lost.
        """
        self._tally(np.zeros(0, np.int64), sent.count)
        received = self._times[: sent.count].astype(np.int64)
        own = sent.sent_by(who)
        meant = sent.was_sent() & ~own
        if cut_short:
            meant &= sent.not_after(received > 0)
        of_others = received[meant]
        return (
            int((of_others > 0).sum()),
            int((of_others == 0).sum()),
            int(np.maximum(of_others - 1, 0).sum()),
            int(received[own].sum()),
        )
