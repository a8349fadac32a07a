"""What can be said on the wire: one small class for each kind of line, both ways.

A line is text without its LF; framing.py puts that on and takes it off. Each class writes its form once
(`"* {who} left ({reason})"`). From the form come the line, its parser, and what a ladder shows; `event` is
the journal's word for it.

One rule keeps a client from forging a line. What a client says begins with its nickname, and only the
server can begin a line with `*` or `!`. Control characters, which could move the cursor or break a line
in two on a reader's screen, are replaced by visible signs (`clean`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

from labkit.wire.text import UNSAFE, brief, clean, in_lines, isolated

# --- why a connection ended ---------------------------------------------------------------------

CLIENT, SERVER = "client", "server"
FIN, RST = "FIN", "RST"


class Reason(str):
    """Why a client left: the words, as the others are told them, and what follows from them."""

    def __new__(cls, words: str, *_: object) -> Reason:
        return super().__new__(cls, words)

    def __init__(
        self, words: str, ended_by: str = CLIENT, last_packet: str = FIN, announced: bool = True
    ) -> None:
        self.ended_by = ended_by  # CLIENT or SERVER: who ended the connection …
        self.last_packet = last_packet  # … and with what: FIN, RST, or a last line
        self.announced = announced  # whether the others are told, by a line for each who leaves


HUNG_UP = Reason("hung up", CLIENT, FIN)
VANISHED = Reason("vanished", CLIENT, RST)  # reset, or an error: gone without a goodbye
WENT_SILENT = Reason("went silent", SERVER, FIN)  # no heartbeat for Limits.silence seconds
TOO_SLOW = Reason("was too slow", SERVER, RST)  # stopped reading
QUIT = Reason("quit", CLIENT, "/quit")
SERVER_STOPPED = Reason("server stopped", SERVER, FIN, False)  # one line tells all of it
SERVER_LOST = Reason("server lost", SERVER, FIN)  # gave no sign of life: its peers tell (backplane/)
NO_NICKNAME = Reason("no nickname", SERVER, FIN, False)  # these three were never let in
NO_PASSWORD = Reason("no password", SERVER, FIN, False)
NO_TLS = Reason("no TLS", SERVER, FIN, False)

REASONS: dict[str, Reason] = {
    reason: reason for reason in list(globals().values()) if isinstance(reason, Reason)
}
"""Every reason, by its words."""


def reason_called(words: str) -> Reason:
    """The reason with these words; other servers may have reasons of their own."""
    return REASONS.get(words) or Reason(words)


# --- from a client to the server ----------------------------------------------------------------


class BadCommand(ValueError):
    """A line that begins with `/` and cannot be understood; the text says why."""


class FromClient:
    """What a client says after its nickname."""

    __slots__ = ()
    __match_args__: tuple[str, ...]
    command: ClassVar[str] = ""  # its word, if it is a command …
    words: ClassVar[str] = ""  # … what must follow it, a name for each field …
    help: ClassVar[str] = ""  # … and what it does

    def __init_subclass__(cls, command: str = "", words: str = "", help: str = "") -> None:
        if command:  # not where dataclass(slots=True) makes the class again: it has them
            cls.command, cls.words, cls.help = command, words, help
        if cls.command:
            _COMMANDS[cls.command] = cls

    def line(self) -> str:
        return " ".join([self.command, *(getattr(self, name) for name in self.__match_args__)])


_COMMANDS: dict[str, type[FromClient]] = {}


@dataclass(frozen=True, slots=True)
class Say(FromClient):
    text: str

    def line(self) -> str:
        return "/" + self.text if self.text.startswith("/") else self.text


@dataclass(frozen=True, slots=True)
class Heartbeat(FromClient):
    """An empty line: a sign of life, and nothing else."""


@dataclass(frozen=True, slots=True)
class Who(FromClient, command="/who", help="who is here"):
    pass


@dataclass(frozen=True, slots=True)
class Whisper(FromClient, command="/msg", words="NICK TEXT", help="to one alone"):
    to: str
    text: str


@dataclass(frozen=True, slots=True)
class Rename(FromClient, command="/nick", words="NEW", help="another nickname"):
    new: str


@dataclass(frozen=True, slots=True)
class Act(FromClient, command="/me", words="ACTION", help="say what you do"):
    action: str


@dataclass(frozen=True, slots=True)
class Join(FromClient, command="/join", words="ROOM", help="another room"):
    room: str


@dataclass(frozen=True, slots=True)
class Quit(FromClient, command="/quit", help="leave"):
    pass


@dataclass(frozen=True, slots=True)
class Help(FromClient, command="/help"):
    pass


def from_client(line: str) -> FromClient:
    """Read a line that a client sent after its nickname.

    Raises:
        BadCommand: it begins with `/` and is no command, or lacks what the command needs.
    """
    if not line.startswith("/"):
        return Say(clean(line)) if line else Heartbeat()
    if line.startswith("//"):
        return Say(clean(line[1:]))
    command, _, rest = clean(line).partition(" ")
    kind = _COMMANDS.get(command.lower())
    if kind is None:
        raise BadCommand(f"no such command: {brief(command)} (try /help; //… says /…)")
    # As many words as the command needs; the last one takes all that is left, spaces and all.
    rest = rest.lstrip()
    words = rest.split(" ", kind.words.count(" ")) if rest else []
    if len(words) != len(kind.words.split()) or not all(words):
        raise BadCommand(f"that is said like this: {kind.command} {kind.words}".rstrip())
    return kind(*words)


def is_talk(lines: bytes) -> bool:
    """Whether each of these lines, with its LF, only says something, and nothing in it must be cleaned.

    The same as to look at `from_client` of each, for much less: most of what comes is talk.
    """
    if len(lines) < 1000 and _PLAIN_TALK.fullmatch(lines):
        return True
    if lines[:1] in (b"", b"/", b"\n") or b"\n/" in lines or b"\n\n" in lines:
        return False
    if not lines.translate(None, _PRINTABLE):
        return True
    try:
        return not UNSAFE.search(lines.decode().replace("\n", ""))
    except UnicodeDecodeError:
        return False


_PRINTABLE = bytes([*b"\n", *range(0x20, 0x7F)])
"""ASCII: most talk holds nothing else, and needs no closer look."""

_PLAIN_TALK = re.compile(rb"(?:[ -.0-~][ -~]*+\n)++")
"""The same of some lines: what is seen most often, and fastest of all. (`+` behind a quantifier: it gives
nothing back, and no other way to match is tried, since there is none.)"""


_HELPS = [f"{c.command} {c.words}".rstrip() + f": {c.help}" for c in _COMMANDS.values() if c.help]
HELP = tuple(in_lines([*_HELPS, "//TEXT: says /TEXT"], "    ", 98))
"""The answer to `/help`: every command with its help, in lines that are short enough for a terminal."""


# --- from the server to a client ----------------------------------------------------------------

_NAME = r"[^\s:]+"
_FIELDS = {"who": _NAME, "room": _NAME, "new": _NAME, "reason": "[^)]*"}
"""What can stand in these fields; in all others, any text."""


def _pattern(form: str) -> re.Pattern[str]:
    """What reads a line of this form."""
    parts = re.split(r"\{(\w+)\}", form)
    parts[::2] = map(re.escape, parts[::2])
    parts[1::2] = [f"(?P<{field}>{_FIELDS.get(field, '.*')})" for field in parts[1::2]]
    return re.compile("".join(parts))


class FromServer:
    """What the server says. Of news, the field `who` is the nickname of the client that made it."""

    __slots__ = ()
    __match_args__: tuple[str, ...]
    form: ClassVar[str] = ""  # how the line reads
    event: ClassVar[str] = ""  # the journal's word for it; "" if it is no news …
    told: ClassVar[str] = ""  # … the form of what the journal says of it, beside who …
    private: ClassVar[bool] = False  # … and whether it is news told to one client, or to a room
    asked_by: ClassVar[type[FromClient] | None] = None  # the command that brings it about

    def __init_subclass__(cls, **row: str | bool | type[FromClient]) -> None:
        for name, value in row.items():
            setattr(cls, name, value)
        # dataclass(slots=True) makes a second class of the same name; that one counts.
        if cls.form:
            _FORMS[cls.form] = cls
        if cls.event:
            EVENTS[cls.event] = cls

    def line(self) -> str:
        return self.form.format(**self._fields())

    def data(self) -> bytes:
        """The line with its LF; in the raw dialect too, where the sender takes it off again."""
        return self.line().encode("utf-8", "replace") + b"\n"

    def news(self) -> tuple[str, str]:
        """Who did it, and what it was: for the journal."""
        return getattr(self, "who", ""), self.told.format(**self._fields())

    def asked(self) -> FromClient | None:
        """The command that it is the answer to, if its own words tell that."""
        if self.asked_by is None:
            return None
        return self.asked_by(*(getattr(self, name) for name in self.asked_by.__match_args__))

    def _fields(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in self.__match_args__}


_FORMS: dict[str, type[FromServer]] = {}

EVENTS: dict[str, type[FromServer]] = {}
"""The messages that a journal keeps, by its word for them."""


@dataclass(frozen=True, slots=True)
class Request(FromServer, form="nickname", event="asked", private=True):
    """Who are you? Sent at connect, and again after a refused nickname."""


@dataclass(frozen=True, slots=True)
class PasswordRequest(FromServer, form="password"):
    """And the password? Sent after the nickname was answered, by a server that has one."""


WRONG_PASSWORD = "wrong password"
TAKEN = "is taken"
LAST_TRY = "; that was the last try"


@dataclass(frozen=True, slots=True)
class Refused(FromServer, form="! {why}", event="refused", told="{why}", private=True):
    """Your last line was refused, and why."""

    why: str

    # What a client must tell apart, of our own server and of a student's: all reading of English is here.

    @property
    def taken(self) -> bool:
        """Another client has the nickname: it may be free again later."""
        return TAKEN in self.why

    @property
    def wrong_password(self) -> bool:
        return self.why.startswith(WRONG_PASSWORD)

    @property
    def last_try(self) -> bool:
        """The server ends the connection now."""
        return self.why.endswith(LAST_TRY)


@dataclass(frozen=True, slots=True)
class Said(FromServer, form="{who}: {text}", event="said", told="{text}", asked_by=Say):
    who: str
    text: str

    def line(self) -> str:  # as the form says; this one is written for every line of talk
        return f"{self.who}: {self.text}"


@dataclass(slots=True)  # not frozen: those take three times as long to make
class Speech(FromServer):
    """What one client said in one breath, as its bytes came: what several `Said` are, in one."""

    who: str
    lines: bytes  # UTF-8, each with its LF

    @property
    def texts(self) -> list[str]:
        return self.lines[:-1].decode().split("\n")

    def line(self) -> str:
        """The lines as others hear them, with LF between."""
        return "\n".join(Said(self.who, text).line() for text in self.texts)

    def data(self) -> bytes:
        """What `line` comes to, for less."""
        name = f"{self.who}: ".encode()
        return name + self.lines[:-1].replace(b"\n", b"\n" + name) + b"\n"


@dataclass(frozen=True, slots=True)
class Acted(FromServer, form="{who} * {action}", event="acted", told="{action}", asked_by=Act):
    """`/me waves`. The name comes first: `* alice waves` could be made to look like a notice."""

    who: str
    action: str


@dataclass(frozen=True, slots=True)
class Whispered(FromServer, form="{who} -> you: {text}", event="whispered", told="{text}", private=True):
    who: str
    text: str


@dataclass(frozen=True, slots=True)
class Welcome(FromServer, form="* you are {who}, in {room}"):
    """The nickname is accepted (as it will be shown), and this is the room you are in now."""

    who: str
    room: str


@dataclass(frozen=True, slots=True)
class Joined(FromServer, form="* {who} joined", event="joined"):
    who: str


@dataclass(frozen=True, slots=True)
class Left(FromServer, form="* {who} left ({reason})", event="left", told="{reason}"):
    who: str
    reason: str  # one of REASONS


@dataclass(frozen=True, slots=True)
class Moved(FromServer, form="* {who} went to {room}", event="moved", told="to {room}", asked_by=Join):
    """Told in the room that `who` has left for another one."""

    who: str
    room: str


@dataclass(frozen=True, slots=True)
class Renamed(FromServer, form="* {who} is now {new}", event="renamed", told="to {new}", asked_by=Rename):
    who: str
    new: str


@dataclass(frozen=True, slots=True)
class Notice(FromServer, form="* {text}"):
    """Anything else that the server has to say."""

    text: str


@dataclass(frozen=True, slots=True)
class Other(FromServer):
    """A line in none of these forms: no labkit server sends one, a student's may."""

    text: str

    def line(self) -> str:
        return self.text


