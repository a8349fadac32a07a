"""Puts the walkthrough's notebooks into the package that is built; all else is in pyproject.toml."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class WithNotebooks(build_py):
    """Builds labkit/ with a notebooks/ in it, which `labkit lab` copies from."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return  # then they stand beside labkit/
        notebooks = Path(__file__).parent / "notebooks"
        walkthrough = [*notebooks.glob("[0-9][0-9]_*.ipynb"), notebooks / "README.md"]
        for path in [*walkthrough, *notebooks.glob("images/*.png")]:
            to = Path(self.build_lib, "labkit", path.relative_to(notebooks.parent))
            self.mkpath(str(to.parent))
            self.copy_file(str(path), str(to))


setup(cmdclass={"build_py": WithNotebooks})
