"""Finds the command that a command line names, loads its file, and runs it.

A command is a module of this folder. It has

- `DETAILS`: what its `--help` says after the line that `--help` of all has too,
- `add_options(parser)`: what its command line may hold,
- `run(options)`: what it does; returns the exit status,
- `arrange(words)`, if argparse cannot read its words as they stand: the words that it can, and options
  that need no reading.

No other command's module is loaded. The exit status is 0 if all went well, 1 if not, with one line that
says why; 2 is argparse's, for a command line that cannot be understood.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from labkit.cli.console import discard_output


def run_command(commands: Mapping[str, str], arguments: Sequence[str]) -> int:
    """Run the one of `commands` (name: help) that the arguments begin with; returns its exit status."""
    words = list(arguments)
    parser = argparse.ArgumentParser(
        prog="python -m labkit",
        description="Chat Lab: how a multi-user chat over TCP works, on real sockets and real threads.",
        epilog="`python -m labkit COMMAND --help` tells more about a command.",
    )
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    module: Any = None
    for name, help in commands.items():
        command = subparsers.add_parser(name, help=help)
        if words[:1] == [name]:
            module = import_module(f"labkit.cli.{name}")
            command.description = f"{help[0].upper()}{help[1:]}. {module.DETAILS}".rstrip()
            command.set_defaults(parser=command)
            module.add_options(command)
    options = argparse.Namespace()
    if hasattr(module, "arrange"):
        words, options = module.arrange(words)
    options = parser.parse_args(words, options)  # exits unless a command was named
    try:
        status: int = module.run(options)
    except KeyboardInterrupt:
        return 0  # Ctrl-C is how most commands are ended
    except BrokenPipeError:
        discard_output()
        return 1
    return status
