"""A page for each student: what the check found in each exercise, all hints, and the code that was judged.

A page is one file, which needs no other and runs no program. It is kept in sections, one for each exercise
and file, so that a later run that judges one exercise anew leaves the others as they are.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from html import escape
from pathlib import Path

from labkit.exercises.catalogue import task_called
from labkit.exercises.classroom.marking import Graded
from labkit.exercises.classroom.table import Row, replace, shown
from labkit.exercises.grading.judging import Judgement
from labkit.instruments.markup import bdi
from labkit.wire.text import clean

LONGEST = 200_000
"""Characters of a student's code that its page shows."""

STYLE = """
:root { color-scheme: light dark; --jp-success-color1: #1b7f3b; --jp-error-color1: #c62828;
  --jp-ui-font-color2: #5a5a5a; --jp-code-font-family: ui-monospace, Consolas, Menlo, monospace;
  --jp-ui-font-color1: var(--ink); --jp-layout-color0: var(--page); --jp-layout-color1: var(--page);
  --jp-border-color2: var(--line); --page: #fff; --ink: #1c1c1c;
  --soft: #f3f4f6; --line: #d5d8dd; --bar: #c62828; --held: #b9dfc4 }
@media (prefers-color-scheme: dark) { :root { --jp-success-color1: #6fcf8a; --jp-error-color1: #ff8a80;
  --jp-ui-font-color2: #a9adb5; --page: #16181c; --ink: #e6e7ea; --soft: #22252b; --line: #3a3e46;
  --bar: #ff8a80; --held: #2f5b3d } }
body { margin: 0 auto; padding: 1.5rem; max-width: 62rem; background: var(--page); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif }
h1 { font-size: 1.5rem; line-height: 1.25; overflow-wrap: anywhere }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem }
section { margin: 1.5rem 0 }
table { border-collapse: collapse }
th { text-align: left; font-weight: 600 }
.grid td, .grid th { padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top }
.wide { overflow-x: auto }
.quiet { color: var(--jp-ui-font-color2) }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.notes { overflow-wrap: anywhere; min-width: 13rem }
.name { overflow-wrap: anywhere; min-width: 8rem }
.flag { color: var(--jp-error-color1) }
pre { overflow-x: auto; font-family: var(--jp-code-font-family); font-size: .85rem }
details { margin: .4rem 0 } summary { cursor: pointer }
.code { background: var(--soft); padding: .6rem .8rem; line-height: 1.4 }
.code span { color: var(--jp-ui-font-color2); user-select: none }
a { color: inherit }
.bar { display: flex; width: 9rem; height: .7rem; margin-top: .45rem; background: var(--soft) }
.bar i { background: var(--bar) } .bar b { background: var(--held) }
"""
"""Of all pages. What a result shows of itself uses JupyterLab's variables."""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""No page loads or runs anything."""

_SECTION = re.compile(r"<!-- labkit (\S+) (\S*) -->\n(.*?)\n<!-- labkit end -->", re.DOTALL)

Sections = dict[tuple[str, str], str]
"""By the exercise, and the hash of the file."""


def page(title: str, body: str) -> str:
    """A whole page. `body` is HTML."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(shown(title))}</title>\n<style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


class Pages:
    """The pages of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, student: str) -> Path:
        return self.folder / file_name(student)

    def sections(self, student: str) -> Sections:
        """Those of the student's page, if there is one."""
        try:
            text = self.path(student).read_text(encoding="utf-8")
        except (OSError, ValueError):
            return {}
        return {(found[1], found[2]): found[3] for found in _SECTION.finditer(text)}

    def put(self, graded: Graded) -> None:
        """Write the section of what was graded into its student's page, and leave the others as they are.

        Raises:
            OSError: it cannot be written.
        """
        row = graded.row
        sections = {key: text for key, text in self.sections(row.student).items() if key[0] != row.exercise}
        sections[row.exercise, row.sha256] = section(graded)
        body = "\n".join(
            f"<!-- labkit {exercise} {sha256} -->\n{text}\n<!-- labkit end -->"
            for (exercise, sha256), text in sorted(sections.items())
        )
        text = page(f"{row.student}: exercises", f"<h1>{bdi(shown(row.student))}</h1>\n{body}")
        replace(self.path(row.student), text, "utf-8")


def file_name(student: str) -> str:
    """A name for the student's page that every system takes, and that no other student's page has."""
    plain = unicodedata.normalize("NFC", shown(student))
    name = re.sub(r"[^\w\- ]+", "_", plain).strip("_ ")[:60]
    same = (
        name == plain
        and name == name.lower()
        and not re.fullmatch(r"(con|prn|aux|nul|index|\w{3}\d)", name)
    )
    if not (same and name):  # another student may come to the same, or the system may not tell them apart
        name += f"-{hashlib.sha256(student.encode('utf-8', 'surrogatepass')).hexdigest()[:6]}"
    return f"{name.replace(' ', '_')}.html"


def section(graded: Graded) -> str:
    """What a page shows of an exercise, as HTML."""
    row, found = graded.row, graded.found
    parts = []
    if found is None:
        parts.append(_without_result(row))
    else:
        parts.append(found._repr_html_() if isinstance(found, Judgement) else found.as_html(on_paper=True))
    about = [f"file: {Path(row.file).name}"] if row.file else []
    about += [f"SHA-256: {row.sha256[:16]}…"] if row.sha256 else []
    parts.append(f'<p class="quiet">{bdi(shown(" · ".join(about)))}</p>' if about else "")
    if graded.source:
        parts.append(
            f"<details><summary>The code that was judged</summary>{_code(graded.source)}</details>"
        )
    return f'<section id="{escape(row.exercise)}">\n' + "\n".join(filter(None, parts)) + "\n</section>"


def _without_result(row: Row) -> str:
    title = task_called(row.exercise).title
    ink = "var(--jp-error-color1)"
    return (
        f'<div style="border-left: 4px solid {ink}; padding: 4px 12px"><b>{escape(row.exercise)}</b>: '
        f'{escape(title)} <b style="color: {ink}">{row.points} of {row.of} points</b>'
        f"<div>{escape(row.state)}: {bdi(shown(row.note))}</div></div>"
    )


def _code(source: str) -> str:
    lines = source[:LONGEST].expandtabs(4).splitlines()
    width = len(str(len(lines)))
    rows = (f"<span>{n:>{width}}</span>  {escape(clean(line))}" for n, line in enumerate(lines, 1))
    more = "\n…" if len(source) > LONGEST else ""
    return '<pre class="code">' + "\n".join(rows) + more + "</pre>"
