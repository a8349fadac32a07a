"""What a ✗ means to the one whose client it is: how bad it is, where to look, which chapter is about it,
and which of them have one cause.
"""

from __future__ import annotations

from labkit.conformance.advice import Advice, Harm
from labkit.conformance.causes import Cause

_BYTES, _THREADS, _NAMES = "01_bytes_on_a_wire", "02_a_thread_each", "03_who_are_you"
_GOODBYES, _SLOW = "05_goodbyes", "07_slow_readers"

ADVICE: dict[str, Advice] = {
    "it gives its nickname when it is asked": Advice(
        Harm.LOCKS_OUT, "when the request comes, send the nickname alone, and its line end", _NAMES
    ),
    "a line right behind the request is shown": Advice(
        Harm.LOSES,
        "compare the request with a whole line, not with what one recv brings: more may stand behind it",
        _BYTES,
    ),
    "a request that comes in pieces is answered": Advice(
        Harm.LOCKS_OUT,
        "compare the request with a whole line, not with what one recv brings: it may be half of it",
        _BYTES,
    ),
    "the request in another's words is none": Advice(
        Harm.WRONG_PERSON,
        "ask whether the line *is* the request, not whether the word is somewhere in it",
        _NAMES,
    ),
    "a request that it answers itself is not shown": Advice(
        Harm.FORM, "print what comes only if it is not the request: `else` behind that `if`", _NAMES
    ),
    "asked again, another nickname can be given": Advice(
        Harm.LOCKS_OUT,
        "where the request is answered, ask the user again, if a nickname was given before",
        _NAMES,
    ),
    "why a nickname was refused is shown": Advice(
        Harm.FORM, "print what comes before the client is let in, too", _NAMES
    ),
    "what others say is shown while its user types nothing": Advice(
        Harm.STALLS,
        "reading a line of input waits, and nothing is received meanwhile: recv needs a thread of its own, "
        "or select for both",
        _THREADS,
    ),
    "lines that come in one send are all shown, once": Advice(
        Harm.LOSES, "what one recv brings may be several lines: show each of them", _BYTES
    ),
    "a line that comes in pieces is shown as one": Advice(
        Harm.LOSES,
        "keep what follows the last LF for the next recv, and print only whole lines",
        _BYTES,
    ),
    "another alphabet is shown as it is": Advice(
        Harm.LOSES, "decode what recv brings, as UTF-8, before it is printed", _BYTES
    ),
    "a letter that is cut in two is shown whole": Advice(
        Harm.LOSES, "find the line's end first, then decode: a recv may end inside a letter", _BYTES
    ),
    "bytes that are not UTF-8 do not end it": Advice(
        Harm.STALLS, "decoding raises for bytes that are no text: let it replace them", _BYTES
    ),
    "a long line is shown whole": Advice(
        Harm.LOSES, "a line may be longer than what one recv brings: collect until its LF comes", _BYTES
    ),
    "a line of any form is shown": Advice(
        Harm.STALLS,
        "what is split at `: ` or read by index may lack that: show such a line as it is",
        _NAMES,
    ),
    "signs are shown as they are": Advice(
        Harm.STALLS,
        'what was received is no format: printf("%s\\n", line), and not printf(line)',
        _BYTES,
    ),
    "its own nickname in a line hides nothing": Advice(
        Harm.LOSES,
        "look at what leaves out a line: only its own echo begins with the nickname and `: `",
        _NAMES,
    ),
    "many lines are all shown, once and in order": Advice(
        Harm.LOSES,
        "look at what is kept of one recv for the next: nothing may be lost or come twice",
        _BYTES,
    ),
    "a silence of the server does not end it": Advice(
        Harm.LOCKS_OUT,
        "a timeout is not the end: `settimeout(None)` once it has connected, or go on after TimeoutError",
        _GOODBYES,
    ),
    "a line that is typed arrives, with its end": Advice(
        Harm.LOSES, "put LF behind what is sent: reading a line of input takes it off", _BYTES
    ),
    "line after line arrives while the server is silent": Advice(
        Harm.STALLS, "after a send, do not wait for an answer: there may be none", _THREADS
    ),
    "lines that are typed at once all arrive": Advice(
        Harm.LOSES,
        "select looks at the file, and readline takes more than one line from it: read all that is there, "
        "or read in a thread",
        _THREADS,
    ),
    "another alphabet arrives as it was typed": Advice(
        Harm.LOSES, "encode what is typed as UTF-8, not as ASCII or Latin-1", _BYTES
    ),
    "a line that is typed arrives once": Advice(
        Harm.WRONG_PERSON, "look for a second `send`, or a second reader of the input", _THREADS
    ),
    "words with spaces between arrive as one line": Advice(
        Harm.LOSES,
        'read the input line by line: scanf("%s"), `next` and `cin >>` stop at every space',
        _BYTES,
    ),
    "a long line arrives whole": Advice(
        Harm.LOSES,
        "look for what cuts a text: a slice, a fixed size, `send` where it takes `sendall`",
        _BYTES,
    ),
    "an empty line does not end it": Advice(
        Harm.WRONG_PERSON,
        "an empty line is not the end of the input: look at how your loop ends",
        _GOODBYES,
    ),
    "while the server does not read, others are heard": Advice(
        Harm.STALLS,
        "send waits while the server does not read: let another thread receive meanwhile, and drop nothing",
        _SLOW,
    ),
    "when its input ends, it hangs up": Advice(
        Harm.WRONG_PERSON,
        "where the input ends (`input` raises EOFError, `readline` returns nothing), shut the socket down",
        _GOODBYES,
    ),
    "the last line before the end of its input arrives": Advice(
        Harm.LOSES,
        "the end must come behind the last line: no exit while another thread still sends",
        _GOODBYES,
    ),
    "a last line that lacks its end arrives": Advice(
        Harm.LOSES, "when the input ends, something may be left that was read before: say that, too", _BYTES
    ),
    "once its input has ended, and the server hangs up, it ends": Advice(
        Harm.FORM,
        "which thread still waits, and for what? Let both loops end, and main join them",
        _GOODBYES,
    ),
    "its end is quiet: it does not run in a circle": Advice(
        Harm.STALLS,
        "at its end a stream is always ready and brings nothing: leave the loop, or select it no more",
        _GOODBYES,
    ),
    "after its goodbye it shows what is still said": Advice(
        Harm.FORM, "shut down the sending side alone, and go on receiving up to the server's FIN", _GOODBYES
    ),
    "Ctrl-C ends it quietly": Advice(
        Harm.FORM,
        "catch KeyboardInterrupt around the main loop, and let other threads not hold it",
        _GOODBYES,
    ),
    "the server's goodbye is noticed": Advice(
        Harm.STALLS, "recv brings nothing after FIN: say so, and end that loop", _GOODBYES
    ),
    "once the server is gone, it ends": Advice(
        Harm.FORM, "the thread that reads the input still waits: what ends it, or the process?", _GOODBYES
    ),
    "it tells the server's end in words": Advice(
        Harm.FORM,
        "which line takes it for granted that something comes? Test for the end before it",
        _GOODBYES,
    ),
    "what is said right before the goodbye is shown": Advice(
        Harm.LOSES,
        "at the end, first show what has been received: the thread that shows it may be behind",
        _GOODBYES,
    ),
    "a reset is noticed like a goodbye": Advice(
        Harm.FORM, "recv and send may raise: catch OSError there, and treat it as the end", _GOODBYES
    ),
    "a goodbye instead of the request ends it": Advice(
        Harm.STALLS, "waiting for the request, recv may bring nothing: that is the end, too", _NAMES
    ),
    "a reset instead of the request ends it": Advice(
        Harm.FORM, "waiting for the request, recv may raise: that is the end, too", _NAMES
    ),
    "a goodbye in the middle of a line is noticed": Advice(
        Harm.STALLS, "the loop that collects a line must end when recv brings nothing", _BYTES
    ),
    "where nobody listens, it says so": Advice(
        Harm.FORM,
        "catch OSError around connect, print one line, and exit",
        _GOODBYES,
    ),
}
"""By the name of the behaviour."""

