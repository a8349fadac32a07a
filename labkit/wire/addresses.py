"""Hosts and their addresses: what a name stands for, how a place is written, and who holds a port."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from labkit.wire import browser
from labkit.wire.errors import words

Address = tuple[str, int]
"""(host, port). The host of a link-local address names its interface, too: fe80::1%eth0 (RFC 4007)."""

Where = tuple[socket.AddressFamily, Any]
"""An address as the system has it: the family, and what `bind` and `connect` take."""

EVERYWHERE = ("", "*")
"""Hosts that mean all of this machine's addresses; so do 0.0.0.0, of IPv4, and ::"""

_FAR = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
"""Addresses that no machine should have (RFC 5737, RFC 3849), to ask for the way to."""


def place(address: Address) -> str:
    """HOST:PORT, as it is typed: an IPv6 address in brackets (RFC 3986, section 3.2.2)."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def resolve(address: Address) -> list[Where]:
    """All addresses of a host, each once, in the resolver's order (RFC 6724).

    Raises:
        OSError: there is no such host.
        ValueError: that is no port.
    """
    browser.refuse()
    host, port = address
    if not host:  # getaddrinfo would take it for this machine
        raise OSError(errno.EINVAL, "the host is empty")
    if not 0 <= port <= 65535:
        raise ValueError(f"a port is a number from 0 to 65535, not {port}")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise OSError(error.errno, f"no such host: {host} ({words(error)})") from None
    except UnicodeError:  # from the idna codec: a part that is empty, or too long
        raise OSError(errno.EINVAL, f"no such host: {host} (no host can be called so)") from None
    return list(dict.fromkeys((family, where) for family, _, _, _, where in found))


def to_connect_to(address: Address) -> list[Where]:
    """All addresses at which a client may find the server of that address. Raises as `resolve` does."""
    host, port = address  # "everywhere" is where a server listens, and on Windows not where one connects to
    return resolve(({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port))


def to_listen_on(address: Address) -> list[Where]:
    """Where a server can listen that is to listen on this host: the first that this machine has.

    The IPv4 ones come first: `localhost` is 127.0.0.1, as everybody expects. Raises as `resolve` does.
    """
    host, port = address
    if host not in EVERYWHERE:
        return sorted(resolve(address), key=lambda where: where[0] != socket.AF_INET)
    both = ["::"] if socket.has_dualstack_ipv6() else []
    return [where for any_host in (*both, "0.0.0.0") for where in resolve((any_host, port))]


def own(sock: socket.socket) -> Address:
    """(host, port) of a socket's own end, as `resolve` takes it."""
    host, port, *more = name = sock.getsockname()
    if more and more[1]:  # a link-local address: without its interface it leads nowhere
        host = socket.getnameinfo(name, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0]
    return host, port


def seen_by_others() -> list[str]:
    """This machine's addresses, as others see them; first that from which packets leave, IPv4 before IPv6.

    Without those that mean something to one machine alone: loopback's, and IPv6's link-local ones.
    """
    hosts = dict.fromkeys((*_leaves_from(), *_of_interfaces()))
    return [host for host in hosts if not _here_alone(ipaddress.ip_address(host))]


def _here_alone(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return ip.is_loopback or ip.is_unspecified or (ip.version == 6 and ip.is_link_local)


def _leaves_from() -> Iterator[str]:
    for family, far in _FAR:
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((far, 9))  # sends nothing: UDP only looks up the way
            yield probe.getsockname()[0]


def _of_interfaces() -> Iterator[str]:
    import psutil  # seldom needed

    up = psutil.net_if_stats()
    found = psutil.net_if_addrs()
    for family in (socket.AF_INET, socket.AF_INET6):
        for name, addresses in found.items():
            if name in up and up[name].isup:
                yield from (one.address for one in addresses if one.family == family)


def held_by(where: Where) -> str:
    """Which process listens where one cannot listen any more, as far as the system tells: "" if it does
    not, "self" for this one, else its name and number."""
    import psutil  # only where something went wrong

    def in_the_way(connection: Any) -> bool:
        host, port = where[1][:2]
        if connection.status != psutil.CONN_LISTEN or connection.laddr.port != port:
            return False
        hosts = (connection.laddr.ip, host)
        return hosts[0] == hosts[1] or bool({"0.0.0.0", "::"}.intersection(hosts))

    with suppress(psutil.Error, OSError):  # macOS tells only root of others
        if any(map(in_the_way, psutil.Process().net_connections("tcp"))):
            return "self"
        for connection in filter(in_the_way, psutil.net_connections("tcp")):
            if connection.pid:  # Windows counts what it keeps itself as that of process 0
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    return ""
