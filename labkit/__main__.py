"""python -m labkit …: the commands.

Here are the commands' names and their options. What they do is in serve.py, terminal.py (`join`), lab.py,
demo.py, exercises/ and instruments/load/; each is loaded only when it is asked for.

Every command returns an exit status: 0 if all went well, 1 if not, with one line that says why; 2 is
argparse's, for a command line that cannot be understood.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import fields
from typing import Any, get_args, get_type_hints

from labkit.cli.console import ask_for_password, complain, discard_output, password_from
from labkit.server import PORT
from labkit.server.limits import MEANS, Limits
from labkit.wire.framing import FRAMINGS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments` (default: the command line's) ask for; returns its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    program: list[str] | None = None
    if words[:1] == ["check"] and "--" in words:
        # What follows is somebody else's command line, and none of argparse's business.
        words, program = words[: words.index("--")], words[words.index("--") + 1 :]
    if words[:1] == ["check"]:
        words = _options_first(words)
    options = _parser(words[:1] == ["load"]).parse_args(words, argparse.Namespace(program=program))
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except KeyboardInterrupt:
        # Ctrl-C is how these commands are ended; but a load that was cut short has measured nothing.
        return 130 if words[:1] == ["load"] else 0
    except BrokenPipeError:
        discard_output()
        return 1


def _options_first(words: list[str]) -> list[str]:
    """`check a --json b` as `check --json a b`: argparse cannot have an option between two words of which
    the second may be missing."""
    options: list[str] = []
    others: list[str] = []
    rest = iter(words[1:])
    for word in rest:
        if not word.startswith("--"):
            others.append(word)
            continue
        options.append(word)
        if word in ("--framing", "--hints"):
            options += [value for value in [next(rest, None)] if value is not None]
    return [words[0], *options, *others]


# --- what the command line may say ---


def _parser(loading: bool = False) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m labkit",
        description="Chat Lab: how a multi-user chat over TCP works, on real sockets and real threads.",
        epilog="`python -m labkit COMMAND --help` tells more about a command.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_serve(commands)
    _add_join(commands)
    _add_lab(commands)
    _add_demo(commands)
    _add_check(commands)
    _add_exercises(commands)
    _add_load(commands, loading)
    return parser


def _add(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int], help: str, more: str = ""
) -> Any:
    text = help[0].upper() + help[1:] + "." + (" " + more if more else "")
    parser = commands.add_parser(name, help=help, description=text)
    parser.set_defaults(command=run, parser=parser)
    return parser


def _add_serve(commands: Any) -> None:
    parser = _add(
        commands,
        "serve",
        _serve,
        "run a chat server",
        "It listens until Ctrl-C. Try it with: nc localhost 14901",
    )
    parser.add_argument(
        "--host",
        default="localhost",
        help="the address to listen on (default: localhost, which only this machine can reach)",
    )
    parser.add_argument(
        "--port", type=_port, default=PORT, help="0 takes a free one (default: %(default)s)"
    )
    _add_framing(parser)
    _add_password(parser, "ask whoever joins for this one")
    parser.add_argument(
        "--tls-cert", metavar="FILE", help="encrypt everything (TLS), with this certificate (PEM)"
    )
    parser.add_argument("--tls-key", metavar="FILE", help="the certificate's key (PEM)")
    parser.add_argument(
        "--backplane",
        metavar="URL",
        help="share the rooms with all servers that have the same Redis: redis://HOST:PORT (its password "
        "in the environment variable REDISCLI_AUTH: everybody on the machine can read a command line)",
    )
    limits = parser.add_argument_group("limits", "how much the server lets its clients do")
    kinds = get_type_hints(Limits)
    for limit in fields(Limits):
        kind = kinds[limit.name]
        optional = kind not in (int, float)
        number = int if int in (kind, *get_args(kind)) else float
        default = (
            "none" if limit.default is None else f"{limit.default:g}" if number is float else limit.default
        )
        limits.add_argument(
            "--" + limit.name.replace("_", "-"),
            type=_number(number, optional),
            default=limit.default,
            metavar="N|none" if optional else "N",
            help=f"{MEANS[limit.name]} (default: {default})".replace("%", "%%"),
        )


def _add_join(commands: Any) -> None:
    parser = _add(
        commands,
        "join",
        _join,
        "chat from this terminal",
        "Ctrl-D leaves. On a pipe every line is said, the first one being the nickname if none is given: "
        "printf 'alice\\nhello\\n' | python -m labkit join",
    )
    parser.add_argument(
        "nickname", nargs="?", metavar="NICK", help="your nickname (default: you are asked)"
    )
    parser.add_argument("--host", default="localhost", help="where the server is (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=PORT, help="(default: %(default)s)")
    parser.add_argument(
        "--also",
        type=_host_port,
        action="append",
        default=[],
        metavar="HOST:PORT",
        help="another server of the same chat, to go to when the first is lost; may be given several times",
    )
    _add_framing(parser)
    _add_password(parser, "for a server that asks for one")
    parser.add_argument(
        "--tls",
        action="store_true",
        help="the server speaks TLS; its certificate must be one that this machine trusts",
    )
    parser.add_argument(
        "--tls-ca",
        metavar="FILE",
        help="the same, for a certificate that this machine does not know: this one, or one that it signed",
    )


ASKED = object()
"""`--password` without a value."""


def _add_password(parser: Any, what: str) -> None:
    parser.add_argument(
        "--password",
        nargs="?",
        const=ASKED,
        metavar="PASSWORD",
        help=f"{what}; without a value you are asked for it here. With one, others on this machine can "
        "read it in the list of processes (ps), and it stays in your shell's history",
    )
    parser.add_argument(
        "--password-file",
        metavar="FILE",
        help="the password is the first line of this file. Without either option it is LABKIT_PASSWORD "
        "of the environment, if that is set",
    )


def _add_framing(parser: Any) -> None:
    parser.add_argument(
        "--framing",
        choices=FRAMINGS,
        default="lines",
        help="lines: a message is a line; raw: a message is a recv, as in the assignment (default: lines)",
    )


def _add_lab(commands: Any) -> None:
    parser = _add(
        commands,
        "lab",
        _lab,
        "open the notebooks in JupyterLab",
        "It runs until Ctrl-C. What follows -- is handed to JupyterLab.",
    )
    parser.add_argument("--port", type=_port, help="(default: the first free one from 8888 on)")
    parser.add_argument("--no-browser", action="store_true", help="only print the address to open")
    parser.add_argument("more", nargs="*", metavar="-- OPTION", help="options for JupyterLab itself")


def _add_demo(commands: Any) -> None:
    _add(commands, "demo", _demo, "watch three clients chat, and leave, in this terminal")


def _add_check(commands: Any) -> None:
    parser = _add(
        commands,
        "check",
        _check,
        "check a solution of an exercise, or any chat server",
        "`check framing my.py` checks an exercise; `exercises list` names them all. "
        "`check server HOST:PORT` tells whether the server there is right, whatever its language; "
        "`check server -- COMMAND` starts it itself, with a free port in $PORT, and stops it. "
        "Exit status 0: all holds; 1: something does not; 2: nothing could be checked.",
    )
    parser.add_argument("exercise", metavar="EXERCISE", help="the exercise's name, or server")
    parser.add_argument("what", nargs="?", metavar="FILE.py|HOST:PORT", help="what to check")
    parser.add_argument(
        "--hints", type=int, default=1, metavar="N", help="how many hints to show (default: 1)"
    )
    _add_framing(parser)
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    parser.add_argument(
        "--one-by-one",
        action="store_true",
        help="start the server for one behaviour after the other, and not for several at once: where its "
        "processes would share something, such as a Redis",
    )


def _add_exercises(commands: Any) -> None:
    parser = _add(commands, "exercises", _exercises, "list the exercises, begin one, make their notebooks")
    ways = parser.add_subparsers(title="what to do", metavar="WHAT", required=True, dest="way")
    ways.add_parser("list", help="name them all")
    stub = ways.add_parser("stub", help="print an exercise's task and what to start from, as Python")
    stub.add_argument("exercise", metavar="EXERCISE")
    build = ways.add_parser("build", help="write the notebooks of exercises and solutions")
    build.add_argument("--to", metavar="FOLDER", help="where to (default: the repository's notebooks/)")
    build.add_argument(
        "--check", action="store_true", help="write nothing; fail if one is not as its source says"
    )


def _add_load(commands: Any, asked: bool) -> None:
    parser = _add(
        commands,
        "load",
        _load,
        "put a load on a chat server, or on several, and measure",
        "Exit status 0: every line came, once; 1: one did not, or a server could not be measured.",
    )
    if asked:  # its options are those of a Plan, which takes a while to load
        from labkit.cli.load import add_options

        add_options(parser)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}")
    return int(text)


def _host_port(text: str) -> tuple[str, int]:
    """HOST:PORT; an IPv6 address in brackets, or nobody could tell where it ends."""
    host, _, port = text.rpartition(":")
    if match := re.fullmatch(r"\[([^][]+)\]", host):
        host = match[1]
    elif set(host) & set(":[]"):
        host = ""
    if not (host and port.isascii() and port.isdigit() and 0 < int(port) <= 65535):
        raise argparse.ArgumentTypeError(
            f"a server is HOST:PORT, such as localhost:14902 or [::1]:14902, not {text!r}"
        )
    return host, int(port)


def _number(kind: type[int] | type[float], optional: bool) -> Callable[[str], float | None]:
    """What reads a limit from the command line."""

    def read(text: str) -> float | None:
        if optional and text.lower() == "none":
            return None
        with suppress(ValueError, OverflowError):
            number = kind(text)
            if math.isfinite(number):
                return number
        wanted = "a whole number" if kind is int else "a number"
        raise argparse.ArgumentTypeError(
            f"{wanted}{' or none' if optional else ''} is needed, not {text!r}"
        )

    return read


# --- the commands: from options to what runs them ---


def _serve(options: argparse.Namespace) -> int:
    from labkit.cli.serve import serve

    try:
        limits = Limits(**{limit.name: getattr(options, limit.name) for limit in fields(Limits)})
    except ValueError as error:
        # It speaks of Limits.max_clients; whoever reads this typed --max-clients.
        flag = re.compile(r"Limits\.(\w+)")
        options.parser.error(flag.sub(lambda name: "--" + name[1].replace("_", "-"), str(error)))
    if (options.tls_cert is None) != (options.tls_key is None):
        options.parser.error("--tls-cert and --tls-key need each other")
    tls = None if options.tls_cert is None else (options.tls_cert, options.tls_key)
    try:
        password = _password(options)
        if password is ASKED:
            password = ask_for_password("Password for this server: ")
            if ask_for_password("The same once more: ") != password:
                raise ValueError("the two passwords differ")
    except (OSError, ValueError) as error:
        return complain(error)
    return serve(options.host, options.port, options.framing, limits, password, tls, options.backplane)


def _password(options: argparse.Namespace) -> Any:
    """The password that the options give; ASKED if it is to be asked for."""
    if options.password is not None and options.password_file is not None:
        options.parser.error("--password or --password-file, not both")
    return password_from(options.password, options.password_file)


def _join(options: argparse.Namespace) -> int:
    from labkit.cli.join import join

    try:
        password = _password(options)
    except (OSError, ValueError) as error:
        return complain(error)
    if password is ASKED:
        password = None  # the terminal asks when the server does
    tls = options.tls_ca or options.tls or None
    first = (options.host, options.port)
    address = [first, *options.also] if options.also else first
    return join(options.nickname, address, FRAMINGS[options.framing], password, tls)


def _lab(options: argparse.Namespace) -> int:
    from labkit.cli.lab import open_notebooks

    return open_notebooks(options.port, not options.no_browser, options.more)


def _demo(options: argparse.Namespace) -> int:
    from labkit.cli.demo import show

    return show()


def _check(options: argparse.Namespace) -> int:
    is_file = options.what is not None and options.what.endswith(".py")
    if options.exercise == "server" and not is_file:
        from labkit.conformance import run as conformance

        if (options.what is None) == (options.program is None):
            options.parser.error("check server needs HOST:PORT, or -- COMMAND, or the exercise's FILE.py")
        return conformance.main(
            options.what, options.program or [], options.framing, options.json, options.one_by_one
        )
    from labkit.cli import exercises as commands

    if options.what is None or options.program is not None:
        options.parser.error(f"check {options.exercise} needs a FILE.py")
    return commands.check_file(options.exercise, options.what, options.hints, options.json)


def _load(options: argparse.Namespace) -> int:
    from labkit.cli import load as command

    return command.main(options)


def _exercises(options: argparse.Namespace) -> int:
    from labkit.cli import exercises as commands

    if options.way == "list":
        return commands.list_exercises()
    if options.way == "stub":
        return commands.print_stub(options.exercise)
    return commands.build(options.to, options.check)


if __name__ == "__main__":
    sys.exit(main())
