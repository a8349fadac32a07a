"""Answers to `framing` as students write them: right ones in many styles, and wrong ones."""

from labkit.exercises.exercise import Wrong

RIGHT = {
    "asyncio's reader": r"""
import asyncio


class Framing:
    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.reader = asyncio.StreamReader(limit=2**30, loop=self.loop)

    async def lines(self):
        found = []
        while b"\n" in self.reader._buffer:
            found.append(await self.reader.readline())
        return found

    def feed(self, data):
        self.reader.feed_data(data)
        lines = self.loop.run_until_complete(self.lines())
        out = []
        for line in lines:
            line = line[:-1]
            if line.endswith(b"\r"):
                line = line[:-1]
            out.append(line.decode("utf-8", errors="replace"))
        return out
""",
    "a socket pair and a makefile": r"""
import socket


class Framing:
    def __init__(self):
        self.left, self.right = socket.socketpair()
        self.file = self.right.makefile("rb")

    def feed(self, data):
        self.left.sendall(data)
        result = []
        for _ in range(data.count(b"\n")):
            line = self.file.readline().removesuffix(b"\n").removesuffix(b"\r")
            result.append(line.decode("utf-8", "replace"))
        return result
""",
    "a dataclass": r"""
from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Framing:
    buffer: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> list[str]:
        self.buffer += data
        messages: list[str] = []
        while True:
            position = self.buffer.find(b"\n")
            if position == -1:
                return messages
            message = bytes(self.buffer[:position])
            self.buffer = self.buffer[position + 1 :]
            if message[-1:] == b"\r":
                message = message[:-1]
            messages.append(str(message, encoding="utf-8", errors="replace"))
""",
    "inheritance": r"""
class Splitter:
    end = b""

    def __init__(self):
        super().__init__()
        self.kept = []

    def cut(self, data):
        first, *others = data.split(self.end)
        self.kept.append(first)
        for other in others:
            yield b"".join(self.kept)
            self.kept = [other]


class Lines(Splitter):
    end = b"\n"

    def cut(self, data):
        for line in super().cut(data):
            yield line[:-1] if line.endswith(b"\r") else line


class Framing(Lines):
    def feed(self, data):
        return [line.decode(errors="replace") for line in self.cut(data)]
""",
    "globals": r"""
buffers = {}
made = 0


class Framing:
    def __init__(self):
        global made
        made += 1
        self.number = made
        buffers[self.number] = b""

    def feed(self, data):
        buffers[self.number] = buffers[self.number] + data
        messages = []
        while buffers[self.number].count(b"\n") > 0:
            i = buffers[self.number].index(b"\n")
            line = buffers[self.number][0:i]
            buffers[self.number] = buffers[self.number][i + 1:]
            if len(line) > 0 and line[len(line) - 1] == 13:
                line = line[0:len(line) - 1]
            messages.append(line.decode("utf-8", "replace"))
        return messages
""",
    "a regular expression, slots and a property": r"""
import re


class Framing:
    __slots__ = ("_rest",)
    LINE = re.compile(rb"([^\n]*?)\r?\n")

    def __init__(self, rest=b""):
        self._rest = rest

    @property
    def rest(self):
        return self._rest

    def feed(self, data):
        data = self._rest + data
        at, texts = 0, []
        for match in self.LINE.finditer(data):
            texts.append(match[1].decode("utf-8", "replace"))
            at = match.end()
        self._rest = data[at:]
        return texts
""",
    "an incremental decoder": r"""
import codecs


class Framing:
    def __init__(self):
        self.decoder = codecs.getincrementaldecoder("latin-1")()
        self.text = ""

    def feed(self, data):
        self.text += self.decoder.decode(data)
        *lines, self.text = self.text.split("\n")
        lines = [line[:-1] if line.endswith("\r") else line for line in lines]
        return [line.encode("latin-1").decode("utf-8", "replace") for line in lines]
""",
    "a list of bytes, joined late, by threads' queue": r"""
from queue import Empty, Queue


class Framing:
    def __init__(self):
        self.pieces = []
        self.ready = Queue()

    def feed(self, data):
        for piece in data.splitlines(keepends=True) if False else self.split(data):
            self.pieces.append(piece)
            if piece.endswith(b"\n"):
                line = b"".join(self.pieces)[:-1]
                self.pieces.clear()
                self.ready.put(line.removesuffix(b"\r").decode("utf-8", "replace"))
        return list(self.all())

    def split(self, data):
        while data:
            head, lf, data = data.partition(b"\n")
            yield head + lf

    def all(self):
        while True:
            try:
                yield self.ready.get_nowait()
            except Empty:
                return
""",
    "a metaclass of sorts: __call__": r"""
class Framing:
    def __new__(cls):
        self = super().__new__(cls)
        self.data = memoryview(b"")
        return self

    def feed(self, data):
        whole = bytes(self.data) + bytes(data)
        end = whole.rfind(b"\n") + 1
        self.data = memoryview(whole)[end:]
        if end == 0:
            return []
        parts = whole[: end - 1].split(b"\n")
        return list(map(self.text, parts))

    @staticmethod
    def text(line):
        try:
            return line.removesuffix(b"\r").decode()
        except UnicodeDecodeError:
            return line.removesuffix(b"\r").decode(errors="replace")
""",
}

