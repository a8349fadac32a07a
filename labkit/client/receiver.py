"""The receiving thread's work: to hear what comes, and to go on at another server when its own is lost."""

from __future__ import annotations

from labkit.client.connection import ClientConnection
from labkit.client.reconnect import place
from labkit.client.session import Session
from labkit.wire.framing import TooLong
from labkit.wire.messages import Notice, from_server
from labkit.wire.sockets import Address
from labkit.wire.text import clean

LEAST = 0.5
"""Seconds that a server gets at least to let us back in, also when we are about to give up."""


class Receiver:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._changed = session.changed
        self._transcript = session.transcript

    # --- hearing ---

    def listen(self) -> str:
        """Hear what comes until this connection ends, and close it; returns why it ended."""
        connection, thawed, end = self._session.connection, self._session.thawed, "the server hung up"
        try:
            self._hear(connection, connection.early)
            while not connection.over and (data := connection.receive(thawed, self._session.heartbeat)):
                self._hear(connection, connection.opened(data))
            if connection.over:
                connection.say_goodbye(0)
            elif connection.encrypted:
                # A FIN can come from anybody on the way; only the server can say close_notify.
                end = "the connection was cut: no goodbye (close_notify) came before its end"
        except OSError as error:
            end = f"the connection broke ({error.strerror or error})"
        connection.close()
        return connection.trouble or end

    def _hear(self, connection: ClientConnection, pieces: list[bytes]) -> None:
        """Take what came, and answer it; in RAW each piece is a message."""
        lines: list[str] = []
        for piece in pieces:
            for message in connection.framing.feed(piece):
                if isinstance(message, TooLong):
                    lines.append(f"! a line of more than {message.limit} bytes came, and was dropped")
                else:
                    # In RAW several lines may share a recv; a line of LINES is in one piece.
                    lines += message.split("\n")
        if lines:
            for answer in self._take(lines):
                connection.send(self._session.frame(answer))

    def _take(self, lines: list[str]) -> list[str]:
        """Keep what was heard; returns what the dialogue answers."""
        session, answers = self._session, list[str]()
        with self._changed:
            for line in map(clean, lines):  # the server should have; a student's may not
                message = from_server(line)
                answer = session.dialogue.receive(message)
                if answer is not None:
                    answers.append(answer)
                if session.dialogue.shown:
                    self._transcript.keep(line)
                if session.reconnection is not None:
                    self._look_whether_back()
                elif isinstance(message, Notice):
                    session.last_words.heed(message.text)
            self._changed.notify_all()
        self._transcript.tell_listeners()
        return answers

    def finish(self, end: str) -> None:
        """There is no connection any more, nor will there be one."""
        with self._changed:
            self._session.reconnection = None
            self._transcript.end = self._transcript.end or end
            self._transcript.complete = True
            self._changed.notify_all()
        self._transcript.tell_listeners()

    # --- coming back ---

    def reconnect(self, end: str) -> bool:
        """Connect to another server, now that the connection ended (`end`: how); False if that is over."""
        session = self._session
        looking = self._is_looking(session.connection.address, end)
        while looking and (address := self._next_try()) is not None:
            assert session.reconnection is not None
            timeout = min(session.timeout, max(LEAST, session.reconnection.time_left))
            try:
                connection = session.dial(address, timeout, given_up=lambda: session.leaving)
            except (OSError, ValueError) as error:
                looking = self._is_looking(address, error)
                continue
            connection.expect(timeout)
            with self._changed:
                if not session.leaving:
                    session.connection, session.dialogue = connection, session.reconnection.dialogue
                    return True
            connection.close()
        return False

    def _is_looking(self, where: Address, why: object) -> bool:
        """Whether we look for another server, now that there is none here, and why; notes what is new."""
        session = self._session
        with self._changed:
            if session.leaving or session.quitting or session.come_back is None:
                return False
            if session.reconnection is not None:
                if news := session.reconnection.failed(where, why):
                    self._transcript.note(news)
            elif session.dialogue.inside:
                nickname, room = session.dialogue.nickname, session.dialogue.room
                session.reconnection = session.come_back(where, nickname, room, session.password)
                first = session.reconnection.first
                trying = "again" if first == where else place(first)
                self._transcript.note(f"lost {place(where)} ({why}); trying {trying}")
                if missed := session.last_words.lost():
                    self._transcript.note(missed)
            else:
                return False  # no server had let us in yet
            self._changed.notify_all()
        self._transcript.tell_listeners()
        return True

    def _next_try(self) -> Address | None:
        """Whom to try now, after the pause before it; None if there is none, and then why is the end."""
        session = self._session
        with self._changed:
            assert session.reconnection is not None
            turn = session.reconnection.next()
            if turn is None:
                self._transcript.end = self._transcript.end or session.reconnection.end
                return None
            pause, address = turn
            self._changed.wait_for(lambda: session.leaving, pause)
        session.thawed.wait()
        return None if session.leaving else address

    def _look_whether_back(self) -> None:
        """`changed` must be held."""
        session, connection, dialogue = self._session, self._session.connection, self._session.dialogue
        if dialogue.over:
            connection.deaf = True
        elif dialogue.inside:
            connection.expect(None)
            connection.timeout = session.timeout
            session.reconnection = None
            where = f", in {dialogue.room}" if dialogue.room else ""
            self._transcript.note(f"back at {place(connection.address)}{where}")
