"""A student's copy of the walkthrough: each question asks for a guess, and no answer can be read before."""

from __future__ import annotations

import ast
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from labkit.exercises.grading.notebooks import NOTEBOOKS
from labkit.exercises.handout.own_copy import _alone, lay
from labkit.exercises.handout.predicting import ANSWER, GUESS, WHY, asking, questions

WALKTHROUGH = sorted(path.name for path in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
SUMMARY = re.compile(rf"<details><summary>({WHY}|{ANSWER})</summary>\n\n(.*)\n\n</details>", re.DOTALL)

Cell = dict[str, Any]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copy")
    lay(folder)
    return folder


def cells_of(path: Path) -> list[Cell]:
    cells: list[Cell] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return cells


def text_of(cell: Cell) -> str:
    return "".join(cell["source"])


def asks(cell: Cell) -> bool:
    """Whether it is the cell of a widget."""
    return cell["cell_type"] == "code" and GUESS in text_of(cell)


def unasked(cells: list[Cell]) -> list[str]:
    """The sources, as they are without widgets and with nothing folded up; Markdown in one piece."""
    sources: list[str] = []
    before = ""
    for cell in cells:
        if asks(cell):
            continue
        if cell["cell_type"] == before == "markdown":
            sources[-1] += "\n\n" + SUMMARY.sub(r"\2", text_of(cell))
        else:
            sources.append(SUMMARY.sub(r"\2", text_of(cell)))
        before = cell["cell_type"]
    return [re.sub(r"\n{2,}", "\n\n", source) for source in sources]


def shown(text: str) -> str:
    """What of a text can be read while all is folded up."""
    return re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL).strip()


def markdown(name: str, text: str, **labkit: object) -> Cell:
    metadata = {"labkit": labkit} if labkit else {}
    return {"cell_type": "markdown", "id": name, "metadata": metadata, "source": text.splitlines(True)}


def code(name: str, text: str = "pass") -> Cell:
    return {"cell_type": "code", "id": name, "metadata": {}, "source": [text], "outputs": []}


# --- all notebooks ---


@pytest.mark.parametrize("name", WALKTHROUGH)
def test_nothing_is_lost(name: str, copy: Path) -> None:
    """But for the widgets, what is folded up, and links to files that it has not, the copy says what the
    repository says, in its order."""
    source: list[Cell] = json.loads(_alone((NOTEBOOKS / name).read_bytes()))["cells"]
    assert unasked(cells_of(copy / name)) == unasked(source)


@pytest.mark.parametrize("name", WALKTHROUGH)
def test_each_question_is_asked_once(name: str, copy: Path) -> None:
    """Right below its text, before anything else; and it asks what stands there."""
    cells = cells_of(copy / name)
    wanted = sum(
        len(re.findall(r"^\*\*Predict\b", text_of(c), re.MULTILINE)) for c in cells_of(NOTEBOOKS / name)
    )
    assert wanted > 5
    assert len([cell for cell in cells if asks(cell)]) == wanted
    for before, cell in zip(cells, cells[1:], strict=False):
        *_, last = text_of(before).split("\n\n")
        assert asks(cell) == (before["cell_type"] == "markdown" and last.startswith("**Predict"))
        if asks(cell):
            plain = re.sub(r"[*`]", "", last).replace("\n", " ")
            call = ast.parse(text_of(cell)).body[-1]
            assert isinstance(call, ast.Expr) and isinstance(call.value, ast.Call)
            name_of_it, question, *choices = (ast.literal_eval(word) for word in call.value.args)
            assert cell["id"] == f"{name_of_it}-guess"
            assert all(part.lower() in plain.lower() for part in re.split(r"(?<=[?.]) ", question))
            assert len(question) > 15
            assert len(choices) != 1 and len(set(choices)) == len(choices)


@pytest.mark.parametrize("name", WALKTHROUGH)
def test_no_answer_can_be_read_before(name: str, copy: Path) -> None:
    """From a question to the next heading or question no text is in sight; these two always are."""
    open_question = False
    for cell in cells_of(copy / name):
        text = text_of(cell)
        if cell["cell_type"] != "markdown":
            open_question = open_question or asks(cell)
            continue
        lines = shown(text).splitlines()
        if open_question and lines and "<summary>Answer</summary>" not in text:
            assert re.match(r"#{1,6} |---$|\*\*Predict\b", lines[0]), text
        if lines or "<summary>Answer</summary>" in text:
            open_question = False
        folded = "".join(re.findall(r"<details>.*?</details>", text, re.DOTALL))
        assert not re.search(r"^\*\*Predict\b", folded, re.MULTILINE)
        assert not re.search(r"^#{1,6} ", re.sub(r"```.*?```", "", folded, flags=re.DOTALL), re.MULTILINE)


