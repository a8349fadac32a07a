"""What a client's thread asks of the other servers, and waits for.

Whether a nickname is free, what a room is called, who is there, who hears a whisper.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from labkit.server.backplane.backplane import PENDING, Backplane
from labkit.server.backplane.log import AsksWho, Member, Reached
from labkit.server.backplane.session import Session, Whispering
from labkit.server.connection import Disconnected, ServerConnection
from labkit.server.delivery import ForOne
from labkit.server.rooms import Refusal, presentable
from labkit.wire import nicknames
from labkit.wire.messages import SERVER_LOST, TAKEN

LOOK_AROUND = 0.05
"""Seconds between two looks of a thread that waits for Redis at whether its client is still there."""


class Requests:
    """Each call in the thread of the client that it is about.

    All of them raise Disconnected if that one is, or if the server stops or was given up while they wait.
    """

    def __init__(self, backplane: Backplane) -> None:
        self._plane = backplane
        self._lock = backplane.lock
        self._writer = backplane.writer

    # --- nicknames ---

    def claim(self, client: ServerConnection, nickname: str) -> None:
        """Have this nickname, on all servers, or none.

        Raises:
            Refusal: it is not fit, or a client has it, or one that looks like it.
            Disconnected: the client is, or the server is being stopped.
        """
        shown = presentable(nickname)
        with self._lock:
            if client in self._plane.let_go:
                raise Disconnected(SERVER_LOST)
            session = self._plane.session
            member = session.member(client)
            # From an earlier try: then the rooms would not have it.
            session.release(member, member.fields)
            member.fields = _fields(shown)
        try:
            self._claim(session, member, shown, member.fields)
        except Refusal:
            with self._lock:
                member.fields = ()
            raise

    @contextmanager
    def claimed(self, client: ServerConnection, shown: str) -> Iterator[None]:
        """While the client takes this nickname instead of its own. Raises as `claim` does."""
        session, member = self._plane.member(client)
        # The name before the last may be on its way to be released: not to be claimed before that is done.
        self.wait_until_done(client)
        old, new = member.fields, _fields(shown)
        with self._lock:
            member.fields = (*old, *new)  # all of them to be released, should it go while it waits
        try:
            self._claim(session, member, shown, new)
        except Refusal:
            with self._lock:
                member.fields = old
            raise
        try:
            yield
        except Refusal:
            with self._lock:
                member.fields = old
                session.release(member, {*new} - {*old})
            raise
        with self._lock:
            member.fields = new
            session.release(member, {*old} - {*new}, with_next_turn=True)

    def _claim(self, session: Session, member: Member, shown: str, fields: tuple[str, ...]) -> None:
        verdict, who = self._ask(session, member, "claim", member.id, shown, *fields)
        if verdict == b"taken":
            raise Refusal(f"the nickname {shown} {TAKEN}")
        if verdict == b"alike":
            raise Refusal(f"the nickname {shown} looks like {who.decode()}, who is here")

    # --- rooms, and those who are there ---

    def follow(self, client: ServerConnection, name: str) -> str:
        """See to it that this room can be entered; returns what it is called."""
        session, member = self._plane.member(client)
        key = nicknames.key(name)
        assert member.room is not None
        if key == member.room.key:
            return name
        with self._lock:
            room = session.follow(key, name)
            self._writer.wake()
        try:
            self._wait_for(session, client, room.followed)
        except Disconnected:
            with self._lock:
                session.leave(room)
            raise
        return room.name

    def tell_who(self, client: ServerConnection) -> None:
        """Tell it who is in its room, in the place that the question has among all that happens there."""
        session, member = self._plane.member(client)
        assert member.room is not None
        if member.room.waiting > PENDING:  # a short question can have a long answer
            self.wait_until_done(client)
        with self._lock:
            session.put(member.room, AsksWho(member))

    def whisper(self, client: ServerConnection, key: str, line: bytes, whispering: Whispering) -> None:
        """Send the line to the client that has this nickname, on whatever server."""
        with self._lock:
            here = self._plane.session.names.get(key)
            if here is not None and not here.gone:
                self._plane.broadcaster.post([ForOne(here.outbox, line)])
                client.whispered_to.add(here.outbox)
                whispering.heard = True
            else:
                whispering.done.clear()
                self._plane.session.whisper(f"n:{key}", line, whispering)
                self._writer.wake()

    # --- waiting ---

    def wait_until_done(self, client: ServerConnection) -> None:
        """Wait until all that this client did has happened. Raises Disconnected as `wait_for` does."""
        session, member = self._plane.member(client)
        reached = threading.Event()
        with self._lock:
            if member.room is None or not member.room.busy:
                return
            session.put(member.room, Reached(reached))
            self._writer.wake()
        self._wait_for(session, client, reached)

    def wait_for(self, client: ServerConnection, event: threading.Event) -> None:
        """Wait for it.

        Raises:
            Disconnected: the client is; or the server stops, or was given up.
        """
        self._wait_for(self._plane.session, client, event)

    def _ask(self, session: Session, member: Member, name: str, *arguments: str) -> Any:
        """Have something done in Redis, and wait for the answer. Raises Disconnected."""
        with self._lock:
            request = session.ask(name, *arguments)
            self._writer.wake()
        self._wait_for(session, member.client, request.done)
        return request.answer

    def _wait_for(self, session: Session, client: ServerConnection, event: threading.Event) -> None:
        while not (event.wait(LOOK_AROUND) or session.over):
            self._plane.look_around(session, client)
        if session.over:
            raise Disconnected(SERVER_LOST)


def _fields(nickname: str) -> tuple[str, ...]:
    """What of Redis's table of names this one takes up: itself, and what it looks like."""
    return (f"n:{nicknames.key(nickname)}", *(f"l:{look}" for look in sorted(nicknames.looks(nickname))))
