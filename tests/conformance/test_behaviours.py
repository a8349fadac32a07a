"""Each behaviour, on a server with just the fault that it looks for: what is told, to the letter.

The server is labkit's own; the fault is in what a proxy before it makes of the lines.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from judged_here import under_test
from support import SOON

from labkit import ChatServer, Limits
from labkit.conformance import dying, staying, talking
from labkit.conformance.advice import ADVICE
from labkit.conformance.behaviours import BEHAVIOURS, called
from labkit.conformance.causes import CAUSES
from labkit.conformance.server_under_test import CannotJoin, NotJudged, NotOffered, ServerUnderTest
from labkit.probe.failed import CheckFailed
from labkit.probe.raw_client import RawClient
from labkit.wire import sockets
from labkit.wire.framing import FRAMINGS

TIMEOUT = 1.0


@dataclass
class Client:
    """One that comes through the proxy: the number it came as, and its nickname, once it has said it."""

    number: int
    name: str = ""
    said: int = 0  # lines
    heard: list[bytes] = field(default_factory=list)
    gone: threading.Event = field(default_factory=threading.Event)


class Cut(Exception):
    """The proxy ends this connection."""


Lines = Callable[[Client, bytes], list[bytes]]
"""What goes on instead of a line, which has its LF."""

Chunk = Callable[[Client, bytes], bytes]


def as_it_is(client: Client, line: bytes) -> list[bytes]:
    return [line]


class Warped:
    """A right server, behind a proxy with a fault.

    Args:
        said, heard: what becomes of each line, on its way to the server and to the client.
        chunk: what becomes of each `recv` from a client, before that.
        comes: called with each client before it is connected to the server.
        tells_the_end: whether the server is told when this client has ended.
    """

    def __init__(
        self,
        said: Lines = as_it_is,
        heard: Lines = as_it_is,
        chunk: Chunk = lambda client, data: data,
        comes: Callable[[Client], None] = lambda client: None,
        tells_the_end: Callable[[Client], bool] = lambda client: True,
        framing: str = "lines",
        limits: Limits | None = None,
    ) -> None:
        self._server = ChatServer(port=0, framing=FRAMINGS[framing], limits=limits)
        self._said, self._heard, self._chunk, self._comes = said, heard, chunk, comes
        self._tells_the_end = tells_the_end
        self._whole = framing == "raw"
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> tuple[str, int]:
        self._server.start()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._start(self._accept)
        address: tuple[str, int] = self._listener.getsockname()
        return address

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(SOON)
        for sock in self._sockets:
            sock.close()
        self._server.stop()

    def _start(self, run: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, name="test-warped", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            for number in range(1000):
                theirs, _ = self._listener.accept()
                self._sockets.append(theirs)
                client = Client(number)
                try:
                    self._comes(client)
                except Cut:
                    continue  # it stays connected, and nothing happens
                ours = socket.create_connection(self._server.address, timeout=SOON)
                ours.settimeout(None)
                for sock in (theirs, ours):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._sockets.append(ours)
                self._start(self._carry, client, theirs, ours, self._to_server)
                self._start(self._carry, client, ours, theirs, self._heard)

    def _to_server(self, client: Client, line: bytes) -> list[bytes]:
        client.name = client.name or line.strip().decode(errors="replace")
        client.said += 1
        return self._said(client, line)

    def _carry(self, client: Client, source: socket.socket, sink: socket.socket, change: Lines) -> None:
        rest = b""
        try:
            while data := source.recv(65536):
                if change == self._to_server:
                    data = self._chunk(client, data)
                if self._whole:
                    pieces = [data]
                else:
                    *pieces, rest = re.split(rb"(?<=\n)", rest + data)
                out = b"".join(new for piece in pieces for new in change(client, piece))
                if out:
                    sink.sendall(out)
        except Cut:
            with contextlib.suppress(OSError):
                source.shutdown(socket.SHUT_RDWR)
        except OSError:
            if change == self._to_server and self._tells_the_end(client):
                with contextlib.suppress(OSError):
                    sockets.reset_on_close(sink)
                    sink.shutdown(socket.SHUT_RD)  # wakes the thread that reads from it
                    sink.close()
        with contextlib.suppress(OSError):
            if change != self._to_server or self._tells_the_end(client):
                sink.shutdown(socket.SHUT_WR)


def told(warped: Warped, name: str, framing: str = "lines", timeout: float = TIMEOUT) -> tuple[str, str]:
    """What is expected, and what was seen, of the behaviour of this name; with N for the numbers."""
    with warped as address, under_test(address, framing, timeout) as server:
        with pytest.raises(CheckFailed) as failed:
            called(name).judge(server)
    assert not isinstance(failed.value, CannotJoin), failed.value
    expected, seen = (re.sub(r"-\d+", "-N", text) for text in (failed.value.expected, failed.value.seen))
    return expected, seen


def says(*replies: tuple[bytes, bytes], to: str = "") -> Lines:
    """Everything that a client (of this name) hears, with these bytes in place of those."""

    def heard(client: Client, line: bytes) -> list[bytes]:
        if not to or client.name == to:
            for old, new in replies:
                line = line.replace(old, new)
        return [line]

    return heard


def without(pattern: bytes, of: str = "") -> Lines:
    """Lines in which this is found do not go on (to the client of this name)."""

    def heard(client: Client, line: bytes) -> list[bytes]:
        return [] if re.search(pattern, line) and (not of or client.name == of) else [line]

    return heard


# --- a right one is right, whatever it says besides ---


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda behaviour: behaviour.name)
def test_a_talkative_server_is_as_right_as_a_quiet_one(behaviour: object) -> None:
    """It greets, ends its lines with CR LF, and has a word of its own for each who comes or goes."""

    def heard(client: Client, line: bytes) -> list[bytes]:
        line = line.replace(b"\n", b"\r\n")
        return (
            [b"Welcome to our chat!\r\n", line] if line == b"nickname\r\n" and not client.said else [line]
        )

    with Warped(heard=heard) as address, under_test(address, timeout=3 * TIMEOUT) as server:
        behaviour.judge(server)  # type: ignore[attr-defined]


# --- talking ---

AT_CONNECT = "asks for a nickname at connect"


@pytest.mark.parametrize(
    ("asks", "seen"),
    [
        (b"nickname", "'nickname'"),
        (b"nickname?\n", r"'nickname?\n'"),
        (b"your nickname\n", r"'your nickname\n'"),
        (b"hello\nyour nickname\n", r"'hello\nyour nickname\n'"),
    ],
)
def test_a_request_that_is_no_line(asks: bytes, seen: str) -> None:
    """With something before it, or behind it, or without its LF."""
    assert told(Warped(heard=says((b"nickname\n", asks))), AT_CONNECT) == (r"a line 'nickname\n'", seen)


@pytest.mark.parametrize("asks", [b"hello, nickname", b"nickname\n", b"nickname: "])
def test_a_raw_request_with_more_in_it(asks: bytes) -> None:
    """There a recv is a message."""
    expected, seen = told(Warped(heard=says((b"nickname", asks)), framing="raw"), AT_CONNECT, "raw")
    assert expected == "'nickname' and nothing else, for a recv is a message"
    assert seen == repr(asks)[1:]


def test_one_that_does_not_hear_another() -> None:
    """Who, and whom."""
    expected, seen = told(
        Warped(heard=without(rb"^bob: hello", of="carol")), "what one says, all others hear"
    )
    assert expected == "carol hears 'hello-N' from bob"
    assert seen.startswith("carol heard ")


NAME_BEFORE = "the name stands before what was said"


@pytest.mark.parametrize("form", [b"<alice> ", b"alice:", b"* alice: ", b"alice:  ", b""])
def test_a_name_in_another_form(form: bytes) -> None:
    """What stands before it is shown, from the line's beginning."""
    warped = Warped(heard=says((b"alice: hello", form + b"hello")))
    assert told(warped, NAME_BEFORE) == ("'alice: hello-N'", repr(form + b"hello-N")[1:])


