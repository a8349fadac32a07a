"""Behaviours of a chat server: one order for all, and what a server may have besides.

How a behaviour is written, talking.py says.
"""

from __future__ import annotations

import re
from itertools import pairwise

from labkit.conformance.behaviour import Section
from labkit.conformance.server_under_test import (
    LONGEST_NAME,
    NotOffered,
    ServerUnderTest,
    letters,
)
from labkit.conformance.talking import needs_framing, shown
from labkit.probe.failed import CheckFailed
from labkit.probe.raw_client import RawClient, unique
from labkit.wire.messages import Join, Whisper, Whispered, Who

ROUNDS, BURST = 8, 20
"""How often three clients talk at the same time, and how many lines each of them says: few enough for a
server that lets only so many wait for each client."""

HEARING = Section()


@HEARING.has(
    "all hear the same lines in the same order",
    "all in a room hear the same lines in the same order, and clients that read lose none",
    not_raw="it takes many messages at once to show, and these run together there",
)
def _(server: ServerUnderTest) -> None:
    talkers = server.join("alice", "bob", "carol")
    listeners = server.join("dave", "erin", know=talkers[0])
    needs_framing(server, talkers[0], talkers[1])
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
                f"{len(heard)} of them, and then {listener.end or 'nothing more'}; {lost[0]!r} is missing",
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


@HEARING.has("/who tells who is here", "`/who`", optional=True, not_raw=_NO_COMMANDS)
def _(server: ServerUnderTest) -> None:
    alice, bob, _carol = server.join("alice", "bob", "carol")
    told = _asked(server, alice, bob, Who().line())
    here = [server.nickname(name) in told for name in ("alice", "bob", "carol")]
    if not any(here):
        raise NotOffered(f"`{Who().line()}` is not answered with who is here")
    if not all(here[1:]):
        raise CheckFailed("alice is told of bob and of carol", f"alice was told {told[-200:]!r}")


@HEARING.has(
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


@HEARING.has(
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
        if _tells_of_any(alice, room):
            raise NotOffered("`/join` is answered as what is no command is")
        raise CheckFailed(
            f"bob, in the lobby, does not hear {text!r}", f"bob heard {shown(bob.passed_over)}"
        )


def _tells_of_any(alice: RawClient, room: str) -> bool:
    """Whether what alice was told of her room is what she is told after a command that no server has:
    "no such command", and her own words."""
    told = _about(alice, room)
    odd, word = letters(len("join")), letters(LONGEST_NAME)
    alice.send(f"/{odd} {word}")
    alice.hears(word)
    alice.follows(0)
    return _about(alice, word).replace(odd, "join").replace(word, room) == told


def _about(client: RawClient, word: str) -> str:
    """The first line that has this word, of all that the client was told."""
    lines = client.transcript.decode(errors="replace").splitlines()
    return next((line for line in lines if word in line), "")
