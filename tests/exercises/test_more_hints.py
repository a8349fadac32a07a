"""What is told of the bugs that servers and clients have: the line, and the bug's name.

Each row is an exercise's own answer with one thing exchanged, as a student might have written it.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from checks import judged
from support import until_judged

from labkit.exercises import NAMES, exercise_called, judge
from labkit.exercises.diagnosis import errors, locks, shape, stream
from labkit.exercises.diagnosis.code import Code, Failed
from labkit.exercises.diagnosis.finding import look_at
from labkit.exercises.diagnosis.testing import look_at_test
from labkit.exercises.exercise import Exercise
from labkit.exercises.grading import explaining
from labkit.exercises.grading.judging import Judgement, Trial

Row = tuple[str, list[tuple[str, str]], list[str]]

BUGS: dict[str, Row] = {
    "a recv is a message": (
        "goodbye",
        [
            ('*lines, rest = (rest + data).split(b"\\n")\n            for line in lines:', "if True:"),
            ('hear(line.decode("utf-8", "replace"))', 'hear(data.decode("utf-8", "replace").strip("\\n"))'),
        ],
        ["hear('one\\ntwo\\nth')", "one recv is taken for one message"],
    ),
    "decodes before it cuts": (
        "goodbye",
        [
            ('(rest + data).split(b"\\n")', '(rest + data.decode("utf-8", "replace")).split("\\n")'),
            ('rest = b""', 'rest = ""'),
            ('hear(line.decode("utf-8", "replace"))', "hear(line)"),
        ],
        ["hear('señora')", "decodes what one recv returned", "decode whole lines"],
    ),
    "splitlines": (
        "goodbye",
        [('*lines, rest = (rest + data).split(b"\\n")', "lines = data.splitlines()")],
        ["`data.splitlines()`: what follows the last LF is half a line"],
    ),
    "bytes are heard": (
        "goodbye",
        [('line.decode("utf-8", "replace")', "line")],
        ["b'hi' is bytes, and text is wanted"],
    ),
    "text of bytes": (
        "goodbye",
        [('line.decode("utf-8", "replace")', "str(line)")],
        ["`str(line)` of bytes"],
    ),
    "finally: return": (
        "goodbye",
        [("        gone(reason)", "        gone(reason)\n        return")],
        ["KeyError comes out of handle_client", "`return` in a finally swallows every exception"],
    ),
    "an error in the finally": (
        "goodbye",
        [("        gone(reason)", "        gone(reason)\n        client.shutdown(2)")],
        ["OSError came out of it", "client.shutdown(2)", "then something raised"],
    ),
    "a client that is silent": (
        "goodbye",
        [("    try:\n        while", "    client.settimeout(0.0001)\n    try:\n        while")],
        ["`client.settimeout(0.0001)`: one who is silent"],
    ),
    "the keyboard of the check": (
        "nickname",
        [("line = reader.readline()", "line = input().encode()")],
        ["EOFError", "input() found no keyboard"],
    ),
    "bytes are returned": ("nickname", [("return nickname\n", "return line\n")], ["b'alice' is bytes"]),
    "the LF is kept": (
        "nickname",
        [('.removesuffix("\\n").removesuffix("\\r")', "")],
        ["readline returns the line with its LF"],
    ),
    "other parameters": (
        "nickname",
        [("(client, reader, nicknames)", "(client, nicknames)")],
        ["ask_nickname(client, nicknames): the task calls it with (client, reader, nicknames)"],
    ),
    "a line is printed": (
        "nickname",
        [("return nickname\n", "print(nickname)\n")],
        ["ask_nickname prints, and returns nothing"],
    ),
    "return for continue": (
        "broadcast",
        [("            continue\n", "            return\n")],
        ["`return` ends the whole loop"],
    ),
    "close is not called": (
        "broadcast",
        [("client.close()", "client.close")],
        ["`client.close` only names it"],
    ),
    "loops over what it changes": (
        "broadcast",
        [("list(clients)", "clients")],
        ["`clients` changes while this loop", "list(clients)"],
    ),
    "sends text": (
        "broadcast",
        [("sendall(line)", "sendall(line.decode())")],
        ["`client.sendall(line.decode())` mixes"],
    ),
    "args without a comma": (
        "accept",
        [("args=(client,)", "args=(client)")],
        ["`args=client` is no tuple", "(client,)"],
    ),
    "a misspelt name in a thread": (
        "accept",
        [("client.sendall(b", "clinet.sendall(b")],
        ["a thread died: NameError", "`clinet` is nowhere given a value. Is client meant?"],
    ),
    "a misspelt name, hidden": (
        "accept",
        [
            ("client.sendall(b", "clinet.sendall(b"),
            ("    except OSError:\n        pass  #", "    except:\n        pass  #"),
        ],
        ["`except:` hides every error", "Print it there"],
    ),
    "an import is missing": (
        "accept",
        [("import threading\n", "")],
        ["`threading` is a module: import threading"],
    ),
    "bytes in an f-string": (
        "accept",
        [('reader.readline().decode("utf-8", "replace").strip()', "client.recv(100)")],
        ["`{nickname}` is bytes"],
    ),
    "start is not called": (
        "shutdown",
        [("self.acceptor.start()", "self.acceptor.start")],
        ["`self.acceptor.start` only names it"],
    ),
    "target is called": (
        "shutdown",
        [("target=self.handle_client, args=(client,)", "target=self.handle_client(client)")],
        ["`self.handle_client(client)` is called here, before the thread is made"],
    ),
    "a method is misspelt": (
        "shutdown",
        [("def stop(", "def stopp(")],
        ["`stopp`: the task calls it `stop`"],
    ),
    "join under the lock": (
        "shutdown",
        [
            (
                "        for thread in self.threads:\n            thread.join()",
                "            for thread in self.threads:\n                thread.join()",
            )
        ],
        ["`thread.join()` waits for a thread while self.lock is held"],
    ),
    "the greeting without LF": (
        "shutdown",
        [('b"* hello\\n"', 'b"* hello"')],
        ["'* hello' came without its LF"],
    ),
    "is_set is not called": (
        "client",
        [("leaving.is_set()", "leaving.is_set")],
        ["`leaving.is_set` is the method itself"],
    ),
    "prints": ("client", [("    show(line)", "    print(line)")], ["`print(line)`: the task says show(…)"]),
    "types without LF": ("client", [('.encode() + b"\\n"', ".encode()")], ["it heard 'alice', and no LF"]),
    "a thread is not started": (
        "slow",
        [("        self.thread.start()\n", "")],
        ["`self.thread` is made, and never started"],
    ),
    "a set of members": (
        "lock",
        [
            (
                "return [nickname for nickname, where in self.room_of.items() if where == room]",
                "return {nickname for nickname, where in self.room_of.items() if where == room}",
            )
        ],
        ["a set, which has no order", "a list from members("],
    ),
    "a path without return": (
        "lock",
        [
            (
                "            self.room_of[nickname] = self.lobby\n            return True",
                "            self.room_of[nickname] = self.lobby",
            )
        ],
        ["True from claim('alice')", "claim can come to its end without a `return`"],
    ),
    "a property that makes locks": (
        "lock",
        [
            (
                "    def claim(",
                "    @property\n    def lock(self):\n        return threading.RLock()\n\n    def claim(",
            ),
            ("        self.lock = threading.RLock()  # guards both; who holds it may take it again\n", ""),
        ],
        ["makes a new lock each time"],
    ),
    "a Lock that is taken twice": (
        "lock",
        [("RLock()", "Lock()")],
        ["claim, called here, takes self.lock"],
    ),
    "calls out under the lock": (
        "lock",
        [
            (
                "        for nickname in self.members(room):\n            send(nickname)",
                "        with self.lock:\n            for nickname in self.members(room):\n"
                "                send(nickname)",
            )
        ],
        ["`send(nickname)` is called with self.lock held"],
    ),
    "serves in the loop": (
        "server",
        [
            (
                "        threading.Thread(target=handle_client, args=(chat, sock), daemon=True).start()",
                "        handle_client(chat, sock)",
            )
        ],
        ["`handle_client(chat, sock)` serves one client"],
    ),
    "an attribute is misspelt": (
        "server",
        [("chat.say(client", "chat.says(client")],
        ["`.says`: a Chat has .say"],
    ),
}


@pytest.mark.parametrize("bug", BUGS)
def test_what_is_told_leads_to_the_bug(bug: str) -> None:
    """Each of these words stands in the result, before any further hint is asked for."""
    name, swaps, words = BUGS[bug]
    source = exercise_called(name).solution
    for old, new in swaps:
        assert old in source, old
        source = source.replace(old, new)
    result = judged(name, source)
    assert not result.ok
    told = " ".join(str(result).split())
    for word in words:
        assert word in told, str(result)


# --- the rules themselves ---

NEUTRAL = Failed("", "", False)
RULES = (*errors.RULES, *shape.RULES, *locks.RULES, *stream.RULES)


def right_answers() -> list[tuple[Exercise, str]]:
    exercises = [exercise_called(name) for name in NAMES]
    answers = [(exercise, exercise.solution) for exercise in exercises]
    return answers + [
        (exercise, exercise.other(style)) for exercise in exercises for style in exercise.others
    ]


def test_right_code_is_not_suspected() -> None:
    """Of right answers in every style no rule says anything, as long as the failure gives it no reason."""
    answers = right_answers()
    assert len(answers) > 40
    for exercise, source in answers:
        assert look_at(Code(source, exercise.wants, exercise.solution), NEUTRAL) == (), source


def test_no_rule_raises() -> None:
    """Whatever the source is, and whatever failed: labkit's own modules, and two that are not wanted."""
    everything = (
        "True from f('x\\n')\0None nothing still open no FIN 'x' b'x' UnicodeDecodeError \ufffd "
        "RecursionError positional argument NameError: name 'x' is not defined in line 3"
    )
    for module in (explaining, errors, locks, shape, stream):
        assert module.__file__ is not None
        with open(module.__file__, encoding="utf-8") as file:
            source = file.read()
        for wants in ("findings", "Text", "nobody"):
            code = Code(
                source, wants, "def findings(a): return a\nclass Text:\n    def first_line(self): return 1"
            )
            for rule in RULES:
                assert all(
                    finding.name and finding.words
                    for finding in rule(code, Failed("cut", everything, True))
                )


