"""What can be said on the wire: one small class for each kind of line, both ways.

A line is text without its LF; framing.py puts that on and takes it off. Every class here can be written
(`line`) and read back (`from_server`, `from_client`), and the two agree: what is read is what was meant.

One rule keeps anybody from forging a line. What a person says begins with that person's nickname, and
only the server can begin a line with `*` or `!`. Control characters, which could move the cursor or
break a line in two on somebody's screen, are replaced by visible signs (`clean`).

Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

# How somebody left: the words that the others are told.
HUNG_UP = "hung up"  # FIN: closed its side
VANISHED = "vanished"  # RST, or an error: gone without a goodbye
WENT_SILENT = "went silent"  # no sign of life for Limits.silence seconds
TOO_SLOW = "was too slow"  # stopped reading, and was let go
QUIT = "quit"  # said /quit
SERVER_STOPPED = "server stopped"
SERVER_LOST = "server lost"  # their server gave no sign of life: the others are told (backplane/)
# Was never let in, for one of these: nobody is told, but the journal keeps it.
NO_NICKNAME = "no nickname"
NO_PASSWORD = "no password"
NO_TLS = "no TLS"
# What a server with a backplane (backplane/) tells its people while the other servers cannot be reached.
CUT_OFF = "cut off from the other servers: what you say waits"
BACK = "back with the other servers"
REASONS = (HUNG_UP, VANISHED, WENT_SILENT, TOO_SLOW, QUIT, SERVER_STOPPED, SERVER_LOST)

# Refusals that a client must tell apart; see `Refused`.
WRONG_PASSWORD = "wrong password"
LAST_TRY = "; that was the last try"

# Cc and the bidirectional controls (Unicode, UAX #9), the two separators that some readers take for a
# line end, characters that nobody can see (but not U+200D, which joins emoji), and lone surrogates: a
# str can hold one, UTF-8 cannot.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u2060-\u2064\ufeff"
    "\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\u3164\uffa0\ud800-\udfff]"
)


def clean(text: str) -> str:
    """`text` with every character that could disturb a screen made visible and harmless.

    A tab becomes a space; the C0 controls and DEL become their pictures (U+2400 and on), so that ESC
    shows as ␛; C1 controls, bidirectional controls, line separators, invisible characters and lone
    surrogates become U+FFFD.
    """
    return _UNSAFE.sub(_picture, text)


def _picture(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code == 0x09:
        return " "
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"


def brief(text: str, characters: int = 40) -> str:
    """`text` short enough to be quoted in an answer."""
    return text if len(text) <= characters else text[: characters - 1] + "…"


# --- from the server to a client ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Request:
    """Who are you? Sent at connect, and again after a refused nickname."""

    def line(self) -> str:
        return "nickname"


@dataclass(frozen=True, slots=True)
class PasswordRequest:
    """And the password? Sent after the nickname was answered, by a server that has one."""

    def line(self) -> str:
        return "password"


@dataclass(frozen=True, slots=True)
class Said:
    who: str
    text: str

    def line(self) -> str:
        return f"{self.who}: {self.text}"


@dataclass(frozen=True, slots=True)
class Speech:
    """Several lines that one person said in one breath: what several `Said` are, in one."""

    who: str
    texts: tuple[str, ...]

    def line(self) -> str:
        """The lines, with LF between them."""
        prefix = f"{self.who}: "
        return prefix + f"\n{prefix}".join(self.texts)


@dataclass(frozen=True, slots=True)
class Acted:
    """`/me waves`. The name comes first: `* alice waves` could be made to look like a notice."""

    who: str
    action: str

    def line(self) -> str:
        return f"{self.who} * {self.action}"


@dataclass(frozen=True, slots=True)
class Whispered:
    who: str
    text: str

    def line(self) -> str:
        return f"{self.who} -> you: {self.text}"


@dataclass(frozen=True, slots=True)
class Welcome:
    """The nickname is accepted (as it will be shown), and this is the room you are in now."""

    who: str
    room: str

    def line(self) -> str:
        return f"* you are {self.who}, in {self.room}"


@dataclass(frozen=True, slots=True)
class Joined:
    who: str

    def line(self) -> str:
        return f"* {self.who} joined"


@dataclass(frozen=True, slots=True)
class Left:
    who: str
    reason: str  # one of REASONS

    def line(self) -> str:
        return f"* {self.who} left ({self.reason})"


@dataclass(frozen=True, slots=True)
class Moved:
    """Told in the room that `who` has left for another one."""

    who: str
    room: str

    def line(self) -> str:
        return f"* {self.who} went to {self.room}"


@dataclass(frozen=True, slots=True)
class Renamed:
    old: str
    new: str

    def line(self) -> str:
        return f"* {self.old} is now {self.new}"


@dataclass(frozen=True, slots=True)
class Notice:
    """Anything else that the server has to say."""

    text: str

    def line(self) -> str:
        return f"* {self.text}"


@dataclass(frozen=True, slots=True)
class Refused:
    """Your last line was refused, and why."""

    why: str

    def line(self) -> str:
        return f"! {self.why}"

    # What a client must tell apart, of our own server and of a student's: all reading of English is here.

    @property
    def taken(self) -> bool:
        """Another client has the nickname: it may be free again later."""
        return "is taken" in self.why

    @property
    def wrong_password(self) -> bool:
        return self.why.startswith(WRONG_PASSWORD)

    @property
    def last_try(self) -> bool:
        """The server ends the connection now."""
        return self.why.endswith(LAST_TRY)


@dataclass(frozen=True, slots=True)
class Other:
    """A line in none of these forms: no labkit server sends one, a student's may."""

    text: str

    def line(self) -> str:
        return self.text


