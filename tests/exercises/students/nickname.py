"""Answers to `nickname` as students write them: right ones in many styles, and wrong ones."""

from labkit.exercises.exercise import Wrong

RIGHT = {
    "asyncio": r"""
import asyncio


def fit(name, nicknames):
    return (
        0 < len(name) <= 32
        and not any(c.isspace() for c in name)
        and ":" not in name
        and name[0] not in "*!/#[>"
        and name.lower() not in [n.lower() for n in nicknames]
    )


async def ask(client, reader, nicknames):
    for _ in range(3):
        await asyncio.to_thread(client.sendall, b"nickname\n")
        raw = await asyncio.to_thread(reader.readline)
        if raw[-1:] != b"\n":
            return None
        try:
            name = raw[:-1].decode("utf-8")
        except UnicodeError:
            name = ""
        if name.endswith("\r"):
            name = name[:-1]
        if fit(name, nicknames):
            nicknames.append(name)
            return name
        await asyncio.to_thread(client.sendall, b"! sorry\n")
    return None


def ask_nickname(client, reader, nicknames):
    try:
        return asyncio.run(ask(client, reader, nicknames))
    except OSError:
        return None
""",
    "socketserver handler": r"""
import socketserver


class Refused(Exception):
    pass


class Ask(socketserver.BaseRequestHandler):
    def __init__(self, request, reader, nicknames):
        self.reader, self.nicknames, self.name = reader, nicknames, None
        super().__init__(request, None, None)

    def line(self, text):
        self.request.sendall(text.encode() + b"\n")

    def check(self, raw):
        try:
            name = raw.decode()
        except UnicodeDecodeError as error:
            raise Refused("not UTF-8: " + error.reason)
        if name.endswith("\r\n"):
            name = name[:-2]
        else:
            name = name[:-1]
        if name == "" or name.isspace():
            raise Refused("empty")
        if len(name) > 32:
            raise Refused("too long")
        for c in name:
            if c.isspace() or c in ":":
                raise Refused("bad character")
        if name[:1] in ("*", "!", "/", "#", "[", ">"):
            raise Refused("bad first character")
        if name.casefold() in map(str.casefold, self.nicknames):
            raise Refused("taken")
        return name

    def handle(self):
        tries = 3
        try:
            while tries:
                self.line("nickname")
                raw = self.reader.readline()
                if not raw.endswith(b"\n"):
                    return
                try:
                    self.name = self.check(raw)
                except Refused as why:
                    self.line("! " + str(why))
                    tries -= 1
                else:
                    self.nicknames.append(self.name)
                    return
        except OSError:
            self.name = None


def ask_nickname(client, reader, nicknames):
    return Ask(client, reader, nicknames).name
""",
    "dataclass": r"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    words: str
    broken: Callable[[str, list[str]], bool]


RULES = [
    Rule("empty", lambda n, _: not n.strip()),
    Rule("long", lambda n, _: len(n) >= 33),
    Rule("spaces", lambda n, _: any(map(str.isspace, n))),
    Rule("colon", lambda n, _: n.count(":") > 0),
    Rule("start", lambda n, _: n.startswith(("*", "!", "/", "#", "[", ">"))),
    Rule("taken", lambda n, all: n.upper() in {x.upper() for x in all}),
]


@dataclass
class Answer:
    line: bytes

    @property
    def complete(self) -> bool:
        return self.line.endswith(b"\n")

    def text(self) -> str | None:
        try:
            return self.line.removesuffix(b"\n").removesuffix(b"\r").decode()
        except UnicodeDecodeError:
            return None


def ask_nickname(client, reader, nicknames) -> str | None:
    try:
        for attempt in (1, 2, 3):
            client.sendall(b"nickname\n")
            answer = Answer(reader.readline())
            if not answer.complete:
                return None
            text = answer.text()
            if text is None:
                why = "not UTF-8"
            else:
                why = next((rule.words for rule in RULES if rule.broken(text, nicknames)), None)
            if why is None:
                nicknames.append(text)
                return text
            client.sendall(f"! {why} (attempt {attempt})\n".encode())
    except ConnectionError:
        return None
    return None
""",
    "globals and a lock": r"""
import threading

lock = threading.Lock()
MAX = 32
BAD = "*!/#[>"


def is_ok(name):
    if len(name) == 0 or len(name) > MAX:
        return False
    if name[0] in BAD:
        return False
    for ch in name:
        if ch == ":" or ch.isspace():
            return False
    return True


def send(client, text):
    client.sendall(bytes(text + "\n", "utf-8"))


def ask_nickname(client, reader, nicknames):
    tries = 0
    try:
        while tries < 3:
            send(client, "nickname")
            data = reader.readline()
            if data == b"" or data[-1] != ord("\n"):
                return None
            data = data[:-1]
            if data.endswith(b"\r"):
                data = data[:-1]
            try:
                name = data.decode("utf-8")
            except UnicodeDecodeError:
                send(client, "! not utf-8")
                tries += 1
                continue
            if not is_ok(name):
                send(client, "! not allowed")
                tries += 1
                continue
            with lock:
                used = False
                for other in nicknames:
                    if other.casefold() == name.casefold():
                        used = True
                if not used:
                    nicknames.append(name)
                    return name
            send(client, "! taken")
            tries += 1
    except (BrokenPipeError, ConnectionResetError):
        pass
    except OSError:
        pass
    return None
""",
    "a generator of answers, for and else": r"""
from itertools import islice


def answers(client, reader):
    while True:
        client.sendall(b"nickname\n")
        line = reader.readline()
        if not line.endswith(b"\n"):
            return
        yield line[:-1].removesuffix(b"\r")


def reasons(name, nicknames):
    if not name or name.isspace():
        yield "empty"
    if len(name) > 32:
        yield "too long"
    if name.split() != [name]:
        yield "white space"
    if ":" in name:
        yield "a colon"
    if name[:1] in set("*!/#[>"):
        yield "first character"
    if any(name.casefold() == n.casefold() for n in nicknames):
        yield "taken"


def ask_nickname(client, reader, nicknames):
    try:
        for raw in islice(answers(client, reader), 3):
            try:
                name = raw.decode("utf-8", "strict")
                bad = list(reasons(name, nicknames))
            except UnicodeDecodeError as error:
                bad = [str(error)]
            if not bad:
                nicknames.append(name)
                return name
            client.sendall(f"! {', '.join(bad)}\n".encode())
    except OSError:
        return None
""",
    "inheritance and match": r"""
class Conversation:
    limit = 3

    def __init__(self, client, reader):
        self.client, self.reader = client, reader

    def put(self, line):
        self.client.sendall(line.encode() + b"\n")

    def get(self):
        line = self.reader.readline()
        match line[-2:], line[-1:]:
            case b"\r\n", _:
                return line[:-2]
            case _, b"\n":
                return line[:-1]
        raise EOFError

    def run(self):
        for _ in range(self.limit):
            self.put(self.question)
            try:
                return self.accept(self.get())
            except ValueError as reason:
                self.put(f"! {reason}")


class Nickname(Conversation):
    question = "nickname"

    def __init__(self, client, reader, taken):
        super().__init__(client, reader)
        self.taken = taken

    def accept(self, raw):
        name = raw.decode()
        if not 1 <= len(name) <= 32:
            raise ValueError("1 to 32 characters, please")
        if ":" in name or any(c.isspace() for c in name):
            raise ValueError("neither : nor white space")
        if name[0] in "*!/#[>":
            raise ValueError("it begins badly")
        if name.lower() in (t.lower() for t in self.taken):
            raise ValueError(f"{name} is taken")
        self.taken.append(name)
        return name


def ask_nickname(client, reader, nicknames):
    try:
        return Nickname(client, reader, nicknames).run()
    except (EOFError, OSError):
        return None
""",
    "a partial recv through the reader: read1 and peek": r"""
from contextlib import suppress


def ask_nickname(client, reader, nicknames):
    with suppress(OSError):
        for _ in "abc":
            client.sendall(b"nickname\n")
            line = bytearray()
            while not line.endswith(b"\n"):
                char = reader.read(1)
                if char == b"":
                    return None
                line += char
            line = bytes(line).rstrip(b"\n")
            if line.endswith(b"\r"):
                line = line[:-1]
            name = line.decode("utf-8", errors="backslashreplace")
            good = name.encode() == line and name != "" and len(name) < 33
            white = "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f :\x85\xa0\u1680"
            white += "\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
            good = good and not set(name) & set(white)
            good = good and not name.startswith(("*", "!", "/", "#", "[", ">"))
            for old in nicknames:
                good = good and old.casefold() != name.casefold()
            if good:
                nicknames.append(name)
                return name
            client.sendall(b"! choose another\n")
""",
    "strips the line end as text": r"""
def ask_nickname(client, reader, nicknames):
    refused = 0
    while refused < 3:
        try:
            client.sendall(b"nickname\n")
            data = reader.readline()
        except OSError:
            return None
        if not data or not data.endswith(b"\n"):
            return None
        reason = ""
        try:
            nickname = str(data, "utf-8")[:-1]
            if nickname.endswith("\r"):
                nickname = nickname[:-1]
        except UnicodeDecodeError:
            reason = "not UTF-8"
        else:
            if not nickname or nickname.isspace():
                reason = "empty"
            elif len(nickname) > 32:
                reason = "too long"
            elif any(ch.isspace() for ch in nickname) or ":" in nickname:
                reason = "forbidden character"
            elif nickname[0] in "*!/#[>":
                reason = "forbidden first character"
            elif nickname.casefold() in {n.casefold() for n in nicknames}:
                reason = "taken"
        if not reason:
            nicknames.insert(len(nicknames), nickname)
            return nickname
        refused += 1
        try:
            client.sendall(("! " + reason + "\n").encode())
        except OSError:
            return None
    return None
""",
    "settimeout None, shut": r"""
def ask_nickname(client, reader, nicknames):
    client.settimeout(None)
    errors = 0
    while errors != 3:
        try:
            client.sendall(b"nickname\n")
            raw = reader.readline()
        except (ConnectionResetError, BrokenPipeError, OSError):
            return
        if not raw.endswith(b"\n"):
            return
        raw = raw[:-2] if raw.endswith(b"\r\n") else raw[:-1]
        try:
            name = raw.decode("utf-8")
        except UnicodeDecodeError:
            problem = "utf-8 please"
        else:
            folded = {n.casefold() for n in nicknames}
            problem = (
                "empty" if not name.strip() else
                "too long" if len(name) > 32 else
                "space" if any(c.isspace() for c in name) else
                "colon" if ":" in name else
                "start" if name[0] in "*!/#[>" else
                "taken" if name.casefold() in folded else ""
            )
        if not problem:
            nicknames.append(name)
            return name
        try:
            client.sendall(b"! " + problem.encode() + b"\n")
        except OSError:
            return
        errors += 1
""",
    "one send for refusal and request": r"""
def bad(name, nicknames):
    if not 0 < len(name) < 33:
        return "1-32 characters"
    if name != "".join(name.split()): return "no white space"
    if name.find(":") >= 0: return "no colon"
    if name[0] in ("*", "!", "/", "#", "[", ">"): return "bad start"
    for n in nicknames:
        if n.upper() == name.upper(): return n + " is taken"


def ask_nickname(client, reader, nicknames):
    out = b"nickname\n"
    for i in range(3):
        try:
            client.sendall(out)
            line = reader.readline()
        except OSError:
            return None
        if line[-1:] != b"\n":
            return None
        try:
            name = line.decode().rstrip("\r\n")
            why = bad(name, nicknames)
        except UnicodeDecodeError:
            why = "not text"
        if not why:
            nicknames += [name]
            return name
        out = f"! {why}\nnickname\n".encode()
    try:
        client.sendall(out.removesuffix(b"nickname\n"))
    except OSError:
        pass
    return None
""",
    "text reader detached? a writer file": r"""
def ask_nickname(client, reader, nicknames):
    writer = client.makefile("wb")

    def say(text):
        writer.write(text.encode("utf-8") + b"\n")
        writer.flush()

    try:
        for _ in range(3):
            say("nickname")
            line = reader.readline(100_000)
            if not line or line[-1] != 0x0A:
                return None
            line = line[:-1]
            if line[-1:] == b"\r":
                line = line[:-1]
            try:
                name = line.decode("utf-8", errors="strict")
                assert 1 <= len(name) <= 32, "length"
                assert not any(c.isspace() for c in name), "space"
                assert ":" not in name, "colon"
                assert not name.startswith(("*", "!", "/", "#", "[", ">")), "start"
                assert name.casefold() not in [n.casefold() for n in nicknames], "taken"
            except (UnicodeDecodeError, AssertionError) as e:
                say("! " + str(e).replace("\n", " "))
                continue
            nicknames.append(name)
            return name
    except OSError:
        return None
    finally:
        try:
            writer.close()
        except OSError:
            pass
""",
    "refusals w/o try on last": r"""
import re


def ask_nickname(client, reader, nicknames):
    def ask():
        client.sendall(b"nickname\n")
        return reader.readline()

    def refuse(reason):
        client.sendall(b"! %s\n" % reason)

    try:
        tries = iter(range(3))
        for _ in tries:
            answer = ask()
            m = re.fullmatch(rb"(.*?)\r?\n", answer, re.S)
            if m is None:
                return None
            try:
                name = m[1].decode()
            except ValueError:
                refuse(b"bytes")
                continue
            if not re.fullmatch(r"[^\s:*!/#\[>\x1c-\x1f][^\s:\x1c-\x1f]{0,31}", name):
                refuse(b"form")
            elif any(name.lower() == n.lower() for n in nicknames):
                refuse(b"taken")
            else:
                nicknames.append(name)
                return name
    except OSError:
        pass
""",
}

WRONG = (
    Wrong(
        "lstrip after",
        "one that is not fit is refused",
        swaps=(
            (
                '.removesuffix("\\n").removesuffix("\\r")',
                '.removesuffix("\\n").removesuffix("\\r").lstrip()',
            ),
        ),
        clue="before it",
    ),
    Wrong(
        "strip(' ')",
        "one that is not fit is refused",
        swaps=(('.removesuffix("\\n").removesuffix("\\r")', '.strip("\\r\\n ")'),),
        clue="before it",
    ),
    Wrong(
        "refusal's send unguarded",
        "None for one who leaves",
        source=r"""
def why_not(nickname, nicknames):
    if not nickname: return "empty"
    if len(nickname) > 32: return "long"
    if any(c.isspace() or c == ":" for c in nickname): return "space"
    if nickname[0] in "*!/#[>": return "first"
    if nickname.casefold() in [o.casefold() for o in nicknames]: return "taken"
def ask_nickname(client, reader, nicknames):
    for _ in range(3):
        client.sendall(b"nickname\n")
        try:
            line = reader.readline()
        except OSError:
            return None
        if not line.endswith(b"\n"):
            return None
        try:
            nickname = line.decode().removesuffix("\n").removesuffix("\r")
            reason = why_not(nickname, nicknames)
        except UnicodeDecodeError:
            reason = "utf"
        if reason is None:
            nicknames.append(nickname)
            return nickname
        client.sendall(f"! {reason}\n".encode())
""",
        clue="BrokenPipeError",
    ),
    Wrong(
        "no colon",
        "one that is not fit is refused",
        swaps=((' or c == ":" for c', " for c"),),
        clue="colon",
    ),
    Wrong(
        "missing [",
        "one that is not fit is refused",
        swaps=(('"*!/#[>"', '"*!/#>"'),),
        clue="first",
    ),
    Wrong(
        "forbidden sign anywhere",
        "one that is not fit is refused",
        swaps=(('nickname.startswith(tuple("*!/#[>"))', 'any(c in "*!/#[>" for c in nickname)'),),
        clue="forbidden",
    ),
    Wrong(
        "adds twice",
        "asks, and returns the answer",
        swaps=(
            (
                "nicknames.append(nickname)",
                ("nicknames.append(nickname)\n                nicknames.append(nickname)"),
            ),
        ),
        clue="too many",
    ),
    Wrong(
        "refusal '!' w/o blank",
        "what is taken is refused, and asked for again",
        swaps=(("! {reason}", "!{reason}"),),
        clue="no sign",
    ),
    Wrong(
        "returns '' after three",
        "after three refusals it gives up",
        swaps=(
            ("        pass  # the client has vanished\n    return None", '        pass\n    return ""'),
        ),
        clue="not None",
    ),
    Wrong(
        "FIN returns ''",
        "None for one who leaves",
        swaps=(("return None  # the client has left", 'return ""'),),
        clue="not None",
    ),
    Wrong(
        "UnicodeDecodeError -> None",
        "one that is not UTF-8 is refused",
        swaps=(('reason = "it is not UTF-8"', "return None"),),
        clue="gave up",
    ),
    Wrong(
        "ascii only",
        "one that is not fit is refused",
        swaps=(
            (
                "    if not nickname:",
                ('    if not nickname.isascii():\n        return "ascii"\n    if not nickname:'),
            ),
        ),
        clue="alphabet",
    ),
    Wrong(
        "substring: taken",
        "what is taken is refused, and asked for again",
        swaps=(
            (
                ("nickname.casefold() in [other.casefold() for other in nicknames]"),
                'nickname.casefold() in " ".join(nicknames).casefold()',
            ),
        ),
        clue="too much",
    ),
    Wrong(
        "recursion forgets return",
        "what is taken is refused, and asked for again",
        source=r"""
def ask_nickname(client, reader, nicknames, left=3):
    if not left: return None
    client.sendall(b"nickname\n")
    n = reader.readline().decode("utf-8", "replace").strip()
    taken = n.lower() in [x.lower() for x in nicknames]
    if taken or not n or len(n) > 32 or n[0] in "*!/#[>" or ":" in n or " " in n:
        client.sendall(b"! no\n")
        ask_nickname(client, reader, nicknames, left - 1)
    else:
        nicknames.append(n)
        return n
""",
        clue="None",
    ),
    Wrong(
        "send nickname: with CR LF",
        "asks, and returns the answer",
        swaps=(('b"nickname\\n"', 'b"nickname\\r\\n"'),),
        clue="CR",
    ),
    Wrong(
        "prompt with colon",
        "asks, and returns the answer",
        swaps=(('b"nickname\\n"', 'b"nickname: \\n"'),),
        clue="other words",
    ),
    Wrong(
        "welcome sent",
        "asks, and returns the answer",
        swaps=(
            (
                "                nicknames.append(nickname)",
                (
                    "                nicknames.append(nickname)\n"
                    '                client.sendall(f"* you are {nickname}\\n".encode())'
                ),
            ),
        ),
        clue="says more",
    ),
    Wrong(
        "in dict of class: state shared between calls",
        "what is taken is refused, and asked for again",
        source=r"""
tries = 0
def why_not(nickname, nicknames):
    if not nickname: return "empty"
    if len(nickname) > 32: return "long"
    if any(c.isspace() or c == ":" for c in nickname): return "space"
    if nickname[0] in "*!/#[>": return "first"
    if nickname.casefold() in [o.casefold() for o in nicknames]: return "taken"
def ask_nickname(client, reader, nicknames):
    global tries
    try:
        while tries < 3:
            client.sendall(b"nickname\n")
            line = reader.readline()
            if not line.endswith(b"\n"):
                return None
            try:
                nickname = line.decode().removesuffix("\n").removesuffix("\r")
                reason = why_not(nickname, nicknames)
            except UnicodeDecodeError:
                reason = "utf"
            if reason is None:
                nicknames.append(nickname)
                return nickname
            client.sendall(f"! {reason}\n".encode())
            tries += 1
    except OSError:
        return None
    return None
""",
        clue="gave up",
    ),
    Wrong(
        "string.whitespace",
        "one that is not fit is refused",
        swaps=(("c.isspace()", 'c in " \\t\\n\\r\\x0b\\x0c"'),),
        clue="white space of another kind",
    ),
)
