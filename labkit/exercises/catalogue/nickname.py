"""Exercise `nickname`: ask a newcomer for a nickname until it is fit, and not for ever."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Callable
from typing import Any

from labkit.exercises.bench.bench import SOON, Bench
from labkit.exercises.bench.hurried import Hurried
from labkit.exercises.exercise import Exercise, Step, Wrong
from labkit.journal import Journal
from labkit.probe.deadline import Deadline
from labkit.probe.failed import CheckFailed
from labkit.wire import sockets

TASK = """
A client has connected. Write `ask_nickname(client, reader, nicknames)`, which finds out who it is.

- `client` is the connected socket, `reader` is `client.makefile("rb")`, `nicknames` a list of those taken.
- Send `nickname` and LF, and read the answer: a line, which ends with LF. A CR before the LF is dropped.
- A nickname that is fit is put into `nicknames`, and returned as a `str`.
- One that is not fit is refused: send `! `, the reason, and LF. Then ask again; but after the third refusal
  return `None`. `client` stays open: the caller closes it.
- Not fit is one that is taken (in other capitals as well: `Bob` is `BOB`), is empty or only spaces, has
  more than 32 characters, has white space in it (any: see `str.isspace`) or a `:`, begins with one of
  `* ! / # [ >`, or is not UTF-8.
