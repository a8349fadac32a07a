"""README's snippets do what README says they do, and what it points to is there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import labkit
from labkit import instruments

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def snippets(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("script", snippets("python"))
def test_scripts_run_and_print_what_they_say(script: str) -> None:
    """Each `print(…)  # text` prints that text, and nothing goes to stderr."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    promised = re.findall(r"^\s*print\(.*\)\s+# (.*)$", script, re.MULTILINE)
    assert promised
    assert (done.stdout.splitlines(), done.stderr, done.returncode) == (promised, "", 0)


def test_the_first_two_commands_start_the_lab_and_the_tests() -> None:
    """Each is enough by itself: it makes the environment, installs into it, and goes."""
    install = "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt && "
    first, second = snippets("sh")[:2]
    assert first.strip() == install + ".venv/bin/python -m labkit lab"
    assert second.strip() == install + ".venv/bin/pytest"
    assert (ROOT / "requirements.txt").read_text().splitlines()[-1] == "-e ."


@pytest.mark.parametrize(
    "command",
    sorted(set(re.findall(r"python -m labkit[^\n`]*", "\n".join(re.split(r"```py.*?```", README))))),
)
def test_every_command_that_is_named_exists(command: str) -> None:
    """With these options: the command's own parser takes them."""
    words = [sys.executable, *shlex.split(command)[1:], "--help"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: python -m labkit")


def test_every_link_leads_somewhere() -> None:
    """Files that README names are in the repository."""
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert len(links) > 15
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []


def test_the_tours_leave_no_file_out() -> None:
    """README, the package's docstring and that of its instruments name every module that there is."""
    package = ROOT / "labkit"
    modules = {str(path.relative_to(package)) for path in package.rglob("*.py")}
    modules = {name for name in modules if not name.endswith("__init__.py")}
    assert set(re.findall(r"\(labkit/([\w/.]+\.py)\)", README)) == modules
    own = {name for name in modules if "/" not in name}
    assert set(re.findall(r"\b(\w+\.py)\b", labkit.__doc__ or "")) == own
    assert {f"instruments/{name}" for name in re.findall(r"\b(\w+\.py)\b", instruments.__doc__ or "")} == {
        name for name in modules if name.startswith("instruments/")
    }
