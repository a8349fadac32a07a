"""What a student expected, before it was seen: a small file in the folder of the notebooks.

A line for each guess, and one when its experiment has run (`seen`). What was guessed last before that is
*the* guess; what is guessed later is kept beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from labkit.instruments.kept import append, records

FILE = ".labkit-predictions.jsonl"

LONGEST = 500
"""Characters of a guess that are kept."""


@dataclass(slots=True)
class Guesses:
    """What one student guessed about one experiment.

    Args:
        before: the last guess before it ran; "" for none.
        after: the last one made later; "" for none.
        seen: whether the experiment has run.
    """

    before: str = ""
    after: str = ""
    seen: bool = False

    @property
    def latest(self) -> str:
        return self.after or self.before

    def add(self, guess: str) -> None:
        if self.seen:
            self.after = guess
        else:
            self.before = guess


class Predictions:
    """A student's guesses, by experiment, as the file in a folder has them.

    Args:
        path: the file. It need not be there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self) -> dict[str, Guesses]:
        """Each experiment about which the file has something."""
        found: dict[str, Guesses] = {}
        for record in records(self._path):
            name, guess = record.get("prediction"), record.get("guess")
            if not isinstance(name, str):
                continue
            guesses = found.setdefault(name, Guesses())
            if record.get("seen") is True:
                guesses.seen = True
            elif isinstance(guess, str) and (words := one_line(guess)):
                guesses.add(words)
        return found

    def keep(self, name: str, guess: str) -> bool:
        """Keep a guess; returns whether it could be written."""
        return self._append(name, guess=guess)

    def see(self, name: str) -> bool:
        """Note that the experiment has run; returns whether that could be written."""
        return self._append(name, seen=True)

    def _append(self, name: str, **more: Any) -> bool:
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        return append(self._path, {"prediction": name, **more, "when": now})


def one_line(guess: str) -> str:
    """What is kept of what was typed: one line, not too long, and nothing that a terminal would obey."""
    shown = "".join(letter if letter.isprintable() else "\ufffd" for letter in " ".join(guess.split()))
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"
