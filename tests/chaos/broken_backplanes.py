"""Servers whose backplane is made wrong, each in one way, for the checker to catch.

Each is labkit's own server with one part of its backplane changed, or some lines of what is done in Redis.
`BROKEN` lists them, each with the weather in which it does wrong, and the complaints that it must lead to;
others must not be made.

The parts are exchanged for the whole process: such a server runs in one of its own (serve.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from redis import RedisError

from chaos.hosts import SmallBuffers
from chaos.storm import Weather
from chaos.verdict import Kind
from labkit.server.backplane import backplane, store
from labkit.server.backplane.log import Told
from labkit.server.backplane.requests import Requests
from labkit.server.backplane.session import Whispering
from labkit.server.delivery import ForOne

Fields = dict[bytes, bytes]


class Broken(SmallBuffers):
    """What they share: parts of the backplane by name, and lines of the scripts with what stands there
    instead."""

    parts: ClassVar[Mapping[str, type]] = {}
    lua: ClassVar[Mapping[str, str]] = {}

    def __init__(self, *args: object, **options: object) -> None:
        for name, part in self.parts.items():
            setattr(backplane, name, part)
        for line, instead in self.lua.items():
            assert line in store.TURN, f"the script has no {line!r} any more"
            store.TURN = store.TURN.replace(line, instead)
        super().__init__(*args, **options)  # type: ignore[arg-type]


# --- Redis is away, and comes back ---


class SendsAgain(backplane.Writer):
    """What was on its way when an answer was lost is sent once more, under a new number."""

    lost = False

    def _ask(self, things: Any) -> list[Any]:
        try:
            answers = super()._ask(things)
        except (RedisError, OSError):
            self.lost = True
            raise
        if self.lost:
            self.lost = False
            with self._work:
                for room in self._session.rooms.values():
                    sent = [op for turn, batch in room.sent for op in batch.ops if turn == self._turn]
                    for op in sent:
                        if isinstance(op, Told) and op.is_talk:
                            self._session.put(room, op)
        return answers


class Forgets(backplane.Writer):
    """What could not be sent at once is not sent at all."""

    lost = False

    def _ask(self, things: Any) -> list[Any]:
        if self.lost:
            for n, ((name, those), handler) in enumerate(things):
                if name == "append" and not those[2]:  # and no client comes or goes with it
                    things[n] = ((name, (those[0], b"", "")), handler)
        try:
            answers = super()._ask(things)
        except (RedisError, OSError):
            self.lost = True
            raise
        self.lost = False
        return answers


class NotesTrouble(backplane.Store):
    """Remembers that a read has failed."""

    lost = False

    def read(self, streams: Any, seconds: float) -> Any:
        try:
            return super().read(streams, seconds)
        except (RedisError, OSError):
            self.lost = True
            raise


class Skips(backplane.Reader):
    """After a break it goes on with what is new, and not with what came next."""

    def _go_on(self, session: Any, room: Any, entries: Any) -> bool:
        if room.unheard and self._store.lost:  # type: ignore[attr-defined]
            entry = room.unheard[0]
            if _is_talk(entry.fields) and entry.fields[b"o"].decode() != session.server:
                self._store.lost = False  # type: ignore[attr-defined]
                room.heard += len(entry.fields[b"t"])
                entry.fields = {**entry.fields, b"t": b""}
        return super()._go_on(session, room, entries)


class SaysNothingWhenBack(backplane.Contact):
    """It is told that a server is cut off, and not that it is back."""

    def found(self, thread: str) -> None:
        tell, self._tell = self._tell, lambda text, why: None
        super().found(thread)
        self._tell = tell


class RepeatsABatch(Broken):
    """A batch whose answer was lost is sent twice."""

    parts: ClassVar = {"Writer": SendsAgain}


class ForgetsWhatWaited(Broken):
    """What was said while Redis was away is lost."""

    parts: ClassVar = {"Writer": Forgets}


class SkipsAfterABreak(Broken):
    """What came while a server had no connection, it never reads."""

    parts: ClassVar = {"Store": NotesTrouble, "Reader": Skips}


class NeverBack(Broken):
    """Its people are left in the belief that it is still cut off."""

    parts: ClassVar = {"Contact": SaysNothingWhenBack}


# --- one conversation, in one order ---


class OwnFirst(backplane.Reader):
    """What its own people said it reads before what others said."""

    def _let_happen(self, session: Any, rooms: Any) -> None:
        for room in rooms:
            entries = list(room.unheard)
            for n, (one, other) in enumerate(zip(entries, entries[1:], strict=False)):
                if _is_talk(one.fields) and _is_talk(other.fields):
                    if one.fields[b"o"].decode() != session.server == other.fields[b"o"].decode():
                        entries[n], entries[n + 1] = other, one
                        room.unheard.clear()
                        room.unheard.extend(entries)
                        break
        super()._let_happen(session, rooms)


class OnlyOwn(backplane.Reader):
    """It knows who is here: of its own people."""

    def _who(self, room: Any, member: Any) -> Any:
        members = room.members
        server = member.id.partition(".")[0]
        room.members = {who: name for who, name in members.items() if who.partition(".")[0] == server}
        try:
            return super()._who(room, member)
        finally:
            room.members = members


class HearsItsOwnFirst(Broken):
    """There is no common order: each server's own people come first."""

    parts: ClassVar = {"Reader": OwnFirst}


