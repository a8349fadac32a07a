"""Looks at gauges: once, when it is told to, or so many times a second in a thread of its own.

Each look is a `Sample` with its time, and its place in a journal. The newest are kept.
"""

from __future__ import annotations

import bisect
import socket
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

from labkit.client import ChatClient
from labkit.instruments.buffers.gauges import AcceptQueue, Gauge, ToClient, Way
from labkit.instruments.buffers.levels import UNTOLD
from labkit.instruments.buffers.pictures import Moments, Plot
from labkit.instruments.buffers.samples import Sample
from labkit.instruments.link import Link
from labkit.journal import Journal
from labkit.probe import queues
from labkit.server import ChatServer
from labkit.wire.sockets import Address

KEPT = 4000
"""Samples that are kept: at 20 a second, of more than three minutes in which something changes."""

TIMES = 20
"""Looks in a second: as many as an eye can follow."""


class Buffers:
    """What some gauges have shown.

    Args:
        gauges: what to look at, in the order in which it is shown.
        journal: each sample says which of its events was the newest.
        kept: how many samples are kept, the newest.
    """

    def __init__(self, *gauges: Gauge, journal: Journal | None = None, kept: int = KEPT) -> None:
        if not gauges:
            raise ValueError("there is nothing to look at: give it at least one gauge")
        if kept < 2:
            raise ValueError(f"at least 2 samples are kept, not {kept}")
        self._gauges, self._journal = gauges, journal
        self._samples: deque[Sample] = deque(maxlen=kept)
        self._named: dict[str, Sample] = {}  # so that one with a name outlives the others
        self._lock = threading.Lock()  # guards the two above: a look is added in its order
        self._watch: _Watch | None = None

    def sample(self, moment: str = "") -> Sample:
        """Look now. With a name, the sample is one of the `moments`; an older one of that name goes."""
        with self._lock:
            journal = self._journal
            after = 0 if journal is None else journal.dropped + len(journal)
            levels = tuple(level for gauge in self._gauges for level in gauge.read())
            taken = Sample(monotonic(), levels, after, moment)
            latest = self._samples
            # Of many in a row that are alike, the first and the last tell all.
            if not moment and len(latest) > 1 and _alike(taken, latest[-1]) and _alike(taken, latest[-2]):
                latest.pop()
            latest.append(taken)
            if moment:
                self._named[moment] = taken
        return taken

    def watch(self, times: float = TIMES) -> Buffers:
        """Look so many times a second from now on, in a thread.

        It ends with `stop`, when nothing is left to be seen (all connections are over), or when nobody
        holds these Buffers any more. Twice does no harm.
        """
        if not 0 < times <= 1000:
            raise ValueError(f"it looks up to 1000 times a second, not {times!r}")
        if self._watch is None or not self._watch.running:
            self._watch = _Watch(weakref.ref(self), 1 / times)
        return self

    def stop(self) -> None:
        """Look no more by itself. Twice does no harm; `watch` begins again."""
        if self._watch is not None:
            self._watch.stop()
            self._watch = None

    @property
    def watching(self) -> bool:
        """Whether a thread looks."""
        return self._watch is not None and self._watch.running

    def at(self, seconds: float) -> Sample | None:
        """What was seen last at that time, of `time.monotonic()`; None: nothing yet, or it is forgotten."""
        samples = list(self)
        place = bisect.bisect_right(samples, seconds, key=lambda sample: sample.when)
        return samples[place - 1] if place else None

    def after(self, event: int) -> Sample | None:
        """What was seen last before event number `event + 1` of the journal; None as for `at`."""
        samples = list(self)
        place = bisect.bisect_right(samples, event, key=lambda sample: sample.after)
        return samples[place - 1] if place else None

    def moments(self, *names: str) -> Moments:
        """The samples that have names, or those of these names, side by side.

        Raises:
            LookupError: no sample has such a name.
        """
        with self._lock:
            named = dict(self._named)
        for name in names:
            if name not in named:
                raise LookupError(f"no sample is called {name!r}; there are: {', '.join(named) or 'none'}")
        return Moments([named[name] for name in names or named])

    def plot(self, title: str = "") -> Plot:
        """What each buffer held over time."""
        return Plot(list(self), title)

    def __len__(self) -> int:
        return len(self._samples)

    def __iter__(self) -> Iterator[Sample]:
        """The samples that are kept, oldest first."""
        with self._lock:
            return iter(list(self._samples))

    def __enter__(self) -> Buffers:
        return self.watch()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        """The latest sample; the first look is taken for it."""
        return repr(self._latest())

    def _latest(self) -> Sample:
        samples = list(self)
        return samples[-1] if samples else self.sample()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        latest = self._latest()
        return {"text/plain": repr(latest), "text/html": latest._repr_html_()}


def _alike(one: Sample, other: Sample) -> bool:
    return not other.moment and (one.levels, one.after) == (other.levels, other.after)


class _Watch:
    """The thread that looks. It holds no more than a weak reference: who drops the Buffers ends it."""

    def __init__(self, buffers: Callable[[], Buffers | None], pause: float) -> None:
        self._buffers, self._pause = buffers, pause
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="labkit-buffers", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        self._ending.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        seen_something = False
        while not self._ending.wait(self._pause):
            buffers = self._buffers()
            if buffers is None:
                return
            told = any(level.state != UNTOLD for level in buffers.sample().levels)
            seen_something |= told
            if seen_something and not told:
                return  # all is over
            del buffers


def between(
    sender: socket.socket,
    receiver: socket.socket,
    names: tuple[str, str] = ("near", "far"),
    *,
    listener: socket.socket | None = None,
    journal: Journal | None = None,
) -> Buffers:
    """The way from a socket to the other end of its connection; with `listener`, also its queue for accept.

    Raises:
        OSError: one of them is not connected.
        ValueError: they are not the two ends of one connection.
    """
    ends = queues.ends(sender)
    if queues.ends(receiver) != ends[::-1]:
        raise ValueError(f"{names[0]} and {names[1]} are not the two ends of one connection")
    gauges: list[Gauge] = [Way(*names, lambda: ends, (sender, receiver))]
    if listener is not None:
        gauges.insert(0, AcceptQueue(queues.plain(listener.getsockname())))
    return Buffers(*gauges, journal=journal)


def to_client(
    server: ChatServer | Address,
    client: ChatClient,
    link: Link | None = None,
    *,
    journal: Journal | None = None,
) -> Buffers:
    """The way from a chat server to one of its clients: what it has said, and the client has not read.

    Args:
        server: a ChatServer, or the address of another one: then there is no backlog to be seen.
        client: whose way it is.
        link: the wire in between, if there is one.
        journal: as for Buffers; by default the server's own.
    """
    if journal is None and isinstance(server, ChatServer):
        journal = server.journal
    return Buffers(ToClient(server, client.nickname, lambda: client.sock, link), journal=journal)
