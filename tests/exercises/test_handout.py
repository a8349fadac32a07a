"""What students are handed works, and holds no answer.

The edition is built once, by the command, and used in an interpreter that knows no other labkit.
"""

from __future__ import annotations

import compileall
import json
import marshal
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from types import CodeType

import nbformat
import pytest
from programs import LABKIT, PATIENCE, Program

from labkit.exercises import NAMES, exercise_called
from labkit.exercises.catalogue.judge import JUDGE
from labkit.exercises.exercise import BEGIN, END
from labkit.exercises.grading.notebooks import NOTEBOOKS
from labkit.exercises.handout import build, own_copy, traces

pytestmark = pytest.mark.timeout(400)  # one test waits for two dozen checks


def hand_out(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [*LABKIT, "exercises", "build", "--student", "--to", str(folder), *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)


def files(folder: Path) -> dict[str, bytes]:
    """What is in it, but for what Python has compiled."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@dataclass(frozen=True)
class Edition:
    """The edition, and a Python on whose path are it and what labkit needs, and nothing else of ours."""

    folder: Path
    python: Path

    def run(self, *arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [str(self.python), *arguments]
        return subprocess.run(
            command,
            input=given,
            cwd=self.folder.parent,
            capture_output=True,
            text=True,
            timeout=3 * PATIENCE,
        )


@pytest.fixture(scope="module")
def edition(tmp_path_factory: pytest.TempPathFactory) -> Edition:
    folder = tmp_path_factory.mktemp("handed") / "out"
    built = hand_out(folder)
    assert (built.returncode, built.stderr) == (0, ""), built
    home = folder.parent / "venv"
    venv.create(home)
    where = {name: sysconfig.get_path(name, "venv", {"base": str(home)}) for name in ("purelib", "scripts")}
    # What another .pth of these names, this labkit for one, is not read: they are no site folders here.
    needed = [path for path in sys.path if Path(path).name == "site-packages"]
    Path(where["purelib"], "handed.pth").write_text("\n".join([str(folder), *needed]), encoding="utf-8")
    (python,) = Path(where["scripts"]).glob("python.exe" if sys.platform == "win32" else "python")
    return Edition(folder, python)


# --- it holds no answer ---


def test_the_same_repository_gives_the_same_bytes(edition: Edition, tmp_path: Path) -> None:
    """In an empty folder, over itself, and over an earlier edition; no file is hidden but the list."""
    first = files(edition.folder)
    for make in (hand_out, build.write, build.write):
        make(tmp_path)
        assert files(tmp_path) == first
    assert [path for path in first if Path(path).name.startswith(".")] == [build.LIST]
    kinds = {"", ".py", ".ipynb", ".md", ".toml", ".txt", ".json", ".png"}
    assert {Path(path).suffix for path in first if path != build.LIST} <= kinds


def texts(path: Path) -> Iterator[str]:
    """What is written in a file; of a compiled module, in each of its strings."""
    data = path.read_bytes()
    yield from (
        strings(marshal.loads(data[16:])) if path.suffix == ".pyc" else [data.decode("utf-8", "replace")]
    )


def strings(code: object) -> Iterator[str]:
    """All strings that compiled code holds."""
    match code:
        case str():
            yield code
        case CodeType():
            yield from strings(code.co_consts)
        case tuple() | frozenset():
            for one in code:
                yield from strings(one)


def test_no_file_holds_an_answer(edition: Edition, tmp_path: Path) -> None:
    """No line, and no run of lines, of any answer or wrong version; nor do the modules when compiled."""
    copy = tmp_path / "copy"
    shutil.copytree(edition.folder, copy, ignore=shutil.ignore_patterns("__pycache__"))
    assert compileall.compile_dir(copy / "labkit", quiet=2)
    known, looked = traces.of_all_exercises(), 0
    for path in copy.rglob("*"):
        for text in texts(path) if path.is_file() and path.suffix != ".png" else ():
            looked += 1
            assert known.left_in(path.name, text.encode(errors="replace")) == set(), path
    assert looked > 1000


def test_what_would_be_noticed() -> None:
    """Each answer and each other right one; nearly all wrong versions, too: some have three short lines."""
    known, wrong = traces.of_all_exercises(), []
    for name in NAMES:
        exercise = exercise_called(name)
        right = {name: exercise.solution} | {f"{name}: {s}": exercise.other(s) for s in exercise.others}
        for called, source in right.items():
            assert called in known.left_in("a.txt", source.encode())
            hidden = f"A = {source!r}\n".encode()  # as one line, with \n for its ends
            assert called in known.left_in("a.py", hidden) and not known.left_in("a.txt", hidden)
        wrong += [known.left_in("a.py", exercise.version(one).encode()) for one in exercise.wrong]
        assert not known.left_in("a.py", exercise.stub.encode())
    assert sum(map(bool, wrong)) > 0.9 * len(wrong)
    notebook = json.dumps({"cells": [{"source": dedent(JUDGE.answer).splitlines(keepends=True)}]})
    assert known.left_in("a.ipynb", notebook.encode()) == {"judge"}


def test_no_solution_is_in_it_word_for_word(edition: Edition) -> None:
    """Searched for by itself: what stands between the marks, and each other version, without its spaces."""

    def squeezed(text: str) -> str:
        return re.sub(r"\s+", "", text)

    everything = {
        path: squeezed(data.decode() + data.decode().replace("\\n", "\n").replace('\\"', '"'))
        for path, data in files(edition.folder).items()
        if not path.endswith(".png")
    }
    exercises = [exercise_called(name) for name in NAMES]
    parts = []
    for one in (JUDGE, *exercises):
        parts += re.findall(rf"{BEGIN}\n(.*?){END}", one.marked, re.DOTALL)
    for exercise in exercises:
        parts += [exercise.other(style) for style in exercise.others]
        parts += [exercise.version(wrong) for wrong in exercise.wrong]
    long = {squeezed(part) for part in parts if len(squeezed(part)) > 60}  # a shorter one may be in a hint
    assert len(long) > 200
    assert [(part, path) for part in long for path, text in everything.items() if part in text] == []


def test_pictures_hold_only_pictures(edition: Edition) -> None:
    """No chunk of a PNG holds text or data of other kinds."""
    pictures = [data for path, data in files(edition.folder).items() if path.endswith(".png")]
    assert pictures
    for data in pictures:
        at, kinds = 8, set()
        while at < len(data):
            length, kind = struct.unpack_from(">I4s", data, at)
            kinds.add(kind.decode())
            at += 12 + length
        assert at == len(data) and kinds <= {"IHDR", "PLTE", "IDAT", "IEND", "tRNS", "pHYs", "sRGB", "gAMA"}


def test_the_catalogue_says_that_it_has_none(edition: Edition) -> None:
    """No solution, no wrong version, no other answer; tasks, steps, hints and points are all there."""
    script = """
        import json
        from labkit.exercises import NAMES, exercise_called
        from labkit.exercises.catalogue.judge import JUDGE
        found = {}
        for name in NAMES:
            exercise = exercise_called(name)
            assert exercise.wrong == () and exercise.others == {}
            try:
                exercise.solution
            except LookupError as error:
                assert "this is the student's edition" in str(error)
            hints = [step.hints for step in exercise.steps]
            found[name] = [exercise.stub, exercise.task, exercise.points, *hints]
        print(json.dumps(found | {"judge": [JUDGE.stub, JUDGE.task, JUDGE.points]}))
        """
    done = edition.run("-c", dedent(script))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    exercises = {name: exercise_called(name) for name in NAMES}
    wanted = {
        name: [e.stub, e.task, e.points, *[list(step.hints) for step in e.steps]]
        for name, e in exercises.items()
    }
    assert found == wanted | {"judge": [JUDGE.stub, JUDGE.task, JUDGE.points]}


# --- and all else works ---

CHECK_ALL = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
import labkit
from labkit.exercises import check, judge

def score(job):
    name, source = job
    result = judge(source) if name == "judge" else check(name, source)
    if getattr(result, "not_judged", ""):
        return "not judged"
    return [result.score, getattr(result, "failed", "") or ""]

with ThreadPoolExecutor(3) as pool:
    print(json.dumps([labkit.__file__, list(pool.map(score, json.load(sys.stdin)))]))
"""


def test_every_check_works(edition: Edition) -> None:
    """A right answer gets all points, and a wrong one is caught at its step; so it is with judge."""
    jobs: list[tuple[str, str]] = [("judge", dedent(JUDGE.answer)), ("judge", "def my_test(address): pass")]
    wanted: list[list[object]] = [[JUDGE.points, ""], [0, ""]]
    for name in NAMES:
        exercise = exercise_called(name)
        wrong = exercise.wrong[0]
        jobs += [(name, exercise.solution), (name, exercise.version(wrong))]
        before = [step.name for step in exercise.steps].index(wrong.step)
        wanted.append([exercise.points, ""])
        wanted.append([sum(step.points for step in exercise.steps[:before]), wrong.step])
    done = edition.run("-c", CHECK_ALL, given=json.dumps(jobs))
    assert done.returncode == 0, done.stderr
    where, scores = json.loads(done.stdout)
    assert Path(where) == edition.folder / "labkit" / "__init__.py"
    different = [
        (name, score, right)
        for (name, _), score, right in zip(jobs, scores, wanted, strict=True)
        if score not in (right, "not judged")
    ]
    # Some steps of `server` count seconds: on a very busy machine a right one may lose its last ones.
    assert [one for one in different if one[0] != "server" or one[1][0] < 13] == []


def test_its_commands(edition: Edition, tmp_path: Path) -> None:
    """list, stub and check; and those that need answers say in a sentence why they do nothing."""
    listed = edition.run("-m", "labkit", "exercises", "list")
    assert (
        listed.stdout
        == subprocess.run(
            [*LABKIT, "exercises", "list"], capture_output=True, text=True, timeout=PATIENCE, cwd=tmp_path
        ).stdout
    )
    for name in [*NAMES, "judge"]:
        stub = edition.run("-m", "labkit", "exercises", "stub", name)
        assert (stub.returncode, stub.stderr) == (0, "")
        assert "raise NotImplementedError()" in stub.stdout and BEGIN not in stub.stdout
    mine = tmp_path / "mine.py"
    mine.write_text(exercise_called("framing").solution, encoding="utf-8")
    checked = edition.run("-m", "labkit", "check", "framing", str(mine))
    assert (checked.returncode, checked.stderr) == (0, "") and "10 of 10 points" in checked.stdout
    for more in ([], ["--check"], ["--student", "--to", str(tmp_path / "more")]):
        refused = edition.run("-m", "labkit", "exercises", "build", *more)
        assert refused.returncode != 0 and refused.stdout == ""
        assert refused.stderr.count("\n") == 1 and "this is the student's edition" in refused.stderr
    assert list(tmp_path.iterdir()) == [mine]


def test_serve_and_join(edition: Edition) -> None:
    """Somebody joins a server of the edition, and is heard."""
    python = (str(edition.python), "-P")  # or the repository, where the tests run, would come first
    with Program(*python, "-m", "labkit", "serve", "--port", "0") as serving:
        command = serving.until("To join: python ").split("To join: python ")[1].split("\n")[0]
        with Program(*python, *shlex.split(command), "alice") as alice:
            alice.until("* you are alice, in lobby\n")
            alice.hang_up()
            assert alice.ends() == 0


def cells(kind: str, path: Path) -> list[str]:
    found = nbformat.read(path, as_version=4).cells
    return [cell.source for cell in found if cell.cell_type == kind]


def test_the_walkthroughs_are_as_never_run(edition: Edition) -> None:
    """All eleven, as `lab` lays them, without what they print; beside them the exercises."""
    walkthroughs = sorted(path.name for path in NOTEBOOKS.glob("[01][0-9]_*.ipynb"))
    handed, laid = edition.folder / "notebooks", dict(own_copy.contents())
    assert sorted(path.name for path in handed.glob("*.ipynb")) == walkthroughs and len(walkthroughs) == 11
    for name in walkthroughs:
        theirs = nbformat.read(handed / name, as_version=4)
        nbformat.validate(theirs)
        assert (handed / name).read_bytes() == laid[name]
        assert set(theirs.metadata) == {"kernelspec", "language_info"}
        for cell in theirs.cells:
            assert (
                set(cell.metadata) <= {"jupyter"}
                and not cell.get("outputs")
                and cell.get("execution_count") is None
            )
    exercises = files(NOTEBOOKS / "exercises")
    assert files(handed / "exercises") == {n: d for n, d in exercises.items() if n.endswith(".ipynb")}
    assert not (handed / "solutions").exists()


def test_what_notebooks_import_is_there(edition: Edition) -> None:
    """Each import of each notebook, in the edition's own interpreter."""
    imports = set()
    for path in edition.folder.rglob("*.ipynb"):
        for source in cells("code", path):
            imports |= set(
                re.findall(
                    r"^(?:from labkit\S* import (?:\(.*?\)|[^(\n]*)|import labkit\S*)", source, re.M | re.S
                )
            )
    assert len(imports) > 20
    done = edition.run("-c", "\n".join(sorted(imports)))
    assert (done.returncode, done.stderr) == (0, "")


def test_every_link_leads_somewhere(edition: Edition) -> None:
    """Those of the pages and of the notebooks; also of an exercise that nbgrader puts beside exercises/."""
    followed = 0
    for path in [*edition.folder.rglob("*.md"), *edition.folder.rglob("*.ipynb")]:
        for text in (
            cells("markdown", path) if path.suffix == ".ipynb" else [path.read_text(encoding="utf-8")]
        ):
            for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
                if "://" in link:
                    continue
                followed += 1
                assert (path.parent / link).is_file(), f"{path}: {link}"
                if path.parent.name == "exercises":
                    assert (
                        (edition.folder / "notebooks" / "wires" / ".." / link.removeprefix("../"))
                        .resolve()
                        .is_file()
                    )
                    assert link.startswith("../")
    assert followed > 40
    assert "solutions" not in (edition.folder / "README.md").read_text(encoding="utf-8")


# --- whose folder it is ---


def put(name: str, text: str = "mine") -> Callable[[Path], None]:
    def do(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")

    return do


def linked(folder: Path) -> None:
    if os.name == "nt":
        pytest.skip("on Windows, links are for administrators")
    shutil.rmtree(folder / "notebooks" / "images")
    (folder / "notebooks" / "images").symlink_to(NOTEBOOKS / "images")


WORK = {
    "a file of one's own": put("my.py"),
    "a notebook worked in": put("notebooks/00_the_whole_chat.ipynb", "{}"),
    "a checkpoint": put("notebooks/.ipynb_checkpoints/00-checkpoint.ipynb"),
    "a module changed": put("labkit/classic.py"),
    "a folder that is a link": linked,
    "a list that cannot be read": put(build.LIST, "[]"),
}


@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
def test_nobodys_work_is_written_over(
    work: Callable[[Path], None], edition: Edition, tmp_path: Path
) -> None:
    """Not even in an edition; nothing has changed, and what is in the way is named."""
    shutil.copytree(edition.folder, tmp_path / "out")
    work(tmp_path / "out")
    before = files(tmp_path)
    with pytest.raises(build.CannotBuild, match="choose another"):
        build.write(tmp_path / "out")
    assert files(tmp_path) == before


def test_folders_that_will_not_do(tmp_path: Path) -> None:
    """One with other files, a file, the repository and its folders; and none."""
    (tmp_path / "thesis.txt").write_text("all of it", encoding="utf-8")
    own = [NOTEBOOKS.parent, NOTEBOOKS, NOTEBOOKS / "new", NOTEBOOKS.parent / "labkit" / "new"]
    for folder in [tmp_path, tmp_path / "thesis.txt", *own]:
        with pytest.raises(build.CannotBuild, match="choose another|is no folder"):
            build.write(folder)
    refused = hand_out(tmp_path)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    assert files(tmp_path) == {"thesis.txt": b"all of it"}
    assert not (NOTEBOOKS / "new").exists()
    nowhere = subprocess.run(
        [*LABKIT, "exercises", "build", "--student"], capture_output=True, text=True, timeout=PATIENCE
    )
    assert nowhere.returncode != 0 and "--to FOLDER" in nowhere.stderr


def test_look_only(tmp_path: Path) -> None:
    """--check names what is not as it would be written, and writes nothing."""
    assert hand_out(tmp_path, "--check").returncode == 1
    build.write(tmp_path)
    assert build.drifted(tmp_path) == []
    (tmp_path / "README.md").unlink()
    looked = hand_out(tmp_path, "--check")
    assert (looked.returncode, looked.stdout) == (1, "not as its source says: README.md\n")
    assert not (tmp_path / "README.md").exists()


def test_an_answer_in_the_way_out_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should anything handed out hold one, nothing is written, and the file is named."""
    leak = exercise_called("slow").solution.encode()
    monkeypatch.setattr(build, "_pages", lambda: iter([("notebooks/notes.md", leak)]))
    with pytest.raises(build.CannotBuild, match=r"notebooks/notes\.md .*slow"):
        build.write(tmp_path / "out")
    assert not (tmp_path / "out").exists()
