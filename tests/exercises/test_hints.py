"""What students really get wrong, and whether what is told leads to it: the line, and the bug's name."""

from __future__ import annotations

from textwrap import dedent

import pytest
from checks import judged

from labkit.exercises import exercise_called
from labkit.exercises.exercise import Exercise
from labkit.exercises.grading import checking

FRAMING, ROSTER, ACCEPT = map(exercise_called, ("framing", "roster", "accept"))


def wrong(exercise: Exercise, *swaps: tuple[str, str]) -> str:
    """The answer with these texts exchanged."""
    source = exercise.solution
    for old, new in swaps:
        assert old in source, old
        source = source.replace(old, new)
    return source


def framing(body: str) -> str:
    """A Framing with this feed."""
    indented = "".join(f"        {line}\n" for line in dedent(body).strip("\n").split("\n"))
    start = 'class Framing:\n    def __init__(self):\n        self.rest = b""\n\n'
    return f"{start}    def feed(self, data):\n{indented}"


RETURN = 'return [line.removesuffix(b"\\r").decode("utf-8", "replace") for line in lines]'
CUT = '*lines, self.rest = (self.rest + data).split(b"\\n")'
RIGHT = f"{CUT}\n{RETURN}"

LOADING: dict[str, tuple[str, list[str]]] = {
    "another name": ("class Framer:\n    pass\n", ["line 1: `Framer`: the task calls it `Framing`"]),
    "small letters": ("class framing:\n    pass\n", ["the task calls it `Framing`"]),
    "by its methods": (
        FRAMING.solution.replace("class Framing", "class LineCutter"),
        ["`LineCutter`: the task"],
    ),
    "nothing near": (
        "def helper():\n    pass\n\n\nclass Other:\n    pass\n",
        ["helper (line 1), Other (line 5)"],
    ),
    "only comments": ("# to do\n", ["no function and no class", "only comments"]),
    "nested in a function": (
        "def main():\n    class Framing:\n        pass\n",
        ["line 2: `Framing` is defined inside main", "left edge"],
    ),
    "under the main guard": (
        'if __name__ == "__main__":\n    class Framing:\n        pass\n',
        ["line 2: `Framing` is defined under an `if`"],
    ),
    "a magic": (f"%matplotlib inline\n{FRAMING.solution}", ["line 1", "a magic of IPython"]),
    "a shell's line": (f"!pip install labkit\n{FRAMING.solution}", ["line 1", "a magic of IPython"]),
    "a prompt": (">>> class Framing:\n...     pass\n", ["line 1", "prompt was copied"]),
    "a fence": (f"```python\n{FRAMING.solution}```\n", ["line 1", "the fence was copied"]),
    "a merge conflict": (
        f"<<<<<<< HEAD\n{FRAMING.solution}=======\n>>>>>>> mine\n",
        ["line 1", "git left both"],
    ),
    "typographic quotes": ("LF = \u201c\\n\u201d\n", ["line 1", "quotes are those of a text"]),
    "a hard space": ("x\u00a0=\u00a01\n", ["line 1", "U+00A0"]),
    "no colon": ("class Framing\n    pass\n", ["line 1", "colon"]),
    "no colon at def": ("class Framing:\n    def feed(self, data)\n        pass\n", ["line 2", "colon"]),
    "= for ==": ("def f(x):\n    if x = 3:\n        pass\n", ["line 2", "to compare, write =="]),
    "tabs and spaces": ("def f():\n        x = 1\n\tx = 2\n", ["line 3", "tabs"]),
    "indentation": ("def f():\n    x = 1\n  y = 2\n", ["line 3", "neither with the block above"]),
    "an empty block": ("def f():\nx = 1\n", ["line 2", "a block must follow"]),
    "a bracket": ("x = (1,\ny = 2\n", ["line 1", "count the brackets"]),
    "a quote": ("x = 'abc\ny = 2\n", ["line 1", "closing quote"]),
    "print of Python 2": ("print 'hello'\n", ["line 1", "print is a function"]),
    "else if": ("if 1:\n    pass\nelse if 2:\n    pass\n", ["line 3", "Python writes elif"]),
    "++": ("x = 1\nx++\n", ["line 2", "no ++"]),
    "&&": ("if 1 && 2:\n    pass\n", ["line 1", "`and`"]),
    "return outside": ("x = 1\nreturn x\n", ["line 2", "outside of every function"]),
    "await": ("def f():\n    await g()\n", ["line 2", "async def"]),
    "an instance": (
        f"{FRAMING.solution}\n\nFraming = Framing()\n",
        ["`Framing = Framing()` gives the name Framing"],
    ),
    "a number": ("Framing = 3\n", ["of the type int", "line 1: `Framing = 3`"]),
    "exit at the end": (
        f"{FRAMING.solution}\nexit()\n",
        ["line 12: `exit()` runs when the file is loaded", "__main__"],
    ),
    "sys.exit": (
        f"import sys\n{FRAMING.solution}\nsys.exit(0)\n",
        ["SystemExit", "runs when the file is loaded"],
    ),
    "input": (
        f"{FRAMING.solution}\nname = input('name? ')\n",
        ["EOFError", "`name = input(", "no keyboard"],
    ),
    "a missing module": (
        "import helpers_of_mine\n",
        ["No module named 'helpers_of_mine'", "line 1", "handed in, too"],
    ),
    "a relative import": ("from . import helpers\n", ["ImportError", "import helper"]),
    "a demo that fails": (
        f"{FRAMING.solution}\nprint(Framing().fed(b''))\n",
        ["AttributeError", "runs when the file"],
    ),
    "a loop at the top": (
        f"{FRAMING.solution}\nwhile True:\n    pass\n",
        ["`while True:` runs when"],
    ),
    "a server at the top": (
        f"import socket\n{FRAMING.solution}\nserver = socket.create_server(('127.0.0.1', 0))\n"
        f"server.accept()\n",
        ["`server.accept()` runs when the file is loaded"],
    ),
}

