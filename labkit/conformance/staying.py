"""Behaviours of a chat server: clients vanish, or stop reading, and the others go on.

How a behaviour is written, talking.py says.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from labkit.conformance.behaviour import Section
from labkit.conformance.server_under_test import NotJudged, ServerUnderTest
from labkit.probe import kernel
from labkit.probe.failed import CheckFailed
from labkit.probe.raw_client import RawClient, unique

LINE = b"x" * 999
"""A line of which only the size matters: with its LF, 1000 bytes."""

TINY = 4096
"""Bytes of the receive buffer of a client that will not read."""

NARROW = 1_500_000
"""Bytes that Linux may take for a client with so small a buffer: 0.25 MB; or this, if the server has set
SO_SNDBUF to 1 MB."""

MORE = 1024 * 1024
"""Bytes that are said beyond what the kernel takes."""

QUEUE = 2_500_000
"""Bytes that are said at least: more than 500 lines, for a server that lets so many wait."""

SHORTENED = 100
"""Times as much may be said as is heard of it."""

STAYING = Section()


def kernel_holds() -> int:
    """Bytes that a server's kernel may take for a client that does not read: tcp(7), tcp_wmem."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        most = int(Path("/proc/sys/net/ipv4/tcp_wmem").read_text().split()[2])
        return max(1, min(most, NARROW))
    return 4 * 1024 * 1024  # Linux's default


def flood(server: ServerUnderTest) -> bytes:
    """Many lines at once: few, for a server that lets only so many wait, and long, for each takes time."""
    if (server.speaks or server.framing) == "raw":
        return LINE * 32  # with no LF, which a server may take for the end of what it passes on
    return (4 * LINE + b"\n") * 32


def heard_after_all(server: ServerUnderTest, alice: RawClient, bob: RawClient) -> bool:
    """Whether bob hears what alice says now. Then a line was only lost, as a queue that is full loses what
    comes with many others: another behaviour. One who does not read holds up all that comes later, too."""
    text = unique("so-far")
    return not alice.end and alice.until_read() and alice.send(text) and server.reaches(text, alice, bob)


@STAYING.has(
    "nobody is skipped when several die",
    "all in a room hear the same lines",
)
def _(server: ServerUnderTest) -> None:
    alice, *pairs, last = server.join("alice", "dead", "other", "gone", "third", "last")
    others = [*pairs[1::2], last]
    server.quiet(alice, *pairs, last)
    for dead in reversed(pairs[::2]):
        dead.reset()
        server.settle()  # a server that notices by itself has noticed
    text = unique("who-hears-me")
    alice.send(text)
    deaf = [client for client in others if not server.reaches(text, alice, client)]
    if len(deaf) == len(others):
        raise NotJudged("nobody at all is heard after a reset")
    if deaf:
        heard = " and ".join(client.name for client in others if client not in deaf)
        raise CheckFailed(f"all three hear {text!r}", f"{heard} heard it; {deaf[0].seen()}")


@STAYING.has(
    "one who stops reading holds up nobody",
    "a client that stops reading holds up no other; one that keeps reading loses no line",
)
def _(server: ServerUnderTest) -> None:
    alice, bob = server.join("alice", "bob")
    lines = flood(server)
    # A wrong server may take what comes at once for one message. To keep it apart takes a pause each time,
    # where the kernel does not tell what was read: too many of them.
    apart = (server.speaks or server.framing) == "raw" or kernel.on_this_machine(alice.sock)
    alice.push(lines)
    server.needs(alice, bob)  # so much at once goes well while all read
    (mallory,) = server.join("mallory", know=alice, receive_buffer=TINY)
    texts: list[str] = []
    before, said, most = bob.received, 0, max(QUEUE, (server.holds or kernel_holds()) + MORE)
    while bob.received - before < most:
        # Bob has heard all before more is said: only mallory is behind.
        text = unique("so-far")
        texts.append(text)
        if apart:
            said += alice.push(lines)
            sent = alice.until_read() and alice.send(text)
        else:
            said += alice.push(lines + f"{text}\n".encode())
            sent = True
        if not (sent and server.reaches(text, alice, bob) or heard_after_all(server, alice, bob)):
            seen = (
                f"nothing more after {(bob.received - before) // 1000} kB"
                + f", and alice was thrown out ({alice.end})" * bool(alice.end)
                + f", and bob was thrown out ({bob.end}), who has read it all" * bool(bob.end)
            )
            clue = "thrown out" if bob.end else ""
            raise CheckFailed("bob hears alice while mallory does not read", seen, clue)
        if said > SHORTENED * (bob.received - before):
            raise NotJudged("so little of what alice says arrives that nobody's buffer fills")
        alice.forget()
    if server.framing == "lines":
        _in_order(mallory, texts)


def _in_order(mallory: RawClient, texts: list[str]) -> None:
    """She reads at last, and hears in order what was kept for her; or she was let go.

    Raises:
        CheckFailed: what was said later came earlier.
    """
    mallory.widen()
    awaited = texts.copy()  # what may still come
    latest = -1
    while awaited:
        try:
            line = mallory.line()
        except (TimeoutError, EOFError):
            return
        found = re.search(r"so-far-\d+", line)
        if found and found[0] in awaited:
            awaited.remove(found[0])
            place = texts.index(found[0])
            if place < latest:
                expected = "mallory, once she reads, hears in order what alice has said meanwhile"
                raise CheckFailed(expected, f"{found[0]!r} came after {texts[latest]!r}", "order")
            latest = place