def test_each_experiment_is_there_and_each_id_once(copy: Path) -> None:
    """A widget waits for a cell that comes after it, unless its answer is text; ids are unique in all."""
    ids: list[str] = []
    for name in WALKTHROUGH:
        cells = cells_of(copy / name)
        there = [cell["id"] for cell in cells]
        nbformat.validate(nbformat.read(copy / name, as_version=4))
        ids += there
        for number, cell in enumerate(cells):
            if asks(cell):
                experiment = cell["id"].removesuffix("-guess")
                follows = cells[number + 1]
                if follows["cell_type"] == "code":
                    last = there.index(experiment)
                    assert all(c["cell_type"] == "code" for c in cells[number + 1 : last + 1])
                    assert last > number
                else:
                    assert "<details>" in text_of(follows) or text_of(follows).startswith("#")
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[\w-]{1,64}", one) for one in ids)


def test_a_copy_of_a_copy_asks_no_more(copy: Path) -> None:
    """The student's edition is one, and `labkit lab DIR` lays a copy of that."""
    for name in WALKTHROUGH:
        cells = cells_of(copy / name)
        assert asking(cells) == cells


# --- kinds ---


ANSWERED = "<details><summary>Answer</summary>\n\nNo.\n\n</details>"


@pytest.mark.parametrize(
    ("cells", "wanted"),
    [
        # The plain one: a question, its experiment, the explanation, and a heading.
        (["q| # A\n\nb\n\n**Predict:** a?", "x", "e| No.\n\nYes.\n## B\nc"],
         ["q| # A\n\nb\n\n**Predict:** a?", "x-guess", "x", "e| WHY", "e-2| ## B\n\nc"]),
        # The explanation and the next question in one cell.
        (["q| **Predict:** a?", "x", "e| No.\n\n**Predict:** b?", "y"],
         ["q| **Predict:** a?", "x-guess", "x", "e| WHY", "e-2| **Predict:** b?", "y-guess", "y"]),
        # A rule ends the explanation: what leads to the next question stays in sight.
        (["q| **Predict:** a?", "x", "e| No.\n\n---\n\nNow b.\n\n**Predict:** b?", "y"],
         ["q| **Predict:** a?", "x-guess", "x", "e| WHY", "e-2| ---\n\nNow b.\n\n**Predict:** b?",
          "y-guess", "y"]),
        # Two cells of code before the explanation: the guess is set beside what the second shows.
        (["q| **Predict** a?", "x", "y", "e| So.", "z", "f| And."],
         ["q| **Predict** a?", "y-guess", "x", "y", "e| WHY", "z", "f| WHY"]),
        # Nothing runs; the answer is folded up already, and what follows it is not.
        ([f"q| **Predict:** a?\n\n{ANSWERED}\n\nOn.", "x"],
         ["q| **Predict:** a?", "q-guess", f"q-2| {ANSWERED}\n\nOn.", "x"]),
        # Nothing runs, and the answer stands under the next heading.
        (["q| **Predict:** a?", "e| ## B\n\nNo.\n\n## C\n\nc"],
         ["q| **Predict:** a?", "q-guess", "e| ## B", "e-2| ANSWER", "e-3| ## C\n\nc"]),
        # The answer is text.
        (["q| **Predict:** a?", "e| No.", "x", "f| Later."],
         ["q| **Predict:** a?", "q-guess", "e| ANSWER", "x", "f| Later."]),
        # Two questions at once: the second is the one that the experiment answers.
        (["q| **Predict:** a?\n\n**Predict:** b?", "x", "e| No."],
         ["q| **Predict:** a?", "q-1-guess", "q-2| **Predict:** b?", "x-guess", "x", "e| WHY"]),
        # A comment in a fence is no heading, and nothing there is a question.
        (["q| **Predict:** a?", "x", "e| So:\n\n```py\n# b\n**Predict:**\n```"],
         ["q| **Predict:** a?", "x-guess", "x", "e| WHY"]),
        # No question: nothing is done.
        (["q| 1. **Predict.** Read.\n\nPredict before you try.", "x", "e| So."],
         ["q| 1. **Predict.** Read.\n\nPredict before you try.", "x", "e| So."]),
        # A list, a table: an explanation is folded up whole.
        (["q| **Predict:** a?", "x", "e| - b\n- c\n\n| d |\n|---|\n| e |"],
         ["q| **Predict:** a?", "x-guess", "x", "e| WHY"]),
        # The last cell asks.
        (["x", "q| **Predict:** a?"], ["x", "q| **Predict:** a?", "q-guess"]),
    ],
)  # fmt: skip
def test_kinds(cells: list[str], wanted: list[str]) -> None:
    """What follows a question, in each way in which it can be written. `q| …` is Markdown, `x` code."""
    split = [cell.partition("| ") for cell in cells]
    found = []
    for cell in asking([markdown(name, text) if text else code(name) for name, _, text in split]):
        text = text_of(cell)
        if folded := SUMMARY.fullmatch(text):
            text = "WHY" if folded[1] == WHY else "ANSWER"
        found.append(cell["id"] if cell["cell_type"] == "code" else f"{cell['id']}| {text}")
    assert found == wanted


