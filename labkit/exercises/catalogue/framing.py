"""Exercise `framing`: messages out of a stream of bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labkit.exercises.bench.bench import YOU, Bench
from labkit.exercises.bench.values import BYTES, bytes_for_text, is_list
from labkit.exercises.exercise import Exercise, Step, Wrong
from labkit.probe.failed import CheckFailed

TASK = """
TCP carries bytes, and keeps no message apart from the next. Write `Framing`: it is fed what each `recv`
returned, and gives back the messages that are complete.

- `Framing()` makes one for one connection. `.feed(data)` takes bytes and returns a list of `str`.
- A message ends with LF (`b"\\n"`), and nothing else ends one. The LF does not belong to it, nor does a CR
  (`b"\\r"`) just before it.
- What follows the last LF waits for the next `feed`.
- Bytes that are not UTF-8 become U+FFFD (`"�"`): no client is thrown out for them.
"""

ANSWER = '''
class Framing:
    """Bytes in, messages out."""

    def __init__(self):
        ### BEGIN SOLUTION
        self.rest = b""
        ### END SOLUTION

    def feed(self, data: bytes) -> list[str]:
        """Take what one recv returned; return the messages that are complete now."""
        ### BEGIN SOLUTION
        *lines, self.rest = (self.rest + data).split(b"\\n")
        return [line.removesuffix(b"\\r").decode("utf-8", "replace") for line in lines]
        ### END SOLUTION
'''


def framing(bench: Bench, name: str = YOU) -> Callable[[bytes], Any]:
    """The function that feeds a new framing of the student's, and draws what goes in and out."""
    made = bench.code()
    feed = getattr(made, "feed", made)
    if not callable(feed):
        raise CheckFailed("something with a method feed(data)", f"Framing() gave {made!r}", "no feed")

    def fed(data: bytes) -> Any:
        bench.said(f"feed({data!r})", receiver=name)
        messages = feed(data)
        bench.said(repr(messages), name, "check")
        return messages

    return fed


def gives(feed: Callable[[bytes], Any], data: bytes, expected: list[str], clue: str = "") -> Any:
    seen = feed(data)
    is_list(seen, f"feed({data!r})")
    if bytes_for_text(seen, expected):
        clue = BYTES
    if seen != expected:
        raise CheckFailed(f"{expected!r} from feed({data!r})", repr(seen), clue)
    return seen


def again(feed: Callable[[bytes], Any], data: bytes, expected: list[str], clue: str = "") -> None:
    """As `gives`; tells messages that had come before, and come again, from others."""
    try:
        gives(feed, data, expected, clue)
    except CheckFailed as failed:
        if failed.seen.endswith(repr(expected)[1:]):
            failed.clue = "again"
        elif failed.seen == "[]":
            failed.clue = "waits"
        raise


def one_line(bench: Bench) -> None:
    gives(framing(bench), b"hello\n", ["hello"])


def two_lines(bench: Bench) -> None:
    gives(framing(bench), b"one\ntwo\n", ["one", "two"])


def two_pieces(bench: Bench) -> None:
    feed = framing(bench)
    gives(feed, b"hel", [], "too early")
    again(feed, b"lo\nand", ["hello"])
    again(feed, b" more\n", ["and more"])
    for piece in (b"in th", b"ree pie"):
        gives(feed, piece, [], "too early")
    again(feed, b"ces\n", ["in three pieces"], "three pieces")
    feed = framing(bench)
    half = b"x" * 5_000
    gives(feed, half, [], "too early")
    again(feed, half + b"\n", [2 * half.decode()], "long")


def nothing_lost(bench: Bench) -> None:
    feed = framing(bench)
    gives(feed, b"one\n\ntwo\n", ["one", "", "two"], "empty")
    before = gives(feed, b"  a  b \n", ["  a  b "], "spaces")
    gives(feed, b"quit\nquit\n", ["quit", "quit"], "special")
    gives(feed, "señor жук\n".encode(), ["señor жук"], "alphabet")
    gives(feed, "\ufeffa\tb\0e\u0301\n".encode(), ["\ufeffa\tb\0e\u0301"], "changed")
    gives(feed, b"three\n", ["three"])
    if before != ["  a  b "]:
        raise CheckFailed(
            "the list that feed returned before is still ['  a  b ']", repr(before), "same list"
        )


