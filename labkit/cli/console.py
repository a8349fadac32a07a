"""How the commands of `python -m labkit` speak to the terminal they run in.

Errors are one line each, on standard error; what a command is for goes to standard output. A password is
taken from where others cannot read it.
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


def password_from(given: str | None, file: str | None, variable: str = "LABKIT_PASSWORD") -> str | None:
    """The password that was given; or the first line of the file; or what the environment has; or None.

    Raises:
        OSError, ValueError: the file cannot be read, or holds none; the text says so, without the password.
    """
    if given is not None:
        return given
    if file is None:
        return os.environ.get(variable) or None
    try:
        with open(file, encoding="utf-8-sig") as lines:
            password = lines.readline().rstrip("\r\n")
    except OSError as error:
        raise OSError(error.errno, f"cannot read the password file {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"the password file {file} is not UTF-8") from None
    if not password:
        raise ValueError(f"the first line of the password file {file} is empty")
    return password


def ask_for_password(prompt: str) -> str:
    """Ask whoever sits at the terminal; what is typed is not shown.

    Raises:
        ValueError: nobody sits there.
    """
    from getpass import getpass

    if not is_terminal(sys.stdin):
        raise ValueError("there is no terminal to ask for the password: use --password-file FILE")
    try:
        return getpass(prompt, sys.stderr)
    except EOFError:
        raise ValueError("no password: the input ended") from None


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
