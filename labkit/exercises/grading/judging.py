"""`judge(my_test)`: is this test any good? It is tried on servers that are right, and on wrong ones.

A test is a function that takes a server's address and raises if the server is wrong. A good one accuses no
right server and misses no wrong one. The servers come from the exercise `server`: its answer, the other
right answers, and wrong versions with one bug each.

Server and test each run in a process of their own (server_child.py), a few at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from html import escape
from typing import Any

from labkit.exercises.catalogue import exercise_called
from labkit.exercises.general_hints import BUSY
from labkit.exercises.grading.checking import GRACE, YOUR_FILE, CannotTravel, parcel
from labkit.exercises.grading.process import Process

CHILD = "labkit.exercises.grading.server_child"

SECONDS = 6.0
"""Seconds that a test may take on one server."""

AT_ONCE = 4
"""Servers that are tried at the same time."""

JUDGED = (
    "the sender hears itself",
    "no name before the message",
    "takes the same nickname twice",
    "takes an empty nickname",
    "does not ask again",
    "a recv is a message",
    "the handshake in the accept loop",
    "decodes strictly",
    "tells nobody who left",
    "a nickname is taken for ever",
)
"""The wrong versions of the exercise `server` that a test is tried on."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a test said of one server.

    Args:
        server: its name: how it is made, or its bug.
        right: whether the server is right.
        accused: whether the test found it wrong.
        why: what the test said, or how it failed to end.
    """

    server: str
    right: bool
    accused: bool
    why: str

    @property
    def good(self) -> bool:
        """Whether the test was right."""
        return self.accused != self.right


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a test is worth. True if it accused no right server and caught every wrong one."""

    trials: tuple[Trial, ...]
    unusable: str = ""  # why it could not be tried at all

    @property
    def ok(self) -> bool:
        return not self.unusable and all(trial.good for trial in self.trials)

    def __bool__(self) -> bool:
        return self.ok

    @property
    def points(self) -> int:
        return len(JUDGED)

    @property
    def caught(self) -> int:
        """How many wrong servers it found wrong."""
        return sum(trial.accused for trial in self.trials if not trial.right)

    @property
    def accused(self) -> int:
        """How many right servers it found wrong."""
        return sum(trial.accused for trial in self.trials if trial.right)

    @property
    def score(self) -> int:
        """A point for each bug it caught; none if it accuses a right server, for then it proves nothing."""
        return 0 if self.accused or self.unusable else self.caught

    def as_json(self) -> dict[str, object]:
        """What a script wants to know of it."""
        trials = [
            {"server": t.server, "right": t.right, "accused": t.accused, "why": t.why} for t in self.trials
        ]
        return {
            "exercise": "judge",
            "ok": self.ok,
            "score": self.score,
            "points": self.points,
            "unusable": self.unusable or None,
            "trials": trials,
        }

    @property
    def headline(self) -> str:
        return f"judge: {JUDGE.title} — {self.score} of {self.points} points"

    @property
    def words(self) -> str:
        """The judgement in a sentence."""
        if self.unusable:
            return f"Your test could not be run: {self.unusable}."
        if self.accused:
            return (
                f"It accuses {self.accused} of {sum(t.right for t in self.trials)} right servers. "
                "A test that does so proves nothing: mend this first."
            )
        return f"It accuses no right server, and catches {self.caught} of {self.points} bugs."

    def _rows(self) -> Iterator[tuple[str, str, str, str]]:
        for trial in self.trials:
            kind = "right" if trial.right else "wrong"
            said = ("accused: " + trial.why) if trial.accused else "found nothing wrong"
            yield "✓" if trial.good else "✗", kind, trial.server, said

    def __str__(self) -> str:
        lines = [self.headline, ""]
        width = max((len(trial.server) for trial in self.trials), default=0)
        for sign, kind, server, said in self._rows():
            said = said if len(said) <= 70 else said[:69] + "…"
            lines.append(f"  {sign} {kind}  {server:<{width}}  {said}")
        return "\n".join([*lines, *[""] * bool(self.trials), self.words])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        good, bad = "var(--jp-success-color1, #388e3c)", "var(--jp-error-color1, #d32f2f)"
        cell = '<td style="text-align: left; vertical-align: top; padding: 1px 14px 1px 0'
        rows = "".join(
            f'<tr>{cell}; color: {good if sign == "✓" else bad}">{sign}</td>{cell}">{kind}</td>'
            f'{cell}">{escape(server)}</td>{cell}; white-space: normal">{escape(said)}</td></tr>'
            for sign, kind, server, said in self._rows()
        )
        return (
            f'<div style="border-left: 4px solid {good if self.ok else bad}; padding: 4px 12px">'
            f"<div><b>{escape(self.headline)}</b></div><div>{escape(self.words)}</div>"
            f'<table style="margin-top: 6px; border-collapse: collapse">{rows}</table></div>'
        )


