"""Predict, then see: a guess is kept, and set beside what came when the experiment has run.

    predict("00-server", "Will the next cell ever finish?", "yes", "no")

Nobody must guess: a cell runs without, and then nothing is said. Callbacks of widgets may run in another
thread than the notebook's cells, so what was guessed has a lock.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import ipywidgets

from labkit.instruments.markup import FONT, INK, OWN, bdi
from labkit.instruments.panel.widgets import Panel, button, column, style
from labkit.instruments.predictions import FILE, Guesses, Predictions, one_line

STYLE = """<style>
.labkit-predict { max-width: 46em; }
.labkit-asked { font-weight: 600; overflow-wrap: anywhere; }
.labkit-panel .labkit-typed { display: flex; flex-flow: column; width: auto; height: auto; margin: 0; }
.labkit-panel .labkit-typed > label {
  width: auto; height: auto; margin: 0 0 6px; color: inherit; font-weight: 600; line-height: 1.45;
  text-align: left; white-space: normal; overflow-wrap: anywhere;
}
.labkit-panel .labkit-typed > input { width: 100%; border-radius: 5px; }
.labkit-predict > .widget-button { flex: none !important; align-self: flex-start; padding: 0 10px; }
.labkit-panel .labkit-choices { flex-flow: row wrap; gap: 4px 6px; overflow: visible; margin: 4px 0; }
.labkit-panel .labkit-choices .widget-button {
  flex: none !important; align-items: center; padding: 3px 8px;
  height: auto; min-height: 28px; max-width: 100%; white-space: normal; text-align: left; line-height: 1.3;
  color: var(--ink); background: var(--shade); border: 1px solid var(--line);
}
.labkit-panel .labkit-choices .labkit-chosen { border: 2px solid var(--own); font-weight: 600; }
.labkit-predict .labkit-typed input:focus-visible { outline: 2px solid var(--own); outline-offset: 1px; }
</style>"""

BESIDE = f"""<style>
.labkit-predicted {{
  margin: 6px 0; padding: 2px 10px; border-left: 3px solid {OWN}; color: {INK}; font-family: {FONT};
}}
</style>"""

OWN_WORDS = "in your own words"

_guessing = threading.Lock()  # guards the guesses of all, and the order in which they are written


class Prediction(Panel):
    """A question, and answers to choose from, or a line to type. `repr` is its text twin.

    Args: as `predict`; `guesses` are those that were made already.
    """

    def __init__(self, name: str, question: str, choices: tuple[str, ...], guesses: Guesses) -> None:
        self.name, self.question, self.choices = name, question, choices
        self.guesses = guesses
        self._store = Predictions(Path(FILE).absolute())
        self._written = True
        self._buttons = {choice: self._choice(choice) for choice in choices}
        self._field: Any = None if choices else self._line()
        self._state = ipywidgets.HTML()
        if choices:
            asked = [
                ipywidgets.HTML(f'<div class="labkit-asked">{bdi(question)}</div>'),
                ipywidgets.Box([*self._buttons.values()]).add_class("labkit-choices"),
            ]
        else:
            asked = [self._field, button("Keep", f"keep this guess: {question}", self._typed)]
        looks = ipywidgets.HTML(STYLE).add_class("labkit-style")
        self.widget = column("labkit-panel", style(), looks, *asked, self._state).add_class(
            "labkit-predict"
        )
        self._tell()

    def __repr__(self) -> str:
        return "\n".join(
            [self.question, *(f"- {choice}" for choice in self.choices or [OWN_WORDS]), self.state]
        )

    @property
    def state(self) -> str:
        """What was guessed so far, in a sentence."""
        before, after = self.guesses.before, self.guesses.after
        if not self.guesses.seen:
            words = f"Kept: {_ended(before)} Now see what comes." if before else "Nothing is kept yet."
        elif after:
            first = f"You predicted: {_ended(before)} " if before else ""
            words = f"{first}Since you have seen it: {_ended(after)}"
        else:
            words = f"You predicted: {_ended(before)}" if before else "The next cell has run."
        return (
            words if self._written else f"{words} ({FILE} cannot be written, so only this kernel knows it.)"
        )

    def keep(self, guess: str) -> None:
        """Keep this guess; until the experiment has run, in place of the one before.

        Raises:
            ValueError: there are choices, and it is none of them; or it is empty.
        """
        guess = one_line(guess)
        if not guess or (self.choices and guess not in self.choices):
            wanted = f"one of {', '.join(map(repr, self.choices))}" if self.choices else "some words"
            raise ValueError(f"a guess is {wanted}, not {guess!r}")
        with _guessing:
            if guess != self.guesses.latest:
                self.guesses.add(guess)
                self._written = self._store.keep(self.name, guess)
        self._tell()

    def ran(self) -> None:
        """The experiment has run: what was guessed before stays."""
        with _guessing:
            if not self.guesses.seen:
                self.guesses.seen = True
                self._written = self._store.see(self.name)
        self._tell()

    # Buttons, and no list or radio buttons: in those, JupyterLab takes the arrow keys for its own.

    def _choice(self, choice: str) -> Any:
        return button(choice, self.question, lambda: self.keep(choice))

    def _line(self) -> Any:
        """A line of text. It comes on Enter, or when the field is left; a click on Keep may overtake it."""
        field = ipywidgets.Text(
            value=self.guesses.latest,
            description=self.question,
            placeholder=OWN_WORDS,
            continuous_update=False,
        )
        field.observe(lambda _: self._typed(), "value")
        return field.add_class("labkit-typed")

    def _typed(self) -> None:
        if one_line(self._field.value):
            self.keep(self._field.value)
        else:
            self._tell("Type a few words first.")

    def _tell(self, words: str = "") -> None:
        latest = self.guesses.latest
        for choice, its_button in self._buttons.items():
            its_button.description = f"✓ {choice}" if choice == latest else choice
            (its_button.add_class if choice == latest else its_button.remove_class)("labkit-chosen")
        self._state.value = f'<div class="labkit-kept" role="status">{bdi(words or self.state)}</div>'


def predict(name: str, question: str, *choices: str, guess: str | None = None) -> Prediction:
    """Ask for a guess before something is seen. It is kept in the folder, in `.labkit-predictions.jsonl`.

    Args:
        name: of the experiment: the id of the cell that shows what comes.
        question: what is asked.
        choices: what can be guessed; with none, a line of text is typed.
        guess: keeps this one at once, where there is no front end to choose or to type it.

    Raises:
        ValueError: `guess` is none of the choices, or empty.
    """
    question, choices = one_line(question), tuple(dict.fromkeys(map(one_line, choices)))
    path = Path(FILE).absolute()
    known = _asked.get((path, name))
    # What could not be written is known all the same, as long as this process lives.
    guesses = known.guesses if known else Predictions(path).all().get(name, Guesses())
    asked = Prediction(name, question, choices, guesses)
    if guess is not None:
        asked.keep(guess)
    _asked[path, name] = asked
    _notebook.asks(asked)
    return asked


_asked: dict[tuple[Path, str], Prediction] = {}
"""The latest of each experiment."""


class _Notebook:
    """Sets each guess beside what came: after the cell of the experiment, in its output.

    A front end that does not tell which cell has run (not all do) has the next one taken for it.
    """

    def __init__(self) -> None:
        self._shell: Any = None
        self._new: list[Prediction] = []  # asked by the cell that is running
        self._by_name: dict[str, Prediction] = {}
        self._next: list[Prediction] = []  # those that wait for whichever cell is next

    def asks(self, asked: Prediction) -> None:
        shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
        if shell is None:
            return
        if shell is not self._shell:
            self._shell = shell
            shell.events.register("post_run_cell", self.ran)
        self._new.append(asked)

    def ran(self, result: Any) -> None:
        """A cell has run; for IPython."""
        cell = str(getattr(result.info, "cell_id", None) or "")
        if self._new:
            self._next = []
            for asked in self._new:
                if cell == f"{asked.name}-guess":
                    self._by_name[asked.name] = asked
                else:
                    self._next.append(asked)
            self._new = []
        elif result.success:  # what raised an error was no experiment yet
            there, self._next = self._next, []
            if cell in self._by_name:
                there.append(self._by_name[cell])
            for asked in there:
                asked.ran()
                if asked.guesses.before:
                    self._shell.display_pub.publish(_beside(asked.guesses.before))


_notebook = _Notebook()


def _beside(guess: str) -> dict[str, str]:
    """A guess, as text and as HTML, to stand below what came."""
    words = f"You predicted: {_ended(guess)}"
    return {
        "text/plain": words,
        "text/html": f'{BESIDE}<div class="labkit-predicted" role="status">{bdi(words)}</div>',
    }


def _ended(words: str) -> str:
    return words if words.endswith((".", "!", "?", "…")) else f"{words}."