def test_a_name_that_is_not_there_in_raw() -> None:
    """Only the end of what came before it counts."""
    warped = Warped(heard=says((b"alice: hello", b"alice said: hello")), framing="raw")
    expected, seen = told(warped, NAME_BEFORE, "raw")
    assert expected == "'alice: hello-N'" and seen.endswith("alice said: hello-N'")


@pytest.mark.parametrize("name", [NAME_BEFORE, "the sender does not hear itself"])
def test_one_that_hears_nothing_of_what_is_judged(name: str) -> None:
    """It says so, and not something else."""
    word = "hello" if name == NAME_BEFORE else "echo"
    expected, seen = told(Warped(heard=without(word.encode())), name)
    assert expected == f"bob hears '{word}-N'" and seen.startswith("bob heard ")


@pytest.mark.parametrize("late", [1, 2])
def test_an_echo(late: int) -> None:
    """One hears its own line, perhaps late."""

    def heard(client: Client, line: bytes) -> list[bytes]:
        if client.heard and b"answer" in line:
            answers.append(line)
            if len(answers) == late:
                return [b"alice: " + client.heard[0], line]
        return [line]

    def said(client: Client, line: bytes) -> list[bytes]:
        client.heard += [line] if b"echo" in line else []
        return [line]

    answers: list[bytes] = []
    expected, seen = told(Warped(said, heard), "the sender does not hear itself")
    assert expected == "alice hears bob's answer, and nothing of her own"
    assert re.fullmatch(r"alice heard '.*alice: echo-N\\nbob: .*'", seen)


A_LINE = "a line is a message, however TCP cuts it"


def test_a_server_that_keeps_no_lines_apart() -> None:
    """Two in one send are one."""
    warped = Warped(chunk=lambda client, data: data[:-1].replace(b"\n", b" ") + data[-1:])
    expected, seen = told(warped, A_LINE)
    assert expected == "two lines sent at once heard as two: 'alice: one-N', 'alice: two-N'"
    assert "alice: one-N two-N" in seen