WRONG = (
    Wrong(
        "rest overwritten",
        "a line in two pieces is one message",
        swaps=(
            (
                ('        *lines, self.rest = (self.rest + data).split(b"\\n")'),
                (
                    '        if b"\\n" not in data:\n'
                    "            self.rest = data\n"
                    "            return []\n"
                    '        *lines, rest = (self.rest + data).split(b"\\n")\n'
                    "        self.rest = rest"
                ),
            ),
        ),
        clue="three pieces",
    ),
    Wrong(
        "rest not cleared",
        "a line in two pieces is one message",
        swaps=(
            (
                ('        *lines, self.rest = (self.rest + data).split(b"\\n")'),
                ('        self.rest += data\n        *lines, rest = self.rest.split(b"\\n")'),
            ),
        ),
        clue="again",
    ),
    Wrong(
        "rest only if data ends",
        "a line in two pieces is one message",
        swaps=(
            (
                ('        *lines, self.rest = (self.rest + data).split(b"\\n")'),
                (
                    "        self.rest += data\n"
                    '        if not self.rest.endswith(b"\\n"):\n'
                    "            return []\n"
                    '        lines = self.rest.split(b"\\n")[:-1]\n'
                    '        self.rest = b""'
                ),
            ),
        ),
        clue="waits",
    ),
    Wrong(
        "one message per feed",
        "two lines in one piece are two messages",
        swaps=(
            (
                (
                    '        *lines, self.rest = (self.rest + data).split(b"\\n")\n'
                    '        return [line.removesuffix(b"\\r").decode("utf-8", "replace") '
                    "for line in lines]"
                ),
                (
                    "        self.rest += data\n"
                    '        line, lf, rest = self.rest.partition(b"\\n")\n'
                    "        if not lf:\n"
                    "            return []\n"
                    "        self.rest = rest\n"
                    '        return [line.removesuffix(b"\\r").decode("utf-8", "replace")]'
                ),
            ),
        ),
        clue="",
    ),
    Wrong(
        "bytes splitlines",
        "nothing but LF ends a line",
        swaps=(
            (
                (
                    '        *lines, self.rest = (self.rest + data).split(b"\\n")\n'
                    '        return [line.removesuffix(b"\\r").decode("utf-8", "replace") '
                    "for line in lines]"
                ),
                (
                    '        whole, lf, self.rest = (self.rest + data).rpartition(b"\\n")\n'
                    '        return [line.decode("utf-8", "replace") for line in (whole + '
                    "lf).splitlines()]"
                ),
            ),
        ),
        clue="",
    ),
    Wrong(
        "readline text universal newline",
        "nothing but LF ends a line",
        swaps=(
            (
                (
                    '        *lines, self.rest = (self.rest + data).split(b"\\n")\n'
                    '        return [line.removesuffix(b"\\r").decode("utf-8", "replace") '
                    "for line in lines]"
                ),
                (
                    "        import io\n"
                    '        whole, lf, self.rest = (self.rest + data).rpartition(b"\\n")\n'
                    '        return [l.rstrip("\\n") for l in '
                    'io.TextIOWrapper(io.BytesIO(whole + lf), "utf-8", "replace")]'
                ),
            ),
        ),
        clue="",
    ),
    Wrong(
        "strip(b'\\r')",
        "nothing but LF ends a line",
        swaps=(('removesuffix(b"\\r")', 'strip(b"\\r")'),),
        clue="several",
    ),
    Wrong(
        "decode all before cutting w/ replace",
        "a letter cut in two by recv is whole again",
        swaps=(
            (
                (
                    '        *lines, self.rest = (self.rest + data).split(b"\\n")\n'
                    '        return [line.removesuffix(b"\\r").decode("utf-8", "replace") '
                    "for line in lines]"
                ),
                (
                    "        self.rest = self.rest + data\n"
                    '        text = self.rest.decode("utf-8", "replace")\n'
                    '        *lines, rest = text.split("\\n")\n'
                    "        self.rest = rest.encode()\n"
                    '        return [line.removesuffix("\\r") for line in lines]'
                ),
            ),
        ),
        clue="",
    ),
    Wrong(
        "mutable default",
        "each connection has a framing of its own",
        swaps=(
            ("def __init__(self):", "def __init__(self, rest=bytearray()):"),
            ('self.rest = b""', "self.rest = rest"),
            (
                ('        *lines, self.rest = (self.rest + data).split(b"\\n")'),
                (
                    "        self.rest += data\n"
                    '        lines = self.rest.split(b"\\n")[:-1]\n'
                    '        del self.rest[: self.rest.rfind(b"\\n") + 1]'
                ),
            ),
        ),
        clue="",
    ),
    Wrong(
        "global rest",
        "each connection has a framing of its own",
        swaps=(
            ('self.rest = b""', "pass"),
            (
                ('        *lines, self.rest = (self.rest + data).split(b"\\n")'),
                ('        global rest\n        *lines, rest = (rest + data).split(b"\\n")'),
            ),
            ("class Framing", 'rest = b""\n\n\nclass Framing'),
        ),
        clue="",
    ),
    Wrong(
        "own list accumulates",
        "a line in two pieces is one message",
        swaps=(
            ('self.rest = b""', 'self.rest = b""\n        self.messages = []'),
            (
                ('        return [line.removesuffix(b"\\r").decode("utf-8", "replace") for line in lines]'),
                (
                    '        self.messages += [line.removesuffix(b"\\r").decode("utf-8", '
                    '"replace") for line in lines]\n'
                    "        return self.messages"
                ),
            ),
        ),
        clue="again",
    ),
    Wrong(
        "rest longer than 1024 dropped",
        "a line in two pieces is one message",
        swaps=(
            (
                "        *lines",
                ('        if len(self.rest) > 1024:\n            self.rest = b""\n        *lines'),
            ),
        ),
        clue="long",
    ),
    Wrong(
        "NUL ends too",
        "nothing is added and nothing is lost: empty lines and spaces stay",
        swaps=(
            (
                ('        *lines, self.rest = (self.rest + data).split(b"\\n")'),
                ('        *lines, self.rest = (self.rest + data).replace(b"\\x00", b"\\n").split(b"\\n")'),
            ),
        ),
        clue="changed",
    ),
    Wrong(
        "tabs expand",
        "nothing is added and nothing is lost: empty lines and spaces stay",
        swaps=(('.decode("utf-8", "replace")', '.decode("utf-8", "replace").expandtabs()'),),
        clue="changed",
    ),
    Wrong(
        "dedups",
        "nothing is added and nothing is lost: empty lines and spaces stay",
        swaps=(
            (
                ('return [line.removesuffix(b"\\r").decode("utf-8", "replace") for line in lines]'),
                (
                    'return list(dict.fromkeys(line.removesuffix(b"\\r").decode("utf-8", '
                    '"replace") for line in lines))'
                ),
            ),
        ),
        clue="special",
    ),
    Wrong(
        "bad lines end it",
        "what is not UTF-8 throws nobody out",
        swaps=(
            (
                ('        return [line.removesuffix(b"\\r").decode("utf-8", "replace") for line in lines]'),
                (
                    "        out = []\n"
                    "        try:\n"
                    "            for line in lines:\n"
                    '                out.append(line.removesuffix(b"\\r").decode())\n'
                    "        except UnicodeDecodeError:\n"
                    "            return []\n"
                    "        return out"
                ),
            ),
        ),
        clue="dropped",
    ),
    Wrong(
        "CR stripped in rest",
        "nothing but LF ends a line",
        swaps=(
            (
                ('        *lines, self.rest = (self.rest + data).split(b"\\n")'),
                ('        *lines, self.rest = (self.rest.rstrip(b"\\r") + data).split(b"\\n")'),
            ),
        ),
        clue="end of a piece",
    ),
    Wrong(
        "backslashreplace",
        "what is not UTF-8 throws nobody out",
        swaps=(('"replace"', '"backslashreplace"'),),
        clue="other sign",
    ),
)