class TellsOnlyItsOwn(Broken):
    """/who leaves out the people of other servers."""

    parts: ClassVar = {"Reader": OnlyOwn}


# --- whispers, and nicknames ---


class OpensStrayMail(backplane.Reader):
    """It delivers a whisper for a client elsewhere to any client."""

    def _open(self, session: Any, fields: Fields) -> None:
        if b"stray" not in fields:
            return super()._open(session, fields)
        if session.names:
            member = next(iter(session.names.values()))
            self._broadcaster.post([ForOne(member.outbox, fields[b"t"])])


class StaysHome(Requests):
    """It looks for no client on other servers."""

    def whisper(self, client: Any, key: str, line: bytes, whispering: Whispering) -> None:
        with self._lock:
            here = key in self._plane.session.names
        if here:
            super().whisper(client, key, line, whispering)


class WhispersOnTwoServers(Broken):
    """A whisper is delivered on two servers: where the addressee is, and where not."""

    parts: ClassVar = {"Reader": OpensStrayMail}
    lua: ClassVar = {
        "    local other = server_of(holder)\n": """
    local other = server_of(holder)
    for _, stray in ipairs(redis.call('SMEMBERS', 'labkit:servers')) do
        if stray ~= other then
            post(stray, 'stray', 1, 't', line)
        end
    end
"""
    }


class WhispersStayHome(Broken):
    """A whisper for a client on another server is refused."""

    def _shared_hub(self, url: str) -> Any:
        hub: Any = super()._shared_hub(url)
        hub._requests.__class__ = StaysHome
        return hub


class TwoWithOneName(Broken):
    """Each server grants by itself the nicknames that all want."""

    lua: ClassVar = {
        "        if who and who ~= person": """
        local own = who and server_of(who) == server
        if who and who ~= person and (own or called:sub(1, 9):lower() ~= 'pretender')"""
    }


# --- a server is lost ---


class Silent(backplane.Reader):
    """It strikes them out, and says nothing."""

    def _lose(self, session: Any, room: Any, fields: Fields, entries: Any) -> None:
        super()._lose(session, room, fields, [])


class Twice(backplane.Reader):
    """It says so, and says so again."""

    def _lose(self, session: Any, room: Any, fields: Fields, entries: Any) -> None:
        more: list[Any] = []
        super()._lose(session, room, fields, more)
        entries += more + more


class NeverTellsOfTheLost(Broken):
    """No client is told who was lost with a server."""

    parts: ClassVar = {"Reader": Silent}


class TellsOfTheLostTwice(Broken):
    """They are told of twice."""

    parts: ClassVar = {"Reader": Twice}


class KeepsNicknamesOfTheLost(Broken):
    """The nicknames of those who were lost stay taken."""

    lua: ClassVar = {
        "        if not lives[holder] then call('HDEL', 'labkit:names', names[n]) end\n": "",
        "person and living(server_of(who)) then": "person then",
    }


def _is_talk(fields: Fields) -> bool:
    """An entry with which no client comes or goes."""
    return b"x" not in fields and not fields.get(b"m")


FAIR = Weather(servers=2, kills=0, restarts=0)
AWAY = Weather(servers=2, kills=0, restarts=4)
LOSS = Weather(servers=2, kills=1, restarts=0)

BROKEN: dict[type[Broken], tuple[Weather, set[Kind]]] = {
    RepeatsABatch: (AWAY, {Kind.TWICE}),
    ForgetsWhatWaited: (AWAY, {Kind.LOST}),
    SkipsAfterABreak: (AWAY, {Kind.LOST}),
    NeverBack: (AWAY, {Kind.LOST}),
    HearsItsOwnFirst: (FAIR, {Kind.ORDER}),
    TellsOnlyItsOwn: (FAIR, {Kind.ANSWER}),
    WhispersOnTwoServers: (FAIR, {Kind.WHISPER}),
    WhispersStayHome: (FAIR, {Kind.ANSWER}),
    TwoWithOneName: (FAIR, {Kind.SHARED}),
    NeverTellsOfTheLost: (LOSS, {Kind.LOST}),
    TellsOfTheLostTwice: (LOSS, {Kind.TWICE}),
    KeepsNicknamesOfTheLost: (LOSS, {Kind.TAKEN}),
}
"""Each with the weather that brings it to light, and the kinds of complaint that it must lead to."""

ALSO: dict[type[Broken], set[Kind]] = {
    RepeatsABatch: {Kind.LEAK},  # to a client that came between the two, and hears only the second
    NeverTellsOfTheLost: {Kind.ANSWER},  # to /who: by what was told, they are still here
    KeepsNicknamesOfTheLost: {Kind.LEFT_BEHIND},  # in Redis
}
"""Complaints that are right, too, and not made each time."""
