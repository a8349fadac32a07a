"""labkit as others install it: a wheel, in an environment of its own, outside the repository."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

from programs import CLEAN, PATIENCE
from support import need

ROOT = Path(__file__).parent.parent

SETUPTOOLS = 77
"""The oldest that pyproject.toml's license can be read by."""

LEFT_OUT = (
    *(".git", ".venv", ".artefacts", ".mutants", ".hypothesis", ".*cache", ".ipynb_checkpoints", "build"),
    *("*.egg-info", "__pycache__", "dist", "chat-lab", ".coverage*", "htmlcov", ".labkit-progress.jsonl"),
)
"""What a working copy holds besides what belongs to it: as .gitignore has it."""

ENVIRONMENT = {name: value for name, value in CLEAN.items() if name != "PYTHONPATH"}


@dataclass(frozen=True)
class Built:
    """A wheel and a source distribution."""

    wheel: Path
    sdist: Path
    source: Path  # the copy of the repository that they were made of


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel, and with what else is installed here."""

    site: Path  # its site-packages: labkit, and nothing else
    script: Path
    python: Path
    elsewhere: Path  # a folder to work in

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the script in that folder."""
        return subprocess.run(
            [self.script, *arguments],
            env=ENVIRONMENT,
            cwd=self.elsewhere,
            capture_output=True,
            text=True,
            timeout=5 * PATIENCE,
        )


def build(folder: Path) -> Built:
    """Build both from a copy of the repository, without asking a registry for anything."""
    need(importlib.util.find_spec("build"), "build, to make a wheel: pip install -r requirements-dev.txt")
    version = importlib.metadata.version("setuptools")
    enough = int(version.partition(".")[0]) >= SETUPTOOLS
    need(enough, f"setuptools {SETUPTOOLS}, to make a wheel: pip install -r requirements-dev.txt")
    source, out = folder / "source", folder / "dist"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*LEFT_OUT))
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, source],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=5 * PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return Built(wheel, sdist, source)


def install(wheel: Path, folder: Path) -> Installed:
    """Install the wheel as pip does, but for what it depends on: that is used from where it is."""
    # Not by looking for the module: then setuptools would leave distutils alone in this process.
    need(any(importlib.metadata.distributions(name="pip")), "pip, to install a wheel")
    home, elsewhere = folder / "venv", folder / "elsewhere"
    elsewhere.mkdir()
    venv.create(home)
    where = {name: sysconfig.get_path(name, "venv", {"base": str(home)}) for name in ("purelib", "scripts")}
    site, scripts = Path(where["purelib"]), Path(where["scripts"])
    (python,) = scripts.glob("python.exe" if sys.platform == "win32" else "python")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run(
        [*pip, "--no-deps", "--no-index", wheel], env=ENVIRONMENT, check=True, timeout=5 * PATIENCE
    )
    # What a .pth there names, this repository for one, is not read: they are no site folders here.
    needed = [path for path in sys.path if Path(path).name == "site-packages"]
    (site / "needed.pth").write_text("\n".join(needed), encoding="utf-8")
    (script,) = scripts.glob("labkit.exe" if sys.platform == "win32" else "labkit")
    return Installed(site, script, python, elsewhere)
