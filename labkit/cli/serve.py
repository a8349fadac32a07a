"""python -m labkit serve: a chat server that runs until Ctrl-C.

It says where it listens, warns if strangers can reach it, and ends in good order. It is not the server:
that is ChatServer (server.py), on which it builds.
"""

from __future__ import annotations

import ipaddress
import shlex
import signal
import sys
from contextlib import suppress

from labkit.cli.console import complain, is_terminal, tell
from labkit.server import PORT, ChatServer, scheduling
from labkit.server.limits import Limits
from labkit.wire.framing import FRAMINGS
from labkit.wire.sockets import Address

LOOK_AROUND = 0.2
"""Seconds; how often to look whether we were asked to stop."""

WARNING = "labkit: warning: this address is open to other machines.\n    "
NEITHER = """\
Whoever can reach this machine can join and read along: there is no password,
    and nothing is encrypted. Use it only on a network whose people you trust."""
NO_TLS = """\
Whoever is on the way to it can read along, and read the password: nothing is
    encrypted (--tls-cert, --tls-key). Use it only on a network whose people you trust."""
NO_PASSWORD = """\
Whoever can reach this machine can join: there is no password (--password)."""


def serve(
    host: str,
    port: int,
    framing: str,
    limits: Limits,
    password: str | None = None,
    tls: tuple[str, str] | None = None,
    backplane: str | None = None,
) -> int:
    """Run a server until Ctrl-C or SIGTERM; returns the exit status.

    `password`, `tls` (the files of certificate and key) and `backplane` are as for ChatServer.
    """
    asked_to_stop = []
    # The handlers only make a note: they interrupt the main thread anywhere, perhaps inside a lock.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked_to_stop.append(True))
    _allow_many_files()
    scheduling.lengthen_switch_interval()
    try:
        server = ChatServer(
            host,
            port,
            framing=FRAMINGS[framing],
            limits=limits,
            password=password,
            tls=tls,
            backplane=backplane,
        )
        server.start()
    except (OSError, ValueError) as error:
        return complain(error)
    with server:
        how_to_join = _how_to_join(server.address, framing, tls[0] if tls else None)
        tell(f"listening on {_show(server.address)}\nCtrl-C stops it. To join: {how_to_join}")
        if server.shares_through:
            tell(f"Its rooms are shared through {server.shares_through}.")
        if not ipaddress.ip_address(server.address[0]).is_loopback:
            if warning := _warning(password is not None, tls is not None):
                print(warning, file=sys.stderr, flush=True)
        cut_off = ""
        while not asked_to_stop and not server.wait(LOOK_AROUND):
            if cut_off != (cut_off := server.cut_off):
                tell(f"Cut off from other servers: {cut_off}." if cut_off else "Back with other servers.")
    end_of_line = "\n" if is_terminal(sys.stdout) else ""  # ^C stands there
    tell(f"{end_of_line}The server has stopped. Goodbye.")
    return 0


def _allow_many_files() -> None:
    """Let this process have as many sockets as the system grants: often 1024 unless one asks for more."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS has a lower limit that it does not tell
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _show(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _warning(password: bool, tls: bool) -> str:
    """What to beware of where other machines can reach the server; nothing if there are both."""
    if password and tls:
        return ""
    return WARNING + (NO_TLS if password else NO_PASSWORD if tls else NEITHER)


def _how_to_join(address: Address, framing: str, certificate: str | None = None) -> str:
    """The command line that joins this server."""
    host, port = ipaddress.ip_address(address[0]), address[1]
    parts = ["python -m labkit join"]
    if host.is_unspecified:
        parts.append("--host ADDRESS-OF-THIS-MACHINE")
    elif not host.is_loopback or host.version == 6 or certificate is not None:  # it may be for this alone
        parts.append(f"--host {host}")
    if port != PORT:
        parts.append(f"--port {port}")
    if framing != "lines":
        parts.append(f"--framing {framing}")
    if certificate is not None:
        parts.append(f"--tls-ca {shlex.quote(certificate)}")
    return " ".join(parts)
