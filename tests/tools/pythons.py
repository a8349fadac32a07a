"""The core and the checks on other Pythons, in development mode, and with warnings as errors.

    python tests/tools/pythons.py                       each Python from 3.11 on that is found
    python tests/tools/pythons.py 3.12 3.13 -- -k wire  these, and what pytest is given besides

Each gets an environment in .artefacts/pythons/, with what README's second command installs; it stays there.
The tests, and all Pythons that they start, report what they misuse: files and sockets that were not
closed, deprecated calls, bytes compared with text. Exit status 0: all tests of all Pythons passed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = ROOT / ".artefacts" / "pythons"

OLDEST, NEWEST = 11, 14
"""Minor versions to look for."""

TESTS = (
    *("tests/wire", "tests/client", "tests/server", "tests/probe", "tests/exercises", "tests/cli"),
    *("tests/platforms", "tests/test_import.py", "tests/test_shadows.py"),
    *("tests/test_classic.py", "tests/test_extras.py", "tests/test_journal.py"),
)
"""Of the core, and of the checks."""

LEFT_OUT = (
    "tests/cli/test_main.py::test_lab_opens_the_notebook",
    "tests/cli/test_main.py::test_lab_that_does_not_start",
)
"""What starts JupyterLab, which has warnings of its own."""


def pythons() -> dict[str, str]:
    """The Pythons of this machine, by version: on the path, pyenv's, or those of Windows' launcher."""
    found = {}
    for minor in range(OLDEST, NEWEST + 1):
        version = f"3.{minor}"
        for program in _candidates(version):
            if _version(program) == version:
                found[version] = str(program)
                break
    return found


def _candidates(version: str) -> Iterator[str | Path]:
    if f"{sys.version_info[0]}.{sys.version_info[1]}" == version:
        yield sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    yield from sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True)
    if program := shutil.which(f"python{version}"):
        yield program
    if launcher := shutil.which("py"):
        asked = [launcher, f"-{version}", "-c", "import sys; print(sys.executable)"]
        yield subprocess.run(asked, capture_output=True, text=True).stdout.strip()


def _version(program: str | Path) -> str:
    """What it says; "" if it does not run, or is a free-threaded build, of which nothing is promised."""
    script = (
        "import sys, sysconfig as s; "
        "print('%d.%d' % sys.version_info[:2] if not s.get_config_var('Py_GIL_DISABLED') else '')"
    )
    try:
        done = subprocess.run([program, "-c", script], capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip()


def environment(version: str, program: str, fresh: bool) -> Path:
    """The Python of an environment with all that the tests need."""
    folder = ENVIRONMENTS / version
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        subprocess.run([program, "-m", "venv", folder], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "-r", "requirements-dev.txt"]
    subprocess.run(install, cwd=ROOT, check=True)
    return python


def run(python: Path, more: list[str]) -> int:
    """Run the tests; returns pytest's exit status."""
    strict = {**os.environ, "PYTHONDEVMODE": "1", "PYTHONWARNINGS": "error"}
    tests = [] if any(word.startswith("tests") for word in more) else [*TESTS]
    left_out = [f"--deselect={test}" for test in LEFT_OUT]
    command = [str(python), "-m", "pytest", "-W", "error", *left_out, *tests, *more]
    return subprocess.run(command, cwd=ROOT, env=strict).returncode


def main() -> int:
    words = sys.argv[1:]
    at = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("version", nargs="*", help="such as 3.12 (default: each that is found)")
    parser.add_argument("--fresh", action="store_true", help="make the environments anew")
    options = parser.parse_args(words[:at])
    found = pythons()
    missing = [version for version in options.version if version not in found]
    if missing or not found:
        parser.error(f"not found: {', '.join(missing) or 'a Python'}; found: {', '.join(found)}")
    statuses = {}
    for version in options.version or found:
        python = environment(version, found[version], options.fresh)
        said = subprocess.run([python, "--version"], capture_output=True, text=True, check=True).stdout
        print(f"--- {said.strip()} ---", flush=True)
        statuses[version] = run(python, words[at + 1 :])
    for version, status in statuses.items():
        print(f"{version}: {'all passed' if status == 0 else f'pytest ended with status {status}'}")
    return 1 if any(statuses.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
