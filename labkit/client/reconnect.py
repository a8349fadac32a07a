"""A comeback: from the loss of a server until another one has let us in, or none will.

It decides whom to try next and when, and what to answer there, line by line: the nickname, the password,
and then the way to our room. It touches no socket and no thread, and never waits: client.py does that.

The pauses between the tries grow, and how long each is decides the lot: when a server dies, all of its
people set out at the same moment, and should not all arrive at the same moment.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from time import monotonic

from labkit.wire.framing import RAW, NewFraming
from labkit.wire.messages import FromServer, Join, PasswordRequest, Refused, Request, Welcome
from labkit.wire.sockets import Address

FIRST_PAUSE = 0.1
"""Seconds before a try of the first round, at most; the pause is twice as long in each next round …"""

LONGEST_PAUSE = 2.0
"""… up to this."""

_TAKEN = re.compile(r"\bis taken\b")
_LAST_TRY = "that was the last try"


def place(address: Address) -> str:
    """HOST:PORT, as it is typed: an IPv6 address in brackets (RFC 3986, section 3.2.2)."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def told_of(address: Address, why: object) -> str:
    """Why it did not work there, with the address in front unless it is named already."""
    text = (isinstance(why, OSError) and why.strerror) or str(why)
    return text if f"{address[0]}:{address[1]}" in text else f"{place(address)}: {text}"


def several(addresses: Sequence[Address], framing: NewFraming, give_up: float) -> tuple[Address, ...]:
    """The addresses of several servers, if a client can come back to them.

    Raises:
        ValueError: it cannot; the text says why.
    """
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


class Comeback:
    """What has been tried since a server was lost, and what is to be tried next.

    Args:
        servers: the addresses of all servers.
        lost: the one that was lost; it is tried last in each round.
        nickname, room: what we had there and want again. No room: the server had none to tell of.
        password: for a server that asks. None: there is none.
        give_up: seconds after which there is no further try.
        chance: what the pauses are drawn from.
    """

    def __init__(
        self,
        servers: Sequence[Address],
        lost: Address,
        nickname: str,
        room: str,
        password: str | None,
        give_up: float,
        chance: random.Random,
    ) -> None:
        after = servers.index(lost) + 1
        self._servers = [*servers[after:], *servers[:after]]
        self.nickname, self.room = nickname, room
        self._password = password
        self._give_up = give_up
        self._until = monotonic() + give_up
        self._chance = chance
        self._tries = 0
        self._whys: dict[Address, str] = {}  # why the last try of each did not work
        self.refused = ""  # why there is to be no further try, if so
        self._begin()

    # --- whom to try, and when ---

    @property
    def first(self) -> Address:
        """Whom it tries first."""
        return self._servers[0]

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
        self._begin()
        return pause, self._servers[turn]

    def failed(self, address: Address, why: object) -> str:
        """Keep why the try did not work; returns it in words if that is news, else ""."""
        words = told_of(address, self.why or why)
        news = self._whys.get(address) != words
        self._whys[address] = words
        if self._final:
            self.refused = f"{place(address)} would not have {self.nickname} back: {self.why}"
        return words if news else ""

    @property
    def end(self) -> str:
        """Why it gave up, in words."""
        tried = "; ".join(self._whys.values()) or "there was no time to try one"
        return self.refused or (
            f"no server let {self.nickname} back in within {self._give_up:g} s: {tried}"
        )

    # --- what to answer there ---

    def _begin(self) -> None:
        """A new try: nothing has been said yet."""
        self._answered = False  # the request for a nickname
        self._may_ask = False  # nothing has come since: now `password` is a request
        self._on_the_way = False  # we asked to be let into our room
        self.inside = False  # the nickname is accepted; all that comes now is for people to read
        self.done = False  # and we are in our room
        self.why = ""  # we were refused, and this is why
        self.over = False  # nothing more is to be heard there …
        self._final = False  # … nor anywhere

    def answer(self, message: FromServer) -> str | None:
        """What to answer to this message, if anything. It may change `inside`, `done` and `over`.

        A nickname or a password that was refused is asked for again. A server that is full, or has no time
        for us, says why and hangs up: that can pass.
        """
        if self.over:
            return None
        # As at the first time: somebody could have a server without framing relay a line `password`.
        may_ask, self._may_ask = self._may_ask, False
        match message:
            case Request() if not self._answered:
                self._answered = self._may_ask = True
                self.why = ""
                return self.nickname
            case PasswordRequest() if may_ask:
                if self._password is not None:
                    return self._password
                self.why = "it asks for a password, and there is none"
                self.over = self._final = True
            case Refused(why) if not self.inside or self._on_the_way:
                self.why = why
                taken = self._answered and not self.inside and bool(_TAKEN.search(why))
                last_try = self._answered and why.endswith(_LAST_TRY)
                self._final = (self._on_the_way or last_try) and not taken
                self.over = self._final or taken
            case Request() | PasswordRequest() if self._answered and self.why:
                self.over = self._final = True
            case Welcome(who, room) if self._answered:
                self.inside = True
                self.nickname = who
                if self.room in ("", room) or self._on_the_way:
                    self.room, self.done = room, True
                else:
                    self._on_the_way = True
                    return Join(self.room).line()
            case Request() | PasswordRequest():
                pass
            case _ if self._answered and not self.room:
                self.inside = self.done = True  # a student's server may have no word of welcome
        return None