def test_a_server_for_which_a_recv_is_a_line() -> None:
    """One in two sends is two."""
    warped = Warped(chunk=lambda client, data: data if data.endswith(b"\n") else data + b"\n")
    expected, seen = told(warped, A_LINE)
    assert expected == "a line sent in two pieces heard as one: 'alice: first-Nsecond-N'"
    assert r"alice: first-N\nalice: second-N" in seen


def test_a_server_that_passes_on_empty_lines() -> None:
    """And its clue names that."""
    warped = Warped(said=lambda client, line: [line if line.strip() else b" \n"])
    with warped as address, under_test(address, timeout=TIMEOUT) as server:
        with pytest.raises(CheckFailed) as failed:
            called(A_LINE).judge(server)
    assert failed.value.expected == "no client hears of an empty line"
    assert re.fullmatch(r"bob heard '.*alice:  \\nalice: '", failed.value.seen)
    assert failed.value.clue == "empty"


def test_a_server_that_loses_what_is_said_last() -> None:
    """Then nothing can be said of the rest."""
    expected, seen = told(Warped(heard=without(b"alice: end")), A_LINE)
    assert expected == "bob hears 'end-N' from alice, after all else" and seen.startswith("bob heard ")


def test_a_server_that_keeps_the_cr() -> None:
    """It stands before its own line end."""
    warped = Warped(
        said=lambda client, line: [line.replace(b"\r\n", b"~\n")],
        heard=says((b"~\n", b"\r\n")),
    )
    assert told(warped, "a CR before the LF is dropped") == (
        r"'hello-N' and after it '\n', as after any line",
        r"after it '\r\n'",
    )


@pytest.mark.parametrize(
    "name", ["a CR before the LF is dropped", "an over-long line is refused, and nobody thrown out"]
)
def test_what_rests_on_lines_is_not_judged_without_them(name: str) -> None:
    """One fault is one ✗."""
    warped = Warped(chunk=lambda client, data: data if data.endswith(b"\n") else data + b"\n")
    with warped as address, under_test(address, timeout=TIMEOUT) as server:
        with pytest.raises(NotJudged) as why:
            called(name).judge(server)
    assert str(why.value) == (
        "what one says is not kept apart here (see: a line is a message), and this rests on it"
    )


def strict(client: Client, line: bytes) -> list[bytes]:
    """A server that throws out who sends what is not UTF-8."""
    try:
        line.decode()
    except UnicodeDecodeError:
        raise Cut from None
    return [line]


def test_a_server_that_throws_out_for_bytes_that_are_no_text() -> None:
    """Who was thrown out, and how it ended, is told."""
    expected, seen = told(Warped(strict), "bytes that are not UTF-8 throw nobody out")
    assert expected == "bob hears 'still-here-N' from alice"
    assert re.match(r"alice was thrown out \((FIN|RST)\); bob heard ", seen)


LONG = "a long message in another alphabet throws nobody out"


def test_a_server_that_throws_out_for_a_letter_that_is_cut() -> None:
    """It decodes what a `recv` of its own brought."""

    def chunk(client: Client, data: bytes) -> bytes:
        if len(data) > 1000:
            raise Cut
        return data

    expected, seen = told(Warped(chunk=chunk), LONG)
    assert expected == "bob hears 'still-here-N' from alice" and "alice was thrown out" in seen


def test_a_server_that_drops_what_is_long() -> None:
    """What was heard instead is shown: its end, if it is long."""
    warped = Warped(said=lambda client, line: [line if len(line) < 1000 else b"y" * 100 + b"z\n"])
    expected, seen = told(warped, LONG)
    assert expected == "bob hears the long message"
    assert seen == r"bob heard …'" + "y" * 51 + r"z\nalice: ' instead"


@pytest.mark.parametrize("encoded", [b"?", "\u00d0".encode()])
def test_a_server_that_does_not_know_the_letters(encoded: bytes) -> None:
    """Each became another: that has to do with an encoding, and not with how recv cuts."""
    warped = Warped(said=lambda client, line: [line.replace("\u0436".encode(), encoded)])
    with warped as address, under_test(address, timeout=TIMEOUT) as server:
        with pytest.raises(CheckFailed) as failed:
            called(LONG).judge(server)
    assert failed.value.clue == "alphabet"


def test_a_server_that_loses_the_end_of_what_is_long() -> None:
    """How much of it came is told, in letters."""
    expected, seen = told(Warped(said=lambda client, line: [line[:1401].rstrip() + b"\n"]), LONG)
    assert (expected, seen) == ("bob hears all 1501 letters of it", "701 of them")


def test_a_server_that_cuts_what_one_says() -> None:
    """Also far beyond what one recv mostly brings."""
    warped = Warped(said=lambda client, line: [line[:1900].rstrip() + b"\n"])
    expected, seen = told(warped, "what one says arrives whole")
    assert re.fullmatch(r"bob hears all 20\d\d letters of what alice said", expected)
    assert re.fullmatch(r"of 20\d\d letters, 1900 came in one piece", seen)


@pytest.mark.parametrize(
    ("heard", "longest"), [("xx", 0), ("xa", 1), ("xab", 2), ("xabcx", 3), ("abac", 2)]
)
def test_how_much_came_in_one_piece(heard: str, longest: int) -> None:
    """From the first letter on."""
    assert talking._longest_part("abc", heard) == longest


