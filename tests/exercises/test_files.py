"""A student's file as it is checked: what is read, what is shown of it, and what a stub is written to."""

from __future__ import annotations

import json
import linecache
import subprocess
import sys
from pathlib import Path
from typing import Any

from checks import judged
from programs import LABKIT, PATIENCE

from labkit.exercises import check, exercise_called

RIGHT = exercise_called("framing").solution
FEED = "        *lines, self.rest"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*LABKIT, *arguments], capture_output=True, text=True, encoding="utf-8", timeout=PATIENCE
    )


def test_json_says_what_to_do(tmp_path: Path) -> None:
    """The step, the clue, the hint, the lines to look at, and the file."""
    file = tmp_path / "mine.py"
    file.write_text(RIGHT.replace("return [", "yield ["), encoding="utf-8")
    found = json.loads(run("check", "framing", str(file), "--json").stdout)
    assert (found["file"], found["step"], found["clue"]) == (str(file), 1, "returns a generator")
    assert found["hint"].startswith("What does a function with `yield`")
    assert [look["name"] for look in found["look_at"]] == ["yield"] and found["look_at"][0]["line"] > 1
    file.write_text("class framing: pass\n", encoding="utf-8")
    found = json.loads(run("check", "framing", str(file), "--json").stdout)
    assert (found["step"], found["clue"], found["look_at"][0]["name"]) == (
        None,
        "no such name",
        "misspelt name",
    )
    file.write_text(RIGHT, encoding="utf-8")
    found = json.loads(run("check", "framing", str(file), "--json").stdout)
    assert (found["step"], found["clue"], found["hint"], found["look_at"]) == (None, None, None, [])


def test_a_notebook_in_a_shell(tmp_path: Path) -> None:
    """Its definition is judged, and shown; no experiment is run."""
    cells = ["LF = b'\\n'", RIGHT.replace('b"\\n"', "LF"), "while True:\n    pass"]
    code = [{"cell_type": "code", "metadata": {}, "source": cell} for cell in cells]
    file = tmp_path / "mine.ipynb"
    file.write_text(json.dumps({"cells": code, "metadata": {}}), encoding="utf-8")
    result = run("check", "framing", str(file))
    assert (result.returncode, result.stderr) == (0, "")
    assert "judged: class Framing:" in result.stdout


def test_a_notebook_has_no_line_numbers(tmp_path: Path) -> None:
    """So what is told names the line itself."""
    for source, words in [
        (RIGHT.replace("data).split", "dat).split"), "(in the line `*lines, self.rest = (self.rest + dat)"),
        ("class Framing:\n    def feed(:\n", "(in the line `def feed(:`)"),
        (RIGHT.replace("return [", "yield ["), "look at: `yield` makes feed a generator"),
    ]:
        file = tmp_path / "mine.ipynb"
        cell = {"cell_type": "code", "metadata": {}, "source": source}
        file.write_text(json.dumps({"cells": [cell], "metadata": {}}), encoding="utf-8")
        told = " ".join(run("check", "framing", str(file)).stdout.split())
        assert words in told and "line 7" not in told, told


def test_a_neighbour_that_cannot_be_read(tmp_path: Path) -> None:
    """The file that is wrong is named."""
    (tmp_path / "ends.py").write_text("x = 1\nx = = 2\n", encoding="utf-8")
    file = tmp_path / "mine.py"
    file.write_text("import ends\n" + RIGHT, encoding="utf-8")
    assert "(in ends.py, line 2: x = = 2)" in " ".join(run("check", "framing", str(file)).stdout.split())


def test_a_file_of_an_older_powershell(tmp_path: Path) -> None:
    """Its `>` writes UTF-16, with CR LF; what is no text is named, in one line."""
    file = tmp_path / "mine.py"
    file.write_bytes(RIGHT.replace("\n", "\r\n").encode("utf-16"))
    assert run("check", "framing", str(file)).returncode == 0
    file.write_bytes(b"PK\x03\x04")
    failed = run("check", "framing", str(file))
    assert (failed.returncode, failed.stdout) == (2, "")
    assert "ZIP archive" in failed.stderr and len(failed.stderr.splitlines()) == 1