- If the client leaves (FIN or reset) before its line is complete, return `None`. Nothing is added then.
- What the client sends behind its line is for others to read: it stays in `reader`.
"""

ANSWER = '''
def why_not(nickname, nicknames):
    """Why this nickname is not fit; None if it is."""
    ### BEGIN SOLUTION
    if not nickname:
        return "it is empty"
    if len(nickname) > 32:
        return "more than 32 characters"
    if any(c.isspace() or c == ":" for c in nickname):
        return "white space or ':' in it"
    if nickname.startswith(tuple("*!/#[>")):
        return f"it begins with {nickname[0]}"
    if nickname.casefold() in [other.casefold() for other in nicknames]:
        return "it is taken"
    return None
    ### END SOLUTION


def ask_nickname(client, reader, nicknames):
    """Ask for a nickname, three times at most. Return it, or None."""
    ### BEGIN SOLUTION
    try:
        for _ in range(3):
            client.sendall(b"nickname\\n")
            line = reader.readline()
            if not line.endswith(b"\\n"):
                return None  # the client has left
            try:
                nickname = line.decode().removesuffix("\\n").removesuffix("\\r")
                reason = why_not(nickname, nicknames)
            except UnicodeDecodeError:
                reason = "it is not UTF-8"
            if reason is None:
                nicknames.append(nickname)
                return nickname
            client.sendall(f"! {reason}\\n".encode())
    except OSError:
        pass  # the client has vanished
    return None
    ### END SOLUTION
'''

ASKED = ": 'nickname\\n'"

TURN = 0.005
"""Seconds of one turn of waiting for a line, or for the end of the call."""


class Client(Hurried):
    """The server's end of alice's connection.

    `breaks` tells of what is sent whether sending it fails: so it does once she is gone, and it is known.
    """

    breaks: Callable[[bytes], bool] | None = None

    def send(self, data: Any, *flags: int) -> int:
        self._may_break(data)
        return super().send(data, *flags)

    def sendall(self, data: Any, *flags: int) -> None:
        self._may_break(data)
        super().sendall(data, *flags)

    def _may_break(self, data: Any) -> None:
        if self.breaks is not None and self.breaks(bytes(data)):
            self.breaks = lambda data: True
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")


class Asking:
    """A call of ask_nickname, and alice, who is asked. Each begins a new ladder.

    Args:
        taken: the nicknames that are.
        breaks: see Client.
        hurry: cut the timeouts that the code sets.
    """

    def __init__(
        self,
        bench: Bench,
        *taken: str,
        breaks: Callable[[bytes], bool] | None = None,
        hurry: bool = False,
    ) -> None:
        bench.journal = Journal()
        self.bench = bench
        self.nicknames = list(taken)
        self.taken = list(taken)
        plain, self.alice = bench.pair()
        self.client = Client(fileno=plain.detach(), hurry=hurry)
        self.client.breaks = breaks
        self.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or a second line waits 40 ms
        self.reader = self.client.makefile("rb")
        bench.said(f"ask_nickname(…, {self.nicknames})", "check", "server")
        self.refusal: str | None = None  # the last one that alice heard
        self.call = bench.thread(bench.code, self.client, self.reader, self.nicknames)

    def failure(self, expected: str, seen: str, clue: str = "") -> CheckFailed:
        """What to raise; if the call died, it says so instead."""
        error = self.call.error
        if error is not None:
            return CheckFailed(expected, "ask_nickname raised an exception", type(error).__name__)
        return CheckFailed(expected, seen, clue)

    def line(self) -> str | None:
        """The next line that alice hears; None if the call ends, or time runs out, without one."""
        deadline = Deadline(SOON)
        while True:
            over = deadline.passed() or self.call.ended(0)
            if not over:
                sockets.readable(self.alice.sock, TURN)
            try:
                return self.alice.line(0)
            except TimeoutError:
                if over:
                    return None
            except EOFError:
                return None

    def heard(self, line: str | None) -> str:
        """In words: this line, or what else there is to tell."""
        if line is not None:
            return f"alice heard {line + chr(10)!r}"
        told = self.alice.seen()
        return f"{told}; ask_nickname returned {self.call.value!r}" if self.call.ended(0) else told

    def is_asked(self) -> None:
        """Alice hears the request.

        Raises:
            CheckFailed: she does not.
        """
        line = self.line()
        if line == "nickname":
            exact = b"\r" not in self.alice.transcript
            self.bench.expect(exact, f"alice is asked{ASKED}", "alice heard 'nickname\\r\\n'", "CR")
            return
        seen, clue = self.heard(line), "other words" if line else ""
        if self.refusal is None and line is None and not self.call.ended(0):
            clue = "silent"
        if self.refusal is not None and self.call.ended(0):
            clue = "gave up"
        if line is None and self.alice.hears("nickname", 0):
            seen, clue = "alice heard 'nickname', without an LF", "no LF"
        elif line is None and self.refusal is not None and not self.call.ended(0):
            glued = self.refusal.endswith("nickname")
            seen, clue = f"after {self.refusal + chr(10)!r} nothing came", "glued" if glued else "not again"
        raise self.failure("alice is asked" + " again" * (self.refusal is not None) + ASKED, seen, clue)

    def is_refused(self, answer: str | bytes, clue: str = "") -> None:
        """Alice gives this answer, and is told that it is not fit.

        Raises:
            CheckFailed: she is not.
        """
        self.alice.send(answer)
        line = self.line()
        if line is None or not line.startswith("! "):
            if line is not None:
                clue = "not told" if line == "nickname" else "no sign"
            elif self.call.ended(0) and self.call.value is None:
                clue = "gave up"
            raise self.failure(f"{answer!r} is refused: '! …\\n'", self.heard(line), clue)
        self.refusal = line

    def returns(self, expected: str | None, why: str, clue: str = "") -> None:
        """The call returns this, and has added it to the list, and nothing else.

        Raises:
            CheckFailed: it does not.
        """
        told = f"ask_nickname returns {expected!r} ({why})"
        if not self.call.ended():
            seen = f"it has not returned after {SOON:g} s; {self.alice.seen()}"
            raise self.failure(told, seen, "goes on" if expected is not None else clue)
        if self.call.error is not None:
            raise self.failure(told, "")
        value = self.call.value
        self.bench.said(f"returned {value!r}", "server", "check")
        if value != expected:
            if isinstance(value, bytes):
                clue = "bytes"
            elif value is None:
                clue = "None"
            elif expected is None and not value:
                clue = "not None"
            elif expected is not None and value == f"{expected}\n":
                clue = "LF"
            raise self.failure(told, f"it returned {value!r}", clue)
        wanted = self.taken + ([] if expected is None else [expected])
        if self.nicknames != wanted:
            if len(self.nicknames) > len(wanted):
                clue = "too many"
            raise self.failure(f"nicknames is {wanted} then", f"it is {self.nicknames}", clue or "list")

    def gives(self, answer: str | bytes, expected: str, why: str, clue: str = "") -> None:
        """Alice gives this answer, which is fit.

        Raises:
            CheckFailed: it is refused, or what comes back is something else.
        """
        self.alice.send(answer)
        line = self.line()
        if line is not None:
            self.line()  # the next request: then the code is where it waits for the answer
            clue = clue if line.startswith("!") else "says more"
            raise self.failure(f"ask_nickname returns {expected!r} ({why})", self.heard(line), clue)
        self.returns(expected, why, clue)


def refuses(bench: Bench, answer: str | bytes, *taken: str, clue: str = "") -> None:
    """A call in which this answer is refused, and the next one, which is fit, is not."""
    asking = Asking(bench, *taken)
    asking.is_asked()
    asking.is_refused(answer, clue)
    asking.is_asked()
    asking.gives("zoe", "zoe", "the second answer")


def takes(bench: Bench, answer: str | bytes, expected: str, why: str, *taken: str, clue: str = "") -> None:
    """A call in which this answer is fit."""
    asking = Asking(bench, *taken)
    asking.is_asked()
    asking.gives(answer, expected, why, clue)


def asks(bench: Bench) -> None:
    asking = Asking(bench, "bob", hurry=True)
    asking.is_asked()
    asking.client.is_waited_for()
    asking.alice.send("alice")
    line = asking.line()
    if line is not None:
        asking.line()
        clue = "LF refused" if line.startswith("!") else "says more"
        raise asking.failure("ask_nickname returns 'alice' (alice's answer)", asking.heard(line), clue)
    if asking.client.timed_out and asking.call.ended() and asking.call.value is None:
        expected = "alice may think as long as she likes"
        raise asking.failure(expected, "ask_nickname returned None before she answered", "impatient")
    asking.returns("alice", "alice's answer")


def carriage_return(bench: Bench) -> None:
    takes(bench, "alice\r", "alice", "without the CR")


def stays_in_reader(bench: Bench) -> None:
    asking = Asking(bench)
    asking.is_asked()
    asking.alice.send("alice", "hello")
    asking.returns("alice", "the first line")
    asking.alice.hang_up()
    try:
        rest = asking.reader.readline()
        seen = f"reader.readline() gives {rest!r}"
    except (OSError, ValueError) as error:  # closed, or with a timeout
        rest, seen = b"", f"reader.readline() raises {error}"
    bench.said(seen.replace("reader.readline() ", "readline "), "server", "check")
    bench.expect(rest == b"hello\n", "reader.readline() then gives b'hello\\n'", seen)


def taken(bench: Bench) -> None:
    refuses(bench, "bob", "alice", "bob", clue="taken")
    refuses(bench, "alice", "alice", "bob", clue="one of them")
    refuses(bench, "BOB", "alice", "bob", clue="capitals")
    refuses(bench, "bob", "alice", "Bob", clue="capitals")
    takes(bench, "bo", "bo", "which nobody has", "alice", "bob", clue="too much")
    takes(bench, "McZoe", "McZoe", "as she typed it", "alice", "bob", clue="as typed")


def empty(bench: Bench) -> None:
    refuses(bench, "", clue="empty")
    refuses(bench, "   ", clue="spaces")


def unfit(bench: Bench) -> None:
    refuses(bench, "al ice", clue="white space")
    refuses(bench, "al\tice", clue="white space of another kind")
    refuses(bench, "al\u00a0ice", clue="white space of another kind")
    refuses(bench, " alice", clue="before it")
    refuses(bench, "alice ", clue="behind it")
    refuses(bench, "al:ice", clue="colon")
    for sign in "*!/#[>":
        refuses(bench, f"{sign}alice", clue="first")
    refuses(bench, "x" * 33, clue="long")
    for fit in ("z", "a-b", "x.y", "_c_", "4", "d!*"):
        takes(bench, fit, fit, "which no rule forbids", clue="forbidden")
    takes(bench, "x" * 32, "x" * 32, "which has 32 characters", clue="long")
    takes(bench, "жук", "жук", "which no rule forbids", clue="alphabet")
    takes(bench, "ж" * 32, "ж" * 32, "32 characters, 64 bytes", clue="bytes counted")


def not_text(bench: Bench) -> None:
    refuses(bench, b"caf\xe9", clue="accepted")


def three_times(bench: Bench) -> None:
    asking = given_up(bench, ("bob", "", "a:b"))
    with contextlib.suppress(OSError):
        asking.reader.close()  # a socket that was closed stays open until its files are closed
    try:
        asking.client.sendall(b"bye\n")  # marks the end of what came before
    except OSError:
        raise asking.failure("client is left open, for the caller", "client was closed", "closed") from None
    line = asking.line()
    bench.expect(line == "bye", "after three refusals alice hears nothing more", asking.heard(line))
    given_up(bench, (b"caf\xe9", b"caf\xe9", "a:b"), "not counted")


def given_up(bench: Bench, answers: tuple[str | bytes, ...], clue: str = "") -> Asking:
    """A call that ends after these refusals."""
    asking = Asking(bench, "bob")
    for answer in answers:
        asking.is_asked()
        asking.is_refused(answer)
    line = asking.line()
    bench.expect(line is None, "after three refusals alice is not asked again", asking.heard(line), clue)
    asking.returns(None, "after three refusals", clue)
    return asking


def leaves(bench: Bench) -> None:
    def leaving(how: str, *, clue: str, sends: bytes = b"") -> None:
        asking = Asking(bench, "bob")
        asking.is_asked()
        if sends:
            asking.alice.send_bytes(sends)
        asking.alice.reset() if how == "vanished" else asking.alice.hang_up()
        asking.returns(None, f"alice {how}", clue)

    leaving("hung up", clue="FIN")
    leaving("vanished", clue="RST")
    leaving("hung up within her line", sends=b"ali", clue="half")
    for what, word in (("refusal", b""), ("second request", b"nickname")):
        asking = Asking(bench, "bob")
        asking.is_asked()
        asking.client.breaks = lambda data, word=word: word in data
        asking.alice.send("bob")
        bench.said("vanished", "alice", "server")
        while (line := asking.line()) is not None:
            if line == "nickname":  # it is not sent as expected, and she has to go in another way
                asking.alice.hang_up()
        asking.returns(None, f"sending the {what} raises a BrokenPipeError", "sends on")
    asking = Asking(bench, "bob", breaks=lambda data: True)
    bench.said("vanished", "alice", "server")
    asking.returns(None, "sending the first request raises a BrokenPipeError", "sends on")


def fits_not(why: str, line: str) -> tuple[str, ...]:
    return (f"Read the task again: what does it say about {why}?", line)


HINTS_RETURNED: dict[str, tuple[str, ...]] = {
    "None": (
        "The nickname was fit, and None came back. Which way did your code take to its end?",
        "print shows a value, return hands it back. Without a return, None comes back.",
        "A function that calls itself returns what that call returned: return ask_nickname(…)",
    ),
    "too many": (
        "Something is in nicknames that should not be. At which line was it put there?",
        "Add a nickname once, and only when it is known to be fit: just before the return.",
    ),
    "gave up": (
        "Fewer than three were refused, and it returned. What ended your loop?",
        "Count refusals in a variable of this call: the next client has three of its own.",
    ),
}

EXERCISE = Exercise(
    name="nickname",
    title="who are you?",
    chapter="03_who_are_you",
    wants="ask_nickname",
    task=TASK,
    answer=ANSWER,
    steps=(
        Step(
            "asks, and returns the answer",
            asks,
            hints=(
                "Follow the ladder: what did the client hear, what did it say, what came back?",
                "client.sendall(b'nickname\\n'), then reader.readline(), then return a str.",
            ),
            hints_by_clue={
                "no LF": (
                    "How does the client know that the request is complete?",
                    "By its LF: client.sendall(b'nickname\\n')",
                ),
                "bytes": (
                    "A socket brings bytes. What does the rest of the chat want?",
                    "line.decode() makes a str of them.",
                ),
                "list": (
                    "How will the next newcomer learn that alice is taken?",
                    "nicknames.append(nickname), once, and just before the return.",
                ),
                "silent": (
                    "alice connected, and heard nothing. Who speaks first, and through what?",
                    "print shows it to you. client.sendall(b'nickname\\n') sends it to her.",
                ),
                "other words": (
                    "Compare what alice heard with the task, character by character. What differs?",
                    "A program reads the request: it is nickname, and nothing else, and an LF.",
                ),
                "CR": (
                    "The request ends with CR and LF. What does the task say?",
                    "b'nickname\\n': the LF alone.",
                ),
                "LF": (
                    "The nickname that came back has a line end. What does readline return?",
                    "The line with its LF: nickname.removesuffix('\\n').removesuffix('\\r')",
                ),
                "LF refused": (
                    "alice is fit, and was refused. print(repr(nickname)): what exactly do your rules see?",
                    "readline returns the line with its LF. Take it off before the rules look.",
                ),
                "says more": (
                    "What alice heard last is neither a request nor a refusal. Who is to send that?",
                    "The caller welcomes her. Here: the request, refusals, and nothing else.",
                ),
                "goes on": (
                    "alice's line was there, all of it. What does your code still wait for?",
                    "read() waits for the end of the connection, readline() for an LF.",
                ),
                "impatient": (
                    "alice had not answered yet. What ran out of patience?",
                    "A client that thinks has not left. Set no timeout.",
                ),
            }
            | HINTS_RETURNED,
        ),
        Step(
            "a CR before the LF is dropped",
            carriage_return,
            hints=(
                "Some programs end a line with \\r\\n. What is left of it when the LF is gone?",
                "nickname.removesuffix('\\n').removesuffix('\\r')",
            ),
        ),
        Step(
            "what follows the first line stays in reader",
            stays_in_reader,
            hints=(
                "alice sent two lines at once. Who has the second one now?",
                "client.recv takes all that is there; so does a second makefile. reader has lines.",
                "line = reader.readline()",
            ),
        ),
        Step(
            "what is taken is refused, and asked for again",
            taken,
            hints=("What was answered, what was in nicknames, and what came back?",),
            hints_by_clue={
                "taken": (
                    "Two people of one name: whom does a line from bob come from?",
                    "Look into nicknames before you add to it.",
                ),
                "one of them": (
                    "Two nicknames are taken. With how many of them did you compare?",
                    "for other in nicknames: and it is not taken only after the last of them.",
                ),
                "no sign": (
                    "How does a client's program tell a refusal from anything else that it hears?",
                    "By its first two characters: f'! {reason}\\n', with a space.",
                ),
                "not told": (
                    "alice was asked again. From what could she know why?",
                    "Send the refusal before you ask again: f'! {reason}\\n'",
                ),
                "capitals": (
                    "Would you tell bob and BOB apart, in a chat?",
                    "Compare what is left when capitals do not count, and on both sides.",
                    "nickname.casefold() in [other.casefold() for other in nicknames]",
                ),
                "glued": (
                    "How does the client know where the refusal ends, and where the request begins?",
                    "Each is a line: f'! {reason}\\n', and then b'nickname\\n'.",
                ),
                "not again": (
                    "alice knows that it did not work. How does she know that she may try again?",
                    "The request belongs into the loop, before each reading of an answer.",
                ),
                "too much": (
                    "bo is not bob. Did you look into the list, or into the letters of a nickname?",
                    "in on a list compares whole nicknames; in on a str looks for a part.",
                ),
                "as typed": (
                    "She typed it with capitals. How do they stand in what came back, and in nicknames?",
                    "casefold() is for comparing. Add and return the nickname itself.",
                ),
            }
            | HINTS_RETURNED,
            points=2,
        ),
        Step(
            "an empty one is refused",
            empty,
            hints=("What does an empty answer look like, when its LF is gone?",),
            hints_by_clue={
                "empty": (
                    "alice only pressed Enter. How would her lines look to the others?",
                    "An empty str is false: if not nickname:",
                ),
                "IndexError": (
                    "Which character comes first in an empty str?",
                    "''[0] raises IndexError. Look whether it is empty first, or use startswith.",
                ),
                "spaces": (
                    "Three spaces are three characters. How would they look to the others?",
                    "if not nickname.strip():",
                ),
            },
        ),
        Step(
            "one that is not fit is refused",
            unfit,
            hints=("Which nickname was it, and which rule of the task is about it?",),
            hints_by_clue={
                "white space": fits_not("white space", "any(c.isspace() for c in nickname)"),
                "white space of another kind": (
                    "Is the space bar the only key that makes white space?",
                    "There are tabs, and about twenty others. isspace() knows them all.",
                    "any(c.isspace() for c in nickname)",
                ),
                "behind it": (
                    "The space behind it belongs to the line that she sent. Where did yours lose it?",
                    "rstrip() takes more than the line end: removesuffix('\\n').removesuffix('\\r')",
                ),
                "before it": (
                    "A space before it is white space, too. Who took it away before you looked?",
                    "strip() makes another nickname of it. Take off the line end, and nothing else.",
                    "nickname.removesuffix('\\n').removesuffix('\\r')",
                ),
                "alphabet": (
                    "жук is a nickname like bob. Compare it with what came back: what changed it?",
                    "decode() without an argument reads UTF-8, and str has letters of all alphabets.",
                ),
                "colon": fits_not("the sign that ends a nickname in `bob: hi`", "':' in nickname"),
                "first": fits_not("how a nickname begins", "nickname.startswith(tuple('*!/#[>'))"),
                "long": fits_not("how long it may be", "len(nickname) > 32"),
                "forbidden": (
                    "That nickname was fit. Which rule of yours is not in the task?",
                    "Refuse what the task forbids, and nothing else: isalnum() forbids much more.",
                ),
                "bytes counted": (
                    "ж is one character, and how many bytes?",
                    "Decode first, drop the line end, and then count: len(nickname)",
                ),
            },
        ),
        Step(
            "one that is not UTF-8 is refused",
            not_text,
            hints=("Which bytes came, and what became of them?",),
            hints_by_clue={
                "UnicodeDecodeError": (
                    "Whose mistake is it when bytes are no text: your code's, or the client's?",
                    "decode() raises UnicodeDecodeError. Catch it, and refuse as for any other reason.",
                ),
                "gave up": (
                    "Its bytes are no text. Has the client left for it?",
                    "It is refused like any other that is not fit, and asked for again.",
                ),
                "accepted": (
                    "Is that what the client called itself?",
                    "'replace' and 'ignore' make a nickname that was not chosen. decode() alone raises.",
                ),
            },
        ),
        Step(
            "after three refusals it gives up",
            three_times,
            hints=(
                "How often was alice asked and refused, and what ended it?",
                "for _ in range(3): with a question and perhaps a refusal in it; return None behind it.",
            ),
            hints_by_clue={
                "not counted": (
                    "Refused is refused, whatever the reason. Which way round your loop counts none?",
                    "for _ in range(3): counts each time round, continue or not.",
                ),
                "not None": (
                    "What does the caller compare with, when nobody came of it?",
                    "With None: return None. '', False and [] are other things.",
                ),
                "closed": (
                    "Who opened client, and who will still use it when your function has returned?",
                    "Return None, and no close(), no shutdown(), no with: the caller closes it.",
                ),
            },
        ),
        Step(
            "None for one who leaves",
            leaves,
            hints=("What does reader.readline() return, or raise, when the client is gone?",),
            hints_by_clue={
                "FIN": (
                    "alice hung up. What does readline return then, and what did you make of it?",
                    "b'' is the end, and not an empty line: that one is b'\\n'.",
                ),
                "not None": (
                    "She left, and something else than None came back. What does the caller make of that?",
                    "return None",
                ),
                "sends on": (
                    "It is over for alice. Which exceptions of your sends do you catch?",
                    "except OSError: return None",
                ),
                "BrokenPipeError": (
                    "alice vanished before you sent to her. Which of your sends stands outside of a try?",
                    "sendall can fail as well as readline, and with other errors. All are OSErrors.",
                    "try: around the whole loop, and except OSError: return None",
                ),
                "half": (
                    "alice hung up in the middle of her line. What does readline return then?",
                    "A line that is complete ends with LF; this one is b'ali'.",
                    "if not line.endswith(b'\\n'): return None",
                ),
                "ConnectionResetError": (
                    "A connection can also break. What does readline do then?",
                    "It raises an OSError. So may sendall. Catch it around all of it, and return None.",
                ),
            },
        ),
    ),
    wrong=(
        Wrong(
            "the request has no LF",
            "asks, and returns the answer",
            (('b"nickname\\n"', 'b"nickname"'),),
            clue="no LF",
        ),
        Wrong(
            "returns it, and does not add it",
            "asks, and returns the answer",
            (("nicknames.append(nickname)\n", "pass\n"),),
            clue="list",
        ),
        Wrong(
            "the rules see the LF",
            "asks, and returns the answer",
            (('.removesuffix("\\n").removesuffix("\\r")', ""),),
            clue="LF refused",
        ),
        Wrong(
            "prints it, and returns nothing",
            "asks, and returns the answer",
            (("return nickname\n", "return print(nickname)\n"),),
            clue="None",
        ),
        Wrong(
            "read instead of readline",
            "asks, and returns the answer",
            (("reader.readline()", "reader.read()"),),
            clue="goes on",
        ),
        Wrong(
            "lets nobody think for longer than a second",
            "asks, and returns the answer",
            (("    try:\n        for", "    client.settimeout(1)\n    try:\n        for"),),
            clue="impatient",
        ),
        Wrong(
            "compares with the last one alone",
            "what is taken is refused, and asked for again",
            (("in [other.casefold() for other in nicknames]",
              "== (nicknames or [\"\"])[-1].casefold()"),),
            clue="one of them",
        ),
        Wrong(
            "asks again, and does not say why",
            "what is taken is refused, and asked for again",
            (('            client.sendall(f"! {reason}\\n".encode())\n', ""),),
            clue="not told",
        ),
        Wrong(
            "a refusal without its sign",
            "what is taken is refused, and asked for again",
            (('f"! {reason}\\n"', 'f"{reason}\\n"'),),
            clue="no sign",
        ),
        Wrong(
            "adds it before it looks",
            "what is taken is refused, and asked for again",
            (("            if reason is None:\n                nicknames.append(nickname)\n",
              "            nicknames.append(nickname)\n            if reason is None:\n"),),
            clue="too many",
        ),
        Wrong(
            "strips the spaces around it",
            "one that is not fit is refused",
            (('.removesuffix("\\n").removesuffix("\\r")', ".strip()"),),
            clue="before it",
        ),
        Wrong(
            "strips the spaces behind it",
            "one that is not fit is refused",
            (('.removesuffix("\\n").removesuffix("\\r")', ".rstrip()"),),
            clue="behind it",
        ),
        Wrong(
            "reads Latin-1",
            "one that is not fit is refused",
            (("line.decode()", 'line.decode("latin-1")'),),
            clue="alphabet",
        ),
        Wrong(
            "takes bytes that are no text for a goodbye",
            "one that is not UTF-8 is refused",
            (('reason = "it is not UTF-8"', "return None"),),
            clue="gave up",
        ),
        Wrong(
            "does not count bytes that are no text",
            "after three refusals it gives up",
            (('reason = "it is not UTF-8"',
              'client.sendall(b"! it is not UTF-8\\n")\n                continue'),
             ("for _ in range(3):", "refusals = 0\n        while refusals < 3:"),
             ("            if reason is", "            refusals += 1\n            if reason is")),
            clue="not counted",
        ),
        Wrong(
            "dies of a refusal to one who has vanished",
            "None for one who leaves",
            (("except OSError", "except ConnectionResetError"),),
            clue="BrokenPipeError",
        ),
        Wrong("keeps the CR", "a CR before the LF is dropped", (('.removesuffix("\\r")', ""),)),
        Wrong(
            "recv instead of reader",
            "what follows the first line stays in reader",
            (("line = reader.readline()", 'line = client.recv(1024).partition(b"\\n")[0] + b"\\n"'),),
        ),
        Wrong(
            "the same nickname twice",
            "what is taken is refused, and asked for again",
            (("    if nickname.casefold() in [other.casefold() for other in nicknames]:\n"
              '        return "it is taken"\n', ""),),
            survey="allows the same nickname twice",
            clue="taken",
        ),
        Wrong(
            "BOB is not bob",
            "what is taken is refused, and asked for again",
            (("nickname.casefold() in [other.casefold() for other in nicknames]", "nickname in nicknames"),
             ),
            clue="capitals",
        ),
        Wrong(
            "stores it in small letters",
            "what is taken is refused, and asked for again",
            (("nicknames.append(nickname)\n", "nicknames.append(nickname.casefold())\n"),),
            clue="as typed",
        ),
        Wrong(
            "asks only once",
            "what is taken is refused, and asked for again",
            (('        for _ in range(3):\n            client.sendall(b"nickname\\n")\n',
              '        client.sendall(b"nickname\\n")\n        for _ in range(3):\n'),),
            clue="not again",
        ),
        Wrong(
            "the refusal has no LF",
            "what is taken is refused, and asked for again",
            (('f"! {reason}\\n"', 'f"! {reason}"'),),
            clue="glued",
        ),
        Wrong(
            "an empty nickname",
            "an empty one is refused",
            (('    if not nickname:\n        return "it is empty"\n', ""),),
            survey="allows an empty nickname",
            clue="empty",
        ),
        Wrong(
            "only the space is white",
            "one that is not fit is refused",
            (("any(c.isspace() or c == \":\" for c in nickname)", '" " in nickname or ":" in nickname'),),
            clue="white space of another kind",
        ),
        Wrong(
            "letters and digits only",
            "one that is not fit is refused",
            (("    if not nickname:\n",
              "    if nickname and nickname[0] not in '*!/#[>' and not nickname.isalnum():\n"
              '        return "letters and digits only"\n    if not nickname:\n'),),
            clue="forbidden",
        ),
        Wrong(
            "counts bytes",
            "one that is not fit is refused",
            (("len(nickname) > 32", "len(nickname.encode()) > 32"),),
            clue="bytes counted",
        ),
        Wrong(
            "dies of bytes that are not UTF-8",
            "one that is not UTF-8 is refused",
            (("except UnicodeDecodeError", "except UnboundLocalError"),),
            clue="UnicodeDecodeError",
        ),
        Wrong(
            "makes a nickname of what is not UTF-8",
            "one that is not UTF-8 is refused",
            (("line.decode()", 'line.decode("utf-8", "replace")'),),
            clue="accepted",
        ),
        Wrong(
            "closes what is not its own",
            "after three refusals it gives up",
            (("        pass  # the client has vanished\n",
              "        pass  # the client has vanished\n    client.close()\n"),),
            clue="closed",
        ),
        Wrong("asks for ever", "after three refusals it gives up", (("for _ in range(3)", "while True"),)),
        Wrong(
            "half a line is a nickname",
            "None for one who leaves",
            (('if not line.endswith(b"\\n")', "if not line"),),
            clue="half",
        ),
        Wrong(
            "dies of a reset",
            "None for one who leaves",
            (("except OSError", "except EOFError"),),
            clue="ConnectionResetError",
        ),
    ),
    others={
        "a pattern": r"""
        import contextlib
        import re

        FIT = re.compile(r"[^\s:*!/#\[>][^\s:]{0,31}")


        def ask_nickname(client, reader, nicknames):
            refusals = 0
            while refusals < 3:
                try:
                    if refusals:
                        client.sendall(b"! no\n")
                    client.sendall("nickname\n".encode())
                    line = reader.readline()
                except ConnectionError:
                    return None
                if line[-1:] != b"\n":
                    return None
                nickname = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
                fit = FIT.fullmatch(nickname) and not re.search("[\udc80-\udcff]", nickname)
                if fit and nickname.lower() not in map(str.lower, nicknames):
                    nicknames.append(nickname)
                    return nickname
                refusals += 1
            with contextlib.suppress(ConnectionError):
                client.sendall(b"! no\n")
        """,
        "a class, and rules in a dict": """
        class Handshake:
            RULES = {
                "empty": lambda name: not name.strip(),
                "too long": lambda name: len(name) > 32,
                "white space": lambda name: len(name.split()) > 1 or name != name.strip(),
                "a colon": lambda name: ":" in name,
                "the first character": lambda name: name[0] in {"*", "!", "/", "#", "[", ">"},
                "not UTF-8": lambda name: chr(0xFFFD) in name,
            }

            def __init__(self, client, reader, nicknames):
                self.client, self.reader, self.nicknames = client, reader, nicknames

            def say(self, *words):
                self.client.sendall(bytes(" ".join(words), "utf-8") + bytes([10]))

            def once(self):
                self.say("nickname")
                line = self.reader.readline()
                if not line or line[-1] != 10:
                    raise EOFError
                line = line[:-2] if line[-2:-1] == bytes([13]) else line[:-1]
                name = str(line, "utf-8", "replace")
                taken = {other.lower() for other in self.nicknames}
                for why, broken in {**self.RULES, "taken": lambda name: name.lower() in taken}.items():
                    if broken(name):
                        self.say("!", why)
                        return None
                self.nicknames += [name]
                return name

            def run(self):
                try:
                    return self.once() or self.once() or self.once()
                except (EOFError, OSError):
                    return None


        def ask_nickname(client, reader, nicknames):
            return Handshake(client, reader, nicknames).run()
        """,
        "recursion, byte by byte, and a writing file": """
        def one_line(reader):
            line = b""
            while not line.endswith(b"\\n"):
                byte = reader.read(1)
                if not byte:
                    raise ConnectionError("hung up")
                line += byte
            return line[:-2] if line.endswith(b"\\r\\n") else line[:-1]


        def check(raw, nicknames):
            nickname = raw.decode()
            if not 1 <= len(nickname) <= 32:
                raise ValueError("1 to 32 characters")
            if set(nickname) & set(": ") or len(nickname.split()) != 1 or nickname[0] in "*!/#[>":
                raise ValueError("not that character")
            for other in list(nicknames):
                if other.upper() == nickname.upper():
                    raise ValueError("taken by " + other)
            return nickname


        def ask_nickname(client, reader, nicknames, left=3):
            if left == 0:
                return None
            try:
                with client.makefile("w", encoding="utf-8", newline="") as writer:
                    print("nickname", file=writer, end="\\n", flush=True)
                    raw = one_line(reader)
                    try:
                        nickname = check(raw, nicknames)
                    except ValueError as error:
                        print("!", str(error).splitlines()[0], file=writer, flush=True)
                    else:
                        nicknames.append(nickname)
                        return nickname
            except OSError:
                return None
            return ask_nickname(client, reader, nicknames, left - 1)
        """,
    },
)  # fmt: skip
