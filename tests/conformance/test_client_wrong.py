"""`check client` names what is wrong with a client, and accuses it of nothing else."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from labkit.conformance.behaviour import Behaviour, Section
from labkit.conformance.client.behaviours import BEHAVIOURS
from labkit.conformance.client.client_under_test import ClientUnderTest
from labkit.conformance.client.dying import DYING
from labkit.conformance.client.hearing import HEARING
from labkit.conformance.client.joining import JOINING
from labkit.conformance.client.leaving import LEAVING
from labkit.conformance.client.run import check_client
from labkit.conformance.client.saying import SAYING, _arrives_at_last
from labkit.conformance.client.way import Way
from labkit.conformance.report import MISSED

THREADS = Path(__file__).parent / "clients" / "threads.py"

FAULTS = {
    "does not wait for the request": "it gives its nickname when it is asked",
    "another sender for each request": "asked again, another nickname can be given",
    "answers no request": "it gives its nickname when it is asked",
    "forgets what is behind the request": "a line right behind the request is shown",
    "the request in one recv": "a request that comes in pieces is answered",
    "any line with the word": "the request in another's words is none",
    "shows the request": "a request that it answers itself is not shown",
    "the same nickname again": "asked again, another nickname can be given",
    "hides refusals": "why a nickname was refused is shown",
    "shows after Enter": "what others say is shown while its user types nothing",
    "only whole lines in a recv of lines": "lines that come in one send are all shown, once",
    "keeps one piece": "a line that comes in pieces is shown as one",
    "decodes Latin-1": "another alphabet is shown as it is",
    "decodes what recv brings": "a letter that is cut in two is shown whole",
    "decodes strictly": "bytes that are not UTF-8 do not end it",
    "no long lines": "a long line is shown whole",
    "splits at the colon": "a line of any form is shown",
    "a line is a format": "signs are shown as they are",
    "hides its own nickname": "its own nickname in a line hides nothing",
    "hides whoever speaks to it": "its own nickname in a line hides nothing",
    "forty lines": "many lines are all shown, once and in order",
    "keeps the timeout": "a silence of the server does not end it",
    "no LF": "a line that is typed arrives, with its end",
    "sends twice": "a line that is typed arrives once",
    "word by word": "words with spaces between arrive as one line",
    "waits for an answer": "line after line arrives while the server is silent",
    "all that is read is one message": "lines that are typed at once all arrive",
    "sends ASCII": "another alphabet arrives as it was typed",
    "cuts a text": "a long line arrives whole",
    "an empty line ends": "an empty line does not end it",
    "shows under the sender's lock": "while the server does not read, others are heard",
    "no goodbye": "when its input ends, it hangs up",
    "the end of its input is a traceback": "when its input ends, it hangs up",
    "a queue that is not emptied": "the last line before the end of its input arrives",
    "no last line without LF": "a last line that lacks its end arrives",
    "waits for ever": "once its input has ended, and the server hangs up, it ends",
    "a circle at the end": "its end is quiet: it does not run in a circle",
    "Ctrl-C is not heeded": "Ctrl-C ends it quietly",
    "Ctrl-C is a traceback": "Ctrl-C ends it quietly",
    "no end": "the server's goodbye is noticed",
    "says the end and stays": "once the server is gone, it ends",
    "a traceback at the end": "it tells the server's end in words",
    "shows a little later": "what is said right before the goodbye is shown",
    "reset kills the thread": "a reset is noticed like a goodbye",
    "no end in the handshake": "a goodbye instead of the request ends it",
    "reset in the handshake kills the thread": "a reset instead of the request ends it",
    "no end in a line": "a goodbye in the middle of a line is noticed",
    "no connection is a traceback": "where nobody listens, it says so",
}
"""The faults that threads.py can have, and the one behaviour that each of them breaks."""

SECTIONS = (JOINING, HEARING, SAYING, LEAVING, DYING)


def test_words_without_end() -> None:
    """One that prints the end of the stream again and again, with words, has not noticed it."""
    some = [behaviour for behaviour in BEHAVIOURS if behaviour.name == "the server's goodbye is noticed"]
    report = check_client(with_fault("a circle of words"), behaviours=some)
    assert report.missed or report.too_busy, report


def with_fault(fault: str) -> Way:
    return Way((sys.executable, "-I", "-S", str(THREADS), "$HOST", "$PORT", fault))


def section_of(name: str) -> list[Behaviour]:
    """The behaviours that stand beside this one, with their numbers."""
    section: Section = next(s for s in SECTIONS if any(behaviour.name == name for behaviour in s))
    names = {behaviour.name for behaviour in section}
    return [behaviour for behaviour in BEHAVIOURS if behaviour.name in names]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_alone(fault: str) -> None:
    """One fault breaks one behaviour, and the others of its section hold."""
    for _ in range(3):
        report = check_client(with_fault(fault), behaviours=section_of(FAULTS[fault]))
        missed = {v.behaviour.name for v in report.verdicts if v.verdict == MISSED}
        assert missed <= {FAULTS[fault]}, report
        if not report.too_busy:  # or else the machine was, for some of them
            break
    assert missed or report.too_busy, report


def test_every_behaviour_has_a_client_that_fails_it() -> None:
    """And every fault that threads.py has is tried."""
    required = {behaviour.name for behaviour in BEHAVIOURS if not behaviour.optional}
    assert set(FAULTS.values()) == required
    tried = set(re.findall(r'has\("(.+?)"\)', THREADS.read_text(encoding="utf-8"))) - {"…"}
    assert tried == {*FAULTS, "a circle of words"}


class Slow:
    """A client that sends on and on, and last the word."""

    def __init__(self, pieces: int) -> None:
        self.server = SimpleNamespace(arrived=bytearray())
        self.pieces = pieces

    def hears(self, word: str) -> bool:
        self.pieces -= 1
        self.server.arrived += b"x" * (self.pieces >= 0)
        return self.pieces == 0


@pytest.mark.parametrize(("pieces", "arrives"), [(100, True), (1, True), (0, False)])
def test_what_arrives_slowly_is_waited_for(pieces: int, arrives: bool) -> None:
    """As long as anything arrives, the last word may come yet."""
    assert _arrives_at_last(cast(ClientUnderTest, Slow(pieces)), "last") is arrives
