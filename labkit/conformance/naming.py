"""Behaviours of a chat server: nicknames, and how joining is told.

How a behaviour is written, talking.py says.
"""

from __future__ import annotations

import re

from labkit.conformance.behaviour import Section
from labkit.conformance.server_under_test import (
    LONGEST_NAME,
    CannotJoin,
    NotJudged,
    ServerUnderTest,
    asked_with,
    letters,
    told_something,
)
from labkit.probe.deadline import SLICE
from labkit.probe.failed import CheckFailed
from labkit.probe.raw_client import REQUEST, RawClient, unique
from labkit.wire.messages import Joined

NAMING = Section()

NOBODY_KEPT_OUT = (
    "a silent newcomer, a reset, bytes that are not text: none of these ends the joining of others"
)


@NAMING.has(
    "a nickname that is taken is refused",
    "a nickname belongs to one client; `! …` says that it was refused",
)
def _(server: ServerUnderTest) -> None:
    alice, bob = server.join("alice", "bob")
    name = server.nickname("alice")
    for times, clue in ((1, ""), (2, "again")):
        second = server.newcomer("second" if times == 1 else "third")
        speaks_as, heard = _speaks_as(server, alice, bob, second, name, times)
        if speaks_as is not None and speaks_as.lower() in NO_NAMES:
            raise CheckFailed(
                f"a second {name!r} is not heard before it has another nickname",
                f"bob heard {heard!r} from the {second.name}",
                "nameless",
            )
        if speaks_as in (name, ""):
            raise CheckFailed(
                f"a second {name!r} is refused while the first is here" + ", however often" * (times > 1),
                f"bob heard {heard!r} from the {second.name}" + ", who had said so twice" * (times > 1),
                clue,
            )
        if speaks_as is None:
            _goes_on(server, alice, bob)
    if speaks_as is None:
        _refused_leaves(server, alice, bob, name)


def _refused_leaves(server: ServerUnderTest, alice: RawClient, bob: RawClient, name: str) -> None:
    """One that was refused hangs up. The nickname is alice's all the same, and so is her place.

    Raises:
        CheckFailed: with the one that was refused, alice was taken off.
    """
    refused = server.newcomer("refused")
    server.answer(refused, name)
    refused.hang_up()
    refused.ended()
    server.settle()
    after = f"after another, whom {name!r} was refused, has left"
    for speaker, listener in ((bob, alice), (alice, bob)):
        try:
            server.hears_from(speaker, listener, "still-mine")
        except CheckFailed as failed:
            raise CheckFailed(f"{failed.expected} {after}", failed.seen, "taken off") from None
    late = server.newcomer("late")
    speaks_as, heard = _speaks_as(server, alice, bob, late, name)
    if speaks_as in (name, ""):
        raise CheckFailed(f"{name!r} is refused {after}", f"bob heard {heard!r} from the next", "taken off")


def _goes_on(server: ServerUnderTest, alice: RawClient, bob: RawClient) -> None:
    """Those who are here still hear each other after a refusal.

    Raises:
        CheckFailed: they do not.
    """
    try:
        server.hears_from(alice, bob, "going-on")
    except CheckFailed as failed:
        clue = "" if alice.end or bob.end else "stalls"
        expected = f"{failed.expected} after another's nickname was refused"
        raise CheckFailed(expected, failed.seen, clue) from None


NO_NAMES = ("none", "null", "(null)", "undefined", "nil")
"""What programs show where a name is missing."""


def is_from(nickname: str, names: list[str]) -> bool:
    """Whether something that was heard under these names is from this one, as far as can be told."""
    return any(not name or name.endswith(nickname) for name in names)


def _speaks_as(
    server: ServerUnderTest,
    alice: RawClient,
    bob: RawClient,
    newcomer: RawClient,
    nickname: str,
    times: int = 1,
) -> tuple[str | None, str]:
    """Under which name the newcomer is heard after it has given this nickname so many times, and what bob
    heard of it; "" if without one, and None if it is not heard under it, for that was refused.

    What it says next is such that it can be a nickname. Where the first was refused, it is one, or nothing.
    """
    form = server.form_of(alice, bob)
    bob.forget()
    server.answer(newcomer, nickname)
    for _ in range(times - 1):
        newcomer.send(nickname)
    word, texts = letters(LONGEST_NAME), (unique("hello"), unique("hello"))
    newcomer.send(word)
    heard = []
    for text in texts:
        newcomer.send(text)
        if not server.reaches(text, newcomer, bob):
            return None, ""
        heard.append(bob.passed_over.decode(errors="replace"))
    # What came between two texts is what stands before each.
    before = heard[1].lstrip("\r\n").rpartition("\n")[2]
    if form.named:
        name = form.speaker(before)
        return None if name == word else name or "", before + texts[1]
    return "" if server.said_by(form, heard[0], word) else None, texts[1]


@NAMING.has("an empty nickname is refused", "what a client says begins with its nickname")
def _(server: ServerUnderTest) -> None:
    alice, bob = server.join("alice", "bob")
    nameless = server.newcomer("nameless")
    name, heard = _speaks_as(server, alice, bob, nameless, "" if server.framing == "lines" else "\n")
    server.needs(alice, bob, "meanwhile")
    # Python shows an empty one as b'' or ''.
    if name is not None and name.removeprefix("b").strip("'\"").lower() in ("", *NO_NAMES):
        raise CheckFailed(
            "a client without a nickname is asked again, or let go", f"bob heard {heard!r} from it"
        )


