"""How a client gets in: what it answers to `nickname`, to `password`, to a refusal and to the welcome.

One state machine for joining and for coming back. It is fed with messages and returns what to send:

    the server sends           the client is then    and sends
    nickname                   ANSWERED              the nickname
    password                   PASSWORD, ANSWERED    the password
    ! why                      refused: it is asked again, or it is over
    * you are NICK, in ROOM    INSIDE                nothing, if ROOM is where it wants to be
                               WALKING               /join, if not; INSIDE after the next welcome

Joining, the user gives the nickname and the password; coming back, the dialogue does. Pure.
"""

from __future__ import annotations

from enum import Enum

from labkit.wire.messages import FromServer, Join, PasswordRequest, Refused, Request, Welcome


class Step(Enum):
    CONNECTED = "connected"  # no nickname was given yet
    ANSWERED = "answered"  # the server has an answer, and has said neither yes nor no
    PASSWORD = "password"  # the server waits for a password
    WALKING = "walking"  # the nickname is accepted, and we asked to be let into our room
    INSIDE = "inside"


class Dialogue:
    """What was asked and answered on one connection.

    Args:
        nickname: what to answer when coming back. Empty: the user answers.
        password: likewise; None: there is none.
        room: where to go when coming back. Empty: any room will do.
    """

    def __init__(self, nickname: str = "", password: str | None = None, room: str = "") -> None:
        self.nickname, self.room = nickname, room  # as the server shows them, once it has
        self.password = password  # the latest that was given
        self._coming_back = bool(nickname)  # until we are INSIDE
        self.step = Step.CONNECTED
        self.asked = False  # the server waits for a nickname
        self._may_ask = False  # nothing but refusals came since the nickname: `password` is a request
        self.refusal: Refused | None = None  # of our last answer
        self.over = False  # coming back: nothing more is to be heard from this server …
        self.final = False  # … nor from any other
        self.shown = True  # whether the latest message is for people to read

    @property
    def asks_for_password(self) -> bool:
        return self.step is Step.PASSWORD

    @property
    def inside(self) -> bool:
        return self.step is Step.INSIDE

    @property
    def settled(self) -> bool:
        """Whether the server has said what it thinks of our answer, or asks for more."""
        return self.inside or self.asks_for_password or bool(self.asked and self.refusal)

    # --- what the user answers ---

    def answer(self, nickname: str) -> str:
        """What to send for this nickname."""
        self.nickname = nickname
        self.asked, self._may_ask, self.refusal = False, True, None
        if not self.inside:
            self.step = Step.ANSWERED
        return nickname

    def give_password(self, password: str) -> str:
        """What to send for this password."""
        self.step, self.refusal, self.password = Step.ANSWERED, None, password
        return password

    def accept(self) -> None:
        """It is let in. In RAW, silence is a yes."""
        self.step, self._coming_back = Step.INSIDE, False

    # --- what the server says ---

    def receive(self, message: FromServer) -> str | None:
        """What to send in answer, if anything."""
        # Through a server without framing another client could say `password`, and would be told ours.
        may_ask = self._may_ask
        self._may_ask = may_ask and isinstance(message, PasswordRequest | Refused)
        answer = None if self.over else self._next(message, may_ask)
        is_request = isinstance(message, Request) or (may_ask and isinstance(message, PasswordRequest))
        welcomed = self.step in (Step.WALKING, Step.INSIDE)
        self.shown = not is_request and (welcomed or not self._coming_back)
        return answer

    def _next(self, message: FromServer, may_ask: bool) -> str | None:
        introduced = self.step is not Step.CONNECTED
        match message:
            case Request() | PasswordRequest() if self._coming_back and introduced and self.refusal:
                self._end(final=True)  # it refused our answer, and asks for another one
            case Request() if not (self._coming_back and introduced):
                self.asked = True
                return self.answer(self.nickname) if self._coming_back else None
            case PasswordRequest() if may_ask:
                if self._coming_back:
                    return self._password_again()
                self.step = Step.PASSWORD
            case Request() | PasswordRequest():
                pass
            case Refused() if not self.inside:
                self._refuse(message)
            case Welcome(who, room) if introduced:
                return self._enter(who, room)
            case _ if self.step is Step.ANSWERED and not self.asked and not self.room:
                self.accept()  # a student's server may have no word of welcome
        return None

    def _password_again(self) -> str | None:
        """Give the password that was right the last time, once."""
        self._may_ask = False
        if self.password is not None:
            return self.give_password(self.password)
        self.refusal = Refused("it asks for a password, and there is none")
        self._end(final=True)
        return None

    def _refuse(self, refusal: Refused) -> None:
        """A server that is full says why before it asks; that can pass, and so can a taken nickname."""
        self.refusal = refusal
        if not self._coming_back or self.step is Step.CONNECTED:
            return
        walking = self.step is Step.WALKING
        if refusal.taken and not walking:
            self._end(final=False)
        elif walking or refusal.last_try:
            self._end(final=True)

    def _enter(self, nickname: str, room: str) -> str | None:
        self.nickname = nickname
        if self._coming_back and self.step is not Step.WALKING and self.room not in ("", room):
            self.step = Step.WALKING
            return Join(self.room).line()
        self.room = room
        self.accept()
        return None

    def _end(self, final: bool) -> None:
        self.over, self.final = True, final
