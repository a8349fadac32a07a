"""Command lines, as a user of this system types them. Elsewhere than on Windows that is shlex's business.

Windows' own programs take a line apart by the rules of Microsoft's C runtime ("Parsing C command-line
arguments"): only double quotes quote, and a backslash means itself, except before one of those.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Sequence


def split(line: str) -> list[str]:
    """The words of a command line.

    Raises:
        ValueError: a quotation has no end.
    """
    return _split_on_windows(line) if os.name == "nt" else shlex.split(line)


def join(words: Sequence[str]) -> str:
    """The command line that has these words."""
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


_PIECE = re.compile(
    r"""(?P<slashes>\\*)(?P<quote>")  # an even number of backslashes: half of them, and a quotation begins
      | (?P<space>[ \t]+)
      | (?P<text>\\+ | [^\\" \t]+)""",
    re.VERBOSE,
)


def _split_on_windows(line: str) -> list[str]:
    words: list[str] = []
    word, begun, quoted = "", False, False
    at = 0
    while match := _PIECE.match(line, at):
        at = match.end()
        if match["space"] and not quoted:
            words += [word] if begun else []
            word, begun = "", False
            continue
        begun = True
        if not match["quote"]:
            word += match[0]
            continue
        slashes = len(match["slashes"])
        word += "\\" * (slashes // 2)
        if slashes % 2:
            word += '"'
        elif quoted and line[at : at + 1] == '"':  # two of them: one, and the quotation goes on
            word, at = word + '"', at + 1
        else:
            quoted = not quoted
    if quoted:
        raise ValueError("No closing quotation")
    return words + ([word] if begun else [])
