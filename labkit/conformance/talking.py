"""Behaviours of a chat server: what is said, who hears it, and in which form.

One fault should show as one ✗. So a behaviour that rests on another first asks whether that one holds. And
after a line that a client must not hear, it sends one that the client must hear: then it need not wait.
"""

from __future__ import annotations

from labkit.conformance.behaviour import Section
from labkit.conformance.server_under_test import (
    LONGEST_NAME,
    CannotJoin,
    NotJudged,
    ServerUnderTest,
    letters,
    told_something,
)
from labkit.probe.deadline import SLICE
from labkit.probe.failed import CheckFailed
from labkit.probe.raw_client import REQUEST, RawClient, unique
from labkit.wire.framing import MAX_LINE

MANY = 10
"""Clients that are here at the same time: more than the threads of a small pool, or the places of a short
array."""

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
    _many(server, *clients)


def _many(server: ServerUnderTest, alice: RawClient, *others: RawClient) -> None:
    """As many as come get in, and all of them hear what one says.

    Raises:
        CheckFailed: one waits, or does not hear. One that is told why, and let go, is right.
    """
    here = [alice, *others]
    while len(here) < MANY:
        name = letters(LONGEST_NAME)
        try:
            here += server.join(name, know=alice)
        except CannotJoin as failed:
            late = server.latest()
            was_asked = server.request and server.request.encode() in late.transcript
            if late.ended() and not was_asked and told_something(late, 0):
                return
            expected = f"{MANY} clients can be here at the same time"
            raise CheckFailed(expected, f"with {len(here)} here, the next: {failed.seen}", "room") from None
    text = unique("all-of-you")
    alice.send(text)
    for listener in here[1:]:
        if not server.reaches(text, alice, listener):
            place = here.index(listener) + 1
            expected = f"all {MANY} who are here hear {text!r} from alice"
            raise CheckFailed(expected, f"number {place} of them heard nothing of it", "room")


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


def _woven(server: ServerUnderTest, alice: RawClient, bob: RawClient) -> None:
    """Between the pieces of a line that alice sends, bob says something.

    Raises:
        CheckFailed: the pieces of the two are mixed up.
    """
    first, second, between = unique("first"), unique("second"), unique("between")
    alice.send_bytes(first.encode())
    alice.until_read()
    bob.send(between)
    reached = server.reaches(between, bob, alice)
    told = alice.passed_over.decode(errors="replace") + between if reached else alice.seen()
    if not reached or first in told:
        raise CheckFailed(
            f"alice hears {between!r} from bob, while half a line of hers is on its way",
            f"alice heard {told[-80:]!r}" if reached else told,
            "shared",
        )
    alice.send(second)
    heard = _heard_of(server, alice, bob)
    if first + second not in heard:
        raise CheckFailed(
            f"a line sent in two pieces heard as one, {first + second!r}, though bob spoke in between",
            f"bob heard {heard[:80]!r}",
            "shared",
        )


def _together(server: ServerUnderTest, alice: RawClient, bob: RawClient) -> tuple[str, str, str]:
    """Two lines that are sent at once, and what bob heard."""
    one, two = unique("one"), unique("two")
    alice.send(one, two)
    return one, two, _heard_of(server, alice, bob)


def needs_framing(server: ServerUnderTest, alice: RawClient, bob: RawClient) -> None:
    """Raises:
    NotJudged: what alice says is not kept apart, and a behaviour rests on it.
    """
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
    _woven(server, alice, bob)
    form = server.form_of(alice, bob)
    alice.send("")
    try:
        heard = _heard_of(server, alice, bob)
    except CheckFailed as failed:
        clue = "ended" if alice.end else failed.clue
        raise CheckFailed(f"{failed.expected}: an empty line", failed.seen, clue) from None
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
    _odd_signs(server, alice, bob)
    size = MAX_LINE // 2 if server.framing == "lines" else A_RECV
    text = unique("whole") + "".join(f".{n}" for n in range(size))[:size]
    alice.send(text)
    heard = _heard_of(server, alice, bob)
    if text not in heard.replace("\r", "").replace("\n" * (server.framing == "raw"), ""):
        came = _longest_part(text, heard)
        seen = f"of {len(text)} letters, {came} came in one piece" if came else f"bob heard {heard[:60]!r}"
        raise CheckFailed(f"bob hears all {len(text)} letters of what alice said", seen)


def _odd_signs(server: ServerUnderTest, alice: RawClient, bob: RawClient) -> None:
    """What some functions eat: one of two spaces, and signs that mean something in a format.

    Raises:
        CheckFailed: bob hears something else.
    """
    for inner, clue in (("  two  spaces", "spaces"), (": 100%s %d {0} 'a' \"b\" \\n <c>", "signs")):
        first, last = unique("signs"), unique("signs")
        # Not at the line's ends: most take them off there with its end, and nobody misses them.
        text = first + inner + last
        alice.send(text)
        try:
            heard = _heard_of(server, alice, bob)
        except CheckFailed as failed:
            raise CheckFailed(f"bob hears {text!r}", failed.seen, clue) from None
        if text not in heard:
            at = max(0, heard.find(first) - 20)
            raise CheckFailed(f"bob hears {text!r}", f"bob heard {heard[at : at + 80]!r}", clue)


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
    needs_framing(server, alice, bob)
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
    # Two bytes a letter, and one byte before them: some recv cuts a letter. One that takes more gets it in
    # two pieces; in raw these would be two messages.
    text = "x" + "\u0436" * 1500
    if server.framing == "lines":
        alice.send_bytes(text.encode()[:1500])
        alice.send(text.encode()[1500:])
    else:
        alice.send(text)
    server.settle()
    server.hears_from(alice, bob, "still-here")
    heard = bob.passed_over.decode(errors="replace")
    if "x\u0436\u0436\u0436" not in heard:
        # Letters that an encoding does not have become one and the same.
        often = max((heard.count(letter) for letter in {*heard}), default=0)
        raise CheckFailed(
            "bob hears the long message",
            f"bob heard {shown(bob.passed_over)} instead",
            "alphabet" if often > 500 else "",
        )
    if server.framing == "lines" and text not in heard:
        came = heard.count("\u0436")
        raise CheckFailed(
            f"bob hears all {len(text)} letters of it",
            "in pieces" if came + 1 == len(text) else f"{came + 1} of them",
            "cut" if text[: came + 1] in heard else "",
        )


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
    needs_framing(server, alice, bob)
    alice.forget()
    since = len(alice.transcript)
    text = unique("long")
    alice.send(text + "y" * MAX_LINE)
    server.settle()
    heard = _heard_of(server, alice, bob)
    if text in heard or "yyyy" in heard:
        raise CheckFailed(
            f"a line of {MAX_LINE + len(text) + 1} bytes reaches no one", f"bob heard {heard[:60]!r}"
        )
    deadline = server.deadline()
    while not told_something(alice, since):
        if alice.end or deadline.passed():
            raise CheckFailed("`! …` for alice, or whatever words", alice.seen(), "silent")
        alice.ended(2 * SLICE)  # takes what has come