def carriage_return(bench: Bench) -> None:
    feed = framing(bench)
    gives(feed, b"hello\r\n", ["hello"])
    gives(feed, b"hel", [])
    gives(feed, b"lo\r", [])
    gives(feed, b"\n", ["hello"], "cut")


def only_lf(bench: Bench) -> None:
    uncut(bench, "a\rb\x0bc\x0cd\x1ce", "inside")
    uncut(bench, "a\x85b\u2028c", "inside")
    feed = framing(bench)
    gives(feed, b"a\r", [])
    gives(feed, b"b\n", ["a\rb"], "end of a piece")
    gives(framing(bench), b"a\r\r\n", ["a\r"], "several")


def uncut(bench: Bench, line: str, clue: str) -> None:
    """This line is one message. `clue`: for one that is, but is changed."""
    feed, data = framing(bench), f"{line}\n".encode()
    try:
        gives(feed, data, [line])
    except CheckFailed as failed:
        if failed.seen.startswith(("['", '["')) and failed.seen.count("', '") == 0:
            failed.clue = clue
        raise


def cut_letter(bench: Bench) -> None:
    feed = framing(bench)
    for byte in "жж\n".encode()[:-1]:
        gives(feed, bytes([byte]), [])
    gives(feed, b"\n", ["жж"])


def not_text(bench: Bench) -> None:
    feed = framing(bench)
    try:
        gives(feed, b"caf\xe9\n", ["caf\ufffd"])
    except CheckFailed as failed:
        failed.clue = {"['caf']": "ignored", "[]": "dropped"}.get(failed.seen, "other sign")
        raise
    gives(feed, b"still here\n", ["still here"], "afterwards")


def one_each(bench: Bench) -> None:
    alice, bob = framing(bench, "alice's"), framing(bench, "bob's")
    gives(alice, b"I am ", [])
    gives(bob, b"me too\n", ["me too"])
    gives(alice, b"alice\n", ["I am alice"])


