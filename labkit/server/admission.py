"""Who may come in, and who makes way. In the accept thread: no other client comes in meanwhile."""

from __future__ import annotations

from collections import deque
from time import monotonic

from labkit.journal import Journal
from labkit.server.connection import ServerConnection
from labkit.server.delivery import Close, ForOne
from labkit.server.hub import LocalHub
from labkit.server.limits import Limits
from labkit.wire import sockets
from labkit.wire.messages import Refused

POLITE = 32
"""How many a second are waited for when turned away, so that the reason is sure to arrive. All others are
told, and closed at once."""


class Admission:
    """Gives connections their slots, which the hub's lock guards, or turns them away."""

    def __init__(self, hub: LocalHub, limits: Limits, journal: Journal) -> None:
        self._hub = hub
        self._slots = hub.slots
        self._limits = limits
        self._journal = journal
        self._turned_away: deque[float] = deque(maxlen=POLITE)  # when

    def admit(self, client: ServerConnection, host: str) -> bool:
        """Give it a slot, or turn it away."""
        with self._hub.lock:
            if self._slots.has_enough_from(host):
                why = f"too many from your address: {self._limits.per_address} connections"
            elif self._slots.full and not self._make_way():
                why = f"the server is full: {self._limits.max_clients} connections"
            else:
                self._slots.add(client, host)
                return True
        self.turn_away(client, why)
        return False

    def turn_away(self, client: ServerConnection, why: str) -> None:
        self._journal.record("refused", what=why)
        now, outbox = monotonic(), client.outbox
        polite = len(self._turned_away) < POLITE or now - self._turned_away[0] > 1.0
        if polite:
            self._turned_away.append(now)
        self._hub.broadcaster.post([ForOne(outbox, Refused(why).data()), Close(outbox, polite)])
        self._hub.broadcaster.wake()

    def no_room(self, why: str) -> bool:
        """The machine has no room for one more. If this lasts, one without a nickname makes way."""
        if why:
            self._journal.record("full", what=why)
            return False
        with self._hub.lock:
            made = self._make_way()
        self._hub.broadcaster.wake()
        return made

    def _make_way(self) -> bool:
        """Let go of a client without a nickname, if there is one. The lock must be held."""
        assert self._hub.lock.locked()
        client = self._slots.in_the_way()
        if client is None:
            return False
        self._slots.remove(client)
        client.in_the_way = True
        refused = Refused("no nickname yet, and others need the room")
        self._hub.broadcaster.post([ForOne(client.outbox, refused.data())])
        sockets.stop_reading(client.sock)
        return True