@pytest.mark.parametrize(
    ("question", "plain"),
    [
        ("**Predict:** will `connect` wait until\n*it* does?", "Will connect wait until it does?"),
        ("**Predict:** bob goes. He comes back.\nWill he find alice's question waiting for him?",
         "Will he find alice's question waiting for him?"),
        ("**Predict:** alice's `x * y` is long. Does it?", "Alice's x * y is long. Does it?"),
        ("**Predict** what [it](a.md) does.", "What it does."),
    ],
)  # fmt: skip
def test_what_is_asked(question: str, plain: str) -> None:
    """Without Markdown: the sentences that ask, and the others if these alone are too short."""
    assert [one.question for one in questions([markdown("q", question), code("x")])] == [plain]


def test_choices_and_hidden_code() -> None:
    """The metadata of the question's cell has them; none of it comes into the copy but what collapses."""
    cells = [
        markdown("q", '**Predict:** "a" or b?', choices=['"a"', "b\\"], hidden=True),
        code("x"),
        code("y"),
        markdown("e", "**Predict:** and?"),
        code("z"),
    ]
    _, first, hidden, open_, _, second, _ = asking(cells)
    call = ast.parse(text_of(first)).body[-1]
    assert isinstance(call, ast.Expr) and isinstance(call.value, ast.Call)
    assert [ast.literal_eval(word) for word in call.value.args] == ["y", '"a" or b?', '"a"', "b\\"]
    assert hidden["metadata"] == {"jupyter": {"source_hidden": True}} and not open_["metadata"]
    assert questions(cells)[1].choices == ()
    assert text_of(first).startswith("# Run this cell.") and not text_of(second).startswith("#")


def test_many_questions_have_choices() -> None:
    """They are in the notebooks' metadata, where whoever stores a notebook anew may lose them."""
    asked = [one for name in WALKTHROUGH for one in questions(cells_of(NOTEBOOKS / name))]
    assert len(asked) > 200 and sum(len(one.choices) > 1 for one in asked) > 70


# --- run ---


@pytest.mark.timeout(240)
@pytest.mark.parametrize("number", ["00", "03"])
def test_a_copy_runs(number: str, copy: Path) -> None:
    """From top to bottom; a guess that was kept stands below the output of what runs next, nowhere else.
    (Not below the experiment's last cell: nbclient does not tell which one runs.)"""
    (path,) = copy.glob(f"{number}_*.ipynb")
    notebook = nbformat.read(path, as_version=4)
    asked = {one.name: one for one in questions(cells_of(NOTEBOOKS / path.name))}
    wanted = {}
    runs = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell, following in pairwise(runs):
        name = cell.id.removesuffix("-guess")
        if name != cell.id and name != f"{number}-stop":  # one is not answered
            guess = [*asked[name].choices, "whatever"][0]
            cell.source += f".keep({json.dumps(guess)})"
            wanted[following.id] = f"You predicted: {guess}."
    NotebookClient(notebook, timeout=100, resources={"metadata": {"path": str(copy)}}).execute()
    told = {
        cell.id: output.data["text/plain"]
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "You predicted" in str(output.get("data", {}).get("text/plain"))
    }
    assert told == wanted and wanted