EXERCISE = Exercise(
    name="framing",
    title="messages out of a stream",
    chapter="01_bytes_on_a_wire",
    wants="Framing",
    task=TASK,
    answer=ANSWER,
    steps=(
        Step(
            "a line is a message, without its LF",
            one_line,
            hints=(
                "Which bytes came in, and which of them does the reader want to see?",
                "Split what came at b'\\n'; what stands before it is the message. Then decode it.",
            ),
            hints_by_clue={
                "no feed": (
                    "What does Framing() return? It must have a method feed.",
                    "class Framing: with def feed(self, data) in it.",
                )
            },
        ),
        Step(
            "two lines in one piece are two messages",
            two_lines,
            hints=(
                "The sender sent twice. Why did both arrive in one recv?",
                "TCP keeps no borders. data.split(b'\\n') finds all the lines there are.",
            ),
        ),
        Step(
            "a line in two pieces is one message",
            two_pieces,
            hints=(
                "Half a line has come. Where is that half, when the other one comes?",
                "Keep what follows the last LF in self, and put it before the next data.",
                "*lines, self.rest = (self.rest + data).split(b'\\n')",
            ),
            hints_by_clue={
                "again": (
                    "A message that had been given came again. What of it did your code keep?",
                    "Keep what follows the last LF, and nothing that was returned.",
                ),
                "waits": (
                    "Its LF has come, and the message has not. What else does your code wait for?",
                    "A piece may end anywhere. Give what is complete, and keep what is not.",
                ),
                "three pieces": (
                    "The line came in three pieces, and some of it is lost. Which piece took whose place?",
                    "Each piece goes behind what is kept, with an LF in it or not: self.rest + data",
                ),
                "long": (
                    "A line may be long. Which number in your code is too small for it?",
                    "Only an LF ends a message, and never its length.",
                ),
                "too early": (
                    "b'hel' came, and no LF. Is that a message already?",
                    "The last part of data.split(b'\\n') is never complete: it follows the last LF.",
                )
            },
            points=2,
        ),
        Step(
            "nothing is added and nothing is lost: empty lines and spaces stay",
            nothing_lost,
            hints=("Compare the two lists: which message is missing?",),
            hints_by_clue={
                "empty": (
                    "There is an empty message between the two. Where did it go?",
                    "An empty line is a line. Return every part but the last, also those that are b''.",
                ),
                "spaces": (
                    "Who takes the spaces away?",
                    "strip() removes all white space. removesuffix(b'\\r') removes only what it says.",
                ),
                "special": (
                    "Two messages were alike, and were no command of yours. What became of them?",
                    "Framing takes lines apart, and knows no words. Each line is a message.",
                ),
                "alphabet": (
                    "The line is there, but these are other letters. How were the bytes read?",
                    "decode('utf-8', 'replace'): ASCII has no ж, and Latin-1 reads two letters in it.",
                ),
                "changed": (
                    "Compare the two, character by character. Which call changes what it is given?",
                    "decode('utf-8', 'replace') of the bytes before the LF, and nothing more.",
                ),
                "same list": (
                    "What feed had returned before has changed since. Who else has that list?",
                    "Return a new list each time, and keep none of those that you returned.",
                ),
            },
        ),
        Step(
            "a CR before the LF is dropped",
            carriage_return,
            hints=(
                "Some programs end a line with \\r\\n. What is left when you cut at \\n?",
                "line.removesuffix(b'\\r')",
            ),
            hints_by_clue={
                "cut": (
                    "CR and LF came in two pieces. When did you look for the CR?",
                    "Look at the whole line, once its LF has come, and not at each piece.",
                )
            },
        ),
        Step(
            "nothing but LF ends a line",
            only_lf,
            hints=(
                "In how many places was this one line cut, and what stands there?",
                "splitlines() cuts at eleven different characters. split(b'\\n') cuts at one.",
            ),
            hints_by_clue={
                "inside": (
                    "The line was not cut, but what in it is gone? Where in the line did that stand?",
                    "Only the CR just before the LF is dropped: removesuffix(b'\\r')",
                ),
                "end of a piece": (
                    "A CR was the last byte of a piece, and is gone. What came after it?",
                    "Whether a CR stands before the LF, you know when the LF has come.",
                ),
                "several": (
                    "How many CRs stand just before the LF, and how many did you take away?",
                    "One CR is part of the line's end. rstrip(b'\\r') takes all, removesuffix(b'\\r') one.",
                )
            },
        ),
        Step(
            "a letter cut in two by recv is whole again",
            cut_letter,
            hints=(
                "ж is two bytes. What does decode() make of one of them?",
                "Join the bytes first, cut at LF, and decode only whole lines.",
            ),
        ),
        Step(
            "what is not UTF-8 throws nobody out",
            not_text,
            hints=(
                "One byte that is no UTF-8, and what happens to the connection?",
                "decode() is strict unless told otherwise: decode('utf-8', 'replace').",
            ),
            hints_by_clue={
                "ignored": (
                    "A reader is to see that something was there. What does 'ignore' put in its place?",
                    "decode('utf-8', 'replace') puts U+FFFD there.",
                ),
                "dropped": (
                    "One byte was bad, and where is the rest of her line?",
                    "decode('utf-8', 'replace') keeps all the others, and never raises.",
                ),
                "other sign": (
                    "Compare the last character with the one in the task. Who put it there?",
                    "decode('utf-8', 'replace'): U+FFFD for what is not UTF-8.",
                ),
                "afterwards": (
                    "The line after the bad one is not right. What of the bad one is left?",
                    "Take a line off the rest before you decode it, not after.",
                )
            },
        ),
        Step(
            "each connection has a framing of its own",
            one_each,
            hints=(
                "Two connections, and one got what the other had sent. What do they share?",
                "What is made at the level of the class, or of the file, is one for all: use __init__.",
            ),
        ),
    ),
    wrong=(
        Wrong(
            "a recv is a message",
            "two lines in one piece are two messages",
            source='''
            class Framing:
                def feed(self, data):
                    return [data.decode("utf-8", "replace").rstrip("\\r\\n")]
            ''',
            survey="no framing",
        ),
        Wrong(
            "the LF stays in the message",
            "a line is a message, without its LF",
            source='''
            class Framing:
                def feed(self, data):
                    return [data.decode("utf-8", "replace")]
            ''',
            survey="two sends arrive as one message",
        ),
        Wrong(
            "forgets half a line",
            "a line in two pieces is one message",
            (("(self.rest + data)", "data"),),
        ),
        Wrong(
            "a second piece takes the place of the first",
            "a line in two pieces is one message",
            (("        *lines,", '        if b"\\n" not in data:\n'
              "            self.rest = data\n            return []\n        *lines,"),),
            clue="three pieces",
        ),
        Wrong(
            "gives everything again",
            "a line in two pieces is one message",
            (("*lines, self.rest = (self.rest + data)",
              "self.rest += data\n        *lines, _ = self.rest"),),
            clue="again",
        ),
        Wrong(
            "waits for a piece that ends with LF",
            "a line in two pieces is one message",
            (("        *lines,", '        if not data.endswith(b"\\n"):\n'
              "            self.rest += data\n            return []\n        *lines,"),),
            clue="waits",
        ),
        Wrong(
            "a line has 1024 bytes at most",
            "a line in two pieces is one message",
            (("(self.rest + data)", "(self.rest[:1024] + data)"),),
            clue="long",
        ),
        Wrong(
            "quit is a command",
            "nothing is added and nothing is lost: empty lines and spaces stay",
            (("for line in lines]", 'for line in lines if line != b"quit"]'),),
            clue="special",
        ),
        Wrong(
            "drops a mark at the beginning",
            "nothing is added and nothing is lost: empty lines and spaces stay",
            (('"utf-8", "replace"', '"utf-8-sig", "replace"'),),
            clue="changed",
        ),
        Wrong(
            "drops every CR",
            "nothing but LF ends a line",
            (('removesuffix(b"\\r")', 'replace(b"\\r", b"")'),),
            clue="inside",
        ),
        Wrong(
            "drops the CR at the end of a piece",
            "nothing but LF ends a line",
            (("(self.rest + data)", '(self.rest + data.removesuffix(b"\\r"))'),),
            clue="end of a piece",
        ),
        Wrong(
            "reads Latin-1",
            "nothing is added and nothing is lost: empty lines and spaces stay",
            (('"utf-8", "replace"', '"latin-1"'),),
            clue="alphabet",
        ),
        Wrong(
            "ignores what is not UTF-8",
            "what is not UTF-8 throws nobody out",
            (('"replace"', '"ignore"'),),
            clue="ignored",
        ),
        Wrong(
            "drops a line that is not UTF-8",
            "what is not UTF-8 throws nobody out",
            source='''
            class Framing:
                def __init__(self):
                    self.rest = b""

                def feed(self, data):
                    *lines, self.rest = (self.rest + data).split(b"\\n")
                    texts = []
                    for line in lines:
                        try:
                            texts.append(line.removesuffix(b"\\r").decode())
                        except UnicodeDecodeError:
                            continue
                    return texts
            ''',
            clue="dropped",
        ),
        Wrong(
            "half a line is a message",
            "a line in two pieces is one message",
            source='''
            class Framing:
                def feed(self, data):
                    return [line.decode("utf-8", "replace") for line in data.split(b"\\n") if line]
            ''',
            clue="too early",
        ),
        Wrong(
            "drops empty lines",
            "nothing is added and nothing is lost: empty lines and spaces stay",
            (("for line in lines]", "for line in lines if line]"),),
            clue="empty",
        ),
        Wrong(
            "strips spaces",
            "nothing is added and nothing is lost: empty lines and spaces stay",
            (('removesuffix(b"\\r")', "strip()"),),
            clue="spaces",
        ),
        Wrong(
            "returns the same list each time",
            "nothing is added and nothing is lost: empty lines and spaces stay",
            (('        self.rest = b""', '        self.rest, self.messages = b"", []'),
             ("return [line", "self.messages[:] = [line"),
             ("for line in lines]", "for line in lines]\n        return self.messages")),
            clue="same list",
        ),
        Wrong(
            "takes every CR",
            "nothing but LF ends a line",
            (('removesuffix(b"\\r")', 'rstrip(b"\\r")'),),
            clue="several",
        ),
        Wrong("keeps the CR", "a CR before the LF is dropped", (('.removesuffix(b"\\r")', ""),)),
        Wrong(
            "looks for CR LF in each piece",
            "a CR before the LF is dropped",
            (("(self.rest + data)", '(self.rest + data.replace(b"\\r\\n", b"\\n"))'),
             ('.removesuffix(b"\\r")', "")),
            clue="cut",
        ),  # fmt: skip
        Wrong(
            "splitlines",
            "nothing but LF ends a line",
            source='''
            class Framing:
                def __init__(self):
                    self.rest = b""

                def feed(self, data):
                    whole, lf, self.rest = (self.rest + data).rpartition(b"\\n")
                    return (whole + lf).decode("utf-8", "replace").splitlines() if lf else []
            ''',
        ),
        Wrong(
            "decodes each piece",
            "a letter cut in two by recv is whole again",
            source='''
            class Framing:
                def __init__(self):
                    self.rest = ""

                def feed(self, data):
                    *lines, self.rest = (self.rest + data.decode()).split("\\n")
                    return [line.removesuffix("\\r") for line in lines]
            ''',
            survey="a long Cyrillic message throws its sender out",
            clue="UnicodeDecodeError",
        ),
        Wrong(
            "decodes strictly",
            "what is not UTF-8 throws nobody out",
            (('"utf-8", "replace"', ""),),
            survey="decodes strictly",
            clue="UnicodeDecodeError",
        ),
        Wrong(
            "leaves a bad line in the rest",
            "what is not UTF-8 throws nobody out",
            source='''
            class Framing:
                def __init__(self):
                    self.rest = b""

                def feed(self, data):
                    self.rest += data
                    lines = []
                    while b"\\n" in self.rest:
                        line, _, rest = self.rest.partition(b"\\n")
                        lines.append(line.removesuffix(b"\\r").decode("utf-8", "replace"))
                        try:
                            line.decode()
                        except UnicodeDecodeError:
                            break
                        self.rest = rest
                    return lines
            ''',
            clue="afterwards",
        ),
        Wrong(
            "one rest for all connections",
            "each connection has a framing of its own",
            (("class Framing:", 'class Framing:\n    rest = b""'),
             ('        self.rest = b""', "        pass"),
             ("*lines, self.rest = (self.rest + data)", "*lines, Framing.rest = (Framing.rest + data)")),
        ),  # fmt: skip
    ),
    others={
        "a function and a closure": '''
        def Framing():
            rest = bytearray()

            def feed(data):
                rest.extend(data)
                messages = []
                while (end := rest.find(b"\\n")) >= 0:
                    line = bytes(rest[:end])
                    del rest[: end + 1]
                    messages.append((line[:-1] if line.endswith(b"\\r") else line).decode(errors="replace"))
                return messages

            return feed
        ''',
        "byte by byte": '''
        class Framing:
            def __init__(self):
                self.line = []

            def feed(self, data):
                messages = []
                for byte in data:
                    if byte != 10:
                        self.line.append(byte)
                        continue
                    if self.line[-1:] == [13]:
                        self.line.pop()
                    messages.append(bytes(self.line).decode("utf-8", errors="replace"))
                    self.line = []
                return messages
        ''',
        "a generator that is sent the pieces": '''
        def lines():
            rest, ready = b"", []
            while True:
                data = yield ready
                *parts, rest = (rest + data).split(b"\\n")
                parts = [part[:-1] if part[-1:] == b"\\r" else part for part in parts]
                ready = [str(part, "utf-8", "replace") for part in parts]


        class Framing:
            def __init__(self):
                self.machine = lines()
                next(self.machine)

            def feed(self, data):
                return self.machine.send(data)
        ''',
        "an object from io": '''
        import io


        class Framing:
            def __init__(self):
                self.buffer = io.BytesIO()

            def feed(self, data):
                self.buffer.write(data)
                self.buffer.seek(0)
                messages = []
                for line in iter(self.buffer.readline, b""):
                    if not line.endswith(b"\\n"):
                        self.buffer = io.BytesIO()
                        self.buffer.write(line)
                        return messages
                    messages.append(line[:-1].removesuffix(b"\\r").decode("utf-8", "replace"))
                self.buffer = io.BytesIO()
                return messages
        ''',
    },
)  # fmt: skip
