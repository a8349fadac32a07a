"""A fuzzer for all that reads bytes from strangers: nothing may fail, hang, or pass for another client's.

    python tests/tools/fuzz.py --inputs 1000000 --seed 1
    python tests/tools/fuzz.py --seed 1 --input 4711          that one again

Each input is made from a corpus of nasty pieces, by gluing, cutting and changing them, and is tried on one
target. Input number n of a seed is always the same, whatever came before it. The first one that breaks
something is printed, with the command that tries it again, and ends the run with status 1.

It opens no socket and starts no thread. What the kernel itself says (probe/netlink.py, kernel.py) is
not tried: no stranger writes that.
"""

from __future__ import annotations

import argparse
import io
import queue
import random
import re
import signal
import sys
import traceback
import unicodedata
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from time import monotonic, process_time
from types import FrameType, SimpleNamespace
from typing import Any, NamedTuple, cast

from labkit.exercises.grading.process import Process
from labkit.instruments.ladder import Ladder
from labkit.instruments.panel import look
from labkit.journal import Journal, shown
from labkit.server.delivery import ForOne, ForRoom, Hears, as_entry, note
from labkit.server.rooms import Delivery, Refusal, Rooms, ToOne, ToRoom
from labkit.wire import messages as m
from labkit.wire import nicknames
from labkit.wire.framing import Framing, LineFraming, RawFraming, TooLong
from labkit.wire.text import clean

PIECES: tuple[bytes, ...] = tuple(
    piece if isinstance(piece, bytes) else piece.encode("utf-8", "surrogatepass")
    for piece in (
        # what the wire says
        *("nickname", "alice", "bob", "mallory", "you", "server", "lobby", "joined", "left (hung up)"),
        *("* ", "! ", ": ", " -> you: ", " * ", "> ", "* you are alice, in lobby", "* bob left (quit)"),
        *("alice: hello", "bob -> you: psst", "* alice is now bob", "* server stopped", ":", "*", "!", ","),
        # what a client may ask for
        *(
            "/who",
            "/msg ",
            "/msg alice ",
            "/nick ",
            "/nick alice",
            "/me ",
            "/me waves",
            "/join ",
            "/join tea",
        ),
        *("/help", "/quit", "//", "/", "/ ", "/WHO", "/msg", "/join lobby", "/nick bob\n/nick alice\n"),
        # ends of lines, and what some take for one
        *("\n", "\r\n", "\r", "\n\n", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"),
        # orders to a terminal, and what cannot be seen
        *(
            "\x1b[31m",
            "\x1b]0;title\x07",
            "\x9b2J",
            "\x00",
            "\x08",
            "\x7f",
            "\x1b[2J\x1b[H",
            "\t",
            "\x90q\x9c",
        ),
        *(
            "\u202e",
            "\u2066",
            "\u200b",
            "\u00ad",
            "\ufeff",
            "\u200d",
            "\u2800",
            "\u3164",
            "\u061c",
            "\U000e0041",
        ),
        # letters of which there are several
        *(
            "аlice",
            "AIice",
            "alicel",
            "alice1",
            "ＡＬＩＣＥ",
            "ﬁ",
            "İ",
            "ı",
            "ß",
            "ς",
            "Σ",
            "ǅ",
            "Å",
            "①",
            "Ⅷ",
        ),
        *(
            "\u0301",
            "e\u0301",
            "世界",
            "🙂",
            "👨‍👩‍👧",
            "ж" * 20,
            "\u0301" * 40,
            "\u1100\u1161",
            "ｶﾞ",
            "ﷺ",
            "：",
            "＊",
        ),
        # bytes that are no text
        *(
            b"\xff",
            b"\xfe\xff",
            b"\xc3",
            b"\xe2\x82",
            b"\xf0\x9f\x99",
            b"\xc0\x80",
            b"\xed\xa0\x80",
            b"\x80" * 5,
        ),
        *(b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", "\ufffd"),
        # what other readers take for their own
        *(
            "<script>alert(1)</script>",
            "&lt;",
            '" onclick="x',
            "</div>",
            "end",
            "#59;",
            ";",
            "%%{init}%%",
            "{}",
        ),
        *(
            '{"sign": "s", "state": "held"}',
            '{"sign": "x"}',
            "[" * 1500,
            "null",
            '"\\ud800"',
            "1e999",
            "-" * 3,
        ),
        # long, and just about too long
        *(
            "x" * 31,
            "x" * 32,
            "x" * 33,
            "x" * 510,
            "x" * 4094,
            "x" * 4095,
            "x" * 4096,
            "ж" * 2047,
            " " * 100,
        ),
    )
)

HANG = 20
"""Seconds of processor time that a thousand inputs may take, of the few tenths that they do take; and
seconds by the clock in which none at all is used."""

IDLE = 0.002
"""Seconds of processor time that a signal itself may use."""


@cache
def disturbing() -> re.Pattern[str]:
    """What could break a line in two, move the cursor, or turn the direction; by Unicode's own tables."""
    turns = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    found = [
        sign
        for sign in map(chr, range(sys.maxunicode + 1))
        if unicodedata.category(sign) in {"Cc", "Zl", "Zp", "Cs"}
        or unicodedata.bidirectional(sign) in turns
    ]
    return re.compile("[" + re.escape("".join(found)) + "\u200b\u200e\u200f\u00ad\u061c\u2060\ufeff]")


def nasty(rng: random.Random) -> bytes:
    """An input: pieces, glued together; and then perhaps cut, changed, or repeated."""
    glue = rng.choice((b"", b"", b"\n", b" "))
    data = glue.join(rng.choices(PIECES, k=rng.choice((1, 2, 3, 3, 4, 5, 8))))
    for _ in range(rng.choice((0, 0, 1, 1, 2, 4))):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(7):
            case 0:
                data = data[:at]
            case 1:
                data = data[at:]
            case 2:
                data = data[:at] + rng.choice(PIECES) + data[at:]
            case 3:
                data = data[:at] + rng.randbytes(rng.randrange(1, 4)) + data[at + 1 :]
            case 4:
                data = data[:at] + b"\n" + data[at:]
            case 5:
                data = (data[at:] + b"\n" + data[:at])[:20_000]
            case 6 if len(data) < 400:
                data = data * rng.randrange(2, 10)
    return data


def cut(rng: random.Random, data: bytes) -> list[bytes]:
    """The same bytes in pieces, as `recv` may bring them."""
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice((0, 1, 2, 5))))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def require(condition: object, what: str) -> None:
    if not condition:
        raise AssertionError(what)


