"""Standard output and standard error, and the terminal that they may be.

A command's result goes to standard output; an error is one line on standard error.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from contextlib import suppress
from typing import TextIO

from labkit.cli.display import in_rows, stand_in
from labkit.wire.messages import isolated_line

OUTPUT_ERRORS = (
    *(errno.EPIPE, errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EBADF),
    *([errno.EINVAL] if os.name == "nt" else [errno.EDQUOT]),  # EINVAL: Windows' broken pipe
)
"""Why a standard output may take nothing more: its reader or its disk. No socket's error but EPIPE, and our
sockets' errors are dealt with where they happen."""


def called() -> str:
    """How the user has started this program: by its script, or as a module."""
    script = os.path.basename(sys.argv[0]).lower().removesuffix(".exe")
    return "labkit" if script == "labkit" else "python -m labkit"


def prepare_output() -> None:
    """From now on standard output and error show letters that they lack as `stand_in` says, instead of
    failing at them."""
    codecs.register_error("labkit", stand_in)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="labkit")


def print_notice(text: str, needed: bool = False) -> None:
    """Print to standard output; that its reader is gone is no error.

    Nor is it that it takes nothing more, as on a full disk, unless the text is needed: one line on standard
    error says so, and what would follow is dropped.

    Raises:
        OSError: a text that is needed cannot be written.
    """
    try:
        print(text, flush=True)
    except OSError as error:
        gone = reader_is_gone(error)
        if needed and not gone:
            raise
        discard_output()
        if not gone:
            print_error(f"cannot write to standard output ({error.strerror}); going on without it")


def print_heard(line: str) -> None:
    """Print what others have said: on a terminal, in rows that cannot be taken for lines.

    Raises:
        OSError: nothing more can be written.
    """
    if is_terminal(sys.stdout):
        shown = line.encode(sys.stdout.encoding, "labkit").decode(sys.stdout.encoding)
        line = "\n".join(in_rows(isolated_line(shown), _columns()))
    print(line, flush=True)


def _columns() -> int:
    """The terminal's width now: a window can change."""
    with suppress(OSError):
        return os.get_terminal_size(sys.stdout.fileno()).columns or 80
    return 80


def print_error(error: object) -> int:
    """Say in one line what went wrong; returns the exit status for that."""
    if isinstance(error, OSError) and error.strerror:
        error = error.strerror  # without the number
    with suppress(OSError):  # there is no one to tell
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


def reader_is_gone(error: OSError) -> bool:
    """Whether it says that no one reads our output any more: EPIPE, or EINVAL on Windows."""
    return isinstance(error, BrokenPipeError) or (os.name == "nt" and error.errno == errno.EINVAL)


def discard_output() -> None:
    """The reader of our output is gone (`| head -1`): drop the rest of it, without an error."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def flush_output() -> None:
    """Write what is still buffered. Raises OSError as `print` does."""
    if sys.stdout is not None:
        sys.stdout.flush()


def lose_output(error: OSError) -> int:
    """Standard output takes nothing more: drop the rest; say so if it was no reader's choice (`| head -1`).

    Returns the exit status. An error that no output has is raised again.
    """
    if error.filename is not None or error.errno not in OUTPUT_ERRORS:
        raise error
    discard_output()
    if reader_is_gone(error):
        return 1
    return print_error(f"cannot write to standard output ({error.strerror})")


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a user sits there; None is what Python makes of a closed standard stream."""
    return stream is not None and stream.isatty()
