"""The handshake: TLS, a password where the server has one, and a nickname.

The password is asked for as soon as a nickname was given, and the nickname is looked at only afterwards.
Or a stranger could learn who is here by trying names, or keep a name from others by giving it and then
thinking about the password.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from labkit.journal import Journal
from labkit.server.client_loop import ClientLoop
from labkit.server.connection import Disconnected, ServerConnection
from labkit.server.password import Password
from labkit.server.rooms import Refusal
from labkit.wire.framing import TooLong
from labkit.wire.messages import (
    LAST_TRY,
    NO_NICKNAME,
    NO_PASSWORD,
    NO_TLS,
    WENT_SILENT,
    WRONG_PASSWORD,
    FromServer,
    PasswordRequest,
    Reason,
    Refused,
    Request,
)

HEARTBEATS = 1000
"""Empty lines that may come instead of an answer: as many as a client sends in five hours."""

RAW_PAUSE = 0.2
"""Seconds between a refusal and the next request in the raw dialect, where only time keeps two apart."""

Answer = str | TooLong


@dataclass(slots=True)
class Handshake:
    """`shake_hands` with one client, in its own thread."""

    client: ServerConnection
    client_loop: ClientLoop
    journal: Journal
    password: Password | None
    raw: bool
    _said: list[Answer] = field(default_factory=list, init=False)  # and not yet looked at
    _give_up: float = field(default=0.0, init=False)
    _heartbeats: int = field(default=0, init=False)  # that came instead of answers

    def shake_hands(self) -> list[Answer]:
        """Ask for a nickname until one is granted; returns what was said in the same breath.

        Raises:
            Disconnected: it gave none in time, or too many that were refused; or it has gone.
        """
        self._give_up = monotonic() + self.client_loop.limits.handshake
        self._agree_on_keys()
        self._begin()
        nickname = self._next_answer(NO_NICKNAME)
        if self.password is not None:
            self._tell(PasswordRequest())
            self._ask(self._check, PasswordRequest(), NO_PASSWORD)
        self._said.insert(0, nickname)
        self._ask(self._join, Request(), NO_NICKNAME)
        return self._said

    def _agree_on_keys(self) -> None:
        """The TLS handshake, if there is to be one."""
        tls = self.client.tls
        while tls is not None and not tls.ready:
            try:
                self._said += self._read()
            except Disconnected as end:
                if end.reason == WENT_SILENT:
                    why = f"within {self.client_loop.limits.handshake:g} s"
                elif tls.trouble:
                    why = f"({tls.trouble})"
                else:
                    raise
                self.journal.record("refused", what=f"{NO_TLS} {why}")
                if tls.plain_text:
                    tls.say_plainly(Refused("this server speaks TLS alone, and this was none").data())
                raise Disconnected(NO_TLS) from None

    def _begin(self) -> None:
        """Ask for a nickname for the first time: at once, where the socket takes plain lines."""
        if self.client.tls is None and not self.raw:
            self.journal.record(Request.event)
            if self.client.greet(Request().data()):
                return
        self._tell(Request())

    def _ask(
        self, accept: Callable[[Answer], None], request: Request | PasswordRequest, lacking: Reason
    ) -> None:
        """Hand on the answers until one is accepted. After each refusal but the last, ask again."""
        for tries in range(self.client_loop.limits.refusals, 0, -1):
            try:
                return accept(self._next_answer(lacking))
            except Refusal as refusal:
                why = str(refusal)
            if tries == 1:
                self._tell(Refused(why + LAST_TRY))
            elif self.raw:
                self._tell(Refused(why))
                self.client_loop.ending.wait(RAW_PAUSE)
                self._tell(request)
            else:
                self._tell(Refused(why), request)
        raise Disconnected(lacking)

    def _join(self, nickname: Answer) -> None:
        if isinstance(nickname, TooLong):
            raise Refusal("that nickname will not do: too long")
        self.client_loop.hub.join(self.client, nickname)

    def _check(self, given: Answer) -> None:
        if self.password is not None and not self.password.fits(given):
            raise Refusal(WRONG_PASSWORD)

    def _next_answer(self, lacking: Reason) -> Answer:
        """What the client says next, but for heartbeats, if it does before its time is up."""
        # A recv does not time out while there is something to read, so the clock is looked at here, too.
        while self._heartbeats <= HEARTBEATS and monotonic() < self._give_up:
            while self._said:
                if (answer := self._said.pop(0)) != "":
                    return answer
                self._heartbeats += 1
            try:
                self._said = self._read()
            except Disconnected as end:
                if end.reason != WENT_SILENT:
                    raise
                break
        within = f"within {self.client_loop.limits.handshake:g} s"
        self._tell(Refused(f"{lacking} {within if self._heartbeats <= HEARTBEATS else 'in so many lines'}"))
        raise Disconnected(lacking)

    def _tell(self, *messages: FromServer) -> None:
        self.client_loop.hub.tell(self.client, *messages)

    def _read(self) -> list[Answer]:
        # Each byte of a slow answer starts a new recv, but not a new minute.
        data = self.client_loop.read(self.client, max(0.0, self._give_up - monotonic()))
        return self.client.framing.feed(data)
