"""Behaviours of a chat server: what is said, who hears it, and in which form and order.

One fault should show as one ✗. So a behaviour that rests on another first asks whether that one holds. And
after a line that a client must not hear, it sends one that the client must hear: then it need not wait.
"""

from __future__ import annotations

import re
from itertools import pairwise

from labkit.conformance.behaviour import Section
from labkit.conformance.server_under_test import (
    LONGEST_NAME,
    NotJudged,
    NotOffered,
    ServerUnderTest,
    letters,
)
from labkit.probe.deadline import SLICE
from labkit.probe.failed import CheckFailed
from labkit.probe.raw_client import REQUEST, RawClient, unique
from labkit.wire.framing import MAX_LINE
from labkit.wire.messages import Join, Whisper, Whispered, Who

ROUNDS, BURST = 8, 20
"""How often three clients talk at the same time, and how many lines each of them says: few enough for a
server that lets only so many wait for each client."""

A_RECV = 600
"""Letters of a message that every server takes in one recv: most ask for 1024."""

TALKING = Section()


# --- what is said, and who hears it ---


@TALKING.has(
    "asks for a nickname at connect", "`nickname` is the first thing that goes to a client, by itself"
)
def _(server: ServerUnderTest) -> None:
    request = server.request
    if not request:
        raise NotJudged("the client speaks first here")
    newcomer = server.newcomer("newcomer")
    before = newcomer.passed_over
    after = newcomer.follows(server.timeout if server.framing == "lines" else 2 * SLICE)
    seen = repr((before + request.encode() + after).decode(errors="replace"))
    if server.framing == "raw":
        if before or after:
            raise CheckFailed(f"{request!r} and nothing else, for a recv is a message", seen)
    elif request != REQUEST:  # some words of its own
        return
    elif not after.startswith((b"\n", b"\r")) or not (before == b"" or before.endswith(b"\n")):
        raise CheckFailed(f"a line {request + chr(10)!r}", seen)


@TALKING.has("what one says, all others hear", "TEXT after the nickname is something said, in this room")
def _(server: ServerUnderTest) -> None:
    clients = server.join("alice", "bob", "carol")
    for speaker in clients:
        text, end = unique("hello"), unique("hello")
        speaker.send(text)
        speaker.send(end)
        for listener in clients:
            if listener is speaker:
                continue
            if not server.reaches(text, speaker, listener):
                raise CheckFailed(f"{listener.name} hears {text!r} from {speaker.name}", listener.seen())
            if server.reaches(end, speaker, listener) and text.encode() in listener.passed_over:
                raise CheckFailed(
                    f"{listener.name} hears {text!r} from {speaker.name} once",
                    f"it came twice: {shown(text.encode() + listener.passed_over)}",
                    "twice",
                )


@TALKING.has(
    "the name stands before what was said", "`alice: TEXT` goes to the others when alice said TEXT"
)
def _(server: ServerUnderTest) -> None:
    alice, bob = server.join("alice", "bob")
    text = unique("hello")
    alice.send(text)
    if not server.reaches(text, alice, bob):
        raise CheckFailed(f"bob hears {text!r}", bob.seen())
    name = server.nickname("alice") + ": "
    before = bob.passed_over.rpartition(b"\n")[2]
    whole = before == name.encode() if server.framing == "lines" else before.endswith(name.encode())
    if not whole:
        raise CheckFailed(repr(name + text), repr((before[-60:] + text.encode()).decode(errors="replace")))


@TALKING.has("the sender does not hear itself", "a client does not hear its own lines")
def _(server: ServerUnderTest) -> None:
    alice, bob = server.join("alice", "bob")
    text = unique("echo")
    alice.send(text)
    if not server.reaches(text, alice, bob):
        raise CheckFailed(f"bob hears {text!r}", bob.seen())
    server.settle()
    # Twice: a late echo comes before the second.
    heard = b""
    for _ in range(2):
        server.hears_from(bob, alice, "answer")
        heard += alice.passed_over
    if text.encode() in heard:
        raise CheckFailed("alice hears bob's answer, and nothing of her own", f"alice heard {shown(heard)}")


# --- a line is a message, and any bytes may come ---


def shown(heard: bytes) -> str:
    """The end of what was heard, as it is read."""
    text = heard.decode(errors="replace")
    return ("…" if len(text) > 60 else "") + repr(text[-60:])


