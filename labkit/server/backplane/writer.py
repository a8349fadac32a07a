"""The writer: the one thread that has things done in Redis.

It takes all that has come together, has it done in one turn, and hands out the answers; meanwhile the next
turn comes together. When no answer comes it asks again, with the same number, until it gets one: scripts.py
tells why nothing is done twice then. When Redis is full it also tells, beside the turn that must wait, what
makes Redis emptier: what was read, and who is lost.

It also keeps the lease: a turn now and then, though nothing is to be done. And it looks whether the other
servers keep theirs. One that does not is given up. But not soon after Redis was away, for then none could
have kept it: each has a whole lease to come back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

from redis import RedisError

from labkit.server import scheduling
from labkit.server.backplane.contact import LONGEST_PAUSE, Contact, growing_pauses
from labkit.server.backplane.session import WINDOW, Handler, Session, ignore
from labkit.server.backplane.store import Command, Full, GivenUp, Store, reason
from labkit.wire.messages import SERVER_STOPPED

TELL_READ = WINDOW // 8
"""Bytes of a room after which a server tells how far it has read."""

HELD_ROOM = 0.02
"""Seconds between two questions how far the slowest server has come, while talkers wait for it."""

LAST_WORDS = 1.0
"""Seconds that a server which stops waits for Redis."""

SEEN = 2
"""Times in a row that a server must be seen without a lease."""

Things = list[tuple[Command, Handler]]


class Writer:
    """`start` it, `wake` it when there is something to do, and `stop` it.

    `begin_anew` is called in its thread when this server was given up, with why, and returns the session
    that follows.
    """

    def __init__(
        self,
        store: Store,
        lease: float,
        contact: Contact,
        lock: threading.Lock,
        begin_anew: Callable[[str], Session],
    ) -> None:
        self._store = store
        self._lease = lease
        self._contact = contact
        self._begin_anew = begin_anew
        self._work = threading.Condition(lock)  # the session's lock; it guards the two below
        self._woken = False
        self._stop_by: float | None = None
        self._stopping = threading.Event()  # … and wakes it between two tries
        # The rest is this thread's own.
        self._session: Session
        self._turn = 0
        self._beat_at = 0.0
        self._there_since = 0.0  # since when Redis has answered without a break
        self._silent: dict[str, int] = {}  # how often a server was seen without a lease
        self._lost: list[str] = []  # servers that had their chance
        self._thread = threading.Thread(target=self._write, name="labkit-backplane-write", daemon=True)

    def start(self, session: Session) -> None:
        """Take part, and go on in a thread.

        Raises:
            redis.RedisError, OSError: Redis is away, or in trouble.
        """
        self._session = session
        self._begin()
        self._turn = 1
        with self._work:
            things = session.gather(self._turn, TELL_READ)
        self._hand_out(things, self._ask(things))
        if session.broken:
            raise RedisError(session.broken)
        self._thread.start()

    def wake(self) -> None:
        """There is something to do. The session's lock must be held."""
        if not self._woken:
            self._woken = True
            self._work.notify()

    def stop(self) -> None:
        """Do what is still to be done, tell the others, and end. Nothing may be given to it any more."""
        with self._work:
            self._stop_by = monotonic() + LAST_WORDS
            self._work.notify()
        self._stopping.set()
        self._thread.join()

    # --- its thread ---

    def _begin(self, before: str = "") -> None:
        """Take part in a session; what it needs first, the next turn does."""
        self._turn = 0
        self._silent.clear()
        self._lost.clear()
        self._store.hello(self._session.server, self._lease, before)
        self._there_since = monotonic()

    def _write(self) -> None:
        scheduling.wait_your_turn()
        while True:
            with self._work:
                self._wait_for_work()
            self._let_others_write()
            beat = monotonic() >= self._beat_at
            with self._work:
                self._turn += 1
                things = self._session.gather(self._turn, TELL_READ)
                self._woken = bool(self._session.touched)
                ending = self._stop_by is not None
            if ending:
                things.append((("ring", ()), ignore))  # for the reader, which is to end, too
            elif beat:
                self._beat_at = monotonic() + self._lease / 4
                things += self._look_around()
            done = self._do(things)
            if ending and not (done and self._session.touched):
                break
        self._turn += 1
        if done:
            self._do([(("goodbye", (SERVER_STOPPED,)), ignore)])

    def _look_around(self) -> Things:
        """For all rooms, or a quiet one would keep its last lines in Redis for ever."""
        with self._work:
            things = self._session.look_around()
        things += [(("lose", (server,)), ignore) for server in self._lost]
        self._lost.clear()
        return [*things, (("look", ()), self._judge)]

    def _wait_for_work(self) -> None:
        """Until there is something to do: also the next beat, and a look at how far a slow server is."""
        look_at = monotonic() + HELD_ROOM if self._session.held else self._beat_at
        until = min(look_at, self._beat_at)
        while not (self._woken or self._session.requests or self._session.broken or self._stop_by):
            left = until - monotonic()
            if left <= 0:
                break
            self._work.wait(left)

    def _let_others_write(self) -> None:
        """The fuller a turn, the fewer there are: threads that have just read something may add to it."""
        seen = -1
        while self._session.given > seen:
            seen = self._session.given
            scheduling.yield_gil()

    def _do(self, things: Things) -> bool:
        """Have it done, however long it takes. False: the server stops, or was given up."""
        pauses = growing_pauses()
        while True:
            if self._session.broken and self._stop_by is None:
                self._start_anew(self._session.broken)
                return False
            began = monotonic()
            try:
                try:
                    answers = self._ask(things)
                except Full:
                    beside = self._look_around()
                    self._hand_out(beside, self._ask(beside, aside=True))
                    raise
            except GivenUp as why:
                self._start_anew(str(why))
                return False
            except (RedisError, OSError) as error:
                # Since it was asked: what was said since then may not have been heard.
                self._contact.lost("writer", began, reason(error))
                if not self._wait_to_try_again(next(pauses), isinstance(error, Full)):
                    return False
            else:
                self._contact.found("writer")
                self._hand_out(things, answers)
                return True

    def _ask(self, things: Things, aside: bool = False) -> list[Any]:
        return self._store.turn(
            self._session.server, self._turn, self._lease, [command for command, _ in things], aside
        )

    def _hand_out(self, things: Things, answers: Sequence[Any]) -> None:
        try:
            for (_, handler), answer in zip(things, answers, strict=False):  # none, if it was aside
                handler(answer)
        except Exception as error:
            # Another program wrote there. Better to begin anew than to go on with half of it.
            self._session.broken = f"cannot read an answer: {error!r}"

    def _wait_to_try_again(self, pause: float, full: bool = False) -> bool:
        """Redis cannot be reached, or is full. False: the server stops, and has waited for long enough."""
        if not full:
            self._there_since = monotonic() + pause
        if self._stop_by is None:
            self._stopping.wait(pause)
            return True
        left = self._stop_by - monotonic()
        threading.Event().wait(max(0.0, min(pause, left)))
        return left > 0

    def _start_anew(self, why: str) -> None:
        """The others have given this server up."""
        if self._stop_by is not None:
            return
        if monotonic() < self._there_since + LONGEST_PAUSE:  # this one had hardly begun
            self._stopping.wait(LONGEST_PAUSE)
        before = self._session.server
        self._session = self._begin_anew(why)
        pauses = growing_pauses()
        while True:
            try:
                self._begin(before)
            except (RedisError, OSError) as error:
                self._contact.lost("writer", monotonic(), reason(error))
                if not self._wait_to_try_again(next(pauses)):
                    return
            else:
                self._contact.found("writer")
                return

    def _judge(self, silent: Any) -> None:
        """These servers have no lease. Give up those that had their chance."""
        seen = {server.decode(): self._silent.get(server.decode(), 0) + 1 for server in silent}
        self._silent = seen
        if monotonic() - self._there_since < self._lease:
            return
        self._lost = [server for server, times in seen.items() if times >= SEEN]
        if self._lost:
            self._beat_at = 0.0