def require_harmless(text: str, what: str) -> None:
    found = disturbing().search(text)
    require(found is None, f"{what} holds {found and found[0]!r}: {text[:200]!r}")


# --- the targets: each is given an input, and fails if something is not as it should be ---


def line_framing(rng: random.Random, data: bytes) -> None:
    """Cut in any way, the same lines come out; none is too long, and no more than one is kept."""
    limit = rng.choice((2, 3, 16, 512, 4096))
    whole, pieces = LineFraming(limit), LineFraming(limit)
    said: list[str | TooLong] = []
    for piece in cut(rng, data):
        said += pieces.feed(piece)
        require(len(pieces._rest) <= limit, "it keeps more than a line")
    require(said == whole.feed(data), "cut in another way it reads otherwise")
    require(len(said) == data.count(b"\n"), "there are more or fewer messages than lines")
    for message in said:
        if isinstance(message, str):
            require("\n" not in message, "a line with a line end in it")
            require(len(message) < limit, "a line that is too long")
            with suppress(ValueError):
                require(LineFraming().feed(whole.frame(message)), "what is framed is a line")


def raw_framing(rng: random.Random, data: bytes) -> None:
    """A recv is at most one message, no longer than it was."""
    framing = RawFraming(rng.choice((16, 1024)))
    for piece in cut(rng, data):
        said = framing.feed(piece)
        require(len(said) <= (1 if piece else 0), "more than one message from one recv")
        for message in said:
            if isinstance(message, str):
                require(len(message) <= len(piece) + 3, "more than came")
                require(not message.endswith(("\n", "\r")), "a line end at the end")


def _texts(data: bytes) -> list[str]:
    return [line for line in LineFraming().feed(data + b"\n") if isinstance(line, str)]


