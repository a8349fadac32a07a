"""What a class predicted: read from many folders, counted, and drawn without names."""

from __future__ import annotations

import os
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from programs import CLEAN, LABKIT, PATIENCE

from labkit.exercises.classroom.predictions import Class, as_page, as_text, collect, headline, tallies
from labkit.instruments.predictions import FILE, Predictions

YES, WHEN, NEVER = "yes, at once", "yes, when somebody comes", "no, never"
"""What can be guessed about the first experiment of the first notebook."""


def guessed(
    folder: Path, before: str = "", after: str = "", name: str = "00-server", file: str = FILE
) -> None:
    """A student's folder, with a guess made before it was seen, and one made later."""
    folder.mkdir(parents=True, exist_ok=True)
    store = Predictions(folder / file)
    if before:
        store.keep(name, before)
    store.see(name)
    if after:
        store.keep(name, after)


def counts(found: Class) -> dict[str, int]:
    (tally,) = tallies(found)
    return {guess: len(who) for guess, who in tally.guesses.items()}


def run(*words: object, status: int = 0) -> tuple[str, str]:
    """What the command prints, and what it says on standard error."""
    command = [*LABKIT, "exercises", "predictions", *map(str, words)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=PATIENCE, env=CLEAN)
    assert done.returncode == status, done.stderr
    return done.stdout, done.stderr


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """Five students, in several layouts; three of whom guessed before they saw."""
    room = tmp_path / "room"
    guessed(room / "ann" / "chat-lab", NEVER)
    guessed(room / "ben", YES, NEVER)
    guessed(room / "cem" / "a" / "b", NEVER)
    guessed(room / "dot" / "notebooks", "", YES)
    (room / "eva" / "chat-lab").mkdir(parents=True)
    return room


def test_first_guesses_are_counted(room: Path) -> None:
    """Each choice, also one that nobody chose; apart from them, who guessed when it had been seen."""
    found = collect([room])
    assert counts(found) == {YES: 1, WHEN: 0, NEVER: 2}
    (tally,) = tallies(found)
    assert (tally.count, tally.late, tally.chapter) == (3, ["dot"], "00 · The whole chat")
    assert found.without == [room / "eva"] and not found.troubles
    assert headline(found) == "4 students have predicted something; 1 folder holds no predictions"


def test_drawn_without_names(room: Path) -> None:
    """As text, bars and numbers; names only if they are asked for."""
    drawn, error = run(room)
    assert error == ""
    lines = drawn.splitlines()
    assert lines[0].startswith("4 students have predicted")
    assert re.search(r"Will the next cell ever finish\?  \(00-server, 3 guesses; 1 more, once", drawn)
    bars = {line.split("  ")[1].strip(): line.count("█") for line in lines if line.startswith("  ")}
    assert bars == {YES: 10, WHEN: 0, NEVER: 20}
    names = re.compile(r"\b(ann|ben|cem|dot|eva)\b")
    assert not names.search(drawn)
    named, _ = run(room, "--names")
    assert set(names.findall(named)) == {"ann", "ben", "cem", "dot"}


