"""The package: a wheel and a source distribution that are whole, and the script `labkit` from the wheel."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tarfile
import zipfile
from email import message_from_string
from pathlib import Path

import pytest
from packaged import ENVIRONMENT, ROOT, Built, Installed, build, install
from programs import PATIENCE, Program

from labkit import __version__
from labkit.__main__ import COMMANDS
from labkit.exercises import exercise_called
from labkit.exercises.grading.notebooks import NOTEBOOKS, notebooks

pytestmark = pytest.mark.timeout(900)  # a cap: a wheel is built first


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(built.wheel, tmp_path_factory.mktemp("installed"))


# --- what is in it ---


def test_the_wheel_is_whole(built: Built) -> None:
    """Each module, the walkthrough with its pictures, and the mark of types; no solution, and no test."""
    wanted = {path.relative_to(ROOT).as_posix() for path in (ROOT / "labkit").rglob("*.py")}
    wanted |= {f"labkit/notebooks/{path.name}" for path in NOTEBOOKS.glob("[0-9]*.ipynb")}
    wanted.add("labkit/notebooks/README.md")
    wanted |= {f"labkit/notebooks/images/{path.name}" for path in NOTEBOOKS.glob("images/*.png")}
    with zipfile.ZipFile(built.wheel) as wheel:
        held = {name for name in wheel.namelist() if not re.match(r"labkit-[^/]+\.dist-info/", name)}
        assert held == {*wanted, "labkit/py.typed"}
        for name in wanted:
            path = ROOT / name.replace("labkit/notebooks/", "notebooks/")
            assert wheel.read(name) == path.read_bytes()


def test_what_the_wheel_says_of_itself(built: Built) -> None:
    """Its version, the Pythons, the extras and the script."""
    with zipfile.ZipFile(built.wheel) as wheel:
        (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        (entries,) = (name for name in wheel.namelist() if name.endswith("/entry_points.txt"))
        told = message_from_string(wheel.read(metadata).decode())
        assert "labkit = labkit.__main__:main" in wheel.read(entries).decode().splitlines()
    assert (told["Name"], told["Version"], told["Requires-Python"]) == ("labkit", __version__, ">=3.11")
    assert set(told.get_all("Provides-Extra", [])) == {"dev", "grade", "lab", "load", "redis", "teach"}
    assert "Typing :: Typed" in told.get_all("Classifier", [])


def test_the_source_distribution_is_whole(built: Built) -> None:
    """All that the repository holds."""
    files = (path for path in built.source.rglob("*") if path.is_file() and ".egg-info" not in str(path))
    tracked = {path.relative_to(built.source).as_posix() for path in files}
    if (ROOT / ".git").exists() and shutil.which("git"):
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
        tracked &= set(listed.stdout.split("\0")) - {""} or tracked
    assert {"README.md", ".ci/run", "setup.py", "notebooks/TEACHING.md"} <= tracked
    with tarfile.open(built.sdist) as sdist:
        held = {name.partition("/")[2] for name in sdist.getnames()}
    assert tracked - held == set()


# --- the script ---


def test_the_commands(installed: Installed) -> None:
    """Without one they are listed; each has its --help, which calls the program as it was called."""
    listed = installed.run()
    assert (listed.returncode, listed.stderr) == (0, "")
    assert listed.stdout.startswith("usage: labkit [") and "python -m" not in listed.stdout
    assert installed.run("--version").stdout == f"labkit {__version__}\n"
    for command in COMMANDS:
        helped = installed.run(command, "--help")
        assert (helped.returncode, helped.stderr) == (0, "")
        assert helped.stdout.startswith(f"usage: labkit {command} [") and "python -m" not in helped.stdout
    refused = installed.run("dance")
    assert refused.returncode == 2 and refused.stderr.splitlines()[-1].startswith("labkit: error: ")


def test_serve_says_how_to_join(installed: Installed) -> None:
    """The line that it prints works as it stands, where the script is found."""
    with Program(str(installed.script), "serve", "--port", "0", environment=ENVIRONMENT) as serving:
        line = serving.until("\nOnly this machine").split("To join: ")[1].split("\n")[0]
        name, *words = shlex.split(line)
        assert name == "labkit"
        with Program(str(installed.script), *words, "alice", environment=ENVIRONMENT) as alice:
            alice.until("* you are alice, in lobby\n")
            alice.hang_up()
            assert alice.ends() == 0


def test_it_works_elsewhere_and_leaves_its_own_folder_alone(installed: Installed) -> None:
    """demo, check, exercises, a copy of the notebooks; and nothing is written where labkit is installed."""

    def held() -> dict[str, bytes]:
        paths = [path for path in installed.site.rglob("*") if path.is_file() and path.suffix != ".pyc"]
        return {path.relative_to(installed.site).as_posix(): path.read_bytes() for path in paths}

    def ends(status: int, *words: str) -> str:
        done = installed.run(*words)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout if status == 0 else done.stderr

    before, folder = held(), installed.elsewhere
    assert "labkit/notebooks/00_the_whole_chat.ipynb" in before
    assert "nobody answers" in ends(0, "demo")
    assert "server" in ends(0, "exercises", "list")
    ends(0, "exercises", "stub", "framing", "--to", "stub.py")
    assert "raise NotImplementedError" in (folder / "stub.py").read_text(encoding="utf-8")
    (folder / "mine.py").write_text(exercise_called("framing").solution, encoding="utf-8")
    assert "10 of 10 points" in ends(0, "check", "framing", "mine.py")

    ends(0, "exercises", "build", "--to", "made")
    made = {path.relative_to(folder / "made").as_posix() for path in (folder / "made").rglob("*.ipynb")}
    assert made == set(notebooks())
    assert "name a folder" in ends(1, "exercises", "build")
    assert "from the repository" in ends(1, "exercises", "build", "--student", "--to", "handed")

    ends(0, "lab", "--only-copy", "copy")
    assert (folder / "copy" / "00_the_whole_chat.ipynb").is_file()
    assert (folder / "copy" / "exercises" / "capstone.ipynb").is_file()
    assert "needs one" in ends(2, "lab", "--in-place")
    for words in (["lab", "--only-copy"], ["exercises", "build", "--to"]):
        for own in (installed.site, installed.site / "labkit" / "notebooks"):
            assert "choose another folder" in ends(1, *words, str(own))
    assert held() == before


def test_the_module_is_the_same_command(installed: Installed) -> None:
    """`python -m labkit` of that environment; and its types are for others."""
    done = subprocess.run(
        [installed.python, "-m", "labkit", "--version"],
        env=ENVIRONMENT,
        cwd=installed.elsewhere,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.stdout == f"labkit {__version__}\n"
    assert (installed.site / "labkit" / "py.typed").is_file()


def test_the_walkthrough_is_no_module(installed: Installed) -> None:
    """labkit/notebooks/ of the wheel holds files to be copied, and no code."""
    assert [path for path in Path(installed.site, "labkit", "notebooks").rglob("*.py")] == []
