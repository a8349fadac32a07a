"""What a student handed in, as Python source: from a .py file, read as Python reads it, or from a notebook.

`read` looks at what the file holds, not at its name: a notebook that was saved as my.py is a notebook. What
it cannot read, it names, with what to do about it.
"""

from __future__ import annotations

import codecs
import difflib
import io
import json
import stat
import tokenize
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.exercises.grading.cells import NoCode, code_for

LARGEST = 5_000_000
"""Bytes of a file that are read; no one writes as many."""

AS_UTF8 = "save it as UTF-8"


@dataclass(frozen=True, slots=True)
class Source:
    """Python source, and what to call its file in errors.

    Of a notebook it is what defines the wanted name, with all that this needs: see cells.py.
    """

    text: str
    filename: str


class Unreadable(Exception):
    """This file cannot be read as Python; the text says in one line why, and what to do."""


def read(path: Path, wants: str) -> Source:
    """The source in this file.

    Args:
        path: a .py file, or a notebook.
        wants: the name that must be defined there; of a notebook it selects what is taken.

    Raises:
        Unreadable: it is missing, or no text, or no Python; the text names the file.
    """
    try:
        text = decode(_bytes(path))
        if not text.strip():
            raise Unreadable("it is empty. Was it saved?")
        if (notebook := _as_notebook(text)) is not None:
            text = code_for(notebook, wants)
        elif path.suffix.lower() == ".ipynb":
            raise Unreadable(
                "it is no notebook, which is JSON with cells in it. Save it from Jupyter again"
            )
    except (Unreadable, NoCode) as why:
        raise Unreadable(f"cannot read {path}: {why}") from None
    return Source(text, str(path))


def _bytes(path: Path) -> bytes:
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            raise Unreadable("it is a folder. Name the file in it")
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError as error:
        raise Unreadable(f"{error.strerror}{_perhaps(path)}") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        raise Unreadable(getattr(error, "strerror", None) or str(error)) from None
    if len(data) > LARGEST:
        raise Unreadable(
            f"it has more than {LARGEST:,} bytes. Clear the outputs of a notebook, and save it"
        )
    return data


def _perhaps(missing: Path) -> str:
    """The file beside it that was perhaps meant."""
    try:
        names = [entry.name for entry in missing.parent.iterdir() if entry.suffix in (".py", ".ipynb")]
    except OSError:
        return ""
    near = difflib.get_close_matches(missing.name, names, 1)
    return f"; did you mean {missing.parent / near[0]}?" if near else ""


# --- text ---


def decode(data: bytes) -> str:
    """The text, by its BOM and coding cookie as Python decodes it (PEP 263), with LF at each line's end.

    UTF-16 and UTF-32 are read, too: an older PowerShell's `>` writes the former.

    Raises:
        Unreadable: it is no text, or not in the encoding that it has or names.
    """
    if kind := _no_text(data):
        raise Unreadable(f"it is {kind}, and no text. Save your code as a .py file, as plain text")
    try:
        encoding = _wide(data) or tokenize.detect_encoding(io.BytesIO(data).readline)[0]
    except SyntaxError as error:  # also for bytes of the first lines that are not UTF-8
        text = _decoded(data, "utf-8-sig")
        raise Unreadable(
            f"its coding cookie is wrong: {error.msg}. Take out that line, and {AS_UTF8}"
        ) from None
    text = _decoded(data, encoding).removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise Unreadable(f"line {line} has a NUL byte, which no text has. In your editor {AS_UTF8}")
    return text


def _decoded(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except LookupError:
        raise Unreadable(f"its coding cookie names {encoding}, which is no encoding of text") from None
    except UnicodeError as error:
        start = getattr(error, "start", 0)
        line, wanted = data.count(b"\n", 0, start) + 1, encoding.removesuffix("-sig").upper()
        what = f"line {line} has the byte 0x{data[start]:02x}, which is not {wanted}"
        raise Unreadable(f"{what}. In your editor {AS_UTF8}") from None


_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose BOM it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def _wide(data: bytes) -> str:
    """The encoding, if it has more than a byte for each character; without a BOM, by where the NULs are."""
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return encoding
    start = data[:200]
    if len(start) >= 4 and len(data) % 2 == 0:
        if not any(start[1::2]) and all(start[::2]):
            return "utf-16-le"
        if not any(start[::2]) and all(start[1::2]):
            return "utf-16-be"
    return ""


_MAGIC = {
    b"%PDF": "a PDF",
    b"{\\rtf": "rich text (RTF)",
    b"\xd0\xcf\x11\xe0": "a Word document (.doc)",
    b"\x1f\x8b": "a gzip archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"\x89PNG": "an image (PNG)",
    b"\xff\xd8\xff": "an image (JPEG)",
    b"\x7fELF": "a program",
    b"MZ\x90": "a program",
    b"bplist": "a property list, as macOS writes it",
}


def _no_text(data: bytes) -> str:
    """What kind of file it is, if it is a known kind that is no text."""
    if data.startswith(b"PK\x03\x04"):
        return _archive(data)
    if data[2:4] == b"\r\n" and b"\0" in data[:16]:
        return "compiled Python (.pyc)"
    if data.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "a web page (HTML)"
    return next((kind for magic, kind in _MAGIC.items() if data.startswith(magic)), "")


def _archive(data: bytes) -> str:
    try:
        names = zipfile.ZipFile(io.BytesIO(data)).namelist()
    except (zipfile.BadZipFile, ValueError, OSError):
        names = []
    if any(name.startswith("word/") for name in names):
        return "a Word document (.docx)"
    if "mimetype" in names:
        return "an OpenDocument file (.odt)"
    inside = [name for name in names if name.endswith((".py", ".ipynb"))]
    return f"a ZIP archive{' with ' + inside[0] + ' in it: unpack it' if inside else ''}"


def _as_notebook(text: str) -> dict[str, Any] | None:
    """The notebook, if it is one."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    has_cells = isinstance(found, dict) and ("cells" in found or "worksheets" in found)
    return found if has_cells else None
