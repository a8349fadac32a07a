"""Student files are read as Python reads them; of a notebook, what the exercise needs, and no more."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from labkit.exercises.grading.submission import LARGEST, Unreadable, decode, read

CODE = 'class Thing:\n    word = "señora"\n'


def notebook(*cells: str, language: str = "python", **more: Any) -> dict[str, Any]:
    """A notebook with these code cells, as Jupyter writes it."""
    return {
        "cells": [
            {"cell_type": "markdown", "metadata": {}, "source": ["class Thing: no code\n"]},
            *(
                {
                    "cell_type": "code",
                    "metadata": {},
                    "outputs": [],
                    "source": cell.splitlines(keepends=True),
                }
                for cell in cells
            ),
        ],
        "metadata": {"kernelspec": {"name": "k", "language": language}},
        "nbformat": 4,
        "nbformat_minor": 5,
        **more,
    }


def taken(tmp_path: Path, *cells: str, wants: str = "Thing") -> str:
    """What is read of a notebook with these cells."""
    path = tmp_path / "mine.ipynb"
    path.write_text(json.dumps(notebook(*cells)), encoding="utf-8")
    return read(path, wants).text


def ran(text: str) -> dict[str, Any]:
    """The names that it gives values to."""
    names: dict[str, Any] = {}
    exec(compile(text, "mine", "exec", dont_inherit=True), names)
    return names


@pytest.mark.parametrize(
    "data",
    [
        CODE.encode(),
        CODE.encode("utf-8-sig"),
        CODE.encode("utf-16"),
        b"\xfe\xff" + CODE.encode("utf-16-be"),
        CODE.encode("utf-16-le"),
        CODE.encode("utf-16-be"),
        CODE.encode("utf-32"),
        CODE.replace("\n", "\r\n").encode(),
        CODE.replace("\n", "\r").encode(),
        CODE.replace("\n", "\r\n").encode("utf-16"),
    ],
    ids=[
        "utf-8",
        "bom",
        "utf-16",
        "utf-16 be",
        "le without bom",
        "be without bom",
        "utf-32",
        "crlf",
        "cr",
        "ps",
    ],
)
def test_the_same_text_in_every_encoding(data: bytes, tmp_path: Path) -> None:
    """What a BOM says is believed, and each line ends with LF."""
    path = tmp_path / "mine.py"
    path.write_bytes(data)
    assert read(path, "Thing") == read(path, "Other")
    assert (read(path, "Thing").text, read(path, "Thing").filename) == (CODE, str(path))


@pytest.mark.parametrize(
    "cookie",
    ["# coding: latin-1", "#!/usr/bin/python\n# -*- coding: cp1252 -*-", "# vim: fileencoding=iso-8859-15"],
)
def test_a_coding_cookie(cookie: str) -> None:
    """In the first line or the second."""
    text = f"{cookie}\n{CODE}"
    assert decode(text.encode("latin-1")) == text


def archive(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        for name in names:
            zipped.writestr(name, "x")
    return file.getvalue()


UNREADABLE: dict[str, tuple[bytes, list[str]]] = {
    "empty": (b"", ["is empty", "saved"]),
    "only spaces": (b"\n  \n", ["is empty"]),
    "only a bom": (b"\xef\xbb\xbf", ["is empty"]),
    "latin-1 without a cookie": (
        CODE.encode("latin-1"),
        ["line 2", "0xf1", "not UTF-8", "save it as UTF-8"],
    ),
    "latin-1 far down": (b"x = 1\n" * 50 + b"# \xf1\n", ["line 51", "0xf1"]),
    "an unknown cookie": (b"# coding: klingon\n", ["coding cookie", "klingon"]),
    "a cookie against the bom": (b"\xef\xbb\xbf# coding: latin-1\nx = 1\n", ["coding cookie is wrong"]),
    "a cookie of no text": (b"# coding: hex\nx = 1\n", ["hex", "no encoding of text"]),
    "a cookie that lies": (b"# coding: ascii\nx = '\xf1'\n", ["line 2", "not ASCII"]),
    "half of utf-16": (b"\xff\xfex", ["UTF-16"]),
    "a NUL": (b"x = 1\ny = '\0'\n", ["line 2", "NUL"]),
    "a Word document": (
        archive("[Content_Types].xml", "word/document.xml"),
        ["Word document (.docx)", ".py"],
    ),
    "an OpenDocument": (archive("mimetype", "content.xml"), ["OpenDocument"]),
    "a zip": (archive("hw/mine.py"), ["ZIP archive with hw/mine.py"]),
    "a broken zip": (b"PK\x03\x04 no more", ["ZIP archive"]),
    "a PDF": (b"%PDF-1.7\n\x00\x01", ["a PDF"]),
    "rich text": (b"{\\rtf1\\ansi class Thing}", ["rich text"]),
    "an old Word document": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ["Word document (.doc)"]),
    "a web page": (b"\n<!DOCTYPE html><html></html>", ["web page"]),
    "an image": (b"\x89PNG\r\n\x1a\n\0\0", ["an image"]),
    "a program": (b"\x7fELF\x02\x01", ["a program"]),
    "compiled": (b"\xa7\r\r\n\0\0\0\0\0\0\0\0", ["compiled Python"]),
    "too much": (b"#" * (LARGEST + 1), ["more than 5,000,000 bytes"]),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_cannot_be_read_is_named(kind: str, tmp_path: Path) -> None:
    """In one line: the file, what it is, and what to do."""
    data, words = UNREADABLE[kind]
    path = tmp_path / "mine.py"
    path.write_bytes(data)
    with pytest.raises(Unreadable) as error:
        read(path, "Thing")
    told = str(error.value)
    assert told.startswith(f"cannot read {path}: ") and "\n" not in told
    for word in words:
        assert word in told, told


def test_what_is_no_file(tmp_path: Path) -> None:
    """A folder; a name that is missing, with the one that was perhaps meant; one that may not be read."""
    (tmp_path / "framing.py").write_text(CODE, encoding="utf-8")
    for name, words in [
        ("", "folder"),
        ("framin.py", f"did you mean {tmp_path / 'framing.py'}?"),
        ("x", "No such file"),
    ]:
        with pytest.raises(Unreadable, match="cannot read") as error:
            read(tmp_path / name, "Thing")
        assert words in str(error.value)
    with pytest.raises(Unreadable, match="null"):
        read(Path("a\0b"), "Thing")
    if hasattr(os, "geteuid") and os.geteuid() != 0:
        (tmp_path / "framing.py").chmod(0)
        with pytest.raises(Unreadable, match="Permission denied"):
            read(tmp_path / "framing.py", "Thing")


# --- notebooks ---


def test_experiments_are_left_out(tmp_path: Path) -> None:
    """Imports, helpers and constants that the definition needs, through others, too; and nothing else."""
    text = taken(
        tmp_path,
        "import socket, threading\nimport not_installed\nfrom os import path as where",
        "LF = b'\\n'\nENDS = [LF]\nENDS.append(b'\\r')\n"
        "server = socket.create_connection(('example.invalid', 1))",
        "def deep():\n    return ENDS\n\n\n@staticmethod\ndef helper(server):\n"
        "    return deep() and server",
        "class Thing:\n    lock = threading.Lock()\n\n    def feed(self, server):\n"
        "        return helper(server), where",
        "thing = Thing()\nprint(thing.feed(1 / 0))\nwhile True:\n    pass",
        "check('framing', Thing)",
    )
    for line in ("import socket, threading", "ENDS.append(b'\\r')", "@staticmethod\ndef helper(server):"):
        assert line in text
    for line in ("create_connection", "not_installed", "1 / 0", "while True", "check("):
        assert line not in text, text
    assert ran(text)["Thing"]().feed(3)[0] == 3


def test_the_last_definition_counts(tmp_path: Path) -> None:
    """And what is bound up to the cell that checks it, as a run from top to bottom leaves it."""
    text = taken(
        tmp_path,
        "def size():\n    return 1",
        "def Thing():\n    return 'first'",
        "def Thing():\n    return size()",
        "def size():\n    return 2",
        "check('framing', Thing)",
        "def size():\n    return 3",
    )
    assert "first" not in text
    assert ran(text)["Thing"]() == 2


def test_what_is_bound_later_is_found(tmp_path: Path) -> None:
    """A helper in a cell below: it is there when the check runs a second time."""
    assert (
        ran(taken(tmp_path, "def Thing():\n    return size()", "def size():\n    return 4"))["Thing"]() == 4
    )


def test_magics_are_left_out(tmp_path: Path) -> None:
    """Those of a line, of a shell, and of a cell; text that only looks like one is not touched."""
    text = taken(
        tmp_path,
        "%matplotlib inline\n!pip install don't\nfiles = !ls\nimport os\nos.path?\n?os",
        "%%bash\nclass Thing: pass",
        "%%time\nif True:\n    %cd ..\n    SIZE = 5",
        'def Thing():\n    return SIZE, """\n%no magic\n!neither"""',
    )
    assert ran(text)["Thing"]() == (5, "\n%no magic\n!neither")


def test_a_class_that_goes_on_in_another_cell(tmp_path: Path) -> None:
    """`Thing.method = …` belongs to it."""
    text = taken(
        tmp_path,
        "class Thing:\n    pass",
        "def size(self):\n    return 6\n\nThing.size = size",
        "check('x', Thing)",
    )
    assert ran(text)["Thing"]().size() == 6


def test_what_python_knows_at_the_start(tmp_path: Path) -> None:
    """`from __future__` comes first; `sys.path` is as the notebook sets it; a star import is kept."""
    text = taken(
        tmp_path,
        "import sys\nsys.path.append('/nowhere/at all')",
        "from math import *",
        "from __future__ import annotations\ndef Thing(x: Unknown):\n"
        "    return sqrt(x), Thing.__annotations__",
    )
    assert ran(text)["Thing"](4) == (2.0, {"x": "Unknown"})
    import sys

    assert sys.path.pop() == "/nowhere/at all"


def test_a_broken_cell_is_handed_on(tmp_path: Path) -> None:
    """The check tells what is wrong with it; a broken cell that is not needed does no harm."""
    assert "def feed(" in taken(tmp_path, "class Thing:\n    def feed(:\n")
    assert ran(taken(tmp_path, "x = = 3", "class Thing:\n    pass", "await x\nreturn"))["Thing"]


def test_another_name(tmp_path: Path) -> None:
    """All definitions, so that the check can say what there is; no experiment is run for it."""
    text = taken(tmp_path, "import os\nclass Thingy:\n    pass", "while True:\n    pass")
    assert set(ran(text)) >= {"os", "Thingy"}


def test_a_notebook_by_another_name(tmp_path: Path) -> None:
    """What it holds counts, not what it is called; of nbformat 3 the cells are in worksheets."""
    path = tmp_path / "mine.py"
    path.write_text(json.dumps(notebook("def Thing():\n    return 7")), encoding="utf-8-sig")
    assert ran(read(path, "Thing").text)["Thing"]() == 7
    old = {"worksheets": [{"cells": [{"cell_type": "code", "input": ["def Thing():\n", "    return 8"]}]}]}
    path.write_text(json.dumps(old), encoding="utf-8")
    assert ran(read(path, "Thing").text)["Thing"]() == 8


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (CODE, "no notebook"),
        ('{"a": 1}', "no notebook"),
        ('{"cells": []}', "without a code cell"),
        ('{"cells": [3]}', "as Jupyter writes them"),
        ('{"cells": 3}', "as Jupyter writes them"),
        ('{"cells": [], "metadata": []}', "as Jupyter writes them"),
        (json.dumps(notebook("x <- 1", language="R")), "in R, not in Python"),
    ],
)
def test_what_is_no_notebook(text: str, words: str, tmp_path: Path) -> None:
    """It is told, and nothing is raised but that."""
    path = tmp_path / "mine.ipynb"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(Unreadable, match=words):
        read(path, "Thing")


@pytest.mark.parametrize("folder", ["exercises", "solutions"])
def test_the_notebooks_that_are_handed_out(folder: str) -> None:
    """Each exercise's code is found in its notebook, and nothing of the check."""
    from labkit.exercises import NAMES, exercise_called
    from labkit.exercises.grading.notebooks import NOTEBOOKS

    for name in NAMES:
        exercise = exercise_called(name)
        text = read(NOTEBOOKS / folder / f"{exercise.chapter}.ipynb", exercise.wants).text
        assert exercise.wants in ran(text)
        assert "check(" not in text and "display" not in text
