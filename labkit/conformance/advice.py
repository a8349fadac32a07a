"""What a ✗ means to the one whose server it is: how bad it is, where to look, which chapter is about it.

Which of them have one cause, causes.py says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from labkit.wire.framing import MAX_LINE


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
    harm_by_clue: Mapping[str, Harm] = field(default_factory=dict)  # where one does worse

    def hint_for(self, clue: str) -> str:
        return self.by_clue.get(clue, self.hint)

    def harm_for(self, clue: str) -> Harm:
        return self.harm_by_clue.get(clue, self.harm)


_BYTES, _THREADS, _NAMES, _ROOM = (
    "01_bytes_on_a_wire",
    "02_a_thread_each",
    "03_who_are_you",
    "04_who_hears_what",
)
_A_CUT = "look for what cuts a text: a slice, a fixed size, `send` where it takes `sendall`"
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
        {
            "twice": "how often is one put into the list, and how often does the loop over it run?",
            "thrown out": "look at what comes once the nickname was read: what ends the connection there?",
            "unread": "look at what comes once the nickname was read: does the loop come back to recv?",
            "room": "is there room for so many only: a pool of threads, an array? And does anything wait "
            "for another client's end?",
        },
    ),
    "the name stands before what was said": Advice(
        Harm.FORM, "put the sender's nickname, a colon and a space before the text", _ROOM
    ),
    "the sender does not hear itself": Advice(
        Harm.WRONG_PERSON, "the loop that sends to all passes over the one who said it", _ROOM
    ),
    "a line is a message, however TCP cuts it": Advice(
        Harm.LOSES,
        "what one recv brings is not one message: split it at every LF, keep what follows the last one, "
        "and put that before what the next recv brings",
        _BYTES,
        {
            "empty": "a line with nothing in it is no message: pass it over, before it goes to the others",
            "shared": "what has come of a line and waits for its end belongs to one client: a buffer for "
            "each",
            "ended": "a line with nothing in it, once its LF is taken off, is no end of a connection: only "
            "what recv (readline, read) returns is. Pass it over",
        },
        {"ended": Harm.WRONG_PERSON},
    ),
    "what one says arrives whole": Advice(
        Harm.LOSES,
        _A_CUT,
        _BYTES,
        {
            "spaces": "take off the line's end, and nothing else: `split` and `join` leave one space "
            "where there were two",
            "signs": "what one says is no format and no command: is it given to a function that takes `%`, "
            "`{}`, `:` or a quote in it for something else?",
        },
    ),
    "a CR before the LF is dropped": Advice(
        Harm.FORM, "a line from Windows ends with CR LF: both belong to its end", _BYTES
    ),
    "bytes that are not UTF-8 throw nobody out": Advice(
        Harm.WRONG_PERSON,
        'decoding raises for bytes that are no text: decode with errors="replace"',
        _BYTES,
    ),
    "a long message in another alphabet throws nobody out": Advice(
        Harm.LOSES,
        "a recv may end in the middle of a letter: find the line's end first, then decode",
        _BYTES,
        {
            "cut": _A_CUT,
            "alphabet": "each letter came as another: where bytes become text, or text bytes, name UTF-8; "
            "else the encoding that the system is set to is taken, which may not have these letters",
        },
    ),
    "control characters of one do not reach another": Advice(
        Harm.WRONG_PERSON, "replace what cannot be printed before it is passed on", _ROOM
    ),
    "an over-long line is refused, and nobody thrown out": Advice(
        Harm.FORM,
        f"count what has come without LF: past {MAX_LINE} bytes, forget it up to the next LF",
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
        {
            "again": "after a refusal, look at the next answer in the same way: `while`, where there is "
            "`if`",
            "nameless": "one that was refused has no nickname yet: what it says next is an answer, and not "
            "for the others",
            "taken off": "one that was refused is no member: whom does the clean-up take off when it "
            "leaves? Go by the client, not by the nickname that it gave, and only if it was let in",
            "stalls": "which lock is held where a nickname is refused? One that is taken with `acquire` is "
            "kept on each way on which no `release` comes, such as `continue` and `return`: take it with "
            "`with`",
        },
        {"stalls": Harm.STALLS},
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
            "herself": "what is meant for the others goes to the newcomer, too: tell them before it is put "
            "among them",
        },
    ),
    "a silent newcomer keeps nobody out": Advice(
        Harm.LOCKS_OUT,
        "in the loop that accepts, wait for no client: ask for its nickname in its thread",
        _THREADS,
    ),
    "nobody is skipped when several die": Advice(
        Harm.WRONG_PERSON,
        "a loop that removes from the list it walks skips the next: walk a copy; and an index is another's "
        "once one before it in the list is gone",
        _RACES,
    ),
    "one who stops reading holds up nobody": Advice(
        Harm.STALLS,
        "a send waits for one who does not read: a queue and a sending thread for each client. If you have "
        "them: does all that is sent go through the queue, and is one let go whose queue is full?",
        _SLOW,
        {
            "thrown out": "one who reads all is let go: for a queue that is too short, an error of "
            "another's send, or since it says nothing for a while?",
            "order": "a thread for each send, and those that wait overtake each other: one sending thread "
            "for each client, which takes the lines from a queue",
        },
        {"order": Harm.LOSES},
    ),
    "a goodbye is noticed": Advice(
        Harm.FORM,
        "recv returns nothing after FIN: end the loop then, and close the socket",
        _GOODBYES,
        {
            "speaks on": "recv (readLine, read) returns nothing after FIN, and at once, as often as it is "
            "called: end the loop then, and close the socket; this one sends that nothing to the others"
        },
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
        Harm.WRONG_PERSON,
        "take the nickname off wherever it stands, when its owner leaves",
        _GOODBYES,
        {
            "vanished": "after a reset recv raises: what is done when one leaves belongs into a `finally`, "
            "where that way leads, too"
        },
    ),
    "each keeps its own name when others leave": Advice(
        Harm.WRONG_PERSON,
        "an index is another's once one who came before has left: keep the nickname with its client, or "
        "look for the place each time, and take both off both lists",
        _NAMES,
    ),
    "nobody falls silent when people come and go": Advice(
        Harm.STALLS,
        "which thread holds which lock when a client leaves? And does it take itself off the list, or "
        "whoever stands now at an index that was its own before?",
        _RACES,
        {
            "places": "is there room for so many only: an array, a counter, a limit? One who leaves gives "
            "the place back"
        },
    ),
    "after a reset all others are still heard": Advice(
        Harm.STALLS,
        "a send to one who is gone raises: catch it at that one send, inside the loop. And is one who is "
        "gone still in the list?",
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
    "a word that one says ends nobody else": Advice(
        Harm.STALLS,
        "a word such as `quit` ends the loop of the one who said it: not the program, not the loop that "
        "accepts, and not the listener",
        _GOODBYES,
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
        Harm.LOCKS_OUT,
        'decoding a nickname may raise: decode with errors="replace", in the client\'s own thread',
        _NAMES,
    ),
}
"""By the name of the behaviour."""

_WHERE_IT_MAY_NOT = (
    "it reads or writes where it may not: an index beyond an array, a text longer than its buffer, a "
    "format that a client has written. Compiled with `-g -fsanitize=address`, it names the line"
)

DEATHS = {
    "by signal 13": "SIGPIPE: a send to one who is gone ends a program in C, unless it ignores that signal "
    "(`signal(SIGPIPE, SIG_IGN)`) or sends with MSG_NOSIGNAL; then send returns -1",
    "by signal 6": _WHERE_IT_MAY_NOT,
    "by signal 7": _WHERE_IT_MAY_NOT,
    "by signal 11": _WHERE_IT_MAY_NOT,
}
"""What it means that a program ended so, whatever was tried."""

LAST_WORDS = {
    "Unhandled 'error' event": "in Node, a connection that breaks tells its socket so: without "
    "`socket.on('error', …)` for each socket, that ends the whole program"
}
"""What it means that a program ended, by what it said last."""

UNCAUGHT = "what it said names an error that nothing catches, which ends the whole program"

ENDS = "something ends the whole program: what it said last tells what"
ENDS_BY_SIGNAL = "one thing ends the whole program"
