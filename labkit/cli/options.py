"""Options that several commands have, and readers of what is typed after an option."""

from __future__ import annotations

import argparse
import math
import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from labkit.wire.framing import FRAMINGS


class Asked:
    """`--password` without a value: the password is to be asked for."""


ASKED = Asked()


# --- options ---


def apart(words: Iterable[str], *with_value: str) -> tuple[list[str], list[str]]:
    """The options among these words, and the others.

    Args:
        with_value: the options that take the word behind them.
    """
    options: list[str] = []
    others: list[str] = []
    rest = iter(words)
    for word in rest:
        if not word.startswith("--"):
            others.append(word)
            continue
        options.append(word)
        if word in with_value:
            options += [value for value in [next(rest, None)] if value is not None]
    return options, others


def add_framing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--framing",
        choices=FRAMINGS,
        default="lines",
        help="lines: a message is a line; raw: a message is a recv, as in the assignment (default: lines)",
    )


def add_password(parser: argparse.ArgumentParser, purpose: str) -> None:
    parser.add_argument(
        "--password",
        nargs="?",
        const=ASKED,
        metavar="PASSWORD",
        help=f"{purpose}; without a value you are asked for it here. With one, others on this machine can "
        "read it in the list of processes (ps), and it stays in your shell's history",
    )
    parser.add_argument(
        "--password-file",
        metavar="FILE",
        help="the password is the first line of this file. Without either option it is LABKIT_PASSWORD "
        "of the environment, if that is set",
    )


def password_of(options: argparse.Namespace) -> str | Asked | None:
    """The password that the options of `add_password` give; or the environment's; or None.

    Raises:
        OSError, ValueError: the file cannot be read, or holds none; the text says so, without the password.
    """
    given: str | Asked | None = options.password
    if given is not None and options.password_file is not None:
        options.parser.error("--password or --password-file, not both")
    if given is not None:
        return given
    if options.password_file is not None:
        return _first_line(options.password_file)
    return os.environ.get("LABKIT_PASSWORD") or None


def _first_line(file: str) -> str:
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


def with_flags(owner: str, error: ValueError) -> str:
    """The error's text, with the flag, `--max-clients`, where it names the field, `Limits.max_clients`."""
    return re.sub(rf"{owner}\.(\w+)", lambda field: "--" + field[1].replace("_", "-"), str(error))


# --- readers, for argparse's `type` ---


def port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}")
    return int(text)


def host_port(text: str) -> tuple[str, int]:
    """HOST:PORT; an IPv6 address stands in brackets, which tell its colons from the port's."""
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


def place(text: str) -> tuple[str, int | None]:
    """HOST, or HOST:PORT. An IPv6 address may stand in brackets; alone, it need not."""
    try:
        return host_port(text)
    except argparse.ArgumentTypeError:
        match = re.fullmatch(r"\[([^][]+)\]", text)
        return match[1] if match else text, None


def is_place(text: str) -> bool:
    """Whether it can be nothing but HOST:PORT or an IPv6 address."""
    host, port = place(text)
    return port is not None or host.count(":") > 1


def address(options: argparse.Namespace, port: int) -> tuple[str, int]:
    """What --host, read by `place`, and --port say together; `port` if neither names one."""
    host, ours = options.host
    if ours is not None and options.port is not None:
        options.parser.error("the port is given twice: in --host and by --port")
    given = [number for number in (ours, options.port) if number is not None]
    return host, given[0] if given else port


def number(kind: type[int] | type[float], optional: bool) -> Callable[[str], Any]:
    """A reader of numbers of this kind; of "none" as well, if optional."""

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


def numbers(text: str) -> list[int]:
    """Whole numbers with commas between them."""
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"a whole number is needed, or several with commas between them, not {text!r}"
        ) from None