def test_a_page(room: Path, tmp_path: Path) -> None:
    """The same numbers in a table for each question; nothing that a student wrote becomes HTML."""
    guessed(room / "flo", "<script>alert(1)</script>", name="00-count")
    run(room, "--page", tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    cells: list[str] = []

    class Reader(HTMLParser):
        def handle_data(self, data: str) -> None:
            cells.append(data.strip())

        def handle_starttag(self, tag: str, attrs: object) -> None:
            assert tag not in ("script", "img")

    Reader().feed(text)
    assert {YES, NEVER, "1 of 3", "0 of 3", "2 of 3", "<script>alert(1)</script>"} <= set(cells)
    assert "ann" not in text
    _, error = run(room, "--page", tmp_path / "nowhere" / "page.html", status=1)
    assert error.startswith("labkit: cannot write ") and len(error.splitlines()) == 1


@pytest.mark.parametrize(
    "rubbish",
    [
        b"",
        b"\xff\xfe\0\n",
        b"[" * 9999,
        b'{"prediction": "00-server", "gue',
        b"null\n" * 10,
        b"\0" * 2_000_000,
    ],
    ids=["empty", "no text", "deep", "half a line", "no records", "long"],
)
def test_a_broken_file_hides_no_other(rubbish: bytes, room: Path) -> None:
    """It counts as a folder without predictions, and the others are counted."""
    (room / "eva" / "chat-lab" / FILE).write_bytes(rubbish)
    found = collect([room])
    assert counts(found) == {YES: 1, WHEN: 0, NEVER: 2}
    assert headline(found).endswith("1 folder holds no predictions")


def test_what_is_no_file(room: Path, tmp_path: Path) -> None:
    """A folder of that name is passed over; a link, which may lead anywhere, is not followed, and told."""
    (room / "eva" / FILE).mkdir()
    outside = tmp_path / "outside"
    guessed(outside, WHEN)
    if os.name == "posix":
        (room / "eva" / "chat-lab" / FILE).symlink_to(outside / FILE)
        (room / "gus").symlink_to(outside, target_is_directory=True)
    found = collect([room])
    assert counts(found)[WHEN] == 0
    assert len(found.troubles) == (os.name == "posix")


@pytest.mark.parametrize("layout", ["one folder", "each named", "in an archive's folder", "files"])
def test_layouts(layout: str, tmp_path: Path) -> None:
    """Two students are two, whichever way their folders came; and two copies of one student are one."""
    room = tmp_path / "room"
    match layout:
        case "files":  # as a learning platform names them
            guessed(room, YES, file=f"Ann_1_assignsubmission_file_{FILE}")
            guessed(room, NEVER, file=f"Ben_2_assignsubmission_file_{FILE}")
            paths = [room]
        case "in an archive's folder":
            guessed(room / "all" / "ann" / "chat-lab", YES)
            guessed(room / "all" / "ben" / "chat-lab", NEVER)
            paths = [room]
        case "each named":
            guessed(room / "ann" / "chat-lab", YES)
            guessed(room / "ben" / "chat-lab", NEVER)
            paths = [room / "ann", room / "ben", room / "ann"]
        case _:
            guessed(room / "ann" / "chat-lab", YES)
            guessed(room / "ann" / "again", WHEN)
            guessed(room / "ben", NEVER)
            (room / "ben" / FILE).rename(room / "ben" / f"copy of {FILE}")
            paths = [room]
    found = collect(paths)
    assert len(found.students) == 2 and not found.without
    (tally,) = tallies(found)
    assert tally.count == 2 and len(tally.guesses[NEVER]) == 1


def test_own_words(tmp_path: Path) -> None:
    """The same words are one answer, however they are written; the most frequent come first, not all."""
    for number, words in enumerate(
        ["Eight", "eight.", "  EIGHT", "nine", "nine", *(f"rare {n}" for n in range(20))]
    ):
        guessed(tmp_path / f"s{number}", words, name="00-count")
    (tally,) = tallies(collect([tmp_path]))
    assert [len(who) for who in tally.guesses.values()][:2] == [3, 2]
    text = as_text([tally])
    assert text.count("rare") == 6 and "… and 14 other answers" in text
    assert "14 other answers" in as_page(collect([tmp_path]), [tally])


def test_a_question_of_another_labkit(tmp_path: Path) -> None:
    """Is told by its name; and a chapter can be drawn alone."""
    guessed(tmp_path / "ann", "yes", name="99-gone")
    guessed(tmp_path / "ann", "3", name="01-letter")
    found = collect([tmp_path])
    assert [tally.asked.name for tally in tallies(found)] == ["01-letter", "99-gone"]
    assert [tally.asked.name for tally in tallies(found, "01")] == ["01-letter"]


def test_nothing_to_draw(tmp_path: Path) -> None:
    """Is told, with another exit status; and so is a folder that is not there."""
    assert (
        run(tmp_path, status=1)[0]
        == "0 students have predicted something; 1 folder holds no predictions.\n"
    )
    _, error = run(tmp_path / "nowhere", status=2)
    assert "nowhere" in error and len(error.splitlines()) == 1
