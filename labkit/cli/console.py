"""Standard output and standard error, and the terminal that they may be.

A command's result goes to standard output; an error is one line on standard error.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO


def print_notice(text: str, needed: bool = False) -> None:
    """Print to standard output; that its reader is gone is no error.

    Nor is it that it takes nothing more, as on a full disk, unless the text is needed: one line on standard
    error says so, and what would follow is dropped.

    Raises:
        OSError: a text that is needed cannot be written.
    """
    try:
        print(text, flush=True)
    except BrokenPipeError:
        discard_output()
    except OSError as error:
        discard_output()
        if needed:
            raise
        print_error(f"cannot write to standard output ({error.strerror}); going on without it")


def print_error(error: object) -> int:
    """Say in one line what went wrong; returns the exit status for that."""
    if isinstance(error, OSError) and error.strerror:
        error = error.strerror  # without the number
    print(f"labkit: {error}", file=sys.stderr, flush=True)
    return 1


def ask_for_password(prompt: str) -> str:
    """Ask the user at the terminal; what is typed is not shown.

    Raises:
        ValueError: there is no terminal, or the input ended.
    """
    from getpass import getpass

    if not is_terminal(sys.stdin):
        raise ValueError("there is no terminal to ask for the password: use --password-file FILE")
    try:
        return getpass(prompt, sys.stderr)
    except EOFError:
        raise ValueError("no password: the input ended") from None


def discard_output() -> None:
    """The reader of our output is gone (`| head -1`): drop the rest of it, without an error."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a user sits there; None is what Python makes of a closed standard stream."""
    return stream is not None and stream.isatty()


def replace_unprintable() -> None:
    """From now on print `?` for a character that the output's encoding lacks, instead of failing at it."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
