"""The code's rules: what may import what, what may print, and how much a file may hold."""

from __future__ import annotations

import ast
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

from labkit.wire.messages import LAST_TRY, TAKEN, WRONG_PASSWORD

ROOT = Path(__file__).parent.parent
LABKIT = ROOT / "labkit"
FILES = sorted(LABKIT.rglob("*.py"))
CATALOGUE = LABKIT / "exercises" / "catalogue"

LINES = 450
"""The most that a file may have; an exercise of the catalogue holds texts, and may have more."""

CLASS_LINES = 300
"""The most that a class may have."""

LAYERS, PURE, CIRCLES = "Nothing imports upwards", "The pure files import no socket", "No circles"
"""How the contracts' names begin."""


def lint(folder: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the contracts hold for the labkit in this folder."""
    # The linter looks the package up; without these it would find the one that the tests have imported.
    monkeypatch.delitem(sys.modules, "labkit", raising=False)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.chdir(folder)
    return lint_imports(str(folder / "pyproject.toml"), no_cache=True, no_logo=True) == EXIT_STATUS_SUCCESS


def test_the_contracts_hold(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing imports upwards, the pure files are pure, and there are no circles."""
    assert lint(ROOT, monkeypatch), capsys.readouterr().out


@pytest.mark.parametrize(
    ("file", "line", "contract", "where"),
    [
        ("wire/framing.py", "import socket", PURE, "labkit.wire.framing -> socket"),
        ("server/rooms.py", "import threading", PURE, "labkit.server.rooms -> threading"),
        (
            "server/limits.py",
            "from labkit.instruments import ladder",
            LAYERS,
            "labkit.server.limits -> labkit.instruments.ladder",
        ),
        (
            "client/transcript.py",
            "import labkit.server",
            LAYERS,
            "labkit.client.transcript -> labkit.server",
        ),
        (
            "wire/messages.py",
            "def late() -> None:\n    import labkit.server",
            LAYERS,
            "labkit.wire.messages -> labkit.server",
        ),
        (
            "conformance/report.py",
            "import labkit.conformance.run",
            CIRCLES,
            "No cycles are allowed in labkit.conformance.",
        ),
    ],
)
def test_a_wrong_import_is_caught(
    file: str,
    line: str,
    contract: str,
    where: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In a copy with one more import the contract that it breaks is named, with the import."""
    shutil.copytree(LABKIT, tmp_path / "labkit", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "labkit" / file).open("a", encoding="utf-8") as end:
        end.write(f"\n{line}\n")
    assert not lint(tmp_path, monkeypatch)
    _, _, broken = " ".join(capsys.readouterr().out.split()).partition("Broken contracts")
    assert contract in broken and where in broken


FLOORS = (
    "wire",
    "journal",
    "server client probe classic",
    "peers",
    "instruments",
    "conformance",
    "exercises",
    "cli",
)


def imported(tree: ast.AST) -> Iterator[str]:
    """Every module of labkit that is imported anywhere in the file, for a type checker alone, too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("labkit."):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("labkit."))


def test_nothing_imports_upwards_for_a_type_checker_either() -> None:
    """The contracts leave out what stands under `if TYPE_CHECKING`; it has the same order."""
    floor = {name: number for number, names in enumerate(FLOORS) for name in names.split()}
    upwards = []
    for path in FILES:
        part = path.relative_to(LABKIT).parts[0].removesuffix(".py")
        if part not in floor:
            continue  # labkit itself, and __main__
        for module in imported(ast.parse(path.read_text(encoding="utf-8"))):
            other = module.split(".")[1]
            if other != part and floor[other] >= floor[part]:
                upwards.append(f"{path.relative_to(LABKIT).as_posix()} -> {module}")
    assert upwards == []


TOLD_APART = {"TAKEN": TAKEN, "WRONG_PASSWORD": WRONG_PASSWORD, "LAST_TRY": LAST_TRY}
"""What a client must tell apart: no other file may ask for these by name, either."""

ASKING = set(
    "startswith endswith find rfind index count search match fullmatch compile partition rpartition "
    "removeprefix removesuffix split".split()
)
"""Methods that look for words."""


def texts(node: ast.AST) -> set[str]:
    """The pieces of text in it, without what stands around their words."""
    strings = (one.value for one in ast.walk(node) if isinstance(one, ast.Constant))
    return {text.strip(" :;,(") for text in strings if isinstance(text, str)}


def refusing() -> set[str]:
    """The words of all refusals that the server has; of single words and the like, nothing."""
    found = {words.strip(" ;") for words in TOLD_APART.values()}
    for path in FILES:
        if path.relative_to(LABKIT).parts[0] in ("wire", "server"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    if node.func.id in ("Refusal", "Refused", "BadName", "BadCommand"):
                        found |= {text for text in texts(node) if " " in text and len(text) >= 10}
    return found


def test_refusals_are_told_apart_in_wire_messages_alone() -> None:
    """No other file compares with their words: `in`, `==`, `case`, `startswith` and its like, a pattern."""
    refusals, compared = refusing(), []
    assert {"looks like", "nobody here is called", "wrong password", "is taken"} <= refusals
    for path in FILES:
        if path.is_relative_to(CATALOGUE) or path == LABKIT / "wire" / "messages.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            asks = isinstance(node, ast.Compare | ast.MatchValue) or (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ASKING
            )
            if not asks or not isinstance(node, ast.expr | ast.pattern):
                continue
            names = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
            if names & set(TOLD_APART) or any(words in text for text in texts(node) for words in refusals):
                compared.append(f"{path.relative_to(LABKIT).as_posix()}:{node.lineno}")
    assert compared == []


# --- who prints ---

MAY_PRINT = {
    "classic.py": "the assignment's own client prints what it hears",
    "peers/asyncio_server.py": "a program of its own",
    "peers/classic_lines.py": "a program of its own",
    "peers/queues.py": "a program of its own",
    "peers/selectors_server.py": "a program of its own",
    "exercises/grading/child.py": "its standard output is what the student's code prints",
    "exercises/grading/server_child.py": "its standard output is what the student's server prints",
}
"""Files outside cli/ that may print, and why."""


STREAMS = {"stdout", "stderr", "__stdout__", "__stderr__"}


def printing(tree: ast.AST) -> Iterator[int]:
    """The lines that print, or name standard output or error."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == "print":
            yield node.lineno
        if isinstance(node, ast.Attribute) and node.attr in STREAMS and ast.unparse(node.value) == "sys":
            yield node.lineno


def test_only_cli_prints() -> None:
    """What is no command returns its result, or writes it into a journal."""
    found = {
        path.relative_to(LABKIT).as_posix(): lines
        for path in FILES
        if not path.is_relative_to(LABKIT / "cli")
        and (lines := list(printing(ast.parse(path.read_text(encoding="utf-8")))))
    }
    assert {file: lines for file, lines in found.items() if file not in MAY_PRINT} == {}
    assert set(MAY_PRINT) == set(found), "one of these prints no more"


# --- who starts processes ---

MAY_START = {
    "probe/children.py": "with it, they end with the process that started them",
    "cli/lab.py": "JupyterLab, of which children.py is told: a browser that it opens is the user's",
}
"""Files that may start a process, and why."""

STARTS = {
    "subprocess": {"Popen", "run", "call", "check_call", "check_output", "getoutput", "getstatusoutput"},
    "os": {"system", "popen", "fork", "forkpty", "posix_spawn", "posix_spawnp", "startfile"},
    "pty": {"fork", "spawn"},
    "asyncio": {"create_subprocess_exec", "create_subprocess_shell"},
}
"""What starts a process, by module. multiprocessing is out whole, and so is its executor."""


def starting(tree: ast.AST) -> Iterator[int]:
    """The lines that start a process, or could."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            module = ast.unparse(node.func.value)
            if node.func.attr in STARTS.get(module, ()) or (
                module == "os" and node.func.attr.startswith("spawn")
            ):
                yield node.lineno
        elif isinstance(node, ast.ImportFrom):
            names = {alias.name for alias in node.names}
            if names & (STARTS.get(node.module or "", set()) | {"ProcessPoolExecutor"}):
                yield node.lineno
            if (node.module or "").startswith("multiprocessing"):
                yield node.lineno
        elif isinstance(node, ast.Import):
            if any(alias.name.startswith("multiprocessing") for alias in node.names):
                yield node.lineno


def test_only_children_starts_processes() -> None:
    """So that none outlives the one that started it."""
    found = {
        path.relative_to(LABKIT).as_posix()
        for path in FILES
        if list(starting(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert found == set(MAY_START)


# --- how much there is ---


def test_what_labkit_holds() -> None:
    """Each folder is named in README; a new one is a decision, not an accident."""
    # What Python left of folders that have gone does not count.
    files = (path.relative_to(LABKIT) for path in LABKIT.rglob("*") if path.is_file())
    assert {path.parts[0] for path in files if "__pycache__" not in path.parts} == {
        *("__init__.py", "__main__.py", "classic.py", "journal.py", "py.typed"),
        *("wire", "server", "client", "probe", "instruments", "peers", "conformance", "exercises", "cli"),
    }


def test_no_file_is_too_long() -> None:
    """A file that grows beyond this holds two ideas."""
    long = {
        path.relative_to(LABKIT).as_posix(): count
        for path in FILES
        if not path.is_relative_to(CATALOGUE)
        and (count := len(path.read_text(encoding="utf-8").splitlines())) > LINES
    }
    assert long == {}


def test_no_class_is_too_long() -> None:
    """The same of a class."""
    long = {
        f"{path.relative_to(LABKIT).as_posix()}: {node.name}": count
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        and node.end_lineno is not None
        and (count := node.end_lineno - node.lineno + 1) > CLASS_LINES
    }
    assert long == {}