MODULE = """
from __future__ import annotations

import inspect
import pickle
import sys
import typing
from dataclasses import dataclass
from ends import LF, USES

if __name__ == "__main__":
    input()


@dataclass
class Framing:
    rest: bytes = b""
    kinds: typing.ClassVar[list[str]] = []

    def feed(self, data: bytes) -> list[str]:
        USES.append(data)
        assert len(USES) < 20, "a neighbour is imported anew for each step"
        assert typing.get_type_hints(Framing)["rest"] is bytes
        assert pickle.loads(pickle.dumps(self)) == self
        assert inspect.getsource(Framing).startswith("@dataclass")
        assert sys.argv == [__file__] and sys.modules[__name__].Framing is Framing
        *lines, self.rest = (self.rest + data).split(LF)
        return [line.removesuffix(b"\\r").decode("utf-8", "replace") for line in lines]
"""


def test_a_file_is_a_module(tmp_path: Path) -> None:
    """As dataclasses, typing, pickle and inspect want it; its neighbours are its own in each step."""
    (tmp_path / "ends.py").write_text("LF = b'\\n'\nUSES = []\n", encoding="utf-8")
    file = tmp_path / "mine.py"
    file.write_text(MODULE, encoding="utf-8")
    result = run("check", "framing", str(file))
    assert result.returncode == 0, result.stdout


def test_typing_and_pickle_in_a_notebook() -> None:
    """What is defined in a cell is found by its name in the other process, too."""
    names: dict[str, Any] = {"__name__": "__main__"}
    body = RIGHT.replace(
        FEED,
        "        import pickle, typing\n"
        "        assert typing.get_type_hints(Framing.feed)['data'] is bytes\n"
        "        assert type(pickle.loads(pickle.dumps(self))) is Framing\n" + FEED,
    )
    exec(body, names)
    assert check("framing", names["Framing"]).ok


def test_a_check_shows_what_it_judged() -> None:
    """Of a notebook's cell the line that defines the name, and which cell it is; as text and as HTML."""
    source = "# mine\n" + RIGHT.replace("class Framing:", "class Framing:  # <b>")
    names: dict[str, Any] = {}
    linecache.cache["<cell 7>"] = (len(source), None, source.splitlines(keepends=True), "<cell 7>")
    exec(compile(source, "<cell 7>", "exec"), names)
    result = check("framing", names["Framing"])
    assert "judged: class Framing:  # <b>   (the cell, " in str(result)
    assert "judged: class Framing:  # &lt;b&gt;" in result._repr_html_()
    assert "judged" not in str(check("framing", RIGHT))


def test_memory_is_bounded() -> None:
    """Code that asks for more than the bound gets a MemoryError, and the check says so."""
    if sys.platform == "linux":
        result = judged(
            "framing", RIGHT.replace(FEED, "        kept = [bytes(10**9) for _ in range(9)]\n" + FEED)
        )
        assert result.failure is not None and result.failure.clue == "MemoryError"
        assert "What grows there" in str(result)


def test_there_is_room_for_many_threads() -> None:
    """A server that leaves one behind for each client does not run out of memory for their stacks."""
    code = """
import threading
from labkit.exercises.grading import memory
memory.bound()
end = threading.Event()
for _ in range(400):
    threading.Thread(target=end.wait, daemon=True).start()
print(threading.active_count())
end.set()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE)
    assert (done.stdout, done.stderr) == ("401\n", "")


def test_a_stub_is_written_to_a_file(tmp_path: Path) -> None:
    """As UTF-8 with LF; in a folder under its own name; never over what is there."""
    file = tmp_path / "mine.py"
    assert run("exercises", "stub", "nickname", "--to", str(file)).stdout == f"wrote {file}\n"
    printed = run("exercises", "stub", "nickname").stdout
    assert file.read_bytes() == printed.encode() and b"\r" not in file.read_bytes()
    file.write_text("my work", encoding="utf-8")
    assert run("exercises", "stub", "nickname", "--to", str(tmp_path)).stdout.endswith("nickname.py\n")
    for to, why in [
        (file, "is there already"),
        (tmp_path, "is there already"),
        (tmp_path / "none" / "mine.py", "No such file"),
        (tmp_path / "mine.ipynb", "a stub is a .py file"),
    ]:
        failed = run("exercises", "stub", "nickname", "--to", str(to))
        assert (failed.returncode, failed.stdout) == (2, "")
        assert why in failed.stderr and len(failed.stderr.splitlines()) == 1
    assert file.read_text(encoding="utf-8") == "my work"
