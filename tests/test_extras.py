"""The core needs what is installed with it; what else a module needs is in an extra, which is named."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable
from importlib.metadata import files, packages_distributions, requires
from pathlib import Path

import pytest
from programs import CLEAN, PATIENCE, Program

from labkit.__main__ import COMMANDS
from labkit.exercises import exercise_called
from labkit.wire.extras import MissingExtra, extra, missing

ROOT = Path(__file__).parent.parent
LABKIT = ROOT / "labkit"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

PACKAGES = {"PIL": "pillow"}
"""The package of a module, where it has another name."""

AREAS = {
    "instruments/panel/": {"lab"},
    "instruments/stepper/panel.py": {"lab"},
    "instruments/load/": {"load", "redis"},
    "cli/load.py": {"load"},
    "cli/grade.py": {"grade"},
    "server/backplane/": {"redis"},
}
"""Which extras the files of a folder may use, or a file; all others have the core's packages alone."""

NOT_IMPORTED = {"ipykernel", "jupyterlab"}
"""Packages of extras that are run, or loaded by others, and imported nowhere."""

NOT_OURS = {"uvloop"}
"""Named to a user who asks for it, and in no extra."""


def names(requirements: Iterable[str]) -> set[str]:
    """The packages that are required; of `labkit[…]` nothing."""
    found = {re.split(r"[^\w-]", one.lower().replace("_", "-"))[0] for one in requirements}
    return found - {"labkit"}


CORE = names(PROJECT["dependencies"])
EXTRAS = {name: names(of) for name, of in PROJECT["optional-dependencies"].items()}


def imported(path: Path) -> set[str]:
    """The packages of others that a file imports anywhere: also in a function, and for a type checker."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").partition(".")[0])
    # The data of a package is read without importing it.
    found |= set(re.findall(r'library = find_spec\("(\w+)"\)', path.read_text(encoding="utf-8")))
    others = found - sys.stdlib_module_names - {"labkit"} - NOT_OURS
    return {PACKAGES.get(name, name).replace("_", "-") for name in others}


def test_each_file_imports_what_its_extra_has() -> None:
    """And each package that the core or an extra has is imported where it may be."""
    used: dict[str, set[str]] = defaultdict(set)
    wrong = {}
    for path in LABKIT.rglob("*.py"):
        name = path.relative_to(LABKIT).as_posix()
        theirs = imported(path)
        used["core"] |= theirs & CORE
        theirs -= CORE
        extras = [one for area, of in AREAS.items() if name.startswith(area) for one in of]
        for one in extras:
            used[one] |= theirs & EXTRAS[one]
        if left := theirs.difference(*(EXTRAS[one] for one in extras)):
            wrong[name] = left
    assert wrong == {}
    assert used["core"] == CORE
    for one in ("grade", "lab", "load", "redis"):
        assert used[one] == EXTRAS[one] - NOT_IMPORTED, one


def test_the_core_is_small() -> None:
    """Nine packages at most, none of which brings others; with labkit and its notebooks, 40 MB at most."""
    assert len(CORE) <= 9
    paths = [Path(str(file.locate())) for package in CORE for file in files(package) or ()]
    ours = [path for folder in ("labkit", "notebooks") for path in (ROOT / folder).rglob("*")]
    assert sum(path.stat().st_size for path in [*paths, *ours] if path.is_file()) < 40e6
    for package in CORE:
        assert names(one for one in requires(package) or () if "extra ==" not in one) <= CORE, package


def test_what_is_pinned() -> None:
    """What a student needs, and no tool, in requirements.txt; what the tests need in the other one."""

    def pinned(file: str) -> set[str]:
        lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if not line.startswith(("#", "-", "older-python @"))]
        assert all(re.fullmatch(r"[\w-]+==[\d.]+", line) for line in kept), file
        return names(kept)

    assert pinned("requirements.txt") == CORE.union(
        *(EXTRAS[one] for one in ("grade", "lab", "load", "redis"))
    )
    assert pinned("requirements-dev.txt") == EXTRAS["dev"]


# --- with nothing but the core ---

REFUSE = """
import sys
from importlib.machinery import PathFinder

KNOWN = {known!r} | sys.stdlib_module_names