# Notices of a server with a backplane, while its Redis cannot be reached, and when it can be again.
CUT_OFF = "cut off from the other servers: what you say waits"
BACK = "back with the other servers"


@cache
def _readers(count: int) -> list[tuple[re.Pattern[str], type[FromServer]]]:
    """What reads each of the `count` forms.

    The one with the most words of its own comes first, and one that begins with any name after all others.
    """
    own_words = {form: len(re.sub(r"\{\w+\}", "", form)) for form in _FORMS}
    forms = sorted(_FORMS, key=lambda form: (form.startswith("{"), -own_words[form]))
    return [(_pattern(form), _FORMS[form]) for form in forms]


def from_server(line: str) -> FromServer:
    """Read a line that a server sent. Never fails: what fits no form is `Other`."""
    for pattern, kind in _readers(len(_FORMS)):
        if match := pattern.fullmatch(line):
            return kind(*match.groups())
    return Other(line)


def isolated_line(line: str) -> str:
    """A line as a client shows it: no name and no text in it changes the order of the rest."""
    if line.isascii():
        return line
    if line.startswith("> "):  # what this client said itself
        return "> " + isolated(line[2:])
    message = from_server(line)
    fields = {name: isolated(getattr(message, name)) for name in message.__match_args__}
    return (message.form or "{text}").format(**fields)


def from_event(event: str, who: str, what: str) -> FromServer | None:
    """The message that a journal wrote down as this event; None if it was none."""
    kind = EVENTS.get(event)
    if kind is None:
        return None
    words = _pattern(kind.told).fullmatch(what)
    fields = {"who": who, **(words.groupdict() if words else {})}
    return kind(**{name: fields.get(name, what) for name in kind.__match_args__})