@NAMING.has(
    "one without a nickname does not hear the room",
    "a client is in a room from when it has a nickname",
)
def _(server: ServerUnderTest) -> None:
    alice, bob = server.join("alice", "bob")
    stranger = server.newcomer("stranger")
    text = unique("among-us")
    alice.send(text)
    server.needs(alice, bob, "and-so-on")
    server.settle()  # what goes to the stranger may have a thread of its own
    stranger.ended(0)  # takes what has come
    if text.encode() in stranger.transcript:
        raise CheckFailed("a newcomer that has not answered hears nothing that is said", stranger.seen())


@NAMING.has(
    "a refused nickname is asked for again",
    "`nickname` goes to a client at connect, and again after a refusal",
)
def _(server: ServerUnderTest) -> None:
    if not server.request:
        raise NotJudged("nobody is asked here")
    alice, bob = server.join("alice", "bob")
    form = server.form_of(alice, bob)
    second = server.newcomer("second")
    before = second.passed_over
    words = asked_with(server.request, before, second.follows(2 * SLICE))
    second.forget()
    since = len(second.transcript)
    taken = server.nickname("alice")
    server.answer(second, taken)
    asked = _asked_again(second, server.framing == "raw", words)
    word, text = letters(LONGEST_NAME), unique("hello")
    bob.forget()
    second.send(word)
    second.send(text)
    heard = server.reaches(text, second, bob)
    # One that was refused has that word for its nickname now. It may have been let in as `alice2`.
    if heard and server.said_by(form, bob.passed_over.decode(errors="replace"), word):
        raise NotJudged("it refused no nickname")
    if not heard:
        server.needs(alice, bob, "meanwhile")
    if not asked and told_something(second, since):
        if second.end:
            raise NotJudged("it says so to the one that it refuses, and lets it go")
        # In words of its own it may ask in others the second time.
        asked = server.request != REQUEST
    if not asked:
        told = second.transcript[since:].decode(errors="replace")
        end = f", then {second.end}" if second.end else ""
        raise CheckFailed(
            f"`{server.request}`, once more", f"second heard {repr(told[-64:]) if told else 'nothing'}{end}"
        )
    if not heard:
        raise CheckFailed(f"bob hears {text!r} from the one who then said {word!r}", bob.seen())


def _asked_again(newcomer: RawClient, raw: bool, words: str) -> bool:
    """Whether the request comes once more, on its own: the words of the refusal may hold it, too.

    Args:
        words: those with which it was asked at first; it may be the request, and more.
    """
    if newcomer.request != REQUEST:  # some words, and perhaps no line
        return newcomer.hears(newcomer.request)
    deadline = newcomer.deadline()
    heard = ""
    while not deadline.passed():
        try:
            heard = newcomer.line(deadline.left)
        except (TimeoutError, EOFError):
            return newcomer.follows(0) == words.encode()  # a prompt may have no LF
        if heard in (REQUEST, words) or (raw and heard.endswith((REQUEST, words))):
            return True
    return False


@NAMING.has(
    "a joining is told to the others, once",
    f"`* …` is a notice to a client: `{Joined('alice').line()}`",
    not_raw="the assignment tells no one",
)
def _(server: ServerUnderTest) -> None:
    alice, bob = server.join("alice", "bob")
    before = len(alice.transcript)
    (carol,) = server.join("carol", know=alice)
    server.settle()
    server.needs(bob, alice)
    notice = told_once(alice, before, server.nickname("carol"), f"`{Joined('carol').line()}`")
    server.needs(bob, carol, "welcome")
    if notice in carol.transcript.decode(errors="replace").splitlines():
        raise CheckFailed(
            f"the others hear {notice!r}, and carol does not", "carol heard it, too", "herself"
        )


def told_once(listener: RawClient, since: int, nickname: str, notice: str) -> str:
    """The one line about this nickname after so many bytes, other than what its owner said.

    Raises:
        CheckFailed: there is none, or more than one.
    """
    heard = listener.transcript[since:].decode(errors="replace").splitlines()
    # A nickname alone in a line is no notice: the server left the line's end on it. And in whatever form a
    # server puts what is said, it holds a word with a number: all clients here say such words.
    about = [
        line
        for line in heard
        if nickname in line and not re.search(r"[a-z]-\d+", line) and line.strip() != nickname
    ]
    if len(about) != 1:
        raise CheckFailed(
            f"{listener.name} hears {notice}, once",
            f"{len(about)} lines about it: {about}" if about else "none",
            "twice" if about else "",
        )
    return about[0]


@NAMING.has("a silent newcomer keeps nobody out", NOBODY_KEPT_OUT)
def _(server: ServerUnderTest) -> None:
    silent = server.newcomer("silent")
    try:
        still_asked(server, "while another has not answered")
    finally:
        server.answer(silent, server.nickname("silent"))


def still_asked(server: ServerUnderTest, when: str, names: tuple[str, str] = ("next", "another")) -> None:
    """Once the server has dealt with what happened, the next newcomers are asked for a nickname all the
    same; where nobody is, they are heard.

    They answer, and there are two of them: a thread that waits in `accept` lets one in after the listener
    was closed.

    Raises:
        CheckFailed: one is not.
    """
    server.settle()
    try:
        if not server.request:
            server.join(*names)
            return
        for name in names:
            server.answer(server.newcomer(name), letters(LONGEST_NAME))
    except CannotJoin as failed:
        expected = "are asked for a nickname" if server.request else "are heard"
        raise CheckFailed(f"the next ones {expected} {when}", failed.seen) from None