FEEDS: dict[str, tuple[str, list[str]]] = {
    "yield": (f"{CUT}\nfor line in lines:\n    yield line.decode()", ["a generator", "feed has a `yield`"]),
    "print": (
        f"{CUT}\nfor line in lines:\n    print(line.decode())",
        ["a list from feed", "None", "feed prints, and"],
    ),
    "no return": (
        f"{CUT}\nlines = [line.decode() for line in lines]",
        ["None", "feed has no `return` with a value"],
    ),
    "no return on one path": (
        f"{CUT}\nif len(lines) > 1:\n    {RETURN}",
        ["None", "without a `return` that has"],
    ),
    "a set": (f"{CUT}\nreturn {{line.decode() for line in lines}}", ["a set, which has no order", "list"]),
    "a view": (
        f"{CUT}\nreturn {{line.decode(): 1 for line in lines}}.keys()",
        ["view of a dict (dict_keys)"],
    ),
    "a map": (f"{CUT}\nreturn map(bytes.decode, lines)", ["an iterator (map)", "gone through once"]),
    "a generator expression": (f"{CUT}\nreturn (line.decode() for line in lines)", ["a generator"]),
    "a tuple": (f"{CUT}\nreturn tuple(line.decode() for line in lines)", ["a tuple: ('hello',)"]),
    "bytes": (f"{CUT}\nreturn lines", ["[b'hello']", "which call makes text of them?"]),
    "one text": (f"{CUT}\nreturn lines[0].decode()", ["str: 'hello'", "a list from feed"]),
    "the LF is kept": ("return [data.decode()]", ["'hello\\n': the LF at its end is still there"]),
    "str() of bytes": (
        f"{CUT}\nreturn [str(line) for line in lines]",
        ["`str(line)` of bytes", "Use .decode()"],
    ),
    "the first round": (
        f"{CUT}\nfor line in lines:\n    return [line.decode()]",
        ["ends in its first round"],
    ),
    "decodes first": (
        'self.text = getattr(self, "text", "") + data.decode("utf-8", "replace")\n'
        '*lines, self.text = self.text.split("\\n")\nreturn [line.removesuffix("\\r") for line in lines]',
        ["decodes what one recv returned", "cut them at b'\\n'"],
    ),
    "a loop that does not end": (
        'while b"\\n" in data:\n    pass\nreturn []',
        ['while b"\\n" in data'],
    ),
    "recursion": (f"lines = self.feed(data)\n{RETURN}", ["RecursionError", "feed calls itself here"]),
    "much memory": ("return [data * 10**11]", ["MemoryError", "What grows there"]),
    "not called": (f"{CUT}\nlines.sort\nlines.clear\nreturn lines.copy", ["`lines.sort` only names it"]),
    "hides list": (
        "list = (self.rest + data).split(b'\\n')\nreturn list(list)",
        ["`list`, a name of Python's own"],
    ),
    "storm": (
        "while True:\n    print(data * 1000)",
        ["more than 5,000,000 bytes", "from within which loop"],
    ),
    "exit": ("import sys\nsys.exit(0)", ["your code called sys.exit()", "sys.exit() ends the program"]),
    "a misspelt attribute": ("return self.lines + [data]", ["no attribute 'lines'", "line 6"]),
    "a name of nothing": (f"{CUT}\nreturn [l.decode() for l in line]", ["NameError", "line 7"]),
    "no self on rest": ("rest = rest + data\nreturn []", ["UnboundLocalError", "Is self.rest meant?"]),
}

