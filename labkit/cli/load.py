"""python -m labkit load: a load from a shell, with a progress bar, a table in the end, and a drawing.

instruments/load measures. The bar is drawn only on a terminal.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from labkit.cli import options as take
from labkit.cli.console import is_terminal, print_error
from labkit.instruments.load import shared
from labkit.instruments.load.plan import MEANS, Plan
from labkit.instruments.load.servers import SERVERS, Which
from labkit.wire.extras import extra

DETAILS = "Exit status 0: every line came, once; 1: one did not, or a server could not be measured."

REPEATS = 3
"""Runs of each server, where several are compared."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "server",
        nargs="?",
        default="labkit",
        metavar="SERVER",
        help="HOST:PORT of one that runs, a command with {port} in it, or one of "
        + ", ".join(SERVERS)
        + ", which are started and stopped (default: labkit)",
    )
    parser.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="SERVERS",
        help="others to put the same load on, in turn: names with commas between them, or one HOST:PORT, "
        'or one command, as --against "python my.py {port}"; may be given several times',
    )
    parser.add_argument(
        "--servers",
        type=take.numbers,
        metavar="N",
        help="start so many of labkit's servers, which share their rooms, and spread the clients over "
        "them; 1,2,4 to compare these, and one server without a backplane as well",
    )
    parser.add_argument(
        "--backplane",
        metavar="URL",
        help=f"what they share them on: redis://HOST:PORT of a Redis that runs, or {shared.OWN}, which "
        f"starts one and stops it. Its password is better in {shared.VARIABLE} of the environment than in "
        "the URL: others on this machine can read what is typed here, in the list of processes",
    )
    parser.add_argument(
        "--repeats",
        type=int,
        metavar="N",
        help=f"runs of each, of which medians are told (default: 1, and {REPEATS} of several servers)",
    )
    plan = parser.add_argument_group("the load")
    for one in fields(Plan):
        if one.name == "clients":
            read: Callable[[str], Any] = take.numbers
        else:
            read = {"kind": str, "lines": int, "talkers": int}.get(one.name, type(one.default))
        default = "" if one.default is None else f" (default: {one.default})"
        several = "; 10,50,100 to see how it grows" if one.name == "clients" else ""
        plan.add_argument(
            f"--{one.name}",
            type=read,
            default=one.default,
            metavar="KIND" if one.name == "kind" else "N",
            help=(MEANS[one.name] + several + default).replace("%", "%%"),
        )
    out = parser.add_argument_group("what comes out")
    out.add_argument("--plot", metavar="FILE.png", help="draw it, into this file (or .svg, .pdf)")
    out.add_argument("--json", action="store_true", help="print it as JSON")
    out.add_argument(
        "--pid", type=int, metavar="N", help="the process of the SERVER that runs already, to watch it"
    )


def run(options: argparse.Namespace) -> int:
    """Measure what these options ask for; 0 if all was measured, and no line was lost or came twice."""
    from labkit.instruments.load.run import compare  # here, for it needs numpy

    plan = {one.name: getattr(options, one.name) for one in fields(Plan)}
    if isinstance(plan["clients"], int):
        plan["clients"] = [plan["clients"]]
    try:
        servers = _servers(options, min(plan["clients"]))
        repeats = (REPEATS if len(servers) > 1 else 1) if options.repeats is None else options.repeats
        for clients in plan["clients"]:
            Plan(**{**plan, "clients": clients})
        if repeats < 1:
            raise ValueError(f"--repeats is at least 1, not {repeats}")
        if len(set(servers)) < len(servers):
            raise ValueError("one of the servers is given twice: with --repeats N each is measured N times")
        if options.plot is not None:
            _can_draw(options.plot)
    except ValueError as error:
        options.parser.error(take.with_flags("Plan", error))
    with _bar() as shows:
        comparison = compare(
            servers, backplane=options.backplane, repeats=repeats, pid=options.pid, shows=shows, **plan
        )
    if options.json:
        print(comparison.as_json())
    elif not comparison.results:
        return print_error("; ".join(comparison.missing))
    else:
        print(repr(comparison))
    if options.plot is not None and comparison.results:
        try:
            comparison.plot().savefig(options.plot)
        except OSError as error:
            return print_error(f"{options.plot} cannot be written: {error.strerror}")
    return 0 if comparison.right else 1


def _servers(options: argparse.Namespace, fewest: int) -> list[Which | int]:
    """The servers to compare, where the smallest load has `fewest` clients.

    Raises:
        ValueError: these options do not go together.
    """
    if options.servers is None and options.backplane is None:
        servers: list[Which | int] = [options.server]
        for more in options.against:
            servers += [more] if " " in more else [name for name in more.split(",") if name]
        return servers
    for other in [options.server, *options.against]:
        if other != "labkit":
            raise ValueError(f"--servers and --backplane are for labkit's own, not for {other!r}")
    numbers = options.servers or [1]
    for number in numbers:
        shared.check(number, options.backplane, fewest)
    # A comparison includes one server without a backplane: it shows what the backplane costs.
    alone = options.backplane is None or (options.servers is not None and len(numbers) == 1)
    return [*([] if alone else ["labkit"]), *numbers]


def _can_draw(file: str) -> None:
    """Look before all is measured whether the drawing can be written.

    Raises:
        ValueError: there is no such folder, or no such kind of drawing.
    """
    from labkit.instruments.load.figure import saves

    if not saves(file):
        raise ValueError(f"a drawing's name ends with .png, .svg or .pdf; {file!r} does not")
    if not Path(file).absolute().parent.is_dir():
        raise ValueError(f"there is no folder {str(Path(file).parent)!r} to put a drawing in")


@contextmanager
def _bar() -> Iterator[Callable[[str, float], None] | None]:
    """A progress bar on a terminal; elsewhere nothing."""
    if not is_terminal(sys.stderr):
        yield None
        return
    with extra("load"):
        from tqdm import tqdm

    with tqdm(total=1.0, bar_format="{desc:<24} {percentage:3.0f}% |{bar}| {elapsed}", leave=False) as bar:

        def show(server: str, share: float) -> None:
            if bar.desc != server:
                bar.set_description_str(server, refresh=False)
            bar.update(share - bar.n)

        yield show
