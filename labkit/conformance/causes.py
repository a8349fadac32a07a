"""Which behaviours are missing for one fault: these are told as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labkit.conformance.advice import ADVICE, Advice, Harm


@dataclass(frozen=True)
class Cause:
    """One fault of a server, and the behaviours that are missing for it."""

    words: str
    behaviours: frozenset[str]
    sign: str = ""  # that without which it is another cause …
    clue: str = ""  # … and the clue with which that was missed
    dies: bool = False  # it may end the program
    without: tuple[str, ...] = ()  # clues of the sign with which it is another cause


CAUSES = (
    Cause(
        "a loop that removes from the list it walks skips the next, or takes another off",
        frozenset(
            {
                "nobody is skipped when several die",
                "after a reset all others are still heard",
                "after a goodbye nobody else is thrown out",
            }
        ),
        "nobody is skipped when several die",
    ),
    Cause(
        "after a goodbye recv returns nothing, and the server goes on and sends that to the others",
        frozenset(
            {
                "a goodbye is noticed",
                "nobody falls silent when people come and go",
                "after a goodbye nobody else is thrown out",
                "a goodbye in the handshake keeps nobody out",
            }
        ),
        "a goodbye is noticed",
        "speaks on",
    ),
    Cause(
        "a client that leaves stops the room: its thread takes a lock that it has, or never gives it back",
        frozenset(
            {
                "a goodbye is noticed",
                "nobody falls silent when people come and go",
                "after a reset all others are still heard",
                "after a goodbye nobody else is thrown out",
                "once one who did not read is gone, all go on",
            }
        ),
        "nobody falls silent when people come and go",
    ),
    Cause(
        "whoever sends to one that does not read waits: in `send`, or for room in its queue",
        frozenset(
            {
                "one who stops reading holds up nobody",
                "after a reset all others are still heard",
                "after a goodbye nobody else is thrown out",
                "once one who did not read is gone, all go on",
            }
        ),
        "one who stops reading holds up nobody",
    ),
    Cause(
        "the loop that accepts talks to the newcomer itself, and waits or dies with it",
        frozenset(
            {
                "a silent newcomer keeps nobody out",
                "a goodbye in the handshake keeps nobody out",
                "a reset in the handshake keeps nobody out",
                "a nickname that is not UTF-8 keeps nobody out",
            }
        ),
        dies=True,
    ),
    Cause(
        "any answer is taken for a nickname: nothing looks at it",
        frozenset({"a nickname that is taken is refused", "an empty nickname is refused"}),
    ),
    Cause(
        "what one recv brings is taken for a message",
        frozenset(
            {
                "a line is a message, however TCP cuts it",
                "what one says arrives whole",
                "a CR before the LF is dropped",
                "a long message in another alphabet throws nobody out",
                "an over-long line is refused, and nobody thrown out",
                "all hear the same lines in the same order",
            }
        ),
        "a line is a message, however TCP cuts it",
        without=("empty", "ended", "shared"),
    ),
    Cause(
        "what is long ends the connection of the one who said it",
        frozenset(
            {
                "what one says arrives whole",
                "a long message in another alphabet throws nobody out",
                "an over-long line is refused, and nobody thrown out",
            }
        ),
        "what one says arrives whole",
        "thrown out",
    ),
    Cause(
        "what is long is cut",
        frozenset(
            {
                "what one says arrives whole",
                "a long message in another alphabet throws nobody out",
                "an over-long line is refused, and nobody thrown out",
            }
        ),
        "what one says arrives whole",
    ),
    Cause(
        "decoding raises for bytes that are not UTF-8, and ends the thread that does it",
        frozenset(
            {
                "bytes that are not UTF-8 throw nobody out",
                "a long message in another alphabet throws nobody out",
                "a nickname that is not UTF-8 keeps nobody out",
            }
        ),
        dies=True,
    ),
)
"""Where several behaviours are missing for one fault. The first that fits has them."""


def causes_of(
    missed: Mapping[str, str], advice: Mapping[str, Advice] = ADVICE, causes: Sequence[Cause] = CAUSES
) -> list[tuple[Cause | None, list[str]]]:
    """The missing behaviours, those of one cause together, the worst first. None: one by itself.

    Args:
        missed: by their names, the clue to each; mostly "".
        advice, causes: what they mean.
    """
    left = list(missed)
    found: list[tuple[Cause | None, list[str]]] = []
    for cause in causes:
        these = [name for name in left if name in cause.behaviours]
        clue = missed.get(cause.sign, "")
        shown = cause.sign in these and clue.startswith(cause.clue) and clue not in cause.without
        if len(these) > 1 and (not cause.sign or shown):
            found.append((cause, these))
            left = [name for name in left if name not in these]
    found += [(None, [name]) for name in left]
    harm = {name: advice[name].harm for name in missed if name in advice}
    return sorted(found, key=lambda one: min(harm.get(name, Harm.FORM) for name in one[1]))