def commands(rng: random.Random, data: bytes) -> None:
    """A line is understood, or refused in words that can be shown; and understood alike each time."""
    for line in _texts(data):
        try:
            asked = m.from_client(line)
        except m.BadCommand as bad:
            require_harmless(str(bad), "a refusal")
            continue
        require(
            m.from_client(asked.line()) == asked, "what it asks for, written again, asks for something else"
        )
        require_harmless(asked.line(), "what was understood")
        if m.is_talk(line.encode() + b"\n"):
            require(asked == m.Say(line), "the quick way reads it otherwise")


def lines_of_a_server(rng: random.Random, data: bytes) -> None:
    """Any line of any server is read as some message, and shown in a panel as text and nothing else."""
    for line in _texts(data):
        require(m.from_server(line).line() == line, "it is not written as it was read")
        cleaned = clean(line)
        require_harmless(cleaned, "a clean line")
        require(clean(cleaned) == cleaned, "clean is not yet clean")
        tags = _Tags()
        tags.feed(
            look.log("alice", [cleaned], more=False) + look.head(line, "here", line) + look.trouble(line)
        )
        require(tags.seen <= {"div", "span", "b", "i", "bdi"}, f"tags: {tags.seen}")


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        require(
            {name for name, _ in attributes} <= {"class", "role", "aria-label", "tabindex"},
            f"attributes: {attributes}",
        )


def names(rng: random.Random, data: bytes) -> None:
    """A name is refused in words that can be shown; or it is harmless, and stays as it is."""
    for line in _texts(data):
        try:
            name = nicknames.fit(line)
        except nicknames.BadName as bad:
            require_harmless(str(bad), "a refusal")
            continue
        require_harmless(name, "a name")
        require(name and not re.search(r"[\s:]", name), "white space or a colon in it")
        require(name[0] not in nicknames.FORBIDDEN_FIRST, "it begins like another line")
        require(nicknames.fit(name) == name, "it is not yet as it will be")
        require(nicknames.key(nicknames.key(name)) == nicknames.key(name), "its key has another key")
        require(
            nicknames.looks(name) & nicknames.looks(nicknames.key(name)), "it does not look like itself"
        )
        for message in (m.Said(name, "x"), m.Acted(name, "x"), m.Whispered(name, "x"), m.Joined(name)):
            require(m.from_server(message.line()) == message, f"{message} reads otherwise")


class Numbered(NamedTuple):
    """What stands for a connection; its number, for its outbox."""

    outbox: Any


def _with_outbox(delivery: Delivery[int]) -> Delivery[Numbered]:
    if isinstance(delivery, ToRoom):
        but = None if delivery.but is None else Numbered(delivery.but)
        return ToRoom(delivery.room, delivery.message, but)
    return cast(Delivery[Numbered], replace(cast(Any, delivery), who=Numbered(delivery.who)))