CONTROL = "control characters of one do not reach another"
SIGNS = {"ESC": "\x1b[2J", "BEL": "\x07", "NUL": "\x00", "U+202E (right-to-left override)": "\u202e"}


@pytest.mark.parametrize("passes", [*SIGNS, "CR"])
def test_a_server_that_passes_on_what_moves_a_cursor(passes: str) -> None:
    """It is told what."""
    sign = SIGNS.get(passes, "\r")
    warped = Warped(
        said=lambda client, line: [line.replace(sign.encode(), b"~~")],
        heard=lambda client, line: [line.replace(b"~~", sign.encode())],
    )
    expected, seen = told(warped, CONTROL)
    assert expected == "none of ESC, BEL, NUL, CR, U+202E (right-to-left override)"
    assert seen.startswith(f"{passes} in '") and len(seen) < 160


OVER_LONG = "an over-long line is refused, and nobody thrown out"


def test_a_server_that_passes_on_over_long_lines() -> None:
    """And one that keeps a part of it."""
    warped = Warped(said=lambda client, line: [line[:3000] + b"\n" if len(line) > 4096 else line])
    expected, seen = told(warped, OVER_LONG)
    assert re.fullmatch(r"a line of 410\d bytes reaches no one", expected)
    assert re.match(r"bob heard '(\\n)?alice: long-Ny+'?", seen)


def test_a_server_that_passes_on_the_end_of_over_long_lines() -> None:
    """Without its beginning it is no better."""
    warped = Warped(said=lambda client, line: [b"y" * 50 + b"\n" if len(line) > 4096 else line])
    expected, seen = told(warped, OVER_LONG)
    assert expected.endswith(" bytes reaches no one") and "alice: yyyy" in seen


def test_a_server_that_drops_over_long_lines_silently() -> None:
    """Its owner should be told."""
    expected, seen = told(Warped(heard=without(b"^! ")), OVER_LONG)
    assert expected == "`! …` for alice, or whatever words" and seen == "alice heard nothing"


@pytest.mark.parametrize("words", [b"too long", "(слишком длинно)".encode(), b"SERVER: max. 4096"])
def test_a_refusal_in_other_words(words: bytes) -> None:
    """Is one, too."""
    warped = Warped(heard=lambda client, line: [words + b"\n" if line.startswith(b"! ") else line])
    with warped as address, under_test(address, timeout=TIMEOUT) as server:
        called(OVER_LONG).judge(server)


def test_an_echo_is_no_refusal() -> None:
    """One who hears itself is told nothing by that."""

    def heard(client: Client, line: bytes) -> list[bytes]:
        return [b"alice: end-1\n> \n" if line.startswith(b"! ") else line]

    expected, seen = told(Warped(heard=heard), OVER_LONG)
    assert expected == "`! …` for alice, or whatever words" and seen.startswith("alice heard 'alice: end-N")


SAME_ORDER = "all hear the same lines in the same order"


def test_a_server_with_an_order_for_each() -> None:
    """The first difference is shown. Erin hears last of the one that dave hears first."""
    kept: list[bytes] = []

    def heard(client: Client, line: bytes) -> list[bytes]:
        if client.name != "erin" or not re.match(rb"(\w+): \1-\d+\n", line):
            return [line]
        kept.append(line)
        if len(kept) < 60:
            return []
        first = kept[0].partition(b":")[0]
        order = sorted(kept, key=lambda line: line.startswith(first))
        kept.clear()
        return order

    expected, seen = told(Warped(heard=heard), SAME_ORDER)
    assert expected == "dave and erin hear three clients in the same order"
    assert re.fullmatch(r"in round 1 dave heard '\w+-N' where erin heard '\w+-N'", seen)


def test_a_server_that_turns_the_lines_of_one_around() -> None:
    """All hear them so, in the wrong order."""
    kept: list[bytes] = []

    def said(client: Client, line: bytes) -> list[bytes]:
        if not line.startswith(b"bob-"):
            return [line]
        kept.append(line)
        return [kept.pop(), kept.pop()] if len(kept) == 2 else []

    expected, seen = told(Warped(said), SAME_ORDER)
    assert expected == "dave hears 'bob-N' before 'bob-N', as it was said"
    assert seen == "the other way round"


def test_a_server_that_loses_a_line() -> None:
    """How many were heard, and which is missing."""
    lost: list[bytes] = []

    def said(client: Client, line: bytes) -> list[bytes]:
        if line.startswith(b"carol-") and not lost:
            lost.append(line)
            return []
        return [line]

    expected, seen = told(Warped(said), SAME_ORDER)
    assert expected == "dave hears all that three clients say at once, 60 lines"
    assert seen == "59 of them, and then nothing more; 'carol-N' is missing"


def test_a_server_that_throws_out_one_who_listens() -> None:
    """It is told as what it comes to: that not all was heard."""
    lines: list[bytes] = []

    def heard(client: Client, line: bytes) -> list[bytes]:
        if client.name == "dave" and re.match(rb"(\w+): \1-\d+\n", line):
            lines.append(line)
            if len(lines) > 10:
                raise Cut
        return [line]

    expected, seen = told(Warped(heard=heard), SAME_ORDER)
    assert expected == "dave hears all that three clients say at once, 60 lines"
    assert re.fullmatch(r"\d+ of them, and then FIN; '\w+-N' is missing", seen)