def _heard_of(server: ServerUnderTest, alice: RawClient, bob: RawClient) -> str:
    """What bob heard of all that alice has said so far."""
    end = unique("end")
    alice.send(end)
    if not server.reaches(end, alice, bob):
        seen, clue = (f"alice was thrown out ({alice.end}); ", "thrown out") if alice.end else ("", "")
        raise CheckFailed(f"bob hears {end!r} from alice, after all else", seen + bob.seen(), clue)
    return bob.passed_over.decode(errors="replace")


def _cut(server: ServerUnderTest, alice: RawClient, bob: RawClient) -> tuple[str, str]:
    """A line that is sent in two pieces: the line, and what bob heard."""
    first, second = unique("first"), unique("second")
    alice.send_bytes(first.encode())
    alice.send(second)
    return first + second, _heard_of(server, alice, bob)


def _together(server: ServerUnderTest, alice: RawClient, bob: RawClient) -> tuple[str, str, str]:
    """Two lines that are sent at once, and what bob heard."""
    one, two = unique("one"), unique("two")
    alice.send(one, two)
    return one, two, _heard_of(server, alice, bob)


def _needs_framing(server: ServerUnderTest, alice: RawClient, bob: RawClient) -> None:
    line, heard = _cut(server, alice, bob)
    one, two, both = _together(server, alice, bob)
    if line not in heard or _form(both, one) is None or _form(both, one) != _form(both, two):
        raise NotJudged(
            "what one says is not kept apart here (see: a line is a message), and this rests on it"
        )


@TALKING.has(
    "a line is a message, however TCP cuts it",
    "lines end with LF; a send may bring several, a line may take several sends, an empty one is nothing",
    not_raw="a recv is a message there: two in one packet cannot be told from a longer one",
)
def _(server: ServerUnderTest) -> None:
    alice, bob = server.join("alice", "bob")
    name = server.nickname("alice")
    one, two, heard = _together(server, alice, bob)
    if _form(heard, one) is None or _form(heard, one) != _form(heard, two):
        raise CheckFailed(
            f"two lines sent at once heard as two: '{name}: {one}', '{name}: {two}'", repr(heard[:80])
        )
    line, heard = _cut(server, alice, bob)
    if line not in heard:
        raise CheckFailed(f"a line sent in two pieces heard as one: '{name}: {line}'", repr(heard[:80]))
    form = server.form_of(alice, bob)
    alice.send("")
    heard = _heard_of(server, alice, bob)
    # First comes the end of the line before, and last the start of what she said next.
    whole = heard[heard.find("\n") + 1 : heard.rfind("\n") + 1]
    if server.said_by(form, whole, ""):
        raise CheckFailed("no client hears of an empty line", f"bob heard {heard[:80]!r}", "empty")


def _form(heard: str, text: str) -> tuple[str, str] | None:
    """What stands before and behind this text in the line that has it; None: no line does."""
    for line in heard.splitlines():
        before, found, after = line.partition(text)
        if found:
            return before, after
    return None


@TALKING.has(
    "what one says arrives whole",
    f"a line has up to {MAX_LINE} bytes, nickname and LF among them; in raw, what one recv takes",
)
def _(server: ServerUnderTest) -> None:
    alice, bob = server.join("alice", "bob")
    size = MAX_LINE // 2 if server.framing == "lines" else A_RECV
    text = unique("whole") + "".join(f".{n}" for n in range(size))[:size]
    alice.send(text)
    heard = _heard_of(server, alice, bob)
    if text not in heard.replace("\r", "").replace("\n" * (server.framing == "raw"), ""):
        came = _longest_part(text, heard)
        seen = f"of {len(text)} letters, {came} came in one piece" if came else f"bob heard {heard[:60]!r}"
        raise CheckFailed(f"bob hears all {len(text)} letters of what alice said", seen)


def _longest_part(text: str, heard: str) -> int:
    """So many letters of the text came one after the other, from the first on."""
    few, many = 0, len(text)
    while few < many:
        middle = (few + many + 1) // 2
        few, many = (middle, many) if text[:middle] in heard else (few, middle - 1)
    return few


@TALKING.has(
    "a CR before the LF is dropped",
    "lines end with LF, and a CR before it belongs to the line's end",
    not_raw="it has no line ends",
)
def _(server: ServerUnderTest) -> None:
    alice, bob = server.join("alice", "bob")
    _needs_framing(server, alice, bob)
    ends = []
    for end in ("", "\r"):
        text = unique("hello")
        alice.send(text + end)
        heard = _heard_of(server, alice, bob)
        ends.append(repr(heard.partition(text)[2].partition("\n")[0] + "\n"))
    # A server may end its own lines with CR LF; but then all of them.
    if ends[0] != ends[1]:
        raise CheckFailed(f"{text!r} and after it {ends[0]}, as after any line", f"after it {ends[1]}")


