"""What a ✗ means to the one whose server it is: how bad it is, where to look, which chapter is about it,
and which of them have one cause.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum


class Harm(IntEnum):
    """What a fault does, the worst first."""

    STALLS = 1  # the room falls silent
    LOCKS_OUT = 2  # nobody can join any more
    WRONG_PERSON = 3  # it hits, or is heard by, somebody whom it does not concern
    LOSES = 4  # what was said does not arrive as it was said
    FORM = 5  # all goes on, in another form


@dataclass(frozen=True)
class Advice:
    """About one behaviour."""

    harm: Harm
    hint: str
    chapter: str  # the notebook, without its ending
    by_clue: Mapping[str, str] = field(default_factory=dict)  # other hints, by the clue of a CheckFailed

    def hint_for(self, clue: str) -> str:
        return self.by_clue.get(clue, self.hint)


@dataclass(frozen=True)
class Cause:
    """One fault of a server, and the behaviours that are missing for it."""

    words: str
    behaviours: frozenset[str]
    sign: str = ""  # that without which it is another cause


_BYTES, _THREADS, _NAMES, _ROOM = (
    "01_bytes_on_a_wire",
    "02_a_thread_each",
    "03_who_are_you",
    "04_who_hears_what",
)
_GOODBYES, _RACES, _SLOW = "05_goodbyes", "06_races", "07_slow_readers"

ADVICE: dict[str, Advice] = {
    "asks for a nickname at connect": Advice(
        Harm.FORM,
        "the first thing that each client is sent is the request, alone; in lines, LF ends it",
        _NAMES,
    ),
    "what one says, all others hear": Advice(
        Harm.STALLS,
        "look at the loop that sends to all: over whom does it go, and when is one put in?",
        _ROOM,
        {"twice": "how often is one put into the list, and how often does the loop that sends to all run?"},
    ),
    "the name stands before what was said": Advice(
        Harm.FORM, "put the sender's nickname, a colon and a space before the text", _ROOM
    ),
    "the sender does not hear itself": Advice(
        Harm.WRONG_PERSON, "the loop that sends to all passes over the one who said it", _ROOM
    ),
    "a line is a message, however TCP cuts it": Advice(
        Harm.LOSES,
        "what one recv brings is not one message: keep what follows the last LF, and put it before what "
        "the next recv brings",
        _BYTES,
        {"empty": "a line with nothing in it is no message: pass it over, before it goes to the others"},
    ),
    "what one says arrives whole": Advice(
        Harm.LOSES,
        "look for what cuts a text: a slice, a fixed size, `send` where it takes `sendall`",
        _BYTES,
    ),
    "a CR before the LF is dropped": Advice(
        Harm.FORM, "a line from Windows ends with CR LF: both belong to its end", _BYTES
    ),
    "bytes that are not UTF-8 throw nobody out": Advice(
        Harm.WRONG_PERSON, "decoding raises for bytes that are no text: let it replace them", _BYTES
    ),
    "a long message in another alphabet throws nobody out": Advice(
        Harm.LOSES,
        "a recv may end in the middle of a letter: find the line's end first, then decode",
        _BYTES,
    ),
    "control characters of one do not reach another": Advice(
        Harm.WRONG_PERSON, "replace what cannot be printed before it is passed on", _ROOM
    ),
    "an over-long line is refused, and nobody thrown out": Advice(
        Harm.FORM,
        "count what has come without LF: past the longest line, forget it up to the next LF",
        _BYTES,
        {
            "thrown out": "past the longest line, forget what comes up to the next LF, and go on: do not "
            "return, and do not close",
            "silent": "where too long a line is dropped, say so with `! …` to the one who sent it",
        },
    ),
    "all hear the same lines in the same order": Advice(
        Harm.LOSES,
        "one lock around handing a line to all of them decides the order for all",
        _RACES,
        {
            "lost": "where is a line dropped: at a queue that is full, an error that is passed over, a "
            "send that takes only a part?"
        },
    ),
    "/who tells who is here": Advice(Harm.FORM, "answer with all who have a nickname", _ROOM),
    "a private message reaches one alone": Advice(
        Harm.WRONG_PERSON, "find the one it is for by its nickname, and send to that one alone", _ROOM
    ),
    "who is in another room does not hear": Advice(
        Harm.WRONG_PERSON, "the loop that sends to all goes over those in the sender's room", _ROOM
    ),
    "a nickname that is taken is refused": Advice(
        Harm.WRONG_PERSON,
        "before a nickname is given, look whether a client here has it, under the lock",
        _NAMES,
    ),
    "an empty nickname is refused": Advice(
        Harm.WRONG_PERSON, "strip the answer, and ask again if nothing is left", _NAMES
    ),
    "one without a nickname does not hear the room": Advice(
        Harm.WRONG_PERSON, "put a client among the members once it has a nickname, and not before", _NAMES
    ),
    "a refused nickname is asked for again": Advice(
        Harm.FORM, "after a refusal send the request once more, and take the next answer", _NAMES
    ),
    "a joining is told to the others, once": Advice(
        Harm.FORM,
        "once it has its nickname, tell those who are here, before the newcomer is put among them",
        _NAMES,
        {
            "twice": "a joining is told in two places, or to one who is in the list twice: leave one",
            "herself": "tell those who are here before the newcomer is put among them, and not it",
        },
    ),
    "a silent newcomer keeps nobody out": Advice(
        Harm.LOCKS_OUT,
        "in the loop that accepts, wait for no client: ask for its nickname in its thread",
        _THREADS,
    ),
    "nobody is skipped when several die": Advice(
        Harm.WRONG_PERSON,
        "a loop that removes from the list it walks skips the next: walk a copy; and a place in a list is "
        "another's once one before it is gone",
        _RACES,
    ),
    "one who stops reading holds up nobody": Advice(
        Harm.STALLS,
        "a send waits for one who does not read: a queue and a sending thread for each client",
        _SLOW,
    ),
    "a goodbye is noticed": Advice(
        Harm.FORM, "recv returns nothing after FIN: end the loop then, and close the socket", _GOODBYES
    ),
    "a leaving is told to the others, once, and with its reason": Advice(
        Harm.FORM,
        "tell it in one place, after the loop that reads: all ways out of it lead there",
        _GOODBYES,
        {
            "twice": "a leaving is told in two places: tell it in one place, after the loop that reads",
            "reason": "the reason is `hung up` after FIN, where recv returns nothing, and `vanished` after "
            "an error",
        },
    ),
    "a nickname is free again after its owner has left": Advice(
        Harm.WRONG_PERSON, "take the nickname off wherever it stands, when its owner leaves", _GOODBYES
    ),
    "nobody falls silent when people come and go": Advice(
        Harm.STALLS,
        "which thread holds which lock when a client leaves? And does it take itself off the list, or "
        "another, by a place that was right once?",
        _RACES,
    ),
    "after a reset all others are still heard": Advice(
        Harm.STALLS,
        "a send to one who is gone raises: catch it at that one send, inside the loop",
        _GOODBYES,
    ),
    "after a goodbye nobody else is thrown out": Advice(
        Harm.WRONG_PERSON,
        "is one who is gone still in the list? A send to it raises: catch it there; the one to remove is "
        "the one the send was for, not the one who spoke",
        _GOODBYES,
    ),
    "once one who did not read is gone, all go on": Advice(
        Harm.STALLS,
        "when its send fails at last, does that path take a lock that is held already? And does any thread "
        "wait for room in its queue, which none empties any more?",
        _RACES,
    ),
    "a goodbye in the handshake keeps nobody out": Advice(
        Harm.LOCKS_OUT,
        "recv may return nothing instead of a nickname: that ends this client's thread alone, and closes "
        "its socket, not the listener",
        _THREADS,
    ),
    "a reset in the handshake keeps nobody out": Advice(
        Harm.LOCKS_OUT,
        "recv may raise instead of a nickname: that ends this client's thread alone, and closes its "
        "socket, not the listener",
        _THREADS,
    ),
    "a nickname that is not UTF-8 keeps nobody out": Advice(
        Harm.LOCKS_OUT, "decoding a nickname may raise: let it replace, in the client's own thread", _NAMES
    ),
}
"""By the name of the behaviour."""

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
        "a client that leaves stops the room: it takes a lock twice, or keeps it",
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
        "one `send` for all, with no end: while one does not read, whoever sends to it waits",
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
    ),
)
"""Where several behaviours are missing for one fault. The first that fits has them."""


def causes_of(
    missed: Collection[str], advice: Mapping[str, Advice] = ADVICE, causes: Sequence[Cause] = CAUSES
) -> list[tuple[Cause | None, list[str]]]:
    """The missing behaviours, those of one cause together, the worst first. None: one by itself.

    Args:
        missed: their names.
        advice, causes: what they mean.
    """
    left = list(missed)
    found: list[tuple[Cause | None, list[str]]] = []
    for cause in causes:
        these = [name for name in left if name in cause.behaviours]
        if len(these) > 1 and (not cause.sign or cause.sign in these):
            found.append((cause, these))
            left = [name for name in left if name not in these]
    found += [(None, [name]) for name in left]
    harm = {name: advice[name].harm for name in missed if name in advice}
    return sorted(found, key=lambda one: min(harm.get(name, Harm.FORM) for name in one[1]))