CLASSES: dict[str, tuple[str, list[str]]] = {
    "async": (
        FRAMING.solution.replace("    def feed", "    async def feed"),
        ["a coroutine", "`async def feed`: a call"],
    ),
    "shared": (
        "class Framing:\n    rest = bytearray()\n\n    def feed(self, data):\n        self.rest += data\n"
        '        *lines, rest = bytes(self.rest).split(b"\\n")\n        self.rest[:] = rest\n        '
        + RETURN
        + "\n",
        ["line 2: all objects share `rest`", "__init__"],
    ),
    "by the class's name": (
        wrong(
            FRAMING,
            ('        self.rest = b""', "        pass"),
            ("class Framing:", 'class Framing:\n    rest = b""'),
            ("*lines, self.rest = (self.rest", "*lines, Framing.rest = (Framing.rest"),
        ),
        ["line 2: all objects share `rest`"],
    ),
    "a default that is shared": (
        "class Framing:\n    def __init__(self, rest=bytearray()):\n        self.rest = rest\n\n"
        "    def feed(self, data):\n        self.rest += data\n"
        "        *lines, rest = bytes(self.rest).split(b'\\n')\n"
        "        self.rest[:] = rest\n        " + RETURN + "\n",
        ["line 2: this default is made once"],
    ),
    "one underscore": (wrong(FRAMING, ("__init__", "_init_")), ["`_init_` is never called", "__init__"]),
    "no self": (
        wrong(FRAMING, ("def feed(self, data: bytes)", "def feed(data: bytes)")),
        ["first parameter of a method is self"],
    ),
    "another method": (wrong(FRAMING, ("def feed", "def fead")), ["`fead`: the task calls it `feed`"]),
    "outside of the class": (
        "class Framing:\n    def __init__(self):\n        self.rest = b''\n\n\ndef feed(self, data):\n"
        "    return []\n",
        ["line 6: `feed` is defined here, outside of the class", "indentation"],
    ),
    "inside __init__": (
        "class Framing:\n    def __init__(self):\n        self.rest = b''\n\n"
        "        def feed(self, data):\n            return []\n",
        ["line 5: `feed` is defined here, inside __init__"],
    ),
    "finally: return": (
        framing(f"try:\n    {CUT}\n    lines = lines[5]\nfinally:\n    return []"),
        ["`return` in a finally swallows every exception"],
    ),
    "except: pass": (
        framing("lines = []\ntry:\n    lines = dta.split(b'\\n')\nexcept:\n    pass\nreturn lines"),
        ["`except:` hides every error", "Print it there"],
    ),
}

LOCK = "        self.lock = threading.Lock()  # guards nicknames\n"