# --- what a server may have besides ---


def test_no_who() -> None:
    """Alice is not told of all."""
    expected, seen = told(Warped(heard=says((b", carol", b""))), "/who tells who is here")
    assert expected == "alice is told of bob and of carol" and seen.startswith("alice was told ")


@pytest.mark.parametrize(
    ("name", "said", "because"),
    [
        ("/who tells who is here", b"- /who", "heard by the others"),
        ("/who tells who is here", b"/nonsense", "not answered with who is here"),
        ("a private message reaches one alone", b"- /msg", "heard by the others"),
        ("a private message reaches one alone", b"/nonsense", "nobody hears it"),
        ("who is in another room does not hear", b"- /join", "nobody goes anywhere"),
        ("who is in another room does not hear", b"/nonsense", "nobody goes anywhere"),
    ],
)
def test_a_command_that_is_not_there_is_no_fault(name: str, said: bytes, because: str) -> None:
    """It is said aloud, or refused: told as that, and why it is thought so."""
    warped = Warped(lambda client, line: [re.sub(rb"^/(who|msg|join)\b", said, line)])
    with warped as address, under_test(address, timeout=TIMEOUT) as server:
        with pytest.raises(NotOffered, match=because):
            called(name).judge(server)


PRIVATE = "a private message reaches one alone"


def test_a_private_message_for_all() -> None:
    """Carol hears it, too."""
    warped = Warped(
        said=lambda client, line: (
            [b"pssst " * 20 + line.split()[2] + b"\n", line] if line.startswith(b"/msg") else [line]
        )
    )
    expected, seen = told(warped, PRIVATE)
    assert expected == "carol hears nothing of it"
    assert seen.startswith("carol heard …'") and "secret-N" in seen


@pytest.mark.parametrize("form", [b"alice whispers: ", b""])
def test_a_private_message_in_another_form(form: bytes) -> None:
    """The form is part of it."""
    expected, seen = told(Warped(heard=says((b"alice -> you: ", form))), PRIVATE)
    assert expected == "bob hears 'alice -> you: secret-N'" and seen.startswith("bob heard ")


ROOM = "who is in another room does not hear"


def test_no_rooms() -> None:
    """What is said in one is heard in the other."""
    rooms: list[bytes] = []

    def said(client: Client, line: bytes) -> list[bytes]:
        if line.startswith(b"/join"):
            rooms.append(line)
        if line.startswith(b"here-"):
            return [b"/join lobby\n", line, rooms[0], line]
        return [line]

    expected, seen = told(Warped(said), ROOM)
    assert expected == "bob, in the lobby, does not hear 'here-N'"
    assert re.fullmatch(r"bob heard …?'.*'", seen)


def test_a_room_where_no_one_hears() -> None:
    """Those in it should."""
    expected, seen = told(Warped(heard=without(b"alice: here", of="carol")), ROOM)
    assert expected == "carol, in the same room, hears 'here-N'" and seen.startswith("carol heard ")


def test_a_server_that_is_slow_to_let_one_in_another_room() -> None:
    """It has read `/join` and not done it yet, when another says something there."""
    said_first = threading.Event()

    def said(client: Client, line: bytes) -> list[bytes]:
        if client.name == "carol" and line.startswith(b"/join"):
            assert said_first.wait(SOON)
        elif line.startswith(b"here-"):
            said_first.set()
        return [line]

    with Warped(said) as address, under_test(address, timeout=TIMEOUT) as server:
        called("who is in another room does not hear").judge(server)


# --- naming ---

TAKEN = "a nickname that is taken is refused"


def twin(client: Client, line: bytes) -> list[bytes]:
    """A server that lets several have a nickname: in truth the second is alicf, and looks like alice."""
    if client.number >= 2 and client.name == "alice" and client.said == 1:
        return [b"alicf\n"]
    return [line]


def test_two_of_the_same_name() -> None:
    """What bob heard is shown, from the name on."""
    expected, seen = told(Warped(twin, says((b"alicf", b"alice"))), TAKEN)
    assert expected == "a second 'alice' is refused while the first is here"
    assert seen == "bob heard 'alice: hello-N' from the second" or seen.endswith(
        "alice: hello-N' from the second"
    )


def null(client: Client, line: bytes) -> list[bytes]:
    """The third one is called None, whatever it answers."""
    return [b"None\n"] if client.number == 2 and client.said == 1 else [line]


def test_one_that_was_refused_and_talks_without_a_nickname() -> None:
    """No name of its own: what a program shows where there is none."""
    assert told(Warped(null), TAKEN) == (
        "a second 'alice' is not heard before it has another nickname",
        "bob heard 'None: hello-N' from the second",
    )