def judge(test: Any, *, filename: str = YOUR_FILE) -> Judgement:
    """Try a test on right servers and on wrong ones.

    Args:
        test: a function that takes (host, port) and raises if the server there is wrong; or Python source
            that defines one called `my_test`.
        filename: what to call the source in errors.
    """
    try:
        job = parcel(test, filename) | {"role": "test", "wants": JUDGE.wants, "seconds": SECONDS}
    except CannotTravel as error:
        return Judgement((), str(error))
    exercise = exercise_called("server")
    servers = [("the answer", True, exercise.solution)]
    servers += [(style, True, exercise.other(style)) for style in exercise.others]
    wrong = {version.name: version for version in exercise.wrong}
    servers += [(name, False, exercise.version(wrong[name])) for name in JUDGED]

    def attempt(server: tuple[str, bool, str]) -> Trial:
        name, right, source = server
        return Trial(name, right, *_try(job, source))

    try:
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="labkit-judge") as pool:
            trials = list(pool.map(attempt, [server for server in servers if server[1]]))
            if not all(trial.accused for trial in trials):  # else it would accuse the wrong ones, too
                trials += pool.map(attempt, [server for server in servers if not server[1]])
    except Unusable as error:
        return Judgement((), str(error))
    return Judgement(tuple(trials))


class Unusable(Exception):
    """The test itself cannot be run."""


def _try(test: dict[str, Any], server: str) -> tuple[bool, str]:
    """Whether the test accuses this server, and why."""
    job = parcel(server) | {"role": "server", "wants": "serve"}
    with Process(CHILD, job) as serving:
        report = serving.report(SECONDS)
        if report is None or report["state"] != "listening":
            raise RuntimeError(f"a server of ours does not start: {report}, {serving.printed}")
        with Process(CHILD, test | {"address": report["address"]}) as testing:
            try:
                said = testing.report(SECONDS + GRACE)
            except TimeoutError:
                return True, f"it did not end within {SECONDS:g} s"
            match said:
                case {"state": "right"}:
                    return False, ""
                case {"state": "wrong", "why": why}:
                    return True, why
                case {"state": "unusable", "why": why}:
                    raise Unusable(why)
                case {"state": "stuck", "clue": clue, "at": at}:
                    doing = "still at work" if clue == BUSY else "still waiting"
                    return True, f"{doing} after {SECONDS:g} s, in {'; '.join(at)}"
                case {"state": "storm"}:
                    return True, "it printed without an end"
            return True, f"its process ended {testing.status}"


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be written: see Exercise."""

    title: str
    wants: str
    task: str
    answer: str

    @property
    def points(self) -> int:
        return len(JUDGED)


JUDGE = Task(
    title="write the test yourself",
    wants="my_test",
    task="""
    How do you know that a server is right? Write `my_test(address)`: it connects to the server at
    `address`, a pair of host and port, tries it, and raises an exception if something is wrong (`assert`
    does). If all is right, it returns. It has 6 seconds.

    It is run against four right servers, which differ in everything that the wire leaves open, and against
    ten wrong ones, with one bug each. Accuse no right server; catch as many bugs as you can.

    The wire: lines that end with LF. The server asks `nickname`; the answer is a nickname. It welcomes
    with `* you are alice, in lobby`, or refuses with `! ` and a reason, and asks again. What alice says,
    all others hear as `alice: hello`, and she does not. `* alice joined` and `* alice left (hung up)` are
    told to the others; in the brackets stands why. An empty nickname, or one that is taken, is refused.
    What is not UTF-8 ends no connection.
    """,
    answer='''
    import socket


    class Person:
        """A client: a socket that says lines and hears lines."""

        def __init__(self, address, nickname=None):
            self.sock = socket.create_connection(address, timeout=2)
            self.reader = self.sock.makefile("r", encoding="utf-8", newline="\\n")
            if nickname is not None:
                assert self.hears() == "nickname"
                self.says(nickname)
                self.hears_until(f"* you are {nickname}")

        def says(self, text):
            self.sock.sendall(text.encode() + b"\\n")

        def leaves(self):
            """Say goodbye: FIN."""
            self.sock.shutdown(socket.SHUT_WR)

        def hears(self):
            """The next line; times out, and so raises, if none comes."""
            return self.reader.readline().rstrip("\\n")

        def hears_until(self, start):
            """The lines up to one that begins so."""
            lines = [self.hears()]
            while not lines[-1].startswith(start):
                assert lines[-1] or len(lines) < 100, f"nothing that begins with {start!r} came"
                lines.append(self.hears())
            return lines


    def my_test(address):
        """Raise if the server at this address is wrong."""
        ### BEGIN SOLUTION
        silent = Person(address)  # does not answer, and no client must wait for it
        assert silent.hears() == "nickname"
        alice, bob = Person(address, "alice"), Person(address, "bob")

        # What one says, the others hear, with the name before it; and not the speaker.
        alice.says("one\\ntwo")
        assert bob.hears_until("alice: one")
        assert bob.hears() == "alice: two"
        bob.says("three")
        heard = alice.hears_until("bob: three")
        assert not any("one" in line for line in heard), "alice heard herself"

        # Nicknames that are taken or empty are refused, and asked for again.
        for unfit in ("alice", ""):
            other = Person(address)
            assert other.hears() == "nickname"
            other.says(unfit)
            assert other.hears().startswith("! "), f"{unfit!r} was not refused"
            assert other.hears() == "nickname", "not asked again"

        # What is not UTF-8 ends no connection.
        alice.sock.sendall(b"caf\\xe9\\n")
        alice.says("still here")
        bob.hears_until("alice: still here")

        # A leaving is told to the others, and the nickname is free.
        alice.leaves()
        bob.hears_until("* alice left")
        Person(address, "alice")
        ### END SOLUTION
    ''',
)
