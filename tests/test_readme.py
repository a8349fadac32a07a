"""README's snippets do what README says they do, and what it points to is there."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from programs import PATIENCE

from labkit import ChatClient, ChatServer

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
GITHUB = ROOT / ".github"
CONTRIBUTING = (GITHUB / "CONTRIBUTING.md").read_text(encoding="utf-8")
CHANGELOG = (GITHUB / "CHANGELOG.md").read_text(encoding="utf-8")
STUDENTS = (ROOT / "STUDENTS.md").read_text(encoding="utf-8")  # the README of what is handed out
TEACHING = (ROOT / "notebooks" / "TEACHING.md").read_text(encoding="utf-8")


def snippets(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("script", snippets("python"))
def test_scripts_print_what_they_say(script: str, tmp_path: Path) -> None:
    """In a comment behind each `print(…)`, or in the block of text below; and nothing goes to stderr."""
    file = tmp_path / "script.py"
    file.write_text(script, encoding="utf-8")
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, timeout=PATIENCE)
    below = re.match(r"\s*```text\n(.*?)```", README.partition(script + "```")[2], re.DOTALL)
    comments = re.findall(r"^\s*print\(.*\)\s+# (.*)$", script, re.MULTILINE)
    promised = below[1].splitlines() if below else comments
    assert promised
    assert (done.stdout.splitlines(), done.stderr, done.returncode) == (promised, "", 0)


def test_the_drawing_is_the_ladders_own() -> None:
    """README's Mermaid is what the script above it would draw."""
    script = next(script for script in snippets("python") if "Ladder(" in script)
    script = script.replace("alice's wire\"))", "alice's wire\").mermaid())")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout == snippets("mermaid")[0]


def test_four_lines_tap_a_server() -> None:
    """The lines for one's own server, run against one."""
    lines = snippets("py")[0]
    with ChatServer(port=0) as server:
        lines = lines.replace('("localhost", 14901)', repr(server.address))
        command = [sys.executable, "-c", lines]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as tap:
            assert tap.stdout is not None and tap.stdin is not None
            prompt = ""
            while not prompt.endswith("Enter "):
                prompt += tap.stdout.read(1)
            host, port = re.search(r"\('(.*)', (\d+)\)", prompt).groups()  # type: ignore[union-attr]
            ChatClient("alice", (host, int(port))).leave()
            tap.stdin.write("\n")
            tap.stdin.flush()
            assert "'alice\\n' (6)" in tap.stdout.read()
    assert len(lines.strip().splitlines()) == 4


def test_no_figure_is_missing() -> None:
    """A figure is a number, and not the place for one."""
    assert "BENCH" not in README


def test_the_first_two_commands_start_the_lab_and_the_tests() -> None:
    """Each is enough by itself: it makes the environment, installs into it, and goes."""
    install = "python3 -m venv .venv && .venv/bin/pip install -r requirements{}.txt && "
    first, second = snippets("sh")[:2]
    assert first.strip() == install.format("") + ".venv/bin/python -m labkit lab"
    assert second.strip() == install.format("-dev") + ".venv/bin/pytest"
    assert (ROOT / "requirements.txt").read_text().splitlines()[-1] == "-e .[grade,lab]"
    assert "-r requirements.txt" in (ROOT / "requirements-dev.txt").read_text().splitlines()


def test_each_extra_is_told() -> None:
    """README's table has those of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    table = README.partition("| extra | for |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == set(project["optional-dependencies"])


def commands(text: str) -> set[str]:
    """The commands of ours that it names, up to where the shell or another program takes over."""
    named = re.findall(r"python -m labkit[^\n`]*", "\n".join(re.split(r"```py.*?```", text)))
    return {re.split(r" (?:--|>)(?: |$)|;", command)[0] for command in named}


@pytest.mark.parametrize("command", sorted(commands(README) | commands(TEACHING) | commands(STUDENTS)))
def test_every_command_that_is_named_exists(command: str) -> None:
    """With these options: the command's own parser takes them."""
    words = [sys.executable, *shlex.split(command)[1:], "--help"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: python -m labkit")


@pytest.mark.parametrize(
    ("text", "folder", "least"),
    [
        (README, ROOT, 16),
        (STUDENTS, ROOT, 16),
        (TEACHING, ROOT / "notebooks", 16),
        (CONTRIBUTING, GITHUB, 16),
        (CHANGELOG, GITHUB, 2),
    ],
    ids=["README", "STUDENTS", "TEACHING", "CONTRIBUTING", "CHANGELOG"],
)
def test_every_link_leads_somewhere(text: str, folder: Path, least: int) -> None:
    """Files that these pages name are in the repository."""
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)
    assert len(links) >= least
    assert [link for link in links if "://" not in link and not (folder / link).exists()] == []


def test_what_has_moved_is_where_the_changelog_says() -> None:
    """The right column of its table names modules that there are."""
    moved = re.findall(r"^\| `labkit.*\| (.*) \|$", CHANGELOG, re.MULTILINE)
    assert len(moved) > 20
    for module in re.findall(r"labkit(?:\.\w+)+", " ".join(moved)):
        path = ROOT / module.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").is_file(), module


FOLDERS = sorted(path.parent for path in (ROOT / "labkit").rglob("__init__.py"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_tours_leave_no_file_out(folder: Path) -> None:
    """The docstring of each package names every module and every folder in it; README, those of labkit."""
    tour = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    modules = {path.name for path in folder.glob("*.py")} - {"__init__.py"}
    assert set(re.findall(r"\b(\w+\.py)\b", tour)) == modules
    folders = {path.parent.name for path in folder.glob("*/__init__.py")}
    assert folders <= set(re.findall(r"\b(\w+)/", tour))
    if folder.name == "labkit":
        assert set(re.findall(r"\(labkit/(\w+\.py)\)", README)) == modules
        assert folders <= set(re.findall(r"\(labkit/(\w+)/__init__\.py\)", README))