def test_a_stranger_that_hears_the_room() -> None:
    """What it heard is shown."""

    def said(client: Client, line: bytes) -> list[bytes]:
        if line.startswith(b"among-us"):
            warped._sockets[4].sendall(b"alice: " + line)  # the third one's: two for each
        return [line]

    warped = Warped(said)
    expected, seen = told(warped, "one without a nickname does not hear the room")
    assert expected == "a newcomer that has not answered hears nothing that is said"
    assert seen == r"stranger heard 'alice: among-us-N\n'"


def test_an_empty_nickname() -> None:
    """What it says comes without a name."""
    warped = Warped(
        said=lambda client, line: [b"anonymous\n"] if line == b"\n" and client.said == 1 else [line],
        heard=says((b"anonymous: ", b": ")),
    )
    expected, seen = told(warped, "an empty nickname is refused")
    assert expected == "a client without a nickname is asked again, or let go"
    assert seen == "bob heard ': hello-N' from it"


def test_no_nickname_at_all() -> None:
    """Some languages write None for it."""
    expected, seen = told(Warped(null), "an empty nickname is refused")
    assert expected == "a client without a nickname is asked again, or let go"
    assert seen == "bob heard 'None: hello-N' from it"


AGAIN = "a refused nickname is asked for again"


def test_no_second_request() -> None:
    """Refused, and no more."""

    def heard(client: Client, line: bytes) -> list[bytes]:
        return [] if line == b"nickname\n" and client.said else [line]

    expected, seen = told(Warped(heard=heard), AGAIN)
    assert expected == "`nickname`, once more" and seen.startswith("second heard ")


def test_a_second_request_that_leads_nowhere() -> None:
    """It asks, and does not listen."""

    def said(client: Client, line: bytes) -> list[bytes]:
        return [] if client.number == 2 and client.said > 1 else [line]

    expected, seen = told(Warped(said), AGAIN)
    assert re.fullmatch(r"bob hears 'hello-N' from the one who then said '[a-z]{8}'", expected)
    assert seen.startswith("bob heard ")


def test_it_refused_no_nickname() -> None:
    """Then it cannot be judged by that."""
    with (
        Warped(twin, says((b"alicf", b"alice"))) as address,
        under_test(address, timeout=TIMEOUT) as server,
    ):
        with pytest.raises(NotJudged, match="^it refused no nickname$"):
            called(AGAIN).judge(server)


JOINING = "a joining is told to the others, once"


def test_a_joining_that_is_not_told() -> None:
    """In what form it should be."""
    assert told(Warped(heard=without(b"carol joined")), JOINING) == (
        "alice hears `* carol joined`, once",
        "none",
    )


def test_a_joining_told_twice() -> None:
    """Both are shown."""
    warped = Warped(heard=lambda client, line: [line] * (1 + (b"carol joined" in line)))
    assert told(warped, JOINING) == (
        "alice hears `* carol joined`, once",
        "2 lines about it: ['* carol joined', '* carol joined']",
    )


def test_a_joining_told_to_the_one_who_joined() -> None:
    """The clue names that."""

    def heard(client: Client, line: bytes) -> list[bytes]:
        return [line, b"* carol joined\n"] if line.startswith(b"* you are carol") else [line]

    with Warped(heard=heard) as address, under_test(address, timeout=TIMEOUT) as server:
        with pytest.raises(CheckFailed) as failed:
            called(JOINING).judge(server)
    assert failed.value.expected == "the others hear '* carol joined', and carol does not"
    assert (failed.value.seen, failed.value.clue) == ("carol heard it, too", "herself")


def stops_asking(after: Callable[[Client], bool]) -> Warped:
    """A server that asks no newcomer any more, once this is so of one."""
    seen: list[Client] = []

    def comes(client: Client) -> None:
        if client.number and any(map(after, seen)):
            raise Cut
        seen.append(client)

    def ends(client: Client) -> bool:
        client.gone.set()
        return True

    return Warped(comes=comes, tells_the_end=ends)


@pytest.mark.parametrize(
    ("name", "after", "when"),
    [
        (
            "a silent newcomer keeps nobody out",
            lambda client: not client.said,
            "while another has not answered",
        ),
        (
            "a reset in the handshake keeps nobody out",
            lambda client: not client.said and client.gone.wait(SOON),
            "after another reset its connection instead of answering",
        ),
        (
            "a nickname that is not UTF-8 keeps nobody out",
            lambda client: "\ufffd" in client.name,
            r"after another answered b'ren\xe9'",
        ),
    ],
)
def test_a_newcomer_that_is_kept_out(name: str, after: Callable[[Client], bool], when: str) -> None:
    """By what is told."""
    assert told(stops_asking(after), name) == (
        f"the next ones are asked for a nickname {when}",
        "next heard nothing",
    )


# --- leaving ---

NOTICED = "a goodbye is noticed"


def test_a_goodbye_that_is_not_noticed() -> None:
    """How long was waited, and what bob heard meanwhile."""
    expected, seen = told(Warped(tells_the_end=lambda client: False), NOTICED)
    assert expected == "the server ends alice's connection after she has hung up"
    assert seen == "no end within 1.0 s; bob heard nothing"


LEFT = "a leaving is told to the others, once, and with its reason"


