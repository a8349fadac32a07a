"""fuzz.py: a short run of it; and it finds what is broken, and finds it again."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import fuzz
import pytest
from programs import PATIENCE

from labkit.exercises.grading.process import Process
from labkit.server import rooms
from labkit.wire import framing, messages, nicknames


def test_nothing_breaks() -> None:
    """Some thousands of inputs, on every target; tests/tools/fuzz.py tries a million."""
    tried = fuzz.run(seed=2, inputs=6000)
    assert set(tried) == {target.__name__ for target in fuzz.TARGETS}
    assert tried.total() == 6000


def test_an_input_is_the_same_every_time() -> None:
    """Whatever was tried before it."""
    first = fuzz.make(1, 4711)
    fuzz.make(1, 1)
    again = fuzz.make(1, 4711)
    assert (first[0], first[2], first[1].random()) == (again[0], again[2], again[1].random())
    assert fuzz.make(2, 4711)[2] != first[2]


def _keeps_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labkit.wire.text.UNSAFE", re.compile("[\x00-\x1a]"))


def _joins_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing.LineFraming, "_line", lambda self, piece: piece.decode("utf-8", "replace"))


def _decodes_strictly(monkeypatch: pytest.MonkeyPatch) -> None:
    def line(self: framing.LineFraming, piece: bytes) -> str:
        return piece.decode()

    monkeypatch.setattr(framing.LineFraming, "_line", line)


def _takes_any_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nicknames, "fit", lambda name: name.strip() or "nobody")


def _puts_the_action_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages.Acted, "line", lambda self: f"* {self.who} {self.action}")


def _keeps_the_whole_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def feed(self: framing.LineFraming, data: bytes) -> list[str | framing.TooLong]:
        *ended, self._rest = (self._rest + data).split(b"\n")
        return [piece.removesuffix(b"\r").decode("utf-8", "replace") for piece in ended]

    monkeypatch.setattr(framing.LineFraming, "feed", feed)


def _lets_long_lines_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms.Rooms, "_short_enough", lambda self, message: message)


def _trusts_the_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(self: Process) -> None:
        for line in self._pipe(self._process.stdout):
            self._reports.put(__import__("json").loads(line))

    monkeypatch.setattr(Process, "_read_reports", read)


@pytest.mark.parametrize(
    "breaks",
    [
        _keeps_escapes,
        _joins_lines,
        _decodes_strictly,
        _takes_any_name,
        _puts_the_action_first,
        _keeps_the_whole_line,
        _lets_long_lines_through,
        _trusts_the_pipe,
    ],
)
def test_what_is_broken_is_found_and_found_again(breaks: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these faults, soon; the report names the input, and that one alone shows it, too."""
    breaks(monkeypatch)  # type: ignore[operator]
    with pytest.raises(fuzz.Broken) as broken:
        fuzz.run(seed=1, inputs=3000)
    found = re.search(r"once more: python tests/tools/fuzz.py --seed 1 --input (\d+)$", str(broken.value))
    assert found
    with pytest.raises(fuzz.Broken):
        fuzz.attempt(1, int(found[1]))
    monkeypatch.undo()
    fuzz.attempt(1, int(found[1]))


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no such alarm clocks")
@pytest.mark.parametrize(
    ("hangs", "told"),
    [(lambda: [None for _ in iter(int, 1)], "of processor time"), (threading.Event().wait, "it waits")],
)
def test_what_hangs_is_found(
    hangs: Callable[[], object], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it runs in a circle or waits; by what it uses of a processor."""
    monkeypatch.setattr(fuzz, "HANG", 1.0)
    monkeypatch.setattr(framing.LineFraming, "feed", lambda self, data: hangs())
    with pytest.raises(fuzz.Broken, match=told):
        fuzz.run(seed=1, inputs=1000)


def test_the_program() -> None:
    """It counts what it tried; one input by its number is tried alone."""
    program = [sys.executable, str(Path(fuzz.__file__)), "--seed", "3"]
    many = subprocess.run([*program, "--inputs", "1500"], capture_output=True, text=True, timeout=PATIENCE)
    assert (many.returncode, many.stderr) == (0, "")
    assert "1,500 inputs, seed 3: nothing broke" in many.stdout
    one = subprocess.run([*program, "--input", "7"], capture_output=True, text=True, timeout=PATIENCE)
    assert (one.returncode, one.stderr) == (0, "")
    assert repr(fuzz.make(3, 7)[2]) in one.stdout