class Chat:
    """Rooms with three in them, and what each of them hears: the server's way, without its threads."""

    def __init__(self, raw: bool) -> None:
        self.framings: list[Framing] = [RawFraming(1024) if raw else LineFraming() for _ in range(3)]
        self.rooms: Rooms[int] = Rooms()
        self.journal = Journal(200)

    def recv(self, who: int, data: bytes) -> None:
        """One of them has sent this."""
        said = self.framings[who].feed(data)
        while said and who not in self.rooms:
            with suppress(Refusal):
                nickname = said.pop(0)
                if isinstance(nickname, str):
                    self._post(who, "", self.rooms.join(who, nickname))
        if not said:
            return
        lines = "".join(f"{line}\n" for line in said).encode()
        if not any(isinstance(line, TooLong) for line in said) and m.is_talk(lines):
            with suppress(Refusal):
                ((person, heard, *_),) = self.rooms.say([(who, lines, lines.count(b"\n"))])
                speech = m.Speech(person.nickname, lines)
                assert speech.data() == heard
                return self._post(who, person.nickname, [ToRoom(person.room.name, speech, who)])
        for line in said:
            nickname = self.rooms.nickname(who)
            try:
                if isinstance(line, TooLong):
                    raise Refusal(f"too long: a line has at most {line.limit} bytes")
                asked = m.from_client(line)
                if isinstance(asked, m.Quit):
                    return self._post(who, nickname, self.rooms.leave(who, m.QUIT))
                if not isinstance(asked, m.Heartbeat):
                    self._post(who, nickname, self.rooms.do(who, asked))
            except (Refusal, m.BadCommand) as refusal:
                self._post(who, nickname, [ToOne(who, m.Refused(str(refusal)))])

    def _post(self, by: int, old: str, deliveries: list[Delivery[int]]) -> None:
        for delivery in deliveries:
            note(self.journal, cast(Any, delivery), lambda who: "alice")
        new = self.rooms.nickname(by) if by in self.rooms else old
        for entry in (as_entry(cast(Any, _with_outbox(delivery))) for delivery in deliveries):
            if isinstance(entry, ForOne):
                check = _is_an_answer if cast(int, entry.to) == by else _is_a_whisper
                self._look_at(entry.data, check, {old, new})
            elif isinstance(entry, ForRoom):
                require(cast(int | None, entry.but) in (by, None), "another client does not hear it")
                self._look_at(entry.data, _is_their_own, {old, new})
            else:
                require(isinstance(entry, Hears) and cast(int, entry.who) == by, "another client is moved")

    def _look_at(
        self, data: bytes, check: Callable[[m.FromServer, set[str]], object], who: set[str]
    ) -> None:
        require(data.endswith(b"\n"), "a line without an end")
        for line in data.decode().removesuffix("\n").split("\n"):
            require_harmless(line, "what a client hears")
            require(len(line.encode()) < 4096, "a line that is too long")
            message = m.from_server(line)
            require(check(message, who), f"from {who} a client hears {message}")


def _is_an_answer(message: m.FromServer, who: set[str]) -> bool:
    return isinstance(message, (m.Notice, m.Refused)) or (
        isinstance(message, m.Welcome) and message.who in who
    )


def _is_a_whisper(message: m.FromServer, who: set[str]) -> bool:
    return isinstance(message, m.Whispered) and message.who in who


def _is_their_own(message: m.FromServer, who: set[str]) -> bool:
    if isinstance(message, m.Renamed):
        return {message.who, message.new} == who
    return isinstance(message, (m.Said, m.Acted, m.Joined, m.Left, m.Moved)) and message.who in who


def conversations(rng: random.Random, data: bytes) -> None:
    """Three talk: from each line that one of them hears it is plain who said it, or whom it is about."""
    chat = Chat(raw=rng.random() < 0.2)
    newline = b"" if isinstance(chat.framings[0], RawFraming) else b"\n"
    for who, name in enumerate(("alice", "bob", "mallory")):
        if rng.random() < 0.9:
            chat.recv(who, name.encode() + newline)
    for piece in cut(rng, data + newline):
        chat.recv(rng.randrange(3), piece)
    if rng.random() < 0.05:
        ladder = Ladder(chat.journal, data.decode("utf-8", "replace")[:20].split("\n")[0])
        _look_at_ladder(ladder)


def _look_at_ladder(ladder: Ladder) -> None:
    for line in str(ladder).split("\n")[1:]:  # the first is the title, which no stranger writes
        # A label that runs from right to left is kept apart by a pair, of which no half is a stranger's.
        require_harmless(re.sub("\u2068([^\u2066-\u2069]*)\u2069", r"\1", line), "a ladder")
    for line in ladder.mermaid().split("\n")[2:]:
        require(MERMAID.fullmatch(re.sub(r"#\d+;", "", line)), f"Mermaid reads this otherwise: {line!r}")


MERMAID = re.compile(
    r"    (accDescr:|participant p\d+ as|Note over [p\d,]+:|p\d+(--\)|-x|->>)p\d+:)[^%<>;{}]*", re.DOTALL
)


def wires(rng: random.Random, data: bytes) -> None:
    """What a link writes down of any bytes, and draws of them, disturbs no screen."""
    journal = Journal(20)
    for piece in cut(rng, data):
        journal.record("bytes", "alice", shown(piece), "server")
    for line in repr(journal).split("\n"):
        require_harmless(line, "a journal")
    _look_at_ladder(Ladder(journal))


