"""python -m labkit serve: a chat server that runs until Ctrl-C.

It says where it listens, warns if other machines can reach it, and stops the server in good order.
"""

from __future__ import annotations

import argparse
import ipaddress
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import fields
from typing import get_args, get_type_hints

from labkit.cli import options as take
from labkit.cli.console import ask_for_password, called, is_terminal, print_error, print_notice
from labkit.probe import commands
from labkit.server import PORT, ChatServer, scheduling
from labkit.server.limits import MEANS, Limits
from labkit.wire import addresses, descriptors
from labkit.wire.addresses import Address, place
from labkit.wire.framing import FRAMINGS

DETAILS = "It listens until Ctrl-C. Try it with: nc localhost 14901"

LOOK_AROUND = 0.2
"""Seconds between two looks whether a signal has asked the server to stop."""

WARNING = "labkit: warning: this address is open to other machines.\n    "
NEITHER = """\
Whoever can reach this machine can join and read along: there is no password,
    and nothing is encrypted. Use it only on a network whose people you trust."""
NO_TLS = """\
Whoever is on the way to it can read along, and read the password: nothing is
    encrypted (--tls-cert, --tls-key). Use it only on a network whose people you trust."""
NO_PASSWORD = """\
Whoever can reach this machine can join: there is no password (--password)."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host",
        type=take.place,
        default="localhost",
        help="the address to listen on; '*' means all of this machine's (default: localhost, which only "
        "this machine can reach)",
    )
    parser.add_argument("--port", type=take.port, help=f"0 takes a free one (default: {PORT})")
    take.add_framing(parser)
    take.add_password(parser, "ask whoever joins for this one")
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
    _add_limits(parser.add_argument_group("limits", "how much the server lets its clients do"))


def _add_limits(group: argparse._ArgumentGroup) -> None:
    """An option for each field of Limits."""
    kinds = get_type_hints(Limits)
    for limit in fields(Limits):
        kind = kinds[limit.name]
        optional = kind not in (int, float)
        number = int if int in (kind, *get_args(kind)) else float
        default = (
            "none" if limit.default is None else f"{limit.default:g}" if number is float else limit.default
        )
        group.add_argument(
            "--" + limit.name.replace("_", "-"),
            type=take.number(number, optional),
            default=limit.default,
            metavar="N|none" if optional else "N",
            help=f"{MEANS[limit.name]} (default: {default})".replace("%", "%%"),
        )


def run(options: argparse.Namespace) -> int:
    """Run a server until Ctrl-C, SIGTERM or SIGHUP; returns the exit status."""
    try:
        limits = Limits(**{limit.name: getattr(options, limit.name) for limit in fields(Limits)})
    except ValueError as error:
        options.parser.error(take.with_flags("Limits", error))
    if (options.tls_cert is None) != (options.tls_key is None):
        options.parser.error("--tls-cert and --tls-key need each other")
    try:
        password = _password(options)
        stop_asked: list[bool] = []
        # Only a note: a signal interrupts the main thread anywhere, perhaps inside a lock. SIGTERM and
        # SIGHUP come as SIGINT (dispatch.py).
        signal.signal(signal.SIGINT, lambda *_: stop_asked.append(True))
        descriptors.allow_many()
        scheduling.lengthen_switch_interval()
        server = ChatServer(
            *take.address(options, PORT),
            framing=FRAMINGS[options.framing],
            limits=limits,
            password=password,
            tls=None if options.tls_cert is None else (options.tls_cert, options.tls_key),
            backplane=options.backplane,
        )
        server.start()
    except (OSError, ValueError) as error:
        return print_error(error)
    with server:
        _announce(server, options, password is not None)
        _wait(server, stop_asked)
    end_of_line = "\n" if is_terminal(sys.stdout) else ""  # ^C stands there
    print_notice(f"{end_of_line}The server has stopped. Goodbye.")
    return 0


def _wait(server: ChatServer, stop_asked: list[bool]) -> None:
    """Wait until the server is asked to stop; say when its backplane is lost, and when it is back."""
    cut_off = ""
    while not stop_asked and not server.wait(LOOK_AROUND):
        if cut_off != (cut_off := server.cut_off):
            print_notice(
                f"Cut off from other servers: {cut_off}." if cut_off else "Back with other servers."
            )


def _password(options: argparse.Namespace) -> str | None:
    """The password to join with, asked for if it has to be.

    Raises:
        OSError, ValueError: there is none to be had; the text says why.
    """
    password = take.password_of(options)
    if isinstance(password, take.Asked):
        password = ask_for_password("Password for this server: ")
        if ask_for_password("The same once more: ") != password:
            raise ValueError("the two passwords differ")
    return password


def _announce(server: ChatServer, options: argparse.Namespace, password: bool) -> None:
    """Say where the server listens, how to join it, and who else can."""
    files = None if options.tls_cert is None else (options.tls_cert, options.tls_key)
    host, fits = _called(server.address[0], options.host[0], files)
    how_to_join = _how_to_join((host, server.address[1]), options.framing, options.tls_cert)
    notice = f"listening on {place(server.address)}\nCtrl-C stops it. To join: {how_to_join}"
    print_notice("\n".join([notice, *_who_can(server.address[0], host, options.host[0])]), needed=True)
    if server.shares_through:
        print_notice(f"Its rooms are shared through {server.shares_through}.")
    if not ipaddress.ip_address(server.address[0]).is_loopback:
        if warning := _warning(password, files is not None):
            _warn(warning)
    if not fits:
        _warn(f"labkit: warning: the certificate is not for {host}: clients will refuse it")


def _warn(text: str) -> None:
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def _warning(password: bool, tls: bool) -> str:
    """What to beware of where other machines can reach the server; "" if it has both."""
    if password and tls:
        return ""
    return WARNING + (NO_TLS if password else NO_PASSWORD if tls else NEITHER)


def _called(host: str, typed: str, files: tuple[str, str] | None) -> tuple[str, bool]:
    """How clients are to call the host that it listens on; and whether the certificate is for that."""
    ip = ipaddress.ip_address(host)
    if ip.is_unspecified:
        both = ip.version == 6 and socket.has_dualstack_ipv6()
        usable = [one for one in addresses.seen_by_others() if both or (":" in one) == (ip.version == 6)]
        usable.append("127.0.0.1" if both or ip.version == 4 else "::1")
    else:
        usable = [host]
    if files is None:
        return usable[0], True
    from labkit.wire.tls import is_for  # loaded only where there is TLS

    # A certificate may know the host by its names alone.
    candidates = [*usable, socket.gethostname() if ip.is_unspecified else typed]
    if ip.is_unspecified or ip.is_loopback:
        candidates.append("localhost")
    fitting = next((one for one in candidates if is_for(files, one)), None)
    return (usable[0], False) if fitting is None else (fitting, True)


def _who_can(host: str, called: str, typed: str) -> list[str]:
    """Who can reach it, where that is not plain: a line, or none."""
    ip = ipaddress.ip_address(host)
    if ip.is_loopback:
        as_typed = "" if typed in ("localhost", host) else f": {typed} means {host} here"
        return [f"Only this machine can reach it{as_typed}."]
    if ip.is_unspecified and called in ("localhost", "127.0.0.1", "::1"):
        return ["Only this machine can reach it so: it has no other address."]
    if ip.is_link_local and ip.version == 6:
        return ["On another machine, the name of its own network interface stands behind the %."]
    return []


def _how_to_join(address: Address, framing: str, certificate: str | None = None) -> str:
    """The command line that joins this server."""
    host, port = address
    parts = [f"{called()} join"]
    if host != "localhost" and (certificate is not None or host != _first_of_localhost()):
        parts.append(f"--host {commands.join([host])}")
    if port != PORT:
        parts.append(f"--port {port}")
    if framing != "lines":
        parts.append(f"--framing {framing}")
    if certificate is not None:
        parts.append(f"--tls-ca {commands.join([certificate])}")
    return " ".join(parts)


def _first_of_localhost() -> str:
    """The address at which `join` looks first: another server may listen there."""
    try:
        host: str = addresses.resolve(("localhost", PORT))[0][1][0]
    except OSError:
        return ""
    return host