@pytest.mark.parametrize("source", ["", "x = (", "class Framing:\n" + "    def f(self): pass\n" * 9000])
def test_source_that_no_rule_can_read(source: str) -> None:
    """Nothing is told, and nothing is raised."""
    text = explaining.Text(source)
    assert explaining.findings(exercise_called("framing"), text, "a step", ("a", "b"), "") == ()


# --- a test of a server ---


@pytest.mark.parametrize(
    ("body", "line", "words"),
    [
        ("    assert (1 == 2, 'why')", 2, "tuple is always true"),
        ("    assert 'nickname'", 2, "always true"),
        ("    return False", 2, "nobody looks at what"),
        ("    print('wrong')", 2, "nobody reads what"),
        ("    pass", 1, "no assert and no raise"),
        (
            "    try:\n        assert address\n    except Exception:\n        pass",
            4,
            "catches what the asserts",
        ),
        ("    yield 1\n    assert address", 1, "runs nothing of it"),
    ],
)
def test_a_test_that_finds_nothing_is_told_why(body: str, line: int, words: str) -> None:
    """Beside how many bugs it caught; a test that raises is not suspected."""
    found = look_at_test(f"def my_test(address):\n{body}\n", "my_test")
    assert (found[0].line, words in found[0].words) == (line, True), found
    told = Judgement((Trial("right", True, False, ""), Trial("wrong", False, False, "")), look_at=found)
    assert f"Look at line {line}: " in str(told) and found[0].words in str(told)
    assert told.as_json()["look_at"]
    caught = replace(told, trials=told.trials[:1] + (Trial("wrong", False, True, "why"),))
    assert "Look at" not in str(caught) and caught.as_json()["look_at"] == []
    assert look_at_test("def my_test(address):\n    assert address, 'why'\n", "my_test") == ()


def test_judge_looks_at_the_test() -> None:
    """A test that returns its verdict accuses no server, and is told why it catches none."""
    found = until_judged(lambda: judge("def my_test(address):\n    return False\n"))
    assert found.caught == 0 and "line 2: `return False`: nobody looks at" in str(found)