@pytest.mark.parametrize(
    ("old", "new", "expected", "seen"),
    [
        (b"* bob left (hung up)\n", b"", "alice hears `* bob left (hung up)`, once", "none"),
        (
            b"* bob left (hung up)",
            b"* bob has gone",
            "alice hears `* bob left (hung up)`",
            "'* bob has gone'",
        ),
        (
            b"* carol left (vanished)",
            b"* carol left (hung up)",
            "alice hears `* carol left (vanished)`",
            "'* carol left (hung up)'",
        ),
        (
            b"* carol left (vanished)",
            b"* carol left (vanished)\n* carol: bye",
            "alice hears `* carol left (vanished)`, once",
            "2 lines about it: ['* carol left (vanished)', '* carol: bye']",
        ),
    ],
)
def test_a_leaving_told_wrongly(old: bytes, new: bytes, expected: str, seen: str) -> None:
    """Not at all, without its reason, with another one, or twice."""

    def heard(client: Client, line: bytes) -> list[bytes]:
        return [line.replace(old, new)]

    assert told(Warped(heard=heard), LEFT) == (expected, seen)


@pytest.mark.parametrize(
    ("vanished", "seen"),
    [
        (b"", "none"),
        (b"* carol is gone\n* carol is gone\n", "2 lines about it: ['* carol is gone', '* carol is gone']"),
    ],
)
def test_a_reset_told_wrongly_where_no_reason_is_told(vanished: bytes, seen: str) -> None:
    """That is worse than words of one's own, and it is what is told."""
    replies = ((b"left (hung up)", b"is gone"), (b"* carol left (vanished)\n", vanished))
    assert told(Warped(heard=says(*replies, to="alice")), LEFT) == (
        "alice hears `* carol left (vanished)`, once",
        seen,
    )


@pytest.mark.parametrize("name", [LEFT, "a nickname is free again after its owner has left"])
def test_what_rests_on_a_goodbye_is_not_judged_without_it(name: str) -> None:
    """One fault is one ✗."""
    with (
        Warped(tells_the_end=lambda client: False) as address,
        under_test(address, timeout=TIMEOUT) as server,
    ):
        with pytest.raises(NotJudged, match="^it leaves the connection open after a goodbye"):
            called(name).judge(server)


def test_taken_when_it_is_said_again() -> None:
    """The second is refused; the third says its nickname once more, and is not."""

    def said(client: Client, line: bytes) -> list[bytes]:
        if client.number == 3 and client.said == 2 and line == b"alice\n":
            return [b"alicf\n"]
        return [line]

    expected, seen = told(Warped(said, says((b"alicf", b"alice"))), TAKEN)
    assert expected == "a second 'alice' is refused while the first is here, however often"
    assert seen.endswith("alice: hello-N' from the third, who had said so twice")


def test_a_nickname_that_is_never_free_again() -> None:
    """What the second one heard is shown."""

    def said(client: Client, line: bytes) -> list[bytes]:
        return [b"bob\n"] if client.number > 1 and client.name == "alice" else [line]

    expected, seen = told(Warped(said), "a nickname is free again after its owner has left", timeout=0.3)
    assert expected == "another may be called alice now" and seen.startswith(
        "bob does not hear the one who says so; another heard "
    )


COME_AND_GO = "nobody falls silent when people come and go"


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (4, "a newcomer is asked for a nickname after 2 visitors have left"),
        (23, "a newcomer is asked for a nickname after 21 visitors have left"),
        (44, "a newcomer is asked for a nickname after 42 visitors have left"),
        (45, "a newcomer is asked for a nickname after 43 visitors have left"),
    ],
)
def test_a_newcomer_that_is_not_asked_after_others_have_left(number: int, expected: str) -> None:
    """After how many."""

    def comes(client: Client) -> None:
        if client.number == number:
            raise Cut

    name = {44: "second", 45: "third"}.get(number, "visitor")
    assert told(Warped(comes=comes), COME_AND_GO) == (expected, f"{name} heard nothing")


@pytest.mark.parametrize(
    ("leaver", "expected"),
    [
        ("visitor", "alice hears bob after a visitor hung up"),
        ("second", "alice hears bob after a visitor vanished"),
    ],
)
def test_one_that_falls_silent(leaver: str, expected: str) -> None:
    """After which of the two has gone; while they are here, all is well."""
    gone: list[str] = []

    def heard(client: Client, line: bytes) -> list[bytes]:
        return [] if leaver in gone and line.startswith(b"bob: still-there") else [line]

    def ends(client: Client) -> bool:
        gone.append(client.name)
        return True

    came, seen = told(Warped(heard=heard, tells_the_end=ends), COME_AND_GO)
    assert came == expected and seen.startswith("alice heard ")


def test_a_second_visitor_that_is_not_heard() -> None:
    """It is in, and says so in vain."""
    expected, seen = told(Warped(heard=without(b"second: hello", of="alice")), COME_AND_GO)
    assert expected == "another visitor is heard after 42 have left" and seen.startswith("alice heard ")


# --- staying, and dying ---


