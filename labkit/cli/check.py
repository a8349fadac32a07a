"""python -m labkit check: is that solution right, is that server?

`check EXERCISE FILE.py` checks a student's code, `check judge FILE.py` a student's test. `check server`
tries the behaviours of conformance/ on a server: at an address, or started by a command. `check client`
does so on a client.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.cli import options as take
from labkit.cli.console import print_error
from labkit.cli.options import add_framing, apart
from labkit.wire import browser
from labkit.wire.messages import Request

if TYPE_CHECKING:
    from labkit.conformance.report import Report

DETAILS = (
    "`check framing my.py` checks an exercise, in a notebook, too; `exercises list` names them all. "
    "`check server HOST:PORT` tells whether the server there is right, whatever its language; "
    "`check server -- COMMAND` starts it itself, with a free port in $PORT, and stops it. "
    "`check client -- COMMAND` tells whether that client is right: it types into it, and plays the server "
    "at $HOST and $PORT. "
    "Exit status 0: all holds; 1: something does not; 2: nothing could be checked; 3: the machine was too "
    "busy to tell, so nothing was judged."
)

REQUEST = Request().line()

UNUSABLE = 2
"""The exit status when nothing could be checked at all."""

NOT_JUDGED = 3
"""The exit status when the machine was too busy to tell whether it holds."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("exercise", metavar="EXERCISE", help="the exercise's name, or server, or client")
    parser.add_argument(
        "what",
        nargs="?",
        metavar="FILE|HOST:PORT",
        help="what to check: a .py file, a notebook, an address",
    )
    parser.add_argument(
        "--hints", type=int, default=1, metavar="N", help="how many hints to show (default: 1)"
    )
    add_framing(parser)
    parser.add_argument(
        "--request",
        default=REQUEST,
        metavar="WORD",
        help="how the server asks for a nickname, if not with `nickname`; none: it does not, and the "
        "client speaks first",
    )
    parser.add_argument("--nickname", default="", metavar="NAME", help="what the client's COMMAND gives it")
    parser.add_argument(
        "--type",
        action="append",
        default=[],
        metavar="TEXT",
        help="typed into the client first, such as '$HOST' or '$PORT', if it asks for that; may be given "
        "several times",
    )
    parser.add_argument(
        "--port",
        type=take.port,
        default=0,
        help="where the client looks for the server, if that is written in the client",
    )
    parser.add_argument(
        "--ladder", type=int, metavar="N", help="draw the ladder of behaviour N, and not of the worst ✗"
    )
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    parser.add_argument(
        "--one-by-one",
        action="store_true",
        help="start the server for one behaviour after the other, and not for several at once: where its "
        "processes would share something, such as a Redis",
    )


def arrange(words: list[str]) -> tuple[list[str], argparse.Namespace]:
    """The words with all options first, and the server's command line, which follows `--`, as `program`.

    argparse cannot have an option between two words of which the second may be missing.
    """
    program = None
    if "--" in words:
        words, program = words[: words.index("--")], words[words.index("--") + 1 :]
    with_value = ("--framing", "--hints", "--request", "--ladder", "--nickname", "--port", "--type")
    options, others = apart(words[1:], *with_value)
    return [words[0], *options, *others], argparse.Namespace(program=program)


def run(options: argparse.Namespace) -> int:
    name, what, program = options.exercise, options.what, options.program
    if browser.RUNS_HERE and (name == "judge" or not (what or "").endswith((".py", ".ipynb"))):
        return unusable(browser.NO_CHAT)
    if name == "server" and not (what is not None and what.endswith((".py", ".ipynb"))):
        if (what is None) == (program is None):
            options.parser.error("check server needs HOST:PORT, or -- COMMAND, or the exercise's FILE.py")
        return check_server(
            what,
            program or [],
            options.framing,
            options.json,
            options.one_by_one,
            "" if options.request == "none" else options.request,
            options.ladder,
        )
    if name == "client" and what is None:
        if not program:
            options.parser.error("check client needs -- COMMAND, or the exercise's FILE.py")
        return check_client(program, options)
    if what is None or program is not None:
        options.parser.error(f"check {name} needs a FILE.py")
    return check_file(name, what, options.hints, options.json)


