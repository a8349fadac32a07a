"""The handshake: TLS, a password where the server has one, and a nickname.

The password is asked for as soon as a nickname was given, and the nickname is looked at only afterwards.
Or a stranger could learn who is here by trying names, or keep a name from others by giving it and then
thinking about the password.
"""

from __future__ import annotations

import threading
from time import monotonic

from labkit.journal import Journal
from labkit.server.connection import Disconnected, ServerConnection
from labkit.server.conversation import Conversation
from labkit.server.delivery import as_bytes
from labkit.server.hub import Hub
from labkit.server.limits import Limits
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
    PasswordRequest,
    Reason,
    Refused,
    Request,
)

RAW_PAUSE = 0.2
"""Seconds between a refusal and the next request in the raw dialect: the request must be a recv of its
own, and nothing but time keeps two messages apart there."""

Lines = list[str | TooLong]


class Handshake:
    """`shake_hands` with a client, in its own thread."""

    def __init__(
        self,
        hub: Hub,
        conversation: Conversation,
        limits: Limits,
        journal: Journal,
        password: Password | None,
        raw: bool,
        ending: threading.Event,
    ) -> None:
        self._hub = hub
        self._conversation = conversation
        self._limits = limits
        self._journal = journal
        self._password = password
        self._raw = raw
        self._ending = ending

    def shake_hands(self, client: ServerConnection) -> Lines:
        """Ask for a nickname until one is granted; returns what was said in the same breath.

        Raises:
            Disconnected: it gave none in time, or too many that were refused; or it has gone.
        """
        give_up = monotonic() + self._limits.handshake
        said = self._agree_on_keys(client, give_up)
        trusted = self._password is None
        refused = 0
        self._hub.tell(client, Request())
        while True:
            while said:
                nickname = said.pop(0)
                if nickname == "":
                    continue  # a heartbeat, not a nickname
                if not trusted:
                    said = self._ask_for_password(client, said, give_up)
                    trusted = True
                try:
                    if isinstance(nickname, TooLong):
                        raise Refusal("that nickname will not do: too long")
                    self._hub.join(client, nickname)
                except Refusal as refusal:
                    refused += 1
                    self._refuse(client, str(refusal), Request(), refused, NO_NICKNAME)
                else:
                    return said
            said = self._read_in_time(client, give_up, NO_NICKNAME)

    def _agree_on_keys(self, client: ServerConnection, give_up: float) -> Lines:
        """The TLS handshake, if there is to be one; returns what was said in the same breath."""
        tls = client.tls
        said: Lines = []
        while tls is not None and not tls.ready:
            try:
                said += self._conversation.read(client, max(0.0, give_up - monotonic()))
            except Disconnected as end:
                if end.reason == WENT_SILENT:
                    why = f"within {self._limits.handshake:g} s"
                elif tls.trouble:
                    why = f"({tls.trouble})"
                else:
                    raise
                self._journal.record("refused", what=f"{NO_TLS} {why}")
                if tls.plain_text:
                    tls.say_plainly(as_bytes(Refused("this server speaks TLS alone, and this was none")))
                raise Disconnected(NO_TLS) from None
        return said

    def _ask_for_password(self, client: ServerConnection, said: Lines, give_up: float) -> Lines:
        """Ask until it is given; `said` is what is unread, before and after."""
        assert self._password is not None
        refused = 0
        self._hub.tell(client, PasswordRequest())
        while True:
            while said:
                given = said.pop(0)
                if given == "":
                    continue
                if self._password.fits(given):
                    return said
                refused += 1
                self._refuse(client, WRONG_PASSWORD, PasswordRequest(), refused, NO_PASSWORD)
            said = self._read_in_time(client, give_up, NO_PASSWORD)

    def _refuse(
        self,
        client: ServerConnection,
        why: str,
        request: Request | PasswordRequest,
        times: int,
        lacking: Reason,
    ) -> None:
        """Refuse, for the so-manieth time, and ask again; or end it, if that was the last try."""
        if times == self._limits.refusals:
            self._hub.tell(client, Refused(why + LAST_TRY))
            raise Disconnected(lacking)
        if self._raw:
            self._hub.tell(client, Refused(why))
            self._ending.wait(RAW_PAUSE)
            self._hub.tell(client, request)
        else:
            self._hub.tell(client, Refused(why), request)

    def _read_in_time(self, client: ServerConnection, give_up: float, lacking: Reason) -> Lines:
        """What the client answers, if it does before its time for the handshake is up."""
        try:
            # Each byte of a slow answer starts a new recv, but not a new minute.
            return self._conversation.read(client, max(0.0, give_up - monotonic()))
        except Disconnected as end:
            if end.reason != WENT_SILENT:
                raise
            self._hub.tell(client, Refused(f"{lacking} within {self._limits.handshake:g} s"))
            raise Disconnected(lacking) from None
