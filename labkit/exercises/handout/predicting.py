"""A walkthrough's questions in a student's copy: a guess is asked for before the answer can be seen.

In the repository `**Predict:** …` is text; the code after it is the experiment, and the text after that
explains what came. The copy has a cell with a widget right after the question, and the explanation is
folded up. Headings and questions never are, nor what follows a rule (`---`): it leads to the next question.

A question's cell may have choices in its metadata, `{"labkit": {"choices": ["yes", "no"]}}`; else a line of
text is asked for. With `"hidden": true` there the code that follows holds the answer, and is collapsed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

Cell = dict[str, Any]

Kind = Literal["code", "heading", "question", "answer", "text"]

_BEGINS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("question", re.compile(r"\*\*Predict\b")),
    ("answer", re.compile(r"<details\b")),
    ("heading", re.compile(r"#{1,6} |-{3,}$")),
)
"""How the first line of a piece of Markdown begins, unless it is text."""

WHY = "What came, and why"
ANSWER = "The answer"

HOW = "# Run this cell. Then choose what you expect, or type it and press Enter.\n"

GUESS = "from labkit.instruments.panel import predict"
"""How the code of a widget's cell begins."""

ENOUGH = 40
"""Characters that a question has if it can be understood alone: "Does it?" cannot."""

LINE = 88
"""Columns that a call on one line may take."""


@dataclass(slots=True)
class _Piece:
    """A cell of code, or a part of one of Markdown. A heading, or a rule, is its line alone."""

    kind: Kind
    cell: Cell
    text: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as its widget asks it.

    Args:
        name: by which the guess is kept: the id of the experiment's last cell; of the question's own where
            there is no experiment.
        question: without Markdown.
        choices: what can be guessed; none for a line of text.
    """

    name: str
    question: str
    choices: tuple[str, ...]

    def code(self, first: bool) -> str:
        """What the copy's cell runs; the first one of a notebook says how it is done."""
        words = [json.dumps(word, ensure_ascii=False) for word in (self.name, self.question, *self.choices)]
        call = f"predict({', '.join(words)})"
        if len(call) > LINE:
            call = "predict(\n" + "".join(f"    {word},\n" for word in words) + ")"
        return f"{HOW * first}{GUESS}\n\n{call}"


def questions(cells: Sequence[Cell]) -> list[Asked]:
    """All that a notebook asks, in order."""
    pieces = list(_pieces(cells))
    return [_asked(pieces, n) for n, piece in enumerate(pieces) if piece.kind == "question"]


def asking(cells: Sequence[Cell]) -> list[Cell]:
    """The cells of a student's copy."""
    if any(GUESS in "".join(cell["source"]) for cell in cells):
        return list(cells)  # of a copy already
    hidden = _hidden(cells)
    copied: list[Cell] = []
    joined: _Piece | None = None  # what the last cell of the copy is a part of, if more may join it
    parts: dict[str, int] = {}
    first = True
    for piece, folded in _folded(list(_pieces(cells))):
        if isinstance(piece, Asked):
            copied.append(_code(f"{piece.name}-guess", piece.code(first)))
            first, joined = False, None
        elif piece.kind == "code":
            collapsed = {"jupyter": {"source_hidden": True}} if piece.cell["id"] in hidden else {}
            copied.append({**piece.cell, "metadata": {**piece.cell["metadata"], **collapsed}})
            joined = None
        elif joined and joined.cell is piece.cell and not folded:
            copied[-1]["source"] += ["\n\n", *piece.text.splitlines(keepends=True)]
        else:
            name = piece.cell["id"]
            parts[name] = parts.get(name, 0) + 1
            shown = (
                f"<details><summary>{folded}</summary>\n\n{piece.text}\n\n</details>"
                if folded
                else piece.text
            )
            copied.append(
                {**piece.cell, "id": f"{name}-{parts[name]}" if parts[name] > 1 else name}
                | {"source": shown.splitlines(keepends=True)}
            )
            joined = None if folded else piece
    return copied