def reports(rng: random.Random, data: bytes) -> None:
    """What code under test writes into the pipe of the reports is taken for none of them."""
    good = b'{"sign": "s1gn", "state": "held"}\n'
    process = cast(Any, object.__new__(Process))
    process._process = SimpleNamespace(stdout=io.BytesIO(data.replace(b"s1gn", b"") + b"\n" + good))
    process._sign = "s1gn"
    process._reports = queue.SimpleQueue()
    process._read_reports()
    read = [process._reports.get_nowait() for _ in range(process._reports.qsize())]
    require(read == [{"sign": "s1gn", "state": "held"}, None], f"read: {read}")


Target = Callable[[random.Random, bytes], None]
TARGETS: dict[Target, int] = {
    line_framing: 4,
    raw_framing: 2,
    commands: 4,
    lines_of_a_server: 3,
    names: 4,
    conversations: 8,
    wires: 1,
    reports: 1,
}
"""What is tried, and how often in comparison with the others."""


# --- running ---


class Broken(Exception):
    """An input that breaks something; the text tells all about it."""


class Hangs(Exception):
    """Something goes on and on."""


def make(seed: int, number: int) -> tuple[Target, random.Random, bytes]:
    """Input `number` of a seed, what it is tried on, and what further decisions are made by."""
    rng = random.Random(f"{seed}/{number}")
    [target] = rng.choices([*TARGETS], [*TARGETS.values()])
    return target, rng, nasty(rng)


def attempt(seed: int, number: int) -> str:
    """Try one input; returns the name of what it was tried on.

    Raises:
        Broken: something was not as it should be.
    """
    target, rng, data = make(seed, number)
    try:
        target(rng, data)
    except Exception as error:  # whatever it is, it is what we are looking for
        told = "".join(traceback.format_exception(error))
        raise Broken(
            f"{target.__name__} breaks on {data!r}\n{told}\n"
            f"once more: python tests/tools/fuzz.py --seed {seed} --input {number}"
        ) from None
    return target.__name__


def run(seed: int, inputs: int, progress: Callable[[str], None] = lambda text: None) -> Counter[str]:
    """Try so many inputs; how many there were for each target.

    Raises:
        Broken: the first one that breaks something, or hangs.
    """
    tried: Counter[str] = Counter()
    began = monotonic()
    try:
        for number in range(inputs):
            if number % 1000 == 0:
                _watch(HANG)
                pace = number / max(0.001, monotonic() - began)
                progress(f"{number:>10,} of {inputs:,}  {pace:>7,.0f} a second")
            tried[attempt(seed, number)] += 1
    finally:
        _watch(0)
    return tried


def _watch(seconds: float) -> None:
    """Have whatever goes on raise Hangs once this process has run for so long, or has waited for so long
    and not run; 0: never. However busy the machine is, a little it runs. Windows has no such alarm clocks.
    """
    if not hasattr(signal, "setitimer"):
        return
    used = process_time()

    def ring(number: int, frame: FrameType | None) -> None:
        nonlocal used
        if number == signal.SIGPROF:
            raise Hangs(f"a thousand inputs took {seconds:g} s of processor time")
        if process_time() - used < IDLE:
            raise Hangs(f"it waits, and has used no processor for {seconds:g} s")
        used = process_time()

    for timer, alarm in ((signal.ITIMER_PROF, signal.SIGPROF), (signal.ITIMER_REAL, signal.SIGALRM)):
        signal.signal(alarm, ring)
        signal.setitimer(timer, seconds, seconds)


def main() -> int:
    parser = argparse.ArgumentParser(description="Try nasty inputs on all that reads bytes from strangers.")
    parser.add_argument("--inputs", type=int, default=100_000, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="which ones (default: %(default)s)")
    parser.add_argument("--input", type=int, help="only this one")
    options = parser.parse_args()
    try:
        if options.input is not None:
            print(
                attempt(options.seed, options.input), "holds on", repr(make(options.seed, options.input)[2])
            )
            return 0
        tried = run(options.seed, options.inputs, lambda text: print(text, end="\r", flush=True))
    except Broken as broken:
        print(f"\n{broken}")
        return 1
    print(f"{sum(tried.values()):,} inputs, seed {options.seed}: nothing broke" + " " * 20)
    for name, count in tried.most_common():
        print(f"  {name:<20} {count:>10,}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
