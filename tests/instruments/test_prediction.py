"""Predict, then see: what is kept, what the widget says, and what stands below an experiment's output."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel
from programs import PATIENCE

from labkit.instruments.panel import Prediction, predict
from labkit.instruments.predictions import FILE, LONGEST, Guesses, Predictions

YES_NO = ("Will it end?", "yes", "no")


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def kept(folder: Path) -> dict[str, tuple[str, str, bool]]:
    found = Predictions(folder / FILE).all()
    return {name: (guesses.before, guesses.after, guesses.seen) for name, guesses in found.items()}


# --- the file ---


def test_the_last_guess_before_it_was_seen_stays(inside: Path) -> None:
    """And of those made later the last, beside it."""
    store = Predictions(inside / FILE)
    assert store.all() == {}
    for guess in "yes", "no":
        assert store.keep("a", guess)
    store.see("a")
    for guess in "perhaps", "yes":
        store.keep("a", guess)
    store.see("b")
    store.keep("b", "late")
    store.keep("c", "early")
    assert kept(inside) == {"a": ("no", "yes", True), "b": ("", "late", True), "c": ("early", "", False)}
    records = [json.loads(line) for line in (inside / FILE).read_text().splitlines()]
    assert len(records) == 8 and all(re.match(r"\d{4}-\d\d-\d\dT", record["when"]) for record in records)


@pytest.mark.parametrize(
    "rubbish",
    [b"", b"\xff\xfe\0", b"[", b"[]\n3\nnull\n", b'{"prediction": 1, "guess": "x"}', b"[" * 9999,
     b'{"prediction": "a", "guess": 3}\n{"prediction": "a", "guess": " \\t"}\n',
     b'{"prediction": "a", "gue',
     b'{"prediction": "a", "guess": {"b": []}, "seen": "yes"}\n', b'{"guess": "x"}\n'],
)  # fmt: skip
def test_a_broken_file_breaks_nothing(rubbish: bytes, inside: Path) -> None:
    """What cannot be read counts for nothing, and what comes after it counts."""
    (inside / FILE).write_bytes(rubbish)
    assert predict("a", *YES_NO).state == "Nothing is kept yet."
    predict("a", *YES_NO, guess="no")
    assert kept(inside)["a"] == ("no", "", False)


def test_where_nothing_can_be_written(inside: Path) -> None:
    """Nothing fails; the widget says so, and the process knows the guess all the same."""
    (inside / FILE).mkdir()
    asked = predict("a", *YES_NO, guess="no")
    assert "cannot be written" in asked.state and "Kept: no." in asked.state
    assert predict("a", *YES_NO).guesses == Guesses("no", "", False)
    asked.ran()
    assert predict("a", *YES_NO).guesses == Guesses("no", "", True)


def test_several_at_once_lose_nothing(inside: Path) -> None:
    """A hundred, in four processes."""
    code = (
        "import sys; from pathlib import Path; from labkit.instruments.predictions import *\n"
        "for n in range(25): Predictions(Path(FILE)).keep(f'{sys.argv[1]}-{n}', 'yes')"
    )

    def writes(number: int) -> None:
        subprocess.run([sys.executable, "-c", code, str(number)], check=True, timeout=PATIENCE)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(writes, range(4)))
    assert set(kept(inside)) == {f"{process}-{n}" for process in range(4) for n in range(25)}


def test_what_is_typed_is_one_line(inside: Path) -> None:
    """Not too long, and without what a terminal would obey; in any alphabet."""
    for typed, wanted in [
        ("  eight \n two  each ", "eight two each"),
        ("\x1b[2Jno\u202e", "�[2Jno�"),
        ("жук 🐞 עברית", "жук 🐞 עברית"),
        ("\ud800", "�"),
        ("x" * 9999, "x" * (LONGEST - 1) + "…"),
    ]:
        asked = predict("a", "How many?", guess=typed)
        assert asked.guesses.before == kept(inside)["a"][0] == wanted


# --- the widget ---


def test_a_choice_is_kept_and_changed(inside: Path) -> None:
    """By its button, until the experiment has run; then the first stays, with the new one beside it."""
    asked = predict("a", *YES_NO)
    yes, no = buttons(asked)
    assert (yes.description, no.description) == ("yes", "no") and yes.tooltip == no.tooltip == YES_NO[0]
    yes.click()
    no.click()
    assert (yes.description, no.description) == ("yes", "✓ no")
    assert asked.state == "Kept: no. Now see what comes." and asked.state in told(asked)
    assert 'role="status"' in told(asked)
    asked.ran()
    assert asked.state == "You predicted: no."
    yes.click()
    assert asked.state == "You predicted: no. Since you have seen it: yes."
    assert (yes.description, no.description) == ("✓ yes", "no")
    assert kept(inside) == {"a": ("no", "yes", True)}
    again = predict("a", *YES_NO)
    assert again.state == asked.state and buttons(again)[0].description == "✓ yes"


def test_a_line_is_kept(inside: Path) -> None:
    """When it comes, by Enter or as the field is left; Keep alone keeps nothing; the field has a name."""
    asked = predict("a", "How many?")
    field = asked._field
    (keep,) = buttons(asked)
    assert field.description == "How many?" and keep.description == "Keep"
    keep.click()
    assert kept(inside) == {} and "Type a few words first." in told(asked)
    keep.click()  # it overtook the text, which comes now
    field.set_state({"value": "eight"})
    assert asked.state == "Kept: eight. Now see what comes."
    keep.click()
    field.set_state({"value": "  "})
    field.set_state({"value": "nine?"})
    assert kept(inside) == {"a": ("nine?", "", False)} and asked.state.startswith("Kept: nine? ")
    assert len((inside / FILE).read_text().splitlines()) == 2
    assert predict("a", "How many?")._field.value == "nine?"


def test_its_text_says_all(inside: Path) -> None:
    """The question, the choices and what was kept: where there is no front end, and beside the widget."""
    asked = predict("a", *YES_NO)
    assert repr(asked) == "Will it end?\n- yes\n- no\nNothing is kept yet."
    shown = asked._repr_mimebundle_()
    assert shown["text/plain"] == repr(asked) and "application/vnd.jupyter.widget-view+json" in shown
    assert repr(predict("a", *YES_NO, guess="yes")).endswith("\nKept: yes. Now see what comes.")
    assert repr(predict("b", "How?")) == "How?\n- in your own words\nNothing is kept yet."


@pytest.mark.parametrize("guess", ["maybe", "", "YES"])
def test_a_guess_that_is_none(guess: str, inside: Path) -> None:
    """It is refused in a line that names the choices, and nothing is kept."""
    with pytest.raises(ValueError, match=rf"^a guess is one of 'yes', 'no', not '{guess}'$"):
        predict("a", *YES_NO, guess=guess)
    with pytest.raises(ValueError, match="some words"):
        predict("a", "How many?", guess=" \n")
    assert kept(inside) == {}


def test_nothing_becomes_html(inside: Path) -> None:
    """Neither a question nor what was typed."""
    asked = predict("a", "Is 1 < 2 & <b>?", "<i>", "no", guess="<i>")
    parts = [child.value for child in asked.widget.children[2:] if hasattr(child, "value")]
    assert "Is 1 &lt; 2 &amp; &lt;b&gt;?" in "".join(parts) and "&lt;i&gt;" in told(asked)
    assert not re.search("<[bi]>", "".join(parts))


def buttons(asked: Prediction) -> list[Any]:
    """The buttons, in the order of Tab."""
    found = []
    left = [asked.widget]
    while left:
        widget = left.pop(0)
        if hasattr(widget, "click"):
            found.append(widget)
        left = [*getattr(widget, "children", ()), *left]
    return found


def told(asked: Prediction) -> str:
    return str(asked._state.value)


# --- in a notebook ---


class Kernel:
    """A kernel, and a front end that tells it, or not, which cell is run."""

    def __init__(self, folder: Path) -> None:
        self._manager, self._client = start_new_kernel(kernel_name="python3", cwd=str(folder))

    def run(self, source: str, cell: str | None = None) -> list[str]:
        """What stands below the cell then: the text of each output, an error's name."""
        content = {
            "code": source, "silent": False, "store_history": True, "user_expressions": {},
            "allow_stdin": False, "stop_on_error": False,
        }  # fmt: skip
        session = self._client.session
        message = session.msg("execute_request", content, metadata={"cellId": cell} if cell else {})
        self._client.shell_channel.send(message)
        outputs: list[str] = []
        while True:
            answer = self._client.get_iopub_msg(timeout=PATIENCE)
            if answer["parent_header"].get("msg_id") != message["header"]["msg_id"]:
                continue
            said = answer["content"]
            if said.get("execution_state") == "idle":
                return outputs
            if answer["msg_type"] in ("stream", "display_data", "execute_result", "error"):
                text = said.get("text") or said.get("ename") or said["data"]["text/plain"]
                outputs.append(text.strip())

    def close(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


@pytest.fixture
def kernel(inside: Path) -> Iterator[Kernel]:
    started = Kernel(inside)
    started.run("from labkit.instruments.panel import predict")
    yield started
    started.close()


ASK = 'predict("a", "Will it end?", "yes", "no"{})'


def test_a_guess_stands_below_what_came(kernel: Kernel, inside: Path) -> None:
    """After all of the experiment's own output, once; below no other cell."""
    assert kernel.run("print('before')", "x") == ["before"]
    assert "Kept: no." in kernel.run(ASK.format(', guess="no"'), "a-guess")[0]
    assert kernel.run("'other'", "x") == ["'other'"]
    assert kernel.run("print('it', flush=False)\n'ends'", "a") == ["it", "'ends'", "You predicted: no."]
    assert kernel.run("'other'", "x") == ["'other'"]
    assert kept(inside) == {"a": ("no", "", True)}
    # What is guessed now is beside it, also after the same cells once more.
    assert "Since you have seen it: yes." in kernel.run(ASK.format(', guess="yes"'), "a-guess")[0]
    assert kernel.run("'ends'", "a") == ["'ends'", "You predicted: no."]
    assert kept(inside) == {"a": ("no", "yes", True)}


def test_without_a_guess_nothing_is_said(kernel: Kernel, inside: Path) -> None:
    """And what is guessed then was not guessed before."""
    assert "Nothing is kept yet." in kernel.run(ASK.format(""), "a-guess")[0]
    assert kernel.run("'ends'", "a") == ["'ends'"]
    assert "Since you have seen it: yes." in kernel.run(ASK.format(', guess="yes"'), "a-guess")[0]
    assert kernel.run("'ends'", "a") == ["'ends'"]
    assert kept(inside) == {"a": ("", "yes", True)}


def test_an_error_is_no_experiment(kernel: Kernel, inside: Path) -> None:
    """A cell that was forgotten above it: the guess can be changed until it has really run."""
    kernel.run(ASK.format(', guess="no"'), "a-guess")
    assert kernel.run("forgotten", "a") == ["NameError"]
    kernel.run(ASK.format(', guess="yes"'), "a-guess")
    assert kernel.run("'ends'", "a") == ["'ends'", "You predicted: yes."]
    assert kept(inside) == {"a": ("yes", "", True)}


def test_where_no_cell_is_told(kernel: Kernel, inside: Path) -> None:
    """Then the next cell that runs is the experiment, once; a question that was passed over gets none."""
    for cell in (None, "vscode-notebook-cell:/n.ipynb#W2sZmlsZQ=="):
        kernel.run('predict("passed over", "Which?", guess="this")', cell)
        kernel.run(ASK.format(', guess="no"'), cell)
        kernel.run(ASK.format(', guess="no"'), cell)
        assert kernel.run("forgotten", cell) == ["NameError"]
        assert kernel.run("'ends'", cell) == ["'ends'", "You predicted: no."]
        assert kernel.run("'ends'", cell) == ["'ends'"]
    assert kept(inside) == {"passed over": ("this", "", False), "a": ("no", "", True)}


def test_a_restarted_kernel_knows(kernel: Kernel, inside: Path) -> None:
    """What the one before has kept."""
    kernel.run(ASK.format(', guess="no"'), "a-guess")
    kernel.run("'ends'", "a")
    other = Kernel(inside)
    try:
        (text,) = other.run(f"from labkit.instruments.panel import predict\n{ASK.format('')}", "a-guess")
        assert text.endswith("You predicted: no.")
    finally:
        other.close()
