"""python -m labkit …: the list of commands. The file of cli/ that has a command's name does it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from labkit.cli.console import print_error
from labkit.cli.dispatch import run_command
from labkit.wire.shadows import shadow

COMMANDS = {
    "serve": "run a chat server",
    "join": "chat from this terminal",
    "lab": "open the notebooks in JupyterLab",
    "demo": "watch three clients chat, and leave, in this terminal",
    "check": "check a solution of an exercise, or any chat server or client",
    "exercises": "list the exercises, begin one, make their notebooks; draw predictions",
    "watch": "check a solution again whenever its file is saved",
    "grade": "check the solutions of a whole class",
    "load": "put a load on a chat server, or on several, and measure",
}
"""Each command's name, and its line in `--help`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments` (default: the command line's) ask for; returns its exit status."""
    try:
        return run_command(COMMANDS, sys.argv[1:] if arguments is None else arguments)
    except Exception as error:
        if told := shadow(error):
            return print_error(told)
        raise


if __name__ == "__main__":
    sys.exit(main())