FromServer = (
    Request
    | PasswordRequest
    | Said
    | Speech
    | Acted
    | Whispered
    | Welcome
    | Joined
    | Left
    | Moved
    | Renamed
    | Notice
    | Refused
    | Other
)

_NAME = r"([^\s:]+)"
# The first form that matches the whole line is the line's; the order matters only for Notice, the rest.
_FORMS: tuple[tuple[re.Pattern[str], Callable[..., FromServer]], ...] = (
    (re.compile("nickname"), Request),
    (re.compile("password"), PasswordRequest),
    (re.compile("! (.*)"), Refused),
    (re.compile(rf"\* you are {_NAME}, in {_NAME}"), Welcome),
    (re.compile(rf"\* {_NAME} joined"), Joined),
    (re.compile(rf"\* {_NAME} left \(([^)]*)\)"), Left),
    (re.compile(rf"\* {_NAME} went to {_NAME}"), Moved),
    (re.compile(rf"\* {_NAME} is now {_NAME}"), Renamed),
    (re.compile(r"\* (.*)"), Notice),
    (re.compile(rf"{_NAME} -> you: (.*)"), Whispered),
    (re.compile(rf"{_NAME} \* (.*)"), Acted),
    (re.compile(rf"{_NAME}: (.*)"), Said),
)


def from_server(line: str) -> FromServer:
    """Read a line that a server sent. Never fails: what fits no form is `Other`."""
    for form, kind in _FORMS:
        if match := form.fullmatch(line):
            return kind(*match.groups())
    return Other(line)


# --- from a client to the server ----------------------------------------------------------------


class BadCommand(ValueError):
    """A line that begins with `/` and cannot be understood; the text says why."""


@dataclass(frozen=True, slots=True)
class Say:
    text: str

    def line(self) -> str:
        return "/" + self.text if self.text.startswith("/") else self.text


@dataclass(frozen=True, slots=True)
class Whisper:
    to: str
    text: str

    def line(self) -> str:
        return f"/msg {self.to} {self.text}"


@dataclass(frozen=True, slots=True)
class Act:
    action: str

    def line(self) -> str:
        return f"/me {self.action}"


@dataclass(frozen=True, slots=True)
class Rename:
    new: str

    def line(self) -> str:
        return f"/nick {self.new}"


@dataclass(frozen=True, slots=True)
class Join:
    room: str

    def line(self) -> str:
        return f"/join {self.room}"


@dataclass(frozen=True, slots=True)
class Who:
    def line(self) -> str:
        return "/who"


@dataclass(frozen=True, slots=True)
class Help:
    def line(self) -> str:
        return "/help"


@dataclass(frozen=True, slots=True)
class Quit:
    def line(self) -> str:
        return "/quit"


@dataclass(frozen=True, slots=True)
class Alive:
    """An empty line: a sign of life, and nothing else."""

    def line(self) -> str:
        return ""


FromClient = Say | Whisper | Act | Rename | Join | Who | Help | Quit | Alive

# Command, what must follow it, and the class its words go into.
_COMMANDS: dict[str, tuple[str, type[FromClient]]] = {
    "/who": ("", Who),
    "/msg": ("NICK TEXT", Whisper),
    "/nick": ("NEW", Rename),
    "/me": ("ACTION", Act),
    "/join": ("ROOM", Join),
    "/help": ("", Help),
    "/quit": ("", Quit),
}

HELP = (
    "/who: who is here    /msg NICK TEXT: to one alone    /nick NEW: another nickname",
    "/me ACTION: say what you do    /join ROOM: another room    /quit: leave    //TEXT: says /TEXT",
)


def only_said(lines: Sequence[object]) -> tuple[str, ...] | None:
    """What these lines say, if each of them only says something; None if one is a command, or empty.

    The same as `from_client` of each, for much less: mostly people talk.
    """
    texts = cast(tuple[str, ...], tuple(lines))
    try:
        together = "\n".join(("", *texts, ""))
    except TypeError:  # one is no text
        return None
    if "\n/" in together or "\n\n" in together:
        return None
    # Most of what is said is ASCII that can be printed: only in the rest it is worth while to look on.
    said = "".join(texts)
    safe = said.isascii() and said.isprintable() or not _UNSAFE.search(said)
    return texts if safe else tuple(map(clean, texts))


def from_client(line: str) -> FromClient:
    """Read a line that a client sent after its nickname.

    Raises:
        BadCommand: it begins with `/` and is no command, or lacks what the command needs.
    """
    if not line.startswith("/"):
        return Say(clean(line)) if line else Alive()
    if line.startswith("//"):
        return Say(clean(line[1:]))
    command, _, rest = clean(line).partition(" ")
    if command.lower() not in _COMMANDS:
        raise BadCommand(f"no such command: {brief(command)} (try /help; //… says /…)")
    needs, kind = _COMMANDS[command.lower()]
    # As many words as the command needs; the last one takes all that is left, spaces and all.
    rest = rest.lstrip()
    words = rest.split(" ", needs.count(" ")) if rest else []
    if len(words) != len(needs.split()) or not all(words):
        raise BadCommand(f"that is said like this: {command.lower()} {needs}".rstrip())
    return kind(*words)
