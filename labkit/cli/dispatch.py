"""Finds the command that a command line names, loads its file, and runs it.

A command is a module of this folder. It has

- `DETAILS`: what its `--help` says after the line that `--help` of all has too,
- `add_options(parser)`: what its command line may hold,
- `run(options)`: what it does; returns the exit status,
- `arrange(words)`, if argparse cannot read its words as they stand: the words that it can, and options
  that need no reading.

No other command's module is loaded. The exit status is 0 if all went well, 1 if not, with one line that
says why; 2 is argparse's, for a command line that cannot be understood. A command that a signal cut short
has 128 and the signal's number, as in a shell.
"""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from labkit import __version__
from labkit.cli.console import called, flush_output, lose_output, prepare_output, print_error
from labkit.wire import browser
from labkit.wire.extras import MissingExtra


def run_command(commands: Mapping[str, str], arguments: Sequence[str]) -> int:
    """Run the one of `commands` (name: help) that the arguments begin with; returns its exit status."""
    prepare_output()
    with _ended_by_signals() as signals:
        try:
            try:
                return _run(commands, list(arguments))
            finally:
                flush_output()
        except KeyboardInterrupt:
            return 128 + (signals or [signal.SIGINT])[-1]
        except MissingExtra as error:
            return print_error(error)
        except OSError as error:
            return lose_output(error)


def _run(commands: Mapping[str, str], words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog=called(),
        description="Chat Lab: how a multi-user chat over TCP works, on real sockets and real threads.",
        epilog=f"`{called()} COMMAND --help` tells more about a command.",
    )
    parser.add_argument("--version", action="version", version=f"labkit {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    module: Any = None
    for name, help in commands.items():
        command = subparsers.add_parser(name, help=help)
        if words[:1] == [name]:
            if browser.RUNS_HERE and name not in ("check", "exercises"):
                return print_error(browser.NO_CHAT)
            module = import_module(f"labkit.cli.{name}")
            details = module.DETAILS.replace("python -m labkit", called())
            command.description = f"{help[0].upper()}{help[1:]}. {details}".rstrip()
            command.set_defaults(parser=command)
            module.add_options(command)
    if not words:
        parser.print_help()
        return 0
    options = argparse.Namespace()
    if hasattr(module, "arrange"):
        words, options = module.arrange(words)
    options = parser.parse_args(words, options)  # exits unless a command was named
    status: int = module.run(options)
    return status


@contextmanager
def _ended_by_signals() -> Iterator[list[int]]:
    """SIGTERM, SIGHUP, and Windows' SIGBREAK (Ctrl-Break, the end of the window) end the command as Ctrl-C
    does: in order, and with what it has started.

    Yields the list of those that came. One that was ignored from the start stays so (nohup).
    """
    came: list[int] = []

    def end(number: int, _: object) -> None:
        came.append(number)
        if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a shell's background job
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)  # which serve and prompt_toolkit take over

    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:  # while labkit was being loaded
        signal.signal(signal.SIGINT, signal.default_int_handler)
    named = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in named}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, end)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