# --- a solution ---


def check_file(name: str, filename: str, hints: int, as_json: bool) -> int:
    """Check the exercise in this file and print what was found; returns the exit status."""
    from labkit.exercises.catalogue import task_called
    from labkit.exercises.grading.checking import check
    from labkit.exercises.grading.submission import Unreadable, read
    from labkit.exercises.progress import remember

    if hints < 1:
        return unusable(f"--hints: 1 or more is needed, not {hints}")
    try:
        source = read(Path(filename), task_called(name).wants).text
    except (Unreadable, ValueError) as error:
        return unusable(error)
    if name == "judge":
        return _judge_file(source, filename, as_json)
    result = check(name, source, filename=filename)
    if as_json:
        print(json.dumps(result.as_json() | {"file": filename}))
        return _status(result.ok, result.not_judged)
    print(result)
    if not result.not_judged:
        remember(name, result.score, result.points)
    for _ in range(min(hints, len(result.hints)) - 1):
        print(result.hint())
    return _status(result.ok, result.not_judged)


def _status(ok: bool, not_judged: str) -> int:
    return NOT_JUDGED if not_judged else 0 if ok else 1


def _judge_file(source: str, filename: str, as_json: bool) -> int:
    from labkit.exercises.grading.judging import judge
    from labkit.exercises.progress import remember

    judgement = judge(source, filename=filename)
    print(json.dumps(judgement.as_json() | {"file": filename}) if as_json else judgement)
    if not as_json and not judgement.not_judged:
        remember("judge", judgement.score, judgement.points)
    return UNUSABLE if judgement.unusable else _status(judgement.ok, judgement.not_judged)


def unusable(why: object) -> int:
    """Say in one line why nothing could be checked; returns the exit status for that."""
    print_error(why)
    return UNUSABLE


# --- a server ---


def check_server(
    host_port: str | None,
    command: list[str],
    framing: str,
    as_json: bool,
    one_by_one: bool = False,
    request: str = REQUEST,
    ladder: int | None = None,
) -> int:
    """Try the server at an address, or the one that a command starts; print what came out.

    Returns the exit status: 0 if all that is required holds, 1 if something does not, 2 if there was
    nothing to try, 3 if something was not judged because the machine was too busy.
    """

    def report(show: Callable[[str], None]) -> Report:
        return _report(host_port, command, framing, show, one_by_one, request, ladder)

    return _told(report, as_json)


def _told(run: Callable[[Callable[[str], None]], Report], as_json: bool) -> int:
    """Print what this run finds; returns the exit status."""
    from labkit.conformance.greeting import CannotRun

    def show(text: str) -> None:
        if not as_json:
            print(text, flush=True)

    try:
        report = run(show)
    except CannotRun as error:
        print(json.dumps({"error": str(error)}) if as_json else f"labkit: {error}")
        return UNUSABLE
    if as_json:
        print(report.as_json())
    return (NOT_JUDGED if report.too_busy else 0) if report.holds else 1


def _report(
    host_port: str | None,
    command: list[str],
    framing: str,
    show: Callable[[str], None],
    one_by_one: bool,
    request: str,
    ladder: int | None,
) -> Report:
    from labkit.conformance.greeting import CannotRun
    from labkit.conformance.run import check_address, check_command

    if bool(host_port) == bool(command):
        raise CannotRun(
            "one of these is needed: an address, HOST:PORT, or a command that starts the server, -- COMMAND"
        )
    if host_port:
        return check_address(host_port, framing, show, request, ladder)
    return check_command(command, framing, show, one_by_one, request, ladder)


# --- a client ---


def check_client(command: list[str], options: argparse.Namespace) -> int:
    """Try the client that this command starts; print what came out. Exit status: as for a server."""
    from labkit.conformance.client import run
    from labkit.conformance.client.way import Way

    request = "" if options.request == "none" else options.request
    first = tuple(options.type)
    way = Way(tuple(command), options.framing, request, options.nickname, first, options.port)

    def report(show: Callable[[str], None]) -> Report:
        return run.check_client(way, show, options.one_by_one, options.ladder)

    return _told(report, options.json)