CAUSES = (
    Cause(
        "one thread does both: while it waits for its input, or for an answer, it does not do the other",
        frozenset(
            {
                "what others say is shown while its user types nothing",
                "line after line arrives while the server is silent",
                "lines that are typed at once all arrive",
                "the server's goodbye is noticed",
                "once the server is gone, it ends",
                "a reset is noticed like a goodbye",
                "a goodbye in the middle of a line is noticed",
            }
        ),
        sign="what others say is shown while its user types nothing",
    ),
    Cause(
        "lines that were read with another one are left behind, until the next is typed",
        frozenset(
            {
                "lines that are typed at once all arrive",
                "while the server does not read, others are heard",
            }
        ),
        sign="lines that are typed at once all arrive",
    ),
    Cause(
        "the end of the connection is not looked at: recv brings nothing, again and again",
        frozenset(
            {
                "the server's goodbye is noticed",
                "its end is quiet: it does not run in a circle",
                "once its input has ended, and the server hangs up, it ends",
                "a goodbye instead of the request ends it",
                "a goodbye in the middle of a line is noticed",
                "a reset is noticed like a goodbye",
            }
        ),
    ),
    Cause(
        "the end of the input is not looked at",
        frozenset(
            {
                "when its input ends, it hangs up",
                "once its input has ended, and the server hangs up, it ends",
                "its end is quiet: it does not run in a circle",
            }
        ),
    ),
    Cause(
        "what one recv brings is taken for a line",
        frozenset(
            {
                "a line right behind the request is shown",
                "a request that comes in pieces is answered",
                "lines that come in one send are all shown, once",
                "a line that comes in pieces is shown as one",
                "a letter that is cut in two is shown whole",
                "a long line is shown whole",
                "many lines are all shown, once and in order",
            }
        ),
    ),
    Cause(
        "decoding raises for bytes that are not UTF-8, and for half a letter",
        frozenset({"bytes that are not UTF-8 do not end it", "a letter that is cut in two is shown whole"}),
    ),
    Cause(
        "an error of the socket is not caught",
        frozenset(
            {
                "a reset is noticed like a goodbye",
                "a reset instead of the request ends it",
                "it tells the server's end in words",
            }
        ),
    ),
)
"""Where several behaviours are missing for one fault. The first that fits has them."""
