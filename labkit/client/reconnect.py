"""Coming back: whom to try next and when, what failed, when to give up, and what the lost server missed.

It touches no socket and no thread, and never waits: session.py does that. The pauses between the tries
grow, and each is drawn by lot: the clients of a server that dies set out at the same moment, and should
not all arrive at the same moment.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Sequence
from time import monotonic

from labkit.client.dialogue import Dialogue
from labkit.wire.addresses import Address, place
from labkit.wire.framing import RAW, NewFraming
from labkit.wire.messages import BACK, CUT_OFF

FIRST_PAUSE = 0.1
"""Seconds before a try of the first round, at most; the pause is twice as long in each next round …"""

LONGEST_PAUSE = 2.0
"""… up to this."""

LAST_WORDS = 3.0
"""Seconds; what was said so shortly before a server was lost, or before it told that it was cut off from
others, it may not have heard. (It waits for an answer for two seconds before it tells.)"""


def told_of(address: Address, why: object) -> str:
    """Why it did not work there, with the address in front unless it is named already."""
    text = (isinstance(why, OSError) and why.strerror) or str(why)
    return text if place(address) in text else f"{place(address)}: {text}"


def several(addresses: Sequence[Address], framing: NewFraming, give_up: float) -> tuple[Address, ...]:
    """The addresses of several servers. Raises ValueError: a client cannot come back to them, and why."""
    for address in addresses:
        match address:
            case (str(), int(port)) if 0 <= port <= 65535:
                pass
            case _:
                raise ValueError(f"an address is (host, port), the port up to 65535, not {address!r}")
    if not addresses:
        raise ValueError("the list of addresses is empty: at least one (host, port) is needed")
    if framing is RAW:
        raise ValueError(
            "a list of addresses needs framing=LINES: in RAW nothing tells that a server has let one in, "
            "or how much of a line it has heard"
        )
    if not give_up > 0:
        raise ValueError(f"give_up is a number of seconds above 0, not {give_up!r}")
    return tuple((host, port) for host, port in addresses)


class Reconnection:
    """What has been tried since a server was lost, and what is to be tried next.

    Args:
        servers: the addresses of all servers.
        give_up: seconds after which there is no further try.
        chance: what the pauses are drawn from.
        lost: the server that was lost; it is tried last in each round.
        nickname, room, password: what we had there; see Dialogue.
    """

    def __init__(
        self,
        servers: Sequence[Address],
        give_up: float,
        chance: random.Random,
        lost: Address,
        nickname: str,
        room: str,
        password: str | None,
    ) -> None:
        after = servers.index(lost) + 1
        self._servers = [*servers[after:], *servers[:after]]
        self.first = self._servers[0]
        self._room, self._password = room, password
        self._give_up = give_up
        self._until = monotonic() + give_up
        self._chance = chance
        self._tries = 0
        self._whys: dict[Address, str] = {}  # why the last try of each did not work
        self.refused = ""  # why there is to be no further try, if so
        self.dialogue = Dialogue(nickname, password, room)  # of the latest try

    @property
    def time_left(self) -> float:
        """Seconds until it gives up."""
        return max(0.0, self._until - monotonic())

    def next(self) -> tuple[float, Address] | None:
        """Seconds to wait, and whom to try then; None if there is to be no further try."""
        rounds, turn = divmod(self._tries, len(self._servers))
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(rounds, 30))
        pause = self._chance.uniform(longest / 2, longest)
        if self.refused or pause >= self.time_left:
            return None
        self._tries += 1
        self.dialogue = Dialogue(self.dialogue.nickname, self._password, self._room)
        return pause, self._servers[turn]

    def failed(self, address: Address, why: object) -> str:
        """Keep why the try did not work; returns it in words if that is news, else ""."""
        refusal = self.dialogue.refusal
        words = told_of(address, refusal.why if refusal else why)
        news = self._whys.get(address) != words
        self._whys[address] = words
        if self.dialogue.final and refusal:
            self.refused = f"{place(address)} would not have {self.dialogue.nickname} back: {refusal.why}"
        return words if news else ""

    @property
    def end(self) -> str:
        """Why it gave up, in words."""
        tried = "; ".join(self._whys.values()) or "there was no time to try one"
        nickname = self.dialogue.nickname
        return self.refused or f"no server let {nickname} back in within {self._give_up:g} s: {tried}"


class LastWords:
    """What was said lately, and may not have been heard if the server is lost."""

    def __init__(self) -> None:
        self._said: deque[tuple[str, float]] = deque(maxlen=1000)  # what went out last, and when
        self._waits_since = math.inf  # since when it waits, as the server is cut off from others

    def add(self, text: str) -> None:
        self._said.append((text, monotonic()))

    def heed(self, notice: str) -> None:
        """A server that is cut off from others says so: what is said from then on has reached no client."""
        if notice == CUT_OFF:
            self._waits_since = monotonic()
        elif notice == BACK:
            now, self._waits_since = monotonic(), math.inf
            self._said = deque([(text, now) for text, _ in self._said], self._said.maxlen)

    def lost(self) -> str:
        """Now that the server is lost: what it may not have heard, in words. Forgets it."""
        recently = min(monotonic(), self._waits_since) - LAST_WORDS
        texts = [text for text, when in self._said if when > recently]
        self._said.clear()
        self._waits_since = math.inf
        if not texts:
            return ""
        more = "or more " if len(texts) == self._said.maxlen else ""
        which = f"the last {len(texts)} {more}lines, from this one on" if texts[1:] else "this line"
        return f"it may not have heard {which}: {texts[0]}"
