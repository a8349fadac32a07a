"""shadows.py: a file of the student's with the name of one of Python's modules is named as the cause."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from programs import CLEAN, LABKIT, PATIENCE

from labkit.exercises import exercise_called
from labkit.wire.shadows import shadow

HOME = Path(__file__).resolve().parents[1]

PROGRAMS = {
    "empty": "",
    "a chat of the student's": "import socket\nserver = socket.create_server(('localhost', 0))\n",
    "unfinished": "def serve(:\n",
    "with a mistake": "1 / 0\n",
}


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, [str(HOME), CLEAN.get("PYTHONPATH", "")]))
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**CLEAN, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def hides(file: Path) -> str:
    return f"{file.resolve()} hides Python's own module {file.stem}: rename it"


@pytest.mark.parametrize("text", PROGRAMS.values(), ids=PROGRAMS)
@pytest.mark.parametrize("module", ["socket", "threading", "select", "struct", "dataclasses"])
def test_import_names_the_file(tmp_path: Path, module: str, text: str) -> None:
    """Beside a script, and in the current folder; -S: nothing was imported before the script begins."""
    (tmp_path / f"{module}.py").write_text(text)
    (tmp_path / "chat.py").write_text("import labkit\n")
    for arguments in (["-S", "chat.py"], ["-S", "-c", "import labkit"]):
        done = python(tmp_path, *arguments)
        assert done.returncode == 1
        told = [line for line in done.stderr.splitlines() if line.startswith("ImportError: ")]
        assert told == [f"ImportError: {hides(tmp_path / f'{module}.py')}"], done.stderr


def test_a_script_that_hides_what_it_imports(tmp_path: Path) -> None:
    """`python socket.py`, with `import labkit` in it: it is imported again, in place of Python's."""
    script = tmp_path / "socket.py"
    script.write_text("import labkit\nlabkit.ChatServer\n")
    assert f"ImportError: {hides(script)}" in python(tmp_path, "-S", "socket.py").stderr


def test_a_folder_hides_a_module_too(tmp_path: Path) -> None:
    """One with an `__init__.py`; one without hides nothing."""
    (tmp_path / "struct").mkdir()
    assert python(tmp_path, "-c", "import labkit").returncode == 0
    (tmp_path / "struct" / "__init__.py").touch()
    file = (tmp_path / "struct" / "__init__.py").resolve()
    done = python(tmp_path, "-c", "import labkit")
    assert f"{file} hides Python's own module struct: rename it" in done.stderr


def test_a_command_says_it_in_one_line(tmp_path: Path) -> None:
    """What a command needs is loaded later than labkit itself."""
    (tmp_path / "json.py").touch()
    done = python(tmp_path, *LABKIT[1:], "demo")
    assert (done.returncode, done.stderr) == (1, f"labkit: {hides(tmp_path / 'json.py')}\n")


def test_a_check_says_it(tmp_path: Path) -> None:
    """The student's code imports what is hidden by a file beside it."""
    (tmp_path / "sched.py").touch()
    solution = tmp_path / "mine.py"
    solution.write_text("from sched import scheduler\n\n\n" + exercise_called("framing").solution)
    done = python(tmp_path, *LABKIT[1:], "check", "framing", str(solution))
    assert done.returncode == 1
    assert " ".join(hides(tmp_path / "sched.py").split()) in " ".join(done.stdout.split()), done.stdout
    (tmp_path / "sched.py").unlink()
    done = python(tmp_path, *LABKIT[1:], "check", "framing", str(solution))
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_not_the_cause_is_not_blamed(tmp_path: Path) -> None:
    """A file with such a name may be there; an error that does not come of it is told as it is."""
    for module in ("json", "calendar", "queue"):
        (tmp_path / f"{module}.py").touch()
    (tmp_path / "test.py").write_text("import calendar, queue, labkit, labkit.nonsense\n")
    done = python(tmp_path, "test.py")
    assert done.stderr.endswith("ModuleNotFoundError: No module named 'labkit.nonsense'\n")
    try:
        raise OSError("of another kind")
    except OSError as error:
        assert shadow(error) == ""