def test_one_that_is_skipped_when_several_die() -> None:
    """Who heard, and who did not."""
    expected, seen = told(
        Warped(heard=without(b"alice: who-hears", of="third")), "nobody is skipped when several die"
    )
    assert expected == "all three hear 'who-hears-me-N'"
    assert seen.startswith("other and last heard it; third heard ")


def test_nobody_hears_when_several_die() -> None:
    """That is another fault, and is not judged by this."""
    with (
        Warped(heard=without(b"alice: who-hears")) as address,
        under_test(address, timeout=TIMEOUT) as server,
    ):
        with pytest.raises(NotJudged, match="^nobody at all is heard after a reset$"):
            called("nobody is skipped when several die").judge(server)


def test_one_that_is_heard_no_more_while_another_does_not_read() -> None:
    """After how much; and whether the speaker is still there."""
    rounds: list[int] = []

    def said(client: Client, line: bytes) -> list[bytes]:
        if line.startswith(b"so-far-"):
            rounds.append(client.said)
            if len(rounds) == 3:
                raise Cut
        return [line]

    expected, seen = told(Warped(said), "one who stops reading holds up nobody")
    assert expected == "bob hears alice while mallory does not read"
    # Two rounds, and what of the third came in pieces before its last line.
    assert re.fullmatch(
        r"nothing more after (2[5-9]|3[0-8])\d kB, and alice was thrown out \((FIN|RST)\)", seen
    )


def test_one_that_hears_no_more_after_a_reset() -> None:
    """Who said it."""
    expected, seen = told(
        Warped(heard=without(b"is-anybody-there", of="dave")), "after a reset all others are still heard"
    )
    assert expected == "dave hears 'is-anybody-there-N' from alice" and seen.startswith("dave heard ")


def test_one_that_is_thrown_out_after_a_goodbye() -> None:
    """The first may still be heard: both are asked."""

    def said(client: Client, line: bytes) -> list[bytes]:
        if client.name == "carol" and line.startswith(b"are-you-there"):
            raise Cut
        return [line]

    expected, seen = told(Warped(said), "after a goodbye nobody else is thrown out")
    assert expected == "dave hears 'are-you-there-N' from carol"
    assert re.match(r"carol was thrown out \((FIN|RST)\); dave heard ", seen)


def test_one_that_hears_no_more_once_one_who_did_not_read_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who, and whom."""
    monkeypatch.setattr(dying.Clog, "_fill", lambda clog: False)
    expected, seen = told(
        Warped(heard=without(b"going-on", of="two")), "once one who did not read is gone, all go on"
    )
    assert expected == "two hears 'going-on-N' from one" and seen.startswith("two heard ")


@pytest.mark.parametrize("stuck", [True, False])
def test_whether_a_server_is_stuck_with_one_that_does_not_read(
    monkeypatch: pytest.MonkeyPatch, stuck: bool
) -> None:
    """One that moves nothing any more is; one whose other clients have heard all is not."""
    monkeypatch.setattr(dying, "kernel_holds", lambda: 1000)
    monkeypatch.setattr(dying, "STUCK", 0.1)
    monkeypatch.setattr(sockets, "readable", lambda sock, seconds: False)
    said: list[int] = []

    class Bob:
        received = 500
        sock = None

        def forget(self) -> None:
            if said and (not stuck or self.received < 100_000):
                self.received += said.pop()

    class Dead:
        def push(self, data: bytes, timeout: float) -> int:
            if stuck and sum(said) > 200_000:
                return 0
            assert timeout == 0 and len(data) == 32 * 3997
            said.append(len(data))
            return len(data)

    clog = object.__new__(dying.Clog)
    clog.bob, clog.dead = cast(RawClient, Bob()), cast(RawClient, Dead())
    clog._all = [clog.bob]
    clog.server = ServerUnderTest(("127.0.0.1", 1))
    clog.lines = staying.flood(clog.server)
    assert clog._fill() is stuck
    assert (clog.bob.received >= 500 + 1000 + 1024 * 1024) is not stuck


# --- the names of things ---


def test_each_behaviour_has_a_number_a_name_and_a_clause() -> None:
    """All different, and to be found by name; and what it means to lack one."""
    assert sorted(behaviour.number for behaviour in BEHAVIOURS) == list(range(1, len(BEHAVIOURS) + 1))
    assert len({behaviour.name for behaviour in BEHAVIOURS}) == len(BEHAVIOURS) == 35
    assert {behaviour.name for behaviour in BEHAVIOURS} == set(ADVICE)
    assert all(cause.behaviours <= set(ADVICE) for cause in CAUSES)
    assert all(Path("notebooks", f"{advice.chapter}.ipynb").exists() for advice in ADVICE.values())
    # Each stands behind a colon, or a dash, in a sentence.
    hints = [hint for advice in ADVICE.values() for hint in (advice.hint, *advice.by_clue.values())]
    hints += [cause.words for cause in CAUSES]
    assert [hint for hint in hints if not re.match("[a-z]", hint)] == []
    assert all(behaviour.clause and called(behaviour.name) is behaviour for behaviour in BEHAVIOURS)
    with pytest.raises(KeyError) as missing:
        called("flies")
    assert missing.value.args == ("no behaviour is called 'flies'; they are in BEHAVIOURS",)
