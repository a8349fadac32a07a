"""How the commands of `python -m labkit` speak to the terminal they run in.

Errors are one line each, on standard error; what a command is for goes to standard output. It builds on
nothing of labkit.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO


def tell(text: str) -> None:
    """Print something that is good to know; that nobody reads it is no error."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        discard_output()


def complain(what: object) -> int:
    """Say in one line what went wrong; returns the exit status for that."""
    if isinstance(what, OSError) and what.strerror:
        what = what.strerror  # without the number
    print(f"labkit: {what}", file=sys.stderr, flush=True)
    return 1


def discard_output() -> None:
    """Nobody reads our output any more (`| head -1`): let the rest of it go nowhere, without a fuss."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person sits there; None is what Python makes of a closed standard stream."""
    return stream is not None and stream.isatty()


def use_any_letter() -> None:
    """Print `?` for a letter that this terminal lacks, instead of failing at it."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