@TALKING.has(
    "bytes that are not UTF-8 throw nobody out",
    "lines are UTF-8; a client that sends other bytes is not thrown out for it",
)
def _(server: ServerUnderTest) -> None:
    alice, bob = server.join("alice", "bob")
    alice.send(b"caf\xe9")
    server.settle()
    server.hears_from(alice, bob, "still-here")


@TALKING.has(
    "a long message in another alphabet throws nobody out",
    "lines are UTF-8: a `recv` may cut a letter in two, and that is no error",
)
def _(server: ServerUnderTest) -> None:
    alice, bob = server.join("alice", "bob")
    # Two bytes a letter, and one byte before them: some recv cuts a letter.
    text = "x" + "\u0436" * 1500
    alice.send(text)
    server.settle()
    server.hears_from(alice, bob, "still-here")
    heard = bob.passed_over.decode(errors="replace")
    if "x\u0436\u0436\u0436" not in heard:
        raise CheckFailed("bob hears the long message", f"bob heard {shown(bob.passed_over)} instead")
    if server.framing == "lines" and text not in heard:
        came = heard.count("\u0436")
        raise CheckFailed(f"bob hears all {len(text)} letters of it", f"{came + 1} of them, or in pieces")


_DISTURBING = {
    "ESC": "\x1b[2J",
    "BEL": "\x07",
    "NUL": "\x00",
    "CR": "\r",
    "U+202E (right-to-left override)": "\u202e",
}


@TALKING.has(
    "control characters of one do not reach another",
    "only the server begins a line with `*` or `!`: nothing that one says may move another's cursor",
    not_raw="the assignment passes on the bytes as they came",
)
def _(server: ServerUnderTest) -> None:
    alice, bob = server.join("alice", "bob")
    alice.send("a" + "b".join(_DISTURBING.values()) + "* bob left")
    heard = _heard_of(server, alice, bob).replace("\r\n", "\n")
    passed = [name for name, sign in _DISTURBING.items() if sign[0] in heard]
    if passed:
        raise CheckFailed("none of " + ", ".join(_DISTURBING), ", ".join(passed) + f" in {heard[:60]!r}")


@TALKING.has(
    "an over-long line is refused, and nobody thrown out",
    f"lines have at most {MAX_LINE} bytes; `! …` says that your last line was refused",
    not_raw="a message is as long as the server's recv takes",
)
def _(server: ServerUnderTest) -> None:
    alice, bob = server.join("alice", "bob")
    _needs_framing(server, alice, bob)
    alice.forget()
    text = unique("long")
    alice.send(text + "y" * MAX_LINE)
    server.settle()
    heard = _heard_of(server, alice, bob)
    if text in heard or "yyyy" in heard:
        raise CheckFailed(
            f"a line of {MAX_LINE + len(text) + 1} bytes reaches no one", f"bob heard {heard[:60]!r}"
        )
    if not alice.hears("!"):
        raise CheckFailed("`! …` for alice", alice.seen(), "silent")


# --- one order for all ---


@TALKING.has(
    "all hear the same lines in the same order",
    "all in a room hear the same lines in the same order, and clients that read lose none",
    not_raw="it takes many messages at once to show, and these run together there",
)
def _(server: ServerUnderTest) -> None:
    talkers = server.join("alice", "bob", "carol")
    listeners = server.join("dave", "erin", know=talkers[0])
    _needs_framing(server, talkers[0], talkers[1])
    for turn in range(ROUNDS):
        said = [[unique(talker.name) for _ in range(BURST)] for talker in talkers]
        for talker, lines in zip(talkers, said, strict=True):
            talker.push("".join(line + "\n" for line in lines).encode())
        orders = [_order(listener, said) for listener in listeners]
        for talker in talkers:
            talker.forget()
        if orders[0] != orders[1]:
            one, other = next(pair for pair in zip(*orders, strict=True) if pair[0] != pair[1])
            raise CheckFailed(
                "dave and erin hear three clients in the same order",
                f"in round {turn + 1} dave heard {one!r} where erin heard {other!r}",
            )