RACES: dict[str, tuple[str, list[str]]] = {
    "a view": (
        wrong(ROSTER, ("return list(self.nicknames.items())", "return self.nicknames.items()")),
        ["a view of a dict (dict_items)", "a list from everyone()"],
    ),
    "a set": (
        wrong(ROSTER, ("return list(self.nicknames.items())", "return set(self.nicknames.items())")),
        ["a set, which has no order"],
    ),
    "a dict": (
        wrong(ROSTER, ("return list(self.nicknames.items())", "return dict(self.nicknames)")),
        ["dict: {", "a list from everyone()"],
    ),
    "async": (
        wrong(ROSTER, ("    def everyone", "    async def everyone")),
        ["a coroutine: everyone is `async def`"],
    ),
    "yield": (
        wrong(ROSTER, ("return list(self.nicknames.items())", "yield from self.nicknames.items()")),
        ["a generator", "`yield` makes everyone a generator"],
    ),
    "add returns nothing": (
        wrong(
            ROSTER,
            (
                "            self.nicknames[client] = nickname\n            return True",
                "            self.nicknames[client] = nickname",
            ),
        ),
        ["True from add(", "None", "without a `return`"],
    ),
    "with Lock()": (
        wrong(ROSTER, ("with self.lock:", "with threading.Lock():")),
        ["`with threading.Lock()` makes a new lock each time", "keeps nobody out"],
    ),
    "a lock of the method": (
        wrong(ROSTER, ("        with self.lock:", "        lock = threading.Lock()\n        with lock:")),
        ["`lock = threading.Lock()` makes a new lock each time"],
    ),
    "not released on one path": (
        wrong(
            ROSTER,
            (
                "        with self.lock:\n"
                "            if client in self.nicknames or nickname in self.nicknames.values():\n"
                "                return False\n            self.nicknames[client] = nickname\n"
                "            return True\n",
                "        self.lock.acquire()\n"
                "        if client in self.nicknames or nickname in self.nicknames.values():\n"
                "            return False\n        self.nicknames[client] = nickname\n"
                "        self.lock.release()\n        return True\n",
            ),
        ),
        ["`return False` leaves with self.lock held, taken in line"],
    ),
    "never released": (
        wrong(
            ROSTER,
            (
                "        with self.lock:\n            return self.nicknames.get(client)",
                "        self.lock.acquire()\n        return self.nicknames.get(client)",
            ),
        ),
        ["self.lock is taken here, and nickname_of never releases it"],
    ),
    "taken twice": (
        wrong(
            ROSTER,
            (
                "        with self.lock:\n            if client in self.nicknames or",
                "        with self.lock:\n            if self.nickname_of(client) is not None or",
            ),
        ),
        ["nickname_of, called here, takes self.lock, which is held"],
    ),
}

LOOP = "        threading.Thread(target=handle_client, args=(client,), daemon=True).start()"

SOCKETS: dict[str, tuple[str, list[str]]] = {
    "no thread": (
        wrong(ACCEPT, (LOOP, "        handle_client(client)"), ("import threading\n", "")),
        ["there is no thread here"],
    ),
    "called, not passed": (
        wrong(ACCEPT, ("target=handle_client, args=(client,)", "target=handle_client(client)")),
        ["`handle_client(client)` is called here", "target=handle_client, args=(client,)"],
    ),
    "no start": (wrong(ACCEPT, (").start()", ").start")), ["only names it", ".start()"]),
    "no LF": (wrong(ACCEPT, ('b"nickname\\n"', 'b"nickname"')), ["'nickname' came without its LF"]),
    "a str is sent": (
        wrong(ACCEPT, ('b"nickname\\n"', '"nickname\\n"')),
        ["bytes-like", "mixes bytes and str"],
    ),
    "the file keeps it open": (
        wrong(
            ACCEPT,
            (
                '        with client, client.makefile("rb") as reader:\n',
                '        reader = FILES[client] = client.makefile("rb")\n        with client:\n',
            ),
            ("import threading\n", "import threading\n\nFILES = {}\n"),
        ),
        ["stays open as long as a file made of it is"],
    ),
    "async serve": (
        wrong(ACCEPT, ("def serve", "async def serve")),
        ["`async def serve`: a call makes a coroutine"],
    ),
    "bytes and str": (
        wrong(
            ACCEPT,
            (
                "            while reader.readline():\n                pass",
                "            while True:\n                data = client.recv(100)\n"
                '                if data == "":\n                    break',
            ),
        ),
        ["is never true: recv returns bytes"],
    ),
    "None for the end": (
        wrong(
            ACCEPT,
            (
                "            while reader.readline():\n                pass",
                "            while (data := client.recv(100)) is not None:\n                pass",
            ),
        ),
        ["recv never returns None"],
    ),
}

TABLE = [
    *(("framing", f"load: {name}", *row) for name, row in LOADING.items()),
    *(("framing", f"feed: {name}", framing(source), words) for name, (source, words) in FEEDS.items()),
    *(("framing", f"class: {name}", *row) for name, row in CLASSES.items()),
    *(("roster", f"roster: {name}", *row) for name, row in RACES.items()),
    *(("accept", f"accept: {name}", *row) for name, row in SOCKETS.items()),
]


@pytest.mark.parametrize(
    ("exercise", "source", "words"), [pytest.param(e, s, w, id=name) for e, name, s, w in TABLE]
)
def test_what_is_told_leads_to_the_bug(
    exercise: str, source: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of these words stands in the result, before any further hint is asked for."""
    if exercise == "framing" and "print" not in source:  # what ends does so in milliseconds
        monkeypatch.setattr(checking, "STEP_SECONDS", 1.0)
    result = judged(exercise, source)
    assert not result.ok
    told = " ".join(str(result).split())
    for word in words:
        assert word in told, str(result)
