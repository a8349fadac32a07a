"""The notebooks of exercises and solutions: one source, and nbgrader takes them as they are.

That each of them runs from top to bottom without an exception is nbval's to show; which marks the code in
them gets, test_exercises.py shows.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import nbformat
import pytest
from programs import LABKIT, PATIENCE
from support import need

from labkit.exercises import NAMES, exercise_called
from labkit.exercises.grading.notebooks import CHAPTERS, NOTEBOOKS, drifted, notebooks
from labkit.exercises.handout.own_copy import lay

CHAPTER = "01_bytes_on_a_wire"


def cells(kind: str, stem: str) -> list[Any]:
    found: list[Any] = json.loads(notebooks()[f"{kind}/{stem}.ipynb"])["cells"]
    return found


def test_the_notebooks_have_not_drifted() -> None:
    """What is in the repository is what its source says; `python -m labkit exercises build` writes it."""
    assert drifted(NOTEBOOKS) == []
    kept = {f"{path.parent.name}/{path.name}" for path in NOTEBOOKS.glob("*/*.ipynb")}
    assert kept == set(notebooks())


def test_build_writes_and_looks(tmp_path: Path) -> None:
    """The command writes them all; --check names one that was changed, and one that is missing."""
    build = [*LABKIT, "exercises", "build", "--to", str(tmp_path)]
    wrote = subprocess.run(build, capture_output=True, text=True, timeout=PATIENCE)
    assert (wrote.returncode, wrote.stderr, wrote.stdout.count("wrote ")) == (0, "", 2 * len(CHAPTERS))
    assert drifted(tmp_path) == []
    changed, missing = (tmp_path / kind / f"{CHAPTER}.ipynb" for kind in ("exercises", "solutions"))
    changed.write_text(changed.read_text(encoding="utf-8").replace("Framing", "Framer"), encoding="utf-8")
    missing.unlink()
    looked = subprocess.run([*build, "--check"], capture_output=True, text=True, timeout=PATIENCE)
    assert looked.returncode == 1
    assert [line.split(": ")[1] for line in looked.stdout.splitlines()] == [
        f"{kind}{os.sep}{CHAPTER}.ipynb" for kind in ("exercises", "solutions")
    ]


def test_build_writes_nothing_over_a_students_copy(tmp_path: Path) -> None:
    """What a student has written in there stays, and no solution comes beside it."""
    lay(tmp_path)
    mine = tmp_path / "exercises" / f"{CHAPTER}.ipynb"
    mine.write_text("my work", encoding="utf-8")
    build = [*LABKIT, "exercises", "build", "--to", str(tmp_path)]
    refused = subprocess.run(build, capture_output=True, text=True, timeout=PATIENCE)
    assert refused.returncode == 1 and "is a student's copy" in refused.stderr
    assert mine.read_text(encoding="utf-8") == "my work" and not (tmp_path / "solutions").exists()


@pytest.mark.parametrize("path", sorted(notebooks()))
def test_a_notebook_is_valid(path: str) -> None:
    """As nbformat sees it; and no cell is stored with an output, so that a student begins afresh."""
    notebook = nbformat.reads(notebooks()[path], as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.get("outputs") for cell in notebook.cells)


def test_every_exercise_is_in_one_notebook() -> None:
    """With its task, its code and its check; and twins differ only in the code."""
    asked = []
    for chapter in CHAPTERS:
        exercises, solutions = cells("exercises", chapter.stem), cells("solutions", chapter.stem)
        assert len(exercises) == len(solutions)
        for one, other in zip(exercises[1:], solutions[1:], strict=True):
            if one["id"].endswith("-code"):
                assert "raise NotImplementedError" in "".join(one["source"])
                assert "### BEGIN SOLUTION" in "".join(other["source"])
            else:
                assert one == other
        asked += [cell["id"].removesuffix("-check") for cell in exercises if cell["id"].endswith("-check")]
    assert sorted(asked) == sorted([*NAMES, "judge"])


# --- nbgrader ---


def nbgrader(folder: Path, *arguments: str) -> str:
    """Run an nbgrader command in the folder of a course; returns what it said."""
    # It runs alembic by name, which is where it is itself.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    own = {"PATH": path, "HOME": str(folder), "JUPYTER_CONFIG_DIR": str(folder / ".jupyter")}
    environment = {**os.environ, **own}
    command = [sys.executable, "-m", "nbgrader", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=4 * PATIENCE
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


CONFIG = NOTEBOOKS / "nbgrader_config.py"


def settings() -> Any:
    """The configuration that is shipped, as traitlets reads it."""
    need(
        importlib.util.find_spec("nbgrader"),
        "nbgrader, to grade an assignment: pip install -e '.[teach]'",
    )
    from traitlets.config.loader import PyFileConfigLoader

    return PyFileConfigLoader(CONFIG.name, path=str(CONFIG.parent)).load_config()


def due() -> datetime:
    return datetime.strptime(settings().DbAssignmentAddApp.duedate, "%Y-%m-%d %H:%M:%S UTC")


def test_nbgraders_configuration() -> None:
    """nbgrader has these settings, takes their values, and a check has time enough to end by itself."""
    config = settings()
    from nbgrader.apps.dbapp import DbAssignmentAddApp
    from nbgrader.coursedir import CourseDirectory
    from nbgrader.preprocessors import AssignLatePenalties, Execute

    classes = {
        one.__name__: one for one in (AssignLatePenalties, CourseDirectory, Execute, DbAssignmentAddApp)
    }
    classes["LateByTheDay"] = config.AssignLatePenalties.plugin_class
    for name, values in config.items():
        assert set(values) <= set(classes[name].class_trait_names(config=True)), name
    assert Execute(config=config).timeout == config.Execute.timeout >= 300
    assert isinstance(
        AssignLatePenalties(config=config).plugin_class(config=config), classes["LateByTheDay"]
    )
    assert due() > datetime(2026, 9, 1)


@pytest.mark.parametrize(
    ("seconds", "points"),
    [(1, None), (900, None), (901, 1.0), (86400, 1.0), (86401, 2.0), (9 * 86400 + 1, 10.0), (1e9, 10.0)],
)
def test_what_being_late_costs(seconds: float, points: float | None) -> None:
    """A tenth of the score for each day that has begun, after a quarter of an hour; never more than all."""
    config = settings()
    plugin = config.AssignLatePenalties.plugin_class(config=config)
    assert plugin.late_submission_penalty("alice", 10.0, seconds) == points


@pytest.mark.timeout(600)  # six commands, each of which starts slowly
def test_nbgrader_takes_an_assignment_all_the_way(tmp_path: Path) -> None:
    """Generate from the solutions; autograde an answer, a half one, a stub and one that is late."""
    need(
        importlib.util.find_spec("nbgrader"),
        "nbgrader, to grade an assignment: pip install -e '.[teach]'",
    )
    source = tmp_path / "source" / "wires"
    source.mkdir(parents=True)
    solutions = NOTEBOOKS / "solutions" / f"{CHAPTER}.ipynb"
    shutil.copy(solutions, source)
    shutil.copy(CONFIG, tmp_path)
    nbgrader(tmp_path, "db", "assignment", "add", "wires")  # due when the configuration says
    nbgrader(tmp_path, "generate_assignment", "wires", "--create")

    # What nbgrader hands out is what we do: the same cells, but for the checksums that it adds.
    released = tmp_path / "release" / "wires" / f"{CHAPTER}.ipynb"
    given = [cell.source for cell in nbformat.read(released, as_version=4).cells]
    assert given == ["".join(cell["source"]) for cell in cells("exercises", CHAPTER)]

    def submit(student: str, code: str, late: timedelta = timedelta(0)) -> None:
        notebook = nbformat.read(released, as_version=4)
        next(cell for cell in notebook.cells if cell.id == "framing-code").source = code
        path = tmp_path / "submitted" / student / "wires" / f"{CHAPTER}.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(notebook, path)
        path.with_name("timestamp.txt").write_text(f"{due() + late:%Y-%m-%d %H:%M:%S} UTC")

    exercise = exercise_called("framing")
    strict = next(wrong for wrong in exercise.wrong if wrong.name == "decodes strictly")
    submit("all", exercise.solution)
    submit("some", exercise.version(strict))
    submit("none", exercise.stub)
    submit("late", exercise.solution, timedelta(hours=30))
    nbgrader(tmp_path, "autograde", "wires", "--create")
    nbgrader(tmp_path, "export", "--to", "grades.csv")
    rows = [line.split(",") for line in (tmp_path / "grades.csv").read_text().splitlines()]
    column = {name: rows[0].index(name) for name in ("student_id", "score", "max_score")}
    scores = {row[column["student_id"]]: float(row[column["score"]]) for row in rows[1:]}
    assert {float(row[column["max_score"]]) for row in rows[1:]} == {exercise.points}
    before = exercise.steps[: [step.name for step in exercise.steps].index(strict.step)]
    half = sum(step.points for step in before)
    two_days = exercise.points * 0.8
    assert scores == {"all": exercise.points, "some": half, "none": 0, "late": two_days}

    nbgrader(tmp_path, "generate_feedback", "wires")
    feedback = (tmp_path / "feedback" / "some" / "wires" / f"{CHAPTER}.html").read_text(encoding="utf-8")
    assert strict.step in feedback