def _order(listener: RawClient, said: list[list[str]]) -> list[str]:
    """The lines in the order in which the listener hears them, all of them."""
    wanted = {line for lines in said for line in lines}
    heard: dict[str, None] = {}  # in order; what comes twice is another behaviour's matter
    while len(heard) < len(wanted):
        try:
            line = listener.line()
        except (TimeoutError, EOFError):
            lost = [line for lines in said for line in lines if line not in heard]
            raise CheckFailed(
                f"{listener.name} hears all that three clients say at once, {len(wanted)} lines",
                f"{len(heard)} of them; {lost[0]!r} is missing, and {listener.seen()}",
                "lost",
            ) from None
        if (found := re.search(r"[a-z]+-\d+", line)) and found[0] in wanted:
            heard.setdefault(found[0])
    order = {line: place for place, line in enumerate(heard)}
    for lines in said:
        for earlier, later in pairwise(lines):
            if order[earlier] > order[later]:
                raise CheckFailed(
                    f"{listener.name} hears {earlier!r} before {later!r}, as it was said",
                    "the other way round",
                )
    return [*heard]


# --- what a server may have besides ---

_NO_COMMANDS = "the assignment has no commands"


def _asked(server: ServerUnderTest, alice: RawClient, bob: RawClient, command: str) -> str:
    """What alice is answered when she asks for this.

    Raises:
        NotOffered: the others hear it as something said, or nothing happens.
    """
    for one in (alice, bob):
        one.forget()
    alice.send(command)
    text = unique("well")
    alice.send(text)
    if not server.reaches(text, alice, bob):
        raise NotOffered(f"after `{command}` nothing more is heard of its sender")
    if command.encode() in bob.passed_over:
        raise NotOffered(f"`{command}` is heard by the others")
    server.needs(bob, alice, "and")
    return alice.passed_over.decode(errors="replace").rpartition("\n")[0]  # the rest is bob's


@TALKING.has("/who tells who is here", "`/who`", optional=True, not_raw=_NO_COMMANDS)
def _(server: ServerUnderTest) -> None:
    alice, bob, _carol = server.join("alice", "bob", "carol")
    told = _asked(server, alice, bob, Who().line())
    here = [server.nickname(name) in told for name in ("alice", "bob", "carol")]
    if not any(here):
        raise NotOffered(f"`{Who().line()}` is not answered with who is here")
    if not all(here[1:]):
        raise CheckFailed("alice is told of bob and of carol", f"alice was told {told[-200:]!r}")


@TALKING.has(
    "a private message reaches one alone",
    "`alice -> you: TEXT` is for one alone (`/msg you TEXT`)",
    optional=True,
    not_raw=_NO_COMMANDS,
)
def _(server: ServerUnderTest) -> None:
    alice, bob, carol = server.join("alice", "bob", "carol")
    text = unique("secret")
    _asked(server, alice, carol, Whisper(server.nickname("bob"), text).line())
    if text.encode() in carol.transcript:
        raise CheckFailed("carol hears nothing of it", f"carol heard {shown(bytes(carol.transcript))}")
    wanted = Whispered(server.nickname("alice"), text).line()
    server.needs(carol, bob, "aloud")
    if text.encode() not in bob.transcript:
        raise NotOffered("nobody hears it")
    if wanted.encode() not in bob.transcript:
        raise CheckFailed(f"bob hears {wanted!r}", f"bob heard {shown(bob.passed_over)}")


@TALKING.has(
    "who is in another room does not hear",
    "`/join ROOM`: what is said is for those in the same room",
    optional=True,
    not_raw=_NO_COMMANDS,
)
def _(server: ServerUnderTest) -> None:
    alice, bob, carol, dave = server.join("alice", "bob", "carol", "dave")
    room = letters(LONGEST_NAME)
    for person in (alice, carol):
        person.send(Join(room).line())
        person.until_read()
    for _ in range(2):  # a server may have read `/join`, and be about to do it
        text = unique("here")
        alice.send(text)
        if server.reaches(text, alice, carol):
            break
    else:
        raise CheckFailed(f"carol, in the same room, hears {text!r}", carol.seen())
    server.settle()  # bob may be the last to whom it goes
    server.needs(dave, bob, "aloud")
    server.needs(carol, alice, "answer")
    if Join(room).line().encode() in bob.transcript or room.encode() not in alice.transcript:
        raise NotOffered("nobody goes anywhere")
    if text.encode() in bob.transcript:
        raise CheckFailed(
            f"bob, in the lobby, does not hear {text!r}", f"bob heard {shown(bob.passed_over)}"
        )