def _hidden(cells: Sequence[Cell]) -> set[str]:
    """The ids of the cells whose code is an answer."""
    return {
        after["id"]
        for before, after in pairwise(cells)
        if before["metadata"].get("labkit", {}).get("hidden") and after["cell_type"] == "code"
    }


def _folded(pieces: list[_Piece]) -> Iterator[tuple[_Piece | Asked, str]]:
    """What a copy is made of: each piece with the summary that it is folded up under, or "" for none."""
    summary = ""
    for n, piece in enumerate(pieces):
        before = pieces[n - 1].kind if n else "text"
        if piece.kind == "heading" and not (summary == ANSWER and before == "question"):
            summary = ""
        elif piece.kind == "answer" or (piece.kind == "code" and summary == ANSWER):
            summary = ""
        yield piece, summary if piece.kind == "text" else ""
        if piece.kind == "question":
            follows = pieces[n + 1].kind if n + 1 < len(pieces) else "question"
            summary = {"code": WHY, "text": ANSWER, "heading": ANSWER}.get(follows, "")
            yield _asked(pieces, n), ""


def _asked(pieces: list[_Piece], n: int) -> Asked:
    """The question that this piece is, about the cells of code that come next."""
    cell, last = pieces[n].cell, n
    while last + 1 < len(pieces) and pieces[last + 1].kind == "code":
        last += 1
    in_cell = [m for m, piece in enumerate(pieces) if piece.kind == "question" and piece.cell is cell]
    name = pieces[last].cell["id"]
    if last == n and len(in_cell) > 1:
        name += f"-{in_cell.index(n) + 1}"
    choices = cell["metadata"].get("labkit", {}).get("choices", ()) if n == in_cell[-1] else ()
    return Asked(name, _plain(pieces[n].text), tuple(choices))


def _pieces(cells: Sequence[Cell]) -> Iterator[_Piece]:
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] != "markdown":
            yield _Piece("code", cell, source)
            continue
        for kind, lines in _parts(source.splitlines()):
            if text := "\n".join(lines).strip("\n"):
                yield _Piece(kind, cell, text)


def _parts(lines: list[str]) -> Iterator[tuple[Kind, list[str]]]:
    """The parts of a cell of Markdown. In a fence, and in an answer, no line begins another."""
    kind: Kind = "text"
    part: list[str] = []
    fence = ""
    for line in lines:
        begins: Kind | None = None
        if fence:
            fence = "" if line.strip().startswith(fence) else fence
        elif found := re.match(r" {0,3}(`{3,}|~{3,})", line):
            fence = found[1]
        elif kind != "answer":
            begins = next((k for k, begin in _BEGINS if begin.match(line)), None)
        if begins or (kind == "heading" and part):
            yield kind, part
            kind, part = begins or "text", []
        part.append(line)
        if kind == "answer" and not fence and "</details>" in line:
            yield kind, part
            kind, part = "text", []
    yield kind, part


def _plain(text: str) -> str:
    """What is asked, without Markdown. The sentences that ask will do, unless they are too short."""
    text = re.sub(r"^\*\*Predict:?\*\*:?", "", text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"(?<!\w)(\*\*|__|\*|_)(?=\S)(.+?)(?<=\S)\1(?!\w)", r"\2", text.replace("\n", " "))
    whole = " ".join(text.replace("`", "").split())
    sentences = re.split(r"(?<=[.!?])\)?\s+(?=[^a-z])", whole)
    asked = " ".join(one for one in sentences if one.endswith(("?", "?)")))
    words = asked if len(asked) >= ENOUGH else whole
    return words[:1].upper() + words[1:]


def _code(name: str, source: str) -> Cell:
    lines = source.splitlines(keepends=True)
    return {
        "cell_type": "code", "execution_count": None, "id": name, "metadata": {}, "outputs": [],
        "source": lines,
    }  # fmt: skip