class Known(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        known = name.partition(".")[0] in KNOWN or name.startswith("_sysconfigdata")
        return super().find_spec(name, path, target) if known else None

sys.meta_path[:] = [Known if finder is PathFinder else finder for finder in sys.meta_path]
"""


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a Python, and of all that it starts, which finds the core's packages alone."""
    folder = tmp_path_factory.mktemp("core")
    modules = packages_distributions()
    known = {"labkit", "sitecustomize"} | {one for one in modules if names(modules[one]) & CORE}
    (folder / "sitecustomize.py").write_text(REFUSE.format(known=known), encoding="utf-8")
    return {**CLEAN, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}


def run(environment: dict[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def test_the_core_alone(core: dict[str, str], tmp_path: Path) -> None:
    """No other package is found; and with the core's, a script, the demo, every --help and a check work."""
    for other in ("numpy", "ipywidgets", "pytest"):
        assert run(core, tmp_path, "-c", f"import {other}").returncode == 1
    # A nickname of other letters, too: it is judged by tables that are loaded for it.
    script = """
from labkit import ChatClient, ChatServer
with ChatServer(port=0) as server:
    with ChatClient("Zoé", server.address) as zoe, ChatClient("Ольга", server.address) as olga:
        zoe.say("hello")
        print(ascii(olga.wait_for("hello", timeout=20)))
"""
    assert run(core, tmp_path, "-c", script).stdout == ascii("Zoé: hello") + "\n"
    demo = run(core, tmp_path, "-m", "labkit", "demo")
    assert (demo.returncode, demo.stderr) == (0, "")
    for command in COMMANDS:
        helped = run(core, tmp_path, "-m", "labkit", command, "--help")
        assert (helped.returncode, helped.stderr) == (0, ""), command
    mine = tmp_path / "mine.py"
    mine.write_text(exercise_called("framing").solution, encoding="utf-8")
    checked = run(core, tmp_path, "-m", "labkit", "check", "framing", str(mine))
    assert (checked.returncode, checked.stderr) == (0, ""), checked.stdout


def test_serve_and_join_with_the_core_alone(core: dict[str, str]) -> None:
    """One joins by the line that the server prints, and hears what it says to her."""
    with Program(sys.executable, "-m", "labkit", "serve", "--port", "0", environment=core) as serving:
        line = serving.until("\nOnly this machine").split("To join: python ")[1].split("\n")[0]
        with Program(sys.executable, *shlex.split(line), "alice", environment=core) as alice:
            alice.until("* you are alice, in lobby\n")
            alice.hang_up()
            assert alice.ends() == 0


PANEL = "from labkit.instruments.panel import board"
STEPPER = "import labkit.instruments.stepper.panel"
LOAD = "from labkit.instruments.load import load"
TIMES = "from labkit.instruments.load.times import Times"
SHARED = "from labkit import ChatServer; ChatServer(backplane='redis://localhost')"


@pytest.mark.parametrize(
    ("words", "extra", "package"),
    [
        (["-m", "labkit", "lab"], "lab", "jupyterlab"),
        (["-m", "labkit", "load"], "load", "numpy"),
        (["-m", "labkit", "load", "--plot", "load.png"], "load", "numpy"),
        (["-m", "labkit", "serve", "--backplane", "redis://localhost"], "redis", "redis"),
        (["-c", PANEL], "lab", "ipywidgets"),
        (["-c", STEPPER], "lab", "ipywidgets"),
        (["-c", LOAD], "load", "numpy"),
        (["-c", TIMES], "load", "numpy"),
        (["-c", SHARED], "redis", "redis"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, list) else one,
)
def test_what_is_missing_is_named(
    words: list[str], extra: str, package: str, core: dict[str, str], tmp_path: Path
) -> None:
    """With its extra, in one line; and nothing has been written."""
    done = run(core, tmp_path, *words)
    assert done.returncode == 1 and done.stdout == ""
    *traceback, last = done.stderr.splitlines()
    name, _, told = last.partition(": ")
    python = re.escape(sys.executable)
    how = re.fullmatch(
        rf"this needs {package}: uv pip install --python {python} (.+)", told
    )  # here is no pip
    assert how, told
    made_of = {"lab": ("lab", "load", "redis")}.get(extra, (extra,))
    assert set(how[1].split()) == set().union(*(EXTRAS[one] for one in made_of))
    assert name == ("labkit" if words[0] == "-m" else "labkit.wire.extras.MissingExtra")
    assert bool(traceback) == (words[0] == "-c")
    assert list(tmp_path.iterdir()) == []


def test_where_there_is_pip_it_is_this_pythons() -> None:
    """The `pip` that the shell finds may be another's, and install what this Python does not see."""
    told = str(missing("redis", "redis"))
    assert told == f"this needs redis: {sys.executable} -m pip install redis"
    assert "pip install something" in str(missing("something", "no extra"))


def test_a_module_of_labkit_that_is_missing_is_no_extra() -> None:
    """Nor is a name that is missing in a module."""
    for line in ("import labkit.nothing", "from json import nothing"):
        with pytest.raises(ImportError) as caught, extra("lab"):
            exec(line)
        assert not isinstance(caught.value, MissingExtra)
